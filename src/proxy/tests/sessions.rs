//! Transactions, waiting commands and subscriptions: what a client has a connection of its own for.

use super::*;

const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
const EXEC: &str = "*1\r\n$4\r\nEXEC\r\n";

fn all(words: &[&str]) -> String {
    words.iter().map(|words| ask(words)).collect()
}

/// The connection that was asked for last, established.
pub(super) fn newest(rig: &mut Rig) -> ConnId {
    rig.establish();
    let link = rig.links.last().expect("a connection").1;
    rig.prove(link);
    link
}

#[test]
fn a_transaction_is_sent_as_one_whole_over_the_shared_connection() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    rig.receive(client, all(&["MULTI", "SET k v", "GET k"]));
    assert_eq!(rig.take(link), "");
    assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    rig.receive(client, all(&["EXEC", "GET k"]));
    rig.prove(link);
    let whole = [MULTI, &all(&["SET k v", "GET k"]), EXEC, &ask("GET k")].concat();
    assert_eq!(rig.take(link), whole);
    rig.receive(
        link,
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\nv\r\n$1\r\nv\r\n",
    );
    assert_eq!(rig.take(client), "*2\r\n+OK\r\n$1\r\nv\r\n$1\r\nv\r\n");
    assert_eq!(rig.links.len(), 1);
}

#[test]
fn mistakes_in_transactions_are_told_as_redis_tells_them() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(
        client,
        all(&["EXEC", "DISCARD", "MULTI", "MULTI", "WATCH k", "DISCARD"]),
    );
    assert_eq!(
        rig.take(client),
        "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n+OK\r\n\
         -ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n+OK\r\n"
    );
    rig.receive(client, all(&["MULTI", "GET", "EXEC", "MULTI", "EXEC"]));
    assert_eq!(
        rig.take(client),
        "+OK\r\n-ERR wrong number of arguments for 'get' command\r\n\
         -EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n*0\r\n"
    );
    rig.receive(
        client,
        all(&["MULTI", &format!("GET {a}"), &format!("GET {b}"), "EXEC"]),
    );
    assert_eq!(
        rig.take(client),
        "+OK\r\n+QUEUED\r\n-CROSSSLOT Keys in request don't hash to the same shard\r\n\
         -EXECABORT Transaction discarded because of previous errors.\r\n"
    );
}

#[test]
fn watched_keys_have_a_connection_that_is_used_again_afterwards() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    for round in 0..3 {
        rig.receive(client, all(&["WATCH k", "GET k"]));
        let own = newest(&mut rig);
        assert_ne!(own, shared);
        assert_eq!(rig.take(own), ask("WATCH k"), "round {round}");
        assert_eq!(rig.take(shared), "");
        rig.receive(own, "+OK\r\n");
        assert_eq!(rig.take(shared), ask("GET k"));
        rig.receive(shared, "$1\r\nv\r\n");
        rig.receive(client, all(&["MULTI", "SET k w", "EXEC"]));
        assert_eq!(rig.take(own), [MULTI, &ask("SET k w"), EXEC].concat());
        rig.receive(own, "+OK\r\n+QUEUED\r\n*-1\r\n");
        assert_eq!(
            rig.take(client),
            "+OK\r\n$1\r\nv\r\n+OK\r\n+QUEUED\r\n*-1\r\n"
        );
        assert_eq!(rig.links.len(), 2);
    }
    rig.receive(client, ask("WATCH k"));
    let own = newest(&mut rig);
    rig.take(own);
    rig.receive(own, "+OK\r\n");
    rig.receive(client, ask("UNWATCH"));
    assert_eq!(rig.take(own), ask("UNWATCH"));
    assert_eq!(rig.take(client), "+OK\r\n+OK\r\n");
    rig.receive(own, "+OK\r\n");
    rig.pass(Duration::from_secs(30));
    assert!(rig.is_closed(own) && !rig.is_closed(shared));
}

