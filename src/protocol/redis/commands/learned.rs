//! Commands we have no row for, as the servers describe them in their reply to `COMMAND INFO`.
//!
//! The reply is a peer's: it is bounded in length and depth, and what it says is believed only as far
//! as it is understood. A command whose keys cannot be found for certain is served by pools of one
//! server alone.

use super::{Arity, Blocking, Danger, Keys, ROWS_MAX, Row, Rule, Table};
use crate::protocol::{Limits, Unknown};

/// Deepest nesting of a description.
const DEPTH_MAX: usize = 12;

/// Most specifications of keys one command may have.
const SPECS_MAX: usize = 16;

/// Most names that are remembered as unknown to the servers.
const STRANGERS_MAX: usize = 256;

/// What a table has learned, and what it has learned not to ask again.
#[derive(Debug, Default)]
pub(super) struct Learned {
    specs: Vec<Box<[Spec]>>,
    strangers: Vec<Box<[u8]>>,
}

/// Where some keys of a command stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where to begin.
    pub begin: Begin,
    /// How to go on from there.
    pub find: Find,
}

/// Where to begin to look for keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this position.
    Index(usize),
    /// Behind this word, looked for from a position on; from the end backwards if it is negative.
    Word(Box<[u8]>, i64),
}

/// How keys stand from where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to a last one, each `step` further.
    Range {
        /// Counted from the first, or from the end if negative.
        last: i64,
        /// How far from one to the next.
        step: usize,
        /// With a `last` from the end: only this part of what is there, a half for 2.
        limit: usize,
    },
    /// As many as a number says.
    Count {
        /// Where the number stands, counted from the beginning.
        number: usize,
        /// Where the first key stands.
        first: usize,
        /// How far from one to the next.
        step: usize,
    },
}

impl Table {
    /// The specifications at `place`.
    pub fn specs(&self, place: u16) -> &[Spec] {
        &self.learned.specs[usize::from(place)]
    }

