//! What a client asks that needs more than one request, or time: transactions, watched keys, commands
//! that wait; and how it judges what it gets for them.
//!
//! A transaction is about one owned key, one counter, or several echo keys, which in a pool of several
//! servers may live apart. Nothing of one that failed may ever be executed; nothing of one that was done
//! may be missing. A watched key that the client itself changed in between must make it fail; without
//! such a change it may fail only if a fault explains that the connection that watched was lost.

use std::collections::VecDeque;

use crate::agenda::Micros;
use crate::client::Client;
use crate::functions::Argument;
use crate::judging::{Owed, Pending, Want};
use crate::ledger::Fault;
use crate::listening::{Listening, Topic};
use crate::muting::Wish;
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::scene::{Phase, Scene};
use crate::value::{self, Mark, Shape};
use crate::waking::is_end_of_wait;

/// The next request of several that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To listen.
    Subscribe(Topic),
    /// No longer.
    Unsubscribe(Topic),
    /// PUBLISH.
    Publish,
    /// PING, whose reply depends on whether it listens.
    Ping,
    /// WATCH of an owned key.
    Watch(usize),
    /// A write to an owned key that may be watched.
    Meddle(usize),
    /// UNWATCH.
    Unwatch,
    /// MULTI.
    Multi,
    /// A write to an owned key.
    Set(usize),
    /// A read of an owned key.
    Get(usize),
    /// An increment.
    Count(usize),
    /// Whatever an echo key asks for.
    Echo,
    /// A function, without keys.
    Call,
    /// What no server would queue.
    Mistake,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
}

/// What the reply to a step must be.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// That it listens.
    Subscribed(Topic),
    /// That it does not.
    Unsubscribed(Topic),
    /// That something was published on a channel; and when that was asked for.
    Published(Topic, Mark, Micros),
    /// That somebody is there.
    Ponged,
    /// That what was waited for is there, as this key asks for.
    Waited(Vec<u8>),
    /// How many replicas have what was written, of one server or with its own disk; the number of the
    /// request.
    Replicated(Mark, bool),
    /// That a key is watched.
    Watched,
    /// That a key was written that may be watched.
    Meddled(usize, Mark),
    /// That nothing is watched any more.
    Unwatched,
    /// That a transaction was begun.
    Begun,
    /// That a part of it was queued.
    Queued(u32, Part),
    /// That it was not.
    Rejected,
    /// What all parts came to.
    Done,
    /// That nothing came of them.
    Discarded,
}

/// What one part of a transaction must come to.
#[derive(Clone, Debug)]
pub enum Part {
    /// That an owned key was written.
    Stored(usize, Mark),
    /// The value of an owned key.
    Fetched(usize),
    /// A count.
    Counted(usize),
    /// What this key asks for.
    Echo(Vec<u8>),
    /// That this was published, on the servers of its keys or behind it; and when that was asked for.
    Published(Topic, Mark, Micros),
    /// What a function of this library comes to; and since when the client may rely on that.
    Called(usize, Argument, Option<Micros>),
}

/// Whether something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changed {
    /// It did not.
    #[default]
    No,
    /// Nobody knows.
    Maybe,
    /// It did.
    Yes,
}

/// What EXEC says when the server refuses MULTI, and when it has just begun to.
const REFUSED: &[u8] = b"EXECABORT Transaction discarded because of: NOPERM ";
const RAN_WITHOUT: &[u8] = b"ERR the server refused MULTI (NOPERM ";

/// Counted when something was published by a transaction.
pub const PUBLISHED: &str = "messages published by transactions";

/// What a client is in the middle of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Within {
    /// Nothing that keeps it from asking what it likes.
    #[default]
    Nothing,
    /// A transaction.
    Transaction,
    /// It listens.
    Listening,
}

/// What a client has under way that is more than one request.
#[derive(Debug, Default)]
pub struct Session {
    /// What it listens to.
    pub listening: Listening,
    /// What it will ask next.
    script: VecDeque<Step>,
    /// What it is in the middle of, by what it has asked.
    pub(crate) within: Within,
    /// Since when keys are watched, if they are, and whether they were changed.
    pub(crate) watch: Option<(Micros, Changed)>,
    /// When that was asked for.
    pub(crate) watch_asked: Micros,
    /// Counters it will have asked to be incremented once it says EXEC.
    counts: Vec<usize>,
    /// When the transaction was begun.
    pub(crate) begun: Micros,
    /// What was queued, with the number of its request.
    pub(crate) parts: Vec<(u32, Part)>,
    /// Whether a part of it was refused.
    pub(crate) broken: bool,
    /// Whether a part of it may have been refused without a reply.
    pub(crate) is_hazy: bool,
    /// Whether it asked for a wait longer than the timeout of its pool. Two, one behind the other, could
    /// last longer than faults are given to be over.
    pub(crate) waited: bool,
}

