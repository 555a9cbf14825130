//! The core under events in any order: connections come, break and end, bytes of any kind arrive, and
//! time passes, all as the fuzzer's bytes say.
//!
//! Checked is what must hold whatever happens: orders name connections that are there, each is closed
//! once, deadlines are dealt with, output is bounded, and when everybody has gone nothing is left and
//! the books balance. Whether replies are the right ones is the business of the target `world`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nutcrab::buffer::Input;
use nutcrab::config::{self, Config};
use nutcrab::proxy::{Action, Cause, ConnId, Limits, PoolIndex, Proxy, Settings, Time, router};
use nutcrab::stats::{PoolNames, WorkerStats};

use super::bytes::Bytes;
use super::oracle::redis_encode;

/// Events of one run; inputs are not longer anyway.
const EVENTS_MAX: usize = 600;

/// Actions of one turn; more can only be an endless loop.
const ACTIONS_MAX: usize = 100_000;

/// Three pools that differ in what changes the core's ways.
const CONFIGURATION: &str = "\
plain:
  listen: /plain
  redis: true
  distribution: modula
  timeout: 400
  server_failure_limit: 1
  servers:
   - 127.0.0.1:1:1
   - 127.0.0.1:2:1
   - 127.0.0.1:3:1
guard:
  listen: /guard
  distribution: modula
  redis: true
  redis_auth: secret
  redis_db: 3
  server_connections: 2
  auto_eject_hosts: true
  cross_shard: first_key
  servers:
   - 127.0.0.1:1:1
   - 127.0.0.1:2:1
cache:
  listen: /cache
  distribution: modula
  timeout: 100
  preconnect: true
  servers:
   - 127.0.0.1:1:1
   - 127.0.0.1:2:1
";

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let never = |_: &str, _| Err(std::io::Error::other("no names here"));
    config::from_bytes(Path::new("fuzz"), CONFIGURATION.as_bytes(), &never)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
});

/// Requests that are easily put together; the fuzzer's own bytes come besides.
const REQUESTS: [&[&[u8]]; 42] = [
    &[b"GET", b"a"],
    &[b"SET", b"b", b"some value"],
    &[b"MGET", b"a", b"b", b"c", b"d", b"a"],
    &[b"MSET", b"a", b"1", b"b", b"2", b"c", b"3"],
    &[b"DEL", b"a", b"b", b"c"],
    &[b"PING"],
    &[b"AUTH", b"secret"],
    &[b"AUTH", b"wrong"],
    &[b"QUIT"],
    &[b"NOSUCH", b"x"],
    &[b"EVAL", b"s", b"2", b"a", b"b"],
    &[b"LOLWUT"],
    &[b"HGETALL", b"h"],
    &[b"GET"],
    &[b"SCRIPT", b"LOAD", b"s"],
    &[b"SCRIPT", b"FLUSH"],
    &[b"EVALSHA", DIGEST, b"1", b"a"],
    &[b"EVALSHA", DIGEST, b"0"],
    &[b"SCAN", b"0"],
    &[b"SCAN", b"4", b"MATCH", b"a*", b"COUNT", b"5"],
    &[b"DBSIZE"],
    &[b"RANDOMKEY"],
    &[b"PUBSUB", b"CHANNELS"],
    &[b"HELLO", b"3"],
    &[b"HELLO", b"2"],
    &[b"HELLO", b"3", b"AUTH", b"default", b"secret"],
    &[b"RESET"],
    &[b"SELECT", b"2"],
    &[b"SUBSCRIBE", b"a", b"b"],
    &[b"PSUBSCRIBE", b"*"],
    &[b"SSUBSCRIBE", b"c"],
    &[b"UNSUBSCRIBE"],
    &[b"SUNSUBSCRIBE", b"c"],
    &[b"SPUBLISH", b"c", b"m"],
    &[b"WAIT", b"1", b"0"],
    &[b"WAITAOF", b"1", b"1", b"5"],
    &[b"BLPOP", b"a", b"0"],
    &[b"MULTI"],
    &[b"EXEC"],
    &[b"DISCARD"],
    &[b"WATCH", b"a"],
    &[b"CLIENT", b"REPLY", b"SKIP"],
];

/// What a script is called.
const DIGEST: &[u8] = b"0123456789abcdef0123456789abcdef01234567";

