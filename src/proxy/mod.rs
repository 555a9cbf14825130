//! One worker's whole state: a pure machine that is told what happened and asked what to do.
//!
//! It knows no socket, thread, file, clock or source of randomness. Methods come in three kinds:
//!
//! - what happened: [`Proxy::turn`], [`Proxy::accept`], [`Proxy::connected`], [`Proxy::received`],
//!   [`Proxy::ended`], [`Proxy::failed`], [`Proxy::sent`], [`Proxy::expire`], [`Proxy::set_router`],
//!   [`Proxy::set_failing`], [`Proxy::set_memory`], [`Proxy::preconnect`], [`Proxy::drain`];
//! - what to do: [`Proxy::poll_action`], until it has none;
//! - what is the case: [`Proxy::output`], [`Proxy::wants_read`], [`Proxy::next_deadline`].
//!
//! A turn is: `turn(now)`, everything that happened, `expire`, then all actions. Output piles up
//! during the turn and is announced once per connection, by [`Action::Flush`].
//!
//! The path of a request, file by file: `requests` reads it from its client and asks the pool's router
//! where it goes; `client` and `exchange` remember that a reply is owed; `link` queues it; `replies`
//! finds the end of the reply and brings it to its place in the client's order. `uploads` are requests
//! too large to be treated so. `ending` is everything that ends early, `deadlines` everything late.

mod attempts;
mod audience;
mod balance;
mod bundle;
mod calls;
mod cause;
mod census;
mod check;
mod client;
mod deadlines;
mod dirty;
mod division;
mod ending;
mod exchange;
mod executing;
mod fragments;
mod greeting;
mod health;
mod held;
mod ids;
mod info;
mod killing;
mod large_keys;
mod learning;
mod limits;
mod link;
mod links;
mod local;
mod memcached;
mod messages;
mod multi;
mod names;
mod notice;
mod overtaking;
mod owed;
mod parts;
mod pending;
mod pinned;
mod pool;
mod pressure;
mod probe;
mod replete;
mod replies;
mod request;
mod requests;
mod retries;
mod scripts;
mod session;
mod settings;
mod spares;
mod straight;
mod subscribe;
mod telling;
mod tidy;
mod time;
mod timer;
mod transaction;
mod unblocking;
mod unsent;
mod uploads;
mod waiting;
mod window;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::{BufferPool, Chunk, Input, Queue};
use crate::config;
use crate::protocol::{Key, Unit};
use crate::route::{Router, ServerIndex};
use crate::stats::{Stats, WorkerStats};

pub use balance::Balance;
pub use calls::Call;
pub use cause::Cause;
pub use health::{Health, HealthChange};
pub use ids::{ConnId, PoolIndex};
pub use limits::Limits;
pub use notice::{Notice, Peer, What};
pub use pool::router;
pub use tidy::Tidied;
pub use time::Time;

use census::Census;
use client::Client;
use dirty::Dirty;
use exchange::Fanout;
use ids::{ClientId, LinkId, Side, Slab};
use link::Link;
use pool::{GroupIndex, Pool};
use pressure::{Memory, Pressure};
use replete::Replete;
use retries::Retries;
use timer::Timers;
use unblocking::Unblocking;

/// Memory of idle buffers kept for reuse, whatever their size (`-m`): at the usual size one for each of
/// a thousand clients that are answered in one turn. One is always kept; those that are not needed for a
/// while are freed, see `tidy`.
const KEPT_LEN: usize = 16 * 1024 * 1024;

/// What the proxy wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a connection to this server; answer with [`Proxy::connected`] or [`Proxy::failed`].
    Connect {
        /// What the connection will be called.
        conn: ConnId,
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
    },
    /// Write what [`Proxy::output`] holds for the connection.
    Flush(ConnId),
    /// Close the connection and forget its id.
    Close {
        /// Which connection.
        conn: ConnId,
        /// In which way.
        how: CloseHow,
    },
    /// Close the writing side; what still comes is read and thrown away.
    Shutdown(ConnId),
    /// Try to read again: [`Proxy::wants_read`] may have said no when the connection became readable.
    Resume(ConnId),
    /// The server failed; `since` is when what showed it began to go wrong, at the earliest.
    Failed {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
        /// When the connection was last in order, or the request queued, that failed.
        since: Time,
        /// How it failed.
        cause: Cause,
    },
    /// A server that had failed has replied.
    Succeeded {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
    },
    /// Give this to [`Proxy::call`] of the worker that has the client.
    Call(Call),
    /// Give this to [`Proxy::returned`] of the worker whose client has asked.
    Return(Call, Result<bool, Cause>),
    /// Something an operator may want to know.
    Notice(Notice),
}

