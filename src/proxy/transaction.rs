//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.
//!
//! Commands of a transaction are queued here and sent as one whole, so it needs no connection of its
//! own: nothing can come between its parts on a shared connection either. Only watched keys do: the
//! server remembers them with the connection that named them. From WATCH until EXEC, DISCARD or
//! UNWATCH a client has a connection of its own to the one server its keys live on.
//!
//! What a server would have said to a command when it was queued is not waited for. If it was an error,
//! the server refuses the EXEC, and the client is told so then. That leaves what a server alone can
//! know: that it is a replica, has no memory left, or does not allow it. What follows from the command is
//! told at once, as Redis does; about a command nobody knows a server is asked first.

use std::sync::Arc;

use super::Proxy;
use super::cause::Cause;
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::limits::Limits;
use super::link::Link;
use super::multi::{Permit, aborted};
use super::notice::What;
use super::probe::Probe;
use super::request::Request;
use super::requests::{CROSS_SLOT, PLACEHOLDER};
use crate::buffer::Input;
use crate::protocol::redis::commands::Verb;
use crate::protocol::redis::request::words;
use crate::protocol::redis::unblocking::{self, Unblocked};
use crate::protocol::redis::write::Writer;
use crate::protocol::{Answer, Key, Local, Merge, Parsed, Verdict, Version};
use crate::route::{Router, ServerIndex};

/// A transaction that was begun.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// The requests, as they are sent, one behind the other.
    pub(super) queue: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
    /// Where the keys so far live, and who said so.
    server: Option<ServerIndex>,
    router: Option<Arc<Router>>,
    /// Whether it will be refused.
    broken: bool,
    /// Whether a server is being asked about the last command, which is not queued before.
    probing: bool,
    /// Of the requests, those that would wait for a second outside of a transaction.
    pub(super) waits: Vec<usize>,
    /// Whether it has all scripts forgotten.
    pub(super) flushes: bool,
    /// Of the requests, those that publish something.
    pub(super) publishes: Vec<usize>,
    /// Whether it runs scripts, which without keys run on one server, always the same.
    scripts: bool,
    /// Whether the servers were asked for their version because of those.
    asked_version: bool,
    /// What is known about the connection it is to take.
    pub permit: Permit,
}

impl Transaction {
    /// Bytes of memory, more or less.
    pub fn held(&self) -> usize {
        self.queue.len() + self.ends.len() * REQUEST_COST
    }

    /// It will be refused: nothing of it is needed any more.
    fn give_up(&mut self) {
        *self = Self {
            broken: true,
            ..Self::default()
        };
    }

    /// Whether it is too large for a connection that clients share.
    fn is_large(&self, limits: &Limits) -> bool {
        self.queue.len() as u64 > limits.large_message
    }

    /// How many requests were queued.
    pub fn count(&self) -> usize {
        self.ends.len()
    }
}

/// Keys that are watched.
#[derive(Debug)]
pub(super) struct Watching {
    pub server: ServerIndex,
    /// Who said so.
    router: Arc<Router>,
    /// `None` when the connection was lost: nobody knows whether the keys were changed.
    pub link: Option<LinkId>,
    /// What the server said when it refused MULTI there.
    pub refused: Option<Box<[u8]>>,
}

const NOT_IN_TRANSACTION: &[u8] = b"-ERR this command cannot be part of a transaction\r\n";

/// What Redis does not queue.
const NOT_QUEUED: [&str; 2] = ["SAVE", "SHUTDOWN"];

/// What a queued request costs besides its bytes, here and on its connection.
const REQUEST_COST: usize = 64;

pub(super) const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
pub(super) const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
const UNWATCH: &[u8] = b"*1\r\n$7\r\nUNWATCH\r\n";

