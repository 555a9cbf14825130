//! Every limit a request or client can run into: what it is told, and where it is counted.

use super::*;
use crate::protocol;
use crate::protocol::redis::reply::DEPTH_MAX;
use crate::proxy::Pressure;
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
fn a_full_queue_to_a_server_is_answered_with_an_error_and_counted() {
    let limits = Limits {
        queue: 100,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(pool(1), limits);
    let client = rig.client();
    // Nothing is sent before the connection is there.
    rig.receive(client, ask("GET a").repeat(6));
    assert_eq!(count(&rig, |stats| &stats.server_queue_limit_hits), 1);
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), ask("GET a").repeat(5));
    rig.receive(link, ":1\r\n".repeat(5));
    assert_eq!(
        rig.take(client),
        ":1\r\n".repeat(5) + "-ERR too many requests are waiting for the server\r\n"
    );
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

/// A pool of one server, a client with `count` bytes unread, and a neighbour.
fn pressed(count: usize) -> (Rig, ConnId, ConnId) {
    let (mut rig, slow) = ready(pool(1), Limits::default());
    let other = rig.client();
    rig.full.push(slow);
    rig.receive(slow, ask("GET a"));
    rig.receive(
        rig.link(0),
        format!("${count}\r\n{}\r\n", "v".repeat(count)),
    );
    (rig, slow, other)
}

#[test]
fn under_pressure_clients_have_less_until_it_is_over() {
    let (mut rig, slow, other) = pressed(200_000);
    assert!(rig.proxy.wants_read(slow));
    rig.proxy.set_pressure(Pressure::Tight);
    rig.take(rig.link(0));
    rig.receive(slow, ask("GET b") + &ask("GET c"));
    assert_eq!(rig.take(rig.link(0)), "");
    assert_eq!(count(&rig, |stats| &stats.client_output_limit_hits), 1);
    // Those who read are served as ever.
    rig.receive(other, ask("GET d"));
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    rig.take(rig.link(0));
    rig.proxy.set_pressure(Pressure::None);
    rig.settle();
    assert!(rig.proxy.wants_read(slow));
    assert_eq!(rig.take(rig.link(0)), ask("GET b") + &ask("GET c"));
}

#[test]
fn a_connection_left_unread_under_pressure_is_read_again_after_it() {
    let (mut rig, slow, _) = pressed(300_000);
    rig.proxy.set_pressure(Pressure::None);
    rig.receive(slow, ask("GET b"));
    rig.proxy.set_pressure(Pressure::Tight);
    rig.receive(rig.link(0), ":1\r\n");
    assert!(!rig.proxy.wants_read(rig.link(0)));
    rig.proxy.set_pressure(Pressure::None);
    rig.settle();
    assert!(rig.proxy.wants_read(rig.link(0)));
    rig.full.clear();
    let unread = rig.proxy.output(slow).expect("alive").len();
    assert_eq!(unread, "$300000\r\n".len() + 300_002 + 4);
}

#[test]
fn short_of_memory_requests_are_answered_with_an_error() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.proxy.set_pressure(Pressure::Short);
    let large = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n{}",
        "v".repeat(20_000)
    );
    let both = format!("MGET {} {}", key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask("PING") + &ask("GET a") + &ask(&both));
    // In two parts, so that it is taken for a large one.
    rig.receive(client, &large[..100]);
    rig.receive(client, large[100..].to_owned() + "\r\n");
    let error = "-ERR the proxy is short of memory\r\n";
    assert_eq!(rig.take(client), "+PONG\r\n".to_owned() + &error.repeat(3));
    assert!(count(&rig, |stats| &stats.memory_limit_hits) >= 3);
    rig.proxy.set_pressure(Pressure::None);
    rig.receive(client, ask("GET a"));
    assert_eq!(rig.take(client), "", "it went to its server");
    assert_eq!(rig.failures, [], "the servers have done nothing wrong");
}

#[test]
fn out_of_memory_those_who_hold_the_most_are_closed() {
    let (mut rig, slow, other) = pressed(200_000);
    let less = rig.client();
    rig.full.push(less);
    rig.receive(less, ask("GET a"));
    rig.receive(
        rig.link(0),
        format!("$100000\r\n{}\r\n", "v".repeat(100_000)),
    );
    rig.proxy.set_pressure(Pressure::Over { by: 1 });
    rig.settle();
    assert_eq!(rig.closed, [(slow, CloseHow::Reset)]);
    assert!(matches!(rig.notices[..], [What::ShedClient { held }] if held > 200_000));
    rig.proxy.set_pressure(Pressure::Over { by: 1 });
    rig.settle();
    assert!(rig.is_closed(less));
    rig.proxy.set_pressure(Pressure::Over { by: 1 });
    rig.settle();
    assert!(!rig.is_closed(other), "nothing is gained by closing it");
    assert_eq!(count(&rig, |stats| &stats.memory_limit_closed), 2);
}

#[test]
fn out_of_memory_a_full_queue_to_a_server_is_given_up() {
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    rig.receive(client, ask(&format!("SET a {}", "v".repeat(100_000))));
    rig.proxy.set_pressure(Pressure::Over { by: 1 });
    rig.settle();
    assert!(rig.is_closed(rig.link(0)));
    assert_eq!(rig.take(client), "-ERR the proxy is short of memory\r\n");
    assert_eq!(rig.failures, [], "the server has done nothing wrong");
}
