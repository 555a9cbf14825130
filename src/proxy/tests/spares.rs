//! Spare connections go to those who use them.

use super::*;

const SPAN: Duration = Duration::from_secs(10);

fn limits() -> Limits {
    Limits {
        large_message: 20_000,
        spares: 1,
        upload_proof: 1000,
        client_min_rate: 100,
        client_rate_span: SPAN,
        ..Limits::default()
    }
}

/// A SET with a value of `len` bytes, cut where the value begins.
fn set(key: &str, len: usize) -> (String, String) {
    let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${len}\r\n", key.len());
    (head, "v".repeat(len) + "\r\n")
}

fn patient(servers: usize) -> Pool {
    Pool {
        timeout: None,
        ..pool(servers)
    }
}

/// So many bytes of a large request are more than a client may have in the rigs here.
const TOO_MANY: usize = 70_000;

/// A rig in which a first client has the only spare connection and has sent 2,000 bytes of its value.
fn taken(pool: Pool) -> (Rig, ConnId, ConnId) {
    let (mut rig, first) = ready(pool, limits());
    // As little is free as leaves each client 64 KiB, and nobody has to give way.
    rig.proxy.set_memory(500_000, 1_000_000);
    let (head, value) = set("k", 100_000);
    rig.receive(first, head + &value[..2000]);
    rig.establish();
    assert_eq!(rig.links.len(), 2, "one shared, one spare");
    let spare = rig.link(0);
    rig.take(spare);
    (rig, first, spare)
}

const TIMED_OUT: &str = "-ERR Connection timed out\r\n";

#[test]
fn a_client_has_no_spare_connection_before_it_sends() {
    let (mut rig, first) = ready(pool(1), limits());
    let (head, value) = set("k", 100_000);
    rig.receive(first, &head);
    rig.receive(first, &value[..500]);
    assert_eq!(rig.links.len(), 1, "it may never send more");
    // Another one is served meanwhile.
    let second = rig.client();
    rig.receive(second, &head);
    rig.receive(second, &value);
    rig.establish();
    let spare = rig.link(0);
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(second), "+OK\r\n");
    rig.receive(first, &value[500..]);
    assert_eq!(rig.take(spare), (head + &value).repeat(2));
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(first), "+OK\r\n");
}

#[test]
fn waiting_for_a_spare_connection_ends_with_the_timeout() {
    let (mut rig, first, spare) = taken(pool(1));
    let second = rig.client();
    let (head, value) = set("k", 100_000);
    rig.receive(second, head + &value[..2000]);
    assert_eq!(rig.stats.pools[0].spare_connections_hits.read(), 1);
    // As long as it is gathered only its client is slow.
    rig.pass(Duration::from_secs(2));
    rig.receive(second, &value[2000..TOO_MANY]);
    rig.pass(Duration::from_millis(399));
    assert_eq!(rig.take(second), "");
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.take(second), TIMED_OUT);
    assert_eq!(rig.failures, [], "it is not the server's fault");
    assert_eq!(rig.stats.pools[0].spare_connections_hits.read(), 1);
    // The rest of it is thrown away, and what comes behind is a request again.
    rig.receive(second, value[TOO_MANY..].to_string() + &ask("PING"));
    assert_eq!(rig.take(second), "+PONG\r\n");
    // The one that has the connection is not hurt, and gives it to nobody who has left.
    let (_, value) = set("k", 100_000);
    rig.receive(first, &value[2000..]);
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(first), "+OK\r\n");
    assert_eq!(rig.take(spare).len(), value.len() - 2000);
}

#[test]
fn who_wants_no_reply_is_not_told_that_it_waited_in_vain() {
    let config = Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    };
    let mut rig = Rig::with_limits(config, limits());
    rig.proxy.set_memory(500_000, 1_000_000);
    let (first, second) = (rig.client(), rig.client());
    for client in [first, second] {
        rig.receive(client, "set k 0 0 100000 noreply\r\n");
        rig.receive(client, "v".repeat(2000));
    }
    rig.receive(second, "v".repeat(TOO_MANY - 2000));
    rig.pass(Duration::from_millis(400));
    assert_eq!(rig.take(second), "");
    rig.receive(second, "v".repeat(100_000 - TOO_MANY) + "\r\nverbosity\r\n");
    assert_eq!(rig.take(second), "ERROR\r\n");
}

