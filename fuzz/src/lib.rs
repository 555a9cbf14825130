//! What the fuzz targets do with the bytes they are given.
//!
//! Each target is a function that panics when something is wrong. The fuzzer calls it from
//! `fuzz/targets`; `tests/fuzz.rs` takes this file in as a module and calls it for every file of
//! `fuzz/corpus`, so that what was found once is looked for by every run of the tests. What is right
//! is judged by readers of our own (`oracle`), which share nothing with the code under test.
//!
//! One more target, `world`, is the simulation itself (`tests/simulation/main.rs`).

mod bytes;
mod core_events;
mod grammar;
mod legal;
mod oracle;
mod parsers;
mod settings;
mod split_merge;

use bytes::Bytes;

/// What is done with the fuzzer's bytes.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 10] = [
    ("redis_request", redis_request),
    ("redis_reply", redis_reply),
    ("memcache_request", memcache_request),
    ("memcache_reply", memcache_reply),
    ("binary_request", binary_request),
    ("binary_reply", binary_reply),
    ("legal_reply", legal_reply),
    ("split_merge", split_merge),
    ("core_events", core_events),
    ("configuration", configuration),
];

/// A client's bytes: the same requests in any cut; what is forwarded means the same to the server.
pub fn redis_request(bytes: &[u8]) {
    parsers::requests(&parsers::REDIS, bytes);
}

/// A server's bytes: replies end where they end, in any cut.
pub fn redis_reply(bytes: &[u8]) {
    parsers::replies(&parsers::REDIS, bytes);
}

/// As [`redis_request`].
pub fn memcache_request(bytes: &[u8]) {
    parsers::requests(&parsers::MEMCACHE, bytes);
}

/// As [`redis_reply`].
pub fn memcache_reply(bytes: &[u8]) {
    parsers::replies(&parsers::MEMCACHE, bytes);
}

/// As [`redis_request`], for memcached's binary protocol.
pub fn binary_request(bytes: &[u8]) {
    parsers::requests(&parsers::BINARY, bytes);
}

/// As [`redis_reply`], for memcached's binary protocol.
pub fn binary_reply(bytes: &[u8]) {
    parsers::replies(&parsers::BINARY, bytes);
}

/// What a server may say, made by the grammar of its protocol: it is read, and nothing beyond.
pub fn legal_reply(bytes: &[u8]) {
    legal::check(&mut Bytes::new(bytes));
}

/// A request split over servers and their replies joined again: the client gets what one server with
/// all the data would have answered.
pub fn split_merge(bytes: &[u8]) {
    split_merge::check(&mut Bytes::new(bytes));
}

/// The core under events in any order: it keeps its books, and comes to an end.
pub fn core_events(bytes: &[u8]) {
    core_events::run(&mut Bytes::new(bytes));
}

/// A configuration file: it is read, or every mistake is told in a line that is there.
pub fn configuration(bytes: &[u8]) {
    settings::check(bytes);
}
