//! Whether every way to make one reply of several servers' was seen to work, and every command that goes
//! to all servers.
//!
//! Both are read from the code under test, so that a new one which the simulation does not ask for fails
//! the campaign.

use nutcrab::protocol::redis::commands::{Rule, Table};
use nutcrab::protocol::{Merge, ScanTurn};

use crate::judging::Want;
use crate::ledger::Totals;
use crate::sayings;
use crate::scene::Scene;
use crate::scripts::Scripted;
use crate::sessions::Wanted;

/// Every one.
const MERGES: [Merge; 18] = [
    Merge::Array,
    Merge::Sum,
    Merge::Status,
    Merge::Forget,
    Merge::Concat,
    Merge::Script,
    Merge::Any,
    Merge::Least,
    Merge::Most,
    Merge::LeastEach,
    Merge::Scan(ScanTurn {
        server: 0,
        next: 0,
        servers: 1,
    }),
    Merge::Settings,
    Merge::Waited,
    Merge::SumPairs,
    Merge::Values,
    Merge::First,
    Merge::Stats,
    Merge::Packets,
];

/// What is counted when replies were joined so; one of several commands.
fn sign(merge: Merge) -> &'static str {
    match merge {
        Merge::Array => "MGET",
        Merge::Sum => "DBSIZE",
        Merge::Status => "FLUSHALL",
        Merge::Forget => "SCRIPT|FLUSH",
        Merge::Concat => "SLOWLOG|GET",
        Merge::Script => "SCRIPT|LOAD",
        Merge::Any => "RANDOMKEY",
        Merge::Least => "LASTSAVE",
        Merge::Most => "PUBSUB|NUMPAT",
        Merge::LeastEach => "SCRIPT|EXISTS",
        Merge::Scan(_) => "SCAN",
        Merge::Settings => "CONFIG|GET",
        Merge::Waited => "WAIT",
        Merge::SumPairs => "PUBSUB|NUMSUB",
        Merge::Values => "get of several keys",
        Merge::First => "FUNCTION|LOAD",
        Merge::Stats => "stats",
        Merge::Packets => "stats in packets",
    }
}

/// Counted when what one server failed to say was left out.
pub const LEFT_OUT: &str = "servers left out of a reply";

/// Counted when a request of more keys than one turn deals with was answered.
pub const DIVIDED: &str = "requests of very many keys";

/// Counts what was accepted as the reply of several servers. What is not named here is counted where it
/// is accepted.
pub fn count(scene: &mut Scene, pool: usize, want: &Want, raw: &[u8]) {
    let keys = match want {
        Want::Elements(elements) | Want::Values(elements) => elements.len(),
        Want::Stored(writes) => writes.len(),
        Want::Removed(numbers) => numbers.len(),
        _ => 0,
    };
    if keys > scene.plan.limits.keys {
        scene.ledger.count(DIVIDED);
    }
    let name = match want {
        Want::Elements(elements) if elements.len() > 1 => "MGET",
        Want::Values(elements) if elements.len() > 1 => "get of several keys",
        Want::Told(_) if raw.starts_with(b"STAT ") => "stats",
        Want::Told(_) if raw.starts_with(b"\x81\x10") => "stats in packets",
        Want::Echo(key) if sayings::is_asked_in(key) => return scene.ledger.count(sayings::SAID),
        Want::Page => "SCAN",
        Want::Listed(_) => "KEYS",
        Want::Scripted(Scripted::Loaded(..)) => "SCRIPT|LOAD",
        Want::Scripted(Scripted::Exists(_)) => "SCRIPT|EXISTS",
        Want::Scripted(Scripted::Flushed) => "SCRIPT|FLUSH",
        Want::Session(Wanted::Replicated(..)) => "WAIT",
        _ => return,
    };
    if scene.plan.pools[pool].config.servers.len() > 1 {
        scene.ledger.count(name);
    }
}

/// What was never seen to succeed.
pub fn missing(totals: &Totals) -> Vec<&'static str> {
    let table = Table::standard();
    // After SHUTDOWN nobody is left.
    let for_all = table
        .rows()
        .iter()
        .filter(|row| matches!(row.rule, Rule::Everywhere(_)) && row.name != "SHUTDOWN");
    let names = for_all.map(|row| row.name).chain(MERGES.map(sign));
    let names = names.chain([LEFT_OUT, DIVIDED, sayings::SAID]);
    names
        .filter(|name| !totals.done.contains_key(name))
        .collect()
}
