//! Every row of the recorded key-to-server vectors. A test module: it checks `Router` from outside.

use serde_json::Value;

use super::{Router, ServerIndex, Weighted};

pub(super) fn data() -> Value {
    serde_json::from_str(include_str!("../../tests/data/ketama-vectors.json")).expect("json")
}

pub(super) fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("array")
}

pub(super) fn numbers(value: &Value) -> Vec<usize> {
    list(value)
        .iter()
        .map(|n| n.as_u64().expect("number") as usize)
        .collect()
}

/// The servers of a pool entry in sorted order, minus `ejected`.
pub(super) fn weighted<'a>(pool: &'a Value, ejected: &[usize]) -> Vec<Weighted<'a>> {
    let server = |i: usize| {
        let line = pool["servers"][i].as_str().expect("server");
        let address = line.split(' ').next().expect("address");
        Weighted {
            name: pool["server_names"][i].as_str().expect("name"),
            weight: address
                .rsplit(':')
                .next()
                .expect("weight")
                .parse()
                .expect("number"),
            live: !ejected.contains(&i),
        }
    };
    numbers(&pool["sorted_order"])
        .into_iter()
        .map(server)
        .collect()
}

/// Returns how many keys were checked.
fn check(keys: &[Vec<u8>], pool: &Value, ejected: &[usize]) -> usize {
    let name = pool["name"].as_str().expect("name");
    let tag = pool["hash_tag"]
        .as_str()
        .map(|tag| tag.as_bytes().try_into().expect("two bytes"));
    let router = Router::new(
        pool["hash"].as_str().expect("hash").parse().expect("known"),
        tag,
        pool["distribution"]
            .as_str()
            .expect("distribution")
            .parse()
            .expect("known"),
        &weighted(pool, ejected),
    );
    let order = numbers(&pool["sorted_order"]);
    let expected = numbers(&pool["result"]);
    assert_eq!(expected.len(), keys.len(), "{name}");
    for (key, expected) in keys.iter().zip(expected) {
        let server = router.pick(key, 0).expect("a live server");
        assert!(router.is_live(server), "{name}: {key:02x?}");
        assert_eq!(order[server.index()], expected, "{name}: {key:02x?}");
    }
    assert_eq!(router.live_count(), order.len() - ejected.len());
    for &out in ejected {
        let place = order.iter().position(|&i| i == out).expect("in the order");
        assert!(!router.is_live(ServerIndex(place as u16)), "{name}");
    }
    keys.len()
}

fn keys(data: &Value) -> Vec<Vec<u8>> {
    let decode = |hex: &Value| {
        let pairs = hex.as_str().expect("hex").as_bytes().chunks(2);
        let byte = |p| u8::from_str_radix(std::str::from_utf8(p).expect("ascii"), 16).expect("hex");
        pairs.map(byte).collect()
    };
    list(&data["keys_hex"]).iter().map(decode).collect()
}

#[test]
fn every_key_goes_where_twemproxy_sends_it() {
    let data = data();
    let keys = keys(&data);
    let checked: usize = list(&data["pools"])
        .iter()
        .map(|pool| check(&keys, pool, &[]))
        .sum();
    assert_eq!(checked, 63 * 341);
}

#[test]
fn every_key_of_an_ejected_server_goes_where_twemproxy_sends_it() {
    let data = data();
    let keys = keys(&data);
    let scenarios = list(&data["ejection"]);
    let checked: usize = scenarios
        .iter()
        .map(|pool| check(&keys, pool, &numbers(&pool["ejected"])))
        .sum();
    assert_eq!(checked, 14 * 341);
}
