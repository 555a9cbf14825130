//! Clients that want no replies for a while: `CLIENT REPLY OFF` until `ON`, and `SKIP` before a request
//! of any kind.
//!
//! A request whose reply is left out is judged when a later one is answered: unless something failed
//! since it was asked it must have been done, all of it, as if its reply had been read. What confirms a
//! subscription comes all the same, as in Redis: it is no reply. An error in its place does not.

use crate::agenda::Micros;
use crate::client::Client;
use crate::everywhere::Fanned;
use crate::functions::Functional;
use crate::judging::{Element, Owed, Pending, Want};
use crate::ledger::Fault;
use crate::listening;
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::scene::{Phase, Scene};
use crate::scripts::Scripted;
use crate::sessions::{Changed, Part, Wanted, Within};
use crate::store::Outcome;
use crate::value::{self, Mark};

/// Whether a client wants replies to what it asks next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// It does.
    #[default]
    All,
    /// Not to the next request.
    Skip,
    /// To none. It will think otherwise after so many requests.
    Off(usize),
}

/// What is counted when a request without a reply must have been done.
pub const UNHEARD: &str = "replies left out";

/// What became of a request without a reply, or why that cannot be.
type Verdict = Result<(), &'static str>;

impl Scene {
    /// Whether a request made then must have succeeded by now.
    fn must_succeed(&self, pool: usize, asked: Micros) -> bool {
        let failed = self.ledger.is_explained(asked, pool, &Fault::ALL);
        self.plan.is_roomy() && !failed
    }

    /// Whether a wait was ended before there was anything.
    fn is_ended(&self, key: &[u8]) -> bool {
        let echo = value::read_echo(key);
        echo.is_some_and(|echo| self.ledger.wakes.is_ended(echo.mark))
    }

    fn was_run(&self, key: &[u8]) -> Verdict {
        match value::read_echo(key) {
            Some(echo) => self.was_done(echo.mark),
            None => Ok(()),
        }
    }

    fn was_done(&self, mark: Mark) -> Verdict {
        match self.ledger.was_executed(mark) {
            true => Ok(()),
            false => Err("it was not done"),
        }
    }

    /// The negative control: a request whose reply is left out is not done.
    pub(crate) fn plant_in_muted(&mut self, outcome: &mut Outcome) {
        let mut marks = outcome.marks.iter();
        let is_muted = |mark: &Mark| self.ledger.muted.contains(&(mark.conn, mark.seq));
        let must_be_done = self.plan.is_roomy() && self.plan.never_fails();
        // Later its client may ask nothing more, and never know.
        let is_early = self.phase == Phase::Faults;
        if marks.any(is_muted) && must_be_done && is_early && self.strikes(Plant::Neglect) {
            outcome.marks.clear();
        }
    }
}

impl Client {
    /// CLIENT REPLY, now and then.
    pub(crate) fn compose_muting(&mut self, scene: &Scene, seq: u32) -> Option<(Vec<u8>, Pending)> {
        let ends = match self.wish {
            Wish::All if !self.draw.permille(scene.plan.pools[self.pool].mutes) => return None,
            Wish::Off(left) => left == 0 || scene.phase == Phase::Fresh,
            Wish::All | Wish::Skip => false,
        };
        let may_say_so = match self.session.within {
            Within::Nothing => true,
            Within::Transaction => false,
            // In RESP2 a listener may not.
            Within::Listening => self.version == Version::Three && self.shifts == 0,
        };
        if !may_say_so {
            if ends {
                self.session.hurry();
            }
            return None;
        }
        let word = match self.wish {
            Wish::All => self.draw.pick(&["OFF", "skip", "SKIP"]),
            Wish::Off(_) if ends => "on",
            _ if self.draw.one_in(8) => self.draw.pick(&["ON", "off", "SKIP"]),
            Wish::Skip | Wish::Off(_) => return None,
        };
        let request = redis::request(&[b"CLIENT", b"reply", word.as_bytes()]);
        let mut pending = Pending::new(seq, Want::Bytes(b"+OK\r\n".to_vec()));
        match word.to_ascii_uppercase().as_str() {
            "ON" => self.wish = Wish::All,
            other => {
                pending.owed = Owed::Unheard(scene.now);
                self.wish = match self.wish {
                    Wish::All | Wish::Skip if other == "SKIP" => Wish::Skip,
                    Wish::All | Wish::Skip => Wish::Off(self.draw.within(1, 8)),
                    off => off,
                };
            }
        }
        self.go_on_in_silence(scene);
        Some((request, pending))
    }

    /// The request of this number, with the reply that is wanted, or without.
    pub(crate) fn as_wished(&mut self, scene: &mut Scene, seq: u32, want: Want) -> Pending {
        let mut pending = Pending::new(seq, want);
        match (&pending.want, self.wish) {
            (_, Wish::All) => return pending,
            (Want::Reset, _) => {
                self.wish = Wish::All;
                return pending;
            }
            (_, Wish::Skip) => self.wish = Wish::All,
            (_, Wish::Off(left)) => self.wish = Wish::Off(left.saturating_sub(1)),
        }
        self.go_on_in_silence(scene);
        match &pending.want {
            Want::Session(Wanted::Unsubscribed(_)) => return pending,
            Want::Page => self.lose_page(),
            Want::Stored(_) | Want::Echo(_) => {
                scene.ledger.muted.insert((self.conn, seq));
            }
            _ => {}
        }
        pending.owed = Owed::Unheard(scene.now);
        pending
    }

