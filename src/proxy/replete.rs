//! Clients for whom as much is kept of what they ask as each of them may have.
//!
//! They are not read until some of it is answered, and it is not before they read. One that writes everything
//! before it reads anything never does, so none of them is left to wait for ever: one at a time is read on
//! beyond its share, as long as much comes from it, then the next. It comes to its end; or memory becomes
//! scarce and those give way who hold the most for the longest, which may be itself.

use std::time::Duration;

use super::client::Client;
use super::ids::ClientId;
use super::pressure::SHARE_MIN;
use super::time::Time;
use super::{Action, Proxy};

/// They are looked at so often, and one is read on so long at least. What it could not send before is
/// there at once.
const TURN: Duration = Duration::from_millis(100);

/// Bytes that come from it in that time if its turn goes on.
const TURN_LEAST: u64 = 64 * 1024;

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Replete {
    /// They, and those who may come to it once there is less memory; the next to be read on comes first.
    clients: Vec<ClientId>,
    /// Who is read on, and how much it had sent when it was last looked at.
    favoured: Option<(ClientId, u64)>,
    /// When that is looked at again; `None` only if there are no clients.
    next: Option<Time>,
}

impl Replete {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub fn deadline(&self) -> Option<Time> {
        self.next
    }
}

impl Proxy {
    /// Whether a client whose requests wait is read all the same. It may be one that writes everything
    /// before it reads anything: then nothing it could wait for comes before it has written all. One that
    /// waits for servers need not be read, nor one that has not said who it is.
    pub(super) fn reads_on(&self, id: ClientId, client: &Client) -> bool {
        let must_take = client.out.len() >= self.limits.window
            || client.brimming && client.has_much_to_take(&self.limits);
        client.authenticated && must_take && (self.has_room(client) || self.is_favoured(id))
    }

    /// Whether more may be kept of what the client asks.
    fn has_room(&self, client: &Client) -> bool {
        client.pending.len() < self.share(client.pool)
    }

    fn is_favoured(&self, id: ClientId) -> bool {
        self.replete.favoured.is_some_and(|(one, _)| one == id)
    }

    /// Has a client read on, if it was not read and is to be.
    #[cold]
    pub(super) fn read_on(&mut self, id: ClientId) {
        if self
            .clients
            .find(id)
            .is_some_and(|client| client.stalled && self.reads_on(id, client))
        {
            self.actions.push_back(Action::Resume(id.conn()));
        }
    }

    /// Something of what the client asks was kept: it may be enough, now or once there is less memory.
    pub(super) fn note_kept(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && client.keeps_much()
            && !client.replete
        {
            client.replete = true;
            self.replete.clients.push(id);
            self.replete.next.get_or_insert(self.now + TURN);
        }
    }

    /// There may be more memory for what clients ask, or nobody who gives some back.
    pub(super) fn look_at_the_replete(&mut self) {
        if self.replete.next.is_some_and(|next| next > self.now) {
            return;
        }
        for id in std::mem::take(&mut self.replete.clients) {
            let Some(client) = self.clients.find_mut(id) else {
                continue;
            };
            client.replete = client.keeps_much();
            if client.replete {
                self.replete.clients.push(id);
            }
            // Whether it has room may have changed to and fro since it was read.
            self.read_on(id);
        }
        let waits = |id: &ClientId| self.clients.find(*id).is_some_and(|it| !self.has_room(it));
        let first = self.replete.clients.iter().position(waits);
        if self.replete.is_empty() {
            self.replete = Replete::default();
        } else {
            self.replete.next = Some(self.now + TURN);
            match first {
                Some(first) => self.favour_one(first),
                None => self.replete.favoured = None,
            }
        }
    }

    /// Has one of the replete read on, if there is a limit that ends it.
    fn favour_one(&mut self, first: usize) {
        if self.memory.limit() == u64::MAX {
            return;
        }
        if let Some((id, heard)) = self.replete.favoured
            && let Some(client) = self.clients.find(id)
            && client.replete
            && client.heard >= heard + TURN_LEAST
        {
            self.replete.favoured = Some((id, client.heard));
            return;
        }
        let id = self.replete.clients.remove(first);
        self.replete.clients.push(id);
        let heard = self.clients.find(id).map_or(0, |client| client.heard);
        self.replete.favoured = Some((id, heard));
        self.read_on(id);
    }
}

impl Client {
    /// Whether so much is kept of what it asks that it may be too much, if memory is scarce.
    fn keeps_much(&self) -> bool {
        self.stalled && self.pending.len() as u64 >= SHARE_MIN
    }
}
