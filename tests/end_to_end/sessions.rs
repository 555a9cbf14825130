//! Transactions, commands that wait, and subscriptions, over one server and over four.

use std::time::{Duration, Instant};

use crate::support::*;

/// A pool of so many servers, and two keys that live on different ones if there are several.
fn start(count: usize) -> (Vec<Server>, Proxy, [String; 2]) {
    let servers = Server::redis_many(count);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("timeout", "1000");
    let proxy = Proxy::nutcrab(vec![pool]);
    let keys = keys_apart(&servers, &proxy);
    (servers, proxy, keys)
}

/// Two keys, on different servers if there are several.
pub fn keys_apart(servers: &[Server], proxy: &Proxy) -> [String; 2] {
    let mut client = proxy.client("alpha");
    let mut home = |key: &str| {
        assert_eq!(client.ask(&["SET", key, "x"]), Reply::ok());
        let has = |server: &Server| server.ask(&["EXISTS", key]) == Reply::Integer(1);
        let home = servers.iter().position(has).expect("stored somewhere");
        assert_eq!(client.ask(&["DEL", key]), Reply::Integer(1));
        home
    };
    let first = "key0".to_owned();
    let at = home(&first);
    if servers.len() == 1 {
        return [first, "key1".into()];
    }
    let other = (1..).map(|index| format!("key{index}"));
    let other = other.take(1000).find(|key| home(key) != at);
    [first, other.expect("keys are spread")]
}

/// Sends these, one request a line, and expects exactly this.
#[track_caller]
fn check(client: &mut Wire, lines: &[&str], expected: &str) {
    client.send(&pipeline(lines));
    client.expect(expected.replace('\n', "\r\n").as_bytes());
}

fn bulk_of(text: &str) -> String {
    format!("${}\n{text}\n", text.len())
}

#[test]
fn transactions_are_done_whole_or_not_at_all() {
    for count in [1, 4] {
        let (servers, proxy, [key, far]) = start(count);
        let mut client = proxy.client("alpha");
        let mut other = proxy.client("alpha");
        check(
            &mut client,
            &[
                "MULTI",
                &format!("SET {key} 1"),
                &format!("INCR {key}"),
                &format!("LPUSH {key} x"),
                "EXEC",
                &format!("GET {key}"),
            ],
            "+OK\n+QUEUED\n+QUEUED\n+QUEUED\n*3\n+OK\n:2\n-WRONGTYPE Operation against a key \
             holding the wrong kind of value\n$1\n2\n",
        );
        // Queued, seen by nobody, thrown away.
        check(
            &mut client,
            &["MULTI", &format!("SET {key} 9")],
            "+OK\n+QUEUED\n",
        );
        assert_eq!(other.ask(&["GET", &key]), Reply::bulk("2"));
        check(
            &mut client,
            &["DISCARD", &format!("GET {key}")],
            "+OK\n$1\n2\n",
        );
        check(
            &mut client,
            &["MULTI", "GET", &format!("SET {key} 9"), "EXEC"],
            "+OK\n-ERR wrong number of arguments for 'get' command\n+QUEUED\n-EXECABORT Transaction \
             discarded because of previous errors.\n",
        );
        assert_eq!(other.ask(&["GET", &key]), Reply::bulk("2"));
        let refused = "+OK\n+QUEUED\n-CROSSSLOT Keys in request don't hash to the same shard\n\
                       -EXECABORT Transaction discarded because of previous errors.\n";
        let done = "+OK\n+QUEUED\n+QUEUED\n*2\n+OK\n+OK\n";
        check(
            &mut client,
            &[
                "MULTI",
                &format!("SET {key} 3"),
                &format!("SET {far} 3"),
                "EXEC",
            ],
            if count == 1 { done } else { refused },
        );
        let expected = if count == 1 { "3" } else { "2" };
        assert_eq!(other.ask(&["GET", &key]), Reply::bulk(expected));
        drop(servers);
    }
}

