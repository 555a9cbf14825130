//! A server that follows a script, for what no real server does on demand: silence, late answers,
//! garbage, a close in the middle of a reply.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::port::Port;
use super::resp::{self, Reply};
use super::wire::{Address, Wire};

/// A listening fake. Dropping it stops the listening; connections live as long as their script.
#[derive(Debug)]
pub struct FakeServer {
    port: Port,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    accepted: AtomicUsize,
    /// What scripts of this server noted, in order.
    notes: Mutex<Vec<String>>,
}

/// One connection as a script sees it.
#[derive(Debug)]
pub struct Visit {
    /// 0 for the first connection to this server, 1 for the second.
    pub index: usize,
    /// The connection.
    pub wire: Wire,
    shared: Arc<Shared>,
}

impl FakeServer {
    /// Runs `script` in a thread of its own for each connection. The connection is closed when the
    /// script returns.
    pub fn start(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Self {
        let (port, listener) = bound();
        Self::listening(port, listener, script)
    }

    /// The same, where the system keeps at most about so many bytes of what the script has not read.
    pub fn with_receive_buffer(
        bytes: usize,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Self {
        let (port, listener) = bound();
        // Accepted connections have the listener's.
        let set = socket2::SockRef::from(&listener).set_recv_buffer_size(bytes);
        set.expect("a listener has one");
        Self::listening(port, listener, script)
    }

    fn listening(
        port: Port,
        listener: TcpListener,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (own, script) = (Arc::clone(&shared), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let index = own.accepted.fetch_add(1, Ordering::SeqCst);
                let (wire, shared) = (Wire::accepted(stream), Arc::clone(&own));
                let (mut visit, script) = (
                    Visit {
                        index,
                        wire,
                        shared,
                    },
                    Arc::clone(&script),
                );
                std::thread::spawn(move || script(&mut visit));
            }
        });
        Self { port, shared }
    }

    /// Answers each request with what `answer` makes of its words.
    pub fn answering(answer: impl Fn(&[Vec<u8>]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |visit| {
            while let Some(words) = visit.request() {
                if visit.wire.try_send(&answer(&words)).is_err() {
                    return;
                }
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
        Address::tcp(self.port.number())
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// What its scripts noted so far.
    pub fn notes(&self) -> Vec<String> {
        self.shared
            .notes
            .lock()
            .expect("nothing panics under this lock")
            .clone()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then leaves.
        let _ = Wire::try_connect(&self.address());
    }
}

impl Visit {
    /// The words of the next Redis request; `None` when the connection is closed or stays silent.
    pub fn request(&mut self) -> Option<Vec<Vec<u8>>> {
        match self.wire.try_reply() {
            Ok(Reply::Array(Some(words))) => Some(words.into_iter().map(Reply::bytes).collect()),
            Ok(other) => panic!("a server was sent {other:?}"),
            Err(_) => None,
        }
    }

    /// Notes something for the test to look at.
    pub fn note(&self, text: impl Into<String>) {
        self.shared
            .notes
            .lock()
            .expect("nothing panics under this lock")
            .push(text.into());
    }

    /// Waits until the other side has closed, reading and forgetting what it sends.
    pub fn wait_closed(&mut self) {
        let _ = self.wire.read_until(|_| false);
    }
}

fn bound() -> (Port, TcpListener) {
    let port = Port::free();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()));
    (port, listener.expect("a claimed port can be bound"))
}

/// A bulk string as a server sends it.
pub fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut reply = resp::command(&[bytes]);
    // A command of one word is that word as a bulk string behind `*1`.
    reply.drain(..4);
    reply
}