#[test]
fn a_slow_sender_gives_its_connection_up_when_others_wait() {
    let (mut rig, first, spare) = taken(patient(1));
    let (_, value) = set("k", 100_000);
    // As long as nobody waits it may take its time.
    for _ in 0..12 {
        rig.pass(SPAN / 4);
        rig.receive(first, "v");
    }
    assert!(!rig.is_closed(spare));
    let second = rig.client();
    let (head, other) = set("other", 100_000);
    rig.receive(second, &head);
    rig.receive(second, &other[..50_000]);
    assert!(!rig.is_closed(spare), "the other one is gathered meanwhile");
    rig.receive(second, &other[50_000..TOO_MANY]);
    assert!(rig.is_closed(spare), "the server has half a request");
    assert_eq!(rig.take(first), TIMED_OUT);
    assert_eq!(rig.failures, [], "the server has done nothing wrong");
    assert_eq!(rig.notices, [What::SlowUpload]);
    assert_eq!(rig.stats.pools[0].slow_uploads_ended.read(), 1);
    rig.establish();
    rig.receive(second, &other[TOO_MANY..]);
    let spare = rig.link(0);
    assert_eq!(rig.take(spare), head + &other);
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(second), "+OK\r\n");
    // The slow one's connection is in order.
    rig.receive(first, value[2012..].to_string() + &ask("PING"));
    assert_eq!(rig.take(first), "+PONG\r\n");
}

#[test]
fn the_one_that_waits_is_served_once_it_is_known_who_is_slow() {
    let (mut rig, first, spare) = taken(patient(1));
    let second = rig.client();
    let (head, other) = set("other", 100_000);
    rig.receive(second, &head);
    rig.receive(second, &other[..TOO_MANY]);
    rig.receive(first, "v".repeat(1000));
    rig.pass(SPAN);
    assert!(!rig.is_closed(spare), "that was enough in this span");
    rig.receive(first, "v".repeat(999));
    rig.pass(SPAN);
    assert!(rig.is_closed(spare));
    assert_eq!(rig.take(first), TIMED_OUT);
    rig.establish();
    rig.receive(second, &other[TOO_MANY..]);
    rig.receive(rig.link(0), "+OK\r\n");
    assert_eq!(rig.take(second), "+OK\r\n");
}

#[test]
fn a_slow_server_is_not_taken_for_a_slow_sender() {
    let (mut rig, first, spare) = taken(patient(1));
    rig.full.push(spare);
    let (_, value) = set("k", 100_000);
    rig.receive(first, &value[2000..3000]);
    let second = rig.client();
    let (head, other) = set("other", 100_000);
    rig.receive(second, &head);
    rig.receive(second, &other[..TOO_MANY]);
    for _ in 0..3 {
        rig.pass(SPAN);
    }
    // For that the connection is given up, after a while: it was the server's to take them.
    assert_eq!(
        rig.notices
            .iter()
            .filter(|what| **what == What::SlowUpload)
            .count(),
        0
    );
}

#[test]
fn a_steady_sender_keeps_its_connection_while_others_wait() {
    let (mut rig, first, spare) = taken(patient(1));
    let second = rig.client();
    let (head, other) = set("other", 100_000);
    rig.receive(second, &head);
    rig.receive(second, &other[..TOO_MANY]);
    for _ in 0..40 {
        rig.pass(SPAN / 10);
        rig.receive(first, "v".repeat(200));
    }
    assert!(!rig.is_closed(spare));
    assert_eq!(rig.notices, []);
}

