//! Where a Redis server's reply ends, in RESP2 and RESP3.
//!
//! A server speaks RESP3 only on connections on which it was told to; on the others its types are no
//! replies, as their clients could not read them. Streamed strings and
//! aggregates of RESP3 (`$?`, `*?`) are sent by no server and refused.
//!
//! Scripts say lines of any length and errors echo arguments, so a line is read in pieces, as a bulk is.
//! Scripts also nest arrays some 8,000 levels deep; of a level only what is left of it is kept, and
//! nothing once that is its last element.

use memchr::memchr;

use crate::protocol::body::{Number, feed_block, feed_line, number_line};
use crate::protocol::{BadReply, Fed, Part, ReplyScan, Version};

/// Most levels of arrays, maps, sets, pushes and attributes that may be open at once and have elements
/// left, each of which costs eight bytes. Lua's stack lets scripts nest 7,996 in Redis 7 and Valkey 9.
pub const DEPTH_MAX: usize = 64 * 1024;

/// A longer simple string, error, double or big number is read in pieces; until its end is there, one of
/// fewer bytes is given again together with more.
pub const LINE_KEPT: usize = 4 * 1024;

/// Longest line that has a length or another number of 64 bits.
const NUMBER_LINE_MAX: usize = 32;

/// What nearly all commands that write are answered with.
const OK: &[u8] = b"+OK\r\n";

/// What a key that does not exist has for a value.
const NULL: &[u8] = b"$-1\r\n";

/// The same in RESP3.
const NULL3: &[u8] = b"_\r\n";

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
            used += if scan.part.is_line() {
                let (len, ended) = feed_line(&bytes[used..], b'\n').ok_or(BadReply::LineEnd)?;
                if ended {
                    (scan.left, scan.part) = (0, Part::Block);
                }
                len
            } else {
                feed_block(&mut scan.left, &bytes[used..]).ok_or(BadReply::LineEnd)?
            };
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

