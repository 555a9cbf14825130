//! Commands about the connection, answered without a server where that is the truth.

use std::mem;

use super::Proxy;
use super::cause::Cause;
use super::ids::ClientId;
use super::pool::GroupIndex;
use super::probe::Probe;
use super::request::Request;
use super::session::{Mute, Session};
use super::telling::is_long;
use crate::buffer::Input;
use crate::protocol::redis::commands::Verb;
use crate::protocol::redis::describe;
use crate::protocol::redis::hello::{self, Hello};
use crate::protocol::redis::request::words;
use crate::protocol::redis::write::{Writer, bad_sub};
use crate::protocol::{Commands, Excess, Local, Parsed, Refusal, Version};

const NO_HELLO_YET: &str = "NOAUTH HELLO must be called with the client already authenticated, \
    otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
    and select the RESP protocol version at the same time";
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_DATABASE: &str = "ERR DB index is out of range";
const NO_VERSION: &str = "NOPROTO the servers of this pool do not speak RESP3";
const WHILE_WATCHING: &str = "ERR database and protocol cannot be changed while keys are watched";

/// The sub-commands of CLIENT that take arguments as Redis' own do.
const CLIENT_SUBS: [&str; 15] = [
    "CACHING",
    "CAPA",
    "GETNAME",
    "GETREDIR",
    "ID",
    "INFO",
    "KILL",
    "NO-EVICT",
    "NO-TOUCH",
    "REPLY",
    "SETINFO",
    "SETNAME",
    "TRACKING",
    "TRACKINGINFO",
    "UNBLOCK",
];
/// What `CLIENT HELP` says.
const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CAPA <option> [<option> ...]",
    "    Accepted, and without effect.",
    "GETNAME",
    "    Return the name of the current connection.",
    "GETREDIR",
    "    Return -1: there is no client side caching.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current connection.",
    "KILL <ip:port>",
    "    Kill the current connection, if that is where it comes from.",
    "KILL ID <client-id> [SKIPME <YES|NO>]",
    "    Kill a connection to this pool from the host of the current one.",
    "LIST [TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [ID <client-id> ...]",
    "    Return information about the current connection, if it is one of those.",
    "NO-EVICT <ON|OFF>",
    "    Accepted, and without effect.",
    "NO-TOUCH OFF",
    "    Accepted: keys are always touched.",
    "REPLY <ON|OFF|SKIP>",
    "    Control the replies sent to the current connection.",
    "SETINFO <LIB-NAME|LIB-VER> <value>",
    "    Set the library name or version of the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING OFF",
    "    Accepted: there is no client side caching.",
    "TRACKINGINFO",
    "    Report that there is no client side caching.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End what a connection to this pool from the host of the current one waits for.",
    "HELP",
    "    KeyHash this help.",
];
const NO_ROOM: &str = "ERR too many databases are in use at once";

impl Proxy {
    /// Answers a command that needs no server, or asks one first.
    /// Says whether it was taken, see [`Proxy::handle`].
    pub(super) fn answer_locally(
        &mut self,
        request: &Request,
        local: Local,
        parsed: &Parsed,
        input: Input<'_>,
    ) -> bool {
        let id = request.client;
        if is_long(&local) && self.put_off_reply(id) {
            return false;
        }
        match local {
            Local::Quit => self.quit(id),
            Local::Say(reply) => self.answer(id, reply),
            Local::Stats => self.answer_stats(id),
            Local::Noop => self.succeed(id, b""),
            Local::QuitQuietly => self.finish_client(id),
            Local::Mechanisms => self.tell_mechanisms(id),
            Local::Sasl => self.sasl(id, input.bytes()),
            Local::Redis(
                verb @ (Verb::Multi | Verb::Exec | Verb::Discard | Verb::Watch | Verb::Unwatch),
            ) => return self.transaction_command(request, verb, parsed, input),
            Local::Redis(Verb::Wait) => return self.wait(request, input),
            Local::Redis(Verb::Client) if self.is_early_unblock(id, input) => return false,
            Local::Redis(verb) => self.obey(request, verb, input.bytes()),
        }
        true
    }

