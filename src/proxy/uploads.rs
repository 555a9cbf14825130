//! Requests too large to be gathered in one piece of memory first.
//!
//! Up to `large_message` the bytes are gathered, without copying the large ones, and go to the shared
//! connection once all are there: a slow uploader stalls nobody. Beyond it they are sent on as they
//! come, over a connection of their own, after everything the client asked before was answered; and
//! what it asks behind waits for the reply. So a client costs at most a window of memory, and its
//! requests keep their order. While there is no such connection (see `spares`) they are gathered as well.

use std::mem;

use super::cause::Cause;
use super::client::{Ending, Stage, State, Upload, server_bit};
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::large_keys::KeyHash;
use super::link::InFlight;
use super::request::Request;
use super::time::Time;
use super::{CloseHow, Proxy};
use crate::buffer::{Input, Queue};
use crate::protocol::memcache::request::at_once;
use crate::protocol::{Answer, BadBody, Body, Parsed, Protocol, Verdict};
use crate::route::ServerIndex;

impl Proxy {
    /// A request began of which much is still to come; `input` is all of it so far.
    pub(super) fn begin_upload(
        &mut self,
        id: ClientId,
        parsed: Parsed,
        input: Input<'_>,
        body: Body,
    ) {
        let request = self.request(id, &parsed);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.ring.stamp = client.protocol.stamp(input.bytes());
        let (pool, authenticated) = (client.pool, client.authenticated);
        let answer = request.answer;
        let discard = Upload {
            body,
            stage: Stage::Discard,
            server: ServerIndex(0),
            request,
            heard: self.now,
            ticket: None,
            marked: self.now,
            taken: 0,
            slow: false,
            print: KeyHash::of(parsed.key.of(input.bytes())),
            whole: false,
            full: None,
        };
        let upload = match parsed.verdict {
            Verdict::Refuse(refusal) => {
                self.spoil_transaction(id);
                if answer != Answer::Never {
                    self.refuse(id, &refusal);
                }
                discard
            }
            _ if !authenticated => {
                self.refuse_stranger(id, input);
                discard
            }
            _ if self.is_short(pool) => {
                self.stats.pools[pool.index()].memory_limit_hits.add(1);
                if answer != Answer::Never {
                    self.answer_error(id, Cause::NoMemory);
                }
                discard
            }
            _ => match self.route_upload(id, &parsed, input) {
                None => {
                    if answer != Answer::Never {
                        self.answer_error(id, Cause::Refused);
                    }
                    discard
                }
                Some(server) => {
                    let large = self.limits.large_message;
                    if input.len() as u64 + discard.body.announced() > large
                        && matches!(parsed.verdict, Verdict::Forward | Verdict::Expired(_))
                    {
                        // What is written large will be read large.
                        self.pools[pool.index()]
                            .large_keys
                            .note(discard.print, self.now);
                    }
                    let mut queue = Queue::new();
                    match parsed.verdict {
                        Verdict::Expired(expiry) => {
                            let bytes = at_once(input.bytes(), expiry);
                            queue.push_input_exact(Input::copied(&bytes));
                        }
                        _ => queue.push_input_exact(input),
                    }
                    Upload {
                        stage: Stage::Gather(queue),
                        server,
                        ..discard
                    }
                }
            },
        };
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.upload = Some(Box::new(upload));
        let stall = self.now + self.limits.upload_stall;
        self.timers.arm(id.conn(), &mut client.armed, stall);
        self.hold_back_if_large(id);
        self.resume_upload(id);
    }

    fn route_upload(
        &mut self,
        id: ClientId,
        request: &Parsed,
        input: Input<'_>,
    ) -> Option<ServerIndex> {
        let key = request.key.of(input.bytes());
        match request.verdict {
            Verdict::Encoded => self.route_encoded(id, key),
            _ => self.route(id, key),
        }
    }

    /// A gathered request that will be larger than a shared connection takes waits for one of its own.
    fn hold_back_if_large(&mut self, id: ClientId) {
        let large = self.limits.large_message;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(upload) = &mut client.upload else {
            return;
        };
        let Stage::Gather(queue) = &mut upload.stage else {
            return;
        };
        if queue.len() as u64 + upload.body.announced() > large {
            upload.stage = Stage::Wait(mem::take(queue));
        }
    }

