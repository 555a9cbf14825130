//! The hash tag: which part of a key is hashed.

use memchr::memchr;

/// The bytes between the first `tag[0]` and the first `tag[1]` behind it, if there is at least one;
/// otherwise the whole key.
///
/// ```
/// use nutcrab::route::hashed_part;
/// assert_eq!(hashed_part(b"user:{17}:name", *b"{}"), b"17");
/// assert_eq!(hashed_part(b"user:17:name", *b"{}"), b"user:17:name");
/// ```
#[inline]
pub fn hashed_part(key: &[u8], tag: [u8; 2]) -> &[u8] {
    let [open, close] = tag;
    let Some(start) = memchr(open, key).map(|at| at + 1) else {
        return key;
    };
    match memchr(close, &key[start..]) {
        // Compat: an empty tag is not skipped in favour of a later one. Test: tags.
        Some(0) | None => key,
        Some(len) => &key[start..start + len],
    }
}

#[cfg(test)]
mod tests {
    use super::hashed_part;
    use proptest::prelude::*;

    #[test]
    fn tags() {
        for (key, tag, expected) in [
            ("", "{}", ""),
            ("plain", "{}", "plain"),
            ("{a}", "{}", "a"),
            ("x{a}y", "{}", "a"),
            ("x{a}y{b}", "{}", "a"),
            ("{}a{b}", "{}", "{}a{b}"),
            ("{{a}}", "{}", "{a"),
            ("}a{b}", "{}", "b"),
            ("a{b", "{}", "a{b"),
            ("a}b{", "{}", "a}b{"),
            ("{", "{}", "{"),
            ("$a$", "$$", "a"),
            ("$a", "$$", "$a"),
            ("$$a$", "$$", "$$a$"),
        ] {
            let tag = [tag.as_bytes()[0], tag.as_bytes()[1]];
            assert_eq!(
                hashed_part(key.as_bytes(), tag),
                expected.as_bytes(),
                "{key}"
            );
        }
    }

    /// The rule, byte by byte.
    fn naive(key: &[u8], tag: [u8; 2]) -> &[u8] {
        for start in 0..key.len() {
            if key[start] != tag[0] {
                continue;
            }
            for end in start + 1..key.len() {
                if key[end] == tag[1] {
                    return if end == start + 1 {
                        key
                    } else {
                        &key[start + 1..end]
                    };
                }
            }
            return key;
        }
        key
    }

    proptest! {
        #[test]
        fn equals_the_rule_read_byte_by_byte(
            key in proptest::collection::vec(prop::sample::select(b"{}$ab".to_vec()), 0..12),
            tag in prop::sample::select(vec![*b"{}", *b"$$", *b"}{", *b"a{"]),
        ) {
            prop_assert_eq!(hashed_part(&key, tag), naive(&key, tag));
        }
    }
}
