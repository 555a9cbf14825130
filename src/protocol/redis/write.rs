//! Replies of our own, in the version of the protocol their client speaks.

/// The version of RESP a client, or a connection to a server, speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What everybody speaks who did not say otherwise.
    #[default]
    Resp2,
    /// Spoken after `HELLO 3`.
    Resp3,
}

impl Version {
    /// As in `HELLO 3`.
    pub fn number(self) -> i64 {
        match self {
            Version::Resp2 => 2,
            Version::Resp3 => 3,
        }
    }
}

/// One reply being written. Elements of aggregates follow their heads.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    version: Version,
}

impl Writer {
    /// An empty reply for a client that speaks `version`.
    pub fn new(version: Version) -> Self {
        Self {
            out: Vec::new(),
            version,
        }
    }

    /// The bytes to send.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn line(&mut self, mark: u8, text: &[u8]) -> &mut Self {
        self.out.push(mark);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    fn number(&mut self, mark: u8, number: i64) -> &mut Self {
        // Most are small: lengths of names, arities, places of keys.
        match u8::try_from(number) {
            Ok(digit @ 0..=9) => {
                let line = [mark, b'0' + digit, b'\r', b'\n'];
                self.out.extend_from_slice(&line);
                self
            }
            _ => self.line(mark, number.to_string().as_bytes()),
        }
    }

    /// `+text`; `text` is ours and has no line end.
    pub fn status(&mut self, text: &str) -> &mut Self {
        self.line(b'+', text.as_bytes())
    }

    /// `-text`, with bytes that would break the line made harmless.
    pub fn error(&mut self, text: &str) -> &mut Self {
        let harmless: Vec<u8> = text
            .bytes()
            .map(|byte| if byte.is_ascii_control() { b'?' } else { byte })
            .collect();
        self.line(b'-', &harmless)
    }

    /// An integer.
    pub fn integer(&mut self, number: i64) -> &mut Self {
        self.number(b':', number)
    }

    /// A bulk string.
    pub fn bulk(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        self.number(b'$', text.len() as i64);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// A bulk string of a name, in lower case.
    pub fn lower(&mut self, name: &str) -> &mut Self {
        self.bulk(name);
        let end = self.out.len() - b"\r\n".len();
        self.out[end - name.len()..end].make_ascii_lowercase();
        self
    }

    /// A text for people: a verbatim string, or a bulk string in RESP2.
    pub fn verbatim(&mut self, text: &str) -> &mut Self {
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                self.number(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
                self
            }
        }
    }

    /// A null in the place of a string.
    pub fn null(&mut self) -> &mut Self {
        match self.version {
            Version::Resp2 => self.line(b'$', b"-1"),
            Version::Resp3 => self.line(b'_', b""),
        }
    }

    /// A null in the place of an array.
    pub fn null_array(&mut self) -> &mut Self {
        match self.version {
            Version::Resp2 => self.line(b'*', b"-1"),
            Version::Resp3 => self.line(b'_', b""),
        }
    }

    /// The head of an array of `count` elements.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.number(b'*', count as i64)
    }

    /// An array of lines of text, as a command's HELP is answered; they are ours and have no line end.
    pub fn help(&mut self, lines: &[&str]) -> &mut Self {
        self.array(lines.len());
        for line in lines {
            self.status(line);
        }
        self
    }

    /// The head of a set of `count` elements: an array in RESP2.
    pub fn set(&mut self, count: usize) -> &mut Self {
        match self.version {
            Version::Resp2 => self.array(count),
            Version::Resp3 => self.number(b'~', count as i64),
        }
    }

    /// The head of a map of `count` pairs: a flat array in RESP2.
    pub fn map(&mut self, count: usize) -> &mut Self {
        match self.version {
            Version::Resp2 => self.array(2 * count),
            Version::Resp3 => self.number(b'%', count as i64),
        }
    }

    /// The head of a message of `count` elements that answers nothing: an array in RESP2.
    pub fn push(&mut self, count: usize) -> &mut Self {
        match self.version {
            Version::Resp2 => self.array(count),
            Version::Resp3 => self.number(b'>', count as i64),
        }
    }
}

/// What a client is told, in Redis' words, whose `sub` is no sub-command of `container`.
pub fn no_such_sub(container: &str, sub: &[u8]) -> Vec<u8> {
    let mut text = b"unknown subcommand '".to_vec();
    text.extend_from_slice(&sub[..sub.len().min(128)]);
    text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
    text
}

/// What a client is told that gave `sub`, one of `known` of `container`, too few or too many arguments,
/// or named another.
pub fn bad_sub(container: &str, sub: &[u8], known: &[&str]) -> String {
    let found = known
        .iter()
        .find(|known| sub.eq_ignore_ascii_case(known.as_bytes()));
    match found {
        Some(known) => {
            let name = format!("{container}|{known}").to_ascii_lowercase();
            format!("ERR wrong number of arguments for '{name}' command")
        }
        None => format!(
            "ERR {}",
            String::from_utf8_lossy(&no_such_sub(container, sub))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: Version, write: impl Fn(&mut Writer)) -> String {
        let mut writer = Writer::new(version);
        write(&mut writer);
        String::from_utf8(writer.into_bytes()).expect("text")
    }

    #[test]
    fn each_version_has_its_own_form() {
        let all = |writer: &mut Writer| {
            writer.map(1).bulk("k").null().set(0).push(1).null_array();
            writer.verbatim("ab").integer(-1).status("OK");
        };
        assert_eq!(
            written(Version::Resp2, all),
            "*2\r\n$1\r\nk\r\n$-1\r\n*0\r\n*1\r\n*-1\r\n$2\r\nab\r\n:-1\r\n+OK\r\n"
        );
        assert_eq!(
            written(Version::Resp3, all),
            "%1\r\n$1\r\nk\r\n_\r\n~0\r\n>1\r\n_\r\n=6\r\ntxt:ab\r\n:-1\r\n+OK\r\n"
        );
    }

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let text = written(Version::Resp2, |writer| {
            writer.error("ERR 'a\r\nb'");
        });
        assert_eq!(text, "-ERR 'a??b'\r\n");
    }
}
