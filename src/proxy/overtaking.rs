//! What a server answers while it is busy with a script: the order to end that, and what it is that runs.
//!
//! On the connections that clients share it would wait behind the script it is about, and in another
//! database even a new connection could not be greeted. So it has a connection of its own to each server, for
//! all clients of a worker, which is greeted without SELECT; and it goes to servers that were ejected as
//! well, as a server that is busy for long may be.

use super::Proxy;
use super::cause::Cause;
use super::fragments::Part;
use super::ids::{LinkId, PoolIndex};
use super::link::Kind;
use super::pool::GroupIndex;
use super::request::Request;
use crate::buffer::Input;
use crate::protocol::{Fan, Merge};
use crate::route::ServerIndex;

impl Proxy {
    /// Sends the request to every server, past all that was asked of it before.
    pub(super) fn overtake(&mut self, request: &Request, fan: Fan, input: Input<'_>) {
        let id = request.client;
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        // What it asks next must not be met by this.
        client.barrier = true;
        // A status is the same in both versions of the protocol.
        let group = match fan.merge {
            Merge::Status => GroupIndex::default(),
            _ => client.group,
        };
        let pool = client.pool;
        let servers = 0..self.pool(pool).server_count() as u16;
        let servers: Vec<ServerIndex> = servers.map(ServerIndex).collect();
        let parts: Vec<Part> = servers.iter().copied().map(Part::whole).collect();
        let mut fanout = self.scratch.fanout(fan.merge, fan.partial);
        fanout.order.extend(0..parts.len() as u16);
        let Some(sequence) = self.push_fanout(request, fanout, &parts) else {
            return;
        };
        for (fragment, server) in servers.into_iter().enumerate() {
            let fragment = fragment as u16;
            match self.overtaking_link(pool, group, server) {
                Ok(link) => {
                    let entry = request
                        .of_any_family()
                        .fragment_entry(sequence, fragment, self.now);
                    self.send_input(link, entry, input);
                }
                Err(cause) => self.fail_fragment(id, sequence, fragment, cause),
            }
        }
        self.advance(id);
    }

    /// The connection to a server on which nothing waits that a busy server does not answer.
    fn overtaking_link(
        &mut self,
        pool: PoolIndex,
        group: GroupIndex,
        server: ServerIndex,
    ) -> Result<LinkId, Cause> {
        let lane = self.pools[pool.index()].lane_of(group, server);
        if let Some(link) = self.pools[pool.index()].lane(lane).overtaking {
            return Ok(link);
        }
        self.may_connect(pool, lane, Kind::Overtaking)?;
        let link = self.open(pool, lane, server, Kind::Overtaking);
        self.pools[pool.index()].lane(lane).overtaking = Some(link);
        Ok(link)
    }
}
