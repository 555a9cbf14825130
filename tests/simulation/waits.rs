//! Clients that wait at a server: for an element of a list or stream, and for replicas.
//!
//! WAIT carries its request's number as the number of replicas it asks for. A server answers with one
//! that depends on that and on the server, and only behind the mark that takes the connection to the
//! present. The reply must be the smallest of those of all servers that had executed anything for the
//! client.

use crate::client::Client;
use crate::judging::Want;
use crate::ledger::Ledger;
use crate::redis::{self, Reply};
use crate::scene::{Phase, Scene};
use crate::sessions::Wanted;
use crate::store::Outcome;
use crate::value::{Mark, Shape};

/// How many replicas a server says there are for the request of this mark.
fn replicas(mark: Mark, server: usize) -> i64 {
    let mixed = u64::from(mark.conn) * 7 + u64::from(mark.seq) * 3 + server as u64 * 5;
    (mixed % 11) as i64
}

/// Executes WAIT or WAITAOF.
pub fn execute(args: &[Vec<u8>], server: usize, outcome: &mut Outcome) -> Result<(), String> {
    let both = args.len() == 4;
    let number = args.get(if both { 2 } else { 1 });
    let text = number.and_then(|text| std::str::from_utf8(text).ok());
    let mark = text.and_then(|text| Mark::read(text.parse().ok()?));
    let mark = mark.ok_or("WAIT for nobody")?;
    let count = replicas(mark, server);
    // The smallest number hides what the others say.
    outcome.is_share = true;
    outcome.marks.push(Mark {
        part: server as u32,
        ..mark
    });
    outcome.reply = match both {
        true => format!("*2\r\n:1\r\n:{count}\r\n").into_bytes(),
        false => format!(":{count}\r\n").into_bytes(),
    };
    Ok(())
}

impl Client {
    /// A command that waits at its server. How long stands where the number of elements does.
    pub(crate) fn wait(&mut self, scene: &mut Scene, seq: u32) -> (Vec<u8>, Want) {
        let ends = scene.plan.pools[self.pool].kills > 0;
        if ends && self.identity.number.is_none() && self.draw.one_in(2) {
            return self.ask_number();
        }
        scene.ledger.roster.waits(self.conn, true);
        if self.draw.one_in(3) {
            return self.wait_for_replicas(seq);
        }
        let pops = self.draw.one_in(2);
        let found = if pops { Shape::Array } else { Shape::Map };
        let shape = self.draw.pick(&[found, Shape::NilArray]);
        let key = self.echo(seq, 0, shape, 50);
        let long = scene.phase == Phase::Faults && !self.session.waited && self.draw.one_in(8);
        self.session.waited |= long;
        // Others may end it.
        let most = if ends { 400 } else { 50 };
        let wait = if long { 3000 } else { self.draw.below(most) };
        let wait = format!("0.{wait:06}");
        let request = if pops {
            redis::request(&[b"BLPOP", &key, wait.as_bytes()])
        } else {
            redis::request(&[b"XREAD", b"BLOCK", wait.as_bytes(), b"STREAMS", &key, b"$"])
        };
        (request, Want::Session(Wanted::Waited(key)))
    }

    fn wait_for_replicas(&mut self, seq: u32) -> (Vec<u8>, Want) {
        let mark = self.mark(seq, 0);
        let number = mark.number().to_string();
        let millis = self.draw.within(1, 50).to_string();
        let both = self.draw.one_in(3);
        let request = match both {
            true => redis::request(&[b"WAITAOF", b"1", number.as_bytes(), millis.as_bytes()]),
            false => redis::request(&[b"wait", number.as_bytes(), millis.as_bytes()]),
        };
        (request, Want::Session(Wanted::Replicated(mark, both)))
    }

    /// Whether the reply to WAIT is what it must be.
    pub(crate) fn replicated(
        &self,
        ledger: &mut Ledger,
        mark: Mark,
        both: bool,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let count = match reply {
            Reply::Number(count) if !both => *count,
            Reply::Array(Some(counts)) if both && counts.len() == 2 => {
                let [Reply::Number(1), Reply::Number(count)] = counts[..] else {
                    return Err("other numbers");
                };
                count
            }
            _ => return Err("another kind of reply"),
        };
        let asked: Vec<u32> = ledger.parts(mark).collect();
        if ledger.missed_by(mark, &asked) {
            return Err("a server that has served the client was not asked");
        }
        let least = asked
            .iter()
            .map(|&server| replicas(mark, server as usize))
            .min();
        if least != Some(count) {
            return Err("another number");
        }
        ledger.count(if asked.len() > 1 {
            "waits for several servers"
        } else {
            "waits for a server"
        });
        Ok(())
    }
}
