//! The loop between the engine and the core; one thread has one of each.
//!
//! It carries: readiness and bytes from the sockets to the core, the core's actions back to the
//! sockets, control's messages in and reports out. It decides nothing about requests.
//!
//! ```text
//!   one turn:   wait --> (gather) --> turn(now) --> messages --> read --> expire --> act, write --+
//!                ^                                                                                |
//!                +--------------------------------------------------------------------------------+
//! ```
//!
//! A turn reads everything readable before it writes anything, so that what many clients ask of one
//! server leaves in one write. A connection gets a fixed share of a turn; what it has beyond that is
//! read in the next one, which then starts without waiting.

#[cfg(test)]
mod accounts;
mod chunks;
mod clock;
mod closing;
mod conns;
mod gather;
mod inbox;
mod memory;
#[cfg(test)]
mod tests;
mod tidying;
mod trial;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::config::{self, Address};
use crate::engine::{
    self, CloseMode, Endpoint, Engine, Mailbox, Ready, Resolver, Socket, SocketOptions, Taken,
};
use crate::proxy::{Action, Balance, Cause, CloseHow, ConnId, PoolIndex, Proxy, Settings, Time};
use crate::route::ServerIndex;
use crate::stats::{Stats, WorkerStats};

use chunks::{CHUNK_LEN, Chunks};
use closing::LingeringClose;
use conns::{Conn, Entry, Links};
use gather::Gather;
use memory::Memory;
use tidying::Tidying;

pub use clock::Clock;
pub use inbox::{ClientPermit, Message, Report};

/// Chunks that are read from one connection in one turn.
const READS_PER_TURN: usize = 4;

/// How long the core may go by one reading of the time of day.
const EPOCH_EVERY: Duration = Duration::from_secs(1);
/// New clients that are taken over in one turn.
const NEWCOMERS_PER_TURN: usize = 64;

/// What a client that is gone has freed, in bytes, about.
const CLIENT_COST: usize = 512;

/// Entries of a list that are kept whatever happens.
const LIST_KEPT: usize = 256;

/// What a worker is made with.
pub struct Setup {
    /// All pools, in the order of the configuration.
    pub pools: Vec<Arc<config::Pool>>,
    /// This worker's own counters.
    pub stats: Arc<WorkerStats>,
    /// Those of all threads, for clients that ask.
    pub overview: Arc<Stats>,
    /// For its core.
    pub settings: Settings,
    /// The process' clock.
    pub clock: Clock,
    /// The longest it may wait, with many clients active, for more requests. Zero: it never does.
    pub gather: Duration,
    /// Bytes of memory the process may use. `None`: no limit.
    pub memory_limit: Option<u64>,
    /// What all workers hold of it.
    pub balance: Arc<Balance>,
    /// For servers given by host name.
    pub resolver: Resolver,
    /// Called, on the worker's thread, with what control must know. Must not block.
    pub report: Box<dyn Fn(Report) + Send>,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All clients had what they were owed, and are gone.
    Drained,
    /// It was told to stop.
    Stopped,
}

/// One worker. Made on any thread; [`Worker::run`] belongs on its own.
pub struct Worker {
    engine: Engine,
    inbox: Receiver<Message>,
    mailbox: Mailbox<Message>,
    setup: Setup,
}

impl Worker {
    /// A worker that has not started.
    pub fn new(setup: Setup) -> io::Result<Self> {
        let engine = Engine::new()?;
        let (mailbox, inbox) = Mailbox::new(&engine)?;
        Ok(Self {
            engine,
            inbox,
            mailbox,
            setup,
        })
    }

    /// Where to send it messages.
    pub fn mailbox(&self) -> Mailbox<Message> {
        self.mailbox.clone()
    }

