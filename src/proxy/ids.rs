//! Names of connections and pools, and the slab that gives connections theirs.

use std::marker::PhantomData;
use std::ops::Range;

/// A pool, by its position in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub u16);

impl PoolIndex {
    /// For indexing.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A connection of one worker, to a client or to a server. Never given twice, so that a late event
/// finds nobody instead of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    generation: u32,
    /// The place in its slab, doubled; odd for connections to servers.
    place: u32,
}

impl ConnId {
    /// Both parts as one number, for event queues that carry one.
    pub fn token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    /// The id a token was made of.
    pub fn from_token(token: u64) -> Self {
        Self {
            generation: (token >> 32) as u32,
            place: token as u32,
        }
    }

    /// A small number no other living connection has, for indexing.
    pub fn index(self) -> usize {
        self.place as usize
    }

    /// Which side the connection is on.
    pub(super) fn side(self) -> Side {
        if self.place & 1 == 0 {
            Side::Client(Id::new(self))
        } else {
            Side::Server(Id::new(self))
        }
    }
}

/// A connection id that knows its side.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client(ClientId),
    Server(LinkId),
}

/// A place in a `Slab<T>`.
#[derive(Debug)]
pub(super) struct Id<T> {
    conn: ConnId,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    fn new(conn: ConnId) -> Self {
        Self {
            conn,
            of: PhantomData,
        }
    }

    /// The id without its side.
    pub fn conn(self) -> ConnId {
        self.conn
    }

    /// The place in the slab.
    pub fn index(self) -> usize {
        self.conn.place as usize >> 1
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.conn == other.conn
    }
}

impl<T> Eq for Id<T> {}

/// A client connection.
pub(super) type ClientId = Id<super::client::Client>;
/// A connection to a server.
pub(super) type LinkId = Id<super::link::Link>;

/// Values that are found by ids which outlive them harmlessly.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// 0 or 1: the lowest bit of every place this slab gives.
    parity: u32,
    count: usize,
    /// Where the generations of places start that are made from now on: above those of places that
    /// were given back, so that no id is given twice.
    floor: u32,
}

/// A slab with room for so many is never made smaller.
const PLACES_KEPT: usize = 256;

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    /// Boxed, so that a place that once was used costs little while it is free.
    value: Option<Box<T>>,
}

impl<T> Slab<T> {
    pub fn new(parity: u32) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            parity,
            count: 0,
            floor: 0,
        }
    }

    pub fn insert(&mut self, value: T) -> Id<T> {
        self.count += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: self.floor,
                value: None,
            });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.value = Some(Box::new(value));
        Id::new(ConnId {
            generation: place.generation,
            place: index << 1 | self.parity,
        })
    }

    pub fn remove(&mut self, id: Id<T>) -> Option<Box<T>> {
        let place = self.places.get_mut(id.index())?;
        if place.generation != id.conn.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index() as u32);
        self.count -= 1;
        Some(value)
    }

    #[inline]
    pub fn find(&self, id: Id<T>) -> Option<&T> {
        let place = self.places.get(id.index())?;
        if place.generation == id.conn.generation {
            place.value.as_deref()
        } else {
            None
        }
    }

    #[inline]
    pub fn find_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let place = self.places.get_mut(id.index())?;
        if place.generation == id.conn.generation {
            place.value.as_deref_mut()
        } else {
            None
        }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Gives back the memory of vacant places behind the last one in use, if it is much, and says how
    /// many bytes that is.
    pub fn tidy(&mut self) -> usize {
        let used = self.places.iter().rposition(|place| place.value.is_some());
        let used = used.map_or(0, |last| last + 1);
        if self.places.capacity() <= PLACES_KEPT.max(2 * used) {
            return 0;
        }
        let before = self.places.capacity();
        for place in self.places.drain(used..) {
            self.floor = self.floor.max(place.generation);
        }
        self.free.retain(|&index| (index as usize) < used);
        self.places.shrink_to(PLACES_KEPT.max(used));
        self.free.shrink_to(PLACES_KEPT.max(used));
        (before - self.places.capacity()) * size_of::<Place<T>>()
    }

    /// How many places there are, in use or not.
    pub fn place_count(&self) -> usize {
        self.places.len()
    }

    /// The values at these places, as far as there are any.
    pub fn values_mut(&mut self, places: Range<usize>) -> impl Iterator<Item = &mut T> {
        let len = self.places.len();
        let places = &mut self.places[places.start.min(len)..places.end.min(len)];
        places
            .iter_mut()
            .filter_map(|place| place.value.as_deref_mut())
    }

    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let conn = ConnId {
                generation: place.generation,
                place: (index as u32) << 1 | self.parity,
            };
            place.value.as_deref().map(|value| (Id::new(conn), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_given_back_and_made_again_have_other_ids() {
        let mut slab: Slab<u32> = Slab::new(0);
        let kept = slab.insert(0);
        let first: Vec<_> = (1..2000).map(|number| slab.insert(number)).collect();
        for id in &first {
            slab.remove(*id);
        }
        assert!(slab.tidy() > 0);
        assert_eq!(slab.find(kept), Some(&0));
        let second: Vec<_> = (1..2000).map(|number| slab.insert(number)).collect();
        for (old, new) in first.iter().zip(&second) {
            assert!(slab.find(*old).is_none() && slab.find(*new).is_some());
        }
        assert_eq!((slab.len(), slab.tidy()), (2000, 0));
    }

    #[test]
    fn a_place_used_again_has_another_id() {
        let mut slab: Slab<&str> = Slab::new(1);
        let first = slab.insert("first");
        assert_eq!(slab.remove(first).as_deref(), Some(&"first"));
        let second = slab.insert("second");
        assert_eq!(first.conn().index(), second.conn().index());
        assert_ne!(first, second);
        assert_eq!(
            (slab.find(first), slab.find(second)),
            (None, Some(&"second"))
        );
        assert!(slab.remove(first).is_none());
        assert_eq!(ConnId::from_token(second.conn().token()), second.conn());
        assert_eq!(slab.len(), 1);
    }
}
