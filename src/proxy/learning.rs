//! Requests nobody knows: a server is asked about the command, then the request is read again.
//!
//! Asking only when a client needs it costs nothing otherwise, and finds commands of modules that were
//! loaded after we connected. What the client asks behind it waits, so that nothing overtakes it.

use super::Proxy;
use super::cause::Cause;
use super::exchange::Exchange;
use super::ids::ClientId;
use super::link::beginning;
use super::request::Request;
use super::scripts::{Errand, Purpose};
use crate::buffer::{Input, Queue};
use crate::protocol::{Parse, RequestScan};
use crate::route::ServerIndex;

/// About a command that is not known, where only one that is can be served.
const NOT_KNOWN: &[u8] = b"-ERR the server does not tell what this command is\r\n";

/// Longest description of a command that is read.
const ANSWER_MAX: usize = 256 * 1024;

impl Proxy {
    /// Asks `server` about the command of a request.
    pub(super) fn learn(
        &mut self,
        request: &Request,
        server: Option<ServerIndex>,
        input: Input<'_>,
    ) {
        let id = request.client;
        let link = match server {
            Some(server) => self.link_for(request, server),
            None => Err(Cause::Refused),
        };
        let link = match link {
            Ok(link) => link,
            Err(cause) => return self.answer_error(id, cause),
        };
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let question = self.pools[client.pool.index()]
            .commands
            .question(input.bytes());
        let errand = Errand {
            mute: client.mute,
            purpose: Purpose::Learn,
            topic: request.topic,
            request: input.bytes().to_vec(),
            answer: Vec::new(),
        };
        client.barrier = true;
        let sequence = client.ring.push(Exchange::Errand(Box::new(errand)));
        let entry = request.of_any_family().entry(sequence, self.now);
        self.send_bytes(link, entry, &question);
    }

    /// A reply came for a request that was kept. Says whether it is to be passed on after all.
    pub(super) fn errand_reply(
        &mut self,
        id: ClientId,
        sequence: u32,
        partial: &mut Queue,
        last: Input<'_>,
        done: bool,
    ) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let Some(Exchange::Errand(errand)) = client.ring.find(sequence) else {
            return true;
        };
        if errand.purpose != Purpose::Learn {
            let start = beginning::<16>(partial, last);
            if done && self.reload_script(id, sequence, &start) {
                partial.clear(&mut self.buffers);
                return false;
            }
            // What is not reloaded waits as any other.
            if let Some(client) = self.clients.find_mut(id)
                && let Some(exchange) = client.ring.find(sequence)
                && let Exchange::Errand(errand) = exchange
            {
                *exchange = errand.owed();
            }
            return true;
        }
        if errand.answer.len() + partial.len() + last.len() <= ANSWER_MAX {
            errand.answer.extend(partial.to_vec());
            errand.answer.extend_from_slice(last.bytes());
        } else {
            // Too long to be what was asked for: it is read to its end, and not understood.
            errand.answer.clear();
        }
        partial.clear(&mut self.buffers);
        if done {
            self.command_described(id);
        }
        false
    }

    /// The answer about the command of the client's last request is whole.
    fn command_described(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(Exchange::Errand(errand)) = client.ring.take_last() else {
            return;
        };
        // As it was when the request came.
        let mute = std::mem::replace(&mut client.mute, errand.mute);
        self.dispatch_described(id, &errand);
        if let Some(client) = self.clients.find_mut(id) {
            client.mute = mute;
        }
        self.advance(id);
    }

    /// Serves a request whose command was described, or tells why not.
    fn dispatch_described(&mut self, id: ClientId, errand: &Errand) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        if is_about_the_question(&errand.answer) {
            let commands = &self.pool(client.pool).commands;
            let refusal = commands.unlearned(&errand.request);
            let may_pass = client.ring.is_empty() && !client.is_in_transaction();
            return match refusal {
                Some(refusal) => self.answer(id, refusal.bytes()),
                None if may_pass => {
                    let request = Request::own(id).counted_under(errand.topic);
                    self.pass_unknown(&request, Input::copied(&errand.request));
                }
                None => self.answer(id, NOT_KNOWN),
            };
        }
        if errand.answer.first() == Some(&b'-') {
            // What holds for any command, such as that it is loading.
            return self.answer(id, &errand.answer);
        }
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let pool = &mut self.pools[client.pool.index()];
        pool.commands.learn(&errand.request, &errand.answer);
        let limits = &pool.config.limits;
        let mut scan = RequestScan::default();
        match pool.commands.parse(&errand.request, &mut scan, limits) {
            Parse::Done { request, .. } => {
                self.asked_for_transaction(id);
                if !self.dispatch(id, &request, Input::copied(&errand.request)) {
                    // It waits at its server, and the client is owed other replies before.
                    self.answer(id, b"-ERR the command is known now, ask again\r\n");
                }
            }
            // It was whole before.
            _ => self.answer_error(id, Cause::Invalid),
        }
    }
}

/// Whether an answer is an error of the question itself, which the client has not asked: the server knows no
/// COMMAND, or does not allow it.
fn is_about_the_question(answer: &[u8]) -> bool {
    answer.starts_with(b"-ERR ") || answer.starts_with(b"-NOPERM ")
}
