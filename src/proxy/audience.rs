//! What waits for all who listen to channels, together.
//!
//! A message goes to all who listen, so nobody can be made to wait for those who do not read: what waits for
//! them is bounded for each of them, and for all of them to a quarter of the memory. Beyond that the worst
//! are closed, in the order in which holders give way.

use super::Proxy;
use super::ids::ClientId;

/// So much of the memory may be messages that wait.
const PART: u64 = 4;

/// Messages are counted once this share of what may wait has come since the last time.
const COUNT_PART: u64 = 16;

/// Who has less waiting is not worth closing.
const LEAST: usize = 64 * 1024;

impl Proxy {
    /// A message of `len` bytes waits for a client.
    pub(super) fn message_waits(&mut self, len: usize) {
        self.new_messages += len as u64;
        if self.new_messages >= self.memory.limit() / PART / COUNT_PART {
            self.count_messages();
        }
    }

    /// Counts what waits for those who listen, and closes the worst of them if it is too much.
    #[cold]
    fn count_messages(&mut self) {
        self.new_messages = 0;
        let mut mine = 0;
        let mut listeners: Vec<(u64, usize, ClientId)> = Vec::new();
        for (id, client) in self.clients.iter() {
            let Some(subscriber) = client.subscriber() else {
                continue;
            };
            let waiting = client.out.len() + subscriber.waiting();
            mine += waiting as u64;
            if waiting >= LEAST {
                listeners.push((self.client_age(id, client), waiting, id));
            }
        }
        let bound = self.memory.limit() / PART;
        let others = self
            .balance
            .as_ref()
            .map_or(0, |balance| balance.other_messages(self.place, self.now));
        // What others leave, and the part of each in any case.
        let room = (bound.saturating_sub(others)).max(bound / self.workers);
        if mine > room {
            listeners.sort_unstable_by_key(|&(age, waiting, _)| std::cmp::Reverse((age, waiting)));
            for (_, waiting, id) in listeners {
                if mine <= room - room / 8 {
                    break;
                }
                mine -= waiting as u64;
                self.count_subscriber_limit(id);
                self.shed_client(id, waiting);
            }
        }
        if let Some(balance) = &self.balance {
            balance.tell_messages(self.place, mine, self.now);
        }
    }

    fn count_subscriber_limit(&self, id: ClientId) {
        if let Some(client) = self.clients.find(id) {
            let stats = &self.stats.pools[client.pool.index()];
            stats.subscriber_output_limit_hits.add(1);
        }
    }
}
