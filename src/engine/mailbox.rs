//! Messages to a thread that waits in an engine.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use super::{Engine, Waker};

/// The sending end. Copies send to the same thread.
#[derive(Debug)]
pub struct Mailbox<T> {
    sender: mpsc::Sender<T>,
    waker: Arc<Waker>,
}

impl<T> Mailbox<T> {
    /// A mailbox for the thread that owns `engine`, and the end it reads from. An engine has one.
    pub fn new(engine: &Engine) -> io::Result<(Self, mpsc::Receiver<T>)> {
        let (sender, receiver) = mpsc::channel();
        Ok((
            Self {
                sender,
                waker: Arc::new(engine.waker()?),
            },
            receiver,
        ))
    }

    /// Leaves a message and ends the thread's wait. Never blocks; a message to a thread that has
    /// ended is dropped.
    pub fn send(&self, message: T) {
        if self.sender.send(message).is_ok() {
            self.waker.wake();
        }
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            waker: Arc::clone(&self.waker),
        }
    }
}
