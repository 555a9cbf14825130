//! What becomes of clients and requests while memory is scarce.

use super::*;
use crate::proxy::Balance;
use crate::stats::{Counter, PoolStats};

/// Bytes there may be in these tests.
const LIMIT: u64 = 4_000_000;
/// Three quarters are in use: 250,000 bytes are to be given back.
const TIGHT: u64 = 3_000_000;
/// Seven eighths are.
const SHORT: u64 = 3_500_000;

fn count(rig: &Rig, counter: fn(&PoolStats) -> &Counter) -> i64 {
    counter(&rig.stats.pools[0]).read()
}

/// Has the client asked for a value of `count` bytes that it does not read.
fn leave_unread(rig: &mut Rig, client: ConnId, count: usize) {
    rig.full.push(client);
    rig.receive(client, ask("GET a"));
    let reply = format!("${count}\r\n{}\r\n", "v".repeat(count));
    rig.receive(rig.link(0), reply);
}

/// So much is in use for so long, as the worker is told ten times a second.
fn hold_at(rig: &mut Rig, used: u64, time: Duration) {
    rig.proxy.set_memory(used, LIMIT);
    for _ in 0..time.as_millis() / 100 {
        rig.pass(Duration::from_millis(100));
        rig.proxy.set_memory(used, LIMIT);
    }
}

/// A pool of one server, a client with `count` bytes unread, and a neighbour; and one that has more unread,
/// which is to give way first.
fn pressed(count: usize) -> (Rig, ConnId, ConnId, ConnId) {
    let (mut rig, slow) = ready(pool(1), Limits::default());
    let (other, worst) = (rig.client(), rig.client());
    leave_unread(&mut rig, worst, 400_000);
    leave_unread(&mut rig, slow, count);
    (rig, slow, other, worst)
}

#[test]
fn under_pressure_clients_have_less_until_it_is_over() {
    let limits = Limits {
        window: 100_000,
        ..Limits::default()
    };
    let (mut rig, slow) = ready(pool(1), limits);
    let other = rig.client();
    leave_unread(&mut rig, slow, 20_000);
    assert!(rig.proxy.wants_read(slow));
    rig.proxy.set_memory(TIGHT, LIMIT);
    rig.take(rig.link(0));
    rig.receive(slow, ask("GET b") + &ask("GET c"));
    assert_eq!(rig.take(rig.link(0)), "");
    assert_eq!(count(&rig, |stats| &stats.client_output_limit_hits), 1);
    // Those who read are served as ever.
    rig.receive(other, ask("GET d"));
    rig.receive(rig.link(0), ":1\r\n");
    assert_eq!(rig.take(other), ":1\r\n");
    rig.take(rig.link(0));
    rig.proxy.set_memory(0, LIMIT);
    rig.settle();
    assert!(rig.proxy.wants_read(slow));
    assert_eq!(rig.take(rig.link(0)), ask("GET b") + &ask("GET c"));
}

#[test]
fn a_connection_left_unread_under_pressure_is_read_again_after_it() {
    let limits = Limits {
        window: 80_000,
        ..Limits::default()
    };
    let (mut rig, slow) = ready(pool(1), limits);
    leave_unread(&mut rig, slow, 45_000);
    rig.receive(slow, ask("GET b"));
    rig.proxy.set_memory(TIGHT, LIMIT);
    rig.receive(rig.link(0), ":1\r\n");
    assert!(!rig.proxy.wants_read(rig.link(0)));
    rig.proxy.set_memory(0, LIMIT);
    rig.settle();
    assert!(rig.proxy.wants_read(rig.link(0)));
    rig.full.clear();
    let unread = rig.proxy.output(slow).expect("alive").len();
    assert_eq!(unread, "$45000\r\n".len() + 45_002 + 4);
}

