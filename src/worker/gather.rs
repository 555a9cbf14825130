//! Gathering: whether to wait a moment before a turn, and how long.
//!
//! What a request costs is mostly its sends. A worker that wakes for every event sends one request
//! at a time; one that waits a moment, while many clients are active, sends what all of them asked
//! of a server in one write, and its server answers them in one. With few clients there is nothing
//! to gather, and the wait would only be added to each reply. So the wait is chosen from what was
//! observed in the last epoch: how many different clients were heard, and how fast events came. Whether
//! waits pay at all where the worker runs is found out by trying ([`Trial`]).
//!
//! This is pure: it is told what happened and the time, and answers with a length.

use std::time::Duration;

use crate::proxy::Time;

use super::trial::{Epoch, Trial};

/// How long clients are counted before the counts are used. Short, so that a change is noticed; long
/// enough to hear each of those who pipeline, and so ask seldom.
const EPOCH: Duration = Duration::from_millis(4);

/// With fewer active clients than this a wait only hurts: those who are waited for wait themselves.
const ACTIVE_MIN: u32 = 16;

/// A wait that would bring fewer requests and replies than this is not worth its system calls.
const GAIN_MIN: u64 = 3;

/// A shorter sleep costs more than it brings.
const NAP_MIN: Duration = Duration::from_micros(10);

/// A connection's mark of the epoch in which it was last heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u32);

/// What one worker observes.
#[derive(Debug)]
pub struct Gather {
    limit: Duration,
    /// Counts epochs, so that a connection's mark tells whether it was heard in this one.
    epoch: u32,
    began: Time,
    /// In this epoch: different clients heard, events, and what they brought.
    heard: u32,
    events: u64,
    messages: u64,
    /// In the last epoch: different clients heard, events per second, and requests and replies per
    /// second. An event may bring many of those, and the more so the longer the waits are.
    active: u32,
    rate: u64,
    pace: u64,
    trial: Trial,
}

impl Gather {
    /// Waits at most `limit`; never, if that is zero.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            // A mark that was never set belongs to no epoch.
            epoch: 1,
            began: Time::default(),
            heard: 0,
            events: 0,
            messages: 0,
            active: 0,
            rate: 0,
            pace: 0,
            trial: Trial::new(),
        }
    }

    /// A client sent something; `mark` is the one kept with its connection.
    #[inline]
    pub fn heard(&mut self, mark: &mut Mark) {
        if mark.0 != self.epoch {
            mark.0 = self.epoch;
            self.heard += 1;
        }
    }

    /// A turn starts, with so many events; those before brought `messages` requests and replies, counted
    /// from the start of everything. `cpu` tells the CPU time of this thread, if the system does.
    #[inline]
    pub fn turn(
        &mut self,
        now: Time,
        events: usize,
        messages: u64,
        cpu: impl FnOnce() -> Option<Duration>,
    ) {
        self.events += events as u64;
        let elapsed = now.since(self.began);
        if elapsed >= EPOCH {
            let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            let brought = messages.wrapping_sub(self.messages);
            self.rate = self.events * 1_000_000 / micros;
            self.pace = brought.saturating_mul(1_000_000) / micros;
            self.messages = messages;
            self.active = self.heard;
            (self.heard, self.events) = (0, 0);
            self.epoch = self.epoch.wrapping_add(1);
            self.began = now;
            if !self.limit.is_zero() {
                let epoch = Epoch {
                    now,
                    length: elapsed,
                    messages: brought,
                    crowd: self.active >= ACTIVE_MIN,
                };
                self.trial.ended(epoch, cpu);
            }
        }
    }

    /// Whether there may be waits: many clients are active, and waits were found to pay.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.active >= ACTIVE_MIN && !self.limit.is_zero() && self.trial.waits()
    }

    /// How long to wait for more than the `ready` events that are there. `None`: not at all.
    #[inline]
    pub fn nap(&self, ready: usize) -> Option<Duration> {
        if ready == 0 || !self.is_on() {
            return None;
        }
        // Half of those who are active: the other half is probably waiting for its replies.
        let missing = u64::from(self.active / 2).saturating_sub(ready as u64);
        if missing < GAIN_MIN || self.rate == 0 {
            return None;
        }
        let nap = Duration::from_micros(missing * 1_000_000 / self.rate).min(self.limit);
        let gain = self.pace * u64::try_from(nap.as_micros()).unwrap_or(0) / 1_000_000;
        (nap >= NAP_MIN && gain >= GAIN_MIN).then_some(nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(100);

    /// After three epochs in each of whose milliseconds each of `clients` was heard `times`, a turn every
    /// 100 us.
    fn after(clients: usize, times: usize, limit: Duration) -> Gather {
        let mut gather = Gather::new(limit);
        let mut marks = vec![Mark::default(); clients];
        let mut now = Time::default();
        let (mut next, mut messages) = (0, 0);
        for _ in 0..120 {
            now = now + Duration::from_micros(100);
            let events = clients * times / 10;
            gather.turn(now, events, messages, || None);
            messages += events as u64;
            for _ in 0..events {
                gather.heard(&mut marks[next % clients]);
                next += 1;
            }
        }
        gather
    }

    #[test]
    fn few_clients_are_never_kept_waiting() {
        for clients in 1..ACTIVE_MIN as usize {
            assert_eq!(after(clients, 20, LIMIT).nap(1), None, "{clients}");
        }
    }

    #[test]
    fn many_active_clients_are_waited_for_but_not_beyond_the_limit() {
        let gather = after(50, 1, LIMIT);
        assert_eq!(gather.nap(1), Some(LIMIT));
        assert!(gather.is_on());
        let never = after(50, 1, Duration::ZERO);
        assert_eq!(never.nap(1), None);
        assert!(!never.is_on());
    }

    #[test]
    fn the_wait_is_as_short_as_the_missing_events_need() {
        // 200 events a millisecond, of 50 clients: 25 are wanted, and come in 125 us.
        let gather = after(50, 4, Duration::from_millis(1));
        let nap = gather.nap(5).expect("20 are missing");
        assert!((90..=110).contains(&nap.as_micros()), "{nap:?}");
        assert_eq!(gather.nap(25), None, "enough are there");
        assert_eq!(gather.nap(0), None, "it was woken for something else");
    }

    #[test]
    fn many_clients_that_ask_seldom_are_not_waited_for() {
        // 1,000 clients, 10 requests a millisecond: a wait would bring one.
        let mut gather = Gather::new(LIMIT);
        let mut marks = vec![Mark::default(); 1000];
        for number in 0..1000_u64 {
            gather.turn(Time(number * 100), 1, number, || None);
            gather.heard(&mut marks[number as usize]);
            assert_eq!(gather.nap(1), None);
        }
    }

    #[test]
    fn pipelines_count_by_what_they_bring() {
        // 40 clients, each heard once in 4 ms with 32 requests: few events, which bring much.
        let mut gather = Gather::new(LIMIT);
        let mut marks = [Mark::default(); 40];
        for number in 0..120_usize {
            gather.turn(Time(number as u64 * 100), 1, number as u64 * 32, || None);
            gather.heard(&mut marks[number % 40]);
        }
        assert_eq!(gather.nap(1), Some(LIMIT));
    }

    #[test]
    fn a_burst_long_ago_is_forgotten() {
        let mut gather = after(100, 1, LIMIT);
        assert!(gather.nap(1).is_some());
        gather.turn(Time(10_000_000), 1, 0, || None);
        assert_eq!(gather.nap(1), None);
    }
}