#[test]
fn when_watching_was_lost_the_keys_count_as_changed() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("WATCH k"));
    let own = newest(&mut rig);
    rig.receive(own, "+OK\r\n");
    rig.proxy.ended(own);
    rig.settle();
    rig.receive(client, all(&["MULTI", "SET k w", "EXEC"]));
    assert_eq!(rig.take(client), "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
}

#[test]
fn a_command_that_waits_holds_up_nobody_else_and_may_wait_for_ever() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let other = rig.client();
    let shared = rig.link(0);
    rig.receive(client, all(&["GET a", "BLPOP k 0", "GET b"]));
    assert_eq!(rig.take(shared), ask("GET a"));
    assert_eq!(rig.links.len(), 1);
    rig.receive(shared, "$1\r\na\r\n");
    let own = newest(&mut rig);
    assert_eq!(
        (rig.take(own), rig.take(shared)),
        (ask("BLPOP k 0"), String::new())
    );
    rig.receive(other, ask("GET c"));
    rig.receive(shared, "$1\r\nc\r\n");
    rig.pass(Duration::from_secs(1000));
    assert_eq!(
        (rig.take(other), rig.take(client)),
        ("$1\r\nc\r\n".into(), "$1\r\na\r\n".into())
    );
    assert!(!rig.is_closed(own));
    rig.receive(own, "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    let shared = rig.link(0);
    rig.receive(shared, "$1\r\nb\r\n");
    assert!(rig.take(client).starts_with("*2\r\n$1\r\nk\r\n$1\r\nv\r\n"));
}

#[test]
fn a_client_that_leaves_while_it_waits_takes_its_connection_along() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("BLPOP k 0"));
    let own = newest(&mut rig);
    rig.receive(client, ask("GET b"));
    assert!(rig.proxy.wants_read(client));
    rig.proxy.ended(client);
    rig.settle();
    assert!(rig.is_closed(own) && rig.is_closed(client));
}

#[test]
fn connections_of_clients_own_are_bounded_and_ten_thousand_sessions_leave_none() {
    let limits = Limits {
        own: 2,
        ..Limits::default()
    };
    let (mut rig, _) = ready(pool(1), limits);
    let clients: Vec<ConnId> = (0..3).map(|_| rig.client()).collect();
    for &client in &clients {
        rig.receive(client, ask("BLPOP k 0"));
    }
    let text = "-ERR too many clients have connections to the server of their own\r\n";
    assert_eq!(rig.take(clients[2]), text);
    assert_eq!(rig.stats.pools[0].session_connections_hits.read(), 1);
    for client in clients {
        rig.proxy.ended(client);
        rig.settle();
    }
    for round in 0..10_000 {
        let client = rig.client();
        let request = ["WATCH k", "BLPOP k 0", "SUBSCRIBE c", "MULTI"][round % 4];
        rig.receive(client, ask(request));
        if round % 3 == 0 {
            rig.establish();
        }
        rig.proxy.failed(client, Cause::Reset);
        rig.settle();
    }
    assert_eq!(rig.proxy.link_count(), 1);
}

#[test]
fn messages_come_between_replies_and_confirmations_count_for_the_client() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("SUBSCRIBE {a} {b}")));
    rig.establish();
    let (first, second) = (rig.link(0), rig.link(1));
    assert_eq!(rig.take(first), ask(&format!("subscribe {a}")));
    assert_eq!(rig.take(second), ask(&format!("subscribe {b}")));
    let told = |name: &str| {
        format!(
            "*3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:1\r\n",
            name.len()
        )
    };
    rig.receive(second, told(&b));
    assert_eq!(rig.take(client), "");
    rig.receive(first, told(&a));
    assert_eq!(
        rig.take(client),
        [told(&a), told(&b).replace(":1", ":2")].concat()
    );
    let message = format!("*3\r\n$7\r\nmessage\r\n${}\r\n{a}\r\n$2\r\nhi\r\n", a.len());
    for piece in message.as_bytes().chunks(3) {
        rig.receive(first, piece);
    }
    assert_eq!(rig.take(client), message);
    rig.receive(client, all(&["PING", "GET k"]));
    let reply = rig.take(client);
    assert!(
        reply.starts_with("*2\r\n$4\r\npong\r\n$0\r\n\r\n-ERR Can't execute"),
        "{reply:?}"
    );
    rig.receive(client, ask(&format!("UNSUBSCRIBE {a}")));
    rig.receive(first, &message);
    let over = format!("*3\r\n$11\r\nunsubscribe\r\n${}\r\n{a}\r\n:1\r\n", a.len());
    assert_eq!(rig.take(client), over);
    rig.receive(client, ask("UNSUBSCRIBE"));
    rig.take(client);
    rig.receive(first, &over);
    rig.receive(second, &over);
    assert!(rig.is_closed(first) && rig.is_closed(second));
    rig.receive(client, ask("PING"));
    assert_eq!(rig.take(client), "+PONG\r\n");
}

