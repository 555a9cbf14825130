//! Ketama: a ring of weighted points, exactly as twemproxy builds it.
//!
//! ```text
//! 0 ------*----*-*-------*------------*---*------ 2^32
//!         b    a b       c            a   c        a key belongs to the first point at or behind
//!                                                  its hash; behind the last one, to the first
//! ```
//!
//! The points stand in one sorted array. In front of it lies an index by the upper bits of the
//! hash: it has several entries a point, so the search between two of them is over a point or two.

use super::{Candidate, ServerIndex};
use crate::hash::{MD5_LANES, MD5_SHORT_MAX, md5_words, md5_words_of_short};

/// Points of a server of average weight.
const POINTS_PER_SERVER: f32 = 160.0;
/// Points made from one digest.
const POINTS_PER_DIGEST: f32 = 4.0;
/// twemproxy's buffer for a label cuts it here, in bytes.
const LABEL_LIMIT: usize = 272;
/// Servers that twemproxy's table of points has room for beyond the live ones.
const SPARE_SERVERS: u64 = 10;

/// Most entries of the index, as a power of two: 256 KiB.
const INDEX_BITS_LIMIT: u32 = 16;

/// The ring.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    /// Sorted by value. Not empty.
    points: Box<[Point]>,
    /// `starts[b]` is the number of points whose upper bits are below `b`; one entry more than
    /// there are values of the upper bits, so that `starts[b]..starts[b + 1]` are those of `b`.
    starts: Box<[u32]>,
    /// Shifts a hash down to its upper bits.
    shift: u32,
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    value: u32,
    server: ServerIndex,
}

impl Ring {
    /// At least one server, weights at least 1, in the pool's order.
    pub(super) fn new(servers: &[Candidate<'_>]) -> Ring {
        Ring::from_points(&points(servers))
    }

    /// Sorts the points: each goes to its entry of the index, then the few of one entry are sorted.
    /// Points of equal value stay in the order given (twemproxy sorts with glibc's merge sort).
    fn from_points(made: &[Point]) -> Ring {
        // Four to eight entries a point: at 640 points, 4096 entries in 16 KiB.
        let bits = (usize::BITS - made.len().leading_zeros() + 2).min(INDEX_BITS_LIMIT);
        let shift = u32::BITS - bits;
        let upper = |point: &Point| (point.value >> shift) as usize;

        let mut starts = vec![0u32; (1 << bits) + 1];
        for point in made {
            starts[upper(point) + 1] += 1;
        }
        let mut before = 0;
        for start in &mut starts {
            before += *start;
            *start = before;
        }

        let mut points: Box<[Point]> = made.into();
        let mut next = starts.clone();
        for point in made {
            let place = &mut next[upper(point)];
            points[*place as usize] = *point;
            *place += 1;
        }
        for range in starts.windows(2) {
            points[range[0] as usize..range[1] as usize].sort_by_key(|point| point.value);
        }
        Ring {
            points,
            starts: starts.into(),
            shift,
        }
    }

    /// The server of the first point at or behind `hash`.
    #[inline]
    pub(super) fn pick(&self, hash: u32) -> ServerIndex {
        let upper = (hash >> self.shift) as usize;
        let (start, end) = (self.starts[upper] as usize, self.starts[upper + 1] as usize);
        let mut at = start + self.points[start..end].partition_point(|p| p.value < hash);
        if at == self.points.len() {
            at = 0;
        }
        self.points[at].server
    }
}

/// All points, server by server.
fn points(servers: &[Candidate<'_>]) -> Vec<Point> {
    let counts = digest_counts(servers);
    let digests = counts.iter().sum::<u64>() as usize;
    let mut points = Vec::with_capacity(digests * POINTS_PER_DIGEST as usize);
    let mut labels: [Vec<u8>; MD5_LANES] = Default::default();
    for (server, digests) in servers.iter().zip(counts) {
        let mut made = 0;
        while made < digests {
            let now = (digests - made).min(MD5_LANES as u64);
            for (label, i) in labels.iter_mut().zip(made..) {
                write_label(label, server.name, i);
            }
            // The last label is the longest; labels beyond those wanted do no harm.
            let words = if labels[MD5_LANES - 1].len() <= MD5_SHORT_MAX {
                md5_words_of_short(&labels.each_ref().map(Vec::as_slice))
            } else {
                labels.each_ref().map(|label| md5_words(label))
            };
            for value in words.iter().take(now as usize).flatten() {
                points.push(Point {
                    value: *value,
                    server: server.index,
                });
            }
            made += now;
        }
    }
    points
}

/// How many digests' worth of points each server gets.
fn digest_counts(servers: &[Candidate<'_>]) -> Vec<u64> {
    let sum: u64 = servers.iter().map(|server| u64::from(server.weight)).sum();
    let shares = |total: f32| -> Vec<u64> {
        servers
            .iter()
            .map(|s| digest_count(s.weight, total, servers.len()))
            .collect()
    };
    // Compat: twemproxy sums weights in 32 bits and lets them wrap. Test: a_wrapped_sum.
    let counts = shares(sum as u32 as f32);
    let made = counts
        .iter()
        .fold(0u64, |made, &count| made.saturating_add(count));
    let room =
        (servers.len() as u64 + SPARE_SERVERS) * (POINTS_PER_SERVER / POINTS_PER_DIGEST) as u64;
    if (1..=room).contains(&made) {
        return counts;
    }
    // The wrapped sum made twemproxy write past its table, or divide by zero: there is no ring to be
    // compatible with, so the true sum is taken.
    shares(sum as f32)
}

/// `floor` of this server's share. Every step is rounded to single precision, which is why pools of
/// 25, 47, 50 and other numbers of equal servers have 156 points a server.
fn digest_count(weight: u32, total: f32, live_count: usize) -> u64 {
    // Compat: float arithmetic of nc_ketama.c. It then adds 1e-10, which a float near or above 1
    // cannot hold and which cannot lift a smaller one to 1. Test: points_per_server.
    let share = weight as f32 / total;
    let digests = share * POINTS_PER_SERVER / POINTS_PER_DIGEST * live_count as f32;
    digests.floor() as u64
}

/// `<name>-<i>`, cut.
fn write_label(label: &mut Vec<u8>, name: &str, i: u64) {
    label.clear();
    label.extend_from_slice(name.as_bytes());
    label.push(b'-');
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = i;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    label.extend_from_slice(&digits[start..]);
    // Compat: all labels of a very long name are equal. Test: labels_are_cut.
    label.truncate(LABEL_LIMIT);
}

#[cfg(test)]
mod tests;
