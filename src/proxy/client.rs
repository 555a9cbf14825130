//! A client connection.
//!
//! ```text
//!            QUIT, end of file, garbage            all replies sent
//!   Open  ------------------------------> Finishing ---------------> closed
//!                                             |  garbage: the error must be readable first
//!                                             +------> Lingering --> closed
//! ```

use std::mem;
use std::net::SocketAddr;

use super::division::Division;
use super::exchange::{Exchange, KEEP_MAX, Ring};
use super::ids::{LinkId, PoolIndex};
use super::large_keys::KeyHash;
use super::limits::Limits;
use super::link::InFlight;
use super::owed::{Owed, Timing};
use super::pending::Pending;
use super::pool::GroupIndex;
use super::request::Request;
use super::session::{Mute, Session};
use super::spares::Ticket;
use super::time::Time;
use super::timer::Armed;
use crate::buffer::{BufferPool, Input, Queue};
use crate::protocol::{Body, Protocol, RequestScan};
use crate::route::ServerIndex;

/// What one client has asked and is owed.
#[derive(Debug)]
pub(super) struct Client {
    pub pool: PoolIndex,
    /// The lanes it uses.
    pub group: GroupIndex,
    /// What it speaks: that of the pool, until its first byte says otherwise.
    pub protocol: Protocol,
    /// Whether nothing of what it sent was looked at yet.
    pub fresh: bool,
    pub state: State,
    /// Which client it is; no other ever has the same.
    pub number: u64,
    /// Where it is, and since when it is connected.
    pub peer: Option<SocketAddr>,
    pub since: Time,
    /// What it said about the connection, if anything.
    pub session: Option<Box<Session>>,
    pub mute: Mute,
    /// Whether it gave the pool's password.
    pub authenticated: bool,
    /// Whether its requests wait because a limit was reached. `pending` may then hold whole requests.
    pub stalled: bool,
    /// What keeps it from asking, if anything does.
    pub held_by: HeldBy,
    /// Whether it stands in the list of those whose stalled requests are to be read again.
    pub waking: bool,
    /// When they were last read again, and how many bytes of them at that time.
    pub woken: (Time, usize),
    /// Whether it is in the list of clients of whose requests enough are kept.
    pub replete: bool,
    /// Whether it has closed its side.
    pub ended: bool,
    /// How its end is counted.
    pub ending: Ending,
    /// Bytes of its stream that were not understood yet: the start of a request, or more if stalled.
    pub pending: Pending,
    /// How far the request at the start of `pending` was parsed.
    pub scan: RequestScan,
    /// The large request it is in the middle of.
    pub upload: Option<Box<Upload>>,
    /// What its request of very many keys has become so far; the request stands at the front of `pending`.
    pub division: Option<Box<Division>>,
    /// Whether it is in the list of those whose reply is joined further in the next turn.
    pub joining: bool,
    /// Whether a large request is on a connection of its own: what comes behind must wait for its reply.
    pub barrier: bool,
    pub ring: Ring,
    pub out: Queue,
    /// The replies in `out`.
    pub owed: Owed,
    /// Eight times the usual length of its replies, in bytes: a running average.
    pub replies_len: u32,
    /// Whether `out` was announced to be written in this turn.
    pub dirty: bool,
    /// Connections to servers that are not read because of this client.
    pub blocking: Vec<LinkId>,
    /// The servers it has sent requests to, a bit each; in a pool of more than 64, several share one.
    pub servers_used: u64,
    /// Requests of this client are outstanding on these instead of the usual connections.
    pub strays: Vec<(ServerIndex, LinkId)>,
    pub armed: Armed,
    /// Whether nothing came from it since memory was last given back.
    pub quiet: bool,
    /// Bytes it ever sent.
    pub heard: u64,
    /// When the last byte of the request came of which there is a part.
    pub part_heard: Time,
    /// Until when it must have closed while `Lingering`, and before that have said the password.
    pub leave_by: Time,
    /// Bytes that count for it among those of all who have not said the password.
    pub charged: usize,
    /// Bytes it had sent, and been answered, when it was one of them last: before that it was no stranger.
    pub known_until: (u64, u64),
    /// Whether a long reply of our own waits to be made until it has taken what there is.
    pub brimming: bool,
}

