//! A request as a value: what its reply must know of it, and the one way to put it on a connection to a
//! server.

use super::Proxy;
use super::ids::{ClientId, LinkId};
use super::large_keys::KeyHash;
use super::link::InFlight;
use super::pool::Pool;
use super::time::Time;
use crate::buffer::{BufferPool, Input, Queue};
use crate::protocol::{Answer, Family, Topic};

/// A request of a client, with what is known of it before its server is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Who asked.
    pub client: ClientId,
    /// What it is counted under.
    pub topic: Topic,
    /// Which replies it can have.
    pub family: Family,
    /// What is remembered of its key, if it has one.
    pub print: KeyHash,
    /// Whether it is answered.
    pub answer: Answer,
}

impl Request {
    /// One of which its command's row in the pool says this; its family only if replies are held against
    /// that (`strict`).
    #[inline]
    pub fn of_row(
        client: ClientId,
        (topic, family): (Topic, Family),
        answer: Answer,
        strict: bool,
    ) -> Self {
        Self {
            client,
            topic,
            family: if strict { family } else { Family::Any },
            print: KeyHash::NONE,
            answer,
        }
    }

    /// A question of the proxy's own on behalf of a client: counted under no command, with any reply.
    pub fn own(client: ClientId) -> Self {
        Self {
            client,
            topic: Topic::NONE,
            family: Family::Any,
            print: KeyHash::NONE,
            answer: Answer::Always,
        }
    }

    /// The same, counted under `topic`.
    pub fn counted_under(self, topic: Topic) -> Self {
        Self { topic, ..self }
    }

    /// The same of which another reply is expected.
    pub fn of_family(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// The same of which any reply is expected.
    pub fn of_any_family(self) -> Self {
        self.of_family(Family::Any)
    }

    /// Its entry in the queue of a connection, for the exchange with the number `sequence`.
    #[inline]
    pub fn entry(&self, sequence: u32, now: Time) -> InFlight {
        InFlight {
            client: Some(self.client),
            topic: self.topic,
            print: self.print,
            marked: self.answer != Answer::Always,
            family: self.family,
            ..InFlight::unheard(sequence, now)
        }
    }

    /// The entry of one of several requests into which it was split, or that are sent for it.
    pub fn fragment_entry(&self, sequence: u32, fragment: u16, now: Time) -> InFlight {
        InFlight {
            fragment: Some(fragment),
            ..self.entry(sequence, now)
        }
    }
}

impl Proxy {
    /// Puts a request on a connection: `write` appends its bytes to the connection's output. One that may
    /// go without a reply is followed by a marker, see [`Answer`].
    #[inline]
    pub(super) fn send(
        &mut self,
        link: LinkId,
        entry: InFlight,
        write: impl FnOnce(&mut Queue, &mut BufferPool, &Pool),
    ) {
        let Some(target) = self.links.find_mut(link) else {
            return;
        };
        let pool = &self.pools[target.pool.index()];
        let before = target.out.len();
        write(&mut target.out, &mut self.buffers, pool);
        if entry.marked {
            let marker = target.protocol.marker();
            target.out.push(marker, &mut self.buffers);
        }
        let len = (target.out.len() - before) as u64;
        self.enqueued(link, entry, len);
    }

    /// Puts a request on a connection as it came.
    #[inline]
    pub(super) fn send_input(&mut self, link: LinkId, entry: InFlight, input: Input<'_>) {
        self.send(link, entry, |out, buffers, _| {
            out.push_input(input, buffers)
        });
    }

    /// Puts a request on a connection that is there as bytes.
    pub(super) fn send_bytes(&mut self, link: LinkId, entry: InFlight, bytes: &[u8]) {
        self.send_input(link, entry, Input::copied(bytes));
    }
}
