//! Clients that hold memory and give nothing for it, each in a way of its own.
//!
//! They sit beside the honest clients of some runs, hold all they can, and come back when they are closed.
//! What the proxy may do to whom because of them is judged in `weighing`.

use nutcrab::protocol::Protocol;

use crate::agenda::{Event, Micros};
use crate::draw::Draw;
use crate::ledger::Totals;
use crate::network::{End, Owner, Read, Traits, WireId, Written};
use crate::plan::{PASSWORD, Plan};
use crate::plant::Plant;
use crate::scene::{Phase, Scene};
use crate::value::{self, Echo, Mark, Shape};
use crate::worker::Worker;
use crate::world::World;
use crate::{memcache, redis};

/// How a client comes to hold memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// It gives itself names as long as they may be.
    LongNames,
    /// It sends half a request.
    HalfRequest,
    /// It asks for long replies of the proxy's own and reads none.
    UnreadReplies,
    /// It sends half a request before it says the password.
    Stranger,
    /// It listens to a channel and reads nothing.
    HungSubscriber,
    /// It publishes large messages there.
    Publisher,
    /// It asks for large values and reads a few bytes now and then.
    DripReader,
    /// It sends a large value, a few bytes now and then.
    DripUploader,
    /// It writes all its requests before it reads anything.
    WriteAll,
}

impl Habit {
    const REDIS: [Habit; 9] = [
        Habit::LongNames,
        Habit::HalfRequest,
        Habit::UnreadReplies,
        Habit::Stranger,
        Habit::HungSubscriber,
        Habit::Publisher,
        Habit::DripReader,
        Habit::DripUploader,
        Habit::WriteAll,
    ];
    const MEMCACHE: [Habit; 4] = [
        Habit::HalfRequest,
        Habit::DripReader,
        Habit::DripUploader,
        Habit::WriteAll,
    ];

    /// What is counted when one of them was closed because it held too much.
    pub fn shed(self) -> &'static str {
        match self {
            Habit::LongNames => "hoarders closed: long names",
            Habit::HalfRequest => "hoarders closed: half requests",
            Habit::UnreadReplies => "hoarders closed: unread replies of the proxy",
            Habit::Stranger => "hoarders closed: strangers",
            Habit::HungSubscriber => "hoarders closed: hung subscribers",
            Habit::Publisher => "hoarders closed: publishers",
            Habit::DripReader => "hoarders closed: drip readers",
            Habit::DripUploader => "hoarders closed: drip uploaders",
            Habit::WriteAll => "hoarders closed: those who write everything first",
        }
    }
}

impl Habit {
    /// What is counted when one of them was still there when all hoarders left.
    pub fn kept(self) -> &'static str {
        match self {
            Habit::LongNames => "hoarders served: long names",
            Habit::HalfRequest => "hoarders served: half requests",
            Habit::UnreadReplies => "hoarders served: unread replies of the proxy",
            Habit::Stranger => "hoarders served: strangers",
            Habit::HungSubscriber => "hoarders served: hung subscribers",
            Habit::Publisher => "hoarders served: publishers",
            Habit::DripReader => "hoarders served: drip readers",
            Habit::DripUploader => "hoarders served: drip uploaders",
            Habit::WriteAll => "hoarders served: those who write everything first",
        }
    }

    /// Whether it can be kept up without much memory, as long as others hold more: few are closed for it.
    fn moves(self) -> bool {
        matches!(self, Habit::Publisher | Habit::DripUploader)
    }
}

/// Seeds of which some have hoarders of every kind, and memory short enough that they are closed.
pub const TELLING_SEEDS: u64 = 2000;

/// Kinds of hoarders that were never seen to be closed, or neither closed nor served.
pub fn missing(totals: &Totals) -> Vec<&'static str> {
    let never = |what: &&'static str| !totals.done.contains_key(what);
    let unseen = |habit: Habit| match habit.moves() {
        true => Some(habit.kept())
            .filter(never)
            .and(Some(habit.shed()))
            .filter(never),
        false => Some(habit.shed()).filter(never),
    };
    Habit::REDIS.into_iter().filter_map(unseen).collect()
}

