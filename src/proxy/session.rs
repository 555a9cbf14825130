//! What a client said about its connection, and the lanes it uses because of it.
//!
//! Most clients say nothing: they cost one pointer. Replies are exact by construction: a client that
//! asked for RESP3, or for another database, uses connections to the servers on which we asked for the
//! same. Nothing is translated.

use super::Proxy;
use super::client::Client;
use super::ids::{ClientId, LinkId, PoolIndex};
use super::names::Names;
use super::pool::GroupIndex;
use super::request::Request;
use super::subscribe::Subscriber;
use super::transaction::{Transaction, Watching};
use crate::buffer::Input;
use crate::protocol::redis::commands::Verb;
use crate::protocol::{Local, Parsed, Refusal, Verdict, Version};

/// Bytes that are read from a client that waits at a server, so that its end is seen.
const BLOCKED_PENDING_MAX: usize = 64 * 1024;

/// What is not as it is for a client that said nothing.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub version: Version,
    /// As the client counts: its 0 is the pool's `redis_db`.
    pub database: u32,
    pub name: Vec<u8>,
    pub library: Vec<u8>,
    pub library_version: Vec<u8>,
    /// The connections on which it waits for something to happen.
    pub blocked: Vec<LinkId>,
    /// Its request that another worker answers.
    pub elsewhere: Option<u32>,
    pub watching: Option<Watching>,
    /// The connection of its own that its large transaction is to take.
    pub reserved: Option<LinkId>,
    pub transaction: Option<Box<Transaction>>,
    pub subscriber: Option<Box<Subscriber>>,
    /// What is left of its request about subscriptions.
    pub names: Option<Box<Names>>,
}

/// Whether a client wants no replies (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mute {
    /// It wants them.
    #[default]
    No,
    /// Not to the next request.
    Next,
    /// Not to the one at hand.
    Once,
    /// To none.
    Yes,
}

impl Mute {
    /// Whether the request at hand is not to be answered.
    #[inline]
    pub fn is_now(self) -> bool {
        matches!(self, Mute::Once | Mute::Yes)
    }
}

impl Client {
    /// The version of the protocol it speaks.
    pub fn version(&self) -> Version {
        self.session
            .as_ref()
            .map_or(Version::Resp2, |session| session.version)
    }

    /// The database it uses, as it counts.
    pub fn database(&self) -> u32 {
        self.session.as_ref().map_or(0, |session| session.database)
    }

    /// Whether the request at hand is not to be answered.
    #[inline]
    pub fn is_mute(&self) -> bool {
        self.mute.is_now()
    }

    /// Whether it is read although its requests wait: it may be waiting for ever, and its end is the end
    /// of that.
    pub fn is_watched_for_its_end(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| !session.blocked.is_empty())
            && self.pending.len() < BLOCKED_PENDING_MAX
    }

    /// To be changed.
    pub fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_default()
    }
}

impl Proxy {
    /// Ends what the client has connections of its own for.
    pub(super) fn end_session(&mut self, id: ClientId) {
        self.stop_listening(id);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if let Some(session) = client.session.take() {
            self.close_own_of(&session);
        }
    }

    /// Closes the connections a client had for itself.
    pub(super) fn close_own_of(&mut self, session: &Session) {
        let watching = session.watching.as_ref().and_then(|watching| watching.link);
        let listening = session.subscriber.iter().flat_map(|known| known.links());
        let blocked = session.blocked.iter().copied();
        let own = blocked.chain(watching).chain(session.reserved);
        for link in own.chain(listening) {
            self.close_own(link);
        }
    }

    /// Closes a connection of a client's own that is not as it was.
    pub(super) fn close_own(&mut self, id: LinkId) {
        if let Some(link) = self.links.find_mut(id) {
            link.owner = None;
            self.drop_link(id);
        }
    }

    /// The client uses these lanes from now on, once all it asked before was answered: what it reads
    /// next must not overtake what it wrote over another connection. The group counts it already.
    pub(super) fn move_client(&mut self, id: ClientId, group: GroupIndex) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let (pool, old) = (client.pool, client.group);
        if group != old {
            client.group = group;
            client.strays.clear();
            client.barrier = true;
        }
        self.leave_group(pool, old);
    }

    /// A client, or a client's attempt, uses the lanes no longer.
    pub(super) fn leave_group(&mut self, pool: PoolIndex, group: GroupIndex) {
        let pool = &mut self.pools[pool.index()];
        if !pool.leave(group) {
            return;
        }
        let links: Vec<_> = pool
            .lanes_of(group)
            .iter()
            .flat_map(|lane| lane.links())
            .collect();
        for link in links {
            self.rearm_link(link);
        }
    }
}

impl Proxy {
    /// A request of a client that is not as it was at first. Says whether that was all about it.
    pub(super) fn within_session(
        &mut self,
        request: &Request,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> bool {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        let verb = match parsed.verdict {
            Verdict::Local(Local::Redis(verb)) => Some(verb),
            _ => None,
        };
        let is_one_of = |verbs: &[Verb]| verb.is_some_and(|verb| verbs.contains(&verb));
        if let Verdict::Refuse(refusal) = &parsed.verdict
            && self.pool(client.pool).commands.name(parsed.command) == "EXEC"
        {
            self.abort_transaction(id, refusal.bytes());
            return true;
        }
        if client.is_in_transaction() {
            let is_about_it = is_one_of(ABOUT_TRANSACTIONS);
            if !is_about_it {
                self.queue(request, parsed, input);
            }
            return !is_about_it;
        }
        let is_refused = matches!(parsed.verdict, Verdict::Refuse(_));
        if !client.only_listens() || is_one_of(WHILE_LISTENING) || is_refused {
            return false;
        }
        let commands = &self.pool(client.pool).commands;
        let name = commands.name(parsed.command).to_ascii_lowercase();
        let text = format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        );
        self.answer(id, Refusal::new("-", text.as_bytes()).bytes());
        true
    }
}

/// What is not queued in a transaction.
const ABOUT_TRANSACTIONS: &[Verb] = &[
    Verb::Multi,
    Verb::Exec,
    Verb::Discard,
    Verb::Watch,
    Verb::Unwatch,
    Verb::Reset,
    Verb::Quit,
];

/// What a listener may ask that speaks RESP2, where messages look like replies.
const WHILE_LISTENING: &[Verb] = &[
    Verb::Subscribe,
    Verb::Psubscribe,
    Verb::Ssubscribe,
    Verb::Unsubscribe,
    Verb::Punsubscribe,
    Verb::Sunsubscribe,
    Verb::Ping,
    Verb::Quit,
    Verb::Reset,
];
