//! The command table, told to clients: COMMAND and its subcommands.

use super::commands::{Row, Table};
use super::inline::encode;
use super::keys::keys;
use super::pattern::Pattern;
use super::write::{Writer, bad_sub};
use crate::protocol::Key;

/// What `COMMAND HELP` says.
const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all commands that work through the proxy.",
    "COUNT",
    "    Return how many these are.",
    "DOCS [<command-name> ...]",
    "    Return where each is documented.",
    "GETKEYS <full-command>",
    "    Return the keys from a full command.",
    "INFO [<command-name> ...]",
    "    Return details about these commands, or all.",
    "LIST [FILTERBY PATTERN <pattern>]",
    "    Return the names of all, or of those like the pattern.",
    "HELP",
    "    Print this help.",
];

/// Answers `COMMAND ...`, whose words are given, its name first.
pub fn answer(words: &[&[u8]], table: &Table, reply: &mut Writer) {
    let rest = words.get(2..).unwrap_or_default();
    let Some(subcommand) = words.get(1) else {
        reply.array(shown(table).count());
        for row in shown(table) {
            describe(row, row.name, reply);
        }
        return;
    };
    match subcommand.to_ascii_uppercase().as_slice() {
        b"COUNT" if rest.is_empty() => {
            reply.integer(shown(table).count() as i64);
        }
        b"INFO" if rest.is_empty() => answer(&words[..1], table, reply),
        b"INFO" => {
            reply.array(rest.len());
            for name in rest {
                match find(table, name) {
                    Some(index) => describe(table.row(index), table.name(index), reply),
                    None => {
                        reply.null();
                    }
                }
            }
        }
        b"DOCS" => {
            let names: Vec<&str> = if rest.is_empty() {
                shown(table).map(|row| row.name).collect()
            } else {
                let found = rest.iter().filter_map(|name| find(table, name));
                found.map(|index| table.name(index)).collect()
            };
            reply.map(names.len());
            for name in names {
                document(name, reply);
            }
        }
        b"LIST" => list(rest, table, reply),
        b"HELP" if rest.is_empty() => {
            reply.help(HELP);
        }
        b"GETKEYS" if !rest.is_empty() => get_keys(rest, table, reply),
        _ => {
            let known = ["COUNT", "GETKEYS", "LIST"];
            reply.error(&bad_sub("COMMAND", subcommand, &known));
        }
    }
}

/// `COMMAND LIST`. FILTERBY MODULE, ACLCAT or PATTERN: we know no modules and no categories.
fn list(filter: &[&[u8]], table: &Table, reply: &mut Writer) {
    let pattern = match filter {
        [] => None,
        [filter, kind, pattern]
            if filter.eq_ignore_ascii_case(b"FILTERBY")
                && kind.eq_ignore_ascii_case(b"PATTERN") =>
        {
            Some(Pattern::new(pattern))
        }
        _ => {
            reply.error("ERR syntax error");
            return;
        }
    };
    let is_like = |row: &&Row| {
        let pattern = pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.is_like(row.name.as_bytes()))
    };
    let rows: Vec<&Row> = shown(table).filter(is_like).collect();
    reply.array(rows.len());
    for row in rows {
        reply.lower(row.name);
    }
}

/// The commands that are told of.
fn shown(table: &Table) -> impl Iterator<Item = &Row> {
    table.rows().iter().filter(|row| row.is_command())
}

/// A command or sub-command that may be told of.
fn find(table: &Table, name: &[u8]) -> Option<u16> {
    table.find_named(name).filter(|_| !name.ends_with(b"|*"))
}

/// One element of `COMMAND INFO`, in the shape of Redis 7.
fn describe(row: &Row, name: &str, reply: &mut Writer) {
    let ([first, last, step], elsewhere) = row.keys.described();
    reply.array(10).lower(name);
    reply.integer(row.arity.described());
    reply.set(usize::from(elsewhere));
    if elsewhere {
        reply.status("movablekeys");
    }
    reply.integer(first).integer(last).integer(step);
    // Categories, hints, specifications of keys, subcommands.
    reply.set(0).array(0).array(0).array(0);
}

/// One pair of `COMMAND DOCS`.
fn document(name: &str, reply: &mut Writer) {
    reply.lower(name);
    reply.map(2);
    reply
        .bulk("summary")
        .bulk("See docs/commands.md of nutcrab.");
    reply.bulk("group").bulk("generic");
}

/// `COMMAND GETKEYS command arg ...`.
fn get_keys(words: &[&[u8]], table: &Table, reply: &mut Writer) {
    let Some(command) = table.find(words[0]) else {
        reply.error("ERR Invalid command specified");
        return;
    };
    if !table.row(command).arity.fits(words.len() as u32) {
        reply.error("ERR Invalid number of arguments specified for command");
        return;
    }
    let request = encode(words);
    let mut found: Vec<Key> = Vec::new();
    keys(&request, Some(command), table, &mut found);
    if found.is_empty() {
        reply.error("ERR The command has no key arguments");
        return;
    }
    reply.array(found.len());
    for key in found {
        reply.bulk(key.span().of(&request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Version;

    fn ask(text: &str) -> String {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        let mut reply = Writer::new(Version::Resp2);
        answer(&words, &Table::standard(), &mut reply);
        String::from_utf8(reply.into_bytes()).expect("text")
    }

    #[test]
    fn commands_are_told_from_the_table() {
        let count = shown(&Table::standard()).count();
        assert_eq!(ask("command count"), format!(":{count}\r\n"));
        assert!(ask("command").starts_with(&format!("*{count}\r\n*10\r\n")));
        assert_eq!(
            ask("COMMAND INFO get nosuch"),
            "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n$-1\r\n"
        );
        assert_eq!(
            ask("command list filterby pattern mge?"),
            "*1\r\n$4\r\nmget\r\n"
        );
        assert!(ask("command docs get").starts_with("*2\r\n$3\r\nget\r\n*4\r\n"));
    }

    #[test]
    fn keys_are_found_in_a_command() {
        assert_eq!(
            ask("command getkeys mset a 1 b 2"),
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n"
        );
        assert_eq!(
            ask("command getkeys ping"),
            "-ERR The command has no key arguments\r\n"
        );
        assert_eq!(
            ask("command getkeys nosuch a"),
            "-ERR Invalid command specified\r\n"
        );
        assert_eq!(
            ask("command getkeys get"),
            "-ERR Invalid number of arguments specified for command\r\n"
        );
    }
}
