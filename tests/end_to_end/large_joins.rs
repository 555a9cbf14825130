//! Replies joined from large parts: those whose turn has not come wait on their servers, in little
//! memory, and go on when it comes.

use std::time::Duration;

use crate::support::*;

#[test]
fn joined_replies_may_be_large() {
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha")
            .servers(&servers)
            .with("hash", "murmur"),
    ]);
    let mut client = proxy.client("alpha");
    let keys: Vec<_> = (0..12)
        .map(|i| format!("joined:{i}").into_bytes())
        .collect();
    for key in &keys {
        let request = command(&[b"SET", &key[..], &value::described(key, 1, 1_500_000)]);
        client.send_while(&request, |client| client.expect(b"+OK\r\n"));
    }
    let words: Vec<_> = [&b"MGET"[..]]
        .into_iter()
        .chain(keys.iter().map(|key| &key[..]))
        .collect();
    client.send(&command(&words));
    for (key, value) in keys.iter().zip(client.reply().elements()) {
        value::check(key, &value.bytes());
    }
}

/// A client on a thin line is served at its own pace, as long as it reads.
#[test]
fn a_client_that_reads_slowly_but_steadily_is_served() {
    const VALUE: usize = 4_000_000;
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha")
            .servers(&servers)
            .with("hash", "murmur"),
    ]);
    let keys: Vec<_> = (0..6).map(|i| format!("slow:{i}").into_bytes()).collect();
    let mut client = proxy.client("alpha");
    let mut together = format!("*{}\r\n", keys.len()).into_bytes();
    for key in &keys {
        let value = value::described(key, 1, VALUE);
        let request = command(&[b"SET", &key[..], &value]);
        client.send_while(&request, |client| client.expect(b"+OK\r\n"));
        together.extend(fake::bulk(&value));
    }
    let words: Vec<_> = [&b"MGET"[..]]
        .into_iter()
        .chain(keys.iter().map(|key| &key[..]))
        .collect();
    client.send(&command(&words));
    for piece in together.chunks(64 * 1024) {
        client.expect(piece);
        // The pace of a line of some 80 Mbit/s.
        std::thread::sleep(Duration::from_millis(6));
    }
}
