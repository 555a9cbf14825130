//! Key placement: what is written through the original nutcracker is found through nutcrab and the
//! other way round, for every hash and both distributions that are a function of the key.
//!
//! Both proxies stand in front of the same servers. A key that one of them looks for elsewhere
//! comes back missing, or with the value another pool left there: values differ from pool to pool.

#[path = "support/mod.rs"]
mod support;

use std::collections::HashSet;

use support::*;

const HASHES: [&str; 12] = [
    "one_at_a_time",
    "md5",
    "crc16",
    "crc32",
    "crc32a",
    "fnv1_64",
    "fnv1a_64",
    "fnv1_32",
    "fnv1a_32",
    "hsieh",
    "murmur",
    "jenkins",
];

/// Changing it changes the keys; the test prints nothing else that would be needed to repeat it.
const SEED: u64 = 0x6e75_7463_7261_6221;

/// Keys of one multi-key request; every tenth such group goes as single requests.
const GROUP: usize = 50;

#[test]
fn redis_keys_written_through_either_proxy_are_found_through_the_other() {
    let keys = redis_keys(100_000);
    in_lanes(Server::redis_many, Pool::redis, |theirs, ours, pool| {
        // What tags do is a matter of a few keys, not of the hash.
        let keys = &keys[..if pool.contains("tag") {
            keys.len() / 10
        } else {
            keys.len()
        }];
        redis_write(theirs, keys, &format!("{pool} theirs "));
        redis_check(ours, keys, &format!("{pool} theirs "), pool);
        redis_write(ours, keys, &format!("{pool} ours "));
        redis_check(theirs, keys, &format!("{pool} ours "), pool);
    });
}

#[test]
fn memcached_keys_written_through_either_proxy_are_found_through_the_other() {
    let keys = memcached_keys(10_000);
    in_lanes(
        Server::memcached_many,
        Pool::memcache,
        |theirs, ours, pool| {
            memcached_write(theirs, &keys, &format!("{pool} theirs "));
            memcached_check(ours, &keys, &format!("{pool} theirs "), pool);
            memcached_write(ours, &keys, &format!("{pool} ours "));
            memcached_check(theirs, &keys, &format!("{pool} ours "), pool);
        },
    );
}

/// Runs `check` for each pool with a client of the original and one of nutcrab. Half of the pools
/// go in a lane of their own, with servers and proxies of its own, at the same time: pools on the
/// same servers would overwrite each other's values, and the original has one thread only.
fn in_lanes(
    start: fn(usize) -> Vec<Server>,
    new: fn(&str) -> Pool,
    check: impl Fn(&mut Wire, &mut Wire, &str) + Sync,
) {
    let names = pool_names();
    let lane = |names: &[String]| {
        let servers = start(4);
        let pools = || {
            names
                .iter()
                .map(|name| pool(new(name), name, &servers))
                .collect()
        };
        let (theirs, ours) = (Proxy::nutcracker(pools()), Proxy::nutcrab(pools()));
        for name in names {
            check(&mut theirs.client(name), &mut ours.client(name), name);
        }
    };
    let (one, other) = names.split_at(names.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| lane(one));
        lane(other);
    });
}

/// A pool for each hash and distribution, some with hash tags.
fn pool_names() -> Vec<String> {
    let tagged = ["murmur+tag".to_owned(), "fnv1a_64+tag".to_owned()];
    let hashes = HASHES.iter().map(|&hash| hash.to_owned()).chain(tagged);
    hashes
        .flat_map(|hash| ["ketama", "modula"].map(|way| format!("{hash}-{way}")))
        .collect()
}

/// The pool of this name, over servers of unequal weights.
fn pool(pool: Pool, name: &str, servers: &[Server]) -> Pool {
    let (hash, distribution) = name.split_once('-').expect("names are made of two parts");
    let (hash, tag) = hash.split_once('+').unwrap_or((hash, ""));
    let mut pool = pool.with("hash", hash).with("distribution", distribution);
    if !tag.is_empty() {
        pool = pool.with("hash_tag", "\"{}\"");
    }
    for (index, (server, weight)) in servers.iter().zip([1, 3, 2, 1]).enumerate() {
        pool = pool.line(&format!("{}:{weight} server-{index}", server.address()));
    }
    pool
}

/// Distinct keys: half of them any bytes at all, a quarter text, a quarter with hash tags.
fn redis_keys(count: usize) -> Vec<Vec<u8>> {
    keys(count, |random| {
        let length = 1 + random.below(40);
        random.bytes(length)
    })
}

/// The same of bytes that may stand in a memcached key.
fn memcached_keys(count: usize) -> Vec<Vec<u8>> {
    keys(count, |random| {
        let length = 1 + random.below(40);
        let mut key = random.bytes(length);
        key.iter_mut()
            .filter(|byte| **byte <= b' ' || **byte == 0x7f)
            .for_each(|byte| *byte |= 0xc0);
        key
    })
}

