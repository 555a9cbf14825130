//! Clients that load libraries of functions and call them, and servers that lose them.
//!
//! A library says which request loaded it, and what is called answers with that, the server it ran on and
//! what its key asks for, or what is stored there. Libraries belong to the servers of a pool, not to a
//! connection: who was told that his was loaded must find it wherever its key lives, or one that was loaded
//! later, unless a server removed it since, because it was told so or lost its data.

use std::collections::BTreeMap;

use nutcrab::config::CrossShard;
use nutcrab::route::Distribution;

use crate::agenda::Micros;
use crate::client::Client;
use crate::everywhere::{Danger, refusal};
use crate::judging::Want;
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::scene::Scene;
use crate::scripts;
use crate::server::Server;
use crate::sessions::Part;
use crate::store::Outcome;
use crate::value::{self, Mark, Shape};

/// Libraries that clients of a pool load.
const LIBRARIES: usize = 4;

/// One that nobody loads.
const NEVER: usize = LIBRARIES;

/// What must come of a request about functions.
#[derive(Clone, Debug)]
pub enum Functional {
    /// That a library was loaded by this request, which was made then; in the words of this command.
    Loaded(&'static str, usize, Mark, Micros),
    /// The same, if there was none of its name.
    LoadedIfNew(usize, Mark, Micros),
    /// That it was removed; and since when there is one for all the client knows.
    Deleted(usize, Option<Micros>),
    /// That all were, by a request that may be named.
    Flushed(Option<Mark>),
    /// What a function comes to for a key; and since when the client may rely on it.
    Called(usize, Argument, Option<Micros>),
    /// The same, if the keys of the request live together.
    CalledIfTogether(usize, Argument, Option<Micros>),
    /// That there is no such function.
    Missing,
    /// The names of all libraries, for this request; those of which the client knows that they are there.
    Listed(Mark, Vec<(usize, Micros)>),
}

impl Functional {
    /// The name of the command, if it is one that a pool must allow.
    fn guarded(&self) -> Option<&'static str> {
        match self {
            Functional::Loaded("FUNCTION|RESTORE", ..) => Some("FUNCTION|RESTORE"),
            Functional::Deleted(..) => Some("FUNCTION|DELETE"),
            Functional::Flushed(_) => Some("FUNCTION|FLUSH"),
            _ => None,
        }
    }
}

/// What a function is called for.
#[derive(Clone, Debug)]
pub enum Argument {
    /// An echo key.
    Echo(Vec<u8>),
    /// An owned key of the client's.
    Owned(usize),
    /// No key at all: what would be one stands behind them.
    Bare(Vec<u8>),
}

/// What is known of the libraries of a pool.
#[derive(Clone, Debug, Default)]
pub struct Shelves {
    /// When each was last loaded on some server, and by which request.
    loaded: BTreeMap<(usize, Mark), Micros>,
    /// When a server last removed the library of this number.
    gone: BTreeMap<usize, Micros>,
    /// The server that calls without keys go to.
    home: Option<i64>,
}

impl Shelves {
    fn was_removed_since(&self, library: usize, since: Micros) -> bool {
        self.gone.get(&library).is_some_and(|gone| *gone >= since)
    }

    fn was_ever_loaded(&self, library: usize) -> bool {
        self.loaded.keys().any(|(known, _)| *known == library)
    }

    fn was_loaded_since(&self, library: usize, mark: Mark, since: Micros) -> bool {
        let loaded = self.loaded.get(&(library, mark));
        loaded.is_some_and(|loaded| *loaded >= since)
    }
}

/// The libraries of a server, by number, each with the request that loaded it.
pub type Libraries = BTreeMap<usize, Mark>;

fn library(number: usize) -> String {
    format!("lib{number}")
}

fn code(number: usize, mark: Mark, padding: usize) -> Vec<u8> {
    let mut text = format!("#!lua name={}\n-- {} ", library(number), mark.number()).into_bytes();
    text.resize(text.len() + padding, b'.');
    text
}

/// The number behind `head`.
fn number<T: std::str::FromStr>(head: &str, text: &[u8]) -> Option<T> {
    std::str::from_utf8(text.strip_prefix(head.as_bytes())?)
        .ok()?
        .parse()
        .ok()
}

/// The number of a library and who loads it.
fn read_code(text: &[u8]) -> Option<(usize, Mark)> {
    let mut words = text.split(|&byte| byte == b' ' || byte == b'\n');
    let name = words.find_map(|word| number("name=lib", word))?;
    let mark = words.find_map(|word| number("", word))?;
    Some((name, Mark::read(mark)?))
}

