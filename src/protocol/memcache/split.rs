//! Gets cut over several servers, and their values joined again.

use memchr::memchr;

use super::Words;
use super::reply::{Kind, kind, usual, usual_numbers};
use super::request::{LINE_MAX, line_keys, text_of};
use crate::buffer::{BufferPool, Queue};
use crate::protocol::{FragmentReply, Join, Joined, Plan, Span, Unit};

/// Longest line a join reads: `VALUE`, a key of 250 bytes, three numbers, and something to spare.
const HEADER_MAX: usize = 512;

/// Appends the units of a whole get from `at` on, in order: its keys. See
/// [`crate::protocol::Commands::units`].
pub fn units(request: &[u8], at: &mut usize, most: usize, units: &mut Vec<Unit>) -> bool {
    let keys = match *at {
        0 => line_keys(request).1,
        position => Words {
            line: text_of(request),
            position,
        },
    };
    for key in keys {
        if units.len() == most {
            *at = key.start as usize;
            return false;
        }
        // With the space behind it, where there is one.
        let spaced = u32::from(request.get(key.end as usize) == Some(&b' '));
        let whole = Span {
            end: key.end + spaced,
            ..key
        };
        units.push(Unit { key, whole });
    }
    true
}

/// Whether a get must be written anew because it is longer than servers take: a `gat`.
#[inline]
pub fn is_too_long(request: &[u8]) -> bool {
    request.len() >= LINE_MAX && line_keys(request).0.is_some()
}

/// How many of its units a line to a server may have then.
#[cold]
pub fn line_units(request: &[u8], units: &[Unit]) -> u32 {
    let expiry = line_keys(request).0.map_or(0, Span::len);
    let head = b"gats ".len() + expiry + b" \r\n".len();
    let longest = units.iter().map(|unit| unit.key.len()).max();
    let count = LINE_MAX.saturating_sub(head) / (longest.unwrap_or(0) + b" ".len());
    count.max(1) as u32
}

/// Writes what stands ahead of the keys in a fragment.
pub fn open_fragment(request: &[u8], out: &mut Queue, pool: &mut BufferPool) {
    let name = Words::of(request).next().unwrap_or_default();
    out.push(name.of(request), pool);
    out.push(b" ", pool);
    if let Some(expiry) = line_keys(request).0 {
        out.push(expiry.of(request), pool);
        out.push(b" ", pool);
    }
}

/// Writes these keys of a request. As twemproxy does, with a space behind each, the last one too.
pub fn push_units(request: &[u8], units: &[Unit], out: &mut Queue, pool: &mut BufferPool) {
    for unit in units {
        out.push(unit.whole.of(request), pool);
        if unit.whole == unit.key {
            out.push(b" ", pool);
        }
    }
}

/// What stands behind the keys in a fragment.
pub const FRAGMENT_END: &[u8] = b"\r\n";

/// Whether `reply` is an error.
pub fn is_error(reply: &Queue) -> bool {
    matches!(head(reply, b""), Head::Error)
}

/// Joins replies to the fragments of a get: the values in the order of the request's keys, and one END.
/// A value goes to the place of the next key that it names; keys between were not found.
///
/// Nothing is passed on before each fragment is known to be answered with values or none: until then
/// the client can still be given an error. Only those that follow another on the same connection are not
/// waited for: nothing of them can come before that is whole.
pub fn join_values(
    join: &mut Join,
    replies: &mut [FragmentReply],
    plan: Plan<'_>,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let labels = plan.labels;
    let slice = plan.slice(join);
    if !join.started {
        for reply in replies.iter() {
            match head(&reply.bytes, b"") {
                Head::Value { .. } | Head::End => {}
                Head::More if reply.follows && !reply.done => {}
                other => return other.stops(reply.done),
            }
        }
    }
    loop {
        if join.left > 0 {
            // `next` already points behind the key whose value is at hand.
            let reply = &mut replies[usize::from(slice[join.next - 1])];
            let now = join.left.min(reply.bytes.len() as u64) as usize;
            join.started |= now > 0;
            reply.bytes.move_front(now, out, pool);
            join.left -= now as u64;
            if join.left > 0 {
                return Head::More.stops(reply.done);
            }
        }
        join.pass_usual(replies, slice, out, pool, |rest, unit| {
            match value_of(rest, labels.at(unit)) {
                Some(len) => (len <= rest.len() as u64).then_some(len as usize),
                None => usual(rest).map(|_| 0),
            }
        });
        let Some(&fragment) = slice.get(join.next) else {
            break;
        };
        let reply = &replies[usize::from(fragment)];
        match head(&reply.bytes, labels.at(join.next)) {
            Head::Value { len, named: true } => join.left = len,
            Head::Value { named: false, .. } | Head::End => {}
            other => return other.stops(reply.done),
        }
        join.next += 1;
    }
    if plan.end_of(slice) == Joined::Later {
        return Joined::Later;
    }
    for reply in replies.iter() {
        match head(&reply.bytes, b"") {
            Head::End => {}
            // More values than keys were asked for.
            Head::Value { .. } => return Joined::Bad,
            other => return other.stops(reply.done),
        }
    }
    for reply in replies.iter_mut() {
        reply.bytes.clear(pool);
    }
    out.push(b"END\r\n", pool);
    Joined::Done
}

