//! A proxy in front of its own set of servers, brought into the same state before each case.
//!
//! Both proxies get servers of the same names, so that their rings are equal although the ports
//! are not.

use crate::case::{Case, Ending};
use crate::support::resp::words;
use crate::support::*;

/// A proxy with all pools that cases name, and its servers.
pub struct System {
    proxy: Proxy,
    redis: Vec<Server>,
    caches: Vec<Server>,
    /// Connections straight to the servers, to empty them.
    direct: Vec<Wire>,
    _fakes: Vec<FakeServer>,
    _nobody: Vec<Port>,
}

/// What one proxy did with one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// All it answered, the reply to the sentinel not included.
    pub bytes: Vec<u8>,
    /// Whether it closed the connection, kept it open, or never answered the sentinel.
    pub end: End,
}

/// How a case is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// All of it at once.
    Whole,
    /// Each byte in a packet of its own.
    Bytes,
}

const PASSWORD: &str = "secret";

/// What every Redis server of a case holds, as far as the keys fall to it.
const REDIS_CONTENT: &[&str] = &[
    "SET sentinel waiting",
    "SET str \"hello world\"",
    "SET num 41",
    "SET float 3.25",
    "SET empty \"\"",
    "SET bytes \"\\xff\\x00\\r\\n\\x80\"",
    "SET \"\\xe4\\xb8\\xad\\xff\" high",
    "SET with\"quote quoted",
    "SETEX expiring 1000 soon",
    "RPUSH list a b c d e",
    "RPUSH nums 3 1 2",
    "HSET hash f1 v1 f2 v2 n 5",
    "HSET one f v",
    "SADD set 1 2 3 4",
    "SADD single x",
    "ZADD zset 1 a 2 b 3 c 4 d",
    "ZADD lex 0 a 0 b 0 c",
    "ZADD zone 1 x",
    "PFADD hll a b c",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "SET k0 v0 | SET k1 v1 | SET k2 v2 | SET k3 v3 | SET k4 v4 | SET k5 v5 | SET k6 v6 | SET k7 v7",
    "SET {t}str tagged | SET {t}a 1 | SET {t}b 2 | RPUSH {t}list a b c | RPUSH {t}other x",
    "SADD {t}set 1 2 3 4 | SADD {t}set2 3 4 5 | SADD {t}single 3",
    "ZADD {t}zset 1 a 2 b 3 c | ZADD {t}zset2 10 b 20 c 30 d",
    "PFADD {t}hll a b c | PFADD {t}hll2 c d e",
    "GEOADD {t}geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
];

/// What the memcached servers hold.
const CACHE_CONTENT: &[(&str, &str)] = &[
    ("sentinel", "waiting"),
    ("str", "hello world"),
    ("num", "41"),
    ("top", "18446744073709551615"),
    ("empty", ""),
    ("k0", "v0"),
    ("k1", "v1"),
    ("k2", "v2"),
    ("k3", "v3"),
    ("k4", "v4"),
    ("k5", "v5"),
    ("k6", "v6"),
    ("k7", "v7"),
    ("{t}a", "tagged a"),
    ("{t}b", "tagged b"),
];

