//! memcached as the model servers and clients speak it: the classic text protocol.
//!
//! Like `redis` it shares nothing with the code under test. Replies are read into the same [`Reply`],
//! so that one judge does for both: `STORED` is a status, the values of a get are an array of keys and
//! values, one behind the other.

use crate::redis::{Command, Outcome, Reply, Store};
use crate::value::{self, Echo, Shape};

/// The first line of `bytes` without its end, and its length with it.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

fn words(line: &[u8]) -> Vec<&[u8]> {
    let words = line.split(|&byte| byte == b' ');
    words.filter(|word| !word.is_empty()).collect()
}

fn number(word: Option<&&[u8]>) -> Result<usize, String> {
    let text = word.and_then(|word| std::str::from_utf8(word).ok());
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{text:?} is no number"))
}

/// The block of `len` bytes and its line end at `start`; `None` when it is not whole.
fn block(bytes: &[u8], start: usize, len: usize) -> Result<Option<&[u8]>, String> {
    match bytes.get(start + len..start + len + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some(&bytes[start..start + len])),
        Some(other) => Err(format!("{other:?} behind a block")),
    }
}

/// The command at the start of a server's input, its data behind its words.
pub fn read_command(bytes: &[u8]) -> Result<Command, String> {
    let Some((text, mut used)) = line(bytes) else {
        return Ok(Command::More(0));
    };
    if text.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(String::from_utf8_lossy(text).into_owned());
    }
    let words = words(text);
    let mut args: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    if words.first() == Some(&&b"set"[..]) {
        let len = number(words.get(4))?;
        let Some(data) = block(bytes, used, len)? else {
            return Ok(Command::More(used + len + 2 - bytes.len()));
        };
        args.push(data.to_vec());
        used += len + 2;
    }
    Ok(Command::Whole(args, used))
}

/// The reply at the start of `bytes` and its length; `None` when it is not whole.
pub fn read_reply(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, String> {
    let mut used = 0;
    let mut values = Vec::new();
    loop {
        let Some((text, len)) = line(&bytes[used..]) else {
            return Ok(None);
        };
        used += len;
        let words = words(text);
        let reply = match words.first().copied() {
            Some(b"VALUE") => {
                let len = number(words.get(3))?;
                let Some(data) = block(bytes, used, len)? else {
                    return Ok(None);
                };
                values.push(Reply::Bulk(words.get(1).copied()));
                values.push(Reply::Bulk(Some(data)));
                used += len + 2;
                continue;
            }
            Some(b"END") => Reply::Array(Some(values)),
            Some(b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR") => Reply::Error(text),
            _ if !values.is_empty() => return Err("a line among values".into()),
            Some(b"STORED") => Reply::Status(b"OK"),
            Some(b"DELETED") => Reply::Number(1),
            Some(b"NOT_FOUND") => Reply::Number(0),
            Some(b"VERSION") => Reply::Status(text),
            word => Reply::Number(number(word.as_ref())? as i64),
        };
        return Ok(Some((reply, used)));
    }
}

/// A line of these words.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut line = words.join(&b' ');
    line.extend_from_slice(b"\r\n");
    line
}

/// A set.
pub fn set(key: &[u8], data: &[u8]) -> Vec<u8> {
    let len = data.len().to_string();
    let mut bytes = request(&[b"set", key, b"0", b"0", len.as_bytes()]);
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn push_value(reply: &mut Vec<u8>, key: &[u8], data: &[u8]) {
    let len = data.len().to_string();
    reply.extend(request(&[b"VALUE", key, b"0", len.as_bytes()]));
    reply.extend_from_slice(data);
    reply.extend_from_slice(b"\r\n");
}

/// The reply to the one command that fits an echo key, or to `version`.
pub fn reply_to(key: &[u8]) -> Vec<u8> {
    let Some(Echo {
        mark, shape, size, ..
    }) = value::read_echo(key)
    else {
        return b"VERSION 1.6.0-model\r\n".to_vec();
    };
    match shape {
        Shape::Number => format!("{}\r\n", mark.number()).into_bytes(),
        Shape::Error => {
            format!("SERVER_ERROR e{}.{}.{}\r\n", mark.conn, mark.seq, mark.part).into_bytes()
        }
        _ => {
            let mut reply = Vec::new();
            if shape == Shape::Value {
                push_value(&mut reply, key, &value::make(key, mark, size));
            }
            reply.extend_from_slice(b"END\r\n");
            reply
        }
    }
}

/// Executes a command; an error is a command the proxy should never have forwarded.
pub fn execute(store: &mut Store, args: &[Vec<u8>]) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let name = args.first().ok_or("a line without words")?;
    if name == b"version" {
        outcome.reply = reply_to(b"version");
        return Ok(outcome);
    }
    let key = args.get(1).ok_or("a command without a key")?;
    match name.as_slice() {
        b"get" | b"gets" => {
            for key in &args[1..] {
                let stored = match value::read_echo(key) {
                    Some(echo) => {
                        outcome.marks.push(echo.mark);
                        let data = || value::make(key, echo.mark, echo.size);
                        (echo.shape == Shape::Value).then(data)
                    }
                    None => store.values.get(key).cloned(),
                };
                if let Some(data) = stored {
                    push_value(&mut outcome.reply, key, &data);
                }
            }
            outcome.reply.extend_from_slice(b"END\r\n");
        }
        b"set" => {
            let data = args.last().ok_or("a set without data")?;
            let mark = value::check(key, data).ok_or("a spoilt value")?;
            outcome.marks.push(mark);
            store.values.insert(key.clone(), data.clone());
            outcome.reply = b"STORED\r\n".to_vec();
        }
        b"delete" | b"incr" if value::read_echo(key).is_some() => {
            outcome
                .marks
                .extend(value::read_echo(key).map(|echo| echo.mark));
            outcome.reply = reply_to(key);
        }
        b"delete" => {
            let found = store.values.remove(key).is_some();
            let reply: &[u8] = if found {
                b"DELETED\r\n"
            } else {
                b"NOT_FOUND\r\n"
            };
            outcome.reply = reply.to_vec();
        }
        b"incr" => {
            let count = store.counters.entry(key.clone()).or_default();
            *count += 1;
            let number = key.rsplit(|&byte| byte == b':').next();
            let text = number.and_then(|number| std::str::from_utf8(number).ok());
            outcome.counted = text.and_then(|text| text.parse().ok());
            outcome.reply = format!("{count}\r\n").into_bytes();
        }
        other => return Err(String::from_utf8_lossy(other).into_owned()),
    }
    Ok(outcome)
}
