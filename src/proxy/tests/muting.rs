//! `CLIENT REPLY OFF` and `SKIP`: what is left out, what is not, and that all else is as ever.

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn all(requests: &[&str]) -> String {
    requests.iter().map(|words| ask(words)).collect()
}

/// The newest connection, established, which is of a client's own.
fn newest(rig: &mut Rig) -> ConnId {
    rig.establish();
    rig.link(0)
}

fn confirmation(word: &str, channel: &str, count: usize) -> String {
    let (a, b) = (word.len(), channel.len());
    format!("*3\r\n${a}\r\n{word}\r\n${b}\r\n{channel}\r\n:{count}\r\n")
}

#[test]
fn a_reset_is_not_answered_when_just_its_reply_was_to_be_skipped() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, all(&["CLIENT REPLY SKIP", "RESET", "PING"]));
    assert_eq!(rig.take(client), "+PONG\r\n");
    rig.receive(client, all(&["CLIENT REPLY OFF", "PING", "RESET", "PING"]));
    assert_eq!(rig.take(client), "+RESET\r\n+PONG\r\n");
}

#[test]
fn confirmations_of_subscriptions_are_no_replies() {
    for wish in ["OFF", "SKIP"] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        rig.receive(
            client,
            all(&[&format!("CLIENT REPLY {wish}"), "SUBSCRIBE c"]),
        );
        let own = newest(&mut rig);
        rig.receive(own, confirmation("subscribe", "c", 1));
        assert_eq!(rig.take(client), confirmation("subscribe", "c", 1));
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
        rig.receive(own, message);
        assert_eq!(rig.take(client), message);
        rig.receive(client, ask("PING"));
        let pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
        assert_eq!(rig.take(client), if wish == "OFF" { "" } else { pong });
        rig.receive(client, ask("UNSUBSCRIBE c"));
        assert_eq!(rig.take(client), confirmation("unsubscribe", "c", 0));
        rig.receive(client, all(&["CLIENT REPLY ON", "PING"]));
        assert_eq!(rig.take(client), "+OK\r\n+PONG\r\n");
    }
}

#[test]
fn a_subscription_that_failed_is_none_whether_that_is_told_or_not() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, all(&["CLIENT REPLY SKIP", "SUBSCRIBE c"]));
    let own = newest(&mut rig);
    rig.receive(own, "-LOADING wait\r\n");
    assert_eq!(rig.take(client), "");
    // It listens to nothing, so it may ask what it likes.
    rig.receive(client, ask("ECHO a"));
    assert_eq!(rig.take(client), "$1\r\na\r\n");
    rig.receive(client, all(&["CLIENT REPLY SKIP", "SUBSCRIBE c"]));
    let own = newest(&mut rig);
    rig.proxy.ended(own);
    rig.settle();
    rig.receive(client, ask("ECHO a"));
    assert_eq!(rig.take(client), "$1\r\na\r\n");
}

#[test]
fn what_is_no_request_is_refused_in_silence_and_ends_the_connection() {
    for wish in ["OFF", "SKIP"] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        rig.receive(
            client,
            ask(&format!("CLIENT REPLY {wish}")) + "*1\r\n$x\r\n",
        );
        assert_eq!(rig.take(client), "");
        rig.proxy.ended(client);
        rig.settle();
        assert!(rig.is_closed(client));
    }
}

#[test]
fn an_empty_line_is_a_request_to_skip_the_reply_to() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("CLIENT REPLY SKIP") + "\r\nPING\r\n");
    assert_eq!(rig.take(client), "+PONG\r\n");
}

#[test]
fn a_request_of_an_unknown_command_fails_in_silence() {
    for answer in ["-LOADING wait\r\n", "*1\r\n*-1\r\n", ""] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        let requests = ["CLIENT REPLY SKIP", "My.Get a", "ECHO a"];
        rig.receive(client, all(&requests));
        assert_eq!(rig.take(rig.link(0)), ask("COMMAND INFO My.Get"));
        match answer {
            "" => rig.pass(Duration::from_secs(1)),
            _ => rig.receive(rig.link(0), answer),
        }
        assert_eq!(rig.take(client), "$1\r\na\r\n", "{answer}");
    }
}

#[test]
fn a_large_request_fails_in_silence_and_is_the_one_to_skip() {
    let limits = Limits {
        large_message: 100_000,
        ..Limits::default()
    };
    // Gathered until it is whole, and waiting for a connection of its own.
    for len in [50_000, 150_000] {
        let (mut rig, client) = ready(pool(1), limits);
        rig.proxy.ended(rig.link(0));
        rig.settle();
        // Attempts to connect fail at once for a while.
        for _ in 0..5 {
            rig.receive(client, ask("GET a"));
            rig.proxy.failed(rig.link(0), Cause::Refused);
            rig.settle();
        }
        rig.take(client);
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${len}\r\n");
        rig.receive(client, ask("CLIENT REPLY SKIP") + &head);
        let value = "v".repeat(len) + "\r\n";
        rig.receive(client, &value[..len - 1]);
        rig.receive(client, value[len - 1..].to_owned() + &ask("ECHO a"));
        assert_eq!(rig.take(client), "$1\r\na\r\n", "{len}");
    }
}

#[test]
fn scripts_are_remembered_loaded_again_and_forgotten() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let load = ask("SCRIPT LOAD return");
    rig.receive(client, ask("CLIENT REPLY OFF") + &load);
    for server in 0..2 {
        assert_eq!(rig.take(rig.link(server)), load);
        rig.receive(rig.link(server), format!("$40\r\n{SHA}\r\n"));
    }
    let call = ask(&format!("EVALSHA {SHA} 1 {}", key(1, 2, 0)));
    rig.receive(client, &call);
    assert_eq!(rig.take(rig.link(1)), call);
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    assert_eq!(rig.take(rig.link(1)), format!("{load}{call}"));
    rig.receive(rig.link(1), format!("$40\r\n{SHA}\r\n:7\r\n"));
    let flush = ask("SCRIPT FLUSH");
    rig.receive(client, &flush);
    for server in 0..2 {
        assert_eq!(rig.take(rig.link(server)), flush);
        rig.receive(rig.link(server), "+OK\r\n");
    }
    rig.receive(client, ask("CLIENT REPLY ON") + &call);
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    let expected = "+OK\r\n-NOSCRIPT No matching script.\r\n";
    assert_eq!(rig.take(client), expected);
}

#[test]
fn a_large_reply_that_nobody_wants_holds_up_and_costs_nobody() {
    let limits = Limits {
        window: 4096,
        cut_through: 1024,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(2), limits);
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    let requests = [
        format!("GET {a}"),
        "CLIENT REPLY SKIP".to_owned(),
        format!("GET {b}"),
        "ECHO a".to_owned(),
    ];
    rig.receive(client, all(&requests.each_ref().map(String::as_str)));
    let part = format!("$100000\r\n{}", "v".repeat(50_000));
    rig.receive(rig.link(1), &part);
    assert!(rig.proxy.wants_read(rig.link(1)), "it is read on");
    // Neither does it matter that the rest never comes, though its turn has come.
    rig.receive(rig.link(0), "$1\r\na\r\n");
    rig.receive(rig.link(1), "v".repeat(5000));
    rig.proxy.failed(rig.link(1), Cause::Reset);
    rig.settle();
    assert_eq!(rig.take(client), "$1\r\na\r\n$1\r\na\r\n");
    assert!(!rig.is_closed(client));
}
