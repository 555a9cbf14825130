//! What the workers tell each other of the memory they hold, so that it is taken where there is most.
//!
//! Each worker writes what it holds while memory is scarce, by pool and by rank (see `census`), and reads
//! what the others wrote. Nothing of it is on the path of a request. A worker that has written nothing for a
//! while is not waited for: the others give back its part, too. But as long as it has not withdrawn what it
//! wrote, it holds that, and no request is refused while it may give it back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::time::Time;

/// How many ranks there are.
pub(super) const RANKS: usize = 128;

/// How long what a worker has written counts as true. A worker that has much to do may be in one turn
/// for long, and others are not refused for that.
const FRESH: Duration = Duration::from_secs(1);

/// How long it counts for whether somebody could give way at all. What a worker holds changes in its turns
/// only, and every turn ends with fresh figures or none; so old ones are those of a turn that is not over.
const STANDS: Duration = Duration::from_secs(10);

/// The same for counts of messages, which are written whenever many have come.
const MESSAGES_FRESH: Duration = Duration::from_secs(2);

/// What all workers hold.
#[derive(Debug)]
pub struct Balance {
    seats: Vec<ClientPermit>,
}

/// What one worker holds. Aligned as the statistics are, so that no two share a cache line.
#[derive(Debug)]
#[repr(align(128))]
struct ClientPermit {
    /// When it was written, in microseconds; 0: never.
    at: AtomicU64,
    /// Bytes by pool.
    pools: Vec<AtomicU64>,
    /// Bytes that could be given back, by rank.
    ranks: Vec<AtomicU64>,
    /// Bytes of messages that wait for those who listen, and when that was written.
    messages: AtomicU64,
    messages_at: AtomicU64,
    /// Whether requests are refused, since nothing could be given back.
    refuses: AtomicBool,
}

/// Bytes by pool and by rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub pools: Vec<u64>,
    pub ranks: [u64; RANKS],
}

impl Sums {
    /// Nothing yet, for this number of pools.
    pub fn new(pools: usize) -> Self {
        Self {
            pools: vec![0; pools],
            ranks: [0; RANKS],
        }
    }
}

impl Balance {
    /// For this number of workers and pools.
    pub fn new(workers: usize, pools: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        let permit = |_| ClientPermit {
            at: AtomicU64::new(0),
            pools: zeros(pools),
            ranks: zeros(RANKS),
            messages: AtomicU64::new(0),
            messages_at: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
        };
        Self {
            seats: (0..workers).map(permit).collect(),
        }
    }

    /// Whether some worker refuses requests for want of memory.
    pub fn is_refusing(&self) -> bool {
        let mut seats = self.seats.iter();
        seats.any(|permit| permit.refuses.load(Ordering::Relaxed))
    }

    /// What worker `place` holds at `now`.
    pub(super) fn tell(&self, place: u32, sums: &Sums, now: Time) {
        let Some(permit) = self.seats.get(place as usize) else {
            return;
        };
        for (cell, bytes) in permit.pools.iter().zip(&sums.pools) {
            cell.store(*bytes, Ordering::Relaxed);
        }
        for (cell, bytes) in permit.ranks.iter().zip(&sums.ranks) {
            cell.store(*bytes, Ordering::Relaxed);
        }
        permit.at.store(now.0, Ordering::Relaxed);
    }

    /// Worker `place` writes nothing more for now: there is enough memory.
    pub(super) fn withdraw(&self, place: u32) {
        if let Some(permit) = self.seats.get(place as usize) {
            permit.at.store(0, Ordering::Relaxed);
        }
    }

    /// Bytes that all workers but `place` could give back.
    pub(super) fn relief(&self, place: u32, now: Time) -> u64 {
        let others = self.seats.iter().enumerate();
        let others = others.filter(|(index, permit)| {
            let at = permit.at.load(Ordering::Relaxed);
            *index != place as usize && at != 0 && now.since(Time(at)) <= STANDS
        });
        others
            .flat_map(|(_, permit)| &permit.ranks)
            .map(|cell| cell.load(Ordering::Relaxed))
            .sum()
    }

