//! Servers that die, hang, flap, lie, or change while they are used.

use std::slice;
use std::time::{Duration, Instant};

use crate::chaos::Chaos;
use crate::support::value::{check, described};
use crate::support::*;

#[test]
fn b1_a_killed_server_costs_exactly_one_error_for_each_request_under_way() {
    let mut server = Server::redis();
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .with("timeout", "2000");
    let proxy = Proxy::nutcrab(vec![pool]);
    for round in 0..crate::rounds(4, 100) {
        let mut client = proxy.client("alpha");
        eventually("the server is used", || {
            (client.ask(&["SET", "a", "b"]) == Reply::ok()).then_some(())
        });
        // A thousand requests, the kill among them; the count shows whether one is lost or doubled.
        let asked = pipeline(&["GET a"]).repeat(1000);
        let errors = client.send_while(&asked, |client| {
            let mut errors = 0;
            for number in 0..1000 {
                if number == 100 + round {
                    server.kill();
                }
                match client.reply() {
                    Reply::Bulk(Some(value)) => assert_eq!(value, b"b"),
                    Reply::Error(_) => errors += 1,
                    other => panic!("{other:?}"),
                }
            }
            errors
        });
        client.ask(&["GET", "a"]).error();
        assert!(client.unread().is_empty() && errors < 1000);
        server.restart();
    }
}

#[test]
fn b2_a_hanging_server_is_answered_for_at_the_timeout() {
    let mut server = Server::redis();
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .with("timeout", "400");
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client("alpha")).collect();
    for client in &mut clients {
        eventually("the server is used", || {
            (client.ask(&["SET", "a", "b"]) == Reply::ok()).then_some(())
        });
    }
    server.process().signal("STOP");
    for client in &mut clients {
        let begin = Instant::now();
        assert_eq!(
            client.ask(&["GET", "a"]).error(),
            "ERR Connection timed out"
        );
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(395), "{took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    server.process().signal("CONT");
    for client in &mut clients {
        eventually("the server is used again", || {
            (client.ask(&["GET", "a"]) == Reply::bulk("b")).then_some(())
        });
    }
}

#[test]
fn b4_a_slow_server_slows_only_its_own_keys() {
    let (slow, fast) = (Server::redis(), Server::redis());
    let chaos = Chaos::before(slow.address());
    let pool = Pool::redis("alpha").with("distribution", "modula");
    let pool = pool.at("slow", &chaos.address()).at("fast", fast.address());
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut client = proxy.client("alpha");
    let keys: Vec<String> = (0..20).map(|i| format!("key:{i}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&["SET", key, "x"]), Reply::ok());
    }
    let on_fast = |key: &&String| fast.ask(&["EXISTS", key]) == Reply::Integer(1);
    let (quick, late): (Vec<&String>, Vec<&String>) = keys.iter().partition(on_fast);
    chaos.does(crate::chaos::Mischief {
        delay: Duration::from_millis(300),
        ..Default::default()
    });
    let mut waiting = proxy.client("alpha");
    let begin = Instant::now();
    waiting.send(&command(&["GET", late[0]]));
    for key in &quick {
        assert_eq!(client.ask(&["GET", key]), Reply::bulk("x"));
    }
    let done = begin.elapsed();
    assert_eq!(waiting.reply(), Reply::bulk("x"));
    // The keys of the fast server were all read while the slow one had not answered once.
    assert!(
        begin.elapsed() >= Duration::from_millis(590) && done < begin.elapsed(),
        "{done:?}"
    );
}

#[test]
fn b8_a_connection_closed_while_idle_costs_no_request() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut client = proxy.client("alpha");
    assert_eq!(client.ask(&["SET", "a", "b"]), Reply::ok());
    for _ in 0..20 {
        server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        server.wait_for_clients(0);
        // The end of the idle connection is there before the request is; if the proxy has not seen it
        // yet, it sees both in one turn.
        let reply = eventually("the request is served", || {
            match client.ask(&["GET", "a"]) {
                Reply::Error(_) => None,
                reply => Some(reply),
            }
        });
        assert_eq!(reply, Reply::bulk("b"));
    }
}

#[test]
fn b10_with_all_servers_down_errors_come_at_once_and_the_log_stays_short() {
    let mut servers = Server::redis_many(2);
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    servers.iter_mut().for_each(Server::kill);
    let mut client = proxy.client("alpha");
    let begin = Instant::now();
    let count = 10_000;
    let asked: Vec<u8> = (0..count)
        .flat_map(|i| pipeline(&[&format!("GET key:{i}")]))
        .collect();
    client.send_while(&asked, |client| {
        for _ in 0..count {
            client.reply().error();
        }
    });
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let lines = proxy.process().log().lines().count();
    assert!(lines < 200, "{lines} lines for {count} requests");
}

