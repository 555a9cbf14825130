//! A connection to a server: strictly first in, first out.
//!
//! ```text
//!   Connecting --> Greeting (AUTH, HELLO, SELECT) --> Ready --> closed
//!
//!   entries   [ late ][ late ][ 41: client 7, seq 3 ][ 42: client 2, seq 9 ] <- requests are appended
//!             tombstones: their replies are swallowed
//! ```
//!
//! A connection that lost count (a surplus reply, bytes that are no reply) is closed and never used
//! again: what it would say next might be taken for the reply to somebody else's request.

use std::collections::VecDeque;
use std::time::Duration;

use super::bundle::Bundle;
use super::cause::{Blame, Cause};
use super::dirty::Dirty;
use super::executing::Posts;
use super::ids::{ClientId, LinkId, PoolIndex};
use super::large_keys::KeyHash;
use super::pool::{LaneIndex, Pool};
use super::time::Time;
use super::timer::{Armed, Timers};
use crate::buffer::{Input, Queue};
use crate::protocol::redis::commands::Shape;
use crate::protocol::{Asked, Family, Protocol, ReplyScan, Stamp, Topic, Version};
use crate::route::ServerIndex;
use crate::stats::ServerStats;

/// What was sent over one connection and is owed on it.
#[derive(Debug)]
pub(super) struct Link {
    pub pool: PoolIndex,
    pub lane: LaneIndex,
    pub server: ServerIndex,
    /// What is spoken on it.
    pub protocol: Protocol,
    pub kind: Kind,
    pub state: State,
    /// When the attempt to connect began.
    pub since: Time,
    /// AUTH, HELLO and SELECT on their way out. Requests wait in `out` meanwhile.
    pub greeting: Queue,
    pub out: Queue,
    /// Whether output was announced to be written in this turn.
    pub dirty: bool,
    pub in_flight: VecDeque<InFlight>,
    /// Entries at the front that are late: their clients were told so, but for one whose reply is passing.
    pub late: usize,
    /// Entries at the front whose requests were sent whole.
    pub sent_count: usize,
    /// Bytes ever appended to `out`, and ever sent from it.
    pub appended: u64,
    pub sent: u64,
    /// Bytes ever received.
    pub received: u64,
    /// The newest request, as far as others may be added to it.
    pub bundle: Bundle,
    /// Entries behind the one at the front whose keys the reply to their bundle has passed by.
    pub passed: u32,
    /// How much was appended when a full queue was last told of.
    pub full: u64,
    /// Clients that are not read since too much waits here.
    pub paused: Vec<ClientId>,
    /// When something was last received, or taken by the server while it owed nothing.
    pub heard: Time,
    pub scan: ReplyScan,
    /// The part of the reply at the front that is there but was not passed on.
    pub partial: Queue,
    /// What is known of the requests that are owed (memcached).
    pub asked: Asked,
    /// What each owed reply must repeat of its request (memcached's binary protocol).
    pub stamps: VecDeque<Stamp>,
    /// Whether a part of the reply at the front was passed on.
    pub streaming: bool,
    /// Whether a transaction may not have ended behind which another one begins.
    pub may_queue: bool,
    /// Whether the reply at the front, of which a part was passed on, says that a transaction did not end.
    pub stuck: bool,
    /// Whether the last reply within a transaction of which a part was passed on was an error.
    pub streams_error: bool,
    /// Whether the reply at the front says that the server is not ready.
    pub loading: bool,
    /// When the first byte of the reply at the front came; [`Time::NEVER`] while none has.
    pub begun: Time,
    /// Bytes of the reply at the front so far.
    pub reply_len: u64,
    /// Bytes that were received but not looked at yet: the start of a line, or more while blocked.
    pub pending: Vec<u8>,
    /// Whether clients wait for a connection like this one.
    pub wanted: bool,
    /// The client whose window keeps this connection from being read.
    pub blocked: Option<ClientId>,
    /// When it was last read again after that: what came meanwhile is not late.
    pub released: Time,
    /// Where, in the stream of appended bytes, the newest request ends that was asked by another client
    /// than the one before it.
    pub shared_until: u64,
    /// Who asked last, as a number.
    pub asker: u64,
    /// Whether it stands in the list of those to be read again.
    pub waking: bool,
    /// The client whose own it is.
    pub owner: Option<ClientId>,
    /// Whether its owner listens to channels on it.
    pub listens: bool,
    /// Whether it carried what nobody knows, and nothing else may follow.
    pub spent: bool,
    /// Whether what is being read is a message.
    pub in_message: bool,
    /// The client that is sending a large request over this connection.
    pub uploader: Option<ClientId>,
    pub armed: Armed,
    /// What the server was told to speak.
    pub version: Version,
    /// Whether MULTI and EXEC are known to work on it.
    pub takes_multi: bool,
    /// The number the server knows it by, if it has told, and whether it was asked.
    pub number: Option<u64>,
    pub asks_number: bool,
    /// What is to be published once a transaction that was sent on it has succeeded, in their order.
    pub posts: VecDeque<Posts>,
    /// What the server said to the MULTI of the transaction at the front, if it refused it.
    pub refusal: Option<Box<[u8]>>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of the lane's `server_connections`, by its place.
    Shared(usize),
    /// One of those for large requests.
    Spare,
    /// One of those for large replies, and for what goes around one.
    Detour,
    /// One client's own while it has an owner.
    Pinned,
    /// That for what a busy server answers. No database is selected on it.
    Overtaking,
}

