//! The proxies: nutcrab, and the original nutcracker to compare with.

use std::fmt::Write as _;
use std::path::Path;

use tempfile::TempDir;

use super::port::Port;
use super::process::Process;
use super::server::{Server, scratch};
use super::wire::{Address, Wire};

/// The name of the configuration file in a proxy's directory.
const CONFIGURATION: &str = "nutcracker.yml";

/// One pool of a configuration file.
#[derive(Debug)]
pub struct Pool {
    name: String,
    listen: Listen,
    keys: Vec<(String, String)>,
    servers: Vec<String>,
}

#[derive(Debug)]
enum Listen {
    Tcp(Port),
    Tcp6(Port),
    /// With a mode as the configuration has it, or an empty one.
    Unix(&'static str),
}

impl Pool {
    /// A Redis pool on a free port of 127.0.0.1.
    pub fn redis(name: &str) -> Self {
        Self::memcache(name).with("redis", "true")
    }

    /// A memcached pool on a free port of 127.0.0.1.
    pub fn memcache(name: &str) -> Self {
        let listen = Listen::Tcp(Port::free());
        Self {
            name: name.to_owned(),
            listen,
            keys: Vec::new(),
            servers: Vec::new(),
        }
    }

    /// Listens on `::1` instead.
    pub fn on_ipv6(mut self) -> Self {
        self.listen = Listen::Tcp6(Port::free());
        self
    }

    /// Listens on a unix socket in the proxy's directory instead.
    pub fn on_unix(mut self) -> Self {
        self.listen = Listen::Unix("");
        self
    }

    /// Listens on a unix socket with these permissions: `0600`.
    pub fn on_unix_with_mode(mut self, mode: &'static str) -> Self {
        self.listen = Listen::Unix(mode);
        self
    }

    /// Sets a key of the configuration.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.keys.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a server line as it stands in the file: `127.0.0.1:6379:1 name`.
    pub fn line(mut self, line: &str) -> Self {
        self.servers.push(line.to_owned());
        self
    }

    /// Adds an address under a name of its own, so that the key placement does not depend on it.
    pub fn at(self, name: &str, address: &Address) -> Self {
        self.line(&format!("{address}:1 {name}"))
    }

    /// Adds servers, named `s1`, `s2` and so on.
    pub fn servers(mut self, servers: &[Server]) -> Self {
        for server in servers {
            let name = format!("s{}", self.servers.len() + 1);
            self = self.at(&name, server.address());
        }
        self
    }

    fn address(&self, directory: &Path) -> Address {
        match &self.listen {
            Listen::Tcp(port) => Address::tcp(port.number()),
            Listen::Tcp6(port) => Address::tcp6(port.number()),
            Listen::Unix(_) => Address::Unix(directory.join(format!("{}.sock", self.name))),
        }
    }

    fn yaml(&self, directory: &Path) -> String {
        let mode = match &self.listen {
            Listen::Unix(mode) if !mode.is_empty() => format!(" {mode}"),
            _ => String::new(),
        };
        let mut yaml = format!(
            "{}:\n  listen: {}{mode}\n",
            self.name,
            self.address(directory)
        );
        for (key, value) in &self.keys {
            let _ = writeln!(yaml, "  {key}: {value}");
        }
        yaml.push_str("  servers:\n");
        for server in &self.servers {
            let _ = writeln!(yaml, "   - {server}");
        }
        yaml
    }
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    pools: Vec<(Pool, Address)>,
    stats: Port,
    directory: TempDir,
}

impl Proxy {
    /// The proxy under test, with the number of workers the environment asks for.
    pub fn nutcrab(pools: Vec<Pool>) -> Self {
        Self::nutcrab_of(workers(), pools, &[], "")
    }

    /// The proxy under test with one worker: all clients share its server connections.
    pub fn nutcrab_of_one_worker(pools: Vec<Pool>) -> Self {
        Self::nutcrab_of(1, pools, &[], "")
    }

    /// The proxy under test with further options, as on its command line.
    pub fn nutcrab_with(pools: Vec<Pool>, options: &[&str]) -> Self {
        Self::nutcrab_of(workers(), pools, options, "")
    }

    /// The proxy under test with these lines in the mapping `nutcrab:`.
    pub fn nutcrab_configured(pools: Vec<Pool>, process: &str) -> Self {
        Self::nutcrab_of(workers(), pools, &[], process)
    }

    /// The same with one worker.
    pub fn nutcrab_of_one_worker_configured(pools: Vec<Pool>, process: &str) -> Self {
        Self::nutcrab_of(1, pools, &[], process)
    }

