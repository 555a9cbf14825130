//! `CLIENT KILL`: clients that close their own connection, or one of others, whichever worker has it.
//!
//! A client may close those to its pool from its host. That many connections must end, and the killer is
//! told so, once; that others are there it is not told, and they stay. How one ends that was killed while
//! it was owed something is all the same: what it gets is judged as ever, and no reply may be cut short.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::agenda::Micros;
use crate::client::Client;
use crate::judging::Want;
use crate::ledger::{Fault, Ledger};
use crate::network::WireId;
use crate::plant::Plant;
use crate::redis::{self, Reply};
use crate::scene::Scene;

/// What is counted when one was closed that another worker has.
pub const KILLED_ELSEWHERE: &str = "clients that others closed over workers";

/// What is known of connections whose number was told.
#[derive(Debug, Default)]
pub struct Roster {
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<u32, u64>,
}

#[derive(Debug)]
struct Entry {
    conn: u32,
    pool: usize,
    host: Option<IpAddr>,
    worker: usize,
    wire: WireId,
    /// Whether its client means to stay.
    stays: bool,
    /// How often somebody who may has asked for its end.
    aims: u32,
    /// Whether somebody was told that it was closed.
    is_killed: bool,
    /// Whether it must have been.
    is_over: bool,
    /// Whether it waits for something.
    waits: bool,
}

/// What a client wants to be closed.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub(crate) whom: Whom,
    pub(crate) asked: Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A connection that is not there, or that it may not close.
    Nobody,
    Itself,
    /// The one of this number.
    Other(u64),
}

impl Roster {
    fn find(&mut self, conn: u32) -> Option<&mut Entry> {
        self.entries.get_mut(self.numbers.get(&conn)?)
    }

    /// Its client leaves, or will.
    pub fn part(&mut self, conn: u32) {
        if let Some(entry) = self.find(conn) {
            entry.stays = false;
        }
    }

    /// Whether somebody who may has asked for its end.
    pub fn is_aimed_at(&self, conn: u32) -> bool {
        let entry = self.numbers.get(&conn);
        let entry = entry.and_then(|number| self.entries.get(number));
        entry.is_some_and(|entry| entry.aims > 0)
    }

    /// It waits for something, or no longer.
    pub fn waits(&mut self, conn: u32, waits: bool) {
        if let Some(entry) = self.find(conn) {
            entry.waits = waits;
        }
    }

    /// Which connection is meant.
    pub fn conn_of(&self, whom: Whom) -> Option<u32> {
        match whom {
            Whom::Other(number) => self.entries.get(&number).map(|entry| entry.conn),
            Whom::Nobody | Whom::Itself => None,
        }
    }

    /// Which worker has it.
    pub fn worker_of(&self, whom: Whom) -> Option<usize> {
        match whom {
            Whom::Other(number) => self.entries.get(&number).map(|entry| entry.worker),
            Whom::Nobody | Whom::Itself => None,
        }
    }

    /// Whether it must have been closed.
    pub fn is_over(&self, conn: u32) -> bool {
        let entry = self.numbers.get(&conn);
        let entry = entry.and_then(|number| self.entries.get(number));
        entry.is_some_and(|entry| entry.is_over)
    }
}