/// How to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHow {
    /// As usual: everything owed was sent.
    Gracefully,
    /// With a reset, so that nobody takes what was sent for all there is.
    Reset,
}

/// What a [`Proxy`] is made with besides its pools.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of a pooled buffer (`-m`).
    pub buffer_size: usize,
    /// Which worker this is, of how many: no two clients of a process have the same number.
    pub worker: (u32, u32),
    /// Where the draws of `distribution: random` and of pauses start.
    pub seed: u64,
    /// How much of everything there may be.
    pub limits: Limits,
}

/// One worker's whole state.
#[derive(Debug)]
pub struct Proxy {
    pools: Vec<Pool>,
    clients: Slab<Client>,
    links: Slab<Link>,
    stats: Arc<WorkerStats>,
    /// What all workers have counted, for clients that ask.
    overview: Option<Arc<Stats>>,
    /// As they are under the present pressure.
    limits: Limits,
    /// As they are without pressure.
    usual: Limits,
    /// What the process uses, and how scarce that makes it.
    memory: Memory,
    pressure: Pressure,
    census: Census,
    /// When holders are counted again, and what was in use when they were.
    count_next: Time,
    counted_used: u64,
    /// Since when nobody could give way who would have to.
    hopeless_since: Option<Time>,
    /// Bytes of messages that came for those who listen since they were counted.
    new_messages: u64,
    /// What all workers hold.
    balance: Option<Arc<Balance>>,
    buffers: BufferPool,
    timers: Timers,
    /// What all servers that refuse may be tried together.
    retries: Retries,
    now: Time,
    /// What the next client will be called; all workers together use every number.
    next_client: u64,
    /// Clients by number.
    numbers: BTreeMap<u64, ClientId>,
    /// Which worker this is, of how many.
    place: u32,
    workers: u64,
    /// Microseconds since the epoch at time zero.
    epoch: u64,
    /// Connections on which a get was answered with values of other keys.
    misfits: Vec<LinkId>,
    draws: u64,
    /// See [`Proxy::messages`].
    messages: u64,
    /// See [`Proxy::take_released`].
    released: usize,
    /// Bytes of long replies of our own in this turn.
    told_bytes: usize,
    /// Bytes that are kept for clients that have not said the password.
    strangers: usize,
    /// Long replies of our own that were given lately, so that equal ones share their memory.
    told: VecDeque<Rc<Chunk>>,
    draining: bool,
    actions: VecDeque<Action>,
    /// Connections with output that was not announced yet.
    dirty: Dirty,
    /// Connections whose stalled input is to be looked at again.
    waking: Vec<ConnId>,
    /// Clients for whom enough was done in this turn: of what they ask enough was read, or answered.
    later: Vec<ConnId>,
    /// Clients with a request of very many keys that is taken apart; the next to go on comes first.
    divisions: VecDeque<ClientId>,
    /// Clients with a reply of very many elements, of which more can be joined in the next turn.
    joining: Vec<ClientId>,
    /// Which of them may go on now.
    joins: Option<ClientId>,
    /// Clients that are not read since enough of what they ask is kept.
    replete: Replete,
    scratch: Scratch,
    /// Calls whose outcome depends on servers, and what the next one is called there.
    unblockings: HashMap<u32, Unblocking>,
    next_ticket: u32,
    /// The place of the client at which [`Proxy::tidy`] goes on.
    tidied: usize,
}

/// Memory that is used within one call and kept for the next.
#[derive(Debug, Default)]
struct Scratch {
    keys: Vec<Key>,
    value: Vec<u8>,
    units: Vec<Unit>,
    /// The units again, those of one server together.
    grouped: Vec<Unit>,
    servers: Vec<ServerIndex>,
    /// By server: how many units, then which part.
    counts: Vec<u32>,
    parts: Vec<fragments::Part>,
    /// Boxed, as an exchange holds it.
    #[expect(
        clippy::vec_box,
        reason = "they move in and out of exchanges without being copied"
    )]
    fanouts: Vec<Box<Fanout>>,
}

