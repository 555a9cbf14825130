//! Requests that several servers answer together: with several keys, cut into one fragment per server
//! concerned, or without, sent whole to every server.
//!
//! A memcached server is asked for many keys in several lines: it takes a time that grows with the square of
//! a line's length, and all who share the connection wait meanwhile. Those of a `gat` must be short.
//!
//! Costs units + servers, and in the steady state no allocation: the memory of one split request is
//! used again for the next.

use std::mem;

use super::cause::Cause;
use super::exchange::{Exchange, Fanout};
use super::ids::ClientId;
use super::owed::Timing;
use super::pool::Pool;
use super::request::Request;
use super::scripts::SCRIPT_MAX;
use super::time::Time;
use super::{Proxy, Scratch};
use crate::buffer::{BufferPool, Input, Queue};
use crate::protocol::memcache::split::{is_too_long, line_units};
use crate::protocol::{
    Answer, BadReply, Family, Fan, FragmentReply, Join, Labels, Merge, Parsed, Partial, Reach,
    ScanTurn, Unit, Version,
};
use crate::route::ServerIndex;

/// How many split requests' memory is kept for the next ones.
const FANOUTS_KEPT: usize = 256;

/// Most keys of one line to a memcached server.
const LINE_KEYS: u32 = 1024;

/// Memory for more units than this is given back after use.
pub(super) const UNITS_KEPT: usize = 1024;

/// How many units one fragment may have.
pub(super) fn most_of_fragment(merge: Merge) -> u32 {
    match merge {
        Merge::Values => LINE_KEYS,
        _ => u32::MAX,
    }
}

/// The part of a request that goes to one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    server: ServerIndex,
    /// How many units.
    count: u32,
    /// Behind its last unit, among the grouped units.
    end: u32,
    /// Behind the last unit there is room for, while they are grouped.
    limit: u32,
}

impl Part {
    /// That of a request that has no units.
    pub fn whole(server: ServerIndex) -> Self {
        Self::of(server, 0)
    }

    /// That of a request whose units are kept elsewhere.
    pub fn of(server: ServerIndex, count: u32) -> Self {
        Self {
            server,
            count,
            end: 0,
            limit: 0,
        }
    }
}

impl Scratch {
    /// A request that is split, with nothing in it yet.
    pub fn fanout(&mut self, merge: Merge, partial: Partial) -> Box<Fanout> {
        let mut fanout = self.fanouts.pop().unwrap_or_default();
        fanout.order.clear();
        fanout.labels.clear();
        fanout.links.clear();
        (fanout.merge, fanout.partial) = (merge, partial);
        fanout
    }
}

impl Proxy {
    /// A command whose units go where their keys live. Says whether it was taken; if not, it stays where it
    /// is and is taken apart in the turns that follow.
    pub(super) fn split(
        &mut self,
        request: &Request,
        parsed: &Parsed,
        merge: Merge,
        input: Input<'_>,
    ) -> bool {
        let Some(client) = self.clients.find(request.client) else {
            return true;
        };
        let pool = &self.pools[client.pool.index()];
        let (bytes, command) = (input.bytes(), parsed.command);
        // One that is written anew is not long.
        let most = match merge == Merge::Values && is_too_long(bytes) {
            true => usize::MAX,
            false => self.limits.keys,
        };
        let units = &mut self.scratch.units;
        units.clear();
        if !pool.commands.units(bytes, command, &mut 0, most, units) {
            self.divide(request, parsed, merge, input.len());
            return false;
        }
        self.split_at_once(request, parsed, merge, input);
        true
    }

    /// The units of the request have been found.
    fn split_at_once(
        &mut self,
        request: &Request,
        parsed: &Parsed,
        merge: Merge,
        input: Input<'_>,
    ) {
        let id = request.client;
        let draw = self.draw();
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let pool = &self.pools[client.pool.index()];
        let mut scratch = mem::take(&mut self.scratch);
        let bytes = input.bytes();
        let is_too_long = merge == Merge::Values && is_too_long(bytes);
        let most = match is_too_long {
            true => line_units(bytes, &scratch.units),
            false => most_of_fragment(merge),
        };
        scratch.servers.clear();
        scratch.servers.reserve(scratch.units.len());
        // One draw for the whole request: a random pool sends it to one server.
        for unit in &scratch.units {
            // Either every key has a server, or no server is live.
            match pool.router.pick(unit.key.of(bytes), draw) {
                Some(server) => scratch.servers.push(server),
                None => break,
            }
        }
        match scratch.servers.first().copied() {
            None => self.answer_error(id, Cause::Refused),
            first
                if !is_too_long
                    && scratch.units.len() as u64 <= most.into()
                    && scratch.servers.iter().all(|&server| Some(server) == first) =>
            {
                if merge == Merge::Values && self.limits.strict {
                    let request = request.of_family(Family::Values);
                    self.forward_values(&request, first, input, &scratch.units);
                } else {
                    self.forward(request, first, input);
                }
            }
            Some(_) => self.fan_out(request, parsed, merge, bytes, most, &mut scratch),
        }
        scratch.units.clear();
        scratch.units.shrink_to(UNITS_KEPT);
        scratch.grouped.clear();
        scratch.grouped.shrink_to(UNITS_KEPT);
        scratch.servers.shrink_to(UNITS_KEPT);
        self.scratch = scratch;
    }

