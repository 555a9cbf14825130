//! The ledger of live traffic: what was asked and answered, which faults were at work when, and what
//! should not have happened.
//!
//! Every value says whose it is (`support::value`). A reply for another key, another version, of the
//! wrong kind, or none at all is a mix-up or a loss, whenever it happens. An error or a closed
//! connection is excused only while a fault window is open, or for a while after its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long after its end a fault excuses errors: connections must be made again, with pauses between
/// attempts, on a machine that does much else.
pub const SLACK: Duration = Duration::from_secs(5);

/// Offences that are kept; one is too many already.
const OFFENCES_MAX: usize = 20;

/// The ledger all clients write to.
#[derive(Debug, Default)]
pub struct Book {
    inside: Mutex<Inside>,
    /// Requests made.
    pub requests: AtomicU64,
    /// Replies checked.
    pub replies: AtomicU64,
    /// Errors and ends that a fault excused.
    pub excused: AtomicU64,
    /// How often a server has lost its data.
    pub losses: AtomicU64,
}

#[derive(Debug, Default)]
struct Inside {
    open: u32,
    closed: Option<Instant>,
    offences: Vec<String>,
    errors: BTreeMap<String, u64>,
    windows: BTreeMap<&'static str, u64>,
}

impl Book {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("nothing panics under this lock")
    }

    /// A fault begins.
    pub fn begin(&self, fault: &'static str) {
        let mut inside = self.inside();
        inside.open += 1;
        *inside.windows.entry(fault).or_default() += 1;
    }

    /// A fault ends.
    pub fn end(&self) {
        let mut inside = self.inside();
        inside.open -= 1;
        inside.closed = Some(Instant::now());
    }

    /// Whether no fault is at work that could have touched something begun at `since`.
    pub fn is_calm(&self, since: Instant) -> bool {
        let inside = self.inside();
        inside.open == 0 && inside.closed.is_none_or(|closed| since > closed + SLACK)
    }

    /// Something that a fault may explain, about a request made at `since`: an error, an end.
    pub fn trouble(&self, since: Instant, text: &str) {
        let calm = self.is_calm(since);
        let mut inside = self.inside();
        *inside.errors.entry(text.to_owned()).or_default() += 1;
        drop(inside);
        if calm {
            self.offence(format!("outside all fault windows: {text}"));
        } else {
            self.excused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something that nothing explains.
    pub fn offence(&self, text: impl Into<String>) {
        let mut inside = self.inside();
        if inside.offences.len() < OFFENCES_MAX {
            inside.offences.push(text.into());
        }
    }

    /// A server loses its data.
    pub fn lose(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
    }

    /// Fails the test if something should not have happened.
    pub fn assert_clean(&self) {
        let inside = self.inside();
        assert!(
            inside.offences.is_empty(),
            "\n{}\n",
            inside.offences.join("\n")
        );
    }

    /// Whether something should not have happened.
    pub fn is_clean(&self) -> bool {
        self.inside().offences.is_empty()
    }

    /// What it came to.
    pub fn report(&self) -> String {
        let inside = self.inside();
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let mut text = format!(
            "{} requests, {} replies checked, {} failures inside fault windows, {} mix-ups or losses\n",
            count(&self.requests),
            count(&self.replies),
            count(&self.excused),
            inside.offences.len()
        );
        for (fault, times) in &inside.windows {
            text += &format!("{times:>8} {fault}\n");
        }
        text += "failures:\n";
        for (error, times) in &inside.errors {
            text += &format!("{times:>8} {error}\n");
        }
        text
    }
}

/// What is known of a key that one client alone writes.
#[derive(Debug, Default)]
pub struct Known {
    /// The last version acknowledged; `None`: the key is not there.
    acked: Option<u64>,
    /// Writes whose fate is unknown, and which may still come to pass.
    maybe: VecDeque<Option<u64>>,
    /// How often data had been lost when it was last certain.
    losses: u64,
}

/// Writes of unknown fate that are remembered.
const MAYBE_MAX: usize = 5000;

impl Known {
    /// A write was acknowledged.
    pub fn acknowledged(&mut self, version: Option<u64>) {
        self.acked = version;
    }

    /// Nobody will ever tell whether a write was executed.
    pub fn unknown(&mut self, version: Option<u64>) {
        // The oldest cannot come to pass any more: its connection ended long ago.
        if self.maybe.len() == MAYBE_MAX {
            self.maybe.pop_front();
        }
        self.maybe.push_back(version);
    }

    /// Whether a read may give `version`, with data lost so many times.
    pub fn allows(&mut self, version: Option<u64>, losses: u64) -> bool {
        if version == self.acked {
            return true;
        }
        if self.maybe.contains(&version) {
            self.acked = version;
            return true;
        }
        let lost = version.is_none() && losses > self.losses;
        if lost {
            self.acked = None;
            self.losses = losses;
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_fault_is_an_offence() {
        let book = Book::default();
        book.begin("x");
        book.trouble(Instant::now(), "within");
        assert!(book.is_clean());
        book.end();
        book.trouble(Instant::now(), "just behind");
        assert!(book.is_clean());
        book.trouble(Instant::now() + SLACK + SLACK, "long behind");
        assert!(!book.is_clean());
    }

    #[test]
    fn only_what_was_written_last_or_may_have_been_is_allowed() {
        let mut known = Known::default();
        assert!(known.allows(None, 0) && !known.allows(Some(1), 0));
        known.acknowledged(Some(1));
        assert!(known.allows(Some(1), 0) && !known.allows(None, 0));
        known.unknown(Some(2));
        assert!(known.allows(Some(1), 0) && known.allows(Some(2), 0));
        assert!(!known.allows(Some(1), 0), "it was overwritten");
        assert!(!known.allows(None, 0) && known.allows(None, 1));
        assert!(!known.allows(Some(7), 1));
    }
}
