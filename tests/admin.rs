//! The admin address of the real binary, with real servers behind it: what Prometheus reads, what
//! probes are told, and that nothing done there is felt by clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::*;

/// A nutcrab with an admin address.
struct Watched {
    proxy: Proxy,
    admin: Port,
}

impl Watched {
    fn start(pools: Vec<Pool>) -> Self {
        let admin = Port::free();
        let number = admin.number().to_string();
        let proxy = Proxy::nutcrab_with(pools, &["--admin-addr", &number]);
        Self { proxy, admin }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.admin.number())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().unwrap(), body.to_owned())
    }

    /// The value of one line of `/metrics`.
    fn metric(&self, series: &str) -> Option<f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs: scripts/install-tools prometheus");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // A remark about style is no failure to promtool. It is one here.
    assert!(arguments[1] != "metrics" || said.is_empty(), "{said}");
}

/// A pool and servers whose names are hard to write, and traffic of several families.
#[test]
fn prometheus_can_read_all_of_it() {
    let (redis, cache) = (Server::redis(), Server::memcached());
    let hostile = "al\"pha\\{}=,";
    let watched = Watched::start(vec![
        Pool::redis("redis").line(&format!("'{}:1 {hostile}'", redis.address())),
        Pool::memcache("cache").at("s1", cache.address()),
    ]);
    let mut client = watched.proxy.client("redis");
    assert_eq!(client.ask(&["SET", "k", "v"]), Reply::ok());
    client.ask(&["HSET", "h", "f", "v"]);
    client.ask(&["ZADD", "z", "1", "m"]);
    let mut other = watched.proxy.client("cache");
    other.check(b"set k 0 0 1\r\nv\r\n", b"STORED\r\n");
    let (status, text) = watched.get("/metrics");
    assert_eq!(status, 200);
    promtool(&["check", "metrics"], &text);
    let escaped = "al\\\"pha\\\\{}=,";
    for (series, least) in [
        (
            format!("nutcrab_server_requests_total{{pool=\"redis\",server=\"{escaped}\"}}"),
            3.0,
        ),
        (
            "nutcrab_request_server_seconds_count{pool=\"redis\",family=\"hash\"}".into(),
            1.0,
        ),
        (
            "nutcrab_request_queued_seconds_count{pool=\"redis\",family=\"sorted_set\"}".into(),
            1.0,
        ),
        (
            "nutcrab_request_client_seconds_count{pool=\"cache\",family=\"store\"}".into(),
            1.0,
        ),
        ("process_open_fds".into(), 10.0),
        ("process_resident_memory_bytes".into(), 1e6),
        ("process_start_time_seconds".into(), 1.7e9),
    ] {
        let value = watched
            .metric(&series)
            .unwrap_or_else(|| panic!("{series} is missing\n{text}"));
        assert!(value >= least, "{series} {value}");
    }
    let connections: f64 = (0..proxy::workers())
        .map(|n| format!("nutcrab_worker_server_connections{{worker=\"{n}\"}}"))
        .map(|series| watched.metric(&series).expect("a line for each worker"))
        .sum();
    assert!(connections >= 2.0, "{connections}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), watched.proxy.configuration()).unwrap();
    let output = Command::new("md5sum").arg(file.path()).output().unwrap();
    let md5 = String::from_utf8(output.stdout).unwrap();
    let label = format!("md5=\"{}\"", md5.split(' ').next().unwrap());
    assert!(text.contains(&label), "{label}\n{text}");
}

#[test]
fn the_alerts_we_offer_are_rules_of_metrics_there_are() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/prometheus-rules.yaml");
    promtool(&["check", "rules", file], "");
    let text = std::fs::read_to_string(file).unwrap();
    let known = nutcrab::stats::metrics();
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let words = text.split(|c| !is_word(c));
    let named = words.filter(|word| word.starts_with("nutcrab_") || word.starts_with("process_"));
    let mut count = 0;
    for name in named {
        let plain = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(known.iter().any(|metric| metric.name == plain), "{name}");
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

/// Keys land elsewhere when proxies disagree; an alert compares what this tells.
#[test]
fn o18_proxies_whose_configurations_differ_can_be_told_apart() {
    let told = |distribution: &str| {
        let server = Server::redis();
        let pool = Pool::redis("alpha")
            .servers(std::slice::from_ref(&server))
            .with("distribution", distribution);
        let watched = Watched::start(vec![pool]);
        let (_, text) = watched.get("/metrics");
        let line = text
            .lines()
            .find(|line| line.starts_with("nutcrab_config_info{"))
            .expect("the configuration is told");
        let label = |name: &str| {
            let rest = line.split(&format!("{name}=\"")).nth(1).expect("a label");
            rest.split('"').next().expect("its end").to_owned()
        };
        let sum = Command::new("md5sum").arg(label("file")).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert_eq!(sum.split(' ').next(), Some(label("md5").as_str()));
        label("md5")
    };
    assert_ne!(told("ketama"), told("modula"));
}

/// A server that answers after a while, a client that reads after a while: each is seen in its part.
#[test]
fn slow_servers_and_slow_clients_are_told_apart() {
    let server = FakeServer::start(|visit| {
        while visit.request().is_some() {
            std::thread::sleep(Duration::from_millis(50));
            visit.wire.send(b"+OK\r\n");
        }
    });
    let watched = Watched::start(vec![Pool::redis("a").at("s", &server.address())]);
    let mut client = watched.proxy.client("a");
    for _ in 0..3 {
        assert_eq!(client.ask(&["SET", "k", "v"]), Reply::ok());
    }
    let sum = |part: &str| {
        let series = format!("nutcrab_request_{part}_seconds_sum{{pool=\"a\",family=\"string\"}}");
        watched.metric(&series).expect("it was measured")
    };
    assert!(sum("server") >= 0.15, "{}", sum("server"));
    assert!(sum("client") < sum("server"));
}

#[test]
fn readiness_ends_with_the_wish_to_stop() {
    let server = FakeServer::start(|visit| {
        visit.request();
        visit.note("asked");
        visit.wait_closed();
    });
    let mut watched = Watched::start(vec![Pool::redis("a").at("s", &server.address())]);
    assert_eq!(watched.get("/readyz").0, 200);
    assert_eq!(watched.get("/livez").0, 200);
    let mut client = watched.proxy.client("a");
    client.send(&command(&["GET", "k"]));
    eventually("the server is asked", || {
        (!server.notes().is_empty()).then_some(())
    });
    let mut inside = watched.connect();
    // That this one is answered shows that the one before it is inside.
    assert_eq!(watched.metric("nutcrab_ready"), Some(1.0));
    watched.proxy.process().signal("TERM");
    eventually("it is not ready", || {
        TcpStream::connect(("127.0.0.1", watched.admin.number()))
            .is_err()
            .then_some(())
    });
    inside
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    inside.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    // It works off what it owes.
    assert_eq!(watched.proxy.process().exited(), None);
}

/// Probes say nothing about servers.
#[test]
fn a_proxy_without_a_living_server_is_ready() {
    let nobody = Port::free();
    let watched = Watched::start(vec![
        Pool::redis("a").at("s", &Address::tcp(nobody.number())),
    ]);
    let mut client = watched.proxy.client("a");
    assert!(matches!(client.ask(&["GET", "k"]), Reply::Error(_)));
    assert_eq!(watched.get("/readyz").0, 200);
}

/// Visitors that ask for metrics without end, that never finish asking, and that send giant requests:
/// clients are served meanwhile, and so is an honest visitor.
#[test]
fn whatever_is_done_at_the_admin_address_clients_are_served() {
    let server = FakeServer::answering(|_| b"+OK\r\n".to_vec());
    let watched = Watched::start(vec![Pool::redis("a").at("s", &server.address())]);
    let over = AtomicBool::new(false);
    let goes_on = || !over.load(Ordering::Relaxed);
    let served = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while goes_on() {
                    watched.get_if_it_can("/metrics");
                }
            });
        }
        scope.spawn(|| {
            let mut slow = Vec::new();
            while goes_on() {
                let mut stream = watched.connect();
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ");
                slow.push(stream);
                if slow.len() > 200 {
                    slow.clear();
                }
            }
        });
        scope.spawn(|| {
            let giant = vec![b'x'; 1 << 20];
            while goes_on() {
                let _ = watched.connect().write_all(&giant);
            }
        });
        let mut client = watched.proxy.client("a");
        let start = Instant::now();
        let mut served = 0;
        while start.elapsed() < Duration::from_secs(3) {
            assert_eq!(client.ask(&["SET", "k", "v"]), Reply::ok());
            served += 1;
        }
        over.store(true, Ordering::Relaxed);
        served
    });
    // One at a time on a busy machine; a stall would leave a handful.
    assert!(served > 100, "{served}");
    assert_eq!(watched.get("/livez").0, 200);
}

