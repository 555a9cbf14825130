//! Commands that may wait at their server, in a form that does not.
//!
//! Within a transaction such a command never waits, and its reply is the same however long it would have
//! waited. So it can be sent there in another form with the same reply, which does not wait either if the
//! server executes it outside of a transaction after all: as the command that it is the waiting form of,
//! or, where there is none with the same reply, with the shortest time to wait.

use super::inline::encode;
use super::keys::{StreamOption, is, stream_options};
use super::request::words;

/// A request that may wait, said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unblocked {
    /// The request.
    pub request: Vec<u8>,
    /// Whether it waits for a second outside of a transaction: see [`hasten`].
    pub waits: bool,
}

/// The shortest time to wait that servers of every version understand, as the last argument.
const SECOND: &[u8] = b"\r\n$1\r\n1\r\n";

/// The same of Redis 6.0 and later. Some versions take a thousandth for 0, which is for ever.
const MOMENT: &[u8] = b"\r\n$4\r\n0.01\r\n";

/// What no server takes for a time.
const NO_TIME: &[u8] = b"x";

/// What is said to be a time to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// A time.
    Valid,
    /// None, as every server sees it.
    Invalid,
    /// Some server may take it for one.
    Unclear,
}

/// The command `name`, in upper case, in a form that does not wait, with the reply that it has within a
/// transaction. `None` if there is no such form.
pub fn unblocked(request: &[u8], name: &str) -> Option<Unblocked> {
    let mut words = words(request);
    let instead = match name {
        "BLMOVE" => Some("LMOVE"),
        "BRPOPLPUSH" => Some("RPOPLPUSH"),
        "BLMPOP" => Some("LMPOP"),
        "BZMPOP" => Some("ZMPOP"),
        "BLPOP" | "BRPOP" | "BZPOPMIN" | "BZPOPMAX" => None,
        "XREAD" | "XREADGROUP" => {
            let request = without_block(request, &words);
            let waits = false;
            return Some(Unblocked { request, waits });
        }
        _ => return None,
    };
    let at = match name {
        "BLMPOP" | "BZMPOP" => 1,
        _ => words.len().checked_sub(1)?,
    };
    let time = time(words.get(at)?);
    if time == Time::Unclear {
        words[at] = NO_TIME;
    }
    let mut waits = false;
    if time == Time::Valid {
        match instead {
            Some(instead) => {
                words.remove(at);
                words[0] = instead.as_bytes();
            }
            None => {
                words[at] = b"1";
                waits = true;
            }
        }
    }
    let request = encode(&words);
    Some(Unblocked { request, waits })
}

/// Makes a request that waits for a second wait for a moment, which Redis before 6.0 would not understand.
pub fn hasten(request: &[u8]) -> Vec<u8> {
    match request.strip_suffix(SECOND) {
        Some(start) => [start, MOMENT].concat(),
        None => request.to_vec(),
    }
}

/// XREAD or XREADGROUP without the times to wait it names, where they are some.
fn without_block(request: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let mut kept: Vec<Option<&[u8]>> = words.iter().copied().map(Some).collect();
    for found in stream_options(request).filter(|found| found.option == StreamOption::Block) {
        // One that is no number is an error, which the server is to tell.
        if kept
            .get(found.at + 1)
            .copied()
            .flatten()
            .is_some_and(is_count)
        {
            kept[found.at] = None;
            kept[found.at + 1] = None;
        }
    }
    let kept: Vec<&[u8]> = kept.into_iter().flatten().collect();
    encode(&kept)
}

/// Whether a word is a number as Redis writes it, not below 0.
fn is_count(word: &[u8]) -> bool {
    let digits = word.iter().all(u8::is_ascii_digit);
    digits && (1..=19).contains(&word.len()) && (word == b"0" || word[0] != b'0')
}

/// Redis reads a time as C does: hexadecimal as well, or the name of infinity.
fn time(word: &[u8]) -> Time {
    let text = std::str::from_utf8(word).unwrap_or_default();
    match text.parse::<f64>() {
        Ok(seconds) if seconds < 0.0 => Time::Invalid,
        Ok(seconds) if seconds.is_finite() => Time::Valid,
        Ok(_) => Time::Unclear,
        Err(_) if word.is_empty() || is(word, "x") => Time::Invalid,
        Err(_) => Time::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<(String, bool)> {
        let words: Vec<&str> = line.split(' ').collect();
        let found = unblocked(&encode(&words), &words[0].to_ascii_uppercase())?;
        let words = super::words(&found.request);
        let words: Vec<_> = words
            .iter()
            .map(|word| String::from_utf8_lossy(word))
            .collect();
        Some((words.join(" "), found.waits))
    }

    #[test]
    fn what_waits_is_said_so_that_it_does_not() {
        for (line, expected, waits) in [
            ("BLPOP a b 0", "BLPOP a b 1", true),
            ("brpop a 2.5", "brpop a 1", true),
            ("BZPOPMIN a 0", "BZPOPMIN a 1", true),
            ("BZPOPMAX a 1e3", "BZPOPMAX a 1", true),
            ("BLMOVE a b LEFT RIGHT 0", "LMOVE a b LEFT RIGHT", false),
            ("BRPOPLPUSH a b 0", "RPOPLPUSH a b", false),
            ("BLMPOP 0 2 a b LEFT", "LMPOP 2 a b LEFT", false),
            ("BZMPOP 0 1 a MIN COUNT 2", "ZMPOP 1 a MIN COUNT 2", false),
            ("XREAD BLOCK 0 STREAMS a $", "XREAD STREAMS a $", false),
            (
                "XREADGROUP GROUP BLOCK 0 COUNT 1 BLOCK 5 block 0 STREAMS BLOCK >",
                "XREADGROUP GROUP BLOCK 0 COUNT 1 STREAMS BLOCK >",
                false,
            ),
        ] {
            assert_eq!(said(line), Some((expected.into(), waits)), "{line}");
        }
    }

    #[test]
    fn a_time_that_is_none_stays_an_error() {
        for (line, expected) in [
            ("BLPOP a -1", "BLPOP a -1"),
            ("BLPOP a 0x10", "BLPOP a x"),
            ("BLMOVE a b LEFT LEFT inf", "BLMOVE a b LEFT LEFT x"),
            ("BRPOPLPUSH a b nan", "BRPOPLPUSH a b x"),
            ("BLMPOP -1 1 a LEFT", "BLMPOP -1 1 a LEFT"),
            ("XREAD BLOCK x STREAMS a 0", "XREAD BLOCK x STREAMS a 0"),
            ("XREAD BLOCK -1 STREAMS a 0", "XREAD BLOCK -1 STREAMS a 0"),
            ("XREAD BLOCK 007 STREAMS a 0", "XREAD BLOCK 007 STREAMS a 0"),
        ] {
            assert_eq!(said(line), Some((expected.into(), false)), "{line}");
        }
    }

    #[test]
    fn an_unknown_command_has_no_such_form() {
        assert_eq!(said("MY.POP a 0"), None);
    }

    #[test]
    fn a_second_becomes_a_moment() {
        let request = unblocked(&encode(&["BLPOP", "1", "0"]), "BLPOP").expect("a form");
        assert_eq!(hasten(&request.request), encode(&["BLPOP", "1", "0.01"]));
    }
}
