//! Gets of many keys, whose words are looked at as they come: when the line ends nothing is looked at twice.

use memchr::{memchr2, memrchr};

use super::Words;
use crate::protocol::{Limits, RequestScan};

/// Of a long get a scan has the longest key's length in place of the number of arguments, and here, in place
/// of the third: up to where its words were looked at, and 1 if something in them ends a line for some.
const LOOKED_AT: usize = 2;

/// Looks at the words of a long get that came so far and were not looked at; the last may not be whole. `new`
/// is where what came last begins.
#[cold]
pub fn read_on(bytes: &[u8], new: usize, scan: &mut RequestScan, limits: &Limits) {
    let looked_at = scan.first[LOOKED_AT].start as usize;
    let end = match memrchr(b' ', &bytes[new.max(looked_at)..]) {
        Some(space) => new.max(looked_at) + space,
        // Too long already, without what may be a part of the line's end. Where it ends does not matter.
        None if scan.seen > 0 && bytes.len() - looked_at > limits.key + 2 => bytes.len() - 1,
        None => return,
    };
    look_at(&bytes[..end], scan);
}

/// Notes what must be known of the words of a long get, up to the end of `text`.
pub fn look_at(text: &[u8], scan: &mut RequestScan) {
    let from = scan.first[LOOKED_AT].start as usize;
    let is_sound = memchr2(b'\r', 0, &text[from..]).is_none();
    let words = Words {
        line: text,
        position: from,
    };
    for word in words {
        if scan.seen < 2 {
            scan.first[scan.seen as usize] = word;
        }
        if scan.seen > 0 {
            scan.args = scan.args.max(word.len() as u32);
        }
        scan.seen += 1;
    }
    let looked_at = &mut scan.first[LOOKED_AT];
    looked_at.start = text.len() as u32;
    looked_at.end |= u32::from(!is_sound);
}

/// Whether nothing in the words that were looked at ends a line for anyone.
pub fn is_sound(scan: &RequestScan) -> bool {
    scan.first[LOOKED_AT].end == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Parse;
    use crate::protocol::memcache::commands::Table;
    use crate::protocol::memcache::request::parse;

    /// What becomes of `line` when it comes in these pieces.
    fn read(line: &[u8], pieces: impl Iterator<Item = usize>) -> Parse {
        let (table, limits) = (Table::standard(), Limits::MEMCACHE);
        let mut scan = RequestScan::default();
        for len in pieces.filter(|&len| len < line.len()) {
            let parse = parse(&line[..len], &mut scan, &table, &limits);
            assert_eq!(parse, Parse::More, "{len} bytes");
        }
        parse(line, &mut scan, &table, &limits)
    }

    #[test]
    fn a_long_get_is_the_same_however_it_comes() {
        let keys = |count: usize| (0..count).map(|number| format!(" key{number}"));
        let many: String = keys(400).collect();
        let long = "k".repeat(251);
        for line in [
            format!("get{many}\r\n"),
            format!("gets{many}\n"),
            format!("   gets   {many}   \r\n"),
            format!("get{many}\rx{many}\r\n"),
            format!("get{many}\0{many}\r\n"),
            format!("get {long}{many}\r\n"),
            format!("get{many} {long}\r\n"),
            format!("get{many} {long}{long}\r\n"),
            format!("get{many}{}\r\n", " ".repeat(2000)),
            format!("get {}\r\n", " ".repeat(2000)),
            format!("get {}k\r\n", " ".repeat(2000)),
        ] {
            let line = line.as_bytes();
            let whole = read(line, [].into_iter());
            assert!(matches!(whole, Parse::Done { len, .. } if len == line.len()));
            for step in [1, 7, 500, 1500] {
                assert_eq!(
                    read(
                        line,
                        (step..).step_by(step).take_while(|&len| len < line.len())
                    ),
                    whole
                );
            }
            for cut in 1000..line.len() {
                assert_eq!(read(line, [cut].into_iter()), whole, "cut at {cut}");
            }
        }
    }
}
