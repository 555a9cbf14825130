//! Requests that every server answers.

use super::*;

/// The pool, serving a dangerous command.
fn allowing(mut pool: Pool, name: &str) -> Pool {
    pool.commands.allow.push(name.into());
    pool
}

#[test]
fn a_request_for_all_goes_to_each_server_as_it_is_and_is_answered_once() {
    let (mut rig, client) = ready(pool(3), Limits::default());
    rig.receive(client, [ask("DbSize"), ask("PING")].concat());
    for (server, reply) in [(2, ":30\r\n"), (0, ":1\r\n"), (1, ":200\r\n")] {
        assert_eq!(rig.take(client), "");
        assert_eq!(rig.take(rig.link(server)), ask("DbSize"));
        rig.receive(rig.link(server), reply);
    }
    assert_eq!(rig.take(client), ":231\r\n+PONG\r\n");
}

#[test]
fn the_reply_of_a_single_server_is_passed_on_as_it_came() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("DBSIZE"));
    rig.receive(rig.link(0), "+surprise\r\n");
    assert_eq!(rig.take(client), "+surprise\r\n");
}

#[test]
fn one_servers_error_is_the_reply_for_all() {
    let (mut rig, client) = ready(allowing(pool(3), "FLUSHALL"), Limits::default());
    rig.receive(client, ask("FLUSHALL"));
    rig.receive(rig.link(0), "+OK\r\n");
    rig.receive(rig.link(2), "-READONLY no\r\n");
    rig.receive(rig.link(1), "-NOPERM no\r\n");
    assert_eq!(rig.take(client), "-NOPERM no\r\n");
}

#[test]
fn a_server_that_breaks_fails_the_request_for_all() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.receive(client, [ask("DBSIZE"), ask("DBSIZE")].concat());
    rig.receive(rig.link(0), ":1\r\n:1\r\n");
    rig.receive(rig.link(1), ":1\r\n");
    assert_eq!(rig.take(client), ":2\r\n");
    rig.proxy.failed(rig.link(1), Cause::Reset);
    rig.settle();
    assert_eq!(rig.take(client), "-ERR Connection reset by peer\r\n");
}

#[test]
fn an_ejected_server_is_not_counted_but_is_not_spared_an_order_either() {
    let (mut rig, client) = ready(allowing(pool(3), "FLUSHALL"), Limits::default());
    let live = [true, false, true];
    let router = Arc::new(super::super::pool::router(&pool(3), &live));
    rig.proxy.set_router(POOL, router);
    rig.receive(client, ask("DBSIZE"));
    assert_eq!(rig.take(rig.link(1)), "");
    rig.receive(rig.link(0), ":1\r\n");
    rig.receive(rig.link(2), ":1\r\n");
    assert_eq!(rig.take(client), ":2\r\n");
    rig.receive(client, ask("FLUSHALL"));
    assert_eq!(rig.take(rig.link(1)), ask("FLUSHALL"));
}

#[test]
fn a_late_server_fails_the_request_for_all_and_its_reply_reaches_no_client() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let get = ask(&format!("GET {}", key(1, 2, 0)));
    rig.receive(client, [get.clone(), ask("DBSIZE")].concat());
    rig.receive(rig.link(0), ":1\r\n");
    rig.pass(Duration::from_millis(300));
    rig.receive(rig.link(1), "$1\r\na\r\n");
    rig.pass(Duration::from_millis(101));
    assert_eq!(rig.take(client), "$1\r\na\r\n-ERR Connection timed out\r\n");
    rig.receive(client, get);
    rig.receive(rig.link(1), ":7\r\n$1\r\nb\r\n");
    assert_eq!(rig.take(client), "$1\r\nb\r\n");
}

#[test]
fn replies_of_the_wrong_kind_are_no_sum() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.receive(client, ask("DBSIZE"));
    rig.receive(rig.link(0), ":1\r\n");
    rig.receive(rig.link(1), "$1\r\n1\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
}

#[test]
fn replies_that_can_only_be_joined_whole_are_bounded() {
    let limits = Limits {
        join: 100_000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(2), limits);
    rig.receive(client, ask("DBSIZE"));
    rig.receive(rig.link(0), "$200000\r\n");
    rig.receive(rig.link(0), vec![b'x'; 200_000]);
    rig.receive(rig.link(0), "\r\n");
    rig.receive(rig.link(1), ":1\r\n");
    let text = "-ERR the replies of the servers are too large to be joined\r\n";
    assert_eq!(rig.take(client), text);
    rig.receive(client, ask("DBSIZE"));
    rig.receive(rig.link(0), ":1\r\n");
    rig.receive(rig.link(1), ":1\r\n");
    assert_eq!(rig.take(client), ":2\r\n");
}

