//! `CLIENT UNBLOCK`: clients that end what others wait for, whichever worker has them.
//!
//! A server knows its connections by numbers, and ends what one of them waits for when it is told to. The
//! client that waited must then get exactly what its server said, and must be one that somebody meant who
//! may; those who ask are told of no more ends than there were.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Client;
use crate::judging::Want;
use crate::killing::Aim;
use crate::plant::Plant;
use crate::redis::{self, Reply};
use crate::scene::Scene;
use crate::server::{Conn, Server};
use crate::value::{self, Mark};

/// What is counted when a wait was ended by a client of another worker.
pub const WOKEN_ELSEWHERE: &str = "waits that others ended over workers";

const UNBLOCKED: &[u8] = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

/// Waits that others end.
#[derive(Debug, Default)]
pub struct Wakes {
    /// Client connections whose waits somebody who may wanted ended.
    meant: BTreeSet<u32>,
    /// How often a server has ended one of theirs, and how often that was told.
    ended: BTreeMap<u32, u32>,
    told: BTreeMap<u32, u32>,
    /// What each wait that was ended was answered.
    replies: BTreeMap<(u32, u32), Vec<u8>>,
}

impl Wakes {
    /// Whether a server has ended this wait, by what it said then.
    pub fn is_end(&self, mark: Mark, raw: &[u8]) -> bool {
        let reply = self.replies.get(&(mark.conn, mark.seq));
        reply.is_some_and(|reply| reply == raw)
    }

    /// Whether a server has ended this wait.
    pub fn is_ended(&self, mark: Mark) -> bool {
        self.replies.contains_key(&(mark.conn, mark.seq))
    }
}

/// Who waits with this request.
fn waiter(args: &[Vec<u8>]) -> Option<Mark> {
    let replicas = args[0][..4].eq_ignore_ascii_case(b"WAIT");
    if replicas {
        let number = args.get(args.len() - 2)?;
        return Mark::read(std::str::from_utf8(number).ok()?.parse().ok()?);
    }
    let mut marks = args.iter().filter_map(|arg| value::read_echo(arg));
    marks.next().map(|echo| echo.mark)
}

impl Server {
    /// A command about connections; says what it comes to if it is one.
    pub(crate) fn about_connections(
        &mut self,
        scene: &mut Scene,
        conn: &Conn,
        args: &[Vec<u8>],
    ) -> Option<Vec<u8>> {
        let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        match words[..] {
            [b"CLIENT", b"ID"] => Some(format!(":{}\r\n", conn.number).into_bytes()),
            [b"CLIENT", b"UNBLOCK", number, ending] => {
                let number = std::str::from_utf8(number).ok()?.parse().ok()?;
                let number = self.misled(scene, number);
                let woken = self.end_wait(scene, number, ending == b"ERROR");
                Some(format!(":{}\r\n", u32::from(woken)).into_bytes())
            }
            _ => None,
        }
    }

    /// The negative control: a connection is meant whose client nobody wants to wake.
    fn misled(&mut self, scene: &mut Scene, number: u64) -> u64 {
        let is_meant = |conn: &Conn| {
            let mark = conn
                .held
                .waiting
                .as_ref()
                .and_then(|(_, args)| waiter(args));
            mark.is_none_or(|mark| scene.ledger.wakes.meant.contains(&mark.conn))
        };
        let mut others = self.conns.iter().flatten().filter(|conn| !is_meant(conn));
        match others.next().map(|conn| conn.number) {
            Some(other) if scene.strikes(Plant::WakeAnother) => other,
            _ => number,
        }
    }

