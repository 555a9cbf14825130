//! `CLIENT UNBLOCK`: a client ends what another one of its own waits for.
//!
//! A client that waits at a server (`BLPOP`, `XREAD BLOCK`, `WAIT`) has a connection of its own there. That
//! server alone knows whether there is something for it in that very moment, so it is asked to end the wait,
//! by the number it gave the connection. What it then says there is the waiting client's reply, as ever:
//! nothing is lost, and nothing is said twice.
//!
//! ```text
//!   client's own connection   CLIENT ID   BLPOP q 0 ........................ *-1
//!   shared connection                             CLIENT UNBLOCK 57 TIMEOUT  :1
//! ```
//!
//! The number is asked for before the first wait on a connection, in the same write. Where a server does not
//! tell it, or the wait has not begun, 0 is the answer, as it is for those who do not wait.
//!
//! By the time its server is asked, the connection may have served that wait. So it serves no other one
//! afterwards: the next client would be woken.

use super::Proxy;
use super::calls::{Call, Deed};
use super::cause::Cause;
use super::ids::{ClientId, LinkId};
use super::link::{InFlight, Link, Role, State};
use super::local::Told;
use super::time::Time;
use crate::buffer::Input;
use crate::protocol::Protocol;
use crate::protocol::redis::write::Writer;

/// Asks a server for the number of a connection.
pub(super) const NUMBER: &[u8] = b"*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n";

/// No request to end a wait is longer.
const LONGEST: usize = 256;

/// How a wait ends that another client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As if its time were over.
    Timeout,
    /// With an error.
    Error,
}

/// A call whose outcome depends on servers.
#[derive(Debug)]
pub(super) struct Unblocking {
    call: Call,
    ending: Ending,
    /// The connections whose waits are to end; `None` once their server has ended it.
    waits: Vec<Option<LinkId>>,
    /// Servers that have not answered.
    pending: usize,
    /// How often those that had not begun to wait were asked again.
    rounds: u32,
    woken: bool,
    failure: Option<Cause>,
}

/// Where one server of several has ended its wait, and another had not begun, it is asked so often.
const ROUNDS: u32 = 100;

impl Link {
    /// The server has said which number the connection has there, or that it does not say.
    pub fn note_number(&mut self, start: &[u8; 24]) {
        self.asks_number = false;
        self.number = number(start);
    }
}

