//! Bob Jenkins's one-at-a-time hash.

use super::signed;

#[inline]
pub(super) fn one_at_a_time(key: &[u8]) -> u32 {
    let mut h = 0u32;
    for &byte in key {
        // Compat: twemproxy adds a signed char (nc_one_at_a_time.c). Test: vectors.
        h = h.wrapping_add(signed(byte));
        h = h.wrapping_add(h << 10);
        h ^= h >> 6;
    }
    h = h.wrapping_add(h << 3);
    h ^= h >> 11;
    h.wrapping_add(h << 15)
}
