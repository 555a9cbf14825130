//! What a memcached client is told that asks the proxy itself for `stats`.
//!
//! Lines `STAT <name> <value>`, as memcached's own: first what every server says of itself and clients
//! look for, then the counters of the process and of the pool, then those of its servers, each with the
//! server's name and a colon ahead of it.

use std::fmt::Write;

use super::{GLOBAL, POOL, SERVER, Stats};

impl Stats {
    /// The whole reply to `stats` for a client of this pool.
    pub fn memcached_text(&self, pool_index: usize) -> String {
        let mut out = String::with_capacity(4096);
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = write!(out, "STAT {name} {value}\r\n");
        };
        let names = &self.names[pool_index];
        line("pid", &std::process::id());
        line("version", &concat!("nutcrab-", env!("CARGO_PKG_VERSION")));
        line("pointer_size", &usize::BITS);
        line("pool", &names.name);
        line("threads", &self.sets.len().saturating_sub(1));
        for row in GLOBAL {
            line(row.name, &row.sum(self.global()));
        }
        for row in POOL {
            line(row.name, &row.sum(self.pool(pool_index)));
        }
        for (server_index, server) in names.servers.iter().enumerate() {
            for row in SERVER {
                let value = row.sum(self.server(pool_index, server_index));
                line(&format!("{server}:{}", row.name), &value);
            }
        }
        out.push_str("END\r\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::PoolNames;

    #[test]
    fn every_row_is_a_line_and_the_last_line_is_end() {
        let names = PoolNames {
            name: "alpha".into(),
            servers: vec!["a".into(), "b".into()],
            families: &[],
        };
        let stats = Stats::new(vec![names], 2);
        stats.set(0).pools[0].servers[1].requests.add(7);
        let text = stats.memcached_text(0);
        assert!(text.contains("STAT pool alpha\r\n"), "{text}");
        assert!(text.contains("STAT b:requests 7\r\n"), "{text}");
        assert!(text.ends_with("\r\nEND\r\n"), "{text}");
        let lines = text.lines().count();
        assert_eq!(lines, 5 + GLOBAL.len() + POOL.len() + 2 * SERVER.len() + 1);
    }
}
