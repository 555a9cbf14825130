//! What a Redis client asks: RESP arrays of bulk strings. Lines typed by hand are `inline`'s.
//!
//! The grammar is stricter than Redis' own (lengths in their one canonical form, CR LF behind every
//! bulk checked), because requests are forwarded as they came, over connections that clients share.

use memchr::memchr;

use super::commands::{Keys, Row, Rule, Table};
use super::inline::{self, Inline};
use crate::protocol::body::{Number, number_line};
use crate::protocol::{
    Answer, BadBody, Body, Excess, Limits, Local, Parse, Refusal, Request, RequestScan, Span,
    Verdict,
};

/// Longest name that is looked up and longest quoted in an error, as in Redis.
const NAME_QUOTED_MAX: usize = 128;

/// Reads the request at the start of `bytes`.
pub fn parse(bytes: &[u8], scan: &mut RequestScan, table: &Table, limits: &Limits) -> Parse {
    if scan.args == 0 {
        if bytes.first().is_some_and(|&first| first != b'*') {
            return match inline::read(bytes, limits) {
                Ok(Inline::More) => Parse::More,
                Ok(Inline::Line(request, len)) => Parse::Inline { request, len },
                Err(refusal) => Parse::Bad(refusal),
            };
        }
        match array_header(bytes, limits) {
            Ok(Some((args, len))) => {
                scan.args = args;
                scan.position = len as u32;
            }
            Ok(None) => return Parse::More,
            Err(refusal) => return Parse::Bad(refusal),
        }
    }
    while scan.seen < scan.args {
        let position = scan.position as usize;
        let (len, header) = match bulk_header(&bytes[position..]) {
            Ok(Some(found)) => found,
            Ok(None) => return Parse::More,
            Err(refusal) => return Parse::Bad(refusal),
        };
        if let Err(refusal) = check_bulk(scan, len, table, limits) {
            return Parse::Bad(refusal);
        }
        let start = position + header;
        let end = start + len as usize;
        let Some(line_end) = bytes.get(end..end + 2) else {
            return incomplete(bytes, scan, end, table, limits);
        };
        if line_end != b"\r\n" {
            return Parse::Bad(protocol_error("missing line end behind a bulk string"));
        }
        if let Some(place) = scan.first.get_mut(scan.seen as usize) {
            *place = Span::new(start, end);
        }
        if scan.seen == 0 {
            scan.command = table.find(&bytes[start..end]);
        }
        scan.seen += 1;
        scan.position = (end + 2) as u32;
    }
    let len = scan.position as usize;
    Parse::Done {
        request: understand(&bytes[..len], scan, table, limits),
        len,
    }
}

/// A bulk that ends at `end`, line end not counted, is not whole yet.
fn incomplete(
    bytes: &[u8],
    scan: &RequestScan,
    end: usize,
    table: &Table,
    limits: &Limits,
) -> Parse {
    let missing = end + 2 - bytes.len();
    if missing > limits.head
        && scan.seen > 0
        && let Some(request) = understand_head(bytes, scan, table)
    {
        // The body checks the bulk's line end: none of it is there yet, as `missing` is over 2.
        let body = Body::new(missing as u64, scan.args - scan.seen - 1, limits.bulk);
        return Parse::Head { request, body };
    }
    if end + 2 > limits.request {
        return Parse::Bad(protocol_error("request too large").beyond(Excess::Request));
    }
    Parse::More
}

/// The request whose first arguments are there, if they say all that must be known of it.
fn understand_head(bytes: &[u8], scan: &RequestScan, table: &Table) -> Option<Request> {
    let request = |verdict, key| Request {
        verdict,
        key,
        command: scan.command,
        answer: Answer::Always,
    };
    let Some(command) = scan.command else {
        return Some(request(
            Verdict::Refuse(unknown(scan.first[0].of(bytes))),
            Span::default(),
        ));
    };
    let row = table.row(command);
    if !row.arity.fits(scan.args) {
        return Some(request(Verdict::Refuse(wrong_arity(row)), Span::default()));
    }
    (row.rule == Rule::Forward && row.keys == Keys::First && scan.seen > 1)
        .then(|| request(Verdict::Forward, scan.first[1]))
}

