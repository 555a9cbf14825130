//! Clients of both protocols that ask, check every reply against the ledger, and connect again.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::book::{Book, Known};
use crate::support::value::{check, described};
use crate::support::{Address, End, Random, Reply, Wire, resp};

/// Keys each client owns.
const KEYS: usize = 12;

/// A reply that has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// What clients share.
#[derive(Debug)]
pub struct Traffic {
    /// The ledger.
    pub book: Book,
    /// Held by clients while anything of theirs is under way: who writes it finds the wires silent.
    pub gate: RwLock<()>,
    /// Says that all clients come to an end.
    pub stop: AtomicBool,
}

impl Traffic {
    /// None yet.
    pub fn new() -> Self {
        Self {
            book: Book::default(),
            gate: RwLock::new(()),
            stop: AtomicBool::new(false),
        }
    }
}

/// A request and what it is owed.
#[derive(Debug)]
enum Asked {
    /// A write of these keys with this version; `None` removes them.
    Write(Vec<usize>, Option<u64>),
    /// A read of these keys, one reply for all.
    Read(Vec<usize>),
    /// As `Read`, of one key.
    ReadOne(usize),
    /// An increment of the client's counter.
    Count,
    /// A text that comes back.
    Nonce(String),
}

/// How a protocol asks and answers.
trait Language {
    /// Says on a new connection what must be said there.
    fn greet(&self, _wire: &mut Wire) -> Result<Verdict, End> {
        Ok(Verdict::Right)
    }
    fn ask(&self, client: &mut Client, asked: &Asked, bytes: &mut Vec<u8>);
    /// Reads and judges a reply; `Err` when the connection has ended.
    fn judge(&self, client: &mut Client, wire: &mut Wire, asked: &Asked) -> Result<Verdict, End>;
}

/// What a reply came to.
enum Verdict {
    Right,
    /// An error, in these words.
    Failed(String),
    /// What no fault explains.
    Wrong(String),
}

/// One client and what it knows of its keys.
struct Client {
    number: usize,
    random: Random,
    known: Vec<Known>,
    version: u64,
    /// Increments sent and the last count it was told.
    sent: u64,
    told: u64,
    losses: u64,
}

impl Client {
    fn key(&self, index: usize) -> Vec<u8> {
        format!("live:{}:{index}", self.number).into_bytes()
    }

    fn value(&mut self, index: usize, version: u64) -> Vec<u8> {
        let length = match self.random.below(40) {
            0 => 20_000 + self.random.below(100_000),
            _ => self.random.below(300),
        };
        described(&self.key(index), version, length)
    }

    fn some_keys(&mut self) -> Vec<usize> {
        let mut keys: Vec<usize> = (0..KEYS).filter(|_| self.random.below(3) == 0).collect();
        if keys.is_empty() {
            keys.push(self.random.below(KEYS));
        }
        keys
    }

    fn draw(&mut self) -> Asked {
        let one = self.random.below(KEYS);
        match self.random.below(10) {
            0..=2 => {
                self.version += 1;
                Asked::Write(vec![one], Some(self.version))
            }
            3 => {
                self.version += 1;
                Asked::Write(self.some_keys(), Some(self.version))
            }
            4 => Asked::Write(vec![one], None),
            5..=6 => Asked::ReadOne(one),
            7 => Asked::Read(self.some_keys()),
            8 => Asked::Count,
            _ => Asked::Nonce(format!("n{}.{}", self.number, self.random.next())),
        }
    }

    /// A read has given `value` for a key.
    fn read(&mut self, index: usize, value: Option<&[u8]>) -> Result<(), String> {
        let key = self.key(index);
        let version = value.map(|value| check(&key, value));
        if self.known[index].allows(version, self.losses) {
            return Ok(());
        }
        Err(format!(
            "client {} reads version {version:?} of key {index}: {:?}",
            self.number, self.known[index]
        ))
    }

    fn counted(&mut self, count: u64) -> Verdict {
        // After a loss it starts again.
        if count <= self.told && self.losses == 0 || count > self.sent {
            return Verdict::Wrong(format!(
                "counter: {count}, {} before, {} sent",
                self.told, self.sent
            ));
        }
        self.told = count;
        Verdict::Right
    }

