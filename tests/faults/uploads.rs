//! Large requests that come slowly, or wait for a connection of their own.

use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::*;

const SIZE: usize = 2 << 20;

fn head(key: &str, size: usize) -> Vec<u8> {
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${size}\r\n", key.len()).into_bytes()
}

fn upload(key: &str, size: usize) -> Vec<u8> {
    [head(key, size), vec![b'v'; size], b"\r\n".to_vec()].concat()
}

/// They have sent enough to be given the connections there are for such requests, and then hardly
/// anything. Others whose requests are too large to be gathered meanwhile are told in time that theirs was
/// too late, and have their turn soon.
#[test]
fn t31_slow_uploaders_do_not_keep_every_connection_for_large_requests() {
    // More than one client may have of so little memory.
    const SIZE: usize = 12 << 20;
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let pools = vec![pool.with("timeout", "1000")];
    let proxy = Proxy::nutcrab_of_one_worker_configured(pools, "  memory_limit: 24\n");
    let mut slow: Vec<Wire> = (0..4).map(|_| proxy.client("alpha")).collect();
    for (number, wire) in slow.iter_mut().enumerate() {
        wire.send(&head(&format!("slow{number}"), 500_000_000));
        wire.send(&[b'v'; 64 * 1024]);
    }
    wire::wait_until_taken(&slow);
    // And one that has said what it will send, and no more.
    let mut idle = proxy.client("alpha");
    idle.send(&head("idle", SIZE));
    let mut client = proxy.client("alpha");
    let begin = Instant::now();
    let mut waited_in_vain = 0;
    loop {
        for wire in &mut slow {
            // Those whose request was given up are read further all the same.
            wire.send(b"v");
        }
        let asked = Instant::now();
        client.send_while(&upload("large", SIZE), |client| match client.reply() {
            Reply::Error(text) => {
                assert_eq!(text, "ERR Connection timed out");
                waited_in_vain += 1;
                assert!(
                    asked.elapsed() < Duration::from_secs(5),
                    "it waits for long"
                );
            }
            reply => assert_eq!(reply, Reply::ok()),
        });
        // The connection is in order either way.
        assert_eq!(client.ask(&["PING"]), Reply::Status("PONG".into()));
        if server.ask(&["EXISTS", "large"]) == Reply::Integer(1) {
            break;
        }
        let waited = begin.elapsed();
        assert!(waited < Duration::from_secs(25), "in vain for {waited:?}");
    }
    assert!(waited_in_vain > 0, "the connections were not all in use");
    // The one whose connection was taken gets an error that says this.
    let told = slow.iter_mut().filter_map(|wire| {
        wire.patience = Duration::from_millis(10);
        wire.try_line().ok()
    });
    let told: Vec<Vec<u8>> = told.collect();
    assert!(!told.is_empty());
    assert!(told.iter().all(|line| line == b"-ERR Connection timed out"));
    assert_eq!(server.ask(&["DBSIZE"]), Reply::Integer(1));
}

/// They hold every connection for large requests, and send just fast enough to keep it. What others send
/// is gathered, goes another way once it is all there, and costs the slow ones nothing.
#[test]
fn t31_steady_uploaders_keep_no_large_request_from_its_server() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool.with("timeout", "2000")]);
    let mut slow: Vec<Wire> = (0..4).map(|_| proxy.client("alpha")).collect();
    for (number, wire) in slow.iter_mut().enumerate() {
        wire.send(&head(&format!("slow{number}"), SIZE));
        wire.send(&[b'v'; 100_000]);
    }
    wire::wait_until_taken(&slow);
    let done = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let dripping = scope.spawn(|| {
            let mut sent = 100_000;
            while !done.load(Ordering::SeqCst) {
                // 1,500 bytes a second of each.
                slow.iter_mut().for_each(|wire| wire.send(&[b'v'; 150]));
                sent += 150;
                thread::sleep(Duration::from_millis(100));
            }
            sent
        });
        let honest: Vec<_> = (0..13)
            .map(|number| {
                let mut client = proxy.client("alpha");
                scope.spawn(move || {
                    let key = format!("honest{number}");
                    for round in 0..crate::rounds(3, 20) {
                        // Each a little slower than the other, too.
                        for piece in upload(&key, SIZE + round).chunks(1 << (15 + number % 6)) {
                            client.send(piece);
                        }
                        assert_eq!(client.reply(), Reply::ok(), "{key}, {round}");
                        let length = Reply::Integer((SIZE + round) as i64);
                        assert_eq!(client.ask(&["STRLEN", &key]), length);
                    }
                })
            })
            .collect();
        for client in honest {
            client.join().expect("it is served each time");
        }
        drop(at_end);
        dripping.join().expect("nobody was closed")
    });
    assert_eq!(server.ask(&["DBSIZE"]), Reply::Integer(13));
    for wire in &mut slow {
        wire.send(&[&vec![b'v'; SIZE - sent][..], b"\r\n"].concat());
        assert_eq!(wire.reply(), Reply::ok());
    }
}

/// Each that is served makes room for the next, and nobody looks at all the others for that.
#[test]
fn t30_thousands_of_waiting_uploaders_are_served_one_after_the_other() {
    let count = crate::rounds(200, 4000);
    process::allow_open_files(4 * count as u64);
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let mut proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    let mut holders: Vec<Wire> = (0..4).map(|_| proxy.client("alpha")).collect();
    let rest = vec![b'v'; SIZE - 100_000];
    for wire in &mut holders {
        wire.send(&head("holder", SIZE));
        wire.send(&[b'v'; 100_000]);
    }
    wire::wait_until_taken(&holders);
    // More than a shared connection takes, and as little beyond as may be.
    let size = (1 << 20) + 1;
    let mut waiting: Vec<Wire> = (0..count).map(|_| proxy.client("alpha")).collect();
    for wire in &mut waiting {
        wire.send(&head("waiting", size));
        wire.send(&[b'v'; 64 * 1024]);
    }
    wire::wait_until_taken(&waiting);
    let before = proxy.process().processor_time();
    for _ in 0..count {
        neighbour.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
    }
    for wire in &mut holders {
        wire.send(&[&rest[..], b"\r\n"].concat());
        assert_eq!(wire.reply(), Reply::ok());
    }
    let rest = [&vec![b'v'; size - 64 * 1024][..], b"\r\n"].concat();
    for wire in &mut waiting {
        wire.send(&rest);
        assert_eq!(wire.reply(), Reply::ok());
    }
    let each = (proxy.process().processor_time() - before) / count as u32;
    // A copy of a mebibyte and a few system calls; one look at each of the others would be as much again
    // for each thousand of them.
    assert!(
        each < Duration::from_millis(20),
        "{each:?} for each of {count}"
    );
}
