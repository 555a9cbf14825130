//! One worker: the core under test, and the sockets around it.
//!
//! It plays the worker's part to the letter of the core's contract: a turn is what happened, then what
//! is late, then all actions. Readiness is edge-triggered: a socket is read again only when more
//! arrives, when the last turn left off in the middle, or when the core says [`Action::Resume`].

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use nutcrab::buffer::{Chunk, Input};
use nutcrab::proxy::{
    Action, Call, Cause, CloseHow, ConnId, PoolIndex, Proxy, Settings, Time, What,
};
use nutcrab::stats::WorkerStats;

use crate::agenda::{Event, Micros};
use crate::control::{Order, Report, Returned};
use crate::draw::Draw;
use crate::heed::{blame, heed};
use crate::network::{End, Note, Owner, Read, Traits, WireId, Written};
use crate::scene::Scene;
use crate::server::{Mood, Server};
use crate::verdicts::Returns;
use crate::weighing::Scale;

/// More turns in a row than requests of many keys take, all of them together.
const SPINS_MAX: u32 = 5000;

/// One worker.
#[derive(Debug)]
pub struct Worker {
    pub(crate) index: usize,
    pub(crate) proxy: Proxy,
    /// Its counters.
    pub stats: Arc<WorkerStats>,
    sockets: Vec<Option<Socket>>,
    by_conn: BTreeMap<ConnId, usize>,
    inbox: VecDeque<Message>,
    ready: Vec<usize>,
    turn_at: Option<Micros>,
    chunk: Rc<Chunk>,
    draw: Draw,
    /// Clients it has.
    pub clients: usize,
    returns: Returns,
    pub(crate) scale: Scale,
    /// Turns in a row that began and ended with a deadline that was due.
    spins: u32,
    /// Whether it was told to take leave.
    pub drained: bool,
}

#[derive(Debug)]
enum Message {
    Client(usize, PoolIndex, Option<SocketAddr>),
    Order(Order),
    Call(Call, Option<Returned>),
    Preconnect,
    Drain,
}

#[derive(Debug)]
struct Socket {
    conn: Option<ConnId>,
    link: Link,
    /// Whether it stands in `ready`.
    listed: bool,
    /// Whether a read may bring something.
    readable: bool,
    /// Whether a write may get on.
    writable: bool,
    /// Whether the wire was reported broken.
    broken: bool,
}

/// Where a socket leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// To a client.
    Client(WireId),
    /// To a server it is still being connected to.
    Dialling(PoolIndex, usize),
    /// To a server; the core was not told yet.
    Reached(WireId),
    /// Nowhere; the core was not told yet.
    Missed(Cause),
    /// To a server.
    Server(WireId),
}

impl Socket {
    fn new(conn: Option<ConnId>, link: Link) -> Self {
        Self {
            conn,
            link,
            listed: false,
            readable: false,
            writable: false,
            broken: false,
        }
    }

    fn end(&self) -> Option<(WireId, End)> {
        match self.link {
            Link::Client(wire) => Some((wire, End::Called)),
            Link::Server(wire) | Link::Reached(wire) => Some((wire, End::Caller)),
            Link::Dialling(..) | Link::Missed(_) => None,
        }
    }
}

/// Actions of one turn; more can only be an endless loop.
const ACTIONS_MAX: usize = 1_000_000;

impl Worker {
    /// A worker with the plan's pools.
    pub fn new(index: usize, scene: &mut Scene, stats: Arc<WorkerStats>) -> Self {
        let plan = Rc::clone(&scene.plan);
        let pools: Vec<_> = plan
            .pools
            .iter()
            .map(|pool| Arc::clone(&pool.config))
            .collect();
        let mut draw = scene.draw.fork();
        let settings = Settings {
            buffer_size: plan.buffer_size,
            worker: (index as u32, plan.workers as u32),
            seed: draw.next(),
            limits: plan.limits,
        };
        let mut proxy = Proxy::new(&pools, Arc::clone(&stats), settings);
        if scene.holdings.limit.is_some() {
            proxy.set_balance(Arc::clone(&scene.holdings.balance));
        }
        Self {
            index,
            proxy,
            stats,
            sockets: Vec::new(),
            by_conn: BTreeMap::new(),
            inbox: VecDeque::from([Message::Preconnect]),
            ready: Vec::new(),
            turn_at: None,
            chunk: Rc::new(Chunk::new(plan.chunk)),
            draw,
            clients: 0,
            returns: Returns::default(),
            scale: Scale::default(),
            spins: 0,
            drained: false,
        }
    }

