//! What a configuration may say, and what is said about one that is wrong.
//!
//! Host names are resolved by a pretend resolver; the real one has a test of its own at the end.
//! The accepted forms were checked against twemproxy 0.5.0.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::protocol::{Policy, Unknown};

/// Knows addresses and `here`.
fn resolver(host: &str, port: u16) -> io::Result<SocketAddr> {
    match host {
        "here" => Ok(SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port))),
        _ => host
            .parse()
            .map(|ip: IpAddr| SocketAddr::from((ip, port)))
            .map_err(|_| io::Error::other("unknown name")),
    }
}

fn config(text: impl AsRef<[u8]>) -> Config {
    let text = text.as_ref();
    check::check(text, &resolver, CrossShard::Refuse).unwrap_or_else(|mistakes| {
        panic!("refused: {mistakes:#?}\n{}", String::from_utf8_lossy(text))
    })
}

/// The mistakes as they are printed.
fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    match check::check(text.as_ref(), &resolver, CrossShard::Refuse) {
        Ok(config) => panic!("accepted: {config:#?}"),
        Err(mistakes) => mistakes.iter().map(Mistake::to_string).collect(),
    }
}

/// A pool `a` with these lines beside `listen` and `servers`.
fn with(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("a:\n{lines}  listen: 127.0.0.1:22121\n  servers:\n   - 127.0.0.1:6379:1\n")
}

#[test]
fn absent_keys_have_their_defaults() {
    let config = config(with(""));
    let expected = Process {
        workers: None,
        gather: Duration::from_micros(100),
        client_connections: None,
        client_request_limit: 4096,
        client_output_limit: 512 * 1024,
        client_min_rate: 1024,
        incomplete_request_timeout: Some(Duration::from_secs(30)),
        unauthenticated_limit: 16 * 1024 * 1024,
        unauthenticated_timeout: Some(Duration::from_secs(30)),
        server_queue_limit: 64 * 1024 * 1024,
        session_connections: 1000,
        spare_connections: 4,
        large_reply_connections: 64,
        subscriber_output_limit: 32 * 1024 * 1024,
        subscriber_output_soft_limit: 8 * 1024 * 1024,
        subscriber_output_soft_time: Duration::from_secs(60),
        transaction_limit: 1024 * 1024 * 1024,
        subscription_limit: 1024 * 1024 * 1024,
        memory_limit: Some(1 << 30),
    };
    assert_eq!(config.process, expected);
    let [pool] = &config.pools[..] else {
        panic!("{config:?}")
    };
    let expected = Pool {
        name: "a".into(),
        listen: Listen::Tcp {
            text: "127.0.0.1:22121".into(),
            address: "127.0.0.1:22121".parse().unwrap(),
        },
        protocol: Protocol::Memcache,
        hash: Hash::Fnv1a64,
        hash_tag: None,
        distribution: Distribution::Ketama,
        timeout: None,
        backlog: 512,
        client_connections: None,
        tcpkeepalive: false,
        reuseport: false,
        redis_auth: None,
        memcached_auth: None,
        redis_db: 0,
        preconnect: false,
        auto_eject_hosts: false,
        server_connections: NonZeroU32::new(1).unwrap(),
        server_retry_timeout: Duration::from_millis(30_000),
        server_failure_limit: NonZeroU32::new(2).unwrap(),
        cross_shard: CrossShard::Refuse,
        commands: Policy::default(),
        connect_timeout: Duration::from_millis(5000),
        flush_all: true,
        failed_get: FailedGet::Error,
        client_connections_per_address: None,
        limits: protocol::Limits::MEMCACHE,
        servers: vec![Server {
            name: "127.0.0.1:6379".into(),
            pname: "127.0.0.1:6379:1".into(),
            address: Address::Tcp {
                host: "127.0.0.1".into(),
                port: 6379,
            },
            weight: NonZeroU32::new(1).unwrap(),
        }],
    };
    assert_eq!(*pool, expected);
}

