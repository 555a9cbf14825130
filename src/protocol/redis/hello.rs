//! What clients say about themselves: HELLO, AUTH and the names of CLIENT.

use super::write::Version;

/// `HELLO`, understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The version to speak from now on.
    pub version: Option<Version>,
    /// User and password.
    pub auth: Option<(&'a [u8], &'a [u8])>,
    /// What the connection is to be called.
    pub name: Option<&'a [u8]>,
}

/// Reads the words of a `HELLO`, its name first.
///
/// # Errors
/// The text of the error, in Redis' words.
pub fn read<'a>(words: &[&'a [u8]]) -> Result<Hello<'a>, String> {
    let mut hello = Hello::default();
    let Some((version, mut rest)) = words.get(1..).and_then(<[_]>::split_first) else {
        return Ok(hello);
    };
    let version = std::str::from_utf8(version)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .ok_or("ERR Protocol version is not an integer or out of range")?;
    hello.version = Some(match version {
        2 => Version::Resp2,
        3 => Version::Resp3,
        _ => return Err("NOPROTO unsupported protocol version".into()),
    });
    loop {
        rest = match rest {
            [] => return Ok(hello),
            [option, user, password, rest @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                hello.auth = Some((user, password));
                rest
            }
            [option, name, rest @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                if !is_name(name) {
                    return Err(BAD_NAME.into());
                }
                hello.name = Some(name);
                rest
            }
            [option, ..] => {
                let option = String::from_utf8_lossy(&option[..option.len().min(128)]);
                return Err(format!("ERR Syntax error in HELLO option '{option}'"));
            }
        };
    }
}

/// What a client is told that chose a name that is none.
pub const BAD_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/// Whether a connection may be called so: the name must not break the lines of `CLIENT LIST`.
pub fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(text: &str) -> Result<Hello<'_>, String> {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        read(&words)
    }

    #[test]
    fn options_come_in_any_order_and_case() {
        let expected = Hello {
            version: Some(Version::Resp3),
            auth: Some((b"default", b"pw")),
            name: Some(b"me"),
        };
        let first = hello("HELLO 3 AUTH default pw SETNAME me");
        assert_eq!(first.as_ref(), Ok(&expected));
        assert_eq!(hello("hello 3 setname me auth default pw"), Ok(expected));
        assert_eq!(hello("hello"), Ok(Hello::default()));
    }

    #[test]
    fn mistakes_are_told_in_the_words_of_redis() {
        for (text, error) in [
            ("hello 4", "NOPROTO unsupported protocol version"),
            ("hello 1", "NOPROTO unsupported protocol version"),
            (
                "hello x",
                "ERR Protocol version is not an integer or out of range",
            ),
            ("hello 3 auth a", "ERR Syntax error in HELLO option 'auth'"),
            ("hello 3 foo", "ERR Syntax error in HELLO option 'foo'"),
            ("hello 3 setname a\nb", BAD_NAME),
        ] {
            assert_eq!(hello(text), Err(error.into()), "{text:?}");
        }
    }
}
