//! The same bytes to nutcrab and to the original nutcracker, each in front of servers with the
//! same content: the answers must be equal, byte for byte and in whether the connection is closed.
//!
//! Where they are not, the case names a row of the table in docs/compatibility.md and says what
//! nutcrab answers. A case that names a difference and shows none fails, and so does a row that no
//! case shows. Each case is also sent to nutcrab byte by byte, which must change nothing.

mod case;
mod differences;
mod memcache_retrieval;
mod memcache_storage;
mod memcache_unusual;
mod redis_collections;
mod redis_keys;
mod redis_malformed;
mod redis_multi;
mod redis_pools;
mod redis_sorted_sets;
mod redis_strings;
mod setup;

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeSet, HashSet};

use case::{Case, Matching};
use setup::{Outcome, Pieces, System};
use support::*;

#[test]
fn redis_answers_are_those_of_the_original() {
    compare(&redis_cases());
}

#[test]
fn memcached_answers_are_those_of_the_original() {
    compare(&memcache_cases());
}

#[test]
fn the_table_is_large_and_its_names_are_unique() {
    let cases: Vec<_> = redis_cases().into_iter().chain(memcache_cases()).collect();
    assert!(cases.len() >= 400, "{} cases", cases.len());
    let mut names = HashSet::new();
    for case in &cases {
        let title = case.title();
        assert!(names.insert(title.clone()), "two cases are named {title:?}");
    }
}

#[test]
fn every_listed_difference_is_shown_by_a_case_and_every_named_one_is_listed() {
    let listed = differences::listed();
    let cases = redis_cases().into_iter().chain(memcache_cases());
    let named = cases.filter_map(|case| Some(case.difference?.id.to_owned()));
    assert_eq!(listed, named.collect::<BTreeSet<_>>());
}

fn redis_cases() -> Vec<Case> {
    [
        redis_strings::cases(),
        redis_collections::cases(),
        redis_sorted_sets::cases(),
        redis_keys::cases(),
        redis_multi::cases(),
        redis_malformed::cases(),
        redis_pools::cases(),
    ]
    .concat()
}

fn memcache_cases() -> Vec<Case> {
    [
        memcache_storage::cases(),
        memcache_retrieval::cases(),
        memcache_unusual::cases(),
    ]
    .concat()
}

/// Longest request that is also sent byte by byte.
const BYTEWISE_MAX: usize = 1024;

fn compare(cases: &[Case]) {
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| outcomes(System::start(Proxy::nutcracker), cases, false));
        let ours = scope.spawn(|| outcomes(System::start(Proxy::nutcrab), cases, true));
        (joined(theirs), joined(ours))
    });
    let mut failures = Vec::new();
    for ((case, theirs), ours) in cases.iter().zip(theirs).zip(ours) {
        if let Err(reason) = judge(case, &theirs[0], &ours[0]) {
            failures.push(format!("{}\n   {reason}", shown(case.title().as_bytes())));
        }
        if let Some(bytewise) = ours
            .get(1)
            .filter(|&bytewise| !same(case, &ours[0], bytewise))
        {
            let (whole, bytewise) = (told(&ours[0]), told(bytewise));
            let name = shown(case.title().as_bytes());
            failures.push(format!(
                "{name}\n   sent whole:      {whole}\n   byte by byte:    {bytewise}"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn outcomes(mut system: System, cases: &[Case], bytewise: bool) -> Vec<Vec<Outcome>> {
    let mut run = |case: &Case, pieces| {
        system.prepare(case);
        system.run(case, pieces)
    };
    let of = |case: &Case| {
        let mut outcomes = vec![run(case, Pieces::Whole)];
        if bytewise && case.request.len() <= BYTEWISE_MAX {
            outcomes.push(run(case, Pieces::Bytes));
        }
        outcomes
    };
    cases.iter().map(of).collect()
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Whether a case went as it should, or why not.
fn judge(case: &Case, theirs: &Outcome, ours: &Outcome) -> Result<(), String> {
    let equal = same(case, theirs, ours);
    let Some(difference) = &case.difference else {
        let (theirs, ours) = (told(theirs), told(ours));
        let reason = format!("nutcracker:      {theirs}\n   nutcrab:         {ours}");
        return equal.then_some(()).ok_or(reason);
    };
    if equal {
        return Err(format!(
            "shows no difference {:?}: {}",
            difference.id,
            told(ours)
        ));
    }
    let end = if difference.closed {
        End::Closed
    } else {
        End::Open
    };
    let expected = Outcome {
        bytes: difference.ours.clone(),
        end,
    };
    if same(case, &expected, ours) {
        return Ok(());
    }
    let (theirs, ours, expected) = (told(theirs), told(ours), told(&expected));
    Err(format!(
        "nutcracker:      {theirs}\n   nutcrab:         {ours}\n   nutcrab should:  {expected}"
    ))
}

fn same(case: &Case, one: &Outcome, other: &Outcome) -> bool {
    match case.matching {
        Matching::Bytes => one == other,
        Matching::Versions => {
            one.end == other.end && versionless(&one.bytes) == versionless(&other.bytes)
        }
    }
}

/// memcached's replies with `*` for the last number of `VALUE key flags length version`.
fn versionless(bytes: &[u8]) -> String {
    let text = shown(bytes);
    let masked = text
        .split("\\r\\n")
        .map(|line| match line.rsplit_once(' ') {
            Some((rest, _)) if line.starts_with("VALUE ") && line.matches(' ').count() == 4 => {
                format!("{rest} *")
            }
            _ => line.to_owned(),
        });
    masked.collect::<Vec<_>>().join("\n")
}

fn told(outcome: &Outcome) -> String {
    format!("{} ({:?})", shown(&outcome.bytes), outcome.end)
}
