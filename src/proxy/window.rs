//! Clients that have all the output they may have, and the connections to servers that are left unread
//! meanwhile.

use std::mem;

use super::Proxy;
use super::client::Client;
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::limits::Limits;
use super::link::Slot;
use super::time::Time;

impl Client {
    /// Whether a reply to it, which is that to `slot` at the front of a connection, must wait for it to
    /// take what it has.
    #[inline]
    pub fn is_full(&mut self, slot: &Slot, in_parts: bool, limits: &Limits, now: Time) -> bool {
        let most = if in_parts {
            limits.window
        } else {
            limits.slack()
        };
        let most = self.allowance(most, limits, now);
        let (full, room) = (self.ring.waiting_bytes >= most, self.out.len() < most);
        let is_head = self.ring.is_head(slot.sequence);
        if let Some(fragment) = slot.fragment
            && let Some(Exchange::Fanout(fanout)) = self.ring.find(slot.sequence)
        {
            if fanout.is_lost() {
                return false;
            }
            if full && is_head {
                // What waits must never keep back what it waits for: of a join that has started the
                // fragment whose turn it is; before that, what lets it start.
                return if fanout.join.started {
                    fanout.turn() != slot.fragment || !room
                } else if fanout.has_begun() {
                    !room
                } else {
                    !fanout.replies[usize::from(fragment)].bytes.is_empty()
                };
            }
        }
        let waits = if is_head { !room } else { full };
        waits && !self.ring.is_silent(slot.sequence)
    }
}

impl Proxy {
    /// Leaves a connection unread until `client` has room again.
    pub(super) fn block(&mut self, id: LinkId, client: ClientId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        if link.blocked.is_none() {
            link.blocked = Some((client, self.now));
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

    /// Lets connections be read again whose client has room, or is gone.
    pub(super) fn unblock_links(&mut self, links: Vec<LinkId>) {
        for id in links {
            let Some(link) = self.links.find_mut(id) else {
                continue;
            };
            // It may have been stopped again since it was put on the list.
            link.blocked = None;
            if !link.waking {
                link.waking = true;
                self.waking.push(id.conn());
            }
        }
    }
}