    /// What is asked without a reply when nothing fails any more is asked besides.
    fn go_on_in_silence(&mut self, scene: &Scene) {
        if scene.phase == Phase::Fresh && self.wish != Wish::All {
            self.grant(1);
        }
    }

    /// Whether this is what comes of a subscription though no reply is wanted.
    pub(crate) fn confirms(&self, pending: &Pending, reply: &Reply<'_>) -> bool {
        let Want::Session(Wanted::Subscribed(topic)) = &pending.want else {
            return false;
        };
        let (Reply::Array(Some(words)) | Reply::Push(words)) = reply else {
            return false;
        };
        let name = listening::name(self.pool, *topic);
        let begins = |word: &[u8]| word.ends_with(b"subscribe") && !word.ends_with(b"unsubscribe");
        match words[..] {
            [Reply::Bulk(Some(word)), Reply::Bulk(Some(told)), _] => begins(word) && told == name,
            _ => false,
        }
    }

    /// The version that is spoken behind requests without replies.
    pub(crate) fn version_behind(&self, scene: &Scene) -> Version {
        let unheard = self.waiting.iter();
        let unheard = unheard.take_while(|pending| matches!(pending.owed, Owed::Unheard(_)));
        unheard.fold(self.version, |version, pending| match pending.want {
            Want::Greeted(wanted) => self.version_after(scene, wanted, version),
            _ => version,
        })
    }

    fn version_after(&self, scene: &Scene, wanted: Version, before: Version) -> Version {
        let refused = wanted == Version::Three && scene.plan.pools[self.pool].old;
        if refused { before } else { wanted }
    }

    /// A later request was answered than this one, whose reply was not wanted.
    pub(crate) fn unheard(&mut self, scene: &mut Scene, pending: &Pending, asked: Micros) {
        let sure = scene.must_succeed(self.pool, asked);
        let verdict = match &pending.want {
            Want::Page => Ok(()),
            Want::Greeted(version) => {
                self.shifts -= 1;
                self.version = self.version_after(scene, *version, self.version);
                scene.ledger.count("HELLO without a reply");
                Ok(())
            }
            Want::Session(wanted) => self.unheard_step(scene, &wanted.clone(), asked, sure),
            _ if !sure => {
                self.give_up(scene, pending);
                Ok(())
            }
            want => self.must_be_done(scene, want),
        };
        if sure {
            scene.ledger.count(UNHEARD);
            scene.ledger.succeeded(scene.now, self.conn, pending.seq);
        }
        if let Err(wrong) = verdict {
            self.protest(scene, pending, wrong, b"silence");
        }
    }

    fn must_be_done(&mut self, scene: &mut Scene, want: &Want) -> Verdict {
        match want {
            Want::Stored(writes) => {
                for (number, mark) in writes {
                    scene.was_done(*mark)?;
                    self.owned[*number].write(Some(*mark));
                }
            }
            Want::Removed(numbers) => {
                for number in numbers {
                    self.owned[*number].write(None);
                }
            }
            Want::Echo(key) => scene.was_run(key)?,
            Want::Elements(elements) => {
                for element in elements {
                    if let Element::Echo(key) = element {
                        scene.was_run(key)?;
                    }
                }
            }
            Want::Tally(counter) => scene.ledger.tally(self.pool, *counter).acked += 1,
            Want::Scripted(Scripted::Loaded(number, asked)) => {
                self.scripts.insert(*number, *asked);
            }
            Want::Scripted(Scripted::Ran(_, key, Some(known)))
                if !self.may_be_missing(scene, *known) =>
            {
                scene.was_run(key)?;
            }
            Want::Scripted(Scripted::Flushed) => {
                let reply = Reply::Status(b"OK");
                self.accept_scripted(scene, &Scripted::Flushed, &reply, b"")?;
            }
            Want::Fanned(Fanned::Flushed(name, mark)) => {
                self.flushed(scene, name, *mark, &Reply::Status(b"OK"))?;
            }
            Want::Functional(Functional::Loaded(_, number, mark, asked)) => {
                self.done_everywhere(scene, Some(*mark))?;
                self.libraries.insert(*number, *asked);
            }
            Want::Killed(aim) => Self::killed_unheard(scene, *aim),
            _ => {}
        }
        Ok(())
    }

