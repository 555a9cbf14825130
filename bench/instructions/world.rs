//! The core between pretend clients and servers that always say the same, prepared beforehand, so
//! that hardly anything but the core is counted.

use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nutcrab::buffer::{Chunk, Input};
use nutcrab::config;
use nutcrab::protocol::Protocol;
use nutcrab::proxy::{Action, ConnId, Limits, PoolIndex, Proxy, Settings, Time};
use nutcrab::stats::{PoolNames, Stats};

/// What is asked of which pools.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Spoken on both sides.
    pub protocol: Protocol,
    /// `get`, `set` or `mget COUNT`.
    pub request: &'static str,
    /// Bytes of a value.
    pub value: usize,
    /// Clients, spread over the pools.
    pub clients: usize,
    /// Requests of each client in one round.
    pub pipeline: usize,
    /// Servers of each pool.
    pub servers: usize,
    /// Pools.
    pub pools: usize,
}

/// Bytes that come from one connection in a round.
struct Arrival {
    conn: ConnId,
    chunk: Rc<Chunk>,
    len: usize,
}

/// A core with its clients, and what comes from both sides in each round.
pub struct World {
    proxy: Proxy,
    questions: Vec<Arrival>,
    answers: Vec<Arrival>,
    now: Time,
    /// Whether a request has too many keys for one turn.
    takes_turns: bool,
}

impl World {
    /// After one round, in which connections were made and it was noted what the servers answer.
    pub fn new(plan: Plan) -> Self {
        let mut proxy = proxy(&plan);
        let mut questions = Vec::new();
        for number in 0..plan.clients {
            let conn = proxy.accept(PoolIndex((number % plan.pools) as u16));
            let bytes = requests(
                plan.protocol,
                plan.request,
                plan.value,
                plan.pipeline,
                number,
            );
            questions.push(arrival(conn, &bytes));
        }
        let mut world = Self {
            proxy,
            questions,
            answers: Vec::new(),
            now: Time(1),
            takes_turns: plan.request.len() > "mget 1000".len(),
        };
        for question in &world.questions {
            world
                .proxy
                .received(question.conn, Input::shared(&question.chunk, question.len));
        }
        let mut asked: Vec<(ConnId, Vec<u8>)> = Vec::new();
        while let Some(action) = world.next_action() {
            match action {
                Action::Connect { conn, .. } => world.proxy.connected(conn),
                Action::Flush(conn) => {
                    let bytes = world
                        .proxy
                        .output(conn)
                        .map_or(Vec::new(), |out| out.to_vec());
                    world.proxy.sent(conn, bytes.len());
                    asked.push((conn, bytes));
                }
                _ => {}
            }
        }
        for (conn, bytes) in asked {
            world
                .answers
                .push(arrival(conn, &replies(plan.protocol, &bytes, plan.value)));
        }
        world.answer();
        world
    }

    /// Every client asks, and is answered.
    pub fn round(&mut self) {
        self.now = self.now + Duration::from_micros(100);
        self.proxy.turn(self.now);
        for question in &self.questions {
            self.proxy
                .received(question.conn, Input::shared(&question.chunk, question.len));
        }
        self.write();
        self.answer();
    }

    fn answer(&mut self) {
        self.now = self.now + Duration::from_micros(100);
        self.proxy.turn(self.now);
        for answer in &self.answers {
            self.proxy
                .received(answer.conn, Input::shared(&answer.chunk, answer.len));
        }
        let written = self.write();
        if self.takes_turns {
            assert!(written > 0, "the client is answered");
        } else {
            assert_eq!(written, self.questions.len(), "every client is answered");
        }
    }

    /// The next thing to do, in this turn or in those that follow it at once.
    fn next_action(&mut self) -> Option<Action> {
        loop {
            let action = self.proxy.poll_action();
            let is_due = |at| at <= self.now;
            if action.is_some()
                || !self.takes_turns
                || !self.proxy.next_deadline().is_some_and(is_due)
            {
                return action;
            }
            self.proxy.turn(self.now);
        }
    }

    fn write(&mut self) -> usize {
        self.proxy.expire();
        let mut written = 0;
        while let Some(action) = self.next_action() {
            if let Action::Flush(conn) = action {
                let len = self.proxy.output(conn).map_or(0, |out| out.len());
                self.proxy.sent(conn, len);
                written += 1;
            }
        }
        written
    }
}

