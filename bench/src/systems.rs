//! What is compared: the servers, and the proxies that stand before them.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use crate::process::{Core, Process, command, find, free_port};
use crate::wire::{self, Protocol};

/// The proxy's core, and that of everything else.
pub const PROXY_CORE: usize = 0;
/// See [`PROXY_CORE`].
pub const REST_CORE: usize = 1;

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// No proxy: the clients speak to one of the servers.
    Direct,
    /// As it comes.
    Nutcrab,
    /// With `gather: 0`.
    NutcrabPlain,
    /// The original.
    Nutcracker,
    /// A relay of bytes that knows no requests: each connection goes to one server.
    Haproxy,
    /// Its Redis proxy.
    Envoy,
}

impl System {
    /// All, in the order of tables.
    pub const ALL: [System; 6] = [
        System::Direct,
        System::Nutcrab,
        System::NutcrabPlain,
        System::Nutcracker,
        System::Haproxy,
        System::Envoy,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            System::Direct => "direct",
            System::Nutcrab => "nutcrab",
            System::NutcrabPlain => "nutcrab, gather 0",
            System::Nutcracker => "nutcracker",
            System::Haproxy => "HAProxy TCP",
            System::Envoy => "Envoy",
        }
    }

    /// Whether it speaks the protocol.
    pub fn speaks(self, protocol: Protocol) -> bool {
        self != System::Envoy || protocol == Protocol::Redis
    }
}

/// The programs that are run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The nutcrab to measure.
    pub nutcrab: PathBuf,
    /// The others, where they are installed.
    pub nutcracker: Option<PathBuf>,
    /// See above.
    pub haproxy: Option<PathBuf>,
    /// See above.
    pub envoy: Option<PathBuf>,
}

impl Programs {
    /// What is installed, with the nutcrab at `nutcrab` and the Envoy at `envoy`, if given.
    pub fn find(nutcrab: PathBuf, envoy: Option<PathBuf>) -> Self {
        Self {
            nutcrab,
            nutcracker: find("nutcracker"),
            haproxy: find("haproxy"),
            envoy: envoy.or_else(|| find("envoy")),
        }
    }

    /// Its program, if it is one and installed.
    pub fn of(&self, system: System) -> Option<&Path> {
        match system {
            System::Direct => None,
            System::Nutcrab | System::NutcrabPlain => Some(&self.nutcrab),
            System::Nutcracker => self.nutcracker.as_deref(),
            System::Haproxy => self.haproxy.as_deref(),
            System::Envoy => self.envoy.as_deref(),
        }
    }

    /// Whether it can be measured here.
    pub fn has(&self, system: System) -> bool {
        system == System::Direct || self.of(system).is_some()
    }
}

/// Running servers of one protocol.
#[derive(Debug)]
pub struct Servers {
    protocol: Protocol,
    processes: Vec<Process>,
    addresses: Vec<SocketAddr>,
}

