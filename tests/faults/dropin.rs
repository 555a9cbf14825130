//! What works through twemproxy or with a server itself must work here.

use std::slice;

use crate::support::*;

/// Every guarded command, with arguments that a server would take or refuse without harm.
const GUARDED: &[&str] = &[
    "SHUTDOWN ABORT",
    "REPLICAOF NO ONE",
    "SLAVEOF NO ONE",
    "FAILOVER ABORT",
    "CONFIG SET maxmemory 0",
    "CONFIG REWRITE",
    "MODULE LOAD /nosuch",
    "MODULE LOADEX /nosuch",
    "MODULE UNLOAD nosuch",
    "DEBUG OBJECT a",
    "DEBUG JMAP",
    "MIGRATE 127.0.0.1 1 missing 0 100",
    "SWAPDB 0 1",
    "FUNCTION DELETE nosuch",
    "FUNCTION FLUSH",
    "FUNCTION RESTORE x",
    "ACL SETUSER tom",
    "ACL DELUSER tom",
    "ACL LOAD",
    "ACL SAVE",
];

#[test]
fn t44_guarded_commands_reach_no_server_of_a_pool_that_does_not_allow_them() {
    let one = Server::redis();
    let several = Server::redis_many(2);
    let allowed = "{allow: [config|set, debug, function]}";
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha").servers(slice::from_ref(&one)),
        Pool::redis("beta").servers(&several),
        Pool::redis("gamma")
            .servers(slice::from_ref(&one))
            .with("commands", allowed),
    ]);
    for pool in ["alpha", "beta"] {
        let mut client = proxy.client(pool);
        for request in GUARDED {
            for request in [(*request).to_owned(), request.to_lowercase()] {
                client.send(&resp::words(&request));
                let told = client.reply().brief();
                let why = "is a guarded command: 'commands: allow' of this pool opens it";
                assert!(told.ends_with(why), "{pool}: {request}: {told}");
                assert!(!told.contains('*'), "{pool}: {request}: {told}");
            }
        }
        client.check(&pipeline(&["MULTI", "DEBUG JMAP"]), b"+OK\r\n");
    }
    for server in several.iter().chain([&one]) {
        let counts = server.ask(&["INFO", "commandstats"]).bytes();
        let counts = String::from_utf8(counts).expect("text");
        for request in GUARDED {
            let name = request.split(' ').next().expect("a name").to_lowercase();
            assert!(!counts.contains(&format!("cmdstat_{name}")), "{counts}");
        }
    }
    // Each opens what it names, and no more.
    let mut client = proxy.client("gamma");
    client.check(&pipeline(&["CONFIG SET maxmemory 0"]), b"+OK\r\n");
    client.check(&pipeline(&["FUNCTION FLUSH"]), b"+OK\r\n");
    client.send(&pipeline(&["CONFIG REWRITE", "SWAPDB 0 1"]));
    for name in ["config|rewrite", "swapdb"] {
        let told = client.reply().brief();
        assert!(told.contains(&format!("'{name}' is a guarded")), "{told}");
    }
}

#[test]
fn t39_arrays_of_nothing_are_passed_over_as_by_redis() {
    let server = Server::redis();
    let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").servers(slice::from_ref(&server))]);
    let get = pipeline(&["GET a"]);
    let with = |nothing: &str| [nothing.as_bytes(), &get].concat();
    let ways = [
        with("*0\r\n"),
        with("*-1\r\n"),
        with("*-7\r\n"),
        with("*-9223372036854775808\r\n"),
        with("*0\r\n*-1\r\n\r\n*0\r\n"),
        [
            get.clone(),
            with("*0\r\n"),
            with("*-1\r\n"),
            b"*0\r\n".to_vec(),
        ]
        .concat(),
        [pipeline(&["MULTI"]), with("*0\r\n"), pipeline(&["EXEC"])].concat(),
        // It is what the reply to is skipped.
        [pipeline(&["CLIENT REPLY SKIP"]), with("*0\r\n")].concat(),
        // What is none.
        with("*-0\r\n"),
        with("*-01\r\n"),
        with("*-9223372036854775809\r\n"),
    ];
    for way in &ways {
        let asked = [way.clone(), command(&["PING", "<last>"])].concat();
        let mut direct = server.connect();
        direct.send(&asked);
        let (wanted, _) = direct.read_until(|got| got.ends_with(b"<last>\r\n"));
        for bytewise in [false, true] {
            let mut client = proxy.client("alpha");
            match bytewise {
                true => client.send_bytewise(&asked),
                false => client.send(&asked),
            }
            let (got, _) = client.read_until(|got| got.ends_with(b"<last>\r\n"));
            assert_eq!(shown(&got), shown(&wanted), "{}", shown(way));
        }
    }
}