/// The limits of the bulk about to be read, which has `len` bytes.
fn check_bulk(scan: &RequestScan, len: u64, table: &Table, limits: &Limits) -> Result<(), Refusal> {
    if len > limits.bulk {
        let text = if limits.stranger {
            "unauthenticated bulk length"
        } else {
            "invalid bulk length"
        };
        return Err(protocol_error(text).beyond(Excess::Value));
    }
    if len <= limits.key as u64 {
        return Ok(());
    }
    match scan.seen {
        0 if len > Limits::REDIS.key as u64 => Err(protocol_error("command name too long")),
        1 if has_key_at_one(scan.command, table) => {
            Err(protocol_error("key too long").beyond(Excess::Key))
        }
        _ => Ok(()),
    }
}

fn has_key_at_one(command: Option<u16>, table: &Table) -> bool {
    command
        .map(|index| table.row(index))
        .is_some_and(|row| row.keys.starts_at_one() || matches!(row.rule, Rule::Local(_)))
}

/// The request whose bytes are all there.
fn understand(bytes: &[u8], scan: &RequestScan, table: &Table, limits: &Limits) -> Request {
    let request = |verdict, key| Request {
        verdict,
        key,
        command: scan.command,
        answer: Answer::Always,
    };
    let refuse = |refusal| request(Verdict::Refuse(refusal), Span::default());
    let Some(command) = scan.command else {
        return refuse(unknown(scan.first[0].of(bytes)));
    };
    let row = table.row(command);
    if !row.arity.fits(scan.args) {
        return refuse(wrong_arity(row));
    }
    let text = scan.first[1];
    match row.rule {
        Rule::Keyless => request(Verdict::Keyless, Span::default()),
        Rule::Everywhere(fan) => request(Verdict::Everywhere(fan), Span::default()),
        Rule::Local(verb) => request(Verdict::Local(Local::Redis(verb)), Span::default()),
        Rule::Split(merge) => {
            // Only the first key was held against the limit while it was read.
            if bytes.len() <= limits.key {
                return request(Verdict::Split(merge), text);
            }
            let step = if row.keys == Keys::EverySecond { 2 } else { 1 };
            match args(bytes)
                .skip(1)
                .step_by(step)
                .find(|key| key.len() > limits.key)
            {
                Some(_) => refuse(error("key too long").beyond(Excess::Key)),
                None => request(Verdict::Split(merge), text),
            }
        }
        Rule::Forward => match row.keys {
            Keys::First => request(Verdict::Forward, text),
            Keys::Keyword { from, .. } if scan.args <= u32::from(from) => {
                request(Verdict::Forward, text)
            }
            Keys::Counted { count, target } => counted(bytes, scan, count, target),
            _ => request(Verdict::Together, text),
        },
    }
}

/// A request with its number of keys at position `count`.
fn counted(bytes: &[u8], scan: &RequestScan, count: u8, target: bool) -> Request {
    let request = |verdict, key| Request {
        verdict,
        key,
        command: scan.command,
        answer: Answer::Always,
    };
    let behind = scan.args.saturating_sub(u32::from(count) + 1);
    let position = usize::from(count);
    let announced = (scan.args > u32::from(count))
        .then(|| std::str::from_utf8(scan.first[position].of(bytes)).ok())
        .flatten()
        .and_then(|text| text.parse::<i64>().ok());
    match announced {
        Some(keys) if keys >= 1 && keys <= i64::from(behind) => request(
            Verdict::Together,
            scan.first[if target { 1 } else { position + 1 }],
        ),
        // A script names its keys only to say where it runs; with none there is no right server.
        Some(0) if position == 2 && !target => request(
            Verdict::Refuse(error("scripts without keys are not supported")),
            Span::default(),
        ),
        Some(keys) if position == 2 && !target && keys < 0 => request(
            Verdict::Refuse(error("Number of keys can't be negative")),
            Span::default(),
        ),
        Some(_) if position == 2 && !target => {
            let text = "Number of keys can't be greater than number of args";
            request(Verdict::Refuse(error(text)), Span::default())
        }
        None if position == 2 && !target => {
            let text = "value is not an integer or out of range";
            request(Verdict::Refuse(error(text)), Span::default())
        }
        // The server will refuse it, and knows best how; any server will do.
        _ => request(Verdict::Forward, scan.first[1]),
    }
}

