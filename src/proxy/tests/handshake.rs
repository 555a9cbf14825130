//! What clients say about their connection, and the lanes they use because of it.

use super::*;

const QUESTION: &str = "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n";
const ANSWER: &str = "$22\r\nredis_version:7.0.15\r\n\r\n";
const HELLO: &str = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

/// A client that has said HELLO 3 to a pool of one server, and the connection it uses.
pub(super) fn modern(rig: &mut Rig) -> (ConnId, ConnId) {
    let client = rig.client();
    rig.receive(client, ask("HELLO 3"));
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), HELLO);
    assert_eq!(rig.take(client), "");
    rig.receive(link, "%1\r\n+proto\r\n:3\r\n");
    assert_eq!(rig.take(link), QUESTION);
    rig.receive(link, ANSWER);
    let reply = rig.take(client);
    let told = "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
                $5\r\nproto\r\n:3\r\n";
    assert!(reply.starts_with(told), "{reply:?}");
    (client, link)
}

#[test]
fn clients_of_either_version_use_connections_that_speak_it() {
    let (mut rig, old) = ready(pool(1), Limits::default());
    let old_link = rig.link(0);
    let (new, new_link) = modern(&mut rig);
    assert_ne!(old_link, new_link);
    rig.receive(old, ask("HGETALL h"));
    rig.receive(new, ask("HGETALL h"));
    assert_eq!(
        (rig.take(old_link), rig.take(new_link)),
        (ask("HGETALL h"), ask("HGETALL h"))
    );
    rig.receive(old_link, "*0\r\n");
    rig.receive(new_link, "%0\r\n");
    assert_eq!(
        (rig.take(old), rig.take(new)),
        ("*0\r\n".into(), "%0\r\n".into())
    );
}

#[test]
fn the_second_client_of_a_version_asks_nobody() {
    let mut rig = Rig::new(pool(1));
    let (_, link) = modern(&mut rig);
    let second = rig.client();
    rig.receive(second, [ask("HELLO 3"), ask("GET k")].concat());
    assert!(rig.take(second).starts_with("%7\r\n"));
    assert_eq!(rig.take(link), ask("GET k"));
}

#[test]
fn settings_are_told_in_the_version_they_were_asked_for_in() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    modern(&mut rig);
    rig.receive(client, [ask("CONFIG GET save"), ask("HELLO 3")].concat());
    let settings = "*2\r\n$4\r\nsave\r\n$0\r\n\r\n";
    rig.receive(link, settings);
    let reply = rig.take(client);
    assert!(reply.starts_with(&format!("{settings}%7\r\n")), "{reply:?}");
}

#[test]
fn a_server_without_resp3_is_told_apart_and_the_client_stays_as_it_was() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, [ask("HELLO 3"), ask("GET k")].concat());
    rig.establish();
    let link = rig.link(0);
    rig.receive(link, "-ERR unknown command 'HELLO'\r\n");
    assert!(rig.take(client).starts_with("-NOPROTO "));
    assert!(rig.is_closed(link));
    let usual = rig.links[0].1;
    assert_eq!(rig.take(usual), ask("GET k"));
    rig.receive(usual, "$1\r\nv\r\n");
    assert_eq!(rig.take(client), "$1\r\nv\r\n");
}

#[test]
fn a_wish_that_a_server_cannot_fulfil_is_no_failure_of_the_server() {
    for wish in ["HELLO 3", "SELECT 99"] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        rig.receive(client, ask(wish));
        rig.establish();
        let link = rig.link(0);
        rig.receive(link, "-ERR no\r\n");
        assert!(rig.is_closed(link));
        assert_eq!(rig.failures, [], "{wish}");
    }
}

#[test]
fn a_refusal_is_believed_for_a_while() {
    let (mut rig, first) = ready(pool(2), Limits::default());
    rig.receive(first, ask("HELLO 3"));
    rig.establish();
    rig.receive(rig.link(0), "-ERR unknown command 'HELLO'\r\n");
    assert!(rig.take(first).starts_with("-NOPROTO "));
    let links = rig.links.len();
    for _ in 0..20 {
        let client = rig.client();
        rig.receive(client, ask("HELLO 3"));
        assert!(rig.take(client).starts_with("-NOPROTO "));
    }
    assert_eq!(rig.links.len(), links, "no server is asked again");
    assert!(
        matches!(rig.notices[..], [What::Greeting { .. }]),
        "told once: {:?}",
        rig.notices
    );
    // The server may be a newer one now.
    rig.pass(Duration::from_secs(11));
    let client = rig.client();
    rig.receive(client, ask("HELLO 3"));
    rig.establish();
    rig.receive(rig.link(0), "%0\r\n");
    rig.receive(rig.link(0), ANSWER);
    assert!(rig.take(client).starts_with("%7\r\n"));
}

