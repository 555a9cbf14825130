//! Redis as the model servers and clients speak it.
//!
//! Written from the protocol's description and sharing nothing with the code under test: requests are
//! held to the one canonical form the proxy must forward, replies to RESP2.

use crate::value::{self, Echo, Mark, Shape};

/// A reply, in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `+`
    Status(&'a [u8]),
    /// `-`
    Error(&'a [u8]),
    /// `:`
    Number(i64),
    /// `$`
    Bulk(Option<&'a [u8]>),
    /// `*`
    Array(Option<Vec<Reply<'a>>>),
}

/// The reply at the start of `bytes` and its length; `None` when it is not whole.
pub fn read_reply(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, String> {
    let Some((line, mut used)) = line(bytes) else {
        return Ok(None);
    };
    let (&kind, text) = line.split_first().ok_or("an empty line")?;
    let reply = match kind {
        b'+' => Reply::Status(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Number(number(text)?),
        b'$' => {
            let len = number(text)?;
            if len < 0 {
                return Ok(Some((Reply::Bulk(None), used)));
            }
            let end = used + len as usize;
            match bytes.get(end..end + 2) {
                None => return Ok(None),
                Some(b"\r\n") => {}
                Some(other) => return Err(format!("{other:?} behind a bulk")),
            }
            let bulk = &bytes[used..end];
            used = end + 2;
            Reply::Bulk(Some(bulk))
        }
        b'*' => {
            let len = number(text)?;
            if len < 0 {
                return Ok(Some((Reply::Array(None), used)));
            }
            let mut elements = Vec::new();
            for _ in 0..len {
                let Some((element, len)) = read_reply(&bytes[used..])? else {
                    return Ok(None);
                };
                elements.push(element);
                used += len;
            }
            Reply::Array(Some(elements))
        }
        other => return Err(format!("a reply of kind {:?}", other as char)),
    };
    Ok(Some((reply, used)))
}

fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes
        .windows(2)
        .take(1 << 17)
        .position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

fn number(text: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{:?} is no number", String::from_utf8_lossy(text)))
}

/// A request of these arguments.
pub fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bulk(&mut bytes, arg);
    }
    bytes
}

/// The arguments of a request that was made here.
pub fn arguments(request: &[u8]) -> Vec<Vec<u8>> {
    match read_command(request) {
        Ok(Command::Whole(args, _)) => args,
        other => panic!("{other:?}"),
    }
}

fn bulk(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    bytes.extend_from_slice(text);
    bytes.extend_from_slice(b"\r\n");
}

/// What stands at the start of a server's input.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// A whole command: its arguments and its length.
    Whole(Vec<Vec<u8>>, usize),
    /// More is needed; with the bytes still missing of the argument at hand, if known.
    More(usize),
}

/// The command at the start of `bytes`. Whatever is not in canonical form is an error.
pub fn read_command(bytes: &[u8]) -> Result<Command, String> {
    let Some((header, mut used)) = header(bytes, b'*')? else {
        return Ok(Command::More(0));
    };
    let mut args = Vec::new();
    for _ in 0..header {
        let Some((len, line)) = self::header(&bytes[used..], b'$')? else {
            return Ok(Command::More(0));
        };
        used += line;
        let end = used + len;
        match bytes.get(end..end + 2) {
            None => return Ok(Command::More(end + 2 - bytes.len())),
            Some(b"\r\n") => args.push(bytes[used..end].to_vec()),
            Some(other) => return Err(format!("{other:?} behind an argument")),
        }
        used = end + 2;
    }
    Ok(Command::Whole(args, used))
}

fn header(bytes: &[u8], mark: u8) -> Result<Option<(usize, usize)>, String> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    if first != mark {
        return Err(format!("{:?} instead of {:?}", shown(), mark as char));
    }
    let Some((line, used)) = line(&bytes[..bytes.len().min(40)]) else {
        return if bytes.len() < 40 {
            Ok(None)
        } else {
            Err(shown())
        };
    };
    let digits = &line[1..];
    let canonical = !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || digits.len() == 1 && mark == b'$');
    if !canonical {
        return Err(shown());
    }
    Ok(Some((number(digits)? as usize, used)))
}