const LINES: [&[u8]; 10] = [
    b"get a\r\n",
    b"get a b c d a\r\n",
    b"gets c b\r\n",
    b"set a 0 0 3\r\nabc\r\n",
    b"set a 0 0 3 noreply\r\nabc\r\n",
    b"delete a noreply\r\n",
    b"incr n 1\r\n",
    b"version\r\n",
    b"nonsense\r\n",
    b"quit\r\n",
];

const REPLIES: [&[u8]; 42] = [
    b"+OK\r\n",
    b":1\r\n",
    b"$-1\r\n",
    b"$3\r\nabc\r\n",
    b"*1\r\n$1\r\nx\r\n",
    b"*2\r\n$1\r\nx\r\n$-1\r\n",
    b"*3\r\n$1\r\nx\r\n$-1\r\n$1\r\ny\r\n",
    b"*0\r\n",
    b"-ERR no\r\n",
    b"-LOADING wait\r\n",
    b"$40000\r\n",
    b"STORED\r\n",
    // What has no end, or is none to what was asked.
    b"STAT sizes_status enabled\r\n",
    b"DELETED\r\n",
    b"VALUE other 0 3\r\nabc\r\nEND\r\n",
    b"%1\r\n+a\r\n+b\r\n",
    b"END\r\n",
    b"VALUE a 0 3\r\nabc\r\nEND\r\n",
    b"VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nEND\r\n",
    b"VALUE a 0 40000\r\n",
    b"SERVER_ERROR no\r\n",
    b"1\r\n",
    b"VERSION 1.6\r\n",
    b"!\r\n",
    b"$",
    b"\r\n",
    b"$40\r\n0123456789abcdef0123456789abcdef01234567\r\n",
    b"-NOSCRIPT no\r\n",
    b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n",
    b"*2\r\n$1\r\n7\r\n*0\r\n",
    b"%1\r\n$5\r\nproto\r\n:3\r\n",
    b"_\r\n",
    b"~1\r\n,1.5\r\n",
    b">2\r\n$1\r\nx\r\n_\r\n",
    b"$22\r\nredis_version:7.0.15\r\n\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    b"*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n",
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n",
    b"*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
    b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nm\r\n",
    b"+QUEUED\r\n",
    b"*1\r\n+OK\r\n",
];

/// What the world knows of a connection.
#[derive(Debug)]
struct Peer {
    /// Not connected yet, for one to a server.
    dialling: bool,
    is_client: bool,
    /// Its socket takes nothing for now.
    full: bool,
    /// It was told that nothing more will be written.
    shut: bool,
}

struct World {
    proxy: Proxy,
    stats: Arc<WorkerStats>,
    peers: BTreeMap<ConnId, Peer>,
    now: Time,
    /// Most output that may wait for a client.
    most: usize,
    filler: Vec<u8>,
}

/// See [`super::core_events`].
pub fn run(bytes: &mut Bytes<'_>) {
    let pools: Vec<Arc<config::Pool>> = CONFIG.pools.iter().cloned().map(Arc::new).collect();
    let names: Vec<PoolNames> = pools
        .iter()
        .map(|pool| PoolNames {
            name: pool.name.clone(),
            servers: pool
                .servers
                .iter()
                .map(|server| server.name.clone())
                .collect(),
            families: pool.protocol.topics(),
        })
        .collect();
    let stats = Arc::new(WorkerStats::new(&names));
    let limits = limits(bytes);
    let settings = Settings {
        buffer_size: bytes.pick(&[512, 64, 2048]),
        worker: (0, 1),
        seed: 1,
        limits,
    };
    let mut world = World {
        proxy: Proxy::new(&pools, Arc::clone(&stats), settings),
        stats,
        peers: BTreeMap::new(),
        now: Time(1_000_000),
        most: 4 * limits.window + 2 * limits.cut_through + 256 * 1024,
        filler: vec![b'x'; 50_000],
    };
    for _ in 0..EVENTS_MAX {
        if bytes.is_empty() {
            break;
        }
        world.event(&pools, bytes);
    }
    world.farewell();
}

fn limits(bytes: &mut Bytes<'_>) -> Limits {
    if bytes.below(4) == 0 {
        return Limits::default();
    }
    Limits {
        outstanding: bytes.pick(&[1, 2, 8, 4096]),
        window: bytes.pick(&[64, 1024, 64 * 1024]),
        cut_through: bytes.pick(&[16, 1024, 16 * 1024]),
        large_message: bytes.pick(&[512, 20 * 1024, 1024 * 1024]),
        spares: bytes.pick(&[1, 2]),
        queue: bytes.pick(&[256, 64 * 1024, 64 * 1024 * 1024]),
        tombstones: bytes.pick(&[1, 4, 4096]),
        ..Limits::default()
    }
}

