//! Ports that no other test has, whether it runs in this process or in another one.
//!
//! A port is claimed by listening on an abstract unix socket named after it: only one process can,
//! and the kernel takes the claim back when that process ends, however it ends. The range lies
//! below the one from which the kernel takes ports for outgoing connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u16 = 10_240;
const COUNT: u16 = 20_000;

/// A free port on the loopback addresses, claimed until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UnixListener,
}

impl Port {
    /// Claims a free port.
    pub fn free() -> Self {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        // Processes start at different places, so that they seldom try the same port.
        let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
        for _ in 0..COUNT {
            let step = ASKED.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (start.wrapping_add(step) % u32::from(COUNT)) as u16;
            if let Some(port) = Self::claim(number) {
                return port;
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    fn claim(number: u16) -> Option<Self> {
        let name = format!("nutcrab-test-port-{number}");
        let address =
            SocketAddr::from_abstract_name(name).expect("a short name is a valid address");
        let claim = UnixListener::bind_addr(&address).ok()?;
        // Something that is no test of ours may listen there. Listening ourselves to find out would
        // not do: a process started at that moment by another thread would keep the port for a while.
        let hosts = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let listens = |&host: &IpAddr| TcpStream::connect((host, number)).is_ok();
        if hosts.iter().any(listens) {
            return None;
        }
        Some(Self {
            number,
            _claim: claim,
        })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
