//! The parsers: requests and replies of both protocols, whole, byte by byte and cut anywhere.

use std::ops::Range;
use std::sync::LazyLock;

use nutcrab::buffer::{BufferPool, Queue};
use nutcrab::protocol::memcache;
use nutcrab::protocol::{
    BadReply, Body, Commands, Family, Limits, Parse, Parsed, Protocol, Refusal, ReplyScan,
    RequestScan, Stamp, Unit, Verdict, Version,
};

use super::oracle;

/// One protocol with what is fixed about it.
pub struct Language {
    pub protocol: Protocol,
    pub commands: LazyLock<Commands>,
    /// The kinds of limits the first byte chooses from. Small ones are reached by small inputs.
    limits: [Limits; 3],
}

/// Small limits; `request` stays large, for what exceeds it depends on the cut.
const SMALL: Limits = Limits {
    key: 12,
    bulk: 64,
    args: 6,
    request: 1024 * 1024,
    head: 16,
    inline: 256,
    local: 4096,
    stranger: false,
};

/// Small limits for a client that has not said its password. None is that small that a head is handed
/// over, so neither is it here.
const STRANGER: Limits = Limits {
    head: Limits::REDIS_STRANGER.head,
    ..SMALL
};

/// A client that may do what it likes, whose requests are handed over as head and body early.
const HASTY: Limits = Limits {
    key: SMALL.key,
    head: SMALL.head,
    ..Limits::REDIS
};

pub static REDIS: Language = Language {
    protocol: Protocol::Redis,
    commands: LazyLock::new(|| Commands::standard(Protocol::Redis)),
    limits: [Limits::REDIS, STRANGER, HASTY],
};

pub static MEMCACHE: Language = Language {
    protocol: Protocol::Memcache,
    commands: LazyLock::new(|| Commands::standard(Protocol::Memcache)),
    limits: [Limits::MEMCACHE, SMALL, Limits { bulk: 500, ..SMALL }],
};

pub static BINARY: Language = Language {
    protocol: Protocol::Binary,
    commands: LazyLock::new(|| Commands::standard(Protocol::Binary)),
    limits: [Limits::MEMCACHE, SMALL, Limits { bulk: 500, ..SMALL }],
};

/// Inputs up to this length are also given byte by byte.
const BYTEWISE_MAX: usize = 300;

/// What a client's bytes came to, up to a point.
#[derive(Debug, PartialEq)]
enum Asked {
    /// A request and where it stands.
    Request(Parsed, Range<usize>),
    /// No request; the reply that says so.
    Bad(Refusal),
}

/// The requests of `bytes`, which arrive as `ends` say, read as the core reads them.
fn read_requests(
    language: &Language,
    limits: &Limits,
    bytes: &[u8],
    ends: &mut dyn Iterator<Item = usize>,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut start = 0;
    let mut scan = RequestScan::default();
    // A request that was handed over as a head, the rest of it, and how far that has come.
    let mut body: Option<(Parsed, Body, usize)> = None;
    for end in ends {
        loop {
            if let Some((request, mut rest, from)) = body.take() {
                match rest.feed(&bytes[from..end]) {
                    Ok(fed) if fed.done => {
                        let request = match rest.excess() {
                            // As if it had been seen whole.
                            Some(len) if !matches!(request.verdict, Verdict::Refuse(_)) => Parsed {
                                verdict: Verdict::Refuse(language.protocol.too_long(len, limits)),
                                key: Default::default(),
                                ..request
                            },
                            _ => request,
                        };
                        asked.push(Asked::Request(request, start..from + fed.used));
                        start = from + fed.used;
                        scan = RequestScan::default();
                    }
                    Ok(fed) => {
                        body = Some((request, rest, from + fed.used));
                        break;
                    }
                    Err(bad) => {
                        asked.push(Asked::Bad(language.protocol.bad_body(bad)));
                        return asked;
                    }
                }
            }
            if start == end {
                break;
            }
            let straight = match scan.is_fresh() {
                true => language.commands.straight(&bytes[start..end], limits),
                false => None,
            };
            let parse = language
                .commands
                .parse(&bytes[start..end], &mut scan, limits);
            if let Some(found) = straight {
                let (request, len) = found.parsed();
                assert_eq!(parse, Parse::Done { request, len }, "the straight path");
            }
            match parse {
                Parse::Done { request, len } => {
                    assert!(len > 0 && len <= end - start, "a request of {len} bytes");
                    asked.push(Asked::Request(request, start..start + len));
                    start += len;
                    scan = RequestScan::default();
                }
                Parse::Head {
                    request,
                    body: rest,
                } => {
                    let is_refused = matches!(request.verdict, Verdict::Refuse(_));
                    let is_clean = is_refused || rest.announced() > 2;
                    assert!(is_clean, "a body that has begun its line end");
                    body = Some((request, rest, end));
                    break;
                }
                Parse::Inline { request, len } => {
                    assert!(len > 0 && len <= end - start, "a line of {len} bytes");
                    let mut again = RequestScan::default();
                    match language.commands.parse(&request, &mut again, limits) {
                        Parse::Done { len, .. } => assert_eq!(len, request.len()),
                        Parse::More => assert!(request.is_empty(), "half a request"),
                        Parse::Bad(_) => {}
                        other => panic!("{other:?} for a line"),
                    }
                    start += len;
                    scan = RequestScan::default();
                }
                Parse::More => break,
                Parse::Bad(refusal) => {
                    asked.push(Asked::Bad(refusal));
                    return asked;
                }
            }
        }
    }
    asked
}

