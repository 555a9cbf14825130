//! Strings, numbers and bits; and, for every command, what a wrong number of arguments gives.

use crate::case::{Case, redis, redis_lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [strings(), writes(), bits(), wrong_arity(), any_case()].concat()
}

fn strings() -> Vec<Case> {
    redis_lines(
        r#"
        GET str
        GET num
        GET empty
        GET missing
        GET list
        GET bytes
        GET ""
        GET "\xe4\xb8\xad\xff"
        GET "with\"quote"
        GET k0
        GET k7
        STRLEN str
        STRLEN bytes
        STRLEN missing
        STRLEN hash
        GETRANGE str 0 4
        GETRANGE str -5 -1
        GETRANGE str 5 1
        GETRANGE missing 0 -1
        GETRANGE str a b
        GETRANGE set 0 1
        GETEX str
        GETEX str PERSIST
        GETEX str EX 1000 | TTL str
        GETEX str EX 0
        GETEX str NONSENSE
        GETEX missing EX 10
        GETEX list
        GETDEL str | GET str
        GETDEL missing
        GETDEL zset
        GETSET str new | GET str
        GETSET missing new | GET missing
        GETSET list new
        "#,
    )
}

fn writes() -> Vec<Case> {
    redis_lines(
        r#"
        SET str new | GET str
        SET "" empty-key | GET ""
        SET "\x00\xff\r\n" "\r\n\x00" | GET "\x00\xff\r\n"
        SET str new NX
        SET fresh new NX | GET fresh
        SET fresh new XX
        SET str new XX | GET str
        SET str new GET
        SET list new GET
        SET str new EX 1000 | TTL str
        SET str new PX 1000000 | TTL str
        SET str new EX 0
        SET str new EX abc
        SET expiring new KEEPTTL | TTL expiring
        SET str new NX XX
        SET str new BOGUS
        SET str
        SETNX str new
        SETNX fresh new | GET fresh
        SETEX str 1000 new | TTL str
        SETEX str 0 new
        SETEX str -1 new
        SETEX str x new
        PSETEX str 1000000 new | TTL str
        PSETEX str 0 new
        SETRANGE str 6 proxy | GET str
        SETRANGE missing 3 x | GET missing
        SETRANGE str -1 x
        SETRANGE str 536870912 x
        SETRANGE list 0 x
        APPEND str !! | GET str
        APPEND fresh start
        APPEND list x
        INCR num | GET num
        INCR fresh
        INCR str
        INCR list
        DECR num
        DECR fresh
        DECR float
        INCRBY num 10
        INCRBY num -50
        INCRBY num 9223372036854775807
        INCRBY num x
        DECRBY num 10
        DECRBY num -9223372036854775808
        DECRBY str 1
        INCRBYFLOAT float 0.75
        INCRBYFLOAT num 1e2
        INCRBYFLOAT str 1
        INCRBYFLOAT float x
        "#,
    )
}

fn bits() -> Vec<Case> {
    redis_lines(
        r#"
        GETBIT str 1
        GETBIT str 100000
        GETBIT missing 0
        GETBIT str -1
        GETBIT list 0
        SETBIT str 0 1 | GETBIT str 0
        SETBIT fresh 7 1 | GET fresh
        SETBIT str 0 2
        SETBIT list 0 1
        BITCOUNT str
        BITCOUNT str 0 1
        BITCOUNT str 0 7 BIT
        BITCOUNT str 0
        BITCOUNT missing
        BITCOUNT list
        BITPOS bytes 1
        BITPOS str 0 1 2
        BITPOS missing 0
        BITPOS str 2
        BITPOS str
        BITFIELD fresh SET u8 0 255 GET u4 4 INCRBY i5 100 1
        BITFIELD str GET u8 0
        BITFIELD str OVERFLOW FAIL INCRBY u2 0 3
        BITFIELD str
        BITFIELD str GET x9 0
        BITFIELD list GET u8 0
        "#,
    )
}

/// Commands with a fixed number of arguments, the name counted, by that number.
const EXACT: &[(usize, &str)] = &[
    (1, "COMMAND"),
    (
        2,
        "DECR DUMP GET GETDEL HGETALL HKEYS HLEN HVALS INCR LLEN PERSIST PTTL SCARD SMEMBERS \
         STRLEN TTL TYPE ZCARD AUTH",
    ),
    (
        3,
        "APPEND DECRBY EXPIRE EXPIREAT GETBIT GETSET HEXISTS HGET HSTRLEN INCRBY INCRBYFLOAT \
         LINDEX PEXPIRE PEXPIREAT RPOPLPUSH SETNX SISMEMBER ZRANK ZREVRANK ZSCORE",
    ),
    (
        4,
        "GETRANGE HINCRBY HINCRBYFLOAT HSETNX LRANGE LREM LSET LTRIM PSETEX SETBIT SETEX \
         SETRANGE SMOVE ZCOUNT ZINCRBY ZLEXCOUNT ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE",
    ),
    (5, "LINSERT LMOVE"),
];

/// Commands with a least number of arguments, the name counted.
const AT_LEAST: &[(usize, &str)] = &[
    (
        2,
        "BITCOUNT BITFIELD BITPOS COPY EXISTS GEOADD GEODIST GEOHASH GEOPOS GEORADIUS \
         GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE GETEX HDEL HMGET HMSET HRANDFIELD HSCAN HSET \
         LPOP LPOS LPUSH LPUSHX PFADD PFCOUNT PFMERGE RESTORE RPOP RPUSH RPUSHX SADD SDIFF \
         SDIFFSTORE SET SINTER SINTERSTORE SMISMEMBER SORT SPOP SRANDMEMBER SREM SSCAN SUNION \
         SUNIONSTORE ZADD ZDIFF ZDIFFSTORE ZINTER ZINTERSTORE ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER \
         ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZREM ZREVRANGE ZREVRANGEBYLEX \
         ZREVRANGEBYSCORE ZSCAN ZUNION ZUNIONSTORE MGET DEL UNLINK TOUCH",
    ),
    (3, "MSET"),
    (3, "EVAL EVALSHA"),
];

fn wrong_arity() -> Vec<Case> {
    let mut cases = Vec::new();
    for &(count, names) in EXACT {
        for name in names.split_whitespace() {
            if count > 1 {
                cases.push(of_length(name, count - 1));
            }
            // Forms with more arguments are Redis' own since.
            let grown = "AUTH COMMAND EXPIRE EXPIREAT PEXPIRE PEXPIREAT ZRANK ZREVRANK";
            if !grown.split(' ').any(|known| known == name) {
                cases.push(of_length(name, count + 1));
            }
        }
    }
    for &(least, names) in AT_LEAST {
        for name in names.split_whitespace() {
            cases.push(of_length(name, least - 1));
        }
    }
    cases.push(of_length("MSET", 4));
    cases
}

/// `name` with so many arguments, which are not as many as it takes.
fn of_length(name: &str, count: usize) -> Case {
    let text = [vec![name], vec!["1"; count - 1]].concat().join(" ");
    let name = name.to_ascii_lowercase();
    let ours = format!("-ERR wrong number of arguments for '{name}' command");
    redis(&text).differs("wrong-argument-count", &ours)
}

fn any_case() -> Vec<Case> {
    redis_lines(
        r#"
        get str
        gEt str
        Set str new | gET str
        mGet k0 k1
        hgetALL one
        "#,
    )
}
