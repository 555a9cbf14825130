//! What breaks, and who notices.

use super::*;

const TIMEOUT: Duration = Duration::from_millis(400);

#[test]
fn a_refused_connection_fails_what_waits_for_it_and_nothing_else() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.proxy.ended(rig.link(0));
    rig.settle();
    rig.receive(
        client,
        [&a, &b, &a].map(|key| ask(&format!("GET {key}"))).concat(),
    );
    rig.proxy.failed(rig.link(0), Cause::Refused);
    rig.settle();
    assert_eq!(rig.take(client), "-ERR Connection refused\r\n");
    rig.receive(rig.link(1), ":1\r\n");
    assert_eq!(rig.take(client), ":1\r\n-ERR Connection refused\r\n");
    assert_eq!(
        rig.failures,
        [Cause::Refused],
        "closing an idle connection is no failure"
    );
}

#[test]
fn a_server_that_closes_fails_all_requests_on_the_connection() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET a") + &ask("GET b"));
    rig.receive(rig.link(0), ":1\r\n$5\r\nhal");
    rig.proxy.ended(rig.link(0));
    rig.settle();
    assert_eq!(rig.take(client), ":1\r\n-ERR unknown\r\n");
    rig.receive(client, ask("GET c"));
    rig.establish();
    assert_eq!(
        rig.take(rig.link(0)),
        ask("GET c"),
        "the next request opens another connection"
    );
}

#[test]
fn a_late_request_is_answered_and_its_reply_swallowed() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let other = rig.client();
    rig.receive(client, ask("GET slow"));
    rig.pass(TIMEOUT / 2);
    rig.receive(other, ask("GET x") + &ask("GET y"));
    rig.receive(rig.link(0), "$4\r\n");
    rig.pass(TIMEOUT / 2);
    assert_eq!(rig.take(client), "-ERR Connection timed out\r\n");
    assert_eq!(rig.take(other), "");
    rig.receive(client, ask("GET z"));
    rig.receive(rig.link(0), "slow\r\n:1\r\n:2\r\n:3\r\n");
    assert_eq!(rig.take(other), ":1\r\n:2\r\n");
    assert_eq!(rig.take(client), ":3\r\n");
    assert_eq!(rig.failures, [Cause::TimedOut]);
    assert_eq!(rig.links.len(), 1);
}

#[test]
fn a_silent_connection_is_dead_after_the_timeout() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET a"));
    rig.pass(TIMEOUT / 4);
    rig.receive(client, ask("GET b"));
    rig.pass(TIMEOUT / 4 * 3 - Duration::from_micros(1));
    assert_eq!(rig.take(client), "");
    rig.pass(Duration::from_micros(1));
    assert_eq!(rig.take(client), "-ERR Connection timed out\r\n".repeat(2));
    assert!(rig.is_closed(rig.link(0)));
    assert_eq!(rig.failures, [Cause::TimedOut]);
}

#[test]
fn without_a_timeout_requests_wait_but_connections_do_not() {
    let patient = Pool {
        timeout: None,
        ..pool(1)
    };
    let (mut rig, client) = ready(patient, Limits::default());
    rig.receive(client, ask("GET a"));
    rig.pass(Duration::from_secs(3600));
    assert_eq!(rig.take(client), "");
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(rig.take(client), ":1\r\n");
    rig.proxy.ended(rig.link(0));
    rig.receive(client, ask("GET b"));
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.take(client), "-ERR Connection timed out\r\n");
}

#[test]
fn what_is_no_reply_closes_the_connection_and_reaches_no_client() {
    for garbage in ["HTTP/1.1 200 OK\r\n", "$3\r\nabcd\r\n", "!\r\n", "$-7\r\n"] {
        let (mut rig, client) = ready(pool(1), Limits::default());
        rig.receive(client, ask("GET a") + &ask("GET b"));
        rig.receive(rig.link(0), garbage);
        assert_eq!(
            rig.take(client),
            "-ERR Invalid argument\r\n".repeat(2),
            "{garbage:?}"
        );
        assert!(rig.is_closed(rig.link(0)));
    }
}

#[test]
fn a_surplus_reply_closes_the_connection() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET a"));
    rig.receive(rig.link(0), ":1\r\n:1\r\n");
    assert_eq!(rig.take(client), ":1\r\n");
    assert!(rig.is_closed(rig.link(0)));
    assert!(rig.notices.contains(&What::Surplus));
}

#[test]
fn a_reply_to_a_request_that_was_not_sent_yet_is_surplus() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.full.push(rig.link(0));
    rig.receive(client, ask("GET a"));
    let link = rig.link(0);
    rig.receive(link, ":1\r\n");
    assert_eq!(rig.take(client), "", "it goes on over another connection");
    assert!(rig.is_closed(link));
    assert!(rig.notices.contains(&What::Surplus));
}

