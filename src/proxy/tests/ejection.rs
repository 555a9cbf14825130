//! A server that stays dead: what clients lose to it, against a model of nutcracker's own rule.
//!
//! The core, several workers of it, and the health table run in virtual time; the model counts failures
//! as nutcracker does. Reports of the workers and what control tells them take a while to arrive.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;
use crate::proxy::{Health, HealthChange};
use crate::route::Router;

/// How long a report, an order, the network and a living server take.
const HOP: Duration = Duration::from_micros(100);

const TIMEOUT: Duration = Duration::from_millis(400);

/// When the server dies, after everybody has been served.
const DEATH: Time = Time(1_000_000);

/// How a server is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// Its host answers, and refuses.
    Refused,
    /// Nothing comes back.
    BlackHoled,
    /// Its host accepts, and the process does nothing.
    Hung,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    death: Death,
    limit: u32,
    retry: Duration,
    clients: usize,
    workers: usize,
    /// How long after a reply each client asks again.
    pause: Duration,
    end: Time,
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    asked: u64,
    failed: u64,
    /// When each client's spell of errors began, and how many it has.
    spells: BTreeMap<usize, (Time, u32)>,
    longest: Duration,
    /// Most errors of one client in a row.
    in_a_row: u32,
    /// Attempts to connect to the dead server.
    attempts: u64,
    ejections: u64,
}

impl Seen {
    fn reply(&mut self, client: usize, failed: bool, now: Time) {
        self.asked += 1;
        if !failed {
            self.spells.remove(&client);
            return;
        }
        self.failed += 1;
        let (began, count) = self.spells.entry(client).or_insert((now, 0));
        *count += 1;
        self.in_a_row = self.in_a_row.max(*count);
        self.longest = self.longest.max(now.since(*began));
    }

    fn share(&self) -> f64 {
        self.failed as f64 / self.asked as f64
    }
}

/// Nutcracker: one process, one connection to the server, every end of which is a failure.
fn nutcracker(row: Row) -> Seen {
    let mut seen = Seen::default();
    let (mut failures, mut out_until) = (0, Time::default());
    let mut asks = BinaryHeap::new();
    asks.extend((0..row.clients).map(|client| Reverse((start(row, client), client))));
    // Who waits on the connection to the dead server, and when that ends.
    let mut waiting: Vec<usize> = Vec::new();
    let mut end = Time::NEVER;
    loop {
        let next = asks.peek().map_or(Time::NEVER, |next| next.0.0);
        let now = next.min(end);
        if now >= row.end {
            return seen;
        }
        if end <= next {
            for client in waiting.drain(..) {
                seen.reply(client, true, now);
                asks.push(Reverse((now + row.pause, client)));
            }
            end = Time::NEVER;
            failures += 1;
            if failures >= row.limit {
                (failures, out_until) = (0, now + row.retry);
                seen.ejections += 1;
            }
            continue;
        }
        let Some(Reverse((_, client))) = asks.pop() else {
            return seen;
        };
        if now < DEATH || now < out_until {
            seen.reply(client, false, now);
            asks.push(Reverse((now + row.pause, client)));
            continue;
        }
        if waiting.is_empty() {
            seen.attempts += 1;
            end = match row.death {
                Death::Refused => now + HOP,
                Death::BlackHoled | Death::Hung => now + TIMEOUT,
            };
        }
        waiting.push(client);
    }
}

/// When a client asks first: they are spread.
fn start(row: Row, client: usize) -> Time {
    Time(1) + row.pause * client as u32 / row.clients as u32
}

/// What happens at some moment.
enum Event {
    Ask(usize),
    /// The attempt of a worker to connect has its outcome.
    Outcome(usize, ServerIndex, ConnId),
    /// The server has answered what a worker sent it over the connection.
    Answer(usize, ConnId, usize),
    Failed(ServerIndex, Time, Time),
    Succeeded(ServerIndex),
    Route(usize, Arc<Router>),
    Failing(usize, ServerIndex, bool),
    Death,
}

/// Nutcrab: workers and control.
struct World {
    row: Row,
    workers: Vec<Proxy>,
    health: Health,
    now: Time,
    agenda: BTreeMap<(Time, u64), Event>,
    count: u64,
    /// By client: its worker and connection.
    clients: Vec<(usize, ConnId)>,
    owners: HashMap<(usize, ConnId), usize>,
    /// Connections to servers.
    links: HashMap<(usize, ConnId), ServerIndex>,
    request: String,
    seen: Seen,
}

