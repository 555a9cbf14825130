//! A model server: accepts connections, executes what it reads in order, and misbehaves when told to.
//!
//! What it reads must be exactly what a careful client would send: canonical requests, the password
//! and the database first, values whole. Anything else is a violation, whoever caused it.

use std::collections::VecDeque;

use nutcrab::protocol::Protocol;

use crate::agenda::{Event, Micros};
use crate::binary;
use crate::busy::Runs;
use crate::draw::Draw;
use crate::held::{self, Changes, Held, Step};
use crate::ledger::Fault;
use crate::memcache;
use crate::network::{End, Owner, Read, WireId, Written};
use crate::plant::Plant;
use crate::redis::{self, Command, Version};
use crate::sayings;
use crate::scene::Scene;
use crate::scripts;
use crate::store::{Outcome, Store};
use crate::value::{self, Mark};

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It serves.
    Up,
    /// It refuses connections.
    Refusing,
    /// Attempts to connect find no end.
    Silent,
    /// Attempts to connect fail otherwise.
    Unreachable,
    /// It accepts and does nothing.
    Stopped,
    /// It answers that it is loading.
    Loading,
    /// It runs something, and answers little else.
    Busy(Runs),
}

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Its place among all servers.
    pub index: usize,
    /// Its pool.
    pub pool: usize,
    /// Its place in the pool.
    pub number: usize,
    /// How it is.
    pub mood: Mood,
    /// The fault behind the mood, and until when.
    pub spell: Option<(Fault, Micros)>,
    /// Whether it refuses the pool's password.
    pub locked: bool,
    pub(crate) conns: Vec<Option<Conn>>,
    /// What was executed last on a connection that is no more, where that may be planted again.
    orphan: Option<Vec<Vec<u8>>>,
    pub(crate) store: Store,
    pub(crate) changes: Changes,
    pub(crate) draw: Draw,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) wire: WireId,
    /// What the server calls it.
    pub(crate) number: u64,
    /// What is spoken on it; memcached finds out by the first byte.
    pub(crate) protocol: Protocol,
    /// Which version, if that is Redis.
    pub(crate) version: Version,
    pub(crate) input: Vec<u8>,
    /// Bytes `input` must have before it is worth a look.
    pub(crate) need: usize,
    pub(crate) out: VecDeque<u8>,
    /// Nothing was read yet.
    pub(crate) fresh: bool,
    pub(crate) authed: bool,
    pub(crate) selected: bool,
    pub(crate) held: Held,
    /// Whether it is one for what overtakes all else, by what was asked on it.
    pub(crate) apart: Option<bool>,
    /// Nothing more is read or answered.
    pub(crate) mute: bool,
    /// It closes once `out` is written.
    pub(crate) closing: bool,
    /// The request at hand was answered before it was whole.
    pub(crate) answered_early: bool,
    /// It does nothing before this.
    pub(crate) busy_until: Micros,
    pub(crate) wake: Option<Micros>,
    /// Faults to be ended when the connection does, or is busy no more.
    pub(crate) open: Vec<Fault>,
    /// What was executed last, where that may be planted again.
    last: Option<Vec<Vec<u8>>>,
    /// Replies that were not put into `out` yet, each with the connection that asked.
    pub(crate) batch: Vec<(Option<u32>, Vec<u8>)>,
}

impl Server {
    /// A server without connections and data.
    pub fn new(index: usize, pool: usize, number: usize, draw: Draw) -> Self {
        Self {
            index,
            pool,
            number,
            mood: Mood::Up,
            spell: None,
            locked: false,
            conns: Vec::new(),
            orphan: None,
            store: Store {
                server: index,
                ..Store::default()
            },
            changes: Changes::new(),
            draw,
        }
    }

    /// Takes a connection from a worker's socket and gives its wire.
    pub fn accept(&mut self, scene: &mut Scene, caller: Owner) -> WireId {
        let called = Owner::Server(self.index, self.conns.len());
        let wire = scene.net.open(caller, called, scene.plan.server_wire);
        self.conns.push(Some(Conn {
            wire,
            number: self.conns.len() as u64 + 1,
            protocol: self.protocol(scene),
            version: Version::default(),
            input: Vec::new(),
            need: 0,
            out: VecDeque::new(),
            fresh: true,
            authed: !scene.plan.pools[self.pool].guarded,
            selected: scene.plan.pools[self.pool].config.redis_db == 0,
            held: Held::default(),
            apart: None,
            mute: false,
            closing: false,
            answered_early: false,
            busy_until: 0,
            wake: None,
            open: Vec::new(),
            last: None,
            batch: Vec::new(),
        }));
        wire
    }