/// See the drawing above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    /// These of the greeting's replies are still to come, in this order.
    Greeting {
        auth: bool,
        hello: bool,
        select: bool,
    },
    Ready,
}

/// One request on a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// Who asked; nobody once it was told that the reply is late.
    pub client: Option<ClientId>,
    pub sequence: u32,
    /// Which fragment of the request.
    pub fragment: Option<u16>,
    /// What it is counted under.
    pub topic: Topic,
    /// What is remembered of its key, if it has one.
    pub print: KeyHash,
    /// When it was queued; [`Time::NEVER`] while its request is still being uploaded.
    pub queued: Time,
    /// When all of it was sent; [`Time::NEVER`] before.
    pub sent: Time,
    /// The position in the stream of appended bytes where it ends.
    pub end: u64,
    /// Its length.
    pub len: u64,
    /// Whether a marker is behind it: see [`crate::protocol::Answer`].
    pub marked: bool,
    /// Which replies it can have.
    pub family: Family,
    /// Which of the connection's bundles it is in; 0 for a request of its own.
    pub bundle: u32,
    /// What it has to do with transactions.
    pub role: Role,
    /// Whether it has lost a connection once, before anything of it was sent.
    pub again: bool,
}

impl InFlight {
    /// That of a request of the proxy's own whose reply goes to no client.
    #[inline]
    pub fn unheard(sequence: u32, now: Time) -> Self {
        Self {
            client: None,
            sequence,
            fragment: None,
            topic: Topic::NONE,
            print: KeyHash::NONE,
            queued: now,
            sent: Time::NEVER,
            end: 0,
            len: 0,
            marked: false,
            family: Family::Any,
            bundle: 0,
            role: Role::Usual,
            again: false,
        }
    }
}

/// What a request on a connection has to do with transactions, see `multi`; or with clients that wait, see
/// `unblocking`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing, or what any request within one has.
    #[default]
    Usual,
    /// It begins one.
    Multi,
    /// It ends one. If that fails, the server may go on to queue what it is asked.
    Exec,
    /// It follows one whose end has failed: its reply shows whether the server queues what it is asked.
    AfterExec,
    /// It ends one with nothing in it, which shows whether the server has transactions for us.
    Proof,
    /// It asks for the number of the connection.
    Number,
    /// It ends what another connection waits for; the entry's sequence says for whom.
    Unblock,
}

impl Role {
    /// Which replies a part of a transaction can have: but for EXEC OK, QUEUED, or an error. The others are
    /// answered with a number.
    pub fn family(self) -> Family {
        Family::Redis(match self {
            Role::Exec | Role::Proof => Shape::ArrayOrNil,
            Role::Number | Role::Unblock => Shape::Integer,
            _ => Shape::Status,
        })
    }
}

impl Link {
    pub fn new(
        pool: PoolIndex,
        lane: LaneIndex,
        server: ServerIndex,
        protocol: Protocol,
        kind: Kind,
        now: Time,
    ) -> Self {
        Self {
            pool,
            lane,
            server,
            protocol,
            kind,
            state: State::Connecting,
            since: now,
            greeting: Queue::new(),
            out: Queue::new(),
            dirty: false,
            in_flight: VecDeque::new(),
            late: 0,
            sent_count: 0,
            appended: 0,
            sent: 0,
            received: 0,
            bundle: Bundle::default(),
            passed: 0,
            full: 0,
            paused: Vec::new(),
            heard: now,
            scan: ReplyScan::default(),
            partial: Queue::new(),
            asked: Asked::default(),
            stamps: VecDeque::new(),
            streaming: false,
            may_queue: false,
            stuck: false,
            streams_error: false,
            loading: false,
            begun: Time::NEVER,
            reply_len: 0,
            pending: Vec::new(),
            wanted: false,
            blocked: None,
            released: Time::default(),
            shared_until: 0,
            asker: u64::MAX,
            waking: false,
            owner: None,
            listens: false,
            spent: false,
            in_message: false,
            uploader: None,
            armed: Armed::default(),
            version: Version::Resp2,
            takes_multi: false,
            number: None,
            asks_number: false,
            posts: VecDeque::new(),
            refusal: None,
        }
    }