#[test]
fn hello_waits_for_a_server_that_answers() {
    let mut rig = Rig::new(pool(2));
    let client = rig.client();
    rig.receive(client, ask("HELLO 3"));
    rig.proxy.failed(rig.link(0), Cause::Refused);
    rig.settle();
    rig.establish();
    rig.receive(rig.link(1), "%0\r\n");
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(1), ANSWER);
    assert!(rig.take(client).starts_with("%7\r\n"));
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    rig.receive(client, [ask("HELLO 3"), ask("HELLO 2")].concat());
    rig.proxy.failed(rig.link(0), Cause::Refused);
    rig.settle();
    rig.proxy.failed(rig.link(0), Cause::Refused);
    rig.settle();
    let reply = rig.take(client);
    assert!(
        reply.starts_with("-ERR Connection refused\r\n*14\r\n"),
        "{reply:?}"
    );
}

#[test]
fn a_push_is_no_reply_and_only_allowed_where_it_was_asked_for() {
    let mut rig = Rig::new(pool(1));
    let (client, link) = modern(&mut rig);
    rig.receive(link, ">2\r\n+invalidate\r\n_\r\n");
    rig.receive(client, ask("GET k"));
    for piece in [">2\r\n+inva", "lidate\r\n", "_\r", "\n$1\r\nv\r\n"] {
        rig.receive(link, piece);
    }
    assert_eq!(rig.take(client), "$1\r\nv\r\n");
    assert!(!rig.is_closed(link));
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET k"));
    rig.receive(rig.link(0), ">1\r\n+x\r\n");
    assert_eq!(rig.take(client), "-ERR Invalid argument\r\n");
}

#[test]
fn a_database_has_connections_of_its_own() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(
        client,
        [ask("GET a"), ask("SELECT 3"), ask("GET b")].concat(),
    );
    rig.establish();
    let (first, link) = (rig.links[0].1, rig.link(0));
    assert_eq!(rig.take(link), "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    rig.receive(link, "+OK\r\n");
    assert_eq!(rig.take(link), QUESTION);
    rig.receive(link, ANSWER);
    assert_eq!(
        (rig.take(link), rig.take(client)),
        (String::new(), String::new())
    );
    rig.receive(first, "$1\r\na\r\n");
    assert_eq!(rig.take(client), "$1\r\na\r\n+OK\r\n");
    assert_eq!(rig.take(link), ask("GET b"));
    rig.receive(link, "$1\r\nb\r\n");
    rig.receive(
        client,
        [ask("SELECT 0"), ask("SELECT x"), ask("SELECT -1")].concat(),
    );
    assert_eq!(
        rig.take(client),
        "$1\r\nb\r\n+OK\r\n-ERR value is not an integer or out of range\r\n-ERR DB index is out of range\r\n"
    );
    // What nobody uses goes after a while.
    rig.pass(Duration::from_secs(30));
    assert!(rig.is_closed(link) && !rig.is_closed(first));
}

#[test]
fn a_database_the_server_does_not_have_is_refused() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("SELECT 99"));
    rig.establish();
    rig.receive(rig.link(0), "-ERR DB index is out of range\r\n");
    assert_eq!(rig.take(client), "-ERR DB index is out of range\r\n");
    let mut pool = pool(1);
    pool.redis_db = 2;
    let mut rig = Rig::new(pool);
    let client = rig.client();
    rig.receive(client, [ask("SELECT 1"), ask("SELECT 0")].concat());
    assert_eq!(rig.take(client), "-ERR DB index is out of range\r\n+OK\r\n");
}

#[test]
fn what_is_read_next_never_overtakes_what_was_written_on_other_lanes() {
    let mut rig = Rig::new(pool(1));
    let (_, link) = modern(&mut rig);
    let client = rig.client();
    rig.receive(
        client,
        [ask("SET k v"), ask("HELLO 3"), ask("GET k")].concat(),
    );
    rig.establish();
    assert_eq!(rig.take(link), "");
    let usual = rig.link(0);
    assert_eq!(rig.take(usual), ask("SET k v"));
    rig.receive(usual, "+OK\r\n");
    assert_eq!(rig.take(link), ask("GET k"));
}

