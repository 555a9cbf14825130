//! Replies whose end or owner is in doubt: nothing of them reaches a client, and a client that asks
//! for one costs others nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;

/// A request of the binary protocol.
fn packet(opcode: u8, extras: &[u8], key: &[u8], value: &[u8], opaque: [u8; 4]) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut bytes = vec![0x80, opcode];
    bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    bytes.extend_from_slice(&body.to_be_bytes());
    bytes.extend_from_slice(&opaque);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend([extras, key, value].concat());
    bytes
}

/// The next message of the binary protocol, whole.
fn message(wire: &mut Wire) -> Vec<u8> {
    let mut bytes = wire.read_exact(24);
    let body = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    bytes.extend(wire.read_exact(body as usize));
    bytes
}

/// What an attacker sends in the text protocol, each answered with something.
const TEXT: [&[u8]; 6] = [
    b"stats sizes_enable\r\n",
    b"stats sizes_disable\r\n",
    b"stats cachedump 1 0\r\n",
    b"stats detail dump\r\n",
    // The key of `HOSTILE`, in base64.
    b"mg eA0KRU5EDQpFTkQNCg== b v k\r\n",
    b"me eA0KRU5EDQpFTkQNCg== b\r\n",
];

/// A key with line ends, which the binary protocol takes.
const HOSTILE: &[u8] = b"x\r\nEND\r\nEND\r\n";

