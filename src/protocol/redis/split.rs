//! Requests cut over several servers, and their replies joined again.

use super::commands::{Keys, Rule, Table};
use super::reply::whole_bulk;
use super::request::{args, args_from};
use crate::buffer::{BufferPool, Queue};
use crate::protocol::body::{Number, number_line};
use crate::protocol::{FragmentReply, Join, Joined, Plan, Span, Unit};

/// Longest line a join reads: the header of an array or bulk.
pub(super) const HEADER_MAX: usize = 32;

/// The bytes of `_` CR LF.
const NULL_LEN: u64 = 3;

/// The null of RESP2.
const NIL: &[u8] = b"$-1\r\n";

/// Appends the units of a whole request from `at` on, in order: see [`crate::protocol::Commands::units`].
pub fn units(
    bytes: &[u8],
    command: Option<u16>,
    table: &Table,
    at: &mut usize,
    most: usize,
    units: &mut Vec<Unit>,
) -> bool {
    let Some(command) = command else { return true };
    let pairs = table.row(command).keys == Keys::EverySecond;
    // A unit starts behind the line end of what stands before it.
    let mut start = *at as u32;
    if *at == 0 {
        let Some(name) = args(bytes).next() else {
            return true;
        };
        start = name.end + 2;
    }
    let mut args = args_from(bytes, start as usize);
    while let Some(key) = args.next() {
        if units.len() == most {
            *at = start as usize;
            return false;
        }
        let last = if pairs {
            args.next().unwrap_or(key)
        } else {
            key
        };
        let end = last.end + 2;
        units.push(Unit {
            key,
            whole: Span { start, end },
        });
        start = end;
    }
    true
}

/// Writes what stands ahead of the units in a fragment that has `count` of them.
pub fn open_fragment(
    command: Option<u16>,
    table: &Table,
    count: usize,
    out: &mut Queue,
    pool: &mut BufferPool,
) {
    let Some(command) = command else { return };
    let row = table.row(command);
    debug_assert!(matches!(row.rule, Rule::Split(_)));
    let step = if row.keys == Keys::EverySecond { 2 } else { 1 };
    push_number(b'*', (1 + count * step) as i64, out, pool);
    out.push(table.fragment_name(command), pool);
}

/// Writes these units of a request.
pub fn push_units(bytes: &[u8], units: &[Unit], out: &mut Queue, pool: &mut BufferPool) {
    for unit in units {
        out.push(unit.whole.of(bytes), pool);
    }
}

/// Writes a mark and a number, without allocating.
pub(super) fn push_number(mark: u8, number: i64, out: &mut Queue, pool: &mut BufferPool) {
    let mut line = [0; HEADER_MAX];
    // A mark, a sign and at most 19 digits fit.
    let mut start = HEADER_MAX;
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        line[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        line[start] = b'-';
    }
    start -= 1;
    line[start] = mark;
    out.push(&line[start..], pool);
}

/// Whether `reply` is an error.
pub fn is_error(reply: &Queue) -> bool {
    matches!(reply.front().first(), Some(b'-' | b'!'))
}

/// Joins replies to `Merge::Array` fragments: the elements in the order of the request's keys.
pub fn join_arrays(
    join: &mut Join,
    replies: &mut [FragmentReply],
    plan: Plan<'_>,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let order = plan.order;
    if !join.started {
        // Nothing is passed on before every fragment is known to be an array: until then the client
        // can still be given an error.
        for reply in replies.iter_mut() {
            match open_array(reply, pool) {
                Joined::Done => {}
                Joined::More if !reply.done => return Joined::More,
                _ => return Joined::Bad,
            }
        }
        join.started = true;
        push_number(b'*', order.len() as i64, out, pool);
        out.push(b"\r\n", pool);
    }
    let slice = plan.slice(join);
    while join.next < slice.len() || join.left > 0 {
        if join.left > 0 {
            // `next` already points behind the element at hand.
            let reply = &mut replies[usize::from(order[join.next - 1])];
            let now = join.left.min(reply.bytes.len() as u64) as usize;
            reply.bytes.move_front(now, out, pool);
            join.left -= now as u64;
            if join.left > 0 {
                return if reply.done {
                    Joined::Bad
                } else {
                    Joined::More
                };
            }
            continue;
        }
        join.pass_usual(replies, slice, out, pool, |rest, _| {
            whole_bulk(rest).or_else(|| rest.starts_with(NIL).then_some(NIL.len()))
        });
        let Some(&fragment) = slice.get(join.next) else {
            break;
        };
        match open_array(&mut replies[usize::from(fragment)], pool) {
            Joined::Done => {}
            other => return other,
        }
        let reply = &mut replies[usize::from(fragment)];
        if reply.bytes.front().first() == Some(&b'_') {
            // The null of RESP3.
            join.left = NULL_LEN;
            join.next += 1;
            continue;
        }
        match header(&reply.bytes, b'$') {
            Header::Line { value, len } => {
                join.left = len as u64 + value.map_or(0, |bytes| bytes + 2);
                join.next += 1;
            }
            Header::More if !reply.done => return Joined::More,
            Header::More | Header::Bad => return Joined::Bad,
        }
    }
    plan.end_of(slice)
}

/// Takes the header off a fragment's array and checks its count.
fn open_array(reply: &mut FragmentReply, pool: &mut BufferPool) -> Joined {
    if reply.opened {
        return Joined::Done;
    }
    match header(&reply.bytes, b'*') {
        Header::Line {
            value: Some(count),
            len,
        } => {
            if count != u64::from(reply.units) {
                return Joined::Bad;
            }
            reply.bytes.consume(len, pool);
            reply.opened = true;
            Joined::Done
        }
        Header::More => Joined::More,
        Header::Line { value: None, .. } | Header::Bad => Joined::Bad,
    }
}

/// What stands where the length of an array or bulk must.
pub(super) enum Header {
    /// `value` is `None` for the null `-1`.
    Line {
        value: Option<u64>,
        len: usize,
    },
    More,
    Bad,
}

/// The length line at the front of `bytes`, which must start with `mark`.
pub(super) fn header(bytes: &Queue, mark: u8) -> Header {
    let mut copy = [0; HEADER_MAX];
    let front = bytes.front();
    let line = if front.len() >= HEADER_MAX || front.len() == bytes.len() {
        front
    } else {
        let count = bytes.peek(&mut copy);
        &copy[..count]
    };
    match line.first() {
        None => return Header::More,
        Some(&byte) if byte == mark => {}
        Some(_) => return Header::Bad,
    }
    if line.starts_with(&[mark, b'-', b'1', b'\r', b'\n']) {
        return Header::Line {
            value: None,
            len: 5,
        };
    }
    match number_line(&line[1..]) {
        Number::Line { value, len } => Header::Line {
            value: Some(value),
            len: len + 1,
        },
        Number::More => Header::More,
        // `$-` and `$-1` without their end are the start of a null.
        Number::Bad if line.len() < 5 && [mark, b'-', b'1', b'\r'].starts_with(line) => {
            Header::More
        }
        Number::Bad => Header::Bad,
    }
}

/// Joins replies to `Merge::Status` fragments, which must all be whole.
pub fn join_status(
    replies: &mut [FragmentReply],
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    if replies
        .iter()
        .any(|reply| reply.bytes.front().first() != Some(&b'+'))
    {
        return Joined::Bad;
    }
    out.push(b"+OK\r\n", pool);
    Joined::Done
}
