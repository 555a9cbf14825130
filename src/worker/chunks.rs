//! The memory a worker reads into.
//!
//! All connections are read into the same few chunks. When the core has kept a reference to one (large
//! pieces are passed on without a copy), the worker goes on with another. The memory of those that were
//! let go is used again.

use std::array;
use std::io::IoSliceMut;
use std::rc::Rc;

use super::READS_PER_TURN;
use crate::buffer::{Chunk, Input, Shelf};
use crate::engine::{Socket, Taken};

/// Bytes of a chunk: a full pipeline, or a large piece of a large value, in one read. The lengths of
/// values are often powers of two, and with what stands before and behind it one of 64 KiB fits, or
/// four of 16.
pub const CHUNK_LEN: usize = 66 * 1024;

/// Chunks that are kept for the next large values, 16 MiB. What is not needed is given back soon.
const KEEP: usize = 16 * 1024 * 1024 / CHUNK_LEN;

/// They are no more than this part of what memory the process may have.
const KEEP_PART: u64 = 32;

/// The chunks of one worker.
#[derive(Debug)]
pub struct Chunks {
    /// Those to read into, the first ones first.
    current: Vec<Rc<Chunk>>,
    shelf: Rc<Shelf>,
}

impl Chunks {
    /// With none yet, of a process that may have `limit` bytes of memory.
    pub fn new(limit: Option<u64>) -> Self {
        let part = limit.map_or(u64::MAX, |limit| limit / KEEP_PART / CHUNK_LEN as u64);
        let keep = usize::try_from(part).map_or(KEEP, |part| KEEP.min(part));
        Self {
            current: Vec::with_capacity(READS_PER_TURN),
            shelf: Shelf::new(CHUNK_LEN, keep),
        }
    }

    /// Reads from `socket`, with one call, into so many chunks, at most [`READS_PER_TURN`].
    pub fn read(&mut self, socket: &mut Socket, count: usize) -> Taken {
        if count == 1 {
            return socket.read(self.space());
        }
        let mut pieces: [IoSliceMut<'_>; READS_PER_TURN] =
            array::from_fn(|_| IoSliceMut::new(&mut []));
        let fresh = self.fresh(count);
        for (piece, chunk) in pieces.iter_mut().zip(fresh) {
            *piece = IoSliceMut::new(space_of(chunk));
        }
        socket.read_pieces(&mut pieces[..count])
    }

    /// The `len` bytes that the last read brought, chunk by chunk.
    pub fn filled(&self, len: usize) -> impl Iterator<Item = Input<'_>> {
        let starts = (0..len).step_by(CHUNK_LEN);
        let pieces = starts.zip(&self.current);
        pieces.map(move |(start, chunk)| Input::shared(chunk, CHUNK_LEN.min(len - start)))
    }

    /// Memory for one read whose bytes nobody keeps.
    pub fn space(&mut self) -> &mut [u8] {
        space_of(&mut self.fresh(1)[0])
    }

    /// So many chunks nobody else refers to.
    fn fresh(&mut self, count: usize) -> &mut [Rc<Chunk>] {
        for chunk in self.current.iter_mut().take(count) {
            if Rc::get_mut(chunk).is_none() {
                *chunk = Rc::new(self.shelf.take());
            }
        }
        while self.current.len() < count {
            self.current.push(Rc::new(self.shelf.take()));
        }
        &mut self.current[..count]
    }

    /// Frees what was not needed since it was last called, and says how many bytes that is.
    pub fn tidy(&mut self) -> usize {
        self.current.truncate(1);
        self.shelf.tidy()
    }

    /// Whether [`Chunks::tidy`] may free something if it is called again.
    pub fn are_kept(&self) -> bool {
        self.shelf.count() > 0
    }

    /// Frees what is kept for later.
    pub fn clear(&mut self) {
        self.shelf.clear();
    }
}

fn space_of(chunk: &mut Rc<Chunk>) -> &mut [u8] {
    Rc::get_mut(chunk)
        .expect("a fresh chunk is referred to nowhere else")
        .space()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(chunks: &mut Chunks, count: usize) -> Vec<*const u8> {
        let fresh = chunks.fresh(count).iter();
        fresh.map(|chunk| chunk.bytes().as_ptr()).collect()
    }

    #[test]
    fn chunks_nobody_kept_are_used_again() {
        let mut chunks = Chunks::new(None);
        let first = places(&mut chunks, 3);
        assert_eq!(places(&mut chunks, 1), first[..1]);
        assert_eq!(places(&mut chunks, 3), first);
    }

    #[test]
    fn a_kept_chunk_is_left_alone_until_it_is_let_go() {
        let mut chunks = Chunks::new(None);
        let kept = Rc::clone(&chunks.fresh(2)[0]);
        let (second, both) = (places(&mut chunks, 1), places(&mut chunks, 2));
        assert_ne!(second[0], kept.bytes().as_ptr());
        assert_eq!(second, both[..1]);
        let (first, next) = (kept.bytes().as_ptr(), Rc::clone(&chunks.fresh(1)[0]));
        drop(kept);
        assert_eq!(places(&mut chunks, 1), [first]);
        drop(next);
    }

    #[test]
    fn what_was_read_stands_in_the_chunks_in_its_order() {
        let mut chunks = Chunks::new(None);
        let found = chunks.fresh(READS_PER_TURN);
        for (number, chunk) in found.iter_mut().enumerate() {
            space_of(chunk).fill(number as u8);
        }
        for (len, lens) in [
            (1, &[1][..]),
            (CHUNK_LEN, &[CHUNK_LEN]),
            (CHUNK_LEN + 1, &[CHUNK_LEN, 1]),
            (3 * CHUNK_LEN - 1, &[CHUNK_LEN, CHUNK_LEN, CHUNK_LEN - 1]),
        ] {
            let inputs: Vec<Input<'_>> = chunks.filled(len).collect();
            assert!(
                inputs.iter().map(Input::len).eq(lens.iter().copied()),
                "{len}"
            );
            for (number, input) in inputs.iter().enumerate() {
                assert!(input.bytes().iter().all(|&byte| byte == number as u8));
            }
        }
    }

    #[test]
    fn a_crowd_of_chunks_is_not_hoarded() {
        let mut chunks = Chunks::new(None);
        let mut kept: Vec<_> = (0..KEEP + 10)
            .map(|_| Rc::clone(&chunks.fresh(1)[0]))
            .collect();
        kept.pop();
        drop(kept);
        assert_eq!(chunks.shelf.count(), KEEP);
        chunks.clear();
        assert!(!chunks.are_kept());
    }

    #[test]
    fn what_a_busier_time_needed_is_given_back() {
        let mut chunks = Chunks::new(None);
        let kept: Vec<_> = (0..20).map(|_| Rc::clone(&chunks.fresh(1)[0])).collect();
        drop(kept);
        assert!(chunks.are_kept());
        assert_eq!(chunks.tidy(), 0, "it was needed a moment ago");
        let kept: Vec<_> = (0..5).map(|_| Rc::clone(&chunks.fresh(1)[0])).collect();
        drop(kept);
        assert!(chunks.tidy() >= 14 * CHUNK_LEN);
        chunks.tidy();
        assert!(!chunks.are_kept());
    }
}
