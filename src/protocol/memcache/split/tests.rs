//! Fragments as they are sent, and joins with the replies coming in any cut.

use proptest::prelude::*;

use super::*;
use crate::protocol::memcache::commands::Table;
use crate::protocol::memcache::request::parse;
use crate::protocol::{Labels, Limits, Parse, Protocol, RequestScan, Verdict};

fn pool() -> BufferPool {
    BufferPool::new(64, 8)
}

/// The fragment with these units.
fn fragment(request: &str, units: &[Unit]) -> Queue {
    let (mut out, mut pool) = (Queue::new(), pool());
    open_fragment(request.as_bytes(), &mut out, &mut pool);
    push_units(request.as_bytes(), units, &mut out, &mut pool);
    out.push(FRAGMENT_END, &mut pool);
    out
}

/// The fragment with the keys at these places of a request.
fn check_fragment(request: &str, places: &[usize], expected: &str) {
    let mut all = Vec::new();
    // Two in each go.
    let mut at = 0;
    while !units(request.as_bytes(), &mut at, all.len() + 2, &mut all) {}
    let chosen: Vec<Unit> = places.iter().map(|&place| all[place]).collect();
    let out = fragment(request, &chosen);
    assert_eq!(out.to_vec(), expected.as_bytes(), "{request:?}");
}

#[test]
fn a_fragment_has_a_space_behind_each_key() {
    check_fragment("get a bb ccc\r\n", &[0, 2], "get a ccc \r\n");
    check_fragment("gets a bb ccc\r\n", &[1], "gets bb \r\n");
    check_fragment("  get   a  a \r\n", &[0, 1], "get a a \r\n");
    check_fragment("gat  -1  a bb\n", &[1], "gat -1 bb \r\n");
    check_fragment("gets a bb\n", &[0, 1], "gets a bb \r\n");
}

/// Joins replies of which the first `cut` bytes of each are there at first, then all.
fn join_cut(keys: &str, order: &[u16], texts: &[&str], cut: usize) -> (Joined, Vec<u8>, bool) {
    let mut labels = Labels::default();
    keys.split(' ').for_each(|key| labels.push(key.as_bytes()));
    let labels = &labels;
    let mut pool = pool();
    let mut replies: Vec<FragmentReply> = texts.iter().map(|_| FragmentReply::default()).collect();
    let (mut join, mut out) = (Join::default(), Queue::new());
    for from_to in [
        |_: usize, cut: usize| (0, cut),
        |len: usize, cut: usize| (cut, len),
    ] {
        for (reply, text) in replies.iter_mut().zip(texts) {
            let (from, to) = from_to(text.len(), cut.min(text.len()));
            reply.bytes.push(&text.as_bytes()[from..to], &mut pool);
            reply.done = to == text.len();
        }
        // One unit in each go.
        let plan = Plan {
            order,
            labels,
            most: 1,
        };
        let mut go = || join_values(&mut join, &mut replies, plan, &mut out, &mut pool);
        let mut joined = go();
        while joined == Joined::Later {
            joined = go();
        }
        match joined {
            Joined::More => {}
            outcome => return (outcome, out.to_vec(), join.started),
        }
    }
    (Joined::More, out.to_vec(), join.started)
}

fn check_join(keys: &str, order: &[u16], texts: &[&str], expected: &str) {
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    for cut in 0..=longest {
        let (outcome, bytes, _) = join_cut(keys, order, texts, cut);
        assert_eq!(outcome, Joined::Done, "{texts:?} cut at {cut}");
        assert_eq!(bytes, expected.as_bytes(), "{texts:?} cut at {cut}");
    }
}

#[test]
fn values_come_in_the_order_of_the_keys() {
    check_join(
        "a b c",
        &[0, 1, 0],
        &[
            "VALUE a 0 1\r\nx\r\nVALUE c 7 3 99\r\nEND\r\nEND\r\n",
            "VALUE b 1 0\r\n\r\nEND\r\n",
        ],
        "VALUE a 0 1\r\nx\r\nVALUE b 1 0\r\n\r\nVALUE c 7 3 99\r\nEND\r\nEND\r\n",
    );
}

