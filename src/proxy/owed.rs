//! How long requests take: what is measured when a reply is whole, and the replies a client has not
//! taken yet.
//!
//! What counts for a client is when its socket has taken the last byte of a reply, which may be long
//! after the reply was put into its output. So for each reply it is noted where in the output it ends;
//! neighbours that began in the same turn share a note.

use std::collections::VecDeque;

use super::link::InFlight;
use super::time::Time;
use crate::protocol::Topic;
use crate::stats::Latency;

/// Notes one client may have beside the newest. Replies beyond are not measured: those before them
/// tell how slow the client is.
const NOTES_MAX: usize = 1024;

/// What is remembered of a reply until its client has taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// What was asked.
    pub topic: Topic,
    /// When the first byte of the reply came.
    pub begun: Time,
}

impl Timing {
    /// For replies of our own, which are not measured.
    pub const NONE: Timing = Timing {
        topic: Topic::NONE,
        begun: Time::NEVER,
    };
}

/// Replies of one topic that began in one turn and stand in a row.
#[derive(Clone, Copy, Debug)]
struct Note {
    mark: Timing,
    count: u32,
    /// The position in the stream of a client's output behind the last of them.
    end: u64,
}

/// What one client has not taken yet.
#[derive(Debug)]
pub(super) struct Owed {
    /// Bytes the client's socket ever took.
    taken: u64,
    /// Before `newest`, oldest first; empty for a client that keeps up.
    earlier: VecDeque<Note>,
    newest: Note,
}

impl Default for Owed {
    fn default() -> Self {
        Self {
            taken: 0,
            earlier: VecDeque::new(),
            newest: Note {
                mark: Timing::NONE,
                count: 0,
                end: 0,
            },
        }
    }
}

impl Owed {
    /// Bytes the client's socket ever took.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes of memory that are kept for it.
    pub fn held(&self) -> usize {
        self.earlier.capacity() * size_of::<Note>()
    }

    /// The last byte of a reply was put into the output, which now holds `waiting` bytes.
    #[inline]
    pub fn put(&mut self, mark: Timing, waiting: usize) {
        if mark == Timing::NONE {
            return;
        }
        if self.earlier.len() >= NOTES_MAX {
            return;
        }
        let end = self.taken + waiting as u64;
        if self.newest.count > 0 && self.newest.mark != mark {
            self.earlier.push_back(self.newest);
            self.newest.count = 0;
        }
        self.newest = Note {
            mark,
            count: self.newest.count + 1,
            end,
        };
    }

    /// The client's socket took `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize, now: Time, latency: &[Latency]) {
        self.taken += count as u64;
        while let Some(note) = self.earlier.front()
            && note.end <= self.taken
        {
            note.record(now, latency);
            self.earlier.pop_front();
        }
        if self.newest.count > 0 && self.newest.end <= self.taken {
            self.newest.record(now, latency);
            self.newest.count = 0;
            if self.earlier.capacity() > 0 {
                self.earlier = VecDeque::new();
            }
        }
    }
}

impl Timing {
    /// That of the reply to `entry`, which began at `begun`. Counts how long the request waited to be
    /// sent, and then for its reply.
    #[inline]
    pub fn measured(entry: &InFlight, begun: Time, latency: &[Latency]) -> Self {
        if let Some(latency) = latency.get(entry.topic.index()) {
            // A server may answer before it has all of a request.
            let sent = entry.sent.min(begun);
            let queued = sent.0.saturating_sub(entry.queued.0);
            latency.queued.record(queued, 1);
            latency.server.record(begun.0 - sent.0, 1);
        }
        Self {
            topic: entry.topic,
            begun,
        }
    }
}

impl Note {
    fn record(&self, now: Time, latency: &[Latency]) {
        if let Some(latency) = latency.get(self.mark.topic.index()) {
            let waited = now.0.saturating_sub(self.mark.begun.0);
            latency.client.record(waited, u64::from(self.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(topic: u8, begun: u64) -> Timing {
        Timing {
            topic: Topic(topic),
            begun: Time(begun),
        }
    }

    fn count(latency: &Latency) -> u64 {
        crate::stats::Total::of([&latency.client].into_iter()).count()
    }

    #[test]
    fn a_reply_counts_when_its_last_byte_was_taken() {
        let latency = [Latency::default(), Latency::default()];
        let mut owed = Owed::default();
        owed.put(mark(0, 5), 10);
        owed.put(mark(0, 5), 20);
        owed.put(mark(1, 5), 30);
        owed.put(Timing::NONE, 40);
        owed.take(19, Time(6), &latency);
        assert_eq!((count(&latency[0]), count(&latency[1])), (0, 0));
        owed.take(1, Time(6), &latency);
        assert_eq!((count(&latency[0]), count(&latency[1])), (2, 0));
        owed.put(mark(0, 7), 21);
        owed.take(21, Time(1_000), &latency);
        assert_eq!((count(&latency[0]), count(&latency[1])), (3, 1));
    }

    #[test]
    fn a_client_that_does_not_read_costs_a_fixed_number_of_notes() {
        let latency = [Latency::default(), Latency::default()];
        let mut owed = Owed::default();
        for number in 0..10 * NOTES_MAX {
            owed.put(mark(number as u8 % 2, 0), number + 1);
        }
        assert_eq!(owed.earlier.len(), NOTES_MAX);
        owed.take(10 * NOTES_MAX, Time(1), &latency);
        assert_eq!(
            count(&latency[0]) + count(&latency[1]),
            NOTES_MAX as u64 + 1
        );
        assert_eq!(owed.earlier.capacity(), 0);
    }
}
