//! Negative controls: mix-ups caused on purpose, once, to see that the ledger finds them.
//!
//! They happen between a model server and the wire, or between the wire and a client, where no proxy
//! could notice, or one that does not compare replies with their requests: to the clients it looks as if
//! the proxy had done it. A run without a finding is void if these are not found.

use crate::agenda::Micros;
use crate::plan::{Plan, PoolPlan};
use crate::scene::Scene;
use crate::store::Outcome;
use crate::{binary, memcache};

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
    /// A value with a unique number that is none is said to be stored.
    StoreAnyway,
    /// A server does not do what all are told to do, and says that it did.
    Shirk,
    /// A value is left out of a reply to a get.
    LeaveOut,
    /// Two values of one reply to a get change places.
    SwapValues,
    /// A page of SCAN lacks keys of one server that were there all the while.
    DropKeys,
    /// A reply is given that was to be left out.
    Unmute,
    /// Behind a reply that is left out another one is.
    Swallow,
    /// A request whose reply is left out is not done.
    Neglect,
    /// With a client that is to be closed another one is.
    KillAnother,
    /// Another number of clients is told than were closed.
    Miscount,
    /// A call gets what another library's function came to.
    OtherFunction,
    /// A server keeps its keys when all are told to forget theirs, and says that it did.
    KeepKeys,
    /// RANDOMKEY tells a key that was never there.
    StrangeKey,
    /// RANDOMKEY tells that there is no key, and there are.
    NoKey,
    /// A server's share of a sum is wrong.
    WrongShare,
    /// A client that reads slowly is cut off.
    CutSlow,
    /// A server that has returned is held to what it did before.
    Grudge,
    /// A server fails as often as its limit says, and is not ejected.
    Forgive,
    /// A client whose commands ran without MULTI is told that nothing was done.
    Conceal,
    /// The reply to `stats` has no end.
    Endless,
    /// Another client's wait is ended than the one that is meant.
    WakeAnother,
    /// A script is answered with something else a server may say.
    Paraphrase,
    /// A server that says something odd is held to have failed.
    Blame,
    /// What was executed when its connection broke is sent again over another.
    SendTwice,
    /// A client that holds next to nothing is closed for what it holds.
    ShedSmallest,
    /// A client that goes beyond a limit is cut off.
    CutBeyond,
    /// A listener is told something twice.
    TellTwice,
    /// A script is said to have ended that never ran.
    Pretend,
    /// A client that holds next to nothing is closed in a moment in which memory is scarce.
    ShedPoor,
    /// Requests are refused for want of memory while a hoarder has it.
    RefuseAnyway,
    /// What hoarders held is never free again.
    KeepMemory,
    /// The workers are not told that memory gets scarce.
    Overrun,
}

impl Plant {
    /// Every one.
    pub const ALL: [Plant; 41] = [
        Plant::SwapClients,
        Plant::SwapRequests,
        Plant::Lose,
        Plant::Repeat,
        Plant::Spoil,
        Plant::Excuse,
        Plant::CountTwice,
        Plant::OtherVersion,
        Plant::OtherScript,
        Plant::StoreAnyway,
        Plant::Shirk,
        Plant::LeaveOut,
        Plant::SwapValues,
        Plant::DropKeys,
        Plant::Unmute,
        Plant::Swallow,
        Plant::Neglect,
        Plant::KillAnother,
        Plant::Miscount,
        Plant::OtherFunction,
        Plant::KeepKeys,
        Plant::StrangeKey,
        Plant::NoKey,
        Plant::WrongShare,
        Plant::CutSlow,
        Plant::Grudge,
        Plant::Forgive,
        Plant::Conceal,
        Plant::Endless,
        Plant::WakeAnother,
        Plant::Paraphrase,
        Plant::Blame,
        Plant::SendTwice,
        Plant::ShedSmallest,
        Plant::CutBeyond,
        Plant::TellTwice,
        Plant::Pretend,
        Plant::ShedPoor,
        Plant::RefuseAnyway,
        Plant::KeepMemory,
        Plant::Overrun,
    ];

    /// Whether it may strike where it changes nothing for any client: one that is told twice may have ended
    /// its subscription meanwhile.
    pub fn may_miss(self) -> bool {
        self == Plant::TellTwice
    }

    /// Whether it takes clients that hold much memory. Such runs carry megabytes and take long.
    pub fn needs_hoarders(self) -> bool {
        matches!(
            self,
            Plant::ShedSmallest | Plant::RefuseAnyway | Plant::KeepMemory | Plant::Overrun
        )
    }
}

