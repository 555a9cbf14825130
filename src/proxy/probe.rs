//! Commands of ours that a server must be asked for first: what it is, whether it speaks RESP3,
//! whether it has such a database.
//!
//! The question is a harmless request on the lanes the client would use. Connections to them are
//! greeted as these lanes ask for, so that an answer, whatever it says, shows that a server accepts
//! them. What the client asks meanwhile waits.

use super::Proxy;
use super::cause::Cause;
use super::exchange::Exchange;
use super::ids::ClientId;
use super::pool::GroupIndex;
use super::request::Request;
use crate::buffer::{BufferPool, Input, Queue};
use crate::protocol::Topic;
use crate::protocol::redis::commands::Verb;
use crate::protocol::redis::info::{Facts, QUESTION, REPLY_MAX};
use crate::route::ServerIndex;

/// A command whose reply waits for what a server says.
#[derive(Debug)]
pub(super) struct Probe {
    pub verb: Verb,
    /// The whole command.
    pub request: Vec<u8>,
    /// The lanes on which the question is asked. They count the client while it is.
    pub group: GroupIndex,
    /// Whether the reply is for nobody.
    pub mute: bool,
    /// What it is counted under.
    topic: Topic,
    /// Servers that were asked.
    tried: usize,
    heard: Vec<u8>,
}

impl Probe {
    pub fn new(verb: Verb, topic: Topic, request: &[u8], group: GroupIndex, mute: bool) -> Self {
        Self {
            verb,
            request: request.to_vec(),
            group,
            mute,
            topic,
            tried: 0,
            heard: Vec::new(),
        }
    }

    /// Keeps a part of what the server says.
    pub fn hear(&mut self, partial: &mut Queue, last: Input<'_>, buffers: &mut BufferPool) {
        if self.heard.len() < REPLY_MAX {
            self.heard.extend(partial.to_vec());
            self.heard.extend_from_slice(last.bytes());
            self.heard.truncate(REPLY_MAX);
        }
        partial.clear(buffers);
    }
}

impl Proxy {
    /// Holds the client's command back until a server of the group has answered.
    pub(super) fn probe(&mut self, id: ClientId, probe: Probe) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let sequence = client.ring.push(Exchange::Probe(Box::new(probe)));
        client.barrier = true;
        self.probe_next(id, sequence, Cause::Refused);
    }

    /// Asks the next server that can be reached; after the last one the command fails for `cause`.
    fn probe_next(&mut self, id: ClientId, sequence: u32, mut cause: Cause) {
        loop {
            let Some(client) = self.clients.find_mut(id) else {
                return;
            };
            let Some(Exchange::Probe(probe)) = client.ring.find(sequence) else {
                return;
            };
            let (pool, group, tried) = (client.pool, probe.group, probe.tried);
            if tried == self.pools[pool.index()].server_count() {
                return self.conclude(id, sequence, Err(cause));
            }
            let topic = probe.topic;
            probe.tried += 1;
            probe.heard.clear();
            let server = ServerIndex(tried as u16);
            if !self.pools[pool.index()].router.is_live(server) {
                continue;
            }
            let lane = self.pools[pool.index()].lane_of(group, server);
            let link = match self.shared_link(pool, lane, server, 0) {
                Ok(link) => link,
                Err(failed @ (Cause::Version | Cause::Database)) => {
                    return self.conclude(id, sequence, Err(failed));
                }
                Err(failed) => {
                    cause = failed;
                    continue;
                }
            };
            let request = Request::own(id).counted_under(topic);
            let entry = request.entry(sequence, self.now);
            return self.send_bytes(link, entry, QUESTION);
        }
    }

    /// The server has answered.
    pub(super) fn probed(&mut self, id: ClientId, sequence: u32) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let pool = &mut self.pools[client.pool.index()];
        let Some(Exchange::Probe(probe)) = client.ring.find(sequence) else {
            return;
        };
        pool.prove(probe.group);
        // What a server that is busy or loading does not tell, it is asked for again.
        pool.facts = Facts::told(&probe.heard).or(pool.facts.take());
        self.conclude(id, sequence, Ok(()));
    }

    /// The server will not answer. Those that refuse speak for all; after others the next is asked.
    pub(super) fn asked_in_vain(&mut self, id: ClientId, sequence: u32, cause: Cause) {
        match cause {
            Cause::Version | Cause::Database | Cause::Password => {
                self.conclude(id, sequence, Err(cause));
            }
            _ => self.probe_next(id, sequence, cause),
        }
    }

    /// Gives the command its reply.
    fn conclude(&mut self, id: ClientId, sequence: u32, outcome: Result<(), Cause>) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(exchange) = client.ring.find(sequence) else {
            return;
        };
        let Exchange::Probe(probe) = std::mem::replace(exchange, Exchange::Waiting) else {
            return;
        };
        let reply = self.learned(id, &probe, outcome);
        let reply = if probe.mute { Vec::new() } else { reply };
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.ring.keep(sequence, &reply);
        if client.ring.is_head(sequence) {
            self.advance(id);
        }
    }
}
