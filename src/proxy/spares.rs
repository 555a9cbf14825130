//! Spare connections, and the large requests that wait for one.
//!
//! A spare connection is scarce, so it goes to those who use it. A client gets one when it has sent the
//! beginning of its large request, in the order in which they came so far. While none is free the
//! request is gathered, as far as its client's share of the memory allows; one that is all there before
//! needs no spare any more: it goes around the shared connections as large replies do. So slow clients,
//! which may hold every spare for as long as they need, do not delay the others, and are not
//! closed for it.
//!
//! Only what is too large to be gathered cannot go on without a spare. It comes before all others; it is
//! answered like any other late request after the pool's `timeout`, and the rest of it is read and
//! thrown away. While such a request waits, a client that sends more slowly than `client_min_rate` gives
//! its spare up.

use std::collections::BTreeMap;

use super::Proxy;
use super::cause::Cause;
use super::client::{Stage, Upload};
use super::ids::{ClientId, LinkId, PoolIndex};
use super::link::{Kind, State};
use super::notice::What;
use super::pool::LaneIndex;
use super::time::Time;
use crate::protocol::Answer;
use crate::route::ServerIndex;

/// Clients with a large request that wait for a spare connection of one lane, in the order of their
/// tickets.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Those whose requests cannot go on without one. They come first.
    full: BTreeMap<u64, ClientId>,
    /// Those whose requests are gathered meanwhile.
    gathering: BTreeMap<u64, ClientId>,
    last: u64,
}

/// A client's place among those that wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    lane: LaneIndex,
    number: u64,
    /// When the wait began.
    since: Time,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.full.is_empty() && self.gathering.is_empty()
    }

    fn add(&mut self, id: ClientId, is_full: bool) -> u64 {
        self.last += 1;
        let clients = if is_full {
            &mut self.full
        } else {
            &mut self.gathering
        };
        clients.insert(self.last, id);
        self.last
    }

    /// No more of the request with this number is gathered.
    fn fill(&mut self, number: u64) {
        if let Some(id) = self.gathering.remove(&number) {
            self.full.insert(number, id);
        }
    }

    fn first(&self) -> Option<(u64, ClientId)> {
        let first = self.full.first_key_value();
        let (&number, &id) = first.or_else(|| self.gathering.first_key_value())?;
        Some((number, id))
    }

    fn remove(&mut self, number: u64) {
        if self.full.remove(&number).is_none() {
            self.gathering.remove(&number);
        }
    }

    /// Whether the client with this ticket is among them.
    pub fn has(&self, ticket: &Ticket, id: ClientId, is_full: bool) -> bool {
        let clients = if is_full { &self.full } else { &self.gathering };
        clients.get(&ticket.number) == Some(&id)
    }
}

impl Proxy {
    /// Gives the client's large request a connection of its own, if its turn has come, enough of it is
    /// there and one is free; if none is, it waits for one.
    pub(super) fn resume_upload(&mut self, id: ClientId) {
        let proof = self.limits.upload_proof;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(upload) = &client.upload else { return };
        if !client.ring.is_empty() {
            return;
        }
        if upload.whole {
            return self.end_upload(id);
        }
        if upload.ticket.is_some() || !upload.is_proven(proof) {
            return;
        }
        let (pool, server, is_full) = (client.pool, upload.server, upload.full.is_some());
        let lane = self.pools[pool.index()].lane_of(client.group, server);
        if self.pools[pool.index()].lane(lane).waiting.is_empty()
            && self.start_upload(id, pool, lane)
        {
            return;
        }
        let waiting = &mut self.pools[pool.index()].lane(lane).waiting;
        let number = waiting.add(id, is_full);
        let stats = &self.stats.pools[pool.index()];
        stats.spare_connections_hits.add(1);
        let since = self.now;
        if let Some(upload) = self.upload_of(id) {
            upload.ticket = Some(Ticket {
                lane,
                number,
                since,
            });
        }
        if is_full {
            self.await_spare(id, pool, lane);
        }
        self.note_wanted(pool, lane);
    }

