//! What a worker does about memory: tells its core how scarce it is, and gives back what was freed.

use std::time::Duration;

use crate::engine;
use crate::engine::memory;
use crate::proxy::{Pressure, Time};

/// While memory is scarce, or much of it is ours, it is looked at so often although nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long freed memory may stay with the allocator, for the next who needs some.
const TRIM_EVERY: Duration = Duration::from_millis(400);

/// Less than this, or than a quarter of what there was, is not worth a call: it takes the longer the
/// more there is.
const TRIM_MIN: i64 = 512 * 1024;

/// One worker's view of the memory of the process.
#[derive(Debug)]
pub struct Memory {
    limit: Option<u64>,
    pressure: Pressure,
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
            pressure: Pressure::None,
            peak: 0,
            trimmed: Time::default(),
            mine: 0,
        }
    }

    /// At the end of a turn: what the core must be told, if anything.
    pub fn turn(&mut self, now: Time) -> Option<Pressure> {
        self.mine = memory::of_this_thread();
        self.peak = self.peak.max(self.mine);
        if self.wants_trim() && now.since(self.trimmed) >= TRIM_EVERY {
            engine::give_back_memory();
            (self.peak, self.trimmed) = (self.mine, now);
        }
        let pressure = Pressure::of(memory::used(), self.limit?);
        let is_news = pressure != self.pressure || matches!(pressure, Pressure::Over { .. });
        self.pressure = pressure;
        is_news.then_some(pressure)
    }

    /// What this worker has, in bytes; negative if it has freed what others had allocated.
    pub fn mine(&self) -> i64 {
        self.mine
    }

    /// How long the worker may sleep although nothing happens.
    pub fn patience(&self) -> Option<Duration> {
        let much = |limit: u64| self.mine >= (limit / 16) as i64;
        if self.pressure != Pressure::None || self.limit.is_some_and(much) {
            Some(LOOK_EVERY)
        } else {
            self.wants_trim().then_some(TRIM_EVERY)
        }
    }

    fn wants_trim(&self) -> bool {
        self.peak - self.mine >= TRIM_MIN.max(self.peak / 4)
    }
}
