//! The real proxy in front of real servers, by topic.
//!
//! What it answers is stated here explicitly; that it is what the original answers is the business
//! of the comparison in `tests/compare`.

mod auth;
mod clients;
mod commands;
mod cross_shard;
mod failures;
mod large;
mod large_joins;
mod limits;
mod malformed;
mod memcached;
mod memory;
mod overload;
mod replicas;
mod scanning;
mod sessions;
mod sockets;
mod timeouts;
mod traffic;

#[path = "../support/mod.rs"]
mod support;
