//! The table of memcached commands: one row a command. Everything about a command follows from its row.

use crate::protocol::{Family, Merge};

/// What stands behind a command's name. In all but `Keys`, `TouchKeys`, `Stats`, `Bare` and the meta
/// forms the word `noreply` may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One key or more.
    Keys,
    /// Expiry time, and one key or more.
    TouchKeys,
    /// Key, flags, expiry time and length; a data block follows.
    Store,
    /// Key, flags, expiry time, length and unique number; a data block follows.
    Cas,
    /// Key, and perhaps the number 0.
    Delete,
    /// Key and an unsigned number.
    Arithmetic,
    /// Key and expiry time.
    Touch,
    /// A level.
    Verbosity,
    /// Perhaps a delay in seconds.
    Flush,
    /// Perhaps what is asked for.
    Stats,
    /// Nothing that matters.
    Bare,
    /// Key and flags.
    Meta,
    /// Key, length and flags; a data block follows.
    MetaStore,
}

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Sent as it is to the server of its key.
    Forward,
    /// Split by key; the replies are merged.
    Split(Merge),
    /// Sent as it is to all servers, unless the pool forbids it; one reply, the first, stands for all.
    Everywhere,
    /// `stats`: answered here, or by all servers.
    Stats,
    /// Sent as it is to any server.
    Keyless,
    /// `mn`, answered here.
    Noop,
    /// `quit`, answered here by closing.
    Quit,
    /// Refused: it is about one server, and a proxy stands for several.
    Refuse,
}

/// How the reply to `stats` with a word ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// Lines, then `END`.
    Lines,
    /// With one line: it is an order.
    Done,
    /// As memcached refuses a word it does not know.
    Unknown,
    /// As memcached refuses `detail` without a word it knows.
    Usage,
    /// Nowhere that could be told for certain.
    Endless,
}

/// How the reply to `stats <word> <argument>` ends. Only what is known to have an end is passed on: that
/// of a word that is not in this list may have none, as `sizes_enable` in all versions up to 1.6.18.
pub fn stats(word: &[u8], argument: &[u8]) -> Stats {
    match word {
        b"items" | b"slabs" | b"sizes" | b"settings" | b"conns" | b"extstore" | b"proxy"
        | b"proxyfuncs" | b"proxybe" => Stats::Lines,
        b"reset" => Stats::Done,
        // memcached writes one line, and no END behind it.
        b"sizes_enable" | b"sizes_disable" => Stats::Endless,
        // It writes keys, and prefixes of keys, as they are. Those that were stored in the binary protocol,
        // or in base64, may have line ends within, and what looks like an END.
        b"cachedump" => Stats::Endless,
        b"detail" => match argument {
            b"on" | b"off" => Stats::Done,
            b"dump" => Stats::Endless,
            _ => Stats::Usage,
        },
        _ => Stats::Unknown,
    }
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

impl Row {
    /// Which replies it can have; for `stats` those of an order.
    #[inline]
    pub fn family(&self) -> Family {
        match self.form {
            Form::Keys | Form::TouchKeys => Family::Value,
            Form::Store | Form::Cas => Family::Stored,
            Form::Delete => Family::Deleted,
            Form::Arithmetic => Family::Number,
            Form::Touch => Family::Touched,
            Form::Verbosity | Form::Flush | Form::Stats => Family::Done,
            Form::MetaStore => Family::MetaSet,
            Form::Meta => match self.name {
                "mg" => Family::MetaGet,
                "md" => Family::MetaDelete,
                "ma" => Family::MetaNumber,
                _ => Family::MetaDebug,
            },
            Form::Bare => Family::Version,
        }
    }
}

/// The commands a pool knows, found by name.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// The commands of memcached 1.6.
    pub fn standard() -> Self {
        Self {
            rows: STANDARD.to_vec(),
        }
    }

    /// Refuses the command `name` from now on.
    pub fn refuse(&mut self, name: &str) {
        for row in self.rows.iter_mut().filter(|row| row.name == name) {
            row.rule = Rule::Refuse;
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
    row("mg", Form::Meta, Rule::Forward),
    row("ms", Form::MetaStore, Rule::Forward),
    row("mn", Form::Bare, Rule::Noop),
    row("md", Form::Meta, Rule::Forward),
    row("ma", Form::Meta, Rule::Forward),
    row("me", Form::Meta, Rule::Forward),
    row("cas", Form::Cas, Rule::Forward),
    row("add", Form::Store, Rule::Forward),
    row("replace", Form::Store, Rule::Forward),
    row("append", Form::Store, Rule::Forward),
    row("prepend", Form::Store, Rule::Forward),
    row("delete", Form::Delete, Rule::Forward),
    row("incr", Form::Arithmetic, Rule::Forward),
    row("decr", Form::Arithmetic, Rule::Forward),
    row("touch", Form::Touch, Rule::Forward),
    row("gat", Form::TouchKeys, Rule::Split(Merge::Values)),
    row("gats", Form::TouchKeys, Rule::Split(Merge::Values)),
    row("bget", Form::Keys, Rule::Split(Merge::Values)),
    row("version", Form::Bare, Rule::Keyless),
    row("quit", Form::Bare, Rule::Quit),
    row("stats", Form::Stats, Rule::Stats),
    row("flush_all", Form::Flush, Rule::Everywhere),
    row("verbosity", Form::Verbosity, Rule::Everywhere),
    row("shutdown", Form::Bare, Rule::Refuse),
    row("slabs", Form::Bare, Rule::Refuse),
    row("lru", Form::Bare, Rule::Refuse),
    row("lru_crawler", Form::Bare, Rule::Refuse),
    row("cache_memlimit", Form::Bare, Rule::Refuse),
    row("watch", Form::Bare, Rule::Refuse),
    row("extstore", Form::Bare, Rule::Refuse),
    row("refresh_certs", Form::Bare, Rule::Refuse),
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
        for name in ["", "GET", "Set", "ge", "gett", "mx", "ge\0"] {
            assert_eq!(table.find(name.as_bytes()), None, "{name}");
        }
    }
}
