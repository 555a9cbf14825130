//! What a memcached client asks: a line of words, for the storage commands followed by a data block.
//!
//! The grammar is stricter than memcached's own, because requests are forwarded as they came, over
//! connections that clients share. memcached reads on behind a line it does not like, so a data block
//! that we took for data and it did not would be read as commands. Therefore:
//!
//! - A line ends with LF; a CR ahead of it belongs to the end. No other CR and no NUL stands within it
//!   (NUL ends the line for memcached's tokenizer). Other control characters are part of a key.
//! - Numbers ahead of a data block are digits and lie in the range that all versions of memcached
//!   accept.
//!
//! Refused lines get memcached's words. The data block of a refused storage command is swallowed where
//! its length is beyond doubt, so that the connection stays usable; memcached reads it as commands.
//! Where the length is in doubt the connection ends.

use std::mem;

use memchr::{memchr, memchr2};

use super::commands::{Form, Row, Rule, Stats, Table, stats};
use super::{Words, base64, long, space_or_control};
use crate::protocol::{
    Answer, Body, Excess, Fan, Key, Limits, Local, Merge, Parse, Parsed, Partial, Reach, Refusal,
    RequestScan, Span, Straight, Verdict,
};

/// Longest line of anything but a get, line end included. From there on memcached closes (up to 1.5;
/// 1.6 at twice that), and no command needs it.
pub(super) const LINE_MAX: usize = 1024;

/// Longest line of a `gat`, which goes to servers in lines that are no longer than others. memcached answers
/// one if all of it is there when it reads, at most so much at once, and closes otherwise.
const TOUCH_MAX: usize = 16 * 1024;

/// Longest expiry time of a longer `gat`. memcached takes no number of more digits, but for leading zeros.
const EXPIRY_MAX: usize = 20;

/// Most spaces in front of a get that is longer than [`LINE_MAX`]; memcached closes at more.
const INDENT_MAX: usize = 100;

/// Largest data block memcached takes for possible.
const DATA_MAX: u64 = i32::MAX as u64 - 2;

/// Most flags of an `ms`. At more, memcached takes the data block behind it for commands.
const FLAGS_MAX: usize = 16;

/// Reads the request at the start of `bytes`.
#[inline]
pub fn parse(bytes: &[u8], scan: &mut RequestScan, table: &Table, limits: &Limits) -> Parse {
    let searched = scan.position as usize;
    let Some(newline) = memchr(b'\n', &bytes[searched..]).map(|at| searched + at) else {
        return unended(bytes, scan, limits);
    };
    // If a data block is missing, the line is found again at once.
    scan.position = newline as u32;
    let len = newline + 1;
    if len > line_max(&bytes[..len], limits) {
        return Parse::Bad(refusal(Complaint::LineTooLong));
    }
    let text = bytes[..newline]
        .strip_suffix(b"\r")
        .unwrap_or(&bytes[..newline]);
    if searched >= LINE_MAX && scan.seen > 0 {
        return finish(text, scan, table, limits, len);
    }
    let mut words = Words::of(text);
    let name = words.next().unwrap_or_default();
    let Some(command) = table.find(name.of(text)) else {
        // As memcached does, so that no web page makes a browser talk to a cache.
        if words
            .last()
            .is_some_and(|word| word.of(text).starts_with(b"HTTP/"))
        {
            return Parse::Bad(refusal(Complaint::Error));
        }
        return done(refuse(None, Complaint::Error), len);
    };
    scan.command = Some(command);
    let row = table.row(command);
    let line = Line {
        sound: memchr2(b'\r', 0, text).is_none(),
        row,
        command: Some(command),
        limits,
    };
    match row.form {
        Form::Keys => done(line.keys(words), len),
        Form::Store => line.stored(Args::of(text, words), 4, bytes, len),
        Form::Cas => line.stored(Args::of(text, words), 5, bytes, len),
        Form::MetaStore => line.meta_stored(text, words, bytes, len),
        Form::Delete => done(line.deleted(Args::of(text, words)), len),
        Form::Arithmetic => {
            let args = Args::of(text, words);
            done(line.changed(args, is_number, Complaint::Delta), len)
        }
        Form::Touch => {
            let args = Args::of(text, words);
            done(
                line.changed(args, is_signed_number, Complaint::Exptime),
                len,
            )
        }
        Form::TouchKeys => done(line.touched_keys(text, words), len),
        Form::Verbosity => done(line.verbosity(Args::of(text, words)), len),
        Form::Flush => done(line.flush(Args::of(text, words)), len),
        Form::Stats => done(line.stats(Args::of(text, words)), len),
        Form::Meta => done(line.meta(text, words), len),
        Form::Bare => done(line.bare(), len),
    }
}

