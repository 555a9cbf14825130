//! redis_auth and redis_db.

use crate::support::*;

fn locked(count: usize) -> Vec<Server> {
    (0..count)
        .map(|_| Server::redis_with(&["--requirepass", "secret"]))
        .collect()
}

#[test]
fn clients_and_servers_are_given_the_password() {
    let servers = locked(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("redis_auth", "secret");
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    let refused = b"-NOAUTH Authentication required\r\n";
    client.check(
        &pipeline(&["GET a", "PING", "MGET a b"]),
        &refused.repeat(3),
    );
    client.check(&pipeline(&["AUTH wrong"]), b"-ERR invalid password\r\n");
    client.check(&pipeline(&["GET a"]), refused);
    client.check(
        &pipeline(&["AUTH secret", "SET a b", "GET a"]),
        b"+OK\r\n+OK\r\n$1\r\nb\r\n",
    );
    client.check(
        &pipeline(&["AUTH wrong", "GET a"]),
        b"-ERR invalid password\r\n-NOAUTH Authentication required\r\n",
    );
    // What one client said does not hold for another.
    proxy.client("alpha").check(&pipeline(&["GET a"]), refused);
}

#[test]
fn with_the_wrong_password_for_its_servers_a_pool_answers_errors_only() {
    let servers = locked(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("redis_auth", "other");
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    assert_eq!(client.ask(&["AUTH", "other"]), Reply::ok());
    for request in [
        &["SET", "a", "b"][..],
        &["GET", "a"],
        &["MGET", "a", "b", "c", "d"],
    ] {
        let error = client.ask(request).error();
        assert!(!error.is_empty(), "{request:?}");
    }
}

#[test]
fn the_database_of_the_configuration_is_used() {
    let servers = Server::redis_many(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("redis_db", "5")
        .with("hash", "murmur");
    let proxy = Proxy::nutcrab(vec![pool]);
    check_database(&proxy, &servers, "5", &[]);
}

#[test]
fn password_and_database_go_together() {
    let servers = locked(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("hash", "murmur");
    let pool = pool.with("redis_auth", "secret").with("redis_db", "5");
    let proxy = Proxy::nutcrab(vec![pool]);
    check_database(&proxy, &servers, "5", &["AUTH secret"]);
}

/// A database a server does not have must not silently become another one.
#[test]
fn a_database_that_does_not_exist_gives_errors() {
    let servers = Server::redis_many(2);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("redis_db", "99");
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    for number in 0..10 {
        client.ask(&["SET", &format!("key:{number}"), "x"]).error();
    }
    for server in &servers {
        assert_eq!(server.ask(&["DBSIZE"]), Reply::Integer(0));
    }
}

fn check_database(proxy: &Proxy, servers: &[Server], database: &str, greeting: &[&str]) {
    let mut client = proxy.client("alpha");
    for line in greeting {
        client.check(&pipeline(&[line]), b"+OK\r\n");
    }
    for number in 0..100 {
        assert_eq!(
            client.ask(&["SET", &format!("key:{number}"), "x"]),
            Reply::ok()
        );
    }
    let mut found = 0;
    for server in servers {
        let mut direct = server.connect();
        for line in greeting {
            direct.check(&pipeline(&[line]), b"+OK\r\n");
        }
        assert_eq!(direct.ask(&["DBSIZE"]), Reply::Integer(0));
        assert_eq!(direct.ask(&["SELECT", database]), Reply::ok());
        match direct.ask(&["DBSIZE"]) {
            Reply::Integer(count) if count > 0 => found += count,
            other => panic!("keys in the database of one server: {other:?}"),
        }
    }
    assert_eq!(found, 100);
}
