//! memcached as the model servers and clients speak it: the text protocol, classic and meta commands.
//!
//! Like `redis` it shares nothing with the code under test. Replies are read into the same [`Reply`],
//! so that one judge does for both: `STORED` is a status, the values of a get are an array of keys and
//! values, one behind the other.

use crate::cache::{self, Mode, Put};
use crate::redis::{Command, Reply};
use crate::store::{Outcome, Store};
use crate::value::{self, Echo, Shape};

/// How it is counted that a server was sent the gets of several requests in one line.
pub const BUNDLED: &str = "gets of several requests in one";

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
    if text.ends_with(b" ") {
        // Only the proxy writes that, behind the keys of a part of a get.
        args.push(Vec::new());
    }
    let len_at = match words.first().copied() {
        Some(b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas") => Some(4),
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
                let (key, unique) = (words.get(1).copied(), words.get(4).copied());
                let echo = key.and_then(value::read_echo);
                if let (Some(echo), Some(unique)) = (echo, unique)
                    && unique != cache::unique_of_echo(echo.mark).to_string().as_bytes()
                {
                    return Err("another value's unique number".into());
                }
                values.push(Reply::Bulk(key));
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
            Some(b"MN" | b"OK" | b"ME" | b"NOT_STORED" | b"EXISTS") => Reply::Status(text),
            Some(b"HD") => Reply::Status(b"OK"),
            Some(b"NS") => Reply::Status(b"NOT_STORED"),
            Some(b"EX") => Reply::Status(b"EXISTS"),
            Some(b"NF") => Reply::Number(0),
            Some(b"STORED") => Reply::Status(b"OK"),
            Some(b"DELETED" | b"TOUCHED") => Reply::Number(1),
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
    store(b"set", key, data, behind)
}

/// A set or the like, with this behind its length.
pub fn store(name: &[u8], key: &[u8], data: &[u8], behind: &[&[u8]]) -> Vec<u8> {
    store_until(b"0", name, key, data, behind)
}

/// The same with an expiry time.
pub fn store_until(
    expiry: &[u8],
    name: &[u8],
    key: &[u8],
    data: &[u8],
    behind: &[&[u8]],
) -> Vec<u8> {
    let len = data.len().to_string();
    let words: [&[u8]; 5] = [name, key, b"0", expiry, len.as_bytes()];
    with_data(&[&words, behind].concat(), data)
}

/// A line of these words, and a block.
pub fn with_data(words: &[&[u8]], data: &[u8]) -> Vec<u8> {
    let mut bytes = request(words);
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn push_value(reply: &mut Vec<u8>, key: &[u8], data: &[u8], unique: Option<u64>) {
    let (len, unique) = (
        data.len().to_string(),
        unique.map(|unique| unique.to_string()),
    );
    let mut words: Vec<&[u8]> = vec![b"VALUE", key, b"0", len.as_bytes()];
    words.extend(unique.as_ref().map(String::as_bytes));
    reply.extend(request(&words));
    reply.extend_from_slice(data);
    reply.extend_from_slice(b"\r\n");
}

/// The same values and END, the last value first: a server may name them as it likes.
pub fn turned_round(reply: &[u8]) -> Vec<u8> {
    let blocks = blocks(reply);
    let values = blocks.iter().map(|block| block.len()).sum::<usize>();
    let turned = blocks.into_iter().rev();
    turned
        .chain([&reply[values..]])
        .collect::<Vec<_>>()
        .concat()
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
                push_value(&mut reply, key, &value::make(key, mark, size), None);
            }
            reply.extend_from_slice(b"END\r\n");
            reply
        }
    }
}

/// The reply to a `me` of an echo key.
pub fn debug_reply(key: &[u8]) -> Vec<u8> {
    match value::read_echo(key) {
        Some(echo) if echo.shape == Shape::Value => {
            let numbers = format!(
                " exp=-1 la={} cas=7 fetch=no cls=1 size=70\r\n",
                echo.mark.seq
            );
            [b"ME ", key, numbers.as_bytes()].concat()
        }
        _ => b"EN\r\n".to_vec(),
    }
}

fn unique_from(word: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(word).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{text:?} is no unique number"))
}

/// The unique number in a reply to a get of one key, classic or meta.
pub fn unique_in(reply: &[u8]) -> Option<u64> {
    let (text, _) = line(reply)?;
    let words = words(text);
    let word = match words.first().copied()? {
        b"VALUE" => words.get(4).copied()?,
        _ => words[2..].iter().find_map(|word| word.strip_prefix(b"c"))?,
    };
    unique_from(word).ok()
}

/// What a part of a get may be answered with that fits no get, or not this one.
pub fn misfit(reply: &[u8], choice: usize) -> Vec<u8> {
    let blocks = blocks(reply);
    match (choice, &blocks[..]) {
        (0, _) => b"SERVER_ERROR misfit\r\n".to_vec(),
        (1, _) => b"STORED\r\n".to_vec(),
        (2, _) => b"$3\r\nfit\r\n".to_vec(),
        (3, _) => [&b"VALUE "[..], &[b'k'; 3000]].concat(),
        // A value too many.
        (4, [.., last]) => [blocks.concat().as_slice(), last, b"END\r\n"].concat(),
        // In another order.
        (5, [first, second, rest @ ..]) if first != second => {
            [*second, *first, &rest.concat(), b"END\r\n"].concat()
        }
        // Of another key.
        _ => b"VALUE e:0:0:0:V:9:1: 0 9\r\nfor other\r\nEND\r\n".to_vec(),
    }
}

