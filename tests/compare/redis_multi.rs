//! Several keys in one request, and several requests in one pipeline.
//!
//! With murmur and the servers s1 to s4, `k3 k4 k5` live on s1, `k2 k7` on s2, `k1` on s3 and
//! `k0 k6` on s4.

use crate::case::{Case, redis, redis_lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        split(),
        counted(),
        pipelines(),
        together(),
        apart(),
        tagged(),
        numkeys(),
    ]
    .concat()
}

fn split() -> Vec<Case> {
    let mut cases = redis_lines(
        r#"
        MGET str
        MGET missing
        MGET list
        MGET k0 k1 k2 k3 k4 k5 k6 k7
        MGET k7 k6 k5 k4 k3 k2 k1 k0
        MGET k3 k4 k5
        MGET k0 k0
        MGET k0 k1 k0 k1 k1 k0
        MGET k0 missing k1 absent k2 gone
        MGET missing absent gone
        MGET empty k1 bytes k2
        MGET k0 list k1 hash
        MGET "" k0 "\xe4\xb8\xad\xff" k1
        MSET k0 x
        MSET k0 x k1 y k2 z | MGET k0 k1 k2
        MSET k3 a k4 b k5 c | MGET k5 k4 k3
        MSET k0 first k0 second | GET k0
        MSET k0 a k1 b k0 c k1 d | MGET k0 k1
        MSET list x hash y | MGET list hash
        MSET k0 "" k1 "\r\n\x00\xff" | MGET k0 k1
        MSET fresh1 1 fresh2 2 fresh3 3 fresh4 4 fresh5 5 | MGET fresh1 fresh2 fresh3 fresh4 fresh5
        "#,
    );
    let keys: Vec<String> = (0..500).map(|i| format!("many:{i}")).collect();
    let pairs: Vec<String> = keys
        .iter()
        .map(|key| format!("{key} value-of-{key}"))
        .collect();
    let (keys, pairs) = (keys.join(" "), pairs.join(" "));
    cases.push(redis(&format!("MSET {pairs}")).named("MSET of 500 pairs"));
    cases.push(redis(&format!("MSET {pairs} | MGET {keys}")).named("MGET of 500 keys"));
    cases.push(redis(&format!("MGET {keys}")).named("MGET of 500 missing keys"));
    cases.push(redis(&format!("MSET {pairs} | DEL {keys} k0")).named("DEL of 501 keys"));
    let big = "x".repeat(100_000);
    let text = format!("MSET k0 {big} k1 {big} k2 small | MGET k0 k1 k2 k0");
    cases.push(redis(&text).named("MGET of large values"));
    cases
}

/// Commands that count, split and summed.
fn counted() -> Vec<Case> {
    let mut cases = redis_lines(
        r#"
        DEL k0 k1 k2 k3 k4 k5 k6 k7 | MGET k0 k1 k2 k3 k4 k5 k6 k7
        DEL k0 k0 k1 k1
        DEL k3 k4 missing k5
        DEL missing absent gone
        DEL k0 list hash set zset
        UNLINK k0 k1 missing k2 | MGET k0 k1 k2
        UNLINK k0 k0
        TOUCH k0 k1 missing k2 k0
        TOUCH missing absent
        EXISTS k3 k4 k5
        EXISTS k0 k6 missing
        EXISTS k3 k3 k3
        "#,
    );
    let summed = [
        ("EXISTS k0 k1 k2 k3", ":4"),
        ("EXISTS k0 missing k1 k1 hash", ":4"),
        ("EXISTS missing empty k3 nope", ":2"),
    ];
    cases.extend(summed.map(|(text, ours)| redis(text).differs("exists-split", ours)));
    cases
}

