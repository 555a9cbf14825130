//! How a client judges what it gets: one reply per request, in order, of the right kind, with the
//! right bytes; errors of the proxy's only while a fault explains their words.

use std::collections::BTreeSet;

use nutcrab::config::FailedGet;
use nutcrab::protocol::Protocol;

use crate::agenda::Micros;
use crate::client::Client;
use crate::everywhere::Fanned;
use crate::functions::Functional;
use crate::joins;
use crate::killing::Aim;
use crate::ledger::{Fault, explanations};
use crate::memcache;
use crate::redis::{self, Reply, Version};
use crate::scanning::Listing;
use crate::scene::Scene;
use crate::scripts::Scripted;
use crate::sessions::Wanted;
use crate::storing::{Condition, Unique};
use crate::value::{self, Mark};

/// A request that was made and not answered.
#[derive(Debug)]
pub struct Pending {
    /// Its number on its connection.
    pub seq: u32,
    /// When it was made.
    pub asked: Micros,
    /// What the reply must be.
    pub want: Want,
    /// The number the reply must repeat, where it does.
    pub opaque: Option<u32>,
    /// Whether there will be a reply.
    pub owed: Owed,
}

/// Whether a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// It is.
    Reply,
    /// If there is something to tell; silence says that there is not.
    Perhaps,
    /// It is not, and nobody will know what became of it.
    Nothing,
    /// It is not, as its client wanted when it asked then; but it is done. See `muting`.
    Unheard(Micros),
}

impl Pending {
    /// A request that is answered by a reply without a number.
    pub fn new(seq: u32, want: Want) -> Self {
        Self {
            seq,
            asked: Micros::MAX,
            want,
            opaque: None,
            owed: Owed::Reply,
        }
    }

    /// The reply must repeat the request's number.
    pub fn with_opaque(self) -> Self {
        Self {
            opaque: Some(self.seq),
            ..self
        }
    }
}

