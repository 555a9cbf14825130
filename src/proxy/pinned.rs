//! Connections to servers that one client has for itself for a while.
//!
//! A command that waits at its server, a transaction that watches keys, and a subscription change what
//! their connection is. Such a connection comes from a capped pool of each server, and goes back to it
//! only when it is again as it was; otherwise it is closed. So nothing of one client leaks to another.
//!
//! ```text
//!            take                      its reply came, nothing is owed
//!   idle ----------> the client's own --------------------------------> idle --> closed, after a while
//!                          | the client left, the server failed
//!                          +------------------------------------------> closed
//! ```

use std::mem;

use super::Proxy;
use super::cause::Cause;
use super::client::server_bit;
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::link::{InFlight, Kind, State};
use super::pool::GroupIndex;
use super::request::Request;
use super::time::Time;
use crate::buffer::Input;
use crate::protocol::{Answer, Parsed};
use crate::route::ServerIndex;

impl Proxy {
    /// A connection to the server that is the client's alone until [`Proxy::give_back`].
    pub(super) fn take_pinned(
        &mut self,
        id: ClientId,
        group: GroupIndex,
        server: ServerIndex,
    ) -> Result<LinkId, Cause> {
        let Some(client) = self.clients.find_mut(id) else {
            return Err(Cause::Invalid);
        };
        client.servers_used |= server_bit(server);
        let pool_index = client.pool;
        if self.is_short(pool_index) {
            let stats = &self.stats.pools[pool_index.index()];
            stats.memory_limit_hits.add(1);
            return Err(Cause::NoMemory);
        }
        let limit = self.limits.own;
        let pool = &mut self.pools[pool_index.index()];
        let lane = pool.lane_of(group, server);
        let link = match pool.lane(lane).idle.pop() {
            Some(link) => link,
            None => {
                if pool.own[server.index()] >= limit && !self.close_idle(pool_index, server) {
                    let stats = &self.stats.pools[pool_index.index()];
                    stats.session_connections_hits.add(1);
                    return Err(Cause::TooManySessions);
                }
                self.may_connect(pool_index, lane, Kind::Pinned)?;
                let pool = &mut self.pools[pool_index.index()];
                pool.own[server.index()] += 1;
                pool.lane(lane).own += 1;
                self.open(pool_index, lane, server, Kind::Pinned)
            }
        };
        if let Some(found) = self.links.find_mut(link) {
            found.owner = Some(id);
        }
        Ok(link)
    }

    /// Makes room for another connection to the server by closing one that nobody has.
    fn close_idle(&mut self, pool: super::PoolIndex, server: ServerIndex) -> bool {
        let lanes = &self.pools[pool.index()].lanes;
        let mut of_server = lanes.iter().filter(|lane| lane.key.server == server);
        let idle = of_server.find_map(|lane| lane.idle.last().copied());
        match idle {
            Some(link) => {
                self.drop_link(link);
                true
            }
            None => false,
        }
    }

    /// The client needs the connection no longer once what was asked on it is answered; then it is as
    /// it was when it was taken.
    pub(super) fn give_back(&mut self, id: LinkId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        link.owner = None;
        if link.is_idle() {
            self.rest(id);
        }
    }

    /// Keeps a connection on which nothing is left for others.
    fn rest(&mut self, id: LinkId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        if link.listens
            || link.spent
            || link.state != State::Ready
            || !link.is_idle()
            || self.draining
        {
            return self.drop_link(id);
        }
        link.heard = self.now;
        let (pool, lane) = (link.pool, link.lane);
        self.pools[pool.index()].lane(lane).idle.push(id);
        self.rearm_link(id);
    }

    /// Sends a request over a connection of the client's own, whose reply goes to nobody.
    pub(super) fn send_unheard(&mut self, link: LinkId, bytes: &[u8], queued: Time) {
        self.send_bytes(link, InFlight::unheard(0, queued), bytes);
    }

