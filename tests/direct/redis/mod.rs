//! Redis and Valkey through nutcrab held against the servers themselves: the same bytes are sent to a
//! server directly, to a pool of one server and to a pool of four, in RESP2 and in RESP3, and the
//! replies must be equal byte for byte.
//!
//! What may be left out of the comparison has a name in `rules.rs`, and what differs on purpose one in
//! the table of docs/compatibility.md; a case names both. A difference that no case shows, or that a
//! case names and does not show, is a failure; so is a row of the command table that no case sends.

mod case;
mod collections;
mod keys;
mod rules;
mod server;
mod sessions;
mod value;

use std::collections::BTreeSet;

use crate::support::*;
use case::Case;
use nutcrab::protocol::redis::commands::{Rule, Table};
use nutcrab::protocol::{BadReply, Reach};

/// The differences, as the table of docs/compatibility.md has them, and what nutcrab says in each reply
/// that shows one: one of these texts.
const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "auth-words",
        &["-ERR Client sent AUTH, but no password is set"],
    ),
    (
        "client-caching",
        &["-ERR client side caching is not supported by nutcrab"],
    ),
    ("client-kill", &["-ERR client-id should be greater than 0"]),
    ("client-list", &["resp lib-name lib-ver"]),
    (
        "client-pause",
        &[
            "-ERR unknown subcommand 'PAUSE'",
            "-ERR unknown subcommand 'UNPAUSE'",
        ],
    ),
    (
        "command-getkeys",
        &[
            "-ERR The command has no key arguments",
            "-ERR Invalid number",
        ],
    ),
    (
        "command-info",
        &["$get", "$See docs/commands.md of nutcrab."],
    ),
    (
        "command-parts",
        &[
            "-ERR unknown subcommand 'GETKEYSANDFLAGS'",
            "-ERR syntax error",
        ],
    ),
    ("config-get", &["*", "%"]),
    (
        "dangerous",
        &["is refused in a pool of several servers unless its configuration allows it"],
    ),
    (
        "guarded",
        &["is a guarded command: 'commands: allow' of this pool opens it"],
    ),
    ("hello-modules", &["$modules *]"]),
    (
        "in-transaction",
        &[
            "-ERR this command cannot be part of a transaction",
            "-EXECABORT Transaction discarded because of previous errors.",
            "-ERR This instance has cluster support disabled",
            "-ERR wrong number of arguments for",
        ],
    ),
    (
        "local-help",
        &[
            "Assign the name <name> to the current connection.",
            "Return where each is documented.",
        ],
    ),
    (
        "local-length",
        &["-ERR the request is longer than local_request_limit"],
    ),
    (
        "nested-multi",
        &[
            "-ERR MULTI calls can not be nested",
            "-ERR WATCH inside MULTI is not allowed",
            "-ERR Command not allowed inside a transaction",
        ],
    ),
    (
        "newer-client",
        &[
            "+OK",
            "-ERR wrong number of arguments for 'client|",
            "-ERR Unrecognized option",
            "-ERR syntax error",
            "cannot contain spaces",
        ],
    ),
    (
        "newer-commands",
        &["-ERR wrong number of arguments for", "-ERR unknown sub"],
    ),
    (
        "no-cluster",
        &["-ERR This instance has cluster support disabled"],
    ),
    ("no-touch", &["-ERR CLIENT NO-TOUCH ON is not supported"]),
    ("not-served", &["is not supported"]),
    ("scan-cursor", &["*[$"]),
    (
        "several-servers",
        &["has no one answer in a pool of several servers"],
    ),
    ("unknown-command", &["-ERR unknown command '"]),
    (
        "while-listening",
        &["-ERR Can't execute 'client'", "-ERR Can't execute 'exec'"],
    ),
    (
        "while-watching",
        &["-ERR database and protocol cannot be changed while keys are watched"],
    ),
];

