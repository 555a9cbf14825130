//! The counters: one table, one set of cells per writing thread, sums made when someone reads.
//!
//! A row of the table gives the name, kind and help of a counter; the cells, twemproxy's JSON
//! (`json`), the text of `-D` (`describe`) and that for Prometheus (`prometheus`) all come from it.
//! How long requests took is counted beside it (`latency`). This room is pure: it knows no
//! socket, no clock and no configuration; names and times are handed to it.
//!
//! ```text
//!   worker 0 --> Cells --+
//!   worker 1 --> Cells --+-- Stats, summed row by row when read: always current, never locked
//!   control  --> Cells --+
//! ```
//!
//! Each set has exactly one writing thread. That is why a cell is a relaxed load and store instead
//! of an atomic addition: the request path pays for a plain add, and readers on other threads still
//! see whole values.

mod describe;
mod json;
mod latency;
mod memcached;
mod prometheus;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use describe::describe;
pub use json::Process;
pub use latency::{Histogram, Latency, Total};
pub use prometheus::{About, CONTENT_TYPE, Metric, metrics};

/// One cell: a signed 64-bit number with a single writer and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicI64);

impl Counter {
    /// Adds `amount`. Only the thread that owns the set may call this.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.set(self.read().wrapping_add(amount as i64));
    }

    /// Takes `amount` away. Only the thread that owns the set may call this.
    #[inline]
    pub fn sub(&self, amount: u64) {
        self.set(self.read().wrapping_sub(amount as i64));
    }

    /// Replaces the value. Only the thread that owns the set may call this.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value as last written.
    #[inline]
    pub fn read(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How the cells of several threads become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the sum.
    Counter,
    /// Goes up and down; the sum, and never below zero.
    Gauge,
    /// Microseconds since the epoch, 0 for never; the latest.
    Timestamp,
}

/// Whether twemproxy has the counter too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In twemproxy's JSON and `-D` text, whose contents are fixed.
    Twemproxy,
    /// Ours alone; absent from both.
    Nutcrab,
}

/// A row of the table for cells of type `T`.
pub struct Row<T: 'static> {
    /// As printed.
    pub name: &'static str,
    /// How it is summed.
    pub kind: Kind,
    /// Whether it is in the formats twemproxy has fixed.
    pub origin: Origin,
    /// One line for operators, without a full stop.
    pub help: &'static str,
    cell: fn(&T) -> &Counter,
}

impl<T> Row<T> {
    /// One number from the same row of every set.
    pub fn sum<'a>(&self, sets: impl Iterator<Item = &'a T>) -> i64 {
        let values = sets.map(|set| (self.cell)(set).read());
        match self.kind {
            Kind::Counter => values.fold(0, i64::wrapping_add),
            // A reader may meet one thread's subtraction before another thread's addition.
            Kind::Gauge => values.fold(0, i64::wrapping_add).max(0),
            Kind::Timestamp => values.fold(0, i64::max),
        }
    }
}

