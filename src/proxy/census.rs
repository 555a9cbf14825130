//! Who holds how much memory, and how fast it moves: the order in which holders give way.
//!
//! A holder's **age** is what is kept for it divided by the bytes a second it takes and sends: how long it
//! would need to move all of that once. An idle one is the older the more it holds; one that reads a large
//! value, fast, is young however much that is. Bytes that were sent and are still kept have not moved
//! anywhere yet, and count for little.
//!
//! Rates are measured only while a quarter of the memory is in use or more, from two readings of counters
//! there are anyway; below that nothing is kept and nothing is looked at.

use std::time::Duration;

use super::balance::{RANKS, Sums, fair_level};
use super::client::Client;
use super::ids::{ClientId, ConnId, Side};
use super::time::Time;
use super::{PoolIndex, Proxy};

/// How long a rate is measured, at least half of it and at most all.
const SPAN: Duration = Duration::from_secs(10);

/// A rate over less than this says little.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// Bytes that were sent and are still kept are divided by this.
const KEPT_PART: u64 = 16;

/// A client slower than `client_min_rate` counts as slower than it by this factor.
const IDLE_PART: u64 = 64;

/// A connection to a server gives way only if so much waits to be sent over it ...
const QUEUE_LEAST: u64 = 64 * 1024;

/// ... and its server would need longer than this to take it, in milliseconds. Many clients share it: all of
/// them are answered with an error when it is closed, and those of a server that takes what it is sent hold
/// nothing up.
const QUEUE_AGE: u64 = 1000;

/// Ranks of one pool's holders: those of pools that have more than their share come before all others.
const AGES: usize = RANKS / 2;

/// The readings of all counters, and what was found in them.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// By place, for clients and for connections to servers.
    paces: [Vec<Pace>; 2],
    /// When the two readings were made that are kept, the earlier one first.
    read_at: [Time; 2],
    /// When the next one is to be made.
    read_next: Time,
}

/// Two readings of one holder's counters.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Whose; another one may have its place meanwhile.
    conn: Option<ConnId>,
    /// Bytes it had moved, and bytes that were kept of what it had sent.
    read: [(u64, u64); 2],
}

/// What is known of a holder at this moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    conn: ConnId,
    since: Time,
    moved: u64,
    kept: u64,
}

/// Somebody for whom so much is kept that it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub conn: ConnId,
    pub pool: PoolIndex,
    pub held: u64,
    /// See above, in milliseconds.
    age: u64,
    /// Those with the highest give way first.
    pub rank: usize,
}

impl Census {
    /// Whether it is time for a reading.
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.read_next
    }

    /// Forgets all readings.
    pub fn forget(&mut self) {
        if self.read_at != <[Time; 2]>::default() {
            *self = Self::default();
        }
    }

    fn begin_reading(&mut self, now: Time) {
        let first = self.read_at[1] == Time::default();
        self.read_at = [if first { now } else { self.read_at[1] }, now];
        self.read_next = now + SPAN / 2;
    }

    fn read(&mut self, reading: Reading) {
        let (side, place) = (reading.conn.side_index(), reading.conn.place());
        let paces = &mut self.paces[side];
        if paces.len() <= place {
            paces.resize(place + 1, Pace::default());
        }
        let pace = &mut paces[place];
        let now = (reading.moved, reading.kept);
        let before = match pace.conn {
            Some(conn) if conn == reading.conn => pace.read[1],
            _ => now,
        };
        *pace = Pace {
            conn: Some(reading.conn),
            read: [before, now],
        };
    }

    /// How long it takes to move what is held.
    fn age(&self, reading: Reading, held: u64, min_rate: u64, now: Time) -> u64 {
        let pace = self.paces[reading.conn.side_index()].get(reading.conn.place());
        let known = pace.filter(|pace| pace.conn == Some(reading.conn));
        // One that came since then has moved all it ever did since it came.
        let (since, (moved, kept)) = match known {
            Some(pace) => (self.read_at[0].max(reading.since), pace.read[0]),
            None => (reading.since, (0, 0)),
        };
        let millis = now.since(since).max(SPAN_MIN).as_millis() as u64;
        let moved = reading.moved.saturating_sub(moved);
        let stuck = reading.kept.saturating_sub(kept).min(moved);
        let rate = if moved * 1000 / millis < min_rate {
            min_rate / IDLE_PART
        } else {
            (moved - stuck + stuck / KEPT_PART) * 1000 / millis
        };
        held.saturating_mul(1000) / rate.max(1)
    }
}

impl Proxy {
    /// Reads all counters.
    pub(super) fn read_paces(&mut self) {
        self.census.begin_reading(self.now);
        for (id, client) in self.clients.iter() {
            self.census.read(reading_of(id, client));
        }
        for (id, link) in self.links.iter() {
            self.census.read(Reading {
                conn: id.conn(),
                since: link.since,
                moved: link.sent + link.received,
                kept: 0,
            });
        }
    }

    /// How long a client would need to move what is kept for it.
    pub(super) fn client_age(&self, id: ClientId, client: &Client) -> u64 {
        let (reading, held) = (reading_of(id, client), client.held() as u64);
        let min_rate = self.limits.client_min_rate;
        self.census.age(reading, held, min_rate, self.now)
    }

