//! What `check` is there for: it sees mistakes in the core's books.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::proxy::exchange::Exchange;
use crate::proxy::ids::{ClientId, LinkId, Side};
use crate::proxy::link::{InFlight, Kind};

type Mistake = fn(&mut Proxy, ClientId, LinkId);

/// Each makes one entry of the books wrong, where a client waits for a reply on a connection.
const MISTAKES: &[(&str, Mistake)] = &[
    ("a request that nobody answers", |proxy, _, link| {
        proxy.links.find_mut(link).expect("open").in_flight.clear();
    }),
    ("an answered request that a server owes", |proxy, id, _| {
        let client = proxy.clients.find_mut(id).expect("open");
        client.ring.keep(client.ring.first(), b"+OK\r\n");
    }),
    ("bytes sent that were not taken off", |proxy, _, link| {
        proxy.links.find_mut(link).expect("open").sent -= 1;
    }),
    ("requests sent that were not", |proxy, _, link| {
        proxy.links.find_mut(link).expect("open").sent_count = 0;
    }),
    ("a connection left unread for nobody", |proxy, id, link| {
        proxy.links.find_mut(link).expect("open").blocked = Some(id);
    }),
    ("a connection left unread without need", leave_unread),
    ("a client that waits for itself", |proxy, id, link| {
        let client = proxy.clients.find_mut(id).expect("open");
        let later = client.ring.push(Exchange::Waiting);
        client.ring.push_reply(&vec![b'v'; proxy.limits.slack()]);
        let found = proxy.links.find_mut(link).expect("open");
        let first = *found.in_flight.front().expect("a request");
        let overtaking = InFlight {
            sequence: later,
            ..first
        };
        found.in_flight.push_front(overtaking);
        found.sent_count += 1;
        leave_unread(proxy, id, link);
    }),
    ("a client that paused for no connection", |proxy, id, _| {
        let client = proxy.clients.find_mut(id).expect("open");
        client.held_by.queue = true;
    }),
    (
        "an idle connection that nothing closes",
        |proxy, id, link| {
            let link = proxy.links.find_mut(link).expect("open");
            link.in_flight.clear();
            link.armed = Default::default();
            (link.kind, link.sent_count) = (Kind::Overtaking, 0);
            proxy.pools[0].lanes[0].overtaking = proxy.pools[0].lanes[0].shared_links[0].take();
            proxy.clients.find_mut(id).expect("open").ring.take_last();
        },
    ),
    ("a connection that no lane has", |proxy, _, _| {
        proxy.pools[0].lanes[0].shared_links[0] = None;
    }),
    ("a client that its group does not count", |proxy, _, _| {
        proxy.pools[0].leave(Default::default());
    }),
    ("early replies that are not counted", |proxy, id, _| {
        let client = proxy.clients.find_mut(id).expect("open");
        client.ring.waiting_bytes += 1;
    }),
    ("bytes of strangers that left", |proxy, _, _| {
        proxy.strangers += 1;
    }),
    ("the number of a client that left", |proxy, id, _| {
        proxy.numbers.insert(77, id);
    }),
];

fn leave_unread(proxy: &mut Proxy, id: ClientId, link: LinkId) {
    proxy.links.find_mut(link).expect("open").blocked = Some(id);
    let client = proxy.clients.find_mut(id).expect("open");
    client.blocking.push(link);
}

#[test]
fn every_mistake_in_the_books_is_seen() {
    for (name, make) in MISTAKES {
        let (mut rig, client) = ready(pool(1), Limits::default());
        rig.receive(client, ask("GET a"));
        rig.proxy.check();
        let (Side::Client(id), Side::Server(link)) = (client.side(), rig.link(0).side()) else {
            panic!("a client and a connection to a server");
        };
        make(&mut rig.proxy, id, link);
        let seen = catch_unwind(AssertUnwindSafe(|| rig.proxy.check()));
        assert!(seen.is_err(), "{name}");
    }
}
