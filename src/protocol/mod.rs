//! What the bytes of clients and servers mean.

/// The protocol a pool speaks on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Redis: RESP2.
    Redis,
    /// memcached: the classic text protocol.
    Memcache,
}
