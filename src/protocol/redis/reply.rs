//! Where a Redis server's reply ends, in RESP2 and RESP3.
//!
//! A server speaks RESP3 only on connections on which it was told to; on the others its types are no
//! replies, as their clients could not read them. Streamed strings and
//! aggregates of RESP3 (`$?`, `*?`) are sent by no server and refused.

use memchr::memchr;

use crate::protocol::body::{Number, feed_block, number_line};
use crate::protocol::{BadReply, Fed, ReplyScan, Version};

/// Deepest nesting of arrays, maps, sets, pushes and attributes in a reply.
pub const DEPTH_MAX: usize = 64;

/// Longest simple string, error or number.
pub const LINE_MAX: usize = 64 * 1024;

/// What nearly all commands that write are answered with.
const OK: &[u8] = b"+OK\r\n";

/// Lengths of so many bytes and more are left to [`length`], which knows their limit.
const USUAL_LENGTHS: u64 = 1 << 32;

/// Takes the next bytes of the reply `scan` stands in. What it does not use of them is the next reply,
/// or a line whose end is missing, to be given again together with more bytes.
#[inline]
pub fn feed(scan: &mut ReplyScan, bytes: &[u8]) -> Result<Fed, BadReply> {
    if !scan.begun
        && let Some(used) = whole(bytes)
    {
        scan.begun = true;
        return Ok(Fed { used, done: true });
    }
    feed_any(scan, bytes)
}

/// As [`feed`], whatever the reply is.
fn feed_any(scan: &mut ReplyScan, bytes: &[u8]) -> Result<Fed, BadReply> {
    if !scan.begun {
        scan.items = 1;
    }
    let mut used = 0;
    loop {
        if scan.left > 0 {
            used += feed_block(&mut scan.left, &bytes[used..]).ok_or(BadReply::LineEnd)?;
            if scan.left > 0 {
                return Ok(Fed { used, done: false });
            }
        }
        // Nearly all elements of an array.
        while scan.items > 0
            && let Some(len) = whole_bulk(&bytes[used..])
            && bytes[..used + len].ends_with(b"\r\n")
        {
            scan.items -= 1;
            scan.begun = true;
            used += len;
        }
        while scan.items == 0 {
            match scan.outer.pop() {
                Some(items) => scan.items = items,
                None => return Ok(Fed { used, done: true }),
            }
        }
        let Some(line) = element(scan, &bytes[used..])? else {
            return Ok(Fed { used, done: false });
        };
        used += line;
        scan.begun = true;
    }
}

/// The length of the reply that `bytes` start with, if it is one of the most usual and all there.
#[inline]
fn whole(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(OK) {
        return Some(OK.len());
    }
    whole_bulk(bytes).filter(|&len| bytes[len - 2..len] == *b"\r\n")
}

/// The length of the bulk string that `bytes` start with, if it is one and all there, whatever may stand
/// where its line end must.
#[inline]
pub(super) fn whole_bulk(bytes: &[u8]) -> Option<usize> {
    let Number::Line { value, len } = number_line(bytes.strip_prefix(b"$")?) else {
        return None;
    };
    let len = 1 + len as u64 + value + 2;
    (value < USUAL_LENGTHS && len <= bytes.len() as u64).then_some(len as usize)
}