    /// Works until it is told to stop, or to drain and nobody is left.
    ///
    /// # Errors
    /// The operating system refuses to wait for sockets: nothing can go on.
    pub fn run(self) -> io::Result<Outcome> {
        let Self {
            engine,
            inbox,
            mailbox,
            setup,
        } = self;
        let mut proxy = Proxy::new(&setup.pools, Arc::clone(&setup.stats), setup.settings);
        proxy.set_overview(Arc::clone(&setup.overview));
        proxy.set_balance(Arc::clone(&setup.balance));
        let limit = if engine::prepare_naps() {
            setup.gather
        } else {
            Duration::ZERO
        };
        let run = Loop {
            engine,
            gather: Gather::new(limit),
            mailbox,
            proxy,
            links: Links::default(),
            parting: LingeringClose::default(),
            tidying: Tidying::default(),
            departed: 0,
            chunks: Chunks::new(setup.memory_limit),
            to_read: Vec::new(),
            memory: Memory::new(setup.memory_limit),
            unweighed: 0,
            crowded: false,
            now: Time::default(),
            next_epoch: Time::default(),
            phase: Phase::Running,
            setup,
        };
        run.run(&inbox)
    }
}

/// How far a worker's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
    Stopped,
}

/// What the loop works with.
struct Loop {
    engine: Engine,
    gather: Gather,
    mailbox: Mailbox<Message>,
    proxy: Proxy,
    links: Links,
    parting: LingeringClose,
    tidying: Tidying,
    /// Clients that were closed since memory was last given back.
    departed: usize,
    chunks: Chunks,
    /// Connections with something to read; each at most once (`Conn::listed`).
    to_read: Vec<ConnId>,
    memory: Memory,
    /// Bytes that were read since the core was last told how much memory is left.
    unweighed: usize,
    /// More messages wait than one turn takes.
    crowded: bool,
    /// The time of this turn.
    now: Time,
    /// When the core is to be told the time of day again.
    next_epoch: Time,
    phase: Phase,
    setup: Setup,
}

impl Loop {
    fn run(mut self, inbox: &Receiver<Message>) -> io::Result<Outcome> {
        let mut ready = Vec::new();
        self.begin_turn();
        self.proxy.preconnect();
        self.obey_all();
        loop {
            let patience = self.patience();
            self.engine.wait(patience, &mut ready)?;
            if let Some(nap) = self.gather.nap(ready.len())
                && patience.is_none_or(|patience| patience > nap)
            {
                // Nothing is left to read from before, or there would be no patience.
                engine::nap(nap);
                self.engine.collect(&mut ready)?;
            }
            self.begin_turn();
            let messages = self.proxy.messages();
            self.gather
                .turn(self.now, ready.len(), messages, engine::thread_cpu_time);
            if !ready.is_empty() {
                self.tidying.busy(self.now);
            }
            self.take_all(inbox);
            self.hear(&ready);
            if self
                .proxy
                .next_deadline()
                .is_some_and(|due| due <= self.now)
            {
                // The process may have stood still since these events were collected: what has come
                // meanwhile is not late.
                self.engine.collect(&mut ready)?;
                self.hear(&ready);
            }
            self.proxy.expire();
            self.parting.expire(self.now);
            self.obey_all();
            self.weigh();
            if self.tidying.is_due(self.now) {
                self.tidy();
            }
            match self.phase {
                Phase::Running => {}
                Phase::Stopped => return Ok(Outcome::Stopped),
                Phase::Draining if self.proxy.client_count() > 0 => {}
                Phase::Draining if !self.parting.is_empty() => {}
                Phase::Draining => return Ok(Outcome::Drained),
            }
        }
    }

    /// Reads what the events say is there, besides what was left from before.
    fn hear(&mut self, events: &[Ready]) {
        for event in events {
            self.note(*event);
        }
        self.read_all();
    }

    /// How long the next wait may be. `None`: for ever.
    fn patience(&self) -> Option<Duration> {
        if !self.to_read.is_empty() || self.crowded {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.proxy.next_deadline(),
            self.parting.next_deadline(),
            self.tidying.next(),
        ];
        let next = deadlines.into_iter().flatten().min();
        // From the start of the turn that has just passed: the difference is less than a timer's
        // precision, and reading the clock again would cost more than it brings.
        let next = next.map(|next| next.since(self.now));
        [next, self.memory.patience()].into_iter().flatten().min()
    }