impl World {
    fn event(&mut self, pools: &[Arc<config::Pool>], bytes: &mut Bytes<'_>) {
        match bytes.below(20) {
            0 => {
                let pool = bytes.below(pools.len());
                let conn = self.proxy.accept(PoolIndex(pool as u16));
                let peer = Peer {
                    dialling: false,
                    is_client: true,
                    full: false,
                    shut: false,
                };
                assert!(self.peers.insert(conn, peer).is_none(), "an id given twice");
            }
            1..=5 => {
                if let Some(conn) = self.some(bytes, |peer| peer.is_client) {
                    let request = self.request(bytes);
                    self.receive(conn, &request);
                }
            }
            6..=8 => {
                if let Some(conn) = self.some(bytes, |peer| peer.dialling) {
                    self.peers.get_mut(&conn).expect("it is there").dialling = false;
                    self.proxy.connected(conn);
                }
            }
            9..=12 => {
                if let Some(conn) = self.some(bytes, |peer| !peer.is_client && !peer.dialling) {
                    let reply = self.reply(bytes);
                    self.receive(conn, &reply);
                }
            }
            13 => {
                if let Some(conn) = self.some(bytes, |_| true) {
                    let cause = bytes.pick(&[Cause::Reset, Cause::Refused, Cause::TimedOut]);
                    self.proxy.failed(conn, cause);
                }
            }
            14 => {
                if let Some(conn) = self.some(bytes, |peer| !peer.dialling) {
                    self.proxy.ended(conn);
                }
            }
            15 => {
                if let Some(conn) = self.some(bytes, |peer| !peer.dialling) {
                    let peer = self.peers.get_mut(&conn).expect("it is there");
                    peer.full = !peer.full;
                    if !peer.full {
                        self.write(conn, usize::MAX);
                    }
                }
            }
            16 => {
                if let Some(conn) = self.some(bytes, |peer| !peer.dialling && peer.full) {
                    self.write(conn, 1 + bytes.below(256));
                }
            }
            17 => {
                let index = bytes.below(pools.len());
                let pool = &pools[index];
                let mask = bytes.byte();
                let live: Vec<bool> = (0..pool.servers.len())
                    .map(|i| mask >> i & 1 == 1)
                    .collect();
                let router = Arc::new(router(pool, &live));
                self.proxy.set_router(PoolIndex(index as u16), router);
            }
            18 => match bytes.below(8) {
                0 => self.proxy.drain(),
                _ => self.proxy.preconnect(),
            },
            _ => {
                let millis = bytes.pick(&[1, 50, 101, 401, 1_001, 5_001, 31_000]);
                self.now = self.now + Duration::from_millis(millis);
            }
        }
        self.turn();
    }

    /// One of the connections for which `fits` holds.
    fn some(&self, bytes: &mut Bytes<'_>, fits: impl Fn(&Peer) -> bool) -> Option<ConnId> {
        let fitting = self.peers.iter().filter(|(_, peer)| fits(peer));
        let fitting: Vec<ConnId> = fitting.map(|(conn, _)| *conn).collect();
        (!fitting.is_empty()).then(|| fitting[bytes.below(fitting.len())])
    }

    fn request(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        match bytes.below(8) {
            0..=2 => redis_encode(bytes.pick(&REQUESTS)),
            3..=4 => bytes.pick(&LINES).to_vec(),
            5 => {
                // Large, and not always whole.
                let value = &self.filler[..bytes.below(50) * 1000];
                let mut request = match bytes.below(2) {
                    0 => redis_encode(&[b"SET", b"k", value]),
                    _ => {
                        let head = format!("set k 0 0 {}\r\n", value.len());
                        [head.as_bytes(), value, b"\r\n"].concat()
                    }
                };
                request.truncate(request.len() - bytes.below(4) * (request.len() / 4));
                request
            }
            6 => self.filler[..bytes.below(200) * 100].to_vec(),
            _ => {
                let count = bytes.below(40);
                bytes.take(count).to_vec()
            }
        }
    }