/// The same of a few more: what a key that does not exist has for a value, and numbers.
#[inline]
pub fn whole_usual(bytes: &[u8], version: Version) -> Option<usize> {
    whole(bytes).or_else(|| match bytes.first()? {
        b'$' => bytes.starts_with(NULL).then_some(NULL.len()),
        b'_' if version == Version::Resp3 => bytes.starts_with(NULL3).then_some(NULL3.len()),
        b':' => match number_line(&bytes[1..]) {
            Number::Line { len, .. } => Some(1 + len),
            Number::More | Number::Bad => None,
        },
        _ => None,
    })
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
    let is_text = matches!(kind, b'+' | b'-' | b',' | b'(');
    let most = if is_text { LINE_KEPT } else { NUMBER_LINE_MAX };
    let Some(newline) = memchr(b'\n', &bytes[..bytes.len().min(most)]) else {
        if bytes.len() < most {
            return Ok(None);
        }
        if !is_text {
            return Err(BadReply::Number);
        }
        scan.items -= 1;
        (scan.left, scan.part) = (1, Part::Line);
        return Ok(Some(1));
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
        b':' => {
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
        // The innermost level is kept out of the vector, and so is one of which this is the last element:
        // the usual flat array needs none, nor does any chain of arrays of one element.
        if self.items > 0 {
            if self.outer.len() >= DEPTH_MAX {
                return Err(BadReply::Depth);
            }
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

    #[test]
    fn usual_replies_are_found_at_once() {
        for reply in [
            "+OK\r\n",
            "$3\r\nabc\r\n",
            "$0\r\n\r\n",
            "$-1\r\n",
            ":12\r\n",
        ] {
            for version in [Version::Resp2, Version::Resp3] {
                let found = whole_usual(reply.as_bytes(), version);
                assert_eq!(found, Some(reply.len()), "{reply:?}");
                let part = &reply.as_bytes()[..reply.len() - 1];
                assert_eq!(whole_usual(part, version), None, "{reply:?}");
            }
        }
        assert_eq!(whole_usual(b"_\r\n", Version::Resp3), Some(3));
        assert_eq!(whole_usual(b"_\r\n", Version::Resp2), None);
        assert_eq!(whole_usual(b"-ERR\r\n", Version::Resp2), None);
    }

    /// One reply, given whole and cut at every point, followed by the start of another.
    fn check(reply: &str) {
        let mut bytes = reply.as_bytes().to_vec();
        bytes.extend_from_slice(b"+next");
        // What is found at once is found in parts, too.
        let usual = whole_usual(&bytes, Version::Resp3);
        assert!(usual.is_none_or(|len| len == reply.len()), "{reply:?}");
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
            "(abc\r\n",
            "(\r\n",
            ",-nan\r\n",
            ",any thing\r\n",
            "=7\r\na\r\n:abc\r\n",
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
            ("(1\r0\r\n", BadReply::LineEnd),
            ("(1\n", BadReply::LineEnd),
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
        for kind in ":$*%~>|#_=!".chars() {
            let endless = format!("{kind}{}", "1".repeat(NUMBER_LINE_MAX));
            let fed = feed(&mut ReplyScan::new(Version::Resp3), endless.as_bytes());
            assert_eq!(fed, Err(BadReply::Number), "{kind:?}");
        }
        for kind in "+-,(".chars() {
            for end in ["\rx", "\r\r\n", "\n"] {
                let wrong = format!("{kind}{}{end}", "x".repeat(LINE_KEPT));
                let fed = feed(&mut ReplyScan::new(Version::Resp3), wrong.as_bytes());
                assert_eq!(fed, Err(BadReply::LineEnd), "{kind:?} {end:?}");
            }
        }
    }

    #[test]
    fn lines_of_any_length_end_where_they_end() {
        for kind in "+-,(".chars() {
            for len in [
                LINE_KEPT - 3,
                LINE_KEPT - 2,
                LINE_KEPT - 1,
                LINE_KEPT,
                140_000,
            ] {
                for (start, end) in [("", ""), ("*3\r\n:1\r\n", "$1\r\na\r\n")] {
                    let reply = format!("{start}{kind}{}\r\n{end}", "x".repeat(len));
                    let bytes = [reply.as_bytes(), b"+next"].concat();
                    let near = LINE_KEPT - 20..LINE_KEPT + 20;
                    let ends = reply.len() - 20..reply.len();
                    for cut in near.chain(ends).filter(|&cut| cut <= reply.len()) {
                        let mut scan = ReplyScan::new(Version::Resp3);
                        let first = feed(&mut scan, &bytes[..cut]).expect("valid");
                        let mut used = first.used;
                        if !first.done {
                            let rest = feed(&mut scan, &bytes[used..]).expect("valid");
                            assert!(rest.done, "{kind:?} of {len} cut at {cut}");
                            used += rest.used;
                        }
                        assert_eq!(used, reply.len(), "{kind:?} of {len} cut at {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn of_a_long_line_little_is_kept() {
        let mut scan = ReplyScan::default();
        let piece = vec![b'x'; LINE_KEPT];
        let start = [b"-ERR ", &piece[..]].concat();
        assert_eq!(feed(&mut scan, &start).map(|fed| fed.used), Ok(start.len()));
        for _ in 0..1000 {
            let fed = feed(&mut scan, &piece).expect("valid");
            assert_eq!((fed.used, fed.done), (piece.len(), false));
        }
        assert_eq!(feed(&mut scan, b"\r").map(|fed| fed.used), Ok(0));
        let end = feed(&mut scan, b"\r\n").expect("valid");
        assert_eq!((end.used, end.done), (2, true));
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
        for opening in ["%1\r\n", "~3\r\n", "|1\r\n", "*2\r\n"] {
            let deep = opening.repeat(1_000_000);
            let fed = feed(&mut ReplyScan::new(Version::Resp3), deep.as_bytes());
            assert_eq!(fed, Err(BadReply::Depth), "{opening:?}");
        }
        let mut scan = ReplyScan::default();
        let deepest = "*2\r\n".repeat(DEPTH_MAX + 1);
        let fed = feed(&mut scan, deepest.as_bytes()).expect("not too deep");
        assert_eq!((fed.used, fed.done), (deepest.len(), false));
        let rest = ":1\r\n".repeat(DEPTH_MAX + 2);
        let fed = feed(&mut scan, rest.as_bytes()).expect("not too deep");
        assert_eq!((fed.used, fed.done), (rest.len(), true));
    }

    #[test]
    fn a_last_element_costs_no_level() {
        for opening in ["*1\r\n", "~1\r\n", "*2\r\n:1\r\n", "%1\r\n+k\r\n"] {
            let reply = format!("{}+x\r\n", opening.repeat(1_000_000));
            let mut scan = ReplyScan::new(Version::Resp3);
            let fed = feed(&mut scan, reply.as_bytes()).expect("of any depth");
            assert_eq!((fed.used, fed.done), (reply.len(), true), "{opening:?}");
            assert_eq!(scan.outer.capacity(), 0, "{opening:?}");
        }
    }

    /// The deepest that Lua lets scripts say, with something behind each level.
    #[test]
    fn the_deepest_reply_of_a_script_is_read() {
        let reply = format!("{}*0\r\n{}", "*2\r\n".repeat(7_996), ":1\r\n".repeat(7_996));
        for cut in [1, 4_000, 31_984, 31_990, 40_000] {
            let mut scan = ReplyScan::default();
            let first = feed(&mut scan, &reply.as_bytes()[..cut]).expect("valid");
            let rest = feed(&mut scan, &reply.as_bytes()[first.used..]).expect("valid");
            assert_eq!((first.used + rest.used, rest.done), (reply.len(), true));
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
