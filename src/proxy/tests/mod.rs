//! What the core promises, one fact a test: the tests play the worker's part by hand.
//!
//! The simulation in `tests/simulation` looks for what nobody thought of; these say what was.

mod bounds;
mod check;
mod division;
mod ejection;
mod everywhere;
mod failures;
mod handshake;
mod killing;
mod large;
mod latency;
mod legal;
mod local;
mod memcached;
mod memory;
mod messages;
mod multi;
mod muting;
mod order;
mod overtaking;
mod patience;
mod scripts;
mod sessions;
mod settings;
mod spares;
mod transactions;
mod unblocking;
mod unknown;
mod unsent;
mod waiting;
mod window;
mod wire;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::unblocking::NUMBER;
use super::{
    Action, Call, Cause, CloseHow, ConnId, Limits, PoolIndex, Proxy, Settings, Time, What,
};
use crate::buffer::Input;
use crate::config::{Address, CrossShard, FailedGet, Listen, Pool, Server};
use crate::protocol::{Policy, Protocol};
use crate::route::{Distribution, ServerIndex};
use crate::stats::{PoolNames, WorkerStats};

const POOL: PoolIndex = PoolIndex(0);

/// What a connection is asked before the first transaction on it.
const PROOF: &str = "*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n";

/// A pool of `servers` Redis servers with modula over fnv1a_64.
pub(super) fn pool(servers: usize) -> Pool {
    let one = NonZeroU32::MIN;
    Pool {
        name: "alpha".into(),
        listen: Listen::Unix {
            text: "/alpha".into(),
            path: "/alpha".into(),
            mode: None,
        },
        protocol: Protocol::Redis,
        hash: "fnv1a_64".parse().expect("a known hash"),
        hash_tag: None,
        distribution: Distribution::Modula,
        timeout: Some(Duration::from_millis(400)),
        backlog: 512,
        client_connections: None,
        tcpkeepalive: false,
        reuseport: false,
        redis_auth: None,
        memcached_auth: None,
        redis_db: 0,
        preconnect: false,
        auto_eject_hosts: false,
        server_connections: one,
        server_retry_timeout: Duration::from_secs(30),
        server_failure_limit: one,
        cross_shard: CrossShard::Refuse,
        commands: Policy {
            several: servers > 1,
            ..Policy::default()
        },
        connect_timeout: Duration::from_secs(5),
        flush_all: true,
        failed_get: FailedGet::Error,
        client_connections_per_address: None,
        limits: *Protocol::Redis.limits(),
        servers: (0..servers)
            .map(|index| Server {
                name: format!("s{index}"),
                pname: format!("s{index}:1:1"),
                address: Address::Tcp {
                    host: format!("s{index}"),
                    port: 1,
                },
                weight: one,
            })
            .collect(),
    }
}

/// A proxy and what the world has seen of it.
struct Rig {
    proxy: Proxy,
    stats: Arc<WorkerStats>,
    now: Time,
    /// What was written to each connection.
    written: HashMap<ConnId, Vec<u8>>,
    /// Connections to servers, in the order they were asked for.
    links: Vec<(ServerIndex, ConnId)>,
    closed: Vec<(ConnId, CloseHow)>,
    notices: Vec<What>,
    failures: Vec<Cause>,
    calls: Vec<Call>,
    returns: Vec<(Call, Result<bool, Cause>)>,
    /// Whether servers leave the question for the number of a connection to the test.
    is_numberless: bool,
    /// Connections whose sockets take nothing.
    full: Vec<ConnId>,
}

impl Rig {
    fn new(pool: Pool) -> Self {
        Self::with_limits(pool, Limits::default())
    }

    /// A proxy that compares replies with what they can be. The others take whatever is convenient to say.
    fn strict(pool: Pool) -> Self {
        let mut rig = Self::new(pool);
        rig.proxy.limits.strict = true;
        rig
    }

    fn with_limits(pool: Pool, limits: Limits) -> Self {
        Self::of_worker((0, 1), pool, limits)
    }

    /// One worker of several: which one, of how many.
    fn of_worker(worker: (u32, u32), pool: Pool, limits: Limits) -> Self {
        let names = PoolNames {
            name: pool.name.clone(),
            servers: pool
                .servers
                .iter()
                .map(|server| server.name.clone())
                .collect(),
            families: pool.protocol.topics(),
        };
        let settings = Settings {
            buffer_size: 512,
            worker,
            seed: 1,
            limits: Limits {
                strict: false,
                ..limits
            },
        };
        let stats = Arc::new(WorkerStats::new(&[names]));
        Self {
            proxy: Proxy::new(&[Arc::new(pool)], Arc::clone(&stats), settings),
            stats,
            now: Time(1_000_000),
            written: HashMap::new(),
            links: Vec::new(),
            closed: Vec::new(),
            notices: Vec::new(),
            failures: Vec::new(),
            calls: Vec::new(),
            returns: Vec::new(),
            is_numberless: false,
            full: Vec::new(),
        }
    }

