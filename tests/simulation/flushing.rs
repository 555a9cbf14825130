//! Clients that have all keys forgotten: FLUSHALL and FLUSHDB.
//!
//! When success is told each server must have executed it, exactly once; when it was not, at most once.
//! Model servers tell which values they forgot, so that owners of keys know what they may find: nothing
//! where their last value was among these, and nothing but that where they have flushed themselves.

use crate::client::Client;
use crate::everywhere::{Danger, Fanned, refusal};
use crate::judging::Want;
use crate::plant::Plant;
use crate::redis::{self, Reply};
use crate::scene::Scene;
use crate::server::Server;
use crate::store::Outcome;
use crate::value::{self, Mark};
use crate::world::World;

/// The commands.
const NAMES: [&str; 2] = ["FLUSHALL", "FLUSHDB"];

impl Server {
    /// Executes FLUSHALL or FLUSHDB.
    pub(crate) fn flush(&mut self, scene: &mut Scene, args: &[Vec<u8>]) -> Option<Outcome> {
        let is_it = |name: &&str| args[0].eq_ignore_ascii_case(name.as_bytes());
        let name = NAMES.into_iter().find(|name| is_it(name))?;
        let digits = args.get(1).and_then(|word| std::str::from_utf8(word).ok());
        let mark = digits.and_then(|digits| Mark::read(digits.parse().ok()?));
        let mut outcome = Outcome {
            reply: b"+OK\r\n".to_vec(),
            is_share: true,
            is_fragment: scene.plan.pools[self.pool].config.servers.len() > 1,
            ..Outcome::default()
        };
        if scene.plan.never_fails() && scene.strikes(Plant::KeepKeys) {
            return Some(outcome);
        }
        outcome.everywhere = mark;
        scene.ledger.rounds[self.pool].done(name, self.number);
        let presence = &mut scene.ledger.presence[self.pool];
        presence.wiped = Some(scene.now);
        let values = self.store.values.iter();
        let known =
            values.filter_map(|(key, value)| Some((key.clone(), value::check(key, value)?)));
        presence.wiped_values.extend(known);
        for key in self.store.keys() {
            *self.changes.entry(key.clone()).or_default() += 1;
        }
        self.lose_data(scene);
        Some(outcome)
    }
}

impl Client {
    pub(crate) fn compose_flush(&mut self, scene: &mut Scene, seq: u32) -> (Vec<u8>, Want) {
        let name = self.draw.pick(&NAMES);
        let mark = self.mark(seq, 0);
        let number = mark.number().to_string();
        let mixed = match self.draw.one_in(2) {
            true => name.to_ascii_lowercase(),
            false => name.to_owned(),
        };
        let (words, mark): (&[&[u8]], _) = match self.draw.below(4) {
            0 => (&[mixed.as_bytes()], None),
            1 => (&[mixed.as_bytes(), b"ASYNC"], None),
            _ => (&[mixed.as_bytes(), number.as_bytes()], Some(mark)),
        };
        let request = redis::request(words);
        let plan = std::rc::Rc::clone(&scene.plan);
        if let Some(bytes) = refusal(&plan.pools[self.pool], name, Danger::Several) {
            scene.ledger.forbid(self.conn, seq);
            return (request, Want::Bytes(bytes));
        }
        scene.ledger.rounds[self.pool].asked(name);
        (request, Want::Fanned(Fanned::Flushed(name, mark)))
    }

    /// It is told that all keys are gone.
    pub(crate) fn flushed(
        &mut self,
        scene: &mut Scene,
        name: &'static str,
        mark: Option<Mark>,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        if *reply != Reply::Status(b"OK") {
            return Err("another reply");
        }
        self.done_everywhere(scene, mark)?;
        self.owned.iter_mut().for_each(|owned| owned.write(None));
        scene.ledger.rounds[self.pool].acked(name);
        if scene.plan.pools[self.pool].config.servers.len() > 1 {
            scene.ledger.count(name);
        }
        Ok(())
    }
}

impl World {
    /// Owners of keys hear of what servers have forgotten.
    pub(crate) fn tell_of_wipes(&mut self) {
        for presence in &mut self.scene.ledger.presence {
            for (key, mark) in presence.wiped_values.drain(..) {
                let mut owned = self.clients.iter_mut().flat_map(|client| &mut client.owned);
                if let Some(owned) = owned.find(|owned| owned.key == key) {
                    owned.wipe(mark);
                }
            }
        }
    }
}
