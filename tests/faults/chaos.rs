//! The fault proxy: it stands between nutcrab and a real server, and does to the bytes what networks
//! and broken servers do.
//!
//! ```text
//!   nutcrab --> [ delay, split, stall ] --> server
//!   nutcrab <-- [ delay, split, stall, cut short, reset, garbage, a reply too many ] <-- server
//! ```
//!
//! What it does is set while it runs and holds for all its connections. It knows no protocol; where a
//! reply begins matters only to what tests inject, and they do that when nothing is under way.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use crate::support::{Address, Port, Random};

/// How often a pump looks whether something has changed.
const TICK: Duration = Duration::from_millis(20);

/// What is done to the bytes; the default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// What passes is held back so long.
    pub delay: Duration,
    /// Pieces are at most so many bytes; 0: as they come.
    pub piece: usize,
    /// Nothing passes.
    pub stalls: bool,
    /// New connections are reset at once.
    pub refuses: bool,
    /// In so many of a thousand pieces of a reply one of `endings` happens.
    pub chance: u32,
    /// What may happen to a reply.
    pub endings: &'static [Ending],
}

/// How a reply goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Only a part of it comes, then the end.
    Short,
    /// Only a part of it comes, then a reset.
    Reset,
    /// Bytes that are no reply come in its place.
    Garbage,
    /// Only a part of it comes, then nothing more.
    Silence,
}

/// A running fault proxy. Dropping it ends the listening and all connections.
#[derive(Debug)]
pub struct Chaos {
    port: Port,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    stopped: AtomicBool,
    mischief: Mutex<Mischief>,
    open: Mutex<Vec<Weak<Conn>>>,
    accepted: AtomicUsize,
}

/// One connection. Its sockets are closed when both pumps have left it.
#[derive(Debug)]
struct Conn {
    /// Towards nutcrab.
    near: TcpStream,
    /// Towards the server.
    far: TcpStream,
    dead: AtomicBool,
}

impl Conn {
    /// Ends it as a peer does that closes.
    fn close(&self) {
        self.dead.store(true, Ordering::SeqCst);
        // Fail only if the connection is gone already.
        let _ = (
            self.near.shutdown(Shutdown::Both),
            self.far.shutdown(Shutdown::Both),
        );
    }

    /// Ends it so that both ends see a reset, once the pumps have noticed.
    fn reset(&self) {
        for stream in [&self.near, &self.far] {
            set_reset(stream);
        }
        self.dead.store(true, Ordering::SeqCst);
    }
}

impl Chaos {
    /// Stands before a server, which may be down at times.
    pub fn before(server: &Address) -> Self {
        let port = Port::free();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()));
        let listener = listener.expect("a claimed port can be bound");
        let shared = Arc::new(Shared {
            target: (Ipv4Addr::LOCALHOST, server.port()).into(),
            stopped: AtomicBool::new(false),
            mischief: Mutex::new(Mischief::default()),
            open: Mutex::new(Vec::new()),
            accepted: AtomicUsize::new(0),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    own.accept(stream);
                }
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
        Address::tcp(self.port.number())
    }

    /// From now on this is done.
    pub fn does(&self, mischief: Mischief) {
        *self.shared.mischief() = mischief;
    }

    /// From now on nothing is done.
    pub fn behaves(&self) {
        self.does(Mischief::default());
    }

    /// Resets all connections.
    pub fn reset_all(&self) {
        for conn in self.shared.open() {
            conn.reset();
        }
    }

    /// Sends bytes nobody asked for over every open connection; says how many there are.
    pub fn inject(&self, bytes: &[u8]) -> usize {
        let open = self.shared.open();
        let sent = open
            .iter()
            .filter(|conn| (&conn.near).write_all(bytes).is_ok());
        sent.count()
    }

    /// How many connections are open.
    pub fn open_count(&self) -> usize {
        self.shared.open().len()
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.reset_all();
        // Wakes the accepting thread, which then leaves.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.number()));
    }
}

