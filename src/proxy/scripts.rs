//! Scripts that clients loaded, to be loaded again into a server that lost them.
//!
//! SCRIPT LOAD goes to every server that is live. One that was out then, or was restarted since, does
//! not know the script; its `-NOSCRIPT` is not passed on if the script is here, but answered by loading
//! it and asking again.

use std::collections::{HashMap, VecDeque};

use super::Proxy;
use super::exchange::{Exchange, Fanout};
use super::ids::{ClientId, PoolIndex};
use super::link::InFlight;
use super::request::Request;
use super::session::Mute;
use crate::buffer::{Input, Queue};
use crate::protocol::{Answer, Merge, Topic};
use crate::route::ServerIndex;
use crate::stats::{Stats, WorkerStats};

/// Longest request that loads a remembered script.
pub(super) const SCRIPT_MAX: usize = 64 * 1024;

/// How a server says that it does not know a script.
const NO_SCRIPT: &[u8] = b"-NOSCRIPT";

/// A script's SHA-1 in lower-case digits, as clients and servers name it.
pub(super) type Digest = [u8; 40];

/// The scripts of one pool.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// The requests that load them.
    loads: HashMap<Digest, Box<[u8]>>,
    /// Oldest first.
    order: VecDeque<Digest>,
    bytes: usize,
    /// How often all were to be forgotten, on all workers, by what is here.
    flushes: i64,
}

impl Scripts {
    /// All servers have done what a request about scripts asks for, if it is one.
    ///
    /// `flushes` counts how often all were to be forgotten, on all workers.
    #[inline]
    pub fn observe(&mut self, fanout: &mut Fanout, limit: usize, flushes: impl FnOnce() -> i64) {
        match (fanout.merge, fanout.request.take(), fanout.replies.first()) {
            (Merge::Script, Some(load), Some(reply)) => {
                self.observe_flushes(flushes());
                self.remember(load, &reply.bytes, limit);
            }
            (Merge::Forget, ..) => self.forget(),
            _ => {}
        }
    }

    /// Remembers a script by the request that loaded it and the reply. The oldest make room beyond
    /// `limit` bytes.
    pub fn remember(&mut self, load: Box<[u8]>, reply: &Queue, limit: usize) {
        let mut start = [0; 47];
        let count = reply.peek(&mut start);
        let text = start[..count].strip_prefix(b"$40\r\n");
        let Some(digest) = text.and_then(|text| digest(text.strip_suffix(b"\r\n")?)) else {
            return;
        };
        self.bytes += load.len();
        match self.loads.insert(digest, load) {
            Some(old) => self.bytes -= old.len(),
            None => self.order.push_back(digest),
        }
        while self.bytes > limit
            && let Some(oldest) = self.order.pop_front()
        {
            let old = self.loads.remove(&oldest);
            self.bytes -= old.map_or(0, |old| old.len());
        }
    }

    /// The request that loads a script.
    pub fn load(&self, name: &[u8]) -> Option<&[u8]> {
        if self.loads.is_empty() {
            return None;
        }
        self.loads.get(&digest(name)?).map(|load| &load[..])
    }

    /// Forgets them all.
    fn forget(&mut self) {
        *self = Self {
            flushes: self.flushes,
            ..Self::default()
        };
    }

    /// Forgets them all if they were to be forgotten since, on whichever worker.
    fn observe_flushes(&mut self, flushes: i64) {
        if self.flushes != flushes {
            self.forget();
            self.flushes = flushes;
        }
    }

    fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }
}

/// The digest a client or server wrote.
fn digest(text: &[u8]) -> Option<Digest> {
    let mut digest: Digest = text.try_into().ok()?;
    digest.make_ascii_lowercase();
    Some(digest)
}

/// How often clients of a pool had all scripts forgotten: on all workers, or on this one if it is alone.
pub(super) fn flushes(all: Option<&Stats>, own: &WorkerStats, pool: usize) -> i64 {
    match all {
        Some(stats) => stats.script_flushes(pool),
        None => own.pools[pool].script_flushes.read(),
    }
}

