//! Replies that are none to what was asked: the connection ends before any of it reaches a client.

use super::*;
use crate::protocol::{BadReply, Stamp, binary};

fn memcached(servers: usize) -> Pool {
    Pool {
        protocol: Protocol::Memcache,
        ..pool(servers)
    }
}

/// A request of the binary protocol for this key.
pub(super) fn packet(opcode: u8, key: &str, opaque: &[u8; 4]) -> Vec<u8> {
    let stamp = Stamp {
        opcode,
        opaque: *opaque,
    };
    let mut bytes = stamp.packet(binary::Status::Success, key.as_bytes(), b"");
    bytes[0] = binary::REQUEST;
    bytes
}

pub(super) fn hit(opcode: u8, opaque: &[u8; 4], value: &str) -> Vec<u8> {
    let stamp = Stamp {
        opcode,
        opaque: *opaque,
    };
    stamp.reply(binary::Status::Success, value.as_bytes())
}

/// Takes what was written to `conn` since last asked.
pub(super) fn taken(rig: &mut Rig, conn: ConnId) -> Vec<u8> {
    rig.written.remove(&conn).unwrap_or_default()
}

/// Asks with `request`, after which the server says `reply`, and another client asks, too. Gives what the
/// first is told.
fn told(pool: Pool, request: &str, reply: &str) -> (Rig, String) {
    let mut rig = Rig::strict(pool);
    let [client, other] = [(); 2].map(|()| rig.client());
    rig.receive(client, request);
    rig.establish();
    let link = rig.link(0);
    if request.contains("MULTI") {
        rig.prove(link);
    }
    rig.receive(other, request);
    rig.receive(link, reply);
    let text = rig.take(client);
    (rig, text)
}

#[test]
fn a_redis_reply_of_a_type_its_command_cannot_have_reaches_no_client() {
    for (words, good, bad) in [
        (
            "GET a",
            &["$1\r\nx\r\n", "$-1\r\n"][..],
            &["+x\r\n", ":1\r\n", "*0\r\n"][..],
        ),
        ("SET a b", &["+OK\r\n", "$-1\r\n"], &[":1\r\n", "*0\r\n"]),
        ("INCR a", &[":1\r\n"], &["+OK\r\n", "$1\r\nx\r\n", "*0\r\n"]),
        (
            "HGETALL a",
            &["*0\r\n"],
            &["$1\r\nx\r\n", ":0\r\n", "+OK\r\n"],
        ),
        ("DEL a b", &[":2\r\n"], &["+OK\r\n", "*0\r\n"]),
        (
            "EVAL x 0",
            &["+OK\r\n", "$1\r\nx\r\n", "*0\r\n", ":1\r\n"],
            &[],
        ),
        ("PUBLISH a b", &[":0\r\n"], &["$1\r\nx\r\n"]),
    ] {
        for (replies, is_good) in [(good, true), (bad, false)] {
            for reply in replies {
                let (rig, text) = told(pool(1), &ask(words), reply);
                if is_good {
                    assert_eq!(text, **reply, "{words}");
                    assert!(rig.closed.is_empty(), "{words}: {reply:?}");
                } else {
                    assert_eq!(text, "-ERR Invalid argument\r\n", "{words}: {reply:?}");
                    assert!(rig.is_closed(rig.link(0)), "{words}: {reply:?}");
                    assert_eq!(rig.notices[0], What::BadReply(BadReply::Foreign));
                }
            }
        }
        let (rig, text) = told(pool(1), &ask(words), "-ERR any\r\n");
        assert_eq!((&*text, rig.closed.len()), ("-ERR any\r\n", 0), "{words}");
    }
}

#[test]
fn the_parts_of_a_transaction_are_answered_as_queued_or_with_errors() {
    let request: String = ["MULTI", "SET a b", "GET a", "EXEC"].map(ask).concat();
    let exec = "*2\r\n+OK\r\n$1\r\nb\r\n";
    let queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n";
    let done = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\nb\r\n";
    let (rig, text) = told(pool(1), &request, &[queued, exec].concat());
    assert_eq!(text, done);
    assert!(rig.closed.is_empty());
    let refused = "+OK\r\n-ERR no\r\n+QUEUED\r\n-EXECABORT x\r\n";
    let (rig, text) = told(pool(1), &request, refused);
    assert!(text.contains("-EXECABORT "), "{text}");
    assert!(rig.closed.is_empty());
    for reply in [
        "+OK\r\n$1\r\nx\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n$1\r\nx\r\n",
        ":1\r\n",
    ] {
        let (rig, text) = told(pool(1), &request, reply);
        assert!(text.ends_with("-ERR Invalid argument\r\n"), "{text}");
        assert!(rig.is_closed(rig.link(0)));
    }
}

