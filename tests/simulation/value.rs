//! Values that say whose they are: from the bytes alone one can tell for which key, by which
//! connection and with which request they were written, and that not one of them is wrong.
//!
//! Two families of keys exist. *Owned* keys belong to one client, which alone writes them. *Echo* keys
//! are never written: they name the request they appear in and the reply they ask for, and a model
//! server makes that reply up. Nobody else's reply can be taken for it.

use crate::draw::{digest, fill};

/// Who wrote a value, and with which part of which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The client connection, numbered over the whole run.
    pub conn: u32,
    /// Its request.
    pub seq: u32,
    /// The place among the request's keys.
    pub part: u32,
}

impl Mark {
    /// One number for it, below 2^62.
    pub fn number(self) -> i64 {
        i64::from(self.conn) << 38 | i64::from(self.seq & 0xff_ffff) << 12 | i64::from(self.part)
    }

    /// The mark of a number.
    pub fn read(number: i64) -> Option<Self> {
        Some(Self {
            conn: u32::try_from(number >> 38).ok()?,
            seq: u32::try_from(number >> 12 & 0xff_ffff).ok()?,
            part: u32::try_from(number & 0xfff).ok()?,
        })
    }
}

/// The value of `key` that `mark` wrote, of `size` bytes or as few more as its head needs.
pub fn make(key: &[u8], mark: Mark, size: usize) -> Vec<u8> {
    let mut value = format!("{}.{}.{}.{size}.", mark.conn, mark.seq, mark.part).into_bytes();
    let head = value.len();
    // At least so much filler that no two keys share a value.
    value.resize(size.max(head + 8), 0);
    fill(digest(key) ^ mark.number() as u64, &mut value[head..]);
    value
}

/// Who wrote `value`, if it is whole and a value of `key`.
pub fn check(key: &[u8], value: &[u8]) -> Option<Mark> {
    let mut fields = value.splitn(5, |&byte| byte == b'.');
    let mut number = || -> Option<usize> { std::str::from_utf8(fields.next()?).ok()?.parse().ok() };
    let mark = Mark {
        conn: number()? as u32,
        seq: number()? as u32,
        part: number()? as u32,
    };
    let size = number()?;
    (size <= value.len() && make(key, mark, size) == value).then_some(mark)
}

/// What an echo key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A value.
    Value,
    /// No value.
    Nil,
    /// An integer.
    Number,
    /// A status line.
    Status,
    /// An error of the server's own.
    Error,
    /// An array of values.
    Array,
    /// Arrays within an array.
    Nested,
    /// An array of nothing.
    Empty,
    /// No array.
    NilArray,
    /// A map of values.
    Map,
    /// A set of one of each of the other kinds of RESP3.
    Kinds,
    /// Anything a server may say, of at most so many bytes.
    Legal,
}

impl Shape {
    const ALL: [(char, Shape); 12] = [
        ('V', Shape::Value),
        ('N', Shape::Nil),
        ('I', Shape::Number),
        ('S', Shape::Status),
        ('E', Shape::Error),
        ('A', Shape::Array),
        ('D', Shape::Nested),
        ('0', Shape::Empty),
        ('M', Shape::NilArray),
        ('P', Shape::Map),
        ('K', Shape::Kinds),
        ('L', Shape::Legal),
    ];

    fn letter(self) -> char {
        Self::ALL[self as usize].0
    }
}

/// An echo key, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The request it stands in.
    pub mark: Mark,
    /// What it asks for.
    pub shape: Shape,
    /// Bytes of the values in the reply.
    pub size: usize,
    /// How many of them, for arrays.
    pub count: usize,
}

/// The echo key that asks for `shape`, with `padding` bytes behind it.
pub fn echo_key(echo: Echo, padding: usize) -> Vec<u8> {
    let Mark { conn, seq, part } = echo.mark;
    let letter = echo.shape.letter();
    let mut key = format!(
        "e:{conn}:{seq}:{part}:{letter}:{}:{}:",
        echo.size, echo.count
    );
    key.extend(std::iter::repeat_n('p', padding));
    key.into_bytes()
}

/// What an echo key says; `None` for any other key.
pub fn read_echo(key: &[u8]) -> Option<Echo> {
    let mut fields = std::str::from_utf8(key).ok()?.split(':');
    if fields.next()? != "e" {
        return None;
    }
    let mark = Mark {
        conn: fields.next()?.parse().ok()?,
        seq: fields.next()?.parse().ok()?,
        part: fields.next()?.parse().ok()?,
    };
    let letter = fields.next()?;
    let shape = Shape::ALL
        .iter()
        .find(|(known, _)| letter.chars().eq([*known]));
    Some(Echo {
        mark,
        shape: shape?.1,
        size: fields.next()?.parse().ok()?,
        count: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark {
        conn: 7,
        seq: 41,
        part: 2,
    };

    #[test]
    fn a_value_is_known_by_its_key_alone() {
        for size in [0, 10, 12, 100, 5000] {
            let value = make(b"key", MARK, size);
            assert_eq!(check(b"key", &value), Some(MARK));
            assert_eq!(check(b"kez", &value), None);
            assert_eq!(check(b"key", &value[1..]), None);
            let mut wrong = value.clone();
            *wrong.last_mut().expect("not empty") ^= 1;
            assert_eq!(check(b"key", &wrong), None);
        }
    }

    #[test]
    fn an_echo_key_is_read_as_it_was_made() {
        for (_, shape) in Shape::ALL {
            let echo = Echo {
                mark: MARK,
                shape,
                size: 300,
                count: 3,
            };
            assert_eq!(read_echo(&echo_key(echo, 5)), Some(echo));
        }
        assert_eq!(read_echo(b"o:1:2"), None);
    }
}
