//! Connections with output of this turn, in the order in which they are written.

use std::collections::VecDeque;

use super::ids::{ConnId, Side};

/// Those to servers come first: while clients are written to, the servers are at work already. Clients
/// have their turn as they came, so that none waits for all others each time.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    links: VecDeque<ConnId>,
    clients: VecDeque<ConnId>,
}

impl Dirty {
    /// The connection has output. It is on the list once: whoever calls this knows.
    #[inline]
    pub fn push(&mut self, conn: ConnId) {
        match conn.side() {
            Side::Server(_) => self.links.push_back(conn),
            Side::Client(_) => self.clients.push_back(conn),
        }
    }

    /// The next to be written to.
    #[inline]
    pub fn pop(&mut self) -> Option<ConnId> {
        self.links.pop_front().or_else(|| self.clients.pop_front())
    }

    /// Gives back room beyond `kept` entries.
    pub fn shrink_to(&mut self, kept: usize) {
        self.links.shrink_to(kept);
        self.clients.shrink_to(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_first_and_then_clients_in_order() {
        // Odd places are those of servers.
        let [one, two, server] = [2, 4, 3].map(ConnId::from_token);
        let mut dirty = Dirty::default();
        for conn in [one, two, server] {
            dirty.push(conn);
        }
        let order: Vec<ConnId> = std::iter::from_fn(|| dirty.pop()).collect();
        assert_eq!(order, [server, one, two]);
    }
}
