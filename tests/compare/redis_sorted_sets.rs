//! Sorted sets, and what is built on them: geography.

use crate::case::{Case, redis_lines};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    [members(), ranges(), removal(), geography()].concat()
}

fn members() -> Vec<Case> {
    redis_lines(
        r#"
        ZADD zset 5 e 6 a
        ZADD zset NX 9 a 9 f | ZSCORE zset a
        ZADD zset XX CH 9 a
        ZADD zset GT CH 0 a
        ZADD zset INCR 5 a
        ZADD fresh inf x -inf y
        ZADD zset x a
        ZADD zset 1
        ZADD zset NX XX 1 a
        ZADD str 1 a
        ZCARD zset
        ZCARD missing
        ZCARD str
        ZSCORE zset b
        ZSCORE zset nope
        ZSCORE missing b
        ZSCORE str b
        ZMSCORE zset a nope c
        ZMSCORE missing a
        ZMSCORE zset
        ZMSCORE str a
        ZINCRBY zset 2.5 a
        ZINCRBY zset x a
        ZINCRBY fresh 1 a
        ZINCRBY str 1 a
        ZRANK zset c
        ZRANK zset nope
        ZRANK missing c
        ZRANK str c
        ZREVRANK zset c
        ZREVRANK zset nope
        ZREVRANK str c
        ZCOUNT zset 2 3
        ZCOUNT zset (2 +inf
        ZCOUNT zset x y
        ZCOUNT missing 0 1
        ZCOUNT str 0 1
        ZLEXCOUNT lex - +
        ZLEXCOUNT lex [a (c
        ZLEXCOUNT lex a c
        ZLEXCOUNT str - +
        ZRANDMEMBER zone
        ZRANDMEMBER zone 3
        ZRANDMEMBER zone -2 WITHSCORES
        ZRANDMEMBER missing
        ZRANDMEMBER zset x
        ZRANDMEMBER str
        ZSCAN zset 0
        ZSCAN zset 0 MATCH a COUNT 9
        ZSCAN missing 0
        ZSCAN zset
        ZSCAN str 0
        "#,
    )
}

fn ranges() -> Vec<Case> {
    redis_lines(
        r#"
        ZRANGE zset 0 -1
        ZRANGE zset 0 -1 WITHSCORES
        ZRANGE zset 3 2 BYSCORE REV
        ZRANGE lex - + BYLEX LIMIT 1 1
        ZRANGE missing 0 -1
        ZRANGE zset 0
        ZRANGE zset x y
        ZRANGE str 0 -1
        ZREVRANGE zset 0 1
        ZREVRANGE zset 0 -1 WITHSCORES
        ZREVRANGE zset 0
        ZREVRANGE str 0 1
        ZRANGEBYSCORE zset 2 3
        ZRANGEBYSCORE zset -inf (3 WITHSCORES LIMIT 1 5
        ZRANGEBYSCORE zset x 3
        ZRANGEBYSCORE zset 2
        ZRANGEBYSCORE str 2 3
        ZREVRANGEBYSCORE zset 3 2
        ZREVRANGEBYSCORE zset +inf -inf WITHSCORES
        ZREVRANGEBYSCORE zset
        ZREVRANGEBYSCORE str 3 2
        ZRANGEBYLEX lex - +
        ZRANGEBYLEX lex [b + LIMIT 0 1
        ZRANGEBYLEX lex b c
        ZRANGEBYLEX str - +
        ZREVRANGEBYLEX lex + -
        ZREVRANGEBYLEX lex (c [a
        ZREVRANGEBYLEX str + -
        "#,
    )
}

fn removal() -> Vec<Case> {
    redis_lines(
        r#"
        ZREM zset a nope b | ZRANGE zset 0 -1
        ZREM missing a
        ZREM zset
        ZREM str a
        ZPOPMIN zset
        ZPOPMIN zset 2
        ZPOPMIN missing
        ZPOPMIN zset x
        ZPOPMIN str
        ZPOPMAX zset
        ZPOPMAX zset 99
        ZPOPMAX missing
        ZPOPMAX str
        ZREMRANGEBYRANK zset 0 1
        ZREMRANGEBYRANK missing 0 1
        ZREMRANGEBYRANK zset x 1
        ZREMRANGEBYRANK str 0 1
        ZREMRANGEBYSCORE zset 2 3
        ZREMRANGEBYSCORE zset -inf +inf | TYPE zset
        ZREMRANGEBYSCORE zset x 3
        ZREMRANGEBYSCORE str 2 3
        ZREMRANGEBYLEX lex [a [b
        ZREMRANGEBYLEX lex a b
        ZREMRANGEBYLEX str - +
        "#,
    )
}

fn geography() -> Vec<Case> {
    redis_lines(
        r#"
        GEOADD geo 12.5 41.9 Rome
        GEOADD geo NX CH 1 1 Palermo
        GEOADD geo 200 0 Nowhere
        GEOADD geo 1 1
        GEOADD str 1 1 x
        GEODIST geo Palermo Catania
        GEODIST geo Palermo Catania km
        GEODIST geo Palermo Nowhere
        GEODIST geo Palermo
        GEODIST geo Palermo Catania miles
        GEODIST str a b
        GEOHASH geo Palermo Catania Nowhere
        GEOHASH missing x
        GEOHASH geo
        GEOHASH str x
        GEOPOS geo Palermo Nowhere
        GEOPOS missing x
        GEOPOS str x
        GEORADIUS geo 15 37 200 km ASC
        GEORADIUS geo 15 37 200 km WITHCOORD WITHDIST WITHHASH COUNT 1
        GEORADIUS geo 15 37
        GEORADIUS missing 15 37 200 km
        GEORADIUS str 15 37 200 km
        GEORADIUSBYMEMBER geo Palermo 200 km ASC
        GEORADIUSBYMEMBER geo Nowhere 200 km
        GEORADIUSBYMEMBER geo Palermo
        GEORADIUSBYMEMBER str x 1 km
        GEOSEARCH geo FROMLONLAT 15 37 BYRADIUS 200 km ASC
        GEOSEARCH geo FROMMEMBER Palermo BYBOX 400 400 km ASC WITHDIST
        GEOSEARCH geo FROMMEMBER Palermo
        GEOSEARCH str FROMMEMBER x BYRADIUS 1 km
        "#,
    )
}