    /// No more of the client's large request is kept before it has a connection of its own.
    pub(super) fn fill_upload(&mut self, id: ClientId) {
        let now = self.now;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let pool = client.pool;
        let Some(upload) = &mut client.upload else {
            return;
        };
        if !matches!(upload.stage, Stage::Wait(_)) {
            return;
        }
        client.stalled = true;
        if upload.full.is_some() {
            return;
        }
        upload.full = Some(now);
        if let Some(ticket) = upload.ticket {
            let waiting = &mut self.pools[pool.index()].lane(ticket.lane).waiting;
            waiting.fill(ticket.number);
            self.await_spare(id, pool, ticket.lane);
        }
    }

    /// The client's large request cannot go on without a spare connection, of which none is free.
    fn await_spare(&mut self, id: ClientId, pool: PoolIndex, lane: LaneIndex) {
        self.rearm_upload(id);
        self.take_slow_spare(pool, lane);
    }

    /// Starts the client's large request on a free connection, or fails it. Says whether it is settled
    /// so; if not, all connections are in use.
    fn start_upload(&mut self, id: ClientId, pool: PoolIndex, lane: LaneIndex) -> bool {
        let Some(upload) = self
            .clients
            .find(id)
            .and_then(|client| client.upload.as_ref())
        else {
            return true;
        };
        let server = upload.server;
        match self.free_spare(pool, lane, server) {
            Ok(Some(link)) => self.stream(id, link),
            Ok(None) => return false,
            Err(cause) => self.fail_upload(id, cause),
        }
        true
    }

    /// A connection of the lane that nobody uses, a new one if there may be; `None` if all are in use.
    fn free_spare(
        &mut self,
        pool: PoolIndex,
        lane: LaneIndex,
        server: ServerIndex,
    ) -> Result<Option<LinkId>, Cause> {
        let links = &self.links;
        let found = self.pools[pool.index()].lane(lane);
        let idle = |&&link: &&LinkId| links.find(link).is_some_and(|link| link.is_idle());
        if let Some(&link) = found.spares.iter().find(idle) {
            return Ok(Some(link));
        }
        if found.spares.len() >= self.limits.spares {
            return Ok(None);
        }
        self.may_connect(pool, lane, Kind::Spare)?;
        Ok(Some(self.open_spare(pool, lane, server)))
    }

    /// A spare connection has become free, or there is room for another.
    pub(super) fn spare_freed(&mut self, id: LinkId) {
        if let Some(link) = self.links.find(id) {
            let (pool, lane) = (link.pool, link.lane);
            self.rearm_link(id);
            self.serve_waiting(pool, lane);
        }
    }

    /// While clients wait for a spare connection none is left unread: the replies on them are taken off at
    /// the server's speed.
    fn note_wanted(&mut self, pool: PoolIndex, lane: LaneIndex) {
        let found = self.pools[pool.index()].lane(lane);
        let wanted = !found.waiting.is_empty();
        let mut blocked = Vec::new();
        for &id in &found.spares {
            if let Some(link) = self.links.find_mut(id) {
                link.wanted = wanted;
                if wanted && link.blocked.is_some() {
                    blocked.push(id);
                }
            }
        }
        for id in blocked {
            self.release(id);
        }
    }

    /// Gives what is free to the clients that wait for it, the first ones first.
    pub(super) fn serve_waiting(&mut self, pool: PoolIndex, lane: LaneIndex) {
        if self.pools[pool.index()].lane(lane).waiting.is_empty() {
            return;
        }
        self.serve_those_waiting(pool, lane);
        self.note_wanted(pool, lane);
    }

    fn serve_those_waiting(&mut self, pool: PoolIndex, lane: LaneIndex) {
        loop {
            let waiting = &self.pools[pool.index()].lane(lane).waiting;
            let Some((number, id)) = waiting.first() else {
                return;
            };
            let found = self.clients.find_mut(id).and_then(|it| it.upload.as_mut());
            let ticket = found.and_then(|upload| upload.ticket.take());
            if !self.start_upload(id, pool, lane) {
                if let Some(upload) = self.upload_of(id) {
                    upload.ticket = ticket;
                }
                return;
            }
            let waiting = &mut self.pools[pool.index()].lane(lane).waiting;
            waiting.remove(number);
        }
    }

