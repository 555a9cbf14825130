//! Each form whole, byte by byte and cut at every point; and the properties of the parser.

use proptest::prelude::*;

use super::*;
use crate::buffer::{BufferPool, Queue};
use crate::protocol::memcache::split;
use crate::protocol::pieces::{self, Outcome};
use crate::protocol::{BadBody, Merge, Protocol};

fn read(bytes: &[u8], ends: &[usize], limits: &Limits) -> Outcome {
    pieces::read(Protocol::Memcache, bytes, ends, limits)
}

fn check(bytes: &[u8]) -> Outcome {
    pieces::check(Protocol::Memcache, bytes)
}

/// The request in `bytes`, which must be all of them; what follows must not matter.
fn request(bytes: &[u8]) -> Parsed {
    for behind in [&b""[..], b"get a\r\n", b"\r\n", b"\0"] {
        let bytes_len = bytes.len();
        match check(&[bytes, behind].concat()) {
            Outcome::Request(_, len) => assert_eq!(len, bytes_len, "{}", bytes.escape_ascii()),
            other => panic!("{}: {other:?}", bytes.escape_ascii()),
        }
    }
    match check(bytes) {
        Outcome::Request(request, _) => request,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn refused(bytes: &[u8]) -> (String, bool) {
    let request = request(bytes);
    match request.verdict {
        Verdict::Refuse(refusal) => (text(&refusal), request.answer == Answer::Always),
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn text(refusal: &Refusal) -> String {
    let text = std::str::from_utf8(refusal.bytes()).expect("ascii");
    text.strip_suffix("\r\n").expect("a line").to_owned()
}

const FORMAT: &str = "CLIENT_ERROR bad command line format";

#[test]
fn one_key_is_forwarded() {
    for (line, key, reply) in [
        ("get a\r\n", "a", true),
        ("gets abc\r\n", "abc", true),
        ("get noreply\r\n", "noreply", true),
        ("  get   a  \r\n", "a", true),
        ("delete a\r\n", "a", true),
        ("delete a noreply\r\n", "a", false),
        ("delete noreply\r\n", "noreply", true),
        ("incr a 1\r\n", "a", true),
        ("decr a 18446744073709551616\r\n", "a", true),
        ("incr a 007 noreply\r\n", "a", false),
        ("touch a 0\r\n", "a", true),
        ("touch a -1 noreply  \r\n", "a", false),
        ("set a 0 0 0\r\n\r\n", "a", true),
        ("set  a  0  0  1 \r\nx\r\n", "a", true),
        ("add a 4294967295 2147483647 2\r\n\r\n\r\n", "a", true),
        ("replace a 0 -2147483648 1 noreply\r\nx\r\n", "a", false),
        ("append a 00 00 5\r\nget b\r\n", "a", true),
        ("prepend noreply 0 0 1\r\nx\r\n", "noreply", true),
        ("cas a 0 0 1 18446744073709551615\r\nx\r\n", "a", true),
        ("cas a 0 -1 3 0 noreply\r\nx\r\n\r\n", "a", false),
        ("get \x01\t\x7f\r\n", "\x01\t\x7f", true),
        ("get a\n", "a", true),
        ("delete a noreply\n", "a", false),
        ("set a 0 0 7\nget b\r\n\r\n", "a", true),
        ("cas a 0 0 1 1\nx\r\n", "a", true),
        ("set a 0 0 1 x\r\nx\r\n", "a", true),
        ("set a 0 0 1 NOREPLY\r\nx\r\n", "a", true),
        ("cas a 0 0 1 1 x\r\nx\r\n", "a", true),
        ("incr a 1 x\r\n", "a", true),
        ("touch a 0 x\r\n", "a", true),
        ("delete a 0\r\n", "a", true),
        ("delete a 0 noreply\r\n", "a", false),
        ("gat 0 a\r\n", "a", true),
        ("gats -1 a\n", "a", true),
        ("bget a\r\n", "a", true),
    ] {
        let request = request(line.as_bytes());
        assert_eq!(request.verdict, Verdict::Forward, "{line:?}");
        assert_eq!(request.key.of(line.as_bytes()), key.as_bytes(), "{line:?}");
        assert_eq!(request.answer, answer(!reply), "{line:?}");
    }
}

#[test]
fn expiry_times_that_versions_read_differently_go_out_as_at_once() {
    for (line, sent) in [
        ("set a 0 2147483648 1\r\nx\r\n", "set a 0 -1 1\r\nx\r\n"),
        (
            "set  a 0  4294967295 1 noreply\nx\r\n",
            "set  a 0  -1 1 noreply\nx\r\n",
        ),
        ("add a 7 04102444800 0\r\n\r\n", "add a 7 -1 0\r\n\r\n"),
        ("cas a 0 3000000000 1 5\r\nx\r\n", "cas a 0 -1 1 5\r\nx\r\n"),
    ] {
        let request = request(line.as_bytes());
        let Verdict::Expired(expiry) = request.verdict else {
            panic!("{line:?}: {request:?}")
        };
        assert_eq!(request.key.of(line.as_bytes()), b"a", "{line:?}");
        assert_eq!(
            at_once(line.as_bytes(), expiry),
            sent.as_bytes(),
            "{line:?}"
        );
    }
}

#[test]
fn several_keys_are_split() {
    for (line, expected) in [
        ("get a b\r\n", vec!["a", "b"]),
        ("gets a  b a \r\n", vec!["a", "b", "a"]),
        ("get a b\n", vec!["a", "b"]),
        ("gat 10 a b\r\n", vec!["a", "b"]),
        (" gats  -1  a b \n", vec!["a", "b"]),
    ] {
        let request = request(line.as_bytes());
        assert_eq!(request.verdict, Verdict::Split(Merge::Values), "{line:?}");
        assert_eq!(request.key.of(line.as_bytes()), b"a");
        let mut found = Vec::new();
        keys(line.as_bytes(), &mut found);
        let found: Vec<_> = found
            .iter()
            .map(|key| key.span().of(line.as_bytes()))
            .collect();
        let expected: Vec<_> = expected.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn quit_and_version_have_no_key() {
    let version = request(b"version\r\n");
    assert_eq!(
        (version.verdict, version.answer),
        (Verdict::Keyless, Answer::Always)
    );
    assert_eq!(request(b"version x\r\n").verdict, Verdict::Keyless);
    for line in [" quit \r\n", "quit x\r\n", "quit\n"] {
        let quit = request(line.as_bytes());
        assert_eq!(quit.verdict, Verdict::Local(Local::Quit), "{line:?}");
    }
}

#[test]
fn what_memcached_does_not_know_is_an_error_and_the_connection_stays() {
    for line in [
        "\r\n",
        "\n",
        "   \r\n",
        "foo\r\n",
        "GET a\r\n",
        "getx a\r\n",
        "get\r\n",
        "gets  \r\n",
        "delete\r\n",
        "delete a b c d\r\n",
        "delete a b c noreply\r\n",
        "incr\r\n",
        "incr a\r\n",
        "decr a 1 noreply x\r\n",
        "touch a\r\n",
        "touch a 1 2 3\r\n",
        "gat\r\n",
        "verbosity\r\n",
        "verbosity 1 2 3\r\n",
        "flush_all 0 1 noreply\r\n",
        "mg\r\n",
        "md\r\n",
        "mx a\r\n",
        "m\r\n",
    ] {
        assert_eq!(
            refused(line.as_bytes()),
            ("ERROR".to_owned(), true),
            "{line:?}"
        );
    }
}

#[test]
fn commands_for_all_servers_go_to_all() {
    let fan = |merge| {
        Verdict::Everywhere(Fan {
            reach: Reach::All,
            merge,
            partial: Partial::Fail,
        })
    };
    for (line, merge, reply) in [
        ("flush_all\r\n", Merge::First, true),
        ("flush_all 10\r\n", Merge::First, true),
        ("flush_all noreply\r\n", Merge::First, false),
        ("flush_all -1 noreply\n", Merge::First, false),
        ("flush_all 1 2\r\n", Merge::First, true),
        ("verbosity 1\r\n", Merge::First, true),
        ("verbosity 1 2\r\n", Merge::First, true),
        ("verbosity noreply\r\n", Merge::First, false),
        ("stats items\r\n", Merge::Stats, true),
        ("stats conns x\r\n", Merge::Stats, true),
        ("stats detail on\r\n", Merge::First, true),
        ("stats reset\r\n", Merge::First, true),
    ] {
        let request = request(line.as_bytes());
        assert_eq!(request.verdict, fan(merge), "{line:?}");
        assert_eq!(request.answer, answer(!reply), "{line:?}");
    }
    assert_eq!(request(b"stats\r\n").verdict, Verdict::Local(Local::Stats));
}

#[test]
fn statistics_whose_reply_has_no_certain_end_are_not_passed_on() {
    for (line, reply) in [
        (
            "stats sizes_enable",
            "CLIENT_ERROR stats sizes_enable is not passed on by the proxy",
        ),
        (
            "stats sizes_disable x",
            "CLIENT_ERROR stats sizes_disable is not passed on by the proxy",
        ),
        (
            "stats cachedump 1 0",
            "CLIENT_ERROR stats cachedump is not passed on by the proxy",
        ),
        (
            "stats detail dump",
            "CLIENT_ERROR stats detail is not passed on by the proxy",
        ),
        (
            "stats detail",
            "CLIENT_ERROR usage: stats detail on|off|dump",
        ),
        (
            "stats detail x",
            "CLIENT_ERROR usage: stats detail on|off|dump",
        ),
        ("stats nothing", "ERROR"),
        ("stats Items", "ERROR"),
        // "a\nb": memcached says it as it is if it was stored in the binary protocol.
        (
            "me YQpi b",
            "CLIENT_ERROR a key with a line end within cannot be returned by the proxy",
        ),
        (
            "mg YQpi b v k",
            "CLIENT_ERROR a key with a line end within cannot be returned by the proxy",
        ),
    ] {
        let Verdict::Refuse(refusal) = request(format!("{line}\r\n").as_bytes()).verdict else {
            panic!("{line}");
        };
        assert_eq!(refusal.bytes(), format!("{reply}\r\n").as_bytes(), "{line}");
    }
    for line in ["mg YQpi b v", "mg YSBi b k", "md YQpi b k", "me YSBi b"] {
        let request = request(format!("{line}\r\n").as_bytes());
        assert_eq!(request.verdict, Verdict::Encoded, "{line}");
    }
}

#[test]
fn a_pool_may_refuse_to_flush() {
    let mut table = Table::standard();
    table.refuse("flush_all");
    let parse =
        |line: &[u8]| match parse(line, &mut RequestScan::default(), &table, &Limits::MEMCACHE) {
            Parse::Done { request, .. } => request,
            other => panic!("{other:?}"),
        };
    for (line, expected) in [
        (&b"flush_all\r\n"[..], Answer::Always),
        (b"flush_all 0 noreply\r\n", Answer::Never),
    ] {
        let request = parse(line);
        let Verdict::Refuse(refusal) = request.verdict else {
            panic!("{request:?}");
        };
        assert_eq!(
            text(&refusal),
            "CLIENT_ERROR flush_all is not passed on by the proxy"
        );
        assert_eq!(request.answer, expected);
    }
}

#[test]
fn what_concerns_one_server_alone_is_refused_by_name() {
    for line in [
        "shutdown",
        "slabs reassign 1 2",
        "lru tune",
        "lru_crawler",
        "cache_memlimit 1",
        "watch",
    ] {
        let name = line.split(' ').next().expect("a word");
        let expected = format!("CLIENT_ERROR {name} is not passed on by the proxy");
        assert_eq!(refused(format!("{line}\r\n").as_bytes()), (expected, true));
    }
}

#[test]
fn meta_commands_are_routed_by_what_their_key_means() {
    for (line, key, verdict, answer) in [
        ("mg a\r\n", "a", Verdict::Forward, Answer::Always),
        ("mg a v k O123\n", "a", Verdict::Forward, Answer::Always),
        ("mg a v q\r\n", "a", Verdict::Forward, Answer::Maybe),
        ("mg YQ== b v\r\n", "YQ==", Verdict::Encoded, Answer::Always),
        ("md YQ== q b\r\n", "YQ==", Verdict::Encoded, Answer::Maybe),
        ("ma a N0 J7\r\n", "a", Verdict::Forward, Answer::Always),
        ("me a\r\n", "a", Verdict::Forward, Answer::Always),
        ("ms a 1\r\nx\r\n", "a", Verdict::Forward, Answer::Always),
        (
            "ms a 7 c\r\nget b\r\n\r\n",
            "a",
            Verdict::Forward,
            Answer::Always,
        ),
        (
            "ms YQ== 0 b q\n\r\n",
            "YQ==",
            Verdict::Encoded,
            Answer::Maybe,
        ),
    ] {
        let request = request(line.as_bytes());
        assert_eq!(request.verdict, verdict, "{line:?}");
        assert_eq!(request.key.of(line.as_bytes()), key.as_bytes(), "{line:?}");
        assert_eq!(request.answer, answer, "{line:?}");
    }
    for line in ["mn\r\n", "mn x\n"] {
        let request = request(line.as_bytes());
        assert_eq!(request.verdict, Verdict::Local(Local::Say(b"MN\r\n")));
    }
}

#[test]
fn a_word_behind_http_ends_the_connection() {
    match check(b"GET / HTTP/1.1\r\nHost: x\r\n") {
        Outcome::Bad(refusal) => assert_eq!(text(&refusal), "ERROR"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn malformed_lines_get_memcacheds_words_and_the_connection_stays() {
    let key = "k".repeat(251);
    let usage = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
    let delta = "CLIENT_ERROR invalid numeric delta argument";
    let exptime = "CLIENT_ERROR invalid exptime argument";
    for (line, words, reply) in [
        (format!("get {key}\r\n"), FORMAT, true),
        (format!("gets a {key} b\r\n"), FORMAT, true),
        (format!("delete {key}\r\n"), FORMAT, true),
        (format!("delete {key} noreply\r\n"), FORMAT, false),
        (format!("incr {key} 1\r\n"), FORMAT, true),
        (format!("touch {key} 1\r\n"), FORMAT, true),
        (format!("set {key} 0 0 7\r\nget b\r\n\r\n"), FORMAT, true),
        (format!("cas {key} 0 0 1 1 noreply\r\nx\r\n"), FORMAT, false),
        ("delete a 1\r\n".into(), usage, true),
        ("delete a x\r\n".into(), usage, true),
        ("delete a 1 noreply\r\n".into(), usage, false),
        ("delete a noreply 0\r\n".into(), usage, true),
        ("incr a x\r\n".into(), delta, true),
        ("incr a -1\r\n".into(), delta, true),
        ("decr a 1x noreply\r\n".into(), delta, false),
        ("touch a x\r\n".into(), exptime, true),
        ("touch a - noreply\r\n".into(), exptime, false),
        ("gat x a\r\n".into(), exptime, true),
        (format!("gat 0 a {key}\r\n"), FORMAT, true),
        ("flush_all x\r\n".into(), exptime, true),
        ("flush_all x noreply\r\n".into(), exptime, false),
        ("verbosity x\r\n".into(), FORMAT, true),
        ("verbosity -1\r\n".into(), FORMAT, true),
        ("me\r\n".into(), FORMAT, true),
        (format!("mg {key}\r\n"), FORMAT, true),
        (format!("ms {key} 7\r\nget b\r\n\r\n"), FORMAT, true),
        (
            "mg YQ= b\r\n".into(),
            "CLIENT_ERROR error decoding key",
            true,
        ),
        (
            "ms !! 7 b q\r\nget b\r\n\r\n".into(),
            "CLIENT_ERROR error decoding key",
            true,
        ),
        (
            format!("ms a 1{}\r\nx\r\n", " c".repeat(17)),
            "CLIENT_ERROR options flags too long",
            true,
        ),
        ("set a x 0 1\r\nx\r\n".into(), FORMAT, true),
        ("set a -1 0 1\r\nx\r\n".into(), FORMAT, true),
        ("set a 4294967296 0 1\r\nx\r\n".into(), FORMAT, true),
        (
            "set a 99999999999999999999999 0 1\r\nx\r\n".into(),
            FORMAT,
            true,
        ),
        ("set a 0 x 1 noreply\r\nx\r\n".into(), FORMAT, false),
        ("set a 0 4294967296 1\r\nx\r\n".into(), FORMAT, true),
        (
            "set a 0 18446744073709551616 1\r\nx\r\n".into(),
            FORMAT,
            true,
        ),
        ("set a 0 -2147483649 1\r\nx\r\n".into(), FORMAT, true),
        ("set a 0 +1 1\r\nx\r\n".into(), FORMAT, true),
        ("cas a 0 0 1 x\r\nx\r\n".into(), FORMAT, true),
        ("cas a 0 0 1 -1\r\nx\r\n".into(), FORMAT, true),
        (
            "cas a 0 0 1 18446744073709551616\r\nx\r\n".into(),
            FORMAT,
            true,
        ),
    ] {
        assert_eq!(
            refused(line.as_bytes()),
            (words.to_owned(), reply),
            "{line:?}"
        );
    }
}

#[test]
fn nothing_that_ends_a_line_for_any_server_stands_in_a_forwarded_line() {
    for line in [
        "get a\0b\r\n",
        "get a\rb\r\n",
        "get a\r\r\n",
        "get a b\0\r\n",
        "delete a\0\r\n",
        "incr a\0 1\r\n",
        "touch a\r 1\r\n",
        "set a\0b 0 0 1\r\nx\r\n",
        "set a\rb 0 0 1\r\nx\r\n",
    ] {
        assert_eq!(
            refused(line.as_bytes()),
            (FORMAT.to_owned(), true),
            "{line:?}"
        );
    }
    assert_eq!(refused(b"get\x00 a\r\n").0, "ERROR");
    // The first LF ends the line, whatever follows it.
    assert_eq!(check(b"get a\nget b\r\n"), check(b"get a\n"));
}

#[test]
fn where_the_data_ends_in_doubt_the_connection_ends() {
    for (line, words) in [
        ("set\r\n", "ERROR"),
        ("set a\r\n", "ERROR"),
        ("set a 0 0\r\n", "ERROR"),
        ("set a 0 0 1 noreply x\r\n", "ERROR"),
        ("set a key with spaces 0 0 1 noreply\r\n", "ERROR"),
        ("cas a 0 0 1\r\n", "ERROR"),
        ("ms\r\n", "ERROR"),
        ("ms a\r\n", FORMAT),
        ("ms a S1\r\n", FORMAT),
        ("ms a 01\r\n", FORMAT),
        ("ms a 3\r\nabcde\r\n", "CLIENT_ERROR bad data chunk"),
        ("set a 0 0 x\r\n", FORMAT),
        ("set a 0 0 -1\r\n", FORMAT),
        ("set a 0 0 +1\r\n", FORMAT),
        ("set a 0 0 01\r\n", FORMAT),
        ("set a 0 0 00\r\n", FORMAT),
        ("set a 0 0 1\0\r\n", FORMAT),
        ("set a 0 0 2147483646\r\n", FORMAT),
        ("set a 0 0 9999999999999\r\n", FORMAT),
        ("set a 0 0 18446744073709551617\r\n", FORMAT),
        ("cas a 0 0 noreply 1\r\n", FORMAT),
        ("set a 0 0 3\r\nabcde\r\n", "CLIENT_ERROR bad data chunk"),
        (
            "set a 0 0 3 noreply\r\na\r\nget b\r\n",
            "CLIENT_ERROR bad data chunk",
        ),
        ("set a 0 0 3\r\nabc\n\n", "CLIENT_ERROR bad data chunk"),
        ("set a 0 0 3\r\nabc\r\r\n", "CLIENT_ERROR bad data chunk"),
        ("set a x 0 3\r\nabcde", "CLIENT_ERROR bad data chunk"),
    ] {
        match check(line.as_bytes()) {
            Outcome::Bad(refusal) => assert_eq!(text(&refusal), words, "{line:?}"),
            other => panic!("{line:?}: {other:?}"),
        }
    }
}

#[test]
fn only_gets_may_be_long() {
    let ends_at = |line: &str, limit: usize| {
        let fit = format!("{line}{}\r\n", " ".repeat(limit - line.len() - 2));
        assert_eq!(fit.len(), limit);
        let over = fit.replace("\r\n", " \r\n");
        let endless = &over[..limit];
        let all = &Limits::MEMCACHE;
        assert!(
            matches!(read(fit.as_bytes(), &[], all), Outcome::Request(..)),
            "{line}"
        );
        for (bytes, ends) in [(&*over, vec![]), (&over, vec![limit]), (endless, vec![])] {
            match read(bytes.as_bytes(), &ends, all) {
                Outcome::Bad(refusal) => assert_eq!(text(&refusal), "CLIENT_ERROR line too long"),
                other => panic!("{line}: {other:?}"),
            }
        }
        assert_eq!(
            read(&endless.as_bytes()[..limit - 1], &[], all),
            Outcome::More,
            "{line}"
        );
    };
    ends_at("delete a", LINE_MAX);
    ends_at("version", LINE_MAX);
    ends_at("getx a", LINE_MAX);
    ends_at("", LINE_MAX);
    ends_at("get a", Limits::MEMCACHE.request);
    ends_at("  gets a", Limits::MEMCACHE.request);
    ends_at(
        &format!("{}get a", " ".repeat(INDENT_MAX)),
        Limits::MEMCACHE.request,
    );
    ends_at(&format!("{}get a", " ".repeat(INDENT_MAX + 1)), LINE_MAX);
    ends_at("gat 0 a", TOUCH_MAX);
    ends_at("gats -1 a b", TOUCH_MAX);
    ends_at("gatx 0 a", LINE_MAX);
}

#[test]
fn long_gats_are_written_anew_in_lines_that_servers_take() {
    let is_split = |line: &str| {
        matches!(
            request(line.as_bytes()).verdict,
            Verdict::Split(Merge::Values)
        )
    };
    assert!(!is_split("gat 0 a\r\n") && is_split("gat 0 a b\r\n"));
    let spaces = |count: usize| format!("gat 0{}a\r\n", " ".repeat(count));
    assert!(!is_split(&spaces(1000)) && is_split(&spaces(1100)));
    let zeros = |line: &str| line.replace(" 0", &format!(" {}", "0".repeat(21)));
    assert!(!matches!(
        request(zeros("gat 0 a\r\n").as_bytes()).verdict,
        Verdict::Refuse(_)
    ));
    let refused = request(zeros(&spaces(1100)).as_bytes());
    assert_eq!(
        refused.verdict,
        Verdict::Refuse(refusal(Complaint::Exptime))
    );
    let key = |length: usize| "k".repeat(length);
    for keys in [
        vec![key(250); 60],
        vec![key(1); 5000],
        [vec![key(1); 1000], vec![key(250)], vec![key(17); 50]].concat(),
    ] {
        for name in ["gat 0", "gats -1", "gat 01234567890123456789"] {
            let line = format!("{name} {}\r\n", keys.join("  "));
            let (mut units, mut buffers) = (Vec::new(), BufferPool::new(4096, 4));
            let line = line.as_bytes();
            assert!(split::units(line, &mut 0, usize::MAX, &mut units) && split::is_too_long(line));
            for units in units.chunks(split::line_units(line, &units) as usize) {
                let mut out = Queue::new();
                split::open_fragment(line, &mut out, &mut buffers);
                split::push_units(line, units, &mut out, &mut buffers);
                out.push(split::FRAGMENT_END, &mut buffers);
                assert!(out.len() <= LINE_MAX, "{} bytes", out.len());
            }
        }
    }
}

#[test]
fn a_large_value_is_handed_over_as_head_and_body() {
    let table = Table::standard();
    let line = b"set a 0 0 1073741824 noreply\r\nabc";
    match parse(line, &mut RequestScan::default(), &table, &Limits::MEMCACHE) {
        Parse::Head { request, body } => {
            assert_eq!(
                (request.verdict, request.answer),
                (Verdict::Forward, Answer::Never)
            );
            assert_eq!(body.announced(), 1073741824 - 3 + 2);
        }
        other => panic!("{other:?}"),
    }
    let line = b"set a 0 0 1073741825\r\n";
    match parse(line, &mut RequestScan::default(), &table, &Limits::MEMCACHE) {
        Parse::Head { request, .. } => {
            let Verdict::Refuse(refusal) = request.verdict else {
                panic!("{request:?}");
            };
            assert_eq!(text(&refusal), "SERVER_ERROR object too large for cache");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        text(&Protocol::Memcache.bad_body(BadBody::LineEnd)),
        "CLIENT_ERROR bad data chunk"
    );
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no key byte", |byte| !b" \r\n\0".contains(byte));
    proptest::collection::vec(byte, 1..=250)
}

/// A well-formed request, its keys, and whether it is answered.
fn well_formed() -> impl Strategy<Value = (Vec<u8>, Vec<Vec<u8>>, bool)> {
    let gets = prop::sample::select(vec!["get", "gets"]);
    let get = (gets, proptest::collection::vec(key(), 1..5)).prop_map(|(name, keys)| {
        let mut line = name.as_bytes().to_vec();
        for key in &keys {
            line.push(b' ');
            line.extend_from_slice(key);
        }
        line.extend_from_slice(b"\r\n");
        (line, keys, true)
    });
    let stores = prop::sample::select(vec!["set", "add", "replace", "append", "prepend", "cas"]);
    let data = proptest::collection::vec(any::<u8>(), 0..50);
    let numbers = (any::<u32>(), any::<i32>(), any::<u64>());
    let store = (stores, key(), numbers, data, any::<bool>()).prop_map(
        |(name, key, (flags, expiry, unique), data, silent)| {
            let mut line = name.as_bytes().to_vec();
            line.push(b' ');
            line.extend_from_slice(&key);
            line.extend(format!(" {flags} {expiry} {}", data.len()).into_bytes());
            if name == "cas" {
                line.extend(format!(" {unique}").into_bytes());
            }
            if silent {
                line.extend_from_slice(b" noreply");
            }
            line.extend_from_slice(b"\r\n");
            line.extend_from_slice(&data);
            line.extend_from_slice(b"\r\n");
            (line, vec![key], !silent)
        },
    );
    prop_oneof![get, store]
}

/// Bytes that look like requests but need not be any.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "get ",
        "gets ",
        "set ",
        "cas ",
        "ms ",
        "mg ",
        "mn",
        "gat ",
        "stats ",
        "flush_all ",
        "q ",
        "b ",
        "YQ== ",
        "delete ",
        "incr ",
        "touch ",
        "quit",
        "version",
        "a",
        "b ",
        " ",
        "0 ",
        "1 ",
        "-1 ",
        "3\r\n",
        "1\r\n",
        "\r\n",
        "\r",
        "\n",
        "x",
        "abc",
        "\0",
        "noreply",
        "noreply\r\n",
        "\u{80}",
    ]);
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((bytes, keys, reply) in well_formed()) {
        let request = request(&bytes);
        prop_assert_eq!(request.key.of(&bytes), &*keys[0]);
        prop_assert_eq!(request.answer, answer(!reply));
        let split = matches!(request.verdict, Verdict::Split(Merge::Values));
        prop_assert_eq!(split, keys.len() > 1);
        prop_assert!(split || request.verdict == Verdict::Forward);
    }

    #[test]
    fn any_bytes_in_any_cut_give_the_same(
        bytes in prop_oneof![likely(), proptest::collection::vec(any::<u8>(), 0..60)],
    ) {
        check(&bytes);
    }
}

#[test]
fn half_a_line_end_that_is_wrong_is_enough() {
    for bytes in [&b"set a 0 0 3\r\nabc "[..], b"set 0 set b 3\r\n\r-1 "] {
        assert!(matches!(check(bytes), Outcome::Bad(_)));
    }
    assert_eq!(check(b"set a 0 0 3\r\nabc\r"), Outcome::More);
}
