//! Keys, strings, bits, scripts, and what is split by key or asked of all servers.

use super::case::{Case, lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    let mut functions = FUNCTIONS.to_owned();
    for (name, code) in CODE {
        functions = functions.replace(name, code);
    }
    [STRINGS, BITS, KEYS, SPLIT, ALL, SCRIPTS, &functions]
        .iter()
        .flat_map(|text| lines(text))
        .collect()
}

const STRINGS: &str = r#"
    SET a 1 | GET a | GET missing | GETSET a 2 | GETDEL a | GETDEL a
    SET a v EX 100 | SET a w KEEPTTL | TTL a | SET a x NX | SET a y XX GET | SET b z XX
    SET a 1 EX 0 | SET a 1 FOO | SET a | SET | GET | GET a b
    SET a v PXAT 9999999999999 | GETEX a PERSIST | TTL a | GETEX a EX 100 | TTL a | GETEX missing
    SET a 1 IFEQ 2 | SET b v NX GET
    SETNX a 1 | SETNX a 2 | SETEX a 100 v | TTL a | PSETEX b 100000 v | TTL b | SETEX a x v | PSETEX a -1 v
    APPEND a xy | APPEND a z | STRLEN a | STRLEN missing | SUBSTR a 0 1 | GETRANGE a -2 -1
        | SETRANGE a 5 Q | GET a
    SETRANGE a -1 x | SETRANGE a 600000000 x | GETRANGE a x 1
    INCR a | INCRBY a 41 | DECR a | DECRBY a 10 | INCRBYFLOAT a 0.5 | INCR a | INCRBYFLOAT a nan
        | INCRBY a x
    SET a 9223372036854775807 | INCR a | SET a text | INCR a | DECR a | LPUSH l 1 | INCR l | GET l
    MSET {k}a 1 {k}b 2 | MGET {k}a {k}b {k}c | MSETNX {k}b 3 {k}c 4 | MSETNX {k}d 5 {k}e 6
        | MGET {k}c {k}d {k}e
    MSET a | MSET a 1 b | MSETNX a | MGET
    MSETEX 2 {k}a 1 {k}b 2 EX 100 | MSETEX 1 {k}a 1 {k}b 2 | MSETEX x {k}a 1
    SET {k}a ohmytext | SET {k}b mynewtext | LCS {k}a {k}b | LCS {k}a {k}b LEN
        | LCS {k}a {k}b IDX WITHMATCHLEN
    LCS {k}a | LCS {k}a {k}b FOO
    SET a v | DELIFEQ a w | DELIFEQ a v | DELIFEQ a v
    SET "" empty | GET "" | SET "k\r\nx" "\x00\xff\r\n" | GET "k\r\nx"
    !unknown-command DIGEST a | DELEX a
"#;

const BITS: &str = r#"
    SETBIT a 7 1 | GETBIT a 7 | GETBIT a 100 | BITCOUNT a | BITCOUNT a 0 -1 | BITCOUNT a 0 7 BIT
        | BITPOS a 1 | BITPOS a 0 0 0 BYTE
    SETBIT a x 1 | SETBIT a 1 2 | BITCOUNT a 0 | BITPOS a 2
    BITFIELD a SET u8 0 255 GET u4 0 INCRBY u8 0 10 OVERFLOW FAIL INCRBY u8 0 250 | BITFIELD_RO a GET u8 0
        | BITFIELD_RO a SET u8 0 1
    SET {k}a abc | SET {k}b abd | BITOP AND {k}c {k}a {k}b | GET {k}c | BITOP NOT {k}d {k}a | GET {k}d
        | BITOP NOT {k}d {k}a {k}b
    BITOP AND {k}c | BITOP FOO {k}c {k}a
    PFADD {k}a x y z | PFADD {k}b z w | PFCOUNT {k}a | PFCOUNT {k}a {k}b | PFMERGE {k}c {k}a {k}b
        | PFCOUNT {k}c | PFADD {k}a x
    PFADD | PFCOUNT | PFMERGE {k}a | SET {k}s v | PFADD {k}s x | PFCOUNT {k}s
    PFADD a x | PFDEBUG ENCODING a | PFDEBUG GETREG a | PFDEBUG FOO a | PFDEBUG ENCODING
    # Without a mistake it keeps a server busy for seconds.
    PFSELFTEST x
"#;

