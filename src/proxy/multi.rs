//! Whether a server has transactions for us, asked on each connection before the first one it carries.
//!
//! A server may refuse MULTI and EXEC (`rename-command`, rules for its users). What was queued would then
//! be executed as it comes, on a connection that clients share. So before a transaction takes a connection
//! on which none was seen to work, the server is asked there, with one that is empty; meanwhile its client
//! waits, and nobody else.
//!
//! ```text
//!   unknown -- MULTI, EXEC, of nothing --> works --> transactions
//!      ^            | refused                | MULTI refused: the rules have changed
//!      +------------+ the client is told     +------> closed, and the client is told what happened
//! ```
//!
//! An EXEC that fails may leave the connection within a transaction, or not: a proxy behind this one says so
//! when its server did not answer. The next reply tells: if its request was queued, the connection is closed
//! before that is taken for a reply. Where nothing was asked behind the EXEC it is closed at once.

use std::mem;

use super::Proxy;
use super::cause::Cause;
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::link::{InFlight, Kind, Link, Next, Role, beginning};
use super::pool::REFUSED_PAUSE;
use super::request::Request;
use super::transaction::{EXEC, MULTI};
use crate::buffer::{BufferPool, Input};

/// Of what a server says when it refuses, clients are told so much.
const WORDS_MAX: usize = 256;

/// How Redis says that an EXEC was in vain, and the transaction is over.
const ABORTED: &[u8] = b"-EXECABORT Transaction discarded because of: ";

/// What is known about the connection a transaction is to take.
#[derive(Debug, Default)]
pub(super) enum Permit {
    /// Nothing yet.
    #[default]
    Unknown,
    /// The server is asked; the request by which the client waits for that.
    Asked(u32),
    /// It has transactions on this one.
    Given(LinkId),
    /// It refused, in these words.
    Refused(Box<[u8]>),
    /// It did not answer.
    Failed(Cause),
}

/// Whether a reply to EXEC that starts so shows that a transaction did not end.
fn is_open(start: &[u8; 10]) -> bool {
    start[0] == b'-' && start != b"-EXECABORT"
}

impl Link {
    /// Notes what will not be there any more when the reply to `entry`, at the front, is whole: a part of
    /// it is about to be passed on.
    #[cold]
    pub fn note_start(&mut self, entry: &InFlight) {
        if entry.role != Role::Usual && !self.streaming {
            let start = beginning::<10>(&self.partial, Input::copied(&[]));
            self.streams_error = start[0] == b'-';
            self.stuck = matches!(entry.role, Role::Exec | Role::Proof) && is_open(&start);
        }
    }

    /// The reply to `entry`, at the front, is whole: `last` are its last bytes. Notes what it says about
    /// transactions, and says what is to be done.
    #[cold]
    pub fn note_transaction(&mut self, entry: &InFlight, last: Input<'_>) -> Next {
        let start = beginning::<10>(&self.partial, last);
        let is_open = self.stuck || (!self.streaming && is_open(&start));
        match entry.role {
            Role::Usual => {}
            Role::AfterExec if start.starts_with(b"+QUEUED\r\n") => return Next::Queued,
            Role::AfterExec => {}
            Role::Multi if mem::take(&mut self.may_queue) && !start.starts_with(b"+OK\r\n") => {
                return Next::Queued;
            }
            Role::Multi if self.streaming || !start.starts_with(b"+OK\r\n") => {
                self.refusal = Some(words(&beginning::<WORDS_MAX>(&self.partial, last)));
            }
            Role::Multi => self.refusal = None,
            Role::Exec if self.refusal.is_some() => return Next::RanWithout,
            Role::Exec if is_open => match self.in_flight.get_mut(1) {
                Some(next) if next.role == Role::Usual => next.role = Role::AfterExec,
                Some(next) if next.role == Role::Multi => self.may_queue = true,
                _ => return Next::Stuck,
            },
            Role::Exec => {}
            Role::Number => {
                self.note_number(&beginning(&self.partial, last));
                // Nothing of a subscription is meant.
                return if self.kind == Kind::Pinned {
                    Next::PinnedAnswered
                } else {
                    Next::Reply
                };
            }
            Role::Unblock => {
                let woken = beginning::<2>(&self.partial, last) == *b":1";
                return Next::Unblocked { woken };
            }
            Role::Proof => {
                let works = self.refusal.is_none() && !self.streaming && start[0] == b'*';
                self.takes_multi = works;
                let stuck = self.refusal.is_none() && is_open;
                if !works && self.refusal.is_none() {
                    self.refusal = Some(words(&beginning::<WORDS_MAX>(&self.partial, last)));
                }
                return Next::Proved { stuck };
            }
        }
        self.what_follows(entry, last)
    }

