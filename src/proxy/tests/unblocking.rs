//! `CLIENT UNBLOCK`.

use super::*;

const TIMEOUT: &str = "CLIENT UNBLOCK 57 TIMEOUT";
const ERROR: &str = "CLIENT UNBLOCK 57 ERROR";

fn all(requests: &[&str]) -> String {
    requests.iter().map(|words| ask(words)).collect()
}

/// A client that waits in BLPOP, the connection it does so on, the shared one, and another client.
fn waiting() -> (Rig, ConnId, ConnId, ConnId, ConnId) {
    let (mut rig, other) = ready(pool(1), Limits::default());
    let shared = rig.link(0);
    let client = rig.client();
    rig.receive(client, ask("BLPOP q 0"));
    rig.establish();
    let own = rig.link(0);
    assert_eq!(rig.take(own), ask("BLPOP q 0"));
    (rig, client, own, shared, other)
}

#[test]
fn the_number_of_a_connection_is_asked_once_in_the_same_write_as_the_wait() {
    let (mut rig, _) = ready(pool(1), Limits::default());
    rig.is_numberless = true;
    let client = rig.client();
    let question = String::from_utf8_lossy(NUMBER);
    let mut expected = question.into_owned() + &ask("BLPOP q 0");
    for reply in [":57\r\n*-1\r\n", "*-1\r\n"] {
        rig.receive(client, ask("BLPOP q 0"));
        rig.establish();
        assert_eq!(rig.take(rig.link(0)), expected);
        rig.receive(rig.link(0), reply);
        assert_eq!(rig.take(client), "*-1\r\n");
        expected = ask("BLPOP q 0");
    }
    assert_eq!(rig.links.len(), 2, "the connection was kept");
}

#[test]
fn a_server_that_does_not_tell_the_number_serves_waits_all_the_same() {
    let (mut rig, other) = ready(pool(1), Limits::default());
    rig.is_numberless = true;
    let client = rig.client();
    for _ in 0..2 {
        rig.receive(client, ask("BLPOP q 0"));
        rig.establish();
        let own = rig.link(0);
        rig.receive(own, "-NOPERM no\r\n");
        rig.receive(other, ask("CLIENT UNBLOCK 2"));
        assert_eq!(rig.take(other), ":0\r\n");
        rig.receive(own, "*2\r\n$1\r\nq\r\n$1\r\nv\r\n");
        assert_eq!(rig.take(client), "*2\r\n$1\r\nq\r\n$1\r\nv\r\n");
    }
    assert_eq!(rig.links.len(), 2);
}

#[test]
fn a_wait_ends_as_its_server_says() {
    for (words, request, reply) in [
        ("CLIENT UNBLOCK 2", TIMEOUT, "*-1\r\n"),
        ("client unblock 2 timeout", TIMEOUT, "*-1\r\n"),
        (
            "CLIENT UNBLOCK 2 ERROR",
            ERROR,
            "-UNBLOCKED client unblocked\r\n",
        ),
    ] {
        let (mut rig, client, own, shared, other) = waiting();
        rig.receive(other, all(&[words, "GET a"]));
        assert_eq!(rig.take(shared), ask(request), "what is behind it waits");
        rig.receive(own, reply);
        rig.receive(shared, ":1\r\n");
        assert_eq!(rig.take(client), reply);
        assert_eq!(rig.take(other), ":1\r\n");
        assert_eq!(rig.take(shared), ask("GET a"));
        assert!(
            rig.is_closed(own),
            "a late request would wake somebody else"
        );
    }
}

#[test]
fn what_came_for_the_waiting_client_meanwhile_is_its_reply() {
    let (mut rig, client, own, shared, other) = waiting();
    rig.receive(other, ask("CLIENT UNBLOCK 2"));
    let element = "*2\r\n$1\r\nq\r\n$1\r\nv\r\n";
    rig.receive(own, element);
    assert_eq!(rig.take(client), element);
    // It waits again, before the server has seen the request to end its first wait.
    rig.receive(client, ask("BLPOP q 0"));
    rig.establish();
    assert_ne!(rig.link(0), own, "the next wait has another connection");
    rig.receive(shared, ":0\r\n");
    assert_eq!(
        (rig.take(other), rig.take(client)),
        (":0\r\n".into(), "".into())
    );
}

#[test]
fn a_request_to_end_a_wait_overtakes_nothing_its_client_asked_before() {
    let (mut rig, client, own, shared, other) = waiting();
    rig.receive(other, all(&["RPUSH q v", "CLIENT UNBLOCK 2"]));
    assert_eq!(rig.take(shared), ask("RPUSH q v"));
    let element = "*2\r\n$1\r\nq\r\n$1\r\nv\r\n";
    rig.receive(own, element);
    rig.receive(shared, ":1\r\n");
    assert_eq!(rig.take(client), element);
    assert_eq!(rig.take(other), ":1\r\n:0\r\n", "it waits no longer");
}