/// What a reply must be.
#[derive(Debug)]
pub enum Want {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One of the two.
    Either(Vec<u8>, Vec<u8>),
    /// An error line that begins so.
    Error(&'static str),
    /// The same, if the server that was asked could say so.
    Refused(&'static str),
    /// That what was sent is no request; what of it reached a server may have failed before.
    Garbage,
    /// The same, if the servers could be asked.
    Told(Vec<u8>),
    /// What this echo key asks for.
    Echo(Vec<u8>),
    /// That it was written: owned keys and the marks of their values.
    Stored(Vec<(usize, Mark)>),
    /// The value of an owned key.
    Fetched(usize),
    /// How many of these owned keys there were; from now on there are none.
    Removed(Vec<usize>),
    /// How many of these owned keys there are, and this number of others.
    Counted(Vec<usize>, usize),
    /// An array of these.
    Elements(Vec<Element>),
    /// The values of these, those that there are, each behind its key.
    Values(Vec<Element>),
    /// The value of a counter after an increment.
    Tally(usize),
    /// The value of an owned key, if there is one, with its unique number.
    Identified(usize),
    /// Whether the value with this mark was stored as that of an owned key.
    Conditional(usize, Mark, Condition),
    /// That it was not stored.
    NotStored,
    /// These bytes, when all servers have executed the request of this mark.
    Everywhere(Vec<u8>, Option<Mark>),
    /// Something that depends on what was asked before.
    Session(Wanted),
    /// A page of SCAN.
    Page,
    /// All keys of a client.
    Listed(Listing),
    /// Something about scripts.
    Scripted(Scripted),
    /// Something about functions.
    Functional(Functional),
    /// What all servers were asked at once.
    Fanned(Fanned),
    /// A greeting, after which this version is spoken.
    Greeted(Version),
    /// That all is as it was when the connection was new.
    Reset,
    /// That so many connections were closed.
    Killed(Aim),
    /// Whether a wait of this connection was ended.
    Unblocked(Aim),
    /// The number of the connection.
    Numbered,
    /// One of these names.
    Named(Vec<Option<Vec<u8>>>),
}

/// An element of an array reply.
#[derive(Debug)]
pub enum Element {
    /// What this echo key asks for.
    Echo(Vec<u8>),
    /// The value of an owned key.
    Owned(usize),
}

/// A key only one client writes, and what its value may be.
#[derive(Debug)]
pub struct Owned {
    /// The key.
    pub key: Vec<u8>,
    /// The last write that was acknowledged; `None` for nothing.
    known: Option<Mark>,
    /// Writes that may have happened, or may still: they were answered with an error, or never.
    unknown: Vec<Option<Mark>>,
    /// Writes whose values were forgotten since, because somebody had all keys forgotten.
    wiped: BTreeSet<Mark>,
    /// Its unique number, where memcached is spoken.
    pub unique: Unique,
}

impl Owned {
    /// The key of this number of a client.
    pub fn new(client: usize, number: usize, protocol: Protocol) -> Self {
        let mut key = format!("o:{client}:{number}:").into_bytes();
        if number % 2 == 1 && protocol == Protocol::Redis {
            // A key is any bytes at all.
            key.extend_from_slice(b"\xff\r\n$1\r\n\0 {x}");
        }
        Self {
            key,
            known: None,
            unknown: Vec::new(),
            wiped: BTreeSet::new(),
            unique: Unique::default(),
        }
    }

    /// The last write that was acknowledged.
    pub fn stored(&mut self, mark: Mark) {
        self.known = Some(mark);
    }

    /// A write that may have happened, or may still.
    pub fn may_be_stored(&mut self, mark: Mark) {
        self.unknown.push(Some(mark));
    }

    /// This was written, or that there is none.
    pub fn write(&mut self, mark: Option<Mark>) {
        self.known = mark;
        self.unique.change();
    }

    /// This may have been written, or may still be.
    fn may_write(&mut self, mark: Option<Mark>) {
        self.unknown.push(mark);
        self.unique.doubt();
    }

    /// Whether writes may have happened that nobody was told of.
    pub fn is_in_doubt(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// What this request wrote was forgotten, together with all other keys.
    pub fn wipe(&mut self, mark: Mark) {
        self.wiped.insert(mark);
    }

    /// Whether this may be its value.
    pub fn may_be(&self, mark: Option<Mark>) -> bool {
        // Of a later write its client may not have been told yet.
        let last = |known: Mark| self.wiped.range(known..).next().is_some();
        let late = |mark: &Mark| self.unknown.contains(&Some(*mark));
        let is_wiped =
            mark.is_none() && (self.known.is_some_and(last) || self.wiped.iter().any(late));
        self.known == mark || self.unknown.contains(&mark) || is_wiped
    }

    /// Whether it is there, if nobody else has lost it.
    pub fn is_surely_there(&self) -> bool {
        self.known.is_some() && !self.may_be(None)
    }

    /// Whether there may be a value.
    pub fn may_be_there(&self) -> bool {
        self.known.is_some() || self.unknown.iter().any(Option::is_some)
    }
}

impl Client {
    /// Judges a reply, `raw` being its bytes.
    pub fn judge(&mut self, scene: &mut Scene, pending: &Pending, reply: &Reply<'_>, raw: &[u8]) {
        let verdict = self.accept(scene, &pending.want, reply, raw);
        let error = match (&verdict, reply) {
            (Ok(()), _) => {
                joins::count(scene, self.pool, &pending.want, raw);
                scene.ledger.succeeded(scene.now, self.conn, pending.seq);
                return;
            }
            (Err(_), Reply::Error(text)) => String::from_utf8_lossy(text).into_owned(),
            (Err(wrong), _) => return self.protest(scene, pending, wrong, raw),
        };
        self.give_up(scene, pending);
        if !self.is_excused(scene, pending, &error) {
            return self.protest(scene, pending, "nothing explains this error", raw);
        }
        self.has_met_busy |= error.starts_with("BUSY Redis is busy");
        *scene.ledger.totals.errors.entry(error).or_default() += 1;
    }

    pub(crate) fn protest(&self, scene: &mut Scene, pending: &Pending, wrong: &str, raw: &[u8]) {
        let shown = String::from_utf8_lossy(&raw[..raw.len().min(200)]);
        let text = format!(
            "client {} (connection {}, request {}) wants {}, got {shown:?}: {wrong}",
            self.index,
            self.conn,
            pending.seq,
            pending.want.shown(),
        );
        scene.ledger.violate(scene.now, text);
    }

    /// Whether this error may be the answer.
    fn is_excused(&self, scene: &Scene, pending: &Pending, error: &str) -> bool {
        let plan = &scene.plan.pools[self.pool];
        // What was answered then may have waited since for another part, or for what was asked before.
        let asked = pending.asked.min(scene.now);
        let explained = |faults: &[Fault]| scene.ledger.is_explained(asked, self.pool, faults);
        // What the proxy answers by itself needs no server and cannot fail.
        if matches!(
            pending.want,
            Want::Bytes(_)
                | Want::Error(_)
                | Want::Reset
                | Want::Killed(_)
                | Want::Numbered
                | Want::Named(_)
        ) {
            return false;
        }
        if error.starts_with("LOADING") {
            return explained(&[Fault::Loading]);
        }
        if error.starts_with("BUSY Redis is busy") {
            return explained(&[Fault::Busy]);
        }
        if error.starts_with("UNKILLABLE ") {
            return matches!(pending.want, Want::Fanned(_)) && explained(&[Fault::Busy]);
        }
        if error.starts_with("ERR WAIT needs INFO and SPUBLISH") {
            // One of these was refused, and WAIT was not.
            return explained(&[Fault::Loading, Fault::Busy]);
        }
        let words = match self.dialect {
            Protocol::Redis => error.strip_prefix("ERR "),
            Protocol::Memcache => error.strip_prefix("SERVER_ERROR "),
            Protocol::Binary => Some(error),
        };
        let Some(text) = words else {
            return false;
        };
        match text {
            "misfit" => explained(&[Fault::Misfit]),
            "early" => explained(&[Fault::Early]),
            "too many clients have connections to the server of their own" => {
                scene.plan.limits.own < 1000
            }
            text if text.starts_with("the transaction is too large: ") => {
                scene.plan.limits.transaction < 1024 * 1024 || explained(&[Fault::Memory])
            }
            _ => explanations(text, plan.config.auto_eject_hosts)
                .is_some_and(|faults| explained(&faults)),
        }
    }

    /// Whether `reply` is what is wanted; if not, why.
    fn accept(
        &mut self,
        scene: &mut Scene,
        want: &Want,
        reply: &Reply<'_>,
        raw: &[u8],
    ) -> Result<(), &'static str> {
        let holds = |right: bool| if right { Ok(()) } else { Err("another reply") };
        match (want, reply) {
            (Want::Bytes(bytes) | Want::Told(bytes), _) => holds(raw == bytes),
            (Want::Either(one, other), _) => holds(raw == one || raw == other),
            (Want::Error(start), Reply::Error(text)) => holds(text.starts_with(start.as_bytes())),
            (Want::Refused(start), Reply::Error(text)) => holds(text.starts_with(start.as_bytes())),
            (Want::Garbage, Reply::Error(text)) => {
                let marks = match self.dialect {
                    Protocol::Redis => &[&b"ERR Protocol error: "[..]][..],
                    Protocol::Memcache => &[&b"CLIENT_ERROR "[..], b"ERROR"],
                    Protocol::Binary => &[&b"Unknown command"[..], b"Invalid arguments"],
                };
                holds(marks.iter().any(|mark| text.starts_with(mark)))
            }
            (Want::Echo(key), _) => holds(raw == redis::reply_to(key, self.version)),
            (Want::Values(wanted), Reply::Array(Some(found))) => self.values(scene, wanted, found),
            (Want::Stored(writes), Reply::Status(b"OK")) => {
                for (number, mark) in writes {
                    self.owned[*number].write(Some(*mark));
                }
                Ok(())
            }
            (Want::Fetched(number), Reply::Bulk(bulk)) => self.fetched(scene, *number, *bulk),
            (Want::Removed(numbers), Reply::Number(count)) => {
                let mut distinct = numbers.clone();
                distinct.sort_unstable();
                distinct.dedup();
                let there = self.there(scene, &distinct);
                for number in numbers {
                    self.owned[*number].write(None);
                }
                holds(there.contains(&(*count as usize)))
            }
            (Want::Counted(owned, others), Reply::Number(count)) => {
                let there = self.there(scene, owned);
                holds(there.contains(&(*count as usize).wrapping_sub(*others)))
            }
            (Want::Elements(wanted), Reply::Array(Some(elements))) => {
                if wanted.len() != elements.len() {
                    return Err("another number of elements");
                }
                for (want, element) in wanted.iter().zip(elements) {
                    self.element(scene, want, element)?;
                }
                Ok(())
            }
            (Want::Identified(number), Reply::Array(Some(found))) => {
                self.identified(scene, *number, found, raw)
            }
            (Want::Conditional(number, mark, condition), _) => {
                self.met(scene, (*number, *mark, *condition), reply)
            }
            (Want::NotStored, _) => holds(*reply == Reply::Status(b"NOT_STORED")),
            (Want::Everywhere(bytes, mark), _) if raw == bytes => {
                self.done_everywhere(scene, *mark)
            }
            // That it is there, or that it is not.
            (Want::Counted(..), Reply::Status(b"OK")) => {
                self.accept(scene, want, &Reply::Number(1), raw)
            }
            (Want::Counted(..), Reply::Array(Some(found))) if found.is_empty() => {
                self.accept(scene, want, &Reply::Number(0), raw)
            }
            // A meta command says so in a block.
            (Want::Tally(_) | Want::Counted(..), Reply::Array(Some(value))) => {
                let Some(Reply::Bulk(Some(digits))) = value.get(1) else {
                    return Err("a block of no number");
                };
                let count = std::str::from_utf8(digits).ok();
                let count = count.and_then(|text| text.parse().ok());
                let count = Reply::Number(count.ok_or("a number that is none")?);
                self.accept(scene, want, &count, raw)
            }
            // That it is gone, whether it was there or not.
            (Want::Removed(numbers), Reply::Status(b"OK")) => {
                for number in numbers {
                    self.owned[*number].write(None);
                }
                Ok(())
            }
            (Want::Tally(counter), Reply::Number(count)) => {
                let tally = scene.ledger.tally(self.pool, *counter);
                tally.acked += 1;
                holds((1..=tally.made as i64).contains(count))
            }
            (Want::Session(wanted), _) => self.accept_session(scene, wanted, reply, raw),
            (Want::Page, _) => self.accept_page(scene, reply),
            (Want::Listed(listing), _) => self.accept_listing(scene, listing, reply),
            (Want::Scripted(wanted), _) => self.accept_scripted(scene, wanted, reply, raw),
            (Want::Functional(wanted), _) => self.accept_functional(scene, wanted, reply, raw),
            (Want::Fanned(wanted), _) => self.accept_fanned(scene, wanted, reply, raw),
            (Want::Greeted(version), _) => self.greeted(scene, *version, reply),
            (Want::Reset, Reply::Status(b"RESET")) => {
                self.shifts -= 1;
                self.version = Version::default();
                Ok(())
            }
            (Want::Unblocked(aim), _) => self.accept_unblocked(scene, *aim, reply),
            (Want::Killed(aim), _) => self.accept_killed(scene, *aim, reply),
            (Want::Numbered, Reply::Number(number)) => {
                self.learn_number(&mut scene.ledger, *number)
            }
            (Want::Named(names), _) => Self::accept_name(names, reply),
            _ => Err("another kind of reply"),
        }
    }

    pub(crate) fn values(
        &self,
        scene: &Scene,
        wanted: &[Element],
        found: &[Reply<'_>],
    ) -> Result<(), &'static str> {
        let mut found = found.chunks(2).peekable();
        for want in wanted {
            let key = match want {
                Element::Echo(key) => key,
                Element::Owned(number) => &self.owned[*number].key,
            };
            // Not all replies tell the key, and meta commands tell it as it was asked for.
            let encoded = memcache::encode(key);
            let is_it = |pair: &&[Reply<'_>]| match pair[0] {
                Reply::Bulk(told) => told.is_none_or(|told| told == key || told == encoded),
                _ => false,
            };
            let value = found.next_if(is_it).and_then(|pair| pair.get(1));
            if value.is_none() && wanted.len() > 1 && self.may_miss(scene) {
                continue;
            }
            self.element(scene, want, value.unwrap_or(&Reply::Bulk(None)))?;
        }
        match found.next() {
            None => Ok(()),
            Some(_) => Err("a value too many, or in another place"),
        }
    }

    /// Whether the servers of some keys may have failed, and the pool takes that for a miss.
    fn may_miss(&self, scene: &Scene) -> bool {
        let config = &scene.plan.pools[self.pool].config;
        let explained = || scene.ledger.is_explained(scene.now, self.pool, &Fault::ALL);
        config.failed_get == FailedGet::Miss && explained()
    }

    fn element(
        &self,
        scene: &Scene,
        want: &Element,
        element: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let Reply::Bulk(bulk) = element else {
            return Err("an element that is no value");
        };
        match want {
            Element::Owned(number) => self.fetched(scene, *number, *bulk),
            Element::Echo(key) => {
                let echo = value::read_echo(key).ok_or("not an echo key")?;
                let wanted = (echo.shape == value::Shape::Value)
                    .then(|| value::make(key, echo.mark, echo.size));
                if *bulk == wanted.as_deref() {
                    Ok(())
                } else {
                    Err("another element")
                }
            }
        }
    }

    /// How many of these owned keys may be there.
    fn there(&self, scene: &Scene, numbers: &[usize]) -> std::ops::RangeInclusive<usize> {
        if !self.is_exact(scene) {
            return 0..=numbers.len();
        }
        let owned = || numbers.iter().map(|number| &self.owned[*number]);
        let surely = owned().filter(|owned| !owned.may_be(None)).count();
        let perhaps = owned().filter(|owned| owned.may_be_there()).count();
        surely..=perhaps
    }

    /// Whether a read must give the last write. Where keys move or data is lost, any value the owner
    /// wrote may come up again.
    pub(crate) fn is_exact(&self, scene: &Scene) -> bool {
        scene.plan.pools[self.pool].is_exact() && !scene.ledger.lost[self.pool]
    }

    pub(crate) fn fetched(
        &self,
        scene: &Scene,
        number: usize,
        bulk: Option<&[u8]>,
    ) -> Result<(), &'static str> {
        let owned = &self.owned[number];
        let mark = match bulk {
            None => None,
            Some(bulk) => match value::check(&owned.key, bulk) {
                None => return Err("no value of this key"),
                mark => mark,
            },
        };
        if self.is_exact(scene) && !owned.may_be(mark) {
            return Err("not the last value written");
        }
        Ok(())
    }

    /// The request that a reply belongs to. Those before it have gone without one.
    pub fn addressee(
        &mut self,
        scene: &mut Scene,
        reply: &Reply<'_>,
        opaque: Option<u32>,
    ) -> Option<Pending> {
        while let Some(front) = self.waiting.front() {
            // An error line has no number: of several requests nobody knows to which it belongs.
            let nameless = opaque.is_none() && matches!(reply, Reply::Error(_));
            let is_it = match front.owed {
                Owed::Reply => true,
                Owed::Perhaps => nameless || front.opaque == opaque,
                Owed::Nothing => false,
                Owed::Unheard(_) => self.confirms(front, reply),
            };
            if is_it {
                break;
            }
            if let Some(pending) = self.waiting.pop_front() {
                self.unanswered(scene, &pending);
            }
        }
        let pending = self.waiting.pop_front()?;
        let nameless = opaque.is_none() && self.dialect == Protocol::Memcache;
        let told = match reply {
            Reply::Error(_) => nameless || opaque == pending.opaque,
            // Nor has the reply that says that there is no value.
            Reply::Array(Some(values)) if values.is_empty() => nameless || opaque == pending.opaque,
            _ => opaque == pending.opaque,
        };
        if !told {
            let (index, seq) = (self.index, pending.seq);
            let text = format!("client {index} gets reply {opaque:?} for request {seq}: {reply:?}");
            scene.ledger.violate(scene.now, text);
        }
        self.doubts = match pending.owed {
            Owed::Reply | Owed::Unheard(_) => false,
            _ => self.doubts || matches!(reply, Reply::Error(_)) && opaque.is_none(),
        };
        Some(pending)
    }

    /// A request went without a reply.
    fn unanswered(&mut self, scene: &mut Scene, pending: &Pending) {
        if let Owed::Unheard(asked) = pending.owed {
            return self.unheard(scene, pending, asked);
        }
        // Only of some requests is it known without a reply what became of them.
        let is_sure = matches!(pending.want, Want::Stored(_) | Want::Removed(_));
        let is_sure = is_sure && scene.plan.never_fails();
        if self.doubts || pending.owed == Owed::Nothing && !is_sure {
            return self.give_up(scene, pending);
        }
        let reply = match pending.want {
            Want::Values(_) => Reply::Array(Some(Vec::new())),
            _ => Reply::Status(b"OK"),
        };
        match self.accept(scene, &pending.want, &reply, b"") {
            Ok(()) => scene.ledger.succeeded(scene.now, self.conn, pending.seq),
            Err(wrong) => self.protest(scene, pending, wrong, b"silence"),
        }
    }

    /// Requests that are waited for.
    pub fn owed(&self) -> usize {
        let waiting = self.waiting.iter();
        waiting
            .filter(|pending| matches!(pending.owed, Owed::Reply | Owed::Perhaps))
            .count()
    }

    /// The outcome of a request will never be known.
    pub fn give_up(&mut self, scene: &mut Scene, pending: &Pending) {
        match &pending.want {
            Want::Stored(writes) => {
                for (number, mark) in writes {
                    self.owned[*number].may_write(Some(*mark));
                }
            }
            Want::Removed(numbers) => {
                for number in numbers {
                    self.owned[*number].may_write(None);
                }
            }
            Want::Conditional(number, mark, _) => self.owned[*number].may_write(Some(*mark)),
            Want::Session(wanted) => self.give_up_session(&wanted.clone()),
            Want::Greeted(_) | Want::Reset => self.shifts -= 1,
            Want::Page => self.lose_page(),
            Want::Scripted(wanted) => wanted.give_up(&mut scene.ledger, scene.now, self.pool),
            _ => {}
        }
    }
}

impl Want {
    /// In short.
    pub fn shown(&self) -> String {
        match self {
            Want::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
            Want::Echo(key) => String::from_utf8_lossy(&key[..key.len().min(60)]).into_owned(),
            other => format!("{other:?}").chars().take(300).collect(),
        }
    }
}
