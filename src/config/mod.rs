//! The configuration, checked and immutable, in real types.
//!
//! `file` is the YAML as written, `keys` the table of all there is to say, `address` the grammar of
//! addresses; `check` turns a file into what stands here or into every mistake at once. `load` is
//! the one place that touches the world: it reads the file and resolves `listen`. Everything
//! downstream of this room may rely on the ranges stated at the fields.

mod address;
mod check;
mod clash;
mod commands;
mod file;
mod foreign;
mod keys;
mod mistake;
mod process;
mod schema;

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use foreign::Foreign;
pub use keys::{KEYS, Key, Presence};
pub use mistake::{Mistake, Mistakes, Place, Problem};
pub use process::{PROCESS_KEYS, PROCESS_SECTION};
pub use schema::json_schema;

use self::keys::Named as _;
use crate::hash::{Hash, md5_hex};
use crate::protocol::{self, Policy, Protocol};
use crate::route::Distribution;

/// Reads and checks a configuration file.
///
/// Resolves the host of each `listen` through the system, which may block for as long as the
/// system's resolver takes.
///
/// # Errors
/// Every mistake in the file, each with line, pool, key and what is allowed; or the one reason why
/// it could not be read.
pub fn load(path: impl AsRef<Path>) -> Result<Config, Mistakes> {
    load_with(path, CrossShard::default())
}

/// The same, where `cross_shard` is what holds for Redis pools that do not say.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: impl AsRef<Path>, cross_shard: CrossShard) -> Result<Config, Mistakes> {
    let path = path.as_ref();
    let bytes = read(path).map_err(|list| Mistakes::new(path, list))?;
    read_bytes(path, &bytes, &resolve, cross_shard)
}

/// Checks the bytes of a configuration file, whose name `path` is only for messages. `resolve` gives
/// the first address of a host and port, and is asked once for each TCP `listen`.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(
    path: &Path,
    bytes: &[u8],
    resolve: &dyn Fn(&str, u16) -> io::Result<SocketAddr>,
) -> Result<Config, Mistakes> {
    read_bytes(path, bytes, resolve, CrossShard::default())
}

fn read_bytes(
    path: &Path,
    bytes: &[u8],
    resolve: &dyn Fn(&str, u16) -> io::Result<SocketAddr>,
    cross_shard: CrossShard,
) -> Result<Config, Mistakes> {
    let checked = check::check(bytes, resolve, cross_shard);
    let config = checked.map_err(|list| Mistakes::new(path, list))?;
    Ok(Config {
        md5: md5_hex(bytes),
        ..config
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the configuration"
)]
fn read(path: &Path) -> Result<Vec<u8>, Vec<Mistake>> {
    let whole_file = |problem| {
        vec![Mistake {
            line: 0,
            place: Place::File,
            key: None,
            problem,
        }]
    };
    let mut bytes = Vec::new();
    // The limit holds for pipes and devices too, whose size nobody knows beforehand.
    File::open(path)
        .and_then(|file| file.take(file::FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| whole_file(Problem::Unreadable(error.to_string())))?;
    if bytes.len() as u64 > file::FILE_MAX {
        return Err(whole_file(Problem::TooLarge(file::FILE_MAX)));
    }
    Ok(bytes)
}

/// getaddrinfo's first answer, of any family, as twemproxy takes it.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place that resolves `listen`, before any loop runs"
)]
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    // Compat: to glibc "*" with a port is the loopback address, not all addresses, and the IPv6
    // one where there is IPv6. Test: a_star_is_the_loopback_address.
    if host == "*" {
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let usable = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        return Ok(if usable {
            v6
        } else {
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        });
    }
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses
        .next()
        .ok_or_else(|| io::Error::other("the name has no address"))
}

/// A whole configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Sorted by name: shorter names first, equal lengths by byte value (spec section 2.6).
    pub pools: Vec<Pool>,
    /// What is about the whole process, from the mapping `nutcrab:`.
    pub process: Process,
    /// The MD5 of the file, as md5sum(1) prints it: whether two proxies run the same configuration.
    pub md5: String,
    /// What twemproxy would refuse of the file, by line.
    pub foreign: Vec<Foreign>,
}

