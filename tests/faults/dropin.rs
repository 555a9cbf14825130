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
