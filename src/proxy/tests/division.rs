//! Requests of very many keys, which take several turns.

use super::*;

/// So many keys are dealt with in one turn.
const SLICE: usize = 3;

fn sliced() -> Limits {
    Limits {
        keys: SLICE,
        ..Limits::default()
    }
}

fn memcached(servers: usize) -> Pool {
    Pool {
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(servers)
    }
}

/// Keys `from..to` of three servers in turn.
fn keys(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|it| key(it % 3, 3, it / 3)).collect()
}

impl Rig {
    /// One turn with nothing in it, and what it wants done.
    fn idle_turn(&mut self) {
        self.proxy.turn(self.now);
        self.proxy.expire();
        self.obey();
    }

    /// As `receive`, without the turns that follow.
    fn receive_only(&mut self, conn: ConnId, bytes: impl AsRef<[u8]>) {
        self.proxy.turn(self.now);
        self.proxy.received(conn, Input::copied(bytes.as_ref()));
        self.obey();
    }

    /// How many keys of the client's request have found their servers; none if it has no such request.
    fn divided(&self, conn: ConnId) -> Option<usize> {
        let super::super::ids::Side::Client(id) = conn.side() else {
            panic!("a client");
        };
        let division = self.proxy.clients.find(id)?.division.as_ref()?;
        Some(division.count())
    }
}

#[test]
fn a_request_of_very_many_keys_takes_a_turn_for_each_slice() {
    let (mut rig, client) = ready(pool(3), sliced());
    let neighbour = rig.client();
    rig.receive_only(client, ask(&format!("MGET {}", keys(0, 10).join(" "))));
    for done in [0, 3, 6, 9, 10] {
        assert_eq!(rig.divided(client), Some(done));
        // Others are served meanwhile.
        rig.proxy
            .received(neighbour, Input::copied(ask("GET key0").as_bytes()));
        rig.idle_turn();
        let sent: String = (0..3).map(|server| rig.take(rig.link(server))).collect();
        assert!(sent.contains("GET"), "{sent}");
        assert_eq!(sent.contains("mget"), done == 10, "{sent}");
    }
    assert_eq!(rig.divided(client), None);
}

#[test]
fn a_reply_of_very_many_elements_takes_a_turn_for_each_slice() {
    let (mut rig, client) = ready(pool(3), sliced());
    rig.receive(client, ask(&format!("MGET {}", keys(0, 10).join(" "))));
    for (server, count) in [(0, 4), (1, 3), (2, 3)] {
        let reply = format!("*{count}\r\n{}", "$-1\r\n".repeat(count));
        rig.receive_only(rig.link(server), reply);
    }
    for (elements, head) in [(3, "*10\r\n"), (3, ""), (3, ""), (1, "")] {
        assert_eq!(rig.take(client), "");
        rig.idle_turn();
        assert_eq!(
            rig.take(client),
            head.to_owned() + &"$-1\r\n".repeat(elements)
        );
    }
    assert!(rig.proxy.joining.is_empty());
}

/// What the servers are sent, each, and what the client gets when they have answered.
fn outcome(limits: Limits, pool: Pool, request: &str, reply: fn(&str) -> String) -> Vec<String> {
    let mut rig = Rig::with_limits(pool, limits);
    rig.proxy.limits.strict = true;
    let client = rig.client();
    let behind = if rig.proxy.pools[0].protocol == Protocol::Redis {
        "*1\r\n$4\r\nPING\r\n"
    } else {
        "mn\r\n"
    };
    rig.receive(client, request.to_owned() + behind);
    rig.establish();
    let links: Vec<ConnId> = rig.links.iter().map(|link| link.1).collect();
    let mut sent: Vec<String> = links.iter().map(|&link| rig.take(link)).collect();
    for (link, asked) in links.into_iter().zip(&sent) {
        rig.receive(link, reply(asked));
    }
    sent.push(rig.take(client));
    sent
}

