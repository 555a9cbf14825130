//! Why a connection ended, in the words clients are told.

use std::fmt;
use std::io;

/// Why a connection to a client or server ended, or a request could not be served.
///
/// `Display` gives the text behind `-ERR` or `SERVER_ERROR`: that of twemproxy, which is the
/// system's text for the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens there, or all servers are ejected.
    Refused,
    /// No connection, or no reply, in time.
    TimedOut,
    /// The peer reset the connection.
    Reset,
    /// The peer had closed the connection when something was written.
    BrokenPipe,
    /// The peer closed the connection.
    Eof,
    /// The host name has no address.
    Unresolved,
    /// The server sent something that is no reply, or a reply nobody asked for.
    Invalid,
    /// There is no such unix socket.
    NoSuchFile,
    /// The server did not accept the pool's password.
    Password,
    /// The server did not accept the database.
    Database,
    /// The server does not speak RESP3.
    Version,
    /// The server accepts no connection for now, or not this one, for another reason.
    Unwilling,
    /// Too many clients have connections to the server for themselves.
    TooManySessions,
    /// Too much waits to be sent to the server.
    QueueFull,
    /// Splitting the request would take more memory than one client may have.
    TooManyKeys,
    /// The servers' replies are too large to be made one.
    TooLarge,
    /// The process is short of memory.
    NoMemory,
    /// The server refused MULTI or EXEC, and may have the connection within a transaction.
    Transaction,
    /// Any other system error, by its number.
    Os(i32),
}

/// Who answers for the end of a connection to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The server: it is a failure of it, and failures in a row eject it.
    Server,
    /// Perhaps a client: the server broke the protocol behind requests of clients, and a sound one that
    /// passes on what a script or module says may do so. It is logged and counted apart, and the next
    /// requests take another connection.
    Client,
    /// Nobody, or we.
    Nobody,
}

impl Cause {
    /// The cause behind a failed system call.
    pub fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Cause::Refused,
            io::ErrorKind::TimedOut => Cause::TimedOut,
            io::ErrorKind::ConnectionReset => Cause::Reset,
            io::ErrorKind::BrokenPipe => Cause::BrokenPipe,
            io::ErrorKind::NotFound => Cause::NoSuchFile,
            io::ErrorKind::UnexpectedEof => Cause::Eof,
            _ => error.raw_os_error().map_or(Cause::Invalid, Cause::Os),
        }
    }

    /// Whether the cause is a system error: twemproxy prefers those when fragments fail differently.
    pub fn is_system_error(self) -> bool {
        self != Cause::Eof
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Refused => "Connection refused",
            Cause::TimedOut => "Connection timed out",
            Cause::Reset => "Connection reset by peer",
            Cause::BrokenPipe => "Broken pipe",
            Cause::Eof => "unknown",
            Cause::Unresolved => "Host is down",
            Cause::Invalid => "Invalid argument",
            Cause::NoSuchFile => "No such file or directory",
            Cause::Password => "server refused the pool's password",
            Cause::Database => "server refused the pool's database",
            Cause::Version => "server does not speak RESP3",
            Cause::Unwilling => "the server refused the connection",
            Cause::TooManySessions => {
                "too many clients have connections to the server of their own"
            }
            Cause::QueueFull => "too many requests are waiting for the server",
            Cause::TooManyKeys => "the request has too many keys for the memory that is free",
            Cause::TooLarge => "the replies of the servers are too large to be joined",
            Cause::NoMemory => "the proxy is short of memory",
            Cause::Transaction => "the server refused a transaction on this connection",
            Cause::Os(number) => {
                // The standard library says `No route to host (os error 113)`.
                let text = io::Error::from_raw_os_error(*number).to_string();
                return f.write_str(text.split(" (os error").next().unwrap_or("unknown"));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_system() {
        for (number, text) in [
            (111, "Connection refused"),
            (110, "Connection timed out"),
            (104, "Connection reset by peer"),
            (32, "Broken pipe"),
            (2, "No such file or directory"),
            (113, "No route to host"),
            (101, "Network is unreachable"),
            (24, "Too many open files"),
        ] {
            let cause = Cause::from_io(&io::Error::from_raw_os_error(number));
            assert_eq!(cause.to_string(), text);
        }
    }
}
