//! A model client: asks, reads what comes, and misbehaves when its plan says so.
//!
//! What it asks stands in `asking`, how replies are judged in `judging`. This file is the connection:
//! pipelining, reading slowly or not at all, stopping half-way, leaving, and what a close may mean.

use std::collections::VecDeque;

use nutcrab::protocol::Protocol;

use crate::agenda::{Event, Micros};
use crate::draw::Draw;
use crate::identity::Identity;
use crate::judging::{Owned, Pending};
use crate::ledger::Fault;
use crate::muting::Wish;
use crate::network::{End, Owner, Read, WireId, Written};
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::sayings;
use crate::scanning::Iteration;
use crate::scene::{Phase, Scene};
use crate::scripts::Known;
use crate::sessions::Session;
use crate::worker::Worker;
use crate::{binary, memcache};

/// A client; it keeps its keys over all its connections.
#[derive(Debug)]
pub struct Client {
    /// Its place among all clients.
    pub index: usize,
    /// Its pool.
    pub pool: usize,
    pub(crate) draw: Draw,
    state: State,
    pub(crate) wire: WireId,
    pub(crate) worker: usize,
    /// The number of its connection.
    pub(crate) conn: u32,
    outbox: VecDeque<u8>,
    inbox: Vec<u8>,
    /// Bytes `inbox` must have before it is worth a look.
    need: usize,
    pub(crate) waiting: VecDeque<Pending>,
    pub(crate) owned: Vec<Owned>,
    /// What it has under way that is more than one request.
    pub(crate) session: Session,
    pub(crate) authed: bool,
    /// What it speaks on its connection.
    pub(crate) dialect: Protocol,
    /// In which version, if that is Redis.
    pub(crate) version: Version,
    /// Requests under way that may change that.
    pub(crate) shifts: usize,
    /// Its way through all keys, if it goes there.
    pub(crate) scan: Option<Iteration>,
    /// Scripts it may rely on.
    pub(crate) scripts: Known,
    /// Who it is on its connection.
    pub(crate) identity: Identity,
    /// Whether it wants replies.
    pub(crate) wish: Wish,
    /// Libraries of functions it may rely on.
    pub(crate) libraries: Known,
    /// Whether a server was too busy for it since it last had something ended.
    pub(crate) has_met_busy: bool,
    /// One of the requests before the next certain reply has failed, and nobody knows which.
    pub(crate) doubts: bool,
    /// Requests it will make in this phase.
    left: usize,
    /// Whether it has closed its side.
    halved: bool,
    depth: usize,
    think: Micros,
    /// It writes nothing before this.
    mute_until: Micros,
    /// It reads nothing before this.
    deaf_until: Micros,
    /// Whether it reads nothing while it has something to write.
    writes_first: bool,
    /// It does not connect again before this.
    away_until: Micros,
    /// Until then its own behaviour, or that of its wire, explains that the proxy breaks off.
    blame_until: Micros,
    asks_at: Micros,
    wake: Option<Micros>,
}

