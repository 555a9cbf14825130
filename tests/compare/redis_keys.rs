//! Commands about keys of any type, HyperLogLog, scripts, and what is answered without a key.

use crate::case::{Case, redis, redis_lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [
        keys(),
        expiry(),
        dumps(),
        counters(),
        scripts(),
        keyless(),
        unsupported(),
    ]
    .concat()
}

fn keys() -> Vec<Case> {
    redis_lines(
        r#"
        DEL str | GET str
        DEL missing
        UNLINK str | GET str
        UNLINK missing
        TOUCH str
        TOUCH missing
        EXISTS str
        EXISTS missing
        TYPE str
        TYPE list
        TYPE hash
        TYPE set
        TYPE zset
        TYPE missing
        COPY str
        "#,
    )
}

fn expiry() -> Vec<Case> {
    redis_lines(
        r#"
        TTL expiring
        TTL str
        TTL missing
        PTTL str
        PTTL missing
        EXPIRE str 1000 | TTL str
        EXPIRE str -1 | GET str
        EXPIRE str x
        EXPIRE missing 10
        PEXPIRE str 1000000 | TTL str
        PEXPIRE str x
        EXPIREAT str 4102444800 | PERSIST str | TTL str
        EXPIREAT str 1 | GET str
        EXPIREAT missing 4102444800
        EXPIREAT str x
        PEXPIREAT str 4102444800000
        PEXPIREAT str 1 | GET str
        PEXPIREAT str x
        PERSIST expiring | TTL expiring
        PERSIST str
        PERSIST missing
        "#,
    )
}

fn dumps() -> Vec<Case> {
    redis_lines(
        r#"
        DUMP str
        DUMP list
        DUMP num
        DUMP missing
        RESTORE fresh 0 "\x00\x02hi\n\x00\xafk\x9f\xe8\x8e1\x1b\x14" | GET fresh
        RESTORE fresh 0 nonsense
        RESTORE str 0 x
        RESTORE fresh x y
        RESTORE fresh
        "#,
    )
}

fn counters() -> Vec<Case> {
    redis_lines(
        r#"
        PFADD hll d
        PFADD hll a
        PFADD fresh
        PFADD str x
        PFCOUNT hll
        PFCOUNT missing
        PFCOUNT str
        PFMERGE fresh
        PFMERGE str
        "#,
    )
}

