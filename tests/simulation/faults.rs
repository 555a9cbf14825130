//! Faults that strike out of nowhere: servers that stop, wires that break.
//!
//! Those that befall a single reply are the server's (`server`), those of a client its own (`client`).

use nutcrab::protocol::Protocol;

use crate::agenda::{Event, Micros};
use crate::binary;
use crate::busy::Runs;
use crate::control::Order;
use crate::ledger::Fault;
use crate::network::{End, Owner, WireId};
use crate::scene::Phase;
use crate::server::Mood;
use crate::world::World;

/// Bytes of memory there may be, while it is scarce.
const MEMORY_LIMIT: u64 = 1 << 22;

impl World {
    /// The next fault strikes.
    pub(crate) fn strike(&mut self) {
        if self.scene.phase != Phase::Faults {
            return;
        }
        let gap = self.scene.plan.fault_gap;
        let next = self.scene.now + self.scene.draw.micros(1, 2 * gap);
        self.scene.agenda.add(next, Event::Fault);
        let faults = self.scene.plan.faults.clone();
        if faults.is_empty() {
            return;
        }
        let server = self.scene.draw.below(self.servers.len());
        let span = self.scene.draw.pick(&[1_000, 30_000, 300_000, 2_000_000]);
        let span = self.scene.draw.micros(span / 10, span);
        match self.scene.draw.pick(&faults) {
            fault @ Fault::Refuse => self.spell(server, fault, Mood::Refusing, span),
            fault @ Fault::ConnectHang => self.spell(server, fault, Mood::Silent, span),
            fault @ Fault::Unreachable => self.spell(server, fault, Mood::Unreachable, span),
            fault @ Fault::Stop => self.spell(server, fault, Mood::Stopped, span),
            fault @ Fault::Loading => self.spell(server, fault, Mood::Loading, span),
            Fault::Busy => {
                let pool = &self.scene.plan.pools[self.servers[server].pool];
                if pool.config.protocol == Protocol::Redis {
                    let runs = [
                        Runs::Script,
                        Runs::Function,
                        Runs::Script,
                        Runs::Function,
                        Runs::Writer,
                    ];
                    let runs = self.scene.draw.pick(&runs);
                    self.spell(server, Fault::Busy, Mood::Busy(runs), span);
                }
            }
            Fault::Restart => self.restart(server, span),
            Fault::Password => self.lock(server, span),
            Fault::Reset => {
                if let Some(wire) = self.some_link(server) {
                    self.begin(server, Fault::Reset, 0);
                    self.scene
                        .net
                        .cut(self.scene.now, &mut self.scene.agenda, wire);
                }
            }
            Fault::Stall => {
                if let Some(wire) = self.some_link(server) {
                    self.begin(server, Fault::Stall, span);
                    self.stall(wire, span);
                }
            }
            Fault::Eof => self.close_idle(server),
            Fault::Surplus => self.surplus(server),
            Fault::Memory => self.press(span),
            fault @ (Fault::ClientStall | Fault::ClientReset) => self.strike_client(fault, span),
            _ => {}
        }
    }

    fn begin(&mut self, server: usize, fault: Fault, span: Micros) {
        let (now, pool) = (self.scene.now, self.servers[server].pool);
        self.scene.ledger.strike(now, pool, fault, now + span);
    }

    /// A server behaves differently for a while.
    fn spell(&mut self, server: usize, fault: Fault, mood: Mood, span: Micros) {
        if self.servers[server].spell.is_some() {
            return;
        }
        let until = self.scene.now + span;
        self.begin(server, fault, span);
        self.servers[server].mood = mood;
        self.servers[server].spell = Some((fault, until));
        self.scene.agenda.add(until, Event::Recover(server));
    }

    /// A server's spell may be over.
    pub(crate) fn recover(&mut self, server: usize) {
        let Some((fault, until)) = self.servers[server].spell else {
            return;
        };
        if until > self.scene.now && self.scene.phase == Phase::Faults {
            return;
        }
        self.begin(server, fault, 0);
        self.servers[server].spell = None;
        self.servers[server].mood = Mood::Up;
        self.servers[server].locked = false;
        self.servers[server].resume(&mut self.scene);
    }