    /// Tells the core how much memory is left, and does what follows from it.
    fn weigh(&mut self) {
        self.unweighed = 0;
        let weighed = self.memory.turn(self.now, || self.chunks.clear());
        let stats = &self.setup.stats;
        stats.memory_bytes.set(self.memory.mine());
        stats.gathering.set(i64::from(self.gather.is_on()));
        let Some((used, limit)) = weighed else {
            return;
        };
        if self.proxy.set_memory(used, limit) {
            // What was kept for those who are closed is freed with their sockets and chunks.
            self.obey_all();
            self.chunks.clear();
            self.proxy.set_memory(engine::memory::used(), limit);
        }
        self.obey_all();
    }

    /// Takes what control has sent. Of new clients only a batch at a time: those who are there already
    /// come first.
    fn take_all(&mut self, inbox: &Receiver<Message>) {
        let mut newcomers = 0;
        self.crowded = false;
        while let Ok(message) = inbox.try_recv() {
            newcomers += usize::from(matches!(message, Message::Client { .. }));
            self.take(message);
            if newcomers == NEWCOMERS_PER_TURN {
                self.crowded = true;
                return;
            }
        }
    }

    /// Gives memory back that is not needed any more.
    fn tidy(&mut self) {
        let departed = std::mem::take(&mut self.departed) * CLIENT_COST;
        let mut tidied = self.proxy.tidy();
        tidied.freed += departed + self.links.tidy() + self.chunks.tidy();
        tidied.again |= self.chunks.are_kept();
        self.to_read.shrink_to(LIST_KEPT);
        if self.tidying.tidied(tidied, self.now) {
            engine::give_back_memory();
        }
    }

    /// The only place where the clock is read.
    fn begin_turn(&mut self) {
        self.now = self.setup.clock.now();
        self.proxy.turn(self.now);
        if self.now >= self.next_epoch {
            self.next_epoch = self.now + EPOCH_EVERY;
            self.proxy.set_epoch(self.setup.clock.epoch(self.now));
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Client {
                pool,
                socket,
                permit,
            } => self.accept(pool, socket, permit),
            Message::Resolved { conn, address } => self.resolved(conn, address),
            Message::Router { pool, router } => self.proxy.set_router(pool, router),
            Message::Failing {
                pool,
                server,
                failing,
            } => {
                self.proxy.set_failing(pool, server, failing);
            }
            Message::Call(call) => self.proxy.call(&call),
            Message::Return(call, outcome) => self.proxy.returned(&call, outcome),
            Message::Pulse(pulse) => drop(pulse),
            Message::Drain if self.phase == Phase::Running => {
                self.phase = Phase::Draining;
                self.proxy.drain();
            }
            Message::Drain => {}
            Message::Stop => self.phase = Phase::Stopped,
        }
    }

    fn accept(&mut self, pool: PoolIndex, mut socket: Socket, permit: ClientPermit) {
        #[cfg(debug_assertions)]
        self.plant_panic();
        let conn = self.proxy.accept_from(pool, socket.peer());
        let watched = self.engine.watch(&mut socket, conn.index());
        self.links
            .put(conn, Entry::Open(Conn::new(conn, socket, Some(permit))));
        if let Err(error) = watched {
            self.proxy.failed(conn, Cause::from_io(&error));
        }
    }

    /// For the test of what becomes of the process: with NUTCRAB_PLANT_PANIC=N a worker panics at its
    /// Nth client at once. Not in a release.
    #[cfg(debug_assertions)]
    fn plant_panic(&self) {
        let wish = std::env::var("NUTCRAB_PLANT_PANIC").ok();
        let count = wish.and_then(|wish| wish.parse().ok());
        if count.is_some_and(|count| self.proxy.client_count() + 1 >= count) {
            panic!("a planted fault");
        }
    }

    // Readiness, and reading.

    /// Writes down what an edge tells, and puts the connection on the list if it is to be read.
    fn note(&mut self, event: Ready) {
        if LingeringClose::owns(event.number) {
            self.parting.ready(event.number, self.chunks.space());
            return;
        }
        match self.links.at(event.number) {
            Some(Entry::Open(link)) => {
                link.readable |= event.readable || event.read_closed;
                link.read_closed |= event.read_closed;
                let conn = link.conn;
                if !link.writable && event.writable {
                    link.writable = true;
                    self.flush(conn);
                }
                if event.broken && !self.proxy.wants_read(conn) {
                    // Nobody would notice until there is something to write.
                    self.broke(conn);
                } else {
                    self.list(conn);
                }
            }
            Some(Entry::Connecting(conn, _)) if event.writable || event.broken => {
                let conn = *conn;
                self.finish_connecting(conn, event);
                self.list(conn);
            }
            // It was closed after the edge had been seen.
            _ => {}
        }
    }

