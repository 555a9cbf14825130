//! Runs the comparison and writes what came of it: raw data, chart, tables, and the README's part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::chart;
use crate::compare;
use crate::machine;
use crate::report::{self, Results};
use crate::systems::{Programs, System};
use crate::workloads::Profile;

/// Compares, and writes `comparison.md`, `comparison.csv` and `comparison.svg` into `directory`. A
/// README that is given gets the chart and the summary between its marks.
///
/// # Errors
/// Something does not run, or a file cannot be written.
pub fn compare(
    profile: &Profile,
    programs: &Programs,
    retries: usize,
    directory: &Path,
    readme: Option<PathBuf>,
) -> io::Result<()> {
    let begin = Instant::now();
    let scratch = Scratch::new()?;
    fs::create_dir_all(directory)?;
    let samples = compare::compare(profile, programs, retries, scratch.path(), |sample| {
        println!(
            "{:5.0} s  {:38} {:18} round {}: {:9.0}/s, p99 {:7.2} ms, CPU {:7.2} us, foreign {:.2}",
            begin.elapsed().as_secs_f64(),
            sample.workload.name(),
            sample.system.name(),
            sample.round,
            sample.rate,
            sample.p99,
            sample.proxy,
            sample.foreign
        );
    })?;
    let results = Results::new(&samples);
    let facts = machine::facts(programs, &System::ALL[1..]);
    let title = format!(
        "CPU of the proxy per request, relative to nutcracker ({})",
        machine::today()
    );
    fs::write(directory.join("comparison.csv"), report::raw(&samples))?;
    fs::write(
        directory.join("comparison.svg"),
        chart::svg(&results, &title),
    )?;
    let (rounds, millis) = (profile.rounds, profile.length.as_millis());
    let page = format!(
        "# Comparison\n\n\
         Written by `make bench`: {rounds} rounds of about {millis} ms a system, in a new order each \
         round. What is measured and how is told in [the page about it](README.md); every single \
         measurement stands in [comparison.csv](comparison.csv). Cells are the median of the rounds, \
         with the smallest and the largest.\n\n{facts}\n\
         ![chart](comparison.svg)\n\n## CPU of the proxy\n\n{}\n## Service\n\n{}\n## Everything\n\n{}",
        report::summary(&results),
        report::service(&results),
        report::tables(&results)
    );
    fs::write(
        directory.join("comparison.md"),
        format!("{}\n", page.trim_end()),
    )?;
    if let Some(readme) = readme {
        let text = format!("{facts}\n{}", report::summary(&results));
        let old = fs::read_to_string(&readme)?;
        let new = report::put_between(&old, "bench", &text).map_err(io::Error::other)?;
        fs::write(readme, new)?;
    }
    println!("{:.0} s in all", begin.elapsed().as_secs_f64());
    Ok(())
}

/// A directory for logs and configuration files that goes away.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("nutcrab-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
