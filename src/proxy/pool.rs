//! Where clients and servers meet: the router, the servers, and the lanes to them.

use std::sync::Arc;
use std::time::Duration;

use super::attempts::{Attempts, Failure};
use super::cause::Cause;
use super::ids::{ClientId, LinkId};
use super::large_keys::LargeKeys;
use super::link::Kind;
use super::scripts::Scripts;
use super::spares::Waiting;
use super::time::Time;
use crate::config;
use crate::protocol::redis::info::Facts;
use crate::protocol::{self, Commands, Family, Protocol, Topic, Version};
use crate::route::{Router, ServerIndex, Weighted};

/// How long a server's refusal of a database, of a version or of EXEC is believed.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of memory that the lanes of all groups of a pool may take.
const GROUPS_MEMORY: usize = 32 * 1024 * 1024;

/// So many groups there may be in any case.
const GROUPS_MIN: usize = 64;

/// One pool as one worker sees it.
#[derive(Debug)]
pub(super) struct Pool {
    pub config: Arc<config::Pool>,
    pub protocol: Protocol,
    pub commands: Commands,
    /// By row of the commands, but for those learned: what each is counted under, and its replies.
    rows: Vec<(Topic, Family)>,
    /// The same for those of the binary protocol.
    binary_rows: Vec<(Topic, Family)>,
    /// The limits of requests of clients that have not said the pool's password.
    pub stranger: protocol::Limits,
    /// Those of requests within a transaction, which are kept until its end.
    pub queued: protocol::Limits,
    pub scripts: Scripts,
    /// Those of memcached's binary protocol, in a memcached pool.
    binary: Commands,
    pub router: Arc<Router>,
    /// One a server for each group, in the order of the groups, then of the servers.
    pub lanes: Vec<Lane>,
    groups: Vec<Group>,
    /// By server: connections that are, or were, of one client alone.
    pub own: Vec<usize>,
    /// What the servers said about themselves, if they were asked.
    pub facts: Option<Facts>,
    /// Whether all its clients and connections together, on all workers, hold more than the pool's share
    /// of memory.
    pub over: bool,
    /// Whether its requests are refused for want of memory.
    pub refused: bool,
    /// Keys whose values were large lately.
    pub large_keys: LargeKeys,
    /// By server: whether its failure count is known not to be 0.
    pub failing: Vec<bool>,
    /// Rows of commands of which was told that their keys lived on several servers.
    apart: Vec<Option<u16>>,
}

/// The place of a lane in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneIndex(pub u32);

/// What all connections of a lane have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneKey {
    pub server: ServerIndex,
    /// The Redis database that is selected on them.
    pub database: u32,
    /// What is spoken on them.
    pub version: Version,
    /// In which protocol.
    pub protocol: Protocol,
}

/// The place of a group in its pool. The first one is that of clients that said nothing; it always
/// exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupIndex(pub u16);

/// The lanes to all servers that have database, version and protocol in common. A client uses one group
/// at a time. Groups nobody uses lose their connections after a while and make room for others.
#[derive(Debug)]
struct Group {
    database: u32,
    version: Version,
    protocol: Protocol,
    /// How many clients use it, or try to.
    clients: u32,
    /// Whether some server has accepted database and version.
    proven: bool,
}

/// The connections to one server that requests may share.
#[derive(Debug)]
pub(super) struct Lane {
    pub key: LaneKey,
    /// `server_connections` places; a client uses the one its id falls on.
    pub shared_links: Vec<Option<LinkId>>,
    /// Connections for large requests.
    pub spares: Vec<LinkId>,
    /// Connections for large replies, and for what others ask while one passes.
    pub detours: Vec<LinkId>,
    /// Connections for one client at a time, that nobody has now.
    pub idle: Vec<LinkId>,
    /// How many of those there are, whether somebody has them or not.
    pub own: usize,
    /// The connection for what a busy server answers.
    pub overtaking: Option<LinkId>,
    /// Clients with a large request that wait for a spare connection.
    pub waiting: Waiting,
    /// Attempts to connect for the shared connections, and for all others.
    shared: Attempts,
    apart: Attempts,
    /// What the server said when it last refused a greeting.
    pub refusal: Box<[u8]>,
    /// Until when it is believed that the server refuses EXEC, though not MULTI, and its words.
    pub no_exec: Option<(Time, Box<[u8]>)>,
}

