//! WAIT and WAITAOF of a client that shares its connections.
//!
//! A server waits for the writes of the connection that says WAIT: up to the offset of its stream to the
//! replicas that the connection's last command left behind. We say it on another connection than that of
//! the writes, so ahead of it goes a command that takes this connection's offset to the present. Up to
//! Redis 7.0 any command does. From 7.2 on, and in Valkey, only one that adds to the stream does:
//! SPUBLISH adds a message, which nobody gets, as shard channels have no patterns and nobody listens to
//! this one. Servers in cluster mode send messages another way.
//!
//! So three things are asked: which server this is, the mark, the wait. Only if all three make sense is
//! the number passed on; a number that counts too many replicas would be worse than none.

use super::info::{Facts, QUESTION};
use crate::buffer::BufferPool;
use crate::protocol::FragmentReply;

/// What is asked of a server ahead of WAIT, in this order.
pub const BEFORE: [&[u8]; 2] = [
    QUESTION,
    b"*3\r\n$8\r\nSPUBLISH\r\n$12\r\nnutcrab:wait\r\n$0\r\n\r\n",
];

/// How many replies a server owes for a WAIT.
const REPLIES: usize = BEFORE.len() + 1;

/// The answer when a server cannot be told up to where it is to wait.
const NO_MARK: &[u8] =
    b"-ERR WAIT needs INFO and SPUBLISH, and no cluster mode, on the servers of this pool\r\n";

/// Leaves of each server's replies the one that counts, or an error in its place. What a server was not
/// heard to the end of is left out.
pub fn settle(replies: &mut Vec<FragmentReply>, pool: &mut BufferPool) {
    let mut kept = 0;
    for first in (0..replies.len()).step_by(REPLIES) {
        let Some(verdict) = verdict(&replies[first..]) else {
            continue;
        };
        if verdict == Verdict::Refused {
            replies[first + REPLIES - 1].bytes.clear(pool);
            replies[first + REPLIES - 1].bytes.push_exact(NO_MARK);
        }
        replies.swap(kept, first + REPLIES - 1);
        kept += 1;
    }
    for reply in &mut replies[kept..] {
        reply.bytes.clear(pool);
    }
    replies.truncate(kept);
}

/// Whether a server that was heard to the end has made the wait for the others pointless.
pub fn is_lost(replies: &[FragmentReply]) -> bool {
    let verdicts = replies.chunks(REPLIES).map(verdict);
    verdicts.flatten().any(|verdict| verdict != Verdict::Counts)
}

/// What is to be made of one server's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Its number counts.
    Counts,
    /// It has answered with an error of its own.
    Failed,
    /// It has answered, but to what is not known.
    Refused,
}

/// That of the server whose replies come first, if it was heard to the end.
fn verdict(replies: &[FragmentReply]) -> Option<Verdict> {
    let [about, mark, reply, ..] = replies else {
        return None;
    };
    if !reply.done || reply.bytes.is_empty() {
        return None;
    }
    let begins = |reply: &FragmentReply, mark: u8| reply.bytes.front().first() == Some(&mark);
    if begins(reply, b'-') {
        return Some(Verdict::Failed);
    }
    let about = about.bytes.to_vec();
    let facts = Facts::told(&about);
    let is_marked = facts.is_some_and(|facts| {
        facts.is_older_than(7, 2) || (!facts.in_cluster && begins(mark, b':'))
    });
    Some(if is_marked {
        Verdict::Counts
    } else {
        Verdict::Refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(servers: &[[&str; 3]]) -> Vec<FragmentReply> {
        let mut replies = Vec::new();
        for text in servers.iter().flatten() {
            let mut reply = FragmentReply {
                done: true,
                ..FragmentReply::default()
            };
            reply.bytes.push_exact(text.as_bytes());
            replies.push(reply);
        }
        replies
    }

    fn settled(servers: &[[&str; 3]]) -> Vec<String> {
        let mut replies = replies(servers);
        settle(&mut replies, &mut BufferPool::new(512, 1));
        let texts = replies.iter().map(|reply| reply.bytes.to_vec());
        texts
            .map(|text| String::from_utf8(text).expect("text"))
            .collect()
    }

    const OLD: &str = "$22\r\nredis_version:7.0.15\r\n";
    const NEW: &str = "$44\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\n";
    const CLUSTER: &str = "$44\r\nredis_version:7.2.4\r\nredis_mode:cluster\r\n";
    const MARKED: &str = ":0\r\n";
    const NOT: &str = "-ERR unknown command 'SPUBLISH'\r\n";

    #[test]
    fn a_number_counts_only_if_it_is_known_what_it_counts() {
        let refused = std::str::from_utf8(NO_MARK).expect("text");
        for (about, mark, expected) in [
            (OLD, MARKED, ":1\r\n"),
            (OLD, NOT, ":1\r\n"),
            (NEW, MARKED, ":1\r\n"),
            (NEW, NOT, refused),
            (CLUSTER, MARKED, refused),
            ("-NOPERM no\r\n", MARKED, refused),
            ("$0\r\n\r\n", MARKED, refused),
        ] {
            assert_eq!(
                settled(&[[about, mark, ":1\r\n"]]),
                [expected],
                "{about} {mark}"
            );
            let lost = is_lost(&replies(&[[NEW, "", ""], [about, mark, ":1\r\n"]]));
            assert_eq!(lost, expected == refused, "{about} {mark}");
        }
    }

    #[test]
    fn a_servers_own_error_is_passed_on() {
        let error = "-ERR timeout is negative\r\n";
        let servers = [[NEW, MARKED, ":1\r\n"], [NEW, NOT, error]];
        assert_eq!(settled(&servers), [":1\r\n", error]);
        assert!(is_lost(&replies(&servers)));
    }

    #[test]
    fn who_was_not_heard_to_the_end_is_left_out() {
        let servers = [[NEW, "", ""], [NEW, MARKED, ":3\r\n"], ["", "", ""]];
        assert_eq!(settled(&servers), [":3\r\n"]);
        assert!(!is_lost(&replies(&servers)));
    }
}
