//! Bytes of a client that were not understood yet: the start of a request, or, of one whose replies wait
//! for it, all that it goes on to ask.
//!
//! Such a client may write everything before it reads anything, so what it asks is kept until it does. It
//! is kept in pieces, which are freed one by one as they are read: reading all of them takes a time that
//! grows with their length and no faster.

use std::collections::VecDeque;
use std::mem;

use super::client::State;
use super::ids::ClientId;
use super::parts::append;
use super::{Action, Proxy};
use crate::buffer::Input;

/// Bytes of a piece, more or less. So much is read again in one turn.
const PIECE: usize = 64 * 1024;

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// What is read next stands together here, from `start` on.
    front: Vec<u8>,
    start: usize,
    /// What came behind it.
    behind: VecDeque<Vec<u8>>,
    behind_len: usize,
}

impl Pending {
    pub fn len(&self) -> usize {
        self.front.len() - self.start + self.behind_len
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that are kept for it.
    pub fn capacity(&self) -> usize {
        let behind: usize = self.behind.iter().map(Vec::capacity).sum();
        self.front.capacity() + behind + self.behind.capacity() * size_of::<Vec<u8>>()
    }

    /// Whether all of it stands together.
    pub fn is_whole(&self) -> bool {
        self.behind.is_empty()
    }

    /// Adds what came, as a part of the request that is to be read next.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.behind.is_empty() {
            append(&mut self.front, bytes);
        } else {
            self.keep(bytes);
        }
    }

    /// Adds what came, to be read some time.
    pub fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.behind.is_empty() && self.front.len() + bytes.len() <= PIECE {
            return self.front.extend_from_slice(bytes);
        }
        self.behind_len += bytes.len();
        match self.behind.back_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE => last.extend_from_slice(bytes),
            _ => self.behind.push_back(bytes.to_vec()),
        }
    }

    /// Takes what stands together, to be read from the place that is given with it.
    pub fn take(&mut self) -> (Vec<u8>, usize) {
        (mem::take(&mut self.front), mem::take(&mut self.start))
    }

    /// Puts it back, of which everything before `start` was understood.
    pub fn put_back(&mut self, front: Vec<u8>, start: usize) {
        debug_assert!(self.front.is_empty(), "something came in between");
        if start < front.len() {
            (self.front, self.start) = (front, start);
            if self.behind.is_empty() && start >= PIECE {
                self.close_up();
            }
        }
    }

    /// The first `len` bytes, if there are as many. They are moved together if need be.
    pub fn first(&mut self, len: usize) -> Option<&[u8]> {
        while self.front.len() - self.start < len && !self.is_whole() {
            self.advance();
        }
        self.front.get(self.start..self.start + len)
    }

    /// Lets go of the first `len` bytes, which stand together.
    pub fn consume(&mut self, len: usize) {
        let rest = self.front.get(self.start + len..).unwrap_or_default();
        // No more memory is kept than for what is left.
        (self.front, self.start) = (rest.to_vec(), 0);
    }

    /// Puts the next piece behind what could not be understood without it, and says how long it is.
    pub fn advance(&mut self) -> usize {
        let Some(next) = self.behind.pop_front() else {
            return 0;
        };
        let len = next.len();
        self.behind_len -= len;
        if self.front.is_empty() {
            self.front = next;
        } else {
            self.close_up();
            append(&mut self.front, &next);
        }
        len
    }

    /// Lets go of what was understood.
    fn close_up(&mut self) {
        self.front.drain(..mem::take(&mut self.start));
    }
}

impl Proxy {
    /// Reads requests from bytes that were kept, as many as one turn may.
    pub(super) fn reread(&mut self, id: ClientId) {
        while let Some(client) = self.clients.find_mut(id) {
            let (front, start) = client.pending.take();
            let used = self.read_requests(id, Input::copied(&front[start..]));
            let Some(client) = self.clients.find_mut(id) else {
                return;
            };
            if client.state != State::Open {
                return;
            }
            client.pending.put_back(front, start + used);
            client.woken.1 += used;
            if client.stalled || client.pending.is_whole() {
                return;
            }
            let is_enough = client.woken.1 >= PIECE;
            if !is_enough || used == 0 {
                // What is left is the start of a request, which cannot be understood without the next piece.
                client.woken.1 += client.pending.advance();
            }
            if is_enough {
                client.stalled = true;
                client.waking = true;
                return self.later.push(id.conn());
            }
        }
    }

    /// A client that had reached a limit may go on.
    pub(super) fn wake_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.waking = false;
        if !client.may_ask(&self.limits) {
            return;
        }
        client.stalled = false;
        client.brimming = false;
        if client.woken.0 != self.now {
            client.woken = (self.now, 0);
        }
        // Where there is still a crowd, the next request tells.
        client.ring.lift_limit();
        if !client.pending.is_empty() {
            self.reread(id);
            self.keep_part(id);
        }
        let is_blocked = self.is_blocked(id);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.ended && (!client.stalled || is_blocked) {
            self.finish_client(id);
        } else if self.wants_read(id.conn()) {
            self.actions.push_back(Action::Resume(id.conn()));
        }
    }

    /// Puts a stalled client on the list of those to be read again, if it may be.
    #[inline]
    pub(super) fn unstall(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && client.stalled
            && !client.waking
            && client.may_ask(&self.limits)
        {
            client.waking = true;
            // What one client has kept is read a piece at a time: others wait, too.
            match client.woken.0 == self.now && client.woken.1 >= PIECE {
                true => self.later.push(id.conn()),
                false => self.waking.push(id.conn()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_read_is_freed_piece_by_piece() {
        let mut pending = Pending::default();
        for _ in 0..100 {
            pending.keep(&[b'x'; 10_000]);
        }
        assert!(pending.capacity() < 1_400_000, "{}", pending.capacity());
        let mut read = 0;
        loop {
            let (front, start) = pending.take();
            read += front.len() - start;
            let len = front.len();
            pending.put_back(front, len);
            assert_eq!(pending.len(), 1_000_000 - read);
            assert!(pending.capacity() <= pending.len() / 3 * 4 + 3 * PIECE);
            if pending.is_whole() {
                break;
            }
            pending.advance();
        }
        assert_eq!((read, pending.is_empty()), (1_000_000, true));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_changes_places(
            steps in proptest::collection::vec((0..5u8, 0..50_000usize), 0..60),
        ) {
            let mut pending = Pending::default();
            let (mut model, mut next) = (VecDeque::new(), 0u8);
            for (kind, count) in steps {
                match kind {
                    0 | 1 => {
                        let fill = |_| { next = next.wrapping_add(1); next };
                        let bytes: Vec<u8> = (0..count).map(fill).collect();
                        model.extend(&bytes);
                        if kind == 0 { pending.keep(&bytes) } else { pending.extend(&bytes) }
                    }
                    2 => {
                        pending.advance();
                    }
                    3 => {
                        let len = count.min(pending.len());
                        let first: Vec<u8> = model.drain(..len).collect();
                        prop_assert_eq!(pending.first(len), Some(&first[..]));
                        pending.consume(len);
                    }
                    _ => {
                        let (front, start) = pending.take();
                        let used = count.min(front.len() - start);
                        let read: Vec<u8> = model.drain(..used).collect();
                        prop_assert_eq!(&front[start..start + used], &read[..]);
                        pending.put_back(front, start + used);
                    }
                }
                prop_assert_eq!(pending.len(), model.len());
            }
        }
    }
}
