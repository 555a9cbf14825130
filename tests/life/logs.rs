//! The log of a real process: rotated under load, full, stuck, and silent about what is secret.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::support::process::send_signal;
use crate::support::*;
use crate::{NUTCRAB, Place, is_let_in, logged, pool};

/// Clients that ask until they are told to end; every reply must be right.
struct Load {
    end: Arc<AtomicBool>,
    clients: Vec<JoinHandle<u64>>,
}

impl Load {
    fn start(address: &Address) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let clients = (0..3).map(|_| {
            let (end, mut wire) = (Arc::clone(&end), Wire::connect(address));
            thread::spawn(move || {
                let mut count = 0;
                while !end.load(Ordering::Relaxed) {
                    wire.send(&crate::PING.repeat(50));
                    wire.expect(&b"+PONG\r\n".repeat(50));
                    count += 50;
                }
                count
            })
        });
        let clients = clients.collect();
        Self { end, clients }
    }

    fn end(self) -> u64 {
        self.end.store(true, Ordering::Relaxed);
        let counts = self.clients.into_iter().map(|client| client.join());
        counts
            .map(|count| count.expect("every reply was right"))
            .sum()
    }
}

/// A malformed request, of which a line is logged.
fn cause_a_line(address: &Address) {
    let mut wire = Wire::connect(address);
    wire.send(b"*1\r\n+\r\n");
    wire.read_to_end();
}

#[test]
fn a_log_that_is_rotated_under_load_loses_nothing() {
    let (place, stats) = (Place::new(), Port::free());
    let address = Address::Unix(place.path("sock"));
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    assert_eq!(place.run(&stats, &["-d"]).status.code(), Some(0));
    let pid = place.text("pid");
    let load = Load::start(&address);
    const ROUNDS: usize = 30;
    for round in 0..ROUNDS {
        cause_a_line(&address);
        let line = "(SIGUSR1) received\n";
        send_signal("USR1", &pid);
        eventually(line, || place.text("log").contains(line).then_some(()));
        fs::rename(place.path("log"), place.path(&format!("log.{round}"))).unwrap();
        send_signal("HUP", &pid);
        eventually("the log is opened again", || {
            place.path("log").exists().then_some(())
        });
    }
    assert!(load.end() > 0);
    send_signal("TERM", &pid);
    eventually("the end", || {
        place.text("log").ends_with(" done\n").then_some(())
    });
    let mut all = String::new();
    for round in 0..ROUNDS {
        let text = place.text(&format!("log.{round}"));
        assert!(
            text.ends_with("(SIGHUP) received, reopening log file\n"),
            "{text}"
        );
        all += &text;
    }
    all += &place.text("log");
    assert!(
        all.lines()
            .all(|line| line.starts_with('[') && line.len() < 256),
        "{all}"
    );
    assert_eq!(all.matches("(SIGUSR1) received\n").count(), ROUNDS);
    assert_eq!(all.matches("(SIGHUP) received").count(), ROUNDS);
    assert!(!all.contains("missing"), "{all}");
    let told = all.matches("malformed request").count();
    let left_out = all.matches("more lines like these were left out").count();
    assert!(told == ROUNDS || left_out > 0, "{told} lines: {all}");
}

#[test]
fn a_full_disk_stops_nobody_and_is_told_of_later() {
    let (place, stats) = (Place::new(), Port::free());
    let address = Address::Unix(place.path("sock"));
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    symlink("/dev/full", place.path("log")).unwrap();
    assert_eq!(place.run(&stats, &["-d"]).status.code(), Some(0));
    let pid = place.text("pid");
    let load = Load::start(&address);
    for _ in 0..5 {
        cause_a_line(&address);
    }
    // There is room again.
    fs::remove_file(place.path("log")).unwrap();
    send_signal("HUP", &pid);
    let line = " log lines are missing here\n";
    eventually(line, || {
        let text = fs::read_to_string(place.path("log")).unwrap_or_default();
        text.contains(line).then_some(())
    });
    assert!(load.end() > 0);
    send_signal("TERM", &pid);
    eventually("the daemon ends", || (!crate::is_alive(&pid)).then_some(()));
    let log = place.text("log");
    let first = log.lines().next().unwrap_or_default();
    let count: usize = first.split(' ').nth(3).unwrap().parse().unwrap();
    // Those of the start and of the malformed requests among them.
    assert!(count >= 8, "{log}");
    assert!(log.ends_with(" done\n"), "{log}");
}