#[test]
fn what_takes_several_turns_is_sent_and_answered_like_what_takes_one() {
    let names = keys(0, 11);
    let pairs: Vec<String> = names.iter().map(|key| format!("{key} v{key}")).collect();
    let redis = |asked: &str| {
        let count = asked[1..].lines().next().and_then(|it| it.parse().ok());
        let count = count.unwrap_or(1) - 1;
        match asked.lines().nth(2).map(str::to_lowercase).as_deref() {
            Some("mget") => format!("*{count}\r\n{}", "$-1\r\n".repeat(count)),
            Some("mset") => "+OK\r\n".to_owned(),
            _ => format!(":{count}\r\n"),
        }
    };
    let cache = |asked: &str| {
        let line = |line: &str| {
            let keys = line
                .split_whitespace()
                .skip(if line.starts_with("gat") { 2 } else { 1 });
            let found: String = keys
                .map(|key| format!("VALUE {key} 0 1\r\nx\r\n"))
                .collect();
            found + "END\r\n"
        };
        asked.lines().map(line).collect::<String>()
    };
    let words = names.join(" ");
    for request in [
        format!("MGET {words}"),
        format!("MSET {}", pairs.join(" ")),
        format!("DEL {words}"),
        format!("EXISTS {words} {words}"),
    ] {
        let request = ask(&request);
        for servers in [1, 3] {
            let several = outcome(sliced(), pool(servers), &request, redis);
            let one = outcome(Limits::default(), pool(servers), &request, redis);
            assert_eq!(several, one, "{request}");
        }
    }
    for request in [
        format!("get {words}\r\n"),
        format!("  gets  {}\r\n", names.join("   ")),
        format!("gat 100 {words}\n"),
    ] {
        let several = outcome(sliced(), memcached(3), &request, cache);
        let one = outcome(Limits::default(), memcached(3), &request, cache);
        assert_eq!(several, one, "{request}");
    }
    // A get of more keys than go into one line.
    let many: Vec<String> = (0..5000).map(|it| format!("k{it}")).collect();
    let request = format!("get {}\r\n", many.join(" "));
    for servers in [1, 3] {
        let several = outcome(sliced(), memcached(servers), &request, cache);
        let limits = Limits {
            keys: usize::MAX,
            ..Limits::default()
        };
        let one = outcome(limits, memcached(servers), &request, cache);
        assert_eq!(several, one);
    }
}

#[test]
fn what_is_asked_behind_many_keys_is_asked_behind_them() {
    let (mut rig, client) = ready(pool(3), sliced());
    let many = ask(&format!("DEL {}", keys(0, 7).join(" ")));
    let behind = ask("GET key0");
    let all = many.clone() + &behind + &many + &behind;
    // However it comes.
    for cut in 0..all.len() {
        rig.receive_only(client, &all[..cut]);
        rig.receive_only(client, &all[cut..]);
        rig.settle();
        let sent: String = (0..3).map(|server| rig.take(rig.link(server))).collect();
        assert_eq!(sent.matches("del").count(), 6, "cut at {cut}: {sent}");
        for server in 0..3 {
            let server = rig.link(server);
            rig.receive(server, ":2\r\n");
        }
        assert_eq!(rig.take(client), ":6\r\n", "cut at {cut}");
        let get = super::super::pool::router(&pool(3), &[true; 3]).pick(b"key0", 0);
        let get = rig.link(get.expect("a server").0);
        rig.receive(get, "$-1\r\n");
        for server in 0..3 {
            rig.receive(rig.link(server), ":1\r\n");
        }
        rig.receive(get, "$-1\r\n");
        assert_eq!(rig.take(client), "$-1\r\n:3\r\n$-1\r\n", "cut at {cut}");
    }
}

