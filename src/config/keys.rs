//! The table of keys: every name a configuration may hold, its type, default, range and meaning.
//!
//! Parser, messages and JSON Schema all follow from a key's row. A row says
//! where its value goes in a draft; turning drafts into a `Config` is `check`'s work.

use super::address::{LISTEN_FORMS, NUMBER_MAX, SERVER_FORMS};
use super::commands::COMMANDS_FORM;
use super::{CrossShard, FailedGet, Listen, Password, Server};
use crate::hash::Hash;
use crate::protocol::Policy;
use crate::route::Distribution;

/// A key of a `T`.
pub struct Key<T: 'static> {
    /// Exact and in lower case.
    pub name: &'static str,
    /// Whether it must be there, and what holds if it is not.
    pub presence: Presence,
    /// What it does, in one or two sentences of plain text.
    pub help: &'static str,
    /// How its value is written, and where it goes.
    pub(super) form: Form<T>,
}

/// What an absent key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Absent is a mistake.
    Required,
    /// Absent means there is none.
    Optional,
    /// Absent means this, as one would write it.
    Default(&'static str),
}

/// How a value is written, each with the place in a draft it goes to.
pub(super) enum Form<T> {
    Flag(fn(&mut T) -> &mut bool),
    Number {
        min: u32,
        max: u32,
        /// The unit in the plural, for messages: `milliseconds`, or `a number` where it has none.
        unit: &'static str,
        field: fn(&mut T) -> &mut u32,
    },
    /// One of a list of names; the field is its index.
    Name {
        names: &'static [&'static str],
        field: fn(&mut T) -> &mut usize,
    },
    TwoBytes(fn(&mut T) -> &mut Option<[u8; 2]>),
    /// Never printed.
    Secret(fn(&mut T) -> &mut Option<Password>),
    Listen(fn(&mut T) -> &mut Option<Listen>),
    Servers(fn(&mut T) -> &mut Vec<Server>),
    /// A mapping of its own: which commands are served.
    Commands(fn(&mut T) -> &mut Policy),
}

impl<T> Key<T> {
    /// What may be written, in words: `milliseconds from 0 to 2147483647`.
    pub fn allowed(&self) -> String {
        match &self.form {
            Form::Flag(_) => "true or false".to_owned(),
            Form::Number { min, max, unit, .. } => format!("{unit} from {min} to {max}"),
            Form::Name { names, .. } => format!("one of {}", names.join(", ")),
            Form::TwoBytes(_) => r#"exactly two bytes, such as "{}""#.to_owned(),
            Form::Secret(_) => "a password".to_owned(),
            Form::Listen(_) => LISTEN_FORMS.to_owned(),
            Form::Servers(_) => format!("a list of {SERVER_FORMS}"),
            Form::Commands(_) => COMMANDS_FORM.to_owned(),
        }
    }
}

/// A pool while its keys are being read. Fields are as in the file: 0 may mean "none".
#[derive(Default)]
pub struct PoolDraft {
    pub(super) listen: Option<Listen>,
    pub(super) servers: Vec<Server>,
    pub(super) hash: usize,
    pub(super) hash_tag: Option<[u8; 2]>,
    pub(super) distribution: usize,
    pub(super) timeout: u32,
    pub(super) backlog: u32,
    pub(super) client_connections: u32,
    pub(super) redis: bool,
    pub(super) tcpkeepalive: bool,
    pub(super) reuseport: bool,
    pub(super) redis_auth: Option<Password>,
    pub(super) memcached_auth: Option<Password>,
    pub(super) redis_db: u32,
    pub(super) preconnect: bool,
    pub(super) auto_eject_hosts: bool,
    pub(super) server_connections: u32,
    pub(super) server_retry_timeout: u32,
    pub(super) server_failure_limit: u32,
    pub(super) cross_shard: usize,
    pub(super) commands: Policy,
    pub(super) connect_timeout: u32,
    pub(super) flush_all: bool,
    pub(super) failed_get: usize,
    pub(super) client_connections_per_address: u32,
    pub(super) key_limit: u32,
    pub(super) value_limit: u32,
    pub(super) argument_limit: u32,
    pub(super) request_limit: u32,
    pub(super) inline_limit: u32,
    pub(super) local_request_limit: u32,
}

pub(super) const BYTES: &str = "bytes";
pub(super) const MEBIBYTES: &str = "mebibytes";
pub(super) const MICROSECONDS: &str = "microseconds";
pub(super) const MILLISECONDS: &str = "milliseconds";
pub(super) const PLAIN: &str = "a number";

