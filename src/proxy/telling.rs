//! Replies of our own.
//!
//! They cost their client a few bytes, and may be long. So a long one is made only when what its client has
//! to take is little, a few of them a turn; and what many ask for is kept once.

use std::rc::Rc;

use super::Proxy;
use super::ids::ClientId;
use crate::buffer::{Chunk, Input, SHARE_MIN};
use crate::protocol::Local;
use crate::protocol::redis::commands::Verb;

/// Long replies of our own that are remembered, and how long one of them may be.
const TOLD_COUNT: usize = 8;
const TOLD_LEN_MAX: usize = 256 * 1024;

/// Bytes of long replies of our own that are made in one turn.
const TOLD_PER_TURN: usize = 256 * 1024;

impl Proxy {
    /// Gives a reply that is known at once, in its turn.
    pub(super) fn answer(&mut self, id: ClientId, reply: &[u8]) {
        if self
            .clients
            .find(id)
            .is_some_and(|client| !client.is_mute())
        {
            self.tell(id, reply);
        }
    }

    /// Gives what is no reply to a client that wants none, in its turn.
    pub(super) fn tell(&mut self, id: ClientId, reply: &[u8]) {
        self.told_bytes += reply.len();
        let shared = self.told_before(reply);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let input = match &shared {
            Some(chunk) => Input::shared(chunk, reply.len()),
            None => Input::copied(reply),
        };
        if client.ring.is_empty() {
            client.out.push_input(input, &mut self.buffers);
            self.flush_client(id);
        } else if shared.is_some() {
            client.ring.push_long_reply(input);
        } else {
            client.ring.push_reply(reply);
        }
    }

    /// A long reply that was given before, or is from now on: what many ask for is kept once.
    fn told_before(&mut self, reply: &[u8]) -> Option<Rc<Chunk>> {
        if !(SHARE_MIN..=TOLD_LEN_MAX).contains(&reply.len()) {
            return None;
        }
        if let Some(chunk) = self.told.iter().find(|chunk| chunk.bytes() == reply) {
            return Some(Rc::clone(chunk));
        }
        if self.told.len() >= TOLD_COUNT {
            self.told.pop_front();
        }
        let chunk = Rc::new(Chunk::of(reply.to_vec()));
        self.told.push_back(Rc::clone(&chunk));
        Some(chunk)
    }

    /// A client that takes long replies of our own goes on in the next turn: its socket may take a hundred of
    /// them at once, and others are to be served between.
    #[cold]
    pub(super) fn answer_later(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && client.stalled
            && !client.waking
            && client.may_ask(&self.limits)
        {
            client.waking = true;
            self.later.push(id.conn());
        }
    }

    /// Whether a long reply is not made yet: the client has much to take, or many were made in this turn and
    /// others have waited long enough.
    pub(super) fn put_off_reply(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let is_late = self.told_bytes >= TOLD_PER_TURN;
        client.brimming = is_late || client.has_much_to_take(&self.limits);
        if is_late && !client.waking {
            client.waking = true;
            self.later.push(id.conn());
        }
        client.brimming
    }
}

/// Whether the reply may be much longer than the request.
pub(super) fn is_long(local: &Local) -> bool {
    matches!(
        local,
        Local::Stats
            | Local::Redis(
                Verb::Client
                    | Verb::Command
                    | Verb::Config
                    | Verb::Hello
                    | Verb::Info
                    | Verb::Lolwut
            )
    )
}
