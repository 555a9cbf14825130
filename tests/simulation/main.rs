//! A deterministic simulation: the unchanged core between model clients, model servers and a network
//! that does its worst, in virtual time, all from one 64-bit seed.
//!
//! ```text
//!   clients --wires--> workers (the core under test) --wires--> servers
//!        \                  |                                    /
//!         `------------- ledger: asked, executed, answered -----'
//! ```
//!
//! Each seed draws its own plan (`plan`), a world plays it (`world`), and the ledger keeps what should
//! not have happened. A failing seed is printed and replays exactly:
//!
//! ```text
//!   make simulate SEEDS=100000      as many runs, from a fresh start each time
//!   make simulate SEED=12345        that one, with every event printed
//! ```
//!
//! What the sockets of the real thing do is not seen here: that is `tests/end_to_end`'s.

mod agenda;
mod asking;
mod client;
mod control;
mod draw;
mod faults;
mod judging;
mod ledger;
mod network;
mod plan;
mod plant;
mod redis;
mod scene;
mod server;
mod value;
mod worker;
mod world;

mod campaign;

use campaign::Campaign;
use plan::Plan;
use plant::Plant;

/// The seeds every run of the tests plays. `SEEDS` and `SEED` ask for others.
const SEEDS: u64 = 2000;

#[test]
fn no_seed_finds_a_wrong_lost_or_surplus_reply() {
    if let Some(seed) = campaign::number("SEED") {
        let outcome = campaign::play(Plan::new(seed), true);
        println!("{}\ndigest {:016x}", outcome.totals, outcome.digest);
        assert_eq!(outcome.violation, None);
        return;
    }
    let seeds = campaign::number("SEEDS").unwrap_or(SEEDS);
    let first = campaign::number("FIRST").unwrap_or(0);
    let report = Campaign::new(first, seeds).run();
    println!("{report}");
    report.assert_clean();
}

/// The negative control: a simulation that misses a planted mix-up proves nothing.
#[test]
fn every_planted_mix_up_is_found() {
    for plant in Plant::ALL {
        let mut found = 0;
        for seed in 0..20 {
            let mut plan = Plan::quiet(seed);
            plan.plant = Some(plant);
            let outcome = campaign::play(plan, false);
            if outcome.is_planted {
                let violation = outcome.violation;
                assert!(
                    violation.is_some(),
                    "{plant:?} with seed {seed} was not found"
                );
                found += 1;
            } else {
                assert_eq!(outcome.violation, None, "{plant:?} with seed {seed}");
            }
        }
        assert!(found >= 5, "{plant:?} could be planted {found} times only");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..10 {
        let (first, second) = (
            campaign::play(Plan::new(seed), false),
            campaign::play(Plan::new(seed), false),
        );
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}
