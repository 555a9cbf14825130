//! The table of Redis commands: one row a command. Everything about a command follows from its row.
//!
//! `rows` holds the rows; here is what a row may say, and the table a pool finds them in: the rows as
//! the pool's policy has them, and behind them those it learned from its servers.

mod learned;
mod rows;
mod shapes;

use super::straight;
use crate::protocol::{Denial, Family, Fan, Merge, Policy};

pub use shapes::Shape;

pub use learned::{Begin, Find, Spec};

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

/// Where the keys of a command stand. Positions count from 0, the command's name; that of a
/// sub-command is 1.
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
    /// From position `first` to position `last`, or, if that is negative, to the last but `-1 - last`.
    Range {
        /// The first.
        first: u8,
        /// The last.
        last: i8,
    },
    /// The number of keys at `count`, the keys behind it; with `target` one more at position 1.
    Counted {
        /// Where the number stands.
        count: u8,
        /// Whether position 1 is a key as well.
        target: bool,
        /// 2 where a value stands behind each key.
        step: u8,
    },
    /// The number of keys at position 2, the keys behind it: a script, which may have none.
    Script,
    /// At position 1, and behind each of these words from position `from` on.
    Keyword {
        /// The words, in upper case.
        words: &'static [&'static str],
        /// Where options begin.
        from: u8,
    },
    /// The first half of what stands behind the option STREAMS.
    Streams,
    /// At position 1 and behind STORE; behind BY and GET stand patterns of further keys.
    Sort,
    /// At position 3 or, if that is empty, behind the word KEYS.
    Migrate,
    /// Where the servers said, at this place of the table's learned specifications.
    Learned(u16),
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
            Keys::Range { first, last } => ([first.into(), last.into(), 1], false),
            Keys::Counted { target: true, .. } | Keys::Keyword { .. } | Keys::Sort => {
                ([1, 1, 1], true)
            }
            Keys::Migrate => ([3, 3, 1], true),
            Keys::Counted { .. } | Keys::Script | Keys::Streams | Keys::Learned(_) => {
                ([0, 0, 0], true)
            }
        }
    }

    /// Whether the argument at position 1 is a key.
    pub fn starts_at_one(self) -> bool {
        matches!(
            self,
            Keys::First
                | Keys::FirstTwo
                | Keys::All
                | Keys::EverySecond
                | Keys::Range { first: 1, .. }
                | Keys::Counted { target: true, .. }
                | Keys::Keyword { .. }
                | Keys::Sort
        )
    }
}

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Sent as it is to the server of its keys.
    Forward,
    /// The same; its first argument is the digest of a script the server may have lost.
    Digest,
    /// Split by key; the replies are merged.
    Split(Merge),
    /// Sent as it is to every server; the replies are merged.
    Everywhere(Fan),
    /// Sent as it is to any server.
    Keyless,
    /// Sent as it is to the one server of a pool. Refused where there are several.
    OneServer,
    /// The same, past all requests before it: a server that is busy with a script answers it.
    OneServerBusy,
    /// SCAN: one server after the other.
    Scan,
    /// The row is that of a sub-command, `NAME|SUB`, or else that of `NAME|*`.
    Container,
    /// It may wait at its server for something to happen, and so needs a connection of its own.
    Blocking(Blocking),
    /// Answered with this error, in Redis' words.
    Fixed(&'static str),
    /// Refused, for this reason.
    Never(&'static str),
    /// Refused by the pool's policy.
    Denied(Denial),
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
    /// The end of a transaction, and of what was queued.
    Discard,
    /// The end of a transaction: what was queued is done.
    Exec,
    /// The begin of a transaction.
    Multi,
    /// The end, after all replies.
    Quit,
    /// A connection as it was at first.
    Reset,
    /// The database.
    Select,
    /// The time of day.
    Time,
    /// To know of channels, patterns, channels of shards, and to end that.
    Subscribe,
    /// See [`Verb::Subscribe`].
    Psubscribe,
    /// See [`Verb::Subscribe`].
    Ssubscribe,
    /// See [`Verb::Subscribe`].
    Unsubscribe,
    /// See [`Verb::Subscribe`].
    Punsubscribe,
    /// See [`Verb::Subscribe`].
    Sunsubscribe,
    /// No key is watched.
    Unwatch,
    /// Until replicas have what the client wrote.
    Wait,
    /// The transaction only if these keys were not changed.
    Watch,
}

/// When a command waits at its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// Whenever there is nothing for it yet.
    Always,
    /// The same, if it says BLOCK.
    IfSaid,
}

