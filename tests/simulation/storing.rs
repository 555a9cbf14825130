//! What a client of memcached asks beyond get, set, delete and incr, and how that is judged: values
//! that are stored on a condition, times that are moved, and what all servers do.
//!
//! A condition is right or wrong by what the client knows of its keys: nobody else writes them.

use nutcrab::protocol::Protocol;

use crate::cache;
use crate::client::Client;
use crate::judging::{Element, Owed, Owned, Pending, Want};
use crate::lines::{self, Way};
use crate::redis::Reply;
use crate::scene::Scene;
use crate::value::{self, Mark, Shape};
use crate::{binary, memcache};

/// No server of the model ever gives such a unique number.
pub const NEVER_GIVEN: u64 = 1 << 60;

/// When a value is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// If there is none.
    Absent,
    /// If there is one.
    Present,
    /// If there is the one with this number.
    Unique(u64),
}

/// What is known of the unique number of an owned key, as far as replies were read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unique {
    /// The number it has, if nothing was written since it was told.
    pub now: Option<u64>,
    /// The last number that was told.
    pub told: Option<u64>,
    /// Numbers up to this one are outdated.
    outdated: u64,
}

impl Unique {
    /// A reply tells it.
    fn tell(&mut self, unique: u64) {
        (self.now, self.told) = (Some(unique), Some(unique));
        self.outdated = self.outdated.max(unique.saturating_sub(1));
    }

    /// Something was written.
    pub fn change(&mut self) {
        self.outdated = self.outdated.max(self.now.take().unwrap_or_default());
    }

    /// Something may have been written.
    pub fn doubt(&mut self) {
        self.now = None;
    }

    /// Whether the value may have this number.
    fn may_be(&self, unique: u64) -> bool {
        unique > self.outdated && unique < NEVER_GIVEN && self.now.is_none_or(|now| now == unique)
    }
}

impl Client {
    /// One of the rarer requests.
    pub(crate) fn rarer(&mut self, scene: &mut Scene, seq: u32, way: Way) -> (Vec<u8>, Pending) {
        let number = self.draw.below(self.owned.len());
        let key = self.owned[number].key.clone();
        // What was stored before may be large.
        let least = if self.goes_easy(scene) { 3 } else { 0 };
        let (request, want) = match self.draw.within(least, 11) {
            0 | 1 => (self.identify(way, seq, &key), Want::Identified(number)),
            2 => (
                self.fetch_and_touch(way, seq, &key, Owed::Reply),
                Want::Values(vec![Element::Owned(number)]),
            ),
            3..6 => return self.conditional(scene, seq, way, Owed::Reply),
            6 => return self.extend(seq, way, Owed::Reply),
            7 if way == Way::Classic && self.draw.one_in(3) => (
                memcache::request(&[b"touch", &key, b"-1"]),
                Want::Removed(vec![number]),
            ),
            7 => (self.touch(way, seq, &key), Want::Counted(vec![number], 0)),
            8 => {
                let shape = self.draw.pick(&[Shape::Value, Shape::Nil]);
                let size = self.size(scene);
                let key = self.echo(seq, 0, shape, size);
                let request = self.fetch_and_touch(way, seq, &key, Owed::Reply);
                (request, Want::Values(vec![Element::Echo(key)]))
            }
            9 if way == Way::Meta => {
                let shape = self.draw.pick(&[Shape::Value, Shape::Nil]);
                let key = self.echo(seq, 0, shape, 0);
                let want = Want::Told(memcache::debug_reply(&key));
                return (memcache::request(&[b"me", &key]), Pending::new(seq, want));
            }
            9 => {
                let key = self.echo(seq, 0, Shape::Number, 0);
                let count = self.mark(seq, 0).number() as usize;
                let request = match way {
                    Way::Binary => {
                        binary::request(binary::DECREMENT, seq, &binary::one(), &key, b"")
                    }
                    _ => memcache::request(&[b"decr", &key, b"1"]),
                };
                let want = Want::Counted(Vec::new(), count);
                return (request, self.pending(seq, want));
            }
            _ => return self.everywhere(scene, seq),
        };
        (request, self.stamped(seq, way, want))
    }

    /// A get that tells the unique number, too.
    fn identify(&mut self, way: Way, seq: u32, key: &[u8]) -> Vec<u8> {
        match way {
            Way::Classic if self.draw.one_in(4) => memcache::request(&[b"gats", b"0", key]),
            Way::Classic => memcache::request(&[b"gets", key]),
            Way::Meta => self.meta(b"mg", seq, key, Owed::Reply, &[b"v", b"k", b"c"], None),
            Way::Binary => binary::request(binary::GETK, seq, b"", key, b""),
        }
    }

    /// A get that moves the time of what it finds.
    pub(crate) fn fetch_and_touch(
        &mut self,
        way: Way,
        seq: u32,
        key: &[u8],
        owed: Owed,
    ) -> Vec<u8> {
        match way {
            Way::Classic => memcache::request(&[b"gat", b"0", key]),
            Way::Meta => self.meta(b"mg", seq, key, owed, &[b"v", b"k", b"T0"], None),
            Way::Binary => {
                let opcode = match owed {
                    Owed::Reply => self.draw.pick(&[binary::GAT, binary::GATK]),
                    _ => self.draw.pick(&[binary::GATQ, binary::GATKQ]),
                };
                binary::request(opcode, seq, &[0; 4], key, b"")
            }
        }
    }

