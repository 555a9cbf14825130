//! Requests of which nothing was sent when their connection breaks go on over another one, and only those.

use super::wire::{hit, packet, taken};
use super::*;

/// A connection whose socket takes no more, on which `client` has asked `GET a`, which was sent, and
/// neighbours that ask behind it.
fn stuck(pool: Pool) -> (Rig, ConnId, ConnId) {
    let (mut rig, client) = ready(pool, Limits::default());
    let neighbour = rig.client();
    let link = rig.link(0);
    rig.receive(client, ask("GET a"));
    rig.full.push(link);
    (rig, client, neighbour)
}

#[test]
fn what_was_not_sent_goes_on_over_another_connection_in_its_order() {
    let (mut rig, client, neighbour) = stuck(pool(1));
    let other = rig.client();
    rig.receive(neighbour, ask("INCR n"));
    rig.receive(other, ask("INCR m"));
    rig.receive(neighbour, ask("GET n"));
    let broken = rig.link(0);
    rig.receive(broken, "?\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
    assert_eq!((rig.take(neighbour), rig.take(other)), Default::default());
    rig.establish();
    let fresh = rig.link(0);
    assert_ne!(fresh, broken);
    assert_eq!(
        rig.take(fresh),
        ask("INCR n") + &ask("INCR m") + &ask("GET n")
    );
    rig.receive(fresh, ":1\r\n:2\r\n$1\r\n1\r\n");
    assert_eq!(rig.take(neighbour), ":1\r\n$1\r\n1\r\n");
    assert_eq!(rig.take(other), ":2\r\n");
}

#[test]
fn what_may_have_reached_the_server_is_never_sent_again() {
    let (mut rig, _, neighbour) = stuck(pool(1));
    let other = rig.client();
    rig.receive(neighbour, ask("INCR n"));
    rig.receive(other, ask("INCR m"));
    let broken = rig.link(0);
    // A byte of it was taken.
    rig.proxy.sent(broken, 1);
    rig.proxy.failed(broken, Cause::Reset);
    rig.settle();
    rig.establish();
    assert_eq!(rig.take(rig.link(0)), ask("INCR m"));
    assert_eq!(rig.take(neighbour), "-ERR Connection reset by peer\r\n");
}

#[test]
fn nothing_goes_on_behind_a_request_of_the_same_client_that_may_be_executed() {
    let (mut rig, client, neighbour) = stuck(pool(1));
    rig.receive(client, ask("SET a 1"));
    rig.receive(neighbour, ask("SET b 1"));
    rig.receive(rig.link(0), "?\r\n");
    rig.establish();
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n".repeat(2));
    assert_eq!(rig.take(rig.link(0)), ask("SET b 1"));
}

#[test]
fn a_transaction_goes_on_nowhere() {
    let (mut rig, _, neighbour) = stuck(pool(1));
    rig.full.clear();
    let link = rig.link(0);
    rig.receive(neighbour, ask("MULTI") + &ask("SET b 1") + &ask("EXEC"));
    rig.take(neighbour);
    rig.receive(link, "$-1\r\n+OK\r\n*0\r\n");
    rig.take(link);
    rig.full.push(link);
    let asked = ask("MULTI") + &ask("SET b 2") + &ask("EXEC") + &ask("GET b");
    rig.receive(neighbour, asked);
    rig.receive(link, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n?\r\n");
    rig.establish();
    if rig.link(0) != link {
        assert_eq!(rig.take(rig.link(0)), "");
    }
    assert!(rig.take(neighbour).contains("-ERR"));
}

#[test]
fn what_was_not_sent_goes_on_once() {
    let (mut rig, _, neighbour) = stuck(pool(1));
    rig.receive(neighbour, ask("INCR n"));
    rig.receive(rig.link(0), "?\r\n");
    let second = rig.link(0);
    rig.full.push(second);
    rig.establish();
    rig.receive(second, "?\r\n");
    assert_eq!(rig.take(neighbour), "-ERR Invalid argument\r\n");
}

#[test]
fn a_connection_that_cannot_be_made_ends_in_an_error() {
    let (mut rig, _, neighbour) = stuck(pool(1));
    rig.receive(neighbour, ask("INCR n"));
    rig.receive(rig.link(0), "?\r\n");
    rig.proxy.failed(rig.link(0), Cause::Refused);
    rig.settle();
    assert_eq!(rig.take(neighbour), "-ERR Connection refused\r\n");
}

#[test]
fn gets_that_share_a_line_go_on_together() {
    let mut memcached = pool(1);
    memcached.protocol = Protocol::Memcache;
    memcached.limits = *Protocol::Memcache.limits();
    let mut rig = Rig::new(memcached);
    let (first, second, third) = (rig.client(), rig.client(), rig.client());
    rig.receive(first, "get x\r\n");
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), "get x\r\n");
    rig.full.push(link);
    rig.receive(second, "get a\r\n");
    rig.receive(third, "get b\r\n");
    rig.receive(second, "incr n 1\r\n");
    rig.receive(link, "?\r\n");
    assert_eq!(rig.take(first), "SERVER_ERROR Invalid argument\r\n");
    rig.establish();
    let fresh = rig.link(0);
    assert_eq!(rig.take(fresh), "get a b\r\nincr n 1\r\n");
    rig.receive(fresh, "VALUE b 0 1\r\ny\r\nEND\r\n1\r\n");
    assert_eq!(rig.take(second), "END\r\n1\r\n");
    assert_eq!(rig.take(third), "VALUE b 0 1\r\ny\r\nEND\r\n");
}

