//! What the bytes of clients and servers mean.
//!
//! One folder a protocol, with the same files and the same signatures: `commands` (the table: one row
//! a command), `request` (what a client asks), `reply` (where a server's reply ends), `split` (a
//! request cut over several servers, and the replies joined again). The `match`es over [`Protocol`] at
//! the end of this file are the only places that choose between them.
//!
//! Nothing here knows where a key lives, or what a connection is. Every parser takes bytes as they
//! come, in any cut, and never reads a byte twice except to find the end of a short line.

mod asked;
pub mod binary;
pub mod body;
#[cfg(test)]
mod boundaries;
mod family;
mod joining;
mod limits;
pub mod memcache;
mod merge;
#[cfg(test)]
mod pieces;
mod policy;
pub mod redis;
mod refusal;
mod reply;
mod topic;

use crate::buffer::{BufferPool, Queue};

pub use asked::Asked;
pub use binary::Stamp;
pub use body::{BadBody, Body, Fed};
pub use family::{Family, fingerprint};
pub use joining::{FragmentReply, Join, Joined, Labels, Plan};
pub use limits::{Excess, Limits};
pub use memcache::bundle::{END, Opening, Verb as Bundling};
pub use merge::{Fan, Merge, Partial, Reach, ScanTurn};
pub use policy::{Denial, Policy, Unknown};
pub use redis::write::Version;
pub use refusal::Refusal;
pub(crate) use reply::Part;
pub use reply::{BadReply, ReplyScan};
pub use topic::Topic;

/// The protocol a pool speaks on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Redis: RESP2 and RESP3.
    Redis,
    /// memcached: the text protocol.
    Memcache,
    /// memcached: the binary protocol. No pool has it: its clients are told by their first byte.
    Binary,
}

/// Bytes `start..end` of a request, counted from its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl RequestScan {
    /// Whether nothing of a request was seen yet.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.position == 0 && self.args == 0
    }
}

impl Span {
    /// The span between two positions. Requests kept whole are far below 4 GiB ([`Limits::request`]).
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes it names in `request`.
    pub fn of(self, request: &[u8]) -> &[u8] {
        &request[self.start as usize..self.end as usize]
    }

    /// How many bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it names none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A part of a request that goes to one server whatever happens to the other parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// What is routed by.
    pub key: Span,
    /// What a fragment repeats of the request: the key, or key and value, with their framing.
    pub whole: Span,
}

/// How far the parse of an incomplete request has come. Belongs to one request: start each with
/// `RequestScan::default()`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestScan {
    /// Bytes from the start of the request that need not be looked at again.
    pub(crate) position: u32,
    /// Arguments announced; 0 before they are.
    pub(crate) args: u32,
    /// Arguments seen whole.
    pub(crate) seen: u32,
    /// The first of them.
    pub(crate) first: [Span; 4],
    /// The row of the command, once its name was seen.
    pub(crate) command: Option<u16>,
}

/// What became of the bytes at the start of a client's input.
#[derive(Debug, PartialEq)]
pub enum Parse {
    /// The first `len` bytes are one request.
    Done {
        /// What it asks.
        request: Parsed,
        /// Its length in bytes.
        len: usize,
    },
    /// All bytes so far belong to one request, which is understood, and much of it is still to come.
    Head {
        /// What it asks; its spans lie in the bytes so far.
        request: Parsed,
        /// What is still to come.
        body: Body,
    },
    /// The first `len` bytes are a line typed by hand.
    Inline {
        /// The same request as it is sent to servers, to be parsed in its place; nothing for an
        /// empty line.
        request: Vec<u8>,
        /// The length of the line in bytes.
        len: usize,
    },
    /// More bytes are needed.
    More,
    /// The bytes are no request, and where the next one starts cannot be known: the reply to give
    /// before the connection is closed.
    Bad(Refusal),
}

/// A whole request for one key that is passed on as it came and always answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Straight {
    /// The row of its command.
    pub command: u16,
    /// What it is routed by.
    pub key: Span,
    /// Its length in bytes.
    pub len: u32,
}

impl Straight {
    /// What [`Commands::parse`] understands of the same bytes, and their number.
    #[doc(hidden)]
    pub fn parsed(self) -> (Parsed, usize) {
        let request = Parsed {
            verdict: Verdict::Forward,
            key: self.key,
            command: Some(self.command),
            answer: Answer::Always,
        };
        (request, self.len as usize)
    }
}

