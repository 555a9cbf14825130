//! The demo: three Redis and two memcached servers on free loopback ports, nutcrab in front of
//! them, and real traffic through it, every reply checked.
//!
//! `make demo` runs it. It prints where everything listens and how the keys spread, then stays
//! until Ctrl-C; with `--once` it ends after the traffic. The exit code is 0 only if every reply
//! was right. Whatever way it ends, the servers and the proxy end with it: the test harness, which
//! starts them, sees to that. `NUTCRAB_TEST_BINARY` names the proxy to start.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::io::Error;
use std::process::ExitCode;
use std::time::Instant;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use support::{Pool, Proxy, Reply, Server, Wire, resp};

const REDIS_KEYS: usize = 6_000;
const MEMCACHED_KEYS: usize = 3_000;
/// Requests sent in one go.
const BATCH: usize = 200;
/// Keys of one MSET, MGET or memcached get.
const KEYS_PER_REQUEST: usize = 20;

fn main() -> Result<ExitCode, Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let once = match arguments.as_slice() {
        [] => false,
        [word] if word == "--once" => true,
        _ => {
            eprintln!("usage: demo [--once]");
            return Ok(ExitCode::from(2));
        }
    };
    // A failed check is a panic: its message is the whole story, and unwinding stops the servers.
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no reason given");
        eprintln!("demo: failed: {message}");
    }));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    let mut demo = Demo::start();
    demo.describe();
    if demo.redis_traffic(&mut signals) && demo.memcached_traffic(&mut signals) {
        demo.spread();
        if !once {
            demo.stay(&mut signals);
        }
    }
    demo.stop();
    Ok(ExitCode::SUCCESS)
}

/// Whether someone asked us to end.
fn interrupted(signals: &mut Signals) -> bool {
    signals.pending().any(|signal| signal != SIGCHLD)
}

/// The running servers, and the proxy in front of them.
struct Demo {
    proxy: Proxy,
    redis: Vec<Server>,
    memcached: Vec<Server>,
}

impl Demo {
    fn start() -> Self {
        println!("starting three redis-servers, two memcached, and nutcrab in front of them");
        let redis = Server::redis_many(3);
        let memcached = Server::memcached_many(2);
        let proxy = Proxy::nutcrab(vec![
            Pool::redis("redis")
                .with("hash", "murmur")
                .with("timeout", "5000")
                .servers(&redis),
            Pool::memcache("memcached")
                .with("timeout", "5000")
                .servers(&memcached),
        ]);
        Self {
            proxy,
            redis,
            memcached,
        }
    }

    fn describe(&self) {
        println!("\nthe configuration:\n");
        for line in self.proxy.configuration().lines() {
            println!("    {line}");
        }
        println!(
            "\nnutcrab listens for redis clients on     {}",
            self.proxy.address("redis")
        );
        println!(
            "nutcrab listens for memcached clients on {}\n",
            self.proxy.address("memcached")
        );
    }

    /// Writes and reads every key one by one and many at a time; false if interrupted.
    fn redis_traffic(&self, signals: &mut Signals) -> bool {
        let mut client = self.proxy.client("redis");
        let begin = Instant::now();
        let mut count = 0;
        let numbers: Vec<usize> = (0..REDIS_KEYS).collect();
        for batch in numbers.chunks(BATCH) {
            if interrupted(signals) {
                return false;
            }
            let sets = batch
                .iter()
                .map(|&n| vec!["SET".into(), redis_key(n), value(n)]);
            let gets = batch.iter().map(|&n| vec!["GET".into(), redis_key(n)]);
            check_redis(&mut client, sets, batch.iter().map(|_| Reply::ok()));
            check_redis(
                &mut client,
                gets,
                batch.iter().map(|&n| Reply::bulk(value(n))),
            );
            // The other half of the keys is written many at a time.
            let many = batch.chunks(KEYS_PER_REQUEST);
            let msets = many.clone().map(|keys| {
                let pairs = keys
                    .iter()
                    .flat_map(|&n| [redis_key(REDIS_KEYS + n), value(n)]);
                std::iter::once("MSET".into()).chain(pairs).collect()
            });
            let mgets = many.clone().map(|keys| {
                let keys = keys.iter().map(|&n| redis_key(REDIS_KEYS + n));
                std::iter::once("MGET".into()).chain(keys).collect()
            });
            let values = many.clone().map(|keys| {
                Reply::Array(Some(keys.iter().map(|&n| Reply::bulk(value(n))).collect()))
            });
            check_redis(&mut client, msets, many.clone().map(|_| Reply::ok()));
            check_redis(&mut client, mgets, values);
            count += 2 * batch.len() + 2 * many.len();
        }
        println!(
            "redis:     {count} requests (SET, GET, and MSET, MGET of {KEYS_PER_REQUEST} keys), \
             every reply right, {:.2?}",
            begin.elapsed()
        );
        true
    }

