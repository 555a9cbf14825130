//! What Linux offers beyond its relatives. Its twin for all other systems is `portable.rs`; the two
//! have the same names and signatures.

use std::io;
use std::time::Duration;

use socket2::SockRef;

/// Whether a read of a stream that brings less than was asked for has emptied the socket, so that
/// new bytes mean a new edge (epoll(7) says so). It saves one call per read.
pub const SHORT_READ_EMPTIES: bool = true;

/// Breaks the connection when data stays unacknowledged for `limit`: a peer that vanished without
/// a word is noticed then, instead of after the kernel's quarter of an hour.
pub fn limit_silence(socket: SockRef<'_>, limit: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(limit))
}