    fn settle(&mut self, asked: &Asked, certain: bool) {
        if let Asked::Write(keys, version) = asked {
            for &key in keys {
                match certain {
                    true => self.known[key].acknowledged(*version),
                    false => self.known[key].unknown(*version),
                }
            }
        }
    }
}

/// Redis traffic until it is told to stop.
pub fn redis(address: &Address, number: usize, traffic: &Traffic) {
    run(&Redis { greeting: None }, address, number, traffic);
}

/// The same in RESP3.
pub fn redis_modern(address: &Address, number: usize, traffic: &Traffic) {
    let greeting = Some(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    run(&Redis { greeting }, address, number, traffic);
}

/// memcached traffic until it is told to stop.
pub fn memcached(address: &Address, number: usize, traffic: &Traffic) {
    run(&Memcached, address, number, traffic);
}

fn run(language: &dyn Language, address: &Address, number: usize, traffic: &Traffic) {
    let book = &traffic.book;
    let mut client = Client {
        number,
        random: Random::new(number as u64 + 1),
        known: (0..KEYS).map(|_| Known::default()).collect(),
        version: 0,
        sent: 0,
        told: 0,
        losses: 0,
    };
    let mut wire: Option<Wire> = None;
    while !traffic.stop.load(Ordering::SeqCst) {
        let gate = traffic.gate.read().expect("nobody panics with it");
        client.losses = book.losses.load(Ordering::SeqCst);
        let begin = Instant::now();
        if wire.is_none() {
            match Wire::try_connect(address) {
                Ok(mut fresh) => {
                    fresh.patience = PATIENCE;
                    match language.greet(&mut fresh) {
                        Ok(Verdict::Right) => wire = Some(fresh),
                        Ok(Verdict::Failed(words)) => book.trouble(begin, &words),
                        Ok(Verdict::Wrong(text)) => book.offence(text),
                        Err(end) => book.trouble(begin, &format!("{end:?} after a greeting")),
                    }
                }
                Err(error) => book.trouble(begin, &format!("cannot connect: {error}")),
            }
        }
        if let Some(open) = &mut wire
            && !batch(language, &mut client, open, book)
        {
            wire = None;
        }
        drop(gate);
        // Sometimes it leaves of its own accord, between two requests.
        if client.random.below(200) == 0 {
            wire = None;
        }
        std::thread::sleep(Duration::from_millis(client.random.below(10) as u64));
    }
}

/// Some requests in one write, and their replies; says whether the connection lives.
fn batch(language: &dyn Language, client: &mut Client, wire: &mut Wire, book: &Book) -> bool {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    let count = 1 + client.random.below(16);
    let asked: Vec<Asked> = (0..count).map(|_| client.draw()).collect();
    for asked in &asked {
        language.ask(client, asked, &mut bytes);
    }
    book.requests
        .fetch_add(asked.len() as u64, Ordering::Relaxed);
    if wire.try_send(&bytes).is_err() {
        // What was answered before the end is not worth a look.
        asked.iter().for_each(|asked| client.settle(asked, false));
        book.trouble(begin, "closed while requests are sent");
        return false;
    }
    for (index, one) in asked.iter().enumerate() {
        client.losses = book.losses.load(Ordering::SeqCst);
        let verdict = language.judge(client, wire, one);
        match verdict {
            Ok(Verdict::Right) => client.settle(one, true),
            Ok(Verdict::Failed(words)) => {
                client.settle(one, false);
                book.trouble(begin, &words);
            }
            Ok(Verdict::Wrong(text)) => {
                book.offence(text);
                asked[index..]
                    .iter()
                    .for_each(|asked| client.settle(asked, false));
                return false;
            }
            Err(end) => {
                asked[index..]
                    .iter()
                    .for_each(|asked| client.settle(asked, false));
                match end {
                    End::Closed => book.trouble(begin, "closed with replies owed"),
                    other => book.offence(format!(
                        "client {}: {other:?}, reply {index} of {count} never came: {one:?}",
                        client.number
                    )),
                }
                return false;
            }
        }
        book.replies.fetch_add(1, Ordering::Relaxed);
    }
    if !wire.unread().is_empty() {
        book.offence(format!(
            "client {} got more than it asked for",
            client.number
        ));
        return false;
    }
    true
}

struct Redis {
    /// What is said first on each connection.
    greeting: Option<&'static [u8; 22]>,
}

impl Language for Redis {
    fn greet(&self, wire: &mut Wire) -> Result<Verdict, End> {
        let Some(greeting) = self.greeting else {
            return Ok(Verdict::Right);
        };
        wire.try_send(greeting).map_err(|_| End::Closed)?;
        Ok(match wire.try_reply()? {
            Reply::Array(Some(_)) => Verdict::Right,
            Reply::Error(words) => Verdict::Failed(words),
            reply => Verdict::Wrong(format!("{} for HELLO", reply.brief())),
        })
    }

    fn ask(&self, client: &mut Client, asked: &Asked, bytes: &mut Vec<u8>) {
        let mut words: Vec<Vec<u8>> = Vec::new();
        match asked {
            Asked::Write(keys, Some(version)) => {
                words.push(if keys.len() == 1 {
                    b"SET".to_vec()
                } else {
                    b"MSET".to_vec()
                });
                for &key in keys {
                    words.push(client.key(key));
                    words.push(client.value(key, *version));
                }
            }
            Asked::Write(keys, None) => {
                words.push(b"DEL".to_vec());
                words.extend(keys.iter().map(|&key| client.key(key)));
            }
            Asked::Read(keys) => {
                words.push(b"MGET".to_vec());
                words.extend(keys.iter().map(|&key| client.key(key)));
            }
            Asked::ReadOne(key) => words.extend([b"GET".to_vec(), client.key(*key)]),
            Asked::Count => {
                client.sent += 1;
                words.extend([
                    b"INCR".to_vec(),
                    format!("count:{}", client.number).into_bytes(),
                ]);
            }
            Asked::Nonce(text) => words.extend([b"PING".to_vec(), text.clone().into_bytes()]),
        }
        resp::append(bytes, &words);
    }

    fn judge(&self, client: &mut Client, wire: &mut Wire, asked: &Asked) -> Result<Verdict, End> {
        let reply = wire.try_reply()?;
        let wrong = |reply: &Reply| Verdict::Wrong(format!("{} for {asked:?}", reply.brief()));
        let judged = match (asked, reply) {
            (Asked::Nonce(_), Reply::Error(words)) => Verdict::Wrong(format!("PING: {words}")),
            (_, Reply::Error(words)) => Verdict::Failed(words),
            (Asked::Write(_, Some(_)), reply) if reply == Reply::ok() => Verdict::Right,
            (Asked::Write(_, None), Reply::Integer(0 | 1)) => Verdict::Right,
            (Asked::Count, Reply::Integer(count)) => client.counted(count as u64),
            (Asked::Nonce(text), Reply::Bulk(Some(bulk))) if bulk == text.as_bytes() => {
                Verdict::Right
            }
            (Asked::ReadOne(key), Reply::Bulk(bulk)) => judged(client.read(*key, bulk.as_deref())),
            (Asked::Read(keys), Reply::Array(Some(values))) if values.len() == keys.len() => {
                let mut outcome = Verdict::Right;
                for (key, value) in keys.iter().zip(values) {
                    let Reply::Bulk(bulk) = &value else {
                        return Ok(wrong(&value));
                    };
                    if let Err(text) = client.read(*key, bulk.as_deref()) {
                        outcome = Verdict::Wrong(text);
                    }
                }
                outcome
            }
            (_, reply) => wrong(&reply),
        };
        Ok(judged)
    }
}

fn judged(outcome: Result<(), String>) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Right,
        Err(text) => Verdict::Wrong(text),
    }
}

