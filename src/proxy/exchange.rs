//! One request of a client and its one reply, in order.
//!
//! ```text
//!   client's ring     [ 17 streaming ][ 18 kept ][ 19 waiting ][ 20 fanout: 3 of 4 there ]
//!                        ^ head: goes straight to the client's output
//!                                        ^ early: waits here for its turn
//! ```
//!
//! Replies come from several servers and so out of order. That of the head is passed on as it comes;
//! early ones wait in the ring, small ones in one buffer per client, so that none costs an allocation.

use std::collections::VecDeque;

use super::cause::Cause;
use super::ids::LinkId;
use super::owed::Timing;
use super::probe::Probe;
use super::scripts::Errand;
use crate::buffer::{BufferPool, Input, Queue};
use crate::protocol::{Answer, FragmentReply, Join, Labels, Merge, Partial, Stamp, Version};

/// How far one request has come.
#[derive(Debug)]
pub(super) enum Exchange {
    /// Nothing of the reply was passed on or kept.
    Waiting,
    /// The reply is whole and stands in the ring's buffer.
    Kept { start: u32, len: u32, mark: Timing },
    /// The reply is whole.
    Ready(Box<Queue>, Timing),
    /// A part of the reply was passed on: the rest must follow, or the client be closed.
    Streaming,
    /// Nothing of the reply is for the client, who asked for none.
    Silent,
    /// The reply is joined from several.
    Fanout(Box<Fanout>),
    /// The reply is ours, and waits for what a server says.
    Probe(Box<Probe>),
    /// The request is kept: what comes first may be the answer to another question.
    Errand(Box<Errand>),
}

impl Exchange {
    /// That of a request to one server, of a client that may not want to hear of it.
    #[inline]
    pub fn owed(mute: bool, answer: Answer) -> Self {
        if mute {
            Self::Silent
        } else {
            Self::for_answer(answer)
        }
    }
}

impl Exchange {
    /// That of a request of which nothing is known but whether it is answered.
    pub fn for_answer(answer: Answer) -> Self {
        match answer {
            Answer::Always | Answer::Maybe => Exchange::Waiting,
            Answer::Never => Exchange::Silent,
        }
    }
}

/// A request that was split.
#[derive(Debug)]
pub(super) struct Fanout {
    /// Of the reply that began last.
    pub mark: Timing,
    pub merge: Merge,
    /// Whether the reply is for nobody.
    pub mute: bool,
    /// The version of the protocol that was spoken when it was asked.
    pub version: Version,
    /// The reply, if it is given here once all servers agree.
    pub given: Option<Vec<u8>>,
    /// What the failure of one fragment means for the others.
    pub partial: Partial,
    pub join: Join,
    /// The fragment of each unit, in the order of the request.
    pub order: Vec<u16>,
    /// What the join must know of each unit.
    pub labels: Labels,
    pub replies: Vec<FragmentReply>,
    /// Where fragments of a get were sent, as long as it may turn out that they were answered as others.
    pub links: Vec<(u16, LinkId)>,
    /// Fragments that are not whole.
    pub pending: u32,
    /// The request itself, if the proxy needs it for the reply: of CONFIG GET, and of SCRIPT LOAD, whose
    /// script is remembered.
    pub request: Option<Box<[u8]>>,
    /// Of the failed fragments, the one that speaks for all.
    pub failure: Option<(u16, Cause)>,
}

impl Fanout {
    /// Notes that a fragment will have no reply. The first with a system error speaks for all, as in
    /// twemproxy; the order is that of the servers.
    pub fn fail(&mut self, fragment: u16, cause: Cause) {
        let rank = |(fragment, cause): (u16, Cause)| (!cause.is_system_error(), fragment);
        if self
            .failure
            .is_none_or(|known| rank((fragment, cause)) < rank(known))
        {
            self.failure = Some((fragment, cause));
        }
        self.replies[usize::from(fragment)].done = true;
        self.pending -= 1;
    }

    /// Takes the keys of a failed fragment for not found. Says how much was there of its reply, and how much
    /// is now.
    pub fn miss(&mut self, fragment: u16, buffers: &mut BufferPool) -> (usize, usize) {
        let before = self.give_up(fragment, buffers);
        let reply = &mut self.replies[usize::from(fragment)];
        reply.bytes.push_exact(b"END\r\n");
        (before, reply.bytes.len())
    }

