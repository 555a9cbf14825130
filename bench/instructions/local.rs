//! What a worker does in one go for requests it answers itself, or mostly itself: the largest there may
//! be. No request may keep it from its other clients for more than ten milliseconds.

use std::time::Duration;

use nutcrab::buffer::Input;
use nutcrab::protocol::redis::commands::{Table, Verb};
use nutcrab::protocol::{Commands, Limits, Local, Parse, Protocol, RequestScan, Verdict};
use nutcrab::proxy::{Action, ConnId, PoolIndex, Proxy, Time};

use crate::world::{Plan, proxy};

/// Instructions of ten milliseconds, on a machine that is not fast.
pub const MOST: f64 = 30_000_000.0;

/// How often a request is repeated to see that its turns are all alike.
const TURNS_MAX: usize = 10_000;

/// A core with one client.
struct Lone {
    proxy: Proxy,
    client: ConnId,
    now: Time,
    /// What servers were sent.
    asked: Vec<(ConnId, Vec<u8>)>,
}

impl Lone {
    fn new() -> Self {
        let mut proxy = proxy(&Plan {
            protocol: Protocol::Redis,
            request: "get",
            value: 1,
            clients: 1,
            pipeline: 1,
            servers: 4,
            pools: 1,
        });
        let client = proxy.accept(PoolIndex(0));
        Self {
            proxy,
            client,
            now: Time(1),
            asked: Vec::new(),
        }
    }

    /// The client asks. Says in how many turns that was dealt with.
    fn ask(&mut self, request: &[u8]) -> usize {
        self.now = self.now + Duration::from_micros(100);
        self.proxy.turn(self.now);
        self.proxy.received(self.client, Input::copied(request));
        for turn in 1..TURNS_MAX {
            self.settle();
            let soon = self.now + Duration::from_micros(2);
            if self.proxy.next_deadline().is_none_or(|at| at > soon) {
                return turn;
            }
            self.now = soon;
            self.proxy.turn(self.now);
            self.proxy.expire();
        }
        panic!("a request without end");
    }

    fn settle(&mut self) {
        while let Some(action) = self.proxy.poll_action() {
            match action {
                Action::Connect { conn, .. } => self.proxy.connected(conn),
                Action::Flush(conn) => {
                    let len = self.proxy.output(conn).map_or(0, |out| out.len());
                    if conn != self.client {
                        let bytes = self.proxy.output(conn).map(|out| out.to_vec());
                        self.asked.push((conn, bytes.unwrap_or_default()));
                    }
                    self.proxy.sent(conn, len);
                }
                _ => {}
            }
        }
    }

    /// The servers confirm all subscriptions they were asked for.
    fn confirm(&mut self) {
        const CONFIRMED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
        for (conn, bytes) in std::mem::take(&mut self.asked) {
            let count = bytes.iter().filter(|&&byte| byte == b'*').count();
            let replies = CONFIRMED.repeat(count);
            self.proxy.received(conn, Input::copied(&replies));
        }
        self.settle();
    }
}

fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// One word that fills what is left of a request, and as many small ones as fill it.
fn largest(start: &[&str]) -> [Vec<u8>; 2] {
    let left = Limits::REDIS.local - request(start).len() - 16;
    let long = "*[".to_owned() + &"!".repeat(left - 2);
    let short = vec!["get"; left / "$3\r\nget\r\n".len()];
    [
        request(&[start, &[&long]].concat()),
        request(&[start, &short].concat()),
    ]
}

fn is_of_many(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Subscribe
            | Verb::Psubscribe
            | Verb::Ssubscribe
            | Verb::Unsubscribe
            | Verb::Punsubscribe
            | Verb::Sunsubscribe
    )
}

/// Each command that is answered here, and each of their sub-commands that takes anything.
fn requests() -> Vec<Vec<u8>> {
    let mut starts: Vec<Vec<&str>> = [
        "CLIENT SETNAME",
        "CLIENT SETINFO LIB-NAME",
        "CLIENT LIST ID",
        "CLIENT LIST TYPE",
        "CLIENT KILL",
        "CLIENT KILL ID",
        "CLIENT NOSUCH",
        "COMMAND INFO",
        "COMMAND DOCS",
        "COMMAND GETKEYS MGET",
        "COMMAND LIST FILTERBY PATTERN",
        "CONFIG GET",
        "HELLO 2 SETNAME",
        "HELLO 2 AUTH",
    ]
    .iter()
    .map(|text| text.split(' ').collect())
    .collect();
    let table = Table::standard();
    let commands = Commands::standard(Protocol::Redis);
    let is_local = |request: &Vec<u8>| {
        let mut scan = RequestScan::default();
        match commands.parse(request, &mut scan, &Limits::REDIS) {
            Parse::Done { request, .. } => {
                matches!(request.verdict, Verdict::Local(Local::Redis(verb)) if !is_of_many(verb))
            }
            _ => false,
        }
    };
    for row in table.rows() {
        let mut words = vec![row.name, "1", "1"];
        let may_be = (0..3).any(|_| {
            let found = is_local(&request(&words));
            words.pop();
            found
        });
        if may_be {
            starts.push(vec![row.name]);
        }
    }
    let all = starts.iter().flat_map(|start| largest(start));
    all.filter(is_local).collect()
}

/// Every command that is answered here, each with the largest arguments it may have and by a client of
/// its own. Those about subscriptions take several turns, see [`subscriptions`].
pub fn every_largest(count: usize) {
    let requests = requests();
    assert!(requests.len() > 40, "{}", requests.len());
    for _ in 0..count {
        let mut lone = Lone::new();
        for request in &requests {
            lone.client = lone.proxy.accept(PoolIndex(0));
            assert_eq!(lone.ask(request), 1);
        }
    }
}

/// The dearest of them.
pub fn dearest(count: usize) {
    let [_, request] = largest(&["COMMAND", "INFO"]);
    let mut lone = Lone::new();
    for _ in 0..count {
        lone.ask(&request);
    }
}

/// The shortest requests of a client whose names are the longest.
pub fn short_after_long(count: usize) {
    let mut lone = Lone::new();
    for start in [
        &["CLIENT", "SETNAME"][..],
        &["CLIENT", "SETINFO", "LIB-NAME"],
        &["CLIENT", "SETINFO", "LIB-VER"],
    ] {
        lone.ask(&largest(start)[0]);
    }
    for _ in 0..count {
        lone.ask(&request(&["CLIENT", "ID"]));
    }
}

/// Ten thousand channels, and the end of them.
pub fn subscriptions(count: usize) {
    let names: Vec<String> = (0..10_000).map(|number| format!("c{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let subscribe = request(&[&["SUBSCRIBE"][..], &names].concat());
    for _ in 0..count {
        let mut lone = Lone::new();
        assert!(lone.ask(&subscribe) >= SLICES, "it takes its turns");
        lone.confirm();
        assert!(lone.ask(&request(&["UNSUBSCRIBE"])) >= SLICES);
    }
}

/// In so many turns at least they are made, and ended.
pub const SLICES: usize = 78;