/// Those who wait are in a queue: none is looked at before its turn, and those who left cost nothing.
#[test]
fn thousands_wait_for_a_spare_connection_in_their_order() {
    const CLIENTS: usize = 4000;
    let (mut rig, first, spare) = taken(patient(1));
    let (_, value) = set("k", 100_000);
    let (head, other) = set("other", 21_000);
    let waiting: Vec<ConnId> = (0..CLIENTS).map(|_| rig.client()).collect();
    for &client in &waiting {
        rig.receive(client, &head);
        rig.receive(client, &other[..2000]);
    }
    for &client in waiting.iter().skip(1).step_by(2) {
        rig.proxy.failed(client, Cause::Reset);
    }
    rig.settle();
    rig.receive(first, &value[2000..]);
    rig.receive(spare, "+OK\r\n");
    rig.take(spare);
    for &client in waiting.iter().step_by(2) {
        rig.receive(client, &other[2000..]);
        rig.receive(spare, "+OK\r\n");
        assert_eq!(rig.take(client), "+OK\r\n");
    }
    assert_eq!(rig.links.len(), 2);
    // Each took its place once.
    let waited = rig.stats.pools[0].spare_connections_hits.read();
    assert_eq!(waited, CLIENTS as i64);
}

#[test]
fn who_does_not_read_a_reply_keeps_no_connection_from_others() {
    let (mut rig, first) = ready(
        patient(1),
        Limits {
            window: 10_000,
            ..limits()
        },
    );
    let (head, value) = set("k", 100_000);
    rig.receive(first, head + &value[..2000]);
    rig.establish();
    let spare = rig.link(0);
    rig.receive(first, &value[2000..]);
    rig.take(spare);
    rig.full.push(first);
    let old = format!("$2000000\r\n{}\r\n", "o".repeat(2_000_000));
    let mut read = 0;
    while read < old.len() && rig.proxy.wants_read(spare) {
        let end = old.len().min(read + 50_000);
        rig.receive(spare, &old[read..end]);
        read = end;
    }
    assert!(read < old.len(), "it is left unread");
    let second = rig.client();
    let (head, value) = set("l", 100_000);
    rig.receive(second, head + &value[..2000]);
    assert!(rig.proxy.wants_read(spare));
    while read < old.len() {
        let end = old.len().min(read + 50_000);
        rig.receive(spare, &old[read..end]);
        read = end;
    }
    rig.receive(second, &value[2000..]);
    assert!(
        rig.take(spare)
            .starts_with("*3\r\n$3\r\nSET\r\n$1\r\nl\r\n")
    );
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(second), "+OK\r\n");
    assert!(!rig.is_closed(first));
}

/// Whoever has the spare connections, and however slow they are.
#[test]
fn what_is_all_there_needs_no_spare_connection() {
    let (mut rig, first, spare) = taken(patient(1));
    let shared = rig.links[0].1;
    for round in 0..13 {
        // Slow, too; but all of it comes.
        let client = rig.client();
        let (head, value) = set("other", 50_000);
        rig.receive(client, &head);
        for piece in value.as_bytes().chunks(10_000) {
            rig.pass(SPAN / 20);
            rig.receive(first, "v");
            rig.receive(client, piece);
        }
        rig.establish();
        let detour = rig.link(0);
        assert!(![spare, shared].contains(&detour));
        // What it asks behind is not answered before.
        rig.receive(client, ask("GET other"));
        assert_eq!(rig.take(detour), head + &value + &ask("GET other"));
        rig.receive(detour, "+OK\r\n:1\r\n");
        assert_eq!(rig.take(client), "+OK\r\n:1\r\n", "round {round}");
    }
    assert!(!rig.is_closed(first) && !rig.is_closed(spare));
    assert_eq!((rig.take(shared), rig.notices.len()), (String::new(), 0));
    assert_eq!(rig.links.len(), 3, "one around the others is enough");
    let (_, value) = set("k", 100_000);
    rig.receive(first, &value[2000 + 13 * 6..]);
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(first), "+OK\r\n");
}