#[test]
fn misses_are_absent() {
    check_join("a b", &[0, 1], &["END\r\n", "END\r\n"], "END\r\n");
    check_join(
        "a b c",
        &[0, 1, 1],
        &["END\r\n", "VALUE c 0 1\r\nx\r\nEND\r\n"],
        "VALUE c 0 1\r\nx\r\nEND\r\n",
    );
}

#[test]
fn a_value_behind_a_miss_keeps_its_place() {
    // a and c live together and a is not there; d is asked for twice.
    check_join(
        "a b c d d",
        &[0, 1, 0, 1, 1],
        &[
            "VALUE c 0 1\r\nz\r\nEND\r\n",
            "VALUE b 0 1\r\ny\r\nVALUE d 0 1 7\r\nw\r\nVALUE d 0 1 7\r\nw\r\nEND\r\n",
        ],
        "VALUE b 0 1\r\ny\r\nVALUE c 0 1\r\nz\r\nVALUE d 0 1 7\r\nw\r\nVALUE d 0 1 7\r\nw\r\nEND\r\n",
    );
}

#[test]
fn a_key_that_begins_like_another_is_another() {
    check_join(
        "a ab",
        &[0, 1],
        &["END\r\n", "VALUE ab 0 1\r\nx\r\nEND\r\n"],
        "VALUE ab 0 1\r\nx\r\nEND\r\n",
    );
}

#[test]
fn statistics_follow_each_other_with_the_names_of_their_servers() {
    let texts = [
        "STAT items:1:number 3\r\nSTAT x \r\nEND\r\n",
        "END\r\n",
        "STAT y 1\r\nEND\r\n",
    ];
    let expected = "STAT s0:items:1:number 3\r\nSTAT s0:x \r\nSTAT s2:y 1\r\nEND\r\n";
    let mut labels = Labels::default();
    ["s0", "s1", "s2"]
        .iter()
        .for_each(|name| labels.push(name.as_bytes()));
    for cut in 0..=texts[0].len() {
        let mut pool = pool();
        let mut replies: Vec<FragmentReply> =
            texts.iter().map(|_| FragmentReply::default()).collect();
        let (mut join, mut out) = (Join::default(), Queue::new());
        let plan = Plan {
            order: &[0, 1, 2],
            labels: &labels,
            most: usize::MAX,
        };
        for (from, to) in [(0, cut), (cut, usize::MAX)] {
            for (reply, text) in replies.iter_mut().zip(texts) {
                let end = to.min(text.len());
                reply
                    .bytes
                    .push(&text.as_bytes()[from.min(end)..end], &mut pool);
                reply.done = end == text.len();
            }
            let joined = join_stats(&mut join, &mut replies, plan, &mut out, &mut pool);
            assert!(
                matches!(joined, Joined::Done | Joined::More),
                "cut at {cut}"
            );
            if joined == Joined::Done {
                break;
            }
        }
        assert_eq!(out.to_vec(), expected.as_bytes(), "cut at {cut}");
    }
}

#[test]
fn a_large_value_passes_in_parts() {
    let value = "x".repeat(100_000);
    let reply = format!("VALUE a 0 {}\r\n{value}\r\nEND\r\n", value.len());
    for cut in [0, 1, 10, 500, 600, 50_000, 100_010, reply.len() - 1] {
        let (outcome, bytes, _) = join_cut("a b", &[0, 1], &[&reply, "END\r\n"], cut);
        assert_eq!(outcome, Joined::Done);
        assert!(bytes == reply.as_bytes(), "cut at {cut}");
    }
}

#[test]
fn an_error_beside_values_leaves_room_for_an_error_reply() {
    let value = "VALUE a 0 1\r\nx\r\nEND\r\n";
    for other in [
        "SERVER_ERROR out of memory\r\n",
        "CLIENT_ERROR x\r\n",
        "ERROR\r\n",
        "STORED\r\n",
        "7\r\n",
    ] {
        for texts in [[value, other], [other, value]] {
            for cut in 0..=value.len().max(other.len()) {
                let (outcome, bytes, started) = join_cut("a b", &[0, 1], &texts, cut);
                assert_eq!(
                    (outcome, bytes.len(), started),
                    (Joined::Bad, 0, false),
                    "{texts:?}"
                );
            }
        }
    }
}

