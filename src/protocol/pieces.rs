//! Requests of memcached's protocols read in pieces, for the tests of their parsers.

use super::{Body, Commands, Limits, Parse, Parsed, Protocol, Refusal, RequestScan};

/// What a client's bytes came to.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// A request of so many bytes, its data block included.
    Request(Parsed, usize),
    Bad(Refusal),
    /// All bytes belong to a request that is not whole.
    More,
}

/// Reads one request from `bytes`, of which it is given so many at a time: `ends` says how many, in
/// ascending order, before all of them.
pub fn read(protocol: Protocol, bytes: &[u8], ends: &[usize], limits: &Limits) -> Outcome {
    let commands = Commands::standard(protocol);
    let mut scan = RequestScan::default();
    let mut head: Option<(Parsed, Body, usize)> = None;
    for end in ends.iter().copied().chain([bytes.len()]) {
        if let Some((request, mut body, start)) = head.take() {
            match body.feed(&bytes[start..end]) {
                Ok(fed) if fed.done => return Outcome::Request(request, start + fed.used),
                Ok(fed) => head = Some((request, body, start + fed.used)),
                Err(bad) => {
                    assert_ne!(protocol, Protocol::Binary, "a raw body is never bad");
                    return Outcome::Bad(protocol.bad_body(bad));
                }
            }
            continue;
        }
        match commands.parse(&bytes[..end], &mut scan, limits) {
            Parse::Done { request, len } => return Outcome::Request(request, len),
            Parse::Head { request, body } => head = Some((request, body, end)),
            Parse::More => {}
            Parse::Bad(refusal) => return Outcome::Bad(refusal),
            Parse::Inline { .. } => panic!("that is Redis"),
        }
    }
    Outcome::More
}

/// Reads `bytes` whole, byte by byte, and cut at every point, with large and small heads; the outcome
/// must always be the same. Returns it.
pub fn check(protocol: Protocol, bytes: &[u8]) -> Outcome {
    let whole = read(protocol, bytes, &[], &Limits::MEMCACHE);
    let small = Limits {
        head: 2,
        ..Limits::MEMCACHE
    };
    let all: Vec<usize> = (0..bytes.len()).collect();
    for limits in [Limits::MEMCACHE, small] {
        let shown = bytes.escape_ascii();
        let outcome = read(protocol, bytes, &all, &limits);
        assert_eq!(outcome, whole, "{shown} byte by byte");
        for cut in 0..bytes.len() {
            let outcome = read(protocol, bytes, &[cut], &limits);
            assert_eq!(outcome, whole, "{shown} cut at {cut}");
        }
    }
    if let Some(found) = Commands::standard(protocol).straight(bytes, &Limits::MEMCACHE) {
        let (request, len) = found.parsed();
        assert_eq!(whole, Outcome::Request(request, len), "the straight path");
    }
    whole
}
