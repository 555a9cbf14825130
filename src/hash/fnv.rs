//! The four Fowler-Noll-Vo hashes. `fnv1a_64` is the default of the configuration.

use super::signed;

const OFFSET_32: u32 = 2_166_136_261;
const PRIME_32: u32 = 16_777_619;
const OFFSET_64: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME_64: u64 = 0x0000_0100_0000_01b3;

#[inline]
pub(super) fn fnv1_64(key: &[u8]) -> u32 {
    let mut h = OFFSET_64;
    for &byte in key {
        h = h.wrapping_mul(PRIME_64);
        // Compat: twemproxy mixes in a signed char, extended to 64 bits (nc_fnv.c). Test: vectors.
        h ^= byte as i8 as u64;
    }
    h as u32
}

#[inline]
pub(super) fn fnv1a_64(key: &[u8]) -> u32 {
    // Compat: twemproxy computes this one in 32 bits, with the low halves of the 64-bit constants
    // (nc_fnv.c). It happens to be the low half of the 64-bit result. Test: vectors.
    let mut h = OFFSET_64 as u32;
    for &byte in key {
        h ^= signed(byte);
        h = h.wrapping_mul(PRIME_64 as u32);
    }
    h
}

#[inline]
pub(super) fn fnv1_32(key: &[u8]) -> u32 {
    let mut h = OFFSET_32;
    for &byte in key {
        h = h.wrapping_mul(PRIME_32);
        h ^= signed(byte);
    }
    h
}

#[inline]
pub(super) fn fnv1a_32(key: &[u8]) -> u32 {
    let mut h = OFFSET_32;
    for &byte in key {
        h ^= signed(byte);
        h = h.wrapping_mul(PRIME_32);
    }
    h
}
