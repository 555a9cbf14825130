//! The book of the run: what was asked, executed and answered, which faults were at work when, and the
//! first thing that should not have happened.
//!
//! Clients enter requests and replies, servers what they execute, the faults themselves when they
//! begin and end. An error of the proxy's is only legal while a fault that explains its words is at
//! work, or was shortly before.

use std::collections::{BTreeMap, BTreeSet};

use crate::agenda::Micros;
use crate::busy::Ends;
use crate::everywhere::Rounds;
use crate::functions::Shelves;
use crate::killing::Roster;
use crate::listening::Published;
use crate::presence::Presence;
use crate::scripts::Shelf;
use crate::value::Mark;
use crate::waking::Wakes;

/// Something that goes wrong on purpose. Windows of each are kept per pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A server refuses connections.
    Refuse,
    /// Attempts to connect to a server find no end.
    ConnectHang,
    /// Attempts to connect to a server fail otherwise.
    Unreachable,
    /// A server's process does nothing.
    Stop,
    /// A server restarts: all its connections end.
    Restart,
    /// A server says that it is loading.
    Loading,
    /// The wire to a server breaks.
    Reset,
    /// A server closes a connection.
    Eof,
    /// A server swallows a reply and is silent from then on.
    Mute,
    /// A server takes longer than the timeout.
    Delay,
    /// A server stops in the middle of a reply.
    Truncate,
    /// A server sends bytes that are no reply.
    Garbage,
    /// A server sends a reply nobody asked for.
    Surplus,
    /// A server answers before it has all of a request.
    Early,
    /// A fragment is answered with something that cannot be merged.
    Misfit,
    /// A reply that is none to its request: of another type, family, key or opaque.
    Foreign,
    /// A server does not accept the pool's password.
    Password,
    /// The wire to a server stalls.
    Stall,
    /// The wire to a client stalls.
    ClientStall,
    /// The wire to a client breaks.
    ClientReset,
    /// A client does not read.
    SlowReader,
    /// A client leaves without a word.
    Vanish,
    /// A client stops in the middle of a request.
    StalledRequest,
    /// More traffic than the wires carry in time.
    Overload,
    /// The process runs short of memory.
    Memory,
    /// A server runs a script. It is drawn apart from the others.
    Busy,
    /// A server refuses MULTI on a connection that took it before. It is no fault that is drawn.
    Revoked,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 25] = [
        Fault::Refuse,
        Fault::ConnectHang,
        Fault::Unreachable,
        Fault::Stop,
        Fault::Restart,
        Fault::Loading,
        Fault::Reset,
        Fault::Eof,
        Fault::Mute,
        Fault::Delay,
        Fault::Truncate,
        Fault::Garbage,
        Fault::Surplus,
        Fault::Early,
        Fault::Misfit,
        Fault::Foreign,
        Fault::Password,
        Fault::Stall,
        Fault::ClientStall,
        Fault::ClientReset,
        Fault::SlowReader,
        Fault::Vanish,
        Fault::StalledRequest,
        Fault::Overload,
        Fault::Memory,
    ];

    /// Faults of servers and of the wires to them.
    pub const OF_SERVERS: [Fault; 20] = [
        Fault::Refuse,
        Fault::ConnectHang,
        Fault::Unreachable,
        Fault::Stop,
        Fault::Restart,
        Fault::Loading,
        Fault::Reset,
        Fault::Eof,
        Fault::Mute,
        Fault::Delay,
        Fault::Truncate,
        Fault::Garbage,
        Fault::Surplus,
        Fault::Early,
        Fault::Misfit,
        Fault::Foreign,
        Fault::Password,
        Fault::Stall,
        Fault::Revoked,
        Fault::Busy,
    ];
}

/// The faults that explain an error of the proxy's, by its text. With `ejects` a server that failed in
/// any way is out, and with all out there is nobody to ask.
pub fn explanations(text: &str, ejects: bool) -> Option<Vec<Fault>> {
    use Fault::{
        ClientStall, ConnectHang, Delay, Early, Eof, Foreign, Garbage, Loading, Memory, Misfit,
        Mute, Overload, Password, Refuse, Reset, Restart, Stall, StalledRequest, Stop, Surplus,
        Truncate, Unreachable,
    };
    let mut faults = match text {
        "Connection refused" => vec![Refuse, Restart],
        "Connection timed out" => {
            vec![
                ConnectHang,
                Delay,
                Mute,
                Overload,
                Stall,
                Stop,
                Truncate,
                // These keep connections from those who wait for one.
                ClientStall,
                StalledRequest,
            ]
        }
        "Connection reset by peer" | "Broken pipe" => {
            // Of a transaction whose connection was given up, for whatever was said there.
            vec![Eof, Foreign, Garbage, Mute, Reset, Restart, Truncate]
        }
        "unknown" => vec![Eof, Garbage, Mute, Restart, Truncate],
        "Invalid argument" => vec![Foreign, Garbage, Loading, Misfit, Surplus, Early],
        "No route to host" | "Host is down" => vec![Unreachable],
        "server refused the pool's password" => vec![Password],
        // To be greeted it takes SELECT, which a server that is busy does not do.
        "the server refused the connection" => vec![Fault::Busy],
        "too many requests are waiting for the server" | "the proxy is short of memory" => {
            vec![Memory]
        }
        "the server refused a transaction on this connection" => vec![Fault::Revoked],
        _ => return None,
    };
    if ejects && text == "Connection refused" {
        faults.extend(Fault::OF_SERVERS);
        faults.push(Overload);
    }
    Some(faults)
}

