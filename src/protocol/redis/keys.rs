//! Where the keys of a whole request stand.

use super::commands::{Begin, Find, Keys, Spec, Table};
use super::request::args;
use crate::protocol::body::{Number, number_line};
use crate::protocol::{Key, Span};

/// Appends all keys of a whole request, in its order.
pub fn keys(bytes: &[u8], command: Option<u16>, table: &Table, keys: &mut Vec<Key>) {
    let Some(command) = command else { return };
    each(bytes, table.row(command).keys, table, &mut |key| {
        keys.push(key)
    });
}

/// The first key of a whole request.
pub fn first(bytes: &[u8], keys: Keys, table: &Table) -> Option<Span> {
    let mut first = None;
    each(bytes, keys, table, &mut |key| {
        if let Key::Plain(span) = key {
            first.get_or_insert(span);
        }
    });
    first
}

/// Calls `found` with each key.
fn each(bytes: &[u8], keys: Keys, table: &Table, found: &mut impl FnMut(Key)) {
    let mut plain = |span| found(Key::Plain(span));
    match keys {
        Keys::None => {}
        Keys::First => args(bytes).skip(1).take(1).for_each(plain),
        Keys::FirstTwo => args(bytes).skip(1).take(2).for_each(plain),
        Keys::All => args(bytes).skip(1).for_each(plain),
        Keys::EverySecond => args(bytes).skip(1).step_by(2).for_each(plain),
        Keys::Range { first, last } => {
            let (first, last) = (usize::from(first), i64::from(last));
            let end = if last < 0 {
                count(bytes) as i64 + last
            } else {
                last
            };
            let some = usize::try_from(end + 1 - first as i64).unwrap_or(0);
            args(bytes).skip(first).take(some).for_each(plain);
        }
        Keys::Script => counted(bytes, 2, 1, &mut plain),
        Keys::Counted {
            count,
            target,
            step,
        } => {
            if target {
                args(bytes).skip(1).take(1).for_each(&mut plain);
            }
            counted(bytes, count.into(), step.into(), &mut plain);
        }
        Keys::Keyword { words, from } => {
            args(bytes).skip(1).take(1).for_each(&mut plain);
            let mut args = args(bytes).skip(usize::from(from));
            while let Some(word) = args.next() {
                let word = word.of(bytes);
                if words.iter().any(|known| is(word, known)) {
                    args.next().into_iter().for_each(&mut plain);
                }
            }
        }
        Keys::Streams => {
            let streams = stream_options(bytes).find(|found| found.option == StreamOption::Streams);
            if let Some(StreamWord { at, .. }) = streams {
                let behind = count(bytes) - (at + 1);
                args(bytes).skip(at + 1).take(behind / 2).for_each(plain);
            }
        }
        Keys::Sort => sort(bytes, found),
        Keys::Migrate => migrate(bytes, plain),
        Keys::Learned(place) => {
            for spec in table.specs(place) {
                learned(bytes, spec, &mut plain);
            }
        }
    }
}

/// An option of XREAD or XREADGROUP, or what is not known to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamOption {
    /// How long it waits stands behind it.
    Block,
    /// The streams and positions stand behind it, and nothing else.
    Streams,
    /// One that does not matter here.
    Other,
}

/// An option and its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamWord {
    pub option: StreamOption,
    pub at: usize,
}

/// The options of XREAD or XREADGROUP, up to STREAMS, in their order, as Redis reads them: a group, a
/// consumer or a stream may be called like an option.
pub(super) fn stream_options(bytes: &[u8]) -> impl Iterator<Item = StreamWord> + '_ {
    let mut args = args(bytes).enumerate().skip(1);
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let (at, word) = args.next()?;
        let word = word.of(bytes);
        let (option, values) = if is(word, "STREAMS") {
            is_over = true;
            (StreamOption::Streams, 0)
        } else if is(word, "BLOCK") {
            (StreamOption::Block, 1)
        } else if is(word, "GROUP") {
            (StreamOption::Other, 2)
        } else if is(word, "COUNT") {
            (StreamOption::Other, 1)
        } else {
            (StreamOption::Other, 0)
        };
        args.by_ref().take(values).for_each(drop);
        Some(StreamWord { option, at })
    })
}