    /// Waits for a fragment no longer, whose reply does not matter any more. Says how much was there.
    pub fn give_up(&mut self, fragment: u16, buffers: &mut BufferPool) -> usize {
        let reply = &mut self.replies[usize::from(fragment)];
        let held = reply.bytes.len();
        reply.bytes.clear(buffers);
        reply.done = true;
        self.pending -= 1;
        held
    }

    /// Whether what its fragments still bring is for nobody: the request will be answered with an error,
    /// or not at all and nothing else follows from them.
    pub fn is_lost(&self) -> bool {
        let is_heeded = self.given.is_some() || matches!(self.merge, Merge::Script | Merge::Forget);
        (self.mute && !is_heeded)
            || (self.failure.is_some() && self.partial == Partial::Fail && !self.join.started)
    }

    /// Whether a part of the joined reply can be passed on before all fragments are whole.
    pub fn can_stream(&self) -> bool {
        self.partial == Partial::Fail && self.merge.can_stream()
    }

    /// Drops the fragments that failed, all being whole, if any did not and that is how it is to be.
    pub fn leave_out(&mut self, is_error: impl Fn(&Queue) -> bool, buffers: &mut BufferPool) {
        let is_good = |reply: &FragmentReply| !reply.bytes.is_empty() && !is_error(&reply.bytes);
        if self.partial == Partial::Fail || !self.replies.iter().any(is_good) {
            return;
        }
        self.failure = None;
        self.replies.retain_mut(|reply| {
            let good = is_good(reply);
            if !good {
                reply.bytes.clear(buffers);
            }
            good
        });
        self.order.truncate(self.replies.len());
    }

    /// The connections whose replies have values that were not asked for: what is left of them when all keys
    /// have found theirs.
    pub fn misfits(&self) -> impl Iterator<Item = LinkId> {
        let has_values = |fragment: u16| {
            let mut start = [0; 6];
            self.replies[usize::from(fragment)].bytes.peek(&mut start);
            start == *b"VALUE "
        };
        let misfits = self
            .links
            .iter()
            .filter(move |&&(fragment, _)| has_values(fragment));
        misfits.map(|&(_, link)| link)
    }

    /// Whether something is there of every fragment that does not follow another.
    pub fn has_begun(&self) -> bool {
        let has_begun =
            |reply: &FragmentReply| reply.done || reply.follows || !reply.bytes.is_empty();
        self.replies.iter().all(has_begun)
    }

    /// Bytes of memory that are kept for it.
    pub fn allocated(&self) -> usize {
        let replies: usize = self.replies.iter().map(|reply| reply.bytes.held()).sum();
        self.given.as_ref().map_or(0, Vec::capacity)
            + self.request.as_ref().map_or(0, |request| request.len())
            + self.order.capacity() * size_of::<u16>()
            + self.labels.held()
            + self.replies.capacity() * size_of::<FragmentReply>()
            + replies
    }

    /// Bytes that wait in its fragments.
    pub fn held(&self) -> usize {
        self.replies.iter().map(|reply| reply.bytes.len()).sum()
    }

    /// Throws away what waits in vain since `fragment` failed, and says how much it was.
    pub fn discard_failed(&mut self, fragment: u16, buffers: &mut BufferPool) -> usize {
        if self.is_lost() {
            return self.discard(buffers);
        }
        if self.partial == Partial::Fail {
            return 0;
        }
        let bytes = &mut self.replies[usize::from(fragment)].bytes;
        let held = bytes.len();
        bytes.clear(buffers);
        held
    }

    /// Throws away what waits in its fragments, and says how much it was.
    pub fn discard(&mut self, buffers: &mut BufferPool) -> usize {
        let held = self.held();
        for reply in &mut self.replies {
            reply.bytes.clear(buffers);
        }
        held
    }

    /// Whether what comes next of a fragment is not kept until others were passed on.
    pub fn may_go_on(&self, fragment: u16) -> bool {
        self.join.may_go_on(&self.order, fragment)
    }
}