impl Pool {
    pub fn new(config: Arc<config::Pool>) -> Self {
        let first = Group {
            database: config.redis_db,
            version: Version::Resp2,
            protocol: config.protocol,
            clients: 0,
            proven: true,
        };
        let live = vec![true; config.servers.len()];
        let mut commands = Commands::new(config.protocol, config.commands.clone());
        let mut binary = Commands::standard(Protocol::Binary);
        if !config.flush_all {
            commands.refuse_flush();
            binary.refuse_flush();
        }
        Self {
            protocol: config.protocol,
            rows: rows(&commands),
            binary_rows: rows(&binary),
            commands,
            stranger: config.limits.for_stranger(),
            queued: config.limits.for_queued(),
            scripts: Scripts::default(),
            binary,
            router: Arc::new(router(&config, &live)),
            lanes: lanes(&config, &first).collect(),
            groups: vec![first],
            own: vec![0; config.servers.len()],
            facts: None,
            over: false,
            refused: false,
            large_keys: LargeKeys::default(),
            failing: vec![false; config.servers.len()],
            apart: Vec::new(),
            config,
        }
    }

    /// Notes that keys of a command lived on several servers; says whether that is the first time.
    pub fn note_apart(&mut self, command: Option<u16>) -> bool {
        let is_new = !self.apart.contains(&command);
        if is_new {
            self.apart.push(command);
        }
        is_new
    }

    /// What a command is counted under, by its row, and which replies it can have.
    #[inline]
    pub fn row(&self, protocol: Protocol, command: Option<u16>) -> (Topic, Family) {
        let rows = match protocol {
            Protocol::Redis | Protocol::Memcache => &self.rows,
            Protocol::Binary => &self.binary_rows,
        };
        let row = command.and_then(|row| rows.get(usize::from(row)));
        match row {
            Some(&row) => row,
            None => self.other_row(protocol, command),
        }
    }

    /// The same for a command that was learned, or is none.
    #[cold]
    fn other_row(&self, protocol: Protocol, command: Option<u16>) -> (Topic, Family) {
        let other = Topic(self.protocol.topics().len() as u8 - 1);
        (other, self.commands(protocol).family(command))
    }

    /// The group's lane to a server.
    #[inline]
    pub fn lane_of(&self, group: GroupIndex, server: ServerIndex) -> LaneIndex {
        LaneIndex((usize::from(group.0) * self.server_count() + server.index()) as u32)
    }

    /// The lanes of a group.
    pub fn lanes_of(&self, group: GroupIndex) -> &[Lane] {
        let servers = self.server_count();
        let start = usize::from(group.0) * servers;
        &self.lanes[start..start + servers]
    }

    /// Keys live where `router` says from now on. Servers that return are tried afresh.
    pub fn route(&mut self, router: Arc<Router>) {
        let before = std::mem::replace(&mut self.router, router);
        let out_for = self.config.server_retry_timeout;
        for lane in &mut self.lanes {
            let server = lane.key.server;
            if self.router.is_live(server) && !before.is_live(server) {
                lane.shared.returned(out_for);
                lane.apart.returned(out_for);
                self.failing[server.index()] = false;
            }
        }
    }

    /// How many servers it has, live or not.
    #[inline]
    pub fn server_count(&self) -> usize {
        self.config.servers.len()
    }

