//! systemd's protocol, with the test in the place of systemd.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::*;
use crate::{NUTCRAB, Place, gated_server, is_let_in, pool};

/// Where nutcrab tells how it is.
struct Notified {
    socket: UnixDatagram,
}

impl Notified {
    fn new(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    fn at(place: &Place) -> Self {
        Self::new(&SocketAddr::from_pathname(place.path("notify")).unwrap())
    }

    /// The next message.
    #[track_caller]
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let len = self.socket.recv(&mut bytes).expect("a message in time");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    /// The next message that begins so; others are passed over.
    #[track_caller]
    fn next_with(&self, start: &str) -> String {
        let mut next = self.next();
        while !next.starts_with(start) {
            next = self.next();
        }
        next
    }

    /// Whether nothing comes for so long.
    fn is_silent_for(&self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let silent = self.socket.recv(&mut [0; 4096]).is_err();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Throws away what came so far.
    fn forget(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

/// A nutcrab under a service manager, which does not outlive the test.
struct Service(Child);

impl Service {
    /// With these variables, and these sockets as descriptors 3 and 4.
    fn start(
        place: &Place,
        stats: &Port,
        variables: &[(&str, &str)],
        sockets: impl IntoIterator<Item = OwnedFd>,
    ) -> Self {
        // The shell moves the sockets from where a child of std can get them to where systemd puts
        // them, and knows the process id before nutcrab has it.
        let script = "exec 3<&0 4>&1 </dev/null >/dev/null; export LISTEN_PID=$$; exec \"$@\"";
        let mut sockets = sockets.into_iter();
        let mut next = || sockets.next().map_or_else(Stdio::null, Stdio::from);
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "sh", "-c", script, "sh"])
            .arg(NUTCRAB)
            .args(place.arguments(stats))
            .args(["--workers", "2"])
            .envs(variables.iter().copied())
            .stdin(next())
            .stdout(next())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        process::send_signal(name, self.0.id());
    }

    /// The exit code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn notify_variable(place: &Place) -> String {
    place.path("notify").display().to_string()
}

#[test]
fn a_service_manager_is_told_of_ready_status_and_stopping() {
    let (server, open) = gated_server();
    let (place, stats) = (Place::new(), Port::free());
    let socket = place.path("sock");
    place.configure(&format!(
        "a:\n  listen: {}\n  redis: true\n  servers:\n   - {}:1\n",
        socket.display(),
        server.address()
    ));
    let notified = Notified::at(&place);
    let variables = [("NOTIFY_SOCKET", &*notify_variable(&place))];
    let service = Service::start(&place, &stats, &variables, []);
    assert_eq!(
        notified.next(),
        "READY=1\nSTATUS=serving 1 pools with 1 servers, 0 of them ejected\n"
    );
    // Not before clients are let in.
    let mut client = Wire::try_connect(&Address::Unix(socket)).expect("it is ready");
    client.send(crate::GET);
    crate::asked(&server);
    service.signal("TERM");
    assert_eq!(
        notified.next(),
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000\n\
         STATUS=stopping: requests under way are answered\n"
    );
    open.send(()).unwrap();
    client.expect(b"$4\r\nlate\r\n");
    drop(client);
    assert_eq!(service.end(), (Some(0), String::new()));
}

#[test]
fn ejected_servers_show_in_the_status() {
    let (place, stats) = (Place::new(), Port::free());
    let socket = place.path("sock");
    place.configure(&format!(
        "a:\n  listen: {}\n  redis: true\n  auto_eject_hosts: true\n  server_failure_limit: 1\n  \
         server_retry_timeout: 100\n  servers:\n   - 127.0.0.1:1:1\n",
        socket.display(),
    ));
    // In the abstract namespace this time, as some service managers have it.
    let name = format!("nutcrab-test-notify-{}", std::process::id());
    let notified = Notified::new(&SocketAddr::from_abstract_name(&name).unwrap());
    let variables = [("NOTIFY_SOCKET", &*format!("@{name}"))];
    let _service = Service::start(&place, &stats, &variables, []);
    notified.next_with("READY=1\n");
    let mut client = Wire::connect(&Address::Unix(socket));
    client.send(crate::GET);
    for count in [1, 0] {
        let status = format!("STATUS=serving 1 pools with 1 servers, {count} of them ejected\n");
        assert_eq!(notified.next(), status);
    }
}

#[test]
fn a_start_that_fails_is_never_ready() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (place, stats) = (Place::new(), Port::free());
    place.configure(&pool("a", &taken.local_addr().unwrap().to_string()));
    let notified = Notified::at(&place);
    let variables = [("NOTIFY_SOCKET", &*notify_variable(&place))];
    let service = Service::start(&place, &stats, &variables, []);
    let (code, said) = service.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(notified.is_silent_for(Duration::from_millis(1)));
}

/// Holds one thread of another process still, as a bug would.
mod hold {
    #![expect(unsafe_code, reason = "std has no ptrace")]

