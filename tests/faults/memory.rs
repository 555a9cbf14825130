//! Clients and servers that make the proxy keep much for them: it is taken from them, and nobody else
//! notices.
//!
//! Each test has a small `memory_limit` and hoards more than that; the long form has the usual one and
//! sixteen times as many hoarders. Meanwhile others ask over connections that stay and over new ones, and
//! must be answered every time.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::rounds;
use crate::support::*;

const KIB: usize = 1024;

/// The longest any of the others may wait. Half a minute of a busy machine is not what is looked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many times more than in the short form.
fn scale() -> usize {
    rounds(1, 16)
}

/// A proxy with 64 MiB of memory, or the usual limit.
fn proxy(pools: Vec<Pool>) -> Proxy {
    process::allow_open_files(16 * 1024);
    Proxy::nutcrab_configured(pools, &format!("  memory_limit: {}\n", 64 * scale()))
}

fn pools(alpha: &Server, beta: &Server) -> Vec<Pool> {
    vec![
        Pool::redis("alpha").servers(slice::from_ref(alpha)),
        Pool::redis("beta").servers(slice::from_ref(beta)),
    ]
}

/// Those who do nothing but ask.
struct Others {
    over: Arc<AtomicBool>,
    asked: Vec<Arc<AtomicUsize>>,
    threads: Vec<JoinHandle<Seen>>,
}

/// What one of them saw.
struct Seen {
    errors: Vec<String>,
    longest: Duration,
}

