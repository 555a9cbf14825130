//! Control's loop: clients to workers, reports to decisions, signals to actions, until the end.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::daemon::PidFile;
use super::health::Health;
use super::listeners::{Listeners, WorkerHandle};
use super::log::{Level, Log};
use super::quota::Quota;
use super::signals::{self, Wish};
use super::systemd::Supervisor;
use super::{Ending, Event};
use crate::admin::{Closer, Readiness};
use crate::config::Pool;
use crate::engine::{Engine, SocketFile, posix};
use crate::proxy::{Cause, Notice, Peer, Time, What};
use crate::stats::WorkerStats;
use crate::worker::{Clock, Message, Outcome, Report};

/// Everything control has while the proxy runs. Dropping it closes the listeners and removes the
/// files that say we are here.
pub struct Control {
    pub(super) engine: Engine,
    pub(super) inbox: Receiver<Event>,
    pub(super) doors: Listeners,
    pub(super) handles: Vec<WorkerHandle>,
    /// Workers that have not ended.
    pub(super) running: usize,
    pub(super) health: Health,
    pub(super) pools: Vec<Arc<Pool>>,
    /// Control's own counters.
    pub(super) stats: Arc<WorkerStats>,
    pub(super) clock: Clock,
    pub(super) quota: Quota,
    /// Commands of pools of which was told that their keys lived on several servers.
    pub(super) apart: HashSet<(usize, String)>,
    pub(super) supervisor: Supervisor,
    pub(super) shutdown_timeout: Duration,
    /// When waiting for clients ends, once we were told to stop.
    pub(super) stop: Option<Time>,
    /// For those who ask at the admin address.
    pub(super) readiness: Readiness,
    pub(super) log: Log,
    pub(super) admin: Closer,
    /// Those of the statistics and of the admin address, whose thread never ends.
    pub(super) admin_files: [Option<SocketFile>; 2],
    pub(super) _pid_file: Option<PidFile>,
}

impl Control {
    /// Runs until a signal or a broken part ends it.
    pub fn run(mut self) -> Ending {
        let ending = self.watch().unwrap_or_else(|error| {
            self.log
                .error(format_args!("waiting for clients failed: {error}"));
            Ending::Broken
        });
        if let Some(count) = self.quota.last_report() {
            self.tell_left_out(count);
        }
        ending
    }

    fn tell_left_out(&self, count: u64) {
        self.log
            .warn(format_args!("{count} more lines like these were left out"));
    }

    fn watch(&mut self) -> io::Result<Ending> {
        let (mut ready, mut told_out) = (Vec::new(), 0);
        self.supervisor.ready(self.status());
        loop {
            let patience = self.patience(self.clock.now());
            self.engine.wait(patience, &mut ready)?;
            let now = self.clock.now();
            while let Ok(event) = self.inbox.try_recv() {
                if let Some(ending) = self.take(event, now) {
                    return Ok(ending);
                }
            }
            ready
                .iter()
                .for_each(|event| self.doors.ready(event.number));
            self.doors
                .accept(&self.handles, &self.stats, &self.log, now);
            self.health.expire(now, &self.handles);
            self.supervisor.turn(now, &self.handles);
            if told_out != self.health.out_count() && self.stop.is_none() {
                told_out = self.health.out_count();
                self.supervisor.status(self.status());
            }
            if let Some(count) = self.quota.report(now) {
                self.tell_left_out(count);
            }
            if self.stop.is_some_and(|until| until <= now) {
                self.log
                    .warn("the time for a graceful stop is over: closing what is left");
                return Ok(Ending::Stopped);
            }
        }
    }

    fn patience(&self, now: Time) -> Option<Duration> {
        let deadlines = [
            self.doors.next_deadline(),
            self.health.next_deadline(),
            self.quota.next_deadline(),
            self.supervisor.next_deadline(),
            self.stop,
        ];
        deadlines
            .into_iter()
            .flatten()
            .min()
            .map(|next| next.since(now))
    }