    /// Sees to it that the connection is looked at.
    pub fn wake(&mut self, scene: &mut Scene, conn: usize, at: Micros) {
        if let Some(known) = &mut self.conns[conn]
            && known.wake.is_none_or(|wake| at < wake)
        {
            known.wake = Some(at);
            scene.agenda.add(at, Event::Server(self.index, conn));
        }
    }

    /// Something happened on a connection: it is looked at within the time the server takes.
    pub fn stir(&mut self, scene: &mut Scene, conn: usize) {
        let at = scene.now + self.draw.micros(0, scene.plan.service);
        self.wake(scene, conn, at);
    }

    /// Looks at a connection.
    pub fn act(&mut self, scene: &mut Scene, index: usize) {
        let Some(mut conn) = self.conns[index].take() else {
            return;
        };
        if conn.wake.is_some_and(|wake| wake > scene.now) {
            self.conns[index] = Some(conn);
            return;
        }
        conn.wake = None;
        if self.mood == Mood::Stopped {
            self.conns[index] = Some(conn);
            return;
        }
        let lives = self.read(scene, &mut conn)
            && self.answer(scene, &mut conn)
            && self.write(scene, &mut conn);
        if lives {
            let waits = conn.held.waiting.as_ref().map_or(0, |waiting| waiting.0);
            let again = conn.busy_until.max(waits);
            let again = (again > scene.now).then_some(again);
            self.conns[index] = Some(conn);
            if let Some(at) = again {
                self.wake(scene, index, at);
            }
        } else {
            self.forget(scene, conn);
        }
    }

    fn forget(&mut self, scene: &mut Scene, conn: Conn) {
        self.orphan = conn.last;
        for fault in conn.open {
            scene.ledger.end(scene.now, self.pool, fault);
        }
    }

