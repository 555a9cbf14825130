//! The one clock all workers and control read, so that their times can be compared.

use std::time::Instant;

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

    /// The time since the start.
    #[expect(
        clippy::disallowed_methods,
        reason = "workers and control tell the core the time"
    )]
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}
