//! Where a memcached server's reply ends.
//!
//! Most replies are one line. A get is answered with VALUE blocks and `END`, `stats` with lines and
//! `END`; an error may stand in place of any of them and ends the reply. A meta value is a line and a
//! block. What was asked says which of them are possible, and of which keys; it does not say where a
//! reply ends, but for one: behind a request that may go without a reply stands a marker, and
//! everything up to the marker's reply belongs to the request.

use std::mem;

use memchr::{memchr, memchr2};

use super::bundle::{END, Opening};
use super::kind::{DIGITS_MAX, bit};
pub(super) use super::kind::{Kind, kind};
use super::{Words, space_or_control};
use crate::protocol::body::{feed_block, feed_line};
use crate::protocol::{Asked, BadReply, Family, Fed, Part, ReplyScan, fingerprint};

/// Longest line of a reply that is looked at whole. An error, a statistic or a meta reply without a value
/// may be longer and is then read in pieces.
pub const LINE_MAX: usize = 2048;

/// Longest key of memcached.
const KEY_MAX: usize = 250;

/// Takes the next bytes of the reply `scan` stands in. What it does not use of them is the next reply,
/// or a line whose end is missing, to be given again together with more bytes.
#[inline]
pub fn feed(
    scan: &mut ReplyScan,
    mut asked: Option<&mut Asked>,
    bytes: &[u8],
) -> Result<Fed, BadReply> {
    let mut used = 0;
    loop {
        if scan.left > 0 {
            if scan.part.is_line() {
                let (len, ended) = feed_line(&bytes[used..], 0).ok_or(BadReply::LineEnd)?;
                used += len;
                if ended {
                    scan.left = 0;
                }
            } else {
                used += feed_block(&mut scan.left, &bytes[used..]).ok_or(BadReply::LineEnd)?;
            }
            if scan.left > 0 {
                return Ok(Fed { used, done: false });
            }
            if mem::take(&mut scan.part).is_last() && !scan.marked {
                return Ok(Fed { used, done: true });
            }
        }
        let (kind, len) = match usual_opening(&bytes[used..]) {
            Some(Opening::Value { key, data, len }) => {
                if let Some(asked) = asked.as_deref_mut() {
                    scan.check_key(asked, key)?;
                }
                if !scan.family.has_values() {
                    return Err(BadReply::Foreign);
                }
                used += len;
                (scan.left, scan.begun, scan.within) = (data + 2, true, true);
                continue;
            }
            Some(Opening::End { len }) => (Kind::End, len),
            None => match line(&bytes[used..])? {
                Line::Whole(line, len) => (scan.unusual(asked.as_deref_mut(), line)?, len),
                Line::More => return Ok(Fed { used, done: false }),
                Line::Long(start) => {
                    let kind = kind(start).map_err(|_| BadReply::Line)?;
                    (scan.left, scan.part) = (1, long_line(kind)?);
                    // Its end is looked for where it may begin.
                    (kind, start.len())
                }
            },
        };
        scan.begun = true;
        used += len;
        if kind == Kind::Version && scan.marked {
            scan.marker_len = len;
            return Ok(Fed { used, done: true });
        }
        if !scan.family.has(kind) {
            return Err(BadReply::Foreign);
        }
        let whole = match kind {
            Kind::Value { data } => {
                scan.left = data + 2;
                scan.within = true;
                continue;
            }
            Kind::Item => {
                scan.within = true;
                continue;
            }
            Kind::MetaValue { data } if !scan.within => {
                scan.left = data + 2;
                scan.part = Part::LastBlock;
                continue;
            }
            Kind::End | Kind::Error => true,
            Kind::Line(_) | Kind::Version => !scan.within,
            Kind::MetaValue { .. } => false,
        };
        if !whole {
            return Err(BadReply::Kind);
        }
        scan.within = false;
        if !scan.marked && !scan.part.is_line() {
            return Ok(Fed { used, done: true });
        }
    }
}