/// The process-wide settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `workers`: 1 to 64. `None`: not said; the command line goes before it.
    pub workers: Option<NonZeroU32>,
    /// `gather`: the longest a busy worker waits for more requests before it sends; zero: it never does.
    pub gather: Duration,
    /// `client_connections`: most clients of the process at once. `None`: as many as files may be open.
    pub client_connections: Option<NonZeroU32>,
    /// `client_request_limit`: unanswered requests of one client.
    pub client_request_limit: usize,
    /// `client_output_limit`: bytes that may wait for one client.
    pub client_output_limit: usize,
    /// `client_min_rate`: bytes a second that show progress.
    pub client_min_rate: u64,
    /// `incomplete_request_timeout`: how long the rest of a request may be awaited. `None`: for ever.
    pub incomplete_request_timeout: Option<Duration>,
    /// `unauthenticated_limit`: bytes that are kept for all clients that gave no password.
    pub unauthenticated_limit: usize,
    /// `unauthenticated_timeout`: how long a client may take to give it. `None`: for ever.
    pub unauthenticated_timeout: Option<Duration>,
    /// `server_queue_limit`: bytes that may wait to be sent on one connection to a server.
    pub server_queue_limit: usize,
    /// `session_connections`: connections of a worker to one server that clients have for themselves.
    pub session_connections: usize,
    /// `spare_connections`: connections of a worker to one server for large requests.
    pub spare_connections: usize,
    /// `large_reply_connections`: connections of a worker to one server for large replies.
    pub large_reply_connections: usize,
    /// `subscriber_output_limit`: bytes of messages that may wait for one client.
    pub subscriber_output_limit: usize,
    /// `subscriber_output_soft_limit`: as many may wait for long.
    pub subscriber_output_soft_limit: usize,
    /// `subscriber_output_soft_time`: how long that is.
    pub subscriber_output_soft_time: Duration,
    /// `transaction_limit`: bytes of the requests of one transaction.
    pub transaction_limit: usize,
    /// `subscription_limit`: bytes of the names one client listens to.
    pub subscription_limit: usize,
    /// `memory_limit`, in bytes. `None`: no limit.
    pub memory_limit: Option<u64>,
}

