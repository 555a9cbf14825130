//! What is kept of requests that are not whole, and of those who have not said the password.
//!
//! The rest of a request must come some time: a client that sends none of it for a while is closed. Those who
//! have not said the password have something to say within a time, and little room for it, all together: the
//! less is left the less each may have.

use std::mem;

use super::client::{Client, Ending, State};
use super::ids::ClientId;
use super::notice::What;
use super::{CloseHow, Proxy};

/// What every client may have before it says the password.
const STRANGER_MIN: usize = 4 * 1024;

/// Bytes of a request up to which its buffer doubles when it grows.
const DOUBLES_MAX: usize = 1024 * 1024;

/// Appends to what is kept of a request. A long one has room for an eighth more, not for as much again: what
/// is kept counts, used or not.
pub(super) fn append(pending: &mut Vec<u8>, bytes: &[u8]) {
    if pending.len() >= DOUBLES_MAX && pending.capacity() - pending.len() < bytes.len() {
        pending.reserve_exact(bytes.len().max(pending.len() / 8));
    }
    pending.extend_from_slice(bytes);
}

impl Proxy {
    /// Something is kept of what the client has sent, or was until now.
    #[cold]
    pub(super) fn keep_part(&mut self, id: ClientId) {
        self.note_kept(id);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if let Some(incomplete) = self.limits.incomplete
            && client.awaits_rest()
        {
            client.part_heard = self.now;
            self.timers
                .arm(id.conn(), &mut client.armed, self.now + incomplete);
        }
        if !client.authenticated || client.charged > 0 {
            self.charge(id);
        }
    }

    /// Closes a client that sends no more of a request.
    pub(super) fn check_part(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(incomplete) = self.limits.incomplete.filter(|_| client.awaits_rest()) else {
            return;
        };
        let due = client.part_heard + incomplete;
        if due > self.now {
            return self.timers.arm(id.conn(), &mut client.armed, due);
        }
        self.notice_client(id, What::StalledRequest);
        self.close_client(id, Ending::Error, CloseHow::Reset);
    }

    /// The client must say the password from now on.
    pub(super) fn expect_password(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.known_until = (client.heard, client.answered());
        if let Some(timeout) = self.limits.stranger_timeout
            && !client.authenticated
        {
            client.leave_by = self.now + timeout;
            self.timers
                .arm(id.conn(), &mut client.armed, client.leave_by);
        }
    }

    /// The client has said a password, of which is known whether it is right. A further wrong one gives a
    /// stranger no more time.
    pub(super) fn said_password(&mut self, id: ClientId, is_right: bool) {
        if let Some(client) = self.clients.find_mut(id)
            && mem::replace(&mut client.authenticated, is_right)
            && !is_right
        {
            self.expect_password(id);
        }
    }

    /// Closes a client that has not said the password in time.
    pub(super) fn check_password(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.authenticated || client.state == State::Lingering {
            return;
        }
        if client.leave_by > self.now {
            return self
                .timers
                .arm(id.conn(), &mut client.armed, client.leave_by);
        }
        self.turn_out(id, CloseHow::Gracefully);
    }

    /// Counts what is kept for a client that has not said the password, and closes it if that is too much.
    fn charge(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let kept = if client.authenticated {
            0
        } else {
            client.kept_as_a_stranger()
        };
        self.strangers = self.strangers - client.charged + kept;
        client.charged = kept;
        let left = self.limits.strangers.saturating_sub(self.strangers);
        if kept > STRANGER_MIN.max(left / 2) {
            self.turn_out(id, CloseHow::Reset);
        }
    }

    fn turn_out(&mut self, id: ClientId, how: CloseHow) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let stats = &self.stats.pools[client.pool.index()];
        stats.unauthenticated_closed.add(1);
        self.notice_client(id, What::Unauthenticated);
        self.close_client(id, Ending::Error, how);
    }
}

impl Client {
    /// Whether something is kept, or was, that is not to be kept for ever.
    #[inline]
    pub fn has_part(&self) -> bool {
        !self.pending.is_empty() || !self.authenticated || self.charged > 0
    }

    /// Bytes of replies it ever had, or has to take.
    fn answered(&self) -> u64 {
        self.owed.taken() + self.out.len() as u64
    }

    /// What is kept for it of what came since it must say the password.
    fn kept_as_a_stranger(&mut self) -> usize {
        let since = |count: u64, known: u64| usize::try_from(count - known).unwrap_or(usize::MAX);
        // What came first is read first.
        let sent = since(self.heard, self.known_until.0);
        if sent < self.pending.len() {
            // Nothing else was answered so far.
            self.known_until.1 = self.answered();
            return sent;
        }
        let answered = since(self.answered(), self.known_until.1);
        self.pending.capacity() + self.out.len().min(answered)
    }

    /// Whether a part of a request is there and nothing but the rest of it is missing.
    fn awaits_rest(&self) -> bool {
        self.state == State::Open
            && !self.stalled
            && !self.pending.is_empty()
            && self.upload.is_none()
    }
}