/// Takes the line that starts an element; `None` when its end is missing.
#[inline]
fn element(scan: &mut ReplyScan, bytes: &[u8]) -> Result<Option<usize>, BadReply> {
    let Some(&kind) = bytes.first() else {
        return Ok(None);
    };
    match kind {
        b'+' | b'-' | b':' | b'$' | b'*' => {}
        _ if scan.version == Version::Resp2 => return Err(BadReply::Kind),
        b'_' | b',' | b'#' | b'(' | b'!' | b'=' | b'%' | b'~' | b'|' => {}
        // Out of order by nature: never inside a reply.
        b'>' if !scan.begun => scan.push = true,
        _ => return Err(BadReply::Kind),
    }
    // Nearly all elements: a length in its usual form. Everything else is looked at below.
    if kind == b'$'
        && let Number::Line { value, len } = number_line(&bytes[1..])
        && value < USUAL_LENGTHS
    {
        scan.items -= 1;
        scan.left = value + 2;
        return Ok(Some(len + 1));
    }
    let Some(newline) = memchr(b'\n', &bytes[..bytes.len().min(LINE_MAX)]) else {
        return if bytes.len() < LINE_MAX {
            Ok(None)
        } else {
            Err(BadReply::Line)
        };
    };
    let Some((b'\r', text)) = bytes[1..newline].split_last() else {
        return Err(BadReply::LineEnd);
    };
    scan.items -= 1;
    match kind {
        b'$' | b'=' | b'!' => {
            if let Some(len) = length(text)? {
                scan.left = len + 2;
            }
        }
        b'*' | b'~' | b'>' => {
            if let Some(items) = length(text)? {
                scan.open(items)?;
            }
        }
        b'%' => {
            let pairs = length(text)?.ok_or(BadReply::Number)?;
            scan.open(2 * pairs)?;
        }
        b'|' => {
            // What it describes comes behind it, in its place.
            let pairs = length(text)?.ok_or(BadReply::Number)?;
            scan.items += 1;
            scan.open(2 * pairs)?;
        }
        b':' | b'(' => {
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(BadReply::Number);
            }
        }
        b',' if text.is_empty() => return Err(BadReply::Number),
        b'#' if !matches!(text, b"t" | b"f") => return Err(BadReply::Number),
        b'_' if !text.is_empty() => return Err(BadReply::LineEnd),
        _ => {
            if memchr(b'\r', text).is_some() {
                return Err(BadReply::LineEnd);
            }
        }
    }
    Ok(Some(newline + 1))
}

impl ReplyScan {
    /// What follows are `items` elements one level further in.
    fn open(&mut self, items: u64) -> Result<(), BadReply> {
        if self.outer.len() + 1 >= DEPTH_MAX {
            return Err(BadReply::Depth);
        }
        // The innermost level is kept out of the vector, and so is the reply itself, so that the usual
        // flat array needs none. All others count, even with nothing left to come: a chain of arrays of
        // one element is as deep for whoever reads it.
        if self.begun || self.items > 0 {
            self.outer.push(self.items);
        }
        self.items = items;
        Ok(())
    }
}

