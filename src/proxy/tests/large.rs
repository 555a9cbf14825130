//! Large messages, slow readers, and what they may cost others.

use super::*;

fn limits() -> Limits {
    Limits {
        window: 4096,
        cut_through: 1024,
        large_message: 20_000,
        spares: 1,
        upload_proof: 0,
        ..Limits::default()
    }
}

/// A SET with a value of `len` bytes, cut where the value begins.
fn set(key: &str, len: usize) -> (String, String) {
    let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${len}\r\n", key.len());
    (head, "v".repeat(len) + "\r\n")
}

#[test]
fn a_request_reaches_a_shared_connection_only_when_it_is_whole() {
    let limits = Limits {
        large_message: 1 << 20,
        ..limits()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let (head, value) = set("k", 100_000);
    rig.receive(client, &head);
    rig.receive(client, &value[..50_000]);
    assert_eq!(rig.take(rig.link(0)), "");
    rig.receive(client, value[50_000..].to_string() + &ask("GET k"));
    assert_eq!(rig.take(rig.link(0)), head + &value + &ask("GET k"));
    assert_eq!(rig.links.len(), 1);
}

#[test]
fn a_large_request_takes_a_connection_of_its_own_and_those_behind_it_wait() {
    let (mut rig, client) = ready(pool(1), limits());
    let shared = rig.link(0);
    let (head, value) = set("k", 100_000);
    rig.receive(client, ask("GET before") + &head + &value[..1000]);
    assert_eq!(
        rig.links.len(),
        1,
        "not before what was asked before is answered"
    );
    rig.receive(shared, ":1\r\n");
    rig.establish();
    let own = rig.link(0);
    assert_ne!(shared, own);
    rig.receive(client, &value[1000..]);
    rig.receive(client, ask("GET k"));
    let sent = rig.take(own);
    assert_eq!(sent.len(), head.len() + value.len());
    assert_eq!(
        rig.take(shared),
        ask("GET before"),
        "the read must not overtake the write"
    );
    rig.receive(own, "+OK\r\n");
    assert_eq!(rig.take(client), ":1\r\n+OK\r\n");
    rig.establish();
    let detour = rig.link(0);
    assert!(![own, shared].contains(&detour), "it will be large, too");
    assert_eq!(rig.take(detour), ask("GET k"));
}

#[test]
fn a_large_request_may_be_the_only_one_outstanding() {
    let limits = Limits {
        outstanding: 1,
        ..limits()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let (head, value) = set("k", 100_000);
    rig.receive(client, head.clone() + &value[..30_000]);
    rig.establish();
    assert!(rig.proxy.wants_read(client), "its rest is not another one");
    rig.receive(client, &value[30_000..]);
    let own = rig.link(0);
    assert_eq!(rig.take(own).len(), head.len() + value.len());
    rig.receive(own, "+OK\r\n");
    assert_eq!(rig.take(client), "+OK\r\n");
}

#[test]
fn a_large_request_without_a_reply_holds_back_what_comes_behind_it() {
    let config = Pool {
        protocol: Protocol::Memcache,
        ..pool(1)
    };
    let mut rig = Rig::with_limits(config, limits());
    let client = rig.client();
    let value = "v".repeat(100_000);
    rig.receive(client, "set k 0 0 100000 noreply\r\n");
    rig.receive(client, &value[..20_000]);
    rig.establish();
    let own = rig.link(0);
    rig.receive(client, value[20_000..].to_string() + "\r\nget k\r\n");
    assert_eq!(rig.links.len(), 1, "the read must not overtake the write");
    let sent = rig.take(own);
    assert!(sent.ends_with("vvv\r\nversion\r\n"), "{}", sent.len());
    rig.receive(own, "VERSION 1.6.18\r\n");
    assert_eq!(rig.take(client), "");
    rig.establish();
    let detour = rig.link(0);
    assert_eq!(rig.take(detour), "get k\r\n");
    rig.receive(detour, "END\r\n");
    assert_eq!(rig.take(client), "END\r\n");
}

#[test]
fn a_large_request_that_stops_half_way_costs_only_its_own_connection() {
    let (mut rig, client) = ready(pool(1), limits());
    let (head, value) = set("k", 100_000);
    rig.receive(client, head + &value[..30_000]);
    rig.establish();
    let own = rig.link(0);
    rig.proxy.failed(client, Cause::Reset);
    rig.settle();
    assert!(rig.is_closed(own));
    assert_eq!(rig.failures, [], "the server has done nothing wrong");
}

#[test]
fn a_stalled_upload_is_given_up() {
    let (mut rig, client) = ready(pool(1), limits());
    let (head, value) = set("k", 100_000);
    rig.receive(client, head + &value[..30_000]);
    rig.establish();
    rig.pass(Duration::from_secs(20));
    rig.receive(client, "v");
    rig.pass(Duration::from_secs(20));
    assert!(!rig.is_closed(client));
    rig.pass(Duration::from_secs(30));
    assert!(rig.is_closed(client) && rig.is_closed(rig.link(0)));
}

#[test]
fn clients_take_turns_on_the_spare_connections() {
    let (mut rig, first) = ready(pool(1), limits());
    let second = rig.client();
    let (head, value) = set("k", 100_000);
    rig.receive(first, &head);
    rig.receive(second, &head);
    rig.establish();
    assert_eq!(rig.links.len(), 2, "one shared, one spare");
    let own = rig.link(0);
    rig.receive(first, &value);
    rig.receive(own, "+OK\r\n");
    rig.receive(second, &value);
    rig.receive(own, "+OK\r\n");
    assert_eq!(
        (rig.take(first), rig.take(second)),
        ("+OK\r\n".into(), "+OK\r\n".into())
    );
    assert_eq!(rig.take(own), (head + &value).repeat(2));
}

#[test]
fn a_server_that_answers_a_large_request_early_is_heard() {
    let (mut rig, client) = ready(pool(1), limits());
    let (head, value) = set("k", 100_000);
    rig.receive(client, head + &value[..30_000]);
    rig.establish();
    let own = rig.link(0);
    rig.receive(own, "-ERR too large\r\n");
    assert_eq!(rig.take(client), "-ERR too large\r\n");
    assert!(rig.is_closed(own), "it is in the middle of a request");
    rig.receive(client, value[30_000..].to_string() + &ask("PING"));
    assert_eq!(rig.take(client), "+PONG\r\n");
}

#[test]
fn a_large_request_that_is_malformed_inside_closes_its_client() {
    let (mut rig, client) = ready(pool(1), limits());
    let head = "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n".to_string();
    rig.receive(client, head + &"v".repeat(30_000));
    rig.establish();
    rig.receive(client, "v".repeat(70_000) + "\r\n$-1\r\n");
    assert_eq!(
        rig.take(client),
        "-ERR Protocol error: invalid bulk length\r\n"
    );
    assert!(rig.is_closed(rig.link(0)));
    rig.proxy.ended(client);
    rig.settle();
    assert!(rig.is_closed(client));
}

#[test]
fn a_large_reply_is_passed_on_as_it_comes() {
    let (mut rig, client) = ready(pool(1), limits());
    rig.receive(client, ask("GET k"));
    rig.receive(rig.link(0), "$100000\r\n");
    let mut passed = rig.take(client);
    for _ in 0..100 {
        rig.receive(rig.link(0), "v".repeat(1000));
        passed += &rig.take(client);
    }
    assert!(passed.len() > 99_000, "{} bytes", passed.len());
    rig.receive(rig.link(0), "\r\n");
    passed += &rig.take(client);
    assert_eq!(passed, format!("$100000\r\n{}\r\n", "v".repeat(100_000)));
}

#[test]
fn others_go_around_a_connection_that_carries_a_large_reply() {
    let (mut rig, client) = ready(pool(1), limits());
    let other = rig.client();
    rig.receive(client, ask("GET k"));
    rig.receive(rig.link(0), "$100000\r\nv");
    let shared = rig.link(0);
    rig.receive(client, ask("GET own"));
    rig.receive(other, ask("SET x 1"));
    rig.establish();
    let spare = rig.link(0);
    assert_ne!(shared, spare);
    rig.receive(other, ask("GET x"));
    assert_eq!(
        rig.take(spare),
        ask("SET x 1") + &ask("GET x"),
        "in order on one connection"
    );
    rig.receive(spare, "+OK\r\n:1\r\n");
    assert_eq!(rig.take(other), "+OK\r\n:1\r\n");
    assert_eq!(rig.take(shared), ask("GET k") + &ask("GET own"));
}

#[test]
fn a_key_known_to_be_large_is_asked_for_where_nobody_else_waits() {
    let (mut rig, client) = ready(pool(1), limits());
    let other = rig.client();
    rig.receive(client, ask("GET k"));
    let shared = rig.link(0);
    rig.receive(shared, "$100000\r\n");
    for _ in 0..100 {
        rig.receive(shared, "v".repeat(1000));
        rig.take(client);
    }
    rig.receive(shared, "\r\n");
    rig.take(client);
    rig.take(shared);
    // Nobody waits on the shared connection any more, and it carries nothing.
    rig.receive(other, ask("GET k"));
    rig.receive(client, ask("GET small"));
    rig.establish();
    let spare = rig.link(0);
    assert_ne!(shared, spare);
    rig.receive(other, ask("SET small 1"));
    assert_eq!(
        rig.take(spare),
        ask("GET k") + &ask("SET small 1"),
        "in order on one connection"
    );
    // Who waits on the shared connection stays there.
    rig.receive(client, ask("GET k"));
    assert_eq!(rig.take(shared), ask("GET small") + &ask("GET k"));
    // After a while it is a key like others.
    rig.receive(shared, ":1\r\n:2\r\n");
    rig.receive(spare, ":3\r\n+OK\r\n");
    rig.pass(Duration::from_secs(601));
    rig.receive(client, ask("GET k"));
    assert_eq!(rig.take(shared), ask("GET k"));
}

#[test]
fn a_key_that_was_written_large_is_known_to_be_large() {
    let (mut rig, writer) = ready(pool(1), limits());
    let other = rig.client();
    rig.receive(other, ask("GET small"));
    let shared = rig.link(0);
    let (head, value) = set("k", 100_000);
    rig.receive(writer, &head);
    rig.establish();
    let own = rig.link(0);
    rig.receive(writer, &value);
    rig.receive(own, "+OK\r\n");
    rig.take(own);
    let reader = rig.client();
    rig.receive(reader, ask("GET k"));
    rig.establish();
    let detour = rig.link(0);
    assert!(![own, shared].contains(&detour));
    assert_eq!(rig.take(detour), ask("GET k"));
    assert_eq!(rig.take(shared), ask("GET small"));
}

#[test]
fn a_connection_that_is_stopped_again_before_it_is_woken_is_woken_again() {
    let (mut rig, client) = ready(pool(1), limits());
    let link = rig.link(0);
    rig.full.push(client);
    rig.receive(client, ask("GET a"));
    rig.receive(link, "$9000\r\n".to_string() + &"v".repeat(5000));
    rig.receive(link, "v");
    assert!(!rig.proxy.wants_read(link), "the window is full");
    // All within one turn: the client reads, more comes and fills its window, and it reads again.
    rig.proxy.sent(client, 4000);
    rig.proxy
        .received(link, Input::copied("v".repeat(3900).as_bytes()));
    rig.proxy.received(link, Input::copied(b"v"));
    rig.proxy.sent(client, 4000);
    rig.settle();
    assert!(rig.proxy.wants_read(link));
}

#[test]
fn what_a_client_asks_that_does_not_read_is_kept() {
    let (mut rig, slow) = ready(pool(1), limits());
    rig.full.push(slow);
    rig.receive(slow, ask("PING").repeat(5_000));
    assert!(rig.proxy.wants_read(slow), "it may want to write all first");
    rig.receive(slow, ask("PING").repeat(5_000));
    let waiting = rig.proxy.output(slow).expect("alive").len();
    assert!(waiting < 4096 + 16, "{waiting} bytes");
    rig.full.clear();
    rig.proxy.sent(slow, waiting);
    rig.settle();
    let rest = rig.take(slow);
    assert_eq!((waiting + rest.len()) / 7, 10_000);
    assert!(rig.proxy.wants_read(slow));
}

#[test]
fn what_a_client_had_asked_when_it_stopped_reading_holds_nobody_up() {
    let (mut rig, slow) = ready(pool(1), limits());
    let other = rig.client();
    for _ in 0..50 {
        // It is known for short replies.
        rig.receive(slow, ask("GET a"));
        rig.receive(rig.link(0), "$3\r\nabc\r\n");
    }
    rig.full.push(slow);
    rig.receive(slow, ask("GET a").repeat(1000));
    rig.receive(other, ask("GET b"));
    rig.receive(rig.link(0), "$3\r\nabc\r\n".repeat(1000) + ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    let waiting = rig.proxy.output(slow).expect("alive").len();
    assert_eq!(waiting, 9000, "more than the window");
    rig.take(rig.link(0));
    rig.receive(slow, ask("GET a"));
    assert_eq!(rig.take(rig.link(0)), "");
    assert!(!rig.is_closed(slow));
}

#[test]
fn a_client_that_never_rests_is_held_to_its_share_only_while_there_is_a_crowd() {
    let limits = Limits {
        crowd: 100,
        share: 10,
        ..limits()
    };
    let (mut rig, first) = ready(pool(1), limits);
    rig.receive(first, ask("GET a").repeat(100));
    let last = rig.client();
    rig.receive(last, ask("GET b").repeat(300));
    let asked = ask("GET a").repeat(100) + &ask("GET b").repeat(10);
    assert_eq!(rig.take(rig.link(0)), asked);
    // One of its requests is unanswered all the time.
    rig.receive(rig.link(0), ":1\r\n".repeat(109));
    assert_eq!(rig.take(rig.link(0)), ask("GET b").repeat(290));
}

#[test]
fn clients_that_crowd_a_server_have_a_small_share_of_its_queue() {
    let limits = Limits {
        crowd: 100,
        share: 10,
        ..limits()
    };
    let (mut rig, first) = ready(pool(1), limits);
    let mut clients = vec![first];
    clients.extend((0..20).map(|_| rig.client()));
    for &client in &clients {
        rig.receive(client, ask("GET a").repeat(300));
    }
    let waiting = rig.take(rig.link(0)).matches("GET").count();
    // The first has what a client may after one short reply, since nobody else was there, the others ten
    // each.
    assert_eq!(waiting, 147 + 20 * 10);
    let last = rig.client();
    rig.receive(last, ask("GET b"));
    assert_eq!(rig.take(rig.link(0)), ask("GET b"));
    rig.receive(rig.link(0), ":1\r\n".repeat(waiting) + ":2\r\n");
    assert_eq!(rig.take(last), ":2\r\n");
    // All are served to the end.
    loop {
        let asked = rig.take(rig.link(0)).matches("GET").count();
        if asked == 0 {
            break;
        }
        assert!(asked <= 300 + 20 * 10 + 100 + 172, "{asked}");
        rig.receive(rig.link(0), ":1\r\n".repeat(asked));
    }
    for client in clients {
        assert_eq!(rig.take(client), ":1\r\n".repeat(300));
        assert!(rig.proxy.wants_read(client));
    }
    // One alone crowds out nobody.
    rig.receive(first, ask("GET a").repeat(300));
    assert_eq!(rig.take(rig.link(0)), ask("GET a").repeat(300));
}

#[test]
fn a_client_may_have_fewer_requests_unanswered_if_their_replies_are_long() {
    let (mut rig, client) = ready(pool(1), limits());
    let value = format!("${}\r\n{}\r\n", 1000, "v".repeat(1000));
    rig.receive(client, ask("GET a").repeat(100));
    rig.take(rig.link(0));
    rig.receive(rig.link(0), value.repeat(100));
    rig.take(client);
    rig.receive(client, ask("GET a").repeat(100));
    // Four windows of 4,096 bytes.
    assert_eq!(rig.take(rig.link(0)), ask("GET a").repeat(17));
    assert_eq!(rig.stats.pools[0].client_request_limit_hits.read(), 1);
    // Then short ones.
    let mut asked = 17;
    let mut most = 0;
    for _ in 0..100 {
        rig.receive(rig.link(0), ":1\r\n".repeat(asked));
        asked = rig.take(rig.link(0)).matches("GET").count();
        most = most.max(asked);
        rig.receive(client, ask("GET a").repeat(asked));
    }
    assert!(most > 60, "{most}");
}

#[test]
fn outstanding_requests_are_bounded_and_none_is_lost() {
    let limits = Limits {
        outstanding: 10,
        ..limits()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.receive(
        client,
        (0..100)
            .map(|i| ask(&format!("GET {i}")))
            .collect::<String>(),
    );
    let mut asked = String::new();
    for index in 0..100 {
        asked += &rig.take(rig.link(0));
        assert!(asked.matches("GET").count() <= index + 10);
        rig.receive(rig.link(0), format!(":{index}\r\n"));
    }
    assert_eq!(
        rig.take(client),
        (0..100).map(|i| format!(":{i}\r\n")).collect::<String>()
    );
}

#[test]
fn a_joined_reply_larger_than_the_window_is_passed_on_in_parts() {
    let (mut rig, client) = ready(pool(2), limits());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("MGET {a} {b} {a}")));
    let value = format!("$9000\r\n{}\r\n", "v".repeat(9000));
    rig.receive(rig.link(0), "*2\r\n".to_string() + &value);
    rig.receive(rig.link(0), &value);
    assert_eq!(
        rig.take(client),
        "",
        "the other server may still answer with an error"
    );
    assert!(!rig.proxy.wants_read(rig.link(0)));
    rig.receive(rig.link(1), "*1\r\n".to_string() + &value[..2000]);
    let mut passed = rig.take(client);
    assert!(passed.len() >= 11_000, "{} bytes", passed.len());
    rig.receive(rig.link(1), &value[2000..]);
    passed += &rig.take(client);
    assert_eq!(passed, "*3\r\n".to_string() + &value.repeat(3));
}

#[test]
fn a_join_starts_even_when_later_replies_fill_the_window() {
    let (mut rig, client) = ready(pool(2), limits());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(
        client,
        ask(&format!("MGET {a} {b}")) + &ask(&format!("GET {a}")),
    );
    let value = format!("$3000\r\n{}\r\n", "v".repeat(3000));
    rig.receive(rig.link(1), "*1\r\n".to_string() + &value[..1500]);
    let large = format!("$5000\r\n{}\r\n", "v".repeat(5000));
    rig.receive(rig.link(0), "*1\r\n".to_string() + &value + &large);
    rig.receive(rig.link(1), &value[1500..]);
    assert_eq!(
        rig.take(client),
        "*2\r\n".to_string() + &value + &value + &large
    );
    assert!(rig.proxy.wants_read(rig.link(1)));
}

#[test]
fn a_fragment_that_failed_holds_nothing_back() {
    let (mut rig, client) = ready(pool(2), limits());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("MGET {a} {b}")));
    let (own, other) = (rig.link(0), rig.link(1));
    rig.receive(own, format!("*1\r\n$9000\r\n{}", "v".repeat(5000)));
    rig.receive(own, "v");
    assert!(!rig.proxy.wants_read(own));
    rig.proxy.failed(other, Cause::Reset);
    rig.settle();
    assert!(rig.proxy.wants_read(own));
    rig.receive(own, "v".repeat(3999));
    rig.receive(own, "\r\n");
    assert_eq!(rig.take(client), "-ERR Connection reset by peer\r\n");
}

