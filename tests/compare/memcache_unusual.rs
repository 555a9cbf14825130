//! memcached: what is malformed, unsupported or never finished.

use crate::case::{Case, memcache, memcache_bytes};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [unsupported(), malformed(), ranges(), strays(), unfinished()].concat()
}

/// Commands memcached has and twemproxy has not, and words no server knows.
fn unsupported() -> Vec<Case> {
    let unknown = [
        "GET str",
        "Get str",
        "SET",
        "QUIT",
        "getx str",
        "ge",
        "noop",
        "nonsense with words",
        "misbehave",
        "mx str",
    ];
    let refused = [
        "watch",
        "lru tune",
        "slabs reassign 1 2",
        "cache_memlimit 100",
        "shutdown",
        "extstore",
        "refresh_certs",
    ];
    let more = [
        ("gat 0 k0", "VALUE k0 0 2\nv0\nEND"),
        (
            "gat 0 k0 missing k1",
            "VALUE k0 0 2\nv0\nVALUE k1 0 2\nv1\nEND",
        ),
        ("gats 0 missing", "END"),
        ("bget k0", "VALUE k0 0 2\nv0\nEND"),
        ("flush_all x", "CLIENT_ERROR invalid exptime argument"),
        ("verbosity 0", "OK"),
        ("stats detail off", "OK"),
        ("mg k0 v", "VA 2\nv0"),
        ("mg missing", "EN"),
        ("mg missing q\nmn", "MN"),
        ("md missing", "NF"),
        ("ma missing", "NF"),
        ("mn", "MN"),
    ];
    let named = |text: &&str| {
        let name = text.split(' ').next().unwrap_or(text);
        let ours = format!("CLIENT_ERROR {name} is not passed on by the proxy");
        memcache(text).differs("unsupported-command", &ours)
    };
    let mut cases: Vec<_> = unknown
        .iter()
        .map(|text| memcache(text).differs("unsupported-command", "ERROR"))
        .collect();
    cases.extend(refused.iter().map(named));
    cases.extend(
        more.iter()
            .map(|(text, ours)| memcache(text).differs("memcached-commands", ours)),
    );
    cases
}

fn malformed() -> Vec<Case> {
    let line = "CLIENT_ERROR bad command line format";
    let mut cases: Vec<_> = [
        "get",
        "gets",
        "get ",
        "delete",
        "incr num",
        "decr num",
        "touch str",
    ]
    .iter()
    .map(|text| memcache(text).differs("malformed-request", "ERROR"))
    .collect();
    let long = "k".repeat(251);
    let usage = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]";
    let closed = "CLIENT_ERROR bad command line format\n<closed>";
    let rows = [
        ("delete missing 0", "NOT_FOUND"),
        ("delete str 10", usage),
        ("delete str NOREPLY", usage),
        ("delete missing 0 noreply", ""),
        ("incr num x", "CLIENT_ERROR invalid numeric delta argument"),
        ("incr missing 1 2", "NOT_FOUND"),
        ("decr num 1x", "CLIENT_ERROR invalid numeric delta argument"),
        ("touch str x", "CLIENT_ERROR invalid exptime argument"),
        ("set str x 0 3\nnew", line),
        ("set str 0 x 3\nnew", line),
        ("set str -1 0 3\nnew", line),
        ("cas str 0 0 1 x\nx", line),
        ("set fresh 0 0 3 norepl\nnew", "STORED"),
        ("set str 0 0\nnew", "ERROR\n<closed>"),
        ("cas str 0 0 1\nx", "ERROR\n<closed>"),
        ("set str 0 0 x\nnew", closed),
        ("set str 0 0 -1\nnew", closed),
        (
            "set str 0 0 3\nnewer",
            "CLIENT_ERROR bad data chunk\n<closed>",
        ),
        ("set str 0 0 3\nne", "CLIENT_ERROR bad data chunk\n<closed>"),
    ];
    cases.extend(
        rows.iter()
            .map(|(text, ours)| memcache(text).differs("malformed-request", ours)),
    );
    let long_keys = [
        format!("get {long}"),
        format!("get k0 {long}"),
        format!("delete {long}"),
    ];
    for (text, count) in long_keys.iter().zip(1..) {
        let name = format!("a key of 251 bytes, form {count}");
        cases.push(
            memcache(text)
                .named(name)
                .differs("malformed-request", line),
        );
    }
    cases
}

/// Numbers that not all versions of memcached take. The server of the comparison stores some, with
/// other numbers than were given.
fn ranges() -> Vec<Case> {
    let refused = "CLIENT_ERROR bad command line format";
    [
        "set fresh 4294967296 0 1\nx",
        "set fresh 99999999999999999999 0 1\nx",
        "set fresh 0 4294967296 1\nx",
    ]
    .map(|text| memcache(text).differs("number-ranges", refused))
    .into_iter()
    .chain(
        [
            "set fresh 0 4102444800 1\nx",
            "add fresh 0 4294967295 1\nx",
            "set k0 0 2147483648 1\nx",
        ]
        .map(|text| memcache(&format!("{text}\nget fresh\nget k0"))),
    )
    .collect()
}

/// What twemproxy takes differently from memcached itself.
fn strays() -> Vec<Case> {
    vec![
        memcache("set fresh 0 -1 1\nx\nget fresh").differs("negative-exptime", "STORED\nEND"),
        memcache_bytes(b"get k0\n").differs("bare-line-feed", "VALUE k0 0 2\nv0\nEND"),
        memcache("quit").on("cache"),
        memcache("get k0\nquit\nget k1"),
        memcache("quit "),
        memcache("get k0\nnonsense").differs("earlier-replies", "VALUE k0 0 2\nv0\nEND\nERROR"),
        memcache("nonsense\nget k0").differs("earlier-replies", "ERROR\nVALUE k0 0 2\nv0\nEND"),
        memcache(&"x".repeat(3_000))
            .named("a line of 3,000 bytes")
            .differs("malformed-request", "CLIENT_ERROR line too long\n<closed>"),
        memcache("").differs("unsupported-command", "ERROR"),
        memcache("  ").differs("unsupported-command", "ERROR"),
    ]
}

fn unfinished() -> Vec<Case> {
    let cases: &[&[u8]] = &[
        b"get",
        b"get k0",
        b"get k0\r",
        b"get k0\r\nget k1",
        b"set k0 0 0 10\r\nhalf",
        b"set k0 0 0 2\r\nab",
        b"set k0 0 0 2\r\nab\r",
        b"set k0 0 0 2\r\nab\r\n",
        b"get k0\r\nget k1 k2\r\n",
    ];
    cases
        .iter()
        .map(|bytes| memcache_bytes(bytes).half_closed())
        .collect()
}
