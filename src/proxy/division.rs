//! Requests of very many keys, taken apart a slice in each turn.
//!
//! A key costs some hundred instructions, so a request of a million would keep its worker from all others for
//! a quarter of a second. Such a request stays where it came in, and its client is read no further, until all
//! of its keys have found their fragments; then these are sent in one turn, as those of a short request.
//!
//! ```text
//!   pending    [ MGET k1 k2 k3 | k4 k5 k6 | k7 ... ][ what the client asks behind it ]
//!                   taken apart ^ goes on here in the next turn
//!   bodies     0: [ k1 k3 k6 ]   1: [ k2 ]   2: [ k4 k5 ]
//! ```
//!
//! All its keys go where the router says that was in force at the start. A turn deals with one client's
//! slice, the next turn with the next client's, so that all others wait for one, however many there are.
//!
//! The reply is joined in the same way, a slice of its elements in each turn: see [`Proxy::may_join`].

use std::mem;
use std::sync::Arc;

use super::Proxy;
use super::cause::Cause;
use super::client::State;
use super::exchange::Fanout;
use super::fragments::{Part, UNITS_KEPT, most_of_fragment};
use super::ids::ClientId;
use super::pending::Pending;
use super::pool::Pool;
use super::request::Request;
use crate::buffer::{BufferPool, Queue};
use crate::protocol::{Commands, Merge, Parsed, Partial, Unit};
use crate::route::{Router, ServerIndex};

/// Keys that a request may have however scarce memory is.
const KEYS_MIN: usize = 65_536;

/// Bytes of memory that a unit takes while its request is split and joined, at most, beside its own.
const UNIT_COST: usize = 64;

/// What a request has become so far.
#[derive(Debug)]
pub(super) struct Division {
    request: Request,
    /// Bytes of the request.
    len: usize,
    command: Option<u16>,
    merge: Merge,
    router: Arc<Router>,
    /// One for the whole request: a random pool sends it to one server.
    draw: u32,
    /// What stands ahead of its units.
    head: Vec<u8>,
    /// Where its next unit stands, and whether there is one.
    at: usize,
    more: bool,
    /// How many units one fragment may have.
    fragment_most: u32,
    /// The order and the labels of its units so far.
    fanout: Box<Fanout>,
    bodies: Vec<Body>,
    /// By server: one more than the number of the body that its next unit goes to; 0 if there is none.
    open: Vec<u16>,
}

/// The units of one fragment.
#[derive(Debug)]
struct Body {
    server: ServerIndex,
    count: u32,
    bytes: Queue,
}

impl Division {
    /// Bytes of memory that are kept for it, besides the request.
    pub fn held(&self) -> usize {
        let bodies: usize = self.bodies.iter().map(|body| body.bytes.held()).sum();
        size_of::<Self>()
            + size_of::<Fanout>()
            + self.fanout.allocated()
            + self.head.capacity()
            + self.bodies.capacity() * size_of::<Body>()
            + self.open.capacity() * size_of::<u16>()
            + bodies
    }

    /// How many of its units have found their fragments.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.fanout.order.len()
    }

    /// Adds units of the request `bytes`, which may have at most `most`.
    fn add(
        &mut self,
        bytes: &[u8],
        units: &[Unit],
        most: usize,
        commands: &Commands,
        buffers: &mut BufferPool,
    ) -> Result<(), Cause> {
        if self.fanout.order.len() + units.len() > most {
            // It would take more memory than one client may have.
            return Err(Cause::TooManyKeys);
        }
        if let Some(first) = units.first().filter(|_| self.head.is_empty()) {
            self.head = bytes[..first.whole.start as usize].to_vec();
        }
        self.fanout.order.reserve(units.len());
        for unit in units {
            let key = unit.key.of(bytes);
            let server = self.router.pick(key, self.draw).ok_or(Cause::Refused)?;
            let number = self.body_of(server);
            let body = &mut self.bodies[usize::from(number)];
            body.count += 1;
            commands.push_units(bytes, std::slice::from_ref(unit), &mut body.bytes, buffers);
            self.fanout.order.push(number);
            if self.merge == Merge::Values {
                self.fanout.labels.push(key);
            }
        }
        Ok(())
    }

    /// The number of the body that takes the next unit of a server.
    fn body_of(&mut self, server: ServerIndex) -> u16 {
        let open = &mut self.open[server.index()];
        if let Some(number) = open.checked_sub(1)
            && self.bodies[usize::from(number)].count < self.fragment_most
        {
            return number;
        }
        let number = self.bodies.len() as u16;
        *open = number + 1;
        self.bodies.push(Body {
            server,
            count: 0,
            bytes: Queue::new(),
        });
        number
    }

    /// Puts the bodies into the order of the servers.
    fn sort(&mut self) {
        let mut places: Vec<u16> = (0..self.bodies.len() as u16).collect();
        places.sort_by_key(|&place| self.bodies[usize::from(place)].server.0);
        let mut numbers = vec![0; places.len()];
        for (number, &place) in places.iter().enumerate() {
            numbers[usize::from(place)] = number as u16;
        }
        for number in &mut self.fanout.order {
            *number = numbers[usize::from(*number)];
        }
        self.bodies.sort_by_key(|body| body.server.0);
    }
}

