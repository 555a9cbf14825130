//! The listening sockets of all pools: accepting clients, counting them, handing them to workers.
//!
//! A client goes to the worker with the fewest. At a limit it is accepted and closed at once, so
//! that it learns of it; when the process has no descriptors left, accepting pauses and clients wait
//! in the kernel's queue.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::log::Log;
use super::systemd::Inherited;
use crate::config::{Listen, Pool};
use crate::engine::{
    BindOptions, Endpoint, Engine, Listener, Mailbox, PortSharing, Socket, SocketOptions,
};
use crate::proxy::{PoolIndex, Time};
use crate::stats::WorkerStats;
use crate::worker::{Message, Seat};

/// Clients accepted from one listener before the next has its turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long accepting pauses when there is no descriptor (or memory) for another client.
const PAUSE: Duration = Duration::from_millis(100);

/// How often the log tells of a pool that turns clients away, or of a pause.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A worker, as far as clients are concerned.
#[derive(Debug)]
pub struct Desk {
    /// Where its messages go.
    pub mailbox: Mailbox<Message>,
    /// How many clients it has.
    pub count: Arc<AtomicUsize>,
}

/// A listener of one pool.
#[derive(Debug)]
struct Door {
    pool: PoolIndex,
    name: String,
    listener: Listener,
    options: SocketOptions,
    /// Clients of this pool, over all workers.
    count: Arc<AtomicUsize>,
    limit: Option<NonZeroU32>,
    /// Clients may be waiting although no edge will say so again.
    waiting: bool,
    /// Until then the log has its line about clients that were turned away.
    told_until: Time,
}

/// All listeners.
#[derive(Debug)]
pub struct Doors {
    doors: Vec<Door>,
    /// Most clients of the process.
    limit: usize,
    paused_until: Option<Time>,
    /// Until then the log has its line about pauses.
    told_until: Time,
}

impl Doors {
    /// Binds the listeners of all pools, but those that were handed over.
    ///
    /// # Errors
    /// Names the first pool whose address cannot be had. Those bound before are closed again.
    pub fn open(pools: &[Arc<Pool>], inherited: &mut Inherited) -> Result<Self, String> {
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
                let listener = Listener::bind(&endpoint, options).map_err(|error| {
                    let text = pool.listen.text();
                    format!(
                        "pool {:?}: listening on {text:?} failed: {error}",
                        pool.name
                    )
                })?;
                listeners.push(listener);
            }
            let count = Arc::default();
            doors.extend(listeners.into_iter().map(|listener| Door {
                pool: PoolIndex(index as u16),
                name: pool.name.clone(),
                listener,
                options: match pool.tcpkeepalive {
                    true => SocketOptions::ClientKeptAlive,
                    false => SocketOptions::Client,
                },
                count: Arc::clone(&count),
                limit: pool.client_connections,
                waiting: true,
                told_until: Time::default(),
            }));
        }
        Ok(Self {
            doors,
            limit: usize::MAX,
            paused_until: None,
            told_until: Time::default(),
        })
    }

    /// From now on clients are reported to this engine; at most `limit` of them are let in.
    pub fn watch(&mut self, engine: &Engine, limit: usize) -> io::Result<()> {
        self.limit = limit;
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
    pub fn accept(&mut self, desks: &[Desk], stats: &WorkerStats, log: &Log, now: Time) {
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        self.paused_until = None;
        for door in self.doors.iter_mut().filter(|door| door.waiting) {
            for _ in 0..ACCEPTS_PER_TURN {
                match door.listener.accept() {
                    Ok(Some(socket)) => door.admit(socket, self.limit, desks, stats, log, now),
                    Ok(None) => {
                        door.waiting = false;
                        break;
                    }
                    Err(error) => {
                        if now >= self.told_until {
                            self.told_until = now + TELL_EVERY;
                            let name = &door.name;
                            log.warn(format_args!("pool {name:?}: accepting pauses: {error}"));
                        }
                        self.paused_until = Some(now + PAUSE);
                        return;
                    }
                }
            }
        }
    }
}

impl Door {
    /// Hands a client to a worker, or turns it away.
    fn admit(
        &mut self,
        mut socket: Socket,
        limit: usize,
        desks: &[Desk],
        stats: &WorkerStats,
        log: &Log,
        now: Time,
    ) {
        let total: usize = desks
            .iter()
            .map(|desk| desk.count.load(Ordering::Relaxed))
            .sum();
        let here = self.count.load(Ordering::Relaxed);
        let full_here = self.limit.is_some_and(|limit| here >= limit.get() as usize);
        if full_here || total >= limit {
            stats.pools[self.pool.index()].client_refused.add(1);
            if now >= self.told_until {
                self.told_until = now + TELL_EVERY;
                let (name, count, what) = match full_here {
                    true => (&self.name, here, "client_connections"),
                    false => (&self.name, total, "open files"),
                };
                log.warn(format_args!(
                    "pool {name:?}: clients are turned away: {count} are connected, \
                     the limit of {what}"
                ));
            }
            return;
        }
        let fewest = desks
            .iter()
            .min_by_key(|desk| desk.count.load(Ordering::Relaxed));
        let Some(desk) = fewest else { return };
        // A client that has left already cannot be given options; it is let go.
        if socket.set_options(self.options).is_ok() {
            let seat = Seat::take(&self.count, &desk.count);
            desk.mailbox.send(Message::Client {
                pool: self.pool,
                socket,
                seat,
            });
        }
    }
}
