//! What a server that stays dead costs clients, beside nutcracker, and what does not make it one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::proxy::workers;
use crate::support::*;

const TIMEOUT: Duration = Duration::from_millis(400);

/// How a server is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// Nobody listens.
    Refused,
    /// Attempts to connect find no end: the queue of a listener nobody accepts from is full.
    BlackHoled,
    /// It accepts, and is stopped.
    Hung,
}

/// A dead server, as long as this lives.
struct Dead {
    address: Address,
    _port: Option<Port>,
    _listener: Option<(TcpListener, Vec<std::net::TcpStream>)>,
    _stopped: Option<Server>,
}

impl Dead {
    fn new(death: Death) -> Self {
        let (mut port, mut listener, mut stopped) = (None, None, None);
        let address = match death {
            Death::Refused => {
                let free = Port::free();
                let address = Address::tcp(free.number());
                port = Some(free);
                address
            }
            Death::BlackHoled => {
                let full = full_listener();
                let number = full.0.local_addr().expect("it is bound").port();
                listener = Some(full);
                Address::tcp(number)
            }
            Death::Hung => {
                let mut server = Server::redis();
                server.process().signal("STOP");
                let address = server.address().clone();
                stopped = Some(server);
                address
            }
        };
        Self {
            address,
            _port: port,
            _listener: listener,
            _stopped: stopped,
        }
    }
}

/// A listener in whose queue there is no room.
fn full_listener() -> (TcpListener, Vec<std::net::TcpStream>) {
    let kind = (socket2::Domain::IPV4, socket2::Type::STREAM);
    let socket = socket2::Socket::new(kind.0, kind.1, None).expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("it is bound");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("it is bound");
    let patience = Duration::from_millis(300);
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue is never full");
    }
    (listener, queued)
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    death: Death,
    limit: u32,
    retry: u64,
    clients: usize,
    length: Duration,
}

/// What the clients of one proxy saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    asked: usize,
    failed: usize,
    /// The longest time in which one client got nothing but errors.
    longest: Duration,
}

impl Seen {
    fn share(self) -> f64 {
        self.failed as f64 / self.asked as f64
    }
}

/// Asks for a key of the dead server for as long as the row says.
fn ask_on(proxy: &Proxy, key: &str, row: Row) -> Seen {
    // All together ask a thousand times a second at most.
    let pause = Duration::from_millis(10.max(row.clients as u64));
    let one = |number: usize| {
        let mut client = proxy.client("alpha");
        thread::sleep(pause * number as u32 / row.clients as u32);
        let (begin, mut seen) = (Instant::now(), Seen::default());
        let mut spell = None;
        while begin.elapsed() < row.length {
            seen.asked += 1;
            let asked = Instant::now();
            if matches!(client.ask(&["GET", key]), Reply::Error(_)) {
                seen.failed += 1;
                let since = *spell.get_or_insert(asked);
                seen.longest = seen.longest.max(since.elapsed());
            } else {
                spell = None;
            }
            thread::sleep(pause);
        }
        seen
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..row.clients)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        let seen = clients
            .into_iter()
            .map(|client| client.join().expect("it asks"));
        seen.fold(Seen::default(), |all, one| Seen {
            asked: all.asked + one.asked,
            failed: all.failed + one.failed,
            longest: all.longest.max(one.longest),
        })
    })
}

/// Both proxies at the same time, in front of the same servers.
fn hold(row: Row) -> String {
    let (dead, live) = (Dead::new(row.death), Server::redis());
    let pool = || {
        Pool::redis("alpha")
            .with("distribution", "modula")
            .with("auto_eject_hosts", "true")
            .with("timeout", &TIMEOUT.as_millis().to_string())
            .with("server_failure_limit", &row.limit.to_string())
            .with("server_retry_timeout", &row.retry.to_string())
            .at("dead", &dead.address)
            .at("live", live.address())
    };
    let (ours, theirs) = (
        Proxy::nutcrab(vec![pool()]),
        Proxy::nutcracker(vec![pool()]),
    );
    // With one of two servers the place of a key is known only to who asks: one that fails is dead's.
    let mut client = ours.client("alpha");
    let key = (0..)
        .map(|number| format!("key:{number}"))
        .find(|key| matches!(client.ask(&["GET", key]), Reply::Error(_)))
        .expect("endless");
    let (ours, theirs) = thread::scope(|scope| {
        let ours = scope.spawn(|| ask_on(&ours, &key, row));
        let theirs = scope.spawn(|| ask_on(&theirs, &key, row));
        let seen = |thread: thread::ScopedJoinHandle<'_, Seen>| thread.join().expect("they ask");
        (seen(ours), seen(theirs))
    });
    let told = format!(
        "{:?}, limit {}, retry {} ms, {} clients: nutcracker {:.1} % of {} in {:.2?} at most, \
         nutcrab {:.1} % of {} in {:.2?}",
        row.death,
        row.limit,
        row.retry,
        row.clients,
        100.0 * theirs.share(),
        theirs.asked,
        theirs.longest,
        100.0 * ours.share(),
        ours.asked,
        ours.longest
    );
    // Looking for the key has ejected it from ours already if the limit is 1.
    let returns = Duration::from_millis(row.retry) < row.length;
    assert!(theirs.failed > 0 && (ours.failed > 0 || !returns), "{told}");
    // The row may end in the middle of a return, for either.
    let cut = row.limit as usize * row.clients;
    let most = (theirs.share() + 0.01) * ours.asked as f64 + cut as f64;
    assert!((ours.failed as f64) <= most, "{told}");
    let slack = Duration::from_millis(600);
    let spell = theirs.longest.max((TIMEOUT + slack / 4) * row.limit);
    assert!(ours.longest <= spell + slack, "{told}");
    told
}

