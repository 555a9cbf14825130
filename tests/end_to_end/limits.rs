//! What clients can cost: announced lengths, uploads that stop, readers that do not read, and how
//! many clients there may be.

use std::slice;
use std::time::{Duration, Instant};

use crate::support::*;

const MIB: u64 = 1024 * 1024;

#[test]
fn an_announced_length_allocates_nothing() {
    const CLIENTS: usize = 1_000;
    process::allow_open_files(4 * CLIENTS as u64);
    let server = Server::redis();
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    neighbour.check(&pipeline(&["SET a b"]), b"+OK\r\n");
    let before = proxy.process().resident_bytes();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.client("alpha")).collect();
    for client in &mut clients {
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nx");
    }
    wire::wait_until_taken(&clients);
    let grown = proxy.process().resident_bytes().saturating_sub(before);
    assert!(
        grown <= 2 * MIB,
        "{} KiB for each of them",
        grown / 1024 / CLIENTS as u64
    );
    neighbour.check(&pipeline(&["GET a", "GET k"]), b"$1\r\nb\r\n$-1\r\n");
    drop(clients);
    neighbour.check(&pipeline(&["GET a", "GET k"]), b"$1\r\nb\r\n$-1\r\n");
}

#[test]
fn an_upload_that_stops_half_way_holds_nobody_up_and_leaves_nothing() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbours: Vec<_> = (0..proxy::workers())
        .map(|_| proxy.client("alpha"))
        .collect();
    // Below and above the size from which requests are passed on while they still come in.
    for size in [100_000, 900_000, 3_000_000, 50_000_000] {
        let mut uploader = proxy.client("alpha");
        let header = format!("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n${size}\r\n");
        uploader.send(&[header.as_bytes(), &vec![b'x'; size / 2]].concat());
        for neighbour in &mut neighbours {
            neighbour.check(
                &pipeline(&["SET a b", "GET a", "GET half"]),
                b"+OK\r\n$1\r\nb\r\n$-1\r\n",
            );
        }
        drop(uploader);
        for neighbour in &mut neighbours {
            neighbour.check(
                &pipeline(&["SET a b", "GET a", "GET half"]),
                b"+OK\r\n$1\r\nb\r\n$-1\r\n",
            );
        }
    }
}

#[test]
fn an_upload_that_goes_on_later_is_carried_out() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    for size in [100_000, 5_000_000] {
        let value = value::described(b"slow", size as u64, size);
        let request = command(&[b"SET", &b"slow"[..], &value]);
        let mut uploader = proxy.client("alpha");
        for piece in request.chunks(request.len() / 10 + 1) {
            uploader.send(piece);
            neighbour.check(&pipeline(&["PING", "SET a b"]), b"+PONG\r\n+OK\r\n");
        }
        assert_eq!(uploader.reply(), Reply::ok());
        assert_eq!(
            value::check(b"slow", &uploader.ask(&["GET", "slow"]).bytes()),
            size as u64
        );
    }
}

#[test]
fn a_client_that_does_not_read_neither_fills_memory_nor_holds_others_up() {
    let server = Server::redis();
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    let big = value::described(b"big", 1, 10_000_000);
    neighbour.send_while(&command(&[b"SET", &b"big"[..], &big]), |client| {
        client.expect(b"+OK\r\n")
    });
    let before = proxy.process().resident_bytes();
    let mut idle: Vec<_> = (0..4).map(|_| proxy.client("alpha")).collect();
    for client in &mut idle {
        client.send(&pipeline(&["GET big"; 3]));
    }
    // Long enough for replies to pile up, were they taken. What is already behind them on the
    // connection to the server waits until they are given up, less than two seconds for all of them.
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        neighbour.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
        slowest = slowest.max(asked.elapsed());
    }
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown < 96 * MIB, "memory grew by {} MiB", grown / MIB);
    assert!(
        slowest < Duration::from_millis(3_500),
        "a neighbour waited {slowest:?}"
    );
}

#[test]
fn no_more_clients_are_served_than_allowed() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let other = Pool::redis("beta").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool.with("client_connections", "3"), other]);
    let ping = |client: &mut Wire| {
        let _ = client.try_send(&pipeline(&["PING"]));
        client.try_reply()
    };
    // Connections made while waiting for the proxy to be ready may still be counted.
    let mut clients: Vec<Wire> = eventually("three clients are served", || {
        let mut clients: Vec<_> = (0..3).map(|_| proxy.client("alpha")).collect();
        clients
            .iter_mut()
            .all(|client| ping(client).is_served())
            .then_some(clients)
    });
    assert!(
        ping(&mut proxy.client("alpha")).is_err_or_error(),
        "a fourth client was served"
    );
    assert!(ping(&mut proxy.client("beta")).is_served());
    clients.pop();
    eventually("there is room again", || {
        ping(&mut proxy.client("alpha")).is_served().then_some(())
    });
    for client in &mut clients {
        assert!(ping(client).is_served());
    }
}

trait Served {
    fn is_served(&self) -> bool;
    fn is_err_or_error(&self) -> bool {
        !self.is_served()
    }
}

impl Served for Result<Reply, End> {
    fn is_served(&self) -> bool {
        matches!(self, Ok(Reply::Status(_)))
    }
}
