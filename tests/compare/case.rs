//! One row of the comparison: bytes to send, where, and whether the answers may differ.

use crate::support::resp::words;

/// A request, or several behind one another, sent to both proxies on a fresh connection.
#[derive(Clone, Debug)]
pub struct Case {
    /// The request itself where nothing else is said.
    pub name: String,
    /// The pool of `setup` it is sent to.
    pub pool: &'static str,
    /// What is sent, in one piece; each request of it in turn where there are several steps.
    pub request: Vec<u8>,
    /// A request sent before on a connection of its own to another pool; its answer counts too.
    pub before: Option<(&'static str, Vec<u8>)>,
    /// How the end of the answer is found.
    pub ending: Ending,
    /// What of the answers must be equal.
    pub matching: Matching,
    /// The difference it shows, if it shows one.
    pub difference: Option<Difference>,
}

/// A row of docs/compatibility.md, and what nutcrab answers where it differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The identifier in the table of differences.
    pub id: &'static str,
    /// What nutcrab answers.
    pub ours: Vec<u8>,
    /// Whether nutcrab closes the connection behind it.
    pub closed: bool,
}

/// How the end of an answer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A further request with a known reply is sent behind it: when that reply comes, all others
    /// have come, and the connection is open.
    Sentinel,
    /// The answer is one line; then the connection is closed at once or stays.
    OneLine,
    /// The client closes its side: what has not come when the proxy closes will not come.
    HalfClose,
}

/// What of the answers must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Each byte.
    Bytes,
    /// Each byte but the numbers memcached gives each version of a value.
    Versions,
}

impl Case {
    fn new(name: String, pool: &'static str, request: Vec<u8>) -> Self {
        let (ending, matching) = (Ending::Sentinel, Matching::Bytes);
        Self {
            name,
            pool,
            request,
            before: None,
            ending,
            matching,
            difference: None,
        }
    }

    /// Where it is sent and its name: unique.
    pub fn title(&self) -> String {
        format!("{}: {}", self.pool, self.name)
    }

    /// Sends it to another pool.
    pub fn on(mut self, pool: &'static str) -> Self {
        self.pool = pool;
        self
    }

    /// Gives it a name, for requests too long to be one.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sends the Redis command of `text` to `pool` before.
    pub fn after(mut self, pool: &'static str, text: &str) -> Self {
        self.name = format!("{} after {text} on {pool}", self.name);
        self.before = Some((pool, words(text)));
        self
    }

    /// The client closes its side behind the request.
    pub fn half_closed(mut self) -> Self {
        self.name = format!("{} and half-close", self.name);
        self.ending = Ending::HalfClose;
        self
    }

    /// The answer is one line, behind which the original may close.
    pub fn of_one_line(mut self) -> Self {
        self.ending = Ending::OneLine;
        self
    }

    /// The numbers memcached gives each version of a value need not be equal.
    pub fn of_any_version(mut self) -> Self {
        self.matching = Matching::Versions;
        self
    }

    /// The answers differ: `ours` is nutcrab's, each line without its CR LF, a last line
    /// `<closed>` where nutcrab closes.
    pub fn differs(mut self, id: &'static str, ours: &str) -> Self {
        let (text, closed) = match ours.strip_suffix("<closed>") {
            Some(text) => (text.strip_suffix('\n').unwrap_or(text), true),
            None => (ours, false),
        };
        let ours = if text.is_empty() {
            Vec::new()
        } else {
            crlf(text)
        };
        self.difference = Some(Difference { id, ours, closed });
        self
    }
}

/// A Redis case written as redis-cli would have it: words separated by spaces, `"..."` with
/// `\xNN`, `\r`, `\n`, `\"` and `\\`; commands separated by ` | `.
pub fn redis(text: &str) -> Case {
    Case::new(text.to_owned(), "redis", words(text))
}

/// A memcached case written as lines; each ends in CR LF when sent.
pub fn memcache(text: &str) -> Case {
    Case::new(text.replace('\n', "\\n"), "cache", crlf(text))
}

/// A Redis case given as bytes.
pub fn redis_bytes(bytes: impl AsRef<[u8]>) -> Case {
    let bytes = bytes.as_ref();
    Case::new(
        format!("bytes {}", bytes.escape_ascii()),
        "redis",
        bytes.to_vec(),
    )
}

/// A memcached case given as bytes.
pub fn memcache_bytes(bytes: impl AsRef<[u8]>) -> Case {
    let bytes = bytes.as_ref();
    Case::new(
        format!("bytes {}", bytes.escape_ascii()),
        "cache",
        bytes.to_vec(),
    )
}

/// Redis cases whose answers must be equal, one a line; empty lines are left out.
pub fn redis_lines(text: &str) -> Vec<Case> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(redis).collect()
}

fn crlf(text: &str) -> Vec<u8> {
    let mut bytes = text.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n");
    bytes
}