    /// Whether the servers may be asked about a command of this name.
    pub fn may_learn(&self, name: &[u8]) -> bool {
        self.policy.unknown == Unknown::Learn
            && (1..=super::NAME_MAX).contains(&name.len())
            && name.iter().all(u8::is_ascii_graphic)
            && self.rows.len() < ROWS_MAX
            && !self
                .learned
                .strangers
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a command of this name, of which nothing is known, may go to the only server of the pool.
    pub fn may_pass(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        !self.policy.several && !self.policy.denies(&name)
    }

    /// Notes that no server knows this name, so that it is not asked for again.
    pub fn estrange(&mut self, name: &[u8]) {
        if self.learned.strangers.len() >= STRANGERS_MAX {
            self.learned.strangers.clear();
        }
        self.learned.strangers.push(name.into());
    }

    /// A server may have come back with other commands: what was unknown is asked for again.
    pub fn forget_strangers(&mut self) {
        self.learned.strangers.clear();
    }

    /// Takes a server's reply to `COMMAND INFO` with one name. Says whether the command, in whatever
    /// spelling, has a row now.
    pub fn learn(&mut self, name: &[u8], reply: &[u8]) -> bool {
        let described = value(reply, 0).and_then(|(value, _)| match value {
            Value::List(mut items) if items.len() == 1 => items.pop(),
            _ => None,
        });
        if let Some(Value::List(description)) = described {
            self.describe(&description);
            self.rename(name, &description);
        }
        let known = self.find_named(name).is_some();
        if !known {
            self.estrange(name);
        }
        known
    }

    /// Adds a row for a command that the server has under another name than that by which it describes it
    /// (`rename-command`): it is what the description says.
    fn rename(&mut self, name: &[u8], description: &[Value]) {
        let described = description.first().and_then(Value::text);
        let Some(row) = described.and_then(|described| self.find(described)) else {
            return;
        };
        if self.find(name).is_none() && self.rows.len() < ROWS_MAX {
            let row = Row {
                name: "",
                ..*self.row(row)
            };
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            self.add(name.into(), row);
        }
    }

    /// Adds a row for a description, and rows for the sub-commands in it.
    fn describe(&mut self, description: &[Value]) {
        let [Value::Text(name), Value::Number(arity), rest @ ..] = description else {
            return;
        };
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        let name = name.to_ascii_uppercase();
        let sane = (1..=super::NAME_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !sane || self.rows.len() >= ROWS_MAX {
            return;
        }
        let subs = rest.get(7).map_or(&[][..], Value::list);
        if self.find_named(name.as_bytes()).is_none() {
            let arity = match u32::try_from(arity.unsigned_abs()) {
                Ok(count) if *arity > 0 => Arity::Exactly(count),
                Ok(count) => Arity::AtLeast(count.max(1)),
                Err(_) => return,
            };
            let (keys, rule) = if subs.is_empty() {
                self.keys_of(rest)
            } else {
                (Keys::None, Rule::Container)
            };
            let has = |place: usize, word: &[u8]| {
                let words = rest.get(place).map_or(&[][..], Value::list);
                words.iter().any(|known| known.text() == Some(word))
            };
            // Commands such as MONITOR and SYNC, whatever they are called, and those about the connection.
            let streams = has(0, b"pubsub")
                || has(4, b"@connection")
                || (has(0, b"admin") && has(0, b"noscript"));
            let rule = if streams {
                super::rows::STREAMS_ON
            } else if has(0, b"blocking") {
                Rule::Blocking(Blocking::Always)
            } else {
                rule
            };
            let danger = if has(0, b"admin") || has(4, b"@dangerous") {
                Danger::Refused
            } else {
                Danger::None
            };
            let row = Row {
                name: "",
                arity,
                keys,
                rule,
                danger,
            };
            self.add(name.into(), row);
        }
        for sub in subs {
            // A sub-command has none of its own.
            if let Value::List(sub) = sub {
                self.describe(&sub[..sub.len().min(9)]);
            }
        }
    }

    /// Where the keys stand, by what follows name and arity: flags, the first key, the last and the
    /// step, categories, tips, specifications.
    fn keys_of(&mut self, rest: &[Value]) -> (Keys, Rule) {
        let unclear = (Keys::None, Rule::OneServer);
        let specs: Option<Vec<Spec>> = match rest.get(6).map_or(&[][..], Value::list) {
            [] => {
                let place = |place: usize| rest.get(place).and_then(Value::number);
                let flags = rest.first().map_or(&[][..], Value::list);
                let moves = flags.iter().any(|flag| flag.text() == Some(b"movablekeys"));
                match (place(1), place(2), place(3)) {
                    (Some(first @ 1..=1000), Some(last), Some(step @ 1..=1000)) if !moves => {
                        let last = if last < 0 { last } else { last - first };
                        let find = Find::Range {
                            last,
                            step: step as usize,
                            limit: 0,
                        };
                        Some(vec![Spec {
                            begin: Begin::Index(first as usize),
                            find,
                        }])
                    }
                    _ => None,
                }
            }
            specs if specs.len() <= SPECS_MAX => specs.iter().map(spec).collect(),
            _ => None,
        };
        match (specs, u16::try_from(self.learned.specs.len())) {
            (Some(specs), Ok(place)) => {
                self.learned.specs.push(specs.into());
                (Keys::Learned(place), Rule::Forward)
            }
            _ => unclear,
        }
    }
}

/// One specification of keys, if all of it is understood.
fn spec(value: &Value) -> Option<Spec> {
    let flags = value.field(b"flags")?.list();
    if flags.iter().any(|flag| flag.text() == Some(b"incomplete")) {
        return None;
    }
    let begin = value.field(b"begin_search")?;
    let detail = begin.field(b"spec")?;
    let place = |detail: &Value, name: &[u8]| -> Option<usize> {
        let number = detail.field(name)?.number()?;
        usize::try_from(number)
            .ok()
            .filter(|&number| number <= 1000)
    };
    let begin = match begin.field(b"type")?.text()? {
        b"index" => Begin::Index(place(detail, b"index").filter(|&index| index > 0)?),
        b"keyword" => Begin::Word(
            detail.field(b"keyword")?.text()?.into(),
            detail
                .field(b"startfrom")?
                .number()
                .filter(|from| (-1000..=1000).contains(from))?,
        ),
        _ => return None,
    };
    let find = value.field(b"find_keys")?;
    let detail = find.field(b"spec")?;
    let find = match find.field(b"type")?.text()? {
        b"range" => Find::Range {
            last: detail
                .field(b"lastkey")?
                .number()
                .filter(|last| (-1000..=1000).contains(last))?,
            step: place(detail, b"keystep").filter(|&step| step > 0)?,
            limit: place(detail, b"limit")?,
        },
        b"keynum" => Find::Count {
            number: place(detail, b"keynumidx")?,
            first: place(detail, b"firstkey")?,
            step: place(detail, b"keystep").filter(|&step| step > 0)?,
        },
        _ => return None,
    };
    Some(Spec { begin, find })
}

/// A reply, or a part of it. Maps are lists of keys and values in turn.
#[derive(Debug)]
enum Value {
    Text(Box<[u8]>),
    Number(i64),
    List(Vec<Value>),
    Null,
}

impl Value {
    fn list(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value behind `name` in a map.
    fn field(&self, name: &[u8]) -> Option<&Value> {
        self.list()
            .chunks_exact(2)
            .find(|pair| pair[0].text() == Some(name))
            .map(|pair| &pair[1])
    }
}

/// The value at the start of `bytes` and its length, in either version of the protocol.
fn value(bytes: &[u8], depth: usize) -> Option<(Value, usize)> {
    let newline = memchr::memchr(b'\n', bytes)?;
    let (&kind, text) = bytes[..newline].strip_suffix(b"\r")?.split_first()?;
    let number = || -> Option<i64> { std::str::from_utf8(text).ok()?.parse().ok() };
    let mut used = newline + 1;
    let value = match kind {
        b'+' => Value::Text(text.into()),
        b':' => Value::Number(number()?),
        b'_' => Value::Null,
        b'$' => match number()? {
            -1 => Value::Null,
            len => {
                let len = usize::try_from(len)
                    .ok()
                    .filter(|&len| len as u64 <= Limits::REDIS.bulk)?;
                let text = bytes.get(used..used + len)?;
                used += len + 2;
                Value::Text(text.into())
            }
        },
        b'*' | b'~' | b'%' => match number()? {
            -1 => Value::Null,
            count if depth < DEPTH_MAX => {
                let count = usize::try_from(count).ok()?;
                let mut items = Vec::new();
                for _ in 0..if kind == b'%' {
                    count.checked_mul(2)?
                } else {
                    count
                } {
                    let (item, len) = value(bytes.get(used..)?, depth + 1)?;
                    items.push(item);
                    used += len;
                }
                Value::List(items)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some((value, used))
}