    /// Hands a client over, with how its wire behaves; gives the wire it is on.
    pub fn accept(
        &mut self,
        scene: &mut Scene,
        (client, traits): (Owner, Traits),
        pool: usize,
        peer: Option<SocketAddr>,
    ) -> WireId {
        let socket = self.sockets.len();
        let owner = Owner::Worker(self.index, socket);
        let wire = scene.net.open(client, owner, traits);
        self.sockets
            .push(Some(Socket::new(None, Link::Client(wire))));
        self.inbox
            .push_back(Message::Client(socket, PoolIndex(pool as u16), peer));
        self.clients += 1;
        self.stir(scene);
        wire
    }

    /// Tells it what follows from the health table.
    pub fn order(&mut self, scene: &mut Scene, order: Order) {
        self.inbox.push_back(Message::Order(order));
        self.stir(scene);
    }

    /// Tells it what a client of another worker asks, or what came of the call of one of its own.
    pub fn call(&mut self, scene: &mut Scene, call: Call, outcome: Option<Returned>) {
        self.inbox.push_back(Message::Call(call, outcome));
        self.stir(scene);
    }

    /// Tells it to take leave of its clients.
    pub fn drain(&mut self, scene: &mut Scene) {
        self.inbox.push_back(Message::Drain);
        self.stir(scene);
    }

    /// Sees to it that it has a turn soon.
    pub fn stir(&mut self, scene: &mut Scene) {
        let at = scene.now + self.draw.micros(0, scene.plan.gather);
        self.turn_by(scene, at);
    }

    pub(crate) fn turn_by(&mut self, scene: &mut Scene, at: Micros) {
        if self.turn_at.is_none_or(|turn| at < turn) {
            self.turn_at = Some(at);
            scene.agenda.add(at, Event::Turn(self.index));
        }
    }

    /// Something happened on a socket.
    pub fn noted(&mut self, scene: &mut Scene, socket: usize, note: Note) {
        let Some(known) = &mut self.sockets[socket] else {
            return;
        };
        match note {
            Note::Readable => known.readable = true,
            Note::Writable => known.writable = true,
            Note::Broken => {
                known.readable = true;
                known.writable = true;
                known.broken = true;
            }
        }
        self.list(socket);
        self.stir(scene);
    }

    fn list(&mut self, socket: usize) {
        if let Some(known) = &mut self.sockets[socket]
            && !known.listed
        {
            known.listed = true;
            self.ready.push(socket);
        }
    }

    /// An attempt to connect comes to its end.
    pub fn dialled(&mut self, scene: &mut Scene, servers: &mut [Server], socket: usize) {
        let Some(Socket {
            link: Link::Dialling(pool, number),
            ..
        }) = self.sockets[socket]
        else {
            return;
        };
        let found = servers
            .iter_mut()
            .find(|server| server.pool == pool.index() && server.number == number)
            .expect("every server of the plan has a model");
        let link = match found.mood {
            Mood::Silent => return,
            Mood::Refusing => Link::Missed(Cause::Refused),
            Mood::Unreachable => Link::Missed(self.draw.pick(&[Cause::Os(113), Cause::Unresolved])),
            Mood::Up | Mood::Stopped | Mood::Loading | Mood::Busy(_) => {
                scene.ledger.totals.links += 1;
                Link::Reached(found.accept(scene, Owner::Worker(self.index, socket)))
            }
        };
        if let Some(known) = &mut self.sockets[socket] {
            known.link = link;
        }
        self.list(socket);
        self.stir(scene);
    }

    /// One turn.
    pub fn turn(&mut self, scene: &mut Scene, servers: &mut [Server]) {
        if self.turn_at != Some(scene.now) {
            return;
        }
        self.turn_at = None;
        scene.ledger.totals.turns += 1;
        self.proxy.turn(Time(scene.now));
        while let Some(message) = self.inbox.pop_front() {
            self.hear(scene, message);
        }
        let mut ready = std::mem::take(&mut self.ready);
        while !ready.is_empty() {
            let socket = ready.swap_remove(self.draw.below(ready.len()));
            self.serve(scene, socket);
        }
        self.proxy.expire();
        self.act(scene, servers);
        if self.must_weigh(scene) {
            while self.tell_memory(scene) {
                self.act(scene, servers);
            }
            self.act(scene, servers);
            self.check_memory(scene);
            if self.plant_shed(scene) {
                self.act(scene, servers);
            }
        }
        self.check(scene);
        if !self.ready.is_empty() {
            self.stir(scene);
        }
        if let Some(at) = self.proxy.next_deadline() {
            let is_due = at.0 <= scene.now;
            self.spins = if is_due { self.spins + 1 } else { 0 };
            if self.spins > SPINS_MAX {
                scene
                    .ledger
                    .violate(scene.now, "a deadline that is never dealt with");
            }
            let late = self.draw.micros(0, 1000);
            // What was put off to the next turn does not wait for anything.
            let late = if is_due { late / 50 } else { late };
            self.turn_by(scene, at.0.max(scene.now) + late);
        }
    }