#[test]
fn patterns_are_subscribed_to_on_every_server_and_again_when_one_returns() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.receive(client, ask("PSUBSCRIBE n*"));
    rig.establish();
    let told = "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:1\r\n";
    for server in 0..2 {
        let link = rig.link(server);
        assert_eq!(rig.take(link), ask("psubscribe n*"));
        assert_eq!(rig.take(client), "");
        rig.receive(link, told);
    }
    assert_eq!(rig.take(client), told);
    rig.proxy.ended(rig.link(1));
    rig.settle();
    let count = rig.links.len();
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.links.len(), count + 1);
    rig.establish();
    let link = rig.link(1);
    assert_eq!(rig.take(link), ask("psubscribe n*"));
    let message = "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$1\r\nn\r\n$1\r\nm\r\n";
    rig.receive(link, [told, message].concat());
    assert_eq!(rig.take(client), message);
}

#[test]
fn a_server_that_refuses_a_renewed_subscription_is_asked_again() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("SUBSCRIBE c"));
    rig.establish();
    let told = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let mut own = rig.link(0);
    rig.take(own);
    rig.receive(own, told);
    rig.take(client);
    rig.proxy.ended(own);
    rig.settle();
    for _ in 0..3 {
        rig.pass(Duration::from_secs(1));
        rig.establish();
        own = rig.link(0);
        assert_eq!(rig.take(own), ask("subscribe c"));
        rig.receive(own, "-LOADING Redis is loading the dataset in memory\r\n");
        assert!(rig.is_closed(own));
    }
    rig.pass(Duration::from_secs(1));
    rig.establish();
    own = rig.link(0);
    assert_eq!(rig.take(own), ask("subscribe c"));
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    rig.receive(own, [told, message].concat());
    assert_eq!(rig.take(client), message, "of the rest it hears nothing");
}

#[test]
fn an_exec_waits_for_what_went_over_other_connections_before_it() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    rig.receive(client, ask("WATCH k"));
    let own = newest(&mut rig);
    rig.take(own);
    rig.receive(own, "+OK\r\n");
    rig.receive(client, all(&["SET k v", "MULTI", "GET k", "EXEC", "GET k"]));
    assert_eq!(rig.take(shared), ask("SET k v"));
    assert_eq!(rig.take(own), "");
    rig.receive(shared, "+OK\r\n");
    rig.turn();
    assert_eq!(rig.take(own), [MULTI, &ask("GET k"), EXEC].concat());
    assert_eq!(rig.take(shared), "");
    rig.receive(own, "+OK\r\n+QUEUED\r\n*-1\r\n");
    rig.turn();
    assert_eq!(rig.take(shared), ask("GET k"));
    rig.receive(shared, "$1\r\nv\r\n");
    assert_eq!(
        rig.take(client),
        "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n$1\r\nv\r\n"
    );
}

#[test]
fn a_connection_on_which_exec_failed_serves_nobody_any_more() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let other = rig.client();
    let shared = rig.link(0);
    rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
    rig.prove(shared);
    rig.receive(other, ask("GET b"));
    rig.receive(
        shared,
        "+OK\r\n+QUEUED\r\n-NOPERM this user has no permissions\r\n+QUEUED\r\n",
    );
    assert!(rig.is_closed(shared));
    assert_eq!(
        rig.take(client),
        "+OK\r\n+QUEUED\r\n-NOPERM this user has no permissions\r\n"
    );
    assert!(rig.take(other).starts_with("-ERR "));
    // Its own refusal is the usual way, and leaves no transaction behind.
    rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
    let shared = newest(&mut rig);
    rig.receive(
        shared,
        "+OK\r\n-ERR no\r\n-EXECABORT Transaction discarded\r\n",
    );
    assert!(!rig.is_closed(shared));
}

