//! Many keys, many requests, many clients: every reply must belong to its request.

use crate::support::*;

/// Requests of the long pipelines.
const PIPELINE: usize = 10_000;
/// Clients at the same time.
const CLIENTS: usize = 200;

#[test]
fn redis_requests_of_many_keys_are_split_over_four_servers_and_joined_in_order() {
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    let keys: Vec<Vec<u8>> = (0..400)
        .map(|i| format!("multi:{i}").into_bytes())
        .collect();
    let mut words = vec![b"MSET".to_vec()];
    words.extend(
        keys.iter()
            .flat_map(|key| [key.clone(), value::described(key, 1, 100)]),
    );
    client.check(&command(&words), b"+OK\r\n");

    // Every third key is missing, every fifth asked for twice, all of them in another order.
    let mut random = Random::new(7);
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        wanted.push(key.clone());
        if index % 3 == 0 {
            wanted.push(format!("absent:{index}").into_bytes());
        }
        if index % 5 == 0 {
            wanted.push(key.clone());
        }
    }
    for index in (1..wanted.len()).rev() {
        wanted.swap(index, random.below(index + 1));
    }
    let words: Vec<_> = std::iter::once(b"MGET".to_vec())
        .chain(wanted.iter().cloned())
        .collect();
    client.send(&command(&words));
    let values = client.reply().elements();
    assert_eq!(values.len(), wanted.len());
    for (key, value) in wanted.iter().zip(values) {
        match value {
            Reply::Bulk(Some(value)) => assert_eq!(value::check(key, &value), 1),
            Reply::Bulk(None) => assert!(key.starts_with(b"absent:"), "{} is missing", shown(key)),
            other => panic!("{other:?}"),
        }
    }
    for name in ["EXISTS", "TOUCH", "DEL", "DEL"] {
        let words: Vec<_> = std::iter::once(name.as_bytes().to_vec())
            .chain(keys.iter().cloned())
            .collect();
        client.send(&command(&words));
        let first = Reply::Integer(400);
        let reply = client.reply();
        assert!(
            reply == first || name == "DEL" && reply == Reply::Integer(0),
            "{name}: {reply:?}"
        );
    }
    for server in &servers {
        assert_eq!(server.ask(&["DBSIZE"]), Reply::Integer(0));
    }
}

#[test]
fn memcached_requests_of_many_keys_are_split_over_four_servers_and_joined_in_order() {
    let servers = Server::memcached_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::memcache("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    let keys: Vec<String> = (0..200).map(|i| format!("multi:{i}")).collect();
    let value = |key: &str| value::described(key.as_bytes(), 1, 80);
    for key in &keys {
        client.check(&set(key, &value(key)), b"STORED\r\n");
    }
    let mut request = b"get".to_vec();
    let mut reply = Vec::new();
    for key in keys.iter().rev() {
        request.extend(format!(" {key}").into_bytes());
        reply.extend(found(key, &value(key)));
    }
    request.extend(b"\r\n");
    reply.extend(b"END\r\n");
    client.check(&request, &reply);
}

#[test]
fn ten_thousand_pipelined_redis_requests_are_answered_in_order() {
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    let (requests, replies) = redis_pipeline("", 3);
    let mut client = proxy.client("alpha");
    client.send_while(&requests, |client| client.expect(&replies));
    // The same once more in small pieces, while all others are in flight.
    let (requests, replies) = redis_pipeline("", 4);
    let mut sender = client.second_handle();
    std::thread::scope(|scope| {
        scope.spawn(move || requests.chunks(1_337).for_each(|chunk| sender.send(chunk)));
        client.expect(&replies);
    });
}

#[test]
fn ten_thousand_pipelined_memcached_requests_are_answered_in_order() {
    let servers = Server::memcached_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::memcache("alpha").servers(&servers)]);
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    let mut random = Random::new(11);
    for number in 0..PIPELINE / 2 {
        let key = format!("pipelined:{number}");
        let value = value::described(key.as_bytes(), number as u64, random.below(300));
        match number % 3 {
            0 => {
                let line = format!("set {key} 0 0 {} noreply\r\n", value.len());
                requests.extend([line.as_bytes(), &value, b"\r\n"].concat());
            }
            _ => {
                requests.extend(set(&key, &value));
                replies.extend(b"STORED\r\n");
            }
        }
        requests.extend(format!("get absent:{number} {key} absent:{number}\r\n").into_bytes());
        replies.extend([&found(&key, &value)[..], b"END\r\n"].concat());
    }
    let mut client = proxy.client("alpha");
    client.send_while(&requests, |client| client.expect(&replies));
}

