//! What a model server remembers of a connection: a transaction, watched keys, a command that waits.

use std::collections::BTreeMap;

use crate::agenda::Micros;
use crate::busy;
use crate::redis::{self, Version};

/// See the top of the file.
#[derive(Debug, Default)]
pub struct Held {
    /// What was queued, if a transaction was begun.
    queue: Option<Vec<Vec<Vec<u8>>>>,
    /// Whether something was not queued.
    broken: bool,
    /// Watched keys, each as it was.
    watched: Vec<(Vec<u8>, u64)>,
    /// What it listens to.
    subscribed: std::collections::BTreeSet<(Kind, Vec<u8>)>,
    /// Whether the last command was one that takes the connection to the present.
    marked: bool,
    /// Whether MULTI was ever taken, and whether it was refused since.
    pub took_multi: bool,
    refused: bool,
    /// The command that waits, and until when.
    pub waiting: Option<(Micros, Vec<Vec<u8>>)>,
}

/// What can be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Channel,
    Pattern,
    Shard,
}

/// How often each key was changed.
pub type Changes = BTreeMap<Vec<u8>, u64>;

/// What is to be done with a command.
#[derive(Debug)]
pub enum Step {
    /// Execute it.
    Execute,
    /// Give this reply.
    Reply(&'static [u8]),
    /// Give this one.
    Say(Vec<u8>),
    /// Tell this to all who listen to this channel.
    Publish,
    /// Execute all of these.
    All(Vec<Vec<Vec<u8>>>),
    /// Execute it later.
    Wait,
    /// The proxy must never have sent it.
    Wrong(&'static str),
}

impl Held {
    /// A command came; `loads` if the server is loading, `refuses` if it knows no MULTI.
    pub fn hear(
        &mut self,
        args: &[Vec<u8>],
        version: Version,
        changes: &Changes,
        loads: bool,
        refuses: bool,
    ) -> Step {
        const NO_MULTI: Step =
            Step::Reply(b"-NOPERM this user has no permissions to run the 'multi' command\r\n");
        const LOADING: Step = Step::Reply(b"-LOADING Redis is loading the dataset in memory\r\n");
        let name = args.first().map(|name| name.to_ascii_uppercase());
        let was_marked = std::mem::replace(&mut self.marked, is_mark(args));
        match name.as_deref() {
            Some(b"WAIT" | b"WAITAOF") if !was_marked => {
                Step::Wrong("a WAIT for nobody knows what")
            }
            Some(b"MULTI") if self.queue.is_some() => Step::Wrong("a MULTI within a transaction"),
            Some(b"MULTI") if refuses => {
                self.refused = true;
                NO_MULTI
            }
            Some(b"EXEC") if std::mem::take(&mut self.refused) => {
                Step::Reply(b"-ERR EXEC without MULTI\r\n")
            }
            Some(b"MULTI") => {
                self.took_multi = true;
                self.queue = Some(Vec::new());
                self.broken = false;
                Step::Reply(b"+OK\r\n")
            }
            Some(b"EXEC") => self.exec(version, changes),
            Some(b"DISCARD") => Step::Wrong("a DISCARD"),
            Some(b"WATCH" | b"UNWATCH") if self.queue.is_some() => {
                Step::Wrong("a WATCH or UNWATCH within a transaction")
            }
            Some(b"UNWATCH") => {
                self.watched.clear();
                Step::Reply(b"+OK\r\n")
            }
            Some(
                name @ (b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE"
                | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE"),
            ) => self.subscribe(&name.to_ascii_lowercase(), args),
            _ if loads => {
                self.broken = true;
                LOADING
            }
            Some(b"WATCH") => {
                let now = |key: &Vec<u8>| changes.get(key).copied().unwrap_or(0);
                let keys = args[1..].iter().map(|key| (key.clone(), now(key)));
                self.watched.extend(keys);
                Step::Reply(b"+OK\r\n")
            }
            Some(name) => match &mut self.queue {
                Some(queue) => {
                    queue.push(args.to_vec());
                    Step::Reply(b"+QUEUED\r\n")
                }
                None if [&b"BLPOP"[..], b"XREAD", b"WAIT", b"WAITAOF"].contains(&name) => {
                    Step::Wait
                }
                None if publishes(args) => Step::Publish,
                None => Step::Execute,
            },
            None => Step::Execute,
        }
    }

    /// A server that is busy came to a command: its reply if it does not do it then.
    pub fn refuse(&mut self, args: &[Vec<u8>], why: &str) -> Option<Vec<u8>> {
        let name = args[0].to_ascii_uppercase();
        match name.as_slice() {
            b"MULTI" | b"DISCARD" | b"WATCH" | b"UNWATCH" => return None,
            b"EXEC" => {
                *self = Self {
                    subscribed: std::mem::take(&mut self.subscribed),
                    took_multi: self.took_multi,
                    ..Self::default()
                }
            }
            _ => self.broken = true,
        }
        self.marked = is_mark(args);
        Some(busy::refused(name == b"EXEC", why))
    }

    fn subscribe(&mut self, command: &[u8], args: &[Vec<u8>]) -> Step {
        let [_, name] = args else {
            return Step::Wrong("a subscription to several channels, or none");
        };
        let kind = match command {
            [b'p', ..] => Kind::Pattern,
            [b's', b's', ..] | [b's', b'u', b'n', ..] => Kind::Shard,
            _ => Kind::Channel,
        };
        let topic = (kind, name.clone());
        if command.ends_with(b"unsubscribe") {
            self.subscribed.remove(&topic);
        } else {
            self.subscribed.insert(topic);
        }
        let mut reply = b"*3\r\n".to_vec();
        reply.extend(redis::echo_bulk(command));
        reply.extend(redis::echo_bulk(name));
        reply.extend(format!(":{}\r\n", self.subscribed.len()).into_bytes());
        Step::Say(reply)
    }

    /// What somebody who listens here is told, and how many messages that is.
    pub fn tell(&self, kind: Kind, channel: &[u8], text: &[u8]) -> (usize, Vec<u8>) {
        let mut messages = (0, Vec::new());
        for (known, name) in &self.subscribed {
            let fits = match known {
                Kind::Pattern => {
                    kind == Kind::Channel && channel.starts_with(&name[..name.len() - 1])
                }
                _ => *known == kind && channel == name,
            };
            if !fits {
                continue;
            }
            messages.0 += 1;
            let words: &[&[u8]] = match known {
                Kind::Pattern => &[b"pmessage", name, channel, text],
                Kind::Channel => &[b"message", name, text],
                Kind::Shard => &[b"smessage", name, text],
            };
            messages.1.extend(redis::request(words));
        }
        messages
    }

    fn exec(&mut self, version: Version, changes: &Changes) -> Step {
        let Some(queue) = self.queue.take() else {
            return Step::Wrong("an EXEC without MULTI");
        };
        let watched = std::mem::take(&mut self.watched);
        if std::mem::take(&mut self.broken) {
            return Step::Reply(
                b"-EXECABORT Transaction discarded because of previous errors.\r\n",
            );
        }
        let is_changed =
            |(key, then): &(Vec<u8>, u64)| changes.get(key).copied().unwrap_or(0) != *then;
        if watched.iter().any(is_changed) {
            return Step::Reply(version.nothing(b"*-1\r\n"));
        }
        Step::All(queue)
    }

    /// Whether the connection is as it was at first.
    pub fn is_nothing(&self) -> bool {
        self.queue.is_none() && self.watched.is_empty() && self.waiting.is_none()
    }
}

/// Whether a command publishes something.
pub fn publishes(args: &[Vec<u8>]) -> bool {
    let names: [&[u8]; 2] = [b"PUBLISH", b"SPUBLISH"];
    names.iter().any(|name| args[0].eq_ignore_ascii_case(name))
}

/// Whether a part of a transaction stands for something that is published on another server.
pub fn is_in_place(args: &[Vec<u8>]) -> bool {
    args.len() == 2 && args[0] == b"EXISTS" && args[1].ends_with(b":nutcrab:published")
}

/// Whether a command is what the proxy says before WAIT.
fn is_mark(args: &[Vec<u8>]) -> bool {
    args.len() == 3 && args[0] == b"SPUBLISH" && args[1] == b"nutcrab:wait"
}

/// How long a command waits: the digits behind the point are milliseconds, and so is the last argument
/// of WAIT.
pub fn span(args: &[Vec<u8>]) -> Micros {
    let digits = match args.last() {
        Some(last) if args[0][..4].eq_ignore_ascii_case(b"WAIT") => Some(last.as_slice()),
        _ => args.iter().find_map(|arg| arg.strip_prefix(b"0.")),
    };
    let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    text.and_then(|text| text.parse::<Micros>().ok())
        .unwrap_or(0)
        * 1000
}

/// Counts a command's changes.
pub fn count_changes(args: &[Vec<u8>], changes: &mut Changes) {
    let name = args.first().map(|name| name.to_ascii_uppercase());
    let step = match name.as_deref() {
        Some(b"MSET" | b"SET") => 2,
        Some(b"DEL" | b"UNLINK" | b"INCR") => 1,
        _ => return,
    };
    for key in args[1..].iter().step_by(step) {
        *changes.entry(key.clone()).or_default() += 1;
    }
}
