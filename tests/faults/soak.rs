//! The soak: checked traffic of both protocols against real servers, faults in windows, quiet between
//! them, for as long as one likes (`make soak`); a short form with every run of the tests.
//!
//! In the quiet nothing may fail. Memory, descriptors and threads of the proxy are read at the end of
//! each quiet time and must not grow from one to the next.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::book::SLACK;
use crate::chaos::{Chaos, Ending, Mischief};
use crate::hoarders::{self, Deed};
use crate::support::*;
use crate::traffic::{self, Traffic};

/// Clients of each protocol.
const CLIENTS: usize = 5;

/// Growth of memory from the second quarter of the run to the last that is no leak: arenas, buffers
/// kept for reuse.
const GROWTH_MAX: i64 = 8 * 1024 * 1024;

/// What goes wrong in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Delay,
    Pieces,
    Stall,
    Refuse,
    Endings,
    ResetAll,
    Kill,
    Freeze,
    Surplus,
    Abuse,
    Others(Deed),
    Everything,
}

const FAULTS: [Fault; 13] = [
    Fault::Others(Deed::Hoard),
    Fault::Others(Deed::OddWords),
    Fault::Pieces,
    Fault::Endings,
    Fault::Kill,
    Fault::Freeze,
    Fault::Surplus,
    Fault::Abuse,
    Fault::ResetAll,
    Fault::Delay,
    Fault::Refuse,
    Fault::Stall,
    Fault::Everything,
];

/// Threads of the proxy besides its workers.
const OTHER_THREADS: usize = 4;

const ALL_ENDINGS: &[Ending] = &[
    Ending::Short,
    Ending::Reset,
    Ending::Garbage,
    Ending::Silence,
];

/// The servers of one pool and what stands before them.
struct Backend {
    servers: Vec<Server>,
    chaos: Vec<Chaos>,
}

impl Backend {
    fn new(servers: Vec<Server>) -> Self {
        let chaos = servers
            .iter()
            .map(|server| Chaos::before(server.address()))
            .collect();
        Self { servers, chaos }
    }

    fn pool(&self, pool: Pool) -> Pool {
        let named = self.chaos.iter().enumerate();
        let pool = named.fold(pool, |pool, (i, chaos)| {
            pool.at(&format!("s{i}"), &chaos.address())
        });
        pool.with("timeout", "1000").with("distribution", "modula")
    }
}

/// What the proxy holds.
#[derive(Clone, Copy, Debug)]
struct Reading {
    memory: u64,
    files: usize,
    threads: usize,
}

fn reading(proxy: &mut Proxy) -> Reading {
    let process = proxy.process();
    let count = |folder: &str| {
        let path = format!("/proc/{}/{folder}", process.id());
        std::fs::read_dir(path).map_or(0, Iterator::count)
    };
    Reading {
        memory: process.resident_bytes(),
        files: count("fd"),
        threads: count("task"),
    }
}

