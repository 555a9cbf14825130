//! Where a server's reply in the binary protocol ends: where its header says, but for `stat`, whose
//! reply goes on until a message without a key; and behind a request with a marker, where the
//! marker's reply ends. It must repeat opcode and opaque of the request, or be the marker's.

use super::{HEADER_LEN, MARKER, REPLY, STAT, Stamp, VERSION};
use crate::protocol::{BadReply, Fed, Part, ReplyScan};

/// Largest body of the marker's reply: the text of a version.
const MARKER_BODY_MAX: u64 = 256;

/// Takes the next bytes of the reply `scan` stands in. What it does not use of them is the next reply,
/// or a header that is not whole, to be given again together with more bytes.
#[inline]
pub fn feed(scan: &mut ReplyScan, stamp: Option<Stamp>, bytes: &[u8]) -> Result<Fed, BadReply> {
    let mut used = 0;
    loop {
        let now = scan.left.min((bytes.len() - used) as u64);
        used += now as usize;
        scan.left -= now;
        if scan.left > 0 {
            return Ok(Fed { used, done: false });
        }
        if std::mem::take(&mut scan.part).is_last() && !scan.marked {
            return Ok(Fed { used, done: true });
        }
        let rest = &bytes[used..];
        if rest.first().is_some_and(|&magic| magic != REPLY) {
            return Err(BadReply::Kind);
        }
        let Some(header) = rest.first_chunk::<HEADER_LEN>() else {
            return Ok(Fed { used, done: false });
        };
        let opcode = header[1];
        let key = u16::from_be_bytes([header[2], header[3]]);
        let body = u64::from(u32::from_be_bytes([
            header[8], header[9], header[10], header[11],
        ]));
        if let Some(stamp) = stamp {
            let expected = if scan.marked && opcode == VERSION {
                Stamp::of(MARKER)
            } else {
                stamp
            };
            if Stamp::of(header) != expected {
                return Err(BadReply::Foreign);
            }
        }
        if u64::from(key) + u64::from(header[4]) > body {
            return Err(BadReply::Number);
        }
        if scan.marked && opcode == VERSION {
            if body > MARKER_BODY_MAX {
                return Err(BadReply::Number);
            }
            let len = HEADER_LEN + body as usize;
            if rest.len() < len {
                return Ok(Fed { used, done: false });
            }
            scan.begun = true;
            scan.marker_len = len;
            return Ok(Fed {
                used: used + len,
                done: true,
            });
        }
        scan.begun = true;
        scan.left = body;
        // An error has a body and no key; so has the end of the statistics no key.
        if opcode != STAT || key == 0 {
            scan.part = Part::LastBlock;
        }
        used += HEADER_LEN;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn feed(scan: &mut ReplyScan, bytes: &[u8]) -> Result<Fed, BadReply> {
        super::feed(scan, None, bytes)
    }

    fn packet(opcode: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
        let stamp = Stamp {
            opcode,
            opaque: *b"abcd",
        };
        stamp.packet(Status::Success, key, value)
    }

    /// One reply, given whole, cut at every point and byte by byte, with another behind it.
    fn check(reply: &[u8], marked: bool, marker_len: usize) {
        let mut bytes = reply.to_vec();
        bytes.extend(packet(0, b"", b"next"));
        let scan = || ReplyScan {
            marked,
            ..ReplyScan::default()
        };
        for cut in 0..=reply.len() {
            let mut scan = scan();
            let first = feed(&mut scan, &bytes[..cut]).expect("valid");
            let mut used = first.used;
            if !first.done {
                let rest = feed(&mut scan, &bytes[used..]).expect("valid");
                assert!(rest.done, "cut at {cut}");
                used += rest.used;
            }
            assert_eq!(
                (used, scan.marker_len),
                (reply.len(), marker_len),
                "cut at {cut}"
            );
        }
        let (mut scan, mut start) = (scan(), 0);
        for end in 1..=reply.len() {
            let fed = feed(&mut scan, &bytes[start..end]).expect("valid");
            start += fed.used;
            assert_eq!(fed.done, end == reply.len(), "byte by byte at {end}");
        }
    }

    #[test]
    fn replies_end_where_they_end() {
        let version = packet(VERSION, b"", b"1.6.18");
        let hit = packet(0x0d, b"key", b"value");
        check(&packet(0x01, b"", b""), false, 0);
        check(&hit, false, 0);
        check(&version, false, 0);
        let stats = [
            packet(STAT, b"pid", b"1"),
            packet(STAT, b"empty", b""),
            packet(STAT, b"", b""),
        ];
        check(&stats.concat(), false, 0);
        check(&version, true, version.len());
        check(&[hit, version.clone()].concat(), true, version.len());
        let errors = [
            packet(0x11, b"", b"Too large."),
            packet(0x81, b"", b""),
            version.clone(),
        ];
        check(&errors.concat(), true, version.len());
    }

    #[test]
    fn a_reply_repeats_opcode_and_opaque_of_its_request() {
        let asked = Stamp {
            opcode: 0x0d,
            opaque: *b"abcd",
        };
        let other = Stamp {
            opaque: *b"abce",
            ..asked
        };
        let marker = Stamp::of(MARKER).reply(Status::Success, b"1.6.18");
        let hit = asked.packet(Status::Success, b"key", b"value");
        let outcome = |marked: bool, bytes: &[u8]| {
            let mut scan = ReplyScan {
                marked,
                ..ReplyScan::default()
            };
            super::feed(&mut scan, Some(asked), bytes).map(|fed| fed.done)
        };
        assert_eq!(outcome(false, &hit), Ok(true));
        assert_eq!(outcome(false, &asked.error(Status::Temporary)), Ok(true));
        assert_eq!(outcome(true, &marker), Ok(true));
        assert_eq!(outcome(true, &[&hit[..], &marker].concat()), Ok(true));
        let foreign = [
            other.packet(Status::Success, b"key", b"value"),
            packet(0x0c, b"key", b"value"),
            marker.clone(),
        ];
        for bytes in foreign {
            assert_eq!(outcome(false, &bytes), Err(BadReply::Foreign), "{bytes:?}");
        }
        let mut long_key = marker.clone();
        long_key[3] = 9;
        assert_eq!(outcome(true, &long_key), Err(BadReply::Number));
        // A version that was asked for by somebody else, and what comes behind a reply.
        let version = packet(VERSION, b"", b"1.6.18");
        for bytes in [version, [hit, packet(0x0c, b"", b"")].concat()] {
            assert_eq!(outcome(true, &bytes), Err(BadReply::Foreign), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let mut request = packet(0, b"", b"");
        request[0] = 0x80;
        let mut lengths = packet(0, b"", b"");
        lengths[3] = 1;
        for (bytes, bad) in [
            (&b"END\r\n"[..], BadReply::Kind),
            (&request, BadReply::Kind),
            (&lengths, BadReply::Number),
        ] {
            assert_eq!(feed(&mut ReplyScan::default(), bytes), Err(bad));
        }
    }
}
