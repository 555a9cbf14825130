//! What servers may say: replies made from the fuzzer's bytes by the grammars of RESP2 and RESP3 (Redis 7,
//! Valkey 9) and of memcached 1.6, without asking the code under test what it accepts.
//!
//! Scripts make lines of any text and length, big numbers that are none and arrays thousands of levels
//! deep; errors echo arguments; anything may be empty.

use nutcrab::protocol::{Asked, Family, Protocol, ReplyScan, Stamp, Version};

use super::bytes::Bytes;

/// A reply of more bytes gets no more long parts.
const LARGE: usize = 200_000;

/// Deepest that Lua's stack lets a script nest.
const DEEPEST: usize = 7_996;

/// A legal reply, what was asked for it, and the places where it can be broken.
#[derive(Debug)]
pub struct Reply {
    pub protocol: Protocol,
    pub bytes: Vec<u8>,
    /// Where lines, elements or packets begin.
    pub starts: Vec<usize>,
    /// Where a CR stands that ends a line or a block.
    pub ends: Vec<usize>,
    /// Digits of lengths.
    pub digits: Vec<usize>,
    version: Version,
    family: Family,
    marked: bool,
    /// Levels that may be open at once.
    levels: usize,
    stamp: Option<Stamp>,
    keys: Vec<Vec<u8>>,
}

/// What servers say on one connection, one reply after another.
#[derive(Clone, Copy, Debug)]
pub enum Speech {
    Redis(Version),
    Text,
    Binary,
}

impl Reply {
    /// The next reply that `source` makes.
    pub fn new(speech: Speech, source: &mut Bytes) -> Self {
        let mut reply = Self {
            protocol: match speech {
                Speech::Redis(_) => Protocol::Redis,
                Speech::Text => Protocol::Memcache,
                Speech::Binary => Protocol::Binary,
            },
            bytes: Vec::new(),
            starts: Vec::new(),
            ends: Vec::new(),
            digits: Vec::new(),
            version: Version::default(),
            family: Family::Any,
            marked: false,
            levels: 0,
            stamp: None,
            keys: Vec::new(),
        };
        match speech {
            Speech::Redis(version) => reply.redis(version, source),
            Speech::Text => reply.text_of_memcached(source),
            Speech::Binary => reply.packets(source),
        }
        reply
    }

    /// A scan that knows what the proxy knows of the request.
    pub fn scan(&self) -> ReplyScan {
        let mut scan = ReplyScan::new(self.version);
        (scan.marked, scan.family) = (self.marked, self.family);
        scan
    }

    /// The rest of what it knows.
    pub fn asked(&self) -> Asked {
        let mut asked = Asked::default();
        asked.stamp = self.stamp;
        asked.push(self.keys.iter().map(Vec::as_slice));
        asked
    }

    /// Ends a line or a block.
    fn end(&mut self) {
        self.ends.push(self.bytes.len());
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn start(&mut self, text: &str) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(number.to_string().as_bytes());
        self.digits.extend(from..self.bytes.len());
    }

    /// Text without what ends a line, of any length up to `most`.
    fn text(&mut self, source: &mut Bytes, most: usize) {
        const EDGES: [usize; 8] = [2046, 2047, 2048, 2049, 4094, 4095, 4096, 4097];
        const LONG: [usize; 4] = [10_000, 65_535, 65_536, 140_000];
        let len = match source.below(16) {
            0 => 0,
            1..12 => source.below(40),
            12..15 => source.pick(&EDGES) - source.below(12),
            _ => source.pick(&LONG),
        };
        let most = if self.bytes.len() > LARGE { 40 } else { most };
        let pattern = match source.take(8) {
            [] => b"x",
            pattern => pattern,
        };
        let clean = |&byte: &u8| match byte {
            b'\r' | b'\n' | 0 => b' ',
            byte => byte,
        };
        let text = pattern.iter().map(clean).cycle().take(len.min(most));
        self.bytes.extend(text);
    }

    /// Bytes of any kind, and their end.
    fn block(&mut self, source: &mut Bytes, len: usize) {
        // Most of all what looks like the end of a line, or like another reply.
        const LURES: [&[u8]; 6] = [
            b"\r\n",
            b"\r\n+OK\r\n",
            b"END\r\n",
            b"\n",
            b"\0",
            b"\x81\x0b\0\0",
        ];
        let pattern = match source.below(3) {
            0 => source.take(8),
            _ => source.pick(&LURES),
        };
        let pattern = if pattern.is_empty() { b"x" } else { pattern };
        self.bytes.extend(pattern.iter().cycle().take(len));
        self.end();
    }

    fn block_len(&self, source: &mut Bytes) -> usize {
        const LENGTHS: [usize; 10] = [0, 0, 1, 2, 3, 10, 100, 4096, 16_384, 100_000];
        let len = source.pick(&LENGTHS) + source.below(4);
        if self.bytes.len() > LARGE {
            len % 100
        } else {
            len
        }
    }

