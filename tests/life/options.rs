//! Every option that changes how nutcrab runs, in a real run, by its letter and by its name.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nutcrab::cli::FLAGS;

use crate::support::process::send_signal;
use crate::support::*;
use crate::{NUTCRAB, Place, is_alive, is_let_in, pool};

/// The options of a run in both spellings. `{}` is the test's directory.
const RUN: &[(&str, &str)] = &[
    ("-d", "--daemonize"),
    ("-v 7", "--verbose=7"),
    ("-o {}/log", "--output={}/log"),
    ("-c {}/c.yml", "--conf-file={}/c.yml"),
    ("-s STATS", "--stats-port=STATS"),
    ("-a 127.0.0.1", "--stats-addr=127.0.0.1"),
    ("-i 100", "--stats-interval=100"),
    ("-p {}/pid", "--pid-file={}/pid"),
    ("-m 512", "--mbuf-size=512"),
    ("--workers 3", "--workers=3"),
    ("--shutdown-timeout 0", "--shutdown-timeout=0"),
];

/// Options that print something and end; tests/command_line.rs runs them.
const ENDS: &[&str] = &[
    "help",
    "version",
    "test-conf",
    "describe-stats",
    "print-config-schema",
    "explain-keys",
    "as",
];

/// Options that other suites run.
const ELSEWHERE: &[&str] = &["admin-addr"];

#[test]
fn every_option_is_run_somewhere() {
    let known: BTreeSet<&str> = FLAGS.iter().map(|flag| flag.long).collect();
    let name = |long: &'static str| {
        let bare = long.trim_start_matches('-');
        bare.split('=').next().unwrap_or(bare)
    };
    let run = RUN.iter().map(|&(_, long)| name(long));
    let tested: BTreeSet<&str> = run.chain(ENDS.iter().chain(ELSEWHERE).copied()).collect();
    let missed: Vec<_> = known.difference(&tested).collect();
    assert!(missed.is_empty(), "no test runs {missed:?}");
}

#[test]
fn options_do_what_they_say_by_letter_and_by_name() {
    for long in [false, true] {
        let (place, stats) = (Place::new(), Port::free());
        let (server, _gate) = crate::gated_server();
        let socket = place.path("sock");
        place.configure(&format!(
            "a:\n  listen: {}\n  redis: true\n  servers:\n   - {}:1\nnutcrab:\n  workers: 1\n",
            socket.display(),
            server.address()
        ));
        let directory = place.path("").display().to_string();
        let words = RUN.iter().flat_map(|(short, name)| {
            let text = if long { name } else { short };
            let text = text.replace("{}/", &directory);
            let text = text.replace("STATS", &stats.number().to_string());
            text.split(' ').map(str::to_owned).collect::<Vec<_>>()
        });
        let status = Command::new(NUTCRAB)
            .args(words)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(0), "the launcher");
        let pid = place.text("pid");
        assert!(is_alive(&pid));
        let address = Address::Unix(socket);
        let mut client = Wire::connect(&address);
        assert!(is_let_in(&mut client));
        let mut answer = String::new();
        let mut visitor = TcpStream::connect(("127.0.0.1", stats.number())).unwrap();
        visitor.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with('{') && answer.ends_with("}\n"),
            "{answer}"
        );
        // The command line goes before the file.
        let line = " 3 workers; up to 3 connections";
        eventually(line, || place.text("log").contains(line).then_some(()));
        for (signal, line) in [
            ("TTIN", " up log level to 8\n"),
            ("TTOU", " down log level to 7\n"),
        ] {
            send_signal(signal, &pid);
            eventually(line, || place.text("log").contains(line).then_some(()));
        }
        // No time to wait for what is owed.
        client.send(crate::GET);
        crate::asked(&server);
        send_signal("TERM", &pid);
        eventually("the daemon ends", || (!is_alive(&pid)).then_some(()));
        assert_eq!(client.read_until(|_| false).1, End::Closed);
        assert!(!place.path("pid").exists());
    }
}

#[test]
fn statistics_at_a_unix_socket_go_with_the_process() {
    let place = Place::new();
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    let path = place.path("stats");
    let options = ["-d", "-a", &path.display().to_string()];
    assert_eq!(place.run(&Port::free(), &options).status.code(), Some(0));
    let mut answer = String::new();
    let mut visitor = UnixStream::connect(&path).unwrap();
    visitor.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("{\"service\":\"nutcracker\", "),
        "{answer}"
    );
    let pid = place.text("pid");
    send_signal("INT", &pid);
    eventually("the daemon ends", || (!is_alive(&pid)).then_some(()));
    assert!(!path.exists(), "the socket's file is still there");
    assert_eq!(
        fs::read_dir(place.path("")).unwrap().count(),
        2,
        "c.yml and the log"
    );
}