    /// The group for this database, as servers count, and version; with one more client, until
    /// [`Pool::leave`]. `None` when there are `limit` groups and all are in use.
    pub fn enter(&mut self, database: u32, version: Version, limit: usize) -> Option<GroupIndex> {
        self.enter_group(database, version, self.protocol, limit)
    }

    /// The group of clients that speak memcached's binary protocol; with one more.
    pub fn enter_binary(&mut self) -> Option<GroupIndex> {
        // There is one such group at most.
        self.enter_group(0, Version::Resp2, Protocol::Binary, usize::MAX)
    }

    fn enter_group(
        &mut self,
        database: u32,
        version: Version,
        protocol: Protocol,
        limit: usize,
    ) -> Option<GroupIndex> {
        let same = |group: &Group| {
            (group.database, group.version, group.protocol) == (database, version, protocol)
        };
        let found = self.groups.iter().position(same);
        let place = found.or_else(|| {
            let group = Group {
                database,
                version,
                protocol,
                clients: 0,
                proven: false,
            };
            let is_free = |&place: &usize| self.is_abandoned(GroupIndex(place as u16));
            if let Some(place) = (1..self.groups.len()).find(is_free) {
                let start = place * self.server_count();
                for (index, lane) in lanes(&self.config, &group).enumerate() {
                    self.lanes[start + index] = lane;
                }
                self.groups[place] = group;
                return Some(place);
            }
            let cost = self.server_count() * size_of::<Lane>();
            if self.groups.len() >= limit.min((GROUPS_MEMORY / cost).max(GROUPS_MIN)) {
                return None;
            }
            self.lanes.extend(lanes(&self.config, &group));
            self.groups.push(group);
            Some(self.groups.len() - 1)
        })?;
        self.groups[place].clients += 1;
        Some(GroupIndex(place as u16))
    }

    /// The group has one client, or one attempt of a client's, more.
    pub fn stay(&mut self, group: GroupIndex) {
        self.groups[usize::from(group.0)].clients += 1;
    }

    /// How many clients use each group, or try to.
    pub fn group_users(&self) -> impl Iterator<Item = u32> + '_ {
        self.groups.iter().map(|group| group.clients)
    }

    /// How many servers keys are looked for on.
    pub fn live_count(&self) -> usize {
        let servers = (0..self.server_count()).map(|server| ServerIndex(server as u16));
        servers
            .filter(|&server| self.router.is_live(server))
            .count()
    }

    /// The group has one client less. Says whether nobody uses it now and its connections may go.
    pub fn leave(&mut self, group: GroupIndex) -> bool {
        let found = &mut self.groups[usize::from(group.0)];
        found.clients -= 1;
        found.clients == 0 && group != GroupIndex::default()
    }

    /// What a server of the group's said when it refused a greeting.
    pub fn refusal(&self, group: GroupIndex) -> Option<&[u8]> {
        let mut refusals = self.lanes_of(group).iter().map(|lane| &lane.refusal[..]);
        refusals.rfind(|words| !words.is_empty())
    }

    /// Whether the lane is one that clients use who have asked for no other.
    pub fn is_usual(&self, lane: LaneIndex) -> bool {
        (lane.0 as usize) < self.server_count()
    }

    /// Whether connections of the lane are kept only because they were used a moment ago.
    pub fn is_unused(&self, lane: LaneIndex) -> bool {
        let group = lane.0 as usize / self.server_count();
        group > 0 && self.groups[group].clients == 0
    }

    /// A server has accepted the group's database and version.
    pub fn prove(&mut self, group: GroupIndex) {
        self.groups[usize::from(group.0)].proven = true;
    }

    /// Whether some server has accepted the group's database and version.
    pub fn is_proven(&self, group: GroupIndex) -> bool {
        self.groups[usize::from(group.0)].proven
    }

    /// Whether nothing is left of a group.
    fn is_abandoned(&self, group: GroupIndex) -> bool {
        let no_links =
            |lane: &Lane| lane.links().next().is_none() && lane.own == 0 && lane.waiting.is_empty();
        self.groups[usize::from(group.0)].clients == 0 && self.lanes_of(group).iter().all(no_links)
    }

    /// The commands of a client that speaks this.
    #[inline]
    pub fn commands(&self, protocol: Protocol) -> &Commands {
        match protocol {
            Protocol::Redis | Protocol::Memcache => &self.commands,
            Protocol::Binary => &self.binary,
        }
    }

    pub fn lane(&mut self, lane: LaneIndex) -> &mut Lane {
        &mut self.lanes[lane.0 as usize]
    }
}

