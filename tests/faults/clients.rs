//! Clients that are many, slow, rude, or speak something else.

use std::slice;
use std::time::{Duration, Instant};

use crate::support::*;

fn served(neighbour: &mut Wire) {
    neighbour.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
}

/// They are read no further, and what they had asked by then is taken in for them.
#[test]
fn c2_clients_that_ask_without_end_and_read_nothing_hold_up_nobody() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    let value = "x".repeat(64);
    assert_eq!(neighbour.ask(&["SET", "small", &value]), Reply::ok());
    let asked = pipeline(&["GET small"]).repeat(1_000_000);
    let mut greedy: Vec<_> = (0..4).map(|_| proxy.client("alpha")).collect();
    for client in &mut greedy {
        client.send_until_stuck(&asked);
        served(&mut neighbour);
    }
    // None was closed for holding others up.
    let reply = format!("$64\r\n{value}\r\n");
    for client in &mut greedy {
        client.expect(reply.repeat(10_000).as_bytes());
        served(&mut neighbour);
    }
}

#[test]
fn c3_slow_clients_cost_little_and_hold_nobody_up() {
    const CLIENTS: usize = 400;
    process::allow_open_files(4 * CLIENTS as u64);
    let server = Server::redis();
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    served(&mut neighbour);
    let mut slow: Vec<_> = (0..CLIENTS).map(|_| proxy.client("alpha")).collect();
    for wire in &mut slow {
        wire.send(b"*");
    }
    wire::wait_until_taken(&slow);
    let before = proxy.process().resident_bytes();
    for byte in b"2\r\n$3\r\nGET" {
        for wire in &mut slow {
            wire.send(&[*byte]);
        }
        served(&mut neighbour);
    }
    wire::wait_until_taken(&slow);
    let each = proxy.process().resident_bytes().saturating_sub(before) / CLIENTS as u64;
    assert!(each <= 8 * 1024, "{each} bytes for each of them");
}

#[test]
fn c4_a_storm_of_connections_leaves_room_for_those_that_are_there() {
    let server = Server::redis();
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let address = proxy.address("alpha").clone();
    let mut neighbour = proxy.client("alpha");
    served(&mut neighbour);
    std::thread::scope(|scope| {
        let storm: Vec<_> = (0..4)
            .map(|_| {
                let address = &address;
                scope.spawn(move || {
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_secs(2) {
                        // Some are reset for being too many; that is what a storm is.
                        let _ = Wire::try_connect(address).map(|mut wire| wire.try_send(b"*1\r\n"));
                    }
                })
            })
            .collect();
        while !storm.iter().all(|thread| thread.is_finished()) {
            served(&mut neighbour);
        }
    });
    eventually("a new client is served", || {
        let mut client = Wire::try_connect(&address).ok()?;
        (client.ask(&["GET", "a"]) == Reply::bulk("b")).then_some(())
    });
    assert_eq!(proxy.process().exited(), None);
}

/// Bytes of other protocols: told or closed, never hung, and nothing reaches a server.
#[test]
fn c18_c19_c20_c21_other_protocols_are_answered_or_turned_away() {
    let (redis, memcached) = (Server::redis(), Server::memcached());
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha").servers(slice::from_ref(&redis)),
        Pool::memcache("beta").servers(slice::from_ref(&memcached)),
    ]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random bytes of a handshake\r\n\r\n";
    let post = b"POST /?a=b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\nSET smuggled x\r\nxxxx";
    let long = [vec![b'x'; 100_000], b"\r\n".to_vec()].concat();
    let version = [&b"\x80\x0b"[..], &[0; 22]].concat();
    let cases: [(&str, &[u8]); 6] = [
        ("alpha", hello),
        ("alpha", post),
        ("alpha", &long),
        ("beta", hello),
        ("beta", &version),
        ("beta", &long),
    ];
    let mut neighbour = proxy.client("alpha");
    for (pool, bytes) in cases {
        let mut client = proxy.client(pool);
        // It may be turned away before it has sent everything.
        let _ = client.try_send(bytes);
        // Both servers know lines that are no commands, and go on behind them; memcached's binary
        // protocol is spoken here.
        let stays = bytes == hello || bytes == version;
        let (got, end) = match stays {
            true => client.read_until(|got| got.ends_with(b"\r\n") || got.starts_with(b"\x81\x0b")),
            false => client.read_until(|_| false),
        };
        assert_eq!(end == End::Closed, !stays, "{pool}: {}", shown(&got));
        assert!(got.len() < 1000, "{pool}: {}", shown(&got));
        served(&mut neighbour);
    }
    assert_eq!(redis.ask(&["EXISTS", "smuggled"]), Reply::Integer(0));
}