/// Whether a command may do more harm than to the keys it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Not more than any other.
    None,
    /// It is refused in a pool of several servers unless the pool allows it.
    Refused,
    /// It is refused in every pool that does not allow it: it takes a server away from those who share
    /// it, or changes what the server is.
    Guarded,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// In upper case; a sub-command's is `NAME|SUB`.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: Arity,
    /// Where its keys stand.
    pub keys: Keys,
    /// What is done with it.
    pub rule: Rule,
    /// Whether it must be allowed.
    pub danger: Danger,
}

impl Row {
    /// Whether it is that of a command we know, not of a sub-command or one that was learned.
    pub fn is_command(&self) -> bool {
        !self.name.is_empty() && !self.name.contains('|')
    }

    /// Whether it runs a script.
    pub fn runs_a_script(&self) -> bool {
        self.keys == Keys::Script && matches!(self.rule, Rule::Forward | Rule::Digest)
    }
}

/// The commands a pool knows, found by name in any case.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    /// By row, in upper case. Learned rows have no other.
    names: Vec<Box<str>>,
    /// By row: how its fragments go on behind the number of their arguments.
    fragments: Vec<Box<[u8]>>,
    /// By row: which replies it can have.
    families: Vec<Family>,
    /// Open addressing: row index + 1, or 0.
    places: Box<[u16; PLACES]>,
    /// The same for sub-commands, which no first word of a request can name.
    subs: Box<[u16; PLACES]>,
    /// Commands with names of at most eight letters, by the name as one word, see `straight`: open
    /// addressing, 0 where there is none. Their rows stand at the same places.
    words: Box<[u64; WORDS]>,
    word_rows: Box<[u16; WORDS]>,
    policy: Policy,
    learned: learned::Learned,
}

/// At most half of them is ever used, so look-ups end after a step or two.
const WORDS: usize = 1024;

/// At most half of them is ever used, so look-ups end after a step or two.
const PLACES: usize = 2048;

/// Most rows a table may have: ours, and what its servers have besides.
const ROWS_MAX: usize = PLACES / 2;

/// Longest name with its sub-command that can be found.
const NAME_MAX: usize = 64;

/// The row of each command we know, before a pool's policy has changed any.
#[doc(hidden)]
pub fn known() -> impl Iterator<Item = &'static Row> {
    rows::TWEMPROXY.iter().chain(rows::FURTHER)
}

impl Table {
    /// Every command we know, in a pool of one server that allows what it can.
    pub fn standard() -> Self {
        Self::new(Self::unguarded())
    }

    /// The policy of a pool of one server that allows what it can.
    pub fn unguarded() -> Policy {
        let guarded = |row: &&Row| row.danger == Danger::Guarded;
        Policy {
            allow: known().filter(guarded).map(|row| row.name.into()).collect(),
            ..Policy::default()
        }
    }