#[test]
fn what_is_all_there_waits_for_what_its_client_asked_before() {
    let (mut rig, _, spare) = taken(patient(1));
    let shared = rig.links[0].1;
    let client = rig.client();
    let (head, value) = set("other", 50_000);
    rig.receive(client, ask("GET before") + &head);
    rig.receive(client, value.clone() + &ask("GET other"));
    assert_eq!(rig.take(shared), ask("GET before"));
    assert_eq!(rig.links.len(), 2);
    rig.receive(shared, ":1\r\n");
    rig.establish();
    let detour = rig.link(0);
    assert_ne!(detour, spare);
    assert_eq!(rig.take(detour), head + &value + &ask("GET other"));
    rig.receive(detour, "+OK\r\n:2\r\n");
    assert_eq!(rig.take(client), ":1\r\n+OK\r\n:2\r\n");
    // One that leaves meanwhile leaves nothing.
    let client = rig.client();
    let (head, value) = set("other", 50_000);
    rig.receive(client, ask("GET before") + &head);
    rig.receive(client, &value);
    rig.proxy.ended(client);
    rig.settle();
    rig.receive(shared, ":1\r\n");
    rig.receive(detour, "+OK\r\n");
    assert_eq!(rig.take(client), ":1\r\n+OK\r\n");
    assert!(rig.is_closed(client));
}

#[test]
fn what_cannot_go_on_comes_before_what_is_gathered() {
    let (mut rig, first, spare) = taken(patient(1));
    let (slow, fast) = (rig.client(), rig.client());
    let (head, value) = set("l", 100_000);
    rig.receive(slow, head.clone() + &value[..2000]);
    rig.receive(fast, head.clone() + &value[..2000]);
    rig.receive(fast, &value[2000..TOO_MANY]);
    let (_, rest) = set("k", 100_000);
    rig.receive(first, &rest[2000..]);
    rig.take(spare);
    rig.receive(spare, "+OK\r\n");
    rig.receive(fast, &value[TOO_MANY..]);
    assert_eq!(rig.take(spare), head + &value);
    rig.receive(spare, "+OK\r\n");
    assert_eq!(
        (rig.take(fast), rig.take(slow)),
        ("+OK\r\n".into(), String::new())
    );
    rig.receive(slow, &value[2000..]);
    rig.receive(spare, "+OK\r\n");
    assert_eq!(rig.take(slow), "+OK\r\n");
}

/// That of one whose request turns out to be too long, or no request, is nobody's any more.
#[test]
fn a_place_in_the_queue_ends_with_its_request() {
    let mut config = patient(1);
    config.limits.bulk = 60_000;
    let (mut rig, first) = ready(config, limits());
    let upload = |key: &str, second: usize| {
        let (head, value) = set(key, 60_000);
        let head = head.replace("*3", "*4").replace("SET", "ADD");
        (
            head.replace("ADD", "SADD").replace("$3", "$4"),
            value + &format!("${second}\r\n"),
        )
    };
    let (head, value) = upload("k", 50_000);
    rig.receive(first, head + &value[..2000]);
    rig.establish();
    let spare = rig.link(0);
    rig.take(spare);
    let (long, broken, last) = (rig.client(), rig.client(), rig.client());
    let (head, value) = upload("l", 60_001);
    rig.receive(long, head.clone() + &value);
    assert!(
        rig.take(long)
            .starts_with("-ERR value too long: 60001 bytes")
    );
    rig.receive(broken, head + &value.replace("$60001", "$-1"));
    assert_eq!(
        rig.take(broken),
        "-ERR Protocol error: invalid bulk length\r\n"
    );
    let (head, value) = upload("m", 50_000);
    let end = "v".repeat(50_000) + "\r\n";
    rig.receive(last, head.clone() + &value);
    let (_, rest) = upload("k", 50_000);
    rig.receive(first, rest[2000..].to_string() + &end);
    rig.take(spare);
    rig.receive(spare, ":1\r\n");
    assert_eq!(rig.take(spare), head + &value);
    rig.receive(last, &end);
    rig.receive(spare, ":1\r\n");
    assert_eq!(rig.take(last), ":1\r\n");
    rig.receive(long, "v".repeat(60_001) + "\r\n" + &ask("PING"));
    assert_eq!(rig.take(long), "+PONG\r\n");
}
