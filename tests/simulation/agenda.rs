//! What happens when: virtual time and the events that are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::network::{End, WireId};

/// Microseconds of virtual time.
pub type Micros = u64;

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Bytes, an end or a break reach this end of a wire.
    Arrive(WireId, End),
    /// This end of a wire, which had no room, may write again.
    Room(WireId, End),
    /// A worker has a turn.
    Turn(usize),
    /// A client acts.
    Client(usize),
    /// A hoarder acts.
    Hoarder(usize),
    /// The probe of a pool asks.
    Probe(usize),
    /// A server looks at one of its connections.
    Server(usize, usize),
    /// The attempt of a worker's socket to connect comes to its end.
    Dialled(usize, usize),
    /// The owner of the health table looks at its inbox and its clock.
    Control,
    /// The next fault is due.
    Fault,
    /// A server's spell of bad behaviour may be over.
    Recover(usize),
    /// Memory is no longer scarce.
    Ease,
    /// The next phase of the run begins.
    Phase,
}

/// The events to come. Those of the same instant happen in the order they were made.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    made: u64,
}

impl Agenda {
    /// Notes that `event` happens at `at`.
    pub fn add(&mut self, at: Micros, event: Event) {
        self.made += 1;
        self.heap.push(Reverse((at, self.made, event)));
    }

    /// The next event and its time.
    pub fn next(&mut self) -> Option<(Micros, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
