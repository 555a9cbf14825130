//! What one client's transactions and scripts could cost others, on servers that refuse or are busy.

use std::slice;
use std::time::{Duration, Instant};

use crate::support::*;

/// A pool of one server that is `server`, over one shared connection.
fn proxy_before(server: &Server) -> Proxy {
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(server))
        .with("timeout", "2000");
    Proxy::nutcrab_of_one_worker(vec![pool])
}

fn queued(client: &mut Wire, lines: &[&str]) {
    client.send(&pipeline(&["MULTI"]));
    assert_eq!(client.reply(), Reply::ok());
    for line in lines {
        client.send(&pipeline(&[line]));
        assert_eq!(client.reply(), Reply::Status("QUEUED".into()), "{line}");
    }
}

#[test]
fn t35_a_server_without_multi_executes_nothing_of_a_transaction() {
    for (command, words) in [
        ("MULTI", "ERR unknown command"),
        ("EXEC", "ERR unknown command"),
    ] {
        let server = Server::redis_with(&["--rename-command", command, ""]);
        let proxy = proxy_before(&server);
        let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
        for _ in 0..3 {
            queued(&mut client, &["SET a 1", "BLPOP q 0"]);
            let error = client.ask(&["EXEC"]).error();
            let told = format!("EXECABORT Transaction discarded because of: {words}");
            assert!(error.starts_with(&told), "{command}: {error}");
            assert_eq!(neighbour.ask(&["SET", "b", "2"]), Reply::ok());
        }
        assert_eq!(client.ask(&["EXISTS", "a"]), Reply::Integer(0));
        assert_eq!(server.blocked_clients(), 0);
        let _ = client.ask(&["WATCH", "a"]);
        queued(&mut client, &["SET a 1"]);
        match client.ask(&["EXEC"]) {
            Reply::Error(_) | Reply::Bulk(None) => {}
            Reply::Array(None) => {}
            other => panic!("{command}: {other:?}"),
        }
        assert_eq!(client.ask(&["EXISTS", "a"]), Reply::Integer(0));
    }
}

#[test]
fn t36_a_user_that_may_not_say_multi_is_told_what_was_done() {
    let server = Server::redis();
    let proxy = proxy_before(&server);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    queued(&mut client, &["SET a 1"]);
    assert_eq!(client.ask(&["EXEC"]), Reply::Array(Some(vec![Reply::ok()])));
    // The rights of a connection that lives are changed: it was seen to take MULTI.
    assert_eq!(
        server.ask(&["ACL", "SETUSER", "default", "-multi"]),
        Reply::ok()
    );
    queued(&mut client, &["SET a 2", "SET b 2"]);
    let error = client.ask(&["EXEC"]).error();
    assert!(
        error.starts_with("ERR the server refused MULTI (NOPERM "),
        "{error}"
    );
    assert!(
        error.ends_with("ran without it, each for itself"),
        "{error}"
    );
    assert_eq!(client.ask(&["GET", "b"]), Reply::bulk("2"));
    // From then on nothing is sent.
    for _ in 0..3 {
        queued(&mut client, &["SET a 3"]);
        let error = client.ask(&["EXEC"]).error();
        assert!(
            error.starts_with("EXECABORT Transaction discarded because of: NOPERM "),
            "{error}"
        );
        assert_eq!(neighbour.ask(&["GET", "a"]), Reply::bulk("2"));
    }
    assert_eq!(
        server.ask(&["ACL", "SETUSER", "default", "+multi"]),
        Reply::ok()
    );
    queued(&mut client, &["SET a 4"]);
    assert_eq!(client.ask(&["EXEC"]), Reply::Array(Some(vec![Reply::ok()])));
    assert_eq!(neighbour.ask(&["GET", "a"]), Reply::bulk("4"));
}