    fn touch(&mut self, way: Way, seq: u32, key: &[u8]) -> Vec<u8> {
        match way {
            Way::Classic => memcache::request(&[b"touch", key, b"0"]),
            Way::Meta => self.meta(b"mg", seq, key, Owed::Reply, &[b"T0"], None),
            Way::Binary => binary::request(binary::TOUCH, seq, &[0; 4], key, b""),
        }
    }

    /// Stores a value on a condition, which may be wrong.
    pub(crate) fn conditional(
        &mut self,
        scene: &mut Scene,
        seq: u32,
        way: Way,
        owed: Owed,
    ) -> (Vec<u8>, Pending) {
        let is_told = |owned: &Owned| owned.unique.now.is_some();
        let number = match self.owned.iter().position(is_told) {
            Some(number) if !self.draw.one_in(4) => number,
            _ => self.draw.below(self.owned.len()),
        };
        let key = self.owned[number].key.clone();
        // What is still right rather than what is not.
        let unique = self.owned[number].unique;
        let told = unique.now.or(unique.told).filter(|_| !self.draw.one_in(5));
        let unique = told.unwrap_or(NEVER_GIVEN + u64::from(seq));
        let unique = Condition::Unique(unique);
        let condition = self
            .draw
            .pick(&[Condition::Absent, Condition::Present, unique, unique]);
        let (mark, size) = (self.mark(seq, 0), self.size(scene));
        let value = value::make(&key, mark, size);
        let want = Want::Conditional(number, mark, condition);
        let digits = match condition {
            Condition::Unique(unique) => unique.to_string(),
            _ => String::new(),
        };
        let request = match way {
            Way::Classic => {
                let silent = lines::behind(owed);
                match condition {
                    Condition::Absent => memcache::store(b"add", &key, &value, silent),
                    Condition::Present => memcache::store(b"replace", &key, &value, silent),
                    Condition::Unique(_) => {
                        let behind = [&[digits.as_bytes()], silent].concat();
                        memcache::store(b"cas", &key, &value, &behind)
                    }
                }
            }
            Way::Meta => {
                let flag = match condition {
                    Condition::Absent => "ME".to_owned(),
                    Condition::Present => "MR".to_owned(),
                    Condition::Unique(_) => format!("C{digits}"),
                };
                self.meta(b"ms", seq, &key, owed, &[flag.as_bytes()], Some(&value))
            }
            Way::Binary => {
                let quiet = owed != Owed::Reply;
                let (opcode, unique) = match condition {
                    Condition::Absent if quiet => (binary::ADDQ, 0),
                    Condition::Absent => (binary::ADD, 0),
                    Condition::Present if quiet => (binary::REPLACEQ, 0),
                    Condition::Present => (binary::REPLACE, 0),
                    Condition::Unique(unique) if quiet => (binary::SETQ, unique),
                    Condition::Unique(unique) => (binary::SET, unique),
                };
                binary::request_with(unique, opcode, seq, &binary::NO_EXTRAS, &key, &value)
            }
        };
        let pending = self.stamped(seq, way, want);
        (request, Pending { owed, ..pending })
    }

    /// Appends or prepends to an echo key.
    pub(crate) fn extend(&mut self, seq: u32, way: Way, owed: Owed) -> (Vec<u8>, Pending) {
        let shape = self.draw.pick(&[Shape::Value, Shape::Nil]);
        let key = self.echo(seq, 0, shape, 0);
        let size = self.draw.spread(0, 3000);
        let value = value::make(&key, self.mark(seq, 0), size);
        let want = match shape {
            Shape::Value => Want::Stored(Vec::new()),
            _ => Want::NotStored,
        };
        let appends = self.draw.one_in(2);
        let request = match way {
            Way::Classic => {
                let name: &[u8] = if appends { b"append" } else { b"prepend" };
                // Beyond 31 bits it goes out as another.
                let expiry: &[u8] = self.draw.pick(&[&b"0"[..], b"4294967295", b"2147483648"]);
                memcache::store_until(expiry, name, &key, &value, lines::behind(owed))
            }
            Way::Meta => {
                let flag: &[u8] = if appends { b"MA" } else { b"MP" };
                self.meta(b"ms", seq, &key, owed, &[flag], Some(&value))
            }
            Way::Binary => {
                let opcode = match (appends, owed) {
                    (true, Owed::Reply) => binary::APPEND,
                    (true, _) => binary::APPENDQ,
                    (false, Owed::Reply) => binary::PREPEND,
                    (false, _) => binary::PREPENDQ,
                };
                binary::request(opcode, seq, b"", &key, &value)
            }
        };
        let pending = self.stamped(seq, way, want);
        (request, Pending { owed, ..pending })
    }