/// A core as a plan has it, without clients.
pub fn proxy(plan: &Plan) -> Proxy {
    let pools = pools(plan);
    let names = pools.iter().map(|pool| PoolNames {
        name: pool.name.clone(),
        families: pool.protocol.topics(),
        servers: pool
            .servers
            .iter()
            .map(|server| server.name.clone())
            .collect(),
    });
    let stats = Stats::new(names.collect(), 1);
    let settings = Settings {
        buffer_size: 16384,
        worker: (0, 1),
        seed: 1,
        limits: Limits::default(),
    };
    Proxy::new(&pools, stats.set(0), settings)
}

fn arrival(conn: ConnId, bytes: &[u8]) -> Arrival {
    let mut chunk = Chunk::new(bytes.len());
    chunk.space().copy_from_slice(bytes);
    Arrival {
        conn,
        chunk: Rc::new(chunk),
        len: bytes.len(),
    }
}

fn pools(plan: &Plan) -> Vec<Arc<config::Pool>> {
    let mut yaml = String::new();
    for pool in 0..plan.pools {
        let redis = plan.protocol == Protocol::Redis;
        yaml += &format!(
            "p{pool}:\n  listen: 127.0.0.1:{}\n  redis: {redis}\n",
            1000 + pool
        );
        yaml += "  hash: fnv1a_64\n  timeout: 400\n  servers:\n";
        for server in 0..plan.servers {
            yaml += &format!("   - 127.0.0.1:{}:1 s{server}\n", 2000 + server);
        }
    }
    let file =
        std::env::temp_dir().join(format!("nutcrab-instructions-{}.yml", std::process::id()));
    fs::write(&file, yaml).expect("a file can be written");
    let config = config::load(&file).expect("a good configuration");
    let _ = fs::remove_file(&file);
    config.pools.into_iter().map(Arc::new).collect()
}

fn key(number: usize) -> String {
    format!("key:{:012}", number * 7919 % 1_000_003)
}

/// What one client sends in a round.
pub fn requests(
    protocol: Protocol,
    request: &str,
    value: usize,
    count: usize,
    client: usize,
) -> Vec<u8> {
    let (name, keys) = request.split_once(' ').unwrap_or((request, "1"));
    let keys: usize = keys.parse().expect("a number of keys");
    let mut bytes = Vec::new();
    for number in 0..count {
        let key = |index: usize| key((client * count + number) * keys + index);
        let text = match (protocol, name) {
            (Protocol::Redis, "get") => format!("*2\r\n$3\r\nGET\r\n$16\r\n{}\r\n", key(0)),
            (Protocol::Redis, "set") => {
                format!(
                    "*3\r\n$3\r\nSET\r\n$16\r\n{}\r\n${value}\r\n{}\r\n",
                    key(0),
                    "x".repeat(value)
                )
            }
            (Protocol::Redis, _) => {
                let keys: String = (0..keys)
                    .map(|index| format!("$16\r\n{}\r\n", key(index)))
                    .collect();
                format!("*{}\r\n$4\r\nMGET\r\n{keys}", keys.len() / 23 + 1)
            }
            (Protocol::Memcache | Protocol::Binary, "set") => {
                format!("set {} 0 0 {value}\r\n{}\r\n", key(0), "x".repeat(value))
            }
            (Protocol::Memcache | Protocol::Binary, _) => {
                let keys: String = (0..keys).map(|index| format!(" {}", key(index))).collect();
                format!("get{keys}\r\n")
            }
        };
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// What a server says to requests of the kinds above.
fn replies(protocol: Protocol, bytes: &[u8], value: usize) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("the requests are text");
    let mut replies = String::new();
    let data = "x".repeat(value);
    let mut lines = text.split_terminator("\r\n");
    while let Some(line) = lines.next() {
        if protocol == Protocol::Memcache {
            let mut words = line.split(' ');
            if words.next() == Some("set") {
                lines.next();
                replies += "STORED\r\n";
                continue;
            }
            for key in words.filter(|key| !key.is_empty()) {
                replies += &format!("VALUE {key} 0 {value}\r\n{data}\r\n");
            }
            replies += "END\r\n";
            continue;
        }
        let args: usize = line
            .strip_prefix('*')
            .and_then(|n| n.parse().ok())
            .expect("an array");
        let name = lines.by_ref().nth(1).expect("a name").to_ascii_lowercase();
        // Each argument is a line with its length and one with itself.
        lines.by_ref().take(2 * (args - 1)).for_each(drop);
        match name.as_str() {
            "get" => replies += &format!("${value}\r\n{data}\r\n"),
            "set" => replies += "+OK\r\n",
            _ => {
                replies += &format!("*{}\r\n", args - 1);
                replies += &format!("${value}\r\n{data}\r\n").repeat(args - 1);
            }
        }
    }
    replies.into_bytes()
}
