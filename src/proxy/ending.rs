//! What ends before its time: clients that leave or are put out, connections to servers that break.

use std::mem;

use super::attempts::Failure;
use super::cause::{Blame, Cause};
use super::client::{Ending, Stage};
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::link::{Kind, Link, Role, State};
use super::notice::What;
use super::{Action, CloseHow, Proxy};
use crate::buffer::Queue;
use crate::config::FailedGet;
use crate::protocol::Merge;

/// When a client that leaves had so many bytes kept for it, they are given back soon, whatever else goes on.
const RELEASE_MIN: usize = 256 * 1024;

impl Proxy {
    /// Closes a client. What it is owed still comes from the servers and is thrown away.
    pub(super) fn close_client(&mut self, id: ClientId, ending: Ending, how: CloseHow) {
        let Some(mut client) = self.clients.remove(id) else {
            return;
        };
        self.numbers.remove(&client.number);
        let stats = &self.stats.pools[client.pool.index()];
        match (ending, client.ending) {
            (Ending::Eof, Ending::Eof) => stats.client_eof.add(1),
            _ => stats.client_err.add(1),
        }
        stats.client_connections.sub(1);
        self.stats.curr_connections.sub(1);
        self.strangers -= client.charged;
        let held = client.out.len() + client.ring.waiting_bytes + client.pending.len();
        client.out.clear(&mut self.buffers);
        while let Some(exchange) = client.ring.pop() {
            match exchange {
                Exchange::Ready(mut reply, _) => reply.clear(&mut self.buffers),
                Exchange::Fanout(fanout) => self.recycle(fanout),
                Exchange::Probe(probe) => self.leave_group(client.pool, probe.group),
                _ => {}
            }
        }
        if held >= RELEASE_MIN {
            // Nobody else will need so many buffers soon.
            self.buffers.release(held);
            self.released += held;
        }
        if let Some(upload) = client.upload.take() {
            self.give_up_ticket(client.pool, upload.ticket);
            if let Stage::Stream(link) = upload.stage {
                self.drop_link(link);
            }
        }
        self.leave_group(client.pool, client.group);
        if let Some(session) = client.session.take() {
            self.close_own_of(&session);
        }
        self.unblock_links(client.blocking);
        self.actions.push_back(Action::Close {
            conn: id.conn(),
            how,
        });
    }

    /// A connection to a server broke: everything owed on it is answered with an error.
    pub(super) fn close_link(&mut self, id: LinkId, cause: Cause) {
        let Some(link) = self.links.find(id) else {
            return;
        };
        let (pool, lane, server) = (link.pool, link.lane, link.server);
        let (kind, state, idle) = (link.kind, link.state, link.in_flight.is_empty());
        // What was heard before another failure shows no other one; a request that waited a whole timeout
        // since then does.
        let oldest = link.oldest().map(|entry| entry.queued);
        let since = match (state, oldest) {
            (State::Connecting, _) => link.since,
            (_, Some(queued)) if cause == Cause::TimedOut && queued <= self.now => {
                link.heard.max(queued)
            }
            _ => link.heard,
        };
        let stats = &self.stats.pools[pool.index()].servers[server.index()];
        match cause {
            Cause::Eof => stats.server_eof.add(1),
            Cause::TimedOut => stats.server_timedout.add(1),
            _ => stats.server_err.add(1),
        }
        // A wish of a client's for a database or version the server does not have says nothing about it.
        let asks_too_much = matches!(cause, Cause::Database | Cause::Version | Cause::Unwilling)
            && !self.pools[pool.index()].is_usual(lane);
        // Shared connections show whether it is well.
        let overtakes = link.kind == Kind::Overtaking;
        let blame = if asks_too_much || overtakes {
            Blame::Nobody
        } else {
            link.blame(cause)
        };
        if blame == Blame::Client {
            stats.server_reply_violations.add(1);
        }
        if state != State::Ready && cause != Cause::NoMemory && !overtakes {
            let failure = Failure {
                cause,
                at_once: self.pool(pool).config.server_failure_limit.get().max(3),
                longest: self.limits.backoff_max,
                now: self.now,
                draw: self.draw(),
            };
            let lane = self.pools[pool.index()].lane(lane);
            if asks_too_much && cause != Cause::Unwilling {
                lane.refused(cause, failure.now);
            } else {
                lane.connect_failed(kind, failure);
            }
        }
        if blame == Blame::Server && self.shows_health(id, cause) {
            self.actions.push_back(Action::Failed {
                pool,
                server,
                since,
                cause,
            });
            self.pools[pool.index()].failing[server.index()] = true;
        }
        let unsent = self
            .links
            .find_mut(id)
            .filter(|link| link.leaves_unsent(cause));
        let unsent = unsent.map(|link| mem::take(&mut link.out));
        let Some(mut link) = self.forget_link(id, CloseHow::Reset) else {
            return;
        };
        if let Some(unsent) = unsent {
            self.move_unsent(&mut link, unsent);
        }
        let failed = link
            .in_flight
            .iter()
            .filter(|entry| entry.client.is_some())
            .count();
        // Why a server refused a greeting was told when it did.
        if !(idle && cause == Cause::Eof || asks_too_much) {
            let what = What::LinkClosed { cause, failed };
            self.notice_server(pool, server, what);
        }
        if blame == Blame::Client {
            self.notice_server(pool, server, What::NotBlamed);
        }
        for (index, entry) in link.in_flight.iter().enumerate() {
            let Some(client) = entry.client else {
                if entry.role == Role::Unblock {
                    self.wait_ended(entry, Err(cause));
                }
                continue;
            };
            match entry.fragment {
                // A part of the reply is with the client already: the rest can never come, and
                // nothing else may follow it.
                None if index == 0 && link.streaming && !self.is_silent(client, entry.sequence) => {
                    self.close_client(client, Ending::Error, CloseHow::Reset);
                }
                None => self.fail_request(client, entry.sequence, cause),
                Some(fragment) => self.fail_fragment(client, entry.sequence, fragment, cause),
            }
        }
        if let Some(owner) = link.owner {
            self.own_lost(owner, id);
        }
        self.serve_waiting(pool, lane);
    }

