//! Connections that are left unread until their client has room again: nothing it waits for may be kept back
//! by that.

use super::*;

fn memcached(servers: usize) -> Pool {
    Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(servers)
    }
}

fn limits() -> Limits {
    Limits {
        window: 4096,
        cut_through: 1024,
        ..Limits::default()
    }
}

/// A value as memcached sends it.
fn value(key: &str, len: usize) -> String {
    format!("VALUE {key} 0 {len}\r\n{}\r\n", "v".repeat(len))
}

#[test]
fn the_end_of_a_joined_get_is_read_while_later_replies_fill_the_window() {
    let mut rig = Rig::with_limits(memcached(2), limits());
    let client = rig.client();
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    let gets = [format!("get {a} {b}\r\n"), format!("get {a}\r\n").repeat(3)];
    rig.receive(client, gets.concat());
    rig.establish();
    let (first, second) = (rig.link(0), rig.link(1));
    let (small, large) = (value(&a, 2000), value(&b, 3000));
    rig.receive(second, &large[..1500]);
    let found = format!("{small}END\r\n");
    rig.receive(first, found.repeat(4));
    rig.receive(second, &large[1500..]);
    assert_eq!(rig.take(client), format!("{small}{large}"));
    rig.receive(second, "END\r\n");
    assert!(rig.proxy.wants_read(second));
    assert_eq!(rig.take(client), format!("END\r\n{}", found.repeat(3)));
}

#[test]
fn a_get_sent_in_several_lines_is_passed_on_in_parts() {
    for servers in [1, 2] {
        let mut rig = Rig::with_limits(memcached(servers), limits());
        let client = rig.client();
        let on_first: Vec<String> = (0..2500).map(|number| format!("k{number}")).collect();
        let router = crate::proxy::pool::router(&pool(servers), &vec![true; servers]);
        let keys_of = |server: u16| {
            let is_there =
                |key: &&String| router.pick(key.as_bytes(), 0) == Some(ServerIndex(server));
            on_first.iter().filter(is_there).collect::<Vec<_>>()
        };
        let get = on_first
            .iter()
            .map(|key| format!(" {key}"))
            .collect::<String>();
        // What comes behind fills the window, too.
        rig.receive(client, format!("get{get}\r\nget k1\r\n"));
        rig.establish();
        let mut replies: Vec<(ConnId, Vec<u8>)> = Vec::new();
        for server in 0..servers as u16 {
            let lines = keys_of(server);
            let mut reply = String::new();
            for line in lines.chunks(1024) {
                reply.extend(line.iter().map(|key| value(key, 50)));
                reply += "END\r\n";
            }
            if lines.iter().any(|key| *key == "k1") {
                reply += &format!("{}END\r\n", value("k1", 6000));
            }
            replies.push((rig.link(server), reply.into_bytes()));
        }
        let mut passed = String::new();
        let mut most = 0;
        let mut given = 0;
        // Each server sends as long as it is read.
        while replies.iter().any(|(_, rest)| !rest.is_empty()) {
            let mut any = false;
            for (link, rest) in &mut replies {
                if !rest.is_empty() && rig.proxy.wants_read(*link) {
                    any = true;
                    let piece: Vec<u8> = rest.drain(..rest.len().min(700)).collect();
                    given += piece.len();
                    rig.receive(*link, piece);
                    passed += &rig.take(client);
                    most = most.max(given - passed.len().min(given));
                }
            }
            assert!(
                any,
                "no server is read, and {} bytes were passed on",
                passed.len()
            );
        }
        let values: String = on_first.iter().map(|key| value(key, 50)).collect();
        let last = value("k1", 6000);
        assert!(
            passed == format!("{values}END\r\n{last}END\r\n"),
            "{servers} servers"
        );
        assert!(most < 20_000, "{most} bytes were kept at a time");
    }
}

#[test]
fn replies_that_are_too_long_to_be_joined_leave_no_connection_unread() {
    let limits = Limits {
        join: 20_000,
        ..limits()
    };
    let (mut rig, client) = ready(pool(3), limits);
    rig.receive(client, ask("CONFIG GET *"));
    let other = rig.client();
    rig.receive(other, ask(&format!("GET {}", key(0, 3, 0))));
    let [shared, alone, last] = [0, 1, 2].map(|server| rig.link(server));
    let head = "*2\r\n$4\r\nsave\r\n$30000\r\n";
    rig.receive(alone, head.to_string() + &"v".repeat(5000));
    rig.receive(alone, "v");
    assert!(!rig.proxy.wants_read(alone));
    rig.receive(shared, head.to_string() + &"v".repeat(25_000));
    assert!(rig.proxy.wants_read(alone));
    rig.receive(alone, "v".repeat(24_999) + "\r\n");
    rig.receive(last, "*0\r\n");
    rig.receive(shared, "v".repeat(5000) + "\r\n$-1\r\n");
    let error = rig.take(client);
    assert!(error.starts_with("-ERR "), "{error}");
    assert_eq!(rig.take(other), "$-1\r\n");
}
