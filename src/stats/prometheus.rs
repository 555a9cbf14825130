//! The numbers as Prometheus reads them: its text format, version 0.0.4.
//!
//! Names follow from the table: `nutcrab_` and the row's name, with what scope and kind add by
//! Prometheus' customs (`_total`, seconds). What stands in no row (latencies, the process) is listed
//! in [`OTHERS`]. Every label is a name from the configuration or from a table of ours, never
//! something a client sent, so the number of time series is known at the start.

use std::fmt::{Display, Write};

use super::latency::{self, BOUND_COUNT, Histogram, Latency, Total};
use super::{GLOBAL, Kind, POOL, Row, SERVER, Stats};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the text tells beside the counters.
#[derive(Clone, Debug, Default)]
pub struct About<'a> {
    /// How many of the writing threads, the first, are workers.
    pub workers: usize,
    /// Whether new clients are let in.
    pub is_ready: bool,
    /// The configuration file.
    pub config_file: &'a str,
    /// Its digest, as md5sum(1) prints it.
    pub config_md5: &'a str,
    /// Seconds since the epoch.
    pub start_time: u64,
    /// Microseconds of processor time.
    pub cpu_micros: u64,
    /// Bytes in memory, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Descriptors in use, where the system tells.
    pub open_files: Option<u64>,
    /// Descriptors there may be.
    pub open_files_max: u64,
}

/// One metric, as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels, without `le`.
    pub labels: &'static [&'static str],
    /// One line, without a full stop.
    pub help: &'static str,
}

/// A metric that is no row of the table.
struct Other {
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
}

const fn other(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Other {
    Other {
        name,
        kind,
        labels,
        help,
    }
}

const NO_LABELS: &[&str] = &[];
const OF_POOL: &[&str] = &["pool"];
const OF_SERVER: &[&str] = &["pool", "server"];
const OF_FAMILY: &[&str] = &["pool", "family"];
const OF_WORKER: &[&str] = &["worker"];

const QUEUED: &str = "nutcrab_request_queued_seconds";
const AT_SERVER: &str = "nutcrab_request_server_seconds";
const FOR_CLIENT: &str = "nutcrab_request_client_seconds";
const BUILD: &str = "nutcrab_build_info";
const CONFIG: &str = "nutcrab_config_info";
const READY: &str = "nutcrab_ready";
const WORKER_CLIENTS: &str = "nutcrab_worker_client_connections";
const WORKER_SERVERS: &str = "nutcrab_worker_server_connections";
const CPU: &str = "process_cpu_seconds_total";
const RESIDENT: &str = "process_resident_memory_bytes";
const OPEN_FILES: &str = "process_open_fds";
const OPEN_FILES_MAX: &str = "process_max_fds";
const START: &str = "process_start_time_seconds";

#[rustfmt::skip]
const OTHERS: &[Other] = &[
    other(QUEUED, "histogram", OF_FAMILY,
        "time from reading a request, or its part for one server, to having sent it there"),
    other(AT_SERVER, "histogram", OF_FAMILY,
        "time from having sent a request, or its part for one server, to the first byte of the reply"),
    other(FOR_CLIENT, "histogram", OF_FAMILY,
        "time from the first byte of a reply to when its client had taken all of it"),
    other(WORKER_CLIENTS, "gauge", OF_WORKER, "client connections of one worker"),
    other(WORKER_SERVERS, "gauge", OF_WORKER, "server connections of one worker, established now"),
    other(READY, "gauge", NO_LABELS, "1 while new clients are let in, 0 once the proxy is stopping"),
    other(BUILD, "gauge", &["version", "os", "arch"], "always 1; what is running"),
    other(CONFIG, "gauge", &["file", "md5"], "always 1; the configuration file and its md5sum"),
    other(CPU, "counter", NO_LABELS, "processor time of all threads, user and system"),
    other(RESIDENT, "gauge", NO_LABELS, "bytes of memory in use (Linux only)"),
    other(OPEN_FILES, "gauge", NO_LABELS, "open file descriptors (Linux only)"),
    other(OPEN_FILES_MAX, "gauge", NO_LABELS, "how many file descriptors there may be"),
    other(START, "gauge", NO_LABELS, "when the process was started, in seconds since the epoch"),
];

/// Every metric there is, in the order of the text.
#[doc(hidden)]
pub fn metrics() -> Vec<Metric> {
    let of_rows = rows(GLOBAL, NO_LABELS)
        .chain(rows(POOL, OF_POOL))
        .chain(rows(SERVER, OF_SERVER));
    let others = OTHERS.iter().map(|other| Metric {
        name: other.name.to_owned(),
        kind: other.kind,
        labels: other.labels,
        help: other.help,
    });
    of_rows.chain(others).collect()
}

fn rows<T>(
    rows: &'static [Row<T>],
    labels: &'static [&'static str],
) -> impl Iterator<Item = Metric> {
    rows.iter().map(move |row| Metric {
        name: name(row, labels),
        kind: match row.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Timestamp => "gauge",
        },
        labels,
        help: match row.kind {
            // The statistics as JSON count it in microseconds, as twemproxy does.
            Kind::Timestamp => TAKEN_OUT,
            _ => row.help,
        },
    })
}

