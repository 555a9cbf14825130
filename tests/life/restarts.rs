//! One process after another: what the successor gets, and what it must leave alone.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Restarts under load; `make faults` makes more.
fn rounds() -> usize {
    match std::env::var("FAULTS_LONG").is_ok_and(|value| value == "1") {
        true => 25,
        false => 3,
    }
}

fn fetch(port: &Port, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port.number())).unwrap();
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn t47_a_successor_has_every_port_while_its_predecessor_still_answers() {
    for _ in 0..rounds() {
        let (server, open) = gated_server();
        let (place, stats, admin, port) = (Place::new(), Port::free(), Port::free(), Port::free());
        let listen = Address::tcp(port.number());
        place.configure(&format!(
            "a:\n  listen: {listen}\n  redis: true\n  servers:\n   - {}:1\n",
            server.address()
        ));
        let admin_port = admin.number().to_string();
        let options = ["-d", "--admin-addr", &admin_port];
        assert_eq!(place.run(&stats, &options).status.code(), Some(0));
        let old = place.text("pid");
        let mut waiting = Wire::connect(&listen);
        waiting.send(GET);
        asked(&server);

        // As a script does it that knows of no waiting.
        send_signal("TERM", &old);
        let output = place.run(&stats, &options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
        let new = place.text("pid");
        assert!(new != old && is_alive(&old), "{old} drains, {new} runs");
        assert!(is_let_in(&mut Wire::connect(&listen)));
        assert!(fetch(&stats, "").starts_with("{\"service\":\"nutcracker\", "));
        let ready = fetch(&admin, "GET /readyz HTTP/1.0\r\n\r\n");
        assert!(ready.contains(" 200 "), "{ready}");

        open.send(()).unwrap();
        waiting.expect(b"$4\r\nlate\r\n");
        drop(waiting);
        eventually("the old one ends", || (!is_alive(&old)).then_some(()));
        assert_eq!(place.text("pid"), new, "the pid file is its successor's");
        assert!(is_let_in(&mut Wire::connect(&listen)));
        send_signal("TERM", &new);
        eventually("the new one ends", || (!is_alive(&new)).then_some(()));
        assert!(!place.path("pid").exists());
    }
}

#[test]
fn t47_an_address_that_becomes_free_is_waited_for() {
    let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = Place::new();
    place.configure(&pool("a", &holder.local_addr().unwrap().to_string()));
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        drop(holder);
    });
    let output = place.run(&Port::free(), &["-d"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    release.join().unwrap();
}

#[test]
fn t48_a_second_start_leaves_the_pid_file_of_the_first() {
    let (place, port) = (Place::new(), Port::free());
    place.configure(&pool("a", &Address::tcp(port.number()).to_string()));
    let stats = Port::free();
    assert_eq!(place.run(&stats, &["-d"]).status.code(), Some(0));
    let first = place.text("pid");
    // Both in the foreground and as a daemon; the pool's port is taken, or only that of the statistics.
    let other = Port::free();
    for (listen, options) in [(&port, &[][..]), (&port, &["-d"]), (&other, &["-d"])] {
        place.configure(&pool("a", &Address::tcp(listen.number()).to_string()));
        let output = place.run(&stats, options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains("failed: Address already in use"),
            "{stderr}"
        );
        assert_eq!(place.text("pid"), first);
    }
    assert!(is_let_in(&mut Wire::connect(&Address::tcp(port.number()))));
}

#[test]
fn t49_a_unix_path_that_is_not_stale_refuses_the_start() {
    let (place, stats) = (Place::new(), Port::free());
    let path = place.path("sock");
    place.configure(&pool("a", &path.display().to_string()));
    let refused = |reason: &str| {
        let output = place.run(&stats, &["-d"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    };
    fs::write(&path, "kept").unwrap();
    refused("failed: there is a file of this name that is no socket");
    assert_eq!(place.text("sock"), "kept");
    fs::remove_file(&path).unwrap();

    let live = UnixListener::bind(&path).unwrap();
    let begin = Instant::now();
    refused("failed: Address already in use");
    assert!(
        begin.elapsed() >= Duration::from_millis(900),
        "as long as for a port"
    );
    live.set_nonblocking(true).unwrap();
    assert!(live.accept().is_ok(), "it is still the one at this path");

    // It is waited for, and what it leaves is taken over.
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        drop(live);
    });
    assert_eq!(place.run(&stats, &["-d"]).status.code(), Some(0));
    release.join().unwrap();
    assert!(is_let_in(&mut Wire::connect(&Address::Unix(path))));
}

/// Scripts wait for it; docs/migration.md says so.
#[test]
fn a_stop_ends_with_0_where_the_original_ends_with_143() {
    let server = FakeServer::answering(|_| b"+OK\r\n".to_vec());
    let pool = || vec![Pool::redis("a").at("s", &server.address())];
    let code = |mut proxy: Proxy| {
        proxy.process().signal("TERM");
        let status = proxy.process().wait_exit();
        // As shells count.
        status.code().or(status.signal().map(|signal| 128 + signal))
    };
    assert_eq!(code(Proxy::nutcracker(pool())), Some(143));
    assert_eq!(code(Proxy::nutcrab(pool())), Some(0));
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/migration.md");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("exit code is 0, the original's 143"));
}