/// The hoarders of a run, and the memory there is.
#[derive(Clone, Debug)]
pub struct HoardPlan {
    /// Bytes of memory there may be.
    pub limit: u64,
    /// How each of them hoards, and in which pool.
    pub hoarders: Vec<(Habit, usize)>,
}

/// Bytes of what a hoarder reads or sends at once, if it does it by drips.
const DRIP: usize = 64;

/// Time between two messages of a publisher.
const PUBLISH_GAP: Micros = 30_000;

/// A hoarder's wire: it is never the wire that holds it up.
const WIRE: Traits = Traits {
    delay: (0, 50),
    parcel: 64 * 1024,
    capacity: 64 * 1024,
};

/// The channel that hoarders use.
const CHANNEL: &[u8] = b"hoard";

impl Plan {
    /// Some seeds have hoarders. Drawn from a stream of its own: all else is drawn as it was.
    pub(crate) fn draw_hoard(&mut self) {
        let mut draw = Draw::new(self.seed ^ 0x40a2_d1e5);
        if draw.one_in(16) {
            self.hoard(&mut draw);
        }
    }

    /// Puts hoarders beside the clients, and makes memory scarce. Nothing else goes wrong.
    pub(crate) fn hoard(&mut self, draw: &mut Draw) {
        self.widen();
        self.faults.clear();
        self.length = draw.micros(1_500_000, 2_500_000);
        self.limits.strangers = 400_000;
        // Megabytes in small pieces would take long.
        self.chunk = self.chunk.max(16 * 1024);
        self.buffer_size = self.buffer_size.max(16 * 1024);
        self.server_wire = WIRE;
        for pool in &mut self.pools {
            pool.no_multi = None;
            pool.unbound();
            (pool.clients, pool.requests) = (pool.clients.min(8), pool.requests.min(60));
        }
        let count = draw.pick(&[6, 12, 24]);
        let hoarders = (0..count).map(|_| {
            let pool = draw.below(self.pools.len());
            let habit = match self.pools[pool].config.protocol {
                Protocol::Redis => draw.pick(&Habit::REDIS),
                _ => draw.pick(&Habit::MEMCACHE),
            };
            (habit, pool)
        });
        let hoarders = hoarders.collect();
        self.hoard = Some(HoardPlan {
            limit: draw.pick(&[2, 3, 4]) << 20,
            hoarders,
        });
    }
}

impl Plan {
    /// Puts so many hoarders beside the clients that they cannot but hold more than there may be.
    pub(crate) fn hoard_beyond(&mut self, draw: &mut Draw) {
        self.hoard(draw);
        self.chunk = 16 * 1024;
        let habits = [Habit::HalfRequest, Habit::DripReader];
        let hoarders = (0..24).map(|number| (habits[number % 2], number % self.pools.len()));
        self.hoard = Some(HoardPlan {
            limit: 1 << 20,
            hoarders: hoarders.collect(),
        });
    }
}

/// One hoarder.
#[derive(Debug)]
pub struct Hoarder {
    index: usize,
    /// Its pool.
    pub pool: usize,
    habit: Habit,
    draw: Draw,
    wire: Option<WireId>,
    /// The number of its connection in the book.
    conn: u32,
    /// What it still has to send.
    outbox: Vec<u8>,
    /// When it publishes next.
    publishes_at: Micros,
    /// How often it connects yet.
    lives: usize,
    wake: Option<Micros>,
}

impl Hoarder {
    /// One that has not connected yet.
    pub fn new(scene: &mut Scene, index: usize, (habit, pool): (Habit, usize)) -> Self {
        Self {
            index,
            pool,
            habit,
            draw: scene.draw.fork(),
            wire: None,
            conn: 0,
            outbox: Vec::new(),
            publishes_at: 0,
            lives: 3,
            wake: None,
        }
    }