/// The keys behind the number at position `at`.
fn counted(bytes: &[u8], at: usize, step: usize, found: &mut impl FnMut(Span)) {
    let mut args = args(bytes).skip(at);
    let Some(keys) = args.next().and_then(|span| number(span.of(bytes))) else {
        return;
    };
    let keys = usize::try_from(keys).unwrap_or(0);
    args.step_by(step).take(keys).for_each(found);
}

/// SORT: as Redis reads it, so that a pattern is not taken for an option.
fn sort(bytes: &[u8], found: &mut impl FnMut(Key)) {
    let mut args = args(bytes).skip(1);
    args.next()
        .into_iter()
        .for_each(|key| found(Key::Plain(key)));
    while let Some(word) = args.next() {
        let word = word.of(bytes);
        if is(word, "LIMIT") {
            args.next();
            args.next();
        } else if is(word, "STORE") {
            args.next()
                .into_iter()
                .for_each(|key| found(Key::Plain(key)));
        } else if is(word, "BY") || is(word, "GET") {
            // Without a star no other key is read.
            let star = |span: &Span| span.of(bytes).contains(&b'*');
            args.next()
                .filter(star)
                .into_iter()
                .for_each(|span| found(Key::Pattern(span)));
        }
    }
}

/// MIGRATE: one key, or an empty one and KEYS.
fn migrate(bytes: &[u8], mut found: impl FnMut(Span)) {
    match args(bytes).nth(3) {
        Some(key) if !key.is_empty() => return found(key),
        _ => {}
    }
    let mut args = args(bytes).skip(6);
    while let Some(word) = args.next() {
        let word = word.of(bytes);
        if is(word, "KEYS") {
            return args.for_each(found);
        }
        let passed = if is(word, "AUTH") {
            1
        } else if is(word, "AUTH2") {
            2
        } else {
            0
        };
        args.by_ref().take(passed).for_each(drop);
    }
}

/// The keys of one learned specification, as Redis reads them.
fn learned(bytes: &[u8], spec: &Spec, found: &mut impl FnMut(Span)) {
    let count = count(bytes) as i64;
    let begin = match &spec.begin {
        Begin::Index(index) => *index as i64,
        Begin::Word(word, from) => {
            let is_word = |span: Span| span.of(bytes).eq_ignore_ascii_case(word);
            let at = if *from >= 0 {
                let mut places = args(bytes).zip(0i64..).skip(*from as usize);
                places.find(|&(span, at)| at < count - 1 && is_word(span))
            } else {
                let last = count + *from;
                let places = args(bytes).zip(0i64..);
                places
                    .filter(|&(span, at)| at > 1 && at <= last && is_word(span))
                    .last()
            };
            match at {
                Some((_, at)) => at + 1,
                None => return,
            }
        }
    };
    let (first, last, step) = match spec.find {
        Find::Range { last, step, limit } => {
            let last = match (last < 0, limit) {
                (false, _) => begin + last,
                (true, 0 | 1) => count + last,
                (true, limit) => begin + (count - begin) / limit as i64 + last,
            };
            (begin, last, step)
        }
        Find::Count {
            number: at,
            first,
            step,
        } => {
            let keys = args(bytes)
                .nth(begin as usize + at)
                .and_then(|span| number(span.of(bytes)));
            let first = begin + first as i64;
            let keys = keys.unwrap_or(0).clamp(0, count);
            (first, first + (keys - 1) * step as i64, step)
        }
    };
    let (Ok(first), Ok(last)) = (usize::try_from(first), usize::try_from(last)) else {
        return;
    };
    if first > 0 && last >= first {
        args(bytes)
            .take(last + 1)
            .skip(first)
            .step_by(step)
            .for_each(found);
    }
}

/// How many arguments a whole request has.
fn count(bytes: &[u8]) -> usize {
    match number_line(&bytes[1..]) {
        Number::Line { value, .. } => value as usize,
        _ => 0,
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a word of a request is this one, which is in upper case.
pub(super) fn is(word: &[u8], known: &str) -> bool {
    word.eq_ignore_ascii_case(known.as_bytes())
}
