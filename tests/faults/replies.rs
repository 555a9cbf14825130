//! Replies that come late, twice, in pieces, or not at all: nobody is given what is not his.

use std::slice;
use std::time::Duration;

use crate::chaos::{Chaos, Mischief};
use crate::support::value::{check, described};
use crate::support::*;

/// A fake that answers `GET key` with a described value after what `before` says for the key.
fn echo(before: impl Fn(&mut fake::Visit, &[u8]) -> bool + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |visit| {
        while let Some(words) = visit.request() {
            let key = words.get(1).cloned().unwrap_or_default();
            if !before(visit, &key) {
                return;
            }
            let reply = fake::bulk(&described(&key, 1, 60));
            if visit.wire.try_send(&reply).is_err() {
                return;
            }
        }
    })
}

#[test]
fn r2_clients_that_vanish_leave_nothing_for_those_that_follow() {
    let server = Server::redis();
    let chaos = Chaos::before(server.address());
    chaos.does(Mischief {
        delay: Duration::from_millis(2),
        ..Mischief::default()
    });
    let proxy = Proxy::nutcrab_of_one_worker(vec![Pool::redis("alpha").at("s", &chaos.address())]);
    let mut random = Random::new(7);
    let keys: Vec<Vec<u8>> = (0..50).map(|i| format!("key:{i}").into_bytes()).collect();
    let mut keeper = proxy.client("alpha");
    for key in &keys {
        keeper.send(&command(&[b"SET", &key[..], &described(key, 1, 200)]));
        assert_eq!(keeper.reply(), Reply::ok());
    }
    for round in 0..150 {
        // It asks, and is gone before, amid or behind the replies; the descriptor is the next one's.
        let mut vanishing = proxy.client("alpha");
        let asked: Vec<u8> = (0..10)
            .flat_map(|_| command(&[b"GET", &keys[random.below(50)][..]]))
            .collect();
        vanishing.send(&asked[..asked.len() - random.below(20)]);
        if round % 3 == 0 {
            let _ = vanishing.read_until(|got| !got.is_empty());
        }
        drop(vanishing);
        let mut next = proxy.client("alpha");
        let key = &keys[random.below(50)];
        next.send(&command(&[b"GET", &key[..]]));
        let Reply::Bulk(Some(value)) = next.reply() else {
            panic!("no value");
        };
        check(key, &value);
    }
}