struct Memcached;

impl Language for Memcached {
    fn ask(&self, client: &mut Client, asked: &Asked, bytes: &mut Vec<u8>) {
        let text = |key: Vec<u8>| String::from_utf8(key).expect("our keys are text");
        match asked {
            Asked::Write(keys, Some(version)) => {
                // One command a key; `judge` reads as many replies.
                for &key in keys {
                    let value = client.value(key, *version);
                    let line = format!("set {} 0 0 {}\r\n", text(client.key(key)), value.len());
                    bytes.extend_from_slice(line.as_bytes());
                    bytes.extend_from_slice(&value);
                    bytes.extend_from_slice(b"\r\n");
                }
            }
            Asked::Write(keys, None) => {
                for &key in keys {
                    bytes.extend(format!("delete {}\r\n", text(client.key(key))).into_bytes());
                }
            }
            Asked::Read(keys) => {
                let keys: Vec<String> = keys.iter().map(|&key| text(client.key(key))).collect();
                bytes.extend(format!("get {}\r\n", keys.join(" ")).into_bytes());
            }
            Asked::ReadOne(key) => {
                bytes.extend(format!("gets {}\r\n", text(client.key(*key))).into_bytes());
            }
            Asked::Count => {
                client.sent += 1;
                let key = format!("count:{}", client.number);
                let lines = format!("add {key} 0 0 1 noreply\r\n0\r\nincr {key} 1\r\n");
                bytes.extend_from_slice(lines.as_bytes());
            }
            // Nothing comes back but its being stored.
            Asked::Nonce(nonce) => {
                let line = format!(
                    "set {nonce} 0 1 {} noreply\r\n{nonce}\r\nversion\r\n",
                    nonce.len()
                );
                bytes.extend_from_slice(line.as_bytes());
            }
        }
    }

