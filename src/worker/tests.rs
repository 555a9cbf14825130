//! A worker on real sockets: one Redis pool, a server that is a few lines of thread, and clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use super::*;
use crate::engine::{BindOptions, Listener, PortSharing};
use crate::proxy::{Balance, Limits};
use crate::stats::{PoolNames, Stats};

const PATIENCE: Duration = Duration::from_secs(10);

struct Workers {
    mailbox: Mailbox<Message>,
    reports: mpsc::Receiver<Report>,
    thread: JoinHandle<io::Result<Outcome>>,
    listener: Listener,
    clients: Arc<AtomicUsize>,
}

/// A worker with one pool, whose servers are given as they stand in a configuration.
fn team(servers: &[String]) -> Workers {
    let lines: String = servers
        .iter()
        .map(|server| format!("   - {server}\n"))
        .collect();
    let yaml =
        format!("a:\n  listen: 127.0.0.1:1\n  redis: true\n  timeout: 9000\n  servers:\n{lines}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), yaml).expect("it can be written");
    let config = config::load(file.path()).expect("a good configuration");
    let pools: Vec<_> = config.pools.into_iter().map(Arc::new).collect();
    let names = pools.iter().map(|pool| PoolNames {
        name: pool.name.clone(),
        servers: pool
            .servers
            .iter()
            .map(|server| server.name.clone())
            .collect(),
        families: pool.protocol.topics(),
    });
    let stats = Stats::new(names.collect(), 1);
    let (sender, reports) = mpsc::channel();
    let worker = Worker::new(Setup {
        pools,
        stats: stats.set(0),
        overview: Arc::new(stats),
        settings: Settings {
            buffer_size: 16384,
            worker: (0, 1),
            seed: 1,
            limits: Limits::default(),
        },
        clock: Clock::start(),
        memory_limit: None,
        balance: Arc::new(Balance::new(1, 1)),
        gather: Duration::from_micros(100),
        resolver: Resolver::default(),
        // A test that ends early does not listen any more.
        report: Box::new(move |report| drop(sender.send(report))),
    })
    .expect("an engine");
    let mailbox = worker.mailbox();
    let options = BindOptions {
        backlog: 64,
        port: PortSharing::Exclusive,
        mode: None,
    };
    let endpoint = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    Workers {
        mailbox,
        reports,
        thread: thread::spawn(move || worker.run()),
        listener: Listener::bind(&endpoint, options).expect("a free port"),
        clients: Arc::default(),
    }
}

impl Workers {
    /// A client of the pool.
    fn client(&self) -> TcpStream {
        let address = self.listener.address().expect("it is bound");
        let client = TcpStream::connect(address).expect("it listens");
        client
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        // It is established for its client; that it waits here may take the system a moment more.
        let socket = soon("a client waits", || {
            self.listener.accept().expect("no error")
        });
        let permit = ClientPermit::take(&self.clients, &Arc::default());
        self.mailbox.send(Message::Client {
            pool: PoolIndex(0),
            socket,
            permit,
        });
        client
    }

    fn end(self, message: Message) -> Outcome {
        self.mailbox.send(message);
        self.thread.join().expect("no panic").expect("no error")
    }
}

/// A server that answers each GET with its key, and lets `before` see each connection first.
fn server(before: impl Fn() + Send + 'static) -> String {
    server_on("127.0.0.1", before)
}

/// The same, on the first address of this host.
fn server_on(host: &str, before: impl Fn() + Send + 'static) -> String {
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            before();
            thread::spawn(move || echo_keys(stream));
        }
    });
    format!("{address}:1")
}

