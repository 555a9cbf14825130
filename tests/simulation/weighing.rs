//! Whether memory is taken from those who hold it.
//!
//! Each worker is told what all of them hold. That is never more than there may be and a read buffer for each
//! connection. A client that holds little is neither closed nor refused while a hoarder lives that holds far
//! more, apart from the moment in which it is found; and when the hoarders have gone there is room within a
//! second.
//!
//! Where memory is scarce for other reasons, and for a moment only, a client is closed for no less than is
//! worth it then, and for what it does hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nutcrab::proxy::{Balance, Cause, ConnId};

use crate::agenda::Micros;
use crate::ledger::Fault;
use crate::network::{End, Owner, WireId};
use crate::plan::Plan;
use crate::plant::Plant;
use crate::scene::Scene;
use crate::worker::Worker;

/// A hoarder holds far more than a client if it holds so many times as much.
const FAR_MORE: u64 = 4;

/// How long a hoarder may have held far more than its share when somebody else pays for it.
const FOUND_AFTER: Micros = 400_000;

/// A hoarder that has neither sent nor taken anything for so long makes no progress.
const IDLE_AFTER: Micros = 1_000_000;

/// How often a worker looks at the memory although nothing happens, while much is in use.
const LOOK_EVERY: Micros = 100_000;

/// How often it does so at most, if little was read.
const LOOK_LEAST: Micros = 5000;

/// What all hold, as the workers said at the end of their turns.
#[derive(Debug)]
pub struct Holdings {
    /// Bytes there may be, if that matters in this run.
    pub limit: Option<u64>,
    /// What the workers tell each other.
    pub balance: Arc<Balance>,
    /// By worker.
    totals: Vec<u64>,
    /// By hoarder.
    hoarders: Vec<Held>,
    /// Wires of clients that were closed because they held too much.
    shed: BTreeSet<WireId>,
    /// Since when a hoarder holds far more than its share.
    large_since: Option<Micros>,
    /// Bytes that are said to be in use, and are not.
    phantom: u64,
    /// Whether the workers are told that nothing is in use.
    is_concealed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    bytes: u64,
    /// When it last sent or took something, or came to hold more.
    moved_at: Micros,
}

impl Holdings {
    /// Nothing is held.
    pub fn new(plan: &Plan) -> Self {
        let count = plan.hoard.as_ref().map_or(0, |hoard| hoard.hoarders.len());
        Self {
            limit: plan.hoard.as_ref().map(|hoard| hoard.limit),
            balance: Arc::new(Balance::new(plan.workers, plan.pools.len())),
            totals: vec![0; plan.workers],
            hoarders: vec![Held::default(); count],
            shed: BTreeSet::new(),
            large_since: None,
            phantom: 0,
            is_concealed: false,
        }
    }

    /// A hoarder has sent or taken something.
    pub fn moved(&mut self, hoarder: usize, now: Micros) {
        self.hoarders[hoarder].moved_at = now;
    }

    /// Whether the client on this wire was closed because it held too much.
    pub fn was_shed(&self, wire: WireId) -> bool {
        self.shed.contains(&wire)
    }

    /// What was held is never given back.
    pub fn keep(&mut self) {
        self.phantom = self.limit.unwrap_or(0);
    }

    fn used(&self) -> u64 {
        self.totals.iter().sum::<u64>() + self.phantom
    }

    /// The most a hoarder holds that makes no progress.
    fn largest_idle(&self, now: Micros) -> u64 {
        let idle = self.hoarders.iter();
        let idle = idle.filter(|held| held.moved_at + IDLE_AFTER <= now);
        idle.map(|held| held.bytes).max().unwrap_or(0)
    }

    fn largest(&self) -> u64 {
        let held = self.hoarders.iter().map(|held| held.bytes);
        held.max().unwrap_or(0)
    }
}

/// What one worker knows of it.
#[derive(Debug, Default)]
pub struct Scale {
    /// The hoarders among its clients.
    hoarders: Vec<(ConnId, usize)>,
    /// Bytes read since it last looked.
    unweighed: u64,
    weighed_at: Micros,
    /// Requests refused so far.
    refused: i64,
    /// What a client held that the core is about to close.
    pub shed: Option<u64>,
    /// How scarce memory was at worst when the core was last told, and when that was.
    scarcity: Scarcity,
    pressed_at: Micros,
    /// What each client held then.
    held: BTreeMap<WireId, u64>,
}

/// How scarce memory is: bytes in use, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scarcity {
    used: u64,
    limit: u64,
}

impl Scarcity {
    /// What a client must hold to be closed for it; `None` if no client may be.
    fn least(self) -> Option<u64> {
        let (used, eighth) = (self.used, self.limit / 8);
        match () {
            () if used < 6 * eighth => None,
            () if used < 7 * eighth => Some(64 * 1024),
            () => Some(8 * 1024),
        }
    }

