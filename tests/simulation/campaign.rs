//! Many runs, on all cores, and what they came to.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::bounds::BEYOND;
use crate::busy::{ENDED_ONE, OVERTOOK};
use crate::hoarding;
use crate::joins;
use crate::killing::KILLED_ELSEWHERE;
use crate::ledger::Totals;
use crate::memcache::BUNDLED;
use crate::muting::UNHEARD;
use crate::plan::Plan;
use crate::sessions::PUBLISHED;
use crate::waking::WOKEN_ELSEWHERE;
use crate::world::{self, Outcome};

/// A run that takes longer is named while it lasts.
const PATIENCE: Duration = Duration::from_secs(20);

/// Failing seeds after which there is no point in going on.
const FAILURES_MAX: usize = 8;

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")),
    )
}

/// Plays a plan; a panic counts as a violation.
pub fn play(plan: Plan, verbose: bool) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| world::run(plan, verbose))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        Outcome {
            violation: Some(format!("panic: {text}")),
            totals: Totals::default(),
            digest: 0,
            is_planted: false,
        }
    })
}

/// So many seeds in a row.
#[derive(Debug)]
pub struct Campaign {
    first: u64,
    count: u64,
}

/// What they came to.
#[derive(Debug)]
pub struct Report {
    seeds: u64,
    took: Duration,
    totals: Totals,
    failures: Vec<(u64, String)>,
}

impl Campaign {
    /// The seeds from `first` on.
    pub fn new(first: u64, count: u64) -> Self {
        Self { first, count }
    }

    /// Plays them all, or until too many have failed.
    pub fn run(&self) -> Report {
        let begin = Instant::now();
        let next = AtomicU64::new(0);
        let report = Mutex::new(Report {
            seeds: 0,
            took: Duration::ZERO,
            totals: Totals::default(),
            failures: Vec::new(),
        });
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let running = &Mutex::new(vec![None; threads]);
        let (done, finished) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || watch(running, &finished));
            for thread in 0..threads {
                let (done, next, report) = (done.clone(), &next, &report);
                scope.spawn(move || {
                    let _done = done;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.count {
                            return;
                        }
                        let seed = self.first + number;
                        running.lock().expect("whole")[thread] = Some((seed, Instant::now()));
                        let outcome = play(Plan::new(seed), false);
                        let mut report = report.lock().expect("no thread panics with it");
                        report.seeds += 1;
                        report.totals.add(&outcome.totals);
                        report
                            .failures
                            .extend(outcome.violation.map(|text| (seed, text)));
                        if report.failures.len() >= FAILURES_MAX {
                            next.store(self.count, Ordering::Relaxed);
                        }
                    }
                });
            }
            drop(done);
        });
        let mut report = report.into_inner().expect("no thread panicked with it");
        report.failures.sort();
        report.took = begin.elapsed();
        report
    }
}

/// Names runs that take long, until the other end of `finished` is gone.
fn watch(running: &Mutex<Vec<Option<(u64, Instant)>>>, finished: &mpsc::Receiver<()>) {
    while let Err(mpsc::RecvTimeoutError::Timeout) = finished.recv_timeout(PATIENCE) {
        for (seed, since) in running.lock().expect("whole").iter().flatten() {
            if since.elapsed() > PATIENCE {
                eprintln!(
                    "seed {seed} has been running for {} s",
                    since.elapsed().as_secs()
                );
            }
        }
    }
}

impl Report {
    /// Fails the test if any seed has failed, or if not enough was seen for that to mean anything.
    pub fn assert_clean(&self) {
        if self.seeds >= 1000 {
            let bundles = self.totals.done.get(BUNDLED).copied();
            assert!(bundles > Some(self.seeds), "{BUNDLED}: {bundles:?}");
            for what in [UNHEARD, KILLED_ELSEWHERE, WOKEN_ELSEWHERE, OVERTOOK, BEYOND] {
                let count = self.totals.done.get(what).copied();
                assert!(count > Some(self.seeds / 100), "{what}: {count:?}");
            }
            let ended = self.totals.done.get(ENDED_ONE);
            assert!(ended.is_some(), "never seen: {ENDED_ONE}");
            let published = self.totals.done.get(PUBLISHED);
            assert!(published.is_some(), "never seen: {PUBLISHED}");
            let missing = joins::missing(&self.totals);
            assert!(missing.is_empty(), "never seen to succeed: {missing:?}");
        }
        if self.seeds >= hoarding::TELLING_SEEDS {
            let missing = hoarding::missing(&self.totals);
            assert!(missing.is_empty(), "never seen: {missing:?}");
        }
        if let Some((seed, text)) = self.failures.first() {
            let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
            let failed = |list: String, (seed, text): &(u64, String)| {
                format!("{list}\nseed {seed}: {}", line(text))
            };
            let list = self.failures.iter().fold(String::new(), failed);
            panic!("seed {seed}: {text}\n{list}\n\nreplay: make simulate SEED={seed}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds in {:.1} s",
            self.seeds,
            self.took.as_secs_f64()
        )?;
        write!(f, "{}", self.totals)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>12} requests, {} replies checked",
            self.requests, self.replies
        )?;
        writeln!(
            f,
            "{:>12} client connections, {} to servers",
            self.clients, self.links
        )?;
        writeln!(f, "{:>12} turns, {} bytes carried", self.turns, self.bytes)?;
        writeln!(f, "{:>12} ejections", self.ejections)?;
        writeln!(f, "done:")?;
        for (what, count) in &self.done {
            writeln!(f, "{count:>12} {what}")?;
        }
        writeln!(f, "errors clients were given:")?;
        for (text, count) in &self.errors {
            writeln!(f, "{count:>12} {text}")?;
        }
        writeln!(f, "faults:")?;
        for (fault, count) in &self.faults {
            writeln!(f, "{count:>12} {fault:?}")?;
        }
        writeln!(f, "notices:")?;
        for (text, count) in &self.notices {
            writeln!(f, "{count:>12} {text}")?;
        }
        Ok(())
    }
}
