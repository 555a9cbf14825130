//! Keys of a pool that are fine in themselves and not together with others, one row each.

use super::{Pool, Problem};
use crate::protocol::Protocol;

/// What is wrong with a key that was given, by what else the pool says.
pub(super) struct Clash {
    pub(super) key: &'static str,
    pub(super) is_in: fn(&Pool) -> bool,
    pub(super) problem: Problem,
}

pub(super) const CLASHES: &[Clash] = &[
    Clash {
        key: "redis_auth",
        is_in: |pool| pool.redis_auth.is_some() && !is_redis(pool),
        problem: Problem::PasswordWithoutRedis,
    },
    Clash {
        key: "commands",
        is_in: |pool| !is_redis(pool),
        problem: Problem::CommandsWithoutRedis,
    },
    Clash {
        key: "memcached_auth",
        is_in: |pool| pool.memcached_auth.is_some() && is_redis(pool),
        problem: Problem::UserOnRedis,
    },
    Clash {
        key: "memcached_auth",
        is_in: |pool| {
            let given = pool.memcached_auth.as_ref();
            given.is_some_and(|given| !given.bytes().contains(&b':')) && !is_redis(pool)
        },
        problem: Problem::PasswordWithoutUser,
    },
];

fn is_redis(pool: &Pool) -> bool {
    pool.protocol == Protocol::Redis
}