#[test]
fn a_transaction_whose_keys_have_moved_is_not_done() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let name = key(0, 2, 0);
    let request = all(&["MULTI", &format!("GET {name}")]);
    rig.receive(client, &request);
    let router = super::super::pool::router(&pool(2), &[false, true]);
    rig.proxy.set_router(POOL, Arc::new(router));
    rig.receive(client, ask("EXEC"));
    assert_eq!(
        rig.take(client),
        "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: its keys may live elsewhere \
         now.\r\n"
    );
    rig.receive(client, ask(&format!("WATCH {name}")));
    let own = newest(&mut rig);
    rig.receive(own, "+OK\r\n");
    let router = super::super::pool::router(&pool(2), &[true, true]);
    rig.proxy.set_router(POOL, Arc::new(router));
    rig.receive(client, all(&["MULTI", "PING", "EXEC"]));
    assert_eq!(rig.take(client), "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
}

#[test]
fn what_changes_the_connection_is_refused_while_keys_are_watched() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("WATCH k"));
    let own = newest(&mut rig);
    rig.receive(own, "+OK\r\n");
    rig.take(client);
    for request in ["SELECT 1", "HELLO 3"] {
        rig.receive(client, ask(request));
        let text = "-ERR database and protocol cannot be changed while keys are watched\r\n";
        assert_eq!(rig.take(client), text);
    }
    rig.receive(client, ask("SELECT 0"));
    assert_eq!(rig.take(client), "+OK\r\n");
}

#[test]
fn a_transaction_is_bounded() {
    let limits = Limits {
        transaction: 10_000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    rig.receive(client, ask("MULTI"));
    for _ in 0..1000 {
        rig.receive(client, ask("PING"));
    }
    let replies = rig.take(client);
    assert!(replies.contains("-ERR the transaction is too large: transaction_limit is 10000\r\n"));
    assert_eq!(rig.stats.pools[0].transaction_limit_hits.read(), 1);
    rig.receive(client, ask("EXEC"));
    assert!(rig.take(client).starts_with("-EXECABORT"));
}

#[test]
fn a_wish_for_no_reply_holds_for_a_request_that_had_to_wait() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    rig.receive(
        client,
        all(&["GET a", "CLIENT REPLY SKIP", "BLPOP k 0", "PING"]),
    );
    rig.receive(shared, "$1\r\na\r\n");
    rig.turn();
    let own = newest(&mut rig);
    assert_eq!(rig.take(own), ask("BLPOP k 0"));
    rig.receive(own, "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    rig.turn();
    assert_eq!(rig.take(client), "$1\r\na\r\n+PONG\r\n");
}

#[test]
fn a_client_that_leaves_while_it_waits_still_gets_what_was_answered_before() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    rig.full.push(client);
    rig.receive(client, all(&["GET a", "BLPOP k 0", "GET b"]));
    rig.receive(shared, "$1\r\na\r\n");
    let own = newest(&mut rig);
    rig.proxy.ended(client);
    rig.settle();
    assert!(rig.is_closed(own) && !rig.is_closed(client));
    let reply = "$1\r\na\r\n";
    let output = rig.proxy.output(client).map(|output| output.to_vec());
    assert_eq!(output.as_deref(), Some(reply.as_bytes()));
    rig.proxy.sent(client, reply.len());
    rig.settle();
    assert!(rig.is_closed(client));
}

#[test]
fn what_is_queued_after_keys_moved_is_not_said_to_live_elsewhere_than_the_rest() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    // It moves to the other server when its own is out.
    let moves = key(0, 2, 0);
    rig.receive(client, all(&["MULTI", &format!("GET {moves}")]));
    let router = super::super::pool::router(&pool(2), &[false, true]);
    rig.proxy.set_router(POOL, Arc::new(router));
    rig.receive(client, all(&[&format!("GET {moves}"), "EXEC"]));
    assert_eq!(
        rig.take(client),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: its keys may \
         live elsewhere now.\r\n"
    );
}