impl Shared {
    fn mischief(&self) -> MutexGuard<'_, Mischief> {
        self.mischief
            .lock()
            .expect("nothing panics under this lock")
    }

    /// The connections that are open.
    fn open(&self) -> Vec<Arc<Conn>> {
        let mut open = self.open.lock().expect("nothing panics under this lock");
        open.retain(|conn| conn.strong_count() > 0);
        let alive = open.iter().filter_map(Weak::upgrade);
        alive
            .filter(|conn| !conn.dead.load(Ordering::SeqCst))
            .collect()
    }

    fn accept(self: &Arc<Self>, near: TcpStream) {
        let number = self.accepted.fetch_add(1, Ordering::SeqCst) as u64;
        if self.mischief().refuses {
            return set_reset(&near);
        }
        let Ok(far) = TcpStream::connect(self.target) else {
            return set_reset(&near);
        };
        for stream in [&near, &far] {
            // Fail only if the connection is gone already.
            let _ = (
                stream.set_nodelay(true),
                stream.set_read_timeout(Some(TICK)),
            );
        }
        let conn = Arc::new(Conn {
            near,
            far,
            dead: AtomicBool::new(false),
        });
        let mut open = self.open.lock().expect("nothing panics under this lock");
        open.push(Arc::downgrade(&conn));
        drop(open);
        let (asks, answers) = (Arc::clone(self), Arc::clone(self));
        let too = Arc::clone(&conn);
        std::thread::spawn(move || asks.pump(&conn, Random::new(number), false));
        std::thread::spawn(move || answers.pump(&too, Random::new(!number), true));
    }

    /// Carries bytes in one direction until an end closes.
    fn pump(&self, conn: &Conn, mut random: Random, replies: bool) {
        let mut chunk = vec![0; 64 * 1024];
        let mut from = if replies { &conn.far } else { &conn.near };
        while !conn.dead.load(Ordering::SeqCst) {
            match from.read(&mut chunk) {
                Ok(count) if count > 0 => {
                    self.pass(&chunk[..count], conn, &mut random, replies);
                }
                Err(error) if is_timeout(error.kind()) => {}
                Ok(_) | Err(_) => conn.close(),
            }
        }
    }

    fn pass(&self, bytes: &[u8], conn: &Conn, random: &mut Random, replies: bool) {
        let mut to = if replies { &conn.near } else { &conn.far };
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut mischief = *self.mischief();
            if !mischief.delay.is_zero() {
                std::thread::sleep(mischief.delay);
            }
            while mischief.stalls && !conn.dead.load(Ordering::SeqCst) {
                std::thread::sleep(TICK);
                mischief = *self.mischief();
            }
            let most = match mischief.piece {
                0 => rest.len(),
                piece => rest.len().min(1 + random.below(piece)),
            };
            let (piece, behind) = rest.split_at(most);
            rest = behind;
            let goes_wrong = replies && random.below(1000) < mischief.chance as usize;
            if goes_wrong && !mischief.endings.is_empty() {
                let ending = mischief.endings[random.below(mischief.endings.len())];
                return end(ending, &piece[..random.below(piece.len())], conn);
            }
            if to.write_all(piece).is_err() {
                return conn.close();
            }
        }
    }
}

/// The reply of which only `part` is passed goes wrong.
fn end(ending: Ending, part: &[u8], conn: &Conn) {
    let bytes = match ending {
        // A part of the reply may have passed before, so it must complete neither a line nor a value:
        // what is completed by it is a reply, for all that anybody could tell.
        Ending::Garbage => &b"\r\x01no reply\n"[..],
        _ => part,
    };
    // Whether the other end is still there does not matter any more.
    let _ = (&conn.near).write_all(bytes);
    match ending {
        Ending::Short | Ending::Garbage => conn.close(),
        Ending::Reset => conn.reset(),
        Ending::Silence => {
            // Until the other pump finds that an end has closed.
            while !conn.dead.load(Ordering::SeqCst) {
                std::thread::sleep(TICK);
            }
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// When it is closed, the other end sees a reset.
fn set_reset(stream: &TcpStream) {
    // Fails only if the connection is gone already.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