#[test]
fn keys_of_all_servers_are_one_array_in_the_order_of_the_servers() {
    let (mut rig, client) = ready(allowing(pool(3), "KEYS"), Limits::default());
    rig.receive(client, ask("KEYS *"));
    rig.receive(rig.link(2), "*1\r\n$1\r\nc\r\n");
    rig.receive(rig.link(0), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(1), "*0\r\n");
    let expected = "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n";
    assert_eq!(rig.take(client), expected);
}

#[test]
fn a_long_list_of_keys_is_passed_on_as_it_comes() {
    let limits = Limits {
        window: 10_000,
        cut_through: 1000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(allowing(pool(2), "KEYS"), limits);
    rig.receive(client, ask("KEYS *"));
    let part = format!("$4000\r\n{}\r\n", "x".repeat(4000));
    for server in 0..2 {
        rig.receive(rig.link(server), "*5\r\n");
        rig.receive(rig.link(server), &part);
    }
    let mut came = String::new();
    for _ in 0..4 {
        rig.receive(rig.link(0), &part);
        rig.turn();
        came += &rig.take(client);
    }
    assert!(came.starts_with("*10\r\n$4000\r\n"), "{:?}", &came[..20]);
    for _ in 0..4 {
        rig.receive(rig.link(1), &part);
        rig.turn();
        came += &rig.take(client);
    }
    assert_eq!(came, format!("*10\r\n{}", part.repeat(10)));
}

#[test]
fn a_random_key_is_one_that_is_there() {
    let (mut rig, client) = ready(pool(3), Limits::default());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        rig.receive(client, ask("RANDOMKEY"));
        rig.receive(rig.link(0), "$1\r\na\r\n");
        rig.receive(rig.link(1), "$-1\r\n");
        rig.receive(rig.link(2), "$1\r\nc\r\n");
        seen.insert(rig.take(client));
    }
    let expected = ["$1\r\na\r\n", "$1\r\nc\r\n"].map(String::from);
    assert!(seen.into_iter().eq(expected));
    rig.receive(client, ask("RANDOMKEY"));
    for server in 0..3 {
        rig.receive(rig.link(server), "$-1\r\n");
    }
    assert_eq!(rig.take(client), "$-1\r\n");
}

#[test]
fn what_one_server_can_do_is_done_though_others_fail() {
    let (mut rig, client) = ready(pool(3), Limits::default());
    rig.receive(client, ask("SCRIPT KILL"));
    rig.establish();
    rig.receive(rig.link(0), "-NOTBUSY no\r\n");
    rig.receive(rig.link(1), "+OK\r\n");
    rig.proxy.failed(rig.link(2), Cause::Reset);
    rig.settle();
    assert_eq!(rig.take(client), "+OK\r\n");
    rig.receive(client, ask("SCRIPT KILL"));
    rig.receive(rig.link(0), "-NOTBUSY no\r\n");
    rig.receive(rig.link(1), "-NOTBUSY nor here\r\n");
    rig.establish();
    rig.receive(rig.link(2), "-NOTBUSY no\r\n");
    assert_eq!(rig.take(client), "-NOTBUSY no\r\n");
}

#[test]
fn numbers_at_the_same_place_are_made_one() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.receive(client, ask("SCRIPT EXISTS a b"));
    rig.receive(rig.link(0), "*2\r\n:1\r\n:1\r\n");
    rig.receive(rig.link(1), "*2\r\n:0\r\n:1\r\n");
    assert_eq!(rig.take(client), "*2\r\n:0\r\n:1\r\n");
    rig.receive(client, ask("PUBSUB NUMSUB x y"));
    rig.receive(rig.link(0), "*4\r\n$1\r\nx\r\n:2\r\n$1\r\ny\r\n:0\r\n");
    rig.receive(rig.link(1), "*4\r\n$1\r\nx\r\n:3\r\n$1\r\ny\r\n:1\r\n");
    let expected = "*4\r\n$1\r\nx\r\n:5\r\n$1\r\ny\r\n:1\r\n";
    assert_eq!(rig.take(client), expected);
    rig.receive(client, ask("SCRIPT EXISTS a b"));
    rig.receive(rig.link(0), "*2\r\n:1\r\n:1\r\n");
    rig.receive(rig.link(1), "*1\r\n:1\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
}