/// What a function comes to.
fn result(loaded: Mark, server: usize, argument: &[u8]) -> Vec<u8> {
    let head = format!("*3\r\n:{}\r\n:{server}\r\n", loaded.number());
    [head.as_bytes(), argument].concat()
}

impl Server {
    /// Executes what is about functions; `None` for everything else.
    pub(crate) fn execute_function(
        &mut self,
        scene: &mut Scene,
        args: &[Vec<u8>],
        version: Version,
    ) -> Option<Result<Outcome, String>> {
        let word = |place: usize| args.get(place).map(|word| word.to_ascii_uppercase());
        match (word(0)?.as_slice(), word(1).as_deref()) {
            (b"FCALL" | b"FCALL_RO", _) => Some(self.call(scene, args, version)),
            (b"FUNCTION", Some(b"KILL" | b"STATS")) => None,
            (b"FUNCTION", Some(b"LIST")) => Some(self.list_libraries(args)),
            (b"FUNCTION", Some(name)) => Some(self.keep_functions(scene, name, args)),
            _ => None,
        }
    }

    fn keep_functions(
        &mut self,
        scene: &mut Scene,
        name: &[u8],
        args: &[Vec<u8>],
    ) -> Result<Outcome, String> {
        const STRANGE: &str = "a strange FUNCTION";
        const OK: &[u8] = b"+OK\r\n";
        let several = scene.plan.pools[self.pool].config.servers.len() > 1;
        let mut outcome = Outcome {
            is_share: true,
            ..Outcome::default()
        };
        let replaces =
            |word: Option<&Vec<u8>>| word.is_some_and(|word| word.eq_ignore_ascii_case(b"REPLACE"));
        let (known, reply, mark) = match name {
            b"LOAD" | b"RESTORE" => {
                let is_load = name == b"LOAD";
                let text = if is_load { args.last() } else { args.get(2) };
                let (number, mark) = text.and_then(|text| read_code(text)).ok_or(STRANGE)?;
                let replaces = replaces(if is_load { args.get(2) } else { args.get(3) });
                let is_there = self.store.libraries.contains_key(&number);
                let known = if is_load {
                    "FUNCTION|LOAD"
                } else {
                    "FUNCTION|RESTORE"
                };
                if is_there && !replaces {
                    let text = format!("-ERR Library '{}' already exists\r\n", library(number));
                    let part = self.number as u32;
                    outcome.marks.push(Mark { part, ..mark });
                    (known, text.into_bytes(), None)
                } else {
                    self.store.libraries.insert(number, mark);
                    let shelves = &mut scene.ledger.libraries[self.pool];
                    shelves.loaded.insert((number, mark), scene.now);
                    let name = redis::echo_bulk(library(number).as_bytes());
                    let reply = if is_load { name } else { OK.to_vec() };
                    outcome.is_fragment = several && !is_load;
                    (known, reply, Some(mark))
                }
            }
            b"DELETE" => {
                outcome.is_fragment = several;
                let number = args.get(2).and_then(|name| number("lib", name));
                let number: usize = number.ok_or(STRANGE)?;
                let reply = match self.store.libraries.remove(&number) {
                    Some(_) => {
                        let gone = &mut scene.ledger.libraries[self.pool].gone;
                        gone.insert(number, scene.now);
                        OK.to_vec()
                    }
                    None => b"-ERR Library not found\r\n".to_vec(),
                };
                ("FUNCTION|DELETE", reply, None)
            }
            b"FLUSH" => {
                outcome.is_fragment = several;
                let mark = args
                    .get(2)
                    .and_then(|digits| Mark::read(number("", digits)?));
                self.lose_functions(scene);
                ("FUNCTION|FLUSH", OK.to_vec(), mark)
            }
            _ => return Err(STRANGE.into()),
        };
        scene.ledger.rounds[self.pool].done(known, self.number);
        outcome.reply = reply;
        outcome.everywhere = mark;
        Ok(outcome)
    }

    /// Has no functions any more.
    pub(crate) fn lose_functions(&mut self, scene: &mut Scene) {
        let gone = &mut scene.ledger.libraries[self.pool].gone;
        let lost = std::mem::take(&mut self.store.libraries);
        gone.extend(lost.into_keys().map(|number| (number, scene.now)));
    }

