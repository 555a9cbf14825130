//! Values that say which key they belong to, so that a reply handed to the wrong request is
//! noticed, and the random numbers tests are made of.

use super::shown;

/// A repeatable stream of random numbers (splitmix64). A failing test is replayed by its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// `length` random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// A value of about `length` bytes that names `key` and `version` and carries a checksum.
pub fn described(key: &[u8], version: u64, length: usize) -> Vec<u8> {
    let mut value = format!("{}:{version}:", key.len()).into_bytes();
    value.extend_from_slice(key);
    let filler = length.saturating_sub(value.len() + 16);
    value.extend(Random::new(checksum(key) ^ version).bytes(filler));
    let sum = checksum(&value);
    value.extend_from_slice(format!("{sum:016x}").as_bytes());
    value
}

/// Fails the test unless `value` is whole and belongs to `key`; gives its version.
#[track_caller]
pub fn check(key: &[u8], value: &[u8]) -> u64 {
    let split = value
        .len()
        .checked_sub(16)
        .expect("a value with its checksum");
    let (body, sum) = value.split_at(split);
    assert_eq!(
        sum,
        format!("{:016x}", checksum(body)).as_bytes(),
        "damaged value for {}: {}",
        shown(key),
        shown(value)
    );
    let mut parts = body.splitn(3, |&byte| byte == b':');
    let length = number(parts.next()) as usize;
    let version = number(parts.next());
    let owner = &parts.next().expect("a value names its key")[..length];
    assert_eq!(
        shown(owner),
        shown(key),
        "the value of one key came as the value of another"
    );
    version
}

fn number(text: Option<&[u8]>) -> u64 {
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok())
        .expect("a value starts with numbers")
}

/// FNV-1a over words of eight bytes: quick enough for 100 MB in a debug build.
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        sum = (sum ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }
    for &byte in words.remainder() {
        sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    sum
}
