//! From a client's bytes to requests on connections to servers.

use std::mem;

use super::cause::Cause;
use super::client::{Ending, State};
use super::exchange::Exchange;
use super::fragments::UNITS_KEPT;
use super::ids::{ClientId, LinkId};
use super::large_keys::KeyHash;
use super::link::InFlight;
use super::notice::What;
use super::pending::Pending;
use super::request::Request;
use super::session::Mute;
use super::{Action, CloseHow, Proxy};
use crate::buffer::Input;
use crate::config::CrossShard;
use crate::protocol::Protocol;
use crate::protocol::binary;
use crate::protocol::memcache::base64;
use crate::protocol::memcache::request::at_once;
use crate::protocol::redis::commands::Verb;
use crate::protocol::{Answer, Excess, Key, Local, Parse, Parsed, Refusal, RequestScan, Verdict};
use crate::route::ServerIndex;

/// The answer to a request whose keys live on several servers.
pub(super) const CROSS_SLOT: &[u8] = b"-CROSSSLOT Keys in request don't hash to the same shard\r\n";

/// What requests without a key are routed by, as in twemproxy.
pub(super) const PLACEHOLDER: &[u8] = b"placeholder";

impl Proxy {
    /// Bytes came from a client.
    pub(super) fn client_received(&mut self, id: ClientId, input: Input<'_>) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.state == State::Lingering {
            return;
        }
        client.quiet = false;
        client.heard += input.len() as u64;
        if client.stalled {
            client.pending.keep(input.bytes());
            return self.note_kept(id);
        }
        let mut used = input.len();
        if client.pending.is_empty() {
            used = self.read_requests(id, input);
        } else {
            client.pending.extend(input.bytes());
            self.reread(id);
        }
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if used < input.len() {
            client.pending.keep(&input.bytes()[used..]);
        }
        if client.has_part() {
            self.keep_part(id);
        }
    }

    /// The client has closed its side: what it asked is still answered.
    pub(super) fn client_ended(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.state == State::Lingering {
            return self.close_client(id, Ending::Error, CloseHow::Gracefully);
        }
        client.ended = true;
        let reads = !client.stalled;
        if reads || self.is_blocked(id) {
            self.finish_client(id);
        }
    }

    /// No more requests are read from the client; it is closed when it has what it is owed.
    pub(super) fn finish_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.state == State::Open {
            client.state = State::Finishing;
            if client.division.is_none() {
                client.pending = Pending::default();
            }
            if client.upload.is_some() {
                return self.abort_upload(id);
            }
            if self.is_blocked(id) {
                // Nobody would take the reply, however long it took to come.
                self.stop_waiting(id);
            }
            self.stop_listening(id);
        }
        self.close_if_settled(id);
    }

    /// Closes a client that is to be closed and is owed nothing more.
    pub(super) fn close_if_settled(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.state != State::Finishing || !client.is_settled() {
            return;
        }
        if client.ending == Ending::Eof {
            return self.close_client(id, Ending::Eof, CloseHow::Gracefully);
        }
        // Closing with unread input would reset the connection, and the error that explains it could
        // be lost on the way. So the client is told that nothing more comes, and its bytes are
        // thrown away until it leaves.
        client.state = State::Lingering;
        client.stalled = false;
        client.leave_by = self.now + self.limits.linger;
        self.timers
            .arm(id.conn(), &mut client.armed, client.leave_by);
        self.actions.push_back(Action::Shutdown(id.conn()));
        self.actions.push_back(Action::Resume(id.conn()));
    }

    /// Reads requests until bytes or limits run out, and says how many bytes were used.
    pub(super) fn read_requests(&mut self, id: ClientId, input: Input<'_>) -> usize {
        let mut used = 0;
        loop {
            used += self.read_straight(id, input.skip(used));
            let Some(client) = self.clients.find_mut(id) else {
                return input.len();
            };
            if client.state != State::Open {
                return input.len();
            }
            if used == input.len() && client.upload.is_none() {
                return used;
            }
            if !client.may_ask(&self.limits) {
                client.stalled = true;
                let stats = &self.stats.pools[client.pool.index()];
                if client.out.len() >= self.limits.window {
                    stats.client_output_limit_hits.add(1);
                } else if !client.may_have_another_outstanding(&self.limits) {
                    stats.client_request_limit_hits.add(1);
                }
                return used;
            }
            client.barrier &= client.upload.is_some();
            let rest = input.skip(used);
            if client.upload.is_some() {
                let (now, more) = self.feed_upload(id, rest);
                used += now;
                if !more {
                    return used;
                }
                continue;
            }
            let pool = &self.pools[client.pool.index()];
            if client.fresh {
                client.fresh = false;
                if client.protocol == Protocol::Memcache && rest.bytes()[0] == binary::REQUEST {
                    self.speak_binary(id);
                    continue;
                }
            }
            let limits = if !client.authenticated {
                &pool.stranger
            } else if client.session.is_some()
                && (client.is_in_transaction() || client.only_listens())
            {
                &pool.queued
            } else {
                &pool.config.limits
            };
            let commands = pool.commands(client.protocol);
            match commands.parse(rest.bytes(), &mut client.scan, limits) {
                Parse::Done { request, len } => {
                    client.scan = RequestScan::default();
                    if !self.handle(id, &request, rest.slice(0..len)) {
                        self.hold_back(id);
                        return used;
                    }
                    used += len;
                }
                Parse::Head { request, body } => {
                    client.scan = RequestScan::default();
                    self.begin_request(id);
                    self.begin_upload(id, request, rest, body);
                    used = input.len();
                }
                Parse::Inline { request, len } => {
                    if !self.handle_inline(id, &request) {
                        self.hold_back(id);
                        return used;
                    }
                    used += len;
                }
                Parse::More => return used,
                Parse::Bad(refusal) => {
                    self.begin_request(id);
                    self.refuse_for_good(id, &refusal);
                    return input.len();
                }
            }
        }
    }

    /// The client's first byte says that it speaks memcached's binary protocol.
    fn speak_binary(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let pool = &mut self.pools[client.pool.index()];
        let Some(group) = pool.enter_binary() else {
            return self.finish_client(id);
        };
        pool.leave(client.group);
        client.group = group;
        client.protocol = Protocol::Binary;
        client.ring.stamped = true;
    }

    /// Answers bytes that are no request, and reads no more from the client.
    pub(super) fn refuse_for_good(&mut self, id: ClientId, refusal: &Refusal) {
        self.note_excess(id, refusal, "closed");
        self.answer(id, refusal.bytes());
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.ending = Ending::Error;
        if refusal.excess().is_none() {
            self.notice_client(id, What::BadRequest);
        }
        self.finish_client(id);
    }

    /// A request that was typed by hand, in the form servers are sent.
    fn handle_inline(&mut self, id: ClientId, bytes: &[u8]) -> bool {
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        let pool = &self.pools[client.pool.index()];
        let limits = if client.authenticated {
            &pool.config.limits
        } else {
            &pool.stranger
        };
        let mut scan = RequestScan::default();
        let parse = pool.commands.parse(bytes, &mut scan, limits);
        if let Parse::Done { request, len } = parse {
            // A line is short enough for one turn, however many keys are in it.
            let keys = mem::replace(&mut self.limits.keys, usize::MAX);
            let taken = self.handle(id, &request, Input::copied(&bytes[..len]));
            self.limits.keys = keys;
            return taken;
        }
        self.begin_request(id);
        if let Parse::Bad(refusal) = parse {
            self.refuse_for_good(id, &refusal);
        }
        // Nothing at all, for an empty line; but it is one to skip the reply to.
        self.end_request(id);
        true
    }

    /// The client's next request is read when it has been answered everything else.
    fn hold_back(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id) {
            client.scan = RequestScan::default();
            client.barrier = true;
            client.stalled = true;
        }
    }

    /// The client's wish for no reply may end with its next request.
    #[inline]
    pub(super) fn begin_request(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && client.mute == Mute::Next
        {
            client.mute = Mute::Once;
        }
    }

    #[inline]
    pub(super) fn end_request(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && client.mute == Mute::Once
        {
            client.mute = Mute::No;
        }
    }

    /// The request is read again: until then nothing has happened.
    fn put_off_request(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && client.mute == Mute::Once
        {
            client.mute = Mute::Next;
        }
    }

    /// A whole request. Says whether it was taken; if not, it is to be read again when the client has
    /// been answered everything else.
    #[inline]
    pub(super) fn handle(&mut self, id: ClientId, parsed: &Parsed, input: Input<'_>) -> bool {
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        if matches!(client.mute, Mute::No | Mute::Yes) {
            // What it wishes from now on begins with its next request.
            return self.dispatch(id, parsed, input);
        }
        self.begin_request(id);
        let taken = self.dispatch(id, parsed, input);
        if taken {
            self.end_request(id);
        } else {
            self.put_off_request(id);
        }
        taken
    }

    /// The request with what its command's row says of it.
    pub(super) fn request(&self, id: ClientId, parsed: &Parsed) -> Request {
        let Some(client) = self.clients.find(id) else {
            return Request::own(id);
        };
        let pool = &self.pools[client.pool.index()];
        let row = pool.row(client.protocol, parsed.command);
        Request::of_row(id, row, parsed.answer, self.limits.strict)
    }

    pub(super) fn dispatch(&mut self, id: ClientId, parsed: &Parsed, input: Input<'_>) -> bool {
        let request = self.request(id, parsed);
        let Some(client) = self.clients.find_mut(id) else {
            return true;
        };
        if client.ring.stamped {
            client.ring.stamp = client.protocol.stamp(input.bytes());
        }
        if !client.authenticated {
            // Only the value of the `set` that says who a text client is matters, not what else is in its
            // line.
            let text = client.protocol == Protocol::Memcache;
            let is_quit = parsed.verdict == Verdict::Local(Local::Quit);
            if needs_password(&parsed.verdict) || text && !is_quit {
                self.refuse_stranger(id, input);
                return true;
            }
        }
        if client.session.is_some() && self.within_session(&request, parsed, input) {
            return true;
        }
        match &parsed.verdict {
            Verdict::Forward => {
                let key = parsed.key.of(input.bytes());
                let server = self.route(id, key);
                let print = KeyHash::of(key);
                self.forward(&Request { print, ..request }, server, input);
            }
            Verdict::Encoded => {
                let server = self.route_encoded(id, parsed.key.of(input.bytes()));
                self.forward(&request, server, input);
            }
            Verdict::Expired(expiry) => {
                let server = self.route(id, parsed.key.of(input.bytes()));
                let bytes = at_once(input.bytes(), *expiry);
                self.forward(&request, server, Input::copied(&bytes));
            }
            Verdict::Together => self.forward_together(&request, parsed, input),
            Verdict::Split(merge) => return self.split(&request, parsed, *merge, input),
            Verdict::Everywhere(fan) => self.everywhere(&request, *fan, input),
            Verdict::Keyless => {
                let server = self.route(id, PLACEHOLDER);
                if !self.forward_script(&request, server, parsed.command, input) {
                    self.forward(&request, server, input);
                }
            }
            Verdict::Scan(cursor) => self.scan(&request, *cursor, input),
            Verdict::Learn => {
                let server = self.route(id, PLACEHOLDER);
                self.learn(&request, server, input);
            }
            Verdict::Blocking => return self.wait_for_keys(&request, parsed, input),
            Verdict::Local(local) => {
                return self.answer_locally(&request, *local, parsed, input);
            }
            Verdict::Refuse(refusal) if request.answer != Answer::Never => {
                self.refuse(id, refusal);
            }
            Verdict::Refuse(refusal) => self.note_excess(id, refusal, "refused"),
        }
        true
    }

    /// Answers a request that is not served, and counts the limit it went beyond.
    pub(super) fn refuse(&mut self, id: ClientId, refusal: &Refusal) {
        self.note_excess(id, refusal, "refused");
        self.answer(id, refusal.bytes());
    }

    /// Counts the limit a request went beyond, and tells of it.
    fn note_excess(&mut self, id: ClientId, refusal: &Refusal, end: &'static str) {
        let (Some(excess), Some(client)) = (refusal.excess(), self.clients.find(id)) else {
            return;
        };
        let pool = &self.pools[client.pool.index()];
        let limits = match client.authenticated {
            true => &pool.config.limits,
            false => &pool.stranger,
        };
        let (key, limit, told) = (excess.key(), excess.of(limits), refusal.text());
        let stats = &self.stats.pools[client.pool.index()];
        match excess {
            Excess::Key => stats.key_limit_hits.add(1),
            Excess::Value => stats.value_limit_hits.add(1),
            Excess::Arguments => stats.argument_limit_hits.add(1),
            Excess::Request => stats.request_limit_hits.add(1),
            Excess::Inline => stats.inline_limit_hits.add(1),
            Excess::Local => stats.local_request_limit_hits.add(1),
        }
        self.notice_client(
            id,
            What::OverLimit {
                key,
                limit,
                told,
                end,
            },
        );
    }

    /// The server of a key.
    #[inline]
    pub(super) fn route(&mut self, id: ClientId, key: &[u8]) -> Option<ServerIndex> {
        let draw = self.draw();
        let pool = self.clients.find(id)?.pool;
        self.pools[pool.index()].router.pick(key, draw)
    }

    /// The server of a key that stands in base64, which the parser has checked.
    pub(super) fn route_encoded(&mut self, id: ClientId, text: &[u8]) -> Option<ServerIndex> {
        let mut decoded = [0; base64::DECODED_MAX];
        let key = base64::decode(text, &mut decoded)?;
        self.route(id, key)
    }

    /// Queues a request for a server, and says on which connection; without one it is answered with an
    /// error.
    pub(super) fn forward(
        &mut self,
        request: &Request,
        server: Option<ServerIndex>,
        input: Input<'_>,
    ) -> Option<LinkId> {
        let (id, answer) = (request.client, request.answer);
        let link = match server {
            Some(server) => self.link_for(request, server),
            None => Err(Cause::Refused),
        };
        let link = match link {
            Ok(link) => link,
            Err(cause) => {
                if answer != Answer::Never {
                    self.answer_error(id, cause);
                }
                return None;
            }
        };
        let (Some(client), Some(target)) = (self.clients.find_mut(id), self.links.find_mut(link))
        else {
            return None;
        };
        let sequence = client.ring.push(Exchange::owed(client.is_mute(), answer));
        if answer == Answer::Always
            && let Some((bundle, len)) =
                target.bundle(input.bytes(), request.print, &mut self.buffers)
        {
            let entry = request.entry(sequence, self.now);
            self.enqueued(link, InFlight { bundle, ..entry }, len);
            return Some(link);
        }
        let entry = request.entry(sequence, self.now);
        self.send_input(link, entry, input);
        Some(link)
    }

    /// The server all keys of a request live on, or the error to answer.
    pub(super) fn server_of_all(
        &mut self,
        id: ClientId,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> Result<ServerIndex, Vec<u8>> {
        let server = self.route(id, parsed.key.of(input.bytes()));
        if self.is_refused_as_apart(id, parsed, input, server) {
            return Err(CROSS_SLOT.to_vec());
        }
        server.ok_or_else(|| b"-ERR Connection refused\r\n".to_vec())
    }

    /// A command with several keys that cannot be split.
    fn forward_together(&mut self, request: &Request, parsed: &Parsed, input: Input<'_>) {
        let id = request.client;
        let server = self.route(id, parsed.key.of(input.bytes()));
        if self.is_refused_as_apart(id, parsed, input, server) {
            return self.answer(id, CROSS_SLOT);
        }
        if !self.forward_script(request, server, parsed.command, input) {
            self.forward(request, server, input);
        }
    }

    /// Whether the request is refused because its keys live on several servers. If they do, it is counted,
    /// and told once for each command.
    fn is_refused_as_apart(
        &mut self,
        id: ClientId,
        parsed: &Parsed,
        input: Input<'_>,
        server: Option<ServerIndex>,
    ) -> bool {
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        let pool = client.pool;
        if self.pool(pool).server_count() == 1
            || self.is_together(id, parsed, input.bytes(), server)
        {
            return false;
        }
        self.stats.pools[pool.index()].cross_shard.add(1);
        let rule = self.pool(pool).config.cross_shard;
        if self.pools[pool.index()].note_apart(parsed.command) {
            let command = self.pool(pool).commands.name(parsed.command);
            let command = command.to_ascii_lowercase();
            self.notice_client(id, What::CrossShard { command, rule });
        }
        rule == CrossShard::Refuse
    }

    /// Whether all keys of the request live on `server`. With `distribution: random` no key lives
    /// anywhere.
    fn is_together(
        &mut self,
        id: ClientId,
        parsed: &Parsed,
        bytes: &[u8],
        server: Option<ServerIndex>,
    ) -> bool {
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        let pool = &self.pools[client.pool.index()];
        if pool.config.distribution == crate::route::Distribution::Random {
            return true;
        }
        let keys = &mut self.scratch.keys;
        keys.clear();
        pool.commands.keys(bytes, parsed.command, keys);
        let together = keys.iter().all(|key| match key {
            Key::Plain(key) => pool.router.pick(key.of(bytes), 0) == server,
            // What stands for the star is not known, so the hash tag must stand before it.
            Key::Pattern(pattern) => {
                let fixed = pattern.of(bytes).split(|&byte| byte == b'*').next();
                let fixed = fixed.unwrap_or_default();
                pool.router.is_tagged(fixed) && pool.router.pick(fixed, 0) == server
            }
        });
        keys.shrink_to(UNITS_KEPT);
        together
    }

    /// Answers a request that cannot be served.
    pub(super) fn answer_error(&mut self, id: ClientId, cause: Cause) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        self.stats.pools[client.pool.index()].forward_error.add(1);
        let refusal = client
            .protocol
            .error_to(client.ring.stamp, &cause.to_string());
        self.answer(id, refusal.bytes());
    }
}

/// Whether a client must have given the password before this.
fn needs_password(verdict: &Verdict) -> bool {
    !matches!(
        verdict,
        Verdict::Refuse(_)
            | Verdict::Local(Local::Quit | Local::QuitQuietly | Local::Mechanisms | Local::Sasl)
            | Verdict::Local(Local::Redis(
                Verb::Auth | Verb::Hello | Verb::Quit | Verb::Reset
            ))
    )
}