#[test]
fn a_client_that_had_left_before_its_wait_began_waits_no_longer() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    rig.receive(client, all(&["GET a", "BLPOP k 0", "GET b"]));
    rig.proxy.ended(client);
    rig.settle();
    rig.receive(shared, "$1\r\na\r\n");
    rig.turn();
    assert!(rig.is_closed(client));
    rig.establish();
    assert_eq!(rig.proxy.link_count(), 1);
}

#[test]
fn a_connection_given_back_late_is_not_taken_for_one_to_another_database() {
    let limits = Limits {
        groups: 2,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let select = |rig: &mut Rig, client, database: &str| {
        rig.receive(client, ask(&format!("SELECT {database}")));
        rig.establish();
        let link = rig.link(0);
        if rig.take(link).contains("SELECT") {
            rig.receive(link, "+OK\r\n");
            rig.receive(link, "$0\r\n\r\n");
            rig.turn();
        }
        rig.take(client)
    };
    assert_eq!(select(&mut rig, client, "1"), "+OK\r\n");
    let lane_link = rig.link(0);
    rig.receive(client, ask("WATCH k"));
    let own = newest(&mut rig);
    rig.receive(own, "+OK\r\n");
    rig.prove(own);
    rig.receive(own, "+OK\r\n");
    rig.take(own);
    rig.receive(client, all(&["MULTI", "GET k", "EXEC"]));
    assert_eq!(rig.take(own), [MULTI, &ask("GET k"), EXEC].concat());
    // The client leaves, and the lane loses its other connections, before the reply comes.
    rig.proxy.failed(client, Cause::Reset);
    rig.proxy.ended(lane_link);
    rig.settle();
    let next = rig.client();
    let reply = select(&mut rig, next, "2");
    assert!(reply.starts_with("-ERR too many databases"), "{reply:?}");
    rig.receive(own, "+OK\r\n+QUEUED\r\n*0\r\n");
    rig.pass(Duration::from_secs(30));
    assert!(rig.is_closed(own));
    assert_eq!(select(&mut rig, next, "2"), "+OK\r\n");
}

#[test]
fn no_message_comes_before_the_confirmation_it_belongs_to() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    rig.receive(client, all(&["GET a", "SUBSCRIBE c"]));
    let own = newest(&mut rig);
    let told = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
    rig.receive(own, [told, message].concat());
    assert_eq!(rig.take(client), "");
    rig.receive(shared, "$1\r\na\r\n");
    assert_eq!(rig.take(client), ["$1\r\na\r\n", told, message].concat());
}

#[test]
fn messages_of_what_is_not_confirmed_after_all_are_not_passed_on() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.receive(client, ask("PSUBSCRIBE k*"));
    rig.establish();
    let [.., (_, one), (_, other)] = rig.links[..] else {
        panic!("two connections");
    };
    rig.receive(one, "*3\r\n$10\r\npsubscribe\r\n$2\r\nk*\r\n:1\r\n");
    rig.receive(other, "*3\r\n$10\r\npsubscribe\r\n$2\r\nk*\r\n:1\r\n");
    rig.take(client);
    rig.receive(client, ask("PSUBSCRIBE l*"));
    rig.receive(one, "*3\r\n$10\r\npsubscribe\r\n$2\r\nl*\r\n:2\r\n");
    for pattern in ["l*", "k*"] {
        let message = "*4\r\n$8\r\npmessage\r\n$2\r\nl*\r\n$2\r\nl1\r\n$1\r\nx\r\n";
        rig.receive(one, message.replace("l*", pattern));
    }
    rig.receive(other, "-NOPERM no\r\n");
    assert_eq!(
        rig.take(client),
        "-NOPERM no\r\n*4\r\n$8\r\npmessage\r\n$2\r\nk*\r\n$2\r\nl1\r\n$1\r\nx\r\n"
    );
}