    /// Whether what became of the connection says something about the health of its server, which is what
    /// clients' ordinary requests meet. A server that has no room for further connections refuses those
    /// that one client wants for itself, and those for large messages, while the shared ones work.
    pub(super) fn shows_health(&self, id: LinkId, cause: Cause) -> bool {
        let Some(link) = self.links.find(id) else {
            return false;
        };
        if matches!(link.kind, Kind::Shared(_)) {
            return true;
        }
        let mut lanes = self.pool(link.pool).lanes.iter();
        let works = |&shared: &LinkId| {
            let shared = self.links.find(shared);
            shared.is_some_and(|shared| shared.state == State::Ready && shared.late == 0)
        };
        if lanes.any(|lane| lane.key.server == link.server && lane.shares().any(works)) {
            return false;
        }
        // A refusal may come as a line and an end, which only look like a connection that was in order.
        matches!(link.kind, Kind::Spare | Kind::Detour)
            || link.state != State::Ready
            || cause == Cause::TimedOut
    }

    /// Whether nothing of the reply to a request is for its client.
    fn is_silent(&mut self, id: ClientId, sequence: u32) -> bool {
        let client = self.clients.find_mut(id);
        client.is_some_and(|client| client.ring.is_silent(sequence))
    }

    /// Closes a connection that is of no more use, through no fault of its server.
    pub(super) fn drop_link(&mut self, id: LinkId) {
        if let Some(link) = self.forget_link(id, CloseHow::Reset) {
            self.serve_waiting(link.pool, link.lane);
        }
    }

    /// Takes a connection out of everything that knows it.
    pub(super) fn forget_link(&mut self, id: LinkId, how: CloseHow) -> Option<Box<Link>> {
        let mut link = self.links.remove(id)?;
        let lane = self.pools[link.pool.index()].lane(link.lane);
        match link.kind {
            Kind::Shared(place) => lane.shared_links[place] = None,
            Kind::Overtaking => lane.overtaking = None,
            Kind::Spare => lane.spares.retain(|&spare| spare != id),
            Kind::Detour => lane.detours.retain(|&detour| detour != id),
            Kind::Pinned => {
                lane.idle.retain(|&idle| idle != id);
                lane.own -= 1;
                self.pools[link.pool.index()].own[link.server.index()] -= 1;
            }
        }
        self.stats.curr_connections.sub(1);
        let stats = &self.stats.pools[link.pool.index()].servers[link.server.index()];
        if link.state != State::Connecting {
            stats.server_connections.sub(1);
        }
        for (index, entry) in link.in_flight.iter().enumerate() {
            link.uncount(index, entry.len, stats);
        }
        link.out.clear(&mut self.buffers);
        link.greeting.clear(&mut self.buffers);
        link.partial.clear(&mut self.buffers);
        self.actions.push_back(Action::Close {
            conn: id.conn(),
            how,
        });
        if let Some(client) = link.uploader {
            self.discard_upload(client);
        }
        self.resume(mem::take(&mut link.paused));
        Some(link)
    }

    /// Answers one request with an error, in its turn.
    pub(super) fn fail_request(&mut self, id: ClientId, sequence: u32, cause: Cause) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let stamp = client.ring.stamp_of(sequence);
        let error = client.protocol.error_to(stamp, &cause.to_string());
        if let Some(Exchange::Probe(_)) = client.ring.find(sequence) {
            return self.asked_in_vain(id, sequence, cause);
        }
        if self.is_multi_unproved(id, sequence, cause) {
            return self.pass_over(id, sequence, &mut Queue::new(), true);
        }
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        self.stats.pools[client.pool.index()].forward_error.add(1);
        match client.ring.find(sequence) {
            Some(Exchange::Silent) => client.ring.serve_silent(sequence),
            Some(Exchange::Errand(errand)) if errand.mute.is_now() => {
                client.ring.serve_silent(sequence);
            }
            _ => client.ring.keep(sequence, error.bytes()),
        }
        if client.ring.is_head(sequence) {
            self.advance(id);
        }
    }

    /// A fragment of a request will have no reply.
    pub(super) fn fail_fragment(
        &mut self,
        id: ClientId,
        sequence: u32,
        fragment: u16,
        cause: Cause,
    ) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let is_head = client.ring.is_head(sequence);
        let Some(Exchange::Fanout(fanout)) = client.ring.find(sequence) else {
            debug_assert!(false, "a fragment of no split request");
            return;
        };
        // There may be thousands of fragments, and all of them may fail at once.
        let (mut freed, mut kept) = (0, 0);
        if self.pools[client.pool.index()].config.failed_get == FailedGet::Miss
            && fanout.merge == Merge::Values
            && !fanout.join.started
        {
            (freed, kept) = fanout.miss(fragment, &mut self.buffers);
        } else {
            let was_lost = fanout.is_lost();
            fanout.fail(fragment, cause);
            if !was_lost {
                freed = fanout.discard_failed(fragment, &mut self.buffers);
            }
        }
        client.ring.waiting_bytes = client.ring.waiting_bytes + kept - freed;
        if is_head {
            self.advance(id);
        } else {
            self.unblock(id);
        }
    }
}
