//! Which replies a request can have, as far as that shows before any of it is passed on.
//!
//! One byte for each request on a connection: its meaning is in the tables of the protocols.

use super::redis::commands::Shape;

/// Which replies a request can have. One of another kind shows that a connection has lost count. An error
/// is always possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Any at all.
    #[default]
    Any,
    /// memcached: a value, of the key that was asked for, or none.
    Value,
    /// memcached: values of the keys that were asked for.
    Values,
    /// memcached: what ends a reply of values: no further value.
    Closing,
    /// memcached: whether something was stored.
    Stored,
    /// memcached: whether something was deleted.
    Deleted,
    /// memcached: a number.
    Number,
    /// memcached: whether a time to live was set.
    Touched,
    /// memcached: its version.
    Version,
    /// memcached: lines of statistics.
    Statistics,
    /// memcached: what all of a server was told to do is done.
    Done,
    /// memcached: what `mg` says.
    MetaGet,
    /// memcached: what `ms` says.
    MetaSet,
    /// memcached: what `md` says.
    MetaDelete,
    /// memcached: what `ma` says.
    MetaNumber,
    /// memcached: what `me` says.
    MetaDebug,
    /// Redis: one of these types.
    Redis(Shape),
}

/// A number for a key by which two keys can nearly always be told from each other; never 0.
#[inline]
pub fn fingerprint(key: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = key.len() as u64;
    let mix = |sum: u64, word: u64| {
        let sum = (sum ^ word).wrapping_mul(FACTOR);
        sum ^ (sum >> 32)
    };
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        sum = mix(sum, u64::from_le_bytes(*word));
    }
    if let Some(last) = key.last_chunk::<8>() {
        // What is left, and some of what was seen.
        sum = mix(sum, u64::from_le_bytes(*last));
    } else {
        let rest = rest
            .iter()
            .fold(0, |rest, &byte| rest << 8 | u64::from(byte));
        sum = mix(sum, rest);
    }
    (sum >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_costs_a_byte_for_each_request() {
        assert_eq!(size_of::<Family>(), 1);
    }

    #[test]
    fn similar_keys_have_fingerprints_of_their_own() {
        let mut prints: Vec<u32> = (0..10_000)
            .map(|number| fingerprint(format!("user:{number:06}:profile").as_bytes()))
            .collect();
        prints.extend([&b""[..], b"\0", b"\0\0", b"a", b"aaaaaaaa", b"aaaaaaaaa"].map(fingerprint));
        prints.sort_unstable();
        prints.dedup();
        // Two of ten thousand share one in one of 43 such lists.
        assert!(prints.len() >= 10_005, "{}", prints.len());
    }
}
