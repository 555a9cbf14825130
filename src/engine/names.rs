//! Host names to addresses, on threads of its own, because asking blocks.
//!
//! Several questions for one host share the one that is under way. Answers are not kept after
//! that: a server that moved is found at the next connection attempt.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

/// Look-ups at once. One name whose name server does not answer must not hold up all others.
const THREAD_COUNT: usize = 4;

/// Called once, on a thread of the resolver, with the first address of the host.
pub type Answer = Box<dyn FnOnce(io::Result<SocketAddr>) + Send>;

/// Asks the system's resolver (hosts file, DNS, whatever the machine is set up for).
#[derive(Clone, Default)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    #[expect(
        clippy::disallowed_types,
        reason = "taken per look-up, never by a worker per request"
    )]
    state: std::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who waits for which host; a host is here from the first question to its answer.
    waiting: HashMap<String, Vec<(u16, Answer)>>,
    /// Hosts nobody looks up yet.
    queue: VecDeque<String>,
    thread_count: usize,
}

impl Resolver {
    /// An address written as a number, which needs no resolver.
    pub fn literal(host: &str, port: u16) -> Option<SocketAddr> {
        host.parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, port))
    }

    /// Looks `host` up and waits for the answer. For the start only.
    pub fn resolve_blocking(host: &str, port: u16) -> io::Result<SocketAddr> {
        Self::literal(host, port).map_or_else(|| Ok(with_port(look_up(host)?, port)), Ok)
    }

    /// Looks `host` up and passes its first address, with `port`, to `answer`.
    pub fn resolve(&self, host: &str, port: u16, answer: Answer) {
        self.resolve_with(host, port, answer, look_up);
    }

    fn resolve_with(&self, host: &str, port: u16, answer: Answer, look_up: LookUp) {
        let start_thread = {
            let mut state = self.shared.lock();
            if let Some(waiting) = state.waiting.get_mut(host) {
                waiting.push((port, answer));
                return;
            }
            state.waiting.insert(host.to_owned(), vec![(port, answer)]);
            state.queue.push_back(host.to_owned());
            let start = state.thread_count < THREAD_COUNT;
            state.thread_count += usize::from(start);
            start
        };
        if start_thread {
            let shared = Arc::clone(&self.shared);
            if let Err(error) = start(move || shared.work(look_up)) {
                self.shared.thread_failed(&error);
            }
        }
    }
}

type LookUp = fn(&str) -> io::Result<SocketAddr>;

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing under this lock can leave the state half changed.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Answers questions until there are none left, then ends.
    fn work(&self, look_up: LookUp) {
        loop {
            let host = {
                let mut state = self.lock();
                let Some(host) = state.queue.pop_front() else {
                    state.thread_count -= 1;
                    return;
                };
                host
            };
            let result = look_up(&host);
            self.answer(&host, &result);
        }
    }

    fn answer(&self, host: &str, result: &io::Result<SocketAddr>) {
        let waiting = self.lock().waiting.remove(host).unwrap_or_default();
        for (port, answer) in waiting {
            answer(match result {
                Ok(address) => Ok(with_port(*address, port)),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }

    /// There are no more threads to be had: whoever waits for one is told so. Hosts that running
    /// threads will come to stay queued.
    fn thread_failed(&self, error: &io::Error) {
        let orphans = {
            let mut state = self.lock();
            state.thread_count -= 1;
            if state.thread_count > 0 {
                return;
            }
            std::mem::take(&mut state.queue)
        };
        for host in orphans {
            self.answer(&host, &Err(io::Error::new(error.kind(), error.to_string())));
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the thread that may block on a look-up"
)]
fn look_up(host: &str) -> io::Result<SocketAddr> {
    let first = (host, 0).to_socket_addrs()?.next();
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "look-ups block, so they have threads of their own"
)]
fn start(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name("resolver".into())
        .spawn(work)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex, mpsc};

    use super::*;

    fn ask(resolver: &Resolver, host: &str, port: u16, look_up: LookUp) -> mpsc::Receiver<String> {
        let (sender, receiver) = mpsc::channel();
        let answer = move |result: io::Result<SocketAddr>| {
            let text = result.map_or_else(|error| error.to_string(), |address| address.to_string());
            sender.send(text).expect("the test waits for the answer");
        };
        resolver.resolve_with(host, port, Box::new(answer), look_up);
        receiver
    }

    #[test]
    fn numbers_need_no_look_up() {
        assert_eq!(
            Resolver::literal("127.0.0.1", 1),
            "127.0.0.1:1".parse().ok()
        );
        assert_eq!(Resolver::literal("::1", 2), "[::1]:2".parse().ok());
        assert_eq!(Resolver::literal("localhost", 3), None);
    }

    #[test]
    fn localhost_is_found_and_nonsense_is_not() {
        let resolver = Resolver::default();
        let found = ask(&resolver, "localhost", 7, look_up)
            .recv()
            .expect("an answer");
        assert!(found == "127.0.0.1:7" || found == "[::1]:7", "{found}");
        let error = ask(&resolver, "no such host", 7, look_up)
            .recv()
            .expect("an answer");
        assert!(error.parse::<SocketAddr>().is_err(), "{error}");
    }

    #[test]
    fn questions_for_one_host_share_the_look_up_under_way() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        fn slow(_: &str) -> io::Result<SocketAddr> {
            CALLS.fetch_add(1, Ordering::SeqCst);
            let open = GATE.0.lock().expect("nobody panics");
            drop(
                GATE.1
                    .wait_while(open, |open| !*open)
                    .expect("nobody panics"),
            );
            Ok(SocketAddr::from(([192, 0, 2, 1], 0)))
        }
        let resolver = Resolver::default();
        let answers: Vec<_> = (1..=5)
            .map(|port| ask(&resolver, "a.test", port, slow))
            .collect();
        *GATE.0.lock().expect("nobody panics") = true;
        GATE.1.notify_all();
        for (answer, port) in answers.iter().zip(1..) {
            assert_eq!(
                answer.recv().expect("an answer"),
                format!("192.0.2.1:{port}")
            );
        }
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
        // The answer is not kept.
        ask(&resolver, "a.test", 1, slow).recv().expect("an answer");
        assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_stuck_name_does_not_hold_up_others() {
        static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        fn stuck_or_not(host: &str) -> io::Result<SocketAddr> {
            if host == "stuck.test" {
                let open = GATE.0.lock().expect("nobody panics");
                drop(
                    GATE.1
                        .wait_while(open, |open| !*open)
                        .expect("nobody panics"),
                );
            }
            Ok(SocketAddr::from(([192, 0, 2, 2], 0)))
        }
        let resolver = Resolver::default();
        let stuck = ask(&resolver, "stuck.test", 1, stuck_or_not);
        for index in 0..20 {
            let host = format!("{index}.test");
            let answer = ask(&resolver, &host, 9, stuck_or_not)
                .recv()
                .expect("an answer");
            assert_eq!(answer, "192.0.2.2:9");
        }
        *GATE.0.lock().expect("nobody panics") = true;
        GATE.1.notify_all();
        assert_eq!(stuck.recv().expect("an answer"), "192.0.2.2:1");
    }
}