#[test]
fn with_memory_short_and_no_client_to_close_requests_are_answered_with_an_error() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    hold_at(&mut rig, SHORT, Duration::from_millis(100));
    rig.receive(client, ask("GET a"));
    rig.receive(rig.link(0), "$-1\r\n");
    assert_eq!(rig.take(client), "$-1\r\n", "it may be over in a moment");
    rig.take(rig.link(0));
    hold_at(&mut rig, SHORT, Duration::from_millis(200));
    let large = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n{}",
        "v".repeat(20_000)
    );
    let both = format!("MGET {} {}", key(0, 2, 0), key(1, 2, 0));
    rig.receive(client, ask("PING") + &ask("GET a") + &ask(&both));
    // In two parts, so that it is taken for a large one.
    rig.receive(client, &large[..100]);
    rig.receive(client, large[100..].to_owned() + "\r\n");
    let error = "-ERR the proxy is short of memory\r\n";
    assert_eq!(rig.take(client), "+PONG\r\n".to_owned() + &error.repeat(3));
    assert!(count(&rig, |stats| &stats.memory_limit_hits) >= 3);
    rig.proxy.set_memory(0, LIMIT);
    rig.receive(client, ask("GET a"));
    assert_eq!(rig.take(client), "", "it went to its server");
    assert_eq!(rig.failures, [], "the servers have done nothing wrong");
}

#[test]
fn no_request_is_refused_while_a_client_can_be_closed_instead() {
    let (mut rig, _, other, worst) = pressed(100_000);
    for (used, more) in [(SHORT, 0), (LIMIT + 100, 400_000)] {
        // What others hold is more than is to be given back.
        for _ in 0..3 {
            let hoarder = rig.client();
            leave_unread(&mut rig, hoarder, 400_000 + more);
        }
        rig.proxy.set_memory(used, LIMIT);
        rig.settle();
        rig.receive(other, ask("GET d"));
        assert!(rig.is_closed(worst));
        rig.receive(rig.link(0), ":1\r\n");
        assert_eq!(rig.take(other), ":1\r\n");
    }
    assert_eq!(count(&rig, |stats| &stats.memory_limit_hits), 0);
}

#[test]
fn those_who_hold_the_most_give_way_first_and_who_holds_little_stays() {
    let (mut rig, slow, other, worst) = pressed(200_000);
    let limit = 640_000;
    for loser in [worst, slow] {
        rig.proxy.set_memory(limit / 4 * 3 + 1000, limit);
        rig.settle();
        assert_eq!(rig.closed.pop(), Some((loser, CloseHow::Reset)));
        assert!(rig.closed.is_empty());
    }
    assert!(matches!(rig.notices[0], What::ShedClient { held } if held > 400_000));
    rig.proxy.set_memory(limit + 1000, limit);
    rig.settle();
    assert!(!rig.is_closed(other), "nothing is gained by closing it");
    assert_eq!(count(&rig, |stats| &stats.memory_limit_closed), 2);
}

#[test]
fn one_that_reads_fast_stays_while_one_that_reads_nothing_holds_less() {
    let (mut rig, slow, _, worst) = pressed(100_000);
    let limit = 640_000;
    rig.proxy.set_memory(limit / 3, limit);
    for _ in 0..8 {
        rig.pass(Duration::from_secs(1));
        // It takes all it has, and asks for as much again.
        rig.full.retain(|full| *full != worst);
        let taken = rig.proxy.output(worst).expect("alive").len();
        rig.proxy.sent(worst, taken);
        leave_unread(&mut rig, worst, 400_000);
        rig.proxy.set_memory(limit / 3, limit);
    }
    rig.proxy.set_memory(limit / 4 * 3, limit);
    rig.settle();
    assert_eq!(rig.closed, [(slow, CloseHow::Reset)]);
}

