//! Which types the replies to each command are of.
//!
//! A reply of another type is one to another command: its connection has lost count. Errors are always
//! possible, and so is the null of RESP3, which gives nothing of another client's away: servers say it in
//! place of an array or a map. The types are those of Redis 6 to 7.2 and Valkey 8 and 9, in both versions of
//! the protocol; `tests/direct` holds them against real servers.

use crate::protocol::Version;

/// The number of [`Shape::Any`].
const SHAPE_FIRST: u8 = 16;

/// The types a reply can be of, in RESP2 and in RESP3.
///
/// Numbered from `SHAPE_FIRST` on: a `Family` is one byte, its own sixteen take the numbers before, and so
/// the first of them, which every reply begins with, is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// Any.
    Any = SHAPE_FIRST,
    /// A simple string.
    Status,
    /// A number.
    Integer,
    /// A number, or null.
    IntegerOrNil,
    /// A string, or null.
    Bulk,
    /// A text for people.
    Verbatim,
    /// An array.
    Array,
    /// An array, or null.
    ArrayOrNil,
    /// A map.
    Map,
    /// A map, or null.
    MapOrNil,
    /// A set.
    Set,
    /// A number with a fraction, or null.
    Double,
    /// A simple string, or what was there before: a string, or null.
    StatusOrBulk,
    /// A simple string or an array.
    StatusOrArray,
    /// A string, null, or with a count an array.
    BulkOrArray,
    /// A string, null, or with a count a set; some versions say an array.
    BulkOrSet,
    /// A number, or with the name of a key an array.
    IntegerOrArray,
    /// A number, null, or with an option an array.
    IntegerOrNilOrArray,
    /// A number, or with an option a number with a fraction, or null.
    IntegerOrDouble,
    /// A string, or with an option a number or a map.
    BulkOrIntegerOrMap,
}

/// For each shape the first bytes of its replies in RESP2 and in RESP3, null included.
#[rustfmt::skip]
const FIRST: [[&[u8]; 2]; 20] = [
    [b"+:$*", b"+:$*_,#(=%~|"],
    [b"+", b"+"],
    [b":", b":"],
    [b":$", b":_"],
    [b"$", b"$_"],
    [b"$", b"=$"],
    [b"*", b"*"],
    [b"*", b"*_"],
    [b"*", b"%"],
    [b"*$", b"%_"],
    [b"*", b"~"],
    [b"$", b",_"],
    [b"+$", b"+$_"],
    [b"+*", b"+*"],
    [b"$*", b"$*_"],
    [b"$*", b"$~*_"],
    [b":*", b":*"],
    [b":$*", b":_*"],
    [b":$", b":,_"],
    [b"$:*", b"$:%"],
];

/// What [`FIRST`] says, as bits: that of a first byte is its low five bits, which differ for all of them.
const BITS: [[u32; 2]; FIRST.len()] = {
    let mut bits = [[0; 2]; FIRST.len()];
    let mut shape = 0;
    while shape < FIRST.len() {
        bits[shape] = [mask(FIRST[shape][0]), mask(FIRST[shape][1])];
        shape += 1;
    }
    bits
};

/// The bits of these first bytes, of errors and of the null of RESP3.
const fn mask(bytes: &[u8]) -> u32 {
    let mut mask = bit(b'-') | bit(b'!') | bit(b'_');
    let mut index = 0;
    while index < bytes.len() {
        mask |= bit(bytes[index]);
        index += 1;
    }
    mask
}

const fn bit(first: u8) -> u32 {
    1 << (first & 31)
}

impl Shape {
    /// Whether a reply of this shape can start with this byte. Of bytes no reply starts with it says
    /// nothing.
    #[inline]
    pub fn admits(self, first: u8, version: Version) -> bool {
        BITS[(self as u8 - SHAPE_FIRST) as usize][version as usize] & bit(first) != 0
    }
}

/// The shape of the replies to the command of this name; [`Shape::Any`] for one that is not known, as
/// those that were learned from servers.
pub(super) fn of(name: &str) -> Shape {
    let has = |(_, names): &&(Shape, &[&str])| names.contains(&name);
    SHAPES
        .iter()
        .find(has)
        .map_or(Shape::Any, |(shape, _)| *shape)
}

