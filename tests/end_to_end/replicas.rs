//! WAIT and WAITAOF, with real replicas that stand still when they are told to.

use super::sessions::keys_apart;
use crate::support::*;

/// Starts a server with options.
type Start = fn(&[&str]) -> Server;

/// Servers with a replica each, and a pool of them.
struct Scene {
    servers: Vec<Server>,
    replicas: Vec<Server>,
    proxy: Proxy,
}

impl Scene {
    fn start(count: usize, start: Start) -> Self {
        let options = ["--repl-diskless-sync-delay", "0", "--appendonly", "yes"];
        let servers: Vec<Server> = (0..count).map(|_| start(&options)).collect();
        let replica_of = |server: &Server| {
            let port = server.address().port().to_string();
            start(&["--appendonly", "yes", "--replicaof", "127.0.0.1", &port])
        };
        let replicas = servers.iter().map(replica_of).collect();
        for server in &servers {
            eventually("a replica follows", || {
                let mut wire = server.connect();
                wire.ask(&["SET", "first", "write"]);
                (wire.ask(&["WAIT", "1", "100"]) == Reply::Integer(1)).then_some(())
            });
        }
        let pool = Pool::redis("alpha").servers(&servers);
        let proxy = Proxy::nutcrab(vec![pool.with("timeout", "2000")]);
        Self {
            servers,
            replicas,
            proxy,
        }
    }

    /// The place of the server that has a key.
    fn home(&self, key: &str) -> usize {
        let has = |server: &Server| server.ask(&["EXISTS", key]) == Reply::Integer(1);
        let home = self.servers.iter().position(has);
        home.expect("the key is stored")
    }
}

fn numbers(reply: Reply) -> Vec<Reply> {
    match reply {
        Reply::Integer(_) => vec![reply],
        other => other.elements(),
    }
}

#[test]
fn wait_counts_no_replica_that_has_not_what_the_client_wrote() {
    for (start, is_valkey) in [
        (Server::redis_with as Start, false),
        (Server::valkey_with as Start, true),
    ] {
        for count in [1, 3] {
            let mut scene = Scene::start(count, start);
            let [near, far] = keys_apart(&scene.servers, &scene.proxy);
            let mut client = scene.proxy.client("alpha");
            let mut other = scene.proxy.client("alpha");
            assert_eq!(other.ask(&["SET", &far, "1"]), Reply::ok());
            assert_eq!(client.ask(&["SET", &near, "1"]), Reply::ok());
            assert_eq!(client.ask(&["WAIT", "1", "9000"]), Reply::Integer(1));

            let home = scene.home(&near);
            scene.replicas[home].process().signal("STOP");
            for greeting in ["", "HELLO 3"] {
                if !greeting.is_empty() {
                    client.send(&pipeline(&[greeting, "PING ready"]));
                    client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
                }
                assert_eq!(client.ask(&["SET", &near, "2"]), Reply::ok());
                assert_eq!(client.ask(&["WAIT", "1", "50"]), Reply::Integer(0));
                // Nothing was written since.
                assert_eq!(client.ask(&["WAIT", "1", "50"]), Reply::Integer(0));
                if is_valkey {
                    let reply = client.ask(&["WAITAOF", "1", "1", "50"]);
                    assert_eq!(numbers(reply)[1], Reply::Integer(0));
                }
            }
            // A client that wrote elsewhere does not wait for it.
            let expected = Reply::Integer(i64::from(count > 1));
            assert_eq!(other.ask(&["WAIT", "1", "50"]), expected);

            // It writes to both: the fewest replicas count.
            assert_eq!(client.ask(&["SET", &far, "2"]), Reply::ok());
            assert_eq!(client.ask(&["WAIT", "1", "50"]), Reply::Integer(0));
            scene.replicas[home].process().signal("CONT");
            assert_eq!(client.ask(&["WAIT", "1", "9000"]), Reply::Integer(1));
            if is_valkey {
                let reply = client.ask(&["WAITAOF", "1", "1", "9000"]);
                assert_eq!(numbers(reply), [Reply::Integer(1), Reply::Integer(1)]);
            }
        }
    }
}

#[test]
fn a_server_that_cannot_be_asked_fails_the_wait_for_all() {
    let mut scene = Scene::start(2, Server::valkey_with);
    let [near, far] = keys_apart(&scene.servers, &scene.proxy);
    let mut client = scene.proxy.client("alpha");
    for key in [&near, &far] {
        assert_eq!(client.ask(&["SET", key, "1"]), Reply::ok());
    }
    // One waits for ever; the other is lost meanwhile.
    client.send(&pipeline(&["WAIT 9 0"]));
    let waits = |server: &Server| server.blocked_clients() == 1;
    eventually("both servers wait", || {
        scene.servers.iter().all(waits).then_some(())
    });
    let home = scene.home(&far);
    scene.servers[home].kill();
    let Reply::Error(error) = client.reply() else {
        panic!("a wait that failed is an error");
    };
    assert!(error.starts_with("ERR "), "{error}");
    eventually("nobody waits any more", || {
        (!waits(&scene.servers[1 - home])).then_some(())
    });
    assert_eq!(client.ask(&["SET", &near, "2"]), Reply::ok());
}