#[test]
fn a_fragment_that_cannot_be_joined_holds_nothing_back() {
    let (mut rig, client) = ready(pool(2), limits());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("MGET {a} {b}")));
    let own = rig.link(0);
    rig.receive(own, format!("*1\r\n$9000\r\n{}", "v".repeat(5000)));
    rig.receive(own, "v");
    assert!(!rig.proxy.wants_read(own));
    rig.receive(rig.link(1), "$1\r\nx\r\n");
    assert!(rig.proxy.wants_read(own));
    rig.receive(own, "v".repeat(3999));
    rig.receive(own, "\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
}

#[test]
fn a_joined_reply_that_cannot_be_finished_closes_its_client() {
    let (mut rig, client) = ready(pool(2), limits());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("MGET {a} {b}")));
    rig.receive(
        rig.link(1),
        "*1\r\n$5000\r\n".to_string() + &"v".repeat(2000),
    );
    rig.receive(
        rig.link(0),
        format!("*1\r\n$9000\r\n{}\r\n", "v".repeat(9000)),
    );
    assert!(rig.take(client).starts_with("*2\r\n$9000\r\n"));
    rig.proxy.ended(rig.link(1));
    rig.settle();
    assert_eq!(rig.closed.last(), Some(&(client, CloseHow::Reset)));
}