#[test]
fn t1_words_whose_reply_has_no_end_shift_no_reply_and_eject_no_server() {
    let servers = Server::memcached_many(2);
    let pool = Pool::memcache("beta")
        .servers(&servers)
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1")
        .with("server_retry_timeout", "60000")
        .with("timeout", "5000");
    let mut proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let mut keeper = proxy.client("beta");
    for victim in 0..7 {
        let set = format!("set secret{victim} 0 0 6\r\nowner{victim}\r\n");
        keeper.check(set.as_bytes(), b"STORED\r\n");
    }
    for server in &servers {
        let mut direct = server.connect();
        direct.send(&packet(0x01, &[0; 8], HOSTILE, b"v", *b"evil"));
        assert_eq!(message(&mut direct)[6..8], [0, 0]);
    }
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _at_end = AtEnd(&stop);
        let runs = || !stop.load(Ordering::SeqCst);
        for victim in 0..7 {
            let (asked, mut wire) = (&asked, proxy.client("beta"));
            scope.spawn(move || {
                let value = format!("VALUE secret{victim} 0 6\r\nowner{victim}\r\nEND\r\n");
                while runs() {
                    wire.check(b"get nothing\r\n", b"END\r\n");
                    wire.check(
                        format!("get secret{victim}\r\n").as_bytes(),
                        value.as_bytes(),
                    );
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut wire = proxy.client("beta");
        scope.spawn(move || {
            while runs() {
                for line in TEXT {
                    wire.send(line);
                    let reply = wire.line();
                    assert!(
                        reply.starts_with(b"CLIENT_ERROR"),
                        "{}: {}",
                        shown(line),
                        shown(&reply)
                    );
                }
            }
        });
        let mut wire = proxy.client("beta");
        scope.spawn(move || {
            while runs() {
                for key in [&b"sizes_enable"[..], b"sizes_disable", b"detail"] {
                    wire.send(&packet(0x10, b"", key, b"", *b"evil"));
                    let reply = message(&mut wire);
                    assert_eq!(
                        (&reply[12..16], reply[7]),
                        (&b"evil"[..], 1),
                        "{}",
                        shown(key)
                    );
                }
            }
        });
        let end = Instant::now() + Duration::from_millis(crate::rounds(1_000, 15_000) as u64);
        while Instant::now() < end
            && asked.load(Ordering::Relaxed) < crate::rounds(3_000, usize::MAX)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(asked.into_inner() > 100);
    let mut wire = proxy.client("beta");
    for victim in 0..7 {
        let value = format!("VALUE secret{victim} 0 6\r\nowner{victim}\r\nEND\r\n");
        wire.check(
            format!("get secret{victim}\r\n").as_bytes(),
            value.as_bytes(),
        );
    }
    let log = proxy.process().log();
    assert!(!log.contains("is ejected for"), "{log}");
}

#[test]
fn t2_no_word_of_memcached_shifts_the_replies_of_others() {
    let server = Server::memcached();
    let pool = Pool::memcache("beta")
        .at("s", server.address())
        .with("flush_all", "false");
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let [mut first, mut second, mut third] = [(); 3].map(|()| proxy.client("beta"));
    first.check(b"set secret 0 0 5\r\nvalue\r\n", b"STORED\r\n");
    let value = b"VALUE secret 0 5\r\nvalue\r\nEND\r\n";
    let found = |wire: &mut Wire| {
        wire.send(&packet(0x0c, b"", b"secret", b"", *b"mine"));
        let reply = message(wire);
        assert_eq!(&reply[12..16], b"mine");
        assert!(reply.ends_with(b"secretvalue"), "{}", shown(&reply));
    };
    found(&mut third);
    let mut attackers = [(); 2].map(|()| proxy.client("beta"));
    for (index, word) in server.words().into_iter().enumerate() {
        if index % 200 == 0 {
            // Nothing of what they are told is read.
            attackers = [(); 2].map(|()| proxy.client("beta"));
        }
        // As a word of `stats`, as a command, and as one with a key and a number.
        for line in [
            format!("stats {word}\r\n"),
            format!("{word}\r\n"),
            format!("{word} secret 1\r\n"),
        ] {
            if line.starts_with("touch ") || line.starts_with("md ") {
                // They would take the value away.
                continue;
            }
            if attackers[0].try_send(line.as_bytes()).is_err() {
                attackers[0] = proxy.client("beta");
            }
            first.send(b"get nothing\r\n");
            second.send(b"get secret\r\n");
            first.expect(b"END\r\n");
            second.expect(value);
        }
        attackers[1].send(&packet(0x10, b"", word.as_bytes(), b"", *b"evil"));
        found(&mut third);
    }
}

/// Servers that answer every third request as somebody else's: `honest` and `foreign` make the replies.
/// Eight clients ask, and none may be given what is not its own.
fn lying(
    pool: Pool,
    request: impl Fn(usize) -> Vec<u8> + Sync,
    is_own: impl Fn(usize, &mut Wire) -> bool + Sync,
) -> (usize, usize) {
    let proxy = Proxy::nutcrab_of_one_worker(vec![pool]);
    let (own, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (proxy, request, is_own) = (&proxy, &request, &is_own);
            let (own, failed) = (&own, &failed);
            scope.spawn(move || {
                let mut wire = proxy.client("pool");
                for _ in 0..crate::rounds(40, 400) {
                    wire.send(&request(client));
                    let count = if is_own(client, &mut wire) {
                        own
                    } else {
                        failed
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (own.into_inner(), failed.into_inner())
}

/// A server that reads requests of the length `length` tells and answers them with what `answer` says.
fn scripted(
    length: impl Fn(&[u8]) -> Option<usize> + Send + Sync + 'static,
    answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> FakeServer {
    let asked = AtomicUsize::new(0);
    FakeServer::start(move |visit| {
        let mut pending = Vec::new();
        loop {
            while let Some(len) = length(&pending) {
                let request: Vec<u8> = pending.drain(..len).collect();
                let count = asked.fetch_add(1, Ordering::SeqCst);
                if visit.wire.try_send(&answer(count, &request)).is_err() {
                    return;
                }
            }
            match visit.wire.try_exact(1) {
                Ok(byte) => pending.extend(byte),
                Err(_) => return,
            }
        }
    })
}

#[test]
fn t3_a_binary_reply_with_another_opcode_or_opaque_reaches_no_client() {
    let whole = |bytes: &[u8]| {
        let body = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
        let len = 24 + body as usize;
        (bytes.len() >= len).then_some(len)
    };
    // A hit whose value is the opaque of its request.
    let server = scripted(whole, |count, request| {
        let mut reply = [
            &[0x81, request[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 4],
            &request[12..24],
        ]
        .concat();
        reply.extend_from_slice(&request[12..16]);
        match count % 7 {
            3 => reply[15] ^= 1,
            5 => reply[1] ^= 0x0c,
            _ => {}
        }
        reply
    });
    let opaque = |client: usize| [b'c', b'l', 0, client as u8 * 2];
    let (own, failed) = lying(
        Pool::memcache("pool").at("s", &server.address()),
        |client| packet(0x00, b"", b"key", b"", opaque(client)),
        |client, wire| {
            let reply = message(wire);
            assert_eq!((reply[1], &reply[12..16]), (0x00, &opaque(client)[..]));
            let hit = reply[6..8] == [0, 0];
            assert!(!hit || reply[24..] == opaque(client), "{}", shown(&reply));
            hit
        },
    );
    assert!(own > 20 && failed > 20, "{own} {failed}");
}

#[test]
fn t4_a_text_reply_of_another_key_or_family_reaches_no_client() {
    let line = |bytes: &[u8]| Some(bytes.iter().position(|&byte| byte == b'\n')? + 1);
    // The value of each key is the key itself.
    let server = scripted(line, |count, request| {
        let text = String::from_utf8_lossy(request).into_owned();
        let mut reply = String::new();
        for key in text.split_whitespace().skip(1) {
            let key = match count % 7 {
                3 => "other",
                _ => key,
            };
            reply.push_str(&format!("VALUE {key} 0 {}\r\n{key}\r\n", key.len()));
        }
        reply.push_str("END\r\n");
        match count % 7 {
            5 => b"STORED\r\n".to_vec(),
            _ => reply.into_bytes(),
        }
    });
    for keys in [1, 3] {
        let key = |client: usize, number: usize| format!("key{client}.{number}");
        let (own, failed) = lying(
            Pool::memcache("pool").at("s", &server.address()),
            |client| {
                let keys: Vec<String> = (0..keys).map(|number| key(client, number)).collect();
                format!("get {}\r\n", keys.join(" ")).into_bytes()
            },
            |client, wire| {
                let first = wire.line();
                if first.starts_with(b"SERVER_ERROR") {
                    return false;
                }
                let mut line = first;
                for number in 0..keys {
                    let key = key(client, number);
                    let head = format!("VALUE {key} 0 {}", key.len());
                    assert_eq!((shown(&line), shown(&wire.line())), (head, key));
                    line = wire.line();
                }
                assert_eq!(line, b"END");
                true
            },
        );
        assert!(own > 20 && failed > 20, "{keys}: {own} {failed}");
    }
}

#[test]
fn t5_a_redis_reply_of_a_type_its_command_cannot_have_reaches_no_client() {
    let asked = AtomicUsize::new(0);
    let server =
        FakeServer::answering(
            move |words| match asked.fetch_add(1, Ordering::SeqCst) % 7 {
                3 => b":1\r\n".to_vec(),
                4 => b"*1\r\n$5\r\nother\r\n".to_vec(),
                5 => b"+OK\r\n".to_vec(),
                _ => fake::bulk(&words[1]),
            },
        );
    let (own, failed) = lying(
        Pool::redis("pool").at("s", &server.address()),
        |client| command(&["GET", &format!("key{client}")]),
        |client, wire| match wire.reply() {
            Reply::Bulk(Some(value)) => {
                assert_eq!(shown(&value), format!("key{client}"));
                true
            }
            Reply::Error(_) => false,
            other => panic!("{other:?}"),
        },
    );
    assert!(own > 20 && failed > 20, "{own} {failed}");
}