    /// Takes bytes of the client's large request. Says how many were used, and whether the request
    /// ended so that another may follow.
    pub(super) fn feed_upload(&mut self, id: ClientId, input: Input<'_>) -> (usize, bool) {
        let Some(client) = self.clients.find(id) else {
            return (input.len(), false);
        };
        let share = self.share(client.pool);
        let Some(client) = self.clients.find_mut(id) else {
            return (input.len(), false);
        };
        let Some(upload) = &mut client.upload else {
            return (0, true);
        };
        if let Stage::Stream(link) = upload.stage
            && self
                .links
                .find(link)
                .is_some_and(|link| link.out.len() >= self.limits.window)
        {
            client.stalled = true;
            return (0, false);
        }
        let room = match &upload.stage {
            Stage::Wait(queue) => share.saturating_sub(queue.len()).min(input.len()),
            _ => input.len(),
        };
        let holds_back = room < input.len();
        let input = input.slice(0..room);
        let fed = match upload.body.feed(input.bytes()) {
            Ok(fed) => fed,
            Err(bad) => {
                self.break_upload(id, bad);
                return (input.len(), false);
            }
        };
        upload.heard = self.now;
        upload.taken += fed.used as u64;
        let piece = input.slice(0..fed.used);
        if let Some(len) = upload.body.excess()
            && !matches!(upload.stage, Stage::Discard)
        {
            self.refuse_upload(id, len);
        }
        let Some(upload) = self.upload_of(id) else {
            return (fed.used, fed.done);
        };
        match &mut upload.stage {
            Stage::Gather(queue) | Stage::Wait(queue) => queue.push_input_exact(piece),
            Stage::Stream(link) => {
                let link = *link;
                if let Some(target) = self.links.find_mut(link) {
                    target.out.push_input(piece, &mut self.buffers);
                }
                self.upload_grew(link, piece.len() as u64);
                self.flush_link(link);
            }
            Stage::Discard => {}
        }
        if fed.done && self.must_wait(id) {
            return (fed.used, false);
        }
        if fed.done {
            self.end_upload(id);
        } else {
            if holds_back {
                self.fill_upload(id);
            }
            self.hold_back_if_large(id);
            self.resume_upload(id);
        }
        (fed.used, fed.done)
    }

    /// Whether the client's large request, which is all there, is too large for the connection on which it
    /// waits for other replies. If so it waits for them.
    fn must_wait(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let Some(upload) = &mut client.upload else {
            return false;
        };
        upload.whole = matches!(upload.stage, Stage::Wait(_)) && !client.ring.is_empty();
        client.stalled |= upload.whole;
        upload.whole
    }

    /// The client's large request is whole.
    pub(super) fn end_upload(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(upload) = client.upload.take() else {
            return;
        };
        let pool = client.pool;
        self.give_up_ticket(pool, upload.ticket);
        match upload.stage {
            Stage::Gather(queue) => {
                self.forward_gathered(&upload.request, upload.server, queue);
            }
            Stage::Wait(queue) => {
                // As the requests of which large replies are expected: nobody else's wait behind it.
                let print = upload.print;
                self.pools[pool.index()].large_keys.note(print, self.now);
                let request = Request {
                    print,
                    ..upload.request
                };
                self.forward_gathered(&request, upload.server, queue);
            }
            Stage::Stream(link) => self.uploaded(link, upload.request.answer),
            Stage::Discard => {}
        }
        self.end_request(id);
    }

    /// Queues a gathered request, as `forward` does with one that stands in one place.
    fn forward_gathered(&mut self, request: &Request, server: ServerIndex, mut queue: Queue) {
        let (id, answer) = (request.client, request.answer);
        let link = match self.link_for(request, server) {
            Ok(link) => link,
            Err(cause) => {
                queue.clear(&mut self.buffers);
                if answer != Answer::Never {
                    self.answer_error(id, cause);
                }
                return;
            }
        };
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let sequence = client.ring.push(Exchange::owed(client.is_mute(), answer));
        let entry = request.entry(sequence, self.now);
        self.send(link, entry, |out, buffers, _| {
            out.append(&mut queue, buffers)
        });
    }

