//! Hashes, lists, sets, sorted sets, places on the earth and streams.

use super::case::{Case, lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [HASHES, FIELDS, LISTS, SETS, SORTED, PLACES, STREAMS]
        .iter()
        .flat_map(|text| lines(text))
        .collect()
}

const HASHES: &str = r#"
    HSET h f 1 g 2 | HGET h f | HGET h x | HMGET h f x g | HGETALL h | HKEYS h | HVALS h | HLEN h
        | HEXISTS h f | HEXISTS h x | HSTRLEN h f
    HMSET h f 1 | HSETNX h f 2 | HSETNX h g 3 | HINCRBY h f 4 | HINCRBYFLOAT h f 0.5 | HINCRBY h f 1
        | HDEL h f x | HDEL h g | HGETALL h
    HSET h f 1 | HRANDFIELD h | HRANDFIELD h 1 | HRANDFIELD h 2 WITHVALUES | HRANDFIELD h -2 WITHVALUES
        | HRANDFIELD missing | HRANDFIELD missing 2
    HSET h f 1 g 2 | HSCAN h 0 | HSCAN h 0 MATCH f* COUNT 10 | HSCAN missing 0 | HSCAN h x
        | HSCAN h 0 NOVALUES
    HSET h f | HSET h | HGET h | HMGET h | HMSET h f | HGETALL | HDEL h | HLEN | HKEYS | HVALS | HEXISTS h
        | HSTRLEN h | HINCRBY h f | HINCRBYFLOAT h f x | HSETNX h f | HRANDFIELD | HSCAN h
    SET h v | HGET h f | HSET h f 1 | HGETALL h | HLEN h | HGETALL missing | HKEYS missing | HVALS missing
        | HMGET missing a b
"#;

const FIELDS: &str = r#"
    HSET h f 1 g 2 | HEXPIRE h 100 FIELDS 2 f x | HTTL h FIELDS 2 f g | HPERSIST h FIELDS 1 f
        | HTTL h FIELDS 1 f
    !newer-commands@redis HEXPIRE h 100 FIELDS 1 | HEXPIRE h
    ~time HSET h f 1 | HPEXPIRE h 100000 FIELDS 1 f | HPTTL h FIELDS 1 f
        | HEXPIREAT h 4102444800 FIELDS 1 f | HEXPIRETIME h FIELDS 1 f
        | HPEXPIREAT h 4102444800000 FIELDS 1 f | HPEXPIRETIME h FIELDS 1 f
    HSET h f 1 | HPEXPIRE h x FIELDS 1 f
    !newer-commands@redis HEXPIREAT h | HPEXPIREAT h | HEXPIRETIME h | HPEXPIRETIME h | HTTL h | HPTTL h
        | HPERSIST h
    HSETEX h EX 100 FIELDS 2 f 1 g 2 | HTTL h FIELDS 1 f | HGETEX h EX 50 FIELDS 2 f x
        | HGETEX h PERSIST FIELDS 1 f | HTTL h FIELDS 1 f | HSETEX h FXX FIELDS 1 z 1
    !newer-commands@redis HSETEX h | HGETEX h
    HSET h f 1 g 2 | HGETDEL h FIELDS 2 f x | HGETDEL h FIELDS 1 g | EXISTS h
    !newer-commands@redis HGETDEL h
"#;

const LISTS: &str = r#"
    RPUSH l b c d | LPUSH l a | RPUSHX l e | LPUSHX missing x | LLEN l | LRANGE l 0 -1
        | LRANGE missing 0 -1 | LINDEX l 2 | LINDEX l 99 | LINSERT l BEFORE c bb
        | LINSERT l AFTER nothing x | LINSERT missing BEFORE a b | LINSERT l FOO a b
    RPUSH l a b a c a | LPOS l a | LPOS l a COUNT 0 | LPOS l a RANK -1 | LPOS l x | LPOS l x COUNT 1
        | LPOS l a RANK 0 | LREM l 2 a | LSET l 0 z | LSET l 99 z | LSET missing 0 z | LTRIM l 0 1
        | LRANGE l 0 -1
    RPUSH l a b c d | LPOP l | RPOP l | LPOP l 2 | LPOP l 1 | RPOP l 2 | LPOP missing | RPOP missing 3
        | LPOP l -1 | LPOP l 0
    RPUSH {k}a 1 2 3 | RPOPLPUSH {k}a {k}b | LMOVE {k}a {k}b LEFT RIGHT | LRANGE {k}b 0 -1
        | RPOPLPUSH missing missing | LMOVE {k}x {k}b LEFT RIGHT | LMOVE {k}a {k}b UP RIGHT
    RPUSH {k}a 1 2 3 | LMPOP 2 {k}x {k}a LEFT COUNT 2 | LMPOP 1 {k}x LEFT | LMPOP 0 {k}a LEFT
        | LMPOP x {k}a LEFT | LMPOP 1 {k}a UP | LMPOP 5 {k}a LEFT | LMPOP 1 {k}a
    SET s v | RPUSH s 1 | LLEN s | LPOP s | LRANGE s 0 -1 | LRANGE s x y | LPUSH l | RPUSH l | LLEN
        | LINDEX l | LINSERT l | LPOS l | LREM l | LSET l | LTRIM l | LPOP | RPOP | RPOPLPUSH a | LMOVE a
        | LPUSHX l | RPUSHX l
