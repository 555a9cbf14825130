//! What an operator may want to know, for the log.

use std::fmt;
use std::net::SocketAddr;

use super::cause::Cause;
use super::ids::{ClientId, PoolIndex};
use super::{Action, Proxy};
use crate::config::CrossShard;
use crate::protocol::BadReply;
use crate::route::ServerIndex;

/// Something an operator may want to know. `Display` names no pool or server: whoever logs it has their
/// names.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// In which pool.
    pub pool: PoolIndex,
    /// About whom.
    pub peer: Peer,
    /// What.
    pub what: What,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// One of the pool's servers.
    Server(ServerIndex),
    /// A client, with its address; `None` if it came over a unix socket.
    Client(Option<SocketAddr>),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A connection to the server ended, and so many requests on it were answered with an error.
    LinkClosed {
        /// Why.
        cause: Cause,
        /// How many requests.
        failed: usize,
    },
    /// The server sent bytes that are no reply.
    BadReply(BadReply),
    /// The server sent a reply nobody asked for.
    Surplus,
    /// The connection that ended is not counted as a failure of the server.
    NotBlamed,
    /// The server did not answer in time; the connection stays.
    Late {
        /// How many requests were answered with an error.
        failed: usize,
    },
    /// So much waits to be sent to the server that requests are answered with an error.
    QueueFull {
        /// How many bytes.
        waiting: usize,
    },
    /// The server refused AUTH, HELLO or SELECT with this line.
    Greeting {
        /// Which of them.
        command: &'static str,
        /// The server's words, control bytes replaced.
        line: String,
    },
    /// What the servers said to the parts of a request does not make one reply, of which the client
    /// already had the beginning; it was closed.
    Unjoinable,
    /// A client did not read its replies and was closed.
    SlowClient,
    /// The process used too much memory, and a client for which much was kept was closed.
    ShedClient {
        /// How many bytes.
        held: usize,
    },
    /// A client sent a large request so slowly, while others waited for a connection, that it was failed.
    SlowUpload,
    /// A client stopped in the middle of a request and was closed.
    StalledRequest,
    /// A client did not say the password of its pool, or sent too much before, and was closed.
    Unauthenticated,
    /// A client sent something that is no request and was closed.
    BadRequest,
    /// A request of the client went beyond a limit.
    OverLimit {
        /// The limit's key.
        key: &'static str,
        /// The limit.
        limit: u64,
        /// What the client was told, without the mark of an error.
        told: String,
        /// What became of it.
        end: &'static str,
    },
    /// The keys of a request live on several servers; told once for each command.
    CrossShard {
        /// The command, in lower case.
        command: String,
        /// What was done with it.
        rule: CrossShard,
    },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::LinkClosed {
                cause: Cause::Eof,
                failed,
            } => {
                write!(f, "server closed the connection; failed requests: {failed}")
            }
            What::LinkClosed { cause, failed } => {
                write!(f, "connection failed: {cause}; failed requests: {failed}")
            }
            What::BadReply(bad) => write!(f, "malformed reply: {bad}"),
            What::Surplus => f.write_str("reply without a request"),
            What::NotBlamed => f.write_str(
                "not counted as a failure of the server: a client's request may have caused it",
            ),
            What::Late { failed } => write!(f, "no reply in time; failed requests: {failed}"),
            What::QueueFull { waiting } => write!(
                f,
                "requests are refused, since {waiting} bytes wait to be sent"
            ),
            What::Greeting { command, line } => write!(f, "{command} failed: {line}"),
            What::Unjoinable => f.write_str("closed: the servers' replies do not fit together"),
            What::SlowClient => f.write_str("closed: it does not read its replies"),
            What::ShedClient { held } => write!(
                f,
                "closed: memory is scarce, and {held} bytes were kept for it"
            ),
            What::SlowUpload => f.write_str(
                "failed its large request: it came slowly, and others waited for a connection",
            ),
            What::StalledRequest => f.write_str("closed: it stopped within a request"),
            What::Unauthenticated => f.write_str("closed: it has not authenticated"),
            What::BadRequest => f.write_str("closed: malformed request"),
            What::OverLimit {
                key,
                limit,
                told,
                end,
            } => write!(f, "{end}: {key} is {limit}: {told}"),
            What::CrossShard {
                command,
                rule: CrossShard::Refuse,
            } => write!(
                f,
                "{command:?} has keys on several servers: refused (cross_shard: refuse)"
            ),
            What::CrossShard {
                command,
                rule: CrossShard::FirstKey,
            } => write!(
                f,
                "{command:?} has keys on several servers: sent to that of the first (cross_shard: first_key)"
            ),
        }
    }
}

impl Proxy {
    /// Tells something about a server.
    pub(super) fn notice_server(&mut self, pool: PoolIndex, server: ServerIndex, what: What) {
        let peer = Peer::Server(server);
        self.actions
            .push_back(Action::Notice(Notice { pool, peer, what }));
    }

    /// Tells something about a client.
    pub(super) fn notice_client(&mut self, id: ClientId, what: What) {
        if let Some(client) = self.clients.find(id) {
            let (pool, peer) = (client.pool, Peer::Client(client.peer));
            self.actions
                .push_back(Action::Notice(Notice { pool, peer, what }));
        }
    }
}

/// A server's answer to AUTH or SELECT, for the log. It ends before the first quotation mark: what a
/// server quotes is what it was sent, and that may be the password.
pub(super) fn refusal(line: &[u8]) -> String {
    let end = line
        .iter()
        .position(|byte| matches!(byte, b'\'' | b'`' | b'"'))
        .unwrap_or(line.len());
    String::from_utf8_lossy(&line[..end.min(200)])
        .trim_end()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn what_a_server_quotes_is_not_shown() {
        for (line, shown) in [
            (
                &b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"[..],
                "-WRONGPASS invalid username-password pair or user is disabled.",
            ),
            (
                b"-ERR unknown command `AUTH`, with args beginning with: `s3cret`, \r\n",
                "-ERR unknown command",
            ),
            (b"-ERR unknown command 'AUTH'\r\n", "-ERR unknown command"),
            (b"-ERR a\x1b[31m\xff\r\n", "-ERR a?[31m\u{fffd}"),
        ] {
            assert_eq!(refusal(line), shown);
        }
    }
}