/// What a line longer than [`LINE_MAX`] is to its reply, if it may be so long.
#[cold]
fn long_line(kind: Kind) -> Result<Part, BadReply> {
    match kind {
        Kind::Error => Ok(Part::LastLine),
        Kind::Line(said) if said & bit::META != 0 => Ok(Part::LastLine),
        Kind::Item => Ok(Part::Line),
        _ => Err(BadReply::Line),
    }
}

impl ReplyScan {
    /// Sees that a value is of a key that was asked for.
    #[inline]
    fn check_key(&self, asked: &mut Asked, key: &[u8]) -> Result<(), BadReply> {
        let known = match self.family {
            Family::Value => asked.print == 0 || asked.print == fingerprint(key),
            Family::Values => asked.has(key),
            _ => true,
        };
        if known {
            Ok(())
        } else {
            Err(BadReply::Foreign)
        }
    }

    /// What a line says that is not one of the usual ones.
    fn unusual(&self, asked: Option<&mut Asked>, line: &[u8]) -> Result<Kind, BadReply> {
        let kind = kind(line)?;
        if let (Kind::Value { .. }, Some(asked)) = (kind, asked) {
            let key = Words::of(line).nth(1).unwrap_or_default();
            self.check_key(asked, key.of(line))?;
        }
        Ok(kind)
    }
}

/// What the line at the start of `bytes` says, and its length, if it is one that gets are answered with,
/// written as servers write it. `None` means nothing: such a line is read in full.
///
/// Most lines are of this kind, and a reply to many keys has many of them.
#[inline]
pub(super) fn usual(bytes: &[u8]) -> Option<(Kind, usize)> {
    match usual_opening(bytes)? {
        Opening::Value { data, len, .. } => Some((Kind::Value { data }, len)),
        Opening::End { len } => Some((Kind::End, len)),
    }
}

// By itself for each value that is read it costs 50 instructions more.
#[inline(always)]
fn usual_opening(bytes: &[u8]) -> Option<Opening<'_>> {
    let Some(rest) = bytes.strip_prefix(b"VALUE ") else {
        return bytes
            .starts_with(END)
            .then_some(Opening::End { len: END.len() });
    };
    let within = &rest[..rest.len().min(KEY_MAX + 1)];
    let key = space_or_control(within)?;
    if key == 0 {
        return None;
    }
    let (data, len) = usual_numbers(&rest[key..])?;
    Some(Opening::Value {
        key: &rest[..key],
        data,
        len: b"VALUE ".len() + key + len,
    })
}

/// The key of the value that `bytes` start with and the length of the whole, without what follows it, if it
/// is written in the usual way and all there.
#[inline]
pub fn whole_value(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let Opening::Value { key, data, len } = usual_opening(bytes)? else {
        return None;
    };
    let end = len
        .checked_add(usize::try_from(data).ok()?)?
        .checked_add(2)?;
    (bytes.get(end - 2..end)? == b"\r\n").then_some((key, end))
}

/// What comes next of the reply to a get of several keys; `None` while a line end is missing.
#[inline]
pub fn opening(bytes: &[u8]) -> Result<Option<Opening<'_>>, BadReply> {
    if let Some(usual) = usual_opening(bytes) {
        return Ok(Some(usual));
    }
    let (line, len) = match line(bytes)? {
        Line::Whole(line, len) => (line, len),
        Line::More => return Ok(None),
        Line::Long(_) => return Err(BadReply::Line),
    };
    match kind(line)? {
        Kind::Value { data } => {
            let key = Words::of(line).nth(1).unwrap_or_default().of(line);
            Ok(Some(Opening::Value { key, data, len }))
        }
        Kind::End | Kind::Error => Ok(Some(Opening::End { len })),
        _ => Err(BadReply::Kind),
    }
}

/// The length of the data in what stands behind the key of a value's head, and the length of all that,
/// line end included, if it is written as servers write it.
#[inline]
pub(super) fn usual_numbers(bytes: &[u8]) -> Option<(u64, usize)> {
    let (_flags, rest) = digits(bytes.strip_prefix(b" ")?, DIGITS_MAX)?;
    let (data, mut rest) = digits(rest.strip_prefix(b" ")?, DIGITS_MAX)?;
    if let Some(unique) = rest.strip_prefix(b" ") {
        // Of a unique number the value is of no interest; it has at most 20 digits.
        rest = digits(unique, 20)?.1;
    }
    let rest = rest.strip_prefix(b"\r\n")?;
    Some((data, bytes.len() - rest.len()))
}