    fn hear(&mut self, scene: &mut Scene, message: Message) {
        match message {
            Message::Client(socket, pool, peer) => {
                let conn = self.proxy.accept_from(pool, peer);
                self.by_conn.insert(conn, socket);
                if let Some(known) = &mut self.sockets[socket] {
                    known.conn = Some(conn);
                    if let Link::Client(wire) = known.link {
                        self.enter(scene.net.owner((wire, End::Caller)), conn);
                    }
                }
                if let Some(known) = &mut self.sockets[socket] {
                    // Bytes may have arrived before the core knew of the client.
                    known.readable = true;
                }
                self.list(socket);
            }
            Message::Order(Order::Route(pool, router)) => {
                let config = &scene.plan.pools[pool.index()].config;
                self.returns.route(&self.stats, pool, config, &router);
                self.proxy.set_router(pool, router);
            }
            Message::Order(Order::Failing(pool, server, failing)) => {
                self.proxy.set_failing(pool, server, failing);
            }
            Message::Order(Order::Memory(used, limit)) => self.press(scene, used, limit),
            Message::Call(call, Some(outcome)) => self.proxy.returned(&call, outcome),
            Message::Call(call, None) => self.proxy.call(&call),
            Message::Preconnect => self.proxy.preconnect(),
            Message::Drain => {
                self.drained = true;
                self.proxy.drain();
            }
        }
    }

    /// Tells the core what happened on a socket.
    fn serve(&mut self, scene: &mut Scene, socket: usize) {
        let Some(known) = &mut self.sockets[socket] else {
            return;
        };
        known.listed = false;
        let Some(conn) = known.conn else { return };
        match known.link {
            Link::Reached(wire) => {
                known.link = Link::Server(wire);
                self.proxy.connected(conn);
            }
            Link::Missed(cause) => {
                self.proxy.failed(conn, cause);
                return;
            }
            _ => {}
        }
        let broken = std::mem::take(&mut known.broken);
        let writable = std::mem::take(&mut known.writable);
        if broken && self.draw.one_in(2) {
            let cause = self.broken_cause();
            return self.proxy.failed(conn, cause);
        }
        if writable {
            self.flush(scene, conn);
        }
        self.read(scene, socket, conn);
    }

    fn broken_cause(&mut self) -> Cause {
        self.draw
            .pick(&[Cause::Reset, Cause::Reset, Cause::BrokenPipe])
    }

    fn read(&mut self, scene: &mut Scene, socket: usize, conn: ConnId) {
        for _ in 0..self.draw.within(1, 6) {
            let Some(known) = &mut self.sockets[socket] else {
                return;
            };
            let Some(end) = known.end().filter(|_| known.readable) else {
                return;
            };
            if !self.proxy.wants_read(conn) {
                known.readable = false;
                return;
            }
            let most = self.draw.spread(1, scene.plan.chunk);
            if Rc::get_mut(&mut self.chunk).is_none() {
                self.chunk = Rc::new(Chunk::new(scene.plan.chunk));
            }
            let chunk = Rc::get_mut(&mut self.chunk).expect("nobody else has it");
            let space = &mut chunk.space()[..most];
            match scene.net.read(scene.now, &mut scene.agenda, end, space) {
                Read::Bytes(count) => {
                    let input = if self.draw.one_in(8) {
                        Input::copied(&self.chunk.bytes()[..count])
                    } else {
                        Input::shared(&self.chunk, count)
                    };
                    self.proxy.received(conn, input);
                    self.has_read(scene, count);
                }
                Read::Nothing => {
                    known.readable = false;
                    return;
                }
                Read::End => {
                    known.readable = false;
                    return self.proxy.ended(conn);
                }
                Read::Broken => {
                    known.readable = false;
                    let cause = self.broken_cause();
                    return self.proxy.failed(conn, cause);
                }
            }
        }
        self.list(socket);
    }