    /// A command that may wait at the server of its keys. Says whether it was taken, see
    /// [`Proxy::handle`].
    pub(super) fn wait_for_keys(
        &mut self,
        request: &Request,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> bool {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        if !client.ring.is_empty() {
            return false;
        }
        match self.server_of_all(id, parsed, input) {
            Ok(server) => {
                self.block_on(request, server, input);
            }
            Err(error) => self.answer(id, &error),
        }
        true
    }

    /// Sends a command that may wait at its server as long as it likes. What the client asks behind it
    /// waits as well, as it does in Redis.
    fn block_on(
        &mut self,
        request: &Request,
        server: ServerIndex,
        input: Input<'_>,
    ) -> Option<LinkId> {
        let id = request.client;
        let client = self.clients.find(id)?;
        let link = match self.take_pinned(id, client.group, server) {
            Ok(link) => link,
            Err(cause) => {
                self.answer_error(id, cause);
                return None;
            }
        };
        let client = self.clients.find_mut(id)?;
        let mute = client.is_mute();
        client.barrier = true;
        client.session().blocked.push(link);
        let sequence = client.ring.push(Exchange::owed(mute, Answer::Always));
        self.ask_number(link);
        let entry = request.entry(sequence, Time::NEVER);
        self.send_input(link, entry, input);
        Some(link)
    }

    /// Sends a command of which nothing is known to the only server there is. What it does to its connection
    /// is not known either, nor whether more than a reply follows: the connection is closed behind that.
    pub(super) fn pass_unknown(&mut self, request: &Request, input: Input<'_>) {
        if let Some(link) = self.block_on(request, ServerIndex(0), input)
            && let Some(link) = self.links.find_mut(link)
        {
            link.spent = true;
        }
    }

    /// A reply came over a connection of a client's own.
    pub(super) fn pinned_answered(&mut self, link: LinkId) {
        let Some(found) = self.links.find(link) else {
            return;
        };
        if !found.in_flight.is_empty() {
            return;
        }
        let Some(owner) = found.owner else {
            return self.rest(link);
        };
        if self.waits_no_longer_on(owner, link) {
            self.give_back(link);
            self.end_lost_wait(owner);
        }
    }

    /// A connection of a client's own is gone.
    pub(super) fn own_lost(&mut self, owner: ClientId, link: LinkId) {
        let Some(client) = self.clients.find_mut(owner) else {
            return;
        };
        let Some(session) = client.session.as_deref_mut() else {
            return;
        };
        if let Some(watching) = &mut session.watching
            && watching.link == Some(link)
        {
            watching.link = None;
        }
        if self.waits_no_longer_on(owner, link) {
            self.end_wait(owner);
        }
        self.subscription_lost(owner, link);
    }

    /// Whether the client waits at a server for something to happen: when it leaves, the wait is over.
    pub(super) fn is_blocked(&self, id: ClientId) -> bool {
        let Some(client) = self.clients.find(id) else {
            return false;
        };
        let session = client.session.as_ref();
        session.is_some_and(|session| !session.blocked.is_empty())
            && !client.ring.is_within_a_reply()
    }

    /// The client is not to be answered what it waits for; it has all else, or will.
    pub(super) fn stop_waiting(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        // It was owed nothing else when the wait began, and nothing was asked since.
        let exchange = client.ring.pop();
        let links = mem::take(&mut client.session().blocked);
        if let Some(Exchange::Fanout(fanout)) = exchange {
            client.ring.waiting_bytes -= fanout.held();
            self.recycle(fanout);
        }
        for link in links {
            self.close_own(link);
        }
    }

    /// Takes a connection from those the client waits on. Says whether it was one.
    fn waits_no_longer_on(&mut self, id: ClientId, link: LinkId) -> bool {
        let client = self.clients.find_mut(id);
        let Some(session) = client.and_then(|client| client.session.as_deref_mut()) else {
            return false;
        };
        let before = session.blocked.len();
        session.blocked.retain(|&blocked| blocked != link);
        session.blocked.len() < before
    }
}
