//! Which server of a pool a key lives on: tag, then hash, then distribution.
//!
//! A [`Router`] is built whole from the servers and which of them are live, and never changed; when
//! a server is ejected or returns a new one is built and takes the old one's place. So it can be
//! shared between threads, and requests that were routed before the change are not disturbed.
//! This room does not know why a server is out, nor what a request is.

mod ketama;
mod modula;
mod random;
mod tag;

#[cfg(test)]
mod vectors;

use std::str::FromStr;

use crate::hash::Hash;

pub use tag::hashed_part;

/// How keys are spread over the servers of a pool, named as in the `distribution` key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// A ring of weighted points, as libketama.
    Ketama,
    /// Hash modulo the sum of weights.
    Modula,
    /// A fresh draw for each request.
    Random,
}

impl Distribution {
    /// Every distribution with its name in the configuration.
    pub const ALL: [(&'static str, Distribution); 3] = [
        ("ketama", Distribution::Ketama),
        ("modula", Distribution::Modula),
        ("random", Distribution::Random),
    ];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// A name that is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown distribution \"{0}\"")]
pub struct UnknownDistribution(pub String);

impl FromStr for Distribution {
    type Err = UnknownDistribution;

    /// Names are exact and lower case.
    fn from_str(name: &str) -> Result<Self, UnknownDistribution> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, distribution)| *distribution)
            .ok_or_else(|| UnknownDistribution(name.to_owned()))
    }
}

/// A server of a pool: its place in the pool's order (sorted by name, as everywhere).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(pub u16);

impl ServerIndex {
    /// The same, to index a slice with.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What the router must know of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted<'a> {
    /// The name that ketama labels its points with.
    pub name: &'a str,
    /// At least 1.
    pub weight: u32,
    /// False while the server is ejected.
    pub live: bool,
}

/// Leads each key of a pool to one of its live servers. Immutable.
#[derive(Clone, Debug)]
pub struct Router {
    hash: Hash,
    tag: Option<[u8; 2]>,
    live: Vec<bool>,
    live_count: usize,
    spread: Spread,
}

/// Where the live servers lie.
#[derive(Clone, Debug)]
enum Spread {
    /// No server is live.
    Nobody,
    /// The pool has this one server, and it is live.
    Only(ServerIndex),
    Ketama(ketama::Ring),
    Modula(modula::Shares),
    Random(random::Uniform),
}

impl Router {
    /// Most servers a pool can have.
    pub const SERVER_LIMIT: usize = u16::MAX as usize;

