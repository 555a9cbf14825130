//! memcached: the text protocol, classic and meta commands.
//!
//! Source: memcached's `doc/protocol.txt`, and the behaviour of memcached 1.6 where it is silent.

pub mod base64;
pub mod bundle;
pub mod commands;
pub mod reply;
pub mod request;
pub mod split;

use memchr::memchr;

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
        let end = start + memchr(b' ', rest).unwrap_or(rest.len());
        self.position = end;
        Some(Span::new(start, end))
    }
}
