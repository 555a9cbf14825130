//! The straight path of the commonest case: a whole request for one key to a connection that is ready for
//! it, and whole replies to such requests.
//!
//! What takes part is looked up once, and nothing is decided that the general path (`requests`, `replies`)
//! does not decide the same way: where anything is out of the ordinary, nothing has happened yet and the
//! general path begins from the beginning.

use super::Proxy;
use super::bundle::with_end;
use super::client::{Client, Taken, server_bit};
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::large_keys::KeyHash;
use super::link::{InFlight, Link, Role, State};
use super::owed::Timing;
use super::request::Request;
use super::session::Mute;
use super::time::Time;
use crate::buffer::{Input, SHARE_MIN};
use crate::protocol::{Answer, Bundling, END, Family, Protocol, memcache};

impl Client {
    /// Whether there is nothing about it that its requests for one key have to heed.
    #[inline]
    fn is_plain(&self) -> bool {
        self.authenticated
            && !self.is_in_transaction()
            && !self.only_listens()
            && self.mute == Mute::No
            && self.strays.is_empty()
            && self.upload.is_none()
            && self.scan.is_fresh()
            && self.protocol != Protocol::Binary
    }
}

impl Link {
    /// Whether its next replies may be taken without a look at anything but themselves.
    #[inline]
    fn is_plain(&self) -> bool {
        self.is_usual()
            && self.state == State::Ready
            && self.protocol != Protocol::Binary
            && self.partial.is_empty()
            && !self.scan.has_begun()
            && !self.listens
            && self.refusal.is_none()
            && self.begun == Time::NEVER
            && self.passed == 0
    }

    /// The length of the whole reply to `entry`, the oldest request, that `bytes` start with; `None` if it is
    /// not one of the usual, or not all there. Of a bundle only values are: they need an END of their own.
    #[inline]
    fn whole_reply(&self, entry: &InFlight, bytes: &[u8]) -> Option<usize> {
        if entry.role != Role::Usual || entry.marked || self.sent < entry.end {
            return None;
        }
        match entry.family {
            Family::Redis(shape) => {
                let len = self.protocol.whole_reply(bytes, self.version)?;
                shape.admits(bytes[0], self.version).then_some(len)
            }
            Family::Any if self.protocol == Protocol::Redis => {
                self.protocol.whole_reply(bytes, self.version)
            }
            Family::Value if entry.bundle == 0 && bytes.starts_with(END) => Some(END.len()),
            Family::Value => {
                let (key, len) = memcache::reply::whole_value(bytes)?;
                let is_its = KeyHash::of(key) == entry.print;
                if entry.bundle == 0 {
                    let ends = bytes[len..].starts_with(END);
                    return (is_its && ends).then_some(len + END.len());
                }
                let is_bundled = self.is_shared() && self.is_bundle_sent(entry);
                (is_its && is_bundled && len < SHARE_MIN).then_some(len)
            }
            _ => None,
        }
    }
}

impl Proxy {
    /// Puts whole requests for one key on their connections as long as there is nothing about them that is
    /// not usual, and says how many bytes were used.
    pub(super) fn read_straight(&mut self, id: ClientId, input: Input<'_>) -> usize {
        let mut used = 0;
        let client = self.clients.find_mut(id).filter(|it| it.is_plain());
        let Some(client) = client else {
            return used;
        };
        let pool = &mut self.pools[client.pool.index()];
        let stats = &self.stats.pools[client.pool.index()];
        while used < input.len() && client.may_ask(&self.limits) && !pool.refused {
            let rest = input.skip(used);
            let Some(found) = pool.commands.straight(rest.bytes(), &pool.config.limits) else {
                break;
            };
            let key = found.key.of(rest.bytes());
            let (draws, draw) = super::drawn(self.draws);
            let Some(server) = pool.router.pick(key, draw) else {
                break;
            };
            let lane = pool.lane(pool.lane_of(client.group, server));
            let Some(link_id) = lane.shared_links[lane.place_of(id)] else {
                break;
            };
            let Some(link) = self.links.find_mut(link_id) else {
                break;
            };
            let print = KeyHash::of(key);
            if pool.large_keys.has(print, self.now)
                || link.is_busy(self.limits.large_message)
                || link.out.len() >= self.limits.queue
            {
                break;
            }
            self.draws = draws;
            self.messages += 1;
            (client.barrier, client.fresh) = (false, false);
            client.servers_used |= server_bit(server);
            let row = pool.row(client.protocol, Some(found.command));
            let request = Request {
                print,
                ..Request::of_row(id, row, Answer::Always, self.limits.strict)
            };
            let entry = request.entry(client.ring.push(Exchange::Waiting), self.now);
            let whole = rest.slice(0..found.len as usize);
            used += whole.len();
            let bundled = match link.protocol {
                Protocol::Memcache => {
                    let (bytes, verb) = (whole.bytes(), Bundling::Get);
                    link.add(bytes, verb, key.len(), print, &mut self.buffers)
                }
                Protocol::Redis | Protocol::Binary => None,
            };
            let (bundle, len) = match bundled {
                Some(bundled) => bundled,
                None => {
                    link.out.push_input(whole, &mut self.buffers);
                    (0, whole.len() as u64)
                }
            };
            let entry = InFlight { bundle, ..entry };
            let stops = link.append(entry, len, &stats.servers[server.index()]);
            // What a client keeps from being read is busy, and goes the general way.
            debug_assert!(!stops);
            if link.in_flight.len() > self.limits.crowd {
                client.limit_share(link.in_flight.len(), &self.limits);
            }
            link.announce(link_id, self.now, pool, &mut self.timers, &mut self.dirty);
        }
        used
    }

    /// Takes whole replies to their clients as long as there is nothing about them that is not usual, and
    /// says how many bytes were used.
    pub(super) fn take_straight(&mut self, id: LinkId, input: Input<'_>) -> usize {
        let mut used = 0;
        while used < input.len()
            && let Some(link) = self.links.find_mut(id)
            && let Some(entry) = link.in_flight.front()
            && entry.fragment.is_none()
            && link.is_plain()
        {
            let (pool, server) = (link.pool.index(), link.server.index());
            let Some(len) = link.whole_reply(entry, &input.bytes()[used..]) else {
                break;
            };
            let Some(client_id) = entry.client else {
                break;
            };
            let Some(client) = self.clients.find_mut(client_id) else {
                break;
            };
            let waits = matches!(client.ring.get(entry.sequence), Some(Exchange::Waiting));
            if !waits
                || self.pools[pool].failing[server]
                || link.is_alone() && client.is_full(entry, false, &self.limits)
            {
                break;
            }
            let stats = &self.stats.pools[pool];
            let mark = Timing::measured(entry, self.now, &stats.latency);
            let stats = &stats.servers[server];
            client.note_reply(entry, len as u64);
            stats.responses.add(1);
            stats.response_bytes.add(len as u64);
            link.uncount(0, entry.len, stats);
            let (sequence, is_bundled) = (entry.sequence, entry.bundle > 0);
            link.pop_entry();
            self.messages += 1;
            let piece = input.slice(used..used + len);
            used += len;
            let buffers = &mut self.buffers;
            let taken = if is_bundled {
                let value = with_end(piece, &mut self.scratch.value);
                client.take_reply(sequence, None, value, Some(mark), buffers)
            } else {
                client.take_reply(sequence, None, piece, Some(mark), buffers)
            };
            if taken == Taken::Passed {
                if client.waits_for_replies_alone() && !client.ring.is_ready() {
                    self.flush_client(client_id);
                } else {
                    self.advance(client_id);
                }
            }
        }
        used
    }
}
