//! Commands nobody knows until a server was asked.

use super::*;
use crate::protocol::Unknown;

/// What a server says of a command with one key, in the words of Redis before 7.
const OF_ONE_KEY: &str = "*1\r\n*6\r\n$6\r\nmy.get\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n";

#[test]
fn a_command_of_a_module_is_learned_once_and_goes_to_the_server_of_its_key() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    let calls = [&a, &b].map(|key| ask(&format!("My.Get {key}")));
    rig.receive(client, calls.concat());
    let asked: Vec<String> = (0..2).map(|server| rig.take(rig.link(server))).collect();
    let server = asked
        .iter()
        .position(|text| !text.is_empty())
        .expect("a server was asked");
    assert_eq!(asked.concat(), ask("COMMAND INFO My.Get"));
    // What is asked behind it waits.
    rig.receive(rig.link(server as u16), OF_ONE_KEY);
    assert_eq!(rig.take(rig.link(0)), calls[0]);
    assert_eq!(rig.take(rig.link(1)), "");
    rig.receive(rig.link(0), "$1\r\na\r\n");
    assert_eq!(rig.take(client), "$1\r\na\r\n");
    assert_eq!(rig.take(rig.link(1)), calls[1]);
    rig.receive(rig.link(1), "$1\r\nb\r\n");
    assert_eq!(rig.take(client), "$1\r\nb\r\n");
    rig.receive(client, ask(&format!("MY.GET {a} x")));
    let text = "-ERR wrong number of arguments for 'my.get' command\r\n";
    assert_eq!(rig.take(client), text);
}

#[test]
fn a_command_no_server_knows_is_asked_for_once() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    for _ in 0..2 {
        rig.receive(client, ask("NO.SUCH thing"));
        if !rig.take(rig.link(0)).is_empty() {
            rig.receive(rig.link(0), "*1\r\n*-1\r\n");
        }
        assert_eq!(rig.take(client), "-ERR unknown command 'NO.SUCH'\r\n");
    }
    assert_eq!(rig.take(rig.link(0)), "");
    // A server that came back may know it.
    rig.proxy.ended(rig.link(0));
    rig.settle();
    rig.receive(client, ask("GET a"));
    rig.establish();
    rig.receive(rig.link(0), "$-1\r\n");
    rig.take(rig.link(0));
    rig.receive(client, ask("no.such thing"));
    assert_eq!(rig.take(rig.link(0)), ask("COMMAND INFO no.such"));
}

#[test]
fn a_command_that_streams_is_refused_under_whatever_name() {
    for flags in ["*2\r\n+admin\r\n+noscript\r\n", "*1\r\n+pubsub\r\n"] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        let link = rig.link(0);
        rig.receive(client, ask("my.feed"));
        assert_eq!(rig.take(link), ask("COMMAND INFO my.feed"));
        rig.receive(
            link,
            format!("*1\r\n*6\r\n$7\r\nmy.feed\r\n:1\r\n{flags}:0\r\n:0\r\n:0\r\n"),
        );
        let told = rig.take(client);
        assert!(
            told.starts_with("-ERR ") && told.contains("never be the same"),
            "{told}"
        );
        assert_eq!(rig.take(link), "");
    }
}

#[test]
fn a_pool_may_refuse_what_nobody_knows() {
    let mut pool = pool(1);
    pool.commands.unknown = Unknown::Refuse;
    let (mut rig, client) = ready(pool, Limits::default());
    rig.receive(client, ask("My.Get a"));
    assert_eq!(rig.take(client), "-ERR unknown command 'My.Get'\r\n");
    assert_eq!(rig.take(rig.link(0)), "");
}

#[test]
fn without_keys_there_is_no_right_server_among_several() {
    let without = "*1\r\n*6\r\n$6\r\nmy.all\r\n:-1\r\n*0\r\n:0\r\n:0\r\n:0\r\n";
    for (servers, expected) in [
        (1, ":1\r\n"),
        (
            2,
            "-ERR 'my.all' has no one answer in a pool of several servers\r\n",
        ),
    ] {
        let (mut rig, client) = ready(pool(servers), Limits::default());
        rig.receive(client, ask("my.all"));
        let server = (0..servers as u16).find(|&server| !rig.take(rig.link(server)).is_empty());
        let link = rig.link(server.expect("a server was asked"));
        rig.receive(link, without);
        if servers == 1 {
            assert_eq!(rig.take(link), ask("my.all"));
            rig.receive(link, ":1\r\n");
        }
        assert_eq!(rig.take(client), expected);
    }
}

