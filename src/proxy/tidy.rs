//! Giving back memory that a busier time needed.
//!
//! Buffers, tables and what clients keep for their next request are used again at once while there is
//! traffic; that is what makes requests cheap. From time to time the worker asks to have given back
//! what was not needed meanwhile, so that a burst does not cost memory for ever.

use std::mem;

use super::Proxy;

/// Clients that are looked at in one call: it must not take long.
const CLIENTS_AT_ONCE: usize = 16 * 1024;

/// Entries of a list that are kept whatever happens.
const ENTRIES_KEPT: usize = 256;

/// What one call of [`Proxy::tidy`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Bytes that were freed, about.
    pub freed: usize,
    /// Whether another call, after a while, may free more.
    pub again: bool,
}

impl Proxy {
    /// Bytes that were freed because clients left for whom much was kept, since it was last asked.
    pub fn take_released(&mut self) -> usize {
        mem::take(&mut self.released)
    }

    /// Gives back what was not needed since the last call.
    pub fn tidy(&mut self) -> Tidied {
        let mut freed = self.buffers.tidy() + self.clients.tidy() + self.links.tidy();
        let mut again = self.buffers.idle_count() > 0;
        let end = self.tidied + CLIENTS_AT_ONCE;
        for client in self.clients.values_mut(self.tidied..end) {
            match client.tidy() {
                Some(bytes) => freed += bytes,
                None => again = true,
            }
        }
        let all = end >= self.clients.place_count();
        self.tidied = if all { 0 } else { end };
        self.timers.tidy();
        self.actions.shrink_to(ENTRIES_KEPT);
        self.dirty.shrink_to(ENTRIES_KEPT);
        self.waking.shrink_to(ENTRIES_KEPT);
        self.later.shrink_to(ENTRIES_KEPT);
        self.divisions.shrink_to(ENTRIES_KEPT);
        self.joining.shrink_to(ENTRIES_KEPT);
        again |= !all || freed > 0;
        Tidied { freed, again }
    }
}