#[test]
fn a_queue_that_its_server_does_not_take_is_given_up() {
    let mut rig = Rig::new(pool(1));
    let client = rig.client();
    rig.receive(client, ask(&format!("SET a {}", "v".repeat(100_000))));
    rig.proxy.set_memory(LIMIT, LIMIT);
    rig.settle();
    assert!(rig.is_closed(rig.link(0)));
    assert_eq!(rig.take(client), "-ERR the proxy is short of memory\r\n");
    assert_eq!(rig.failures, [], "the server has done nothing wrong");
}

#[test]
fn a_connection_whose_server_takes_what_it_is_sent_is_not_given_up() {
    let (mut rig, _, other, worst) = pressed(100_000);
    rig.take(rig.link(0));
    let crowd: Vec<ConnId> = (0..20).map(|_| rig.client()).collect();
    for client in &crowd {
        rig.receive(*client, ask("GET a").repeat(50));
    }
    assert_eq!(rig.take(rig.link(0)).matches("GET").count(), 20 * 50);
    // More is on its way.
    rig.full.push(rig.link(0));
    rig.receive(other, ask(&format!("SET a {}", "v".repeat(40_000))));
    for _ in 0..4 {
        rig.proxy.set_memory(LIMIT + 1000, LIMIT);
        rig.settle();
        rig.pass(Duration::from_millis(20));
    }
    assert!(rig.is_closed(worst));
    assert!(!rig.is_closed(rig.link(0)));
    rig.receive(rig.link(0), ":1\r\n".repeat(20 * 50));
    for client in crowd {
        assert_eq!(rig.take(client), ":1\r\n".repeat(50));
    }
}

#[test]
fn of_several_workers_those_give_way_who_hold_the_most() {
    let balance = Arc::new(Balance::new(2, 1));
    let (mut first, large) = ready(pool(1), Limits::default());
    let mut second = Rig::of_worker((1, 2), pool(1), Limits::default());
    let (small, other) = (second.client(), second.client());
    for client in [small, other] {
        second.receive(client, ask("GET a"));
    }
    second.establish();
    second.receive(second.link(0), "$-1\r\n".repeat(2));
    leave_unread(&mut first, large, 500_000);
    leave_unread(&mut second, small, 100_000);
    for rig in [&mut first, &mut second] {
        rig.proxy.set_balance(Arc::clone(&balance));
        // Half is in use: they tell each other what they hold.
        rig.turn();
        rig.proxy.set_memory(TIGHT / 3 * 2, LIMIT);
    }
    // The second one sees first that it is too much, and has the lesser holder.
    second.proxy.set_memory(TIGHT, LIMIT);
    second.settle();
    assert_eq!(second.closed, []);
    first.proxy.set_memory(TIGHT, LIMIT);
    first.settle();
    assert!(first.is_closed(large));
    // If the first one had slept, the second would not have waited for it.
    second.pass(Duration::from_millis(1400));
    second.proxy.set_memory(TIGHT, LIMIT);
    second.settle();
    assert!(second.is_closed(small) && !second.is_closed(other));
}

#[test]
fn nobody_is_refused_while_another_worker_gives_memory_back() {
    let balance = Arc::new(Balance::new(2, 1));
    let (mut first, large) = ready(pool(1), Limits::default());
    let mut second = Rig::of_worker((1, 2), pool(1), Limits::default());
    let other = second.client();
    second.receive(other, ask("GET a"));
    second.establish();
    second.receive(second.link(0), "$-1\r\n");
    second.take(other);
    leave_unread(&mut first, large, 700_000);
    for rig in [&mut first, &mut second] {
        rig.proxy.set_balance(Arc::clone(&balance));
        rig.pass(Duration::from_secs(1));
        rig.proxy.set_memory(TIGHT, LIMIT);
    }
    let served = |second: &mut Rig, why: &str| {
        second.receive(other, ask("GET a"));
        second.receive(second.link(0), "$-1\r\n");
        assert_eq!(second.take(other), "$-1\r\n", "{why}");
    };
    // The first one is in a long turn.
    hold_at(&mut second, SHORT, Duration::from_secs(4));
    served(&mut second, "it will give way");
    first.pass(Duration::from_secs(4));
    first.proxy.set_memory(SHORT, LIMIT);
    first.settle();
    assert!(first.is_closed(large));
    second.proxy.set_memory(SHORT, LIMIT);
    served(&mut second, "it was closed, and is not free yet");
    // Both have seen that it is enough, and then it is not.
    for rig in [&mut first, &mut second] {
        rig.proxy.set_memory(0, LIMIT);
    }
    hold_at(&mut second, SHORT, Duration::from_millis(300));
    second.receive(other, ask("GET a"));
    assert_eq!(second.take(other), "-ERR the proxy is short of memory\r\n");
    assert_eq!(count(&second, |stats| &stats.memory_limit_hits), 1);
}

