//! What one seed stands for: pools, limits, network, faults and clients, all drawn before the run.
//!
//! Each seed draws its own mix, and leaves many things out: a fault that happens everywhere hides
//! those that need quiet to show.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use nutcrab::config::{Address, CrossShard, FailedGet, Listen, Password, Pool, Server};
use nutcrab::hash::Hash;
use nutcrab::protocol::{Policy, Protocol};
use nutcrab::proxy::Limits;
use nutcrab::route::Distribution;

use crate::agenda::Micros;
use crate::draw::Draw;
use crate::everywhere;
use crate::hoarding::HoardPlan;
use crate::ledger::Fault;
use crate::network::Traits;
use crate::plant::Plant;

/// The password of pools that have one.
pub const PASSWORD: &[u8] = b"open sesame";

/// The same with the user in front, as memcached pools have it.
pub const CREDENTIALS: &[u8] = b"user:open sesame";

/// Everything about a run that is known before it begins.
#[derive(Debug)]
pub struct Plan {
    /// What all of it was drawn from.
    pub seed: u64,
    /// How many cores share the work.
    pub workers: usize,
    /// The pools.
    pub pools: Vec<PoolPlan>,
    /// The limits of the cores.
    pub limits: Limits,
    /// Bytes of a pooled buffer.
    pub buffer_size: usize,
    /// Bytes a worker reads at most at once.
    pub chunk: usize,
    /// Longest time a worker lets pass before it has a turn.
    pub gather: Micros,
    /// The wires to clients.
    pub client_wire: Traits,
    /// The wires to servers.
    pub server_wire: Traits,
    /// Longest time a server takes for what it has read.
    pub service: Micros,
    /// How long faults happen.
    pub length: Micros,
    /// Mean time between two faults that strike out of nowhere.
    pub fault_gap: Micros,
    /// The faults that happen.
    pub faults: Vec<Fault>,
    /// In so many of a thousand replies a server misbehaves.
    pub reply_faults: u32,
    /// Whether the workers are drained at the end, instead of the clients leaving.
    pub drains: bool,
    /// Those who hold memory, and how much there is, where that matters.
    pub hoard: Option<HoardPlan>,
    /// The mix-up that is planted, if one is.
    pub plant: Option<Plant>,
    /// The first draws of the run, where they are given.
    pub script: Vec<u8>,
}

/// One pool and those who use it.
#[derive(Debug)]
pub struct PoolPlan {
    /// As the core gets it.
    pub config: Arc<Pool>,
    /// Whether its servers ask for the pool's password.
    pub guarded: bool,
    /// How many clients.
    pub clients: usize,
    /// Requests a client makes while faults happen.
    pub requests: usize,
    /// Keys each client owns.
    pub owned: usize,
    /// Counters all clients share.
    pub counters: usize,
    /// In so many of a thousand requests a value is large.
    pub large: u32,
    /// Bytes of an ordinary value, at most.
    pub ordinary: usize,
    /// In so many of a thousand requests a client does something odd: wrong commands, bad passwords.
    pub odd: u32,
    /// In so many of a thousand steps a client does something final: leaves, quits, sends garbage.
    pub last: u32,
    /// Keys of a request with several, at most.
    pub keys: usize,
    /// Of a thousand requests so many begin a transaction, or wait at their server.
    pub sessions: u32,
    /// Of a thousand requests so many begin to go through all keys.
    pub scans: u32,
    /// Of a thousand requests so many are about scripts.
    pub scripts: u32,
    /// Whether clients have scripts and functions forgotten.
    pub flushes: bool,
    /// Of a thousand requests so many are about functions.
    pub functions: u32,
    /// Of a thousand requests so many have a server say anything.
    pub sayings: u32,
    /// Of a thousand requests so many go to all servers.
    pub fans: u32,
    /// Of a thousand requests so many have all keys forgotten.
    pub wipes: u32,
    /// A bit for each server that knows what only some know.
    pub able: u32,
    /// Of a thousand requests so many change the version of the protocol.
    pub shifts: u32,
    /// Of a thousand requests so many are ones whose replies are left out from then on.
    pub mutes: u32,
    /// Of a thousand requests so many are about the client's connection.
    pub abouts: u32,
    /// Of a thousand requests so many have a connection closed.
    pub kills: u32,
    /// Of a thousand requests so many go beyond a limit.
    pub beyond: u32,
    /// Whether clients of memcached empty all servers now and then.
    pub empties: bool,
    /// Whether its servers know RESP2 only.
    pub old: bool,
    /// From when on its servers refuse MULTI, if they ever do.
    pub no_multi: Option<Micros>,
}

