//! What a line of a memcached reply says as far as its framing goes, and which requests it can be the
//! reply to.

use super::Words;
use crate::protocol::{BadReply, Family};

/// Longest data block of a value, in digits.
pub(super) const DIGITS_MAX: usize = 12;

/// What a line of a reply says, as far as its framing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The head of a value; `data` bytes and a line end follow, then more.
    Value { data: u64 },
    /// The head of a meta value; `data` bytes and a line end follow, and are the end.
    MetaValue { data: u64 },
    /// A line of statistics; more follow.
    Item,
    /// The end of the values or statistics.
    End,
    /// An error.
    Error,
    /// The version of the server.
    Version,
    /// Any other reply of one line, by its bit.
    Line(u16),
}

/// Bits of the kinds of replies.
pub(super) mod bit {
    pub const VALUE: u16 = 1;
    pub const META_VALUE: u16 = 1 << 1;
    pub const ITEM: u16 = 1 << 2;
    pub const END: u16 = 1 << 3;
    pub const VERSION: u16 = 1 << 4;
    /// STORED, and what is said instead.
    pub const STORED: u16 = 1 << 5;
    pub const NOT_FOUND: u16 = 1 << 6;
    pub const DELETED: u16 = 1 << 7;
    pub const TOUCHED: u16 = 1 << 8;
    pub const NUMBER: u16 = 1 << 9;
    /// OK and RESET.
    pub const DONE: u16 = 1 << 10;
    pub const HD: u16 = 1 << 11;
    pub const EN: u16 = 1 << 12;
    pub const NF: u16 = 1 << 13;
    /// NS and EX.
    pub const NOT_SET: u16 = 1 << 14;
    pub const ME: u16 = 1 << 15;
    /// Those of meta commands, of one line.
    pub const META: u16 = HD | EN | NF | NOT_SET | ME;
}

impl Kind {
    fn bit(self) -> u16 {
        match self {
            Kind::Value { .. } => bit::VALUE,
            Kind::MetaValue { .. } => bit::META_VALUE,
            Kind::Item => bit::ITEM,
            Kind::End => bit::END,
            Kind::Version => bit::VERSION,
            Kind::Line(bit) => bit,
            Kind::Error => u16::MAX,
        }
    }
}

impl Family {
    /// Whether a line of this kind can be part of such a reply.
    #[inline]
    pub(super) fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Value { .. } => self.has_values(),
            // That of a get.
            Kind::End if self.has_values() => true,
            _ => self.has_line(kind),
        }
    }

    /// Whether values can be part of such a reply.
    #[inline]
    pub(super) fn has_values(self) -> bool {
        matches!(self, Family::Any | Family::Value | Family::Values)
    }

    fn has_line(self, kind: Kind) -> bool {
        let all = match self {
            Family::Any | Family::Redis(_) => u16::MAX,
            Family::Value | Family::Values => bit::VALUE | bit::END,
            Family::Closing => bit::END,
            Family::Stored => bit::STORED | bit::NOT_FOUND,
            Family::Deleted => bit::DELETED | bit::NOT_FOUND,
            Family::Number => bit::NUMBER | bit::NOT_FOUND,
            Family::Touched => bit::TOUCHED | bit::NOT_FOUND,
            Family::Version => bit::VERSION,
            Family::Statistics => bit::ITEM | bit::END,
            Family::Done => bit::DONE,
            Family::MetaGet => bit::META_VALUE | bit::HD | bit::EN,
            Family::MetaSet | Family::MetaDelete => bit::HD | bit::NF | bit::NOT_SET,
            Family::MetaNumber => bit::META_VALUE | bit::HD | bit::NF | bit::NOT_SET,
            Family::MetaDebug => bit::ME | bit::EN,
        };
        all & kind.bit() != 0
    }
}

/// What a line without its end says.
#[inline]
pub(super) fn kind(line: &[u8]) -> Result<Kind, BadReply> {
    if let Some(head) = line.strip_prefix(b"VALUE ") {
        let data = data_len(head).ok_or(BadReply::Number)?;
        return Ok(Kind::Value { data });
    }
    let first = line.split(|&byte| byte == b' ').next().unwrap_or(line);
    match first {
        b"END" if line == first => Ok(Kind::End),
        b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" => Ok(Kind::Error),
        b"STORED" | b"NOT_STORED" | b"EXISTS" if line == first => Ok(Kind::Line(bit::STORED)),
        b"NOT_FOUND" if line == first => Ok(Kind::Line(bit::NOT_FOUND)),
        b"DELETED" if line == first => Ok(Kind::Line(bit::DELETED)),
        b"TOUCHED" if line == first => Ok(Kind::Line(bit::TOUCHED)),
        b"HD" => Ok(Kind::Line(bit::HD)),
        b"EN" => Ok(Kind::Line(bit::EN)),
        b"NF" => Ok(Kind::Line(bit::NF)),
        b"NS" | b"EX" => Ok(Kind::Line(bit::NOT_SET)),
        b"ME" => Ok(Kind::Line(bit::ME)),
        b"VA" => {
            let data = Words::of(line)
                .nth(1)
                .and_then(|word| number(word.of(line)));
            let data = data.ok_or(BadReply::Number)?;
            Ok(Kind::MetaValue { data })
        }
        b"OK" | b"RESET" if line == first => Ok(Kind::Line(bit::DONE)),
        b"STAT" | b"ITEM" | b"PREFIX" => Ok(Kind::Item),
        b"VERSION" => Ok(Kind::Version),
        digits if digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() => {
            // memcached pads a number that became shorter with spaces.
            let rest = &line[digits.len()..];
            let padded = rest.iter().all(|&byte| byte == b' ');
            padded
                .then_some(Kind::Line(bit::NUMBER))
                .ok_or(BadReply::Number)
        }
        _ => Err(BadReply::Kind),
    }
}

/// The length of the data behind `<key> <flags> <length> [<unique>]`.
#[inline]
fn data_len(head: &[u8]) -> Option<u64> {
    let mut words = Words::of(head);
    let (_key, flags) = (words.next()?, words.next()?);
    let (data, unique) = (words.next()?, words.next());
    if words.next().is_some() || number(flags.of(head)).is_none() {
        return None;
    }
    if unique.is_some_and(|unique| !unique.of(head).iter().all(u8::is_ascii_digit)) {
        return None;
    }
    number(data.of(head))
}

/// A number, capped so that sums of lengths cannot wrap.
fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > DIGITS_MAX {
        return None;
    }
    word.iter().try_fold(0, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(value * 10 + digit)
    })
}