    /// Every command we know, as `policy` has it.
    pub fn new(policy: Policy) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            names: Vec::new(),
            fragments: Vec::new(),
            families: Vec::new(),
            places: Box::new([0; PLACES]),
            subs: Box::new([0; PLACES]),
            words: Box::new([0; WORDS]),
            word_rows: Box::new([0; WORDS]),
            policy,
            learned: learned::Learned::default(),
        };
        for row in known() {
            table.add(row.name.into(), *row);
        }
        table
    }

    /// Adds a row, changed as the policy demands.
    fn add(&mut self, name: Box<str>, mut row: Row) {
        assert!(self.rows.len() < ROWS_MAX, "{ROWS_MAX} rows");
        // A container's sub-commands are judged by their own rows.
        if row.rule != Rule::Container
            && let Some(denial) = self.denial(&name, &row)
        {
            row.rule = Rule::Denied(denial);
        } else if row.rule == Rule::OneServer && !self.policy.several {
            row.rule = Rule::Keyless;
        } else if row.rule == Rule::OneServerBusy && !self.policy.several {
            row.rule = rows::ONE_BUSY;
        }
        let places = match name.contains('|') {
            true => &mut self.subs,
            false => &mut self.places,
        };
        let mut place = home(name.as_bytes());
        while places[place] != 0 {
            place = (place + 1) % PLACES;
        }
        places[place] = self.rows.len() as u16 + 1;
        self.add_word(&name);
        // As twemproxy does, with the name in lower case.
        let lower = name.to_ascii_lowercase();
        let fragment = format!("\r\n${}\r\n{lower}\r\n", lower.len());
        self.fragments
            .push(fragment.into_bytes().into_boxed_slice());
        self.families.push(Family::Redis(shapes::of(&name)));
        self.rows.push(row);
        self.names.push(name);
    }

    /// Notes the name of the row about to be added, if it is one for the straight way.
    fn add_word(&mut self, name: &str) {
        let Some(word) = straight::word(name).filter(|_| self.rows.len() < WORDS / 2) else {
            return;
        };
        let mut place = word_home(word);
        while self.words[place] != 0 {
            place = (place + 1) % WORDS;
        }
        self.words[place] = word;
        self.word_rows[place] = self.rows.len() as u16;
    }

    /// As [`Table::find`], by the name as one word, which is never 0. Longer names are found by their bytes
    /// only.
    #[inline]
    pub fn find_word(&self, word: u64) -> Option<u16> {
        let mut place = word_home(word);
        while self.words[place] != word {
            if self.words[place] == 0 {
                return None;
            }
            place = (place + 1) % WORDS;
        }
        Some(self.word_rows[place])
    }

    /// Why the policy refuses a row.
    fn denial(&self, name: &str, row: &Row) -> Option<Denial> {
        if self.policy.denies(name) {
            Some(Denial::Denied)
        } else if row.danger == Danger::Guarded && !self.policy.allows(name) {
            Some(Denial::Guarded)
        } else if row.danger == Danger::Refused && self.policy.several && !self.policy.allows(name)
        {
            Some(Denial::Dangerous)
        } else if matches!(row.rule, Rule::OneServer | Rule::OneServerBusy) && self.policy.several {
            Some(Denial::Several)
        } else {
            None
        }
    }

    /// The index of the row of the command `name`.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        self.find_in(&self.places, name)
    }

    /// The same of a sub-command, too, if the name is `NAME|SUB`.
    pub fn find_named(&self, name: &[u8]) -> Option<u16> {
        let found = self.find(name);
        found.or_else(|| self.find_in(&self.subs, name))
    }

    #[inline]
    fn find_in(&self, places: &[u16; PLACES], name: &[u8]) -> Option<u16> {
        let mut place = home(name);
        loop {
            let index = places[place].checked_sub(1)?;
            if self.names[index as usize]
                .as_bytes()
                .eq_ignore_ascii_case(name)
            {
                return Some(index);
            }
            place = (place + 1) % PLACES;
        }
    }

    /// The index of the row of the sub-command `sub` of `container`, or of the row for those it has
    /// no row for.
    pub fn find_sub(&self, container: u16, sub: &[u8]) -> Option<u16> {
        let name = self.names[container as usize].as_bytes();
        let find = |sub: &[u8]| {
            let mut whole = [0; NAME_MAX];
            let len = name.len() + 1 + sub.len();
            let room = whole.get_mut(..len)?;
            room[..name.len()].copy_from_slice(name);
            room[name.len()] = b'|';
            room[name.len() + 1..].copy_from_slice(sub);
            self.find_in(&self.subs, room)
        };
        find(sub).or_else(|| find(b"*"))
    }

    /// The row at `index`, which must come from [`Table::find`].
    #[inline]
    pub fn row(&self, index: u16) -> &Row {
        &self.rows[index as usize]
    }

    /// Which replies the command at `index` can have.
    #[inline]
    pub fn family(&self, index: u16) -> Family {
        self.families[index as usize]
    }

    /// The name of the row at `index`, in upper case. The row for the sub-commands that have none of their
    /// own is called like their container.
    pub fn name(&self, index: u16) -> &str {
        let name = &self.names[index as usize];
        name.strip_suffix("|*").unwrap_or(name)
    }

    /// What stands in a fragment of the command between the number of its arguments and the first.
    pub fn fragment_name(&self, index: u16) -> &[u8] {
        &self.fragments[index as usize]
    }

    /// All rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether the pool has several servers.
    pub fn has_several(&self) -> bool {
        self.policy.several
    }
}

