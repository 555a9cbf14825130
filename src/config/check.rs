//! From the file as written to a `Config`, or to every mistake at once.
//!
//! Reading goes on after a mistake, so that one run of `-t` tells all. What is wrong in itself is
//! found key by key from the table in `keys`; what only clashes with something else (names,
//! addresses, a password without Redis) is looked at when a pool, then all pools, are read.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::address::{self, Resolve, SERVER_FORMS};
use super::file::{self, Node, NodeKind};
use super::foreign::TWEMPROXY;
use super::keys::{CROSS_SHARDS, FAILED_GETS, Form, KEYS, Key, PoolDraft, Presence};
use super::mistake::{Mistake, Place, Problem, Report, nearest, quoted};
use super::process::{PROCESS_KEYS, PROCESS_SECTION, ProcessDraft};
use super::{Config, CrossShard, Foreign, Password, Pool, Process, Server};
use crate::hash::Hash;
use crate::protocol::{Limits, Policy, Protocol};
use crate::route::Distribution;

/// Most servers of a pool: indices of servers are 16 bits wide, and the ring of a larger pool
/// would not fit any cache.
const SERVERS_MAX: usize = 65_535;

/// Reads the bytes of a file. `resolve` is asked once for each TCP `listen`.
/// `cross_shard` holds for Redis pools that do not say.
pub(super) fn check(
    bytes: &[u8],
    resolve: Resolve<'_>,
    cross_shard: CrossShard,
) -> Result<Config, Vec<Mistake>> {
    let mut checker = Checker {
        report: Report::default(),
        resolve,
        cross_shard,
        foreign: Vec::new(),
    };
    let file = file::read(bytes, &mut checker.report);
    let config = checker.file(file);
    let mistakes = checker.report.into_sorted();
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(mistakes)
    }
}

pub(super) struct Checker<'a> {
    pub(super) report: Report,
    resolve: Resolve<'a>,
    cross_shard: CrossShard,
    foreign: Vec<Foreign>,
}

/// A pool and the line of its `listen`.
struct Found {
    pool: Pool,
    listen_line: usize,
}

/// The line of each key that was given.
type Lines = HashMap<&'static str, usize>;

