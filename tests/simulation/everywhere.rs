//! What is asked of all servers at once, and what must come of their replies.
//!
//! Each model server has numbers, names and words of its own, so the reply of all tells whose share is in
//! it. All must have one where none can be ejected or the command is an order; what is told as done must
//! have been done by every server, once. A request that names its asker says so in its last word; of the
//! others the sums must fit in the end.

use std::collections::BTreeMap;

use crate::agenda::Micros;
use crate::client::Client;
use crate::joins;
use crate::judging::Want;
use crate::ledger::Fault;
use crate::plan::PoolPlan;
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::scene::Scene;
use crate::server::Server;
use crate::store::Outcome;
use crate::value::Mark;

/// What becomes of the servers' replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    /// Numbers are added.
    Sum,
    /// The smallest number is told.
    Least,
    /// The largest is.
    Most,
    /// Numbers behind names are added, name by name.
    Pairs,
    /// Arrays follow each other.
    Rows,
    /// All have done it.
    Done,
    /// The first server's words stand for all.
    First,
    /// Servers that do not know of it are left out, as are those that fail.
    Able,
    /// What is the same on all is told.
    Settings,
    /// Each server has an answer of its own: refused where there are several.
    One,
}

/// A command that goes to all servers.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// What stands behind the name.
    words: &'static [&'static [u8]],
    joining: Joining,
    /// Whether its last word says who asks.
    signed: bool,
    /// Whether ejected servers are meant, too.
    ordered: bool,
    /// Whether a pool must allow it.
    danger: Danger,
}

/// Which pools refuse a command that they do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// None.
    None,
    /// Those of several servers.
    Several,
    /// All.
    Guarded,
}

const fn row(name: &'static str, joining: Joining) -> Row {
    Row {
        name,
        words: &[],
        joining,
        signed: false,
        ordered: false,
        danger: Danger::None,
    }
}

