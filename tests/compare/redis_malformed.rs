//! Bytes that are no request, sizes at the edge, and requests that never end.

use crate::case::{Case, redis, redis_bytes};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        framing(),
        inline(),
        empty(),
        lengths(),
        behind_others(),
        unfinished(),
        sizes(),
    ]
    .concat()
}

/// Bytes twemproxy closes for, in silence.
fn framing() -> Vec<Case> {
    let rows: &[(&[u8], &str)] = &[
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*+1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1x\r\n", "invalid multibulk length"),
        (b"*1\n$4\nPING\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
        (b"*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"),
        (b"*1\r\n$\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$4\nPING\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$-5\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$ 3\r\nstr\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\nstr\r\n", "expected '$', got 's'"),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$\r\n\r\n",
            "invalid bulk length",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$-1\r\n",
            "invalid bulk length",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\nx\r\n",
            "expected '$', got 'x'",
        ),
        (
            b"*1\r\n$4\r\nPINGxx",
            "missing line end behind a bulk string",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$3\r\nstrxx",
            "missing line end behind a bulk string",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$2\r\nstr\r\n",
            "missing line end behind a bulk string",
        ),
        (
            b"*2\r\n$3\r\nGET\r\n$3\r\nstr\n\n",
            "missing line end behind a bulk string",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$1\r\nxyz",
            "missing line end behind a bulk string",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$1\r\nx\n*",
            "missing line end behind a bulk string",
        ),
        (
            b"*123456789012345678901234567890\r\n",
            "invalid multibulk length",
        ),
    ];
    rows.iter()
        .map(|(bytes, text)| malformed(bytes, text, "malformed-request"))
        .collect()
}

/// Requests typed by hand, which twemproxy does not know.
fn inline() -> Vec<Case> {
    let http = "-ERR wrong number of arguments for 'get' command\n\
                -ERR Protocol error: this is not an HTTP server\n<closed>";
    let rows: &[(&[u8], &str)] = &[
        (b"PING\r\n", "+PONG"),
        (b"PING\n", "+PONG"),
        (b"GET str\r\n", "$11\nhello world"),
        (b"\r\n  \r\nGET 'str'\r\n", "$11\nhello world"),
        (b"+PING\r\n", "-ERR unknown command '+PING'"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", http),
        (
            b"GET \"str\r\n",
            "-ERR Protocol error: unbalanced quotes in request\n<closed>",
        ),
    ];
    rows.iter()
        .map(|(bytes, ours)| redis_bytes(bytes).differs("inline-requests", ours))
        .collect()
}

/// Lengths twemproxy takes, and forwards as they came.
fn lengths() -> Vec<Case> {
    let rows: &[(&[u8], &str)] = &[
        (b"*2\r\n$3\r\nGET\r\n$\r\n\r\n", "invalid bulk length"),
        (b"*01\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (
            b"*02\r\n$3\r\nGET\r\n$3\r\nstr\r\n",
            "invalid multibulk length",
        ),
        (b"*2\r\n$03\r\nGET\r\n$3\r\nstr\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$03\r\nstr\r\n", "invalid bulk length"),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$003\r\nnew\r\n",
            "invalid bulk length",
        ),
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$4294967299\r\nnew\r\n",
            "invalid bulk length",
        ),
        (
            b"*4294967298\r\n$3\r\nGET\r\n$3\r\nstr\r\n",
            "invalid multibulk length",
        ),
    ];
    rows.iter()
        .map(|(bytes, text)| malformed(bytes, text, "canonical-lengths"))
        .collect()
}

fn malformed(bytes: &[u8], text: &str, id: &'static str) -> Case {
    redis_bytes(bytes).differs(id, &format!("-ERR Protocol error: {text}\n<closed>"))
}

fn behind_others() -> Vec<Case> {
    let mut good = crate::support::resp::words("SET k0 new | GET k0 | MGET k0 k1");
    good.extend_from_slice(b"*1\r\n$4\r\nPINGxx");
    let ours = "+OK\n$3\nnew\n*2\n$3\nnew\n$2\nv1\n\
                -ERR Protocol error: missing line end behind a bulk string\n<closed>";
    let mut inline = crate::support::resp::words("GET k0");
    inline.extend_from_slice(b"PING\r\n");
    let told = "$2\nv0\n+PONG";
    vec![
        redis_bytes(good).differs("earlier-replies", ours),
        redis_bytes(inline).differs("inline-requests", told),
    ]
}

/// Arrays of nothing, as Redis passes over them.
fn empty() -> Vec<Case> {
    let get = "*2\r\n$3\r\nGET\r\n$3\r\nstr\r\n";
    ["*0\r\n", "*-1\r\n"]
        .into_iter()
        .map(|nothing| {
            let bytes = [nothing, get].concat();
            redis_bytes(bytes.as_bytes()).differs("inline-requests", "$11\nhello world")
        })
        .collect()
}

/// The client ends where more was announced: what was whole is answered, the rest is dropped.
fn unfinished() -> Vec<Case> {
    let cases: &[&[u8]] = &[
        b"",
        b"*",
        b"*1",
        b"*1\r\n",
        b"*2\r\n$3\r\nGET\r\n",
        b"*2\r\n$3\r\nGET\r\n$3\r\nst",
        b"*2\r\n$3\r\nGET\r\n$3\r\nstr",
        b"*2\r\n$3\r\nGET\r\n$3\r\nstr\r",
        b"*2\r\n$3\r\nGET\r\n$3\r\nstr\r\n",
        b"*2\r\n$3\r\nGET\r\n$3\r\nstr\r\n*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$3\r\nGET\r\n$3\r\nstr\r\n*1\r\n$4\r\nPIN",
        b"*3\r\n$4\r\nMGET\r\n$2\r\nk0\r\n$2\r\nk1\r\n*2\r\n$3\r\nGET\r\n$2\r\nk",
        b"*3\r\n$3\r\nSET\r\n$3\r\nstr\r\n$1000000\r\nhalf of it",
    ];
    cases
        .iter()
        .map(|bytes| redis_bytes(bytes).half_closed())
        .collect()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [
        1, 2, 100, 16_000, 16_336, 16_384, 65_536, 1_000_000, 5_000_000,
    ] {
        let value = "v".repeat(size);
        let text = format!("SET k0 {value} | GET k0 | STRLEN k0 | GET k1");
        cases.push(redis(&text).named(format!("a value of {size} bytes")));
    }
    for size in [1, 250, 251, 4_096, 16_335] {
        let key = "k".repeat(size);
        let text = format!("SET {key} v | GET {key} | MGET k0 {key} k1 | DEL {key} k0");
        cases.push(redis(&text).named(format!("a key of {size} bytes")));
    }
    for size in [16_336, 40_000, 65_536] {
        let key = "k".repeat(size);
        let case = redis(&format!("SET {key} v | GET {key}"));
        cases.push(
            case.named(format!("a key of {size} bytes"))
                .differs("key-length", "+OK\n$1\nv"),
        );
    }
    let key = "k".repeat(65_537);
    cases.push(
        redis(&format!("GET {key}"))
            .named("a key of 65537 bytes")
            .differs("key-length", "$-1"),
    );
    let words = vec!["w"; 5_000].join(" ");
    cases.push(redis(&format!("RPUSH fresh {words} | LLEN fresh")).named("5,000 arguments"));
    let elements = (0..3_000)
        .map(|i| format!("element-{i}"))
        .collect::<Vec<_>>()
        .join(" ");
    let text = format!("RPUSH fresh {elements} | LRANGE fresh 0 -1 | GET k0");
    cases.push(redis(&text).named("a reply of 3,000 elements"));
    cases
}
