//! Numbers around the edges of every type, in every field of a message that is a number: none of them
//! may be taken for another one, since all that follows would be framed differently by whoever counts
//! differently.

use super::redis;
use super::*;

/// The edges, and what is next to them.
fn edges() -> Vec<i128> {
    let powers = [15u32, 16, 31, 32, 63, 64];
    let around = |power: u32| (-2..=2).map(move |step| (1i128 << power) + step);
    let mut edges: Vec<i128> = powers.into_iter().flat_map(around).collect();
    edges.extend([-1, -2, -5, i128::from(i64::MIN), i128::from(u64::MAX) * 10]);
    edges
}

fn parse(protocol: Protocol, text: &str) -> Parse {
    let commands = Commands::standard(protocol);
    let limits = protocol.limits();
    commands.parse(text.as_bytes(), &mut RequestScan::default(), limits)
}

#[test]
fn lengths_of_redis_requests_are_themselves_or_refused() {
    for edge in edges() {
        let parsed = parse(
            Protocol::Redis,
            &format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${edge}\r\nabc"),
        );
        match parsed {
            Parse::Bad(_) => assert!(!(0..=512 << 20).contains(&edge), "{edge} is a length"),
            Parse::Head { body, .. } => assert_eq!(i128::from(body.announced()), edge + 2 - 3),
            Parse::More => assert!((3..=16 * 1024 + 3).contains(&edge), "{edge}"),
            Parse::Done { .. } => panic!("{edge} bytes are not there"),
            #[allow(unreachable_patterns, reason = "there may be more kinds")]
            _ => panic!("{edge}"),
        }
        match parse(Protocol::Redis, &format!("*{edge}\r\n")) {
            Parse::Bad(_) => assert!(!(1..1 << 31).contains(&edge), "{edge} is a count"),
            // No arguments, and no request.
            Parse::Inline { request, .. } => {
                assert!(request.is_empty() && edge <= 0, "{edge} is a count");
            }
            Parse::More => assert!((1..1 << 31).contains(&edge), "{edge} is no count"),
            other => panic!("{edge}: {other:?}"),
        }
    }
}

#[test]
fn other_forms_of_a_number_are_refused() {
    for form in [
        "+3", "03", "3 ", " 3", "-0", "00", "0x3", "3\n", "", "3.0", "3e0", "-3", "٣",
    ] {
        for text in [
            format!("*2\r\n$3\r\nGET\r\n${form}\r\nabc\r\n"),
            format!("*{form}\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ] {
            let parsed = parse(Protocol::Redis, &text);
            // Of a number of arguments it is another number, not another form.
            let is_nothing = form == "-3" && matches!(parsed, Parse::Inline { .. });
            assert!(is_nothing || matches!(parsed, Parse::Bad(_)), "{text:?}");
        }
    }
    for end in ["ab", "\n\r", "\r\r", "\n\n", "\rx", "x\n"] {
        let text = format!("*2\r\n$3\r\nGET\r\n$1\r\nk{end}");
        assert!(
            matches!(parse(Protocol::Redis, &text), Parse::Bad(_)),
            "{text:?}"
        );
    }
}

#[test]
fn numbers_of_memcached_requests_are_themselves_or_refused() {
    for edge in edges() {
        let refused = |parsed: Parse| match parsed {
            Parse::Bad(_) => true,
            Parse::Done { request, .. } | Parse::Head { request, .. } => {
                matches!(request.verdict, Verdict::Refuse(_))
            }
            _ => false,
        };
        for (line, fits) in [
            (
                format!("set k {edge} 0 1\r\na\r\n"),
                (0..=i128::from(u32::MAX)).contains(&edge),
            ),
            (
                format!("set k 0 {edge} 1\r\na\r\n"),
                (i128::from(i32::MIN)..=i128::from(u32::MAX)).contains(&edge),
            ),
            (
                format!("cas k 0 0 1 {edge}\r\na\r\n"),
                (0..=i128::from(u64::MAX)).contains(&edge),
            ),
        ] {
            assert_eq!(!refused(parse(Protocol::Memcache, &line)), fits, "{line:?}");
        }
        match parse(Protocol::Memcache, &format!("set k 0 0 {edge}\r\nabc")) {
            Parse::Bad(_) => assert!(!(0..=i128::from(i32::MAX) - 2).contains(&edge), "{edge}"),
            Parse::Head { body, .. } => assert_eq!(i128::from(body.announced()), edge + 2 - 3),
            Parse::More => assert!((3..=16 * 1024 + 3).contains(&edge), "{edge}"),
            other => panic!("{edge}: {other:?}"),
        }
    }
}

#[test]
fn lengths_of_replies_are_themselves_or_cost_the_connection() {
    for edge in edges() {
        let mut scan = ReplyScan::default();
        match redis::reply::feed(&mut scan, format!("${edge}\r\n").as_bytes()) {
            Ok(fed) if fed.done => assert_eq!(edge, -1, "nothing is there"),
            Ok(_) => assert_eq!(i128::from(scan.announced()), edge + 2),
            Err(_) => assert!(edge < -1 || edge > i128::from(u32::MAX), "{edge}"),
        }
        let mut scan = ReplyScan::default();
        let line = format!("VALUE k 0 {edge}\r\n");
        match Protocol::Memcache.feed_reply(&mut scan, line.as_bytes()) {
            Ok(fed) => {
                assert!(!fed.done);
                assert_eq!(i128::from(scan.announced()), edge + 2);
            }
            Err(_) => assert!(edge < 0 || edge > i128::from(i32::MAX), "{edge}"),
        }
    }
}
