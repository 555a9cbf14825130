//! Which keys each server of a pool has had and when, and RANDOMKEY, which must tell one of them.
//!
//! Model servers enter what they store and remove. A key is a right answer if it was there at any moment
//! since it was asked for, and nothing is one if all servers were empty at some moment since.

use std::collections::{BTreeMap, BTreeSet};

use crate::agenda::Micros;
use crate::client::Client;
use crate::everywhere::Fanned;
use crate::judging::Want;
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::scene::Scene;
use crate::server::Server;
use crate::store::{Outcome, Store};
use crate::value::Mark;

/// The keys of a server.
#[derive(Clone, Debug, Default)]
struct Keys {
    there: BTreeSet<Vec<u8>>,
    /// Until when it had none, if it has some.
    empty_until: Micros,
}

/// The keys of a pool.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    servers: BTreeMap<usize, Keys>,
    /// When each key was last removed.
    gone: BTreeMap<Vec<u8>, Micros>,
    /// When a server last forgot all its keys because a client said so.
    pub wiped: Option<Micros>,
    /// What it forgot then; their owners were not told yet.
    pub wiped_values: Vec<(Vec<u8>, Mark)>,
}

impl Presence {
    /// A server has a key, or has it no longer.
    pub fn note(&mut self, server: usize, key: &[u8], is_there: bool, now: Micros) {
        let keys = self.servers.entry(server).or_default();
        if !is_there {
            if keys.there.remove(key) {
                self.gone.insert(key.to_vec(), now);
            }
            return;
        }
        if keys.there.is_empty() {
            keys.empty_until = now;
        }
        keys.there.insert(key.to_vec());
    }

    /// A server has none of its keys any longer.
    pub fn clear(&mut self, server: usize, now: Micros) {
        let keys = self.servers.entry(server).or_default();
        let gone = std::mem::take(&mut keys.there);
        self.gone.extend(gone.into_iter().map(|key| (key, now)));
    }

    /// Whether a server forgot all its keys then or later because a client said so.
    pub fn was_wiped_since(&self, since: Micros) -> bool {
        self.wiped.is_some_and(|wiped| wiped >= since)
    }

    fn was_there_since(&self, key: &[u8], since: Micros) -> bool {
        self.gone.get(key).is_some_and(|gone| *gone >= since)
            || self.servers.values().any(|keys| keys.there.contains(key))
    }

    fn was_empty_since(&self, server: usize, since: Micros) -> bool {
        let is_filled = |keys: &Keys| !keys.there.is_empty() && keys.empty_until < since;
        !self.servers.get(&server).is_some_and(is_filled)
    }
}

impl Store {
    fn has(&self, key: &[u8]) -> bool {
        self.values.contains_key(key) || self.counters.contains_key(key)
    }
}

impl Server {
    /// Enters which of the keys of a command there are now.
    pub(crate) fn note_keys(&self, scene: &mut Scene, args: &[Vec<u8>]) {
        let step = match args[0].to_ascii_uppercase().as_slice() {
            b"SET" | b"MSET" => 2,
            b"DEL" | b"UNLINK" | b"INCR" => 1,
            _ => return,
        };
        for key in args[1..].iter().step_by(step) {
            let is_there = self.store.has(key);
            scene.ledger.presence[self.pool].note(self.number, key, is_there, scene.now);
        }
    }

    /// Executes RANDOMKEY.
    pub(crate) fn random_key(
        &mut self,
        scene: &mut Scene,
        args: &[Vec<u8>],
        version: Version,
    ) -> Option<Outcome> {
        if !args[0].eq_ignore_ascii_case(b"RANDOMKEY") {
            return None;
        }
        scene.ledger.rounds[self.pool].done("RANDOMKEY", self.number);
        let keys: Vec<&Vec<u8>> = self.store.keys().collect();
        let nothing = version.nothing(b"$-1\r\n").to_vec();
        let mut outcome = Outcome {
            reply: match keys.is_empty() {
                true => nothing.clone(),
                false => redis::echo_bulk(keys[self.draw.below(keys.len())]),
            },
            is_share: true,
            ..Outcome::default()
        };
        if keys.is_empty() || !scene.plan.never_fails() {
            return Some(outcome);
        }
        let plan = &scene.plan.pools[self.pool];
        let is_alone = plan.config.servers.len() == 1;
        // Nobody removes counters.
        let stays = plan.wipes == 0 && !self.store.counters.is_empty();
        // Nobody waits that long for a reply.
        let long = scene.now.saturating_sub(1_000_000);
        let is_filled = !scene.ledger.presence[self.pool].was_empty_since(self.number, long);
        if is_alone && scene.strikes(Plant::StrangeKey) {
            outcome.reply = redis::echo_bulk(b"o:999:0:");
        } else if is_alone && stays && is_filled && scene.strikes(Plant::NoKey) {
            outcome.reply = nothing;
        }
        Some(outcome)
    }
}

impl Client {
    pub(crate) fn compose_random_key(&self, scene: &mut Scene) -> (Vec<u8>, Want) {
        scene.ledger.rounds[self.pool].asked("RANDOMKEY");
        let request = redis::request(&[b"randomkey"]);
        (request, Want::Fanned(Fanned::Random(scene.now)))
    }

    /// Whether this key was there since then; or, if it is none, whether there may have been none.
    pub(crate) fn accept_random_key(
        &self,
        scene: &mut Scene,
        since: Micros,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let Reply::Bulk(key) = reply else {
            return Err("another kind of reply");
        };
        let servers = scene.plan.pools[self.pool].config.servers.len();
        let is_whole = !self.may_be_out(scene);
        let presence = &scene.ledger.presence[self.pool];
        let was_empty = |server| presence.was_empty_since(server, since);
        match key {
            Some(key) if !presence.was_there_since(key, since) => {
                return Err("a key that was not there");
            }
            None if is_whole && !(0..servers).all(was_empty) => {
                return Err("no key, and there were some");
            }
            None if !(0..servers).any(was_empty) => {
                return Err("no key, and all servers had some");
            }
            _ => {}
        }
        scene.ledger.count(match key {
            Some(_) => "keys told at random",
            None => "no key told at random",
        });
        if is_whole {
            scene.ledger.rounds[self.pool].acked("RANDOMKEY");
        }
        if servers > 1 {
            scene.ledger.count("RANDOMKEY");
        }
        Ok(())
    }
}