impl PoolPlan {
    /// Whether a read must give the very last write. Not where keys move between servers.
    pub fn is_exact(&self) -> bool {
        !self.config.auto_eject_hosts && self.config.distribution != Distribution::Random
            || self.config.servers.len() == 1
    }

    /// How long after its end a fault may still show in errors.
    fn slack(&self, limits: &Limits) -> Micros {
        let config = &self.config;
        let mut slack = config.connect_timeout + config.timeout.unwrap_or_default() * 2;
        slack += limits.backoff_max * 2 + Duration::from_secs(2);
        if config.auto_eject_hosts {
            slack += config.server_retry_timeout;
        }
        slack.as_micros() as Micros
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Plan {
        let mut draw = Draw::new(seed);
        let quiet = draw.permille(150);
        let mut plan = Self::drawn(seed, &mut draw, quiet);
        plan.draw_busy();
        plan.draw_hoard();
        plan
    }

    /// A short run that follows `script` where that says something, for the fuzzer.
    pub fn small(seed: u64, script: &[u8]) -> Plan {
        let mut plan = Self::new(seed);
        plan.length = plan.length.min(500_000);
        plan.fault_gap = plan.fault_gap.min(50_000);
        plan.script = script.to_vec();
        for pool in &mut plan.pools {
            pool.clients = pool.clients.min(3);
            pool.requests = pool.requests.min(20);
        }
        plan
    }

    /// The plan of a seed without any faults, in which clients read every reply and stay.
    pub fn quiet(seed: u64) -> Plan {
        let mut plan = Self::drawn(seed, &mut Draw::new(seed), true);
        for pool in &mut plan.pools {
            (pool.mutes, pool.kills) = (0, 0);
        }
        plan
    }

    /// Has clients do what it takes for `plant`.
    pub fn provoke(&mut self, plant: Plant) {
        match plant {
            Plant::Unmute | Plant::Swallow | Plant::Neglect => {
                self.widen();
                self.limits.own = 1000;
                self.limits.transaction = Limits::default().transaction;
                self.pools.iter_mut().for_each(|pool| pool.mutes = 100);
            }
            Plant::KillAnother | Plant::Miscount => {
                self.widen();
                for pool in &mut self.pools {
                    (pool.abouts, pool.kills) = (100, 50);
                    // That would explain a connection that is cut.
                    pool.no_multi = None;
                }
            }
            Plant::WakeAnother => {
                self.widen();
                self.limits.own = 1000;
                for pool in &mut self.pools {
                    (pool.sessions, pool.kills) = (200, 100);
                }
            }
            Plant::ShedSmallest | Plant::RefuseAnyway | Plant::KeepMemory => {
                let mut draw = Draw::new(self.seed);
                self.hoard(&mut draw);
            }
            Plant::Overrun => self.hoard_beyond(&mut Draw::new(self.seed)),
            Plant::CutSlow => self.faults.push(Fault::SlowReader),
            Plant::Pretend => {
                self.widen();
                self.faults.push(Fault::Busy);
                self.fault_gap = self.fault_gap.min(100_000);
                for pool in &mut self.pools {
                    pool.able = 0;
                    pool.requests = pool.requests.max(100);
                }
            }
            Plant::CutBeyond => {
                self.widen();
                for pool in &mut self.pools {
                    if pool.config.protocol == Protocol::Redis {
                        pool.narrow(&mut Draw::new(self.seed), 50);
                    }
                }
            }
            Plant::ShedPoor => {
                self.widen();
                self.faults.push(Fault::Memory);
                self.fault_gap = self.fault_gap.min(50_000);
            }
            Plant::Grudge | Plant::Forgive => self.fail_often(Fault::Refuse),
            Plant::SendTwice => self.fail_often(Fault::Reset),
            _ => self.favour(plant),
        }
    }

    /// Has servers fail so again and again, and leaves them out in between.
    fn fail_often(&mut self, fault: Fault) {
        self.faults = vec![fault];
        (self.length, self.fault_gap) = (1_500_000, 50_000);
        for pool in &mut self.pools {
            (pool.clients, pool.requests) = (pool.clients.min(3), 40);
            let config = Arc::make_mut(&mut pool.config);
            config.auto_eject_hosts = true;
            config.server_retry_timeout = Duration::from_millis(150);
        }
    }

    fn drawn(seed: u64, draw: &mut Draw, quiet: bool) -> Plan {
        let faults: Vec<Fault> = match quiet {
            true => Vec::new(),
            false => {
                let share = draw.pick(&[100, 250, 500]);
                Fault::ALL
                    .into_iter()
                    .filter(|_| draw.permille(share))
                    .collect()
            }
        };
        let pool_count = draw.pick(&[1, 1, 1, 2]);
        let large = draw.pick(&[0, 0, 5, 30]);
        let pools: Vec<PoolPlan> = (0..pool_count)
            .map(|index| pool(draw, index, large, quiet))
            .collect();
        // So that even the slowest wire carries some megabytes a second.
        let wires: [(usize, (Micros, Micros)); 5] = [
            (2 * 1024, (0, 0)),
            (2 * 1024, (10, 50)),
            (16 * 1024, (50, 300)),
            (64 * 1024, (0, 0)),
            (256 * 1024, (20, 2000)),
        ];
        let usual_keys = Limits::default().keys;
        Plan {
            seed,
            workers: draw.pick(&[1, 1, 2, 3]),
            pools,
            limits: Limits {
                // Of a stream of its own: the others are drawn as they were.
                keys: Draw::new(seed ^ 0x6b65_7973).pick(&[1, 1, 2, 3, 5, usual_keys]),
                ..limits(draw)
            },
            buffer_size: draw.pick(&[512, 2048, 16 * 1024, 16 * 1024]),
            chunk: draw.pick(&[512, 4096, 16 * 1024, 64 * 1024, 64 * 1024]),
            gather: draw.pick(&[0, 20, 200, 2000]),
            client_wire: traits(draw, &wires),
            server_wire: traits(draw, &wires),
            service: draw.pick(&[0, 100, 1000]),
            length: draw.micros(500_000, 6_000_000),
            fault_gap: draw.micros(20_000, 1_000_000),
            faults,
            reply_faults: draw.pick(&[1, 3, 10]),
            drains: draw.one_in(3),
            hoard: None,
            plant: None,
            script: Vec::new(),
        }
    }

    /// Whether this fault happens in this run.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// For each pool: its counters, and how long a fault explains errors after its end.
    pub fn books(&self) -> Vec<(usize, Micros)> {
        self.pools
            .iter()
            .map(|pool| (pool.counters, pool.slack(&self.limits)))
            .collect()
    }

    /// Whether the wires may be too slow for what is asked of them.
    pub fn is_heavy(&self) -> bool {
        self.pools.iter().any(|pool| pool.large > 0)
            || self.client_wire.capacity < 16 * 1024
            || self.limits.outstanding < 4
            || self.limits.window < 16 * 1024
    }

    /// Whether nothing happens that could make a request fail.
    pub fn never_fails(&self) -> bool {
        self.faults.is_empty() && !self.is_heavy() && !self.revokes() && self.hoard.is_none()
    }

    /// Whether servers refuse MULTI from some time on: what is under way then may fail.
    fn revokes(&self) -> bool {
        self.pools.iter().any(|pool| pool.no_multi > Some(0))
    }

    /// Whether no client need be refused because of what others have.
    pub fn is_roomy(&self) -> bool {
        self.limits.own >= 1000 && self.limits.transaction >= 1024 * 1024
    }

    /// Leaves room enough everywhere that no request need fail.
    pub fn widen(&mut self) {
        let usual = Limits::default();
        self.limits.queue = usual.queue;
        self.limits.outstanding = usual.outstanding;
        self.limits.window = usual.window;
        self.client_wire.capacity = self.client_wire.capacity.max(64 * 1024);
        self.pools.iter_mut().for_each(|pool| pool.large = 0);
    }

    /// The plan in a few words, for the report of a failure.
    pub fn describe(&self) -> String {
        let pools: Vec<String> = self.pools.iter().map(PoolPlan::describe).collect();
        format!(
            "{} workers, hoard {:?}, limits {:?}, chunk {}, gather {} us, \
             wires {:?} {:?}, {} ms, faults {:?} {}\n{}",
            self.workers,
            self.hoard,
            self.limits,
            self.chunk,
            self.gather,
            self.client_wire,
            self.server_wire,
            self.length / 1000,
            self.faults,
            self.reply_faults,
            pools.join("\n"),
        )
    }
}

impl PoolPlan {
    fn describe(&self) -> String {
        let config = &self.config;
        format!(
            "pool {} {:?}: {} servers x {}, {:?}, timeout {:?}, ejects {}, auth {}, db {}, \
             {} clients x {}, {} keys, large {}, ordinary {}",
            config.name,
            config.protocol,
            config.servers.len(),
            config.server_connections,
            config.distribution,
            config.timeout,
            config.auto_eject_hosts,
            config.redis_auth.is_some(),
            config.redis_db,
            self.clients,
            self.requests,
            self.keys,
            self.large,
            self.ordinary,
        )
    }
}

fn limits(draw: &mut Draw) -> Limits {
    let usual = Limits::default();
    if draw.one_in(4) {
        return usual;
    }
    let millis = |draw: &mut Draw, least, most| Duration::from_micros(draw.micros(least, most));
    Limits {
        strict: true,
        outstanding: draw.pick(&[1, 2, 8, 64, 4096, 4096]),
        keys: usual.keys,
        crowd: draw.pick(&[0, 4, 32, usual.crowd]),
        share: draw.pick(&[1, 2, 8, usual.share]),
        window: draw.pick(&[256, 2048, 16 * 1024, 64 * 1024, 512 * 1024]),
        incomplete: usual.incomplete,
        strangers: usual.strangers,
        stranger_timeout: usual.stranger_timeout,
        own_output: draw.pick(&[100, 2000, usual.own_output]),
        cut_through: draw.pick(&[64, 1024, 16 * 1024, 64 * 1024]),
        join: usual.join,
        large_message: draw.pick(&[1024, 20 * 1024, 64 * 1024, 1024 * 1024]),
        groups: 64,
        own: draw.pick(&[1, 3, 1000, 1000]),
        transaction: draw.pick(&[2000, usual.transaction, usual.transaction]),
        scripts: draw.pick(&[1500, usual.scripts, usual.scripts]),
        subscriptions: 1024 * 1024,
        subscriber: usual.subscriber,
        subscriber_soft: usual.subscriber_soft,
        subscriber_soft_span: usual.subscriber_soft_span,
        spares: draw.pick(&[1, 2, 4]),
        detours: draw.pick(&[1, 2, 64]),
        spare_idle: millis(draw, 50_000, 10_000_000),
        upload_stall: millis(draw, 100_000, 5_000_000),
        queue: draw.pick(&[4096, 64 * 1024, usual.queue, usual.queue, usual.queue]),
        queue_most: usual.queue_most,
        tombstones: draw.pick(&[1, 4, 4096, 4096]),
        linger: millis(draw, 20_000, 1_000_000),
        backoff_max: millis(draw, 20_000, 1_000_000),
        retries: draw.pick(&[usual.retries, usual.retries, 5]),
        upload_proof: draw.pick(&[0, 512, 16 * 1024, usual.upload_proof]),
        client_min_rate: draw.pick(&[0, usual.client_min_rate, 4 * usual.client_min_rate]),
        client_rate_span: millis(draw, 1_000_000, 10_000_000),
    }
}

fn traits(draw: &mut Draw, wires: &[(usize, (Micros, Micros))]) -> Traits {
    let (capacity, delay) = draw.pick(wires);
    Traits {
        delay,
        parcel: draw.pick(&[1, 16, 200, 1500, 64 * 1024, 64 * 1024]),
        capacity,
    }
}

fn pool(draw: &mut Draw, index: usize, large: u32, quiet: bool) -> PoolPlan {
    let protocol = match draw.one_in(3) {
        true => Protocol::Memcache,
        false => Protocol::Redis,
    };
    let redis = protocol == Protocol::Redis;
    let server_count = draw.pick(&[1, 2, 3, 3, 6]);
    let guarded = redis && draw.one_in(5);
    let password = guarded || redis && draw.one_in(20);
    let name = format!("pool{index}");
    let servers: Vec<_> = (0..server_count)
        .map(|number| server(draw, index, number))
        .collect();
    let config = Pool {
        listen: Listen::Unix {
            text: format!("/{name}"),
            path: format!("/{name}").into(),
            mode: None,
        },
        name,
        protocol,
        hash: draw.pick(&[Hash::Fnv1a64, Hash::Murmur, Hash::Crc32, Hash::OneAtATime]),
        hash_tag: None,
        distribution: draw.pick(&[
            Distribution::Ketama,
            Distribution::Ketama,
            Distribution::Modula,
            Distribution::Random,
        ]),
        timeout: (!draw.one_in(4)).then(|| Duration::from_micros(draw.micros(100_000, 1_000_000))),
        backlog: 512,
        client_connections: None,
        tcpkeepalive: false,
        reuseport: false,
        redis_auth: password.then(|| Password::new(PASSWORD)),
        memcached_auth: (!redis && draw.one_in(6)).then(|| Password::new(CREDENTIALS)),
        redis_db: if redis && draw.one_in(5) { 3 } else { 0 },
        preconnect: draw.one_in(3),
        auto_eject_hosts: draw.one_in(2),
        server_connections: NonZeroU32::new(draw.pick(&[1, 1, 2, 3])).expect("not 0"),
        server_retry_timeout: Duration::from_micros(draw.micros(50_000, 2_000_000)),
        server_failure_limit: NonZeroU32::new(draw.pick(&[1, 2, 3])).expect("not 0"),
        cross_shard: draw.pick(&[CrossShard::Refuse, CrossShard::FirstKey]),
        commands: Policy {
            several: servers.len() > 1,
            allow: allowed(draw),
            ..Policy::default()
        },
        connect_timeout: Duration::from_micros(draw.micros(100_000, 3_000_000)),
        flush_all: redis || !draw.one_in(4),
        failed_get: match !redis && draw.one_in(3) {
            true => FailedGet::Miss,
            false => FailedGet::Error,
        },
        client_connections_per_address: None,
        limits: *protocol.limits(),
        servers,
    };
    // Of a stream of its own: the others are drawn as they were.
    let mut aside = Draw::new(config.connect_timeout.as_micros() as u64);
    let no_multi = (redis && aside.one_in(6)).then(|| match aside.one_in(2) {
        true => 0,
        false => aside.micros(50_000, 1_000_000),
    });
    let narrow = redis && aside.one_in(4);
    let mut pool = PoolPlan {
        beyond: 0,
        sayings: aside.pick(&[0, 20, 100]),
        no_multi,
        config: Arc::new(config),
        guarded,
        clients: draw.pick(&[1, 2, 5, 12, 25]),
        requests: draw.spread(10, 200),
        owned: draw.within(1, 6),
        counters: draw.within(1, 3),
        large,
        ordinary: draw.pick(&[16, 100, 1000, 8000]),
        odd: if draw.one_in(2) { 30 } else { 0 },
        last: if quiet || draw.one_in(2) {
            0
        } else {
            draw.pick(&[2, 20])
        },
        keys: draw.pick(&[2, 5, 20]),
        sessions: draw.pick(&[0, 20, 100]),
        scans: draw.pick(&[0, 10, 50]),
        scripts: draw.pick(&[0, 20, 150]),
        flushes: draw.one_in(3),
        functions: draw.pick(&[0, 20, 150]),
        fans: draw.pick(&[0, 20, 150]),
        wipes: draw.pick(&[0, 0, 4, 30]),
        able: draw.pick(&[0, 1, 2, 4, 0b101, 0b111111]),
        shifts: draw.pick(&[0, 20, 200]),
        mutes: draw.pick(&[0, 20, 100]),
        abouts: draw.pick(&[0, 20, 100]),
        kills: draw.pick(&[0, 0, 5, 30]),
        empties: !redis && draw.one_in(6),
        old: draw.one_in(10),
    };
    if narrow {
        pool.narrow(&mut aside, 20);
    }
    pool
}

/// The dangerous commands that a pool allows.
fn allowed(draw: &mut Draw) -> Vec<String> {
    let mut names = Vec::new();
    if draw.one_in(2) {
        names.push("KEYS");
    }
    if draw.one_in(2) {
        names.extend(everywhere::ALLOWED);
    }
    names.into_iter().map(Into::into).collect()
}

fn server(draw: &mut Draw, pool: usize, number: usize) -> Server {
    let host = format!("10.0.{pool}.{number}");
    let weight = draw.pick(&[1, 1, 1, 3]);
    Server {
        name: format!("{host}:6379"),
        pname: format!("{host}:6379:{weight}"),
        address: Address::Tcp { host, port: 6379 },
        weight: NonZeroU32::new(weight).expect("not 0"),
    }
}
