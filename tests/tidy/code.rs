//! Just enough of Rust's grammar to look at code without its comments and strings.

/// The source with comments and the contents of string and character literals blanked out, line
/// breaks kept.
pub fn code_of(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + literal_len(&bytes[at..], at > 0 && is_name(bytes[at - 1] as char)).max(1);
        if end == at + 1 {
            code.push(bytes[at]);
        } else {
            code.extend(
                bytes[at..end]
                    .iter()
                    .map(|&b| if b == b'\n' { b'\n' } else { b' ' }),
            );
        }
        at = end;
    }
    String::from_utf8(code).expect("only whole comments and literals of UTF-8 text were replaced")
}

/// Where the path or macro name `needle` starts in `code`, not as the tail of a longer name or path.
pub fn positions<'a>(code: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(needle)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = &code[..at];
            let parent = before.strip_suffix("::").unwrap_or(before);
            !parent.ends_with(|c| is_name(c) || c == '>')
        })
}

pub fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names that follow `root` directly, `{…}` groups opened.
pub fn first_names_after(code: &str, root: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|&c| is_name(c))
            .collect()
    };
    let mut names = Vec::new();
    for at in positions(code, root) {
        let rest = &code[at + root.len()..];
        let Some(group) = rest.trim_start().strip_prefix('{') else {
            names.push(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.push(name(&group[start..index]));
                    start = index + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    names
}

/// The length of the comment or literal that starts here; 0 if none does.
fn literal_len(text: &[u8], inside_name: bool) -> usize {
    match text {
        [b'/', b'/', ..] => text.iter().take_while(|&&b| b != b'\n').count(),
        [b'/', b'*', ..] => block_comment_len(text),
        [b'"', ..] => quoted_len(text, b'"'),
        [b'r', b'"' | b'#', ..] if !inside_name => raw_len(text),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !inside_name => match raw_len(&text[1..]) {
            0 => 0,
            len => 1 + len,
        },
        // 'x' and '\n' are characters, 'a is a lifetime.
        [b'\'', b'\\', ..] => quoted_len(text, b'\''),
        [b'\'', first, ..] => {
            let width = match first {
                0x00..=0x7f => 1,
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            if text.get(1 + width) == Some(&b'\'') {
                2 + width
            } else {
                0
            }
        }
        _ => 0,
    }
}

/// The length of `r#"…"#` with any number of hashes; 0 for a raw name such as `r#type`.
fn raw_len(text: &[u8]) -> usize {
    let hashes = text[1..].iter().take_while(|&&b| b == b'#').count();
    if text.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let (body, close) = (2 + hashes, [&b"\""[..], &b"#".repeat(hashes)].concat());
    let end = text[body..].windows(close.len()).position(|w| w == close);
    end.map_or(text.len(), |end| body + end + close.len())
}

fn block_comment_len(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_len(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != quote {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        for (source, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y", 'z', '\'', '"')"#, "f(      ,    ,     ,    )"),
            (r#"f(r"a\", b)"#, "f(     , b)"),
            ("f(r#\"a\"b\"#, br\"c\")", "f(        ,      )"),
            ("'a: loop { break 'a }", "'a: loop { break 'a }"),
            ("r#type r", "r#type r"),
            ("f('\\u{e9}', 'é')", "f(        ,     )"),
        ] {
            assert_eq!(code_of(source), code, "{source}");
        }
    }

    #[test]
    fn groups_are_opened_one_level() {
        let code = "use crate::{a, b::{c, d::{e}}, f as g}; crate::h::i(); xcrate::j;";
        assert_eq!(first_names_after(code, "crate::"), ["a", "b", "f", "h"]);
    }
}