    /// What every server is to do.
    fn everywhere(&mut self, scene: &mut Scene, seq: u32) -> (Vec<u8>, Pending) {
        let plan = std::rc::Rc::clone(&scene.plan);
        let plan = &plan.pools[self.pool];
        let is_binary = self.dialect == Protocol::Binary;
        let mark = self.mark(seq, 0);
        let number = cache::number_of(mark).filter(|_| !(plan.empties && self.draw.one_in(4)));
        let text = number.map(|number| number.to_string());
        let done = match is_binary {
            true => binary::success(binary::FLUSH, seq, b""),
            false => b"OK\r\n".to_vec(),
        };
        if number.is_some() && !is_binary && self.draw.one_in(2) {
            let level = text.unwrap_or_default();
            let request = memcache::request(&[b"verbosity", level.as_bytes()]);
            return (
                request,
                Pending::new(seq, Want::Everywhere(done, Some(mark))),
            );
        }
        let extras = number.map_or(Vec::new(), |number| number.to_be_bytes().to_vec());
        let request = match is_binary {
            true => binary::request(binary::FLUSH, seq, &extras, b"", b""),
            false => {
                let mut words: Vec<&[u8]> = vec![b"flush_all"];
                words.extend(text.as_ref().map(String::as_bytes));
                memcache::request(&words)
            }
        };
        let want = match (plan.config.flush_all, is_binary) {
            (true, _) => Want::Everywhere(done, number.map(|_| mark)),
            (false, false) => Want::Error("CLIENT_ERROR flush_all is not passed on"),
            (false, true) => {
                let words = b"Not supported by the proxy";
                Want::Bytes(binary::refusal(binary::FLUSH, 0x83, seq, words))
            }
        };
        if plan.config.flush_all && number.is_none() {
            // From now on nobody knows what there is.
            scene.ledger.lost[self.pool] = true;
        }
        (request, self.pending(seq, want))
    }

    /// The value of an owned key came, or that there is none; `raw` has its unique number.
    pub(crate) fn identified(
        &mut self,
        scene: &Scene,
        number: usize,
        found: &[Reply<'_>],
        raw: &[u8],
    ) -> Result<(), &'static str> {
        self.values(scene, &[Element::Owned(number)], found)?;
        if found.is_empty() {
            self.owned[number].unique.doubt();
            return Ok(());
        }
        let unique = match self.dialect {
            Protocol::Binary => binary::unique_in(raw),
            _ => memcache::unique_in(raw),
        };
        self.owned[number]
            .unique
            .tell(unique.ok_or("a value without its unique number")?);
        Ok(())
    }

    /// A reply to what was to be stored on a condition.
    pub(crate) fn met(
        &mut self,
        scene: &mut Scene,
        (number, mark, condition): (usize, Mark, Condition),
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let exact = self.is_exact(scene);
        let owned = &mut self.owned[number];
        if *reply == Reply::Status(b"OK") {
            let may_be = match condition {
                Condition::Absent => owned.may_be(None),
                Condition::Present => owned.may_be_there(),
                // Where data may be lost, numbers may come again; but not this one.
                Condition::Unique(unique) if !exact => unique < NEVER_GIVEN,
                Condition::Unique(unique) => owned.may_be_there() && owned.unique.may_be(unique),
            };
            owned.write(Some(mark));
            let stored = match condition {
                Condition::Absent => "add",
                Condition::Present => "replace",
                Condition::Unique(_) => "cas",
            };
            let wrong = (exact || matches!(condition, Condition::Unique(_))) && !may_be;
            if !wrong {
                scene.ledger.count(stored);
            }
            return if wrong {
                Err("stored against the condition")
            } else {
                Ok(())
            };
        }
        let is_there = match (condition, reply) {
            (Condition::Absent, Reply::Status(b"NOT_STORED" | b"EXISTS")) => true,
            (Condition::Present, Reply::Status(b"NOT_STORED") | Reply::Number(0)) => false,
            (Condition::Unique(_), Reply::Status(b"EXISTS")) => true,
            (Condition::Unique(_), Reply::Number(0)) => false,
            _ => return Err("another kind of reply"),
        };
        let may_be = match (is_there, condition) {
            (true, Condition::Unique(unique)) => {
                owned.may_be_there() && (owned.is_in_doubt() || owned.unique.now != Some(unique))
            }
            (true, _) => owned.may_be_there(),
            (false, _) => owned.may_be(None),
        };
        if exact && !may_be {
            return Err("not stored, though the condition holds");
        }
        scene.ledger.count("conditions that do not hold");
        Ok(())
    }

    /// All servers are said to have done something.
    pub(crate) fn done_everywhere(
        &self,
        scene: &mut Scene,
        mark: Option<Mark>,
    ) -> Result<(), &'static str> {
        let servers = scene.plan.pools[self.pool].config.servers.len() as u32;
        let by = |part| mark.is_none_or(|mark| scene.ledger.was_executed(Mark { part, ..mark }));
        if !(0..servers).all(by) {
            return Err("not done by all servers");
        }
        scene.ledger.count("done by all servers");
        Ok(())
    }
}
