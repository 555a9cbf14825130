//! Answers operators, on a thread and with descriptors of its own: nothing that happens here costs
//! the request path more than the reading of its counters.
//!
//! There are two listeners. At the stats port each connection is sent twemproxy's JSON object and a line
//! feed, and closed; what a visitor sends is read and thrown away, since closing with unread input
//! could take the answer back. At the admin address, if there is one, clients speak HTTP (`http`).
//!
//! ```text
//!   stats port ----> Visitor --+
//!                              +--> Pages <-- Stats, Readiness
//!   admin address -> Visitor --+
//! ```
//!
//! A visitor has a fixed time and there is room for a fixed number of them, so one that does not read
//! (or does not finish asking) keeps no other from an answer. And the thread takes at most a
//! quarter of a processor, however many connections there are: the rest belongs to the workers.
//!
//! Both listeners close when a stop begins, so that a successor can bind their addresses; connections that
//! are open by then are answered.

mod http;
mod pages;
#[cfg(test)]
mod tests;
mod visitor;

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::buffer::BufferPool;
use crate::engine::{self, Engine, Listener, Mailbox, Ready, Socket};

pub use pages::{Identity, Pages, Readiness};
use visitor::{Visit, Visitor};

/// How long a visitor may take to ask, read the answer and leave.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most connections at once to one listener; one more, and the oldest is closed.
const VISITOR_COUNT: usize = 32;

/// Descriptors that connections to both listeners may have.
pub const FILES_MAX: usize = 2 * VISITOR_COUNT;

/// Visitors let in at one door in one turn.
const ACCEPTS_PER_TURN: usize = 16;

/// How long accepting pauses when there is no descriptor for another visitor.
const PAUSE: Duration = Duration::from_millis(100);

/// So many times as long as it worked the thread rests.
const REST: u32 = 3;

/// Work that is not worth a rest.
const UNNOTICED: Duration = Duration::from_micros(200);

/// What the thread is made with.
pub struct Admin {
    engine: Engine,
    listeners: Vec<(Custom, Listener)>,
    pages: Pages,
    closer: Closer,
    closing: Receiver<Close>,
}

/// Closes the listeners.
#[derive(Clone, Debug)]
pub struct Closer(Mailbox<Close>);

impl Closer {
    /// They close soon, and stay so.
    pub fn close(&self) {
        self.0.send(Close);
    }
}

/// The order to close the listeners.
#[derive(Debug)]
struct Close;

/// What it works with, on its own thread.
struct Loop {
    engine: Engine,
    closing: Receiver<Close>,
    /// Their listeners' numbers are their places; the numbers of visitors count on from there, in
    /// steps of as many as there are listeners.
    doors: Vec<Door>,
    pages: Pages,
    /// The answers' buffers are of their own sizes and come from no pool.
    pool: BufferPool,
}

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Custom {
    Stats,
    Http,
}

/// A listener and who came to it.
struct Door {
    custom: Custom,
    /// `None` once it is closed.
    listener: Option<Listener>,
    /// In the order they came.
    visitors: VecDeque<Visitor>,
    next_number: usize,
    /// Visitors may wait although no edge will say so again.
    waiting: bool,
    /// Until then there is no descriptor for another.
    paused_until: Option<Instant>,
}

impl Admin {
    /// Answers at `stats`, and over HTTP at `http`.
    pub fn new(stats: Listener, http: Option<Listener>, pages: Pages) -> io::Result<Self> {
        let engine = Engine::new()?;
        let listeners = [(Custom::Stats, Some(stats)), (Custom::Http, http)];
        let present = listeners
            .into_iter()
            .filter_map(|(custom, listener)| Some((custom, listener?)));
        let mut listeners: Vec<_> = present.collect();
        for (number, (_, listener)) in listeners.iter_mut().enumerate() {
            engine.watch(listener, number)?;
        }
        let (mailbox, closing) = Mailbox::new(&engine)?;
        Ok(Self {
            engine,
            listeners,
            pages,
            closer: Closer(mailbox),
            closing,
        })
    }

