//! The comparison: every workload on every system, in rounds, the systems in a new order each round.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Core, command, find, machine_cpu};
use crate::systems::{Place, Programs, Proxy, REST_CORE, Servers, Start, System};
use crate::wire::{Protocol, Verb};
use crate::workloads::{Profile, Workload};

/// Servers behind each proxy.
const SERVER_COUNT: usize = 4;

/// With more CPU than this (in cores) spent on something else, a measurement is made again...
const FOREIGN_MAX: f64 = 0.15;
/// ... at most so often, unless told otherwise.
pub const RETRIES: usize = 2;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was asked.
    pub workload: Workload,
    /// Of whom.
    pub system: System,
    /// In which round.
    pub round: usize,
    /// Requests per second.
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// CPU of the proxy per request in microseconds; 0 for [`System::Direct`].
    pub proxy: f64,
    /// CPU of all servers per request in microseconds.
    pub servers: f64,
    /// The proxy's peak memory in KiB during the measurement, kernel buffers not counted.
    pub peak: u64,
    /// Cores' worth of CPU spent on something that is not part of the measurement.
    pub foreign: f64,
}

/// What one run of a load generator tells.
struct Told {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Measures everything of `profile`; `told` is called with each sample.
///
/// # Errors
/// A program does not start, or a load generator fails.
pub fn compare(
    profile: &Profile,
    programs: &Programs,
    retries: usize,
    directory: &Path,
    mut told: impl FnMut(&Sample),
) -> io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut servers: Option<(Servers, Workload)> = None;
    let mut draw = 0x2545_f491_4f6c_dd1d_u64;
    for workload in &profile.workloads {
        let group = |workload: &Workload| (workload.protocol, workload.value);
        match &servers {
            Some((_, filled)) if group(filled) == group(workload) => {}
            _ => {
                // The old ones end first.
                drop(servers.take());
                let place = Place::here(Core::Only(REST_CORE));
                let started = Servers::start(workload.protocol, SERVER_COUNT, &place, directory)?;
                started.fill(workload.keys(), workload.value)?;
                servers = Some((started, *workload));
            }
        }
        let Some((servers, _)) = &servers else {
            continue;
        };
        let start = Start::usual(workload.protocol, servers.addresses());
        let mut proxies = Vec::new();
        for system in System::ALL {
            if programs.has(system) && system.speaks(workload.protocol) {
                let proxy = Proxy::start(system, programs, &start, directory)?;
                // How fast it is, so that all measurements take about as long; and its connections
                // to the servers are made.
                let rate = load(workload, proxy.address, 0.0, Duration::from_millis(100))?.rate;
                proxies.push((system, proxy, rate));
            }
        }
        for round in 0..profile.rounds {
            for index in (1..proxies.len()).rev() {
                draw ^= draw << 13;
                draw ^= draw >> 7;
                draw ^= draw << 17;
                proxies.swap(index, (draw % (index as u64 + 1)) as usize);
            }
            for (system, proxy, rate) in &mut proxies {
                let mut attempt = 0;
                let sample = loop {
                    let sample = measure(workload, *system, proxy, *rate, profile.length, servers)?;
                    attempt += 1;
                    if sample.foreign <= FOREIGN_MAX || attempt > retries {
                        break Sample { round, ..sample };
                    }
                };
                *rate = sample.rate;
                told(&sample);
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

fn measure(
    workload: &Workload,
    system: System,
    proxy: &Proxy,
    rate: f64,
    length: Duration,
    servers: &Servers,
) -> io::Result<Sample> {
    let proxy_cpu = || {
        proxy
            .process
            .as_ref()
            .map_or(Ok(Duration::ZERO), |process| process.cpu())
    };
    let servers_cpu = || -> io::Result<Duration> {
        servers
            .processes()
            .iter()
            .map(|process| process.cpu())
            .sum()
    };
    if let Some(process) = &proxy.process {
        process.forget_peak();
    }
    let (begin, machine) = (Instant::now(), machine_cpu()?);
    let (proxy_before, servers_before) = (proxy_cpu()?, servers_cpu()?);
    let told = load(workload, proxy.address, rate, length)?;
    let proxy_spent = proxy_cpu()? - proxy_before;
    let servers_spent = servers_cpu()? - servers_before;
    let (machine_now, elapsed) = (machine_cpu()?, begin.elapsed());
    let ours = (machine_now.1 - machine.1) + proxy_spent + servers_spent;
    let foreign = (machine_now.0 - machine.0).saturating_sub(ours);
    let requests = requests(workload, rate, length) as f64;
    Ok(Sample {
        workload: *workload,
        system,
        round: 0,
        rate: told.rate,
        p50: told.p50,
        p99: told.p99,
        proxy: proxy_spent.as_secs_f64() * 1e6 / requests,
        servers: servers_spent.as_secs_f64() * 1e6 / requests,
        peak: proxy
            .process
            .as_ref()
            .map_or(0, |process| process.peak_kib()),
        foreign: foreign.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

/// How many requests a measurement of about `length` has: whole batches of every client.
fn requests(workload: &Workload, rate: f64, length: Duration) -> u64 {
    let batch = (workload.clients * workload.pipeline) as u64;
    let wanted = (rate * length.as_secs_f64()) as u64;
    wanted.max(3 * batch).max(50).div_ceil(batch) * batch
}

fn load(workload: &Workload, target: SocketAddr, rate: f64, length: Duration) -> io::Result<Told> {
    // The first look at a system: any number that is soon done.
    let rate = if rate > 0.0 { rate } else { 2000.0 };
    let count = requests(workload, rate, length);
    match workload.protocol {
        Protocol::Redis => redis_benchmark(workload, target, count),
        Protocol::Memcache => own_generator(workload, target, count),
    }
}

fn redis_benchmark(workload: &Workload, target: SocketAddr, count: u64) -> io::Result<Told> {
    let program = find("redis-benchmark")
        .ok_or_else(|| io::Error::other("redis-benchmark is not installed"))?;
    let mut command = command(None, Core::Only(REST_CORE), &program);
    command.args([
        "-h",
        &target.ip().to_string(),
        "-p",
        &target.port().to_string(),
    ]);
    command.args([
        "-c",
        &workload.clients.to_string(),
        "-n",
        &count.to_string(),
    ]);
    command.args([
        "-P",
        &workload.pipeline.to_string(),
        "-r",
        &workload.keys().to_string(),
    ]);
    command.args(["-d", &workload.value.to_string(), "--csv"]);
    match workload.verb {
        Verb::Get => command.args(["-t", "get"]),
        Verb::Set => command.args(["-t", "set"]),
        Verb::Multi(count) => command.arg("MGET").args(vec!["key:__rand_int__"; count]),
    };
    let text = output(command)?;
    let line = text.lines().last().unwrap_or_default();
    // "test","rps","avg_latency_ms","min","p50","p95","p99","max", the name quoted and free of `","`.
    let fields: Vec<f64> = line
        .trim_matches('"')
        .split("\",\"")
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    match fields[..] {
        [rate, _, _, p50, _, p99, _] => Ok(Told { rate, p50, p99 }),
        _ => Err(io::Error::other(format!("redis-benchmark says {text:?}"))),
    }
}

fn own_generator(workload: &Workload, target: SocketAddr, count: u64) -> io::Result<Told> {
    let program = std::env::current_exe()?;
    let mut command = command(None, Core::Only(REST_CORE), &program);
    command.args(load_words(workload, target));
    command.args([
        "--batch",
        &workload.pipeline.to_string(),
        "--requests",
        &count.to_string(),
    ]);
    let text = output(command)?;
    let field = |name: &str| crate::field(&text, name);
    match (field("rate"), field("p50_ms"), field("p99_ms")) {
        (Some(rate), Some(p50), Some(p99)) => Ok(Told { rate, p50, p99 }),
        _ => Err(io::Error::other(format!("the generator says {text:?}"))),
    }
}

/// The arguments that make this program generate the workload's load.
pub fn load_words(workload: &Workload, target: SocketAddr) -> Vec<String> {
    let (protocol, verb) = match (workload.protocol, workload.verb) {
        (Protocol::Redis, verb) => ("redis", verb),
        (Protocol::Memcache, verb) => ("memcache", verb),
    };
    let verb = match verb {
        Verb::Get => "get".to_owned(),
        Verb::Set => "set".to_owned(),
        Verb::Multi(count) => count.to_string(),
    };
    let words = ["load", &target.to_string(), protocol, &verb].map(str::to_owned);
    let more = [
        ("--value", workload.value as u64),
        ("--keys", workload.keys()),
        ("--clients", workload.clients as u64),
    ];
    let more = more
        .iter()
        .flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
    words.into_iter().chain(more).collect()
}

/// What a program prints.
///
/// # Errors
/// It fails.
pub fn output(mut command: Command) -> io::Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{command:?} failed: {errors}{text}"
    )))
}

/// Where this project's release build of nutcrab is.
///
/// # Errors
/// Our own path is unknown.
pub fn built_beside_us() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("nutcrab"))
}
