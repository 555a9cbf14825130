//! Clients that read slowly, or late: what they asked is served, and holds up nobody else.

use super::*;

fn limits() -> Limits {
    Limits {
        window: 4096,
        cut_through: 1024,
        large_message: 20_000,
        ..Limits::default()
    }
}

fn value(len: usize) -> String {
    format!("${len}\r\n{}\r\n", "v".repeat(len))
}

#[test]
fn clients_that_do_not_read_delay_no_request_of_others() {
    let (mut rig, first) = ready(pool(1), limits());
    let slow = [first, rig.client(), rig.client()];
    let other = rig.client();
    for client in slow {
        rig.full.push(client);
        rig.receive(client, ask("GET a") + &ask("GET b"));
    }
    rig.receive(other, ask("GET c"));
    rig.receive(rig.link(0), value(20_000).repeat(6) + ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    // Nor does it cost those anything who read late.
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.closed, []);
    rig.full.clear();
    for client in slow {
        let waiting = rig.proxy.output(client).expect("alive").to_vec();
        assert_eq!(waiting, value(20_000).repeat(2).as_bytes());
    }
}

#[test]
fn where_no_other_client_waits_a_window_stops_the_server() {
    // A timeout of 400 ms.
    let (mut rig, slow) = ready(pool(1), limits());
    rig.full.push(slow);
    rig.receive(slow, ask("GET a") + &ask("GET b"));
    let link = rig.link(0);
    rig.receive(link, &value(50_000)[..5000]);
    rig.receive(link, "v");
    assert!(!rig.proxy.wants_read(link));
    rig.pass(Duration::from_secs(10));
    assert_eq!((rig.closed.len(), rig.failures.len()), (0, 0));
    rig.full.clear();
    rig.proxy.sent(slow, 5000);
    rig.settle();
    assert!(rig.proxy.wants_read(link));
    // What is behind is late only if the server is from now on.
    rig.pass(Duration::from_millis(300));
    rig.receive(link, &value(50_000)[5001..]);
    rig.pass(Duration::from_millis(99));
    assert!(!rig.take(slow).contains("-ERR"));
    rig.pass(Duration::from_millis(2));
    assert_eq!(rig.take(slow), "-ERR Connection timed out\r\n");
}

#[test]
fn others_go_around_a_connection_that_is_left_unread() {
    let (mut rig, slow) = ready(pool(1), limits());
    let other = rig.client();
    rig.full.push(slow);
    rig.receive(slow, ask("GET a"));
    let link = rig.link(0);
    rig.receive(link, &value(10_000)[..5000]);
    rig.receive(link, "v");
    assert!(!rig.proxy.wants_read(link), "its reply is not large");
    rig.take(link);
    rig.receive(other, ask("GET c"));
    rig.establish();
    assert_ne!(rig.link(0), link);
    assert_eq!(rig.take(rig.link(0)), ask("GET c"));
    assert!(!rig.proxy.wants_read(link));
}

#[test]
fn a_connection_that_is_left_unread_is_read_when_somebody_else_asks_there() {
    let limits = Limits {
        detours: 0,
        ..limits()
    };
    let (mut rig, slow) = ready(pool(1), limits);
    let other = rig.client();
    rig.full.push(slow);
    rig.receive(slow, ask("GET a"));
    let link = rig.link(0);
    rig.receive(link, &value(50_000)[..5000]);
    rig.receive(link, "v");
    assert!(!rig.proxy.wants_read(link));
    rig.receive(other, ask("GET c"));
    assert!(rig.proxy.wants_read(link));
    rig.receive(link, value(50_000)[5001..].to_string() + ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    // It is the slow client's alone again.
    rig.take(link);
    rig.receive(slow, ask("GET a"));
    assert_eq!(rig.take(link), "", "it has more than a window");
    rig.full.clear();
    let waiting = rig.proxy.output(slow).expect("alive").len();
    assert_eq!(waiting, value(50_000).len());
    rig.proxy.sent(slow, waiting);
    rig.settle();
    rig.full.push(slow);
    rig.receive(link, &value(50_000)[..5000]);
    rig.receive(link, "v");
    assert!(!rig.proxy.wants_read(link));
}

#[test]
fn a_client_that_waits_for_a_slow_server_is_not_taken_for_one_that_does_not_read() {
    let (mut rig, client) = ready(pool(2), limits());
    let other = rig.client();
    // Modula over fnv1a_64 puts the two on different servers.
    rig.receive(client, ask("GET a") + &ask("GET b"));
    rig.receive(other, ask("GET b"));
    let (slow, fast) = (rig.link(0), rig.link(1));
    rig.receive(fast, value(40_000) + ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    rig.receive(slow, ":2\r\n");
    assert_eq!(rig.take(client), ":2\r\n".to_string() + &value(40_000));
}

#[test]
fn what_comes_early_stops_its_server_where_no_other_client_waits() {
    let (mut rig, client) = ready(pool(2), limits());
    rig.receive(client, ask("GET a") + &ask("GET b"));
    let (slow, fast) = (rig.link(0), rig.link(1));
    rig.receive(fast, &value(40_000)[..5000]);
    rig.receive(fast, "v");
    assert!(!rig.proxy.wants_read(fast));
    rig.pass(Duration::from_millis(399));
    rig.receive(slow, ":2\r\n");
    assert!(rig.proxy.wants_read(fast));
    rig.receive(fast, &value(40_000)[5001..]);
    assert_eq!(rig.take(client), ":2\r\n".to_string() + &value(40_000));
}

#[test]
fn a_client_that_writes_first_is_read_on_when_a_reply_of_our_own_waits() {
    let limits = Limits {
        own_output: 2000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.full.push(client);
    rig.receive(client, ask("GET a"));
    let link = rig.link(0);
    rig.receive(link, value(3000));
    assert_eq!(rig.take(link), ask("GET a"));
    // This waits until there is little to take, which the client will not before it has written all.
    rig.receive(client, ask("CLIENT ID"));
    for _ in 0..100 {
        assert!(rig.proxy.wants_read(client), "it would wait for ever");
        rig.receive(client, ask("GET b"));
    }
    rig.full.clear();
    rig.proxy.sent(client, value(3000).len());
    rig.settle();
    assert_eq!(rig.take(link), ask("GET b").repeat(100));
    rig.receive(link, ":1\r\n".repeat(100));
    let replies = rig.take(client);
    assert!(replies.ends_with(&":1\r\n".repeat(100)));
    assert_eq!(replies.matches("\r\n").count(), 101, "{replies}");
}
