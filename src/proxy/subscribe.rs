//! SUBSCRIBE and its kin.
//!
//! A channel lives where a key of its name would: it is subscribed to there, and PUBLISH goes there.
//! Patterns are subscribed to on every server. A subscriber has a connection of its own to each server
//! it listens to. Replies to it are ours: their count is that of the client, not of one server; they
//! are given when all servers concerned have confirmed, and to a client that wants no replies as well: they
//! count as messages, as in Redis, though an error in their place does not. Messages are passed on as they
//! come, between replies, never within one.
//!
//! When a server was gone, or keys moved, the client is subscribed anew as soon as may be; what was
//! published meanwhile is lost, as it is for a client of Redis that reconnects.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use super::cause::Cause;
use super::client::Ending;
use super::exchange::{Exchange, Fanout};
use super::ids::{ClientId, LinkId};
use super::pool::GroupIndex;
use super::request::Request;
use super::session::Session;
use super::time::Time;
use super::{CloseHow, Proxy};
use crate::protocol::redis::commands::Verb;
use crate::protocol::redis::inline::encode;
use crate::protocol::redis::write::Writer;
use crate::protocol::{FragmentReply, Merge};
use crate::route::{Distribution, ServerIndex};

/// How soon a lost subscription is renewed, and how often that is tried.
const RENEW_AFTER: Duration = Duration::from_millis(100);

/// What a name costs besides its bytes.
pub(super) const NAME_COST: usize = 64;

/// What it really costs in memory beyond that: its place in a tree that is two thirds full, and the list
/// of its connections.
const ENTRY_COST: usize = 64;

/// The three things that can be subscribed to, as indices.
const CHANNEL: usize = 0;
const PATTERN: usize = 1;
const SHARD: usize = 2;

/// What the commands about each are called.
const NAMES: [[&str; 2]; 3] = [
    ["subscribe", "unsubscribe"],
    ["psubscribe", "punsubscribe"],
    ["ssubscribe", "sunsubscribe"],
];

/// A client that listens.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    /// By kind: each name, and where it was subscribed to.
    names: [BTreeMap<Vec<u8>, Subscription>; 3],
    /// Bytes of all names.
    bytes: usize,
    links: Vec<(ServerIndex, LinkId)>,
    /// Messages that came in the middle of a reply.
    pub(super) held: VecDeque<Vec<u8>>,
    pub(super) held_bytes: usize,
    /// Since when more waits for it than may for long.
    pub(super) above_since: Option<Time>,
    /// The last request to subscribe to something. Until it is answered no message is passed on: a
    /// client would not know what it belongs to.
    pub(super) confirming: Option<u32>,
    /// When to subscribe anew what was lost.
    pub renew_at: Option<Time>,
}

/// What a client listens to.
#[derive(Debug, Default)]
struct Subscription {
    /// The connections on which it was subscribed to.
    links: Vec<LinkId>,
    /// The last request of the client's for it.
    asked: Option<u32>,
}

impl Subscriber {
    pub fn count(&self, kind: usize) -> usize {
        match kind {
            SHARD => self.names[SHARD].len(),
            _ => self.names[CHANNEL].len() + self.names[PATTERN].len(),
        }
    }

    pub fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        self.links.iter().map(|link| link.1)
    }

    /// Whether it listens to nothing of a kind.
    pub fn has_none(&self, kind: usize) -> bool {
        self.names[kind].is_empty()
    }

    /// The first `count` names of a kind.
    pub fn first(&self, kind: usize, count: usize) -> Vec<Vec<u8>> {
        self.names[kind].keys().take(count).cloned().collect()
    }

    /// Bytes of memory that are kept for it, about: what a map keeps for each entry is not told.
    pub fn allocated(&self) -> usize {
        let names: usize = self.names.iter().map(BTreeMap::len).sum();
        size_of::<Self>()
            + self.bytes
            + names * ENTRY_COST
            + self.links.capacity() * size_of::<(ServerIndex, LinkId)>()
            + self.held.capacity() * size_of::<Vec<u8>>()
            + self.held_bytes
    }

    /// Bytes of messages that wait for the end of a reply.
    pub fn waiting(&self) -> usize {
        self.held_bytes
    }

    /// How many of each kind, for CLIENT INFO.
    pub fn counts(&self) -> [usize; 3] {
        [CHANNEL, PATTERN, SHARD].map(|kind| self.names[kind].len())
    }

    /// Whether a message is about what it listens to.
    pub(super) fn wants(&self, message: &[u8]) -> bool {
        let Some([command, name]) = first_words(message) else {
            return false;
        };
        let kind = match command.first() {
            Some(b'p') => PATTERN,
            Some(b's') => SHARD,
            _ => CHANNEL,
        };
        self.names[kind].contains_key(name)
    }

    fn is_over(&self) -> bool {
        self.names.iter().all(BTreeMap::is_empty)
    }
}

