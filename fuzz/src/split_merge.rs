//! Requests split over servers, and their replies joined again.
//!
//! The request is made from the fuzzer's bytes, cut by the code under test as the core would, answered
//! by model servers, and joined while the replies come in any order and any cut. What comes out must
//! be what one server with all the data would have answered.

use std::collections::BTreeMap;

use nutcrab::buffer::{BufferPool, Queue};
use nutcrab::protocol::{
    Commands, FragmentReply, Join, Joined, Labels, Parse, Parsed, Plan, Protocol, ReplyScan,
    RequestScan, Unit, Verdict,
};

use super::bytes::Bytes;
use super::oracle;
use super::parsers::{Language, MEMCACHE, REDIS};

/// Most keys of a request.
const KEYS_MAX: usize = 12;

/// The commands that are split.
const NAMES: [&str; 8] = [
    "mget", "MSET", "del", "UNLINK", "Exists", "touch", "get", "gets",
];

/// What a model server does with a part of a request.
type Store = BTreeMap<Vec<u8>, Vec<u8>>;

/// See [`super::split_merge`].
pub fn check(bytes: &mut Bytes<'_>) {
    let name = bytes.pick(&NAMES);
    let language: &Language = match name {
        "get" | "gets" => &MEMCACHE,
        _ => &REDIS,
    };
    let server_count = 1 + bytes.below(5);
    let keys: Vec<Vec<u8>> = (0..1 + bytes.below(KEYS_MAX)).map(|_| key(bytes)).collect();
    let mut store = Store::new();
    for key in &keys {
        if bytes.below(3) > 0 {
            let len = bytes.below(40);
            store.insert(key.clone(), bytes.take(len).to_vec());
        }
    }
    let request = compose(name, &keys, bytes);
    let parsed = language.commands.parse(
        &request,
        &mut RequestScan::default(),
        language.protocol.limits(),
    );
    let Parse::Done {
        request: asked,
        len,
    } = parsed
    else {
        panic!("{parsed:?}");
    };
    assert_eq!(len, request.len());
    if !matches!(asked.verdict, Verdict::Split(_)) {
        // One key is not split.
        assert!(keys.len() == 1, "{:?}", asked.verdict);
        return;
    }
    let fragments = Fragments::cut(&language.commands, &asked, &request, server_count, bytes);
    let broken = (bytes.below(8) == 7).then(|| bytes.below(fragments.requests.len()));
    let outcome = join(
        language,
        &asked,
        &fragments,
        &mut store.clone(),
        broken,
        bytes,
    );
    match (broken, outcome) {
        (None, Some(reply)) => {
            let expected = execute(&request, &mut store);
            assert!(reply == expected, "{name}: not what one server says");
        }
        (Some(_), None) => {}
        (broken, outcome) => panic!("{name}: broken {broken:?}, joined {outcome:?}"),
    }
}

fn key(bytes: &mut Bytes<'_>) -> Vec<u8> {
    // Few keys, so that some come twice.
    let mut key = vec![bytes.pick(b"abcdefgh\x80\xff")];
    key.resize(1 + bytes.below(4) * 5, b'k');
    key
}

fn compose(name: &str, keys: &[Vec<u8>], bytes: &mut Bytes<'_>) -> Vec<u8> {
    if name.starts_with("get") {
        let mut line = name.as_bytes().to_vec();
        for key in keys {
            line.extend(std::iter::repeat_n(b' ', 1 + bytes.below(2)));
            line.extend_from_slice(key);
        }
        line.extend_from_slice(b"\r\n");
        return line;
    }
    let mut args = vec![name.as_bytes().to_vec()];
    for key in keys {
        args.push(key.clone());
        if name == "MSET" {
            let len = bytes.below(30);
            args.push(bytes.take(len).to_vec());
        }
    }
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    oracle::redis_encode(&args)
}

/// A request cut as the core cuts it: one fragment per server concerned, in the order of the servers.
struct Fragments {
    requests: Vec<Vec<u8>>,
    units: Vec<u32>,
    /// The fragment of each unit.
    order: Vec<u16>,
    /// The key of each unit.
    labels: Labels,
}

impl Fragments {
    fn cut(
        commands: &Commands,
        asked: &Parsed,
        request: &[u8],
        server_count: usize,
        bytes: &mut Bytes<'_>,
    ) -> Self {
        let mut units = Vec::new();
        commands.units(request, asked.command, &mut 0, usize::MAX, &mut units);
        let salt = bytes.below(256);
        let home = |unit: &Unit| {
            let key = unit.key.of(request);
            key.iter()
                .fold(salt, |sum, &byte| (sum * 31 + usize::from(byte)) % 1009)
                % server_count
        };
        let homes: Vec<usize> = units.iter().map(home).collect();
        let mut concerned = homes.clone();
        concerned.sort_unstable();
        concerned.dedup();
        let mut pool = BufferPool::new(32, 4);
        let mut fragments = Self {
            requests: Vec::new(),
            units: Vec::new(),
            order: Vec::new(),
            labels: Labels::default(),
        };
        for unit in &units {
            fragments.labels.push(unit.key.of(request));
        }
        for home in &concerned {
            let here = units.iter().zip(&homes).filter(|(_, at)| *at == home);
            let here: Vec<Unit> = here.map(|(unit, _)| *unit).collect();
            let mut out = Queue::new();
            commands.fragment(request, asked.command, &here, &mut out, &mut pool);
            fragments.requests.push(out.to_vec());
            fragments.units.push(here.len() as u32);
        }
        let place = |home: &usize| concerned.binary_search(home).expect("it is concerned") as u16;
        fragments.order = homes.iter().map(place).collect();
        fragments
    }
}