    fn obey(&mut self, request: &Request, verb: Verb, bytes: &[u8]) {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let limit = self.pool(client.pool).config.limits.local;
        if bytes.len() > longest(verb, limit) {
            let text =
                format!("ERR the request is longer than local_request_limit ({limit} bytes)");
            let refusal = Refusal::new("-", text.as_bytes()).beyond(Excess::Local);
            return self.refuse(id, &refusal);
        }
        let words = words(bytes);
        let text = words.get(1).copied().unwrap_or_default();
        let mut reply = Writer::new(client.version());
        match verb {
            Verb::Ping if client.only_listens() => {
                reply.array(2).bulk("pong").bulk(text);
            }
            Verb::Ping if words.len() == 1 => return self.answer(id, b"+PONG\r\n"),
            Verb::Ping | Verb::Echo => {
                reply.bulk(text);
            }
            Verb::Auth => self.auth(id, &words, &mut reply),
            Verb::Quit => {
                self.answer(id, b"+OK\r\n");
                return self.finish_client(id);
            }
            Verb::Reset => {
                self.reset(id);
                reply.status("RESET");
            }
            Verb::Hello => match self.hello(id, &words) {
                Ok(Some(group)) => return self.probe_on(request, verb, bytes, group),
                Ok(None) => return,
                Err(error) => {
                    reply.error(&error);
                }
            },
            Verb::Select => match self.select(id, text) {
                Ok(Some(group)) => return self.probe_on(request, verb, bytes, group),
                Ok(None) => {
                    reply.status("OK");
                }
                Err(error) => {
                    reply.error(error);
                }
            },
            Verb::Info => {
                if self.pool(client.pool).facts.is_none() {
                    let group = client.group;
                    self.pools[client.pool.index()].stay(group);
                    return self.probe_on(request, verb, bytes, group);
                }
                reply.verbatim(&self.info(id, bytes));
            }
            Verb::Client => match self.client_command(id, &words, &mut reply) {
                Told::Reply => {}
                Told::Nothing => return,
                Told::ThenClosed => {
                    self.answer(id, &reply.into_bytes());
                    return self.finish_client(id);
                }
            },
            Verb::Command => match &self.pool(client.pool).commands {
                Commands::Redis(table) => describe::answer(&words, table, &mut reply),
                Commands::Memcache(_) | Commands::Binary(_) => {}
            },
            Verb::Config => return self.config_get(request, bytes),
            Verb::Time => {
                let now = self.wall();
                reply.array(2).bulk((now / 1_000_000).to_string());
                reply.bulk((now % 1_000_000).to_string());
            }
            Verb::Subscribe
            | Verb::Psubscribe
            | Verb::Ssubscribe
            | Verb::Unsubscribe
            | Verb::Punsubscribe
            | Verb::Sunsubscribe => return self.subscription_command(request, verb, bytes),
            // Not answered here, or not here alone.
            Verb::Multi | Verb::Exec | Verb::Discard | Verb::Watch | Verb::Unwatch | Verb::Wait => {
                return;
            }
            Verb::Lolwut => {
                let version = env!("CARGO_PKG_VERSION");
                reply.verbatim(&format!("A crab cracks a nut. nutcrab ver. {version}"));
            }
        }
        self.answer(id, &reply.into_bytes());
    }

    fn probe_on(&mut self, request: &Request, verb: Verb, bytes: &[u8], group: GroupIndex) {
        let id = request.client;
        let mute = self.clients.find(id).is_some_and(|client| client.is_mute());
        self.probe(id, Probe::new(verb, request.topic, bytes, group, mute));
    }