#[test]
fn two_hundred_clients_at_once_get_their_own_replies() {
    let (servers, caches) = (Server::redis_many(4), Server::memcached_many(2));
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha").servers(&servers),
        Pool::memcache("beta").servers(&caches),
    ]);
    let (proxy, started) = (&proxy, &std::sync::Barrier::new(CLIENTS));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || {
                // All connect before any sends.
                if number % 4 == 3 {
                    let mut client = proxy.client("beta");
                    started.wait();
                    (0..30).for_each(|round| memcached_round(&mut client, number, round));
                } else {
                    let mut client = proxy.client("alpha");
                    started.wait();
                    (0..30).for_each(|round| redis_round(&mut client, number, round));
                }
            });
        }
    });
}

/// A client's own keys, written and read in one pipeline, and a key all clients share.
fn redis_round(client: &mut Wire, number: usize, round: u64) {
    let keys: Vec<_> = (0..4)
        .map(|i| format!("client:{number}:{i}").into_bytes())
        .collect();
    let mut requests = Vec::new();
    for key in &keys {
        let value = value::described(key, round, 60 + 40 * number % 500);
        resp::append(&mut requests, &[b"SET", &key[..], &value]);
    }
    resp::append(&mut requests, &["INCR", "shared"]);
    let mget: Vec<_> = [&b"MGET"[..]]
        .into_iter()
        .chain(keys.iter().map(|key| &key[..]))
        .collect();
    resp::append(&mut requests, &mget);
    keys.iter()
        .for_each(|key| resp::append(&mut requests, &[b"GET", &key[..]]));
    client.send(&requests);
    client.expect(&b"+OK\r\n".repeat(keys.len()));
    assert!(matches!(client.reply(), Reply::Integer(count) if count > 0));
    let together = client.reply().elements();
    let single: Vec<_> = keys.iter().map(|_| client.reply()).collect();
    assert_eq!(together, single);
    for (key, reply) in keys.iter().zip(single) {
        assert_eq!(value::check(key, &reply.bytes()), round);
    }
}

fn memcached_round(client: &mut Wire, number: usize, round: u64) {
    let key = format!("client:{number}");
    let value = value::described(key.as_bytes(), round, 200);
    client.send(
        &[
            &set(&key, &value)[..],
            format!("get {key} none\r\n").as_bytes(),
        ]
        .concat(),
    );
    client.expect(&[b"STORED\r\n", &found(&key, &value)[..], b"END\r\n"].concat());
}

/// Requests of every shape over many keys, and the replies to them.
pub fn redis_pipeline(prefix: &str, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    let mut random = Random::new(seed);
    for number in 0..PIPELINE / 4 {
        let key = format!("{prefix}pipelined:{}:{number}", random.below(1_000)).into_bytes();
        let other = format!("{prefix}other:{number}").into_bytes();
        let length = if number % 100 == 0 {
            20_000
        } else {
            random.below(200)
        };
        let value = value::described(&key, number as u64, length);
        let bulk = fake::bulk(&value);
        resp::append(&mut requests, &[b"SET", &key[..], &value]);
        replies.extend(b"+OK\r\n");
        match number % 3 {
            0 => {
                resp::append(&mut requests, &[b"GET", &key[..]]);
                replies.extend(&bulk);
            }
            1 => {
                resp::append(&mut requests, &[b"MGET", &key[..], &other, &key]);
                replies.extend([b"*3\r\n", &bulk[..], b"$-1\r\n", &bulk].concat());
            }
            _ => {
                resp::append(&mut requests, &["PING"]);
                replies.extend(b"+PONG\r\n");
            }
        }
        resp::append(&mut requests, &[b"MSET", &other[..], b"x", &key, b"y"]);
        replies.extend(b"+OK\r\n");
        resp::append(&mut requests, &[b"DEL", &key[..], &other]);
        replies.extend(b":2\r\n");
    }
    (requests, replies)
}

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    [
        format!("set {key} 0 0 {}\r\n", value.len()).as_bytes(),
        value,
        b"\r\n",
    ]
    .concat()
}

fn found(key: &str, value: &[u8]) -> Vec<u8> {
    [
        format!("VALUE {key} 0 {}\r\n", value.len()).as_bytes(),
        value,
        b"\r\n",
    ]
    .concat()
}