/// The whole get of one key at the start of `bytes`, written in the plainest way.
#[inline]
pub fn keyed(bytes: &[u8], table: &Table, limits: &Limits) -> Option<Straight> {
    const START: usize = b"get ".len();
    let rest = bytes.strip_prefix(b"get ")?;
    let len = space_or_control(rest)?;
    let is_plain = (1..=limits.key).contains(&len) && rest[len..].starts_with(b"\r\n");
    let command = table.find(b"get").filter(|_| is_plain)?;
    matches!(table.row(command).rule, Rule::Split(_)).then(|| Straight {
        command,
        key: Span::new(START, START + len),
        len: (START + len + b"\r\n".len()) as u32,
    })
}

/// A line whose end is not there yet.
#[cold]
#[inline(never)]
fn unended(bytes: &[u8], scan: &mut RequestScan, limits: &Limits) -> Parse {
    let searched = mem::replace(&mut scan.position, bytes.len() as u32);
    let most = line_max(bytes, limits);
    if bytes.len() >= most {
        return Parse::Bad(refusal(Complaint::LineTooLong));
    }
    if bytes.len() >= LINE_MAX && most > TOUCH_MAX {
        long::read_on(bytes, searched as usize, scan, limits);
    }
    Parse::More
}

/// A long get whose line is whole, of which most was looked at before.
#[cold]
#[inline(never)]
fn finish(
    text: &[u8],
    scan: &mut RequestScan,
    table: &Table,
    limits: &Limits,
    len: usize,
) -> Parse {
    long::look_at(text, scan);
    let Some(command) = table.find(scan.first[0].of(text)) else {
        return done(refuse(None, Complaint::Error), len);
    };
    let line = Line {
        sound: long::is_sound(scan),
        row: table.row(command),
        command: Some(command),
        limits,
    };
    let keys = Keys {
        first: (scan.seen > 1).then_some(scan.first[1]),
        several: scan.seen > 2,
        longest: scan.args as usize,
    };
    done(line.of_keys(keys), len)
}

/// All keys of a whole get, in order, and what stands ahead of them: the expiry time of a `gat`.
pub(super) fn line_keys(request: &[u8]) -> (Option<Span>, Words<'_>) {
    let text = text_of(request);
    let mut words = Words::of(text);
    let name = words.next().unwrap_or_default();
    let touches = name.of(text).starts_with(b"gat");
    let expiry = if touches { words.next() } else { None };
    (expiry, words)
}