    /// What may be written now.
    pub fn output(&self) -> Option<&Queue> {
        match self.state {
            State::Connecting => None,
            State::Greeting { .. } => Some(&self.greeting),
            State::Ready => Some(&self.out),
        }
    }

    /// Whether `bytes`, which come next, are a push and no reply.
    #[inline]
    pub fn is_at_push(&self, bytes: &[u8]) -> bool {
        self.scan.is_push() || (bytes.first() == Some(&b'>') && !self.scan.has_begun())
    }

    /// Who answers for its end.
    pub fn blame(&self, cause: Cause) -> Blame {
        match cause {
            // A shortage of ours says nothing about the server, nor does it that it has no transactions.
            Cause::NoMemory | Cause::Transaction => Blame::Nobody,
            // A server may close connections that are not used.
            Cause::Eof if self.in_flight.is_empty() => Blame::Nobody,
            // Before a client's request was sent, all that was said is the server's own.
            Cause::Invalid if self.sent > 0 => Blame::Client,
            _ => Blame::Server,
        }
    }

    /// Whether a reply larger than `large` is passing, or one its client does not take.
    pub fn is_busy(&self, large: u64) -> bool {
        self.blocked.is_some() || self.reply_len + self.scan.announced() > large
    }

    /// Whether it is one that clients share for what is not large.
    #[inline]
    pub fn is_usual(&self) -> bool {
        matches!(self.kind, Kind::Shared(_)) && self.uploader.is_none()
    }

    /// Whether this client waits for replies on this connection.
    pub fn serves(&self, client: ClientId) -> bool {
        self.in_flight
            .iter()
            .any(|entry| entry.client == Some(client))
    }

    /// Whether it may be closed when it was not used for a while.
    pub fn may_retire(&self) -> bool {
        match self.kind {
            Kind::Shared(_) => false,
            Kind::Spare | Kind::Detour | Kind::Overtaking => true,
            Kind::Pinned => self.owner.is_none(),
        }
    }

    /// Whether nothing is owed on it and nothing is being sent.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.uploader.is_none() && self.out.is_empty()
    }

    /// Whether a reply can be that to the request at the front: not while nothing of it was sent.
    pub fn may_be_answered(&self) -> bool {
        self.in_flight.front().is_some_and(|entry| {
            // The end of a request that is still being uploaded is not known yet.
            let end = entry.end.min(self.appended);
            self.sent > end - entry.len && self.is_bundle_sent(entry)
        })
    }

    /// Takes the request at `index`, of `len` bytes, off the gauges, whether it was sent or not: a server
    /// may answer before it has all of a request.
    #[inline]
    pub fn uncount(&self, index: usize, len: u64, stats: &ServerStats) {
        let (count, bytes) = if index < self.sent_count {
            (&stats.out_queue, &stats.out_queue_bytes)
        } else {
            (&stats.in_queue, &stats.in_queue_bytes)
        };
        count.sub(1);
        bytes.sub(len);
    }

    /// When the request of this entry is late, if no other limit than the pool's `timeout` holds.
    pub fn due(&self, entry: &InFlight, timeout: Duration) -> Time {
        entry.queued.max(self.released) + timeout
    }

    /// The oldest request that is not late yet.
    pub fn oldest(&self) -> Option<&InFlight> {
        self.in_flight.get(self.late)
    }

    /// Forgets what is known of the oldest request, which has replies of this family.
    #[inline]
    pub fn forget_asked(&mut self, family: Family) {
        if self.protocol == Protocol::Binary {
            self.stamps.pop_front();
        } else if family == Family::Values {
            self.asked.pop();
        }
    }

    /// The oldest request, which has replies of this family, is the newest one of `to` from now on: moves
    /// what is known of it there.
    pub fn move_asked(&mut self, family: Family, to: &mut Link) {
        // The stamp that was noted there is that of the client's request at hand.
        if let (Some(stamp), Some(noted)) = (self.stamps.pop_front(), to.stamps.back_mut()) {
            *noted = stamp;
        }
        if family == Family::Values {
            self.asked.move_first(&mut to.asked);
        }
    }

    /// Notes at the beginning of a reply what it must be, by the entry at the front. Says whether it can be
    /// that as far as its first byte tells.
    #[inline]
    pub fn expect(&mut self, entry: &InFlight, bytes: &[u8]) -> bool {
        self.scan.marked = entry.marked;
        self.scan.family = entry.family;
        if let Family::Redis(shape) = entry.family {
            let version = self.version;
            return bytes
                .first()
                // Without MULTI each part of the transaction has a reply of its own.
                .is_none_or(|&first| shape.admits(first, version) || self.refusal.is_some());
        }
        if self.protocol != Protocol::Redis {
            self.asked.print = entry.print.number();
            self.asked.stamp = self.stamps.front().copied();
        }
        true
    }

    /// Notes that a request of `len` bytes was appended to the output. Says whether that ends the wait of the
    /// client that keeps the connection from being read: others ask here now.
    #[inline]
    pub fn append(&mut self, entry: InFlight, len: u64, stats: &ServerStats) -> bool {
        self.appended += len;
        if !entry.again {
            stats.requests.add(1);
            stats.request_bytes.add(len);
        }
        stats.in_queue.add(1);
        stats.in_queue_bytes.add(len);
        let mut stops = false;
        let asker = entry
            .client
            .map_or(u64::MAX, |client| client.conn().token());
        if self.asker != asker {
            self.asker = asker;
            if !self.in_flight.is_empty() {
                self.shared_until = self.appended;
                stops = self.blocked.is_some();
            }
        }
        self.in_flight.push_back(InFlight {
            end: self.appended,
            len,
            ..entry
        });
        stops
    }

    /// Sees to it that its output is written in this turn, and that the request queued at `queued` is not
    /// late unnoticed.
    #[inline]
    pub fn announce(
        &mut self,
        id: LinkId,
        queued: Time,
        pool: &Pool,
        timers: &mut Timers,
        dirty: &mut Dirty,
    ) {
        if let Some(timeout) = pool.config.timeout {
            timers.arm(id.conn(), &mut self.armed, queued + timeout);
        }
        if !self.dirty && self.state == State::Ready {
            self.dirty = true;
            dirty.push(id.conn());
        }
    }

    /// Forgets the entry at the front, whose reply was not begun or is forgotten, too.
    #[inline]
    pub fn pop_entry(&mut self) {
        self.in_flight.pop_front();
        self.late = self.late.saturating_sub(1);
        self.sent_count = self.sent_count.saturating_sub(1);
        if self.in_flight.is_empty() && self.in_flight.capacity() > 1024 {
            self.in_flight = VecDeque::new();
        }
    }

    /// Forgets the reply at the front, which is whole, and its entry.
    #[inline]
    pub fn finish_reply(&mut self) {
        if self.protocol != Protocol::Redis
            && let Some(entry) = self.in_flight.front()
        {
            self.forget_asked(entry.family);
        }
        self.pop_entry();
        self.scan = ReplyScan::new(self.version);
        self.streaming = false;
        self.loading = false;
        self.begun = Time::NEVER;
        self.reply_len = 0;
    }
}

