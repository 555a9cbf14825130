//! memcached as the model servers and clients speak it: the text protocol, classic and meta commands.
//!
//! Like `redis` it shares nothing with the code under test. Replies are read into the same [`Reply`],
//! so that one judge does for both: `STORED` is a status, the values of a get are an array of keys and
//! values, one behind the other.

use crate::redis::{Command, Reply};
use crate::store::{Outcome, Store};
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

/// What every server keeps statistics of.
pub const KEPT: [(&str, &str); 2] = [("items:1:number", "5"), ("items:1:age", "7")];

/// The statistics of one server, each line's name behind `name`.
pub fn statistics(name: &str) -> Vec<u8> {
    let lines = KEPT.map(|(key, value)| format!("STAT {name}{key} {value}\r\n"));
    lines.concat().into_bytes()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A key in base64.
pub fn encode(key: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in key.chunks(3) {
        let number = (0..3).fold(0, |sum, at| {
            sum << 8 | usize::from(chunk.get(at).copied().unwrap_or_default())
        });
        for digit in 0..4 {
            let shift = 18 - 6 * digit;
            text.push(match digit <= chunk.len() {
                true => DIGITS[number >> shift & 63],
                false => b'=',
            });
        }
    }
    text
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for chunk in text.chunks(4) {
        let padding = chunk.iter().filter(|&&byte| byte == b'=').count();
        let number = chunk.iter().try_fold(0, |sum, byte| {
            let digit = DIGITS.iter().position(|digit| digit == byte);
            Some(sum << 6 | digit.or((*byte == b'=').then_some(0))?)
        })?;
        key.extend((0..3 - padding).map(|at| (number >> (16 - 8 * at)) as u8));
    }
    (encode(&key) == text).then_some(key)
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
    let len_at = match words.first().copied() {
        Some(b"set") => Some(4),
        Some(b"ms") => Some(2),
        _ => None,
    };
    if let Some(at) = len_at {
        let len = number(words.get(at))?;
        let Some(data) = block(bytes, used, len)? else {
            return Ok(Command::More(used + len + 2 - bytes.len()));
        };
        args.push(data.to_vec());
        used += len + 2;
    }
    Ok(Command::Whole(args, used))
}

/// The opaque among the flags of a meta reply.
fn opaque(words: &[&[u8]]) -> Result<Option<u32>, String> {
    let flags = words.get(1..).unwrap_or_default();
    let word = flags.iter().find_map(|word| word.strip_prefix(b"O"));
    word.map(|word| number(Some(&word)).map(|number| number as u32))
        .transpose()
}

/// The reply at the start of `bytes`, its length, and its opaque if it has one; `None` when it is not
/// whole.
pub fn read_reply(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize, Option<u32>)>, String> {
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
            Some(b"VA") => {
                let len = number(words.get(1))?;
                let Some(data) = block(bytes, used, len)? else {
                    return Ok(None);
                };
                let key = words[2..].iter().find_map(|word| word.strip_prefix(b"k"));
                let value = vec![Reply::Bulk(key), Reply::Bulk(Some(data))];
                return Ok(Some((
                    Reply::Array(Some(value)),
                    used + len + 2,
                    opaque(&words)?,
                )));
            }
            Some(b"STAT") => {
                values.extend(words[1..].iter().map(|word| Reply::Bulk(Some(word))));
                continue;
            }
            Some(b"END" | b"EN") => Reply::Array(Some(values)),
            Some(b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR") => Reply::Error(text),
            _ if !values.is_empty() => return Err("a line among values".into()),
            Some(b"MN" | b"OK") => Reply::Status(text),
            Some(b"HD") => Reply::Status(b"OK"),
            Some(b"NF") => Reply::Number(0),
            Some(b"STORED") => Reply::Status(b"OK"),
            Some(b"DELETED") => Reply::Number(1),
            Some(b"NOT_FOUND") => Reply::Number(0),
            Some(b"VERSION") => Reply::Status(text),
            word => Reply::Number(number(word.as_ref())? as i64),
        };
        return Ok(Some((reply, used, opaque(&words)?)));
    }
}

/// A line of these words.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut line = words.join(&b' ');
    line.extend_from_slice(b"\r\n");
    line
}

