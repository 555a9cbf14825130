//! What every party of a run has to hand: time, network, plan and ledger.

use std::rc::Rc;

use crate::agenda::{Agenda, Micros};
use crate::draw::Draw;
use crate::ledger::Ledger;
use crate::network::Network;
use crate::plan::Plan;
use crate::plant::Plant;
use crate::weighing::Holdings;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients ask, faults happen.
    Faults,
    /// Neither: everything owed must arrive.
    Calm,
    /// Clients ask; nothing may fail.
    Fresh,
    /// Clients leave.
    Farewell,
    /// Nobody is left.
    Over,
}

/// See the top of the file.
#[derive(Debug)]
pub struct Scene {
    /// The time.
    pub now: Micros,
    /// What is to come.
    pub agenda: Agenda,
    /// The wires.
    pub net: Network,
    /// The book.
    pub ledger: Ledger,
    /// What is held.
    pub holdings: Holdings,
    /// The plan.
    pub plan: Rc<Plan>,
    /// How far the run is.
    pub phase: Phase,
    /// The mix-up that is still to be planted.
    pub plant: Option<Plant>,
    /// Sockets of workers on which a reply nobody asked for was planted: they must be closed at the
    /// next turn.
    pub surplus: Vec<(usize, usize)>,
    /// Failures and successes on their way to the health table.
    pub reports: Vec<crate::control::Report>,
    /// Chance for what belongs to no party.
    pub draw: Draw,
}