impl Session {
    /// It goes no further than it must.
    pub(crate) fn hurry(&mut self) {
        self.script.retain(|step| *step != Step::Ping);
    }
}

impl Client {
    /// The next request of those that belong together, if there is one or some are begun now.
    pub(crate) fn compose_session(
        &mut self,
        scene: &mut Scene,
        seq: u32,
    ) -> Option<(Vec<u8>, Want)> {
        if self.session.script.is_empty() {
            if self.is_bent_on_scanning() {
                return None;
            }
            let mut share = scene.plan.pools[self.pool].sessions;
            if scene.phase == Phase::Fresh || self.wish != Wish::All {
                // Few are asked then.
                share *= 3;
            }
            if !self.draw.permille(share) {
                return None;
            }
            match self.draw.below(5) {
                0 => return Some(self.wait(scene, seq)),
                1 => {
                    let steps = self.listen();
                    self.session.script.extend(steps);
                }
                2 => self.session.script.push_back(Step::Publish),
                _ => self.begin_session(scene),
            }
        }
        // A listener that speaks RESP3 may ask anything meanwhile.
        let is_free = self.version == Version::Three && self.shifts == 0;
        if is_free && self.session.script.front() == Some(&Step::Ping) && self.draw.one_in(2) {
            return None;
        }
        let step = self.session.script.pop_front()?;
        self.session.within = match step {
            Step::Multi => Within::Transaction,
            Step::Subscribe(_) => Within::Listening,
            Step::Exec | Step::Discard if self.will_unsubscribe() => Within::Listening,
            Step::Exec | Step::Discard => Within::Nothing,
            Step::Unsubscribe(_) if self.session.script.is_empty() => Within::Nothing,
            _ => self.session.within,
        };
        Some(self.step(scene, seq, step))
    }

    /// Whether it listens, and means to end that.
    fn will_unsubscribe(&self) -> bool {
        let mut steps = self.session.script.iter();
        steps.any(|step| matches!(step, Step::Unsubscribe(_)))
    }

    fn begin_session(&mut self, scene: &Scene) {
        let plan = &scene.plan.pools[self.pool];
        let mut script = VecDeque::new();
        let (owned, counters) = (self.owned.len(), plan.counters);
        let body: Vec<Step> = match self.draw.below(5) {
            0 | 1 => {
                let number = self.draw.below(owned);
                if self.draw.one_in(2) {
                    script.push_back(Step::Watch(number));
                    if self.draw.one_in(3) {
                        script.push_back(Step::Meddle(number));
                    }
                    if self.draw.one_in(8) {
                        script.push_back(Step::Unwatch);
                    }
                }
                vec![Step::Set(number), Step::Get(number), Step::Set(number)]
            }
            2 => vec![Step::Count(self.draw.below(counters)); 2],
            3 if plan.functions > 0 => vec![Step::Call; self.draw.within(1, 3)],
            _ => vec![Step::Echo; self.draw.within(1, 3)],
        };
        let mut body = body;
        if self.draw.one_in(3) {
            let (at, count) = (self.draw.below(body.len() + 1), self.draw.within(1, 2));
            body.splice(at..at, vec![Step::Publish; count]);
        }
        let kept = self.draw.within(0, body.len());
        script.push_back(Step::Multi);
        script.extend(&body[..kept]);
        if self.draw.one_in(10) {
            script.push_back(Step::Mistake);
        }
        script.push_back(if self.draw.one_in(6) {
            Step::Discard
        } else {
            Step::Exec
        });
        self.session.script = script;
    }