#[test]
fn a_watched_key_that_somebody_changes_stops_the_transaction() {
    for count in [1, 4] {
        let (_servers, proxy, [key, far]) = start(count);
        let mut client = proxy.client("alpha");
        let mut other = proxy.client("alpha");
        let (watch, get) = (format!("WATCH {key}"), format!("GET {key}"));
        let set = format!("SET {key} mine");
        for round in 0..20 {
            let theirs = format!("theirs{round}");
            check(&mut client, &[&watch], "+OK\n");
            assert_eq!(other.ask(&["SET", &key, &theirs]), Reply::ok());
            check(
                &mut client,
                &["MULTI", &set, "EXEC", &get],
                &format!("+OK\n+QUEUED\n*-1\n{}", bulk_of(&theirs)),
            );
            check(
                &mut client,
                &[&watch, "MULTI", &set, "EXEC", &get],
                &format!("+OK\n+OK\n+QUEUED\n*1\n+OK\n{}", bulk_of("mine")),
            );
            // Its own write counts as well, and comes before.
            check(
                &mut client,
                &[&watch, &set, "MULTI", &get, "EXEC"],
                "+OK\n+OK\n+OK\n+QUEUED\n*-1\n",
            );
            for end in [&["UNWATCH"][..], &["MULTI", "DISCARD"]] {
                check(&mut client, &[&watch], "+OK\n");
                assert_eq!(other.ask(&["SET", &key, &theirs]), Reply::ok());
                check(&mut client, end, &"+OK\n".repeat(end.len()));
                check(
                    &mut client,
                    &["MULTI", &get, "EXEC"],
                    &format!("+OK\n+QUEUED\n*1\n{}", bulk_of(&theirs)),
                );
            }
        }
        if count > 1 {
            check(
                &mut client,
                &[&watch, &format!("WATCH {far}")],
                "+OK\n-CROSSSLOT Keys in request don't hash to the same shard\n",
            );
        }
    }
}

#[test]
fn many_clients_count_together_with_watch_and_lose_nothing() {
    let (_servers, proxy, [key, _]) = start(4);
    let proxy = &proxy;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let key = key.as_str();
            scope.spawn(move || {
                let mut client = proxy.client("alpha");
                let mut done = 0;
                while done < 25 {
                    assert_eq!(client.ask(&["WATCH", key]), Reply::ok());
                    let next = match client.ask(&["GET", key]) {
                        Reply::Bulk(Some(text)) => {
                            let text = String::from_utf8(text).expect("a number");
                            text.parse::<u64>().expect("a number") + 1
                        }
                        _ => 1,
                    };
                    client.send(&pipeline(&["MULTI", &format!("SET {key} {next}"), "EXEC"]));
                    assert_eq!(client.reply(), Reply::ok());
                    assert_eq!(client.reply(), Reply::Status("QUEUED".into()));
                    done += usize::from(client.reply().brief() == "[+OK]");
                }
            });
        }
    });
    assert_eq!(
        proxy.client("alpha").ask(&["GET", &key]),
        Reply::bulk("100")
    );
}

#[test]
fn a_waiting_client_gets_what_another_pushes_and_holds_up_nobody() {
    for count in [1, 4] {
        let (_servers, proxy, [key, _]) = start(count);
        let mut waiting = proxy.client("alpha");
        let mut other = proxy.client("alpha");
        waiting.send(&pipeline(&[&format!("BLPOP {key} 0"), "PING"]));
        // Longer than the pool's timeout, during which others are served.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(2500) {
            assert_eq!(other.ask(&["GET", &key]), Reply::Bulk(None));
        }
        assert_eq!(other.ask(&["LPUSH", &key, "hello"]), Reply::Integer(1));
        waiting.expect(
            format!("*2\n{}{}+PONG\n", bulk_of(&key), bulk_of("hello"))
                .replace('\n', "\r\n")
                .as_bytes(),
        );
        check(&mut waiting, &[&format!("BLPOP {key} 1.5")], "*-1\n");
        check(
            &mut waiting,
            &[&format!("XREAD BLOCK 10 STREAMS {key} $")],
            "*-1\n",
        );
        waiting.send(&pipeline(&["HELLO 3"]));
        let (hello, _) = waiting.read_until(|bytes| bytes.ends_with(b"modules\r\n*0\r\n"));
        assert!(hello.starts_with(b"%7\r\n"));
        check(&mut waiting, &[&format!("BLPOP {key} 0.01")], "_\n");
    }
}

