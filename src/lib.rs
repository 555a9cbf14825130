//! nutcrab: a proxy for Redis and memcached, and a drop-in replacement for twemproxy.
//!
//! The rooms, in reading order. `config` says what is wanted; `hash` and `route` decide where a
//! key lives; `protocol` knows what bytes mean; `proxy` is the pure state machine of one worker;
//! `engine` and `worker` connect it to sockets; `control` starts and stops everything.
//! ARCHITECTURE.md draws the map and states which room may use which.
//!
//! The program is what is offered: this library has no interface for others. Its items are public for
//! `main`, and for the tests, fuzz targets, benchmarks and pages of this repository, and change without
//! notice. What only those use is hidden from these pages.

#![deny(unsafe_code)]
// The clock, threads, sockets and files of std: see clippy.toml. Unit tests may use them.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod admin;
pub mod buffer;
pub mod cli;
pub mod config;
pub mod control;
pub mod engine;
pub mod explain;
pub mod hash;
pub mod protocol;
pub mod proxy;
pub mod route;
pub mod stats;
pub mod worker;
