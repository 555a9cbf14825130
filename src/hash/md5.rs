//! MD5, cut to 32 bits.
//!
//! Ketama labels its points with the same digest and takes all four words of it, so the digest
//! itself is offered too; and, since a large ring needs ten thousands of digests of short texts, many
//! of them at once, side by side in the lanes of a vector unit.
//! The usual text of a digest names a configuration.

use ::md5::{Digest, Md5};

/// The first four bytes of the digest, little-endian.
#[inline]
pub(super) fn md5(key: &[u8]) -> u32 {
    let [first, ..] = words(key);
    first
}

/// The digest as text, as md5sum(1) prints it.
pub(crate) fn hex(text: &[u8]) -> String {
    let bytes = Md5::digest(text);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    let [mut a, mut b, mut c, mut d] = START.map(|word| [word; LANES]);
    for at in [0, 4, 8, 12] {
        let mix = |x: u32, y: u32, z: u32| (x & y) | (!x & z);
        step::<7>(&mut a, &b, &c, &d, &block[at], SINES[at], mix);
        step::<12>(&mut d, &a, &b, &c, &block[at + 1], SINES[at + 1], mix);
        step::<17>(&mut c, &d, &a, &b, &block[at + 2], SINES[at + 2], mix);
        step::<22>(&mut b, &c, &d, &a, &block[at + 3], SINES[at + 3], mix);
    }
    for at in [0, 4, 8, 12] {
        let mix = |x: u32, y: u32, z: u32| (x & z) | (y & !z);
        let word = |step: usize| &block[(5 * step + 1) % 16];
        step::<5>(&mut a, &b, &c, &d, word(at), SINES[at + 16], mix);
        step::<9>(&mut d, &a, &b, &c, word(at + 1), SINES[at + 17], mix);
        step::<14>(&mut c, &d, &a, &b, word(at + 2), SINES[at + 18], mix);
        step::<20>(&mut b, &c, &d, &a, word(at + 3), SINES[at + 19], mix);
    }
    for at in [0, 4, 8, 12] {
        let mix = |x: u32, y: u32, z: u32| x ^ y ^ z;
        let word = |step: usize| &block[(3 * step + 5) % 16];
        step::<4>(&mut a, &b, &c, &d, word(at), SINES[at + 32], mix);
        step::<11>(&mut d, &a, &b, &c, word(at + 1), SINES[at + 33], mix);
        step::<16>(&mut c, &d, &a, &b, word(at + 2), SINES[at + 34], mix);
        step::<23>(&mut b, &c, &d, &a, word(at + 3), SINES[at + 35], mix);
    }
    for at in [0, 4, 8, 12] {
        let mix = |x: u32, y: u32, z: u32| y ^ (x | !z);
        let word = |step: usize| &block[7 * step % 16];
        step::<6>(&mut a, &b, &c, &d, word(at), SINES[at + 48], mix);
        step::<10>(&mut d, &a, &b, &c, word(at + 1), SINES[at + 49], mix);
        step::<15>(&mut c, &d, &a, &b, word(at + 2), SINES[at + 50], mix);
        step::<21>(&mut b, &c, &d, &a, word(at + 3), SINES[at + 51], mix);
    }
    let mut state = [a, b, c, d];
    for (word, start) in state.iter_mut().zip(START) {
        for lane in word {
            *lane = lane.wrapping_add(start);
        }
    }
    state
}

/// One step in every lane. A function of its own, with a shift known to the compiler: so its loop
/// stays a loop, and becomes one over vectors.
#[inline(never)]
fn step<const SHIFT: u32>(
    a: &mut Lanes,
    b: &Lanes,
    c: &Lanes,
    d: &Lanes,
    word: &Lanes,
    sine: u32,
    mix: impl Fn(u32, u32, u32) -> u32,
) {
    for lane in 0..LANES {
        let sum = a[lane]
            .wrapping_add(mix(b[lane], c[lane], d[lane]))
            .wrapping_add(word[lane])
            .wrapping_add(sine);
        a[lane] = b[lane].wrapping_add(sum.rotate_left(SHIFT));
    }
}

/// The whole parts of 2^32 times the sines of 1 to 64.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee,
    0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be,
    0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa,
    0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed,
    0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c,
    0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05,
    0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039,
    0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
    0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

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
