//! What the core does when the process runs short of memory.
//!
//! ```text
//!   0            1/4           1/2                 3/4              7/8          memory_limit
//!   +-------------+-------------+-------------------+----------------+----------------+
//!     all may have  rates are     holders are        those who hold   who cannot be
//!     their share   measured      counted            most give way    relieved is refused
//! ```
//!
//! What one client may hold follows from what is free, so that a few cannot take all. From three quarters
//! on those give way who hold the most for the longest (see `census`), and clients may have an eighth of
//! their usual limits. Requests are refused only when nobody has been left for a while who could give way,
//! at any worker: what is given back takes a moment until it is free.

use std::time::Duration;

use super::balance::RANKS;
use super::cause::Cause;
use super::census::Holder;
use super::client::Ending;
use super::ids::{ClientId, LinkId, PoolIndex, Side};
use super::notice::What;
use super::{CloseHow, Proxy};

/// What the process has of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    used: u64,
    limit: u64,
}

/// How scarce memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// Less than a quarter is left: clients have an eighth of their limits, and the worst are closed.
    Tight,
    /// Less than an eighth is left: requests may be refused.
    Short,
    /// Nothing is left.
    Over,
}

/// What clients have under pressure, as a part of their limits.
const PART: usize = 8;

/// One client's share, as a part of what is free. So a single one leaves four fifths to others, and however
/// many there are, something is always free.
const SHARE_PART: u64 = 4;

/// What one client may have however much is free.
const SHARE_MAX: u64 = 128 * 1024 * 1024;

/// What everybody may have, however scarce memory is.
pub(super) const SHARE_MIN: u64 = 64 * 1024;

/// The same of a connection to a server.
const QUEUE_MIN: usize = 256 * 1024;

/// Who holds less is not worth closing.
const SHED_MIN: u64 = 64 * 1024;

/// The same when requests would be refused otherwise.
const SHED_MIN_SHORT: u64 = 8 * 1024;

/// How often holders are counted while half of the memory is in use.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// So long nobody must have been able to give way before requests are refused. What makes memory grow
/// meanwhile is held by somebody, who is counted and gives way.
const REFUSE_AFTER: Duration = Duration::from_millis(200);

/// How soon it is seen whether it was enough that some were closed.
const COUNT_AGAIN: Duration = Duration::from_millis(20);

impl Memory {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        used: 0,
        limit: u64::MAX,
    };

    /// Bytes there may be.
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// Up to here there is enough: three quarters.
    pub fn ample(self) -> u64 {
        self.limit - self.limit / 4
    }

    fn pressure(self) -> Pressure {
        if self.used < self.ample() {
            Pressure::None
        } else if self.used < self.limit - self.limit / 8 {
            Pressure::Tight
        } else if self.used < self.limit {
            Pressure::Short
        } else {
            Pressure::Over
        }
    }

    /// Bytes to be given back, so that not every further one brings this about again.
    fn excess(self) -> u64 {
        let target = self.ample() - self.limit / 16;
        match self.pressure() {
            Pressure::None => 0,
            _ => self.used - target,
        }
    }

    /// Bytes that must be given back before requests need not be refused.
    fn missing(self) -> u64 {
        self.used.saturating_sub(self.limit - self.limit / 8)
    }

    /// What is free before it is scarce.
    fn free(self) -> u64 {
        self.ample().saturating_sub(self.used)
    }
}

impl Proxy {
    /// The process uses `used` bytes of memory now, where it may use `limit`. Closes those who hold the
    /// most if that is too much, and says whether it did. To be told every turn, and again after that.
    pub fn set_memory(&mut self, used: u64, limit: u64) -> bool {
        self.memory = Memory { used, limit };
        let part = usize::try_from(self.memory.free() / SHARE_PART).unwrap_or(usize::MAX);
        self.limits.queue = self.usual.queue.min(part.max(QUEUE_MIN));
        self.limits.queue_most = self.usual.queue.saturating_add(part);
        if used < limit / 4 {
            self.census.forget();
        } else if self.census.is_due(self.now) {
            self.read_paces();
        }
        if used < limit / 2 {
            self.stop_counting();
        }
        let closed = used >= limit / 2 && self.is_count_due() && self.count_holders();
        self.set_pressure(self.memory.pressure());
        closed
    }

    /// Whether requests of this pool are refused for want of memory.
    #[inline]
    pub(super) fn is_short(&self, pool: PoolIndex) -> bool {
        self.pools[pool.index()].refused
    }