/// Each row: a line, and whether the pool then is as the line says.
#[test]
fn every_key_is_read() {
    type Row = (&'static str, fn(&Pool) -> bool);
    let rows: &[Row] = &[
        ("hash_tag: \"{}\"", |p| p.hash_tag == Some(*b"{}")),
        ("hash_tag: é", |p| p.hash_tag == Some([0xc3, 0xa9])),
        ("hash_tag: '  '", |p| p.hash_tag == Some(*b"  ")),
        ("timeout: 400", |p| {
            p.timeout == Some(Duration::from_millis(400))
        }),
        ("timeout: \"00400\"", |p| {
            p.timeout == Some(Duration::from_millis(400))
        }),
        ("timeout: 0", |p| p.timeout.is_none()),
        ("timeout: 2147483647", |p| {
            p.timeout == Some(Duration::from_millis(2_147_483_647))
        }),
        ("backlog: 0", |p| p.backlog == 0),
        ("backlog: 7", |p| p.backlog == 7),
        ("client_connections: 0", |p| p.client_connections.is_none()),
        ("client_connections: 9", |p| {
            p.client_connections == NonZeroU32::new(9)
        }),
        ("redis: true", |p| p.protocol == Protocol::Redis),
        ("redis: \"true\"", |p| p.protocol == Protocol::Redis),
        ("redis: false", |p| p.protocol == Protocol::Memcache),
        ("tcpkeepalive: true", |p| p.tcpkeepalive),
        ("reuseport: true", |p| p.reuseport),
        ("redis: true\nredis_auth: ' x '", |p| {
            p.redis_auth == Some(Password::new(" x "))
        }),
        ("redis_auth: x\nredis: true", |p| {
            p.redis_auth == Some(Password::new("x"))
        }),
        ("redis: true\nredis_db: 15", |p| p.redis_db == 15),
        ("redis_db: 15", |p| p.redis_db == 15),
        ("preconnect: true", |p| p.preconnect),
        ("auto_eject_hosts: true", |p| p.auto_eject_hosts),
        ("server_connections: 4", |p| p.server_connections.get() == 4),
        ("server_retry_timeout: 0", |p| {
            p.server_retry_timeout.is_zero()
        }),
        ("server_retry_timeout: 5", |p| {
            p.server_retry_timeout == Duration::from_millis(5)
        }),
        ("server_failure_limit: 0", |p| {
            p.server_failure_limit.get() == 1
        }),
        ("server_failure_limit: 3", |p| {
            p.server_failure_limit.get() == 3
        }),
        ("cross_shard: refuse", |p| {
            p.cross_shard == CrossShard::Refuse
        }),
        ("cross_shard: first_key", |p| {
            p.cross_shard == CrossShard::FirstKey
        }),
        (
            "redis: true\ncommands: {allow: [flushall, Config set], deny: [get]}",
            |p| p.commands.allow == ["FLUSHALL", "CONFIG|SET"] && p.commands.deny == ["GET"],
        ),
        ("redis: true\ncommands:\n  unknown: refuse", |p| {
            p.commands.unknown == Unknown::Refuse && !p.commands.several
        }),
        ("connect_timeout: 250", |p| {
            p.connect_timeout == Duration::from_millis(250)
        }),
        ("flush_all: false", |p| !p.flush_all),
        ("memcached_auth: 'user:secret'", |p| {
            p.memcached_auth.as_ref().map(Password::bytes) == Some(b"user:secret")
        }),
        ("failed_get: error", |p| p.failed_get == FailedGet::Error),
        ("failed_get: miss", |p| p.failed_get == FailedGet::Miss),
        ("client_connections_per_address: 7", |p| {
            p.client_connections_per_address == NonZeroU32::new(7)
        }),
        ("key_limit: 9", |p| p.limits.key == 9),
        ("key_limit: 251", |p| p.limits.key == 250),
        ("redis: true\nkey_limit: 251", |p| p.limits.key == 251),
        ("value_limit: 9", |p| p.limits.bulk == 9),
        ("redis: true\nvalue_limit: 1073741824", |p| {
            p.limits.bulk == 512 * 1024 * 1024
        }),
        ("redis: true\nargument_limit: 9", |p| p.limits.args == 9),
        ("request_limit: 2048", |p| p.limits.request == 2048),
        ("redis: true\ninline_limit: 99", |p| p.limits.inline == 99),
        ("redis: true\nlocal_request_limit: 2000", |p| {
            p.limits.local == 2000
        }),
        ("redis: true", |p| p.limits == protocol::Limits::REDIS),
        ("distribution: ketama", |p| {
            p.distribution == Distribution::Ketama
        }),
        ("distribution: modula", |p| {
            p.distribution == Distribution::Modula
        }),
        ("distribution: random", |p| {
            p.distribution == Distribution::Random
        }),
        ("hash: one_at_a_time", |p| p.hash == Hash::OneAtATime),
        ("hash: md5", |p| p.hash == Hash::Md5),
        ("hash: crc16", |p| p.hash == Hash::Crc16),
        ("hash: crc32", |p| p.hash == Hash::Crc32),
        ("hash: crc32a", |p| p.hash == Hash::Crc32a),
        ("hash: fnv1_64", |p| p.hash == Hash::Fnv1_64),
        ("hash: fnv1a_64", |p| p.hash == Hash::Fnv1a64),
        ("hash: fnv1_32", |p| p.hash == Hash::Fnv1_32),
        ("hash: fnv1a_32", |p| p.hash == Hash::Fnv1a32),
        ("hash: hsieh", |p| p.hash == Hash::Hsieh),
        ("hash: murmur", |p| p.hash == Hash::Murmur),
        ("hash: jenkins", |p| p.hash == Hash::Jenkins),
    ];
    for (lines, holds) in rows {
        let config = config(with(lines));
        assert!(holds(&config.pools[0]), "{lines}: {config:?}");
    }
    for key in KEYS {
        let named = |lines: &str| {
            lines
                .lines()
                .any(|l| l.starts_with(&format!("{}:", key.name)))
        };
        let required = key.presence == Presence::Required;
        assert!(
            required || rows.iter().any(|(lines, _)| named(lines)),
            "no row for {}",
            key.name
        );
    }
}

/// Each row is a way to write a pool `a` that listens on 127.0.0.1:22121 with a timeout of 400 and
/// one server named 127.0.0.1:6379.
#[test]
fn yaml_may_be_written_in_many_ways() {
    let plain = with("timeout: 400");
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}"
            .encode_utf16()
            .chain(plain.encode_utf16())
            .flat_map(unit)
            .collect()
    };
    let rows: Vec<Vec<u8>> = vec![
        plain.clone().into(),
        plain.trim_end().into(),
        plain.replace('\n', "\r\n").into(),
        plain.replace('\n', "\r").into(),
        plain
            .lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
            .into(),
        plain.replace("   -", "  -").into(),
        plain.replace("   -", "   -\n    ").into(),
        plain.replace("timeout: ", "timeout:\n     ").into(),
        plain.replace("timeout:", "timeout :\t").into(),
        plain.replace("timeout: 400", "? timeout\n  : 400").into(),
        plain.replace("timeout", "\"timeout\"").into(),
        plain.replace("400", "'400'").into(),
        plain.replace("400", "\"\\x34\\u0030\\U00000030\"").into(),
        plain.replace("400", "\"4\\\n  00\"").into(),
        plain.replace("400", ">-\n    400").into(),
        plain.replace("400", "400 # half a second").into(),
        plain.replace("a:", "# one\n\na: # two\n# three\n").into(),
        format!("\u{feff}{plain}").into(),
        // More than twemproxy takes.
        format!("---\n{plain}...\n").into(),
        plain
            .replace(
                "servers:\n   - 127.0.0.1:6379:1",
                "servers: [ '127.0.0.1:6379:1' ]",
            )
            .into(),
        "{a: {timeout: 400, listen: '127.0.0.1:22121', servers: ['127.0.0.1:6379:1']}}".into(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ];
    // Whatever twemproxy would refuse of it.
    fn meaning(file: impl AsRef<[u8]>) -> Config {
        Config {
            foreign: Vec::new(),
            ..config(file)
        }
    }
    let expected = meaning(&plain);
    for row in rows {
        assert_eq!(meaning(&row), expected, "{}", String::from_utf8_lossy(&row));
    }
}