    /// The libraries, for the request that says who asks in the place of a pattern.
    fn list_libraries(&self, args: &[Vec<u8>]) -> Result<Outcome, String> {
        let mark = args
            .get(3)
            .and_then(|digits| Mark::read(number("", digits)?));
        let mark = mark.ok_or("FUNCTION LIST for nobody")?;
        let names = self.store.libraries.keys().map(|number| library(*number));
        let names: Vec<String> = names.collect();
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let tail = format!(":{}\r\n", mark.number());
        Ok(Outcome {
            reply: [b"*2\r\n", &redis::request(&names)[..], tail.as_bytes()].concat(),
            marks: vec![mark],
            ..Outcome::default()
        })
    }

    fn call(
        &mut self,
        scene: &mut Scene,
        args: &[Vec<u8>],
        version: Version,
    ) -> Result<Outcome, String> {
        let [_, name, _, key, ..] = args else {
            return Err("a function that is called for nobody".into());
        };
        let number: usize = number("fn", name).ok_or("a strange function")?;
        let mut outcome = Outcome::default();
        let Some(&(mut loaded)) = self.store.libraries.get(&number) else {
            outcome.reply = b"-ERR Function not found\r\n".to_vec();
            return Ok(outcome);
        };
        let others = self.store.libraries.iter();
        let mut others = others.filter(|(other, _)| **other != number);
        if let Some((_, other)) = others.next()
            && scene.strikes(Plant::OtherFunction)
        {
            loaded = *other;
        }
        let argument = match value::read_echo(key) {
            Some(echo) => {
                outcome.marks.push(echo.mark);
                redis::reply_to(key, version)
            }
            None => match self.store.values.get(key) {
                Some(value) => redis::echo_bulk(value),
                None => version.nothing(b"$-1\r\n").to_vec(),
            },
        };
        outcome.reply = result(loaded, self.number, &argument);
        Ok(outcome)
    }
}

impl Client {
    /// A request about functions, now and then.
    pub(crate) fn compose_function(
        &mut self,
        scene: &mut Scene,
        seq: u32,
    ) -> Option<(Vec<u8>, Want)> {
        let plan = std::rc::Rc::clone(&scene.plan);
        let plan = &plan.pools[self.pool];
        if !self.draw.permille(plan.functions) {
            return None;
        }
        let number = scripts::pick(&mut self.draw, &self.libraries, LIBRARIES);
        let mark = self.mark(seq, 0);
        let draw = self.draw.below(20);
        let (request, wanted) = match draw {
            0..7 => self.compose_loading(scene, number, mark),
            7 => {
                let name = library(number);
                scene.ledger.rounds[self.pool].asked("FUNCTION|DELETE");
                let request = redis::request(&[b"FUNCTION", b"delete", name.as_bytes()]);
                let known = self.libraries.get(&number).copied();
                (request, Functional::Deleted(number, known))
            }
            8 if plan.flushes => {
                let digits = mark.number().to_string();
                let is_named = self.draw.one_in(2);
                let word = if is_named {
                    digits.as_bytes()
                } else {
                    b"ASYNC"
                };
                scene.ledger.rounds[self.pool].asked("FUNCTION|FLUSH");
                let request = redis::request(&[b"function", b"FLUSH", word]);
                (request, Functional::Flushed(is_named.then_some(mark)))
            }
            9 => {
                let digits = mark.number().to_string();
                let words = [b"FUNCTION", &b"LIST"[..], b"LIBRARYNAME", digits.as_bytes()];
                let known = self
                    .libraries
                    .iter()
                    .map(|(number, since)| (*number, *since));
                let known = known.collect();
                (redis::request(&words), Functional::Listed(mark, known))
            }
            _ => self.compose_call(scene, number, seq),
        };
        if let Some(name) = wanted.guarded()
            && let Some(bytes) = refusal(plan, name, Danger::Guarded)
        {
            scene.ledger.forbid(self.conn, seq);
            return Some((request, Want::Bytes(bytes)));
        }
        Some((request, Want::Functional(wanted)))
    }