/// Appends all keys of a whole request that was found to have [`Verdict::Together`].
pub fn keys(bytes: &[u8], command: Option<u16>, table: &Table, keys: &mut Vec<Span>) {
    let Some(command) = command else { return };
    match table.row(command).keys {
        Keys::None => {}
        Keys::First => keys.extend(args(bytes).nth(1)),
        Keys::FirstTwo => keys.extend(args(bytes).skip(1).take(2)),
        Keys::All => keys.extend(args(bytes).skip(1)),
        Keys::EverySecond => keys.extend(args(bytes).skip(1).step_by(2)),
        Keys::Counted { count, target } => {
            let mut args = args(bytes).skip(1);
            if target {
                keys.extend(args.next());
            }
            let mut args = args.skip(usize::from(count) - 1 - usize::from(target));
            let count = args
                .next()
                .and_then(|span| std::str::from_utf8(span.of(bytes)).ok());
            let count = count.and_then(|text| text.parse().ok()).unwrap_or(0);
            keys.extend(args.take(count));
        }
        Keys::Keyword { words, from } => {
            keys.extend(args(bytes).nth(1));
            let mut args = args(bytes).skip(usize::from(from));
            while let Some(word) = args.next() {
                let word = word.of(bytes);
                if words
                    .iter()
                    .any(|known| known.as_bytes().eq_ignore_ascii_case(word))
                {
                    keys.extend(args.next());
                }
            }
        }
    }
}

/// The arguments of a whole request that was parsed before.
pub(super) fn args(bytes: &[u8]) -> impl Iterator<Item = Span> + '_ {
    let mut position = memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    std::iter::from_fn(move || {
        let Number::Line { value, len } = number_line(bytes.get(position + 1..)?) else {
            return None;
        };
        let start = position + 1 + len;
        let end = start + value as usize;
        position = end + 2;
        Some(Span::new(start, end))
    })
}

/// The same, as bytes.
pub fn words(bytes: &[u8]) -> Vec<&[u8]> {
    args(bytes).map(|span| span.of(bytes)).collect()
}

/// `*<count>` CR LF, whose first byte was seen: the count and the bytes it takes.
#[inline]
fn array_header(bytes: &[u8], limits: &Limits) -> Result<Option<(u32, usize)>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match number_line(&bytes[1..]) {
        Number::More => Ok(None),
        Number::Line { value, len } if value >= 1 && value <= u64::from(limits.args) => {
            Ok(Some((value as u32, len + 1)))
        }
        Number::Line { value, .. } if value >= 1 => {
            let text = if limits.stranger {
                "unauthenticated multibulk length"
            } else {
                "invalid multibulk length"
            };
            Err(protocol_error(text).beyond(Excess::Arguments))
        }
        Number::Line { .. } | Number::Bad => Err(protocol_error("invalid multibulk length")),
    }
}

/// `$<length>` CR LF: the length and the bytes the line takes.
#[inline]
fn bulk_header(bytes: &[u8]) -> Result<Option<(u64, usize)>, Refusal> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&other) => return Err(expected('$', other)),
    }
    match number_line(&bytes[1..]) {
        Number::More => Ok(None),
        Number::Line { value, len } => Ok(Some((value, len + 1))),
        Number::Bad => Err(protocol_error("invalid bulk length")),
    }
}

/// What a client is told whose large argument, or what follows it, is malformed.
pub fn bad_body(bad: BadBody) -> Refusal {
    match bad {
        BadBody::LineEnd => protocol_error("missing line end behind a bulk string"),
        BadBody::Dollar(other) => expected('$', other),
        BadBody::Length => protocol_error("invalid bulk length"),
    }
}

fn expected(wanted: char, got: u8) -> Refusal {
    let mut text = format!("Protocol error: expected '{wanted}', got '").into_bytes();
    text.extend([got, b'\'']);
    Refusal::new("-ERR ", &text)
}

fn protocol_error(text: &str) -> Refusal {
    Refusal::new("-ERR Protocol error: ", text.as_bytes())
}

fn error(text: &str) -> Refusal {
    Refusal::new("-ERR ", text.as_bytes())
}

fn unknown(name: &[u8]) -> Refusal {
    let mut text = b"unknown command '".to_vec();
    text.extend_from_slice(&name[..name.len().min(NAME_QUOTED_MAX)]);
    text.push(b'\'');
    Refusal::new("-ERR ", &text)
}

fn wrong_arity(row: &Row) -> Refusal {
    let name = row.name.to_ascii_lowercase();
    error(&format!("wrong number of arguments for '{name}' command"))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
