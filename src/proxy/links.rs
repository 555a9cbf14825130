//! Which connection to a server a request takes, and what is queued on it.
//!
//! A client's requests to one server stay on one connection while any of them is outstanding, so that
//! a write and the read behind it cannot swap places.

use std::mem;
use std::time::Duration;

use super::cause::Cause;
use super::client::server_bit;
use super::ids::{ClientId, LinkId, PoolIndex};
use super::link::{InFlight, Kind, Link, State};
use super::notice::What;
use super::pool::{LaneIndex, LaneKey};
use super::request::Request;
use super::time::Time;
use super::{Action, Proxy};
use crate::protocol::{Protocol, ReplyScan, Version};
use crate::route::ServerIndex;
use crate::stats::ServerStats;

impl Proxy {
    /// The connection that takes the next request of this client to this server.
    #[inline]
    pub(super) fn link_for(
        &mut self,
        request: &Request,
        server: ServerIndex,
    ) -> Result<LinkId, Cause> {
        let id = request.client;
        let Some(client) = self.clients.find_mut(id) else {
            return Err(Cause::Invalid);
        };
        client.servers_used |= server_bit(server);
        let (pool, group, has_strays) = (client.pool, client.group, !client.strays.is_empty());
        if self.is_short(pool) {
            self.stats.pools[pool.index()].memory_limit_hits.add(1);
            return Err(Cause::NoMemory);
        }
        if has_strays && let Some(link) = self.stray(id, server) {
            return self.with_room(id, link);
        }
        let found = &mut self.pools[pool.index()];
        let heavy = found.large_keys.has(request.print, self.now);
        let lane_index = found.lane_of(group, server);
        let lane = found.lane(lane_index);
        let place = lane.place_of(id);
        let link = match lane.shared_links[place] {
            Some(link) => link,
            None => self.shared_link(pool, lane_index, server, place)?,
        };
        let large = self.limits.large_message;
        match self.links.find(link) {
            Some(found) if heavy || found.is_busy(large) => {
                let link = self.around(id, pool, lane_index, server, link, heavy);
                self.with_room(id, link)
            }
            Some(found) if found.out.len() < self.limits.queue => Ok(link),
            _ => self.with_room(id, link),
        }
    }

    /// The connection, unless far too much waits for it. Where its queue is full the client may ask this, but
    /// is not read further until the queue has drained: it grows by one request of each client.
    fn with_room(&mut self, id: ClientId, link: LinkId) -> Result<LinkId, Cause> {
        let Some(found) = self.links.find_mut(link) else {
            return Err(Cause::Invalid);
        };
        if found.out.len() < self.limits.queue {
            return Ok(link);
        }
        if found.out.len() >= self.limits.queue_most {
            return Err(self.queue_full(link));
        }
        if let Some(client) = self.clients.find_mut(id)
            && !client.held_by.queue
        {
            client.held_by.queue = true;
            found.paused.push(id);
            let stats = &self.stats.pools[client.pool.index()];
            stats.server_queue_limit_hits.add(1);
        }
        Ok(link)
    }

    /// Lets those ask again who were not read because too much waited for a server.
    pub(super) fn resume(&mut self, paused: Vec<ClientId>) {
        for id in paused {
            if let Some(client) = self.clients.find_mut(id) {
                client.held_by.queue = false;
                self.unstall(id);
            }
        }
    }

    /// Refuses a request because too much waits before it, and tells of it once for each queue.
    #[cold]
    fn queue_full(&mut self, link: LinkId) -> Cause {
        let Some(found) = self.links.find_mut(link) else {
            return Cause::QueueFull;
        };
        let stats = &self.stats.pools[found.pool.index()];
        stats.server_queue_limit_hits.add(1);
        if found.sent >= found.full {
            found.full = found.appended;
            let (pool, server) = (found.pool, found.server);
            let what = What::QueueFull {
                waiting: found.out.len(),
            };
            self.notice_server(pool, server, what);
        }
        Cause::QueueFull
    }

    /// The connection besides the usual one on which requests of this client are outstanding.
    fn stray(&mut self, id: ClientId, server: ServerIndex) -> Option<LinkId> {
        let links = &self.links;
        let client = self.clients.find_mut(id)?;
        if client.ring.is_empty() {
            // Spares the look through what may be a long queue.
            client.strays.clear();
            return None;
        }
        client
            .strays
            .retain(|&(_, link)| links.find(link).is_some_and(|found| found.serves(id)));
        client
            .strays
            .iter()
            .find(|stray| stray.0 == server)
            .map(|stray| stray.1)
    }

