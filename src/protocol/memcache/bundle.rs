//! Gets of one key each that are sent as one get of several keys, and what the reply to it consists of.
//!
//! memcached writes each reply on its own, and somebody has to read each; of a get of many keys it
//! writes all values at once.

use super::space;
use crate::protocol::{Family, Part, ReplyScan};

/// What ends the values of a reply.
pub const END: &[u8] = b"END\r\n";

/// Which of the gets it is: those of one line are of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    /// `get`.
    #[default]
    Get,
    /// `gets`.
    Gets,
}

/// What comes next of the reply to a get of several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening<'a> {
    /// The head of a value.
    Value {
        /// Whose value.
        key: &'a [u8],
        /// Its length; a line end follows.
        data: u64,
        /// The length of the head, line end included.
        len: usize,
    },
    /// The end, or an error in its place.
    End {
        /// The length of the line, its end included.
        len: usize,
    },
}

/// The verb and the key of a get of one key that is written in the plainest way.
#[inline]
pub fn parts(request: &[u8]) -> Option<(Verb, &[u8])> {
    let rest = request.strip_prefix(b"get")?;
    let (verb, rest) = match rest {
        [b' ', rest @ ..] => (Verb::Get, rest),
        [b's', b' ', rest @ ..] => (Verb::Gets, rest),
        _ => return None,
    };
    let key = rest.strip_suffix(b"\r\n")?;
    (!key.is_empty() && space(key).is_none()).then_some((verb, key))
}

impl ReplyScan {
    /// Begins with the head of a value of `data` bytes, which is all of the reply but its end. The end
    /// belongs to others, too (`severed`), or it must be what comes next.
    pub fn begin_value(&mut self, data: u64, severed: bool) {
        self.begun = true;
        self.left = data + 2;
        self.part = match severed {
            true => Part::LastBlock,
            false => Part::Block,
        };
        (self.within, self.severed) = (!severed, severed);
        self.family = Family::Closing;
    }

    /// Nobody shares the end of the value at hand any more.
    pub fn unsever(&mut self) {
        if self.severed {
            self.part = Part::Block;
            (self.within, self.severed) = (true, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_gets_of_one_key_share_a_line() {
        let parts = |request: &'static str| parts(request.as_bytes());
        assert_eq!(parts("get a\r\n"), Some((Verb::Get, &b"a"[..])));
        assert_eq!(parts("gets ab\r\n"), Some((Verb::Gets, &b"ab"[..])));
        for other in [
            "get  a\r\n",
            "get a \r\n",
            " get a\r\n",
            "get a b\r\n",
            "get \r\n",
            "get a\n",
            "getsa b\r\n",
            "gat 0 a\r\n",
            "mg a v\r\n",
            "set get 0 0 1\r\nx\r\n",
        ] {
            assert_eq!(parts(other), None, "{other:?}");
        }
    }
}
