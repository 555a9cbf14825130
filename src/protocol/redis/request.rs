//! What a Redis client asks: RESP arrays of bulk strings. Lines typed by hand are `inline`'s.
//!
//! The grammar is stricter than Redis' own (lengths in their one canonical form, CR LF behind every
//! bulk checked), because requests are forwarded as they came, over connections that clients share.

use memchr::memchr;

use super::commands::{Blocking, Keys, Row, Rule, Table};
use super::inline::{self, Inline};
use super::keys;
use super::straight;
use crate::protocol::body::{Number, number_line};
use crate::protocol::{
    Answer, BadBody, Body, Excess, Key, Limits, Local, Parse, Parsed, Refusal, RequestScan, Span,
    Verdict,
};

/// Longest name that is looked up and longest quoted in an error, as in Redis.
const NAME_QUOTED_MAX: usize = 128;

/// Longest name of a command that is read, in bytes.
const NAME_MAX: u64 = 64 * 1024;

/// How many times [`Limits::local`] some requests that are answered here may have.
const LOCAL_FACTOR: usize = 16;

/// Bytes of a request from which on it is handed over as a head if it can be.
const GATHERED_MAX: usize = 1024 * 1024;

/// Reads the request at the start of `bytes`.
pub fn parse(bytes: &[u8], scan: &mut RequestScan, table: &Table, limits: &Limits) -> Parse {
    let usual = usual(limits);
    if scan.args == 0 {
        if let Some(scan) = straight::read(bytes, table, usual, limits) {
            let len = scan.position as usize;
            let request = understand(&bytes[..len], &scan, table, limits);
            return Parse::Done { request, len };
        }
        if bytes.first().is_some_and(|&first| first != b'*') {
            return match inline::read(bytes, limits) {
                Ok(Inline::More) => Parse::More,
                Ok(Inline::Line(request, len)) => Parse::Inline { request, len },
                Err(refusal) => Parse::Bad(refusal),
            };
        }
        match array_header(bytes, limits) {
            Header::Parsed(args, len) => {
                scan.args = args;
                scan.position = len as u32;
            }
            // As an empty line.
            Header::Nothing(len) => {
                let request = Vec::new();
                return Parse::Inline { request, len };
            }
            Header::More => return Parse::More,
            Header::Bad(refusal) => return too_many(bytes, refusal, limits),
        }
    }
    while scan.seen < scan.args {
        let position = scan.position as usize;
        let (len, header) = match bulk_header(&bytes[position..]) {
            Ok(Some(found)) => found,
            Ok(None) => return Parse::More,
            Err(refusal) => return Parse::Bad(refusal),
        };
        if len > usual
            && let Err(unfit) = check_bulk(scan, len, table, limits)
        {
            return match unfit {
                Unfit::Bad(refusal) => Parse::Bad(refusal),
                Unfit::Beyond(refusal) => skip(bytes, scan, refusal),
            };
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

/// No argument of this many bytes is too long.
#[inline]
pub(super) fn usual(limits: &Limits) -> u64 {
    NAME_MAX.min(limits.key as u64).min(limits.bulk)
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
    // What goes to one server whatever follows is not gathered for the number of its arguments either.
    let is_long = bytes.len() > GATHERED_MAX && missing > 2 && limits.head < usize::MAX;
    if (missing > limits.head || is_long)
        && scan.seen > 0
        && let Some(request) = understand_head(bytes, scan, table)
    {
        // The body checks the bulk's line end: none of it is there yet, as `missing` is over 2.
        let body = Body::new(missing as u64, scan.args - scan.seen - 1, limits.bulk);
        return Parse::Head { request, body };
    }
    if end + 2 <= limits.request {
        return Parse::More;
    }
    if limits.stranger {
        return Parse::Bad(protocol_error("request too large").beyond(Excess::Request));
    }
    let text = format!("request too large: request_limit is {}", limits.request);
    skip(bytes, scan, error(&text).beyond(Excess::Request))
}

/// The rest of a request that goes beyond a limit is passed over: where it ends is certain.
#[cold]
fn skip(bytes: &[u8], scan: &RequestScan, refusal: Refusal) -> Parse {
    let start = scan.position as usize;
    let mut body = Body::new(0, scan.args - scan.seen, Limits::REDIS.bulk);
    let request = request(Verdict::Refuse(refusal), scan.command);
    match body.feed(&bytes[start..]) {
        Ok(fed) if fed.done => {
            let len = start + fed.used;
            Parse::Done { request, len }
        }
        Ok(fed) if start + fed.used == bytes.len() => Parse::Head { request, body },
        // The start of a line whose end is missing.
        Ok(_) => Parse::More,
        Err(bad) => Parse::Bad(bad_body(bad)),
    }
}

/// A request of more arguments than it may have, or of a number that Redis has not either.
#[cold]
fn too_many(bytes: &[u8], refusal: Refusal, limits: &Limits) -> Parse {
    match number_line(&bytes[1..]) {
        Number::Line { value, len }
            if refusal.excess().is_some() && value <= Limits::REDIS.args.into() =>
        {
            if limits.stranger {
                return Parse::Bad(refusal);
            }
            let scan = RequestScan {
                args: value as u32,
                position: len as u32 + 1,
                ..RequestScan::default()
            };
            skip(bytes, &scan, refusal)
        }
        _ => Parse::Bad(refusal),
    }
}

/// What is told of an argument of `len` bytes, which are more than it may have.
pub fn value_too_long(len: u64, limits: &Limits) -> Refusal {
    let text = format!(
        "value too long: {len} bytes, value_limit is {}",
        limits.bulk
    );
    error(&text).beyond(Excess::Value)
}

/// An argument that cannot be taken.
enum Unfit {
    /// It is longer than it may be; what follows is known all the same.
    Beyond(Refusal),
    /// The end of the connection.
    Bad(Refusal),
}

/// The request whose first arguments are there, if they say all that must be known of it.
fn understand_head(bytes: &[u8], scan: &RequestScan, table: &Table) -> Option<Parsed> {
    let request = |verdict, key| Parsed {
        verdict,
        key,
        command: scan.command,
        answer: Answer::Always,
    };
    let Some(command) = scan.command else {
        let verdict = unknown_or_learn(scan.first[0].of(bytes), table);
        return (verdict != Verdict::Learn).then(|| request(verdict, Span::default()));
    };
    let row = table.row(command);
    if !row.arity.fits(scan.args) {
        let refusal = wrong_arity(table.name(command));
        return Some(request(Verdict::Refuse(refusal), Span::default()));
    }
    (row.rule == Rule::Forward && row.keys == Keys::First && scan.seen > 1)
        .then(|| request(Verdict::Forward, scan.first[1]))
}

/// The limits of the bulk about to be read, which has `len` bytes, more than nearly all have.
#[cold]
fn check_bulk(scan: &RequestScan, len: u64, table: &Table, limits: &Limits) -> Result<(), Unfit> {
    let bad = |text| Err(Unfit::Bad(protocol_error(text).beyond(Excess::Value)));
    if len > limits.bulk {
        return match len {
            _ if limits.stranger => bad("unauthenticated bulk length"),
            // Redis' own limit, and its way.
            _ if len > Limits::REDIS.bulk => bad("invalid bulk length"),
            _ => Err(Unfit::Beyond(value_too_long(len, limits))),
        };
    }
    let row = scan.command.map(|index| table.row(index));
    let has_key = row.is_some_and(|row| row.keys.starts_at_one());
    let is_local = row.is_some_and(|row| matches!(row.rule, Rule::Local(_)));
    let refusal = match scan.seen {
        0 if len > NAME_MAX => error("command name too long"),
        1 if has_key && len > limits.key as u64 => key_too_long(len, limits),
        place if row.is_some_and(|row| is_key(row, place)) && len > limits.key as u64 => {
            key_too_long(len, limits)
        }
        // What is answered here is not even gathered then.
        1 if is_local && !has_key && len > limits.local.saturating_mul(LOCAL_FACTOR) as u64 => {
            let most = limits.local;
            let text = format!("the request is longer than local_request_limit ({most} bytes)");
            error(&text).beyond(Excess::Local)
        }
        _ => return Ok(()),
    };
    Err(match limits.stranger {
        true => Unfit::Bad(refusal),
        false => Unfit::Beyond(refusal),
    })
}

/// Whether the argument at `place` of a request that is split by its keys is one.
fn is_key(row: &Row, place: u32) -> bool {
    matches!(row.rule, Rule::Split(_)) && (row.keys != Keys::EverySecond || place % 2 == 1)
}

fn key_too_long(len: u64, limits: &Limits) -> Refusal {
    let text = format!("key too long: {len} bytes, key_limit is {}", limits.key);
    error(&text).beyond(Excess::Key)
}

/// The request whose bytes are all there.
fn understand(bytes: &[u8], scan: &RequestScan, table: &Table, limits: &Limits) -> Parsed {
    let Some(mut command) = scan.command else {
        return request(unknown_or_learn(scan.first[0].of(bytes), table), None);
    };
    let mut row = table.row(command);
    if scan.args > 1 && matches!(row.rule, Rule::Container) {
        let sub = scan.first[1].of(bytes);
        let Some(found) = table.find_sub(command, sub) else {
            return request(unknown_sub(command, sub, table), None);
        };
        (command, row) = (found, table.row(found));
    }
    let request = |verdict, key| Parsed {
        verdict,
        key,
        command: Some(command),
        answer: Answer::Always,
    };
    let keyless = |verdict| request(verdict, Span::default());
    let refuse = |refusal| keyless(Verdict::Refuse(refusal));
    if !row.arity.fits(scan.args) {
        return refuse(wrong_arity(table.name(command)));
    }
    let text = scan.first[1];
    match row.rule {
        Rule::Keyless | Rule::OneServer | Rule::OneServerBusy | Rule::Container => {
            keyless(Verdict::Keyless)
        }
        Rule::Everywhere(fan) => keyless(Verdict::Everywhere(fan)),
        Rule::Scan => scan_request(bytes, scan, table, command),
        Rule::Local(verb) => keyless(Verdict::Local(Local::Redis(verb))),
        Rule::Fixed(text) => refuse(error(text)),
        Rule::Never(why) => refuse(refused(table.name(command), "is not supported", Some(why))),
        Rule::Denied(denial) => refuse(refused(table.name(command), denial.text(), None)),
        Rule::Blocking(Blocking::IfSaid) if !says_block(bytes) => {
            held_to_limit(forward(bytes, scan, table, command), bytes, table, limits)
        }
        Rule::Blocking(_) => {
            match held_to_limit(forward(bytes, scan, table, command), bytes, table, limits) {
                Parsed {
                    verdict: Verdict::Refuse(refusal),
                    ..
                } => refuse(refusal),
                found => request(Verdict::Blocking, found.key),
            }
        }
        Rule::Split(merge) => request(Verdict::Split(merge), text),
        Rule::Forward | Rule::Digest => match row.keys {
            Keys::First => request(Verdict::Forward, text),
            _ => held_to_limit(forward(bytes, scan, table, command), bytes, table, limits),
        },
    }
}

/// `request`, unless one of its keys is too long: only a first argument was held against the limit while
/// it was read.
fn held_to_limit(request: Parsed, bytes: &[u8], table: &Table, limits: &Limits) -> Parsed {
    if bytes.len() <= limits.key {
        return request;
    }
    let mut keys = Vec::new();
    match request.verdict {
        Verdict::Forward => keys.push(Key::Plain(request.key)),
        Verdict::Together => keys::keys(bytes, request.command, table, &mut keys),
        _ => {}
    }
    let mut lengths = keys.iter().map(|key| key.span().len());
    match lengths.find(|&len| len > limits.key) {
        None => request,
        Some(len) => Parsed {
            verdict: Verdict::Refuse(key_too_long(len as u64, limits)),
            ..request
        },
    }
}

/// A request to the server of its keys.
fn forward(bytes: &[u8], scan: &RequestScan, table: &Table, command: u16) -> Parsed {
    let request = |verdict, key| Parsed {
        verdict,
        key,
        command: Some(command),
        answer: Answer::Always,
    };
    let text = scan.first[1];
    let keys = table.row(command).keys;
    match keys {
        Keys::First => request(Verdict::Forward, text),
        Keys::Keyword { from, .. } if scan.args <= u32::from(from) => {
            request(Verdict::Forward, text)
        }
        Keys::Sort if scan.args == 2 => request(Verdict::Forward, text),
        Keys::Range { first, last } if first as i8 == last && first < 4 => {
            request(Verdict::Forward, scan.first[usize::from(first)])
        }
        Keys::Script => script(bytes, scan, table, command),
        Keys::Counted {
            count,
            target,
            step,
        } => {
            let position = usize::from(count);
            let behind = scan.args.saturating_sub(u32::from(count) + 1) / u32::from(step);
            match number(bytes, scan, position) {
                Some(keys) if keys >= 1 && keys <= i64::from(behind) => request(
                    Verdict::Together,
                    if target {
                        text
                    } else {
                        scan.first[position + 1]
                    },
                ),
                // The server will refuse it, and knows best how; any server will do.
                _ => request(Verdict::Forward, text),
            }
        }
        Keys::Streams | Keys::Migrate | Keys::Range { .. } | Keys::Learned(_) => {
            match keys::first(bytes, keys, table) {
                Some(key) => request(Verdict::Together, key),
                // As above.
                None => request(Verdict::Keyless, Span::default()),
            }
        }
        _ => request(Verdict::Together, text),
    }
}

/// A script, which names its keys only to say where it runs.
fn script(bytes: &[u8], scan: &RequestScan, table: &Table, command: u16) -> Parsed {
    let request = |verdict, key| Parsed {
        verdict,
        key,
        command: Some(command),
        answer: Answer::Always,
    };
    let refuse = |text| request(Verdict::Refuse(error(text)), Span::default());
    match number(bytes, scan, 2) {
        None if table.name(command).starts_with("FCALL") => refuse("Bad number of keys provided"),
        None => refuse("value is not an integer or out of range"),
        Some(keys) if keys < 0 => refuse("Number of keys can't be negative"),
        Some(keys) if keys > i64::from(scan.args - 3) => {
            refuse("Number of keys can't be greater than number of args")
        }
        // Always the same server, that of the empty key: what EVAL leaves there, EVALSHA finds. One that
        // is named goes the way on which it is loaded again.
        Some(0) if table.row(command).rule == Rule::Digest => {
            request(Verdict::Together, Span::default())
        }
        Some(0) => request(Verdict::Forward, Span::default()),
        Some(_) => request(Verdict::Together, scan.first[3]),
    }
}

/// SCAN: the cursor says which server's turn it is.
fn scan_request(bytes: &[u8], scan: &RequestScan, table: &Table, command: u16) -> Parsed {
    let verdict = if !table.has_several() {
        Verdict::Keyless
    } else {
        let text = std::str::from_utf8(scan.first[1].of(bytes)).ok();
        let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(cursor) => Verdict::Scan(cursor),
            None => Verdict::Refuse(error("invalid cursor")),
        }
    };
    request(verdict, Some(command))
}

/// The number at `position`, which is one of the first.
fn number(bytes: &[u8], scan: &RequestScan, position: usize) -> Option<i64> {
    if scan.args as usize <= position {
        return None;
    }
    std::str::from_utf8(scan.first[position].of(bytes))
        .ok()?
        .parse()
        .ok()
}

/// Whether XREAD or XREADGROUP is to wait.
fn says_block(bytes: &[u8]) -> bool {
    keys::stream_options(bytes).any(|found| found.option == keys::StreamOption::Block)
}

/// A request that is not routed by a key.
fn request(verdict: Verdict, command: Option<u16>) -> Parsed {
    Parsed {
        verdict,
        key: Span::default(),
        command,
        answer: Answer::Always,
    }
}

fn unknown_or_learn(name: &[u8], table: &Table) -> Verdict {
    // A server would tell of a sub-command under a name with a bar, which is none of a command.
    if !name.contains(&b'|') && table.may_learn(name) {
        Verdict::Learn
    } else {
        Verdict::Refuse(unknown(name))
    }
}

/// A sub-command no row knows.
fn unknown_sub(command: u16, sub: &[u8], table: &Table) -> Verdict {
    let container = table.name(command);
    let whole = [container.as_bytes(), b"|", sub].concat();
    if table.may_learn(&whole) {
        return Verdict::Learn;
    }
    Verdict::Refuse(Refusal::new(
        "-ERR ",
        &super::write::no_such_sub(container, sub),
    ))
}

/// The row of a whole request's command.
pub fn command(bytes: &[u8], table: &Table) -> Option<u16> {
    args(bytes)
        .next()
        .and_then(|name| table.find(name.of(bytes)))
}

/// The digest of the script a whole request names.
pub fn script_name<'a>(bytes: &'a [u8], command: Option<u16>, table: &Table) -> Option<&'a [u8]> {
    if table.row(command?).rule != Rule::Digest {
        return None;
    }
    args(bytes).nth(1).map(|name| name.of(bytes))
}