    fn compose_loading(
        &mut self,
        scene: &mut Scene,
        number: usize,
        mark: Mark,
    ) -> (Vec<u8>, Functional) {
        let padding = self.draw.pick(&[0, 100, 1000, 5000]);
        let text = code(number, mark, padding);
        let (name, words, wanted): (_, Vec<&[u8]>, _) = match self.draw.below(4) {
            0 => (
                "FUNCTION|LOAD",
                vec![b"FUNCTION", b"LOAD", &text],
                Functional::LoadedIfNew(number, mark, scene.now),
            ),
            1 => (
                "FUNCTION|RESTORE",
                vec![b"FUNCTION", b"restore", &text, b"REPLACE"],
                Functional::Loaded("FUNCTION|RESTORE", number, mark, scene.now),
            ),
            _ => (
                "FUNCTION|LOAD",
                vec![b"function", b"Load", b"replace", &text],
                Functional::Loaded("FUNCTION|LOAD", number, mark, scene.now),
            ),
        };
        scene.ledger.rounds[self.pool].asked(name);
        (redis::request(&words), wanted)
    }

    /// A call without keys, as a part of a transaction that has none.
    pub(crate) fn compose_bare_call(&mut self, seq: u32) -> (Vec<u8>, Part) {
        let number = self.draw.below(LIBRARIES);
        let key = self.echo(seq, 0, Shape::Value, 20);
        let known = self.libraries.get(&number).copied();
        let name = format!("fn{number}");
        let request = redis::request(&[b"FCALL", name.as_bytes(), b"0", &key]);
        (request, Part::Called(number, Argument::Bare(key), known))
    }

    fn compose_call(&mut self, scene: &Scene, number: usize, seq: u32) -> (Vec<u8>, Functional) {
        let shapes = [Shape::Value, Shape::Nil, Shape::Map, Shape::Status];
        let shape = self.draw.pick(&shapes);
        let size = self.draw.spread(0, 500);
        let key = self.echo(seq, 0, shape, size);
        let known = self.libraries.get(&number).copied();
        let name = format!("fn{number}");
        let name = name.as_bytes();
        let command: &[u8] = if self.draw.one_in(4) {
            b"fcall_ro"
        } else {
            b"FCALL"
        };
        match self.draw.below(12) {
            0 => {
                let name = format!("fn{NEVER}");
                let request = redis::request(&[command, name.as_bytes(), b"1", &key]);
                (request, Functional::Missing)
            }
            1 => {
                let other = self.echo(seq, 1, Shape::Value, 10);
                let request = redis::request(&[command, name, b"2", &key, &other]);
                let key = Argument::Echo(key);
                let wanted = match scene.plan.pools[self.pool].config.cross_shard {
                    CrossShard::Refuse => Functional::CalledIfTogether(number, key, known),
                    CrossShard::FirstKey => Functional::Called(number, key, known),
                };
                (request, wanted)
            }
            2 | 3 => {
                let request = redis::request(&[command, name, b"0", &key]);
                (
                    request,
                    Functional::Called(number, Argument::Bare(key), known),
                )
            }
            // What was stored may be large.
            4..7 if !self.goes_easy(scene) => {
                let owned = self.draw.below(self.owned.len());
                let request = redis::request(&[command, name, b"1", &self.owned[owned].key]);
                (
                    request,
                    Functional::Called(number, Argument::Owned(owned), known),
                )
            }
            _ => {
                let request = redis::request(&[command, name, b"1", &key, b"x"]);
                (
                    request,
                    Functional::Called(number, Argument::Echo(key), known),
                )
            }
        }
    }