#[test]
fn what_is_denied_or_dangerous_is_so_when_learned_too() {
    let dangerous =
        "*1\r\n*7\r\n$6\r\nmy.del\r\n:2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@dangerous\r\n";
    let mut pool = pool(2);
    pool.commands.deny.push("MY.GET".into());
    let (mut rig, client) = ready(pool, Limits::default());
    for (name, reply, expected) in [
        (
            "my.get",
            OF_ONE_KEY,
            "-ERR 'my.get' is denied by the configuration of this pool\r\n",
        ),
        (
            "my.del",
            dangerous,
            "-ERR 'my.del' is refused in a pool of several servers unless its configuration allows it\r\n",
        ),
    ] {
        rig.receive(client, ask(&format!("{name} a")));
        let server = (0..2).find(|&server| !rig.take(rig.link(server)).is_empty());
        rig.receive(rig.link(server.expect("a server was asked")), reply);
        assert_eq!(rig.take(client), expected);
    }
}

#[test]
fn a_server_that_breaks_or_talks_nonsense_when_asked_costs_one_request() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, [ask("MY.GET a"), ask("PING")].concat());
    rig.proxy.failed(rig.link(0), Cause::Reset);
    rig.settle();
    let expected = "-ERR Connection reset by peer\r\n+PONG\r\n";
    assert_eq!(rig.take(client), expected);
    rig.receive(client, ask("MY.GET a"));
    rig.establish();
    rig.receive(rig.link(0), "-LOADING wait\r\n");
    assert_eq!(rig.take(client), "-LOADING wait\r\n");
    rig.receive(client, ask("MY.GET a"));
    rig.receive(
        rig.link(0),
        format!("$300000\r\n{}\r\n", "x".repeat(300_000)),
    );
    assert_eq!(rig.take(client), "-ERR unknown command 'MY.GET'\r\n");
}

#[test]
fn where_commands_cannot_be_learned_the_only_server_judges_them_itself() {
    for error in [
        "-ERR unknown command 'COMMAND', with args beginning with: 'INFO' \r\n",
        "-NOPERM this user has no permissions to run the 'command|info' command\r\n",
    ] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        let shared = rig.link(0);
        rig.receive(client, [ask("MY.GET a"), ask("GET a")].concat());
        rig.receive(shared, error);
        rig.establish();
        let own = rig.link(0);
        assert!(own != shared, "it may do anything to its connection");
        assert_eq!(rig.take(own), ask("MY.GET a"));
        rig.receive(own, "+OK\r\n");
        assert_eq!(rig.take(client), "+OK\r\n");
        assert!(rig.is_closed(own), "nobody else takes that connection");
        rig.receive(shared, "$-1\r\n");
        assert_eq!(rig.take(client), "$-1\r\n");
        rig.receive(
            client,
            [ask("MULTI"), ask("MY.GET a"), ask("EXEC")].concat(),
        );
        rig.receive(shared, error);
        let reply = rig.take(client);
        assert!(
            reply.starts_with("+OK\r\n-ERR the server does not tell"),
            "{reply}"
        );
        // Among several there is no right one.
        let (mut rig, client) = ready(pool(2), Limits::default());
        rig.receive(client, ask("MY.GET a"));
        let server = (0..2).find(|&server| !rig.take(rig.link(server)).is_empty());
        rig.receive(rig.link(server.expect("a server was asked")), error);
        assert_eq!(rig.take(client), "-ERR unknown command 'MY.GET'\r\n");
        let mut pool = pool(1);
        pool.commands.deny.push("MY.GET".into());
        let (mut rig, client) = ready(pool, Limits::default());
        rig.receive(client, ask("MY.GET a"));
        rig.receive(rig.link(0), error);
        assert_eq!(rig.take(client), "-ERR unknown command 'MY.GET'\r\n");
    }
}

#[test]
fn a_command_that_was_renamed_is_what_it_was() {
    let get = "*1\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n";
    let (mut rig, client) = ready(pool(2), Limits::default());
    let name = key(1, 2, 0);
    rig.receive(client, ask(&format!("fetch {name}")));
    let server = (0..2).find(|&server| !rig.take(rig.link(server)).is_empty());
    rig.receive(rig.link(server.expect("a server was asked")), get);
    assert_eq!(rig.take(rig.link(1)), ask(&format!("fetch {name}")));
    rig.receive(rig.link(1), "$1\r\nv\r\n");
    assert_eq!(rig.take(client), "$1\r\nv\r\n");
    rig.receive(client, ask("COMMAND INFO fetch"));
    assert!(
        rig.take(client)
            .starts_with("*1\r\n*10\r\n$5\r\nfetch\r\n:2\r\n")
    );
}
