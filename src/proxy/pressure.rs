//! What the core does when the process runs short of memory.
//!
//! In the order of defence: clients may have less of everything (reading stops earlier), then requests
//! are answered with an error, then those with the most buffered bytes are closed.

use super::cause::Cause;
use super::client::{Client, Ending, Stage};
use super::ids::{ClientId, LinkId, PoolIndex, Side};
use super::link::Link;
use super::notice::What;
use super::{CloseHow, ConnId, Proxy};

/// How scarce memory is. The order is that of the defence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// Less than a quarter is left: clients have an eighth of their limits.
    Tight,
    /// Less than an eighth is left: requests are answered with an error, too.
    Short,
    /// There is too much in use: the worst are closed, too.
    Over {
        /// By so many bytes.
        by: u64,
    },
}

/// What clients have under pressure, as a part of their limits.
const PART: usize = 8;

/// What may be kept for one client, when there is enough memory and when it is scarce.
const SHARE_MAX: usize = 128 * 1024 * 1024;
const SHARE_MIN: usize = 64 * 1024;

/// Whoever holds less is not worth closing.
const SHED_MIN: usize = 64 * 1024;

impl Pressure {
    /// That of `used` bytes where there may be `limit`.
    pub fn of(used: u64, limit: u64) -> Self {
        if used > limit {
            Self::Over { by: used - limit }
        } else if used >= limit - limit / 8 {
            Self::Short
        } else if used >= limit - limit / 4 {
            Self::Tight
        } else {
            Self::None
        }
    }
}

impl Proxy {
    /// From now on memory is so scarce. Each time it is told to be [`Pressure::Over`] somebody is closed.
    pub fn set_pressure(&mut self, pressure: Pressure) {
        let part = if pressure == Pressure::None { 1 } else { PART };
        let eased = self.pressure > pressure;
        self.pressure = pressure;
        self.limits.window = (self.usual.window / part).max(1);
        self.limits.outstanding = (self.usual.outstanding / part).max(1);
        if let Pressure::Over { by } = pressure {
            self.shed(by);
        }
        if eased {
            let clients: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
            for id in clients {
                self.unblock(id);
                self.unstall(id);
            }
        }
    }

    /// Whether new requests are answered with an error.
    #[inline]
    pub(super) fn is_short(&self) -> bool {
        self.pressure >= Pressure::Short
    }

    /// Bytes that may be kept for one client of this pool.
    pub(super) fn share(&self, _pool: PoolIndex) -> usize {
        match self.pressure {
            Pressure::None => SHARE_MAX,
            _ => SHARE_MIN,
        }
    }

    /// Closes those who hold the most, until they have held `bytes` together.
    fn shed(&mut self, bytes: u64) {
        let clients = self.clients.iter().map(|(id, it)| (it.held(), id.conn()));
        let links = self.links.iter().map(|(id, it)| (it.held(), id.conn()));
        let mut holders: Vec<(usize, ConnId)> = clients
            .chain(links)
            .filter(|(held, _)| *held >= SHED_MIN)
            .collect();
        holders.sort_unstable_by(|a, b| b.cmp(a));
        let mut freed = 0;
        for (held, conn) in holders {
            if freed >= bytes {
                return;
            }
            freed += held as u64;
            match conn.side() {
                Side::Client(id) => self.shed_client(id, held),
                Side::Server(id) => self.shed_link(id),
            }
        }
    }

    fn shed_client(&mut self, id: ClientId, held: usize) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let pool = client.pool;
        self.stats.pools[pool.index()].memory_limit_closed.add(1);
        self.notice_client(id, What::ShedClient { held });
        self.close_client(id, Ending::Error, CloseHow::Reset);
    }

    fn shed_link(&mut self, id: LinkId) {
        let Some(link) = self.links.find(id) else {
            return;
        };
        let stats = &self.stats.pools[link.pool.index()];
        stats.memory_limit_closed.add(1);
        self.close_link(id, Cause::NoMemory);
    }
}

impl Client {
    /// Bytes of memory, more or less, that are kept for it.
    fn held(&self) -> usize {
        let upload = self
            .upload
            .as_ref()
            .map_or(0, |upload| match &upload.stage {
                Stage::Gather(queue) | Stage::Wait(queue) => queue.len(),
                Stage::Stream(_) | Stage::Discard => 0,
            });
        let session = self.session.as_ref().map_or(0, |session| session.held());
        self.out.len() + self.pending.capacity() + self.ring.waiting_bytes + upload + session
    }
}

impl Link {
    /// Bytes of memory, more or less, that are kept for it.
    fn held(&self) -> usize {
        self.out.len() + self.partial.len() + self.pending.capacity()
    }
}
