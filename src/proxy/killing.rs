//! `CLIENT KILL`: a client closes a connection of its own, whichever worker has it.
//!
//! Clients that gave the pool's password are not equal for that: numbers are easily guessed, and no
//! client is to close those of strangers. Its own are those to the same pool from the same host, or from
//! unix sockets as it is itself; that there are others it is not told.
//!
//! The worker with the client is told by the number. What the client asks behind it waits for the answer.

use std::net::IpAddr;

use super::client::{Client, Ending};
use super::exchange::Exchange;
use super::ids::{ClientId, ConnId, PoolIndex, Side};
use super::local::Told;
use super::{Action, CloseHow, Proxy};
use crate::protocol::redis::write::Writer;

/// A client's wish that another worker close one of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Which worker has the client, if there is one.
    pub worker: u32,
    /// Whose client wants it.
    pub asker_worker: u32,
    asker: ConnId,
    sequence: Option<u32>,
    whom: Whom,
}

/// Which client is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whom {
    number: u64,
    pool: PoolIndex,
    host: Option<IpAddr>,
}

impl Proxy {
    /// `CLIENT KILL`: this connection by its address, or one of the client's own by its id.
    pub(super) fn client_kill(
        &mut self,
        id: ClientId,
        filters: &[&[u8]],
        reply: &mut Writer,
    ) -> Told {
        let Some(client) = self.clients.find(id) else {
            return Told::Nothing;
        };
        let own = client.number;
        if let [address] = filters {
            let own_address = client.peer.map(|peer| peer.to_string()).unwrap_or_default();
            if own_address.as_bytes() != *address {
                reply.error("ERR No such client");
                return Told::Reply;
            }
            reply.status("OK");
            return Told::ThenClosed;
        }
        let (number, skip_me) = match read(filters) {
            Ok(wish) => wish,
            Err(error) => {
                reply.error(error);
                return Told::Reply;
            }
        };
        if number == own {
            reply.integer(i64::from(!skip_me));
            return if skip_me {
                Told::Reply
            } else {
                Told::ThenClosed
            };
        }
        let whom = Whom {
            number,
            pool: client.pool,
            host: host(client),
        };
        let worker = ((number - 1) % self.workers) as u32;
        if worker == self.place {
            reply.integer(i64::from(self.close_own_client(whom)));
            return Told::Reply;
        }
        let Some(client) = self.clients.find_mut(id) else {
            return Told::Nothing;
        };
        if self.draining {
            // The other worker may be gone.
            reply.integer(0);
            return Told::Reply;
        }
        let sequence = (!client.is_mute()).then(|| client.ring.push(Exchange::Waiting));
        if sequence.is_some() {
            client.session().elsewhere = sequence;
            client.barrier = true;
        }
        self.actions.push_back(Action::Kill(Kill {
            worker,
            asker_worker: self.place,
            asker: id.conn(),
            sequence,
            whom,
        }));
        Told::Nothing
    }

    /// Does what a client of another worker wants. Says whether there was such a client.
    pub fn kill(&mut self, kill: &Kill) -> bool {
        self.close_own_client(kill.whom)
    }

    /// What became of the wish of a client of this worker.
    pub fn killed(&mut self, kill: &Kill, done: bool) {
        let Side::Client(id) = kill.asker.side() else {
            return;
        };
        let client = self.clients.find_mut(id);
        if let Some(session) = client.and_then(|client| client.session.as_deref_mut())
            && session.elsewhere == kill.sequence
        {
            self.tell_killed(id, done);
        }
    }

    /// The process is about to end: what other workers would say is not waited for.
    pub(super) fn stop_killing(&mut self, id: ClientId) {
        self.tell_killed(id, false);
    }

    fn tell_killed(&mut self, id: ClientId, done: bool) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let session = client.session.as_deref_mut();
        let Some(sequence) = session.and_then(|session| session.elsewhere.take()) else {
            return;
        };
        let reply: &[u8] = if done { b":1\r\n" } else { b":0\r\n" };
        client.ring.keep(sequence, reply);
        if client.ring.is_head(sequence) {
            self.advance(id);
        }
    }

    fn close_own_client(&mut self, whom: Whom) -> bool {
        let Some(&other) = self.numbers.get(&whom.number) else {
            return false;
        };
        let is_own = |client: &&Client| client.pool == whom.pool && host(client) == whom.host;
        let Some(client) = self.clients.find(other).filter(is_own) else {
            return false;
        };
        let how = if client.is_settled() {
            CloseHow::Gracefully
        } else {
            CloseHow::Reset
        };
        self.close_client(other, Ending::Error, how);
        true
    }
}

/// Where a client is; nowhere if it came over a unix socket.
fn host(client: &Client) -> Option<IpAddr> {
    client.peer.map(|peer| peer.ip().to_canonical())
}

/// The number in `ID id [SKIPME yes|no]`, and whether the client itself is to be left alone.
fn read(filters: &[&[u8]]) -> Result<(u64, bool), &'static str> {
    let (mut number, mut skip_me) = (None, true);
    for filter in filters.chunks(2) {
        match filter {
            [name, value] if name.eq_ignore_ascii_case(b"ID") => {
                let text = std::str::from_utf8(value).ok();
                let id = text.and_then(|text| text.parse::<u64>().ok());
                let id = id.filter(|&id| id > 0);
                number = Some(id.ok_or("ERR client-id should be greater than 0")?);
            }
            [name, value] if name.eq_ignore_ascii_case(b"SKIPME") && is_yes_no(value) => {
                skip_me = value.eq_ignore_ascii_case(b"yes");
            }
            _ => {
                number = None;
                break;
            }
        }
    }
    let known = "ERR nutcrab knows CLIENT KILL address and CLIENT KILL ID id [SKIPME yes|no]";
    Ok((number.ok_or(known)?, skip_me))
}

fn is_yes_no(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"yes") || word.eq_ignore_ascii_case(b"no")
}
