//! What the proxy answers itself must not cost the worker, and so the others, more than a moment.

use std::slice;
use std::time::{Duration, Instant};

use crate::support::*;

/// What a neighbour may wait, at most, while a request of the kind is worked on: far less than the thing
/// took before it was bounded, far more than a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(5);

fn served(neighbour: &mut Wire) {
    let begin = Instant::now();
    neighbour.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
    let waited = begin.elapsed();
    assert!(waited < PATIENCE, "a neighbour waited for {waited:?}");
}

fn is_refused(reply: &Reply) -> bool {
    let text = "ERR the request is longer than local_request_limit (65536 bytes)";
    *reply == Reply::Error(text.into())
}

#[test]
fn t28_no_pattern_keeps_a_worker_from_its_clients() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    served(&mut neighbour);
    let longest = 65_000;
    for (length, pattern) in [
        (4 << 20, format!("*[{}", "!".repeat(4 << 20))),
        (longest, format!("*[{}", "!".repeat(longest))),
        (longest, format!("{}b", "*a".repeat(longest / 2))),
        (longest, "*[a-z]?".repeat(longest / 7)),
    ] {
        for words in [
            &["COMMAND", "LIST", "FILTERBY", "PATTERN", &pattern][..],
            &["CONFIG", "GET", &pattern],
        ] {
            client.send(&command(words));
            served(&mut neighbour);
            let reply = client.reply();
            if length > longest {
                assert!(is_refused(&reply), "{reply:?}");
            } else {
                assert_eq!(reply.elements(), [], "{words:.20?}");
            }
        }
    }
    // What a pattern means is unchanged.
    let reply = client.ask(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "m[f-h]e?"]);
    assert_eq!(reply.elements(), [Reply::bulk("mget")]);
}

#[test]
fn t29_a_long_name_makes_no_other_request_dear() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let mut proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    served(&mut neighbour);
    let long = "n".repeat(30 << 20);
    for words in [
        &["CLIENT", "SETNAME", &long][..],
        &["CLIENT", "SETINFO", "LIB-NAME", &long],
        &["HELLO", "3", "SETNAME", &long],
    ] {
        assert!(is_refused(&client.ask(words)), "{:?}", words[1]);
    }
    let ids = pipeline(&["CLIENT ID"]).repeat(40_000);
    let mut cost = |client: &mut Wire| {
        let before = proxy.process().processor_time();
        client.send_while(&ids, |client| {
            for _ in 0..40_000 {
                assert!(matches!(client.reply(), Reply::Integer(_)));
            }
        });
        proxy.process().processor_time() - before
    };
    let without = cost(&mut client);
    let name = "n".repeat(65_000);
    for words in [
        &["CLIENT", "SETNAME", &name][..],
        &["CLIENT", "SETINFO", "LIB-NAME", &name],
        &["CLIENT", "SETINFO", "LIB-VER", &name],
    ] {
        assert_eq!(client.ask(words), Reply::ok());
    }
    let with = cost(&mut client);
    let slack = Duration::from_millis(200);
    assert!(
        with < 2 * without + slack,
        "{with:?}, without names {without:?}"
    );
    served(&mut neighbour);
}

#[test]
fn t34_subscriptions_by_the_thousand_are_made_and_ended_between_others_turns() {
    const NAMES: usize = 10_000;
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    served(&mut neighbour);
    let names: Vec<String> = (0..NAMES).map(|number| format!("c{number}")).collect();
    let mut words = vec!["SUBSCRIBE"];
    words.extend(names.iter().map(String::as_str));
    client.send(&[command(&words), command(&["PING"])].concat());
    served(&mut neighbour);
    for (count, name) in names.iter().enumerate() {
        let expected = [
            Reply::bulk("subscribe"),
            Reply::bulk(name),
            Reply::Integer(count as i64 + 1),
        ];
        assert_eq!(client.reply().elements(), expected);
    }
    // What was asked behind it was asked behind all of it.
    assert_eq!(
        client.reply().elements(),
        [Reply::bulk("pong"), Reply::bulk("")]
    );
    assert_eq!(
        neighbour.ask(&["PUBLISH", "c9999", "m"]),
        Reply::Integer(1),
        "the last one is listened to"
    );
    assert_eq!(client.reply().elements()[2], Reply::bulk("m"));
    client.send(&[command(&["UNSUBSCRIBE"]), command(&["PING", "x"])].concat());
    served(&mut neighbour);
    for left in (0..NAMES as i64).rev() {
        assert_eq!(client.reply().elements()[2], Reply::Integer(left));
    }
    assert_eq!(client.reply(), Reply::bulk("x"));
}
