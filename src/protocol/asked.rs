//! What is known of the requests whose replies are still to come on a connection, beside what kinds of
//! replies they have: as far as it takes to see that a reply is theirs.

use std::collections::VecDeque;

use super::{
    BadReply, Fed, Protocol, ReplyScan, Stamp, Version, binary, fingerprint, memcache, redis,
};

/// What the next reply must be of, and the keys of gets of several keys, in the order in which these were
/// sent.
#[derive(Debug, Default)]
pub struct Asked {
    /// The fingerprint of the key whose value the next reply may be; 0 if any (memcached).
    pub print: u32,
    /// What the next reply must repeat of its request, if that is known (memcached's binary protocol).
    pub stamp: Option<Stamp>,
    /// For each get the number of its keys, then their fingerprints.
    prints: VecDeque<u32>,
    /// How many keys of the first get its reply has passed by.
    passed: usize,
}

impl Asked {
    /// A get of these keys was sent.
    pub fn push<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) {
        let start = self.prints.len();
        self.prints.push_back(0);
        self.prints.extend(keys.map(fingerprint));
        self.prints[start] = (self.prints.len() - start - 1) as u32;
    }

    /// Whether the first get asked for this key. Servers answer in the order of the keys; one that does
    /// not costs a walk over all of them.
    #[inline]
    pub fn has(&mut self, key: &[u8]) -> bool {
        let print = fingerprint(key);
        let next = self.passed + 1;
        if self.count() > self.passed && self.prints[next] == print {
            self.passed = next;
            return true;
        }
        self.find(print)
    }

    #[cold]
    fn find(&mut self, print: u32) -> bool {
        let keys = 1..=self.count();
        let behind = |index: &usize| *index > self.passed;
        let found = keys
            .clone()
            .filter(behind)
            .chain(keys)
            .find(|&index| self.prints[index] == print);
        self.passed = found.unwrap_or(self.passed);
        found.is_some()
    }

    fn count(&self) -> usize {
        self.prints.front().map_or(0, |&count| count as usize)
    }

    /// The first get was sent on another connection instead, whose last one it is.
    pub fn move_first(&mut self, to: &mut Asked) {
        let whole = (self.count() + 1).min(self.prints.len());
        to.prints.extend(self.prints.range(..whole));
        self.pop();
    }

    /// The first get was answered.
    pub fn pop(&mut self) {
        let whole = (self.count() + 1).min(self.prints.len());
        self.prints.drain(..whole);
        self.passed = 0;
        if self.prints.is_empty() && self.prints.capacity() > 1024 {
            self.prints = VecDeque::new();
        }
    }
}

impl Protocol {
    /// The length of the reply that `bytes` start with, if it is whole and one of the most usual in this
    /// version of the protocol.
    #[inline]
    pub fn whole_reply(self, bytes: &[u8], version: Version) -> Option<usize> {
        match self {
            Self::Redis => redis::reply::whole_usual(bytes, version),
            // What ends a reply depends on what was asked.
            Self::Memcache | Self::Binary => None,
        }
    }

    /// Finds the end of the reply whose start `scan` has seen.
    #[inline]
    pub fn feed_reply(self, scan: &mut ReplyScan, bytes: &[u8]) -> Result<Fed, BadReply> {
        self.feed_reply_to(None, scan, bytes)
    }

    /// The same, where more is known of the request than what kinds of replies it has.
    #[inline]
    pub fn feed_reply_to(
        self,
        asked: Option<&mut Asked>,
        scan: &mut ReplyScan,
        bytes: &[u8],
    ) -> Result<Fed, BadReply> {
        match self {
            Self::Redis => redis::reply::feed(scan, bytes),
            Self::Memcache => memcache::reply::feed(scan, asked, bytes),
            Self::Binary => binary::reply::feed(scan, asked.and_then(|asked| asked.stamp), bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_the_first_get_are_known_in_whatever_order() {
        let mut asked = Asked::default();
        let get = |keys: &'static [&'static [u8]]| keys.iter().copied();
        asked.push(get(&[b"a", b"b", b"c", b"a"]));
        asked.push(get(&[b"d"]));
        for key in [&b"a"[..], b"c", b"a", b"b", b"b"] {
            assert!(asked.has(key), "{key:?}");
        }
        assert!(!asked.has(b"d"));
        let mut other = Asked::default();
        other.push(get(&[b"z"]));
        asked.move_first(&mut other);
        other.pop();
        assert!(other.has(b"a") && other.has(b"c") && !other.has(b"d"));
        assert!(asked.has(b"d") && !asked.has(b"a"));
        asked.pop();
        assert!(!asked.has(b"d"));
        asked.pop();
        assert!(!asked.has(b"d"));
    }
}
