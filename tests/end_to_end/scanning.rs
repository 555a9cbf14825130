//! SCAN through four servers while keys come and go: what is there all the while is seen.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::*;

/// Keys of each kind that stay.
const KEPT: usize = 1000;

/// Keys that come and go meanwhile: so many more that the servers' tables must grow and shrink.
const PASSING: usize = 16_000;

/// Requests that are sent at once.
const BATCH: usize = 500;

/// How often all passing keys have come and gone before the scans end.
const ROUNDS: usize = 2;

/// How a scan is narrowed, and whether strings and lists of those that stay are then to be seen.
const SCANS: [(&[&str], bool, bool); 6] = [
    (&[], true, true),
    (&["COUNT", "100"], true, true),
    (&["MATCH", "keep:*", "COUNT", "50"], true, true),
    (&["TYPE", "list", "COUNT", "200"], false, true),
    (&["count", "500", "match", "keep:s:*"], true, false),
    (
        &["MATCH", "*:s:*", "COUNT", "30", "TYPE", "string"],
        true,
        false,
    ),
];

/// Sends requests in batches and takes their replies, none of which may be an error.
fn ask_all(client: &mut Wire, requests: impl Iterator<Item = Vec<String>>) {
    let requests: Vec<Vec<String>> = requests.collect();
    for batch in requests.chunks(BATCH) {
        let mut bytes = Vec::new();
        batch
            .iter()
            .for_each(|words| resp::append(&mut bytes, words));
        client.send(&bytes);
        for words in batch {
            let reply = client.reply();
            assert!(!matches!(reply, Reply::Error(_)), "{words:?}: {reply:?}");
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// All keys a scan returns, from its first cursor to its last.
fn scan(client: &mut Wire, options: &[&str]) -> BTreeSet<String> {
    let (mut cursor, mut seen) = ("0".to_owned(), BTreeSet::new());
    loop {
        let mut request = vec!["SCAN", &cursor];
        request.extend(options);
        let [next, keys]: [Reply; 2] = client
            .ask(&request)
            .elements()
            .try_into()
            .expect("a cursor and keys");
        for key in keys.elements() {
            seen.insert(String::from_utf8(key.bytes()).expect("keys of ours are text"));
        }
        cursor = String::from_utf8(next.bytes()).expect("a cursor is digits");
        if cursor == "0" {
            return seen;
        }
    }
}

#[test]
fn a_scan_sees_each_key_that_is_there_all_the_while() {
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    let strings: BTreeSet<String> = (0..KEPT).map(|n| format!("keep:s:{n}")).collect();
    let lists: BTreeSet<String> = (0..KEPT).map(|n| format!("keep:l:{n}")).collect();
    ask_all(
        &mut client,
        strings.iter().map(|key| words(&["SET", key, "v"])),
    );
    ask_all(
        &mut client,
        lists.iter().map(|key| words(&["RPUSH", key, "v"])),
    );

    let (rounds, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = proxy.client("alpha");
            let keys: Vec<String> = (0..PASSING).map(|n| format!("pass:s:{n}")).collect();
            while !is_over.load(Ordering::Relaxed) {
                ask_all(
                    &mut writer,
                    keys.iter().map(|key| words(&["SET", key, "v"])),
                );
                ask_all(&mut writer, keys.iter().map(|key| words(&["DEL", key])));
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _end = AtEnd(&is_over);
        let mut passing_seen = 0;
        while rounds.load(Ordering::Relaxed) < ROUNDS {
            for (options, sees_strings, sees_lists) in SCANS {
                let seen = scan(&mut client, options);
                for (kept, is_seen) in [(&strings, sees_strings), (&lists, sees_lists)] {
                    let count = kept.intersection(&seen).count();
                    assert_eq!(count, if is_seen { KEPT } else { 0 }, "{options:?}");
                }
                passing_seen += seen.iter().filter(|key| key.starts_with("pass:")).count();
            }
        }
        assert!(passing_seen > 0, "nothing came while keys were looked for");
    });
    let alone: usize = servers
        .iter()
        .map(|server| count(&server.ask(&["DBSIZE"])))
        .sum();
    assert_eq!(count(&client.ask(&["DBSIZE"])), alone);
    for server in &servers {
        assert!(
            count(&server.ask(&["DBSIZE"])) > KEPT / 4,
            "every server has its share"
        );
    }
}

fn count(reply: &Reply) -> usize {
    match reply {
        Reply::Integer(count) => *count as usize,
        other => panic!("{other:?}"),
    }
}
