//! The table of memcached commands: one row a command. Everything about a command follows from its row.

use crate::protocol::Merge;

/// What stands behind a command's name. In all but `Keys` and `Bare` the word `noreply` may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One key or more.
    Keys,
    /// Key, flags, expiry time and length; a data block follows.
    Store,
    /// Key, flags, expiry time, length and unique number; a data block follows.
    Cas,
    /// Key.
    Delete,
    /// Key and an unsigned number.
    Arithmetic,
    /// Key and expiry time.
    Touch,
    /// Nothing.
    Bare,
    /// Key, length and flags; a data block follows. There is no `noreply`.
    MetaStore,
}

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Sent as it is to the server of its key.
    Forward,
    /// Split by key; the replies are merged.
    Split(Merge),
    /// Sent as it is to any server.
    Keyless,
    /// `quit`, answered here by closing.
    Quit,
    /// Refused. It has a row only because a data block follows it, which must not be read as commands.
    Refuse,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// In lower case, the only one there is.
    pub name: &'static str,
    /// What stands behind the name.
    pub form: Form,
    /// What is done with it.
    pub rule: Rule,
}

/// The commands a pool knows, found by name.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// The commands of twemproxy.
    pub fn standard() -> Self {
        Self {
            rows: STANDARD.to_vec(),
        }
    }

    /// The index of the row of `name`. Walks the rows: there are few, and the usual ones come first.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let index = self
            .rows
            .iter()
            .position(|row| row.name.as_bytes() == name)?;
        Some(index as u16)
    }

    /// The row at `index`, which must come from [`Table::find`].
    #[inline]
    pub fn row(&self, index: u16) -> &Row {
        &self.rows[index as usize]
    }

    /// All rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

const fn row(name: &'static str, form: Form, rule: Rule) -> Row {
    Row { name, form, rule }
}

#[rustfmt::skip]
const STANDARD: &[Row] = &[
    row("get", Form::Keys, Rule::Split(Merge::Values)),
    row("set", Form::Store, Rule::Forward),
    row("gets", Form::Keys, Rule::Split(Merge::Values)),
    row("cas", Form::Cas, Rule::Forward),
    row("add", Form::Store, Rule::Forward),
    row("replace", Form::Store, Rule::Forward),
    row("append", Form::Store, Rule::Forward),
    row("prepend", Form::Store, Rule::Forward),
    row("delete", Form::Delete, Rule::Forward),
    row("incr", Form::Arithmetic, Rule::Forward),
    row("decr", Form::Arithmetic, Rule::Forward),
    row("touch", Form::Touch, Rule::Forward),
    row("version", Form::Bare, Rule::Keyless),
    row("quit", Form::Bare, Rule::Quit),
    row("ms", Form::MetaStore, Rule::Refuse),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        let table = Table::standard();
        for (index, row) in STANDARD.iter().enumerate() {
            assert_eq!(
                table.find(row.name.as_bytes()),
                Some(index as u16),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn other_names_are_not_found() {
        let table = Table::standard();
        for name in [
            "",
            "GET",
            "Set",
            "ge",
            "gett",
            "gat",
            "stats",
            "flush_all",
            "mg",
            "ge\0",
        ] {
            assert_eq!(table.find(name.as_bytes()), None, "{name}");
        }
    }
}
