//! Replies whose end or owner is in doubt: nothing of them reaches a client, and whoever asks for one costs
//! nobody anything.

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
fn t1_words_whose_reply_has_no_end_give_nobody_anothers_reply_and_eject_nobody() {
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