/// What the client takes when it takes all there is, again and again.
fn take_all(rig: &mut Rig, client: ConnId) -> String {
    let mut taken = Vec::new();
    while let Some(output) = rig.proxy.output(client).filter(|it| !it.is_empty()) {
        let bytes = output.to_vec();
        rig.proxy.sent(client, bytes.len());
        taken.extend(bytes);
        rig.turn();
    }
    String::from_utf8(taken).expect("text")
}

#[test]
fn long_replies_of_our_own_are_made_as_they_are_taken() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("COMMAND DOCS"));
    let reply = rig.take(client);
    assert!(reply.len() > 8 * 1024);
    rig.full.push(client);
    rig.receive(client, ask("COMMAND DOCS").repeat(60) + &ask("PING"));
    let waiting = rig.proxy.output(client).expect("alive").len();
    assert!(waiting < 16 * 1024 + reply.len(), "{waiting} bytes");
    // What it asks meanwhile is kept.
    assert!(rig.proxy.wants_read(client));
    assert_eq!(take_all(&mut rig, client), reply.repeat(60) + "+PONG\r\n");
}

#[test]
fn in_one_turn_few_long_replies_of_our_own_are_made() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, ask("COMMAND DOCS"));
    let each = 3 * rig.take(client).len();
    rig.written.clear();
    let crowd: Vec<ConnId> = (0..100).map(|_| rig.client()).collect();
    rig.proxy.turn(rig.now);
    let asked = "COMMAND DOCS\r\n".repeat(3);
    for client in &crowd {
        rig.proxy.received(*client, Input::copied(asked.as_bytes()));
    }
    let waiting = |conn: &ConnId| rig.proxy.output(*conn).map_or(0, |it| it.len());
    let made: usize = crowd.iter().map(waiting).sum();
    assert!((1..400 * 1024).contains(&made), "{made} bytes in a turn");
    assert!(rig.proxy.next_deadline().is_some_and(|due| due <= rig.now));
    // It takes as many turns as are needed.
    rig.settle();
    let told: usize = rig.written.values().map(Vec::len).sum();
    assert_eq!(told, 100 * each, "all had all of them");
}

#[test]
fn behind_a_servers_reply_long_ones_of_our_own_are_not_made_ahead() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let before = rig.proxy.held();
    rig.receive(client, ask("GET a") + &ask("COMMAND DOCS").repeat(60));
    let grown = rig.proxy.held() - before;
    assert!(grown < 100 * 1024, "{grown} bytes");
    rig.full.push(client);
    rig.receive(rig.link(0), ":1\r\n");
    let taken = take_all(&mut rig, client);
    assert!(taken.starts_with(":1\r\n*"));
    assert_eq!(taken.matches("$4\r\nsave\r\n").count(), 60);
}

#[test]
fn a_long_reply_of_our_own_is_kept_once_for_all_who_wait_for_it() {
    let (mut rig, _) = ready(pool(1), Limits::default());
    let before = rig.proxy.held();
    for _ in 0..100 {
        let client = rig.client();
        rig.full.push(client);
        rig.receive(client, "COMMAND DOCS\r\n".repeat(60));
    }
    let grown = rig.proxy.held() - before;
    assert!(grown < 100 * 4 * 1024, "{grown} bytes");
}

