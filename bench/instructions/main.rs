//! Counts the instructions of the hot path, and holds them against a budget.
//!
//! Time says little on a busy machine; the number of instructions is the same in every run. Each case
//! does one thing many times. It is run under valgrind twice, for few and for many times, and the
//! difference is what the thing itself costs, without start and end of the process.
//!
//! ```text
//! instructions check FILE       every case of the budget file; exit code 1 when one costs more
//! instructions write FILE       measures, and writes the budget: one that holds is not raised
//! instructions run CASE COUNT   what valgrind runs
//! ```
//!
//! Not with `gungraun`, which wants a runner of its very version built on every machine: all that is
//! needed of valgrind is one number.

mod cases;
mod local;
mod world;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::{Command, ExitCode};

use cases::CASES;

/// What a budget leaves above what was measured: enough for another compiler's choices, too little for
/// an allocation or a look-up per request.
const HEAD_ROOM: f64 = 1.08;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["check", file] => check(file),
        ["write", file] => write(file),
        ["run", case, count] => run(case, count).map(|()| true),
        _ => Err(io::Error::other(
            "expected: check FILE, write FILE or run CASE COUNT",
        )),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, count: &str) -> io::Result<()> {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| io::Error::other(format!("no case {name}")))?;
    let count = count.parse().map_err(io::Error::other)?;
    (case.run)(count);
    Ok(())
}

/// Instructions of one of the things a case does.
fn measure(case: &cases::Case) -> io::Result<f64> {
    let collected = |count: usize| -> io::Result<u64> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(std::env::current_exe()?);
        let output = command
            .args(["run", case.name, &count.to_string()])
            .output();
        let output = output.map_err(|error| io::Error::other(format!("valgrind: {error}")))?;
        let text = String::from_utf8_lossy(&output.stderr);
        let number = text
            .lines()
            .find_map(|line| line.split_once("Collected : "));
        let number = number.and_then(|(_, number)| number.trim().parse().ok());
        number.ok_or_else(|| io::Error::other(format!("valgrind did not count: {text}")))
    };
    let (few, many) = (collected(case.few)?, collected(3 * case.few)?);
    Ok((many as f64 - few as f64) / (2.0 * case.few as f64 * case.things))
}

/// The names of the budget file, and how much each may cost.
fn budgets(file: &str) -> io::Result<Vec<(String, f64)>> {
    let text = fs::read_to_string(file)?;
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let words = line.split_once(' ');
            let most = words.and_then(|(name, most)| Some((name, most.trim().parse().ok()?)));
            let (name, most) = most.ok_or_else(|| io::Error::other(format!("{file}: {line}")))?;
            Ok((name.to_owned(), most))
        })
        .collect()
}

fn check(file: &str) -> io::Result<bool> {
    let budgets = budgets(file)?;
    let mut ok = true;
    for (name, most) in &budgets {
        let (name, most) = (name.as_str(), *most);
        let case = CASES.iter().find(|case| case.name == name);
        let case = case.ok_or_else(|| io::Error::other(format!("{file}: no case {name}")))?;
        let cost = measure(case)?;
        // No budget may be written that lets one request keep a worker for long.
        let most = if name.starts_with("local-") {
            most.min(local::MOST)
        } else {
            most
        };
        let verdict = if cost <= most { "ok" } else { "TOO MUCH" };
        println!("{name:28} {cost:12.1} of {most:12.1} instructions: {verdict}");
        ok &= cost <= most;
    }
    let has_none = |case: &&cases::Case| !budgets.iter().any(|(name, _)| name == case.name);
    for case in CASES.iter().filter(has_none) {
        println!("{:28} has no budget in {file}", case.name);
        ok = false;
    }
    if !ok {
        println!("If the cost is worth it: make instructions-budget, and say why in the commit.");
    }
    Ok(ok)
}

fn write(file: &str) -> io::Result<bool> {
    let before = budgets(file)?;
    let mut text = format!(
        "# Instructions that each case of bench/instructions may cost: what was measured and at most \
         {:.0} %\n\
         # of head room. Checked by `make test`; written by `make instructions-budget`, which raises \
         a budget\n\
         # only if it is exceeded.\n",
        (HEAD_ROOM - 1.0) * 100.0
    );
    for case in CASES {
        let cost = measure(case)?;
        println!("{:28} {cost:12.1}", case.name);
        // Or many small steps, each within its head room, would go up as far as they like.
        let holds = |(name, most): &&(String, f64)| name == case.name && cost <= *most;
        let before = before
            .iter()
            .find(holds)
            .map_or(f64::MAX, |(_, most)| *most);
        let most = before.min((cost * HEAD_ROOM).ceil());
        let _ = writeln!(text, "{:28} {most:.0}", case.name);
    }
    fs::write(file, text)?;
    Ok(true)
}
