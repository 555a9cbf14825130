//! Bytes in motion: the chunks that reads fill, and the queues that writes empty.
//!
//! A worker reads into one [`Chunk`] after another. What is small is copied from there into the
//! target's [`Queue`]; what is large is handed over as a reference to the chunk, and the worker goes
//! on with another chunk. A queue is a list of segments; its own segments come from a [`BufferPool`]
//! and go back to it as soon as they are sent, so an idle connection holds no buffer.
//!
//! What the bytes mean, and how much of them may wait where, is decided elsewhere.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::ops::Range;
use std::rc::Rc;

/// From this length on a piece of a chunk is referred to instead of copied. A reference pins its
/// whole chunk, so the ratio to the chunk's size bounds how much memory a queue can pin.
pub const SHARE_MIN: usize = 8 * 1024;

/// Copies below this length are appended to what is already queued when two queues are joined.
const JOIN_COPY_MAX: usize = 2 * 1024;

/// A block of memory that reads fill.
///
/// It keeps its length; `Rc::get_mut` tells whether it may be filled again.
#[derive(Debug)]
pub struct Chunk {
    bytes: Box<[u8]>,
    /// Where its memory goes when nobody refers to it any more.
    shelf: Option<Rc<Shelf>>,
}

impl Chunk {
    /// A zeroed chunk of `len` bytes. The pages are only touched when they are read into.
    pub fn new(len: usize) -> Self {
        Self {
            bytes: vec![0; len].into_boxed_slice(),
            shelf: None,
        }
    }

    /// These bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes: bytes.into_boxed_slice(),
            shelf: None,
        }
    }

    /// The whole block, to read into.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The whole block.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(shelf) = self.shelf.take() {
            shelf.put(mem::take(&mut self.bytes));
        }
    }
}

/// The memory of chunks that nobody refers to any more. What came last is taken first: it is the most
/// likely to be in the processor's cache.
///
/// Without it each large value would have its memory zeroed by the allocator, and taken from the system
/// and given back.
#[derive(Debug)]
pub struct Shelf {
    /// Bytes of a chunk.
    len: usize,
    /// The most that are kept.
    keep: usize,
    stock: RefCell<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    free: Vec<Box<[u8]>>,
    /// The fewest there were since the last [`Shelf::tidy`].
    spare: usize,
}

impl Shelf {
    /// For chunks of `len` bytes; keeps the memory of at most `keep`.
    pub fn new(len: usize, keep: usize) -> Rc<Self> {
        Rc::new(Self {
            len,
            keep,
            stock: RefCell::default(),
        })
    }

    /// A chunk whose memory comes back. What it holds is of no meaning.
    pub fn take(self: &Rc<Self>) -> Chunk {
        let mut stock = self.stock.borrow_mut();
        let bytes = stock.free.pop();
        stock.spare = stock.spare.min(stock.free.len());
        Chunk {
            bytes: bytes.unwrap_or_else(|| vec![0; self.len].into_boxed_slice()),
            shelf: Some(Rc::clone(self)),
        }
    }

    fn put(&self, bytes: Box<[u8]>) {
        let mut stock = self.stock.borrow_mut();
        if stock.free.len() < self.keep {
            stock.free.push(bytes);
        }
    }

    /// Frees what was not needed since it was last called, and says how many bytes that is.
    pub fn tidy(&self) -> usize {
        let mut stock = self.stock.borrow_mut();
        // What was put there first has lain the longest.
        let freed = stock.spare.min(stock.free.len());
        stock.free.drain(..freed);
        stock.spare = stock.free.len();
        freed * self.len
    }

    /// Frees everything.
    pub fn clear(&self) {
        *self.stock.borrow_mut() = Stock::default();
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.stock.borrow().free.len()
    }
}

/// Bytes that just arrived, with the chunk they stand in if they may be referred to later.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    /// The chunk and the position of `bytes` in it.
    home: Option<(&'a Rc<Chunk>, usize)>,
}

impl<'a> Input<'a> {
    /// The first `len` bytes of `chunk`, which large pieces will refer to.
    pub fn shared(chunk: &'a Rc<Chunk>, len: usize) -> Self {
        Self {
            bytes: &chunk.bytes()[..len],
            home: Some((chunk, 0)),
        }
    }

