//! Telling the service manager how we are: one datagram of `KEY=value` lines to the unix socket it
//! named. What is told, and when, is control's business.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, SocketAddr};

/// Sends `text`. Never waits: if the service manager does not read, this datagram is lost.
///
/// `address` is a path, or a name in the abstract namespace behind an `@`.
#[expect(
    clippy::disallowed_types,
    reason = "the one place that sends datagrams"
)]
pub fn notify(address: &OsStr, text: &str) -> io::Result<()> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = net::UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address).map(drop)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no abstract unix sockets",
    ))
}
