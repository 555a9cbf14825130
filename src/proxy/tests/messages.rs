//! How much may wait for a client that listens to channels.

use super::sessions::newest;
use super::*;

#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let limits = Limits {
        subscriber: 10_000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.receive(client, ask("SUBSCRIBE c"));
    let own = newest(&mut rig);
    rig.receive(own, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    rig.full.push(client);
    let message = format!(
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1000\r\n{}\r\n",
        "x".repeat(1000)
    );
    for _ in 0..20 {
        rig.receive(own, &message);
    }
    assert!(rig.is_closed(client) && rig.is_closed(own));
    assert_eq!(rig.stats.pools[0].subscriber_output_limit_hits.read(), 1);
}

#[test]
fn a_subscriber_may_have_much_unread_but_not_for_long() {
    let limits = Limits {
        subscriber: 10_000,
        subscriber_soft: 3_000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.receive(client, ask("SUBSCRIBE c"));
    let own = newest(&mut rig);
    rig.receive(own, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let message = format!(
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1000\r\n{}\r\n",
        "x".repeat(1000)
    );
    for late in [false, true] {
        rig.take(client);
        rig.full.push(client);
        for _ in 0..4 {
            rig.receive(own, &message);
        }
        rig.pass(Duration::from_secs(59));
        assert!(!rig.is_closed(client));
        if late {
            break;
        }
        // It reads before the time is over, and has all of it again from then on.
        rig.full.clear();
        let waiting = rig.proxy.output(client).expect("alive").len();
        assert_eq!(waiting, 4 * message.len());
        rig.proxy.sent(client, waiting);
        rig.pass(Duration::from_secs(30));
    }
    rig.pass(Duration::from_secs(2));
    assert!(rig.is_closed(client) && rig.is_closed(own));
    assert_eq!(rig.stats.pools[0].subscriber_output_limit_hits.read(), 1);
}