impl Watched {
    /// Asks, and does not mind being turned out.
    fn get_if_it_can(&self, path: &str) {
        let mut stream = self.connect();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn without_the_option_nobody_listens_and_a_taken_port_is_told() {
    let server = FakeServer::answering(|_| b"+OK\r\n".to_vec());
    let watched = Watched::start(vec![Pool::redis("a").at("s", &server.address())]);
    let (admin, stats, listen) = (watched.admin.number(), Port::free(), Port::free());
    let file = tempfile::NamedTempFile::new().unwrap();
    let yaml = format!(
        "a:\n  listen: 127.0.0.1:{}\n  redis: true\n  servers:\n   - {}:1\n",
        listen.number(),
        server.address()
    );
    std::fs::write(file.path(), yaml).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nutcrab"))
        .args(["-a", "127.0.0.1", "-s", &stats.number().to_string()])
        .args(["--admin-addr", &admin.to_string(), "-c"])
        .arg(file.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    let line = format!("admin: listening on \"127.0.0.1:{admin}\" failed: ");
    assert!(said.contains(&line), "{said}");
}

/// As for Redis pools, in whatever a client speaks.
#[test]
fn memcached_requests_are_measured_by_what_is_done_with_an_item() {
    let cache = Server::memcached();
    let watched = Watched::start(vec![Pool::memcache("cache").at("s1", cache.address())]);
    let mut text = watched.proxy.client("cache");
    text.check(b"set k 0 0 1\r\n7\r\n", b"STORED\r\n");
    text.check(b"get k\r\n", b"VALUE k 0 1\r\n7\r\nEND\r\n");
    text.check(b"ms k 1\r\n7\r\nmg k\r\n", b"HD\r\nHD\r\n");
    text.check(b"incr k 1\r\nma k\r\n", b"8\r\nHD\r\n");
    text.check(b"mg none q\r\nmd k\r\nmn\r\n", b"HD\r\nMN\r\n");
    let mut binary = watched.proxy.client("cache");
    let mut get = vec![0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    get.resize(24, 0);
    get.push(b'k');
    binary.send(&get);
    let missing = binary.read_exact(24);
    assert_eq!(missing[7], 1);
    binary.read_exact(usize::from(missing[11]));
    for (family, least) in [
        ("get", 4.0),
        ("store", 2.0),
        ("arithmetic", 2.0),
        ("delete", 1.0),
    ] {
        for part in ["queued", "server", "client"] {
            let series = format!(
                "nutcrab_request_{part}_seconds_count{{pool=\"cache\",family=\"{family}\"}}"
            );
            eventually(&series, || {
                watched.metric(&series).filter(|&count| count >= least)
            });
        }
    }
    let requests = watched.metric("nutcrab_server_requests_total{pool=\"cache\",server=\"s1\"}");
    assert!(requests >= Some(9.0), "{requests:?}");
}