#[test]
fn all_line_breaks_of_yaml_1_1_count() {
    let plain = with("timeout: 400");
    for line_break in ["\u{85}", "\u{2028}", "\u{2029}"] {
        assert_eq!(
            config(plain.replace('\n', line_break)),
            config(&plain),
            "{line_break:?}"
        );
    }
}

#[test]
fn a_byte_order_mark_may_open_a_line() {
    let first = with("");
    let second = first.replace("a:", "b:").replace("22121", "22122");
    assert_eq!(config(format!("{first}\n\u{feff}\n")), config(&first));
    assert_eq!(config(format!("# x\n\u{feff}{second}")), config(&second));
}

#[test]
fn a_comment_may_touch_a_closing_quote() {
    let text = with("timeout: \"400\"#half a second\nhash: 'md5'#x");
    assert_eq!(config(text).pools[0].hash, Hash::Md5);
    let servers: String = (0..90)
        .map(|n| format!("   - 'h:1:1 {n}'#the {n}.\n"))
        .collect();
    let text = format!("a:\n  listen: here:1\n  servers:\n{servers}");
    assert_eq!(config(text).pools[0].servers.len(), 90);
}

#[test]
fn pools_may_have_any_name() {
    for (written, name) in [
        ("my pool", "my pool"),
        ("\"my: pool\"", "my: pool"),
        ("'it''s'", "it's"),
        ("-a", "-a"),
        ("?a", "?a"),
        ("1", "1"),
        ("~", "~"),
        ("true", "true"),
        ("😀", "😀"),
        ("\"\\ta\"", "\ta"),
        ("nutcrab", "nutcrab"),
        ("servers", "servers"),
    ] {
        let config = config(with("").replacen('a', written, 1));
        assert_eq!(config.pools[0].name, name);
    }
}

