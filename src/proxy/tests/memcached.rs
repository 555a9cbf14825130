//! Requests of memcached that may go without a reply, and gets of which a part fails.

use super::*;

fn memcached(servers: usize) -> Pool {
    Pool {
        protocol: Protocol::Memcache,
        ..pool(servers)
    }
}

/// A rig with one server that is connected, and a client.
fn one() -> (Rig, ConnId) {
    let mut rig = Rig::new(memcached(1));
    let client = rig.client();
    rig.receive(client, "get a\r\n");
    rig.establish();
    let link = rig.link(0);
    rig.receive(link, "END\r\n");
    rig.take(link);
    rig.take(client);
    (rig, client)
}

#[test]
fn what_a_server_says_to_a_request_without_reply_reaches_nobody() {
    let (mut rig, client) = one();
    let other = rig.client();
    rig.receive(client, "set k 0 0 1 noreply\r\n1\r\n");
    rig.receive(other, "get a\r\n");
    rig.receive(client, "get k\r\n");
    let shared = rig.link(0);
    let sent = rig.take(shared);
    assert_eq!(
        sent,
        "set k 0 0 1 noreply\r\n1\r\nversion\r\nget a\r\nget k\r\n"
    );
    rig.receive(shared, "SERVER_ERROR a\r\nERROR\r\nVERSION 1\r\n");
    rig.receive(shared, "VALUE a 0 1\r\nx\r\nEND\r\nEND\r\n");
    assert_eq!(rig.take(client), "END\r\n");
    assert_eq!(rig.take(other), "VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_quiet_request_is_answered_with_what_the_server_says_to_it() {
    let (mut rig, client) = one();
    rig.receive(
        client,
        "mg a q v\r\nmg b q v\r\nset c 0 0 1 noreply\r\n1\r\nmn\r\n",
    );
    let shared = rig.link(0);
    assert_eq!(rig.take(client), "", "nothing is known yet");
    rig.receive(shared, "VERSION 1\r\nVA 1\r\nx\r\nVERS");
    rig.receive(shared, "ION 1\r\n");
    assert_eq!(rig.take(client), "VA 1\r\nx\r\n");
    rig.receive(shared, "VERSION 1\r\n");
    assert_eq!(rig.take(client), "MN\r\n");
}

#[test]
fn a_failed_fragment_is_an_error_or_a_miss_as_the_pool_says() {
    for (failed_get, expected) in [
        (FailedGet::Error, "SERVER_ERROR Connection refused\r\n"),
        (FailedGet::Miss, "VALUE b 0 1\r\nx\r\nEND\r\n"),
    ] {
        let config = Pool {
            failed_get,
            ..memcached(2)
        };
        let mut rig = Rig::new(config);
        let client = rig.client();
        // Modula over fnv1a_64 puts the two on different servers.
        rig.receive(client, "get a b\r\n");
        assert_eq!(rig.links.len(), 2);
        let (lost, kept) = (rig.link(0), rig.link(1));
        rig.proxy.failed(lost, Cause::Refused);
        rig.proxy.connected(kept);
        rig.settle();
        let asked = rig.take(kept);
        let reply = if asked == "get b \r\n" {
            "VALUE b 0 1\r\nx\r\nEND\r\n"
        } else {
            "VALUE a 0 1\r\nx\r\nEND\r\n"
        };
        rig.receive(kept, reply);
        let expected = match &*asked {
            "get b \r\n" => expected.to_owned(),
            _ => expected.replace("VALUE b", "VALUE a"),
        };
        assert_eq!(rig.take(client), expected);
    }
}

#[test]
fn a_value_of_another_key_closes_the_client_and_is_told() {
    let mut rig = Rig::new(memcached(2));
    let client = rig.client();
    rig.receive(client, "get a b\r\n");
    for index in 0..2 {
        let link = rig.link(index);
        rig.proxy.connected(link);
        rig.settle();
        let asked = rig.take(link);
        let value = if asked == "get a \r\n" { 'a' } else { 'c' };
        rig.receive(link, format!("VALUE {value} 0 1\r\nx\r\nEND\r\n"));
    }
    assert_eq!(rig.notices, [What::Unjoinable]);
    assert_eq!(rig.closed, [(client, CloseHow::Reset)]);
}