/// A set, with nothing or `noreply` behind it.
pub fn set(key: &[u8], data: &[u8], behind: &[&[u8]]) -> Vec<u8> {
    let len = data.len().to_string();
    let words: [&[u8]; 5] = [b"set", key, b"0", b"0", len.as_bytes()];
    with_data(&[&words, behind].concat(), data)
}

/// A line of these words, and a block.
pub fn with_data(words: &[&[u8]], data: &[u8]) -> Vec<u8> {
    let mut bytes = request(words);
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

/// A command by its first byte: its name has two letters and begins with `m`.
fn is_meta(name: &[u8]) -> bool {
    name.len() == 2 && name[0] == b'm'
}

/// Executes a meta command.
fn execute_meta(store: &mut Store, args: &[Vec<u8>]) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let [name, key, rest @ ..] = args else {
        return Err("a meta command without a key".into());
    };
    // In front of the flags a length, behind them the data.
    let (flags, data) = match (name.as_slice(), rest) {
        (b"ms", [_, flags @ .., data]) => (flags, Some(data)),
        (_, flags) => (flags, None),
    };
    let has = |letter: u8| flags.iter().any(|flag| flag[0] == letter);
    let mut returned = String::new();
    for flag in flags {
        let word = match flag[0] {
            b'k' => [b"k", key.as_slice()].concat(),
            b'O' | b'b' => flag.clone(),
            _ => continue,
        };
        returned += " ";
        returned += &String::from_utf8_lossy(&word);
    }
    let key = match has(b'b') {
        true => &decode(key).ok_or("a key that is no base64")?,
        false => key,
    };
    let echo = value::read_echo(key);
    outcome.marks.extend(echo.map(|echo| echo.mark));
    let found = |data: &[u8]| {
        let head = format!("VA {}{returned}\r\n", data.len());
        [head.as_bytes(), data, b"\r\n"].concat()
    };
    let line = |word: &str| format!("{word}{returned}\r\n").into_bytes();
    // Whether a reply that tells nothing but this is left out.
    let quiet = has(b'q');
    let (reply, is_nominal) = match name.as_slice() {
        b"mg" => {
            let value = match echo {
                Some(echo) if echo.shape != Shape::Value => None,
                Some(echo) => Some(value::make(key, echo.mark, echo.size)),
                None => store.values.get(key).cloned(),
            };
            match value {
                Some(value) => (found(&value), false),
                None => (b"EN\r\n".to_vec(), true),
            }
        }
        b"ms" => {
            let data = data.ok_or("an ms without data")?;
            outcome
                .marks
                .push(value::check(key, data).ok_or("a spoilt value")?);
            store.values.insert(key.clone(), data.clone());
            (line("HD"), true)
        }
        b"md" => match store.values.remove(key) {
            Some(_) => (line("HD"), true),
            None => (line("NF"), true),
        },
        b"ma" => {
            let count = match echo {
                Some(echo) => echo.mark.number(),
                None => {
                    let (number, count) = store.increment(key);
                    outcome.counted = number;
                    count
                }
            };
            (found(count.to_string().as_bytes()), false)
        }
        other => return Err(String::from_utf8_lossy(other).into_owned()),
    };
    if !(quiet && is_nominal) {
        outcome.reply = reply;
    }
    Ok(outcome)
}

/// Executes a command; an error is a command the proxy should never have forwarded.
pub fn execute(store: &mut Store, args: &[Vec<u8>]) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let name = args.first().ok_or("a line without words")?;
    let whole = match name.as_slice() {
        b"version" => Some(reply_to(b"version")),
        b"verbosity" => Some(b"OK\r\n".to_vec()),
        b"stats" => Some([&statistics("")[..], b"END\r\n"].concat()),
        name if is_meta(name) => return execute_meta(store, args),
        _ => None,
    };
    if let Some(reply) = whole {
        outcome.reply = reply;
        return Ok(outcome);
    }
    let silent = args[1..].iter().any(|word| word == b"noreply");
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
            let (number, count) = store.increment(key);
            outcome.counted = number;
            outcome.reply = format!("{count}\r\n").into_bytes();
        }
        other => return Err(String::from_utf8_lossy(other).into_owned()),
    }
    if silent {
        outcome.reply.clear();
    }
    Ok(outcome)
}