/// Whether a client must notice that a reply is not its own. It cannot know it of a count: others
/// increment its counters, and of its keys some may be in doubt.
fn tells(reply: &[u8]) -> bool {
    let is_count = reply.starts_with(b":") || reply.first().is_some_and(u8::is_ascii_digit);
    // That a key was there says no more.
    let is_sign = reply.starts_with(b"HD ");
    // A binary reply carries its request's number.
    !is_count && !is_sign && reply != b"DELETED\r\n" && reply != b"NOT_FOUND\r\n"
}

/// Not before this, so that the run is well under way.
const EARLIEST: Micros = 20_000;

impl Plan {
    /// Makes clients ask more often for what this needs, if few do.
    pub(crate) fn favour(&mut self, plant: Plant) {
        let share: fn(&mut PoolPlan) -> &mut u32 = match plant {
            // Of the few who look for their own keys alone, few have any.
            Plant::DropKeys => |pool| &mut pool.scans,
            Plant::OtherFunction => |pool| &mut pool.functions,
            Plant::KeepKeys => |pool| &mut pool.wipes,
            Plant::Conceal | Plant::TellTwice => |pool| &mut pool.sessions,
            Plant::Paraphrase | Plant::Blame => |pool| &mut pool.sayings,
            Plant::Endless => |pool| &mut pool.odd,
            Plant::StrangeKey | Plant::NoKey | Plant::WrongShare => |pool| &mut pool.fans,
            _ => return,
        };
        self.widen();
        for pool in &mut self.pools {
            *share(pool) = 200;
            if plant == Plant::Conceal {
                pool.no_multi = Some(3 * EARLIEST);
            }
            pool.requests = pool.requests.max(100);
        }
    }
}

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

    /// A command of memcached was executed: stores what must not be, or leaves undone what all do.
    pub fn plant_in_outcome(&mut self, args: &[Vec<u8>], outcome: &mut Outcome) {
        // Of numbers that are none, see `storing`.
        let is_wrong = args.first().is_some_and(|name| name == b"cas")
            && args.get(5).is_some_and(|unique| unique.len() > 18);
        if is_wrong && outcome.reply == b"EXISTS\r\n" && self.strikes(Plant::StoreAnyway) {
            outcome.reply = b"STORED\r\n".to_vec();
        }
        let first = args.first().map(Vec::as_slice);
        let end_len = match first {
            Some(b"stats") => b"END\r\n".len(),
            Some([binary::STAT]) => binary::HEADER,
            _ => 0,
        };
        let end = outcome.reply.len().saturating_sub(end_len);
        if end_len > 0 && self.strikes(Plant::Endless) {
            outcome.reply.truncate(end);
        }
        let all_succeed = !self.plan.is_heavy();
        let heard = !outcome.reply.is_empty() && all_succeed;
        if outcome.everywhere.is_some() && heard && self.strikes(Plant::Shirk) {
            outcome.everywhere = None;
        }
    }

    /// Replies are about to leave a server over one connection, each with who asked.
    pub fn plant_in_replies(&mut self, batch: &mut Vec<(Option<u32>, Vec<u8>)>) {
        let Some(plant) = self.plant.filter(|_| self.now >= EARLIEST) else {
            return;
        };
        // Where servers may be late, a value may be missing in a pool that takes failures for misses.
        let is_excused = self.plan.is_heavy();
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
            Plant::LeaveOut => batch.iter().position(|(asker, reply)| {
                !is_excused && asker.is_some() && reply.starts_with(b"VALUE e:")
            }),
            Plant::SwapValues => batch.iter().position(|(asker, reply)| {
                let blocks = memcache::blocks(reply);
                // Gets of several requests that share a line may be answered in any order.
                let asked = |block: &[u8]| memcache::asked_by(block);
                asker.is_some()
                    && blocks.len() > 1
                    && blocks[0] != blocks[1]
                    && asked(blocks[0]).is_some()
                    && asked(blocks[0]) == asked(blocks[1])
            }),
            // These are done elsewhere.
            _ => None,
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
            Plant::LeaveOut => {
                let reply = &mut batch[at].1;
                let first = memcache::blocks(reply)[0].len();
                reply.drain(..first);
            }
            Plant::SwapValues => {
                let reply = &mut batch[at].1;
                let first = memcache::blocks(reply)[0].len();
                let second = memcache::blocks(reply)[1].len();
                reply[..first + second].rotate_left(first);
            }
            _ => {}
        }
    }
}