/// A whole line without its end.
pub(super) fn text_of(request: &[u8]) -> &[u8] {
    let text = request.strip_suffix(b"\n").unwrap_or(request);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Appends all keys of a whole get.
pub fn keys(request: &[u8], keys: &mut Vec<Key>) {
    keys.extend(line_keys(request).1.map(Key::Plain));
}

/// How long the line that starts with `bytes` may be. Only what gets may be long: it has many keys.
#[inline]
fn line_max(bytes: &[u8], limits: &Limits) -> usize {
    if bytes.len() < LINE_MAX {
        return LINE_MAX;
    }
    let indent = bytes.iter().take_while(|&&byte| byte == b' ').count();
    let text = &bytes[indent..];
    let is_get = text.starts_with(b"get ") || text.starts_with(b"gets ");
    let touches = text.starts_with(b"gat ") || text.starts_with(b"gats ");
    if indent > INDENT_MAX {
        LINE_MAX
    } else if is_get {
        limits.request.max(LINE_MAX)
    } else if touches {
        limits.request.clamp(LINE_MAX, TOUCH_MAX)
    } else {
        LINE_MAX
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    /// No such command, or the wrong number of words.
    Error,
    Format,
    KeyTooLong,
    Usage,
    Delta,
    Exptime,
    TooLarge,
    Chunk,
    LineTooLong,
    /// Too many flags of a meta command.
    Flags,
    /// A key that is no base64; in memcached's words for `mg` and `ms`, and for `md` and `ma`.
    Decoding,
    Flag,
    /// `stats detail` with another word than it takes.
    Detail,
    /// A key whose reply could not be told from what follows.
    Unsayable,
}

fn refusal(complaint: Complaint) -> Refusal {
    let excess = match complaint {
        Complaint::TooLarge => Some(Excess::Value),
        Complaint::LineTooLong => Some(Excess::Request),
        Complaint::KeyTooLong => Some(Excess::Key),
        _ => None,
    };
    // All but two are memcached's words. A line too long makes it close in silence.
    let (mark, text) = match complaint {
        Complaint::Error => ("ERROR", ""),
        Complaint::Format | Complaint::KeyTooLong => ("CLIENT_ERROR ", "bad command line format"),
        Complaint::Usage => (
            "CLIENT_ERROR ",
            "bad command line format.  Usage: delete <key> [noreply]",
        ),
        Complaint::Delta => ("CLIENT_ERROR ", "invalid numeric delta argument"),
        Complaint::Exptime => ("CLIENT_ERROR ", "invalid exptime argument"),
        Complaint::TooLarge => ("SERVER_ERROR ", "object too large for cache"),
        Complaint::Chunk => ("CLIENT_ERROR ", "bad data chunk"),
        Complaint::LineTooLong => ("CLIENT_ERROR ", "line too long"),
        Complaint::Flags => ("CLIENT_ERROR ", "options flags too long"),
        Complaint::Flag => ("CLIENT_ERROR ", "invalid or duplicate flag"),
        Complaint::Decoding => ("CLIENT_ERROR ", "error decoding key"),
        Complaint::Detail => ("CLIENT_ERROR ", "usage: stats detail on|off|dump"),
        Complaint::Unsayable => (
            "CLIENT_ERROR ",
            "a key with a line end within cannot be returned by the proxy",
        ),
    };
    let refusal = Refusal::new(mark, text.as_bytes());
    match excess {
        Some(excess) => refusal.beyond(excess),
        None => refusal,
    }
}

fn refuse(command: Option<u16>, complaint: Complaint) -> Parsed {
    Parsed {
        verdict: Verdict::Refuse(refusal(complaint)),
        key: Span::default(),
        command,
        answer: Answer::Always,
    }
}

fn answer(silent: bool) -> Answer {
    if silent {
        Answer::Never
    } else {
        Answer::Always
    }
}

#[inline]
fn done(request: Parsed, len: usize) -> Parse {
    Parse::Done { request, len }
}

/// The words behind the name of a command that takes few.
struct Args<'a> {
    text: &'a [u8],
    words: [Span; Args::MAX],
    /// At most [`Args::MAX`], which stands for any number from there on.
    count: usize,
}

impl<'a> Args<'a> {
    /// One more than any command takes: `cas` takes five and `noreply`.
    const MAX: usize = 7;

    #[inline]
    fn of(text: &'a [u8], words: Words<'_>) -> Self {
        let mut args = Args {
            text,
            words: [Span::default(); Self::MAX],
            count: 0,
        };
        for (place, word) in args.words.iter_mut().zip(words) {
            *place = word;
            args.count += 1;
        }
        args
    }

    /// The word at `index`, which may be empty only if it is not there.
    fn word(&self, index: usize) -> &'a [u8] {
        self.words[index].of(self.text)
    }

    /// Whether `noreply` is the last word and stands at `index` or behind.
    fn is_silent_from(&self, index: usize) -> bool {
        self.count > index && self.word(self.count - 1) == b"noreply"
    }
}

/// What must be known of the keys of a get.
struct Keys {
    first: Option<Span>,
    several: bool,
    /// Bytes of the longest.
    longest: usize,
}

/// What is known of the line of a known command.
struct Line<'a> {
    /// It ends with CR LF, and nothing in it ends a line for anyone.
    sound: bool,
    row: &'a Row,
    command: Option<u16>,
    limits: &'a Limits,
}

