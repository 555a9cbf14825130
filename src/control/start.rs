//! From options and configuration to threads that run. Everything that can fail for reasons in the
//! world (ports, files, limits) is tried before the first client is let in; whatever fails, what
//! was had before is given back.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::iterator::Signals;

use super::binding::Binding;
use super::daemon::PidFile;
use super::health::Health;
use super::listeners::{Listeners, WorkerHandle};
use super::log::Log;
use super::quota::Quota;
use super::systemd::{Inherited, Supervisor};
use super::watch::Control;
use super::{Event, signals, summary, threads};
use crate::admin::{self, Admin, Identity, Pages, Readiness};
use crate::cli::{AdminAddr, Options, StatsAddr};
use crate::config::{Config, Pool, Process};
use crate::engine::{
    BindOptions, Endpoint, Engine, Listener, Mailbox, PortSharing, Resolver, SocketFile, posix,
};
use crate::proxy::{Balance, Limits, Settings};
use crate::stats::{PoolNames, Stats};
use crate::worker::{Clock, Report, Setup, Worker};

/// Descriptors for everything that is neither a client nor a server: listeners of the stats port and
/// the admin address, the log, event queues, the resolver's sockets.
const OTHER_FILES: usize = 32;

/// Connections that may wait at the stats port, and at the admin address.
const STATS_BACKLOG: u32 = 128;

/// Lines a second that clients and servers can cause.
const NOTICES_PER_SECOND: u32 = 20;

/// Starts everything.
///
/// # Errors
/// The one reason why it cannot be, in words for the operator.
pub fn start(
    options: &Options,
    config: Config,
    inherited: Inherited,
    supervisor: Supervisor,
    log: &Log,
) -> Result<Control, String> {
    let signals = signals::catch().map_err(|error| format!("catching signals failed: {error}"))?;
    let machine = tell_start(log);
    let process = config.process;
    let core_count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let worker_count = options.worker_count(process.workers, core_count);
    let pools: Vec<Arc<Pool>> = config.pools.into_iter().map(Arc::new).collect();
    let budget = Budget::of(&pools, &process, worker_count)?;
    let mut bound = Bound::open(options, &pools, inherited)?;
    let admin_files = bound.take_files();
    let stats = Arc::new(Stats::new(names(&pools), worker_count + 1));

    let internal = |error: io::Error| format!("starting failed: {error}");
    let engine = Engine::new().map_err(internal)?;
    let (mailbox, inbox) = Mailbox::new(&engine).map_err(internal)?;
    let balance = Arc::new(Balance::new(worker_count, pools.len()));
    let memory = (process.memory_limit, Arc::clone(&balance));
    let client_limit = budget.client_limit(&process);
    let watched = bound.doors.watch(&engine, client_limit, memory);
    watched.map_err(internal)?;
    let clock = Clock::start();
    let team = Workers {
        options,
        pools: &pools,
        stats: &stats,
        clock,
        process: &process,
        balance: &balance,
        control: &mailbox,
    };
    let handles = team.start(worker_count).map_err(internal)?;
    let readiness = Readiness::new();
    let identity = identity(options, machine, config.md5, worker_count);
    let pages = Pages::new(Arc::clone(&stats), identity, readiness.clone());
    let admin = serve_admin(bound.stats, bound.admin, pages, &mailbox).map_err(internal)?;
    watch_signals(signals, &mailbox).map_err(internal)?;

    let own_stats = stats.set(worker_count);
    own_stats.total_connections.add(bound.doors.len() as u64);
    own_stats.curr_connections.add(bound.doors.len() as u64);
    budget.tell(&pools, worker_count, log);
    summary::tell_stats(options, log);
    Ok(Control {
        engine,
        inbox,
        doors: bound.doors,
        running: handles.len(),
        health: Health::new(&pools, Arc::clone(&own_stats), log.clone()),
        handles,
        pools,
        stats: own_stats,
        clock,
        quota: Quota::per_second(NOTICES_PER_SECOND),
        apart: std::collections::HashSet::new(),
        supervisor,
        shutdown_timeout: options.shutdown_timeout,
        stop: None,
        readiness,
        log: log.clone(),
        admin,
        admin_files,
        _pid_file: bound.pid_file,
    })
}

/// Logs what is started, and where.
fn tell_start(log: &Log) -> posix::Machine {
    let machine = posix::machine();
    log.always(format_args!(
        "nutcrab-{} built for {} {} {} started on pid {}",
        env!("CARGO_PKG_VERSION"),
        machine.system,
        machine.release,
        machine.architecture,
        std::process::id()
    ));
    machine
}

