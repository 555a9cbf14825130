//! A transaction on its way: sent as one whole, and followed by what it publishes on other servers.
//!
//! A channel lives on one server, where every proxy's subscribers listen, and a transaction on the server of
//! its keys. Were it published there, nobody who subscribed to the channel would hear of it; were everybody
//! to listen on all servers, each subscriber would cost a connection to each, and a proxy that does not do so
//! would miss it. So what is published on a channel that lives elsewhere is published there, as soon as the
//! EXEC has succeeded, whether its client is still there or not. In the transaction, something that comes
//! to 0 takes its place: so many subscribers heard it on that server. If the server of the channel cannot be
//! reached then, nobody hears it, as when it is published without a transaction.

use super::Proxy;
use super::client::server_bit;
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId, PoolIndex};
use super::link::{InFlight, Link, Role, beginning};
use super::pool::GroupIndex;
use super::request::Request;
use super::transaction::{EXEC, MULTI, Transaction};
use crate::buffer::Input;
use crate::protocol::redis::inline::encode;
use crate::protocol::redis::request::words;
use crate::protocol::redis::unblocking;
use crate::protocol::{Answer, Parsed};
use crate::route::{Distribution, ServerIndex};

/// What is to be published once a transaction has succeeded.
#[derive(Debug)]
pub(super) struct Posts {
    /// Where its EXEC ends in the stream to the server.
    end: u64,
    client: ClientId,
    group: GroupIndex,
    /// Each request, and where its channel lives.
    requests: Vec<(ServerIndex, Vec<u8>)>,
}

/// What no key is called: behind the name of a channel, for which the rules of a user allow it.
const NO_KEY: &[u8] = b":nutcrab:published";

impl Link {
    /// What is to be published now that there is a reply to the EXEC at the front, of which `last` are the
    /// last bytes.
    #[cold]
    pub fn due_posts(&mut self, entry: &InFlight, last: Input<'_>) -> Option<Posts> {
        if self.posts.front()?.end != entry.end {
            return None;
        }
        let posts = self.posts.pop_front()?;
        let start = beginning::<3>(&self.partial, last);
        // Of what was passed on in parts the beginning was looked at. Without MULTI all was done, too.
        let is_done = start[0] == b'*' && start != *b"*-1";
        let is_done = is_done || (self.streaming && !self.streams_error);
        (is_done || self.refusal.is_some()).then_some(posts)
    }
}

impl Proxy {
    /// Whether a request publishes something.
    pub(super) fn publishes(&self, id: ClientId, parsed: &Parsed) -> bool {
        let client = self.clients.find(id);
        let commands = client.map(|client| &self.pool(client.pool).commands);
        let name = commands.map_or("", |commands| commands.name(parsed.command));
        matches!(name, "PUBLISH" | "SPUBLISH")
    }

    /// The requests of a transaction that publish something on a channel which lives on one server of
    /// several, and that server.
    pub(super) fn homes(
        &self,
        pool: PoolIndex,
        transaction: &Transaction,
    ) -> Vec<(usize, ServerIndex)> {
        let pool = self.pool(pool);
        let is_random = pool.config.distribution == Distribution::Random;
        if pool.server_count() == 1 || is_random {
            return Vec::new();
        }
        let home = |&index: &usize| {
            let request = part(transaction, index);
            let channel = words(request).get(1).copied()?;
            Some((index, pool.router.pick(channel, 0)?))
        };
        transaction.publishes.iter().filter_map(home).collect()
    }

    /// Sends a transaction over a connection on which it is known to be one.
    pub(super) fn send_transaction(
        &mut self,
        request: &Request,
        link: LinkId,
        transaction: &Transaction,
        watched: bool,
    ) {
        let id = request.client;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let (mute, pool, group) = (client.is_mute(), client.pool, client.group);
        let facts = self.pools[pool.index()].facts.as_ref();
        let takes_moments = facts.is_some_and(|facts| !facts.is_older_than(6, 0));
        let sequence = client.ring.push(Exchange::owed(mute, Answer::Always));
        if !transaction.publishes.is_empty() {
            client.hold_messages(sequence);
        }
        if transaction.flushes {
            self.forget_scripts(pool);
        }
        let server = self.links.find(link).map(|link| link.server);
        let mut elsewhere = self.homes(pool, transaction);
        elsewhere.retain(|(_, home)| Some(*home) != server);
        // The next request may take another connection and must not be served before, nor overtake what is
        // published when there is a reply.
        if let Some(client) = self.clients.find_mut(id) {
            client.barrier |= watched || !elsewhere.is_empty();
            // As if it had published there itself: WAIT goes there, too.
            for (_, home) in &elsewhere {
                client.servers_used |= server_bit(*home);
            }
        }
        let entry = |role: Role, client| InFlight {
            client,
            role,
            ..request.of_family(role.family()).entry(sequence, self.now)
        };
        let (multi, unheard) = (entry(Role::Multi, None), entry(Role::Usual, None));
        let exec = entry(Role::Exec, Some(id));
        self.send_bytes(link, multi, MULTI);
        for index in 0..transaction.ends.len() {
            let request = part(transaction, index);
            let is_elsewhere = elsewhere.binary_search_by_key(&index, |(other, _)| *other);
            if is_elsewhere.is_ok() {
                self.send_bytes(link, unheard, &in_place_of(request));
            } else if takes_moments && transaction.waits.binary_search(&index).is_ok() {
                self.send_bytes(link, unheard, &unblocking::hasten(request));
            } else {
                self.send_bytes(link, unheard, request);
            }
        }
        self.send_bytes(link, exec, EXEC);
        if !elsewhere.is_empty()
            && let Some(link) = self.links.find_mut(link)
        {
            let requests = elsewhere.into_iter();
            let requests = requests.map(|(index, home)| (home, part(transaction, index).to_vec()));
            link.posts.push_back(Posts {
                end: link.appended,
                client: id,
                group,
                requests: requests.collect(),
            });
        }
        if watched {
            self.give_back(link);
        }
    }

    /// Publishes what a transaction has published on channels of other servers.
    pub(super) fn publish(&mut self, pool: PoolIndex, posts: Posts) {
        for (server, request) in posts.requests {
            let lane = self.pools[pool.index()].lane_of(posts.group, server);
            // The one that the client's own requests take, so that these do not overtake it.
            let place = self.pools[pool.index()].lane(lane).place_of(posts.client);
            let Ok(link) = self.shared_link(pool, lane, server, place) else {
                continue;
            };
            let entry = InFlight::unheard(0, self.now);
            self.send_bytes(link, entry, &request);
        }
    }
}

/// A request of a transaction, as it came.
fn part(transaction: &Transaction, index: usize) -> &[u8] {
    let start = match index.checked_sub(1) {
        Some(before) => transaction.ends[before],
        None => 0,
    };
    &transaction.queue[start..transaction.ends[index]]
}

/// What comes to 0, with a name that begins as that of the channel.
fn in_place_of(request: &[u8]) -> Vec<u8> {
    let words = words(request);
    let channel = words.get(1).copied().unwrap_or_default();
    encode(&[b"EXISTS", &[channel, NO_KEY].concat()[..]])
}