    fn step(&mut self, scene: &mut Scene, seq: u32, step: Step) -> (Vec<u8>, Want) {
        let mark = Mark {
            conn: self.conn,
            seq,
            part: 0,
        };
        let (request, wanted) = match step {
            Step::Subscribe(_) | Step::Unsubscribe(_) | Step::Publish | Step::Ping => {
                match self.compose_listening(scene, step, mark) {
                    (request, Wanted::Published(topic, mark, asked))
                        if self.session.within == Within::Transaction =>
                    {
                        let part = Part::Published(topic, mark, asked);
                        (request, Wanted::Queued(seq, part))
                    }
                    other => other,
                }
            }
            Step::Watch(number) => {
                let request = redis::request(&[b"WATCH", &self.owned[number].key]);
                self.session.watch_asked = scene.now;
                (request, Wanted::Watched)
            }
            Step::Meddle(number) => {
                let request = self.setting(number, mark);
                (request, Wanted::Meddled(number, mark))
            }
            Step::Unwatch => (redis::request(&[b"UNWATCH"]), Wanted::Unwatched),
            Step::Multi => {
                self.session.counts.clear();
                (redis::request(&[b"multi"]), Wanted::Begun)
            }
            Step::Set(number) => {
                let request = self.setting(number, mark);
                (request, Wanted::Queued(seq, Part::Stored(number, mark)))
            }
            Step::Get(number) => {
                let request = redis::request(&[b"GET", &self.owned[number].key]);
                (request, Wanted::Queued(seq, Part::Fetched(number)))
            }
            Step::Count(counter) => {
                self.session.counts.push(counter);
                let key = format!("c:{}:{counter}", self.pool);
                let request = redis::request(&[b"INCR", key.as_bytes()]);
                (request, Wanted::Queued(seq, Part::Counted(counter)))
            }
            Step::Echo => {
                let size = self.draw.spread(0, 2000);
                let shape = self.draw.pick(&[Shape::Value, Shape::Nil, Shape::Status]);
                let key = self.echo(seq, 0, shape, size);
                let request = redis::request(&[b"HGET", &key, b"f"]);
                (request, Wanted::Queued(seq, Part::Echo(key)))
            }
            Step::Call => {
                let (request, part) = self.compose_bare_call(seq);
                (request, Wanted::Queued(seq, part))
            }
            Step::Mistake if scene.plan.pools[self.pool].beyond > 0 && self.draw.one_in(2) => {
                let key = self.long_key(scene, b"k");
                (redis::request(&[b"GET", &key]), Wanted::Rejected)
            }
            Step::Mistake => (redis::request(&[b"GET"]), Wanted::Rejected),
            Step::Exec => {
                for counter in self.session.counts.drain(..) {
                    scene.ledger.tally(self.pool, counter).sent += 1;
                }
                (redis::request(&[b"EXEC"]), Wanted::Done)
            }
            Step::Discard => (redis::request(&[b"DISCARD"]), Wanted::Discarded),
        };
        (request, Want::Session(wanted))
    }

    fn setting(&mut self, number: usize, mark: Mark) -> Vec<u8> {
        let size = self.draw.spread(0, 2000);
        let key = &self.owned[number].key;
        redis::request(&[b"SET", key, &value::make(key, mark, size)])
    }