fn identity(options: &Options, machine: posix::Machine, md5: String, workers: usize) -> Identity {
    Identity {
        source: machine.name,
        config_file: options.conf_file.display().to_string(),
        config_md5: md5,
        workers,
    }
}

/// Starts the thread that answers at the stats port and the admin address.
fn serve_admin(
    stats: Listener,
    admin: Option<Listener>,
    pages: Pages,
    mailbox: &Mailbox<Event>,
) -> io::Result<admin::Closer> {
    let admin = Admin::new(stats, admin, pages)?;
    let closer = admin.closer();
    threads::start("admin", mailbox, move || admin.run(), |()| unended("admin"))?;
    Ok(closer)
}

/// Starts the thread that hands signals to control.
fn watch_signals(mut signals: Signals, mailbox: &Mailbox<Event>) -> io::Result<()> {
    let control = mailbox.clone();
    let watch = move || {
        let numbers = signals.forever();
        numbers.for_each(|number| control.send(Event::Signal(number)));
        Ok(())
    };
    threads::start("signals", mailbox, watch, |()| unended("signals"))
}

/// What is ours alone in the world: addresses, and the pid file.
struct Bound {
    doors: Listeners,
    stats: Listener,
    admin: Option<Listener>,
    pid_file: Option<PidFile>,
}

impl Bound {
    fn open(
        options: &Options,
        pools: &[Arc<Pool>],
        mut inherited: Inherited,
    ) -> Result<Self, String> {
        let mut binding = Binding::new();
        let doors = Listeners::open(pools, &mut inherited, &mut binding)?;
        let stats = bind_stats(options, pools, &mut inherited, &mut binding)?;
        let address = options.admin_addr.as_ref();
        let admin = address
            .map(|address| bind_admin(address, &mut inherited, &mut binding))
            .transpose()?;
        inherited.finish()?;
        // Only now that the addresses are bound: a process that holds them may own this file, too.
        let create = |path: &Path| {
            let said = |error| format!("writing pid file '{}' failed: {error}", path.display());
            PidFile::create(path).map_err(said)
        };
        let pid_file = options.pid_file.as_deref().map(create).transpose()?;
        Ok(Self {
            doors,
            stats,
            admin,
            pid_file,
        })
    }

    /// The files of the sockets at which statistics are told.
    fn take_files(&mut self) -> [Option<SocketFile>; 2] {
        let admin = self.admin.as_mut().and_then(Listener::take_file);
        [self.stats.take_file(), admin]
    }
}

/// For threads that have no reason to end.
fn unended(name: &str) -> Event {
    Event::Broke(format!("thread {name} ended"))
}

/// What all workers are made from.
struct Workers<'a> {
    options: &'a Options,
    pools: &'a [Arc<Pool>],
    stats: &'a Arc<Stats>,
    clock: Clock,
    process: &'a Process,
    balance: &'a Arc<Balance>,
    control: &'a Mailbox<Event>,
}

impl Workers<'_> {
    fn start(&self, count: usize) -> io::Result<Vec<WorkerHandle>> {
        let resolver = Resolver::default();
        // All are made before the first runs: making can fail.
        let workers = (0..count).map(|index| Worker::new(self.setup(index, count, &resolver)));
        let workers: Vec<Worker> = workers.collect::<Result<_, _>>()?;
        let mut handles = Vec::with_capacity(count);
        for (index, worker) in workers.into_iter().enumerate() {
            handles.push(WorkerHandle {
                mailbox: worker.mailbox(),
                count: Arc::default(),
            });
            let name = format!("worker-{index}");
            threads::start(
                &name,
                self.control,
                move || worker.run(),
                Event::WorkerEnded,
            )?;
        }
        Ok(handles)
    }

    fn setup(&self, index: usize, count: usize, resolver: &Resolver) -> Setup {
        let control = self.control.clone();
        Setup {
            pools: self.pools.to_vec(),
            stats: self.stats.set(index),
            overview: Arc::clone(self.stats),
            settings: Settings {
                buffer_size: self.options.mbuf_size,
                worker: (index as u32, count as u32),
                seed: random(),
                limits: limits(self.process, count),
            },
            clock: self.clock,
            gather: self.process.gather,
            memory_limit: self.process.memory_limit,
            balance: Arc::clone(self.balance),
            resolver: resolver.clone(),
            report: Box::new(move |report: Report| control.send(Event::Report(report))),
        }
    }
}

