//! Real servers: redis-server and memcached, over TCP or unix sockets.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;

use super::port::Port;
use super::process::Process;
use super::wire::{Address, Wire};
use super::{Reply, eventually};

/// The valkey-server that `scripts/install-valkey` installs.
const VALKEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/valkey-server");

/// A redis-server, valkey-server or memcached of this test.
#[derive(Debug)]
pub struct Server {
    program: &'static str,
    arguments: Vec<String>,
    address: Address,
    process: Option<Process>,
    directory: TempDir,
    _port: Option<Port>,
}

impl Server {
    /// A redis-server on a free port.
    pub fn redis() -> Self {
        Self::redis_with(&[])
    }

    /// A redis-server on a free port with further options, as on its command line.
    pub fn redis_with(options: &[&str]) -> Self {
        ready(Self::redis_starting(options))
    }

    /// `count` redis-servers on free ports, started together.
    pub fn redis_many(count: usize) -> Vec<Self> {
        let servers: Vec<_> = (0..count).map(|_| Self::redis_starting(&[])).collect();
        servers.into_iter().map(ready).collect()
    }

    /// `count` valkey-servers on free ports, started together.
    pub fn valkey_many(count: usize) -> Vec<Self> {
        let servers: Vec<_> = (0..count).map(|_| Self::valkey_starting(&[])).collect();
        servers.into_iter().map(ready).collect()
    }

    /// A valkey-server on a free port with further options, as on its command line.
    pub fn valkey_with(options: &[&str]) -> Self {
        ready(Self::valkey_starting(options))
    }

    fn valkey_starting(options: &[&str]) -> Self {
        assert!(
            Path::new(VALKEY).exists(),
            "scripts/install-valkey installs {VALKEY}"
        );
        Self::redis_like_starting(VALKEY, options)
    }

    /// A redis-server that listens on a unix socket only.
    pub fn redis_unix() -> Self {
        let directory = scratch();
        let path = directory.path().join("redis.sock");
        let place = ["--port", "0", "--unixsocket", &path.display().to_string()].map(str::to_owned);
        let arguments = place.into_iter().chain(redis_options(&directory)).collect();
        ready(Self::new(
            "redis-server",
            arguments,
            Address::Unix(path),
            directory,
            None,
        ))
    }

    /// A redis-server that listens on `::1` only.
    pub fn redis_ipv6() -> Self {
        let (port, directory) = (Port::free(), scratch());
        let number = port.number().to_string();
        let place = ["--port", &number, "--bind", "::1"].map(str::to_owned);
        let arguments = place.into_iter().chain(redis_options(&directory)).collect();
        let address = Address::tcp6(port.number());
        ready(Self::new(
            "redis-server",
            arguments,
            address,
            directory,
            Some(port),
        ))
    }

    /// A memcached on a free port.
    pub fn memcached() -> Self {
        ready(Self::memcached_starting(&[]))
    }

    /// A memcached on a free port with further options, as on its command line.
    pub fn memcached_with(options: &[&str]) -> Self {
        ready(Self::memcached_starting(options))
    }

    /// `count` memcached on free ports, started together.
    pub fn memcached_many(count: usize) -> Vec<Self> {
        let servers: Vec<_> = (0..count).map(|_| Self::memcached_starting(&[])).collect();
        servers.into_iter().map(ready).collect()
    }

    /// A memcached that listens on a unix socket only.
    pub fn memcached_unix() -> Self {
        let directory = scratch();
        let path = directory.path().join("memcached.sock");
        let arguments = ["-u", "root", "-t", "1", "-s", &path.display().to_string()];
        let arguments = arguments.map(str::to_owned).to_vec();
        ready(Self::new(
            "memcached",
            arguments,
            Address::Unix(path),
            directory,
            None,
        ))
    }

    fn redis_starting(options: &[&str]) -> Self {
        Self::redis_like_starting("redis-server", options)
    }

    fn redis_like_starting(program: &'static str, options: &[&str]) -> Self {
        let (port, directory) = (Port::free(), scratch());
        let number = port.number().to_string();
        let place = ["--port", &number, "--bind", "127.0.0.1"].map(str::to_owned);
        let further = options.iter().map(|&option| option.to_owned());
        let arguments = place
            .into_iter()
            .chain(redis_options(&directory))
            .chain(further)
            .collect();
        let address = Address::tcp(port.number());
        Self::new(program, arguments, address, directory, Some(port))
    }