    /// A way around a connection that carries a large reply, for a client that does not wait on it; or
    /// one for a request whose own reply will probably be large, which should meet nobody else's.
    fn around(
        &mut self,
        id: ClientId,
        pool: PoolIndex,
        lane: LaneIndex,
        server: ServerIndex,
        busy: LinkId,
        heavy: bool,
    ) -> LinkId {
        let owed = self.clients.find(id).is_some_and(|it| !it.ring.is_empty());
        if owed && self.links.find(busy).is_some_and(|link| link.serves(id)) {
            return busy;
        }
        let large = self.limits.large_message;
        let detours = &self.pools[pool.index()].lanes[lane.0 as usize].detours;
        let known = detours
            .iter()
            .filter_map(|&detour| Some((detour, self.links.find(detour)?)));
        let free = known.clone().find(|(_, link)| {
            if heavy {
                link.in_flight.is_empty()
            } else {
                !link.is_busy(large)
            }
        });
        let detour = match free {
            Some((detour, _)) => detour,
            None if detours.len() < self.limits.detours => self.open_detour(pool, lane, server),
            // Behind another large reply it is better placed than before small ones.
            None if heavy => match known.min_by_key(|(_, link)| link.in_flight.len()) {
                Some((detour, _)) => detour,
                None => return busy,
            },
            None => return busy,
        };
        if let Some(client) = self.clients.find_mut(id) {
            client.strays.push((server, detour));
        }
        detour
    }

    /// A connection of the lane for large replies, and for what goes around one.
    fn open_detour(&mut self, pool: PoolIndex, lane: LaneIndex, server: ServerIndex) -> LinkId {
        let link = self.open(pool, lane, server, Kind::Detour);
        self.pools[pool.index()].lane(lane).detours.push(link);
        link
    }

    /// The lane's connection at `place`, opened if need be and if the server's past allows it.
    #[inline]
    pub(super) fn shared_link(
        &mut self,
        pool: PoolIndex,
        lane_index: LaneIndex,
        server: ServerIndex,
        place: usize,
    ) -> Result<LinkId, Cause> {
        let lane = self.pools[pool.index()].lane(lane_index);
        if let Some(link) = lane.shared_links[place] {
            return Ok(link);
        }
        let kind = Kind::Shared(place);
        self.may_connect(pool, lane_index, kind)?;
        let link = self.open(pool, lane_index, server, kind);
        self.pools[pool.index()].lane(lane_index).shared_links[place] = Some(link);
        Ok(link)
    }

    /// Whether an attempt to connect may be made; if not, why the last one failed.
    pub(super) fn may_connect(
        &mut self,
        pool: PoolIndex,
        lane: LaneIndex,
        kind: Kind,
    ) -> Result<(), Cause> {
        let lane = self.pools[pool.index()].lane(lane);
        let server = lane.key.server;
        let attempts = lane.attempts(kind);
        let mut may = attempts.may_begin(self.now);
        if may.is_ok() && attempts.is_retrying() && !self.retries.take(self.now) {
            may = Err(attempts.last_cause());
        }
        // A server that does not have what it was asked for does not refuse otherwise.
        if may.is_err_and(|cause| !matches!(cause, Cause::Database | Cause::Version)) {
            let stats = &self.stats.pools[pool.index()].servers[server.index()];
            stats.server_backoff_hits.add(1);
        }
        may
    }

    /// A further connection of the lane, for a large request.
    pub(super) fn open_spare(
        &mut self,
        pool: PoolIndex,
        lane: LaneIndex,
        server: ServerIndex,
    ) -> LinkId {
        let link = self.open(pool, lane, server, Kind::Spare);
        self.pools[pool.index()].lane(lane).spares.push(link);
        link
    }

    pub(super) fn open(
        &mut self,
        pool: PoolIndex,
        lane: LaneIndex,
        server: ServerIndex,
        kind: Kind,
    ) -> LinkId {
        let protocol = self.pools[pool.index()].lane(lane).key.protocol;
        let link = Link::new(pool, lane, server, protocol, kind, self.now);
        let id = self.links.insert(link);
        self.stats.total_connections.add(1);
        self.stats.curr_connections.add(1);
        self.actions.push_back(Action::Connect {
            conn: id.conn(),
            pool,
            server,
        });
        self.rearm_link(id);
        id
    }

