//! The core's books, held against each other: what is counted or listed in two places must agree.
//!
//! The rigs of the unit tests, the simulation and the fuzz targets ask for it after every turn, when
//! nothing is left to do. Each rule names the mistake that breaks it; most would show much later as a
//! client that waits for ever, or as memory that is never given back.

use std::collections::{HashMap, HashSet};

use super::Proxy;
use super::client::{Client, Stage, Upload};
use super::exchange::Exchange;
use super::ids::{ClientId, LinkId};
use super::link::{Kind, Link, State};
use super::pool::{GroupIndex, Lane};
use super::time::Time;

/// Who is owed a reply on some connection: client, sequence number, fragment.
type Claim = (u64, u32, Option<u16>);

impl Proxy {
    /// Panics if two of the core's books disagree. Costs time in proportion to all that is outstanding.
    #[doc(hidden)]
    pub fn check(&self) {
        let mut claims: HashMap<Claim, usize> = HashMap::new();
        let mut unread: HashSet<Claim> = HashSet::new();
        for (id, link) in self.links.iter() {
            self.verify_link(id, link);
            for entry in &link.in_flight {
                if let Some(client) = entry.client {
                    let claim = (client.conn().token(), entry.sequence, entry.fragment);
                    *claims.entry(claim).or_default() += 1;
                    if link.blocked == Some(client) {
                        unread.insert(claim);
                    }
                }
            }
        }
        let (mut charged, mut numbers) = (0, 0);
        for (id, client) in self.clients.iter() {
            self.verify_client(id, client, &claims);
            verify_progress(id, client, &unread);
            charged += client.charged;
            numbers += usize::from(self.numbers.get(&client.number) == Some(&id));
        }
        assert_eq!(charged, self.strangers, "bytes of clients without password");
        assert_eq!(numbers, self.clients.len(), "clients by number");
        assert_eq!(numbers, self.numbers.len(), "numbers of clients that left");
        self.verify_lanes();
        self.verify_groups();
        let open = self.clients.len() + self.links.len();
        assert_eq!(self.stats.curr_connections.read(), open as i64, "gauge");
    }

    fn verify_link(&self, id: LinkId, link: &Link) {
        let in_flight = link.in_flight.len();
        assert!(link.late <= in_flight, "late requests: {link:?}");
        assert!(link.sent_count <= in_flight, "sent requests: {link:?}");
        assert!(link.sent <= link.appended, "bytes sent: {link:?}");
        let waiting = (link.appended - link.sent) as usize;
        assert_eq!(link.out.len(), waiting, "bytes to be sent: {link:?}");
        let mut before = 0;
        for (index, entry) in link.in_flight.iter().enumerate() {
            // Those of a bundle are answered in whatever order.
            if entry.bundle == 0 {
                assert!(entry.end >= before, "order of requests: {link:?}");
                before = entry.end;
            }
            let is_sent = entry.sent != Time::NEVER;
            assert_eq!(
                is_sent,
                index < link.sent_count,
                "sent {index}: {entry:?} {link:?}"
            );
            if entry.end == u64::MAX {
                assert!(
                    link.uploader.is_some(),
                    "a request without an end: {link:?}"
                );
            }
        }
        if let Some(client) = link.uploader {
            let upload = self
                .clients
                .find(client)
                .and_then(|client| client.upload.as_ref());
            let streams = upload
                .is_some_and(|upload| matches!(upload.stage, Stage::Stream(link) if link == id));
            assert!(streams, "nobody uploads: {link:?}");
        }
        if let Some(blocker) = link.blocked {
            let client = self.clients.find(blocker);
            let knows = client.is_some_and(|client| client.blocking.contains(&id));
            assert!(knows, "nothing will have it read again: {link:?}");
            assert!(
                self.may_be_unread(link),
                "left unread for nothing: {link:?}"
            );
        }
        for &paused in &link.paused {
            if let Some(client) = self.clients.find(paused) {
                assert!(client.held_by.queue, "a client that did not pause");
            }
        }
        assert!(
            link.paused.is_empty() || !link.out.is_empty(),
            "nothing will have its clients go on: {link:?}"
        );
        let rests = link.state == State::Ready && link.is_idle() && link.may_retire();
        assert!(
            !rests || link.armed.is_set(),
            "nothing will have it closed when it is not used: {link:?}"
        );
        let is_greeted = link.state == State::Ready;
        assert!(
            is_greeted || link.sent == 0,
            "sent before the greeting: {link:?}"
        );
    }

