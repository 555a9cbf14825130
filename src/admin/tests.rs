//! The stats port and the admin address, over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use std::sync::Arc;

use super::*;
use crate::engine::{BindOptions, Endpoint, PortSharing};
use crate::stats::{PoolNames, Stats};

fn bound() -> (Listener, SocketAddr) {
    let options = BindOptions {
        backlog: 64,
        port: PortSharing::Exclusive,
        mode: None,
    };
    let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listener = Listener::bind(&endpoint, options).expect("a free port");
    let address = listener.address().expect("it is bound");
    (listener, address)
}

/// The stats port of an admin thread that runs until the test process ends.
fn start(pools: usize) -> (SocketAddr, Arc<Stats>) {
    let (listener, address) = bound();
    let (stats, _) = start_with(pools, listener, None);
    (address, stats)
}

/// The admin address of such a thread.
fn start_http(pools: usize) -> (SocketAddr, Arc<Stats>, Readiness) {
    let (http, address) = bound();
    let (stats, readiness) = start_with(pools, bound().0, Some(http));
    (address, stats, readiness)
}

fn start_with(pools: usize, listener: Listener, http: Option<Listener>) -> (Arc<Stats>, Readiness) {
    let readiness = Readiness::new();
    let names = (0..pools).map(|pool| PoolNames {
        name: format!("pool-{pool}"),
        servers: vec!["a".into(), "b".into(), "c".into()],
        families: &["string", "other"],
    });
    let stats = Arc::new(Stats::new(names.collect(), 1));
    let identity = Identity {
        source: "here".into(),
        config_file: "nutcracker.yml".into(),
        config_md5: "0".into(),
        workers: 1,
    };
    let pages = Pages::new(Arc::clone(&stats), identity, readiness.clone());
    let admin = Admin::new(listener, http, pages).expect("an engine");
    std::thread::spawn(move || admin.run());
    (stats, readiness)
}

#[test]
fn closed_listeners_free_their_ports_at_once_and_open_connections_are_answered() {
    let ((stats_listener, stats), (http_listener, http)) = (bound(), bound());
    let identity = Identity {
        source: "here".into(),
        config_file: "nutcracker.yml".into(),
        config_md5: "0".into(),
        workers: 1,
    };
    let counters = Arc::new(Stats::new(Vec::new(), 1));
    let readiness = Readiness::new();
    let pages = Pages::new(counters, identity, readiness.clone());
    let admin = Admin::new(stats_listener, Some(http_listener), pages).expect("an engine");
    let closer = admin.closer();
    std::thread::spawn(move || admin.run());
    // That this one is answered shows that the one before it is inside.
    let mut inside = TcpStream::connect(http).expect("it listens");
    assert!(fetch(http, "GET /readyz HTTP/1.0\r\n\r\n").contains(" 200 "));
    readiness.end();
    closer.close();
    let deadline = Instant::now() + PATIENCE;
    for address in [stats, http] {
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "{address} is still open");
        }
        std::net::TcpListener::bind(address).expect("it is free");
    }
    let request = b"GET /readyz HTTP/1.0\r\n\r\n";
    inside.write_all(request).expect("it is open");
    let mut text = String::new();
    inside.read_to_string(&mut text).expect("a graceful end");
    assert!(text.contains(" 503 "), "{text}");
}

fn ask(address: SocketAddr) -> String {
    let mut visitor = TcpStream::connect(address).expect("it listens");
    let mut text = String::new();
    visitor.read_to_string(&mut text).expect("a graceful end");
    text
}

#[test]
fn a_visitor_reads_one_json_object_of_now_and_the_end() {
    let (address, stats) = start(2);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let text = ask(address);
    assert!(
        text.starts_with("{\"service\":\"nutcracker\", \"source\":\"here\", "),
        "{text}"
    );
    assert!(text.ends_with("}\n") && text.lines().count() == 1);
    assert_eq!(json(&text)["pool-1"]["c"]["requests"], 0);
    stats.set(0).pools[1].servers[2].requests.add(5);
    assert_eq!(json(&ask(address))["pool-1"]["c"]["requests"], 5);
}

