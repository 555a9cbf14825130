//! The stats port, over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::*;
use crate::engine::{BindOptions, Endpoint, PortSharing};
use crate::stats::PoolNames;

/// An admin thread that runs until the test process ends.
fn start(pools: usize) -> (SocketAddr, Arc<Stats>) {
    let options = BindOptions {
        backlog: 64,
        port: PortSharing::Exclusive,
        mode: None,
    };
    let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listener = Listener::bind(&endpoint, options).expect("a free port");
    let address = listener.address().expect("it is bound");
    let names = (0..pools).map(|pool| PoolNames {
        name: format!("pool-{pool}"),
        servers: vec!["a".into(), "b".into(), "c".into()],
    });
    let stats = Arc::new(Stats::new(names.collect(), 1));
    let admin = Admin::new(listener, Arc::clone(&stats), "here".into()).expect("an engine");
    std::thread::spawn(move || admin.run());
    (address, stats)
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
fn visitors_that_do_not_read_keep_nobody_waiting() {
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
