//! More clients, memory or requests than there may be: what it costs, and what the others notice.

use std::slice;
use std::time::{Duration, Instant};

use crate::support::*;

const MIB: u64 = 1024 * 1024;

/// What one client costs that asks for `requests` and reads nothing: most of the time it was there,
/// and how long after it left until it was all given back.
fn cost_of_unread(requests: &[u8], value: usize) -> (u64, Duration) {
    let server = Server::redis();
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    let big = vec![b'v'; value];
    neighbour.send(&command(&[b"SET", &b"some"[..], &big]));
    assert_eq!(neighbour.reply(), Reply::ok());
    let cold = proxy.process().resident_bytes();
    // What the first such client costs and others do not: pages of the program, chunks to read into.
    for _ in 0..proxy::workers() + 1 {
        let mut first = proxy.client("alpha");
        first.send_until_stuck(requests);
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert_eq!(neighbour.ask(&["GET", "some"]).bytes(), big);
    }
    let before = proxy.process().resident_bytes();
    let mut idle = proxy.client("alpha");
    idle.send_until_stuck(requests);
    let mut most = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(700) {
        most = most.max(proxy.process().resident_bytes());
        neighbour.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
    }
    drop(idle);
    let left = Instant::now();
    eventually("memory is given back", || {
        (proxy.process().resident_bytes() <= before + MIB / 2).then_some(())
    });
    // Nor do all of them together leave more than one may cost.
    assert!(before <= cold + 8 * MIB, "{} KiB", (before - cold) / 1024);
    (most.saturating_sub(before), left.elapsed())
}

#[test]
fn a_million_unread_requests_cost_little_and_leave_nothing() {
    let request = pipeline(&["GET some"]);
    let (most, gone) = cost_of_unread(&request.repeat(1_000_000), 20);
    println!("{} KiB at most, all back after {gone:?}", most / 1024);
    // The requests are kept: the client might read once it has written all of them.
    let kept = request.len() as u64 * 1_000_000;
    assert!(most <= kept + 8 * MIB, "{} KiB", most / 1024);
    assert!(gone < Duration::from_secs(1), "{gone:?}");
}

#[test]
fn large_unread_replies_cost_little_and_leave_nothing() {
    let request = pipeline(&["GET some"; 300]);
    let (most, gone) = cost_of_unread(&request, MIB as usize);
    println!("{} KiB at most, all back after {gone:?}", most / 1024);
    assert!(most <= 8 * MIB, "{} KiB", most / 1024);
    assert!(gone < Duration::from_secs(1), "{gone:?}");
}

#[test]
fn a_client_too_many_is_told_so_in_its_protocol() {
    let (redis, memcached) = (Server::redis(), Server::memcached());
    let one = |pool: Pool| pool.with("client_connections", "1");
    let proxy = Proxy::nutcrab(vec![
        one(Pool::redis("alpha")).servers(slice::from_ref(&redis)),
        one(Pool::memcache("beta")).servers(slice::from_ref(&memcached)),
    ]);
    for (pool, ask, answer, farewell) in [
        (
            "alpha",
            &pipeline(&["PING"])[..],
            &b"+PONG\r\n"[..],
            &b"-ERR max number of clients reached\r\n"[..],
        ),
        (
            "beta",
            b"get a\r\n",
            b"END\r\n",
            b"ERROR Too many open connections\r\n",
        ),
    ] {
        // Connections made while waiting for the proxy to be ready may still be counted.
        let mut client = eventually("a client is served", || {
            let mut client = proxy.client(pool);
            let _ = client.try_send(ask);
            (client.read_until(|bytes| bytes == answer).0 == answer).then_some(client)
        });
        let mut other = proxy.client(pool);
        assert_eq!(shown(&other.read_to_end()), shown(farewell));
        client.check(ask, answer);
    }
}

