//! Every supported command once, through four servers.

use std::collections::BTreeSet;

use crate::support::*;

/// Requests and replies, in an order that lets each find what the ones before it left.
#[rustfmt::skip]
const REDIS: &[(&str, &str)] = &[
    // Strings.
    ("SET s:a 1", "+OK"),
    ("GET s:a", "'1'"),
    ("SETNX s:a 2", ":0"),
    ("SETEX s:b 1000 x", "+OK"),
    ("PSETEX s:c 1000000 x", "+OK"),
    ("APPEND s:b yz", ":3"),
    ("STRLEN s:b", ":3"),
    ("GETSET s:a 5", "'1'"),
    ("GETEX s:b PERSIST", "'xyz'"),
    ("GETDEL s:c", "'x'"),
    ("INCR s:a", ":6"),
    ("DECR s:a", ":5"),
    ("INCRBY s:a 10", ":15"),
    ("DECRBY s:a 3", ":12"),
    ("INCRBYFLOAT s:a 0.5", "'12.5'"),
    ("SETRANGE s:b 1 ZZ", ":3"),
    ("GETRANGE s:b 0 1", "'xZ'"),
    ("SETBIT s:d 7 1", ":0"),
    ("GETBIT s:d 7", ":1"),
    ("BITCOUNT s:d", ":1"),
    ("BITPOS s:d 1", ":7"),
    ("BITFIELD s:d GET u8 0", "[:1]"),
    ("MSET s:e 1 s:f 2 s:g 3 s:h 4", "+OK"),
    ("MGET s:h s:g s:missing s:f s:e", "['4' '3' nil '2' '1']"),
    // Keys.
    ("EXISTS s:e s:f s:g s:missing", ":3"),
    ("TOUCH s:e s:f s:missing", ":2"),
    ("DEL s:e s:f s:missing", ":2"),
    ("UNLINK s:g s:h", ":2"),
    ("TYPE s:a", "+string"),
    ("EXPIRE s:b 1000", ":1"),
    ("TTL s:b", ":1000"),
    ("PERSIST s:b", ":1"),
    ("PEXPIRE s:b 1000000", ":1"),
    ("EXPIREAT s:b 4102444800", ":1"),
    ("PEXPIREAT s:b 4102444800000", ":1"),
    ("PTTL s:a", ":-1"),
    ("DUMP s:missing", "nil"),
    (r#"RESTORE s:r 0 "\x00\x02hi\n\x00\xafk\x9f\xe8\x8e1\x1b\x14""#, "+OK"),
    ("SET {s}a x", "+OK"),
    ("COPY {s}a {s}b", ":1"),
    // Hashes.
    ("HSET h:a f 1 g 2", ":2"),
    ("HMSET h:a h 3", "+OK"),
    ("HSETNX h:a f 9", ":0"),
    ("HGET h:a f", "'1'"),
    ("HMGET h:a f x g", "['1' nil '2']"),
    ("HGETALL h:a", "['f' '1' 'g' '2' 'h' '3']"),
    ("HKEYS h:a", "['f' 'g' 'h']"),
    ("HVALS h:a", "['1' '2' '3']"),
    ("HLEN h:a", ":3"),
    ("HEXISTS h:a f", ":1"),
    ("HSTRLEN h:a f", ":1"),
    ("HINCRBY h:a f 4", ":5"),
    ("HINCRBYFLOAT h:a f 0.5", "'5.5'"),
    ("HSCAN h:a 0", "['0' ['f' '5.5' 'g' '2' 'h' '3']]"),
    ("HDEL h:a g h", ":2"),
    ("HRANDFIELD h:a", "'f'"),
    // Lists.
    ("RPUSH l:a b c d", ":3"),
    ("LPUSH l:a a", ":4"),
    ("RPUSHX l:a e", ":5"),
    ("LPUSHX l:x e", ":0"),
    ("LLEN l:a", ":5"),
    ("LRANGE l:a 0 -1", "['a' 'b' 'c' 'd' 'e']"),
    ("LINDEX l:a 2", "'c'"),
    ("LINSERT l:a BEFORE c bb", ":6"),
    ("LPOS l:a bb", ":2"),
    ("LSET l:a 0 A", "+OK"),
    ("LREM l:a 1 bb", ":1"),
    ("LTRIM l:a 0 3", "+OK"),
    ("LPOP l:a", "'A'"),
    ("RPOP l:a", "'d'"),
    ("SORT l:a ALPHA DESC", "['c' 'b']"),
    ("RPUSH {l}a 1 2", ":2"),
    ("RPOPLPUSH {l}a {l}b", "'2'"),
    ("LMOVE {l}a {l}b LEFT RIGHT", "'1'"),
    // Sets.
    ("SADD {t}a 1 2 3", ":3"),
    ("SADD {t}b 2 3 4", ":3"),
    ("SCARD {t}a", ":3"),
    ("SISMEMBER {t}a 2", ":1"),
    ("SMISMEMBER {t}a 2 9", "[:1 :0]"),
    ("SMEMBERS {t}a", "['1' '2' '3']"),
    ("SDIFF {t}a {t}b", "['1']"),
    ("SINTER {t}a {t}b", "['2' '3']"),
    ("SUNION {t}a {t}b", "['1' '2' '3' '4']"),
    ("SDIFFSTORE {t}c {t}a {t}b", ":1"),
    ("SINTERSTORE {t}d {t}a {t}b", ":2"),
    ("SUNIONSTORE {t}e {t}a {t}b", ":4"),
    ("SMOVE {t}a {t}b 1", ":1"),
    ("SSCAN {t}d 0", "['0' ['2' '3']]"),
    ("SREM {t}d 3", ":1"),
    ("SRANDMEMBER {t}d", "'2'"),
    ("SPOP {t}d", "'2'"),
    // Sorted sets.
    ("ZADD {z}a 1 a 2 b 3 c", ":3"),
    ("ZADD {z}b 10 b 20 d", ":2"),
    ("ZCARD {z}a", ":3"),
    ("ZSCORE {z}a b", "'2'"),
    ("ZMSCORE {z}a a x", "['1' nil]"),
    ("ZINCRBY {z}a 2 a", "'3'"),
    ("ZRANK {z}a a", ":1"),
    ("ZREVRANK {z}a a", ":1"),
    ("ZCOUNT {z}a 2 3", ":3"),
    ("ZLEXCOUNT {z}a - +", ":3"),
    ("ZRANGE {z}a 0 -1", "['b' 'a' 'c']"),
    ("ZREVRANGE {z}a 0 -1", "['c' 'a' 'b']"),
    ("ZRANGEBYSCORE {z}a 2 2", "['b']"),
    ("ZREVRANGEBYSCORE {z}a 2 1", "['b']"),
    ("ZRANGEBYLEX {z}a - +", "['b' 'a' 'c']"),
    ("ZREVRANGEBYLEX {z}a + -", "['c' 'a' 'b']"),
    ("ZUNION 2 {z}a {z}b", "['a' 'c' 'b' 'd']"),
    ("ZINTER 2 {z}a {z}b", "['b']"),
    ("ZDIFF 2 {z}a {z}b", "['a' 'c']"),
    ("ZUNIONSTORE {z}c 2 {z}a {z}b", ":4"),
    ("ZINTERSTORE {z}d 2 {z}a {z}b", ":1"),
    ("ZDIFFSTORE {z}e 2 {z}a {z}b", ":2"),
    ("ZRANGESTORE {z}f {z}a 0 0", ":1"),
    ("ZSCAN {z}f 0", "['0' ['b' '2']]"),
    ("ZRANDMEMBER {z}f", "'b'"),
    ("ZPOPMIN {z}c", "['a' '3']"),
    ("ZPOPMAX {z}c", "['d' '20']"),
    ("ZREM {z}a b", ":1"),
    ("ZREMRANGEBYRANK {z}c 0 0", ":1"),
    ("ZREMRANGEBYSCORE {z}c 0 100", ":1"),
    ("ZREMRANGEBYLEX {z}f - +", ":1"),
    // HyperLogLog and geography.
    ("PFADD {p}a 1 2 3", ":1"),
    ("PFADD {p}b 3 4", ":1"),
    ("PFCOUNT {p}a {p}b", ":4"),
    ("PFMERGE {p}c {p}a {p}b", "+OK"),
    ("GEOADD {g}a 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2"),
    ("GEODIST {g}a Palermo Catania km", "'166.2742'"),
    ("GEOHASH {g}a Palermo", "['sqc8b49rny0']"),
    ("GEOPOS {g}a Nowhere", "[nil]"),
    ("GEORADIUS {g}a 15 37 100 km", "['Catania']"),
    ("GEORADIUSBYMEMBER {g}a Palermo 10 km", "['Palermo']"),
    ("GEOSEARCH {g}a FROMLONLAT 15 37 BYRADIUS 200 km ASC", "['Catania' 'Palermo']"),
    ("GEOSEARCHSTORE {g}b {g}a FROMLONLAT 15 37 BYRADIUS 200 km", ":2"),
    // Scripts, and what has no key.
    (r#"EVAL "return {KEYS[1], ARGV[1]}" 1 e:a x"#, "['e:a' 'x']"),
    (r#"EVAL "return 7" 1 e:a"#, ":7"),
    ("EVALSHA 59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9 1 e:a", ":7"),
    ("PING", "+PONG"),
    ("PING text", "'text'"),
    ("ECHO text", "'text'"),
    ("SELECT 0", "+OK"),
    ("AUTH x", "-ERR Client sent AUTH, but no password is set"),
];

/// Requests and replies without their last CR LF.
#[rustfmt::skip]
const MEMCACHED: &[(&str, &str)] = &[
    ("set a 1 0 5\r\nhello", "STORED"),
    ("get a", "VALUE a 1 5\r\nhello\r\nEND"),
    ("add a 0 0 1\r\nx", "NOT_STORED"),
    ("add b 0 0 1\r\nx", "STORED"),
    ("replace b 0 0 1\r\ny", "STORED"),
    ("append b 0 0 1\r\nz", "STORED"),
    ("prepend b 0 0 1\r\nx", "STORED"),
    ("get b a missing c b", "VALUE b 0 3\r\nxyz\r\nVALUE a 1 5\r\nhello\r\nVALUE b 0 3\r\nxyz\r\nEND"),
    ("set n 0 0 2\r\n41", "STORED"),
    ("incr n 1", "42"),
    ("decr n 40", "2"),
    ("touch a 1000", "TOUCHED"),
    ("delete a", "DELETED"),
    ("delete a", "NOT_FOUND"),
    ("gets missing", "END"),
    ("cas missing 0 0 1 1\r\nx", "NOT_FOUND"),
];

/// What the rows above leave out: replies that depend on the version of the server, and the end.
const SHOWN_ELSEWHERE: [&str; 32] = [
    "BLMOVE",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZPOPMAX",
    "BZPOPMIN",
    "CLIENT",
    "COMMAND",
    "CONFIG",
    "DBSIZE",
    "DISCARD",
    "EXEC",
    "FLUSHALL",
    "HELLO",
    "INFO",
    "LOLWUT",
    "MULTI",
    "PSUBSCRIBE",
    "PUBLISH",
    "PUNSUBSCRIBE",
    "QUIT",
    "RESET",
    "SPUBLISH",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "TIME",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WAIT",
    "WAITAOF",
    "WATCH",
];

#[test]
fn every_redis_command_works_through_four_servers() {
    let servers = Server::redis_many(4);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("hash_tag", "\"{}\"");
    let proxy = Proxy::nutcrab(vec![pool.with("hash", "murmur")]);
    let mut client = proxy.client("alpha");
    for (request, reply) in REDIS {
        client.send(&resp::words(request));
        assert_eq!(client.reply().brief(), *reply, "{request}");
    }
    let commands = client.ask(&["COMMAND"]).elements();
    let table = nutcrab::protocol::redis::commands::Table::standard();
    let known = table.rows().iter().filter(|row| row.is_command());
    assert_eq!(commands.len(), known.count());
    let art = client.ask(&["LOLWUT", "VERSION", "99"]).bytes();
    assert!(art.starts_with(b"A crab "), "{}", shown(&art));
    let info = client.ask(&["INFO"]).bytes();
    let direct = servers[0].ask(&["INFO", "server"]).bytes();
    let version = direct
        .split(|&byte| byte == b'\n')
        .find(|line| line.starts_with(b"redis_version:"))
        .expect("a version");
    assert!(
        info.windows(version.len()).any(|part| part == version),
        "{}",
        shown(&info)
    );
    assert_eq!(client.ask(&["TIME"]).elements().len(), 2);
    assert_eq!(client.ask(&["HELLO", "2"]).elements().len(), 14);
    assert_eq!(client.ask(&["CLIENT", "SETNAME", "me"]), Reply::ok());
    assert_eq!(client.ask(&["CONFIG", "GET", "save"]).elements().len(), 2);
    assert_eq!(client.ask(&["RESET"]).brief(), "+RESET");
    client.check(&command(&["QUIT"]), b"+OK\r\n");
    client.expect_closed();
    for server in &servers {
        let Reply::Integer(keys) = server.ask(&["DBSIZE"]) else {
            panic!("DBSIZE gives a number")
        };
        assert!(keys > 0, "no key fell to one of the servers");
    }
}

#[test]
fn every_redis_command_of_twemproxy_is_shown() {
    let shown = REDIS
        .iter()
        .map(|(request, _)| request.split(' ').next().expect("a first part"));
    let shown: BTreeSet<&str> = shown.chain(SHOWN_ELSEWHERE).collect();
    let table = nutcrab::protocol::redis::commands::Table::standard();
    // Those of twemproxy come first; the others are compared with real servers in `tests/commands`.
    for row in table.rows().iter().take(136) {
        assert!(shown.contains(row.name), "{} is not shown", row.name);
    }
}

#[test]
fn every_memcached_command_works_through_four_servers() {
    let servers = Server::memcached_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::memcache("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    for (request, reply) in MEMCACHED {
        client.check(
            format!("{request}\r\n").as_bytes(),
            format!("{reply}\r\n").as_bytes(),
        );
    }
    client.send(b"version\r\n");
    assert!(client.line().starts_with(b"VERSION "));
    client.send(b"quit\r\n");
    client.expect_closed();
}

#[test]
fn a_memcached_value_is_swapped_only_for_the_version_that_was_read() {
    let servers = Server::memcached_many(4);
    let proxy = Proxy::nutcrab(vec![Pool::memcache("alpha").servers(&servers)]);
    let mut client = proxy.client("alpha");
    client.check(b"set a 0 0 1\r\n1\r\n", b"STORED\r\n");
    client.send(b"gets a\r\n");
    let line = String::from_utf8(client.line()).expect("a line of text");
    let version = line.rsplit(' ').next().expect("a last word").to_owned();
    client.expect(b"1\r\nEND\r\n");
    client.check(
        format!("cas a 0 0 1 {version}\r\n2\r\n").as_bytes(),
        b"STORED\r\n",
    );
    client.check(
        format!("cas a 0 0 1 {version}\r\n3\r\n").as_bytes(),
        b"EXISTS\r\n",
    );
    client.check(b"get a\r\n", b"VALUE a 0 1\r\n2\r\nEND\r\n");
}
