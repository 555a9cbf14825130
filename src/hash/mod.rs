//! The twelve key hashes of twemproxy, bit for bit.
//!
//! One family a file. Each returns an unsigned 32-bit value and knows nothing of servers or rings;
//! `route` decides which bytes are hashed and what the value means.
//!
//! Several of them are not the textbook function of their name: some read key bytes as *signed*
//! (as twemproxy does where C's `char` is signed, that is on every x86 build), one forgets a mask.
//! Each such place carries a `Compat` comment. Changing one would move keys between servers.

mod crc;
mod fnv;
mod hsieh;
mod jenkins;
mod md5;
mod murmur;
mod one_at_a_time;

#[cfg(test)]
mod tests;

use std::str::FromStr;

pub(crate) use md5::{
    LANES as MD5_LANES, SHORT_MAX as MD5_SHORT_MAX, hex as md5_hex, words as md5_words,
    words_of_short as md5_words_of_short,
};

/// A key hash, named as in the `hash` key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Hash {
    OneAtATime,
    Md5,
    Crc16,
    Crc32,
    Crc32a,
    Fnv1_64,
    Fnv1a64,
    Fnv1_32,
    Fnv1a32,
    Hsieh,
    Murmur,
    Jenkins,
}

impl Hash {
    /// Every hash with its name in the configuration, in twemproxy's order.
    pub const ALL: [(&'static str, Hash); 12] = [
        ("one_at_a_time", Hash::OneAtATime),
        ("md5", Hash::Md5),
        ("crc16", Hash::Crc16),
        ("crc32", Hash::Crc32),
        ("crc32a", Hash::Crc32a),
        ("fnv1_64", Hash::Fnv1_64),
        ("fnv1a_64", Hash::Fnv1a64),
        ("fnv1_32", Hash::Fnv1_32),
        ("fnv1a_32", Hash::Fnv1a32),
        ("hsieh", Hash::Hsieh),
        ("murmur", Hash::Murmur),
        ("jenkins", Hash::Jenkins),
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// The hash of a key, as the proxy uses it.
    #[inline]
    pub fn of(self, key: &[u8]) -> u32 {
        // Compat: twemproxy never hands an empty key to the function; its value is 0, whatever
        // the function would say. Test: an_empty_key_is_zero.
        if key.is_empty() { 0 } else { self.raw(key) }
    }

    /// The function itself, without the rule for empty keys.
    #[inline]
    fn raw(self, key: &[u8]) -> u32 {
        match self {
            Hash::OneAtATime => one_at_a_time::one_at_a_time(key),
            Hash::Md5 => md5::md5(key),
            Hash::Crc16 => crc::crc16(key),
            Hash::Crc32 => crc::crc32(key),
            Hash::Crc32a => crc::crc32a(key),
            Hash::Fnv1_64 => fnv::fnv1_64(key),
            Hash::Fnv1a64 => fnv::fnv1a_64(key),
            Hash::Fnv1_32 => fnv::fnv1_32(key),
            Hash::Fnv1a32 => fnv::fnv1a_32(key),
            Hash::Hsieh => hsieh::hsieh(key),
            Hash::Murmur => murmur::murmur(key),
            Hash::Jenkins => jenkins::jenkins(key),
        }
    }
}

/// A name that is none of the twelve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown hash \"{0}\"")]
pub struct UnknownHash(pub String);

impl FromStr for Hash {
    type Err = UnknownHash;

    /// Names are exact and lower case.
    fn from_str(name: &str) -> Result<Self, UnknownHash> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, hash)| *hash)
            .ok_or_else(|| UnknownHash(name.to_owned()))
    }
}

/// A key byte as C reads a signed `char`: bytes from 0x80 on become 0xffff_ff80 and so on.
#[inline]
fn signed(byte: u8) -> u32 {
    byte as i8 as u32
}