/// One request, understood.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    /// What is to be done with it.
    pub verdict: Verdict,
    /// What it is routed by, for the verdicts that are routed by one key.
    pub key: Span,
    /// The row of its command, for counting and for [`Commands::units`]; `None` where there is no row.
    pub command: Option<u16>,
    /// Whether it is answered.
    pub answer: Answer,
}

/// Whether a request is answered.
///
/// To a server, a request that may go without a reply is followed by a marker: a harmless request that
/// is always answered. What the server says before that belongs to the request, be it nothing, the
/// reply, or error lines nobody expects; so it can never be taken for the reply to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// By one reply.
    #[default]
    Always,
    /// By what the server says to it, which may be nothing (memcached's quiet requests).
    Maybe,
    /// By nothing, whatever the server says to it (memcached's `noreply`).
    Never,
}

/// What is to be done with a request.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It goes as it is to the server of its key.
    Forward,
    /// As `Forward`; the key stands in base64 and is routed by what that means.
    Encoded,
    /// As `Forward`; the expiry time at this place, which not all versions of memcached take, goes out as
    /// one that all take for "at once": see [`memcache::request::at_once`].
    Expired(Span),
    /// It goes as it is to the server of its keys, which must all live on one.
    Together,
    /// Its units go to the servers of their keys; the replies are joined. One unit is forwarded as is.
    Split(Merge),
    /// It goes as it is to every server; the replies are joined. To a single one it is forwarded.
    Everywhere(Fan),
    /// It goes as it is to the server of its keys, which must all live on one, and may wait there.
    Blocking,
    /// It goes as it is to any one server.
    Keyless,
    /// It goes to the server its cursor names, which is to be told its own cursor.
    Scan(u64),
    /// Nobody knows the command yet: a server is asked about it, then the request is read again.
    Learn,
    /// It is answered here.
    Local(Local),
    /// It is answered with this error.
    Refuse(Refusal),
}

/// A key of a request whose keys must all live on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The key itself.
    Plain(Span),
    /// A pattern with a star; the keys it stands for are not known.
    Pattern(Span),
}

impl Key {
    /// Where it stands.
    pub fn span(self) -> Span {
        match self {
            Key::Plain(span) | Key::Pattern(span) => span,
        }
    }
}

/// A request that is answered without a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// One of Redis' commands about the connection.
    Redis(redis::commands::Verb),
    /// memcached's `quit`: the connection is closed after all replies.
    Quit,
    /// Any request with a reply that is always the same.
    Say(&'static [u8]),
    /// memcached's `stats`: our own.
    Stats,
    /// memcached's binary protocol: success, and nothing more.
    Noop,
    /// As `Quit`, without a reply.
    QuitQuietly,
    /// How a client may say who it is.
    Mechanisms,
    /// A client says who it is.
    Sasl,
}

/// The commands of one protocol as data, so that a pool can have rows of its own.
#[derive(Debug)]
pub enum Commands {
    /// Redis.
    Redis(redis::commands::Table),
    /// memcached.
    Memcache(memcache::commands::Table),
    /// memcached's binary protocol.
    Binary(binary::commands::Table),
}

impl Commands {
    /// All commands we know, as a pool of one server has them.
    pub fn standard(protocol: Protocol) -> Self {
        Self::new(protocol, redis::commands::Table::unguarded())
    }

    /// All commands we know, as the policy of a pool has them.
    pub fn new(protocol: Protocol, policy: Policy) -> Self {
        match protocol {
            Protocol::Redis => Self::Redis(redis::commands::Table::new(policy)),
            Protocol::Memcache => Self::Memcache(memcache::commands::Table::standard()),
            Protocol::Binary => Self::Binary(binary::commands::Table::standard()),
        }
    }

    /// Reads the request at the start of `bytes`, of which [`RequestScan`] says what was read before.
    #[inline]
    pub fn parse(&self, bytes: &[u8], scan: &mut RequestScan, limits: &Limits) -> Parse {
        match self {
            Self::Redis(table) => redis::request::parse(bytes, scan, table, limits),
            Self::Memcache(table) => memcache::request::parse(bytes, scan, table, limits),
            Self::Binary(table) => binary::request::parse(bytes, scan, table, limits),
        }
    }

