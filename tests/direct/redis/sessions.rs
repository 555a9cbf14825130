//! Transactions, commands that wait, and subscriptions: what has a connection of its own.

use super::case::{Case, lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [TRANSACTIONS, WAITING, SUBSCRIPTIONS]
        .iter()
        .flat_map(|text| lines(text))
        .collect()
}

const TRANSACTIONS: &str = r#"
    MULTI | SET {k}a 1 | INCR {k}a | GET {k}b | EXEC | GET {k}a
    MULTI | HSET {k}h f 1 | HGETALL {k}h | SMEMBERS {k}s | ZADD {k}z 1.5 m | ZSCORE {k}z m | LPOP {k}l
        | EXEC
    MULTI | EXEC | EXEC | DISCARD | UNWATCH
    !nested-multi@valkey MULTI | MULTI | WATCH {k}a | DISCARD
    MULTI | GET | SET {k}a 1 | EXEC | GET {k}a | MULTI x | DISCARD x
    EXEC x | MULTI | SET {k}a 1 | EXEC x | EXEC | GET {k}a | WATCH {k}a | EXEC x
    MULTI | OBJECT FOO | EXEC | MULTI | OBJECT | EXEC | MULTI | SET {k}a | DISCARD x | SET {k}a 1 | EXEC
    !unknown-command MULTI | NOSUCH a b | SET {k}a 1 | EXEC | GET {k}a
    !nested-multi@valkey MULTI | SAVE | SHUTDOWN NOSAVE | SET {k}a 1 | EXEC | GET {k}a
    MULTI | EVAL "return 1" x {k}a | EVAL "return 1" -1 | EVAL "return 1" 3 {k}a | GET {k}a | EXEC
    MULTI | EVAL "return 7" 0 | GET {k}a | EVALSHA ffffffffffffffffffffffffffffffffffffffff 0 | EXEC
    MULTI | EVAL "return 7" 0 | EVAL "return 1" x | EXEC | MULTI | EVAL | EXEC
    !in-transaction MULTI | CLIENT ID | SET {k}a 1 | EXEC | MULTI | SELECT 0 | EXEC | MULTI | INFO | EXEC
    !in-transaction@four MULTI | DBSIZE | EXEC | MULTI | RANDOMKEY | SET {k}a 1 | EXEC
    !in-transaction MULTI | READONLY | SET {k}a 1 | EXEC
    !in-transaction MULTI | MSET {k}a 1 {k}b | PING a b | SET {k}a 1 | EXEC
    MULTI | LPUSH {k}a 1 | INCR {k}a | GET {k}a | EXEC
    WATCH {k}a | MULTI | SET {k}a 1 | EXEC | WATCH {k}a | SET {k}a 2 | MULTI | GET {k}a | EXEC | GET {k}a
    !while-watching WATCH {k}a | SELECT 1 | UNWATCH
    WATCH {k}a {k}b | UNWATCH | SET {k}a 2 | MULTI | GET {k}a | EXEC | WATCH | UNWATCH x
    WATCH {k}a | MULTI | SET {k}a 1 | DISCARD | GET {k}a
    MULTI | PING | ECHO text | SET {k}a 1 | EXEC
    MULTI | MGET {k}a {k}b | MSET {k}a 1 {k}b 2 | DEL {k}a {k}x | EXISTS {k}a {k}b | EXEC
    MULTI | EVAL "return {KEYS[1], 1}" 1 {k}a | EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 {k}a
        | EXEC
    MULTI | BLPOP {k}a 1 | BRPOP {k}a 0 | EXEC
    MULTI | SET {k}a 1 | RESET | GET {k}a | EXEC
"#;

const WAITING: &str = r#"
    RPUSH {k}l 1 2 3 4 5 6 | BLPOP {k}x {k}l 1 | BRPOP {k}l 1 | BLMOVE {k}l {k}m LEFT RIGHT 1
        | BRPOPLPUSH {k}m {k}n 1 | BLMPOP 1 2 {k}l {k}n LEFT COUNT 2 | LRANGE {k}n 0 -1
    BLPOP {k}x 0.01 | BRPOP {k}x {k}y 0.01 | BLMOVE {k}x {k}y LEFT RIGHT 0.01 | BRPOPLPUSH {k}x {k}y 0.01
        | BLMPOP 0.01 1 {k}x LEFT
    BLPOP {k}x x | BLPOP {k}x -1 | BRPOP {k}x | BLMOVE {k}x {k}y UP DOWN 1 | BRPOPLPUSH {k}x
        | BLMPOP x 1 {k}x LEFT | BLMPOP 1 0 {k}x LEFT | BLMPOP 1 1 {k}x UP | BLPOP
    SET {k}s v | BLPOP {k}s 1 | BZPOPMIN {k}s 1
    ZADD {k}z 1 a 2 b 3 c 4 d | BZPOPMIN {k}x {k}z 1 | BZPOPMAX {k}z 1 | BZMPOP 1 1 {k}z MIN COUNT 5
        | EXISTS {k}z
    BZPOPMIN {k}x 0.01 | BZPOPMAX {k}x 0.01 | BZMPOP 0.01 2 {k}x {k}y MAX | BZPOPMIN {k}x
        | BZPOPMAX {k}x y | BZMPOP 1 x {k}z MIN
    XADD {k}x 1-1 f v | XREAD BLOCK 10 STREAMS {k}x 0 | XREAD BLOCK 10 STREAMS {k}x $
        | XREAD BLOCK x STREAMS {k}x 0
    XADD {k}x 1-1 f v | XGROUP CREATE {k}x g 0 | XREADGROUP GROUP g me BLOCK 10 STREAMS {k}x >
        | XREADGROUP GROUP g me BLOCK 10 STREAMS {k}x >
    WAIT 0 0 | WAIT 1 10 | WAIT x 0
    WAITAOF 0 0 10
    WAIT 0 | WAIT
    !newer-commands@redis WAITAOF 0 0
"#;

const SUBSCRIPTIONS: &str = r#"
    SUBSCRIBE a b a | UNSUBSCRIBE a | UNSUBSCRIBE | UNSUBSCRIBE | GET x
    !while-listening@resp2 SUBSCRIBE a | CLIENT SETNAME me | EXEC | UNSUBSCRIBE
    SUBSCRIBE a | PING | PING text | GET x | UNSUBSCRIBE
    PSUBSCRIBE a* b* | PUNSUBSCRIBE a* | PUNSUBSCRIBE | PUNSUBSCRIBE
    SUBSCRIBE a | PSUBSCRIBE a* | UNSUBSCRIBE nothing | PUNSUBSCRIBE nothing* | UNSUBSCRIBE a
        | PUNSUBSCRIBE a* | PUBLISH a x
    SSUBSCRIBE {k}a {k}b | SUNSUBSCRIBE {k}a | SUNSUBSCRIBE {k}b | SUNSUBSCRIBE
    SUBSCRIBE a | RESET | UNSUBSCRIBE
    SUBSCRIBE | PSUBSCRIBE | SSUBSCRIBE
"#;
