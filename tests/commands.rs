//! The table of Redis commands beside what real servers say of theirs.

use std::collections::BTreeMap;

use nutcrab::protocol::redis::commands::{Arity, Rule, Table};

#[path = "support/mod.rs"]
mod support;

use support::{Reply, Server};

/// What a server says of one command: its arity, and where its first key stands if it is always there.
#[derive(Debug)]
struct Said {
    arity: i64,
    first: i64,
    last: i64,
    step: i64,
}

/// Every command and sub-command of a server, by name in upper case.
fn said(server: &Server) -> BTreeMap<String, Said> {
    fn add(said: &mut BTreeMap<String, Said>, command: &Reply) {
        let Reply::Array(Some(parts)) = command else {
            panic!("a description is an array: {command:?}")
        };
        let number = |index: usize| match parts[index] {
            Reply::Integer(number) => number,
            ref other => panic!("{other:?}"),
        };
        let name = String::from_utf8(parts[0].clone().bytes()).expect("a name is text");
        let (arity, first, last, step) = (number(1), number(3), number(4), number(5));
        said.insert(
            name.to_uppercase(),
            Said {
                arity,
                first,
                last,
                step,
            },
        );
        if let Some(Reply::Array(Some(subs))) = parts.get(9) {
            subs.iter().for_each(|sub| add(said, sub));
        }
    }
    let mut all = BTreeMap::new();
    let commands = server.ask(&["COMMAND"]).elements();
    commands.iter().for_each(|command| add(&mut all, command));
    all
}

/// Containers whose sub-commands the proxy treats alike, so that they have no rows.
const WHOLE: [&str; 3] = ["CLUSTER|", "CLIENT|", "COMMAND|"];

/// Holds the table against a server: every command has a row, which takes every number of arguments
/// the server takes, and finds a key the server always has at the same place.
fn hold(server: &Server) {
    let table = Table::standard();
    let said = said(server);
    assert!(said.len() > 300, "{} commands", said.len());
    let mut wrong = Vec::new();
    for (name, said) in &said {
        let Some(index) = table.find_named(name.as_bytes()) else {
            if !WHOLE.iter().any(|whole| name.starts_with(whole)) {
                wrong.push(format!("{name} has no row"));
            }
            continue;
        };
        let row = table.row(index);
        for count in 1..40u32 {
            let fits = if said.arity > 0 {
                i64::from(count) == said.arity
            } else {
                i64::from(count) >= -said.arity
            };
            // What the server will refuse it may refuse itself; pairs it counts behind.
            let refused = !row.arity.fits(count) && row.arity != Arity::Pairs;
            if fits && refused && name != "AUTH" && name != "PING" {
                wrong.push(format!("{name} takes {count} arguments: {said:?}"));
                break;
            }
        }
        // What is never passed on needs no keys.
        let is_refused = matches!(row.rule, Rule::Fixed(_) | Rule::Never(_));
        if said.first > 0 && !is_refused {
            let keys = keys(&table, name, said);
            if keys != expected(name, said) {
                wrong.push(format!("{name}: keys {keys:?}: {said:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How many arguments an example has.
const EXAMPLE: usize = 9;

/// The words of an example: the name, then `a1`, `a2` and so on.
fn example(name: &str) -> Vec<String> {
    let mut words: Vec<String> = name.split('|').map(str::to_owned).collect();
    words.extend((words.len()..EXAMPLE).map(|index| format!("a{index}")));
    words
}

fn keys(table: &Table, name: &str, said: &Said) -> Vec<String> {
    use nutcrab::protocol::redis::keys;
    let request = support::command(&example(name));
    let mut found = Vec::new();
    keys::keys(
        &request,
        table.find_named(name.as_bytes()),
        table,
        &mut found,
    );
    let text = |key: &nutcrab::protocol::Key| {
        String::from_utf8_lossy(key.span().of(&request)).into_owned()
    };
    let mut keys: Vec<String> = found.iter().map(text).collect();
    // What a number or a word says comes behind, and is no part of what is always there.
    keys.truncate(expected(name, said).len());
    keys
}

fn expected(name: &str, said: &Said) -> Vec<String> {
    let last = if said.last < 0 {
        EXAMPLE as i64 + said.last
    } else {
        said.last
    };
    let places = (said.first..=last).step_by(said.step as usize);
    places
        .map(|place| example(name)[place as usize].clone())
        .collect()
}

#[test]
fn the_table_agrees_with_redis() {
    hold(&Server::redis());
}

#[test]
fn the_table_agrees_with_valkey() {
    hold(&Server::valkey_many(1)[0]);
}
