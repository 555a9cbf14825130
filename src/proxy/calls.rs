//! What a client asks to be done to another one of its own, whichever worker has it: `CLIENT KILL` and
//! `CLIENT UNBLOCK`.
//!
//! Clients that gave the pool's password are not equal for that: numbers are easily guessed, and no client
//! is to reach those of strangers. Its own are those to the same pool from the same host, or from unix
//! sockets as it is itself; that there are others it is not told.
//!
//! The worker with the client follows from the number. What the client asks behind it waits for the answer.

use std::net::IpAddr;

use super::cause::Cause;
use super::client::Client;
use super::exchange::Exchange;
use super::ids::{ClientId, ConnId, PoolIndex, Side};
use super::local::Told;
use super::unblocking::Ending;
use super::{Action, Proxy};

/// What a client asks of another, on its way to the worker that has it, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which worker has the client, if there is one.
    pub worker: u32,
    /// Whose client asks.
    pub asker_worker: u32,
    asker: ConnId,
    sequence: Option<u32>,
    pub(super) whom: Whom,
    deed: Deed,
}

/// Which client is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whom {
    number: u64,
    pool: PoolIndex,
    host: Option<IpAddr>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It is closed.
    Close,
    /// What it waits for at a server ends.
    Unblock(Ending),
}

impl Proxy {
    /// Asks this of the client of this number. The reply follows.
    pub(super) fn begin_call(&mut self, id: ClientId, number: u64, deed: Deed) -> Told {
        let worker = (number.wrapping_sub(1) % self.workers) as u32;
        let draining = self.draining;
        let Some(client) = self.clients.find_mut(id) else {
            return Told::Nothing;
        };
        let sequence = (!client.is_mute()).then(|| client.ring.push(Exchange::Waiting));
        if sequence.is_some() {
            client.session().elsewhere = sequence;
            client.barrier = true;
        }
        let call = Call {
            worker,
            asker_worker: self.place,
            asker: id.conn(),
            sequence,
            whom: Whom {
                number,
                pool: client.pool,
                host: host(client),
            },
            deed,
        };
        if worker == self.place {
            self.call(&call);
        } else if draining {
            // The other worker may be gone.
            self.returned(&call, Ok(false));
        } else {
            self.actions.push_back(Action::Call(call));
        }
        Told::Nothing
    }

    /// Does what a client asks of one of this worker. What came of it follows, as [`Action::Return`] if it
    /// is for another worker.
    pub fn call(&mut self, call: &Call) {
        match call.deed {
            Deed::Close => {
                let done = self.close_own_client(call.whom);
                self.give_return(call, Ok(done));
            }
            Deed::Unblock(ending) => self.unblock_own_client(call, ending),
        }
    }

    /// Gives the asker's worker what came of a call.
    pub(super) fn give_return(&mut self, call: &Call, outcome: Result<bool, Cause>) {
        if call.asker_worker == self.place {
            self.returned(call, outcome);
        } else {
            self.actions.push_back(Action::Return(*call, outcome));
        }
    }

    /// What came of a call of a client of this worker.
    pub fn returned(&mut self, call: &Call, outcome: Result<bool, Cause>) {
        let Side::Client(id) = call.asker.side() else {
            return;
        };
        let client = self.clients.find_mut(id);
        if let Some(session) = client.and_then(|client| client.session.as_deref_mut())
            && session.elsewhere == call.sequence
        {
            self.answer_call(id, outcome);
        }
    }

    /// The process is about to end: what other workers would say is not waited for.
    pub(super) fn end_call(&mut self, id: ClientId) {
        self.answer_call(id, Ok(false));
    }

    fn answer_call(&mut self, id: ClientId, outcome: Result<bool, Cause>) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let session = client.session.as_deref_mut();
        let Some(sequence) = session.and_then(|session| session.elsewhere.take()) else {
            return;
        };
        match outcome {
            Ok(true) => client.ring.keep(sequence, b":1\r\n"),
            Ok(false) => client.ring.keep(sequence, b":0\r\n"),
            Err(cause) => {
                let error = client
                    .protocol
                    .error_to(client.ring.head_stamp(), &cause.to_string());
                client.ring.keep(sequence, error.bytes());
            }
        }
        if client.ring.is_head(sequence) {
            self.advance(id);
        }
    }

    /// The client of this worker that is meant, if the asker may reach it.
    pub(super) fn own_client(&self, whom: Whom) -> Option<ClientId> {
        let &id = self.numbers.get(&whom.number)?;
        let is_own = |client: &&Client| client.pool == whom.pool && host(client) == whom.host;
        self.clients.find(id).filter(is_own).map(|_| id)
    }
}

/// Where a client is; nowhere if it came over a unix socket.
fn host(client: &Client) -> Option<IpAddr> {
    client.peer.map(|peer| peer.ip().to_canonical())
}