#[test]
fn what_a_request_may_have_caused_is_not_counted_as_a_failure_of_the_server() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    for bytes in ["?\r\n", "*1\r\n>1\r\n", "+a\rb\r\n"] {
        rig.receive(client, ask("GET a"));
        rig.establish();
        rig.receive(rig.link(0), bytes);
        assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
        assert!(rig.is_closed(rig.link(0)));
    }
    assert_eq!(rig.failures, []);
    let stats = &rig.stats.pools[0].servers[0];
    assert_eq!(stats.server_reply_violations.read(), 3);
    assert!(rig.notices.contains(&What::NotBlamed));
}

#[test]
fn what_a_server_says_before_any_request_is_its_own_fault() {
    let mut greeted = pool(1);
    greeted.redis_db = 1;
    let mut rig = Rig::new(greeted);
    let client = rig.client();
    rig.receive(client, ask("GET a"));
    rig.establish();
    rig.receive(rig.link(0), "?\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
    assert_eq!(rig.failures, [Cause::Invalid]);
}

/// What the reply to a request must repeat of it moves with the request.
#[test]
fn replies_to_what_went_on_are_compared_with_its_own_keys() {
    let mut rig = Rig::strict(Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    });
    let [first, second] = [(); 2].map(|()| rig.client());
    rig.receive(first, "get x y\r\n");
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), "get x y\r\n");
    rig.full.push(link);
    rig.receive(second, "gets a b\r\nset c 0 0 1\r\nc\r\ngets d e\r\n");
    rig.receive(link, "?\r\n");
    assert_eq!(rig.take(first), "SERVER_ERROR Invalid argument\r\n");
    rig.establish();
    let fresh = rig.link(0);
    rig.take(fresh);
    rig.receive(
        fresh,
        "VALUE b 0 1 7\r\nb\r\nEND\r\nSTORED\r\nVALUE d 0 1 8\r\nd\r\nEND\r\n",
    );
    assert_eq!(
        rig.take(second),
        "VALUE b 0 1 7\r\nb\r\nEND\r\nSTORED\r\nVALUE d 0 1 8\r\nd\r\nEND\r\n"
    );
    assert!(!rig.is_closed(fresh));
}

#[test]
fn packets_that_went_on_are_answered_under_their_own_numbers() {
    let mut rig = Rig::strict(Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    });
    let [first, second] = [(); 2].map(|()| rig.client());
    let get = 0u8;
    rig.receive(first, packet(get, "x", b"0000"));
    rig.establish();
    let link = rig.link(0);
    rig.take(link);
    rig.full.push(link);
    rig.receive(second, packet(get, "a", b"1111"));
    rig.receive(second, packet(get, "b", b"2222"));
    rig.receive(link, "?");
    rig.establish();
    let fresh = rig.link(0);
    assert_ne!(link, fresh);
    let replies = [hit(get, b"1111", "a"), hit(get, b"2222", "b")].concat();
    rig.receive(fresh, &replies);
    assert_eq!(taken(&mut rig, second), replies);
    assert!(!rig.is_closed(fresh));
}