#[test]
fn t40_a_name_with_a_bar_is_unknown_and_inner_names_are_never_told() {
    let server = Server::redis();
    let denied = "{deny: [debug]}";
    let proxy = Proxy::nutcrab(vec![
        Pool::redis("alpha").servers(slice::from_ref(&server)),
        Pool::redis("beta")
            .servers(slice::from_ref(&server))
            .with("commands", denied),
    ]);
    for pool in ["alpha", "beta"] {
        let mut client = proxy.client(pool);
        for name in [
            "CONFIG|GET",
            "config|get",
            "DEBUG|*",
            "object|encoding",
            "NO|SUCH",
        ] {
            // Twice: what the first one asked a server about must not be known to the second.
            for _ in 0..2 {
                client.send(&command(&[name, "x"]));
                let told = client.reply().brief();
                assert_eq!(told, format!("-ERR unknown command '{name}'"));
            }
        }
        for request in [
            "DEBUG SLEEP 0",
            "debug *",
            "COMMAND INFO debug|*",
            "COMMAND GETKEYS DEBUG|* a",
        ] {
            client.send(&resp::words(request));
            let told = format!("{:?}", client.reply());
            assert!(!told.contains("|*"), "{pool}: {request}: {told}");
        }
        client.check(
            &pipeline(&["SUBSCRIBE a"]),
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
        );
        client.send(&pipeline(&["DEBUG JMAP"]));
        let told = client.reply().brief();
        assert!(!told.contains('*'), "{told}");
    }
}

#[test]
fn t38_times_to_live_beyond_31_bits_expire_at_once_as_with_memcached() {
    let servers = Server::memcached_many(2);
    let proxy = Proxy::nutcrab(vec![Pool::memcache("alpha").servers(&servers)]);
    let mut direct = servers[0].connect();
    let mut client = proxy.client("alpha");
    let small = "x".to_owned();
    // Gathered, and streamed over a connection of its own.
    let (large, huge) = ("y".repeat(100_000), "z".repeat(2_000_000));
    for time in ["2147483648", "4102444800", "4294967295"] {
        for value in [&small, &large, &huge] {
            let len = value.len();
            for (line, told) in [
                ("set a 0", "STORED"),
                ("add b 0", "STORED"),
                ("replace old 0", "STORED"),
                ("append old 0", "STORED"),
                ("prepend old 0", "STORED"),
                ("cas old 0", "EXISTS"),
            ] {
                if len > 1_000_000 && !line.starts_with("set") {
                    continue;
                }
                let unique = if line.starts_with("cas") { " 1" } else { "" };
                let (key, big) = (line.split(' ').nth(1).expect("a key"), len > 1_000_000);
                let asked = format!(
                    "delete {key} noreply\r\nset old 0 0 1\r\no\r\n\
                     {line} {time} {len}{unique}\r\n{value}\r\nget {key}\r\nmn\r\n"
                );
                let mut answers = Vec::new();
                for wire in [&mut direct, &mut client] {
                    wire.send(asked.as_bytes());
                    let (got, _) = wire.read_until(|got| got.ends_with(b"MN\r\n"));
                    answers.push(shown(&got));
                }
                assert_eq!(answers[0], answers[1], "{line} {time}, {len} bytes");
                // An item of 2 MB is too large for memcached as it is started here, and both say so.
                assert!(big || answers[1].contains(told), "{line}: {}", answers[1]);
            }
        }
    }
    // Beyond 32 bits versions disagree on what the data is: nothing is sent.
    client.check(
        b"set a 0 0 1\r\nx\r\nset a 0 4294967296 7\r\nversion\r\nget a\r\n",
        b"STORED\r\nCLIENT_ERROR bad command line format\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
    );
    // As Django's PyLibMCCache does for timeout=0 and timeout=-1.
    client.check(
        b"set a 0 4294967295 1\r\n1\r\nget a\r\n",
        b"STORED\r\nEND\r\n",
    );
}

/// Lua of the kind that rsmq has: its keys are the queue, and plain numbers.
const SCRIPT: &str =
    "redis.call('HSET', KEYS[1], 'id', KEYS[2]) return redis.call('HGET', KEYS[1], 'id')";

