//! The table of Redis commands: one row a command. Everything about a command follows from its row.

use crate::protocol::{Fan, Merge, Partial, Reach};

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly so many.
    Exactly(u32),
    /// So many or more.
    AtLeast(u32),
    /// Between the two, both included.
    Between(u32, u32),
    /// 3, 5, 7 and so on: keys and values in pairs.
    Pairs,
}

impl Arity {
    /// As `COMMAND` tells it: negative for a least number.
    pub fn described(self) -> i64 {
        match self {
            Arity::Exactly(count) => i64::from(count),
            Arity::AtLeast(count) | Arity::Between(count, _) => -i64::from(count),
            Arity::Pairs => -3,
        }
    }

    /// Whether a request of `args` arguments fits.
    pub fn fits(self, args: u32) -> bool {
        match self {
            Arity::Exactly(count) => args == count,
            Arity::AtLeast(count) => args >= count,
            Arity::Between(least, most) => (least..=most).contains(&args),
            Arity::Pairs => args >= 3 && args % 2 == 1,
        }
    }
}

/// Where the keys of a command stand. Positions count from 0, the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nowhere.
    None,
    /// At position 1.
    First,
    /// At positions 1 and 2.
    FirstTwo,
    /// At every position from 1 on.
    All,
    /// At every second position from 1 on: key, value, key, value.
    EverySecond,
    /// The number of keys at `count`, the keys behind it; with `target` one more at position 1.
    Counted {
        /// Where the number stands.
        count: u8,
        /// Whether position 1 is a key as well.
        target: bool,
    },
    /// At position 1, and behind each of these words from position `from` on.
    Keyword {
        /// The words, in upper case.
        words: &'static [&'static str],
        /// Where options begin.
        from: u8,
    },
}

impl Keys {
    /// The first key, the last, and the step between them, as `COMMAND` tells them; and whether
    /// there are, or may be, keys elsewhere.
    pub fn described(self) -> ([i64; 3], bool) {
        match self {
            Keys::None => ([0, 0, 0], false),
            Keys::First => ([1, 1, 1], false),
            Keys::FirstTwo => ([1, 2, 1], false),
            Keys::All => ([1, -1, 1], false),
            Keys::EverySecond => ([1, -1, 2], false),
            Keys::Counted { target: false, .. } => ([0, 0, 0], true),
            Keys::Counted { target: true, .. } | Keys::Keyword { .. } => ([1, 1, 1], true),
        }
    }

    /// Whether the argument at position 1 is a key.
    pub fn starts_at_one(self) -> bool {
        !matches!(self, Keys::None | Keys::Counted { target: false, .. })
    }
}

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Sent as it is to the server of its keys.
    Forward,
    /// Split by key; the replies are merged.
    Split(Merge),
    /// Sent as it is to every server; the replies are merged.
    Everywhere(Fan),
    /// Sent as it is to any server.
    Keyless,
    /// Answered here.
    Local(Verb),
}

/// The commands that are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The password, with or without a user.
    Auth,
    /// What the connection is called, and what is known about it.
    Client,
    /// The command table.
    Command,
    /// Settings, as far as clients ask for them.
    Config,
    /// The text, back.
    Echo,
    /// The version of the protocol.
    Hello,
    /// What is known about the proxy and its servers.
    Info,
    /// A greeting.
    Lolwut,
    /// Whether somebody is there.
    Ping,
    /// The end, after all replies.
    Quit,
    /// A connection as it was at first.
    Reset,
    /// The database.
    Select,
    /// The time of day.
    Time,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// In upper case.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: Arity,
    /// Where its keys stand.
    pub keys: Keys,
    /// What is done with it.
    pub rule: Rule,
}

/// The commands a pool knows, found by name in any case.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    /// By row: how its fragments go on behind the number of their arguments.
    fragments: Vec<Box<[u8]>>,
    /// Open addressing: row index + 1, or 0.
    slots: Box<[u16; SLOTS]>,
}

/// At most a quarter of them is ever used, so look-ups end after a step or two.
const SLOTS: usize = 1024;

impl Table {
    /// The 137 commands of twemproxy, without MOVE, which it recognises only to refuse, and ours.
    pub fn standard() -> Self {
        Self::new(STANDARD.to_vec())
    }

    fn new(rows: Vec<Row>) -> Self {
        assert!(
            rows.len() <= SLOTS / 4,
            "{} rows need more than {SLOTS} slots",
            rows.len()
        );
        let mut slots = Box::new([0; SLOTS]);
        for (index, row) in rows.iter().enumerate() {
            let mut slot = home(row.name.as_bytes());
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = index as u16 + 1;
        }
        // As twemproxy does, with the name in lower case.
        let fragments = rows.iter().map(|row| {
            let name = row.name.to_ascii_lowercase();
            format!("\r\n${}\r\n{name}\r\n", name.len())
                .into_bytes()
                .into_boxed_slice()
        });
        Self {
            fragments: fragments.collect(),
            rows,
            slots,
        }
    }

