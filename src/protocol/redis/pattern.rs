//! Patterns of names as Redis reads them (`stringmatchlen`, in any case of letters), in bounded time.
//!
//! A pattern is read once. Matching a text costs at most the square of the text's length, however
//! long the pattern is: an element takes one byte of the text, and one star undoes at most what it has
//! gone before.

/// A pattern of `*`, `?`, `[a-z]`, `[^a]` and `\`.
#[derive(Debug)]
pub struct Pattern {
    elements: Vec<Element>,
    sets: Vec<Set>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// Any number of bytes.
    Star,
    /// One byte, any.
    Any,
    /// One byte, this in lower or upper case.
    Byte(u8),
    /// One byte of the set at this place.
    Of(u32),
}

/// Bytes by their value, a bit each.
type Set = [u64; 4];

impl Pattern {
    /// Reads a pattern; every text is one.
    pub fn new(text: &[u8]) -> Self {
        let mut pattern = Self {
            elements: Vec::new(),
            sets: Vec::new(),
        };
        let mut rest = text;
        loop {
            let (element, behind) = match rest {
                [] => return pattern,
                [b'*', behind @ ..] if pattern.elements.last() == Some(&Element::Star) => {
                    rest = behind;
                    continue;
                }
                [b'*', behind @ ..] => (Element::Star, behind),
                [b'?', behind @ ..] => (Element::Any, behind),
                [b'\\', escaped, behind @ ..] => {
                    (Element::Byte(escaped.to_ascii_lowercase()), behind)
                }
                [b'[', members @ ..] => {
                    let (set, behind) = read_set(members);
                    pattern.sets.push(set);
                    (Element::Of(pattern.sets.len() as u32 - 1), behind)
                }
                [byte, behind @ ..] => (Element::Byte(byte.to_ascii_lowercase()), behind),
            };
            pattern.elements.push(element);
            rest = behind;
        }
    }

    /// Whether `text` is like it.
    pub fn is_like(&self, text: &[u8]) -> bool {
        if text.is_empty() {
            // Compat: in Redis not even a star is like no text at all.
            return self.elements.is_empty();
        }
        let (mut at, mut here) = (0, 0);
        // The element behind the last star, and how far the star reaches.
        let mut star: Option<(usize, usize)> = None;
        loop {
            match self.elements.get(here) {
                None if at == text.len() => return true,
                Some(Element::Star) => {
                    here += 1;
                    star = Some((here, at));
                    continue;
                }
                Some(&element) if at < text.len() && self.takes(element, text[at]) => {
                    at += 1;
                    here += 1;
                    continue;
                }
                _ => {}
            }
            match &mut star {
                Some((behind, reach)) if *reach < text.len() => {
                    *reach += 1;
                    (here, at) = (*behind, *reach);
                }
                _ => return false,
            }
        }
    }

    fn takes(&self, element: Element, byte: u8) -> bool {
        match element {
            Element::Star => false,
            Element::Any => true,
            Element::Byte(wanted) => wanted == byte.to_ascii_lowercase(),
            Element::Of(set) => has(&self.sets[set as usize], byte),
        }
    }
}

fn has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
}

fn add(set: &mut Set, byte: u8) {
    set[usize::from(byte >> 6)] |= 1 << (byte & 63);
}

