//! Each opcode whole and cut at every point, and what is no request.

use proptest::prelude::*;

use super::*;
use crate::protocol::Protocol;
use crate::protocol::binary::REPLY;
use crate::protocol::pieces::{self, Outcome};

/// A request with these parts, which need not fit together.
fn packet(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut bytes = vec![REQUEST, opcode];
    bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    bytes.extend_from_slice(&body.to_be_bytes());
    bytes.extend_from_slice(b"opaq");
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend([extras, key, value].concat());
    bytes
}

/// The outcome of `bytes`, which must not depend on how they come, nor on how early bodies are handed
/// over.
fn check(bytes: &[u8]) -> Outcome {
    pieces::check(Protocol::Binary, bytes)
}

#[test]
fn every_opcode_is_understood_in_the_form_it_has() {
    let table = Table::standard();
    for row in table.rows() {
        let (extras, value): (_, &[u8]) = match row.body {
            Form::Extras(len) | Form::Perhaps(len) => (len, b""),
            Form::Value(len) => (len, b"value"),
        };
        let key: &[u8] = match row.key {
            Key::Needed => b"key",
            Key::Perhaps => b"items",
            Key::None => b"",
        };
        let bytes = packet(row.opcode, &vec![0; usize::from(extras)], key, value);
        for behind in [&b""[..], b"\x80", b"get a\r\n"] {
            let Outcome::Request(request, len) = check(&[&bytes, behind].concat()) else {
                panic!("{}", row.name);
            };
            assert_eq!(len, bytes.len(), "{}", row.name);
            assert_eq!(request.key.of(&bytes), key, "{}", row.name);
            let refused = matches!(request.verdict, Verdict::Refuse(_));
            assert!(!refused, "{}", row.name);
        }
        // One byte of extras more, and for those without a value one byte behind the key.
        let wrong = packet(row.opcode, &vec![0; usize::from(extras) + 1], key, value);
        let invalid = Outcome::Bad(Refusal::whole(Stamp::of(&wrong).error(Status::Invalid)));
        assert_eq!(check(&wrong), invalid, "{}", row.name);
        if value.is_empty() {
            let wrong = packet(row.opcode, &vec![0; usize::from(extras)], key, b"x");
            assert_eq!(check(&wrong), invalid, "{}", row.name);
        }
    }
}

#[test]
fn statistics_without_a_certain_end_are_not_found() {
    for key in [
        "sizes_enable",
        "sizes_disable",
        "resetx",
        "detail",
        "items ",
        "Items",
    ] {
        let bytes = packet(0x10, b"", key.as_bytes(), b"");
        let Outcome::Request(request, _) = check(&bytes) else {
            panic!("{key}");
        };
        let error = Refusal::whole(Stamp::of(&bytes).error(Status::NotFound));
        assert_eq!(request.verdict, Verdict::Refuse(error), "{key}");
    }
}

#[test]
fn quiet_requests_may_be_answered_or_not() {
    for (opcode, answer) in [
        (0x00, Answer::Always),
        (0x0d, Answer::Maybe),
        (0x09, Answer::Maybe),
    ] {
        let Outcome::Request(request, _) = check(&packet(opcode, b"", b"key", b"")) else {
            panic!("{opcode}");
        };
        assert_eq!(
            (request.verdict, request.answer),
            (Verdict::Forward, answer)
        );
    }
}

#[test]
fn lengths_that_do_not_fit_end_the_connection() {
    let mut lengths = packet(0, b"", b"key", b"");
    lengths[11] = 2;
    assert!(matches!(check(&lengths), Outcome::Bad(_)));
    let long = packet(0, b"", &[b'k'; 251], b"");
    assert!(matches!(check(&long), Outcome::Bad(_)));
    let none = packet(0, b"", b"", b"");
    assert!(matches!(check(&none), Outcome::Bad(_)));
    // Something else entirely ends it without a word.
    for bytes in [&b"get a\r\n"[..], &[REPLY]] {
        assert_eq!(check(bytes), Outcome::Bad(Refusal::whole(Vec::new())));
    }
}

#[test]
fn unknown_opcodes_are_refused_and_their_bodies_skipped() {
    let bytes = packet(0x77, b"e", b"key", b"value");
    let Outcome::Request(request, len) = check(&bytes) else {
        panic!("a request");
    };
    assert_eq!(len, bytes.len());
    let refusal = Refusal::whole(Stamp::of(&bytes).error(Status::Unknown));
    assert_eq!(request.verdict, Verdict::Refuse(refusal));
}

#[test]
fn a_large_value_is_handed_over_as_head_and_body() {
    let mut bytes = packet(0x01, &[0; 8], b"key", b"");
    bytes[8..12].copy_from_slice(&(1_000_000u32 + 11).to_be_bytes());
    let table = Table::standard();
    let parsed = parse(
        &bytes,
        &mut RequestScan::default(),
        &table,
        &Limits::MEMCACHE,
    );
    match parsed {
        Parse::Head { request, body } => {
            assert_eq!(request.verdict, Verdict::Forward);
            assert_eq!(body.announced(), 1_000_000);
        }
        other => panic!("{other:?}"),
    }
    bytes[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    let parsed = parse(
        &bytes,
        &mut RequestScan::default(),
        &table,
        &Limits::MEMCACHE,
    );
    assert!(
        matches!(&parsed, Parse::Head { request, .. } if matches!(request.verdict, Verdict::Refuse(_))),
        "{parsed:?}"
    );
}

proptest! {
    #[test]
    fn any_bytes_in_any_cut_give_the_same(
        opcode in 0u8..0x28,
        extras in prop::sample::select(vec![0usize, 4, 8, 20]),
        key in "[a-z]{0,9}",
        value in "[a-z]{0,40}",
        behind in proptest::collection::vec(any::<u8>(), 0..30),
        wrong in proptest::option::of((2usize..12, any::<u8>())),
    ) {
        let mut bytes = packet(opcode, &vec![0; extras], key.as_bytes(), value.as_bytes());
        if let Some((place, byte)) = wrong {
            bytes[place] = byte;
        }
        bytes.extend(behind);
        check(&bytes);
    }
}