/// The name under which the servers are asked for the command of a request that has
/// [`Verdict::Learn`].
pub fn name_to_learn(bytes: &[u8], table: &Table) -> Vec<u8> {
    let mut args = args(bytes).map(|span| span.of(bytes));
    let name = args.next().unwrap_or_default();
    match (table.find(name), args.next()) {
        (Some(_), Some(sub)) => [name, b"|", sub].concat(),
        _ => name.to_vec(),
    }
}

/// What is told of a request with [`Verdict::Learn`] whose command no server tells of, unless it may be
/// passed on.
pub fn unlearned(bytes: &[u8], table: &Table) -> Option<Refusal> {
    let words = words(bytes);
    let name = words.first().copied().unwrap_or_default();
    match (table.find(name), words.get(1)) {
        (Some(container), Some(sub)) => {
            let text = super::write::no_such_sub(table.name(container), sub);
            Some(Refusal::new("-ERR ", &text))
        }
        _ if table.may_pass(name) => None,
        _ => Some(unknown(name)),
    }
}

/// The arguments of a whole request that was parsed before.
pub(super) fn args(bytes: &[u8]) -> impl Iterator<Item = Span> + '_ {
    args_from(bytes, memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1))
}

/// How many arguments a whole request has, its name included, and where those behind its name begin.
pub fn counted(bytes: &[u8]) -> (usize, usize) {
    let count = match number_line(bytes.get(1..).unwrap_or_default()) {
        Number::Line { value, .. } => value as usize,
        Number::More | Number::Bad => 0,
    };
    let start = args(bytes)
        .next()
        .map_or(bytes.len(), |name| name.end as usize + 2);
    (count, start)
}