    fn judge(&self, client: &mut Client, wire: &mut Wire, asked: &Asked) -> Result<Verdict, End> {
        match asked {
            Asked::Write(keys, version) => {
                let mut verdict = Verdict::Right;
                for _ in keys {
                    let line = line(wire)?;
                    let fits = match version {
                        Some(_) => line == "STORED",
                        None => line == "DELETED" || line == "NOT_FOUND",
                    };
                    match is_error(&line) {
                        true => verdict = Verdict::Failed(line),
                        false if fits => {}
                        false => return Ok(Verdict::Wrong(format!("{line:?} for {asked:?}"))),
                    }
                }
                Ok(verdict)
            }
            Asked::Count => {
                let line = line(wire)?;
                Ok(match line.trim_end().parse() {
                    Ok(count) => client.counted(count),
                    // The server lost it between the two commands, or did not get the first.
                    Err(_) if is_error(&line) || line == "NOT_FOUND" => Verdict::Failed(line),
                    Err(_) => Verdict::Wrong(format!("{line:?} for {asked:?}")),
                })
            }
            Asked::Nonce(_) => {
                let line = line(wire)?;
                Ok(match line.starts_with("VERSION ") {
                    true => Verdict::Right,
                    false if is_error(&line) => Verdict::Failed(line),
                    false => Verdict::Wrong(format!("{line:?} for {asked:?}")),
                })
            }
            Asked::ReadOne(key) => self.values(client, wire, &[*key]),
            Asked::Read(keys) => self.values(client, wire, keys),
        }
    }
}

impl Memcached {
    /// The reply to a get.
    fn values(&self, client: &mut Client, wire: &mut Wire, keys: &[usize]) -> Result<Verdict, End> {
        let mut missing = keys.to_vec();
        loop {
            let line = line(wire)?;
            if is_error(&line) {
                return Ok(Verdict::Failed(line));
            }
            if line == "END" {
                break;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let known = |&key: &usize| {
                words
                    .get(1)
                    .is_some_and(|word| word.as_bytes() == client.key(key))
            };
            let Some(place) = missing.iter().position(known) else {
                return Ok(Verdict::Wrong(format!("{line:?} for keys {keys:?}")));
            };
            let Some(len) = words.get(3).and_then(|word| word.parse::<usize>().ok()) else {
                return Ok(Verdict::Wrong(format!("{line:?} for keys {keys:?}")));
            };
            let data = wire.try_exact(len + 2)?;
            if let Err(text) = client.read(missing.remove(place), Some(&data[..len])) {
                return Ok(Verdict::Wrong(text));
            }
        }
        for key in missing {
            if let Err(text) = client.read(key, None) {
                return Ok(Verdict::Wrong(text));
            }
        }
        Ok(Verdict::Right)
    }
}

fn is_error(line: &str) -> bool {
    ["SERVER_ERROR ", "CLIENT_ERROR ", "ERROR"]
        .iter()
        .any(|mark| line.starts_with(mark))
}

fn line(wire: &mut Wire) -> Result<String, End> {
    let line = wire.try_line()?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
