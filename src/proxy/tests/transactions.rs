//! What is told when a command is queued, and what ends a transaction.

use super::*;

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";
const OF_ONE_KEY: &str = "*1\r\n*6\r\n$6\r\nmy.get\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n";

fn all(words: &[&str]) -> String {
    words.iter().map(|words| ask(words)).collect()
}

#[test]
fn a_command_nobody_knows_is_asked_about_before_it_is_queued() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    rig.receive(client, all(&["MULTI", "my.get k", "SET k v", "EXEC"]));
    assert_eq!(rig.take(link), ask("COMMAND INFO my.get"));
    assert_eq!(rig.take(client), "+OK\r\n");
    rig.receive(link, OF_ONE_KEY);
    assert_eq!(rig.take(client), "+QUEUED\r\n+QUEUED\r\n");
    rig.prove(link);
    assert_eq!(
        rig.take(link),
        all(&["MULTI", "my.get k", "SET k v", "EXEC"])
    );
    rig.receive(link, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n+OK\r\n");
    assert_eq!(rig.take(client), "*2\r\n$-1\r\n+OK\r\n");
    // It is known now, and so is how many arguments it takes.
    rig.receive(client, all(&["MULTI", "my.get", "EXEC"]));
    let text = "-ERR wrong number of arguments for 'my.get' command\r\n";
    assert_eq!(rig.take(client), format!("+OK\r\n{text}{ABORTED}"));
}

#[test]
fn a_command_that_could_not_be_queued_makes_the_exec_fail() {
    for (reply, told) in [
        (Some("*1\r\n*-1\r\n"), "-ERR unknown command 'no.such'\r\n"),
        (Some("-LOADING soon\r\n"), "-LOADING soon\r\n"),
        (None, "-ERR Connection reset by peer\r\n"),
    ] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        let link = rig.link(0);
        let requests = ["MULTI", "no.such k", "SET k v", "EXEC", "MULTI", "EXEC"];
        rig.receive(client, all(&requests));
        assert_eq!(rig.take(link), ask("COMMAND INFO no.such"));
        match reply {
            Some(reply) => rig.receive(link, reply),
            None => {
                rig.proxy.failed(link, Cause::Reset);
                rig.settle();
            }
        }
        let expected = format!("+OK\r\n{told}+QUEUED\r\n{ABORTED}+OK\r\n*0\r\n");
        assert_eq!(rig.take(client), expected, "{reply:?}");
        // The same as the last thing before EXEC.
        rig.receive(client, all(&["MULTI", "GET", "EXEC"]));
        assert!(rig.take(client).ends_with(ABORTED));
    }
}

#[test]
fn an_exec_with_arguments_ends_the_transaction_and_the_watch() {
    let text = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' \
                command\r\n";
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(
        client,
        all(&["EXEC x", "MULTI", "SET k v", "EXEC x", "EXEC"]),
    );
    let expected = format!("{text}+OK\r\n+QUEUED\r\n{text}-ERR EXEC without MULTI\r\n");
    assert_eq!(rig.take(client), expected);
    rig.receive(client, ask("WATCH k"));
    rig.establish();
    let own = rig.links.last().expect("a connection").1;
    rig.prove(own);
    rig.receive(own, "+OK\r\n");
    rig.take(own);
    rig.receive(client, ask("EXEC x"));
    assert_eq!(rig.take(own), ask("UNWATCH"));
    assert_eq!(rig.take(client), format!("+OK\r\n{text}"));
}

#[test]
fn what_a_script_says_about_its_keys_is_the_servers_to_say() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let get = format!("GET {}", key(1, 2, 0));
    let requests = [
        "MULTI",
        "EVAL s x",
        "EVAL s 0",
        &get,
        "EVAL s -1",
        "EVAL s",
        "DISCARD",
    ];
    rig.receive(client, all(&requests));
    let text = "-ERR wrong number of arguments for 'eval' command\r\n";
    let queued = "+QUEUED\r\n".repeat(4);
    assert_eq!(rig.take(client), format!("+OK\r\n{queued}{text}+OK\r\n"));
    let requests = ["MULTI", "EVAL s x", &get, "EXEC"];
    rig.receive(client, all(&requests));
    rig.prove(rig.link(1));
    assert_eq!(rig.take(rig.link(1)), all(&requests));
    assert_eq!(rig.take(rig.link(0)), "");
}

#[test]
fn what_redis_does_not_queue_is_refused_at_once() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    for words in ["SAVE", "SHUTDOWN NOSAVE"] {
        rig.receive(client, all(&["MULTI", words, "EXEC"]));
        let text = "-ERR Command not allowed inside a transaction\r\n";
        assert_eq!(rig.take(client), format!("+OK\r\n{text}{ABORTED}"));
    }
    assert_eq!(rig.take(rig.link(0)), "");
}

