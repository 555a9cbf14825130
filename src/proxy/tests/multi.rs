//! Servers that refuse MULTI or EXEC, from the beginning or later.

use super::*;

const REFUSED: &str = "-NOPERM this user has no permissions to run the 'multi' command\r\n";
const NO_MULTI: &str = "-ERR EXEC without MULTI\r\n";

fn all(words: &[&str]) -> String {
    words.iter().map(|words| ask(words)).collect()
}

#[test]
fn nothing_of_a_transaction_reaches_a_server_that_refuses_multi() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let (link, other) = (rig.link(0), rig.client());
    for _ in 0..2 {
        rig.receive(
            client,
            all(&["MULTI", "SET k v", "BLPOP q 0", "EXEC", "GET k"]),
        );
        assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
        // The version is asked for, since what waits is told otherwise to older servers.
        if rig.take(link) != PROOF {
            rig.receive(link, "$22\r\nredis_version:7.0.15\r\n\r\n");
            assert_eq!(rig.take(link), PROOF);
        }
        // Others are not held up.
        rig.receive(other, ask("GET a"));
        assert_eq!(rig.take(link), ask("GET a"));
        rig.receive(link, [REFUSED, NO_MULTI, "$-1\r\n"].concat());
        assert_eq!(rig.take(other), "$-1\r\n");
        assert_eq!(
            rig.take(client),
            format!(
                "-EXECABORT Transaction discarded because of: {}",
                &REFUSED[1..]
            )
        );
        assert_eq!(rig.take(link), ask("GET k"));
        rig.receive(link, "$-1\r\n");
        assert_eq!(rig.take(client), "$-1\r\n");
    }
    assert_eq!((rig.links.len(), rig.failures.len()), (1, 0));
    // It may be allowed later.
    rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
    rig.prove(link);
    assert_eq!(rig.take(link), all(&["MULTI", "GET k", "EXEC"]));
}

#[test]
fn a_connection_is_asked_once() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    for round in 0..3 {
        rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
        if round == 0 {
            assert_eq!(rig.take(link), PROOF);
            rig.receive(link, "+OK\r\n*0\r\n");
        }
        assert_eq!(rig.take(link), all(&["MULTI", "GET k", "EXEC"]));
        rig.receive(link, "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
        assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
    }
}

#[test]
fn a_client_whose_commands_ran_without_multi_is_told_so() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let (link, other) = (rig.link(0), rig.client());
    rig.receive(client, all(&["MULTI", "SET k v", "LRANGE l 0 1", "EXEC"]));
    rig.prove(link);
    rig.receive(other, ask("GET a"));
    assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    rig.receive(link, [REFUSED, "+OK\r\n", "*0\r\n", NO_MULTI].concat());
    assert_eq!(
        rig.take(client),
        "-ERR the server refused MULTI (NOPERM this user has no permissions to run the 'multi' command): \
         the commands of the transaction ran without it, each for itself\r\n"
    );
    assert!(rig.is_closed(link));
    assert_eq!(
        rig.failures,
        [],
        "that says nothing about the server's health"
    );
    assert!(
        rig.take(other)
            .starts_with("-ERR the server refused a transaction")
    );
    // The next connection is asked.
    rig.receive(client, all(&["MULTI", "SET k v", "EXEC"]));
    rig.establish();
    assert_eq!(rig.take(rig.link(0)), PROOF);
}

#[test]
fn a_server_that_refuses_exec_is_not_asked_again_for_a_while() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    let requests = ["MULTI", "SET k v", "EXEC"];
    rig.receive(client, all(&requests));
    assert_eq!(rig.take(link), PROOF);
    rig.receive(link, "+OK\r\n-NOPERM no exec\r\n");
    assert!(rig.is_closed(link), "it is within a transaction");
    let told = "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: NOPERM no exec\r\n";
    assert_eq!(rig.take(client), told);
    rig.receive(client, ask("GET k"));
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), ask("GET k"));
    rig.receive(link, "$-1\r\n");
    rig.take(client);
    rig.receive(client, all(&requests));
    assert_eq!(
        (rig.take(link).as_str(), rig.take(client).as_str()),
        ("", told)
    );
    rig.pass(Duration::from_secs(11));
    rig.receive(client, all(&requests));
    assert_eq!(rig.take(link), PROOF);
    assert_eq!(rig.failures, []);
}

#[test]
fn a_server_that_does_not_answer_the_question_costs_an_error() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    rig.receive(client, all(&["MULTI", "SET k v", "EXEC"]));
    rig.proxy.failed(link, Cause::Reset);
    rig.settle();
    assert_eq!(
        rig.take(client),
        "+OK\r\n+QUEUED\r\n-ERR Connection reset by peer\r\n"
    );
    rig.receive(client, all(&["MULTI", "SET k v", "EXEC"]));
    rig.establish();
    assert_eq!(rig.take(rig.link(0)), PROOF);
    rig.pass(Duration::from_millis(450));
    assert_eq!(
        rig.take(client),
        "+OK\r\n+QUEUED\r\n-ERR Connection timed out\r\n"
    );
}

