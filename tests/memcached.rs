//! The memcache protocol held against a real memcached: that what is refused here is refused there in
//! the same words, and that both see the same boundaries in everything that is forwarded.

#[path = "support/mod.rs"]
mod support;

use nutcrab::protocol::{
    Commands, Limits, Parse, Protocol, ReplyScan, Request, RequestScan, Verdict,
};
use support::*;

fn parse(bytes: &[u8]) -> Request {
    let commands = Commands::standard(Protocol::Memcache);
    match commands.parse(bytes, &mut RequestScan::default(), &Limits::MEMCACHE) {
        Parse::Done { request, len } => {
            assert_eq!(len, bytes.len(), "{}", shown(bytes));
            request
        }
        other => panic!("{}: {other:?}", shown(bytes)),
    }
}

/// A key longer than memcached takes.
fn long_key() -> String {
    "k".repeat(251)
}

#[test]
fn refused_lines_get_the_words_memcached_has_for_them() {
    let server = Server::memcached();
    let mut wire = Wire::connect(server.address());
    let key = long_key();
    for line in [
        "",
        "  ",
        "foo",
        "GET a",
        "get",
        "gets ",
        &format!("get {key}"),
        &format!("get a {key} b"),
        "delete",
        "delete a b c d",
        "delete a x",
        "delete a noreply x",
        &format!("delete {key}"),
        "incr",
        "incr a",
        "incr a 1 2 3",
        "incr a x",
        "incr a -1",
        "decr a 1x",
        &format!("decr {key} 1"),
        "touch",
        "touch a",
        "touch a 1 2 3",
        "touch a x",
        "touch a -",
        &format!("touch {key} 0"),
        "gat",
        "verbosity",
    ] {
        let request = format!("{line}\r\n");
        let ours = match parse(request.as_bytes()).verdict {
            Verdict::Refuse(refusal) => refusal,
            other => panic!("{line:?}: {other:?}"),
        };
        wire.check(request.as_bytes(), ours.bytes());
    }
}

#[test]
fn refused_lines_with_noreply_are_refused_in_silence_as_memcached_does() {
    let server = Server::memcached();
    let mut wire = Wire::connect(server.address());
    let key = long_key();
    for line in [
        "incr a x noreply",
        "touch a x noreply",
        "delete a x noreply",
        &format!("delete {key} noreply"),
        &format!("incr {key} 1 noreply"),
    ] {
        let request = format!("{line}\r\n");
        let ours = parse(request.as_bytes());
        assert!(matches!(ours.verdict, Verdict::Refuse(_)), "{line:?}");
        assert!(!ours.reply, "{line:?}");
        wire.send(request.as_bytes());
        wire.send(b"mn\r\n");
        assert_eq!(wire.line(), b"MN", "{line:?}");
    }
}

/// Sends what the parser would forward and expects memcached to give one whole reply to it, or none
/// where the parser says so, and then to be at the start of the next request.
#[test]
fn memcached_sees_the_same_boundaries_in_what_is_forwarded() {
    let server = Server::memcached();
    let mut wire = Wire::connect(server.address());
    let longest = "k".repeat(250);
    let many = format!("get {}\r\n", vec![&*longest; 4000].join(" "));
    assert!(many.len() > 1_000_000);
    for request in [
        "set a 0 0 1\r\nx\r\n",
        "set a 0 0 0\r\n\r\n",
        "set a 4294967295 2147483647 7\r\nget b\r\n\r\n",
        "set a 0 -2147483648 1\r\nx\r\n",
        "set a 00000000000000000001 -0 1\r\nx\r\n",
        "set a 0 0 1 noreply\r\nx\r\n",
        "  set   a  0  0 1  noreply  \r\nx\r\n",
        &format!("set {longest} 0 0 1\r\nx\r\n"),
        &format!("set {longest} {}0 0 1\r\nx\r\n", " ".repeat(700)),
        "set \x01\t\x7f\u{e9} 0 0 1\r\nx\r\n",
        "get \x01\t\x7f\u{e9}\r\n",
        "add a 0 0 1\r\nx\r\n",
        "replace nobody 0 0 1 noreply\r\nx\r\n",
        "append nobody 0 0 1\r\nx\r\n",
        "prepend noreply 0 0 1 noreply\r\nx\r\n",
        "cas a 0 0 1 18446744073709551615\r\nx\r\n",
        "cas a 0 0 1 0 noreply\r\nx\r\n",
        &format!("set big 0 0 {}\r\n{}\r\n", 2_000_000, "x".repeat(2_000_000)),
        &format!(
            "set big 0 0 {} noreply\r\n{}\r\n",
            2_000_000,
            "x".repeat(2_000_000)
        ),
        "set n 0 0 2\r\n10\r\n",
        "decr n 1\r\n",
        "get n\r\n",
        "incr n 99999999999999999999\r\n",
        "incr n 99999999999999999999 noreply\r\n",
        "incr n 007\r\n",
        "incr a 1 noreply\r\n",
        "touch a -1\r\n",
        "touch n 99999999999\r\n",
        "touch n 99999999999999999999999999999999 noreply\r\n",
        "delete n\r\n",
        "delete n noreply\r\n",
        "delete noreply\r\n",
        "get a b c\r\n",
        "gets a b c \r\n",
        &many,
        "version\r\n",
    ] {
        let bytes = request.as_bytes();
        let ours = parse(bytes);
        let forwarded = matches!(
            ours.verdict,
            Verdict::Forward | Verdict::Split(_) | Verdict::Keyless
        );
        assert!(forwarded, "{}", shown(bytes));
        wire.send(bytes);
        wire.send(b"mn\r\n");
        let (received, _) = wire.read_until(|received| received.ends_with(b"MN\r\n"));
        let reply = &received[..received.len() - 4];
        if !ours.reply {
            assert_eq!(shown(reply), "", "{}", shown(bytes));
            continue;
        }
        let fed = Protocol::Memcache.feed_reply(&mut ReplyScan::default(), reply);
        let fed = fed.unwrap_or_else(|bad| panic!("{}: {bad}: {}", shown(bytes), shown(reply)));
        assert!(fed.done, "{}: {}", shown(bytes), shown(reply));
        assert_eq!(fed.used, reply.len(), "{}: {}", shown(bytes), shown(reply));
    }
}
