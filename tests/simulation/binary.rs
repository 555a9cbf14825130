//! memcached as the model servers and clients speak it: the binary protocol.
//!
//! Like `redis` it shares nothing with the code under test. Replies are read into the same [`Reply`]:
//! what a get found is an array of key and value, success is the status `OK`, a status that is none an
//! error with the words of its body.

use crate::cache::{Mode, Put};
use crate::memcache::KEPT;
use crate::redis::{Command, Reply};
use crate::store::{Outcome, Store};
use crate::value;

/// Opcodes of requests the model makes.
pub const GET: u8 = 0x00;
pub const SET: u8 = 0x01;
pub const ADD: u8 = 0x02;
pub const REPLACE: u8 = 0x03;
pub const DELETE: u8 = 0x04;
pub const INCREMENT: u8 = 0x05;
pub const DECREMENT: u8 = 0x06;
pub const QUIT: u8 = 0x07;
pub const FLUSH: u8 = 0x08;
pub const GETQ: u8 = 0x09;
pub const NOOP: u8 = 0x0a;
pub const VERSION: u8 = 0x0b;
pub const GETK: u8 = 0x0c;
pub const GETKQ: u8 = 0x0d;
pub const APPEND: u8 = 0x0e;
pub const PREPEND: u8 = 0x0f;
pub const STAT: u8 = 0x10;
pub const SETQ: u8 = 0x11;
pub const ADDQ: u8 = 0x12;
pub const REPLACEQ: u8 = 0x13;
pub const DELETEQ: u8 = 0x14;
pub const FLUSHQ: u8 = 0x18;
pub const APPENDQ: u8 = 0x19;
pub const PREPENDQ: u8 = 0x1a;
pub const TOUCH: u8 = 0x1c;
pub const GAT: u8 = 0x1d;
pub const GATQ: u8 = 0x1e;
pub const GATK: u8 = 0x23;
pub const GATKQ: u8 = 0x24;
pub const AUTH: u8 = 0x21;

const REQUEST: u8 = 0x80;
const REPLY: u8 = 0x81;
pub const HEADER: usize = 24;

const NOT_FOUND: u16 = 1;
const EXISTS: u16 = 2;
const NOT_STORED: u16 = 5;
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

/// A request that names a unique number.
pub fn request_with(
    unique: u64,
    opcode: u8,
    opaque: u32,
    extras: &[u8],
    key: &[u8],
    value: &[u8],
) -> Vec<u8> {
    let mut bytes = request(opcode, opaque, extras, key, value);
    bytes[16..HEADER].copy_from_slice(&unique.to_be_bytes());
    bytes
}

/// The unique number in a reply.
pub fn unique_in(reply: &[u8]) -> Option<u64> {
    let bytes = reply.get(16..HEADER)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
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

/// The command at the start of a server's input: opcode, opaque, extras, key, value and unique number.
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
        bytes[16..HEADER].to_vec(),
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
            (GET | GETQ | GETK | GETKQ | GAT | GATQ | GATK | GATKQ, 0) => {
                Reply::Array(Some(vec![Reply::Bulk(told), Reply::Bulk(Some(value))]))
            }
            (GET | GETQ | GETK | GETKQ | GAT | GATQ | GATK | GATKQ, NOT_FOUND) => {
                Reply::Array(Some(Vec::new()))
            }
            (DELETE | DELETEQ | TOUCH, 0) => Reply::Number(1),
            (DELETE | DELETEQ | TOUCH | SET | ADD | REPLACE | SETQ | REPLACEQ, NOT_FOUND) => {
                Reply::Number(0)
            }
            (_, EXISTS) => Reply::Status(b"EXISTS"),
            (_, NOT_STORED) => Reply::Status(b"NOT_STORED"),
            (INCREMENT | DECREMENT, 0) => {
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
    let [opcode, opaque, extras, key, value, unique] = args else {
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
        FLUSH | FLUSHQ => {
            let time = <[u8; 4]>::try_from(&extras[..]).ok();
            store.flush(time.map(u32::from_be_bytes), &mut outcome);
            if opcode == FLUSH {
                outcome.reply = success(FLUSH, opaque, b"");
            }
        }
        TOUCH => {
            outcome.reply = match store.touch(key, b"0", &mut outcome) {
                true => reply(0, [&[0; 4], b"", b""]),
                false => missing(),
            }
        }
        GET | GETQ | GETK | GETKQ | GAT | GATQ | GATK | GATKQ => {
            let quiet = [GETQ, GETKQ, GATQ, GATKQ].contains(&opcode);
            let told: &[u8] = match [GETK, GETKQ, GATK, GATKQ].contains(&opcode) {
                true => key,
                false => b"",
            };
            match store.look(key, &mut outcome) {
                Some((value, unique)) => {
                    outcome.reply = reply(0, [&[0; 4], told, &value]);
                    outcome.reply[16..HEADER].copy_from_slice(&unique.to_be_bytes());
                }
                None if !quiet => outcome.reply = missing(),
                None => {}
            }
        }
        SET | SETQ | ADD | ADDQ | REPLACE | REPLACEQ | APPEND | APPENDQ | PREPEND | PREPENDQ => {
            let unique: [u8; 8] = unique[..].try_into().map_err(|_| "a short number")?;
            let extends = [APPEND, APPENDQ, PREPEND, PREPENDQ].contains(&opcode);
            let mode = match (opcode, u64::from_be_bytes(unique)) {
                _ if extends => Mode::Extend,
                (ADD | ADDQ, _) => Mode::Add,
                (REPLACE | REPLACEQ, _) => Mode::Replace,
                (_, 0) => Mode::Set,
                (_, unique) => Mode::Cas(unique),
            };
            if extras[..] != NO_EXTRAS && !(extends && extras.is_empty()) {
                return Err("spoilt extras".into());
            }
            let put = store.put(key, value, mode, &mut outcome)?;
            let quiet = [SETQ, ADDQ, REPLACEQ, APPENDQ, PREPENDQ].contains(&opcode);
            outcome.reply = match (put, mode) {
                (Put::Stored, _) if quiet => Vec::new(),
                (Put::Stored, _) => reply(0, [b"", b"", b""]),
                (Put::NotStored, Mode::Add) | (Put::Exists, _) => {
                    reply(EXISTS, [b"", b"", b"Data exists."])
                }
                (Put::NotStored, Mode::Replace) | (Put::NotFound, _) => missing(),
                (Put::NotStored, _) => reply(NOT_STORED, [b"", b"", b"Not stored."]),
            };
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
        INCREMENT | DECREMENT => {
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
