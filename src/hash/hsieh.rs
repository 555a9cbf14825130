//! Paul Hsieh's SuperFastHash, as twemproxy starts and ends it.

use super::signed;

#[inline]
pub(super) fn hsieh(key: &[u8]) -> u32 {
    // Compat: the start value is 0, not the length of the key (nc_hsieh.c). Test: vectors.
    let mut h = 0u32;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        h = h.wrapping_add(pair(chunk[0], chunk[1]));
        let t = (pair(chunk[2], chunk[3]) << 11) ^ h;
        h = (h << 16) ^ t;
        h = h.wrapping_add(h >> 11);
    }
    match *chunks.remainder() {
        [a, b, c] => {
            h = h.wrapping_add(pair(a, b));
            h ^= h << 16;
            // Compat: of all bytes only this one is read as signed. Test: vectors.
            h ^= signed(c) << 18;
            h = h.wrapping_add(h >> 11);
        }
        [a, b] => {
            h = h.wrapping_add(pair(a, b));
            h ^= h << 11;
            h = h.wrapping_add(h >> 17);
        }
        [a] => {
            h = h.wrapping_add(u32::from(a));
            h ^= h << 10;
            h = h.wrapping_add(h >> 1);
        }
        _ if key.is_empty() => return 0,
        _ => {}
    }
    h ^= h << 3;
    h = h.wrapping_add(h >> 5);
    h ^= h << 4;
    h = h.wrapping_add(h >> 17);
    h ^= h << 25;
    h.wrapping_add(h >> 6)
}

#[inline]
fn pair(low: u8, high: u8) -> u32 {
    u32::from(u16::from_le_bytes([low, high]))
}