impl World {
    fn new(row: Row) -> Self {
        let config = Arc::new(Pool {
            auto_eject_hosts: true,
            server_failure_limit: NonZeroU32::new(row.limit).expect("a limit"),
            server_retry_timeout: row.retry,
            timeout: Some(TIMEOUT),
            ..pool(2)
        });
        let names = PoolNames {
            name: config.name.clone(),
            servers: config.servers.iter().map(|s| s.name.clone()).collect(),
            families: config.protocol.topics(),
        };
        let worker = |index: usize| {
            let settings = Settings {
                buffer_size: 512,
                worker: (index as u32, row.workers as u32),
                seed: index as u64 + 1,
                limits: Limits::default(),
            };
            let stats = Arc::new(WorkerStats::new(std::slice::from_ref(&names)));
            Proxy::new(&[Arc::clone(&config)], stats, settings)
        };
        let mut world = Self {
            row,
            workers: (0..row.workers).map(worker).collect(),
            health: Health::new(&[config]),
            now: Time::default(),
            agenda: BTreeMap::new(),
            count: 0,
            clients: Vec::new(),
            owners: HashMap::new(),
            links: HashMap::new(),
            request: ask(&format!("GET {}", key(0, 2, 0))),
            seen: Seen::default(),
        };
        for client in 0..row.clients {
            let worker = client % row.workers;
            let conn = world.workers[worker].accept(POOL);
            world.clients.push((worker, conn));
            world.owners.insert((worker, conn), client);
            world.plan(start(row, client), Event::Ask(client));
        }
        world.plan(DEATH, Event::Death);
        world
    }

    fn plan(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.agenda.insert((at, self.count), event);
    }

    /// Whether it is dead now.
    fn is_dead(&self, server: ServerIndex) -> bool {
        server == ServerIndex(0) && self.now >= DEATH
    }

    fn run(mut self) -> Seen {
        loop {
            let event = self
                .agenda
                .first_key_value()
                .map_or(Time::NEVER, |(key, _)| key.0);
            let timers = self.workers.iter().filter_map(Proxy::next_deadline).min();
            let back = self.health.next_deadline();
            let next = [Some(event), timers, back].into_iter().flatten().min();
            self.now = self.now.max(next.unwrap_or(Time::NEVER));
            if self.now >= self.row.end {
                return self.seen;
            }
            for change in self.health.expire(self.now) {
                self.announce(change);
            }
            let mut touched = vec![false; self.row.workers];
            while let Some(entry) = self.agenda.first_entry()
                && entry.key().0 <= self.now
            {
                let event = entry.remove();
                self.happen(event, &mut touched);
            }
            for (worker, touched) in touched.into_iter().enumerate() {
                let due = self.workers[worker].next_deadline();
                if touched || due.is_some_and(|due| due <= self.now) {
                    self.workers[worker].turn(self.now);
                    self.workers[worker].expire();
                    self.obey(worker);
                }
            }
        }
    }

    fn happen(&mut self, event: Event, touched: &mut [bool]) {
        let now = self.now;
        let mut turn = |worker: usize| {
            touched[worker] = true;
            worker
        };
        match event {
            Event::Ask(client) => {
                let (worker, conn) = self.clients[client];
                let proxy = &mut self.workers[turn(worker)];
                proxy.turn(now);
                proxy.received(conn, Input::copied(self.request.as_bytes()));
            }
            Event::Outcome(worker, server, conn) => {
                let dead = self.is_dead(server);
                let proxy = &mut self.workers[turn(worker)];
                proxy.turn(now);
                match self.row.death {
                    Death::Refused if dead => proxy.failed(conn, Cause::Refused),
                    Death::BlackHoled if dead => {}
                    _ => proxy.connected(conn),
                }
            }
            Event::Answer(worker, conn, count) => {
                if self
                    .links
                    .get(&(worker, conn))
                    .is_some_and(|&server| !self.is_dead(server))
                {
                    let proxy = &mut self.workers[turn(worker)];
                    proxy.turn(now);
                    proxy.received(conn, Input::copied("$-1\r\n".repeat(count).as_bytes()));
                }
            }
            Event::Failed(server, since, at) => {
                if let Some(change) = self.health.failed(POOL, server, (since, at), self.now) {
                    self.announce(change);
                }
            }
            Event::Succeeded(server) => {
                if let Some(change) = self.health.succeeded(POOL, server) {
                    self.announce(change);
                }
            }
            Event::Route(worker, router) => {
                let proxy = &mut self.workers[turn(worker)];
                proxy.turn(now);
                proxy.set_router(POOL, router);
            }
            Event::Failing(worker, server, failing) => {
                self.workers[worker].set_failing(POOL, server, failing);
            }
            Event::Death if self.row.death == Death::Refused => {
                let links = self.links.iter().filter(|link| *link.1 == ServerIndex(0));
                for (worker, conn) in links.map(|link| *link.0).collect::<Vec<_>>() {
                    self.workers[turn(worker)].ended(conn);
                }
            }
            Event::Death => {}
        }
    }

