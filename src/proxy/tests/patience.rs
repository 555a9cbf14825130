//! Clients that read what they are given, and wait for a slow server.

use super::*;

fn limits() -> Limits {
    Limits {
        window: 4096,
        cut_through: 1024,
        ..Limits::default()
    }
}

#[test]
fn a_client_that_waits_for_a_slow_server_is_not_taken_for_one_that_does_not_read() {
    let (mut rig, client) = ready(pool(2), limits());
    let other = rig.client();
    // Modula over fnv1a_64 puts the two on different servers.
    rig.receive(client, ask("GET a") + &ask("GET b"));
    rig.receive(other, ask("GET b"));
    let (slow, fast) = (rig.link(0), rig.link(1));
    let value = format!("$40000\r\n{}\r\n", "v".repeat(40_000));
    rig.receive(fast, &value[..30_000]);
    assert!(!rig.proxy.wants_read(fast), "it fills the window");
    rig.pass(Duration::from_millis(150));
    assert!(!rig.is_closed(client), "it has taken all it was given");
    assert!(rig.proxy.wants_read(fast));
    rig.receive(fast, value[30_000..].to_string() + ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    rig.receive(slow, ":2\r\n");
    assert_eq!(rig.take(client), ":2\r\n".to_string() + &value);
}

#[test]
fn what_is_kept_for_a_client_that_waits_for_a_slow_server_is_bounded() {
    let limits = Limits {
        join: 50_000,
        ..limits()
    };
    let (mut rig, client) = ready(pool(2), limits);
    rig.receive(client, ask("GET a") + &ask("GET b"));
    let fast = rig.link(1);
    rig.receive(fast, "$90000\r\n".to_string() + &"v".repeat(60_000));
    rig.pass(Duration::from_millis(150));
    assert!(!rig.is_closed(client));
    rig.receive(fast, "v".repeat(20_000));
    assert!(!rig.proxy.wants_read(fast), "there is no more room");
    rig.pass(Duration::from_millis(150));
    assert!(rig.is_closed(client));
}