/// So long that it never ends, and short enough to be added to any time.
const ENDLESS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What the configuration says about the limits of a core, one of several.
fn limits(process: &Process, count: usize) -> Limits {
    Limits {
        outstanding: process.client_request_limit,
        window: process.client_output_limit,
        queue: process.server_queue_limit,
        own: process.session_connections,
        spares: process.spare_connections,
        detours: process.large_reply_connections,
        client_min_rate: process.client_min_rate,
        upload_stall: process.incomplete_request_timeout.unwrap_or(ENDLESS),
        incomplete: process.incomplete_request_timeout,
        strangers: process.unauthenticated_limit / count,
        stranger_timeout: process.unauthenticated_timeout,
        subscriber: process.subscriber_output_limit,
        subscriber_soft: process.subscriber_output_soft_limit,
        subscriber_soft_span: process.subscriber_output_soft_time,
        transaction: process.transaction_limit,
        subscriptions: process.subscription_limit,
        ..Limits::default()
    }
}

/// A number nobody can guess; the standard library seeds its hash maps from the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn bind_stats(
    options: &Options,
    pools: &[Arc<Pool>],
    inherited: &mut Inherited,
    binding: &mut Binding,
) -> Result<Listener, String> {
    let port = options.stats_port;
    let (endpoint, text) = match &options.stats_addr {
        StatsAddr::Unix(path) => (Ok(Endpoint::Unix(path.clone())), path.display().to_string()),
        StatsAddr::Host(host) => {
            let address = Resolver::resolve_blocking(host, port);
            (address.map(Endpoint::Tcp), format!("{host}:{port}"))
        }
    };
    // Several processes that share the ports of their pools share this one, too.
    let sharing = match pools.iter().any(|pool| pool.reuseport) {
        true => PortSharing::Shared,
        false => PortSharing::Exclusive,
    };
    let options = BindOptions {
        backlog: STATS_BACKLOG,
        port: sharing,
        mode: None,
    };
    bind_or_inherit("stats", endpoint, &text, options, inherited, binding)
}

/// The admin listener is ours alone: two processes behind one address would each tell half.
fn bind_admin(
    address: &AdminAddr,
    inherited: &mut Inherited,
    binding: &mut Binding,
) -> Result<Listener, String> {
    let (endpoint, text) = match address {
        AdminAddr::Unix(path) => (Ok(Endpoint::Unix(path.clone())), path.display().to_string()),
        AdminAddr::Tcp(host, port) => {
            let address = Resolver::resolve_blocking(host, *port);
            (address.map(Endpoint::Tcp), format!("{host}:{port}"))
        }
    };
    let options = BindOptions {
        backlog: STATS_BACKLOG,
        port: PortSharing::Exclusive,
        mode: None,
    };
    bind_or_inherit("admin", endpoint, &text, options, inherited, binding)
}

/// The listener of this name we were started with, or a new one.
fn bind_or_inherit(
    name: &str,
    endpoint: io::Result<Endpoint>,
    text: &str,
    options: BindOptions,
    inherited: &mut Inherited,
    binding: &mut Binding,
) -> Result<Listener, String> {
    let open = |endpoint: Endpoint| match inherited.take(name, &endpoint).pop() {
        Some(listener) => Ok(listener),
        None => binding.bind(&endpoint, options),
    };
    endpoint
        .and_then(open)
        .map_err(|error| format!("{name}: listening on {text:?} failed: {error}"))
}

fn names(pools: &[Arc<Pool>]) -> Vec<PoolNames> {
    let pool = |pool: &Arc<Pool>| PoolNames {
        name: pool.name.clone(),
        servers: pool
            .servers
            .iter()
            .map(|server| server.name.clone())
            .collect(),
        families: pool.protocol.topics(),
    };
    pools.iter().map(pool).collect()
}

/// How the descriptors we may have are shared out.
#[derive(Debug, PartialEq, Eq)]
struct Budget {
    open_files: u64,
    /// Most connections to servers, those for large requests included.
    server_connections: usize,
    /// The same without them.
    usual_connections: usize,
    /// The most there may be for large requests and replies. Those for replies are opened as they are needed,
    /// from what clients leave.
    large_connections: usize,
    /// Most clients.
    client_limit: usize,
    /// The fewest descriptors with which every server can be reached and a client be let in.
    least: usize,
}

