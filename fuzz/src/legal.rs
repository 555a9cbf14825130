//! What a server may say is read, to its end and no further, in any cut; what is nearly that is refused, or
//! waited for, and is never read into what follows.

use nutcrab::protocol::{BadReply, Protocol, Version};

use super::bytes::Bytes;
use super::grammar::{Reply, Speech};

/// Two replies one behind the other, as they are and with the first broken.
pub fn check(source: &mut Bytes) {
    let speech = match source.below(5) {
        0 | 1 => Speech::Redis(Version::Resp3),
        2 => Speech::Redis(Version::Resp2),
        3 => Speech::Text,
        _ => Speech::Binary,
    };
    let manner = source.below(3);
    let places: [usize; 4] =
        std::array::from_fn(|_| usize::from(source.byte()) << 8 | usize::from(source.byte()));
    let (way, place) = (source.byte(), places[3]);
    let first = Reply::new(speech, source);
    let second = Reply::new(speech, source);
    let ends = |len: usize| -> Vec<usize> {
        let mut ends: Vec<usize> = match manner {
            0 => Vec::new(),
            1 => places.iter().map(|place| place * len / 65_536).collect(),
            // Byte by byte, if there are not too many.
            _ => (1..len)
                .step_by((1 + places[0] % 7).max(len / 400))
                .collect(),
        };
        ends.push(len);
        ends.sort_unstable();
        ends
    };
    let both = [&first.bytes[..], &second.bytes].concat();
    let lengths = [first.bytes.len(), second.bytes.len()];
    for (replies, bytes) in [(1, &first.bytes), (2, &both)] {
        let read = read(&[&first, &second], bytes, &ends(bytes.len()));
        assert_eq!(
            read,
            (lengths[..replies].to_vec(), None),
            "{}",
            shown(bytes)
        );
    }
    // The end of the first may come together with the start of the second.
    let within = &both[..lengths[0] + place % lengths[1]];
    let outcome = read(&[&first, &second], within, &ends(within.len()));
    assert_eq!(outcome, (vec![lengths[0]], None), "{}", shown(within));

    let unfinished = &first.bytes[..place % lengths[0]];
    let outcome = read(&[&first], unfinished, &ends(unfinished.len()));
    assert_eq!(outcome, (Vec::new(), None), "{}", shown(unfinished));

    let broken = [broken(&first, way, place), second.bytes].concat();
    let (done, bad) = read(&[&first], &broken, &ends(broken.len()));
    let is_refused = done.is_empty() && bad.is_some();
    assert!(is_refused, "{done:?} of {}", shown(&broken));
}

/// The reply with a mistake that cannot be taken for anything else.
fn broken(reply: &Reply, way: u8, place: usize) -> Vec<u8> {
    let mut bytes = reply.bytes.clone();
    let one = |places: &[usize]| places.get(place % places.len().max(1)).copied();
    let start = one(&reply.starts).unwrap_or_default();
    if reply.protocol == Protocol::Binary {
        match way % 2 {
            0 => bytes[start] = [0x80, 0x00, b'V', b'+'][place % 4],
            // A key that is longer than the body.
            _ => bytes[start + 2..start + 12].copy_from_slice(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 8]),
        }
        return bytes;
    }
    match (way % 5, one(&reply.ends), one(&reply.digits)) {
        (1, Some(end), _) => bytes[end] = b'x',
        (2, _, Some(digit)) => bytes[digit] = b'x',
        (3, ..) => bytes.insert(start + 1, b'\r'),
        // The last byte is lost.
        (4, ..) => bytes.truncate(bytes.len() - 1),
        _ => bytes[start] = [b'?', b'\0', b'x', b'\r'][place % 4],
    }
    bytes
}

/// The lengths of the replies in `bytes`, which arrive as `ends` say, and what was refused.
fn read(replies: &[&Reply], bytes: &[u8], ends: &[usize]) -> (Vec<usize>, Option<BadReply>) {
    let mut lengths = Vec::new();
    let (mut start, mut position) = (0, 0);
    let mut expected = replies.iter();
    let mut current = expected
        .next()
        .map(|reply| (reply, reply.scan(), reply.asked()));
    for &end in ends {
        while position < end
            && let Some((reply, scan, asked)) = &mut current
        {
            let protocol = reply.protocol;
            match protocol.feed_reply_to(Some(asked), scan, &bytes[position..end]) {
                Ok(fed) => {
                    assert!(fed.used <= end - position, "more used than there is");
                    position += fed.used;
                    if !fed.done {
                        break;
                    }
                    lengths.push(position - start);
                    start = position;
                    current = expected
                        .next()
                        .map(|reply| (reply, reply.scan(), reply.asked()));
                }
                Err(bad) => return (lengths, Some(bad)),
            }
        }
    }
    (lengths, None)
}

fn shown(bytes: &[u8]) -> String {
    let start = bytes[..bytes.len().min(300)].escape_ascii();
    format!("{} bytes: {start}", bytes.len())
}