    /// Builds the router of a pool; `servers` are in the pool's order.
    ///
    /// The answers do not depend on anything but the arguments. Building takes memory and time in
    /// proportion to the number of servers, whatever the weights.
    ///
    /// # Panics
    /// With more than [`Router::SERVER_LIMIT`] servers: the configuration refuses such a pool.
    pub fn new(
        hash: Hash,
        tag: Option<[u8; 2]>,
        distribution: Distribution,
        servers: &[Weighted<'_>],
    ) -> Router {
        assert!(
            servers.len() <= Self::SERVER_LIMIT,
            "{} servers in one pool",
            servers.len()
        );
        let live: Vec<bool> = servers.iter().map(|server| server.live).collect();
        let live_count = live.iter().filter(|&&live| live).count();
        let candidates: Vec<Candidate<'_>> = servers
            .iter()
            .zip(0u16..)
            .filter(|(server, _)| server.live)
            .map(|(server, i)| Candidate {
                name: server.name,
                weight: server.weight,
                index: ServerIndex(i),
            })
            .collect();
        let spread = match (candidates.as_slice(), distribution) {
            ([], _) => Spread::Nobody,
            // Compat: a pool of exactly one configured server never hashes (nc_server.c). One live
            // server of several leads to the same place by its own way, so it may take this one.
            ([only], _) => Spread::Only(only.index),
            (candidates, Distribution::Ketama) => Spread::Ketama(ketama::Ring::new(candidates)),
            (candidates, Distribution::Modula) => Spread::Modula(modula::Shares::new(candidates)),
            (candidates, Distribution::Random) => Spread::Random(random::Uniform::new(candidates)),
        };
        Router {
            hash,
            tag,
            live,
            live_count,
            spread,
        }
    }

    /// The server of `key`; `None` when no server is live.
    ///
    /// `draw` is a fresh random number. Only [`Distribution::Random`] uses it; the others give the
    /// same server for the same key each time.
    #[inline]
    pub fn pick(&self, key: &[u8], draw: u32) -> Option<ServerIndex> {
        match &self.spread {
            Spread::Nobody => None,
            Spread::Only(server) => Some(*server),
            Spread::Ketama(ring) => Some(ring.pick(self.hash_of(key))),
            Spread::Modula(shares) => Some(shares.pick(self.hash_of(key))),
            Spread::Random(uniform) => Some(uniform.pick(draw)),
        }
    }

    /// Whether requests are sent to this server. False also for an index the pool does not have.
    #[inline]
    pub fn is_live(&self, server: ServerIndex) -> bool {
        self.live.get(server.index()).copied().unwrap_or(false)
    }

    /// How many servers are live.
    pub fn live_count(&self) -> usize {
        self.live_count
    }

    /// Whether only a part of this key decides where it lives.
    pub fn is_tagged(&self, key: &[u8]) -> bool {
        self.tag
            .is_some_and(|tag| hashed_part(key, tag).len() < key.len())
    }

    #[inline]
    fn hash_of(&self, key: &[u8]) -> u32 {
        let part = match self.tag {
            Some(tag) => hashed_part(key, tag),
            None => key,
        };
        self.hash.of(part)
    }
}

/// A live server.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    name: &'a str,
    weight: u32,
    index: ServerIndex,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    fn servers(live: &[bool]) -> Vec<Weighted<'static>> {
        live.iter()
            .zip(NAMES)
            .map(|(&live, name)| Weighted {
                name,
                weight: 1,
                live,
            })
            .collect()
    }

    #[test]
    fn a_router_is_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Router>();
    }

    #[test]
    fn nobody_live_means_no_server() {
        for (_, distribution) in Distribution::ALL {
            for live in [&[][..], &[false], &[false, false]] {
                let router = Router::new(Hash::Fnv1a64, None, distribution, &servers(live));
                assert_eq!(router.pick(b"key", 7), None);
                assert_eq!(router.live_count(), 0);
            }
        }
    }

    #[test]
    fn one_live_server_gets_every_key() {
        for (_, distribution) in Distribution::ALL {
            let live = [false, false, true, false];
            let router = Router::new(Hash::Md5, None, distribution, &servers(&live));
            for draw in [0, 1, u32::MAX] {
                assert_eq!(router.pick(&draw.to_be_bytes(), draw), Some(ServerIndex(2)));
            }
            assert_eq!(router.live_count(), 1);
            assert!(router.is_live(ServerIndex(2)));
            assert!(!router.is_live(ServerIndex(1)));
            assert!(!router.is_live(ServerIndex(4)));
        }
    }

    #[test]
    fn a_tag_decides_alone() {
        let live = [true; 4];
        let router = Router::new(
            Hash::Fnv1a64,
            Some(*b"{}"),
            Distribution::Ketama,
            &servers(&live),
        );
        let bare = Router::new(Hash::Fnv1a64, None, Distribution::Ketama, &servers(&live));
        for i in 0..100 {
            let key = format!("{i}{{user}}");
            assert_eq!(router.pick(key.as_bytes(), 0), bare.pick(b"user", 0));
        }
    }

    #[test]
    fn names_lead_to_their_distribution_and_back() {
        for (name, distribution) in Distribution::ALL {
            assert_eq!(name.parse(), Ok(distribution));
            assert_eq!(distribution.name(), name);
        }
        let error = "Ketama".parse::<Distribution>().expect_err("upper case");
        assert_eq!(error.to_string(), "unknown distribution \"Ketama\"");
    }
}