impl Proxy {
    /// One of the commands about transactions, outside of one or within. Says whether it was taken; if
    /// not, it is to be read again when the client has been answered everything else.
    pub(super) fn transaction_command(
        &mut self,
        request: &Request,
        verb: Verb,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> bool {
        let id = request.client;
        let Some(client) = self.clients.find_mut(id) else {
            return true;
        };
        let open = client.is_in_transaction();
        match verb {
            Verb::Multi if open => self.answer(id, b"-ERR MULTI calls can not be nested\r\n"),
            Verb::Multi => {
                client.session().transaction = Some(Box::default());
                self.answer(id, b"+OK\r\n");
            }
            Verb::Exec if !open => self.answer(id, b"-ERR EXEC without MULTI\r\n"),
            // It may take another connection than what was asked before, and must not be served first.
            Verb::Exec if client.is_watching() && !client.ring.is_empty() => return false,
            Verb::Exec if client.has_large_transaction(&self.limits) && !client.is_watching() => {
                return self.exec_large(request);
            }
            Verb::Exec => return self.exec(request),
            Verb::Discard if !open => self.answer(id, b"-ERR DISCARD without MULTI\r\n"),
            Verb::Discard => {
                client.session().transaction = None;
                self.unwatch(id);
            }
            Verb::Watch if open => self.answer(id, b"-ERR WATCH inside MULTI is not allowed\r\n"),
            Verb::Watch if !client.ring.is_empty() => return false,
            Verb::Watch => self.watch(request, parsed, input),
            Verb::Unwatch if open => self.queue(request, parsed, input),
            _ => self.unwatch(id),
        }
        true
    }

    /// A request within a transaction.
    pub(super) fn queue(&mut self, request: &Request, parsed: &Parsed, input: Input<'_>) {
        let id = request.client;
        if let Some(client) = self.clients.find_mut(id)
            && let Some(transaction) = client.session().transaction.as_deref_mut()
        {
            if transaction.probing {
                // In vain, and the client was told so.
                transaction.give_up();
            }
            transaction.probing = parsed.verdict == Verdict::Learn;
        }
        if parsed.verdict == Verdict::Learn {
            let server = self.route(id, PLACEHOLDER);
            return self.learn(request, server, input);
        }
        let unblocked = self.unblocked(id, parsed, input);
        let place = match &unblocked {
            Err(refused) => Err(refused.to_vec()),
            Ok(_) => self.place(id, parsed, input),
        };
        let unblocked = unblocked.unwrap_or_default();
        let waits = unblocked.as_ref().is_some_and(|form| form.waits);
        let publishes = self.publishes(id, parsed);
        let is_script = self.runs_script(id, parsed);
        let bytes = unblocked
            .as_ref()
            .map_or(input.bytes(), |form| &form.request);
        match place {
            Ok(server) => {
                let Some(client) = self.clients.find_mut(id) else {
                    return;
                };
                let limit = self.limits.transaction;
                let short = self.pools[client.pool.index()].refused;
                let router = self.pools[client.pool.index()].router.clone();
                let Some(transaction) = client.session().transaction.as_deref_mut() else {
                    return;
                };
                if transaction.held() + input.len() + REQUEST_COST > limit || short {
                    transaction.give_up();
                    let pool = client.pool;
                    return self.refuse_transaction(id, pool);
                }
                if transaction.server.is_none() && server.is_some() {
                    transaction.server = server;
                    transaction.router = Some(router);
                }
                if !transaction.broken {
                    if waits {
                        transaction.waits.push(transaction.ends.len());
                    }
                    transaction.flushes |= forgets(&parsed.verdict);
                    transaction.scripts |= is_script;
                    if publishes {
                        transaction.publishes.push(transaction.ends.len());
                    }
                    transaction.queue.extend_from_slice(bytes);
                    transaction.ends.push(transaction.queue.len());
                }
                self.answer(id, b"+QUEUED\r\n");
            }
            Err(error) => {
                if let Some(client) = self.clients.find_mut(id)
                    && let Some(transaction) = client.session().transaction.as_deref_mut()
                {
                    transaction.give_up();
                }
                self.answer(id, &error);
            }
        }
    }

    /// A request within a transaction that waits elsewhere, in a form that does not; nothing for others.
    fn unblocked(
        &self,
        id: ClientId,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> Result<Option<Unblocked>, &'static [u8]> {
        let Some(client) = self
            .clients
            .find(id)
            .filter(|_| parsed.verdict == Verdict::Blocking)
        else {
            return Ok(None);
        };
        let name = self.pool(client.pool).commands.name(parsed.command);
        let form = unblocking::unblocked(input.bytes(), name).ok_or(NOT_IN_TRANSACTION)?;
        Ok(Some(form))
    }

    fn refuse_transaction(&mut self, id: ClientId, pool: super::PoolIndex) {
        let stats = &self.stats.pools[pool.index()];
        if self.is_short(pool) {
            stats.memory_limit_hits.add(1);
        } else {
            stats.transaction_limit_hits.add(1);
        }
        let limit = self.limits.transaction;
        let text = format!("the transaction is too large: transaction_limit is {limit}");
        self.refuse_over(id, "transaction_limit", limit, &text);
    }

    /// Answers a request that goes beyond a limit of what is kept for one client.
    pub(super) fn refuse_over(
        &mut self,
        id: ClientId,
        key: &'static str,
        limit: usize,
        text: &str,
    ) {
        let what = What::OverLimit {
            key,
            limit: limit as u64,
            told: text.to_owned(),
            end: "refused",
        };
        self.notice_client(id, what);
        self.answer(id, format!("-ERR {text}\r\n").as_bytes());
    }

    /// A request that was refused while it came in was meant for the client's transaction, if it has one.
    pub(super) fn spoil_transaction(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && let Some(session) = client.session.as_deref_mut()
            && let Some(transaction) = session.transaction.as_deref_mut()
        {
            transaction.give_up();
        }
    }

    /// The server a request within a transaction must go to, if its keys say so; or why it cannot be
    /// part of it.
    fn place(
        &mut self,
        id: ClientId,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> Result<Option<ServerIndex>, Vec<u8>> {
        let refused = |why: &str| format!("-ERR {why}\r\n").into_bytes();
        let Some(client) = self.clients.find(id) else {
            return Ok(None);
        };
        let pool = &self.pools[client.pool.index()];
        if NOT_QUEUED.contains(&pool.commands.name(parsed.command)) {
            return Err(refused("Command not allowed inside a transaction"));
        }
        let is_script = pool.commands.is_script(parsed.command);
        match &parsed.verdict {
            // What is wrong with its number of keys the server says when it runs.
            Verdict::Refuse(refusal)
                if is_script && refusal.excess().is_none() && words(input.bytes()).len() >= 3 =>
            {
                return Ok(self.known_server(id));
            }
            Verdict::Refuse(refusal) => return Err(refusal.bytes().to_vec()),
            Verdict::Local(Local::Redis(
                Verb::Ping | Verb::Echo | Verb::Time | Verb::Lolwut | Verb::Unwatch,
            )) => return Ok(None),
            Verdict::Local(Local::Redis(Verb::Watch)) => {}
            Verdict::Local(_) => {
                return Err(NOT_IN_TRANSACTION.to_vec());
            }
            _ => {}
        }
        if pool.server_count() == 1 {
            return Ok(Some(ServerIndex(0)));
        }
        if self.publishes(id, parsed) {
            // It goes where the transaction goes, or behind it.
            return Ok(None);
        }
        let mut known = self.known_server(id);
        let mut keys = std::mem::take(&mut self.scratch.keys);
        keys.clear();
        pool.commands.keys(input.bytes(), parsed.command, &mut keys);
        let mut outcome = Ok(());
        if keys.is_empty() && !is_script {
            outcome = Err(NOT_IN_TRANSACTION.to_vec());
        }
        for key in &keys {
            let mut name = key.span().of(input.bytes());
            let mut lives_here = true;
            if let Key::Pattern(_) = key {
                // What stands for the star is not known, so the hash tag must stand before it.
                name = name.split(|&byte| byte == b'*').next().unwrap_or_default();
                lives_here = pool.router.is_tagged(name);
            }
            let server = pool.router.pick(name, 0);
            if server.is_none() {
                outcome = Err(refused("Connection refused"));
            } else if !lives_here || (known.is_some() && known != server) {
                outcome = Err(CROSS_SLOT.to_vec());
            }
            known = known.or(server);
        }
        self.scratch.keys = keys;
        outcome.map(|()| known)
    }

    /// Where the keys of the client's transaction live, as far as it has any.
    fn known_server(&self, id: ClientId) -> Option<ServerIndex> {
        let client = self.clients.find(id)?;
        let pool = self.pool(client.pool);
        let session = client.session.as_deref()?;
        // What is known from before keys moved is of no use: EXEC will tell so.
        let is_current = |router: &Arc<Router>| Arc::ptr_eq(router, &pool.router);
        let queued = session.transaction.as_ref();
        let queued = queued.filter(|it| it.router.as_ref().is_some_and(is_current));
        let watching = session.watching.as_ref();
        let watching = watching.filter(|it| is_current(&it.router));
        let queued = queued.and_then(|it| it.server);
        queued.or(watching.map(|watching| watching.server))
    }

    /// The client's transaction, and its watch, end with this reply.
    pub(super) fn abort_transaction(&mut self, id: ClientId, reply: &[u8]) {
        if let Some(client) = self.clients.find_mut(id) {
            client.session().transaction = None;
        }
        self.unwatch_and(id, reply);
    }

    /// The server was asked about the last command of the client's transaction, and has answered.
    pub(super) fn asked_for_transaction(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && let Some(session) = client.session.as_deref_mut()
            && let Some(transaction) = session.transaction.as_deref_mut()
        {
            transaction.probing = false;
        }
    }

    /// EXEC. Says whether it was taken: it waits while a server is asked whether it has transactions.
    fn exec(&mut self, request: &Request) -> bool {
        let id = request.client;
        let Some(client) = self.clients.find_mut(id) else {
            return true;
        };
        let version = client.version();
        let router = self.pools[client.pool.index()].router.clone();
        let session = client.session();
        let Some(mut transaction) = session.transaction.take() else {
            return true;
        };
        let has_moved = |known: &Arc<Router>| !Arc::ptr_eq(known, &router);
        let watching = session.watching.as_mut();
        let refused = watching.and_then(|known| known.refused.take());
        let is_lost = |known: &Watching| known.link.is_none() || has_moved(&known.router);
        if transaction.router.as_ref().is_some_and(has_moved) {
            let text = b"-EXECABORT Transaction discarded because of: its keys may live elsewhere now.\r\n";
            self.unwatch_and(id, text);
        } else if transaction.broken || transaction.probing {
            let text = b"-EXECABORT Transaction discarded because of previous errors.\r\n";
            self.unwatch_and(id, text);
        } else if let Some(words) = refused {
            self.unwatch_and(id, &aborted(&words));
        } else if session.watching.as_ref().is_some_and(is_lost) {
            // Whether the keys were changed is not known: as if they were.
            let mut reply = Writer::new(version);
            reply.null_array();
            self.unwatch_and(id, &reply.into_bytes());
        } else if transaction.ends.is_empty() && session.watching.is_none() {
            self.answer(id, b"*0\r\n");
        } else if !transaction.waits.is_empty() && self.asks_version(request, &mut transaction) {
            self.put_back(id, transaction);
            return false;
        } else {
            return self.exec_on_link(request, transaction);
        }
        true
    }

    /// Sends the transaction, if it is known that it will be one.
    fn exec_on_link(&mut self, request: &Request, mut transaction: Box<Transaction>) -> bool {
        let id = request.client;
        let Some(client) = self.clients.find_mut(id) else {
            return true;
        };
        let session = client.session();
        let watched = session.watching.take().and_then(|known| known.link);
        let link = match (watched, std::mem::take(&mut transaction.permit)) {
            (Some(link), _) => Ok(link),
            (None, Permit::Given(link)) if self.links.find(link).is_some() => {
                // Its next requests may take another.
                let is_usual = self.links.find(link).is_some_and(Link::is_usual);
                client.barrier |= !is_usual;
                Ok(link)
            }
            (None, Permit::Given(_)) => Err(Cause::Reset),
            (None, Permit::Failed(cause)) => Err(cause),
            (None, Permit::Refused(words)) => {
                self.unwatch_and(id, &aborted(&words));
                return true;
            }
            (None, Permit::Unknown | Permit::Asked(_)) => match self.outlet(id, &transaction) {
                Some(server) => self.link_for(request, server),
                // The server on which scripts without keys run outside a transaction, too.
                None => match self.route(id, b"") {
                    Some(server) => self.link_for(request, server),
                    None => Err(Cause::Refused),
                },
            },
        };
        let link = match link {
            Ok(link) => link,
            Err(cause) => {
                self.give_back_reserved(id);
                self.answer_error(id, cause);
                return true;
            }
        };
        let Some(found) = self.links.find(link) else {
            return true;
        };
        if watched.is_none() && !found.takes_multi {
            let (pool, lane) = (found.pool, found.lane);
            let no_exec = &self.pools[pool.index()].lane(lane).no_exec;
            if let Some((until, words)) = no_exec
                && *until > self.now
            {
                let reply = aborted(words);
                self.answer(id, &reply);
                return true;
            }
            if let Some(asked) = self.ask_for_multi(link, id, true) {
                transaction.permit = Permit::Asked(asked);
                self.put_back(id, transaction);
            }
            return false;
        }
        let client = self.clients.find_mut(id);
        let reserved = client.and_then(|client| client.session().reserved.take());
        let is_own = watched.is_some() || reserved.is_some();
        self.send_transaction(request, link, &transaction, is_own);
        true
    }

    /// A transaction that would keep a connection busy which others share gets one of its client's own.
    /// Nothing is watched there, so if it is lost before the transaction is sent, that is an error as others.
    fn exec_large(&mut self, request: &Request) -> bool {
        let id = request.client;
        let Some(server) = self.known_server(id) else {
            return self.exec(request);
        };
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        if !client.ring.is_empty() {
            return false;
        }
        let link = match self.take_pinned(id, client.group, server) {
            Ok(link) => link,
            Err(cause) => {
                if let Some(client) = self.clients.find_mut(id) {
                    client.session().transaction = None;
                }
                self.answer_error(id, cause);
                return true;
            }
        };
        let takes_multi = self.links.find(link).is_some_and(|link| link.takes_multi);
        let permit = if takes_multi {
            Permit::Given(link)
        } else {
            let asked = self.ask_for_multi(link, id, true);
            asked.map_or(Permit::Unknown, Permit::Asked)
        };
        let is_asked = matches!(permit, Permit::Asked(_));
        if let Some(client) = self.clients.find_mut(id) {
            let session = client.session();
            session.reserved = Some(link);
            if let Some(transaction) = session.transaction.as_deref_mut() {
                transaction.permit = permit;
            }
        }
        !is_asked && self.exec(request)
    }

    fn runs_script(&self, id: ClientId, parsed: &Parsed) -> bool {
        let client = self.clients.find(id);
        client.is_some_and(|client| self.pool(client.pool).commands.is_script(parsed.command))
    }

    /// The server of the transaction's keys or, without any, of the first channel it publishes on.
    fn outlet(&self, id: ClientId, transaction: &Transaction) -> Option<ServerIndex> {
        if transaction.scripts && transaction.server.is_none() {
            return None;
        }
        let pool = self.clients.find(id)?.pool;
        let first = || Some(self.homes(pool, transaction).first()?.1);
        transaction.server.or_else(first)
    }

    fn put_back(&mut self, id: ClientId, transaction: Box<Transaction>) {
        if let Some(client) = self.clients.find_mut(id) {
            client.session().transaction = Some(transaction);
        }
    }

    /// Asks the servers for their version, if nothing is known of it. Says whether the client is to wait for
    /// that.
    fn asks_version(&mut self, request: &Request, transaction: &mut Transaction) -> bool {
        let id = request.client;
        let asked = std::mem::replace(&mut transaction.asked_version, true);
        let Some(client) = self.clients.find(id).filter(|_| !asked) else {
            return false;
        };
        let (pool, group) = (client.pool, client.group);
        if self.pool(pool).facts.is_some() {
            return false;
        }
        self.pools[pool.index()].stay(group);
        self.probe(id, Probe::new(Verb::Info, request.topic, b"", group, true));
        // Where no server can be asked that is known at once.
        self.clients
            .find(id)
            .is_some_and(|client| !client.ring.is_empty())
    }

    fn watch(&mut self, request: &Request, parsed: &Parsed, input: Input<'_>) {
        let id = request.client;
        let server = match self.place(id, parsed, input) {
            Ok(Some(server)) => server,
            Ok(None) => return,
            Err(error) => return self.answer(id, &error),
        };
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let group = client.group;
        let router = self.pools[client.pool.index()].router.clone();
        let is_new = client.session().watching.is_none();
        let link = match &client.session().watching {
            // Lost before: it stays so until the end.
            Some(Watching { link: None, .. }) => return self.answer(id, b"+OK\r\n"),
            Some(Watching {
                link: Some(link), ..
            }) => *link,
            None => match self.take_pinned(id, group, server) {
                Ok(link) => link,
                Err(cause) => return self.answer_error(id, cause),
            },
        };
        if is_new
            && self
                .links
                .find(link)
                .is_some_and(|found| !found.takes_multi)
        {
            self.ask_for_multi(link, id, false);
        }
        // Its reply tells that the keys are watched; until then nothing of them may be read.
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        client.session().watching = Some(Watching {
            server,
            router,
            link: Some(link),
            refused: None,
        });
        client.barrier = true;
        let exchange = Exchange::owed(client.is_mute(), Answer::Always);
        let sequence = client.ring.push(exchange);
        let entry = request.of_any_family().entry(sequence, self.now);
        self.send_input(link, entry, input);
    }

    fn unwatch(&mut self, id: ClientId) {
        self.unwatch_and(id, b"+OK\r\n");
    }

    /// Gives the connection that watched keys back, or was reserved, and the client its reply.
    fn unwatch_and(&mut self, id: ClientId, reply: &[u8]) {
        let now = self.now;
        self.give_back_reserved(id);
        if let Some(client) = self.clients.find_mut(id)
            && let Some(session) = client.session.as_deref_mut()
            && let Some(watching) = session.watching.take()
            && let Some(link) = watching.link
        {
            self.send_unheard(link, UNWATCH, now);
            self.give_back(link);
        }
        self.answer(id, reply);
    }

    /// Gives back the connection that was reserved for a large transaction, if one was.
    fn give_back_reserved(&mut self, id: ClientId) {
        if let Some(client) = self.clients.find_mut(id)
            && let Some(session) = client.session.as_deref_mut()
            && let Some(link) = session.reserved.take()
        {
            self.give_back(link);
        }
    }
}

/// Whether a request has the servers forget their scripts.
fn forgets(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Everywhere(fan) if fan.merge == Merge::Forget)
}

impl super::client::Client {
    /// Whether it watches keys, or did until the connection was lost.
    pub fn is_watching(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.watching.is_some())
    }

    /// Whether what it has queued needs a connection of its own, and has none yet.
    fn has_large_transaction(&self, limits: &Limits) -> bool {
        let session = self.session.as_ref();
        let session = session.filter(|session| session.reserved.is_none());
        let queued = session.and_then(|session| session.transaction.as_ref());
        queued.is_some_and(|queued| queued.is_large(limits))
    }

    /// Whether its requests are queued.
    #[inline]
    pub fn is_in_transaction(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.transaction.is_some())
    }

    /// Whether it may only subscribe, end that, or leave: RESP2 cannot tell replies from messages.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            session.subscriber.is_some() && session.version == Version::Resp2
        })
    }
}