fn pipelines() -> Vec<Case> {
    let mut cases = redis_lines(
        r#"
        GET k0 | GET k1 | GET k2 | GET k3 | GET k4 | GET k5 | GET k6 | GET k7
        SET k0 a | GET k0 | SET k0 b | GET k0 | DEL k0 | GET k0
        GET k0 | PING | MGET k0 k1 | PING | GET missing
        GET k0 | GET list | GET k1 | INCR str | GET k2
        PING | PING | PING
        MGET k0 k1 k2 | DEL k0 k1 | MGET k0 k1 k2 | MSET k0 x k1 y | MGET k0 k1 k2
        LRANGE list 0 -1 | HGETALL one | SMEMBERS set | ZRANGE zset 0 -1
        AUTH x | GET k0 | AUTH y
        INCR num | INCR num | INCR num | INCR num | GET num
        "#,
    );
    let many: Vec<_> = (0..1000)
        .map(|i| format!("SET p:{i} {i} | GET p:{i}"))
        .collect();
    cases.push(redis(&many.join(" | ")).named("2,000 requests in a pipeline"));
    let unknown = "-ERR unknown command 'NOPE'";
    let rows = [
        ("GET k0 | NOPE x", format!("$2\nv0\n{unknown}")),
        ("NOPE x | GET k0", format!("{unknown}\n$2\nv0")),
        (
            "SET k0 new | NOPE | GET k0",
            format!("+OK\n{unknown}\n$3\nnew"),
        ),
        (
            "MGET k0 k1 | NOPE | PING",
            format!("*2\n$2\nv0\n$2\nv1\n{unknown}\n+PONG"),
        ),
        (
            "GET k0 | GET | GET k1",
            "$2\nv0\n-ERR wrong number of arguments for 'get' command\n$2\nv1".into(),
        ),
    ];
    cases.extend(
        rows.iter()
            .map(|(text, ours)| redis(text).differs("earlier-replies", ours)),
    );
    cases
}

/// Keys of one server, in commands that cannot be split.
fn together() -> Vec<Case> {
    redis_lines(
        r#"
        SADD k3:a 1 2 3
        SDIFF set missing
        SINTER set set
        SUNION set missing set
        SDIFF str missing
        SDIFFSTORE set missing
        SUNIONSTORE zset set missing | TYPE zset
        SINTERSTORE missing set set | SMEMBERS missing
        PFCOUNT hll single fresh
        PFCOUNT hll hll
        PFMERGE fresh hll | PFCOUNT fresh
        RPOPLPUSH list missing | LRANGE missing 0 -1
        RPOPLPUSH list list | LRANGE list 0 -1
        RPOPLPUSH missing list
        RPOPLPUSH list str
        LMOVE list missing LEFT RIGHT | LRANGE missing 0 -1
        LMOVE list list RIGHT LEFT | LRANGE list 0 -1
        LMOVE list missing UP DOWN
        SMOVE set missing 1 | SMEMBERS missing
        SMOVE set missing 99
        SMOVE set str 1
        COPY k3 fresh | GET fresh
        COPY k3 k4
        COPY k3 k4 REPLACE | GET k4
        COPY missing list
        COPY k3 k4 BOGUS
        ZRANGESTORE set zset 0 1
        ZRANGESTORE missing zset 0 1 | ZRANGE missing 0 -1
        GEOSEARCHSTORE fresh geo FROMLONLAT 15 37 BYRADIUS 200 km | ZCARD fresh
        GEORADIUS geo 15 37 200 km STORE fresh | ZCARD fresh
        GEORADIUS geo 15 37 200 km STOREDIST fresh | ZCARD fresh
        GEORADIUSBYMEMBER geo Palermo 200 km STORE fresh | ZCARD fresh
        SORT list ALPHA STORE missing | LRANGE missing 0 -1
        SORT list BY nosort LIMIT 1 2
        ZUNIONSTORE missing 2 zset lex | ZRANGE missing 0 -1 WITHSCORES
        ZINTERSTORE missing 2 zset lex WEIGHTS 2 3 AGGREGATE MAX | ZRANGE missing 0 -1 WITHSCORES
        ZDIFFSTORE missing 2 zset lex | ZRANGE missing 0 -1
        ZUNIONSTORE missing 0 zset
        ZUNIONSTORE missing x zset
        ZUNIONSTORE missing 3 zset lex
        ZUNIONSTORE missing
        EVAL "return redis.call('mget', KEYS[1], KEYS[2])" 2 k3 k4
        EVAL "return #KEYS" 3 k3 k4 k5
        "#,
    )
}