impl Client {
    /// Its number was told: no other has the same, and it never has another.
    pub(crate) fn learn_number(
        &mut self,
        ledger: &mut Ledger,
        number: i64,
    ) -> Result<(), &'static str> {
        let number = u64::try_from(number).map_err(|_| "a number below 0")?;
        if let Some(known) = self.identity.number.replace(number) {
            return match known == number {
                true => Ok(()),
                false => Err("another number than before"),
            };
        }
        ledger.roster.numbers.insert(self.conn, number);
        let peer = self.identity.peer;
        let entry = Entry {
            conn: self.conn,
            pool: self.pool,
            host: peer.map(|peer| peer.ip().to_canonical()),
            worker: self.worker,
            wire: self.wire,
            stays: self.means_to_stay(),
            aims: 0,
            is_killed: false,
            is_over: false,
            waits: false,
        };
        match ledger.roster.entries.insert(number, entry) {
            None => Ok(()),
            Some(_) => Err("the number of another client"),
        }
    }

    /// CLIENT KILL, in one of its forms.
    pub(crate) fn compose_kill(&mut self, scene: &mut Scene) -> (Vec<u8>, Want) {
        let Some(own) = self.identity.number else {
            return self.ask_number();
        };
        let request = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            redis::request(&words)
        };
        let killed = |whom| {
            let asked = scene.now;
            Want::Killed(Aim { whom, asked })
        };
        let text = own.to_string();
        match self.draw.below(12) {
            0 => {
                self.identity.is_ending = true;
                let words = ["CLIENT", "KILL", "ID", &text, "SKIPME", "no"];
                (request(&words), killed(Whom::Itself))
            }
            1 => {
                let words = ["client", "kill", "id", &text, "skipme", "YES"];
                let count = self.draw.pick(&[4, 6]);
                (request(&words[..count]), killed(Whom::Nobody))
            }
            2 if self.identity.peer.is_some() => {
                self.identity.is_ending = true;
                let peer = self.identity.peer.map(|peer| peer.to_string());
                let words = ["CLIENT", "KILL", &peer.unwrap_or_default()];
                (request(&words), Want::Bytes(b"+OK\r\n".to_vec()))
            }
            2 | 3 => {
                let bytes = b"-ERR No such client\r\n".to_vec();
                let address = self.draw.pick(&["10.1.0.1:1", "nobody"]);
                (request(&["CLIENT", "KILL", address]), Want::Bytes(bytes))
            }
            4 => {
                let (words, error): (&[&str], _) = self.draw.pick(&[
                    (&["CLIENT", "KILL", "ID", "0"][..], "ERR client-id"),
                    (&["CLIENT", "KILL", "ID", "one"], "ERR client-id"),
                    (&["CLIENT", "KILL", "USER", "x"], "ERR nutcrab knows"),
                ]);
                (request(words), Want::Error(error))
            }
            5 => {
                let number = (1 << 40) + self.draw.below(7);
                let words = ["CLIENT", "KILL", "ID", &number.to_string()];
                (request(&words), killed(Whom::Nobody))
            }
            _ => {
                let Some((number, whom)) = self.pick_other(scene) else {
                    return self.ask_number();
                };
                let words = ["CLIENT", "KILL", "SKIPME", "no", "ID", &number.to_string()];
                let first = self.draw.pick(&[2, 4]);
                let words = [&words[..2], &words[first..]].concat();
                let asked = scene.now;
                (request(&words), Want::Killed(Aim { whom, asked }))
            }
        }
    }

    /// Another connection, more often than not one that it may close and whose client is there.
    fn pick_other(&mut self, scene: &mut Scene) -> Option<(u64, Whom)> {
        let entries = &mut scene.ledger.roster.entries;
        let (pool, host) = (self.pool, self.identity.peer);
        let host = host.map(|peer| peer.ip().to_canonical());
        let is_own = |entry: &Entry| entry.pool == pool && entry.host == host;
        let is_meant = |entry: &Entry| entry.stays && is_own(entry);
        let others = entries.iter().filter(|(_, entry)| entry.conn != self.conn);
        let meant = others.clone().filter(|(_, entry)| is_meant(entry));
        let meant: Vec<u64> = meant.map(|(number, _)| *number).collect();
        let others: Vec<u64> = others.map(|(number, _)| *number).collect();
        let choices = match !meant.is_empty() && !self.draw.one_in(3) {
            true => meant,
            false => others,
        };
        if choices.is_empty() {
            return None;
        }
        let number = self.draw.pick(&choices);
        let entry = entries.get_mut(&number)?;
        if !is_own(entry) {
            return Some((number, Whom::Nobody));
        }
        entry.aims += 1;
        Some((number, Whom::Other(number)))
    }

    /// Whether there is one that it may wake.
    pub(crate) fn sees_waiters(&self, scene: &Scene) -> bool {
        let host = self.identity.peer.map(|peer| peer.ip().to_canonical());
        let is_own = |entry: &Entry| entry.pool == self.pool && entry.host == host;
        let mut entries = scene.ledger.roster.entries.values();
        entries.any(|entry| entry.waits && entry.conn != self.conn && is_own(entry))
    }

    /// Another connection, more often than not one that it may wake and whose client waits.
    pub(crate) fn pick_waiter(&mut self, scene: &mut Scene) -> Option<(u64, Whom)> {
        let entries = &scene.ledger.roster.entries;
        let (pool, host) = (self.pool, self.identity.peer);
        let host = host.map(|peer| peer.ip().to_canonical());
        let is_own = |entry: &Entry| entry.pool == pool && entry.host == host;
        let others = entries.iter().filter(|(_, entry)| entry.conn != self.conn);
        let meant = others
            .clone()
            .filter(|(_, entry)| entry.waits && is_own(entry));
        let meant: Vec<u64> = meant.map(|(number, _)| *number).collect();
        let others: Vec<u64> = others.map(|(number, _)| *number).collect();
        let choices = match !meant.is_empty() && !self.draw.one_in(6) {
            true => meant,
            false => others,
        };
        if choices.is_empty() {
            return None;
        }
        let number = self.draw.pick(&choices);
        match is_own(entries.get(&number)?) {
            true => Some((number, Whom::Other(number))),
            false => Some((number, Whom::Nobody)),
        }
    }

    /// Whether as many were closed as the reply says.
    pub(crate) fn accept_killed(
        &mut self,
        scene: &mut Scene,
        aim: Aim,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let Reply::Number(count) = reply else {
            return Err("another kind of reply");
        };
        let (worker, conn) = (self.worker, self.conn);
        let failed = scene.ledger.is_explained(aim.asked, self.pool, &Fault::ALL);
        let number = match (aim.whom, count) {
            (Whom::Nobody, 0) | (Whom::Itself, 1) => return Ok(()),
            (Whom::Nobody, _) => return Err("nobody was to be closed"),
            (Whom::Itself, _) => return Err("it was to be closed itself"),
            (Whom::Other(number), _) => number,
        };
        let Some(entry) = scene.ledger.roster.entries.get_mut(&number) else {
            return Err("nobody knows whom");
        };
        match count {
            1 if entry.is_killed => return Err("it was closed before"),
            1 => (entry.is_killed, entry.is_over) = (true, true),
            0 if entry.stays && entry.aims == 1 && !failed => {
                return Err("the connection is there");
            }
            0 => return Ok(()),
            _ => return Err("more than one"),
        }
        let is_here = entry.worker == worker;
        scene.ledger.count(match is_here {
            true => "clients that others closed",
            false => KILLED_ELSEWHERE,
        });
        self.plant_kill(scene, conn);
        Ok(())
    }

    /// Nobody is told whether a connection was closed, but it is.
    pub(crate) fn killed_unheard(scene: &mut Scene, aim: Aim) {
        if let Whom::Other(number) = aim.whom
            && let Some(entry) = scene.ledger.roster.entries.get_mut(&number)
        {
            entry.is_over = true;
        }
    }

    /// The negative control: another client is closed as well.
    fn plant_kill(&self, scene: &mut Scene, killer: u32) {
        let entries = scene.ledger.roster.entries.iter();
        let mut others =
            entries.filter(|(_, entry)| entry.conn != killer && entry.stays && entry.aims == 0);
        let Some((&number, _)) = others.next() else {
            return;
        };
        if scene.strikes(Plant::KillAnother)
            && let Some(entry) = scene.ledger.roster.entries.get_mut(&number)
        {
            // Nobody may have a reason to close it later.
            entry.pool = usize::MAX;
            scene.net.cut(scene.now, &mut scene.agenda, entry.wire);
        }
    }

    /// The negative control: another number of connections is told than were closed.
    pub(crate) fn plant_count(&self, scene: &mut Scene, inbox: &mut [u8], at: usize) {
        let Some(Want::Killed(aim) | Want::Unblocked(aim)) =
            self.waiting.front().map(|pending| &pending.want)
        else {
            return;
        };
        let is_sure = !matches!(aim.whom, Whom::Other(_));
        let digit = match inbox.get(at..) {
            Some([b':', digit, ..]) if is_sure => *digit,
            _ => return,
        };
        if matches!(digit, b'0' | b'1') && scene.strikes(Plant::Miscount) {
            inbox[at + 1] ^= 1;
        }
    }
}
