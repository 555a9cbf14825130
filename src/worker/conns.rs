//! Which socket belongs to which connection of the core, and how far it is.
//!
//! A place in the table is the index of the connection's id, and the number its socket is watched
//! under. The full id stands in the entry: whoever asks with an older one finds nobody.

use super::gather::Mark;
use super::inbox::ClientPermit;
use crate::engine::Socket;
use crate::proxy::ConnId;

/// One connection, by how far it is.
#[derive(Debug)]
pub enum Entry {
    /// Nobody is here.
    Free,
    /// The address of its server is being looked up.
    Resolving(ConnId),
    /// On its way to its server.
    Connecting(ConnId, Socket),
    /// Established.
    Open(Conn),
}

/// An established connection.
#[derive(Debug)]
pub struct Conn {
    /// Its name in the core.
    pub conn: ConnId,
    /// Watched since it was made.
    pub socket: Socket,
    /// Something may be left to read that no edge will report again.
    pub readable: bool,
    /// The socket has not refused bytes since its last writable edge.
    pub writable: bool,
    /// An end or an error stands behind what is left to read.
    pub read_closed: bool,
    /// The last read brought a whole chunk: the next one will probably bring more.
    pub brimming: bool,
    /// It stands in the list of those to be read. So it does at most once.
    pub listed: bool,
    /// When it was last heard, if it is a client's.
    pub heard: Mark,
    /// Its end was read, or its writing side was closed: there is nothing to wait for at a close.
    pub settled: bool,
    /// A client's, kept as long as the socket is open.
    pub permit: Option<ClientPermit>,
}

impl Conn {
    /// A connection that was just established; the first edge will tell what it brings.
    pub fn new(conn: ConnId, socket: Socket, permit: Option<ClientPermit>) -> Self {
        Self {
            conn,
            socket,
            readable: false,
            writable: true,
            read_closed: false,
            brimming: false,
            listed: false,
            heard: Mark::default(),
            settled: false,
            permit,
        }
    }
}

/// A table with room for so many is never made smaller.
const ENTRIES_KEPT: usize = 256;

/// All connections of a worker.
#[derive(Debug, Default)]
pub struct Links {
    entries: Vec<Entry>,
}

impl Links {
    /// What stands at the place of this number, if there ever was something.
    #[inline]
    pub fn at(&mut self, number: usize) -> Option<&mut Entry> {
        self.entries.get_mut(number)
    }

    /// The established connection of this id.
    #[inline]
    pub fn open(&mut self, conn: ConnId) -> Option<&mut Conn> {
        match self.entries.get_mut(conn.index()) {
            Some(Entry::Open(link)) if link.conn == conn => Some(link),
            _ => None,
        }
    }

    /// Whether the connection still waits for the address of its server.
    pub fn is_resolving(&mut self, conn: ConnId) -> bool {
        matches!(self.at(conn.index()), Some(Entry::Resolving(id)) if *id == conn)
    }

    /// Puts a connection at its place, in the place of what was there.
    pub fn put(&mut self, conn: ConnId, entry: Entry) {
        let index = conn.index();
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || Entry::Free);
        }
        self.entries[index] = entry;
    }

    /// Gives back the memory of free places behind the last connection, if it is much, and says how
    /// many bytes that is.
    pub fn tidy(&mut self) -> usize {
        let used = self
            .entries
            .iter()
            .rposition(|entry| !matches!(entry, Entry::Free));
        let used = used.map_or(0, |last| last + 1);
        let before = self.entries.capacity();
        if before <= ENTRIES_KEPT.max(2 * used) {
            return 0;
        }
        self.entries.truncate(used);
        self.entries.shrink_to(ENTRIES_KEPT.max(used));
        (before - self.entries.capacity()) * size_of::<Entry>()
    }

    /// Takes a connection out; `Free` if it is not there.
    pub fn take(&mut self, conn: ConnId) -> Entry {
        let Some(entry) = self.at(conn.index()) else {
            return Entry::Free;
        };
        let found = match entry {
            Entry::Free => false,
            Entry::Resolving(id) | Entry::Connecting(id, _) => *id == conn,
            Entry::Open(link) => link.conn == conn,
        };
        if found {
            std::mem::replace(entry, Entry::Free)
        } else {
            Entry::Free
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_id_finds_nobody() {
        let (old, new) = (ConnId::from_token(4), ConnId::from_token(1 << 32 | 4));
        assert_eq!(old.index(), new.index());
        let mut links = Links::default();
        links.put(new, Entry::Resolving(new));
        assert!(!links.is_resolving(old) && links.is_resolving(new));
        assert!(matches!(links.take(old), Entry::Free));
        assert!(matches!(links.take(new), Entry::Resolving(_)));
        assert!(matches!(links.take(new), Entry::Free));
        assert!(links.at(1000).is_none());
    }

    #[test]
    fn room_that_many_connections_needed_is_given_back() {
        let mut links = Links::default();
        let id = |number: u64| ConnId::from_token(number);
        for number in 0..2000 {
            links.put(id(number), Entry::Resolving(id(number)));
        }
        assert_eq!(links.tidy(), 0);
        for number in 10..2000 {
            links.take(id(number));
        }
        assert!(links.tidy() > 0);
        assert!(links.is_resolving(id(9)) && links.at(10).is_none());
        links.put(id(1500), Entry::Resolving(id(1500)));
        assert!(links.is_resolving(id(1500)) && !links.is_resolving(id(1499)));
    }
}