/// The reply to an echo key.
pub fn echo_reply(key: &[u8], echo: Echo) -> Vec<u8> {
    let Echo {
        mark,
        shape,
        size,
        count,
    } = echo;
    let Mark { conn, seq, part } = mark;
    let mut reply = Vec::new();
    let element = |reply: &mut Vec<u8>, index: usize| {
        let mark = Mark {
            part: part + index as u32,
            ..mark
        };
        bulk(reply, &value::make(key, mark, size));
    };
    match shape {
        Shape::Value => element(&mut reply, 0),
        Shape::Nil => reply.extend_from_slice(b"$-1\r\n"),
        Shape::Number => reply.extend_from_slice(format!(":{}\r\n", mark.number()).as_bytes()),
        Shape::Status => reply.extend_from_slice(format!("+s{conn}.{seq}.{part}\r\n").as_bytes()),
        Shape::Error => {
            let word = ["ERR", "WRONGTYPE", "OOM", "BUSY"][seq as usize % 4];
            reply.extend_from_slice(format!("-{word} e{conn}.{seq}.{part}\r\n").as_bytes());
        }
        Shape::Array => {
            reply.extend_from_slice(format!("*{count}\r\n").as_bytes());
            (0..count).for_each(|index| element(&mut reply, index));
        }
        Shape::Nested => {
            reply.extend_from_slice(b"*3\r\n*2\r\n:-7\r\n");
            element(&mut reply, 0);
            reply.extend_from_slice(b"*-1\r\n*1\r\n*1\r\n");
            element(&mut reply, 1);
        }
        Shape::Empty => reply.extend_from_slice(b"*0\r\n"),
        Shape::NilArray => reply.extend_from_slice(b"*-1\r\n"),
    }
    reply
}

/// What every server says its size is.
pub const SIZE: usize = 7;

/// What stands once in every server's slow log.
pub fn entry() -> Reply<'static> {
    Reply::Array(Some(vec![Reply::Number(1), Reply::Status(b"entry")]))
}

/// What a server keeps.
#[derive(Debug, Default)]
pub struct Store {
    /// Values of owned keys.
    pub values: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    /// Counters.
    pub counters: std::collections::BTreeMap<Vec<u8>, i64>,
}

/// What executing a command came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The reply.
    pub reply: Vec<u8>,
    /// The parts of requests that were executed.
    pub marks: Vec<Mark>,
    /// The counter that was incremented.
    pub counted: Option<usize>,
    /// Whether this is a part of a split request, whose reply will be merged.
    pub is_fragment: bool,
}

