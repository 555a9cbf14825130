//! What gathering costs and brings: the same nutcrab with different bounds, over a veth link.
//!
//! ```text
//!   namespace "load": generator, servers            namespace "proxy"
//!        10.77.0.1  <------------- veth ------------->  10.77.0.2: nutcrab
//! ```
//!
//! Open-loop load at a share of what the proxy without gathering serves in a closed loop: that is
//! what users see, since real clients do not slow down because replies are late.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compare::{load_words, output};
use crate::machine;
use crate::page::Scratch;
use crate::process::{Core, command};
use crate::report::Spread;
use crate::systems::{Place, Programs, Proxy, REST_CORE, Servers, Start, System};
use crate::wire::{Protocol, Verb};
use crate::workloads::Workload;
use crate::{field, option, programs};

const LOAD_HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const PROXY_HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// The bounds compared, in microseconds; the first is none.
const BOUNDS: [u32; 5] = [0, 25, 50, 100, 200];
const CLOSED_CLIENTS: [usize; 4] = [1, 8, 50, 1000];
const OPEN_CLIENTS: [usize; 2] = [50, 1000];
const LOADS: [u32; 3] = [10, 50, 80];

/// Two network namespaces of ours, and the link between them.
struct Namespaces {
    load: String,
    proxy: String,
}