#[test]
fn a_reply_before_the_end_of_its_request_leaves_the_gauges_right() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    rig.full.push(link);
    rig.receive(client, ask("GET a"));
    rig.proxy.sent(link, 5);
    rig.receive(link, "-ERR so soon\r\n");
    assert_eq!(rig.take(client), "-ERR so soon\r\n");
    let rest = rig.proxy.output(link).expect("not closed").len();
    rig.proxy.sent(link, rest);
    let stats = &rig.proxy.stats.pools[0].servers[0];
    let gauges = [
        &stats.in_queue,
        &stats.in_queue_bytes,
        &stats.out_queue,
        &stats.out_queue_bytes,
    ];
    assert_eq!(gauges.map(|gauge| gauge.read()), [0; 4]);
}

#[test]
fn a_failed_fragment_fails_its_request_only() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let (a, b) = (key(0, 2, 0), key(1, 2, 0));
    rig.receive(
        client,
        ask(&format!("MGET {a} {b}")) + &ask(&format!("GET {b}")),
    );
    rig.receive(rig.link(1), "*1\r\n$1\r\nb\r\n$1\r\nb\r\n");
    rig.proxy.failed(rig.link(0), Cause::Reset);
    rig.settle();
    assert_eq!(
        rig.take(client),
        "-ERR Connection reset by peer\r\n$1\r\nb\r\n"
    );
    assert!(!rig.is_closed(client));
}

#[test]
fn with_no_live_server_requests_fail_at_once() {
    let config = pool(2);
    let router = super::super::pool::router(&config, &[false, false]);
    let mut rig = Rig::new(config);
    let client = rig.client();
    rig.proxy.set_router(POOL, Arc::new(router));
    rig.receive(client, ask("GET a") + &ask("MGET a b c d"));
    assert_eq!(rig.take(client), "-ERR Connection refused\r\n".repeat(2));
    assert!(rig.links.is_empty());
}

#[test]
fn attempts_to_connect_to_a_server_that_refuses_become_rare() {
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    let mut attempts = 0;
    for _ in 0..60_000 {
        rig.receive(client, ask("GET a"));
        if rig.links.len() > attempts {
            attempts = rig.links.len();
            rig.proxy.failed(rig.link(0), Cause::Refused);
            rig.settle();
        }
        assert_eq!(rig.take(client), "-ERR Connection refused\r\n");
        rig.now = rig.now + Duration::from_millis(1);
    }
    assert!(
        (55..100).contains(&attempts),
        "{attempts} attempts in a minute"
    );
}

#[test]
fn many_servers_that_refuse_are_tried_no_more_often_than_a_few() {
    const SERVERS: usize = 300;
    let mut rig = Rig::new(pool(SERVERS));
    // A new client may not ask that many at once.
    let clients = [rig.client(), rig.client(), rig.client()];
    let keys: Vec<String> = (0..SERVERS)
        .map(|server| ask(&format!("GET {}", key(server, SERVERS, 0))))
        .collect();
    let mut attempts = [0; 20];
    for attempts in &mut attempts {
        for _ in 0..10 {
            for (client, keys) in clients.iter().zip(keys.chunks(SERVERS / 3)) {
                rig.receive(*client, keys.concat());
            }
            rig.now = rig.now + Duration::from_millis(100);
            *attempts += rig.links.len();
            for (_, link) in std::mem::take(&mut rig.links) {
                rig.proxy.failed(link, Cause::Refused);
            }
            rig.settle();
            let told = clients.map(|client| rig.take(client)).concat();
            assert_eq!(told, "-ERR Connection refused\r\n".repeat(SERVERS));
        }
    }
    assert!(attempts[0] >= SERVERS, "the first ones follow at once");
    assert!(
        attempts[2..].iter().all(|&count| count <= 120),
        "{attempts:?}"
    );
    assert!(
        attempts[2..].iter().all(|&count| count >= 80),
        "{attempts:?}"
    );
}

#[test]
fn a_refused_greeting_is_never_the_clients_fault() {
    let config = Pool {
        redis_db: 9,
        ..pool(1)
    };
    let mut rig = Rig::new(config);
    let client = rig.client();
    rig.receive(client, ask("SET a 1"));
    rig.establish();
    let link = rig.link(0);
    assert_eq!(rig.take(link), ask("SELECT 9"));
    rig.receive(link, "-ERR DB index is out of range\r\n");
    assert_eq!(
        rig.take(client),
        "-ERR server refused the pool's database\r\n"
    );
    assert_eq!(rig.take(link), "", "never in another database");
    assert!(rig.is_closed(link));
}

