//! memcached pools: hash tags, ejection, timeouts and limits as in Redis pools, whatever a client
//! speaks.

use std::slice;

use crate::support::*;

/// A request in the binary protocol, or a reply with another first byte and its status.
fn message(magic: u8, opcode: u8, status: u16, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![magic, opcode];
    bytes.extend((key.len() as u16).to_be_bytes());
    bytes.extend([extras.len() as u8, 0]);
    bytes.extend(status.to_be_bytes());
    bytes.extend(((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
    bytes.extend(b"mark");
    bytes.extend([0; 8]);
    bytes.extend([extras, key, value].concat());
    bytes
}

/// A set of `x` in each dialect, and what success looks like.
fn sets(key: &str) -> [(Vec<u8>, Vec<u8>); 3] {
    [
        (
            format!("set {key} 0 0 1\r\nx\r\n").into(),
            b"STORED\r\n".into(),
        ),
        (format!("ms {key} 1\r\nx\r\n").into(), b"HD\r\n".into()),
        (
            message(0x80, 1, 0, &[0; 8], key.as_bytes(), b"x"),
            Vec::new(),
        ),
    ]
}

/// Whether a set of this dialect (a row of [`sets`]) succeeds.
fn succeeds(client: &mut Wire, (request, success): &(Vec<u8>, Vec<u8>)) -> bool {
    client.send(request);
    if success.is_empty() {
        let header = client.read_exact(24);
        let body = u32::from_be_bytes(header[8..12].try_into().expect("four bytes"));
        client.read_exact(body as usize);
        return header[6..8] == [0, 0];
    }
    [client.line(), b"\r\n".to_vec()].concat() == *success
}

#[test]
fn a_dead_memcached_is_ejected_for_all_dialects_and_returns() {
    let mut servers = Server::memcached_many(3);
    let pool = Pool::memcache("beta")
        .servers(&servers)
        .with("hash", "murmur")
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "2")
        .with("server_retry_timeout", "1000");
    let proxy = Proxy::nutcrab(vec![pool]);
    // Several of each dialect, for all workers must come to agree.
    let mut clients: Vec<_> = (0..6).map(|_| proxy.client("beta")).collect();
    let keys: Vec<String> = (0..60).map(|i| format!("key:{i}")).collect();
    let write = |clients: &mut [Wire]| {
        let mut fine = true;
        for (number, key) in keys.iter().enumerate() {
            let number = number % clients.len();
            fine &= succeeds(&mut clients[number], &sets(key)[number % 3]);
        }
        fine
    };
    let held = |server: &Server| {
        let mut direct = server.connect();
        let has = |key: &&String| {
            direct.send(format!("mg {key}\r\n").as_bytes());
            direct.line() == b"HD"
        };
        keys.iter().filter(has).count()
    };
    let forget = |server: &Server| server.connect().check(b"flush_all\r\n", b"OK\r\n");
    assert!(write(&mut clients));
    let before: Vec<_> = servers.iter().map(held).collect();
    assert!(before.iter().all(|&count| count > 0) && before.iter().sum::<usize>() == 60);

    servers[1].kill();
    eventually("the server is ejected", || {
        write(&mut clients).then_some(())
    });
    servers[1].restart();
    eventually("the server has its keys again", || {
        servers.iter().for_each(forget);
        let fine = write(&mut clients);
        let after: Vec<_> = servers.iter().map(held).collect();
        (fine && after == before).then_some(())
    });
}

#[test]
fn a_memcached_that_never_answers_is_answered_for_in_each_dialect() {
    let server = FakeServer::start(|visit| visit.wait_closed());
    let pool = Pool::memcache("beta")
        .at("s1", &server.address())
        .with("timeout", "300");
    let proxy = Proxy::nutcrab(vec![pool]);
    let late = b"SERVER_ERROR Connection timed out\r\n";
    let mut text = proxy.client("beta");
    text.send(b"get a\r\nset b 0 0 1 noreply\r\nx\r\nmg c v q\r\nms d 1\r\nx\r\nmn\r\n");
    // Of what was sent with `noreply` nothing is heard, of quiet requests that they failed.
    text.expect(&[late.repeat(3), b"MN\r\n".to_vec()].concat());
    let mut binary = proxy.client("beta");
    let words = b"Connection timed out";
    for opcode in [0x00, 0x09] {
        binary.send(&message(0x80, opcode, 0, b"", b"key", b""));
        binary.expect(&message(0x81, opcode, 0x86, b"", b"", words));
    }
    binary.check(
        &message(0x80, 0x0a, 0, b"", b"", b""),
        &message(0x81, 0x0a, 0, b"", b"", b""),
    );
}

#[test]
fn keys_with_one_hash_tag_live_on_one_memcached_in_each_dialect() {
    let servers = Server::memcached_many(4);
    let pool = Pool::memcache("beta")
        .servers(&servers)
        .with("hash_tag", "\"{}\"");
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut clients = [(); 3].map(|()| proxy.client("beta"));
    for number in 0..30 {
        let key = format!("{number}{{tag}}{number}");
        let dialect = number % 3;
        assert!(succeeds(&mut clients[dialect], &sets(&key)[dialect]));
    }
    // `31{tag}` in base64.
    clients[1].check(b"ms MzF7dGFnfQ== 1 b\r\nx\r\n", b"HD\r\n");
    let held = |server: &Server| {
        let mut direct = server.connect();
        direct.send(b"stats\r\n");
        let lines = std::iter::repeat_with(|| direct.line()).take_while(|line| line != b"END");
        let lines: Vec<_> = lines.collect();
        let count = lines
            .iter()
            .find_map(|line| line.strip_prefix(b"STAT curr_items "));
        String::from_utf8(count.expect("a count").to_vec()).expect("digits")
    };
    let mut counts: Vec<_> = servers.iter().map(held).collect();
    counts.sort();
    assert_eq!(counts, ["0", "0", "0", "31"]);
}

#[test]
fn limits_of_a_memcached_pool_hold_in_each_dialect() {
    let server = Server::memcached();
    let pool = Pool::memcache("beta")
        .servers(slice::from_ref(&server))
        .with("key_limit", "20")
        .with("value_limit", "1000");
    let proxy = Proxy::nutcrab(vec![pool]);
    let long = "k".repeat(21);
    let (bad, large) = (
        b"CLIENT_ERROR bad command line format\r\n",
        b"SERVER_ERROR object too large for cache\r\n",
    );
    let value = "v".repeat(1001);
    let mut text = proxy.client("beta");
    for request in [format!("get a {long}\r\n"), format!("mg {long} v\r\n")] {
        text.check(request.as_bytes(), bad);
    }
    for request in [
        format!("set a 0 0 1001\r\n{value}\r\n"),
        format!("ms a 1001\r\n{value}\r\n"),
    ] {
        text.check(request.as_bytes(), large);
    }
    // The connections go on where the next request starts is known.
    text.check(b"get a\r\n", b"END\r\n");
    let mut binary = proxy.client("beta");
    binary.check(
        &message(0x80, 1, 0, &[0; 8], b"a", value.as_bytes()),
        &message(0x81, 1, 3, b"", b"", b"Too large."),
    );
    binary.check(
        &message(0x80, 0, 0, b"", long.as_bytes(), b""),
        &message(0x81, 0, 4, b"", b"", b"Invalid arguments"),
    );
    binary.expect_closed();
    let mut other = proxy.client("beta");
    other.check(b"get a\r\n", b"END\r\n");
}