#[test]
fn r3_an_error_before_the_end_of_an_upload_belongs_to_it_alone() {
    let server = Server::memcached();
    let proxy = Proxy::nutcrab(vec![
        Pool::memcache("beta").servers(slice::from_ref(&server)),
    ]);
    let mut client = proxy.client("beta");
    for size in [1_100_000, 3_000_000, 40_000_000] {
        let head = format!("set large 0 0 {size}\r\n");
        let upload = [head.as_bytes(), &vec![b'x'; size], b"\r\n"].concat();
        let reply = client.send_while(&upload, Wire::line);
        let text = String::from_utf8_lossy(&reply).into_owned();
        assert!(text.starts_with("SERVER_ERROR"), "{size}: {text}");
        client.check(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
        client.check(b"get a large\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n");
    }
}

#[test]
fn r5_a_server_that_swallows_a_reply_costs_only_what_it_owes() {
    let server = echo(|visit, key| {
        if key == b"swallow" {
            visit.wait_closed();
        }
        key != b"swallow"
    });
    let pool = Pool::redis("alpha")
        .at("s", &server.address())
        .with("timeout", "1000");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut client = proxy.client("alpha");
    client.send(&pipeline(&["GET a", "GET swallow", "GET b"]));
    check(b"a", &client.reply().bytes());
    client.reply().error();
    client.reply().error();
    eventually("a new connection is used", || {
        match client.ask(&["GET", "c"]) {
            Reply::Bulk(Some(value)) => Some(check(b"c", &value)),
            _ => None,
        }
    });
}

#[test]
fn r6_a_reply_cut_anywhere_is_never_spliced() {
    const REPLIES: [&[u8]; 5] = [
        b"+a status line\r\n",
        b"-ERR an error\r\n",
        b":1234567\r\n",
        b"$10\r\n0123456789\r\n",
        b"*3\r\n$3\r\nabc\r\n:12\r\n*1\r\n$-1\r\n",
    ];
    // `GET cut:<which>:<at>` is answered with so much of that reply, and the end.
    let server = FakeServer::start(|visit| {
        while let Some(words) = visit.request() {
            let key = String::from_utf8_lossy(&words[1]).into_owned();
            let numbers: Vec<usize> = key
                .split(':')
                .filter_map(|word| word.parse().ok())
                .collect();
            let [which, at] = numbers[..] else {
                visit.wire.send(&fake::bulk(&described(&words[1], 1, 60)));
                continue;
            };
            visit.wire.send(&REPLIES[which][..at]);
            return;
        }
    });
    let proxy = Proxy::nutcrab_of_one_worker(vec![Pool::redis("alpha").at("s", &server.address())]);
    let mut neighbour = proxy.client("alpha");
    for (which, reply) in REPLIES.iter().enumerate() {
        for at in 0..reply.len() {
            let mut client = proxy.client("alpha");
            client.send(&pipeline(&[&format!("GET cut:{which}:{at}")]));
            let error = client.reply().error();
            assert!(error.starts_with("ERR "), "{which}, {at}: {error}");
            // Who shares the connection may be told of its end, but never given the pieces.
            match neighbour.ask(&["GET", "whole"]) {
                Reply::Bulk(Some(value)) => drop(check(b"whole", &value)),
                Reply::Error(_) => {}
                other => panic!("{which}, {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn r8_replies_of_a_slow_and_a_fast_server_keep_their_order() {
    let slow = echo(|_, _| {
        std::thread::sleep(Duration::from_millis(3));
        true
    });
    let fast = echo(|_, _| true);
    let pool = Pool::redis("alpha").with("distribution", "modula");
    let pool = pool.at("slow", &slow.address()).at("fast", &fast.address());
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    let keys: Vec<String> = (0..200).map(|i| format!("key:{i}")).collect();
    let lines: Vec<String> = keys.iter().map(|key| format!("GET {key}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    client.send(&pipeline(&lines));
    for key in &keys {
        check(key.as_bytes(), &client.reply().bytes());
    }
    assert!(
        slow.accepted() > 0 && fast.accepted() > 0,
        "all keys on one server"
    );
}

/// What would change the connection that all share must not reach it.
#[test]
fn r9_replies_cannot_be_turned_off_for_others() {
    let server = Server::redis();
    let proxy =
        Proxy::nutcrab_of_one_worker(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut neighbour = proxy.client("alpha");
    assert_eq!(neighbour.ask(&["SET", "a", "b"]), Reply::ok());
    for (asked, answered) in [
        (
            "CLIENT REPLY OFF\r\nGET a\r\nGET a\r\nCLIENT REPLY ON\r\n",
            "+OK\r\n",
        ),
        ("CLIENT REPLY SKIP\r\nGET a\r\nGET a\r\n", "$1\r\nb\r\n"),
    ] {
        let mut client = proxy.client("alpha");
        client.send(asked.as_bytes());
        client.expect(answered.as_bytes());
        for _ in 0..3 {
            assert_eq!(neighbour.ask(&["GET", "a"]), Reply::bulk("b"));
        }
    }
}

#[test]
fn r11_a_pushed_frame_is_never_counted_as_a_reply() {
    let server = echo(|visit, key| {
        if key == b"push" {
            visit.wire.send(b">2\r\n+message\r\n$6\r\npushed\r\n");
        }
        true
    });
    let proxy = Proxy::nutcrab_of_one_worker(vec![Pool::redis("alpha").at("s", &server.address())]);
    let mut client = proxy.client("alpha");
    for _ in 0..20 {
        for key in ["one", "push", "two"] {
            match client.ask(&["GET", key]) {
                Reply::Bulk(Some(value)) => drop(check(key.as_bytes(), &value)),
                Reply::Error(_) => {}
                other => panic!("{key}: {other:?}"),
            }
        }
    }
}

#[test]
fn r12_a_silent_write_that_fails_shifts_no_reply() {
    let server = Server::memcached();
    let proxy = Proxy::nutcrab_of_one_worker(vec![
        Pool::memcache("beta").servers(slice::from_ref(&server)),
    ]);
    let mut client = proxy.client("beta");
    let mut neighbour = proxy.client("beta");
    neighbour.check(b"set mine 0 0 4\r\nmine\r\n", b"STORED\r\n");
    let long = "k".repeat(251);
    let large = vec![b'x'; 1_200_000];
    let cases: [Vec<u8>; 5] = [
        format!("set {long} 0 0 1 noreply\r\nx\r\n").into_bytes(),
        [b"set big 0 0 1200000 noreply\r\n", &large[..], b"\r\n"].concat(),
        b"incr mine 1 noreply\r\n".to_vec(),
        b"cas nothing 0 0 1 7 noreply\r\nx\r\n".to_vec(),
        b"delete nothing noreply\r\n".to_vec(),
    ];
    for case in cases {
        client.send(&case);
        // Whatever the server thinks of it, the next replies are those to the next requests.
        for number in 0..3 {
            let key = format!("next{number}");
            client.check(
                format!("set {key} 0 0 1\r\ny\r\n").as_bytes(),
                b"STORED\r\n",
            );
            let expected = format!("VALUE {key} 0 1\r\ny\r\nEND\r\n");
            client.check(format!("get {key}\r\n").as_bytes(), expected.as_bytes());
            neighbour.check(b"get mine\r\n", b"VALUE mine 0 4\r\nmine\r\nEND\r\n");
        }
    }
}

#[test]
fn r15_a_request_over_a_dead_server_fails_whole_and_keeps_its_place() {
    let mut servers = Server::redis_many(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("distribution", "modula");
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    let keys: Vec<String> = (0..8).map(|i| format!("key:{}", i % 5)).collect();
    for key in &keys {
        client.ask(&["SET", key, key]);
    }
    let words: Vec<&str> = ["MGET"]
        .into_iter()
        .chain(keys.iter().map(String::as_str))
        .collect();
    let expected = Reply::Array(Some(keys.iter().map(Reply::bulk).collect()));
    assert_eq!(client.ask(&words), expected, "with keys that come twice");
    servers[1].kill();
    for _ in 0..20 {
        client.send(&[command(&words), pipeline(&["PING"]), command(&words)].concat());
        client.reply().error();
        assert_eq!(client.reply(), Reply::Status("PONG".into()));
        client.reply().error();
    }
}