    /// Bytes that may be kept for one client of this pool. The more is free the more that is; who holds more
    /// is to be read no further until it holds less, and is closed for it only when memory is scarce.
    pub(super) fn share(&self, pool: PoolIndex) -> usize {
        let share = if self.pools[pool.index()].over {
            SHARE_MIN
        } else {
            (self.memory.free() / SHARE_PART).clamp(SHARE_MIN, SHARE_MAX)
        };
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    fn set_pressure(&mut self, pressure: Pressure) {
        if pressure == self.pressure {
            return;
        }
        let part = if pressure == Pressure::None { 1 } else { PART };
        let eased = self.pressure > pressure;
        self.pressure = pressure;
        self.limits.window = (self.usual.window / part).max(1);
        self.limits.outstanding = (self.usual.outstanding / part).max(1);
        if pressure < Pressure::Short {
            self.hopeless_since = None;
            self.refuse_pools(|_| false);
        }
        if eased {
            let clients: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
            for id in clients {
                self.unblock(id);
                self.unstall(id);
            }
        }
    }

    /// There is so much memory that nobody needs to know who holds it.
    fn stop_counting(&mut self) {
        if self.counted_used > 0 {
            self.counted_used = 0;
            if let Some(balance) = &self.balance {
                balance.withdraw(self.place);
            }
        }
    }

    fn is_count_due(&self) -> bool {
        let more = self.memory.used >= self.counted_used + self.memory.limit / 64;
        let scarce = self.memory.pressure() > Pressure::None;
        self.now >= self.count_next || (scarce && more)
    }

    /// Counts who holds how much, tells the other workers, and closes the worst if there is too little
    /// memory. Says whether somebody was closed.
    fn count_holders(&mut self) -> bool {
        let pressure = self.memory.pressure();
        let scarce = pressure > Pressure::None;
        if scarce {
            self.buffers.release(usize::MAX);
            self.told.clear();
        }
        let least = match pressure {
            Pressure::None | Pressure::Tight => SHED_MIN,
            Pressure::Short | Pressure::Over => SHED_MIN_SHORT,
        };
        let (holders, sums) = self.take_census(least);
        let (mut others, mut relief) = ([0; RANKS], sums.ranks.iter().sum::<u64>());
        if let Some(balance) = &self.balance {
            others = balance.others(self.place, sums.pools.len(), self.now).ranks;
            relief += balance.relief(self.place, self.now);
            // With what is to be closed now: until that is free the others see it in use.
            balance.tell(self.place, &sums, self.now);
        }
        let (excess, missing) = (self.memory.excess(), self.memory.missing());
        let mut closed = 0;
        for holder in yielding(&holders, &others, excess) {
            closed += holder.held;
            self.shed(holder);
        }
        let soon = if closed > 0 { COUNT_AGAIN } else { COUNT_EVERY };
        self.count_next = self.now + soon;
        self.memory.used -= closed.min(self.memory.used);
        self.counted_used = self.memory.used.max(1);
        let hopeless = pressure >= Pressure::Short && relief < missing.max(1);
        self.hopeless_since = hopeless.then(|| self.hopeless_since.unwrap_or(self.now));
        let hopeless = self
            .hopeless_since
            .is_some_and(|since| self.now.since(since) >= REFUSE_AFTER);
        match self.memory.pressure() {
            Pressure::Over => self.refuse_pools(|_| hopeless),
            Pressure::Short if self.pools.iter().any(|pool| pool.over) => {
                self.refuse_pools(|over| hopeless && over);
            }
            Pressure::Short => self.refuse_pools(|_| hopeless),
            Pressure::None | Pressure::Tight => self.refuse_pools(|_| false),
        }
        closed > 0
    }

    /// Refuses the requests of pools, by whether they hold more than their share.
    fn refuse_pools(&mut self, refuses: impl Fn(bool) -> bool) {
        let mut any = false;
        for pool in &mut self.pools {
            pool.refused = refuses(pool.over);
            any |= pool.refused;
        }
        if let Some(balance) = &self.balance {
            balance.set_refusing(self.place, any);
        }
    }

    fn shed(&mut self, holder: Holder) {
        match holder.conn.side() {
            Side::Client(id) => self.shed_client(id, holder.held as usize),
            Side::Server(id) => self.shed_link(id),
        }
    }

    pub(super) fn shed_client(&mut self, id: ClientId, held: usize) {
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

/// Those of `holders`, the worst first, who give way so that all workers together give back `excess` bytes.
/// What the other workers hold of each rank; they give back their part of it.
fn yielding(holders: &[Holder], others: &[u64; RANKS], excess: u64) -> Vec<Holder> {
    let mut chosen = Vec::new();
    let mut left = excess;
    let mut rest = holders;
    for rank in (0..RANKS).rev() {
        if left == 0 {
            break;
        }
        let count = rest.iter().take_while(|it| it.rank == rank).count();
        let (here, after) = rest.split_at(count);
        rest = after;
        let mine: u64 = here.iter().map(|holder| holder.held).sum();
        let all = mine + others[rank];
        let quota = if all <= left {
            mine
        } else {
            (u128::from(left) * u128::from(mine)).div_ceil(u128::from(all)) as u64
        };
        let mut given = 0;
        for holder in here {
            if given >= quota {
                break;
            }
            given += holder.held;
            chosen.push(*holder);
        }
        left -= all.min(left);
    }
    chosen
}