/// What is known of one client connection.
#[derive(Debug, Default)]
struct Conn {
    pool: usize,
    /// Requests made; their numbers are below.
    asked: u32,
    /// Parts that were executed.
    executed: BTreeSet<(u32, u32)>,
    /// The latest request each server executed.
    latest: BTreeMap<usize, u32>,
    /// Requests executed after a later one: they must never be answered with success.
    overtaken: BTreeSet<u32>,
    /// Requests that must not be executed.
    forbidden: BTreeSet<u32>,
}

/// A counter that clients increment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Increments asked for.
    pub sent: u64,
    /// Increments that servers made.
    pub made: u64,
    /// Increments clients were told of.
    pub acked: u64,
}

/// A window of a fault: how often it is open, and when it was last.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    open: u32,
    last: Option<Micros>,
}

/// Sums over a run, for the report.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Requests made.
    pub requests: u64,
    /// Replies checked, errors among them.
    pub replies: u64,
    /// Errors of the proxy's, by text.
    pub errors: BTreeMap<String, u64>,
    /// Faults that happened.
    pub faults: BTreeMap<Fault, u64>,
    /// Client connections made.
    pub clients: u64,
    /// Connections to servers made.
    pub links: u64,
    /// Turns the workers had.
    pub turns: u64,
    /// Bytes the network carried.
    pub bytes: u64,
    /// Servers put out.
    pub ejections: u64,
    /// What the proxy told operators, by its first words.
    pub notices: BTreeMap<String, u64>,
    /// What succeeded, of what takes more than a request and its reply.
    pub done: BTreeMap<&'static str, u64>,
}

impl Totals {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Totals) {
        self.requests += other.requests;
        self.replies += other.replies;
        self.clients += other.clients;
        self.links += other.links;
        self.turns += other.turns;
        self.bytes += other.bytes;
        self.ejections += other.ejections;
        for (text, count) in &other.errors {
            *self.errors.entry(text.clone()).or_default() += count;
        }
        for (text, count) in &other.notices {
            *self.notices.entry(text.clone()).or_default() += count;
        }
        for (what, count) in &other.done {
            *self.done.entry(what).or_default() += count;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }
}

/// The book.
#[derive(Debug)]
pub struct Ledger {
    conns: Vec<Conn>,
    windows: Vec<BTreeMap<Fault, Window>>,
    tallies: Vec<Vec<Tally>>,
    /// How long a fault explains errors after its end, per pool.
    slack: Vec<Micros>,
    /// Whether a server of the pool has lost data.
    pub lost: Vec<bool>,
    /// When the proxy last told why it breaks off connections, per pool.
    told: Vec<Option<Micros>>,
    /// Scripts that were ended, per pool.
    pub ends: Vec<Ends>,
    /// When a connection to a server was last closed for want of memory, per pool.
    yielded: Vec<Option<Micros>>,
    /// What was published since nothing could fail.
    pub published: Vec<Published>,
    /// Keys their owners leave alone while they look for them alone among all keys.
    pub kept: BTreeSet<Vec<u8>>,
    /// What is known of scripts, per pool.
    pub shelves: Vec<Shelf>,
    /// Connections whose number was told.
    pub roster: Roster,
    /// Waits that others end.
    pub wakes: Wakes,
    /// Requests without a reply that must be done.
    pub muted: BTreeSet<(u32, u32)>,
    /// The same of functions.
    pub libraries: Vec<Shelves>,
    /// What all servers of a pool were asked.
    pub rounds: Vec<Rounds>,
    /// Which keys there are.
    pub presence: Vec<Presence>,
    /// The first thing that should not have happened.
    pub violation: Option<String>,
    /// The sums.
    pub totals: Totals,
    /// The last events, for the report of a failure; all of them when `verbose`.
    trace: std::collections::VecDeque<String>,
    /// Whether everything is printed as it happens.
    pub verbose: bool,
    /// Depends on everything that was noted, so that two runs can be compared.
    pub digest: u64,
}

