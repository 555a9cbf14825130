//! Whether what the core says it holds is what the allocator gave it: each kind of hoarding, counted twice.

use std::rc::Rc;

use super::*;
use crate::buffer::{Chunk, Input};
use crate::engine::memory::of_this_thread;
use crate::proxy::Limits;
use crate::stats::PoolNames;

const KIB: usize = 1024;

/// A core whose clients and servers take nothing.
struct World {
    proxy: Proxy,
    links: Vec<ConnId>,
}

impl World {
    fn new() -> Self {
        let yaml = "a:\n  listen: 127.0.0.1:1\n  redis: true\n  \
                    servers: [127.0.0.1:2:1, 127.0.0.1:3:1]\n";
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), yaml).expect("it can be written");
        let config = config::load(file.path()).expect("a good configuration");
        let pools: Vec<_> = config.pools.into_iter().map(Arc::new).collect();
        let names = pools.iter().map(|pool| PoolNames {
            name: pool.name.clone(),
            servers: vec!["2".into(), "3".into()],
            families: pool.protocol.topics(),
        });
        let settings = Settings {
            buffer_size: 16 * KIB,
            worker: (0, 1),
            seed: 1,
            limits: Limits::default(),
        };
        let stats = Stats::new(names.collect(), 1);
        let mut world = Self {
            proxy: Proxy::new(&pools, stats.set(0), settings),
            links: Vec::new(),
        };
        let client = world.client();
        for key in 0..20 {
            world.send(client, &ask(&["GET", &format!("k{key}")]));
        }
        for index in 0..world.links.len() {
            world.proxy.connected(world.links[index]);
        }
        assert_eq!(world.links.len(), 2);
        world.proxy.failed(client, Cause::Eof);
        world.obey();
        world
    }

    fn client(&mut self) -> ConnId {
        self.proxy.accept(PoolIndex(0))
    }

    fn obey(&mut self) {
        while let Some(action) = self.proxy.poll_action() {
            if let Action::Connect { conn, .. } = action {
                self.links.push(conn);
            }
        }
    }

    /// Sends in pieces, as a socket gives them.
    fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        for piece in bytes.chunks(64 * KIB) {
            self.proxy.received(conn, Input::copied(piece));
            self.obey();
        }
    }

    /// The same from chunks that can be referred to.
    fn send_shared(&mut self, conn: ConnId, bytes: &[u8]) {
        for piece in bytes.chunks(64 * KIB) {
            let mut chunk = Chunk::new(64 * KIB);
            chunk.space()[..piece.len()].copy_from_slice(piece);
            let chunk = Rc::new(chunk);
            self.proxy
                .received(conn, Input::shared(&chunk, piece.len()));
            self.obey();
        }
    }

    /// What the servers have been sent is gone, so that they may answer it.
    fn take_requests(&mut self) {
        for index in 0..self.links.len() {
            let conn = self.links[index];
            if let Some(count) = self.proxy.output(conn).map(|output| output.len()) {
                self.proxy.sent(conn, count);
            }
        }
    }
}

fn ask(words: &[&str]) -> Vec<u8> {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    let bulks: String = words.iter().map(bulk).collect();
    format!("*{}\r\n{bulks}", words.len()).into_bytes()
}

fn value(len: usize) -> String {
    "v".repeat(len)
}

type Way = fn(&mut World);

/// Ways to hoard, each with a name and done by one client.
const WAYS: [(&str, Way); 9] = [
    ("a long name", |world| {
        let client = world.client();
        world.send(client, &ask(&["CLIENT", "SETNAME", &value(60 * KIB)]));
        world.send(
            client,
            &ask(&["CLIENT", "SETINFO", "lib-name", &value(60 * KIB)]),
        );
    }),
    ("half a request", |world| {
        let client = world.client();
        let whole = ask(&["MSET", "a", &value(500 * KIB), "b", "c"]);
        world.send(client, &whole[..400 * KIB]);
    }),
    ("half a large value", |world| {
        let client = world.client();
        let whole = ask(&["SET", "a", &value(900 * KIB)]);
        world.send_shared(client, &whole[..700 * KIB]);
    }),
    ("replies of the proxy's own", |world| {
        let client = world.client();
        world.send(client, &b"CLIENT HELP\r\n".repeat(40));
    }),
    ("the same behind one of a server's", |world| {
        let client = world.client();
        let asked = [ask(&["GET", "a"]), ask(&["PING", &value(3000)]).repeat(30)];
        world.send(client, &asked.concat());
    }),
    ("requests that a server does not take", |world| {
        let client = world.client();
        world.send(client, &ask(&["SET", "a", &value(100)]).repeat(2000));
        world.send_shared(client, &ask(&["SET", "b", &value(300 * KIB)]));
    }),
    ("a transaction", |world| {
        let client = world.client();
        world.send(client, b"MULTI\r\n");
        world.send(client, &ask(&["SET", "a", &value(100)]).repeat(3000));
    }),
    ("subscriptions", |world| {
        let client = world.client();
        for name in 0..3000 {
            world.send(client, &ask(&["SUBSCRIBE", &format!("channel:{name}")]));
        }
    }),
    ("requests of many keys", |world| {
        let client = world.client();
        world.take_requests();
        let keys: Vec<String> = (0..2000).map(|key| format!("k{key}")).collect();
        let words: Vec<&str> = ["MGET"]
            .into_iter()
            .chain(keys.iter().map(String::as_str))
            .collect();
        world.send(client, &ask(&words).repeat(4));
        world.take_requests();
    }),
];

/// Within an eighth, and what the process needs anyway.
fn assert_close(name: &str, told: i64, counted: i64) {
    let slack = 96 * KIB as i64 + counted / 8;
    assert!(
        (told - counted).abs() <= slack,
        "{name}: {told} bytes are told of, {counted} were allocated"
    );
}

#[test]
fn what_the_core_says_it_holds_is_what_it_was_given() {
    for (name, way) in WAYS {
        let mut world = World::new();
        way(&mut world);
        let (held, before) = (world.proxy.held() as i64, of_this_thread());
        for _ in 0..12 {
            way(&mut world);
        }
        let told = world.proxy.held() as i64 - held;
        let counted = of_this_thread() - before;
        assert!(counted > 64 * KIB as i64, "{name}: only {counted} bytes");
        assert_close(name, told, counted);
    }
}

#[test]
fn it_is_so_for_any_mixture_of_hoarders() {
    let mut world = World::new();
    for (_, way) in WAYS {
        way(&mut world);
    }
    let (held, before) = (world.proxy.held() as i64, of_this_thread());
    // Each at its turn a few times, in an order that is not that of the list.
    for turn in 0..60 {
        WAYS[turn * 5 % WAYS.len()].1(&mut world);
        let told = world.proxy.held() as i64 - held;
        assert_close("a mixture", told, of_this_thread() - before);
    }
}
