//! The memory a worker reads into.
//!
//! There is one chunk at a time, for all connections. When the core has kept a reference to it
//! (large pieces are passed on without a copy), the worker goes on with another, and comes back to
//! the first one when nobody refers to it any more.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::buffer::Chunk;

/// Bytes of a chunk: a full pipeline, or a large piece of a large value, in one read.
pub const CHUNK_LEN: usize = 64 * 1024;

/// Chunks in use elsewhere that are remembered for reuse; others are freed when they are let go.
const LENT_MAX: usize = 16;

/// The chunks of one worker.
#[derive(Debug)]
pub struct Chunks {
    current: Rc<Chunk>,
    lent: VecDeque<Rc<Chunk>>,
}

impl Chunks {
    /// With one chunk.
    pub fn new() -> Self {
        Self {
            current: Rc::new(Chunk::new(CHUNK_LEN)),
            lent: VecDeque::new(),
        }
    }

    /// The chunk to read into; nobody else refers to it.
    pub fn fresh(&mut self) -> &mut Rc<Chunk> {
        if Rc::get_mut(&mut self.current).is_none() {
            self.change();
        }
        &mut self.current
    }

    /// Forgets the chunks that are lent: those that come back are freed.
    pub fn tidy(&mut self) -> usize {
        let free = self
            .lent
            .iter()
            .filter(|chunk| Rc::strong_count(chunk) == 1)
            .count();
        self.lent.clear();
        free * CHUNK_LEN
    }

    #[cold]
    fn change(&mut self) {
        let free = self
            .lent
            .iter_mut()
            .position(|chunk| Rc::get_mut(chunk).is_some());
        let next = free.and_then(|index| self.lent.swap_remove_back(index));
        let next = next.unwrap_or_else(|| Rc::new(Chunk::new(CHUNK_LEN)));
        let lent = std::mem::replace(&mut self.current, next);
        if self.lent.len() == LENT_MAX {
            self.lent.pop_front();
        }
        self.lent.push_back(lent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_nobody_kept_is_used_again() {
        let mut chunks = Chunks::new();
        let first = chunks.fresh().bytes().as_ptr();
        assert_eq!(chunks.fresh().bytes().as_ptr(), first);
    }

    #[test]
    fn a_kept_chunk_is_left_alone_until_it_is_let_go() {
        let mut chunks = Chunks::new();
        let kept = Rc::clone(chunks.fresh());
        let second = chunks.fresh().bytes().as_ptr();
        assert_ne!(second, kept.bytes().as_ptr());
        let kept_too = Rc::clone(chunks.fresh());
        let first = kept.bytes().as_ptr();
        drop(kept);
        assert_eq!(chunks.fresh().bytes().as_ptr(), first);
        drop(kept_too);
    }

    #[test]
    fn chunks_lent_for_long_are_not_hoarded() {
        let mut chunks = Chunks::new();
        let kept: Vec<_> = (0..100).map(|_| Rc::clone(chunks.fresh())).collect();
        assert!(chunks.lent.len() <= LENT_MAX);
        drop(kept);
        assert!(chunks.lent.len() <= LENT_MAX);
    }
}
