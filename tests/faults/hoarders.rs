//! Clients of the soak that take much and give nothing, say what nobody says, or ask for all there is:
//! none of it may cost those beside them anything.

use std::time::{Duration, Instant};

use crate::support::*;

/// What they do with their connections in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Hold as much as they can.
    Hoard,
    /// Say odd and administrative words, run odd scripts.
    OddWords,
}

/// Connections of one window; all are gone when it is over.
pub fn act(deed: Deed, redis: &Address, memcached: &Address, window: Duration) {
    let end = Instant::now() + window;
    let mut round = 0;
    while Instant::now() < end {
        match deed {
            Deed::Hoard => hoard(redis, memcached, end),
            Deed::OddWords => odd_words(redis, memcached, round),
        }
        round += 1;
    }
}

fn connect(address: &Address) -> Option<Wire> {
    let mut wire = Wire::try_connect(address).ok()?;
    wire.patience = Duration::from_millis(300);
    Some(wire)
}

/// One of each kind: what it sends at first, and what a byte at a time from then on.
fn hoard(redis: &Address, memcached: &Address, end: Instant) {
    let name = "n".repeat(60_000);
    let half = |size: usize| {
        let head = format!("*3\r\n$4\r\nMSET\r\n$1\r\nh\r\n${}\r\n", 2 * size);
        [head.into_bytes(), vec![b'x'; size]].concat()
    };
    let value = vec![b'x'; 100_000];
    let store = [
        resp::command(&[&b"SET"[..], b"hoard", &value]),
        resp::command(&["GET", "hoard"]).repeat(200),
    ]
    .concat();
    let names: Vec<String> = (0..2000).map(|number| format!("hoard{number}")).collect();
    let subscribe: Vec<&str> = ["SUBSCRIBE", "loud"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let publish = resp::command(&[&b"PUBLISH"[..], b"loud", &value]).repeat(30);
    let upload = [
        b"*3\r\n$3\r\nSET\r\n$5\r\nhoard\r\n$90000000\r\n".to_vec(),
        vec![b'x'; 64 * 1024],
    ]
    .concat();
    let starts: [&[u8]; 8] = [
        &[
            resp::command(&["CLIENT", "SETNAME", &name]),
            resp::command(&["CLIENT", "SETINFO", "LIB-NAME", &name]),
            resp::command(&["CLIENT", "ID"]).repeat(1000),
        ]
        .concat(),
        &half(4 << 20),
        &resp::command(&["COMMAND", "DOCS"]).repeat(60),
        &store,
        &resp::command(&subscribe),
        &publish,
        &upload,
        &resp::command(&["BLPOP", "nothing", "0"]),
    ];
    let mut held = Vec::new();
    for start in starts.iter().cycle().take(2 * starts.len()) {
        if let Some(mut wire) = connect(redis) {
            // Nobody reads: what does not fit is not worth waiting for.
            let _ = wire.try_send(start);
            held.push(wire);
        }
    }
    for start in [
        &b"set hoard 0 0 900000\r\nonly so much"[..],
        &b"get hoard ".repeat(100),
    ] {
        if let Some(mut wire) = connect(memcached) {
            let _ = wire.try_send(start);
            held.push(wire);
        }
    }
    while Instant::now() < end {
        for wire in &mut held {
            let _ = wire.try_send(b"x");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is asked of a Redis pool, each over a connection of its own that is read until it is quiet.
fn redis_words() -> Vec<Vec<u8>> {
    let long = "x".repeat(70_000);
    let many = vec!["x"; 5000];
    let script = |text: &str| resp::command(&["EVAL", text, "0"]);
    let with = |start: &[&str]| resp::command(&[start, &many].concat());
    vec![
        script("return {ok=string.rep('x',70000)}"),
        script("return {err=string.rep('x',70000)}"),
        script("local a={} for i=1,100 do a={a} end return a"),
        [
            resp::command(&["HELLO", "3"]),
            script("redis.setresp(3) return {big_number='abc'}"),
            script("redis.setresp(3) return {double=3.25}"),
            script("redis.setresp(3) return {map={a=1,b={1,2}}}"),
        ]
        .concat(),
        script("return redis.call('nosuch')"),
        script("this is no script"),
        resp::command(&["XREADGROUP", "GROUP", &long, "c", "STREAMS", "s", ">"]),
        resp::command(&["CONFIG", "SET", &long, "1"]),
        resp::command(&["SCRIPT", "KILL"]),
        resp::command(&["FUNCTION", "KILL"]),
        resp::command(&[
            "COMMAND",
            "LIST",
            "FILTERBY",
            "PATTERN",
            &format!("*[{long}"),
        ]),
        with(&["COMMAND", "INFO"]),
        with(&["COMMAND", "GETKEYS", "MGET"]),
        with(&["CLIENT", "LIST", "ID"]),
        with(&["CLIENT", "KILL", "ID"]),
        with(&["CONFIG", "GET"]),
        with(&["UNSUBSCRIBE"]),
        with(&["SUBSCRIBE"]),
        resp::command(&["CLIENT", &long]),
        resp::command(&["CLIENT", "NO-TOUCH", "ON"]),
        pipeline(&["MULTI", "NOSUCH", "SET odd 1", "EXEC"]),
        pipeline(&["MULTI", "BLPOP odd{q} 0", "EXEC"]),
        pipeline(&["MULTI", "MULTI", "WATCH odd", "DISCARD", "EXEC"]),
        pipeline(&["WATCH odd", "MULTI", "GET odd"]),
        pipeline(&["MULTI", "SUBSCRIBE a", "EXEC", "RESET"]),
        pipeline(&["SHUTDOWN", "DEBUG SEGFAULT", "REPLICAOF a 1", "FLUSHALL"]),
        pipeline(&["MONITOR", "SYNC", "PSYNC ? -1", "QUIT now"]),
        b"*0\r\n*-1\r\n".to_vec(),
    ]
}

const MEMCACHED_WORDS: &[&[u8]] = &[
    b"stats sizes_enable\r\n",
    b"stats sizes_disable\r\n",
    b"stats sizes\r\nstats nosuch\r\nstats detail dump\r\n",
    b"stats settings\r\nstats conns\r\nstats items\r\n",
    b"slabs reassign 1 2\r\nlru mode flat\r\nlru_crawler crawl all\r\n",
    b"watch\r\nshutdown\r\ncache_memlimit 1\r\n",
    b"mn\r\nme odd\r\nmg odd v\r\nma odd\r\nmd odd\r\n",
    b"verbosity 1\r\nverbosity\r\n",
    // `stat sizes_enable` in the binary protocol.
    b"\x80\x10\x00\x0c\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0sizes_enable",
];

fn odd_words(redis: &Address, memcached: &Address, round: usize) {
    let words = redis_words();
    let one = &words[round % words.len()];
    let other = MEMCACHED_WORDS[round % MEMCACHED_WORDS.len()];
    for (address, bytes) in [(redis, &one[..]), (memcached, other)] {
        if let Some(mut wire) = connect(address) {
            let _ = wire.try_send(bytes);
            let _ = wire.read_until_quiet(Duration::from_millis(5));
        }
    }
}