"#;

const SETS: &str = r#"
    SADD s a b a | SCARD s | SISMEMBER s a | SISMEMBER s x | SMISMEMBER s a x | SREM s b x | SMEMBERS s
        | SMEMBERS missing | SREM s a | EXISTS s
    ~sorted SADD s a b c d | SMEMBERS s | SSCAN s 0 | SSCAN s 0 MATCH a* | SSCAN missing 0 | SSCAN s x
    SADD s a | SRANDMEMBER s | SRANDMEMBER s 2 | SRANDMEMBER s -2 | SRANDMEMBER missing
        | SRANDMEMBER missing 1 | SPOP s | SPOP s | SPOP s 1 | SADD s a | SPOP s 3 | SPOP s -1
    ~sorted SADD {k}a 1 2 3 | SADD {k}b 2 3 4 | SDIFF {k}a {k}b | SINTER {k}a {k}b | SUNION {k}a {k}b
        | SDIFFSTORE {k}c {k}a {k}b | SINTERSTORE {k}d {k}a {k}b | SUNIONSTORE {k}e {k}a {k}b
        | SMEMBERS {k}e | SMOVE {k}a {k}b 1 | SMOVE {k}a {k}b 9 | SINTER {k}a missing
    SADD {k}a 1 2 3 | SADD {k}b 2 3 4 | SINTERCARD 2 {k}a {k}b | SINTERCARD 2 {k}a {k}b LIMIT 1
        | SINTERCARD 0 {k}a | SINTERCARD 3 {k}a | SINTERCARD x {k}a | SINTERCARD 1
    SADD s | SCARD | SISMEMBER s | SMISMEMBER s | SREM s | SMEMBERS | SSCAN s | SRANDMEMBER | SPOP | SDIFF
        | SINTER | SUNION | SDIFFSTORE s | SINTERSTORE s | SUNIONSTORE s | SMOVE s | SET v 1 | SADD v a
        | SMEMBERS v | SDIFF v
"#;