    /// The reply to a command for which a server was asked.
    pub(super) fn learned(
        &mut self,
        id: ClientId,
        probe: &Probe,
        outcome: Result<(), Cause>,
    ) -> Vec<u8> {
        let Some(client) = self.clients.find(id) else {
            return Vec::new();
        };
        let mut reply = Writer::new(client.version());
        let words = words(&probe.request);
        let stays = probe.group == client.group;
        let refused = match outcome {
            Ok(()) => None,
            Err(Cause::Version) => Some(NO_VERSION.to_owned()),
            Err(Cause::Database) => Some(NO_DATABASE.to_owned()),
            // What does not depend on the answer is told without it.
            Err(_) if stays => None,
            // In the server's own words, as it would say the same to the client.
            Err(Cause::Unwilling) => {
                let words = self.pool(client.pool).refusal(probe.group);
                let words = words.map(<[u8]>::to_vec).unwrap_or_default();
                self.leave_group(client.pool, probe.group);
                return words;
            }
            Err(cause) => Some(format!("ERR {cause}")),
        };
        if let Some(error) = refused {
            self.leave_group(client.pool, probe.group);
            reply.error(&error);
            return reply.into_bytes();
        }
        match probe.verb {
            Verb::Hello => {
                let hello = hello::read(&words).unwrap_or_default();
                self.greet(id, &hello, probe.group);
                return self.hello_reply(id);
            }
            Verb::Select => {
                let database = words.get(1).and_then(|text| number(text)).unwrap_or(0);
                self.use_database(id, database, probe.group);
                reply.status("OK");
            }
            _ => {
                self.leave_group(client.pool, probe.group);
                let text = self.info(id, &probe.request);
                reply.verbatim(&text);
            }
        }
        reply.into_bytes()
    }

