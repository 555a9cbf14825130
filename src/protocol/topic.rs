//! Topics of commands: what latencies are told apart by. (Metrics call them topics.)
//!
//! A name per command would be too many time series, and a busy one would hide the rest anyway. So each
//! command of a table belongs to one of a few topics, by its name: for Redis those of its own
//! documentation, with those that wait on purpose in one of their own; for memcached what is done
//! with an item. What is listed nowhere (a command learned from a server) is in the last one, `other`.

use super::{Commands, Protocol};

/// A topic of commands, by its place among those of its protocol ([`Protocol::topics`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic(pub u8);

impl Topic {
    /// What the proxy itself sends.
    pub const NONE: Topic = Topic(u8::MAX);

    /// For indexing. [`Topic::NONE`] is beyond every list.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The name of the last topic.
const OTHER: &str = "other";

/// Each topic and its commands.
type List = &'static [(&'static str, &'static [&'static str])];

#[rustfmt::skip]
const REDIS: List = &[
    ("string", &[
        "APPEND", "DECR", "DECRBY", "DELEX", "DELIFEQ", "DIGEST", "GET", "GETDEL", "GETEX",
        "GETRANGE", "GETSET", "INCR", "INCRBY", "INCRBYFLOAT", "LCS", "MGET", "MSET", "MSETEX",
        "MSETNX", "PSETEX", "SET", "SETEX", "SETNX", "SETRANGE", "STRLEN", "SUBSTR",
    ]),
    ("hash", &[
        "HDEL", "HEXISTS", "HEXPIRE", "HEXPIREAT", "HEXPIRETIME", "HGET", "HGETALL", "HGETDEL",
        "HGETEX", "HINCRBY", "HINCRBYFLOAT", "HKEYS", "HLEN", "HMGET", "HMSET", "HPERSIST",
        "HPEXPIRE", "HPEXPIREAT", "HPEXPIRETIME", "HPTTL", "HRANDFIELD", "HSCAN", "HSET", "HSETEX",
        "HSETNX", "HSTRLEN", "HTTL", "HVALS",
    ]),
    ("list", &[
        "LINDEX", "LINSERT", "LLEN", "LMOVE", "LMPOP", "LPOP", "LPOS", "LPUSH", "LPUSHX", "LRANGE",
        "LREM", "LSET", "LTRIM", "RPOP", "RPOPLPUSH", "RPUSH", "RPUSHX",
    ]),
    ("set", &[
        "SADD", "SCARD", "SDIFF", "SDIFFSTORE", "SINTER", "SINTERCARD", "SINTERSTORE", "SISMEMBER",
        "SMEMBERS", "SMISMEMBER", "SMOVE", "SPOP", "SRANDMEMBER", "SREM", "SSCAN", "SUNION",
        "SUNIONSTORE",
    ]),
    ("sorted_set", &[
        "ZADD", "ZCARD", "ZCOUNT", "ZDIFF", "ZDIFFSTORE", "ZINCRBY", "ZINTER", "ZINTERCARD",
        "ZINTERSTORE", "ZLEXCOUNT", "ZMPOP", "ZMSCORE", "ZPOPMAX", "ZPOPMIN", "ZRANDMEMBER",
        "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANGESTORE", "ZRANK", "ZREM", "ZREMRANGEBYLEX",
        "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE",
        "ZREVRANK", "ZSCAN", "ZSCORE", "ZUNION", "ZUNIONSTORE",
    ]),
    ("generic", &[
        "COPY", "DEL", "DUMP", "EXISTS", "EXPIRE", "EXPIREAT", "EXPIRETIME", "KEYS", "MIGRATE",
        "MOVE", "OBJECT", "PERSIST", "PEXPIRE", "PEXPIREAT", "PEXPIRETIME", "PTTL", "RANDOMKEY",
        "RENAME", "RENAMENX", "RESTORE", "SCAN", "SORT", "SORT_RO", "TOUCH", "TTL", "TYPE", "UNLINK",
    ]),
    ("bitmap", &[
        "BITCOUNT", "BITFIELD", "BITFIELD_RO", "BITOP", "BITPOS", "GETBIT", "SETBIT",
    ]),
    ("hyperloglog", &[
        "PFADD", "PFCOUNT", "PFDEBUG", "PFMERGE", "PFSELFTEST",
    ]),
    ("geo", &[
        "GEOADD", "GEODIST", "GEOHASH", "GEOPOS", "GEORADIUS", "GEORADIUSBYMEMBER",
        "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH", "GEOSEARCHSTORE",
    ]),
    ("stream", &[
        "XACK", "XACKDEL", "XADD", "XAUTOCLAIM", "XCFGSET", "XCLAIM", "XDEL", "XDELEX", "XGROUP",
        "XINFO", "XLEN", "XPENDING", "XRANGE", "XREVRANGE", "XSETID", "XTRIM",
    ]),
    ("scripting", &[
        "EVAL", "EVALSHA", "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO", "FUNCTION", "SCRIPT",
    ]),
    ("pubsub", &[
        "PSUBSCRIBE", "PUBLISH", "PUBSUB", "PUNSUBSCRIBE", "SPUBLISH", "SSUBSCRIBE", "SUBSCRIBE",
        "SUNSUBSCRIBE", "UNSUBSCRIBE",
    ]),
    ("transactions", &[
        "DISCARD", "EXEC", "MULTI", "UNWATCH", "WATCH",
    ]),
    ("blocking", &[
        "BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN",
        "WAIT", "WAITAOF", "XREAD", "XREADGROUP",
    ]),
    ("server", &[
        "ACL", "ASKING", "AUTH", "BGREWRITEAOF", "BGSAVE", "CLIENT", "CLUSTER", "CLUSTERSCAN",
        "COMMAND",
        "COMMANDLOG", "CONFIG", "DBSIZE", "DEBUG", "ECHO", "FAILOVER", "FLUSHALL", "FLUSHDB",
        "HELLO", "INFO", "LASTSAVE", "LATENCY", "LOLWUT", "MEMORY", "MODULE", "MONITOR", "PING",
        "PSYNC", "QUIT", "READONLY", "READWRITE", "REPLCONF", "REPLICAOF", "RESET",
        "RESTORE-ASKING", "ROLE", "SAVE", "SELECT", "SHUTDOWN", "SLAVEOF", "SLOWLOG", "SWAPDB", "SYNC",
        "TIME",
    ]),
    (OTHER, &[]),
];