    /// Sends fragments of at most `most` units to each server concerned, in the order of the servers.
    fn fan_out(
        &mut self,
        request: &Request,
        parsed: &Parsed,
        merge: Merge,
        bytes: &[u8],
        most: u32,
        scratch: &mut Scratch,
    ) {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let server_count = self.pools[client.pool.index()].server_count();
        let mut fanout = scratch.fanout(merge, Partial::Fail);
        group(scratch, server_count, most, &mut fanout.order);
        if merge == Merge::Values {
            // A value names its key: by that it finds its place.
            for unit in &scratch.units {
                fanout.labels.push(unit.key.of(bytes));
            }
        }
        let in_lines = fanout.order.len() > most as usize;
        let Some(sequence) = self.push_fanout(request, fanout, &scratch.parts) else {
            return;
        };
        if in_lines {
            self.note_lines(id, sequence, &scratch.parts);
        }
        for (fragment, part) in scratch.parts.iter().enumerate() {
            let units = &scratch.grouped[(part.end - part.count) as usize..part.end as usize];
            let write = |out: &mut Queue, buffers: &mut BufferPool, pool: &Pool| {
                let commands = &pool.commands;
                commands.fragment(bytes, parsed.command, units, out, buffers);
            };
            self.send_fragment(
                request,
                sequence,
                fragment as u16,
                part.server,
                merge,
                write,
            );
        }
        self.advance(id);
    }

    /// Queues a fragment, which `write` writes, for its server.
    #[inline]
    pub(super) fn send_fragment(
        &mut self,
        request: &Request,
        sequence: u32,
        fragment: u16,
        server: ServerIndex,
        merge: Merge,
        write: impl FnOnce(&mut Queue, &mut BufferPool, &Pool),
    ) {
        let id = request.client;
        let link = match self.link_for(request, server) {
            Ok(link) => link,
            Err(cause) => return self.fail_fragment(id, sequence, fragment, cause),
        };
        if merge == Merge::Values
            && let Some(client) = self.clients.find_mut(id)
            && let Some(Exchange::Fanout(fanout)) = client.ring.find(sequence)
        {
            fanout.links.push((fragment, link));
        }
        let entry = request.fragment_entry(sequence, fragment, self.now);
        self.send(link, entry, write);
    }

    /// A request is sent in several lines to one server: each but the first is answered behind another.
    #[cold]
    pub(super) fn note_lines(&mut self, id: ClientId, sequence: u32, parts: &[Part]) {
        if let Some(client) = self.clients.find_mut(id)
            && let Some(Exchange::Fanout(fanout)) = client.ring.find(sequence)
        {
            let pairs = parts.iter().zip(parts.iter().skip(1));
            for (reply, (before, part)) in fanout.replies.iter_mut().skip(1).zip(pairs) {
                reply.follows = part.server == before.server;
            }
        }
    }

    /// Queues a whole get that could have been split, but has all its keys on one server.
    fn forward_values(
        &mut self,
        request: &Request,
        server: Option<ServerIndex>,
        input: Input<'_>,
        units: &[Unit],
    ) {
        if let Some(link) = self.forward(request, server, input)
            && let Some(target) = self.links.find_mut(link)
        {
            let keys = units.iter().map(|unit| unit.key.of(input.bytes()));
            target.asked.push(keys);
        }
    }