    /// Writes every key, reads it alone and with others; false if interrupted.
    fn memcached_traffic(&self, signals: &mut Signals) -> bool {
        let mut client = self.proxy.client("memcached");
        let begin = Instant::now();
        let mut count = 0;
        let numbers: Vec<usize> = (0..MEMCACHED_KEYS).collect();
        for batch in numbers.chunks(BATCH) {
            if interrupted(signals) {
                return false;
            }
            let sets: String = batch.iter().map(|&n| memcached_set(n)).collect();
            let gets: String = batch.iter().map(|n| format!("get item:{n}\r\n")).collect();
            let found: String = batch
                .iter()
                .map(|&n| memcached_found(n) + "END\r\n")
                .collect();
            client.check(sets.as_bytes(), "STORED\r\n".repeat(batch.len()).as_bytes());
            client.check(gets.as_bytes(), found.as_bytes());
            for keys in batch.chunks(KEYS_PER_REQUEST) {
                let names: String = keys.iter().map(|n| format!(" item:{n}")).collect();
                let found: String = keys.iter().map(|&n| memcached_found(n)).collect();
                client.check(
                    format!("get{names}\r\n").as_bytes(),
                    format!("{found}END\r\n").as_bytes(),
                );
                count += 1;
            }
            count += 2 * batch.len();
        }
        println!(
            "memcached: {count} requests (set, get, and get of {KEYS_PER_REQUEST} keys), every \
             reply right, {:.2?}",
            begin.elapsed()
        );
        true
    }

    /// Asks the servers themselves how many keys they hold, and checks that all are there once.
    fn spread(&self) {
        println!("\nhow the keys spread, as the servers count them:\n");
        let held: Vec<usize> = self.redis.iter().map(redis_held).collect();
        show_spread("redis", &self.redis, &held, 2 * REDIS_KEYS);
        let held: Vec<usize> = self.memcached.iter().map(memcached_held).collect();
        show_spread("memcached", &self.memcached, &held, MEMCACHED_KEYS);
    }

    /// Waits for Ctrl-C; fails if the proxy ends before.
    fn stay(&mut self, signals: &mut Signals) {
        let redis = self.proxy.address("redis").port();
        let memcached = self.proxy.address("memcached").port();
        println!("\ntry it from another terminal:\n");
        println!("    redis-cli -p {redis} mget key:1 key:2 key:3");
        println!("    redis-benchmark -p {redis} -t get,set,mset,lpush -P 16 -q");
        println!(
            "    bash -c '(printf \"get item:1 item:2\\r\\nquit\\r\\n\" >&3; cat <&3) \
             3<>/dev/tcp/127.0.0.1/{memcached}'"
        );
        println!(
            "    bash -c 'cat </dev/tcp/127.0.0.1/{}'",
            self.proxy.stats_port()
        );
        println!("\nrunning; Ctrl-C ends it and everything it started");
        for signal in signals.forever() {
            if signal != SIGCHLD {
                return;
            }
            if let Some(status) = self.proxy.process().exited() {
                panic!("the proxy ended: {status}");
            }
        }
    }

    /// Ends the proxy as an operator would; the servers are killed when they are dropped.
    fn stop(&mut self) {
        let process = self.proxy.process();
        // Ctrl-C in a terminal reaches it too.
        if process.exited().is_none() {
            process.signal("TERM");
            process.wait_exit();
        }
        println!("\nstopped");
    }
}

fn redis_key(number: usize) -> String {
    format!("key:{number}")
}

/// A value that tells which key it belongs to, so that a swapped reply is noticed.
fn value(number: usize) -> String {
    format!("value of {number} {}", "x".repeat(number % 100))
}

/// Sends all requests in one go and compares every reply.
fn check_redis(
    client: &mut Wire,
    requests: impl Iterator<Item = Vec<String>>,
    expected: impl Iterator<Item = Reply>,
) {
    let requests: Vec<_> = requests.collect();
    let mut bytes = Vec::new();
    for request in &requests {
        resp::append(&mut bytes, request);
    }
    client.send(&bytes);
    for (request, expected) in requests.iter().zip(expected) {
        let reply = client.reply();
        assert_eq!(reply, expected, "the reply to {request:?}");
    }
}

fn memcached_set(number: usize) -> String {
    let value = value(number);
    format!(
        "set item:{number} {number} 0 {}\r\n{value}\r\n",
        value.len()
    )
}

fn memcached_found(number: usize) -> String {
    let value = value(number);
    format!(
        "VALUE item:{number} {number} {}\r\n{value}\r\n",
        value.len()
    )
}

fn redis_held(server: &Server) -> usize {
    match server.ask(&["DBSIZE"]) {
        Reply::Integer(count) => usize::try_from(count).expect("a count is not negative"),
        other => panic!("DBSIZE gave {other:?}"),
    }
}

fn memcached_held(server: &Server) -> usize {
    let mut wire = server.connect();
    wire.send(b"stats\r\nquit\r\n");
    let stats = String::from_utf8(wire.read_to_end()).expect("statistics are text");
    let items = stats
        .lines()
        .find_map(|line| line.strip_prefix("STAT curr_items "));
    items
        .and_then(|count| count.trim().parse().ok())
        .expect("memcached counts its items")
}

fn show_spread(kind: &str, servers: &[Server], held: &[usize], expected: usize) {
    for (server, &count) in servers.iter().zip(held) {
        let share = count as f64 * 100.0 / expected as f64;
        let bar = "#".repeat(count * 40 / expected);
        println!(
            "    {kind:<9} {:<16} {count:>6} keys {share:>5.1} %  {bar}",
            server.address()
        );
    }
    let total: usize = held.iter().sum();
    assert_eq!(total, expected, "keys held by all {kind} servers together");
    assert!(
        held.iter().all(|&count| count > 0),
        "a {kind} server holds no key: {held:?}"
    );
}
