//! How much memory is kept for whom.
//!
//! What a client or a connection to a server holds is what the allocator gave for it: the capacity of a
//! buffer, not its length, and of a chunk that several refer to a part each. It is asked only while memory
//! is scarce, so that nothing need be counted as requests pass.

use super::Proxy;
use super::client::{Client, Stage};
use super::exchange::Exchange;
use super::ids::{ConnId, LinkId, Side};
use super::link::{InFlight, Link};
use super::session::Session;
use crate::route::ServerIndex;

impl Client {
    /// Bytes of memory that are kept for it.
    pub fn held(&self) -> usize {
        let lists = self.blocking.capacity() * size_of::<LinkId>()
            + self.strays.capacity() * size_of::<(ServerIndex, LinkId)>();
        size_of::<Self>()
            + self.held_input()
            + self.out.held()
            + self.ring.held()
            + self.owed.held()
            + lists
    }

    /// Those of what it has sent.
    pub fn held_input(&self) -> usize {
        let upload = self.upload.as_ref().map_or(0, |upload| {
            let queue = match &upload.stage {
                Stage::Gather(queue) | Stage::Wait(queue) => queue.held(),
                Stage::Stream(_) | Stage::Discard => 0,
            };
            size_of_val(&**upload) + queue
        });
        let session = self.session.as_ref().map_or(0, |session| session.held());
        let division = self.division.as_ref().map_or(0, |division| division.held());
        self.pending.capacity() + upload + session + division
    }

    /// Bytes it ever sent or took.
    pub fn moved(&self) -> u64 {
        self.heard + self.owed.taken()
    }
}

impl Link {
    /// Bytes of memory that are kept for it.
    pub fn held(&self) -> usize {
        size_of::<Self>()
            + self.out.held()
            + self.greeting.held()
            + self.partial.held()
            + self.pending.capacity()
            + self.in_flight.capacity() * size_of::<InFlight>()
    }
}

impl Session {
    /// Bytes of memory that are kept for what the client said about its connection.
    fn held(&self) -> usize {
        let names = [&self.name, &self.library, &self.library_version];
        let names: usize = names.iter().map(|name| name.capacity()).sum();
        let queued = self.transaction.as_ref().map_or(0, |it| {
            let ends = it.ends.capacity() * size_of::<usize>();
            size_of_val(&**it) + it.queue.capacity() + ends
        });
        let listening = self.subscriber.as_ref().map_or(0, |it| it.allocated());
        let blocked = self.blocked.capacity() * size_of::<LinkId>();
        size_of::<Self>() + names + queued + listening + blocked
    }
}

impl Exchange {
    /// Bytes of memory that are kept for it besides its place in the ring.
    pub fn held(&self) -> usize {
        match self {
            Exchange::Waiting | Exchange::Kept { .. } | Exchange::Streaming | Exchange::Silent => 0,
            Exchange::Ready(reply, _) => size_of_val(&**reply) + reply.held(),
            Exchange::Fanout(fanout) => size_of_val(&**fanout) + fanout.allocated(),
            Exchange::Probe(probe) => size_of_val(&**probe) + probe.request.capacity(),
            Exchange::Errand(errand) => {
                size_of_val(&**errand) + errand.request.capacity() + errand.answer.capacity()
            }
        }
    }
}

impl Proxy {
    /// Bytes that are kept for all clients and connections to servers.
    pub fn held(&self) -> usize {
        let clients: usize = self.clients.iter().map(|(_, client)| client.held()).sum();
        let links: usize = self.links.iter().map(|(_, link)| link.held()).sum();
        clients + links
    }

    /// Bytes that are kept for one client; none if it is gone.
    pub fn held_for(&self, conn: ConnId) -> usize {
        match conn.side() {
            Side::Client(id) => self.clients.find(id).map_or(0, Client::held),
            Side::Server(_) => 0,
        }
    }
}
