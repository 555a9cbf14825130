//! Samples as files: raw, as tables, and as what stands in the README.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::compare::Sample;
use crate::systems::System;
use crate::workloads::Workload;

/// The middle of several rounds, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median; of an even number, the lower middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some(Self {
            median: values[last / 2],
            min: values[0],
            max: values[last],
        })
    }
}

/// The samples of one run, by workload and system.
#[derive(Debug)]
pub struct Results<'a> {
    samples: &'a [Sample],
    /// In the order they were measured.
    pub workloads: Vec<Workload>,
}

impl<'a> Results<'a> {
    /// Of a whole run.
    pub fn new(samples: &'a [Sample]) -> Self {
        let mut workloads: Vec<Workload> = Vec::new();
        for sample in samples {
            if !workloads.contains(&sample.workload) {
                workloads.push(sample.workload);
            }
        }
        Self { samples, workloads }
    }

    /// The spread of one figure.
    pub fn spread(
        &self,
        workload: &Workload,
        system: System,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<Spread> {
        let of_both = |sample: &&Sample| sample.workload == *workload && sample.system == system;
        Spread::of(self.samples.iter().filter(of_both).map(figure))
    }

    /// The spread of `ours` CPU per request over that of `theirs`, round by round.
    pub fn ratio(&self, workload: &Workload, ours: System, theirs: System) -> Option<Spread> {
        let rounds = |system: System| -> BTreeMap<usize, f64> {
            let of_both =
                |sample: &&Sample| sample.workload == *workload && sample.system == system;
            self.samples
                .iter()
                .filter(of_both)
                .map(|s| (s.round, s.proxy))
                .collect()
        };
        let theirs = rounds(theirs);
        let ratio = |(round, ours): (usize, f64)| theirs.get(&round).map(|theirs| ours / theirs);
        Spread::of(rounds(ours).into_iter().filter_map(ratio))
    }
}

/// Every sample, one a line.
pub fn raw(samples: &[Sample]) -> String {
    let mut text = String::from(
        "workload,system,round,requests_per_second,p50_ms,p99_ms,proxy_cpu_us,servers_cpu_us,\
         peak_kib,foreign_cores\n",
    );
    for s in samples {
        let (workload, system) = (s.workload.name(), s.system.name());
        let _ = writeln!(
            text,
            "\"{workload}\",\"{system}\",{},{:.0},{:.3},{:.3},{:.3},{:.3},{},{:.2}",
            s.round, s.rate, s.p50, s.p99, s.proxy, s.servers, s.peak, s.foreign
        );
    }
    text
}

/// One table a workload: every figure of every system.
pub fn tables(results: &Results<'_>) -> String {
    let mut text = String::new();
    for workload in &results.workloads {
        let _ = writeln!(text, "### {}\n", workload.name());
        text.push_str(
            "| | requests/s | p50 ms | p99 ms | CPU of the proxy, us | of the servers, us | peak MiB |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for system in System::ALL {
            let cell = |figure: fn(&Sample) -> f64, digits: usize| {
                results
                    .spread(workload, system, figure)
                    .map(|spread| shown(spread, digits))
            };
            let Some(rate) = cell(|s| s.rate, 0) else {
                continue;
            };
            let (p50, p99) = (cell(|s| s.p50, 2), cell(|s| s.p99, 2));
            let (proxy, servers) = (cell(|s| s.proxy, 2), cell(|s| s.servers, 2));
            let peak = cell(|s| s.peak as f64 / 1024.0, 1);
            let mut cells = vec![system.name().to_owned(), rate];
            cells.extend([p50, p99, proxy, servers, peak].into_iter().flatten());
            if system == System::Direct {
                (cells[4], cells[6]) = ("-".to_owned(), "-".to_owned());
            }
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push('\n');
    }
    text
}

/// CPU of the proxy per request, one line a workload, with the ratio to the original's.
pub fn summary(results: &Results<'_>) -> String {
    let systems = &System::ALL[1..];
    let names: Vec<&str> = systems.iter().map(|system| system.name()).collect();
    let mut text = format!(
        "| CPU us per request | {} | nutcrab / nutcracker |\n",
        names.join(" | ")
    );
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(systems.len() + 1));
    for workload in &results.workloads {
        let cells = systems.iter().map(|&system| {
            let spread = results.spread(workload, system, |sample| sample.proxy);
            spread.map_or("-".to_owned(), |spread| format!("{:.2}", spread.median))
        });
        let cells: Vec<String> = cells.collect();
        let ratio = results.ratio(workload, System::Nutcrab, System::Nutcracker);
        let ratio = ratio.map_or("-".to_owned(), |ratio| shown(ratio, 2));
        let _ = writeln!(
            text,
            "| {} | {} | {ratio} |",
            workload.name(),
            cells.join(" | ")
        );
    }
    text
}

/// Requests per second and p99, one line a workload.
pub fn service(results: &Results<'_>) -> String {
    let names: Vec<&str> = System::ALL.iter().map(|system| system.name()).collect();
    let mut text = format!("| thousand requests/s; p99 ms | {} |\n", names.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(names.len()));
    for workload in &results.workloads {
        let cells = System::ALL.iter().map(|&system| {
            let rate = results.spread(workload, system, |sample| sample.rate);
            let p99 = results.spread(workload, system, |sample| sample.p99);
            match (rate, p99) {
                (Some(rate), Some(p99)) => {
                    format!("{:.1}; {:.2}", rate.median / 1000.0, p99.median)
                }
                _ => "-".to_owned(),
            }
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", workload.name(), cells.join(" | "));
    }
    text
}

/// `page` with what stands between the two marks of `name` replaced.
///
/// # Errors
/// The page does not have the marks; it is named in the message.
pub fn put_between(page: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- {name}: begin -->"),
        format!("<!-- {name}: end -->"),
    );
    let missing = || format!("the page lacks {begin} or {end}");
    let start = page.find(&begin).ok_or_else(missing)? + begin.len();
    let stop = page[start..].find(&end).ok_or_else(missing)? + start;
    Ok(format!(
        "{}\n{}\n{}",
        &page[..start],
        text.trim_end(),
        &page[stop..]
    ))
}

fn shown(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_and_ends() {
        let spread = |median, min, max| Some(Spread { median, min, max });
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), spread(2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0]), spread(1.0, 1.0, 4.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n";
        let wanted = "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n";
        assert_eq!(put_between(page, "x", "new\n").as_deref(), Ok(wanted));
        assert!(put_between(page, "y", "new").is_err());
    }
}