impl Checker<'_> {
    fn file(&mut self, file: file::File) -> Config {
        let features = file.foreign.iter().map(|&(line, what)| Foreign {
            line,
            what: what.to_owned(),
        });
        self.foreign.extend(features);
        let mut found = Vec::new();
        let mut process = None;
        let pairs = match file.root {
            None
            | Some(Node {
                kind: NodeKind::Empty | NodeKind::Refused,
                ..
            }) => Vec::new(),
            Some(Node {
                kind: NodeKind::Map(pairs),
                ..
            }) => pairs,
            Some(node) => {
                self.expected(&node, &Place::File, None, POOLS);
                return Config {
                    pools: Vec::new(),
                    process: self.absent_process(),
                    md5: String::new(),
                    foreign: Vec::new(),
                };
            }
        };
        let last = pairs.len().saturating_sub(1);
        let is_empty = pairs.is_empty();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            // The syntax error may hide the rest of the last pool, and nothing before it.
            let whole = if file.cut && index == last {
                Whole::Cut
            } else {
                Whole::Read
            };
            let line = key.line;
            let NodeKind::Text(name) = key.kind else {
                self.expected(&key, &Place::File, None, "the name of a pool");
                continue;
            };
            if name == PROCESS_SECTION && !is_pool(&value) {
                if let Some(first_line) = process.as_ref().map(|&(line, _)| line) {
                    self.twice(line, &Place::Process, None, "the section", first_line);
                }
                self.foreign.push(Foreign {
                    line,
                    what: format!("the section {PROCESS_SECTION}"),
                });
                process = Some((line, self.process(line, value)));
                continue;
            }
            let place = Place::Pool(name.clone());
            if let Some(&first_line) = names.get(&name) {
                self.twice(line, &place, None, "the pool", first_line);
            } else {
                names.insert(name.clone(), line);
            }
            found.extend(self.pool(name, line, &place, value, whole));
        }
        if is_empty && !file.cut {
            self.report.add(0, &Place::File, None, || Problem::Missing {
                allowed: POOLS.into(),
            });
        }
        self.clashes(&found);
        let mut pools: Vec<Pool> = found.into_iter().map(|found| found.pool).collect();
        pools.sort_by(|left, right| order(&left.name).cmp(&order(&right.name)));
        let process = process.map(|(_, process)| process);
        let process = process.unwrap_or_else(|| self.absent_process());
        let mut foreign = std::mem::take(&mut self.foreign);
        foreign.sort_by_key(|foreign| foreign.line);
        Config {
            pools,
            process,
            md5: String::new(),
            foreign,
        }
    }

    /// What holds without a mapping `nutcrab:`.
    fn absent_process(&mut self) -> Process {
        let kind = NodeKind::Map(Vec::new());
        self.process(0, Node { line: 0, kind })
    }

    /// Reads `nutcrab:`.
    fn process(&mut self, line: usize, value: Node) -> Process {
        let mut draft = ProcessDraft::default();
        self.mapping(
            PROCESS_KEYS,
            &mut draft,
            &Place::Process,
            line,
            value,
            Whole::Read,
        );
        Process {
            workers: NonZeroU32::new(draft.workers),
            gather: Duration::from_micros(draft.gather.into()),
            client_connections: NonZeroU32::new(draft.client_connections),
            client_request_limit: draft.client_request_limit as usize,
            client_output_limit: draft.client_output_limit as usize,
            client_min_rate: draft.client_min_rate.into(),
            incomplete_request_timeout: limited(draft.incomplete_request_timeout),
            unauthenticated_limit: draft.unauthenticated_limit as usize,
            unauthenticated_timeout: limited(draft.unauthenticated_timeout),
            server_queue_limit: draft.server_queue_limit as usize,
            session_connections: draft.session_connections as usize,
            spare_connections: draft.spare_connections as usize,
            large_reply_connections: draft.large_reply_connections as usize,
            subscriber_output_limit: draft.subscriber_output_limit as usize,
            subscriber_output_soft_limit: match draft.subscriber_output_soft_limit {
                0 => usize::MAX,
                limit => limit as usize,
            },
            subscriber_output_soft_time: milliseconds(draft.subscriber_output_soft_time),
            transaction_limit: draft.transaction_limit as usize,
            subscription_limit: draft.subscription_limit as usize,
            memory_limit: (draft.memory_limit > 0).then(|| u64::from(draft.memory_limit) << 20),
        }
    }

    /// Reads one pool. `None`: too much is wrong with it, and that is reported.
    fn pool(
        &mut self,
        name: String,
        line: usize,
        place: &Place,
        value: Node,
        whole: Whole,
    ) -> Option<Found> {
        let mut draft = PoolDraft::default();
        let lines = self.mapping(KEYS, &mut draft, place, line, value, whole)?;
        if let Some(&line) = lines.get("redis_auth")
            && draft.redis_auth.is_some()
            && !draft.redis
            && whole == Whole::Read
        {
            self.report.add(line, place, Some("redis_auth"), || {
                Problem::PasswordWithoutRedis
            });
        }
        if let Some(&line) = lines.get("commands")
            && !draft.redis
            && whole == Whole::Read
        {
            self.report.add(line, place, Some("commands"), || {
                Problem::CommandsWithoutRedis
            });
        }
        if let Some(&line) = lines.get("memcached_auth")
            && let Some(given) = &draft.memcached_auth
            && whole == Whole::Read
        {
            let problem = if draft.redis {
                Some(Problem::UserOnRedis)
            } else if !given.bytes().contains(&b':') {
                Some(Problem::PasswordWithoutUser)
            } else {
                None
            };
            if let Some(problem) = problem {
                self.report
                    .add(line, place, Some("memcached_auth"), || problem);
            }
        }
        let listen_line = lines.get("listen").copied().unwrap_or(line);
        let is_said = lines.contains_key("cross_shard");
        let mut pool = finish(name, draft)?;
        if !is_said && pool.protocol == Protocol::Redis {
            pool.cross_shard = self.cross_shard;
        }
        Some(Found { pool, listen_line })
    }

    /// Reads the mapping of keys that belongs to the name in `own_line` into `draft`, defaults
    /// first. `None`: it is no mapping.
    fn mapping<T>(
        &mut self,
        keys: &'static [Key<T>],
        draft: &mut T,
        place: &Place,
        own_line: usize,
        value: Node,
        whole: Whole,
    ) -> Option<Lines> {
        let NodeKind::Map(pairs) = value.kind else {
            if whole == Whole::Read {
                self.expected(&value, place, None, "indented lines of \"key: value\"");
            }
            return None;
        };
        for key in keys {
            if let Presence::Default(text) = key.presence {
                let node = Node {
                    line: own_line,
                    kind: NodeKind::Text(text.to_owned()),
                };
                self.value(key, draft, place, node);
            }
        }
        let mut lines = Lines::new();
        for (name, value) in pairs {
            let line = name.line;
            let known = match &name.kind {
                NodeKind::Text(name) => keys.iter().find(|key| key.name == name),
                _ => {
                    self.expected(&name, place, None, "a key");
                    continue;
                }
            };
            let Some(key) = known else {
                self.unknown(keys, place, &name);
                continue;
            };
            if let Some(&first_line) = lines.get(key.name) {
                self.twice(line, place, Some(key.name), "the key", first_line);
                continue;
            }
            lines.insert(key.name, line);
            if let Place::Pool(pool) = place
                && !TWEMPROXY.contains(&key.name)
            {
                self.foreign.push(Foreign {
                    line,
                    what: format!("the key {} of pool {pool:?}", key.name),
                });
            }
            self.value(key, draft, place, value);
        }
        if whole == Whole::Read {
            for key in keys.iter().filter(|key| key.presence == Presence::Required) {
                if !lines.contains_key(key.name) {
                    self.report
                        .add(own_line, place, Some(key.name), || Problem::Missing {
                            allowed: key.allowed(),
                        });
                }
            }
        }
        Some(lines)
    }

    /// Reads the value of one key.
    fn value<T>(&mut self, key: &Key<T>, draft: &mut T, place: &Place, node: Node) {
        if let Form::Servers(field) = &key.form {
            *field(draft) = self.servers(key.name, place, node);
            return;
        }
        if let Form::Commands(field) = &key.form {
            *field(draft) = self.commands(key.name, place, node);
            return;
        }
        let NodeKind::Text(text) = &node.kind else {
            self.expected(&node, place, Some(key.name), &key.allowed());
            return;
        };
        let outcome = match &key.form {
            Form::Flag(field) => put(
                field(draft),
                FLAGS.iter().find(|flag| flag.0 == text).map(|flag| flag.1),
            ),
            Form::Number {
                min, max, field, ..
            } => put(
                field(draft),
                address::number(text).filter(|n| (min..=max).contains(&n)),
            ),
            Form::Name { names, field } => {
                put(field(draft), names.iter().position(|name| name == text))
            }
            Form::TwoBytes(field) => put(field(draft), text.as_bytes().try_into().ok().map(Some)),
            Form::Secret(field) => put(field(draft), Some(Some(Password::new(text.as_bytes())))),
            Form::Listen(field) => match address::listen(text, self.resolve) {
                Ok(listen) => put(field(draft), Some(Some(listen))),
                Err(reason) => Err(reason),
            },
            Form::Servers(_) | Form::Commands(_) => Ok(()),
        };
        if let Err(reason) = outcome {
            self.report
                .add(node.line, place, Some(key.name), || Problem::Expected {
                    allowed: key.allowed(),
                    got: quoted(text),
                    reason: match &key.form {
                        Form::Name { names, .. } => meant(text, names),
                        _ => reason,
                    },
                });
        }
    }

    fn servers(&mut self, key: &'static str, place: &Place, node: Node) -> Vec<Server> {
        let items = match node.kind {
            NodeKind::List(items) if !items.is_empty() => items,
            _ => {
                self.expected(
                    &node,
                    place,
                    Some(key),
                    &format!("a list of {SERVER_FORMS}"),
                );
                return Vec::new();
            }
        };
        if items.len() > SERVERS_MAX {
            self.report.add(node.line, place, Some(key), || {
                Problem::TooManyServers(SERVERS_MAX)
            });
            return Vec::new();
        }
        let mut servers: Vec<Server> = Vec::with_capacity(items.len());
        let mut names: HashMap<String, usize> = HashMap::with_capacity(items.len());
        for item in items {
            let line = item.line;
            let NodeKind::Text(text) = &item.kind else {
                self.expected(&item, place, Some(key), SERVER_FORMS);
                continue;
            };
            match address::server(text) {
                Err(reason) => {
                    self.report
                        .add(line, place, Some(key), || Problem::Expected {
                            allowed: SERVER_FORMS.to_owned(),
                            got: quoted(text),
                            reason,
                        });
                }
                Ok(server) => match names.get(&server.name) {
                    Some(&first_line) => {
                        self.report
                            .add(line, place, Some(key), || Problem::SameServerName {
                                name: quoted(&server.name),
                                first_line,
                            });
                    }
                    None => {
                        names.insert(server.name.clone(), line);
                        servers.push(server);
                    }
                },
            }
        }
        servers.sort_by(|left, right| order(&left.name).cmp(&order(&right.name)));
        servers
    }

    /// Looks for two pools at one address. As twemproxy does, it compares what is written.
    fn clashes(&mut self, found: &[Found]) {
        let mut taken: HashMap<&str, &Pool> = HashMap::new();
        for Found {
            pool, listen_line, ..
        } in found
        {
            let text = pool.listen.text();
            match taken.get(text) {
                // Two pools of one name are reported as such.
                Some(other) if other.name == pool.name => {}
                Some(other) => {
                    let place = Place::Pool(pool.name.clone());
                    self.report.add(*listen_line, &place, Some("listen"), || {
                        Problem::SameListen {
                            text: quoted(text),
                            pool: other.name.clone(),
                        }
                    });
                }
                None => {
                    taken.insert(text, pool);
                }
            }
        }
    }

    pub(super) fn expected(
        &mut self,
        node: &Node,
        place: &Place,
        key: Option<&'static str>,
        allowed: &str,
    ) {
        let structured = match &node.kind {
            NodeKind::Map(_) => true,
            NodeKind::List(items) => !items.is_empty(),
            _ => false,
        };
        let got = match &node.kind {
            NodeKind::Text(text) => quoted(text),
            NodeKind::Empty => "nothing".to_owned(),
            NodeKind::List(items) if items.is_empty() => "an empty list".to_owned(),
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
            NodeKind::Refused => return,
        };
        self.report
            .add(node.line, place, key, || Problem::Expected {
                allowed: allowed.to_owned(),
                got,
                reason: if structured && key.is_some() {
                    QUOTING.to_owned()
                } else {
                    String::new()
                },
            });
    }

    fn unknown<T>(&mut self, keys: &[Key<T>], place: &Place, name: &Node) {
        let NodeKind::Text(text) = &name.kind else {
            return;
        };
        self.report.add(name.line, place, None, || {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            Problem::UnknownKey {
                name: quoted(text),
                hint: match (nearest(text, &known), place) {
                    (Some(near), _) => format!("did you mean {near:?}?"),
                    (None, Place::Process) => format!(
                        "expected {}; a pool of this name needs \"listen\" or \"servers\"",
                        known.join(", ")
                    ),
                    (None, _) => format!("expected one of {}", known.join(", ")),
                },
            }
        });
    }

    pub(super) fn twice(
        &mut self,
        line: usize,
        place: &Place,
        key: Option<&'static str>,
        what: &'static str,
        first_line: usize,
    ) {
        self.report
            .add(line, place, key, || Problem::Twice { what, first_line });
    }
}

