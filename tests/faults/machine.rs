//! A machine that runs out of memory, disk or time, and what must never be written down.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::slice;
use std::time::{Duration, Instant};

use crate::network::shell;
use crate::skip;
use crate::support::*;

fn served(client: &mut Wire) {
    client.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
}

#[test]
fn o6_a_full_disk_or_a_stopped_reader_of_the_log_stops_no_request() {
    let server = Server::redis();
    let directory = server::scratch();
    let pipe = directory.path().join("pipe").display().to_string();
    shell(&format!("mkfifo {pipe}")).expect("mkfifo is there");
    // Somebody holds it open and never reads.
    let _reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .expect("it was made");
    for log in ["/dev/full", &pipe] {
        let pools = vec![Pool::redis("alpha").servers(slice::from_ref(&server))];
        let mut proxy = Proxy::nutcrab_with(pools, &["-o", log, "-v", "11"]);
        let mut client = proxy.client("alpha");
        for _ in 0..400 {
            // Each of these is worth a line.
            let mut rude = proxy.client("alpha");
            rude.send(b"*1\r\n$04\r\nPING\r\n");
            rude.read_to_end();
        }
        served(&mut client);
        assert_eq!(proxy.process().exited(), None, "{log}");
    }
}

#[test]
fn o7_within_a_small_limit_of_memory_it_lives_and_serves() {
    const LIMIT: u64 = 96 * 1024 * 1024;
    let name = format!("nutcrab-test-{}", std::process::id());
    let v1 = std::path::Path::new("/sys/fs/cgroup/memory").is_dir();
    let (group, limit) = match v1 {
        true => (
            format!("/sys/fs/cgroup/memory/{name}"),
            "memory.limit_in_bytes",
        ),
        false => (format!("/sys/fs/cgroup/{name}"), "memory.max"),
    };
    if let Err(reason) = shell(&format!("mkdir {group} && echo {LIMIT} > {group}/{limit}")) {
        let _ = shell(&format!("rmdir {group}"));
        return skip("O7", &reason);
    }
    let server = Server::redis();
    {
        let pools = vec![Pool::redis("alpha").servers(slice::from_ref(&server))];
        let line = format!("echo $$ > {group}/cgroup.procs && exec \"$@\"");
        let mut proxy = Proxy::nutcrab_under(&["sh", "-c", &line, "sh"], pools, &[]);
        let mut neighbour = proxy.client("alpha");
        assert_eq!(
            neighbour.ask(&["SET", "large", &"x".repeat(20_000)]),
            Reply::ok()
        );
        // 30 clients ask for 100 MB each and read nothing of it.
        let asked = pipeline(&["GET large"]).repeat(5_000);
        let mut greedy: Vec<_> = (0..30).map(|_| proxy.client("alpha")).collect();
        for client in &mut greedy {
            client.patience = Duration::from_millis(100);
            let _ = client.try_send(&asked);
            served(&mut neighbour);
        }
        assert_eq!(proxy.process().exited(), None, "it was killed");
        assert!(
            proxy.process().peak_bytes() < LIMIT,
            "{}",
            proxy.process().peak_bytes()
        );
        drop(greedy);
        served(&mut neighbour);
    }
    eventually("the group is empty", || {
        shell(&format!("rmdir {group}")).ok()
    });
}