/// What the last commands of a transaction come to, directly and through the proxy.
#[test]
fn t37_what_waits_never_does_so_in_a_transaction() {
    let server = Server::redis();
    let proxy = proxy_before(&server);
    let lines = [
        "BLPOP q 0",
        "BRPOP q r 0",
        "BLPOP l 0",
        "BRPOP q l 0",
        "BLMOVE q r LEFT LEFT 0",
        "BLMOVE l m LEFT RIGHT 0",
        "BRPOPLPUSH q r 0",
        "BRPOPLPUSH l m 0",
        "BLMPOP 0 1 q LEFT",
        "BLMPOP 0 2 q l LEFT COUNT 2",
        "BZPOPMIN y 0",
        "BZPOPMAX y z 0",
        "BZPOPMIN z 0",
        "BZMPOP 0 1 y MIN",
        "BZMPOP 0 2 y z MAX COUNT 2",
        "XREAD BLOCK 0 STREAMS s $",
        "XREAD BLOCK 0 COUNT 1 STREAMS s 0",
        "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "BLPOP l -1",
        "BLPOP l x",
        "BLPOP s 0",
        "BLMOVE q r LEFT LEFT x",
        "BZPOPMIN l 0",
        "XREAD BLOCK x STREAMS s 0",
    ];
    let prepare = [
        "FLUSHALL",
        "RPUSH l a b c d e f g h",
        "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f",
        "XADD s 1-1 f v",
        "XGROUP CREATE s g 0",
    ];
    for version in ["2", "3"] {
        let mut replies = Vec::new();
        for mut wire in [server.connect(), proxy.client("alpha")] {
            let mut direct = server.connect();
            for line in prepare {
                direct.send(&pipeline(&[line]));
                let _ = direct.reply();
            }
            wire.send(&pipeline(&[&format!("HELLO {version}")]));
            let _ = wire.read_until(|got| got.ends_with(b"modules\r\n*0\r\n"));
            queued(&mut wire, &lines);
            wire.send(&pipeline(&["EXEC", "ECHO done"]));
            replies.push(wire.read_until(|got| got.ends_with(b"$4\r\ndone\r\n")).0);
        }
        assert_eq!(shown(&replies[0]), shown(&replies[1]), "RESP{version}");
    }
    // The rights of a connection that lives are changed: what waits is executed by itself.
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    assert_eq!(
        server.ask(&["ACL", "SETUSER", "default", "-multi"]),
        Reply::ok()
    );
    queued(
        &mut client,
        &[
            "BLPOP none 0",
            "XREAD BLOCK 0 STREAMS none $",
            "BLMOVE a b LEFT LEFT 0",
        ],
    );
    client.send(&pipeline(&["EXEC"]));
    let error = client.reply().error();
    assert!(error.contains("ran without it"), "{error}");
    eventually("the neighbour is served", || {
        (neighbour.ask(&["SET", "k", "v"]) == Reply::ok()).then_some(())
    });
    assert_eq!(server.blocked_clients(), 0);
}

/// Waits until a server is busy with a script.
fn wait_until_busy(server: &Server) {
    eventually("the server is busy", || {
        let reply = server.ask(&["PING"]);
        matches!(reply, Reply::Error(text) if text.starts_with("BUSY ")).then_some(())
    });
}

const BUSY_SOON: [&str; 2] = ["--busy-reply-threshold", "50"];
const LOOP: [&str; 3] = ["EVAL", "while true do end", "0"];

#[test]
fn t32_a_script_that_does_not_end_is_killed_through_the_proxy() {
    const FUNCTION: &str =
        "#!lua name=l\nredis.register_function('f', function() while true do end end)";
    for database in ["0", "3"] {
        let servers = [(); 2].map(|()| Server::redis_with(&BUSY_SOON));
        let pool = Pool::redis("alpha").servers(&servers);
        let pool = pool.with("timeout", "20000").with("redis_db", database);
        let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
        let [mut runner, mut killer] = [(); 2].map(|()| proxy.client("alpha"));
        assert!(matches!(
            runner.ask(&["FUNCTION", "LOAD", FUNCTION]),
            Reply::Bulk(_)
        ));
        for (run, kill) in [
            (LOOP, "SCRIPT KILL"),
            (["FCALL", "f", "0"], "FUNCTION KILL"),
        ] {
            runner.send(&command(&run));
            let busy = eventually("a server is busy", || {
                let is_busy = |server: &&Server| matches!(server.ask(&["PING"]), Reply::Error(_));
                servers.iter().find(is_busy)
            });
            let begin = Instant::now();
            killer.send(&pipeline(&[kill]));
            assert_eq!(killer.reply(), Reply::ok(), "{kill}");
            assert!(
                begin.elapsed() < Duration::from_secs(5),
                "{kill}: {:?}",
                begin.elapsed()
            );
            let error = runner.reply().error();
            assert!(error.contains("killed"), "{run:?}: {error}");
            assert_eq!(busy.ask(&["PING"]), Reply::Status("PONG".into()));
            // Nothing is left to kill.
            killer.send(&pipeline(&[kill]));
            assert!(killer.reply().error().starts_with("NOTBUSY "), "{kill}");
        }
    }
}