#[test]
fn a_reply_cut_off_in_the_middle_closes_its_client() {
    let (mut rig, client) = ready(pool(1), limits());
    rig.receive(client, ask("GET k"));
    rig.receive(rig.link(0), format!("$9000\r\n{}", "v".repeat(5000)));
    rig.proxy.ended(rig.link(0));
    rig.settle();
    assert!(rig.closed.contains(&(client, CloseHow::Reset)));
}

#[test]
fn nothing_overtakes_a_request_that_asked_for_no_reply() {
    let config = Pool {
        protocol: Protocol::Memcache,
        ..pool(1)
    };
    let mut rig = Rig::with_limits(config, limits());
    let client = rig.client();
    let other = rig.client();
    rig.receive(other, "get big\r\n");
    rig.receive(client, "set k 0 0 1 noreply\r\n1\r\n");
    rig.establish();
    let shared = rig.link(0);
    rig.receive(shared, "VALUE big 0 100000\r\nv");
    rig.receive(client, "get k\r\n");
    assert_eq!(rig.links.len(), 1, "not around the busy connection");
    let value = "v".repeat(30_000);
    rig.receive(client, "set k 0 0 30000\r\n");
    rig.receive(client, value + "\r\n");
    rig.receive(
        shared,
        "v".repeat(99_999) + "\r\nEND\r\nVERSION 1\r\nEND\r\n",
    );
    assert_eq!(rig.take(client), "END\r\n");
    rig.receive(client, "set k 0 0 1 noreply\r\n2\r\n");
    assert_eq!(
        rig.links.len(),
        2,
        "the large request has a connection of its own"
    );
}

#[test]
fn a_large_reply_that_stops_is_given_up_after_the_timeout() {
    let (mut rig, client) = ready(pool(1), limits());
    rig.receive(client, ask("GET k"));
    rig.receive(rig.link(0), format!("$90000\r\n{}", "v".repeat(5000)));
    for _ in 0..10 {
        rig.pass(Duration::from_millis(300));
        rig.receive(rig.link(0), "v".repeat(1000));
    }
    assert!(!rig.is_closed(client), "it is slow, not dead");
    rig.pass(Duration::from_millis(400));
    assert!(rig.is_closed(client) && rig.is_closed(rig.link(0)));
}

#[test]
fn a_server_that_takes_nothing_of_a_large_request_is_given_up() {
    let (mut rig, client) = ready(pool(1), limits());
    let (head, value) = set("k", 100_000);
    rig.receive(client, head + &value[..30_000]);
    rig.full.push(rig.link(0));
    rig.establish();
    rig.full.push(rig.link(0));
    rig.receive(client, &value[30_000..60_000]);
    rig.pass(Duration::from_millis(400));
    assert_eq!(rig.take(client), "-ERR Connection timed out\r\n");
    assert!(!rig.is_closed(client));
}
