//! The JSON twemproxy sends on its stats port, byte for byte: order, spacing and all.
//!
//! Beside it, for the admin address, the same with our own counters, and with names escaped.
//!
//! One line without its line feed. Scrapers cut it apart with anything from a JSON reader to sed,
//! so neither names nor spaces may change. What the numbers mean stands in the table.

use std::fmt::Write;

use super::{GLOBAL, Origin, POOL, Row, SERVER, Stats};

/// Which rows are told, and how names are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As twemproxy has it.
    Twemproxy,
    /// Our counters too; names as JSON wants them.
    Full,
}

/// What twemproxy 0.5.0 reports about itself; tools compare it.
const SERVICE: &str = "nutcracker";
const VERSION: &str = "0.5.0";

/// The values that are not counters.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// The machine's host name.
    pub source: &'a str,
    /// Seconds since the start of the process.
    pub uptime: u64,
    /// Seconds since the epoch.
    pub timestamp: u64,
}

impl Stats {
    /// All counters as they are now, as one JSON object on one line.
    ///
    /// Compat: twemproxy does not escape names, so a quote in a pool's name breaks the JSON there
    /// and here alike. Test: names_are_printed_as_they_are.
    pub fn json(&self, process: Process<'_>) -> String {
        self.print(process, Form::Twemproxy)
    }

    /// The same with our own counters besides.
    pub fn full_json(&self, process: Process<'_>) -> String {
        self.print(process, Form::Full)
    }

    fn print(&self, process: Process<'_>, form: Form) -> String {
        let mut out = String::with_capacity(4096);
        let Process {
            source,
            uptime,
            timestamp,
        } = process;
        out.push('{');
        text(&mut out, "service", SERVICE);
        text(&mut out, "source", source);
        text(&mut out, "version", VERSION);
        number(&mut out, "uptime", uptime);
        number(&mut out, "timestamp", timestamp);
        rows(&mut out, form, GLOBAL, || self.global());
        for (pool_index, pool) in self.names.iter().enumerate() {
            open(&mut out, form, &pool.name);
            rows(&mut out, form, POOL, || self.pool(pool_index));
            for (server_index, server) in pool.servers.iter().enumerate() {
                open(&mut out, form, server);
                rows(&mut out, form, SERVER, || {
                    self.server(pool_index, server_index)
                });
                close(&mut out);
            }
            close(&mut out);
        }
        close(&mut out);
        out.pop();
        out
    }
}

fn text(out: &mut String, name: &str, value: &str) {
    append(out, format_args!("\"{name}\":\"{value}\", "));
}

fn number(out: &mut String, name: &str, value: impl std::fmt::Display) {
    append(out, format_args!("\"{name}\":{value}, "));
}

fn rows<'a, T: 'a, I: Iterator<Item = &'a T>>(
    out: &mut String,
    form: Form,
    rows: &[Row<T>],
    sets: impl Fn() -> I,
) {
    let told = |row: &&Row<T>| form == Form::Full || row.origin == Origin::Twemproxy;
    for row in rows.iter().filter(told) {
        number(out, row.name, row.sum(sets()));
    }
}

fn open(out: &mut String, form: Form, name: &str) {
    match form {
        Form::Twemproxy => append(out, format_args!("\"{name}\": {{")),
        Form::Full => {
            out.push('"');
            for character in name.chars() {
                match character {
                    '"' | '\\' => out.extend(['\\', character]),
                    control if control < ' ' => {
                        append(out, format_args!("\\u{:04x}", u32::from(control)));
                    }
                    other => out.push(other),
                }
            }
            out.push_str("\": {");
        }
    }
}

/// Closes an object: its last separator goes, and one of its own (without a space) comes.
fn close(out: &mut String) {
    let end = out.trim_end_matches([',', ' ']).len();
    out.truncate(end);
    out.push_str("},");
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::super::{PoolNames, ServerStats};
    use super::*;

    /// An answer recorded from nutcracker 0.5.0: a redis pool with an ejected server, and a
    /// memcached pool.
    const RECORDED: &str = include_str!("../../tests/data/twemproxy-stats-example.json");

    const PROCESS: Process<'static> = Process {
        source: "vm",
        uptime: 2,
        timestamp: 1_795_380_298,
    };

    fn pool(name: &str, servers: &[&str]) -> PoolNames {
        PoolNames {
            name: name.into(),
            servers: servers.iter().map(|name| (*name).into()).collect(),
            families: &[],
        }
    }

    fn fill(server: &ServerStats, traffic: [i64; 4]) {
        let [requests, request_bytes, responses, response_bytes] = traffic;
        server.requests.set(requests);
        server.request_bytes.set(request_bytes);
        server.responses.set(responses);
        server.response_bytes.set(response_bytes);
    }

    #[test]
    fn recorded_answer_of_twemproxy_is_reproduced() {
        let names = vec![
            pool(
                "alpha",
                &["127.0.0.1:26379", "127.0.0.1:26380", "127.0.0.1:26381"],
            ),
            pool("gamma", &["cache-a", "cache-b"]),
        ];
        let stats = Stats::new(names, 2);
        let (worker, control) = (stats.set(0), stats.set(1));
        worker.total_connections.set(48);
        worker.curr_connections.set(4);
        control.total_connections.set(2);
        control.curr_connections.set(2);

        let alpha = &worker.pools[0];
        alpha.client_eof.set(21);
        alpha.client_connections.set(1);
        alpha.forward_error.set(2);
        fill(&alpha.servers[1], [42, 1138, 41, 355]);
        alpha.servers[1].server_connections.set(1);
        alpha.servers[1].in_queue.set(1);
        alpha.servers[1].in_queue_bytes.set(21);
        fill(&alpha.servers[2], [2, 50, 0, 0]);
        alpha.servers[2].server_err.set(1);
        control.pools[0].server_ejects.set(1);
        control.pools[0].servers[2]
            .server_ejected_at
            .set(1_795_380_296_713_949);

        let gamma = &worker.pools[1];
        gamma.client_eof.set(21);
        gamma.client_err.set(1);
        for server in &gamma.servers {
            fill(server, [21, 282, 21, 356]);
            server.server_connections.set(1);
        }
        assert_eq!(stats.json(PROCESS), RECORDED.trim_end());
    }

    #[test]
    fn names_are_printed_as_they_are() {
        let stats = Stats::new(vec![pool("a\"b", &["/tmp/s.sock:"])], 1);
        let json = stats.json(PROCESS);
        assert!(json.contains("\"a\"b\": {\"client_eof\":0, "), "{json}");
        assert!(
            json.contains("\"/tmp/s.sock:\": {\"server_eof\":0, "),
            "{json}"
        );
    }

    #[test]
    fn our_own_counters_stay_out() {
        let stats = Stats::new(vec![pool("a", &["s"])], 1);
        stats.set(0).pools[0].client_refused.add(7);
        assert!(!stats.json(PROCESS).contains("client_refused"));
    }

    #[test]
    fn the_full_form_has_our_counters_and_is_json_whatever_the_names() {
        let stats = Stats::new(vec![pool("a\"\\\n\u{1}é", &["s\"", "t"])], 1);
        stats.set(0).pools[0].client_refused.add(7);
        let text = stats.full_json(PROCESS);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let pool = &json["a\"\\\n\u{1}é"];
        assert_eq!(pool["client_refused"], 7);
        assert_eq!(pool["s\""]["requests"], 0);
    }
}
