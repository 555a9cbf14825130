//! `nutcrab-bench`: measures nutcrab beside its peers. `make bench` runs it.
//!
//! ```text
//! nutcrab-bench compare PROFILE DIRECTORY [--nutcrab FILE] [--envoy FILE] [--readme FILE]
//!               [--retries N]
//! nutcrab-bench gather DIRECTORY ...     open-loop load over a link between network namespaces
//! nutcrab-bench scale DIRECTORY ...      cost as clients, servers, pools and workers grow
//! nutcrab-bench load TARGET PROTOCOL VERB [--clients N] ...     the generator alone
//! ```

mod chart;
mod compare;
mod gather;
mod load;
mod machine;
mod page;
mod process;
mod report;
mod scale;
mod systems;
mod wire;
mod workloads;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use load::{Load, Pace};
use systems::Programs;
use wire::{Protocol, Shape, Verb};
use workloads::Profile;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nutcrab-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> io::Result<()> {
    let word = |index: usize| words.get(index).map(String::as_str).unwrap_or_default();
    process::allow_open_files()?;
    match word(0) {
        "compare" => {
            let mut profile =
                Profile::of(word(1)).ok_or_else(|| wrong("quick, usual or full", word(1)))?;
            if let Some(only) = option::<String>(words, "--only")? {
                profile
                    .workloads
                    .retain(|workload| workload.name().contains(&only));
            }
            let retries = option(words, "--retries")?.unwrap_or(compare::RETRIES);
            page::compare(
                &profile,
                &programs(words)?,
                retries,
                &PathBuf::from(word(2)),
                option(words, "--readme")?,
            )
        }
        "gather" => gather::outside(&PathBuf::from(word(1)), words),
        "gather-inside" => gather::inside(&PathBuf::from(word(1)), words),
        "scale" => {
            let share = option(words, "--share")?.unwrap_or(1.0);
            scale::scale(&programs(words)?, &PathBuf::from(word(1)), share)
        }
        "load" => generate(words),
        other => Err(wrong("compare, gather, scale or load", other)),
    }
}

/// The programs the arguments name, or else what is installed.
fn programs(words: &[String]) -> io::Result<Programs> {
    let nutcrab = match option(words, "--nutcrab")? {
        Some(file) => file,
        None => compare::built_beside_us()?,
    };
    Ok(Programs::find(nutcrab, option(words, "--envoy")?))
}

fn generate(words: &[String]) -> io::Result<()> {
    let word = |index: usize| words.get(index).map(String::as_str).unwrap_or_default();
    let verb = match word(3) {
        "get" => Verb::Get,
        "set" => Verb::Set,
        count => Verb::Multi(parsed("VERB", count)?),
    };
    let protocol = match word(2) {
        "redis" => Protocol::Redis,
        "memcache" => Protocol::Memcache,
        other => return Err(wrong("redis or memcache", other)),
    };
    let millis = |name: &str, usual: u64| -> io::Result<Duration> {
        Ok(Duration::from_millis(option(words, name)?.unwrap_or(usual)))
    };
    let pace = match option(words, "--rate")? {
        Some(rate) => Pace::Open {
            rate,
            length: millis("--millis", 1000)?,
            warm_up: millis("--warm-up", 200)?,
        },
        None => Pace::Closed {
            batch: option(words, "--batch")?.unwrap_or(1),
            requests: option(words, "--requests")?.unwrap_or(100_000),
        },
    };
    let shape = Shape {
        protocol,
        verb,
        value: option(words, "--value")?.unwrap_or(64),
        keys: option(words, "--keys")?.unwrap_or(10_000),
    };
    let outcome = load::run(&Load {
        target: parsed("TARGET", word(1))?,
        clients: option(words, "--clients")?.unwrap_or(50),
        shape,
        pace,
    })?;
    let ms = |nanos: u64| nanos as f64 / 1e6;
    println!("sent={}", outcome.sent);
    println!("rate={:.1}", outcome.requests as f64 / outcome.seconds);
    for (name, share) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)] {
        println!("{name}={:.4}", ms(outcome.latency.value_at_quantile(share)));
    }
    println!("max_ms={:.4}", ms(outcome.latency.max()));
    Ok(())
}

/// The number a generator printed as `name=number`.
fn field(text: &str, name: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
    text.lines().find_map(value)
}

/// The argument behind `name`, if it is given.
fn option<T: FromStr>(words: &[String], name: &str) -> io::Result<Option<T>> {
    let Some(at) = words.iter().position(|word| word == name) else {
        return Ok(None);
    };
    parsed(
        name,
        words.get(at + 1).map(String::as_str).unwrap_or_default(),
    )
    .map(Some)
}

fn parsed<T: FromStr>(name: &str, text: &str) -> io::Result<T> {
    text.parse()
        .map_err(|_| io::Error::other(format!("{name}: cannot read {text:?}")))
}

fn wrong(expected: &str, got: &str) -> io::Error {
    io::Error::other(format!("expected {expected}, got {got:?}"))
}
