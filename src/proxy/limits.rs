//! How much of everything there may be before the proxy holds back, refuses, or closes.

use std::time::Duration;

/// The limits of one worker. The defaults are what the binary runs with; the simulation draws others.
///
/// In the order of defence: first reading stops, then an error is answered, then the worst is closed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests of one client that may be unanswered, fewer if their replies are large: as many as fill
    /// the [slack](Self::slack) with replies as long as the last ones were. Then its further requests are
    /// left unread.
    pub outstanding: usize,
    /// Keys of a request that are dealt with in one turn, as those of its reply. A request of more takes
    /// several.
    pub keys: usize,
    /// When so many requests wait at a server, most of them of other clients, a client that adds to them
    /// is left unread until it has fewer than its `share` unanswered.
    pub crowd: usize,
    /// See [`crowd`](Self::crowd).
    pub share: usize,
    /// Bytes of output that may wait for one client to read, and bytes of early replies that may wait
    /// for an earlier one. Beyond it, its requests are kept, and on connections where nobody else waits
    /// replies that are passed on in parts are left to the servers; whole ones beyond the
    /// [slack](Self::slack).
    pub window: usize,
    /// Bytes that are kept for all clients that have not said the password. Each may have half of what is
    /// left of it, so that there is always something left for the next.
    pub strangers: usize,
    /// How long a client may take to say the password. `None`: for ever.
    pub stranger_timeout: Option<Duration>,
    /// Bytes of output that may wait for a client when a long reply of our own is made for it: such replies
    /// are made as they are taken.
    pub own_output: usize,
    /// A reply that is not whole when so many bytes of it are there is passed on as it comes.
    pub cut_through: usize,
    /// Bytes of the replies to one request that can be joined only when all are whole; beyond it the
    /// request fails.
    pub join: usize,
    /// Requests larger than this get a connection of their own; while a reply larger than this passes
    /// over a connection, new requests of other clients take another one.
    pub large_message: u64,
    /// Sets of lanes of one pool, each for clients of one database and one version of the protocol, as far as
    /// there is memory for them.
    pub groups: usize,
    /// Connections to one server that clients have for themselves, or had a moment ago.
    pub own: usize,
    /// Bytes of the requests of one transaction.
    pub transaction: usize,
    /// Bytes of the requests of one pool that load scripts which are remembered; the oldest make room.
    pub scripts: usize,
    /// Bytes of the names one client is subscribed to, 64 more for each.
    pub subscriptions: usize,
    /// Bytes of messages that may wait for a client to read; then it is closed.
    pub subscriber: usize,
    /// The same, of what may wait longer than that.
    pub subscriber_soft: usize,
    /// See [`subscriber_soft`](Self::subscriber_soft).
    pub subscriber_soft_span: Duration,
    /// Connections to one server for large requests.
    pub spares: usize,
    /// Bytes of a large request that must have come before it is given one.
    pub upload_proof: usize,
    /// Bytes a second that a client takes and sends together at least if it makes progress. While memory
    /// is scarce those who make none give way first. A large request must come as fast while others wait
    /// for a connection, over so long a time.
    pub client_min_rate: u64,
    /// See [`client_min_rate`](Self::client_min_rate).
    pub client_rate_span: Duration,
    /// Connections to one server for replies that are known to be large, and for what others ask while a
    /// large one passes.
    pub detours: usize,
    /// How long such a connection is kept without use.
    pub spare_idle: Duration,
    /// How long a client that has sent a part of any other request may send nothing of the rest. `None`: for
    /// ever.
    pub incomplete: Option<Duration>,
    /// How long a client that is sending a large request may send nothing of it.
    pub upload_stall: Duration,
    /// Bytes that may wait to be sent on one connection to a server. A client that asks more is not read
    /// until fewer wait.
    pub queue: usize,
    /// When this many wait, requests are answered with an error.
    pub queue_most: usize,
    /// Late replies one connection to a server may owe before it is closed.
    pub tombstones: usize,
    /// How long a client that sent garbage is given to read why before it is closed.
    pub linger: Duration,
    /// The longest pause between two attempts to connect to a server that refuses.
    pub backoff_max: Duration,
    /// Attempts a second to connect to servers that refuse, all of them together. 0: any number.
    pub retries: u32,
    /// Whether replies are compared with what their requests can be answered with. Only tests that show
    /// what happens otherwise, or do not care what is said, go without.
    pub strict: bool,
}

/// Windows that whole replies may fill.
const SLACK: usize = 4;

/// Requests of a new client that may be unanswered before it is known how long its replies are.
const FIRST_REQUESTS: usize = 128;

impl Limits {
    /// As the window, in bytes, for replies that are not passed on in parts. It has room for what a client
    /// had asked when its window was full: a client that does not read must not keep a connection from
    /// being read that others share.
    pub fn slack(&self) -> usize {
        self.window.saturating_mul(SLACK)
    }

    /// Eight times the length, in bytes, that replies to a new client are taken to have until there is one.
    pub fn unknown_reply(&self) -> u32 {
        u32::try_from(self.slack() / FIRST_REQUESTS * 8).unwrap_or(u32::MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outstanding: 4096,
            keys: 4096,
            crowd: 2048,
            share: 64,
            window: 512 * 1024,
            incomplete: Some(Duration::from_secs(30)),
            strangers: 16 * 1024 * 1024,
            stranger_timeout: Some(Duration::from_secs(30)),
            own_output: 16 * 1024,
            cut_through: 64 * 1024,
            join: 4 * 1024 * 1024,
            large_message: 1024 * 1024,
            groups: usize::from(u16::MAX),
            own: 1000,
            transaction: 1024 * 1024 * 1024,
            scripts: 1024 * 1024,
            subscriber: 32 * 1024 * 1024,
            subscriber_soft: 8 * 1024 * 1024,
            subscriber_soft_span: Duration::from_secs(60),
            subscriptions: 1024 * 1024 * 1024,
            spares: 4,
            upload_proof: 64 * 1024,
            client_min_rate: 1024,
            client_rate_span: Duration::from_secs(10),
            detours: 64,
            spare_idle: Duration::from_secs(10),
            upload_stall: Duration::from_secs(30),
            queue: 64 * 1024 * 1024,
            queue_most: usize::MAX,
            tombstones: 4096,
            linger: Duration::from_secs(1),
            backoff_max: Duration::from_secs(1),
            retries: 100,
            strict: true,
        }
    }
}
