//! The answers, made of what is the case when they are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::http::{self, Method, Page, Status};
use super::{now, seconds_since_epoch};
use crate::engine::posix;
use crate::stats::{About, CONTENT_TYPE, Process, Stats};

/// What the process is, as far as it does not change.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The machine's name.
    pub source: String,
    /// The configuration file.
    pub config_file: String,
    /// Its digest, as md5sum(1) prints it.
    pub config_md5: String,
    /// How many of the threads that count, the first, are workers.
    pub workers: usize,
}

/// Whether the process lets new clients in. Control says so, `/readyz` passes it on.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Ready: the admin thread starts when everything else has.
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// From now on it is not.
    pub fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes answers.
pub struct Pages {
    stats: Arc<Stats>,
    identity: Identity,
    readiness: Readiness,
    start: Instant,
    start_time: u64,
}

impl Pages {
    /// Uptime is counted from now.
    pub fn new(stats: Arc<Stats>, identity: Identity, readiness: Readiness) -> Self {
        Self {
            stats,
            identity,
            readiness,
            start: now(),
            start_time: seconds_since_epoch(),
        }
    }

    /// What the stats port answers: twemproxy's JSON and a line feed.
    pub fn stats_line(&self) -> Vec<u8> {
        let mut text = self.stats.json(self.process());
        text.push('\n');
        text.into_bytes()
    }

    /// The answer to an HTTP request, as it was understood.
    pub fn page(&self, asked: Result<(Method, Page), Status>) -> Vec<u8> {
        let (method, page) = match asked {
            Ok(asked) => asked,
            Err(status) => return http::plain(status, Method::Get),
        };
        match page {
            Page::Metrics => {
                let text = self.metrics();
                http::answer(Status::Ok, method, CONTENT_TYPE, &text)
            }
            Page::Stats => {
                let mut text = self.stats.full_json(self.process());
                text.push('\n');
                http::answer(Status::Ok, method, "application/json", &text)
            }
            Page::Ready if !self.readiness.is_ready() => http::plain(Status::Unavailable, method),
            Page::Live | Page::Ready => http::plain(Status::Ok, method),
        }
    }

    fn metrics(&self) -> String {
        let usage = posix::usage();
        self.stats.prometheus(&About {
            workers: self.identity.workers,
            is_ready: self.readiness.is_ready(),
            config_file: &self.identity.config_file,
            config_md5: &self.identity.config_md5,
            start_time: self.start_time,
            cpu_micros: usage.cpu_micros,
            resident_bytes: usage.resident_bytes,
            open_files: usage.open_files,
            open_files_max: usage.open_files_max,
        })
    }

    fn process(&self) -> Process<'_> {
        Process {
            source: &self.identity.source,
            uptime: now().duration_since(self.start).as_secs(),
            timestamp: seconds_since_epoch(),
        }
    }
}
