//! Messages to those who listen to channels, and how many may wait for one of them.
//!
//! As in Redis there are two limits: of what may wait at all, and of what may wait for long.

use std::mem;

use super::CloseHow;
use super::Proxy;
use super::client::{Ending, State};
use super::ids::{ClientId, LinkId};
use super::notice::What;
use super::subscribe::subscriber_in;
use crate::buffer::{Input, Queue};
use crate::protocol::{ReplyScan, Version};

/// What stands at the front of what came from a server its client listens to.
#[derive(Debug)]
pub(super) enum Message {
    /// A reply.
    None,
    /// A part of a message, and how many bytes of it were taken.
    Part(usize),
    /// A message, and its length.
    Whole(usize),
}

impl Proxy {
    /// Reads a message on a connection whose client listens to channels.
    pub(super) fn read_message(&mut self, id: LinkId, input: Input<'_>) -> Message {
        let limit = self.limits.subscriber;
        let Some(link) = self.links.find_mut(id) else {
            return Message::None;
        };
        if !link.in_message {
            if link.scan.has_begun() {
                return Message::None;
            }
            match is_message(input.bytes()) {
                Some(true) => link.in_message = true,
                Some(false) => return Message::None,
                None => return Message::Part(0),
            }
        }
        let protocol = self.pools[link.pool.index()].protocol;
        let fed = match protocol.feed_reply(&mut link.scan, input.bytes()) {
            Ok(fed) => fed,
            Err(bad) => {
                self.bad_reply(id, bad);
                return Message::Part(0);
            }
        };
        link.partial
            .push_input(input.slice(0..fed.used), &mut self.buffers);
        if !fed.done {
            if link.partial.len() > limit {
                let stats = &self.stats.pools[link.pool.index()];
                stats.subscriber_output_limit_hits.add(1);
                match link.owner {
                    Some(owner) => self.close_client(owner, Ending::Error, CloseHow::Reset),
                    None => self.drop_link(id),
                }
            }
            return Message::Part(fed.used);
        }
        let mut frame = mem::take(&mut link.partial);
        link.scan = ReplyScan::new(link.version);
        link.in_message = false;
        if let Some(owner) = link.owner {
            self.message(owner, &frame);
        }
        frame.clear(&mut self.buffers);
        Message::Whole(fed.used)
    }

    /// A message came, whole, over a connection of the client's own.
    fn message(&mut self, id: ClientId, frame: &Queue) {
        let limit = self.limits.subscriber;
        let mut bytes = frame.to_vec();
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.state != State::Open {
            return;
        }
        let in_reply = client.ring.is_within_a_reply();
        let modern = client.version() == Version::Resp3;
        let waiting = client.out.len();
        let Some(subscriber) = subscriber_in(&mut client.session) else {
            return;
        };
        // What was unsubscribed a moment ago.
        if !subscriber.wants(&bytes) {
            return;
        }
        if modern {
            bytes[0] = b'>';
        }
        let waiting = waiting + subscriber.held_bytes + bytes.len();
        if waiting > limit {
            return self.close_listener(id);
        }
        if waiting > self.limits.subscriber_soft && subscriber.above_since.is_none() {
            subscriber.above_since = Some(self.now);
            let due = self.now + self.limits.subscriber_soft_span;
            self.timers.arm(id.conn(), &mut client.armed, due);
        }
        let unconfirmed = subscriber
            .confirming
            .is_some_and(|request| client.ring.holds(request));
        let len = bytes.len();
        if in_reply || unconfirmed || !subscriber.held.is_empty() {
            subscriber.held_bytes += len;
            subscriber.held.push_back(bytes);
            return self.message_waits(len);
        }
        client.out.push(&bytes, &mut self.buffers);
        self.flush_client(id);
        self.message_waits(len);
    }

    /// Passes on the messages that waited for the end of a reply.
    pub(super) fn release_messages(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        if client.ring.is_within_a_reply() {
            return;
        }
        let Some(subscriber) = subscriber_in(&mut client.session) else {
            return;
        };
        if let Some(request) = subscriber.confirming {
            if client.ring.holds(request) {
                return;
            }
            subscriber.confirming = None;
        }
        subscriber.held_bytes = 0;
        for message in mem::take(&mut subscriber.held) {
            // What was not confirmed after all, or was ended meanwhile, is not listened to.
            if subscriber.wants(&message) {
                client.out.push(&message, &mut self.buffers);
            }
        }
    }

    /// A listener took output: what waits for it may be little enough again.
    pub(super) fn listener_sent(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let waiting = client.out.len();
        if let Some(subscriber) = subscriber_in(&mut client.session)
            && waiting + subscriber.held_bytes <= self.limits.subscriber_soft
        {
            subscriber.above_since = None;
        }
    }

    /// Closes a listener for whom too much has waited for too long.
    pub(super) fn check_listener(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let subscriber = subscriber_in(&mut client.session);
        let Some(since) = subscriber.and_then(|known| known.above_since) else {
            return;
        };
        let due = since + self.limits.subscriber_soft_span;
        if due <= self.now {
            self.close_listener(id);
        } else {
            self.timers.arm(id.conn(), &mut client.armed, due);
        }
    }

    fn close_listener(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let stats = &self.stats.pools[client.pool.index()];
        stats.subscriber_output_limit_hits.add(1);
        self.notice_client(id, What::SlowClient);
        self.close_client(id, Ending::Error, CloseHow::Reset);
    }
}

/// Whether the bytes that come next from a server its client listens to are a message; `None` when
/// too few are there to tell.
fn is_message(bytes: &[u8]) -> Option<bool> {
    const STARTS: [&[u8]; 3] = [
        b"*3\r\n$7\r\nmessage\r\n",
        b"*4\r\n$8\r\npmessage\r\n",
        b"*3\r\n$8\r\nsmessage\r\n",
    ];
    if STARTS.iter().any(|start| bytes.starts_with(start)) {
        return Some(true);
    }
    let may_become = STARTS.iter().any(|start| start.starts_with(bytes));
    if may_become { None } else { Some(false) }
}