    /// Bytes of a large request were appended to its own connection's output.
    fn upload_grew(&mut self, id: LinkId, len: u64) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        let stats = &self.stats.pools[link.pool.index()].servers[link.server.index()];
        link.appended += len;
        stats.request_bytes.add(len);
        if let Some(entry) = link.in_flight.back_mut() {
            entry.len += len;
            stats.in_queue_bytes.add(len);
        }
    }

    /// The last byte of a large request was queued on its own connection.
    fn uploaded(&mut self, id: LinkId, answer: Answer) {
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        link.uploader = None;
        let marker = link.protocol.marker();
        if answer != Answer::Always {
            link.out.push(marker, &mut self.buffers);
            self.upload_grew(id, marker.len() as u64);
            self.flush_link(id);
        }
        let Some(link) = self.links.find_mut(id) else {
            return;
        };
        if let Some(entry) = link.in_flight.back_mut() {
            entry.end = link.appended;
            entry.queued = self.now;
        }
        self.count_sent(id);
        self.rearm_link(id);
    }

    /// Starts sending the client's large request over `link`.
    pub(super) fn stream(&mut self, id: ClientId, link: LinkId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let mute = client.is_mute();
        let Some(upload) = &mut client.upload else {
            return;
        };
        let Stage::Wait(mut queue) = mem::replace(&mut upload.stage, Stage::Stream(link)) else {
            return;
        };
        (upload.marked, upload.taken) = (self.now, 0);
        let look = self.now + self.limits.client_rate_span;
        self.timers.arm(id.conn(), &mut client.armed, look);
        client.servers_used |= server_bit(upload.server);
        let stamp = client.ring.stamp;
        let request = upload.request;
        let sequence = client.ring.push(Exchange::owed(mute, request.answer));
        // Neither sent nor late before its last byte is there.
        let entry = InFlight {
            end: u64::MAX,
            ..request.entry(sequence, Time::NEVER)
        };
        client.barrier = true;
        let len = queue.len() as u64;
        if let Some(target) = self.links.find_mut(link) {
            let stats = &self.stats.pools[target.pool.index()].servers[target.server.index()];
            stats.requests.add(1);
            stats.in_queue.add(1);
            target.uploader = Some(id);
            target.in_flight.push_back(entry);
            if target.protocol == Protocol::Binary && self.limits.strict {
                target.stamps.push_back(stamp);
            }
            target.out.append(&mut queue, &mut self.buffers);
        }
        self.upload_grew(link, len);
        self.flush_link(link);
        self.rearm_link(link);
        self.unstall(id);
    }

    /// The server has answered a large request before it was whole. The rest of it goes nowhere, and
    /// the connection cannot be used again.
    pub(super) fn upload_answered(&mut self, id: LinkId) {
        let Some(client) = self.links.find(id).and_then(|link| link.uploader) else {
            return;
        };
        self.discard_upload(client);
        self.drop_link(id);
    }

    /// What is still to come of the client's large request is thrown away.
    pub(super) fn discard_upload(&mut self, id: ClientId) {
        if let Some(upload) = self.upload_of(id) {
            upload.stage = Stage::Discard;
        }
        self.unstall(id);
    }

    /// An argument of the client's large request has `len` bytes, which are too many. The rest of it is
    /// thrown away.
    fn refuse_upload(&mut self, id: ClientId, len: u64) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let (pool, protocol) = (client.pool, client.protocol);
        let Some(upload) = client.upload.as_deref_mut() else {
            return;
        };
        let ticket = upload.ticket.take();
        match mem::replace(&mut upload.stage, Stage::Discard) {
            Stage::Stream(link) => {
                // The exchange of the upload is the only one: it gives way to the refusal.
                client.ring.pop();
                self.drop_link(link);
            }
            Stage::Gather(mut queue) | Stage::Wait(mut queue) => queue.clear(&mut self.buffers),
            Stage::Discard => {}
        }
        self.give_up_ticket(pool, ticket);
        let refusal = protocol.too_long(len, &self.pool(pool).config.limits);
        self.refuse(id, &refusal);
    }

    /// The client's large request does not go on as it must.
    fn break_upload(&mut self, id: ClientId, bad: BadBody) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let refusal = client.protocol.bad_body(bad);
        let (pool, upload) = (client.pool, client.upload.take());
        let ticket = upload.as_ref().and_then(|upload| upload.ticket);
        self.give_up_ticket(pool, ticket);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        match upload.map(|upload| upload.stage) {
            Some(Stage::Stream(link)) => {
                // The exchange of the upload is the only one: it gives way to the refusal.
                client.ring.pop();
                self.drop_link(link);
                self.refuse_for_good(id, &refusal);
            }
            Some(Stage::Discard) => {
                client.ending = Ending::Error;
                self.finish_client(id);
            }
            _ => self.refuse_for_good(id, &refusal),
        }
    }

    /// The client will not finish its large request.
    pub(super) fn abort_upload(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let (pool, upload) = (client.pool, client.upload.take());
        if let Some(Stage::Stream(link)) = upload.as_ref().map(|upload| &upload.stage) {
            client.ring.pop();
            self.drop_link(*link);
        }
        let ticket = upload.and_then(|upload| upload.ticket);
        self.give_up_ticket(pool, ticket);
        self.close_if_settled(id);
    }

    /// Closes clients that stopped in the middle of a large request.
    pub(super) fn check_upload(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let Some(upload) = &client.upload else { return };
        let due = upload.heard + self.limits.upload_stall;
        if client.state == State::Open && !client.stalled && due <= self.now {
            self.notice_client(id, super::What::StalledRequest);
            self.close_client(id, Ending::Error, CloseHow::Reset);
        }
    }
}
