//! Which servers are out.
//!
//! One table for the whole process, so that all workers send a key to the same server. The workers
//! report failures and successes; whoever owns the table tells them all what follows from it.

use std::sync::Arc;

use super::ids::PoolIndex;
use super::pool::router;
use super::time::Time;
use crate::config;
use crate::route::{Router, ServerIndex};

/// The failures of all servers of all pools.
#[derive(Debug)]
pub struct Health {
    pools: Vec<PoolHealth>,
}

#[derive(Debug)]
struct PoolHealth {
    config: Arc<config::Pool>,
    servers: Vec<ServerHealth>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServerHealth {
    /// Failures in a row; below the limit.
    failures: u32,
    /// When a worker saw the last of them.
    failed_at: Time,
    /// Whether the server is out, and until when.
    out_until: Option<Time>,
}

/// What follows from a report, for all workers.
#[derive(Clone, Debug)]
pub enum HealthChange {
    /// The server's failure count left 0, or came back to it.
    Failing {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
        /// Whether the count is not 0.
        failing: bool,
    },
    /// The server is out.
    Ejected {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
        /// Where keys live now.
        router: Arc<Router>,
        /// How many failures led to it.
        failures: u32,
        /// How many servers of the pool are live now.
        live: usize,
    },
    /// Servers are back.
    Returned {
        /// Whose servers.
        pool: PoolIndex,
        /// Which servers.
        servers: Vec<ServerIndex>,
        /// Where keys live now.
        router: Arc<Router>,
        /// How many servers of the pool are live now.
        live: usize,
    },
}

impl Health {
    /// All servers live.
    pub fn new(pools: &[Arc<config::Pool>]) -> Self {
        let pool = |config: &Arc<config::Pool>| PoolHealth {
            config: Arc::clone(config),
            servers: vec![ServerHealth::default(); config.servers.len()],
        };
        Self {
            pools: pools.iter().map(pool).collect(),
        }
    }

    /// A worker saw the server fail at `at` in something that was in order at `since`.
    ///
    /// What began to go wrong before the last failure was seen shows the same event again: one restart
    /// of a server breaks all connections to it, and counts once.
    pub fn failed(
        &mut self,
        pool: PoolIndex,
        server: ServerIndex,
        (since, at): (Time, Time),
        now: Time,
    ) -> Option<HealthChange> {
        let config = &self.pools[pool.index()].config;
        let (limit, ejects) = (config.server_failure_limit.get(), config.auto_eject_hosts);
        let known = &mut self.pools[pool.index()].servers[server.index()];
        if !ejects || known.out_until.is_some() || (known.failures > 0 && since < known.failed_at) {
            return None;
        }
        known.failures += 1;
        known.failed_at = known.failed_at.max(at);
        if known.failures < limit {
            let first = known.failures == 1;
            return first.then_some(HealthChange::Failing {
                pool,
                server,
                failing: true,
            });
        }
        let failures = std::mem::take(&mut known.failures);
        let pool_health = &mut self.pools[pool.index()];
        let until = now + pool_health.config.server_retry_timeout;
        pool_health.servers[server.index()].out_until = Some(until);
        Some(HealthChange::Ejected {
            pool,
            server,
            router: pool_health.router(),
            failures,
            live: pool_health.live_count(),
        })
    }

    /// A server that had failed has replied.
    pub fn succeeded(&mut self, pool: PoolIndex, server: ServerIndex) -> Option<HealthChange> {
        let known = &mut self.pools[pool.index()].servers[server.index()];
        let had_failed = std::mem::take(&mut known.failures) > 0;
        had_failed.then_some(HealthChange::Failing {
            pool,
            server,
            failing: false,
        })
    }

    /// Servers whose time is over come back, with no failures.
    pub fn expire(&mut self, now: Time) -> Vec<HealthChange> {
        let mut changes = Vec::new();
        for (index, pool) in self.pools.iter_mut().enumerate() {
            let mut servers = Vec::new();
            for (server, known) in pool.servers.iter_mut().enumerate() {
                if known.out_until.is_some_and(|until| until <= now) {
                    *known = ServerHealth::default();
                    servers.push(ServerIndex(server as u16));
                }
            }
            if !servers.is_empty() {
                let (pool_index, router) = (PoolIndex(index as u16), pool.router());
                changes.push(HealthChange::Returned {
                    pool: pool_index,
                    servers,
                    router,
                    live: pool.live_count(),
                });
            }
        }
        changes
    }

    /// When the next server comes back.
    pub fn next_deadline(&self) -> Option<Time> {
        self.pools
            .iter()
            .flat_map(|pool| &pool.servers)
            .filter_map(|known| known.out_until)
            .min()
    }
}

impl PoolHealth {
    fn router(&self) -> Arc<Router> {
        let live: Vec<bool> = self
            .servers
            .iter()
            .map(|known| known.out_until.is_none())
            .collect();
        Arc::new(router(&self.config, &live))
    }

    fn live_count(&self) -> usize {
        self.servers
            .iter()
            .filter(|known| known.out_until.is_none())
            .count()
    }
}
