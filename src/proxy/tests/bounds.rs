//! Every limit a request or client can run into: what it is told, and where it is counted.

use super::*;
use crate::protocol;
use crate::protocol::redis::reply::DEPTH_MAX;
use crate::stats::{Counter, PoolStats};

/// A pool of one server with these limits of requests.
fn bounded(limits: protocol::Limits) -> Pool {
    Pool {
        limits,
        timeout: None,
        ..pool(1)
    }
}

fn count(rig: &Rig, counter: fn(&PoolStats) -> &Counter) -> i64 {
    counter(&rig.stats.pools[0]).read()
}

#[test]
fn a_request_beyond_a_limit_is_told_so_and_counted() {
    let usual = *Protocol::Redis.limits();
    type Row = (
        fn(&mut protocol::Limits),
        &'static str,
        &'static str,
        fn(&PoolStats) -> &Counter,
    );
    let rows: [Row; 6] = [
        (
            |limits| limits.key = 4,
            "*2\r\n$3\r\nGET\r\n$5\r\nabcde\r\n",
            "-ERR key too long: 5 bytes, key_limit is 4\r\n",
            |stats| &stats.key_limit_hits,
        ),
        (
            |limits| limits.key = 4,
            "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$5\r\nabcde\r\n",
            "-ERR key too long: 5 bytes, key_limit is 4\r\n",
            |stats| &stats.key_limit_hits,
        ),
        (
            |limits| limits.bulk = 100,
            "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$101\r\n",
            "-ERR value too long: 101 bytes, value_limit is 100\r\n",
            |stats| &stats.value_limit_hits,
        ),
        (
            |limits| limits.args = 3,
            "*4\r\n",
            "-ERR too many arguments: 4, argument_limit is 3\r\n",
            |stats| &stats.argument_limit_hits,
        ),
        (
            |limits| limits.request = 1024,
            "*2\r\n$4\r\nMGET\r\n$1100\r\n",
            "-ERR request too large: request_limit is 1024\r\n",
            |stats| &stats.request_limit_hits,
        ),
        (
            |limits| limits.inline = 64,
            "GET 23456789a123456789a123456789a123456789a123456789a123456789abcdef",
            "-ERR Protocol error: too big inline request\r\n",
            |stats| &stats.inline_limit_hits,
        ),
    ];
    for (change, request, answer, counter) in rows {
        let mut limits = usual;
        change(&mut limits);
        let mut rig = Rig::new(bounded(limits));
        let client = rig.client();
        rig.receive(client, request);
        assert_eq!(rig.take(client), answer, "{request:?}");
        assert_eq!(count(&rig, counter), 1, "{request:?}");
        // What fits exactly is no excess.
        let mut rig = Rig::new(bounded(limits));
        let client = rig.client();
        rig.receive(client, ask("GET abcd"));
        assert_eq!(rig.take(client), "");
        assert_eq!(count(&rig, counter), 0, "{request:?}");
    }
}

#[test]
fn a_client_left_unread_at_a_limit_is_counted() {
    let limits = Limits {
        outstanding: 2,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.receive(client, ask("GET a").repeat(2));
    assert_eq!(count(&rig, |stats| &stats.client_request_limit_hits), 0);
    rig.receive(client, ask("GET a"));
    assert_eq!(count(&rig, |stats| &stats.client_request_limit_hits), 1);
    let limits = Limits {
        window: 70,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.full.push(client);
    rig.receive(client, ask("PING").repeat(10));
    assert_eq!(count(&rig, |stats| &stats.client_output_limit_hits), 0);
    rig.receive(client, ask("PING"));
    assert_eq!(count(&rig, |stats| &stats.client_output_limit_hits), 1);
}

#[test]
fn clients_pause_while_the_queue_to_a_server_is_full() {
    let limits = Limits {
        queue: 100,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(pool(1), limits);
    let [client, neighbour, leaving] = [(); 3].map(|()| rig.client());
    // Nothing is sent before the connection is there. Each has one more than there is room for.
    rig.receive(client, ask("GET a").repeat(8));
    rig.receive(neighbour, ask("GET b").repeat(3));
    rig.receive(leaving, ask("GET c").repeat(2));
    assert_eq!(count(&rig, |stats| &stats.server_queue_limit_hits), 3);
    for paused in [client, neighbour, leaving] {
        assert!(!rig.proxy.wants_read(paused));
    }
    rig.proxy.failed(leaving, Cause::Reset);
    rig.establish();
    let link = rig.link(0);
    let first = ask("GET a").repeat(6) + &ask("GET b") + &ask("GET c");
    let rest = ask("GET a").repeat(2) + &ask("GET b").repeat(2);
    let written = rig.take(link);
    assert_eq!(&written[..first.len()], first);
    assert_eq!(written.len(), first.len() + rest.len(), "{written}");
    rig.receive(link, ":1\r\n".repeat(12));
    assert_eq!(rig.take(client), ":1\r\n".repeat(8));
    assert_eq!(rig.take(neighbour), ":1\r\n".repeat(3));
    assert!(rig.proxy.wants_read(client) && rig.proxy.wants_read(neighbour));
}

#[test]
fn clients_that_paused_for_a_connection_go_on_when_it_breaks() {
    let limits = Limits {
        queue: 100,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(pool(1), limits);
    let client = rig.client();
    rig.receive(client, ask("GET a").repeat(8));
    assert!(!rig.proxy.wants_read(client));
    let broken = rig.link(0);
    rig.proxy.failed(broken, Cause::Refused);
    rig.settle();
    assert_eq!(rig.take(client), "-ERR Connection refused\r\n".repeat(6));
    rig.establish();
    assert_eq!(rig.take(rig.link(0)), ask("GET a").repeat(2));
}

#[test]
fn beyond_a_full_queue_and_a_part_of_memory_requests_are_refused() {
    let limits = Limits {
        queue: 100,
        queue_most: 200,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(pool(1), limits);
    let clients: Vec<_> = (0..20).map(|_| rig.client()).collect();
    for &client in &clients {
        rig.receive(client, ask("GET a"));
    }
    rig.establish();
    rig.receive(rig.link(0), ":1\r\n".repeat(10));
    let replies: String = clients.iter().map(|&client| rig.take(client)).collect();
    let refused = "-ERR too many requests are waiting for the server\r\n".repeat(10);
    assert_eq!(replies, ":1\r\n".repeat(10) + &refused);
}

#[test]
fn a_reply_nested_too_deeply_costs_its_connection_and_is_counted() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET a"));
    let deep = "*2\r\n".repeat(DEPTH_MAX + 2);
    rig.receive(rig.link(0), deep);
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
    assert_eq!(count(&rig, |stats| &stats.nesting_limit_hits), 1);
}