    /// Bytes that must be copied to outlive the call.
    pub fn copied(bytes: &'a [u8]) -> Self {
        Self { bytes, home: None }
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A part of the input. Panics when `range` exceeds it, as slicing does.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let home = self.home.map(|(chunk, at)| (chunk, at + range.start));
        Self {
            bytes: &self.bytes[range],
            home,
        }
    }

    /// All but the first `count` bytes.
    pub fn skip(&self, count: usize) -> Self {
        self.slice(count..self.len())
    }
}

/// Buffers of one size, kept for reuse.
#[derive(Debug)]
pub struct BufferPool {
    size: usize,
    free: Vec<Vec<u8>>,
    keep: usize,
    /// The fewest that were idle since the last [`BufferPool::tidy`].
    spare: usize,
    /// Short pieces of memory for replies that wait to be joined, by their size: see [`size_class`].
    small: [Vec<Vec<u8>>; CLASSES],
}

/// The shortest piece of memory kept for reuse besides buffers, in bytes. Each class has twice the size of
/// the one before.
const SMALL_MIN: usize = 64;
const CLASSES: usize = 6;

/// Pieces of one class that are kept.
const SMALL_KEPT: usize = 256;

/// The class of the shortest pieces that hold `len` bytes.
#[inline]
fn size_class(len: usize) -> Option<usize> {
    let class = len.div_ceil(SMALL_MIN).next_power_of_two().ilog2() as usize;
    (class < CLASSES).then_some(class)
}

impl BufferPool {
    /// Buffers of `size` bytes, of which at most `keep` idle ones are kept.
    pub fn new(size: usize, keep: usize) -> Self {
        Self {
            size,
            free: Vec::new(),
            keep,
            spare: 0,
            small: Default::default(),
        }
    }

    /// Frees the buffers that were not needed since it was last called, and all short pieces, and says how
    /// many bytes that is.
    pub fn tidy(&mut self) -> usize {
        let spare = self.spare.min(self.free.len());
        self.free.truncate(self.free.len() - spare);
        self.free.shrink_to(2 * self.free.len());
        self.spare = self.free.len();
        let mut freed = spare * self.size;
        for (class, small) in self.small.iter_mut().enumerate() {
            freed += small.len() * (SMALL_MIN << class);
            *small = Vec::new();
        }
        freed
    }

    /// Frees idle buffers, as many as `bytes` filled at the least, and all short pieces.
    pub fn release(&mut self, bytes: usize) {
        self.small = Default::default();
        let kept = self.free.len().saturating_sub(bytes.div_ceil(self.size));
        self.free.truncate(kept);
    }

    /// How many idle buffers are kept at the moment.
    pub fn idle_count(&self) -> usize {
        self.free.len()
    }

    fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop();
        self.spare = self.spare.min(self.free.len());
        buffer.unwrap_or_else(|| Vec::with_capacity(self.size))
    }

    /// Takes a buffer back. One of another size, or one too many, is freed.
    fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() == self.size && self.free.len() < self.keep {
            buffer.clear();
            return self.free.push(buffer);
        }
        let class = size_class(buffer.capacity());
        let Some(class) = class.filter(|&class| buffer.capacity() == SMALL_MIN << class) else {
            return;
        };
        if self.small[class].len() < SMALL_KEPT {
            buffer.clear();
            self.small[class].push(buffer);
        }
    }

    /// Memory for `len` bytes that is given back like a buffer; `None` for more than short pieces hold.
    fn take_small(&mut self, len: usize) -> Option<Vec<u8>> {
        let class = size_class(len)?;
        if SMALL_MIN << class == self.size {
            return Some(self.take());
        }
        let found = self.small[class].pop();
        Some(found.unwrap_or_else(|| Vec::with_capacity(SMALL_MIN << class)))
    }
}

#[derive(Debug)]
enum Segment {
    /// `start <= bytes.len()`; only the last segment of a queue is appended to.
    Owned { bytes: Vec<u8>, start: usize },
    /// `start <= end <= chunk.len()`.
    Shared {
        chunk: Rc<Chunk>,
        start: usize,
        end: usize,
    },
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Owned { bytes, start } => &bytes[*start..],
            Segment::Shared { chunk, start, end } => &chunk.bytes()[*start..*end],
        }
    }
}

/// Bytes waiting to go somewhere, in order.
///
/// Invariant: `len` is the sum of the segments' lengths, and no segment is empty.
#[derive(Debug, Default)]
pub struct Queue {
    segments: VecDeque<Segment>,
    len: usize,
}

