//! MD5, cut to 32 bits.
//!
//! Ketama labels its points with the same digest and takes all four words of it, so the digest
//! itself is offered too.

use ::md5::{Digest, Md5};

/// The first four bytes of the digest, little-endian.
#[inline]
pub(super) fn md5(key: &[u8]) -> u32 {
    let [first, ..] = words(key);
    first
}

/// The digest as four little-endian words.
#[inline]
pub(crate) fn words(text: &[u8]) -> [u32; 4] {
    let digest = Md5::digest(text);
    std::array::from_fn(|i| {
        u32::from_le_bytes([
            digest[4 * i],
            digest[4 * i + 1],
            digest[4 * i + 2],
            digest[4 * i + 3],
        ])
    })
}