fn scripts() -> Vec<Case> {
    let mut cases = redis_lines(
        r#"
        EVAL "return 7" 1 k0
        EVAL "return {KEYS[1], ARGV[1], ARGV[2]}" 1 k1 x y
        EVAL "return redis.call('get', KEYS[1])" 1 k3
        EVAL "return redis.call('set', KEYS[1], ARGV[1])" 1 k3 new | GET k3
        EVAL "return redis.call('incr', KEYS[1])" 1 list
        EVAL "return redis.error_reply('MINE own words')" 1 k0
        EVAL "return {1, {2, {3, false, 'x'}}, 'y'}" 1 k0
        EVAL "return nil" 1 k0
        EVAL "return syntax error" 1 k0
        EVAL "return 7" 2 k0
        EVAL "return 7" 3 k0 k6
        EVAL "return 7" 1 ""
        EVALSHA 5b0d7f7e1ff5e6d4ee9a2a9f1b4cc2cb9ebc6a2b 1 k0
        EVALSHA x 1 k0
        EVAL "return 7" 1 k0 | EVALSHA 59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9 1 k0
        "#,
    );
    let refused = [
        (r#"EVAL "return 7" 0 k0"#, ":7"),
        (
            r#"EVALSHA x 0 k0"#,
            "-NOSCRIPT No matching script. Please use EVAL.",
        ),
        (
            r#"EVAL "return 7" -1 k0"#,
            "-ERR Number of keys can't be negative",
        ),
        (
            r#"EVAL "return 7" x k0"#,
            "-ERR value is not an integer or out of range",
        ),
        (
            r#"EVAL "return 7" "" k0"#,
            "-ERR value is not an integer or out of range",
        ),
    ];
    cases.extend(refused.map(|(text, ours)| redis(text).differs("script-key-count", ours)));
    cases
}

fn keyless() -> Vec<Case> {
    let mut cases = vec![
        redis("PING"),
        redis("ping"),
        redis("PING | PING | GET str | PING"),
        redis("AUTH anything"),
        redis("PING hello").differs("ping-with-text", "$5\nhello"),
        redis("PING a b").differs(
            "wrong-argument-count",
            "-ERR wrong number of arguments for 'ping' command",
        ),
        redis("QUIT").differs("quit-reply", "+OK\n<closed>"),
        redis("quit").differs("quit-reply", "+OK\n<closed>"),
        redis("GET str | QUIT | GET k0").differs("quit-reply", "$11\nhello world\n+OK\n<closed>"),
    ];
    let art = format!(
        "$39\nA crab cracks a nut. nutcrab ver. {}\n+PONG",
        env!("CARGO_PKG_VERSION")
    );
    cases.push(redis("LOLWUT VERSION 98 | PING").differs("local-commands", &art));
    let about_the_connection = [
        ("CLIENT GETNAME", "$-1"),
        ("CLIENT SETNAME me | CLIENT GETNAME", "+OK\n$2\nme"),
        ("CONFIG GET save", "*2\n$4\nsave\n$0\n"),
        ("ECHO hi", "$2\nhi"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("RESET", "+RESET"),
        ("SELECT 0 | GET str", "+OK\n$11\nhello world"),
    ];
    let sessions = [
        (
            "MULTI | SET k0 x | GET k0 | EXEC",
            "+OK\n+QUEUED\n+QUEUED\n*2\n+OK\n$1\nx",
        ),
        (
            "WATCH k0 | MULTI | GET k0 | EXEC",
            "+OK\n+OK\n+QUEUED\n*1\n$2\nv0",
        ),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("BLPOP fresh 0.01", "*-1"),
        ("PUBLISH a b", ":0"),
        (
            "SUBSCRIBE a | UNSUBSCRIBE a",
            "*3\n$9\nsubscribe\n$1\na\n:1\n*3\n$11\nunsubscribe\n$1\na\n:0",
        ),
    ];
    cases.extend(sessions.map(|(text, ours)| redis(text).differs("sessions", ours)));
    cases.extend(
        about_the_connection.map(|(text, ours)| redis(text).differs("connection-commands", ours)),
    );
    cases
}

/// Words no server knows, and commands twemproxy has not.
fn unsupported() -> Vec<Case> {
    let commands = [
        "APPENDX a",
        "COMMANDS",
        "GETT str",
        "G",
        "GE",
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
    ];
    let further = [
        ("XLEN missing", ":0"),
        ("EXPIRETIME missing", ":-2"),
        ("SINTERCARD 1 missing", ":0"),
        ("XRANGE missing - +", "*0"),
        (
            "OBJECT NOPE x",
            "-ERR unknown subcommand 'NOPE'. Try OBJECT HELP.",
        ),
        (
            "CLUSTER INFO",
            "-ERR This instance has cluster support disabled",
        ),
        (
            "MONITOR",
            "-ERR 'monitor' is not supported: the connection would never be the same again",
        ),
        // Recognised by twemproxy, which then closes.
        ("MOVE missing 1", ":0"),
    ];
    let mut cases: Vec<_> = commands.iter().map(|text| refused(text)).collect();
    cases.extend(further.map(|(text, ours)| redis(text).differs("further-commands", ours)));
    let nothing = redis("\"\"").differs("unsupported-command", "-ERR unknown command ''");
    cases.push(nothing);
    let odd = redis(r#""a\r\n'b" x"#);
    cases.push(odd.differs("unsupported-command", "-ERR unknown command 'a??'b'"));
    cases
}

fn refused(text: &str) -> Case {
    let name = text.split(' ').next().expect("a split has a first part");
    redis(text).differs(
        "unsupported-command",
        &format!("-ERR unknown command '{name}'"),
    )
}