    /// Puts a connection on the list of those to be read, if there is something to read.
    fn list(&mut self, conn: ConnId) {
        if let Some(link) = self.links.open(conn)
            && link.readable
            && !link.listed
        {
            link.listed = true;
            self.to_read.push(conn);
        }
    }

    fn read_all(&mut self) {
        let mut list = std::mem::take(&mut self.to_read);
        for conn in list.drain(..) {
            if let Some(link) = self.links.open(conn) {
                link.listed = false;
                self.read(conn);
            }
        }
        // What was put on the list meanwhile is for the next turn; the memory is used again.
        list.append(&mut self.to_read);
        self.to_read = list;
    }

    /// Reads one connection's share of a turn.
    fn read(&mut self, conn: ConnId) {
        let mut share = READS_PER_TURN;
        while share > 0 {
            if !self.proxy.wants_read(conn) {
                // Its bytes stay where they are until the core says `Resume`.
                return;
            }
            let Some(link) = self.links.open(conn) else {
                return;
            };
            if link.permit.is_some() {
                self.gather.heard(&mut link.heard);
            }
            let count = if link.brimming { share } else { 1 };
            share -= count;
            let taken = self.chunks.read(&mut link.socket, count);
            // Not of a server: a long read of its reply leaves its socket full for longer, which costs
            // it more than is saved here.
            link.brimming = link.permit.is_some()
                && matches!(taken, Taken::Bytes(len) | Taken::Last(len) if len >= CHUNK_LEN);
            match taken {
                Taken::Bytes(len) => self.received(conn, len),
                Taken::Last(len) => {
                    // An end that came before this read will cause no other edge.
                    link.readable = link.read_closed;
                    let more = link.readable;
                    self.received(conn, len);
                    if !more {
                        return;
                    }
                }
                Taken::Nothing => {
                    link.readable = false;
                    return;
                }
                Taken::End => {
                    (link.readable, link.settled) = (false, true);
                    return self.proxy.ended(conn);
                }
                Taken::Failed(error) => {
                    (link.readable, link.settled) = (false, true);
                    return self.proxy.failed(conn, Cause::from_io(&error));
                }
            }
        }
        self.list(conn);
    }

    /// Hands the `len` bytes that were just read to the core. It takes what lies beyond a limit of its, too.
    fn received(&mut self, conn: ConnId, len: usize) {
        for input in self.chunks.filled(len) {
            self.proxy.received(conn, input);
        }
        self.unweighed += len;
        if self.unweighed >= self.memory.stride() {
            // Thousands may send much in one turn.
            self.weigh();
        }
    }

    /// Tells the core of a connection that broke while it was not read.
    fn broke(&mut self, conn: ConnId) {
        if let Some(link) = self.links.open(conn) {
            link.settled = true;
            let cause = link
                .socket
                .take_error()
                .map_or_else(|e| Cause::from_io(&e), |()| Cause::Reset);
            self.proxy.failed(conn, cause);
        }
    }

    // Actions, and writing.

    /// Does everything the core wants done.
    fn obey_all(&mut self) {
        while let Some(action) = self.proxy.poll_action() {
            self.obey(action);
        }
    }

    fn obey(&mut self, action: Action) {
        match action {
            Action::Flush(conn) => self.flush(conn),
            Action::Resume(conn) => self.list(conn),
            Action::Connect { conn, pool, server } => self.connect(conn, pool, server),
            Action::Close { conn, how } => self.close(conn, how),
            Action::Shutdown(conn) => {
                if let Some(link) = self.links.open(conn) {
                    link.settled = true;
                    link.socket.finish();
                }
            }
            Action::Failed {
                pool,
                server,
                since,
                cause,
            } => {
                (self.setup.report)(Report::Failed {
                    pool,
                    server,
                    since,
                    at: self.proxy.now(),
                    cause,
                });
            }
            Action::Succeeded { pool, server } => {
                (self.setup.report)(Report::Succeeded { pool, server });
            }
            Action::Call(call) => (self.setup.report)(Report::Call(call)),
            Action::Return(call, outcome) => (self.setup.report)(Report::Return(call, outcome)),
            Action::Notice(notice) => (self.setup.report)(Report::Notice(notice)),
        }
    }