    fn ptrace(request: libc::c_uint, thread: libc::pid_t) {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests read and write no memory of ours.
        let result = unsafe { libc::ptrace(request, thread, nothing, nothing) };
        let error = std::io::Error::last_os_error();
        assert_eq!(result, 0, "ptrace {request}: {error}");
    }

    pub fn hold(thread: libc::pid_t) {
        ptrace(libc::PTRACE_SEIZE, thread);
        ptrace(libc::PTRACE_INTERRUPT, thread);
        // SAFETY: waits for the thread to stop; the status is not asked for.
        let stopped = unsafe { libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL) };
        assert_eq!(stopped, thread);
    }

    pub fn release(thread: libc::pid_t) {
        ptrace(libc::PTRACE_DETACH, thread);
    }
}

#[test]
fn the_watchdog_is_fed_only_while_every_worker_turns() {
    let (place, stats) = (Place::new(), Port::free());
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    let notified = Notified::at(&place);
    let variables = [
        ("NOTIFY_SOCKET", &*notify_variable(&place)),
        ("WATCHDOG_USEC", "400000"),
    ];
    let service = Service::start(&place, &stats, &variables, []);
    notified.next_with("READY=1\n");
    for _ in 0..5 {
        assert_eq!(notified.next(), "WATCHDOG=1\n");
    }
    let tasks = fs::read_dir(format!("/proc/{}/task", service.0.id())).unwrap();
    let worker = tasks
        .map(|task| task.unwrap().path())
        .find(|path| fs::read_to_string(path.join("comm")).unwrap() == "worker-1\n")
        .expect("a second worker");
    let worker = worker.file_name().unwrap().to_str().unwrap().parse();
    let worker: i32 = worker.unwrap();
    hold::hold(worker);
    // What was answered before may still lead to one.
    assert!(
        (0..3).any(|_| notified.is_silent_for(Duration::from_millis(600))),
        "it is fed although a worker is stuck"
    );
    hold::release(worker);
    assert_eq!(notified.next(), "WATCHDOG=1\n");
    // A process that is not meant has no watchdog.
    notified.forget();
    drop(service);
    let variables = [variables[0], variables[1], ("WATCHDOG_PID", "1")];
    let _service = Service::start(&place, &stats, &variables, []);
    notified.next_with("READY=1\n");
    assert!(notified.is_silent_for(Duration::from_millis(500)));
}

#[test]
fn sockets_that_are_handed_over_serve_their_pools() {
    let (place, stats) = (Place::new(), Port::free());
    // One is known by its address, the other, which is elsewhere than the file says, by its name.
    let path = place.path("given");
    let by_address = UnixListener::bind(&path).unwrap();
    let by_name = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let named = Address::tcp(by_name.local_addr().unwrap().port());
    let unused = place.path("unused");
    let yaml = pool("alpha", &path.display().to_string());
    place.configure(&(yaml + &pool("beta", &unused.display().to_string())));
    let notified = Notified::at(&place);
    let variables = [
        ("NOTIFY_SOCKET", &*notify_variable(&place)),
        ("LISTEN_FDS", "2"),
        ("LISTEN_FDNAMES", "nutcrab.socket:beta"),
    ];
    // Clients that came before nutcrab did are served, too.
    let mut early = Wire::connect(&named);
    let service = Service::start(
        &place,
        &stats,
        &variables,
        [by_address.into(), by_name.into()],
    );
    assert!(is_let_in(&mut early));
    notified.next_with("READY=1\n");
    assert!(is_let_in(&mut Wire::connect(&Address::Unix(path.clone()))));
    assert!(!unused.exists(), "the pool listens twice");
    drop(early);
    service.signal("TERM");
    assert_eq!(service.end(), (Some(0), String::new()));
    // The file is the service manager's, which goes on listening.
    assert!(path.exists());
}

#[test]
fn a_socket_that_is_handed_over_in_vain_is_a_failed_start() {
    let place = Place::new();
    place.configure(&pool("a", &place.path("sock").display().to_string()));
    let stray = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = stray.local_addr().unwrap();
    let datagram = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    for (socket, count, reason) in [
        (
            Some(OwnedFd::from(stray)),
            "1",
            format!("the socket \"nutcrab.socket\" at {address} is no pool's"),
        ),
        (
            Some(datagram.into()),
            "1",
            "descriptor 3 (\"nutcrab.socket\") is unusable: it is no listening stream socket"
                .to_owned(),
        ),
        (
            None,
            "9",
            "descriptor 3 (\"nutcrab.socket\") is unusable: ".to_owned(),
        ),
    ] {
        let variables = [
            ("LISTEN_FDS", count),
            ("LISTEN_FDNAMES", "nutcrab.socket:other"),
        ];
        let service = Service::start(&place, &Port::free(), &variables, socket);
        let (code, said) = service.end();
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let start = format!("nutcrab: socket activation: {reason}");
        assert!(said.starts_with(&start), "{said}");
        assert!(!place.path("sock").exists());
    }
}