impl Queue {
    /// An empty queue; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that are kept for it. Of a chunk that several refer to, each is charged its part.
    pub fn held(&self) -> usize {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Owned { bytes, .. } => bytes.capacity(),
            Segment::Shared { chunk, .. } => chunk.bytes.len() / Rc::strong_count(chunk),
        });
        self.segments.capacity() * size_of::<Segment>() + segments.sum::<usize>()
    }

    /// Appends a copy of `bytes`, in buffers of `pool`.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        if let Some(Segment::Owned { bytes: last, .. }) = self.segments.back_mut()
            && last.capacity() - last.len() >= bytes.len()
        {
            self.len += bytes.len();
            return last.extend_from_slice(bytes);
        }
        self.push_beyond(bytes, pool);
    }

    /// Appends a copy of `bytes` that does not fit into the last buffer.
    fn push_beyond(&mut self, mut bytes: &[u8], pool: &mut BufferPool) {
        self.len += bytes.len();
        if let Some(Segment::Owned { bytes: last, .. }) = self.segments.back_mut() {
            let room = last.capacity() - last.len();
            let now = room.min(bytes.len());
            last.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
        }
        while !bytes.is_empty() {
            let mut buffer = pool.take();
            let now = buffer.capacity().min(bytes.len());
            buffer.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            self.segments.push_back(Segment::Owned {
                bytes: buffer,
                start: 0,
            });
        }
    }

    /// Appends `input`: large pieces by reference where the chunk allows it, others as copies.
    pub fn push_input(&mut self, input: Input<'_>, pool: &mut BufferPool) {
        match input.home {
            Some((chunk, start)) if input.len() >= SHARE_MIN => {
                self.len += input.len();
                let end = start + input.len();
                self.segments.push_back(Segment::Shared {
                    chunk: Rc::clone(chunk),
                    start,
                    end,
                });
            }
            _ => self.push(input.bytes, pool),
        }
    }

    /// Appends a buffer without copying it.
    pub fn push_owned(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.segments.push_back(Segment::Owned { bytes, start: 0 });
        }
    }

    /// Appends a copy of `bytes` in memory of about their size, for queues that are many and small.
    pub fn push_exact(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        match self.segments.back_mut() {
            Some(Segment::Owned { bytes: last, .. }) if last.len() < SHARE_MIN => {
                last.extend_from_slice(bytes);
            }
            _ => self.segments.push_back(Segment::Owned {
                bytes: bytes.to_vec(),
                start: 0,
            }),
        }
    }

    /// Appends `input` as [`Queue::push_input`] does, but copies in memory of about its size.
    pub fn push_input_exact(&mut self, input: Input<'_>) {
        match input.home {
            Some((chunk, start)) if input.len() >= SHARE_MIN => {
                self.len += input.len();
                let end = start + input.len();
                self.segments.push_back(Segment::Shared {
                    chunk: Rc::clone(chunk),
                    start,
                    end,
                });
            }
            _ => self.push_exact(input.bytes),
        }
    }

    /// As [`Queue::push_input_exact`], in memory that is kept for reuse if it is short.
    pub fn push_input_reused(&mut self, input: Input<'_>, pool: &mut BufferPool) {
        if self.segments.is_empty()
            && !input.is_empty()
            && let Some(mut bytes) = pool.take_small(input.len())
        {
            self.len += input.len();
            bytes.extend_from_slice(input.bytes());
            self.segments.push_back(Segment::Owned { bytes, start: 0 });
            return;
        }
        self.push_input_exact(input);
    }

    /// Takes `end` off the end, if that is what the last buffer ends with, and not all it holds.
    pub fn strip_back(&mut self, end: &[u8]) -> bool {
        let Some(Segment::Owned { bytes, start }) = self.segments.back_mut() else {
            return false;
        };
        let rest = bytes[*start..].strip_suffix(end).map_or(0, <[u8]>::len);
        if rest == 0 {
            return false;
        }
        bytes.truncate(*start + rest);
        self.len -= end.len();
        true
    }

    /// Moves everything in `other` behind what waits here.
    pub fn append(&mut self, other: &mut Queue, pool: &mut BufferPool) {
        if other.len <= JOIN_COPY_MAX {
            for segment in &other.segments {
                self.push(segment.bytes(), pool);
            }
            other.clear(pool);
            return;
        }
        self.len += other.len;
        other.len = 0;
        self.segments.append(&mut other.segments);
    }

    /// Moves the first `count` bytes of this queue behind what waits in `target`.
    /// Panics when fewer wait.
    pub fn move_front(&mut self, mut count: usize, target: &mut Queue, pool: &mut BufferPool) {
        assert!(
            count <= self.len,
            "only {} bytes wait, asked for {count}",
            self.len
        );
        if let Some(Segment::Owned { bytes, start }) = self.segments.front_mut()
            && count < bytes.len() - *start
        {
            // The usual case: one of several small pieces of one buffer.
            target.push(&bytes[*start..*start + count], pool);
            *start += count;
            self.len -= count;
            return;
        }
        while count > 0 {
            let front = self
                .segments
                .front_mut()
                .expect("len counts the segments' bytes");
            let now = front.bytes().len().min(count);
            match front {
                Segment::Shared { chunk, start, .. } if now >= SHARE_MIN => {
                    let (chunk, start) = (Rc::clone(chunk), *start);
                    target.len += now;
                    target.segments.push_back(Segment::Shared {
                        chunk,
                        start,
                        end: start + now,
                    });
                }
                _ => target.push(&front.bytes()[..now], pool),
            }
            self.consume(now, pool);
            count -= now;
        }
    }

    /// Drops the first `count` bytes. Panics when fewer wait.
    pub fn consume(&mut self, mut count: usize, pool: &mut BufferPool) {
        assert!(
            count <= self.len,
            "only {} bytes wait, asked for {count}",
            self.len
        );
        self.len -= count;
        while count > 0 {
            let front = self
                .segments
                .front_mut()
                .expect("len counts the segments' bytes");
            let here = front.bytes().len();
            if count < here {
                match front {
                    Segment::Owned { start, .. } | Segment::Shared { start, .. } => *start += count,
                }
                return;
            }
            count -= here;
            if let Some(Segment::Owned { bytes, .. }) = self.segments.pop_front() {
                pool.give(bytes);
            }
        }
    }

    /// Gives back what an empty queue holds for its next use.
    pub fn tidy(&mut self) -> usize {
        if !self.segments.is_empty() || self.segments.capacity() == 0 {
            return 0;
        }
        let freed = self.segments.capacity() * size_of::<Segment>();
        self.segments = VecDeque::new();
        freed
    }

    /// Drops everything and gives the buffers back.
    pub fn clear(&mut self, pool: &mut BufferPool) {
        self.consume(self.len, pool);
    }

    /// The bytes that stand together at the front; empty only when the queue is.
    pub fn front(&self) -> &[u8] {
        self.segments.front().map_or(&[], Segment::bytes)
    }

    /// Copies the first bytes into `target`, as many as there are and fit, and says how many.
    pub fn peek(&self, target: &mut [u8]) -> usize {
        let mut filled = 0;
        for segment in &self.segments {
            let bytes = segment.bytes();
            let now = bytes.len().min(target.len() - filled);
            target[filled..filled + now].copy_from_slice(&bytes[..now]);
            filled += now;
            if filled == target.len() {
                break;
            }
        }
        filled
    }

    /// Fills `slices` from the front for a vectored write and says how many were filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, segment) in slices.iter_mut().zip(&self.segments) {
            *slot = IoSlice::new(segment.bytes());
            count += 1;
        }
        count
    }

    /// Everything as one vector, for tests and small queues.
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments
            .iter()
            .flat_map(|segment| segment.bytes().iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_pieces_share_a_buffer_and_large_ones_their_chunk() {
        let mut pool = BufferPool::new(16 * 1024, 4);
        let mut chunk = Chunk::new(64 * 1024);
        chunk.space().fill(b'x');
        let chunk = Rc::new(chunk);
        let mut queue = Queue::new();
        queue.push(b"head", &mut pool);
        queue.push_input(Input::shared(&chunk, 100), &mut pool);
        assert_eq!((queue.segments.len(), Rc::strong_count(&chunk)), (1, 1));
        queue.push_input(Input::shared(&chunk, SHARE_MIN), &mut pool);
        assert_eq!((queue.segments.len(), Rc::strong_count(&chunk)), (2, 2));
        queue.consume(queue.len(), &mut pool);
        assert_eq!((Rc::strong_count(&chunk), pool.idle_count()), (1, 1));
    }

    #[test]
    fn short_pieces_are_used_again() {
        let mut pool = BufferPool::new(16 * 1024, 4);
        let mut queue = Queue::new();
        let mut places = Vec::new();
        for len in [100, 65, 128] {
            queue.push_input_reused(Input::copied(&vec![b'x'; len]), &mut pool);
            assert_eq!(queue.to_vec(), vec![b'x'; len]);
            places.push(queue.front().as_ptr());
            queue.clear(&mut pool);
        }
        assert!(places.iter().all(|&place| place == places[0]));
        assert_eq!((pool.tidy(), pool.tidy()), (128, 0));
        queue.push_input_reused(Input::copied(&[b'x'; 4096]), &mut pool);
        queue.clear(&mut pool);
        assert_eq!(pool.tidy(), 0);
    }

    #[test]
    fn surplus_and_foreign_buffers_are_freed() {
        let mut pool = BufferPool::new(1024, 1);
        let mut queue = Queue::new();
        queue.push(&[0; 4096], &mut pool);
        queue.push_owned(vec![0; 10]);
        queue.clear(&mut pool);
        assert_eq!(pool.idle_count(), 1);
    }

    #[test]
    fn buffers_that_were_not_needed_for_a_while_are_freed() {
        let mut pool = BufferPool::new(1024, 100);
        let mut queue = Queue::new();
        queue.push(&[0; 50 * 1024], &mut pool);
        queue.clear(&mut pool);
        pool.tidy();
        assert_eq!(pool.idle_count(), 50, "all of them were in use");
        queue.push(&[0; 10 * 1024], &mut pool);
        queue.clear(&mut pool);
        assert_eq!((pool.tidy(), pool.idle_count()), (40 * 1024, 10));
        assert_eq!((pool.tidy(), pool.idle_count()), (10 * 1024, 0));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>),
        Snug(Vec<u8>),
        Owned(Vec<u8>),
        Shared(usize, usize),
        Consume(usize),
        MoveToOther(usize),
        AppendOther,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..100);
        prop_oneof![
            bytes().prop_map(Step::Push),
            bytes().prop_map(Step::Snug),
            bytes().prop_map(Step::Owned),
            (0..20_000usize, 0..20_000usize).prop_map(|(a, b)| Step::Shared(a.min(b), a.max(b))),
            (0..30_000usize).prop_map(Step::Consume),
            (0..30_000usize).prop_map(Step::MoveToOther),
            Just(Step::AppendOther),
        ]
    }

    proptest! {
        #[test]
        fn a_queue_behaves_like_a_vector(steps in proptest::collection::vec(step(), 0..60)) {
            let mut pool = BufferPool::new(64, 3);
            let mut chunk = Chunk::new(20_000);
            for (index, byte) in chunk.space().iter_mut().enumerate() {
                *byte = index as u8;
            }
            let chunk = Rc::new(chunk);
            let (mut queue, mut other) = (Queue::new(), Queue::new());
            let (mut model, mut other_model) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Push(bytes) => { queue.push(&bytes, &mut pool); model.extend(bytes) }
                    Step::Snug(bytes) => { queue.push_exact(&bytes); model.extend(bytes) }
                    Step::Owned(bytes) => { model.extend(&bytes); queue.push_owned(bytes) }
                    Step::Shared(from, to) => {
                        let input = Input::shared(&chunk, 20_000).slice(from..to);
                        queue.push_input(input, &mut pool);
                        model.extend_from_slice(input.bytes());
                    }
                    Step::Consume(count) => {
                        let count = count.min(model.len());
                        queue.consume(count, &mut pool);
                        model.drain(..count);
                    }
                    Step::MoveToOther(count) => {
                        let count = count.min(model.len());
                        queue.move_front(count, &mut other, &mut pool);
                        other_model.extend(model.drain(..count));
                    }
                    Step::AppendOther => {
                        queue.append(&mut other, &mut pool);
                        model.append(&mut other_model);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.to_vec(), model.clone());
                prop_assert_eq!(other.to_vec(), other_model.clone());
                let mut peeked = [0; 50];
                let count = queue.peek(&mut peeked);
                prop_assert_eq!(&peeked[..count], &model[..model.len().min(50)]);
            }
        }
    }
}
