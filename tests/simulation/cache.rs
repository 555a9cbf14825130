//! What a model memcached does with what it keeps, whichever of its protocols asks.

use crate::store::{Outcome, Store};
use crate::value::{self, Mark, Shape};

/// When a value is to be stored, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In any case.
    Set,
    /// If there is none.
    Add,
    /// If there is one.
    Replace,
    /// If there is one with this unique number.
    Cas(u64),
    /// Behind or in front of what there is. Asked of echo keys only.
    Extend,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was stored.
    Stored,
    /// There was one, or none, or something to extend was missing.
    NotStored,
    /// There is another one.
    Exists,
    /// There is none.
    NotFound,
}

impl Store {
    /// Stores a value if `mode` lets it.
    pub fn put(
        &mut self,
        key: &[u8],
        data: &[u8],
        mode: Mode,
        outcome: &mut Outcome,
    ) -> Result<Put, String> {
        let mark = value::check(key, data).ok_or("a spoilt value")?;
        outcome.marks.push(mark);
        if let Some(echo) = value::read_echo(key) {
            return Ok(match echo.shape {
                Shape::Value => Put::Stored,
                _ => Put::NotStored,
            });
        }
        let is_there = self.values.contains_key(key);
        let refusal = match mode {
            Mode::Set => None,
            Mode::Add => is_there.then_some(Put::NotStored),
            Mode::Replace => (!is_there).then_some(Put::NotStored),
            Mode::Cas(_) if !is_there => Some(Put::NotFound),
            Mode::Cas(unique) => (self.uniques.get(key) != Some(&unique)).then_some(Put::Exists),
            Mode::Extend => return Err("an owned key to extend".into()),
        };
        if let Some(refusal) = refusal {
            return Ok(refusal);
        }
        self.last_unique += 1;
        self.uniques.insert(key.to_vec(), self.last_unique);
        self.values.insert(key.to_vec(), data.to_vec());
        Ok(Put::Stored)
    }

    /// A value and its unique number.
    pub fn look(&self, key: &[u8], outcome: &mut Outcome) -> Option<(Vec<u8>, u64)> {
        let Some(echo) = value::read_echo(key) else {
            let value = self.values.get(key)?.clone();
            return Some((value, self.uniques.get(key).copied().unwrap_or_default()));
        };
        outcome.marks.push(echo.mark);
        let value = || {
            (
                value::make(key, echo.mark, echo.size),
                unique_of_echo(echo.mark),
            )
        };
        (echo.shape == Shape::Value).then(value)
    }

    /// Whether there is a value, whose time now ends then: at once, if that is negative.
    pub fn touch(&mut self, key: &[u8], expiry: &[u8], outcome: &mut Outcome) -> bool {
        if let Some(echo) = value::read_echo(key) {
            outcome.marks.push(echo.mark);
            return echo.shape == Shape::Value;
        }
        match expiry.starts_with(b"-") {
            true => self.values.remove(key).is_some(),
            false => self.values.contains_key(key),
        }
    }

    /// Forgets everything, at once or at a time that never comes in a run: that time says who asked.
    pub fn flush(&mut self, time: Option<u32>, outcome: &mut Outcome) {
        match time.and_then(mark_of) {
            Some(mark) => outcome.everywhere = Some(mark),
            None => {
                self.values.clear();
                self.counters.clear();
            }
        }
    }
}

/// The unique number of what an echo key asks for.
pub fn unique_of_echo(mark: Mark) -> u64 {
    mark.number() as u64
}

/// A time or a level that says which request asks for it, if its numbers are not too large.
pub fn number_of(mark: Mark) -> Option<u32> {
    let fits = mark.conn < 1 << 18 && mark.seq < 1 << 12;
    fits.then_some(1 << 30 | mark.conn << 12 | mark.seq)
}

/// The request behind such a number.
pub fn mark_of(number: u32) -> Option<Mark> {
    (number >> 30 == 1).then_some(Mark {
        conn: number >> 12 & 0x3_ffff,
        seq: number & 0xfff,
        part: 0,
    })
}