#[test]
fn lanes_are_bounded_and_given_to_others_when_unused() {
    let limits = Limits {
        groups: 2,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let select = |rig: &mut Rig, client: ConnId, database: u32| {
        rig.receive(client, ask(&format!("SELECT {database}")));
        rig.establish();
        rig.receive(rig.link(0), "+OK\r\n");
        rig.receive(rig.link(0), ANSWER);
        rig.take(client)
    };
    assert_eq!(select(&mut rig, client, 1), "+OK\r\n");
    let other = rig.client();
    rig.receive(other, ask("SELECT 2"));
    assert_eq!(
        rig.take(other),
        "-ERR too many databases are in use at once\r\n"
    );
    rig.proxy.ended(client);
    rig.settle();
    rig.pass(Duration::from_secs(30));
    assert_eq!(select(&mut rig, other, 2), "+OK\r\n");
}

#[test]
fn a_client_that_leaves_while_a_server_is_asked_leaves_nothing_behind() {
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    rig.receive(client, ask("HELLO 3"));
    rig.establish();
    rig.proxy.failed(client, Cause::Reset);
    rig.settle();
    rig.receive(rig.link(0), "%0\r\n");
    rig.receive(rig.link(0), ANSWER);
    rig.pass(Duration::from_secs(30));
    assert_eq!((rig.proxy.client_count(), rig.proxy.link_count()), (0, 0));
}

#[test]
fn names_and_numbers_are_the_clients_own() {
    let mut rig = Rig::new(pool(1));
    let (first, second) = (rig.client(), rig.client());
    rig.receive(
        first,
        [
            ask("CLIENT GETNAME"),
            ask("CLIENT SETNAME me"),
            ask("CLIENT SETINFO lib-name x"),
            ask("CLIENT GETNAME"),
            ask("CLIENT ID"),
        ]
        .concat(),
    );
    assert_eq!(rig.take(first), "$-1\r\n+OK\r\n+OK\r\n$2\r\nme\r\n:1\r\n");
    rig.receive(
        second,
        [
            ask("CLIENT GETNAME"),
            ask("CLIENT ID"),
            ask("CLIENT SETNAME a\u{1}"),
        ]
        .concat(),
    );
    assert!(
        rig.take(second)
            .starts_with("$-1\r\n:2\r\n-ERR Client names cannot")
    );
    rig.receive(first, ask("CLIENT INFO"));
    let line = rig.take(first);
    assert!(
        line.contains("id=1 ")
            && line.contains(" name=me ")
            && line.contains(" resp=2 lib-name=x "),
        "{line:?}"
    );
    rig.receive(first, [ask("RESET"), ask("CLIENT GETNAME")].concat());
    assert_eq!(rig.take(first), "+RESET\r\n$-1\r\n");
}

#[test]
fn a_client_may_want_no_replies() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(
        client,
        [
            ask("CLIENT REPLY SKIP"),
            ask(&format!("GET {a}")),
            ask("PING"),
            ask("CLIENT REPLY OFF"),
            ask("PING"),
            ask(&format!("GET {a}")),
            ask(&format!("GET {b}")),
            ask(&format!("MGET {a} {b}")),
            ask("GET"),
            ask("CLIENT REPLY ON"),
            ask("PING x"),
        ]
        .concat(),
    );
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(1), "$1\r\nb\r\n*1\r\n$1\r\nb\r\n");
    rig.receive(rig.link(0), "$1\r\na\r\n$1\r\na\r\n*1\r\n$1\r\na\r\n");
    assert_eq!(rig.take(client), "+PONG\r\n+OK\r\n$1\r\nx\r\n");
}

#[test]
fn lines_typed_by_hand_are_sent_to_servers_as_arrays() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, "set k 'a b'\r\n\r\nPING\n");
    assert_eq!(
        rig.take(rig.link(0)),
        "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\na b\r\n"
    );
    rig.receive(rig.link(0), "+OK\r\n");
    assert_eq!(rig.take(client), "+OK\r\n+PONG\r\n");
}

#[test]
fn the_password_may_come_with_a_user_or_with_hello() {
    let mut pool = pool(1);
    pool.redis_auth = Some(crate::config::Password::new("pw"));
    let mut rig = Rig::new(pool);
    let client = rig.client();
    rig.receive(
        client,
        [
            ask("PING"),
            ask("HELLO 3"),
            ask("AUTH nobody pw"),
            ask("HELLO 3 AUTH default no"),
            ask("AUTH default pw"),
            ask("PING"),
        ]
        .concat(),
    );
    let reply = rig.take(client);
    let lines: Vec<&str> = reply
        .lines()
        .map(|line| line.split(' ').next().unwrap_or(""))
        .collect();
    assert_eq!(
        lines,
        [
            "-NOAUTH",
            "-NOAUTH",
            "-WRONGPASS",
            "-WRONGPASS",
            "+OK",
            "+PONG"
        ]
    );
}

