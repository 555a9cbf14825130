//! Clients that read slowly, pause, or write everything before they read anything: they are served, as a
//! direct connection serves them, and cost nobody anything.

use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use crate::rounds;
use crate::support::*;

const MIB: u64 = 1024 * 1024;

/// A request that is served within a time that others' reading cannot explain.
fn served(client: &mut Wire) {
    client.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
}

/// A client that waits longer than usual for what it reads: this machine may do much else.
fn patient(proxy: &Proxy) -> Wire {
    let mut client = proxy.client("alpha");
    client.patience = Duration::from_secs(60);
    client
}

fn set(server: &Server, key: &str, value: &str) {
    assert_eq!(server.ask(&["SET", key, value]), Reply::ok());
}

fn bulk(len: usize) -> Vec<u8> {
    format!("${len}\r\n{}\r\n", "v".repeat(len)).into_bytes()
}

#[test]
fn t21_long_replies_that_are_read_slowly_are_served() {
    const ELEMENTS: usize = 60_000;
    let server = Server::redis();
    let element = "e".repeat(50);
    let words = ["RPUSH", "list"].into_iter();
    let words: Vec<&str> = words
        .chain(std::iter::repeat_n(element.as_str(), ELEMENTS))
        .collect();
    assert_eq!(server.ask(&words), Reply::Integer(ELEMENTS as i64));
    let one = format!("$50\r\n{element}\r\n").repeat(ELEMENTS);
    let reply = format!("*{ELEMENTS}\r\n{one}").into_bytes();
    let pool = Pool::redis("alpha").with("timeout", "2000");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool.servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    served(&mut neighbour);
    let requests = 4;
    thread::scope(|scope| {
        let slow: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = patient(&proxy);
                    client.send(&pipeline(&["LRANGE list 0 -1"]).repeat(requests));
                    for _ in 0..requests {
                        for part in reply.chunks(64 * 1024) {
                            // As a parser does that is slower than the server.
                            thread::sleep(Duration::from_millis(4));
                            client.expect(part);
                        }
                    }
                })
            })
            .collect();
        while !slow.iter().all(|client| client.is_finished()) {
            served(&mut neighbour);
        }
    });
}

#[test]
fn t22_a_pause_within_a_large_value_costs_nothing() {
    const LEN: usize = 16 << 20;
    let server = Server::redis();
    assert_eq!(
        server.ask(&["SETRANGE", "large", &(LEN - 1).to_string(), "x"]),
        Reply::Integer(LEN as i64)
    );
    let pool = Pool::redis("alpha").with("timeout", "1000");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool.servers(slice::from_ref(&server))]);
    // Alone; then with somebody else there, on the same connection and behind.
    for others in [false, true] {
        let mut client = patient(&proxy);
        let mut neighbour = patient(&proxy);
        served(&mut neighbour);
        client.send(&pipeline(&["GET large", "GET large"]));
        let head = format!("${LEN}\r\n");
        client.expect(head.as_bytes());
        client.read_exact(100_000);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(rounds(2500, 12_500) as u64) {
            if others {
                served(&mut neighbour);
            }
            thread::sleep(Duration::from_millis(10));
        }
        client.read_exact(LEN - 100_000 + 2);
        client.expect(head.as_bytes());
        client.read_exact(LEN + 2);
        served(&mut client);
    }
}

/// Everything is written before anything is read.
#[test]
fn t23_a_pipeline_that_is_written_whole_before_it_is_read_is_served() {
    let server = Server::redis();
    let key = "k".repeat(200);
    set(&server, &key, &"v".repeat(1000));
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    // More bytes than the sockets between hold.
    let count = rounds(60_000, 180_000);
    let mut client = patient(&proxy);
    client.send(&pipeline(&[&format!("GET {key}")]).repeat(count));
    served(&mut neighbour);
    let replies = bulk(1000).repeat(1000);
    for _ in 0..count / 1000 {
        client.expect(&replies);
    }
    served(&mut client);
    served(&mut neighbour);
}

#[test]
fn t24_large_requests_that_are_written_before_anything_is_read_are_served() {
    const LARGE: usize = 3 << 20;
    let server = Server::redis();
    set(&server, "some", &"v".repeat(1000));
    let pools = vec![Pool::redis("alpha").servers(slice::from_ref(&server))];
    let proxy = Proxy::nutcrab_configured(pools, "  client_output_limit: 16384\n");
    let mut neighbour = proxy.client("alpha");
    let write = command(&["SET", "key", &"x".repeat(1000)]);
    let large = command(&["SET", "large", &"x".repeat(LARGE)]);
    let mut client = patient(&proxy);
    // More replies than the sockets between hold; then more requests than they hold.
    let count = rounds(10_000, 180_000);
    client.send(&write.repeat(count));
    client.send(&pipeline(&["GET some"]).repeat(15_000));
    client.send(&large);
    client.send(&pipeline(&["STRLEN large"]));
    client.send(&write.repeat(count));
    served(&mut neighbour);
    client.expect(&b"+OK\r\n".repeat(count));
    client.expect(&bulk(1000).repeat(15_000));
    client.expect(format!("+OK\r\n:{LARGE}\r\n").as_bytes());
    client.expect(&b"+OK\r\n".repeat(count));
    served(&mut client);
}