    /// The same of one of several requests that belong together.
    fn unheard_step(
        &mut self,
        scene: &mut Scene,
        wanted: &Wanted,
        asked: Micros,
        sure: bool,
    ) -> Verdict {
        const OK: Reply<'_> = Reply::Status(b"OK");
        match wanted {
            Wanted::Subscribed(_) if sure => return Err("its confirmation did not come"),
            Wanted::Published(topic, mark, asked) if sure => {
                scene.was_done(*mark)?;
                self.published(scene, *topic, *mark, *asked);
            }
            Wanted::Waited(key) if sure && !scene.is_ended(key) => scene.was_run(key)?,
            Wanted::Meddled(_, mark) if sure => {
                scene.was_done(*mark)?;
                self.accept_session(scene, wanted, &OK, b"")?;
            }
            Wanted::Watched if sure => {
                let first = self.session.watch.is_none();
                self.accept_session(scene, wanted, &OK, b"")?;
                if let Some((since, _)) = self.session.watch.as_mut().filter(|_| first) {
                    *since = asked;
                }
            }
            // These need no server.
            Wanted::Unwatched | Wanted::Discarded => {
                self.accept_session(scene, wanted, &OK, b"")?;
                self.session.is_hazy = false;
            }
            Wanted::Begun => {
                self.accept_session(scene, wanted, &OK, b"")?;
                self.session.begun = asked;
            }
            Wanted::Rejected => self.session.broken = true,
            Wanted::Queued(seq, part) => {
                let several = scene.plan.pools[self.pool].config.servers.len() > 1;
                self.session.is_hazy |= !sure || several && matches!(part, Part::Echo(_));
                self.session.parts.push((*seq, part.clone()));
            }
            Wanted::Done => return self.done_unheard(scene, sure),
            _ => self.give_up_session(wanted),
        }
        Ok(())
    }

    /// EXEC was served: all of the transaction was done, or nothing.
    fn done_unheard(&mut self, scene: &mut Scene, sure: bool) -> Verdict {
        let is_hazy = std::mem::take(&mut self.session.is_hazy);
        // Without MULTI anything may have become of its parts.
        if !sure || scene.plan.pools[self.pool].no_multi.is_some() {
            self.give_up_session(&Wanted::Done);
            return Ok(());
        }
        let (since, changed) = self.session.watch.unwrap_or((scene.now, Changed::No));
        let began = self.session.begun;
        let presence = &scene.ledger.presence[self.pool];
        let is_wiped = presence.was_wiped_since(self.session.watch_asked);
        let is_lost = self.is_lost_since(scene, began) || self.is_lost_since(scene, since);
        let is_lost = is_lost || is_wiped;
        let must_not = self.session.broken || changed == Changed::Yes;
        let must = !must_not && !is_hazy && changed == Changed::No && !is_lost;
        let marks: Vec<Mark> = self.session.parts.iter().filter_map(mark_of).collect();
        let done = marks
            .iter()
            .filter(|&&mark| scene.ledger.was_executed(mark));
        let done = done.count();
        if done > 0 && done < marks.len() {
            return Err("a part of the transaction was done");
        }
        if must && done < marks.len() {
            return Err("the transaction was not done");
        }
        if must_not && done > 0 {
            return Err("the transaction was done");
        }
        if must_not || !marks.is_empty() && done == 0 {
            self.exec_was_in_vain(scene);
            return Ok(());
        }
        for (_, part) in std::mem::take(&mut self.session.parts) {
            match part {
                Part::Stored(number, mark) => self.owned[number].stored(mark),
                Part::Counted(counter) if must => {
                    scene.ledger.tally(self.pool, counter).acked += 1;
                }
                _ => {}
            }
        }
        scene.ledger.count("transactions without replies");
        self.session.watch = None;
        Ok(())
    }

    /// The negative controls: a reply that is to be left out is given, or one too many is left out.
    pub(crate) fn plant_muting(&self, scene: &mut Scene, inbox: &mut Vec<u8>, at: usize) {
        let is_unheard = |pending: &&Pending| matches!(pending.owed, Owed::Unheard(_));
        let mut unheard = self.waiting.iter().take_while(is_unheard);
        let plant = scene.plant;
        match plant {
            Some(Plant::Unmute)
                if unheard.any(|pending| matches!(pending.want, Want::Stored(_)))
                    && scene.strikes(Plant::Unmute) =>
            {
                inbox.splice(at..at, b"+OK\r\n".iter().copied());
            }
            Some(Plant::Swallow) if unheard.next().is_some() => {
                let next = self.waiting.iter().find(|pending| !is_unheard(pending));
                let is_plain = |pending: &Pending| {
                    matches!(
                        pending.want,
                        Want::Stored(_) | Want::Echo(_) | Want::Bytes(_)
                    )
                };
                let reply = redis::read_reply(&inbox[at..], self.version_behind(scene));
                let Ok(Some((_, len))) = reply else { return };
                let hears = self.session.within == Within::Listening;
                if next.is_some_and(is_plain) && !hears && scene.strikes(Plant::Swallow) {
                    inbox.drain(at..at + len);
                }
            }
            _ => {}
        }
    }
}

fn mark_of((_, part): &(u32, Part)) -> Option<Mark> {
    match part {
        Part::Stored(_, mark) => Some(*mark),
        Part::Echo(key) => Some(value::read_echo(key)?.mark),
        // On another server something is published later.
        Part::Published(..) => None,
        // Where there is no function, nothing is executed.
        Part::Fetched(_) | Part::Counted(_) | Part::Called(..) => None,
    }
}
