//! The engine's contract, on real sockets: what the worker relies on, for each kind of socket.

use std::io::{IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::buffer::{BufferPool, Queue};

/// Long enough for any machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

const BIND: BindOptions = BindOptions {
    backlog: 8,
    port: PortSharing::Exclusive,
    mode: None,
};

/// An engine with one watched socket, whose peer is a plain blocking one of std.
struct Pair<P> {
    engine: Engine,
    socket: Socket,
    peer: P,
    ready: Vec<Ready>,
}

trait Peer: Read + Write {
    fn finish(&self);
    fn reset(self);
}

impl Peer for std::net::TcpStream {
    fn finish(&self) {
        self.shutdown(Shutdown::Write)
            .expect("the connection is open");
    }
    fn reset(self) {
        socket2::SockRef::from(&self)
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket");
    }
}

impl Peer for std::os::unix::net::UnixStream {
    fn finish(&self) {
        self.shutdown(Shutdown::Write)
            .expect("the connection is open");
    }
    /// Closing with unread input is the reset of unix sockets.
    fn reset(self) {}
}

const NUMBER: usize = 7;

fn tcp() -> Pair<std::net::TcpStream> {
    let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = server.local_addr().expect("it is bound");
    pair(&Endpoint::Tcp(address), || {
        server.accept().expect("a connection").0
    })
}

fn unix() -> Pair<std::os::unix::net::UnixStream> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    let server = std::os::unix::net::UnixListener::bind(&path).expect("a path");
    pair(&Endpoint::Unix(path), || {
        server.accept().expect("a connection").0
    })
}

fn pair<P: Peer>(endpoint: &Endpoint, accept: impl FnOnce() -> P) -> Pair<P> {
    let engine = Engine::new().expect("an engine");
    let mut socket = Socket::connect(endpoint, SocketOptions::Server).expect("it can start");
    engine
        .watch(&mut socket, NUMBER)
        .expect("it can be watched");
    let peer = accept();
    let mut pair = Pair {
        engine,
        socket,
        peer,
        ready: Vec::new(),
    };
    pair.wait_for(|ready| ready.writable);
    assert!(pair.socket.is_connected().expect("it connects"));
    pair
}

