//! Clients that have all the output they may have, and the connections to servers that are left unread
//! meanwhile.
//!
//! A connection on which others wait is never left unread: what a client asked for there is taken off at
//! the server's speed, into memory that counts as the client's. Only where the client waits alone does its
//! window stop the server, and only until somebody else asks something there.

use std::mem;

use super::Proxy;
use super::client::Client;
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::limits::Limits;
use super::link::{InFlight, Link};

impl Client {
    /// Whether a reply to it, which is that to `entry` at the front of a connection, must wait for it to
    /// take what it has.
    #[inline]
    pub fn is_full(&self, entry: &InFlight, in_parts: bool, limits: &Limits) -> bool {
        let most = if in_parts {
            limits.window
        } else {
            limits.slack()
        };
        let (full, room) = (self.ring.waiting_bytes >= most, self.out.len() < most);
        let is_head = self.ring.is_head(entry.sequence);
        if let Some(fragment) = entry.fragment
            && let Some(Exchange::Fanout(fanout)) = self.ring.get(entry.sequence)
        {
            if fanout.is_lost() {
                return false;
            }
            if full && is_head {
                // What waits must never keep back what it waits for: of a join that has started the
                // fragments that may go on; before that, what lets it start.
                return if fanout.join.started {
                    !room || !fanout.may_go_on(fragment)
                } else if fanout.has_begun() {
                    !room
                } else {
                    !fanout.replies[usize::from(fragment)].bytes.is_empty()
                };
            }
        }
        let waits = if is_head { !room } else { full };
        waits && !self.ring.is_silent(entry.sequence)
    }
}

impl Link {
    /// Whether all that was asked here and not answered yet was asked by one client, and no other waits for
    /// the connection.
    #[inline]
    pub fn is_alone(&self) -> bool {
        let front = self.in_flight.front();
        !self.wanted && front.is_none_or(|front| front.end >= self.shared_until)
    }
}

impl Proxy {
    /// Leaves a connection unread, on which nobody else waits, until `client` has room again or somebody
    /// else asks something there.
    pub(super) fn block(&mut self, id: LinkId, client: ClientId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        if link.blocked.is_none() {
            link.blocked = Some(client);
            if let Some(client) = self.clients.find_mut(client) {
                client.blocking.push(id);
            }
            self.rearm_link(id);
        }
    }

    /// Lets the connections be read again that were left unread because of this client.
    pub(super) fn unblock(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.blocking.is_empty() {
            return;
        }
        let links = mem::take(&mut client.blocking);
        self.unblock_links(links);
    }

    /// Somebody else asks something on a connection that is left unread for one client.
    #[cold]
    pub(super) fn release(&mut self, id: LinkId) {
        let blocker = self.links.find(id).and_then(|link| link.blocked);
        let Some(blocker) = blocker else {
            return;
        };
        if let Some(client) = self.clients.find_mut(blocker) {
            client.blocking.retain(|&link| link != id);
        }
        self.unblock_links(vec![id]);
    }

    /// Lets connections be read again whose client has room, or is gone.
    pub(super) fn unblock_links(&mut self, links: Vec<LinkId>) {
        for id in links {
            let Some(link) = self.links.find_mut(id) else {
                continue;
            };
            // It may have been stopped again since it was put on the list.
            if link.blocked.take().is_some() {
                link.released = self.now;
            }
            if !link.waking {
                link.waking = true;
                self.waking.push(id.conn());
            }
        }
    }
}