const KEYS: &str = r#"
    SET a v | EXPIRE a 100 | TTL a | EXPIRE a 50 GT | EXPIRE a 200 GT | PERSIST a | PERSIST a | TTL a
        | TTL missing
    ~time SET a v | PEXPIRE a 100000 | PTTL a | PTTL missing | EXPIREAT a 4102444800 | EXPIRETIME a
        | PEXPIRETIME a | PEXPIREAT a 4102444800000 | EXPIRETIME missing
    SET a v | EXPIRE a x | EXPIRE a 1 NX XX | EXPIRE a -1 | GET a | EXPIREAT missing 1 | PEXPIRE a
        | PEXPIREAT a y
    SET a v | TYPE a | TYPE missing | RPUSH l 1 | TYPE l | XADD x 1-1 f v | TYPE x
    SET {k}a v | RENAME {k}a {k}b | RENAME {k}a {k}b | RENAMENX {k}b {k}c | SET {k}d w
        | RENAMENX {k}d {k}c | GET {k}c | RENAME {k}a
    SET {k}a v | COPY {k}a {k}b | COPY {k}a {k}b | COPY {k}a {k}b REPLACE | COPY {k}a {k}c DB 0 | GET {k}b
        | COPY {k}a {k}b FOO | COPY {k}a
    SET a v | MOVE a 1 | MOVE a 1 | GET a | MOVE a x | MOVE a
    SET a hi | DUMP a | DUMP missing | RESTORE b 0 "\x00\x02hi\n\x00\xafk\x9f\xe8\x8e1\x1b\x14" | GET b
        | RESTORE b 0 "\x00\x02hi\n\x00\xafk\x9f\xe8\x8e1\x1b\x14" | RESTORE c 0 garbage | RESTORE c
    RESTORE-ASKING b 0 "\x00\x02hi\n\x00\xafk\x9f\xe8\x8e1\x1b\x14" | GET b | RESTORE-ASKING b
    SET a 12 | OBJECT ENCODING a | OBJECT ENCODING missing | OBJECT REFCOUNT a | OBJECT FREQ a
        | OBJECT ENCODING | OBJECT FOO a
    ~numbers SET a 12 | OBJECT IDLETIME a | OBJECT IDLETIME missing
    OBJECT HELP | OBJECT
    RPUSH {k}l 3 1 2 | SORT {k}l | SORT {k}l DESC LIMIT 0 2 | SORT {k}l STORE {k}m | LRANGE {k}m 0 -1
        | SORT_RO {k}l | SORT_RO {k}l STORE {k}m
    RPUSH {k}l 3 1 2 | MSET {k}w1 9 {k}w2 5 {k}w3 7 | SORT {k}l BY {k}w* GET {k}w* GET # | RPUSH {k}t b a
        | SORT {k}t | SORT {k}t ALPHA | SORT_RO {k}t ALPHA DESC | SORT {k}t FOO | SORT_RO
    ~numbers SET a v | MEMORY USAGE a | MEMORY USAGE a SAMPLES 0
    MEMORY USAGE missing | MEMORY USAGE | MEMORY FOO
    !guarded@four MIGRATE 127.0.0.1 1 missing 0 100 | MIGRATE 127.0.0.1 x missing 0 100
    MIGRATE 127.0.0.1 1
    ~time DEBUG OBJECT missing | DEBUG
"#;

const SPLIT: &str = r#"
    MSET a 1 b 2 c 3 d 4 e 5 f 6 | MGET a b c d e f g a | MGET f e missing d | EXISTS a b c g a
        | TOUCH a b g | DEL a b a g | UNLINK c d g | MGET a b c d e f
    MSET a 1 a 2 | GET a | EXISTS a a a | DEL | UNLINK | TOUCH | EXISTS
    RPUSH l 1 | SET a 2 | MGET a l missing | DEL l a
    EXISTS missing | DEL missing | SET a 1 | EXISTS a | UNLINK a | TOUCH a
"#;

const ALL: &str = r#"
    DBSIZE | MSET a 1 b 2 c 3 d 4 e 5 | DBSIZE | DBSIZE x
    ~sorted MSET a 1 b 2 c 3 ab 4 ac 5 | KEYS * | KEYS a? | KEYS nothing* | KEYS
    RANDOMKEY | SET a 1 | RANDOMKEY | RANDOMKEY x
    MSET a 1 b 2 c 3 d 4 | FLUSHDB | DBSIZE | MSET a 1 b 2 c 3 | FLUSHALL | DBSIZE | FLUSHALL ASYNC
        | FLUSHDB SYNC | FLUSHALL FOO
    !scan-cursor@four SCAN 0
    SCAN x | SCAN | SCAN 0 FOO | SCAN 0 COUNT 0
    SET a 1 | SCAN 0 COUNT x | SCAN 0 TYPE
    !guarded@four SWAPDB 0 1 | SWAPDB 0 x
    SWAPDB 0
    PUBLISH channel message | SPUBLISH channel message | PUBLISH channel | SPUBLISH
    PUBSUB CHANNELS | PUBSUB CHANNELS x* | PUBSUB NUMSUB a b | PUBSUB NUMSUB | PUBSUB NUMPAT
        | PUBSUB SHARDCHANNELS | PUBSUB SHARDNUMSUB a b | PUBSUB FOO | PUBSUB NUMPAT x
    PUBSUB HELP | PUBSUB