    fn memcached_starting(options: &[&str]) -> Self {
        let (port, directory) = (Port::free(), scratch());
        let number = port.number().to_string();
        // `-u root` (nothing at all when the tests run as somebody else) keeps the user as it is:
        // a process that changes its user is no longer killed when its parent dies.
        let place = ["-u", "root", "-t", "1", "-l", "127.0.0.1", "-p", &number].map(str::to_owned);
        let further = options.iter().map(|&option| option.to_owned());
        let arguments = place.into_iter().chain(further).collect();
        let address = Address::tcp(port.number());
        Self::new("memcached", arguments, address, directory, Some(port))
    }

    fn new(
        program: &'static str,
        arguments: Vec<String>,
        address: Address,
        directory: TempDir,
        port: Option<Port>,
    ) -> Self {
        let process = Some(Process::start(
            program,
            &arguments,
            &directory.path().join("log"),
        ));
        Self {
            program,
            arguments,
            address,
            process,
            directory,
            _port: port,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Every word in its program's file that could be one of its protocol, once.
    pub fn words(&self) -> BTreeSet<String> {
        let path = std::env::var_os("PATH").expect("programs are found by a path");
        let mut files = std::env::split_paths(&path).map(|folder| folder.join(self.program));
        let file = files.find(|file| file.exists()).expect("it was started");
        let bytes = std::fs::read(file).expect("a program can be read");
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let words = bytes.split(|byte| !is_part(byte));
        let words =
            words.filter(|word| (2..=40).contains(&word.len()) && word[0].is_ascii_alphabetic());
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    /// The process; fails the test if it was killed.
    #[track_caller]
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server is running")
    }

    /// A connection straight to it.
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(&self.address)
    }

    /// Kills it at once and waits until it is gone. What it held is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address after [`Server::kill`].
    #[track_caller]
    pub fn restart(&mut self) {
        self.process = None;
        let log = self.directory.path().join("log");
        self.process = Some(Process::start(self.program, &self.arguments, &log));
        self.wait_ready();
    }

    /// For redis: the reply to `words`, asked directly.
    #[track_caller]
    pub fn ask(&self, words: &[&str]) -> Reply {
        let mut wire = self.connect();
        wire.send(&super::command(words));
        wire.reply()
    }

    /// For redis: how many of its clients wait for something to happen.
    #[track_caller]
    pub fn blocked_clients(&self) -> usize {
        let text = String::from_utf8(self.ask(&["INFO", "clients"]).bytes()).expect("text");
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("blocked_clients:"));
        count.and_then(|count| count.parse().ok()).expect("a count")
    }

    /// For redis: waits until it has as many clients besides the one that asks.
    #[track_caller]
    pub fn wait_for_clients(&self, count: usize) {
        eventually(&format!("{count} connections to a server"), || {
            let Reply::Bulk(Some(list)) = self.ask(&["CLIENT", "LIST", "TYPE", "normal"]) else {
                panic!("CLIENT LIST gives text");
            };
            let lines = list
                .split(|&byte| byte == b'\n')
                .filter(|line| !line.is_empty());
            (lines.count() == count + 1).then_some(())
        });
    }

    fn wait_ready(&mut self) {
        let address = self.address.clone();
        self.process()
            .wait_ready(|| Wire::try_connect(&address).is_ok());
    }
}

fn ready(mut server: Server) -> Server {
    server.wait_ready();
    server
}

fn redis_options(directory: &TempDir) -> impl Iterator<Item = String> + use<> {
    let path = directory.path().display().to_string();
    let options = [
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        &path,
        "--databases",
        "16",
    ];
    options.map(str::to_owned).into_iter()
}

/// A directory that goes away with its value.
pub fn scratch() -> TempDir {
    let made = tempfile::Builder::new().prefix("nutcrab-test-").tempdir();
    made.expect("a directory can be made for the test")
}

/// Whether something accepts connections at a unix socket path.
pub fn accepts(path: &Path) -> bool {
    Wire::try_connect(&Address::Unix(path.to_owned())).is_ok()
}