    /// Closes the listeners when told to, from any thread.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Answers for ever.
    ///
    /// # Errors
    /// The operating system refuses to wait for sockets.
    pub fn run(self) -> io::Result<()> {
        let doors = self.listeners.into_iter().enumerate();
        let run = Loop {
            engine: self.engine,
            closing: self.closing,
            doors: doors
                .map(|(number, (custom, listener))| Door::new(number, custom, listener))
                .collect(),
            pages: self.pages,
            pool: BufferPool::new(0, 0),
        };
        run.run()
    }
}

impl Loop {
    fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            let patience = self.patience();
            self.engine.wait(patience, &mut ready)?;
            let start = now();
            if self.closing.try_recv().is_ok() {
                self.doors.iter_mut().for_each(Door::close);
            }
            self.turn(&ready, start);
            let worked = now().duration_since(start);
            if worked > UNNOTICED {
                engine::nap(worked * REST);
            }
        }
    }

    fn turn(&mut self, ready: &[Ready], now: Instant) {
        let count = self.doors.len();
        for event in ready {
            let door = &mut self.doors[event.number % count];
            match event.number {
                number if number < count => door.waiting = true,
                number => door.serve(number, &self.pages, &mut self.pool),
            }
        }
        for door in &mut self.doors {
            door.accept(&self.engine, count, &self.pages, &mut self.pool, now);
            door.dismiss(now);
        }
    }

    fn patience(&self) -> Option<Duration> {
        let now = now();
        let deadlines = self.doors.iter().flat_map(|door| {
            let waiting = door.waiting.then(|| door.paused_until.unwrap_or(now));
            [waiting, door.visitors.front().map(|visitor| visitor.until)]
        });
        let next = deadlines.flatten().min();
        next.map(|next| next.saturating_duration_since(now))
    }
}

impl Door {
    fn new(number: usize, custom: Custom, listener: Listener) -> Self {
        Self {
            custom,
            listener: Some(listener),
            visitors: VecDeque::new(),
            next_number: number,
            waiting: true,
            paused_until: None,
        }
    }

    /// Nobody else comes in.
    fn close(&mut self) {
        (self.listener, self.waiting) = (None, false);
    }

    /// Lets in a share of those who wait.
    fn accept(
        &mut self,
        engine: &Engine,
        step: usize,
        pages: &Pages,
        pool: &mut BufferPool,
        now: Instant,
    ) {
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        self.paused_until = None;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listener.as_ref().filter(|_| self.waiting) else {
                return;
            };
            match listener.accept() {
                Ok(Some(socket)) => {
                    self.next_number += step;
                    self.welcome(socket, engine, pages, pool, now);
                }
                Ok(None) => self.waiting = false,
                Err(_) => {
                    self.paused_until = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn welcome(
        &mut self,
        mut socket: Socket,
        engine: &Engine,
        pages: &Pages,
        pool: &mut BufferPool,
        now: Instant,
    ) {
        let (number, until) = (self.next_number, now + PATIENCE);
        if engine.watch(&mut socket, number).is_err() {
            return;
        }
        let mut visitor = match self.custom {
            Custom::Stats => Visitor::answered(number, until, socket, pages.stats_line()),
            Custom::Http => Visitor::asking(number, until, socket),
        };
        // Most have asked by now, and so have their answer before others can crowd them out.
        if visitor.serve(pages, pool) == Visit::Over {
            return;
        }
        if self.visitors.len() == VISITOR_COUNT {
            self.visitors.pop_front();
        }
        self.visitors.push_back(visitor);
    }

    /// Something happened to a visitor.
    fn serve(&mut self, number: usize, pages: &Pages, pool: &mut BufferPool) {
        let place = self
            .visitors
            .iter()
            .position(|visitor| visitor.number == number);
        if let Some(place) = place
            && self.visitors[place].serve(pages, pool) == Visit::Over
        {
            self.visitors.remove(place);
        }
    }

    /// Those whose time is over leave.
    fn dismiss(&mut self, now: Instant) {
        while self
            .visitors
            .front()
            .is_some_and(|visitor| visitor.until <= now)
        {
            self.visitors.pop_front();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "visitors have a deadline, answers an uptime, and the thread a share of the processor"
)]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "answers tell the time of day")]
fn seconds_since_epoch() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
