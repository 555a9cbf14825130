//! The rows: every command of twemproxy, then every other of Redis 7.2 and Valkey 9.
//!
//! `tests/commands.rs` holds them against what real servers say of themselves with `COMMAND`.

use super::{Arity, Blocking, Danger, Keys, Row, Rule, Verb};
use crate::protocol::{Fan, Merge, Partial, Reach};

const fn row(name: &'static str, arity: Arity, keys: Keys, rule: Rule) -> Row {
    Row {
        name,
        arity,
        keys,
        rule,
        danger: Danger::None,
    }
}

/// The same, refused in a pool of several servers unless the pool allows it.
const fn dangerous(row: Row) -> Row {
    Row {
        danger: Danger::Refused,
        ..row
    }
}

/// The same, refused in every pool unless the pool allows it.
const fn guarded(row: Row) -> Row {
    Row {
        danger: Danger::Guarded,
        ..row
    }
}

/// A command with one key and exactly `args` arguments.
const fn fixed(name: &'static str, args: u32) -> Row {
    row(name, Arity::Exactly(args), Keys::First, Rule::Forward)
}

/// A command with one key and any number of arguments behind it.
const fn open(name: &'static str) -> Row {
    row(name, Arity::AtLeast(2), Keys::First, Rule::Forward)
}

/// A command with one key and `args` arguments or more.
const fn least(name: &'static str, args: u32) -> Row {
    row(name, Arity::AtLeast(args), Keys::First, Rule::Forward)
}

/// A command whose keys must all live on one server.
const fn several(name: &'static str, arity: Arity, keys: Keys) -> Row {
    row(name, arity, keys, Rule::Forward)
}

/// A command without keys.
const fn plain(name: &'static str, arity: Arity, rule: Rule) -> Row {
    row(name, arity, Keys::None, rule)
}

/// A command that is answered here.
const fn local(name: &'static str, arity: Arity, verb: Verb) -> Row {
    plain(name, arity, Rule::Local(verb))
}

/// A command that is only there to hold others.
const fn container(name: &'static str) -> Row {
    plain(name, Arity::AtLeast(2), Rule::Container)
}

/// The sub-command that lists the others. Every server of a version says the same.
const fn help(name: &'static str) -> Row {
    plain(name, Arity::Exactly(2), Rule::Keyless)
}

/// What each server that keys are looked for on tells of itself.
const fn gathered(merge: Merge) -> Rule {
    Rule::Everywhere(Fan {
        reach: Reach::Live,
        merge,
        partial: Partial::Fail,
    })
}

/// What is ordered of every server of the pool, ejected or not, and done only when all have done it.
const fn ordered(merge: Merge) -> Rule {
    Rule::Everywhere(Fan {
        reach: Reach::All,
        merge,
        partial: Partial::Fail,
    })
}

/// What one server can do, and nobody knows which.
const fn anywhere(merge: Merge) -> Rule {
    Rule::Everywhere(Fan {
        reach: Reach::Live,
        merge,
        partial: Partial::LeaveOut,
    })
}

/// What a server answers while it is busy with a script that should end.
const fn overtaking(partial: Partial) -> Rule {
    Rule::Everywhere(Fan {
        reach: Reach::Busy,
        merge: Merge::Status,
        partial,
    })
}

/// What [`Rule::OneServerBusy`] is in a pool of one server.
pub(super) const ONE_BUSY: Rule = Rule::Everywhere(Fan {
    reach: Reach::Busy,
    merge: Merge::First,
    partial: Partial::Fail,
});

const STORE: Keys = Keys::Keyword {
    words: &["STORE", "STOREDIST"],
    from: 6,
};
const STORE_MEMBER: Keys = Keys::Keyword {
    words: &["STORE", "STOREDIST"],
    from: 5,
};
const COUNTED: Keys = counted(1);
const COUNTED_STORE: Keys = Keys::Counted {
    count: 2,
    target: true,
    step: 1,
};
const COUNTED_PAIRS: Keys = Keys::Counted {
    count: 1,
    target: false,
    step: 2,
};
const SECOND: Keys = Keys::Range { first: 2, last: 2 };
const OPEN: Arity = Arity::AtLeast(2);
const ONE: Arity = Arity::Exactly(1);
const TWO: Arity = Arity::Exactly(2);
const ANY: Arity = Arity::AtLeast(1);
const BLOCKING: Rule = Rule::Blocking(Blocking::Always);
const MAY_BLOCK: Rule = Rule::Blocking(Blocking::IfSaid);
const NO_CLUSTER: Rule = Rule::Fixed("This instance has cluster support disabled");
pub(super) const STREAMS_ON: Rule = Rule::Never("the connection would never be the same again");