#[test]
fn o8_a_proxy_that_was_not_let_run_accuses_nobody() {
    // With less, a machine that is busy is a server that is late.
    let servers = Server::redis_many(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("timeout", "1000");
    let pool = pool
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1");
    let mut proxy = Proxy::nutcrab(vec![pool.with("server_retry_timeout", "600000")]);
    let mut client = proxy.client("alpha");
    let keys: Vec<String> = (0..40).map(|i| format!("key:{i}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&["SET", key, key]), Reply::ok());
    }
    for _ in 0..3 {
        // It stands still with requests before it and replies on their way.
        let asked: Vec<u8> = keys.iter().flat_map(|key| command(&["GET", key])).collect();
        client.send(&asked);
        proxy.process().signal("STOP");
        std::thread::sleep(Duration::from_millis(2500));
        proxy.process().signal("CONT");
        for key in &keys {
            // A request may be late, but no key may move.
            match client.reply() {
                Reply::Bulk(Some(value)) => assert_eq!(value, key.as_bytes()),
                Reply::Error(text) => {
                    let log = proxy.process().log();
                    assert_eq!(text, "ERR Connection timed out", "{key}: {log}");
                }
                other => panic!("{key}: {other:?}"),
            }
        }
    }
    for key in &keys {
        assert_eq!(
            client.ask(&["GET", key]),
            Reply::bulk(key),
            "a server was ejected"
        );
    }
}

#[test]
fn o9_a_clock_that_jumps_moves_no_deadline() {
    let library = "/usr/lib/*/faketime/libfaketimeMT.so.1";
    let Ok(library) =
        shell(&format!("ls {library} | head -n 1")).map(|path| path.trim().to_owned())
    else {
        return skip(
            "O9",
            "libfaketime (Debian package faketime) is not installed",
        );
    };
    if library.is_empty() {
        return skip(
            "O9",
            "libfaketime (Debian package faketime) is not installed",
        );
    }
    let directory = server::scratch();
    let file = directory.path().join("clock");
    let jump = |to: &str| std::fs::write(&file, to).expect("the test's directory can be written");
    jump("+0");
    let server = FakeServer::start(|visit| {
        while let Some(words) = visit.request() {
            if words[1] == b"never" {
                visit.note("never");
            } else if visit.wire.try_send(b"$2\r\nok\r\n").is_err() {
                return;
            }
        }
    });
    let pool = Pool::redis("alpha")
        .at("s", &server.address())
        .with("timeout", "600");
    let (preload, stamp) = (
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
    );
    let wrapper = [
        "env",
        &preload,
        &stamp,
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
    ];
    let mut proxy = Proxy::nutcrab_under(&wrapper, vec![pool], &["-v", "11"]);
    let mut client = proxy.client("alpha");
    for (round, to) in ["+3600", "-3600", "+86400", "+0"].into_iter().enumerate() {
        let begin = Instant::now();
        client.send(&command(&["GET", "never"]));
        eventually("the request is under way", || {
            (server.notes().len() > round).then_some(())
        });
        jump(to);
        assert_eq!(client.reply().error(), "ERR Connection timed out", "{to}");
        let took = begin.elapsed();
        assert!(
            took > Duration::from_millis(590) && took < Duration::from_secs(5),
            "{to}: {took:?}"
        );
        eventually("requests are served", || {
            (client.ask(&["GET", "a"]) == Reply::bulk("ok")).then_some(())
        });
    }
    assert_eq!(proxy.process().exited(), None);
}

#[test]
fn o12_an_attacked_stats_port_touches_no_request() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let mut client = proxy.client("alpha");
    let connect = || TcpStream::connect(("127.0.0.1", proxy.stats_port()));
    let mut held = Vec::new();
    for number in 0..200 {
        if let Ok(mut stream) = connect() {
            // Some say nothing, some too much; nobody reads.
            let noise = vec![b'x'; number * 50];
            let _ = stream.set_write_timeout(Some(Duration::from_millis(50)));
            let _ = stream.write_all(&noise);
            held.push(stream);
        }
        served(&mut client);
    }
    drop(held);
    let text = eventually("statistics are given again", || {
        let mut text = String::new();
        let mut stream = connect().ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.read_to_string(&mut text).ok()?;
        (!text.is_empty()).then_some(text)
    });
    assert!(text.contains("alpha"), "{text}");
}

#[test]
fn o14_secrets_and_values_are_written_nowhere() {
    const SECRETS: [&str; 3] = ["pool-secret-7261", "wrong-guess-8813", "value-of-mine-5527"];
    let server = Server::redis_with(&["--requirepass", SECRETS[0]]);
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .with("redis_auth", SECRETS[0]);
    let mut proxy = Proxy::nutcrab_with(vec![pool], &["-v", "11"]);
    let mut client = proxy.client("alpha");
    client.ask(&["AUTH", SECRETS[1]]).error();
    assert_eq!(client.ask(&["AUTH", SECRETS[0]]), Reply::ok());
    assert_eq!(client.ask(&["SET", SECRETS[2], SECRETS[2]]), Reply::ok());
    let mut rude = proxy.client("alpha");
    rude.send(format!("*2\r\n$4\r\nAUTH\r\n$99\r\n{}\r\n", SECRETS[1]).as_bytes());
    rude.send(b"x".repeat(200).as_slice());
    rude.read_to_end();
    let mut text = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.stats_port())).expect("it listens");
    stream.read_to_string(&mut text).expect("statistics");
    let line = format!("/proc/{}/cmdline", proxy.process().id());
    text += &std::fs::read_to_string(line).expect("Linux has it");
    text += &proxy.process().log();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[test]
fn o17_a_proxy_started_before_its_servers_serves_when_they_come() {
    let mut late = Server::redis();
    let there = Server::redis();
    late.kill();
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha")
            .servers(slice::from_ref(&late))
            .with("preconnect", "true"),
        Pool::redis("beta")
            .servers(slice::from_ref(&there))
            .with("preconnect", "true"),
    ]);
    served(&mut proxy.client("beta"));
    let mut client = proxy.client("alpha");
    client.ask(&["GET", "a"]).error();
    late.restart();
    eventually("the server that came late is used", || {
        (client.ask(&["SET", "a", "b"]) == Reply::ok()).then_some(())
    });
}