    /// What to do about an event; an ending if it is the end.
    fn take(&mut self, event: Event, now: Time) -> Option<Ending> {
        match event {
            // A shortage of ours says nothing about the server; to eject one for it would move its
            // keys, and then those of the next.
            Event::Report(Report::Failed {
                cause: Cause::Os(number),
                ..
            }) if posix::is_shortage(number) => {}
            Event::Report(Report::Failed {
                pool,
                server,
                since,
                at,
                cause,
            }) => {
                let which = (pool, server);
                self.health
                    .failed(which, cause, (since, at), now, &self.handles);
            }
            Event::Report(Report::Succeeded { pool, server }) => {
                self.health.succeeded(pool, server, &self.handles);
            }
            Event::Report(Report::Call(call)) => {
                if let Some(handle) = self.handles.get(call.worker as usize) {
                    handle.mailbox.send(Message::Call(call));
                }
            }
            Event::Report(Report::Return(call, outcome)) => {
                if let Some(handle) = self.handles.get(call.asker_worker as usize) {
                    handle.mailbox.send(Message::Return(call, outcome));
                }
            }
            Event::Report(Report::Notice(notice)) => self.log_notice(&notice, now),
            Event::Signal(number) => {
                if signals::obey(number, &self.log) == Wish::Stop {
                    return self.begin_stop(now);
                }
            }
            Event::WorkerEnded(Outcome::Drained) => {
                self.running -= 1;
                return (self.running == 0).then_some(Ending::Stopped);
            }
            // Nobody tells a worker to stop while control runs.
            Event::WorkerEnded(Outcome::Stopped) => return Some(Ending::Broken),
            Event::Broke(what) => {
                self.log.error(format_args!("cannot go on: {what}"));
                return Some(Ending::Broken);
            }
        }
        None
    }

    /// The first wish to stop lets everybody finish; the second does not.
    fn begin_stop(&mut self, now: Time) -> Option<Ending> {
        if self.stop.is_some() {
            return Some(Ending::Cut);
        }
        self.stop = Some(now + self.shutdown_timeout);
        self.readiness.end();
        self.stats.curr_connections.sub(self.doors.len() as u64);
        self.doors.close();
        // A successor needs these addresses as it needs those of the pools, long before we are done.
        self.admin.close();
        self.admin_files = [None, None];
        for handle in &self.handles {
            handle.mailbox.send(Message::Drain);
        }
        self.supervisor.stopping(
            self.shutdown_timeout,
            "stopping: requests under way are answered",
        );
        None
    }

    /// The state in a line, for the service manager.
    fn status(&self) -> String {
        let servers: usize = self.pools.iter().map(|pool| pool.servers.len()).sum();
        format!(
            "serving {} pools with {servers} servers, {} of them ejected",
            self.pools.len(),
            self.health.out_count()
        )
    }

    fn log_notice(&mut self, notice: &Notice, now: Time) {
        let level = level_of(&notice.what);
        if level as u8 > self.log.level() {
            return;
        }
        let is_left_out = match &notice.what {
            // Each worker tells it once, and the number of commands is bounded.
            What::CrossShard { command, .. } => {
                !self.apart.insert((notice.pool.index(), command.clone()))
            }
            _ => !self.quota.take(now),
        };
        if is_left_out {
            return;
        }
        let pool = &self.pools[notice.pool.index()];
        let (name, what) = (&pool.name, &notice.what);
        match notice.peer {
            Peer::Server(server) => {
                let server = &pool.servers[server.index()].pname;
                self.log.line(
                    level,
                    format_args!("pool {name:?}: server {server:?}: {what}"),
                );
            }
            Peer::Client(Some(peer)) => self
                .log
                .line(level, format_args!("pool {name:?}: client {peer}: {what}")),
            Peer::Client(None) => self.log.line(
                level,
                format_args!("pool {name:?}: client on a unix socket: {what}"),
            ),
        }
    }
}

fn level_of(what: &What) -> Level {
    match what {
        What::LinkClosed { .. }
        | What::BadReply(_)
        | What::Surplus
        | What::NotBlamed
        | What::Late { .. }
        | What::QueueFull { .. }
        | What::Greeting { .. }
        | What::CrossShard { .. }
        | What::Unjoinable => Level::Warn,
        What::SlowClient
        | What::ShedClient { .. }
        | What::StalledRequest
        | What::Unauthenticated
        | What::OverLimit { .. }
        | What::SlowUpload
        | What::BadRequest => Level::Notice,
    }
}