#[test]
fn those_who_do_not_wait_and_those_of_strangers_are_not_woken() {
    let (mut rig, client, _, shared, other) = waiting();
    let stranger = rig.proxy.accept_from(POOL, "10.0.0.1:1".parse().ok());
    rig.receive(stranger, ask("CLIENT UNBLOCK 2"));
    assert_eq!(rig.take(stranger), ":0\r\n");
    for (words, expected) in [
        ("CLIENT UNBLOCK 1", ":0\r\n"),
        ("CLIENT UNBLOCK 9", ":0\r\n"),
        ("CLIENT UNBLOCK 0", ":0\r\n"),
        ("CLIENT UNBLOCK -2", ":0\r\n"),
        (
            "CLIENT UNBLOCK x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "CLIENT UNBLOCK x y",
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n",
        ),
    ] {
        rig.receive(other, ask(words));
        assert_eq!(rig.take(other), expected, "{words}");
    }
    assert_eq!((rig.take(shared), rig.take(client)), ("".into(), "".into()));
}

#[test]
fn a_client_that_waits_for_several_servers_is_woken_at_all_of_them_or_at_none() {
    for (verdicts, expected) in [([1, 1], 1), ([0, 1], 1), ([1, 0], 1), ([0, 0], 0)] {
        let mut rig = Rig::new(pool(2));
        let [client, other] = [rig.client(), rig.client()];
        rig.receive(client, ask("WAIT 1 0"));
        rig.receive(other, ask("CLIENT UNBLOCK 1"));
        assert_eq!(rig.take(other), ":0\r\n", "it has not begun");
        rig.establish();
        let own = [rig.link(0), rig.link(1)];
        for link in own {
            rig.receive(link, "$21\r\nredis_version:7.2.4\r\n\r\n:0\r\n");
        }
        rig.receive(other, ask("CLIENT UNBLOCK 1"));
        rig.establish();
        for (server, verdict) in verdicts.into_iter().enumerate() {
            assert_eq!(rig.take(other), "");
            let shared = rig.link(server as u16);
            assert_eq!(rig.take(shared), ask(TIMEOUT));
            if verdict == 1 {
                rig.receive(own[server], ":3\r\n");
            }
            rig.receive(shared, format!(":{verdict}\r\n"));
        }
        // Where the wait had not begun yet when it ended elsewhere, it is ended now.
        for server in 0..2 {
            if verdicts[server] == 0 && expected == 1 {
                assert_eq!(rig.take(other), "");
                let shared = rig.link(server as u16);
                assert_eq!(rig.take(shared), ask(TIMEOUT));
                rig.receive(shared, ":1\r\n");
                rig.receive(own[server], ":2\r\n");
            }
        }
        assert_eq!(rig.take(other), format!(":{expected}\r\n"));
        let least = verdicts.iter().sum::<i64>() + 1;
        let reply = format!(":{least}\r\n");
        assert_eq!(
            rig.take(client),
            if expected == 1 { reply } else { "".into() }
        );
    }
}

#[test]
fn the_worker_that_has_the_waiting_client_asks_its_server() {
    let mut here = Rig::of_worker((0, 2), pool(1), Limits::default());
    let mut there = Rig::of_worker((1, 2), pool(1), Limits::default());
    let (asker, client) = (here.client(), there.client());
    there.receive(client, ask("BLPOP q 0"));
    there.establish();
    let own = there.link(0);
    for (reply, expected) in [
        (":1\r\n", ":1\r\n"),
        // Asked too late.
        (":0\r\n", ":0\r\n"),
        ("-NOPERM no\r\n", ":0\r\n"),
    ] {
        here.receive(asker, all(&["CLIENT UNBLOCK 2 ERROR", "PING"]));
        let call = here.calls.pop().expect("another worker is asked");
        there.proxy.call(&call);
        there.settle();
        there.establish();
        assert_eq!(there.take(there.link(0)), ask(ERROR));
        assert_eq!((here.take(asker), there.returns.len()), ("".into(), 0));
        there.receive(there.link(0), reply);
        let (call, outcome) = there.returns.pop().expect("the asker's worker is told");
        here.proxy.returned(&call, outcome);
        here.settle();
        assert_eq!(here.take(asker), format!("{expected}+PONG\r\n"));
    }
    there.receive(own, "*-1\r\n");
    assert_eq!(there.take(client), "*-1\r\n");
}

#[test]
fn a_server_that_does_not_say_whether_it_woke_the_client_fails_the_request() {
    let (mut rig, client, own, shared, other) = waiting();
    rig.receive(other, ask("CLIENT UNBLOCK 2"));
    rig.pass(Duration::from_millis(400));
    assert_eq!(rig.take(other), "-ERR Connection timed out\r\n");
    assert_eq!(rig.take(client), "");

    let (mut rig, _, _, shared2, other) = waiting();
    rig.receive(other, ask("CLIENT UNBLOCK 2"));
    rig.proxy.failed(shared2, Cause::Reset);
    rig.settle();
    assert_eq!(rig.take(other), "-ERR Connection reset by peer\r\n");
    // It is not asked again over another connection.
    rig.establish();
    assert_eq!(rig.take(rig.link(0)), "");
    let _ = (own, shared);
}

#[test]
fn who_wants_no_reply_wakes_others_all_the_same() {
    let (mut rig, client, own, shared, other) = waiting();
    rig.receive(other, all(&["CLIENT REPLY OFF", "CLIENT UNBLOCK 2"]));
    assert_eq!(rig.take(shared), ask(TIMEOUT));
    rig.receive(shared, ":1\r\n");
    rig.receive(own, "*-1\r\n");
    assert_eq!(
        (rig.take(other), rig.take(client)),
        ("".into(), "*-1\r\n".into())
    );
    assert!(rig.proxy.unblockings.is_empty());
}