/// What the one timestamp means, in the unit of metrics.
const TAKEN_OUT: &str =
    "when the server was last taken out, in seconds since the epoch; 0 is never";

/// The name of a row's metric.
fn name<T>(row: &Row<T>, labels: &[&str]) -> String {
    let (scope, name) = match labels {
        [] => {
            let plain = row.name.strip_prefix("total_");
            (
                "",
                plain.or(row.name.strip_prefix("curr_")).unwrap_or(row.name),
            )
        }
        [_, _] => (
            "server_",
            row.name.strip_prefix("server_").unwrap_or(row.name),
        ),
        _ => ("", row.name),
    };
    let unit = match row.kind {
        Kind::Counter => "_total",
        Kind::Gauge => "",
        Kind::Timestamp => "_seconds",
    };
    format!("nutcrab_{scope}{name}{unit}")
}

impl Stats {
    /// Everything, as it is now.
    pub fn prometheus(&self, about: &About<'_>) -> String {
        let mut out = Text(String::with_capacity(16 * 1024));
        for (row, metric) in GLOBAL.iter().zip(rows(GLOBAL, NO_LABELS)) {
            out.head(&metric);
            out.row(row, &metric, &[], row.sum(self.global()));
        }
        for (row, metric) in POOL.iter().zip(rows(POOL, OF_POOL)) {
            out.head(&metric);
            for (index, pool) in self.names.iter().enumerate() {
                out.row(row, &metric, &[&pool.name], row.sum(self.pool(index)));
            }
        }
        for (row, metric) in SERVER.iter().zip(rows(SERVER, OF_SERVER)) {
            out.head(&metric);
            for (pool_index, pool) in self.names.iter().enumerate() {
                for (index, server) in pool.servers.iter().enumerate() {
                    let sum = row.sum(self.server(pool_index, index));
                    out.row(row, &metric, &[&pool.name, server], sum);
                }
            }
        }
        self.print_latencies(&mut out);
        self.print_workers(&mut out, about.workers);
        print_process(&mut out, about);
        out.0
    }

    /// Families that were never asked for are left out: most pools use a few.
    fn print_latencies(&self, out: &mut Text) {
        type Part = fn(&Latency) -> &Histogram;
        let parts: [(&str, Part); 3] = [
            (QUEUED, |latency| &latency.queued),
            (AT_SERVER, |latency| &latency.server),
            (FOR_CLIENT, |latency| &latency.client),
        ];
        for (name, part) in parts {
            out.other(name);
            for (index, pool) in self.names.iter().enumerate() {
                for (family, family_name) in pool.families.iter().enumerate() {
                    let of_threads = self.pool(index).map(|pool| part(&pool.latency[family]));
                    let total = Total::of(of_threads);
                    if total.count() > 0 {
                        out.histogram(name, &[&pool.name, family_name], &total);
                    }
                }
            }
        }
    }