impl Store {
    /// Executes a command; an error is a command the proxy should never have forwarded.
    pub fn execute(&mut self, args: &[Vec<u8>]) -> Result<Outcome, String> {
        let name = args.first().ok_or("a command without a name")?;
        let upper = name.to_ascii_uppercase();
        let mut outcome = Outcome {
            // Only the proxy writes these names in lower case.
            is_fragment: [
                &b"mget"[..],
                b"mset",
                b"del",
                b"unlink",
                b"exists",
                b"touch",
            ]
            .contains(&name.as_slice()),
            ..Outcome::default()
        };
        match upper.as_slice() {
            b"INFO" => outcome.reply = echo_bulk(b"redis_version:7.0.15\r\n"),
            b"COMMAND"
                if args
                    .get(1)
                    .is_some_and(|arg| arg.eq_ignore_ascii_case(b"INFO")) =>
            {
                let name = args.get(2).ok_or("COMMAND INFO of nothing")?;
                outcome.reply = if name.eq_ignore_ascii_case(b"sim.echo") {
                    b"*1\r\n*6\r\n$8\r\nsim.echo\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n".to_vec()
                } else {
                    b"*1\r\n*-1\r\n".to_vec()
                };
            }
            b"DBSIZE" => outcome.reply = format!(":{SIZE}\r\n").into_bytes(),
            b"SLOWLOG" => outcome.reply = b"*1\r\n*2\r\n:1\r\n+entry\r\n".to_vec(),
            b"MGET" => {
                outcome.reply = format!("*{}\r\n", args.len() - 1).into_bytes();
                for key in &args[1..] {
                    self.fetch(key, &mut outcome);
                }
            }
            b"DEL" | b"UNLINK" | b"EXISTS" | b"TOUCH" => {
                let removes = upper == b"DEL" || upper == b"UNLINK";
                let mut count = 0;
                for key in &args[1..] {
                    count += usize::from(match value::read_echo(key) {
                        Some(echo) => {
                            outcome.marks.push(echo.mark);
                            echo.shape == Shape::Value
                        }
                        None if removes => self.values.remove(key).is_some(),
                        None => self.values.contains_key(key),
                    });
                }
                outcome.reply = format!(":{count}\r\n").into_bytes();
            }
            b"SET" | b"MSET" => {
                if args.len().is_multiple_of(2) {
                    return Err("SET with half a pair".into());
                }
                for pair in args[1..].chunks(2) {
                    self.store(&pair[0], &pair[1], &mut outcome)?;
                }
                outcome.reply = b"+OK\r\n".to_vec();
            }
            b"XREAD" => {
                let key = args.get(4).ok_or("XREAD without a key")?;
                self.single(&upper, key, &[], &mut outcome)?;
            }
            b"EVAL" => {
                let key = args.get(3).ok_or("EVAL without a key")?;
                self.single(&upper, key, &args[4..], &mut outcome)?;
            }
            _ => {
                let key = args.get(1).ok_or("a command without a key")?;
                self.single(&upper, key, &args[2..], &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    fn single(
        &mut self,
        name: &[u8],
        key: &[u8],
        rest: &[Vec<u8>],
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        if name == b"INCR" {
            let (number, count) = self.increment(key);
            outcome.counted = number;
            outcome.reply = format!(":{count}\r\n").into_bytes();
            return Ok(());
        }
        let Some(echo) = value::read_echo(key) else {
            if name == b"GET" {
                self.fetch(key, outcome);
                return Ok(());
            }
            let key = String::from_utf8_lossy(key);
            return Err(format!("{} of {key}", String::from_utf8_lossy(name)));
        };
        if name == b"APPEND" || name == b"RPUSH" {
            for value in rest {
                if value::check(key, value).is_none() {
                    return Err(format!(
                        "a spoilt argument of {}",
                        String::from_utf8_lossy(key)
                    ));
                }
            }
        }
        outcome.marks.push(echo.mark);
        outcome.reply = echo_reply(key, echo);
        Ok(())
    }

    /// Increments a counter; gives its number among the pool's, and its value.
    pub fn increment(&mut self, key: &[u8]) -> (Option<usize>, i64) {
        let count = self.counters.entry(key.to_vec()).or_default();
        *count += 1;
        let text = key.rsplit(|&byte| byte == b':').next();
        let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        (number, *count)
    }

    fn fetch(&mut self, key: &[u8], outcome: &mut Outcome) {
        match (value::read_echo(key), self.values.get(key)) {
            (Some(echo), _) => {
                outcome.marks.push(echo.mark);
                outcome.reply.extend(echo_reply(key, echo));
            }
            (None, Some(value)) => bulk(&mut outcome.reply, value),
            (None, None) => outcome.reply.extend_from_slice(b"$-1\r\n"),
        }
    }

    fn store(&mut self, key: &[u8], value: &[u8], outcome: &mut Outcome) -> Result<(), String> {
        let Some(mark) = value::check(key, value) else {
            return Err(format!(
                "a spoilt value of {}",
                String::from_utf8_lossy(key)
            ));
        };
        outcome.marks.push(mark);
        self.values.insert(key.to_vec(), value.to_vec());
        Ok(())
    }
}

/// Bytes the incomplete reply at the start of `bytes` must at least have to be whole.
pub fn reply_least(bytes: &[u8]) -> usize {
    match line(bytes) {
        Some(([b'$', digits @ ..], used)) => {
            let len = number(digits)
                .ok()
                .and_then(|len| usize::try_from(len).ok());
            len.map_or(0, |len| used + len + 2)
        }
        _ => 0,
    }
}

/// The reply to a request for an echo key.
pub fn reply_to(key: &[u8]) -> Vec<u8> {
    match value::read_echo(key) {
        Some(echo) => echo_reply(key, echo),
        None => echo_bulk(key),
    }
}

/// `text` as a bulk.
pub fn echo_bulk(text: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    bulk(&mut reply, text);
    reply
}