    /// Writes what the core has for the connection, as far as the socket takes it.
    fn flush(&mut self, conn: ConnId) {
        let Some(link) = self.links.open(conn) else {
            return;
        };
        while link.writable {
            let Some(output) = self.proxy.output(conn).filter(|output| !output.is_empty()) else {
                return;
            };
            match link.socket.write(output) {
                Ok(0) => link.writable = false,
                Ok(count) => self.proxy.sent(conn, count),
                Err(error) => {
                    link.settled = true;
                    return self.proxy.failed(conn, Cause::from_io(&error));
                }
            }
        }
    }

    fn close(&mut self, conn: ConnId, how: CloseHow) {
        // What has no socket yet, or one that is not established, needs no ceremony.
        let Entry::Open(link) = self.links.take(conn) else {
            return;
        };
        self.departed += 1;
        let released = self.proxy.take_released();
        if released > 0 {
            // Much was kept for it: what it had of chunks is to go back as soon.
            self.chunks.clear();
        }
        self.tidying.released(released, self.now);
        match how {
            CloseHow::Reset => link.socket.close(CloseMode::Reset),
            CloseHow::Gracefully if link.settled || link.permit.is_none() => {
                link.socket.close(CloseMode::Gracefully);
            }
            CloseHow::Gracefully => {
                self.parting
                    .add(link.socket, link.permit, &self.engine, self.now);
            }
        }
    }

    // Connections to servers.

    fn connect(&mut self, conn: ConnId, pool: PoolIndex, server: ServerIndex) {
        let server = &self.setup.pools[pool.index()].servers[server.index()];
        match &server.address {
            Address::Unix(path) => self.start_connecting(conn, &Endpoint::Unix(path.clone())),
            Address::Tcp { host, port } => match Resolver::literal(host, *port) {
                Some(address) => self.start_connecting(conn, &Endpoint::Tcp(address)),
                None => {
                    let mailbox = self.mailbox.clone();
                    let answer = move |address| mailbox.send(Message::Resolved { conn, address });
                    self.setup.resolver.resolve(host, *port, Box::new(answer));
                    self.links.put(conn, Entry::Resolving(conn));
                }
            },
        }
    }

    fn resolved(&mut self, conn: ConnId, address: io::Result<SocketAddr>) {
        // The core may have given the connection up meanwhile.
        if self.links.is_resolving(conn) {
            match address {
                Ok(address) => self.start_connecting(conn, &Endpoint::Tcp(address)),
                Err(_) => self.proxy.failed(conn, Cause::Unresolved),
            }
        }
    }

    fn start_connecting(&mut self, conn: ConnId, endpoint: &Endpoint) {
        let socket = Socket::connect(endpoint, SocketOptions::Server);
        let watched = socket.and_then(|mut socket| {
            self.engine.watch(&mut socket, conn.index())?;
            Ok(socket)
        });
        match watched {
            Ok(socket) => self.links.put(conn, Entry::Connecting(conn, socket)),
            Err(error) => self.proxy.failed(conn, Cause::from_io(&error)),
        }
    }

    fn finish_connecting(&mut self, conn: ConnId, event: Ready) {
        let Entry::Connecting(_, socket) = self.links.take(conn) else {
            return;
        };
        match socket.is_connected() {
            Ok(true) => {
                let mut link = Conn::new(conn, socket, None);
                link.readable = event.readable || event.read_closed;
                link.read_closed = event.read_closed;
                self.links.put(conn, Entry::Open(link));
                self.proxy.connected(conn);
            }
            Ok(false) => self.links.put(conn, Entry::Connecting(conn, socket)),
            Err(error) => self.proxy.failed(conn, Cause::from_io(&error)),
        }
    }
}