    /// A request of `len` bytes was appended to the connection's output.
    #[inline]
    pub(super) fn enqueued(&mut self, id: LinkId, entry: InFlight, len: u64) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        self.messages += 1;
        let pool = &self.pools[link.pool.index()];
        let stats = &self.stats.pools[link.pool.index()].servers[link.server.index()];
        let (client, queued) = (entry.client, entry.queued);
        let stops = link.append(entry, len, stats);
        if link.protocol == Protocol::Binary && self.limits.strict {
            let client = client.and_then(|id| self.clients.find(id));
            let stamp = client.map(|client| client.ring.stamp);
            link.stamps.push_back(stamp.unwrap_or_default());
        }
        if link.in_flight.len() > self.limits.crowd
            && let Some(client) = client.and_then(|id| self.clients.find_mut(id))
        {
            client.limit_share(link.in_flight.len(), &self.limits);
        }
        link.announce(id, queued, pool, &mut self.timers, &mut self.dirty);
        if stops {
            self.release(id);
        }
    }

    /// Output was taken by the connection's socket.
    pub(super) fn link_sent(&mut self, id: LinkId, count: usize) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        if matches!(link.state, State::Greeting { .. }) {
            link.greeting.consume(count, &mut self.buffers);
            return;
        }
        link.out.consume(count, &mut self.buffers);
        link.sent += count as u64;
        if link.sent_count == 0 {
            link.heard = self.now;
        }
        let stats = &self.stats.pools[link.pool.index()].servers[link.server.index()];
        link.count_sent(stats, self.now);
        if link.uploader.is_none() && link.paused.is_empty() {
            return;
        }
        let len = link.out.len();
        let uploader = link.uploader.filter(|_| len < self.limits.window);
        let mut paused = Vec::new();
        if len < self.limits.queue {
            paused = mem::take(&mut link.paused);
        }
        if let Some(client) = uploader {
            self.unstall(client);
        }
        self.resume(paused);
    }

    /// Notes which requests were sent whole.
    pub(super) fn count_sent(&mut self, id: LinkId) {
        if let Some(link) = self.links.find_mut(id) {
            let stats = &self.stats.pools[link.pool.index()].servers[link.server.index()];
            link.count_sent(stats, self.now);
        }
    }

    /// The connection is established: say who we are, then let the requests go.
    pub(super) fn link_connected(&mut self, id: LinkId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let (pool_index, lane_index) = (link.pool, link.lane);
        let pool = &mut self.pools[pool_index.index()];
        let LaneKey {
            database, version, ..
        } = pool.lane(lane_index).key;
        let mut auth = false;
        if let Some(password) = &pool.config.redis_auth {
            let password = password.bytes();
            auth = true;
            let head = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n", password.len());
            link.greeting.push(head.as_bytes(), &mut self.buffers);
            link.greeting.push(password, &mut self.buffers);
            link.greeting.push(b"\r\n", &mut self.buffers);
        }
        let hello = version == Version::Resp3;
        if hello {
            let request = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
            link.greeting.push(request, &mut self.buffers);
        }
        let has_database = pool.protocol == Protocol::Redis && link.kind != Kind::Overtaking;
        let select = has_database && database > 0;
        if select {
            let text = database.to_string();
            let line = format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{text}\r\n", text.len());
            link.greeting.push(line.as_bytes(), &mut self.buffers);
        }
        link.version = version;
        link.scan = ReplyScan::new(version);
        link.state = State::Greeting {
            auth,
            hello,
            select,
        };
        link.heard = self.now;
        self.stats.pools[pool_index.index()].servers[link.server.index()]
            .server_connections
            .add(1);
        if auth || hello || select {
            self.flush_link(id);
            self.rearm_link(id);
        } else {
            self.link_ready(id);
        }
    }

    /// Nothing keeps the connection's requests back any more.
    pub(super) fn link_ready(&mut self, id: LinkId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        link.state = State::Ready;
        link.heard = self.now;
        let (pool, lane) = (link.pool, link.lane);
        self.pools[pool.index()].lane(lane).connected();
        self.pools[pool.index()].commands.forget_strangers();
        self.flush_link(id);
        self.rearm_link(id);
    }

    /// Sees to it that the connection is looked at when its next deadline comes.
    pub(super) fn rearm_link(&mut self, id: LinkId) {
        let next = self.link_deadline(id);
        if next == Time::NEVER {
            return;
        }
        if let Some(link) = self.links.find_mut(id) {
            // Never in the turn at hand: what is still due after a look at it would be looked at for ever.
            let next = next.max(self.now + Duration::from_micros(1));
            self.timers.arm(id.conn(), &mut link.armed, next);
        }
    }
}

impl Link {
    /// Notes which requests were sent whole.
    #[inline]
    fn count_sent(&mut self, stats: &ServerStats, now: Time) {
        while let Some(entry) = self.in_flight.get_mut(self.sent_count)
            && entry.end <= self.sent
        {
            entry.sent = now;
            self.sent_count += 1;
            stats.in_queue.sub(1);
            stats.in_queue_bytes.sub(entry.len);
            stats.out_queue.add(1);
            stats.out_queue_bytes.add(entry.len);
        }
    }
}