#[test]
fn a_log_nobody_reads_stops_nobody_and_counts_what_it_loses() {
    let place = Place::new();
    let address = Address::Unix(place.path("sock-599"));
    // At start each pool has two lines, and 1,024 lines may wait.
    let pools = (0..600).map(|number| {
        let socket = place.path(&format!("sock-{number}"));
        pool(&format!("p{number}"), &socket.display().to_string())
    });
    place.configure(&pools.collect::<String>());
    // A pipe that is full before nutcrab writes to it.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut filler = Command::new("dd")
        .args(["if=/dev/zero", "bs=4096", "count=16"])
        .stdout(writer.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let full = filler.wait().unwrap();
    assert!(full.success(), "a pipe takes 64 KiB");
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", NUTCRAB])
        .args(place.arguments(&Port::free()))
        .args(["-o", "", "--workers", "1"])
        .stdin(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    eventually("it listens", || {
        Wire::try_connect(&address).is_ok().then_some(())
    });
    let load = Load::start(&address);
    // Opening it again must not wait for the writer, either.
    let pid = child.id();
    for signal in ["HUP", "USR1"] {
        send_signal(signal, pid);
    }
    // New clients still come in, old ones are served.
    assert!(is_let_in(&mut Wire::connect(&address)));
    assert!(load.end() > 0);
    // The reader wakes up.
    let text = thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    send_signal("TERM", pid);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = text.join().unwrap();
    let line = text.lines().find(|line| line.ends_with("missing here"));
    let words = line.expect("the loss is told").split(' ');
    let missing: usize = words.skip(3).find_map(|word| word.parse().ok()).unwrap();
    let told = text.matches("] control/").count();
    // The line that tells of the loss is one more.
    assert!(
        missing > 100 && told + missing > 1200,
        "{told} and {missing}"
    );
}

/// What stands in keys, values and passwords of this test, each distinct.
const SECRETS: [&str; 4] = ["kkey-9137", "vvalue-9137", "ppass-9137", "wwrong-9137"];

#[test]
fn keys_values_and_passwords_are_never_logged() {
    let [key, value, password, wrong] = SECRETS;
    // Refuses the password as servers do that do not know AUTH, and quotes it.
    let refusing = FakeServer::answering(move |_| {
        format!("-ERR unknown command `AUTH`, with args beginning with: `{password}`, \r\n").into()
    });
    let garbage = FakeServer::answering(move |_| format!("{value}\r\n{key}\r\n").into());
    let mut server = Server::redis_with(&["--requirepass", password]);
    let pools = vec![
        Pool::redis("refused")
            .at("s", &refusing.address())
            .with("redis_auth", password),
        Pool::redis("garbage").at("s", &garbage.address()),
        Pool::redis("good")
            .at("s", server.address())
            .with("redis_auth", password),
        Pool::memcache("text").at("s", &garbage.address()),
    ];
    let mut proxy = Proxy::nutcrab_with(pools, &["-v", "11"]);
    let set = command(&["SET", key, value]);
    let attempts: &[(&str, Vec<u8>)] = &[
        ("good", command(&["AUTH", wrong])),
        ("good", [command(&["AUTH", password]), set.clone()].concat()),
        ("good", format!("*2\r\n+{key}\r\n{value}\r\n").into()),
        (
            "good",
            [command(&["AUTH", password]), command(&[key, value])].concat(),
        ),
        (
            "refused",
            [command(&["AUTH", password]), set.clone()].concat(),
        ),
        ("garbage", set.clone()),
        ("text", format!("get {key}\r\n").into()),
        ("text", format!("set {key} x 0 5\r\n{value}\r\n").into()),
    ];
    for (pool, request) in attempts {
        let mut client = proxy.client(pool);
        client.send(request);
        let (reply, _) = client.read_until(|got| got.ends_with(b"\r\n"));
        assert!(!reply.is_empty(), "{pool}");
        client.half_close();
        client.read_until(|_| false);
    }
    // A server that dies with a request under way.
    let mut client = proxy.client("good");
    client.send(&[command(&["AUTH", password]), command(&["GET", key])].concat());
    client.read_until(|got| got.ends_with(value.as_bytes()) || got.ends_with(b"\r\n"));
    server.kill();
    client.send(&command(&["GET", key]));
    client.read_until(|got| got.ends_with(b"\r\n"));
    logged(&mut proxy, "AUTH failed: -ERR unknown command\n");
    logged(&mut proxy, "malformed reply");
    logged(&mut proxy, "malformed request");
    proxy.process().signal("TERM");
    proxy.process().wait_exit();
    let log = proxy.process().log();
    for secret in SECRETS {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[test]
fn the_log_tells_what_runs_and_what_becomes_of_servers() {
    let place = Place::new();
    let stats = Port::free();
    let server = Port::free();
    let socket = place.path("sock");
    place.configure(&format!(
        "alpha:\n  listen: {}\n  redis: true\n  auto_eject_hosts: true\n  timeout: 400\n  \
         server_failure_limit: 2\n  server_retry_timeout: 50\n  server_connections: 3\n  \
         servers:\n   - 127.0.0.1:{}:1 one\n",
        socket.display(),
        server.number()
    ));
    // The last of repeated options wins: everybody may read the statistics, as by default.
    let options = ["-d", "-a", "0.0.0.0", "--workers", "2"];
    assert_eq!(place.run(&stats, &options).status.code(), Some(0));
    let mut client = Wire::connect(&Address::Unix(socket.clone()));
    let number = server.number();
    let ejected = format!(
        "pool \"alpha\": server \"127.0.0.1:{number}:1\" is ejected for 50 ms after 2 failures, \
         the last: Connection refused; 0 of 1 are live\n"
    );
    let returned =
        format!("pool \"alpha\": server \"127.0.0.1:{number}:1\" is live again, 1 of 1 are live\n");
    eventually("a server is ejected and comes back", || {
        client.send(crate::GET);
        client.reply();
        let log = place.text("log");
        (log.contains(&ejected) && log.contains(&returned)).then_some(())
    });
    let log = place.text("log");
    for line in [
        format!(
            "pool \"alpha\": listening on {:?}, 1 servers, up to 6 connections to them\n",
            socket.display().to_string()
        ),
        "pool \"alpha\": Redis, hash fnv1a_64, distribution ketama, timeout 400 ms, servers are \
         ejected for 50 ms after 2 failures\n"
            .into(),
        format!(
            "stats: listening on \"0.0.0.0:{}\", open to everybody who reaches this machine; \
             -a 127.0.0.1 closes it\n",
            stats.number()
        ),
        " 2 workers; up to 6 connections to servers (and 136 for large messages), ".into(),
    ] {
        assert!(log.contains(&line), "{line}: {log}");
    }
}
