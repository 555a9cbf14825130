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
//!
//! Built with `--cfg fuzzing` this file is a fuzz target: chance is drawn from the fuzzer's bytes.

#![cfg_attr(fuzzing, no_main)]
#![cfg_attr(fuzzing, allow(dead_code, unused_imports))]

mod agenda;
mod asking;
mod binary;
mod bounds;
mod busy;
#[path = "../../fuzz/src/bytes.rs"]
mod bytes;
mod cache;
mod client;
mod control;
mod draw;
mod everywhere;
mod faults;
mod flushing;
mod functions;
#[path = "../../fuzz/src/grammar.rs"]
#[expect(
    dead_code,
    reason = "the fuzz targets read these replies with the code under test"
)]
mod grammar;
mod greeting;
mod heed;
mod held;
mod hoarding;
mod identity;
mod joins;
mod judging;
mod killing;
mod ledger;
mod lines;
mod listening;
mod memcache;
mod misdeeds;
mod muting;
mod network;
mod plan;
mod plant;
mod presence;
mod redis;
mod sayings;
mod scanning;
mod scene;
mod scripts;
mod server;
mod sessions;
mod speaking;
mod store;
mod storing;
mod value;
mod verdicts;
mod waits;
mod waking;
mod weighing;
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
        let least = if plant.needs_hoarders() { 20 } else { 200 };
        // Some need a client of memcached that has something to say about it.
        for seed in 0..1000 {
            if seed >= least && found >= 20 {
                break;
            }
            let mut plan = Plan::quiet(seed);
            plan.plant = Some(plant);
            // Otherwise the proxy would notice it, and nothing would reach a client.
            plan.limits.strict = plant != Plant::Endless;
            plan.provoke(plant);
            let outcome = campaign::play(plan, false);
            if outcome.is_planted {
                let is_found = outcome.violation.is_some();
                assert!(
                    is_found || plant.may_miss(),
                    "{plant:?} with seed {seed} was not found"
                );
                found += usize::from(is_found);
            } else {
                assert_eq!(outcome.violation, None, "{plant:?} with seed {seed}");
            }
        }
        assert!(found >= 20, "{plant:?} could be planted {found} times only");
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

/// Plays what the fuzzer asks for: its first bytes are the seed, the others the draws.
fn play_script(bytes: &[u8]) {
    let (seed, script) = bytes.split_at(bytes.len().min(2));
    let seed = seed
        .iter()
        .fold(0, |seed, &byte| seed << 8 | u64::from(byte));
    let outcome = world::run(Plan::small(seed, script), false);
    assert_eq!(outcome.violation, None);
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| play_script(bytes));

#[test]
fn no_script_the_fuzzer_kept_finds_anything() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/world");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = file.expect("a folder can be listed").path();
        let bytes = std::fs::read(&path).expect("a file of the repository can be read");
        let outcome = std::panic::catch_unwind(|| play_script(&bytes));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 5, "{count} files");
}