/// What a client is about to do with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has none.
    Away,
    /// Ask and read.
    Open,
    /// Close its side once all is written.
    Halving,
    /// It has closed its side, or said that it quits: read what is owed.
    Leaving,
    /// It has sent something that is no request: read why.
    Poisoned,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(scene: &mut Scene, index: usize, pool: usize) -> Self {
        let mut draw = scene.draw.fork();
        let plan = &scene.plan.pools[pool];
        Self {
            index,
            pool,
            state: State::Away,
            wire: 0,
            worker: 0,
            conn: 0,
            outbox: VecDeque::new(),
            inbox: Vec::new(),
            need: 0,
            waiting: VecDeque::new(),
            owned: (0..plan.owned)
                .map(|number| Owned::new(index, number, plan.config.protocol))
                .collect(),
            session: Session::default(),
            authed: false,
            dialect: plan.config.protocol,
            version: Version::default(),
            shifts: 0,
            scan: None,
            scripts: Known::new(),
            identity: Identity::new(&mut draw),
            wish: Wish::default(),
            libraries: Known::new(),
            has_met_busy: false,
            doubts: false,
            left: plan.requests,
            halved: false,
            depth: draw.pick(&[1, 1, 2, 8, 64]),
            think: draw.pick(&[0, 100, 5_000, 50_000]),
            mute_until: 0,
            deaf_until: 0,
            writes_first: draw.one_in(6),
            away_until: 0,
            blame_until: 0,
            asks_at: 0,
            wake: None,
            draw,
        }
    }

    /// Sees to it that it acts.
    pub fn wake(&mut self, scene: &mut Scene, at: Micros) {
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            scene.agenda.add(at, Event::Client(self.index));
        }
    }

    /// Something happened on its wire.
    pub fn stir(&mut self, scene: &mut Scene) {
        let at = scene.now + self.draw.micros(0, 20);
        self.wake(scene, at);
    }

    /// Acts.
    pub fn act(&mut self, scene: &mut Scene, workers: &mut [Worker]) {
        if self.wake.is_some_and(|wake| wake > scene.now) {
            return;
        }
        self.wake = None;
        if self.state == State::Away {
            if self.left == 0 || scene.phase == Phase::Calm || scene.phase >= Phase::Farewell {
                return;
            }
            if self.away_until > scene.now {
                return self.wake(scene, self.away_until);
            }
            self.connect(scene, workers);
        }
        self.behave(scene);
        self.ask(scene);
        if self.state != State::Away {
            self.write(scene);
        }
        if self.state != State::Away {
            self.read(scene);
        }
        self.plan_next(scene);
    }

    fn connect(&mut self, scene: &mut Scene, workers: &mut [Worker]) {
        let fewest = (0..workers.len())
            .min_by_key(|&index| workers[index].clients)
            .unwrap_or(0);
        self.worker = if self.draw.one_in(4) {
            self.draw.below(workers.len())
        } else {
            fewest
        };
        self.conn = scene.ledger.connected(self.pool);
        self.identity.connect(self.conn);
        self.wish = Wish::default();
        let peer = self.identity.peer;
        let party = (Owner::Client(self.index), scene.plan.client_wire);
        self.wire = workers[self.worker].accept(scene, party, self.pool, peer);
        self.state = State::Open;
        self.halved = false;
        let config = &scene.plan.pools[self.pool].config;
        self.authed = config.redis_auth.is_none() && config.memcached_auth.is_none();
        self.doubts = false;
        (self.version, self.shifts) = (Version::default(), 0);
        self.scripts.clear();
        if config.protocol == Protocol::Memcache {
            let dialects = [Protocol::Memcache, Protocol::Memcache, Protocol::Binary];
            self.dialect = self.draw.pick(&dialects);
        }
        (self.mute_until, self.deaf_until, self.blame_until) = (0, 0, 0);
        self.asks_at = scene.now;
        scene.ledger.note(scene.now, || {
            format!(
                "client {} connects to worker {} as {}",
                self.index, self.worker, self.conn
            )
        });
    }

    /// Draws what goes wrong with it next.
    fn behave(&mut self, scene: &mut Scene) {
        if scene.phase != Phase::Faults || self.state != State::Open {
            return;
        }
        let plan = std::rc::Rc::clone(&scene.plan);
        if plan.has(Fault::SlowReader) && self.deaf_until <= scene.now && self.draw.permille(5) {
            let span = self.draw.pick(&[30_000, 300_000, 5_000_000]);
            self.deaf_until = scene.now + self.draw.micros(span / 10, span);
            // That explains nothing: it is to be served all the same.
            let (now, until) = (scene.now, self.deaf_until);
            scene
                .ledger
                .strike(now, self.pool, Fault::SlowReader, until);
            if scene.strikes(Plant::CutSlow) {
                let end = (self.wire, End::Called);
                scene.net.reset(scene.now, &mut scene.agenda, end);
                // Otherwise it might not see that before the phase ends.
                self.deaf_until = scene.now;
            }
        }
        if plan.has(Fault::StalledRequest)
            && !self.outbox.is_empty()
            && self.mute_until <= scene.now
            && self.draw.permille(30)
        {
            let stall = plan.limits.upload_stall.as_micros() as Micros;
            self.mute_until = scene.now + self.draw.micros(1000, 2 * stall.min(1_000_000));
            self.blame(scene, Fault::StalledRequest, self.mute_until);
        }
        if plan.has(Fault::Vanish) && self.draw.permille(5) {
            scene
                .ledger
                .strike(scene.now, self.pool, Fault::Vanish, scene.now);
            let end = (self.wire, End::Caller);
            if self.draw.one_in(2) {
                scene.net.reset(scene.now, &mut scene.agenda, end);
            } else {
                scene.net.close(scene.now, &mut scene.agenda, end);
            }
            self.leave(scene);
        }
    }

    /// From now until `until` something about this client may keep the proxy from serving it.
    pub fn blame(&mut self, scene: &mut Scene, fault: Fault, until: Micros) {
        scene.ledger.strike(scene.now, self.pool, fault, until);
        self.blame_until = self.blame_until.max(until + scene.ledger.slack());
    }

    /// The connection is no more. What it was owed it will never know.
    fn leave(&mut self, scene: &mut Scene) {
        let waiting = std::mem::take(&mut self.waiting);
        for pending in &waiting {
            self.give_up(scene, pending);
        }
        self.leave_session(&waiting);
        self.end_scan(scene);
        scene.ledger.roster.part(self.conn);
        self.outbox.clear();
        self.inbox.clear();
        self.need = 0;
        self.state = State::Away;
        self.away_until = scene.now + self.draw.pick(&[0, 10, 1000, 50_000]);
        scene
            .ledger
            .note(scene.now, || format!("client {} is away", self.index));
    }

    /// Makes requests, if it is time.
    fn ask(&mut self, scene: &mut Scene) {
        let asks = scene.phase == Phase::Faults || scene.phase == Phase::Fresh;
        if self.state != State::Open || !asks || self.asks_at > scene.now {
            return;
        }
        let depth = if scene.phase == Phase::Fresh {
            self.depth.min(4)
        } else {
            self.depth
        };
        let room = depth.saturating_sub(self.owed()).min(self.left);
        if room == 0 || self.must_wait_for_page() {
            return;
        }
        for _ in 0..self.draw.within(1, room) {
            if self.must_wait_for_page() {
                break;
            }
            self.left -= 1;
            let (bytes, mut wanted) = self.compose(scene);
            for want in &mut wanted {
                want.asked = scene.now;
                scene.ledger.detail(scene.now, || {
                    let (index, conn, seq) = (self.index, self.conn, want.seq);
                    format!(
                        "client {index} asks {conn}.{seq}, {} bytes: {}",
                        bytes.len(),
                        want.want.shown()
                    )
                });
            }
            self.outbox.extend(bytes);
            self.waiting.extend(wanted);
            if self.identity.is_ending {
                self.state = State::Leaving;
                scene.ledger.roster.part(self.conn);
                break;
            }
            let last = scene.plan.pools[self.pool].last;
            if self.authed && scene.phase == Phase::Faults && self.draw.permille(last) {
                self.finish(scene);
                break;
            }
        }
        self.asks_at = scene.now + self.draw.micros(0, self.think);
    }

    /// Does something after which it will ask nothing more on this connection.
    fn finish(&mut self, scene: &mut Scene) {
        scene.ledger.roster.part(self.conn);
        // memcached says nothing to a client that quits in a line.
        let quits = self.dialect != Protocol::Memcache;
        self.state = match self.draw.below(3) {
            0 => State::Halving,
            1 if quits => {
                let (bytes, wanted) = self.compose_quit(scene);
                self.outbox.extend(bytes);
                self.waiting.extend(wanted);
                State::Leaving
            }
            _ => {
                let (bytes, want) = self.compose_garbage(scene);
                self.outbox.extend(bytes);
                self.waiting.push_back(want);
                State::Poisoned
            }
        };
    }

    fn write(&mut self, scene: &mut Scene) {
        let end = (self.wire, End::Caller);
        while !self.outbox.is_empty() && self.mute_until <= scene.now {
            let bytes = self.outbox.make_contiguous();
            match scene.net.write(scene.now, &mut scene.agenda, end, bytes) {
                Written::Taken(0) => return,
                Written::Taken(count) => {
                    self.outbox.drain(..count);
                }
                // Reading finds out, after what may still be there.
                Written::Broken => {
                    self.outbox.clear();
                    return;
                }
            }
        }
        if self.outbox.is_empty() && self.state == State::Halving {
            scene.net.shut(scene.now, &mut scene.agenda, end);
            self.state = State::Leaving;
            self.halved = true;
        }
    }

    fn read(&mut self, scene: &mut Scene) {
        // Behind what is no request nothing is taken before the replies ahead of it are.
        let is_writing = self.writes_first
            && self.authed
            && self.state != State::Poisoned
            && !self.outbox.is_empty();
        if self.deaf_until > scene.now || is_writing {
            return;
        }
        let mut buffer = [0; 16 * 1024];
        let end = (self.wire, End::Caller);
        loop {
            match scene
                .net
                .read(scene.now, &mut scene.agenda, end, &mut buffer)
            {
                Read::Bytes(count) => {
                    self.inbox.extend_from_slice(&buffer[..count]);
                    self.judge_all(scene);
                    if scene.ledger.violation.is_some() {
                        return;
                    }
                }
                Read::Nothing => return,
                Read::End => return self.ended(scene),
                Read::Broken => return self.broken(scene),
            }
        }
    }

    /// Takes whole replies off the inbox, each for the oldest request.
    fn judge_all(&mut self, scene: &mut Scene) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut used = 0;
        while used < inbox.len() && inbox.len() - used >= self.need {
            self.need = 0;
            self.plant_version(scene, &mut inbox, used);
            self.plant_muting(scene, &mut inbox, used);
            self.plant_count(scene, &mut inbox, used);
            let rest = &inbox[used..];
            let saying = self.saying_of_next(scene);
            let mut need = 0;
            let read = match self.dialect {
                _ if let Some(said) = saying.filter(|said| sayings::begin_alike(said, rest)) => {
                    let whole = rest.get(..said.len());
                    let read = whole.map(|whole| (Reply::Typed(b'=', whole), whole.len(), None));
                    need = sayings::least(&said, rest);
                    Ok(read)
                }
                Protocol::Redis => redis::read_reply(rest, self.version_of_next(scene))
                    .map(|read| read.map(|(reply, len)| (reply, len, None))),
                Protocol::Memcache => memcache::read_reply(rest),
                Protocol::Binary => binary::read_reply(rest)
                    .map(|read| read.map(|(reply, len, opaque)| (reply, len, Some(opaque)))),
            };
            let (reply, len, opaque) = match read {
                Ok(Some(found)) => found,
                Ok(None) => {
                    if self.dialect == Protocol::Redis {
                        self.need = need.max(redis::reply_least(rest));
                    }
                    break;
                }
                Err(bad) => {
                    let shown = String::from_utf8_lossy(&rest[..rest.len().min(60)]);
                    let text = format!("client {} was sent no reply: {bad}: {shown:?}", self.index);
                    return scene.ledger.violate(scene.now, text);
                }
            };
            if self.heard(scene, &reply) {
                used += len;
                continue;
            }
            let Some(pending) = self.addressee(scene, &reply, opaque) else {
                let text = format!("client {} is owed nothing and got {reply:?}", self.index);
                return scene.ledger.violate(scene.now, text);
            };
            scene.ledger.totals.replies += 1;
            scene.ledger.detail(scene.now, || {
                format!(
                    "client {} gets {}.{}, {len} bytes",
                    self.index, self.conn, pending.seq
                )
            });
            self.judge(scene, &pending, &reply, &rest[..len]);
            used += len;
        }
        self.inbox = inbox;
        self.inbox.drain(..used);
    }

    /// The proxy sends no more.
    fn ended(&mut self, scene: &mut Scene) {
        let drained = scene.phase >= Phase::Farewell;
        let is_killed = scene.ledger.roster.is_aimed_at(self.conn);
        let wrong = if !self.inbox.is_empty() {
            Some("within a reply")
        } else if drained || is_killed || self.halved && self.is_waiting() {
            None
        } else if self.owed() > 0 {
            Some("with replies owed")
        } else if self.state == State::Open {
            Some("without a reason")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let (index, owed) = (self.index, self.owed());
            let text = format!(
                "client {index} ({:?}) was closed {wrong} ({owed})",
                self.state
            );
            scene.ledger.violate(scene.now, text);
        }
        scene
            .net
            .close(scene.now, &mut scene.agenda, (self.wire, End::Caller));
        self.leave(scene);
    }

    /// The wire is broken.
    fn broken(&mut self, scene: &mut Scene) {
        let explained = scene.now <= self.blame_until
            || scene.holdings.was_shed(self.wire)
            || scene.ledger.roster.is_aimed_at(self.conn)
            || scene
                .ledger
                .is_explained(scene.now, self.pool, &Fault::OF_SERVERS)
            || scene
                .ledger
                .is_explained(scene.now, self.pool, &[Fault::Overload])
                && scene.ledger.was_told(scene.now, self.pool)
            || scene.ledger.has_yielded(scene.now, self.pool)
            || scene.phase >= Phase::Farewell;
        if !explained {
            let text = format!("client {} ({:?}) was cut off", self.index, self.state);
            scene.ledger.violate(scene.now, text);
        }
        scene
            .net
            .close(scene.now, &mut scene.agenda, (self.wire, End::Caller));
        self.leave(scene);
    }

    fn plan_next(&mut self, scene: &mut Scene) {
        if self.state == State::Away {
            if self.left > 0 {
                self.wake(scene, self.away_until.max(scene.now));
            }
            return;
        }
        let later = |at: Micros| (at > scene.now).then_some(at);
        let may_ask = self.left > 0 && self.owed() < self.depth && !self.must_wait_for_page();
        let asks = may_ask && self.state == State::Open;
        let times = [
            later(self.deaf_until),
            later(self.mute_until),
            asks.then(|| self.asks_at.max(scene.now + 1)),
        ];
        if let Some(at) = times.into_iter().flatten().min() {
            self.wake(scene, at);
        }
    }

    /// Faults stop: it reads and writes as a client should.
    pub fn calm(&mut self, scene: &mut Scene) {
        self.left = 0;
        (self.mute_until, self.deaf_until) = (0, 0);
        self.stir(scene);
    }

    /// It may ask again: so many requests.
    pub fn refresh(&mut self, scene: &mut Scene, requests: usize) {
        self.left = requests;
        self.away_until = 0;
        self.asks_at = 0;
        self.stir(scene);
    }

    /// It may make so many requests more.
    pub(crate) fn grant(&mut self, requests: usize) {
        self.left += requests;
    }

    /// Whether it can make no request but those it needs for what it has begun.
    pub(crate) fn is_short_of_requests(&self) -> bool {
        self.left <= 1
    }

    /// It leaves for good, in one way or another.
    pub fn farewell(&mut self, scene: &mut Scene) {
        let end = (self.wire, End::Caller);
        if self.state == State::Open {
            match self.draw.below(3) {
                0 => scene.net.close(scene.now, &mut scene.agenda, end),
                1 => scene.net.reset(scene.now, &mut scene.agenda, end),
                _ => {
                    self.state = State::Halving;
                    return self.stir(scene);
                }
            }
            self.leave(scene);
        }
    }

    /// Whether it will ask more on its connection.
    pub(crate) fn means_to_stay(&self) -> bool {
        self.state == State::Open
    }

    /// What it is still there for, though it was closed.
    pub fn survival(&self, scene: &Scene) -> Option<String> {
        let is_there = self.state != State::Away;
        let is_over = self.identity.is_ending || scene.ledger.roster.is_over(self.conn);
        let text = || format!("client {} was killed and is there", self.index);
        (is_there && is_over).then(text)
    }

    /// The wire it is on, unless it is away.
    pub fn wire(&self) -> Option<WireId> {
        (self.state != State::Away).then_some(self.wire)
    }

    /// Why it is not satisfied: what it is owed, or what it could not even ask.
    pub fn complaint(&self) -> Option<String> {
        let owed = self.owed();
        let text = || {
            format!(
                "client {} ({:?}, connection {}, worker {}) is owed {owed} replies, first {:?}, \
                 {} requests left",
                self.index,
                self.state,
                self.conn,
                self.worker,
                self.waiting.front(),
                self.left
            )
        };
        (owed > 0 || self.left > 0).then(text)
    }
}
