//! The harness tested on the original proxy: what the other tests rely on must itself hold.

#[path = "support/mod.rs"]
mod support;

use std::slice;

use support::*;

#[test]
fn every_kind_of_server_answers_through_every_kind_of_listener() {
    let redis = Server::redis_many(3);
    let (over_unix, over_ipv6) = (Server::redis_unix(), Server::redis_ipv6());
    let caches = Server::memcached_many(2);
    let cache_over_unix = Server::memcached_unix();
    let proxy = Proxy::nutcracker(vec![
        Pool::redis("alpha").servers(&redis),
        Pool::redis("beta")
            .servers(slice::from_ref(&over_unix))
            .on_ipv6(),
        Pool::redis("gamma")
            .servers(slice::from_ref(&over_ipv6))
            .on_unix(),
        Pool::memcache("delta").servers(&caches),
        Pool::memcache("epsilon").servers(slice::from_ref(&cache_over_unix)),
    ]);
    for pool in ["alpha", "beta", "gamma"] {
        let mut client = proxy.client(pool);
        assert_eq!(client.ask(&["SET", "a", "b"]), Reply::ok());
        client.check(&pipeline(&["GET a", "PING"]), b"$1\r\nb\r\n+PONG\r\n");
    }
    for pool in ["delta", "epsilon"] {
        let mut client = proxy.client(pool);
        client.check(
            b"set a 0 0 1\r\nb\r\nget a\r\n",
            b"STORED\r\nVALUE a 0 1\r\nb\r\nEND\r\n",
        );
    }
}

#[test]
fn a_killed_server_is_gone_and_a_restarted_one_is_empty() {
    let mut server = Server::redis();
    assert_eq!(server.ask(&["SET", "a", "b"]), Reply::ok());
    let id = server.process().id();
    server.kill();
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    assert!(Wire::try_connect(server.address()).is_err());
    server.restart();
    assert_eq!(server.ask(&["GET", "a"]), Reply::Bulk(None));
}

#[test]
fn the_fake_server_follows_its_script() {
    let server = FakeServer::start(|visit| match visit.index {
        0 => {
            let words = visit.request().expect("a request comes");
            visit.note(format!("{} words", words.len()));
            visit.wire.send(&fake::bulk(b"first"));
            visit.wait_closed();
        }
        _ => visit.wire.send(b"garbage\r\n"),
    });
    let mut first = Wire::connect(&server.address());
    assert_eq!(first.ask(&["GET", "a"]), Reply::bulk("first"));
    assert_eq!(
        first
            .read_until_quiet(std::time::Duration::from_millis(10))
            .1,
        End::Silent
    );
    let mut second = Wire::connect(&server.address());
    assert_eq!(second.line(), b"garbage");
    second.expect_closed();
    assert_eq!(
        (server.accepted(), server.notes()),
        (2, vec!["2 words".to_owned()])
    );
}

#[test]
fn a_value_tells_its_key_its_version_and_damage() {
    for length in [0, 40, 100_000] {
        let value = value::described(b"some:key\xff", 7, length);
        assert!(value.len() >= length);
        assert_eq!(value::check(b"some:key\xff", &value), 7);
        assert!(std::panic::catch_unwind(|| value::check(b"another", &value)).is_err());
        let mut damaged = value.clone();
        damaged[value.len() / 2] ^= 1;
        assert!(std::panic::catch_unwind(|| value::check(b"some:key\xff", &damaged)).is_err());
    }
}

#[test]
fn no_port_is_given_out_twice() {
    let mut numbers: Vec<_> = (0..50).map(|_| Port::free()).collect();
    numbers.sort_by_key(Port::number);
    numbers.dedup_by_key(|port| port.number());
    assert_eq!(numbers.len(), 50);
}
