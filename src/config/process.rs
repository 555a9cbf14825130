//! The keys of the mapping `nutcrab:`, which is about the whole process.

use super::address::NUMBER_MAX;
use super::keys::{BYTES, Form, Key, MEBIBYTES, MICROSECONDS, MILLISECONDS, PLAIN, Presence};

/// The process-wide settings while their keys are being read.
#[derive(Default)]
pub struct ProcessDraft {
    pub(super) workers: u32,
    pub(super) gather: u32,
    pub(super) client_connections: u32,
    pub(super) client_request_limit: u32,
    pub(super) client_output_limit: u32,
    pub(super) slow_client_grace: u32,
    pub(super) client_min_rate: u32,
    pub(super) incomplete_request_timeout: u32,
    pub(super) unauthenticated_limit: u32,
    pub(super) unauthenticated_timeout: u32,
    pub(super) server_queue_limit: u32,
    pub(super) session_connections: u32,
    pub(super) spare_connections: u32,
    pub(super) large_reply_connections: u32,
    pub(super) subscriber_output_limit: u32,
    pub(super) subscriber_output_soft_limit: u32,
    pub(super) subscriber_output_soft_time: u32,
    pub(super) transaction_limit: u32,
    pub(super) subscription_limit: u32,
    pub(super) memory_limit: u32,
}

/// Most workers: more than this many threads only hammer the same servers harder.
pub const WORKERS_MAX: u32 = 64;

/// The name of the mapping with the process-wide settings.
pub const PROCESS_SECTION: &str = "nutcrab";

/// Microseconds. Beyond about 200 no gain was seen; what is far beyond is a mistake of the unit.
pub const GATHER_MAX: u32 = 1000;