    fn redis(&mut self, version: Version, source: &mut Bytes) {
        self.version = version;
        // What stands inside comes behind what it stands in, so how many are to come is all there is to know.
        let mut open = 1;
        while open > 0 {
            open -= 1;
            if source.is_empty() || self.bytes.len() > 2 * LARGE {
                self.start(":0");
                self.end();
                continue;
            }
            open += self.element(source);
        }
    }

    /// One element; gives how many are to come behind it because of it.
    fn element(&mut self, source: &mut Bytes) -> usize {
        const OLD: &[u8] = b"+-:$*+-:$*nND1";
        const NEW: &[u8] = b"+-:$*+-:$*_#,(!=%~|(%D1>";
        const COUNTS: [usize; 9] = [0, 0, 1, 1, 2, 3, 5, 40, 1000];
        const NUMBERS: [i64; 5] = [0, 1, -1, i64::MAX, i64::MIN];
        const DOUBLES: [&str; 9] = [
            "inf",
            "-inf",
            "nan",
            "-nan",
            "0",
            "-0",
            "1.5",
            "1e+300",
            "-1.7976931348623157e+308",
        ];
        let kinds = match self.version {
            Version::Resp2 => OLD,
            Version::Resp3 => NEW,
        };
        let mut kind = source.pick(kinds);
        if kind == b'>' && !self.bytes.is_empty() {
            // Never inside a reply.
            kind = b'*';
        }
        let mut inside = 0;
        match kind {
            b'n' => self.start("$-1"),
            b'N' => self.start("*-1"),
            // Thousands of levels, with something behind each or not.
            b'D' => {
                let wish = source.pick(&[63, 64, 65, 1000, DEEPEST]);
                let depth = wish.min(DEEPEST - self.levels).max(1);
                self.levels = DEEPEST.min(self.levels + depth);
                for _ in 1..depth {
                    self.start("*2");
                    self.end();
                }
                self.start("*2");
                inside = depth + 1;
            }
            b'1' => {
                for _ in 1..source.pick(&[64, 2000, 20_000]) {
                    self.start("*1");
                    self.end();
                }
                self.start("*1");
                inside = 1;
            }
            b'+' | b'-' | b'(' => {
                self.start(char::from(kind).to_string().as_str());
                self.text(source, usize::MAX);
            }
            b':' => self.start(&format!(":{}", source.pick(&NUMBERS))),
            b'_' => self.start("_"),
            b'#' => self.start(source.pick(&["#t", "#f"])),
            b',' => self.start(&format!(",{}", source.pick(&DOUBLES))),
            b'$' | b'!' | b'=' => {
                self.start(char::from(kind).to_string().as_str());
                let name: &[u8] = if kind == b'=' { b"txt:" } else { b"" };
                let len = self.block_len(source);
                self.number(name.len() + len);
                self.end();
                self.bytes.extend_from_slice(name);
                self.block(source, len);
                return 0;
            }
            _ => {
                let count = source.pick(&COUNTS).max(usize::from(kind == b'>'));
                self.start(char::from(kind).to_string().as_str());
                self.number(count);
                inside = match kind {
                    b'%' => 2 * count,
                    // What it describes comes behind it.
                    b'|' => 2 * count + 1,
                    _ => count,
                };
            }
        }
        self.end();
        inside
    }

    fn text_of_memcached(&mut self, source: &mut Bytes) {
        const FAMILIES: [Family; 13] = [
            Family::Value,
            Family::Values,
            Family::Stored,
            Family::Deleted,
            Family::Number,
            Family::Touched,
            Family::Version,
            Family::Statistics,
            Family::Done,
            Family::MetaGet,
            Family::MetaSet,
            Family::MetaNumber,
            Family::MetaDebug,
        ];
        let family = source.pick(&FAMILIES);
        self.marked = family != Family::Version && source.below(4) == 3;
        self.family = match source.below(4) {
            3 => Family::Any,
            _ => family,
        };
        // Behind what may be answered, not at all or twice, the reply to the marker comes.
        let count = if self.marked { source.below(3) } else { 1 };
        for _ in 0..count {
            self.answer(family, source);
        }
        if self.marked {
            self.start("VERSION 1.6.18");
            self.end();
        }
    }