/// Rows that no case sends, and why.
const NOT_SENT: &[(&str, &str)] = &[
    (
        "MONITOR",
        "a server answers it for ever; refused, as end_to_end holds",
    ),
    (
        "PSYNC",
        "a server takes whoever says it for a replica; refused",
    ),
    (
        "SYNC",
        "a server takes whoever says it for a replica; refused",
    ),
];

/// What a pool of one server must allow for the comparison.
const ALLOWED_ONE: &str = "{allow: [acl, config, debug, failover, function, migrate, module, replicaof, \
                           slaveof, swapdb]}";

/// What a pool of four servers must.
const ALLOWED_FOUR: &str =
    "{allow: [acl, bgsave, config, debug, flushall, flushdb, function, keys, save]}";

/// Where a case is sent.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    server: &'static str,
    version: &'static str,
    pool: &'static str,
}

impl Place {
    /// Whether a word of a mark holds here.
    fn is(&self, word: &str) -> bool {
        let known = ["redis", "valkey", "resp2", "resp3", "one", "four"];
        assert!(known.contains(&word), "no place is called {word:?}");
        [self.server, self.version, self.pool].contains(&word)
    }
}

fn cases() -> Vec<Case> {
    [
        keys::cases(),
        collections::cases(),
        server::cases(),
        sessions::cases(),
    ]
    .concat()
}

/// What servers are brought back to before each case.
const FRESH: &[&str] = &[
    "FLUSHALL",
    "SLOWLOG RESET",
    "LATENCY RESET",
    "ACL LOG RESET",
    "CONFIG SET slowlog-log-slower-than 10000",
];

/// The same before a case with scripts: making their machine anew takes a server a while.
const FRESH_SCRIPTS: &[&str] = &["SCRIPT FLUSH", "FUNCTION FLUSH"];

/// Servers with a connection to each.
struct Fleet {
    servers: Vec<Server>,
    wires: Vec<Wire>,
}

impl Fleet {
    fn of(servers: Vec<Server>) -> Self {
        let wires = servers.iter().map(Server::connect).collect();
        Self { servers, wires }
    }

    fn refresh(&mut self, case: &Case) {
        let mut requests = FRESH.to_vec();
        if case.has_scripts() {
            requests.extend(FRESH_SCRIPTS);
        }
        let bytes = pipeline(&requests);
        for wire in &mut self.wires {
            wire.send(&bytes);
        }
        for wire in &mut self.wires {
            requests.iter().for_each(|_| drop(wire.reply()));
        }
    }
}

/// Ends what a case is answered with.
const LAST: &[u8] = b"$6\r\n<last>\r\n";

/// What a case is answered with.
#[derive(PartialEq, Eq)]
struct Answer {
    /// Up to the reply to a last `PING`.
    bytes: Vec<u8>,
    /// Whether the connection is open.
    open: bool,
}

fn answer(address: &Address, version: &str, case: &Case) -> Answer {
    let mut wire = Wire::connect(address);
    if version == "resp3" {
        wire.send(&pipeline(&["HELLO 3", "PING <last>"]));
        let (greeting, _) = wire.read_until(|bytes| bytes.ends_with(LAST));
        assert!(greeting.starts_with(b"%"), "{}", shown(&greeting));
    }
    let mut bytes = case.bytes.clone();
    bytes.extend(command(&["PING", "<last>"]));
    let _ = wire.try_send(&bytes);
    let (mut bytes, end) = wire.read_until(|reply| reply.ends_with(LAST));
    assert_ne!(end, End::Silent, "{}: {}", case.name, shown(&bytes));
    let open = bytes.ends_with(LAST);
    if open {
        bytes.truncate(bytes.len() - LAST.len());
    }
    Answer { bytes, open }
}

