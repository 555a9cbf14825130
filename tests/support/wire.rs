//! A client that speaks bytes: it sends what it is told, in the pieces it is told, and reads with
//! a deadline. The fake server uses the same type for its side of a connection.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::resp::{self, Reply};
use super::{PATIENCE, eventually, shown};

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A loopback address and port.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl Address {
    /// `127.0.0.1` and the port.
    pub fn tcp(port: u16) -> Self {
        Self::Tcp((Ipv4Addr::LOCALHOST, port).into())
    }

    /// `::1` and the port.
    pub fn tcp6(port: u16) -> Self {
        Self::Tcp((Ipv6Addr::LOCALHOST, port).into())
    }

    /// The port.
    #[track_caller]
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(address) => address.port(),
            Self::Unix(path) => panic!("{} has no port", path.display()),
        }
    }
}

/// As a configuration file has it: `127.0.0.1:6379`, `::1:6379` (no brackets), `/path`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{}:{}", address.ip(), address.port()),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was waited for is there; the connection is open.
    Open,
    /// The other side closed the connection, with or without a reset.
    Closed,
    /// Nothing came until the deadline.
    Silent,
}

/// A connection, and what was received on it and not yet used.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    received: Vec<u8>,
    /// How long reading may take before the test fails.
    pub patience: Duration,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    /// Connects.
    #[track_caller]
    pub fn connect(address: &Address) -> Self {
        match Self::try_connect(address) {
            Ok(wire) => wire,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// Connects, or says why not.
    pub fn try_connect(address: &Address) -> io::Result<Self> {
        Ok(Self::over(match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        }))
    }

    /// Takes over an accepted connection.
    pub fn accepted(stream: TcpStream) -> Self {
        // Fails only if the client is gone already, which the script will notice.
        let _ = stream.set_nodelay(true);
        Self::over(Stream::Tcp(stream))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// Where the other side sees it; `None` over a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// A second handle to the same connection, to send from another thread. What was received and
    /// not yet used stays with `self`.
    pub fn second_handle(&self) -> Self {
        let stream = match &self.stream {
            Stream::Tcp(stream) => stream.try_clone().map(Stream::Tcp),
            Stream::Unix(stream) => stream.try_clone().map(Stream::Unix),
        };
        Self::over(stream.expect("a socket can be duplicated"))
    }

    /// Sends all of `bytes` in one piece, as far as the kernel takes it.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send(bytes) {
            panic!("cannot send {}: {error}", shown(bytes));
        }
    }

    /// Sends, or says why not.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let limit = Some(self.patience);
        match &mut self.stream {
            Stream::Tcp(stream) => {
                stream.set_write_timeout(limit)?;
                stream.write_all(bytes)
            }
            Stream::Unix(stream) => {
                stream.set_write_timeout(limit)?;
                stream.write_all(bytes)
            }
        }
    }

    /// Sends until the other side has taken nothing for half a second, and says how many bytes it took.
    pub fn send_until_stuck(&mut self, bytes: &[u8]) -> usize {
        let limit = Some(Duration::from_millis(500));
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            let taken = match &mut self.stream {
                Stream::Tcp(stream) => stream
                    .set_write_timeout(limit)
                    .and_then(|()| stream.write(rest)),
                Stream::Unix(stream) => stream
                    .set_write_timeout(limit)
                    .and_then(|()| stream.write(rest)),
            };
            match taken {
                Ok(count) if count > 0 => sent += count,
                _ => break,
            }
        }
        sent
    }

    /// Sends each byte in a packet of its own; stops quietly when the other side has closed.
    pub fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.try_send(&[*byte]).is_err() {
                return;
            }
        }
    }

    /// Sends `bytes` from a thread of its own while `read` reads, so that neither side has to hold
    /// everything.
    #[track_caller]
    pub fn send_while<T>(&mut self, bytes: &[u8], read: impl FnOnce(&mut Self) -> T) -> T {
        let mut sender = self.second_handle();
        std::thread::scope(|scope| {
            scope.spawn(move || sender.send(bytes));
            read(self)
        })
    }

    /// Tells the other side that nothing more will be sent.
    pub fn half_close(&mut self) {
        // Fails only if the connection is gone, which the next read reports.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Waits until the process at the other end, on this machine, has read all that was sent.
    #[track_caller]
    pub fn wait_until_taken(&self) {
        wait_until_taken(std::slice::from_ref(self));
    }

    /// Exactly `count` bytes.
    #[track_caller]
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let end = self.fill_until(self.patience, |received| received.len() >= count);
        if end != End::Open {
            let got = shown(&self.received);
            panic!(
                "{end:?} after {} of {count} bytes: {got}",
                self.received.len()
            );
        }
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }

    /// Reads as many bytes as `expected` has and fails the test if they differ.
    #[track_caller]
    pub fn expect(&mut self, expected: &[u8]) {
        let end = self.fill_until(self.patience, |got| got.len() >= expected.len());
        let count = self.received.len().min(expected.len());
        let got: Vec<u8> = self.received.drain(..count).collect();
        if got != expected {
            panic!(
                "expected {}\n     got {} ({end:?})",
                shown(expected),
                shown(&got)
            );
        }
    }

    /// Sends `request` and expects exactly `reply`.
    #[track_caller]
    pub fn check(&mut self, request: &[u8], reply: &[u8]) {
        self.send(request);
        let end = self.fill_until(self.patience, |got| got.len() >= reply.len());
        let count = self.received.len().min(reply.len());
        let got: Vec<u8> = self.received.drain(..count).collect();
        if got != reply {
            let (sent, expected, got) = (shown(request), shown(reply), shown(&got));
            panic!("sent     {sent}\nexpected {expected}\ngot      {got} ({end:?})");
        }
    }

    /// Waits until the other side has closed; fails the test if it sends anything before.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let rest = self.read_to_end();
        assert!(
            rest.is_empty(),
            "expected nothing but the end, got {}",
            shown(&rest)
        );
    }

    /// Everything until the other side closes.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let (bytes, end) = self.read_until(|_| false);
        assert_eq!(end, End::Closed, "still open after {}", shown(&bytes));
        bytes
    }

    /// Everything until `enough` holds of what was received, the other side closes, or the
    /// patience ends.
    pub fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> (Vec<u8>, End) {
        let end = self.fill_until(self.patience, enough);
        (std::mem::take(&mut self.received), end)
    }

    /// Everything that comes until nothing has come for `quiet`.
    pub fn read_until_quiet(&mut self, quiet: Duration) -> (Vec<u8>, End) {
        let mut length = usize::MAX;
        loop {
            if length == self.received.len() {
                return (std::mem::take(&mut self.received), End::Silent);
            }
            length = self.received.len();
            if self.fill_until(quiet, |received| received.len() > length) == End::Closed {
                return (std::mem::take(&mut self.received), End::Closed);
            }
        }
    }

    /// One line, without its CR LF.
    #[track_caller]
    pub fn line(&mut self) -> Vec<u8> {
        match self.try_line() {
            Ok(line) => line,
            Err(end) => panic!(
                "{end:?} before the end of a line: {}",
                shown(&self.received)
            ),
        }
    }

    /// One line, or how the connection ended instead.
    pub fn try_line(&mut self) -> Result<Vec<u8>, End> {
        let terminated = |received: &[u8]| received.windows(2).position(|two| two == b"\r\n");
        let end = self.fill_until(self.patience, |received| terminated(received).is_some());
        let length = terminated(&self.received).ok_or(end)?;
        let mut line: Vec<u8> = self.received.drain(..length + 2).collect();
        line.truncate(length);
        Ok(line)
    }

    /// Exactly `count` bytes, or how the connection ended instead.
    pub fn try_exact(&mut self, count: usize) -> Result<Vec<u8>, End> {
        match self.fill_until(self.patience, |received| received.len() >= count) {
            End::Open => Ok(self.received.drain(..count).collect()),
            end => Err(end),
        }
    }

    /// One RESP reply.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        match self.try_reply() {
            Ok(reply) => reply,
            Err(end) => panic!(
                "{end:?} instead of a reply, after {}",
                shown(&self.received)
            ),
        }
    }

    /// One RESP reply, or how the connection ended instead.
    pub fn try_reply(&mut self) -> Result<Reply, End> {
        loop {
            let least = match resp::length(&self.received) {
                Ok(_) => break,
                Err(least) => least,
            };
            match self.fill_until(self.patience, |received| received.len() >= least) {
                End::Open => {}
                end => return Err(end),
            }
        }
        let (reply, used) = resp::parse(&self.received).expect("all of it is there");
        self.received.drain(..used);
        Ok(reply)
    }

    /// Sends `words` as a RESP command and gives its reply.
    #[track_caller]
    pub fn ask(&mut self, words: &[&str]) -> Reply {
        self.send(&resp::command(words));
        self.reply()
    }

    /// What was received and not yet used.
    pub fn unread(&self) -> &[u8] {
        &self.received
    }

    /// Reads until `enough` holds of what was received. The deadline is for silence: it starts
    /// again with each byte that comes.
    fn fill_until(&mut self, patience: Duration, enough: impl Fn(&[u8]) -> bool) -> End {
        let mut deadline = Instant::now() + patience;
        while !enough(&self.received) {
            match self.fill(deadline) {
                End::Open => deadline = Instant::now() + patience,
                end => return end,
            }
        }
        End::Open
    }

    /// Receives once.
    fn fill(&mut self, deadline: Instant) -> End {
        let mut chunk = [0; 64 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return End::Silent;
            }
            let result = match &mut self.stream {
                Stream::Tcp(stream) => stream
                    .set_read_timeout(Some(left))
                    .and_then(|()| stream.read(&mut chunk)),
                Stream::Unix(stream) => stream
                    .set_read_timeout(Some(left))
                    .and_then(|()| stream.read(&mut chunk)),
            };
            match result {
                Ok(0) => return End::Closed,
                Ok(count) => {
                    self.received.extend_from_slice(&chunk[..count]);
                    return End::Open;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return End::Silent,
                    io::ErrorKind::Interrupted => {}
                    _ => return End::Closed,
                },
            }
        }
    }
}

/// Waits until the processes at the other ends, on this machine, have read all that was sent.
#[track_caller]
pub fn wait_until_taken(wires: &[Wire]) {
    let port = |wire: &Wire| match &wire.stream {
        Stream::Tcp(stream) => stream.local_addr().expect("a socket has an address").port(),
        Stream::Unix(_) => panic!("only TCP tells"),
    };
    let own: HashSet<_> = wires
        .iter()
        .map(|wire| format!("{:04X}", port(wire)))
        .collect();
    eventually("the other end has read what was sent", || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has this table");
        // Columns: slot, local address, remote address, state, queues as `sending:receiving`.
        let mut rows = table
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let is_own = |address: &str| own.contains(address.rsplit(':').next().unwrap_or_default());
        // A full buffer of the receiver may be empty for a moment while more is still with the sender.
        let unread = |row: &Vec<&str>| {
            is_own(row[2]) && !row[4].ends_with(":00000000")
                || is_own(row[1]) && !row[4].starts_with("00000000:")
        };
        (!rows.any(|row| row.len() > 4 && unread(&row))).then_some(())
    });
}