    /// Reads what is there; says whether the connection lives.
    fn read(&mut self, scene: &mut Scene, conn: &mut Conn) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            let end = (conn.wire, End::Called);
            match scene
                .net
                .read(scene.now, &mut scene.agenda, end, &mut buffer)
            {
                Read::Bytes(count) if conn.mute || conn.closing => {
                    let _ = count;
                }
                Read::Bytes(count) => {
                    let bytes = &buffer[..count];
                    if conn.fresh && conn.protocol == Protocol::Memcache && binary::opens(bytes) {
                        conn.protocol = Protocol::Binary;
                    }
                    conn.fresh = false;
                    conn.input.extend_from_slice(bytes);
                }
                Read::Nothing => return true,
                Read::End | Read::Broken => {
                    // What was read before is executed all the same; nobody hears of it.
                    // A command that waits is given up.
                    if !conn.mute && !conn.closing && conn.held.waiting.is_none() {
                        conn.busy_until = 0;
                        self.answer(scene, conn);
                    }
                    scene.net.close(scene.now, &mut scene.agenda, end);
                    return false;
                }
            }
        }
    }

    /// Executes what was read; says whether the connection lives.
    fn answer(&mut self, scene: &mut Scene, conn: &mut Conn) -> bool {
        if conn.busy_until <= scene.now {
            for fault in conn.open.extract_if(.., |fault| *fault == Fault::Delay) {
                scene.ledger.end(scene.now, self.pool, fault);
            }
        }
        if conn.busy_until <= scene.now
            && !conn.mute
            && !conn.closing
            && let Some((_, args)) = conn.held.waiting.take_if(|waiting| waiting.0 <= scene.now)
            && !self.execute(scene, conn, &args)
        {
            return false;
        }
        let mut used = 0;
        let serves = |conn: &Conn, now| {
            conn.busy_until <= now && !conn.mute && !conn.closing && conn.held.waiting.is_none()
        };
        while serves(conn, scene.now) {
            if conn.input.len() - used < conn.need {
                break;
            }
            conn.need = 0;
            let read = match conn.protocol {
                Protocol::Redis => redis::read_command,
                Protocol::Memcache => memcache::read_command,
                Protocol::Binary => binary::read_command,
            };
            match read(&conn.input[used..]) {
                Ok(Command::Whole(args, len)) => {
                    used += len;
                    if std::mem::take(&mut conn.answered_early) {
                        continue;
                    }
                    if !self.command(scene, conn, &args) {
                        return false;
                    }
                }
                Ok(Command::More(missing)) => {
                    conn.need = conn.input.len() - used + missing;
                    if missing > 8 * 1024 && !conn.answered_early {
                        self.answer_early(scene, conn, used);
                    }
                    break;
                }
                Err(bad) => {
                    let text = format!("server {} received {bad}", self.index);
                    scene.ledger.violate(scene.now, text);
                    return false;
                }
            }
        }
        conn.input.drain(..used);
        scene.plant_in_replies(&mut conn.batch);
        for (_, reply) in conn.batch.drain(..) {
            conn.out.extend(reply);
        }
        true
    }

    /// One command; says whether the connection lives.
    fn command(&mut self, scene: &mut Scene, conn: &mut Conn, args: &[Vec<u8>]) -> bool {
        if let Some(reply) = self.greet(scene, conn, args) {
            conn.batch.push((None, reply));
            return true;
        }
        if conn.protocol != Protocol::Redis {
            return self.execute(scene, conn, args);
        }
        if let Some(reply) = self.refuse_busy(scene, conn, args) {
            return self.give(scene, conn, None, reply);
        }
        if conn.version == Version::Three && self.draw.permille(20) {
            // On a connection that clients share nobody has asked for it, and nobody may hear of it.
            conn.batch.push((None, sayings::push(&mut self.draw)));
        }
        if let Some(reply) = self.about_connections(scene, conn, args) {
            return self.give(scene, conn, None, reply);
        }
        let loads = self.mood == Mood::Loading;
        let no_multi = scene.plan.pools[self.pool].no_multi;
        let refuses = no_multi.is_some_and(|from| from <= scene.now);
        if refuses && conn.held.took_multi && args[0].eq_ignore_ascii_case(b"MULTI") {
            let (now, pool) = (scene.now, self.pool);
            scene.ledger.strike(now, pool, Fault::Revoked, now);
        }
        match conn
            .held
            .hear(args, conn.version, &self.changes, loads, refuses)
        {
            Step::Execute => self.execute(scene, conn, args),
            Step::Reply(reply) if loads => {
                conn.batch.push((None, reply.to_vec()));
                true
            }
            Step::Reply(reply) => self.give(scene, conn, None, reply.to_vec()),
            Step::Say(reply) => self.give(scene, conn, None, reply),
            Step::Publish => self.publish(scene, conn, args),
            Step::All(parts) => self.execute_all(scene, conn, &parts),
            Step::Wait => {
                let until = scene.now + 1 + held::span(args);
                let index = self.index;
                scene.ledger.detail(scene.now, || {
                    format!("server {index} waits until {until} on wire {}", conn.wire)
                });
                conn.held.waiting = Some((until, args.to_vec()));
                true
            }
            Step::Wrong(what) => {
                let text = format!("server {} was sent {what}", self.index);
                scene.ledger.violate(scene.now, text);
                false
            }
        }
    }

    /// PUBLISH; says whether the connection lives.
    fn publish(&mut self, scene: &mut Scene, conn: &mut Conn, args: &[Vec<u8>]) -> bool {
        let Some(count) = self.tell_all(scene, args) else {
            scene.ledger.violate(scene.now, "a strange PUBLISH");
            return false;
        };
        self.give(scene, conn, None, format!(":{count}\r\n").into_bytes())
    }

    /// Tells what is published to all who listen, and how many they are.
    fn tell_all(&mut self, scene: &mut Scene, args: &[Vec<u8>]) -> Option<usize> {
        let [command, channel, text] = args else {
            return None;
        };
        if let Some(mark) = value::check(channel, text) {
            scene
                .ledger
                .executed(scene.now, self.pool, self.index, mark);
        }
        let kind = match command.eq_ignore_ascii_case(b"SPUBLISH") {
            true => held::Kind::Shard,
            false => held::Kind::Channel,
        };
        let mut count = 0;
        for index in 0..self.conns.len() {
            let listener = self.conns[index].as_mut();
            let Some(listener) = listener.filter(|conn| !conn.mute && !conn.closing) else {
                continue;
            };
            let (told, messages) = listener.held.tell(kind, channel, text);
            if told > 0 {
                count += told;
                let twice = scene.strikes(Plant::TellTwice);
                listener.out.extend(messages.repeat(1 + usize::from(twice)));
                self.wake(scene, index, scene.now);
            }
        }
        Some(count)
    }

    /// What a transaction comes to; says whether the connection lives.
    fn execute_all(&mut self, scene: &mut Scene, conn: &mut Conn, parts: &[Vec<Vec<u8>>]) -> bool {
        let mut reply = format!("*{}\r\n", parts.len()).into_bytes();
        let mut asker = None;
        for args in parts {
            let count = match held::publishes(args) {
                true => self.tell_all(scene, args),
                false => held::is_in_place(args).then_some(0),
            };
            if let Some(count) = count {
                reply.extend(format!(":{count}\r\n").into_bytes());
                continue;
            }
            let Some(outcome) = self.outcome(scene, conn, args) else {
                return false;
            };
            // Of a count its client cannot know that it is not its own.
            let known = outcome.marks.first().filter(|_| outcome.counted.is_none());
            asker = known.map(|mark| mark.conn);
            reply.extend(outcome.reply);
        }
        self.give(scene, conn, asker, reply)
    }

    /// Executes a command and gives the reply; says whether the connection lives.
    fn execute(&mut self, scene: &mut Scene, conn: &mut Conn, args: &[Vec<u8>]) -> bool {
        if conn.last.is_none()
            && let Some(sent) = self.orphan.take()
            && scene.strikes(Plant::SendTwice)
        {
            // Its reply makes no difference.
            self.outcome(scene, conn, &sent);
        }
        let Some(Outcome {
            mut reply,
            marks,
            is_fragment,
            is_share,
            ..
        }) = self.outcome(scene, conn, args)
        else {
            return false;
        };
        if is_fragment && self.misbehaves(scene, Fault::Misfit) {
            scene
                .ledger
                .strike(scene.now, self.pool, Fault::Misfit, scene.now);
            const WRONG: [&[u8]; 3] = [b"-ERR misfit\r\n", b"$3\r\nfit\r\n", b"*-1\r\n"];
            reply = match conn.protocol {
                Protocol::Redis => self.draw.pick(&WRONG).to_vec(),
                _ => memcache::misfit(&reply, self.draw.below(7)),
            };
            if !reply.starts_with(b"-") && !reply.starts_with(b"SERVER_ERROR") {
                // It may cost the connection.
                scene
                    .ledger
                    .strike(scene.now, self.pool, Fault::Foreign, scene.now);
            }
        } else if self.misbehaves(scene, Fault::Foreign)
            && let Some(foreign) = self.foreign(conn, args, &reply)
        {
            scene
                .ledger
                .strike(scene.now, self.pool, Fault::Foreign, scene.now);
            reply = foreign;
        }
        let asker = marks.first().map(|mark| mark.conn);
        if !marks.is_empty() && scene.plant == Some(Plant::SendTwice) {
            conn.last = Some(args.to_vec());
        }
        // What becomes of a share that nobody looks at is not seen.
        let asker = asker.filter(|_| !reply.is_empty() && !is_share);
        self.give(scene, conn, asker, reply)
    }

    /// Executes a command, and enters that into the book.
    fn outcome(&mut self, scene: &mut Scene, conn: &Conn, args: &[Vec<u8>]) -> Option<Outcome> {
        let mut outcome = match match conn.protocol {
            Protocol::Redis => self.execute_redis(scene, args, conn.version),
            Protocol::Memcache => memcache::execute(&mut self.store, args),
            Protocol::Binary => binary::execute(&mut self.store, args),
        } {
            Ok(outcome) => outcome,
            Err(bad) => {
                let text = format!("server {} was sent {bad}", self.index);
                scene.ledger.violate(scene.now, text);
                return None;
            }
        };
        let of = |mark: &Mark| (mark.conn, mark.seq);
        let mut pairs = outcome.marks.windows(2);
        if conn.protocol == Protocol::Memcache && pairs.any(|two| of(&two[0]) != of(&two[1])) {
            scene.ledger.count(memcache::BUNDLED);
            let pool = &scene.plan.pools[self.pool];
            let roomy = scene.plan.limits.window > 256 * 1024 && pool.ordinary <= 1000;
            let in_time = !scene.plan.is_heavy() && scene.plan.hoard.is_none();
            if roomy && in_time && self.draw.one_in(2) {
                outcome.reply = memcache::turned_round(&outcome.reply);
            }
        }
        held::count_changes(args, &mut self.changes);
        self.note_keys(scene, args);
        self.plant_in_page(scene, &mut outcome);
        if outcome.is_missed {
            scene.ledger.count("scripts loaded when they were missed");
        }
        if outcome.has_flushed {
            scene.ledger.shelves[self.pool].flush(scene.now);
        }
        if outcome.is_scripted && scene.strikes(Plant::OtherScript) {
            scripts::mix_up(&mut outcome.reply);
        }
        scene.plant_in_outcome(args, &mut outcome);
        scene.plant_in_muted(&mut outcome);
        scene.plant_in_saying(args, &mut outcome);
        scene.plant_blame(self.pool, args);
        if let Some(mark) = outcome.everywhere {
            let part = self.number as u32;
            outcome.marks.push(value::Mark { part, ..mark });
        }
        for mark in &outcome.marks {
            scene
                .ledger
                .executed(scene.now, self.pool, self.index, *mark);
        }
        if let Some(counter) = outcome.counted {
            // Elsewhere an increment that failed could make up for it.
            let all_succeed = !scene.plan.is_heavy();
            let times = if all_succeed && scene.strikes(Plant::CountTwice) {
                2
            } else {
                1
            };
            scene.ledger.tally(self.pool, counter).made += times;
        }
        Some(outcome)
    }

    fn execute_redis(
        &mut self,
        scene: &mut Scene,
        args: &[Vec<u8>],
        version: Version,
    ) -> Result<Outcome, String> {
        if let Some(outcome) = self.execute_function(scene, args, version) {
            return outcome;
        }
        match self.execute_for_all(scene, args, version) {
            Some(outcome) => Ok(outcome),
            None => self.store.execute(args, version),
        }
    }

    fn protocol(&self, scene: &Scene) -> Protocol {
        scene.plan.pools[self.pool].config.protocol
    }

    /// Writes what there is room for; says whether the connection lives.
    fn write(&mut self, scene: &mut Scene, conn: &mut Conn) -> bool {
        let end = (conn.wire, End::Called);
        while !conn.out.is_empty() {
            let bytes = conn.out.make_contiguous();
            match scene.net.write(scene.now, &mut scene.agenda, end, bytes) {
                Written::Taken(0) => return true,
                Written::Taken(count) => {
                    conn.out.drain(..count);
                }
                Written::Broken => return true,
            }
        }
        if conn.closing {
            scene.net.close(scene.now, &mut scene.agenda, end);
        }
        !conn.closing
    }

    /// Ends every connection, as a process does that ends.
    pub fn drop_all(&mut self, scene: &mut Scene) {
        for index in 0..self.conns.len() {
            let Some(conn) = self.conns[index].take() else {
                continue;
            };
            let end = (conn.wire, End::Called);
            if self.draw.one_in(2) {
                scene.net.reset(scene.now, &mut scene.agenda, end);
            } else {
                scene.net.close(scene.now, &mut scene.agenda, end);
            }
            self.forget(scene, conn);
        }
    }

    /// Forgets all scripts.
    pub fn lose_scripts(&mut self) {
        self.store.scripts.clear();
    }

    /// Forgets all data.
    pub fn lose_data(&mut self, scene: &mut Scene) {
        scene.ledger.presence[self.pool].clear(self.number, scene.now);
        self.store.values.clear();
        self.store.counters.clear();
    }

    /// Ends what a fault has left behind: connections that would be silent for ever.
    pub fn calm(&mut self, scene: &mut Scene) {
        self.locked = false;
        for index in 0..self.conns.len() {
            if let Some(conn) = self.conns[index].take_if(|conn| conn.mute) {
                scene
                    .net
                    .close(scene.now, &mut scene.agenda, (conn.wire, End::Called));
                self.forget(scene, conn);
            } else if let Some(conn) = &mut self.conns[index] {
                conn.busy_until = scene.now;
                if let Some(waiting) = &mut conn.held.waiting {
                    waiting.0 = scene.now;
                }
                self.wake(scene, index, scene.now);
            }
        }
    }

    /// Looks at all connections, after doing nothing for a while.
    pub fn resume(&mut self, scene: &mut Scene) {
        for index in 0..self.conns.len() {
            self.wake(scene, index, scene.now);
        }
    }

    /// Connections that are open.
    pub fn open(&self) -> impl Iterator<Item = (usize, WireId)> + '_ {
        let conns = self.conns.iter().enumerate();
        conns.filter_map(|(index, conn)| conn.as_ref().map(|conn| (index, conn.wire)))
    }

    /// Whether nothing is asked or answered on a connection whose greeting is over.
    pub fn is_idle(&self, conn: usize) -> bool {
        self.conns[conn].as_ref().is_some_and(|conn| {
            conn.authed
                && conn.selected
                && conn.input.is_empty()
                && conn.out.is_empty()
                && conn.held.is_nothing()
                && !conn.mute
                && !conn.closing
                && !conn.answered_early
        })
    }

    /// What is spoken on a connection.
    pub fn speaks(&self, conn: usize) -> Option<Protocol> {
        self.conns[conn].as_ref().map(|conn| conn.protocol)
    }

    /// Closes an idle connection, as servers do with a `timeout`.
    pub fn close_idle(&mut self, scene: &mut Scene, conn: usize) {
        if let Some(known) = &mut self.conns[conn] {
            known.closing = true;
            self.wake(scene, conn, scene.now);
        }
    }
}