    /// The whole request at the start of `bytes`, if it is one of the commonest: for one key, passed on as it
    /// came, and in the form nearly all clients use. What it does not find, [`Commands::parse`] may.
    #[inline]
    pub fn straight(&self, bytes: &[u8], limits: &Limits) -> Option<Straight> {
        match self {
            Self::Redis(table) => redis::straight::keyed(bytes, table, limits),
            Self::Memcache(table) => memcache::request::keyed(bytes, table, limits),
            Self::Binary(_) => None,
        }
    }

    /// Which replies a request with this command can have.
    #[inline]
    pub fn family(&self, command: Option<u16>) -> Family {
        match (self, command) {
            (Self::Redis(table), Some(command)) => table.family(command),
            (Self::Memcache(table), Some(command)) => table.row(command).family(),
            // Told by opcode and opaque.
            (Self::Binary(_), _) | (_, None) => Family::Any,
        }
    }

    /// Refuses the commands that empty all servers.
    pub fn refuse_flush(&mut self) {
        match self {
            // Redis has `commands`, which names them.
            Self::Redis(_) => {}
            Self::Memcache(table) => table.refuse("flush_all"),
            Self::Binary(table) => table.refuse_flush(),
        }
    }

    /// All keys of a whole request, in order, for [`Verdict::Together`].
    pub fn keys(&self, request: &[u8], command: Option<u16>, keys: &mut Vec<Key>) {
        match self {
            Self::Redis(table) => redis::keys::keys(request, command, table, keys),
            Self::Memcache(_) => memcache::request::keys(request, keys),
            // Nothing in it has several keys.
            Self::Binary(_) => {}
        }
    }

    /// Adds the units of a whole request to `units`, in order, for [`Verdict::Split`], until there are
    /// `most`. `at` is where the first stands: 0, or what the last call has left there. Says whether that is
    /// all.
    pub fn units(
        &self,
        request: &[u8],
        command: Option<u16>,
        at: &mut usize,
        most: usize,
        units: &mut Vec<Unit>,
    ) -> bool {
        match self {
            Self::Redis(table) => redis::split::units(request, command, table, at, most, units),
            Self::Memcache(_) => memcache::split::units(request, at, most, units),
            Self::Binary(_) => true,
        }
    }

    /// Writes `request`, a SCAN, with the cursor of one server.
    pub fn scan_request(
        &self,
        request: &[u8],
        cursor: u64,
        out: &mut Queue,
        pool: &mut BufferPool,
    ) {
        match self {
            Self::Redis(_) => redis::join::scan_request(request, cursor, out, pool),
            Self::Memcache(_) | Self::Binary(_) => {}
        }
    }

    /// The request by which a server is asked about the command of `request`, which has
    /// [`Verdict::Learn`].
    pub fn question(&self, request: &[u8]) -> Vec<u8> {
        match self {
            Self::Redis(table) => {
                let name = redis::request::name_to_learn(request, table);
                let head = format!("*3\r\n$7\r\nCOMMAND\r\n$4\r\nINFO\r\n${}\r\n", name.len());
                [head.as_bytes(), &name, b"\r\n"].concat()
            }
            Self::Memcache(_) | Self::Binary(_) => Vec::new(),
        }
    }

    /// What the client is told of a request which has [`Verdict::Learn`] when no server tells of its command;
    /// `None` if it may be passed on all the same, as there is but one server.
    pub fn unlearned(&self, request: &[u8]) -> Option<Refusal> {
        match self {
            Self::Redis(table) => redis::request::unlearned(request, table),
            Self::Memcache(_) | Self::Binary(_) => None,
        }
    }

    /// The row of a whole request's command.
    pub fn command(&self, request: &[u8]) -> Option<u16> {
        match self {
            Self::Redis(table) => redis::request::command(request, table),
            Self::Memcache(_) | Self::Binary(_) => None,
        }
    }

    /// The name of a Redis command, in upper case, that of its sub-command behind a bar.
    pub fn name(&self, command: Option<u16>) -> &str {
        match (self, command) {
            (Self::Redis(table), Some(command)) => table.name(command),
            _ => "",
        }
    }