#[test]
fn b13_a_servers_own_errors_are_passed_on_as_they_are() {
    const ERRORS: [&str; 8] = [
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "BUSY Redis is busy running a script.",
        "NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ];
    let server = FakeServer::answering(|words| {
        let which: usize = String::from_utf8_lossy(&words[1]).parse().unwrap_or(0);
        format!("-{}\r\n", ERRORS[which]).into_bytes()
    });
    let proxy = Proxy::nutcrab_of_one_worker(vec![Pool::redis("alpha").at("s", &server.address())]);
    let mut client = proxy.client("alpha");
    for (which, error) in ERRORS.iter().enumerate() {
        for command in ["GET", "LPUSH"] {
            let words = [command, &which.to_string(), "x"];
            let words = &words[..if command == "GET" { 2 } else { 3 }];
            assert_eq!(client.ask(words), Reply::Error((*error).into()));
        }
    }
    assert_eq!(server.accepted(), 1, "an error is no reason to close");
}

#[test]
fn b18_a_changed_password_is_never_the_clients_fault() {
    let server = Server::redis_with(&["--requirepass", "first"]);
    let locked = |wire: &mut Wire, password: &str, words: &[&str]| {
        wire.send(&[command(&["AUTH", password]), command(words)].concat());
        assert_eq!(wire.reply(), Reply::ok());
        wire.reply()
    };
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool.with("redis_auth", "first")]);
    let mut client = proxy.client("alpha");
    assert_eq!(
        locked(&mut client, "first", &["SET", "a", "b"]),
        Reply::ok()
    );
    let mut direct = server.connect();
    assert_eq!(
        locked(
            &mut direct,
            "first",
            &["CONFIG", "SET", "requirepass", "second"]
        ),
        Reply::ok()
    );
    direct.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("the pool is told that its password is wrong", || {
        let error = client.ask(&["GET", "a"]).error();
        assert!(
            !error.starts_with("WRONGPASS") && !error.starts_with("NOAUTH"),
            "{error}"
        );
        error.contains("password").then_some(())
    });
    assert_eq!(
        direct.ask(&["CONFIG", "SET", "requirepass", "first"]),
        Reply::ok()
    );
    eventually("the old password is good again", || {
        (client.ask(&["GET", "a"]) == Reply::bulk("b")).then_some(())
    });
}

#[test]
fn b21_a_hostile_server_costs_its_connection_and_no_memory() {
    let hostile: [Vec<u8>; 6] = [
        b"*999999999\r\n$999999999\r\nx".to_vec(),
        b"*2\r\n".repeat(200_000),
        [&b"+"[..], &vec![b'x'; 3_000_000]].concat(),
        b"$99999999999999999999\r\n".to_vec(),
        b"*-5\r\n".to_vec(),
        b"\r\n".repeat(100_000),
    ];
    let count = hostile.len();
    let server = FakeServer::start(move |visit| {
        while let Some(words) = visit.request() {
            let key = String::from_utf8_lossy(&words[1]).into_owned();
            let Ok(which) = key.parse::<usize>() else {
                visit.wire.send(&fake::bulk(&described(&words[1], 1, 60)));
                continue;
            };
            // It ends when the proxy has had enough, and waits where that waits.
            let _ = visit.wire.try_send(&hostile[which]);
        }
    });
    let pool = Pool::redis("alpha")
        .at("s", &server.address())
        .with("timeout", "500");
    let mut proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let before = proxy.process().resident_bytes();
    let mut client = proxy.client("alpha");
    for which in 0..count {
        // An error, or the end of a client that was given a part already.
        client.send(&command(&["GET", &which.to_string()]));
        let is_error = |got: &[u8]| got.starts_with(b"-") && got.ends_with(b"\r\n");
        if !is_error(&client.read_until(is_error).0) {
            client = proxy.client("alpha");
        }
        eventually("others are served", || match client.ask(&["GET", "fine"]) {
            Reply::Bulk(Some(value)) => Some(check(b"fine", &value)),
            _ => None,
        });
    }
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
}

#[test]
fn b23_a_unix_socket_that_is_made_again_is_found_again() {
    let mut server = Server::redis_unix();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut client = proxy.client("alpha");
    for _ in 0..3 {
        eventually("the server is used", || {
            (client.ask(&["SET", "a", "b"]) == Reply::ok()).then_some(())
        });
        server.kill();
        if let Address::Unix(path) = server.address() {
            let _ = std::fs::remove_file(path);
        }
        eventually("the end is noticed", || {
            matches!(client.ask(&["GET", "a"]), Reply::Error(_)).then_some(())
        });
        server.restart();
    }
}
