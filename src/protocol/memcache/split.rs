//! Gets cut over several servers, and their values joined again.

use memchr::memchr;

use super::Words;
use super::reply::{Kind, kind};
use super::request::line_keys;
use crate::buffer::{BufferPool, Queue};
use crate::protocol::{FragmentReply, Join, Joined, Unit};

/// Longest line a join reads: `VALUE`, a key of 250 bytes, three numbers, and something to spare.
const HEADER_MAX: usize = 512;

/// Appends the units of a whole get, in order: its keys.
pub fn units(request: &[u8], units: &mut Vec<Unit>) {
    units.extend(line_keys(request).map(|key| Unit { key, whole: key }));
}

/// Writes a get like `request` with only `units` of it. As twemproxy does, with a space behind each
/// key, the last one too.
pub fn fragment(request: &[u8], units: &[Unit], out: &mut Queue, pool: &mut BufferPool) {
    let name = Words::of(request).next().unwrap_or_default();
    out.push(name.of(request), pool);
    out.push(b" ", pool);
    for unit in units {
        out.push(unit.whole.of(request), pool);
        out.push(b" ", pool);
    }
    out.push(b"\r\n", pool);
}

/// Whether `reply` is an error.
pub fn is_error(reply: &Queue) -> bool {
    matches!(head(reply), Head::Error)
}

/// Joins replies to the fragments of a get: the values in the order of the request's keys, and one END.
///
/// Nothing is passed on before each fragment is known to be answered with values or none: until then
/// the client can still be given an error.
pub fn join_values(
    join: &mut Join,
    replies: &mut [FragmentReply],
    order: &[u16],
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    if !join.started {
        for reply in replies.iter() {
            match head(&reply.bytes) {
                Head::Value { .. } | Head::End => {}
                other => return other.stops(reply.done),
            }
        }
    }
    loop {
        if join.left > 0 {
            // `next` already points behind the key whose value is at hand.
            let reply = &mut replies[usize::from(order[join.next - 1])];
            let now = join.left.min(reply.bytes.len() as u64) as usize;
            join.started |= now > 0;
            reply.bytes.move_front(now, out, pool);
            join.left -= now as u64;
            if join.left > 0 {
                return Head::More.stops(reply.done);
            }
        }
        let Some(&fragment) = order.get(join.next) else {
            break;
        };
        let reply = &replies[usize::from(fragment)];
        // Compat: twemproxy gives each key the next value of its fragment without comparing names, so
        // a value behind a miss moves up. Test: a_value_behind_a_miss_moves_up.
        match head(&reply.bytes) {
            Head::Value { len } => join.left = len,
            Head::End => {}
            other => return other.stops(reply.done),
        }
        join.next += 1;
    }
    for reply in replies.iter() {
        match head(&reply.bytes) {
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

/// What the front of a fragment's reply is.
enum Head {
    /// A value of `len` bytes, its line and line ends included.
    Value { len: u64 },
    /// No further value.
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

fn head(reply: &Queue) -> Head {
    let mut copy = [0; HEADER_MAX];
    let front = reply.front();
    let front = if front.len() >= HEADER_MAX || front.len() == reply.len() {
        &front[..front.len().min(HEADER_MAX)]
    } else {
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
        },
        Ok(Kind::End) => Head::End,
        Ok(Kind::Error) => Head::Error,
        Ok(Kind::Other) | Err(_) => Head::Other,
    }
}

#[cfg(test)]
mod tests;