/// Keys of different servers, in commands that cannot be split.
fn apart() -> Vec<Case> {
    let refused = "-CROSSSLOT Keys in request don't hash to the same shard";
    let requests = [
        "SDIFF set k1",
        "SINTER set single",
        "SUNION set k0 single",
        "SDIFFSTORE k1 set",
        "SINTERSTORE k1 set set",
        "SUNIONSTORE k1 k0 set",
        "PFCOUNT hll k1",
        "PFMERGE k1 hll",
        "RPOPLPUSH list k1",
        "LMOVE list k1 LEFT RIGHT",
        "SMOVE set k1 1",
        "COPY k0 k1",
        "ZRANGESTORE k1 zset 0 -1",
        "GEOSEARCHSTORE k1 geo FROMLONLAT 15 37 BYRADIUS 200 km",
        "GEORADIUS geo 15 37 200 km STORE k1",
        "GEORADIUSBYMEMBER geo Palermo 200 km STOREDIST k1",
        "SORT list ALPHA STORE k1",
        "ZUNIONSTORE k1 2 zset lex",
        "ZINTERSTORE zset 2 lex k1",
        "ZDIFFSTORE zset 2 lex k1",
        "EVAL \"return 7\" 2 k0 k1",
        "EVALSHA x 3 k0 k6 k1",
    ];
    requests
        .map(|text| redis(text).differs("cross-shard", refused))
        .to_vec()
}

/// The same commands where a hash tag brings the keys together.
fn tagged() -> Vec<Case> {
    let text = r#"
        MGET {t}a {t}b {t}str {t}missing
        MSET {t}a x {t}b y | MGET {t}a {t}b
        MGET {t}a k0 {t}b k1
        DEL {t}a {t}b {t}missing
        EXISTS {t}a {t}b {t}missing
        SDIFF {t}set {t}set2
        SINTER {t}set {t}set2
        SUNION {t}set {t}set2
        SDIFFSTORE {t}new {t}set {t}set2 | SMEMBERS {t}new
        SINTERSTORE {t}new {t}set {t}set2 | SMEMBERS {t}new
        SUNIONSTORE {t}new {t}set {t}set2 | SMEMBERS {t}new
        SMOVE {t}set {t}set2 1 | SMEMBERS {t}set2
        RPOPLPUSH {t}list {t}other | LRANGE {t}other 0 -1
        LMOVE {t}list {t}other LEFT RIGHT | LRANGE {t}other 0 -1
        PFCOUNT {t}hll {t}hll2
        PFMERGE {t}new {t}hll {t}hll2 | PFCOUNT {t}new
        COPY {t}str {t}new | GET {t}new
        ZUNIONSTORE {t}new 2 {t}zset {t}zset2 | ZRANGE {t}new 0 -1 WITHSCORES
        ZINTERSTORE {t}new 2 {t}zset {t}zset2 | ZRANGE {t}new 0 -1 WITHSCORES
        ZDIFFSTORE {t}new 2 {t}zset {t}zset2 | ZRANGE {t}new 0 -1 WITHSCORES
        ZRANGESTORE {t}new {t}zset 0 1 | ZRANGE {t}new 0 -1
        GEOSEARCHSTORE {t}new {t}geo FROMLONLAT 15 37 BYRADIUS 200 km | ZCARD {t}new
        SORT {t}list ALPHA DESC STORE {t}new | LRANGE {t}new 0 -1
        EVAL "return redis.call('mget', KEYS[1], KEYS[2])" 2 {t}a {t}b
        GET {}k0
        GET {k0
        GET k0}
        GET {}{t}a
        GET x{t}a
        SET {{t}}a x | GET {{t}}a
        "#;
    redis_lines(text)
        .into_iter()
        .map(|case| case.on("tagged"))
        .collect()
}

/// Commands whose first argument counts their keys: twemproxy takes that number for the key. It
/// lives on s1, where the keys of these cases do not.
fn numkeys() -> Vec<Case> {
    let rows = [
        ("ZUNION 2 zset lex", "*4\n$1\na\n$1\nb\n$1\nc\n$1\nd"),
        (
            "ZINTER 2 zset lex WITHSCORES",
            "*6\n$1\na\n$1\n1\n$1\nb\n$1\n2\n$1\nc\n$1\n3",
        ),
        ("ZDIFF 2 zset lex", "*1\n$1\nd"),
        ("ZUNION 1 zset", "*4\n$1\na\n$1\nb\n$1\nc\n$1\nd"),
    ];
    let mut cases: Vec<_> = rows
        .iter()
        .map(|(text, ours)| redis(text).differs("numkeys-routing", ours))
        .collect();
    cases.extend(redis_lines(
        r#"
        ZUNION 1 missing
        ZUNION 0 zset
        ZINTER x zset
        ZDIFF 3 zset lex
        ZDIFF 2 k3 k4
        "#,
    ));
    cases
}