/// The commands of each shape. What is answered here is not among them, but for `CONFIG GET`, which
/// servers are asked, too.
#[rustfmt::skip]
const SHAPES: &[(Shape, &[&str])] = &[
    // What scripts say, and what is about the inside of a server.
    (Shape::Any, &[
        "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "DEBUG|*", "DEBUG|OBJECT",
        "PFDEBUG",
    ]),
    (Shape::Status, &[
        "TYPE", "LSET", "LTRIM", "PSETEX", "SETEX", "HMSET", "RESTORE", "RESTORE-ASKING", "PFMERGE", "MSET",
        "XSETID", "RENAME", "MIGRATE", "XGROUP|CREATE", "XGROUP|SETID", "MEMORY|PURGE", "PFSELFTEST",
        "FLUSHALL", "FLUSHDB", "SWAPDB", "SCRIPT|FLUSH", "SCRIPT|KILL", "FUNCTION|DELETE",
        "FUNCTION|FLUSH", "FUNCTION|RESTORE", "FUNCTION|KILL", "CONFIG|SET", "CONFIG|REWRITE",
        "CONFIG|RESETSTAT", "SLOWLOG|RESET", "COMMANDLOG|RESET", "SAVE", "BGSAVE", "BGREWRITEAOF",
        "SHUTDOWN", "FAILOVER", "REPLICAOF", "SLAVEOF", "MODULE|LOAD", "MODULE|LOADEX", "MODULE|UNLOAD",
        "ACL|SETUSER", "ACL|LOAD", "ACL|SAVE",
    ]),
    (Shape::Integer, &[
        "DECR", "HLEN", "INCR", "LLEN", "PERSIST", "PTTL", "SCARD", "STRLEN", "TTL", "ZCARD", "APPEND",
        "DECRBY", "EXPIRE", "EXPIREAT", "GETBIT", "HEXISTS", "HSTRLEN", "INCRBY", "PEXPIRE", "PEXPIREAT",
        "SETNX", "SISMEMBER", "HINCRBY", "HSETNX", "LREM", "SETBIT", "SETRANGE", "SMOVE", "ZCOUNT",
        "ZLEXCOUNT", "ZREMRANGEBYLEX", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "LINSERT", "BITCOUNT",
        "BITPOS", "COPY", "EXISTS", "GEOADD", "GEOSEARCHSTORE", "HDEL", "HSET", "LPUSH", "LPUSHX", "PFADD",
        "PFCOUNT", "RPUSH", "RPUSHX", "SADD", "SDIFFSTORE", "SINTERSTORE", "SREM", "SUNIONSTORE",
        "ZDIFFSTORE", "ZINTERSTORE", "ZRANGESTORE", "ZREM", "ZUNIONSTORE", "DEL", "UNLINK", "TOUCH",
        "DELIFEQ", "EXPIRETIME", "MOVE", "PEXPIRETIME", "XLEN", "HSETEX", "XACK", "XDEL", "XTRIM", "BITOP",
        "MSETEX", "MSETNX", "RENAMENX", "SINTERCARD", "ZINTERCARD", "PUBLISH", "SPUBLISH", "PUBSUB|NUMPAT",
        "XGROUP|CREATECONSUMER", "XGROUP|DELCONSUMER", "XGROUP|DESTROY", "DBSIZE", "SLOWLOG|LEN",
        "COMMANDLOG|LEN", "LATENCY|RESET", "LASTSAVE", "ACL|DELUSER",
    ]),
    (Shape::IntegerOrNil, &["OBJECT|FREQ", "OBJECT|IDLETIME", "OBJECT|REFCOUNT", "MEMORY|USAGE"]),
    (Shape::Bulk, &[
        "DUMP", "GET", "GETDEL", "GETSET", "HGET", "INCRBYFLOAT", "LINDEX", "RPOPLPUSH", "GETRANGE",
        "HINCRBYFLOAT", "LMOVE", "GEODIST", "GETEX", "SUBSTR", "XADD", "OBJECT|ENCODING", "RANDOMKEY",
        "SCRIPT|LOAD", "SCRIPT|SHOW", "FUNCTION|LOAD", "FUNCTION|DUMP", "ACL|GENPASS", "ACL|WHOAMI",
    ]),
    (Shape::Verbatim, &["MEMORY|DOCTOR", "MEMORY|MALLOC-STATS", "LATENCY|DOCTOR", "LATENCY|GRAPH"]),
    (Shape::Array, &[
        "HKEYS", "HVALS", "LRANGE", "BITFIELD", "GEOHASH", "GEOPOS", "GEOSEARCH", "HMGET", "HSCAN",
        "SMISMEMBER", "SSCAN", "ZDIFF", "ZINTER", "ZMSCORE", "ZPOPMAX", "ZPOPMIN", "ZRANGE", "ZRANGEBYLEX",
        "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE", "ZSCAN", "ZUNION", "MGET",
        "BITFIELD_RO", "GEORADIUS_RO", "GEORADIUSBYMEMBER_RO", "XAUTOCLAIM", "XCLAIM", "XPENDING",
        "XRANGE", "XREVRANGE", "SORT_RO", "PUBSUB|HELP", "PUBSUB|CHANNELS", "PUBSUB|SHARDCHANNELS",
        "PUBSUB|NUMSUB", "PUBSUB|SHARDNUMSUB", "OBJECT|HELP", "XGROUP|HELP", "XINFO|HELP",
        "XINFO|CONSUMERS", "XINFO|GROUPS", "MEMORY|HELP", "KEYS", "SCAN", "SCRIPT|HELP", "SCRIPT|EXISTS",
        "FUNCTION|HELP", "FUNCTION|LIST", "CONFIG|HELP", "SLOWLOG|HELP", "SLOWLOG|GET",
        "COMMANDLOG|HELP", "COMMANDLOG|GET", "LATENCY|HELP", "LATENCY|HISTORY", "LATENCY|LATEST", "ROLE",
        "MODULE|HELP", "MODULE|LIST", "ACL|HELP", "ACL|CAT", "ACL|LIST", "ACL|USERS",
    ]),
    (Shape::ArrayOrNil, &[
        "HEXPIRE", "HEXPIREAT", "HEXPIRETIME", "HGETDEL", "HGETEX", "HPERSIST", "HPEXPIRE", "HPEXPIREAT",
        "HPEXPIRETIME", "HPTTL", "HTTL", "LMPOP", "ZMPOP", "BLMPOP", "BLPOP", "BRPOP", "BZMPOP",
        "BZPOPMAX", "BZPOPMIN",
    ]),
    (Shape::Map, &[
        "HGETALL", "XINFO|STREAM", "MEMORY|STATS", "FUNCTION|STATS", "LATENCY|HISTOGRAM", "CONFIG|GET",
    ]),
    (Shape::MapOrNil, &["XREAD", "XREADGROUP", "ACL|GETUSER"]),
    (Shape::Set, &["SMEMBERS", "SDIFF", "SINTER", "SUNION"]),
    (Shape::Double, &["ZSCORE", "ZINCRBY"]),
    (Shape::StatusOrBulk, &["SET", "ACL|DRYRUN"]),
    (Shape::StatusOrArray, &["ACL|LOG"]),
    (Shape::BulkOrArray, &["HRANDFIELD", "LPOP", "RPOP", "ZRANDMEMBER", "BLMOVE", "BRPOPLPUSH"]),
    (Shape::BulkOrSet, &["SPOP", "SRANDMEMBER"]),
    (Shape::IntegerOrArray, &["GEORADIUS", "GEORADIUSBYMEMBER", "SORT"]),
    (Shape::IntegerOrNilOrArray, &["ZRANK", "ZREVRANK", "LPOS"]),
    (Shape::IntegerOrDouble, &["ZADD"]),
    (Shape::BulkOrIntegerOrMap, &["LCS"]),
];