fn echo_keys(mut stream: TcpStream) {
    let reader = BufReader::new(stream.try_clone().expect("a second handle"));
    // `*2 $3 GET $<n> <key>`: every fifth line is a key.
    for key in reader.lines().map_while(Result::ok).skip(4).step_by(5) {
        let reply = format!("${}\r\n{key}\r\n", key.len());
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// What this gives once it gives something.
#[track_caller]
fn soon<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(std::time::Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

/// Returns when the other end has sent or is gone.
fn wait_for(gate: &mpsc::Receiver<()>) {
    let _ = gate.recv_timeout(PATIENCE);
}

fn get(key: &str) -> String {
    format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len())
}

#[track_caller]
fn expect(client: &mut TcpStream, wanted: &str) {
    let mut bytes = vec![0; wanted.len()];
    client.read_exact(&mut bytes).expect("as many bytes");
    assert_eq!(String::from_utf8_lossy(&bytes), wanted);
}

#[test]
fn clients_get_their_own_replies() {
    let team = team(&[server(|| {}), server(|| {})]);
    let mut clients: Vec<_> = (0..20).map(|_| team.client()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            let keys = ["a", "b", "c"].map(|name| format!("{name}-{round}-{number}"));
            client
                .write_all(keys.map(|key| get(&key)).concat().as_bytes())
                .expect("it is open");
        }
        for (number, client) in clients.iter_mut().enumerate() {
            for name in ["a", "b", "c"] {
                let key = format!("{name}-{round}-{number}");
                expect(client, &format!("${}\r\n{key}\r\n", key.len()));
            }
        }
    }
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn a_large_value_passes_in_both_directions() {
    let key = "k".repeat(60_000);
    let team = team(&[server(|| {})]);
    let mut client = team.client();
    let requests = get(&key).repeat(50);
    let mut writer = client.try_clone().expect("a second handle");
    let writing = thread::spawn(move || writer.write_all(requests.as_bytes()));
    for _ in 0..50 {
        expect(&mut client, &format!("$60000\r\n{key}\r\n"));
    }
    writing.join().expect("no panic").expect("it is open");
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn an_endless_pipeline_does_not_starve_others() {
    let team = team(&[server(|| {})]);
    let mut greedy = team.client();
    let mut modest = team.client();
    let mut writer = greedy.try_clone().expect("a second handle");
    let pings = "*1\r\n$4\r\nPING\r\n".repeat(100_000);
    let writing = thread::spawn(move || while writer.write_all(pings.as_bytes()).is_ok() {});
    // Before there is another reader, which might get this byte.
    expect(&mut greedy, "+");
    let reader = greedy.try_clone().expect("a second handle");
    let reading = thread::spawn(move || io::copy(&mut { reader }, &mut io::sink()));
    for number in 0..100 {
        let key = format!("key-{number}");
        modest.write_all(get(&key).as_bytes()).expect("it is open");
        expect(&mut modest, &format!("${}\r\n{key}\r\n", key.len()));
    }
    greedy.shutdown(Shutdown::Both).expect("it is open");
    writing.join().expect("no panic");
    drop(reading.join().expect("no panic"));
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn host_names_are_looked_up() {
    // Debian's hosts file has an IPv6 address for it, too, and that comes first.
    let address = server_on("localhost", || {});
    let address = address.replace("127.0.0.1", "localhost");
    let team = team(&[address.replace("[::1]", "localhost")]);
    let mut client = team.client();
    client.write_all(get("k").as_bytes()).expect("it is open");
    expect(&mut client, "$1\r\nk\r\n");
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn servers_behind_unix_sockets_are_reached() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("s");
    let server = std::os::unix::net::UnixListener::bind(&path).expect("a path");
    let team = team(&[format!("{}:1", path.display())]);
    let mut client = team.client();
    client.write_all(get("k").as_bytes()).expect("it is open");
    let (mut stream, _) = server.accept().expect("the worker connects");
    let mut request = vec![0; get("k").len()];
    stream.read_exact(&mut request).expect("the request");
    assert_eq!(request, get("k").as_bytes());
    stream.write_all(b"$1\r\nk\r\n").expect("it is open");
    expect(&mut client, "$1\r\nk\r\n");
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn a_missing_unix_socket_is_told_to_the_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let team = team(&[format!("{}:1", directory.path().join("s").display())]);
    let mut client = team.client();
    client.write_all(get("k").as_bytes()).expect("it is open");
    expect(&mut client, "-ERR No such file or directory\r\n");
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn a_host_without_an_address_is_down() {
    let team = team(&["no-such-host.invalid:6379:1".into()]);
    let mut client = team.client();
    client.write_all(get("k").as_bytes()).expect("it is open");
    expect(&mut client, "-ERR Host is down\r\n");
    let report = team.reports.recv_timeout(PATIENCE).expect("a report");
    assert!(
        matches!(
            report,
            Report::Failed {
                cause: Cause::Unresolved,
                ..
            }
        ),
        "{report:?}"
    );
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

#[test]
fn a_server_that_refuses_is_reported() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = gone.local_addr().expect("it is bound");
    drop(gone);
    let team = team(&[format!("{address}:1")]);
    let mut client = team.client();
    client.write_all(get("k").as_bytes()).expect("it is open");
    expect(&mut client, "-ERR Connection refused\r\n");
    let report = team.reports.recv_timeout(PATIENCE).expect("a report");
    assert!(
        matches!(
            report,
            Report::Failed {
                cause: Cause::Refused,
                ..
            }
        ),
        "{report:?}"
    );
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}

/// What is asked before the end is answered; what comes after it is not read; nobody sees a reset.
#[test]
fn draining_answers_what_is_owed_and_frees_every_seat() {
    let (open, gate) = mpsc::channel::<()>();
    let (come, visits) = mpsc::channel();
    // The server keeps its first connection waiting until the gate is opened.
    let team = team(&[server(move || {
        // Nobody listens any more for a second one.
        let _ = come.send(());
        wait_for(&gate);
    })]);
    let mut waiting = team.client();
    let mut idle = team.client();
    waiting.write_all(get("k").as_bytes()).expect("it is open");
    // The worker connects because it has read the request.
    visits.recv_timeout(PATIENCE).expect("it connects");
    idle.write_all(b"*1\r\n$4\r\nPING\r\n").expect("it is open");
    expect(&mut idle, "+PONG\r\n");
    team.mailbox.send(Message::Drain);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("a graceful end");
    assert_eq!(rest, b"");
    waiting
        .write_all(get("too late").as_bytes())
        .expect("it is open");
    assert!(!team.thread.is_finished());
    open.send(()).expect("the server waits");
    waiting.read_to_end(&mut rest).expect("a graceful end");
    assert_eq!(String::from_utf8_lossy(&rest), "$1\r\nk\r\n");
    drop((waiting, idle));
    let clients = Arc::clone(&team.clients);
    assert_eq!(team.end(Message::Drain), Outcome::Drained);
    assert_eq!(clients.load(Ordering::Relaxed), 0);
}

#[test]
fn a_client_that_breaks_while_it_is_not_read_is_let_go() {
    let (open, gate) = mpsc::channel::<()>();
    let team = team(&[server(move || wait_for(&gate))]);
    let mut client = team.client();
    // More requests than may be outstanding, to a server that does not answer.
    let requests = get("k").repeat(200_000);
    client.set_nonblocking(true).expect("a socket option");
    while client.write(requests.as_bytes()).is_ok() {}
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .expect("a socket option");
    drop(client);
    soon("the client is noticed to be gone", || {
        (team.clients.load(Ordering::Relaxed) == 0).then_some(())
    });
    drop(open);
    assert_eq!(team.end(Message::Stop), Outcome::Stopped);
}
