//! `docs/commands.md`, printed from the table.

use nutcrab::protocol::redis::commands::{Arity, Blocking, Danger, Keys, Row, Rule, Verb, known};
use nutcrab::protocol::{Fan, Merge, Partial, Reach};

/// What stands above the table.
const HEAD: &str = "\
# Commands

Every Redis command nutcrab knows: those of Redis 7.2 and Valkey 9. This page is printed from the table
the proxy works by (`make pages`), and a test holds it and the table against what
real servers say of themselves.

- **args**: how many arguments, the name (and that of the sub-command) counted.
- **keys**: where they stand; the name is position 0.
- **what is done**, and what becomes of several replies. Where one server's error or failure is the
  reply for all, some servers may have done what they were told.
- **guarded** commands are refused in every pool unless the pool's `commands: allow` names them: they
  end a server, change what it is, or replace what all of its users share (`SHUTDOWN`, `REPLICAOF`,
  `CONFIG SET`, `MODULE LOAD`, `DEBUG`, `FUNCTION FLUSH`, `ACL SETUSER` ...). twemproxy passes none of
  them on.
- **dangerous** commands are refused in a pool of several servers unless the pool allows them. A pool
  of one server passes them on.
- Neither is Redis' category `@dangerous`, which is about its own users.

A command whose keys live on several servers and that cannot be split is answered with
`-CROSSSLOT Keys in request don't hash to the same shard`; nothing is sent.
With `cross_shard: first_key`, the default under the name `nutcracker`, it goes to the server of its first
key. A hash tag (`hash_tag`) keeps keys together. Patterns of `SORT` count as keys: the tag must stand before
their star.

A command that is not on this page is looked up once: a server is asked with `COMMAND INFO` where its
keys stand, so that commands of modules and of newer servers work. If it names no keys, or its keys
cannot be told, only a pool of one server serves it.

What a pool serves can be chosen:

```yaml
alpha:
  listen: 127.0.0.1:22121
  redis: true
  servers:
    - 127.0.0.1:6379:1
    - 127.0.0.1:6380:1
  commands:
    allow: [flushall, config|set]
    deny: [debug, keys]
    unknown: refuse
```

`allow` serves guarded and dangerous commands, `deny` refuses any, and goes before `allow`; a name without its
sub-command means all of them. `unknown: refuse` serves nothing that is not on this page. A filter of
names cannot look into scripts: what they may do, the server's own access rules must say.

`SCAN` goes through the servers one after the other: its cursor is the server's own, times the number of
servers, plus the place of the server. Each key that is there all the while is returned at least once;
an ejected server is passed over, as its keys are.

Scripts: `SCRIPT LOAD` goes to every live server and is remembered (each worker: scripts up to 64 KiB,
1 MiB for a pool). A server that answers `-NOSCRIPT` to `EVALSHA` is given the script again and asked
again, unless the client has asked something behind it already. Scripts without keys run on one server,
always the same; in a transaction that has keys, on theirs.

`WAIT` and `WAITAOF` go to each server the client has sent requests to (to all live ones if it has sent
none), once all of these are answered. A server is asked `INFO server`, told `SPUBLISH nutcrab:wait` with
an empty message, which takes the connection to the present end of its stream to the replicas, and then
sent the command: so it waits for all that anybody wrote up to then, and never counts a replica that has
less. The reply is the smallest number. If a server fails, or answers with an error, that is the reply,
and the others wait no longer. Where `INFO` or (from Redis 7.2 on) `SPUBLISH` is not allowed, or a server
is in cluster mode, the reply is an error: what its number would count is not known.

| command | args | keys | what is done |
| --- | --- | --- | --- |
";

/// The page.
pub fn page() -> String {
    let mut rows: Vec<&Row> = known().collect();
    rows.sort_by_key(|row| row.name);
    let mut page = HEAD.to_owned();
    for row in rows {
        let name = row.name.replace('|', " ");
        let (args, keys, rule) = (args(row.arity), keys(row.keys), rule(row));
        page += &format!("| `{name}` | {args} | {keys} | {rule} |\n");
    }
    page
}

fn args(arity: Arity) -> String {
    match arity {
        Arity::Exactly(count) => format!("{count}"),
        Arity::AtLeast(count) => format!("{count} or more"),
        Arity::Between(least, most) => format!("{least} to {most}"),
        Arity::Pairs => "3, 5, 7 ...".to_owned(),
    }
}