impl Proxy {
    /// A request of more keys than one turn deals with, `len` bytes long, will be taken apart in those that
    /// follow. Its client is read no further until then.
    #[cold]
    pub(super) fn divide(&mut self, request: &Request, parsed: &Parsed, merge: Merge, len: usize) {
        let id = request.client;
        let draw = self.draw();
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let pool = &self.pools[client.pool.index()];
        client.division = Some(Box::new(Division {
            request: *request,
            len,
            command: parsed.command,
            merge,
            router: Arc::clone(&pool.router),
            draw,
            head: Vec::new(),
            at: 0,
            more: true,
            fragment_most: most_of_fragment(merge),
            fanout: self.scratch.fanout(merge, Partial::Fail),
            bodies: Vec::new(),
            open: vec![0; pool.server_count()],
        }));
        client.held_by.keys = true;
        self.divisions.push_back(id);
    }

    /// Goes on with the request whose turn it is.
    pub(super) fn divide_on(&mut self) {
        while let Some(id) = self.divisions.pop_front() {
            let client = self.clients.find_mut(id);
            if let Some(division) = client.and_then(|client| client.division.take()) {
                return match division.more {
                    true => self.divide_slice(id, division),
                    false => self.send_divided(id, *division),
                };
            }
        }
    }

    /// Takes the next slice of the request apart.
    fn divide_slice(&mut self, id: ClientId, mut division: Box<Division>) {
        let Some(pool) = self.clients.find(id).map(|client| client.pool) else {
            return;
        };
        let most = (self.share(pool) / UNIT_COST).max(KEYS_MIN);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let commands = &self.pools[pool.index()].commands;
        let bytes = client.pending.first(division.len).unwrap_or_default();
        let units = &mut self.scratch.units;
        units.clear();
        let (command, at) = (division.command, &mut division.at);
        division.more = !commands.units(bytes, command, at, self.limits.keys, units);
        let added = division.add(bytes, units, most, commands, &mut self.buffers);
        units.clear();
        units.shrink_to(UNITS_KEPT);
        let Err(cause) = added else {
            client.division = Some(division);
            return self.divisions.push_back(id);
        };
        if cause == Cause::TooManyKeys {
            let stats = &self.stats.pools[pool.index()];
            stats.memory_limit_hits.add(1);
        }
        self.begin_request(id);
        self.answer_error(id, cause);
        self.end_division(id, division.len);
    }

    /// All keys have found their fragments: they are sent.
    fn send_divided(&mut self, id: ClientId, mut division: Division) {
        division.sort();
        self.begin_request(id);
        let parts = division
            .bodies
            .iter()
            .map(|body| Part::of(body.server, body.count));
        let parts: Vec<Part> = parts.collect();
        let in_lines = division.fanout.order.len() > division.fragment_most as usize;
        let Some(sequence) = self.push_fanout(&division.request, division.fanout, &parts) else {
            return;
        };
        if in_lines {
            self.note_lines(id, sequence, &parts);
        }
        let Division {
            request,
            len,
            head,
            command,
            merge,
            bodies,
            ..
        } = division;
        // What goes to one server goes there as it came.
        let is_whole = parts.len() == 1 && merge != Merge::Values;
        for (fragment, mut body) in bodies.into_iter().enumerate() {
            let count = body.count as usize;
            let write = |out: &mut Queue, buffers: &mut BufferPool, pool: &Pool| {
                let commands = &pool.commands;
                match is_whole {
                    true => out.push(&head, buffers),
                    false => commands.open_fragment(&head, command, count, out, buffers),
                }
                out.append(&mut body.bytes, buffers);
                commands.close_fragment(out, buffers);
            };
            self.send_fragment(
                &request,
                sequence,
                fragment as u16,
                body.server,
                merge,
                write,
            );
        }
        self.advance(id);
        self.end_division(id, len);
    }

    /// The request was answered or sent: what its client asks behind it may be read.
    fn end_division(&mut self, id: ClientId, len: usize) {
        self.end_request(id);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.held_by.keys = false;
        client.barrier = false;
        if client.state == State::Open {
            client.pending.consume(len);
            self.unstall(id);
        } else {
            client.pending = Pending::default();
            self.close_if_settled(id);
        }
    }

    /// Whether the reply to a request of very many keys, the client's oldest, may be joined further now. If
    /// not, it is in the next turn.
    pub(super) fn may_join(&mut self, id: ClientId) -> bool {
        if self.joins.take() == Some(id) {
            return true;
        }
        self.join_later(id);
        false
    }

    pub(super) fn join_later(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && !client.joining
        {
            client.joining = true;
            self.joining.push(id);
        }
    }

    /// Goes on with the replies to requests of very many keys.
    pub(super) fn join_on(&mut self) {
        for id in mem::take(&mut self.joining) {
            if let Some(client) = self.clients.find_mut(id) {
                client.joining = false;
                self.joins = Some(id);
                self.advance(id);
            }
        }
        self.joins = None;
    }
}