/// Connections of one worker to one server for large messages.
#[derive(Clone, Copy, Debug)]
struct Large {
    requests: usize,
    replies: usize,
}

impl Budget {
    /// What there is for this configuration.
    fn of(pools: &[Arc<Pool>], process: &Process, worker_count: usize) -> Result<Self, String> {
        let large = Large {
            requests: process.spare_connections,
            replies: process.large_reply_connections,
        };
        let budget = Self::new(pools, large, worker_count, posix::raise_open_files());
        budget.check()?;
        Ok(budget)
    }

    fn new(pools: &[Arc<Pool>], large: Large, worker_count: usize, open_files: u64) -> Self {
        let connections = |spares: usize| {
            let pool = |pool: &Arc<Pool>| {
                pool.servers.len() * (pool.server_connections.get() as usize + spares)
            };
            pools.iter().map(pool).sum::<usize>() * worker_count
        };
        let server_connections = connections(large.requests);
        let wanted = server_connections + pools.len() + OTHER_FILES + admin::FILES_MAX;
        let open = usize::try_from(open_files).unwrap_or(usize::MAX);
        // Compat: what is left when servers have theirs, as in twemproxy. Unlike there a limit too
        // low for the servers does not mean that clients have none. Test:
        // clients_get_what_servers_leave.
        let client_limit = open.checked_sub(wanted).filter(|left| *left >= open / 2);
        Self {
            open_files,
            server_connections,
            usual_connections: connections(0),
            large_connections: connections(large.requests + large.replies) - connections(0),
            client_limit: client_limit.unwrap_or(open / 2).max(1),
            least: pools.iter().map(|pool| pool.servers.len()).sum::<usize>() * worker_count
                + pools.len()
                + OTHER_FILES
                + 1,
        }
    }

    /// Most clients, by what was asked for, too.
    fn client_limit(&self, process: &Process) -> usize {
        let wish = process.client_connections.map(|wish| wish.get() as usize);
        self.client_limit.min(wish.unwrap_or(usize::MAX))
    }

    /// # Errors
    /// With so few descriptors some servers could never be reached.
    fn check(&self) -> Result<(), String> {
        if (self.least as u64) <= self.open_files {
            return Ok(());
        }
        Err(format!(
            "too few open files are allowed: {}, and at least {} are needed; raise the hard limit \
             (ulimit -Hn, LimitNOFILE=) or start fewer workers",
            self.open_files, self.least
        ))
    }

    fn tell(&self, pools: &[Arc<Pool>], worker_count: usize, log: &Log) {
        for pool in pools {
            summary::tell_pool(pool, worker_count, log);
        }
        log.notice(format_args!(
            "{worker_count} workers; up to {} connections to servers (and {} for large messages), \
             {} clients, {} open files",
            self.usual_connections, self.large_connections, self.client_limit, self.open_files
        ));
        if self.server_connections as u64 > self.open_files / 2 {
            log.warn(format_args!(
                "open files are limited to {}, but there may be {} connections to servers: \
                 raise the limit (ulimit -n)",
                self.open_files, self.server_connections
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(servers: usize, connections: u32) -> Arc<Pool> {
        let lines: String = (0..servers)
            .map(|n| format!("   - 127.0.0.1:{}:1\n", n + 1))
            .collect();
        let yaml = format!(
            "a:\n  listen: 127.0.0.1:1\n  server_connections: {connections}\n  servers:\n{lines}"
        );
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), yaml).expect("it can be written");
        let config = crate::config::load(file.path()).expect("a good configuration");
        Arc::new(config.pools.into_iter().next().expect("one pool"))
    }

    #[test]
    fn clients_get_what_servers_leave() {
        let large = Large {
            requests: 7,
            replies: 10,
        };
        let budget = Budget::new(&[pool(3, 2), pool(1, 1)], large, 2, 10_000);
        assert_eq!(budget.usual_connections, 2 * (3 * 2 + 1));
        assert_eq!(budget.server_connections, 2 * (3 * (2 + 7) + 1 + 7));
        assert_eq!(budget.large_connections, 2 * 4 * 17);
        assert_eq!(
            budget.client_limit,
            10_000 - budget.server_connections - 2 - OTHER_FILES - admin::FILES_MAX
        );
        // Too few for the servers: half for the clients, whatever they can get.
        assert_eq!(
            Budget::new(&[pool(300, 5)], large, 4, 1024).client_limit,
            512
        );
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random(), random());
    }
}