fn keys(keys: Keys) -> String {
    match keys {
        Keys::None => "none".to_owned(),
        Keys::First => "1".to_owned(),
        Keys::FirstTwo => "1 and 2".to_owned(),
        Keys::All => "all from 1".to_owned(),
        Keys::EverySecond => "1, 3, 5 ...".to_owned(),
        Keys::Range { first, last } if i16::from(first) == i16::from(last) => format!("{first}"),
        Keys::Range { first, last: -1 } => format!("all from {first}"),
        Keys::Range { first, last } if last < 0 => {
            format!("all from {first} but the last {}", -1 - i16::from(last))
        }
        Keys::Range { first, last } => format!("{first} to {last}"),
        Keys::Counted {
            count,
            target,
            step,
        } => {
            let also = if target { "1, and " } else { "" };
            let step = if step > 1 { ", with values" } else { "" };
            format!("{also}as many as {count} says{step}")
        }
        Keys::Script => "as many as 2 says".to_owned(),
        Keys::Keyword { words, .. } => format!("1, and behind {}", words.join(", ")),
        Keys::Streams => "half of those behind STREAMS".to_owned(),
        Keys::Sort => "1, and behind STORE, BY, GET".to_owned(),
        Keys::Migrate => "3, or behind KEYS".to_owned(),
        Keys::Learned(_) => "as the server says".to_owned(),
    }
}

fn rule(row: &Row) -> String {
    let text = match row.rule {
        Rule::Forward if matches!(row.keys, Keys::First) => "to the server of its key".to_owned(),
        Rule::Forward => "to the server of its keys".to_owned(),
        Rule::Digest => "to the server of its keys; a script it lost is loaded again".to_owned(),
        Rule::Split(merge) => format!("split by key; {}", merged(merge)),
        Rule::Everywhere(fan) => everywhere(fan),
        Rule::Keyless => "to any server".to_owned(),
        Rule::OneServer => "only in pools of one server: each has an answer of its own".to_owned(),
        Rule::OneServerBusy => {
            "only in pools of one server: each has an answer of its own; past all requests \
             before it"
                .to_owned()
        }
        Rule::Scan => "to one server after the other".to_owned(),
        Rule::Container => "see its sub-commands".to_owned(),
        Rule::Blocking(Blocking::Always) => {
            "to the server of its keys, over a connection of its own".to_owned()
        }
        Rule::Blocking(Blocking::IfSaid) => {
            "to the server of its keys; with BLOCK over a connection of its own".to_owned()
        }
        Rule::Fixed(text) => format!("answered with `-ERR {text}`"),
        Rule::Never(why) => format!("not served: {why}"),
        Rule::Denied(denial) => denial.text().to_owned(),
        Rule::Local(Verb::Wait) => format!(
            "to each server the client has sent requests to, behind a mark, over connections of its \
             own; {}; one's error is the reply",
            merged(Merge::Waited)
        ),
        Rule::Local(Verb::Config) => format!(
            "what the proxy decides is answered by it; the rest to each live server; {}; one's error is \
             the reply",
            merged(Merge::Settings)
        ),
        Rule::Local(_) => "answered by the proxy".to_owned(),
    };
    match row.danger {
        Danger::None => text,
        Danger::Refused => format!("**dangerous**; {text}"),
        Danger::Guarded => format!("**guarded**; {text}"),
    }
}

fn everywhere(fan: Fan) -> String {
    let reach = match fan.reach {
        Reach::Live => "to each live server",
        Reach::All => "to every server, ejected or not",
        Reach::Busy => "to every server, ejected or not, past all requests before it",
    };
    let partial = match fan.partial {
        Partial::Fail => "one's error is the reply",
        Partial::LeaveOut => "those that fail are left out",
    };
    format!("{reach}; {}; {partial}", merged(fan.merge))
}

fn merged(merge: Merge) -> &'static str {
    match merge {
        Merge::Array => "the values in the order of the keys",
        Merge::Sum => "the numbers are added",
        Merge::Status => "`+OK` when all say so",
        Merge::Forget => "`+OK` when all say so; remembered scripts are forgotten",
        Merge::Concat => "the arrays one behind the other",
        Merge::First => "the first server's reply",
        Merge::Script => "the first server's reply; the script is remembered",
        Merge::Any => "one that is not null, of a server drawn by lot",
        Merge::Least => "the smallest number",
        Merge::Most => "the largest number",
        Merge::LeastEach => "the smallest number at each place",
        Merge::Settings => "what is the same on all",
        Merge::Waited => "the smallest number, of WAITAOF at each place",
        Merge::SumPairs => "the numbers are added, name by name",
        Merge::Values | Merge::Stats | Merge::Packets | Merge::Scan(_) => "the values",
    }
}
