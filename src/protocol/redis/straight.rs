//! The straight way through what nearly every request is: whole, a command named by at most eight letters,
//! at most nine arguments of usual length.
//!
//! ```text
//!   *  2 \r \n  $  3 \r \n  G  E  T  ...      two words of eight bytes: the frame and the name
//! ```
//!
//! It reads the two words at once instead of byte by byte. Whatever does not fit goes the general way from
//! its beginning, so nothing is decided here that is not decided there.

use super::commands::{Keys, Rule, Table};
use super::request::usual;
use crate::protocol::body::{Number, number_line};
use crate::protocol::{Limits, RequestScan, Span, Straight};

/// The bytes of a frame that are the same in every such request, and what they are.
const FRAME_MASK: u64 = u64::from_le_bytes([0xff, 0, 0xff, 0xff, 0xff, 0, 0xff, 0xff]);
const FRAME: u64 = u64::from_le_bytes(*b"*\0\r\n$\0\r\n");

/// Bytes before the name of the command.
const NAME_START: usize = 8;

/// Takes both cases of a letter for the same.
const UPPER: u64 = u64::from_le_bytes([0xdf; 8]);

/// A command's name as one word: its letters in upper case, the first lowest, behind them zeros. `None` for a
/// name that has anything but letters, or more than eight.
pub fn word(name: &str) -> Option<u64> {
    let fits = name.len() <= 8 && name.bytes().all(|byte| byte.is_ascii_uppercase());
    if !fits {
        return None;
    }
    let mut bytes = [0; 8];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Some(u64::from_le_bytes(bytes))
}

/// How a request begins.
struct Start {
    command: u16,
    /// How many arguments it has, its name included.
    args: u32,
    /// Behind the name.
    end: usize,
}

#[inline]
fn start(bytes: &[u8], table: &Table, limits: &Limits) -> Option<Start> {
    let (frame, rest) = bytes.split_first_chunk()?;
    let frame = u64::from_le_bytes(*frame);
    if frame & FRAME_MASK != FRAME {
        return None;
    }
    let args = u32::from((frame >> 8) as u8).wrapping_sub(u32::from(b'0'));
    let name_len = u32::from((frame >> 40) as u8).wrapping_sub(u32::from(b'0'));
    if !(1..=9).contains(&args) || args > limits.args || !(1..=8).contains(&name_len) {
        return None;
    }
    let name = u64::from_le_bytes(*rest.first_chunk()?);
    let name = name & (u64::MAX >> (64 - 8 * name_len)) & UPPER;
    if (name >> (8 * (name_len - 1))) as u8 == 0 {
        // A blank became nothing: the word may be that of a shorter name.
        return None;
    }
    let end = NAME_START + name_len as usize;
    let command = table.find_word(name)?;
    Some(Start { command, args, end })
}

/// The whole request at the start of `bytes`, as the general way would find it; `None` if it is not one of
/// these. No argument of up to `usual` bytes is too long.
#[inline]
pub fn read(bytes: &[u8], table: &Table, usual: u64, limits: &Limits) -> Option<RequestScan> {
    let Start {
        command,
        args,
        mut end,
    } = start(bytes, table, limits)?;
    let mut scan = RequestScan {
        args,
        seen: args,
        command: Some(command),
        ..RequestScan::default()
    };
    scan.first[0] = Span::new(NAME_START, end);
    for seen in 1..args as usize {
        let argument = argument(bytes, end, usual)?;
        end = argument.end as usize;
        if let Some(place) = scan.first.get_mut(seen) {
            *place = argument;
        }
    }
    scan.position = whole(bytes, end)?;
    Some(scan)
}

