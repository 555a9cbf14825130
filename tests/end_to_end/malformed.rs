//! Malformed requests: their sender is told, and a neighbour whose requests are under way on the
//! same server connection notices nothing.

use std::sync::{Arc, Condvar, Mutex};

use crate::support::*;

/// Each form, and what the error must say.
const REDIS: &[(&[u8], &str)] = &[
    (b"*2\r\n$03\r\nGET\r\n$1\r\na\r\n", "invalid bulk length"),
    (b"*2\r\n$3\r\nGET\r\n$01\r\na\r\n", "invalid bulk length"),
    (
        b"*02\r\n$3\r\nGET\r\n$1\r\na\r\n",
        "invalid multibulk length",
    ),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870913\r\n",
        "invalid bulk length",
    ),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$99999999999999999999\r\n",
        "invalid bulk length",
    ),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-5\r\n",
        "invalid bulk length",
    ),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$+1\r\nx\r\n",
        "invalid bulk length",
    ),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$\r\n\r\n",
        "invalid bulk length",
    ),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1x\r\nx\r\n",
        "invalid bulk length",
    ),
    (b"*2147483648\r\n", "invalid multibulk length"),
    (b"*-0\r\n", "invalid multibulk length"),
    (b"*\r\n", "invalid multibulk length"),
    (b"*2\n$3\nGET\n$1\na\n", "invalid multibulk length"),
    (b"*2\r\n$3\nGET\r\n$1\r\na\r\n", "invalid bulk length"),
    (b"*2\r\n$3\r\nGETxx$1\r\na\r\n", "missing line end"),
    (b"*2\r\n$3\r\nGET\r\n$1\r\na\n\n", "missing line end"),
    (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nxy\r\n",
        "missing line end",
    ),
    (b"*2\r\n$3\r\nGET\r\n:1\r\na\r\n", "expected '$', got ':'"),
    (b"*2\r\nGET\r\na\r\n", "expected '$', got 'G'"),
    (b"GET 'a\r\n", "unbalanced quotes"),
    (b"POST / HTTP/1.1\r\n", "not an HTTP server"),
    (b"\r\nHost: a\r\n", "not an HTTP server"),
];