/// The cursor and keys of a reply to SCAN.
fn scanned(reply: &str) -> (u64, Vec<String>) {
    let words: Vec<&str> = reply.split("\r\n").collect();
    assert_eq!(words[0], "*2", "{reply:?}");
    let keys = words[4..].iter().skip(1).step_by(2);
    let keys = keys.filter(|key| !key.is_empty());
    (
        words[2].parse().expect("a cursor"),
        keys.map(|key| (*key).to_owned()).collect(),
    )
}

#[test]
fn one_cursor_leads_through_all_servers() {
    let (mut rig, client) = ready(pool(3), Limits::default());
    // What each server answers to each of its own cursors, and the cursor behind it.
    let pages = [
        vec![(0u64, 96u64, "a"), (96, 7, "b"), (7, 0, "c")],
        vec![(0, 0, "d")],
        vec![
            (0, 18_446_744_073_709_551, "e"),
            (18_446_744_073_709_551, 0, "f"),
        ],
    ];
    let (mut cursor, mut keys, mut asked) = (0, String::new(), 0);
    loop {
        rig.receive(client, ask(&format!("scan {cursor} MATCH x* COUNT 10")));
        let (server, request) = (0..3)
            .map(|server| (server, rig.take(rig.link(server))))
            .find(|(_, request)| !request.is_empty())
            .expect("a server was asked");
        let page = pages[usize::from(server)]
            .iter()
            .find(|page| request == ask(&format!("scan {} MATCH x* COUNT 10", page.0)));
        let (_, next, key) = page.unwrap_or_else(|| panic!("{server}: {request:?}"));
        let text = next.to_string();
        let reply = format!("*2\r\n${}\r\n{text}\r\n*1\r\n$1\r\n{key}\r\n", text.len());
        for byte in reply.bytes() {
            rig.receive(rig.link(server), [byte]);
        }
        let (shared, found) = scanned(&rig.take(client));
        keys.extend(found);
        asked += 1;
        cursor = shared;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!((keys.as_str(), asked), ("abcdef", 6));
}

#[test]
fn a_scan_passes_over_servers_that_are_out_and_goes_on_behind_them() {
    let (mut rig, client) = ready(pool(3), Limits::default());
    let live = |live: [bool; 3]| Arc::new(super::super::pool::router(&pool(3), &live));
    let empty = |cursor: u64| format!("*2\r\n${}\r\n{cursor}\r\n*0\r\n", cursor.to_string().len());
    rig.proxy.set_router(POOL, live([true, false, true]));
    rig.receive(client, ask("SCAN 0"));
    rig.receive(rig.link(0), empty(0));
    assert_eq!(scanned(&rig.take(client)).0, 2);
    rig.receive(client, ask("SCAN 2"));
    assert_eq!(rig.take(rig.link(2)), ask("SCAN 0"));
    rig.receive(rig.link(2), empty(5));
    assert_eq!(scanned(&rig.take(client)).0, 5 * 3 + 2);
    // It is ejected while its turn lasts, and is the last.
    rig.proxy.set_router(POOL, live([true, true, false]));
    rig.receive(client, ask("SCAN 17"));
    assert_eq!(rig.take(client), empty(0));
    // The one before is ejected: its turn is the next one's.
    rig.proxy.set_router(POOL, live([true, false, true]));
    rig.receive(client, ask("SCAN 16"));
    assert_eq!(rig.take(rig.link(2)), ask("SCAN 0"));
    rig.receive(rig.link(2), empty(0));
    assert_eq!(rig.take(client), empty(0));
    rig.proxy.set_router(POOL, live([false, false, false]));
    rig.receive(client, ask("SCAN 0"));
    assert_eq!(rig.take(client), "-ERR Connection refused\r\n");
}

#[test]
fn a_cursor_that_is_none_and_one_without_room_are_errors() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    for cursor in ["x", "-1", "18446744073709551616", "1x"] {
        rig.receive(client, ask(&format!("SCAN {cursor}")));
        assert_eq!(rig.take(client), "-ERR invalid cursor\r\n", "{cursor}");
    }
    rig.receive(client, ask("SCAN 0"));
    rig.receive(rig.link(0), "*2\r\n$20\r\n18446744073709551615\r\n*0\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
    rig.receive(client, ask("SCAN 0 COUNT x"));
    rig.receive(
        rig.link(0),
        "-ERR value is not an integer or out of range\r\n",
    );
    let text = "-ERR value is not an integer or out of range\r\n";
    assert_eq!(rig.take(client), text);
}
