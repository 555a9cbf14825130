//! What the log says of the configuration at start: enough to see from the log alone what runs, and
//! nothing that is secret.

use crate::cli::{Options, StatsAddr};
use crate::config::Pool;

use super::log::Log;

/// Says where a pool listens and how it treats its servers.
pub fn tell_pool(pool: &Pool, worker_count: usize, log: &Log) {
    let servers = pool.servers.len();
    log.notice(format_args!(
        "pool {:?}: listening on {:?}, {servers} servers, up to {} connections to them",
        pool.name,
        pool.listen.text(),
        servers * pool.server_connections.get() as usize * worker_count,
    ));
    log.notice(format_args!("pool {:?}: {}", pool.name, settings(pool)));
}

fn settings(pool: &Pool) -> String {
    let timeout = match pool.timeout {
        Some(timeout) => format!("timeout {} ms", timeout.as_millis()),
        None => "no timeout".to_owned(),
    };
    let ejection = match pool.auto_eject_hosts {
        true => format!(
            "servers are ejected for {} ms after {} failures",
            pool.server_retry_timeout.as_millis(),
            pool.server_failure_limit
        ),
        false => "servers are never ejected".to_owned(),
    };
    format!(
        "{:?}, hash {}, distribution {}, {timeout}, {ejection}",
        pool.protocol,
        pool.hash.name(),
        pool.distribution.name()
    )
}

/// Says where the statistics are. They are for everybody who reaches them, and by default, which is
/// twemproxy's, that is everybody who reaches the machine.
pub fn tell_stats(options: &Options, log: &Log) {
    let host = match &options.stats_addr {
        StatsAddr::Unix(path) => return log.notice(format_args!("stats: listening on {path:?}")),
        StatsAddr::Host(host) => host,
    };
    let text = format!("{host}:{}", options.stats_port);
    match &**host {
        "0.0.0.0" | "::" => log.warn(format_args!(
            "stats: listening on {text:?}, open to everybody who reaches this machine; \
             -a 127.0.0.1 closes it"
        )),
        _ => log.notice(format_args!("stats: listening on {text:?}")),
    }
}
