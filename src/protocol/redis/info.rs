//! What servers say about themselves, as far as clients ask a proxy for it.

use super::request::words;

/// The request that makes a server tell its [`Facts`].
pub const QUESTION: &[u8] = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n";

/// Longest part of a reply that is looked at.
pub const REPLY_MAX: usize = 64 * 1024;

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `redis_version`: the version of Redis it is compatible with.
    pub redis_version: String,
    /// `server_name` and its version, if it is not Redis itself.
    pub name: Option<(String, String)>,
    /// Whether it is in cluster mode.
    pub in_cluster: bool,
    /// What it calls its mode: `server_mode`, unless it is to be taken for Redis.
    pub mode: &'static str,
    /// `availability_zone`, if it is in one.
    pub zone: Option<String>,
}

impl Default for Facts {
    /// What is said while no server has told: the oldest version that knows all we promise.
    fn default() -> Self {
        Self {
            redis_version: "7.0.0".into(),
            name: None,
            in_cluster: false,
            mode: "redis_mode",
            zone: None,
        }
    }
}

impl Facts {
    /// Reads the reply to [`QUESTION`], or the start of it.
    #[doc(hidden)]
    pub fn read(reply: &[u8]) -> Self {
        Self::told(reply).unwrap_or_default()
    }

    /// The same, if there is anything in it.
    pub fn told(reply: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(reply);
        let value = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let value = lines
                .filter(|line| line.0 == name)
                .map(|line| line.1)
                .next();
            value.filter(|value| is_plain(value)).map(str::to_owned)
        };
        let redis_version = value("redis_version")?;
        let name = value("server_name");
        let name = name.and_then(|name| Some((value(&format!("{name}_version"))?, name)));
        let (server_mode, redis_mode) = (value("server_mode"), value("redis_mode"));
        Some(Self {
            redis_version,
            name: name.map(|(version, name)| (name, version)),
            mode: if server_mode.is_some() {
                "server_mode"
            } else {
                "redis_mode"
            },
            in_cluster: server_mode
                .or(redis_mode)
                .is_some_and(|mode| mode == "cluster"),
            zone: value("availability_zone"),
        })
    }

    /// Whether the version of Redis it is compatible with is an older one than this.
    pub fn is_older_than(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.redis_version.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(its_major)), Some(Ok(its_minor))) => (its_major, its_minor) < (major, minor),
            _ => false,
        }
    }

    /// The name and version of HELLO's reply. Valkey calls itself Redis there if it says `redis_mode`
    /// (`extended-redis-compatibility`).
    pub fn server(&self) -> (&str, &str) {
        match &self.name {
            Some((name, version)) if name != "valkey" || self.mode == "server_mode" => {
                (name, version)
            }
            _ => ("redis", &self.redis_version),
        }
    }
}

/// Whether a value may be repeated to clients as it is.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.len() <= 64 && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a section of INFO is among those that were asked for: the words behind the name, none of
/// them for all.
pub fn wants(request: &[u8], section: &str) -> bool {
    let words = words(request);
    let sections = words.get(1..).unwrap_or_default();
    let all: [&[u8]; 3] = [b"all", b"default", b"everything"];
    sections.is_empty()
        || sections.iter().any(|asked| {
            asked.eq_ignore_ascii_case(section.as_bytes())
                || all.iter().any(|word| asked.eq_ignore_ascii_case(word))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_the_replies_of_redis_and_valkey() {
        let redis = b"$60\r\n# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\r\n";
        let facts = Facts::read(redis);
        assert_eq!(facts.server(), ("redis", "7.0.15"));
        let valkey =
            b"=80\r\ntxt:# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\n\
              server_mode:standalone\r\navailability_zone:az1\r\n";
        let facts = Facts::read(valkey);
        assert_eq!(facts.server(), ("valkey", "9.1.0"));
        assert_eq!(
            (facts.mode, facts.zone.as_deref()),
            ("server_mode", Some("az1"))
        );
        let compatible = b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\n\
            redis_mode:standalone\r\navailability_zone:\r\n";
        let other = Facts::read(compatible);
        assert_eq!(
            (other.server(), other.mode),
            (("redis", "7.2.4"), "redis_mode")
        );
        assert_eq!(other.zone, None);
        assert_eq!(facts.redis_version, "7.2.4");
        for (major, minor, expected) in [(7, 3, true), (8, 0, true), (7, 2, false), (6, 9, false)] {
            assert_eq!(
                facts.is_older_than(major, minor),
                expected,
                "{major}.{minor}"
            );
        }
    }

    #[test]
    fn what_is_no_such_reply_tells_nothing() {
        for reply in ["-NOPERM no\r\n", "", "$1\r\nx\r\n", "redis_version:a b\r\n"] {
            assert_eq!(Facts::read(reply.as_bytes()), Facts::default(), "{reply:?}");
        }
    }

    #[test]
    fn sections_are_asked_for_by_name_or_all_at_once() {
        let request = |text: &str| {
            let words: Vec<&str> = text.split(' ').collect();
            super::super::inline::encode(&words)
        };
        for (text, expected) in [
            ("info", true),
            ("info SERVER", true),
            ("info clients server", true),
            ("info everything", true),
            ("info clients", false),
        ] {
            assert_eq!(wants(&request(text), "server"), expected, "{text}");
        }
    }
}
