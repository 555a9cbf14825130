//! Whether a server that fails is ejected as soon as its limit says, and what a return may cost.
//!
//! From a return to the next ejection a request may fail only as a part of an attempt, until the server has
//! failed as often as its limit says; then the server is out. So all clients together lose no more than
//! what was under way when that many attempts ended.

use std::time::Duration;

use nutcrab::config::Pool;
use nutcrab::proxy::{PoolIndex, Time};
use nutcrab::route::{Router, ServerIndex};
use nutcrab::stats::{ServerStats, WorkerStats};

use crate::plant::Plant;
use crate::scene::Scene;

/// A server that is ejected for less gets no fresh start.
const OUT_MIN: Duration = Duration::from_millis(100);

/// Servers that have returned, as one worker was told.
#[derive(Debug, Default)]
pub struct Returns {
    known: Vec<Return>,
}

#[derive(Debug)]
struct Return {
    pool: PoolIndex,
    server: ServerIndex,
    is_live: bool,
    /// Ends of connections and refusals without an attempt, as counted when it came back.
    ends: i64,
    refusals: i64,
}

impl Returns {
    /// The worker is told where keys live.
    pub fn route(&mut self, stats: &WorkerStats, pool: PoolIndex, config: &Pool, router: &Router) {
        if !config.auto_eject_hosts || config.server_retry_timeout < OUT_MIN {
            return;
        }
        for number in 0..config.servers.len() {
            let server = ServerIndex(number as u16);
            let is_live = router.is_live(server);
            let same = |known: &&mut Return| (known.pool, known.server) == (pool, server);
            let counted = &stats.pools[pool.index()].servers[number];
            match self.known.iter_mut().find(same) {
                Some(known) if is_live && !known.is_live => {
                    (known.ends, known.refusals) = (ends(counted), refusals(counted));
                    known.is_live = true;
                }
                Some(known) => known.is_live = is_live,
                // One that was never out is not watched: its failures may be of any age.
                None if is_live => {}
                None => self.known.push(Return {
                    pool,
                    server,
                    is_live,
                    ends: 0,
                    refusals: 0,
                }),
            }
        }
    }

    /// What must hold after every turn.
    pub fn check(&self, scene: &mut Scene, stats: &WorkerStats) {
        for known in self.known.iter().filter(|known| known.is_live) {
            let counted = &stats.pools[known.pool.index()].servers[known.server.index()];
            let config = &scene.plan.pools[known.pool.index()].config;
            let limit = i64::from(config.server_failure_limit.get());
            if ends(counted) - known.ends >= limit {
                continue;
            }
            if scene.strikes(Plant::Grudge) {
                counted.server_backoff_hits.add(1);
            }
            if refusals(counted) > known.refusals {
                let text = format!(
                    "pool {} refuses a request to server {}, which has returned, without an attempt",
                    known.pool.0, known.server.0
                );
                scene.ledger.violate(scene.now, text);
            }
        }
    }
}

fn ends(stats: &ServerStats) -> i64 {
    stats.server_eof.read() + stats.server_err.read() + stats.server_timedout.read()
}

fn refusals(stats: &ServerStats) -> i64 {
    stats.server_backoff_hits.read()
}

/// Failures of each server in a row, of which each began after the one before was seen.
#[derive(Debug)]
pub struct Rows {
    pools: Vec<Vec<Row>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    count: u32,
    last: Time,
    is_out: bool,
}

impl Rows {
    /// None has failed.
    pub fn new(scene: &Scene) -> Self {
        let servers =
            |pool: &crate::plan::PoolPlan| vec![Row::default(); pool.config.servers.len()];
        Self {
            pools: scene.plan.pools.iter().map(servers).collect(),
        }
    }

    fn row(&mut self, pool: PoolIndex, server: ServerIndex) -> &mut Row {
        &mut self.pools[pool.index()][server.index()]
    }

    /// A server failed. Says whether it must be ejected now.
    pub fn failed(
        &mut self,
        config: &Pool,
        pool: PoolIndex,
        server: ServerIndex,
        (since, at): (Time, Time),
    ) -> bool {
        let row = self.row(pool, server);
        if row.is_out || row.count > 0 && since < row.last {
            return false;
        }
        row.count += 1;
        row.last = row.last.max(at);
        config.auto_eject_hosts && row.count >= config.server_failure_limit.get()
    }

    /// A server that had failed has replied.
    pub fn succeeded(&mut self, pool: PoolIndex, server: ServerIndex) {
        self.row(pool, server).count = 0;
    }

    /// A server is out, or back.
    pub fn begin(&mut self, pool: PoolIndex, server: ServerIndex, is_out: bool) {
        *self.row(pool, server) = Row {
            is_out,
            ..Row::default()
        };
    }
}
