//! What a request may at most be, and which of it one was too much of.

/// What a request may at most be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of one argument or value.
    pub bulk: u64,
    /// Arguments of a request, its name included.
    pub args: u32,
    /// Bytes of a request that must be whole before it can be routed.
    pub request: usize,
    /// A request with more than this missing is handed over as a head and a body.
    pub head: usize,
    /// Bytes of an inline command.
    pub inline: usize,
    /// Bytes of a request that is answered here and looked at as a whole.
    pub local: usize,
    /// Whether they are those of a client that has not said its password yet.
    pub stranger: bool,
}

impl Limits {
    /// Redis: its own limits, and 64 MiB for what must be whole.
    pub const REDIS: Limits = Limits {
        key: 512 * 1024 * 1024,
        bulk: 512 * 1024 * 1024,
        args: i32::MAX as u32,
        request: 64 * 1024 * 1024,
        head: 16 * 1024,
        inline: 64 * 1024,
        local: 64 * 1024,
        stranger: false,
    };
    /// A Redis client that has not said its password yet: Redis' own limits for it.
    pub const REDIS_STRANGER: Limits = Limits {
        key: 16 * 1024,
        bulk: 16 * 1024,
        args: 10,
        request: 256 * 1024,
        stranger: true,
        ..Self::REDIS
    };
    /// memcached: its own limits; 1 GiB is the largest item size it can be started with.
    pub const MEMCACHE: Limits = Limits {
        key: 250,
        bulk: 1024 * 1024 * 1024,
        args: u32::MAX,
        request: 64 * 1024 * 1024,
        head: 16 * 1024,
        inline: 0,
        local: usize::MAX,
        stranger: false,
    };

    /// These for requests that are kept whole: how long they may be all together is another limit.
    pub fn for_queued(&self) -> Limits {
        Limits {
            request: self.request.max(QUEUED_MAX),
            head: usize::MAX,
            ..*self
        }
    }

    /// These, as far as they allow no more than those of a client without its password.
    pub fn for_stranger(&self) -> Limits {
        let least = Self::REDIS_STRANGER;
        Limits {
            key: self.key.min(least.key),
            bulk: self.bulk.min(least.bulk),
            args: self.args.min(least.args),
            request: self.request.min(least.request),
            stranger: true,
            ..*self
        }
    }
}

/// Bytes of a request that is queued, as Redis has them in its `client-query-buffer-limit`.
const QUEUED_MAX: usize = 1024 * 1024 * 1024;

impl Excess {
    /// The key of the limit.
    pub fn key(self) -> &'static str {
        match self {
            Excess::Key => "key_limit",
            Excess::Value => "value_limit",
            Excess::Arguments => "argument_limit",
            Excess::Request => "request_limit",
            Excess::Inline => "inline_limit",
            Excess::Local => "local_request_limit",
        }
    }

    /// The limit itself.
    pub fn of(self, limits: &Limits) -> u64 {
        match self {
            Excess::Key => limits.key as u64,
            Excess::Value => limits.bulk,
            Excess::Arguments => limits.args.into(),
            Excess::Request => limits.request as u64,
            Excess::Inline => limits.inline as u64,
            Excess::Local => limits.local as u64,
        }
    }
}

/// Which of the [`Limits`] a request went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// [`Limits::key`].
    Key,
    /// [`Limits::bulk`].
    Value,
    /// [`Limits::args`].
    Arguments,
    /// [`Limits::request`].
    Request,
    /// [`Limits::inline`].
    Inline,
    /// [`Limits::local`].
    Local,
}