/// Declares a type and its value before any key is read: for each field what follows its type, else
/// the default of that type. The rows of the keys overwrite it, their own defaults first.
macro_rules! settings {
    ($(#[$about:meta])* pub struct $name:ident {
        $($(#[$field_about:meta])* pub $field:ident: $type:ty $(= $initial:expr)?,)*
    }) => {
        $(#[$about])*
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
        }

        impl $name {
            fn initial() -> Self {
                Self { $($field: settings!(@ $($initial)?),)* }
            }
        }
    };
    (@ $initial:expr) => { $initial };
    (@) => { Default::default() };
}

/// The limits of a pool whose keys say nothing about them.
const UNSAID: protocol::Limits = protocol::Limits {
    key: 0,
    bulk: 0,
    request: 0,
    ..protocol::Limits::REDIS
};

settings! {
    /// One pool: an address to listen on and the servers behind it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Pool {
        /// Any non-empty text; appears in stats and logs.
        pub name: String,
        /// Where clients connect.
        pub listen: Listen = Listen::none(),
        /// `redis: true` or not.
        pub protocol: Protocol = Protocol::Memcache,
        /// `hash`.
        pub hash: Hash = Hash::Fnv1a64,
        /// `hash_tag`: opening and closing byte; may be equal.
        pub hash_tag: Option<[u8; 2]>,
        /// `distribution`.
        pub distribution: Distribution = Distribution::Ketama,
        /// `timeout`: how long a request may wait for its reply. `None`: for ever.
        pub timeout: Option<Duration>,
        /// `backlog` of listen(2).
        pub backlog: u32,
        /// `client_connections`: most clients of this pool at once, over all workers. `None`: no limit
        /// of its own.
        pub client_connections: Option<NonZeroU32>,
        /// `tcpkeepalive`, for clients and servers.
        pub tcpkeepalive: bool,
        /// `reuseport`: SO_REUSEPORT on the listener.
        pub reuseport: bool,
        /// `redis_auth`: the password clients must give and servers are given.
        pub redis_auth: Option<Password>,
        /// `memcached_auth`: what memcached clients must give, as `user:password`.
        pub memcached_auth: Option<Password>,
        /// `redis_db`: the database selected on each server connection; 0 sends no SELECT.
        pub redis_db: u32,
        /// `preconnect`: connect to every server at start.
        pub preconnect: bool,
        /// `auto_eject_hosts`.
        pub auto_eject_hosts: bool,
        /// `server_connections`: connections to one server, per worker.
        pub server_connections: NonZeroU32 = NonZeroU32::MIN,
        /// `server_retry_timeout`: how long an ejected server stays out.
        pub server_retry_timeout: Duration,
        /// `server_failure_limit`: failures in a row before ejection; at least 1 (0 in the file acts as 1).
        pub server_failure_limit: NonZeroU32 = NonZeroU32::MIN,
        /// `cross_shard`: what happens to a multi-key command that cannot be split when its keys live
        /// on several servers.
        pub cross_shard: CrossShard,
        /// `commands`: which commands are served; `several` follows from the servers.
        pub commands: Policy,
        /// `connect_timeout`: how long a connection to a server may take to be established.
        pub connect_timeout: Duration,
        /// `flush_all`: whether memcached's command of that name is passed on.
        pub flush_all: bool,
        /// `failed_get`: what a failed server means for a memcached get of keys on several.
        pub failed_get: FailedGet,
        /// `client_connections_per_address`. `None`: no such limit.
        pub client_connections_per_address: Option<NonZeroU32>,
        /// `key_limit`, `value_limit`, `argument_limit`, `request_limit`, `inline_limit`: what a request of a
        /// client may at most be; never more than the protocol's servers take.
        pub limits: protocol::Limits = UNSAID,
        /// Sorted by name as the pools are; at least one; indices follow this order everywhere.
        pub servers: Vec<Server>,
    }
}

impl Pool {
    /// Whether the keys of a command may live on several servers, so that `cross_shard` matters.
    pub fn spans_servers(&self) -> bool {
        self.protocol == Protocol::Redis && self.servers.len() > 1
    }
}

/// An address clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`, resolved when the configuration is checked.
    Tcp {
        /// As written, for logs and for the check that no two pools share it.
        text: String,
        /// The first address the host resolved to.
        address: std::net::SocketAddr,
    },
    /// A path, with permissions (0 to 0o777) to set after bind.
    Unix {
        /// As written.
        text: String,
        /// At most 107 bytes.
        path: PathBuf,
        /// `None`: leave as created.
        mode: Option<u32>,
    },
}

impl Listen {
    /// Before the key was read.
    fn none() -> Self {
        Self::Unix {
            text: String::new(),
            path: PathBuf::new(),
            mode: None,
        }
    }

    /// As written, for logs and messages.
    pub fn text(&self) -> &str {
        match self {
            Self::Tcp { text, .. } | Self::Unix { text, .. } => text,
        }
    }
}

/// One server of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The name that is hashed, sorted by, and shown in stats (spec section 2.5).
    pub name: String,
    /// `host:port:weight` as written, for logs.
    pub pname: String,
    /// Where it listens. Host names are resolved at each connect.
    pub address: Address,
    /// At least 1.
    pub weight: NonZeroU32,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// What to do with a command whose keys live on several servers and that cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CrossShard {
    /// `refuse`: answer `-CROSSSLOT`, send nothing.
    #[default]
    Refuse,
    /// `first_key`: send it whole to the first key's server, as twemproxy does.
    FirstKey,
}

impl CrossShard {
    /// As one would write it.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|known| known.1 == self);
        known.map_or("", |known| known.0)
    }
}

/// What a failed server means for a memcached get of keys on several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FailedGet {
    /// `error`: the whole get is answered with an error.
    #[default]
    Error,
    /// `miss`: the keys of that server are not found.
    Miss,
}

/// A password: never printed, not even by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// Takes the bytes as they stand in the configuration.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for AUTH and for comparison.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests;
