//! Where clients and servers meet: the router, the servers, and the lanes to them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::cause::Cause;
use super::ids::{ClientId, LinkId};
use super::time::Time;
use crate::config;
use crate::protocol::{Commands, Protocol};
use crate::route::{Router, ServerIndex, Weighted};

/// One pool as one worker sees it.
#[derive(Debug)]
pub(super) struct Pool {
    pub config: Arc<config::Pool>,
    pub protocol: Protocol,
    pub commands: Commands,
    pub router: Arc<Router>,
    pub lanes: Vec<Lane>,
    /// By server: whether its failure count is known not to be 0.
    pub failing: Vec<bool>,
}

/// The place of a lane in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneIndex(pub u32);

/// What all connections of a lane have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneKey {
    pub server: ServerIndex,
    /// The Redis database that is selected on them.
    pub database: u32,
}

/// The connections to one server that requests may share.
#[derive(Debug)]
pub(super) struct Lane {
    pub key: LaneKey,
    /// `server_connections` places; a client uses the one its id falls on.
    pub primaries: Vec<Option<LinkId>>,
    pub spares: Vec<LinkId>,
    /// Clients with a large request that wait for a spare connection.
    pub waiting: VecDeque<ClientId>,
    /// Attempts to connect that failed since one succeeded.
    failures: u32,
    /// No attempt before this.
    retry_at: Time,
    last_cause: Cause,
}

impl Pool {
    pub fn new(config: Arc<config::Pool>) -> Self {
        let lanes = (0..config.servers.len())
            .map(|server| {
                let key = LaneKey {
                    server: ServerIndex(server as u16),
                    database: config.redis_db,
                };
                Lane::new(key, config.server_connections.get() as usize)
            })
            .collect();
        let live = vec![true; config.servers.len()];
        let mut commands = Commands::standard(config.protocol);
        if !config.flush_all {
            commands.refuse_flush();
        }
        Self {
            protocol: config.protocol,
            commands,
            router: Arc::new(router(&config, &live)),
            lanes,
            failing: vec![false; config.servers.len()],
            config,
        }
    }

    /// The lane for a server. There is one a server, in the same order.
    pub fn lane_of(&self, server: ServerIndex) -> LaneIndex {
        LaneIndex(server.index() as u32)
    }

    pub fn lane(&mut self, lane: LaneIndex) -> &mut Lane {
        &mut self.lanes[lane.0 as usize]
    }
}

/// The router of a pool some of whose servers may be out.
pub fn router(pool: &config::Pool, live: &[bool]) -> Router {
    let servers: Vec<_> = pool
        .servers
        .iter()
        .zip(live)
        .map(|(server, &live)| Weighted {
            name: &server.name,
            weight: server.weight.get(),
            live,
        })
        .collect();
    Router::new(pool.hash, pool.hash_tag, pool.distribution, &servers)
}

impl Lane {
    fn new(key: LaneKey, primaries: usize) -> Self {
        Self {
            key,
            primaries: vec![None; primaries],
            spares: Vec::new(),
            waiting: VecDeque::new(),
            failures: 0,
            retry_at: Time::default(),
            last_cause: Cause::Refused,
        }
    }

    /// Whether an attempt to connect may be made; if not, why the last one failed.
    pub fn may_connect(&self, now: Time) -> Result<(), Cause> {
        if now < self.retry_at {
            Err(self.last_cause)
        } else {
            Ok(())
        }
    }

    /// An attempt to connect succeeded.
    pub fn connected(&mut self) {
        self.failures = 0;
        self.retry_at = Time::default();
    }

    /// An attempt to connect failed. The first few repeat at once, as every request does in twemproxy,
    /// so that a server that refuses is ejected as fast; then the pauses double up to `longest`.
    pub fn connect_failed(
        &mut self,
        cause: Cause,
        at_once: u32,
        longest: Duration,
        now: Time,
        draw: u32,
    ) {
        self.failures = self.failures.saturating_add(1);
        self.last_cause = cause;
        if self.failures < at_once {
            return;
        }
        let doubled = (self.failures - at_once).min(16);
        let pause = (Duration::from_millis(20) * (1 << doubled)).min(longest);
        // Between three and five quarters of it, so that workers and proxies do not march in step.
        let quarter = pause / 4;
        self.retry_at =
            now + quarter * 3 + (quarter * 2).mul_f64(f64::from(draw) / f64::from(u32::MAX));
    }
}
