//! Client libraries and tools as people use them.

use std::process::Command;
use std::slice;

use crate::support::*;

fn redis_proxy() -> (Vec<Server>, Proxy) {
    let servers = Server::redis_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(&servers)]);
    (servers, proxy)
}

#[test]
fn the_redis_crate_works() -> redis::RedisResult<()> {
    let (_servers, proxy) = redis_proxy();
    let client = redis::Client::open(format!("redis://{}/", proxy.address("alpha")))?;
    let mut connection = client.get_connection()?;
    let _: () = redis::cmd("SET").arg("a").arg(1).query(&mut connection)?;
    let two: i64 = redis::cmd("INCR").arg("a").query(&mut connection)?;
    assert_eq!(two, 2);
    let pairs: Vec<String> = (0..100)
        .flat_map(|i| [format!("k:{i}"), format!("v:{i}")])
        .collect();
    let _: () = redis::cmd("MSET").arg(&pairs).query(&mut connection)?;
    let keys: Vec<String> = (0..100).rev().map(|i| format!("k:{i}")).collect();
    let values: Vec<String> = redis::cmd("MGET").arg(&keys).query(&mut connection)?;
    assert_eq!(
        values,
        (0..100).rev().map(|i| format!("v:{i}")).collect::<Vec<_>>()
    );
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.cmd("GET").arg(key);
    }
    let values: Vec<String> = pipe.query(&mut connection)?;
    assert_eq!(values.len(), 100);
    let gone: i64 = redis::cmd("DEL").arg(&keys).query(&mut connection)?;
    assert_eq!(gone, 100);
    let unknown = redis::cmd("NONSENSE").query::<()>(&mut connection);
    assert!(unknown.is_err());
    let still: i64 = redis::cmd("GET").arg("a").query(&mut connection)?;
    assert_eq!(still, 2);
    Ok(())
}

#[test]
fn the_memcache_crate_works() -> Result<(), memcache::MemcacheError> {
    for count in [1, 4] {
        let servers = Server::memcached_many(count);
        let proxy = Proxy::nutcrab(vec![Pool::memcache("alpha").servers(&servers)]);
        let address = proxy.address("alpha");
        // Its own default is the binary protocol.
        for protocol in ["", "?protocol=ascii"] {
            let client = memcache::connect(format!("memcache://{address}{protocol}"))?;
            client.set("a", "text", 0)?;
            assert_eq!(client.get::<String>("a")?, Some("text".to_owned()));
            client.set("n", 41, 0)?;
            assert_eq!(client.increment("n", 1)?, 42);
            for number in 0..100 {
                client.set(&format!("k:{number}"), number, 0)?;
            }
            let keys: Vec<String> = (0..100).map(|number| format!("k:{number}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let found = client.gets::<u32>(&keys)?;
            assert!((0..100).all(|number| found[&format!("k:{number}")] == number));
            assert!(client.delete("a")?);
            assert_eq!(client.get::<String>("a")?, None);
        }
    }
    Ok(())
}

#[test]
fn redis_cli_works() {
    let (_servers, proxy) = redis_proxy();
    let port = proxy.address("alpha").port().to_string();
    let cli = |words: &[&str]| {
        let output = Command::new("redis-cli")
            .args(["-p", &port])
            .args(words)
            .output();
        let output = output.expect("redis-cli is installed (package redis-tools)");
        assert!(
            output.status.success(),
            "{words:?}: {}",
            shown(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(cli(&["SET", "a", "hello world"]), "OK\n");
    assert_eq!(cli(&["GET", "a"]), "hello world\n");
    assert_eq!(cli(&["MSET", "k1", "v1", "k2", "v2", "k3", "v3"]), "OK\n");
    assert_eq!(cli(&["MGET", "k3", "none", "k1"]), "v3\n\nv1\n");
    assert_eq!(cli(&["DEL", "k1", "k2", "k3", "k4"]), "3\n");
    assert_eq!(cli(&["PING"]), "PONG\n");
    assert!(cli(&["KEYS", "*"]).starts_with("ERR 'keys' is refused in a pool of several servers"));
}

#[test]
fn redis_benchmark_works() {
    let (_servers, proxy) = redis_proxy();
    let port = proxy.address("alpha").port().to_string();
    let output = Command::new("redis-benchmark")
        .args([
            "-p",
            &port,
            "-t",
            "get,set,mset,lpush",
            "-P",
            "16",
            "-n",
            "20000",
            "-r",
            "1000",
        ])
        .args(["-e", "--csv"])
        .output()
        .expect("redis-benchmark is installed (package redis-tools)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", shown(&output.stderr));
    for test in ["\"SET\"", "\"GET\"", "\"LPUSH\"", "\"MSET (10 keys)\""] {
        assert!(
            said.lines().any(|line| line.starts_with(test)),
            "no {test} in:\n{said}"
        );
    }
    assert!(!said.contains("rror"), "{said}");
}

/// Old clients say what they can do, look around, and go on without: no answer may end them.
#[test]
fn a_client_that_introduces_itself_is_understood() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut client = proxy.client("alpha");
    for words in [
        &["CLIENT", "SETINFO", "LIB-NAME", "x"][..],
        &["CLIENT", "SETNAME", "me"],
        &["SELECT", "1"],
        &["SELECT", "0"],
    ] {
        assert_eq!(client.ask(words), Reply::ok(), "{words:?}");
    }
    assert_eq!(
        client.ask(&["SELECT", "16"]).error(),
        "ERR DB index is out of range"
    );
    assert_eq!(client.ask(&["SET", "a", "b"]), Reply::ok());
}