/// The requests of one client that were not answered yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    exchanges: VecDeque<Exchange>,
    /// The sequence number of the head.
    head: u32,
    /// Small early replies. What `Kept` exchanges do not refer to is waste.
    kept: Vec<u8>,
    kept_live: usize,
    /// Bytes of early replies, wherever they are.
    pub waiting_bytes: usize,
    /// Of the request at hand: what a reply of ours must repeat of it.
    pub stamp: Stamp,
    /// The same for each request, where the protocol has it.
    stamps: VecDeque<Stamp>,
    pub stamped: bool,
    /// How many there may be, if fewer than usual.
    most: Option<usize>,
}

/// Replies up to this length are kept in the ring's one buffer.
pub(super) const KEEP_MAX: usize = 8 * 1024;

/// Room for early replies that a client keeps until it is idle for a while.
const KEPT_LEN: usize = 1024;

impl Ring {
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// No more requests may be added as long as there are `most`; there may be more already.
    #[cold]
    pub fn limit(&mut self, most: usize) {
        self.most = Some(most);
    }

    /// There may be as many as others have, until the next [`Ring::limit`].
    pub fn lift_limit(&mut self) {
        self.most = None;
    }

    /// Bytes of memory that are kept for it.
    pub fn held(&self) -> usize {
        let boxed: usize = self.exchanges.iter().map(Exchange::held).sum();
        self.exchanges.capacity() * size_of::<Exchange>()
            + self.stamps.capacity() * size_of::<Stamp>()
            + self.kept.capacity()
            + boxed
    }

    /// Whether there may be one more where there may be `most`.
    #[inline]
    pub fn may_grow(&self, most: usize) -> bool {
        self.exchanges.len() < self.most.map_or(most, |limit| limit.min(most))
    }

    /// Adds a request and gives its sequence number.
    #[inline]
    pub fn push(&mut self, exchange: Exchange) -> u32 {
        let sequence = self.head.wrapping_add(self.exchanges.len() as u32);
        self.exchanges.push_back(exchange);
        if self.stamped {
            self.stamps.push_back(self.stamp);
        }
        sequence
    }

    /// The sequence number of the oldest request, or of the next if there is none.
    pub fn first(&self) -> u32 {
        self.head
    }

    /// What a reply of ours to this request must repeat of it.
    pub fn stamp_of(&self, sequence: u32) -> Stamp {
        let place = sequence.wrapping_sub(self.head) as usize;
        self.stamps.get(place).copied().unwrap_or_default()
    }

    /// The same of the oldest request.
    pub fn head_stamp(&self) -> Stamp {
        self.stamp_of(self.head)
    }

    pub fn is_head(&self, sequence: u32) -> bool {
        sequence == self.head && !self.exchanges.is_empty()
    }

