//! Replies: each to its client, in its order, exactly one.

use super::*;

#[test]
fn replies_of_several_servers_come_in_the_order_of_the_requests() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    let requests = [&a, &b, &a, &b]
        .map(|key| ask(&format!("GET {key}")))
        .concat();
    rig.receive(client, requests);
    assert_eq!(rig.take(rig.link(0)), ask(&format!("GET {a}")).repeat(2));
    rig.receive(rig.link(1), "$2\r\nb1\r\n$2\r\nb2\r\n");
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(0), "$2\r\na1\r\n");
    assert_eq!(rig.take(client), "$2\r\na1\r\n$2\r\nb1\r\n");
    rig.receive(rig.link(0), "$2\r\na2\r\n");
    assert_eq!(rig.take(client), "$2\r\na2\r\n$2\r\nb2\r\n");
}

#[test]
fn clients_share_a_connection_and_get_their_own_replies() {
    let (mut rig, first) = ready(pool(1), Limits::default());
    let second = rig.client();
    rig.receive(first, ask("GET x"));
    rig.receive(second, ask("GET y"));
    rig.receive(rig.link(0), "$1\r\nx\r\n$1\r\ny\r\n");
    assert_eq!(
        (rig.take(first), rig.take(second)),
        ("$1\r\nx\r\n".into(), "$1\r\ny\r\n".into())
    );
    assert_eq!(rig.links.len(), 1);
}

#[test]
fn the_reply_to_a_client_that_left_reaches_no_client() {
    let (mut rig, first) = ready(pool(1), Limits::default());
    rig.receive(first, ask("GET secret"));
    rig.proxy.failed(first, Cause::Reset);
    rig.settle();
    let second = rig.client();
    assert_eq!(first.index(), second.index());
    rig.receive(second, ask("GET mine"));
    rig.receive(rig.link(0), "$6\r\nsecret\r\n");
    assert_eq!(rig.take(second), "");
    rig.receive(rig.link(0), "$4\r\nmine\r\n");
    assert_eq!(rig.take(second), "$4\r\nmine\r\n");
}

#[test]
fn local_replies_wait_for_earlier_ones() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(
        client,
        [ask("GET x"), ask("PING"), ask("NONSENSE"), ask("PING hi")].concat(),
    );
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(0), ":1\r\n");
    // The server is asked about a command nobody knows.
    rig.receive(rig.link(0), "*1\r\n*-1\r\n");
    let expected = ":1\r\n+PONG\r\n-ERR unknown command 'NONSENSE'\r\n$2\r\nhi\r\n";
    assert_eq!(rig.take(client), expected);
    assert!(!rig.is_closed(client));
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    for byte in ask("SET key value").bytes() {
        rig.receive(client, [byte]);
    }
    assert_eq!(rig.take(rig.link(0)), ask("SET key value"));
    for byte in b"+OK\r\n" {
        rig.receive(rig.link(0), [*byte]);
    }
    assert_eq!(rig.take(client), "+OK\r\n");
}

#[test]
fn mget_is_split_and_joined_in_the_order_of_its_keys() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b, c) = (key(0, 2, 0), key(1, 2, 0), key(0, 2, 1));
    rig.receive(client, ask(&format!("MGET {a} {b} {c} {b}")));
    assert_eq!(rig.take(rig.link(0)), ask(&format!("mget {a} {c}")));
    assert_eq!(rig.take(rig.link(1)), ask(&format!("mget {b} {b}")));
    rig.receive(rig.link(1), "*2\r\n$-1\r\n$2\r\nb2\r\n");
    rig.receive(rig.link(0), "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
    assert_eq!(
        rig.take(client),
        "*4\r\n$1\r\na\r\n$-1\r\n$1\r\nc\r\n$2\r\nb2\r\n"
    );
}

#[test]
fn sums_and_statuses_are_merged() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("DEL {a} {b}")));
    rig.receive(client, ask(&format!("MSET {a} 1 {b} 2")));
    assert_eq!(
        rig.take(rig.link(0)),
        ask(&format!("del {a}")) + &ask(&format!("mset {a} 1"))
    );
    rig.receive(rig.link(0), ":1\r\n+OK\r\n");
    rig.receive(rig.link(1), ":1\r\n+OK\r\n");
    assert_eq!(rig.take(client), ":2\r\n+OK\r\n");
}

#[test]
fn a_split_request_of_one_server_is_forwarded_as_it_is() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, c) = (key(0, 2, 0), key(0, 2, 1));
    rig.receive(client, ask(&format!("MGET {a} {c}")));
    assert_eq!(rig.take(rig.link(0)), ask(&format!("MGET {a} {c}")));
}

#[test]
fn a_fragments_own_error_is_passed_on() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask(&format!("MGET {a} {b}")));
    rig.receive(rig.link(1), "-OOM no memory\r\n");
    rig.receive(rig.link(0), "*1\r\n$-1\r\n");
    assert_eq!(rig.take(client), "-OOM no memory\r\n");
}

#[test]
fn keys_on_several_servers_that_cannot_be_split_are_refused() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b, c) = (key(0, 2, 0), key(1, 2, 0), key(0, 2, 1));
    rig.receive(client, ask(&format!("SDIFF {a} {b}")));
    let refused = "-CROSSSLOT Keys in request don't hash to the same shard\r\n";
    assert_eq!(
        (rig.take(client), rig.take(rig.link(0))),
        (refused.into(), String::new())
    );
    rig.receive(client, ask(&format!("SDIFF {a} {c}")));
    assert_eq!(rig.take(rig.link(0)), ask(&format!("SDIFF {a} {c}")));
}

