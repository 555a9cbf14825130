//! The life of the process: start, limits, signals, end; the real binary with fake servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod drains;
mod limits;
mod logs;
mod options;
mod panics;
mod restarts;
mod side_by_side;
mod systemd;

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use support::process::send_signal;
use support::*;
use tempfile::TempDir;

const NUTCRAB: &str = env!("CARGO_BIN_EXE_nutcrab");
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";

/// A server that answers its first request when told to, with `late`.
fn gated_server() -> (FakeServer, Sender<()>) {
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let server = FakeServer::start(move |visit| {
        visit.request();
        visit.note("asked");
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        let _ = visit.wire.try_send(b"$4\r\nlate\r\n");
        visit.wait_closed();
    });
    (server, open)
}

fn asked(server: &FakeServer) {
    eventually("the server is asked", || {
        (!server.notes().is_empty()).then_some(())
    });
}

fn logged(proxy: &mut Proxy, text: &str) {
    eventually(text, || proxy.process().log().contains(text).then_some(()));
}

#[test]
fn a_stop_answers_what_is_owed_and_refuses_newcomers() {
    let (server, open) = gated_server();
    let pool = Pool::redis("a").on_unix().at("s", &server.address());
    let mut proxy = Proxy::nutcrab(vec![pool]);
    let (mut waiting, mut idle) = (proxy.client("a"), proxy.client("a"));
    waiting.send(GET);
    asked(&server);
    proxy.process().signal("TERM");
    assert_eq!(idle.read_until(|_| false).1, End::Closed);
    let Address::Unix(path) = proxy.address("a").clone() else {
        panic!("a path")
    };
    assert!(!path.exists(), "the socket's file is still there");
    assert_eq!(proxy.process().exited(), None);
    open.send(()).unwrap();
    waiting.expect(b"$4\r\nlate\r\n");
    assert_eq!(waiting.read_until(|_| false).1, End::Closed);
    drop((waiting, idle));
    assert_eq!(proxy.process().wait_exit().code(), Some(0));
    let log = proxy.process().log();
    assert!(
        log.contains("] signal 15 (SIGTERM) received, exiting\n"),
        "{log}"
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let (server, _open) = gated_server();
    let pool = Pool::redis("a").at("s", &server.address());
    let mut proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("a");
    client.send(GET);
    asked(&server);
    proxy.process().signal("TERM");
    logged(&mut proxy, "SIGTERM");
    proxy.process().signal("INT");
    assert_eq!(proxy.process().wait_exit().code(), Some(1));
}

#[test]
fn a_stop_does_not_wait_longer_than_it_may() {
    let (server, _open) = gated_server();
    let pool = Pool::redis("a").at("s", &server.address());
    let mut proxy = Proxy::nutcrab_with(vec![pool], &["--shutdown-timeout", "0"]);
    let mut client = proxy.client("a");
    client.send(GET);
    asked(&server);
    proxy.process().signal("TERM");
    assert_eq!(proxy.process().wait_exit().code(), Some(0));
    assert_eq!(client.read_until(|_| false).1, End::Closed);
}

/// A client whose PING is answered is let in; one that is turned away reads why, and the end.
fn is_let_in(wire: &mut Wire) -> bool {
    // Sending to a closed connection may fail; reading tells.
    let _ = wire.try_send(PING);
    let (got, end) = wire.read_until(|got| got.len() >= 7);
    match end {
        End::Open => got.starts_with(b"+PONG"),
        End::Closed => false,
        End::Silent => panic!("neither let in nor turned away"),
    }
}

#[test]
fn client_connections_holds_for_all_workers_together() {
    let server = FakeServer::answering(|_| b"+OK\r\n".to_vec());
    let pool = Pool::redis("a")
        .at("s", &server.address())
        .with("client_connections", "3");
    let mut proxy = Proxy::nutcrab_with(vec![pool], &["--workers", "2"]);
    // The harness tried the pool before; that client has to be gone.
    let mut inside: Vec<Wire> = Vec::new();
    eventually("three are let in", || {
        let mut wire = proxy.client("a");
        if is_let_in(&mut wire) {
            inside.push(wire);
        }
        (inside.len() == 3).then_some(())
    });
    assert!(!is_let_in(&mut proxy.client("a")));
    inside.pop();
    eventually("a place is free again", || {
        is_let_in(&mut proxy.client("a")).then_some(())
    });
    logged(
        &mut proxy,
        "clients are turned away: 3 are connected, the limit of client_connections",
    );
}

/// With few descriptors clients are turned away, nobody spins, and servers are still reached.
#[test]
fn a_process_without_descriptors_recovers() {
    let server = FakeServer::answering(|_| b"$2\r\nOK\r\n".to_vec());
    let place = Place::new();
    let port = Port::free();
    let address = Address::tcp(port.number());
    place.configure(&format!(
        "a:\n  listen: {address}\n  redis: true\n  servers:\n   - {}:1\n",
        server.address()
    ));
    let stats = Port::free();
    let mut arguments: Vec<String> = vec!["--nofile=48:48".into(), NUTCRAB.into()];
    arguments.extend(place.arguments(&stats));
    let mut process = Process::start("prlimit", &arguments, &place.path("out"));
    process.wait_ready(|| Wire::try_connect(&address).is_ok());
    let crowd: Vec<Wire> = (0..100).map(|_| Wire::connect(&address)).collect();
    let let_in = |mut wire| is_let_in(&mut wire).then_some(wire);
    let mut inside: Vec<Wire> = crowd.into_iter().filter_map(let_in).collect();
    assert!(
        (8..=48).contains(&inside.len()),
        "{} were let in",
        inside.len()
    );
    inside[0].check(GET, b"$2\r\nOK\r\n");
    drop(inside);
    eventually("there is room again", || {
        is_let_in(&mut Wire::connect(&address)).then_some(())
    });
    assert_eq!(process.exited(), None);
}

/// A directory with a configuration, and a daemon that does not outlive it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn configure(&self, yaml: &str) {
        fs::write(self.path("c.yml"), yaml).unwrap();
    }

    fn arguments(&self, stats: &Port) -> Vec<String> {
        let file = |name| self.path(name).display().to_string();
        let (conf, log) = (file("c.yml"), file("log"));
        let port = stats.number().to_string();
        let words = ["-c", &conf, "-o", &log, "-a", "127.0.0.1", "-s", &port];
        words.map(str::to_owned).to_vec()
    }

    fn run(&self, stats: &Port, options: &[&str]) -> Output {
        let mut command = Command::new(NUTCRAB);
        command
            .args(self.arguments(stats))
            .args(["-p".as_ref(), self.path("pid").as_os_str()])
            .args(options)
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    fn daemon(&self) -> Option<String> {
        fs::read_to_string(self.path("pid")).ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pid) = self.daemon() {
            // It may be gone already.
            let line = format!("kill -KILL {pid}");
            let _ = Command::new("sh").args(["-c", &line]).status();
        }
    }
}

