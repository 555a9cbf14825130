//! Keys whose values were large lately.
//!
//! A server needs a while to begin a large reply, and what others ask meanwhile over the same connection
//! stands behind it until it has passed. So who asks for such a key again does it over a spare
//! connection, where there is one and the client does not wait for the shared one. The same goes for a key
//! whose large value was written here.
//!
//! Keys are remembered by a print of a few bytes. Two that share one cost a detour, and nothing else.

use std::time::Duration;

use super::time::Time;
use crate::protocol::fingerprint;

/// How many keys of a pool are remembered. When there are more, the oldest is forgotten.
const KEYS_MAX: usize = 64;

/// How long a key is remembered after a large value of it passed.
const KEPT: Duration = Duration::from_secs(600);

/// What is remembered of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyHash(u32);

impl KeyHash {
    /// That of a request that is not for one key.
    pub const NONE: KeyHash = KeyHash(0);

    /// That of a key.
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        KeyHash(fingerprint(key))
    }

    /// It as a number; 0 for none.
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The keys of one pool.
#[derive(Debug, Default)]
pub(super) struct LargeKeys {
    /// Until when each is remembered.
    keys: Vec<(KeyHash, Time)>,
    /// Until when any is.
    end: Time,
}

impl LargeKeys {
    /// A large value of the key with this print passes, or did.
    pub fn note(&mut self, print: KeyHash, now: Time) {
        if print == KeyHash::NONE {
            return;
        }
        self.end = now + KEPT;
        if let Some(known) = self.keys.iter_mut().find(|known| known.0 == print) {
            known.1 = self.end;
            return;
        }
        self.keys.retain(|known| known.1 > now);
        if self.keys.len() == KEYS_MAX {
            let oldest = (0..KEYS_MAX).min_by_key(|&place| self.keys[place].1);
            oldest.map(|place| self.keys.swap_remove(place));
        }
        self.keys.push((print, self.end));
    }

    /// Whether the reply to a request with this print will probably be large.
    #[inline]
    pub fn has(&self, print: KeyHash, now: Time) -> bool {
        now < self.end && self.find(print, now)
    }

    #[cold]
    fn find(&self, print: KeyHash, now: Time) -> bool {
        let is_it = |known: &(KeyHash, Time)| known.0 == print && known.1 > now;
        print != KeyHash::NONE && self.keys.iter().any(is_it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> KeyHash {
        KeyHash::of(format!("key:{number}:of a user").as_bytes())
    }

    #[test]
    fn a_key_is_remembered_for_a_while() {
        let mut heavy = LargeKeys::default();
        let start = Time(5);
        assert!(!heavy.has(key(1), start));
        heavy.note(key(1), start);
        assert!(heavy.has(key(1), start + KEPT / 2));
        assert!(!heavy.has(key(2), start + KEPT / 2));
        heavy.note(key(2), start + KEPT / 2);
        assert!(!heavy.has(key(1), start + KEPT) && heavy.has(key(2), start + KEPT));
        heavy.note(KeyHash::NONE, start);
        assert!(!heavy.has(KeyHash::NONE, start));
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let mut heavy = LargeKeys::default();
        for number in 0..200 {
            heavy.note(key(number), Time(number));
        }
        let known = (0..200).filter(|&number| heavy.has(key(number), Time(200)));
        assert!(known.eq(200 - KEYS_MAX as u64..200));
    }

    #[test]
    fn similar_keys_differ() {
        let mut prints: Vec<u32> = (0..1000).map(|number| key(number).0).collect();
        prints.extend([&b""[..], b"\0", b"\0\0", b"a", b"aaaaaaaa"].map(|key| KeyHash::of(key).0));
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 1005);
    }
}