impl<P: Peer> Pair<P> {
    /// Waits for an edge of this kind; fails when none comes.
    #[track_caller]
    fn wait_for(&mut self, wanted: impl Fn(&Ready) -> bool) -> Ready {
        let end = Instant::now() + PATIENCE;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.engine
                .wait(Some(left), &mut self.ready)
                .expect("waiting works");
            assert!(
                self.ready.iter().all(|ready| ready.number == NUMBER),
                "{:?}",
                self.ready
            );
            if let Some(ready) = self.ready.iter().find(|ready| wanted(ready)) {
                return *ready;
            }
        }
        panic!("no such edge in {PATIENCE:?}");
    }

    /// Reads as a worker does after a readable edge: until nothing is left.
    fn read_all(&mut self, space_len: usize) -> (Vec<u8>, Taken) {
        let mut bytes = Vec::new();
        let mut space = vec![0; space_len];
        loop {
            match self.socket.read(&mut space) {
                Taken::Bytes(count) => bytes.extend_from_slice(&space[..count]),
                Taken::Last(count) => {
                    bytes.extend_from_slice(&space[..count]);
                    return (bytes, Taken::Nothing);
                }
                end => return (bytes, end),
            }
        }
    }

    /// Writes until the socket is full or the queue empty.
    fn write_all(&mut self, queue: &mut Queue, pool: &mut BufferPool) -> usize {
        let mut written = 0;
        while !queue.is_empty() {
            match self.socket.write(queue).expect("the peer is there") {
                0 => break,
                count => {
                    queue.consume(count, pool);
                    written += count;
                }
            }
        }
        written
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

fn bytes_arrive_once_per_edge<P: Peer>(mut pair: Pair<P>) {
    for round in 0..3 {
        pair.peer.write_all(b"hello").expect("the socket is open");
        pair.wait_for(|ready| ready.readable);
        let (bytes, end) = pair.read_all(64);
        assert_eq!(bytes, b"hello", "round {round}");
        assert!(matches!(end, Taken::Nothing), "{end:?}");
        // Nothing changed since, so nothing is reported.
        pair.engine
            .wait(Some(Duration::ZERO), &mut pair.ready)
            .expect("waiting works");
        assert!(
            !pair.ready.iter().any(|ready| ready.readable),
            "{:?}",
            pair.ready
        );
    }
}

#[test]
fn bytes_arrive_once_per_edge_tcp() {
    bytes_arrive_once_per_edge(tcp());
}

#[test]
fn bytes_arrive_once_per_edge_unix() {
    bytes_arrive_once_per_edge(unix());
}

fn what_was_left_unread_can_be_read_without_an_edge<P: Peer>(mut pair: Pair<P>) {
    pair.peer
        .write_all(&pattern(100))
        .expect("the socket is open");
    pair.wait_for(|ready| ready.readable);
    let mut space = [0; 40];
    assert!(matches!(pair.socket.read(&mut space), Taken::Bytes(40)));
    assert!(matches!(pair.socket.read(&mut space), Taken::Bytes(40)));
    let (rest, _) = pair.read_all(40);
    assert_eq!(rest, pattern(100)[80..]);
}

#[test]
fn what_was_left_unread_can_be_read_without_an_edge_tcp() {
    what_was_left_unread_can_be_read_without_an_edge(tcp());
}

#[test]
fn what_was_left_unread_can_be_read_without_an_edge_unix() {
    what_was_left_unread_can_be_read_without_an_edge(unix());
}

fn one_read_fills_several_pieces_in_order<P: Peer>(mut pair: Pair<P>) {
    pair.peer
        .write_all(&pattern(100))
        .expect("the socket is open");
    pair.wait_for(|ready| ready.readable);
    let (mut first, mut second) = ([0; 30], [0; 20]);
    let mut pieces = [&mut first[..], &mut second].map(IoSliceMut::new);
    assert!(matches!(
        pair.socket.read_pieces(&mut pieces),
        Taken::Bytes(50)
    ));
    assert_eq!([&first[..], &second].concat(), pattern(100)[..50]);
    let (mut third, mut rest) = ([0; 40], [7; 20]);
    let mut pieces = [&mut third[..], &mut rest].map(IoSliceMut::new);
    let taken = pair.socket.read_pieces(&mut pieces);
    assert!(matches!(taken, Taken::Last(50) | Taken::Bytes(50)));
    let is_last = matches!(taken, Taken::Last(_));
    assert_eq!(is_last, system::SHORT_READ_EMPTIES);
    assert_eq!([&third[..], &rest[..10]].concat(), pattern(100)[50..]);
    assert_eq!(rest[10..], [7; 10], "nothing is written behind");
}

#[test]
fn one_read_fills_several_pieces_in_order_tcp() {
    one_read_fills_several_pieces_in_order(tcp());
}

#[test]
fn one_read_fills_several_pieces_in_order_unix() {
    one_read_fills_several_pieces_in_order(unix());
}

/// A queue of many pieces and more bytes than a socket takes: each writable edge lets some through.
fn a_full_socket_is_writable_again_when_the_peer_reads<P: Peer + Send + 'static>(
    mut pair: Pair<P>,
) {
    let whole = pattern(32 << 20);
    let mut pool = BufferPool::new(16 * 1024, 8);
    let mut queue = Queue::new();
    queue.push(&whole, &mut pool);
    let first = pair.write_all(&mut queue, &mut pool);
    assert!(
        first > 0 && !queue.is_empty(),
        "{first} bytes fitted at once"
    );

    let mut peer = pair.peer;
    let expected = whole.clone();
    let reader = std::thread::spawn(move || {
        let mut received = vec![0; expected.len()];
        peer.read_exact(&mut received).expect("all of it arrives");
        assert!(received == expected, "the bytes differ");
        peer
    });
    let mut pair = Pair {
        engine: pair.engine,
        socket: pair.socket,
        peer: std::io::Cursor::new(Vec::new()),
        ready: pair.ready,
    };
    while !queue.is_empty() {
        pair.wait_for(|ready| ready.writable);
        pair.write_all(&mut queue, &mut pool);
    }
    reader.join().expect("the reader is content");
}

impl Peer for std::io::Cursor<Vec<u8>> {
    fn finish(&self) {}
    fn reset(self) {}
}

#[test]
fn a_full_socket_is_writable_again_when_the_peer_reads_tcp() {
    a_full_socket_is_writable_again_when_the_peer_reads(tcp());
}

#[test]
fn a_full_socket_is_writable_again_when_the_peer_reads_unix() {
    a_full_socket_is_writable_again_when_the_peer_reads(unix());
}