    /// Writes what the core has for a connection, as far as there is room.
    fn flush(&mut self, scene: &mut Scene, conn: ConnId) {
        let Some(end) = self.find(conn).and_then(Socket::end) else {
            return;
        };
        while let Some(output) = self.proxy.output(conn)
            && !output.is_empty()
        {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = output.io_slices(&mut slices);
            let slices: Vec<&[u8]> = slices[..count].iter().map(|slice| &**slice).collect();
            let bytes = slices.concat();
            match scene.net.write(scene.now, &mut scene.agenda, end, &bytes) {
                Written::Taken(count) => {
                    scene.ledger.detail(scene.now, || {
                        let (worker, left) = (self.index, output.len() - count);
                        format!(
                            "worker {worker} writes {count} to wire {}, {left} left",
                            end.0
                        )
                    });
                    if count > 0 {
                        self.proxy.sent(conn, count);
                    }
                    if count < bytes.len() {
                        return;
                    }
                }
                Written::Broken => {
                    let cause = self.broken_cause();
                    return self.proxy.failed(conn, cause);
                }
            }
        }
    }

    fn find(&self, conn: ConnId) -> Option<&Socket> {
        self.sockets[*self.by_conn.get(&conn)?].as_ref()
    }

    /// Whether the core knows a socket, has nothing to write to it and reads what comes.
    pub fn is_silent(&self, socket: usize) -> bool {
        let known = self.sockets[socket].as_ref();
        let server = known.filter(|known| matches!(known.link, Link::Server(_)));
        let Some(conn) = server.and_then(|known| known.conn) else {
            return false;
        };
        let output = self.proxy.output(conn);
        output.is_some_and(|output| output.is_empty()) && self.proxy.wants_read(conn)
    }

    /// Does all the core wants done.
    fn act(&mut self, scene: &mut Scene, servers: &mut [Server]) {
        for _ in 0..ACTIONS_MAX {
            let Some(action) = self.proxy.poll_action() else {
                return self.proxy.check();
            };
            match action {
                Action::Connect { conn, pool, server } => {
                    let socket = self.sockets.len();
                    let link = Link::Dialling(pool, server.index());
                    self.sockets.push(Some(Socket::new(Some(conn), link)));
                    self.by_conn.insert(conn, socket);
                    if self.draw.one_in(8) {
                        // As with unix sockets, or an address that is known to be wrong.
                        self.dialled(scene, servers, socket);
                    } else {
                        let (least, most) = scene.plan.server_wire.delay;
                        let at = scene.now + 2 * self.draw.micros(least, most);
                        scene.agenda.add(at, Event::Dialled(self.index, socket));
                    }
                }
                Action::Flush(conn) => self.flush(scene, conn),
                Action::Close { conn, how } => self.close(scene, conn, how),
                Action::Shutdown(conn) => {
                    if let Some(end) = self.find(conn).and_then(Socket::end) {
                        scene.net.shut(scene.now, &mut scene.agenda, end);
                    }
                }
                Action::Resume(conn) => match self.by_conn.get(&conn) {
                    Some(&socket) => {
                        if let Some(known) = &mut self.sockets[socket] {
                            known.readable = true;
                        }
                        self.list(socket);
                    }
                    None => scene.ledger.violate(scene.now, "resumes what is closed"),
                },
                Action::Failed {
                    pool,
                    server,
                    since,
                    cause,
                } => {
                    let worker = self.index;
                    let text = || {
                        let (pool, server) = (pool.0, server.0);
                        format!("worker {worker}: pool {pool} server {server}: {cause}")
                    };
                    scene.ledger.note(scene.now, text);
                    blame(scene, pool, &text());
                    let at = self.proxy.now();
                    scene
                        .reports
                        .push(Report::Failed(pool, server, (since, at)));
                }
                Action::Succeeded { pool, server } => {
                    scene.reports.push(Report::Succeeded(pool, server));
                }
                Action::Call(call) => scene.reports.push(Report::Call(call)),
                Action::Return(call, outcome) => {
                    scene.reports.push(Report::Return(call, outcome));
                }
                Action::Notice(notice) => {
                    if let What::ShedClient { held } = notice.what {
                        self.scale.shed = Some(held as u64);
                    }
                    heed(scene, self.index, &notice);
                }
            }
        }
        scene.ledger.violate(scene.now, "actions without end");
    }

    fn close(&mut self, scene: &mut Scene, conn: ConnId, how: CloseHow) {
        let Some(socket) = self.by_conn.remove(&conn) else {
            return scene.ledger.violate(scene.now, "closes what is closed");
        };
        let Some(known) = self.sockets[socket].take() else {
            return;
        };
        if let Link::Client(wire) = known.link {
            self.clients -= 1;
            if let Some(held) = self.scale.shed.take() {
                self.judge_shed(scene, wire, held);
            }
        }
        let Some(end) = known.end() else { return };
        match how {
            CloseHow::Gracefully => scene.net.close(scene.now, &mut scene.agenda, end),
            CloseHow::Reset => scene.net.reset(scene.now, &mut scene.agenda, end),
        }
    }