    fn auth(&mut self, id: ClientId, words: &[&[u8]], reply: &mut Writer) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let password = self.pools[client.pool.index()].config.redis_auth.as_ref();
        match (words, password) {
            ([_, _], None) => {
                // Compat: the words of twemproxy. Test: end_to_end auth.
                reply.error("ERR Client sent AUTH, but no password is set");
            }
            ([_, given], Some(password)) => {
                let is_right = is_equal(password.bytes(), given);
                self.said_password(id, is_right);
                if is_right {
                    reply.status("OK");
                } else {
                    reply.error("ERR invalid password");
                }
            }
            ([_, user, given], _) => {
                if self.log_in(id, user, given) {
                    reply.status("OK");
                } else {
                    reply.error(WRONG_PASSWORD);
                }
            }
            _ => {
                reply.error("ERR syntax error");
            }
        }
    }

    /// Whether user and password are right; if so the client may do what it likes from now on. There
    /// is one user, `default`; without a password of the pool any will do, as in Redis.
    fn log_in(&mut self, id: ClientId, user: &[u8], given: &[u8]) -> bool {
        let Some(client) = self.clients.find_mut(id) else {
            return false;
        };
        let password = self.pools[client.pool.index()].config.redis_auth.as_ref();
        let is_right = password.is_none_or(|password| is_equal(password.bytes(), given));
        let accepted = user == b"default" && is_right;
        client.authenticated |= accepted;
        accepted
    }

    /// Understands a HELLO. Gives the lanes a server must be asked on, or nothing when the reply was
    /// given.
    fn hello(&mut self, id: ClientId, words: &[&[u8]]) -> Result<Option<GroupIndex>, String> {
        let hello = hello::read(words)?;
        if let Some((user, password)) = hello.auth
            && !self.log_in(id, user, password)
        {
            return Err(WRONG_PASSWORD.into());
        }
        let Some(client) = self.clients.find(id) else {
            return Ok(None);
        };
        if !client.authenticated {
            return Err(NO_HELLO_YET.into());
        }
        let version = hello.version.unwrap_or(client.version());
        let (pool, database) = (client.pool, client.database());
        let group = self.enter(id, database, version)?;
        let pool = self.pool(pool);
        if pool.is_proven(group) && pool.facts.is_some() {
            self.greet(id, &hello, group);
            let reply = self.hello_reply(id);
            self.answer(id, &reply);
            return Ok(None);
        }
        Ok(Some(group))
    }

    /// The lanes for a database as the client counts.
    fn enter(
        &mut self,
        id: ClientId,
        database: u32,
        version: Version,
    ) -> Result<GroupIndex, &'static str> {
        let limit = self.limits.groups;
        let Some(client) = self.clients.find(id) else {
            return Err(NO_ROOM);
        };
        let differs = database != client.database() || version != client.version();
        if differs && client.is_watching() {
            // They are watched on a connection of the old kind.
            return Err(WHILE_WATCHING);
        }
        let pool = &mut self.pools[client.pool.index()];
        let own = pool.config.redis_db;
        if own > 0 && database > 0 {
            return Err(NO_DATABASE);
        }
        pool.enter(own.max(database), version, limit).ok_or(NO_ROOM)
    }

    /// Does what a HELLO asked for.
    fn greet(&mut self, id: ClientId, hello: &Hello<'_>, group: GroupIndex) {
        if let Some(client) = self.clients.find_mut(id) {
            if let Some(version) = hello.version
                && version != client.version()
            {
                client.session().version = version;
            }
            if let Some(name) = hello.name {
                client.session().name = name.to_vec();
            }
        }
        self.move_client(id, group);
    }

    fn hello_reply(&self, id: ClientId) -> Vec<u8> {
        let Some(client) = self.clients.find(id) else {
            return Vec::new();
        };
        let facts = self.pool(client.pool).facts.clone().unwrap_or_default();
        let (server, version) = facts.server();
        let mut reply = Writer::new(client.version());
        reply.map(7 + usize::from(facts.zone.is_some()));
        reply.bulk("server").bulk(server);
        reply.bulk("version").bulk(version);
        reply.bulk("proto").integer(client.version().number());
        reply.bulk("id").integer(client.number as i64);
        reply.bulk("mode").bulk("standalone");
        reply.bulk("role").bulk("master");
        reply.bulk("modules").array(0);
        if let Some(zone) = &facts.zone {
            reply.bulk("availability_zone").bulk(zone);
        }
        reply.into_bytes()
    }

    /// Understands a SELECT. Gives the lanes a server must be asked on, or nothing when it is done.
    fn select(&mut self, id: ClientId, text: &[u8]) -> Result<Option<GroupIndex>, &'static str> {
        let Some(client) = self.clients.find(id) else {
            return Ok(None);
        };
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
            return Err("ERR value is not an integer or out of range");
        }
        let database = number(text).ok_or(NO_DATABASE)?;
        if database == client.database() {
            return Ok(None);
        }
        let (pool, version) = (client.pool, client.version());
        let group = self.enter(id, database, version)?;
        if self.pool(pool).is_proven(group) {
            self.use_database(id, database, group);
            return Ok(None);
        }
        Ok(Some(group))
    }

    fn use_database(&mut self, id: ClientId, database: u32, group: GroupIndex) {
        if let Some(client) = self.clients.find_mut(id) {
            client.session().database = database;
        }
        self.move_client(id, group);
    }

    /// Makes the connection what it was at first.
    fn reset(&mut self, id: ClientId) {
        let group = GroupIndex::default();
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.mute == Mute::Yes {
            // A wish about this very request holds.
            client.mute = Mute::No;
        }
        let known = client.session.as_deref_mut();
        let library = known.map(|known| {
            (
                mem::take(&mut known.library),
                mem::take(&mut known.library_version),
            )
        });
        self.end_session(id);
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        // What library it uses does not change.
        if let Some((name, version)) =
            library.filter(|(name, version)| !name.is_empty() || !version.is_empty())
        {
            (client.session().library, client.session().library_version) = (name, version);
        }
        let pool = &mut self.pools[client.pool.index()];
        client.authenticated = pool.config.redis_auth.is_none();
        pool.stay(group);
        self.move_client(id, group);
        self.expect_password(id);
    }
}