impl Namespaces {
    fn new() -> io::Result<Self> {
        let id = std::process::id();
        let made = Self {
            load: format!("nutcrab-load-{id}"),
            proxy: format!("nutcrab-proxy-{id}"),
        };
        let (load, proxy) = (&made.load, &made.proxy);
        let lines = [
            format!("netns add {load}"),
            format!("netns add {proxy}"),
            format!("-n {load} link add veth0 type veth peer name veth0 netns {proxy}"),
            format!("-n {load} address add {LOAD_HOST}/24 dev veth0"),
            format!("-n {proxy} address add {PROXY_HOST}/24 dev veth0"),
            format!("-n {load} link set lo up"),
            format!("-n {proxy} link set lo up"),
            format!("-n {load} link set veth0 up"),
            format!("-n {proxy} link set veth0 up"),
        ];
        for line in &lines {
            ip(line)?;
        }
        Ok(made)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in [&self.load, &self.proxy] {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

fn ip(line: &str) -> io::Result<()> {
    let mut command = Command::new("ip");
    command.args(line.split(' '));
    output(command).map(drop)
}

/// Makes the namespaces and runs [`inside`] in one of them. Needs root.
///
/// # Errors
/// There is no root, no iproute2, or something inside fails.
pub fn outside(directory: &Path, words: &[String]) -> io::Result<()> {
    let namespaces = Namespaces::new()?;
    let mut inner = command(Some(&namespaces.load), Core::Any, &std::env::current_exe()?);
    inner
        .arg("gather-inside")
        .arg(std::path::absolute(directory)?)
        .args(&words[2..]);
    inner.args(["--namespace", &namespaces.proxy]);
    let status = inner.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("the measurement failed"))
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Cell {
    bound: u32,
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

/// Measures, and writes `gathering.md` and `gathering.csv` into `directory`.
///
/// # Errors
/// Something does not run, or a file cannot be written.
pub fn inside(directory: &Path, words: &[String]) -> io::Result<()> {
    let namespace: String = option(words, "--namespace")?.unwrap_or_default();
    let rounds: usize = option(words, "--rounds")?.unwrap_or(5);
    let millis: u64 = option(words, "--millis")?.unwrap_or(1000);
    let programs = programs(words)?;
    let scratch = Scratch::new()?;
    let place = Place {
        host: LOAD_HOST,
        core: Core::Only(REST_CORE),
    };
    let servers = Servers::start(Protocol::Redis, 4, &place, scratch.path())?;
    servers.fill(workload(1).keys(), workload(1).value)?;
    let proxies = start_proxies(&programs, &servers, &namespace, scratch.path())?;
    let mut raw = String::from("clients,load,round,bound_us,rate,p50_ms,p99_ms,proxy_cpu_us\n");
    let mut page = String::new();
    let mut capacity = Vec::new();
    for clients in CLOSED_CLIENTS {
        let count = if clients < 50 { 3000 } else { 10_000 };
        let words = ["--requests".to_owned(), count.to_string()];
        let cells = measure(&proxies, rounds, &workload(clients), &words)?;
        let name = format!("{clients} clients, closed loop");
        write_cells(&mut page, &mut raw, &name, clients, "closed", &cells);
        capacity.push((clients, median(&cells, 0, |cell| cell.rate)));
    }
    for clients in OPEN_CLIENTS {
        let most = capacity
            .iter()
            .find(|known| known.0 == clients)
            .map_or(0.0, |known| known.1);
        for load in LOADS {
            let rate = most * f64::from(load) / 100.0;
            let words = [
                ("--rate", rate as u64),
                ("--millis", millis),
                ("--warm-up", 200),
            ];
            let words: Vec<String> = words
                .iter()
                .flat_map(|(name, value)| [(*name).to_owned(), value.to_string()])
                .collect();
            let cells = measure(&proxies, rounds, &workload(clients), &words)?;
            let name = format!("{clients} clients, open loop, {load} % load: {rate:.0} requests/s");
            write_cells(
                &mut page,
                &mut raw,
                &name,
                clients,
                &load.to_string(),
                &cells,
            );
        }
    }
    let text = text(
        &machine::facts(&programs, &[System::Nutcrab]),
        rounds,
        &page,
    );
    fs::create_dir_all(directory)?;
    fs::write(
        directory.join("gathering.md"),
        format!("{}\n", text.trim_end()),
    )?;
    fs::write(directory.join("gathering.csv"), raw)
}

/// A proxy for each bound of gathering.
fn start_proxies(
    programs: &Programs,
    servers: &Servers,
    namespace: &str,
    scratch: &Path,
) -> io::Result<Vec<(u32, Proxy)>> {
    let start = |bound| {
        let start = Start {
            gather: Some(bound),
            host: PROXY_HOST,
            namespace: Some(namespace.to_owned()),
            ..Start::usual(Protocol::Redis, servers.addresses())
        };
        Ok((
            bound,
            Proxy::start(System::Nutcrab, programs, &start, scratch)?,
        ))
    };
    BOUNDS.into_iter().map(start).collect()
}

fn text(facts: &str, rounds: usize, page: &str) -> String {
    format!(
        "# Gathering\n\n\
         Written by `make bench-gather`: GET of 64 bytes, pipeline 1, over four Redis, \
         {rounds} rounds; the proxy in a network namespace of its own, on a core of its own. The load \
         of the open-loop rows is \
         a share of what the proxy serves in a closed loop with `gather: 0`; their latencies count \
         from the moment a request was due. Medians of the rounds, with the smallest and the largest; \
         raw data in [gathering.csv](gathering.csv). What follows from it is told in \
         [the page about measurements](README.md).\n\n{facts}\n{page}"
    )
}

fn workload(clients: usize) -> Workload {
    Workload {
        protocol: Protocol::Redis,
        verb: Verb::Get,
        value: 64,
        pipeline: 1,
        clients,
    }
}

/// Each proxy once a round.
fn measure(
    proxies: &[(u32, Proxy)],
    rounds: usize,
    workload: &Workload,
    words: &[String],
) -> io::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for round in 0..rounds {
        for place in 0..proxies.len() {
            // Another order each round.
            let (bound, proxy) = &proxies[(place + 2 * round) % proxies.len()];
            cells.push(cell(*bound, proxy, workload, words)?);
        }
    }
    Ok(cells)
}

fn cell(bound: u32, proxy: &Proxy, workload: &Workload, words: &[String]) -> io::Result<Cell> {
    let process = proxy
        .process
        .as_ref()
        .ok_or_else(|| io::Error::other("no proxy"))?;
    let before = process.cpu()?;
    let text = generate(workload, proxy.address, words)?;
    let cpu = process.cpu()? - before;
    let number = |name: &str| field(&text, name).unwrap_or(f64::NAN);
    Ok(Cell {
        bound,
        rate: number("rate"),
        p50: number("p50_ms"),
        p99: number("p99_ms"),
        cpu: cpu.as_secs_f64() * 1e6 / number("sent"),
    })
}

/// Runs the generator, and gives what it prints.
///
/// # Errors
/// It fails.
pub fn generate(workload: &Workload, target: SocketAddr, words: &[String]) -> io::Result<String> {
    let program: PathBuf = std::env::current_exe()?;
    let mut command = command(None, Core::Only(REST_CORE), &program);
    command.args(load_words(workload, target)).args(words);
    output(command)
}

fn spread(cells: &[Cell], bound: u32, figure: impl Fn(&Cell) -> f64) -> Option<Spread> {
    Spread::of(cells.iter().filter(|cell| cell.bound == bound).map(figure))
}

fn median(cells: &[Cell], bound: u32, figure: impl Fn(&Cell) -> f64) -> f64 {
    spread(cells, bound, figure).map_or(0.0, |spread| spread.median)
}

fn write_cells(
    page: &mut String,
    raw: &mut String,
    name: &str,
    clients: usize,
    load: &str,
    cells: &[Cell],
) {
    let _ = writeln!(page, "## {name}\n");
    page.push_str("| gather | requests/s | p50 ms | p99 ms | CPU of the proxy, us |\n");
    page.push_str("| ---: | ---: | ---: | ---: | ---: |\n");
    for bound in BOUNDS {
        let shown = |digits: usize, figure: fn(&Cell) -> f64| {
            spread(cells, bound, figure).map_or(String::new(), |Spread { median, min, max }| {
                format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
            })
        };
        let (rate, p50) = (shown(0, |cell| cell.rate), shown(3, |cell| cell.p50));
        let (p99, cpu) = (shown(3, |cell| cell.p99), shown(2, |cell| cell.cpu));
        let _ = writeln!(page, "| {bound} us | {rate} | {p50} | {p99} | {cpu} |");
    }
    page.push('\n');
    for (index, cell) in cells.iter().enumerate() {
        let Cell {
            bound,
            rate,
            p50,
            p99,
            cpu,
        } = cell;
        let round = index / BOUNDS.len();
        let _ = writeln!(
            raw,
            "{clients},{load},{round},{bound},{rate:.0},{p50:.4},{p99:.4},{cpu:.3}"
        );
    }
    println!("{name}: done");
}
