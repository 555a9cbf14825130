//! memcached through nutcrab held against memcached itself: the same bytes are sent to a server
//! directly, to a pool of one server and to a pool of four, all with the same content, and the replies
//! must be equal byte for byte.
//!
//! Only the unique numbers of values are left out of the comparison: four servers count each for
//! itself. The cases of a row of docs/compatibility.md that differ on purpose stand in
//! `tests/end_to_end`.

mod binary;
mod classic;
mod meta;
mod redis;

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use support::*;

/// One row: what is sent on a fresh connection.
pub struct Case {
    name: String,
    bytes: Vec<u8>,
}

impl Case {
    /// Lines separated by `\n`, each sent with CR LF behind it.
    pub fn lines(text: &str) -> Self {
        let mut bytes = text.replace('\n', "\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n");
        Self::bytes(text.replace('\n', "\\n"), bytes)
    }

    /// Bytes as they are; long ones are named.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

/// What every server holds before each case.
const CONTENT: &[(&str, u32, &str)] = &[
    ("sentinel", 0, "waiting"),
    ("str", 5, "hello world"),
    ("num", 0, "41"),
    ("top", 0, "18446744073709551615"),
    ("empty", 0, ""),
    ("k0", 0, "v0"),
    ("k1", 1, "v1"),
    ("k2", 2, "v2"),
    ("k3", 3, "v3"),
    ("k4", 4, "v4"),
    ("k5", 5, "v5"),
    ("k6", 6, "v6"),
    ("k7", 7, "v7"),
];

/// What none of them holds.
const ABSENT: &[&str] = &["fresh", "gone", "missing", "absent", "none", "counter"];

const SENTINEL: &[u8] = b"VALUE sentinel 0 7\r\nwaiting\r\nEND\r\n";

/// Gives the keys of the table the values they have at the start.
fn fill(wire: &mut Wire) {
    let mut bytes = String::new();
    for (key, flags, value) in CONTENT {
        bytes.push_str(&format!(
            "set {key} {flags} 0 {} noreply\r\n{value}\r\n",
            value.len()
        ));
    }
    for key in ABSENT {
        bytes.push_str(&format!("delete {key} noreply\r\n"));
    }
    bytes.push_str("get sentinel\r\n");
    wire.send(bytes.as_bytes());
    wire.expect(SENTINEL);
}

/// What a case is answered with, up to the reply to a last get, and whether the connection is open.
fn answer(address: &Address, case: &Case) -> (Vec<u8>, bool) {
    let mut wire = Wire::connect(address);
    fill(&mut wire);
    if case.bytes.first() == Some(&0x80) {
        // The first byte of a connection says which protocol it speaks.
        return binary_answer(Wire::connect(address), case);
    }
    let mut bytes = case.bytes.clone();
    bytes.extend_from_slice(b"get sentinel\r\n");
    let _ = wire.try_send(&bytes);
    let (mut reply, _) = wire.read_until(|reply| reply.ends_with(SENTINEL));
    let open = reply.ends_with(SENTINEL);
    if open {
        reply.truncate(reply.len() - SENTINEL.len());
    }
    (without_uniques(&reply), open)
}

/// The same for a case of the binary protocol; the last request is one for the version.
fn binary_answer(mut wire: Wire, case: &Case) -> (Vec<u8>, bool) {
    let mut bytes = case.bytes.clone();
    let mut last = binary::packet(0x0b, b"", "", b"");
    last[12..16].copy_from_slice(b"last");
    bytes.extend(last);
    let _ = wire.try_send(&bytes);
    let is_last = |reply: &[u8]| {
        let start = reply.len().saturating_sub(24 + b"1.6.18".len() + 8);
        reply[start..].windows(4).any(|window| window == b"last")
            && reply.last().is_some_and(u8::is_ascii_digit)
    };
    let (reply, _) = wire.read_until(is_last);
    (binary::without_uniques(&reply), is_last(&reply))
}

/// Replies with the unique numbers of values taken out: the fourth of a VALUE line, and what stands
/// behind `c` in a meta reply.
fn without_uniques(reply: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in reply.split_inclusive(|&byte| byte == b'\n') {
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let is_number = |word: &[u8]| {
            let word = word.trim_ascii_end();
            !word.is_empty() && word.iter().all(u8::is_ascii_digit)
        };
        let is_meta = matches!(
            words[0].trim_ascii_end(),
            b"HD" | b"VA" | b"EN" | b"NF" | b"NS" | b"EX"
        );
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            let end = if word.ends_with(b"\r\n") {
                &b"\r\n"[..]
            } else {
                b""
            };
            if words[0] == b"VALUE" && index == 4 && is_number(word) {
                out.push(b'#');
                out.extend_from_slice(end);
            } else if is_meta && index > 0 && word[0] == b'c' && is_number(&word[1..]) {
                out.extend_from_slice(b"c#");
                out.extend_from_slice(end);
            } else {
                out.extend_from_slice(word);
            }
        }
    }
    out
}

fn cases() -> Vec<Case> {
    let mut cases = classic::cases();
    cases.extend(meta::cases());
    cases.extend(binary::cases());
    cases
}

#[test]
fn the_table_is_large_and_no_row_stands_in_it_twice() {
    let cases = cases();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "names are unique");
}

#[test]
fn replies_are_those_of_a_direct_connection() {
    let direct = Server::memcached();
    let one = [Server::memcached()];
    let four = Server::memcached_many(4);
    let proxy = Proxy::nutcrab(vec![
        Pool::memcache("one").servers(&one),
        Pool::memcache("four").servers(&four),
    ]);
    let mut failures = Vec::new();
    for case in cases() {
        let expected = answer(direct.address(), &case);
        for pool in ["one", "four"] {
            let got = answer(proxy.address(pool), &case);
            if got != expected {
                failures.push(format!(
                    "{pool}: {}\n   direct:  {} (open: {})\n   nutcrab: {} (open: {})",
                    case.name,
                    shown(&expected.0),
                    expected.1,
                    shown(&got.0),
                    got.1
                ));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