#[test]
fn replies_that_answer_something_else_are_bad() {
    for (order, text) in [
        (&[0][..], "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\n"),
        (
            &[0, 0],
            "VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory\r\n",
        ),
        (&[0, 0], "VALUE a 0 1\r\nx\r\nVALUE b 0"),
        (&[0], "VALUE a 0 9\r\nx"),
        (&[0], ""),
    ] {
        assert_eq!(
            join_cut("a b", order, &[text], text.len()).0,
            Joined::Bad,
            "{text:?}"
        );
    }
}

#[test]
fn the_first_servers_own_error_stands_for_all() {
    let reply = |text: &str| {
        let mut reply = FragmentReply {
            done: true,
            ..FragmentReply::default()
        };
        // In small buffers, so that the word itself is cut.
        for piece in text.as_bytes().chunks(3) {
            reply.bytes.push_owned(piece.to_vec());
        }
        reply
    };
    let replies = [
        "END\r\n",
        "VALUE E 0 1\r\nx\r\nEND\r\n",
        "SERVER_ERROR a\r\n",
        "ERROR\r\n",
    ];
    let replies = replies.map(reply);
    let error = Protocol::Memcache.fragment_error(&replies).expect("one is");
    assert_eq!(error.bytes.to_vec(), b"SERVER_ERROR a\r\n");
    assert!(Protocol::Memcache.fragment_error(&replies[..2]).is_none());
    assert!(
        Protocol::Memcache
            .fragment_error(&[reply("STORED\r\n")])
            .is_none()
    );
}

proptest! {
    #[test]
    fn a_fragment_is_a_get_of_its_keys(
        keys in proptest::collection::vec("[!-~]{1,20}", 1..8),
        chosen in any::<u8>(),
    ) {
        let request = format!("get {}\r\n", keys.join(" "));
        let mut all = Vec::new();
        units(request.as_bytes(), &mut 0, usize::MAX, &mut all);
        prop_assert_eq!(all.len(), keys.len());
        let (chosen, names): (Vec<Unit>, Vec<String>) = all
            .iter()
            .zip(&keys)
            .enumerate()
            .filter(|(place, _)| chosen >> place & 1 == 1)
            .map(|(_, (&unit, key))| (unit, key.clone()))
            .unzip();
        prop_assume!(!chosen.is_empty());
        let out = fragment(&request, &chosen);
        let bytes = out.to_vec();
        let mut scan = RequestScan::default();
        match parse(&bytes, &mut scan, &Table::standard(), &Limits::MEMCACHE) {
            Parse::Done { request, len } => {
                prop_assert_eq!(len, bytes.len());
                prop_assert_eq!(request.verdict == Verdict::Forward, chosen.len() == 1);
            }
            other => prop_assert!(false, "{other:?}"),
        }
        let read: Vec<String> = line_keys(&bytes)
            .1
            .map(|key| String::from_utf8_lossy(key.of(&bytes)).into_owned())
            .collect();
        prop_assert_eq!(read, names);
    }

    #[test]
    fn any_cut_of_the_replies_joins_the_same(
        values in proptest::collection::vec((0u16..3, proptest::option::of("[a-z\r\n]{0,9}")), 1..9),
        cut in 0usize..200,
    ) {
        let order: Vec<u16> = values.iter().map(|(fragment, _)| *fragment).collect();
        let mut texts = vec![String::new(); 3];
        for (place, (fragment, value)) in values.iter().enumerate() {
            if let Some(value) = value {
                let block = format!("VALUE key{place} 0 {}\r\n{value}\r\n", value.len());
                texts[usize::from(*fragment)].push_str(&block);
            }
        }
        for text in &mut texts {
            text.push_str("END\r\n");
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let keys: Vec<String> = (0..values.len()).map(|place| format!("key{place}")).collect();
        let keys = keys.join(" ");
        let whole = join_cut(&keys, &order, &texts, usize::MAX);
        prop_assert_eq!(&whole.0, &Joined::Done);
        let hits = values.iter().filter(|(_, value)| value.is_some()).count();
        let text = String::from_utf8_lossy(&whole.1).into_owned();
        prop_assert_eq!(text.matches("VALUE key").count(), hits);
        let place = |place| text.find(&format!("VALUE key{place} "));
        let found: Vec<usize> = (0..values.len()).filter_map(place).collect();
        prop_assert!(found.is_sorted(), "{text}");
        let part = join_cut(&keys, &order, &texts, cut);
        prop_assert_eq!(part.1, whole.1);
    }
}