/// A server that takes requests and holds its replies back until it is told.
struct Reluctant {
    server: FakeServer,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Requests taken, and whether replies may go.
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Reluctant {
    fn start() -> Self {
        let gate = Arc::<Gate>::default();
        let own = Arc::clone(&gate);
        let server = FakeServer::start(move |visit| {
            while let Some(words) = visit.request() {
                own.take();
                let value = value::described(&words[1], 1, 50);
                if visit.wire.try_send(&fake::bulk(&value)).is_err() {
                    return;
                }
            }
        });
        Self { server, gate }
    }
}

impl Gate {
    fn take(&self) {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, open)| !*open));
    }

    fn wait_for_a_request(&self) {
        let state = self.state.lock().expect("nothing panics under this lock");
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |(taken, _)| *taken == 0);
        assert!(
            !waited
                .expect("nothing panics under this lock")
                .1
                .timed_out(),
            "no request came"
        );
    }

    fn open(&self) {
        self.state.lock().expect("nothing panics under this lock").1 = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_malformed_redis_request_is_told_and_harms_no_neighbour() {
    for (bytes, text) in REDIS {
        let Reluctant { server, gate } = Reluctant::start();
        let proxy = Proxy::nutcrab(vec![Pool::redis("alpha").at("s1", &server.address())]);
        let keys: Vec<_> = (0..40)
            .map(|i| format!("neighbour:{i}").into_bytes())
            .collect();
        let requests = |keys: &[Vec<u8>]| {
            keys.iter()
                .flat_map(|key| command(&[b"GET", &key[..]]))
                .collect::<Vec<u8>>()
        };
        // As many neighbours as workers, so that one of them shares its worker with the culprit.
        let mut neighbours: Vec<_> = (0..proxy::workers())
            .map(|_| proxy.client("alpha"))
            .collect();
        for neighbour in &mut neighbours {
            neighbour.send(&requests(&keys[..20]));
        }
        gate.wait_for_a_request();

        let mut culprit = proxy.client("alpha");
        culprit.send(bytes);
        let error = culprit.reply().error();
        let said = error.starts_with("ERR Protocol error: ") && error.contains(text);
        assert!(said, "{}: {error}", shown(bytes));
        culprit.expect_closed();

        for neighbour in &mut neighbours {
            neighbour.send(&requests(&keys[20..]));
        }
        gate.open();
        for neighbour in &mut neighbours {
            for key in &keys {
                value::check(key, &neighbour.reply().bytes());
            }
        }
        let connections = server.accepted();
        assert!(
            connections <= proxy::workers(),
            "{}: {connections} connections",
            shown(bytes)
        );
    }
}

/// What no client may be able to make a real server say or do, whatever it sends.
#[test]
fn malformed_requests_never_cost_a_connection_to_a_real_server() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(std::slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    for (bytes, _) in REDIS {
        neighbour.check(&pipeline(&["SET a b", "GET a"]), b"+OK\r\n$1\r\nb\r\n");
        let mut culprit = proxy.client("alpha");
        culprit.send(bytes);
        culprit.reply().error();
        culprit.expect_closed();
        neighbour.check(&pipeline(&["INCR n", "DECR n"]), b":1\r\n:0\r\n");
    }
    let Reply::Bulk(Some(info)) = server.ask(&["INFO", "stats"]) else {
        panic!("INFO gives text")
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let count = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    let count: usize = count
        .and_then(|count| count.trim().parse().ok())
        .expect("INFO has it");
    // The one that waited for the server to be ready, the one that asks, one for each worker.
    assert!(
        count <= 2 + proxy::workers(),
        "{count} connections were made"
    );
}

/// Each is refused in memcached's own words, on a connection that stays.
const MEMCACHED: &[(&[u8], &[u8])] = &[
    (b"nonsense\r\n", b"ERROR\r\n"),
    (b"\r\n", b"ERROR\r\n"),
    (b"get\r\n", b"ERROR\r\n"),
    (b"GET a\r\n", b"ERROR\r\n"),
];

#[test]
fn a_malformed_memcached_request_is_told_and_harms_no_neighbour() {
    let server = Server::memcached();
    let pool = Pool::memcache("alpha").servers(std::slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    neighbour.check(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
    for (bytes, error) in MEMCACHED {
        let mut culprit = proxy.client("alpha");
        culprit.check(bytes, error);
        culprit.check(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n");
        neighbour.check(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n");
    }
    // A data block that does not end where it should leaves no way to find the next request.
    let mut culprit = proxy.client("alpha");
    culprit.send(b"set a 0 0 1\r\nxyz\r\nget a\r\n");
    assert!(culprit.line().starts_with(b"CLIENT_ERROR "));
    neighbour.check(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_line_feed_ends_a_line_as_it_does_for_memcached() {
    let server = Server::memcached();
    let pool = Pool::memcache("alpha").servers(std::slice::from_ref(&server));
    let proxy = Proxy::nutcrab(vec![pool]);
    let mut neighbour = proxy.client("alpha");
    neighbour.check(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n");
    // What looks like one key to twemproxy is a second command to memcached.
    let found = "VALUE a 0 1\r\nx\r\nEND\r\n";
    let mut client = proxy.client("alpha");
    client.check(b"get a\nget b\r\n", format!("{found}END\r\n").as_bytes());
    client.check(
        b"get a\nnonsense\r\n",
        format!("{found}ERROR\r\n").as_bytes(),
    );
    neighbour.check(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn http_on_a_redis_port_is_refused_and_logged_once() {
    let server = Server::redis();
    let pool = Pool::redis("alpha").servers(std::slice::from_ref(&server));
    let mut proxy = Proxy::nutcrab(vec![pool]);
    let request = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30\r\n\r\n\
                   *3\r\n$3\r\nSET\r\n$4\r\nhttp\r\n$1\r\nx\r\n";
    let mut browser = proxy.client("alpha");
    let peer = browser.local_addr().expect("it came by TCP");
    browser.send(request.as_bytes());
    let answer = browser.read_to_end();
    assert!(answer.starts_with(b"-ERR "), "{}", shown(&answer));
    assert_eq!(answer.iter().filter(|&&byte| byte == b'\n').count(), 1);
    let mut client = proxy.client("alpha");
    client.check(&pipeline(&["GET http"]), b"$-1\r\n");
    eventually("the log tells of it", || {
        let log = proxy.process().log();
        (log.matches("malformed request").count() == 1).then_some(())
    });
    let told = format!("pool \"alpha\": client {peer}: closed: malformed request\n");
    eventually("the log tells who it was", || {
        proxy.process().log().contains(&told).then_some(())
    });
}
