//! From the file as written to a `Config`, or to every mistake at once.
//!
//! Reading goes on after a mistake, so that one run of `-t` tells all. What is wrong in itself is
//! found key by key from the table in `keys`; what only clashes with something else (names,
//! addresses, a password without Redis) is looked at when a pool, then all pools, are read.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::address::{self, Resolve, SERVER_FORMS};
use super::clash::CLASHES;
use super::file::{self, Node, NodeKind};
use super::foreign::TWEMPROXY;
use super::keys::{Form, KEYS, Key, Presence};
use super::mistake::{Mistake, Place, Problem, Report, nearest, quoted};
use super::process::{PROCESS_KEYS, PROCESS_SECTION};
use super::{Config, CrossShard, Foreign, Password, Pool, Process, Server};
use crate::protocol::{Limits, Protocol};

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
        let (found, process) = self.sections(file.root, file.cut);
        self.clashes(&found);
        let mut pools: Vec<Pool> = found.into_iter().map(|found| found.pool).collect();
        pools.sort_by(|left, right| order(&left.name).cmp(&order(&right.name)));
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

    /// Reads what a file consists of: pools, and the process-wide settings if it has any.
    fn sections(&mut self, root: Option<Node>, cut: bool) -> (Vec<Found>, Option<Process>) {
        let pairs = match root.map(|root| (root.line, root.kind)) {
            None | Some((_, NodeKind::Empty | NodeKind::Refused)) => Vec::new(),
            Some((_, NodeKind::Map(pairs))) => pairs,
            Some((line, kind)) => {
                self.expected(&Node { line, kind }, &Place::File, None, POOLS);
                return (Vec::new(), None);
            }
        };
        if pairs.is_empty() && !cut {
            self.report.add(0, &Place::File, None, || Problem::Missing {
                allowed: POOLS.into(),
            });
        }
        let last = pairs.len().saturating_sub(1);
        let mut found = Vec::new();
        let mut process = None;
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            // The syntax error may hide the rest of the last pool, and nothing before it.
            let whole = match cut && index == last {
                true => Whole::Cut,
                false => Whole::Read,
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
        (found, process.map(|(_, process)| process))
    }

    /// What holds without a mapping `nutcrab:`.
    fn absent_process(&mut self) -> Process {
        let kind = NodeKind::Map(Vec::new());
        self.process(0, Node { line: 0, kind })
    }

    /// Reads `nutcrab:`.
    fn process(&mut self, line: usize, value: Node) -> Process {
        let mut process = Process::default();
        let place = Place::Process;
        self.mapping(PROCESS_KEYS, &mut process, &place, line, value, Whole::Read);
        process
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
        let mut pool = Pool {
            name,
            ..Pool::initial()
        };
        let lines = self.mapping(KEYS, &mut pool, place, line, value, whole)?;
        for clash in CLASHES.iter().filter(|_| whole == Whole::Read) {
            if let Some(&line) = lines.get(clash.key)
                && (clash.is_in)(&pool)
            {
                let problem = || clash.problem.clone();
                self.report.add(line, place, Some(clash.key), problem);
            }
        }
        let listen_line = lines.get("listen").copied().unwrap_or(line);
        if !lines.contains_key("cross_shard") && pool.protocol == Protocol::Redis {
            pool.cross_shard = self.cross_shard;
        }
        pool.commands.several = pool.servers.len() > 1;
        pool.limits = limits(pool.protocol, pool.limits);
        Some(Found { pool, listen_line })
    }

    /// Reads the mapping of keys that belongs to the name in `own_line` into `values`, defaults
    /// first. `None`: it is no mapping.
    fn mapping<T>(
        &mut self,
        keys: &'static [Key<T>],
        values: &mut T,
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
                self.value(key, values, place, node);
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
            self.value(key, values, place, value);
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
    fn value<T>(&mut self, key: &Key<T>, values: &mut T, place: &Place, node: Node) {
        match &key.form {
            Form::Servers(set) => return set(values, self.servers(key.name, place, node)),
            Form::Commands(set) => return set(values, self.commands(key.name, place, node)),
            _ => {}
        }
        let NodeKind::Text(text) = &node.kind else {
            self.expected(&node, place, Some(key.name), &key.allowed());
            return;
        };
        if let Err(reason) = put(&key.form, values, text, self.resolve) {
            self.report
                .add(node.line, place, Some(key.name), || Problem::Expected {
                    allowed: key.allowed(),
                    got: quoted(text),
                    reason,
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
            if text.is_empty() {
                continue;
            }
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

/// Puts a value that is understood in its place; the error is why it is not, and may be empty.
fn put<T>(form: &Form<T>, values: &mut T, text: &str, resolve: Resolve<'_>) -> Result<(), String> {
    let number = |range: &RangeInclusive<u32>| {
        let number = address::number(text).filter(|number| range.contains(number));
        number.ok_or_else(String::new)
    };
    match form {
        Form::Flag(set) => {
            let known = FLAGS.iter().find(|flag| flag.0 == text);
            set(values, known.ok_or_else(String::new)?.1);
        }
        Form::Number { range, set, .. } => set(values, number(range)?),
        Form::Time { range, of, set, .. } => set(values, of(number(range)?.into())),
        Form::Name { names, set } => {
            if !set(values, text) {
                return Err(meant(text, &names()));
            }
        }
        Form::TwoBytes(set) => set(
            values,
            text.as_bytes().try_into().map_err(|_| String::new())?,
        ),
        Form::Secret(set) => set(values, Password::new(text.as_bytes())),
        Form::Listen(set) => set(values, address::listen(text, resolve)?),
        // They are no text.
        Form::Servers(_) | Form::Commands(_) => {}
    }
    Ok(())
}

pub(super) fn meant(text: &str, names: &[&str]) -> String {
    nearest(text, names).map_or_else(String::new, |near| format!("did you mean {near:?}?"))
}

/// What the requests of a pool may be: what was written, as far as its servers take as much.
fn limits(protocol: Protocol, written: Limits) -> Limits {
    let most = *protocol.limits();
    let fitted = Limits {
        key: said(written.key).unwrap_or(most.key).min(most.key),
        bulk: said(written.bulk).unwrap_or(most.bulk).min(most.bulk),
        request: said(written.request).unwrap_or(most.request),
        ..most
    };
    match protocol {
        Protocol::Redis => Limits {
            args: written.args,
            inline: written.inline,
            local: written.local,
            ..fitted
        },
        Protocol::Memcache | Protocol::Binary => fitted,
    }
}

/// A limit, if there was a word about it.
fn said<N: Default + PartialEq>(limit: N) -> Option<N> {
    Some(limit).filter(|limit| *limit != N::default())
}