    /// Whether `raw` is what is wanted; if not, why.
    pub(crate) fn accept_functional(
        &mut self,
        scene: &mut Scene,
        wanted: &Functional,
        reply: &Reply<'_>,
        raw: &[u8],
    ) -> Result<(), &'static str> {
        const OTHER: &str = "another kind of reply";
        let several = scene.plan.pools[self.pool].config.servers.len() > 1;
        let shelves = &scene.ledger.libraries[self.pool];
        let (name, mark) = match (wanted, reply) {
            (Functional::Loaded(name, number, mark, asked), _) => {
                let expected = match *name {
                    "FUNCTION|LOAD" => redis::echo_bulk(library(*number).as_bytes()),
                    _ => b"+OK\r\n".to_vec(),
                };
                if raw != expected {
                    return Err(OTHER);
                }
                self.libraries.insert(*number, *asked);
                (*name, Some(*mark))
            }
            (Functional::LoadedIfNew(number, mark, asked), Reply::Bulk(Some(name))) => {
                if *name != library(*number).as_bytes() {
                    return Err("another name");
                }
                self.libraries.insert(*number, *asked);
                ("FUNCTION|LOAD", Some(*mark))
            }
            (Functional::LoadedIfNew(number, mark, _), Reply::Error(text))
                if text.ends_with(b" already exists") =>
            {
                let was_tried = scene.ledger.parts(*mark).next().is_some();
                let fits = was_tried && shelves.was_ever_loaded(*number);
                return if fits { Ok(()) } else { Err("there is none") };
            }
            (Functional::Deleted(number, _), Reply::Status(b"OK")) => {
                self.libraries.remove(number);
                ("FUNCTION|DELETE", None)
            }
            (Functional::Deleted(number, known), Reply::Error(b"ERR Library not found")) => {
                return match known {
                    Some(since) if !shelves.was_removed_since(*number, *since) => {
                        Err("the library was loaded")
                    }
                    _ => Ok(()),
                };
            }
            (Functional::Flushed(mark), Reply::Status(b"OK")) => {
                self.libraries.clear();
                ("FUNCTION|FLUSH", *mark)
            }
            (Functional::CalledIfTogether(..), Reply::Error(text))
                if several && text.starts_with(b"CROSSSLOT ") =>
            {
                return Ok(());
            }
            (Functional::Missing, Reply::Error(b"ERR Function not found")) => return Ok(()),
            (
                Functional::Called(number, argument, known)
                | Functional::CalledIfTogether(number, argument, known),
                _,
            ) => return self.accept_call(scene, (*number, argument, *known), reply),
            (Functional::Listed(mark, known), Reply::Array(Some(found))) => {
                let [Reply::Array(Some(names)), Reply::Number(asker)] = &found[..] else {
                    return Err(OTHER);
                };
                let is_told = |number: &usize| {
                    names.contains(&Reply::Bulk(Some(library(*number).as_bytes())))
                };
                let mut missing = known.iter().filter(|(number, since)| {
                    !is_told(number) && !shelves.was_removed_since(*number, *since)
                });
                if missing.next().is_some() {
                    return Err("a library is missing");
                }
                if *asker != mark.number() {
                    return Err("another's list");
                }
                scene.ledger.count("lists of functions");
                return Ok(());
            }
            _ => return Err(OTHER),
        };
        self.done_everywhere(scene, mark)?;
        scene.ledger.rounds[self.pool].acked(name);
        if several {
            scene.ledger.count(name);
        }
        Ok(())
    }

    /// Whether it is what a function of this library comes to.
    pub(crate) fn accept_call(
        &self,
        scene: &mut Scene,
        (library, argument, known): (usize, &Argument, Option<Micros>),
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let shelves = &scene.ledger.libraries[self.pool];
        if *reply == Reply::Error(b"ERR Function not found") {
            let is_sure = |since| !shelves.was_removed_since(library, since);
            if known.is_some_and(is_sure) {
                return Err("the library was loaded");
            }
            scene.ledger.count("functions that were not there");
            return Ok(());
        }
        let Reply::Array(Some(found)) = reply else {
            return Err("another kind of reply");
        };
        let [Reply::Number(loaded), Reply::Number(server), value] = &found[..] else {
            return Err("another kind of array");
        };
        let loaded = Mark::read(*loaded).ok_or("loaded by nobody")?;
        if !shelves.was_loaded_since(library, loaded, known.unwrap_or(0)) {
            return Err("another function, or one that was replaced");
        }
        match argument {
            Argument::Echo(key) | Argument::Bare(key) => {
                let echo = redis::reply_to(key, self.version);
                let echo = redis::read_reply(&echo, self.version).ok().flatten();
                if echo.is_none_or(|(echo, _)| echo != *value) {
                    return Err("another result");
                }
            }
            Argument::Owned(number) => match value {
                Reply::Bulk(bulk) => self.fetched(scene, *number, *bulk)?,
                _ => return Err("no value"),
            },
        }
        scene.ledger.count(match argument {
            Argument::Bare(_) => "functions called without keys",
            _ => "functions called",
        });
        match argument {
            Argument::Bare(_) => self.keep_home(scene, *server),
            _ => Ok(()),
        }
    }

    /// What has no keys must go to the same server always.
    fn keep_home(&self, scene: &mut Scene, server: i64) -> Result<(), &'static str> {
        let config = &scene.plan.pools[self.pool].config;
        let moves = config.distribution == Distribution::Random || self.may_be_out(scene);
        let home = &mut scene.ledger.libraries[self.pool].home;
        match home.replace(server) {
            Some(other) if other != server && !moves => Err("on another server than before"),
            _ => Ok(()),
        }
    }
}
