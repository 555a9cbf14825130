//! The listening sockets of all pools: accepting clients, counting them, handing them to workers.
//!
//! A client goes to the worker with the fewest. At a limit it is told so in its protocol and closed.
//! The same when the process has no descriptors left: one is held in reserve for that, so that no
//! client hangs in the kernel's queue and the listener never reports the same client for ever. For
//! other shortages accepting pauses.
//!
//! Each listener lets in a batch a turn and they take turns in being the first, so that a storm on
//! one pool costs the others a batch at most.

use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::binding::Binding;
use super::log::Log;
use super::places::Addresses;
use super::systemd::Inherited;
use crate::config::{Listen, Pool};
use crate::engine::{
    BindOptions, Endpoint, Engine, Listener, Mailbox, PortSharing, Socket, SocketOptions, memory,
    posix,
};
use crate::proxy::{Balance, PoolIndex, Time};
use crate::stats::WorkerStats;
use crate::worker::{ClientPermit, Message};

/// Clients accepted from one listener before the next has its turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long accepting pauses when there is no descriptor (or memory) for another client.
const PAUSE: Duration = Duration::from_millis(100);

/// How often the log tells of a pool that turns clients away, or of a pause.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A worker, as far as clients are concerned.
#[derive(Debug)]
pub struct WorkerHandle {
    /// Where its messages go.
    pub mailbox: Mailbox<Message>,
    /// How many clients it has.
    pub count: Arc<AtomicUsize>,
}

/// A listener of one pool.
#[derive(Debug)]
struct Bound {
    pool: PoolIndex,
    name: String,
    listener: Listener,
    options: SocketOptions,
    /// Clients of this pool, over all workers.
    count: Arc<AtomicUsize>,
    limit: Option<NonZeroU32>,
    /// What a client is told that is turned away.
    farewell: &'static [u8],
    /// Clients may be waiting although no edge will say so again.
    waiting: bool,
    /// Until then the log has its line about clients that were turned away.
    told_until: Time,
}

/// All listeners.
#[derive(Debug)]
pub struct Listeners {
    doors: Vec<Bound>,
    /// By pool: its clients by where they come from.
    addresses: Vec<Addresses>,
    /// Most clients of the process.
    limit: usize,
    /// What the process may use of memory, in bytes.
    memory_limit: Option<u64>,
    /// What the workers hold of it.
    balance: Arc<Balance>,
    reserve: posix::Reserve,
    /// The listener that is the first in the next turn.
    first: usize,
    paused_until: Option<Time>,
    /// Until then the log has its line about pauses.
    told_until: Time,
}

impl Listeners {
    /// Binds the listeners of all pools, but those that were handed over.
    ///
    /// # Errors
    /// Names the first pool whose address cannot be had. Those bound before are closed again.
    pub fn open(
        pools: &[Arc<Pool>],
        inherited: &mut Inherited,
        binding: &mut Binding,
    ) -> Result<Self, String> {
        let mut doors = Vec::with_capacity(pools.len());
        for (index, pool) in pools.iter().enumerate() {
            let (endpoint, mode) = match &pool.listen {
                Listen::Tcp { address, .. } => (Endpoint::Tcp(*address), None),
                Listen::Unix { path, mode, .. } => (Endpoint::Unix(path.clone()), *mode),
            };
            let port = match pool.reuseport {
                true => PortSharing::Shared,
                false => PortSharing::Exclusive,
            };
            let options = BindOptions {
                backlog: pool.backlog,
                port,
                mode,
            };
            let mut listeners = inherited.take(&pool.name, &endpoint);
            if listeners.is_empty() {
                let listener = binding.bind(&endpoint, options).map_err(|error| {
                    let text = pool.listen.text();
                    format!(
                        "pool {:?}: listening on {text:?} failed: {error}",
                        pool.name
                    )
                })?;
                listeners.push(listener);
            }
            let count = Arc::default();
            doors.extend(listeners.into_iter().map(|listener| Bound {
                pool: PoolIndex(index as u16),
                name: pool.name.clone(),
                listener,
                options: match pool.tcpkeepalive {
                    true => SocketOptions::ClientKeptAlive,
                    false => SocketOptions::Client,
                },
                count: Arc::clone(&count),
                limit: pool.client_connections,
                farewell: pool.protocol.too_many_clients(),
                waiting: true,
                told_until: Time::default(),
            }));
        }
        let addresses = pools
            .iter()
            .map(|pool| Addresses::new(pool.client_connections_per_address))
            .collect();
        Ok(Self {
            doors,
            addresses,
            limit: usize::MAX,
            memory_limit: None,
            balance: Arc::new(Balance::new(0, 0)),
            reserve: posix::Reserve::new(),
            first: 0,
            paused_until: None,
            told_until: Time::default(),
        })
    }

    /// From now on clients are reported to this engine; at most `limit` of them are let in, and none
    /// while the process is close to as many bytes of `memory` and the workers cannot give any back.
    pub fn watch(
        &mut self,
        engine: &Engine,
        limit: usize,
        memory: (Option<u64>, Arc<Balance>),
    ) -> io::Result<()> {
        self.limit = limit;
        (self.memory_limit, self.balance) = memory;
        for (number, door) in self.doors.iter_mut().enumerate() {
            engine.watch(&mut door.listener, number)?;
        }
        Ok(())
    }