/// Lines of the trace that are kept.
const TRACE_KEPT: usize = 60;

impl Ledger {
    /// A book for pools with so many counters and such a slack each.
    pub fn new(pools: &[(usize, Micros)], verbose: bool) -> Self {
        Self {
            conns: Vec::new(),
            windows: vec![BTreeMap::new(); pools.len()],
            tallies: pools
                .iter()
                .map(|(count, _)| vec![Tally::default(); *count])
                .collect(),
            slack: pools.iter().map(|(_, slack)| *slack).collect(),
            lost: vec![false; pools.len()],
            told: vec![None; pools.len()],
            ends: vec![Ends::default(); pools.len()],
            yielded: vec![None; pools.len()],
            published: Vec::new(),
            kept: BTreeSet::new(),
            shelves: vec![Shelf::default(); pools.len()],
            roster: Roster::default(),
            wakes: Wakes::default(),
            muted: BTreeSet::new(),
            libraries: vec![Shelves::default(); pools.len()],
            rounds: vec![Rounds::default(); pools.len()],
            presence: vec![Presence::default(); pools.len()],
            violation: None,
            totals: Totals::default(),
            trace: std::collections::VecDeque::new(),
            verbose,
            digest: 0,
        }
    }

    /// Notes something that should not have happened. The first counts.
    pub fn violate(&mut self, now: Micros, text: impl Into<String>) {
        if self.violation.is_none() {
            self.violation = Some(format!("at {now} us: {}", text.into()));
        }
    }

    /// Notes an event for the trace.
    pub fn note(&mut self, now: Micros, text: impl FnOnce() -> String) {
        self.digest = (self.digest ^ now)
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(5);
        let line = format!("{now:>10} {}", text());
        if self.verbose {
            println!("{line}");
        }
        self.trace.push_back(line);
        if self.trace.len() > TRACE_KEPT {
            self.trace.pop_front();
        }
    }

    /// Tells what is only of interest when one run is looked at.
    pub fn detail(&self, now: Micros, text: impl FnOnce() -> String) {
        if self.verbose {
            println!("{now:>10} {}", text());
        }
    }

    /// The last lines of the trace.
    pub fn trace(&self) -> String {
        self.trace
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }

    /// A client has a new connection; gives its number.
    pub fn connected(&mut self, pool: usize) -> u32 {
        self.totals.clients += 1;
        self.conns.push(Conn {
            pool,
            ..Conn::default()
        });
        self.conns.len() as u32 - 1
    }

    /// The next request of a connection is made; gives its number.
    pub fn asked(&mut self, conn: u32) -> u32 {
        self.totals.requests += 1;
        let known = &mut self.conns[conn as usize];
        known.asked += 1;
        known.asked - 1
    }

    /// A server executes a part of a request.
    pub fn executed(&mut self, now: Micros, pool: usize, server: usize, mark: Mark) {
        let Some(conn) = self.conns.get_mut(mark.conn as usize) else {
            return self.violate(now, format!("server {server} executes {mark:?} of nobody"));
        };
        let mut wrong = None;
        if conn.pool != pool || mark.seq >= conn.asked {
            wrong = Some("that was not asked of this pool");
        }
        if !conn.executed.insert((mark.seq, mark.part)) {
            wrong = Some("a second time");
        }
        if conn.forbidden.contains(&mark.seq) {
            wrong = Some("though it must not");
        }
        let latest = conn.latest.entry(server).or_insert(mark.seq);
        if mark.seq < *latest {
            conn.overtaken.insert(mark.seq);
        }
        *latest = mark.seq.max(*latest);
        if let Some(wrong) = wrong {
            self.violate(now, format!("server {server} executes {mark:?} {wrong}"));
        }
    }

    /// Whether a part of a request was executed.
    pub fn was_executed(&self, mark: Mark) -> bool {
        let conn = self.conns.get(mark.conn as usize);
        conn.is_some_and(|conn| conn.executed.contains(&(mark.seq, mark.part)))
    }

