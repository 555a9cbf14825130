//! A histogram of latencies in constant memory, exact to a thousandth.
//!
//! Values up to 2,048 ns have a bucket each; above, each power of two is cut into 1,024 buckets.

/// Buckets in which a power of two is cut.
const STEPS: u64 = 1024;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts of nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, nanos: u64) {
        let bucket = bucket_of(nanos);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// The largest value.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that `share` (0.99 for p99) of all values do not exceed; 0 when there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_end(bucket).min(self.max);
            }
        }
        self.max
    }
}

fn bucket_of(value: u64) -> usize {
    if value < 2 * STEPS {
        return value as usize;
    }
    let shift = u64::BITS - 1 - value.leading_zeros() - STEP_BITS;
    ((u64::from(shift) << STEP_BITS) + (value >> shift)) as usize
}

/// The largest value of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = (bucket >> STEP_BITS) - 1;
    let mantissa = bucket - (shift << STEP_BITS);
    ((mantissa + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_the_buckets_are_narrow() {
        let mut value: u64 = 1;
        while value < 1 << 50 {
            let end = upper_end(bucket_of(value));
            assert!(
                end >= value && end - value <= value / STEPS,
                "{value} {end}"
            );
            assert!(
                bucket_of(end) == bucket_of(value) && bucket_of(end + 1) == bucket_of(value) + 1
            );
            value = value * 3 / 2 + 1;
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        for value in (1..=1000).rev() {
            histogram.record(value);
        }
        assert_eq!(
            (histogram.quantile(0.5), histogram.quantile(0.99)),
            (500, 990)
        );
        assert_eq!((histogram.quantile(1.0), histogram.max()), (1000, 1000));
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
