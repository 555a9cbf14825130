//! The three cyclic redundancy checks.

/// CRC-16 of polynomial 0x1021, most significant bit first, one byte a step.
const CRC16: [u32; 256] = crc16_table();

const fn crc16_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut c = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 0x8000 != 0 {
                (c << 1) ^ 0x1021
            } else {
                c << 1
            };
            bit += 1;
        }
        table[i] = c as u32;
        i += 1;
    }
    table
}

#[inline]
pub(super) fn crc16(key: &[u8]) -> u32 {
    let mut c = 0u32;
    for &byte in key {
        // Compat: twemproxy keeps the check in 32 bits and never masks it, so the upper half holds
        // what was shifted out (nc_crc16.c). Test: vectors.
        c = (c << 8) ^ CRC16[(((c >> 8) ^ u32::from(byte)) & 0xff) as usize];
    }
    c
}

/// The standard CRC-32, cut to 15 bits as libmemcached does.
#[inline]
pub(super) fn crc32(key: &[u8]) -> u32 {
    (crc32a(key) >> 16) & 0x7fff
}

/// The standard CRC-32, whole.
#[inline]
pub(super) fn crc32a(key: &[u8]) -> u32 {
    crc32fast::hash(key)
}
