//! Scripts, and servers that lost them.

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// A rig of two servers through which a script was loaded.
fn loaded() -> (Rig, ConnId, String) {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let load = ask("SCRIPT LOAD return");
    rig.receive(client, &load);
    for server in 0..2 {
        assert_eq!(rig.take(rig.link(server)), load);
        rig.receive(rig.link(server), format!("$40\r\n{SHA}\r\n"));
    }
    assert_eq!(rig.take(client), format!("$40\r\n{SHA}\r\n"));
    (rig, client, load)
}

#[test]
fn a_server_that_lost_a_script_is_given_it_again() {
    let (mut rig, client, load) = loaded();
    let call = ask(&format!(
        "EVALSHA {} 1 {}",
        SHA.to_uppercase(),
        key(1, 2, 0)
    ));
    rig.receive(client, &call);
    assert_eq!(rig.take(rig.link(1)), call);
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    assert_eq!(rig.take(client), "");
    assert_eq!(rig.take(rig.link(1)), format!("{load}{call}"));
    rig.receive(rig.link(1), format!("$40\r\n{SHA}\r\n:7\r\n"));
    assert_eq!(rig.take(client), ":7\r\n");
}

#[test]
fn a_script_without_keys_is_loaded_again_as_well() {
    let (mut rig, client, load) = loaded();
    let call = ask(&format!("EVALSHA {SHA} 0"));
    rig.receive(client, &call);
    let first = rig.link(0);
    let server = u16::from(rig.take(first) != call);
    rig.receive(rig.link(server), "-NOSCRIPT No matching script.\r\n");
    assert_eq!(rig.take(rig.link(server)), format!("{load}{call}"));
    rig.receive(rig.link(server), format!("$40\r\n{SHA}\r\n:7\r\n"));
    assert_eq!(rig.take(client), ":7\r\n");
}

#[test]
fn it_is_tried_once() {
    let (mut rig, client, _) = loaded();
    rig.receive(client, ask(&format!("EVALSHA {SHA} 1 {}", key(1, 2, 0))));
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    rig.receive(rig.link(1), "-OOM no\r\n-NOSCRIPT still not\r\n");
    assert_eq!(rig.take(client), "-NOSCRIPT still not\r\n");
}

#[test]
fn nothing_is_asked_again_behind_what_followed_it() {
    let (mut rig, client, _) = loaded();
    let key = key(1, 2, 0);
    rig.receive(
        client,
        [
            ask(&format!("EVALSHA {SHA} 1 {key}")),
            ask(&format!("GET {key}")),
        ]
        .concat(),
    );
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n$1\r\na\r\n");
    let expected = "-NOSCRIPT No matching script.\r\n$1\r\na\r\n";
    assert_eq!(rig.take(client), expected);
}

#[test]
fn other_replies_to_scripts_are_passed_on_early_large_and_failed_ones_too() {
    let limits = Limits {
        cut_through: 64,
        ..Limits::default()
    };
    let (mut rig, client, _) = loaded();
    rig.proxy.limits = limits;
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    let call = |key: &str| ask(&format!("EVALSHA {SHA} 1 {key}"));
    rig.receive(client, [call(&a), call(&b), call(&b), call(&b)].concat());
    rig.receive(rig.link(1), "-ERR b\r\n");
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(rig.take(client), ":1\r\n-ERR b\r\n");
    let large = "x".repeat(1000);
    rig.receive(rig.link(1), format!("$1000\r\n{large}"));
    assert_eq!(rig.take(client), format!("$1000\r\n{large}"));
    rig.receive(rig.link(1), "\r\n");
    rig.proxy.failed(rig.link(1), Cause::Reset);
    rig.settle();
    assert_eq!(rig.take(client), "\r\n-ERR Connection reset by peer\r\n");
}

#[test]
fn unknown_and_forgotten_scripts_are_the_clients_own_business() {
    let (mut rig, client, _) = loaded();
    let key = key(1, 2, 0);
    rig.receive(client, ask(&format!("EVALSHA {} 1 {key}", "f".repeat(40))));
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    assert_eq!(rig.take(client), "-NOSCRIPT No matching script.\r\n");
    rig.receive(client, ask("SCRIPT FLUSH"));
    for server in 0..2 {
        rig.receive(rig.link(server), "+OK\r\n");
    }
    assert_eq!(rig.take(client), "+OK\r\n");
    rig.receive(client, ask(&format!("EVALSHA {SHA} 1 {key}")));
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    assert_eq!(rig.take(client), "-NOSCRIPT No matching script.\r\n");
}

#[test]
fn the_oldest_scripts_make_room() {
    let mut scripts = super::super::scripts::Scripts::default();
    let mut buffers = crate::buffer::BufferPool::new(512, 4);
    let digest = |number: usize| format!("{number:040x}");
    for number in 0..1000 {
        let mut reply = crate::buffer::Queue::new();
        reply.push(
            format!("$40\r\n{}\r\n", digest(number)).as_bytes(),
            &mut buffers,
        );
        scripts.remember(vec![b'x'; 10_000].into(), &reply, Limits::default().scripts);
    }
    assert!(scripts.load(digest(0).as_bytes()).is_none());
    let held = (0..1000).filter(|&number| scripts.load(digest(number).as_bytes()).is_some());
    assert_eq!(held.count(), 104);
}

