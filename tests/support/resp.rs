//! As much RESP2 as tests need: commands as bytes, replies as values. Written for clarity and
//! independent of the proxy's own parser, which it helps to judge.

use super::shown;

/// A reply of a Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+text`
    Status(String),
    /// `-text`
    Error(String),
    /// `:number`
    Integer(i64),
    /// `$length` and bytes; `None` is `$-1`.
    Bulk(Option<Vec<u8>>),
    /// `*count` and elements; `None` is `*-1`.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// `+OK`.
    pub fn ok() -> Self {
        Self::Status("OK".into())
    }

    /// A bulk string of these bytes.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(Some(bytes.as_ref().to_vec()))
    }

    /// In short, for tables: `+OK`, `-ERR x`, `:1`, `'text'`, `nil`, `[:1 'a']`, `[]`.
    pub fn brief(&self) -> String {
        match self {
            Self::Status(text) => format!("+{text}"),
            Self::Error(text) => format!("-{text}"),
            Self::Integer(number) => format!(":{number}"),
            Self::Bulk(Some(bytes)) => format!("'{}'", shown(bytes)),
            Self::Bulk(None) | Self::Array(None) => "nil".into(),
            Self::Array(Some(elements)) => {
                let elements: Vec<_> = elements.iter().map(Self::brief).collect();
                format!("[{}]", elements.join(" "))
            }
        }
    }

    /// The bytes of a bulk string.
    #[track_caller]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Bulk(Some(bytes)) => bytes,
            other => panic!("expected a bulk string, got {other:?}"),
        }
    }

    /// The elements of an array.
    #[track_caller]
    pub fn elements(self) -> Vec<Reply> {
        match self {
            Self::Array(Some(elements)) => elements,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// The text of an error.
    #[track_caller]
    pub fn error(self) -> String {
        match self {
            Self::Error(text) => text,
            other => panic!("expected an error, got {other:?}"),
        }
    }
}

/// A command as an array of bulk strings.
pub fn command<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, words);
    bytes
}

/// Several commands behind one another, each a line of words separated by spaces.
pub fn pipeline(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        append(&mut bytes, &line.split(' ').collect::<Vec<_>>());
    }
    bytes
}

/// The commands of `text` as arrays of bulk strings. Words are separated by spaces, commands by
/// ` | `; `"..."` holds a word with spaces or `\xNN`, `\r`, `\n`, `\"`, `\\`.
pub fn words(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut command: Vec<Vec<u8>> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, length) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_word(quoted),
            None => {
                let length = rest.find(' ').unwrap_or(rest.len());
                (rest.as_bytes()[..length].to_vec(), length)
            }
        };
        if word == b"|" {
            append(&mut bytes, &std::mem::take(&mut command));
        } else {
            command.push(word);
        }
        rest = rest[length..].trim_start_matches(' ');
    }
    append(&mut bytes, &command);
    bytes
}

/// The word behind an opening quote, and its length in the text, both quotes included.
fn quoted_word(text: &str) -> (Vec<u8>, usize) {
    let (mut word, mut at) = (Vec::new(), 0);
    let bytes = text.as_bytes();
    loop {
        match bytes[at] {
            b'"' => return (word, at + 2),
            b'\\' => {
                at += 2;
                word.push(match bytes[at - 1] {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b'x' => {
                        at += 2;
                        u8::from_str_radix(&text[at - 2..at], 16).expect("two hex digits")
                    }
                    other => other,
                });
            }
            other => {
                at += 1;
                word.push(other);
            }
        }
    }
}

/// Appends a command as an array of bulk strings.
pub fn append<W: AsRef<[u8]>>(bytes: &mut Vec<u8>, words: &[W]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// The length of the reply at the start of `bytes`, or how many bytes there must be at least
/// before it is worth to look again.
pub fn length(bytes: &[u8]) -> Result<usize, usize> {
    let line = bytes
        .windows(2)
        .position(|two| two == b"\r\n")
        .ok_or(bytes.len() + 1)?;
    let number = || {
        std::str::from_utf8(&bytes[1..line])
            .ok()?
            .parse::<usize>()
            .ok()
    };
    let mut end = line + 2;
    match (bytes[0], number()) {
        (b'$', Some(length)) => {
            end += length + 2;
            if bytes.len() < end { Err(end) } else { Ok(end) }
        }
        (b'*', Some(count)) => {
            for _ in 0..count {
                end += length(&bytes[end..]).map_err(|least| end + least)?;
            }
            Ok(end)
        }
        _ => Ok(end),
    }
}

/// The reply at the start of `bytes` and its length; `None` if it is not all there.
#[track_caller]
pub fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let length = bytes.windows(2).position(|two| two == b"\r\n")?;
    let (line, used) = (&bytes[..length], length + 2);
    let Some((kind, rest)) = line.split_first() else {
        panic!("empty line: {}", shown(bytes))
    };
    let text = String::from_utf8_lossy(rest).into_owned();
    let number = || -> i64 {
        text.parse()
            .unwrap_or_else(|_| panic!("no number in a reply: {}", shown(bytes)))
    };
    match kind {
        b'+' => Some((Reply::Status(text), used)),
        b'-' => Some((Reply::Error(text), used)),
        b':' => Some((Reply::Integer(number()), used)),
        b'$' => bulk(bytes, used, number()),
        b'*' => array(bytes, used, number()),
        // RESP3: a map is the array it would be in RESP2, and null the missing string.
        b'%' => array(bytes, used, 2 * number()),
        b'_' => Some((Reply::Bulk(None), used)),
        _ => panic!("not a reply: {}", shown(bytes)),
    }
}

fn bulk(bytes: &[u8], start: usize, length: i64) -> Option<(Reply, usize)> {
    let Ok(length) = usize::try_from(length) else {
        return Some((Reply::Bulk(None), start));
    };
    let end = start + length;
    let terminator = bytes.get(end..end + 2)?;
    assert_eq!(
        terminator,
        b"\r\n",
        "bulk of {length} bytes: {}",
        shown(bytes)
    );
    Some((Reply::bulk(&bytes[start..end]), end + 2))
}

fn array(bytes: &[u8], start: usize, count: i64) -> Option<(Reply, usize)> {
    if count < 0 {
        return Some((Reply::Array(None), start));
    }
    let (mut elements, mut used) = (Vec::new(), start);
    for _ in 0..count {
        let (element, length) = parse(&bytes[used..])?;
        elements.push(element);
        used += length;
    }
    Some((Reply::Array(Some(elements)), used))
}