#[inline]
fn word_home(word: u64) -> usize {
    (word.wrapping_mul(MIXER) >> (64 - WORDS.ilog2())) as usize
}

/// Spreads similar names.
const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;

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
    let mixed = (fold(low) ^ fold(high).rotate_left(29)).wrapping_mul(MIXER);
    (mixed >> (64 - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twemproxy_knows_136_commands_besides_move() {
        assert_eq!(rows::TWEMPROXY.len(), 136);
    }

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        let table = Table::standard();
        for (index, row) in table.rows().iter().enumerate() {
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
                assert_eq!(
                    table.find_named(name.as_bytes()),
                    Some(index as u16),
                    "{name}"
                );
                let as_command = table.find(name.as_bytes());
                assert_eq!(as_command.is_some(), !name.contains('|'), "{name}");
                if let Some((container, sub)) = name.split_once('|') {
                    let container = table.find(container.as_bytes()).expect("a container");
                    assert_eq!(table.row(container).rule, Rule::Container);
                    let found = table.find_sub(container, sub.as_bytes());
                    assert_eq!(found, Some(index as u16), "{name}");
                }
            }
        }
    }

    #[test]
    fn look_ups_end_after_a_few_steps() {
        let table = Table::standard();
        let steps = |name: &str| {
            let index = table.find_named(name.as_bytes()).expect("a row") + 1;
            let places = [&table.places, &table.subs];
            let mut places = places
                .iter()
                .map(|places| places.iter().position(|&place| place == index));
            let place = places.find_map(|place| place);
            (place.expect("a place") + PLACES - home(name.as_bytes())) % PLACES
        };
        for row in table.rows() {
            assert!(steps(row.name) < 12, "{}: {}", row.name, steps(row.name));
        }
        // The usual ones are found at once, or nearly.
        for name in [
            "GET", "SET", "MGET", "DEL", "INCR", "HGET", "EXPIRE", "EXISTS",
        ] {
            assert!(steps(name) < 2, "{name}: {}", steps(name));
        }
    }

    #[test]
    fn a_pool_of_several_servers_refuses_what_is_dangerous_unless_it_is_allowed() {
        let several = |allow: &[&str], deny: &[&str]| {
            Table::new(Policy {
                several: true,
                allow: allow.iter().map(|name| (*name).into()).collect(),
                deny: deny.iter().map(|name| (*name).into()).collect(),
                ..Policy::default()
            })
        };
        let rule = |table: &Table, name: &str| {
            table
                .row(table.find_named(name.as_bytes()).expect("a row"))
                .rule
        };
        let table = several(&[], &[]);
        for name in ["FLUSHALL", "FLUSHDB", "KEYS", "SAVE"] {
            assert_eq!(
                rule(&table, name),
                Rule::Denied(Denial::Dangerous),
                "{name}"
            );
            assert!(
                !matches!(rule(&Table::standard(), name), Rule::Denied(_)),
                "{name}"
            );
        }
        assert_eq!(rule(&table, "MEMORY|STATS"), Rule::Denied(Denial::Several));
        let table = several(&["FLUSHALL", "CONFIG"], &["CONFIG|REWRITE", "GET"]);
        assert!(matches!(rule(&table, "FLUSHALL"), Rule::Everywhere(_)));
        assert!(matches!(rule(&table, "CONFIG|SET"), Rule::Everywhere(_)));
        assert_eq!(rule(&table, "CONFIG|REWRITE"), Rule::Denied(Denial::Denied));
        assert_eq!(rule(&table, "GET"), Rule::Denied(Denial::Denied));
        assert_eq!(rule(&table, "SET"), Rule::Forward);
    }

    #[test]
    fn other_names_are_not_found() {
        let table = Table::standard();
        for name in [
            "",
            "GE",
            "GETT",
            "G\u{5}T",
            "GEORADIUSBYMEMBER_RW",
            "CONFIG|",
            "ge\0",
        ] {
            assert_eq!(table.find(name.as_bytes()), None, "{name}");
        }
        assert_eq!(table.find(&[b'A'; 100_000]), None);
    }
}