#[test]
fn t43_under_the_old_name_commands_go_to_the_server_of_their_first_key() {
    let servers = Server::redis_many(3);
    let pools = || {
        vec![
            Pool::redis("alpha").servers(&servers),
            Pool::redis("beta")
                .servers(&servers)
                .with("cross_shard", "refuse"),
        ]
    };
    let mut old = Proxy::nutcrab_as_nutcracker(pools());
    let mut own = Proxy::nutcrab(pools());
    let mut apart = 0;
    for (name, proxy, pool, refused) in [
        ("nutcracker", &old, "alpha", false),
        ("nutcracker", &old, "beta", true),
        ("nutcrab", &own, "alpha", true),
    ] {
        let mut client = proxy.client(pool);
        for number in 0..40 {
            let number = format!("{}", 1_700_000_000 + number * 86_413);
            let script = ["EVAL", SCRIPT, "2", "rsmq:queue", &number];
            let told = client.ask(&script).brief();
            match told.starts_with("-CROSSSLOT ") {
                true => assert!(refused, "{name}, {pool}: {told}"),
                false => assert_eq!(told, format!("'{number}'"), "{name}, {pool}"),
            }
            apart += usize::from(told.starts_with("-CROSSSLOT "));
            client.ask(&["SUNIONSTORE", &format!("to:{number}"), "a", "b", "c", "d"]);
        }
        // Never what must be executed together, or not at all.
        let keys: Vec<String> = (0..12).map(|number| format!("key:{number}")).collect();
        let mut watch = vec!["WATCH"];
        watch.extend(keys.iter().map(String::as_str));
        let told = client.ask(&watch).brief();
        assert!(told.starts_with("-CROSSSLOT "), "{told}");
        assert_eq!(client.ask(&["MULTI"]), Reply::ok());
        let told: Vec<String> = keys
            .iter()
            .map(|key| client.ask(&["SET", key, "1"]).brief())
            .collect();
        assert!(
            told.iter().any(|told| told.starts_with("-CROSSSLOT ")),
            "{told:?}"
        );
        assert!(client.ask(&["EXEC"]).brief().starts_with("-EXECABORT "));
    }
    assert!(
        apart > 10,
        "hardly any number lives elsewhere than the queue"
    );
    // Told once for each command and pool, and counted each time.
    for (proxy, pool, how) in [
        (
            &mut old,
            "alpha",
            "sent to that of the first (cross_shard: first_key)",
        ),
        (&mut own, "alpha", "refused (cross_shard: refuse)"),
    ] {
        for command in ["eval", "sunionstore"] {
            let line = format!("\"{command}\" has keys on several servers: {how}");
            let log = eventually(&line, || {
                let log = proxy.process().log();
                log.contains(&line).then_some(log)
            });
            let of_pool = |told: &&str| told.contains(&line) && told.contains(pool);
            assert_eq!(log.lines().filter(of_pool).count(), 1, "{log}");
        }
    }
}

#[test]
fn t54_a_wrong_password_after_a_right_one_takes_the_right_one_away() {
    let server = Server::memcached();
    let pool = Pool::memcache("alpha").servers(slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool.with("memcached_auth", "\"tom:secret\"")]);
    let packet = |opcode: u8, key: &[u8], value: &[u8]| {
        let mut bytes = vec![0x80, opcode];
        bytes.extend((key.len() as u16).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(((key.len() + value.len()) as u32).to_be_bytes());
        bytes.extend([0; 12]);
        [&bytes, key, value].concat()
    };
    let mut client = proxy.client("alpha");
    let mut status = |request: Vec<u8>| {
        client.send(&request);
        let (head, _) = client.read_until(|got| {
            let len = got
                .get(8..12)
                .map(|len| u32::from_be_bytes(len.try_into().expect("4 bytes")));
            len.is_some_and(|len| got.len() == 24 + len as usize)
        });
        u16::from_be_bytes([head[6], head[7]])
    };
    let (get, auth) = (packet(0x00, b"a", b""), |value: &[u8]| {
        packet(0x21, b"PLAIN", value)
    });
    let (missing, denied) = (0x01, 0x20);
    assert_eq!(status(get.clone()), denied);
    assert_eq!(status(auth(b"\0tom\0secret")), 0);
    assert_eq!(status(get.clone()), missing);
    for wrong in [&b"\0tom\0other"[..], b"", b"\0nobody\0secret", b"tom"] {
        assert_eq!(status(auth(wrong)), denied);
        assert_eq!(status(get.clone()), denied, "{}", shown(wrong));
        assert_eq!(status(auth(b"\0tom\0secret")), 0);
        assert_eq!(status(get.clone()), missing);
    }
    // A mechanism that is not there is a wrong one.
    assert_eq!(status(packet(0x21, b"SCRAM", b"\0tom\0secret")), denied);
    assert_eq!(status(get), denied);
}