#[test]
fn c26_no_spelling_of_a_denied_command_gets_past_the_filter() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let denied = "{deny: [flushall, config, debug, acl|setuser]}";
    let proxy = Proxy::nutcrab(vec![pool.with("commands", denied)]);
    assert_eq!(server.ask(&["SET", "kept", "1"]), Reply::ok());
    let arrays = |lines: &[&str]| pipeline(lines);
    let long = "x".repeat(20_000);
    let ways: Vec<Vec<u8>> = vec![
        arrays(&["FLUSHALL", "flushall", "FlushAll ASYNC", "FLUSHALL SYNC"]),
        b"FLUSHALL\r\nflushall async\n\r\n\r\n  FLUSHALL\t\r\n".to_vec(),
        b"\"FLUSHALL\"\r\n'flushall'\r\n\"\\x46LUSHALL\"\r\n".to_vec(),
        // Lines, arrays and values that hold either, one behind the other.
        [
            arrays(&["GET kept"]),
            b"FLUSHALL\r\n".to_vec(),
            command(&["SET", "other", "\r\nFLUSHALL\r\n*1\r\n$8\r\nFLUSHALL\r\n"]),
            b"GET kept\r\n".to_vec(),
            arrays(&["FLUSHALL", "GET other"]),
            b"SET other \"a\\r\\nFLUSHALL\\r\\n\"\r\n".to_vec(),
            b"flushall\r\n".to_vec(),
        ]
        .concat(),
        arrays(&[
            "MULTI",
            "FLUSHALL",
            "EXEC",
            "MULTI",
            "SET other 1",
            "CONFIG SET save x",
            "EXEC",
        ]),
        b"MULTI\r\nFLUSHALL\r\nEXEC\r\n".to_vec(),
        arrays(&[
            "CONFIG SET save x",
            "config set save x",
            "CONFIG|SET save x",
            "CONFIG|SET",
        ]),
        arrays(&[
            "DEBUG FLUSHALL",
            "debug flushall",
            "DEBUG|* FLUSHALL",
            "DEBUG|FLUSHALL",
        ]),
        arrays(&[
            "ACL SETUSER tom on nopass",
            "acl setuser tom on",
            "ACL|SETUSER tom on",
        ]),
        arrays(&[
            "FLUSHALL\0",
            "FLUSHALL\u{1}",
            "FLUSHALL|ASYNC",
            "COMMAND FLUSHALL",
        ]),
        command(&["FLUSHALL", &long]),
        format!("FLUSHALL {long}\r\n").into_bytes(),
        arrays(&["HELLO 3", "FLUSHALL", "SELECT 1", "FLUSHALL"]),
        arrays(&[
            "CLIENT REPLY SKIP",
            "FLUSHALL",
            "CLIENT REPLY OFF",
            "FLUSHALL",
            "CLIENT REPLY ON",
        ]),
        arrays(&["SUBSCRIBE a", "FLUSHALL", "UNSUBSCRIBE a"]),
    ];
    for way in &ways {
        for bytewise in [false, true] {
            let mut client = proxy.client("alpha");
            if bytewise && way.len() < 2000 {
                client.send_bytewise(way);
            } else {
                client.send(way);
            }
            client.send(&command(&["PING", "<last>"]));
            let (got, _) = client.read_until(|got| got.ends_with(b"<last>\r\n"));
            let kept = server.ask(&["GET", "kept"]);
            assert_eq!(kept, Reply::bulk("1"), "{}: {}", shown(way), shown(&got));
        }
    }
    let counts = server.ask(&["INFO", "commandstats"]).bytes();
    let counts = String::from_utf8(counts).expect("text");
    for name in ["flushall", "config", "debug", "acl|setuser"] {
        assert!(
            !counts.contains(&format!("cmdstat_{name}")),
            "{name}: {counts}"
        );
    }
}