    fn client(&mut self) -> ConnId {
        self.proxy.accept(POOL)
    }

    /// Obeys every order. Connections are established only by [`Rig::establish`].
    fn settle(&mut self) {
        self.obey();
        while self.proxy.next_deadline() == Some(self.now) && self.proxy.has_more_to_do() {
            self.proxy.turn(self.now);
            self.obey();
        }
    }

    fn obey(&mut self) {
        while let Some(action) = self.proxy.poll_action() {
            match action {
                Action::Connect { conn, server, .. } => self.links.push((server, conn)),
                Action::Flush(conn) if self.full.contains(&conn) => {}
                Action::Flush(conn) => {
                    let bytes = self
                        .proxy
                        .output(conn)
                        .expect("a living connection")
                        .to_vec();
                    self.proxy.sent(conn, bytes.len());
                    if bytes.starts_with(NUMBER) && !self.is_numberless {
                        self.written
                            .entry(conn)
                            .or_default()
                            .extend(&bytes[NUMBER.len()..]);
                        self.proxy.received(conn, Input::copied(b":57\r\n"));
                    } else {
                        self.written.entry(conn).or_default().extend(bytes);
                    }
                }
                Action::Close { conn, how } => self.closed.push((conn, how)),
                Action::Notice(notice) => self.notices.push(notice.what),
                Action::Failed { cause, .. } => self.failures.push(cause),
                Action::Call(call) => self.calls.push(call),
                Action::Return(call, outcome) => self.returns.push((call, outcome)),
                Action::Shutdown(_) | Action::Resume(_) | Action::Succeeded { .. } => {}
            }
        }
        self.proxy.check();
    }

    fn turn(&mut self) {
        self.proxy.turn(self.now);
        self.proxy.expire();
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.turn();
    }

    /// Gives `bytes` to the proxy, as much of them as it wants, from `conn`.
    fn receive(&mut self, conn: ConnId, bytes: impl AsRef<[u8]>) {
        self.proxy.turn(self.now);
        self.proxy.received(conn, Input::copied(bytes.as_ref()));
        self.settle();
    }

    /// Establishes every connection asked for so far.
    fn establish(&mut self) {
        for index in 0..self.links.len() {
            let conn = self.links[index].1;
            if !self.proxy.wants_read(conn) {
                self.proxy.connected(conn);
            }
        }
        self.settle();
    }

    /// The newest connection to a server.
    fn link(&self, server: u16) -> ConnId {
        let newest = self
            .links
            .iter()
            .rev()
            .find(|link| link.0 == ServerIndex(server));
        newest
            .unwrap_or_else(|| panic!("no connection to server {server}"))
            .1
    }

    /// A server says that it has transactions on `conn`, if it was asked.
    fn prove(&mut self, conn: ConnId) {
        let written = self.take(conn);
        if written.contains(PROOF) {
            let rest = written.replacen(PROOF, "", 1);
            self.written.insert(conn, rest.into_bytes());
            self.receive(conn, "+OK\r\n*0\r\n");
        } else {
            self.written.insert(conn, written.into_bytes());
        }
    }

    /// Takes what was written to `conn` since last asked.
    fn take(&mut self, conn: ConnId) -> String {
        let bytes = self.written.remove(&conn).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.iter().any(|closed| closed.0 == conn)
    }
}

/// A RESP request of these words.
fn ask(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let bulks: String = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    format!("*{}\r\n{bulks}", words.len())
}

/// A key of server `server` among `count` servers, the `number`th.
fn key(server: usize, count: usize, number: usize) -> String {
    let router = super::pool::router(&pool(count), &vec![true; count]);
    let server = Some(ServerIndex(server as u16));
    let on_it = |key: &String| router.pick(key.as_bytes(), 0) == server;
    (0..)
        .map(|index| format!("key{index}"))
        .filter(on_it)
        .nth(number)
        .expect("endless")
}

/// A rig whose connections to all servers are there, and a client.
fn ready(pool: Pool, limits: Limits) -> (Rig, ConnId) {
    let servers = pool.servers.len();
    let mut rig = Rig::with_limits(pool, limits);
    let client = rig.client();
    for server in 0..servers {
        rig.receive(client, ask(&format!("GET {}", key(server, servers, 0))));
    }
    rig.establish();
    for server in 0..servers {
        let link = rig.link(server as u16);
        rig.take(link);
        rig.receive(link, "$-1\r\n");
    }
    assert_eq!(rig.take(client), "$-1\r\n".repeat(servers));
    (rig, client)
}
