//! How often the worker may try servers that refuse, all of them together.
//!
//! Each lane waits longer from attempt to attempt. With hundreds of servers down at once that is still
//! hundreds of attempts a second; what they have in common (a switch, a host) needs no such storm.

use std::time::Duration;

use super::time::Time;

/// Attempts that are saved up and may then follow each other at once.
const SAVED_MAX: u32 = 20;

/// A store of attempts that fills with time.
#[derive(Debug)]
pub(super) struct Retries {
    /// The time in which one more is saved; zero: there is no limit.
    every: Duration,
    saved: u32,
    /// Until when those before were saved.
    filled: Time,
}

impl Retries {
    /// So many a second, 0 for any number.
    pub fn per_second(count: u32) -> Self {
        Self {
            every: Duration::from_secs(1)
                .checked_div(count)
                .unwrap_or_default(),
            saved: SAVED_MAX,
            filled: Time::default(),
        }
    }

    /// Whether one more attempt may be made.
    pub fn take(&mut self, now: Time) -> bool {
        if self.every.is_zero() {
            return true;
        }
        let new = now.since(self.filled).as_micros() / self.every.as_micros().max(1);
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        self.saved = self.saved.saturating_add(new);
        if self.saved >= SAVED_MAX {
            (self.saved, self.filled) = (SAVED_MAX, now);
        } else {
            self.filled = self.filled + self.every * new;
        }
        let may = self.saved > 0;
        self.saved -= u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_saved_up_to_a_point() {
        let mut retries = Retries::per_second(100);
        let mut made = |now: Time| (0..1000).filter(|_| retries.take(now)).count();
        assert_eq!(made(Time(5_000_000)), SAVED_MAX as usize);
        assert_eq!(made(Time(5_000_000)), 0);
        assert_eq!(made(Time(5_009_999)), 0);
        assert_eq!(made(Time(5_010_000)), 1);
        assert_eq!(made(Time(5_060_000)), 5);
        assert_eq!(made(Time(900_000_000)), SAVED_MAX as usize);
        let all: usize = (0..100)
            .map(|tenth| made(Time(901_000_000 + tenth * 10_000)))
            .sum();
        assert_eq!(all, SAVED_MAX as usize + 99);
    }
}