    /// Whether `reply` is what is wanted; if not, why.
    pub(crate) fn accept_session(
        &mut self,
        scene: &mut Scene,
        wanted: &Wanted,
        reply: &Reply<'_>,
        raw: &[u8],
    ) -> Result<(), &'static str> {
        let several = scene.plan.pools[self.pool].config.servers.len() > 1;
        if matches!(wanted, Wanted::Waited(_) | Wanted::Replicated(..)) {
            scene.ledger.roster.waits(self.conn, false);
        }
        match (wanted, reply) {
            (
                Wanted::Subscribed(_)
                | Wanted::Unsubscribed(_)
                | Wanted::Published(..)
                | Wanted::Ponged,
                _,
            ) => self.accept_listening(scene, wanted, reply, raw),
            (Wanted::Waited(key), _) if raw == redis::reply_to(key, self.version) => Ok(()),
            (Wanted::Waited(key), _) if is_end_of_wait(scene, key, raw) => Ok(()),
            (Wanted::Replicated(mark, _), _) if scene.ledger.wakes.is_end(*mark, raw) => Ok(()),
            (Wanted::Replicated(mark, both), _) => {
                self.replicated(&mut scene.ledger, *mark, *both, reply)
            }
            (Wanted::Watched, Reply::Status(b"OK")) => {
                let first = self.session.watch.is_none();
                if first {
                    // A late write may still change it.
                    let changed = if several && !scene.plan.pools[self.pool].is_exact() {
                        Changed::Maybe
                    } else {
                        Changed::No
                    };
                    self.session.watch = Some((scene.now, changed));
                }
                Ok(())
            }
            (Wanted::Meddled(number, mark), Reply::Status(b"OK")) => {
                self.owned[*number].stored(*mark);
                let exact = scene.plan.pools[self.pool].is_exact();
                if let Some((_, changed)) = &mut self.session.watch
                    && exact
                    && *changed == Changed::No
                {
                    *changed = Changed::Yes;
                }
                Ok(())
            }
            (Wanted::Unwatched, Reply::Status(b"OK")) => {
                self.session.watch = None;
                Ok(())
            }
            (Wanted::Begun, Reply::Status(b"OK")) => {
                self.session.begun = scene.now;
                self.session.broken = false;
                self.session.parts.clear();
                Ok(())
            }
            (Wanted::Queued(seq, part), Reply::Status(b"QUEUED")) => {
                self.session.parts.push((*seq, part.clone()));
                Ok(())
            }
            (Wanted::Queued(seq, Part::Echo(_)), Reply::Error(text))
                if several && text.starts_with(b"CROSSSLOT ") =>
            {
                self.session.broken = true;
                scene.ledger.never(scene.now, self.conn, *seq);
                Ok(())
            }
            (Wanted::Rejected, Reply::Error(text))
                if text.starts_with(b"ERR wrong number")
                    || text.starts_with(b"ERR key too long: ") =>
            {
                self.session.broken = true;
                Ok(())
            }
            (Wanted::Discarded, Reply::Status(b"OK")) => {
                self.nothing_came_of_it(scene);
                Ok(())
            }
            (Wanted::Done, Reply::Array(Some(elements))) => self.done(scene, elements),
            (Wanted::Done, Reply::Array(None) | Reply::Bulk(None)) => {
                let Some((since, changed)) = self.session.watch else {
                    return Err("nothing was watched");
                };
                let wiped =
                    scene.ledger.presence[self.pool].was_wiped_since(self.session.watch_asked);
                if changed == Changed::No && !wiped && !self.is_lost_since(scene, since) {
                    return Err("nothing was changed");
                }
                self.exec_was_in_vain(scene);
                Ok(())
            }
            (Wanted::Done, Reply::Error(text)) if text.starts_with(RAN_WITHOUT) => {
                let is_stored = |part: &(u32, Part)| {
                    let mark = match part.1 {
                        Part::Stored(_, mark) => Some(mark),
                        _ => None,
                    };
                    mark.is_some_and(|mark| scene.ledger.was_executed(mark))
                };
                if self.session.parts.iter().any(is_stored) && scene.strikes(Plant::Conceal) {
                    self.exec_was_in_vain(scene);
                    return Ok(());
                }
                if !scene.ledger.has_ever(self.pool, &[Fault::Revoked]) {
                    return Err("MULTI was taken");
                }
                scene.ledger.count("transactions that ran without MULTI");
                self.give_up_session(&Wanted::Done);
                Ok(())
            }
            (Wanted::Done, Reply::Error(text)) if text.starts_with(REFUSED) => {
                let no_multi = scene.plan.pools[self.pool].no_multi;
                self.exec_was_in_vain(scene);
                scene.ledger.count("transactions that were refused");
                match no_multi.is_some_and(|from| from <= scene.now) {
                    true => Ok(()),
                    false => Err("MULTI was not refused"),
                }
            }
            (Wanted::Done, Reply::Error(text)) if text.starts_with(b"EXECABORT ") => {
                let ejects = scene.plan.pools[self.pool].config.auto_eject_hosts;
                let since = self.session.begun;
                let refusing = [Fault::Loading, Fault::Busy];
                let refused = scene.ledger.is_explained(since, self.pool, &refusing);
                let moved = text.ends_with(b"elsewhere now.");
                let explained = if moved {
                    ejects && self.is_lost_since(scene, since)
                } else {
                    self.session.broken || refused
                };
                self.exec_was_in_vain(scene);
                if explained {
                    Ok(())
                } else {
                    Err("nothing was refused")
                }
            }
            _ => Err("another kind of reply"),
        }
    }

    /// Whether a fault since then may have cost a connection, or moved keys.
    pub(crate) fn is_lost_since(&self, scene: &Scene, since: Micros) -> bool {
        let ledger = &scene.ledger;
        let others = [Fault::Overload, Fault::Memory];
        ledger.is_explained(since, self.pool, &Fault::OF_SERVERS)
            || ledger.is_explained(since, self.pool, &others)
    }

    fn done(&mut self, scene: &mut Scene, elements: &[Reply<'_>]) -> Result<(), &'static str> {
        let watch = self.session.watch.take();
        let parts = std::mem::take(&mut self.session.parts);
        if std::mem::take(&mut self.session.broken) {
            return Err("a part was refused");
        }
        if watch.is_some_and(|(_, changed)| changed == Changed::Yes) {
            return Err("a watched key was changed");
        }
        if parts.len() != elements.len() {
            return Err("another number of parts");
        }
        for ((seq, part), element) in parts.iter().zip(elements) {
            match (part, element) {
                (Part::Stored(number, mark), Reply::Status(b"OK")) => {
                    self.owned[*number].stored(*mark);
                }
                (Part::Fetched(number), Reply::Bulk(bulk)) => {
                    self.fetched(scene, *number, *bulk)?;
                }
                (Part::Counted(counter), Reply::Number(count)) => {
                    let tally = scene.ledger.tally(self.pool, *counter);
                    tally.acked += 1;
                    if !(1..=tally.made as i64).contains(count) {
                        return Err("a count that cannot be");
                    }
                }
                (Part::Published(topic, mark, asked), Reply::Number(0..)) => {
                    self.published(scene, *topic, *mark, *asked);
                    scene.ledger.count(PUBLISHED);
                    // On another server it is published behind the transaction.
                    continue;
                }
                (Part::Called(number, argument, known), element) => {
                    self.accept_call(scene, (*number, argument, *known), element)?;
                }
                (Part::Echo(key), element) => {
                    let wanted = redis::reply_to(key, self.version);
                    let wanted = redis::read_reply(&wanted, self.version).ok().flatten();
                    if wanted.is_none_or(|(wanted, _)| wanted != *element) {
                        return Err("another element");
                    }
                }
                _ => return Err("another kind of element"),
            }
            scene.ledger.succeeded(scene.now, self.conn, *seq);
        }
        Ok(())
    }

    /// EXEC came, and nothing of what was queued was executed.
    pub(crate) fn exec_was_in_vain(&mut self, scene: &mut Scene) {
        for (_, part) in &self.session.parts {
            if let Part::Counted(counter) = part {
                scene.ledger.tally(self.pool, *counter).sent -= 1;
            }
        }
        self.nothing_came_of_it(scene);
    }

    /// What was queued must not be executed, now or ever.
    fn nothing_came_of_it(&mut self, scene: &mut Scene) {
        self.session.watch = None;
        self.session.broken = false;
        for (seq, _) in std::mem::take(&mut self.session.parts) {
            scene.ledger.never(scene.now, self.conn, seq);
        }
    }

    /// Whether it has asked for all of what belongs together.
    pub(crate) fn is_between_sessions(&self) -> bool {
        self.session.script.is_empty()
    }

    /// The outcome of a request of a session will never be known.
    pub(crate) fn give_up_session(&mut self, wanted: &Wanted) {
        match wanted {
            Wanted::Watched => {
                let since = self.session.watch.map_or(Micros::MAX, |(since, _)| since);
                self.session.watch = Some((since, Changed::Maybe));
            }
            Wanted::Meddled(number, mark) => {
                self.owned[*number].may_be_stored(*mark);
                if let Some((_, changed)) = &mut self.session.watch {
                    *changed = Changed::Maybe;
                }
            }
            Wanted::Queued(_, part) => {
                self.session.broken = true;
                self.may_have_happened(part);
            }
            Wanted::Done => {
                for (_, part) in std::mem::take(&mut self.session.parts) {
                    self.may_have_happened(&part);
                }
                self.session.watch = None;
                self.session.broken = false;
            }
            Wanted::Subscribed(_) => self.session.listening.refused = true,
            Wanted::Unsubscribed(_)
            | Wanted::Published(..)
            | Wanted::Ponged
            | Wanted::Waited(_)
            | Wanted::Replicated(..)
            | Wanted::Unwatched
            | Wanted::Begun
            | Wanted::Rejected
            | Wanted::Discarded => {}
        }
    }

    fn may_have_happened(&mut self, part: &Part) {
        if let Part::Stored(number, mark) = part {
            self.owned[*number].may_be_stored(*mark);
        }
    }

    /// Whether it waits at a server for something: then it gets no reply once it has closed its side.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_owed = |pending: &&Pending| !matches!(pending.owed, Owed::Unheard(_));
        let unheard = self.waiting.iter().take_while(|pending| !is_owed(pending));
        let mut first = unheard.chain(self.waiting.iter().find(is_owed));
        first.any(|pending| {
            let waits =
                |wanted: &Wanted| matches!(wanted, Wanted::Waited(_) | Wanted::Replicated(..));
            matches!(&pending.want, Want::Session(wanted) if waits(wanted))
        })
    }

    /// Its connection is no more, and what it had under way is as if it had never been begun, or done.
    pub(crate) fn leave_session(&mut self, waiting: &VecDeque<Pending>) {
        let is_done = |pending: &Pending| matches!(pending.want, Want::Session(Wanted::Done));
        if waiting.iter().any(is_done) {
            self.give_up_session(&Wanted::Done);
        }
        self.session = Session::default();
    }
}
