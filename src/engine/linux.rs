//! What Linux offers beyond its relatives. Its twin for all other systems is `portable.rs`; the two
//! have the same names and signatures.

use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

use rustix::thread::{ClockId, Timespec};
use socket2::SockRef;

/// Whether a read of a stream that brings less than was asked for has emptied the socket, so that
/// new bytes mean a new edge (epoll(7) says so). It saves one call per read.
pub const SHORT_READ_EMPTIES: bool = true;

/// Makes naps of this thread as short as they were asked for, and says whether that succeeded.
/// Without it the kernel adds up to 50 us, to wake several threads at once.
pub fn prepare_naps() -> bool {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).is_ok()
}

/// Sleeps; a signal may end it early. The timeout of `Engine::wait` counts in milliseconds.
pub fn nap(length: Duration) {
    let length = Timespec {
        tv_sec: length.as_secs() as i64,
        tv_nsec: length.subsec_nanos().into(),
    };
    // What ended it early, if anything, is worth no second try.
    let _ = rustix::thread::clock_nanosleep_relative(ClockId::Monotonic, &length);
}

/// CPU time this thread has used.
pub fn thread_cpu_time() -> Option<Duration> {
    let used = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(used).ok()
}

/// How much memory of the process is in use.
#[expect(clippy::disallowed_methods, reason = "the kernel tells it in a file")]
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

/// How many descriptors are open.
pub fn open_files() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is that of the folder being read.
    Some((entries.count() as u64).saturating_sub(1))
}

/// Breaks the connection when data stays unacknowledged for `limit`: a peer that vanished without
/// a word is noticed then, instead of after the kernel's quarter of an hour.
pub fn limit_silence(socket: SockRef<'_>, limit: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(limit))
}