impl Servers {
    /// Starts `count` of them.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(
        protocol: Protocol,
        count: usize,
        place: &Place,
        directory: &Path,
    ) -> io::Result<Self> {
        let (mut processes, mut addresses) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let address = SocketAddr::from((place.host, free_port()?));
            let (program, words) = match protocol {
                Protocol::Redis => ("redis-server", redis_words(address, directory)),
                Protocol::Memcache => ("memcached", memcached_words(address)),
            };
            let program = find(program).ok_or_else(|| missing(program))?;
            let mut command = command(None, place.core, &program);
            command.args(words);
            let name = format!("server-{}", address.port());
            processes.push(Process::start(&name, command, directory)?);
            addresses.push(address);
        }
        let mut servers = Self {
            protocol,
            processes,
            addresses,
        };
        for (process, address) in servers.processes.iter_mut().zip(&servers.addresses) {
            process.wait_for(*address)?;
        }
        Ok(servers)
    }

    /// Where they listen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The processes.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Gives every server all keys, with values of one length, so that it does not matter which of
    /// them a proxy asks.
    ///
    /// # Errors
    /// A server does not take them.
    pub fn fill(&self, keys: u64, value: usize) -> io::Result<()> {
        let value = vec![b'x'; value];
        for address in &self.addresses {
            let mut stream = TcpStream::connect(address)?;
            let (flush, flushed) = match self.protocol {
                Protocol::Redis => (&b"*1\r\n$8\r\nFLUSHALL\r\n"[..], &b"+OK\r\n"[..]),
                Protocol::Memcache => (&b"flush_all\r\n"[..], &b"OK\r\n"[..]),
            };
            exchange(&mut stream, flush, flushed)?;
            let stored: &[u8] = match self.protocol {
                Protocol::Redis => b"+OK\r\n",
                Protocol::Memcache => b"STORED\r\n",
            };
            let mut number = 0;
            while number < keys {
                let end = keys.min(number + (1 << 20) / (value.len() as u64 + 100) + 1);
                let requests: Vec<u8> = (number..end)
                    .flat_map(|number| wire::set(self.protocol, &wire::key(number), &value))
                    .collect();
                exchange(
                    &mut stream,
                    &requests,
                    &stored.repeat((end - number) as usize),
                )?;
                number = end;
            }
        }
        Ok(())
    }
}

/// Where servers run.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address they listen on.
    pub host: Ipv4Addr,
    /// Which core they have.
    pub core: Core,
}

impl Place {
    /// On loopback.
    pub fn here(core: Core) -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST,
            core,
        }
    }
}

/// A proxy before servers.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub address: SocketAddr,
    /// What is measured; nothing for [`System::Direct`].
    pub process: Option<Process>,
}

/// How a proxy is started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The protocol of its pools.
    pub protocol: Protocol,
    /// The server lines of each pool; a server may stand in several places.
    pub servers: &'a [SocketAddr],
    /// How many pools there are, all with the same servers.
    pub pools: usize,
    /// For nutcrab: the bound of its waits in microseconds; `None` leaves the default.
    pub gather: Option<u32>,
    /// For nutcrab.
    pub workers: usize,
    /// Where it listens.
    pub host: Ipv4Addr,
    /// In which network namespace, if it is not this one.
    pub namespace: Option<String>,
    /// Which core it has.
    pub core: Core,
}

impl<'a> Start<'a> {
    /// One pool on loopback, one worker, pinned.
    pub fn usual(protocol: Protocol, servers: &'a [SocketAddr]) -> Self {
        Self {
            protocol,
            servers,
            pools: 1,
            gather: None,
            workers: 1,
            host: Ipv4Addr::LOCALHOST,
            namespace: None,
            core: Core::Only(PROXY_CORE),
        }
    }
}

impl Proxy {
    /// Starts `system` in its usual form.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        system: System,
        programs: &Programs,
        start: &Start<'_>,
        directory: &Path,
    ) -> io::Result<Self> {
        let Some(program) = programs.of(system) else {
            return Ok(Self {
                address: start.servers[0],
                process: None,
            });
        };
        let port = free_port()?;
        let address = SocketAddr::from((start.host, port));
        let gather = if system == System::NutcrabPlain {
            Some(0)
        } else {
            start.gather
        };
        let (text, file) = match system {
            System::Haproxy => (haproxy_text(address, start), "haproxy.cfg"),
            System::Envoy => (envoy_text(address, start), "envoy.yml"),
            System::Nutcracker => (pools_text(address, start, None)?, "nutcracker.yml"),
            _ => (pools_text(address, start, gather)?, "nutcrab.yml"),
        };
        let file = directory.join(format!("{port}-{file}"));
        fs::write(&file, text)?;
        let mut command = command(start.namespace.as_deref(), start.core, program);
        let stats = free_port()?.to_string();
        match system {
            System::Haproxy => command.args(["-db", "-f"]).arg(&file),
            System::Envoy => command
                .args([
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "-l",
                    "error",
                    "-c",
                ])
                .arg(&file),
            System::Nutcracker => command
                .args(["-a", "127.0.0.1", "-s", &stats, "-c"])
                .arg(&file),
            _ => {
                let workers = start.workers.to_string();
                command
                    .args(["-a", "127.0.0.1", "-s", &stats, "--workers", &workers, "-c"])
                    .arg(&file)
            }
        };
        let name = format!("{}-{port}", system.name().replace([' ', ','], "-"));
        let mut process = Process::start(&name, command, directory)?;
        process.wait_for(address)?;
        Ok(Self {
            address,
            process: Some(process),
        })
    }
}