#[test]
fn all_keys_go_where_they_lived_when_the_request_came() {
    let (mut rig, client) = ready(pool(3), sliced());
    rig.receive_only(client, ask(&format!("DEL {}", keys(0, 9).join(" "))));
    rig.idle_turn();
    let router = super::super::pool::router(&pool(3), &[true, true, false]);
    rig.proxy.set_router(POOL, Arc::new(router));
    rig.settle();
    for server in 0..3 {
        let sent = rig.take(rig.link(server));
        assert!(sent.starts_with("*4\r\n$3\r\ndel\r\n"), "{sent}");
    }
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let (mut rig, client) = ready(pool(3), sliced());
    let held = rig.proxy.held();
    rig.receive_only(client, ask(&format!("DEL {}", keys(0, 9).join(" "))));
    rig.idle_turn();
    assert!(rig.proxy.held_for(client) > 300, "its memory counts");
    rig.proxy.failed(client, Cause::Reset);
    rig.settle();
    let sent: String = (0..3).map(|server| rig.take(rig.link(server))).collect();
    assert_eq!(sent, "");
    assert!(rig.proxy.held() < held, "nothing is kept for it");
    assert!(!rig.proxy.has_more_to_do());
}

#[test]
fn a_request_that_came_whole_is_served_before_the_end() {
    for drains in [false, true] {
        let (mut rig, client) = ready(pool(3), sliced());
        rig.receive_only(client, ask(&format!("DEL {}", keys(0, 9).join(" "))));
        match drains {
            true => rig.proxy.drain(),
            false => rig.proxy.ended(client),
        }
        rig.settle();
        assert!(!rig.is_closed(client));
        for server in 0..3 {
            rig.receive(rig.link(server), ":3\r\n");
        }
        rig.settle();
        assert_eq!(rig.take(client), ":9\r\n");
        assert!(rig.is_closed(client));
    }
}

#[test]
fn the_reply_to_many_keys_can_be_skipped() {
    let (mut rig, client) = ready(pool(3), sliced());
    let many = ask(&format!("DEL {}", keys(0, 9).join(" ")));
    rig.receive(client, ask("CLIENT REPLY SKIP") + &many + &ask("PING"));
    for server in 0..3 {
        rig.receive(rig.link(server), ":3\r\n");
    }
    assert_eq!(rig.take(client), "+PONG\r\n");
}

#[test]
fn many_keys_without_a_server_are_an_error_and_the_connection_goes_on() {
    let (mut rig, client) = ready(pool(3), sliced());
    let nobody = super::super::pool::router(&pool(3), &[false; 3]);
    rig.proxy.set_router(POOL, Arc::new(nobody));
    let many = ask(&format!("DEL {}", keys(0, 9).join(" ")));
    rig.receive(client, many + &ask("PING"));
    let reply = rig.take(client);
    assert!(reply.starts_with("-ERR Connection refused"), "{reply}");
    assert!(reply.ends_with("+PONG\r\n"), "{reply}");
}

#[test]
fn requests_of_many_keys_take_turns() {
    let (mut rig, first) = ready(pool(3), sliced());
    let second = rig.client();
    for client in [first, second] {
        rig.receive_only(client, ask(&format!("DEL {}", keys(0, 9).join(" "))));
    }
    // The first has had a turn when the second came.
    for (of_first, of_second) in [(3, 0), (6, 0), (6, 3), (9, 3), (9, 6)] {
        assert_eq!(rig.divided(first), Some(of_first));
        assert_eq!(rig.divided(second), Some(of_second));
        rig.idle_turn();
    }
}

#[test]
fn what_is_kept_of_a_request_is_looked_at_a_piece_a_turn() {
    let limits = Limits {
        outstanding: 1,
        ..Limits::default()
    };
    let endless = Pool {
        timeout: None,
        ..pool(1)
    };
    let (mut rig, client) = ready(endless, limits);
    rig.receive(client, ask("GET key0"));
    // What follows waits until that is answered; it is much more than one piece.
    let words = vec!["k"; 100_000].join(" ");
    let many = ask(&format!("DEL {words}"));
    for piece in many.as_bytes().chunks(10_000) {
        rig.receive_only(client, piece);
    }
    let link = rig.link(0);
    rig.receive_only(link, "$-1\r\n");
    let mut turns = 0;
    while rig.divided(client).is_none() {
        rig.idle_turn();
        turns += 1;
        assert!(turns < 100, "nothing goes on");
    }
    assert!(turns >= many.len() / (2 * 64 * 1024), "{turns}");
}
