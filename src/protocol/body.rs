//! The rest of a request whose head is already understood, as it passes by.
//!
//! A large argument or data block is not gathered to be looked at: only its length and line ends
//! matter. Redis may have further arguments behind it; memcached never has.

use memchr::memchr3;

use super::Limits;

/// What is still to come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// Bytes of the current bulk or data block, its line end included.
    left: u64,
    /// Redis bulks behind it.
    bulks: u32,
    /// Most bytes a further bulk may have.
    bulk_max: u64,
    /// The length of the first that had more.
    excess: Option<u64>,
    /// Whether no line end belongs to it.
    raw: bool,
}

/// How far some bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// Bytes that belong to the message; those behind them were not looked at, or are the start of a
    /// line whose end is missing.
    pub used: usize,
    /// Whether the message ends there.
    pub done: bool,
}

/// A body that does not go on as its head announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// No CR LF behind a bulk or data block.
    LineEnd,
    /// Something other than `$` where a bulk must start.
    Dollar(u8),
    /// A bulk length that is not canonical or exceeds Redis' own limit.
    Length,
}

impl Body {
    /// A block of which `left` bytes, line end included, are missing, and `bulks` Redis bulks behind it of
    /// at most `bulk_max` bytes each.
    pub fn new(left: u64, bulks: u32, bulk_max: u64) -> Self {
        Self {
            left,
            bulks,
            bulk_max,
            excess: None,
            raw: false,
        }
    }

    /// A block of which `left` bytes are missing, which may be any.
    pub fn raw(left: u64) -> Self {
        Self {
            raw: true,
            ..Self::new(left, 0, 0)
        }
    }

    /// Bytes that are known to be still to come.
    pub fn announced(&self) -> u64 {
        self.left
    }

    /// The length of the first bulk that was longer than may be. Where the body ends is certain all the same.
    pub fn excess(&self) -> Option<u64> {
        self.excess
    }

    /// Takes the next bytes. What it does not use is the next request, or a line to be given again
    /// together with more bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Fed, BadBody> {
        if self.raw {
            let used = self.left.min(bytes.len() as u64);
            self.left -= used;
            return Ok(Fed {
                used: used as usize,
                done: self.left == 0,
            });
        }
        let mut used = 0;
        loop {
            used += feed_block(&mut self.left, &bytes[used..]).ok_or(BadBody::LineEnd)?;
            if self.left > 0 {
                return Ok(Fed { used, done: false });
            }
            if self.bulks == 0 {
                return Ok(Fed { used, done: true });
            }
            let Some((len, line)) = bulk_header(&bytes[used..])? else {
                return Ok(Fed { used, done: false });
            };
            if len > Limits::REDIS.bulk {
                return Err(BadBody::Length);
            }
            if len > self.bulk_max {
                self.excess.get_or_insert(len);
            }
            used += line;
            self.bulks -= 1;
            self.left = len + 2;
        }
    }
}

/// Takes bytes off a block of which `left` are to come, the last two being CR LF, and says how many;
/// `None` when the line end is wrong.
pub(super) fn feed_block(left: &mut u64, bytes: &[u8]) -> Option<usize> {
    let now = (bytes.len() as u64).min(*left) as usize;
    let after = *left - now as u64;
    if after < 2 && now > 0 {
        // The line end may come in two pieces: check what of it lies in these bytes.
        let line_end = &bytes[now.saturating_sub(2 - after as usize)..now];
        let expected = &b"\r\n"[..2 - after as usize];
        if !expected.ends_with(line_end) {
            return None;
        }
    }
    *left = after;
    Some(now)
}

/// Takes bytes off a line whose begin was taken before, and says how many and whether it ends with them;
/// `None` when it has a byte that a line cannot have: CR or LF other than at the end, or `never`.
pub(super) fn feed_line(bytes: &[u8], never: u8) -> Option<(usize, bool)> {
    let Some(end) = memchr3(b'\r', b'\n', never, bytes) else {
        return Some((bytes.len(), false));
    };
    match bytes[end..] {
        // A CR is left for when it is known what comes behind it.
        [b'\r'] => Some((end, false)),
        [b'\r', b'\n', ..] => Some((end + 2, true)),
        _ => None,
    }
}

/// The length in a line `$<length>` CR LF and the length of the line; `None` when more is needed.
fn bulk_header(bytes: &[u8]) -> Result<Option<(u64, usize)>, BadBody> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&other) => return Err(BadBody::Dollar(other)),
    }
    match number_line(&bytes[1..]) {
        Number::Line { value, len } => Ok(Some((value, len + 1))),
        Number::More => Ok(None),
        Number::Bad => Err(BadBody::Length),
    }
}