impl System {
    /// Starts servers, and in front of them what `proxy` starts.
    pub fn start(proxy: impl FnOnce(Vec<Pool>) -> Proxy) -> Self {
        let (redis, caches) = (Server::redis_many(4), Server::memcached_many(4));
        let locked: Vec<_> = (0..2)
            .map(|_| Server::redis_with(&["--requirepass", PASSWORD]))
            .collect();
        let full = Server::redis_with(&["--maxmemory", "1"]);
        let (odd, odd_cache) = (odd_redis(), odd_cache());
        let nobody: Vec<_> = (0..2).map(|_| Port::free()).collect();
        let dead: Vec<_> = nobody
            .iter()
            .map(|port| Address::tcp(port.number()))
            .collect();
        let missing = server::scratch().path().join("missing.sock");
        let missing = Address::Unix(missing);
        // Spreads the few short keys of the cases over all servers, which the default does not.
        let spread = |pool: Pool| pool.with("hash", "murmur");
        let plain = |pool: Pool, servers: &[Server]| pool.servers(servers).with("timeout", "5000");
        let of = |pool: Pool, servers: &[Server]| spread(plain(pool, servers));
        let eject = |pool: Pool| {
            pool.with("auto_eject_hosts", "true")
                .with("server_failure_limit", "1")
                .with("server_retry_timeout", "600000")
        };
        let (one, one_cache) = (redis[0].address(), caches[0].address());
        let unknown_host = format!("{}:6379:1 s1", "x".repeat(64));
        let pools = vec![
            of(Pool::redis("redis"), &redis),
            of(Pool::redis("tagged"), &redis).with("hash_tag", "\"{}\""),
            plain(Pool::redis("modula"), &redis).with("distribution", "modula"),
            of(Pool::redis("one"), &redis[..1]),
            of(Pool::redis("db"), &redis).with("redis_db", "5"),
            of(Pool::redis("nodb"), &redis).with("redis_db", "99"),
            of(Pool::redis("auth"), &locked).with("redis_auth", PASSWORD),
            of(Pool::redis("authdb"), &locked)
                .with("redis_auth", PASSWORD)
                .with("redis_db", "5"),
            of(Pool::redis("wrongpass"), &locked).with("redis_auth", "wrong"),
            of(Pool::redis("nopass"), &locked),
            of(Pool::redis("full"), std::slice::from_ref(&full)),
            spread(Pool::redis("dead"))
                .at("s1", &dead[0])
                .at("s2", &dead[1]),
            spread(Pool::redis("half")).at("s1", one).at("s2", &dead[0]),
            eject(
                spread(Pool::redis("ejected"))
                    .at("s1", &dead[0])
                    .at("s2", &dead[1]),
            ),
            Pool::redis("nosocket").at("s1", &missing),
            Pool::redis("nohost").line(&unknown_host),
            Pool::redis("odd")
                .at("s1", &odd.address())
                .with("timeout", "10000"),
            Pool::redis("stalling")
                .at("s1", &odd.address())
                .with("timeout", "300"),
            of(Pool::memcache("cache"), &caches),
            of(Pool::memcache("tagcache"), &caches).with("hash_tag", "\"{}\""),
            of(Pool::memcache("onecache"), &caches[..1]),
            spread(Pool::memcache("deadcache"))
                .at("s1", &dead[0])
                .at("s2", &dead[1]),
            spread(Pool::memcache("halfcache"))
                .at("s1", one_cache)
                .at("s2", &dead[0]),
            Pool::memcache("oddcache")
                .at("s1", &odd_cache.address())
                .with("timeout", "10000"),
            Pool::memcache("stallingcache")
                .at("s1", &odd_cache.address())
                .with("timeout", "300"),
        ];
        let proxy = proxy(pools);
        let mut direct: Vec<_> = redis
            .iter()
            .chain(&locked)
            .chain([&full])
            .chain(&caches)
            .map(Server::connect)
            .collect();
        for wire in &mut direct[redis.len()..redis.len() + locked.len()] {
            assert_eq!(wire.ask(&["AUTH", PASSWORD]), Reply::ok());
        }
        let redis = redis.into_iter().chain(locked).chain([full]).collect();
        Self {
            proxy,
            redis,
            caches,
            direct,
            _fakes: vec![odd, odd_cache],
            _nobody: nobody,
        }
    }

    /// Brings the servers into the state every case starts from, as seen through its pools.
    pub fn prepare(&mut self, case: &Case) {
        let pools = case.before.iter().map(|(pool, _)| *pool).chain([case.pool]);
        // A connection to a server that the case before has broken may be found out only now.
        eventually(&format!("content is written for {}", case.title()), || {
            self.empty();
            pools.clone().all(|pool| self.fill(pool)).then_some(())
        });
    }

    fn empty(&mut self) {
        let (redis, caches) = self.direct.split_at_mut(self.redis.len());
        assert_eq!(caches.len(), self.caches.len());
        for wire in redis.iter_mut() {
            wire.send(&pipeline(&["FLUSHALL", "SCRIPT FLUSH"]));
        }
        for wire in redis {
            wire.expect(b"+OK\r\n+OK\r\n");
        }
        for wire in caches {
            wire.check(b"flush_all\r\n", b"OK\r\n");
        }
    }

    /// Writes the content through `pool`, if it can hold any.
    fn fill(&mut self, pool: &str) -> bool {
        let kind = Kind::of(pool);
        let (request, reply_count) = match kind {
            Kind::Redis => redis_content(None),
            Kind::Locked => redis_content(Some(PASSWORD)),
            Kind::Cache => cache_content(),
            Kind::Broken | Kind::Refused | Kind::BrokenCache => return true,
        };
        let mut client = self.proxy.client(pool);
        client.send(&request);
        let lines = |received: &[u8]| received.iter().filter(|&&byte| byte == b'\n').count();
        let (got, end) = client.read_until(|got| lines(got) >= reply_count);
        let stored = got.windows(6).filter(|six| six == b"STORED").count();
        let refused = got.starts_with(b"-") || got.windows(2).any(|two| two == b"\n-");
        end == End::Open && !refused && (kind != Kind::Cache || stored == reply_count)
    }

    /// Sends a case and gathers what comes back.
    pub fn run(&mut self, case: &Case, pieces: Pieces) -> Outcome {
        let mut bytes = Vec::new();
        if let Some((pool, request)) = &case.before {
            let outcome = self.send(pool, request, Ending::Sentinel, pieces);
            bytes.extend(outcome.bytes);
        }
        let mut outcome = self.send(case.pool, &case.request, case.ending, pieces);
        bytes.append(&mut outcome.bytes);
        Outcome { bytes, ..outcome }
    }