#[test]
fn a_client_that_leaves_takes_nothing_from_the_list_it_waited_for() {
    for count in [1, 4] {
        let (servers, proxy, [key, _]) = start(count);
        let blocked = || servers.iter().map(Server::blocked_clients).sum::<usize>();
        let mut clients: Vec<Wire> = (0..20).map(|_| proxy.client("alpha")).collect();
        for client in &mut clients {
            client.send(&pipeline(&[&format!("BLPOP {key} 0"), "PING"]));
        }
        eventually("all wait", || (blocked() == 20).then_some(()));
        drop(clients);
        eventually("none waits", || (blocked() == 0).then_some(()));
        let mut other = proxy.client("alpha");
        assert_eq!(other.ask(&["LPUSH", &key, "a"]), Reply::Integer(1));
        assert_eq!(other.ask(&["LLEN", &key]), Reply::Integer(1));
    }
}

#[test]
fn subscribers_hear_what_is_published() {
    for count in [1, 4] {
        let (_servers, proxy, [key, far]) = start(count);
        let mut publisher = proxy.client("alpha");
        let confirmed = |mark: &str, command: &str, name: &str, number: usize| {
            format!("{mark}3\n{}{}:{number}\n", bulk_of(command), bulk_of(name))
        };
        for (mark, hello) in [("*", None), (">", Some("HELLO 3"))] {
            let mut client = proxy.client("alpha");
            if let Some(hello) = hello {
                client.send(&pipeline(&[hello]));
                let (_, end) = client.read_until(|bytes| bytes.ends_with(b"modules\r\n*0\r\n"));
                assert!(!matches!(end, wire::End::Closed), "{end:?}");
            }
            check(
                &mut client,
                &[&format!("SUBSCRIBE {key} {far}"), "PSUBSCRIBE key*"],
                &[
                    confirmed(mark, "subscribe", &key, 1),
                    confirmed(mark, "subscribe", &far, 2),
                    confirmed(mark, "psubscribe", "key*", 3),
                ]
                .concat(),
            );
            for name in [&key, &far] {
                assert_eq!(publisher.ask(&["PUBLISH", name, "hi"]), Reply::Integer(2));
                let message = format!(
                    "{mark}3\n{}{}{}",
                    bulk_of("message"),
                    bulk_of(name),
                    bulk_of("hi")
                );
                let by_pattern = [
                    mark,
                    "4\n",
                    &bulk_of("pmessage"),
                    &bulk_of("key*"),
                    &bulk_of(name),
                    &bulk_of("hi"),
                ]
                .concat();
                client.expect(
                    [message, by_pattern]
                        .concat()
                        .replace('\n', "\r\n")
                        .as_bytes(),
                );
            }
            if hello.is_some() {
                // RESP3 tells messages from replies, so it may ask anything.
                check(&mut client, &["GET nothing", "PING"], "_\n+PONG\n");
            } else {
                check(
                    &mut client,
                    &["PING"],
                    &["*2\n", &bulk_of("pong"), &bulk_of("")].concat(),
                );
                client.send(&pipeline(&["GET nothing"]));
                assert!(client.reply().error().starts_with("ERR Can't execute"));
            }
            check(
                &mut client,
                &[&format!("UNSUBSCRIBE {key}"), "PUNSUBSCRIBE", "UNSUBSCRIBE"],
                &[
                    confirmed(mark, "unsubscribe", &key, 2),
                    confirmed(mark, "punsubscribe", "key*", 1),
                    confirmed(mark, "unsubscribe", &far, 0),
                ]
                .concat(),
            );
            eventually("nobody listens", || {
                let heard = publisher.ask(&["PUBLISH", &key, "nobody"]);
                (heard == Reply::Integer(0)).then_some(())
            });
            check(&mut client, &["PING"], "+PONG\n");
        }
    }
}

