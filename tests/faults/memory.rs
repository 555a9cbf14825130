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
const PATIENCE: Duration = Duration::from_secs(10);

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
    name: String,
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

    /// Waits until each has asked this many times more.
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
        let asked: usize = self.asked.iter().map(|it| it.load(Ordering::Relaxed)).sum();
        let worst = seen.iter().max_by_key(|seen| seen.longest);
        let worst = worst.expect("there are some");
        eprintln!(
            "{row}: the others asked {asked} times; {} waited {:?}",
            worst.name, worst.longest
        );
        assert!(worst.longest < PATIENCE, "{row}: {:?}", worst.longest);
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
        name: name.to_owned(),
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
fn t15_long_replies_of_our_own_cost_next_to_nothing_until_they_are_taken() {
    let (alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    let before = proxy.process().resident_bytes();
    let asked = b"COMMAND DOCS\r\n".repeat(60);
    let mut deaf = hoard(&proxy, "alpha", 200 * scale(), &asked);
    others.go_on(100);
    let grown = proxy.process().resident_bytes().saturating_sub(before);
    let sent = (deaf.len() * asked.len()) as u64;
    assert!(grown < 100 * sent, "{grown} bytes for {sent}");
    // Whoever reads after all has all of them.
    let last = deaf.last_mut().expect("there are some");
    for _ in 0..60 {
        assert!(last.reply().elements().len() > 300);
    }
    others.end("T15", &mut proxy);
}

#[test]
fn t16_requests_before_the_password_cost_others_nothing() {
    let (alpha, beta) = (
        Server::redis_with(&["--requirepass", "secret"]),
        Server::redis(),
    );
    let mut proxy = proxy(vec![
        Pool::redis("alpha")
            .servers(slice::from_ref(&alpha))
            .with("redis_auth", "secret"),
        Pool::redis("beta").servers(slice::from_ref(&beta)),
    ]);
    let others = Others::of(&proxy, &[("alpha", Some("secret")), ("beta", None)]);
    let before = proxy.process().resident_bytes();
    let bulk = format!("$16384\r\n{}\r\n", "x".repeat(16384));
    let part = "*10\r\n".to_owned() + &bulk.repeat(9);
    let strangers = hoard(&proxy, "alpha", 400 * scale(), part.as_bytes());
    others.go_on(100);
    let grown = proxy.process().resident_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes");
    eventually("the log tells of them", || {
        let log = proxy.process().log();
        log.contains("it has not authenticated").then_some(())
    });
    others.end("T16", &mut proxy);
    drop(strangers);
}

#[test]
fn t17_subscribers_that_hang_cost_others_nothing() {
    const MESSAGES: usize = 160;
    let (alpha, beta) = (Server::redis(), Server::redis());
    // What waits for one of them is bounded by the server, too.
    let bound = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 0 0 0",
    ];
    assert_eq!(alpha.ask(&bound), Reply::ok());
    let mut proxy = proxy(pools(&alpha, &beta));
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    let subscribe = command(&["SUBSCRIBE", "news"]);
    let hung = hoard(&proxy, "alpha", 40 * scale(), &subscribe);
    let mut reader = proxy.client("alpha");
    reader.check(&subscribe, b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let reading = thread::spawn(move || {
        (0..MESSAGES).all(|_| reader.try_reply().is_ok_and(|it| it.elements().len() == 3))
    });
    eventually("all listen", || {
        let listeners = hung.len() as i64 + 1;
        let told = alpha.ask(&["PUBSUB", "NUMSUB", "news"]);
        (told.elements()[1] == Reply::Integer(listeners)).then_some(())
    });
    let mut publisher = proxy.client("alpha");
    publisher.patience = 4 * PATIENCE;
    let text = "m".repeat(64 * KIB);
    for _ in 0..MESSAGES {
        let told = publisher.ask(&["PUBLISH", "news", &text]);
        assert!(matches!(told, Reply::Integer(_)), "{}", told.brief());
    }
    assert!(
        reading.join().expect("it does not panic"),
        "one that reads lost something"
    );
    somebody_gives_way(&mut proxy);
    others.go_on(50);
    others.end("T17", &mut proxy);
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

/// They write everything before they read anything, and together it is more than there may be.
#[test]
fn t24_pipelines_that_exceed_the_memory_together_are_served_or_give_way() {
    const COUNT: usize = 5000;
    let (alpha, beta) = (Server::redis(), Server::redis());
    let mut proxy = proxy(pools(&alpha, &beta));
    let (key, value) = ("k".repeat(4 * KIB), "v".repeat(4 * KIB));
    assert_eq!(alpha.ask(&["SET", &key, &value]), Reply::ok());
    let others = Others::of(&proxy, &[("alpha", None), ("beta", None)]);
    let asked = Arc::new(command(&["GET", &key]).repeat(COUNT));
    let writers: Vec<JoinHandle<bool>> = (0..8 * scale())
        .map(|_| {
            let (mut wire, asked) = (proxy.client("alpha"), Arc::clone(&asked));
            wire.patience = 12 * PATIENCE;
            let value = value.clone();
            thread::spawn(move || {
                if wire.try_send(&asked).is_err() {
                    return false;
                }
                (0..COUNT).all(|number| match wire.try_reply() {
                    Ok(reply) => {
                        assert_eq!(reply, Reply::bulk(&value), "reply {number}");
                        true
                    }
                    Err(end) => {
                        assert_eq!(end, End::Closed, "it waits for reply {number}");
                        false
                    }
                })
            })
        })
        .collect();
    let served = writers
        .into_iter()
        .map(|writer| writer.join().expect("each ends"));
    let served: Vec<bool> = served.collect();
    let closed = served.iter().filter(|served| !**served).count();
    assert!(closed < served.len(), "nobody was served");
    // A line is written some time after what it tells.
    let told = |proxy: &mut Proxy| {
        proxy
            .process()
            .log()
            .matches("bytes were kept for it")
            .count()
    };
    eventually("the log tells of each", || {
        (told(&mut proxy) >= closed).then_some(())
    });
    assert_eq!(told(&mut proxy), closed, "{}", proxy.process().log());
    others.end("T24", &mut proxy);
}