/// The keys of a pool, in the order in which docs and messages list them.
pub const KEYS: &[Key<PoolDraft>] = &[
    Key {
        name: "listen",
        presence: Presence::Required,
        help: "Where clients connect: a host name or address and a port, or the path of a unix \
               socket with its permissions.",
        form: Form::Listen(|pool| &mut pool.listen),
    },
    Key {
        name: "servers",
        presence: Presence::Required,
        help: "The servers behind the pool. A server's name decides which keys it gets, so a \
               named server keeps its keys when its address changes.",
        form: Form::Servers(|pool| &mut pool.servers),
    },
    Key {
        name: "hash",
        presence: Presence::Default("fnv1a_64"),
        help: "The function that turns a key into a number.",
        form: Form::Name {
            names: &HASH_NAMES,
            field: |pool| &mut pool.hash,
        },
    },
    Key {
        name: "hash_tag",
        presence: Presence::Optional,
        help: "Two characters; only the part of a key between them is hashed, so that keys with \
               equal parts share a server.",
        form: Form::TwoBytes(|pool| &mut pool.hash_tag),
    },
    Key {
        name: "distribution",
        presence: Presence::Default("ketama"),
        help: "How hashed keys are spread over the servers.",
        form: Form::Name {
            names: &DISTRIBUTION_NAMES,
            field: |pool| &mut pool.distribution,
        },
    },
    Key {
        name: "timeout",
        presence: Presence::Optional,
        help: "How long a request may wait for its reply. Absent or 0: for ever.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |pool| &mut pool.timeout,
        },
    },
    Key {
        name: "backlog",
        presence: Presence::Default("512"),
        help: "How many connections the kernel holds that are not accepted yet.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.backlog,
        },
    },
    Key {
        name: "client_connections",
        presence: Presence::Default("0"),
        help: "Most clients of this pool at once, over all workers. 0: no limit of its own.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.client_connections,
        },
    },
    Key {
        name: "redis",
        presence: Presence::Default("false"),
        help: "true: the pool speaks the Redis protocol; false: memcached's, that is the classic text \
               protocol, the meta commands and the binary protocol.",
        form: Form::Flag(|pool| &mut pool.redis),
    },
    Key {
        name: "tcpkeepalive",
        presence: Presence::Default("false"),
        help: "Keep-alive probes on the connections to clients and to servers.",
        form: Form::Flag(|pool| &mut pool.tcpkeepalive),
    },
    Key {
        name: "reuseport",
        presence: Presence::Default("false"),
        help: "SO_REUSEPORT on the listening socket, so that another process may listen there too.",
        form: Form::Flag(|pool| &mut pool.reuseport),
    },
    Key {
        name: "redis_auth",
        presence: Presence::Optional,
        help: "The password that clients must give and that servers are given. Redis pools only.",
        form: Form::Secret(|pool| &mut pool.redis_auth),
    },
    Key {
        name: "redis_db",
        presence: Presence::Default("0"),
        help: "The database that is selected on every server connection.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.redis_db,
        },
    },
    Key {
        name: "preconnect",
        presence: Presence::Default("false"),
        help: "Connect to every server at start instead of at its first request.",
        form: Form::Flag(|pool| &mut pool.preconnect),
    },
    Key {
        name: "auto_eject_hosts",
        presence: Presence::Default("false"),
        help: "Take a server out of the pool after server_failure_limit failures in a row; its \
               keys go to the others until it is tried again.",
        form: Form::Flag(|pool| &mut pool.auto_eject_hosts),
    },
    Key {
        name: "server_connections",
        presence: Presence::Default("1"),
        help: "Connections to each server, per worker.",
        form: Form::Number {
            min: 1,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.server_connections,
        },
    },
    Key {
        name: "server_retry_timeout",
        presence: Presence::Default("30000"),
        help: "How long an ejected server stays out before it is tried again.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |pool| &mut pool.server_retry_timeout,
        },
    },
    Key {
        name: "server_failure_limit",
        presence: Presence::Default("2"),
        help: "Failures in a row before a server is ejected. 0 acts as 1.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.server_failure_limit,
        },
    },
    Key {
        name: "cross_shard",
        presence: Presence::Optional,
        help: "What happens to a command whose keys live on several servers and that cannot be \
               split: refuse answers -CROSSSLOT; first_key sends it whole to the first key's \
               server, as twemproxy does, but for MULTI and WATCH. Absent: refuse, and first_key in a \
               Redis pool if the program is called nutcracker. Not in twemproxy.",
        form: Form::Name {
            names: &CROSS_SHARD_NAMES,
            field: |pool| &mut pool.cross_shard,
        },
    },
    Key {
        name: "commands",
        presence: Presence::Optional,
        help: "Which commands are served, of Redis pools. allow: these, although they are guarded (in \
               any pool) or dangerous (in one of several servers). deny: not these. unknown: \
               refuse serves no command nutcrab does not know. A sub-command is written \
               config|set; config means all of its sub-commands. Not in twemproxy.",
        form: Form::Commands(|pool| &mut pool.commands),
    },
    Key {
        name: "connect_timeout",
        presence: Presence::Default("5000"),
        help: "How long it may take to connect to a server. Not in twemproxy.",
        form: Form::Number {
            min: 1,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |pool| &mut pool.connect_timeout,
        },
    },
    Key {
        name: "flush_all",
        presence: Presence::Default("true"),
        help: "Whether memcached's flush_all is sent to all servers of the pool, or refused. Not in \
               twemproxy.",
        form: Form::Flag(|pool| &mut pool.flush_all),
    },
    Key {
        name: "memcached_auth",
        presence: Presence::Optional,
        help: "The user, a colon, and the password that clients must give: by SASL PLAIN in the \
               binary protocol, by a first set in the text protocol. Servers are given none. \
               memcached pools only. Not in twemproxy.",
        form: Form::Secret(|pool| &mut pool.memcached_auth),
    },
    Key {
        name: "failed_get",
        presence: Presence::Default("error"),
        help: "What a memcached get of keys on several servers is answered with when one of them \
               fails: error; or miss, and the values of the others. Not in twemproxy.",
        form: Form::Name {
            names: &FAILED_GET_NAMES,
            field: |pool| &mut pool.failed_get,
        },
    },
    Key {
        name: "client_connections_per_address",
        presence: Presence::Default("0"),
        help: "Most clients of this pool from one source address at once, over all workers; \
               of IPv6, from one /64 network. 0: no such limit. Does not apply to unix \
               sockets. Not in twemproxy.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.client_connections_per_address,
        },
    },
    Key {
        name: "key_limit",
        presence: Presence::Optional,
        help: "Longest key, in bytes; a longer one is answered with an error. Absent: 536870912 \
               for Redis, 250 for memcached, which are their own limits; more has no effect. \
               Not in twemproxy.",
        form: Form::Number {
            min: 1,
            max: 512 * 1024 * 1024,
            unit: BYTES,
            field: |pool| &mut pool.key_limit,
        },
    },
    Key {
        name: "value_limit",
        presence: Presence::Optional,
        help: "Longest argument or value, in bytes; a longer one is answered with an error. \
               Absent: 536870912 for Redis, 1073741824 for memcached, which are their own \
               limits; more has no effect. Not in twemproxy.",
        form: Form::Number {
            min: 1,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |pool| &mut pool.value_limit,
        },
    },
    Key {
        name: "argument_limit",
        presence: Presence::Default("2147483647"),
        help: "Most arguments of a Redis request, its name included; more are answered with \
               an error. The default is Redis' own limit. Not in twemproxy.",
        form: Form::Number {
            min: 1,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |pool| &mut pool.argument_limit,
        },
    },
    Key {
        name: "request_limit",
        presence: Presence::Optional,
        help: "Bytes of a request that must be there as a whole before it can be sent on, \
               such as one with many keys; a longer one is answered with an error. Absent: \
               67108864. Not in twemproxy.",
        form: Form::Number {
            min: 1024,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |pool| &mut pool.request_limit,
        },
    },
    Key {
        name: "inline_limit",
        presence: Presence::Default("65536"),
        help: "Longest line of an inline command of Redis, in bytes; a longer one is answered \
               with an error. Not in twemproxy.",
        form: Form::Number {
            min: 64,
            max: 1024 * 1024,
            unit: BYTES,
            field: |pool| &mut pool.inline_limit,
        },
    },
    Key {
        name: "local_request_limit",
        presence: Presence::Default("65536"),
        help: "Longest request of Redis that nutcrab answers itself, such as CLIENT, COMMAND, \
               CONFIG GET, HELLO or INFO, in bytes: names, library names and patterns are no \
               longer. ECHO and PING may be 16 times as long. A longer one is answered with an \
               error. Not in twemproxy.",
        form: Form::Number {
            min: 1024,
            max: 64 * 1024 * 1024,
            unit: BYTES,
            field: |pool| &mut pool.local_request_limit,
        },
    },
];

/// What `cross_shard` may be, by name.
pub(super) const CROSS_SHARDS: [(&str, CrossShard); 2] = [
    ("refuse", CrossShard::Refuse),
    ("first_key", CrossShard::FirstKey),
];

/// What `failed_get` may be, by name.
pub(super) const FAILED_GETS: [(&str, FailedGet); 2] =
    [("error", FailedGet::Error), ("miss", FailedGet::Miss)];

const HASH_NAMES: [&str; 12] = names(&Hash::ALL);
const DISTRIBUTION_NAMES: [&str; 3] = names(&Distribution::ALL);
const CROSS_SHARD_NAMES: [&str; 2] = names(&CROSS_SHARDS);
const FAILED_GET_NAMES: [&str; 2] = names(&FAILED_GETS);

const fn names<T, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut index = 0;
    while index < N {
        names[index] = table[index].0;
        index += 1;
    }
    names
}
