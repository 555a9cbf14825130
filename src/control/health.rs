//! What becomes of the workers' reports about servers: decided once, told to all workers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::listeners::WorkerHandle;
use super::log::Log;
use crate::config::Pool;
use crate::proxy::{self, Cause, HealthChange, PoolIndex, Time};
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
    /// Servers that are out, of all pools.
    out_count: usize,
}

impl Health {
    /// All servers live.
    pub fn new(pools: &[Arc<Pool>], stats: Arc<WorkerStats>, log: Log) -> Self {
        Self {
            pools: pools.to_vec(),
            table: proxy::Health::new(pools),
            stats,
            log,
            out_count: 0,
        }
    }

    /// A server failed for this reason; a worker saw it at `at`, in something that was in order at `since`.
    pub fn failed(
        &mut self,
        (pool, server): (PoolIndex, ServerIndex),
        cause: Cause,
        (since, at): (Time, Time),
        now: Time,
        handles: &[WorkerHandle],
    ) {
        if let Some(change) = self.table.failed(pool, server, (since, at), now) {
            self.announce(change, Some(cause), handles);
        }
    }

    /// A server that had failed has replied.
    pub fn succeeded(&mut self, pool: PoolIndex, server: ServerIndex, handles: &[WorkerHandle]) {
        if let Some(change) = self.table.succeeded(pool, server) {
            self.announce(change, None, handles);
        }
    }

    /// Brings back the servers whose time has come.
    pub fn expire(&mut self, now: Time, handles: &[WorkerHandle]) {
        for change in self.table.expire(now) {
            self.announce(change, None, handles);
        }
    }

    /// When the next server comes back.
    pub fn next_deadline(&self) -> Option<Time> {
        self.table.next_deadline()
    }

    /// How many servers are out, of all pools.
    pub fn out_count(&self) -> usize {
        self.out_count
    }

    fn announce(&mut self, change: HealthChange, cause: Option<Cause>, handles: &[WorkerHandle]) {
        match change {
            HealthChange::Failing {
                pool,
                server,
                failing,
            } => {
                tell(handles, || Message::Failing {
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
                tell(handles, || Message::Router {
                    pool,
                    router: Arc::clone(&router),
                });
                let stats = &self.stats.pools[pool.index()];
                stats.server_ejects.add(1);
                stats.servers[server.index()]
                    .server_ejected_at
                    .set(microseconds_since_epoch());
                self.out_count += 1;
                let config = &self.pools[pool.index()];
                let reason = cause.map(reason).unwrap_or_default();
                self.log.warn(format_args!(
                    "pool {:?}: server {:?} is ejected for {} ms after {failures} failures, the \
                     last: {reason}; {live} of {} are live",
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
                live,
            } => {
                tell(handles, || Message::Router {
                    pool,
                    router: Arc::clone(&router),
                });
                self.out_count -= servers.len();
                let config = &self.pools[pool.index()];
                for server in servers {
                    let name = &config.servers[server.index()].pname;
                    self.log.notice(format_args!(
                        "pool {:?}: server {name:?} is live again, {live} of {} are live",
                        config.name,
                        config.servers.len(),
                    ));
                }
            }
        }
    }
}

/// For the log. Clients are told what twemproxy tells them, which for this one is "unknown".
fn reason(cause: Cause) -> String {
    match cause {
        Cause::Eof => "it closed the connection".into(),
        cause => cause.to_string(),
    }
}

fn tell(handles: &[WorkerHandle], message: impl Fn() -> Message) {
    for handle in handles {
        handle.mailbox.send(message());
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