#[test]
fn subscriptions_return_with_their_server() {
    for count in [1, 4] {
        let (mut servers, proxy, [key, _]) = start(count);
        let mut client = proxy.client("alpha");
        client.send(&pipeline(&[
            &format!("SUBSCRIBE {key}"),
            "PSUBSCRIBE nothing*",
        ]));
        for _ in 0..2 {
            client.reply();
        }
        for server in &mut servers {
            server.kill();
        }
        for server in &mut servers {
            server.restart();
        }
        let mut publisher = proxy.client("alpha");
        eventually("it is heard again", || {
            let heard = publisher.ask(&["PUBLISH", &key, "again"]);
            (heard == Reply::Integer(1)).then_some(())
        });
        check(
            &mut client,
            &[],
            &[
                "*3\n",
                &bulk_of("message"),
                &bulk_of(&key),
                &bulk_of("again"),
            ]
            .concat(),
        );
    }
}

#[test]
fn a_scan_of_a_client_that_speaks_resp3_sees_every_key_once() {
    let (_servers, proxy, _) = start(4);
    let mut client = proxy.client("alpha");
    for number in 0..100 {
        assert_eq!(
            client.ask(&["SET", &format!("scanned{number}"), "x"]),
            Reply::ok()
        );
    }
    // Others use connections of other kinds.
    let mut other = proxy.client("alpha");
    other.send(&pipeline(&["HELLO 3", "SET other x"]));
    other.read_until(|bytes| bytes.ends_with(b"+OK\r\n"));
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let [next, keys] = client
            .ask(&["SCAN", &cursor])
            .elements()
            .try_into()
            .expect("two");
        seen.extend(keys.elements().into_iter().map(Reply::bytes));
        cursor = String::from_utf8(next.bytes()).expect("a number");
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen.len(), 101);
    seen.dedup();
    assert_eq!(seen.len(), 101);
}

#[test]
fn ten_thousand_aborted_sessions_leave_no_server_connection_behind() {
    let (servers, proxy, [key, _]) = start(1);
    let connections = || {
        let list = servers[0].ask(&["CLIENT", "LIST"]).bytes();
        String::from_utf8(list).expect("text").lines().count()
    };
    let begun = [
        format!("WATCH {key}"),
        format!("BLPOP {key} 0"),
        format!("SUBSCRIBE {key}"),
        format!("WATCH {key}\nMULTI\nSET {key} x"),
        format!("XREAD BLOCK 0 STREAMS {key} $"),
        "PSUBSCRIBE *".to_owned(),
    ];
    let (begun, shared) = (&begun, &proxy);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..2500 {
                    let mut client = shared.client("alpha");
                    let requests = &begun[(round + thread) % begun.len()];
                    client.send(&pipeline(&requests.lines().collect::<Vec<_>>()));
                    if round % 2 == 0 && !requests.contains("BL") {
                        client.reply();
                    }
                }
            });
        }
    });
    // What is left are the connections that the workers share, and the one that asks.
    eventually("all are closed", || {
        (connections() <= proxy::workers() + 1).then_some(())
    });
    let mut client = proxy.client("alpha");
    assert_eq!(client.ask(&["SET", &key, "x"]), Reply::ok());
    assert_eq!(client.ask(&["GET", &key]), Reply::bulk("x"));
}
