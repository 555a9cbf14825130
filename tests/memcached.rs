//! The memcache protocol held against a real memcached: that what is refused here is refused there in
//! the same words, and that both see the same boundaries in everything that is forwarded.

#[path = "support/mod.rs"]
mod support;

use nutcrab::protocol::{
    Answer, Commands, Family, Limits, Merge, Parse, Parsed, Protocol, ReplyScan, RequestScan,
    Verdict,
};
use support::*;

fn parse(bytes: &[u8]) -> Parsed {
    let commands = Commands::standard(Protocol::Memcache);
    match commands.parse(bytes, &mut RequestScan::default(), &Limits::MEMCACHE) {
        Parse::Done { request, len } => {
            assert_eq!(len, bytes.len(), "{}", shown(bytes));
            request
        }
        other => panic!("{}: {other:?}", shown(bytes)),
    }
}

/// Which replies the request can have.
fn family(request: &Parsed) -> Family {
    match request.verdict {
        Verdict::Everywhere(fan) if fan.merge == Merge::Stats => Family::Statistics,
        _ => Commands::standard(Protocol::Memcache).family(request.command),
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
        "delete a 1",
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
        "gat x a",
        &format!("gat 0 a {key}"),
        "verbosity",
        "verbosity x",
        "verbosity 1 2 3",
        "flush_all x",
        "flush_all 1 2 3",
        "mg",
        "md",
        "me",
        "mx a",
        &format!("mg {key}"),
        "ma",
        "mg YQ= b",
        "mg !!!! b v",
        "md a b",
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
        assert_eq!(ours.answer, Answer::Never, "{line:?}");
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
        "version x\r\n",
        "get a\n",
        "set a 0 0 1\nx\r\n",
        "set a 0 0 1 x\r\nx\r\n",
        "gat 0 a\r\n",
        "gats -1 a b\r\n",
        "incr n 1 x\r\n",
        "touch a 0 x\r\n",
        "delete a 0\r\n",
        "delete a 0 noreply\r\n",
        "verbosity 0\r\n",
        "verbosity 0 1\r\n",
        "verbosity noreply\r\n",
        "stats items\r\n",
        "stats slabs\r\n",
        "stats settings\r\n",
        "stats sizes\r\n",
        "stats conns\r\n",
        "stats extstore\r\n",
        "stats proxy\r\n",
        "stats reset\r\n",
        "stats detail on\r\n",
        "stats detail off\r\n",
        "ms a 3\r\nabc\r\n",
        "ms a 3 q\r\nabc\r\n",
        "ms YWI= 3 b k O1 c\r\nabc\r\n",
        "ms a 3 MX\r\nabc\r\n",
        "ms a 3 TX\r\nabc\r\n",
        "ms a 3 c c\r\nabc\r\n",
        "ms a 3 S1\r\nabc\r\n",
        "ms a 3 C1\r\nabc\r\n",
        "ms a 3 C1 q\r\nabc\r\n",
        "ms a 3 I MX C5 T-1 F7 k O2\r\nabc\r\n",
        &format!("ms a 1{}\r\nx\r\n", " c".repeat(16)),
        &format!("ms big 2000000 q\r\n{}\r\n", "x".repeat(2_000_000)),
        "mg a\r\n",
        "mg a v k f s t c h l O123\r\n",
        "mg a v q k\r\n",
        "mg nobody q\r\n",
        "mg nobody v N30 R5\r\n",
        "mg YWI= b k v\n",
        "mg a Z\r\n",
        "mg a v v\r\n",
        &format!("mg a {}\r\n", "c ".repeat(30)),
        "ma nobody\r\n",
        "ma nobody q\r\n",
        "ma counter N0 J7 v\r\n",
        "ma counter q v\r\n",
        "ma counter D2 MD v t c\r\n",
        "ma a\r\n",
        "me a\r\n",
        "me nobody\r\n",
        "md nobody q\r\n",
        "md a I T30\r\n",
        "md a q k O9\r\n",
        "flush_all 0\r\n",
        "flush_all noreply\r\n",
        "flush_all 0 noreply\r\n",
        "flush_all 1 2\r\n",
    ] {
        let bytes = request.as_bytes();
        let ours = parse(bytes);
        let forwarded = matches!(
            ours.verdict,
            Verdict::Forward
                | Verdict::Encoded
                | Verdict::Expired(_)
                | Verdict::Split(_)
                | Verdict::Everywhere(_)
                | Verdict::Keyless
        );
        assert!(forwarded, "{}", shown(bytes));
        wire.send(bytes);
        wire.send(b"mn\r\n");
        let (received, _) = wire.read_until(|received| received.ends_with(b"MN\r\n"));
        let reply = &received[..received.len() - 4];
        match ours.answer {
            Answer::Always => {}
            Answer::Never => assert_eq!(shown(reply), "", "{}", shown(bytes)),
            Answer::Maybe => {}
        }
        if ours.answer != Answer::Always && reply.is_empty() {
            continue;
        }
        let mut scan = ReplyScan::default();
        scan.family = family(&ours);
        let fed = Protocol::Memcache.feed_reply(&mut scan, reply);
        let fed = fed.unwrap_or_else(|bad| panic!("{}: {bad}: {}", shown(bytes), shown(reply)));
        assert!(fed.done, "{}: {}", shown(bytes), shown(reply));
        assert_eq!(fed.used, reply.len(), "{}: {}", shown(bytes), shown(reply));
    }
}

/// What memcached says to `request` before it answers the next one.
fn said_before(wire: &mut Wire, request: &[u8]) -> Vec<u8> {
    wire.send(&[request, b"mn\r\n"].concat());
    let (mut received, _) = wire.read_until(|received| received.ends_with(b"MN\r\n"));
    received.truncate(received.len() - 4);
    received
}

/// Every word the program has is tried as a word of `stats`. What is passed on must have an end that is
/// found; what memcached knows beyond that must be refused by name, so that a new word is noticed.
#[test]
fn every_word_of_memcached_is_known_with_its_end_or_not_passed_on() {
    let server = Server::memcached();
    let mut wire = Wire::connect(server.address());
    let mut passed = 0;
    for word in server.words() {
        let line = format!("stats {word}\r\n");
        if word == "noreply" {
            continue;
        }
        let said = said_before(&mut wire, line.as_bytes());
        match parse(line.as_bytes()).verdict {
            Verdict::Everywhere(_) => {
                let mut scan = ReplyScan::default();
                scan.family = family(&parse(line.as_bytes()));
                let fed = Protocol::Memcache.feed_reply(&mut scan, &said);
                let fed = fed.unwrap_or_else(|bad| panic!("{word}: {bad}: {}", shown(&said)));
                assert!(
                    fed.done && fed.used == said.len(),
                    "{word}: {}",
                    shown(&said)
                );
                passed += 1;
            }
            Verdict::Refuse(ours) if ours.bytes() == b"ERROR\r\n" => {
                assert_eq!(shown(&said), "ERROR\\r\\n", "{word}");
            }
            Verdict::Refuse(_) => {}
            other => panic!("{word}: {other:?}"),
        }
    }
    assert!(passed >= 5, "only {passed} words were passed on");
}
