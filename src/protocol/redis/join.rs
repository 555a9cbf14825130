//! The replies of all servers made one.
//!
//! Only concatenation and SCAN pass on what is there before everything is; the others need all replies
//! whole, which the proxy bounds.

use super::split::{HEADER_MAX, Header, header, push_number};
use crate::buffer::{BufferPool, Queue};
use crate::protocol::body::{Number, number_line};
use crate::protocol::{FragmentReply, Join, Joined, ScanTurn};

/// The beginning of a reply to SCAN, up to the end of its cursor, is not longer.
const CURSOR_MAX: usize = 64;

/// One array of all arrays, in the order of the servers.
pub fn concat(
    join: &mut Join,
    replies: &mut [FragmentReply],
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    if !join.started {
        for reply in replies.iter_mut().filter(|reply| !reply.opened) {
            match header(&reply.bytes, b'*') {
                Header::Line {
                    value: Some(count @ 0..=0xffff_ffff),
                    len,
                } => {
                    reply.bytes.consume(len, pool);
                    reply.opened = true;
                    reply.units = count as u32;
                }
                Header::More if !reply.done => return Joined::More,
                _ => return Joined::Bad,
            }
        }
        join.started = true;
        let total = replies.iter().map(|reply| i64::from(reply.units)).sum();
        push_number(b'*', total, out, pool);
        out.push(b"\r\n", pool);
    }
    while let Some(reply) = replies.get_mut(join.next) {
        let there = reply.bytes.len();
        reply.bytes.move_front(there, out, pool);
        if !reply.done {
            return Joined::More;
        }
        join.next += 1;
    }
    Joined::Done
}

/// The first server's reply.
pub fn first(replies: &mut [FragmentReply], out: &mut Queue, pool: &mut BufferPool) -> Joined {
    match replies.first_mut() {
        Some(reply) => {
            out.append(&mut reply.bytes, pool);
            Joined::Done
        }
        None => Joined::Bad,
    }
}

/// The first reply in `order` that is not null; null if all are.
pub fn any(
    replies: &mut [FragmentReply],
    order: &[u16],
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let is_null = |reply: &FragmentReply| {
        let mut start = [0; 3];
        let count = reply.bytes.peek(&mut start);
        let start = &start[..count];
        start.starts_with(b"_") || start.starts_with(b"$-") || start.starts_with(b"*-")
    };
    let mut places = order.iter().map(|&place| usize::from(place));
    let chosen = places
        .find(|&place| replies.get(place).is_some_and(|reply| !is_null(reply)))
        .unwrap_or(0);
    first(&mut replies[chosen..], out, pool)
}

/// One integer of all.
pub fn fold(
    replies: &[FragmentReply],
    merge: fn(i64, i64) -> Option<i64>,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let numbers = replies.iter().map(|reply| {
        let mut line = [0; HEADER_MAX];
        let count = reply.bytes.peek(&mut line);
        let digits = line[..count].strip_prefix(b":")?.strip_suffix(b"\r\n")?;
        number(digits)
    });
    let mut total = None;
    for number in numbers {
        let merged = match (total, number) {
            (None, Some(number)) => Some(number),
            (Some(total), Some(number)) => merge(total, number),
            (_, None) => None,
        };
        match merged {
            Some(merged) => total = Some(merged),
            None => return Joined::Bad,
        }
    }
    let Some(total) = total else {
        return Joined::Bad;
    };
    push_number(b':', total, out, pool);
    out.push(b"\r\n", pool);
    Joined::Done
}

/// One array of all arrays, integers at the same place made one, everything else equal in all.
pub fn each(
    replies: &[FragmentReply],
    merge: fn(i64, i64) -> Option<i64>,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let mut replies = replies.iter().map(|reply| reply.bytes.to_vec());
    let Some(first) = replies.next() else {
        return Joined::Bad;
    };
    let Some(mut total) = items(&first) else {
        return Joined::Bad;
    };
    for reply in replies {
        let Some(items) = items(&reply) else {
            return Joined::Bad;
        };
        if items.len() != total.len() {
            return Joined::Bad;
        }
        for (total, item) in total.iter_mut().zip(items) {
            let merged = match (&*total, item) {
                (Item::Number(total), Item::Number(number)) => merge(*total, number),
                (Item::Text(known), Item::Text(text)) if *known == text => continue,
                _ => None,
            };
            match merged {
                Some(merged) => *total = Item::Number(merged),
                None => return Joined::Bad,
            }
        }
    }
    push_number(b'*', total.len() as i64, out, pool);
    out.push(b"\r\n", pool);
    for item in &total {
        match item {
            Item::Number(number) => push_number(b':', *number, out, pool),
            Item::Text(text) => {
                push_number(b'$', text.len() as i64, out, pool);
                out.push(b"\r\n", pool);
                out.push(text, pool);
            }
        }
        out.push(b"\r\n", pool);
    }
    Joined::Done
}