/// Lets the servers answer and joins what comes, in any cut and order; `None` when the client would be
/// given an error. The server of the fragment `broken` answers something that cannot be joined.
fn join(
    language: &Language,
    asked: &Parsed,
    fragments: &Fragments,
    store: &mut Store,
    broken: Option<usize>,
    bytes: &mut Bytes<'_>,
) -> Option<Vec<u8>> {
    let Verdict::Split(merge) = asked.verdict else {
        return None;
    };
    let protocol = language.protocol;
    let mut answers: Vec<Vec<u8>> = fragments
        .requests
        .iter()
        .map(|request| execute(request, store))
        .collect();
    if let Some(broken) = broken {
        answers[broken] = match protocol {
            Protocol::Redis => b"-ERR no\r\n".to_vec(),
            Protocol::Memcache => b"SERVER_ERROR no\r\n".to_vec(),
            Protocol::Binary => panic!("nothing in it is split"),
        };
    }
    let mut pool = BufferPool::new(16, 4);
    let mut replies: Vec<FragmentReply> = fragments
        .units
        .iter()
        .map(|units| FragmentReply {
            units: *units,
            ..FragmentReply::default()
        })
        .collect();
    let mut scans: Vec<ReplyScan> = answers.iter().map(|_| ReplyScan::default()).collect();
    let mut sent = vec![0; answers.len()];
    let mut join = Join::default();
    let mut out = Queue::new();
    let plan = Plan {
        order: &fragments.order,
        labels: &fragments.labels,
        most: 3,
    };
    while replies.iter().any(|reply| !reply.done) {
        let open: Vec<usize> = (0..replies.len()).filter(|&i| !replies[i].done).collect();
        let number = open[bytes.below(open.len())];
        // As the core: what a scan did not use is given again together with more.
        let rest = &answers[number][sent[number]..];
        let piece = &rest[..rest.len().min(1 + bytes.below(60))];
        let fed = protocol
            .feed_reply(&mut scans[number], piece)
            .expect("a reply");
        let (used, done) = match fed.used {
            0 => {
                let fed = protocol
                    .feed_reply(&mut scans[number], rest)
                    .expect("a reply");
                assert!(fed.used > 0, "a whole reply that is not understood");
                (fed.used, fed.done)
            }
            used => (used, fed.done),
        };
        replies[number].bytes.push(&rest[..used], &mut pool);
        sent[number] += used;
        replies[number].done = done;
        let whole = replies.iter().all(|reply| reply.done);
        if whole || merge.can_stream() && bytes.below(2) == 1 {
            if whole && !join.started && protocol.fragment_error(&replies).is_some() {
                return None;
            }
            let mut join =
                || protocol.join(merge, &mut join, &mut replies, plan, &mut out, &mut pool);
            let mut joined = join();
            while joined == Joined::Later {
                joined = join();
            }
            match joined {
                Joined::Later => {}
                Joined::Done => {
                    assert!(whole, "joined before all was there");
                    return Some(out.to_vec());
                }
                Joined::More => assert!(!whole, "more is wanted than there will be"),
                Joined::Bad => {
                    assert!(broken.is_some(), "good replies cannot be joined");
                    return None;
                }
            }
        }
    }
    panic!("never joined");
}

/// Executes a request as a server would.
fn execute(request: &[u8], store: &mut Store) -> Vec<u8> {
    let Some(args) = oracle::redis_request(request) else {
        return execute_get(request, store);
    };
    let keys = &args[1..];
    match args[0].to_ascii_lowercase().as_slice() {
        b"mget" => {
            let mut reply = format!("*{}\r\n", keys.len()).into_bytes();
            for key in keys {
                match store.get(*key) {
                    None => reply.extend_from_slice(b"$-1\r\n"),
                    Some(value) => {
                        reply.extend(format!("${}\r\n", value.len()).into_bytes());
                        reply.extend_from_slice(value);
                        reply.extend_from_slice(b"\r\n");
                    }
                }
            }
            reply
        }
        b"mset" => {
            for pair in keys.chunks(2) {
                store.insert(pair[0].to_vec(), pair[1].to_vec());
            }
            b"+OK\r\n".to_vec()
        }
        name => {
            let removes = name == b"del" || name == b"unlink";
            let found = keys.iter().filter(|key| match removes {
                true => store.remove(**key).is_some(),
                false => store.contains_key(**key),
            });
            format!(":{}\r\n", found.count()).into_bytes()
        }
    }
}

fn execute_get(request: &[u8], store: &Store) -> Vec<u8> {
    let words = oracle::memcache_words(request);
    let unique = if words[0] == b"gets" { " 7" } else { "" };
    let mut reply = Vec::new();
    for key in &words[1..] {
        if let Some(value) = store.get(*key) {
            reply.extend_from_slice(b"VALUE ");
            reply.extend_from_slice(key);
            reply.extend(format!(" 0 {}{unique}\r\n", value.len()).into_bytes());
            reply.extend_from_slice(value);
            reply.extend_from_slice(b"\r\n");
        }
    }
    reply.extend_from_slice(b"END\r\n");
    reply
}
