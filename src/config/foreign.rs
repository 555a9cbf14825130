//! What a file may hold that twemproxy refuses: for who may want to go back to it.

/// Something in a file that twemproxy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Counted from 1.
    pub line: usize,
    /// What it is: `the key cross_shard of pool "alpha"`.
    pub what: String,
}

/// The keys of a pool that twemproxy knows.
pub(super) const TWEMPROXY: [&str; 18] = [
    "listen",
    "servers",
    "hash",
    "hash_tag",
    "distribution",
    "timeout",
    "backlog",
    "client_connections",
    "redis",
    "tcpkeepalive",
    "reuseport",
    "redis_auth",
    "redis_db",
    "preconnect",
    "auto_eject_hosts",
    "server_connections",
    "server_retry_timeout",
    "server_failure_limit",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::KEYS;
    use super::*;

    #[test]
    fn what_twemproxy_refuses_is_told_by_line() {
        let text = "\
---
alpha:
  listen: 127.0.0.1:1
  redis: true
  cross_shard: refuse
  commands:
    allow: [keys]
  servers: [127.0.0.1:6379:1]
nutcrab:
  workers: 1
";
        let nowhere = |_: &str, _: u16| Ok(([127, 0, 0, 1], 1).into());
        let config = super::super::from_bytes(Path::new("it.yml"), text.as_bytes(), &nowhere);
        let config = config.expect("a good configuration");
        let told: Vec<_> = config
            .foreign
            .iter()
            .map(|it| (it.line, it.what.as_str()))
            .collect();
        let flow = "flow style (\"{}\", \"[]\")";
        assert_eq!(
            told,
            [
                (1, "a document marker (\"---\")"),
                (5, "the key cross_shard of pool \"alpha\""),
                (6, "the key commands of pool \"alpha\""),
                (7, flow),
                (8, flow),
                (9, "the section nutcrab"),
            ]
        );
        for key in KEYS {
            let is_foreign = key.help.contains("Not in twemproxy.");
            assert_eq!(is_foreign, !TWEMPROXY.contains(&key.name), "{}", key.name);
        }
    }
}