const SORTED: &str = r#"
    ZADD z 1 a 2 b 3 c | ZADD z NX 9 a | ZADD z XX CH 5 a | ZADD z INCR 1 b | ZADD z NX INCR 1 b | ZCARD z
        | ZSCORE z b | ZSCORE z x | ZMSCORE z a x | ZINCRBY z 2.5 a | ZRANK z a | ZRANK z x | ZREVRANK z a
        | ZRANK z a WITHSCORE | ZREVRANK z x WITHSCORE
    ZADD z 1 a 2 b 3 c | ZRANGE z 0 -1 | ZRANGE z 0 -1 WITHSCORES | ZRANGE z 1 2 BYSCORE
        | ZRANGE z 2 1 BYSCORE REV LIMIT 0 1 | ZRANGE z [a (c BYLEX | ZREVRANGE z 0 1 WITHSCORES
        | ZRANGEBYSCORE z 1 (3 WITHSCORES | ZREVRANGEBYSCORE z 3 1 LIMIT 1 1 | ZRANGEBYLEX z - [b
        | ZREVRANGEBYLEX z + - | ZCOUNT z -inf +inf | ZLEXCOUNT z - +
    ZADD z 1 a 2 b 3 c 4 d | ZREM z a x | ZREMRANGEBYRANK z 0 0 | ZREMRANGEBYSCORE z 3 3
        | ZREMRANGEBYLEX z - + | EXISTS z
    ZADD z 1 a 2 b 3 c | ZPOPMIN z | ZPOPMAX z | ZPOPMIN z 2 | ZPOPMAX z 2 | ZPOPMIN missing
        | ZADD z 1 a 2 b | ZPOPMAX z 1 | ZPOPMIN z x
    ZADD z 1 a | ZRANDMEMBER z | ZRANDMEMBER z 1 | ZRANDMEMBER z 1 WITHSCORES
        | ZRANDMEMBER z -2 WITHSCORES | ZRANDMEMBER missing | ZRANDMEMBER missing 2
    ZADD {k}a 1 a 2 b | ZADD {k}b 3 b 4 c | ZUNION 2 {k}a {k}b WITHSCORES | ZINTER 2 {k}a {k}b WITHSCORES
        | ZDIFF 2 {k}a {k}b WITHSCORES | ZUNION 2 {k}a {k}b WEIGHTS 2 1 AGGREGATE MAX
        | ZUNIONSTORE {k}c 2 {k}a {k}b | ZINTERSTORE {k}d 2 {k}a {k}b | ZDIFFSTORE {k}e 2 {k}a {k}b
        | ZINTERCARD 2 {k}a {k}b | ZINTERCARD 2 {k}a {k}b LIMIT 1 | ZRANGESTORE {k}f {k}a 0 0
        | ZRANGE {k}f 0 -1 WITHSCORES
    ZADD {k}a 1 a 2 b 3 c | ZMPOP 2 {k}x {k}a MIN COUNT 2 | ZMPOP 1 {k}x MIN | ZMPOP 1 {k}a FOO
        | ZMPOP 0 {k}a MIN | ZMPOP x {k}a MIN | ZMPOP 9 {k}a MIN
    ZADD z 1 a 2 b | ZSCAN z 0 | ZSCAN z 0 MATCH a* | ZSCAN missing 0 | ZSCAN z x
    ZUNION 0 {k}a | ZUNION x {k}a | ZUNION 3 {k}a | ZINTER 0 {k}a | ZDIFF x {k}a | ZUNIONSTORE {k}c 0 {k}a
        | ZINTERSTORE {k}c x {k}a | ZDIFFSTORE {k}c 3 {k}a | ZINTERCARD 0 {k}a | ZUNION 1 {k}a FOO
    ZADD z | ZADD z x a | ZADD z 1 | ZADD z NX XX 1 a | ZCARD | ZSCORE z | ZMSCORE z | ZINCRBY z x a
        | ZRANK z | ZREVRANK z | ZRANGE z | ZREVRANGE z | ZRANGEBYSCORE z x y | ZREVRANGEBYSCORE z
        | ZRANGEBYLEX z a b | ZREVRANGEBYLEX z | ZCOUNT z | ZLEXCOUNT z | ZREM z | ZREMRANGEBYRANK z
        | ZREMRANGEBYSCORE z | ZREMRANGEBYLEX z | ZPOPMIN | ZPOPMAX | ZRANDMEMBER | ZUNION | ZINTER
        | ZDIFF | ZUNIONSTORE | ZINTERSTORE | ZDIFFSTORE | ZINTERCARD | ZRANGESTORE z | ZMPOP | ZSCAN z
    SET v 1 | ZADD v 1 a | ZRANGE v 0 -1 | ZSCORE v a | ZADD z inf a -inf b 1e300 c 0.1 d
        | ZRANGE z 0 -1 WITHSCORES | ZSCORE z a
"#;

const PLACES: &str = r#"
    GEOADD {k}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania | GEOPOS {k}g Palermo x
        | GEODIST {k}g Palermo Catania km | GEODIST {k}g Palermo x | GEOHASH {k}g Palermo x
        | GEOSEARCH {k}g FROMLONLAT 15 37 BYRADIUS 200 km ASC
        | GEOSEARCH {k}g FROMMEMBER Palermo BYBOX 400 400 km ASC WITHCOORD WITHDIST WITHHASH
        | GEOSEARCHSTORE {k}s {k}g FROMLONLAT 15 37 BYRADIUS 200 km | ZRANGE {k}s 0 -1
    GEOADD {k}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        | GEORADIUS {k}g 15 37 200 km WITHDIST ASC | GEORADIUS {k}g 15 37 200 km STORE {k}s | ZCARD {k}s
        | GEORADIUS_RO {k}g 15 37 200 km ASC | GEORADIUSBYMEMBER {k}g Palermo 200 km WITHCOORD ASC
        | GEORADIUSBYMEMBER {k}g Palermo 200 km STOREDIST {k}t | ZCARD {k}t
        | GEORADIUSBYMEMBER_RO {k}g Palermo 200 km ASC | GEORADIUS_RO {k}g 15 37 200 km STORE {k}s
    GEOADD g x y z | GEOADD g | GEOPOS | GEODIST g | GEOHASH | GEOSEARCH g | GEOSEARCHSTORE a
        | GEORADIUS g | GEORADIUSBYMEMBER g | GEORADIUS_RO g | GEORADIUSBYMEMBER_RO g | GEOSEARCH g FOO
        | GEORADIUS missing 1 1 1 km
"#;

const STREAMS: &str = r#"
    XADD x 1-1 f v g w | XADD x 1-1 f v | XADD x 2-* f v | XADD x MAXLEN 2 3-0 f v | XLEN x | XRANGE x - +
        | XREVRANGE x + - COUNT 1 | XRANGE missing - + | XDEL x 2-0 9-9 | XTRIM x MAXLEN 1 | XLEN x
        | XADD x NOMKSTREAM 5-5 a b | XADD y NOMKSTREAM 5-5 a b
    ~texts XADD x * f v
    XADD {k}x 1-1 f v | XADD {k}y 2-2 g w | XREAD STREAMS {k}x {k}y 0 0 | XREAD COUNT 1 STREAMS {k}x 0
        | XREAD STREAMS {k}x $ | XREAD STREAMS {k}x {k}y 0 | XREAD STREAMS {k}x | XREAD FOO
    ~numbers XADD {k}x 1-1 f v | XGROUP CREATE {k}x g 0 | XGROUP CREATE {k}x g 0
        | XGROUP CREATE {k}new g $ MKSTREAM | XGROUP CREATE {k}none g $
        | XREADGROUP GROUP g me COUNT 1 STREAMS {k}x > | XREADGROUP GROUP g me STREAMS {k}x 0
        | XREADGROUP GROUP nosuch me STREAMS {k}x > | XPENDING {k}x g | XPENDING {k}x g - + 10
        | XACK {k}x g 1-1 9-9 | XPENDING {k}x g
    XADD x 1-1 f v | XADD x 2-2 f w | XGROUP CREATE x g 0 | XREADGROUP GROUP g a STREAMS x >
        | XCLAIM x g b 0 1-1 | XCLAIM x g b 0 2-2 JUSTID | XAUTOCLAIM x g c 0 0
        | XAUTOCLAIM x g c 0 0 COUNT 1 JUSTID | XCLAIM x nosuch b 0 1-1 | XAUTOCLAIM x nosuch c 0 0
    XADD x 1-1 f v | XGROUP CREATE x g 0 | XGROUP CREATECONSUMER x g me | XGROUP CREATECONSUMER x g me
        | XGROUP SETID x g 1-1 | XGROUP DELCONSUMER x g me | XGROUP DESTROY x g | XGROUP DESTROY x g
        | XGROUP SETID x g 1-1 | XGROUP CREATE x | XGROUP FOO x | XGROUP
    XGROUP HELP | XINFO HELP | XINFO | XINFO FOO x | XINFO STREAM
    ~numbers XADD x 1-1 f v | XGROUP CREATE x g 0 | XREADGROUP GROUP g me STREAMS x > | XINFO STREAM x
        | XINFO STREAM x FULL | XINFO GROUPS x | XINFO CONSUMERS x g | XINFO STREAM missing
        | XINFO GROUPS missing | XINFO CONSUMERS x nosuch
    XADD x 1-1 f v | XSETID x 5-5 | XSETID x 0-1 | XSETID missing 1-1 | XSETID x | XADD x 5-5 f v
        | XLEN missing
    XADD x | XADD x 1-1 f | XADD x foo f v | XLEN | XRANGE x | XRANGE x a b | XREVRANGE x | XDEL x
        | XTRIM x | XTRIM x FOO 1 | XACK x g | XPENDING x | XPENDING x nosuch | XCLAIM x g | XAUTOCLAIM x
        | XREADGROUP GROUP g | XREAD | SET v 1 | XADD v 1-1 f v | XLEN v
"#;
