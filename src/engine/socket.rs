//! One connected (or connecting) stream socket, TCP or unix.
//!
//! Never blocks. Addresses are given as numbers or paths; host names are `names.rs`'s work.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::{Watched, system};
use crate::buffer::Queue;

/// Pieces handed to the kernel in one write. More pieces mean fewer calls, up to the point where
/// the list itself costs; a queue's pieces are mostly buffers of several KiB.
const SLICE_COUNT: usize = 64;

/// How long a connection to a server may be silent before the kernel asks whether it still lives.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// The time between two such questions.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// Unanswered questions after which the connection is broken.
const KEEPALIVE_COUNT: u32 = 3;
/// How long bytes sent to a server may stay unacknowledged.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Where a socket connects to or listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A path in the file system.
    Unix(PathBuf),
}

/// What a connection is for, as far as its socket options depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOptions {
    /// Accepted from a client; without keepalive.
    Client,
    /// Accepted from a client; keepalive at the system's own intervals, as twemproxy sets it.
    ClientKeptAlive,
    /// To a server. Always with keepalive: a server whose host vanished answers nobody, and with no
    /// `timeout` configured nothing else would notice.
    Server,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseMode {
    /// What was written is still delivered.
    Gracefully,
    /// The peer sees a reset, and what was not delivered is thrown away.
    Reset,
}

/// A stream socket. Dropping it closes it, gracefully as far as the kernel can.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Starts to connect. It is done when [`Socket::is_connected`] says so after a writable edge;
    /// over a unix socket that may be at once.
    pub fn connect(endpoint: &Endpoint, options: SocketOptions) -> io::Result<Self> {
        let mut socket = match endpoint {
            Endpoint::Tcp(address) => Self::Tcp(start_tcp(*address)?),
            Endpoint::Unix(path) => Self::Unix(UnixStream::connect(path)?),
        };
        socket.set_options(options)?;
        Ok(socket)
    }

    /// Sets what the connection's purpose asks for. Unix sockets have none of these options.
    pub fn set_options(&mut self, options: SocketOptions) -> io::Result<()> {
        let Self::Tcp(stream) = self else {
            return Ok(());
        };
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&*stream);
        match options {
            SocketOptions::Client => Ok(()),
            SocketOptions::ClientKeptAlive => socket.set_keepalive(true),
            SocketOptions::Server => {
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE_AFTER)
                    .with_interval(KEEPALIVE_EVERY)
                    .with_retries(KEEPALIVE_COUNT);
                socket.set_tcp_keepalive(&keepalive)?;
                system::limit_silence(socket, SILENCE_MAX)
            }
        }
    }

    /// Where the other end is; `None` if it has no address, or is gone.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Whether connecting is done: `false` while it goes on, an error when it failed.
    pub fn is_connected(&self) -> io::Result<bool> {
        let (pending, peer) = match self {
            Self::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Self::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
        };
        match (pending, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(true),
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }

    /// The error that broke the connection, if the kernel still has it.
    pub fn take_error(&self) -> io::Result<()> {
        let pending = match self {
            Self::Tcp(stream) => stream.take_error()?,
            Self::Unix(stream) => stream.take_error()?,
        };
        pending.map_or(Ok(()), Err)
    }

    /// Fills `space` from the front.
    pub fn read(&mut self, space: &mut [u8]) -> Taken {
        self.take(space.len(), |stream| stream.read(space))
    }

    /// Fills `pieces` from the front, one after the other, with one call.
    pub fn read_pieces(&mut self, pieces: &mut [IoSliceMut<'_>]) -> Taken {
        let room = pieces.iter().map(|piece| piece.len()).sum();
        self.take(room, |stream| stream.read_vectored(pieces))
    }

    fn take(
        &mut self,
        room: usize,
        mut read: impl FnMut(&mut dyn Read) -> io::Result<usize>,
    ) -> Taken {
        loop {
            let result = match self {
                Self::Tcp(stream) => read(stream),
                Self::Unix(stream) => read(stream),
            };
            return match result {
                Ok(0) => Taken::End,
                Ok(count) if count < room && system::SHORT_READ_EMPTIES => Taken::Last(count),
                Ok(count) => Taken::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Taken::Nothing,
                Err(error) => Taken::Failed(error),
            };
        }
    }

    /// Writes from the front of `queue`, which is not empty, with one call. The queue stays as it
    /// is; 0 means that the socket takes nothing until its next writable edge.
    pub fn write(&mut self, queue: &Queue) -> io::Result<usize> {
        debug_assert!(!queue.is_empty());
        loop {
            let result = if queue.front().len() == queue.len() {
                self.write_one(queue.front())
            } else {
                let mut slices = [IoSlice::new(&[]); SLICE_COUNT];
                let count = queue.io_slices(&mut slices);
                self.write_pieces(&slices[..count])
            };
            return match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                result => result,
            };
        }
    }

    fn write_one(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_pieces(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    /// The address of the peer, over TCP.
    pub fn peer_ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// Says `last` to a peer that is not to be served, as far as its socket takes it, and closes.
    pub fn dismiss(mut self, last: &[u8]) {
        // What the peer has sent already is read first: closing with unread input is a reset, and
        // would take the words back. Whatever fails, the peer is gone.
        let _ = self.read(&mut [0; 1024]);
        let _ = self.write_one(last);
        self.finish();
    }

    /// Tells the peer that nothing more will be sent; reading goes on.
    pub fn finish(&mut self) {
        // It fails only on a connection that is broken already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Closes the connection.
    pub fn close(self, mode: CloseMode) {
        if let (Self::Tcp(stream), CloseMode::Reset) = (&self, mode) {
            // Where it cannot be set the connection ends gracefully, which does no harm.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Watched for Socket {
    fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

/// What one read brought.
#[derive(Debug)]
pub enum Taken {
    /// This many bytes, and maybe more wait.
    Bytes(usize),
    /// This many bytes, and no more until the next readable edge.
    Last(usize),
    /// No bytes until the next readable edge.
    Nothing,
    /// The peer sends no more.
    End,
    /// The connection broke.
    Failed(io::Error),
}

/// A TCP socket on its way to `address`.
fn start_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(libc::EINPROGRESS)
        || error.kind() == io::ErrorKind::Interrupted
}