    /// The client waits no longer.
    pub(super) fn give_up_ticket(&mut self, pool: PoolIndex, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            let waiting = &mut self.pools[pool.index()].lane(ticket.lane).waiting;
            waiting.remove(ticket.number);
            self.note_wanted(pool, ticket.lane);
        }
    }

    /// If others cannot go on without one, takes a spare connection from a client that hardly uses it.
    fn take_slow_spare(&mut self, pool: PoolIndex, lane: LaneIndex) {
        if self.pools[pool.index()].lane(lane).waiting.full.is_empty() {
            return;
        }
        let links = &self.links;
        let clients = &self.clients;
        let uploader = |link: &LinkId| links.find(*link)?.uploader;
        let is_slow = |id: &ClientId| {
            let upload = clients.find(*id).and_then(|client| client.upload.as_ref());
            upload.is_some_and(|upload| upload.slow)
        };
        let lane = self.pools[pool.index()].lane(lane);
        if let Some(id) = lane.spares.iter().filter_map(uploader).find(is_slow) {
            self.end_slow_upload(id);
        }
    }

    /// Fails the large request of a client whose connection others wait for.
    fn end_slow_upload(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let pool = client.pool;
        let Some(Stage::Stream(link)) = client.upload.as_ref().map(|upload| &upload.stage) else {
            return;
        };
        let link = *link;
        let Some(entry) = self.links.find(link).and_then(|link| link.in_flight.back()) else {
            return;
        };
        let (owner, sequence) = (entry.client, entry.sequence);
        self.stats.pools[pool.index()].slow_uploads_ended.add(1);
        self.notice_client(id, What::SlowUpload);
        if let Some(owner) = owner {
            self.fail_request(owner, sequence, Cause::TimedOut);
        }
        self.drop_link(link);
    }

    /// Answers a large request with an error; what is still to come of it is thrown away.
    fn fail_upload(&mut self, id: ClientId, cause: Cause) {
        let Some(upload) = self.upload_of(id) else {
            return;
        };
        let answer = upload.request.answer;
        if let Stage::Wait(mut queue) = std::mem::replace(&mut upload.stage, Stage::Discard) {
            queue.clear(&mut self.buffers);
        }
        if answer != Answer::Never {
            self.answer_error(id, cause);
        }
        self.unstall(id);
    }

    /// Looks after a large request whose deadlines may have come.
    pub(super) fn check_spare(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let pool = client.pool;
        let Some(upload) = &client.upload else { return };
        if let Some(due) = self.spare_due(pool, upload)
            && due <= self.now
        {
            let ticket = upload.ticket;
            if let Some(upload) = self.upload_of(id) {
                upload.ticket = None;
            }
            self.give_up_ticket(pool, ticket);
            return self.fail_upload(id, Cause::TimedOut);
        }
        let Stage::Stream(link) = upload.stage else {
            return;
        };
        let span = self.limits.client_rate_span;
        if upload.marked + span > self.now {
            return;
        }
        let Some(found) = self.links.find(link) else {
            return;
        };
        // What the server has not taken yet, or has begun to answer, is not for the client to hurry.
        let waits_for_client = found.out.is_empty()
            && found.state == State::Ready
            && !found.scan.has_begun()
            && !found.streaming;
        let lane = found.lane;
        let least = self.limits.client_min_rate * span.as_secs();
        let now = self.now;
        if let Some(upload) = self.upload_of(id) {
            upload.slow = waits_for_client && upload.taken < least;
            (upload.marked, upload.taken) = (now, 0);
        }
        self.take_slow_spare(pool, lane);
    }

    /// Until when a request that cannot go on without a spare connection must have one.
    fn spare_due(&self, pool: PoolIndex, upload: &Upload) -> Option<Time> {
        let timeout = self.pool(pool).config.timeout?;
        Some(upload.ticket?.since.max(upload.full?) + timeout)
    }

    /// Sees to it that the client's large request is looked at when its next deadline comes.
    pub(super) fn rearm_upload(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let Some(upload) = &client.upload else { return };
        let pool = client.pool;
        let stall = upload.heard + self.limits.upload_stall;
        let mut due = stall.max(self.now + self.limits.upload_stall / 2);
        if let Some(spare) = self.spare_due(pool, upload) {
            due = due.min(spare);
        }
        if let Stage::Stream(_) = upload.stage {
            due = due.min(upload.marked + self.limits.client_rate_span);
        }
        if let Some(client) = self.clients.find_mut(id) {
            self.timers.arm(id.conn(), &mut client.armed, due);
        }
    }

    pub(super) fn upload_of(&mut self, id: ClientId) -> Option<&mut Upload> {
        self.clients.find_mut(id)?.upload.as_deref_mut()
    }
}