/// The number that `bytes` start with, of 1 to `most` digits, and what stands behind it. It wraps when
/// it exceeds 64 bits.
#[inline]
fn digits(bytes: &[u8], most: usize) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut count = 0;
    while let Some(&byte) = bytes.get(count)
        && byte.is_ascii_digit()
    {
        if count == most {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        count += 1;
    }
    (count > 0).then(|| (value, &bytes[count..]))
}

/// What `bytes` have of their first line.
enum Line<'a> {
    /// All of it: without its end, and its length with it.
    Whole(&'a [u8], usize),
    /// A start of it, which may become a whole one with more bytes.
    More,
    /// A start of it, and it is longer than [`LINE_MAX`].
    Long(&'a [u8]),
}

/// The first line of `bytes`.
#[inline]
fn line(bytes: &[u8]) -> Result<Line<'_>, BadReply> {
    let Some(&first) = bytes.first() else {
        return Ok(Line::More);
    };
    if !matches!(
        first,
        b'0'..=b'9'
            | b'V'
            | b'E'
            | b'S'
            | b'N'
            | b'D'
            | b'T'
            | b'C'
            | b'H'
            | b'O'
            | b'M'
            | b'I'
            | b'R'
            | b'P'
    ) {
        return Err(BadReply::Kind);
    }
    let within = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(newline) = memchr(b'\n', within) else {
        if bytes.len() < LINE_MAX {
            return Ok(Line::More);
        }
        let start = within.strip_suffix(b"\r").unwrap_or(within);
        return match memchr2(b'\r', 0, start) {
            None => Ok(Line::Long(start)),
            Some(_) => Err(BadReply::LineEnd),
        };
    };
    match within[..newline].split_last() {
        Some((b'\r', line)) if memchr2(b'\r', 0, line).is_none() => {
            Ok(Line::Whole(line, newline + 1))
        }
        _ => Err(BadReply::LineEnd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(scan: &mut ReplyScan, bytes: &[u8]) -> Result<Fed, BadReply> {
        super::feed(scan, None, bytes)
    }

    /// The strictest family a reply is of, by its first word.
    fn family(reply: &str) -> Family {
        match reply.split([' ', '\r']).next().unwrap_or(reply) {
            "STORED" | "NOT_STORED" | "EXISTS" => Family::Stored,
            "NOT_FOUND" | "DELETED" => Family::Deleted,
            "TOUCHED" => Family::Touched,
            "VERSION" => Family::Version,
            "OK" | "RESET" => Family::Done,
            "STAT" | "ITEM" | "PREFIX" => Family::Statistics,
            "HD" | "VA" | "EN" => Family::MetaGet,
            "NS" | "EX" | "NF" => Family::MetaSet,
            "ME" => Family::MetaDebug,
            "VALUE" | "END" => Family::Value,
            "0" | "9" | "18446744073709551615" => Family::Number,
            _ => Family::Closing,
        }
    }

    fn scan(reply: &str) -> ReplyScan {
        ReplyScan {
            family: family(reply),
            ..ReplyScan::default()
        }
    }

    /// One reply, given whole and cut at every point, followed by the start of another.
    fn check(reply: &str) {
        let mut bytes = reply.as_bytes().to_vec();
        bytes.extend_from_slice(b"STORED");
        for cut in 0..=reply.len() {
            let mut scan = scan(reply);
            let first = feed(&mut scan, &bytes[..cut]).expect(reply);
            if first.done {
                assert_eq!(first.used, reply.len(), "{reply:?} cut at {cut}");
                continue;
            }
            let rest = feed(&mut scan, &bytes[first.used..]).expect(reply);
            assert!(rest.done, "{reply:?} cut at {cut}");
            assert_eq!(
                first.used + rest.used,
                reply.len(),
                "{reply:?} cut at {cut}"
            );
        }
        let (mut scan, mut start) = (scan(reply), 0);
        for end in 1..=reply.len() {
            let fed = feed(&mut scan, &bytes[start..end]).expect(reply);
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
            "STORED\r\n",
            "NOT_STORED\r\n",
            "EXISTS\r\n",
            "NOT_FOUND\r\n",
            "DELETED\r\n",
            "TOUCHED\r\n",
            "END\r\n",
            "ERROR\r\n",
            "ERROR Too many open connections\r\n",
            "CLIENT_ERROR bad data chunk\r\n",
            "SERVER_ERROR out of memory storing object\r\n",
            "SERVER_ERROR\r\n",
            "VERSION 1.6.18\r\n",
            "0\r\n",
            "18446744073709551615\r\n",
            "9  \r\n",
            "OK\r\n",
            "RESET\r\n",
            "STAT pid 1\r\nSTAT a \r\nEND\r\n",
            "ITEM a [1 b; 0 s]\r\nEND\r\n",
            "PREFIX a get 1\r\nEND\r\n",
            "STAT pid 1\r\nSERVER_ERROR x\r\n",
            "HD\r\n",
            "HD ka O1\r\n",
            "EN\r\n",
            "NS\r\n",
            "EX\r\n",
            "NF O1 ka\r\n",
            "ME a exp=-1 la=0\r\n",
            "VA 0\r\n\r\n",
            "VA 4 ka f5\r\n\r\nEN\r\n",
            "VALUE a 0 0\r\n\r\nEND\r\n",
            "VALUE a 0 3\r\nabc\r\nEND\r\n",
            "VALUE a 0 3\r\nEND\r\nEND\r\n",
            "VALUE a 4294967295 2\r\n\r\n\r\nEND\r\n",
            "VALUE a 0 1 18446744073709551615\r\nx\r\nVALUE b 1 2 7\r\nyz\r\nEND\r\n",
            "VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n",
        ] {
            check(reply);
        }
    }

    /// All that a server says to a request behind which a marker stands.
    #[test]
    fn a_marked_reply_ends_with_that_to_the_marker() {
        for reply in [
            "VERSION 1\r\n",
            "ERROR\r\nVERSION 1\r\n",
            "CLIENT_ERROR bad data chunk\r\nERROR\r\nSTORED\r\nVERSION 1\r\n",
            "VA 1 ka\r\nx\r\nVERSION 1\r\n",
            "VALUE a 0 1\r\nx\r\nEND\r\nVERSION 1\r\n",
        ] {
            let bytes = [reply, "HD\r\n"].concat().into_bytes();
            let family = match &reply[..2] {
                _ if reply.starts_with("VALUE") => Family::Value,
                "VA" => Family::MetaGet,
                _ => Family::Stored,
            };
            for cut in 0..=reply.len() {
                let mut scan = ReplyScan {
                    marked: true,
                    family,
                    ..ReplyScan::default()
                };
                let first = feed(&mut scan, &bytes[..cut]).expect(reply);
                let mut used = first.used;
                if !first.done {
                    let rest = feed(&mut scan, &bytes[used..]).expect(reply);
                    assert!(rest.done, "{reply:?} cut at {cut}");
                    used += rest.used;
                }
                assert_eq!(
                    (used, scan.marker_len),
                    (reply.len(), 11),
                    "{reply:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for (bytes, bad) in [
            ("OK x\r\n", BadReply::Kind),
            ("HDX\r\n", BadReply::Kind),
            ("VA x\r\n", BadReply::Number),
            ("VA\r\n", BadReply::Number),
            ("STAT a 1\r\nHD\r\n", BadReply::Kind),
            ("VALUE a 0 1\r\nx\r\nVA 1\r\n", BadReply::Kind),
            ("\r\n", BadReply::Kind),
            ("stored\r\n", BadReply::Kind),
            ("STORED \r\n", BadReply::Kind),
            ("ENDING\r\n", BadReply::Kind),
            ("END x\r\n", BadReply::Kind),
            ("EXISTS\n", BadReply::LineEnd),
            ("E\rND\r\n", BadReply::LineEnd),
            ("VALUE a\0 0 1\r\n", BadReply::LineEnd),
            ("1x\r\n", BadReply::Kind),
            ("1 x\r\n", BadReply::Number),
            ("-1\r\n", BadReply::Kind),
            ("VALUE a 0\r\n", BadReply::Number),
            ("VALUE a 0 x\r\n", BadReply::Number),
            ("VALUE a 0 -1\r\n", BadReply::Number),
            ("VALUE a x 1\r\n", BadReply::Number),
            ("VALUE a 0 1 x\r\n", BadReply::Number),
            ("VALUE a 0 1 2 3\r\n", BadReply::Number),
            ("VALUE a 0 1000000000000\r\n", BadReply::Number),
            ("VALUE a 0 1\r\nxyz", BadReply::LineEnd),
            ("VALUE a 0 1\r\nx\r\nSTORED\r\n", BadReply::Kind),
            ("VALUE a 0 1\r\nx\r\n7\r\n", BadReply::Kind),
        ] {
            assert_eq!(
                feed(&mut ReplyScan::default(), bytes.as_bytes()),
                Err(bad),
                "{bytes:?}"
            );
        }
        // Replies to something else.
        for (family, bytes) in [
            (Family::Value, "HD\r\n"),
            (Family::Value, "OK\r\n"),
            (Family::Value, "STORED\r\n"),
            (Family::Value, "7\r\n"),
            (Family::Values, "STAT a b\r\n"),
            (Family::Stored, "END\r\n"),
            (Family::Stored, "DELETED\r\n"),
            (Family::Deleted, "STORED\r\n"),
            (Family::Number, "TOUCHED\r\n"),
            (Family::Touched, "DELETED\r\n"),
            (Family::Version, "OK\r\n"),
            (Family::MetaGet, "STORED\r\n"),
            (Family::MetaGet, "END\r\n"),
            (Family::MetaGet, "NF\r\n"),
            (Family::MetaSet, "VA 1\r\n"),
            (Family::MetaDelete, "EN\r\n"),
            (Family::MetaNumber, "ME a\r\n"),
            (Family::MetaDebug, "HD\r\n"),
            (Family::MetaSet, "VERSION 1\r\n"),
            (Family::Done, "STORED\r\n"),
            (Family::Statistics, "OK\r\n"),
            (Family::Statistics, "NF\r\n"),
        ] {
            let mut scan = ReplyScan {
                family,
                ..ReplyScan::default()
            };
            assert_eq!(
                feed(&mut scan, bytes.as_bytes()),
                Err(BadReply::Foreign),
                "{bytes:?}"
            );
        }
        for start in ["S", "VALUE ", "VERSION ", "STORED ", "1"] {
            let endless = format!("{start:a<LINE_MAX$}");
            let fed = feed(&mut ReplyScan::default(), endless.as_bytes());
            assert_eq!(fed, Err(BadReply::Line), "{start:?}");
        }
        for byte in ["\0", "\r", "\n"] {
            let wrong = format!("SERVER_ERROR {byte:a>9999}b\r\n");
            let fed = feed(&mut ReplyScan::default(), wrong.as_bytes());
            assert_eq!(fed, Err(BadReply::LineEnd), "{byte:?}");
        }
    }

    #[test]
    fn lines_of_any_length_end_where_they_end() {
        for len in [LINE_MAX - 2, LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, 70_000] {
            for (start, end) in [
                ("SERVER_ERROR ", "\r\n"),
                ("HD O", "\r\n"),
                ("STAT a ", "\r\nSTAT b c\r\nEND\r\n"),
                ("STAT a 1\r\nERROR ", "\r\n"),
            ] {
                let reply = format!("{start}{}{end}", "x".repeat(len - start.len()));
                let bytes = [reply.as_bytes(), b"STORED"].concat();
                let near = LINE_MAX - 20..LINE_MAX + 20;
                let ends = reply.len() - 20..reply.len();
                for cut in near.chain(ends).filter(|&cut| cut <= reply.len()) {
                    let mut scan = scan(&reply);
                    let first = feed(&mut scan, &bytes[..cut]).expect(start);
                    let mut used = first.used;
                    if !first.done {
                        let rest = feed(&mut scan, &bytes[used..]).expect(start);
                        assert!(rest.done, "{start:?} of {len} cut at {cut}");
                        used += rest.used;
                    }
                    assert_eq!(used, reply.len(), "{start:?} of {len} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_value_must_be_of_a_key_that_was_asked_for() {
        let mut asked = Asked::default();
        asked.push([&b"a"[..], b"b", b"long key that is unusual"].into_iter());
        let outcome = |asked: &mut Asked, family, print, bytes: &str| {
            let mut scan = ReplyScan {
                family,
                ..ReplyScan::default()
            };
            asked.print = print;
            super::feed(&mut scan, Some(asked), bytes.as_bytes()).map(|fed| fed.done)
        };
        let print = fingerprint(b"a");
        // The second way to write it is read more slowly.
        for space in [" ", "  "] {
            let value = |key: &str| format!("VALUE {key} 0{space}1\r\nx\r\nEND\r\n");
            let foreign = Err(BadReply::Foreign);
            assert_eq!(
                outcome(&mut asked, Family::Value, print, &value("a")),
                Ok(true)
            );
            assert_eq!(
                outcome(&mut asked, Family::Value, print, &value("b")),
                foreign
            );
            assert_eq!(
                outcome(&mut asked, Family::Values, 0, &value("b")),
                Ok(true)
            );
            assert_eq!(outcome(&mut asked, Family::Values, 0, &value("c")), foreign);
        }
    }

    #[test]
    fn announced_lengths_allocate_nothing() {
        let mut scan = ReplyScan::default();
        let fed = feed(&mut scan, b"VALUE a 0 999999999999\r\nx").expect("valid so far");
        assert_eq!(
            fed,
            Fed {
                used: 25,
                done: false
            }
        );
        assert_eq!(scan.announced(), 999_999_999_999 + 2 - 1);
    }

    proptest! {
        #[test]
        fn the_usual_lines_are_what_all_lines_are(
            key in "[a-c \\r\\x01]{0,4}|[a-z]{245,260}",
            words in proptest::collection::vec("[0-9]{0,3}|[0-9]{11,14}|1x|-1", 1..5),
            end in "\r\n|\n|\r|",
        ) {
            let text = format!("VALUE {key} {}{end}END\r\n", words.join(" "));
            for from in [0, text.len() - 5] {
                let bytes = &text.as_bytes()[from..];
                if let Some((usual, len)) = usual(bytes) {
                    let Ok(Line::Whole(line, slow)) = line(bytes) else {
                        panic!("no whole line");
                    };
                    prop_assert_eq!((Ok(usual), len), (kind(line), slow));
                }
            }
        }

        #[test]
        fn any_bytes_in_any_cut_give_the_same(
            pieces in proptest::collection::vec(prop::sample::select(vec![
                "VALUE a 0 1\r\n", "VALUE k 1 0 5\r\n", "x\r\n", "\r\n", "END\r\n", "STORED\r\n",
                "ERROR\r\n", "12\r\n", "V", "VA 1 k\r\n", "HD\r\n",
                "STAT a 1\r\n", "VERSION 1\r\n", "\r", "\n", "END", "SERVER_ERROR x y\r\n",
            ]), 0..8),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let bytes = pieces.concat().into_bytes();
            let whole = feed(&mut ReplyScan::default(), &bytes);
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let (mut scan, mut start) = (ReplyScan::default(), 0);
            let mut outcome = Ok(Fed { used: 0, done: false });
            for end in ends {
                outcome = feed(&mut scan, &bytes[start..end]);
                match outcome {
                    Ok(fed) if !fed.done => start += fed.used,
                    _ => break,
                }
            }
            let outcome = outcome.map(|fed| match fed.done {
                true => Fed { used: start + fed.used, done: true },
                false => Fed { used: start, done: false },
            });
            prop_assert_eq!(outcome, whole);
        }
    }
}