impl Proxy {
    /// A worker for these pools, with all servers live.
    pub fn new(pools: &[Arc<config::Pool>], stats: Arc<WorkerStats>, settings: Settings) -> Self {
        Self {
            pools: pools
                .iter()
                .map(|pool| Pool::new(Arc::clone(pool)))
                .collect(),
            clients: Slab::new(0),
            links: Slab::new(1),
            stats,
            overview: None,
            limits: settings.limits,
            usual: settings.limits,
            memory: Memory::UNLIMITED,
            pressure: Pressure::None,
            census: Census::default(),
            count_next: Time::default(),
            counted_used: 0,
            hopeless_since: None,
            new_messages: 0,
            balance: None,
            buffers: BufferPool::new(
                settings.buffer_size,
                (KEPT_LEN / settings.buffer_size).max(1),
            ),
            timers: Timers::default(),
            retries: Retries::per_second(settings.limits.retries),
            now: Time::default(),
            next_client: u64::from(settings.worker.0) + 1,
            numbers: BTreeMap::new(),
            place: settings.worker.0,
            workers: u64::from(settings.worker.1).max(1),
            epoch: 0,
            misfits: Vec::new(),
            draws: settings.seed | 1,
            messages: 0,
            released: 0,
            told_bytes: 0,
            strangers: 0,
            told: VecDeque::new(),
            draining: false,
            actions: VecDeque::new(),
            dirty: Dirty::default(),
            waking: Vec::new(),
            later: Vec::new(),
            divisions: VecDeque::new(),
            joining: Vec::new(),
            joins: None,
            replete: Replete::default(),
            scratch: Scratch::default(),
            unblockings: HashMap::new(),
            next_ticket: 0,
            tidied: 0,
        }
    }

    /// Clients that ask for statistics are told what `stats` holds, which all workers count.
    pub fn set_overview(&mut self, stats: Arc<Stats>) {
        self.overview = Some(stats);
    }

    /// What this worker holds is to be weighed against what the others do, who have the same `balance`.
    pub fn set_balance(&mut self, balance: Arc<Balance>) {
        self.balance = Some(balance);
    }

    /// A turn begins: everything until the next one happens at `now`.
    pub fn turn(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.told_bytes = 0;
        self.divide_on();
        self.join_on();
        // The last one on the list is the first to go on.
        self.waking.extend(self.later.drain(..).rev());
        if !self.replete.is_empty() {
            self.look_at_the_replete();
        }
    }

