//! The grammars of `listen` and of one entry of `servers`, as twemproxy reads them.
//!
//! Both take the value as it stands in the file, untrimmed, and give the reason when it is refused;
//! line, pool and key are the caller's to add. Host names of servers are not looked at: they are
//! resolved at each connect.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::mistake::quoted;
use super::{Address, Listen, Server};

/// The forms of `listen`.
pub(super) const LISTEN_FORMS: &str = r#""host:port" or "/path [octal mode]""#;

/// The forms of an entry of `servers`.
pub(super) const SERVER_FORMS: &str = r#""host:port:weight [name]" or "/path:weight [name]""#;

/// Largest number in a configuration. twemproxy counts in 32 signed bits.
pub(super) const NUMBER_MAX: u32 = i32::MAX as u32;

/// What `sun_path` of Linux holds beside its final NUL.
const UNIX_PATH_MAX: usize = 107;

/// Most that chmod takes here: no set-id or sticky bits.
const MODE_MAX: u64 = 0o777;

/// memcached's port, which is left out of a server's name.
const UNNAMED_PORT: u32 = 11211;

/// Gives the first address of a host and port.
pub(super) type Resolve<'a> = &'a dyn Fn(&str, u16) -> io::Result<SocketAddr>;

/// Reads a number: ASCII digits and nothing else, at most `NUMBER_MAX`. Leading zeros are fine.
///
/// twemproxy lets larger numbers wrap around (4294967297 is its 1); here they are refused, since
/// nobody means that.
pub(crate) fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse().ok().filter(|&number| number <= NUMBER_MAX)
}

