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
fn short_of_memory_and_nobody_to_give_way_requests_are_answered_with_an_error() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    rig.proxy.set_memory(SHORT, LIMIT);
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
fn nobody_is_refused_while_somebody_can_give_way() {
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
    second.pass(Duration::from_millis(400));
    second.proxy.set_memory(TIGHT, LIMIT);
    second.settle();
    assert!(second.is_closed(small) && !second.is_closed(other));
}