/// Says what is wrong with the answer to a case at a place.
fn judge(case: &Case, place: &Place, direct: &Answer, ours: &Answer) -> Option<String> {
    let told = |answer: &Answer| {
        let open = if answer.open { "" } else { " (closed)" };
        format!("{}{open}", shown(&answer.bytes))
    };
    let rules: Vec<_> = case.rules(place).collect();
    let unequal = if direct == ours {
        Vec::new()
    } else {
        let replies = rules::applied(&rules, &direct.bytes, &ours.bytes);
        match replies.filter(|(one, other)| direct.open == ours.open && one.len() == other.len()) {
            Some((one, other)) => {
                let pairs = one.into_iter().zip(other);
                pairs.filter(|(one, other)| one != other).collect()
            }
            None => vec![(told(direct), told(ours))],
        }
    };
    let what = match case.difference(place) {
        None if unequal.is_empty() => return None,
        None => "differs".to_owned(),
        Some(name) if unequal.is_empty() => format!("shows no difference {name:?}"),
        Some(name) => {
            let row = DIFFERENCES.iter().find(|row| row.0 == name);
            let (_, said) = row.unwrap_or_else(|| panic!("no difference is called {name:?}"));
            if unequal
                .iter()
                .all(|(_, ours)| said.iter().any(|said| ours.contains(said)))
            {
                return None;
            }
            format!("shows {name:?} in other words than {said:?}")
        }
    };
    let Place {
        server,
        version,
        pool,
    } = place;
    let mut text = format!(
        "{server} {version} {pool}: {}\n   {what}",
        shown(case.name.as_bytes())
    );
    for (direct, ours) in unequal {
        let [direct, ours] = [direct, ours].map(|text| shown(text.as_bytes()));
        text.push_str(&format!("\n   direct:  {direct}\n   nutcrab: {ours}"));
    }
    Some(text)
}

