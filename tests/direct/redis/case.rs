//! One line of the tables: requests, and how the replies to them are compared.
//!
//! ```text
//! ~sorted !several-servers@four SMEMBERS {k}a | MEMORY STATS
//! ```
//!
//! Words are separated by blanks and quoted as in `support::resp::words`, requests by ` | `. Ahead of
//! them `~rule` names what is left out of the comparison (`rules.rs`), `!name` a row of
//! docs/compatibility.md that the case shows. Behind an `@` stands where that holds: `one` or `four`
//! servers, `redis` or `valkey`, `resp2` or `resp3`, all of those named.

use crate::support::resp::words;

use super::Place;

/// One line.
#[derive(Clone, Debug)]
pub struct Case {
    /// The line.
    pub name: String,
    /// The requests.
    pub bytes: Vec<u8>,
    /// The name of each request's command, with its second word behind a bar where there is one.
    pub commands: Vec<(String, String)>,
    rules: Vec<Mark>,
    differences: Vec<Mark>,
}

#[derive(Clone, Debug)]
struct Mark {
    name: String,
    places: Vec<String>,
}

impl Mark {
    fn read(text: &str) -> Self {
        let (name, places) = text.split_once('@').unwrap_or((text, ""));
        let places = places.split(',').filter(|place| !place.is_empty());
        Self {
            name: name.to_owned(),
            places: places.map(str::to_owned).collect(),
        }
    }

    fn holds(&self, place: &Place) -> bool {
        self.places.iter().all(|word| place.is(word))
    }
}

impl Case {
    /// Reads one line.
    pub fn read(line: &str) -> Self {
        let (mut rules, mut differences, mut rest) = (Vec::new(), Vec::new(), line.trim());
        loop {
            let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            match word.split_at_checked(1) {
                Some(("~", name)) => rules.push(Mark::read(name)),
                Some(("!", name)) => differences.push(Mark::read(name)),
                _ => break,
            }
            rest = behind.trim_start();
        }
        let commands = rest.split(" | ").map(|request| {
            let mut words = request.split_whitespace();
            let mut word = || words.next().unwrap_or_default().to_uppercase();
            let name = word();
            let whole = format!("{name}|{}", word());
            (name, whole)
        });
        Self {
            name: line.trim().to_owned(),
            bytes: words(rest),
            commands: commands.collect(),
            rules,
            differences,
        }
    }

    /// Whether it loads or runs scripts.
    pub fn has_scripts(&self) -> bool {
        let is_one = |name: &str| {
            let names = ["EVAL", "SCRIPT", "FUNCTION", "FCALL"];
            names.iter().any(|start| name.starts_with(start))
        };
        self.commands.iter().any(|(name, _)| is_one(name))
    }

    /// The rules that hold at a place.
    pub fn rules(&self, place: &Place) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter().filter(move |mark| mark.holds(place));
        rules.map(|mark| mark.name.as_str())
    }

    /// The difference it shows at a place.
    pub fn difference(&self, place: &Place) -> Option<&str> {
        let found = self.differences.iter().find(|mark| mark.holds(place));
        found.map(|mark| mark.name.as_str())
    }

    /// The differences it shows anywhere.
    pub fn differences(&self) -> impl Iterator<Item = &str> {
        self.differences.iter().map(|mark| mark.name.as_str())
    }
}

/// The cases of a table: one a line, which a next line that begins with a bar goes on; empty lines, and
/// lines that begin with `#`, are left out.
pub fn lines(text: &str) -> Vec<Case> {
    let mut cases: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        match cases.last_mut() {
            _ if line.is_empty() || line.starts_with('#') => {}
            Some(last) if line.starts_with('|') => *last = format!("{last} {line}"),
            _ => cases.push(line.to_owned()),
        }
    }
    cases.iter().map(|line| Case::read(line)).collect()
}