/// What a command is about, and whether it ends a subscription.
pub(super) fn kind_of(verb: Verb) -> (usize, bool) {
    match verb {
        Verb::Psubscribe => (PATTERN, false),
        Verb::Ssubscribe => (SHARD, false),
        Verb::Unsubscribe => (CHANNEL, true),
        Verb::Punsubscribe => (PATTERN, true),
        Verb::Sunsubscribe => (SHARD, true),
        _ => (CHANNEL, false),
    }
}

impl Proxy {
    pub(super) fn refuse_subscription(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find(id) {
            let stats = &self.stats.pools[client.pool.index()];
            stats.subscription_limit_hits.add(1);
        }
        let limit = self.limits.subscriptions;
        let text = format!("too many subscriptions: subscription_limit is {limit}");
        self.refuse_over(id, "subscription_limit", limit, &text);
    }

    pub(super) fn subscribe(&mut self, origin: &Request, kind: usize, name: &[u8]) {
        let id = origin.client;
        let limit = self.limits.subscriptions;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let version = client.version();
        let client_is_mute = client.is_mute();
        let subscriber = client.session().subscriber.get_or_insert_default();
        if subscriber.bytes + name.len() + NAME_COST > limit {
            self.end_if_over(id);
            return self.refuse_subscription(id);
        }
        if !subscriber.names[kind].contains_key(name) {
            subscriber.names[kind].insert(name.to_vec(), Subscription::default());
            subscriber.bytes += name.len() + NAME_COST;
        }
        let count = subscriber.count(kind);
        let mut reply = Writer::new(version);
        reply.push(3).bulk(NAMES[kind][0]).bulk(name);
        reply.integer(count as i64);
        let servers = self.listening_posts(id, kind, name);
        if servers.is_empty() {
            self.forget_name(id, kind, name);
            self.end_if_over(id);
            return self.answer_error(id, Cause::Refused);
        }
        let fanout = Box::new(Fanout {
            merge: Merge::Status,
            mute: client_is_mute,
            given: Some(reply.into_bytes()),
            pending: servers.len() as u32,
            order: (0..servers.len() as u16).collect(),
            replies: servers.iter().map(|_| FragmentReply::default()).collect(),
            ..Fanout::default()
        });
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let sequence = client.ring.push(Exchange::Fanout(fanout));
        if let Some(subscriber) = self.subscriber_of(id) {
            subscriber.confirming = Some(sequence);
            if let Some(known) = subscriber.names[kind].get_mut(name) {
                known.asked = Some(sequence);
            }
        }
        let request = encode(&[NAMES[kind][0].as_bytes(), name]);
        for (fragment, server) in servers.into_iter().enumerate() {
            let fragment = fragment as u16;
            match self.listening_link(id, server) {
                Ok(link) => {
                    self.note_subscribed(id, kind, name, link);
                    let entry = origin.fragment_entry(sequence, fragment, self.now);
                    self.send_bytes(link, entry, &request);
                }
                Err(cause) => self.fail_fragment(id, sequence, fragment, cause),
            }
        }
    }

    /// A server did not confirm what was asked for with this request, and the client was told so: it
    /// does not listen there, unless it has asked for the same again meanwhile.
    pub(super) fn subscription_failed(&mut self, id: ClientId, sequence: u32, given: Vec<u8>) {
        let Some([command, name]) = first_words(&given) else {
            return;
        };
        let Some(kind) = NAMES
            .iter()
            .position(|names| names[0].as_bytes() == command)
        else {
            return;
        };
        let known = self
            .subscriber_of(id)
            .and_then(|known| known.names[kind].get(name));
        if known.is_some_and(|known| known.asked == Some(sequence)) {
            self.end_at_servers(id, kind, name);
        }
        self.end_if_over(id);
    }

    /// Forgets a name, and tells so where it was subscribed to.
    fn end_at_servers(&mut self, id: ClientId, kind: usize, name: &[u8]) {
        let request = encode(&[NAMES[kind][1].as_bytes(), name]);
        for link in self.forget_name(id, kind, name) {
            if self.links.find(link).is_some() {
                self.send_unheard(link, &request, Time::NEVER);
            }
        }
    }