    /// The index of the row of `name`.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let mut slot = home(name);
        loop {
            let index = self.slots[slot].checked_sub(1)?;
            if self.rows[index as usize]
                .name
                .as_bytes()
                .eq_ignore_ascii_case(name)
            {
                return Some(index);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The row at `index`, which must come from [`Table::find`].
    #[inline]
    pub fn row(&self, index: u16) -> &Row {
        &self.rows[index as usize]
    }

    /// What stands in a fragment of the command between the number of its arguments and the first.
    pub fn fragment_name(&self, index: u16) -> &[u8] {
        &self.fragments[index as usize]
    }

    /// All rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Where a name's search starts. The same in upper and lower case.
#[inline]
fn home(name: &[u8]) -> usize {
    let mut word = [0; 16];
    let len = name.len().min(16);
    word[..len].copy_from_slice(&name[..len]);
    let (low, high) = word.split_at(8);
    let fold = |half: &[u8]| {
        u64::from_le_bytes(half.try_into().expect("half of 16 bytes")) & 0xdfdf_dfdf_dfdf_dfdf
    };
    let mixed = (fold(low) ^ fold(high).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - SLOTS.ilog2())) as usize
}

const fn row(name: &'static str, arity: Arity, keys: Keys, rule: Rule) -> Row {
    Row {
        name,
        arity,
        keys,
        rule,
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

/// A command that is answered here.
const fn local(name: &'static str, arity: Arity, verb: Verb) -> Row {
    row(name, arity, Keys::None, Rule::Local(verb))
}

/// A command whose keys must all live on one server.
const fn several(name: &'static str, arity: Arity, keys: Keys) -> Row {
    row(name, arity, keys, Rule::Forward)
}

/// What every server that keys are looked for on tells of itself.
const fn gathered(merge: Merge) -> Rule {
    Rule::Everywhere(Fan {
        reach: Reach::Live,
        merge,
        partial: Partial::Fail,
    })
}

/// What is ordered of every server of the pool, and done only when all have done it.
const ORDERED: Rule = Rule::Everywhere(Fan {
    reach: Reach::All,
    merge: Merge::Status,
    partial: Partial::Fail,
});

const STORE: Keys = Keys::Keyword {
    words: &["STORE"],
    from: 2,
};
const COUNTED: Keys = Keys::Counted {
    count: 1,
    target: false,
};
const COUNTED_STORE: Keys = Keys::Counted {
    count: 2,
    target: true,
};
const SCRIPT: Keys = Keys::Counted {
    count: 2,
    target: false,
};
const OPEN: Arity = Arity::AtLeast(2);

#[rustfmt::skip]
const STANDARD: &[Row] = &[
    local("PING", Arity::Between(1, 2), Verb::Ping),
    local("AUTH", Arity::Between(2, 3), Verb::Auth),
    local("QUIT", Arity::AtLeast(1), Verb::Quit),
    local("COMMAND", Arity::AtLeast(1), Verb::Command),
    local("LOLWUT", Arity::AtLeast(1), Verb::Lolwut),
    local("CLIENT", Arity::AtLeast(2), Verb::Client),
    local("CONFIG", Arity::AtLeast(2), Verb::Config),
    local("ECHO", Arity::Exactly(2), Verb::Echo),
    local("HELLO", Arity::AtLeast(1), Verb::Hello),
    local("INFO", Arity::AtLeast(1), Verb::Info),
    local("RESET", Arity::Exactly(1), Verb::Reset),
    local("SELECT", Arity::Exactly(2), Verb::Select),
    local("TIME", Arity::Exactly(1), Verb::Time),

    fixed("DECR", 2), fixed("DUMP", 2), fixed("GET", 2), fixed("GETDEL", 2), fixed("HGETALL", 2),
    fixed("HKEYS", 2), fixed("HLEN", 2), fixed("HVALS", 2), fixed("INCR", 2), fixed("LLEN", 2),
    fixed("PERSIST", 2), fixed("PTTL", 2), fixed("SCARD", 2), fixed("SMEMBERS", 2), fixed("STRLEN", 2),
    fixed("TTL", 2), fixed("TYPE", 2), fixed("ZCARD", 2),

    fixed("APPEND", 3), fixed("DECRBY", 3), fixed("EXPIRE", 3), fixed("EXPIREAT", 3), fixed("GETBIT", 3),
    fixed("GETSET", 3), fixed("HEXISTS", 3), fixed("HGET", 3), fixed("HSTRLEN", 3), fixed("INCRBY", 3),
    fixed("INCRBYFLOAT", 3), fixed("LINDEX", 3), fixed("PEXPIRE", 3), fixed("PEXPIREAT", 3),
    several("RPOPLPUSH", Arity::Exactly(3), Keys::FirstTwo),
    fixed("SETNX", 3), fixed("SISMEMBER", 3), fixed("ZRANK", 3), fixed("ZREVRANK", 3), fixed("ZSCORE", 3),

    fixed("GETRANGE", 4), fixed("HINCRBY", 4), fixed("HINCRBYFLOAT", 4), fixed("HSETNX", 4),
    fixed("LRANGE", 4), fixed("LREM", 4), fixed("LSET", 4), fixed("LTRIM", 4), fixed("PSETEX", 4),
    fixed("SETBIT", 4), fixed("SETEX", 4), fixed("SETRANGE", 4),
    several("SMOVE", Arity::Exactly(4), Keys::FirstTwo),
    fixed("ZCOUNT", 4), fixed("ZINCRBY", 4), fixed("ZLEXCOUNT", 4), fixed("ZREMRANGEBYLEX", 4),
    fixed("ZREMRANGEBYRANK", 4), fixed("ZREMRANGEBYSCORE", 4),

    fixed("LINSERT", 5),
    several("LMOVE", Arity::Exactly(5), Keys::FirstTwo),

    open("BITCOUNT"), open("BITFIELD"), open("BITPOS"),
    several("COPY", OPEN, Keys::FirstTwo),
    row("EXISTS", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    open("GEOADD"), open("GEODIST"), open("GEOHASH"), open("GEOPOS"),
    several("GEORADIUS", OPEN, Keys::Keyword { words: &["STORE", "STOREDIST"], from: 6 }),
    several("GEORADIUSBYMEMBER", OPEN, Keys::Keyword { words: &["STORE", "STOREDIST"], from: 5 }),
    open("GEOSEARCH"),
    several("GEOSEARCHSTORE", OPEN, Keys::FirstTwo),
    open("GETEX"), open("HDEL"), open("HMGET"), open("HMSET"), open("HRANDFIELD"), open("HSCAN"),
    open("HSET"), open("LPOP"), open("LPOS"), open("LPUSH"), open("LPUSHX"), open("PFADD"),
    several("PFCOUNT", OPEN, Keys::All), several("PFMERGE", OPEN, Keys::All),
    open("RESTORE"), open("RPOP"), open("RPUSH"), open("RPUSHX"), open("SADD"),
    several("SDIFF", OPEN, Keys::All), several("SDIFFSTORE", OPEN, Keys::All),
    open("SET"),
    several("SINTER", OPEN, Keys::All), several("SINTERSTORE", OPEN, Keys::All),
    open("SMISMEMBER"),
    several("SORT", OPEN, STORE),
    open("SPOP"), open("SRANDMEMBER"), open("SREM"), open("SSCAN"),
    several("SUNION", OPEN, Keys::All), several("SUNIONSTORE", OPEN, Keys::All),
    open("ZADD"),
    several("ZDIFF", OPEN, COUNTED), several("ZDIFFSTORE", OPEN, COUNTED_STORE),
    several("ZINTER", OPEN, COUNTED), several("ZINTERSTORE", OPEN, COUNTED_STORE),
    open("ZMSCORE"), open("ZPOPMAX"), open("ZPOPMIN"), open("ZRANDMEMBER"), open("ZRANGE"),
    open("ZRANGEBYLEX"), open("ZRANGEBYSCORE"),
    several("ZRANGESTORE", OPEN, Keys::FirstTwo),
    open("ZREM"), open("ZREVRANGE"), open("ZREVRANGEBYLEX"), open("ZREVRANGEBYSCORE"), open("ZSCAN"),
    several("ZUNION", OPEN, COUNTED), several("ZUNIONSTORE", OPEN, COUNTED_STORE),

    row("MGET", OPEN, Keys::All, Rule::Split(Merge::Array)),
    row("DEL", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    row("UNLINK", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    row("TOUCH", OPEN, Keys::All, Rule::Split(Merge::Sum)),
    row("MSET", Arity::Pairs, Keys::EverySecond, Rule::Split(Merge::Status)),

    row("DBSIZE", Arity::Exactly(1), Keys::None, gathered(Merge::Sum)),
    row("FLUSHALL", Arity::Between(1, 2), Keys::None, ORDERED),

    several("EVAL", Arity::AtLeast(4), SCRIPT), several("EVALSHA", Arity::AtLeast(4), SCRIPT),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        let table = Table::standard();
        for (index, row) in STANDARD.iter().enumerate() {
            let mixed: String = row
                .name
                .chars()
                .enumerate()
                .map(|(at, c)| {
                    if at % 2 == 0 {
                        c.to_ascii_lowercase()
                    } else {
                        c
                    }
                })
                .collect();
            for name in [row.name, &row.name.to_ascii_lowercase(), &mixed] {
                assert_eq!(table.find(name.as_bytes()), Some(index as u16), "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_not_found() {
        let table = Table::standard();
        for name in [
            "",
            "GE",
            "GETT",
            "MOVE",
            "BLPOP",
            "G\u{5}T",
            "GEORADIUSBYMEMBER_RO",
            "ge\0",
        ] {
            assert_eq!(table.find(name.as_bytes()), None, "{name}");
        }
        assert_eq!(table.find(&[b'A'; 100_000]), None);
    }
}