#[test]
fn t32_what_runs_is_told_while_it_runs() {
    const FUNCTION: &str =
        "#!lua name=l\nredis.register_function('f', function() while true do end end)";
    let server = Server::redis_with(&BUSY_SOON);
    let proxy = proxy_before(&server);
    let [mut runner, mut asker] = [(); 2].map(|()| proxy.client("alpha"));
    let library = runner.ask(&["FUNCTION", "LOAD", FUNCTION]);
    assert!(matches!(library, Reply::Bulk(_)));
    runner.send(&command(&["FCALL", "f", "0"]));
    eventually("the server is busy", || {
        matches!(server.ask(&["PING"]), Reply::Error(_)).then_some(())
    });
    let mut told = asker.ask(&["FUNCTION", "STATS"]).elements();
    let name = told.swap_remove(1).elements().swap_remove(1);
    assert_eq!(name, Reply::Bulk(Some(b"f".to_vec())));
    assert_eq!(asker.ask(&["FUNCTION", "KILL"]), Reply::ok());
    assert!(runner.reply().error().contains("killed"));
}

#[test]
fn t45_what_a_server_says_to_the_proxys_own_questions_is_not_told_for_something_else() {
    // A server that takes no more connections.
    let server = Server::redis_with(&["--maxclients", "10"]);
    let proxy = proxy_before(&server);
    let (mut client, mut neighbour) = (proxy.client("alpha"), proxy.client("alpha"));
    assert_eq!(neighbour.ask(&["SET", "a", "1"]), Reply::ok());
    let crowd: Vec<Wire> = std::iter::repeat_with(|| server.connect())
        .map(|mut wire| (wire.ask(&["PING"]), wire))
        .take_while(|(reply, _)| !matches!(reply, Reply::Error(_)))
        .map(|(_, wire)| wire)
        .collect();
    for wish in ["SELECT 5", "HELLO 3"] {
        client.send(&pipeline(&[wish]));
        assert_eq!(
            client.reply().error(),
            "ERR max number of clients reached",
            "{wish}"
        );
    }
    assert_eq!(neighbour.ask(&["GET", "a"]), Reply::bulk("1"));
    drop(crowd);
    let begin = Instant::now();
    eventually("there is room again", || {
        (client.ask(&["SELECT", "5"]) == Reply::ok()).then_some(())
    });
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    // One that is busy, and one that does not allow it.
    let server = Server::redis_with(&BUSY_SOON);
    let proxy = proxy_before(&server);
    let (mut client, mut runner) = (proxy.client("alpha"), server.connect());
    assert_eq!(client.ask(&["SET", "a", "1"]), Reply::ok());
    runner.send(&command(&LOOP));
    wait_until_busy(&server);
    let error = client.ask(&["SELECT", "5"]).error();
    assert!(error.starts_with("BUSY "), "{error}");
    assert_eq!(client.ask(&["SCRIPT", "KILL"]), Reply::ok());
    runner.reply().error();
    eventually("it is not busy any more", || {
        (client.ask(&["SELECT", "5"]) == Reply::ok()).then_some(())
    });
    assert_eq!(
        server.ask(&["ACL", "SETUSER", "default", "-select"]),
        Reply::ok()
    );
    let error = client.ask(&["SELECT", "6"]).error();
    assert!(error.starts_with("NOPERM "), "{error}");
    // Servers that say nothing about commands.
    let options = [
        "--rename-command",
        "COMMAND",
        "",
        "--rename-command",
        "GET",
        "FETCH",
    ];
    let servers = [(); 2].map(|()| Server::redis_with(&options));
    let one = Pool::redis("alpha")
        .servers(&servers[..1])
        .with("timeout", "2000");
    let two = Pool::redis("beta")
        .servers(&servers)
        .with("timeout", "2000");
    let proxy = Proxy::nutcrab(vec![one, two]);
    let mut client = proxy.client("alpha");
    assert_eq!(client.ask(&["SET", "a", "1"]), Reply::ok());
    assert_eq!(client.ask(&["FETCH", "a"]), Reply::bulk("1"));
    let error = client.ask(&["no.such", "a"]).error();
    assert!(
        error.starts_with("ERR unknown command 'no.such'"),
        "{error}"
    );
    let error = proxy.client("beta").ask(&["no.such", "a"]).error();
    assert_eq!(error, "ERR unknown command 'no.such'");
}