/// Whether a part of the file is known to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Read,
    /// A syntax error follows: what seems to be missing may stand behind it.
    Cut,
}

const POOLS: &str = "pools, each as \"name:\" and indented lines of \"key: value\"";

/// What most often makes a mapping or list of what was meant as text.
const QUOTING: &str = r#"text with braces, brackets or ": " in it must be quoted"#;

/// Exactly these; `yes`, `on`, `1` and `True` are refused.
const FLAGS: [(&str, bool); 2] = [("true", true), ("false", false)];

/// Whether a mapping named `nutcrab` is a pool: twemproxy accepts a pool of any name, and these
/// two keys no pool can lack.
fn is_pool(value: &Node) -> bool {
    let NodeKind::Map(pairs) = &value.kind else {
        return false;
    };
    pairs.iter().any(|(key, _)| match &key.kind {
        NodeKind::Text(name) => name == "listen" || name == "servers",
        _ => false,
    })
}

/// The order of servers and pools: shorter names first, then by bytes. Indices follow it.
fn order(name: &str) -> (usize, &[u8]) {
    (name.len(), name.as_bytes())
}

/// Stores a value that was understood; the error is an empty reason.
fn put<V>(field: &mut V, value: Option<V>) -> Result<(), String> {
    *field = value.ok_or_else(String::new)?;
    Ok(())
}

