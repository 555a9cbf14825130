//! Redis: RESP2 and RESP3 requests and replies.
//!
//! Source: the Redis serialization protocol specification (redis.io, "RESP protocol spec"), versions 2
//! and 3, and the behaviour of Redis 7.0 where it is silent.

pub mod commands;
pub mod describe;
pub mod hello;
pub mod info;
pub mod inline;
pub mod join;
pub mod keys;
pub mod pattern;
pub mod reply;
pub mod request;
pub mod settings;
pub mod split;
pub mod straight;
pub mod unblocking;
pub mod wait;
pub mod write;
