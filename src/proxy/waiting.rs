//! WAIT and WAITAOF: until replicas, or disks, have what the client wrote.
//!
//! Each server the client has sent requests to is asked, over a connection of the client's own, once the
//! client has been answered everything else: what it wrote is done by then. How a server is told up to
//! where to wait is the business of [`wait`]. That it waits for what other clients wrote meanwhile as
//! well is all the same: it never counts a replica too many.
//!
//! The first failure, or error, is the reply, and ends the wait for the others.

use std::mem;

use super::cause::Cause;
use super::client::server_bit;
use super::exchange::Exchange;
use super::fragments::Part;
use super::ids::{ClientId, LinkId};
use super::request::Request;
use super::time::Time;
use super::{CloseHow, Proxy};
use crate::buffer::Input;
use crate::protocol::redis::wait;
use crate::protocol::{Merge, Partial};
use crate::route::ServerIndex;

impl Proxy {
    /// WAIT and WAITAOF. Says whether it was taken, see [`Proxy::handle`].
    pub(super) fn wait(&mut self, request: &Request, input: Input<'_>) -> bool {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return true;
        };
        if !client.ring.is_empty() {
            return false;
        }
        let group = client.group;
        let servers = self.asked_servers(id);
        if servers.is_empty() {
            self.answer_error(id, Cause::Refused);
            return true;
        }
        let mut links = Vec::with_capacity(servers.len());
        for &server in &servers {
            match self.take_pinned(id, group, server) {
                Ok(link) => links.push(link),
                Err(cause) => {
                    for link in links {
                        self.give_back(link);
                    }
                    self.answer_error(id, cause);
                    return true;
                }
            }
        }
        let requests = [wait::BEFORE[0], wait::BEFORE[1], input.bytes()];
        let of_each = |&server: &ServerIndex| requests.map(|_| Part::whole(server));
        let parts: Vec<Part> = servers.iter().flat_map(of_each).collect();
        let fanout = self.scratch.fanout(Merge::Waited, Partial::Fail);
        let Some(sequence) = self.push_fanout(request, fanout, &parts) else {
            return true;
        };
        if let Some(client) = self.clients.find_mut(id) {
            client.barrier = true;
            client.session().blocked.clone_from(&links);
        }
        let mut fragment = 0;
        for link in links {
            self.ask_number(link);
            for bytes in requests {
                let entry = request
                    .of_any_family()
                    .fragment_entry(sequence, fragment, Time::NEVER);
                self.send_bytes(link, entry, bytes);
                fragment += 1;
            }
        }
        true
    }

    /// The servers the client has sent requests to, or more; all that are live if there are none.
    fn asked_servers(&self, id: ClientId) -> Vec<ServerIndex> {
        let Some(client) = self.clients.find(id) else {
            return Vec::new();
        };
        let pool = self.pool(client.pool);
        let all = (0..pool.server_count()).map(|server| ServerIndex(server as u16));
        if client.servers_used == 0 {
            return all.filter(|&server| pool.router.is_live(server)).collect();
        }
        all.filter(|&server| client.servers_used & server_bit(server) != 0)
            .collect()
    }

    /// Ends the client's wait if a server has answered in a way that makes it pointless.
    pub(super) fn end_lost_wait(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if let Some(Exchange::Fanout(fanout)) = client.ring.head()
            && fanout.merge == Merge::Waited
            && wait::is_lost(&fanout.replies)
        {
            self.end_wait(id);
        }
    }

    /// Ends the client's wait at all servers that have not answered.
    pub(super) fn end_wait(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        for link in mem::take(&mut client.session().blocked) {
            self.abandon(id, link);
        }
        self.advance(id);
    }

    /// Closes a connection on which the client waits, with others, for what does not matter any more.
    fn abandon(&mut self, id: ClientId, link: LinkId) {
        let Some(link) = self.forget_link(link, CloseHow::Reset) else {
            return;
        };
        if let Some(client) = self.clients.find_mut(id) {
            for entry in &link.in_flight {
                if let Some(Exchange::Fanout(fanout)) = client.ring.find(entry.sequence)
                    && let Some(fragment) = entry.fragment
                {
                    let held = fanout.give_up(fragment, &mut self.buffers);
                    client.ring.waiting_bytes -= held;
                }
            }
        }
        self.serve_waiting(link.pool, link.lane);
    }
}