#[test]
fn t50_a_flush_of_scripts_is_heeded_by_all_workers() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab_with(vec![pool], &["--workers", "4"]);
    let mut clients: Vec<Wire> = (0..8).map(|_| proxy.client("alpha")).collect();
    for round in 0..crate::rounds(20, 500) {
        let script = format!("return {round}");
        let loaded: Vec<Reply> = clients
            .iter_mut()
            .map(|client| client.ask(&["SCRIPT", "LOAD", &script]))
            .collect();
        let name = String::from_utf8(loaded[0].clone().bytes()).expect("digits");
        // What a server lost is loaded again.
        assert_eq!(server.ask(&["SCRIPT", "FLUSH"]), Reply::ok());
        let reply = clients[round % 8].ask(&["EVALSHA", &name, "0"]);
        assert_eq!(reply, Reply::Integer(round as i64));
        // What a client had forgotten is not, by whichever way it did.
        let flusher = &mut clients[(round + 3) % 8];
        if round % 2 == 0 {
            assert_eq!(flusher.ask(&["SCRIPT", "FLUSH"]), Reply::ok());
        } else {
            queued(flusher, &["SCRIPT FLUSH"]);
            assert_eq!(
                flusher.ask(&["EXEC"]),
                Reply::Array(Some(vec![Reply::ok()]))
            );
        }
        for client in &mut clients {
            let error = client.ask(&["EVALSHA", &name, "0"]).error();
            assert!(error.starts_with("NOSCRIPT "), "{error}");
        }
    }
}