fn keys(count: usize, any: impl Fn(&mut Random) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut random = Random::new(SEED);
    let mut keys = HashSet::new();
    while keys.len() < count {
        let key = match random.below(4) {
            0 => format!("user:{}:{}", random.below(1_000_000), random.below(100)).into_bytes(),
            1 => [b"cart{", &any(&mut random)[..], b"}item"].concat(),
            _ => any(&mut random),
        };
        keys.insert(key);
    }
    assert!(
        keys.iter()
            .filter(|key| key.iter().any(|&byte| byte >= 0x80))
            .count()
            > count / 4
    );
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort();
    keys
}

fn redis_write(client: &mut Wire, keys: &[Vec<u8>], mark: &str) {
    let (mut requests, mut count) = (Vec::new(), 0);
    for (index, group) in keys.chunks(GROUP).enumerate() {
        let numbers = index * GROUP..;
        let pairs = group.iter().zip(numbers);
        let pairs =
            pairs.map(|(key, number)| [key.clone(), format!("{mark}{number}").into_bytes()]);
        if index % 10 == 0 {
            for [key, value] in pairs {
                resp::append(&mut requests, &[b"SET".to_vec(), key, value]);
                count += 1;
            }
        } else {
            let words: Vec<_> = std::iter::once(b"MSET".to_vec())
                .chain(pairs.flatten())
                .collect();
            resp::append(&mut requests, &words);
            count += 1;
        }
    }
    let replies = b"+OK\r\n".repeat(count);
    client.send_while(&requests, |client| client.expect(&replies));
}

fn redis_check(client: &mut Wire, keys: &[Vec<u8>], mark: &str, pool: &str) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for (index, group) in keys.chunks(GROUP).enumerate() {
        if index % 10 == 0 {
            group
                .iter()
                .for_each(|key| resp::append(&mut requests, &[&b"GET"[..], key]));
        } else {
            let name = std::iter::once(&b"MGET"[..]);
            let words: Vec<_> = name.chain(group.iter().map(|key| &key[..])).collect();
            resp::append(&mut requests, &words);
            replies.extend_from_slice(format!("*{}\r\n", group.len()).as_bytes());
        }
        for number in (index * GROUP..).take(group.len()) {
            replies.extend_from_slice(&fake::bulk(format!("{mark}{number}").as_bytes()));
        }
    }
    expect(client, &requests, &replies, pool);
}

fn memcached_write(client: &mut Wire, keys: &[Vec<u8>], mark: &str) {
    let mut requests = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let value = format!("{mark}{number}");
        requests.extend(
            [
                b"set ",
                &key[..],
                format!(" 0 0 {}\r\n{value}\r\n", value.len()).as_bytes(),
            ]
            .concat(),
        );
    }
    let replies = b"STORED\r\n".repeat(keys.len());
    client.send_while(&requests, |client| client.expect(&replies));
}

fn memcached_check(client: &mut Wire, keys: &[Vec<u8>], mark: &str, pool: &str) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for (index, group) in keys.chunks(GROUP).enumerate() {
        let single = index % 10 == 0;
        if !single {
            requests.extend_from_slice(b"get");
        }
        for (key, number) in group.iter().zip(index * GROUP..) {
            let value = format!("{mark}{number}");
            requests.extend_from_slice(if single { b"get " } else { b" " });
            requests.extend_from_slice(key);
            replies.extend([b"VALUE ", &key[..]].concat());
            replies.extend(format!(" 0 {}\r\n{value}\r\n", value.len()).into_bytes());
            if single {
                requests.extend_from_slice(b"\r\n");
                replies.extend_from_slice(b"END\r\n");
            }
        }
        if !single {
            requests.extend_from_slice(b"\r\n");
            replies.extend_from_slice(b"END\r\n");
        }
    }
    expect(client, &requests, &replies, pool);
}

/// Sends `requests` and shows where their replies are not `replies`.
fn expect(client: &mut Wire, requests: &[u8], replies: &[u8], pool: &str) {
    let got = client.send_while(requests, |client| {
        let mut got = Vec::with_capacity(replies.len());
        // Piece by piece, so that a missing value, which is shorter, is not waited for at the end.
        for piece in replies.chunks(64 * 1024) {
            got.extend(client.read_exact(piece.len()));
            if !got.ends_with(piece) {
                break;
            }
        }
        got
    });
    if let Some(at) = (0..got.len()).find(|&at| got[at] != replies[at]) {
        let around = at.saturating_sub(100)..got.len().min(at + 60);
        let (got, wanted) = (shown(&got[around.clone()]), shown(&replies[around]));
        panic!("pool {pool}: a key was not found where it was written\ngot  {got}\nnot  {wanted}");
    }
}
