//! Requests of memcached that may go without a reply, and gets of which a part fails.

use super::*;
use crate::protocol::BadReply;

fn memcached(servers: usize) -> Pool {
    Pool {
        protocol: Protocol::Memcache,
        ..pool(servers)
    }
}

/// A rig with one server that is connected, and a client.
fn one() -> (Rig, ConnId) {
    let mut rig = Rig::new(memcached(1));
    let client = rig.client();
    rig.receive(client, "get a\r\n");
    rig.establish();
    let link = rig.link(0);
    rig.receive(link, "END\r\n");
    rig.take(link);
    rig.take(client);
    (rig, client)
}

#[test]
fn what_a_server_says_to_a_request_without_reply_reaches_no_client() {
    let (mut rig, client) = one();
    let other = rig.client();
    rig.receive(client, "set k 0 0 1 noreply\r\n1\r\n");
    rig.receive(other, "get a\r\n");
    rig.receive(client, "get k\r\n");
    let shared = rig.link(0);
    let sent = rig.take(shared);
    assert_eq!(
        sent,
        "set k 0 0 1 noreply\r\n1\r\nversion\r\nget a\r\nget k\r\n"
    );
    rig.receive(shared, "SERVER_ERROR a\r\nERROR\r\nVERSION 1\r\n");
    rig.receive(shared, "VALUE a 0 1\r\nx\r\nEND\r\nEND\r\n");
    assert_eq!(rig.take(client), "END\r\n");
    assert_eq!(rig.take(other), "VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_quiet_request_is_answered_with_what_the_server_says_to_it() {
    let (mut rig, client) = one();
    rig.receive(
        client,
        "mg a q v\r\nmg b q v\r\nset c 0 0 1 noreply\r\n1\r\nmn\r\n",
    );
    let shared = rig.link(0);
    assert_eq!(rig.take(client), "", "nothing is known yet");
    rig.receive(shared, "VERSION 1\r\nVA 1\r\nx\r\nVERS");
    rig.receive(shared, "ION 1\r\n");
    assert_eq!(rig.take(client), "VA 1\r\nx\r\n");
    rig.receive(shared, "VERSION 1\r\n");
    assert_eq!(rig.take(client), "MN\r\n");
}

#[test]
fn a_failed_fragment_is_an_error_or_a_miss_as_the_pool_says() {
    for (failed_get, expected) in [
        (FailedGet::Error, "SERVER_ERROR Connection refused\r\n"),
        (FailedGet::Miss, "VALUE b 0 1\r\nx\r\nEND\r\n"),
    ] {
        let config = Pool {
            failed_get,
            ..memcached(2)
        };
        let mut rig = Rig::new(config);
        let client = rig.client();
        // Modula over fnv1a_64 puts the two on different servers.
        rig.receive(client, "get a b\r\n");
        assert_eq!(rig.links.len(), 2);
        let (lost, kept) = (rig.link(0), rig.link(1));
        rig.proxy.failed(lost, Cause::Refused);
        rig.proxy.connected(kept);
        rig.settle();
        let asked = rig.take(kept);
        let reply = if asked == "get b \r\n" {
            "VALUE b 0 1\r\nx\r\nEND\r\n"
        } else {
            "VALUE a 0 1\r\nx\r\nEND\r\n"
        };
        rig.receive(kept, reply);
        let expected = match &*asked {
            "get b \r\n" => expected.to_owned(),
            _ => expected.replace("VALUE b", "VALUE a"),
        };
        assert_eq!(rig.take(client), expected);
    }
}

#[test]
fn a_value_of_another_key_in_a_part_closes_client_and_connection() {
    let mut rig = Rig::strict(memcached(2));
    let client = rig.client();
    rig.receive(client, "get a b\r\n");
    for index in 0..2 {
        let link = rig.link(index);
        rig.proxy.connected(link);
        rig.settle();
        let asked = rig.take(link);
        let value = if asked == "get a \r\n" { 'a' } else { 'c' };
        rig.receive(link, format!("VALUE {value} 0 1\r\nx\r\nEND\r\n"));
    }
    // The value of the first key had been passed on.
    assert_eq!(rig.take(client).replace("VALUE a 0 1\r\nx\r\n", ""), "");
    assert_eq!(
        rig.notices[..2],
        [What::Unjoinable, What::BadReply(BadReply::Foreign)]
    );
    let mut lost: Vec<ConnId> = rig.closed.iter().map(|closed| closed.0).collect();
    lost.sort();
    let mut expected = vec![client, rig.link(1)];
    expected.sort();
    assert_eq!(lost, expected);
}

/// Three clients that each ask for a key, `a`, `b` and `c`; a connection, and what was sent over it.
fn bundle() -> (Rig, [ConnId; 3], ConnId, String) {
    let (mut rig, first) = one();
    let clients = [first, rig.client(), rig.client()];
    let shared = rig.link(0);
    rig.proxy.turn(rig.now);
    for (client, key) in clients.iter().zip(["a", "b", "c"]) {
        let request = format!("get {key}\r\n");
        rig.proxy
            .received(*client, Input::copied(request.as_bytes()));
    }
    rig.settle();
    let sent = rig.take(shared);
    (rig, clients, shared, sent)
}

#[test]
fn gets_of_one_turn_are_one_get_and_each_client_has_its_own_reply() {
    let value = |key: &str| format!("VALUE {key} 7 3\r\n{key}\r\n\r\n");
    let found = |key: &str| format!("{}END\r\n", value(key));
    // Whatever a server leaves out, and in whatever order it names the rest.
    for named in [
        "abc", "acb", "bac", "bca", "cab", "cba", "ab", "ba", "bc", "cb", "ac", "ca", "a", "b",
        "c", "",
    ] {
        let reply: String = named.chars().map(|key| value(&key.to_string())).collect();
        let reply = format!("{reply}END\r\n");
        for cut in 0..=reply.len() {
            let (mut rig, clients, shared, sent) = bundle();
            assert_eq!(sent, "get a b c\r\n");
            rig.receive(shared, &reply[..cut]);
            rig.receive(shared, &reply[cut..]);
            for (client, key) in clients.into_iter().zip(["a", "b", "c"]) {
                let expected = match named.contains(key) {
                    true => found(key),
                    false => "END\r\n".into(),
                };
                assert_eq!(
                    rig.take(client),
                    expected,
                    "{key} of {named:?} cut at {cut}"
                );
            }
            // Nothing is left over, and the connection goes on.
            rig.receive(clients[1], "get b\r\n");
            assert_eq!(rig.take(shared), "get b\r\n");
            rig.receive(shared, found("b"));
            assert_eq!((rig.take(clients[1]), rig.closed.len()), (found("b"), 0));
            let server = &rig.stats.pools[0].servers[0];
            assert_eq!((server.requests.read(), server.responses.read()), (5, 5));
            let lengths = [7, sent.len(), 7].map(|len| len as i64);
            assert_eq!(server.request_bytes.read(), lengths.iter().sum::<i64>());
            let bytes = "END\r\n".len() + reply.len() + found("b").len();
            assert_eq!(server.response_bytes.read(), bytes as i64);
            assert_eq!((server.in_queue.read(), server.out_queue.read()), (0, 0));
            assert_eq!(server.in_queue_bytes.read(), 0);
            assert_eq!(server.out_queue_bytes.read(), 0);
        }
    }
}

#[test]
fn an_error_for_a_bundle_is_told_to_all_that_were_not_answered() {
    for (said, first) in [
        ("SERVER_ERROR out\r\n", "SERVER_ERROR out\r\n"),
        (
            "VALUE a 0 1\r\nx\r\nSERVER_ERROR out\r\n",
            "VALUE a 0 1\r\nx\r\nEND\r\n",
        ),
    ] {
        let (mut rig, clients, shared, _) = bundle();
        let behind = rig.client();
        rig.receive(behind, "get d\r\n");
        rig.receive(shared, said);
        let told = clients.map(|client| rig.take(client));
        assert_eq!(
            told,
            [first, "SERVER_ERROR out\r\n", "SERVER_ERROR out\r\n"]
        );
        rig.receive(shared, "VALUE d 0 1\r\nx\r\nEND\r\n");
        assert_eq!(rig.take(behind), "VALUE d 0 1\r\nx\r\nEND\r\n");
    }
}

#[test]
fn what_fits_no_request_of_a_bundle_fails_those_that_were_not_answered() {
    for said in [
        "VALUE d 0 1\r\nx\r\n",
        "VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\n",
        "VALUE b 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nVALUE c 0 1\r\nx\r\nVALUE c 0 1\r\nx\r\n",
        "STORED\r\n",
        "VALUE a 0 1\r\nx\r\nSTORED\r\n",
        "VALUE a 0 1\r\nxEND\r\n",
        "garbage\r\n",
    ] {
        let (mut rig, clients, shared, _) = bundle();
        rig.receive(shared, said);
        assert!(rig.is_closed(shared), "{said:?}");
        for (client, key) in clients.into_iter().zip(["a", "b", "c"]) {
            let told = rig.take(client);
            let value = format!("VALUE {key} 0 1\r\nx\r\nEND\r\n");
            assert!(
                told.starts_with("SERVER_ERROR ") || told == value,
                "{said:?}: {told:?}"
            );
            assert!(told != value || said.contains(&value[..7]), "{said:?}");
        }
    }
}

#[test]
fn a_reply_before_all_of_a_bundle_was_sent_is_no_reply() {
    let (mut rig, first) = one();
    let shared = rig.link(0);
    rig.full.push(shared);
    let second = rig.client();
    rig.receive(first, "get a\r\n");
    rig.receive(second, "get b\r\n");
    rig.proxy.sent(shared, "get a b".len());
    rig.receive(shared, "END\r\n");
    assert!(rig.is_closed(shared));
}

#[test]
fn a_late_or_abandoned_request_of_a_bundle_shifts_no_other() {
    let value = |key: &str| format!("VALUE {key} 0 1\r\n{key}\r\n");
    for (named, cut) in [
        ("abc", 0),
        ("cba", 16),
        ("bc", 0),
        ("cb", 0),
        ("ac", 16),
        ("", 0),
    ] {
        let (mut rig, first) = one();
        let shared = rig.link(0);
        rig.full.push(shared);
        let (second, third) = (rig.client(), rig.client());
        rig.receive(first, "get a\r\n");
        rig.pass(Duration::from_millis(300));
        rig.receive(second, "get b\r\n");
        rig.receive(third, "get c\r\n");
        rig.full.clear();
        // Something is heard, so that the connection is not given up.
        let sent = "get a b c\r\n".len();
        rig.proxy.sent(shared, sent);
        rig.proxy.failed(second, Cause::Reset);
        let reply: String = named.chars().map(|key| value(&key.to_string())).collect();
        let reply = format!("{reply}END\r\n");
        rig.receive(shared, &reply[..cut]);
        rig.pass(Duration::from_millis(150));
        rig.receive(shared, &reply[cut..]);
        let told = rig.take(first);
        let early = named.starts_with('a') && cut > 0;
        match early {
            true => assert_eq!(told, format!("{}END\r\n", value("a")), "{named}"),
            false => assert_eq!(told, "SERVER_ERROR Connection timed out\r\n", "{named}"),
        }
        let expected = match named.contains('c') {
            true => format!("{}END\r\n", value("c")),
            false => "END\r\n".into(),
        };
        assert_eq!(rig.take(third), expected, "{named}");
        rig.receive(third, "get d\r\n");
        rig.receive(shared, "END\r\n");
        assert_eq!(rig.take(third), "END\r\n", "{named}");
        rig.pass(Duration::from_secs(1));
        assert!(!rig.is_closed(shared), "{named}");
    }
}

#[test]
fn only_what_is_alike_and_unsent_shares_a_line() {
    let (mut rig, client) = one();
    let shared = rig.link(0);
    rig.proxy.turn(rig.now);
    for request in [
        "get a\r\n",
        "get b\r\n",
        // The same key again: nobody could tell which of the two was found.
        "get a\r\n",
        "gets c\r\n",
        "gets d\r\n",
        "get  e\r\n",
        "get f\r\n",
        "set g 0 0 1\r\n1\r\n",
        "get h\r\n",
        "get i j\r\n",
        "get k\r\n",
        "get l\r\n",
    ] {
        rig.proxy
            .received(client, Input::copied(request.as_bytes()));
    }
    rig.settle();
    let sent = "get a b\r\nget a\r\ngets c d\r\nget  e\r\nget f\r\nset g 0 0 1\r\n1\r\nget h\r\n\
                get i j\r\nget k l\r\n";
    assert_eq!(rig.take(shared), sent);
    rig.receive(client, "get m\r\n");
    assert_eq!(
        rig.take(shared),
        "get m\r\n",
        "what was sent is not added to"
    );
    rig.receive(
        shared,
        "VALUE b 0 1\r\nx\r\nEND\r\nVALUE a 0 1\r\ny\r\nEND\r\n\
         VALUE c 0 1 5\r\nz\r\nVALUE d 0 1 6\r\nz\r\nEND\r\n",
    );
    assert_eq!(
        rig.take(client),
        "END\r\nVALUE b 0 1\r\nx\r\nEND\r\nVALUE a 0 1\r\ny\r\nEND\r\n\
         VALUE c 0 1 5\r\nz\r\nEND\r\nVALUE d 0 1 6\r\nz\r\nEND\r\n"
    );
}

#[test]
fn a_bundle_has_so_many_keys_and_so_many_bytes() {
    for (len, most) in [(3, 32), (250, 7)] {
        let (mut rig, client) = one();
        let shared = rig.link(0);
        let requests: String = (0..100)
            .map(|number| format!("get {number:0len$}\r\n"))
            .collect();
        rig.receive(client, requests);
        let sent = rig.take(shared);
        let keys: Vec<usize> = sent
            .lines()
            .map(|line| line.split(' ').count() - 1)
            .collect();
        assert_eq!(keys.iter().sum::<usize>(), 100);
        assert_eq!((keys[0], keys.iter().max()), (most, Some(&most)));
    }
}

#[test]
fn large_values_of_a_bundle_pass_in_parts_and_wait_for_their_own_clients() {
    let limits = Limits {
        cut_through: 1000,
        window: 4000,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(memcached(1), limits);
    let clients = [rig.client(), rig.client(), rig.client()];
    for (client, key) in clients.iter().zip(["a", "b", "c"]) {
        rig.receive(*client, format!("get {key}\r\n"));
    }
    rig.establish();
    let shared = rig.link(0);
    assert_eq!(rig.take(shared), "get a b c\r\n");
    let value = |key: &str, len: usize| format!("VALUE {key} 0 {len}\r\n{}\r\n", key.repeat(len));
    let large = value("b", 20_000);
    rig.receive(shared, &large[..10_000]);
    assert_eq!(rig.take(clients[1]), large[..10_000]);
    rig.full.push(clients[1]);
    rig.receive(shared, &large[10_000..15_000]);
    let rest = format!("{}{}END\r\n", &large[15_000..], value("c", 5));
    rig.receive(shared, &rest[..1]);
    assert!(rig.proxy.wants_read(shared), "others wait, too");
    rig.receive(shared, &rest[1..]);
    let told = rig.proxy.output(clients[1]).expect("a client").to_vec();
    let expected = format!("{}END\r\n", &large[10_000..]);
    assert_eq!(String::from_utf8_lossy(&told), expected);
    assert_eq!(rig.take(clients[0]), "END\r\n");
    assert_eq!(rig.take(clients[2]), format!("{}END\r\n", value("c", 5)));
}

#[test]
fn a_value_larger_than_the_window_waits_for_nothing_that_its_own_bundle_passed_by() {
    let limits = Limits {
        cut_through: 100,
        window: 400,
        ..Limits::default()
    };
    let value = |key: &str, len: usize| format!("VALUE {key} 0 {len}\r\n{}\r\n", key.repeat(len));
    // All keys, those found of them, and how large their values are.
    for (keys, found, len) in [
        ("ab", "b", 10),
        ("ab", "b", 5000),
        ("abc", "c", 5000),
        ("abc", "b", 5000),
        ("abcdef", "bcef", 300),
        ("abcdef", "bdf", 5000),
    ] {
        let reply: String = found
            .chars()
            .map(|key| value(&key.to_string(), len))
            .collect();
        let reply = format!("{reply}END\r\n");
        for step in [1, 7, 150, 1000, reply.len()] {
            let mut rig = Rig::with_limits(memcached(1), limits);
            let client = rig.client();
            let requests: String = keys.chars().map(|key| format!("get {key}\r\n")).collect();
            rig.receive(client, requests);
            rig.establish();
            let shared = rig.link(0);
            assert_eq!(rig.take(shared).lines().count(), 1);
            for piece in reply.as_bytes().chunks(step) {
                rig.receive(shared, piece);
                assert!(rig.proxy.wants_read(shared), "{found} of {keys}");
            }
            let expected: String = keys
                .chars()
                .map(|key| match found.contains(key) {
                    true => format!("{}END\r\n", value(&key.to_string(), len)),
                    false => "END\r\n".into(),
                })
                .collect();
            assert_eq!(rig.take(client), expected, "{found} of {keys}");
            rig.receive(client, "get z\r\n");
            rig.receive(shared, "END\r\n");
            assert_eq!(rig.take(client), "END\r\n");
            let server = &rig.stats.pools[0].servers[0];
            assert_eq!(server.responses.read(), keys.len() as i64 + 1);
            assert_eq!(
                (server.out_queue.read(), server.out_queue_bytes.read()),
                (0, 0)
            );
        }
    }
}

#[test]
fn a_server_is_asked_for_many_keys_in_lines_of_moderate_length() {
    let mut rig = Rig::strict(Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    });
    let client = rig.client();
    let keys: Vec<String> = (0..2500).map(|number| format!("k{number}")).collect();
    rig.receive(client, format!("gets {}\r\n", keys.join(" ")));
    rig.establish();
    let link = rig.link(0);
    let written = rig.take(link);
    let lines: Vec<usize> = written
        .lines()
        .map(|line| line.split_whitespace().count() - 1)
        .collect();
    assert_eq!(lines, [1024, 1024, 452]);
    let value = |key: &String| format!("VALUE {key} 0 1 7\r\nv\r\n");
    let values = |keys: &[String]| keys.iter().map(value).collect::<String>() + "END\r\n";
    let found: Vec<_> = keys.chunks(1024).map(values).collect();
    rig.receive(link, found.concat());
    assert_eq!(rig.take(client), values(&keys));
}

#[test]
fn a_long_gat_is_sent_in_lines_as_long_as_any_may_be() {
    let config = Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    };
    // However few keys one turn may deal with.
    let limits = Limits {
        keys: 2,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(config, limits);
    rig.proxy.limits.strict = true;
    let client = rig.client();
    let keys: Vec<String> = (0..1500).map(|number| format!("k{number}")).collect();
    let line = format!("gats 60 {}\r\n", keys.join(" "));
    let (start, end) = line.split_at(3000);
    rig.receive(client, start);
    rig.receive(client, end.to_owned() + "get k1\r\n");
    rig.establish();
    let link = rig.link(0);
    let written = rig.take(link);
    let (asked, last) = written.split_at(written.len() - "get k1\r\n".len());
    assert_eq!(last, "get k1\r\n");
    let value = |key: &str| format!("VALUE {key} 0 1 7\r\nv\r\n");
    let answer = |line: &str| {
        assert!(
            line.len() + 2 <= 1024 && line.starts_with("gats 60 "),
            "{line}"
        );
        let keys = line.split_whitespace().skip(2);
        keys.map(value).collect::<String>() + "END\r\n"
    };
    let replies: String = asked.lines().map(answer).collect();
    rig.receive(link, replies + "VALUE k1 0 1\r\nv\r\nEND\r\n");
    let values: String = keys.iter().map(|key| value(key)).collect();
    assert_eq!(
        rig.take(client),
        values + "END\r\nVALUE k1 0 1\r\nv\r\nEND\r\n"
    );
    // What was noted of its lines is forgotten.
    let short = format!("gat 60 {}{}\r\n", " ".repeat(1100), keys[..3].join(" "));
    rig.receive(client, short);
    assert_eq!(rig.take(link), "gat 60 k0 k1 k2 \r\n");
    rig.receive(link, "END\r\n");
    assert_eq!(rig.take(client), "END\r\n");
}

#[test]
fn a_get_of_more_keys_than_there_is_memory_for_is_an_error() {
    let mut rig = Rig::strict(Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    });
    rig.proxy.set_memory(0, 16 * 1024 * 1024);
    let client = rig.client();
    let get = |keys| format!("get{}\r\n", " k".repeat(keys));
    rig.receive(client, get(65_537));
    let error = "SERVER_ERROR the request has too many keys for the memory that is free\r\n";
    assert_eq!(rig.take(client), error);
    rig.receive(client, get(65_536));
    rig.establish();
    assert_eq!(rig.take(rig.link(0)).lines().count(), 64);
}
