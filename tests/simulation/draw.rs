//! The one source of chance: everything that happens in a run follows from its seed, and from the
//! script if it has one.

use std::cell::Cell;
use std::rc::Rc;

/// A repeatable stream of random numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Draw {
    state: u64,
    script: Option<Rc<Script>>,
}

/// Draws that are given beforehand: a byte is the next number, but 0 leaves it to the seed. All
/// streams of a run take from one script, each when it is asked.
#[derive(Debug)]
struct Script {
    bytes: Vec<u8>,
    position: Cell<usize>,
}

impl Script {
    fn next(&self) -> Option<u64> {
        let byte = *self.bytes.get(self.position.get())?;
        self.position.set(self.position.get() + 1);
        byte.checked_sub(1).map(u64::from)
    }
}

impl Draw {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            script: None,
        }
    }

    /// The stream of this seed, as long as `script` does not say otherwise.
    pub fn scripted(seed: u64, script: &[u8]) -> Self {
        let script = Script {
            bytes: script.to_vec(),
            position: Cell::new(0),
        };
        Self {
            state: seed,
            script: Some(Rc::new(script)),
        }
    }

    /// A stream of its own, so that what one party draws does not shift what another gets.
    pub fn fork(&mut self) -> Draw {
        Draw {
            state: self.draw(),
            script: self.script.clone(),
        }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        let drawn = self.draw();
        let scripted = self.script.as_ref().and_then(|script| script.next());
        scripted.unwrap_or(drawn)
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A number between the two, both included.
    pub fn within(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// The same for times.
    pub fn micros(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// Between the two, small ones as likely as large ones: the number of digits is drawn first.
    pub fn spread(&mut self, least: usize, most: usize) -> usize {
        let span = (most - least + 1).ilog2();
        let most = (least + (2 << self.below(span as usize + 1)) - 1).min(most);
        self.within(least, most)
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, chance: u32) -> bool {
        self.next() % 1000 < u64::from(chance)
    }

    /// True in one of so many cases.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Fills `bytes` with what belongs to `seed`.
pub fn fill(seed: u64, bytes: &mut [u8]) {
    let mut draw = Draw::new(seed);
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draw.next().to_le_bytes()[..chunk.len()]);
    }
}

/// A number that depends on every byte (FNV-1a).
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