    /// Whether it is a command that runs a script, and the pool serves it.
    pub fn is_script(&self, command: Option<u16>) -> bool {
        match (self, command) {
            (Self::Redis(table), Some(command)) => table.row(command).runs_a_script(),
            _ => false,
        }
    }

    /// The digest of the script a request names, if that is how its command names one.
    pub fn script_name<'a>(&self, request: &'a [u8], command: Option<u16>) -> Option<&'a [u8]> {
        match self {
            Self::Redis(table) => redis::request::script_name(request, command, table),
            Self::Memcache(_) | Self::Binary(_) => None,
        }
    }

    /// Takes the answer to [`Commands::question`]. From now on the request has another verdict.
    pub fn learn(&mut self, request: &[u8], answer: &[u8]) {
        if let Self::Redis(table) = self {
            let name = redis::request::name_to_learn(request, table);
            table.learn(&name, answer);
        }
    }

    /// A server may have come back with other commands than it had.
    pub fn forget_strangers(&mut self) {
        if let Self::Redis(table) = self {
            table.forget_strangers();
        }
    }

    /// Writes the fragment of `request` that carries `units`.
    pub fn fragment(
        &self,
        request: &[u8],
        command: Option<u16>,
        units: &[Unit],
        out: &mut Queue,
        pool: &mut BufferPool,
    ) {
        self.open_fragment(request, command, units.len(), out, pool);
        self.push_units(request, units, out, pool);
        self.close_fragment(out, pool);
    }

    /// Writes what stands ahead of the units in a fragment of `request` that carries `count`.
    pub fn open_fragment(
        &self,
        request: &[u8],
        command: Option<u16>,
        count: usize,
        out: &mut Queue,
        pool: &mut BufferPool,
    ) {
        match self {
            Self::Redis(table) => redis::split::open_fragment(command, table, count, out, pool),
            Self::Memcache(_) => memcache::split::open_fragment(request, out, pool),
            Self::Binary(_) => {}
        }
    }

    /// Writes these units of `request`, as they stand in a fragment.
    pub fn push_units(
        &self,
        request: &[u8],
        units: &[Unit],
        out: &mut Queue,
        pool: &mut BufferPool,
    ) {
        match self {
            Self::Redis(_) => redis::split::push_units(request, units, out, pool),
            Self::Memcache(_) => memcache::split::push_units(request, units, out, pool),
            Self::Binary(_) => {}
        }
    }

    /// Writes what stands behind the units in a fragment.
    pub fn close_fragment(&self, out: &mut Queue, pool: &mut BufferPool) {
        match self {
            Self::Memcache(_) => out.push(memcache::split::FRAGMENT_END, pool),
            Self::Redis(_) | Self::Binary(_) => {}
        }
    }
}