/// Longer replies count as so many bytes: one of them says little about the others.
const MEMORABLE_REPLY: u64 = 1024 * 1024;

/// See the drawing above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Finishing,
    Lingering,
}

/// What must end before a client's next request is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeldBy {
    /// A request about many subscriptions, which takes several turns.
    pub names: bool,
    /// A request of many keys, which takes several turns.
    pub keys: bool,
    /// A connection to a server for which more waits than should.
    pub queue: bool,
}

/// Whose doing the end of a client connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It left.
    Eof,
    /// It was put out.
    Error,
}

/// A large request on its way through.
#[derive(Debug)]
pub(super) struct Upload {
    pub body: Body,
    pub stage: Stage,
    /// Where it goes.
    pub server: ServerIndex,
    /// Who asked, and what its reply must know of it.
    pub request: Request,
    /// When something of it came last.
    pub heard: Time,
    /// Its place among those that wait for a connection of their own.
    pub ticket: Option<Ticket>,
    /// When the rate at which it comes was last looked at, and what came since.
    pub marked: Time,
    pub taken: u64,
    /// Whether it came too slowly then.
    pub slow: bool,
    /// Which key it is for.
    pub print: KeyHash,
    /// Whether all of it is there, and waits to be sent on.
    pub whole: bool,
    /// Since when no more of it is kept: it fills what its client may have.
    pub full: Option<Time>,
}

/// What happens to the bytes of a large request.
#[derive(Debug)]
pub(super) enum Stage {
    /// They are gathered; small enough for a shared connection once they are all there.
    Gather(Queue),
    /// Too many for that: they are gathered until the client has been answered everything else and a
    /// connection is free, or until they are all there.
    Wait(Queue),
    /// They are sent on as they come.
    Stream(LinkId),
    /// They are thrown away; the reply has been given.
    Discard,
}

impl Client {
    pub fn new(pool: PoolIndex, protocol: Protocol, authenticated: bool) -> Self {
        Self {
            pool,
            group: GroupIndex::default(),
            number: 0,
            peer: None,
            since: Time::default(),
            session: None,
            mute: Mute::No,
            protocol,
            fresh: true,
            state: State::Open,
            authenticated,
            stalled: false,
            held_by: HeldBy::default(),
            waking: false,
            woken: (Time::NEVER, 0),
            replete: false,
            ended: false,
            ending: Ending::Eof,
            pending: Pending::default(),
            scan: RequestScan::default(),
            upload: None,
            division: None,
            joining: false,
            barrier: false,
            ring: Ring::default(),
            out: Queue::new(),
            owed: Owed::default(),
            replies_len: 0,
            dirty: false,
            blocking: Vec::new(),
            servers_used: 0,
            strays: Vec::new(),
            armed: Armed::default(),
            quiet: false,
            heard: 0,
            part_heard: Time::default(),
            leave_by: Time::NEVER,
            charged: 0,
            known_until: (0, 0),
            brimming: false,
        }
    }

    /// Whether its next request, or more of its large one, may be read.
    #[inline]
    pub fn may_ask(&self, limits: &Limits) -> bool {
        if self.state != State::Open || self.held_by != HeldBy::default() {
            return false;
        }
        if let Some(upload) = &self.upload {
            // It is outstanding itself, or will be; what is sent on is kept nowhere.
            return !upload.whole && !upload.is_full();
        }
        let follows = (!self.barrier || self.ring.is_empty())
            && !(self.brimming && self.has_much_to_take(limits));
        follows && self.out.len() < limits.window && self.may_have_another_outstanding(limits)
    }

    /// Whether so much waits for it that no long reply of our own is to be made.
    pub fn has_much_to_take(&self, limits: &Limits) -> bool {
        self.out.len() + self.ring.waiting_bytes >= limits.own_output
    }

    /// Whether one more of its requests may be unanswered.
    #[inline]
    pub fn may_have_another_outstanding(&self, limits: &Limits) -> bool {
        let expected = self
            .ring
            .len()
            .saturating_mul(self.replies_len as usize / 8);
        self.ring.may_grow(limits.outstanding) && expected < limits.slack()
    }