/// The smallest integer, or of arrays the smallest at each place.
pub fn least(replies: &[FragmentReply], out: &mut Queue, pool: &mut BufferPool) -> Joined {
    let smaller = |one: i64, other: i64| Some(one.min(other));
    match replies
        .first()
        .and_then(|reply| reply.bytes.front().first())
    {
        Some(b'*') => each(replies, smaller, out, pool),
        _ => fold(replies, smaller, out, pool),
    }
}

/// An element of a flat array.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Number(i64),
    Text(Box<[u8]>),
}

/// The elements of an array of numbers and bulks.
fn items(reply: &[u8]) -> Option<Vec<Item>> {
    let line = |mark: u8, bytes: &[u8]| match number_line(bytes.strip_prefix(&[mark])?) {
        Number::Line { value, len } => Some((value as usize, len + 1)),
        _ => None,
    };
    let (count, mut used) = line(b'*', reply)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let rest = reply.get(used..)?;
        if rest.first() == Some(&b':') {
            let end = memchr::memchr(b'\r', rest)?;
            items.push(Item::Number(number(&rest[1..end])?));
            used += end + 2;
        } else {
            let (len, header) = line(b'$', rest)?;
            items.push(Item::Text(rest.get(header..header + len)?.into()));
            used += header + len + 2;
        }
    }
    (used == reply.len()).then_some(items)
}

/// The reply of the server whose turn it is in a SCAN, with a cursor for all servers in the place of
/// its own.
pub fn scan(
    join: &mut Join,
    replies: &mut [FragmentReply],
    turn: ScanTurn,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let [reply] = replies else {
        return Joined::Bad;
    };
    if !join.started {
        let mut start = [0; CURSOR_MAX];
        let count = reply.bytes.peek(&mut start);
        let Some((cursor, len)) = cursor(&start[..count]) else {
            return if reply.done || count == CURSOR_MAX {
                Joined::Bad
            } else {
                Joined::More
            };
        };
        let Some(cursor) = turn.shared(cursor) else {
            return Joined::Bad;
        };
        join.started = true;
        reply.bytes.consume(len, pool);
        let text = cursor.to_string();
        out.push(b"*2\r\n", pool);
        push_number(b'$', text.len() as i64, out, pool);
        out.push(b"\r\n", pool);
        out.push(text.as_bytes(), pool);
        out.push(b"\r\n", pool);
    }
    let there = reply.bytes.len();
    reply.bytes.move_front(there, out, pool);
    if reply.done {
        Joined::Done
    } else {
        Joined::More
    }
}

/// The cursor at the start of a reply to SCAN, and the length of everything up to its end.
fn cursor(start: &[u8]) -> Option<(u64, usize)> {
    let rest = start.strip_prefix(b"*2\r\n$")?;
    let Number::Line { value, len } = number_line(rest) else {
        return None;
    };
    let (digits, rest) = rest[len..].split_at_checked(value as usize)?;
    rest.strip_prefix(b"\r\n")?;
    let cursor = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((cursor, start.len() - rest.len() + 2))
}

/// A request like `bytes`, a SCAN, with this cursor.
pub fn scan_request(bytes: &[u8], cursor: u64, out: &mut Queue, pool: &mut BufferPool) {
    let mut args = super::request::args(bytes);
    let (Some(name), Some(old)) = (args.next(), args.next()) else {
        return;
    };
    let text = cursor.to_string();
    out.push(&bytes[..name.end as usize + 2], pool);
    push_number(b'$', text.len() as i64, out, pool);
    out.push(b"\r\n", pool);
    out.push(text.as_bytes(), pool);
    out.push(&bytes[old.end as usize..], pool);
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