/// The end may come in the same edge as the last bytes: the edge then says so, because after a short
/// read nobody would ask again.
fn an_end_right_behind_the_last_bytes_is_seen<P: Peer>(mut pair: Pair<P>) {
    pair.peer.write_all(b"bye").expect("the socket is open");
    pair.peer.finish();
    pair.wait_for(|ready| ready.read_closed);
    let (bytes, _) = pair.read_all(64);
    assert_eq!(bytes, b"bye");
    let mut space = [0; 64];
    assert!(matches!(pair.socket.read(&mut space), Taken::End));
    // The other direction is still open.
    let mut pool = BufferPool::new(1024, 1);
    let mut queue = Queue::new();
    queue.push(b"answer", &mut pool);
    assert_eq!(pair.write_all(&mut queue, &mut pool), 6);
    pair.socket.close(CloseMode::Gracefully);
    let mut received = Vec::new();
    pair.peer
        .read_to_end(&mut received)
        .expect("a graceful end");
    assert_eq!(received, b"answer");
}

#[test]
fn an_end_right_behind_the_last_bytes_is_seen_tcp() {
    an_end_right_behind_the_last_bytes_is_seen(tcp());
}

#[test]
fn an_end_right_behind_the_last_bytes_is_seen_unix() {
    an_end_right_behind_the_last_bytes_is_seen(unix());
}