pub(super) fn meant(text: &str, names: &[&str]) -> String {
    nearest(text, names).map_or_else(String::new, |near| format!("did you mean {near:?}?"))
}

/// A draft in real types. `None`: something required is missing or was refused.
fn finish(name: String, draft: PoolDraft) -> Option<Pool> {
    let protocol = if draft.redis {
        Protocol::Redis
    } else {
        Protocol::Memcache
    };
    let limits = limits(protocol, &draft);
    Some(Pool {
        name,
        listen: draft.listen?,
        protocol,
        hash: Hash::ALL[draft.hash].1,
        hash_tag: draft.hash_tag,
        distribution: Distribution::ALL[draft.distribution].1,
        timeout: (draft.timeout > 0).then(|| milliseconds(draft.timeout)),
        backlog: draft.backlog,
        client_connections: NonZeroU32::new(draft.client_connections),
        tcpkeepalive: draft.tcpkeepalive,
        reuseport: draft.reuseport,
        redis_auth: draft.redis_auth,
        memcached_auth: draft.memcached_auth,
        redis_db: draft.redis_db,
        preconnect: draft.preconnect,
        auto_eject_hosts: draft.auto_eject_hosts,
        server_connections: NonZeroU32::new(draft.server_connections)?,
        server_retry_timeout: milliseconds(draft.server_retry_timeout),
        // Compat: 0 ejects at the first failure, as 1 does. Test: every_key_is_read.
        server_failure_limit: NonZeroU32::new(draft.server_failure_limit)
            .unwrap_or(NonZeroU32::MIN),
        cross_shard: CROSS_SHARDS[draft.cross_shard].1,
        commands: Policy {
            several: draft.servers.len() > 1,
            ..draft.commands
        },
        connect_timeout: milliseconds(draft.connect_timeout),
        flush_all: draft.flush_all,
        failed_get: FAILED_GETS[draft.failed_get].1,
        client_connections_per_address: NonZeroU32::new(draft.client_connections_per_address),
        limits,
        servers: draft.servers,
    })
}