    fn reply(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        match bytes.below(8) {
            0 => {
                let count = bytes.below(40);
                bytes.take(count).to_vec()
            }
            1 => self.filler[..bytes.below(200) * 200].to_vec(),
            count => (1..count)
                .flat_map(|_| bytes.pick(&REPLIES).to_vec())
                .collect(),
        }
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        self.proxy.turn(self.now);
        if self.proxy.wants_read(conn) {
            self.proxy.received(conn, Input::copied(bytes));
        }
    }

    /// The rest of a turn: what is late, then all actions.
    fn turn(&mut self) {
        self.proxy.turn(self.now);
        let mut spins = 0;
        loop {
            self.proxy.expire();
            self.obey();
            if self.proxy.next_deadline().is_none_or(|at| at > self.now) {
                break;
            }
            spins += 1;
            assert!(spins < 10, "a deadline that is never dealt with");
        }
        for (conn, peer) in &self.peers {
            if peer.is_client {
                let len = self.proxy.output(*conn).map_or(0, |out| out.len());
                assert!(len <= self.most, "{len} bytes wait for a client");
            }
        }
        let clients = self.peers.values().filter(|peer| peer.is_client).count();
        assert_eq!(self.proxy.client_count(), clients);
        assert_eq!(self.proxy.link_count(), self.peers.len() - clients);
    }

    fn obey(&mut self) {
        for _ in 0..ACTIONS_MAX {
            let Some(action) = self.proxy.poll_action() else {
                return self.proxy.check();
            };
            match action {
                Action::Connect { conn, .. } => {
                    let peer = Peer {
                        dialling: true,
                        is_client: false,
                        full: false,
                        shut: false,
                    };
                    assert!(self.peers.insert(conn, peer).is_none(), "an id given twice");
                }
                Action::Flush(conn) => {
                    let peer = self.peers.get(&conn).expect("flushes what is there");
                    assert!(!peer.dialling, "writes before there is a connection");
                    if !peer.full {
                        self.write(conn, usize::MAX);
                    }
                }
                Action::Close { conn, .. } => {
                    assert!(self.peers.remove(&conn).is_some(), "closes what is closed");
                    assert!(self.proxy.output(conn).is_none() && !self.proxy.wants_read(conn));
                }
                Action::Shutdown(conn) => {
                    let peer = self.peers.get_mut(&conn).expect("shuts what is there");
                    assert!(!peer.shut, "shut twice");
                    peer.shut = true;
                }
                Action::Resume(conn) => {
                    assert!(self.peers.contains_key(&conn), "resumes what is closed");
                }
                Action::Call(_) | Action::Return(..) => panic!("there is no other worker"),
                Action::Failed { .. } | Action::Succeeded { .. } => {}
                Action::Notice(notice) => {
                    let text = notice.what.to_string();
                    assert!(!text.chars().any(char::is_control), "{text:?}");
                }
                #[allow(unreachable_patterns, reason = "other orders need nothing here")]
                _ => {}
            }
        }
        panic!("actions without end");
    }

    /// The socket takes at most `most` bytes.
    fn write(&mut self, conn: ConnId, most: usize) {
        let len = self.proxy.output(conn).map_or(0, |out| out.len()).min(most);
        if len > 0 {
            let peer = &self.peers[&conn];
            assert!(!peer.shut, "writes behind the end");
            self.proxy.sent(conn, len);
        }
    }

    /// Everybody leaves; nothing may be left.
    fn farewell(&mut self) {
        for round in 0..100 {
            let conns: Vec<ConnId> = self.peers.keys().copied().collect();
            if conns.is_empty() {
                break;
            }
            assert!(round < 99, "new connections without end");
            for conn in conns {
                if self.peers.contains_key(&conn) {
                    self.proxy.failed(conn, Cause::Reset);
                    self.turn();
                }
            }
        }
        // What was set for those who have gone is noticed when it comes, and is no more then.
        for _ in 0..1000 {
            let Some(at) = self.proxy.next_deadline() else {
                break;
            };
            self.now = self.now.max(at);
            self.turn();
        }
        assert_eq!(self.proxy.next_deadline(), None, "deadlines without end");
        for pool in &self.stats.pools {
            assert_eq!(pool.client_connections.read(), 0);
            for server in &pool.servers {
                for gauge in [
                    &server.in_queue,
                    &server.in_queue_bytes,
                    &server.out_queue,
                    &server.out_queue_bytes,
                    &server.server_connections,
                ] {
                    assert_eq!(gauge.read(), 0);
                }
                assert!(server.responses.read() <= server.requests.read());
            }
        }
    }
}
