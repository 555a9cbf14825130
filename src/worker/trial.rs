//! Whether gathering pays, found out by trying.
//!
//! What a wait saves depends on what surrounds the worker: how dear a send is, whether the cores of
//! its peers sleep or are busy, whether each client waits for its reply. Nothing of that can be seen
//! from here, but what comes of it can. So now and then a worker with many active clients works some
//! moments with waits and some without, in turns, and compares what a request cost and how many
//! there were.
//!
//! This is pure: it is told, epoch by epoch, what was done and what it cost.

use std::time::Duration;

use crate::proxy::Time;

/// Between trials: so rare that fewer than one request of a hundred is served the worse way.
const EVERY: Duration = Duration::from_secs(5);

/// After so long without a crowd the next one is a new one. It is tried soon, not at once: its
/// connections are being made.
const NEW_CROWD: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(100);

/// Epochs with waits, and then as many without. The first of each is not counted: in it what the
/// other left is worked off.
const STRETCH: u32 = 2;

/// A trial takes at least as many epochs as the first, and goes on up to the second until enough was
/// messages both ways.
const EPOCHS_MIN: u32 = 16;
const EPOCHS_MAX: u32 = 64;
const MESSAGES_MIN: u64 = 1000;

/// How much better waits must be to be begun, and how little to be given up. Between the two all stays
/// as it is, so that noise decides nothing.
const BEGIN: f64 = 1.08;
const GIVE_UP: f64 = 1.02;

/// What happened in an epoch that is over.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// When it ended.
    pub now: Time,
    /// How long it was.
    pub length: Duration,
    /// Requests and replies that were messages.
    pub messages: u64,
    /// Whether there was a crowd that waits could be for.
    pub crowd: bool,
}

/// What was seen one way.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    messages: u64,
    time: Duration,
    cpu: Duration,
}

impl Seen {
    /// More is better: requests per time, and per CPU time.
    fn worth(&self) -> f64 {
        let messages = self.messages as f64;
        messages / self.time.as_secs_f64() * (messages / self.cpu.as_secs_f64())
    }
}

/// A trial that goes on.
#[derive(Debug)]
struct Trying {
    /// Epochs that are over.
    epochs: u32,
    /// CPU time this thread had used when the last of them ended.
    used: Duration,
    with: Seen,
    without: Seen,
}

/// What one worker has found out.
#[derive(Debug)]
pub struct Trial {
    pays: bool,
    trying: Option<Trying>,
    /// When the next one begins, if there is a crowd.
    due: Time,
    /// How long there has been none.
    calm: Duration,
}

impl Trial {
    /// Waits pay until something else is known.
    pub fn new() -> Self {
        Self {
            pays: true,
            trying: None,
            due: Time::NEVER,
            calm: NEW_CROWD,
        }
    }

    /// Whether there may be waits in the epoch that begins.
    #[inline]
    pub fn waits(&self) -> bool {
        match &self.trying {
            None => self.pays,
            Some(trying) => trying.waits(),
        }
    }

    /// An epoch is over. `cpu` tells the CPU time this thread has used; it is a system call, and called
    /// only where it is needed. Where it tells nothing there is no trial.
    pub fn ended(&mut self, epoch: Epoch, cpu: impl FnOnce() -> Option<Duration>) {
        if !epoch.crowd {
            self.calm = self.calm.saturating_add(epoch.length);
            self.trying = None;
            return;
        }
        if self.calm >= NEW_CROWD {
            self.due = epoch.now + SOON;
        }
        self.calm = Duration::ZERO;
        if self.trying.is_none() && epoch.now < self.due {
            return;
        }
        self.due = epoch.now + EVERY;
        let Some(used) = cpu() else {
            self.trying = None;
            return;
        };
        let Some(trying) = &mut self.trying else {
            self.trying = Some(Trying::new(used));
            return;
        };
        trying.count(epoch, used);
        if let Some(better) = trying.outcome() {
            self.pays = better > if self.pays { GIVE_UP } else { BEGIN };
            self.trying = None;
        } else if trying.epochs == EPOCHS_MAX {
            // Too little goes on for a verdict.
            self.trying = None;
        }
    }
}

impl Trying {
    fn new(used: Duration) -> Self {
        Self {
            epochs: 0,
            used,
            with: Seen::default(),
            without: Seen::default(),
        }
    }

    fn waits(&self) -> bool {
        (self.epochs / STRETCH).is_multiple_of(2)
    }

    fn count(&mut self, epoch: Epoch, used: Duration) {
        let settles = self.epochs.is_multiple_of(STRETCH);
        let seen = if self.waits() {
            &mut self.with
        } else {
            &mut self.without
        };
        if !settles {
            seen.messages += epoch.messages;
            seen.time += epoch.length;
            seen.cpu += used.saturating_sub(self.used);
        }
        self.used = used;
        self.epochs += 1;
    }