    /// A client without subscriptions is as it was before the first.
    fn end_if_over(&mut self, id: ClientId) {
        let client = self.clients.find(id);
        let subscriber = client.and_then(|client| client.subscriber());
        if subscriber.is_some_and(Subscriber::is_over) {
            self.stop_listening(id);
        }
    }

    pub(super) fn unsubscribe(&mut self, id: ClientId, kind: usize, name: &[u8]) {
        self.end_at_servers(id, kind, name);
        self.confirm_end(id, kind, Some(name));
        self.end_if_over(id);
    }

    pub(super) fn confirm_end(&mut self, id: ClientId, kind: usize, name: Option<&[u8]>) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let count = client.subscriber().map_or(0, |known| known.count(kind));
        let mut reply = Writer::new(client.version());
        reply.push(3).bulk(NAMES[kind][1]);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        };
        reply.integer(count as i64);
        self.tell(id, &reply.into_bytes());
    }

    /// The servers on which a name is subscribed to.
    fn listening_posts(&self, id: ClientId, kind: usize, name: &[u8]) -> Vec<ServerIndex> {
        let Some(client) = self.clients.find(id) else {
            return Vec::new();
        };
        let pool = self.pool(client.pool);
        let live = (0..pool.server_count()).map(|server| ServerIndex(server as u16));
        let live = live.filter(|&server| pool.router.is_live(server));
        // With that, what is published goes anywhere.
        let is_random = pool.config.distribution == Distribution::Random;
        match kind {
            PATTERN => live.collect(),
            _ if is_random => live.collect(),
            _ => pool.router.pick(name, 0).into_iter().collect(),
        }
    }

    /// The client's own connection to a server it listens to.
    fn listening_link(&mut self, id: ClientId, server: ServerIndex) -> Result<LinkId, Cause> {
        let known = self.clients.find(id).and_then(|client| client.subscriber());
        let known = known.and_then(|known| known.links.iter().find(|link| link.0 == server));
        if let Some((_, link)) = known.copied() {
            return Ok(link);
        }
        // In RESP2 whatever the client speaks: messages are told from replies by their first word.
        let link = self.take_pinned(id, GroupIndex::default(), server)?;
        if let Some(found) = self.links.find_mut(link) {
            found.listens = true;
        }
        if let Some(subscriber) = self.subscriber_of(id) {
            subscriber.links.push((server, link));
        }
        Ok(link)
    }

    fn subscriber_of(&mut self, id: ClientId) -> Option<&mut Subscriber> {
        subscriber_in(&mut self.clients.find_mut(id)?.session)
    }

    fn note_subscribed(&mut self, id: ClientId, kind: usize, name: &[u8], link: LinkId) {
        if let Some(subscriber) = self.subscriber_of(id)
            && let Some(known) = subscriber.names[kind].get_mut(name)
            && !known.links.contains(&link)
        {
            known.links.push(link);
        }
    }

    /// Forgets a name, and says on which connections it was subscribed to.
    fn forget_name(&mut self, id: ClientId, kind: usize, name: &[u8]) -> Vec<LinkId> {
        let Some(subscriber) = self.subscriber_of(id) else {
            return Vec::new();
        };
        let Some(known) = subscriber.names[kind].remove(name) else {
            return Vec::new();
        };
        subscriber.bytes -= name.len() + NAME_COST;
        known.links
    }

    /// The client listens no longer. Its connections are closed, once it has what it is owed on them.
    pub(super) fn stop_listening(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let Some(session) = client.session.as_deref_mut() else {
            return;
        };
        let Some(subscriber) = session.subscriber.take() else {
            return;
        };
        for (_, link) in subscriber.links {
            self.let_go(link);
        }
    }

    /// Closes a connection on which a client listened as soon as nothing is owed on it.
    fn let_go(&mut self, id: LinkId) {
        if let Some(link) = self.links.find_mut(id) {
            link.owner = None;
            if link.in_flight.is_empty() {
                self.drop_link(id);
            }
        }
    }

    /// One of the client's own connections is gone: if it listened there, it must elsewhere or anew.
    pub(super) fn subscription_lost(&mut self, id: ClientId, link: LinkId) {
        let at = self.now + RENEW_AFTER;
        let Some(subscriber) = self.subscriber_of(id) else {
            return;
        };
        let known = subscriber.links.len();
        subscriber.links.retain(|known| known.1 != link);
        if subscriber.links.len() < known {
            self.renew(id, at);
        }
    }

    /// A server did not let the client listen anew, as one that is loading does not: the connection is
    /// given up, and it is tried again over another.
    pub(super) fn renewal_refused(&mut self, id: LinkId) {
        let Some(link) = self.links.find(id) else {
            return;
        };
        if link.in_flight.iter().any(|entry| entry.client.is_some()) {
            return self.close_link(id, Cause::Invalid);
        }
        let owner = link.owner;
        self.drop_link(id);
        if let Some(owner) = owner {
            self.subscription_lost(owner, id);
        }
    }

    fn renew(&mut self, id: ClientId, at: Time) {
        if let Some(subscriber) = self.subscriber_of(id) {
            subscriber.renew_at = Some(at);
        }
        if let Some(client) = self.clients.find_mut(id) {
            self.timers.arm(id.conn(), &mut client.armed, at);
        }
    }

    /// Keys live elsewhere, and so do channels.
    pub(super) fn renew_all(&mut self, pool: super::PoolIndex) {
        let listens = |client: &super::Client| client.pool == pool && client.subscriber().is_some();
        let clients = self.clients.iter().filter(|(_, client)| listens(client));
        let clients: Vec<ClientId> = clients.map(|(id, _)| id).collect();
        for id in clients {
            self.renew(id, self.now + Duration::from_micros(1));
        }
    }

    /// Subscribes where the client should listen and does not.
    pub(super) fn check_subscriptions(&mut self, id: ClientId) {
        let now = self.now;
        let Some(subscriber) = self.subscriber_of(id) else {
            return;
        };
        match subscriber.renew_at {
            Some(at) if at <= now => subscriber.renew_at = None,
            Some(at) => return self.renew(id, at),
            None => return,
        }
        let names: Vec<(usize, Vec<u8>)> = [CHANNEL, PATTERN, SHARD]
            .into_iter()
            .flat_map(|kind| {
                subscriber.names[kind]
                    .keys()
                    .map(move |name| (kind, name.clone()))
            })
            .collect();
        let mut missing = false;
        for (kind, name) in names {
            let wanted = self.listening_posts(id, kind, &name);
            missing |= wanted.is_empty();
            let mut meant = Vec::new();
            for server in wanted {
                match self.listening_link(id, server) {
                    Ok(link) => meant.push(link),
                    // A listener that is deaf and does not know would be worse: when it comes again it
                    // is told.
                    Err(Cause::TooManySessions) => {
                        return self.close_client(id, Ending::Error, CloseHow::Reset);
                    }
                    Err(_) => missing = true,
                }
            }
            let known = self.subscriber_of(id).and_then(|known| {
                let found = known.names[kind].get_mut(&name)?;
                Some(mem::replace(&mut found.links, meant.clone()))
            });
            let known = known.unwrap_or_default();
            let request = encode(&[NAMES[kind][0].as_bytes(), &name]);
            for &link in meant.iter().filter(|link| !known.contains(link)) {
                self.send_unheard(link, &request, Time::NEVER);
            }
            let request = encode(&[NAMES[kind][1].as_bytes(), &name]);
            for &link in known.iter().filter(|link| !meant.contains(link)) {
                if self.links.find(link).is_some() {
                    self.send_unheard(link, &request, Time::NEVER);
                }
            }
        }
        if missing {
            self.renew(id, now + RENEW_AFTER);
        }
    }
}

