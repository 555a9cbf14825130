//! What a client said about its connection, and the lanes it uses because of it.
//!
//! Most clients say nothing: they cost one pointer. Replies are exact by construction: a client that
//! asked for RESP3, or for another database, uses connections to the servers on which we asked for the
//! same. Nothing is translated.

use super::Proxy;
use super::client::Client;
use super::ids::{ClientId, PoolIndex};
use super::pool::GroupIndex;
use crate::protocol::Version;

/// What is not as it is for a client that said nothing.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub version: Version,
    /// As the client counts: its 0 is the pool's `redis_db`.
    pub database: u32,
    pub name: Vec<u8>,
    pub library: Vec<u8>,
    pub library_version: Vec<u8>,
}

/// Whether a client wants no replies (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mute {
    /// It wants them.
    #[default]
    No,
    /// Not to the next request.
    Next,
    /// Not to the one at hand.
    Once,
    /// To none.
    Yes,
}

impl Client {
    /// The version of the protocol it speaks.
    pub fn version(&self) -> Version {
        self.session
            .as_ref()
            .map_or(Version::Resp2, |session| session.version)
    }

    /// The database it uses, as it counts.
    pub fn database(&self) -> u32 {
        self.session.as_ref().map_or(0, |session| session.database)
    }

    /// Whether the request at hand is not to be answered.
    #[inline]
    pub fn is_mute(&self) -> bool {
        matches!(self.mute, Mute::Once | Mute::Yes)
    }

    /// To be changed.
    pub fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_default()
    }
}

impl Proxy {
    /// The client uses these lanes from now on, once all it asked before was answered: what it reads
    /// next must not overtake what it wrote over another connection. The group counts it already.
    pub(super) fn move_client(&mut self, id: ClientId, group: GroupIndex) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let (pool, old) = (client.pool, client.group);
        if group != old {
            client.group = group;
            client.strays.clear();
            client.barrier = true;
        }
        self.leave_group(pool, old);
    }

    /// A client, or a client's attempt, uses the lanes no longer.
    pub(super) fn leave_group(&mut self, pool: PoolIndex, group: GroupIndex) {
        let pool = &mut self.pools[pool.index()];
        if !pool.leave(group) {
            return;
        }
        let links: Vec<_> = pool
            .lanes_of(group)
            .iter()
            .flat_map(|lane| lane.links())
            .collect();
        for link in links {
            self.rearm_link(link);
        }
    }
}
