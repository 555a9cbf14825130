//! From a server's bytes to replies in their clients' order.

use std::mem;

use super::bundle::Turn;
use super::cause::Cause;
use super::client::{Ending, Taken};
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::link::{InFlight, Next, Role, State};
use super::messages::Message;
use super::notice::What;
use super::owed::Timing;
use super::scripts::flushes;
use super::settings;
use super::time::Time;
use super::{Action, CloseHow, Proxy};
use crate::buffer::{Input, Queue};
use crate::protocol::redis::wait;
use crate::protocol::{BadReply, Fed, Joined, Merge, Partial, Plan, ReplyScan};

impl Proxy {
    /// Bytes came from a server.
    pub(super) fn link_received(&mut self, id: LinkId, input: Input<'_>) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        link.received += input.len() as u64;
        link.heard = self.now;
        let mut pending = mem::take(&mut link.pending);
        if pending.is_empty() {
            let used = self.read_replies(id, input);
            if let Some(link) = self.links.find_mut(id) {
                link.pending.extend_from_slice(&input.bytes()[used..]);
            }
            return;
        }
        pending.extend_from_slice(input.bytes());
        self.reread_replies(id, pending);
    }

    /// Reads replies from bytes that were kept.
    fn reread_replies(&mut self, id: LinkId, mut pending: Vec<u8>) {
        let used = self.read_replies(id, Input::copied(&pending));
        if let Some(link) = self.links.find_mut(id)
            && used < pending.len()
        {
            pending.drain(..used);
            link.pending = pending;
        }
    }

