//! The service manager that started us, if one did: sockets it hands over, what it is told, and its
//! watchdog. The protocol is systemd's, in environment variables and datagrams; without those
//! variables everything here does nothing.
//!
//! The watchdog is fed for all workers together, and only if each of them came round since the last
//! time: a proxy of which one worker is stuck does not serve the clients of that worker.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::RawFd;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use super::listeners::WorkerHandle;
use crate::engine::{self, Endpoint, Listener};
use crate::proxy::Time;
use crate::worker::Message;

/// The first descriptor that is handed over.
const FIRST_FD: RawFd = 3;

/// Most sockets that are taken; more is a mistake, or not meant for us.
const SOCKETS_MAX: RawFd = 1024;

/// Times within its limit at which the watchdog is fed, so that one late turn does no harm.
const FEEDINGS: u32 = 4;

/// The service manager.
#[derive(Debug, Default)]
pub struct Supervisor {
    address: Option<OsString>,
    watchdog: Option<Watchdog>,
}

impl Supervisor {
    /// As the environment has it. To be called before the process splits off a daemon: what is said
    /// there is said to the process that was started.
    pub fn from_environment() -> Self {
        let text = |name| env::var(name).ok();
        let is_ours = text("WATCHDOG_PID").is_none_or(|pid| pid == process::id().to_string());
        let limit = text("WATCHDOG_USEC").and_then(|text| text.parse().ok());
        let limit = limit.filter(|limit| is_ours && *limit > 0);
        Self {
            address: env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()),
            watchdog: limit.map(|limit| Watchdog::new(Duration::from_micros(limit))),
        }
    }

    /// Clients are let in.
    pub fn ready(&self, status: impl fmt::Display) {
        self.tell(format_args!("READY=1\nSTATUS={status}\n"));
    }

    /// How things are, for `systemctl status`.
    pub fn status(&self, status: impl fmt::Display) {
        self.tell(format_args!("STATUS={status}\n"));
    }

    /// Nobody is let in any more, and it may take so long until those who are in are gone.
    pub fn stopping(&self, patience: Duration, status: impl fmt::Display) {
        // A second for what follows, lest it be taken for a stop that hangs.
        let patience = (patience + Duration::from_secs(1)).as_micros();
        self.tell(format_args!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={patience}\nSTATUS={status}\n"
        ));
    }

    /// When [`Supervisor::turn`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        self.watchdog.as_ref().map(|watchdog| watchdog.next)
    }

    /// Feeds the watchdog if it is time and all workers turn.
    pub fn turn(&mut self, now: Time, handles: &[WorkerHandle]) {
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.turn(now, handles)
        {
            self.tell(format_args!("WATCHDOG=1\n"));
        }
    }

    fn tell(&self, text: fmt::Arguments<'_>) {
        if let Some(address) = &self.address {
            // A service manager that cannot be told finds out by itself, and clients come first.
            let _ = engine::notify(address, &text.to_string());
        }
    }
}

/// Whether all workers turn.
#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: Time,
    /// Copies of it are with the workers that did not come round yet.
    pulse: Arc<()>,
}

impl Watchdog {
    fn new(limit: Duration) -> Self {
        Self {
            every: (limit / FEEDINGS).max(Duration::from_millis(1)),
            next: Time::default(),
            pulse: Arc::default(),
        }
    }

    /// Whether to feed now.
    fn turn(&mut self, now: Time, handles: &[WorkerHandle]) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.every;
        // A worker that has ended has dropped its messages, too.
        let all_turned = Arc::strong_count(&self.pulse) == 1;
        if all_turned {
            for handle in handles {
                let pulse = Arc::clone(&self.pulse);
                handle.mailbox.send(Message::Pulse(pulse));
            }
        }
        all_turned
    }
}

/// Sockets that listened already when we were started.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, Listener)>,
}

impl Inherited {
    /// Takes over what the environment says is ours. To be called once, before this process opens
    /// anything.
    ///
    /// # Errors
    /// Something that was handed over is no socket that listens.
    pub fn from_environment() -> Result<Self, String> {
        let text = |name| env::var(name).unwrap_or_default();
        if text("LISTEN_PID") != process::id().to_string() {
            return Ok(Self::default());
        }
        let count = text("LISTEN_FDS").parse().unwrap_or(0);
        let names = text("LISTEN_FDNAMES");
        let mut names = names.split(':');
        let mut sockets = Vec::new();
        for number in FIRST_FD..FIRST_FD + RawFd::clamp(count, 0, SOCKETS_MAX) {
            let name = names.next().unwrap_or_default().to_owned();
            let listener = Listener::inherit(number).map_err(|error| {
                format!("socket activation: descriptor {number} ({name:?}) is unusable: {error}")
            })?;
            sockets.push((name, listener));
        }
        Ok(Self { sockets })
    }

    /// The sockets that listen at `endpoint`, and those that are called `name`.
    pub fn take(&mut self, name: &str, endpoint: &Endpoint) -> Vec<Listener> {
        let is_meant = |(called, listener): &mut (String, Listener)| {
            called == name || listener.endpoint().as_ref() == Some(endpoint)
        };
        let meant = self.sockets.extract_if(.., is_meant);
        meant.map(|(_, listener)| listener).collect()
    }

    /// # Errors
    /// A socket was left over: clients of it would wait for ever.
    pub fn finish(self) -> Result<(), String> {
        let Some((name, listener)) = self.sockets.into_iter().next() else {
            return Ok(());
        };
        let place = match listener.endpoint() {
            Some(Endpoint::Tcp(address)) => address.to_string(),
            Some(Endpoint::Unix(path)) => path.display().to_string(),
            None => "an unnamed place".to_owned(),
        };
        Err(format!(
            "socket activation: the socket {name:?} at {place} is no pool's: give it the name of a \
             pool (FileDescriptorName=) or the address of one"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Mailbox};

    #[test]
    fn the_watchdog_is_fed_while_all_workers_turn() {
        let engine = Engine::new().expect("an engine");
        let (mailbox, inbox) = Mailbox::new(&engine).expect("a mailbox");
        let (other_engine, mut workers) = (Engine::new().expect("an engine"), Vec::new());
        let (other_mailbox, other_inbox) = Mailbox::new(&other_engine).expect("a mailbox");
        for mailbox in [mailbox, other_mailbox] {
            workers.push(WorkerHandle {
                mailbox,
                count: Arc::default(),
            });
        }
        let second = Duration::from_secs(1);
        let mut watchdog = Watchdog::new(4 * second);
        let mut now = Time(1_000_000);
        let mut fed = |watchdog: &mut Watchdog| {
            now = now + second;
            watchdog.turn(now, &workers)
        };
        assert!(fed(&mut watchdog));
        // Only one of them comes round.
        drop(inbox.try_recv());
        assert!(!fed(&mut watchdog));
        assert!(!fed(&mut watchdog));
        assert!(inbox.try_recv().is_err(), "one pulse at a time");
        drop(other_inbox.try_recv());
        assert!(fed(&mut watchdog));
        // One that has ended does not count.
        drop((inbox.try_recv(), other_inbox));
        assert!(fed(&mut watchdog));
        // Between the times nothing happens.
        drop(inbox.try_recv());
        assert!(fed(&mut watchdog));
        let next = watchdog.next;
        drop(inbox.try_recv());
        assert!(!watchdog.turn(Time(next.0 - 1), &[]));
    }
}
