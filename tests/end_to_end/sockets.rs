//! Unix sockets and IPv6 on both sides, and how many connections there are.

use std::os::unix::fs::PermissionsExt;
use std::slice;

use crate::support::*;

#[test]
fn unix_sockets_serve_on_both_sides() {
    let (server, cache) = (Server::redis_unix(), Server::memcached_unix());
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha")
            .servers(slice::from_ref(&server))
            .on_unix(),
        Pool::memcache("beta")
            .servers(slice::from_ref(&cache))
            .on_unix(),
    ]);
    let mut client = proxy.client("alpha");
    client.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
    let mut client = proxy.client("beta");
    client.check(
        b"set a 0 0 1\r\nb\r\nget a\r\n",
        b"STORED\r\nVALUE a 0 1\r\nb\r\nEND\r\n",
    );
}

#[test]
fn a_listening_unix_socket_gets_the_mode_of_the_configuration() {
    let server = Server::redis();
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .on_unix_with_mode("0620");
    let proxy = Proxy::nutcrab(vec![pool]);
    let Address::Unix(path) = proxy.address("alpha") else {
        panic!("the pool is on a unix socket")
    };
    let mode = std::fs::metadata(path)
        .expect("the socket is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o620);
}

#[test]
fn a_database_is_selected_over_a_unix_socket_too() {
    let server = Server::redis_unix();
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .with("redis_db", "3");
    let proxy = Proxy::nutcrab(vec![pool]);
    assert_eq!(proxy.client("alpha").ask(&["SET", "a", "b"]), Reply::ok());
    let mut direct = server.connect();
    direct.check(
        &pipeline(&["GET a", "SELECT 3", "GET a"]),
        b"$-1\r\n+OK\r\n$1\r\nb\r\n",
    );
}

#[test]
fn ipv6_serves_on_both_sides() {
    let server = Server::redis_ipv6();
    let pool = Pool::redis("alpha")
        .servers(slice::from_ref(&server))
        .on_ipv6();
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    client.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
}

#[test]
fn host_names_are_resolved() {
    // Whichever of the two a machine has first.
    let server = Server::redis_with(&["--bind", "127.0.0.1", "-::1"]);
    let line = format!("localhost:{}:1", server.address().port());
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").line(&line)]);
    assert_eq!(proxy.client("alpha").ask(&["SET", "a", "b"]), Reply::ok());
    assert_eq!(server.ask(&["GET", "a"]), Reply::bulk("b"));
}

#[test]
fn preconnect_connects_before_the_first_request() {
    let server = FakeServer::answering(|_| b"+OK\r\n".to_vec());
    let pool = Pool::redis("alpha").at("s1", &server.address());
    let proxy = Proxy::nutcrab(vec![pool.with("preconnect", "true")]);
    eventually("a connection before any request", || {
        (server.accepted() > 0).then_some(())
    });
    let preconnected = server.accepted();
    assert_eq!(proxy.client("alpha").ask(&["SET", "a", "b"]), Reply::ok());
    assert!(server.accepted() <= preconnected.max(proxy::workers()));
}

#[test]
fn without_preconnect_no_connection_is_made_before_the_first_request() {
    let server = FakeServer::answering(|_| b"+OK\r\n".to_vec());
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").at("s1", &server.address())]);
    assert_eq!(
        proxy.client("alpha").ask(&["PING"]),
        Reply::Status("PONG".into())
    );
    assert_eq!(server.accepted(), 0);
}

/// Reads behind writes of the same key see them, however many connections there are.
#[test]
fn several_server_connections_are_used_and_keep_the_order_of_a_client() {
    const PER_WORKER: usize = 3;
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![
        pool.with("server_connections", &PER_WORKER.to_string()),
    ]);
    let proxy = &proxy;
    std::thread::scope(|scope| {
        for number in 0..12 {
            scope.spawn(move || {
                let (requests, replies) =
                    crate::traffic::redis_pipeline(&format!("{number}:"), number);
                let mut client = proxy.client("alpha");
                client.send_while(&requests, |client| client.expect(&replies));
            });
        }
    });
    let Reply::Bulk(Some(list)) = server.ask(&["CLIENT", "LIST", "TYPE", "normal"]) else {
        panic!("CLIENT LIST gives text")
    };
    let connections = list
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .count()
        - 1;
    let most = PER_WORKER * proxy::workers();
    assert!(
        (2..=most).contains(&connections),
        "{connections} connections, at most {most} allowed"
    );
}

#[test]
fn a_client_closes_others_of_its_host_whichever_worker_has_them() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut asker = proxy.client("alpha");
    let mut clients: Vec<Wire> = (0..8).map(|_| proxy.client("alpha")).collect();
    for client in &mut clients {
        let Reply::Integer(number) = client.ask(&["CLIENT", "ID"]) else {
            panic!("CLIENT ID gives a number");
        };
        let number = number.to_string();
        for expected in [1, 0] {
            let reply = asker.ask(&["CLIENT", "KILL", "ID", &number]);
            assert_eq!(reply, Reply::Integer(expected));
        }
        client.expect_closed();
    }
    assert_eq!(asker.ask(&["SET", "a", "1"]), Reply::ok());
}