    fn print_workers(&self, out: &mut Text, workers: usize) {
        let workers = || self.global().take(workers).enumerate();
        out.other(WORKER_CLIENTS);
        for (worker, set) in workers() {
            let clients = set.pools.iter().map(|pool| pool.client_connections.read());
            let count: i64 = clients.sum();
            out.line(WORKER_CLIENTS, OF_WORKER, &[&worker.to_string()], count);
        }
        out.other(WORKER_SERVERS);
        for (worker, set) in workers() {
            let servers = set.pools.iter().flat_map(|pool| &pool.servers);
            let count: i64 = servers.map(|server| server.server_connections.read()).sum();
            out.line(WORKER_SERVERS, OF_WORKER, &[&worker.to_string()], count);
        }
    }
}

fn print_process(out: &mut Text, about: &About<'_>) {
    let build = [
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    ];
    out.single(READY, &[], u8::from(about.is_ready));
    out.single(BUILD, &build, 1);
    out.single(CONFIG, &[about.config_file, about.config_md5], 1);
    out.single(CPU, &[], Seconds(about.cpu_micros));
    if let Some(bytes) = about.resident_bytes {
        out.single(RESIDENT, &[], bytes);
    }
    if let Some(count) = about.open_files {
        out.single(OPEN_FILES, &[], count);
    }
    out.single(OPEN_FILES_MAX, &[], about.open_files_max);
    out.single(START, &[], about.start_time);
}

/// Microseconds, shown as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The text so far.
struct Text(String);

impl Text {
    fn append(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes everything");
    }

    fn head(&mut self, metric: &Metric) {
        let Metric {
            name, kind, help, ..
        } = metric;
        self.append(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// The head of a metric of [`OTHERS`], which is given back.
    fn other(&mut self, name: &str) -> &'static Other {
        let found = OTHERS.iter().find(|other| other.name == name);
        let other = found.expect("a metric of the list");
        let Other { kind, help, .. } = other;
        self.append(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        other
    }

    /// A metric of [`OTHERS`] with one value.
    fn single(&mut self, name: &str, values: &[&str], number: impl Display) {
        let labels = self.other(name).labels;
        self.line(name, labels, values, number);
    }

    fn row<T>(&mut self, row: &Row<T>, metric: &Metric, values: &[&str], sum: i64) {
        match row.kind {
            Kind::Timestamp => {
                let time = Seconds(sum.unsigned_abs());
                self.line(&metric.name, metric.labels, values, time);
            }
            _ => self.line(&metric.name, metric.labels, values, sum),
        }
    }

    fn line(&mut self, name: &str, labels: &[&str], values: &[&str], number: impl Display) {
        self.0.push_str(name);
        self.labels(labels, values, None);
        self.append(format_args!(" {number}\n"));
    }

    fn labels(&mut self, labels: &[&str], values: &[&str], bound: Option<&dyn Display>) {
        if labels.is_empty() {
            return;
        }
        let mut mark = '{';
        for (label, value) in labels.iter().zip(values) {
            self.append(format_args!("{mark}{label}=\"{}\"", Escaped(value)));
            mark = ',';
        }
        if let Some(bound) = bound {
            self.append(format_args!(",le=\"{bound}\""));
        }
        self.0.push('}');
    }

    fn histogram(&mut self, name: &str, values: &[&str], total: &Total) {
        let mut below = 0;
        for (index, count) in total.counts.iter().enumerate() {
            below += count;
            let bound: &dyn Display = match index {
                BOUND_COUNT => &"+Inf",
                _ => &Seconds(latency::bound(index)),
            };
            self.append(format_args!("{name}_bucket"));
            self.labels(OF_FAMILY, values, Some(bound));
            self.append(format_args!(" {below}\n"));
        }
        self.append(format_args!("{name}_sum"));
        self.labels(OF_FAMILY, values, None);
        self.append(format_args!(" {}\n{name}_count", Seconds(total.sum)));
        self.labels(OF_FAMILY, values, None);
        self.append(format_args!(" {below}\n"));
    }
}

/// The value of a label, which may hold anything.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::PoolNames;
    use super::*;

    fn stats() -> Stats {
        let names = PoolNames {
            name: "al\"pha\\\n".into(),
            servers: vec!["a".into(), "b".into()],
            families: &["string", "other"],
        };
        Stats::new(vec![names], 3)
    }

    fn about() -> About<'static> {
        About {
            workers: 2,
            is_ready: true,
            config_file: "nutcracker.yml",
            config_md5: "d41d8cd98f00b204e9800998ecf8427e",
            start_time: 1_700_000_000,
            cpu_micros: 1_500_000,
            resident_bytes: Some(4096),
            open_files: Some(12),
            open_files_max: 1024,
        }
    }