    /// By how much waits are better, once both ways were seen long enough.
    fn outcome(&self) -> Option<f64> {
        let enough = self.with.messages.min(self.without.messages) >= MESSAGES_MIN;
        let even = self.epochs >= EPOCHS_MIN && self.epochs.is_multiple_of(2 * STRETCH);
        (enough && even).then(|| self.with.worth() / self.without.worth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Duration = Duration::from_millis(4);

    /// A worker of which 4 ms with waits move so much for so many microseconds of CPU time, and without.
    struct Worker {
        trial: Trial,
        now: Time,
        cpu: Duration,
        with: (u64, u64),
        without: (u64, u64),
    }

    impl Worker {
        fn new(with: (u64, u64), without: (u64, u64)) -> Self {
            Self {
                trial: Trial::new(),
                now: Time(1_000_000),
                cpu: Duration::from_secs(7),
                with,
                without,
            }
        }

        /// Works so long; says for how many epochs there were waits, and for how many none.
        fn works(&mut self, long: Duration, crowd: bool) -> (u32, u32) {
            let end = self.now + long;
            let (mut waiting, mut other) = (0, 0);
            while self.now < end {
                let waits = self.trial.waits();
                *(if waits { &mut waiting } else { &mut other }) += 1;
                let (messages, micros) = if waits { self.with } else { self.without };
                self.now = self.now + EPOCH;
                self.cpu += Duration::from_micros(micros);
                let epoch = Epoch {
                    now: self.now,
                    length: EPOCH,
                    messages,
                    crowd,
                };
                self.trial.ended(epoch, || Some(self.cpu));
            }
            (waiting, other)
        }
    }

    #[test]
    fn waits_that_pay_stay() {
        // A quarter less CPU for as many requests.
        let mut worker = Worker::new((400, 3000), (400, 4000));
        worker.works(Duration::from_secs(1), true);
        assert!(worker.trial.pays);
        let (waiting, other) = worker.works(Duration::from_secs(20), true);
        assert!(other >= 4 * 8, "it is tried again: {other}");
        assert!(other * 100 < waiting, "but seldom: {other} of {waiting}");
    }

    #[test]
    fn waits_that_cost_more_than_they_bring_are_given_up() {
        // A tenth less CPU for a request, but a fifth fewer requests: clients wait for their replies.
        let mut worker = Worker::new((400, 3000), (500, 4166));
        worker.works(Duration::from_secs(1), true);
        assert!(!worker.trial.pays);
        let (waiting, other) = worker.works(Duration::from_secs(20), true);
        assert!(
            waiting >= 4 * 8 && waiting * 100 < other,
            "{waiting} of {other}"
        );
        // The load is another one now.
        worker.with = (400, 2000);
        worker.works(Duration::from_secs(6), true);
        assert!(worker.trial.pays);
    }

    #[test]
    fn what_is_nearly_equal_changes_nothing() {
        let mut worker = Worker::new((400, 3800), (400, 4000));
        worker.works(Duration::from_secs(20), true);
        assert!(worker.trial.pays, "5 % are enough to go on");
        worker.trial.pays = false;
        worker.works(Duration::from_secs(20), true);
        assert!(!worker.trial.pays, "and not enough to begin");
    }

    #[test]
    fn without_a_crowd_there_are_no_trials() {
        let mut worker = Worker::new((400, 4000), (400, 3000));
        assert_eq!(worker.works(Duration::from_secs(20), false).1, 0);
    }

    #[test]
    fn a_new_crowd_is_tried_soon_and_one_that_comes_and_goes_is_not_tried_always() {
        let mut worker = Worker::new((400, 3000), (400, 4000));
        worker.works(Duration::from_secs(7), true);
        worker.works(Duration::from_secs(2), false);
        assert!(worker.works(Duration::from_millis(200), true).1 > 0);
        let mut tried = 0;
        for _ in 0..40 {
            worker.works(Duration::from_millis(20), false);
            tried += worker.works(Duration::from_millis(80), true).1;
        }
        assert_eq!(tried, 0);
    }

    #[test]
    fn too_few_requests_say_nothing() {
        let mut worker = Worker::new((20, 400), (20, 300));
        worker.works(Duration::from_secs(20), true);
        assert!(worker.trial.pays);
    }

    #[test]
    fn where_cpu_time_is_not_told_waits_stay() {
        let mut trial = Trial::new();
        for number in 1..10_000 {
            let epoch = Epoch {
                now: Time(number * 4000),
                length: EPOCH,
                messages: 400,
                crowd: true,
            };
            trial.ended(epoch, || None);
            assert!(trial.waits());
        }
    }
}