/// The keys of the mapping `nutcrab:`, which is about the whole process.
pub const PROCESS_KEYS: &[Key<ProcessDraft>] = &[
    Key {
        name: "workers",
        presence: Presence::Optional,
        help: "Worker threads; --workers on the command line goes before it. Absent: one for each \
               core, at most 4, and 1 when started under the name nutcracker.",
        form: Form::Number {
            min: 1,
            max: WORKERS_MAX,
            unit: PLAIN,
            field: |process| &mut process.workers,
        },
    },
    Key {
        name: "gather",
        presence: Presence::Default("100"),
        help: "The longest a worker with many active clients waits for more requests, so that they \
               leave in one write per server. Every five seconds it tries whether that pays, and \
               does not wait where it does not. 0: it never waits. Only where the system can sleep \
               so shortly (Linux).",
        form: Form::Number {
            min: 0,
            max: GATHER_MAX,
            unit: MICROSECONDS,
            field: |process| &mut process.gather,
        },
    },
    Key {
        name: "client_connections",
        presence: Presence::Default("0"),
        help: "Most clients of the process at once, over all pools. 0: what the limit of open \
               files leaves. Further ones are answered with an error and closed.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: PLAIN,
            field: |process| &mut process.client_connections,
        },
    },
    Key {
        name: "client_request_limit",
        presence: Presence::Default("4096"),
        help: "Requests of one client that may be unanswered; its further ones are left \
               unread until replies are there. If its replies are long, it may have only so \
               many as fill four times `client_output_limit`; while 2,048 requests, most of \
               them of others, wait at a server it asks, 64.",
        form: Form::Number {
            min: 1,
            max: 1024 * 1024,
            unit: PLAIN,
            field: |process| &mut process.client_request_limit,
        },
    },
    Key {
        name: "client_output_limit",
        presence: Presence::Default("524288"),
        help: "Bytes of replies that may wait for one client to read them, and bytes of early \
               replies that may wait for an earlier one. Beyond it the client's further requests \
               are not sent to servers. What it had asked is taken off a connection that others \
               wait on whatever it comes to; where no other client waits, parts of large replies are \
               left to the server, and whole replies beyond four times as much.",
        form: Form::Number {
            min: 1024,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.client_output_limit,
        },
    },
    Key {
        name: "slow_client_grace",
        presence: Presence::Default("1000"),
        help: "Accepted, and without effect: no client is closed because it reads slowly while \
               less than three quarters of `memory_limit` are in use, and none holds up others. \
               Beyond that those give way who hold the most.",
        form: Form::Number {
            min: 1,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |process| &mut process.slow_client_grace,
        },
    },
    Key {
        name: "client_min_rate",
        presence: Presence::Default("1024"),
        help: "Bytes a second that a client takes and sends together at least, over ten seconds, if it \
               makes progress. While memory is scarce, those who make none give way before others. \
               0: there is no such difference.",
        form: Form::Number {
            min: 0,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.client_min_rate,
        },
    },
    Key {
        name: "incomplete_request_timeout",
        presence: Presence::Default("30000"),
        help: "How long a client that has sent a part of a request may send nothing of the rest; then it \
               is closed. 0: for ever.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |process| &mut process.incomplete_request_timeout,
        },
    },
    Key {
        name: "unauthenticated_limit",
        presence: Presence::Default("16777216"),
        help: "Bytes that are kept for all clients together that have not given the password of their \
               pool. The less of it is left the less each may have; who has more is closed. Only \
               where there is a password.",
        form: Form::Number {
            min: 65536,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.unauthenticated_limit,
        },
    },
    Key {
        name: "unauthenticated_timeout",
        presence: Presence::Default("30000"),
        help: "How long a client may take to give the password of its pool; then it is closed. Only \
               where there is a password. 0: for ever.",
        form: Form::Number {
            min: 0,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |process| &mut process.unauthenticated_timeout,
        },
    },
    Key {
        name: "server_queue_limit",
        presence: Presence::Default("67108864"),
        help: "Bytes of requests that may wait to be sent on one connection to a server. A client \
               that asks more is not read until fewer wait; an error it is told only when a \
               quarter of the free memory waits as well.",
        form: Form::Number {
            min: 1024,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.server_queue_limit,
        },
    },
    Key {
        name: "session_connections",
        presence: Presence::Default("1000"),
        help: "Connections of one worker to one server that clients have for themselves, because \
               they wait there, watch keys or listen to channels; a request that needs a further \
               one is answered with an error.",
        form: Form::Number {
            min: 1,
            max: 65535,
            unit: PLAIN,
            field: |process| &mut process.session_connections,
        },
    },
    Key {
        name: "spare_connections",
        presence: Presence::Default("4"),
        help: "Connections of one worker to one server, beside the shared ones, for requests \
               larger than 1 MiB; when all are in use, such a request is gathered in memory \
               meanwhile, and one too large for that waits, at most for the pool's timeout.",
        form: Form::Number {
            min: 1,
            max: 65535,
            unit: PLAIN,
            field: |process| &mut process.spare_connections,
        },
    },
    Key {
        name: "large_reply_connections",
        presence: Presence::Default("64"),
        help: "Connections of one worker to one server for replies that are known to be large, one \
               for each client that reads one, and for what others ask while a large reply passes. \
               They are opened when needed, and closed after ten seconds without use. Beyond that \
               large replies share them.",
        form: Form::Number {
            min: 1,
            max: 65535,
            unit: PLAIN,
            field: |process| &mut process.large_reply_connections,
        },
    },
    Key {
        name: "subscriber_output_limit",
        presence: Presence::Default("33554432"),
        help: "Bytes of messages that may wait for one client that listens to channels; beyond it \
               the client is closed. The default is that of Redis.",
        form: Form::Number {
            min: 1024,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.subscriber_output_limit,
        },
    },
    Key {
        name: "subscriber_output_soft_limit",
        presence: Presence::Default("8388608"),
        help: "Bytes of messages that may wait for one client that listens to channels for longer \
               than `subscriber_output_soft_time`; then the client is closed. 0: no such limit. \
               The default is that of Redis.",
        form: Form::Number {
            min: 0,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.subscriber_output_soft_limit,
        },
    },
    Key {
        name: "subscriber_output_soft_time",
        presence: Presence::Default("60000"),
        help: "How long more than `subscriber_output_soft_limit` may wait for a client.",
        form: Form::Number {
            min: 1,
            max: NUMBER_MAX,
            unit: MILLISECONDS,
            field: |process| &mut process.subscriber_output_soft_time,
        },
    },
    Key {
        name: "transaction_limit",
        presence: Presence::Default("1073741824"),
        help: "Bytes of the requests of one transaction, 64 more for each; one more is answered with an \
               error, and EXEC fails. They count to the memory that is kept for the client.",
        form: Form::Number {
            min: 1024,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.transaction_limit,
        },
    },
    Key {
        name: "subscription_limit",
        presence: Presence::Default("1073741824"),
        help: "Bytes of the names of channels and patterns that one client listens to, 64 more for each; \
               one more is answered with an error. They count to the memory that is kept for the client.",
        form: Form::Number {
            min: 1024,
            max: 1024 * 1024 * 1024,
            unit: BYTES,
            field: |process| &mut process.subscription_limit,
        },
    },
    Key {
        name: "memory_limit",
        presence: Presence::Default("1024"),
        help: "Memory of the whole process, all buffers included. From three quarters of it \
               on, clients have an eighth of their limits, and those are closed for whom the most \
               is kept for the longest. From seven eighths on, if no client is left that holds much, \
               requests are answered with an error and new clients are refused. 0: no limit.",
        form: Form::Number {
            min: 0,
            max: 1024 * 1024,
            unit: MEBIBYTES,
            field: |process| &mut process.memory_limit,
        },
    },
];