fn a_reset_is_an_error_of_reading<P: Peer>(mut pair: Pair<P>) {
    let mut pool = BufferPool::new(1024, 1);
    let mut queue = Queue::new();
    queue.push(b"unread", &mut pool);
    assert_eq!(pair.write_all(&mut queue, &mut pool), 6);
    pair.peer.reset();
    let mut end = Taken::Nothing;
    while matches!(end, Taken::Nothing) {
        let end_of = |engine: &mut Engine, ready: &mut Vec<Ready>| {
            engine.wait(Some(PATIENCE), ready).expect("waiting works");
            assert!(!ready.is_empty(), "no edge in {PATIENCE:?}");
        };
        end_of(&mut pair.engine, &mut pair.ready);
        let mut space = [0; 64];
        end = pair.socket.read(&mut space);
    }
    match end {
        Taken::Failed(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reset_is_an_error_of_reading_tcp() {
    a_reset_is_an_error_of_reading(tcp());
}

#[test]
fn a_reset_is_an_error_of_reading_unix() {
    a_reset_is_an_error_of_reading(unix());
}

#[test]
fn closing_by_reset_is_seen_as_one() {
    let mut pair = tcp();
    pair.socket.close(CloseMode::Reset);
    let error = pair.peer.read(&mut [0; 8]).expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_refused_connection_fails_after_an_edge_or_at_once() {
    let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = server.local_addr().expect("it is bound");
    drop(server);
    let mut engine = Engine::new().expect("an engine");
    let error = match Socket::connect(&Endpoint::Tcp(address), SocketOptions::Server) {
        Err(error) => error,
        Ok(mut socket) => {
            engine
                .watch(&mut socket, NUMBER)
                .expect("it can be watched");
            let mut ready = Vec::new();
            engine
                .wait(Some(PATIENCE), &mut ready)
                .expect("waiting works");
            assert!(ready[0].broken && ready[0].writable, "{ready:?}");
            socket.is_connected().expect_err("nobody listens")
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_missing_unix_socket_fails_at_once() {
    let endpoint = Endpoint::Unix("/nowhere/at/all".into());
    let error = Socket::connect(&endpoint, SocketOptions::Server).expect_err("no file");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn server_sockets_have_their_options() {
    let pair = tcp();
    let Socket::Tcp(stream) = &pair.socket else {
        panic!("a TCP socket")
    };
    let socket = socket2::SockRef::from(stream);
    assert!(socket.tcp_nodelay().expect("an option"));
    assert!(socket.keepalive().expect("an option"));
    #[cfg(all(target_os = "linux", not(portable)))]
    {
        let limit = socket.tcp_user_timeout().expect("an option");
        assert_eq!(limit, Some(Duration::from_secs(30)));
    }
}

#[test]
fn a_message_ends_the_wait_of_its_receiver() {
    let mut engine = Engine::new().expect("an engine");
    let (mailbox, inbox) = Mailbox::new(&engine).expect("its mailbox");
    let thread = std::thread::spawn({
        let mailbox = mailbox.clone();
        move || mailbox.send("hello")
    });
    let mut ready = vec![];
    let start = Instant::now();
    engine
        .wait(Some(PATIENCE), &mut ready)
        .expect("waiting works");
    assert!(ready.is_empty() && start.elapsed() < PATIENCE);
    assert_eq!(inbox.try_recv(), Ok("hello"));
    thread.join().expect("it only sends");
    // A message that came between two waits ends the next.
    mailbox.send("again");
    engine
        .wait(Some(PATIENCE), &mut ready)
        .expect("waiting works");
    assert_eq!(inbox.try_recv(), Ok("again"));
}

#[test]
fn a_renamed_socket_is_reported_under_its_new_number() {
    let mut pair = tcp();
    pair.engine
        .rename(&mut pair.socket, 99)
        .expect("it is watched");
    pair.peer.write_all(b"x").expect("the socket is open");
    let mut seen = Vec::new();
    while !seen.iter().any(|ready: &Ready| ready.readable) {
        pair.engine
            .wait(Some(PATIENCE), &mut seen)
            .expect("waiting works");
        assert!(
            !seen.is_empty() && seen.iter().all(|ready| ready.number == 99),
            "{seen:?}"
        );
    }
}

fn accepts(listener: &mut Listener, connect: impl FnOnce()) {
    let mut engine = Engine::new().expect("an engine");
    engine.watch(listener, 3).expect("it can be watched");
    assert!(listener.accept().expect("nothing is wrong").is_none());
    connect();
    let mut ready = Vec::new();
    engine
        .wait(Some(PATIENCE), &mut ready)
        .expect("waiting works");
    assert!(ready[0].number == 3 && ready[0].readable, "{ready:?}");
    assert!(listener.accept().expect("nothing is wrong").is_some());
    assert!(listener.accept().expect("nothing is wrong").is_none());
}

#[test]
fn listeners_accept_over_both_ip_versions() {
    for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let endpoint = Endpoint::Tcp(SocketAddr::new(ip, 0));
        let mut listener = Listener::bind(&endpoint, BIND).expect("a free port");
        let address = listener.address().expect("it is bound");
        accepts(&mut listener, || {
            std::net::TcpStream::connect(address).expect("it listens");
        });
    }
}

#[test]
fn a_port_is_shared_only_if_both_ask_for_it() {
    let endpoint = Endpoint::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let first = Listener::bind(&endpoint, BIND).expect("a free port");
    let taken = Endpoint::Tcp(first.address().expect("it is bound"));
    let error = Listener::bind(&taken, BIND).expect_err("it is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let shared = BindOptions {
        port: PortSharing::Shared,
        ..BIND
    };
    let first = Listener::bind(&endpoint, shared).expect("a free port");
    let taken = Endpoint::Tcp(first.address().expect("it is bound"));
    Listener::bind(&taken, shared).expect("both share it");
}

fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .expect("the socket's file")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn a_unix_listener_replaces_a_stale_file_and_removes_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a path"));
    assert!(path.exists(), "std leaves the file behind");

    let endpoint = Endpoint::Unix(path.clone());
    let options = BindOptions {
        mode: Some(0o640),
        ..BIND
    };
    let mut listener = Listener::bind(&endpoint, options).expect("it is replaced");
    assert_eq!(mode_of(&path), 0o640);
    accepts(&mut listener, || {
        std::os::unix::net::UnixStream::connect(&path).expect("it listens");
    });
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_unix_listener_leaves_its_successors_file_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    let endpoint = Endpoint::Unix(path.clone());
    let first = Listener::bind(&endpoint, BIND).expect("a path");
    std::fs::remove_file(&path).expect("somebody else may do so");
    let second = Listener::bind(&endpoint, BIND).expect("a path");
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[test]
fn a_unix_listener_replaces_nothing_but_what_is_stale() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    let endpoint = Endpoint::Unix(path.clone());
    let refused = |kind: io::ErrorKind| {
        let error = Listener::bind(&endpoint, BIND).expect_err("it is not ours");
        assert_eq!(error.kind(), kind, "{error}");
    };
    std::fs::write(&path, "text").expect("a file");
    refused(io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).expect("it stays"), b"text");
    std::fs::remove_file(&path).expect("it is there");
    std::os::unix::fs::symlink("nowhere", &path).expect("a link");
    refused(io::ErrorKind::AlreadyExists);
    std::fs::remove_file(&path).expect("it is there");

    // The listener is alive, whether its backlog has room or not.
    let options = BindOptions { backlog: 1, ..BIND };
    let listener = Listener::bind(&endpoint, options).expect("a path");
    for _ in 0..4 {
        refused(io::ErrorKind::AddrInUse);
    }
    assert!(listener.accept().expect("nothing is wrong").is_some());
    drop(listener);
    let datagrams = std::os::unix::net::UnixDatagram::bind(&path).expect("a path");
    refused(io::ErrorKind::AddrInUse);
    drop(datagrams);
    Listener::bind(&endpoint, BIND).expect("now it is stale");
}