impl Line<'_> {
    #[inline]
    fn keys(&self, mut keys: Words<'_>) -> Parsed {
        let Some(first) = keys.next() else {
            return self.refuse(Complaint::Error);
        };
        let mut longest = first.len();
        let mut several = false;
        for key in keys {
            longest = longest.max(key.len());
            several = true;
        }
        self.of_keys(Keys {
            first: Some(first),
            several,
            longest,
        })
    }

    #[inline]
    fn of_keys(&self, keys: Keys) -> Parsed {
        let Some(first) = keys.first else {
            return self.refuse(Complaint::Error);
        };
        if !self.sound {
            return self.refuse(Complaint::Format);
        }
        if keys.longest > self.limits.key {
            return self.refuse(Complaint::KeyTooLong);
        }
        match self.row.rule {
            Rule::Split(merge) if keys.several => self.request(Verdict::Split(merge), first),
            _ => self.request(Verdict::Forward, first),
        }
    }

    /// A storage command that takes `needed` words, of which the fourth is the length of the data.
    fn stored(&self, args: Args<'_>, needed: usize, bytes: &[u8], len: usize) -> Parse {
        let silent = args.is_silent_from(needed);
        // memcached takes any word where `noreply` may stand.
        if args.count != needed && args.count != needed + 1 {
            return Parse::Bad(refusal(Complaint::Error));
        }
        let Some(data) = data_len(args.word(3)) else {
            return Parse::Bad(refusal(Complaint::Format));
        };
        let fits = self.is_key(args.words[0])
            && number_up_to(args.word(1), u64::from(u32::MAX))
            && (needed < 5 || number_up_to(args.word(4), u64::MAX));
        let is_usual = fits && data <= self.limits.bulk && is_expiry(args.word(2));
        let request = if is_usual {
            self.request(Verdict::Forward, args.words[0])
        } else if !fits || !is_late_expiry(args.word(2)) {
            self.refuse(self.about(args.words[0]))
        } else if data > self.limits.bulk {
            self.refuse(Complaint::TooLarge)
        } else {
            // Negative or refused, as the version of memcached has it.
            self.request(Verdict::Expired(args.words[2]), args.words[0])
        };
        let request = Parsed {
            answer: answer(silent),
            ..request
        };
        with_data(request, bytes, len, data, self.limits)
    }

    /// `ms`: key, length, flags.
    fn meta_stored(&self, text: &[u8], mut words: Words<'_>, bytes: &[u8], len: usize) -> Parse {
        let Some(key) = words.next() else {
            return Parse::Bad(refusal(Complaint::Error));
        };
        let Some(data) = words.next() else {
            return Parse::Bad(refusal(Complaint::Format));
        };
        let Some(data) = data_len(data.of(text)) else {
            return Parse::Bad(refusal(Complaint::Format));
        };
        let request = if data > self.limits.bulk {
            self.refuse(Complaint::TooLarge)
        } else {
            self.meta_request(text, key, words)
        };
        with_data(request, bytes, len, data, self.limits)
    }

    /// A meta command without a data block.
    fn meta(&self, text: &[u8], mut words: Words<'_>) -> Parsed {
        match words.next() {
            Some(key) => self.meta_request(text, key, words),
            // As memcached does: only `me` looks at its words itself.
            None if self.row.name == "me" => self.refuse(Complaint::Format),
            None => self.refuse(Complaint::Error),
        }
    }

    /// A meta command whose flags are `flags`. Each is told by its first byte.
    fn meta_request(&self, text: &[u8], key: Span, flags: Words<'_>) -> Parsed {
        if !self.is_key(key) {
            return self.refuse(Complaint::Format);
        }
        let (mut count, mut quiet, mut encoded, mut returned) = (0, false, false, false);
        for flag in flags {
            count += 1;
            match flag.of(text)[0] {
                b'q' => quiet = true,
                b'b' => encoded = true,
                b'k' => returned = true,
                _ => {}
            }
        }
        if count > FLAGS_MAX && self.row.form == Form::MetaStore {
            return self.refuse(Complaint::Flags);
        }
        if encoded {
            let mut decoded = [0; base64::DECODED_MAX];
            let Some(plain) = base64::decode(key.of(text), &mut decoded) else {
                return self.refuse(match self.row.name {
                    "me" => Complaint::Format,
                    "md" | "ma" => Complaint::Flag,
                    _ => Complaint::Decoding,
                });
            };
            // These two say the key as it is if it was stored in the binary protocol.
            let says_it = self.row.name == "me" || (returned && self.row.name == "mg");
            if says_it && plain.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return self.refuse(Complaint::Unsayable);
            }
        }
        let verdict = if encoded {
            Verdict::Encoded
        } else {
            Verdict::Forward
        };
        Parsed {
            answer: if quiet { Answer::Maybe } else { Answer::Always },
            ..self.request(verdict, key)
        }
    }

    fn deleted(&self, args: Args<'_>) -> Parsed {
        let silent = args.is_silent_from(1);
        // A time may stand behind the key, if it is 0.
        let zero = args.count > 1 && args.word(1) == b"0";
        let request = match args.count {
            1..=3 if !self.is_key(args.words[0]) => self.refuse(self.about(args.words[0])),
            1 => self.request(Verdict::Forward, args.words[0]),
            2 if silent || zero => self.request(Verdict::Forward, args.words[0]),
            3 if silent && zero => self.request(Verdict::Forward, args.words[0]),
            2 | 3 => self.refuse(Complaint::Usage),
            _ => return self.refuse(Complaint::Error),
        };
        Parsed {
            answer: answer(silent),
            ..request
        }
    }

    /// A command with a key, and a word behind it that must be `valid`.
    fn changed(&self, args: Args<'_>, valid: fn(&[u8]) -> bool, complaint: Complaint) -> Parsed {
        let silent = args.is_silent_from(2);
        let request = match args.count {
            2 | 3 if !self.is_key(args.words[0]) => self.refuse(self.about(args.words[0])),
            2 | 3 if !valid(args.word(1)) => self.refuse(complaint),
            2 | 3 => self.request(Verdict::Forward, args.words[0]),
            _ => return self.refuse(Complaint::Error),
        };
        Parsed {
            answer: answer(silent),
            ..request
        }
    }

    /// `gat`: an expiry time, then keys.
    fn touched_keys(&self, text: &[u8], mut words: Words<'_>) -> Parsed {
        let Some(expiry) = words.next() else {
            return self.refuse(Complaint::Error);
        };
        // With its line end, which may be a byte shorter.
        let is_long = text.len() + 2 > LINE_MAX;
        if !is_signed_number(expiry.of(text)) || is_long && expiry.len() > EXPIRY_MAX {
            return self.refuse(Complaint::Exptime);
        }
        if words.clone().next().is_none() {
            // memcached finds none of no keys.
            return self.request(Verdict::Local(Local::Say(b"END\r\n")), Span::default());
        }
        let request = self.keys(words);
        match (&request.verdict, self.row.rule) {
            // However few keys it has, it must be written anew.
            (Verdict::Forward, Rule::Split(merge)) if is_long => Parsed {
                verdict: Verdict::Split(merge),
                ..request
            },
            _ => request,
        }
    }

    fn verbosity(&self, args: Args<'_>) -> Parsed {
        let silent = args.is_silent_from(0);
        let request = match args.count {
            1 if silent => self.everywhere(Merge::First),
            1 | 2 if !number_up_to(args.word(0), u64::from(u32::MAX)) => {
                self.refuse(Complaint::Format)
            }
            1 | 2 => self.everywhere(Merge::First),
            _ => return self.refuse(Complaint::Error),
        };
        Parsed {
            answer: answer(silent),
            ..request
        }
    }

    fn flush(&self, args: Args<'_>) -> Parsed {
        let silent = args.is_silent_from(0);
        let delayed = args.count > usize::from(silent);
        let request = match args.count {
            0..=2 if delayed && !is_signed_number(args.word(0)) => self.refuse(Complaint::Exptime),
            0..=2 if self.row.rule == Rule::Refuse => self.refuse_command(),
            0..=2 => self.everywhere(Merge::First),
            _ => return self.refuse(Complaint::Error),
        };
        Parsed {
            answer: answer(silent),
            ..request
        }
    }

    fn stats(&self, args: Args<'_>) -> Parsed {
        if args.count == 0 {
            return self.request(Verdict::Local(Local::Stats), Span::default());
        }
        match stats(args.word(0), args.word(1)) {
            Stats::Lines => self.everywhere(Merge::Stats),
            Stats::Done => self.everywhere(Merge::First),
            Stats::Unknown => self.refuse(Complaint::Error),
            Stats::Usage => self.refuse(Complaint::Detail),
            Stats::Endless => self.not_passed_on(&[b"stats ", args.word(0)].concat()),
        }
    }

    fn everywhere(&self, merge: Merge) -> Parsed {
        if !self.sound {
            return self.refuse(Complaint::Format);
        }
        let fan = Fan {
            reach: Reach::All,
            merge,
            partial: Partial::Fail,
        };
        self.request(Verdict::Everywhere(fan), Span::default())
    }

    fn bare(&self) -> Parsed {
        let verdict = match self.row.rule {
            Rule::Quit => Verdict::Local(Local::Quit),
            Rule::Noop => Verdict::Local(Local::Say(b"MN\r\n")),
            Rule::Refuse => return self.refuse_command(),
            _ if !self.sound => return self.refuse(Complaint::Format),
            _ => Verdict::Keyless,
        };
        self.request(verdict, Span::default())
    }

    /// A command that is known and not passed on.
    fn refuse_command(&self) -> Parsed {
        self.not_passed_on(self.row.name.as_bytes())
    }

    fn not_passed_on(&self, name: &[u8]) -> Parsed {
        let text = [name, b" is not passed on by the proxy"].concat();
        let refusal = Refusal::new("CLIENT_ERROR ", &text);
        self.request(Verdict::Refuse(refusal), Span::default())
    }

    /// What is wrong with a line whose key is this word.
    fn about(&self, key: Span) -> Complaint {
        if self.sound && key.len() > self.limits.key {
            Complaint::KeyTooLong
        } else {
            Complaint::Format
        }
    }

    /// Whether a word of this line can go to a server as a key.
    fn is_key(&self, word: Span) -> bool {
        self.sound && word.len() <= self.limits.key
    }

    #[inline]
    fn request(&self, verdict: Verdict, key: Span) -> Parsed {
        Parsed {
            verdict,
            key,
            command: self.command,
            answer: Answer::Always,
        }
    }

    fn refuse(&self, complaint: Complaint) -> Parsed {
        refuse(self.command, complaint)
    }
}