#[test]
fn a_client_that_sends_no_more_of_a_request_is_closed() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let (slow, idle) = (rig.client(), rig.client());
    for client in [client, slow] {
        rig.receive(client, "*2\r\n$3\r\nGET\r\n$10\r\n");
    }
    rig.receive(idle, ask("PING"));
    for _ in 0..4 {
        assert!(!rig.is_closed(client) && rig.proxy.wants_read(client));
        rig.pass(Duration::from_secs(8));
        rig.receive(slow, "x");
    }
    assert_eq!(rig.closed, [(client, CloseHow::Reset)]);
    assert!(matches!(rig.notices[..], [What::StalledRequest]));
    rig.receive(slow, "xxxxxx\r\n");
    rig.pass(Duration::from_secs(100));
    assert!(!rig.is_closed(slow) && !rig.is_closed(idle));
}

#[test]
fn who_is_not_read_is_not_blamed_for_half_a_request() {
    let limits = Limits {
        outstanding: 1,
        ..Limits::default()
    };
    let pool = Pool {
        timeout: None,
        ..pool(1)
    };
    let (mut rig, client) = ready(pool, limits);
    rig.receive(client, ask("GET a") + "*2\r\n$3\r\nGET\r\n$1");
    rig.pass(Duration::from_secs(60));
    assert!(!rig.is_closed(client));
    rig.receive(rig.link(0), ":1\r\n");
    rig.pass(Duration::from_secs(20));
    assert!(
        !rig.is_closed(client),
        "its time begins when it is read again"
    );
    rig.pass(Duration::from_secs(11));
    assert!(rig.is_closed(client));
}

/// A pool with a password.
fn locked() -> Pool {
    Pool {
        redis_auth: Some(crate::config::Password::new("secret")),
        ..pool(1)
    }
}

#[test]
fn who_does_not_say_the_password_in_time_is_let_go() {
    let mut rig = Rig::new(locked());
    rig.turn();
    let (silent, late, known) = (rig.client(), rig.client(), rig.client());
    rig.receive(known, ask("AUTH secret"));
    rig.receive(late, ask("AUTH wrong"));
    assert_eq!(rig.take(known), "+OK\r\n");
    rig.pass(Duration::from_secs(29));
    assert!(rig.closed.is_empty());
    rig.pass(Duration::from_secs(2));
    assert!(rig.is_closed(silent) && !rig.is_closed(known));
    // Whoever is a stranger again has as long again.
    rig.receive(known, ask("RESET"));
    rig.pass(Duration::from_secs(29));
    assert!(!rig.is_closed(known));
    rig.pass(Duration::from_secs(2));
    assert!(rig.is_closed(known) && rig.is_closed(late));
}

/// What it had sent by then it was allowed to send, and it may say the password again only behind it.
#[test]
fn what_was_sent_before_a_reset_is_no_strangers() {
    let limits = Limits {
        outstanding: 1,
        strangers: 64 * 1024,
        ..Limits::default()
    };
    for config in [locked(), pool(1)] {
        let (is_open, count) = (config.redis_auth.is_none(), 15_000);
        let mut rig = Rig::with_limits(config, limits);
        let client = rig.client();
        rig.receive(client, ask("AUTH secret"));
        rig.take(client);
        let behind = ask("TIME x").repeat(count) + &ask("AUTH secret") + &ask("PING");
        rig.receive(client, ask("GET a") + &ask("RESET") + &behind);
        rig.establish();
        if !is_open {
            rig.receive(rig.link(0), "+OK\r\n");
        }
        rig.receive(rig.link(0), ":1\r\n");
        assert!(!rig.is_closed(client), "open: {is_open}");
        let told = rig.take(client);
        assert!(told.starts_with(":1\r\n+RESET\r\n-"), "{:.80}", told);
        assert!(told.ends_with("+PONG\r\n"), "open: {is_open}");
        let refused = told.matches("-ERR wrong number of arguments").count();
        assert_eq!(refused, count);
        // What comes from then on counts.
        rig.receive(client, ask("RESET"));
        let part =
            "*10\r\n".to_owned() + &format!("$16000\r\n{}\r\n", "x".repeat(16_000)).repeat(4);
        rig.receive(client, part);
        assert_eq!(rig.is_closed(client), !is_open);
    }
}

