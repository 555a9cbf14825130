//! Memory of the process: what idle clients hold, what is given back after a burst, and what a value
//! of half a gigabyte leaves behind. Kernel memory of the sockets is not counted here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::process::allow_open_files;
use crate::support::*;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Clients of a crowd.
const CROWD: usize = 10_000;

/// How long memory may take to be given back.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// One crowd at a time: two would need more open files than a process may have.
fn alone() -> MutexGuard<'static, ()> {
    static CROWDED: Mutex<()> = Mutex::new(());
    allow_open_files(2 * CROWD as u64 - 1000);
    CROWDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the process holds at most so many bytes.
#[track_caller]
fn settles(proxy: &mut Proxy, most: u64, what: &str) {
    let begin = Instant::now();
    while proxy.process().resident_bytes() > most {
        let resident = proxy.process().resident_bytes() / KIB;
        assert!(
            begin.elapsed() < SETTLED_WITHIN,
            "{what}: {resident} KiB, not {} or less",
            most / KIB
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// A proxy of one worker that has had some traffic, and the memory it holds then.
fn warm(servers: &[Server]) -> (Proxy, u64) {
    let mut proxy = Proxy::nutcrab_of_one_worker(vec![Pool::redis("alpha").servers(servers)]);
    let mut clients: Vec<Wire> = (0..50).map(|_| proxy.client("alpha")).collect();
    for round in 0..20 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(&pipeline(
                &[format!("SET key:{number} {round}").as_str(); 4],
            ));
        }
        for client in &mut clients {
            client.expect(&b"+OK\r\n".repeat(4));
        }
    }
    let resident = proxy.process().resident_bytes();
    (proxy, resident)
}

#[test]
fn an_idle_client_costs_less_than_a_kibibyte() {
    let _alone = alone();
    let servers = Server::redis_many(2);
    let (mut proxy, before) = warm(&servers);
    let most = before + CROWD as u64 * KIB;
    let mut clients: Vec<Wire> = (0..CROWD).map(|_| proxy.client("alpha")).collect();
    // The last one was accepted when it is answered.
    clients[CROWD - 1].check(&pipeline(&["PING"]), b"+PONG\r\n");
    assert!(
        proxy.process().resident_bytes() < most,
        "clients that never asked"
    );
    for client in &mut clients {
        client.send(&pipeline(&["SET key value"; 32]));
    }
    for client in &mut clients {
        client.expect(&b"+OK\r\n".repeat(32));
    }
    settles(
        &mut proxy,
        most,
        "clients that have asked 32 things at once",
    );
}

#[test]
fn memory_is_given_back_after_a_burst() {
    let _alone = alone();
    let mut servers = Server::redis_many(2);
    let (mut proxy, before) = warm(&servers);
    for server in &mut servers {
        server.process().signal("STOP");
    }
    let mut clients: Vec<Wire> = (0..CROWD).map(|_| proxy.client("alpha")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&pipeline(&[format!("SET key:{number} value").as_str(); 10]));
    }
    eventually("all requests are queued", || {
        let queued = proxy.process().resident_bytes() > before + 4 * MIB;
        queued.then_some(())
    });
    for server in &mut servers {
        server.process().signal("CONT");
    }
    for client in &mut clients {
        client.expect(&b"+OK\r\n".repeat(10));
    }
    drop(clients);
    // A tenth of what it held.
    let most = before + before / 10;
    settles(&mut proxy, most, "after 100,000 queued requests");
}

#[test]
fn a_value_of_half_a_gigabyte_leaves_no_trace() {
    const LEN: usize = 512 * MIB as usize;
    let servers = Server::redis_many(1);
    let (mut proxy, before) = warm(&servers);
    let mut client = proxy.client("alpha");
    let piece = vec![b'x'; MIB as usize];
    client.send(format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${LEN}\r\n").as_bytes());
    for _ in 0..LEN / piece.len() {
        client.send(&piece);
    }
    client.send(b"\r\n");
    client.expect(b"+OK\r\n");
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown <= 2 * MIB, "SET: memory grew by {} KiB", grown / KIB);
    client.send(&pipeline(&["GET large"]));
    client.expect(format!("${LEN}\r\n").as_bytes());
    for _ in 0..LEN / piece.len() {
        assert!(
            client.read_exact(piece.len()) == piece,
            "the value came back changed"
        );
    }
    client.expect(b"\r\n");
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown <= 2 * MIB, "GET: memory grew by {} KiB", grown / KIB);
}

#[test]
fn a_reader_that_stops_in_a_large_reply_holds_little() {
    const LEN: usize = 128 * MIB as usize;
    let servers = Server::redis_many(4);
    let (mut proxy, before) = warm(&servers);
    for server in &servers {
        let mut wire = server.connect();
        let value = vec![b'x'; LEN];
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            wire.send(&command(&[
                b"SETRANGE",
                key.as_bytes(),
                b"0",
                &value[..LEN / 8],
            ]));
            assert_eq!(wire.reply(), Reply::Integer(LEN as i64 / 8));
        }
    }
    let stopped: Vec<Wire> = ["GET a", "MGET a b c d e f g h"]
        .iter()
        .map(|request| {
            let mut client = proxy.client("alpha");
            client.send(&pipeline(&[request]));
            client.read_exact(10);
            client
        })
        .collect();
    // Others are served meanwhile.
    let mut client = proxy.client("alpha");
    for round in 0..200 {
        client.check(&pipeline(&[&format!("SET other:{round} x")]), b"+OK\r\n");
    }
    // Each of them may hold a window of output, the one with several keys another one of early parts,
    // and what was read in one turn beyond them.
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown <= 4 * MIB, "memory grew by {} KiB", grown / KIB);
    drop(stopped);
}