#[test]
fn what_a_client_of_another_worker_had_forgotten_is_forgotten_here() {
    let names = PoolNames {
        name: "alpha".into(),
        servers: vec!["s0".into(), "s1".into()],
        families: Protocol::Redis.topics(),
    };
    let all = Arc::new(crate::stats::Stats::new(vec![names], 2));
    let (mut rig, client, load) = loaded();
    rig.proxy.set_overview(Arc::clone(&all));
    let call = ask(&format!("EVALSHA {SHA} 1 {}", key(1, 2, 0)));
    let lost = "-NOSCRIPT No matching script.\r\n";
    all.set(1).pools[0].script_flushes.add(1);
    rig.receive(client, &call);
    rig.take(rig.link(1));
    rig.receive(rig.link(1), lost);
    assert_eq!(rig.take(client), lost);
    // What is loaded since is known.
    rig.receive(client, &load);
    for server in 0..2 {
        rig.receive(rig.link(server), format!("$40\r\n{SHA}\r\n"));
        rig.take(rig.link(server));
    }
    rig.take(client);
    rig.receive(client, &call);
    rig.receive(rig.link(1), lost);
    assert_eq!(rig.take(rig.link(1)), [&call[..], &load, &call].concat());
    // Another flush while the script is being loaded again.
    rig.receive(rig.link(1), format!("$40\r\n{SHA}\r\n:1\r\n"));
    rig.receive(client, &call);
    all.set(1).pools[0].script_flushes.add(1);
    rig.take(client);
    rig.receive(rig.link(1), lost);
    assert_eq!(rig.take(client), lost);
}

#[test]
fn a_flush_counts_from_the_moment_it_is_asked_for_and_within_a_transaction() {
    for within in [false, true] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        let link = rig.link(0);
        rig.receive(client, ask("SCRIPT LOAD return"));
        rig.receive(link, format!("$40\r\n{SHA}\r\n"));
        rig.take(client);
        let flusher = rig.client();
        if within {
            rig.receive(flusher, ["MULTI", "SCRIPT FLUSH", "EXEC"].map(ask).concat());
            rig.prove(link);
        } else {
            rig.receive(flusher, ask("SCRIPT FLUSH"));
        }
        // Its client leaves before it has the reply.
        rig.proxy.failed(flusher, Cause::Reset);
        rig.settle();
        rig.receive(
            link,
            if within {
                "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"
            } else {
                "+OK\r\n"
            },
        );
        rig.receive(client, ask(&format!("EVALSHA {SHA} 0")));
        rig.receive(link, "-NOSCRIPT No matching script.\r\n");
        assert_eq!(
            rig.take(client),
            "-NOSCRIPT No matching script.\r\n",
            "{within}"
        );
    }
}

#[test]
fn a_script_that_is_loaded_again_is_counted_under_its_own_command() {
    let (mut rig, client, _) = loaded();
    let other = rig.client();
    let families = Protocol::Redis.topics();
    let place = families
        .iter()
        .position(|name| *name == "string")
        .expect("a family");
    let count = |rig: &Rig| {
        let server = &rig.proxy.stats.pools[0].latency[place].server;
        crate::stats::Total::of([server].into_iter()).count()
    };
    let before = count(&rig);
    let name = key(1, 2, 0);
    rig.receive(client, ask(&format!("EVALSHA {SHA} 1 {name}")));
    rig.receive(other, ask(&format!("GET {name}")));
    rig.receive(rig.link(1), "-NOSCRIPT No matching script.\r\n");
    rig.receive(rig.link(1), format!("$-1\r\n$40\r\n{SHA}\r\n:1\r\n"));
    assert_eq!(rig.take(client), ":1\r\n");
    assert_eq!(count(&rig) - before, 1, "the GET");
}

/// As on a direct connection; docs/compatibility.md says so.
#[test]
fn what_a_transaction_loads_is_not_loaded_again() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    let requests = ["MULTI", "SCRIPT LOAD return", "EXEC"].map(ask).concat();
    rig.receive(client, &requests);
    rig.prove(link);
    assert_eq!(rig.take(link), requests);
    rig.receive(link, format!("+OK\r\n+QUEUED\r\n*1\r\n$40\r\n{SHA}\r\n"));
    assert_eq!(
        rig.take(client),
        format!("+OK\r\n+QUEUED\r\n*1\r\n$40\r\n{SHA}\r\n")
    );
    rig.receive(client, ask(&format!("EVALSHA {SHA} 1 k")));
    rig.receive(link, "-NOSCRIPT No matching script.\r\n");
    assert_eq!(rig.take(client), "-NOSCRIPT No matching script.\r\n");
}