macro_rules! counters {
    ($(
        $(#[$doc:meta])*
        struct $cells:ident, rows $rows:ident $(, with $(#[$inner_doc:meta])* $inner:ident: $inner_type:ty)* {
            $($name:ident $kind:ident $origin:ident $help:literal;)+
        }
    )+) => {$(
        $(#[$doc])*
        // Aligned to two cache lines (the prefetcher fetches pairs) so that no set shares one with
        // another thread's.
        #[repr(align(128))]
        #[derive(Debug, Default)]
        pub struct $cells {
            $(#[doc = $help] pub $name: Counter,)+
            $($(#[$inner_doc])* pub $inner: $inner_type,)*
        }

        #[doc = concat!("The rows of [`", stringify!($cells), "`], in the order they are printed.")]
        pub static $rows: &[Row<$cells>] = &[$(
            Row {
                name: stringify!($name),
                kind: Kind::$kind,
                origin: Origin::$origin,
                help: $help,
                cell: |cells| &cells.$name,
            },
        )+];
    )+};
}

counters! {
    /// What one thread counted, for the whole process.
    struct WorkerStats, rows GLOBAL, with
        /// In the order of the configuration.
        pools: Vec<PoolStats>
    {
        total_connections Counter Twemproxy
            "connections ever made: clients, servers (also failed attempts) and listeners";
        curr_connections Gauge Twemproxy "connections open now, listeners among them";
        memory_bytes Gauge Nutcrab "memory in use by the workers, in bytes";
        gathering Gauge Nutcrab
            "workers that wait a moment for more requests: many clients are active, and it pays";
    }

    /// What one thread counted for one pool.
    struct PoolStats, rows POOL, with
        /// In the order of the configuration.
        servers: Vec<ServerStats>,
    with
        /// By family of commands, as in [`PoolNames::families`].
        latency: Vec<Latency>
    {
        client_eof Counter Twemproxy "client connections that ended with an eof or a quit";
        client_err Counter Twemproxy "client connections that ended in any other way";
        client_connections Gauge Twemproxy "client connections open now";
        server_ejects Counter Twemproxy "servers taken out after too many failures";
        forward_error Counter Twemproxy "requests answered with an error of the proxy";
        fragments Counter Twemproxy "parts that requests with several keys were split into";
        cross_shard Counter Nutcrab
            "requests that cannot be split and whose keys live on several servers";
        client_refused Counter Nutcrab
            "clients turned away at the limit of client_connections, the pool's or the process'";
        client_connections_per_address_hits Counter Nutcrab
            "clients turned away at the limit of client_connections_per_address";
        client_request_limit_hits Counter Nutcrab
            "times a client was left unread because so many of its requests were unanswered";
        client_output_limit_hits Counter Nutcrab
            "times a client was left unread because so much output waited for it";
        unauthenticated_closed Counter Nutcrab
            "clients closed because they did not authenticate in time, or sent much before";
        slow_client_grace_hits Counter Nutcrab
            "always 0: no client is closed for holding up others";
        key_limit_hits Counter Nutcrab "requests refused for the length of a key";
        value_limit_hits Counter Nutcrab "requests refused for the length of an argument or value";
        argument_limit_hits Counter Nutcrab "requests refused for the number of their arguments";
        request_limit_hits Counter Nutcrab "requests refused for their length";
        inline_limit_hits Counter Nutcrab "inline commands refused for their length";
        local_request_limit_hits Counter Nutcrab
            "requests refused for their length that the proxy answers itself";
        nesting_limit_hits Counter Nutcrab
            "server connections closed for a reply nested too deeply";
        server_queue_limit_hits Counter Nutcrab
            "times a client was not read, or a request refused, since too much waited for the server";
        session_connections_hits Counter Nutcrab
            "requests refused because so many clients had connections to the server of their own";
        spare_connections_hits Counter Nutcrab
            "large requests that found no connection of their own free";
        slow_uploads_ended Counter Nutcrab
            "large requests failed because they came slowly while others waited";
        transaction_limit_hits Counter Nutcrab "transactions refused for their length";
        script_flushes Counter Nutcrab "times clients had all scripts forgotten (SCRIPT FLUSH)";
        subscription_limit_hits Counter Nutcrab
            "subscriptions refused because the client had so many";
        subscriber_output_limit_hits Counter Nutcrab
            "clients closed because so many messages waited for them";
        memory_limit_hits Counter Nutcrab
            "requests refused because the process was short of memory, or for keys too many for what is free";
        memory_limit_closed Counter Nutcrab
            "connections closed because memory was scarce and much was kept for them";
        memory_limit_refused Counter Nutcrab
            "clients turned away because the process was short of memory";
    }

    /// What one thread counted for one server of a pool.
    struct ServerStats, rows SERVER {
        server_eof Counter Twemproxy "server connections closed by the server";
        server_err Counter Twemproxy "server connections that ended in an error";
        server_timedout Counter Twemproxy
            "server connections, or spells of late replies on one, that timed out";
        server_reply_violations Counter Nutcrab
            "server connections closed for a reply that broke the protocol, which a request may have caused";
        server_connections Gauge Twemproxy "server connections established now";
        server_backoff_hits Counter Nutcrab
            "requests refused between two attempts to connect to a server that refuses";
        server_ejected_at Timestamp Twemproxy
            "when the server was last taken out, in usec since the epoch; 0 is never";
        requests Counter Twemproxy "requests, fragments counted one by one";
        request_bytes Counter Twemproxy "bytes of requests";
        responses Counter Twemproxy "replies passed on";
        response_bytes Counter Twemproxy "bytes of replies";
        in_queue Gauge Twemproxy "requests waiting to be sent";
        in_queue_bytes Gauge Twemproxy "bytes of requests waiting to be sent";
        out_queue Gauge Twemproxy "requests sent and not yet answered";
        out_queue_bytes Gauge Twemproxy "bytes of requests sent and not yet answered";
    }
}

/// The names of a pool and its servers, as shown to readers.
#[derive(Clone, Debug)]
pub struct PoolNames {
    /// The pool's name.
    pub name: String,
    /// The servers' names, in the order of the configuration.
    pub servers: Vec<String>,
    /// The families of commands its protocol has.
    pub families: &'static [&'static str],
}

impl WorkerStats {
    /// A set of zeros with room for these pools and servers.
    pub fn new(names: &[PoolNames]) -> Self {
        let pool = |names: &PoolNames| PoolStats {
            servers: names
                .servers
                .iter()
                .map(|_| ServerStats::default())
                .collect(),
            latency: names.families.iter().map(|_| Latency::default()).collect(),
            ..PoolStats::default()
        };
        Self {
            pools: names.iter().map(pool).collect(),
            ..Self::default()
        }
    }
}

/// Every thread's set, and the names to print them under.
#[derive(Debug)]
pub struct Stats {
    names: Vec<PoolNames>,
    sets: Vec<Arc<WorkerStats>>,
}

impl Stats {
    /// Zeros for `writer_count` threads; each thread takes its own with [`Stats::set`].
    pub fn new(names: Vec<PoolNames>, writer_count: usize) -> Self {
        let sets = (0..writer_count)
            .map(|_| Arc::new(WorkerStats::new(&names)))
            .collect();
        Self { names, sets }
    }

    /// The set of the writer with this index, which must be below the count given to `new`.
    pub fn set(&self, writer_index: usize) -> Arc<WorkerStats> {
        Arc::clone(&self.sets[writer_index])
    }

    /// How often clients of a pool had all scripts forgotten, on any thread.
    pub fn script_flushes(&self, pool_index: usize) -> i64 {
        let pools = self.pool(pool_index);
        pools
            .map(|pool| pool.script_flushes.read())
            .fold(0, i64::wrapping_add)
    }

    fn global(&self) -> impl Iterator<Item = &WorkerStats> {
        self.sets.iter().map(|set| &**set)
    }

    fn pool(&self, pool_index: usize) -> impl Iterator<Item = &PoolStats> {
        self.global().map(move |set| &set.pools[pool_index])
    }

    fn server(&self, pool_index: usize, server_index: usize) -> impl Iterator<Item = &ServerStats> {
        self.pool(pool_index)
            .map(move |pool| &pool.servers[server_index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<PoolNames> {
        vec![PoolNames {
            name: "alpha".into(),
            servers: vec!["a".into(), "b".into()],
            families: &["string", "other"],
        }]
    }

    fn row<T>(rows: &'static [Row<T>], name: &str) -> &'static Row<T> {
        rows.iter()
            .find(|row| row.name == name)
            .expect("a row of the table")
    }

    #[test]
    fn counters_of_all_writers_are_added() {
        let stats = Stats::new(names(), 3);
        for writer in 0..3 {
            stats.set(writer).pools[0].servers[1]
                .requests
                .add(writer as u64 + 1);
        }
        assert_eq!(row(SERVER, "requests").sum(stats.server(0, 1)), 6);
        assert_eq!(row(SERVER, "requests").sum(stats.server(0, 0)), 0);
    }

    #[test]
    fn a_gauge_is_never_shown_below_zero() {
        let stats = Stats::new(names(), 2);
        stats.set(0).curr_connections.sub(3);
        stats.set(1).curr_connections.add(1);
        assert_eq!(row(GLOBAL, "curr_connections").sum(stats.global()), 0);
        stats.set(1).curr_connections.add(4);
        assert_eq!(row(GLOBAL, "curr_connections").sum(stats.global()), 2);
    }

    #[test]
    fn a_timestamp_is_the_latest_of_all_writers() {
        let stats = Stats::new(names(), 2);
        stats.set(0).pools[0].servers[0].server_ejected_at.set(7);
        stats.set(1).pools[0].servers[0].server_ejected_at.set(5);
        assert_eq!(row(SERVER, "server_ejected_at").sum(stats.server(0, 0)), 7);
    }

    #[test]
    fn no_two_rows_of_a_scope_share_a_name() {
        fn check<T>(rows: &[Row<T>]) {
            let mut names: Vec<_> = rows.iter().map(|row| row.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), rows.len());
        }
        check(GLOBAL);
        check(POOL);
        check(SERVER);
    }

    #[test]
    fn sets_of_two_threads_share_no_cache_line() {
        assert_eq!(align_of::<WorkerStats>(), 128);
        assert_eq!(align_of::<PoolStats>(), 128);
        assert_eq!(align_of::<ServerStats>(), 128);
    }
}
