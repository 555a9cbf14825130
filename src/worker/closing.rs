//! Clients whose connections the core has closed, until they have noticed.
//!
//! Closing a TCP socket with unread input resets the connection, and a reset makes the peer's kernel
//! throw away what was sent to it and not read yet: the last replies would be lost. So the writing
//! side is closed, what still comes is thrown away, and the socket goes when the client has closed
//! its side or has had its time.

use std::collections::VecDeque;
use std::time::Duration;

use super::inbox::ClientPermit;
use crate::engine::{CloseMode, Engine, Socket, Taken};
use crate::proxy::Time;

/// How long a client may take to close its side.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most connections kept so at once; more are closed the hard way.
const COUNT_MAX: usize = 1024;

/// Bytes that are read and thrown away per edge; a client that sends more at a time has other
/// plans than to close.
const DISCARD_READS: usize = 16;

/// Numbers from here on are those of parting sockets; those of others are below.
const FIRST_NUMBER: usize = 1 << 31;

/// All parting clients of a worker.
#[derive(Debug, Default)]
pub struct LingeringClose {
    places: Vec<Option<Parted>>,
    free: Vec<usize>,
    /// In the order of their deadlines, which is the order they came in. May name places that were
    /// left (and taken by somebody with a later deadline).
    deadlines: VecDeque<(Time, usize)>,
}

#[derive(Debug)]
struct Parted {
    socket: Socket,
    until: Time,
    _seat: Option<ClientPermit>,
}

impl LingeringClose {
    /// Whether a number an edge was reported under belongs here.
    #[inline]
    pub fn owns(number: usize) -> bool {
        number >= FIRST_NUMBER
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// Sends the end of the stream, and keeps the socket for a while.
    pub fn add(
        &mut self,
        mut socket: Socket,
        permit: Option<ClientPermit>,
        engine: &Engine,
        now: Time,
    ) {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < COUNT_MAX => {
                self.places.push(None);
                self.places.len() - 1
            }
            None => return socket.close(CloseMode::Gracefully),
        };
        socket.finish();
        // Reports at once what is there already.
        if engine.rename(&mut socket, FIRST_NUMBER + place).is_err() {
            self.free.push(place);
            return;
        }
        let until = now + PATIENCE;
        self.deadlines.push_back((until, place));
        self.places[place] = Some(Parted {
            socket,
            until,
            _seat: permit,
        });
    }

    /// Throws away what came; the socket is closed if that was its end, or too much.
    pub fn ready(&mut self, number: usize, space: &mut [u8]) {
        let place = number - FIRST_NUMBER;
        let Some(Some(parted)) = self.places.get_mut(place) else {
            return;
        };
        for _ in 0..DISCARD_READS {
            match parted.socket.read(space) {
                // An end may stand behind a short read, so that ends nothing.
                Taken::Bytes(_) | Taken::Last(_) => {}
                Taken::Nothing => return,
                Taken::End | Taken::Failed(_) => break,
            }
        }
        self.remove(place);
    }

    /// Closes what has had its time.
    pub fn expire(&mut self, now: Time) {
        while let Some(&(until, place)) = self.deadlines.front() {
            let is_his = self.places[place]
                .as_ref()
                .is_some_and(|parted| parted.until == until);
            if is_his && until > now {
                return;
            }
            self.deadlines.pop_front();
            if is_his {
                self.remove(place);
            }
        }
    }

    /// When the next has had its time, at the earliest.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.front().map(|&(until, _)| until)
    }

    fn remove(&mut self, place: usize) {
        self.places[place] = None;
        self.free.push(place);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::engine::{BindOptions, Endpoint, Listener, PortSharing};

    struct Scene {
        engine: Engine,
        parting: LingeringClose,
        client: TcpStream,
        count: Arc<AtomicUsize>,
    }

    /// A client with `unread` bytes on their way is closed at time 0.
    fn scene(unread: &[u8]) -> io::Result<Scene> {
        let options = BindOptions {
            backlog: 1,
            port: PortSharing::Exclusive,
            mode: None,
        };
        let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        let mut listener = Listener::bind(&endpoint, options)?;
        let mut engine = Engine::new()?;
        let mut ready = Vec::new();
        engine.watch(&mut listener, 0)?;
        let mut client = TcpStream::connect(listener.address().expect("it is bound"))?;
        client.write_all(unread)?;
        engine.wait(None, &mut ready)?;
        let mut socket = listener.accept()?.expect("a client waits");
        engine.watch(&mut socket, 1)?;
        let count = Arc::default();
        let permit = ClientPermit::take(&count, &Arc::default());
        let mut parting = LingeringClose::default();
        parting.add(socket, Some(permit), &engine, Time(0));
        Ok(Scene {
            engine,
            parting,
            client,
            count,
        })
    }

    impl Scene {
        fn turn(&mut self) -> io::Result<()> {
            let mut ready = Vec::new();
            self.engine
                .wait(Some(Duration::from_secs(10)), &mut ready)?;
            assert!(!ready.is_empty(), "nothing happened");
            for event in ready
                .iter()
                .filter(|event| LingeringClose::owns(event.number))
            {
                self.parting.ready(event.number, &mut [0; 512]);
            }
            Ok(())
        }
    }

    #[test]
    fn a_client_with_unread_input_reads_an_end_instead_of_a_reset() -> io::Result<()> {
        let mut scene = scene(&[b'x'; 3000])?;
        scene.turn()?;
        assert_eq!(scene.client.read(&mut [0; 8])?, 0);
        assert_eq!(scene.count.load(Ordering::Relaxed), 1);
        drop(scene.client);
        let mut ready = Vec::new();
        while !scene.parting.is_empty() {
            scene
                .engine
                .wait(Some(Duration::from_secs(10)), &mut ready)?;
            assert!(!ready.is_empty(), "the client's end was not reported");
            ready
                .iter()
                .for_each(|event| scene.parting.ready(event.number, &mut [0; 512]));
        }
        assert_eq!(scene.count.load(Ordering::Relaxed), 0);
        Ok(())
    }

    #[test]
    fn a_client_that_stays_is_closed_after_a_while() -> io::Result<()> {
        let mut scene = scene(b"")?;
        assert_eq!(scene.parting.next_deadline(), Some(Time(0) + PATIENCE));
        scene.parting.expire(Time(10));
        assert!(!scene.parting.is_empty());
        scene.parting.expire(Time(0) + PATIENCE);
        assert!(scene.parting.is_empty() && scene.parting.next_deadline().is_none());
        Ok(())
    }

    #[test]
    fn a_client_that_floods_is_closed_at_once() -> io::Result<()> {
        let mut scene = scene(&vec![b'x'; 512 * DISCARD_READS])?;
        while !scene.parting.is_empty() {
            scene.turn()?;
        }
        Ok(())
    }
}
