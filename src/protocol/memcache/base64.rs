//! Keys of meta commands that stand in base64: they are hashed by what they mean.
//!
//! As memcached decodes them: four letters at a time, padded, and bits too many are passed over.

/// Most bytes a key can mean: a word of a line has at most 250 letters.
pub const DECODED_MAX: usize = 250 / 4 * 3;

/// Decodes `text` into `out` and gives the bytes written; `None` if it is no base64, or empty.
pub fn decode<'a>(text: &[u8], out: &'a mut [u8; DECODED_MAX]) -> Option<&'a [u8]> {
    if text.is_empty() || !text.len().is_multiple_of(4) || text.len() / 4 * 3 > DECODED_MAX {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let letters = &text[..text.len() - padding];
    let mut len = 0;
    for group in letters.chunks(4) {
        let mut bits = 0;
        for index in 0..4 {
            let value = group.get(index).map_or(Some(0), |&letter| value(letter))?;
            bits = bits << 6 | u32::from(value);
        }
        let bytes = bits.to_be_bytes();
        let count = group.len() - 1;
        out[len..len + count].copy_from_slice(&bytes[1..1 + count]);
        len += count;
    }
    Some(&out[..len])
}

fn value(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_memcached_decodes_is_decoded() {
        for (text, expected) in [
            ("YQ==", &b"a"[..]),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("YWJjZA==", b"abcd"),
            ("AP+/", b"\x00\xff\xbf"),
            // Bits too many.
            ("YR==", b"a"),
        ] {
            assert_eq!(
                decode(text.as_bytes(), &mut [0; DECODED_MAX]),
                Some(expected),
                "{text}"
            );
        }
        let longest = "YWFh".repeat(62);
        assert_eq!(
            decode(longest.as_bytes(), &mut [0; DECODED_MAX]),
            Some(&[b'a'; DECODED_MAX][..])
        );
    }

    #[test]
    fn other_words_are_not() {
        let long = "YWFh".repeat(63);
        for text in [
            "", "a", "YQ", "YQ=", "Y===", "====", "Y=Q=", "YQ==YQ==", "!!!!", "a-b_", &long,
        ] {
            assert_eq!(
                decode(text.as_bytes(), &mut [0; DECODED_MAX]),
                None,
                "{text}"
            );
        }
    }
}
