//! Clients that run scripts, and servers that lose them.
//!
//! A script says its own number, and what it is run for names a request like any other echo key: so a
//! reply tells which script ran, and for whom. Model servers forget scripts when they restart and when
//! they are told to. A client that has loaded a script must find it from then on, wherever it runs: the
//! proxy loads it again. It need not if somebody had scripts flushed meanwhile, or if the client has asked
//! something behind it and a server may have lost it.

use std::collections::BTreeMap;

use nutcrab::config::CrossShard;

use crate::agenda::Micros;
use crate::client::Client;
use crate::draw::{Draw, digest};
use crate::judging::Want;
use crate::ledger::{Fault, Ledger};
use crate::redis::{self, Reply, Version};
use crate::scene::{Phase, Scene};
use crate::value::Shape;

/// Scripts that clients of a pool load.
const SCRIPTS: usize = 6;

/// One that nobody loads.
const NEVER: usize = SCRIPTS;

/// What must come of a request about scripts.
#[derive(Clone, Debug)]
pub enum Scripted {
    /// That this one was loaded, as was asked for then.
    Loaded(usize, Micros),
    /// What it comes to for this key; and since when the client may rely on its being there.
    Ran(usize, Vec<u8>, Option<Micros>),
    /// The same, if the keys of the request live together.
    RanIfTogether(usize, Vec<u8>, Option<Micros>),
    /// That there is no such script.
    Missing,
    /// Whether it is there, of two of which the second is not.
    Exists(Option<Micros>),
    /// That all were forgotten.
    Flushed,
}

/// What is known of the scripts of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shelf {
    /// Requests under way that may forget them.
    flushing: u32,
    /// Until when such a request, or what may still come of it, explains that one is missing.
    flushed: Option<Micros>,
}

impl Shelf {
    /// A server was told to forget its scripts.
    pub fn flush(&mut self, until: Micros) {
        self.flushed = self.flushed.max(Some(until));
    }

    fn was_flushed_since(&self, since: Micros) -> bool {
        self.flushing > 0 || self.flushed.is_some_and(|flushed| flushed >= since)
    }
}

/// The text of a script of a pool.
fn body(pool: usize, number: usize) -> Vec<u8> {
    let mut text = format!("return 'script {number} of pool {pool}' -- ").into_bytes();
    text.resize(text.len() + [0, 100, 1000, 5000][number % 4], b'.');
    text
}

/// What servers call a script. How they find the name is their own business.
pub fn name(body: &[u8]) -> Vec<u8> {
    let first = digest(body);
    let second = digest(&first.to_le_bytes()) as u32;
    let third = digest(&second.to_le_bytes());
    format!("{first:016x}{second:08x}{third:016x}").into_bytes()
}

/// What a script comes to for a key.
pub fn result(body: &[u8], key: &[u8], version: Version) -> Vec<u8> {
    let mut reply = b"*2\r\n".to_vec();
    reply.extend(redis::echo_bulk(&body[..body.len().min(60)]));
    reply.extend(redis::reply_to(key, version));
    reply
}

/// The negative control: another script's result.
pub fn mix_up(reply: &mut [u8]) {
    const WORD: &[u8] = b"'script ";
    let found = reply.windows(WORD.len()).position(|window| window == WORD);
    if let Some(digit) = found.and_then(|at| reply.get_mut(at + WORD.len())) {
        *digit ^= 1;
    }
}

/// The scripts, or libraries of functions, that a client was told are loaded, and when it asked for that.
pub type Known = BTreeMap<usize, Micros>;

/// One of `all`, mostly one that is known.
pub fn pick(draw: &mut Draw, known: &Known, all: usize) -> usize {
    let any = draw.below(all);
    if known.is_empty() || draw.one_in(3) {
        return any;
    }
    let known: Vec<usize> = known.keys().copied().collect();
    draw.pick(&known)
}

