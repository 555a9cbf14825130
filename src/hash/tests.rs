//! Every row of the recorded hash vectors, and the rules around them.

use super::Hash;

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
        .collect()
}

#[test]
fn vectors() {
    let text = include_str!("../../tests/data/hash-vectors.json");
    let data: serde_json::Value = serde_json::from_str(text).expect("json");
    let hashes: Vec<Hash> = data["functions"]
        .as_array()
        .expect("functions")
        .iter()
        .map(|name| name.as_str().expect("name").parse().expect("known"))
        .collect();
    let rows = data["vectors"].as_array().expect("vectors");
    assert_eq!(rows.len(), 224);
    for row in rows {
        let key = bytes(row["key_hex"].as_str().expect("key"));
        let expected = row["hash"].as_array().expect("hash");
        assert_eq!(expected.len(), hashes.len());
        for (hash, expected) in hashes.iter().zip(expected) {
            assert_eq!(
                u64::from(hash.raw(&key)),
                expected.as_u64().expect("number"),
                "{} of {key:02x?}",
                hash.name()
            );
        }
    }
}

#[test]
fn an_empty_key_is_zero() {
    for (name, hash) in Hash::ALL {
        assert_eq!(hash.of(b""), 0, "{name}");
        assert_eq!(hash.of(b"a"), hash.raw(b"a"), "{name}");
    }
}

#[test]
fn names_lead_to_their_hash_and_back() {
    for (name, hash) in Hash::ALL {
        assert_eq!(name.parse(), Ok(hash));
        assert_eq!(hash.name(), name);
    }
    for wrong in ["", "MD5", "fnv1a64", "md5 "] {
        let error = wrong.parse::<Hash>().expect_err(wrong);
        assert_eq!(error.to_string(), format!("unknown hash \"{wrong}\""));
    }
}