#[rustfmt::skip]
const MEMCACHE: List = &[
    ("get", &[
        "get", "gets", "gat", "gats", "bget", "mg", "getq", "getk", "getkq", "gatq", "gatk", "gatkq",
    ]),
    ("store", &[
        "set", "add", "replace", "append", "prepend", "cas", "ms", "setq", "addq", "replaceq",
        "appendq", "prependq",
    ]),
    ("delete", &["delete", "md", "deleteq"]),
    ("arithmetic", &[
        "incr", "decr", "ma", "increment", "incrementq", "decrement", "decrementq",
    ]),
    ("touch", &["touch"]),
    (OTHER, &[]),
];

const REDIS_NAMES: &[&str] = &names::<{ REDIS.len() }>(REDIS);
const MEMCACHE_NAMES: &[&str] = &names::<{ MEMCACHE.len() }>(MEMCACHE);

const fn names<const COUNT: usize>(list: List) -> [&'static str; COUNT] {
    let mut names = [""; COUNT];
    let mut index = 0;
    while index < COUNT {
        names[index] = list[index].0;
        index += 1;
    }
    names
}

impl Protocol {
    /// The names of its topics.
    pub fn topics(self) -> &'static [&'static str] {
        match self {
            Self::Redis => REDIS_NAMES,
            Self::Memcache | Self::Binary => MEMCACHE_NAMES,
        }
    }
}

impl Commands {
    /// The topic of each row.
    pub fn topics(&self) -> Vec<Topic> {
        match self {
            Self::Redis(table) => table
                .rows()
                .iter()
                .map(|row| find(REDIS, row.name))
                .collect(),
            Self::Memcache(table) => table
                .rows()
                .iter()
                .map(|row| find(MEMCACHE, row.name))
                .collect(),
            Self::Binary(table) => table
                .rows()
                .iter()
                .map(|row| find(MEMCACHE, row.name))
                .collect(),
        }
    }
}

/// The topic of a command; a sub-command (`NAME|SUB`) is in that of its command.
fn find(list: List, name: &str) -> Topic {
    let name = name.split('|').next().unwrap_or(name);
    let place = list.iter().position(|(_, names)| names.contains(&name));
    Topic(place.unwrap_or(list.len() - 1) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_is_in_two_topics() {
        for list in [REDIS, MEMCACHE] {
            let mut names: Vec<_> = list.iter().flat_map(|(_, names)| *names).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn commands_are_in_the_topics_of_their_names() {
        for (protocol, command, topic) in [
            (Protocol::Redis, "MGET", "string"),
            (Protocol::Redis, "ZADD", "sorted_set"),
            (Protocol::Redis, "PING", "server"),
            (Protocol::Redis, "CONFIG|SET", "server"),
            (Protocol::Redis, "JSON.GET", "other"),
            (Protocol::Memcache, "gets", "get"),
            (Protocol::Memcache, "cas", "store"),
            (Protocol::Memcache, "version", "other"),
            (Protocol::Binary, "getkq", "get"),
            (Protocol::Binary, "increment", "arithmetic"),
        ] {
            let list = match protocol {
                Protocol::Redis => REDIS,
                Protocol::Memcache | Protocol::Binary => MEMCACHE,
            };
            let found = find(list, command);
            assert_eq!(protocol.topics()[found.index()], topic, "{command}");
        }
    }

    #[test]
    fn every_redis_command_has_a_topic() {
        let Commands::Redis(table) = Commands::standard(Protocol::Redis) else {
            panic!("the commands of Redis");
        };
        let other = Topic(REDIS.len() as u8 - 1);
        let lost: Vec<_> = table
            .rows()
            .iter()
            .map(|row| row.name)
            .filter(|name| find(REDIS, name) == other)
            .collect();
        assert!(lost.is_empty(), "{lost:?}");
    }
}
