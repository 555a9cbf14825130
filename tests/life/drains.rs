//! Stops under load lose nothing: whatever reached a server was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::*;

const ROUNDS: usize = 50;
const CLIENTS: usize = 6;
const DEPTH: usize = 16;

/// Counts `key` up in pipelines until the connection ends; how many replies came.
fn count_up(mut wire: Wire, key: &str, progress: &AtomicUsize) -> i64 {
    let batch = command(&["INCR", key]).repeat(DEPTH);
    let mut count = 0;
    loop {
        // Once we are not listened to any more the replies that are owed still come.
        let sent = wire.try_send(&batch);
        for _ in 0..DEPTH {
            match wire.try_reply() {
                Ok(reply) => {
                    count += 1;
                    assert_eq!(reply, Reply::Integer(count), "{key}");
                }
                Err(End::Closed) => {
                    assert_eq!(wire.unread(), b"", "{key}: half a reply");
                    return count;
                }
                Err(end) => panic!("{key}: {end:?} after {count} replies"),
            }
        }
        assert!(sent.is_ok(), "{key}: an answer to what was not sent");
        progress.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn fifty_stops_under_load_lose_no_reply() {
    let servers = Server::redis_many(2);
    let mut total = 0;
    for round in 0..ROUNDS {
        let pools = vec![
            Pool::redis("a").servers(&servers),
            Pool::redis("b").servers(&servers).on_unix(),
        ];
        let mut proxy = Proxy::nutcrab(pools);
        let key = |client: usize| format!("count-{round}-{client}");
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let wire = proxy.client(["a", "b"][client % 2]);
                let progress = Arc::new(AtomicUsize::new(0));
                let theirs = Arc::clone(&progress);
                let key = key(client);
                (
                    thread::spawn(move || count_up(wire, &key, &theirs)),
                    progress,
                )
            })
            .collect();
        // All are in the middle of it, each round a little further.
        eventually("all clients are served", || {
            let served = |progress: &AtomicUsize| progress.load(Ordering::Relaxed) > round % 7;
            clients.iter().all(|(_, it)| served(it)).then_some(())
        });
        proxy.process().signal("TERM");
        for (client, (thread, _)) in clients.into_iter().enumerate() {
            let replies = thread.join().expect("the client saw nothing wrong");
            let key = key(client);
            let counted: i64 = servers
                .iter()
                .filter_map(|server| match server.ask(&["GET", &key]) {
                    Reply::Bulk(Some(text)) => String::from_utf8(text).unwrap().parse::<i64>().ok(),
                    _ => None,
                })
                .sum();
            assert_eq!(replies, counted, "round {round}, {key}: replies were lost");
            total += replies;
        }
        assert_eq!(proxy.process().wait_exit().code(), Some(0), "round {round}");
    }
    assert!(total > (ROUNDS * CLIENTS * DEPTH) as i64, "{total} replies");
}