#[cfg(test)]
mod tests {
    use super::super::{Rule, Table};
    use super::*;

    /// All commands whose reply may be of any type, for good reasons.
    const ANY: [&str; 9] = [
        "DEBUG|*",
        "DEBUG|OBJECT",
        "EVAL",
        "EVALSHA",
        "EVALSHA_RO",
        "EVAL_RO",
        "FCALL",
        "FCALL_RO",
        "PFDEBUG",
    ];

    #[test]
    fn every_row_that_is_forwarded_states_the_types_of_its_replies_once() {
        let named = |name: &str| {
            let lists = SHAPES.iter().flat_map(|(_, names)| *names);
            lists.filter(|known| **known == name).count()
        };
        let table = Table::standard();
        for row in table.rows() {
            let is_forwarded = !matches!(
                row.rule,
                Rule::Container | Rule::Fixed(_) | Rule::Never(_) | Rule::Local(_)
            );
            let expected = usize::from(is_forwarded || row.name == "CONFIG|GET");
            assert_eq!(named(row.name), expected, "{}", row.name);
        }
        for name in SHAPES.iter().flat_map(|(_, names)| *names) {
            let has_row = table.rows().iter().any(|row| row.name == *name);
            assert!(has_row, "{name} has no row");
        }
    }

    #[test]
    fn few_rows_may_be_answered_with_anything_and_the_page_names_them() {
        let (_, any) = SHAPES
            .iter()
            .find(|(shape, _)| *shape == Shape::Any)
            .expect("a list");
        let mut any = any.to_vec();
        any.sort_unstable();
        assert_eq!(any, ANY);
        let page = include_str!("../../../../ARCHITECTURE.md");
        for name in ANY {
            assert!(
                page.contains(&format!("`{}`", name.replace("|*", "").replace('|', " "))),
                "{name}"
            );
        }
    }

    #[test]
    fn each_type_has_a_bit_of_its_own() {
        let kinds = b"+-:$*_,#(!=%~|";
        for &kind in kinds {
            let alike = kinds.iter().filter(|&&other| bit(other) == bit(kind));
            assert_eq!(alike.count(), 1, "{}", char::from(kind));
        }
    }

    #[test]
    fn a_shape_admits_its_types_and_errors() {
        for (shape, version, admitted) in [
            (Shape::Any, Version::Resp2, "+-:$*"),
            (Shape::Status, Version::Resp3, "+-!_"),
            (Shape::Map, Version::Resp2, "*-"),
            (Shape::Map, Version::Resp3, "%-!_"),
            (Shape::Double, Version::Resp3, ",_-!"),
            (Shape::BulkOrIntegerOrMap, Version::Resp3, "$:%-!_"),
        ] {
            for &kind in b"+-:$*_,#(!=%~|" {
                // Types of RESP3 are no replies in RESP2, whatever the command.
                if version == Version::Resp2 && !b"+-:$*".contains(&kind) {
                    continue;
                }
                let expected = admitted.as_bytes().contains(&kind);
                let name = char::from(kind);
                assert_eq!(
                    shape.admits(kind, version),
                    expected,
                    "{shape:?} {version:?} {name}"
                );
            }
        }
    }
}
