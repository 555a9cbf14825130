//! Large values pass through without being held.

use std::slice;

use crate::support::*;

const MIB: u64 = 1024 * 1024;
const HUNDRED_MB: usize = 100_000_000;

#[test]
fn a_value_of_a_hundred_megabytes_passes_in_little_memory() {
    let servers = Server::redis_many(2);
    let mut proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    client.check(&pipeline(&["SET small x"]), b"+OK\r\n");
    let before = proxy.process().resident_bytes();
    let value = value::described(b"large", 1, HUNDRED_MB);
    let request = command(&[b"SET", &b"large"[..], &value]);
    client.send_while(&request, |client| client.expect(b"+OK\r\n"));
    for _ in 0..2 {
        client.send(&pipeline(&["GET large", "GET small"]));
        client.expect(format!("${}\r\n", value.len()).as_bytes());
        assert!(
            client.read_exact(value.len()) == value,
            "the value came back changed"
        );
        client.expect(b"\r\n$1\r\nx\r\n");
    }
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
}

#[test]
fn large_values_among_pipelined_small_ones_keep_their_places() {
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for number in 0..60 {
        let key = format!("mixed:{number}").into_bytes();
        let length = [10, 3_000, 70_000, 1_100_000, 2_500_000][number % 5];
        let value = value::described(&key, 1, length);
        resp::append(&mut requests, &[b"SET", &key[..], &value]);
        replies.extend(b"+OK\r\n");
        resp::append(&mut requests, &[b"GET", &key[..]]);
        replies.extend(fake::bulk(&value));
        resp::append(&mut requests, &[b"STRLEN", &key[..]]);
        replies.extend(format!(":{}\r\n", value.len()).into_bytes());
    }
    client.send_while(&requests, |client| client.expect(&replies));
}

#[test]
fn a_large_cached_value_passes() {
    let cache = Server::memcached_with(&["-I", "128m", "-m", "512"]);
    let mut proxy = Proxy::nutcrab(vec![
        Pool::memcache("alpha").servers(slice::from_ref(&cache)),
    ]);
    let mut client = proxy.client("alpha");
    let before = proxy.process().resident_bytes();
    let value = value::described(b"large", 1, 50_000_000);
    let header = format!("set large 7 0 {}\r\n", value.len());
    let request = [header.as_bytes(), &value, b"\r\n"].concat();
    client.send_while(&request, |client| client.expect(b"STORED\r\n"));
    client.send(b"get large\r\nget none\r\n");
    client.expect(format!("VALUE large 7 {}\r\n", value.len()).as_bytes());
    assert!(
        client.read_exact(value.len()) == value,
        "the value came back changed"
    );
    client.expect(b"\r\nEND\r\nEND\r\n");
    let grown = proxy.process().peak_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "memory grew by {} MiB", grown / MIB);
}

#[test]
fn small_requests_of_others_go_on_while_a_large_value_passes() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let value = value::described(b"large", 1, HUNDRED_MB / 2);
    let request = command(&[b"SET", &b"large"[..], &value]);
    let (proxy, request) = (&proxy, &request);
    let done = &std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut client = proxy.client("alpha");
            client.send_while(request, |client| client.expect(b"+OK\r\n"));
            let value = client.ask(&["GET", "large"]).bytes();
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            value::check(b"large", &value);
        });
        for number in 0..4_u64 {
            scope.spawn(move || {
                let mut client = proxy.client("alpha");
                let key = format!("small:{number}");
                let mut round = 0;
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let value = value::described(key.as_bytes(), round, 40);
                    client.send(&command(&[b"SET", key.as_bytes(), &value]));
                    assert_eq!(client.reply(), Reply::ok());
                    let got = client.ask(&["GET", &key]).bytes();
                    assert_eq!(value::check(key.as_bytes(), &got), round);
                    round += 1;
                }
                assert!(round > 5, "only {round} rounds while a large value passed");
            });
        }
    });
}
