//! One run: everything of one seed, from the first connection to the last check.
//!
//! ```text
//!   faults: clients ask, faults strike
//!   calm:   no faults, no requests; everything owed must arrive or have failed by a deadline
//!   fresh:  clients ask again; every request must succeed
//!   farewell: clients leave, or the workers take leave of them
//!   over:   nothing may be left anywhere
//! ```

use std::rc::Rc;
use std::sync::Arc;

use nutcrab::stats::{PoolNames, WorkerStats};

use crate::agenda::{Agenda, Event, Micros};
use crate::client::Client;
use crate::control::Control;
use crate::draw::Draw;
use crate::hoarding::{Hoarder, Probe};
use crate::ledger::{Fault, Ledger, Totals};
use crate::network::{Network, Note, Owner};
use crate::plan::Plan;
use crate::scene::{Phase, Scene};
use crate::server::Server;
use crate::weighing::Holdings;
use crate::worker::Worker;

/// Requests of each client that must all succeed once faults have stopped.
const FRESH: usize = 5;

/// How long they may take.
const FRESH_SPAN: Micros = 5_000_000;

/// How long until nothing is left of clients that have gone.
const FAREWELL_SPAN: Micros = 15_000_000;

/// Events of one run; more can only be an endless loop.
const EVENTS_MAX: u64 = 20_000_000;

/// All parties of a run.
pub struct World {
    pub(crate) scene: Scene,
    pub(crate) clients: Vec<Client>,
    pub(crate) servers: Vec<Server>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) hoarders: Vec<Hoarder>,
    pub(crate) probes: Vec<Probe>,
    control: Control,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was wrong, with the last events before it.
    pub violation: Option<String>,
    /// The sums.
    pub totals: Totals,
    /// Depends on all that happened.
    pub digest: u64,
    /// Whether what the plan has planted was done.
    pub is_planted: bool,
}

/// Runs a plan.
pub fn run(plan: Plan, verbose: bool) -> Outcome {
    let plants = plan.plant.is_some();
    let mut world = World::new(plan, verbose);
    world.play();
    let ledger = &mut world.scene.ledger;
    ledger.totals.bytes = world.scene.net.carried;
    let trace = ledger.trace();
    Outcome {
        violation: ledger
            .violation
            .take()
            .map(|text| format!("{text}\n\n{trace}\n{}", world.scene.plan.describe())),
        totals: ledger.totals.clone(),
        digest: ledger.digest ^ world.scene.net.carried,
        is_planted: plants && world.scene.plant.is_none(),
    }
}

impl World {
    fn new(plan: Plan, verbose: bool) -> Self {
        let plan = Rc::new(plan);
        let mut draw = Draw::scripted(plan.seed ^ 0x51_ab1e, &plan.script);
        let mut scene = Scene {
            now: 0,
            agenda: Agenda::default(),
            net: Network::new(draw.fork()),
            ledger: Ledger::new(&plan.books(), verbose),
            holdings: Holdings::new(&plan),
            phase: Phase::Faults,
            plant: plan.plant,
            surplus: Vec::new(),
            reports: Vec::new(),
            draw,
            plan: Rc::clone(&plan),
        };
        let names: Vec<PoolNames> = plan
            .pools
            .iter()
            .map(|pool| PoolNames {
                name: pool.config.name.clone(),
                servers: pool
                    .config
                    .servers
                    .iter()
                    .map(|server| server.name.clone())
                    .collect(),
                families: pool.config.protocol.topics(),
            })
            .collect();
        let workers = (0..plan.workers)
            .map(|index| Worker::new(index, &mut scene, Arc::new(WorkerStats::new(&names))))
            .collect();
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for (pool, planned) in plan.pools.iter().enumerate() {
            for number in 0..planned.config.servers.len() {
                servers.push(Server::new(servers.len(), pool, number, scene.draw.fork()));
            }
            for _ in 0..planned.clients {
                clients.push(Client::new(&mut scene, clients.len(), pool));
            }
            if plan.is_heavy() {
                scene.ledger.begin(0, pool, Fault::Overload);
            }
        }
        let hoard = plan.hoard.iter().flat_map(|hoard| &hoard.hoarders);
        let hoarders = hoard
            .enumerate()
            .map(|(index, hoarder)| Hoarder::new(&mut scene, index, *hoarder))
            .collect();
        Self {
            hoarders,
            probes: Vec::new(),
            control: Control::new(&scene),
            scene,
            clients,
            servers,
            workers,
        }
    }