    /// Why a client must not be closed that is said to hold so many bytes, and did hold so many.
    fn objection(self, said: u64, held: u64) -> Option<&'static str> {
        match self.least() {
            None => Some("memory is not scarce"),
            Some(least) if said < least => Some("others may hold as much"),
            _ if said > held => Some("it does not hold them"),
            _ => None,
        }
    }
}

impl Worker {
    /// A client comes; one may be a hoarder.
    pub(crate) fn enter(&mut self, owner: Owner, conn: ConnId) {
        if let Owner::Hoarder(index) = owner {
            self.scale.hoarders.push((conn, index));
        }
    }

    /// Bytes were read: many may be, in one turn.
    pub(crate) fn has_read(&mut self, scene: &mut Scene, count: usize) {
        let Some(limit) = scene.holdings.limit else {
            return;
        };
        self.scale.unweighed += count as u64;
        if self.scale.unweighed >= limit / 64 {
            self.tell_memory(scene);
        }
    }

    /// Whether it is time to look.
    pub(crate) fn must_weigh(&self, scene: &Scene) -> bool {
        scene.holdings.limit.is_some() && self.scale.weighed_at + LOOK_LEAST <= scene.now
    }

    /// Tells the core what all hold. Says whether it closed somebody for that.
    pub(crate) fn tell_memory(&mut self, scene: &mut Scene) -> bool {
        let Some(limit) = scene.holdings.limit else {
            return false;
        };
        (self.scale.unweighed, self.scale.weighed_at) = (0, scene.now);
        self.report(scene);
        let mut used = scene.holdings.used();
        if used >= limit / 4 * 3 && scene.strikes(Plant::Overrun) {
            scene.holdings.is_concealed = true;
        }
        if scene.holdings.is_concealed {
            used = 0;
        }
        self.proxy.set_memory(used, limit)
    }

    /// Says what its clients hold.
    fn report(&mut self, scene: &mut Scene) {
        let holdings = &mut scene.holdings;
        holdings.totals[self.index] = self.proxy.held() as u64;
        let proxy = &self.proxy;
        self.scale.hoarders.retain(|(conn, index)| {
            let bytes = proxy.held_for(*conn) as u64;
            let held = &mut holdings.hoarders[*index];
            if bytes > held.bytes {
                held.moved_at = scene.now;
            }
            held.bytes = bytes;
            bytes > 0
        });
    }

    /// Memory is scarce, or is no more, for reasons that are none of the clients'.
    pub(crate) fn press(&mut self, scene: &mut Scene, used: u64, limit: u64) {
        // What an order brought about is done at the end of the turn, and the next may be in it as well.
        if self.scale.pressed_at != scene.now {
            self.scale.scarcity = Scarcity::default();
            self.scale.held.clear();
        }
        self.scale.pressed_at = scene.now;
        let told = Scarcity { used, limit };
        if told.least().is_some() {
            let worse = self.scale.scarcity.used < used;
            self.scale.scarcity = if worse { told } else { self.scale.scarcity };
            let conns: Vec<ConnId> = self.honest(scene).copied().collect();
            for conn in conns {
                let held = self.proxy.held_for(conn) as u64;
                let wire = self.wire_of(conn);
                self.scale.held.extend(wire.map(|wire| (wire, held)));
            }
            self.plant_press(scene);
        }
        self.proxy.set_memory(used, limit);
    }

    /// The negative control: a client is closed that holds next to nothing.
    fn plant_press(&mut self, scene: &mut Scene) {
        let planted = scene.plant == Some(Plant::ShedPoor);
        let poor = |conn: &&ConnId| self.proxy.held_for(**conn) < 4096;
        if planted
            && let Some(conn) = self.honest(scene).filter(poor).min().copied()
            && scene.strikes(Plant::ShedPoor)
        {
            // Some are said to hold much, of some nothing is said.
            self.scale.shed = scene.draw.pick(&[None, Some(4096), Some(1 << 17)]);
            self.proxy.failed(conn, Cause::Reset);
        }
    }

