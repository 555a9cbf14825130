//! WAIT and WAITAOF over several servers.

use super::*;
use crate::protocol::redis::wait::BEFORE;

const ABOUT: &str = "$44\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\n\r\n";
const MARKED: &str = ":0\r\n";

/// What a server is sent for this WAIT.
fn sent(words: &str) -> String {
    let before: Vec<u8> = BEFORE.concat();
    format!("{}{}", String::from_utf8_lossy(&before), ask(words))
}

/// A client that has sent something to the first two of three servers, and says this.
fn waiting(words: &str) -> (Rig, ConnId, [ConnId; 2]) {
    let mut rig = Rig::new(pool(3));
    let client = rig.client();
    for server in 0..2 {
        rig.receive(client, ask(&format!("SET {} v", key(server, 3, 0))));
    }
    rig.receive(client, ask(words));
    rig.establish();
    for server in 0..2 {
        rig.receive(rig.link(server), "+OK\r\n");
    }
    assert_eq!(rig.take(client), "+OK\r\n+OK\r\n");
    let before = rig.links.len();
    assert_eq!(before, 4, "a connection to each server that was asked");
    rig.establish();
    let own = [rig.link(0), rig.link(1)];
    for link in own {
        assert_eq!(rig.take(link), sent(words));
        rig.receive(link, [ABOUT, MARKED].concat());
    }
    (rig, client, own)
}

#[test]
fn the_servers_the_client_has_asked_wait_and_the_smallest_number_is_the_reply() {
    for (words, replies, expected) in [
        ("WAIT 1 0", [":2\r\n", ":1\r\n"], ":1\r\n"),
        ("WAIT 1 0", [":0\r\n", ":1\r\n"], ":0\r\n"),
        (
            "WAITAOF 1 1 0",
            ["*2\r\n:1\r\n:0\r\n", "*2\r\n:0\r\n:3\r\n"],
            "*2\r\n:0\r\n:0\r\n",
        ),
        (
            "WAIT 1 0",
            [":1\r\n", "+1\r\n"],
            "-ERR Invalid argument\r\n",
        ),
    ] {
        let (mut rig, client, own) = waiting(words);
        rig.receive(client, ask("PING"));
        rig.receive(own[1], replies[1]);
        rig.pass(Duration::from_secs(5));
        assert_eq!(rig.take(client), "", "{words}");
        rig.receive(own[0], replies[0]);
        assert_eq!(rig.take(client), format!("{expected}+PONG\r\n"), "{words}");
        // They are used again.
        rig.receive(client, ask(words));
        rig.establish();
        assert_eq!(rig.take(own[0]), sent(words));
        assert_eq!(rig.links.len(), 4);
    }
}

#[test]
fn the_first_error_or_failure_is_the_reply_and_ends_the_other_waits() {
    let error = "-ERR WAIT cannot be used with replica instances.\r\n";
    let (mut rig, client, own) = waiting("WAIT 1 0");
    rig.receive(own[1], error);
    assert_eq!(rig.take(client), error);
    assert!(rig.is_closed(own[0]) && !rig.is_closed(own[1]));

    let (mut rig, client, own) = waiting("WAIT 1 0");
    rig.proxy.failed(own[1], Cause::Reset);
    rig.settle();
    assert_eq!(rig.take(client), "-ERR Connection reset by peer\r\n");
    assert!(rig.is_closed(own[0]));
    assert_eq!(
        rig.failures,
        [],
        "only the shared connections tell of health"
    );

    // One that cannot be told up to where to wait.
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    rig.receive(client, ask("WAIT 1 0"));
    rig.establish();
    rig.receive(
        rig.link(0),
        [ABOUT, "-ERR unknown command\r\n", ":1\r\n"].concat(),
    );
    let reply = rig.take(client);
    assert!(reply.starts_with("-ERR WAIT needs"), "{reply}");
}

#[test]
fn a_client_that_leaves_ends_its_waits_everywhere() {
    let (mut rig, client, own) = waiting("WAIT 1 0");
    rig.proxy.ended(client);
    rig.settle();
    assert!(rig.is_closed(client) && rig.is_closed(own[0]) && rig.is_closed(own[1]));
}

#[test]
fn a_client_that_asked_nothing_waits_for_all_live_servers() {
    let mut rig = Rig::new(pool(3));
    let live = [true, false, true];
    let router = Arc::new(super::super::pool::router(&pool(3), &live));
    rig.proxy.set_router(POOL, router);
    let client = rig.client();
    rig.receive(client, ask("WAIT 1 0"));
    rig.establish();
    assert_eq!(rig.links.len(), 2);
    for server in [0, 2] {
        let replies = [ABOUT, MARKED, ":4\r\n"].concat();
        rig.receive(rig.link(server), replies);
    }
    assert_eq!(rig.take(client), ":4\r\n");
}

#[test]
fn where_a_connection_is_missing_nobody_waits() {
    let limits = Limits {
        own: 1,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(pool(2), limits);
    let (first, second) = (rig.client(), rig.client());
    rig.receive(first, ask(&format!("BLPOP {} 0", key(1, 2, 0))));
    rig.receive(second, ask("WAIT 1 0"));
    assert!(rig.take(second).starts_with("-ERR too many"), "refused");
    assert!(rig.is_closed(rig.link(0)));
    assert!(!rig.is_closed(rig.link(1)));
}