    /// A command that every server answers.
    pub(super) fn everywhere(&mut self, request: &Request, fan: Fan, input: Input<'_>) {
        let mut request = *request;
        if fan.merge == Merge::Stats && self.limits.strict {
            request.family = Family::Statistics;
        }
        let (id, answer) = (request.client, request.answer);
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let pool_index = client.pool;
        if fan.reach == Reach::Busy {
            return self.overtake(&request, fan, input);
        }
        if fan.merge == Merge::Forget {
            self.forget_scripts(pool_index);
        }
        let pool = &self.pools[pool_index.index()];
        let mut scratch = mem::take(&mut self.scratch);
        scratch.servers.clear();
        let all = (0..pool.server_count()).map(|server| ServerIndex(server as u16));
        let is_meant = |server| fan.reach == Reach::All || pool.router.is_live(server);
        scratch
            .servers
            .extend(all.filter(|&server| is_meant(server)));
        match scratch.servers[..] {
            // Nobody would answer a request without a reply either.
            [] if answer == Answer::Never => {}
            [] => self.answer_error(id, Cause::Refused),
            [only] if !fan.merge.concerns_us() => {
                self.forward(&request, Some(only), input);
            }
            _ if answer == Answer::Never => {
                for &server in &scratch.servers {
                    self.forward(&request, Some(server), input);
                }
            }
            _ => self.send_everywhere(&request, fan, input, &mut scratch),
        }
        scratch.servers.shrink_to(UNITS_KEPT);
        self.scratch = scratch;
    }

    /// Sends the request to each of several servers, in their order.
    fn send_everywhere(
        &mut self,
        request: &Request,
        fan: Fan,
        input: Input<'_>,
        scratch: &mut Scratch,
    ) {
        let id = request.client;
        scratch.parts.clear();
        scratch
            .parts
            .extend(scratch.servers.iter().copied().map(Part::whole));
        let mut fanout = scratch.fanout(fan.merge, fan.partial);
        fanout.order.extend(0..scratch.parts.len() as u16);
        if fan.merge == Merge::Any {
            let first = self.draw() as usize % scratch.parts.len();
            fanout.order.rotate_left(first);
        }
        let is_kept = matches!(fan.merge, Merge::Script | Merge::Settings);
        fanout.request = (is_kept && input.len() <= SCRIPT_MAX).then(|| input.bytes().into());
        let labelled = matches!(fan.merge, Merge::Stats | Merge::Packets);
        if let Some(client) = self.clients.find(id).filter(|_| labelled) {
            let servers = &self.pools[client.pool.index()].config.servers;
            for server in &scratch.servers {
                fanout.labels.push(servers[server.index()].name.as_bytes());
            }
        }
        let Some(sequence) = self.push_fanout(request, fanout, &scratch.parts) else {
            return;
        };
        for (fragment, part) in scratch.parts.iter().enumerate() {
            let fragment = fragment as u16;
            let link = match self.link_for(request, part.server) {
                Ok(link) => link,
                Err(cause) => {
                    self.fail_fragment(id, sequence, fragment, cause);
                    continue;
                }
            };
            let entry = request.fragment_entry(sequence, fragment, self.now);
            self.send_input(link, entry, input);
        }
        self.advance(id);
    }

    /// SCAN: the server whose turn it is, is asked with its own cursor.
    ///
    /// An ejected server is passed over, as its keys are.
    pub(super) fn scan(&mut self, request: &Request, cursor: u64, input: Input<'_>) {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let pool_index = client.pool;
        let pool = &self.pools[pool_index.index()];
        if pool.router.live_count() == 0 {
            return self.answer_error(id, Cause::Refused);
        }
        let servers = pool.server_count() as u16;
        let live_from =
            |first: u16| (first..servers).find(|&server| pool.router.is_live(ServerIndex(server)));
        let (server, own) = match ScanTurn::split(cursor, servers) {
            (server, own) if pool.router.is_live(ServerIndex(server)) => (server, own),
            (server, _) => match live_from(server + 1) {
                Some(next) => (next, 0),
                None => return self.answer(id, b"*2\r\n$1\r\n0\r\n*0\r\n"),
            },
        };
        let turn = ScanTurn {
            server,
            next: live_from(server + 1).unwrap_or(0),
            servers,
        };
        let part = Part::whole(ServerIndex(server));
        let link = match self.link_for(request, part.server) {
            Ok(link) => link,
            Err(cause) => return self.answer_error(id, cause),
        };
        let mut fanout = self.scratch.fanout(Merge::Scan(turn), Partial::Fail);
        fanout.order.push(0);
        let Some(sequence) = self.push_fanout(request, fanout, &[part]) else {
            return;
        };
        let entry = request.fragment_entry(sequence, 0, self.now);
        self.send(link, entry, |out, buffers, pool| {
            pool.commands.scan_request(input.bytes(), own, out, buffers);
        });
    }