/// What became of a subcommand of CLIENT.
pub(super) enum Told {
    /// The reply was written.
    Reply,
    /// There is none.
    Nothing,
    /// The reply was written, and is the last one.
    ThenClosed,
}

impl Proxy {
    fn client_command(&mut self, id: ClientId, words: &[&[u8]], reply: &mut Writer) -> Told {
        let subcommand = words[1].to_ascii_uppercase();
        let rest = &words[2..];
        let Some(client) = self.clients.find_mut(id) else {
            return Told::Nothing;
        };
        match (subcommand.as_slice(), rest) {
            (b"SETNAME", [name]) if hello::is_name(name) => {
                client.session().name = name.to_vec();
                reply.status("OK");
            }
            (b"SETNAME", [_]) => {
                reply.error(hello::BAD_NAME);
            }
            (b"GETNAME", []) => {
                match client
                    .session
                    .as_ref()
                    .filter(|known| !known.name.is_empty())
                {
                    Some(session) => reply.bulk(&session.name),
                    None => reply.null(),
                };
            }
            (b"SETINFO", [option, value]) => set_info(client.session(), option, value, reply),
            (b"ID", []) => {
                reply.integer(client.number as i64);
            }
            (b"INFO", []) => {
                reply.verbatim(&self.client_line(id, "info"));
            }
            (b"LIST", filters) => {
                match is_listed(client.number, client.subscriber().is_some(), filters) {
                    Ok(true) => {
                        reply.verbatim(&self.client_line(id, "list"));
                    }
                    Ok(false) => {
                        reply.verbatim("");
                    }
                    Err(error) => {
                        reply.error(&error);
                    }
                }
            }
            (b"NO-EVICT" | b"NO-TOUCH", [switch]) => {
                // Nothing here can be evicted. Keys are touched by connections that all clients share.
                if subcommand == b"NO-TOUCH" && switch.eq_ignore_ascii_case(b"ON") {
                    reply.error("ERR CLIENT NO-TOUCH ON is not supported by nutcrab");
                } else if is_switch(switch) {
                    reply.status("OK");
                } else {
                    reply.error("ERR syntax error");
                }
            }
            (b"GETREDIR", []) => {
                reply.integer(-1);
            }
            (b"TRACKING", [switch, ..]) if switch.eq_ignore_ascii_case(b"OFF") => {
                reply.status("OK");
            }
            (b"TRACKING" | b"CACHING", [_, ..]) => {
                reply.error("ERR client side caching is not supported by nutcrab");
            }
            (b"TRACKINGINFO", []) => {
                reply.map(3).bulk("flags").set(1).bulk("off");
                reply.bulk("redirect").integer(-1).bulk("prefixes").array(0);
            }
            (b"CAPA", [_, ..]) => {
                reply.status("OK");
            }
            (b"UNBLOCK", [_] | [_, _]) => return self.client_unblock(id, rest, reply),
            (b"REPLY", [mode]) => return quieten(client, mode, reply),
            (b"KILL", filters @ [_, ..]) => return self.client_kill(id, filters, reply),
            (b"HELP", []) => {
                reply.help(HELP);
            }
            (b"MAINT_NOTIFICATIONS", _) => {
                reply.error("ERR maintenance notifications are not supported by nutcrab");
            }
            _ => {
                reply.error(&bad_sub("CLIENT", words[1], &CLIENT_SUBS));
            }
        }
        Told::Reply
    }

    /// The client's line in `CLIENT LIST`.
    fn client_line(&self, id: ClientId, subcommand: &str) -> String {
        let Some(client) = self.clients.find(id) else {
            return String::new();
        };
        let pool = self.pool(client.pool);
        let address = client.peer.map(|peer| peer.to_string()).unwrap_or_default();
        let nothing = Session::default();
        let session = client.session.as_deref().unwrap_or(&nothing);
        let [sub, psub, ssub] = client.subscriber().map_or([0; 3], |known| known.counts());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "id={} addr={address} laddr={} fd=-1 name={} age={} idle=0 flags=N db={} sub={sub} psub={psub} \
             ssub={ssub} multi={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll={} \
             omem={} tot-mem=0 events=r cmd=client|{subcommand} user=default redir=-1 resp={} lib-name={} \
             lib-ver={}\n",
            client.number,
            pool.config.listen.text(),
            text(&session.name),
            self.now.since(client.since).as_secs(),
            session.database,
            session
                .transaction
                .as_ref()
                .map_or(-1, |queued| queued.count() as i64),
            client.pending.len(),
            client.ring.len(),
            client.out.len(),
            session.version.number(),
            text(&session.library),
            text(&session.library_version),
        )
    }
}