    fn nutcrab_of(workers: usize, pools: Vec<Pool>, options: &[&str], process: &str) -> Self {
        let program = &binary();
        let workers = workers.to_string();
        let mut arguments = options.to_vec();
        // The original knows no workers.
        if !program.ends_with("nutcracker") {
            arguments.extend(["--workers", &workers]);
        }
        Self::start(program, pools, &arguments, process)
    }

    /// The proxy under test, started by another program that is given the command line:
    /// `["ip", "netns", "exec", "name"]`. Where that takes it into another network, so must the thread
    /// that calls this be.
    pub fn nutcrab_under(wrapper: &[&str], pools: Vec<Pool>, options: &[&str]) -> Self {
        let (program, first) = wrapper.split_first().expect("a program");
        let workers = workers().to_string();
        let options: Vec<&str> = options
            .iter()
            .copied()
            .chain(["--workers", &workers])
            .collect();
        Self::start_with(
            program,
            &[first, &[&binary()]].concat(),
            pools,
            &options,
            "",
        )
    }

    /// The proxy under test, started under the name of the original.
    pub fn nutcrab_as_nutcracker(pools: Vec<Pool>) -> Self {
        let place = scratch();
        let program = place.path().join("nutcracker");
        std::os::unix::fs::symlink(binary(), &program).expect("a link can be made");
        // The name is that of the program, which may be gone once it runs.
        Self::start(&program.display().to_string(), pools, &[], "")
    }

    /// The original.
    pub fn nutcracker(pools: Vec<Pool>) -> Self {
        Self::nutcracker_with(pools, &[])
    }

    /// The original with further options.
    pub fn nutcracker_with(pools: Vec<Pool>, options: &[&str]) -> Self {
        Self::start("nutcracker", pools, options, "")
    }

    fn start(program: &str, pools: Vec<Pool>, options: &[&str], process: &str) -> Self {
        Self::start_with(program, &[], pools, options, process)
    }

    /// `first` stands before all other arguments, `process` in the mapping `nutcrab:`.
    fn start_with(
        program: &str,
        first: &[&str],
        pools: Vec<Pool>,
        options: &[&str],
        process: &str,
    ) -> Self {
        let (stats, directory) = (Port::free(), scratch());
        let path = directory.path();
        let mut yaml: String = pools.iter().map(|pool| pool.yaml(path)).collect();
        if !process.is_empty() {
            let _ = write!(yaml, "nutcrab:\n{process}");
        }
        let file = path.join(CONFIGURATION);
        std::fs::write(&file, &yaml).expect("the test's directory can be written");
        let (file, number) = (file.display().to_string(), stats.number().to_string());
        // An empty log file name is stderr.
        let fixed = ["-c", &file, "-s", &number, "-a", "127.0.0.1", "-o", ""];
        let arguments = first.iter().chain(&fixed).chain(options);
        let arguments: Vec<_> = arguments.map(|&a| a.to_owned()).collect();
        let process = Process::start(program, &arguments, &path.join("log"));
        let pools: Vec<_> = pools
            .into_iter()
            .map(|pool| (pool.address(path), pool))
            .map(|(a, p)| (p, a))
            .collect();
        let mut proxy = Self {
            process,
            pools,
            stats,
            directory,
        };
        for (_, address) in &proxy.pools {
            proxy
                .process
                .wait_ready(|| Wire::try_connect(address).is_ok());
        }
        proxy
    }

    /// Where the pool of this name listens.
    #[track_caller]
    pub fn address(&self, pool: &str) -> &Address {
        let found = self
            .pools
            .iter()
            .find(|(candidate, _)| candidate.name == pool);
        &found.unwrap_or_else(|| panic!("no pool {pool}")).1
    }

    /// A client of the pool of this name.
    #[track_caller]
    pub fn client(&self, pool: &str) -> Wire {
        Wire::connect(self.address(pool))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The text of its configuration file.
    pub fn configuration(&self) -> String {
        let file = self.directory.path().join(CONFIGURATION);
        std::fs::read_to_string(file).expect("the configuration was written at start")
    }

    /// The port statistics are read from.
    pub fn stats_port(&self) -> u16 {
        self.stats.number()
    }
}

/// The proxy under test. Cargo names it to integration tests only; the demo is told by the
/// environment.
fn binary() -> String {
    let chosen = std::env::var("NUTCRAB_TEST_BINARY").ok();
    let program = chosen.or(option_env!("CARGO_BIN_EXE_nutcrab").map(str::to_owned));
    program.expect("NUTCRAB_TEST_BINARY names the proxy to start")
}

/// How many workers each nutcrab of this run has.
pub fn workers() -> usize {
    let wish = std::env::var("NUTCRAB_TEST_WORKERS").unwrap_or_else(|_| "2".into());
    wish.parse()
        .unwrap_or_else(|_| panic!("NUTCRAB_TEST_WORKERS: expected a number, got {wish:?}"))
}
