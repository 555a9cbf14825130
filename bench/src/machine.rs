//! What the measurements were made on, for the page that shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::find;
use crate::systems::{Programs, System};

/// One line a fact, as a Markdown list: the machine, the versions of `systems` and of the servers.
pub fn facts(programs: &Programs, systems: &[System]) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    let virtual_machine = if cpu.contains("hypervisor") {
        ", a virtual machine"
    } else {
        ""
    };
    let mut text = format!(
        "- {}, {cores} cores ({model}{virtual_machine}), Linux {}, TCP congestion control {}\n",
        today(),
        kernel.trim(),
        congestion.trim()
    );
    let mut versions: Vec<(&str, Option<PathBuf>, &str)> = Vec::new();
    for system in systems
        .iter()
        .filter(|&&system| system != System::NutcrabPlain)
    {
        let argument = match system {
            System::Nutcracker => "-V",
            System::Haproxy => "-v",
            _ => "--version",
        };
        versions.push((
            system.name(),
            programs.of(*system).map(Path::to_owned),
            argument,
        ));
    }
    for (name, program) in [("Redis", "redis-server"), ("memcached", "memcached")] {
        versions.push((name, find(program), "--version"));
    }
    for (name, program, argument) in versions {
        match program.map(|program| version(&program, argument)) {
            Some(version) => text.push_str(&format!("- {name}: {version}\n")),
            None => text.push_str(&format!("- {name}: not installed, left out\n")),
        }
    }
    text
}

/// The date, in UTC.
pub fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |o| String::from_utf8_lossy(&o.stdout).trim().to_owned(),
    )
}

fn version(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    // Envoy names its own path first.
    let line = line.rsplit(" version: ").next().unwrap_or(line);
    line.trim().replace('|', "/")
}