/// Every way to become one again, and no way to stay one for longer.
#[test]
fn a_wrong_password_makes_a_stranger_once() {
    let cached = Pool {
        memcached_auth: Some(crate::config::Password::new("tom:secret")),
        protocol: Protocol::Memcache,
        limits: *Protocol::Memcache.limits(),
        ..pool(1)
    };
    // PLAIN, in the binary protocol.
    let sasl = |password: &str| {
        let body = format!("PLAIN\0tom\0{password}");
        let head = [0x80, 0x21, 0, 5, 0, 0, 0, 0, 0, 0, 0, body.len() as u8];
        [&head[..], &[0; 12], body.as_bytes()].concat()
    };
    for (config, right, wrong) in [
        (
            locked(),
            ask("AUTH secret").into_bytes(),
            ask("AUTH wrong").into_bytes(),
        ),
        (cached, sasl("secret"), sasl("wrong")),
    ] {
        let mut rig = Rig::new(config);
        rig.turn();
        let (stranger, known) = (rig.client(), rig.client());
        rig.receive(known, &right);
        rig.pass(Duration::from_secs(100));
        assert!(rig.is_closed(stranger) && !rig.is_closed(known));
        let stranger = rig.client();
        for client in [stranger, known] {
            rig.receive(client, &wrong);
            rig.pass(Duration::from_secs(10));
            rig.receive(client, &wrong);
        }
        rig.pass(Duration::from_secs(11));
        assert!(rig.is_closed(stranger), "it has tried for 31 seconds");
        rig.pass(Duration::from_secs(10));
        assert!(rig.is_closed(known), "it has tried for 31 seconds");
    }
}

#[test]
fn unauthenticated_clients_share_little_memory_and_cost_others_nothing() {
    let limits = Limits {
        strangers: 1024 * 1024,
        ..Limits::default()
    };
    let mut rig = Rig::with_limits(locked(), limits);
    let known = rig.client();
    rig.receive(known, ask("AUTH secret"));
    let part = "*10\r\n".to_owned() + &format!("$16384\r\n{}\r\n", "x".repeat(16384)).repeat(8);
    let before = rig.proxy.held();
    let crowd: Vec<ConnId> = (0..300).map(|_| rig.client()).collect();
    for stranger in &crowd {
        rig.receive(*stranger, &part);
    }
    assert!(rig.closed.len() > 200);
    let grown = rig.proxy.held() - before;
    assert!(grown < 2 * 1024 * 1024, "{grown} bytes");
    // An honest client still gets in, and those that were connected are served.
    let late = rig.client();
    rig.receive(late, &ask("AUTH secret")[..10]);
    rig.receive(late, &ask("AUTH secret")[10..]);
    rig.receive(known, ask("PING"));
    rig.take(known);
    assert_eq!(rig.take(late), "+OK\r\n");
    for stranger in crowd {
        rig.proxy.ended(stranger);
        rig.settle();
    }
    let again = rig.client();
    rig.receive(again, &part);
    assert!(!rig.is_closed(again), "there is room again");
}