#[test]
fn clients_are_counted_by_their_address() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool.with("client_connections_per_address", "2")]);
    let ping = |client: &mut Wire| {
        let _ = client.try_send(&pipeline(&["PING"]));
        matches!(client.try_reply(), Ok(Reply::Status(_)))
    };
    let mut clients: Vec<Wire> = eventually("two clients are served", || {
        let mut clients: Vec<_> = (0..2).map(|_| proxy.client("alpha")).collect();
        clients.iter_mut().all(ping).then_some(clients)
    });
    let mut third = proxy.client("alpha");
    assert_eq!(
        shown(&third.read_to_end()),
        "-ERR max number of clients reached\\r\\n"
    );
    clients.pop();
    eventually("there is room again", || {
        ping(&mut proxy.client("alpha")).then_some(())
    });
}

#[test]
fn without_descriptors_clients_are_told_and_nothing_spins() {
    let server = Server::redis();
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut established = proxy.client("alpha");
    let ask = pipeline(&["SET a b", "GET a"]);
    established.check(&ask, b"+OK\r\n$1\r\nb\r\n");
    let open = proxy.process().open_files();
    proxy.process().limit_open_files(open + 4);
    let mut clients: Vec<_> = (0..50).map(|_| proxy.client("alpha")).collect();
    let replies: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let _ = client.try_send(&pipeline(&["PING"]));
            client.try_reply()
        })
        .collect();
    let served = replies
        .iter()
        .filter(|reply| matches!(reply, Ok(Reply::Status(_))))
        .count();
    assert!((1..=8).contains(&served), "{served} of 50 were served");
    let told = replies
        .iter()
        .filter(|reply| matches!(reply, Ok(Reply::Error(_))))
        .count();
    assert!(told >= 40, "{told} of 50 were told");
    established.check(&ask, b"+OK\r\n$1\r\nb\r\n");
    let (start, busy) = (Instant::now(), proxy.process().processor_time());
    while start.elapsed() < Duration::from_secs(1) {
        established.check(&ask, b"+OK\r\n$1\r\nb\r\n");
        std::thread::sleep(Duration::from_millis(50));
    }
    let busy = proxy.process().processor_time() - busy;
    assert!(busy < Duration::from_millis(300), "{busy:?} of a second");
    drop(clients);
    eventually("clients are let in again", || {
        let mut client = proxy.client("alpha");
        let _ = client.try_send(&pipeline(&["PING"]));
        matches!(client.try_reply(), Ok(Reply::Status(_))).then_some(())
    });
}

#[test]
fn over_the_memory_limit_the_worst_are_closed_and_the_others_are_served() {
    let server = Server::redis();
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .with("value_limit", "1048576");
    let mut proxy = Proxy::nutcrab_configured(
        vec![pool],
        "  memory_limit: 16\n  client_output_limit: 4194304\n",
    );
    let mut neighbour = proxy.client("alpha");
    let value = vec![b'v'; MIB as usize];
    neighbour.send(&command(&[b"SET", &b"some"[..], &value]));
    assert_eq!(neighbour.reply(), Reply::ok());
    let before = proxy.process().resident_bytes();
    let mut idle: Vec<_> = (0..40).map(|_| proxy.client("alpha")).collect();
    let mut most = 0;
    for client in &mut idle {
        let _ = client.try_send(&pipeline(&["GET some"; 8]));
        most = most.max(proxy.process().resident_bytes());
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        most = most.max(proxy.process().resident_bytes());
        let _ = neighbour.try_send(&pipeline(&["GET a"]));
        // It may be told that memory is short, but it is never closed.
        assert!(neighbour.try_reply().is_ok());
    }
    let grown = most.saturating_sub(before) / MIB;
    assert!(grown <= 32, "{grown} MiB");
    drop(idle);
    eventually("the neighbour is served", || {
        (neighbour.ask(&["SET", "a", "b"]) == Reply::ok()).then_some(())
    });
}
