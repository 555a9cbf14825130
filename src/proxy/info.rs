//! What INFO says: of the proxy itself, and what the servers said of themselves.

use super::Proxy;
use super::ids::ClientId;
use crate::protocol::redis::info::wants;

impl Proxy {
    /// The sections of INFO that were asked for.
    pub(super) fn info(&self, id: ClientId, request: &[u8]) -> String {
        let Some(client) = self.clients.find(id) else {
            return String::new();
        };
        let pool = self.pool(client.pool);
        let stats = &self.stats.pools[client.pool.index()];
        let facts = pool.facts.clone().unwrap_or_default();
        let mut server = vec![("redis_version", facts.redis_version.clone())];
        let own_version;
        if let Some((name, version)) = &facts.name {
            own_version = format!("{name}_version");
            server.push(("server_name", name.clone()));
            server.push((&own_version, version.clone()));
        }
        server.push((facts.mode, "standalone".into()));
        server.push(("uptime_in_seconds", (self.now.0 / 1_000_000).to_string()));
        let sum = |cell: fn(&crate::stats::ServerStats) -> i64| {
            stats.servers.iter().map(cell).sum::<i64>().to_string()
        };
        let sections: [(&str, Vec<(&str, String)>); 6] = [
            ("Server", server),
            ("Persistence", vec![("loading", "0".into())]),
            (
                "Replication",
                vec![("role", "master".into()), ("connected_slaves", "0".into())],
            ),
            ("Cluster", vec![("cluster_enabled", "0".into())]),
            ("Keyspace", vec![]),
            (
                "Nutcrab",
                vec![
                    ("nutcrab_version", env!("CARGO_PKG_VERSION").into()),
                    ("pool", pool.config.name.clone()),
                    ("servers", pool.server_count().to_string()),
                    ("servers_live", pool.live_count().to_string()),
                    ("workers", self.workers.to_string()),
                    (
                        "worker_clients",
                        stats.client_connections.read().to_string(),
                    ),
                    (
                        "worker_server_connections",
                        sum(|s| s.server_connections.read()),
                    ),
                    ("worker_requests", sum(|s| s.requests.read())),
                    ("worker_responses", sum(|s| s.responses.read())),
                ],
            ),
        ];
        let mut text = String::new();
        for (name, lines) in sections {
            if !wants(request, name) {
                continue;
            }
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {name}\r\n"));
            for (name, value) in lines {
                text.push_str(&format!("{name}:{value}\r\n"));
            }
        }
        text
    }
}