#[test]
fn what_waits_for_all_who_listen_is_bounded() {
    let mut rig = Rig::new(pool(1));
    let listeners: Vec<ConnId> = (0..8).map(|_| rig.client()).collect();
    for listener in &listeners {
        rig.receive(*listener, ask("SUBSCRIBE a"));
    }
    rig.establish();
    let links: Vec<ConnId> = rig.links.iter().map(|link| link.1).collect();
    assert_eq!(links.len(), 8);
    for link in &links {
        rig.take(*link);
        rig.receive(*link, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    }
    // All but the first read nothing; a quarter of what there may be is 1,000,000 bytes.
    rig.full.extend(&listeners[1..]);
    rig.proxy.set_memory(LIMIT / 3, LIMIT);
    let message = format!(
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$9000\r\n{}\r\n",
        "v".repeat(9000)
    );
    let mut most = 0;
    for _ in 0..50 {
        for link in &links {
            rig.receive(*link, &message);
        }
        let waiting = |conn: &ConnId| rig.proxy.output(*conn).map_or(0, |it| it.len());
        most = most.max(listeners.iter().map(waiting).sum());
    }
    assert!((700_000..1_100_000).contains(&most), "{most} bytes");
    assert!(!rig.closed.is_empty() && !rig.is_closed(listeners[0]));
    assert_eq!(rig.take(listeners[0]).matches("message").count(), 50);
    assert!(listeners.iter().filter(|it| !rig.is_closed(**it)).count() > 1);
}

/// A client that sends requests and reads nothing, as much of it as it is read.
fn write_on(rig: &mut Rig, client: ConnId, bytes: usize) -> usize {
    let asked = ask(&format!("GET {}", "k".repeat(1000)));
    let mut sent = 0;
    while sent < bytes && !rig.is_closed(client) && rig.proxy.wants_read(client) {
        rig.receive(client, &asked);
        sent += asked.len();
    }
    sent
}

#[test]
fn those_who_write_everything_before_they_read_never_wait_for_ever() {
    let limits = Limits {
        window: 1000,
        outstanding: 1,
        ..Limits::default()
    };
    let (mut rig, neighbour) = ready(pool(1), limits);
    let writers: Vec<ConnId> = (0..4).map(|_| rig.client()).collect();
    // Each needs a third of the memory, and all are full of what they do not read.
    let mut left = HashMap::new();
    for writer in &writers {
        leave_unread(&mut rig, *writer, 2000);
        left.insert(*writer, 1_400_000);
    }
    rig.proxy.set_memory(rig.proxy.held() as u64, LIMIT);
    let mut most = 0;
    for _ in 0..200 {
        for writer in &writers {
            if rig.is_closed(*writer) {
                continue;
            }
            let left = left.get_mut(writer).expect("known");
            *left -= write_on(&mut rig, *writer, *left).min(*left);
            if *left == 0 {
                // It reads at last, and is served.
                rig.full.retain(|full| full != writer);
                let taken = rig.proxy.output(*writer).map_or(0, |it| it.len());
                rig.proxy.sent(*writer, taken);
                rig.settle();
                while rig.take(rig.link(0)).contains("GET") {
                    rig.receive(rig.link(0), "$-1\r\n");
                }
            }
        }
        let used = rig.proxy.held() as u64;
        most = most.max(used);
        rig.proxy.set_memory(used, LIMIT);
        rig.settle();
        rig.receive(neighbour, ask("GET a"));
        while rig.take(rig.link(0)).contains("GET") {
            rig.receive(rig.link(0), "$-1\r\n");
        }
        assert!(rig.take(neighbour).ends_with("$-1\r\n"));
        rig.pass(Duration::from_millis(100));
    }
    let closed = writers.iter().filter(|it| rig.is_closed(**it)).count();
    let waiting = writers
        .iter()
        .filter(|it| !rig.is_closed(**it) && left[*it] > 0);
    assert_eq!(waiting.count(), 0, "{left:?}");
    assert!(closed < 3, "{closed} were closed");
    assert!(most < LIMIT, "{most} bytes were held");
    let shed = |what: &&What| matches!(what, What::ShedClient { .. });
    assert_eq!(rig.notices.iter().filter(shed).count(), closed);
    assert!(!rig.is_closed(neighbour));
}