#[test]
fn pools_and_servers_are_sorted_by_length_then_bytes() {
    let servers: String = ["b", "a", "zeta", "Alpha"]
        .map(|name| format!("   - h:1:1 {name}\n"))
        .concat();
    let text: String = ["b", "zeta", "Alpha", "a"]
        .iter()
        .enumerate()
        .map(|(index, name)| {
            format!(
                "{name}:\n  listen: here:{}\n  servers:\n{servers}",
                index + 1
            )
        })
        .collect();
    let config = config(text);
    let names: Vec<&str> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "zeta", "Alpha"]);
    let names: Vec<&str> = config.pools[0]
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "zeta", "Alpha"]);
}

#[test]
fn the_process_section_is_no_pool() {
    let read = config(format!("nutcrab:\n  workers: 3\n  gather: 0\n{}", with("")));
    assert_eq!(read.process.workers, NonZeroU32::new(3));
    assert_eq!(read.process.gather, Duration::ZERO);
    assert_eq!(read.pools.len(), 1);
    let both = config(format!(
        "{}nutcrab:\n  workers: 64\n",
        with("").replace("a:", "nutcrab:")
    ));
    assert_eq!(both.process.workers, NonZeroU32::new(64));
    assert_eq!(both.pools[0].name, "nutcrab");
}

/// The rows are in mistakes.txt.
#[test]
fn mistakes_name_line_pool_key_value_and_what_is_allowed() {
    let records = include_str!("mistakes.txt").split("==== file\n").skip(1);
    let mut count = 0;
    for record in records {
        let (text, expected) = record.split_once("==== mistakes\n").unwrap();
        let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(mistakes(text), expected, "{text}");
        count += 1;
    }
    assert!(count >= 100, "{count} records");
}

