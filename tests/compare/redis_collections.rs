//! Hashes, lists and sets. Sets of several members hold numbers: Redis keeps those in order, so
//! that both sides list them alike.

use crate::case::{Case, redis_lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [hashes(), lists(), sets()].concat()
}

fn hashes() -> Vec<Case> {
    redis_lines(
        r#"
        HGET hash f1
        HGET hash nope
        HGET missing f1
        HGET str f1
        HGETALL hash
        HGETALL missing
        HGETALL str
        HKEYS hash
        HKEYS missing
        HKEYS str
        HVALS hash
        HVALS missing
        HVALS list
        HLEN hash
        HLEN missing
        HLEN set
        HEXISTS hash f1
        HEXISTS hash nope
        HEXISTS str f1
        HSTRLEN hash f1
        HSTRLEN hash nope
        HSTRLEN str f1
        HMGET hash f1 nope f2 f1
        HMGET missing f1
        HMGET hash
        HMGET str f1
        HSET hash f3 v3 f1 changed | HGETALL hash
        HSET fresh f v
        HSET hash f
        HSET str f v
        HMSET hash f1 x f9 y | HMGET hash f1 f9
        HMSET hash f1
        HMSET list f v
        HSETNX hash f1 x
        HSETNX hash fresh x
        HSETNX str f x
        HDEL hash f1 nope f2 | HLEN hash
        HDEL missing f
        HDEL hash
        HDEL str f
        HINCRBY hash n 10
        HINCRBY hash f1 1
        HINCRBY fresh n -3
        HINCRBY str n 1
        HINCRBYFLOAT hash n 0.5
        HINCRBYFLOAT hash f1 1
        HINCRBYFLOAT set n 1
        HRANDFIELD one
        HRANDFIELD one 5
        HRANDFIELD one 1 WITHVALUES
        HRANDFIELD missing
        HRANDFIELD missing 3
        HRANDFIELD one x
        HRANDFIELD str
        HSCAN hash 0
        HSCAN hash 0 MATCH f* COUNT 10
        HSCAN missing 0
        HSCAN hash x
        HSCAN hash
        HSCAN str 0
        "#,
    )
}

fn lists() -> Vec<Case> {
    redis_lines(
        r#"
        LLEN list
        LLEN missing
        LLEN str
        LINDEX list 0
        LINDEX list -1
        LINDEX list 99
        LINDEX list x
        LINDEX str 0
        LRANGE list 0 -1
        LRANGE list 1 2
        LRANGE list 5 1
        LRANGE missing 0 -1
        LRANGE list x y
        LRANGE hash 0 1
        LPUSH list y z | LRANGE list 0 -1
        LPUSH fresh a
        LPUSH list
        LPUSH str a
        RPUSH list y z | LRANGE list 0 -1
        RPUSH fresh "\r\n" ""
        RPUSH str a
        LPUSHX list y
        LPUSHX missing y
        LPUSHX str y
        RPUSHX list y
        RPUSHX missing y
        RPUSHX set y
        LPOP list
        LPOP list 2
        LPOP list 0
        LPOP missing
        LPOP missing 2
        LPOP list -1
        LPOP list 1 2
        LPOP str
        RPOP list
        RPOP list 2
        RPOP list 99 | LLEN list
        RPOP missing
        RPOP list x
        RPOP hash
        LSET list 1 x | LRANGE list 0 -1
        LSET list 99 x
        LSET missing 0 x
        LSET str 0 x
        LREM list 0 a
        LREM list -1 nope
        LREM list x a
        LREM str 0 a
        LTRIM list 1 2 | LRANGE list 0 -1
        LTRIM list 9 9 | TYPE list
        LTRIM missing 0 1
        LTRIM str 0 1
        LINSERT list BEFORE c x | LRANGE list 0 -1
        LINSERT list AFTER c x
        LINSERT list AFTER nope x
        LINSERT missing BEFORE a x
        LINSERT list BESIDE a x
        LINSERT str BEFORE a x
        LPOS list c
        LPOS list nope
        LPOS list c RANK -1
        LPOS list c COUNT 0
        LPOS list c RANK 0
        LPOS missing c
        LPOS list
        LPOS str c
        SORT nums
        SORT nums DESC LIMIT 0 2
        SORT list ALPHA
        SORT list
        SORT missing
        SORT nums BOGUS
        SORT str
        "#,
    )
}

fn sets() -> Vec<Case> {
    redis_lines(
        r#"
        SADD set 4 5 6
        SADD fresh 1
        SADD set
        SADD str 1
        SCARD set
        SCARD missing
        SCARD str
        SMEMBERS set
        SMEMBERS single
        SMEMBERS missing
        SMEMBERS list
        SISMEMBER set 1
        SISMEMBER set 9
        SISMEMBER missing 1
        SISMEMBER str 1
        SMISMEMBER set 1 9 2
        SMISMEMBER missing 1
        SMISMEMBER set
        SMISMEMBER str 1
        SREM set 1 2 9 | SMEMBERS set
        SREM missing 1
        SREM set
        SREM str 1
        SPOP single | TYPE single
        SPOP single 5
        SPOP missing
        SPOP missing 2
        SPOP set 0
        SPOP set -1
        SPOP str
        SRANDMEMBER single
        SRANDMEMBER single 3
        SRANDMEMBER single -3
        SRANDMEMBER missing
        SRANDMEMBER missing 2
        SRANDMEMBER set x
        SRANDMEMBER str
        SSCAN set 0
        SSCAN set 0 MATCH 1* COUNT 5
        SSCAN missing 0
        SSCAN set
        SSCAN str 0
        SDIFF set
        SINTER set
        SUNION set
        SUNION str
        SDIFF missing
        SDIFFSTORE set
        "#,
    )
}
