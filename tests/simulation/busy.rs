//! Servers that run a script for too long: they refuse nearly everything, and answer the order to end it.
//!
//! Until it ends such a server says `-BUSY` to whatever is not about a connection or a transaction, SELECT
//! among it. What ends the script must come over a connection on which nothing else is asked, or it would
//! wait behind what the script holds up. A client may be told that a script was ended only as often as a
//! server has said so; and a server that is busy has not failed, unless no connection could be greeted.

use crate::client::Client;
use crate::draw::Draw;
use crate::ledger::Fault;
use crate::plan::Plan;
use crate::plant::Plant;
use crate::redis;
use crate::scene::Scene;
use crate::server::{Conn, Mood, Server};

/// What keeps a server busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// A script.
    Script,
    /// A function.
    Function,
    /// A script that has written, and so cannot be ended.
    Writer,
}

/// Orders to end something that runs, and how often clients were told that it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Servers' words that it was ended.
    said: u64,
    told: u64,
}

impl Ends {
    /// A client is told of one. Says whether that can be.
    fn tell(&mut self) -> bool {
        self.told += 1;
        self.told <= self.said
    }
}

/// What a client is told when something was ended.
const ENDED: &[u8] = b"+OK\r\n";

/// What a server says that runs nothing.
const NOT_BUSY: &[u8] = b"-NOTBUSY No scripts in execution right now.\r\n";

/// Counted when a server says that.
pub const ENDED_ONE: &str = "scripts that were ended";

/// Counted when a server was busy, and what it was asked had to go past all else.
pub const OVERTOOK: &str = "orders to a busy server";

impl Runs {
    /// What the server says meanwhile.
    fn refusal(self) -> &'static str {
        match self {
            Runs::Function => {
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
            }
            _ => {
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
            }
        }
    }

    /// What becomes of the order to end a script or, otherwise, a function.
    fn end(self, is_script: bool) -> Result<(), String> {
        match self {
            Runs::Writer => {
                Err("UNKILLABLE Sorry the script already executed write commands".into())
            }
            Runs::Script if is_script => Ok(()),
            Runs::Function if !is_script => Ok(()),
            _ => Err(self.refusal().into()),
        }
    }
}

/// Whether a command is one that must overtake all others.
fn overtakes(args: &[Vec<u8>]) -> bool {
    let words: Vec<Vec<u8>> = args
        .iter()
        .take(2)
        .map(|word| word.to_ascii_uppercase())
        .collect();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    matches!(
        words[..],
        [b"SCRIPT" | b"FUNCTION", b"KILL"] | [b"FUNCTION", b"STATS"] | [b"SHUTDOWN", ..]
    )
}

impl Plan {
    /// Some plans with faults have busy servers. Drawn from a stream of its own.
    pub(crate) fn draw_busy(&mut self) {
        if !self.faults.is_empty() && Draw::new(self.seed ^ 0xb05e).one_in(4) {
            self.faults.push(Fault::Busy);
        }
    }
}

impl Server {
    /// What it is asked over a connection, if it is busy: the reply to what it does not do then.
    pub(crate) fn refuse_busy(
        &mut self,
        scene: &mut Scene,
        conn: &mut Conn,
        args: &[Vec<u8>],
    ) -> Option<Vec<u8>> {
        let overtakes = overtakes(args);
        if conn
            .apart
            .replace(overtakes)
            .is_some_and(|apart| apart != overtakes)
        {
            let text = format!("server {} is asked {args:?} behind others", self.index);
            scene.ledger.violate(scene.now, text);
        }
        let Mood::Busy(runs) = self.mood else {
            let ends = &mut scene.ledger.ends[self.pool];
            let kills = overtakes && args[1].eq_ignore_ascii_case(b"KILL");
            // Where there are others one of them may have ended something.
            let is_alone = scene.plan.pools[self.pool].config.servers.len() == 1;
            let fits = kills && is_alone && ends.said == ends.told;
            let explained = scene
                .ledger
                .is_explained(scene.now, self.pool, &[Fault::Busy]);
            let pretends = fits && explained && scene.strikes(Plant::Pretend);
            return pretends.then(|| ENDED.to_vec());
        };
        if !overtakes {
            return conn.held.refuse(args, runs.refusal());
        }
        scene.ledger.count(OVERTOOK);
        if !args[1].eq_ignore_ascii_case(b"KILL") {
            return None;
        }
        Some(match runs.end(args[0].eq_ignore_ascii_case(b"SCRIPT")) {
            Ok(()) => {
                (self.mood, self.spell) = (Mood::Up, None);
                scene
                    .ledger
                    .strike(scene.now, self.pool, Fault::Busy, scene.now);
                scene.ledger.ends[self.pool].said += 1;
                scene.ledger.count(ENDED_ONE);
                ENDED.to_vec()
            }
            Err(text) => format!("-{text}\r\n").into_bytes(),
        })
    }
}

impl Client {
    /// An order to end what a server runs, where servers may be busy: most when one was.
    pub(crate) fn compose_end(&mut self, scene: &Scene) -> Option<&'static str> {
        let met = std::mem::take(&mut self.has_met_busy);
        let may_be = scene.plan.has(Fault::Busy) && (met || self.draw.permille(20));
        let orders = ["SCRIPT|KILL", "FUNCTION|KILL", "FUNCTION|STATS"];
        let most = if met { 2 } else { 3 };
        may_be.then(|| self.draw.pick(&orders[..most]))
    }

    /// Whether this may be the reply to an order to end what a server runs, because one was busy.
    pub(crate) fn accept_end(&self, scene: &mut Scene, raw: &[u8]) -> bool {
        if !scene
            .ledger
            .is_explained(scene.now, self.pool, &[Fault::Busy])
        {
            return false;
        }
        let is_told = raw == ENDED && scene.ledger.ends[self.pool].tell();
        is_told || raw == NOT_BUSY
    }
}

/// The reply to a command that is refused within a transaction, or instead of EXEC.
pub fn refused(is_exec: bool, why: &str) -> Vec<u8> {
    match is_exec {
        true => format!("-EXECABORT Transaction discarded because of: {why}\r\n").into_bytes(),
        false => format!("-{why}\r\n").into_bytes(),
    }
}

#[test]
fn no_more_scripts_are_told_to_have_ended_than_servers_said() {
    let mut ends = Ends { said: 2, told: 0 };
    assert_eq!([ends.tell(), ends.tell(), ends.tell()], [true, true, false]);
}

#[test]
fn what_is_about_a_busy_server_overtakes() {
    let of = |words: &[&[u8]]| overtakes(&redis::arguments(&redis::request(words)));
    assert!(of(&[b"script", b"KILL"]) && of(&[b"FUNCTION", b"stats"]));
    assert!(!of(&[b"SCRIPT", b"LOAD", b"x"]) && !of(&[b"GET", b"KILL"]));
}
