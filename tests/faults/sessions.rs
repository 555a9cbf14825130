//! What one client's transactions and scripts could cost others, on servers that refuse or are busy.

use std::slice;

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
    assert!(client.reply().error().contains("ran without it"));
    eventually("the neighbour is served", || {
        (neighbour.ask(&["SET", "k", "v"]) == Reply::ok()).then_some(())
    });
    assert_eq!(server.blocked_clients(), 0);
}
