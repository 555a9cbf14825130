//! Requests of which no byte was sent when their connection broke: they go on over another one.
//!
//! ```text
//!   entries   [ 41: client 7 ][ 42: client 2 ][ 43: client 7 ][ 44: client 3 ]
//!   output    sent ------------ sent so far ^ ------------- not sent --------
//!             error           error           error           goes on
//! ```
//!
//! That is no retry: the server cannot have heard of them. What cannot go on without harm gets the error
//! all others get: a request behind one of the same client that may still be executed, a transaction, what
//! a late client was told already, and what has lost a connection once before, so that nothing waits for
//! ever. The new connection is made only if the server's past allows an attempt at once.

use std::collections::{HashSet, VecDeque};

use super::Proxy;
use super::cause::Cause;
use super::link::{InFlight, Kind, Link, Role, State};
use super::time::Time;
use crate::buffer::Queue;

impl Link {
    /// Whether what was not sent may go on over another connection when this one ends for `cause`.
    pub fn leaves_unsent(&self, cause: Cause) -> bool {
        // What waited for a whole timeout is late anyway, and a queue is given up for its memory.
        matches!(self.kind, Kind::Shared(_))
            && self.state == State::Ready
            && self.uploader.is_none()
            && !self.out.is_empty()
            && !matches!(cause, Cause::TimedOut | Cause::NoMemory)
    }

    /// The first entry of whose request nothing was sent, nor of the bundle it is in.
    fn first_unsent(&self) -> usize {
        let mut sent_bundle = 0;
        let is_unsent = |entry: &InFlight| {
            if entry.end - entry.len < self.sent {
                sent_bundle = entry.bundle;
                return false;
            }
            entry.bundle == 0 || entry.bundle != sent_bundle
        };
        self.in_flight
            .iter()
            .position(is_unsent)
            .unwrap_or(self.in_flight.len())
    }
}

/// The client of an entry, as a number.
fn whose(entry: &InFlight) -> Option<u64> {
    entry.client.map(|client| client.conn().token())
}

/// The entries at the front of `entries` whose requests are one in the output: those of a bundle, or one.
fn take_group(in_flight: &mut VecDeque<InFlight>, group: &mut Vec<InFlight>) {
    group.clear();
    while let Some(&entry) = in_flight.front()
        && group
            .first()
            .is_none_or(|first: &InFlight| first.bundle > 0 && first.bundle == entry.bundle)
    {
        group.push(entry);
        in_flight.pop_front();
    }
}

impl Proxy {
    /// Queues on another connection what may go on there of `link`, which is closed, and of its output. What
    /// stays has to be answered with an error.
    pub(super) fn move_unsent(&mut self, link: &mut Link, mut out: Queue) {
        let first = link.first_unsent();
        let Kind::Shared(place) = link.kind else {
            return out.clear(&mut self.buffers);
        };
        if first == link.in_flight.len() || self.is_short(link.pool) {
            return out.clear(&mut self.buffers);
        }
        let Ok(target) = self.shared_link(link.pool, link.lane, link.server, place) else {
            return out.clear(&mut self.buffers);
        };
        for index in 0..first {
            let family = link.in_flight[index].family;
            link.forget_asked(family);
        }
        let mut waiting = link.in_flight.split_off(first);
        let mut failed: HashSet<u64> = link.in_flight.iter().filter_map(whose).collect();
        let start = waiting
            .front()
            .map_or(link.sent, |entry| entry.end - entry.len);
        out.consume((start - link.sent) as usize, &mut self.buffers);
        let mut group = Vec::new();
        while !waiting.is_empty() {
            take_group(&mut waiting, &mut group);
            let len: u64 = group.iter().map(|entry| entry.len).sum();
            let goes_on = |entry: &InFlight| {
                let fails = |client| failed.contains(&client);
                !entry.again
                    && matches!(entry.role, Role::Usual | Role::AfterExec)
                    && !whose(entry).is_none_or(fails)
            };
            let Some(found) = self.links.find_mut(target) else {
                break;
            };
            if !group.iter().all(goes_on) {
                out.consume(len as usize, &mut self.buffers);
                group
                    .iter()
                    .for_each(|entry| link.forget_asked(entry.family));
                failed.extend(group.iter().filter_map(whose));
                link.in_flight.extend(&group);
                continue;
            }
            let bundle = if group[0].bundle > 0 {
                found.close_bundle()
            } else {
                0
            };
            out.move_front(len as usize, &mut found.out, &mut self.buffers);
            for &entry in &group {
                let again = InFlight {
                    bundle,
                    role: Role::Usual,
                    sent: Time::NEVER,
                    again: true,
                    ..entry
                };
                self.enqueued(target, again, entry.len);
                if let Some(found) = self.links.find_mut(target) {
                    link.move_asked(entry.family, found);
                }
            }
        }
        link.in_flight.extend(waiting);
        out.clear(&mut self.buffers);
    }
}
