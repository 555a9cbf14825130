//! Gets of memcached clients that wait for one connection, sent as one get of several keys.
//!
//! ```text
//!   get a   get b   get c      -->   get a b c
//!
//!   entries   [ a ][ b ][ c ]    <--   VALUE c ...  VALUE a ...  END
//!             each its value and an END of its own; b, which nobody named, the END alone
//! ```
//!
//! memcached writes the reply to each get of a pipeline on its own, and reading them one by one is dear
//! for both sides; of one get it writes all values at once.
//!
//! Each request keeps an entry of its own, so all that holds for entries holds: timeouts, tombstones, limits,
//! counting. A value finds its entry by its key, in whatever order a server may answer: that entry is moved
//! to the front, and is then answered as any. What was not named is told so when the END comes, and an
//! error in its place is told to all that are left.
//!
//! Until then what was passed by may be what the value at hand must wait for: the two may be of one
//! client, or of two clients that wait for each other over two connections. So before a connection is
//! left unread, what was passed by is taken for not found: memcached names values in the order of the
//! keys. A server that does not, and names one of those after all, is not believed any more.
//!
//! No key is twice in a bundle: of two equal keys one may have been found and the other not, and nobody
//! could tell which. Two keys are taken for equal when their prints are, so within a bundle a print stands
//! for one key only.

use std::mem;

use super::Proxy;
use super::ids::LinkId;
use super::large_keys::KeyHash;
use super::link::{InFlight, Link};
use super::owed::Timing;
use crate::buffer::{BufferPool, Input, SHARE_MIN};
use crate::protocol::{BadReply, Bundling, END, Opening};
use crate::stats::ServerStats;

/// Keys of one bundle. More would hardly save anything, and each is compared with all others.
const KEYS_MAX: u32 = 32;

/// Longest line of a bundle. Up to 2 KiB memcached looks for the end of a line without doubting.
const LINE_MAX: u64 = 2000;

/// The newest request on a connection, as far as others may be added to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bundle {
    /// Which one; never 0 once there is one.
    number: u32,
    verb: Bundling,
    keys: u32,
    /// A bit for each of its keys, by their prints: where one is not set, none of them has that print.
    prints: u128,
    /// Its place in the stream of appended bytes.
    start: u64,
    end: u64,
}

/// What the next line of the reply to a bundle is to the request that is now at the front. `shared` says
/// that others of the bundle are behind it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The head of its value, of `len` bytes.
    Value { len: usize, data: u64, shared: bool },
    /// Its whole reply, of `len` bytes: END or an error.
    End { len: usize, shared: bool },
}

/// The bit of a print among [`Bundle::prints`]. The lowest bit of a print is always set, see `fingerprint`.
#[inline]
fn bit(print: KeyHash) -> u128 {
    1 << ((print.number() >> 1) % 128)
}

impl Link {
    /// Adds a get of one key to the newest request, if nothing of that was sent yet and the two can be
    /// one. Gives the bundle's number and by how much the output has grown.
    #[inline]
    pub fn bundle(
        &mut self,
        request: &[u8],
        print: KeyHash,
        buffers: &mut BufferPool,
    ) -> Option<(u32, u64)> {
        let (verb, key) = self.protocol.bundled(request)?;
        self.add(request, verb, key.len(), print, buffers)
    }

    /// The same with the request's verb and the length of its key, which are known.
    #[inline]
    pub fn add(
        &mut self,
        request: &[u8],
        verb: Bundling,
        key_len: usize,
        print: KeyHash,
        buffers: &mut BufferPool,
    ) -> Option<(u32, u64)> {
        let added = b" ".len() + key_len;
        let newest = self.bundle;
        let fits = newest.end == self.appended
            && self.sent <= newest.start
            && newest.verb == verb
            && (1..KEYS_MAX).contains(&newest.keys)
            && newest.end - newest.start + added as u64 <= LINE_MAX
            && print != KeyHash::NONE
            && (newest.prints & bit(print) == 0 || !self.has_newest(newest.keys, print))
            && self.out.strip_back(b"\r\n");
        if !fits {
            self.bundle = Bundle {
                number: newest.number.wrapping_add(1).max(1),
                verb,
                keys: 1,
                prints: bit(print),
                start: self.appended,
                end: self.appended + request.len() as u64,
            };
            return None;
        }
        let tail = &request[request.len() - added - b"\r\n".len()..];
        self.out.push(tail, buffers);
        self.bundle.keys += 1;
        self.bundle.prints |= bit(print);
        self.bundle.end += added as u64;
        if newest.keys == 1
            && let Some(first) = self.in_flight.back_mut()
        {
            first.bundle = newest.number;
        }
        Some((newest.number, added as u64))
    }

