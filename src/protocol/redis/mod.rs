//! Redis: RESP2 requests and replies.
//!
//! Source: the Redis serialization protocol specification (redis.io, "RESP protocol spec"), version 2,
//! and the behaviour of Redis 7.0 where it is silent.

pub mod commands;
pub mod reply;
pub mod request;
pub mod split;