/// What each command is counted under, and which replies it can have.
fn rows(commands: &Commands) -> Vec<(Topic, Family)> {
    let topics = commands.topics().into_iter().zip(0..);
    topics
        .map(|(topic, row)| (topic, commands.family(Some(row))))
        .collect()
}

/// A lane to each server.
fn lanes<'a>(config: &'a config::Pool, group: &Group) -> impl Iterator<Item = Lane> + use<'a> {
    let (database, version, protocol) = (group.database, group.version, group.protocol);
    (0..config.servers.len()).map(move |server| {
        let key = LaneKey {
            server: ServerIndex(server as u16),
            database,
            version,
            protocol,
        };
        Lane::new(key, config.server_connections.get() as usize)
    })
}

/// The router of a pool some of whose servers may be out.
pub fn router(pool: &config::Pool, live: &[bool]) -> Router {
    let servers: Vec<_> = pool
        .servers
        .iter()
        .zip(live)
        .map(|(server, &live)| Weighted {
            name: &server.name,
            weight: server.weight.get(),
            live,
        })
        .collect();
    Router::new(pool.hash, pool.hash_tag, pool.distribution, &servers)
}

impl Lane {
    fn new(key: LaneKey, shared_links: usize) -> Self {
        Self {
            key,
            shared_links: vec![None; shared_links],
            spares: Vec::new(),
            detours: Vec::new(),
            idle: Vec::new(),
            own: 0,
            overtaking: None,
            waiting: Waiting::default(),
            shared: Attempts::default(),
            apart: Attempts::default(),
            refusal: Box::default(),
            no_exec: None,
        }
    }

    /// Which of its shared connections the requests of this client take.
    #[inline]
    pub fn place_of(&self, client: ClientId) -> usize {
        client.index() % self.shared_links.len()
    }

    /// Its connections that requests share.
    pub fn shares(&self) -> impl Iterator<Item = &LinkId> {
        self.shared_links.iter().flatten()
    }

    /// All its connections.
    pub fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        let shared_links = self.shared_links.iter().chain([&self.overtaking]).flatten();
        let apart = self.spares.iter().chain(&self.detours).chain(&self.idle);
        shared_links.chain(apart).copied()
    }

    /// The attempts to connect of this kind.
    pub fn attempts(&mut self, kind: Kind) -> &mut Attempts {
        match kind {
            Kind::Shared(_) => &mut self.shared,
            Kind::Spare | Kind::Detour | Kind::Pinned | Kind::Overtaking => &mut self.apart,
        }
    }

    /// An attempt to connect succeeded, whatever for: the server is there.
    pub fn connected(&mut self) {
        self.shared.succeeded();
        self.apart.succeeded();
    }

    /// An attempt to connect failed. One client's connections of its own, and those for large messages, may
    /// be refused while the shared ones work, which then need no pause; the other way round they do.
    pub fn connect_failed(&mut self, kind: Kind, failure: Failure) {
        self.apart.failed(failure);
        if let Kind::Shared(_) = kind {
            self.shared.failed(failure);
        }
    }

    /// The server does not have what all connections of the lane are to have.
    pub fn refused(&mut self, cause: Cause, now: Time) {
        self.shared.refused(cause, now);
        self.apart.refused(cause, now);
    }
}
