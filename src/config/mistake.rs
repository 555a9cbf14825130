//! What is wrong with a configuration file, in words an operator can act on.
//!
//! A `Mistake` names the line, the pool, the key, the value as written and what is allowed there;
//! `Mistakes` is all of them at once, in file order. Passwords never appear in either. Finding
//! mistakes is `file`'s and `check`'s work.

use std::fmt;
use std::path::{Path, PathBuf};

/// Longest piece of the file that is quoted in a message, in characters; the rest is cut off.
const QUOTED_MAX: usize = 120;

/// Most mistakes that are listed; a file with more of them is not a configuration at all.
pub(super) const MISTAKES_MAX: usize = 1000;

/// Longest name for which a similar one is looked up; our names are far shorter.
const SUGGESTED_FOR_MAX: usize = 64;

/// One thing that is wrong.
///
/// Printed as `line 12: pool "beta": timeout: expected milliseconds from 0 to 2147483647, got "4s"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Where in the file it stands.
    pub place: Place,
    /// The key, when the mistake belongs to a known one.
    pub key: Option<&'static str>,
    /// What is wrong and what is allowed.
    pub problem: Problem,
}

/// The part of the file a mistake belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole, or text outside any pool.
    File,
    /// The pool of this name.
    Pool(String),
    /// The process-wide settings under `nutcrab:`.
    Process,
}

/// What is wrong. The texts are complete but for line, place and key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file could not be opened or read; the reason is the operating system's.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is larger than a configuration can sensibly be.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// More lists, mappings and values than a configuration can sensibly hold.
    #[error("more than {0} values")]
    TooManyValues(usize),
    /// The bytes are not text.
    #[error("not valid {0} text")]
    NotText(&'static str),
    /// A character, mostly a control character, that must not stand in a file, not even quoted.
    #[error("character U+{0:04X} is not allowed; in double quotes it can be written as an escape")]
    ControlCharacter(u32),
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// YAML that a configuration has no use for.
    #[error("{0} are not accepted in a configuration")]
    Unsupported(&'static str),
    /// Something else stands where one form is expected.
    #[error("expected {allowed}, got {got}{}", tail(": ", reason))]
    Expected {
        /// The forms that are allowed.
        allowed: String,
        /// What stands there, quoted as `quoted` does or described.
        got: String,
        /// Which part of it is wrong, or which name may have been meant; may be empty.
        reason: String,
    },
    /// A key nobody knows.
    #[error("unknown key {name}{}", tail("; ", hint))]
    UnknownKey {
        /// The key as written, quoted.
        name: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A key that must be there is not.
    #[error("missing; expected {allowed}")]
    Missing {
        /// The forms that are allowed.
        allowed: String,
    },
    /// A key, pool or section stands there a second time.
    #[error("{what} is given twice, first in line {first_line}")]
    Twice {
        /// What is repeated.
        what: &'static str,
        /// Where it stands first.
        first_line: usize,
    },
    /// Two servers of a pool have one name, so keys could not tell them apart.
    #[error("two servers are named {name}, the first in line {first_line}; give one another name")]
    SameServerName {
        /// The name, quoted.
        name: String,
        /// Where it stands first.
        first_line: usize,
    },
    /// Two pools want one address.
    #[error("{text} is already the address of pool {pool:?}")]
    SameListen {
        /// The address as written, quoted.
        text: String,
        /// The pool that has it.
        pool: String,
    },
    /// Only Redis pools choose their commands.
    #[error("only pools with \"redis: true\" have it")]
    CommandsWithoutRedis,
    /// More servers than a pool can hold.
    #[error("more than {0} servers")]
    TooManyServers(usize),
    /// `redis_auth` on a memcached pool.
    #[error("only a Redis pool has a password; remove it or add \"redis: true\"")]
    PasswordWithoutRedis,
    /// `memcached_auth` on a Redis pool.
    #[error("only a memcached pool has a user; remove it, or use redis_auth")]
    UserOnRedis,
    /// `memcached_auth` without a colon.
    #[error("expected a user, a colon and a password")]
    PasswordWithoutUser,
    /// The list of mistakes was cut here.
    #[error("{0} further mistakes are not listed")]
    Further(usize),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        match &self.place {
            Place::File => {}
            Place::Pool(name) => write!(f, "pool {}: ", quoted(name))?,
            Place::Process => f.write_str("nutcrab: ")?,
        }
        if let Some(key) = self.key {
            write!(f, "{key}: ")?;
        }
        self.problem.fmt(f)
    }
}

/// Every mistake of one file, at least one, in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    path: PathBuf,
    list: Vec<Mistake>,
}

