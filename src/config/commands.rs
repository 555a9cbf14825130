//! `commands`: which commands a pool serves.
//!
//! ```yaml
//! commands:
//!   allow: [flushall, config|set]
//!   deny: [debug]
//!   unknown: refuse
//! ```

use super::check::{Checker, meant};
use super::file::{Node, NodeKind};
use super::mistake::{Place, Problem, quoted};
use crate::protocol::{Policy, Unknown, redis};

/// What `commands` may be.
pub(super) const COMMANDS_FORM: &str =
    "indented lines of \"allow: [command, ...]\", \"deny: [command, ...]\" or \"unknown: learn\"";

const FIELDS: [&str; 3] = ["allow", "deny", "unknown"];

const UNKNOWNS: [(&str, Unknown); 2] = [("learn", Unknown::Learn), ("refuse", Unknown::Refuse)];

impl Checker<'_> {
    /// Reads the mapping of `commands`.
    pub(super) fn commands(&mut self, key: &'static str, place: &Place, node: Node) -> Policy {
        let mut policy = Policy::default();
        let NodeKind::Map(pairs) = node.kind else {
            self.expected(&node, place, Some(key), COMMANDS_FORM);
            return policy;
        };
        let mut lines = [None; FIELDS.len()];
        for (name, value) in pairs {
            let NodeKind::Text(text) = &name.kind else {
                self.expected(&name, place, Some(key), &FIELDS.join(", "));
                continue;
            };
            let Some(field) = FIELDS.iter().position(|field| field == text) else {
                self.refused(&name, place, key, &FIELDS);
                continue;
            };
            if let Some(first_line) = lines[field].replace(name.line) {
                self.twice(name.line, place, Some(key), FIELDS[field], first_line);
                continue;
            }
            match field {
                0 => policy.allow = self.names(key, place, value),
                1 => policy.deny = self.names(key, place, value),
                _ => {
                    let known = match &value.kind {
                        NodeKind::Text(text) => UNKNOWNS.iter().find(|known| known.0 == text),
                        _ => None,
                    };
                    match known {
                        Some(&(_, unknown)) => policy.unknown = unknown,
                        None => self.refused(&value, place, key, &UNKNOWNS.map(|known| known.0)),
                    }
                }
            }
        }
        policy
    }

    /// Names of commands, as the table has them.
    fn names(&mut self, key: &'static str, place: &Place, node: Node) -> Vec<String> {
        let items = match node.kind {
            NodeKind::List(items) => items,
            _ => {
                self.expected(&node, place, Some(key), "a list of commands");
                return Vec::new();
            }
        };
        let table = redis::commands::Table::standard();
        let mut names = Vec::new();
        for item in items {
            let NodeKind::Text(text) = &item.kind else {
                self.expected(&item, place, Some(key), "the name of a command");
                continue;
            };
            let name = text.to_ascii_uppercase().replace(' ', "|");
            // A module's commands have a dot in their names, and cannot be known here.
            if table.find_named(name.as_bytes()).is_none() && !name.contains('.') {
                let known: Vec<String> = table
                    .rows()
                    .iter()
                    .map(|row| row.name.to_ascii_lowercase())
                    .collect();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                self.report
                    .add(item.line, place, Some(key), || Problem::Expected {
                        allowed: "the name of a command".to_owned(),
                        got: quoted(text),
                        reason: meant(text, &known),
                    });
                continue;
            }
            names.push(name);
        }
        names
    }

    /// Something else than one of these names.
    fn refused(&mut self, node: &Node, place: &Place, key: &'static str, names: &[&str]) {
        let allowed = format!("one of {}", names.join(", "));
        match &node.kind {
            NodeKind::Text(text) => {
                self.report
                    .add(node.line, place, Some(key), || Problem::Expected {
                        allowed,
                        got: quoted(text),
                        reason: meant(text, names),
                    });
            }
            _ => self.expected(node, place, Some(key), &allowed),
        }
    }
}