    /// Sees to it that it acts.
    pub fn wake(&mut self, scene: &mut Scene, at: Micros) {
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            scene.agenda.add(at, Event::Hoarder(self.index));
        }
    }

    /// Acts.
    pub fn act(&mut self, scene: &mut Scene, workers: &mut [Worker]) {
        if self.wake.is_some_and(|wake| wake > scene.now) {
            return;
        }
        self.wake = None;
        if scene.phase != Phase::Faults {
            return;
        }
        if self.wire.is_none() {
            if self.lives == 0 {
                return;
            }
            self.connect(scene, workers);
        }
        self.write(scene);
        self.read(scene);
        if self.wire.is_none() {
            let at = scene.now + self.draw.micros(50_000, 500_000);
            return self.wake(scene, at);
        }
        let drips = matches!(self.habit, Habit::DripReader | Habit::DripUploader);
        if self.habit == Habit::Publisher
            && self.outbox.is_empty()
            && self.publishes_at <= scene.now
        {
            self.outbox = self.request(scene);
            self.publishes_at = scene.now + PUBLISH_GAP;
        }
        if drips || self.habit == Habit::Publisher {
            let at = scene.now + self.draw.micros(10_000, 50_000);
            self.wake(scene, at);
        }
    }

    fn connect(&mut self, scene: &mut Scene, workers: &mut [Worker]) {
        self.lives -= 1;
        self.conn = scene.ledger.connected(self.pool);
        let worker = self.draw.below(workers.len());
        let owner = Owner::Hoarder(self.index);
        self.wire = Some(workers[worker].accept(scene, (owner, WIRE), self.pool, None));
        scene.ledger.note(scene.now, || {
            let (index, habit, conn) = (self.index, self.habit, self.conn);
            format!("hoarder {index} ({habit:?}) connects to worker {worker} as {conn}")
        });
        self.outbox = match self.habit {
            Habit::Stranger => Vec::new(),
            _ => introduction(scene, self.pool),
        };
        let most = scene.plan.hoard.as_ref().map_or(0, |plan| plan.limit) as usize;
        // All together want several times what there is.
        let most = self.draw.within(most / 16, most / 2);
        let is_redis = scene.plan.pools[self.pool].config.protocol == Protocol::Redis;
        match self.habit {
            Habit::LongNames => {
                let name = vec![b'n'; 60 * 1024];
                for words in [
                    &["SETNAME"][..],
                    &["SETINFO", "LIB-NAME"],
                    &["SETINFO", "LIB-VER"],
                ] {
                    let mut args = vec![&b"CLIENT"[..]];
                    args.extend(words.iter().map(|word| word.as_bytes()));
                    args.push(&name);
                    self.outbox.extend(redis::request(&args));
                }
            }
            // It is gathered until it can be taken apart, or its turn comes.
            Habit::Stranger if is_redis => {
                let value = vec![b'v'; 16_000];
                let pair = [&b"hoard"[..], &value];
                let whole = redis::request(&[&[&b"MSET"[..]], &pair[..], &pair, &pair].concat());
                self.outbox.extend(&whole[..whole.len() - 10]);
            }
            Habit::HalfRequest if is_redis => {
                let value = vec![b'v'; (most / 8).min(scene.plan.limits.large_message as usize)];
                let args: Vec<&[u8]> = [&b"MSET"[..]]
                    .into_iter()
                    .chain((0..8).flat_map(|_| [&b"hoard"[..], &value]))
                    .collect();
                let whole = redis::request(&args);
                self.outbox.extend(&whole[..whole.len() - 10]);
            }
            Habit::HalfRequest | Habit::Stranger | Habit::DripUploader => {
                let value = vec![b'v'; most];
                let whole = match is_redis {
                    true => redis::request(&[b"SET", b"hoard", &value]),
                    false => memcache::set(b"hoard", &value, &[]),
                };
                self.outbox.extend(&whole[..whole.len() - 10]);
            }
            Habit::UnreadReplies => {
                let lists = redis::request(&[b"COMMAND", b"DOCS"]);
                self.outbox.extend(lists.repeat(20));
                self.outbox
                    .extend(redis::request(&[b"CLIENT", b"LIST"]).repeat(20));
            }
            Habit::HungSubscriber => {
                self.outbox.extend(redis::request(&[b"SUBSCRIBE", CHANNEL]));
            }
            Habit::Publisher => {}
            Habit::DripReader | Habit::WriteAll => {
                let size = self.draw.pick(&[1000, 20_000, 100_000]);
                for _ in 0..(most / size).max(1) {
                    let request = self.get(scene, size);
                    self.outbox.extend(request);
                }
            }
        }
    }

    /// What a publisher sends next.
    fn request(&mut self, scene: &Scene) -> Vec<u8> {
        let most = scene.plan.hoard.as_ref().map_or(0, |plan| plan.limit) as usize;
        let message = vec![b'm'; self.draw.within(1000, most / 64)];
        redis::request(&[b"PUBLISH", CHANNEL, &message])
    }

    fn get(&mut self, scene: &mut Scene, size: usize) -> Vec<u8> {
        let seq = scene.ledger.asked(self.conn);
        get(scene, self.pool, (self.conn, seq), size).0
    }

    fn write(&mut self, scene: &mut Scene) {
        let Some(wire) = self.wire else { return };
        let drips = self.habit == Habit::DripUploader && !self.outbox.len().is_multiple_of(4096);
        let most = if drips { DRIP } else { usize::MAX };
        let mut sent = 0;
        while sent < self.outbox.len().min(most) {
            let bytes = &self.outbox[sent..self.outbox.len().min(sent.saturating_add(most))];
            let end = (wire, End::Caller);
            match scene.net.write(scene.now, &mut scene.agenda, end, bytes) {
                Written::Taken(0) => break,
                Written::Taken(count) => sent += count,
                Written::Broken => return self.closed(scene),
            }
        }
        self.outbox.drain(..sent);
        if sent > 0 {
            scene.holdings.moved(self.index, scene.now);
        }
    }

    fn read(&mut self, scene: &mut Scene) {
        let Some(wire) = self.wire else { return };
        let mut space = [0; 16 * 1024];
        let most = match self.habit {
            Habit::LongNames | Habit::Publisher => space.len(),
            Habit::WriteAll if self.outbox.is_empty() => space.len(),
            Habit::DripReader if self.draw.one_in(2) => DRIP,
            _ => 0,
        };
        let end = (wire, End::Caller);
        if most == 0 {
            if scene.net.is_over(end) {
                self.closed(scene);
            }
            return;
        }
        loop {
            let space = &mut space[..most];
            match scene.net.read(scene.now, &mut scene.agenda, end, space) {
                Read::Bytes(_) => scene.holdings.moved(self.index, scene.now),
                Read::Nothing => return,
                Read::End | Read::Broken => return self.closed(scene),
            }
            if most == DRIP {
                return;
            }
        }
    }

    fn closed(&mut self, scene: &mut Scene) {
        scene
            .ledger
            .note(scene.now, || format!("hoarder {} was closed", self.index));
        self.leave(scene);
    }

    /// Leaves.
    pub fn leave(&mut self, scene: &mut Scene) {
        self.outbox = Vec::new();
        if let Some(wire) = self.wire.take() {
            scene
                .net
                .reset(scene.now, &mut scene.agenda, (wire, End::Caller));
        }
    }
}