    fn announce(&mut self, change: HealthChange) {
        for worker in 0..self.row.workers {
            let event = match &change {
                HealthChange::Failing {
                    server, failing, ..
                } => Event::Failing(worker, *server, *failing),
                HealthChange::Ejected { router, .. } | HealthChange::Returned { router, .. } => {
                    Event::Route(worker, Arc::clone(router))
                }
            };
            self.plan(self.now + HOP, event);
        }
        self.seen.ejections += u64::from(matches!(change, HealthChange::Ejected { .. }));
    }

    fn obey(&mut self, worker: usize) {
        while let Some(action) = self.workers[worker].poll_action() {
            match action {
                Action::Connect { conn, server, .. } => {
                    self.links.insert((worker, conn), server);
                    self.seen.attempts += u64::from(self.is_dead(server));
                    self.plan(self.now + HOP, Event::Outcome(worker, server, conn));
                }
                Action::Flush(conn) => {
                    let proxy = &mut self.workers[worker];
                    let bytes = proxy.output(conn).expect("a living connection").to_vec();
                    proxy.sent(conn, bytes.len());
                    if let Some(&client) = self.owners.get(&(worker, conn)) {
                        self.seen.reply(client, bytes[0] == b'-', self.now);
                        self.plan(self.now + self.row.pause, Event::Ask(client));
                    } else {
                        let count = bytes.len() / self.request.len();
                        self.plan(self.now + HOP, Event::Answer(worker, conn, count));
                    }
                }
                Action::Close { conn, .. } => {
                    self.links.remove(&(worker, conn));
                }
                Action::Failed { server, since, .. } => {
                    let event = Event::Failed(server, since, self.now);
                    self.plan(self.now + HOP, event);
                }
                Action::Succeeded { server, .. } => {
                    self.plan(self.now + HOP, Event::Succeeded(server));
                }
                _ => {}
            }
        }
    }
}

/// Both of them, and what must hold.
fn hold(row: Row) {
    let (theirs, ours) = (nutcracker(row), World::new(row).run());
    let told = format!("{row:?}\nnutcracker: {theirs:?}\nnutcrab: {ours:?}");
    assert!(theirs.ejections > 0 && ours.ejections > 0, "{told}");
    assert!(ours.share() <= theirs.share() + 0.01, "{told}");
    // No client fails more often at each return than the limit says; one that had just asked, once more.
    assert!(ours.in_a_row <= row.limit + 1, "{told}");
    let round = row.pause + TIMEOUT + Duration::from_millis(5);
    assert!(ours.longest <= round * row.limit, "{told}");
    // All together, at each return: those that were under way at as many ends of attempts.
    let under_way = match row.death {
        Death::Refused => 1 + row.clients / 20,
        Death::BlackHoled | Death::Hung => row.clients,
    };
    let most = (ours.ejections + 1) * u64::from(row.limit + 1) * under_way as u64;
    assert!(ours.failed <= most, "{told}");
    // Nor is the server met by a storm: each worker tries as often as the limit says.
    let most = (ours.ejections + 1) * u64::from(row.limit + 1) * row.workers as u64;
    assert!(ours.attempts <= most, "{told}");
}

/// All rows with these numbers of clients and workers, in which each client asks again after `pause` and
/// time ends a few returns later.
fn hold_all(clients: usize, workers: &[usize], pause: Duration, retries: &[(u64, u64)]) {
    for death in [Death::Refused, Death::BlackHoled, Death::Hung] {
        for limit in [1, 2, 3, 5] {
            for &(retry, end) in retries {
                for &workers in workers {
                    hold(Row {
                        death,
                        limit,
                        retry: Duration::from_millis(retry),
                        clients,
                        workers,
                        pause,
                        end: Time(end * 1_000_000),
                    });
                }
            }
        }
    }
}

#[test]
fn a_dead_server_costs_one_client_what_it_costs_with_nutcracker() {
    let retries = [(500, 15), (2000, 30), (30_000, 100)];
    hold_all(1, &[1, 2, 4], Duration::from_millis(10), &retries);
}

#[test]
fn a_dead_server_costs_fifty_clients_what_it_costs_with_nutcracker() {
    let retries = [(500, 6), (2000, 9), (30_000, 35)];
    hold_all(50, &[1, 4], Duration::from_millis(40), &retries);
}

#[test]
fn a_server_that_is_hardly_ejected_is_not_stormed() {
    for retry in [0, 1, 20] {
        let row = Row {
            death: Death::Refused,
            limit: 2,
            retry: Duration::from_millis(retry),
            clients: 4,
            workers: 2,
            pause: Duration::from_millis(1),
            end: Time(61_000_000),
        };
        let seen = World::new(row).run();
        assert!(seen.attempts < 2 * 150, "{row:?} {seen:?}");
    }
}