const fn counted(count: u8) -> Keys {
    Keys::Counted {
        count,
        target: false,
        step: 1,
    }
}

/// The 137 commands of twemproxy, without MOVE, which it recognises only to refuse.
#[rustfmt::skip]
pub(super) const TWEMPROXY: &[Row] = &[
    local("PING", Arity::Between(1, 2), Verb::Ping),
    local("AUTH", OPEN, Verb::Auth),
    local("QUIT", ANY, Verb::Quit),
    local("COMMAND", ANY, Verb::Command),
    local("LOLWUT", ANY, Verb::Lolwut),

    fixed("DECR", 2), fixed("DUMP", 2), fixed("GET", 2), fixed("GETDEL", 2), fixed("HGETALL", 2),
    fixed("HKEYS", 2), fixed("HLEN", 2), fixed("HVALS", 2), fixed("INCR", 2), fixed("LLEN", 2),
    fixed("PERSIST", 2), fixed("PTTL", 2), fixed("SCARD", 2), fixed("SMEMBERS", 2), fixed("STRLEN", 2),
    fixed("TTL", 2), fixed("TYPE", 2), fixed("ZCARD", 2),

    fixed("APPEND", 3), fixed("DECRBY", 3), least("EXPIRE", 3), least("EXPIREAT", 3), fixed("GETBIT", 3),
    fixed("GETSET", 3), fixed("HEXISTS", 3), fixed("HGET", 3), fixed("HSTRLEN", 3), fixed("INCRBY", 3),
    fixed("INCRBYFLOAT", 3), fixed("LINDEX", 3), least("PEXPIRE", 3), least("PEXPIREAT", 3),
    several("RPOPLPUSH", Arity::Exactly(3), Keys::FirstTwo),
    fixed("SETNX", 3), fixed("SISMEMBER", 3), least("ZRANK", 3), least("ZREVRANK", 3), fixed("ZSCORE", 3),

    fixed("GETRANGE", 4), fixed("HINCRBY", 4), fixed("HINCRBYFLOAT", 4), fixed("HSETNX", 4),
    fixed("LRANGE", 4), fixed("LREM", 4), fixed("LSET", 4), fixed("LTRIM", 4), fixed("PSETEX", 4),
    fixed("SETBIT", 4), fixed("SETEX", 4), fixed("SETRANGE", 4),
    several("SMOVE", Arity::Exactly(4), Keys::FirstTwo),
    fixed("ZCOUNT", 4), fixed("ZINCRBY", 4), fixed("ZLEXCOUNT", 4), fixed("ZREMRANGEBYLEX", 4),
    fixed("ZREMRANGEBYRANK", 4), fixed("ZREMRANGEBYSCORE", 4),

    fixed("LINSERT", 5),
    several("LMOVE", Arity::Exactly(5), Keys::FirstTwo),

    open("BITCOUNT"), open("BITFIELD"), least("BITPOS", 3),
    several("COPY", Arity::AtLeast(3), Keys::FirstTwo),
    row("EXISTS", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    least("GEOADD", 5), least("GEODIST", 4), open("GEOHASH"), open("GEOPOS"),
    several("GEORADIUS", Arity::AtLeast(6), STORE),
    several("GEORADIUSBYMEMBER", Arity::AtLeast(5), STORE_MEMBER),
    least("GEOSEARCH", 7),
    several("GEOSEARCHSTORE", Arity::AtLeast(8), Keys::FirstTwo),
    open("GETEX"), least("HDEL", 3), least("HMGET", 3), least("HMSET", 4), open("HRANDFIELD"),
    least("HSCAN", 3),
    least("HSET", 4), open("LPOP"), least("LPOS", 3), least("LPUSH", 3), least("LPUSHX", 3), open("PFADD"),
    several("PFCOUNT", OPEN, Keys::All), several("PFMERGE", OPEN, Keys::All),
    least("RESTORE", 4), open("RPOP"), least("RPUSH", 3), least("RPUSHX", 3), least("SADD", 3),
    several("SDIFF", OPEN, Keys::All), several("SDIFFSTORE", Arity::AtLeast(3), Keys::All),
    least("SET", 3),
    several("SINTER", OPEN, Keys::All), several("SINTERSTORE", Arity::AtLeast(3), Keys::All),
    least("SMISMEMBER", 3),
    several("SORT", OPEN, Keys::Sort),
    open("SPOP"), open("SRANDMEMBER"), least("SREM", 3), least("SSCAN", 3),
    several("SUNION", OPEN, Keys::All), several("SUNIONSTORE", Arity::AtLeast(3), Keys::All),
    least("ZADD", 4),
    several("ZDIFF", Arity::AtLeast(3), COUNTED), several("ZDIFFSTORE", Arity::AtLeast(4), COUNTED_STORE),
    several("ZINTER", Arity::AtLeast(3), COUNTED), several("ZINTERSTORE", Arity::AtLeast(4), COUNTED_STORE),
    least("ZMSCORE", 3), open("ZPOPMAX"), open("ZPOPMIN"), open("ZRANDMEMBER"), least("ZRANGE", 4),
    least("ZRANGEBYLEX", 4), least("ZRANGEBYSCORE", 4),
    several("ZRANGESTORE", Arity::AtLeast(5), Keys::FirstTwo),
    least("ZREM", 3), least("ZREVRANGE", 4), least("ZREVRANGEBYLEX", 4),
    least("ZREVRANGEBYSCORE", 4), least("ZSCAN", 3),
    several("ZUNION", Arity::AtLeast(3), COUNTED), several("ZUNIONSTORE", Arity::AtLeast(4), COUNTED_STORE),

    row("MGET", OPEN, Keys::All, Rule::Split(Merge::Array)),
    row("DEL", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    row("UNLINK", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    row("TOUCH", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    row("MSET", Arity::Pairs, Keys::EverySecond, Rule::Split(Merge::Status)),

    several("EVAL", Arity::AtLeast(3), Keys::Script),
    row("EVALSHA", Arity::AtLeast(3), Keys::Script, Rule::Digest),
];

/// Every other command of Redis 7.2 and Valkey 9.
#[rustfmt::skip]
pub(super) const FURTHER: &[Row] = &[
    fixed("DELIFEQ", 3), fixed("EXPIRETIME", 2), fixed("MOVE", 3), fixed("PEXPIRETIME", 2),
    fixed("SUBSTR", 4), fixed("XLEN", 2),
    least("BITFIELD_RO", 2), least("GEORADIUS_RO", 6), least("GEORADIUSBYMEMBER_RO", 5),
    least("HEXPIRE", 6), least("HEXPIREAT", 6), least("HEXPIRETIME", 5), least("HGETDEL", 5),
    least("HGETEX", 5), least("HPERSIST", 5), least("HPEXPIRE", 6), least("HPEXPIREAT", 6),
    least("HPEXPIRETIME", 5), least("HPTTL", 5), least("HSETEX", 6), least("HTTL", 5),
    least("RESTORE-ASKING", 4), least("XACK", 4), least("XADD", 5), least("XAUTOCLAIM", 6),
    least("XCLAIM", 6), least("XDEL", 3), least("XPENDING", 3), least("XRANGE", 4),
    least("XREVRANGE", 4), least("XSETID", 3), least("XTRIM", 4),

    several("BITOP", Arity::AtLeast(4), Keys::Range { first: 2, last: -1 }),
    several("LCS", Arity::AtLeast(3), Keys::FirstTwo),
    several("LMPOP", Arity::AtLeast(4), COUNTED),
    several("MSETEX", Arity::AtLeast(4), COUNTED_PAIRS),
    several("MSETNX", Arity::Pairs, Keys::EverySecond),
    several("RENAME", Arity::Exactly(3), Keys::FirstTwo),
    several("RENAMENX", Arity::Exactly(3), Keys::FirstTwo),
    several("SINTERCARD", Arity::AtLeast(3), COUNTED),
    several("SORT_RO", OPEN, Keys::Sort),
    several("ZINTERCARD", Arity::AtLeast(3), COUNTED),
    several("ZMPOP", Arity::AtLeast(4), COUNTED),
    guarded(several("MIGRATE", Arity::AtLeast(6), Keys::Migrate)),

    several("EVAL_RO", Arity::AtLeast(3), Keys::Script),
    row("EVALSHA_RO", Arity::AtLeast(3), Keys::Script, Rule::Digest),
    several("FCALL", Arity::AtLeast(3), Keys::Script),
    several("FCALL_RO", Arity::AtLeast(3), Keys::Script),

    row("BLMOVE", Arity::Exactly(6), Keys::FirstTwo, BLOCKING),
    row("BLMPOP", Arity::AtLeast(5), counted(2), BLOCKING),
    row("BLPOP", Arity::AtLeast(3), Keys::Range { first: 1, last: -2 }, BLOCKING),
    row("BRPOP", Arity::AtLeast(3), Keys::Range { first: 1, last: -2 }, BLOCKING),
    row("BRPOPLPUSH", Arity::Exactly(4), Keys::FirstTwo, BLOCKING),
    row("BZMPOP", Arity::AtLeast(5), counted(2), BLOCKING),
    row("BZPOPMAX", Arity::AtLeast(3), Keys::Range { first: 1, last: -2 }, BLOCKING),
    row("BZPOPMIN", Arity::AtLeast(3), Keys::Range { first: 1, last: -2 }, BLOCKING),
    row("XREAD", Arity::AtLeast(4), Keys::Streams, MAY_BLOCK),
    row("XREADGROUP", Arity::AtLeast(7), Keys::Streams, MAY_BLOCK),
    plain("WAIT", Arity::Exactly(3), Rule::Local(Verb::Wait)),
    plain("WAITAOF", Arity::Exactly(4), Rule::Local(Verb::Wait)),

    plain("MULTI", ONE, Rule::Local(Verb::Multi)), plain("EXEC", ONE, Rule::Local(Verb::Exec)),
    plain("DISCARD", ONE, Rule::Local(Verb::Discard)),
    plain("UNWATCH", ONE, Rule::Local(Verb::Unwatch)),
    row("WATCH", OPEN, Keys::All, Rule::Local(Verb::Watch)),

    plain("SUBSCRIBE", OPEN, Rule::Local(Verb::Subscribe)),
    plain("PSUBSCRIBE", OPEN, Rule::Local(Verb::Psubscribe)),
    row("SSUBSCRIBE", OPEN, Keys::All, Rule::Local(Verb::Ssubscribe)),
    plain("UNSUBSCRIBE", ANY, Rule::Local(Verb::Unsubscribe)),
    plain("PUNSUBSCRIBE", ANY, Rule::Local(Verb::Punsubscribe)),
    row("SUNSUBSCRIBE", ANY, Keys::All, Rule::Local(Verb::Sunsubscribe)),
    // A channel lives where a key of its name would.
    fixed("PUBLISH", 3), fixed("SPUBLISH", 3),
    container("PUBSUB"), help("PUBSUB|HELP"),
    plain("PUBSUB|CHANNELS", OPEN, gathered(Merge::Concat)),
    plain("PUBSUB|SHARDCHANNELS", OPEN, gathered(Merge::Concat)),
    // A pattern is subscribed to on every server.
    plain("PUBSUB|NUMPAT", TWO, gathered(Merge::Most)),
    plain("PUBSUB|NUMSUB", OPEN, gathered(Merge::SumPairs)),
    plain("PUBSUB|SHARDNUMSUB", OPEN, gathered(Merge::SumPairs)),

    container("OBJECT"), help("OBJECT|HELP"),
    row("OBJECT|ENCODING", Arity::Exactly(3), SECOND, Rule::Forward),
    row("OBJECT|FREQ", Arity::Exactly(3), SECOND, Rule::Forward),
    row("OBJECT|IDLETIME", Arity::Exactly(3), SECOND, Rule::Forward),
    row("OBJECT|REFCOUNT", Arity::Exactly(3), SECOND, Rule::Forward),
    container("XGROUP"), help("XGROUP|HELP"),
    row("XGROUP|CREATE", Arity::AtLeast(5), SECOND, Rule::Forward),
    row("XGROUP|CREATECONSUMER", Arity::Exactly(5), SECOND, Rule::Forward),
    row("XGROUP|DELCONSUMER", Arity::Exactly(5), SECOND, Rule::Forward),
    row("XGROUP|DESTROY", Arity::Exactly(4), SECOND, Rule::Forward),
    row("XGROUP|SETID", Arity::AtLeast(5), SECOND, Rule::Forward),
    container("XINFO"), help("XINFO|HELP"),
    row("XINFO|CONSUMERS", Arity::Exactly(4), SECOND, Rule::Forward),
    row("XINFO|GROUPS", Arity::Exactly(3), SECOND, Rule::Forward),
    row("XINFO|STREAM", Arity::AtLeast(3), SECOND, Rule::Forward),
    container("MEMORY"), help("MEMORY|HELP"),
    row("MEMORY|USAGE", Arity::AtLeast(3), SECOND, Rule::Forward),
    plain("MEMORY|PURGE", TWO, gathered(Merge::Status)),
    plain("MEMORY|DOCTOR", TWO, Rule::OneServer), plain("MEMORY|STATS", TWO, Rule::OneServer),
    plain("MEMORY|MALLOC-STATS", TWO, Rule::OneServer),
    row("PFDEBUG", Arity::Exactly(3), SECOND, Rule::Forward),
    plain("PFSELFTEST", ONE, Rule::Keyless),

    plain("DBSIZE", ONE, gathered(Merge::Sum)),
    dangerous(plain("KEYS", TWO, gathered(Merge::Concat))),
    plain("SCAN", OPEN, Rule::Scan),
    plain("RANDOMKEY", ONE, gathered(Merge::Any)),
    dangerous(plain("FLUSHALL", ANY, ordered(Merge::Status))),
    dangerous(plain("FLUSHDB", ANY, ordered(Merge::Status))),
    // Half of a swap could not be taken back.
    guarded(plain("SWAPDB", Arity::Exactly(3), Rule::OneServer)),

    container("SCRIPT"), help("SCRIPT|HELP"),
    plain("SCRIPT|LOAD", Arity::Exactly(3), gathered(Merge::Script)),
    plain("SCRIPT|EXISTS", Arity::AtLeast(3), gathered(Merge::LeastEach)),
    plain("SCRIPT|FLUSH", OPEN, gathered(Merge::Forget)),
    plain("SCRIPT|KILL", TWO, overtaking(Partial::LeaveOut)),
    plain("SCRIPT|SHOW", Arity::Exactly(3), anywhere(Merge::First)),
    plain("SCRIPT|DEBUG", Arity::AtLeast(3), STREAMS_ON),
    // Functions are written to all servers, so that each can tell of them.
    container("FUNCTION"), help("FUNCTION|HELP"),
    plain("FUNCTION|LOAD", Arity::AtLeast(3), ordered(Merge::First)),
    guarded(plain("FUNCTION|DELETE", Arity::Exactly(3), ordered(Merge::Status))),
    guarded(plain("FUNCTION|FLUSH", OPEN, ordered(Merge::Status))),
    guarded(plain("FUNCTION|RESTORE", Arity::AtLeast(3), ordered(Merge::Status))),
    plain("FUNCTION|KILL", TWO, overtaking(Partial::LeaveOut)),
    plain("FUNCTION|LIST", OPEN, Rule::Keyless), plain("FUNCTION|DUMP", TWO, Rule::Keyless),
    plain("FUNCTION|STATS", TWO, Rule::OneServerBusy),

    container("CONFIG"), help("CONFIG|HELP"),
    local("CONFIG|GET", Arity::AtLeast(3), Verb::Config),
    guarded(plain("CONFIG|SET", Arity::AtLeast(4), ordered(Merge::Status))),
    guarded(plain("CONFIG|REWRITE", TWO, ordered(Merge::Status))),
    plain("CONFIG|RESETSTAT", TWO, gathered(Merge::Status)),
    container("SLOWLOG"), help("SLOWLOG|HELP"),
    plain("SLOWLOG|GET", OPEN, gathered(Merge::Concat)),
    plain("SLOWLOG|LEN", TWO, gathered(Merge::Sum)),
    plain("SLOWLOG|RESET", TWO, gathered(Merge::Status)),
    container("COMMANDLOG"), help("COMMANDLOG|HELP"),
    plain("COMMANDLOG|GET", Arity::Exactly(4), gathered(Merge::Concat)),
    plain("COMMANDLOG|LEN", Arity::Exactly(3), gathered(Merge::Sum)),
    plain("COMMANDLOG|RESET", Arity::Exactly(3), gathered(Merge::Status)),
    container("LATENCY"), help("LATENCY|HELP"),
    plain("LATENCY|RESET", OPEN, gathered(Merge::Sum)),
    plain("LATENCY|DOCTOR", TWO, Rule::OneServer), plain("LATENCY|GRAPH", Arity::Exactly(3), Rule::OneServer),
    plain("LATENCY|HISTOGRAM", OPEN, Rule::OneServer),
    plain("LATENCY|HISTORY", Arity::Exactly(3), Rule::OneServer),
    plain("LATENCY|LATEST", TWO, Rule::OneServer),
    plain("LASTSAVE", ONE, gathered(Merge::Least)),
    dangerous(plain("SAVE", ONE, ordered(Merge::Status))),
    dangerous(plain("BGSAVE", ANY, ordered(Merge::First))),
    dangerous(plain("BGREWRITEAOF", ONE, ordered(Merge::First))),
    plain("ROLE", ONE, Rule::OneServer),

    container("DEBUG"),
    guarded(row("DEBUG|OBJECT", Arity::AtLeast(3), SECOND, Rule::Forward)),
    guarded(plain("DEBUG|*", OPEN, ordered(Merge::First))),
    guarded(plain("SHUTDOWN", ANY, overtaking(Partial::Fail))),
    guarded(plain("FAILOVER", ANY, Rule::OneServer)),
    guarded(plain("REPLICAOF", Arity::Exactly(3), Rule::OneServer)),
    guarded(plain("SLAVEOF", Arity::Exactly(3), Rule::OneServer)),
    container("MODULE"), help("MODULE|HELP"),
    plain("MODULE|LIST", TWO, Rule::Keyless),
    guarded(plain("MODULE|LOAD", Arity::AtLeast(3), Rule::OneServer)),
    guarded(plain("MODULE|LOADEX", Arity::AtLeast(3), Rule::OneServer)),
    guarded(plain("MODULE|UNLOAD", Arity::Exactly(3), Rule::OneServer)),
    container("ACL"), help("ACL|HELP"),
    plain("ACL|CAT", OPEN, Rule::Keyless), plain("ACL|GENPASS", OPEN, Rule::Keyless),
    plain("ACL|WHOAMI", TWO, Rule::Keyless),
    plain("ACL|DRYRUN", Arity::AtLeast(4), Rule::OneServer),
    plain("ACL|GETUSER", Arity::Exactly(3), Rule::OneServer), plain("ACL|LIST", TWO, Rule::OneServer),
    plain("ACL|USERS", TWO, Rule::OneServer), plain("ACL|LOG", OPEN, Rule::OneServer),
    guarded(plain("ACL|SETUSER", Arity::AtLeast(3), ordered(Merge::Status))),
    guarded(plain("ACL|DELUSER", Arity::AtLeast(3), ordered(Merge::First))),
    guarded(plain("ACL|LOAD", TWO, ordered(Merge::Status))),
    guarded(plain("ACL|SAVE", TWO, ordered(Merge::Status))),

    plain("MONITOR", ONE, STREAMS_ON), plain("SYNC", ONE, STREAMS_ON),
    plain("PSYNC", Arity::AtLeast(3), STREAMS_ON), plain("REPLCONF", ANY, STREAMS_ON),

    // To clients we are no cluster, whatever the servers are.
    plain("CLUSTER", OPEN, NO_CLUSTER), plain("ASKING", ONE, NO_CLUSTER),
    plain("READONLY", ONE, NO_CLUSTER), plain("READWRITE", ONE, NO_CLUSTER),
    plain("CLUSTERSCAN", OPEN, NO_CLUSTER),

    local("CLIENT", OPEN, Verb::Client), local("ECHO", TWO, Verb::Echo),
    local("HELLO", ANY, Verb::Hello), local("INFO", ANY, Verb::Info),
    local("RESET", ONE, Verb::Reset), local("SELECT", TWO, Verb::Select),
    local("TIME", ONE, Verb::Time),
];