    fn restart(&mut self, server: usize, span: Micros) {
        if self.servers[server].spell.is_some() {
            return;
        }
        self.servers[server].drop_all(&mut self.scene);
        self.servers[server].lose_scripts();
        if self.scene.draw.one_in(2) {
            self.servers[server].lose_data(&mut self.scene);
            // They are kept with the data.
            self.servers[server].lose_functions(&mut self.scene);
            self.scene.ledger.lost[self.servers[server].pool] = true;
        }
        let mood = self.scene.draw.pick(&[Mood::Refusing, Mood::Up]);
        self.spell(server, Fault::Restart, mood, span);
    }

    fn lock(&mut self, server: usize, span: Micros) {
        let guarded = self.scene.plan.pools[self.servers[server].pool].guarded;
        if guarded && self.servers[server].spell.is_none() {
            self.spell(server, Fault::Password, Mood::Up, span);
            self.servers[server].locked = true;
        }
    }

    fn some_link(&mut self, server: usize) -> Option<WireId> {
        let open: Vec<_> = self.servers[server].open().collect();
        (!open.is_empty()).then(|| self.scene.draw.pick(&open).1)
    }

    fn stall(&mut self, wire: WireId, span: Micros) {
        let end = self.scene.draw.pick(&[End::Caller, End::Called]);
        let until = self.scene.now + span;
        self.scene
            .net
            .stall(&mut self.scene.agenda, (wire, end), until);
    }

    /// An idle connection is closed, as a server with a `timeout` does.
    fn close_idle(&mut self, server: usize) {
        let open: Vec<_> = self.servers[server].open().collect();
        for (conn, _) in open {
            if self.servers[server].is_idle(conn) {
                self.begin(server, Fault::Eof, 0);
                return self.servers[server].close_idle(&mut self.scene, conn);
            }
        }
    }

    /// A reply nobody asked for comes while nothing is owed on a connection: only then can a proxy
    /// tell it from the reply to the next request.
    fn surplus(&mut self, server: usize) {
        let open: Vec<_> = self.servers[server].open().collect();
        for (conn, wire) in open {
            let Owner::Worker(worker, socket) = self.scene.net.owner((wire, End::Caller)) else {
                continue;
            };
            let idle = self.servers[server].is_idle(conn)
                && self.scene.net.is_quiet(wire)
                && self.scene.net.is_open(wire)
                && self.workers[worker].is_silent(socket);
            if idle {
                self.begin(server, Fault::Surplus, 0);
                const REPLIES: [&[u8]; 3] = [b"+OK\r\n", b":7\r\n", b"$5\r\nstray\r\n"];
                const LINES: [&[u8]; 3] = [b"STORED\r\n", b"7\r\n", b"END\r\n"];
                let reply = match self.servers[server].speaks(conn) {
                    Some(Protocol::Redis) => self.scene.draw.pick(&REPLIES).to_vec(),
                    Some(Protocol::Binary) => binary::success(binary::SET, 7, b""),
                    _ => self.scene.draw.pick(&LINES).to_vec(),
                };
                self.scene.net.plant((wire, End::Caller), &reply);
                self.scene.surplus.push((worker, socket));
                return;
            }
        }
    }

    /// Memory is scarce for a while: requests may be refused, and those who hold much be closed. Whom that
    /// may be is for `weighing` to say: it explains no other client's end.
    fn press(&mut self, span: Micros) {
        let until = self.scene.now + span;
        // A quarter is left, an eighth, nothing.
        let used = self.scene.draw.pick(&[12, 14, 17]) * MEMORY_LIMIT / 16;
        for pool in 0..self.scene.plan.pools.len() {
            let now = self.scene.now;
            self.scene.ledger.strike(now, pool, Fault::Memory, until);
        }
        for worker in &mut self.workers {
            worker.order(&mut self.scene, Order::Memory(used, MEMORY_LIMIT));
        }
        self.scene.agenda.add(until, Event::Ease);
    }

    /// There is enough memory again.
    pub(crate) fn ease(&mut self) {
        for worker in &mut self.workers {
            worker.order(&mut self.scene, Order::Memory(0, MEMORY_LIMIT));
        }
    }

    fn strike_client(&mut self, fault: Fault, span: Micros) {
        let index = self.scene.draw.below(self.clients.len());
        let Some(wire) = self.clients[index].wire() else {
            return;
        };
        let until = self.scene.now + span;
        self.clients[index].blame(&mut self.scene, fault, until);
        if fault == Fault::ClientReset {
            self.scene
                .net
                .cut(self.scene.now, &mut self.scene.agenda, wire);
        } else {
            self.stall(wire, span);
        }
    }
}