    /// The number of a bundle that comes whole, to which nothing is added.
    pub fn close_bundle(&mut self) -> u32 {
        self.bundle = Bundle {
            number: self.bundle.number.wrapping_add(1).max(1),
            ..Bundle::default()
        };
        self.bundle.number
    }

    /// Whether one of the newest `count` requests has this print.
    fn has_newest(&self, count: u32, print: KeyHash) -> bool {
        let mut newest = self.in_flight.iter().rev().take(count as usize);
        newest.any(|entry| entry.print == print)
    }

    /// Whether the request of `entry`, which is at the front, was sent with all that is in its bundle.
    #[inline]
    pub fn is_bundle_sent(&self, entry: &InFlight) -> bool {
        entry.bundle == 0
            || self
                .in_flight
                .get(self.sent_count)
                .is_none_or(|unsent| unsent.bundle != entry.bundle)
    }

    /// Reads the next line of the reply to the bundle at the front, and brings the request it is for to
    /// the front, which was `front` and is afterwards. `None` while the line's end is missing.
    pub fn bundle_turn(
        &mut self,
        bytes: &[u8],
        front: &mut InFlight,
    ) -> Result<Option<Turn>, BadReply> {
        let Some(opening) = self.protocol.opening(bytes)? else {
            return Ok(None);
        };
        let bundle = front.bundle;
        let is_in = |entry: &&InFlight| entry.bundle == bundle;
        let shared = self.is_shared();
        let (key, data, len) = match opening {
            Opening::End { len } => {
                self.passed = 0;
                return Ok(Some(Turn::End { len, shared }));
            }
            Opening::Value { key, data, len } => (key, data, len),
        };
        let print = KeyHash::of(key);
        let mut in_flight = self.in_flight.iter().take_while(is_in);
        let place = in_flight.position(|entry| entry.print == print);
        let place = place.ok_or(BadReply::Kind)?;
        // Those passed by before are at the front now, and this may be one of them.
        self.passed = place.max((self.passed as usize).saturating_sub(1)) as u32;
        if place > 0
            && let Some(entry) = self.in_flight.remove(place)
        {
            self.in_flight.push_front(entry);
            *front = entry;
            if place >= self.late {
                // The late ones are not at the front any more. They are found again when it is.
                self.late = 0;
            }
        }
        Ok(Some(Turn::Value { len, data, shared }))
    }

    /// Takes out the first of the entries the reply has passed by.
    fn take_passed(&mut self, stats: &ServerStats) -> Option<InFlight> {
        self.passed = self.passed.checked_sub(1)?;
        let entry = self.in_flight.remove(1)?;
        self.uncount(1, entry.len, stats);
        // All of a bundle was sent before its reply is looked at.
        self.sent_count -= 1;
        if self.late > 1 {
            self.late -= 1;
        }
        if !self.is_shared() {
            // The end of the value at hand is its own now.
            self.scan.unsever();
        }
        Some(entry)
    }

    /// Whether the request behind the one at the front, which is in a bundle, is in the same.
    pub fn is_shared(&self) -> bool {
        let mut in_flight = self.in_flight.iter().map(|entry| entry.bundle);
        in_flight.next() == in_flight.next()
    }
}

impl Proxy {
    /// The reply at the front cannot go on before its client has got others: those its bundle has passed
    /// by are told that nothing was found. Says whether there were any.
    pub(super) fn tell_passed(&mut self, id: LinkId) -> bool {
        let mut any = false;
        while let Some(link) = self.links.find_mut(id) {
            let (pool, begun) = (link.pool, link.begun);
            let stats = &self.stats.pools[pool.index()];
            let server = &stats.servers[link.server.index()];
            let Some(entry) = link.take_passed(server) else {
                break;
            };
            any = true;
            self.messages += 1;
            let mark = Timing::measured(&entry, begun, &stats.latency);
            if let Some(client) = entry.client
                && let Some(known) = self.clients.find_mut(client)
            {
                known.note_reply(&entry, 0);
                server.responses.add(1);
                let end = Input::copied(END);
                self.deliver(client, entry.sequence, None, end, Some(mark));
            }
        }
        any
    }

    /// A value is whole whose END others wait for, too: it gets its own.
    pub(super) fn severed_done(&mut self, id: LinkId, entry: &InFlight, last: Input<'_>) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        if !link.partial.is_empty() || last.len() >= SHARE_MIN {
            link.partial.push_input(last, &mut self.buffers);
            return self.reply_done(id, entry, Input::copied(END));
        }
        let mut value = mem::take(&mut self.scratch.value);
        self.reply_done(id, entry, with_end(last, &mut value));
        self.scratch.value = value;
    }
}

/// A short value with an END of its own, in `room`.
pub(super) fn with_end<'a>(value: Input<'_>, room: &'a mut Vec<u8>) -> Input<'a> {
    room.clear();
    room.extend_from_slice(value.bytes());
    room.extend_from_slice(END);
    Input::copied(room)
}
