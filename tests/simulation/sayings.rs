//! Clients whose scripts have servers say whatever a server may say, and judge it by its bytes.
//!
//! The replies are those of the grammar that the fuzz targets are given (`fuzz/src/grammar.rs`): lines of any
//! length, thousands of levels, big numbers that are none, attributes, nothing in all its forms. What is said
//! follows from the key of the request and the version of the protocol, so both ends know it: each client
//! must receive exactly what its server said, whether or not a reader of its own would understand it. Between
//! the replies servers say things of their own that nobody asked for, of any shape as well. None of it may
//! cost a connection or count as a failure of the server.

use nutcrab::protocol;
use nutcrab::proxy::PoolIndex;

use crate::bytes::Bytes;
use crate::client::Client;
use crate::draw::{Draw, digest, fill};
use crate::grammar::{self, Speech};
use crate::heed::blame;
use crate::judging::{Owed, Want};
use crate::plant::Plant;
use crate::redis::{self, Version};
use crate::scene::Scene;
use crate::store::Outcome;
use crate::value::{self, Echo, Shape};

/// Counted when such a reply was received as it was said.
pub const SAID: &str = "replies of any legal shape";

/// Attempts to find one that is not longer than it may be.
const ATTEMPTS: u64 = 8;

/// What a server says to the request with this key.
pub fn reply(key: &[u8], echo: Echo, version: Version) -> Vec<u8> {
    let spoken = said(digest(key), echo.size, version, |first| first != b'>');
    spoken.unwrap_or_else(|| redis::echo_bulk(&value::make(key, echo.mark, 0)))
}

/// What a server says on its own account, in RESP3.
pub fn push(draw: &mut Draw) -> Vec<u8> {
    const INVALIDATE: &[u8] = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n";
    let seed = draw.next();
    // Most of what is drawn is no push, and messages are none that may be left out.
    let spoken = said(seed, 4000, Version::Three, |first| first == b'>');
    spoken.unwrap_or_else(|| INVALIDATE.to_vec())
}

/// Something that may be said, of at most so many bytes, and beginning with a fitting one.
fn said(seed: u64, most: usize, version: Version, fits: fn(u8) -> bool) -> Option<Vec<u8>> {
    let speech = Speech::Redis(match version {
        Version::Two => protocol::Version::Resp2,
        Version::Three => protocol::Version::Resp3,
    });
    (0..ATTEMPTS).find_map(|attempt| {
        let mut bytes = [0; 64];
        fill(seed ^ attempt << 56, &mut bytes);
        let len = 2 + usize::from(bytes[0]) % 62;
        let spoken = grammar::Reply::new(speech, &mut Bytes::new(&bytes[1..=len])).bytes;
        (spoken.len() <= most && fits(spoken[0])).then_some(spoken)
    })
}

/// Whether what came is what is said, or the start of it.
pub fn begin_alike(said: &[u8], came: &[u8]) -> bool {
    said.iter().zip(came).all(|(said, came)| said == came)
}

/// Bytes that must have come before it is worth a look whether all of it did. Errors of the proxy's begin
/// like others.
pub fn least(said: &[u8], came: &[u8]) -> usize {
    const TELLING: usize = 64;
    match came.len() < TELLING {
        true => came.len() + 1,
        false => said.len(),
    }
}

/// Whether this is the key of such a request.
pub fn is_asked_in(key: &[u8]) -> bool {
    value::read_echo(key).is_some_and(|echo| echo.shape == Shape::Legal)
}

/// Whether what a script answers to this command is for its key to say.
fn is_said(args: &[Vec<u8>]) -> bool {
    args.iter().any(|arg| is_asked_in(arg))
}

impl Client {
    /// A script that says something, now and then.
    pub(crate) fn compose_saying(&mut self, scene: &Scene, seq: u32) -> Option<(Vec<u8>, Want)> {
        if !self.draw.permille(scene.plan.pools[self.pool].sayings) {
            return None;
        }
        // Long ones take their time, which not every plan gives.
        let plan = &scene.plan;
        let most = match plan.is_heavy() {
            true if !self.goes_easy(scene) && self.draw.one_in(8) => 300_000,
            false if plan.chunk >= 16 * 1024 => self.draw.pick(&[200, 20_000]),
            _ => 2000,
        };
        let key = self.echo(seq, 0, Shape::Legal, most);
        let request = match self.draw.below(4) {
            0 => redis::request(&[b"sim.echo", &key]),
            1 => redis::request(&[b"eval_ro", b"return", b"1", &key]),
            _ => redis::request(&[b"EVAL", b"return", b"1", &key]),
        };
        Some((request, Want::Echo(key)))
    }

    /// What the next reply must be to the byte, if that is known.
    pub(crate) fn saying_of_next(&self, scene: &Scene) -> Option<Vec<u8>> {
        let mut waiting = self.waiting.iter();
        let next = waiting.find(|pending| matches!(pending.owed, Owed::Reply))?;
        let Want::Echo(key) = &next.want else {
            return None;
        };
        let echo = value::read_echo(key).filter(|echo| echo.shape == Shape::Legal)?;
        Some(reply(key, echo, self.version_of_next(scene)))
    }
}

impl Scene {
    /// The negative control: what was said is held against the server.
    pub(crate) fn plant_blame(&mut self, pool: usize, args: &[Vec<u8>]) {
        if self.plant == Some(Plant::Blame) && is_said(args) && self.strikes(Plant::Blame) {
            blame(self, PoolIndex(pool as u16), "it was planted");
        }
    }

    /// The negative control: a script's reply becomes another that could have been said as well.
    pub(crate) fn plant_in_saying(&mut self, args: &[Vec<u8>], outcome: &mut Outcome) {
        let may = self.plant == Some(Plant::Paraphrase) && is_said(args);
        if !may || outcome.reply == b"+OK\r\n" || !self.strikes(Plant::Paraphrase) {
            return;
        }
        outcome.reply = b"+OK\r\n".to_vec();
    }
}
