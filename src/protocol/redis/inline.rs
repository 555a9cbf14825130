//! Requests typed by hand: one line of words instead of an array of bulk strings.
//!
//! An inline request is written anew as an array before anything else looks at it: servers only ever
//! see the one form whose framing is checked.

use memchr::memchr;

use crate::protocol::{Excess, Limits, Refusal};

/// What a line at the start of a client's bytes came to.
#[derive(Debug, PartialEq)]
pub enum Inline {
    /// Its end is missing.
    More,
    /// The request as an array, or nothing for an empty line, and the bytes the line takes.
    Line(Vec<u8>, usize),
}

/// Reads the line at the start of `bytes`.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Inline, Refusal> {
    let Some(newline) = memchr(b'\n', &bytes[..bytes.len().min(limits.inline)]) else {
        return if bytes.len() < limits.inline {
            Ok(Inline::More)
        } else {
            Err(protocol_error("too big inline request").beyond(Excess::Inline))
        };
    };
    let line = &bytes[..newline];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words = words(line).ok_or_else(|| protocol_error("unbalanced quotes in request"))?;
    // A browser that was talked into speaking to us must not get to its second line.
    if let Some(first) = words.first()
        && (first.eq_ignore_ascii_case(b"POST") || first.eq_ignore_ascii_case(b"Host:"))
    {
        return Err(protocol_error("this is not an HTTP server"));
    }
    Ok(Inline::Line(encode(&words), newline + 1))
}

/// A request of these words in the form servers are sent; nothing for none.
pub fn encode(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut request = Vec::new();
    if words.is_empty() {
        return request;
    }
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    request
}

/// The words of a line: separated by blanks, quoted as in C with `"` or literally with `'`. `None`
/// when a quote is not closed, or something stands right behind its end.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_blank(byte)) {
            at += 1;
        }
        if at == line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(&byte) = line.get(at).filter(|&&byte| !is_blank(byte)) {
            at += 1;
            match byte {
                b'"' | b'\'' => {
                    at = quoted(line, at, byte, &mut word)?;
                    if line.get(at).is_some_and(|&byte| !is_blank(byte)) {
                        return None;
                    }
                    break;
                }
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
}

/// Appends what stands in quotes from `at` on, and says where it ends.
fn quoted(line: &[u8], mut at: usize, quote: u8, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        at += 1;
        match byte {
            _ if byte == quote => return Some(at),
            b'\\' if quote == b'\'' && line.get(at) == Some(&b'\'') => {
                word.push(b'\'');
                at += 1;
            }
            b'\\' if quote == b'"' => {
                let escaped = *line.get(at)?;
                at += 1;
                let hex = line.get(at..at + 2).and_then(hex_byte);
                match (escaped, hex) {
                    (b'x', Some(byte)) => {
                        word.push(byte);
                        at += 2;
                    }
                    (b'n', _) => word.push(b'\n'),
                    (b'r', _) => word.push(b'\r'),
                    (b't', _) => word.push(b'\t'),
                    (b'b', _) => word.push(8),
                    (b'a', _) => word.push(7),
                    _ => word.push(escaped),
                }
            }
            _ => word.push(byte),
        }
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | 0)
}

fn protocol_error(text: &str) -> Refusal {
    Refusal::new("-ERR Protocol error: ", text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_an_array() {
        for (line, expected) in [
            ("PING\r\n", "*1\r\n$4\r\nPING\r\n"),
            ("PING\n", "*1\r\n$4\r\nPING\r\n"),
            (
                "  set a\t \"b c\" \r\n",
                "*3\r\n$3\r\nset\r\n$1\r\na\r\n$3\r\nb c\r\n",
            ),
            ("\r\n", ""),
            ("   \n", ""),
            ("echo ''\n", "*2\r\n$4\r\necho\r\n$0\r\n\r\n"),
            (
                "echo 'it\\'s \\n'\n",
                "*2\r\n$4\r\necho\r\n$7\r\nit's \\n\r\n",
            ),
            (
                "echo \"\\x41\\n\\\"\\xzz\"\n",
                "*2\r\n$4\r\necho\r\n$6\r\nA\n\"xzz\r\n",
            ),
        ] {
            let read = super::read(format!("{line}next").as_bytes(), &Limits::REDIS);
            let expected = Inline::Line(expected.into(), line.len());
            assert_eq!(read, Ok(expected), "{line:?}");
            for cut in 0..line.len() {
                let read = super::read(&line.as_bytes()[..cut], &Limits::REDIS);
                assert_eq!(read, Ok(Inline::More), "{line:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_line_of_words_is_refused() {
        for (line, text) in [
            ("set a \"b\n", "unbalanced quotes in request"),
            ("set a \"b\"c\n", "unbalanced quotes in request"),
            ("set a 'b\n", "unbalanced quotes in request"),
            ("POST / HTTP/1.1\r\n", "this is not an HTTP server"),
            ("host: 127.0.0.1\r\n", "this is not an HTTP server"),
        ] {
            assert_eq!(
                read(line.as_bytes(), &Limits::REDIS),
                Err(protocol_error(text)),
                "{line:?}"
            );
        }
        let long = vec![b'a'; Limits::REDIS.inline];
        let text = "too big inline request";
        assert_eq!(read(&long, &Limits::REDIS), Err(protocol_error(text)));
        assert_eq!(read(&long[1..], &Limits::REDIS), Ok(Inline::More));
    }
}