    /// The wire of a client.
    pub(crate) fn wire_of(&self, conn: ConnId) -> Option<WireId> {
        self.find(conn).and_then(Socket::end).map(|(wire, _)| wire)
    }

    /// Its clients that are no hoarders.
    pub(crate) fn honest(&self, scene: &Scene) -> impl Iterator<Item = &ConnId> {
        self.by_conn.keys().filter(|conn| {
            let end = self.find(**conn).and_then(Socket::end);
            let owner = end.map(|(wire, _)| scene.net.owner((wire, End::Caller)));
            matches!(owner, Some(Owner::Client(_)))
        })
    }

    /// What must hold after every turn.
    fn check(&mut self, scene: &mut Scene) {
        self.returns.check(scene, &self.stats);
        let planted = scene
            .surplus
            .extract_if(.., |(worker, _)| *worker == self.index);
        for (_, socket) in planted {
            if self.sockets[socket].is_some() {
                scene
                    .ledger
                    .violate(scene.now, "a reply nobody asked for was taken for a reply");
            }
        }
        /// As many as a client has unanswered, with large values.
        const ASKED: usize = 64 * 128 * 1024;
        let limits = &scene.plan.limits;
        let plan = &scene.plan;
        // What was taken in for it, and what had waited for an earlier reply; besides, what it had asked
        // where others wait, too.
        let usual = 2 * limits.slack() + 2 * limits.cut_through + 4 * plan.chunk + 64 * 1024;
        for conn in self.by_conn.keys() {
            if let Some(Socket {
                link: Link::Client(_),
                ..
            }) = self.find(*conn)
            {
                let out = self.proxy.output(*conn).map_or(0, |out| out.len());
                let most = usual + ASKED;
                if out > most {
                    let text = format!("{out} bytes wait for a client, {most} at most");
                    scene.ledger.violate(scene.now, text);
                }
            }
        }
        let sockets = self.by_conn.keys().filter_map(|conn| self.find(*conn));
        let accepted = sockets.filter(|socket| matches!(socket.link, Link::Client(_)));
        let (accepted, known) = (accepted.count(), self.proxy.client_count());
        if accepted != known {
            let text = format!("{known} clients known, {accepted} connected");
            scene.ledger.violate(scene.now, text);
        }
    }

    /// What must hold when nobody is left to serve: nothing waits anywhere.
    pub fn check_idle(&mut self, scene: &mut Scene) {
        let mut wrong = Vec::new();
        for (conn, socket) in &self.by_conn {
            let Some(known) = &self.sockets[*socket] else {
                continue;
            };
            if self.proxy.output(*conn).is_some_and(|out| !out.is_empty()) {
                wrong.push(format!("output left for {:?}", known.link));
            }
            if let Some(end) = known.end()
                && scene.net.unread(end) > 0
            {
                wrong.push(format!("input left from {:?}", known.link));
            }
        }
        if self.proxy.client_count() > 0 {
            wrong.push(format!("{} clients left", self.proxy.client_count()));
        }
        let plan = &scene.plan;
        let most = plan
            .pools
            .iter()
            .map(|pool| pool.config.servers.len() * pool.config.server_connections.get() as usize);
        if self.proxy.link_count() > most.sum() {
            wrong.push(format!(
                "{} connections to servers left",
                self.proxy.link_count()
            ));
        }
        self.check_stats(&mut wrong);
        for text in wrong {
            scene
                .ledger
                .violate(scene.now, format!("worker {}: {text}", self.index));
        }
    }

    fn check_stats(&self, wrong: &mut Vec<String>) {
        let mut established = 0;
        for pool in &self.stats.pools {
            let clients = pool.client_connections.read();
            if clients != 0 {
                wrong.push(format!("client_connections is {clients}"));
            }
            for server in &pool.servers {
                established += server.server_connections.read();
                for (name, gauge) in [
                    ("in_queue", &server.in_queue),
                    ("in_queue_bytes", &server.in_queue_bytes),
                    ("out_queue", &server.out_queue),
                    ("out_queue_bytes", &server.out_queue_bytes),
                ] {
                    if gauge.read() != 0 {
                        wrong.push(format!("{name} is {}", gauge.read()));
                    }
                }
                if server.responses.read() > server.requests.read() {
                    wrong.push("more responses than requests".into());
                }
            }
        }
        let links = self.proxy.link_count() as i64;
        if established != links || self.stats.curr_connections.read() != links {
            wrong.push(format!(
                "{links} connections to servers, {established} by server_connections, {} by \
                 curr_connections",
                self.stats.curr_connections.read()
            ));
        }
    }
}