/// Reads `listen`, or says which part of it is wrong.
pub(super) fn listen(text: &str, resolve: Resolve<'_>) -> Result<Listen, String> {
    if text.starts_with('/') {
        return listen_unix(text);
    }
    let (host, port) = text.rsplit_once(':').ok_or("there is no port")?;
    let port = valid_port(port)?;
    if host.is_empty() {
        return Err(r#"the host is empty; for all addresses write "0.0.0.0" or "::""#.to_owned());
    }
    if host.starts_with('[') && host.ends_with(']') {
        return Err("an IPv6 address stands here without brackets".to_owned());
    }
    let address = resolve(host, port)
        .map_err(|error| format!("host {} has no address: {error}", quoted(host)))?;
    Ok(Listen::Tcp {
        text: text.to_owned(),
        address,
    })
}

/// Compat: the split is at the last space, and what is no octal number there means "no mode", so
/// that a path cannot hold a space. Test: listen_on_unix_paths.
fn listen_unix(text: &str) -> Result<Listen, String> {
    let (path, mode) = match text.rsplit_once(' ') {
        None => (text, 0),
        Some((path, mode)) => (path, octal(mode).ok_or("the mode is not from 0 to 0777")?),
    };
    if path.len() > UNIX_PATH_MAX {
        return Err(format!("the path is longer than {UNIX_PATH_MAX} bytes"));
    }
    if path.contains('\0') {
        return Err("the path holds a NUL byte".to_owned());
    }
    let mode = (mode != 0).then_some(mode);
    Ok(Listen::Unix {
        text: text.to_owned(),
        path: PathBuf::from(path),
        mode,
    })
}

/// Reads an octal number as C's `strtol` does: leading white space and a sign are skipped, reading
/// ends at the first other character, and no digit at all is 0. `None`: out of range.
fn octal(text: &str) -> Option<u32> {
    let text = text.trim_start_matches(['\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = text
        .bytes()
        .map_while(|byte| char::from(byte).to_digit(8))
        .fold(0u64, |value, digit| {
            value.saturating_mul(8).saturating_add(digit.into())
        });
    if value > MODE_MAX || (negative && value != 0) {
        return None;
    }
    u32::try_from(value).ok()
}

/// Reads one entry of `servers` from its right end (name, weight, port, and the rest is the host),
/// or says which part of it is wrong.
pub(super) fn server(text: &str) -> Result<Server, String> {
    let (located, explicit_name) = match text.rsplit_once(' ') {
        Some((located, name)) => (located, Some(name)),
        None => (text, None),
    };
    let (place, weight) = located.rsplit_once(':').ok_or("there is no weight")?;
    let unix = text.starts_with('/');
    if unix && place.contains(':') {
        return Err("a path cannot hold a colon".to_owned());
    }
    // Compat: with an empty name behind the space the whole text is shown, space included.
    let pname = if explicit_name == Some("") {
        text
    } else {
        located
    };

    let (address, default_name) = if unix {
        // Compat: twemproxy leaves the colon before the port that is not there in the name, and
        // the name is what is hashed. Test: server_names.
        (Address::Unix(PathBuf::from(place)), format!("{place}:"))
    } else {
        let (host, port) = place
            .rsplit_once(':')
            .ok_or("host, port or weight is missing")?;
        let port_number = valid_port(port)?;
        // Compat: libmemcached hashes its default port away. Test: server_names.
        let name = if u32::from(port_number) == UNNAMED_PORT {
            host
        } else {
            place
        };
        (
            Address::Tcp {
                host: host.to_owned(),
                port: port_number,
            },
            name.to_owned(),
        )
    };
    let weight = valid_weight(weight)?;
    Ok(Server {
        name: explicit_name.map_or(default_name, str::to_owned),
        pname: pname.to_owned(),
        address,
        weight,
    })
}

fn valid_port(text: &str) -> Result<u16, String> {
    number(text)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port != 0)
        .ok_or_else(|| format!("port {} is not a number from 1 to 65535", quoted(text)))
}

fn valid_weight(text: &str) -> Result<NonZeroU32, String> {
    number(text).and_then(NonZeroU32::new).ok_or_else(|| {
        format!(
            "weight {} is not a number from 1 to {NUMBER_MAX}",
            quoted(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolver(host: &str, port: u16) -> io::Result<SocketAddr> {
        let ip: std::net::IpAddr = host.parse().map_err(|_| io::Error::other("unknown"))?;
        Ok(SocketAddr::from((ip, port)))
    }

    #[test]
    fn numbers_are_digits_up_to_31_bits() {
        for (text, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("00000000000000000000000000000000000009", Some(9)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("4294967297", None),
            ("99999999999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1 ", None),
            ("1k", None),
            ("0x1", None),
            ("\u{661}", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn listen_on_tcp() {
        for (text, address) in [
            ("127.0.0.1:22121", "127.0.0.1:22121"),
            ("127.0.0.1:00022", "127.0.0.1:22"),
            ("::1:22121", "[::1]:22121"),
            (":::22121", "[::]:22121"),
            ("0.0.0.0:65535", "0.0.0.0:65535"),
        ] {
            let address = address.parse().unwrap();
            let expected = Listen::Tcp {
                text: text.into(),
                address,
            };
            assert_eq!(listen(text, &resolver), Ok(expected));
        }
    }

    #[test]
    fn listen_on_unix_paths() {
        for (text, path, mode) in [
            ("/tmp/a", "/tmp/a", None),
            ("/tmp/a 0666", "/tmp/a", Some(0o666)),
            ("/tmp/a 777", "/tmp/a", Some(0o777)),
            ("/tmp/a 0", "/tmp/a", None),
            ("/tmp/a 0999", "/tmp/a", None),
            ("/tmp/a 0799", "/tmp/a", Some(7)),
            ("/tmp/a abc", "/tmp/a", None),
            ("/tmp/a +755", "/tmp/a", Some(0o755)),
            ("/tmp/a -0", "/tmp/a", None),
            ("/tmp/a ", "/tmp/a", None),
            ("/tmp/a \t755", "/tmp/a", Some(0o755)),
            ("/tmp/a b 0700", "/tmp/a b", Some(0o700)),
            ("/tmp/a:1", "/tmp/a:1", None),
        ] {
            let expected = Listen::Unix {
                text: text.into(),
                path: path.into(),
                mode,
            };
            assert_eq!(listen(text, &resolver), Ok(expected));
        }
        let longest = format!("/{}", "a".repeat(UNIX_PATH_MAX - 1));
        assert!(listen(&longest, &resolver).is_ok());
        assert!(listen(&format!("{longest}a"), &resolver).is_err());
    }

    /// The names of these decide where keys live: each row was seen in twemproxy's stats.
    #[test]
    #[rustfmt::skip]
    fn server_names() {
        for (text, name, pname, host, port, weight) in [
            ("127.0.0.1:6379:1", "127.0.0.1:6379", "127.0.0.1:6379:1", "127.0.0.1", 6379, 1),
            ("127.0.0.1:6379:10 x", "x", "127.0.0.1:6379:10", "127.0.0.1", 6379, 10),
            ("127.0.0.1:11211:1", "127.0.0.1", "127.0.0.1:11211:1", "127.0.0.1", 11211, 1),
            ("127.0.0.1:011211:1", "127.0.0.1", "127.0.0.1:011211:1", "127.0.0.1", 11211, 1),
            ("127.0.0.1:11211:1 x", "x", "127.0.0.1:11211:1", "127.0.0.1", 11211, 1),
            ("cache:0006379:007", "cache:0006379", "cache:0006379:007", "cache", 6379, 7),
            ("::1:6379:1", "::1:6379", "::1:6379:1", "::1", 6379, 1),
            ("a host:1:1 x", "x", "a host:1:1", "a host", 1, 1),
            (":1:2", ":1", ":1:2", "", 1, 2),
            ("h:1:1 ", "", "h:1:1 ", "h", 1, 1),
            ("h:1:1 x#y", "x#y", "h:1:1", "h", 1, 1),
            ("h:1:1 x:1:1", "x:1:1", "h:1:1", "h", 1, 1),
            ("h:1:2147483647", "h:1", "h:1:2147483647", "h", 1, 2_147_483_647),
        ] {
            let expected = Server {
                name: name.into(),
                pname: pname.into(),
                address: Address::Tcp { host: host.into(), port },
                weight: NonZeroU32::new(weight).unwrap(),
            };
            assert_eq!(server(text), Ok(expected));
        }
        for (text, name, pname, path) in [
            ("/run/a.sock:1", "/run/a.sock:", "/run/a.sock:1", "/run/a.sock"),
            ("/run/a.sock:1 x", "x", "/run/a.sock:1", "/run/a.sock"),
            ("/p q:1 x", "x", "/p q:1", "/p q"),
            ("/a:1 b:2", "b:2", "/a:1", "/a"),
            ("/:1", "/:", "/:1", "/"),
        ] {
            let expected = Server {
                name: name.into(),
                pname: pname.into(),
                address: Address::Unix(path.into()),
                weight: NonZeroU32::MIN,
            };
            assert_eq!(server(text), Ok(expected));
        }
    }

    proptest! {
        #[test]
        fn any_server_reads_back(
            host in "[a-z0-9.:]{0,20}",
            port in 1u16..,
            weight in 1..=NUMBER_MAX,
            name in "[!-~]{1,20}",
        ) {
            let pname = format!("{host}:{port}:{weight}");
            let server = server(&format!("{pname} {name}")).unwrap();
            prop_assert_eq!(server.pname, pname);
            prop_assert_eq!(server.weight.get(), weight);
            prop_assert_eq!(server.address, Address::Tcp { host, port });
            prop_assert_eq!(server.name, name);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", tail in "[ -~]{0,40}") {
            for text in [format!("{text}{tail}"), format!("/{tail}{text}")] {
                let _ = server(&text);
                let _ = listen(&text, &resolver);
            }
        }
    }
}
