//! Requests that every server answers.

use super::*;

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
    let (mut rig, client) = ready(pool(3), Limits::default());
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
    let (mut rig, client) = ready(pool(3), Limits::default());
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
fn a_late_server_fails_the_request_for_all_and_its_reply_reaches_nobody() {
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
