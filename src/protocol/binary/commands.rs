//! The table of opcodes: one row each. Everything about a request follows from its row.

/// What stands in the body besides the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Exactly so many bytes of extras.
    Extras(u8),
    /// So many bytes of extras, or none.
    Perhaps(u8),
    /// So many bytes of extras, then a value.
    Value(u8),
}

/// Whether there is a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// There must be.
    Needed,
    /// There must not be.
    None,
    /// There may be.
    Perhaps,
}

/// What is done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Sent as it is to the server of its key.
    Forward,
    /// Sent as it is to all servers; one reply stands for all.
    Everywhere,
    /// Sent as it is to any server.
    Keyless,
    /// Statistics: ours, or with a key those of all servers.
    Stat,
    /// Answered here with nothing but success.
    Noop,
    /// Answered here; then the connection is closed.
    Quit,
    /// How a client may say who it is.
    Mechanisms,
    /// A client says who it is.
    Auth,
    /// Not passed on.
    Refuse,
}

/// Whether the reply to `stat` with this key is known to have an end: a message without a key. memcached
/// compares some of its words only as far as they go, and ends the reply to `sizes_enable` nowhere.
pub fn is_statistic(key: &[u8]) -> bool {
    matches!(
        key,
        b"" | b"items"
            | b"slabs"
            | b"sizes"
            | b"settings"
            | b"reset"
            | b"detail on"
            | b"detail off"
            | b"detail dump"
    )
}

/// One opcode.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The second byte of the header.
    pub opcode: u8,
    /// As memcached calls it.
    pub name: &'static str,
    /// Whether there is a key.
    pub key: Key,
    /// What else there is.
    pub body: Body,
    /// What is done with it.
    pub rule: Rule,
    /// Whether a server may answer with nothing.
    pub quiet: bool,
}

/// The opcodes a pool knows.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    /// By opcode: the row + 1, or 0.
    places: Box<[u8; 256]>,
}

impl Table {
    /// The opcodes of memcached 1.6.
    pub fn standard() -> Self {
        let mut places = Box::new([0; 256]);
        for (index, row) in STANDARD.iter().enumerate() {
            places[usize::from(row.opcode)] = index as u8 + 1;
        }
        Self {
            rows: STANDARD.to_vec(),
            places,
        }
    }

    /// The index of the row of an opcode.
    #[inline]
    pub fn find(&self, opcode: u8) -> Option<u16> {
        Some(u16::from(self.places[usize::from(opcode)].checked_sub(1)?))
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

    /// Refuses the opcodes that go to all servers from now on: they empty them.
    pub fn refuse_flush(&mut self) {
        let flushes = self.rows.iter_mut();
        for row in flushes.filter(|row| row.rule == Rule::Everywhere) {
            row.rule = Rule::Refuse;
        }
    }
}

const fn row(opcode: u8, name: &'static str, key: Key, body: Body, rule: Rule) -> Row {
    Row {
        opcode,
        name,
        key,
        body,
        rule,
        quiet: false,
    }
}

const fn quiet(opcode: u8, name: &'static str, key: Key, body: Body, rule: Rule) -> Row {
    Row {
        quiet: true,
        ..row(opcode, name, key, body, rule)
    }
}

use Body::{Extras, Perhaps, Value};
use Key::Needed;

#[rustfmt::skip]
const STANDARD: &[Row] = &[
    row(0x00, "get", Needed, Extras(0), Rule::Forward),
    row(0x01, "set", Needed, Value(8), Rule::Forward),
    row(0x02, "add", Needed, Value(8), Rule::Forward),
    row(0x03, "replace", Needed, Value(8), Rule::Forward),
    row(0x04, "delete", Needed, Extras(0), Rule::Forward),
    row(0x05, "increment", Needed, Extras(20), Rule::Forward),
    row(0x06, "decrement", Needed, Extras(20), Rule::Forward),
    row(0x07, "quit", Key::None, Extras(0), Rule::Quit),
    row(0x08, "flush", Key::None, Perhaps(4), Rule::Everywhere),
    quiet(0x09, "getq", Needed, Extras(0), Rule::Forward),
    row(0x0a, "noop", Key::None, Extras(0), Rule::Noop),
    row(0x0b, "version", Key::None, Extras(0), Rule::Keyless),
    row(0x0c, "getk", Needed, Extras(0), Rule::Forward),
    quiet(0x0d, "getkq", Needed, Extras(0), Rule::Forward),
    row(0x0e, "append", Needed, Value(0), Rule::Forward),
    row(0x0f, "prepend", Needed, Value(0), Rule::Forward),
    row(0x10, "stat", Key::Perhaps, Extras(0), Rule::Stat),
    quiet(0x11, "setq", Needed, Value(8), Rule::Forward),
    quiet(0x12, "addq", Needed, Value(8), Rule::Forward),
    quiet(0x13, "replaceq", Needed, Value(8), Rule::Forward),
    quiet(0x14, "deleteq", Needed, Extras(0), Rule::Forward),
    quiet(0x15, "incrementq", Needed, Extras(20), Rule::Forward),
    quiet(0x16, "decrementq", Needed, Extras(20), Rule::Forward),
    quiet(0x17, "quitq", Key::None, Extras(0), Rule::Quit),
    quiet(0x18, "flushq", Key::None, Perhaps(4), Rule::Everywhere),
    quiet(0x19, "appendq", Needed, Value(0), Rule::Forward),
    quiet(0x1a, "prependq", Needed, Value(0), Rule::Forward),
    row(0x1c, "touch", Needed, Extras(4), Rule::Forward),
    row(0x1d, "gat", Needed, Extras(4), Rule::Forward),
    quiet(0x1e, "gatq", Needed, Extras(4), Rule::Forward),
    row(0x20, "sasl_list_mechs", Key::None, Extras(0), Rule::Mechanisms),
    row(0x21, "sasl_auth", Needed, Value(0), Rule::Auth),
    row(0x22, "sasl_step", Needed, Value(0), Rule::Auth),
    row(0x23, "gatk", Needed, Extras(4), Rule::Forward),
    quiet(0x24, "gatkq", Needed, Extras(4), Rule::Forward),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_opcode_and_no_other_is() {
        let table = Table::standard();
        for opcode in 0..=255 {
            let found = table.find(opcode).map(|index| table.row(index).opcode);
            let expected = STANDARD.iter().any(|row| row.opcode == opcode);
            assert_eq!(found, expected.then_some(opcode));
        }
    }
}
