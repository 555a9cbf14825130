//! Redis as the model servers and clients speak it.
//!
//! Written from the protocol's description and sharing nothing with the code under test: requests are
//! held to the one canonical form the proxy must forward, replies to the version they must be in.

use crate::sayings;
use crate::value::{self, Echo, Mark, Shape};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// RESP2.
    #[default]
    Two,
    /// RESP3.
    Three,
}

impl Version {
    /// How nothing is said: a value, or an array, that is not there.
    pub fn nothing(self, old: &'static [u8]) -> &'static [u8] {
        match self {
            Version::Two => old,
            Version::Three => b"_\r\n",
        }
    }
}

/// A reply, in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `+`
    Status(&'a [u8]),
    /// `-`
    Error(&'a [u8]),
    /// `:`
    Number(i64),
    /// `$`, and `_` of RESP3
    Bulk(Option<&'a [u8]>),
    /// `*`
    Array(Option<Vec<Reply<'a>>>),
    /// `%`: keys and values in turn
    Map(Vec<Reply<'a>>),
    /// `~`
    Set(Vec<Reply<'a>>),
    /// `>`
    Push(Vec<Reply<'a>>),
    /// `,`, `#`, `(` or `=`, and what stands behind it
    Typed(u8, &'a [u8]),
}

/// The reply at the start of `bytes` and its length; `None` when it is not whole. What does not belong
/// to the version is an error.
pub fn read_reply(bytes: &[u8], version: Version) -> Result<Option<(Reply<'_>, usize)>, String> {
    read_at(0, bytes, version)
}

/// The same, of what is so many levels deep. What goes deeper is compared byte by byte.
fn read_at(
    depth: usize,
    bytes: &[u8],
    version: Version,
) -> Result<Option<(Reply<'_>, usize)>, String> {
    const DEEPEST: usize = 64;
    if depth > DEEPEST {
        return Err("a reply deeper than was asked for".into());
    }
    let Some((line, mut used)) = line(bytes) else {
        return Ok(None);
    };
    let (&kind, text) = line.split_first().ok_or("an empty line")?;
    let modern = version == Version::Three;
    let reply = match kind {
        b'+' => Reply::Status(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Number(number(text)?),
        b'_' if modern && text.is_empty() => Reply::Bulk(None),
        b',' | b'#' | b'(' if modern => Reply::Typed(kind, text),
        b'$' | b'*' if text == b"-1" && !modern => {
            let nothing = match kind {
                b'$' => Reply::Bulk(None),
                _ => Reply::Array(None),
            };
            return Ok(Some((nothing, used)));
        }
        b'$' | b'=' if kind == b'$' || modern => {
            let end = used + count(text)?;
            match bytes.get(end..end + 2) {
                None => return Ok(None),
                Some(b"\r\n") => {}
                Some(other) => return Err(format!("{other:?} behind a bulk")),
            }
            let bulk = &bytes[used..end];
            used = end + 2;
            match kind {
                b'$' => Reply::Bulk(Some(bulk)),
                _ => Reply::Typed(kind, bulk),
            }
        }
        b'*' | b'%' | b'~' | b'>' if kind == b'*' || modern => {
            let len = count(text)? * if kind == b'%' { 2 } else { 1 };
            let mut elements = Vec::new();
            for _ in 0..len {
                let Some((element, len)) = read_at(depth + 1, &bytes[used..], version)? else {
                    return Ok(None);
                };
                elements.push(element);
                used += len;
            }
            match kind {
                b'*' => Reply::Array(Some(elements)),
                b'%' => Reply::Map(elements),
                b'~' => Reply::Set(elements),
                _ => Reply::Push(elements),
            }
        }
        other => return Err(format!("a reply of kind {:?}", other as char)),
    };
    Ok(Some((reply, used)))
}

fn count(text: &[u8]) -> Result<usize, String> {
    usize::try_from(number(text)?)
        .map_err(|_| format!("{} elements", String::from_utf8_lossy(text)))
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

/// Writes a bulk.
pub fn bulk(bytes: &mut Vec<u8>, text: &[u8]) {
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
pub fn echo_reply(key: &[u8], echo: Echo, version: Version) -> Vec<u8> {
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
        Shape::Nil => reply.extend_from_slice(version.nothing(b"$-1\r\n")),
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
            reply.extend_from_slice(version.nothing(b"*-1\r\n"));
            reply.extend_from_slice(b"*1\r\n*1\r\n");
            element(&mut reply, 1);
        }
        Shape::Map => {
            let head = match version {
                Version::Two => format!("*{}\r\n", 2 * count),
                Version::Three => format!("%{count}\r\n"),
            };
            reply.extend_from_slice(head.as_bytes());
            for index in 0..count {
                bulk(&mut reply, format!("field{index}").as_bytes());
                element(&mut reply, index);
            }
        }
        Shape::Kinds => {
            let (name, large) = (format!("{conn}.{seq}.{part}"), mark.number());
            let text = match version {
                Version::Two => format!(
                    "*4\r\n$3\r\n1.5\r\n:1\r\n${}\r\n{large}\r\n${}\r\n{name}\r\n",
                    large.to_string().len(),
                    name.len()
                ),
                Version::Three => format!(
                    "~4\r\n,1.5\r\n#t\r\n({large}\r\n={}\r\ntxt:{name}\r\n",
                    name.len() + 4
                ),
            };
            reply.extend_from_slice(text.as_bytes());
        }
        Shape::Legal => return sayings::reply(key, echo, version),
        Shape::Empty => reply.extend_from_slice(b"*0\r\n"),
        Shape::NilArray => reply.extend_from_slice(version.nothing(b"*-1\r\n")),
    }
    reply
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
pub fn reply_to(key: &[u8], version: Version) -> Vec<u8> {
    match value::read_echo(key) {
        Some(echo) => echo_reply(key, echo, version),
        None => echo_bulk(key),
    }
}

/// `text` as a bulk.
pub fn echo_bulk(text: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    bulk(&mut reply, text);
    reply
}
