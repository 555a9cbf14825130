//! memcached: the text protocol, classic and meta commands.
//!
//! Source: memcached's `doc/protocol.txt`, and the behaviour of memcached 1.6 where it is silent.

pub mod base64;
pub mod bundle;
pub mod commands;
mod kind;
mod long;
pub mod reply;
pub mod request;
pub mod split;

use crate::protocol::Span;

/// The words of a line, which are separated by any number of spaces.
#[derive(Clone, Debug)]
struct Words<'a> {
    line: &'a [u8],
    position: usize,
}

impl<'a> Words<'a> {
    /// The words of `line`, which has no line end.
    fn of(line: &'a [u8]) -> Self {
        Self { line, position: 0 }
    }
}

impl Iterator for Words<'_> {
    type Item = Span;

    #[inline]
    fn next(&mut self) -> Option<Span> {
        let rest = &self.line[self.position..];
        let start = self.position + rest.iter().position(|&byte| byte != b' ')?;
        let rest = &self.line[start..];
        let end = start + space(rest).unwrap_or(rest.len());
        self.position = end;
        Some(Span::new(start, end))
    }
}

/// The low bit of each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Where the first space is. Words are short: a search made for long texts costs more to begin than this
/// costs at all.
#[inline]
fn space(bytes: &[u8]) -> Option<usize> {
    below(
        bytes,
        1,
        |word| word ^ (u64::from(b' ') * EACH),
        |byte| byte == b' ',
    )
}

/// Where the first byte is that is no part of a word: a space or a control character.
#[inline]
fn space_or_control(bytes: &[u8]) -> Option<usize> {
    below(bytes, b' ' + 1, |word| word, |byte| byte <= b' ')
}

/// Where the first byte is that `changed` makes less than `limit`, eight at a time; `is_it` says the same
/// of one byte.
#[inline(always)]
fn below(
    bytes: &[u8],
    limit: u8,
    changed: impl Fn(u64) -> u64,
    is_it: impl Fn(u8) -> bool,
) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = changed(u64::from_le_bytes(*word));
        // The top bit of each byte that is less. One that is not may have it too, but only behind the
        // first that is: a difference borrows from the byte behind it.
        let less = word.wrapping_sub(u64::from(limit) * EACH) & !word & (0x80 * EACH);
        if less != 0 {
            return Some(8 * index + less.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|&byte| is_it(byte))?;
    Some(8 * words.len() + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_end_where_a_byte_says_so(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x1e_u8..0x23, 0x7e_u8..0x82, 0x9e_u8..0xa3, Just(b'x')], 0..40,
        )) {
            let first = |is_it: fn(u8) -> bool| bytes.iter().position(|&byte| is_it(byte));
            prop_assert_eq!(space(&bytes), first(|byte| byte == b' '));
            prop_assert_eq!(space_or_control(&bytes), first(|byte| byte <= b' '));
        }
    }
}