    /// Somebody may wait at this listener.
    pub fn ready(&mut self, number: usize) {
        if let Some(door) = self.doors.get_mut(number) {
            door.waiting = true;
        }
    }

    /// How many listeners there are.
    pub fn len(&self) -> usize {
        self.doors.len()
    }

    /// Closes all listeners; nobody else comes in.
    pub fn close(&mut self) {
        self.doors.clear();
        self.paused_until = None;
    }

    /// When accepting is to be tried again although nothing happened: at once if somebody waits,
    /// later during a pause.
    pub fn next_deadline(&self) -> Option<Time> {
        if !self.doors.iter().any(|door| door.waiting) {
            return None;
        }
        Some(self.paused_until.unwrap_or_default())
    }

    /// Lets in a share of those who wait at each listener.
    pub fn accept(&mut self, handles: &[WorkerHandle], stats: &WorkerStats, log: &Log, now: Time) {
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        self.paused_until = None;
        self.reserve.refill();
        let short = memory::is_short(self.memory_limit) && self.balance.is_refusing();
        let crowd = PerAddress {
            limit: self.limit,
            short,
            handles,
            stats,
            log,
            now,
        };
        let count = self.doors.len();
        for number in (0..count).map(|number| (self.first + number) % count) {
            let door = &mut self.doors[number];
            if !door.waiting {
                continue;
            }
            let addresses = &mut self.addresses[door.pool.index()];
            if let Err(error) = door.accept(&crowd, addresses, &mut self.reserve) {
                if now >= self.told_until {
                    self.told_until = now + TELL_EVERY;
                    let name = &door.name;
                    log.warn(format_args!("pool {name:?}: accepting pauses: {error}"));
                }
                self.paused_until = Some(now + PAUSE);
                break;
            }
        }
        self.first = (self.first + 1) % count.max(1);
    }
}

/// What letting in depends on, the same for all listeners in one turn.
struct PerAddress<'a> {
    /// Most clients of the process.
    limit: usize,
    /// Whether there is too little memory for more.
    short: bool,
    handles: &'a [WorkerHandle],
    stats: &'a WorkerStats,
    log: &'a Log,
    now: Time,
}

impl Bound {
    /// Lets in a batch of those who wait.
    ///
    /// # Errors
    /// None can be accepted for now, not even to be turned away.
    fn accept(
        &mut self,
        crowd: &PerAddress<'_>,
        addresses: &mut Addresses,
        reserve: &mut posix::Reserve,
    ) -> io::Result<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok(Some(socket)) => self.admit(socket, crowd, addresses),
                Ok(None) => {
                    self.waiting = false;
                    break;
                }
                Err(error) if posix::is_out_of_descriptors(&error) && reserve.spend() => {
                    // Without a descriptor the error comes even if nobody waits.
                    let waits = self.listener.accept();
                    self.waiting = matches!(waits, Ok(Some(_)));
                    if let Ok(Some(socket)) = waits {
                        let what = format_args!("the limit of open files is reached");
                        self.turn_away(socket, crowd, what);
                    }
                    reserve.refill();
                    if !self.waiting {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands a client to a worker, or turns it away.
    fn admit(&mut self, mut socket: Socket, crowd: &PerAddress<'_>, addresses: &mut Addresses) {
        let count = |handle: &WorkerHandle| handle.count.load(Ordering::Relaxed);
        let total: usize = crowd.handles.iter().map(count).sum();
        let here = self.count.load(Ordering::Relaxed);
        let stats = &crowd.stats.pools[self.pool.index()];
        if self.limit.is_some_and(|limit| here >= limit.get() as usize) {
            stats.client_refused.add(1);
            let what = format_args!("{here} are connected, the limit of client_connections");
            return self.turn_away(socket, crowd, what);
        }
        if total >= crowd.limit {
            stats.client_refused.add(1);
            let what = format_args!("{total} are connected, the most the process may have");
            return self.turn_away(socket, crowd, what);
        }
        if crowd.short {
            stats.memory_limit_refused.add(1);
            return self.turn_away(socket, crowd, format_args!("memory_limit is near"));
        }
        let mut address = None;
        if let Some(limit) = addresses.limit()
            && let Some(ip) = socket.peer_ip()
        {
            address = addresses.place(ip);
            if address.is_none() {
                stats.client_connections_per_address_hits.add(1);
                let what = format_args!("{ip} has {limit}, client_connections_per_address");
                return self.turn_away(socket, crowd, what);
            }
        }
        let fewest = crowd.handles.iter().min_by_key(|handle| count(handle));
        let Some(handle) = fewest else { return };
        // A client that has left already cannot be given options; it is let go.
        if socket.set_options(self.options).is_ok() {
            let permit = ClientPermit::take_with(&self.count, &handle.count, address);
            handle.mailbox.send(Message::Client {
                pool: self.pool,
                socket,
                permit,
            });
        }
    }

    /// Tells a client that it cannot be served, and the log why.
    fn turn_away(&mut self, socket: Socket, crowd: &PerAddress<'_>, why: fmt::Arguments<'_>) {
        socket.dismiss(self.farewell);
        if crowd.now >= self.told_until {
            self.told_until = crowd.now + TELL_EVERY;
            let name = &self.name;
            let log = crowd.log;
            log.warn(format_args!(
                "pool {name:?}: clients are turned away: {why}"
            ));
        }
    }
}