/// What the client of this session listens to. Not a method of the client, whose other fields are
/// needed meanwhile.
pub(super) fn subscriber_in(session: &mut Option<Box<Session>>) -> Option<&mut Subscriber> {
    session.as_deref_mut()?.subscriber.as_deref_mut()
}

impl super::client::Client {
    /// No message is passed on until this request is answered: what it publishes itself comes behind.
    pub fn hold_messages(&mut self, sequence: u32) {
        if let Some(subscriber) = subscriber_in(&mut self.session) {
            subscriber.confirming = Some(sequence);
        }
    }

    /// What it listens to, if it does.
    pub fn subscriber(&self) -> Option<&Subscriber> {
        self.session.as_ref()?.subscriber.as_deref()
    }
}

/// The first two bulks of an array or a push, if that is what stands there.
fn first_words(bytes: &[u8]) -> Option<[&[u8]; 2]> {
    let line = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'\n');
    let mut rest = &bytes[line(bytes)? + 1..];
    let mut words = [&[][..]; 2];
    for word in &mut words {
        let end = line(rest)?;
        let digits = rest.get(..end)?.strip_prefix(b"$")?.strip_suffix(b"\r")?;
        let len: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        *word = rest.get(end + 1..)?.get(..len)?;
        rest = rest.get(end + 1 + len + 2..)?;
    }
    Some(words)
}