/// The number that a reply is.
pub(super) fn number(reply: &[u8]) -> Option<u64> {
    let digits = reply.strip_prefix(b":")?;
    let end = digits.windows(2).position(|end| end == b"\r\n")?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

impl Proxy {
    /// Whether a request is one to end a wait that must not overtake what its client asked before.
    pub(super) fn is_early_unblock(&self, id: ClientId, input: Input<'_>) -> bool {
        let Some(client) = self.clients.find(id) else {
            return false;
        };
        let is_long = input.len() > LONGEST;
        !client.ring.is_empty() && !is_long && {
            let words = crate::protocol::redis::request::words(input.bytes());
            words
                .get(1)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"UNBLOCK"))
        }
    }

    /// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`.
    pub(super) fn client_unblock(
        &mut self,
        id: ClientId,
        words: &[&[u8]],
        reply: &mut Writer,
    ) -> Told {
        let ending = match words.get(1) {
            None => Ending::Timeout,
            Some(word) if word.eq_ignore_ascii_case(b"TIMEOUT") => Ending::Timeout,
            Some(word) if word.eq_ignore_ascii_case(b"ERROR") => Ending::Error,
            Some(_) => {
                reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
                return Told::Reply;
            }
        };
        let text = words
            .first()
            .and_then(|word| std::str::from_utf8(word).ok());
        let Some(number) = text.and_then(|text| text.parse::<i64>().ok()) else {
            reply.error("ERR value is not an integer or out of range");
            return Told::Reply;
        };
        match u64::try_from(number) {
            Ok(number) if number > 0 => self.begin_call(id, number, Deed::Unblock(ending)),
            _ => {
                reply.integer(0);
                Told::Reply
            }
        }
    }

    /// Asks for the number of a connection on which a client is about to wait, if it is not known.
    pub(super) fn ask_number(&mut self, link: LinkId) {
        let entry = InFlight {
            role: Role::Number,
            family: Role::Number.family(),
            // Nothing is late while a client waits for as long as it likes.
            ..InFlight::unheard(0, Time::NEVER)
        };
        let Some(target) = self.links.find_mut(link) else {
            return;
        };
        if target.number.is_some() || target.asks_number || target.protocol != Protocol::Redis {
            return;
        }
        target.asks_number = true;
        self.send_bytes(link, entry, NUMBER);
    }

    /// Ends what a client of this worker waits for.
    pub(super) fn unblock_own_client(&mut self, call: &Call, ending: Ending) {
        let client = self.own_client(call.whom);
        let client = client.and_then(|id| self.clients.find(id));
        let session = client.and_then(|client| client.session.as_deref());
        let waits = session.map_or(&[][..], |session| &session.blocked);
        let has_begun = |&link: &LinkId| {
            let link = self.links.find(link);
            link.is_some_and(|link| link.number.is_some() && link.state == State::Ready)
        };
        if waits.is_empty() || !waits.iter().all(has_begun) {
            return self.give_return(call, Ok(false));
        }
        let unblocking = Unblocking {
            call: *call,
            ending,
            waits: waits.iter().copied().map(Some).collect(),
            pending: 0,
            rounds: 0,
            woken: false,
            failure: None,
        };
        self.ask_to_unblock(unblocking);
    }

    /// Asks all servers that have not ended their waits, or tells what came of it.
    fn ask_to_unblock(&mut self, mut unblocking: Unblocking) {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        for index in 0..unblocking.waits.len() {
            let Some(link) = unblocking.waits[index] else {
                continue;
            };
            match self.ask_one_to_unblock(link, unblocking.ending, (ticket, index as u16)) {
                Ok(()) => unblocking.pending += 1,
                Err(cause) => unblocking.failure = Some(cause),
            }
        }
        if unblocking.pending > 0 {
            self.unblockings.insert(ticket, unblocking);
        } else {
            self.conclude_unblocking(&unblocking);
        }
    }

    fn conclude_unblocking(&mut self, known: &Unblocking) {
        let outcome = match known.failure {
            Some(cause) if !known.woken => Err(cause),
            _ => Ok(known.woken),
        };
        self.give_return(&known.call, outcome);
    }

    /// Asks a server to end the wait on a connection.
    fn ask_one_to_unblock(
        &mut self,
        link: LinkId,
        ending: Ending,
        (ticket, index): (u32, u16),
    ) -> Result<(), Cause> {
        let found = self.links.find(link).ok_or(Cause::Invalid)?;
        let number = found.number.ok_or(Cause::Invalid)?;
        let (pool, lane, server) = (found.pool, found.lane, found.server);
        let shared = self.shared_link(pool, lane, server, 0)?;
        let target = self.links.find(shared).ok_or(Cause::Invalid)?;
        if target.out.len() >= self.limits.queue {
            return Err(Cause::QueueFull);
        }
        if let Some(found) = self.links.find_mut(link) {
            found.spent = true;
        }
        let number = number.to_string();
        let ending = match ending {
            Ending::Timeout => "TIMEOUT",
            Ending::Error => "ERROR",
        };
        let request = format!(
            "*4\r\n$6\r\nCLIENT\r\n$7\r\nUNBLOCK\r\n${}\r\n{number}\r\n${}\r\n{ending}\r\n",
            number.len(),
            ending.len()
        );
        let entry = InFlight {
            fragment: Some(index),
            role: Role::Unblock,
            family: Role::Unblock.family(),
            ..InFlight::unheard(ticket, self.now)
        };
        self.send_bytes(shared, entry, request.as_bytes());
        Ok(())
    }

    /// A server has said whether it has ended a wait, or will not say. `entry` is that of the request.
    pub(super) fn wait_ended(&mut self, entry: &InFlight, outcome: Result<bool, Cause>) {
        // Of late answers nothing is known any more.
        let Some(known) = self.unblockings.get_mut(&entry.sequence) else {
            return;
        };
        known.pending -= 1;
        match outcome {
            Ok(true) => {
                known.woken = true;
                let index = entry.fragment.map(usize::from);
                if let Some(wait) = index.and_then(|index| known.waits.get_mut(index)) {
                    *wait = None;
                }
            }
            Ok(false) => {}
            Err(cause) => known.failure = Some(cause),
        }
        if known.pending > 0 {
            return;
        }
        let Some(mut known) = self.unblockings.remove(&entry.sequence) else {
            return;
        };
        // A wait for several servers ends at all of them.
        let client = self.own_client(known.call.whom);
        let client = client.and_then(|id| self.clients.find(id));
        let session = client.and_then(|client| client.session.as_deref());
        let blocked = session.map_or(&[][..], |session| &session.blocked);
        for wait in &mut known.waits {
            *wait = wait.filter(|link| blocked.contains(link));
        }
        let is_half = known.woken && known.waits.iter().any(Option::is_some);
        if is_half && known.failure.is_none() && known.rounds < ROUNDS {
            known.rounds += 1;
            return self.ask_to_unblock(known);
        }
        self.conclude_unblocking(&known);
    }
}