/// The arguments of a whole request from the one at `position` on.
pub fn args_from(bytes: &[u8], mut position: usize) -> impl Iterator<Item = Span> + '_ {
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

/// What the first line of a request says.
enum Header {
    /// The number of its arguments, and the bytes the line takes.
    Parsed(u32, usize),
    /// There is no request, but a line of this length.
    Nothing(usize),
    More,
    Bad(Refusal),
}

/// `*<count>` CR LF, whose first byte was seen.
#[inline]
fn array_header(bytes: &[u8], limits: &Limits) -> Header {
    if bytes.is_empty() {
        return Header::More;
    }
    match number_line(&bytes[1..]) {
        Number::More => Header::More,
        Number::Line { value, len } if value >= 1 && value <= u64::from(limits.args) => {
            Header::Parsed(value as u32, len + 1)
        }
        Number::Line { value, .. } if value >= 1 => {
            let refusal = if limits.stranger {
                protocol_error("unauthenticated multibulk length")
            } else if value > u64::from(Limits::REDIS.args) {
                protocol_error("invalid multibulk length")
            } else {
                let most = limits.args;
                error(&format!(
                    "too many arguments: {value}, argument_limit is {most}"
                ))
            };
            Header::Bad(refusal.beyond(Excess::Arguments))
        }
        Number::Line { len, .. } => Header::Nothing(len + 1),
        Number::Bad => negative_header(bytes),
    }
}

