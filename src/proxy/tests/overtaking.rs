//! What a busy server answers.

use super::*;

const BUSY: &str = "-BUSY Redis is busy running a script.\r\n";
const NOT_BUSY: &str = "-NOTBUSY No scripts in execution right now.\r\n";

#[test]
fn the_order_to_end_a_script_overtakes_it() {
    let mut pool = pool(2);
    pool.redis_db = 3;
    pool.timeout = None;
    let mut rig = Rig::new(pool);
    let (client, killer) = (rig.client(), rig.client());
    rig.receive(client, ask("EVAL loop 0"));
    rig.establish();
    for (_, link) in rig.links.clone() {
        rig.receive(link, "+OK\r\n");
    }
    let before = rig.links.len();
    rig.receive(killer, [ask("SCRIPT KILL"), ask("GET a")].concat());
    rig.establish();
    let [first, second] = [0, 1].map(|index| rig.links[before + index].1);
    // No database is selected: a busy server would refuse that.
    for link in [first, second] {
        assert_eq!(rig.take(link), ask("SCRIPT KILL"));
    }
    rig.receive(first, "+OK\r\n");
    assert_eq!(rig.take(killer), "");
    rig.receive(second, NOT_BUSY);
    assert_eq!(rig.take(killer), "+OK\r\n");
    // The same connections are used again, and closed when they were idle for a while.
    rig.receive(killer, ask("FUNCTION KILL"));
    for link in [first, second] {
        assert_eq!(rig.take(link), ask("FUNCTION KILL"));
        rig.receive(link, NOT_BUSY);
    }
    rig.pass(Duration::from_secs(30));
    assert!(rig.is_closed(first) && rig.is_closed(second));
}

#[test]
fn a_connection_whose_server_was_busy_for_long_is_closed_when_it_is_idle() {
    let mut pool = pool(1);
    pool.timeout = None;
    let mut rig = Rig::new(pool);
    let killer = rig.client();
    rig.receive(killer, ask("SCRIPT KILL"));
    rig.establish();
    let link = rig.link(0);
    rig.pass(Duration::from_secs(60));
    rig.receive(link, NOT_BUSY);
    assert_eq!(rig.take(killer), NOT_BUSY);
    rig.pass(Duration::from_secs(60));
    assert!(rig.is_closed(link));
}

#[test]
fn a_server_that_does_not_take_the_order_is_not_ill_for_that() {
    let (mut rig, killer) = ready(pool(2), Limits::default());
    let before = rig.links.len();
    rig.receive(killer, ask("SCRIPT KILL"));
    let [first, second] = [0, 1].map(|index| rig.links[before + index].1);
    rig.proxy.failed(first, Cause::Refused);
    rig.settle();
    rig.establish();
    rig.receive(second, BUSY);
    assert_eq!(rig.take(killer), "-ERR Connection refused\r\n");
    assert_eq!(rig.failures, []);
    rig.receive(killer, ask("SCRIPT KILL"));
    rig.establish();
    assert_eq!(rig.take(rig.link(0)), ask("SCRIPT KILL"));
    rig.pass(Duration::from_millis(500));
    assert!(rig.take(killer).starts_with("-ERR "));
    assert_eq!(rig.failures, []);
}

#[test]
fn servers_that_were_ejected_are_given_the_order_as_well() {
    let (mut rig, killer) = ready(pool(2), Limits::default());
    let router = super::super::pool::router(&pool(2), &[false, true]);
    rig.proxy.set_router(POOL, Arc::new(router));
    let before = rig.links.len();
    rig.receive(killer, ask("SCRIPT KILL"));
    assert_eq!(rig.links.len(), before + 2);
}

#[test]
fn what_runs_is_asked_of_a_server_that_is_busy_with_it() {
    const STATS: &str = "%1\r\n$14\r\nrunning_script\r\n_\r\n";
    let mut pool = pool(1);
    pool.redis_db = 3;
    let mut rig = Rig::new(pool);
    let (runner, asker) = (rig.client(), rig.client());
    rig.receive(runner, ask("EVAL loop 0"));
    rig.establish();
    rig.receive(rig.link(0), "+OK\r\n");
    rig.receive(asker, [ask("FUNCTION STATS"), ask("GET a")].concat());
    rig.establish();
    // It waits neither behind the script nor for a database, which a busy server would refuse.
    let link = rig.links[1].1;
    assert_eq!(rig.take(link), ask("FUNCTION STATS"));
    rig.receive(link, "*2\r\n$14\r\nrunning_script\r\n$-1\r\n");
    assert_eq!(rig.take(asker), "*2\r\n$14\r\nrunning_script\r\n$-1\r\n");
    let shared = rig.links[0].1;
    assert_eq!(
        rig.take(shared),
        [ask("SELECT 3"), ask("EVAL loop 0"), ask("GET a")].concat()
    );
    // In the version of the protocol that its client speaks.
    let (mut rig, _) = ready(super::pool(1), Limits::default());
    let (client, _) = handshake::modern(&mut rig);
    let before = rig.links.len();
    rig.receive(client, ask("FUNCTION STATS"));
    rig.establish();
    let link = rig.links[before].1;
    assert_eq!(rig.take(link), "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
    rig.receive(link, "%1\r\n+proto\r\n:3\r\n");
    assert_eq!(rig.take(link), ask("FUNCTION STATS"));
    rig.receive(link, STATS);
    assert_eq!(rig.take(client), STATS);
}