#[test]
fn a_text_reply_of_another_family_or_key_reaches_no_client() {
    const FAILED: &str = "SERVER_ERROR Invalid argument\r\n";
    let value = |key: &str| format!("VALUE {key} 0 1\r\nx\r\nEND\r\n");
    for (request, good, bad) in [
        ("get a\r\n", value("a"), value("b")),
        ("gets a\r\n", "END\r\n".to_owned(), "STORED\r\n".to_owned()),
        ("get a b\r\n", value("b"), value("c")),
        ("gat 0 a\r\n", value("a"), value("ab")),
        (
            "set a 0 0 1\r\nx\r\n",
            "STORED\r\n".into(),
            "DELETED\r\n".into(),
        ),
        (
            "delete a\r\n",
            "NOT_FOUND\r\n".into(),
            "NOT_STORED\r\n".into(),
        ),
        ("incr a 1\r\n", "7\r\n".into(), "TOUCHED\r\n".into()),
        ("touch a 0\r\n", "TOUCHED\r\n".into(), "7\r\n".into()),
        ("mg a v\r\n", "VA 1\r\nx\r\n".into(), value("a")),
        ("ms a 1\r\nx\r\n", "HD\r\n".into(), "VA 1\r\nx\r\n".into()),
        ("version\r\n", "VERSION 1\r\n".into(), "END\r\n".into()),
        (
            "stats items\r\n",
            "STAT a 1\r\nEND\r\n".into(),
            "OK\r\n".into(),
        ),
        ("stats reset\r\n", "RESET\r\n".into(), "END\r\n".into()),
    ] {
        let (rig, text) = told(memcached(1), request, &good);
        assert_eq!(text, good, "{request:?}");
        assert!(rig.closed.is_empty(), "{request:?}");
        let (rig, text) = told(memcached(1), request, &bad);
        assert_eq!(text, FAILED, "{request:?}");
        assert!(rig.is_closed(rig.link(0)), "{request:?}");
    }
}

#[test]
fn keys_of_several_gets_on_one_connection_are_not_confused() {
    let mut rig = Rig::strict(memcached(1));
    let [first, second] = [(); 2].map(|()| rig.client());
    rig.receive(first, "get a b\r\n");
    rig.establish();
    rig.receive(second, "set k 0 0 1\r\nx\r\n");
    rig.receive(second, "get c d\r\n");
    let link = rig.link(0);
    rig.receive(
        link,
        "VALUE b 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\nSTORED\r\n",
    );
    rig.receive(link, "VALUE d 0 1\r\nx\r\nEND\r\n");
    assert!(rig.take(first).ends_with("x\r\nEND\r\n"));
    assert_eq!(rig.take(second), "STORED\r\nVALUE d 0 1\r\nx\r\nEND\r\n");
    // What the one before asked for is not what this one did.
    rig.receive(first, "get a b\r\n");
    rig.receive(second, "get c d\r\n");
    rig.receive(link, "END\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(rig.take(first), "END\r\n");
    assert_eq!(rig.take(second), "SERVER_ERROR Invalid argument\r\n");
    assert!(rig.is_closed(link));
}

#[test]
fn a_binary_reply_with_another_opcode_or_opaque_reaches_no_client() {
    let get = packet(0x00, "a", b"mine");
    for (request, reply) in [
        (&get, hit(0x00, b"othr", "x")),
        (&get, hit(0x0c, b"mine", "x")),
        (&packet(0x0d, "a", b"mine"), hit(0x0d, b"othr", "x")),
        (&packet(0x0d, "a", b"mine"), hit(0x0b, b"othr", "1.6")),
    ] {
        let mut rig = Rig::strict(memcached(1));
        let [client, other] = [(); 2].map(|()| rig.client());
        rig.receive(client, request);
        rig.establish();
        let link = rig.link(0);
        rig.receive(other, packet(0x00, "b", b"next"));
        rig.receive(link, &reply);
        let told = taken(&mut rig, client);
        assert_eq!(
            (told[1], &told[12..16], told[7]),
            (request[1], &b"mine"[..], 0x86)
        );
        assert_eq!(taken(&mut rig, other)[12..16], *b"next");
        assert!(rig.is_closed(link));
        assert_eq!(rig.notices[0], What::BadReply(BadReply::Foreign));
    }
}

#[test]
fn late_and_abandoned_binary_requests_keep_their_opaque() {
    let mut rig = Rig::strict(memcached(1));
    let [leaving, late, last] = [(); 3].map(|()| rig.client());
    rig.receive(leaving, packet(0x00, "a", b"gone"));
    rig.establish();
    rig.receive(late, packet(0x00, "b", b"late"));
    rig.proxy.ended(leaving);
    rig.settle();
    rig.pass(Duration::from_millis(300));
    let link = rig.link(0);
    rig.receive(link, hit(0x00, b"gone", "x"));
    rig.pass(Duration::from_millis(200));
    assert_eq!(taken(&mut rig, late)[7], 0x86);
    rig.receive(last, packet(0x00, "c", b"last"));
    rig.receive(
        link,
        [hit(0x00, b"late", "x"), hit(0x00, b"last", "y")].concat(),
    );
    assert_eq!(taken(&mut rig, last), hit(0x00, b"last", "y"));
    assert!(!rig.is_closed(link));
}