#[test]
fn first_key_sends_them_where_twemproxy_does() {
    let first_key = Pool {
        cross_shard: CrossShard::FirstKey,
        ..pool(2)
    };
    let (mut rig, client) = ready(first_key, Limits::default());
    let request = ask(&format!("SDIFF {} {}", key(1, 2, 0), key(0, 2, 0)));
    rig.receive(client, &request);
    assert_eq!(rig.take(rig.link(1)), request);
}

#[test]
fn a_random_pool_sends_all_keys_of_a_request_to_one_server() {
    let random = Pool {
        distribution: Distribution::Random,
        ..pool(3)
    };
    let mut rig = Rig::new(random);
    let client = rig.client();
    rig.receive(client, ask("MGET a b c d e f g h"));
    rig.receive(client, ask("SDIFF a b c"));
    rig.establish();
    let written: String = (0..rig.links.len())
        .map(|i| rig.links[i].1)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|link| rig.take(link))
        .collect();
    assert!(written.contains("MGET") && written.contains("SDIFF"));
}

#[test]
fn quit_is_answered_after_everything_before_it() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, [ask("GET x"), ask("QUIT"), ask("GET y")].concat());
    assert!(!rig.is_closed(client));
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(rig.take(client), ":1\r\n+OK\r\n");
    assert_eq!(rig.closed, [(client, CloseHow::Gracefully)]);
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_replies() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET x") + "*2\r\n$3\r\nGE");
    rig.proxy.ended(client);
    rig.settle();
    assert!(!rig.is_closed(client));
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(rig.take(client), ":1\r\n");
    assert_eq!(rig.closed, [(client, CloseHow::Gracefully)]);
}

#[test]
fn a_malformed_request_is_explained_after_earlier_replies_and_its_client_closed() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET x") + "*1\r\n$-5\r\n" + &ask("GET never"));
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(
        rig.take(client),
        ":1\r\n-ERR Protocol error: invalid bulk length\r\n"
    );
    assert!(!rig.is_closed(client), "it must be able to read why");
    rig.receive(client, "more garbage");
    rig.proxy.ended(client);
    rig.settle();
    assert!(rig.is_closed(client));
    assert_eq!(rig.take(rig.link(0)), ask("GET x"));
}

#[test]
fn a_password_is_asked_for_and_checked() {
    let guarded = || Pool {
        redis_auth: Some(crate::config::Password::new("secret")),
        ..pool(1)
    };
    let mut rig = Rig::new(guarded());
    let client = rig.client();
    for (request, reply) in [
        ("GET x", "-NOAUTH Authentication required\r\n"),
        ("PING", "-NOAUTH Authentication required\r\n"),
        ("AUTH secre", "-ERR invalid password\r\n"),
        ("AUTH secrets", "-ERR invalid password\r\n"),
        ("AUTH secret", "+OK\r\n"),
        ("PING", "+PONG\r\n"),
        ("AUTH wrong", "-ERR invalid password\r\n"),
        ("PING", "-NOAUTH Authentication required\r\n"),
        ("AUTH secret", "+OK\r\n"),
    ] {
        rig.receive(client, ask(request));
        assert_eq!(rig.take(client), reply, "{request}");
    }
    rig.receive(client, ask("GET x"));
    rig.establish();
    let link = rig.link(0);
    assert_eq!(
        rig.take(link),
        ask("AUTH secret"),
        "nothing before the server agrees"
    );
    rig.receive(link, "+OK\r\n");
    assert_eq!(rig.take(link), ask("GET x"));

    let mut open = Rig::new(pool(1));
    let client = open.client();
    open.receive(client, ask("AUTH secret"));
    assert_eq!(
        open.take(client),
        "-ERR Client sent AUTH, but no password is set\r\n"
    );
}

#[test]
fn a_database_is_selected_behind_the_password_and_before_any_request() {
    let config = Pool {
        redis_auth: Some(crate::config::Password::new("p")),
        redis_db: 3,
        ..pool(1)
    };
    let mut rig = Rig::new(config);
    let client = rig.client();
    rig.receive(client, ask("AUTH p") + &ask("GET x"));
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), ask("AUTH p") + &ask("SELECT 3"));
    rig.receive(
        link,
        "-ERR AUTH <password> called without any password configured for x\r\n",
    );
    assert_eq!(rig.take(link), "");
    rig.receive(link, "+OK\r\n");
    assert_eq!(rig.take(link), ask("GET x"));
}

#[test]
fn requests_of_a_client_stay_on_one_of_several_connections() {
    let several = Pool {
        server_connections: NonZeroU32::new(3).expect("not 0"),
        ..pool(1)
    };
    let mut rig = Rig::new(several);
    let clients: Vec<ConnId> = (0..6).map(|_| rig.client()).collect();
    for &client in &clients {
        rig.receive(client, ask("SET x 1") + &ask("GET x"));
    }
    assert_eq!(rig.links.len(), 3);
    rig.establish();
    for (_, link) in rig.links.clone() {
        assert_eq!(rig.take(link), (ask("SET x 1") + &ask("GET x")).repeat(2));
    }
}