    #[test]
    fn names_are_one_word_each_and_follow_prometheus_customs() {
        let metrics = metrics();
        let mut names: Vec<&str> = metrics.iter().map(|metric| &*metric.name).collect();
        for metric in &metrics {
            let (name, kind) = (&metric.name, metric.kind);
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            let plain = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
            assert!(name.bytes().all(plain), "{name}");
            assert!(!metric.help.contains(['\n', '\\']), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), metrics.len());
    }

    #[test]
    fn counters_of_all_threads_stand_under_pool_and_server() {
        let stats = stats();
        stats.set(0).total_connections.add(3);
        stats.set(1).pools[0].client_refused.add(1);
        stats.set(2).pools[0].client_refused.add(2);
        stats.set(0).pools[0].servers[1].requests.add(7);
        stats.set(1).pools[0].servers[1].server_connections.add(4);
        stats.set(2).pools[0].servers[0]
            .server_ejected_at
            .set(1_700_000_000_000_001);
        let text = stats.prometheus(&about());
        let pool = "pool=\"al\\\"pha\\\\\\n\"";
        for line in [
            "nutcrab_connections_total 3".into(),
            format!("nutcrab_client_refused_total{{{pool}}} 3"),
            format!("nutcrab_server_requests_total{{{pool},server=\"b\"}} 7"),
            format!("nutcrab_server_ejected_at_seconds{{{pool},server=\"a\"}} 1700000000.000001"),
            "nutcrab_worker_server_connections{worker=\"1\"} 4".into(),
            "nutcrab_ready 1".into(),
            "process_cpu_seconds_total 1.500000".into(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("worker=\"2\""), "{text}");
    }

    #[test]
    fn only_families_in_use_are_shown_and_their_buckets_add_up() {
        let stats = stats();
        let latency = &stats.set(0).pools[0].latency[0];
        latency.server.record(20, 2);
        stats.set(1).pools[0].latency[0]
            .server
            .record(40_000_000, 1);
        let text = stats.prometheus(&about());
        let labels = "{pool=\"al\\\"pha\\\\\\n\",family=\"string\"";
        let name = "nutcrab_request_server_seconds";
        for line in [
            format!("{name}_bucket{labels},le=\"0.000016\"}} 0"),
            format!("{name}_bucket{labels},le=\"0.000024\"}} 2"),
            format!("{name}_bucket{labels},le=\"33.554432\"}} 2"),
            format!("{name}_bucket{labels},le=\"+Inf\"}} 3"),
            format!("{name}_count{labels}}} 3"),
            format!("{name}_sum{labels}}} 40.000040"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("family=\"other\""), "{text}");
    }

    #[test]
    fn every_metric_has_one_head_and_what_is_shown_is_listed() {
        let text = stats().prometheus(&about());
        let heads = text.lines().filter(|line| line.starts_with("# TYPE "));
        let heads: Vec<_> = heads
            .map(|line| line.split(' ').nth(2).expect("a name"))
            .collect();
        let mut listed: Vec<_> = metrics().into_iter().map(|metric| metric.name).collect();
        let mut shown = heads.clone();
        shown.sort_unstable();
        listed.sort_unstable();
        assert_eq!(shown, listed);
    }
}
