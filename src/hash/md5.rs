//! MD5, cut to 32 bits.
//!
//! Ketama labels its points with the same digest and takes all four words of it, so the digest
//! itself is offered too; and, since a large ring needs ten thousands of digests of short texts, many
//! of them at once, side by side in the lanes of a vector unit.

use std::sync::OnceLock;

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

/// Texts that [`words_of_short`] takes at once.
pub(crate) const LANES: usize = 8;

/// Longest text it takes, in bytes: what fits into one block with its padding.
pub(crate) const SHORT_MAX: usize = 55;

/// A number for each lane.
type Lanes = [u32; LANES];

/// What [`words`] says of each of these texts, none of which is longer than [`SHORT_MAX`].
pub(crate) fn words_of_short(texts: &[&[u8]; LANES]) -> [[u32; 4]; LANES] {
    let mut block = [[0; LANES]; 16];
    for (lane, text) in texts.iter().enumerate() {
        let mut bytes = [0; 64];
        bytes[..text.len()].copy_from_slice(text);
        bytes[text.len()] = 0x80;
        bytes[56..].copy_from_slice(&(8 * text.len() as u64).to_le_bytes());
        for (word, four) in block.iter_mut().zip(bytes.chunks_exact(4)) {
            word[lane] = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        }
    }
    let sums = digest(&block);
    std::array::from_fn(|lane| sums.map(|sum| sum[lane]))
}

/// The digest of one block in each lane (RFC 1321, section 3.4).
fn digest(block: &[Lanes; 16]) -> [Lanes; 4] {
    const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut state = START.map(|word| [word; LANES]);
    let sines = sines();
    for step in 0..16 {
        let (sine, shift) = (sines[step], [7, 12, 17, 22][step % 4]);
        one(&mut state, &block[step], sine, shift, |x, y, z| {
            (x & y) | (!x & z)
        });
    }
    for step in 0..16 {
        let (sine, shift) = (sines[16 + step], [5, 9, 14, 20][step % 4]);
        let word = &block[(5 * step + 1) % 16];
        one(&mut state, word, sine, shift, |x, y, z| (x & z) | (y & !z));
    }
    for step in 0..16 {
        let (sine, shift) = (sines[32 + step], [4, 11, 16, 23][step % 4]);
        let word = &block[(3 * step + 5) % 16];
        one(&mut state, word, sine, shift, |x, y, z| x ^ y ^ z);
    }
    for step in 0..16 {
        let (sine, shift) = (sines[48 + step], [6, 10, 15, 21][step % 4]);
        let word = &block[7 * step % 16];
        one(&mut state, word, sine, shift, |x, y, z| y ^ (x | !z));
    }
    for (word, start) in state.iter_mut().zip(START) {
        for lane in word {
            *lane = lane.wrapping_add(start);
        }
    }
    state
}

/// One step in every lane.
#[inline(always)]
fn one(
    state: &mut [Lanes; 4],
    word: &Lanes,
    sine: u32,
    shift: u32,
    mix: impl Fn(u32, u32, u32) -> u32,
) {
    let [a, b, c, d] = *state;
    let mut next = [0; LANES];
    for lane in 0..LANES {
        let sum = a[lane]
            .wrapping_add(mix(b[lane], c[lane], d[lane]))
            .wrapping_add(word[lane])
            .wrapping_add(sine);
        next[lane] = b[lane].wrapping_add(sum.rotate_left(shift));
    }
    *state = [d, next, b, c];
}

/// The whole parts of 2^32 times the sines of 1 to 64.
fn sines() -> &'static [u32; 64] {
    static SINES: OnceLock<[u32; 64]> = OnceLock::new();
    SINES.get_or_init(|| {
        std::array::from_fn(|step| ((step as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_side_by_side_are_those_made_one_by_one() {
        let text: Vec<u8> = (0..200).map(|number| (number * 37 % 251) as u8).collect();
        for len in 0..=SHORT_MAX {
            let texts: [&[u8]; LANES] =
                std::array::from_fn(|lane| &text[lane..lane + (len + lane) % (SHORT_MAX + 1)]);
            let wanted = texts.map(words);
            assert_eq!(words_of_short(&texts), wanted, "{len}");
        }
    }
}