/// How often a probe asks, and the time between.
const PROBES: u32 = 10;
const PROBE_GAP: Micros = 100_000;

/// A client that comes when the hoarders have gone, and asks until it is served.
#[derive(Debug)]
pub struct Probe {
    wire: WireId,
    conn: u32,
    heard: Vec<u8>,
    /// Replies of which it must have had the last.
    wanted: Vec<Vec<u8>>,
}

impl World {
    /// The hoarders leave, and a probe comes to each pool.
    pub(crate) fn relieve(&mut self) {
        let scene = &mut self.scene;
        if scene.plan.hoard.is_none() {
            return;
        }
        for hoarder in &mut self.hoarders {
            // Until now it may have been closed without knowing it.
            let end = hoarder.wire.map(|wire| (wire, End::Caller));
            if end.is_some_and(|end| !scene.net.is_over(end)) {
                scene.ledger.count(hoarder.habit.kept());
            }
            hoarder.leave(scene);
        }
        if scene.strikes(Plant::KeepMemory) {
            scene.holdings.keep();
        }
        for pool in 0..scene.plan.pools.len() {
            let worker = scene.draw.below(self.workers.len());
            let owner = Owner::Probe(pool);
            let wire = self.workers[worker].accept(scene, (owner, WIRE), pool, None);
            let bytes = introduction(scene, pool);
            write_all(scene, wire, &bytes);
            self.probes.push(Probe {
                wire,
                conn: scene.ledger.connected(pool),
                heard: Vec::new(),
                wanted: Vec::new(),
            });
            for number in 0..=PROBES {
                let at = scene.now + PROBE_GAP * Micros::from(number);
                scene.agenda.add(at, Event::Probe(pool));
            }
        }
    }