#[test]
fn loading_is_passed_on_and_counts_as_a_failure() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("GET a"));
    rig.receive(
        rig.link(0),
        "-LOADING Redis is loading the dataset in memory\r\n",
    );
    assert_eq!(
        rig.take(client),
        "-LOADING Redis is loading the dataset in memory\r\n"
    );
    assert_eq!(rig.failures.len(), 1);
    assert!(!rig.is_closed(rig.link(0)));
}

#[test]
fn a_full_queue_refuses_every_request_and_is_told_of_once() {
    let limits = Limits {
        queue: 100,
        queue_most: 100,
        ..Limits::default()
    };
    let (mut rig, client) = ready(pool(1), limits);
    let (link, request) = (rig.link(0), ask("GET abcdefgh"));
    let told = |rig: &Rig| {
        let full = |what: &&What| matches!(what, What::QueueFull { waiting } if *waiting >= 100);
        rig.notices.iter().filter(full).count()
    };
    for round in 1..=2 {
        rig.full.push(link);
        rig.receive(client, request.repeat(10));
        assert_eq!(told(&rig), round);
        // The server takes what waits, and answers it.
        rig.full.clear();
        let len = rig.proxy.output(link).expect("it is open").len();
        rig.proxy.sent(link, len);
        rig.receive(link, ":1\r\n".repeat(len / request.len()));
        let replies = rig.take(client);
        let refused = replies.matches("-ERR too many requests are waiting for the server\r\n");
        assert_eq!(refused.count() + replies.matches(":1\r\n").count(), 10);
    }
}

/// A pool whose server is ejected at the first failure, with connections of a client's own.
fn of_its_own() -> (Rig, ConnId) {
    let config = Pool {
        auto_eject_hosts: true,
        ..pool(1)
    };
    ready(config, Limits::default())
}

#[test]
fn a_refused_connection_of_ones_own_does_not_count_while_shared_ones_work() {
    let refused = b"-ERR max number of clients reached\r\n";
    for round in 0..12 {
        let (mut rig, client) = of_its_own();
        rig.receive(client, ask("BLPOP list 0"));
        assert_eq!(rig.links.len(), 2, "a connection of its own");
        let own = rig.link(0);
        match round % 4 {
            0 => rig.proxy.failed(own, Cause::Refused),
            1 => rig.pass(Duration::from_secs(5)),
            2 => {
                rig.establish();
                rig.receive(own, refused);
                rig.proxy.ended(own);
            }
            _ => {
                rig.proxy.connected(own);
                rig.receive(own, refused);
                rig.proxy.failed(own, Cause::Reset);
            }
        }
        rig.settle();
        assert_eq!(rig.failures, [], "round {round}");
        assert!(rig.take(client).starts_with('-'), "round {round}");
        // The shared one is tried at once when it is needed again.
        rig.proxy.ended(rig.links[0].1);
        rig.receive(client, ask("GET a"));
        rig.establish();
        assert_eq!(rig.take(rig.link(0)), ask("GET a"), "round {round}");
    }
}

#[test]
fn a_connection_of_ones_own_that_is_refused_counts_while_no_shared_one_works() {
    let (mut rig, client) = of_its_own();
    rig.proxy.ended(rig.link(0));
    for number in 1..=3 {
        rig.receive(client, ask("BLPOP list 0"));
        rig.proxy.failed(rig.link(0), Cause::Refused);
        rig.settle();
        assert_eq!(rig.take(client), "-ERR Connection refused\r\n");
        assert_eq!(rig.failures.len(), number);
    }
    // One that was established and then refused shows nothing that ordinary requests would meet.
    rig.pass(Duration::from_secs(2));
    rig.receive(client, ask("BLPOP list 0"));
    rig.establish();
    rig.proxy.ended(rig.link(0));
    rig.settle();
    assert_eq!(rig.failures.len(), 3);
}

#[test]
fn a_refused_connection_for_a_large_message_does_not_count_while_shared_ones_work() {
    let config = Pool {
        auto_eject_hosts: true,
        ..pool(1)
    };
    let limits = Limits {
        large_message: 20_000,
        upload_proof: 0,
        ..Limits::default()
    };
    let (mut rig, client) = ready(config, limits);
    let value = "v".repeat(100_000);
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n{value}\r\n");
    let (head, tail) = request.split_at(2000);
    let shared = rig.link(0);
    for is_shared in [true, false] {
        if !is_shared {
            rig.proxy.ended(shared);
        }
        let before = rig.links.len();
        rig.receive(client, head);
        assert_eq!(rig.links.len(), before + 1, "a spare connection");
        rig.proxy.failed(rig.link(0), Cause::Refused);
        rig.receive(client, tail);
        assert_eq!(rig.take(client), "-ERR Connection refused\r\n");
        assert_eq!(rig.failures.is_empty(), is_shared);
    }
}
