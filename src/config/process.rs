//! The keys of the mapping `nutcrab:`, which is about the whole process.

use std::num::NonZeroU32;

use super::Process;
use super::address::NUMBER_MAX;
use super::keys::{Key, Presence, bytes, if_any, mebibytes, microseconds, milliseconds, number};

/// Most workers: more than this many threads only hammer the same servers harder.
pub const WORKERS_MAX: u32 = 64;

/// The name of the mapping with the process-wide settings.
pub const PROCESS_SECTION: &str = "nutcrab";

/// Microseconds. Beyond about 200 no gain was seen; what is far beyond is a mistake of the unit.
pub const GATHER_MAX: u32 = 1000;

/// The keys of the mapping `nutcrab:`, which is about the whole process.
pub const PROCESS_KEYS: &[Key<Process>] = &[
    Key {
        name: "workers",
        presence: Presence::Optional,
        help: "Worker threads; --workers on the command line goes before it. Absent: one for each \
               core, at most 4, and 1 when started under the name nutcracker.",
        form: number(1..=WORKERS_MAX, |process, count| {
            process.workers = NonZeroU32::new(count)
        }),
    },
    Key {
        name: "gather",
        presence: Presence::Default("100"),
        help: "The longest a worker with many active clients waits for more requests, so that they \
               leave in one write per server. Every five seconds it tries whether that pays, and \
               does not wait where it does not. 0: it never waits. Only where the system can sleep \
               so shortly (Linux).",
        form: microseconds(0..=GATHER_MAX, |process, time| process.gather = time),
    },
    Key {
        name: "client_connections",
        presence: Presence::Default("0"),
        help: "Most clients of the process at once, over all pools. 0: what the limit of open \
               files leaves. Further ones are answered with an error and closed.",
        form: number(0..=NUMBER_MAX, |process, count| {
            process.client_connections = NonZeroU32::new(count)
        }),
    },
    Key {
        name: "client_request_limit",
        presence: Presence::Default("4096"),
        help: "Requests of one client that may be unanswered; its further ones are left \
               unread until replies are there. If its replies are long, it may have only so \
               many as fill four times `client_output_limit`; while 2,048 requests, most of \
               them of others, wait at a server it asks, 64.",
        form: number(1..=1024 * 1024, |process, count| {
            process.client_request_limit = count as usize
        }),
    },
    Key {
        name: "client_output_limit",
        presence: Presence::Default("524288"),
        help: "Bytes of replies that may wait for one client to read them, and bytes of early \
               replies that may wait for an earlier one. Beyond it the client's further requests \
               are not sent to servers. What it had asked is taken off a connection that others \
               wait on whatever it comes to; where no other client waits, parts of large replies are \
               left to the server, and whole replies beyond four times as much.",
        form: bytes(1024..=1024 * 1024 * 1024, |process, count| {
            process.client_output_limit = count as usize
        }),
    },
    Key {
        name: "slow_client_grace",
        presence: Presence::Default("1000"),
        help: "Accepted, and without effect: no client is closed because it reads slowly while \
               less than three quarters of `memory_limit` are in use, and none holds up others. \
               Beyond that those give way who hold the most.",
        form: milliseconds(1..=NUMBER_MAX, |_, _| {}),
    },
    Key {
        name: "client_min_rate",
        presence: Presence::Default("1024"),
        help: "Bytes a second that a client takes and sends together at least, over ten seconds, if it \
               makes progress. While memory is scarce, those who make none give way before others. \
               0: there is no such difference.",
        form: bytes(0..=1024 * 1024 * 1024, |process, count| {
            process.client_min_rate = count.into()
        }),
    },
    Key {
        name: "incomplete_request_timeout",
        presence: Presence::Default("30000"),
        help: "How long a client that has sent a part of a request may send nothing of the rest; then it \
               is closed. 0: for ever.",
        form: milliseconds(0..=NUMBER_MAX, |process, time| {
            process.incomplete_request_timeout = if_any(time)
        }),
    },
    Key {
        name: "unauthenticated_limit",
        presence: Presence::Default("16777216"),
        help: "Bytes that are kept for all clients together that have not given the password of their \
               pool. The less of it is left the less each may have; who has more is closed. Only \
               where there is a password.",
        form: bytes(65536..=1024 * 1024 * 1024, |process, count| {
            process.unauthenticated_limit = count as usize
        }),
    },
    Key {
        name: "unauthenticated_timeout",
        presence: Presence::Default("30000"),
        help: "How long a client may take to give the password of its pool; then it is closed. Only \
               where there is a password. 0: for ever.",
        form: milliseconds(0..=NUMBER_MAX, |process, time| {
            process.unauthenticated_timeout = if_any(time)
        }),
    },
    Key {
        name: "server_queue_limit",
        presence: Presence::Default("67108864"),
        help: "Bytes of requests that may wait to be sent on one connection to a server. A client \
               that asks more is not read until fewer wait; an error it is told only when a \
               quarter of the free memory waits as well.",
        form: bytes(1024..=1024 * 1024 * 1024, |process, count| {
            process.server_queue_limit = count as usize
        }),
    },
    Key {
        name: "session_connections",
        presence: Presence::Default("1000"),
        help: "Connections of one worker to one server that clients have for themselves, because \
               they wait there, watch keys or listen to channels; a request that needs a further \
               one is answered with an error.",
        form: number(1..=65535, |process, count| {
            process.session_connections = count as usize
        }),
    },
    Key {
        name: "spare_connections",
        presence: Presence::Default("4"),
        help: "Connections of one worker to one server, beside the shared ones, for requests \
               larger than 1 MiB; when all are in use, such a request is gathered in memory \
               meanwhile, and one too large for that waits, at most for the pool's timeout.",
        form: number(1..=65535, |process, count| {
            process.spare_connections = count as usize
        }),
    },
    Key {
        name: "large_reply_connections",
        presence: Presence::Default("64"),
        help: "Connections of one worker to one server for replies that are known to be large, one \
               for each client that reads one, and for what others ask while a large reply passes. \
               They are opened when needed, and closed after ten seconds without use. Beyond that \
               large replies share them.",
        form: number(1..=65535, |process, count| {
            process.large_reply_connections = count as usize
        }),
    },
    Key {
        name: "subscriber_output_limit",
        presence: Presence::Default("33554432"),
        help: "Bytes of messages that may wait for one client that listens to channels; beyond it \
               the client is closed. The default is that of Redis.",
        form: bytes(1024..=1024 * 1024 * 1024, |process, count| {
            process.subscriber_output_limit = count as usize
        }),
    },
    Key {
        name: "subscriber_output_soft_limit",
        presence: Presence::Default("8388608"),
        help: "Bytes of messages that may wait for one client that listens to channels for longer \
               than `subscriber_output_soft_time`; then the client is closed. 0: no such limit. \
               The default is that of Redis.",
        form: bytes(0..=1024 * 1024 * 1024, |process, count| {
            process.subscriber_output_soft_limit = match count {
                0 => usize::MAX,
                count => count as usize,
            };
        }),
    },
    Key {
        name: "subscriber_output_soft_time",
        presence: Presence::Default("60000"),
        help: "How long more than `subscriber_output_soft_limit` may wait for a client.",
        form: milliseconds(1..=NUMBER_MAX, |process, time| {
            process.subscriber_output_soft_time = time
        }),
    },
    Key {
        name: "transaction_limit",
        presence: Presence::Default("1073741824"),
        help: "Bytes of the requests of one transaction, 64 more for each; one more is answered with an \
               error, and EXEC fails. They count to the memory that is kept for the client.",
        form: bytes(1024..=1024 * 1024 * 1024, |process, count| {
            process.transaction_limit = count as usize
        }),
    },
    Key {
        name: "subscription_limit",
        presence: Presence::Default("1073741824"),
        help: "Bytes of the names of channels and patterns that one client listens to, 64 more for each; \
               one more is answered with an error. They count to the memory that is kept for the client.",
        form: bytes(1024..=1024 * 1024 * 1024, |process, count| {
            process.subscription_limit = count as usize
        }),
    },
    Key {
        name: "memory_limit",
        presence: Presence::Default("1024"),
        help: "Memory of the whole process, all buffers included. From three quarters of it \
               on, clients have an eighth of their limits, and those are closed for whom the most \
               is kept for the longest. From seven eighths on, if no client is left that holds much, \
               requests are answered with an error and new clients are refused. 0: no limit.",
        form: mebibytes(0..=1024 * 1024, |process, count| {
            process.memory_limit = (count > 0).then(|| u64::from(count) << 20)
        }),
    },
];
