//! How long requests took, in three parts: log-linear histograms with one writing thread each.
//!
//! ```text
//!   read from the client        sent to the server       first byte of the reply       taken by the client
//!           |------- queued -------|------- server ---------|--------- client ------------|
//! ```
//!
//! A measurement costs two additions. The clock is the worker's: it stands still within a turn, so
//! what happens in one turn took no time.

use super::Counter;

/// Microseconds up to which everything is counted in the first bucket.
const FIRST_BOUND: u64 = 16;

/// Buckets with a bound: two for each doubling, so that a bucket's bounds differ by a half at most,
/// from 16 us to 33.5 s.
pub const BOUND_COUNT: usize = 43;

/// Microseconds that the bucket with this index, below [`BOUND_COUNT`], reaches up to, itself included.
pub fn bound(index: usize) -> u64 {
    match index % 2 {
        0 => FIRST_BOUND << (index / 2),
        _ => (FIRST_BOUND + FIRST_BOUND / 2) << (index / 2),
    }
}

/// The bucket a length of time falls in; the last is for all that is longer than every bound.
#[inline]
fn bucket(micros: u64) -> usize {
    // Bounds belong to the bucket below them.
    let value = micros.saturating_sub(1);
    if value < FIRST_BOUND {
        return 0;
    }
    let octave = value.ilog2();
    let half = (value >> (octave - 1)) & 1;
    let index = 1 + 2 * (octave - FIRST_BOUND.ilog2()) as usize + half as usize;
    index.min(BOUND_COUNT)
}

/// How many times took how long.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Counter; BOUND_COUNT + 1],
    /// Microseconds.
    sum: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Counter::default()),
            sum: Counter::default(),
        }
    }
}

impl Histogram {
    /// Counts `count` requests that took so many microseconds each. Only the thread that owns the set
    /// may call this.
    #[inline]
    pub fn record(&self, micros: u64, count: u64) {
        self.buckets[bucket(micros)].add(count);
        self.sum.add(micros.wrapping_mul(count));
    }
}

/// The three parts of a request's time, for the commands of one family in one pool.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Latency {
    /// From when it was read to when the server's socket had taken all of it.
    pub queued: Histogram,
    /// From then to the first byte of the reply.
    pub server: Histogram,
    /// From then to when the client's socket had taken all of the reply.
    pub client: Histogram,
}

/// A histogram of several writers, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// By bucket; the last one has no bound.
    pub counts: [u64; BOUND_COUNT + 1],
    /// Microseconds.
    pub sum: u64,
}

impl Total {
    /// The sum of the same histogram of every writer.
    pub fn of<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut total = Self {
            counts: [0; BOUND_COUNT + 1],
            sum: 0,
        };
        for histogram in histograms {
            for (count, bucket) in total.counts.iter_mut().zip(&histogram.buckets) {
                *count = count.wrapping_add(bucket.read() as u64);
            }
            total.sum = total.sum.wrapping_add(histogram.sum.read() as u64);
        }
        total
    }

    /// How many times were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_within_the_bounds_of_its_bucket() {
        let edges = (0..BOUND_COUNT).flat_map(|index| {
            let bound = bound(index);
            [bound - 1, bound, bound + 1]
        });
        for micros in edges.chain([0, 1, 1_000_000, u64::MAX]) {
            let index = bucket(micros);
            if index > 0 {
                assert!(micros > bound(index - 1), "{micros} us in bucket {index}");
            }
            if index < BOUND_COUNT {
                assert!(micros <= bound(index), "{micros} us in bucket {index}");
            }
        }
    }

    #[test]
    fn bounds_grow_by_a_half_at_most() {
        for index in 1..BOUND_COUNT {
            let (below, above) = (bound(index - 1), bound(index));
            assert!(below < above && 2 * above <= 3 * below, "{below} {above}");
        }
        assert_eq!(bound(BOUND_COUNT - 1), 33_554_432);
    }

    #[test]
    fn histograms_of_all_writers_are_added() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.record(16, 2);
        one.record(17, 1);
        other.record(60_000_000, 1);
        let total = Total::of([&one, &other].into_iter());
        assert_eq!((total.counts[0], total.counts[1]), (2, 1));
        assert_eq!(total.counts[BOUND_COUNT], 1);
        assert_eq!((total.count(), total.sum), (4, 60_000_049));
    }
}