#[test]
fn c27_a_flood_on_one_server_leaves_the_others_alone() {
    let (busy, other) = (Server::redis(), Server::redis());
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha").servers(slice::from_ref(&busy)),
        Pool::redis("beta").servers(slice::from_ref(&other)),
    ]);
    let mut flood: Vec<_> = (0..4).map(|_| proxy.client("alpha")).collect();
    let mut neighbour = proxy.client("beta");
    let asked = pipeline(&["GET hot"]).repeat(2000);
    for _ in 0..20 {
        for client in &mut flood {
            client.send(&asked);
        }
        let begin = Instant::now();
        served(&mut neighbour);
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{:?}",
            begin.elapsed()
        );
        for client in &mut flood {
            client.expect(&b"$-1\r\n".repeat(2000));
        }
    }
}

#[test]
fn c28_the_work_for_many_keys_grows_no_faster_than_their_number() {
    let servers = Server::redis_many(3);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("distribution", "modula");
    let mut proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    let mut neighbour = proxy.client("alpha");
    // Processor time: what else the machine does is none of it.
    let mut took = |count: usize| {
        // Half of them are the same key.
        let keys = (0..count).map(|i| format!("key:{}", if i % 2 == 0 { i } else { 1 }));
        let words: Vec<String> = ["MGET".to_owned()].into_iter().chain(keys).collect();
        let asked = command(&words);
        let before = proxy.process().processor_time();
        let reply = client.send_while(&asked, |client| {
            served(&mut neighbour);
            client.reply()
        });
        assert_eq!(reply.elements().len(), count);
        (proxy.process().processor_time() - before).as_secs_f64()
    };
    took(1000);
    let (small, large) = (took(4_000), took(200_000));
    assert!(
        large < 50.0 * 6.0 * small.max(0.002),
        "{small} s and {large} s"
    );
}

/// A server that notes when a request begins to come, and finds none of the keys of an `MGET`.
fn finds_nothing() -> FakeServer {
    FakeServer::start(|visit| {
        while let Ok(head) = visit.wire.try_line() {
            visit.note("asked");
            let head = String::from_utf8_lossy(&head[1..]).into_owned();
            let words: usize = head.trim().parse().expect("the number of words");
            for _ in 0..2 * words {
                visit.wire.line();
            }
            let reply = format!("*{}\r\n{}", words - 1, "$-1\r\n".repeat(words - 1));
            visit.wire.send(reply.as_bytes());
        }
    })
}

#[test]
fn c28_a_request_of_very_many_keys_is_taken_apart_between_others_turns() {
    const KEYS: usize = 1_000_000;
    let servers: Vec<FakeServer> = (0..3).map(|_| finds_nothing()).collect();
    let other = Server::redis();
    let alpha = servers
        .iter()
        .enumerate()
        .fold(Pool::redis("alpha"), |pool, (number, server)| {
            pool.at(&format!("s{number}"), &server.address())
        });
    let proxy = Proxy::nutcrab_of_one_worker(vec![
        alpha,
        Pool::redis("beta").servers(slice::from_ref(&other)),
    ]);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("beta"));
    served(&mut neighbour);
    let keys = (0..KEYS).map(|number| format!("key:{number}"));
    let words: Vec<String> = ["MGET".to_owned()].into_iter().chain(keys).collect();
    let asked = command(&words);
    let (all, last) = asked.split_at(asked.len() - 1);
    client.send(all);
    client.wait_until_taken();
    client.send(last);
    // From here on the work on the request is all that could keep the neighbour waiting.
    let mut served_meanwhile = 0;
    while servers.iter().all(|server| server.notes().is_empty()) {
        served(&mut neighbour);
        served_meanwhile += 1;
    }
    assert!(served_meanwhile >= 5, "{served_meanwhile} times");
    let reply = format!("*{KEYS}\r\n{}", "$-1\r\n".repeat(KEYS));
    client.expect(reply.as_bytes());
    served(&mut neighbour);
}
