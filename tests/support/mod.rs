//! What the tests that use real processes share: servers and proxies that are started on free
//! ports and never outlive the test, a byte-level client, a fake server that follows a script, and
//! values that tell which key they belong to.
//!
//! A test crate takes it in with `#[path = "../support/mod.rs"] mod support;`. Each uses a part of
//! it, hence the `allow`. Everything here panics with an explanation when something is wrong: a
//! missing program is a failed test, never a skipped one. What is asserted about the proxy belongs
//! to the tests.
//!
//! Environment: `NUTCRAB_TEST_WORKERS` (default 2) is the number of workers of each nutcrab that is
//! started, `NUTCRAB_TEST_BINARY` another proxy to start in its place, for example a build of the
//! portable engine, or the original nutcracker to see what a test says about it.

#![allow(dead_code, unused_imports)]

pub mod fake;
pub mod port;
pub mod process;
pub mod proxy;
pub mod resp;
pub mod server;
pub mod value;
pub mod wire;

pub use fake::FakeServer;
pub use port::Port;
pub use process::Process;
pub use proxy::{Pool, Proxy};
pub use resp::{Reply, command, pipeline};
pub use server::Server;
pub use value::Random;
pub use wire::{Address, End, Wire};

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Tries `condition` again and again until it gives a value; fails the test after [`PATIENCE`],
/// naming `what` did not happen.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says when it goes that threads are to stop: also when the test fails, which would wait for them.
pub struct AtEnd<'a>(pub &'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Bytes as text for messages: escaped, and cut in the middle when there are many.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 600;
    if bytes.len() <= MOST {
        return bytes.escape_ascii().to_string();
    }
    let (head, tail) = (&bytes[..MOST / 2], &bytes[bytes.len() - MOST / 2..]);
    let between = bytes.len() - MOST;
    format!(
        "{} ... {between} bytes ... {}",
        head.escape_ascii(),
        tail.escape_ascii()
    )
}
