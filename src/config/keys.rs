//! The table of keys: every name a configuration may hold, its type, default, range and meaning.
//!
//! Parser, messages, JSON Schema and pages all follow from a key's row, which also says what its
//! value is in a [`Pool`]: a new key is a row here and a field there. Reading values, and what
//! follows from several keys together, is `check`'s work.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::address::{LISTEN_FORMS, NUMBER_MAX, SERVER_FORMS};
use super::commands::COMMANDS_FORM;
use super::{CrossShard, FailedGet, Listen, Password, Pool, Server};
use crate::hash::Hash;
use crate::protocol::{Policy, Protocol};
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

/// How a value is written, each with what puts it in its place once it is understood.
pub(super) enum Form<T> {
    Flag(fn(&mut T, bool)),
    Number {
        range: RangeInclusive<u32>,
        /// In the plural, for messages: `bytes`, or `a number` where there is none.
        unit: &'static str,
        set: fn(&mut T, u32),
    },
    Time {
        range: RangeInclusive<u32>,
        /// In the plural.
        unit: &'static str,
        of: fn(u64) -> Duration,
        set: fn(&mut T, Duration),
    },
    /// One of a list of names. `set` says whether it is one of them.
    Name {
        names: fn() -> Vec<&'static str>,
        set: fn(&mut T, &str) -> bool,
    },
    TwoBytes(fn(&mut T, [u8; 2])),
    /// Never printed.
    Secret(fn(&mut T, Password)),
    Listen(fn(&mut T, Listen)),
    Servers(fn(&mut T, Vec<Server>)),
    /// A mapping of its own: which commands are served.
    Commands(fn(&mut T, Policy)),
}

pub(super) const fn number<T>(range: RangeInclusive<u32>, set: fn(&mut T, u32)) -> Form<T> {
    let unit = "a number";
    Form::Number { range, unit, set }
}

pub(super) const fn bytes<T>(range: RangeInclusive<u32>, set: fn(&mut T, u32)) -> Form<T> {
    let unit = "bytes";
    Form::Number { range, unit, set }
}

pub(super) const fn mebibytes<T>(range: RangeInclusive<u32>, set: fn(&mut T, u32)) -> Form<T> {
    let unit = "mebibytes";
    Form::Number { range, unit, set }
}

pub(super) const fn microseconds<T>(
    range: RangeInclusive<u32>,
    set: fn(&mut T, Duration),
) -> Form<T> {
    Form::Time {
        range,
        unit: "microseconds",
        of: Duration::from_micros,
        set,
    }
}

pub(super) const fn milliseconds<T>(
    range: RangeInclusive<u32>,
    set: fn(&mut T, Duration),
) -> Form<T> {
    Form::Time {
        range,
        unit: "milliseconds",
        of: Duration::from_millis,
        set,
    }
}