#[test]
fn t11_a_server_that_refuses_costs_no_more_than_with_nutcracker() {
    hold(Row {
        death: Death::Refused,
        limit: 3,
        retry: 500,
        clients: 1,
        length: Duration::from_secs(4),
    });
}

#[test]
fn t11_a_server_that_hangs_costs_no_more_than_with_nutcracker() {
    hold(Row {
        death: Death::Hung,
        limit: 2,
        retry: 1000,
        clients: 5,
        length: Duration::from_secs(5),
    });
}

#[test]
fn t11_a_server_that_swallows_attempts_costs_no_more_than_with_nutcracker() {
    hold(Row {
        death: Death::BlackHoled,
        limit: 2,
        retry: 2000,
        clients: 1,
        length: Duration::from_secs(6),
    });
    // In the long form all rows, 20 s each, four at a time.
    let mut rows = Vec::new();
    for death in [Death::Refused, Death::BlackHoled, Death::Hung] {
        for limit in [1, 2, 3, 5] {
            for retry in [500, 2000, 30_000] {
                rows.extend([1, 50].map(|clients| Row {
                    death,
                    limit,
                    retry,
                    clients,
                    length: Duration::from_secs(20),
                }));
            }
        }
    }
    rows.truncate(crate::rounds(0, rows.len()));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(&row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                    println!("{}", hold(row));
                }
            });
        }
    });
}

#[test]
fn t12_a_server_without_room_for_a_connection_of_ones_own_is_not_ejected() {
    let servers = Server::redis_many(4);
    let pool = Pool::redis("alpha")
        .servers(&servers)
        .with("distribution", "modula")
        .with("timeout", "2000")
        .with("auto_eject_hosts", "true")
        .with("server_failure_limit", "1")
        .with("server_retry_timeout", "60000");
    let mut proxy = Proxy::nutcrab(vec![pool]);
    let keys: Vec<String> = (0..40).map(|number| format!("key:{number}")).collect();
    // Enough that each worker has some, and a shared connection to each server.
    let mut clients: Vec<_> = (0..2 * workers()).map(|_| proxy.client("alpha")).collect();
    let serves = |client: &mut Wire| {
        for key in &keys {
            assert_eq!(client.ask(&["SET", key, "x"]), Reply::ok());
        }
    };
    clients.iter_mut().for_each(serves);
    for server in &servers {
        let mut direct = server.connect();
        eventually("others than the proxy are gone", || {
            let info = String::from_utf8(direct.ask(&["INFO", "clients"]).bytes()).expect("text");
            let count = info
                .lines()
                .find_map(|line| line.strip_prefix("connected_clients:"));
            (count == Some(&(workers() + 1).to_string())).then_some(())
        });
        // This connection is one too many, but is there.
        let most = workers().to_string();
        assert_eq!(
            direct.ask(&["CONFIG", "SET", "maxclients", &most]),
            Reply::ok()
        );
    }
    // Twelve over all servers, from both workers.
    for (round, key) in keys.iter().take(12).enumerate() {
        let count = clients.len();
        let client = &mut clients[round % count];
        let list = format!("list:{key}");
        assert!(
            matches!(client.ask(&["BLPOP", &list, "1"]), Reply::Error(_)),
            "{round}"
        );
    }
    clients.iter_mut().for_each(serves);
    let log = proxy.process().log();
    assert!(!log.contains("is ejected"), "{log}");
}