/// Where bytes are cut: at three places that depend on the bytes themselves.
fn cuts(bytes: &[u8]) -> Vec<usize> {
    let seed = bytes.iter().fold(bytes.len() as u64, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let place = |shift: u32| (seed >> shift) as usize % (bytes.len() + 1);
    let mut ends = vec![place(8), place(24), place(40), bytes.len()];
    ends.sort_unstable();
    ends
}

/// See [`super::redis_request`].
pub fn requests(language: &Language, bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else {
        return;
    };
    let limits = &language.limits[usize::from(choice) % 3];
    let read = |bytes: &[u8], ends: &mut dyn Iterator<Item = usize>| {
        read_requests(language, limits, bytes, ends)
    };
    let whole = read(bytes, &mut [bytes.len()].into_iter());
    // A wrong line end may be noticed at its first byte, or at its second: then two more show it.
    let longer = [bytes, b"!!"].concat();
    let agrees = |other: Vec<Asked>, how: &str| {
        let at_end = || {
            let ends = [bytes.len(), longer.len()];
            read(&longer, &mut ends.into_iter()) == other
                || read(&longer, &mut [longer.len()].into_iter()) == other
        };
        assert!(
            other == whole || at_end(),
            "{how}: {other:?} instead of {whole:?}"
        );
    };
    agrees(read(bytes, &mut cuts(bytes).into_iter()), "cut");
    if bytes.len() <= BYTEWISE_MAX {
        agrees(read(bytes, &mut (1..=bytes.len())), "byte by byte");
    }
    for asked in &whole {
        match asked {
            Asked::Bad(refusal) => is_error_line(language.protocol, refusal),
            Asked::Request(request, range) => understood(language, request, &bytes[range.clone()]),
        }
    }
}

/// An error is one line in the protocol's words, whatever the client sent.
fn is_error_line(protocol: Protocol, refusal: &Refusal) {
    if protocol == Protocol::Binary {
        let bytes = refusal.bytes();
        assert!(bytes.is_empty() || oracle::binary_reply(bytes) == Some(bytes.len()));
        return;
    }
    let line = refusal.bytes().strip_suffix(b"\r\n").expect("a line");
    let clean = line.iter().all(|&byte| byte >= b' ' && byte != 0x7f);
    let marked = match protocol {
        Protocol::Redis => line.starts_with(b"-"),
        Protocol::Binary => true,
        Protocol::Memcache => [&b"ERROR"[..], b"CLIENT_ERROR ", b"SERVER_ERROR "]
            .iter()
            .any(|mark| line.starts_with(mark)),
    };
    assert!(
        clean && marked,
        "no error: {:?}",
        refusal.bytes().escape_ascii().to_string()
    );
}

/// A whole request means to its server what we took it for.
fn understood(language: &Language, request: &Parsed, bytes: &[u8]) {
    let key = request.key.of(bytes);
    match &request.verdict {
        Verdict::Refuse(refusal) => return is_error_line(language.protocol, refusal),
        Verdict::Local(_) => return,
        _ => {}
    }
    let keyed = !matches!(
        request.verdict,
        Verdict::Keyless | Verdict::Everywhere(_) | Verdict::Scan(_) | Verdict::Learn
    );
    match language.protocol {
        Protocol::Redis => {
            let args = oracle::redis_request(bytes).expect("what is forwarded is canonical");
            // A script without keys goes where the empty key does.
            let count = args.get(2).and_then(|arg| std::str::from_utf8(arg).ok());
            let is_zero = count.is_some_and(|count| count.parse() == Ok(0));
            let routed = key.is_empty() && is_zero || args[1..].contains(&key);
            assert!(!keyed || routed, "routed by no argument");
        }
        Protocol::Binary => {
            let key = oracle::binary_request(bytes).expect("one whole request");
            assert_eq!(request.key.of(bytes), key, "routed by something else");
        }
        Protocol::Memcache => {
            let sent = match request.verdict {
                Verdict::Expired(expiry) => &memcache::request::at_once(bytes, expiry),
                _ => bytes,
            };
            let read = oracle::memcache_request(sent);
            assert_eq!(read, Some(sent.len()), "memcached reads something else");
            let words = oracle::memcache_words(bytes);
            assert!(!keyed || words[1..].contains(&key), "routed by no word");
            let line = bytes
                .iter()
                .position(|&byte| byte == b'\n')
                .expect("a line");
            let text = &bytes[..line];
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            assert!(
                !text.contains(&b'\r') && !text.contains(&0),
                "bytes that end a line"
            );
        }
    }
    match request.verdict {
        Verdict::Together => {
            let mut keys = Vec::new();
            language.commands.keys(bytes, request.command, &mut keys);
            // Without any, as some scripts are, by none.
            let by_one = keys.iter().any(|key| key.span() == request.key);
            let by_none = keys.is_empty() && request.key.of(bytes).is_empty();
            assert!(by_one || by_none, "routed by none of its keys");
        }
        Verdict::Split(_) => fragments(language, request, bytes),
        _ => {}
    }
}

/// The fragments of a request, its units dealt to two servers, hold the same arguments together.
fn fragments(language: &Language, request: &Parsed, bytes: &[u8]) {
    let mut units = Vec::new();
    language
        .commands
        .units(bytes, request.command, &mut 0, usize::MAX, &mut units);
    assert_eq!(units.first().map(|unit| unit.key), Some(request.key));
    let whole = bytes;
    let args = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let args = match language.protocol {
            Protocol::Redis => oracle::redis_request(bytes).expect("a canonical fragment"),
            Protocol::Binary => panic!("nothing in it is split"),
            Protocol::Memcache => {
                // The request itself may end with a line feed alone.
                let ends = bytes.ends_with(b"\r\n") || bytes == whole;
                assert!(ends, "a fragment without a line end");
                oracle::memcache_words(bytes)
            }
        };
        // The name, and the expiry time of a `gat`.
        let ahead = if args[0].starts_with(b"gat") { 2 } else { 1 };
        args.into_iter().skip(ahead).map(<[u8]>::to_vec).collect()
    };
    let (mut even, mut odd) = (Vec::<Unit>::new(), Vec::new());
    for (index, unit) in units.iter().enumerate() {
        [&mut even, &mut odd][index % 2].push(*unit);
    }
    let mut together = Vec::new();
    let mut pool = BufferPool::new(64, 4);
    for share in [&even, &odd].into_iter().filter(|share| !share.is_empty()) {
        let mut out = Queue::new();
        language
            .commands
            .fragment(bytes, request.command, share, &mut out, &mut pool);
        let args = args(&out.to_vec());
        let (step, rest) = (args.len() / share.len(), args.len() % share.len());
        assert_eq!(rest, 0, "units of different sizes");
        together.push(args.chunks(step).map(<[_]>::to_vec).collect::<Vec<_>>());
    }
    let mut dealt = Vec::new();
    for index in 0..units.len() {
        dealt.extend(together[index % 2][index / 2].clone());
    }
    assert_eq!(dealt, args(bytes), "arguments lost, changed or added");
}