    /// What the client of the request at the front is told instead of the server's reply to its EXEC.
    pub fn ran_without(&mut self, buffers: &mut BufferPool) -> Vec<u8> {
        self.partial.clear(buffers);
        let refusal = self.refusal.take().unwrap_or_default();
        let mut reply = b"-ERR the server refused MULTI (".to_vec();
        reply.extend_from_slice(&refusal);
        reply.extend_from_slice(
            b"): the commands of the transaction ran without it, each for itself\r\n",
        );
        reply
    }
}

/// What an error line says: what it begins with, up to the end of the line if that is there.
fn words(line: &[u8]) -> Box<[u8]> {
    let line = line.strip_prefix(ABORTED).unwrap_or(line);
    let line = line.strip_prefix(b"-").unwrap_or(line);
    let end = line.iter().position(|byte| byte.is_ascii_control());
    line[..end.unwrap_or(line.len())].trim_ascii().into()
}

/// The reply to an EXEC of which nothing was executed, as the server refused with these words.
pub(super) fn aborted(words: &[u8]) -> Vec<u8> {
    let mut reply = ABORTED.to_vec();
    reply.extend_from_slice(words);
    reply.extend_from_slice(b"\r\n");
    reply
}

impl Proxy {
    /// As `reply_done`, for what begins or ends a transaction.
    #[cold]
    pub(super) fn part_done(&mut self, id: LinkId, entry: &InFlight, last: Input<'_>) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let pool = link.pool;
        let posts = if entry.role == Role::Exec {
            link.due_posts(entry, last)
        } else {
            None
        };
        let next = link.note_transaction(entry, last);
        if next == Next::Queued {
            return self.close_link(id, Cause::Transaction);
        }
        if next == Next::RanWithout && !link.streaming {
            let reply = link.ran_without(&mut self.buffers);
            self.settle(id, entry, Input::copied(&reply), Some(Next::Reply));
        } else {
            self.settle(id, entry, last, Some(Next::Reply));
        }
        if let Some(posts) = posts {
            self.publish(pool, posts);
        }
        self.follow_up(id, entry, next);
    }

    /// Asks the server whether it has transactions on this connection. With a client, that waits for the
    /// answer, and its last request is read again then.
    pub(super) fn ask_for_multi(&mut self, link: LinkId, id: ClientId, waits: bool) -> Option<u32> {
        let sequence = if waits {
            let client = self.clients.find_mut(id)?;
            Some(client.ring.push(Exchange::Silent))
        } else {
            None
        };
        let entry = |role, is_owed: bool| InFlight {
            client: sequence.filter(|_| is_owed).map(|_| id),
            role,
            ..Request::own(id).entry(sequence.unwrap_or(0), self.now)
        };
        let (multi, exec) = (entry(Role::Multi, false), entry(Role::Proof, true));
        self.send_bytes(link, multi, MULTI);
        self.send_bytes(link, exec, EXEC);
        sequence
    }

    /// The server has said whether it has transactions on this connection.
    pub(super) fn multi_proved(&mut self, id: LinkId, entry: &InFlight, stuck: bool) {
        let now = self.now;
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let (pool, lane) = (link.pool, link.lane);
        let (refusal, owner) = (link.refusal.take(), link.owner);
        if let (true, Some(words)) = (stuck, &refusal) {
            // Each further question would cost the others on a connection theirs.
            self.pools[pool.index()].lane(lane).no_exec =
                Some((now + REFUSED_PAUSE, words.clone()));
        }
        if let Some(client) = entry
            .client
            .or(owner)
            .and_then(|id| self.clients.find_mut(id))
            && let Some(session) = client.session.as_deref_mut()
        {
            if let Some(watching) = &mut session.watching
                && watching.link == Some(id)
            {
                watching.refused = refusal;
            } else if let Some(transaction) = session.transaction.as_deref_mut()
                && matches!(transaction.permit, Permit::Asked(asked) if asked == entry.sequence)
            {
                transaction.permit = match refusal {
                    Some(words) => Permit::Refused(words),
                    None => Permit::Given(id),
                };
            }
        }
        if stuck {
            self.close_link(id, Cause::Transaction);
        }
    }

    /// A request will have no answer. Says whether it was the question whether there are transactions.
    pub(super) fn is_multi_unproved(&mut self, id: ClientId, sequence: u32, cause: Cause) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let session = client.session.as_deref_mut();
        let transaction = session.and_then(|session| session.transaction.as_deref_mut());
        match transaction {
            Some(found) if matches!(found.permit, Permit::Asked(asked) if asked == sequence) => {
                found.permit = Permit::Failed(cause);
                true
            }
            _ => false,
        }
    }
}