    /// All requests with their sequence numbers, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Exchange)> {
        let numbered = (0..).map(|place| self.head.wrapping_add(place));
        numbered.zip(&self.exchanges)
    }

    /// Panics if what is counted is not what there is.
    pub fn check(&self) {
        let (mut kept, mut others) = (0, 0);
        for exchange in &self.exchanges {
            match exchange {
                Exchange::Kept { len, .. } => kept += *len as usize,
                Exchange::Ready(reply, _) => others += reply.len(),
                Exchange::Fanout(fanout) => others += fanout.held(),
                _ => {}
            }
        }
        assert_eq!(self.kept_live, kept, "bytes of small early replies");
        assert_eq!(self.waiting_bytes, kept + others, "bytes of early replies");
        if self.stamped {
            assert_eq!(self.stamps.len(), self.exchanges.len(), "stamps");
        }
    }

    /// Whether this request was not answered yet.
    pub fn holds(&self, sequence: u32) -> bool {
        (sequence.wrapping_sub(self.head) as usize) < self.exchanges.len()
    }

    /// Whether nothing was asked behind this request.
    pub fn is_last(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.head) as usize + 1 == self.exchanges.len()
    }

    /// Takes back the newest request, of which nothing was answered.
    pub fn take_last(&mut self) -> Option<Exchange> {
        self.exchanges.pop_back()
    }

    pub fn find(&mut self, sequence: u32) -> Option<&mut Exchange> {
        self.exchanges
            .get_mut(sequence.wrapping_sub(self.head) as usize)
    }

    pub fn get(&self, sequence: u32) -> Option<&Exchange> {
        self.exchanges
            .get(sequence.wrapping_sub(self.head) as usize)
    }

    /// Whether the oldest request was answered, in whole or in part, and that is to be passed on.
    #[inline]
    pub fn is_ready(&self) -> bool {
        let head = self.exchanges.front();
        matches!(
            head,
            Some(Exchange::Kept { .. } | Exchange::Ready(..) | Exchange::Fanout(_))
        )
    }

    /// Whether nothing of the reply to this request is for the client.
    pub fn is_silent(&self, sequence: u32) -> bool {
        matches!(self.get(sequence), Some(Exchange::Silent))
    }

    /// Whether a part of a reply was passed on and the rest was not.
    pub fn is_within_a_reply(&self) -> bool {
        match self.exchanges.front() {
            Some(Exchange::Streaming) => true,
            Some(Exchange::Fanout(fanout)) => fanout.join.started,
            _ => false,
        }
    }

    pub fn head(&mut self) -> Option<&mut Exchange> {
        self.exchanges.front_mut()
    }

    /// Adds a request whose reply is already known.
    pub fn push_reply(&mut self, reply: &[u8]) {
        let kept = self.keep_bytes(reply, Timing::NONE);
        self.push(kept);
    }

    /// The same with a reply whose memory others share.
    pub fn push_long_reply(&mut self, reply: Input<'_>) {
        let mut queue = Box::new(Queue::new());
        queue.push_input_exact(reply);
        self.waiting_bytes += queue.len();
        self.push(Exchange::Ready(queue, Timing::NONE));
    }

    /// Notes that a request without a reply was served.
    pub fn serve_silent(&mut self, sequence: u32) {
        self.keep(sequence, b"");
    }

    /// Keeps a whole small reply of our own until its turn.
    pub fn keep(&mut self, sequence: u32, reply: &[u8]) {
        self.keep_served(sequence, reply, Timing::NONE);
    }

    /// Keeps a server's whole small reply until its turn.
    pub fn keep_served(&mut self, sequence: u32, reply: &[u8], mark: Timing) {
        let kept = self.keep_bytes(reply, mark);
        match self.find(sequence) {
            Some(exchange) => *exchange = kept,
            None => debug_assert!(false, "a reply for no request"),
        }
    }

    fn keep_bytes(&mut self, reply: &[u8], mark: Timing) -> Exchange {
        // What is live decides how long the buffer is kept, and of nothing nothing is live.
        let start = if reply.is_empty() {
            0
        } else {
            self.kept.len() as u32
        };
        if self.kept.capacity() == 0 && !reply.is_empty() {
            // Replies to a pipeline come early in numbers: not one allocation for each few of them.
            self.kept.reserve(reply.len().max(KEPT_LEN));
        }
        self.kept.extend_from_slice(reply);
        self.kept_live += reply.len();
        self.waiting_bytes += reply.len();
        Exchange::Kept {
            start,
            len: reply.len() as u32,
            mark,
        }
    }

    /// The bytes of a kept reply.
    pub fn kept(&self, start: u32, len: u32) -> &[u8] {
        &self.kept[start as usize..(start + len) as usize]
    }

    /// Takes the head off, whose reply was passed on.
    #[inline]
    pub fn pop(&mut self) -> Option<Exchange> {
        let exchange = self.exchanges.pop_front()?;
        self.head = self.head.wrapping_add(1);
        if self.stamped {
            self.stamps.pop_front();
        }
        if let Exchange::Kept { len, .. } = exchange {
            self.kept_live -= len as usize;
            self.waiting_bytes -= len as usize;
            if self.kept_live == 0 {
                self.kept.clear();
            } else if self.kept.len() > 4 * KEEP_MAX && self.kept_live < self.kept.len() / 2 {
                self.compact();
            }
        }
        if self.exchanges.is_empty() {
            self.rest();
        }
        Some(exchange)
    }

    /// Moves the kept replies together. Costs what was wasted, so nothing per reply.
    fn compact(&mut self) {
        let mut compacted = Vec::with_capacity(self.kept_live);
        for exchange in &mut self.exchanges {
            // Of nothing, nothing is moved: see `keep_bytes`.
            if let Exchange::Kept { start, len, .. } = exchange
                && *len > 0
            {
                let from = *start as usize;
                *start = compacted.len() as u32;
                compacted.extend_from_slice(&self.kept[from..from + *len as usize]);
            }
        }
        self.kept = compacted;
    }

    /// Gives back all that an idle client does not need, and says how many bytes that is.
    pub fn tidy(&mut self) -> usize {
        if !self.exchanges.is_empty() {
            return 0;
        }
        let freed = self.exchanges.capacity() * size_of::<Exchange>() + self.kept.capacity();
        (self.exchanges, self.kept) = (VecDeque::new(), Vec::new());
        freed
    }

    /// Gives back what is much for a client that has just become idle.
    fn rest(&mut self) {
        self.most = None;
        if self.exchanges.capacity() > 64 {
            self.exchanges = VecDeque::new();
        }
        if self.kept.capacity() > KEPT_LEN {
            self.kept = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_replies_survive_compaction() {
        let mut ring = Ring::default();
        let reply = |number: u32| vec![number as u8; 1000 + number as usize % 7];
        let (mut next, mut oldest) = (0, 0);
        for _ in 0..2000 {
            while ring.len() < 100 {
                let sequence = ring.push(Exchange::Waiting);
                assert_eq!(sequence, next);
                ring.keep(sequence, &reply(next));
                next += 1;
            }
            for _ in 0..37 {
                let Some(&mut Exchange::Kept { start, len, .. }) = ring.head() else {
                    panic!("kept")
                };
                assert_eq!(ring.kept(start, len), reply(oldest));
                ring.pop();
                oldest += 1;
            }
            assert!(
                ring.kept.len() < 300_000,
                "{} bytes of waste",
                ring.kept.len()
            );
        }
        while ring.pop().is_some() {}
        assert_eq!(
            (ring.waiting_bytes, ring.kept_live, ring.kept.capacity()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_reply_of_nothing_outlives_the_replies_before_it() {
        let mut ring = Ring::default();
        let [first, second] = [(); 2].map(|()| ring.push(Exchange::Silent));
        ring.keep(first, b"OK");
        ring.serve_silent(second);
        ring.pop();
        let Some(&mut Exchange::Kept { start, len, .. }) = ring.head() else {
            panic!("kept")
        };
        assert_eq!(ring.kept(start, len), b"");
    }

    #[test]
    fn a_reply_of_nothing_outlives_compaction() {
        let mut ring = Ring::default();
        let reply = vec![b'x'; KEEP_MAX];
        for _ in 0..10 {
            let sequence = ring.push(Exchange::Waiting);
            ring.keep(sequence, &reply);
        }
        let silent = ring.push(Exchange::Silent);
        ring.serve_silent(silent);
        // More than half is waste after six of them: the rest is moved together.
        for _ in 0..10 {
            ring.pop();
        }
        let Some(&mut Exchange::Kept { start, len, .. }) = ring.head() else {
            panic!("kept")
        };
        assert_eq!(ring.kept(start, len), b"");
    }

    #[test]
    fn sequence_numbers_may_wrap() {
        let mut ring = Ring {
            head: u32::MAX,
            ..Ring::default()
        };
        let first = ring.push(Exchange::Waiting);
        let second = ring.push(Exchange::Waiting);
        assert_eq!((first, second), (u32::MAX, 0));
        ring.pop();
        assert!(ring.is_head(second) && ring.find(first).is_none());
    }

    #[test]
    fn the_first_system_error_speaks_for_all_fragments() {
        let mut fanout = Fanout {
            mark: Timing::NONE,
            merge: Merge::Sum,
            mute: false,
            version: Version::Resp2,
            given: None,
            partial: Partial::Fail,
            join: Join::default(),
            order: vec![0, 1, 2],
            labels: Labels::default(),
            replies: (0..3).map(|_| FragmentReply::default()).collect(),
            links: Vec::new(),
            pending: 3,
            request: None,
            failure: None,
        };
        fanout.fail(0, Cause::Eof);
        fanout.fail(2, Cause::Refused);
        fanout.fail(1, Cause::TimedOut);
        assert_eq!(fanout.failure, Some((1, Cause::TimedOut)));
        assert_eq!(fanout.pending, 0);
    }
}