/// `*-<count>` CR LF: no arguments, and no request, whatever the count. Redis reads it in 64 bits, in its
/// one canonical form.
#[cold]
fn negative_header(bytes: &[u8]) -> Header {
    const LONGEST: usize = "*-9223372036854775808\r\n".len();
    let bad = || Header::Bad(protocol_error("invalid multibulk length"));
    let line = &bytes[..bytes.len().min(LONGEST)];
    let text = match line.iter().position(|&byte| byte == b'\r') {
        Some(end) if line.get(end + 1).is_none_or(|&byte| byte == b'\n') => &line[1..end],
        None if line.len() < LONGEST => &line[1..],
        _ => return bad(),
    };
    let is_whole = line.len() >= text.len() + 3;
    let digits = text.strip_prefix(b"-").unwrap_or_default();
    let is_canonical = digits.iter().all(u8::is_ascii_digit)
        && text.first() == Some(&b'-')
        && digits.first() != Some(&b'0');
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    match number {
        _ if !is_canonical => bad(),
        Some(_) if is_whole => Header::Nothing(text.len() + 3),
        // Too large, or a mere sign.
        None if is_whole || !digits.is_empty() => bad(),
        _ => Header::More,
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

/// `'name' is refused`, and why.
fn refused(name: &str, what: &str, why: Option<&str>) -> Refusal {
    let name = name.to_ascii_lowercase();
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    error(&format!("'{name}' {what}{why}"))
}

fn wrong_arity(name: &str) -> Refusal {
    let name = name.to_ascii_lowercase();
    let text = format!("wrong number of arguments for '{name}' command");
    if name == "exec" {
        // The transaction has ended with it.
        let text = format!("EXECABORT Transaction discarded because of: {text}");
        return Refusal::new("-", text.as_bytes());
    }
    error(&text)
}

#[cfg(test)]
mod tests;
