//! Two networks of our own, joined by a pair of virtual interfaces: the proxy and its clients live in
//! the near one, the servers in the far one. What is dropped, cut or counted there concerns nobody
//! else on this machine. Needs root and the packages iproute2 and nftables.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::support::{Address, Pool, Process, Proxy, Wire, server};

/// Where servers listen.
pub const FAR: &str = "10.77.0.2";

/// The two networks; they go away with this value.
#[derive(Debug)]
pub struct Networks {
    near: String,
    far: String,
    directory: TempDir,
}

impl Networks {
    /// Makes them, or says why that is not possible here.
    pub fn new() -> Result<Self, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let name = |side: &str| format!("nutcrab-{}-{number}-{side}", std::process::id());
        let directory = server::scratch();
        // The thread that starts processes must not be made by one that has moved.
        let mut first = Process::start("true", &[], &directory.path().join("log"));
        first.wait_exit();
        let networks = Self {
            near: name("near"),
            far: name("far"),
            directory,
        };
        let (near, far) = (&networks.near, &networks.far);
        for line in [
            format!("ip netns add {near}"),
            format!("ip netns add {far}"),
            format!("ip -n {near} link add veth0 type veth peer name veth0 netns {far}"),
            format!("ip -n {near} addr add 10.77.0.1/24 dev veth0"),
            format!("ip -n {far} addr add {FAR}/24 dev veth0"),
            format!("ip -n {near} link set veth0 up && ip -n {far} link set veth0 up"),
            format!("ip -n {near} link set lo up && ip -n {far} link set lo up"),
            format!("ip netns exec {far} nft add table ip faults"),
            format!("ip netns exec {near} nft add table ip faults"),
        ] {
            shell(&line)?;
        }
        for side in [near, far] {
            let chain = "'{ type filter hook input priority 0; }'";
            shell(&format!(
                "ip netns exec {side} nft add chain ip faults in {chain}"
            ))?;
        }
        Ok(networks)
    }

    /// Runs `body` in a thread that lives in the near network.
    pub fn near<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.near)).expect("it was made");
        std::thread::scope(|scope| {
            let moved = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).expect("root may move a thread");
                body()
            });
            moved
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a line of shell in the near network and gives what it printed.
    pub fn in_near(&self, line: &str) -> String {
        run_in(&self.near, line)
    }

    /// The same in the far network.
    pub fn in_far(&self, line: &str) -> String {
        run_in(&self.far, line)
    }

    /// Starts a redis-server in the far network. To be called from the near one.
    pub fn redis(&self, port: u16) -> Process {
        let log = self.directory.path().join(format!("{port}.log"));
        let line = format!(
            "netns exec {} redis-server --bind {FAR} --port {port} --protected-mode no --save",
            self.far
        );
        let mut arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        arguments.push(String::new());
        let mut process = Process::start("ip", &arguments, &log);
        let address = Address::Tcp(format!("{FAR}:{port}").parse().expect("an address"));
        process.wait_ready(|| Wire::try_connect(&address).is_ok());
        process
    }

    /// A Redis pool with servers at these ports of the far network.
    pub fn pool(&self, ports: &[u16]) -> Pool {
        let pool = Pool::redis("alpha").with("distribution", "modula");
        ports.iter().fold(pool, |pool, port| {
            pool.line(&format!("{FAR}:{port}:1 s{port}"))
        })
    }

    /// The proxy in the near network. To be called from there.
    pub fn proxy(&self, pool: Pool) -> Proxy {
        Proxy::nutcrab_under(&["ip", "netns", "exec", &self.near], vec![pool], &[])
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            // It may not have been made.
            let _ = shell(&format!("ip netns del {name}"));
        }
    }
}

fn run_in(network: &str, line: &str) -> String {
    let quoted = line.replace('\'', "'\\''");
    let line = format!("ip netns exec {network} sh -c '{quoted}'");
    shell(&line).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a line of shell; `Err` says what went wrong.
pub fn shell(line: &str) -> Result<String, String> {
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("sh")
        .args(["-c", line])
        .env("PATH", path)
        .output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{line}: {}", text(&output.stderr))),
    }
}
