//! Sockets, and waiting for them: the room that knows the operating system.
//!
//! It hands readiness out and bytes in both directions; what the bytes mean, and which connection
//! belongs to whom, it leaves to the worker. The rest of the program sees these few names, so that
//! another engine could stand behind them:
//!
//! ```text
//!   Engine::wait     sleeps until sockets are ready, a message comes, or time is up
//!   Engine::watch    registers a socket once, under a number of the caller's choice
//!   Mailbox          messages to a thread that waits
//!   Socket           connect, read, write, close; TCP and unix alike
//!   Listener         bind, accept
//!   Resolver         host names to addresses, on threads of its own
//! ```
//!
//! Readiness is edge-triggered: a socket is reported when something about it changes, and then not
//! again until it has been read (or written) until it would block. Whoever stops earlier must
//! remember that there is more. `tests.rs` is the contract in executable form.
//!
//! What only Linux has stands in `linux.rs`, with `portable.rs` as its twin; `--cfg portable` picks
//! the twin on Linux too. `posix.rs` has the calls of every Unix that std does not offer.

#[cfg(all(target_os = "linux", not(portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(portable))))]
mod portable;

mod listen;
mod mailbox;
pub mod memory;
mod names;
pub mod posix;
mod socket;
mod systemd;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

#[cfg(all(target_os = "linux", not(portable)))]
use linux as system;
#[cfg(not(all(target_os = "linux", not(portable))))]
use portable as system;

pub use listen::{BindOptions, Listener, PortSharing, SocketFile};
pub use mailbox::Mailbox;
pub use memory::{give_back_memory, share_one_heap};
pub use names::Resolver;
pub use socket::{CloseMode, Endpoint, Socket, SocketOptions, Taken};
pub use system::{nap, prepare_naps, thread_cpu_time};
pub use systemd::notify;

/// How many events one wait can report; the rest follow in the next.
const EVENT_COUNT: usize = 1024;

/// The number no socket may be watched under.
const WAKER: mio::Token = mio::Token(usize::MAX);

/// Something that can be watched: a [`Socket`] or a [`Listener`].
pub trait Watched {
    /// The thing the operating system knows.
    #[doc(hidden)]
    fn source(&mut self) -> &mut dyn mio::event::Source;
}

/// What changed about one watched socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number it is watched under.
    pub number: usize,
    /// Reading may bring bytes, an end or an error.
    pub readable: bool,
    /// Writing may succeed (or fail).
    pub writable: bool,
    /// The peer sends no more, or the connection broke: read until the end or the error shows, even
    /// if a read brings less than was asked for.
    pub read_closed: bool,
    /// The connection broke.
    pub broken: bool,
}

/// One thread's view of its sockets.
#[derive(Debug)]
pub struct Engine {
    poll: mio::Poll,
    events: mio::Events,
}

impl Engine {
    /// An engine that watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: mio::Poll::new()?,
            events: mio::Events::with_capacity(EVENT_COUNT),
        })
    }

    /// The handle by which other threads end a wait. An engine has at most one, shared by all.
    fn waker(&self) -> io::Result<Waker> {
        mio::Waker::new(self.poll.registry(), WAKER).map(Waker)
    }

    /// Reports the socket under `number` from now on, until it is dropped. What is ready already is
    /// reported by the next wait. `number` is below `usize::MAX`.
    pub fn watch(&self, socket: &mut impl Watched, number: usize) -> io::Result<()> {
        debug_assert!(number != WAKER.0);
        self.poll
            .registry()
            .register(socket.source(), mio::Token(number), BOTH)
    }

    /// Reports a socket that is watched already under another number.
    pub fn rename(&self, socket: &mut impl Watched, number: usize) -> io::Result<()> {
        debug_assert!(number != WAKER.0);
        self.poll
            .registry()
            .reregister(socket.source(), mio::Token(number), BOTH)
    }

    /// Sleeps until something is ready, a message came, or `timeout` is over (`None`: never),
    /// and replaces what stands in `ready` by what changed. A signal may end it early.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        self.look(timeout, ready)
    }

    /// Does not sleep, and appends what has changed meanwhile to `ready`.
    pub fn collect(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.look(Some(Duration::ZERO), ready)
    }

    fn look(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let sockets = self.events.iter().filter(|event| event.token() != WAKER);
        ready.extend(sockets.map(|event| Ready {
            number: event.token().0,
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed() || event.is_error(),
            broken: event.is_error(),
        }));
        Ok(())
    }
}

const BOTH: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

/// Ends the wait of the engine it belongs to, from any thread.
#[derive(Debug)]
struct Waker(mio::Waker);

impl Waker {
    /// The present wait, or else the next one, returns at once.
    fn wake(&self) {
        // It fails only when the engine is gone, and then there is nobody to wake.
        let _ = self.0.wake();
    }
}