    /// Ends what a connection waits for, if it does.
    fn end_wait(&mut self, scene: &mut Scene, number: u64, fails: bool) -> bool {
        let index = number as usize - 1;
        let Some(Some(conn)) = self.conns.get_mut(index) else {
            return false;
        };
        if conn.mute || conn.closing {
            return false;
        }
        let Some((_, args)) = &conn.held.waiting else {
            return false;
        };
        let Some(mark) = waiter(args) else {
            scene.ledger.violate(scene.now, "a wait of nobody");
            return false;
        };
        let replicas = args[0][..4].eq_ignore_ascii_case(b"WAIT");
        let version = conn.version;
        if !scene.ledger.wakes.meant.contains(&mark.conn) {
            let text = format!("{mark:?} is woken, whom nobody meant");
            scene.ledger.violate(scene.now, text);
        }
        *scene.ledger.wakes.ended.entry(mark.conn).or_default() += 1;
        scene
            .ledger
            .note(scene.now, || format!("the wait of {mark:?} is ended"));
        if replicas && !fails {
            // It tells how many there are.
            if let Some(waiting) = &mut conn.held.waiting {
                waiting.0 = scene.now;
            }
        } else {
            conn.held.waiting = None;
            let reply = match fails {
                true => UNBLOCKED.to_vec(),
                false => version.nothing(b"*-1\r\n").to_vec(),
            };
            conn.out.extend(&reply);
            let replies = &mut scene.ledger.wakes.replies;
            replies.insert((mark.conn, mark.seq), reply);
        }
        self.wake(scene, index, scene.now);
        true
    }
}

impl Client {
    /// CLIENT UNBLOCK, in one of its forms.
    pub(crate) fn compose_unblock(&mut self, scene: &mut Scene) -> (Vec<u8>, Want) {
        let request = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            redis::request(&words)
        };
        if self.draw.one_in(10) {
            let (words, error): (&[&str], _) = self.draw.pick(&[
                (
                    &["CLIENT", "UNBLOCK", "x"][..],
                    "ERR value is not an integer",
                ),
                (
                    &["CLIENT", "UNBLOCK", "1", "x"],
                    "ERR CLIENT UNBLOCK reason",
                ),
            ]);
            return (request(words), Want::Error(error));
        }
        let Some((number, whom)) = self.pick_waiter(scene) else {
            return self.ask_number();
        };
        if let Some(conn) = scene.ledger.roster.conn_of(whom) {
            scene.ledger.wakes.meant.insert(conn);
        }
        let number = number.to_string();
        let words = [
            "CLIENT",
            "unblock",
            &number,
            self.draw.pick(&["TIMEOUT", "error"]),
        ];
        let count = self.draw.pick(&[3, 4]);
        let asked = scene.now;
        (
            request(&words[..count]),
            Want::Unblocked(Aim { whom, asked }),
        )
    }

    /// Whether as many waits were ended as the reply says.
    pub(crate) fn accept_unblocked(
        &self,
        scene: &mut Scene,
        aim: Aim,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let conn = scene.ledger.roster.conn_of(aim.whom);
        match (conn, reply) {
            (_, Reply::Number(0)) => return Ok(()),
            (None, Reply::Number(1)) => return Err("nobody was to be woken"),
            (Some(conn), Reply::Number(1)) => {
                let wakes = &mut scene.ledger.wakes;
                let told = wakes.told.entry(conn).or_default();
                *told += 1;
                if *told > wakes.ended.get(&conn).copied().unwrap_or_default() {
                    return Err("nobody was woken");
                }
            }
            (_, Reply::Number(_)) => return Err("more than one"),
            _ => return Err("another kind of reply"),
        }
        let is_here = scene.ledger.roster.worker_of(aim.whom) == Some(self.worker);
        scene.ledger.count(match is_here {
            true => "waits that others ended",
            false => WOKEN_ELSEWHERE,
        });
        Ok(())
    }
}

/// Whether a wait may have been answered so because it was ended.
pub fn is_end_of_wait(scene: &Scene, key: &[u8], raw: &[u8]) -> bool {
    let echo = value::read_echo(key);
    echo.is_some_and(|echo| scene.ledger.wakes.is_end(echo.mark, raw))
}