/// A request that may have to be asked again once something else was asked.
#[derive(Debug)]
pub(super) struct Errand {
    pub purpose: Purpose,
    /// What it is counted under.
    pub topic: Topic,
    /// Whether the client wanted a reply to it.
    pub mute: Mute,
    /// The request as it came.
    pub request: Vec<u8>,
    /// What has come of the answer to the question that goes before it.
    pub answer: Vec<u8>,
}

impl Errand {
    /// The exchange of its request once nothing else is asked for it.
    pub fn owed(&self) -> Exchange {
        Exchange::owed(self.mute.is_now(), Answer::Always)
    }
}

/// Why a request is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It names a script that its server may have lost.
    Script(ServerIndex),
    /// Its command is unknown, and a server was asked about it.
    Learn,
}

impl Proxy {
    /// A client had all scripts of the pool forgotten: no worker loads any of them again. Workers share
    /// nothing but what they count, so that is counted.
    pub(super) fn forget_scripts(&mut self, pool: PoolIndex) {
        self.stats.pools[pool.index()].script_flushes.add(1);
        self.observe_flushes(pool);
    }

    /// Forgets what was flushed by a client of another worker.
    pub(super) fn observe_flushes(&mut self, pool: PoolIndex) {
        let flushes = flushes(self.overview.as_deref(), &self.stats, pool.index());
        self.pools[pool.index()].scripts.observe_flushes(flushes);
    }

    /// Queues a request that names a script which can be loaded again. Says whether it did.
    pub(super) fn forward_script(
        &mut self,
        request: &Request,
        server: Option<ServerIndex>,
        command: Option<u16>,
        input: Input<'_>,
    ) -> bool {
        let id = request.client;
        let (Some(client), Some(server)) = (self.clients.find(id), server) else {
            return false;
        };
        if !self.pool(client.pool).scripts.is_empty() {
            self.observe_flushes(client.pool);
        }
        let Some(client) = self.clients.find(id) else {
            return false;
        };
        let pool = &self.pools[client.pool.index()];
        let name = pool.commands.script_name(input.bytes(), command);
        let is_known = name.is_some_and(|name| pool.scripts.load(name).is_some());
        if !is_known || input.len() > SCRIPT_MAX {
            return false;
        }
        let mute = client.mute;
        let Ok(link) = self.link_for(request, server) else {
            return false;
        };
        let errand = Errand {
            mute,
            purpose: Purpose::Script(server),
            topic: request.topic,
            request: input.bytes().to_vec(),
            answer: Vec::new(),
        };
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let sequence = client.ring.push(Exchange::Errand(Box::new(errand)));
        let entry = request.of_any_family().entry(sequence, self.now);
        self.send_input(link, entry, input);
        true
    }

    /// A reply to a request that names a script has begun with `start`. Says whether the script is
    /// loaded and the request asked again instead of passing the reply on.
    ///
    /// Only while nothing behind it was asked: what was would be served before it.
    pub(super) fn reload_script(&mut self, id: ClientId, sequence: u32, start: &[u8]) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let is_last = client.ring.is_last(sequence);
        let Some(exchange) = client.ring.find(sequence) else {
            return false;
        };
        // Whatever comes now is the reply.
        let Exchange::Errand(errand) = std::mem::replace(exchange, Exchange::Waiting) else {
            return false;
        };
        *exchange = errand.owed();
        let Purpose::Script(server) = errand.purpose else {
            return false;
        };
        if !start.starts_with(NO_SCRIPT) || !is_last {
            return false;
        }
        let pool = client.pool;
        self.observe_flushes(pool);
        let pool = &self.pools[pool.index()];
        let command = pool.commands.command(&errand.request);
        let name = pool.commands.script_name(&errand.request, command);
        let Some(load) = name.and_then(|name| pool.scripts.load(name)).map(Box::from) else {
            return false;
        };
        let request = Request::own(id).counted_under(errand.topic);
        let Ok(link) = self.link_for(&request, server) else {
            return false;
        };
        let again = request.entry(sequence, self.now);
        let question = InFlight {
            client: None,
            ..again
        };
        let load: Box<[u8]> = load;
        self.send_bytes(link, question, &load);
        self.send_bytes(link, again, &errand.request);
        true
    }
}