    /// Notes that a reply is owed which is joined from one of each part.
    pub(super) fn push_fanout(
        &mut self,
        request: &Request,
        mut fanout: Box<Fanout>,
        parts: &[Part],
    ) -> Option<u32> {
        let client = self.clients.find_mut(request.client)?;
        fanout.mute = client.is_mute();
        fanout.version = client.version();
        fanout.mark = Timing {
            topic: request.topic,
            begun: Time::default(),
        };
        fanout.given = None;
        fanout.join = Join::default();
        fanout.failure = None;
        fanout.pending = parts.len() as u32;
        fanout
            .replies
            .resize_with(parts.len(), FragmentReply::default);
        for (reply, part) in fanout.replies.iter_mut().zip(parts) {
            reply.done = false;
            reply.opened = false;
            reply.follows = false;
            reply.units = part.count;
        }
        let stats = &self.stats.pools[client.pool.index()];
        stats.fragments.add(parts.len() as u64);
        Some(client.ring.push(Exchange::Fanout(fanout)))
    }

    /// Closes connections on which a get was answered with values of other keys.
    #[inline]
    pub(super) fn close_misfits(&mut self) {
        while let Some(link) = self.misfits.pop() {
            self.bad_reply(link, BadReply::Foreign);
        }
    }

    /// Passes on what may be passed on if this is the reply whose turn it is.
    pub(super) fn advance_if_head(&mut self, id: ClientId, sequence: u32) {
        let client = self.clients.find(id);
        if client.is_some_and(|client| client.ring.is_head(sequence)) {
            self.advance(id);
        }
    }

    /// The split request at the head is answered, or is now, with an error.
    pub(super) fn end_fanout(&mut self, id: ClientId, cause: Option<Cause>) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let stamp = client.ring.head_stamp();
        let Some(Exchange::Fanout(fanout)) = client.ring.pop() else {
            return false;
        };
        client.ring.waiting_bytes -= fanout.held();
        if let Some(cause) = cause {
            let error = client.protocol.error_to(stamp, &cause.to_string());
            client.out.push(error.bytes(), &mut self.buffers);
            self.stats.pools[client.pool.index()].forward_error.add(1);
        } else {
            client.owed.put(fanout.mark, client.out.len());
        }
        self.recycle(fanout);
        true
    }

    /// Takes back the memory of a split request that was answered.
    pub(super) fn recycle(&mut self, mut fanout: Box<Fanout>) {
        for reply in &mut fanout.replies {
            reply.bytes.clear(&mut self.buffers);
        }
        fanout.request = None;
        if self.scratch.fanouts.len() < FANOUTS_KEPT && fanout.order.len() <= UNITS_KEPT {
            self.scratch.fanouts.push(fanout);
        }
    }
}

/// Sorts the units into parts of at most `most` by server, keeping their order, and notes for each which part
/// it went to.
fn group(scratch: &mut Scratch, server_count: usize, most: u32, order: &mut Vec<u16>) {
    let counts = &mut scratch.counts;
    counts.clear();
    counts.resize(server_count, 0);
    for server in &scratch.servers {
        counts[server.index()] += 1;
    }
    scratch.parts.clear();
    let mut start = 0;
    let concerned = counts
        .iter_mut()
        .enumerate()
        .filter(|(_, count)| **count > 0);
    for (server, count) in concerned {
        let server = ServerIndex(server as u16);
        // From here on a server's count is the number of its part that is being filled.
        let mut left = mem::replace(count, scratch.parts.len() as u32);
        while left > 0 {
            let count = left.min(most);
            // `end` moves from the part's start to its end as its units come in.
            scratch.parts.push(Part {
                server,
                count,
                end: start,
                limit: start + count,
            });
            start += count;
            left -= count;
        }
    }
    scratch.grouped.clear();
    scratch
        .grouped
        .resize(scratch.units.len(), Default::default());
    order.clear();
    order.reserve(scratch.units.len());
    for (unit, server) in scratch.units.iter().zip(&scratch.servers) {
        let number = counts[server.index()];
        let part = &mut scratch.parts[number as usize];
        scratch.grouped[part.end as usize] = *unit;
        part.end += 1;
        if part.end == part.limit {
            counts[server.index()] += 1;
        }
        order.push(number as u16);
    }
}

impl Default for Fanout {
    fn default() -> Self {
        Self {
            mark: Timing::NONE,
            merge: Merge::Sum,
            mute: false,
            version: Version::Resp2,
            given: None,
            partial: Partial::Fail,
            join: Join::default(),
            order: Vec::new(),
            labels: Labels::default(),
            replies: Vec::new(),
            links: Vec::new(),
            pending: 0,
            request: None,
            failure: None,
        }
    }
}
