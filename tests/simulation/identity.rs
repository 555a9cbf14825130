//! What a client says and asks about its own connection: its number, its name, whether somebody is there.

use std::net::{IpAddr, SocketAddr};

use crate::client::Client;
use crate::draw::Draw;
use crate::judging::Want;
use crate::redis::{self, Reply};
use crate::scene::Scene;

/// Who a client is on its connection.
#[derive(Debug, Default)]
pub struct Identity {
    /// Its host; none if it came over a unix socket.
    host: Option<IpAddr>,
    /// Where it is, on that host.
    pub peer: Option<SocketAddr>,
    /// Its number, once it was told.
    pub number: Option<u64>,
    /// What it may be called: a name it gave in a HELLO is its own only if that succeeded.
    names: Vec<Option<Vec<u8>>>,
    /// Whether it has asked to be closed itself.
    pub is_ending: bool,
}

/// The hosts of clients. The last is the first, said in another way.
const HOSTS: [&str; 3] = ["10.1.0.1", "10.1.0.2", "::ffff:10.1.0.1"];

impl Identity {
    /// A client somewhere.
    pub fn new(draw: &mut Draw) -> Self {
        let host = draw.pick(&[None, Some(HOSTS[0]), Some(HOSTS[1]), Some(HOSTS[2])]);
        Self {
            host: host.and_then(|text| text.parse().ok()),
            ..Self::default()
        }
    }

    /// It has a new connection, the one of this number in the book.
    pub fn connect(&mut self, conn: u32) {
        let port = 1024 + conn as u16 % 60_000;
        self.peer = self.host.map(|host| SocketAddr::new(host, port));
        (self.number, self.is_ending) = (None, false);
        self.names = vec![None];
    }

    /// It may have this name from now on.
    pub fn may_be_called(&mut self, name: &[u8]) {
        self.names.push(Some(name.to_vec()));
    }

    /// It has no name.
    pub fn forget_name(&mut self) {
        self.names = vec![None];
    }
}

impl Client {
    /// A request about its connection, or those of others, now and then.
    pub(crate) fn compose_identity(&mut self, scene: &mut Scene) -> Option<(Vec<u8>, Want)> {
        let plan = &scene.plan.pools[self.pool];
        let (abouts, kills) = (plan.abouts, plan.kills);
        if self.draw.permille(kills) {
            return Some(self.compose_kill(scene));
        }
        if kills > 0
            && (self.sees_waiters(scene) || self.draw.permille(kills))
            && self.draw.one_in(3)
        {
            return Some(self.compose_unblock(scene));
        }
        if !self.draw.permille(abouts) {
            return None;
        }
        let bytes = |text: &[u8]| Want::Bytes(text.to_vec());
        Some(match self.draw.below(6) {
            0 => self.ask_number(),
            1 => {
                let name = self.draw.pick(&["a", "worker-7", ""]);
                let request = redis::request(&[b"client", b"SETNAME", name.as_bytes()]);
                let name = Some(name.as_bytes().to_vec());
                self.identity.names = vec![name.filter(|name| !name.is_empty())];
                (request, bytes(b"+OK\r\n"))
            }
            2 => {
                let request = redis::request(&[b"CLIENT", b"SETNAME", b"a b"]);
                (request, Want::Error("ERR Client names cannot contain"))
            }
            3 => {
                let request = redis::request(&[b"CLIENT", b"getname"]);
                (request, Want::Named(self.identity.names.clone()))
            }
            _ => {
                let text = vec![b'\n'; self.draw.spread(1, 500)];
                let command = self.draw.pick(&["ECHO", "ping"]);
                let request = redis::request(&[command.as_bytes(), &text]);
                (request, Want::Bytes(redis::echo_bulk(&text)))
            }
        })
    }

    pub(crate) fn ask_number(&self) -> (Vec<u8>, Want) {
        (redis::request(&[b"CLIENT", b"ID"]), Want::Numbered)
    }

    /// Whether it may have that name.
    pub(crate) fn accept_name(
        names: &[Option<Vec<u8>>],
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let Reply::Bulk(told) = reply else {
            return Err("another kind of reply");
        };
        match names.iter().any(|name| name.as_deref() == *told) {
            true => Ok(()),
            false => Err("another name"),
        }
    }
}