fn compare(server: &'static str, start: fn(usize) -> Vec<Server>) {
    let begun = std::time::Instant::now();
    let mut direct = Fleet::of(start(1));
    let mut one = Fleet::of(start(1));
    let mut four = Fleet::of(start(4));
    let pool = |name, fleet: &Fleet| {
        Pool::redis(name)
            .servers(&fleet.servers)
            .with("hash_tag", "\"{}\"")
    };
    let mut proxy = Proxy::nutcrab(vec![
        pool("one", &one).with("commands", ALLOWED_ONE),
        pool("four", &four).with("commands", ALLOWED_FOUR),
    ]);
    let (mut failures, mut count) = (Vec::new(), 0);
    for case in cases() {
        for version in ["resp2", "resp3"] {
            direct.refresh(&case);
            let expected = answer(direct.servers[0].address(), version, &case);
            for (pool, fleet) in [("one", &mut one), ("four", &mut four)] {
                fleet.refresh(&case);
                let ours = answer(proxy.address(pool), version, &case);
                let place = Place {
                    server,
                    version,
                    pool,
                };
                failures.extend(judge(&case, &place, &expected, &ours));
                count += 1;
            }
        }
    }
    println!("{server}: {count} comparisons in {:.1?}", begun.elapsed());
    // No reply was of a type that its row does not state.
    let log = proxy.process().log();
    assert!(!log.contains(&BadReply::Foreign.to_string()), "{log}");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn replies_of_redis_are_those_of_a_direct_connection() {
    compare("redis", Server::redis_many);
}

#[test]
fn replies_of_valkey_are_those_of_a_direct_connection() {
    compare("valkey", Server::valkey_many);
}

/// What servers answer while they are busy with a script is answered here or goes past all else, so that it
/// waits for no script of another client.
#[test]
fn what_a_busy_server_answers_waits_for_no_script() {
    let table = Table::standard();
    let is_answered = |name: &str| {
        let container = name.split('|').next().unwrap_or(name);
        let named = [name, container].map(|name| table.find_named(name.as_bytes()));
        let index = named.into_iter().flatten().next();
        let index = index.unwrap_or_else(|| panic!("no row {name}"));
        match table.row(index).rule {
            Rule::Local(_) | Rule::Never(_) | Rule::Fixed(_) => true,
            Rule::Everywhere(fan) => fan.reach == Reach::Busy,
            _ => false,
        }
    };
    for server in [Server::redis_many(1), Server::valkey_many(1)] {
        let mut names = Vec::new();
        allowed_while_busy(server[0].ask(&["COMMAND"]), &mut names);
        assert!(names.len() >= 12, "{names:?}");
        assert!(names.contains(&"function|stats".to_owned()), "{names:?}");
        names.retain(|name| !is_answered(name));
        assert_eq!(names, [""; 0]);
    }
    assert!(!is_answered("GET"));
}

/// The names of commands and sub-commands with the flag `allow_busy`.
fn allowed_while_busy(commands: Reply, names: &mut Vec<String>) {
    for command in commands.elements() {
        let mut parts = command.elements();
        let flags = std::mem::replace(&mut parts[2], Reply::Array(None));
        let flag = Reply::Status("allow_busy".into());
        if flags.elements().contains(&flag) {
            let name = std::mem::replace(&mut parts[0], Reply::Array(None));
            names.push(String::from_utf8(name.bytes()).expect("a name"));
        }
        if let Some(subs) = parts.pop() {
            allowed_while_busy(subs, names);
        }
    }
}

/// The keys a SCAN with these words behind its cursor goes through.
fn scanned(address: &Address, words: &[&str]) -> BTreeSet<Vec<u8>> {
    let mut wire = Wire::connect(address);
    let (mut cursor, mut keys) = ("0".to_owned(), BTreeSet::new());
    loop {
        let reply = wire.ask(&[&["SCAN", &cursor], words].concat());
        let [next, found] = <[Reply; 2]>::try_from(reply.elements()).expect("two parts");
        keys.extend(found.elements().into_iter().map(Reply::bytes));
        cursor = String::from_utf8(next.bytes()).expect("a number");
        if cursor == "0" {
            return keys;
        }
    }
}

#[test]
fn scan_goes_through_the_keys_of_all_servers() {
    let (direct, four) = (Server::redis(), Server::redis_many(4));
    let proxy = Proxy::nutcrab(vec![Pool::redis("four").servers(&four)]);
    for address in [direct.address(), proxy.address("four")] {
        let mut wire = Wire::connect(address);
        for index in 0..500 {
            wire.send(&pipeline(&[
                &format!("SET key{index} v"),
                &format!("RPUSH list{index} v"),
            ]));
        }
        (0..1000).for_each(|_| drop(wire.reply()));
    }
    for words in [
        &[][..],
        &["COUNT", "37"],
        &["MATCH", "key1*", "COUNT", "1000"],
        &["TYPE", "list", "COUNT", "100"],
        &["MATCH", "nothing*"],
    ] {
        let expected = scanned(direct.address(), words);
        assert_eq!(scanned(proxy.address("four"), words), expected, "{words:?}");
    }
}

#[test]
fn no_case_stands_twice() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len());
}

#[test]
fn every_row_of_the_command_table_is_sent_or_listed() {
    let cases = cases();
    let sent: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| case.commands.iter())
        .flat_map(|(name, whole)| [name.as_str(), whole.as_str()])
        .collect();
    let table = Table::standard();
    let names = table.rows().iter().map(|row| row.name);
    let missing: BTreeSet<&str> = names
        .filter(|name| !sent.contains(name) && !name.ends_with("|*"))
        .collect();
    let listed: BTreeSet<&str> = NOT_SENT.iter().map(|row| row.0).collect();
    assert_eq!(missing, listed);
    assert!(NOT_SENT.iter().all(|row| !row.1.is_empty()));
}

#[test]
fn every_listed_difference_is_shown_and_every_shown_one_is_listed() {
    let cases = cases();
    let shown: BTreeSet<&str> = cases.iter().flat_map(Case::differences).collect();
    let known: BTreeSet<&str> = DIFFERENCES.iter().map(|row| row.0).collect();
    assert_eq!(shown, known);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
    let page = std::fs::read_to_string(path).expect("docs/compatibility.md");
    let (_, section) = page
        .split_once("## Differences from a direct connection to Redis")
        .expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(
        listed,
        known.into_iter().collect::<Vec<_>>(),
        "in alphabetical order"
    );
}