/// The values of a reply to a get, each with its line.
pub fn blocks(mut reply: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while let Some((text, used)) = line(reply)
        && text.starts_with(b"VALUE ")
        && let Ok(len) = number(words(text).get(3))
        && let Some((block, rest)) = reply.split_at_checked(used + len + 2)
    {
        blocks.push(block);
        reply = rest;
    }
    blocks
}

/// Which request of which connection a value answers that names an echo key.
pub fn asked_by(block: &[u8]) -> Option<(u32, u32)> {
    let (text, _) = line(block)?;
    let echo = value::read_echo(words(text).get(1)?)?;
    Some((echo.mark.conn, echo.mark.seq))
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
    let token = |letter: u8| {
        flags
            .iter()
            .find(|flag| flag[0] == letter)
            .map(|flag| &flag[1..])
    };
    let echo = value::read_echo(key);
    let found = |data: &[u8]| {
        let head = format!("VA {}{returned}\r\n", data.len());
        [head.as_bytes(), data, b"\r\n"].concat()
    };
    let line = |word: &str| format!("{word}{returned}\r\n").into_bytes();
    // Whether a reply that tells nothing but this is left out.
    let quiet = has(b'q');
    let (reply, is_nominal) = match name.as_slice() {
        b"mg" => match store.look(key, &mut outcome) {
            None => (b"EN\r\n".to_vec(), true),
            Some(_) if !has(b'v') => (line("HD"), false),
            Some((value, unique)) => {
                if has(b'c') {
                    returned = format!(" c{unique}{returned}");
                }
                let head = format!("VA {}{returned}\r\n", value.len());
                ([head.as_bytes(), &value, b"\r\n"].concat(), false)
            }
        },
        b"ms" => {
            let data = data.ok_or("an ms without data")?;
            let mode = match (token(b'M'), token(b'C')) {
                (_, Some(unique)) => Mode::Cas(unique_from(unique)?),
                (Some(b"E"), _) => Mode::Add,
                (Some(b"R"), _) => Mode::Replace,
                (Some(b"A" | b"P"), _) => Mode::Extend,
                _ => Mode::Set,
            };
            match store.put(key, data, mode, &mut outcome)? {
                Put::Stored => (line("HD"), true),
                Put::NotStored => (line("NS"), false),
                Put::Exists => (line("EX"), false),
                Put::NotFound => (line("NF"), false),
            }
        }
        b"me" => (debug_reply(key), false),
        b"md" => match store.values.remove(key) {
            Some(_) => (line("HD"), true),
            None => (line("NF"), true),
        },
        b"ma" => {
            outcome.marks.extend(echo.map(|echo| echo.mark));
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
        b"verbosity" | b"flush_all" => {
            let number = args.get(1).and_then(|word| std::str::from_utf8(word).ok());
            let number = number.and_then(|text| text.parse().ok());
            match name.as_slice() {
                b"flush_all" => store.flush(number, &mut outcome),
                _ => outcome.everywhere = number.and_then(cache::mark_of),
            }
            let silent = args.last().is_some_and(|word| word == b"noreply");
            Some(if silent {
                Vec::new()
            } else {
                b"OK\r\n".to_vec()
            })
        }
        // As memcached does: no end.
        b"stats" if args.get(1).is_some_and(|word| word == b"sizes_enable") => {
            Some(b"STAT sizes_status enabled\r\n".to_vec())
        }
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
        b"get" | b"gets" | b"gat" | b"gats" => {
            let ahead = if name.starts_with(b"gat") { 2 } else { 1 };
            let mut keys = args.get(ahead..).ok_or("a get without a key")?;
            if let [front @ .., last] = keys
                && last.is_empty()
            {
                (keys, outcome.is_fragment) = (front, true);
            }
            // In their order, and as often as they are named.
            for key in keys {
                if let Some((data, unique)) = store.look(key, &mut outcome) {
                    let unique = name.ends_with(b"s").then_some(unique);
                    push_value(&mut outcome.reply, key, &data, unique);
                }
            }
            outcome.reply.extend_from_slice(b"END\r\n");
        }
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
            let data = args.last().ok_or("a set without data")?;
            let expiry = args.get(3).and_then(|word| std::str::from_utf8(word).ok());
            let is_known = expiry.is_some_and(|expiry| expiry.parse::<i32>().is_ok());
            if !is_known {
                return Err("an expiry time that not every version takes".to_owned());
            }
            let mode = match name.as_slice() {
                b"set" => Mode::Set,
                b"add" => Mode::Add,
                b"replace" => Mode::Replace,
                b"cas" => Mode::Cas(unique_from(args.get(5).ok_or("a cas without a number")?)?),
                _ => Mode::Extend,
            };
            let reply: &[u8] = match store.put(key, data, mode, &mut outcome)? {
                Put::Stored => b"STORED\r\n",
                Put::NotStored => b"NOT_STORED\r\n",
                Put::Exists => b"EXISTS\r\n",
                Put::NotFound => b"NOT_FOUND\r\n",
            };
            outcome.reply = reply.to_vec();
        }
        b"touch" => {
            let expiry = args.get(2).ok_or("a touch without a time")?;
            let reply: &[u8] = match store.touch(key, expiry, &mut outcome) {
                true => b"TOUCHED\r\n",
                false => b"NOT_FOUND\r\n",
            };
            outcome.reply = reply.to_vec();
        }
        b"delete" | b"incr" | b"decr" if value::read_echo(key).is_some() => {
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