#[test]
fn control_characters_are_refused() {
    for character in (0..0xa0u8).map(char::from).filter(|c| c.is_control()) {
        let text = with(&format!("redis_auth: 'x{character}x'\nredis: true"));
        match character {
            '\t' | '\n' | '\r' | '\u{85}' => assert_eq!(config(text).pools.len(), 1),
            _ => assert!(mistakes(text)[0].starts_with("line 2: character U+00")),
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_order_of_lines() {
    let text = "\
one:
  listen: nowhere:22121
  hash: md6
  servers:
    - 10.0.0.1:6379
    - 10.0.0.1:6379:1
    - 10.0.0.1:6379:2
two:
  redis: TRUE
  timout: 400
  redis_auth: s3cret
";
    let said = mistakes(text);
    let lines: Vec<&str> = said
        .iter()
        .map(|said| said.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "line 2", "line 3", "line 5", "line 7", "line 8", "line 8", "line 9", "line 10",
            "line 11"
        ],
        "{said:#?}"
    );
    assert!(!said.concat().contains("s3cret"));
}

#[test]
fn mistakes_before_a_syntax_error_are_told_and_nothing_is_missed_behind_it() {
    let text = "\
one:
  listen: here:1
  hash: md6
  servers:
   - h:1:1
two:
  distribution: any
  timeout: '4
";
    assert_eq!(
        mistakes(text.replace("md6", "md5")),
        [
            r#"line 7: pool "two": distribution: expected one of ketama, modula, random, got "any""#,
            r#"line 8: not valid YAML: unclosed quote"#,
        ]
    );
    assert_eq!(mistakes(text).len(), 3);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    assert_eq!(
        mistakes(b"a:\n  b: \xff\n"),
        ["line 2: not valid UTF-8 text"]
    );
    assert_eq!(
        mistakes(b"\xff\xfea\0\n\0\x00\xd8"),
        ["line 2: not valid UTF-16 text"]
    );
    assert_eq!(
        mistakes(b"\xfe\xff\0a\0"),
        ["line 1: not valid UTF-16 text"]
    );
}

#[test]
fn a_pool_holds_at_most_65535_servers() {
    let servers = |count: usize| -> String {
        let list: String = (0..count).map(|n| format!("   - h:1:1 {n}\n")).collect();
        format!("a:\n  listen: here:1\n  servers:\n{list}")
    };
    assert_eq!(config(servers(65_535)).pools[0].servers.len(), 65_535);
    assert_eq!(
        mistakes(servers(65_536)),
        [r#"line 4: pool "a": servers: more than 65535 servers"#]
    );
}

#[test]
fn floods_are_refused_in_bounded_time_and_words() {
    let started = std::time::Instant::now();
    for flood in [
        "- \n",
        "x: y\n",
        "[",
        "{",
        "'x'#\n",
        "? ",
        "a: &a b\n",
        "\"",
        "- - ",
        "\u{85}",
    ] {
        let said = mistakes(flood.repeat(1_000_000 / flood.len()));
        assert!(
            (1..=1001).contains(&said.len()),
            "{flood:?}: {} mistakes",
            said.len()
        );
    }
    let keys: String = (0..60_000).map(|n| format!("  kye{n}: 1\n")).collect();
    assert_eq!(mistakes(format!("a:\n{keys}")).len(), 1001);
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = check::check(&bytes, &resolver, CrossShard::Refuse);
    }

    #[test]
    fn no_text_made_of_yaml_s_own_characters_panics(
        text in "([ -~]|[\\-:#\"'{}\\[\\],&*!|>?%@` \n\t]|\n {1,4}|\n *- |[a-c]: |é){0,120}"
    ) {
        let _ = check::check(text.as_bytes(), &resolver, CrossShard::Refuse);
    }

    #[test]
    fn no_damage_to_a_good_file_panics_or_goes_without_a_word(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut bytes = include_bytes!("../../conf/nutcracker.yml").to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(mistakes) = check::check(&bytes, &resolver, CrossShard::Refuse) {
            prop_assert!(!mistakes.is_empty());
        }
    }

    #[test]
    fn any_name_can_be_quoted(name in "[ -~é]{1,40}") {
        let quoted = format!("'{}'", name.replace('\'', "''"));
        prop_assert_eq!(&config(with("").replacen('a', &quoted, 1)).pools[0].name, &name);
    }
}

#[test]
fn the_sample_files_load() {
    let load = |name: &str| {
        load(format!("{}/conf/{name}", env!("CARGO_MANIFEST_DIR")))
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
    };
    let pools: Vec<String> = load("nutcracker.yml")
        .pools
        .into_iter()
        .map(|pool| pool.name)
        .collect();
    assert_eq!(pools, ["beta", "alpha", "delta", "gamma", "omega"]);
    let leaf = load("nutcracker.leaf.yml");
    assert_eq!(leaf.pools[0].servers.len(), 10);
    let root = load("nutcracker.root.yml");
    let Listen::Unix { path, .. } = &leaf.pools[0].listen else {
        panic!("{leaf:?}")
    };
    assert_eq!(
        root.pools[0].servers[0].address,
        Address::Unix(path.clone())
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yml");
    let mistakes = load(&missing).unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        format!(
            "{}: cannot be read: No such file or directory (os error 2)",
            missing.display()
        )
    );
    assert_eq!(mistakes.iter().count(), 1);
    assert!(load(directory.path()).is_err());

    let large = directory.path().join("large.yml");
    std::fs::File::create(&large)
        .unwrap()
        .set_len(file::FILE_MAX + 1)
        .unwrap();
    let said = load(&large).unwrap_err().to_string();
    assert!(
        said.ends_with("large.yml: larger than 16777216 bytes"),
        "{said}"
    );
}

#[test]
fn each_mistake_is_a_line_that_opens_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.yml");
    std::fs::write(&path, with("hash: md6\ntimeout: x")).unwrap();
    let mistakes = load(&path).unwrap_err();
    assert_eq!(mistakes.path(), path);
    let said = mistakes.to_string();
    assert_eq!(said.lines().count(), 2);
    for (line, mistake) in said.lines().zip(&mistakes) {
        assert_eq!(line, format!("{}: {mistake}", path.display()));
    }
}

#[test]
fn names_are_resolved_by_the_system() {
    assert_eq!(
        resolve("127.0.0.1", 5).unwrap(),
        "127.0.0.1:5".parse().unwrap()
    );
    assert_eq!(resolve("127.1", 5).unwrap(), "127.0.0.1:5".parse().unwrap());
    assert_eq!(resolve("::1", 5).unwrap(), "[::1]:5".parse().unwrap());
    assert!(resolve("localhost", 5).unwrap().ip().is_loopback());
    assert!(resolve("no-such-host.invalid", 5).is_err());
    assert!(resolve("127.0.0.1\0", 5).is_err());
}

#[test]
fn a_star_is_the_loopback_address() {
    let address = resolve("*", 22121).unwrap();
    assert!(address.ip().is_loopback());
    assert_eq!(address.port(), 22121);
}

#[test]
fn the_table_of_keys_is_in_order() {
    let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    for (name, help, allowed) in KEYS
        .iter()
        .map(|key| (key.name, key.help, key.allowed()))
        .chain(
            PROCESS_KEYS
                .iter()
                .map(|key| (key.name, key.help, key.allowed())),
        )
    {
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        assert!(
            help.ends_with('.') && !help.contains("  "),
            "{name}: {help}"
        );
        assert!(!allowed.is_empty(), "{name}");
    }
}

#[test]
fn passwords_are_not_printed() {
    let config = config(with("redis: true\nredis_auth: s3cret"));
    assert!(!format!("{config:?}").contains("s3cret"));
}