    /// Whether a connection that is left unread has a client still that has no room for the reply at its
    /// front, and keeps no other waiting.
    fn may_be_unread(&self, link: &Link) -> bool {
        let (Some(entry), Some(blocker)) = (link.in_flight.front(), link.blocked) else {
            return false;
        };
        let Some(client) = self.clients.find(blocker) else {
            return false;
        };
        let limits = &self.limits;
        let in_parts = link.streaming || link.reply_len >= limits.cut_through as u64;
        // Of a reply whose turn has not come, a window of its own may wait on the connection.
        let is_early = !client.ring.is_head(entry.sequence) && link.partial.len() >= limits.window;
        // The connection is read again once the client has less than a window to take.
        let is_full = client.out.len() >= limits.window || client.is_full(entry, in_parts, limits);
        link.is_alone() && entry.client == Some(blocker) && (is_full || is_early)
    }

    fn verify_client(&self, id: ClientId, client: &Client, claims: &HashMap<Claim, usize>) {
        client.ring.check();
        let token = id.conn().token();
        let claimed = |sequence, fragment| {
            claims
                .get(&(token, sequence, fragment))
                .copied()
                .unwrap_or(0)
        };
        let elsewhere = client
            .session
            .as_ref()
            .and_then(|session| session.elsewhere);
        for (sequence, exchange) in client.ring.iter() {
            let whole = claimed(sequence, None);
            let expected = match exchange {
                Exchange::Kept { .. } | Exchange::Ready(..) => 0,
                Exchange::Waiting if elsewhere == Some(sequence) => 0,
                Exchange::Fanout(_) => 0,
                Exchange::Waiting
                | Exchange::Streaming
                | Exchange::Silent
                | Exchange::Probe(_)
                | Exchange::Errand(_) => 1,
            };
            assert_eq!(
                whole, expected,
                "servers that owe request {sequence} a reply: {exchange:?} of {client:?}"
            );
            if let Exchange::Fanout(fanout) = exchange {
                let mut pending = 0;
                for (fragment, reply) in fanout.replies.iter().enumerate() {
                    let owed = claimed(sequence, Some(fragment as u16));
                    if !reply.done {
                        pending += 1;
                        assert_eq!(
                            owed, 1,
                            "servers that owe fragment {fragment}: {fanout:?} of {client:?}"
                        );
                    }
                }
                assert_eq!(pending, fanout.pending, "fragments: {fanout:?}");
            }
        }
        for &link in &client.blocking {
            let link = self.links.find(link);
            let blocks = link.is_none_or(|link| link.blocked.is_none_or(|by| by == id));
            assert!(blocks, "another client's: {client:?}");
        }
        if let Some(upload) = &client.upload
            && let Stage::Stream(link) = upload.stage
        {
            let uploader = self.links.find(link).and_then(|link| link.uploader);
            assert_eq!(uploader, Some(id), "a lost upload: {client:?}");
        }
        if let Some(upload) = &client.upload {
            self.verify_upload(id, client, upload);
        }
        self.verify_keys(id, client);
        if client.held_by.queue {
            let mut links = self.links.iter();
            let paused = links.any(|(_, link)| link.paused.contains(&id));
            assert!(paused, "nothing will have it go on: {client:?}");
        }
    }

    /// A large request that is not read on has something that will look at it again.
    fn verify_upload(&self, id: ClientId, client: &Client, upload: &Upload) {
        let waits = matches!(upload.stage, Stage::Wait(_));
        let is_full = upload.full.is_some();
        if let Some(ticket) = &upload.ticket {
            let lanes = &self.pools[client.pool.index()].lanes;
            let mut waiting = lanes.iter().map(|lane| &lane.waiting);
            let listed = waiting.any(|waiting| waiting.has(ticket, id, is_full));
            assert!(waits && listed, "a ticket for nothing: {client:?}");
        }
        let answered = client.ring.is_empty() && client.state == super::client::State::Open;
        assert!(
            !(waits && answered && (upload.whole || is_full && upload.ticket.is_none())),
            "nothing will have the large request go on: {client:?}"
        );
    }

