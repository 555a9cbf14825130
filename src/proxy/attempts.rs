//! When a lane may try again to connect to a server that refuses.
//!
//! The first attempts follow each other at once, as every request's does in twemproxy, so that a server
//! that refuses is ejected as fast; then the pauses between them double.

use std::time::Duration;

use super::cause::Cause;
use super::pool::REFUSED_PAUSE;
use super::time::Time;

/// A server that is ejected for less than this gets no fresh start at its return: the pauses between
/// attempts are then all that keeps every request from being one.
const OUT_MIN: Duration = Duration::from_millis(100);

/// The attempts of a lane's connections of one kind.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Those that failed since one succeeded.
    failures: u32,
    /// No attempt before this.
    retry_at: Time,
    last_cause: Cause,
}

/// A failed attempt, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub cause: Cause,
    /// Attempts that follow each other at once.
    pub at_once: u32,
    /// The longest pause between those behind them.
    pub longest: Duration,
    pub now: Time,
    /// Any number.
    pub draw: u32,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            failures: 0,
            retry_at: Time::default(),
            last_cause: Cause::Refused,
        }
    }
}

impl Attempts {
    /// Whether another may be made; if not, why the last one failed.
    pub fn may_begin(&self, now: Time) -> Result<(), Cause> {
        if now < self.retry_at {
            Err(self.last_cause)
        } else {
            Ok(())
        }
    }

    /// Whether enough attempts have failed for further ones to be rare.
    pub fn is_retrying(&self) -> bool {
        self.retry_at > Time::default()
    }

    /// Why the last one failed.
    pub fn last_cause(&self) -> Cause {
        self.last_cause
    }

    /// One succeeded.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.retry_at = Time::default();
    }

    /// The server was ejected for this long, and is back. Its failures led to that and are settled: as many
    /// attempts as decide whether it is ejected again follow each other at once. If each had to wait for
    /// its pause, the requests between them would all fail, and none of them would count.
    pub fn returned(&mut self, after: Duration) {
        if after >= OUT_MIN {
            self.succeeded();
        }
    }

    /// The server does not have what all connections of the lane are to have. It will not have it a moment
    /// later either, and each client that asks would cost it a connection, and us a line in the log.
    pub fn refused(&mut self, cause: Cause, now: Time) {
        self.last_cause = cause;
        self.retry_at = now + REFUSED_PAUSE;
    }

    /// One failed.
    pub fn failed(&mut self, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        self.last_cause = failure.cause;
        if self.failures < failure.at_once {
            return;
        }
        let doubled = (self.failures - failure.at_once).min(16);
        let pause = (Duration::from_millis(20) * (1 << doubled)).min(failure.longest);
        // Between three and five quarters of it, so that workers and proxies do not march in step.
        let share = f64::from(failure.draw) / f64::from(u32::MAX);
        let quarter = pause / 4;
        self.retry_at = failure.now + quarter * 3 + (quarter * 2).mul_f64(share);
    }
}