#[test]
fn a_visitor_that_talks_first_reads_the_same() {
    let (address, _) = start(1);
    let mut visitor = TcpStream::connect(address).expect("it listens");
    visitor
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("it is open");
    let mut text = String::new();
    visitor.read_to_string(&mut text).expect("a graceful end");
    assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
}

#[test]
fn connections_that_do_not_read_keep_no_other_waiting() {
    let (address, _) = start(100);
    let idle: Vec<_> = (0..VISITOR_COUNT + 10)
        .map(|_| TcpStream::connect(address).expect("it listens"))
        .collect();
    let start = Instant::now();
    assert!(ask(address).ends_with("}\n"));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    drop(idle);
}

#[test]
fn a_large_answer_arrives_whole() {
    let (address, _) = start(8_000);
    let text = ask(address);
    assert!(
        text.ends_with("}}}\n") && text.len() > 6 << 20,
        "{} bytes",
        text.len()
    );
}

/// Sends a request as it stands here, and reads all of the answer.
fn fetch(address: SocketAddr, request: &str) -> String {
    let mut visitor = TcpStream::connect(address).expect("it listens");
    visitor.write_all(request.as_bytes()).expect("it is open");
    let mut text = String::new();
    visitor.read_to_string(&mut text).expect("a graceful end");
    text
}

fn page(address: SocketAddr, path: &str) -> String {
    fetch(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

#[test]
fn metrics_are_those_of_now() {
    let (address, stats, _) = start_http(1);
    stats.set(0).pools[0].servers[0].requests.add(5);
    let text = page(address, "/metrics");
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4;"),
        "{text}"
    );
    let line = "\nnutcrab_server_requests_total{pool=\"pool-0\",server=\"a\"} 5\n";
    assert!(text.contains(line), "{text}");
    let json = page(address, "/stats");
    let body = json.split("\r\n\r\n").nth(1).expect("a body");
    let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(json["pool-0"]["a"]["requests"], 5);
    assert_eq!(json["pool-0"]["client_refused"], 0);
}

#[test]
fn readiness_ends_and_life_goes_on() {
    let (address, _, readiness) = start_http(1);
    for path in ["/livez", "/readyz"] {
        assert!(page(address, path).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    readiness.end();
    assert!(page(address, "/readyz").starts_with("HTTP/1.1 503 "));
    assert!(page(address, "/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(page(address, "/metrics").contains("\nnutcrab_ready 0\n"));
}

#[test]
fn visitors_that_do_not_finish_asking_keep_nobody_waiting() {
    let (address, _, _) = start_http(1);
    let start = Instant::now();
    let slow: Vec<_> = (0..4 * VISITOR_COUNT)
        .map(|_| {
            let mut visitor = TcpStream::connect(address).expect("it listens");
            visitor
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: ")
                .expect("it is open");
            visitor
        })
        .collect();
    assert!(page(address, "/livez").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    // Nobody stays beyond its time.
    for mut visitor in slow {
        let mut rest = Vec::new();
        let _ = visitor.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
}

#[test]
fn a_giant_request_is_refused_and_its_visitor_let_go() {
    let (address, _, _) = start_http(1);
    let mut visitor = TcpStream::connect(address).expect("it listens");
    visitor
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: ")
        .expect("it is open");
    // It is cut off long before it has sent all this.
    let piece = [b'x'; 64 * 1024];
    let sent = (0..16 * 1024)
        .take_while(|_| visitor.write_all(&piece).is_ok())
        .count();
    assert!(sent < 16 * 1024);
    assert!(page(address, "/livez").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_large_page_arrives_whole() {
    let (address, _, _) = start_http(2_000);
    let text = page(address, "/metrics");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let told = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(head.contains(&told), "{head}");
    assert!(body.len() > 2 << 20 && body.contains("\nprocess_start_time_seconds "));
}