const fn signed(name: &'static str, words: &'static [&'static [u8]], joining: Joining) -> Row {
    Row {
        words,
        signed: true,
        ..row(name, joining)
    }
}

const fn dangerous(row: Row) -> Row {
    Row {
        ordered: true,
        danger: Danger::Several,
        ..row
    }
}

const fn guarded(row: Row) -> Row {
    Row {
        danger: Danger::Guarded,
        ..dangerous(row)
    }
}

const ROWS: [Row; 39] = [
    row("DBSIZE", Joining::Sum),
    row("SLOWLOG|LEN", Joining::Sum),
    signed("COMMANDLOG|LEN", &[], Joining::Sum),
    signed("LATENCY|RESET", &[], Joining::Sum),
    row("LASTSAVE", Joining::Least),
    row("PUBSUB|NUMPAT", Joining::Most),
    signed("PUBSUB|NUMSUB", &[b"x"], Joining::Pairs),
    signed("PUBSUB|SHARDNUMSUB", &[b"x"], Joining::Pairs),
    signed("PUBSUB|CHANNELS", &[], Joining::Rows),
    signed("PUBSUB|SHARDCHANNELS", &[], Joining::Rows),
    signed("SLOWLOG|GET", &[], Joining::Rows),
    signed("COMMANDLOG|GET", &[b"10"], Joining::Rows),
    row("MEMORY|PURGE", Joining::Done),
    row("CONFIG|RESETSTAT", Joining::Done),
    row("SLOWLOG|RESET", Joining::Done),
    signed("COMMANDLOG|RESET", &[], Joining::Done),
    guarded(signed("CONFIG|SET", &[b"sim"], Joining::Done)),
    guarded(row("CONFIG|REWRITE", Joining::Done)),
    dangerous(row("SAVE", Joining::Done)),
    guarded(signed("ACL|SETUSER", &[], Joining::Done)),
    guarded(row("ACL|LOAD", Joining::Done)),
    guarded(row("ACL|SAVE", Joining::Done)),
    guarded(signed("ACL|DELUSER", &[], Joining::First)),
    dangerous(row("BGSAVE", Joining::First)),
    dangerous(row("BGREWRITEAOF", Joining::First)),
    guarded(signed("DEBUG|*", &[b"JMAP"], Joining::First)),
    // Nobody would be left.
    guarded(row("SHUTDOWN", Joining::Done)),
    row("SCRIPT|KILL", Joining::Able),
    row("FUNCTION|KILL", Joining::Able),
    signed("SCRIPT|SHOW", &[], Joining::Able),
    signed("CONFIG|GET", &[], Joining::Settings),
    row("ROLE", Joining::One),
    row("MEMORY|STATS", Joining::One),
    row("MEMORY|DOCTOR", Joining::One),
    row("LATENCY|DOCTOR", Joining::One),
    row("LATENCY|LATEST", Joining::One),
    row("FUNCTION|STATS", Joining::One),
    row("ACL|LIST", Joining::One),
    guarded(row("SWAPDB", Joining::One)),
];

/// What pools allow that allow dangerous commands.
pub const ALLOWED: [&str; 11] = [
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG",
    "SAVE",
    "BGSAVE",
    "BGREWRITEAOF",
    "ACL",
    "DEBUG",
    "FUNCTION",
    "SHUTDOWN",
    "SWAPDB",
];

/// What must come of something that all servers are asked.
#[derive(Clone, Debug)]
pub enum Fanned {
    /// Of the command in this row, with the request it names.
    Row(usize, Mark),
    /// That all keys are gone, by a command of this name that may name its request.
    Flushed(&'static str, Option<Mark>),
    /// A key that was there since then.
    Random(Micros),
}

/// How often something was asked of all servers of a pool.
#[derive(Clone, Debug, Default)]
struct Round {
    asked: u64,
    /// How often clients were told that all have done it.
    acked: u64,
    /// How often each server has.
    done: BTreeMap<usize, u64>,
}

/// See [`Round`]: for each command.
#[derive(Clone, Debug, Default)]
pub struct Rounds(BTreeMap<&'static str, Round>);

impl Rounds {
    /// A client asks.
    pub fn asked(&mut self, name: &'static str) {
        self.0.entry(name).or_default().asked += 1;
    }

    /// It was told that all servers have done it.
    pub fn acked(&mut self, name: &'static str) {
        self.0.entry(name).or_default().acked += 1;
    }

    /// A server does it.
    pub fn done(&mut self, name: &'static str, server: usize) {
        let round = self.0.entry(name).or_default();
        *round.done.entry(server).or_default() += 1;
    }

    /// What was done more often than asked for, or told more often than done by one of so many servers.
    pub fn wrong(&self, servers: usize) -> Option<String> {
        let is_wrong = |round: &Round| {
            let times = |server| round.done.get(&server).copied().unwrap_or_default();
            (0..servers)
                .map(times)
                .any(|times| times < round.acked || times > round.asked)
        };
        let mut wrong = self.0.iter().filter(|(_, round)| is_wrong(round));
        wrong
            .next()
            .map(|(name, round)| format!("{name}: {round:?}"))
    }
}

/// The words of a command's name.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split('|').filter(|word| *word != "*")
}

fn place_of(args: &[Vec<u8>]) -> Option<usize> {
    let fits = |row: &Row| {
        let said = args.iter().map(Vec::as_slice);
        let mut words = parts(row.name).zip(said.map(Some).chain(std::iter::repeat(None)));
        words
            .all(|(word, said)| said.is_some_and(|said| said.eq_ignore_ascii_case(word.as_bytes())))
    };
    ROWS.iter().position(fits)
}

/// What a pool answers to a command that it does not allow.
pub fn refusal(pool: &PoolPlan, name: &str, danger: Danger) -> Option<Vec<u8>> {
    let several = pool.config.servers.len() > 1;
    let why = match danger {
        _ if pool.config.commands.allows(name) => return None,
        Danger::Guarded => "is a guarded command: 'commands: allow' of this pool opens it",
        Danger::Several if several => {
            "is refused in a pool of several servers unless its configuration allows it"
        }
        _ => return None,
    };
    let words: Vec<&str> = parts(name).collect();
    let lower = words.join("|").to_ascii_lowercase();
    Some(format!("-ERR '{lower}' {why}\r\n").into_bytes())
}

impl Row {
    fn request(&self, mark: Mark) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = parts(self.name).map(Into::into).collect();
        words.extend(self.words.iter().map(|word| word.to_vec()));
        if self.signed {
            words.push(self.signature(mark));
        }
        if self.name == "SWAPDB" {
            words.extend([b"0".to_vec(), b"1".to_vec()]);
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        redis::request(&words)
    }

    fn signature(&self, mark: Mark) -> Vec<u8> {
        let head = match self.joining {
            // Of every other request all servers say the same.
            Joining::Settings if mark.seq.is_multiple_of(2) => "same:",
            Joining::Settings => "other:",
            _ => "",
        };
        format!("{head}{}", mark.number()).into_bytes()
    }

    fn mark(&self, args: &[Vec<u8>]) -> Option<Mark> {
        let last = args.last().filter(|_| self.signed)?;
        let digits = last.rsplit(|&byte| byte == b':').next()?;
        Mark::read(std::str::from_utf8(digits).ok()?.parse().ok()?)
    }

    /// The number a server has for it.
    fn number(&self, server: usize) -> i64 {
        match self.joining {
            // So that a sum tells whose are in it.
            Joining::Sum | Joining::Pairs => 1 << (4 * server),
            _ => ((server * 5 + self.name.len()) % 7) as i64,
        }
    }

    /// The names or rows of a server.
    fn names(&self, servers: &[usize], mark: Mark) -> Vec<String> {
        let of = |server: &usize| {
            let (server, number) = (*server, mark.number());
            (0..server % 3).map(move |row| format!("{server}:{row}:{number}"))
        };
        servers.iter().flat_map(of).collect()
    }

    /// One server's word, in a type that the command can have.
    fn by(&self, server: usize, version: Version) -> Vec<u8> {
        let text = match (self.name, version) {
            ("ACL|DELUSER", _) => format!(":{server}\r\n"),
            ("ROLE" | "LATENCY|LATEST" | "ACL|LIST", _) => format!("*1\r\n:{server}\r\n"),
            ("MEMORY|STATS" | "FUNCTION|STATS", Version::Two) => {
                format!("*2\r\n+by\r\n:{server}\r\n")
            }
            ("MEMORY|STATS" | "FUNCTION|STATS", Version::Three) => {
                format!("%1\r\n+by\r\n:{server}\r\n")
            }
            ("MEMORY|DOCTOR" | "LATENCY|DOCTOR", _) => {
                return redis::echo_bulk(format!("by {server}").as_bytes());
            }
            _ => format!("+by {server}\r\n"),
        };
        text.into_bytes()
    }

    /// What these servers say together, in that order. `able` has a bit for each that knows what is
    /// asked for.
    fn reply(&self, servers: &[usize], mark: Mark, able: u32, version: Version) -> Vec<u8> {
        let numbers = servers.iter().map(|&server| self.number(server));
        let number = |number: i64| format!(":{number}\r\n").into_bytes();
        let first = servers.first().copied().unwrap_or_default();
        match self.joining {
            Joining::Sum => number(numbers.sum()),
            Joining::Least => number(numbers.min().unwrap_or_default()),
            Joining::Most => number(numbers.max().unwrap_or_default()),
            Joining::Pairs => {
                let sum = number(numbers.sum());
                let asker = redis::echo_bulk(&self.signature(mark));
                [b"*4\r\n$1\r\nx\r\n", &sum[..], &asker, &sum].concat()
            }
            Joining::Rows => {
                let names = self.names(servers, mark);
                let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
                redis::request(&names)
            }
            Joining::Done => b"+OK\r\n".to_vec(),
            Joining::First | Joining::One => self.by(first, version),
            Joining::Able => match servers.iter().find(|&server| able >> server & 1 == 1) {
                None if self.signed => b"-NOSCRIPT No matching script.\r\n".to_vec(),
                None => b"-NOTBUSY No scripts in execution right now.\r\n".to_vec(),
                Some(server) if self.signed => {
                    redis::echo_bulk(format!("{server}:{}", mark.number()).as_bytes())
                }
                Some(_) => b"+OK\r\n".to_vec(),
            },
            Joining::Settings => {
                let name = self.signature(mark);
                let differs = name.starts_with(b"other:");
                if differs && servers.len() > 1 {
                    let name = String::from_utf8_lossy(&name);
                    let text = format!("-ERR the servers of this pool differ in '{name}'\r\n");
                    return text.into_bytes();
                }
                let head: &[u8] = match version {
                    Version::Two => b"*2\r\n",
                    Version::Three => b"%1\r\n",
                };
                let value = if differs {
                    first.to_string()
                } else {
                    "x".to_owned()
                };
                [
                    head,
                    &redis::echo_bulk(&name),
                    &redis::echo_bulk(value.as_bytes()),
                ]
                .concat()
            }
        }
    }
}

impl Server {
    /// Executes a command that goes to all servers; `None` for all others.
    pub(crate) fn execute_for_all(
        &mut self,
        scene: &mut Scene,
        args: &[Vec<u8>],
        version: Version,
    ) -> Option<Outcome> {
        if let Some(outcome) = self.flush(scene, args) {
            return Some(outcome);
        }
        if let Some(outcome) = self.random_key(scene, args, version) {
            return Some(outcome);
        }
        let row = &ROWS[place_of(args)?];
        let plan = &scene.plan.pools[self.pool];
        let config = &plan.config;
        let mark = row.mark(args);
        let named = mark.unwrap_or(Mark {
            conn: 0,
            seq: 0,
            part: 0,
        });
        let mut outcome = Outcome {
            reply: row.reply(&[self.number], named, plan.able, version),
            is_share: true,
            ..Outcome::default()
        };
        let joins = !matches!(row.joining, Joining::First | Joining::Able | Joining::One);
        // One that is alone passes on whatever it says.
        let is_one_of_several =
            config.servers.len() > 1 && (row.ordered || !config.auto_eject_hosts);
        outcome.is_fragment = joins && is_one_of_several;
        match row.joining {
            Joining::Able => {
                let part = self.number as u32;
                outcome.marks.extend(mark.map(|mark| Mark { part, ..mark }));
            }
            _ => outcome.everywhere = mark,
        }
        let is_sure = scene.plan.never_fails() && row.joining == Joining::Sum;
        if is_sure && scene.strikes(Plant::WrongShare) {
            outcome.reply = b":1234567\r\n".to_vec();
        }
        scene.ledger.rounds[self.pool].done(row.name, self.number);
        Some(outcome)
    }
}

impl Scene {
    /// What all servers were asked must have been done as often as was told, and not more often than was
    /// asked for.
    pub(crate) fn check_rounds(&mut self) {
        for pool in 0..self.plan.pools.len() {
            let servers = self.plan.pools[pool].config.servers.len();
            if let Some(wrong) = self.ledger.rounds[pool].wrong(servers) {
                self.ledger
                    .violate(self.now, format!("pool {pool}: {wrong}"));
            }
        }
    }
}

impl Client {
    /// Something that goes to all servers, now and then.
    pub(crate) fn compose_for_all(
        &mut self,
        scene: &mut Scene,
        seq: u32,
    ) -> Option<(Vec<u8>, Want)> {
        let plan = std::rc::Rc::clone(&scene.plan);
        let plan = &plan.pools[self.pool];
        if self.draw.permille(plan.wipes) {
            return Some(self.compose_flush(scene, seq));
        }
        let end = self.compose_end(scene);
        let end = end.and_then(|name| ROWS.iter().position(|row| row.name == name));
        let place = match end {
            Some(place) => place,
            None if !self.draw.permille(plan.fans) => return None,
            None if self.draw.one_in(8) => return Some(self.compose_random_key(scene)),
            None => self.draw.below(ROWS.len()),
        };
        let row = &ROWS[place];
        let mark = self.mark(seq, 0);
        let several = plan.config.servers.len() > 1;
        let refused = refusal(plan, row.name, row.danger);
        let refused = match row.joining {
            _ if refused.is_some() => refused,
            Joining::One if several => {
                let name = row.name.to_ascii_lowercase();
                let why = "has no one answer in a pool of several servers";
                Some(format!("-ERR '{name}' {why}\r\n").into_bytes())
            }
            _ => None,
        };
        let request = row.request(mark);
        if let Some(bytes) = refused {
            scene.ledger.forbid(self.conn, seq);
            return Some((request, Want::Bytes(bytes)));
        }
        if row.name == "SHUTDOWN" {
            return None;
        }
        scene.ledger.rounds[self.pool].asked(row.name);
        Some((request, Want::Fanned(Fanned::Row(place, mark))))
    }

    /// Whether a server of the pool may be out, and so left out.
    pub(crate) fn may_be_out(&self, scene: &Scene) -> bool {
        let config = &scene.plan.pools[self.pool].config;
        config.auto_eject_hosts && scene.ledger.totals.ejections > 0
    }

    /// Whether `raw` is what is wanted; if not, why.
    pub(crate) fn accept_fanned(
        &mut self,
        scene: &mut Scene,
        wanted: &Fanned,
        reply: &Reply<'_>,
        raw: &[u8],
    ) -> Result<(), &'static str> {
        let (row, mark) = match wanted {
            Fanned::Flushed(name, mark) => return self.flushed(scene, name, *mark, reply),
            Fanned::Random(since) => return self.accept_random_key(scene, *since, reply),
            Fanned::Row(place, mark) => (&ROWS[*place], *mark),
        };
        let plan = std::rc::Rc::clone(&scene.plan);
        let pool = &plan.pools[self.pool];
        let count = pool.config.servers.len();
        let is_it = |servers: &[usize]| raw == row.reply(servers, mark, pool.able, self.version);
        let all: Vec<usize> = (0..count).collect();
        let is_whole = row.ordered || !self.may_be_out(scene);
        if row.joining == Joining::Able {
            let explained = scene.ledger.is_explained(scene.now, self.pool, &Fault::ALL);
            let may_fail = explained || !is_whole;
            let fits = is_it(&all) || may_fail && subsets(count).any(|some| is_it(&some));
            // The model servers that know of something end it at any time.
            let ends = !row.signed && pool.able & ((1 << count) - 1) == 0;
            let fits = match ends {
                true => is_it(&all) || self.accept_end(scene, raw),
                false => fits || !row.signed && self.accept_end(scene, raw),
            };
            if !fits {
                return Err("another reply");
            }
            let asked = scene.ledger.parts(mark).count();
            if row.signed && asked < count {
                scene.ledger.count(joins::LEFT_OUT);
            }
        } else if is_whole {
            if !is_it(&all) {
                return Err("not what all servers say");
            }
            if row.signed {
                self.done_everywhere(scene, Some(mark))?;
            }
            scene.ledger.rounds[self.pool].acked(row.name);
        } else if !subsets(count).any(|some| is_it(&some)) {
            return Err("not what any of the servers say");
        }
        if count > 1 || row.joining == Joining::One {
            scene.ledger.count(row.name);
        }
        Ok(())
    }
}

/// Some of so many servers, in their order; at least one.
fn subsets(count: usize) -> impl Iterator<Item = Vec<usize>> {
    let some = move |bits: u32| (0..count).filter(move |server| bits >> server & 1 == 1);
    (1..1 << count).map(move |bits| some(bits).collect())
}
