//! memcached as the model servers and clients speak it: the binary protocol.
//!
//! Like `redis` it shares nothing with the code under test. Replies are read into the same [`Reply`]:
//! what a get found is an array of key and value, success is the status `OK`, a status that is none an
//! error with the words of its body.

use crate::memcache::KEPT;
use crate::redis::{Command, Reply};
use crate::store::{Outcome, Store};
use crate::value::{self, Shape};

/// Opcodes of requests the model makes.
pub const GET: u8 = 0x00;
pub const SET: u8 = 0x01;
pub const DELETE: u8 = 0x04;
pub const INCREMENT: u8 = 0x05;
pub const QUIT: u8 = 0x07;
pub const GETQ: u8 = 0x09;
pub const NOOP: u8 = 0x0a;
pub const VERSION: u8 = 0x0b;
pub const GETK: u8 = 0x0c;
pub const GETKQ: u8 = 0x0d;
pub const STAT: u8 = 0x10;
pub const SETQ: u8 = 0x11;
pub const DELETEQ: u8 = 0x14;
pub const AUTH: u8 = 0x21;

const REQUEST: u8 = 0x80;
const REPLY: u8 = 0x81;
const HEADER: usize = 24;

const NOT_FOUND: u16 = 1;
const TEMPORARY: u16 = 0x86;

/// Extras of a set: no flags, no expiry.
pub const NO_EXTRAS: [u8; 8] = [0; 8];

/// Extras of an increment by one from nothing.
pub fn one() -> Vec<u8> {
    [1u64.to_be_bytes(), 1u64.to_be_bytes()]
        .concat()
        .into_iter()
        .chain([0; 4])
        .collect()
}

struct Header {
    opcode: u8,
    key: usize,
    extras: usize,
    status: u16,
    body: usize,
    opaque: u32,
}

fn header(bytes: &[u8], magic: u8) -> Result<Option<Header>, String> {
    if bytes.first().is_some_and(|&first| first != magic) {
        return Err(format!(
            "{:?} instead of a message",
            &bytes[..bytes.len().min(24)]
        ));
    }
    let Some(head) = bytes.get(..HEADER) else {
        return Ok(None);
    };
    let short = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let long = |at: usize| u32::from(short(at)) << 16 | u32::from(short(at + 2));
    let header = Header {
        opcode: head[1],
        key: usize::from(short(2)),
        extras: usize::from(head[4]),
        status: short(6),
        body: long(8) as usize,
        opaque: long(12),
    };
    if header.key + header.extras > header.body {
        return Err("a body shorter than what is in it".into());
    }
    Ok(Some(header))
}

