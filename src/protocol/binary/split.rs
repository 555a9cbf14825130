//! What the servers say of themselves, joined.

use super::{HEADER_LEN, Stamp, Status};
use crate::buffer::{BufferPool, Queue};
use crate::protocol::{FragmentReply, Join, Joined, Plan};

/// Longest key of a message; those of memcached have far below a hundred bytes.
const KEY_MAX: u16 = 1024;

/// Whether `reply` is an error. No reply at all, to a quiet request, is none.
pub fn is_error(reply: &Queue) -> bool {
    let mut header = [0; HEADER_LEN];
    reply.peek(&mut header) == HEADER_LEN && header[6..8] != [0, 0]
}

/// Joins replies to `stat`: one server's messages after the other's, then one without a key. In front of
/// each key stand the server's name, which is its label, and a colon.
pub fn join_packets(
    join: &mut Join,
    replies: &mut [FragmentReply],
    plan: Plan<'_>,
    out: &mut Queue,
    pool: &mut BufferPool,
) -> Joined {
    let missing = |reply: &FragmentReply| {
        if reply.done {
            Joined::Bad
        } else {
            Joined::More
        }
    };
    if !join.started {
        for reply in replies.iter() {
            if reply.bytes.len() < HEADER_LEN {
                return missing(reply);
            }
            if is_error(&reply.bytes) {
                return Joined::Bad;
            }
        }
    }
    let mut end = None;
    while let Some(&fragment) = plan.order.get(join.next) {
        let reply = &mut replies[usize::from(fragment)];
        let mut header = [0; HEADER_LEN];
        if reply.bytes.peek(&mut header) < HEADER_LEN {
            return missing(reply);
        }
        let key = u16::from_be_bytes([header[2], header[3]]);
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        if reply.bytes.len() - HEADER_LEN < body as usize {
            return missing(reply);
        }
        if key == 0 {
            end = Some(header);
            join.next += 1;
            continue;
        }
        join.started = true;
        let label = plan.labels.at(join.next);
        let more = label.len() as u16 + 1;
        if key > KEY_MAX {
            return Joined::Bad;
        }
        header[2..4].copy_from_slice(&(key + more).to_be_bytes());
        header[8..12].copy_from_slice(&(body + u32::from(more)).to_be_bytes());
        reply.bytes.consume(HEADER_LEN, pool);
        out.push(&header, pool);
        out.push(label, pool);
        out.push(b":", pool);
        reply.bytes.move_front(body as usize, out, pool);
    }
    for reply in replies.iter_mut() {
        reply.bytes.clear(pool);
    }
    match end {
        Some(header) => {
            out.push(&header, pool);
            Joined::Done
        }
        None => Joined::Bad,
    }
}

/// The reply to `stat` that says what `text`, the reply to a text `stats`, says.
pub fn stat_packets(stamp: Stamp, text: &str) -> Vec<u8> {
    let mut packets = Vec::with_capacity(2 * text.len());
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        if let (Some("STAT"), Some(name), Some(value)) = (words.next(), words.next(), words.next())
        {
            packets.extend(stamp.packet(Status::Success, name.as_bytes(), value.as_bytes()));
        }
    }
    packets.extend(stamp.packet(Status::Success, b"", b""));
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Labels;

    const STAMP: Stamp = Stamp {
        opcode: 0x10,
        opaque: *b"abcd",
    };

    #[test]
    fn statistics_follow_each_other_with_the_names_of_their_servers() {
        let packet = |key: &[u8], value: &[u8]| STAMP.packet(Status::Success, key, value);
        let end = packet(b"", b"");
        let first = [packet(b"a", b"1"), packet(b"b", b""), end.clone()].concat();
        let second = [packet(b"c", b"2"), end.clone()].concat();
        let expected = [
            packet(b"s0:a", b"1"),
            packet(b"s0:b", b""),
            packet(b"s1:c", b"2"),
            end,
        ]
        .concat();
        let mut labels = Labels::default();
        labels.push(b"s0");
        labels.push(b"s1");
        for cut in 0..=first.len() {
            let mut pool = BufferPool::new(64, 4);
            let mut replies = [FragmentReply::default(), FragmentReply::default()];
            let (mut join, mut out) = (Join::default(), Queue::new());
            let plan = Plan {
                order: &[0, 1],
                labels: &labels,
                most: usize::MAX,
            };
            for (from, to) in [(0, cut), (cut, usize::MAX)] {
                for (reply, bytes) in replies.iter_mut().zip([&first, &second]) {
                    let end = to.min(bytes.len());
                    reply.bytes.push(&bytes[from.min(end)..end], &mut pool);
                    reply.done = end == bytes.len();
                }
                match join_packets(&mut join, &mut replies, plan, &mut out, &mut pool) {
                    Joined::Done => break,
                    Joined::More => {}
                    Joined::Later | Joined::Bad => panic!("cut at {cut}"),
                }
            }
            assert_eq!(out.to_vec(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn our_own_statistics_are_messages_too() {
        let packets = stat_packets(STAMP, "STAT a 1\r\nSTAT b x y\r\nEND\r\n");
        let expected = [
            STAMP.packet(Status::Success, b"a", b"1"),
            STAMP.packet(Status::Success, b"b", b"x y"),
            STAMP.packet(Status::Success, b"", b""),
        ];
        assert_eq!(packets, expected.concat());
    }
}
