//! What is late.
//!
//! A request that is late is answered with an error, and its entry swallows the reply that may still
//! come; the others on the connection go on. A connection whose oldest request is late, and from which
//! nothing came meanwhile, is dead.

use super::cause::Cause;
use super::client::{self, Ending};
use super::ids::{ClientId, LinkId, Side};
use super::link::{Link, Role, State};
use super::notice::What;
use super::time::Time;
use super::{Action, CloseHow, Proxy};

impl Proxy {
    /// Deals with everything whose deadline has passed.
    pub fn expire(&mut self) {
        while let Some((at, conn)) = self.timers.pop_due(self.now) {
            match conn.side() {
                Side::Client(id) => {
                    let client = self.clients.find_mut(id);
                    if client.is_some_and(|client| client.armed.fires(at)) {
                        self.check_client(id);
                    }
                }
                Side::Server(id) => {
                    let link = self.links.find_mut(id);
                    if link.is_some_and(|link| link.armed.fires(at)) {
                        self.check_link(id);
                    }
                }
            }
        }
    }

    fn check_client(&mut self, id: ClientId) {
        self.check_upload(id);
        self.check_spare(id);
        self.go_on(id);
        self.check_part(id);
        self.check_password(id);
        self.check_subscriptions(id);
        self.check_listener(id);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.state == client::State::Lingering {
            if client.leave_by <= self.now {
                self.close_client(id, Ending::Error, CloseHow::Gracefully);
            } else {
                self.timers
                    .arm(id.conn(), &mut client.armed, client.leave_by);
            }
        } else if client.upload.is_some() {
            self.rearm_upload(id);
        }
    }

    fn check_link(&mut self, id: LinkId) {
        let Some(link) = self.links.find(id) else {
            return;
        };
        let timeout = self.pool(link.pool).config.timeout;
        let is_late = |entry| timeout.is_some_and(|timeout| link.due(entry, timeout) <= self.now);
        let oldest_is_late = link.oldest().is_some_and(is_late);
        if link.state != State::Ready {
            if link.since + self.pool(link.pool).config.connect_timeout <= self.now
                || oldest_is_late
            {
                return self.close_link(id, Cause::TimedOut);
            }
        } else if link.blocked.is_some() {
            // What it owes may be there: nobody looks. It is rearmed when it is read again.
            return;
        } else if (link.may_retire() || self.pool(link.pool).is_unused(link.lane))
            && link.is_idle()
            && link.heard + self.limits.spare_idle <= self.now
        {
            return self.drop_link(id);
        } else if self.silence_ends(link).is_some_and(|end| end <= self.now) {
            return self.close_link(id, Cause::TimedOut);
        } else if oldest_is_late {
            self.bury(id);
        }
        self.rearm_link(id);
    }

    /// Tells the clients of late requests so.
    fn bury(&mut self, id: LinkId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let (pool, server) = (link.pool, link.server);
        let since = link.oldest().map_or(self.now, |entry| entry.queued);
        let Some(timeout) = self.pools[pool.index()].config.timeout else {
            return;
        };
        let is_new = link.late == 0;
        let (mut late, mut lost) = (Vec::new(), Vec::new());
        let released = link.released;
        while let Some(entry) = link.in_flight.get_mut(link.late)
            && entry.queued.max(released) + timeout <= self.now
        {
            // A reply that is passing cannot be called late any more; those behind it can.
            if entry.role == Role::Unblock {
                lost.push(*entry);
            }
            if !(link.late == 0 && link.streaming) {
                late.extend(
                    entry
                        .client
                        .take()
                        .map(|client| (client, entry.sequence, entry.fragment)),
                );
            }
            link.late += 1;
        }
        let too_many = link.late > self.limits.tombstones;
        let failed = late.len();
        for (client, sequence, fragment) in late {
            match fragment {
                None => self.fail_request(client, sequence, Cause::TimedOut),
                Some(fragment) => self.fail_fragment(client, sequence, fragment, Cause::TimedOut),
            }
        }
        for entry in lost {
            self.wait_ended(&entry, Err(Cause::TimedOut));
        }
        if too_many {
            return self.close_link(id, Cause::TimedOut);
        }
        if is_new && failed > 0 {
            self.stats.pools[pool.index()].servers[server.index()]
                .server_timedout
                .add(1);
            self.notice_server(pool, server, What::Late { failed });
            if self.shows_health(id, Cause::TimedOut) {
                self.actions.push_back(Action::Failed {
                    pool,
                    server,
                    since,
                    cause: Cause::TimedOut,
                });
                self.pools[pool.index()].failing[server.index()] = true;
            }
        }
    }

    /// When the connection must be looked at next.
    pub(super) fn link_deadline(&self, id: LinkId) -> Time {
        let Some(link) = self.links.find(id) else {
            return Time::NEVER;
        };
        let pool = &self.pool(link.pool).config;
        let mut next = Time::NEVER;
        if link.blocked.is_some() {
            return next;
        }
        if let (Some(timeout), Some(entry)) = (pool.timeout, link.oldest()) {
            next = next.min(link.due(entry, timeout));
        }
        if link.state != State::Ready {
            next = next.min(link.since + pool.connect_timeout);
        }
        if self.pool(link.pool).is_unused(link.lane) {
            // Its last requests may still be under way.
            let since = if link.is_idle() { link.heard } else { self.now };
            next = next.min(since + self.limits.spare_idle);
        }
        if link.may_retire() && link.is_idle() {
            next = next.min(link.heard + self.limits.spare_idle);
        } else if link.state == State::Ready {
            next = next.min(self.silence_ends(link).unwrap_or(Time::NEVER));
        }
        next
    }

    /// Until when something must come, or be taken, if the connection is not to be given up.
    fn silence_ends(&self, link: &Link) -> Option<Time> {
        let timeout = self.pool(link.pool).config.timeout;
        if link.uploader.is_some() {
            // While the client sends nothing the server owes nothing.
            let since = if link.out.is_empty() {
                self.now
            } else {
                link.heard
            };
            return Some(since + timeout.unwrap_or(self.limits.upload_stall));
        }
        let timeout = timeout?;
        if link.streaming {
            return Some(link.heard + timeout);
        }
        let entry = link.oldest()?;
        Some((link.heard + timeout).max(entry.queued + timeout))
    }
}