    /// A probe asks, or must have been served by now.
    pub(crate) fn probe(&mut self, pool: usize) {
        let (scene, probe) = (&mut self.scene, &mut self.probes[pool]);
        let end = (probe.wire, End::Caller);
        if probe.wanted.len() < PROBES as usize {
            let seq = scene.ledger.asked(probe.conn);
            let (request, reply) = get(scene, pool, (probe.conn, seq), 40);
            probe.wanted.push(reply);
            write_all(scene, probe.wire, &request);
            return;
        }
        let heard = &probe.heard;
        let has = |reply: &Vec<u8>| heard.windows(reply.len()).any(|part| part == reply);
        // The last one, that is: what came before may have found no room.
        if !probe.wanted.last().is_some_and(has) {
            let shown = String::from_utf8_lossy(&heard[..heard.len().min(100)]);
            let text = format!(
                "a client of pool {pool} is not served within a second after the hoarders have gone: \
                 {shown:?}"
            );
            scene.ledger.violate(scene.now, text);
        }
        scene.net.close(scene.now, &mut scene.agenda, end);
    }

    /// A probe reads.
    pub(crate) fn heard_by_probe(&mut self, pool: usize) {
        let (scene, probe) = (&mut self.scene, &mut self.probes[pool]);
        let end = (probe.wire, End::Caller);
        let mut space = [0; 1024];
        while let Read::Bytes(count) = scene
            .net
            .read(scene.now, &mut scene.agenda, end, &mut space)
        {
            probe.heard.extend_from_slice(&space[..count]);
        }
    }
}

/// Writes a few bytes: there is room for them.
fn write_all(scene: &mut Scene, wire: WireId, mut bytes: &[u8]) {
    let end = (wire, End::Caller);
    while let Written::Taken(count @ 1..) =
        scene.net.write(scene.now, &mut scene.agenda, end, bytes)
    {
        bytes = &bytes[count..];
    }
}

/// What a client of a pool must say before anything else.
fn introduction(scene: &Scene, pool: usize) -> Vec<u8> {
    let config = &scene.plan.pools[pool].config;
    if config.redis_auth.is_some() {
        redis::request(&[b"AUTH", PASSWORD])
    } else if config.memcached_auth.is_some() {
        memcache::set(b"auth", &[&b"user "[..], PASSWORD].concat(), &[])
    } else {
        Vec::new()
    }
}

/// A request for a value, and its reply.
fn get(scene: &Scene, pool: usize, (conn, seq): (u32, u32), size: usize) -> (Vec<u8>, Vec<u8>) {
    let echo = Echo {
        mark: Mark { conn, seq, part: 0 },
        shape: Shape::Value,
        size,
        count: 1,
    };
    let key = value::echo_key(echo, 0);
    match scene.plan.pools[pool].config.protocol {
        Protocol::Redis => (
            redis::request(&[b"GET", &key]),
            redis::reply_to(&key, redis::Version::Two),
        ),
        _ => (memcache::request(&[b"get", &key]), memcache::reply_to(&key)),
    }
}

#[test]
fn a_kind_of_hoarder_that_was_never_met_is_missed() {
    let mut totals = Totals::default();
    let all = Habit::REDIS.map(Habit::shed);
    assert_eq!(missing(&totals), all);
    totals.done.extend(all.map(|what| (what, 1)));
    assert_eq!(missing(&totals), Vec::<&str>::new());
    totals.done.remove(Habit::Stranger.shed());
    totals.done.remove(Habit::Publisher.shed());
    // It is enough that a publisher was served, and not that a stranger was.
    totals.done.insert(Habit::Stranger.kept(), 1);
    totals.done.insert(Habit::Publisher.kept(), 1);
    assert_eq!(missing(&totals), [Habit::Stranger.shed()]);
}
