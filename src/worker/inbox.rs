//! What control and a worker tell each other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::Socket;
use crate::proxy::{Call, Cause, ConnId, Notice, PoolIndex, Time};
use crate::route::{Router, ServerIndex};

/// To a worker.
#[derive(Debug)]
pub enum Message {
    /// A client was accepted and is this worker's from now on.
    Client {
        /// Whose listener it came to.
        pool: PoolIndex,
        /// With its options set.
        socket: Socket,
        /// To be kept as long as the socket.
        permit: ClientPermit,
    },
    /// The address of a server is known, or that it cannot be.
    Resolved {
        /// The connection that waits for it.
        conn: ConnId,
        /// The first address of the host, with the port.
        address: io::Result<SocketAddr>,
    },
    /// Keys live elsewhere from now on.
    Router {
        /// In which pool.
        pool: PoolIndex,
        /// Where.
        router: Arc<Router>,
    },
    /// Whether a success of this server is to be reported.
    Failing {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
        /// Whether its count of failures is not 0.
        failing: bool,
    },
    /// What a client of another worker asks of one of this worker.
    Call(Call),
    /// What came of the call of a client of this worker.
    Return(Call, Result<bool, Cause>),
    /// To be dropped when the worker comes round: whoever sent it sees that it still turns.
    Pulse(Arc<()>),
    /// Read no more requests, and end when all clients have what they are owed.
    Drain,
    /// End now.
    Stop,
}

/// From a worker.
#[derive(Debug)]
pub enum Report {
    /// A server failed once.
    Failed {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
        /// When what showed it began to go wrong, at the earliest.
        since: Time,
        /// When it was seen. Control may hear of it a moment later, when an attempt that began after it
        /// has failed already.
        at: Time,
        /// How it failed.
        cause: Cause,
    },
    /// A server whose failures were not 0 has replied.
    Succeeded {
        /// Whose server.
        pool: PoolIndex,
        /// Which server.
        server: ServerIndex,
    },
    /// For the worker that has the client.
    Call(Call),
    /// For the worker whose client has asked.
    Return(Call, Result<bool, Cause>),
    /// Something for the log.
    Notice(Notice),
}

/// A client's place among those that are counted. The place is free again when this is dropped.
#[derive(Debug)]
pub struct ClientPermit {
    counts: [Option<Arc<AtomicUsize>>; 3],
}

impl ClientPermit {
    /// Counts one more client of a pool and of a worker.
    #[doc(hidden)]
    pub fn take(pool: &Arc<AtomicUsize>, worker: &Arc<AtomicUsize>) -> Self {
        Self::take_with(pool, worker, None)
    }

    /// Counts it for its source address, too, if those are counted.
    pub fn take_with(
        pool: &Arc<AtomicUsize>,
        worker: &Arc<AtomicUsize>,
        address: Option<Arc<AtomicUsize>>,
    ) -> Self {
        let counts = [Some(Arc::clone(pool)), Some(Arc::clone(worker)), address];
        for count in counts.iter().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Self { counts }
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        for count in self.counts.iter().flatten() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