fn pool(name: &str, listen: &str) -> String {
    format!("{name}:\n  listen: {listen}\n  redis: true\n  servers:\n   - 127.0.0.1:1:1\n")
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[test]
fn a_daemon_runs_when_its_launcher_says_so_and_cleans_up() {
    let (place, stats) = (Place::new(), Port::free());
    let socket = place.path("sock");
    place.configure(&pool("a", &socket.display().to_string()));
    let output = place.run(&stats, &["-d"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    // No waiting: all this is there when the launcher ends.
    let pid = place.text("pid");
    assert!(
        is_alive(&pid) && pid.bytes().all(|byte| byte.is_ascii_digit()),
        "{pid:?}"
    );
    assert!(is_let_in(&mut Wire::connect(&Address::Unix(
        socket.clone()
    ))));
    let mut answer = String::new();
    let mut visitor = TcpStream::connect(("127.0.0.1", stats.number())).unwrap();
    visitor.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("{\"service\":\"nutcracker\", "),
        "{answer}"
    );

    send_signal("TERM", &pid);
    eventually("the daemon ends", || (!is_alive(&pid)).then_some(()));
    assert!(!socket.exists() && !place.path("pid").exists());
    let log = place.text("log");
    assert!(log.contains(&format!(" started on pid {pid}\n")), "{log}");
    assert!(log.ends_with(" done\n"), "{log}");
}

#[test]
fn a_daemon_has_no_umask() {
    let (place, stats) = (Place::new(), Port::free());
    let (open, closed) = (place.path("open"), place.path("closed"));
    let yaml = pool("a", &open.display().to_string());
    let yaml = yaml + &pool("b", &format!("{} 600", closed.display()));
    place.configure(&yaml);
    assert_eq!(place.run(&stats, &["-d"]).status.code(), Some(0));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(open), mode(closed)), (0o777, 0o600));
}

/// Whatever fails is said once, on the terminal and in the log, and nothing is left behind.
#[test]
fn a_start_that_fails_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    for options in [&[][..], &["-d"]] {
        let (place, stats) = (Place::new(), Port::free());
        let socket = place.path("sock");
        let yaml = pool("a", &socket.display().to_string());
        place.configure(&(yaml + &pool("bb", &address.to_string())));
        let output = place.run(&stats, options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = format!("pool \"bb\": listening on \"{address}\" failed: Address");
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr.starts_with(&format!("nutcrab: {reason}")),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!socket.exists() && !place.path("pid").exists());
        let log = place.text("log");
        assert_eq!(log.matches(&reason).count(), 1, "{log}");
    }
}

#[test]
fn a_taken_stats_port_is_a_failed_start() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = Place::new();
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    let output = place.run(&Port::free(), &["-s", &port]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let reason = format!("nutcrab: stats: listening on \"{address}\" failed: ");
    assert!(stderr.starts_with(&reason), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_unusable_log_or_pid_file_is_a_failed_start() {
    let place = Place::new();
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    for (options, reason) in [
        (
            ["-o", "/nowhere/log"],
            "nutcrab: opening log file '/nowhere/log' failed: No such file",
        ),
        (
            ["-p", "/nowhere/pid"],
            "nutcrab: writing pid file '/nowhere/pid' failed: No such file",
        ),
    ] {
        let output = place.run(&Port::free(), &options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.starts_with(reason), "{stderr}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn signals_rotate_the_log_and_change_its_level() {
    let (place, stats) = (Place::new(), Port::free());
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    assert_eq!(place.run(&stats, &["-d"]).status.code(), Some(0));
    let pid = place.text("pid");
    let signal = |name: &str| send_signal(name, &pid);
    let dots = "[.......................] signal";
    fs::rename(place.path("log"), place.path("log.1")).unwrap();
    signal("HUP");
    eventually("the log is opened again", || {
        place.path("log").exists().then_some(())
    });
    let old = place.text("log.1");
    let line = format!("{dots} 1 (SIGHUP) received, reopening log file\n");
    assert!(old.ends_with(&line), "{old}");
    signal("TTIN");
    eventually("the level", || {
        place
            .text("log")
            .contains(" up log level to 6\n")
            .then_some(())
    });
    for (name, number) in [("USR1", 10), ("USR2", 12)] {
        signal(name);
        let line = format!("{dots} {number} (SIG{name}) received\n");
        eventually(&line, || place.text("log").contains(&line).then_some(()));
    }
    assert!(is_alive(&pid));
}
