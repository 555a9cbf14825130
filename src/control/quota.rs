//! How often something may be logged, when outsiders decide how often it happens.

use std::time::Duration;

use crate::proxy::Time;

/// The span in which lines are counted.
const SPAN: Duration = Duration::from_secs(1);

/// So many lines per second, and a count of those left out.
#[derive(Debug)]
pub struct Quota {
    limit: u32,
    used: u32,
    left_out: u64,
    /// When the present span ends.
    until: Time,
}

impl Quota {
    /// At most `limit` lines a second.
    pub fn per_second(limit: u32) -> Self {
        Self {
            limit,
            used: 0,
            left_out: 0,
            until: Time::default(),
        }
    }

    /// Whether one more line may be logged; if not, it is counted.
    pub fn take(&mut self, now: Time) -> bool {
        if now >= self.until {
            self.used = 0;
            self.until = now + SPAN;
        }
        let may = self.used < self.limit;
        if may {
            self.used += 1;
        } else {
            self.left_out += 1;
        }
        may
    }

    /// When [`Quota::report`] has something to tell.
    pub fn next_deadline(&self) -> Option<Time> {
        (self.left_out > 0).then_some(self.until)
    }

    /// How many lines were left out, once their span is over.
    pub fn report(&mut self, now: Time) -> Option<u64> {
        if self.left_out == 0 || now < self.until {
            return None;
        }
        Some(std::mem::take(&mut self.left_out))
    }

    /// The same when no time is left to wait for.
    pub fn last_report(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.left_out)).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_cut_and_accounted_for() {
        let mut quota = Quota::per_second(3);
        let start = Time(5_000_000);
        let taken = (0..10).filter(|_| quota.take(start)).count();
        assert_eq!((taken, quota.next_deadline()), (3, Some(start + SPAN)));
        assert_eq!(quota.report(start), None);
        assert_eq!(quota.report(start + SPAN), Some(7));
        assert_eq!(
            (quota.report(start + SPAN), quota.next_deadline()),
            (None, None)
        );
        assert!(quota.take(start + SPAN));
        assert_eq!(quota.last_report(), None);
        for _ in 0..4 {
            quota.take(start + SPAN);
        }
        assert_eq!((quota.last_report(), quota.last_report()), (Some(2), None));
    }
}
