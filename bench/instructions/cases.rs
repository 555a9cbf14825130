//! What is counted. Each case does its thing `count` times, and nothing that grows besides.

use std::hint::black_box;

use nutcrab::hash::Hash;
use nutcrab::protocol::{Commands, Limits, Protocol, ReplyScan, RequestScan};
use nutcrab::route::{Distribution, Router, Weighted};

use crate::local;
use crate::world::{Plan, World, requests};

/// One thing to count.
pub struct Case {
    /// Its name in the budget file.
    pub name: &'static str,
    /// How often the shorter run does it.
    pub few: usize,
    /// How many requests, keys and so on are in it: the cost is that of one.
    pub things: f64,
    /// Does it so often.
    pub run: fn(usize),
}

/// Everything that has a budget.
pub const CASES: &[Case] = &[
    Case {
        name: "parse-get",
        few: 1000,
        things: 1.0,
        run: |n| parse(Protocol::Redis, "get", n),
    },
    Case {
        name: "parse-set",
        few: 1000,
        things: 1.0,
        run: |n| parse(Protocol::Redis, "set", n),
    },
    Case {
        name: "parse-mget-20-per-key",
        few: 200,
        things: 20.0,
        run: |n| parse(Protocol::Redis, "mget 20", n),
    },
    Case {
        name: "parse-memcache-get",
        few: 1000,
        things: 1.0,
        run: |n| parse(Protocol::Memcache, "get", n),
    },
    Case {
        name: "parse-memcache-set",
        few: 1000,
        things: 1.0,
        run: |n| parse(Protocol::Memcache, "set", n),
    },
    Case {
        name: "reply-bulk",
        few: 1000,
        things: 1.0,
        run: |n| reply(Protocol::Redis, b"$8\r\nabcdefgh\r\n", n),
    },
    Case {
        name: "reply-status",
        few: 1000,
        things: 1.0,
        run: |n| reply(Protocol::Redis, b"+OK\r\n", n),
    },
    Case {
        name: "reply-memcache-value",
        few: 1000,
        things: 1.0,
        run: |n| {
            reply(
                Protocol::Memcache,
                b"VALUE key:000000000001 0 8\r\nabcdefgh\r\nEND\r\n",
                n,
            )
        },
    },
    Case {
        name: "hash-fnv1a_64",
        few: 1000,
        things: 1.0,
        run: |n| hash(Hash::Fnv1a64, n),
    },
    Case {
        name: "hash-murmur",
        few: 1000,
        things: 1.0,
        run: |n| hash(Hash::Murmur, n),
    },
    Case {
        name: "hash-md5",
        few: 1000,
        things: 1.0,
        run: |n| hash(Hash::Md5, n),
    },
    Case {
        name: "route-4-servers",
        few: 1000,
        things: 1.0,
        run: |n| route(4, n),
    },
    Case {
        name: "route-1000-servers",
        few: 1000,
        things: 1.0,
        run: |n| route(1000, n),
    },
    Case {
        name: "ring-of-1000-servers",
        few: 1,
        things: 1.0,
        run: ring,
    },
    Case {
        name: "get-pipeline-1",
        few: 20,
        things: 50.0,
        run: |n| exchange(USUAL, n),
    },
    Case {
        name: "get-pipeline-32",
        few: 2,
        things: 1600.0,
        run: |n| {
            exchange(
                Plan {
                    pipeline: 32,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "set-pipeline-32",
        few: 2,
        things: 1600.0,
        run: |n| {
            exchange(
                Plan {
                    request: "set",
                    pipeline: 32,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "get-16-kib",
        few: 20,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    value: 16384,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "set-16-kib",
        few: 20,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    request: "set",
                    value: 16384,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "mget-20",
        few: 10,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    request: "mget 20",
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "mget-10000-per-key",
        few: 2,
        things: 10_000.0,
        run: |n| {
            exchange(
                Plan {
                    request: "mget 10000",
                    clients: 1,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "mget-100000-per-key",
        few: 1,
        things: 100_000.0,
        run: |n| {
            exchange(
                Plan {
                    request: "mget 100000",
                    clients: 1,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "memcache-get-pipeline-1",
        few: 20,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    protocol: Protocol::Memcache,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "memcache-get-pipeline-32",
        few: 2,
        things: 1600.0,
        run: |n| {
            exchange(
                Plan {
                    protocol: Protocol::Memcache,
                    pipeline: 32,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "memcache-get-20",
        few: 10,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    protocol: Protocol::Memcache,
                    request: "mget 20",
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "get-10-clients",
        few: 50,
        things: 10.0,
        run: |n| {
            exchange(
                Plan {
                    clients: 10,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "get-10000-clients",
        few: 1,
        things: 10_000.0,
        run: |n| {
            exchange(
                Plan {
                    clients: 10_000,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "get-2-servers",
        few: 20,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    servers: 2,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "get-200-servers",
        few: 20,
        things: 50.0,
        run: |n| {
            exchange(
                Plan {
                    servers: 200,
                    ..USUAL
                },
                n,
            )
        },
    },
    Case {
        name: "get-50-pools",
        few: 20,
        things: 50.0,
        run: |n| exchange(Plan { pools: 50, ..USUAL }, n),
    },
    Case {
        name: "every-largest-local-request",
        few: 1,
        things: 1.0,
        run: local::every_largest,
    },
    Case {
        name: "local-command-info-of-64-kib",
        few: 1,
        things: 1.0,
        run: local::dearest,
    },
    Case {
        name: "local-client-id-after-long-names",
        few: 1000,
        things: 1.0,
        run: local::short_after_long,
    },
    Case {
        name: "local-subscribe-10000-per-turn",
        few: 1,
        things: 2.0 * local::SLICES as f64,
        run: local::subscriptions,
    },
];

/// GET of 64 bytes by 50 clients over four servers, one request at a time.
const USUAL: Plan = Plan {
    protocol: Protocol::Redis,
    request: "get",
    value: 64,
    clients: 50,
    pipeline: 1,
    servers: 4,
    pools: 1,
};

fn parse(protocol: Protocol, request: &str, count: usize) {
    let commands = Commands::standard(protocol);
    let limits = match protocol {
        Protocol::Redis => &Limits::REDIS,
        Protocol::Memcache | Protocol::Binary => &Limits::MEMCACHE,
    };
    let bytes = requests(protocol, request, 64, 1, 7);
    for _ in 0..count {
        let mut scan = RequestScan::default();
        black_box(commands.parse(black_box(&bytes), &mut scan, limits));
    }
}

fn reply(protocol: Protocol, bytes: &[u8], count: usize) {
    for _ in 0..count {
        let mut scan = ReplyScan::default();
        let fed = protocol.feed_reply(&mut scan, black_box(bytes));
        assert!(black_box(fed).is_ok_and(|fed| fed.done));
    }
}

fn hash(hash: Hash, count: usize) {
    for _ in 0..count {
        black_box(hash.of(black_box(b"key:000000000042")));
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("10.0.{}.{}:6379", number / 250, number % 250))
        .collect()
}

fn router(names: &[String]) -> Router {
    let servers: Vec<_> = names
        .iter()
        .map(|name| Weighted {
            name,
            weight: 1,
            live: true,
        })
        .collect();
    Router::new(Hash::Fnv1a64, None, Distribution::Ketama, &servers)
}

fn route(servers: usize, count: usize) {
    let router = router(&names(servers));
    for _ in 0..count {
        black_box(router.pick(black_box(b"key:000000000042"), 0));
    }
}

fn ring(count: usize) {
    let names = names(1000);
    for _ in 0..count {
        black_box(router(&names));
    }
}

fn exchange(plan: Plan, count: usize) {
    let mut world = World::new(plan);
    for _ in 0..count {
        world.round();
    }
}