impl Client {
    /// A request about scripts, now and then.
    pub(crate) fn compose_script(
        &mut self,
        scene: &mut Scene,
        seq: u32,
    ) -> Option<(Vec<u8>, Want)> {
        let plan = std::rc::Rc::clone(&scene.plan);
        let plan = &plan.pools[self.pool];
        if !self.draw.permille(plan.scripts) {
            return None;
        }
        let number = pick(&mut self.draw, &self.scripts, SCRIPTS);
        let known = self.scripts.get(&number).copied();
        let text = body(self.pool, number);
        let mut digits = name(&text);
        if self.draw.one_in(3) {
            digits.make_ascii_uppercase();
        }
        let shape = self
            .draw
            .pick(&[Shape::Value, Shape::Nil, Shape::Map, Shape::Status]);
        let size = self.draw.spread(0, 500);
        let key = self.echo(seq, 0, shape, size);
        let readonly = self.draw.one_in(4);
        let command: &[u8] = if readonly { b"evalsha_ro" } else { b"EVALSHA" };
        let (request, wanted) = match self.draw.below(20) {
            0..4 => {
                let request = redis::request(&[b"SCRIPT", b"load", &text]);
                (request, Scripted::Loaded(number, scene.now))
            }
            4 | 5 => {
                let command: &[u8] = if readonly { b"EVAL_RO" } else { b"eval" };
                let request = redis::request(&[command, &text, b"1", &key]);
                // It is told whole, and needs nobody to know it.
                (request, Scripted::Ran(number, key, Some(Micros::MAX)))
            }
            6 => {
                let digits = name(&body(self.pool, NEVER));
                (
                    redis::request(&[command, &digits, b"1", &key]),
                    Scripted::Missing,
                )
            }
            7 => {
                let never = name(&body(self.pool, NEVER));
                let request = redis::request(&[b"SCRIPT", b"EXISTS", &digits, &never]);
                (request, Scripted::Exists(known))
            }
            8 if plan.flushes && scene.phase == Phase::Faults => {
                scene.ledger.shelves[self.pool].flushing += 1;
                (redis::request(&[b"SCRIPT", b"FLUSH"]), Scripted::Flushed)
            }
            9 => {
                let other = self.echo(seq, 1, Shape::Value, 10);
                let request = redis::request(&[command, &digits, b"2", &key, &other]);
                let wanted = match plan.config.cross_shard {
                    CrossShard::Refuse => Scripted::RanIfTogether(number, key, known),
                    CrossShard::FirstKey => Scripted::Ran(number, key, known),
                };
                (request, wanted)
            }
            // Without keys; what it is run for is told all the same.
            10 => {
                let request = redis::request(&[command, &digits, b"0", &key]);
                (request, Scripted::Ran(number, key, known))
            }
            _ => {
                let request = redis::request(&[command, &digits, b"1", &key, b"x"]);
                (request, Scripted::Ran(number, key, known))
            }
        };
        Some((request, Want::Scripted(wanted)))
    }

    /// Whether `raw` is what is wanted; if not, why.
    pub(crate) fn accept_scripted(
        &mut self,
        scene: &mut Scene,
        wanted: &Scripted,
        reply: &Reply<'_>,
        raw: &[u8],
    ) -> Result<(), &'static str> {
        let several = scene.plan.pools[self.pool].config.servers.len() > 1;
        let holds = |right: bool| if right { Ok(()) } else { Err("another reply") };
        match (wanted, reply) {
            (Scripted::Loaded(number, asked), Reply::Bulk(Some(text))) => {
                self.scripts.insert(*number, *asked);
                holds(*text == name(&body(self.pool, *number)))
            }
            (Scripted::RanIfTogether(..), Reply::Error(text))
                if several && text.starts_with(b"CROSSSLOT ") =>
            {
                Ok(())
            }
            (
                Scripted::Ran(_, _, known) | Scripted::RanIfTogether(_, _, known),
                Reply::Error(text),
            ) if text.starts_with(b"NOSCRIPT ") => {
                let Some(known) = *known else {
                    scene.ledger.count("scripts that were not there");
                    return Ok(());
                };
                if !self.may_be_missing(scene, known) {
                    return Err("the script was loaded");
                }
                scene.ledger.count("scripts that were lost");
                Ok(())
            }
            (
                Scripted::Ran(number, key, known) | Scripted::RanIfTogether(number, key, known),
                _,
            ) => {
                if known.is_some() {
                    scene.ledger.count("scripts that ran");
                }
                holds(raw == result(&body(self.pool, *number), key, self.version))
            }
            (Scripted::Missing, Reply::Error(text)) => holds(text.starts_with(b"NOSCRIPT ")),
            (Scripted::Exists(known), Reply::Array(Some(found))) => {
                let surely = known.is_some_and(|since| {
                    !scene.ledger.shelves[self.pool].was_flushed_since(since)
                        && !scene.ledger.has_ever(self.pool, &Fault::OF_SERVERS)
                });
                let is_there = found.first() == Some(&Reply::Number(1));
                let may_be = is_there || !surely && found.first() == Some(&Reply::Number(0));
                holds(found.len() == 2 && may_be && found[1] == Reply::Number(0))
            }
            (Scripted::Flushed, Reply::Status(b"OK")) => {
                let shelf = &mut scene.ledger.shelves[self.pool];
                shelf.flushing -= 1;
                shelf.flush(scene.now);
                scene.ledger.count("scripts flushed");
                Ok(())
            }
            _ => Err("another kind of reply"),
        }
    }

    /// Whether a script that the client loaded may be found nowhere.
    pub(crate) fn may_be_missing(&self, scene: &Scene, since: Micros) -> bool {
        let ledger = &scene.ledger;
        let is_cramped = scene.plan.limits.scripts < 1024 * 1024;
        let followed = !self.waiting.is_empty();
        let briefly = [Fault::Loading, Fault::Busy, Fault::Memory];
        // To be loaded again it must be lost somewhere, and there must be a reason not to.
        ledger.shelves[self.pool].was_flushed_since(since)
            || ledger.has_ever(self.pool, &Fault::OF_SERVERS)
                && (followed || is_cramped || ledger.is_explained(scene.now, self.pool, &briefly))
    }
}

impl Scripted {
    /// The outcome will never be known.
    pub fn give_up(&self, ledger: &mut Ledger, now: Micros, pool: usize) {
        if matches!(self, Scripted::Flushed) {
            let until = now + ledger.slack();
            let shelf = &mut ledger.shelves[pool];
            shelf.flushing -= 1;
            shelf.flush(until);
        }
    }
}
