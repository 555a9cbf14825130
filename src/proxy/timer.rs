//! When which connection wants to be looked at next.
//!
//! Each connection has at most one live entry: its earliest deadline as it was when the entry was
//! made. Deadlines that move later leave their entry; when it comes up the connection is asked
//! again. So traffic costs no heap operation, only one look per connection and timeout.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ids::ConnId;
use super::time::Time;

/// The entries of all connections.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Time, ConnId)>>,
}

/// The one entry a connection has, as the connection remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Armed(Time);

impl Default for Armed {
    fn default() -> Self {
        Armed(Time::NEVER)
    }
}

impl Timers {
    /// Sees to it that `conn` is looked at when `at` comes, or before.
    #[inline]
    pub fn arm(&mut self, conn: ConnId, armed: &mut Armed, at: Time) {
        if at < armed.0 {
            armed.0 = at;
            self.heap.push(Reverse((at, conn)));
        }
    }

    /// Gives memory back that was needed for many more entries.
    pub fn tidy(&mut self) {
        self.heap.shrink_to(2 * self.heap.len());
    }

    /// The earliest entry.
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry that is due. It counts only if the connection's [`Armed`] agrees, see
    /// [`Armed::fires`].
    pub fn pop_due(&mut self, now: Time) -> Option<(Time, ConnId)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Armed {
    /// Whether there is an entry.
    pub fn is_set(self) -> bool {
        self.0 != Time::NEVER
    }

    /// Whether the entry made for `at` is the connection's live one, which it then no longer is.
    pub fn fires(&mut self, at: Time) -> bool {
        let live = self.0 == at;
        if live {
            self.0 = Time::NEVER;
        }
        live
    }
}