/// The set whose members stand behind its bracket, and what stands behind the set.
fn read_set(members: &[u8]) -> (Set, &[u8]) {
    let mut set = Set::default();
    let (negated, mut rest) = match members {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let behind = loop {
        rest = match rest {
            [] => break rest,
            [b']', behind @ ..] => break behind,
            // Compat: an escaped member is compared as it is, in its own case.
            [b'\\', escaped, rest @ ..] => {
                add(&mut set, *escaped);
                rest
            }
            [first, b'-', last, rest @ ..] => {
                add_range(&mut set, *first, *last);
                rest
            }
            [member, rest @ ..] => {
                add(&mut set, member.to_ascii_lowercase());
                add(&mut set, member.to_ascii_uppercase());
                rest
            }
        };
    };
    if negated {
        set = set.map(|bits| !bits);
    }
    (set, behind)
}

/// Adds what lies between two bytes, in any case of letters.
fn add_range(set: &mut Set, first: u8, last: u8) {
    // Compat: Redis' bytes have signs when the ends are put in order, and none but the last when they
    // are held against a text, since they go through C's `tolower`.
    let small = |byte: u8| match byte {
        u8::MAX => -1,
        byte => i32::from(byte.to_ascii_lowercase()),
    };
    let swapped = (first as i8) > (last as i8);
    let (low, high) = if swapped {
        (small(last), small(first))
    } else {
        (small(first), small(last))
    };
    for byte in 0..=u8::MAX {
        if (low..=high).contains(&small(byte)) {
            add(set, byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Redis' own function (src/util.c of 7.0.15), word for word, with the NUL behind the text of its
    /// strings; it backtracks.
    fn reference(pattern: &[u8], text: &[u8], skip: &mut bool) -> bool {
        // `tolower` of glibc, where a char has a sign and -1 is the end of a file.
        let lower = |byte: u8| match byte {
            u8::MAX => -1,
            byte => i32::from(byte.to_ascii_lowercase()),
        };
        let (mut p, mut s) = (0, 0);
        let at = |p: usize| pattern.get(p).copied().unwrap_or(0);
        let left = |p: usize| pattern.len() as isize - p as isize;
        while left(p) > 0 && s < text.len() {
            match at(p) {
                b'*' => {
                    while left(p) > 0 && at(p + 1) == b'*' {
                        p += 1;
                    }
                    if left(p) == 1 {
                        return true;
                    }
                    while s < text.len() {
                        if reference(&pattern[p + 1..], &text[s..], skip) {
                            return true;
                        }
                        if *skip {
                            return false;
                        }
                        s += 1;
                    }
                    *skip = true;
                    return false;
                }
                b'?' => s += 1,
                b'[' => {
                    p += 1;
                    let negated = at(p) == b'^';
                    if negated {
                        p += 1;
                    }
                    let mut found = false;
                    loop {
                        if left(p) >= 2 && at(p) == b'\\' {
                            p += 1;
                            found |= at(p) == text[s];
                        } else if at(p) == b']' {
                            break;
                        } else if left(p) <= 0 {
                            p -= 1;
                            break;
                        } else if left(p) >= 3 && at(p + 1) == b'-' {
                            let (mut start, mut end) = (at(p) as i8, at(p + 2) as i8);
                            if start > end {
                                std::mem::swap(&mut start, &mut end);
                            }
                            let ends = lower(start as u8)..=lower(end as u8);
                            p += 2;
                            found |= ends.contains(&lower(text[s]));
                        } else {
                            found |= lower(at(p)) == lower(text[s]);
                        }
                        p += 1;
                    }
                    if found == negated {
                        return false;
                    }
                    s += 1;
                }
                byte => {
                    let mut byte = byte;
                    if byte == b'\\' && left(p) >= 2 {
                        p += 1;
                        byte = at(p);
                    }
                    if lower(byte) != lower(text[s]) {
                        return false;
                    }
                    s += 1;
                }
            }
            p += 1;
            if s == text.len() {
                while at(p) == b'*' {
                    p += 1;
                }
                break;
            }
        }
        left(p) <= 0 && s == text.len()
    }

    fn texts(alphabet: &[u8], longest: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut start = 0;
        for _ in 0..longest {
            let end = all.len();
            for index in start..end {
                for &byte in alphabet {
                    let mut longer = all[index].clone();
                    longer.push(byte);
                    all.push(longer);
                }
            }
            start = end;
        }
        all
    }

    #[test]
    fn every_small_pattern_means_what_it_means_to_redis() {
        for (patterns, names) in [
            (texts(b"*?[]^-\\aB", 5), texts(b"aB-", 3)),
            (texts(b"*a", 8), texts(b"aB", 6)),
            (texts(b"[]-Az\xe9\xff", 6), texts(b"aZ_\xe9\xff", 1)),
        ] {
            for pattern in &patterns {
                let read = Pattern::new(pattern);
                for name in &names {
                    let expected = reference(pattern, name, &mut false);
                    let shown = (pattern.escape_ascii(), name.escape_ascii());
                    assert_eq!(read.is_like(name), expected, "{} {}", shown.0, shown.1);
                }
            }
        }
    }

    #[test]
    fn patterns_are_those_of_redis() {
        for (text, pattern, expected) in [
            ("save", "save", true),
            ("save", "SA*", true),
            ("save", "*", true),
            ("save", "s?ve", true),
            ("save", "s[a-c]ve", true),
            ("save", "s[^a]ve", false),
            ("save", "s[b", false),
            ("s*", "s\\*", true),
            ("save", "s\\*", false),
            ("maxmemory-policy", "max*pol*y", true),
            ("maxmemory", "max*pol*y", false),
            ("", "", true),
            ("", "?", false),
            ("a", "", false),
        ] {
            let pattern = Pattern::new(pattern.as_bytes());
            assert_eq!(pattern.is_like(text.as_bytes()), expected, "{text:?}");
        }
    }

    /// A pattern is read once, and a text of `n` bytes is held against it in at most `n` rounds of `n`
    /// steps: with backtracking these would not end.
    #[test]
    fn no_pattern_takes_long() {
        let text = [b'a'; 200];
        for pattern in [
            [&b"*["[..], &b"!".repeat(64 * 1024)].concat(),
            b"*a".repeat(32 * 1024),
            [b"a*".repeat(100), b"b".to_vec()].concat(),
            b"*[a]?".repeat(13 * 1024),
        ] {
            let pattern = Pattern::new(&pattern);
            for _ in 0..200 {
                assert!(!pattern.is_like(&text));
            }
        }
    }
}
