//! Listening sockets: bound, accepted from, and (unix ones) removed from the file system at the end.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, Protocol, Type};

use super::{Endpoint, Socket, Watched};

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// Connections that may wait to be accepted; the kernel may allow fewer.
    pub backlog: u32,
    /// Whether other processes may listen on the same TCP address at the same time.
    pub port: PortSharing,
    /// Permissions of a unix socket's file, such as 0o770. `None`: as the umask has it.
    pub mode: Option<u32>,
}

/// Whether a TCP port may be shared with other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortSharing {
    /// It is ours alone.
    Exclusive,
    /// SO_REUSEPORT: whoever sets it too may share it.
    Shared,
}

/// A bound socket that clients can connect to.
#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    /// The file of a unix socket; removed when the listener is dropped.
    file: Option<SocketFile>,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds and listens. A unix socket nobody listens on is removed first: a process that was killed
    /// leaves its socket behind.
    ///
    /// # Errors
    /// Those of the system; `AddrInUse` also if somebody listens on the unix socket, `AlreadyExists` if
    /// there is something else at its path. Both stay as they are.
    pub fn bind(endpoint: &Endpoint, options: BindOptions) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let domain = Domain::for_address(*address);
                let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
                socket.set_reuse_address(true)?;
                if options.port == PortSharing::Shared {
                    share_port(&socket)?;
                }
                socket.bind(&(*address).into())?;
                listen(&socket, options.backlog)?;
                let listener = TcpListener::from_std(socket.into());
                Ok(Self {
                    socket: ListenerSocket::Tcp(listener),
                    file: None,
                })
            }
            Endpoint::Unix(path) => Self::bind_unix(path, options),
        }
    }

    fn bind_unix(path: &Path, options: BindOptions) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let address = socket2::SockAddr::unix(path)?;
        make_room(path, &address)?;
        socket.bind(&address)?;
        // From here on an error removes the file again.
        let file = SocketFile {
            path: path.to_path_buf(),
            identity: identity(path)?,
        };
        if let Some(mode) = options.mode {
            set_mode(path, mode)?;
        }
        // Only now can clients connect: nobody slips in under looser permissions.
        listen(&socket, options.backlog)?;
        let listener = UnixListener::from_std(socket.into());
        Ok(Self {
            socket: ListenerSocket::Unix(listener),
            file: Some(file),
        })
    }

    /// Takes over a socket that listens already and was handed to this process when it was started.
    /// Its file, if it has one, is not ours and stays. To be called at most once for a number, at the
    /// start of the process, with numbers it was told to own.
    ///
    /// # Errors
    /// There is no such descriptor, or it is no listening stream socket.
    #[expect(
        unsafe_code,
        reason = "std has no safe way to take an inherited descriptor"
    )]
    pub fn inherit(number: RawFd) -> io::Result<Self> {
        // SAFETY: F_GETFD only asks whether the number is in use; any number may be asked for.
        if number <= 2 || unsafe { libc::fcntl(number, libc::F_GETFD) } == -1 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: it is open (see above), and nobody else here owns it: whoever started us opened it
        // for us, and the caller promises to ask once, before this process opened anything itself.
        let socket = socket2::Socket::from(unsafe { OwnedFd::from_raw_fd(number) });
        socket.set_cloexec(true)?;
        if socket.r#type()? != Type::STREAM || !listens(&socket)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no listening stream socket",
            ));
        }
        socket.set_nonblocking(true)?;
        let socket = match socket.local_addr()?.domain() {
            Domain::UNIX => ListenerSocket::Unix(UnixListener::from_std(socket.into())),
            _ => ListenerSocket::Tcp(TcpListener::from_std(socket.into())),
        };
        Ok(Self { socket, file: None })
    }

    /// The next client that waits, or `None` until the next readable edge.
    pub fn accept(&self) -> io::Result<Option<Socket>> {
        loop {
            let result = match &self.socket {
                ListenerSocket::Tcp(listener) => listener.accept().map(|(s, _)| Socket::Tcp(s)),
                ListenerSocket::Unix(listener) => listener.accept().map(|(s, _)| Socket::Unix(s)),
            };
            return match result {
                Ok(socket) => Ok(Some(socket)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) if is_of_one_client(&error) => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Leaves the file of a unix socket to the caller, for a listener whose thread is not waited for
    /// at the end.
    pub fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    /// Where it listens; `None` if that has no name.
    pub fn endpoint(&self) -> Option<Endpoint> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => listener.local_addr().ok().map(Endpoint::Tcp),
            ListenerSocket::Unix(listener) => {
                let address = listener.local_addr().ok()?;
                Some(Endpoint::Unix(address.as_pathname()?.to_path_buf()))
            }
        }
    }

    /// The bound TCP address; `None` for a unix socket.
    #[doc(hidden)]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        match &self.socket {
            ListenerSocket::Tcp(listener) => listener.local_addr().ok(),
            ListenerSocket::Unix(_) => None,
        }
    }
}

/// The name of a unix socket in the file system; removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own socket at the path meanwhile.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Nothing is left to be done about a file that cannot be removed.
            let _ = remove(&self.path);
        }
    }
}

impl Watched for Listener {
    fn source(&mut self) -> &mut dyn mio::event::Source {
        match &mut self.socket {
            ListenerSocket::Tcp(listener) => listener,
            ListenerSocket::Unix(listener) => listener,
        }
    }
}

/// Whether an error of accept(2) belongs to the one connection that was to be accepted, which is
/// gone with it: the next one may be fine.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    let network = [
        libc::EPROTO,
        libc::ENETDOWN,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
    ];
    matches!(
        error.kind(),
        Interrupted | ConnectionAborted | ConnectionReset
    ) || error
        .raw_os_error()
        .is_some_and(|code| network.contains(&code))
}

fn listen(socket: &socket2::Socket, backlog: u32) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &socket2::Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// Elsewhere nothing hands sockets over in this way.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn listens(_socket: &socket2::Socket) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(any(target_os = "solaris", target_os = "illumos"))]
fn share_port(_socket: &socket2::Socket) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system cannot share a port",
    ))
}

/// Removes a socket nobody listens on.
#[expect(
    clippy::disallowed_methods,
    reason = "the file of a unix socket belongs to its listener"
)]
fn make_room(path: &Path, address: &socket2::SockAddr) -> io::Result<()> {
    use io::ErrorKind::{AlreadyExists, ConnectionRefused, NotFound, PermissionDenied};
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == NotFound => return Ok(()),
        Ok(file) if !file.file_type().is_socket() => {
            let reason = "there is a file of this name that is no socket";
            return Err(io::Error::new(AlreadyExists, reason));
        }
        file => file?,
    };
    // It must not wait for a place in a queue that is full: that is answer enough.
    let visitor = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    visitor.set_nonblocking(true)?;
    match visitor.connect(address) {
        Err(error) if error.kind() == ConnectionRefused => remove(path),
        Err(error) if error.kind() == NotFound => Ok(()),
        Err(error) if error.kind() == PermissionDenied => Err(error),
        _ => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file of a unix socket belongs to its listener"
)]
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file of a unix socket belongs to its listener"
)]
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file of a unix socket belongs to its listener"
)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
