//! Negative controls: mix-ups caused on purpose, once, to see that the ledger finds them.
//!
//! They happen between a model server and the wire, or between the wire and a client, where no proxy
//! could notice: to the clients it looks as if the proxy had done it. A run without a finding is void if
//! these are not found.

use crate::agenda::Micros;
use crate::binary;
use crate::scene::Scene;

/// What is done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Two replies to two clients change places.
    SwapClients,
    /// Two replies to one client change places.
    SwapRequests,
    /// A reply is lost, and those behind it move up.
    Lose,
    /// A reply is given twice.
    Repeat,
    /// One byte of a reply is wrong.
    Spoil,
    /// A reply becomes an error of the proxy's that nothing explains.
    Excuse,
    /// A counter is incremented twice by one request.
    CountTwice,
    /// A client gets a reply in the version of the protocol it does not speak.
    OtherVersion,
    /// A request gets what another script came to.
    OtherScript,
}

impl Plant {
    /// Every one.
    pub const ALL: [Plant; 9] = [
        Plant::SwapClients,
        Plant::SwapRequests,
        Plant::Lose,
        Plant::Repeat,
        Plant::Spoil,
        Plant::Excuse,
        Plant::CountTwice,
        Plant::OtherVersion,
        Plant::OtherScript,
    ];
}

/// Whether a client must notice that a reply is not its own. It cannot know it of a count: others
/// increment its counters, and of its keys some may be in doubt.
fn tells(reply: &[u8]) -> bool {
    let is_count = reply.starts_with(b":") || reply.first().is_some_and(u8::is_ascii_digit);
    // A binary reply carries its request's number.
    !is_count && reply != b"DELETED\r\n" && reply != b"NOT_FOUND\r\n"
}

/// Not before this, so that the run is well under way.
const EARLIEST: Micros = 20_000;

impl Scene {
    /// Whether `plant` is to be done now; if so it is not done again.
    pub fn strikes(&mut self, plant: Plant) -> bool {
        let strikes = self.plant == Some(plant) && self.now >= EARLIEST;
        if strikes {
            self.ledger
                .note(self.now, || format!("{plant:?} is planted"));
            self.plant = None;
        }
        strikes
    }

    /// Replies are about to leave a server over one connection, each with who asked.
    pub fn plant_in_replies(&mut self, batch: &mut Vec<(Option<u32>, Vec<u8>)>) {
        let Some(plant) = self.plant.filter(|_| self.now >= EARLIEST) else {
            return;
        };
        let pair = |same: bool| {
            let fits = |pair: &[(Option<u32>, Vec<u8>)]| {
                let known = pair[0].0.is_some() && pair[1].0.is_some();
                let telling = pair.iter().any(|(_, reply)| tells(reply));
                let differ = telling && pair[0].1 != pair[1].1;
                known && (pair[0].0 == pair[1].0) == same && differ
            };
            batch.windows(2).position(fits)
        };
        let at = match plant {
            Plant::SwapClients => pair(false),
            Plant::SwapRequests | Plant::Lose | Plant::Repeat => pair(true),
            // A count may be one more or less for all the client knows; what is longer may not. Of a
            // binary reply only a value is looked at.
            Plant::Spoil | Plant::Excuse => batch.iter().position(|(asker, reply)| {
                let least = if reply.first() == Some(&0x81) { 40 } else { 10 };
                asker.is_some() && reply.len() > least
            }),
            Plant::CountTwice | Plant::OtherVersion | Plant::OtherScript => None,
        };
        let Some(at) = at else { return };
        if !self.strikes(plant) {
            return;
        }
        match plant {
            Plant::SwapClients | Plant::SwapRequests => {
                let (front, back) = batch.split_at_mut(at + 1);
                std::mem::swap(&mut front[at].1, &mut back[0].1);
            }
            Plant::Lose => {
                batch.remove(at);
            }
            Plant::Repeat => batch.insert(at, batch[at].clone()),
            Plant::Spoil => {
                let reply = &mut batch[at].1;
                let place = reply.len() - 3;
                reply[place] ^= 1;
            }
            Plant::Excuse => {
                let reply = &mut batch[at].1;
                *reply = match reply[0] {
                    b'+' | b'-' | b':' | b'$' | b'*' => b"-ERR unknown\r\n".to_vec(),
                    0x81 => binary::error(reply, b"unknown"),
                    _ => b"SERVER_ERROR unknown\r\n".to_vec(),
                };
            }
            Plant::CountTwice | Plant::OtherVersion | Plant::OtherScript => {}
        }
    }
}
