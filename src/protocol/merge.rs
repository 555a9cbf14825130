//! Requests that several servers answer: which, and how their replies become one.

/// How the replies to fragments become one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Arrays: the elements in the order of the request's keys.
    Array,
    /// Integers: their sum.
    Sum,
    /// All `+OK`.
    Status,
    /// All `+OK`, and remembered scripts are forgotten.
    Forget,
    /// Arrays: one behind the other, in the order of the servers.
    Concat,
    /// The first server's reply; that of SCRIPT LOAD, whose script is remembered.
    Script,
    /// The first reply that is not null, beginning with any server.
    Any,
    /// Integers: the smallest.
    Least,
    /// Integers: the largest.
    Most,
    /// Arrays of integers of equal length: at each place the smallest.
    LeastEach,
    /// The reply to SCAN of the server whose turn it is.
    Scan(ScanTurn),
    /// What CONFIG GET is answered with: see [`super::redis::settings`].
    Settings,
    /// What WAIT and WAITAOF are answered with: see [`super::redis::wait`].
    Waited,
    /// Arrays of a name and an integer in turn, with the same names: the integers' sums.
    SumPairs,
    /// memcached VALUE blocks: in the order of the request's keys, which are the labels.
    Values,
    /// The first reply stands for all: none is an error.
    First,
    /// memcached STAT lines: one server's after the other's, each with the server's name, its label.
    Stats,
    /// The same in memcached's binary protocol.
    Packets,
}

/// How a request goes to every server, and what becomes of the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    /// Which servers those are.
    pub reach: Reach,
    /// How their replies become one.
    pub merge: Merge,
    /// What becomes of the request when a server fails or answers with an error.
    pub partial: Partial,
}

/// Which servers "every server" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those keys are looked for on: an ejected server is left out, as its keys are.
    Live,
    /// All of the pool, for what must not be undone when an ejected server returns.
    All,
    /// All of the pool, past everything that was asked before: a server that is busy with a script answers
    /// this and nothing else.
    Busy,
}

/// What one server's failure means for a request that went to several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// The request has failed: its reply is the first server's error.
    Fail,
    /// That server is left out of the reply; only if all fail is the reply an error.
    LeaveOut,
}

/// Where a SCAN of all servers stands: `cursor of the server * servers + server`. It is 0 at the
/// beginning and at the end, as a server's own is, and as small as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanTurn {
    /// Whose turn it is.
    pub server: u16,
    /// The server behind it that is next, or 0 when it is the last.
    pub next: u16,
    /// How many servers the pool has.
    pub servers: u16,
}

impl ScanTurn {
    /// The server and its own cursor in a cursor for `servers` servers.
    pub fn split(cursor: u64, servers: u16) -> (u16, u64) {
        let servers = u64::from(servers.max(1));
        ((cursor % servers) as u16, cursor / servers)
    }

    /// The cursor for all servers behind `own`, that of the server whose turn it is; `None` if it has
    /// no room.
    pub fn shared(self, own: u64) -> Option<u64> {
        if own == 0 {
            return Some(u64::from(self.next));
        }
        own.checked_mul(u64::from(self.servers))?
            .checked_add(u64::from(self.server))
    }
}

impl Merge {
    /// Whether the proxy itself takes note of what is joined, so that one reply is joined as well.
    pub fn concerns_us(self) -> bool {
        matches!(self, Merge::Script | Merge::Forget | Merge::Settings)
    }

    /// Whether a part of the joined reply can be passed on before all fragments are whole.
    pub fn can_stream(self) -> bool {
        matches!(
            self,
            Merge::Array
                | Merge::Values
                | Merge::Stats
                | Merge::Packets
                | Merge::Concat
                | Merge::Scan(_)
        )
    }
}