/// The same of a request for one key that is passed on as it came.
#[inline]
pub fn keyed(bytes: &[u8], table: &Table, limits: &Limits) -> Option<Straight> {
    let Start { command, args, end } = start(bytes, table, limits)?;
    let row = table.row(command);
    let is_keyed = row.rule == Rule::Forward && row.keys == Keys::First && args > 1;
    if !is_keyed || !row.arity.fits(args) {
        return None;
    }
    let usual = usual(limits);
    let key = argument(bytes, end, usual)?;
    let mut end = key.end as usize;
    for _ in 2..args {
        end = argument(bytes, end, usual)?.end as usize;
    }
    let len = whole(bytes, end)?;
    Some(Straight { command, key, len })
}

/// The length of a request whose last argument ends at `end`, if its line end is there.
#[inline]
fn whole(bytes: &[u8], end: usize) -> Option<u32> {
    (bytes.get(end..end + 2)? == b"\r\n").then_some(end as u32 + 2)
}

/// Where the argument lies whose length is announced behind `end`, whether all of it is there or not.
#[inline]
fn argument(bytes: &[u8], end: usize, usual: u64) -> Option<Span> {
    let announced = bytes.get(end..)?.strip_prefix(b"\r\n$")?;
    let Number::Line { value, len } = number_line(announced) else {
        return None;
    };
    let start = end + b"\r\n$".len() + len;
    (value <= usual).then(|| Span::new(start, start + value as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Parse;
    use crate::protocol::redis::inline::encode;
    use crate::protocol::redis::request;

    /// As the general way reads it, which it takes for anything of which the last byte comes later.
    fn in_two_parts(bytes: &[u8], table: &Table, limits: &Limits) -> Parse {
        let mut scan = RequestScan::default();
        let before = &bytes[..bytes.len() - 1];
        let parse = request::parse(before, &mut scan, table, limits);
        match parse {
            Parse::More => request::parse(bytes, &mut scan, table, limits),
            other => other,
        }
    }

    fn at_once(bytes: &[u8], table: &Table, limits: &Limits) -> Parse {
        request::parse(bytes, &mut RequestScan::default(), table, limits)
    }

    #[test]
    fn usual_requests_go_the_straight_way() {
        let table = Table::standard();
        let is_straight = |words: &[&str]| {
            let bytes = encode(words);
            read(&bytes, &table, 1024, &Limits::REDIS).is_some()
        };
        assert!(is_straight(&["GET", "k"]));
        assert!(is_straight(&["set", "key", "value"]));
        assert!(is_straight(&["SetEx", "key", "10", &"v".repeat(1000)]));
        assert!(!is_straight(&["GET ", "k"]));
        assert!(!is_straight(&["        ", "k"]));
        assert!(!is_straight(&["G3T", "k"]));
        assert!(!is_straight(&["GETGETGET", "k"]));
        assert!(!is_straight(&["SET", "key", &"v".repeat(1025)]));
    }

    proptest! {
        #[test]
        fn both_ways_find_the_same(
            name in "GET|set|Mget|HSET|EVAL|PING|DEL|GET |[A-Z ]{1,9}|[a-z0-9\u{1}-\u{7f}]{0,9}",
            rest in proptest::collection::vec("[ -~]{0,12}|1|-1", 0..10),
            broken in proptest::option::of((0..200_usize, any::<u8>())),
            is_small in any::<bool>(),
        ) {
            let table = Table::standard();
            let words: Vec<&str> = std::iter::once(&name).chain(&rest).map(String::as_str).collect();
            let mut bytes = encode(&words);
            if let Some((place, byte)) = broken {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            let small = Limits { key: 9, bulk: 11, args: 4, ..Limits::REDIS };
            let limits = if is_small { &small } else { &Limits::REDIS };
            let expected = in_two_parts(&bytes, &table, limits);
            if let Some(found) = keyed(&bytes, &table, limits) {
                let (request, len) = found.parsed();
                prop_assert_eq!(&expected, &Parse::Done { request, len });
            }
            // What is refused while it comes in is told in parts.
            if read(&bytes, &table, request::usual(limits), limits).is_some() || !is_small {
                prop_assert_eq!(at_once(&bytes, &table, limits), expected);
            }
        }
    }
}