    /// A client whose request or reply takes several turns is in the list of those who go on in the next one.
    fn verify_keys(&self, id: ClientId, client: &Client) {
        let times = self.divisions.iter().filter(|&&it| it == id).count();
        let is_divided = client.division.is_some();
        assert_eq!(times, usize::from(is_divided), "divisions: {client:?}");
        assert_eq!(client.held_by.keys, is_divided, "divided: {client:?}");
        assert!(client.stalled || !is_divided, "read on: {client:?}");
        let joins = self.joining.contains(&id);
        assert_eq!(client.joining, joins, "joined: {client:?}");
    }

    /// Each connection is in the one place of its lane where it belongs, and in no other.
    fn verify_lanes(&self) {
        let mut listed = HashSet::new();
        for pool in &self.pools {
            let mut own = vec![0; pool.server_count()];
            for (index, lane) in pool.lanes.iter().enumerate() {
                own[lane.key.server.index()] += lane.own;
                for id in lane.links() {
                    let link = self.links.find(id);
                    let link = link.unwrap_or_else(|| panic!("lane {index} lists a lost one"));
                    assert_eq!(link.lane.0 as usize, index, "lane: {link:?}");
                    assert_eq!(link.server, lane.key.server, "server: {link:?}");
                    assert!(is_in_place(lane, id, link), "place: {link:?}");
                    assert!(listed.insert(id.conn()), "in two places: {link:?}");
                }
            }
            assert_eq!(own, pool.own, "connections of clients' own by server");
        }
        let mut counts: HashMap<(u16, u32), usize> = HashMap::new();
        for (id, link) in self.links.iter() {
            if link.kind == Kind::Pinned {
                *counts.entry((link.pool.0, link.lane.0)).or_default() += 1;
                let is_idle = listed.contains(&id.conn());
                assert!(!is_idle || link.owner.is_none(), "idle: {link:?}");
            } else {
                assert!(listed.contains(&id.conn()), "in no lane: {link:?}");
            }
        }
        for (pool, found) in self.pools.iter().enumerate() {
            for (lane, found) in found.lanes.iter().enumerate() {
                let count = counts.get(&(pool as u16, lane as u32)).copied();
                assert_eq!(found.own, count.unwrap_or(0), "connections of clients' own");
            }
        }
    }

    /// Groups count the clients that use them, and those that ask whether they can.
    fn verify_groups(&self) {
        let mut users: HashMap<(u16, u16), u32> = HashMap::new();
        for (_, client) in self.clients.iter() {
            let mut add = |group: GroupIndex| {
                *users.entry((client.pool.0, group.0)).or_default() += 1;
            };
            add(client.group);
            for (_, exchange) in client.ring.iter() {
                if let Exchange::Probe(probe) = exchange {
                    add(probe.group);
                }
            }
        }
        for (pool, found) in self.pools.iter().enumerate() {
            for (group, count) in found.group_users().enumerate() {
                let expected = users.get(&(pool as u16, group as u16)).copied();
                assert_eq!(count, expected.unwrap_or(0), "clients of a group");
            }
        }
    }
}

/// A client that has taken all there is waits for nothing on a connection that is left unread until it has
/// been answered something else. `unread` are the replies on connections that are left unread for their
/// clients.
fn verify_progress(id: ClientId, client: &Client, unread: &HashSet<Claim>) {
    let Some((sequence, exchange)) = client.ring.iter().next() else {
        return;
    };
    if !client.out.is_empty() || client.joining {
        return;
    }
    let token = id.conn().token();
    let is_unread = |fragment| unread.contains(&(token, sequence, fragment));
    let is_stuck = match exchange {
        Exchange::Fanout(fanout) => {
            let fragments = (0..).zip(&fanout.replies);
            let mut owed = fragments.filter(|(_, reply)| !reply.done);
            let is_needed = |fragment| fanout.join.started && fanout.may_go_on(fragment);
            let are_all =
                fanout.pending > 0 && owed.clone().all(|(fragment, _)| is_unread(Some(fragment)));
            are_all || owed.any(|(fragment, _)| is_needed(fragment) && is_unread(Some(fragment)))
        }
        _ => is_unread(None),
    };
    assert!(!is_stuck, "waits for itself: {client:?}");
}

/// Whether the lane has a connection where those of its kind are.
fn is_in_place(lane: &Lane, id: LinkId, link: &Link) -> bool {
    match link.kind {
        Kind::Shared(place) => lane.shared_links.get(place) == Some(&Some(id)),
        Kind::Spare => lane.spares.contains(&id),
        Kind::Detour => lane.detours.contains(&id),
        Kind::Pinned => lane.idle.contains(&id),
        Kind::Overtaking => lane.overtaking == Some(id),
    }
}