    /// A connection that a client's window had stopped may be read again.
    pub(super) fn wake_link(&mut self, id: LinkId) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        link.waking = false;
        link.heard = self.now;
        self.rearm_link(id);
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let pending = mem::take(&mut link.pending);
        if !pending.is_empty() || !link.partial.is_empty() {
            self.reread_replies(id, pending);
        }
        if self
            .links
            .find(id)
            .is_some_and(|link| link.blocked.is_none())
        {
            self.actions.push_back(Action::Resume(id.conn()));
        }
    }

    /// Reads replies until bytes run out or a client's window is full, and says how many bytes were
    /// used.
    fn read_replies(&mut self, id: LinkId, input: Input<'_>) -> usize {
        let mut used = 0;
        loop {
            used += self.take_straight(id, input.skip(used));
            let Some(link) = self.links.find_mut(id) else {
                return input.len();
            };
            if let State::Greeting { .. } = link.state {
                match self.read_greeting(id, input.skip(used)) {
                    0 => return used,
                    now => used += now,
                }
                continue;
            }
            if used == input.len() && link.partial.is_empty() {
                return used;
            }
            if link.is_at_push(&input.bytes()[used..]) {
                let now = self.read_push(id, input.skip(used));
                if now == 0 {
                    return used;
                }
                used += now;
                continue;
            }
            let link = if link.listens {
                match self.read_message(id, input.skip(used)) {
                    Message::None => {}
                    Message::Part(now) => return used + now,
                    Message::Whole(now) => {
                        used += now;
                        continue;
                    }
                }
                match self.links.find_mut(id) {
                    Some(link) => link,
                    None => return input.len(),
                }
            } else {
                link
            };
            let Some(&(mut entry)) = link.in_flight.front().filter(|_| link.may_be_answered())
            else {
                let (pool, server) = (link.pool, link.server);
                self.notice_server(pool, server, What::Surplus);
                self.close_link(id, Cause::Invalid);
                return input.len();
            };
            if link.begun == Time::NEVER {
                link.begun = self.now;
            }
            let rest = input.skip(used);
            let mut turn = None;
            if entry.bundle > 0 && !link.scan.has_begun() {
                match link.bundle_turn(rest.bytes(), &mut entry) {
                    Ok(None) => return used,
                    Ok(found) => turn = found,
                    Err(bad) => {
                        self.bad_reply(id, bad);
                        return input.len();
                    }
                }
            }
            let in_parts = link.streaming || link.reply_len >= self.limits.cut_through as u64;
            if let Some(client) = entry.client
                && link.is_alone()
                && let Some(known) = self.clients.find_mut(client)
                && known.is_full(&entry, in_parts, &self.limits)
            {
                if self.tell_passed(id) {
                    continue;
                }
                self.block(id, client);
                return used;
            }
            let protocol = link.protocol;
            if !link.scan.has_begun() {
                if !link.expect(&entry, rest.bytes()) {
                    self.bad_reply(id, BadReply::Foreign);
                    return input.len();
                }
                link.loading = protocol.is_loading(rest.bytes());
            }
            let mut head = 0;
            match turn {
                Some(Turn::End { len, shared: true }) => {
                    // The line stays for those behind.
                    self.reply_done(id, &entry, rest.slice(0..len));
                    continue;
                }
                Some(Turn::Value { len, data, shared }) => {
                    link.scan.begin_value(data, shared);
                    head = len;
                }
                _ => {}
            }
            let (scan, asked) = (&mut link.scan, &mut link.asked);
            let fed = protocol.feed_reply_to(Some(asked), scan, &rest.bytes()[head..]);
            let (now, done) = match fed {
                Ok(Fed { used, done }) => (head + used, done),
                Err(bad) => {
                    self.bad_reply(id, bad);
                    return input.len();
                }
            };
            link.reply_len += now as u64;
            used += now;
            let piece = rest.slice(0..now);
            if done && link.scan.severed {
                self.severed_done(id, &entry, piece);
                continue;
            }
            if done {
                self.reply_done(id, &entry, piece);
                continue;
            }
            if link.is_busy(self.limits.large_message) {
                self.pools[link.pool.index()]
                    .large_keys
                    .note(entry.print, self.now);
            }
            link.partial.push_input(piece, &mut self.buffers);
            if link.streaming || link.partial.len() >= self.limits.cut_through {
                self.pass_part(id, &entry);
            }
            return used;
        }
    }

    /// Reads a push of RESP3, or a part of it, and says how many bytes were used. It is no reply, and
    /// on a shared connection nobody can have asked for it.
    fn read_push(&mut self, id: LinkId, input: Input<'_>) -> usize {
        let Some(link) = self.links.find_mut(id) else {
            return 0;
        };
        let protocol = self.pools[link.pool.index()].protocol;
        let fed = match protocol.feed_reply(&mut link.scan, input.bytes()) {
            Ok(fed) => fed,
            Err(bad) => {
                self.bad_reply(id, bad);
                return 0;
            }
        };
        if fed.done {
            link.scan = ReplyScan::new(link.version);
        }
        fed.used
    }

    pub(super) fn bad_reply(&mut self, id: LinkId, bad: BadReply) {
        let Some(link) = self.links.find(id) else {
            return;
        };
        let (pool, server) = (link.pool, link.server);
        if bad == BadReply::Depth {
            self.stats.pools[pool.index()].nesting_limit_hits.add(1);
        }
        self.notice_server(pool, server, What::BadReply(bad));
        self.close_link(id, Cause::Invalid);
    }

    /// A reply is whole: `last` are its last bytes, those before are in the connection's `partial`.
    #[inline]
    pub(super) fn reply_done(&mut self, id: LinkId, entry: &InFlight, last: Input<'_>) {
        if entry.role == Role::Usual {
            self.settle(id, entry, last, None);
        } else {
            self.part_done(id, entry, last);
        }
    }

    /// Takes a whole reply to its client, and goes on with the connection, unless that is known (`next`).
    #[inline(always)]
    pub(super) fn settle(
        &mut self,
        id: LinkId,
        entry: &InFlight,
        last: Input<'_>,
        next: Option<Next>,
    ) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let (pool, server, loading, len) = (link.pool, link.server, link.loading, link.reply_len);
        let last = last.slice(0..last.len() - link.scan.marker_len);
        let next = match next {
            Some(next) => next,
            None if link.is_usual() => Next::Reply,
            None => link.what_follows(entry, last),
        };
        let mut partial = (!link.partial.is_empty()).then(|| mem::take(&mut link.partial));
        let stats = &self.stats.pools[pool.index()];
        let mark = Timing::measured(entry, link.begun, &stats.latency);
        let stats = &stats.servers[server.index()];
        link.uncount(0, entry.len, stats);
        link.finish_reply();
        self.messages += 1;
        if let Some(client) = entry.client
            && let Some(known) = self.clients.find_mut(client)
        {
            known.note_reply(entry, len);
            stats.responses.add(1);
            stats.response_bytes.add(len);
            match entry.fragment {
                None => self.deliver(client, entry.sequence, partial.as_mut(), last, Some(mark)),
                Some(fragment) => {
                    let partial = partial.as_mut();
                    self.deliver_fragment(client, entry, fragment, partial, last, Some(mark));
                }
            }
            if loading {
                self.actions.push_back(Action::Failed {
                    pool,
                    server,
                    since: entry.queued,
                    cause: Cause::Refused,
                });
                self.pools[pool.index()].failing[server.index()] = true;
            } else if self.pools[pool.index()].failing[server.index()] {
                self.pools[pool.index()].failing[server.index()] = false;
                self.actions.push_back(Action::Succeeded { pool, server });
            }
        } else if let Some(mut partial) = partial {
            partial.clear(&mut self.buffers);
        }
        if next != Next::Reply {
            self.follow_up(id, entry, next);
        }
    }

    /// Does what is to be done about the connection once the reply to `entry` was passed on.
    #[cold]
    pub(super) fn follow_up(&mut self, id: LinkId, entry: &InFlight, next: Next) {
        match next {
            Next::Reply => {}
            // The transaction may still be open: what comes next would be queued for ever.
            Next::Stuck | Next::Queued | Next::RanWithout => {
                self.close_link(id, Cause::Transaction)
            }
            Next::Proved { stuck } => self.multi_proved(id, entry, stuck),
            Next::Unblocked { woken } => self.wait_ended(entry, Ok(woken)),
            Next::RenewalRefused => self.renewal_refused(id),
            Next::PinnedAnswered => self.pinned_answered(id),
            Next::UploadAnswered => self.upload_answered(id),
            Next::SpareFreed => self.spare_freed(id),
        }
    }

    /// Passes on what is there of a reply that is not whole, if its turn has come.
    fn pass_part(&mut self, id: LinkId, entry: &InFlight) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        link.note_start(entry);
        let client = entry
            .client
            .and_then(|client| self.clients.find_mut(client));
        let (Some(client_id), Some(client)) = (entry.client, client) else {
            link.streaming = true;
            return link.partial.clear(&mut self.buffers);
        };
        if client.ring.is_silent(entry.sequence) {
            link.streaming = true;
            return link.partial.clear(&mut self.buffers);
        }
        let nothing = Input::copied(&[]);
        if let Some(fragment) = entry.fragment {
            // Only arrays and values can be passed on in parts; the rest is small.
            let mut partial = mem::take(&mut link.partial);
            link.streaming = true;
            let partial = Some(&mut partial);
            self.deliver_fragment(client_id, entry, fragment, partial, nothing, None);
        } else if client.ring.is_head(entry.sequence) {
            let mut partial = mem::take(&mut link.partial);
            link.streaming = true;
            self.deliver(client_id, entry.sequence, Some(&mut partial), nothing, None);
        } else if link.partial.len() >= self.limits.window && link.is_alone() {
            if self.tell_passed(id) {
                return self.pass_part(id, entry);
            }
            self.block(id, client_id);
        }
    }

    /// Brings a reply, or a part of it, to its place: `partial`, then `last`. With it comes `whole` if
    /// these are its last bytes.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        id: ClientId,
        sequence: u32,
        partial: Option<&mut Queue>,
        last: Input<'_>,
        whole: Option<Timing>,
    ) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if let Some(Exchange::Silent | Exchange::Probe(_) | Exchange::Errand(_)) =
            client.ring.find(sequence)
        {
            return self.deliver_elsewhere(id, sequence, partial, last, whole);
        }
        match client.take_reply(sequence, partial, last, whole, &mut self.buffers) {
            Taken::Passed => self.advance(id),
            Taken::Part => self.flush_client(id),
            Taken::Kept => {}
        }
    }

    /// A reply that is not for its client, or perhaps not.
    fn deliver_elsewhere(
        &mut self,
        id: ClientId,
        sequence: u32,
        partial: Option<&mut Queue>,
        last: Input<'_>,
        whole: Option<Timing>,
    ) {
        let done = whole.is_some();
        let mut nothing = Queue::new();
        let partial = partial.unwrap_or(&mut nothing);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        match client.ring.find(sequence) {
            Some(Exchange::Probe(probe)) => {
                probe.hear(partial, last, &mut self.buffers);
                if done {
                    self.probed(id, sequence);
                }
            }
            Some(Exchange::Errand(_)) => {
                if self.errand_reply(id, sequence, partial, last, done) {
                    // From now on it waits as any other.
                    self.deliver(id, sequence, Some(partial), last, whole);
                }
            }
            _ => self.pass_over(id, sequence, partial, done),
        }
    }

    /// Brings a fragment's reply, or a part of it, to its place.
    fn deliver_fragment(
        &mut self,
        id: ClientId,
        entry: &InFlight,
        fragment: u16,
        partial: Option<&mut Queue>,
        last: Input<'_>,
        whole: Option<Timing>,
    ) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let is_head = client.ring.is_head(entry.sequence);
        let mut kept = partial.as_ref().map_or(0, |partial| partial.len()) + last.len();
        let Some(Exchange::Fanout(fanout)) = client.ring.find(entry.sequence) else {
            debug_assert!(false, "a fragment of no split request");
            return;
        };
        let is_lost = fanout.is_lost();
        let reply = &mut fanout.replies[usize::from(fragment)];
        if is_lost {
            if let Some(partial) = partial {
                partial.clear(&mut self.buffers);
            }
            kept = 0;
        } else {
            if let Some(partial) = partial {
                reply.bytes.append(partial, &mut self.buffers);
            }
            reply.bytes.push_input_reused(last, &mut self.buffers);
        }
        if let Some(mark) = whole {
            reply.done = true;
            fanout.pending -= 1;
            fanout.mark.begun = fanout.mark.begun.max(mark.begun);
        }
        let mut freed = 0;
        if !fanout.can_stream() && !is_lost && fanout.held() > self.limits.join {
            fanout.failure = Some((u16::MAX, Cause::TooLarge));
            fanout.partial = Partial::Fail;
            freed = fanout.discard(&mut self.buffers);
        }
        let may_pass = fanout.pending == 0 || fanout.join.started;
        client.ring.waiting_bytes += kept;
        client.ring.waiting_bytes -= freed;
        if is_head && (may_pass || client.ring.waiting_bytes >= self.limits.window) {
            self.advance(id);
        } else if freed > 0 {
            self.unblock(id);
        }
    }

    /// Throws away a reply, or a part of it, that is for nobody.
    pub(super) fn pass_over(
        &mut self,
        id: ClientId,
        sequence: u32,
        partial: &mut Queue,
        done: bool,
    ) {
        partial.clear(&mut self.buffers);
        if done && let Some(client) = self.clients.find_mut(id) {
            client.ring.serve_silent(sequence);
            self.advance_if_head(id, sequence);
        }
    }

    /// Passes on every reply whose turn has come.
    pub(super) fn advance(&mut self, id: ClientId) {
        while let Some(client) = self.clients.find_mut(id) {
            match client.ring.head() {
                Some(&mut Exchange::Kept { start, len, mark }) => {
                    client
                        .out
                        .push(client.ring.kept(start, len), &mut self.buffers);
                    client.owed.put(mark, client.out.len());
                    client.ring.pop();
                }
                Some(Exchange::Ready(reply, mark)) => {
                    let len = reply.len();
                    client.out.append(reply, &mut self.buffers);
                    client.owed.put(*mark, client.out.len());
                    client.ring.waiting_bytes -= len;
                    client.ring.pop();
                }
                Some(Exchange::Fanout(_)) => {
                    if !self.join(id) {
                        break;
                    }
                }
                _ => break,
            }
        }
        self.close_misfits();
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.waits_for_replies_alone() {
            return self.flush_client(id);
        }
        self.release_messages(id);
        self.flush_client(id);
        self.unblock(id);
        self.resume_upload(id);
        self.unstall(id);
        self.close_if_settled(id);
    }

    /// Joins the fragments of the request at the head as far as they are there. Says whether the
    /// request was answered.
    fn join(&mut self, id: ClientId) -> bool {
        let window = self.limits.window;
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let early = client.ring.waiting_bytes >= window;
        let protocol = client.protocol;
        let sequence = client.ring.first();
        let Some(Exchange::Fanout(fanout)) = client.ring.head() else {
            return false;
        };
        let whole = fanout.pending == 0;
        if fanout.mute {
            return whole && self.end_in_silence(id);
        }
        let may_start = whole || (early && fanout.can_stream());
        if !may_start && !fanout.join.started {
            return false;
        }
        if whole && !fanout.join.started {
            let held = fanout.held();
            fanout.leave_out(protocol.is_error(), &mut self.buffers);
            if fanout.merge == Merge::Waited {
                wait::settle(&mut fanout.replies, &mut self.buffers);
            }
            let left = fanout.held();
            client.ring.waiting_bytes = client.ring.waiting_bytes + left - held;
        }
        let Some(Exchange::Fanout(fanout)) = client.ring.head() else {
            return false;
        };
        if let Some((_, cause)) = fanout.failure {
            if fanout.join.started {
                self.close_client(id, Ending::Error, CloseHow::Reset);
                return false;
            }
            if whole && let Some(given) = fanout.given.take() {
                self.subscription_failed(id, sequence, given);
            }
            return whole && self.end_fanout(id, Some(cause));
        }
        if whole
            && !fanout.join.started
            && let Some(error) = protocol.fragment_error(&fanout.replies)
        {
            let line = error.bytes.to_vec();
            client.out.push(&line, &mut self.buffers);
            if let Some(given) = fanout.given.take() {
                self.subscription_failed(id, sequence, given);
            }
            return self.end_fanout(id, None);
        }
        let Some(Exchange::Fanout(fanout)) = client.ring.head() else {
            return false;
        };
        if whole && fanout.merge == Merge::Settings {
            let request = fanout.request.take().unwrap_or_default();
            let config = &self.pools[client.pool.index()].config;
            let reply = settings::joined(config, &request, &fanout.replies, fanout.version);
            fanout.given = Some(reply);
        }
        if let Some(given) = fanout.given.take() {
            client.out.push(&given, &mut self.buffers);
            return self.end_fanout(id, None);
        }
        if fanout.order.len() > self.limits.keys && !self.may_join(id) {
            return false;
        }
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let Some(Exchange::Fanout(fanout)) = client.ring.head() else {
            return false;
        };
        let pool = client.pool.index();
        let flushes = || flushes(self.overview.as_deref(), &self.stats, pool);
        let scripts = &mut self.pools[pool].scripts;
        scripts.observe(fanout, self.limits.scripts, flushes);
        let held = fanout.held();
        let joined = protocol.join(
            fanout.merge,
            &mut fanout.join,
            &mut fanout.replies,
            Plan {
                order: &fanout.order,
                labels: &fanout.labels,
                most: self.limits.keys,
            },
            &mut client.out,
            &mut self.buffers,
        );
        let started = fanout.join.started;
        if joined == Joined::Bad {
            self.misfits.extend(fanout.misfits());
        }
        if joined == Joined::Bad && !started && !whole {
            let is_error = protocol.is_error();
            if fanout.replies.iter().any(|reply| is_error(&reply.bytes)) {
                // A long error: it is the reply, once it is whole.
                fanout.merge = Merge::First;
            } else {
                // The fragments still to come must not be held back by what can never be passed on.
                fanout.failure = Some((u16::MAX, Cause::Invalid));
                fanout.discard(&mut self.buffers);
            }
        }
        let passed = held - fanout.held();
        client.ring.waiting_bytes -= passed;
        match joined {
            Joined::Done => self.end_fanout(id, None),
            Joined::More => false,
            Joined::Later => {
                self.join_later(id);
                false
            }
            Joined::Bad if started => {
                self.notice_client(id, What::Unjoinable);
                self.close_client(id, Ending::Error, CloseHow::Reset);
                false
            }
            Joined::Bad => whole && self.end_fanout(id, Some(Cause::Invalid)),
        }
    }

    /// The split request at the head was served, or failed, and its client wants no reply. What follows
    /// from that does so all the same.
    fn end_in_silence(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let (protocol, sequence) = (client.protocol, client.ring.first());
        let Some(Exchange::Fanout(fanout)) = client.ring.head() else {
            return false;
        };
        let has_failed =
            fanout.failure.is_some() || protocol.fragment_error(&fanout.replies).is_some();
        match fanout.given.take() {
            Some(given) if has_failed => self.subscription_failed(id, sequence, given),
            // What confirms a subscription is no reply.
            Some(given) => client.out.push(&given, &mut self.buffers),
            None if has_failed => {}
            None => {
                let pool = client.pool.index();
                let flushes = || flushes(self.overview.as_deref(), &self.stats, pool);
                let scripts = &mut self.pools[pool].scripts;
                scripts.observe(fanout, self.limits.scripts, flushes);
            }
        }
        self.end_fanout(id, None)
    }

    /// A client took output.
    pub(super) fn client_sent(&mut self, id: ClientId, count: usize) {
        let window = self.limits.window;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let was_full = client.out.len() >= window;
        let listens = client.session.is_some();
        client.out.consume(count, &mut self.buffers);
        let latency = &self.stats.pools[client.pool.index()].latency;
        client.owed.take(count, self.now, latency);
        let was_brimming = client.brimming;
        if client.out.len() < window && (was_full || !client.blocking.is_empty()) {
            self.unblock(id);
            self.unstall(id);
        }
        if listens {
            self.listener_sent(id);
        }
        if was_brimming {
            self.answer_later(id);
        }
        self.close_if_settled(id);
    }
}
