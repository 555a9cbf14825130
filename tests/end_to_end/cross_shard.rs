//! Commands with several keys that cannot be split: `cross_shard`.

use crate::support::*;

/// Two keys that live on different servers, and two on one, found by asking the servers.
fn keys_apart(servers: &[Server], client: &mut Wire) -> [String; 3] {
    let keys: Vec<String> = (0..40).map(|i| format!("key:{i}")).collect();
    for key in &keys {
        assert_eq!(client.ask(&["SADD", key, "1", "2"]), Reply::Integer(2));
    }
    let first = |key: &&String| servers[0].ask(&["EXISTS", key]) == Reply::Integer(1);
    let (on_first, elsewhere): (Vec<_>, Vec<_>) = keys.iter().partition(first);
    [
        on_first[0].clone(),
        on_first[1].clone(),
        elsewhere[0].clone(),
    ]
}

#[test]
fn keys_of_different_servers_are_refused_and_nothing_is_sent() {
    let servers = Server::redis_many(2);
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha")
            .servers(&servers)
            .with("hash", "murmur"),
    ]);
    let mut client = proxy.client("alpha");
    let [one, same, other] = &keys_apart(&servers, &mut client);
    let refused = "CROSSSLOT Keys in request don't hash to the same shard";
    assert_eq!(client.ask(&["SUNION", one, other]).error(), refused);
    assert_eq!(
        client.ask(&["SUNIONSTORE", other, one, same]).error(),
        refused
    );
    assert_eq!(
        client.ask(&["SUNIONSTORE", one, other, same]).error(),
        refused
    );
    assert_eq!(client.ask(&["SMOVE", one, other, "1"]).error(), refused);
    assert_eq!(client.ask(&["SCARD", one]), Reply::Integer(2));
    assert_eq!(client.ask(&["SCARD", other]), Reply::Integer(2));
    assert_eq!(client.ask(&["SUNION", one, same]).elements().len(), 2);
    assert_eq!(client.ask(&["SMOVE", one, same, "1"]), Reply::Integer(1));
}

#[test]
fn a_pool_may_send_them_to_the_server_of_the_first_key() {
    let servers = Server::redis_many(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("hash", "murmur");
    let proxy = Proxy::nutcrab(vec![pool.with("cross_shard", "first_key")]);
    let mut client = proxy.client("alpha");
    let [one, _, other] = &keys_apart(&servers, &mut client);
    assert_eq!(client.ask(&["SUNION", one, other]).elements().len(), 2);
    assert_eq!(client.ask(&["SMOVE", one, other, "1"]), Reply::Integer(1));
    // Moved to a key of that name on the first server, where nobody will look for it.
    assert_eq!(client.ask(&["SCARD", one]), Reply::Integer(1));
    assert_eq!(client.ask(&["SCARD", other]), Reply::Integer(2));
    assert_eq!(servers[0].ask(&["SCARD", other]), Reply::Integer(1));
}
