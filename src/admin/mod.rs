//! Answers operators, on a thread and with descriptors of its own: nothing that happens here costs
//! the request path more than the reading of its counters.
//!
//! Today that is twemproxy's stats port: whoever connects is sent one JSON object and a line feed,
//! and the end. What a visitor sends is read and thrown away, since closing with unread input could
//! take the answer back. A visitor has a fixed time and there is room for a fixed number of them, so
//! one that does not read keeps nobody else from an answer.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::buffer::{BufferPool, Queue};
use crate::engine::{Engine, Listener, Ready, Socket, Taken};
use crate::stats::{Process, Stats};

/// How long a visitor may take to read the answer and leave.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most visitors at once; one more, and the one that came first has to leave.
const VISITOR_COUNT: usize = 64;

/// Reads per edge; a visitor that has more to say is not listened to.
const DISCARD_READS: usize = 4;

/// How long accepting pauses when there is no descriptor for another visitor.
const PAUSE: Duration = Duration::from_millis(100);

/// The listener's number; visitors count on from here.
const LISTENER: usize = 0;

/// What the thread is made with.
pub struct Admin {
    engine: Engine,
    listener: Listener,
    stats: Arc<Stats>,
    source: String,
    start: Instant,
}

/// What it works with, on its own thread.
struct Loop {
    admin: Admin,
    /// In the order they came.
    visitors: VecDeque<Visitor>,
    next_number: usize,
    /// Visitors may wait although no edge will say so again.
    waiting: bool,
    /// The answers' buffers are of their own sizes and come from no pool.
    pool: BufferPool,
}

/// Somebody who wants to know.
struct Visitor {
    number: usize,
    socket: Socket,
    answer: Queue,
    until: Instant,
}

/// Whether a visitor is done.
#[derive(PartialEq)]
enum Visit {
    GoesOn,
    Over,
}

impl Admin {
    /// Answers at `listener` with what is in `stats` then; `source` is the machine's name. Uptime is
    /// counted from now.
    pub fn new(mut listener: Listener, stats: Arc<Stats>, source: String) -> io::Result<Self> {
        let engine = Engine::new()?;
        engine.watch(&mut listener, LISTENER)?;
        Ok(Self {
            engine,
            listener,
            stats,
            source,
            start: now(),
        })
    }

    /// Answers for ever.
    ///
    /// # Errors
    /// The operating system refuses to wait for sockets.
    pub fn run(self) -> io::Result<()> {
        let mut run = Loop {
            admin: self,
            visitors: VecDeque::new(),
            next_number: LISTENER + 1,
            waiting: true,
            pool: BufferPool::new(0, 0),
        };
        let mut ready = Vec::new();
        loop {
            run.turn(&mut ready)?;
        }
    }

    fn answer(&self) -> String {
        let process = Process {
            source: &self.source,
            uptime: now().duration_since(self.start).as_secs(),
            timestamp: seconds_since_epoch(),
        };
        let mut text = self.stats.json(process);
        text.push('\n');
        text
    }
}

impl Loop {
    fn turn(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.admin.engine.wait(self.patience(), ready)?;
        for event in ready.iter() {
            match event.number {
                LISTENER => self.waiting = true,
                number => self.serve(number),
            }
        }
        self.accept();
        let now = now();
        while self
            .visitors
            .front()
            .is_some_and(|visitor| visitor.until <= now)
        {
            self.visitors.pop_front();
        }
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        let pause = self.waiting.then_some(PAUSE);
        let visitor = self.visitors.front();
        let visitor = visitor.map(|visitor| visitor.until.saturating_duration_since(now()));
        pause.into_iter().chain(visitor).min()
    }

    fn accept(&mut self) {
        while self.waiting {
            match self.admin.listener.accept() {
                Ok(Some(socket)) => self.welcome(socket),
                Ok(None) => self.waiting = false,
                // No descriptors; after a pause there may be one.
                Err(_) => return,
            }
        }
    }

    fn welcome(&mut self, mut socket: Socket) {
        let number = self.next_number;
        self.next_number += 1;
        if self.admin.engine.watch(&mut socket, number).is_err() {
            return;
        }
        if self.visitors.len() == VISITOR_COUNT {
            self.visitors.pop_front();
        }
        let mut answer = Queue::new();
        answer.push_owned(self.admin.answer().into_bytes());
        self.visitors.push_back(Visitor {
            number,
            socket,
            answer,
            until: now() + PATIENCE,
        });
    }

    /// Something happened to a visitor: its socket takes more, or it said or did something.
    fn serve(&mut self, number: usize) {
        let place = self
            .visitors
            .iter()
            .position(|visitor| visitor.number == number);
        if let Some(place) = place
            && self.visitors[place].serve(&mut self.pool) == Visit::Over
        {
            self.visitors.remove(place);
        }
    }
}

impl Visitor {
    fn serve(&mut self, pool: &mut BufferPool) -> Visit {
        while !self.answer.is_empty() {
            match self.socket.write(&self.answer) {
                Ok(0) => break,
                Ok(count) => self.answer.consume(count, pool),
                Err(_) => return Visit::Over,
            }
            if self.answer.is_empty() {
                self.socket.finish();
            }
        }
        let mut space = [0; 4096];
        for _ in 0..DISCARD_READS {
            match self.socket.read(&mut space) {
                Taken::Bytes(_) | Taken::Last(_) => {}
                Taken::Nothing => return Visit::GoesOn,
                // The end of what it says is not the end of its reading.
                Taken::End if !self.answer.is_empty() => return Visit::GoesOn,
                Taken::End | Taken::Failed(_) => return Visit::Over,
            }
        }
        Visit::GoesOn
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "visitors have a deadline, answers an uptime"
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
