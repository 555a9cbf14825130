//! What is asked of each system, and the profiles: how much of it, for how long.

use std::time::Duration;

use crate::wire::{Protocol, Verb};

/// Requests of one kind from so many clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The protocol.
    pub protocol: Protocol,
    /// What each request does.
    pub verb: Verb,
    /// Bytes of a value.
    pub value: usize,
    /// Requests each client sends at once.
    pub pipeline: usize,
    /// Clients.
    pub clients: usize,
}

impl Workload {
    /// Its name in tables: `GET 64 B, 50 clients, P=32`.
    pub fn name(&self) -> String {
        let verb = match (self.protocol, self.verb) {
            (Protocol::Redis, Verb::Get) => "GET".to_owned(),
            (Protocol::Redis, Verb::Set) => "SET".to_owned(),
            (Protocol::Redis, Verb::Multi(count)) => format!("MGET of {count}"),
            (Protocol::Memcache, Verb::Get) => "memcached get".to_owned(),
            (Protocol::Memcache, Verb::Set) => "memcached set".to_owned(),
            (Protocol::Memcache, Verb::Multi(count)) => format!("memcached get of {count}"),
        };
        let value = match self.value {
            value if value >= 1024 => format!("{} KiB", value / 1024),
            value => format!("{value} B"),
        };
        let clients = match self.clients {
            1 => "1 client".to_owned(),
            count => format!("{count} clients"),
        };
        format!("{verb} {value}, {clients}, P={}", self.pipeline)
    }

    /// Keys are drawn from so many: all values together stay far below the servers' memory.
    pub fn keys(&self) -> u64 {
        match self.value {
            0..1024 => 10_000,
            1024..100_000 => 1000,
            _ => 100,
        }
    }
}

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Rounds per workload; in each, every system is measured once.
    pub rounds: usize,
    /// How long one measurement takes, about.
    pub length: Duration,
    /// What is measured.
    pub workloads: Vec<Workload>,
}

impl Profile {
    /// The profile of this name.
    pub fn of(name: &str) -> Option<Self> {
        let ms = Duration::from_millis;
        Some(match name {
            "quick" => Self {
                rounds: 2,
                length: ms(300),
                workloads: main(),
            },
            "usual" => Self {
                rounds: 5,
                length: ms(700),
                workloads: main(),
            },
            "full" => Self {
                rounds: 7,
                length: ms(2000),
                workloads: full(),
            },
            _ => return None,
        })
    }
}

fn redis(verb: Verb, value: usize, clients: usize, pipeline: usize) -> Workload {
    Workload {
        protocol: Protocol::Redis,
        verb,
        value,
        pipeline,
        clients,
    }
}

fn memcache(verb: Verb, value: usize, clients: usize, pipeline: usize) -> Workload {
    Workload {
        protocol: Protocol::Memcache,
        verb,
        value,
        pipeline,
        clients,
    }
}

/// Bytes of the three kinds of value.
const SMALL: usize = 64;
const MIDDLE: usize = 16 * 1024;
const LARGE: usize = 256 * 1024;

/// The rows that have a target, and their neighbours. Those with values of one length follow each
/// other, since the servers are filled for each.
fn main() -> Vec<Workload> {
    let (get, set, multi) = (Verb::Get, Verb::Set, Verb::Multi(20));
    vec![
        redis(get, SMALL, 50, 32),
        redis(set, SMALL, 50, 32),
        redis(get, SMALL, 1000, 32),
        redis(get, SMALL, 1, 1),
        redis(set, SMALL, 1, 1),
        redis(get, SMALL, 8, 1),
        redis(set, SMALL, 8, 1),
        redis(get, SMALL, 50, 1),
        redis(set, SMALL, 50, 1),
        redis(get, SMALL, 1000, 1),
        redis(set, SMALL, 1000, 1),
        redis(multi, SMALL, 50, 1),
        redis(get, MIDDLE, 50, 1),
        redis(set, MIDDLE, 50, 1),
        redis(get, LARGE, 10, 1),
        redis(set, LARGE, 10, 1),
        memcache(get, SMALL, 50, 32),
        memcache(get, SMALL, 50, 1),
        memcache(set, SMALL, 50, 1),
        memcache(get, SMALL, 1000, 1),
        memcache(multi, SMALL, 50, 1),
    ]
}

/// Every verb, value, number of clients and pipeline, but for those whose values would fill more
/// than the memory of a small machine at once.
fn full() -> Vec<Workload> {
    let mut all = main();
    let mut add = |workload: Workload| {
        let at_once = workload.value * workload.clients * workload.pipeline;
        if at_once <= 64 << 20 && !all.contains(&workload) {
            all.push(workload);
        }
    };
    for value in [SMALL, MIDDLE, LARGE] {
        for clients in [1, 8, 50, 1000] {
            for pipeline in [1, 32] {
                for verb in [Verb::Get, Verb::Set] {
                    add(redis(verb, value, clients, pipeline));
                    add(memcache(verb, value, clients, pipeline));
                }
            }
        }
    }
    all.sort_by_key(|workload| (workload.protocol == Protocol::Memcache, workload.value));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_length_follow_each_other() {
        for name in ["quick", "usual", "full"] {
            let profile = Profile::of(name).expect("it is one of three");
            let mut groups: Vec<_> = profile
                .workloads
                .iter()
                .map(|w| (w.protocol, w.value))
                .collect();
            groups.dedup();
            let mut once = groups.clone();
            once.sort_by_key(|&(protocol, value)| (protocol == Protocol::Memcache, value));
            once.dedup();
            assert_eq!(groups.len(), once.len(), "{name}");
        }
    }
}