/// The request whose line takes `len` bytes and is followed by a block of `data` bytes and CR LF.
fn with_data(request: Parsed, bytes: &[u8], len: usize, data: u64, limits: &Limits) -> Parse {
    let end = len + data as usize;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => done(request, end + 2),
        Some(_) => Parse::Bad(refusal(Complaint::Chunk)),
        // Half of a line end is there.
        None if bytes.get(end).is_some_and(|&byte| byte != b'\r') => {
            Parse::Bad(refusal(Complaint::Chunk))
        }
        None => {
            let missing = end + 2 - bytes.len();
            // The body must be handed over before its line end begins, which it checks whole.
            if missing > limits.head.max(2) {
                let body = Body::new(missing as u64, 0, 0);
                return Parse::Head { request, body };
            }
            Parse::More
        }
    }
}

/// The length of a data block: digits in their one canonical form, at most [`DATA_MAX`].
fn data_len(word: &[u8]) -> Option<u64> {
    let canonical = word.len() == 1 || word.first() != Some(&b'0');
    parse_number(word).filter(|&len| canonical && len <= DATA_MAX)
}

/// The value of a word of digits; `None` also when it exceeds 64 bits.
fn parse_number(word: &[u8]) -> Option<u64> {
    if !is_number(word) {
        return None;
    }
    word.iter().try_fold(0u64, |value, &digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

fn is_number(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_digit)
}

fn is_signed_number(word: &[u8]) -> bool {
    is_number(word.strip_prefix(b"-").unwrap_or(word))
}

fn number_up_to(word: &[u8], most: u64) -> bool {
    parse_number(word).is_some_and(|value| value <= most)
}

/// Whether the word is an expiry time: seconds as a signed number of 32 bits, negative for "at once".
fn is_expiry(word: &[u8]) -> bool {
    let most = i32::MAX as u64;
    match word.strip_prefix(b"-") {
        Some(digits) => number_up_to(digits, most + 1),
        None => number_up_to(word, most),
    }
}

/// Whether the word is an expiry time or one if it is taken for a number without a sign.
#[cold]
fn is_late_expiry(word: &[u8]) -> bool {
    is_expiry(word) || number_up_to(word, u64::from(u32::MAX))
}

/// The start of a storage command, or all of it, whose item expires at once instead of at what stands at
/// `expiry`.
pub fn at_once(request: &[u8], expiry: Span) -> Vec<u8> {
    let (start, end) = (expiry.start as usize, expiry.end as usize);
    [&request[..start], b"-1", &request[end..]].concat()
}

#[cfg(test)]
mod tests;
