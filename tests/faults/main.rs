//! Faults and attacks on the real binary: servers that die, hang or lie, networks that lose, clients
//! that misuse, a machine that runs out of things.
//!
//! Each test opens with the row of docs/reliability.md it is about (`r4_...`); `rows` holds that table
//! against the tests. What needs root or a program that is not there says so and is skipped, never in
//! silence. `make faults` is the long form, `make soak` the longest.

mod book;
mod chaos;
mod clients;
mod dropin;
mod ejection;
mod flow;
mod hoarders;
mod legal;
mod local;
mod machine;
mod memory;
mod network;
mod partitions;
mod replies;
mod rows;
mod servers;
mod sessions;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod traffic;
mod unblocking;
mod uploads;
mod wire;

use std::io::Write;

/// How often something is done: `usual`, or `long` if the environment says `FAULTS_LONG=1`.
fn rounds(usual: usize, long: usize) -> usize {
    match std::env::var("FAULTS_LONG").is_ok_and(|value| value == "1") {
        true => long,
        false => usual,
    }
}

/// Says that a test of a row could not run here, past the capture of the test harness.
fn skip(row: &str, reason: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "SKIPPED {row}: {}", reason.trim());
}