/// What is to be done about a connection when a reply on it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Its next reply is read.
    Reply,
    /// A transaction did not end, as far as is known.
    Stuck,
    /// A transaction did not end: what was asked behind it is queued.
    Queued,
    /// What was to be a transaction was none: the server has refused MULTI.
    RanWithout,
    /// Whether the server has transactions for us is known; and whether it may be within one now.
    Proved {
        /// EXEC was refused behind a MULTI that was not.
        stuck: bool,
    },
    /// Whether another connection waits no longer is known.
    Unblocked {
        /// It did wait, and was woken.
        woken: bool,
    },
    /// A subscription was not renewed.
    RenewalRefused,
    /// It is a client's own, who was answered.
    PinnedAnswered,
    /// The reply came before the end of its request.
    UploadAnswered,
    /// It is a spare, and owes nothing more.
    SpareFreed,
}

impl Link {
    /// What is to be done about it when the reply to `entry`, at its front, is whole, of which `last` are
    /// the last bytes.
    #[cold]
    pub fn what_follows(&self, entry: &InFlight, last: Input<'_>) -> Next {
        let start = beginning::<1>(&self.partial, last);
        // Nobody waits for the reply to a subscription that is renewed.
        let is_renewal = self.listens && entry.client.is_none() && self.owner.is_some();
        if is_renewal && start[0] == b'-' {
            Next::RenewalRefused
        } else if self.kind == Kind::Pinned {
            Next::PinnedAnswered
        } else if self.uploader.is_some() {
            // The connection is lost, see `uploads`.
            Next::UploadAnswered
        } else if matches!(self.kind, Kind::Spare | Kind::Detour | Kind::Overtaking)
            && self.in_flight.len() == 1
        {
            Next::SpareFreed
        } else {
            Next::Reply
        }
    }
}

/// The first bytes of a reply: those of `partial`, then those of `last`, then zeros.
pub(super) fn beginning<const LEN: usize>(partial: &Queue, last: Input<'_>) -> [u8; LEN] {
    let mut start = [0; LEN];
    let count = partial.peek(&mut start);
    let more = last.len().min(LEN - count);
    start[count..count + more].copy_from_slice(&last.bytes()[..more]);
    start
}