/// So many milliseconds; without end if there are none.
fn limited(count: u32) -> Option<Duration> {
    (count > 0).then(|| milliseconds(count))
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

/// What the requests of a pool may be: what was written, as far as its servers take as much.
fn limits(protocol: Protocol, draft: &PoolDraft) -> Limits {
    let most = *protocol.limits();
    // 0 stands for a key that is absent where its default depends on the protocol.
    let or = |written: u32, most: usize| match written {
        0 => most,
        written => written as usize,
    };
    Limits {
        key: match protocol {
            Protocol::Redis => or(draft.key_limit, most.key),
            Protocol::Memcache | Protocol::Binary => or(draft.key_limit, most.key).min(most.key),
        },
        bulk: match draft.value_limit {
            0 => most.bulk,
            written => u64::from(written).min(most.bulk),
        },
        args: match protocol {
            Protocol::Redis => draft.argument_limit,
            Protocol::Memcache | Protocol::Binary => most.args,
        },
        request: or(draft.request_limit, most.request),
        inline: match protocol {
            Protocol::Redis => draft.inline_limit as usize,
            Protocol::Memcache | Protocol::Binary => most.inline,
        },
        local: match protocol {
            Protocol::Redis => draft.local_request_limit as usize,
            Protocol::Memcache | Protocol::Binary => most.local,
        },
        ..most
    }
}
