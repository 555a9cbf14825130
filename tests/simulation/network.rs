//! The network: wires between clients, workers and servers.
//!
//! A wire is two ways, one towards each end. It decides where bytes are cut, how long they take and
//! how many a socket accepts; it can stall and break. What the bytes mean it does not know. Rules are
//! those of TCP where they matter to a proxy: bytes arrive in order or not at all, writing to what is
//! gone breaks the wire, and closing with unread bytes resets it.
//!
//! ```text
//!   write --> [ in flight: cut into parcels, each with its time ] --> arrived --> read
//!             `------------- together at most `capacity` --------------'
//! ```

use std::collections::VecDeque;

use crate::agenda::{Agenda, Event, Micros};
use crate::draw::Draw;

/// A wire, by its place.
pub type WireId = usize;

/// The end of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Who called.
    Caller,
    /// Who was called.
    Called,
}

impl End {
    /// The other one.
    pub fn other(self) -> End {
        match self {
            End::Caller => End::Called,
            End::Called => End::Caller,
        }
    }
}

/// Who is told what happens at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A client.
    Client(usize),
    /// A hoarder.
    Hoarder(usize),
    /// The probe of a pool.
    Probe(usize),
    /// A worker's socket.
    Worker(usize, usize),
    /// A server's connection.
    Server(usize, usize),
    /// The end was closed.
    Nobody,
}

/// What an owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// There are bytes, or the end of them.
    Readable,
    /// There is room again.
    Writable,
    /// The wire broke.
    Broken,
}

/// How a wire behaves.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Least and most time a parcel takes.
    pub delay: (Micros, Micros),
    /// Most bytes of a parcel.
    pub parcel: usize,
    /// Bytes that may be under way and unread in one direction.
    pub capacity: usize,
}

/// What became of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None for now.
    Nothing,
    /// No more to come.
    End,
    /// The wire is broken.
    Broken,
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// So many bytes were taken; none when there is no room.
    Taken(usize),
    /// The wire is broken.
    Broken,
}

#[derive(Debug)]
enum Parcel {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// One direction: towards the end of the same index.
#[derive(Debug, Default)]
struct Way {
    flight: VecDeque<(Micros, Parcel)>,
    /// Bytes in flight.
    flying: usize,
    arrived: VecDeque<u8>,
    ended: bool,
    /// Whether whoever writes into it waits for room.
    wanted: bool,
    stalled_until: Micros,
    /// When the last parcel put in will be there.
    last: Micros,
}

#[derive(Debug)]
struct Wire {
    owners: [Owner; 2],
    ways: [Way; 2],
    /// Whether this end knows that the wire is broken.
    broken: [bool; 2],
    shut: [bool; 2],
    traits: Traits,
}

/// All wires.
#[derive(Debug)]
pub struct Network {
    wires: Vec<Wire>,
    /// What owners are to be told.
    pub notes: VecDeque<(Owner, Note)>,
    draw: Draw,
    /// Bytes carried.
    pub carried: u64,
}

impl Network {
    /// No wires yet.
    pub fn new(draw: Draw) -> Self {
        Self {
            wires: Vec::new(),
            notes: VecDeque::new(),
            draw,
            carried: 0,
        }
    }

    /// A wire between the two.
    pub fn open(&mut self, caller: Owner, called: Owner, traits: Traits) -> WireId {
        self.wires.push(Wire {
            owners: [caller, called],
            ways: [Way::default(), Way::default()],
            broken: [false; 2],
            shut: [false; 2],
            traits,
        });
        self.wires.len() - 1
    }

    /// Writes as many of `bytes` as there is room for, and not always all of those.
    pub fn write(
        &mut self,
        now: Micros,
        agenda: &mut Agenda,
        (id, end): (WireId, End),
        bytes: &[u8],
    ) -> Written {
        let wire = &mut self.wires[id];
        assert!(!wire.shut[end as usize], "wrote behind the end");
        if wire.broken[end as usize] {
            return Written::Broken;
        }
        let (traits, way) = (wire.traits, &mut wire.ways[end.other() as usize]);
        let room = traits
            .capacity
            .saturating_sub(way.flying + way.arrived.len());
        let mut taken = room.min(bytes.len());
        if taken > 1 && self.draw.one_in(16) {
            taken = self.draw.within(1, taken);
        }
        way.wanted |= taken < bytes.len();
        if taken == room {
            // A reader that frees room says so; a cut write must be told at once.
        } else if taken < bytes.len() {
            agenda.add(now + 1, Event::Room(id, end));
        }
        self.carried += taken as u64;
        let mut rest = &bytes[..taken];
        while !rest.is_empty() {
            let most = traits.parcel.max(taken / 64).min(rest.len());
            let size = self.draw.within(1, most).max(most / 16);
            let (piece, behind) = rest.split_at(size);
            rest = behind;
            let parcel = Parcel::Bytes(piece.to_vec());
            Self::send(wire, &mut self.draw, now, agenda, (id, end), parcel);
        }
        Written::Taken(taken)
    }