    /// Who holds at least `least` bytes, those first who are to give way first; and what all hold.
    pub(super) fn take_census(&mut self, least: u64) -> (Vec<Holder>, Sums) {
        let mut sums = Sums::new(self.pools.len());
        let mut holders = Vec::new();
        let mut add = |reading: Reading, pool: PoolIndex, held: u64, age: u64| {
            holders.push(Holder {
                conn: reading.conn,
                pool,
                held,
                age,
                rank: 0,
            });
        };
        let age = |reading: Reading, held: u64| {
            let min_rate = self.limits.client_min_rate;
            self.census.age(reading, held, min_rate, self.now)
        };
        for (id, client) in self.clients.iter() {
            let held = client.held() as u64;
            sums.pools[client.pool.index()] += held;
            if held >= least {
                let reading = reading_of(id, client);
                add(reading, client.pool, held, age(reading, held));
            }
        }
        for (id, link) in self.links.iter() {
            let reading = Reading {
                conn: id.conn(),
                since: link.since,
                moved: link.sent + link.received,
                kept: 0,
            };
            let held = link.held() as u64;
            sums.pools[link.pool.index()] += held;
            if link.out.len() as u64 >= QUEUE_LEAST.max(least) {
                let age = age(reading, held);
                if age >= QUEUE_AGE {
                    add(reading, link.pool, held, age);
                }
            }
        }
        self.note_pools(&sums);
        for holder in &mut holders {
            let age = holder.age.max(1).ilog2() as usize;
            let over = usize::from(self.pools[holder.pool.index()].over);
            holder.rank = over * AGES + age.min(AGES - 1);
            sums.ranks[holder.rank] += holder.held;
        }
        holders.sort_unstable_by_key(|holder| std::cmp::Reverse((holder.rank, holder.age)));
        (holders, sums)
    }

    /// Notes which pools hold more than their share of what there is for all.
    fn note_pools(&mut self, sums: &Sums) {
        let (place, now) = (self.place, self.now);
        let count = self.pools.len();
        let mut all = sums.pools.clone();
        if let Some(balance) = &self.balance {
            let others = balance.others(place, count, now);
            let pairs = all.iter_mut().zip(others.pools);
            pairs.for_each(|(sum, more)| *sum += more);
        }
        let level = fair_level(&all, self.memory.ample());
        for (pool, sum) in self.pools.iter_mut().zip(all) {
            pool.over = level.is_some_and(|level| sum > level);
        }
    }
}

fn reading_of(id: ClientId, client: &Client) -> Reading {
    Reading {
        conn: id.conn(),
        since: client.since,
        moved: client.moved(),
        kept: client.held_input() as u64,
    }
}

impl ConnId {
    /// 0 for a client, 1 for a connection to a server.
    fn side_index(self) -> usize {
        match self.side() {
            Side::Client(_) => 0,
            Side::Server(_) => 1,
        }
    }

    /// Where it stands among its kind.
    fn place(self) -> usize {
        match self.side() {
            Side::Client(id) => id.index(),
            Side::Server(id) => id.index(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ids::{Id, Slab};

    const MIB: u64 = 1 << 20;

    fn conns(count: u32) -> Vec<ConnId> {
        let mut slab: Slab<Client> = Slab::new(0);
        let client = || Client::new(PoolIndex(0), crate::protocol::Protocol::Redis, true);
        (0..count)
            .map(|_| Id::conn(slab.insert(client())))
            .collect()
    }

    /// The ages of holders, of which each has held and moved so much, and of that kept so much, for the
    /// last eight seconds.
    fn ages(rows: &[(u64, u64, u64)]) -> Vec<u64> {
        let conns = conns(rows.len() as u32);
        let reading = |index: usize, moved, kept| Reading {
            conn: conns[index],
            since: Time(0),
            moved,
            kept,
        };
        let mut census = Census::default();
        census.begin_reading(Time(1_000_000));
        for index in 0..rows.len() {
            census.read(reading(index, 0, 0));
        }
        let rows = rows.iter().enumerate();
        let age = |(index, &(held, moved, kept))| {
            census.age(reading(index, moved, kept), held, 1024, Time(9_000_000))
        };
        rows.map(age).collect()
    }

    #[test]
    fn the_idle_give_way_first_the_largest_before_others_and_those_who_move_last() {
        let ages = ages(&[
            // Idle, with much and with little.
            (60 * MIB, 0, 0),
            (MIB / 10, 0, 0),
            // A drip just fast enough, and one that is not.
            (60 * MIB, 1024 * 8, 0),
            (60 * MIB, 1000 * 8, 0),
            // One that has sent all of it and waits, one that reads a megabyte a second, a fast one.
            (60 * MIB, 60 * MIB, 60 * MIB),
            (8 * MIB, 8 * MIB, 0),
            (MIB / 2, 800 * MIB, 0),
        ]);
        let order = [0, 3, 2, 1, 4, 5, 6];
        let pairs = order.windows(2);
        for pair in pairs {
            assert!(ages[pair[0]] >= ages[pair[1]], "{pair:?} {ages:?}");
        }
        assert_eq!(ages[5], 8000, "milliseconds");
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds_not_of_a_whole_life() {
        let conn = conns(1)[0];
        let reading = |moved| Reading {
            conn,
            since: Time(0),
            moved,
            kept: 0,
        };
        let mut census = Census::default();
        for second in (0..40).step_by(5) {
            // It was fast until half a minute ago.
            let moved = second.min(10) * 100 * MIB;
            census.begin_reading(Time((second + 1) * 1_000_000));
            census.read(reading(moved));
        }
        let now = Time(39_000_000);
        let age = census.age(reading(1000 * MIB), MIB, 1024, now);
        assert_eq!(age, MIB * 1000 / 16, "it is idle");
        let age = census.age(reading(1000 * MIB + 8 * MIB), MIB, 1024, now);
        assert_eq!(age, MIB * 1000 / MIB, "a megabyte a second for eight");
        census.forget();
        assert!(census.is_due(Time(0)));
    }
}
