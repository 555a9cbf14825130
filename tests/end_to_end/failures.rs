//! Servers that die, come back, or answer what is no answer.

use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;

#[test]
fn a_server_killed_and_restarted_under_load_costs_only_its_own_keys() {
    let mut servers = Server::redis_many(4);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("hash", "murmur")
        .with("timeout", "2000");
    let proxy = &Proxy::nutcrab(vec![pool]);
    let keys: Vec<Vec<u8>> = (0..64).map(|i| format!("load:{i}").into_bytes()).collect();
    let mut first = proxy.client("alpha");
    for key in &keys {
        first.send(&command(&[b"SET", &key[..], b"x"]));
        assert_eq!(first.reply(), Reply::ok());
    }
    let on_first: Vec<bool> = keys
        .iter()
        .map(|key| {
            let mut direct = servers[0].connect();
            direct.send(&command(&[b"EXISTS", &key[..]]));
            direct.reply() == Reply::Integer(1)
        })
        .collect();
    assert!(on_first.contains(&true) && on_first.contains(&false));

    let stop = AtomicBool::new(false);
    let [errors, rounds] = [(); 2].map(|()| AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (keys, stop, errors, rounds) = (&keys, &stop, &errors, &rounds);
            scope.spawn(move || {
                let mut client = proxy.client("alpha");
                let mut version = 0;
                while !stop.load(Ordering::SeqCst) {
                    version += 1;
                    let mut requests = Vec::new();
                    for key in keys {
                        let key = [&key[..], format!(":{number}").as_bytes()].concat();
                        let value = value::described(&key, version, 50);
                        resp::append(&mut requests, &[b"SET", &key[..], &value]);
                        resp::append(&mut requests, &[b"GET", &key[..]]);
                    }
                    client.send(&requests);
                    for key in keys {
                        let key = [&key[..], format!(":{number}").as_bytes()].concat();
                        let stored = client.reply();
                        match (stored, client.reply()) {
                            (Reply::Status(_), Reply::Bulk(Some(value))) => {
                                assert_eq!(value::check(&key, &value), version);
                            }
                            // Written before the end, read after the new start.
                            (Reply::Status(_), Reply::Bulk(None)) => {}
                            (stored, read) => {
                                let failed =
                                    [&stored, &read].map(|reply| matches!(reply, Reply::Error(_)));
                                assert!(failed.contains(&true), "{stored:?} {read:?}");
                                if let Reply::Bulk(Some(value)) = read {
                                    value::check(&key, &value);
                                }
                                errors.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let settle = |what: &str| {
            let from = rounds.load(Ordering::SeqCst);
            eventually(what, || {
                (rounds.load(Ordering::SeqCst) > from + 40).then_some(())
            });
        };
        settle("rounds before the end of a server");
        assert_eq!(errors.load(Ordering::SeqCst), 0);
        servers[0].kill();
        settle("rounds without one server");
        assert!(errors.load(Ordering::SeqCst) > 0);
        servers[0].restart();
        eventually("no more errors", || {
            let from = errors.load(Ordering::SeqCst);
            settle("rounds after the new start");
            (errors.load(Ordering::SeqCst) == from).then_some(())
        });
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn while_a_server_is_down_the_others_answer() {
    let mut servers = Server::redis_many(2);
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha")
            .servers(&servers)
            .with("hash", "murmur"),
    ]);
    let mut client = proxy.client("alpha");
    let keys: Vec<String> = (0..20).map(|i| format!("key:{i}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&["SET", key, "x"]), Reply::ok());
    }
    let on_first: Vec<bool> = keys
        .iter()
        .map(|key| servers[0].ask(&["EXISTS", key]) == Reply::Integer(1))
        .collect();
    servers[0].kill();
    eventually("the dead server is noticed", || {
        let reply = client.ask(&["GET", &keys[on_first.iter().position(|&on| on)?]]);
        (reply == Reply::Error("ERR Connection refused".into())).then_some(())
    });
    for (key, on_first) in keys.iter().zip(&on_first) {
        match client.ask(&["GET", key]) {
            Reply::Bulk(Some(value)) => assert!(!on_first && value == b"x"),
            Reply::Error(text) => assert!(*on_first && text == "ERR Connection refused", "{text}"),
            other => panic!("{other:?}"),
        }
    }
    // A request over both servers fails as a whole, and the connection stays.
    let words: Vec<&str> = ["MGET"]
        .into_iter()
        .chain(keys.iter().map(String::as_str))
        .collect();
    assert_eq!(
        client.ask(&words),
        Reply::Error("ERR Connection refused".into())
    );
    assert_eq!(client.ask(&["PING"]), Reply::Status("PONG".into()));
    servers[0].restart();
    eventually("the server is used again", || {
        (client.ask(&words) == client.ask(&words) && matches!(client.ask(&words), Reply::Array(_)))
            .then_some(())
    });
}

#[test]
fn a_dead_server_is_ejected_and_returns() {
    let mut servers = Server::redis_many(3);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("hash", "murmur");
    let pool = pool
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "2");
    let proxy = Proxy::nutcrab(vec![pool.with("server_retry_timeout", "1000")]);
    // Several clients, for all workers must come to agree.
    let mut clients: Vec<_> = (0..6).map(|_| proxy.client("alpha")).collect();
    let keys: Vec<String> = (0..60).map(|i| format!("key:{i}")).collect();
    let write = |clients: &mut [Wire]| {
        let mut fine = true;
        for (number, key) in keys.iter().enumerate() {
            let count = clients.len();
            fine &= clients[number % count].ask(&["SET", key, "x"]) == Reply::ok();
        }
        fine
    };
    let held = |server: &Server| match server.ask(&["DBSIZE"]) {
        Reply::Integer(count) => count,
        other => panic!("{other:?}"),
    };
    assert!(write(&mut clients));
    let before: Vec<_> = servers.iter().map(held).collect();
    assert!(before.iter().all(|&count| count > 0) && before.iter().sum::<i64>() == 60);

    servers[1].kill();
    eventually("the server is ejected", || {
        write(&mut clients).then_some(())
    });
    for server in [&servers[0], &servers[2]] {
        assert_eq!(server.ask(&["FLUSHALL"]), Reply::ok());
    }
    // Until the time to try it again comes, its keys are at home elsewhere.
    eventually("all keys on two servers", || {
        write(&mut clients).then_some(())
    });
    assert_eq!(held(&servers[0]) + held(&servers[2]), 60);

    servers[1].restart();
    eventually("the server has its keys again", || {
        for server in &servers {
            assert_eq!(server.ask(&["FLUSHALL"]), Reply::ok());
        }
        let fine = write(&mut clients);
        let after: Vec<_> = servers.iter().map(held).collect();
        (fine && after == before).then_some(())
    });
}

/// Servers close idle connections, and restart; that says nothing about their health.
#[test]
fn an_idle_connection_closed_by_its_server_ejects_nobody() {
    let servers = Server::redis_many(3);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("hash", "murmur");
    let pool = pool
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1");
    let proxy = Proxy::nutcrab(vec![pool.with("server_retry_timeout", "600000")]);
    let keys: Vec<String> = (0..60).map(|i| format!("key:{i}")).collect();
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client("alpha")).collect();
    for round in 0..3 {
        for (number, key) in keys.iter().enumerate() {
            let client = &mut clients[number % 4];
            let reply = client.ask(&["GET", key]);
            let expected = if round == 0 {
                Reply::Bulk(None)
            } else {
                Reply::bulk(key)
            };
            assert_eq!(reply, expected, "round {round}");
            assert_eq!(client.ask(&["SET", key, key]), Reply::ok());
        }
        for server in &servers {
            server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
        // The ends have been seen when the servers' side is gone and a request is served.
        for server in &servers {
            server.wait_for_clients(0);
        }
        for client in &mut clients {
            eventually("requests are served again", || {
                let words: Vec<_> = ["EXISTS"]
                    .into_iter()
                    .chain(keys.iter().map(|k| &k[..]))
                    .collect();
                (client.ask(&words) == Reply::Integer(60)).then_some(())
            });
        }
    }
}

#[test]
fn when_all_servers_are_ejected_requests_fail_at_once() {
    let mut server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let pool = pool
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1");
    let proxy = Proxy::nutcrab(vec![pool.with("server_retry_timeout", "1000")]);
    let mut client = proxy.client("alpha");
    assert_eq!(client.ask(&["SET", "a", "b"]), Reply::ok());
    server.kill();
    for _ in 0..50 {
        client.ask(&["GET", "a"]).error();
    }
    server.restart();
    eventually("it is tried again", || {
        (client.ask(&["GET", "a"]) == Reply::Bulk(None)).then_some(())
    });
}

/// Answers requests for keys that start with `bad` with these bytes, others properly.
fn garbage(bytes: &'static [u8]) -> FakeServer {
    FakeServer::start(move |visit| {
        while let Some(words) = visit.request() {
            let reply = if words[1].starts_with(b"bad") {
                bytes
            } else {
                b"$2\r\nok\r\n"
            };
            if visit.wire.try_send(reply).is_err() {
                return;
            }
        }
    })
}

#[test]
fn garbage_from_a_server_costs_only_its_own_connection() {
    let replies: &[&[u8]] = &[
        b"garbage\r\n",
        b"\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$3\r\nabcd\r\n",
        b"*x\r\n",
        b"*2\r\n:1\r\nz\r\n",
        b":1.5\r\n",
        b"_\r\n",
        b"\x00\x01\x02\x03",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ];
    let good = Server::redis();
    for reply in replies {
        let bad = garbage(reply);
        let pools = vec![
            Pool::redis("alpha")
                .at("s1", &bad.address())
                .with("timeout", "2000"),
            Pool::redis("beta").servers(slice::from_ref(&good)),
        ];
        let proxy = Proxy::nutcrab(pools);
        let mut neighbour = proxy.client("beta");
        neighbour.check(&pipeline(&["SET a b"]), b"+OK\r\n");
        let mut client = proxy.client("alpha");
        assert_eq!(
            client.ask(&["GET", "fine"]),
            Reply::bulk("ok"),
            "{}",
            shown(reply)
        );
        let error = client.ask(&["GET", "bad"]).error();
        assert_eq!(error, "ERR Invalid argument", "{}", shown(reply));
        assert_eq!(
            client.ask(&["GET", "fine"]),
            Reply::bulk("ok"),
            "{}",
            shown(reply)
        );
        neighbour.check(&pipeline(&["GET a"]), b"$1\r\nb\r\n");
        assert!(
            bad.accepted() >= 2,
            "{}: the connection was used again",
            shown(reply)
        );
    }
}

#[test]
fn a_reply_too_many_is_never_taken_for_another() {
    let server = FakeServer::start(|visit| {
        while let Some(words) = visit.request() {
            let mut reply = fake::bulk(&value::described(&words[1], 1, 40));
            if words[1] == b"double" {
                reply.extend(fake::bulk(b"nobody asked for this"));
            }
            if visit.wire.try_send(&reply).is_err() {
                return;
            }
        }
    });
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").at("s1", &server.address())]);
    let mut client = proxy.client("alpha");
    for _ in 0..20 {
        for key in ["one", "double", "two", "three"] {
            // What shares the connection with the reply too many may fail, but not be wrong.
            match client.ask(&["GET", key]) {
                Reply::Bulk(Some(value)) => assert_eq!(value::check(key.as_bytes(), &value), 1),
                Reply::Error(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_server_that_closes_in_the_middle_of_a_reply_gives_an_error() {
    let server = FakeServer::start(|visit| {
        while let Some(words) = visit.request() {
            match words[1].as_slice() {
                b"half" => {
                    visit.wire.send(b"$10\r\nabc");
                    return visit.wire.wait_until_taken();
                }
                _ => visit.wire.send(b"$2\r\nok\r\n"),
            }
        }
    });
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").at("s1", &server.address())]);
    let mut client = proxy.client("alpha");
    client.send(&pipeline(&["GET fine", "GET half", "GET fine"]));
    assert_eq!(client.reply(), Reply::bulk("ok"));
    // Nothing of the half may look like a reply.
    assert_eq!(client.reply().error(), "ERR unknown");
    client.reply();
    assert_eq!(client.ask(&["GET", "fine"]), Reply::bulk("ok"));
}

#[test]
fn a_loading_server_is_passed_on_in_its_own_words() {
    let server =
        FakeServer::answering(|_| b"-LOADING Redis is loading the dataset in memory\r\n".to_vec());
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").at("s1", &server.address())]);
    let mut client = proxy.client("alpha");
    let reply = client.ask(&["GET", "a"]);
    assert_eq!(
        reply,
        Reply::Error("LOADING Redis is loading the dataset in memory".into())
    );
    assert_eq!(server.accepted(), 1);
}

/// A server that is gone is not asked again and again without a pause.
#[test]
fn a_dead_server_is_answered_for_at_once() {
    let nobody = Port::free();
    let pool = Pool::redis("alpha").at("s1", &Address::tcp(nobody.number()));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.ask(&["GET", "a"]).error(), "ERR Connection refused");
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}