fn redis_words(address: SocketAddr, directory: &Path) -> Vec<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let directory = directory.display().to_string();
    let words = [
        "--bind",
        &host,
        "--port",
        &port,
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        &directory,
    ];
    let more = ["--protected-mode", "no", "--maxclients", "10000"];
    words
        .iter()
        .chain(&more)
        .map(|&word| word.to_owned())
        .collect()
}

fn memcached_words(address: SocketAddr) -> Vec<String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let words = [
        "-u", "root", "-t", "1", "-l", &host, "-p", &port, "-m", "256", "-c", "10000",
    ];
    words.map(str::to_owned).to_vec()
}

/// The file of nutcracker and nutcrab.
fn pools_text(address: SocketAddr, start: &Start<'_>, gather: Option<u32>) -> io::Result<String> {
    let mut text = String::new();
    if let Some(gather) = gather {
        let _ = writeln!(text, "nutcrab:\n  gather: {gather}");
    }
    let mut ports = vec![address.port()];
    while ports.len() < start.pools {
        let port = free_port()?;
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    for (pool, port) in ports.iter().enumerate() {
        let _ = writeln!(text, "pool{pool}:\n  listen: {}:{port}", address.ip());
        let redis = start.protocol == Protocol::Redis;
        let _ = writeln!(
            text,
            "  redis: {redis}\n  hash: fnv1a_64\n  distribution: ketama"
        );
        let _ = writeln!(text, "  timeout: 10000\n  backlog: 1024\n  servers:");
        for (number, server) in start.servers.iter().enumerate() {
            let _ = writeln!(text, "   - {server}:1 s{number}");
        }
    }
    Ok(text)
}

fn haproxy_text(address: SocketAddr, start: &Start<'_>) -> String {
    let mut text = String::from(
        "global\n  nbthread 1\n  maxconn 4000\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n",
    );
    let _ = writeln!(
        text,
        "frontend clients\n  bind {address}\n  default_backend servers"
    );
    text.push_str("backend servers\n  balance roundrobin\n");
    for (number, server) in start.servers.iter().enumerate() {
        let _ = writeln!(text, "  server s{number} {server}");
    }
    text
}

fn envoy_text(address: SocketAddr, start: &Start<'_>) -> String {
    let (host, port) = (address.ip(), address.port());
    let mut text = format!(
        "static_resources:
  listeners:
  - name: clients
    address: {{ socket_address: {{ address: {host}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.redis_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy
          stat_prefix: redis
          settings: {{ op_timeout: 10s }}
          prefix_routes: {{ catch_all_route: {{ cluster: servers }} }}
  clusters:
  - name: servers
    type: STATIC
    connect_timeout: 5s
    lb_policy: RING_HASH
    load_assignment:
      cluster_name: servers
      endpoints:
      - lb_endpoints:
"
    );
    for server in start.servers {
        let (host, port) = (server.ip(), server.port());
        let _ = writeln!(
            text,
            "        - endpoint: {{ address: {{ socket_address: \
             {{ address: {host}, port_value: {port} }} }} }}"
        );
    }
    text
}

fn exchange(stream: &mut TcpStream, request: &[u8], wanted: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    let mut reply = vec![0; wanted.len()];
    stream.read_exact(&mut reply)?;
    if reply != wanted {
        let reply = String::from_utf8_lossy(&reply[..reply.len().min(200)]).into_owned();
        return Err(io::Error::other(format!("a server answered {reply:?}")));
    }
    Ok(())
}

fn missing(program: &str) -> io::Error {
    io::Error::other(format!(
        "{program} is not installed; `make bench` installs it"
    ))
}