#[test]
fn t25_large_messages_and_many_at_once_reach_a_subscriber_that_reads_later() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut publisher = patient(&proxy);
    for (len, count) in [(9_000_000, 1), (100_000, 300)] {
        let mut subscriber = patient(&proxy);
        subscriber.check(
            &pipeline(&["SUBSCRIBE c"]),
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
        );
        publisher.send(&command(&["PUBLISH", "c", &"x".repeat(len)]).repeat(count));
        publisher.expect(&b":1\r\n".repeat(count));
        thread::sleep(Duration::from_millis(300));
        let text = format!("${len}\r\n{}\r\n", "x".repeat(len));
        let message = format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n{text}").into_bytes();
        for _ in 0..count {
            subscriber.expect(&message);
        }
    }
}

#[test]
fn t26_slow_readers_of_large_values_leave_others_alone() {
    let len = rounds(12 << 20, 50 << 20);
    let server = Server::redis();
    let last = (len - 1).to_string();
    assert_eq!(
        server.ask(&["SETRANGE", "large", &last, "x"]),
        Reply::Integer(len as i64)
    );
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let mut proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    // From now on it is known to be large.
    patient(&proxy).ask(&["GET", "large"]);
    let before = proxy.process().resident_bytes();
    thread::scope(|scope| {
        let slow: Vec<_> = (0..rounds(10, 40))
            .map(|_| {
                let mut client = patient(&proxy);
                scope.spawn(move || {
                    client.send(&pipeline(&["GET large"]));
                    client.expect(format!("${len}\r\n").as_bytes());
                    let begin = Instant::now();
                    for part in 1..=(len >> 20) {
                        client.read_exact(1 << 20);
                        // A megabyte a second; less in the short form.
                        let due = Duration::from_millis((rounds(250, 1000) * part) as u64);
                        thread::sleep(due.saturating_sub(begin.elapsed()));
                    }
                    client.expect(b"\r\n");
                })
            })
            .collect();
        let mut worst = Vec::new();
        while !slow.iter().all(|client| client.is_finished()) {
            let begin = Instant::now();
            served(&mut neighbour);
            worst.push(begin.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
        worst.sort_unstable();
        let (middle, p99) = (worst[worst.len() / 2], worst[worst.len() * 99 / 100]);
        println!("p50 {middle:?}, p99 {p99:?} of {}", worst.len());
        assert!(p99 < Duration::from_millis(100), "{p99:?}");
    });
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown <= 60 * MIB, "{} KiB", grown / 1024);
}

#[test]
fn t27_pipelines_of_many_requests_at_once_cost_their_bytes() {
    let server = Server::redis();
    let key = "k".repeat(rounds(300, 4));
    let len = rounds(500, 1000);
    set(&server, &key, &"v".repeat(len));
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let mut proxy = Proxy::nutcrab(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    served(&mut neighbour);
    let before = proxy.process().resident_bytes();
    let count = rounds(30_000, 1_000_000);
    let asked = pipeline(&[&format!("GET {key}")]).repeat(count);
    let replies = bulk(len).repeat(1000);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let mut client = patient(&proxy);
                let (asked, replies) = (&asked, &replies);
                scope.spawn(move || {
                    client.send(asked);
                    for _ in 0..count / 1000 {
                        client.expect(replies);
                    }
                })
            })
            .collect();
        while !clients.iter().all(|client| client.is_finished()) {
            served(&mut neighbour);
        }
    });
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    println!("{} KiB for {} asked", grown / 1024, 8 * asked.len() / 1024);
    let most = 8 * (asked.len() as u64 * 5 / 4 + 5 * MIB);
    assert!(grown <= most, "{} KiB", grown / 1024);
}

/// Two proxies, one behind the other, as in conf/nutcracker.root.yml.
#[test]
fn t33_a_client_that_does_not_read_delays_no_other_client_behind_two_proxies() {
    let server = Server::redis();
    set(&server, "some", &"v".repeat(10_000));
    let timed = |pool: Pool| pool.with("timeout", "1000");
    let pools = vec![timed(Pool::redis("alpha")).servers(slice::from_ref(&server))];
    let mut back = Proxy::nutcrab_of_one_worker(pools);
    let pools = vec![timed(Pool::redis("alpha")).at("back", back.address("alpha"))];
    let mut front = Proxy::nutcrab_of_one_worker(pools);
    let mut neighbour = front.client("alpha");
    served(&mut neighbour);
    let asked = pipeline(&["GET some"]).repeat(1000);
    let mut deaf: Vec<_> = (0..8).map(|_| patient(&front)).collect();
    for client in &mut deaf {
        client.send(&asked);
        served(&mut neighbour);
    }
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(rounds(1500, 18_000) as u64) {
        served(&mut neighbour);
        thread::sleep(Duration::from_millis(1));
    }
    for client in &mut deaf {
        client.expect(&bulk(10_000).repeat(1000));
        served(&mut neighbour);
    }
    for proxy in [&mut front, &mut back] {
        let log = proxy.process().log();
        assert!(!log.contains("closed:"), "{log}");
    }
}