    /// What must hold after a turn in which memory was looked at.
    pub(crate) fn check_memory(&mut self, scene: &mut Scene) {
        let Some(limit) = scene.holdings.limit else {
            return;
        };
        self.report(scene);
        let used = scene.holdings.used();
        if used >= limit / 2 {
            self.turn_by(scene, scene.now + LOOK_EVERY);
        }
        let clients = scene.holdings.hoarders.len()
            + scene
                .plan
                .pools
                .iter()
                .map(|pool| pool.clients)
                .sum::<usize>();
        // Servers' connections read, too.
        let slack = ((clients + self.proxy.link_count()) * scene.plan.chunk) as u64;
        let held = used - scene.holdings.phantom;
        if held > limit + slack {
            let text = format!("{held} bytes are held, of {limit} and {slack}");
            scene.ledger.violate(scene.now, text);
        }
        let fair = limit / (clients as u64).max(1);
        let large = scene.holdings.largest() > FAR_MORE * fair;
        let since = scene.holdings.large_since.unwrap_or(scene.now);
        scene.holdings.large_since = large.then_some(since);
        self.check_refusals(scene);
    }

    fn check_refusals(&mut self, scene: &mut Scene) {
        let since = scene.holdings.large_since.unwrap_or(scene.now);
        if scene.now - since > FOUND_AFTER && scene.strikes(Plant::RefuseAnyway) {
            self.stats.pools[0].memory_limit_hits.add(1);
        }
        let pools = self.stats.pools.iter();
        let refused: i64 = pools.map(|pool| pool.memory_limit_hits.read()).sum();
        if std::mem::replace(&mut self.scale.refused, refused) == refused {
            return;
        }
        let now = scene.now;
        for pool in 0..scene.plan.pools.len() {
            scene.ledger.strike(now, pool, Fault::Memory, now);
        }
        let since = scene.holdings.large_since.unwrap_or(now);
        if now - since > FOUND_AFTER {
            let largest = scene.holdings.largest();
            let text = format!(
                "requests are refused, and a hoarder has held {largest} bytes or as many since {since}"
            );
            scene.ledger.violate(now, text);
        }
    }

    /// Has the client closed that holds the least, if that is asked for.
    pub(crate) fn plant_shed(&mut self, scene: &mut Scene) -> bool {
        if scene.plant != Some(Plant::ShedSmallest) {
            return false;
        }
        let largest = scene.holdings.largest_idle(scene.now);
        let held = |conn: &ConnId| (self.proxy.held_for(*conn) as u64, *conn);
        let honest = self.honest(scene).map(held).min();
        let Some((held, conn)) = honest.filter(|(held, _)| largest > FAR_MORE * held) else {
            return false;
        };
        let strikes = scene.strikes(Plant::ShedSmallest);
        if strikes {
            self.scale.shed = Some(held);
            self.proxy.failed(conn, Cause::Reset);
        }
        strikes
    }

    /// The core closes the client on this wire because of the bytes it holds.
    pub(crate) fn judge_shed(&mut self, scene: &mut Scene, wire: WireId, held: u64) {
        match scene.net.owner((wire, End::Caller)) {
            Owner::Hoarder(index) => {
                if let Some(hoard) = &scene.plan.hoard {
                    let what = hoard.hoarders[index].0.shed();
                    *scene.ledger.totals.done.entry(what).or_default() += 1;
                }
            }
            Owner::Client(client) if scene.holdings.limit.is_none() => {
                let truth = self.scale.held.get(&wire).copied().unwrap_or(0);
                if let Some(wrong) = self.scale.scarcity.objection(held, truth) {
                    let text = format!("client {client} is closed for {held} bytes: {wrong}");
                    scene.ledger.violate(scene.now, text);
                }
                scene.holdings.shed.insert(wire);
                *scene.ledger.totals.done.entry(SHED).or_default() += 1;
            }
            Owner::Client(client) => {
                self.report(scene);
                let largest = scene.holdings.largest_idle(scene.now);
                if largest > FAR_MORE * held {
                    let text = format!(
                        "client {client} is closed for {held} bytes, and a hoarder holds {largest}"
                    );
                    scene.ledger.violate(scene.now, text);
                }
                scene.holdings.shed.insert(wire);
                *scene.ledger.totals.done.entry(SHED).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// What is counted when a client was closed that is no hoarder.
const SHED: &str = "honest clients closed for what they held";

#[test]
fn nobody_is_closed_for_what_everybody_may_hold() {
    let of = |sixteenths: u64| Scarcity {
        used: sixteenths << 16,
        limit: 1 << 20,
    };
    let (tight, short) = (64 * 1024, 8 * 1024);
    assert_eq!(
        of(11).objection(1 << 20, 1 << 20),
        Some("memory is not scarce")
    );
    assert_eq!(of(12).objection(tight, tight), None);
    assert_eq!(
        of(12).objection(tight - 1, tight),
        Some("others may hold as much")
    );
    assert_eq!(of(14).objection(short, short), None);
    assert_eq!(
        of(17).objection(short - 1, short),
        Some("others may hold as much")
    );
    assert_eq!(
        of(17).objection(tight, short),
        Some("it does not hold them")
    );
}
