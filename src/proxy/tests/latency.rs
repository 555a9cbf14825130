//! Where the time of a request is counted.

use super::*;
use crate::stats::{Histogram, Latency, Total};

impl Rig {
    /// The socket of `conn` takes all it is offered.
    fn write(&mut self, conn: ConnId) {
        self.full.retain(|&full| full != conn);
        let bytes = self.proxy.output(conn).map(|out| out.to_vec());
        let bytes = bytes.expect("a living connection");
        self.proxy.turn(self.now);
        self.proxy.sent(conn, bytes.len());
        self.written.entry(conn).or_default().extend(bytes);
        self.settle();
    }

    /// How many requests of a family were counted in each part, and how many milliseconds in all.
    fn latency(&self, family: &str) -> [(u64, u64); 3] {
        let families = Protocol::Redis.topics();
        let index = families.iter().position(|name| *name == family);
        let latency = &self.proxy.stats.pools[0].latency[index.expect("a family")];
        let part = |part: fn(&Latency) -> &Histogram| {
            let total = Total::of([part(latency)].into_iter());
            (total.count(), total.sum / 1000)
        };
        [
            part(|latency| &latency.queued),
            part(|latency| &latency.server),
            part(|latency| &latency.client),
        ]
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What the requests that made the connections have left behind.
fn baseline(rig: &Rig) -> [(u64, u64); 3] {
    rig.latency("string")
}

fn difference(now: [(u64, u64); 3], before: [(u64, u64); 3]) -> [(u64, u64); 3] {
    std::array::from_fn(|part| (now[part].0 - before[part].0, now[part].1 - before[part].1))
}

#[test]
fn the_time_of_a_request_is_counted_in_three_parts() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let link = rig.link(0);
    let before = baseline(&rig);
    rig.full = vec![link, client];
    rig.receive(client, ask("GET k"));
    rig.pass(millis(30));
    rig.write(link);
    rig.pass(millis(50));
    // The first byte is what counts, not the first line.
    rig.receive(link, "$");
    rig.pass(millis(7));
    rig.receive(link, "2\r\nab\r\n");
    assert_eq!(difference(rig.latency("string"), before)[2], (0, 0));
    rig.pass(millis(200));
    rig.write(client);
    assert_eq!(rig.take(client), "$2\r\nab\r\n");
    let parts = difference(rig.latency("string"), before);
    assert_eq!(parts, [(1, 30), (1, 50), (1, 207)]);
}

#[test]
fn waiting_for_an_earlier_reply_is_waiting_for_the_client() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let before = baseline(&rig);
    let requests = [
        ask(&format!("HGET {} f", key(0, 2, 0))),
        ask(&format!("GET {}", key(1, 2, 0))),
    ];
    rig.receive(client, requests.concat());
    rig.pass(millis(10));
    rig.receive(rig.link(1), ":1\r\n");
    rig.pass(millis(40));
    rig.receive(rig.link(0), ":2\r\n");
    assert_eq!(rig.take(client), ":2\r\n:1\r\n");
    let parts = difference(rig.latency("string"), before);
    assert_eq!(parts, [(1, 0), (1, 10), (1, 40)]);
    assert_eq!(rig.latency("hash"), [(1, 0), (1, 50), (1, 0)]);
}

#[test]
fn fragments_are_counted_one_by_one_and_their_reply_once() {
    let (mut rig, client) = ready(pool(2), Limits::default());
    let before = baseline(&rig);
    rig.receive(
        client,
        ask(&format!("MGET {} {}", key(0, 2, 0), key(1, 2, 0))),
    );
    rig.pass(millis(10));
    rig.receive(rig.link(0), "*1\r\n$1\r\na\r\n");
    rig.pass(millis(20));
    rig.receive(rig.link(1), "*1\r\n$1\r\nb\r\n");
    assert_eq!(rig.take(client), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    let parts = difference(rig.latency("string"), before);
    assert_eq!(parts, [(2, 0), (2, 40), (1, 0)]);
}

#[test]
fn what_is_answered_here_is_not_measured() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    rig.receive(client, [ask("PING"), ask("NONSENSE")].concat());
    assert_eq!(rig.latency("server"), [(0, 0); 3]);
    assert_eq!(rig.latency("other"), [(0, 0); 3]);
}

#[test]
fn a_late_reply_counts_for_its_server_and_for_no_client() {
    let (mut rig, client) = ready(pool(1), Limits::default());
    let before = baseline(&rig);
    rig.receive(client, ask("GET k"));
    rig.pass(millis(350));
    rig.receive(client, ask("GET l"));
    rig.receive(rig.link(0), ":");
    rig.pass(millis(100));
    rig.receive(rig.link(0), "1\r\n:2\r\n");
    let parts = difference(rig.latency("string"), before);
    assert_eq!((parts[1].0, parts[2].0), (2, 1));
    assert_eq!(parts[1].1, 350 + 100);
}