/// Whatever a script without keys leaves behind, another one finds.
#[test]
fn scripts_without_keys_run_on_the_same_server_in_a_transaction() {
    for count in 2..8 {
        let (mut rig, client) = ready(pool(count), Limits::default());
        let script = ask("FCALL f 0");
        rig.receive(client, &script);
        let is_asked = |rig: &mut Rig, text: &str| {
            let mut servers = 0..count as u16;
            servers.find(|&server| rig.take(rig.link(server)).contains(text))
        };
        let alone = is_asked(&mut rig, &script);
        let server = alone.unwrap_or_else(|| panic!("{count} servers"));
        rig.receive(rig.link(server), "+OK\r\n");
        rig.receive(client, all(&["MULTI", "FCALL f 0", "EXEC"]));
        for server in 0..count as u16 {
            rig.prove(rig.link(server));
        }
        assert_eq!(is_asked(&mut rig, &script), alone, "{count} servers");
    }
}

#[test]
fn a_large_transaction_goes_over_a_connection_of_its_own() {
    let limits = Limits {
        large_message: 1000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let shared = rig.link(0);
    let set = ask(&format!("SET k {}", "v".repeat(2000)));
    let behind = all(&["EXEC", "GET k"]);
    rig.receive(client, ask("MULTI") + &set + &behind);
    assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n");
    rig.establish();
    let own = rig.links.last().expect("a connection").1;
    assert_ne!(own, shared);
    rig.prove(own);
    assert_eq!(rig.take(own), ask("MULTI") + &set + &ask("EXEC"));
    assert_eq!(rig.take(shared), "", "it would overtake the transaction");
    rig.receive(own, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    assert_eq!(rig.take(client), "*1\r\n+OK\r\n");
    assert_eq!(rig.take(shared), ask("GET k"));
    rig.receive(shared, "$1\r\nv\r\n");
    // The next one takes the same connection, on which MULTI is known to work.
    rig.receive(client, ask("MULTI") + &set + &ask("EXEC"));
    assert_eq!(rig.take(own), ask("MULTI") + &set + &ask("EXEC"));
    assert_eq!(rig.take(client), "$1\r\nv\r\n+OK\r\n+QUEUED\r\n");
}

#[test]
fn what_is_published_goes_where_its_channel_lives_once_the_transaction_is_done() {
    let channel = key(0, 2, 0);
    let publish = format!("PUBLISH {channel} m");
    let set = format!("SETEX {} 9 v", key(1, 2, 0));
    let instead = format!("EXISTS {channel}:nutcrab:published");
    for (reply, told, published) in [
        (
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n+OK\r\n",
            "*2\r\n:0\r\n+OK\r\n",
            true,
        ),
        (
            "+OK\r\n+QUEUED\r\n-OOM\r\n-EXECABORT no\r\n",
            "-EXECABORT no\r\n",
            false,
        ),
    ] {
        for stays in [true, false] {
            let (mut rig, client) = ready(pool(2), Limits::default());
            let (home, other) = (rig.link(0), rig.link(1));
            rig.receive(client, all(&["MULTI", &publish, &set, "EXEC"]));
            rig.prove(other);
            assert_eq!(rig.take(other), all(&["MULTI", &instead, &set, "EXEC"]));
            assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
            if !stays {
                rig.proxy.failed(client, Cause::Reset);
                rig.settle();
            }
            assert_eq!(rig.take(home), "", "not before");
            rig.receive(other, reply);
            assert_eq!(
                rig.take(home),
                if published {
                    ask(&publish)
                } else {
                    String::new()
                }
            );
            assert_eq!(rig.take(client), if stays { told } else { "" });
            if published {
                rig.receive(home, ":5\r\n");
            }
            let next = rig.client();
            rig.receive(next, ask(&format!("GET {channel}")));
            rig.receive(home, "$-1\r\n");
            assert_eq!(rig.take(next), "$-1\r\n");
        }
    }
}

#[test]
fn what_is_published_on_the_server_of_the_transaction_is_part_of_it() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let publish = format!("PUBLISH {} m", key(1, 2, 0));
    let set = format!("SET {} v", key(1, 2, 1));
    for parts in [
        vec![&publish[..]],
        vec![&publish, &set],
        vec![&set, &publish],
    ] {
        let whole = [&["MULTI"][..], &parts, &["EXEC"]].concat();
        rig.receive(client, all(&whole));
        rig.prove(rig.link(1));
        assert_eq!(rig.take(rig.link(1)), all(&whole));
        let queued = "+QUEUED\r\n".repeat(parts.len());
        rig.receive(rig.link(1), format!("+OK\r\n{queued}*1\r\n:1\r\n"));
        assert_eq!(rig.take(rig.link(0)), "");
    }
}

#[test]
fn a_large_transaction_whose_connection_is_lost_before_it_is_sent_gets_an_error_and_never_nil() {
    // Nothing was watched: nil would say that a watched key was changed.
    for cause in [Cause::Refused, Cause::Reset, Cause::TimedOut] {
        let limits = Limits {
            large_message: 1000,
            ..Limits::default()
        };
        let (mut rig, client) = ready(pool(1), limits);
        let shared = rig.link(0);
        let set = ask(&format!("SET k {}", "v".repeat(2000)));
        let behind = all(&["EXEC", "GET k"]);
        rig.receive(client, ask("MULTI") + &set + &behind);
        let own = rig.links.last().expect("a connection").1;
        assert_ne!(own, shared);
        if cause != Cause::Refused {
            rig.establish();
        }
        rig.proxy.failed(own, cause);
        rig.settle();
        assert_eq!(
            rig.take(client),
            format!("+OK\r\n+QUEUED\r\n-ERR {cause}\r\n")
        );
        assert_eq!(rig.take(shared), ask("GET k"));
        rig.receive(shared, "$-1\r\n");
        assert_eq!(rig.take(client), "$-1\r\n");
        // The transaction is over.
        rig.receive(client, ask("EXEC"));
        assert_eq!(rig.take(client), "-ERR EXEC without MULTI\r\n");
    }
}

#[test]
fn a_large_transaction_that_comes_to_nothing_gives_its_connection_back() {
    let limits = Limits {
        large_message: 1000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let set = ask(&format!("SET k {}", "v".repeat(2000)));
    let requests = ask("MULTI") + &set + &ask("EXEC");
    rig.receive(client, &requests);
    rig.establish();
    let own = rig.links.last().expect("a connection").1;
    assert_eq!(rig.take(own), PROOF);
    rig.receive(
        own,
        "-ERR unknown command 'MULTI'\r\n-ERR EXEC without MULTI\r\n",
    );
    let told = "+OK\r\n+QUEUED\r\n\
                -EXECABORT Transaction discarded because of: ERR unknown command 'MULTI'\r\n";
    assert_eq!(rig.take(client), told);
    // The next one takes the same connection.
    let links = rig.links.len();
    rig.receive(client, &requests);
    assert_eq!((rig.links.len(), rig.take(own).as_str()), (links, PROOF));
    rig.receive(own, "+OK\r\n*0\r\n");
    assert_eq!(rig.take(own), requests);
}

#[test]
fn a_client_that_leaves_before_its_large_transaction_is_sent_takes_its_connection_along() {
    let limits = Limits {
        large_message: 1000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let set = ask(&format!("SET k {}", "v".repeat(2000)));
    rig.receive(client, ask("MULTI") + &set + &ask("EXEC"));
    rig.establish();
    let own = rig.links.last().expect("a connection").1;
    assert_eq!(rig.take(own), PROOF);
    rig.proxy.failed(client, Cause::Reset);
    rig.settle();
    assert!(rig.is_closed(own), "nothing else would");
    assert_eq!(rig.take(own), "");
}

#[test]
fn a_script_without_keys_runs_on_its_server_whatever_its_transaction_publishes() {
    let usual = super::super::pool::router(&pool(2), &[true, true]);
    let ServerIndex(home) = usual.pick(b"", 0).expect("a server");
    let (mut rig, client) = ready(pool(2), Limits::default());
    let channel = key(usize::from(1 - home), 2, 0);
    let publish = format!("PUBLISH {channel} m");
    let instead = format!("EXISTS {channel}:nutcrab:published");
    rig.receive(client, all(&["MULTI", &publish, "EVAL x 0", "EXEC"]));
    rig.prove(rig.link(home));
    let sent = all(&["MULTI", &instead, "EVAL x 0", "EXEC"]);
    assert_eq!(rig.take(rig.link(home)), sent);
    assert_eq!(rig.take(rig.link(1 - home)), "");
}

#[test]
fn what_a_client_asks_next_does_not_overtake_what_its_transaction_published() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let channel = key(0, 2, 0);
    let (first, second) = (
        format!("PUBLISH {channel} 1"),
        format!("PUBLISH {channel} 2"),
    );
    let set = format!("SET {} v", key(1, 2, 0));
    rig.receive(client, all(&["MULTI", &set, &first, "EXEC", &second]));
    rig.prove(rig.link(1));
    assert_eq!(rig.take(rig.link(0)), "");
    rig.receive(
        rig.link(1),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:0\r\n",
    );
    assert_eq!(rig.take(rig.link(0)), all(&[&first, &second]));
}

#[test]
fn wait_goes_to_the_server_on_which_a_transaction_published_as_well() {
    let (mut rig, _) = ready(pool(2), Limits::default());
    let client = rig.client();
    let publish = format!("PUBLISH {} m", key(0, 2, 0));
    let set = format!("SET {} v", key(1, 2, 0));
    rig.receive(client, all(&["MULTI", &set, &publish, "EXEC"]));
    rig.prove(rig.link(1));
    rig.take(rig.link(1));
    rig.receive(
        rig.link(1),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:0\r\n",
    );
    rig.receive(rig.link(0), ":0\r\n");
    let before = rig.links.len();
    rig.receive(client, ask("WAIT 1 0"));
    assert_eq!(rig.links.len(), before + 2);
}