    fn send(&mut self, pool: &str, request: &[u8], ending: Ending, pieces: Pieces) -> Outcome {
        let mut client = self.proxy.client(pool);
        client.patience = std::time::Duration::from_secs(5);
        // A proxy that closes may do so while we send.
        match pieces {
            Pieces::Whole => drop(client.try_send(request)),
            Pieces::Bytes => client.send_bytewise(request),
        }
        if ending == Ending::OneLine {
            return first_line_and_end(&mut client);
        }
        if ending == Ending::HalfClose {
            // The original overlooks an end that arrives together with the bytes before it.
            client.wait_until_taken();
            client.half_close();
            let (bytes, end) = client.read_until(|_| false);
            return Outcome { bytes, end };
        }
        let (sentinel, reply) = match Kind::of(pool) {
            Kind::Redis => (words("GET sentinel"), &b"$7\r\nwaiting\r\n"[..]),
            Kind::Locked => (
                words("AUTH secret | GET sentinel"),
                &b"+OK\r\n$7\r\nwaiting\r\n"[..],
            ),
            Kind::Broken => (
                words("AUTH x"),
                &b"-ERR Client sent AUTH, but no password is set\r\n"[..],
            ),
            Kind::Refused => (words("AUTH x"), &b"-ERR invalid password\r\n"[..]),
            Kind::Cache => (
                b"get sentinel\r\n".to_vec(),
                &b"VALUE sentinel 0 7\r\nwaiting\r\nEND\r\n"[..],
            ),
            // Nothing can be asked there that would be answered in a known way.
            Kind::BrokenCache => return first_line_and_end(&mut client),
        };
        let _ = client.try_send(&sentinel);
        let (mut bytes, end) = client.read_until(|got| got.ends_with(reply));
        if end == End::Open {
            bytes.truncate(bytes.len() - reply.len());
        }
        Outcome { bytes, end }
    }
}

/// An answer of one line, and whether the connection is closed behind it.
fn first_line_and_end(client: &mut Wire) -> Outcome {
    let (mut bytes, mut end) = client.read_until(|got| got.ends_with(b"\n"));
    if end == End::Open {
        let (rest, after) = client.read_until_quiet(std::time::Duration::from_millis(50));
        bytes.extend(rest);
        end = if after == End::Closed {
            End::Closed
        } else {
            End::Open
        };
    }
    Outcome { bytes, end }
}

/// What a pool can be asked so that the end of an answer is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Redis,
    /// Clients must give the password first.
    Locked,
    /// Its servers hold nothing that could be asked for: what the proxy itself answers is used.
    Broken,
    /// The same where the pool has a password.
    Refused,
    Cache,
    BrokenCache,
}

impl Kind {
    fn of(pool: &str) -> Self {
        match pool {
            "redis" | "tagged" | "modula" | "one" | "db" => Self::Redis,
            "auth" | "authdb" => Self::Locked,
            "cache" | "tagcache" | "onecache" => Self::Cache,
            "deadcache" | "halfcache" | "oddcache" | "stallingcache" => Self::BrokenCache,
            "wrongpass" => Self::Refused,
            _ => Self::Broken,
        }
    }
}

/// Requests that write the content, and how many lines of reply they give.
fn redis_content(password: Option<&str>) -> (Vec<u8>, usize) {
    let login = password.map(|password| format!("AUTH {password}"));
    let lines: Vec<&str> = login
        .iter()
        .map(String::as_str)
        .chain(REDIS_CONTENT.iter().copied())
        .collect();
    let text = lines.join(" | ");
    (words(&text), text.matches(" | ").count() + 1)
}

fn cache_content() -> (Vec<u8>, usize) {
    let set = |(key, value): &(&str, &str)| format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
    (
        CACHE_CONTENT
            .iter()
            .map(set)
            .collect::<String>()
            .into_bytes(),
        CACHE_CONTENT.len(),
    )
}

/// A server that answers each request with the bytes of its key; `close` and `stall` are orders.
fn odd_redis() -> FakeServer {
    FakeServer::start(|visit| {
        while let Some(words) = visit.request() {
            match words[1].as_slice() {
                b"close" => return,
                b"stall" => return visit.wait_closed(),
                // A second order: half an answer, then the end.
                b"break" => {
                    visit.wire.send(b"$10\r\nabc");
                    return visit.wire.wait_until_taken();
                }
                reply => visit.wire.send(reply),
            }
        }
    })
}

/// The same for memcached, where a key holds no line ends or spaces: `~` is sent as the one, `+` as the
/// other.
fn odd_cache() -> FakeServer {
    FakeServer::start(|visit| {
        loop {
            let (line, end) = visit.wire.read_until(|got| {
                let has_data = got.starts_with(b"set ") || got.starts_with(b"cas ");
                let lines = got.windows(2).filter(|end| end == b"\r\n").count();
                lines == if has_data { 2 } else { 1 }
            });
            if end != End::Open {
                return;
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            match line.split(' ').nth(1) {
                Some("close") => return,
                Some("stall") => return visit.wait_closed(),
                Some("break") => {
                    visit.wire.send(b"VALUE break 0 10\r\nabc");
                    return visit.wire.wait_until_taken();
                }
                Some(key) => visit
                    .wire
                    .send(key.replace('~', "\r\n").replace('+', " ").as_bytes()),
                None => return,
            }
        }
    })
}