    fn send(
        wire: &mut Wire,
        draw: &mut Draw,
        now: Micros,
        agenda: &mut Agenda,
        (id, end): (WireId, End),
        parcel: Parcel,
    ) {
        let (least, most) = wire.traits.delay;
        let way = &mut wire.ways[end.other() as usize];
        let at = (now + draw.micros(least, most))
            .max(way.last)
            .max(way.stalled_until);
        way.last = at;
        if let Parcel::Bytes(bytes) = &parcel {
            way.flying += bytes.len();
        }
        way.flight.push_back((at, parcel));
        agenda.add(at, Event::Arrive(id, end.other()));
    }

    /// Parcels reach `end`.
    pub fn arrive(&mut self, now: Micros, agenda: &mut Agenda, (id, end): (WireId, End)) {
        let wire = &mut self.wires[id];
        let way = &mut wire.ways[end as usize];
        if way.stalled_until > now {
            return;
        }
        if wire.broken[end as usize] {
            // Whoever sends does not know it yet; nothing arrives behind a break.
            way.flight.clear();
            way.flying = 0;
            return;
        }
        let mut note = None;
        while way.flight.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, parcel)) = way.flight.pop_front() else {
                break;
            };
            match parcel {
                Parcel::Bytes(bytes) => {
                    way.flying -= bytes.len();
                    way.arrived.extend(bytes);
                    note = note.or(Some(Note::Readable));
                }
                Parcel::End => {
                    way.ended = true;
                    note = note.or(Some(Note::Readable));
                }
                Parcel::Reset => {
                    // What was not read yet may or may not survive.
                    if self.draw.one_in(2) {
                        way.arrived.clear();
                    }
                    way.flight.clear();
                    way.flying = 0;
                    wire.broken[end as usize] = true;
                    note = Some(Note::Broken);
                    break;
                }
            }
        }
        let Some(note) = note else { return };
        if wire.owners[end as usize] != Owner::Nobody {
            return self.notes.push_back((wire.owners[end as usize], note));
        }
        let heard = !way.arrived.is_empty();
        way.arrived.clear();
        if heard && !wire.broken[end as usize] {
            // Bytes for somebody who has closed.
            wire.broken[end as usize] = true;
            Self::send(wire, &mut self.draw, now, agenda, (id, end), Parcel::Reset);
        }
    }

    /// Reads at most `most` bytes into `target`.
    pub fn read(
        &mut self,
        now: Micros,
        agenda: &mut Agenda,
        (id, end): (WireId, End),
        target: &mut [u8],
    ) -> Read {
        let wire = &mut self.wires[id];
        let way = &mut wire.ways[end as usize];
        if way.arrived.is_empty() {
            return if wire.broken[end as usize] {
                Read::Broken
            } else if way.ended {
                Read::End
            } else {
                Read::Nothing
            };
        }
        let count = way.arrived.len().min(target.len());
        let (front, back) = way.arrived.as_slices();
        let first = front.len().min(count);
        target[..first].copy_from_slice(&front[..first]);
        target[first..count].copy_from_slice(&back[..count - first]);
        way.arrived.drain(..count);
        if std::mem::take(&mut way.wanted) {
            let delay = self.draw.micros(wire.traits.delay.0, wire.traits.delay.1);
            agenda.add(now + delay, Event::Room(id, end.other()));
        }
        Read::Bytes(count)
    }

    /// `end`, which waited for room, is told that there is some.
    pub fn room(&mut self, (id, end): (WireId, End)) {
        let owner = self.wires[id].owners[end as usize];
        if owner != Owner::Nobody {
            self.notes.push_back((owner, Note::Writable));
        }
    }

    /// `end` will write no more.
    pub fn shut(&mut self, now: Micros, agenda: &mut Agenda, (id, end): (WireId, End)) {
        let wire = &mut self.wires[id];
        if !wire.shut[end as usize] && !wire.broken[end as usize] {
            Self::send(wire, &mut self.draw, now, agenda, (id, end), Parcel::End);
        }
        wire.shut[end as usize] = true;
    }

    /// `end` closes: what it wrote still arrives, unless it leaves bytes unread.
    pub fn close(&mut self, now: Micros, agenda: &mut Agenda, (id, end): (WireId, End)) {
        if !self.wires[id].ways[end as usize].arrived.is_empty() {
            return self.reset(now, agenda, (id, end));
        }
        self.shut(now, agenda, (id, end));
        self.wires[id].owners[end as usize] = Owner::Nobody;
    }

    /// `end` closes so that the other end sees the wire break.
    pub fn reset(&mut self, now: Micros, agenda: &mut Agenda, (id, end): (WireId, End)) {
        let wire = &mut self.wires[id];
        wire.owners[end as usize] = Owner::Nobody;
        wire.ways[end as usize].arrived.clear();
        if !wire.broken[end as usize] {
            wire.broken[end as usize] = true;
            Self::send(wire, &mut self.draw, now, agenda, (id, end), Parcel::Reset);
        }
    }

    /// The wire breaks in the middle: both ends find out, each in its time.
    pub fn cut(&mut self, now: Micros, agenda: &mut Agenda, id: WireId) {
        let wire = &mut self.wires[id];
        for end in [End::Caller, End::Called] {
            let way = &mut wire.ways[end as usize];
            way.flight.clear();
            way.flying = 0;
            Self::send(
                wire,
                &mut self.draw,
                now,
                agenda,
                (id, end.other()),
                Parcel::Reset,
            );
        }
    }

    /// Nothing more reaches `end` before `until`.
    pub fn stall(&mut self, agenda: &mut Agenda, (id, end): (WireId, End), until: Micros) {
        let way = &mut self.wires[id].ways[end as usize];
        way.stalled_until = way.stalled_until.max(until);
        way.last = way.last.max(until);
        agenda.add(until, Event::Arrive(id, end));
    }

    /// Ends all stalls. What was held back arrives now.
    pub fn unstall_all(&mut self, now: Micros, agenda: &mut Agenda) {
        for (id, wire) in self.wires.iter_mut().enumerate() {
            for end in [End::Caller, End::Called] {
                let way = &mut wire.ways[end as usize];
                if way.stalled_until <= now {
                    continue;
                }
                way.stalled_until = now;
                way.last = now;
                for (at, _) in &mut way.flight {
                    *at = now;
                }
                agenda.add(now, Event::Arrive(id, end));
            }
        }
    }

    /// Whether nothing is under way or unread in either direction.
    pub fn is_quiet(&self, id: WireId) -> bool {
        let is_empty = |way: &Way| way.flight.is_empty() && way.arrived.is_empty();
        self.wires[id].ways.iter().all(is_empty)
    }

    /// Bytes that have arrived at `end` and were not read.
    pub fn unread(&self, (id, end): (WireId, End)) -> usize {
        self.wires[id].ways[end as usize].arrived.len()
    }

    /// Puts bytes before `end` at once, past everything; for what must be there at this instant.
    pub fn plant(&mut self, (id, end): (WireId, End), bytes: &[u8]) {
        let wire = &mut self.wires[id];
        wire.ways[end as usize].arrived.extend(bytes);
        self.notes
            .push_back((wire.owners[end as usize], Note::Readable));
    }

    /// Whether both ends may still use the wire.
    pub fn is_open(&self, id: WireId) -> bool {
        let wire = &self.wires[id];
        wire.owners.iter().all(|owner| *owner != Owner::Nobody)
            && !wire.broken[0]
            && !wire.broken[1]
    }

    /// Whether this end knows that the wire is broken, or that nothing more comes.
    pub fn is_over(&self, (id, end): (WireId, End)) -> bool {
        let wire = &self.wires[id];
        wire.broken[end as usize] || wire.ways[end as usize].ended
    }

    /// Who has this end.
    pub fn owner(&self, (id, end): (WireId, End)) -> Owner {
        self.wires[id].owners[end as usize]
    }
}
