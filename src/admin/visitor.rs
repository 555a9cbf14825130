//! One visitor: what it says, the answer, and the end.

use std::time::Instant;

use super::Pages;
use super::http;
use crate::buffer::{BufferPool, Queue};
use crate::engine::{Socket, Taken};

/// Reads per edge; a visitor that has more to say is not listened to.
const READS: usize = 4;

/// Somebody who wants to know.
pub struct Visitor {
    /// The number its socket is watched under.
    pub number: usize,
    /// When it has to leave.
    pub until: Instant,
    socket: Socket,
    /// What it has said so far, while it is to be answered when it has said enough.
    head: Option<Vec<u8>>,
    answer: Queue,
}

/// Whether a visitor is done.
#[derive(PartialEq, Eq)]
pub enum Visit {
    GoesOn,
    Over,
}

impl Visitor {
    /// Somebody who is given `answer`, whatever it says.
    pub fn answered(number: usize, until: Instant, socket: Socket, answer: Vec<u8>) -> Self {
        let mut queue = Queue::new();
        queue.push_owned(answer);
        Self {
            number,
            until,
            socket,
            head: None,
            answer: queue,
        }
    }

    /// Somebody who asks first.
    pub fn asking(number: usize, until: Instant, socket: Socket) -> Self {
        Self {
            number,
            until,
            socket,
            head: Some(Vec::new()),
            answer: Queue::new(),
        }
    }

    /// Something happened: its socket takes more, or it said or did something.
    pub fn serve(&mut self, pages: &Pages, pool: &mut BufferPool) -> Visit {
        if self.write(pool) == Visit::Over {
            return Visit::Over;
        }
        let mut space = [0; 4096];
        for _ in 0..READS {
            let count = match self.socket.read(&mut space) {
                Taken::Bytes(count) | Taken::Last(count) => count,
                Taken::Nothing => return Visit::GoesOn,
                // The end of what it says is not the end of its reading.
                Taken::End if !self.answer.is_empty() => return Visit::GoesOn,
                Taken::End | Taken::Failed(_) => return Visit::Over,
            };
            let Some(head) = &mut self.head else { continue };
            head.extend_from_slice(&space[..count]);
            if let Some(asked) = http::read(head) {
                self.head = None;
                self.answer.push_owned(pages.page(asked));
                if self.write(pool) == Visit::Over {
                    return Visit::Over;
                }
            }
        }
        Visit::GoesOn
    }

    /// Writes what the socket takes of the answer; behind it, the end.
    fn write(&mut self, pool: &mut BufferPool) -> Visit {
        while !self.answer.is_empty() {
            match self.socket.write(&self.answer) {
                Ok(0) => break,
                Ok(count) => self.answer.consume(count, pool),
                Err(_) => return Visit::Over,
            }
            if self.answer.is_empty() {
                self.socket.finish();
            }
        }
        Visit::GoesOn
    }
}