/// What stands where a number and CR LF must.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// The number, and the bytes it takes with its line end.
    Line { value: u64, len: usize },
    /// More bytes are needed.
    More,
    /// No number in the one form it may have: digits without a leading zero, then CR LF.
    Bad,
}

/// Reads a canonical number of at most 18 digits and its CR LF.
///
/// Canonical because the bytes are forwarded as they came: a form that a server reads otherwise than
/// we do would let one client shift the framing of a connection that others share.
#[inline]
pub(super) fn number_line(bytes: &[u8]) -> Number {
    let digit = |byte: u8| u64::from(byte - b'0');
    // Nearly all lengths of keys and numbers of arguments.
    match *bytes {
        [ones @ b'0'..=b'9', b'\r', b'\n', ..] => Number::Line {
            value: digit(ones),
            len: 3,
        },
        [tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => Number::Line {
            value: 10 * digit(tens) + digit(ones),
            len: 4,
        },
        _ => long_number_line(bytes),
    }
}

fn long_number_line(bytes: &[u8]) -> Number {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if index == 18 || (index == 1 && value == 0) {
                    return Number::Bad;
                }
                value = value * 10 + u64::from(byte - b'0');
            }
            b'\r' if index > 0 => {
                return match bytes.get(index + 1) {
                    Some(b'\n') => Number::Line {
                        value,
                        len: index + 2,
                    },
                    Some(_) => Number::Bad,
                    None => Number::More,
                };
            }
            _ => return Number::Bad,
        }
    }
    Number::More
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` cut at every point and expects the same outcome each time.
    fn check(body: Body, bytes: &[u8], expected: Result<usize, BadBody>) {
        for cut in 0..=bytes.len() {
            let mut body = body;
            let outcome = body.feed(&bytes[..cut]).and_then(|fed| {
                if fed.done {
                    return Ok(fed.used);
                }
                let rest = body.feed(&bytes[fed.used..])?;
                assert!(rest.done, "cut at {cut}");
                Ok(fed.used + rest.used)
            });
            assert_eq!(outcome, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_ends_where_its_head_said() {
        check(Body::new(5, 0, 100), b"abc\r\n*1", Ok(5));
        check(Body::new(1, 0, 100), b"\n", Ok(1));
        check(
            Body::new(5, 2, 100),
            b"abc\r\n$0\r\n\r\n$3\r\nxyz\r\nnext",
            Ok(20),
        );
    }

    #[test]
    fn wrong_bodies_are_refused_wherever_they_are_cut() {
        check(Body::new(5, 0, 100), b"abcde", Err(BadBody::LineEnd));
        check(Body::new(5, 0, 100), b"abc\rx", Err(BadBody::LineEnd));
        check(
            Body::new(5, 1, 100),
            b"abc\r\n:1\r\n",
            Err(BadBody::Dollar(b':')),
        );
        check(
            Body::new(5, 1, 100),
            b"abc\r\n$03\r\nabc\r\n",
            Err(BadBody::Length),
        );
        check(
            Body::new(5, 1, 2),
            b"abc\r\n$536870913\r\n",
            Err(BadBody::Length),
        );
    }

    #[test]
    fn a_bulk_that_is_too_long_is_noted_and_its_body_ends_where_it_ends() {
        check(
            Body::new(5, 2, 2),
            b"abc\r\n$3\r\nabc\r\n$0\r\n\r\n",
            Ok(20),
        );
        let mut body = Body::new(5, 1, 2);
        let outcome = body.feed(b"abc\r\n$3\r\n");
        assert_eq!(
            (outcome.map(|fed| fed.done), body.excess()),
            (Ok(false), Some(3))
        );
    }

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for (line, value) in [
            ("0\r\n", 0),
            ("7\r\n", 7),
            ("10\r\n", 10),
            ("536870912\r\n", 536870912),
        ] {
            assert_eq!(
                number_line(line.as_bytes()),
                Number::Line {
                    value,
                    len: line.len()
                }
            );
            for cut in 0..line.len() {
                assert_eq!(number_line(&line.as_bytes()[..cut]), Number::More);
            }
        }
        for bad in [
            "\r\n",
            "-1\r\n",
            "+1\r\n",
            "01\r\n",
            "00\r\n",
            "1 \r\n",
            " 1\r\n",
            "1\n",
            "1\rx",
            "9999999999999999999\r\n",
            "0x1\r\n",
        ] {
            assert_eq!(number_line(bad.as_bytes()), Number::Bad, "{bad:?}");
        }
    }
}