    fn play(&mut self) {
        let scene = &mut self.scene;
        for worker in &mut self.workers {
            worker.stir(scene);
        }
        for client in &mut self.clients {
            let at = scene.draw.micros(0, 100_000);
            client.wake(scene, at);
        }
        for hoarder in &mut self.hoarders {
            let at = scene.draw.micros(0, 300_000);
            hoarder.wake(scene, at);
        }
        let (length, gap) = (scene.plan.length, scene.plan.fault_gap);
        scene.agenda.add(length, Event::Phase);
        let first = scene.draw.micros(0, gap);
        scene.agenda.add(first, Event::Fault);
        for _ in 0..EVENTS_MAX {
            if self.scene.ledger.violation.is_some() || self.scene.phase == Phase::Over {
                return;
            }
            let Some((at, event)) = self.scene.agenda.next() else {
                return self
                    .scene
                    .ledger
                    .violate(self.scene.now, "nothing will ever happen");
            };
            self.scene.now = at;
            self.happen(event);
            self.tell_of_wipes();
            while let Some((owner, note)) = self.scene.net.notes.pop_front() {
                self.tell(owner, note);
            }
        }
        self.scene
            .ledger
            .violate(self.scene.now, "events without end");
    }

    fn happen(&mut self, event: Event) {
        let scene = &mut self.scene;
        match event {
            Event::Arrive(wire, end) => {
                scene.net.arrive(scene.now, &mut scene.agenda, (wire, end));
            }
            Event::Room(wire, end) => scene.net.room((wire, end)),
            Event::Turn(worker) => {
                self.workers[worker].turn(scene, &mut self.servers);
                self.control.stir(scene);
            }
            Event::Client(client) => self.clients[client].act(scene, &mut self.workers),
            Event::Hoarder(hoarder) => self.hoarders[hoarder].act(scene, &mut self.workers),
            Event::Probe(pool) => self.probe(pool),
            Event::Server(server, conn) => self.servers[server].act(scene, conn),
            Event::Dialled(worker, socket) => {
                self.workers[worker].dialled(scene, &mut self.servers, socket);
            }
            Event::Control => {
                for order in self.control.act(scene) {
                    for worker in &mut self.workers {
                        worker.order(scene, order.clone());
                    }
                }
                for (worker, call, outcome) in self.control.calls.drain(..) {
                    self.workers[worker].call(scene, call, outcome);
                }
                self.control.stir(scene);
            }
            Event::Fault => self.strike(),
            Event::Recover(server) => self.recover(server),
            Event::Ease => self.ease(),
            Event::Phase => self.next_phase(),
        }
    }

    fn tell(&mut self, owner: Owner, note: Note) {
        match owner {
            Owner::Client(client) => self.clients[client].stir(&mut self.scene),
            Owner::Hoarder(hoarder) => {
                let now = self.scene.now;
                self.hoarders[hoarder].wake(&mut self.scene, now);
            }
            Owner::Probe(pool) => self.heard_by_probe(pool),
            Owner::Worker(worker, socket) => {
                self.workers[worker].noted(&mut self.scene, socket, note);
            }
            Owner::Server(server, conn) => self.servers[server].stir(&mut self.scene, conn),
            Owner::Nobody => {}
        }
    }

    fn next_phase(&mut self) {
        let scene = &mut self.scene;
        let now = scene.now;
        scene
            .ledger
            .note(now, || format!("the phase of {:?} ends", scene.phase));
        match scene.phase {
            Phase::Faults => {
                scene.phase = Phase::Calm;
                self.calm();
                let slack = self.scene.ledger.slack();
                self.scene.agenda.add(now + slack, Event::Phase);
            }
            Phase::Calm => {
                self.complain();
                let scene = &mut self.scene;
                scene.phase = Phase::Fresh;
                for client in &mut self.clients {
                    client.refresh(scene, FRESH);
                }
                scene.agenda.add(now + FRESH_SPAN, Event::Phase);
            }
            Phase::Fresh => {
                self.complain();
                self.check_listeners();
                let scene = &mut self.scene;
                scene.phase = Phase::Farewell;
                scene.ledger.check_tallies(now);
                scene.check_rounds();
                if scene.plan.drains {
                    for worker in &mut self.workers {
                        worker.drain(scene);
                    }
                } else {
                    for client in &mut self.clients {
                        client.farewell(scene);
                    }
                }
                scene.agenda.add(now + FAREWELL_SPAN, Event::Phase);
            }
            Phase::Farewell => {
                for worker in &mut self.workers {
                    worker.check_idle(scene);
                }
                scene.phase = Phase::Over;
            }
            Phase::Over => {}
        }
    }

    /// Clients that are owed something now are owed it for ever.
    fn complain(&mut self) {
        for client in &self.clients {
            let complaint = client.complaint();
            if let Some(complaint) = complaint.or_else(|| client.survival(&self.scene)) {
                self.scene.ledger.violate(self.scene.now, complaint);
            }
        }
    }

    /// Faults stop.
    fn calm(&mut self) {
        self.ease();
        let scene = &mut self.scene;
        scene.net.unstall_all(scene.now, &mut scene.agenda);
        for server in 0..self.servers.len() {
            self.recover(server);
            self.servers[server].calm(&mut self.scene);
        }
        for client in &mut self.clients {
            client.calm(&mut self.scene);
        }
        self.relieve();
        if self.scene.plan.is_heavy() {
            for pool in 0..self.scene.plan.pools.len() {
                self.scene.ledger.end(self.scene.now, pool, Fault::Overload);
            }
        }
    }
}
