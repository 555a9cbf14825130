//! How many clients there may be: counted for a pool, for the process and for each source address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many addresses may be remembered before those without clients are looked for.
const SWEEP_MIN: usize = 1024;

/// The clients of one pool by where they come from. Costs nothing while there is no limit.
#[derive(Debug)]
pub struct Addresses {
    limit: Option<NonZeroU32>,
    counts: HashMap<IpAddr, Arc<AtomicUsize>>,
    /// How many addresses there may be before the next sweep.
    sweep_at: usize,
}

impl Addresses {
    /// At most `limit` clients from one address.
    pub fn new(limit: Option<NonZeroU32>) -> Self {
        Self {
            limit,
            counts: HashMap::new(),
            sweep_at: SWEEP_MIN,
        }
    }

    /// The limit, if there is one.
    pub fn limit(&self) -> Option<NonZeroU32> {
        self.limit
    }

    /// Where a client from `address` is counted, or nothing if there are enough of its kind.
    pub fn place(&mut self, address: IpAddr) -> Option<Arc<AtomicUsize>> {
        let limit = self.limit.map_or(usize::MAX, |limit| limit.get() as usize);
        if self.counts.len() >= self.sweep_at {
            // Clients are let go of by the workers, which do not know of this table.
            self.counts
                .retain(|_, count| count.load(Ordering::Relaxed) > 0);
            self.sweep_at = (2 * self.counts.len()).max(SWEEP_MIN);
        }
        let count = self.counts.entry(source(address)).or_default();
        (count.load(Ordering::Relaxed) < limit).then(|| Arc::clone(count))
    }
}

/// What counts as one source: of IPv6 a /64 network, since whoever has one address there has them all.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_64_bits() {
        let mut addresses = Addresses::new(NonZeroU32::new(1));
        let mut taken = Vec::new();
        for (text, fits) in [
            ("10.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("10.0.0.2", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:1", false),
            ("2001:db8:0:1::1", true),
        ] {
            let place = addresses.place(address(text));
            assert_eq!(place.is_some(), fits, "{text}");
            if let Some(place) = place {
                place.fetch_add(1, Ordering::Relaxed);
                taken.push(place);
            }
        }
        taken[0].fetch_sub(1, Ordering::Relaxed);
        assert!(addresses.place(address("10.0.0.1")).is_some());
    }

    #[test]
    fn addresses_without_clients_are_forgotten() {
        let mut addresses = Addresses::new(NonZeroU32::new(1));
        for number in 0..100_000u32 {
            addresses.place(IpAddr::from(number.to_be_bytes()));
        }
        assert!(addresses.counts.len() <= 2 * SWEEP_MIN);
    }
}