impl Protocol {
    /// The limits of a client that may do what it likes.
    pub fn limits(self) -> &'static Limits {
        match self {
            Self::Redis => &Limits::REDIS,
            Self::Memcache | Self::Binary => &Limits::MEMCACHE,
        }
    }

    /// Whether a reply that starts with `bytes` says that the server is not ready to serve.
    pub fn is_loading(self, bytes: &[u8]) -> bool {
        match self {
            Self::Redis => bytes.starts_with(b"-LOADING"),
            Self::Memcache | Self::Binary => false,
        }
    }

    /// The error reply with this text.
    pub fn error(self, text: &str) -> Refusal {
        match self {
            Self::Redis => Refusal::new("-ERR ", text.as_bytes()),
            Self::Memcache => Refusal::new("SERVER_ERROR ", text.as_bytes()),
            Self::Binary => self.error_to(Stamp::default(), text),
        }
    }

    /// The error reply with this text to the request that had this stamp.
    pub fn error_to(self, stamp: Stamp, text: &str) -> Refusal {
        match self {
            Self::Binary => Refusal::whole(stamp.reply(binary::Status::Temporary, text.as_bytes())),
            _ => self.error(text),
        }
    }

    /// What a reply of ours must repeat of a request that starts with `bytes`.
    #[inline]
    pub fn stamp(self, bytes: &[u8]) -> Stamp {
        match self {
            Self::Binary => Stamp::of(bytes),
            _ => Stamp::default(),
        }
    }

    /// What a client is told, in the servers' own words, that is one too many.
    pub fn too_many_clients(self) -> &'static [u8] {
        match self {
            Self::Redis => b"-ERR max number of clients reached\r\n",
            Self::Memcache | Self::Binary => b"ERROR Too many open connections\r\n",
        }
    }

    /// A request that changes nothing and is answered in a few bytes: see [`Answer`].
    pub fn marker(self) -> &'static [u8] {
        match self {
            Self::Redis => b"*1\r\n$4\r\nPING\r\n",
            Self::Memcache => b"version\r\n",
            Self::Binary => binary::MARKER,
        }
    }

    /// The verb and the key of a request that may share a line with others like it.
    #[inline]
    pub fn bundled(self, request: &[u8]) -> Option<(Bundling, &[u8])> {
        match self {
            Self::Memcache => memcache::bundle::parts(request),
            Self::Redis | Self::Binary => None,
        }
    }

    /// What comes next of the reply to requests that share a line.
    #[inline]
    pub fn opening(self, bytes: &[u8]) -> Result<Option<Opening<'_>>, BadReply> {
        match self {
            Self::Memcache => memcache::reply::opening(bytes),
            Self::Redis | Self::Binary => Err(BadReply::Kind),
        }
    }

    /// What a client is told whose request body does not end as it must, before it is closed.
    pub fn bad_body(self, bad: BadBody) -> Refusal {
        match self {
            Self::Redis => redis::request::bad_body(bad),
            Self::Memcache => Refusal::new("CLIENT_ERROR ", b"bad data chunk"),
            // Its bodies are of known length and cannot be bad.
            Self::Binary => Refusal::whole(Vec::new()),
        }
    }

    /// What a client is told of whose large request a later argument is longer than it may be: so many bytes.
    pub fn too_long(self, len: u64, limits: &Limits) -> Refusal {
        match self {
            Self::Redis => redis::request::value_too_long(len, limits),
            // Their requests have one value, whose length stands ahead of it.
            Self::Memcache | Self::Binary => self.error("object too large for cache"),
        }
    }

    /// Tells whether a whole reply is an error.
    pub fn is_error(self) -> fn(&Queue) -> bool {
        match self {
            Self::Redis => redis::split::is_error,
            Self::Memcache => memcache::split::is_error,
            Self::Binary => binary::split::is_error,
        }
    }

    /// The error reply among `replies`, all whole, that stands for them all: the first server's own.
    pub fn fragment_error(self, replies: &[FragmentReply]) -> Option<&FragmentReply> {
        let is_error = self.is_error();
        replies.iter().find(|reply| is_error(&reply.bytes))
    }

    /// Passes on as much of the joined reply as is there.
    pub fn join(
        self,
        merge: Merge,
        join: &mut Join,
        replies: &mut [FragmentReply],
        plan: Plan<'_>,
        out: &mut Queue,
        pool: &mut BufferPool,
    ) -> Joined {
        let order = plan.order;
        match merge {
            Merge::Array => redis::split::join_arrays(join, replies, plan, out, pool),
            Merge::Sum => redis::join::fold(replies, i64::checked_add, out, pool),
            Merge::Least => redis::join::fold(replies, |a, b| Some(a.min(b)), out, pool),
            Merge::Most => redis::join::fold(replies, |a, b| Some(a.max(b)), out, pool),
            Merge::LeastEach => redis::join::each(replies, |a, b| Some(a.min(b)), out, pool),
            // The proxy knows what it needs to know for that.
            Merge::Settings => Joined::Bad,
            Merge::Waited => redis::join::least(replies, out, pool),
            Merge::SumPairs => redis::join::each(replies, i64::checked_add, out, pool),
            Merge::Concat => redis::join::concat(join, replies, out, pool),
            Merge::Any => redis::join::any(replies, order, out, pool),
            Merge::Scan(turn) => redis::join::scan(join, replies, turn, out, pool),
            Merge::Status | Merge::Forget => redis::split::join_status(replies, out, pool),
            Merge::Values => memcache::split::join_values(join, replies, plan, out, pool),
            Merge::Stats => memcache::split::join_stats(join, replies, plan, out, pool),
            Merge::Packets => binary::split::join_packets(join, replies, plan, out, pool),
            Merge::First | Merge::Script => {
                let Some(first) = replies.first_mut() else {
                    return Joined::Bad;
                };
                out.append(&mut first.bytes, pool);
                Joined::Done
            }
        }
    }
}