fn message(magic: u8, opcode: u8, status: u16, opaque: u32, parts: [&[u8]; 3]) -> Vec<u8> {
    let [extras, key, value] = parts;
    let mut bytes = vec![magic, opcode];
    bytes.extend((key.len() as u16).to_be_bytes());
    bytes.extend([extras.len() as u8, 0]);
    bytes.extend(status.to_be_bytes());
    bytes.extend(((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
    bytes.extend(opaque.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(parts.concat());
    bytes
}

/// A request.
pub fn request(opcode: u8, opaque: u32, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    message(REQUEST, opcode, 0, opaque, [extras, key, value])
}

/// A reply with this status and these words.
pub fn refusal(opcode: u8, status: u16, opaque: u32, text: &[u8]) -> Vec<u8> {
    message(REPLY, opcode, status, opaque, [b"", b"", text])
}

/// What is no reply: a line, a request, and a key longer than the body.
pub fn garbage() -> [Vec<u8>; 3] {
    let mut longer = success(GET, 0, b"ab");
    longer[3] = 9;
    [
        b"ERROR\r\n".to_vec(),
        request(NOOP, 0, b"", b"", b""),
        longer,
    ]
}

/// A success without anything to tell but `value`.
pub fn success(opcode: u8, opaque: u32, value: &[u8]) -> Vec<u8> {
    message(REPLY, opcode, 0, opaque, [b"", b"", value])
}

/// An error with these words, to a request or in place of a reply that begins so.
pub fn error(start: &[u8], text: &[u8]) -> Vec<u8> {
    let opaque = start.get(12..16).map_or(0, |bytes| {
        bytes
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte))
    });
    let opcode = start.get(1).copied().unwrap_or_default();
    message(REPLY, opcode, TEMPORARY, opaque, [b"", b"", text])
}

/// The statistics of one server, each line's name behind `name`.
pub fn statistics(opaque: u32, name: &str) -> Vec<u8> {
    let lines = KEPT.map(|(key, value)| {
        let key = format!("{name}{key}");
        message(
            REPLY,
            STAT,
            0,
            opaque,
            [b"", key.as_bytes(), value.as_bytes()],
        )
    });
    lines.concat()
}

/// Whether these bytes open a connection that speaks so.
pub fn opens(bytes: &[u8]) -> bool {
    bytes.first() == Some(&REQUEST)
}

/// The command at the start of a server's input: opcode, opaque, extras, key and value.
pub fn read_command(bytes: &[u8]) -> Result<Command, String> {
    let Some(header) = header(bytes, REQUEST)? else {
        return Ok(Command::More(0));
    };
    let len = HEADER + header.body;
    if bytes.len() < len {
        return Ok(Command::More(len - bytes.len()));
    }
    let (extras, rest) = bytes[HEADER..len].split_at(header.extras);
    let (key, value) = rest.split_at(header.key);
    let args = vec![
        vec![header.opcode],
        bytes[12..16].to_vec(),
        extras.to_vec(),
        key.to_vec(),
        value.to_vec(),
    ];
    Ok(Command::Whole(args, len))
}

/// The reply at the start of `bytes`, its length and its opaque; `None` when it is not whole.
pub fn read_reply(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize, u32)>, String> {
    let (mut used, mut lines) = (0, Vec::new());
    loop {
        let rest = &bytes[used..];
        let Some(header) = header(rest, REPLY)? else {
            return Ok(None);
        };
        let len = HEADER + header.body;
        if rest.len() < len {
            return Ok(None);
        }
        used += len;
        let (key, value) = rest[HEADER + header.extras..len].split_at(header.key);
        let told = (!key.is_empty()).then_some(key);
        let reply = match (header.opcode, header.status) {
            (STAT, 0) if !key.is_empty() => {
                lines.extend([Reply::Bulk(told), Reply::Bulk(Some(value))]);
                continue;
            }
            (STAT, 0) => Reply::Array(Some(lines)),
            (GET | GETQ | GETK | GETKQ, 0) => {
                Reply::Array(Some(vec![Reply::Bulk(told), Reply::Bulk(Some(value))]))
            }
            (GET | GETQ | GETK | GETKQ, NOT_FOUND) => Reply::Array(Some(Vec::new())),
            (DELETE | DELETEQ, 0) => Reply::Number(1),
            (DELETE | DELETEQ, NOT_FOUND) => Reply::Number(0),
            (INCREMENT, 0) => {
                let count: [u8; 8] = value.try_into().map_err(|_| "a count that is none")?;
                Reply::Number(u64::from_be_bytes(count) as i64)
            }
            (_, 0) => Reply::Status(b"OK"),
            _ => Reply::Error(value),
        };
        return Ok(Some((reply, used, header.opaque)));
    }
}

/// Executes a command; an error is a command the proxy should never have forwarded.
pub fn execute(store: &mut Store, args: &[Vec<u8>]) -> Result<Outcome, String> {
    let [opcode, opaque, extras, key, value] = args else {
        return Err("another number of parts".into());
    };
    let opcode = opcode[0];
    let opaque = opaque
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u32::from(byte));
    let mut outcome = Outcome::default();
    let echo = value::read_echo(key);
    let reply = |status: u16, parts: [&[u8]; 3]| message(REPLY, opcode, status, opaque, parts);
    let missing = || reply(NOT_FOUND, [b"", b"", b"Not found"]);
    match opcode {
        VERSION => outcome.reply = success(VERSION, opaque, b"1.6.0-model"),
        STAT => {
            outcome.reply = statistics(opaque, "");
            outcome.reply.extend(success(STAT, opaque, b""));
        }
        GET | GETQ | GETK | GETKQ => {
            let quiet = opcode == GETQ || opcode == GETKQ;
            let told: &[u8] = if opcode == GETK || opcode == GETKQ {
                key
            } else {
                b""
            };
            let found = match echo {
                Some(echo) => {
                    outcome.marks.push(echo.mark);
                    (echo.shape == Shape::Value).then(|| value::make(key, echo.mark, echo.size))
                }
                None => store.values.get(key).cloned(),
            };
            match found {
                Some(value) => outcome.reply = reply(0, [&[0; 4], told, &value]),
                None if !quiet => outcome.reply = missing(),
                None => {}
            }
        }
        SET | SETQ => {
            let mark = value::check(key, value).ok_or("a spoilt value")?;
            if extras[..] != NO_EXTRAS {
                return Err("spoilt extras".into());
            }
            outcome.marks.push(mark);
            store.values.insert(key.clone(), value.clone());
            if opcode == SET {
                outcome.reply = reply(0, [b"", b"", b""]);
            }
        }
        DELETE | DELETEQ => match (echo, store.values.remove(key)) {
            (Some(echo), _) => {
                outcome.marks.push(echo.mark);
                outcome.reply = error(&reply(0, [b"", b"", b""]), key);
            }
            (None, None) => outcome.reply = missing(),
            (None, Some(_)) if opcode == DELETE => outcome.reply = reply(0, [b"", b"", b""]),
            (None, Some(_)) => {}
        },
        INCREMENT => {
            let count = match echo {
                Some(echo) => {
                    outcome.marks.push(echo.mark);
                    echo.mark.number()
                }
                None => {
                    let (number, count) = store.increment(key);
                    outcome.counted = number;
                    count
                }
            };
            outcome.reply = reply(0, [b"", b"", &(count as u64).to_be_bytes()]);
        }
        other => return Err(format!("opcode {other}")),
    }
    Ok(outcome)
}