/// The length of the value that `bytes` start with, if it is that of this key and its head is all there.
#[inline]
fn value_of(bytes: &[u8], key: &[u8]) -> Option<u64> {
    if key.is_empty() {
        return None;
    }
    let rest = bytes.strip_prefix(b"VALUE ")?.strip_prefix(key)?;
    let (data, len) = usual_numbers(rest)?;
    Some((b"VALUE ".len() + key.len() + len) as u64 + data + 2)
}

/// Joins what the servers say of themselves: one after the other, and one END. Behind the first word of
/// each line stands the server's name, which is its label, and a colon.
pub fn join_stats(
    join: &mut Join,
    replies: &mut [FragmentReply],
    plan: Plan<'_>,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    if !join.started {
        for reply in replies.iter() {
            match head(&reply.bytes, b"") {
                Head::Item { .. } | Head::End => {}
                other => return other.stops(reply.done),
            }
        }
    }
    while let Some(&fragment) = plan.order.get(join.next) {
        let reply = &mut replies[usize::from(fragment)];
        match head(&reply.bytes, b"") {
            Head::Item { len } => {
                join.started = true;
                let mut line = [0; HEADER_MAX];
                let count = reply.bytes.peek(&mut line);
                let word = memchr(b' ', &line[..count]).map_or(0, |space| space + 1);
                reply.bytes.move_front(word, out, pool);
                out.push(plan.labels.at(join.next), pool);
                out.push(b":", pool);
                reply.bytes.move_front(len as usize - word, out, pool);
            }
            Head::End => join.next += 1,
            other => return other.stops(reply.done),
        }
    }
    for reply in replies.iter_mut() {
        reply.bytes.clear(pool);
    }
    out.push(b"END\r\n", pool);
    Joined::Done
}

/// What the front of a fragment's reply is.
enum Head {
    /// A value of `len` bytes, its line and line ends included; `named` says that its key is the one in
    /// question.
    Value { len: u64, named: bool },
    /// A line of statistics of `len` bytes, its end included.
    Item { len: u64 },
    /// No further value or line.
    End,
    /// An error.
    Error,
    /// A reply that no get is answered with.
    Other,
    /// Not yet known.
    More,
}

impl Head {
    /// What the join comes to that cannot go on with this; `done` says that the reply is whole.
    fn stops(self, done: bool) -> Joined {
        match self {
            Head::More if !done => Joined::More,
            _ => Joined::Bad,
        }
    }
}

fn head(reply: &Queue, key: &[u8]) -> Head {
    let mut copy;
    let front = reply.front();
    if let Some(len) = value_of(front, key) {
        return Head::Value { len, named: true };
    }
    if let Some((kind, len)) = usual(front) {
        return match kind {
            Kind::Value { data } => Head::Value {
                len: len as u64 + data + 2,
                named: is_named(&front[..len], key),
            },
            _ => Head::End,
        };
    }
    let front = if front.len() >= HEADER_MAX || front.len() == reply.len() {
        &front[..front.len().min(HEADER_MAX)]
    } else {
        copy = [0; HEADER_MAX];
        let count = reply.peek(&mut copy);
        &copy[..count]
    };
    let Some(newline) = memchr(b'\n', front) else {
        return if front.len() < HEADER_MAX {
            Head::More
        } else {
            Head::Other
        };
    };
    let Some(line) = front[..newline].strip_suffix(b"\r") else {
        return Head::Other;
    };
    match kind(line) {
        Ok(Kind::Value { data }) => Head::Value {
            len: newline as u64 + 1 + data + 2,
            named: is_named(line, key),
        },
        Ok(Kind::Item) => Head::Item {
            len: newline as u64 + 1,
        },
        Ok(Kind::End) => Head::End,
        Ok(Kind::Error) => Head::Error,
        Ok(_) | Err(_) => Head::Other,
    }
}

/// Whether the head of a value names this key.
#[inline]
fn is_named(line: &[u8], key: &[u8]) -> bool {
    line[b"VALUE ".len()..]
        .strip_prefix(key)
        .is_some_and(|rest| rest.starts_with(b" "))
}

#[cfg(test)]
mod tests;
