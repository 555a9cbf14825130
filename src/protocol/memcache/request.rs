//! What a memcached client asks: a line of words, for the storage commands followed by a data block.
//!
//! The grammar is stricter than memcached's own, because requests are forwarded as they came, over
//! connections that clients share. memcached reads on behind a line it does not like, so a data block
//! that we took for data and it did not would be read as commands. Therefore:
//!
//! - A line ends with CR LF; memcached itself is content with LF. No CR and no NUL stands within it
//!   (NUL ends the line for memcached's tokenizer). Other control characters are part of a key.
//! - Numbers are digits and lie in the range that all versions of memcached accept.
//!
//! Refused lines get memcached's words. The data block of a refused storage command is swallowed where
//! its length is beyond doubt, so that the connection stays usable; memcached reads it as commands.
//! Where the length is in doubt the connection ends.

use memchr::{memchr, memchr2};

use super::Words;
use super::commands::{Form, Row, Rule, Table};
use crate::protocol::{Body, Limits, Local, Parse, Refusal, Request, RequestScan, Span, Verdict};

/// Longest line of anything but a get, line end included. From there on memcached closes (up to 1.5;
/// 1.6 at twice that), and no command needs it.
const LINE_MAX: usize = 1024;

/// Most spaces in front of a get that is longer than [`LINE_MAX`]; memcached closes at more.
const INDENT_MAX: usize = 100;

/// Largest data block memcached takes for possible.
const DATA_MAX: u64 = i32::MAX as u64 - 2;

/// The first byte of a request in the binary protocol.
const BINARY_MAGIC: u8 = 0x80;

/// Reads the request at the start of `bytes`.
#[inline]
pub fn parse(bytes: &[u8], scan: &mut RequestScan, table: &Table, limits: &Limits) -> Parse {
    if bytes.first() == Some(&BINARY_MAGIC) {
        return Parse::Bad(refusal(Complaint::Binary));
    }
    let searched = scan.position as usize;
    let Some(newline) = memchr(b'\n', &bytes[searched..]).map(|at| searched + at) else {
        scan.position = bytes.len() as u32;
        if bytes.len() < line_max(bytes, limits) {
            return Parse::More;
        }
        return Parse::Bad(refusal(Complaint::LineTooLong));
    };
    // If a data block is missing, the line is found again at once.
    scan.position = newline as u32;
    let len = newline + 1;
    if len > line_max(&bytes[..len], limits) {
        return Parse::Bad(refusal(Complaint::LineTooLong));
    }
    let (text, ended) = match bytes[..newline].split_last() {
        Some((b'\r', text)) => (text, true),
        _ => (&bytes[..newline], false),
    };
    let mut words = Words::of(text);
    let name = words.next().unwrap_or_default();
    let Some(command) = table.find(name.of(text)) else {
        return done(refuse(None, Complaint::Error), len);
    };
    scan.command = Some(command);
    let row = table.row(command);
    let line = Line {
        sound: ended && memchr2(b'\r', 0, text).is_none(),
        row,
        command: Some(command),
        limits,
    };
    match row.form {
        Form::Keys => done(line.keys(words), len),
        Form::Store => line.stored(Args::of(text, words), 4, bytes, len),
        Form::Cas => line.stored(Args::of(text, words), 5, bytes, len),
        Form::MetaStore => line.meta_stored(Args::of(text, words), bytes, len),
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
        Form::Bare => done(line.bare(words), len),
    }
}

/// All keys of a whole get, in order.
pub(super) fn line_keys(request: &[u8]) -> impl Iterator<Item = Span> + '_ {
    let text = request.strip_suffix(b"\r\n").unwrap_or(request);
    Words::of(text).skip(1)
}

/// Appends all keys of a whole get.
pub fn keys(request: &[u8], keys: &mut Vec<Span>) {
    keys.extend(line_keys(request));
}

