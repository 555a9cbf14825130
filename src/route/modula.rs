//! Modula: hash modulo the sum of weights.
//!
//! twemproxy writes each server `weight` times into a list; here the list exists only while it is
//! small, and beyond that the sums of weights stand for it.

use super::{Candidate, ServerIndex};

/// Longest list that is written out: 8 KiB of memory.
const LIST_LIMIT: u64 = 4096;

/// The shares of the live servers.
#[derive(Clone, Debug)]
pub(super) enum Shares {
    /// Each server as often as it weighs. Not empty.
    List(Box<[ServerIndex]>),
    /// `(sum of weights up to and with this server, server)`, ascending. Not empty.
    Sums(Box<[(u64, ServerIndex)]>),
}

impl Shares {
    /// At least one server, weights at least 1, in the pool's order.
    pub(super) fn new(servers: &[Candidate<'_>]) -> Shares {
        let total: u64 = servers.iter().map(|server| u64::from(server.weight)).sum();
        if total > LIST_LIMIT {
            return Self::sums(servers);
        }
        let repeat = |s: &Candidate<'_>| std::iter::repeat_n(s.index, s.weight as usize);
        Shares::List(servers.iter().flat_map(repeat).collect())
    }

    fn sums(servers: &[Candidate<'_>]) -> Shares {
        let sums = servers.iter().scan(0u64, |sum, server| {
            *sum += u64::from(server.weight);
            Some((*sum, server.index))
        });
        Shares::Sums(sums.collect())
    }

    #[inline]
    pub(super) fn pick(&self, hash: u32) -> ServerIndex {
        match self {
            Shares::List(list) => list[hash as usize % list.len()],
            Shares::Sums(sums) => {
                let total = sums[sums.len() - 1].0;
                let place = u64::from(hash) % total;
                sums[sums.partition_point(|&(sum, _)| sum <= place)].1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(weights: &[u32]) -> Vec<Candidate<'static>> {
        let weighted = weights.iter().zip(0u16..);
        weighted
            .map(|(&weight, i)| Candidate {
                name: "",
                weight,
                index: ServerIndex(i),
            })
            .collect()
    }

    #[test]
    fn huge_weights_take_no_memory_and_keep_their_shares() {
        let max = u32::MAX;
        let shares = Shares::new(&candidates(&[max, 1, max]));
        assert!(matches!(&shares, Shares::Sums(sums) if sums.len() == 3));
        assert_eq!(shares.pick(0), ServerIndex(0));
        assert_eq!(shares.pick(max - 1), ServerIndex(0));
        assert_eq!(shares.pick(max), ServerIndex(1));
    }

    #[test]
    fn the_list_ends_where_the_limit_is() {
        let at = Shares::new(&candidates(&[4000, 96]));
        assert!(matches!(&at, Shares::List(list) if list.len() == 4096));
        let over = Shares::new(&candidates(&[4000, 97]));
        assert!(matches!(&over, Shares::Sums(_)));
    }

    proptest! {
        #[test]
        fn list_and_sums_agree(
            weights in proptest::collection::vec(1u32..40, 1..20),
            hash: u32,
        ) {
            let servers = candidates(&weights);
            let (list, sums) = (Shares::new(&servers), Shares::sums(&servers));
            prop_assert!(matches!(list, Shares::List(_)));
            prop_assert_eq!(list.pick(hash), sums.pick(hash));
        }
    }
}
