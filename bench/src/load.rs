//! The load generator: one thread, many connections, requests whose replies have a known length.
//!
//! Closed: each connection sends a batch of requests, waits for all their replies, and sends the
//! next; that is what redis-benchmark does. Open: requests are due at a constant rate, whether or not
//! the replies to earlier ones came, and a latency counts from the moment the request was due. So a
//! proxy that stalls is charged for everything that had to wait (no "coordinated omission").
//!
//! It is run as a program of its own, so that it can be pinned and its CPU time told apart.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::epoll;
use rustix::event::{Timespec, epoll::EventFlags};

use crate::wire::{Question, Shape};

/// Requests that may be unanswered in an open run before it is given up as overloaded.
const BACKLOG_MAX: usize = 200_000;

/// What is asked of the generator.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the proxy or server listens.
    pub target: SocketAddr,
    /// Connections.
    pub clients: usize,
    /// What each request is.
    pub shape: Shape,
    /// When requests are sent.
    pub pace: Pace,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many at once per connection, the next ones when all are answered, until there were enough.
    Closed {
        /// Requests at once.
        batch: usize,
        /// Requests in all.
        requests: u64,
    },
    /// At a constant rate, over all connections in turn.
    Open {
        /// Requests per second.
        rate: f64,
        /// How long.
        length: Duration,
        /// How long before, without counting.
        warm_up: Duration,
    },
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Replies that were counted.
    pub requests: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// From the end of the warm-up to the last counted reply, in seconds.
    pub seconds: f64,
    /// From when a request was due (open) or its batch sent (closed) to its reply, in ns.
    pub latency: Histogram<u64>,
}

struct Client {
    stream: TcpStream,
    question: Question,
    /// Sent, or waiting in `out`, and unanswered: when each was due, in ns since the start.
    due: VecDeque<u64>,
    out: Vec<u8>,
    written: usize,
    /// Bytes of the reply at hand that have come.
    got: usize,
    touched: bool,
}

struct Run {
    clients: Vec<Client>,
    epoll: rustix::fd::OwnedFd,
    start: Instant,
    counted_from: u64,
    ends: u64,
    unanswered: usize,
    outcome: Outcome,
    last_reply: u64,
}

/// Runs the load.
///
/// # Errors
/// A connection breaks, or a reply is not the expected one.
pub fn run(load: &Load) -> io::Result<Outcome> {
    // Naps as short as they were asked for.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::new();
    for number in 0..load.clients {
        let stream = TcpStream::connect(load.target)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&epoll, &stream, data, EventFlags::IN)?;
        clients.push(Client {
            stream,
            question: Question::new(load.shape.clone(), number as u64),
            due: VecDeque::new(),
            out: Vec::new(),
            written: 0,
            got: 0,
            touched: false,
        });
    }
    let (counted_from, ends) = match load.pace {
        Pace::Closed { .. } => (0, 0),
        Pace::Open {
            length, warm_up, ..
        } => (nanos(warm_up), nanos(warm_up + length)),
    };
    let mut run = Run {
        clients,
        epoll,
        start: Instant::now(),
        counted_from,
        ends,
        unanswered: 0,
        outcome: Outcome {
            requests: 0,
            sent: 0,
            seconds: 0.0,
            latency: latencies()?,
        },
        last_reply: counted_from,
    };
    match load.pace {
        Pace::Closed { batch, requests } => run.closed(batch, requests)?,
        Pace::Open { rate, .. } => run.open(rate)?,
    }
    run.outcome.seconds = (run.last_reply - counted_from) as f64 / 1e9;
    Ok(run.outcome)
}

/// Nanoseconds up to an hour, exact to a thousandth.
fn latencies() -> io::Result<Histogram<u64>> {
    const HOUR: u64 = 3_600_000_000_000;
    Histogram::new_with_bounds(1, HOUR, 3).map_err(io::Error::other)
}

