//! The owner of the health table: hears of failures, tells all workers what follows.

use std::sync::Arc;

use nutcrab::proxy::{Call, Cause, Health, HealthChange, PoolIndex, Time};
use nutcrab::route::{Router, ServerIndex};

use crate::agenda::{Event, Micros};
use crate::plant::Plant;
use crate::scene::Scene;
use crate::verdicts::Rows;

/// What comes of a call.
pub type Returned = Result<bool, Cause>;

/// What a worker reports.
#[derive(Clone, Copy, Debug)]
pub enum Report {
    /// A server failed at the second time in what was in order at the first.
    Failed(PoolIndex, ServerIndex, (Time, Time)),
    /// A server that had failed has replied.
    Succeeded(PoolIndex, ServerIndex),
    /// What a client asks of one of another worker.
    Call(Call),
    /// What came of it.
    Return(Call, Returned),
}

/// What a worker is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// Keys of the pool live elsewhere now.
    Route(PoolIndex, Arc<Router>),
    /// Whether a success of the server is worth a report.
    Failing(PoolIndex, ServerIndex, bool),
    /// So many bytes of memory are in use, of those there may be.
    Memory(u64, u64),
}

/// See the top of the file.
#[derive(Debug)]
pub struct Control {
    health: Health,
    /// What the health table must make of it.
    rows: Rows,
    wake: Option<Micros>,
    /// What one worker is to be told: a client's wish, or whether it came true.
    pub calls: Vec<(usize, Call, Option<Returned>)>,
}

impl Control {
    /// All servers live.
    pub fn new(scene: &Scene) -> Self {
        let pools: Vec<_> = scene
            .plan
            .pools
            .iter()
            .map(|pool| Arc::clone(&pool.config))
            .collect();
        Self {
            health: Health::new(&pools),
            rows: Rows::new(scene),
            wake: None,
            calls: Vec::new(),
        }
    }

    /// Sees to it that reports are heard soon, and returns happen in time.
    pub fn stir(&mut self, scene: &mut Scene) {
        let soon = (!scene.reports.is_empty()).then(|| scene.now + scene.draw.micros(0, 2000));
        let back = self
            .health
            .next_deadline()
            .map(|at| at.0.max(scene.now + 1));
        if let Some(at) = [soon, back].into_iter().flatten().min()
            && self.wake.is_none_or(|wake| at < wake)
        {
            self.wake = Some(at);
            scene.agenda.add(at, Event::Control);
        }
    }

    /// Hears the reports; gives what all workers must be told.
    pub fn act(&mut self, scene: &mut Scene) -> Vec<Order> {
        if self.wake.is_some_and(|wake| wake > scene.now) {
            return Vec::new();
        }
        self.wake = None;
        let now = Time(scene.now);
        let mut changes = Vec::new();
        for report in std::mem::take(&mut scene.reports) {
            changes.extend(match report {
                Report::Failed(pool, server, when) => {
                    let config = &scene.plan.pools[pool.index()].config;
                    let is_due = self.rows.failed(config, pool, server, when);
                    let change = match is_due && scene.strikes(Plant::Forgive) {
                        true => None,
                        false => self.health.failed(pool, server, when, now),
                    };
                    let is_ejected = matches!(change, Some(HealthChange::Ejected { .. }));
                    if is_ejected {
                        self.rows.begin(pool, server, true);
                    }
                    if is_due != is_ejected {
                        let (pool, server) = (pool.0, server.0);
                        let text = format!(
                            "pool {pool} server {server}: ejected {is_ejected}, due {is_due}"
                        );
                        scene.ledger.violate(scene.now, text);
                    }
                    change
                }
                Report::Succeeded(pool, server) => {
                    self.rows.succeeded(pool, server);
                    self.health.succeeded(pool, server)
                }
                Report::Call(call) => {
                    self.calls.push((call.worker as usize, call, None));
                    None
                }
                Report::Return(call, outcome) => {
                    self.calls
                        .push((call.asker_worker as usize, call, Some(outcome)));
                    None
                }
            });
        }
        changes.extend(self.health.expire(now));
        let mut orders = Vec::new();
        for change in changes {
            match change {
                HealthChange::Failing {
                    pool,
                    server,
                    failing,
                } => orders.push(Order::Failing(pool, server, failing)),
                HealthChange::Ejected {
                    pool,
                    server,
                    router,
                    live,
                    ..
                } => {
                    scene.ledger.totals.ejections += 1;
                    scene.ledger.note(scene.now, || {
                        format!("pool {} ejects server {}, {live} left", pool.0, server.0)
                    });
                    orders.push(Order::Route(pool, router));
                }
                HealthChange::Returned {
                    pool,
                    servers,
                    router,
                    ..
                } => {
                    scene.ledger.note(scene.now, || {
                        format!("pool {} takes back {servers:?}", pool.0)
                    });
                    for server in servers {
                        self.rows.begin(pool, server, false);
                    }
                    orders.push(Order::Route(pool, router));
                }
            }
        }
        orders
    }
}
