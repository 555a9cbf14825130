//! What a worker does about memory: tells its core how scarce it is, and gives back what was freed.

use std::time::Duration;

use crate::engine;
use crate::engine::memory;
use crate::proxy::Time;

/// While half of the memory is in use, or much of it is ours, it is looked at so often although nothing
/// happens.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long freed memory may stay with the allocator, for the next who needs some, if it is a quarter of
/// what there was.
const TRIM_EVERY: Duration = Duration::from_millis(400);

/// The same for what is less than a quarter, but more than a twentieth, of up to `SMALL` bytes. It is so
/// much longer for more, since giving back takes the longer the more there is.
const TRIM_LATER: Duration = Duration::from_millis(600);

/// See `TRIM_LATER`.
const SMALL: i64 = 8 * 1024 * 1024;

/// Less than this is not worth a call.
const TRIM_MIN: i64 = 512 * 1024;

/// One worker's view of the memory of the process.
#[derive(Debug)]
pub struct Memory {
    limit: Option<u64>,
    /// Whether a quarter of the limit or less was left when it was last looked at.
    scarce: bool,
    /// Whether half of it was in use: the other workers rely on what this one says of what it holds.
    counted: bool,
    /// The most this worker had since the last trim.
    peak: i64,
    trimmed: Time,
    /// What it has now.
    mine: i64,
}

impl Memory {
    /// With this many bytes for the whole process.
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            scarce: false,
            counted: false,
            peak: 0,
            trimmed: Time::default(),
            mine: 0,
        }
    }

    /// At the end of a turn: gives back what was freed, if it is much, and says how much the process uses
    /// where there is a limit, and that limit. `relieve` frees what is kept for later; nobody is to suffer
    /// for that.
    pub fn turn(&mut self, now: Time, relieve: impl FnOnce()) -> Option<(u64, u64)> {
        self.mine = memory::of_this_thread();
        self.peak = self.peak.max(self.mine);
        if self
            .trim_after()
            .is_some_and(|after| now.since(self.trimmed) >= after)
        {
            engine::give_back_memory();
            (self.peak, self.trimmed) = (self.mine, now);
        }
        let limit = self.limit?;
        self.scarce = memory::used() >= limit - limit / 4;
        self.counted = memory::used() >= limit / 2;
        if self.scarce {
            relieve();
        }
        Some((memory::used(), limit))
    }

    /// Bytes that may be read before it must be looked at again, although the turn is not over.
    pub fn stride(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit / 64).unwrap_or(usize::MAX)
        })
    }

    /// What this worker has, in bytes; negative if it has freed what others had allocated.
    pub fn mine(&self) -> i64 {
        self.mine
    }

    /// How long the worker may sleep although nothing happens.
    pub fn patience(&self) -> Option<Duration> {
        let much = |limit: u64| self.mine >= (limit / 16) as i64;
        if self.counted || self.limit.is_some_and(much) {
            Some(LOOK_EVERY)
        } else {
            self.trim_after()
        }
    }

    /// How long after the last time freed memory is to be given back, if there is enough of it.
    fn trim_after(&self) -> Option<Duration> {
        let freed = self.peak - self.mine;
        if freed < TRIM_MIN.max(self.peak / 20) {
            None
        } else if freed >= self.peak / 4 {
            Some(TRIM_EVERY)
        } else {
            let times = u32::try_from(self.peak / SMALL).unwrap_or(u32::MAX).max(1);
            Some(TRIM_LATER.saturating_mul(times))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1024 * 1024;

    fn after(peak: i64, mine: i64) -> Option<Duration> {
        Memory {
            peak,
            mine,
            ..Memory::new(None)
        }
        .trim_after()
    }

    #[test]
    fn much_is_given_back_soon_and_little_later() {
        assert_eq!(after(16 * MIB, 12 * MIB), Some(TRIM_EVERY));
        assert_eq!(after(8 * MIB, 7 * MIB), Some(TRIM_LATER));
        assert_eq!(after(16 * MIB, 16 * MIB - MIB / 2), None);
        assert_eq!(after(MIB, MIB / 2), Some(TRIM_EVERY));
        assert_eq!(after(MIB, MIB / 2 + 1), None);
    }

    #[test]
    fn the_more_there_is_the_rarer_is_the_call_for_a_small_part_of_it() {
        assert_eq!(after(640 * MIB, 600 * MIB), Some(80 * TRIM_LATER));
        assert_eq!(after(640 * MIB, 100 * MIB), Some(TRIM_EVERY));
    }
}