#[test]
fn what_clients_look_at_first_is_answered_here() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.proxy.set_epoch(Duration::from_secs(1_700_000_000));
    rig.receive(
        client,
        [
            ask("TIME"),
            ask("ECHO x"),
            ask("CONFIG GET databases"),
            ask("CLIENT TRACKING ON"),
            ask("CLIENT NO-EVICT on"),
        ]
        .concat(),
    );
    assert_eq!(
        rig.take(client),
        "*2\r\n$10\r\n1700000001\r\n$1\r\n0\r\n$1\r\nx\r\n*2\r\n$9\r\ndatabases\r\n$2\r\n16\r\n\
         -ERR client side caching is not supported by nutcrab\r\n+OK\r\n"
    );
    rig.receive(client, ask("INFO replication"));
    assert_eq!(rig.take(rig.link(0)), QUESTION);
    rig.receive(rig.link(0), ANSWER);
    assert!(
        rig.take(client)
            .contains("# Replication\r\nrole:master\r\n")
    );
    rig.receive(client, ask("INFO"));
    let info = rig.take(client);
    for line in [
        "redis_version:7.0.15",
        "loading:0",
        "role:master",
        "servers:2",
    ] {
        assert!(info.contains(&format!("{line}\r\n")), "{info}");
    }
}

#[test]
fn what_a_server_says_because_it_is_busy_or_full_is_no_answer_about_databases_or_versions() {
    for words in [
        "-ERR max number of clients reached\r\n",
        "-BUSY Redis is busy running a script.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-NOPERM this user has no permissions to run the command\r\n",
    ] {
        for wish in ["HELLO 3", "SELECT 5"] {
            let (mut rig, client) = ready(pool(1), Limits::default());
            rig.receive(client, ask(wish));
            rig.establish();
            rig.receive(rig.link(0), words);
            assert_eq!(rig.take(client), words, "{wish}");
            assert_eq!(rig.failures, [], "{wish}: {words}");
            // It is asked again as soon as somebody wishes it.
            rig.pass(Duration::from_millis(100));
            rig.receive(client, ask(wish));
            rig.establish();
            let link = rig.link(0);
            rig.receive(
                link,
                if wish == "HELLO 3" {
                    "%0\r\n"
                } else {
                    "+OK\r\n"
                },
            );
            rig.receive(link, ANSWER);
            let reply = rig.take(client);
            assert!(!reply.starts_with('-'), "{wish}: {reply}");
        }
    }
}

#[test]
fn a_version_that_was_not_told_is_asked_for_again() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    rig.receive(client, ask("HELLO"));
    rig.receive(link, "-BUSY Redis is busy running a script.\r\n");
    assert!(rig.take(client).contains("7.0.0"));
    rig.take(link);
    rig.receive(client, ask("HELLO"));
    assert_eq!(rig.take(link), QUESTION);
    rig.receive(link, ANSWER);
    assert!(rig.take(client).contains("7.0.15"));
}

#[test]
fn hello_and_info_follow_the_servers_own_words_for_themselves() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    let info = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n\
                server_mode:standalone\r\navailability_zone:az1\r\n";
    rig.receive(client, ask("HELLO"));
    rig.receive(link, format!("${}\r\n{info}\r\n", info.len()));
    let reply = rig.take(client);
    assert!(
        reply.starts_with("*16\r\n$6\r\nserver\r\n$6\r\nvalkey\r\n"),
        "{reply}"
    );
    assert!(
        reply.ends_with("$17\r\navailability_zone\r\n$3\r\naz1\r\n"),
        "{reply}"
    );
    rig.receive(client, ask("INFO server"));
    assert!(rig.take(client).contains("\r\nserver_mode:standalone\r\n"));
}

#[test]
fn a_reset_keeps_what_library_the_client_is() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    for words in ["CLIENT SETINFO LIB-NAME lib", "CLIENT SETNAME me", "RESET"] {
        rig.receive(client, ask(words));
    }
    rig.take(client);
    rig.receive(client, ask("CLIENT INFO"));
    let line = rig.take(client);
    assert!(
        line.contains(" name= ") && line.contains(" lib-name=lib "),
        "{line}"
    );
}