impl Run {
    fn closed(&mut self, batch: usize, requests: u64) -> io::Result<()> {
        for number in 0..self.clients.len() {
            self.ask(number, batch, self.now());
            self.write(number)?;
        }
        let mut ready = Vec::with_capacity(1024);
        let mut space = vec![0; 256 * 1024];
        while self.unanswered > 0 {
            self.wait(None, &mut ready)?;
            for number in ready.drain(..) {
                self.read(number, &mut space)?;
                if self.clients[number].due.is_empty() && self.outcome.sent < requests {
                    self.ask(number, batch, self.now());
                }
                self.write(number)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, rate: f64) -> io::Result<()> {
        let step = 1e9 / rate;
        let (mut asked, mut ready, mut touched) = (0_u64, Vec::with_capacity(1024), Vec::new());
        let mut space = vec![0; 256 * 1024];
        loop {
            let now = self.now();
            let mut due = (asked as f64 * step) as u64;
            while due <= now && due < self.ends {
                let number = (asked % self.clients.len() as u64) as usize;
                self.ask(number, 1, due);
                if !std::mem::replace(&mut self.clients[number].touched, true) {
                    touched.push(number);
                }
                asked += 1;
                due = (asked as f64 * step) as u64;
            }
            for number in touched.drain(..) {
                self.clients[number].touched = false;
                self.write(number)?;
            }
            if due >= self.ends && self.unanswered == 0 {
                return Ok(());
            }
            if self.unanswered > BACKLOG_MAX {
                return Err(io::Error::other("overloaded"));
            }
            let patience = (due < self.ends).then(|| due.saturating_sub(self.now()));
            self.wait(patience, &mut ready)?;
            for number in ready.drain(..) {
                self.read(number, &mut space)?;
                self.write(number)?;
            }
        }
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    fn ask(&mut self, number: usize, count: usize, due: u64) {
        let client = &mut self.clients[number];
        for _ in 0..count {
            client.question.append(&mut client.out);
            client.due.push_back(due);
        }
        self.unanswered += count;
        self.outcome.sent += count as u64;
    }

    fn write(&mut self, number: usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        while client.written < client.out.len() {
            match client.stream.write(&client.out[client.written..]) {
                Ok(count) => client.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let data = epoll::EventData::new_u64(number as u64);
                    let both = EventFlags::IN | EventFlags::OUT;
                    return Ok(epoll::modify(&self.epoll, &client.stream, data, both)?);
                }
                Err(error) => return Err(error),
            }
        }
        if client.out.capacity() > 0 && client.written > 0 {
            client.out.clear();
            client.written = 0;
        }
        Ok(())
    }

    fn read(&mut self, number: usize, space: &mut [u8]) -> io::Result<()> {
        let client = &mut self.clients[number];
        loop {
            let count = match client.stream.read(space) {
                Ok(0) => return Err(io::Error::other("the connection was closed")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let now = nanos(self.start.elapsed());
            let mut bytes = &space[..count];
            while !bytes.is_empty() {
                let reply = client.question.reply();
                let here = bytes.len().min(reply.len - client.got);
                let (first, ends) = (client.got == 0, client.got + here == reply.len);
                if (first && bytes[0] != reply.first) || (ends && bytes[here - 1] != b'\n') {
                    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
                    return Err(io::Error::other(format!("unexpected reply: {text:?}")));
                }
                client.got += here;
                bytes = &bytes[here..];
                if !ends {
                    continue;
                }
                client.got = 0;
                let Some(due) = client.due.pop_front() else {
                    return Err(io::Error::other("a reply to no request"));
                };
                self.unanswered -= 1;
                if due >= self.counted_from {
                    self.outcome.requests += 1;
                    self.outcome
                        .latency
                        .saturating_record(now.saturating_sub(due));
                    self.last_reply = now;
                }
            }
            if count < space.len() {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, patience: Option<u64>, ready: &mut Vec<usize>) -> io::Result<()> {
        let timeout = patience.map(|nanos| Timespec {
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as i64,
        });
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 256];
        let count = match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            let (number, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(EventFlags::OUT) {
                let client = &self.clients[number];
                let data = epoll::EventData::new_u64(number as u64);
                epoll::modify(&self.epoll, &client.stream, data, EventFlags::IN)?;
            }
            ready.push(number);
        }
        Ok(())
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