"#;

const SCRIPTS: &str = r#"
    EVAL "return 1" 0 | EVAL "return {KEYS[1], ARGV[1]}" 1 a b
        | EVAL "return redis.call('set', KEYS[1], ARGV[1])" 1 a v | GET a
    EVAL "return" 0 | EVAL "syntax(" 0 | EVAL "return 1" x | EVAL "return 1" -1 | EVAL "return 1" 2 a
        | EVAL "return 1" | EVAL
    EVAL "return redis.error_reply('MY err')" 0 | EVAL "return redis.call('get')" 0
        | EVAL "return redis.status_reply('yes')" 1 k
    EVAL "redis.setresp(3); return redis.call('hgetall', KEYS[1])" 1 h | EVAL "return {double=3.5}" 0
        | EVAL "return true" 0 | EVAL "return {map={a=1}}" 0
    EVAL_RO "return redis.call('get', KEYS[1])" 1 a | EVAL_RO "return redis.call('set', KEYS[1], 1)" 1 a
        | EVAL_RO "return 1" 0 | EVAL_RO "return 1" x | EVAL_RO
    SCRIPT LOAD "return 1" | EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
        | EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 1 a
        | EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 b
        | SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db ffffffffffffffffffffffffffffffffffffffff
    EVALSHA ffffffffffffffffffffffffffffffffffffffff 0 | EVALSHA short 1 a
        | EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 1 a
        | EVALSHA ffffffffffffffffffffffffffffffffffffffff x | EVALSHA | EVALSHA_RO
    SCRIPT LOAD "return 2" | SCRIPT FLUSH | SCRIPT EXISTS 7f923f79fe76194c868d7e1d0820de36700eb649
        | SCRIPT FLUSH ASYNC | SCRIPT FLUSH FOO
    SCRIPT LOAD "syntax(" | SCRIPT LOAD | SCRIPT EXISTS | SCRIPT KILL | SCRIPT FOO | SCRIPT
    SCRIPT LOAD "return 3" | SCRIPT SHOW 7f923f79fe76194c868d7e1d0820de36700eb649
    !newer-commands@redis SCRIPT SHOW
    !not-served SCRIPT DEBUG NO
    SCRIPT HELP
"#;

const FUNCTIONS: &str = r#"
    FUNCTION LOAD <f> | FCALL f 1 a b | FCALL f 0 b | FCALL_RO f 1 a | FCALL nosuch 1 a | FCALL f x | FCALL f
    FUNCTION LOAD <g> | FCALL_RO g 1 a | FCALL_RO g 0 | FCALL g 2 a | FCALL g -1 a | FCALL_RO | FCALL
    ~sorted FUNCTION LOAD <f> | FUNCTION LIST | FUNCTION LIST WITHCODE LIBRARYNAME my*
        | FUNCTION LIST LIBRARYNAME no* | FUNCTION DUMP | FUNCTION DELETE mylib | FUNCTION DELETE mylib
        | FUNCTION LIST
    FUNCTION LOAD <f> | FUNCTION LOAD <f> | FUNCTION LOAD REPLACE <g> | FCALL g 0 | FUNCTION FLUSH | FCALL g 0
    FUNCTION LOAD bad | FUNCTION LOAD | FUNCTION RESTORE bad | FUNCTION KILL | FUNCTION FLUSH FOO
        | FUNCTION FOO | FUNCTION
    !several-servers@four FUNCTION STATS
    FUNCTION HELP
"#;

/// What stands in for code in `FUNCTIONS`.
const CODE: [(&str, &str); 3] = [
    (
        "<f>",
        r##""#!lua name=mylib\nredis.register_function('f', function(k, a) return {k[1], a[1]} end)""##,
    ),
    (
        "<g>",
        r##""#!lua name=mylib\nlocal f=function(k) return redis.pcall('get', k[1] or '') end\n<register>""##,
    ),
    (
        "<register>",
        "redis.register_function{function_name='g', callback=f, flags={'no-writes'}}",
    ),
];