/// Where 0 means that there is none.
pub(super) fn if_any(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

/// Where 0 acts as 1.
fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

impl<T> Key<T> {
    /// What may be written, in words: `milliseconds from 0 to 2147483647`.
    pub fn allowed(&self) -> String {
        match &self.form {
            Form::Flag(_) => "true or false".to_owned(),
            Form::Number { range, unit, .. } | Form::Time { range, unit, .. } => {
                format!("{unit} from {} to {}", range.start(), range.end())
            }
            Form::Name { names, .. } => format!("one of {}", names().join(", ")),
            Form::TwoBytes(_) => r#"exactly two bytes, such as "{}""#.to_owned(),
            Form::Secret(_) => "a password".to_owned(),
            Form::Listen(_) => LISTEN_FORMS.to_owned(),
            Form::Servers(_) => format!("a list of {SERVER_FORMS}"),
            Form::Commands(_) => COMMANDS_FORM.to_owned(),
        }
    }
}

/// The keys of a pool, in the order in which docs and messages list them.
pub const KEYS: &[Key<Pool>] = &[
    Key {
        name: "listen",
        presence: Presence::Required,
        help: "Where clients connect: a host name or address and a port, or the path of a unix \
               socket with its permissions.",
        form: Form::Listen(|pool, listen| pool.listen = listen),
    },
    Key {
        name: "servers",
        presence: Presence::Required,
        help: "The servers behind the pool. A server's name decides which keys it gets, so a \
               named server keeps its keys when its address changes.",
        form: Form::Servers(|pool, servers| pool.servers = servers),
    },
    Key {
        name: "hash",
        presence: Presence::Default("fnv1a_64"),
        help: "The function that turns a key into a number.",
        form: Form::Name {
            names: names::<Hash>,
            set: |pool, name| choose(&mut pool.hash, name),
        },
    },
    Key {
        name: "hash_tag",
        presence: Presence::Optional,
        help: "Two characters; only the part of a key between them is hashed, so that keys with \
               equal parts share a server.",
        form: Form::TwoBytes(|pool, tag| pool.hash_tag = Some(tag)),
    },
    Key {
        name: "distribution",
        presence: Presence::Default("ketama"),
        help: "How hashed keys are spread over the servers.",
        form: Form::Name {
            names: names::<Distribution>,
            set: |pool, name| choose(&mut pool.distribution, name),
        },
    },
    Key {
        name: "timeout",
        presence: Presence::Optional,
        help: "How long a request may wait for its reply. Absent or 0: for ever.",
        form: milliseconds(0..=NUMBER_MAX, |pool, time| pool.timeout = if_any(time)),
    },
    Key {
        name: "backlog",
        presence: Presence::Default("512"),
        help: "How many connections the kernel holds that are not accepted yet.",
        form: number(0..=NUMBER_MAX, |pool, count| pool.backlog = count),
    },
    Key {
        name: "client_connections",
        presence: Presence::Default("0"),
        help: "Most clients of this pool at once, over all workers. 0: no limit of its own.",
        form: number(0..=NUMBER_MAX, |pool, count| {
            pool.client_connections = NonZeroU32::new(count)
        }),
    },
    Key {
        name: "redis",
        presence: Presence::Default("false"),
        help: "true: the pool speaks the Redis protocol; false: memcached's, that is the classic text \
               protocol, the meta commands and the binary protocol.",
        form: Form::Flag(|pool, is| {
            pool.protocol = if is {
                Protocol::Redis
            } else {
                Protocol::Memcache
            };
        }),
    },
    Key {
        name: "tcpkeepalive",
        presence: Presence::Default("false"),
        help: "Keep-alive probes on the connections to clients and to servers.",
        form: Form::Flag(|pool, is| pool.tcpkeepalive = is),
    },
    Key {
        name: "reuseport",
        presence: Presence::Default("false"),
        help: "SO_REUSEPORT on the listening socket, so that another process may listen there too.",
        form: Form::Flag(|pool, is| pool.reuseport = is),
    },
    Key {
        name: "redis_auth",
        presence: Presence::Optional,
        help: "The password that clients must give and that servers are given. Redis pools only.",
        form: Form::Secret(|pool, given| pool.redis_auth = Some(given)),
    },
    Key {
        name: "redis_db",
        presence: Presence::Default("0"),
        help: "The database that is selected on every server connection.",
        form: number(0..=NUMBER_MAX, |pool, count| pool.redis_db = count),
    },
    Key {
        name: "preconnect",
        presence: Presence::Default("false"),
        help: "Connect to every server at start instead of at its first request.",
        form: Form::Flag(|pool, is| pool.preconnect = is),
    },
    Key {
        name: "auto_eject_hosts",
        presence: Presence::Default("false"),
        help: "Take a server out of the pool after server_failure_limit failures in a row; its \
               keys go to the others until it is tried again.",
        form: Form::Flag(|pool, is| pool.auto_eject_hosts = is),
    },
    Key {
        name: "server_connections",
        presence: Presence::Default("1"),
        help: "Connections to each server, per worker.",
        form: number(1..=NUMBER_MAX, |pool, count| {
            pool.server_connections = at_least_one(count)
        }),
    },
    Key {
        name: "server_retry_timeout",
        presence: Presence::Default("30000"),
        help: "How long an ejected server stays out before it is tried again.",
        form: milliseconds(0..=NUMBER_MAX, |pool, time| {
            pool.server_retry_timeout = time
        }),
    },
    Key {
        name: "server_failure_limit",
        presence: Presence::Default("2"),
        help: "Failures in a row before a server is ejected. 0 acts as 1.",
        // Compat: 0 ejects at the first failure, as 1 does. Test: every_key_is_read.
        form: number(0..=NUMBER_MAX, |pool, count| {
            pool.server_failure_limit = at_least_one(count)
        }),
    },
    Key {
        name: "cross_shard",
        presence: Presence::Optional,
        help: "What happens to a command whose keys live on several servers and that cannot be \
               split: refuse answers -CROSSSLOT; first_key sends it whole to the first key's \
               server, as twemproxy does, but for MULTI and WATCH. Absent: refuse, and first_key in a \
               Redis pool if the program is called nutcracker. Not in twemproxy.",
        form: Form::Name {
            names: names::<CrossShard>,
            set: |pool, name| choose(&mut pool.cross_shard, name),
        },
    },
    Key {
        name: "commands",
        presence: Presence::Optional,
        help: "Which commands are served, of Redis pools. allow: these, although they are guarded (in \
               any pool) or dangerous (in one of several servers). deny: not these. unknown: \
               refuse serves no command nutcrab does not know. A sub-command is written \
               config|set; config means all of its sub-commands. Not in twemproxy.",
        form: Form::Commands(|pool, commands| pool.commands = commands),
    },
    Key {
        name: "connect_timeout",
        presence: Presence::Default("5000"),
        help: "How long it may take to connect to a server. Not in twemproxy.",
        form: milliseconds(1..=NUMBER_MAX, |pool, time| pool.connect_timeout = time),
    },
    Key {
        name: "flush_all",
        presence: Presence::Default("true"),
        help: "Whether memcached's flush_all is sent to all servers of the pool, or refused. Not in \
               twemproxy.",
        form: Form::Flag(|pool, is| pool.flush_all = is),
    },
    Key {
        name: "memcached_auth",
        presence: Presence::Optional,
        help: "The user, a colon, and the password that clients must give: by SASL PLAIN in the \
               binary protocol, by a first set in the text protocol. Servers are given none. \
               memcached pools only. Not in twemproxy.",
        form: Form::Secret(|pool, given| pool.memcached_auth = Some(given)),
    },
    Key {
        name: "failed_get",
        presence: Presence::Default("error"),
        help: "What a memcached get of keys on several servers is answered with when one of them \
               fails: error; or miss, and the values of the others. Not in twemproxy.",
        form: Form::Name {
            names: names::<FailedGet>,
            set: |pool, name| choose(&mut pool.failed_get, name),
        },
    },
    Key {
        name: "client_connections_per_address",
        presence: Presence::Default("0"),
        help: "Most clients of this pool from one source address at once, over all workers; \
               of IPv6, from one /64 network. 0: no such limit. Does not apply to unix \
               sockets. Not in twemproxy.",
        form: number(0..=NUMBER_MAX, |pool, count| {
            pool.client_connections_per_address = NonZeroU32::new(count)
        }),
    },
    Key {
        name: "key_limit",
        presence: Presence::Optional,
        help: "Longest key, in bytes; a longer one is answered with an error. Absent: 536870912 \
               for Redis, 250 for memcached, which are their own limits; more has no effect. \
               Not in twemproxy.",
        form: bytes(1..=512 * 1024 * 1024, |pool, count| {
            pool.limits.key = count as usize
        }),
    },
    Key {
        name: "value_limit",
        presence: Presence::Optional,
        help: "Longest argument or value, in bytes; a longer one is answered with an error. \
               Absent: 536870912 for Redis, 1073741824 for memcached, which are their own \
               limits; more has no effect. Not in twemproxy.",
        form: bytes(1..=1024 * 1024 * 1024, |pool, count| {
            pool.limits.bulk = count.into()
        }),
    },
    Key {
        name: "argument_limit",
        presence: Presence::Default("2147483647"),
        help: "Most arguments of a Redis request, its name included; more are answered with \
               an error. The default is Redis' own limit. Not in twemproxy.",
        form: number(1..=NUMBER_MAX, |pool, count| pool.limits.args = count),
    },
    Key {
        name: "request_limit",
        presence: Presence::Optional,
        help: "Bytes of a request that must be there as a whole before it can be sent on, \
               such as one with many keys; a longer one is answered with an error. Absent: \
               67108864. Not in twemproxy.",
        form: bytes(1024..=1024 * 1024 * 1024, |pool, count| {
            pool.limits.request = count as usize
        }),
    },
    Key {
        name: "inline_limit",
        presence: Presence::Default("65536"),
        help: "Longest line of an inline command of Redis, in bytes; a longer one is answered \
               with an error. Not in twemproxy.",
        form: bytes(64..=1024 * 1024, |pool, count| {
            pool.limits.inline = count as usize
        }),
    },
    Key {
        name: "local_request_limit",
        presence: Presence::Default("65536"),
        help: "Longest request of Redis that nutcrab answers itself, such as CLIENT, COMMAND, \
               CONFIG GET, HELLO or INFO, in bytes: names, library names and patterns are no \
               longer. ECHO and PING may be 16 times as long. A longer one is answered with an \
               error. Not in twemproxy.",
        form: bytes(1024..=64 * 1024 * 1024, |pool, count| {
            pool.limits.local = count as usize
        }),
    },
];

/// A type whose values have names.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// Every value, by name.
    const ALL: &'static [(&'static str, Self)];
}

impl Named for Hash {
    const ALL: &'static [(&'static str, Self)] = &Hash::ALL;
}

impl Named for Distribution {
    const ALL: &'static [(&'static str, Self)] = &Distribution::ALL;
}

impl Named for CrossShard {
    const ALL: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("first_key", Self::FirstKey)];
}

impl Named for FailedGet {
    const ALL: &'static [(&'static str, Self)] = &[("error", Self::Error), ("miss", Self::Miss)];
}

fn names<V: Named>() -> Vec<&'static str> {
    V::ALL.iter().map(|known| known.0).collect()
}

/// Takes the value of this name. Says whether there is one.
fn choose<V: Named>(field: &mut V, name: &str) -> bool {
    let known = V::ALL.iter().find(|known| known.0 == name);
    if let Some(&(_, value)) = known {
        *field = value;
    }
    known.is_some()
}
