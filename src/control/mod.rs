//! Starts the proxy, watches over it, and ends it.
//!
//! Control is one thread, the first. It owns what the process has once: the listening sockets, the
//! health of the servers, the log, the signals, the pid file. Workers own everything else.
//!
//! ```text
//!   signals -----> control <----- Report ----- worker 0..n
//!   listeners ---/    |
//!                     +---------- Message ---> worker 0..n   (clients, routers, drain)
//! ```

pub mod log;

mod binding;
mod daemon;
mod health;
mod listeners;
mod places;
mod quota;
mod signals;
mod start;
mod summary;
mod systemd;
mod threads;
mod watch;

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use crate::cli::Options;
use crate::config::Config;
use crate::engine;
use crate::worker::{Outcome, Report};

use daemon::{Launch, Role};
use log::{Log, Opened, Target};
use systemd::{Inherited, Supervisor};

/// What control is woken for.
enum Event {
    /// From a worker.
    Report(Report),
    /// This signal came.
    Signal(i32),
    /// A worker has done all its work.
    WorkerEnded(Outcome),
    /// A thread ended that must not.
    Broke(String),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The daemon runs; we only started it.
    Launched,
    /// A signal asked for it, and clients had the time they were promised.
    Stopped,
    /// A second signal asked for it before that time was over.
    Cut,
    /// A part of the process broke, and the rest ended with it.
    Broken,
}

impl Ending {
    /// The process' exit code.
    pub fn code(self) -> u8 {
        match self {
            Ending::Launched | Ending::Stopped => 0,
            Ending::Cut => 1,
            // EX_SOFTWARE of sysexits.h: supervisors can tell our faults from those of the start.
            Ending::Broken => 70,
        }
    }
}

/// Why the proxy could not start: one line for the operator.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Runs the proxy until it ends. To be called on the first thread, while it is the only one.
///
/// # Errors
/// It could not start. With a log file, the log says so too.
pub fn run(options: &Options, config: Config) -> Result<Ending, StartError> {
    let inherited = Inherited::from_environment().map_err(StartError)?;
    let supervisor = Supervisor::from_environment();
    let target = options.output.clone().map_or(Target::Stderr, Target::File);
    let opened = Opened::open(target).map_err(|error| {
        let path = options.output.as_deref().unwrap_or("".as_ref()).display();
        StartError(format!("opening log file '{path}' failed: {error}"))
    })?;
    let launch = match options.daemonize {
        false => Launch::in_foreground(),
        true => match daemon::detach() {
            Ok(Role::Daemon(launch)) => launch,
            Ok(Role::Launcher(result)) => {
                return result.map(|()| Ending::Launched).map_err(StartError);
            }
            Err(error) => return Err(StartError(format!("daemonizing failed: {error}"))),
        },
    };
    engine::share_one_heap();
    // Threads may exist from here on.
    let log = match Log::start(opened, options.verbosity) {
        Ok(log) => log,
        Err(error) => {
            let reason = format!("starting the log failed: {error}");
            launch.failed(&reason);
            return Err(StartError(reason));
        }
    };
    threads::log_panics(&log);
    // A panic here is the end, but an orderly one: sockets and pid file are removed.
    let guarded = panic::catch_unwind(AssertUnwindSafe(|| {
        serve(options, config, inherited, supervisor, &log, launch)
    }));
    log.flush();
    guarded.unwrap_or(Ok(Ending::Broken))
}

fn serve(
    options: &Options,
    config: Config,
    inherited: Inherited,
    supervisor: Supervisor,
    log: &Log,
    launch: Launch,
) -> Result<Ending, StartError> {
    match start::start(options, config, inherited, supervisor, log) {
        Ok(control) => {
            launch.succeeded();
            let ending = control.run();
            log.always("done");
            Ok(ending)
        }
        Err(reason) => {
            // On stderr the caller will tell it.
            if options.output.is_some() {
                log.error(&reason);
                log.always("done");
                log.flush();
            }
            // Last: who waits for this expects the rest to be done.
            launch.failed(&reason);
            Err(StartError(reason))
        }
    }
}