#[test]
fn keys_are_watched_where_transactions_are_known_to_work() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("WATCH k"));
    rig.establish();
    let own = rig.links.last().expect("a connection").1;
    assert_eq!(rig.take(own), [PROOF, &ask("WATCH k")].concat());
    rig.receive(own, [REFUSED, NO_MULTI, "+OK\r\n"].concat());
    assert_eq!(rig.take(client), "+OK\r\n");
    rig.receive(client, all(&["MULTI", "SET k v", "EXEC"]));
    assert_eq!(rig.take(own), ask("UNWATCH"));
    let told = format!(
        "-EXECABORT Transaction discarded because of: {}",
        &REFUSED[1..]
    );
    assert_eq!(rig.take(client), format!("+OK\r\n+QUEUED\r\n{told}"));
}

#[test]
fn what_waits_is_sent_so_that_it_does_not() {
    for (version, pop) in [("7.0.15", "BLPOP q 0.01"), ("5.0.1", "BLPOP q 1")] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        let link = rig.link(0);
        rig.receive(
            client,
            all(&["MULTI", "BLPOP q 0", "BLMOVE a b LEFT LEFT 0", "EXEC"]),
        );
        assert_eq!(rig.take(link), "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n");
        let text = format!("redis_version:{version}\r\n");
        rig.receive(link, format!("${}\r\n{text}\r\n", text.len()));
        rig.prove(link);
        let sent = all(&["MULTI", pop, "LMOVE a b LEFT LEFT", "EXEC"]);
        assert_eq!(rig.take(link), sent, "{version}");
    }
    // Without an answer the form is one that every version understands.
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, all(&["MULTI", "BLPOP q 0", "EXEC"]));
    rig.proxy.failed(rig.link(0), Cause::Reset);
    rig.settle();
    rig.establish();
    let link = rig.link(0);
    rig.prove(link);
    assert_eq!(rig.take(link), all(&["MULTI", "BLPOP q 1", "EXEC"]));
    // Of a module's command no such form is known.
    let waits = "*1\r\n*6\r\n$6\r\nmy.pop\r\n:3\r\n*1\r\n+blocking\r\n:1\r\n:1\r\n:1\r\n";
    rig.take(client);
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, all(&["MULTI", "my.pop q 0", "EXEC"]));
    rig.receive(rig.link(0), waits);
    let told = rig.take(client);
    assert!(
        told.starts_with("+OK\r\n-ERR this command cannot be part of a transaction\r\n-EXECABORT "),
        "{told}"
    );
}

#[test]
fn an_exec_that_failed_costs_those_behind_it_nothing_if_the_transaction_is_over() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let [first, second, third] = [(); 3].map(|()| rig.client());
    let shared = rig.link(0);
    rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
    rig.prove(shared);
    rig.receive(first, ask("INCR b"));
    rig.receive(first, ask("GET b"));
    rig.receive(second, all(&["MULTI", "GET k", "EXEC"]));
    rig.receive(third, all(&["MULTI", "GET k", "EXEC"]));
    rig.receive(
        shared,
        "+OK\r\n+QUEUED\r\n-ERR Connection timed out\r\n:1\r\n$1\r\n1\r\n",
    );
    let reply = "+OK\r\n+QUEUED\r\n-ERR Connection timed out\r\n";
    assert_eq!(rig.take(client), reply);
    assert_eq!(rig.take(first), ":1\r\n$1\r\n1\r\n");
    rig.receive(shared, reply);
    assert_eq!(rig.take(second), reply);
    rig.receive(shared, "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
    assert_eq!(rig.take(third), "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
    assert!(!rig.is_closed(shared));
}

#[test]
fn a_transaction_behind_one_that_did_not_end_is_no_transaction() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let second = rig.client();
    let shared = rig.link(0);
    rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
    rig.prove(shared);
    rig.receive(second, all(&["MULTI", "GET k", "EXEC"]));
    rig.receive(
        shared,
        "+OK\r\n+QUEUED\r\n-NOPERM no\r\n-ERR MULTI calls can not be nested\r\n+QUEUED\r\n",
    );
    assert!(rig.is_closed(shared));
    assert!(rig.take(client).ends_with("-NOPERM no\r\n"));
    let reply = rig.take(second);
    assert!(
        reply.contains("-ERR ") && !reply.contains("without it"),
        "{reply}"
    );
}