/// What is known of replies before they come.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    version: Version,
    family: Family,
    /// What each repeats of its request (memcached's binary protocol).
    stamp: Option<Stamp>,
    /// Whether each request had a marker behind it.
    marked: bool,
}

impl Manner {
    /// All there are in a protocol.
    fn of(protocol: Protocol) -> Vec<Manner> {
        let usual = Manner::default();
        let marked = Manner {
            marked: true,
            ..usual
        };
        let of = |family| Manner { family, ..usual };
        match protocol {
            Protocol::Redis => vec![
                usual,
                Manner {
                    version: Version::Resp3,
                    ..usual
                },
            ],
            Protocol::Memcache => vec![
                usual,
                of(Family::Value),
                of(Family::Stored),
                of(Family::Number),
                of(Family::Statistics),
                of(Family::Done),
                of(Family::MetaGet),
                of(Family::MetaSet),
                marked,
                Manner {
                    marked: true,
                    ..of(Family::MetaNumber)
                },
            ],
            Protocol::Binary => vec![
                usual,
                marked,
                Manner {
                    stamp: Some(Stamp::default()),
                    ..usual
                },
            ],
        }
    }

    fn scan(self) -> ReplyScan {
        let mut scan = ReplyScan::new(self.version);
        (scan.marked, scan.family) = (self.marked, self.family);
        scan
    }
}

