//! When a worker gives memory back.
//!
//! A while after there was traffic, and again as long as that brings something. An idle worker with
//! nothing to give back is not woken for it.

use std::time::Duration;

use crate::proxy::{Tidied, Time};

/// The time between two looks. What was not needed for so long is given back; so after a burst all is
/// back after about three of them.
const EVERY: Duration = Duration::from_secs(2);

/// The time until a look when much was freed at once.
const SOON: Duration = Duration::from_millis(250);

/// When so many bytes were freed, the allocator is asked to give them to the system. Less is not worth
/// its walk through the heap, which takes about a millisecond for 10 MB.
const WORTH: usize = 256 * 1024;

/// The plan of one worker.
#[derive(Debug, Default)]
pub struct Tidying {
    due: Option<Time>,
    freed: usize,
}

impl Tidying {
    /// There was traffic.
    #[inline]
    pub fn busy(&mut self, now: Time) {
        if self.due.is_none() {
            self.due = Some(now + EVERY);
        }
    }

    /// So many bytes were freed already; if they are worth it, the system is to have them soon.
    #[inline]
    pub fn released(&mut self, bytes: usize, now: Time) {
        self.freed += bytes;
        if self.freed >= WORTH {
            let soon = now + SOON;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }

    /// Whether it is time to tidy.
    #[inline]
    pub fn is_due(&self, now: Time) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// When that will be.
    pub fn next(&self) -> Option<Time> {
        self.due
    }

    /// Notes what was freed. Says whether the allocator is to give it to the system.
    pub fn tidied(&mut self, tidied: Tidied, now: Time) -> bool {
        self.freed += tidied.freed;
        self.due = tidied.again.then(|| now + EVERY);
        let worth = self.freed >= WORTH;
        if worth {
            self.freed = 0;
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_at_once_is_given_back_soon() {
        let mut tidying = Tidying::default();
        let now = Time(5);
        tidying.busy(now);
        tidying.released(WORTH - 1, now);
        assert_eq!(tidying.next(), Some(now + EVERY));
        tidying.released(1, now);
        assert_eq!(tidying.next(), Some(now + SOON));
        assert!(tidying.tidied(Tidied::default(), now + SOON));
        tidying.released(WORTH, now);
        assert_eq!(tidying.next(), Some(now + SOON), "also of an idle worker");
    }

    #[test]
    fn it_goes_on_while_it_brings_something_and_then_rests() {
        let mut tidying = Tidying::default();
        let mut now = Time(5);
        assert_eq!(tidying.next(), None);
        tidying.busy(now);
        tidying.busy(now + EVERY / 2);
        assert_eq!(tidying.next(), Some(now + EVERY));
        now = now + EVERY;
        assert!(tidying.is_due(now));
        let some = |freed| Tidied { freed, again: true };
        assert!(tidying.tidied(some(WORTH), now));
        assert!(!tidying.is_due(now) && tidying.next() == Some(now + EVERY));
        assert!(!tidying.tidied(some(WORTH - 1), now + EVERY));
        assert!(tidying.tidied(some(1), now), "little by little is as much");
        assert!(!tidying.tidied(Tidied::default(), now));
        assert_eq!(tidying.next(), None);
    }
}
