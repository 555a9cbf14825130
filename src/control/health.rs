//! What becomes of the workers' reports about servers: decided once, told to all workers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::doors::Desk;
use super::log::Log;
use crate::config::Pool;
use crate::proxy::{self, HealthChange, PoolIndex, Time};
use crate::route::ServerIndex;
use crate::stats::WorkerStats;
use crate::worker::Message;

/// The health of all servers, and who must know of it.
pub struct Health {
    pools: Vec<Arc<Pool>>,
    table: proxy::Health,
    /// Control's own counters.
    stats: Arc<WorkerStats>,
    log: Log,
}

impl Health {
    /// All servers live.
    pub fn new(pools: &[Arc<Pool>], stats: Arc<WorkerStats>, log: Log) -> Self {
        Self {
            pools: pools.to_vec(),
            table: proxy::Health::new(pools),
            stats,
            log,
        }
    }

    /// A server failed on a connection begun at `since`.
    pub fn failed(
        &mut self,
        pool: PoolIndex,
        server: ServerIndex,
        since: Time,
        now: Time,
        desks: &[Desk],
    ) {
        if let Some(change) = self.table.failed(pool, server, since, now) {
            self.announce(change, desks);
        }
    }

    /// A server that had failed has replied.
    pub fn succeeded(&mut self, pool: PoolIndex, server: ServerIndex, desks: &[Desk]) {
        if let Some(change) = self.table.succeeded(pool, server) {
            self.announce(change, desks);
        }
    }

    /// Brings back the servers whose time has come.
    pub fn expire(&mut self, now: Time, desks: &[Desk]) {
        for change in self.table.expire(now) {
            self.announce(change, desks);
        }
    }

    /// When the next server comes back.
    pub fn next_deadline(&self) -> Option<Time> {
        self.table.next_deadline()
    }

    fn announce(&self, change: HealthChange, desks: &[Desk]) {
        match change {
            HealthChange::Failing {
                pool,
                server,
                failing,
            } => {
                tell(desks, || Message::Failing {
                    pool,
                    server,
                    failing,
                });
            }
            HealthChange::Ejected {
                pool,
                server,
                router,
                failures,
                live,
            } => {
                tell(desks, || Message::Router {
                    pool,
                    router: Arc::clone(&router),
                });
                let stats = &self.stats.pools[pool.index()];
                stats.server_ejects.add(1);
                stats.servers[server.index()]
                    .server_ejected_at
                    .set(microseconds_since_epoch());
                let config = &self.pools[pool.index()];
                self.log.warn(format_args!(
                    "pool {:?}: server {:?} is ejected for {} ms after {failures} failures, \
                     {live} of {} are live",
                    config.name,
                    config.servers[server.index()].pname,
                    config.server_retry_timeout.as_millis(),
                    config.servers.len(),
                ));
            }
            HealthChange::Returned {
                pool,
                servers,
                router,
            } => {
                tell(desks, || Message::Router {
                    pool,
                    router: Arc::clone(&router),
                });
                let config = &self.pools[pool.index()];
                for server in servers {
                    let name = &config.servers[server.index()].pname;
                    self.log.notice(format_args!(
                        "pool {:?}: server {name:?} is live again",
                        config.name
                    ));
                }
            }
        }
    }
}

fn tell(desks: &[Desk], message: impl Fn() -> Message) {
    for desk in desks {
        desk.mailbox.send(message());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "ejections are shown with their time of day"
)]
fn microseconds_since_epoch() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