#[test]
fn t41_limits_are_those_of_the_server_and_what_exceeds_one_costs_nothing_but_an_error() {
    let server = Server::redis();
    let pool = |name| Pool::redis(name).servers(slice::from_ref(&server));
    let small = pool("small")
        .with("key_limit", "10")
        .with("value_limit", "100000")
        .with("argument_limit", "5")
        .with("request_limit", "2000");
    let mut proxy = Proxy::nutcrab(vec![pool("alpha"), small]);
    // As with the server itself.
    let mut client = proxy.client("alpha");
    let many = vec!["element"; 1_100_000];
    let push = command(&[&["RPUSH", "list"][..], &many].concat());
    client.send(&push);
    assert_eq!(client.reply(), Reply::Integer(1_100_000));
    let (large, half) = ("x".repeat(9_000_000), "y".repeat(1_500_000));
    client.send(&command(&["MULTI"]));
    client.send(&command(&["SET", "large", &large]));
    (0..6).for_each(|_| client.send(&command(&["APPEND", "half", &half])));
    client.send(&pipeline(&[
        "STRLEN large",
        "STRLEN half",
        "EXEC",
        "STRLEN half",
        "DEL list",
    ]));
    assert_eq!(client.reply(), Reply::ok());
    (0..9).for_each(|_| assert_eq!(client.reply().brief(), "+QUEUED"));
    let done = client.reply().elements();
    assert_eq!(done[0], Reply::ok());
    assert_eq!(
        done[7..],
        [Reply::Integer(9_000_000), Reply::Integer(9_000_000)]
    );
    // What comes behind sees what it did, though it went another way.
    assert_eq!(client.reply(), Reply::Integer(9_000_000));
    assert_eq!(client.reply(), Reply::Integer(1));
    let names: Vec<String> = (0..20_000)
        .map(|number| format!("channel:{number}"))
        .collect();
    let mut words = vec!["SUBSCRIBE"];
    words.extend(names.iter().map(String::as_str));
    let last = ":20000\r\n";
    client.send_while(&command(&words), |client| {
        client.read_until(|got| got.ends_with(last.as_bytes()));
    });
    // Beyond a limit that was set: told so, passed over, and the next request is served.
    let long = "k".repeat(11);
    let (value, huge) = ("v".repeat(100_001), "v".repeat(3_000_000));
    let most = "v".repeat(90_000);
    for (words, told) in [
        (
            vec!["GET", &long],
            "key too long: 11 bytes, key_limit is 10",
        ),
        (
            vec!["MGET", "a", &long],
            "key too long: 11 bytes, key_limit is 10",
        ),
        (
            vec!["SET", "a", &value],
            "value too long: 100001 bytes, value_limit is 100000",
        ),
        (
            vec!["SET", "a", &huge],
            "value too long: 3000000 bytes, value_limit is 100000",
        ),
        // The second is seen when the first is on its way.
        (
            vec!["RPUSH", "l", &most, &value],
            "value too long: 100001 bytes, value_limit is 100000",
        ),
        (
            vec!["DEL", "1", "2", "3", "4", "5"],
            "too many arguments: 6, argument_limit is 5",
        ),
        (
            vec!["MGET", "a", "b", &huge[..1500]],
            "key too long: 1500 bytes, key_limit is 10",
        ),
    ] {
        let mut client = proxy.client("small");
        for bytewise in [false, true] {
            let request = command(&words);
            if bytewise && request.len() > 500 {
                continue;
            }
            match bytewise {
                true => client.send_bytewise(&request),
                false => client.send(&request),
            }
            assert_eq!(client.reply().brief(), format!("-ERR {told}"));
            client.check(&pipeline(&["PING"]), b"+PONG\r\n");
        }
        // Within a transaction, too; and nothing of it is done.
        client.check(&pipeline(&["MULTI", "SET done 1"]), b"+OK\r\n+QUEUED\r\n");
        client.send(&command(&words));
        assert!(client.reply().brief().starts_with("-ERR "), "{told}");
        client.send(&pipeline(&["EXEC", "EXISTS done", "EXISTS l"]));
        assert!(client.reply().brief().starts_with("-EXECABORT "), "{told}");
        client.expect(b":0\r\n:0\r\n");
        let key = [
            "key_limit",
            "value_limit",
            "argument_limit",
            "request_limit",
        ]
        .into_iter()
        .find(|key| told.contains(key));
        let line = format!("refused: {} is ", key.expect("the limit is named"));
        eventually(&line, || {
            proxy.process().log().contains(&line).then_some(())
        });
    }
    // What must be whole is refused as soon as it is seen to be too large.
    let mut client = proxy.client("small");
    let request = command(&["EVAL", &most, "0"]);
    client.send(&request[..5000]);
    let told = client.reply().brief();
    assert_eq!(told, "-ERR request too large: request_limit is 2000");
    client.send(&request[5000..]);
    client.check(&pipeline(&["PING"]), b"+PONG\r\n");
    assert!(!proxy.process().log().contains("malformed request"));
}
