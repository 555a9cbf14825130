//! The one clock all workers and control read, so that their times can be compared.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::proxy::Time;

/// Counts from the moment it was made, and never backwards.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that stands at zero. The process has one; threads get copies.
    #[expect(
        clippy::disallowed_methods,
        reason = "workers and control tell the core the time"
    )]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// How long after the start of 1970 the clock stood at zero, by what the time of day is at `now`.
    #[expect(clippy::disallowed_methods, reason = "clients ask for the time of day")]
    pub fn epoch(&self, now: Time) -> Duration {
        let today = SystemTime::now().duration_since(UNIX_EPOCH);
        let today = today.unwrap_or_default();
        today.saturating_sub(now.since(Time::default()))
    }

    /// The time since the start.
    #[expect(
        clippy::disallowed_methods,
        reason = "workers and control tell the core the time"
    )]
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}
