//! `CLIENT KILL` and `CLIENT LIST`.

use super::*;

#[test]
fn a_client_is_put_out_by_its_number_or_its_own_address() {
    let mut rig = Rig::new(pool(1));
    let (first, second) = (rig.client(), rig.client());
    rig.receive(
        first,
        [
            ask("CLIENT KILL ID 7"),
            ask("CLIENT KILL ID 1"),
            ask("CLIENT KILL ID 2"),
            ask("CLIENT KILL 1.2.3.4:5"),
        ]
        .concat(),
    );
    assert_eq!(rig.take(first), ":0\r\n:0\r\n:1\r\n-ERR No such client\r\n");
    assert!(rig.is_closed(second) && !rig.is_closed(first));
    rig.receive(first, ask("CLIENT KILL ID 1 SKIPME no"));
    assert_eq!(rig.take(first), ":1\r\n");
    assert!(rig.is_closed(first));
}

#[test]
fn a_client_is_put_out_as_one_that_was_served_unless_it_is_owed_something() {
    let (mut rig, first) = ready(pool(1), Limits::default());
    let [idle, owed] = [rig.client(), rig.client()];
    rig.receive(owed, ask("GET a"));
    for (victim, number, how) in [(idle, 2, CloseHow::Gracefully), (owed, 3, CloseHow::Reset)] {
        rig.receive(first, ask(&format!("CLIENT KILL ID {number}")));
        assert_eq!(rig.take(first), ":1\r\n");
        assert!(rig.closed.contains(&(victim, how)), "{number}");
    }
}

#[test]
fn what_a_client_that_left_had_asked_is_read_to_its_end() {
    let limits = Limits {
        cut_through: 1024,
        ..Limits::default()
    };
    let (mut rig, killer) = ready(pool(1), limits);
    let victim = rig.client();
    let requests = ["MULTI", "GET a", "EXEC"].map(ask).concat();
    rig.receive(victim, requests);
    rig.prove(rig.link(0));
    let start = format!("+OK\r\n+QUEUED\r\n*1\r\n$3000\r\n{}", "v".repeat(2000));
    rig.receive(killer, ask("CLIENT KILL ID 2"));
    assert_eq!(rig.take(killer), ":1\r\n");
    assert!(rig.is_closed(victim));
    rig.receive(rig.link(0), start);
    // What is left of it looks like an error.
    rig.receive(rig.link(0), "-".repeat(1000) + "\r\n");
    rig.receive(killer, ask("GET a"));
    rig.receive(rig.link(0), "$1\r\na\r\n");
    assert_eq!(rig.take(killer), "$1\r\na\r\n");
    assert_eq!(rig.links.len(), 1, "the connection was kept");
}

/// A client from this address.
fn client_from(rig: &mut Rig, peer: &str) -> ConnId {
    let peer = peer.parse().expect("an address");
    rig.proxy.accept_from(POOL, Some(peer))
}

#[test]
fn a_client_can_close_those_of_its_own_host_alone() {
    let mut rig = Rig::new(pool(1));
    let asker = client_from(&mut rig, "10.0.0.1:1");
    let same = client_from(&mut rig, "10.0.0.1:2");
    let mapped = client_from(&mut rig, "[::ffff:10.0.0.1]:3");
    let other = client_from(&mut rig, "10.0.0.2:1");
    let unix = rig.client();
    for (number, expected) in [(2, 1), (3, 1), (4, 0), (5, 0), (6, 0)] {
        rig.receive(asker, ask(&format!("CLIENT KILL ID {number}")));
        assert_eq!(rig.take(asker), format!(":{expected}\r\n"), "{number}");
    }
    assert!(rig.is_closed(same) && rig.is_closed(mapped));
    assert!(!rig.is_closed(other) && !rig.is_closed(unix));
}

#[test]
fn the_worker_that_has_the_client_is_asked() {
    let mut here = Rig::of_worker((0, 3), pool(1), Limits::default());
    let mut there = Rig::of_worker((1, 3), pool(1), Limits::default());
    let asker = here.client();
    let strangers = client_from(&mut there, "10.0.0.1:1");
    let own = there.client();
    for (number, expected) in [(2, 0), (5, 1), (5, 0)] {
        let requests = [ask(&format!("CLIENT KILL ID {number}")), ask("PING")];
        here.receive(asker, requests.concat());
        assert_eq!(here.take(asker), "");
        let kill = here.calls.pop().expect("another worker is asked");
        assert_eq!((kill.worker, kill.asker_worker), (1, 0));
        there.proxy.call(&kill);
        there.settle();
        let (kill, done) = there.returns.pop().expect("the asker's worker is told");
        here.proxy.returned(&kill, done);
        here.settle();
        assert_eq!(here.take(asker), format!(":{expected}\r\n+PONG\r\n"));
        // An answer that comes twice is nobody's.
        here.proxy.returned(&kill, done);
    }
    assert!(there.is_closed(own) && !there.is_closed(strangers));
    // Who wants no reply waits for none.
    let requests = [
        ask("CLIENT REPLY SKIP"),
        ask("CLIENT KILL ID 3"),
        ask("PING"),
    ];
    here.receive(asker, requests.concat());
    assert_eq!(here.take(asker), "+PONG\r\n");
    assert_eq!(here.calls.pop().map(|kill| kill.worker), Some(2));
    // At the end of the process nobody waits for another worker.
    here.receive(asker, ask("CLIENT KILL ID 2"));
    here.proxy.drain();
    here.settle();
    assert_eq!(here.take(asker), ":0\r\n");
    assert!(here.is_closed(asker));
}

#[test]
fn the_list_of_clients_is_the_client_itself_if_it_is_asked_for() {
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    for (words, expected) in [
        ("CLIENT LIST", "id=1 "),
        ("CLIENT LIST ID 7 1", "id=1 "),
        ("CLIENT LIST TYPE NORMAL", "id=1 "),
        ("CLIENT LIST ID 7", "$0\r\n\r\n"),
        ("CLIENT LIST TYPE pubsub", "$0\r\n\r\n"),
        ("CLIENT LIST TYPE replica", "$0\r\n\r\n"),
        ("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'\r\n"),
        ("CLIENT LIST ID x", "-ERR Invalid client ID\r\n"),
        ("CLIENT LIST ID", "-ERR syntax error\r\n"),
        ("CLIENT LIST x", "-ERR syntax error\r\n"),
    ] {
        rig.receive(client, ask(words));
        let reply = rig.take(client);
        let reply = reply
            .split_once("\r\nid")
            .map_or(reply.as_str(), |_| "id=1 ");
        assert_eq!(reply, expected, "{words}");
    }
}