    /// The parts of a request that were executed.
    pub fn parts(&self, mark: Mark) -> impl Iterator<Item = u32> + '_ {
        let executed = &self.conns[mark.conn as usize].executed;
        let range = executed.range((mark.seq, 0)..=(mark.seq, u32::MAX));
        range.map(|(_, part)| *part)
    }

    /// Whether a server has executed something for a connection, the last of it before this request,
    /// and is not among these.
    pub fn missed_by(&self, mark: Mark, servers: &[u32]) -> bool {
        let latest = &self.conns[mark.conn as usize].latest;
        latest
            .iter()
            .any(|(server, seq)| *seq < mark.seq && !servers.contains(&(*server as u32)))
    }

    /// A request must never reach a server.
    pub fn forbid(&mut self, conn: u32, seq: u32) {
        self.conns[conn as usize].forbidden.insert(seq);
    }

    /// Nothing of a request was executed, and nothing may be.
    pub fn never(&mut self, now: Micros, conn: u32, seq: u32) {
        let known = &self.conns[conn as usize];
        if known
            .executed
            .range((seq, 0)..=(seq, u32::MAX))
            .next()
            .is_some()
        {
            let text = format!("request {seq} of connection {conn} was executed and must not be");
            self.violate(now, text);
        }
        self.forbid(conn, seq);
    }

    /// A request was answered with success.
    pub fn succeeded(&mut self, now: Micros, conn: u32, seq: u32) {
        if self.conns[conn as usize].overtaken.contains(&seq) {
            let text = format!("request {seq} of connection {conn} was executed after a later one");
            self.violate(now, text);
        }
    }

    /// Something succeeded that is counted by its name.
    pub fn count(&mut self, what: &'static str) {
        *self.totals.done.entry(what).or_default() += 1;
    }

    /// A fault begins.
    pub fn begin(&mut self, now: Micros, pool: usize, fault: Fault) {
        *self.totals.faults.entry(fault).or_default() += 1;
        let window = self.windows[pool].entry(fault).or_default();
        window.open += 1;
        window.last = window.last.max(Some(now));
        self.note(now, || format!("pool {pool}: {fault:?} begins"));
    }

    /// A fault ends.
    pub fn end(&mut self, now: Micros, pool: usize, fault: Fault) {
        let window = self.windows[pool].entry(fault).or_default();
        window.open = window.open.saturating_sub(1);
        window.last = window.last.max(Some(now));
        self.note(now, || format!("pool {pool}: {fault:?} ends"));
    }

    /// A fault whose end is known.
    pub fn strike(&mut self, now: Micros, pool: usize, fault: Fault, until: Micros) {
        *self.totals.faults.entry(fault).or_default() += 1;
        let window = self.windows[pool].entry(fault).or_default();
        window.last = window.last.max(Some(until));
        self.note(now, || format!("pool {pool}: {fault:?} until {until}"));
    }

    /// Whether one of the faults was ever at work.
    pub fn has_ever(&self, pool: usize, faults: &[Fault]) -> bool {
        faults
            .iter()
            .any(|fault| self.windows[pool].contains_key(fault))
    }

    /// Whether one of the faults is at work or was shortly before.
    pub fn is_explained(&self, now: Micros, pool: usize, faults: &[Fault]) -> bool {
        faults
            .iter()
            .filter_map(|fault| self.windows[pool].get(fault))
            .any(|window| {
                window.open > 0
                    || window
                        .last
                        .is_some_and(|last| now <= last + self.slack[pool])
            })
    }

    /// The proxy told why it breaks off connections.
    pub fn tell(&mut self, now: Micros, pool: usize) {
        self.told[pool] = Some(now);
    }

    /// Whether it did so, now or shortly before. Load alone is no reason to break off without a word.
    pub fn was_told(&self, now: Micros, pool: usize) -> bool {
        self.told[pool].is_some_and(|told| now <= told + self.slack[pool])
    }

    /// A connection to a server was closed for want of memory.
    pub fn yielded(&mut self, now: Micros, pool: usize) {
        self.yielded[pool] = Some(now);
    }

    /// Whether one was, now or shortly before: a client that had a part of a reply of it is cut off.
    pub fn has_yielded(&self, now: Micros, pool: usize) -> bool {
        self.yielded[pool].is_some_and(|yielded| now <= yielded + self.slack[pool])
    }

    /// How long a fault explains errors after its end.
    pub fn slack(&self) -> Micros {
        self.slack.iter().copied().max().unwrap_or(0)
    }

    /// A counter of a pool.
    pub fn tally(&mut self, pool: usize, counter: usize) -> &mut Tally {
        &mut self.tallies[pool][counter]
    }

    /// Counters whose numbers cannot be: more told than made, more made than asked for.
    pub fn check_tallies(&mut self, now: Micros) {
        for pool in 0..self.tallies.len() {
            for counter in 0..self.tallies[pool].len() {
                let Tally { sent, made, acked } = self.tallies[pool][counter];
                if acked > made || made > sent {
                    let text =
                        format!("pool {pool}, counter {counter}: {acked} of {made} of {sent}");
                    self.violate(now, text);
                }
            }
        }
    }
}