impl Mistakes {
    /// `list` must not be empty.
    pub(super) fn new(path: &Path, list: Vec<Mistake>) -> Self {
        debug_assert!(!list.is_empty());
        Self {
            path: path.to_owned(),
            list,
        }
    }

    /// The file they are in, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mistakes, at least one, in the order of their lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One line for each mistake, each opening with the file's name; no line break after the last.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {mistake}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Collects mistakes, at most `MISTAKES_MAX` of them.
#[derive(Debug, Default)]
pub(super) struct Report {
    list: Vec<Mistake>,
    omitted: usize,
}

impl Report {
    /// Notes one mistake. `problem` is only asked while there is room, so that a file of nothing
    /// but mistakes costs no more than reading it.
    pub(super) fn add(
        &mut self,
        line: usize,
        place: &Place,
        key: Option<&'static str>,
        problem: impl FnOnce() -> Problem,
    ) {
        if self.list.len() < MISTAKES_MAX {
            self.list.push(Mistake {
                line,
                place: place.clone(),
                key,
                problem: problem(),
            });
        } else {
            self.omitted += 1;
        }
    }

    /// The mistakes in the order of their lines; empty when there were none.
    pub(super) fn into_sorted(mut self) -> Vec<Mistake> {
        self.list.sort_by_key(|mistake| mistake.line);
        if self.omitted > 0 {
            let problem = Problem::Further(self.omitted);
            self.list.push(Mistake {
                line: 0,
                place: Place::File,
                key: None,
                problem,
            });
        }
        self.list
    }
}

/// `text` in double quotes with everything unprintable escaped, so that a message stays one line
/// and cannot drive a terminal.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}...", &text[..cut]),
    }
}

/// The known name that `text` was probably meant to be, if one is near enough.
pub(super) fn nearest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    if text.len() > SUGGESTED_FOR_MAX {
        return None;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', ' ', '_'], "");
    let text = plain(text);
    names
        .iter()
        .map(|&name| (distance(&text, &plain(name)), name))
        .filter(|&(distance, name)| distance <= (name.len() / 3).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour to make
/// `left` from `right` (the "optimal string alignment" distance).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = vec![0; right.len() + 1];
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &l) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &r) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(l != r);
            let mut best = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && l == right[column - 1] && left[row - 1] == r {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

/// `text` behind `separator`, or nothing.
fn tail(separator: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{separator}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_an_insertion_and_a_replacement_count_one_each() {
        for (left, right, expected) in [
            ("", "", 0),
            ("timeout", "timeout", 0),
            ("tiemout", "timeout", 1),
            ("timout", "timeout", 1),
            ("timeoutt", "timeout", 1),
            ("timeaut", "timeout", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("servers", "redis", 5),
        ] {
            assert_eq!(distance(left, right), expected, "{left} and {right}");
        }
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = [
            "listen",
            "hash",
            "hash_tag",
            "timeout",
            "server_connections",
        ];
        for (text, expected) in [
            ("Listen", Some("listen")),
            ("lsiten", Some("listen")),
            ("hash-tag", Some("hash_tag")),
            ("hashtag", Some("hash_tag")),
            ("time_out", Some("timeout")),
            ("server_connection", Some("server_connections")),
            ("sentinels", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(text, &names), expected, "{text}");
        }
        assert_eq!(nearest(&"l".repeat(100_000), &names), None);
    }

    #[test]
    fn quotes_are_cut_and_escaped() {
        assert_eq!(quoted("a\u{1b}[2J\n"), r#""a\u{1b}[2J\n""#);
        assert_eq!(
            quoted(&"é".repeat(200)),
            format!("\"{}\"...", "é".repeat(QUOTED_MAX))
        );
    }

    #[test]
    fn a_flood_of_mistakes_is_cut_and_counted() {
        let mut report = Report::default();
        for line in 1..=MISTAKES_MAX + 5 {
            report.add(line, &Place::File, None, || Problem::Unsupported("tags"));
        }
        let list = report.into_sorted();
        assert_eq!(list.len(), MISTAKES_MAX + 1);
        assert_eq!(
            list[MISTAKES_MAX].to_string(),
            "5 further mistakes are not listed"
        );
    }
}
