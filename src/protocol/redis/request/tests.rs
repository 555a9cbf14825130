//! What the request parser of Redis promises.

use super::super::commands::{Arity, Danger, Row};
use super::super::inline::encode;
use super::super::split;
use super::*;
use crate::protocol::{Key, Merge, Policy};
use proptest::prelude::*;

/// The table of a pool of one server, made once.
fn table() -> &'static Table {
    static TABLE: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::standard);
    &TABLE
}

fn whole(bytes: &[u8]) -> Parse {
    let mut scan = RequestScan::default();
    parse(bytes, &mut scan, table(), &Limits::REDIS)
}

/// The parse of `bytes` given in pieces that grow as `cuts` say.
fn in_pieces(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Parse {
    let table = table();
    let mut scan = RequestScan::default();
    for cut in cuts {
        match parse(&bytes[..cut], &mut scan, table, &Limits::REDIS) {
            Parse::More => {}
            done => return done,
        }
    }
    parse(bytes, &mut scan, table, &Limits::REDIS)
}

/// Parses the words whole, byte by byte and cut at every point, with something behind them, and
/// gives what all agree on.
fn check(words: &[&str]) -> Parsed {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let bytes = encode(&words);
    let expected = whole(&bytes);
    for cut in 0..bytes.len() {
        assert_eq!(in_pieces(&bytes, [cut]), expected, "{words:?} cut at {cut}");
    }
    assert_eq!(
        in_pieces(&bytes, 0..bytes.len()),
        expected,
        "{words:?} byte by byte"
    );
    let mut more = bytes.clone();
    more.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(whole(&more), expected, "{words:?} with a request behind");
    match expected {
        Parse::Done { request, len } if len == bytes.len() => request,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn keys_of(words: &[&str]) -> Vec<String> {
    let request = check(words);
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let bytes = encode(&words);
    let mut spans = Vec::new();
    keys::keys(&bytes, request.command, table(), &mut spans);
    spans
        .iter()
        .map(|key| match key {
            Key::Plain(span) => String::from_utf8_lossy(span.of(&bytes)).into_owned(),
            Key::Pattern(span) => format!("({})", String::from_utf8_lossy(span.of(&bytes))),
        })
        .collect()
}

/// As many arguments as the row wants at least, with what its keys need.
fn example(row: &Row) -> Vec<String> {
    let least = match row.arity {
        Arity::Exactly(count) | Arity::AtLeast(count) | Arity::Between(count, _) => count,
        Arity::Pairs => 5,
    };
    let mut words: Vec<String> = row.name.split('|').map(str::to_ascii_lowercase).collect();
    let counted = match row.keys {
        Keys::Counted { count, .. } => Some(usize::from(count)),
        Keys::Script => Some(2),
        _ => None,
    };
    let least = counted.map_or(least, |count| least.max(count as u32 + 2));
    words.extend((words.len() as u32..least).map(|index| format!("a{index}")));
    if let Some(count) = counted {
        words[count] = "1".into();
    }
    if row.keys == Keys::Streams {
        let at = words.len() - 3;
        words[at] = "streams".into();
    }
    if row.rule == Rule::Scan {
        words[1] = "0".into();
    }
    words
}

#[test]
fn every_row_is_understood_by_its_rule() {
    let table = table();
    for row in table.rows() {
        let words = example(row);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let request = check(&words);
        let bytes = encode(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        let key = request.key.of(&bytes);
        let mut found = Vec::new();
        keys::keys(&bytes, request.command, table, &mut found);
        let has_key = found.contains(&Key::Plain(request.key));
        match (row.rule, request.verdict) {
            (Rule::Forward | Rule::Digest, Verdict::Forward | Verdict::Together) => {
                assert!(has_key, "{}", row.name);
            }
            (Rule::Split(rule), Verdict::Split(merge)) => {
                assert_eq!((rule, key), (merge, &b"a1"[..]), "{}", row.name);
            }
            (Rule::Everywhere(rule), Verdict::Everywhere(fan)) => assert_eq!(rule, fan),
            (
                Rule::Keyless | Rule::Scan | Rule::OneServer | Rule::OneServerBusy,
                Verdict::Keyless,
            ) => {}
            (Rule::Local(verb), Verdict::Local(Local::Redis(found))) => {
                assert_eq!(verb, found);
            }
            (Rule::Container, verdict) => {
                let unknown = verdict == Verdict::Learn;
                let other = request
                    .command
                    .is_some_and(|index| table.row(index).name.ends_with("|*"));
                assert!(unknown || other, "{}: {verdict:?}", row.name);
            }
            (Rule::Blocking(_), Verdict::Blocking | Verdict::Together) => assert!(has_key),
            (Rule::Fixed(_) | Rule::Never(_), Verdict::Refuse(_)) => {}
            (rule, verdict) => panic!("{}: {rule:?} gives {verdict:?}", row.name),
        }
    }
}

#[test]
fn every_row_refuses_other_numbers_of_arguments() {
    let table = table();
    for row in table.rows() {
        let name: Vec<&str> = row.name.split('|').collect();
        if row.rule == Rule::Container || name.last() == Some(&"*") {
            continue;
        }
        for count in name.len() as u32..12 {
            let mut words = name.clone();
            words.resize(count as usize, "1");
            let verdict = check(&words).verdict;
            let is_arity = verdict == Verdict::Refuse(wrong_arity(row.name));
            assert_eq!(is_arity, !row.arity.fits(count), "{words:?}: {verdict:?}");
        }
    }
}

#[test]
fn keys_stand_where_the_table_says() {
    for (words, expected) in [
        ("copy a b db 1", "a b"),
        ("sdiff a b c", "a b c"),
        ("sort a by x get y", "a"),
        ("sort a by x get y StOrE b", "a b"),
        ("sort a store b store c", "a b c"),
        ("georadius a 1 2 3 m store b", "a b"),
        ("georadius a 1 2 3 m asc storedist b", "a b"),
        ("georadiusbymember a m 3 km store b", "a b"),
        ("zunion 2 a b weights 1 2", "a b"),
        ("zinterstore d 2 a b aggregate max", "d a b"),
        ("eval script 2 a b c", "a b"),
        ("evalsha sha 1 a b c", "a"),
        ("zrangestore d s 0 -1", "d s"),
        ("lmove a b left right", "a b"),
        ("pfmerge d a b", "d a b"),
        (
            "sort a by w_* get # get v_*->f get z limit get 1 store d",
            "a (w_*) (v_*->f) d",
        ),
        ("sort_ro a by store get b_*", "a (b_*)"),
        ("bitop and d a b", "d a b"),
        ("object encoding a", "a"),
        ("memory usage a samples 5", "a"),
        ("xgroup create a g $ mkstream", "a"),
        ("lmpop 2 a b left count 3", "a b"),
        ("msetex 2 a 1 b 2 ex 10", "a b"),
        ("msetnx a 1 b 2", "a b"),
        ("blpop a b 0", "a b"),
        ("blmpop 0 2 a b left", "a b"),
        ("bzmpop 0 1 a min", "a"),
        ("xread count 2 streams a b 0 0", "a b"),
        ("xread streams a b c 0 0 0", "a b c"),
        ("xreadgroup group streams c count 1 noack streams a >", "a"),
        ("migrate h 1 a 0 100 copy", "a"),
        ("migrate h 1 k 0 100 keys a b", "k"),
        ("watch a b", "a b"),
        ("lcs a b len", "a b"),
        ("rename a b", "a b"),
        ("sintercard 2 a b limit 1", "a b"),
        ("debug object a", "a"),
        ("fcall f 2 a b c", "a b"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(keys_of(&words).join(" "), expected, "{words:?}");
    }
}

#[test]
fn counts_of_keys_that_cannot_be_are_answered_or_left_to_the_server() {
    for (words, text) in [
        ("eval s -1 k", "Number of keys can't be negative"),
        (
            "eval s 2 k",
            "Number of keys can't be greater than number of args",
        ),
        ("evalsha s x k", "value is not an integer or out of range"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let expected = Refusal::new("-ERR ", text.as_bytes());
        assert_eq!(
            check(&words).verdict,
            Verdict::Refuse(expected),
            "{words:?}"
        );
    }
    for words in [
        "zunion 0 a",
        "zunion x a",
        "zunion 3 a b",
        "zunionstore d 9 a",
        "zunionstore d 0 a",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(check(&words).verdict, Verdict::Forward, "{words:?}");
    }
}

#[test]
fn a_script_without_keys_goes_where_the_empty_key_does() {
    let several = Table::new(Policy {
        several: true,
        ..Policy::default()
    });
    for table in [table(), &several] {
        for words in ["eval s 0", "evalsha s 0 a", "eval_ro s 0", "fcall f 0 a"] {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            let bytes = encode(&words);
            let scan = &mut RequestScan::default();
            let Parse::Done { request, .. } = parse(&bytes, scan, table, &Limits::REDIS) else {
                panic!("{words:?} is whole");
            };
            // One that is named may have to be loaded again.
            let expected = match words[0] {
                b"evalsha" => Verdict::Together,
                _ => Verdict::Forward,
            };
            assert_eq!(request.verdict, expected, "{words:?}");
            assert_eq!(request.key.of(&bytes), b"", "{words:?}");
        }
    }
}

#[test]
fn unknown_commands_are_answered_and_their_names_made_harmless() {
    for (name, shown) in [("a\r\nb\u{1}", "a??b?"), ("a b", "a b")] {
        let Verdict::Refuse(refusal) = check(&[name, "k", "v"]).verdict else {
            panic!("{name}")
        };
        assert_eq!(
            refusal.bytes(),
            format!("-ERR unknown command '{shown}'\r\n").as_bytes()
        );
    }
}

#[test]
fn what_goes_beyond_a_limit_is_refused_and_passed_over() {
    let limits = Limits {
        key: 5,
        bulk: 9,
        args: 4,
        request: 60,
        ..Limits::REDIS
    };
    let read = |bytes: &[u8]| parse(bytes, &mut RequestScan::default(), table(), &limits);
    let long = "x".repeat(60);
    for (words, text) in [
        (
            vec!["GET", "abcdef"],
            "key too long: 6 bytes, key_limit is 5",
        ),
        (
            vec!["SET", "abcdef", "0123456789"],
            "key too long: 6 bytes, key_limit is 5",
        ),
        (
            vec!["SET", "a", "0123456789"],
            "value too long: 10 bytes, value_limit is 9",
        ),
        (
            vec!["0123456789"],
            "value too long: 10 bytes, value_limit is 9",
        ),
        (
            vec!["DEL", "a", "b", "c", "d"],
            "too many arguments: 5, argument_limit is 4",
        ),
        (
            vec!["a", "b", "c", "d", &long],
            "too many arguments: 5, argument_limit is 4",
        ),
    ] {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let bytes = encode(&words);
        let refused = Verdict::Refuse(Refusal::new("-ERR ", text.as_bytes()));
        let behind = [&bytes[..], b"*1\r\n$4\r\nPING\r\n"].concat();
        let Parse::Done { request, len } = read(&behind) else {
            panic!("{text}: {:?}", read(&behind))
        };
        assert_eq!((&request.verdict, len), (&refused, bytes.len()));
        // Told as soon as it is known, and what is still to come is passed over.
        let mut told = 0;
        for cut in 0..bytes.len() {
            match read(&bytes[..cut]) {
                Parse::More => {}
                Parse::Head { request, mut body } => {
                    assert_eq!(request.verdict, refused);
                    let fed = body.feed(&behind[cut..]).expect("well formed");
                    assert_eq!((fed.done, cut + fed.used), (true, bytes.len()));
                    told += 1;
                }
                other => panic!("{text}, cut at {cut}: {other:?}"),
            }
        }
        assert!(told > 0, "{text}");
    }
    // Beyond what Redis takes itself, the end.
    for text in ["*2147483648\r\n", "*1\r\n$536870913\r\n"] {
        assert!(matches!(read(text.as_bytes()), Parse::Bad(_)), "{text}");
    }
    assert!(matches!(whole(b"*1100001\r\n$5\r\nRPUSH\r\n"), Parse::More));
}

#[test]
fn many_arguments_for_one_server_are_handed_over_when_there_are_a_million_bytes_of_them() {
    let element = b"$7\r\nelement\r\n";
    let head = b"*200001\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n";
    let mut bytes = head.to_vec();
    while bytes.len() <= GATHERED_MAX {
        bytes.extend_from_slice(element);
    }
    bytes.extend_from_slice(b"$7\r\nele");
    let Parse::Head { request, body } = whole(&bytes) else {
        panic!("it is gathered")
    };
    assert_eq!(request.verdict, Verdict::Forward);
    assert_eq!((request.key.of(&bytes), body.announced()), (&b"l"[..], 6));
    // What must be whole is waited for.
    let queued = Limits::REDIS.for_queued();
    let parsed = parse(&bytes, &mut RequestScan::default(), table(), &queued);
    assert_eq!(parsed, Parse::More);
}

#[test]
fn arrays_of_nothing_are_empty_lines_wherever_they_are_cut() {
    for text in ["*0\r\n", "*-1\r\n", "*-5\r\n", "*-9223372036854775808\r\n"] {
        let bytes = text.as_bytes();
        let (request, len) = (Vec::new(), bytes.len());
        let expected = Parse::Inline { request, len };
        assert_eq!(in_pieces(bytes, 0..len), expected, "{text:?} byte by byte");
        let more = [bytes, b"*1\r\n$4\r\nPING\r\n"].concat();
        assert_eq!(whole(&more), expected, "{text:?} with a request behind");
    }
}

#[test]
fn a_name_with_a_bar_is_none_of_a_command() {
    for name in ["CONFIG|GET", "config|get", "DEBUG|*", "FT|SEARCH", "GET|"] {
        let text = format!("-ERR unknown command '{name}'\r\n");
        assert_eq!(
            check(&[name, "x"]).verdict,
            Verdict::Refuse(Refusal::whole(text.into()))
        );
    }
}

#[test]
fn guarded_commands_are_refused_by_a_pool_that_does_not_allow_them() {
    let refused = Table::new(Policy::default());
    let is = |words: &[&str], text: &str| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let bytes = encode(&words);
        let parsed = parse(
            &bytes,
            &mut RequestScan::default(),
            &refused,
            &Limits::REDIS,
        );
        let Parse::Done { request, .. } = parsed else {
            panic!("{words:?}")
        };
        let text = format!("-ERR {text}\r\n");
        assert_eq!(
            request.verdict,
            Verdict::Refuse(Refusal::whole(text.into()))
        );
    };
    const WHY: &str = "is a guarded command: 'commands: allow' of this pool opens it";
    is(&["SHUTDOWN"], &format!("'shutdown' {WHY}"));
    is(&["config", "set", "a", "b"], &format!("'config|set' {WHY}"));
    // The row for the sub-commands that have none of their own has no name of its own either.
    is(&["DEBUG", "sleep", "1"], &format!("'debug' {WHY}"));
    is(
        &["SWAPDB"],
        "wrong number of arguments for 'swapdb' command",
    );
    let guarded: Vec<&str> = table()
        .rows()
        .iter()
        .filter(|row| row.danger == Danger::Guarded)
        .map(|row| row.name)
        .collect();
    for name in [
        "GET",
        "FLUSHALL",
        "KEYS",
        "CONFIG|GET",
        "FUNCTION|LOAD",
        "ACL|LIST",
    ] {
        assert!(!guarded.contains(&name), "{name}");
    }
    assert_eq!(guarded.len(), 20, "{guarded:?}");
}

#[test]
fn malformed_requests_are_refused_wherever_they_are_cut() {
    for (bytes, text) in [
        ("GET \"k\r\n", "unbalanced quotes in request"),
        ("Host: a\r\n", "this is not an HTTP server"),
        ("*-0\r\n", "invalid multibulk length"),
        ("*-01\r\n", "invalid multibulk length"),
        ("*-\r\n", "invalid multibulk length"),
        ("*-1\n", "invalid multibulk length"),
        ("*-1x\r\n", "invalid multibulk length"),
        ("*--1\r\n", "invalid multibulk length"),
        ("*-9223372036854775809\r\n", "invalid multibulk length"),
        ("*-99999999999999999999\r\n", "invalid multibulk length"),
        ("*02\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("*1\r\n:4\r\n", "expected '$', got ':'"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
        ("*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        ("*1\r\n$4 \r\nPING\r\n", "invalid bulk length"),
        ("*1\r\n$\r\n\r\n", "invalid bulk length"),
        ("*1\r\n$4\nPING\r\n", "invalid bulk length"),
        ("*2\r\n$3\r\nGET\r\n$536870913\r\n", "invalid bulk length"),
        (
            "*1\r\n$4\r\nPINGx\r\n",
            "missing line end behind a bulk string",
        ),
        (
            "*1\r\n$4\r\nPING\n\r",
            "missing line end behind a bulk string",
        ),
    ] {
        let expected = Parse::Bad(Refusal::new("-ERR Protocol error: ", text.as_bytes()));
        assert_eq!(whole(bytes.as_bytes()), expected, "{bytes:?}");
        let pieces = in_pieces(bytes.as_bytes(), 0..bytes.len());
        assert_eq!(pieces, expected, "{bytes:?} byte by byte");
    }
}

#[test]
fn a_line_typed_by_hand_is_given_back_as_an_array() {
    for line in ["get  key\r\n", "GET 'key'\n"] {
        for cut in 0..line.len() {
            let Parse::Inline { request, len } = in_pieces(line.as_bytes(), [cut]) else {
                panic!("{line:?} cut at {cut}")
            };
            assert_eq!(
                (whole(&request), len),
                (whole(&encode(&[&line.as_bytes()[..3], b"key"])), line.len())
            );
        }
    }
}

#[test]
fn a_key_behind_the_first_that_is_too_long_costs_only_its_request() {
    let long = "k".repeat(65_537);
    let long = long.as_bytes();
    let limits = Limits {
        key: 65_536,
        ..Limits::REDIS
    };
    let whole = |bytes: &[u8]| parse(bytes, &mut RequestScan::default(), table(), &limits);
    let cases: [&[&[u8]]; 6] = [
        &[b"MGET", b"a", long],
        &[b"SINTER", b"a", long],
        &[b"EVAL", b"return 1", b"2", b"a", long],
        &[b"BITOP", b"AND", long, b"a"],
        &[b"OBJECT", b"ENCODING", long],
        &[b"BLPOP", b"a", long, b"1"],
    ];
    for args in cases {
        let bytes = encode(args);
        let Parse::Done { request, .. } = whole(&bytes) else {
            panic!("whole")
        };
        let name = String::from_utf8_lossy(args[0]);
        assert_eq!(
            request.verdict,
            Verdict::Refuse(error("key too long: 65537 bytes, key_limit is 65536")),
            "{name}"
        );
    }
    // What is no key may be as long as it likes.
    let bytes = encode(&[b"EVAL", long, b"1", b"a", long]);
    assert!(matches!(
        whole(&bytes),
        Parse::Done {
            request: Parsed {
                verdict: Verdict::Together,
                ..
            },
            ..
        }
    ));
}

#[test]
fn a_large_argument_is_handed_over_as_a_body() {
    let head = b"*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nabc";
    let Parse::Head { request, mut body } = whole(head) else {
        panic!("head")
    };
    assert_eq!(
        (&request.verdict, request.key.of(head)),
        (&Verdict::Forward, &b"k"[..])
    );
    let mut rest = vec![b'x'; 99_997];
    rest.extend_from_slice(b"\r\n$2\r\nEX\r\n$2\r\n10\r\n*1\r\n");
    let fed = body.feed(&rest).expect("well-formed");
    assert_eq!((fed.used, fed.done), (rest.len() - 4, true));
}

#[test]
fn large_requests_that_need_all_their_keys_are_gathered() {
    for head in [
        "*3\r\n$4\r\nMSET\r\n$1\r\nk\r\n$100000\r\n",
        "*4\r\n$4\r\nEVAL\r\n$100000\r\n",
    ] {
        assert_eq!(whole(head.as_bytes()), Parse::More, "{head:?}");
    }
}

#[test]
fn large_requests_that_are_refused_are_not_gathered() {
    for head in [
        "*3\r\n$3\r\nGET\r\n$1\r\nk\r\n$100000\r\n",
        "*3\r\n$3\r\nF O\r\n$1\r\nk\r\n$100000\r\n",
    ] {
        let parse = whole(head.as_bytes());
        let Parse::Head { request, .. } = parse else {
            panic!("{head:?}: {parse:?}")
        };
        assert!(matches!(request.verdict, Verdict::Refuse(_)), "{head:?}");
    }
}

#[test]
fn strangers_may_ask_little() {
    let ask = |bytes: &str| {
        let mut scan = RequestScan::default();
        parse(
            bytes.as_bytes(),
            &mut scan,
            table(),
            &Limits::REDIS_STRANGER,
        )
    };
    let refused = |text: &str| Parse::Bad(protocol_error(text));
    assert_eq!(ask("*11\r\n"), refused("unauthenticated multibulk length"));
    assert_eq!(
        ask("*2\r\n$4\r\nAUTH\r\n$16385\r\n"),
        refused("unauthenticated bulk length")
    );
    assert_eq!(
        ask("*2000000\r\n"),
        refused("unauthenticated multibulk length")
    );
}

proptest! {
    #[test]
    fn any_words_in_any_pieces_give_the_same(
        words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
        known in proptest::option::of(0..table().rows().len()),
        mut cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let mut words = words;
        if let Some(index) = known {
            words[0] = table().rows()[index].name.as_bytes().to_vec();
        }
        let bytes = encode(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let expected = whole(&bytes);
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(in_pieces(&bytes, cuts), expected);
        let seen: Vec<&[u8]> = args(&bytes).map(|span| span.of(&bytes)).collect();
        prop_assert_eq!(seen, words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = whole(&bytes);
        let mut resp = b"*3\r\n$".to_vec();
        resp.extend(bytes);
        let _ = whole(&resp);
    }

    #[test]
    fn fragments_carry_their_units_and_nothing_else(
        keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 2..20),
        pairs in any::<bool>(),
    ) {
        let table = table();
        let mut words: Vec<&[u8]> = vec![if pairs { b"MSET" } else { b"mGeT" }];
        for key in &keys {
            words.push(key);
            if pairs {
                words.push(b"value of it");
            }
        }
        let bytes = encode(&words);
        let Parse::Done { request, .. } = whole(&bytes) else { panic!("whole") };
        let expected = if pairs { Merge::Status } else { Merge::Array };
        prop_assert_eq!(request.verdict, Verdict::Split(expected));
        let mut units = Vec::new();
        // Three in each go.
        let (mut at, mut most) = (0, 3);
        while !split::units(&bytes, request.command, table, &mut at, most, &mut units) {
            most += 3;
        }
        prop_assert_eq!(units.len(), keys.len());
        let mut pool = crate::buffer::BufferPool::new(512, 4);
        let mut out = crate::buffer::Queue::new();
        let odd: Vec<_> = units.iter().copied().skip(1).step_by(2).collect();
        split::open_fragment(request.command, table, odd.len(), &mut out, &mut pool);
        split::push_units(&bytes, &odd, &mut out, &mut pool);
        let mut wanted: Vec<&[u8]> = vec![if pairs { b"mset" } else { b"mget" }];
        for key in keys.iter().skip(1).step_by(2) {
            wanted.push(key);
            if pairs {
                wanted.push(b"value of it");
            }
        }
        prop_assert_eq!(out.to_vec(), encode(&wanted));
    }
}

/// A group, a consumer and a stream may be called like an option.
#[test]
fn options_of_stream_reads_are_read_in_their_order() {
    for (line, keys, waits) in [
        ("XREADGROUP COUNT 1 GROUP STREAMS d STREAMS k 0", "k", false),
        ("XREADGROUP GROUP g STREAMS STREAMS k l 0 1", "k l", false),
        ("XREADGROUP GROUP BLOCK d STREAMS BLOCK >", "BLOCK", false),
        ("XREADGROUP NOACK GROUP g d BLOCK 0 STREAMS k >", "k", true),
        ("XREAD STREAMS STREAMS 0", "STREAMS", false),
        ("XREAD COUNT 2 BLOCK 5 STREAMS k $", "k", true),
        ("XREAD block 5 count 1 streams k l 0 0", "k l", true),
        ("XREADGROUP GROUP g d NEWER 5 STREAMS k >", "k", false),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let bytes = encode(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        let request = check(&words);
        assert_eq!(request.verdict == Verdict::Blocking, waits, "{line}");
        let mut found = Vec::new();
        keys::keys(&bytes, request.command, table(), &mut found);
        let found: Vec<_> = found.iter().map(|key| key.span().of(&bytes)).collect();
        let expected: Vec<_> = keys.split(' ').map(str::as_bytes).collect();
        assert_eq!(found, expected, "{line}");
    }
}
