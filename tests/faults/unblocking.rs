//! `CLIENT UNBLOCK`: a client ends what another one waits for, and nobody else is woken.

use std::slice;

use crate::support::*;

fn count_of(reply: Reply) -> i64 {
    match reply {
        Reply::Integer(number) => number,
        other => panic!("expected a number, got {other:?}"),
    }
}

/// What each of these is answered when another client ends it, in each way.
fn ended_waits(mut connect: impl FnMut() -> Wire) -> Vec<Vec<u8>> {
    let mut replies = Vec::new();
    let mut asker = connect();
    for request in [
        "BLPOP none 0",
        "BLMOVE {a}x {a}y LEFT LEFT 0",
        "BZPOPMIN none 0",
        "XREAD BLOCK 0 STREAMS none $",
        "WAIT 1 0",
    ] {
        for ending in [&[][..], &["TIMEOUT"], &["error"]] {
            let mut waiting = connect();
            let number = count_of(waiting.ask(&["CLIENT", "ID"])).to_string();
            let words = [&["CLIENT", "UNBLOCK", &number], ending].concat();
            assert_eq!(asker.ask(&words), Reply::Integer(0), "it does not wait");
            waiting.send(&pipeline(&[request, "PING"]));
            // It may not have begun yet.
            eventually("the wait is ended", || {
                (asker.ask(&words) == Reply::Integer(1)).then_some(())
            });
            let reply = waiting.line();
            waiting.expect(b"+PONG\r\n");
            replies.push(reply);
        }
    }
    replies
}

#[test]
fn t53_a_wait_is_ended_by_another_client_as_by_the_server() {
    for kind in [Server::redis_many, Server::valkey_many] {
        for count in [1, 4] {
            let servers = kind(count);
            let pool = Pool::redis("alpha").servers(&servers);
            let proxy = Proxy::nutcrab_with(vec![pool], &["--workers", "4"]);
            let direct = ended_waits(|| servers[0].connect());
            assert_eq!(ended_waits(|| proxy.client("alpha")), direct);
        }
    }
}

#[test]
fn t53_a_wait_that_is_ended_loses_nothing_and_wakes_nobody_else() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab_with(vec![pool], &["--workers", "4"]);
    let [mut asker, mut pusher] = [proxy.client("alpha"), proxy.client("alpha")];
    let mut waiting: Vec<Wire> = (0..4).map(|_| proxy.client("alpha")).collect();
    let numbers: Vec<String> = waiting
        .iter_mut()
        .map(|client| count_of(client.ask(&["CLIENT", "ID"])).to_string())
        .collect();
    let mut woken = 0;
    for round in 0..crate::rounds(200, 5000) {
        let (place, list) = (round % 4, format!("list{round}"));
        // These use, in turn, the connections that the others had.
        let mut bystander = proxy.client("alpha");
        waiting[place].send(&command(&["BLPOP", &list, "0"]));
        bystander.send(&command(&["BLPOP", &format!("other{round}"), "0"]));
        eventually("both wait", || {
            (server.blocked_clients() == 2).then_some(())
        });
        // At once, over different connections.
        let push = command(&["LPUSH", &list, "element"]);
        let end = command(&["CLIENT", "UNBLOCK", &numbers[place]]);
        if round % 2 == 0 {
            asker.send(&end);
            pusher.send(&push);
        } else {
            pusher.send(&push);
            asker.send(&end);
        }
        let verdict = count_of(asker.reply());
        assert_eq!(count_of(pusher.reply()), 1);
        let reply = waiting[place].reply();
        let left = count_of(pusher.ask(&["LLEN", &list]));
        match verdict {
            0 => assert_eq!(
                reply.elements(),
                [Reply::bulk(&list), Reply::bulk("element")]
            ),
            _ => assert_eq!(reply, Reply::Array(None)),
        }
        assert_eq!(
            (verdict, left),
            (left, verdict),
            "the element is given once"
        );
        woken += verdict;
        let other = format!("other{round}");
        assert_eq!(count_of(pusher.ask(&["LPUSH", &other, "mine"])), 1);
        let reply = bystander.reply();
        assert_eq!(reply.elements(), [Reply::bulk(&other), Reply::bulk("mine")]);
    }
    assert!(woken > 0, "never was the wait ended first");
}

#[test]
fn t53_a_server_that_tells_no_numbers_serves_waits_all_the_same() {
    let server = Server::redis();
    assert_eq!(
        server.ask(&["ACL", "SETUSER", "default", "-client"]),
        Reply::ok()
    );
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let [mut asker, mut waiting] = [proxy.client("alpha"), proxy.client("alpha")];
    let number = count_of(waiting.ask(&["CLIENT", "ID"])).to_string();
    waiting.send(&command(&["BLPOP", "list", "0"]));
    eventually("it waits", || (server.blocked_clients() == 1).then_some(()));
    assert_eq!(count_of(asker.ask(&["CLIENT", "UNBLOCK", &number])), 0);
    assert_eq!(count_of(asker.ask(&["LPUSH", "list", "a"])), 1);
    let reply = waiting.reply();
    assert_eq!(reply.elements(), [Reply::bulk("list"), Reply::bulk("a")]);
}