/// A length, or `None` for the null `-1`. Capped so that sums of lengths cannot wrap.
fn length(text: &[u8]) -> Result<Option<u64>, BadReply> {
    if text == b"-1" {
        return Ok(None);
    }
    if text.is_empty() || text.len() > 12 {
        return Err(BadReply::Number);
    }
    let mut value = 0;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return Err(BadReply::Number);
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One reply, given whole and cut at every point, followed by the start of another.
    fn check(reply: &str) {
        let mut bytes = reply.as_bytes().to_vec();
        bytes.extend_from_slice(b"+next");
        for cut in 0..=reply.len() {
            let mut scan = ReplyScan::new(Version::Resp3);
            let first =
                feed(&mut scan, &bytes[..cut]).unwrap_or_else(|bad| panic!("{reply:?} {bad}"));
            if first.done {
                assert_eq!(first.used, reply.len(), "{reply:?} cut at {cut}");
                continue;
            }
            let rest = feed(&mut scan, &bytes[first.used..]).expect("valid");
            assert!(rest.done, "{reply:?} cut at {cut}");
            assert_eq!(
                first.used + rest.used,
                reply.len(),
                "{reply:?} cut at {cut}"
            );
        }
        let (mut scan, mut start) = (ReplyScan::new(Version::Resp3), 0);
        for end in 1..=reply.len() {
            let fed = feed(&mut scan, &bytes[start..end]).expect("valid");
            start += fed.used;
            assert_eq!(
                fed.done,
                end == reply.len(),
                "{reply:?} byte by byte at {end}"
            );
        }
    }

    #[test]
    fn replies_end_where_they_end() {
        for reply in [
            "+OK\r\n",
            "+\r\n",
            "-ERR x y\r\n",
            "-LOADING\r\n",
            ":1\r\n",
            ":-12\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$3\r\nabc\r\n",
            "$4\r\n\r\n\r\n\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n$1\r\na\r\n$-1\r\n",
            "*3\r\n:1\r\n+a\r\n-b\r\n",
            "*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$1\r\nx\r\n",
            "*1\r\n*1\r\n*1\r\n*-1\r\n",
            "_\r\n",
            "#t\r\n",
            ",1.5\r\n",
            ",inf\r\n",
            "(-3492890328409238509324850943850943825024385\r\n",
            "!9\r\nERR oh no\r\n",
            "=7\r\ntxt:abc\r\n",
            "%0\r\n",
            "%2\r\n$1\r\na\r\n:1\r\n+b\r\n*2\r\n#f\r\n_\r\n",
            "~2\r\n+a\r\n~0\r\n",
            "|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n",
            "*2\r\n|1\r\n+ttl\r\n%1\r\n:1\r\n:2\r\n:7\r\n:8\r\n",
            "|0\r\n|1\r\n_\r\n_\r\n%1\r\n+a\r\n+b\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        ] {
            check(reply);
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for (bytes, bad) in [
            ("?x\r\n", BadReply::Kind),
            ("\r\n", BadReply::Kind),
            (".\r\n", BadReply::Kind),
            ("*1\r\n>1\r\n", BadReply::Kind),
            ("%-1\r\n", BadReply::Number),
            ("|-1\r\n", BadReply::Number),
            ("$?\r\n", BadReply::Number),
            ("*?\r\n", BadReply::Number),
            ("_x\r\n", BadReply::LineEnd),
            ("#x\r\n", BadReply::Number),
            (",\r\n", BadReply::Number),
            ("(1.0\r\n", BadReply::Number),
            ("!x\r\n", BadReply::Number),
            ("+OK\n", BadReply::LineEnd),
            ("+a\rb\r\n", BadReply::LineEnd),
            (":\r\n", BadReply::Number),
            (":1.5\r\n", BadReply::Number),
            (":-\r\n", BadReply::Number),
            ("$\r\n", BadReply::Number),
            ("$-2\r\n", BadReply::Number),
            ("$+1\r\n", BadReply::Number),
            ("$9999999999999\r\n", BadReply::Number),
            ("*x\r\n", BadReply::Number),
            ("$3\r\nabcde", BadReply::LineEnd),
            ("*1\r\n?", BadReply::Kind),
        ] {
            assert_eq!(
                feed(&mut ReplyScan::new(Version::Resp3), bytes.as_bytes()),
                Err(bad),
                "{bytes:?}"
            );
        }
        let endless = vec![b'+'; LINE_MAX];
        assert_eq!(
            feed(&mut ReplyScan::new(Version::Resp3), &endless),
            Err(BadReply::Line)
        );
    }

    proptest! {
        #[test]
        fn the_usual_replies_are_read_as_any(
            bytes in "([+]OK|[$][0-3]\r\n|[+$:*-])[0-3OKab\r\n]{0,12}(\r\n)?"
        ) {
            let usual = feed(&mut ReplyScan::default(), bytes.as_bytes());
            prop_assert_eq!(usual, feed_any(&mut ReplyScan::default(), bytes.as_bytes()));
        }
    }

    #[test]
    fn types_of_resp3_are_no_replies_where_resp2_is_spoken() {
        for bytes in [
            "_\r\n",
            "#t\r\n",
            ",1\r\n",
            "(1\r\n",
            "!1\r\nx\r\n",
            "=5\r\ntxt:x\r\n",
            "%0\r\n",
            "~0\r\n",
            "|0\r\n:1\r\n",
            ">1\r\n:1\r\n",
            "*1\r\n_\r\n",
        ] {
            let mut scan = ReplyScan::default();
            assert_eq!(
                feed(&mut scan, bytes.as_bytes()),
                Err(BadReply::Kind),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        for opening in ["%1\r\n", "~3\r\n", "|1\r\n"] {
            let deep = opening.repeat(1_000_000);
            let fed = feed(&mut ReplyScan::new(Version::Resp3), deep.as_bytes());
            assert_eq!(fed, Err(BadReply::Depth), "{opening:?}");
        }
        for element in ["*2\r\n", "*1\r\n"] {
            let deep = element.repeat(1_000_000);
            assert_eq!(
                feed(&mut ReplyScan::default(), deep.as_bytes()),
                Err(BadReply::Depth),
                "{element:?}"
            );
            let deepest = element.repeat(DEPTH_MAX - 1);
            let fed = feed(&mut ReplyScan::default(), deepest.as_bytes()).expect("not too deep");
            assert_eq!(fed.used, deepest.len(), "{element:?}");
        }
    }

    #[test]
    fn announced_lengths_allocate_nothing() {
        let mut scan = ReplyScan::new(Version::Resp3);
        let fed = feed(&mut scan, b"*999999999999\r\n$999999999999\r\nx").expect("valid so far");
        assert_eq!(
            fed,
            Fed {
                used: 31,
                done: false
            }
        );
        assert_eq!(scan.announced(), 999_999_999_999 + 2 - 1);
    }
}