    /// Lets it have fewer requests outstanding if most of the `waiting` on a connection are of others.
    #[cold]
    pub fn limit_share(&mut self, waiting: usize, limits: &Limits) {
        if waiting > 2 * self.ring.len() {
            self.ring.limit(limits.share);
        }
    }

    /// A reply to it, or one of several that are joined, is `len` bytes long.
    #[inline]
    pub fn note_reply(&mut self, entry: &InFlight, len: u64) {
        let parts = if entry.fragment.is_some()
            && let Some(Exchange::Fanout(fanout)) = self.ring.find(entry.sequence)
        {
            fanout.replies.len() as u64
        } else {
            1
        };
        let len = (len * parts).min(MEMORABLE_REPLY) as u32;
        self.replies_len = self.replies_len - self.replies_len / 8 + len;
    }

    /// If it has said nothing since it was last asked to, gives back all that it does not need while it
    /// is idle, and says how many bytes that is; else `None`.
    pub fn tidy(&mut self) -> Option<usize> {
        if !mem::replace(&mut self.quiet, true) {
            return None;
        }
        let mut freed = self.ring.tidy() + self.out.tidy();
        if self.pending.is_empty() {
            freed += mem::take(&mut self.pending).capacity();
        }
        if self.blocking.is_empty() {
            freed += mem::take(&mut self.blocking).capacity() * size_of::<LinkId>();
        }
        Some(freed)
    }

    /// Whether nothing but its next requests follows from the replies it is given.
    #[inline]
    pub fn waits_for_replies_alone(&self) -> bool {
        self.subscriber().is_none()
            && self.blocking.is_empty()
            && self.upload.is_none()
            && !self.stalled
            && self.state == State::Open
    }

    /// Whether everything it is owed has been sent.
    pub fn is_settled(&self) -> bool {
        self.ring.is_empty() && self.out.is_empty() && self.division.is_none()
    }
}

/// The bit of a server among those a client has sent requests to.
#[inline]
pub(super) fn server_bit(server: ServerIndex) -> u64 {
    1 << (server.0 & 63)
}

impl Upload {
    /// Whether it waits for a connection of its own, and enough of it has come for it to have one.
    pub fn is_proven(&self, proof: usize) -> bool {
        matches!(&self.stage, Stage::Wait(queue) if queue.len() >= proof || self.full.is_some())
    }

    /// Whether it cannot go on before it has a connection of its own.
    pub fn is_full(&self) -> bool {
        self.full.is_some() && matches!(self.stage, Stage::Wait(_))
    }
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It stands in the client's output, and the next may follow.
    Passed,
    /// A part of it does.
    Part,
    /// It came early and waits for its turn.
    Kept,
}

impl Client {
    /// Puts a reply, or a part of it, into the output, or where it waits. With it comes `whole` if these
    /// are its last bytes; without, it must be its turn.
    #[inline]
    pub fn take_reply(
        &mut self,
        sequence: u32,
        partial: Option<&mut Queue>,
        last: Input<'_>,
        whole: Option<Timing>,
        buffers: &mut BufferPool,
    ) -> Taken {
        if self.ring.is_head(sequence) {
            if let Some(partial) = partial {
                self.out.append(partial, buffers);
            }
            self.out.push_input(last, buffers);
            if let Some(mark) = whole {
                self.ring.pop();
                self.owed.put(mark, self.out.len());
                return Taken::Passed;
            }
            if let Some(exchange) = self.ring.head() {
                *exchange = Exchange::Streaming;
            }
            return Taken::Part;
        }
        let Some(mark) = whole else {
            debug_assert!(false, "a part of a reply before its turn");
            return Taken::Kept;
        };
        match partial.filter(|partial| !partial.is_empty()) {
            None if last.len() <= KEEP_MAX => self.ring.keep_served(sequence, last.bytes(), mark),
            partial => {
                let mut reply = Box::new(partial.map_or_else(Queue::new, mem::take));
                reply.push_input_exact(last);
                self.ring.waiting_bytes += reply.len();
                if let Some(exchange) = self.ring.find(sequence) {
                    *exchange = Exchange::Ready(reply, mark);
                }
            }
        }
        Taken::Kept
    }
}
