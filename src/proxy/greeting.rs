//! What servers say to AUTH, HELLO and SELECT at the begin of a connection.

use super::Proxy;
use super::cause::Cause;
use super::exchange::KEEP_MAX;
use super::ids::LinkId;
use super::link::State;
use super::notice::{self, What};
use crate::buffer::Input;
use crate::protocol::{BadReply, ReplyScan};

impl Proxy {
    /// Reads replies to AUTH, HELLO and SELECT, and says how many bytes were used; 0 when it needs more.
    pub(super) fn read_greeting(&mut self, id: LinkId, input: Input<'_>) -> usize {
        let Some(link) = self.links.find_mut(id) else {
            return 0;
        };
        let State::Greeting {
            auth,
            hello,
            select,
        } = link.state
        else {
            return 0;
        };
        let (pool, server) = (link.pool, link.server);
        let mut scan = ReplyScan::new(link.version);
        let fed = match self.pools[pool.index()]
            .protocol
            .feed_reply(&mut scan, input.bytes())
        {
            Ok(fed) if fed.done => fed,
            // A greeting's reply is one line: nothing is lost by starting over with more of it.
            Ok(_) if input.len() < KEEP_MAX => return 0,
            Ok(_) => {
                self.bad_reply(id, BadReply::Line);
                return 0;
            }
            Err(bad) => {
                self.bad_reply(id, bad);
                return 0;
            }
        };
        let line = &input.bytes()[..fed.used];
        let (command, cause, good) = match (auth, hello, select) {
            (true, ..) => ("AUTH", Cause::Password, b'+'),
            (_, true, _) => ("HELLO", Cause::Version, b'%'),
            (_, _, true) => ("SELECT", Cause::Database, b'+'),
            _ => return 0,
        };
        let refused = line.first() != Some(&good) && !(auth && needs_no_password(line));
        if refused {
            let cause = if says_no(command, line) {
                cause
            } else {
                Cause::Unwilling
            };
            let (lane, words) = (link.lane, line.to_vec());
            self.pools[pool.index()].lane(lane).refusal = words.into();
            let line = notice::refusal(line);
            let what = What::Greeting { command, line };
            self.notice_server(pool, server, what);
            self.close_link(id, cause);
            return fed.used;
        }
        let (hello, select) = (hello && auth, select && (auth || hello));
        link.state = State::Greeting {
            auth: false,
            hello,
            select,
        };
        if !hello && !select {
            self.link_ready(id);
        }
        fed.used
    }
}

/// Whether a server that refuses a command says that it does not have what was asked for, and not that it is
/// busy, loading, full, or does not allow the command.
fn says_no(command: &str, line: &[u8]) -> bool {
    let codes: &[&[u8]] = match command {
        "AUTH" => &[b"-ERR ", b"-WRONGPASS ", b"-NOAUTH ", b"-NOPERM "],
        "HELLO" => &[b"-ERR ", b"-NOPROTO "],
        _ => &[b"-ERR "],
    };
    !line.starts_with(b"-ERR max number of clients")
        && codes.iter().any(|code| line.starts_with(code))
}

/// Whether the server's answer to AUTH says that it asks for no password. As with twemproxy, a pool's
/// password may guard the proxy alone.
fn needs_no_password(line: &[u8]) -> bool {
    // Redis 6 and later; Redis before.
    line.starts_with(b"-ERR AUTH <password> called without any password configured")
        || line.starts_with(b"-ERR Client sent AUTH, but no password is set")
}