/// The lengths of the replies in `bytes`, which arrive as `ends` say, and what ended them.
fn read_replies(
    protocol: Protocol,
    manner: Manner,
    bytes: &[u8],
    ends: &mut dyn Iterator<Item = usize>,
) -> (Vec<usize>, Option<BadReply>) {
    let mut lengths = Vec::new();
    let (mut start, mut position) = (0, 0);
    let mut scan = manner.scan();
    let mut asked = nutcrab::protocol::Asked::default();
    asked.stamp = manner.stamp;
    for end in ends {
        while position < end {
            match protocol.feed_reply_to(Some(&mut asked), &mut scan, &bytes[position..end]) {
                Ok(fed) => {
                    assert!(fed.used <= end - position, "more used than there is");
                    position += fed.used;
                    if !fed.done {
                        break;
                    }
                    assert!(position > start, "a reply of no bytes");
                    lengths.push(position - start);
                    start = position;
                    scan = manner.scan();
                }
                Err(bad) => return (lengths, Some(bad)),
            }
        }
    }
    (lengths, None)
}

/// See [`super::redis_reply`].
pub fn replies(language: &Language, bytes: &[u8]) {
    for manner in Manner::of(language.protocol) {
        replies_of(language.protocol, manner, bytes);
    }
}

fn replies_of(protocol: Protocol, manner: Manner, bytes: &[u8]) {
    let read = |ends: &mut dyn Iterator<Item = usize>| read_replies(protocol, manner, bytes, ends);
    let whole = read(&mut [bytes.len()].into_iter());
    let cut = read(&mut cuts(bytes).into_iter());
    assert_eq!(cut, whole, "{manner:?}, cut at {:?}", cuts(bytes));
    if bytes.len() <= BYTEWISE_MAX {
        let bytewise = read(&mut (1..=bytes.len()));
        assert_eq!(bytewise, whole, "{manner:?}, byte by byte");
    }
    let mut start = 0;
    for len in whole.0 {
        let rest = &bytes[start..];
        let read = match protocol {
            Protocol::Redis => oracle::redis_reply(rest),
            Protocol::Memcache if manner.marked => oracle::memcache_marked(rest),
            Protocol::Memcache => oracle::memcache_reply(rest),
            Protocol::Binary if manner.marked => oracle::binary_marked(rest),
            Protocol::Binary => oracle::binary_reply(rest),
        };
        // Of what it does not know the oracle says nothing.
        assert!(
            read.is_none_or(|read| read == len),
            "{manner:?}: {read:?} instead of {len}"
        );
        start += len;
    }
}
