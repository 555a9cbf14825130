//! An error reply that was made here: what a client is told whose request is not served.

use super::Excess;

/// A whole error reply, line end included. Two are equal if they say the same.
#[derive(Clone, Debug)]
pub struct Refusal {
    text: Box<[u8]>,
    excess: Option<Excess>,
}

impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Refusal {}

impl Refusal {
    /// An error reply with this text behind the protocol's mark of an error. Control bytes, which
    /// would break the line, become `?`.
    pub fn new(mark: &str, text: &[u8]) -> Self {
        let mut line = Vec::with_capacity(mark.len() + text.len() + 2);
        line.extend_from_slice(mark.as_bytes());
        line.extend(text.iter().map(|&byte| {
            if byte < b' ' || byte == 0x7f {
                b'?'
            } else {
                byte
            }
        }));
        line.extend_from_slice(b"\r\n");
        Self {
            text: line.into_boxed_slice(),
            excess: None,
        }
    }

    /// The same, for a request that goes beyond a limit.
    pub fn beyond(self, excess: Excess) -> Self {
        Self {
            excess: Some(excess),
            ..self
        }
    }

    /// The limit the request went beyond, if that is why.
    pub fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// What it says, without the protocol's mark of an error and the line end, for the log: what a client
    /// sent is never part of an error about a limit.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        let text = text.trim_end();
        text.strip_prefix("-ERR ").unwrap_or(text).to_owned()
    }

    /// A reply as it stands, which may be none at all.
    pub fn whole(bytes: Vec<u8>) -> Self {
        Self {
            text: bytes.into_boxed_slice(),
            excess: None,
        }
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }
}