#[test]
fn a_failure_ends_no_subscription_that_was_asked_for_since() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let told = |word: &str, name: &str, count: usize| {
        format!(
            "*3\r\n${}\r\n{word}\r\n$1\r\n{name}\r\n:{count}\r\n",
            word.len()
        )
    };
    let words = ["SUBSCRIBE b", "SUBSCRIBE c", "UNSUBSCRIBE c", "SUBSCRIBE c"];
    rig.receive(client, all(&words));
    let own = newest(&mut rig);
    let replies = [
        told("subscribe", "b", 1),
        "-LOADING wait\r\n".into(),
        told("unsubscribe", "c", 1),
        told("subscribe", "c", 2),
    ];
    rig.receive(own, replies.concat());
    assert_eq!(rig.take(client), replies.concat());
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
    rig.receive(own, message);
    assert_eq!(rig.take(client), message);
}

#[test]
fn what_was_not_confirmed_is_not_listened_to() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("SUBSCRIBE c"));
    let own = newest(&mut rig);
    rig.receive(own, "-NOPERM no\r\n");
    assert_eq!(rig.take(client), "-NOPERM no\r\n");
    rig.receive(own, "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    assert!(rig.is_closed(own));
    rig.receive(client, ask("SUBSCRIBE c"));
    let own = newest(&mut rig);
    rig.proxy.ended(own);
    rig.settle();
    assert!(rig.take(client).starts_with("-ERR "));
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.proxy.link_count(), 1);
    rig.receive(client, ask("PING"));
    assert_eq!(rig.take(client), "+PONG\r\n");
}

#[test]
fn subscriptions_are_bounded_and_too_many_leave_the_client_as_it_was() {
    let limits = Limits {
        subscriptions: 1000,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    for request in [
        format!("SUBSCRIBE {}", "x".repeat(1000)),
        format!("SUBSCRIBE{}", " a".repeat(100)),
    ] {
        rig.receive(client, ask(&request));
        let text = "-ERR too many subscriptions: subscription_limit is 1000\r\n";
        assert_eq!(rig.take(client), text);
        rig.receive(client, ask("PING"));
        assert_eq!(rig.take(client), "+PONG\r\n");
    }
    assert_eq!(rig.stats.pools[0].subscription_limit_hits.read(), 2);
    assert_eq!(rig.links.len(), 1);
}

#[test]
fn a_block_is_seen_wherever_it_stands() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    let request = ask("XREADGROUP GROUP streams c BLOCK 0 STREAMS k >");
    rig.receive(client, &request);
    let own = newest(&mut rig);
    assert_eq!((rig.take(own), rig.take(shared)), (request, String::new()));
}

#[test]
fn a_message_that_is_none_is_passed_over() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("SUBSCRIBE c"));
    let own = newest(&mut rig);
    rig.receive(own, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    rig.take(client);
    rig.receive(own, "*3\r\n$7\r\nmessage\r\n:900000\r\n$1\r\nm\r\n");
    rig.receive(own, "*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nm\r\n");
    assert_eq!(rig.take(client), "");
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
    rig.receive(own, message);
    assert_eq!(rig.take(client), message);
}

#[test]
fn what_a_client_publishes_to_itself_in_a_transaction_comes_behind_its_reply() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("HELLO 3"));
    let shared = newest(&mut rig);
    rig.receive(shared, "%0\r\n");
    rig.receive(shared, "$22\r\nredis_version:7.0.15\r\n\r\n");
    rig.receive(client, ask("SUBSCRIBE c"));
    let own = newest(&mut rig);
    rig.receive(own, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    rig.take(client);
    rig.receive(client, all(&["MULTI", "PUBLISH c m", "EXEC", "GET k"]));
    rig.prove(shared);
    rig.receive(own, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    assert_eq!(rig.take(client), "+OK\r\n+QUEUED\r\n");
    rig.receive(shared, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    assert_eq!(
        rig.take(client),
        "*1\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
    );
    rig.receive(shared, "_\r\n");
    assert_eq!(rig.take(client), "_\r\n");
}
