//! What stands in, on other systems, for what `linux.rs` uses; same names, same signatures.

use std::io;
use std::time::Duration;

use socket2::SockRef;

/// A read that brings less than was asked for promises nothing: read until it would block.
pub const SHORT_READ_EMPTIES: bool = false;

/// No sleep is known to be short enough everywhere.
pub fn prepare_naps() -> bool {
    false
}

/// May take longer than asked for; see [`prepare_naps`].
pub fn nap(length: Duration) {
    std::thread::sleep(length);
}

/// Asked only where there are naps.
pub fn thread_cpu_time() -> Option<Duration> {
    None
}

/// There is no portable way to ask.
pub fn resident_bytes() -> Option<u64> {
    None
}

/// There is no portable way to ask.
pub fn open_files() -> Option<u64> {
    None
}

/// There is no portable limit for unacknowledged data. The kernel's own retransmission limit and
/// keepalive find the vanished peer, only later.
pub fn limit_silence(_socket: SockRef<'_>, _limit: Duration) -> io::Result<()> {
    Ok(())
}
