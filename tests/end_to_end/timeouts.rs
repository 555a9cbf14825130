//! Servers that answer late or never.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::*;

#[test]
fn a_server_that_never_answers_is_answered_for() {
    let server = FakeServer::start(|visit| visit.wait_closed());
    let pool = Pool::redis("alpha")
        .at("s1", &server.address())
        .with("timeout", "300");
    let cache = FakeServer::start(|visit| visit.wait_closed());
    let cached = Pool::memcache("beta")
        .at("s1", &cache.address())
        .with("timeout", "300");
    let proxy = Proxy::nutcrab(vec![pool, cached]);
    let mut client = proxy.client("alpha");
    let start = Instant::now();
    client.send(&pipeline(&["GET a", "PING", "MGET a b", "GET c"]));
    let late = Reply::Error("ERR Connection timed out".into());
    assert_eq!(client.reply(), late);
    assert!(
        start.elapsed() >= Duration::from_millis(280),
        "after {:?}",
        start.elapsed()
    );
    assert_eq!(client.reply(), Reply::Status("PONG".into()));
    assert_eq!((client.reply(), client.reply()), (late.clone(), late));
    proxy
        .client("beta")
        .check(b"get a\r\n", b"SERVER_ERROR Connection timed out\r\n");
}

#[test]
fn without_a_timeout_requests_wait() {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let server = FakeServer::start(move |visit| {
        visit.request();
        // Ends when the test says so, or is over.
        let _ = gate.lock().expect("nothing panics under this lock").recv();
        visit.wire.send(b"$2\r\nok\r\n");
        visit.wait_closed();
    });
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").at("s1", &server.address())]);
    let mut client = proxy.client("alpha");
    client.send(&pipeline(&["GET a"]));
    let (early, end) = client.read_until_quiet(Duration::from_millis(1_000));
    assert_eq!((early, end), (Vec::new(), End::Silent));
    go.send(()).expect("the script waits");
    assert_eq!(client.reply(), Reply::bulk("ok"));
}

/// What a test tells a fake server to send next.
type Orders = Arc<Mutex<Receiver<Vec<u8>>>>;

/// A server that reads and notes all requests, and sends what it is ordered to.
fn ordered() -> (FakeServer, Sender<Vec<u8>>) {
    let (sender, receiver) = channel();
    let orders: Orders = Arc::new(Mutex::new(receiver));
    let server = FakeServer::start(move |visit| {
        let mut writer = visit.wire.second_handle();
        let orders = Arc::clone(&orders);
        std::thread::spawn(move || {
            let orders = orders.lock().expect("nothing panics under this lock");
            for bytes in orders.iter() {
                if writer.try_send(&bytes).is_err() {
                    return;
                }
            }
        });
        while let Some(words) = visit.request() {
            visit.note(String::from_utf8_lossy(&words[1]));
        }
    });
    (server, sender)
}

/// The reply that comes too late must not become the reply to the next request.
#[test]
fn a_late_reply_is_swallowed_and_the_requests_behind_it_go_on() {
    let (server, orders) = ordered();
    // So long that half of it is more than a busy machine may lose.
    let pool = Pool::redis("alpha")
        .at("s1", &server.address())
        .with("timeout", "4000");
    // One worker: all clients share one connection to the server.
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let sent = |count: usize| {
        eventually("the server has the requests", || {
            (server.notes().len() == count).then_some(())
        });
    };
    let [mut first, mut second, mut third] = [(); 3].map(|()| proxy.client("alpha"));
    first.send(&pipeline(&["GET first"]));
    sent(1);
    second.send(&pipeline(&["GET second"]));
    sent(2);
    // The connection shows signs of life, so that it is only the second request that is late.
    let life = Duration::from_millis(2000);
    assert_eq!(first.read_until_quiet(life).1, End::Silent);
    orders
        .send(b"$1\r\n1\r\n".to_vec())
        .expect("the script waits");
    assert_eq!(first.reply(), Reply::bulk("1"));
    assert_eq!(
        second.reply(),
        Reply::Error("ERR Connection timed out".into())
    );
    third.send(&pipeline(&["GET third"]));
    sent(3);
    orders
        .send(b"$1\r\n2\r\n$1\r\n3\r\n".to_vec())
        .expect("the script waits");
    assert_eq!(third.reply(), Reply::bulk("3"));
    second.send(&pipeline(&["GET fourth"]));
    sent(4);
    orders
        .send(b"$1\r\n4\r\n".to_vec())
        .expect("the script waits");
    assert_eq!(second.reply(), Reply::bulk("4"));
    assert_eq!(server.accepted(), 1, "the connection lived on");
}

#[test]
fn a_silent_connection_is_given_up_and_a_new_one_is_used() {
    let server = FakeServer::start(|visit| {
        if visit.index == 0 {
            return visit.wait_closed();
        }
        while visit.request().is_some() {
            if visit.wire.try_send(b"$2\r\nok\r\n").is_err() {
                return;
            }
        }
    });
    let pool = Pool::redis("alpha")
        .at("s1", &server.address())
        .with("timeout", "300");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut client = proxy.client("alpha");
    assert_eq!(
        client.ask(&["GET", "a"]).error(),
        "ERR Connection timed out"
    );
    eventually("a new connection answers", || {
        (client.ask(&["GET", "a"]) == Reply::bulk("ok")).then_some(())
    });
    assert_eq!(server.accepted(), 2);
}

/// Clients that leave do not change who gets which reply.
#[test]
fn replies_to_clients_that_have_left_are_swallowed() {
    let (server, orders) = ordered();
    let pool = Pool::redis("alpha").at("s1", &server.address());
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let sent = |count: usize| {
        eventually("the server has the requests", || {
            (server.notes().len() == count).then_some(())
        });
    };
    let mut leaving = proxy.client("alpha");
    leaving.send(&pipeline(&["GET one", "GET two"]));
    sent(2);
    let mut staying = proxy.client("alpha");
    staying.send(&pipeline(&["GET three"]));
    sent(3);
    drop(leaving);
    // The proxy has seen the end of the one when it answers another that came after.
    assert_eq!(
        proxy.client("alpha").ask(&["PING"]),
        Reply::Status("PONG".into())
    );
    orders
        .send(b"$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n".to_vec())
        .expect("the script waits");
    assert_eq!(staying.reply(), Reply::bulk("3"));
}