    /// So many bytes of messages wait at worker `place`.
    pub(super) fn tell_messages(&self, place: u32, bytes: u64, now: Time) {
        if let Some(permit) = self.seats.get(place as usize) {
            permit.messages.store(bytes, Ordering::Relaxed);
            permit.messages_at.store(now.0, Ordering::Relaxed);
        }
    }

    /// Bytes of messages that wait at all workers but `place`, as far as they have said so lately.
    pub(super) fn other_messages(&self, place: u32, now: Time) -> u64 {
        let others = self.seats.iter().enumerate();
        let others = others.filter(|(index, permit)| {
            let at = permit.messages_at.load(Ordering::Relaxed);
            *index != place as usize && now.since(Time(at)) <= MESSAGES_FRESH
        });
        others
            .map(|(_, permit)| permit.messages.load(Ordering::Relaxed))
            .sum()
    }

    /// Whether worker `place` refuses requests.
    pub(super) fn set_refusing(&self, place: u32, refuses: bool) {
        if let Some(permit) = self.seats.get(place as usize) {
            permit.refuses.store(refuses, Ordering::Relaxed);
        }
    }

    /// What all workers but `place` hold, as far as they have said so lately.
    pub(super) fn others(&self, place: u32, pools: usize, now: Time) -> Sums {
        let mut sums = Sums::new(pools);
        for (index, permit) in self.seats.iter().enumerate() {
            let at = permit.at.load(Ordering::Relaxed);
            if index == place as usize || at == 0 || now.since(Time(at)) > FRESH {
                continue;
            }
            for (sum, cell) in sums.pools.iter_mut().zip(&permit.pools) {
                *sum += cell.load(Ordering::Relaxed);
            }
            for (sum, cell) in sums.ranks.iter_mut().zip(&permit.ranks) {
                *sum += cell.load(Ordering::Relaxed);
            }
        }
        sums
    }
}

/// The most each of several may have of `whole`, if what some leave is for the others: those who want no
/// more have what they want, the others this. `None` when all have what they want.
pub(super) fn fair_level(wants: &[u64], whole: u64) -> Option<u64> {
    let mut wants = wants.to_vec();
    wants.sort_unstable();
    let mut left = whole;
    for (index, want) in wants.iter().enumerate() {
        let even = left / (wants.len() - index) as u64;
        if *want > even {
            return Some(even);
        }
        left -= want;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_leave_is_for_the_others() {
        assert_eq!(fair_level(&[10, 20, 30], 60), None);
        assert_eq!(fair_level(&[10, 20, 300], 100), Some(70));
        assert_eq!(fair_level(&[10, 200, 300], 100), Some(45));
        assert_eq!(fair_level(&[100, 100], 100), Some(50));
        assert_eq!(fair_level(&[0, 101], 100), Some(100));
        assert_eq!(fair_level(&[], 100), None);
    }

    #[test]
    fn a_worker_is_told_what_the_others_said_lately() {
        let balance = Balance::new(3, 2);
        let mut sums = Sums::new(2);
        (sums.pools[1], sums.ranks[7]) = (5, 3);
        balance.tell(0, &sums, Time(1_000_000));
        balance.tell(1, &sums, Time(1_100_000));
        let now = Time(1_200_000);
        assert_eq!(balance.others(0, 2, now), sums);
        assert_eq!(balance.others(2, 2, now).pools, [0, 10]);
        assert_eq!(balance.others(2, 2, Time(2_050_000)).ranks[7], 3);
        // One that is in a long turn still holds what it held.
        assert_eq!(balance.others(2, 2, Time(9_000_000)).ranks[7], 0);
        assert_eq!(balance.relief(2, Time(9_000_000)), 6);
        assert_eq!(balance.relief(0, Time(9_000_000)), 3);
        balance.withdraw(1);
        assert_eq!(balance.relief(2, Time(9_000_000)), 3);
        assert_eq!(balance.relief(2, Time(12_000_000)), 0);
        assert!(!balance.is_refusing());
        balance.set_refusing(1, true);
        assert!(balance.is_refusing());
    }
}
