//! How far the reading of a server's reply has come, in any protocol, and what no reply is.

use super::{Family, Version};

/// Where a server's reply ends, in bytes that come in any cut. Start each reply with `default()`.
#[derive(Debug, Default)]
pub struct ReplyScan {
    /// Bytes of the current bulk or data block still to come, line end included; see [`Part`].
    pub(crate) left: u64,
    /// Elements still to come at the innermost open level; counts the reply itself.
    pub(crate) items: u64,
    /// Elements still to come at those levels outside that have any.
    pub(crate) outer: Vec<u64>,
    /// What `left` counts.
    pub(crate) part: Part,
    /// Whether the first line was seen.
    pub(crate) begun: bool,
    /// Whether the request is followed by a marker, whose reply is the end: see [`super::Answer`].
    pub marked: bool,
    /// Which replies it may be.
    pub family: Family,
    /// Whether it stands within a reply of several lines (memcached).
    pub(crate) within: bool,
    /// Whether the reply is a value whose end others behind it share: see [`super::memcache::bundle`].
    pub severed: bool,
    /// Bytes of the marker's reply, once it was seen; they are the last that were used.
    pub marker_len: usize,
    /// Whether it is no reply but a push of RESP3, which nobody asked for.
    pub(crate) push: bool,
    /// What the server was told to speak: types of RESP3 are no reply to those who know only RESP2.
    pub(crate) version: Version,
}

/// What is being read of a reply while [`ReplyScan::left`] is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// A bulk or data block.
    #[default]
    Block,
    /// A block that is the last of its reply (memcached).
    LastBlock,
    /// A long line, of which nobody knows where it ends: then `left` is 1.
    Line,
    /// Such a line that is the last of its reply (memcached).
    LastLine,
}

impl Part {
    /// Whether it is a long line.
    #[inline]
    pub fn is_line(self) -> bool {
        matches!(self, Part::Line | Part::LastLine)
    }

    /// Whether it is the last of its reply.
    #[inline]
    pub fn is_last(self) -> bool {
        matches!(self, Part::LastBlock | Part::LastLine)
    }
}

impl ReplyScan {
    /// For the next reply of a Redis server that was told to speak `version`.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    /// Bytes of the reply that are known to be still to come; 0 when none or unknown.
    pub fn announced(&self) -> u64 {
        self.left
    }

    /// Whether some of the reply was seen.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether what was seen is a push of RESP3: no reply to anything.
    pub fn is_push(&self) -> bool {
        self.push
    }
}

/// A server's bytes that are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// A reply of a kind the protocol does not have.
    #[error("unknown kind of reply")]
    Kind,
    /// A reply that is none to what was asked.
    #[error("reply to something else")]
    Foreign,
    /// A length or number that is not one.
    #[error("malformed number")]
    Number,
    /// No line end where one must be.
    #[error("missing line end")]
    LineEnd,
    /// A line longer than any reply's.
    #[error("line too long")]
    Line,
    /// More arrays or other aggregates are open than [`super::redis::reply::DEPTH_MAX`].
    #[error("nested too deeply")]
    Depth,
}
