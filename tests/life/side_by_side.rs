//! Several proxies in front of the same servers, and clients that choose among them.

use std::collections::BTreeSet;

use crate::support::*;

/// A client that knows several proxies, and takes the next one when the one it has is gone.
struct Chooser {
    addresses: Vec<Address>,
    chosen: usize,
    wire: Wire,
}

impl Chooser {
    fn new(addresses: Vec<Address>, first: usize) -> Self {
        let wire = Wire::connect(&addresses[first]);
        Self {
            addresses,
            chosen: first,
            wire,
        }
    }

    /// The reply to a request that may be done twice.
    fn ask(&mut self, words: &[&str]) -> Reply {
        let request = command(words);
        eventually("a proxy answers", || {
            if self.wire.try_send(&request).is_ok()
                && let Ok(reply) = self.wire.try_reply()
            {
                return Some(reply);
            }
            self.chosen = (self.chosen + 1) % self.addresses.len();
            if let Ok(wire) = Wire::try_connect(&self.addresses[self.chosen]) {
                self.wire = wire;
            }
            None
        })
    }
}

fn keys_of(server: &Server) -> BTreeSet<Vec<u8>> {
    let keys = server.ask(&["KEYS", "*"]).elements();
    keys.into_iter().map(Reply::bytes).collect()
}

#[test]
fn clients_of_a_proxy_that_dies_find_every_key_through_another() {
    const COUNT: usize = 300;
    let servers = Server::redis_many(3);
    let mut proxies: Vec<Proxy> = (0..3)
        .map(|_| Proxy::nutcrab(vec![Pool::redis("a").servers(&servers)]))
        .collect();
    let addresses: Vec<Address> = proxies.iter().map(|p| p.address("a").clone()).collect();
    let mut clients: Vec<Chooser> = (0..6)
        .map(|client| Chooser::new(addresses.clone(), client % 3))
        .collect();
    let key = |number: usize| format!("key-{number}");
    // Each key is written through one proxy, whichever comes.
    for number in 0..COUNT {
        let client = &mut clients[number % 6];
        assert_eq!(
            client.ask(&["SET", &key(number), &key(number)]),
            Reply::ok()
        );
    }
    let before: Vec<_> = servers.iter().map(keys_of).collect();
    assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), COUNT);
    // One proxy after the other is killed, until one is left.
    for victim in [0, 2] {
        proxies[victim].process().kill();
        for number in 0..COUNT {
            // Through another client than the one that wrote it.
            let client = &mut clients[(number + 1) % 6];
            let found = client.ask(&["GET", &key(number)]);
            assert_eq!(found, Reply::bulk(key(number)));
            assert_eq!(
                client.ask(&["SET", &key(number), &key(number)]),
                Reply::ok()
            );
        }
        let now: Vec<_> = servers.iter().map(keys_of).collect();
        assert_eq!(now, before, "keys have moved");
    }
    assert!(clients.iter().all(|client| client.chosen == 1));
}