/// How long the line that starts with `bytes` may be. Only gets may be long: they have many keys.
#[inline]
fn line_max(bytes: &[u8], limits: &Limits) -> usize {
    if bytes.len() < LINE_MAX {
        return LINE_MAX;
    }
    let indent = bytes.iter().take_while(|&&byte| byte == b' ').count();
    let text = &bytes[indent..];
    let is_get = text.starts_with(b"get ") || text.starts_with(b"gets ");
    if is_get && indent <= INDENT_MAX {
        limits.request.max(LINE_MAX)
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
    Usage,
    Delta,
    Exptime,
    TooLarge,
    Chunk,
    LineTooLong,
    Binary,
}

fn refusal(complaint: Complaint) -> Refusal {
    // All but the last two are memcached's words. For those it has none: it closes in silence, and
    // speaks the binary protocol.
    let (mark, text) = match complaint {
        Complaint::Error => ("ERROR", ""),
        Complaint::Format => ("CLIENT_ERROR ", "bad command line format"),
        Complaint::Usage => (
            "CLIENT_ERROR ",
            "bad command line format.  Usage: delete <key> [noreply]",
        ),
        Complaint::Delta => ("CLIENT_ERROR ", "invalid numeric delta argument"),
        Complaint::Exptime => ("CLIENT_ERROR ", "invalid exptime argument"),
        Complaint::TooLarge => ("SERVER_ERROR ", "object too large for cache"),
        Complaint::Chunk => ("CLIENT_ERROR ", "bad data chunk"),
        Complaint::LineTooLong => ("CLIENT_ERROR ", "line too long"),
        Complaint::Binary => ("CLIENT_ERROR ", "binary protocol not supported"),
    };
    Refusal::new(mark, text.as_bytes())
}

fn refuse(command: Option<u16>, complaint: Complaint) -> Request {
    Request {
        verdict: Verdict::Refuse(refusal(complaint)),
        key: Span::default(),
        command,
        reply: true,
    }
}

#[inline]
fn done(request: Request, len: usize) -> Parse {
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
    fn keys(&self, mut keys: Words<'_>) -> Request {
        let Some(first) = keys.next() else {
            return self.refuse(Complaint::Error);
        };
        let mut longest = first.len();
        let mut several = false;
        for key in keys {
            longest = longest.max(key.len());
            several = true;
        }
        if longest > self.limits.key || !self.sound {
            return self.refuse(Complaint::Format);
        }
        match self.row.rule {
            Rule::Split(merge) if several => self.request(Verdict::Split(merge), first),
            _ => self.request(Verdict::Forward, first),
        }
    }

    /// A storage command that takes `needed` words, of which the fourth is the length of the data.
    fn stored(&self, args: Args<'_>, needed: usize, bytes: &[u8], len: usize) -> Parse {
        let silent = args.count == needed + 1 && args.is_silent_from(needed);
        if args.count != needed && !silent {
            return Parse::Bad(refusal(Complaint::Error));
        }
        let Some(data) = data_len(args.word(3)) else {
            return Parse::Bad(refusal(Complaint::Format));
        };
        let fits = self.is_key(args.words[0])
            && number_up_to(args.word(1), u64::from(u32::MAX))
            && is_expiry(args.word(2))
            && (needed < 5 || number_up_to(args.word(4), u64::MAX));
        let request = if !fits {
            self.refuse(Complaint::Format)
        } else if data > self.limits.bulk {
            self.refuse(Complaint::TooLarge)
        } else {
            self.request(Verdict::Forward, args.words[0])
        };
        let request = Request {
            reply: !silent,
            ..request
        };
        with_data(request, bytes, len, data, self.limits)
    }

    /// A storage command of a kind that is not supported: only its data block is of interest.
    fn meta_stored(&self, args: Args<'_>, bytes: &[u8], len: usize) -> Parse {
        match data_len(args.word(1)) {
            Some(data) => {
                let request = self.refuse(Complaint::Error);
                with_data(request, bytes, len, data, self.limits)
            }
            None => Parse::Bad(refusal(Complaint::Error)),
        }
    }

    fn deleted(&self, args: Args<'_>) -> Request {
        let silent = args.is_silent_from(1);
        let request = match args.count {
            1..=3 if !self.is_key(args.words[0]) => self.refuse(Complaint::Format),
            1 => self.request(Verdict::Forward, args.words[0]),
            2 if silent => self.request(Verdict::Forward, args.words[0]),
            // memcached still takes a time here, if it is 0; twemproxy takes none.
            2 | 3 => self.refuse(Complaint::Usage),
            _ => return self.refuse(Complaint::Error),
        };
        Request {
            reply: !silent,
            ..request
        }
    }

    /// A command with a key, and a word behind it that must be `valid`.
    fn changed(&self, args: Args<'_>, valid: fn(&[u8]) -> bool, complaint: Complaint) -> Request {
        let silent = args.is_silent_from(2);
        let request = match args.count {
            2 | 3 if !self.is_key(args.words[0]) => self.refuse(Complaint::Format),
            2 | 3 if !valid(args.word(1)) => self.refuse(complaint),
            3 if !silent => self.refuse(Complaint::Format),
            2 | 3 => self.request(Verdict::Forward, args.words[0]),
            _ => return self.refuse(Complaint::Error),
        };
        Request {
            reply: !silent,
            ..request
        }
    }

    fn bare(&self, mut words: Words<'_>) -> Request {
        if words.next().is_some() {
            return self.refuse(Complaint::Error);
        }
        if !self.sound {
            return self.refuse(Complaint::Format);
        }
        if self.row.rule == Rule::Quit {
            let request = self.request(Verdict::Local(Local::Quit), Span::default());
            return Request {
                reply: false,
                ..request
            };
        }
        self.request(Verdict::Keyless, Span::default())
    }

    /// Whether a word of this line can go to a server as a key.
    fn is_key(&self, word: Span) -> bool {
        self.sound && word.len() <= self.limits.key
    }

    #[inline]
    fn request(&self, verdict: Verdict, key: Span) -> Request {
        Request {
            verdict,
            key,
            command: self.command,
            reply: true,
        }
    }

    fn refuse(&self, complaint: Complaint) -> Request {
        refuse(self.command, complaint)
    }
}

/// The request whose line takes `len` bytes and is followed by a block of `data` bytes and CR LF.
fn with_data(request: Request, bytes: &[u8], len: usize, data: u64, limits: &Limits) -> Parse {
    let end = len + data as usize;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => done(request, end + 2),
        Some(_) => Parse::Bad(refusal(Complaint::Chunk)),
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

#[cfg(test)]
mod tests;