/// Bytes of the longest request that is answered here, where `limit` is what is looked at as a whole.
fn longest(verb: Verb, limit: usize) -> usize {
    match verb {
        // They are given back as they came.
        Verb::Ping | Verb::Echo => limit.saturating_mul(16),
        // What these keep has a limit of its own.
        Verb::Subscribe
        | Verb::Psubscribe
        | Verb::Ssubscribe
        | Verb::Unsubscribe
        | Verb::Punsubscribe
        | Verb::Sunsubscribe => usize::MAX,
        _ => limit,
    }
}

fn set_info(session: &mut Session, option: &[u8], value: &[u8], reply: &mut Writer) {
    let place = if option.eq_ignore_ascii_case(b"LIB-NAME") {
        &mut session.library
    } else if option.eq_ignore_ascii_case(b"LIB-VER") {
        &mut session.library_version
    } else {
        let option = String::from_utf8_lossy(&option[..option.len().min(128)]);
        reply.error(&format!("ERR Unrecognized option '{option}'"));
        return;
    };
    if !hello::is_name(value) {
        let option = String::from_utf8_lossy(option);
        reply.error(&format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        ));
        return;
    }
    *place = value.to_vec();
    reply.status("OK");
}

/// `CLIENT REPLY`.
fn quieten(client: &mut super::client::Client, mode: &[u8], reply: &mut Writer) -> Told {
    match mode.to_ascii_uppercase().as_slice() {
        b"ON" => {
            client.mute = Mute::No;
            reply.status("OK");
            return Told::Reply;
        }
        b"OFF" => client.mute = Mute::Yes,
        b"SKIP" if client.mute != Mute::Yes => client.mute = Mute::Next,
        b"SKIP" => {}
        _ => {
            reply.error("ERR syntax error");
            return Told::Reply;
        }
    }
    Told::Nothing
}

fn is_switch(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"ON") || word.eq_ignore_ascii_case(b"OFF")
}

/// Whether a client with this number is among those that CLIENT LIST was asked for.
fn is_listed(number: u64, listens: bool, filters: &[&[u8]]) -> Result<bool, String> {
    match filters {
        [] => Ok(true),
        [word, kind] if word.eq_ignore_ascii_case(b"TYPE") => {
            match kind.to_ascii_lowercase().as_slice() {
                b"normal" => Ok(!listens),
                b"pubsub" => Ok(listens),
                b"master" | b"replica" | b"slave" => Ok(false),
                _ => {
                    let kind = String::from_utf8_lossy(&kind[..kind.len().min(128)]);
                    Err(format!("ERR Unknown client type '{kind}'"))
                }
            }
        }
        [word, ids @ ..] if word.eq_ignore_ascii_case(b"ID") && !ids.is_empty() => {
            let numbers = ids
                .iter()
                .map(|id| std::str::from_utf8(id).ok()?.parse().ok());
            let numbers: Option<Vec<u64>> = numbers.collect();
            let numbers = numbers.ok_or("ERR Invalid client ID")?;
            Ok(numbers.contains(&number))
        }
        _ => Err("ERR syntax error".into()),
    }
}

fn number(text: &[u8]) -> Option<u32> {
    let database: u32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (database <= i32::MAX as u32).then_some(database)
}

/// Compares in a time that does not tell how much was right.
pub(super) fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let differences = left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && differences == 0
}
