//! What a client of the binary protocol asks.
//!
//! The lengths in a header must be those its opcode has. memcached closes the connection where they are
//! not, or takes what it did not expect for the next request; so such requests never reach a server.

use super::commands::{Body as Form, Key, Row, Rule, Table, is_statistic};
use super::{HEADER_LEN, REQUEST, Stamp, Status};
use crate::protocol::{
    Answer, Body, Fan, Limits, Local, Merge, Parse, Parsed, Partial, Reach, Refusal, RequestScan,
    Span, Verdict,
};

/// Reads the request at the start of `bytes`.
#[inline]
pub fn parse(bytes: &[u8], _scan: &mut RequestScan, table: &Table, limits: &Limits) -> Parse {
    match bytes.first() {
        None => return Parse::More,
        Some(&REQUEST) => {}
        // As memcached does, without a word: there is no request to be answered.
        Some(_) => return Parse::Bad(Refusal::whole(Vec::new())),
    }
    let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
        return Parse::More;
    };
    let lengths = Lengths::of(header);
    let stamp = Stamp::of(header);
    let command = table.find(stamp.opcode);
    let bad = |status: Status| Parse::Bad(Refusal::whole(stamp.error(status)));
    if lengths.key + lengths.extras > lengths.body {
        return bad(Status::Unknown);
    }
    let Some(index) = command else {
        return with_body(refuse(None, stamp, Status::Unknown), bytes, lengths, limits);
    };
    let row = table.row(index);
    if lengths.key > limits.key as u64 || !lengths.fit(row) {
        return bad(Status::Invalid);
    }
    let start = HEADER_LEN + lengths.extras as usize;
    let key = Span::new(start, start + lengths.key as usize);
    // What it is routed by must be there; so must the whole of what is answered here.
    let small = matches!(row.rule, Rule::Auth);
    let needed = if small {
        lengths.whole()
    } else {
        u64::from(key.end)
    };
    if small && needed > AUTH_MAX {
        return bad(Status::Invalid);
    }
    if (bytes.len() as u64) < needed {
        return Parse::More;
    }
    let request = if lengths.value() > limits.bulk {
        refuse(Some(index), stamp, Status::TooLarge)
    } else if row.rule == Rule::Stat && !is_statistic(key.of(bytes)) {
        refuse(Some(index), stamp, Status::NotFound)
    } else {
        Parsed {
            verdict: verdict(row, stamp, lengths),
            key,
            command: Some(index),
            answer: if row.quiet && row.rule != Rule::Quit {
                Answer::Maybe
            } else {
                Answer::Always
            },
        }
    };
    with_body(request, bytes, lengths, limits)
}

/// Most bytes of a request by which a client says who it is.
const AUTH_MAX: u64 = 1024;

fn verdict(row: &Row, stamp: Stamp, lengths: Lengths) -> Verdict {
    let everywhere = |merge| {
        Verdict::Everywhere(Fan {
            reach: Reach::All,
            merge,
            partial: Partial::Fail,
        })
    };
    match row.rule {
        Rule::Forward => Verdict::Forward,
        Rule::Keyless => Verdict::Keyless,
        Rule::Everywhere => everywhere(Merge::First),
        Rule::Stat if lengths.key == 0 => Verdict::Local(Local::Stats),
        Rule::Stat => everywhere(Merge::Packets),
        Rule::Noop => Verdict::Local(Local::Noop),
        Rule::Quit if row.quiet => Verdict::Local(Local::QuitQuietly),
        Rule::Quit => Verdict::Local(Local::Quit),
        Rule::Mechanisms => Verdict::Local(Local::Mechanisms),
        Rule::Auth => Verdict::Local(Local::Sasl),
        Rule::Refuse => Verdict::Refuse(Refusal::whole(stamp.error(Status::NotSupported))),
    }
}

fn refuse(command: Option<u16>, stamp: Stamp, status: Status) -> Parsed {
    Parsed {
        verdict: Verdict::Refuse(Refusal::whole(stamp.error(status))),
        key: Span::default(),
        command,
        answer: Answer::Always,
    }
}

/// The request with this header, of whose body some is there.
fn with_body(request: Parsed, bytes: &[u8], lengths: Lengths, limits: &Limits) -> Parse {
    let whole = lengths.whole();
    let missing = whole.saturating_sub(bytes.len() as u64);
    if missing == 0 {
        return Parse::Done {
            request,
            len: whole as usize,
        };
    }
    if missing > limits.head as u64 {
        let body = Body::raw(missing);
        return Parse::Head { request, body };
    }
    Parse::More
}

/// The lengths a header tells.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    key: u64,
    extras: u64,
    /// All of extras, key and value.
    body: u64,
}

impl Lengths {
    fn of(header: &[u8; HEADER_LEN]) -> Self {
        Self {
            key: u64::from(u16::from_be_bytes([header[2], header[3]])),
            extras: u64::from(header[4]),
            body: u64::from(u32::from_be_bytes([
                header[8], header[9], header[10], header[11],
            ])),
        }
    }

    fn whole(self) -> u64 {
        HEADER_LEN as u64 + self.body
    }

    fn value(self) -> u64 {
        self.body - self.key - self.extras
    }

    /// Whether these are lengths of a request of this row.
    fn fit(self, row: &Row) -> bool {
        let key = match row.key {
            Key::Needed => self.key > 0,
            Key::None => self.key == 0,
            Key::Perhaps => true,
        };
        key && match row.body {
            Form::Extras(len) => self.extras == u64::from(len) && self.value() == 0,
            Form::Perhaps(len) => {
                (self.extras == u64::from(len) || self.extras == 0) && self.value() == 0
            }
            Form::Value(len) => self.extras == u64::from(len),
        }
    }
}

#[cfg(test)]
mod tests;
