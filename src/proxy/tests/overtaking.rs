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