    /// What memcached says to a request of this family.
    fn answer(&mut self, family: Family, source: &mut Bytes) {
        let fails = source.below(8) == 7;
        match family {
            Family::Value | Family::Values => {
                let most = if family == Family::Value { 1 } else { 6 };
                for _ in 0..source.below(most + 1) {
                    self.value(source);
                }
            }
            Family::Statistics => {
                for _ in 0..source.below(6) {
                    self.start(source.pick(&["STAT a ", "STAT ", "ITEM k ", "PREFIX "]));
                    self.text(source, usize::MAX);
                    self.end();
                }
            }
            _ => {}
        }
        if fails {
            const ERRORS: [&str; 4] = ["ERROR", "ERROR ", "CLIENT_ERROR ", "SERVER_ERROR "];
            let error = source.pick(&ERRORS);
            self.start(error);
            if error.ends_with(' ') {
                self.text(source, usize::MAX);
            }
            return self.end();
        }
        let meta: &[&str] = match family {
            Family::MetaGet => &["HD", "EN", "VA"],
            Family::MetaSet | Family::MetaDelete => &["HD", "NS", "EX", "NF"],
            Family::MetaNumber => &["HD", "NS", "EX", "NF", "VA"],
            Family::MetaDebug => &["EN", "ME"],
            Family::Value | Family::Values | Family::Statistics => &["END"],
            Family::Stored => &["STORED", "NOT_STORED", "EXISTS", "NOT_FOUND"],
            Family::Deleted => &["DELETED", "NOT_FOUND"],
            Family::Touched => &["TOUCHED", "NOT_FOUND"],
            Family::Number => &["0", "18446744073709551615", "7   ", "NOT_FOUND"],
            Family::Version => &["VERSION 1", "VERSION 1.6.18-dev (x)"],
            _ => &["OK", "RESET"],
        };
        let word = source.pick(meta);
        self.start(word);
        match word {
            "VA" => {
                let len = self.block_len(source);
                self.bytes.push(b' ');
                self.number(len);
                self.flags(source);
                self.end();
                return self.block(source, len);
            }
            "HD" | "NS" | "EX" | "NF" if family != Family::Stored => self.flags(source),
            "ME" => {
                self.bytes.push(b' ');
                self.text(source, usize::MAX);
            }
            _ => {}
        }
        self.end();
    }

    /// What meta commands repeat: numbers, a key of up to 250 bytes, an opaque.
    fn flags(&mut self, source: &mut Bytes) {
        for _ in 0..source.below(4) {
            self.bytes.push(b' ');
            self.bytes.push(source.pick(b"kOfstc"));
            self.text(source, 250);
        }
    }

    fn value(&mut self, source: &mut Bytes) {
        self.start("VALUE ");
        // Any bytes but those that end a word or a line.
        let len = source.pick(&[1, 1, 3, 20, 249, 250]);
        let pattern = match source.take(8) {
            [] => b"k",
            pattern => pattern,
        };
        let clean = |&byte: &u8| match byte {
            b'\r' | b'\n' | b' ' | 0 => b'k',
            byte => byte,
        };
        let key: Vec<u8> = pattern.iter().map(clean).cycle().take(len).collect();
        self.bytes.extend_from_slice(&key);
        self.keys.push(key);
        self.bytes.push(b' ');
        self.number(source.pick(&[0, 1, 4_294_967_295]));
        self.bytes.push(b' ');
        let len = self.block_len(source);
        self.number(len);
        if source.below(2) == 1 {
            self.bytes.push(b' ');
            self.number(source.pick(&[1, usize::MAX]));
        }
        self.end();
        self.block(source, len);
    }

    fn packets(&mut self, source: &mut Bytes) {
        const STAT: u8 = 0x10;
        const VERSION: u8 = 0x0b;
        const OPCODES: [u8; 10] = [0x00, 0x01, 0x04, 0x05, 0x07, 0x0c, 0x0d, 0x1d, 0x1e, STAT];
        let opcode = source.pick(&OPCODES);
        let stamp = Stamp {
            opcode,
            opaque: [source.byte(), source.byte(), 3, 4],
        };
        self.marked = source.below(4) == 3;
        if !self.marked && source.below(4) != 3 {
            self.stamp = Some(stamp);
        }
        let count = if self.marked { source.below(3) } else { 1 };
        for _ in 0..count {
            if opcode == STAT && source.below(8) != 7 {
                for _ in 0..source.below(6) {
                    let key = 1 + source.below(40);
                    self.packet(stamp, key, source);
                }
            }
            let key = match opcode {
                STAT => 0,
                _ => source.pick(&[0, 0, 1, 250]),
            };
            self.packet(stamp, key, source);
        }
        if self.marked {
            let stamp = Stamp {
                opcode: VERSION,
                ..stamp
            };
            self.header(stamp, 0, 0, 0, 6);
            self.bytes.extend_from_slice(b"1.6.18");
        }
    }

    fn packet(&mut self, stamp: Stamp, key: usize, source: &mut Bytes) {
        let extras = source.pick(&[0, 4]);
        let value = self.block_len(source);
        let status = source.pick(&[0, 0, 1, 2, 0x81]);
        self.header(stamp, key, extras, status, extras + key + value);
        let pattern = match source.take(8) {
            [] => b"\x81",
            pattern => pattern,
        };
        let body = pattern.iter().cycle().take(extras + key + value);
        self.bytes.extend(body);
    }

    fn header(&mut self, stamp: Stamp, key: usize, extras: usize, status: u16, body: usize) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(&[0x81, stamp.opcode]);
        self.bytes.extend_from_slice(&(key as u16).to_be_bytes());
        self.bytes.extend_from_slice(&[extras as u8, 0]);
        self.bytes.extend_from_slice(&status.to_be_bytes());
        self.bytes.extend_from_slice(&(body as u32).to_be_bytes());
        self.bytes.extend_from_slice(&stamp.opaque);
        self.bytes.extend_from_slice(&[0; 8]);
    }
}