impl Others {
    /// At each of these pools one over a connection that stays and one over new ones.
    fn of(proxy: &Proxy, pools: &[(&str, Option<&'static str>)]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (mut asked, mut threads) = (Vec::new(), Vec::new());
        for &(pool, password) in pools {
            for stays in [true, false] {
                let address = proxy.address(pool).clone();
                let count = Arc::new(AtomicUsize::new(0));
                let (over, counted) = (Arc::clone(&over), Arc::clone(&count));
                let name = format!("{pool}:{stays}");
                let ask = move || ask_on(&name, &address, password, stays, &over, &counted);
                threads.push(thread::spawn(ask));
                asked.push(count);
            }
        }
        let others = Self {
            over,
            asked,
            threads,
        };
        others.go_on(20);
        others
    }

    /// Waits until each has asked so many times more.
    fn go_on(&self, times: usize) {
        for asked in &self.asked {
            let begin = asked.load(Ordering::Relaxed);
            eventually("the others go on", || {
                (asked.load(Ordering::Relaxed) >= begin + times).then_some(())
            });
        }
    }

    /// Nobody of them was refused, closed, or kept waiting.
    fn end(self, row: &str, proxy: &mut Proxy) {
        self.over.store(true, Ordering::Relaxed);
        let seen = self.threads.into_iter().map(|thread| thread.join());
        let seen: Vec<Seen> = seen.map(|seen| seen.expect("it does not panic")).collect();
        let errors: Vec<&String> = seen.iter().flat_map(|seen| &seen.errors).collect();
        let log = proxy.process().log();
        let log: String = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
        assert!(errors.is_empty(), "{row}: {errors:?}\n{log}");
        let longest = seen.iter().map(|seen| seen.longest).max();
        let longest = longest.unwrap_or_default();
        let asked: usize = self.asked.iter().map(|it| it.load(Ordering::Relaxed)).sum();
        eprintln!("{row}: the others asked {asked} times and waited {longest:?} at most");
        assert!(longest < PATIENCE, "{row}: {longest:?}");
        assert_eq!(proxy.process().exited(), None, "{row}");
    }
}

fn ask_on(
    name: &str,
    address: &Address,
    password: Option<&str>,
    stays: bool,
    over: &AtomicBool,
    asked: &AtomicUsize,
) -> Seen {
    let mut seen = Seen {
        errors: Vec::new(),
        longest: Duration::ZERO,
    };
    let mut wire = None;
    while !over.load(Ordering::Relaxed) && seen.errors.len() < 10 {
        let begin = Instant::now();
        let number = asked.load(Ordering::Relaxed);
        let value = format!("{name}:{number}");
        let outcome = (|| {
            if wire.is_none() || !stays {
                let mut fresh = Wire::try_connect(address).map_err(|error| error.to_string())?;
                fresh.patience = 4 * PATIENCE;
                if let Some(password) = password {
                    check(&mut fresh, &["AUTH", password], &Reply::ok())?;
                }
                wire = Some(fresh);
            }
            let wire = wire.as_mut().expect("it was made");
            check(wire, &["SET", name, &value], &Reply::ok())?;
            check(wire, &["GET", name], &Reply::bulk(&value))
        })();
        if let Err(error) = outcome {
            seen.errors.push(format!("{name}, {number}: {error}"));
            wire = None;
        }
        seen.longest = seen.longest.max(begin.elapsed());
        asked.fetch_add(1, Ordering::Relaxed);
        // A pace, so that the machine is not busy with them alone.
        thread::sleep(Duration::from_millis(3));
    }
    seen
}

fn check(wire: &mut Wire, words: &[&str], expected: &Reply) -> Result<(), String> {
    wire.try_send(&command(words))
        .map_err(|error| error.to_string())?;
    match wire.try_reply() {
        Ok(reply) if reply == *expected => Ok(()),
        Ok(reply) => Err(format!("{}: {}", words[0], reply.brief())),
        Err(end) => Err(format!("{}: {end:?}", words[0])),
    }
}

/// So many clients that have sent this, as far as they were let.
fn hoard(proxy: &Proxy, pool: &str, count: usize, bytes: &[u8]) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..count {
        let Ok(mut wire) = Wire::try_connect(proxy.address(pool)) else {
            continue;
        };
        wire.patience = Duration::from_secs(1);
        // It may be closed meanwhile: that is what is to happen.
        let _ = wire.try_send(bytes);
        wires.push(wire);
    }
    wires
}

/// Waits until somebody was closed for what was kept for it.
fn somebody_gives_way(proxy: &mut Proxy) {
    eventually("somebody gives way", || {
        let log = proxy.process().log();
        log.contains("bytes were kept for it").then_some(())
    });
}

#[test]
fn t13_clients_with_long_names_give_way_to_others() {
    let (alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    // Some say more than a name may be long; what they sent is not kept.
    let name = "n".repeat(4 << 20);
    let named = hoard(
        &proxy,
        "alpha",
        15 * scale(),
        &command(&["CLIENT", "SETNAME", &name]),
    );
    others.go_on(50);
    // Many have names as long as there may be.
    let name = "n".repeat(60 * KIB);
    let names = [
        command(&["CLIENT", "SETNAME", &name]),
        command(&["CLIENT", "SETINFO", "LIB-NAME", &name]),
        command(&["CLIENT", "SETINFO", "LIB-VER", &name]),
    ];
    let many = hoard(&proxy, "alpha", 400 * scale(), &names.concat());
    somebody_gives_way(&mut proxy);
    others.go_on(100);
    others.end("T13", &mut proxy);
    drop((named, many));
}

#[test]
fn t14_unfinished_requests_give_way_to_others() {
    let (alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    let whole = command(&["MSET", "a", &"v".repeat(6 << 20), "b", "c"]);
    let halves = hoard(&proxy, "alpha", 18 * scale(), &whole[..3500 * KIB]);
    somebody_gives_way(&mut proxy);
    others.go_on(100);
    others.end("T14", &mut proxy);
    drop(halves);
}

#[test]
fn t18_a_stopped_server_takes_no_other_pools_memory() {
    let (mut alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let others = Others::of(&proxy, &[("beta", None)]);
    alpha.process().signal("STOP");
    let asked = command(&["SET", "a", &"v".repeat(100 * KIB)]).repeat(40);
    let writers = hoard(&proxy, "alpha", 24 * scale(), &asked);
    others.go_on(100);
    others.end("T18", &mut proxy);
    drop(writers);
    alpha.process().signal("CONT");
    eventually("the pool is served again", || {
        let mut client = Wire::try_connect(proxy.address("alpha")).ok()?;
        client.try_send(&command(&["SET", "a", "b"])).ok()?;
        (client.try_reply().ok()? == Reply::ok()).then_some(())
    });
}

/// They ask for large values and read a byte now and then.
#[test]
fn t19_clients_that_read_a_byte_now_and_then_give_way_to_others() {
    let (alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let value = "v".repeat(400 * KIB);
    assert_eq!(alpha.ask(&["SET", "large", &value]), Reply::ok());
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    // Twelve each: two fill what may be kept for one of them, the rest the sockets between.
    let asked = pipeline(&["GET large"; 24]);
    let mut drips = hoard(&proxy, "alpha", 60 * scale(), &asked);
    for _ in 0..10 {
        for drip in &mut drips {
            let _ = drip.try_exact(1);
        }
        others.go_on(10);
    }
    others.end("T19", &mut proxy);
}

/// They send most of a large request, then a byte now and then.
#[test]
fn t20_clients_that_send_a_byte_now_and_then_give_way_to_others() {
    let (alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    let whole = command(&["MSET", "a", &"v".repeat(1024 * KIB), "b", "c"]);
    let mut drips = hoard(&proxy, "alpha", 70 * scale(), &whole[..900 * KIB]);
    for _ in 0..10 {
        for drip in &mut drips {
            let _ = drip.try_send(b"v");
        }
        others.go_on(10);
    }
    somebody_gives_way(&mut proxy);
    others.end("T20", &mut proxy);
}