    /// The time of day at time zero was so long after the start of 1970. To be told again from time
    /// to time, as the two clocks drift apart.
    pub fn set_epoch(&mut self, epoch: Duration) {
        self.epoch = u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX);
    }

    /// Microseconds since the start of 1970.
    fn wall(&self) -> u64 {
        self.epoch.saturating_add(self.now.0)
    }

    /// When the turn at hand began.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many requests were sent to servers and how many of their replies came, so far, together.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// A client of `pool` was accepted, from nowhere in particular.
    pub fn accept(&mut self, pool: PoolIndex) -> ConnId {
        self.accept_from(pool, None)
    }

    /// A client of `pool` was accepted, from `peer` if that has an address. Its id is used for
    /// everything that follows.
    pub fn accept_from(&mut self, pool: PoolIndex, peer: Option<SocketAddr>) -> ConnId {
        let found = &self.pools[pool.index()];
        let authenticated =
            found.config.redis_auth.is_none() && found.config.memcached_auth.is_none();
        let mut client = Client::new(pool, found.protocol, authenticated);
        (client.peer, client.since, client.number) = (peer, self.now, self.next_client);
        self.next_client += self.workers;
        self.pools[pool.index()].stay(client.group);
        client.replies_len = self.limits.unknown_reply();
        let number = client.number;
        let id = self.clients.insert(client);
        self.numbers.insert(number, id);
        let stats = &self.stats.pools[pool.index()];
        stats.client_connections.add(1);
        self.stats.total_connections.add(1);
        self.stats.curr_connections.add(1);
        if !authenticated {
            self.expect_password(id);
        }
        if self.draining {
            self.finish_client(id);
        }
        id.conn()
    }

    /// The connection to a server is established.
    pub fn connected(&mut self, conn: ConnId) {
        if let Side::Server(id) = conn.side() {
            self.link_connected(id);
        }
    }

    /// Bytes arrived.
    pub fn received(&mut self, conn: ConnId, input: Input<'_>) {
        match conn.side() {
            Side::Client(id) => self.client_received(id, input),
            Side::Server(id) => self.link_received(id, input),
        }
    }

    /// The peer has closed its writing side.
    pub fn ended(&mut self, conn: ConnId) {
        match conn.side() {
            Side::Client(id) => self.client_ended(id),
            Side::Server(id) => self.close_link(id, Cause::Eof),
        }
    }

    /// The connection broke, or could not be established.
    pub fn failed(&mut self, conn: ConnId, cause: Cause) {
        match conn.side() {
            Side::Client(id) => self.close_client(id, client::Ending::Error, CloseHow::Reset),
            Side::Server(id) => self.close_link(id, cause),
        }
    }

    /// Whether the connection may be read now. `false` also when it is gone.
    pub fn wants_read(&self, conn: ConnId) -> bool {
        match conn.side() {
            Side::Client(id) => self.clients.find(id).is_some_and(|client| {
                (!client.stalled || client.is_watched_for_its_end() || self.reads_on(id, client))
                    && !client.ended
                    && client.state != client::State::Finishing
            }),
            Side::Server(id) => self.links.find(id).is_some_and(|link| {
                link.blocked.is_none() && link.state != link::State::Connecting
            }),
        }
    }

    /// What may be written to the connection now.
    pub fn output(&self, conn: ConnId) -> Option<&Queue> {
        match conn.side() {
            Side::Client(id) => self.clients.find(id).map(|client| &client.out),
            Side::Server(id) => self.links.find(id).and_then(Link::output),
        }
    }

    /// The first `count` bytes of the connection's output were taken by its socket.
    pub fn sent(&mut self, conn: ConnId, count: usize) {
        match conn.side() {
            Side::Client(id) => self.client_sent(id, count),
            Side::Server(id) => self.link_sent(id, count),
        }
    }

    /// The next thing to do. To be asked until there is none, at the end of each turn.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            if let Some(conn) = self.waking.pop() {
                match conn.side() {
                    Side::Client(id) => self.wake_client(id),
                    Side::Server(id) => self.wake_link(id),
                }
                continue;
            }
            let conn = self.dirty.pop()?;
            let mut stalled = None;
            let dirty = match conn.side() {
                Side::Client(id) => self.clients.find_mut(id).map(|client| {
                    stalled = client.stalled.then_some(id);
                    &mut client.dirty
                }),
                Side::Server(id) => self.links.find_mut(id).map(|link| &mut link.dirty),
            };
            if let Some(dirty) = dirty {
                *dirty = false;
                if let Some(id) = stalled {
                    self.read_on(id);
                }
                return Some(Action::Flush(conn));
            }
        }
    }

    /// When [`Proxy::expire`] has something to do at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.has_more_to_do() {
            return Some(self.now);
        }
        let next = self.timers.next();
        match self.replete.deadline() {
            Some(at) => Some(next.map_or(at, |next| next.min(at))),
            None => next,
        }
    }

    /// Whether something was put off to the next turn because there was enough to do in this one.
    fn has_more_to_do(&self) -> bool {
        !(self.later.is_empty() && self.divisions.is_empty() && self.joining.is_empty())
    }

    /// From now on the pool's requests go where `router` says.
    pub fn set_router(&mut self, pool: PoolIndex, router: Arc<Router>) {
        self.pools[pool.index()].route(router);
        self.renew_all(pool);
    }

    /// Whether a success of this server is worth telling.
    pub fn set_failing(&mut self, pool: PoolIndex, server: ServerIndex, failing: bool) {
        self.pools[pool.index()].failing[server.index()] = failing;
    }

    /// Opens one connection to each server of the pools that ask for it.
    pub fn preconnect(&mut self) {
        for pool in 0..self.pools.len() {
            if !self.pools[pool].config.preconnect {
                continue;
            }
            for server in 0..self.pools[pool].server_count() {
                let server = ServerIndex(server as u16);
                let lane = self.pools[pool].lane_of(GroupIndex::default(), server);
                // A failure is reported by the attempt itself; the first request makes another.
                let _ = self.shared_link(PoolIndex(pool as u16), lane, server, 0);
            }
        }
    }

    /// No more requests are read; clients are closed as soon as they have what they are owed.
    pub fn drain(&mut self) {
        self.draining = true;
        let clients: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        for id in clients {
            self.end_call(id);
            self.finish_client(id);
        }
    }

    /// How many clients are connected.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// How many connections to servers there are.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// A number that looks random and is not.
    fn draw(&mut self) -> u32 {
        let draw;
        (self.draws, draw) = drawn(self.draws);
        draw
    }

    fn pool(&self, pool: PoolIndex) -> &Pool {
        &self.pools[pool.index()]
    }

    /// Sees to it that the client's output is written in this turn.
    #[inline]
    fn flush_client(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && !client.dirty
            && !client.out.is_empty()
        {
            client.dirty = true;
            self.dirty.push(id.conn());
        }
    }

    /// Sees to it that the output to the server is written in this turn, if it may be.
    #[inline]
    fn flush_link(&mut self, id: LinkId) {
        if let Some(link) = self.links.find_mut(id)
            && !link.dirty
            && link.output().is_some_and(|out| !out.is_empty())
        {
            link.dirty = true;
            self.dirty.push(id.conn());
        }
    }
}

/// The state behind `state` of a generator of numbers, and the number it gives (xorshift64).
#[inline]
fn drawn(mut state: u64) -> (u64, u32) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    (state, (state >> 32) as u32)
}

#[cfg(test)]
mod tests;
