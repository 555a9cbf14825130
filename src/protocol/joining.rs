//! Requests that several servers answer: how they are sent, and how the replies become one.

use crate::buffer::{BufferPool, Queue, SHARE_MIN};

/// Requests of up to so many fragments are joined in the quicker way.
const USUAL_FRAGMENTS: usize = 16;

/// The reply to one fragment, as far as it came.
#[derive(Debug, Default)]
pub struct FragmentReply {
    /// The bytes that were not passed on yet.
    pub bytes: Queue,
    /// Whether the reply is whole.
    pub done: bool,
    /// Whether its head was taken off by the join.
    pub opened: bool,
    /// Whether it follows the reply to another fragment on the same connection.
    pub follows: bool,
    /// How many units the fragment carries.
    pub units: u32,
}

/// How far a join has come. Start each with `default()`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Join {
    /// Whether bytes were passed on: from then on a failure cannot be told to the client any more.
    pub started: bool,
    /// The key whose part of the reply is next.
    pub(crate) next: usize,
    /// Bytes still to be passed on of the part at hand.
    pub(crate) left: u64,
}

impl Join {
    /// Whether what comes next of `fragment` is not kept until others were passed on: it is its turn, or all
    /// its units were passed on and only its end is missing. The join cannot end without that, and others
    /// may come behind it on the same connection. `order` names the fragment of each unit.
    pub fn may_go_on(&self, order: &[u16], fragment: u16) -> bool {
        // `next` already points behind the unit at hand.
        let unit = self.next.saturating_sub(usize::from(self.left > 0));
        let rest = order.get(unit..).unwrap_or_default();
        rest.first() == Some(&fragment) || !rest.contains(&fragment)
    }

    /// Passes on the parts that are small and stand whole in the first piece of their fragments, up to the
    /// first that does not: nearly always all of them. `part` is asked how long that of a unit is, by what
    /// its fragment goes on with and the unit's place; 0 if there is none, `None` if that cannot be said.
    #[inline]
    pub(crate) fn pass_usual(
        &mut self,
        replies: &mut [FragmentReply],
        order: &[u16],
        out: &mut Queue,
        pool: &mut BufferPool,
        part: impl Fn(&[u8], usize) -> Option<usize>,
    ) {
        let mut taken = [0; USUAL_FRAGMENTS];
        if replies.len() > taken.len() {
            return;
        }
        for &fragment in &order[self.next..] {
            let fragment = usize::from(fragment);
            let rest = &replies[fragment].bytes.front()[taken[fragment]..];
            let Some(len) = part(rest, self.next).filter(|&len| len < SHARE_MIN) else {
                break;
            };
            if len > 0 {
                out.push(&rest[..len], pool);
                self.started = true;
                taken[fragment] += len;
            }
            self.next += 1;
        }
        for (reply, taken) in replies.iter_mut().zip(taken) {
            reply.bytes.consume(taken, pool);
        }
    }
}

/// What a join must know of the request.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The fragment of each unit, in the order of the request.
    pub order: &'a [u16],
    /// The unit's key, or what else the merge says; may be empty where it says nothing.
    pub labels: &'a Labels,
    /// How many units are joined at most before others have their turn.
    pub most: usize,
}

impl<'a> Plan<'a> {
    /// The fragments of the units up to the last that is joined in this go.
    pub(crate) fn slice(&self, join: &Join) -> &'a [u16] {
        let end = join.next.saturating_add(self.most).min(self.order.len());
        &self.order[..end]
    }

    /// What a join comes to that has passed on all units of `slice`.
    pub(crate) fn end_of(&self, slice: &[u16]) -> Joined {
        if slice.len() < self.order.len() {
            Joined::Later
        } else {
            Joined::Done
        }
    }
}

/// A list of short byte strings in two pieces of memory, which are used again.
#[derive(Debug, Default)]
pub struct Labels {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Labels {
    /// Empties the list.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes of memory that are kept for it.
    pub fn held(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Appends a copy of `label`.
    pub fn push(&mut self, label: &[u8]) {
        self.bytes.extend_from_slice(label);
        self.ends.push(self.bytes.len() as u32);
    }

    /// The label at `index`; empty when there is none.
    pub fn at(&self, index: usize) -> &[u8] {
        let Some(&end) = self.ends.get(index) else {
            return b"";
        };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..end as usize]
    }
}

/// What a join came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined {
    /// The whole reply was passed on.
    Done,
    /// Bytes of some fragment are missing.
    More,
    /// Nothing is missing, but enough was joined in one go.
    Later,
    /// A fragment's reply is of the wrong kind.
    Bad,
}