#[test]
fn t51_a_message_to_oneself_comes_behind_the_transaction_that_sent_it() {
    // Redis 7.0 says it in the middle of the reply; later versions, and Valkey, behind it.
    let server = Server::valkey_with(&[]);
    let proxy = proxy_before(&server);
    for mut wire in [server.connect(), proxy.client("alpha")] {
        wire.send(&pipeline(&["HELLO 3", "SUBSCRIBE c"]));
        let _ = wire.read_until(|got| got.ends_with(b"$1\r\nc\r\n:1\r\n"));
        for _ in 0..100 {
            queued(&mut wire, &["PUBLISH c m", "GET k"]);
            wire.send(&pipeline(&["EXEC"]));
            wire.expect(b"*2\r\n:1\r\n_\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
        }
    }
}

/// What a server says to HELLO of itself: all but the number of the connection and the modules.
fn introduced(wire: &mut Wire) -> Vec<Reply> {
    let reply = wire.ask(&["HELLO"]).elements();
    let pairs = reply.chunks(2).filter(
        |pair| !matches!(&pair[0], Reply::Bulk(Some(name)) if name == b"id" || name == b"modules"),
    );
    pairs.flatten().cloned().collect()
}

#[test]
fn t52_the_proxy_says_of_the_servers_what_they_say() {
    let valkey = |options: &[&str]| Server::valkey_with(options);
    let compatible = [
        "--extended-redis-compatibility",
        "yes",
        "--availability-zone",
        "az1",
    ];
    for server in [Server::redis(), valkey(&[]), valkey(&compatible)] {
        let proxy = proxy_before(&server);
        let (mut direct, mut client) = (server.connect(), proxy.client("alpha"));
        assert_eq!(introduced(&mut client), introduced(&mut direct));
        let mode = |wire: &mut Wire| {
            let text = String::from_utf8(wire.ask(&["INFO", "server"]).bytes()).expect("text");
            let mut lines = text.lines().filter(|line| line.contains("_mode:"));
            lines.next().map(str::to_owned)
        };
        assert_eq!(mode(&mut client), mode(&mut direct));
        let error = client.ask(&["CLIENT", "NO-TOUCH", "ON"]).error();
        assert_eq!(error, "ERR CLIENT NO-TOUCH ON is not supported by nutcrab");
    }
    let server = valkey(&[]);
    let proxy = proxy_before(&server);
    for mut wire in [server.connect(), proxy.client("alpha")] {
        for line in ["CLIENT SETINFO LIB-NAME lib", "CLIENT SETNAME me", "RESET"] {
            wire.send(&pipeline(&[line]));
            let _ = wire.reply();
        }
        let text = String::from_utf8(wire.ask(&["CLIENT", "INFO"]).bytes()).expect("text");
        assert!(
            text.contains(" name= ") && text.contains(" lib-name=lib "),
            "{text}"
        );
    }
}

#[test]
fn t55_what_a_server_renamed_is_learned_and_streams_are_found() {
    let server = Server::redis_with(&["--rename-command", "GET", "FETCH"]);
    let proxy = proxy_before(&server);
    let mut client = proxy.client("alpha");
    assert_eq!(client.ask(&["SET", "a", "1"]), Reply::ok());
    for _ in 0..2 {
        assert_eq!(client.ask(&["fetch", "a"]), Reply::bulk("1"));
    }
    let told = client.ask(&["COMMAND", "INFO", "fetch"]).elements();
    assert_eq!(told[0].clone().elements()[0], Reply::bulk("fetch"));
    let lines = [
        "XADD k 1-1 f v",
        "XGROUP CREATE k STREAMS 0",
        "XADD STREAMS 2-2 g w",
        "XREADGROUP GROUP STREAMS d STREAMS k >",
        "XREADGROUP COUNT 1 GROUP STREAMS d STREAMS k 0",
        "XREAD COUNT 1 STREAMS STREAMS 0",
    ];
    let servers = Server::redis_many(2);
    let pool = Pool::redis("alpha").servers(&servers);
    let proxy = Proxy::nutcrab(vec![pool]);
    let direct = Server::redis();
    let (mut through, mut direct) = (proxy.client("alpha"), direct.connect());
    for line in lines {
        for wire in [&mut through, &mut direct] {
            wire.send(&pipeline(&[line]));
        }
        assert_eq!(through.reply(), direct.reply(), "{line}");
    }
}

#[test]
fn t46_what_a_transaction_publishes_is_heard_once_wherever_its_channel_lives() {
    let servers = Server::redis_many(4);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("timeout", "5000");
    let proxy = Proxy::nutcrab(vec![pool]);
    let channels: Vec<String> = (0..12).map(|number| format!("ch:{number}")).collect();
    let mut listener = proxy.client("alpha");
    let mut lines: Vec<String> = channels
        .iter()
        .map(|name| format!("SUBSCRIBE {name}"))
        .collect();
    lines.push("PSUBSCRIBE ch:*".into());
    for line in &lines {
        listener.send(&pipeline(&[line]));
        let _ = listener.reply();
    }
    let mut sharded = proxy.client("alpha");
    for name in &channels {
        assert!(matches!(
            sharded.ask(&["SSUBSCRIBE", name]),
            Reply::Array(Some(_))
        ));
    }
    let mut client = proxy.client("alpha");
    for (number, name) in channels.iter().enumerate() {
        let lines = [
            format!("SETEX k:{number} 60 v"),
            format!("PUBLISH {name} m{number}"),
            format!("SPUBLISH {name} s{number}"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        queued(&mut client, &lines);
        let done = client.ask(&["EXEC"]).elements();
        assert_eq!(done[0], Reply::ok());
        assert!(
            done[1..]
                .iter()
                .all(|count| matches!(count, Reply::Integer(_))),
            "{done:?}"
        );
        // Of a transaction that fails nobody hears.
        client.send(&pipeline(&[
            "MULTI",
            &format!("PUBLISH {name} never"),
            "GET",
            "EXEC",
        ]));
        for _ in 0..4 {
            let _ = client.reply();
        }
        // Once by the channel's name, once by the pattern, in either order; and once as that of a shard.
        let mut heard: Vec<String> = (0..2)
            .map(|_| listener.reply().elements())
            .map(|message| {
                String::from_utf8(message[message.len() - 1].clone().bytes()).expect("text")
            })
            .collect();
        heard.dedup();
        assert_eq!(heard, [format!("m{number}")]);
        let message = sharded.reply().elements();
        assert_eq!(message[2], Reply::bulk(format!("s{number}")));
    }
    // Nothing more was on its way: the end of it is heard next, by both.
    assert!(matches!(
        client.ask(&["PUBLISH", &channels[0], "end"]),
        Reply::Integer(_)
    ));
    for _ in 0..2 {
        let message = listener.reply().elements();
        assert_eq!(message[message.len() - 1], Reply::bulk("end"));
    }
    assert!(matches!(
        client.ask(&["SPUBLISH", &channels[0], "end"]),
        Reply::Integer(_)
    ));
    assert_eq!(sharded.reply().elements()[2], Reply::bulk("end"));
}
