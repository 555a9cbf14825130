//! Binding of listening sockets, with patience for the process before us.
//!
//! A restart is a signal to the old process and the start of a new one: that may come before the old one
//! has let go of its addresses, which it does at once, whatever it still has to answer.

use std::io;
use std::time::Duration;

use crate::engine::{self, BindOptions, Endpoint, Listener};

/// How often addresses that are taken are tried again, all addresses of a start together: for a second.
const TRIES: u32 = 100;

/// How long to wait before.
const PAUSE: Duration = Duration::from_millis(10);

/// What is left of the patience of one start.
#[derive(Debug)]
pub struct Binding {
    tries: u32,
}

impl Binding {
    /// All of it.
    pub fn new() -> Self {
        Self { tries: TRIES }
    }

    /// Binds and listens.
    ///
    /// # Errors
    /// Those of [`Listener::bind`]; that somebody else listens there only when it stays so.
    pub fn bind(&mut self, endpoint: &Endpoint, options: BindOptions) -> io::Result<Listener> {
        loop {
            match Listener::bind(endpoint, options) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.tries > 0 => {
                    self.tries -= 1;
                    engine::nap(PAUSE);
                }
                result => return result,
            }
        }
    }
}