fn say(text: &str) {
    // Past the capture of the test harness: a run of half an hour should say where it is.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `SOAK_SECONDS` of mixed faults; 25 if not said.
#[test]
fn o16_a_soak_finds_no_mix_up_no_loss_and_no_growth() {
    let wish = std::env::var("SOAK_SECONDS")
        .ok()
        .filter(|text| !text.is_empty());
    let seconds = wish.map_or(25, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let length = Duration::from_secs(seconds);
    let (window, quiet) = match seconds {
        0..120 => (Duration::from_millis(700), Duration::from_millis(400)),
        _ => (Duration::from_secs(4), Duration::from_secs(3)),
    };
    let redis = Backend::new(Server::redis_many(3));
    let memcached = Backend::new(Server::memcached_many(2));
    let pools = vec![
        redis.pool(Pool::redis("alpha")),
        memcached.pool(Pool::memcache("beta")),
    ];
    let mut proxy = Proxy::nutcrab(pools);
    let (alpha, beta) = (
        proxy.address("alpha").clone(),
        proxy.address("beta").clone(),
    );
    let mut backends = [redis, memcached];
    let traffic = Traffic::new();
    let book = &traffic.book;
    // It may serve before the last of its threads was seen to run.
    let idle = eventually("all threads run", || {
        let idle = reading(&mut proxy);
        (idle.threads == OTHER_THREADS + proxy::workers()).then_some(idle)
    });
    let mut readings = Vec::new();
    let begin = Instant::now();
    let mut random = Random::new(seconds);
    std::thread::scope(|scope| {
        // Also when this thread panics: it would wait for clients that never stop.
        let _end = AtEnd(&traffic.stop);
        for number in 0..CLIENTS {
            let (alpha, beta, traffic) = (&alpha, &beta, &traffic);
            scope.spawn(move || traffic::redis(alpha, number, traffic));
            scope.spawn(move || traffic::redis_modern(alpha, 200 + number, traffic));
            scope.spawn(move || traffic::memcached(beta, 100 + number, traffic));
        }
        let mut round = 0;
        while begin.elapsed() < length && book.is_clean() {
            // All of them once, then any.
            let fault = FAULTS.get(round).copied();
            let fault = fault.unwrap_or_else(|| FAULTS[random.below(FAULTS.len())]);
            strike(
                fault,
                &mut backends,
                [&alpha, &beta],
                &traffic,
                window,
                &mut random,
            );
            std::thread::sleep(SLACK.min(quiet * 2).max(quiet));
            let exited = proxy.process().exited();
            assert_eq!(
                exited,
                None,
                "the proxy has ended:\n{}",
                proxy.process().log()
            );
            readings.push(reading(&mut proxy));
            round += 1;
            if seconds >= 120 && round % 20 == 0 {
                let last = readings.last().expect("one was just taken");
                say(&format!(
                    "{:>5} s: {last:?}\n{}",
                    begin.elapsed().as_secs(),
                    book.report()
                ));
            }
        }
        // The last quiet time is long enough to be one for every request.
        std::thread::sleep(SLACK);
        let before = book.replies.load(Ordering::SeqCst);
        eventually("traffic flows after the last fault", || {
            let now = book.replies.load(Ordering::SeqCst);
            (now > before + 500 || !book.is_clean()).then_some(())
        });
    });
    say(&format!(
        "soak of {} s: {}",
        begin.elapsed().as_secs(),
        book.report()
    ));
    book.assert_clean();
    assert_eq!(proxy.process().exited(), None, "the proxy has ended");
    judge(&readings, idle, &mut proxy, &backends);
}

/// Memory and descriptors are flat, and what clients held is back when they have gone.
fn judge(readings: &[Reading], idle: Reading, proxy: &mut Proxy, backends: &[Backend]) {
    let mean = |part: &[Reading]| {
        part.iter().map(|one| one.memory as i64).sum::<i64>() / part.len().max(1) as i64
    };
    let count = readings.len();
    let (second, last) = (
        mean(&readings[count / 4..count / 2]),
        mean(&readings[count * 3 / 4..]),
    );
    let links: usize = backends.iter().map(|backend| backend.servers.len()).sum();
    // One connection to each server for each worker stays, and no more: spares go when idle.
    let most = idle.files + links * proxy::workers();
    let base = eventually("descriptors are given back", || {
        let now = reading(proxy);
        (now.files <= most).then_some(now)
    });
    let peak = readings.iter().map(|one| one.files).max().unwrap_or(0);
    say(&format!(
        "memory: {} KiB idle, {} KiB mean of the 2nd quarter, {} KiB of the last, {} KiB at the end\n\
         descriptors: {} idle, {peak} at most, {} at the end; threads: {} and {}",
        idle.memory / 1024,
        second / 1024,
        last / 1024,
        base.memory / 1024,
        idle.files,
        base.files,
        idle.threads,
        base.threads
    ));
    assert!(
        last - second < GROWTH_MAX,
        "memory grows: {second} to {last} bytes"
    );
    assert_eq!(base.threads, idle.threads, "threads");
}

/// One fault window: it begins, lasts, and is over when this returns.
fn strike(
    fault: Fault,
    backends: &mut [Backend; 2],
    pools: [&Address; 2],
    traffic: &Traffic,
    window: Duration,
    random: &mut Random,
) {
    let book = &traffic.book;
    let which = random.below(2);
    let victim = random.below(backends[which].servers.len());
    let chaos = &backends[which].chaos[victim];
    let mischief = match fault {
        Fault::Delay => Mischief {
            delay: Duration::from_millis(30),
            ..Mischief::default()
        },
        Fault::Pieces => Mischief {
            piece: 7,
            ..Mischief::default()
        },
        Fault::Stall => Mischief {
            stalls: true,
            ..Mischief::default()
        },
        Fault::Refuse => Mischief {
            refuses: true,
            ..Mischief::default()
        },
        Fault::Endings | Fault::Everything => Mischief {
            piece: 2000,
            chance: 20,
            endings: ALL_ENDINGS,
            ..Mischief::default()
        },
        _ => Mischief::default(),
    };
    let name = match fault {
        Fault::Delay => "windows: replies delayed",
        Fault::Pieces => "windows: cut into pieces",
        Fault::Stall => "windows: stalled",
        Fault::Refuse => "windows: connections refused",
        Fault::Endings => "windows: replies cut short, reset, garbled, swallowed",
        Fault::ResetAll => "windows: connections reset",
        Fault::Kill => "windows: kill -9 and restart",
        Fault::Freeze => "windows: SIGSTOP",
        Fault::Surplus => "windows: surplus reply",
        Fault::Abuse => "windows: clients that misbehave",
        Fault::Others(Deed::Hoard) => "windows: clients that hoard",
        Fault::Others(Deed::OddWords) => "windows: odd words and scripts",
        Fault::Everything => "windows: all servers at once",
    };
    // What only other clients do, and what changes no byte, excuses nothing.
    let harmless = matches!(fault, Fault::Abuse | Fault::Others(_) | Fault::Pieces);
    if !harmless {
        book.begin(name);
    }
    match fault {
        Fault::Kill => {
            book.lose();
            backends[which].servers[victim].kill();
            std::thread::sleep(window / 2);
            backends[which].servers[victim].restart();
        }
        Fault::Freeze => {
            backends[which].servers[victim].process().signal("STOP");
            std::thread::sleep(window.max(Duration::from_millis(1500)));
            backends[which].servers[victim].process().signal("CONT");
        }
        Fault::ResetAll => {
            let end = Instant::now() + window;
            while Instant::now() < end {
                chaos.reset_all();
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Fault::Refuse => {
            chaos.does(mischief);
            chaos.reset_all();
            std::thread::sleep(window);
        }
        Fault::Surplus => {
            let reply = [&b"$7\r\nnobody!\r\n"[..], b"STORED\r\n"][which];
            surplus(&backends[which], traffic, reply);
        }
        Fault::Abuse => abuse(pools, window),
        Fault::Others(deed) => hoarders::act(deed, pools[0], pools[1], window),
        Fault::Everything => {
            backends
                .iter()
                .flat_map(|backend| &backend.chaos)
                .for_each(|chaos| chaos.does(mischief));
            std::thread::sleep(window);
        }
        _ => {
            chaos.does(mischief);
            std::thread::sleep(window);
        }
    }
    for chaos in backends.iter().flat_map(|backend| &backend.chaos) {
        chaos.behaves();
    }
    if !harmless {
        book.end();
    }
}

/// A reply nobody asked for, on every connection to the servers, while nothing is under way: the only
/// moment at which a proxy can tell it from the reply to the next request.
fn surplus(backend: &Backend, traffic: &Traffic, reply: &[u8]) {
    let silent = traffic.gate.write().expect("nobody panics with it");
    for chaos in &backend.chaos {
        chaos.inject(reply);
    }
    eventually("connections with a surplus reply are closed", || {
        let open: usize = backend.chaos.iter().map(Chaos::open_count).sum();
        (open == 0).then_some(())
    });
    drop(silent);
}

/// Clients that do what clients should not: garbage, half a request, no reading, an end without a word.
fn abuse(pools: [&Address; 2], window: Duration) {
    let end = Instant::now() + window;
    let mut kept = Vec::new();
    let large = resp::command(&[&b"SET"[..], b"abuse", &vec![b'x'; 200_000]]);
    let reads = resp::command(&["GET", "abuse"]).repeat(40);
    let bytes: [&[u8]; 8] = [
        b"*1\r\n$04\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"*2\r\n$3\r\nGET\r\n$5\r\nhal",
        b"set abuse 0 0 100000\r\nonly so much",
        b"\x80\x01\x00\x00",
        b"*2147483648\r\n",
        &large,
        &reads,
    ];
    let mut round = 0;
    while Instant::now() < end {
        for pool in pools {
            if let Ok(mut wire) = Wire::try_connect(pool) {
                wire.patience = Duration::from_millis(200);
                // Nobody reads: what does not fit is not worth waiting for.
                let _ = wire.try_send(bytes[round % bytes.len()]);
                kept.push(wire);
            }
        }
        round += 1;
        if kept.len() > 20 {
            kept.clear();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
