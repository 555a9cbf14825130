//! `CONFIG GET`: the settings of several servers, and some of our own, made one reply.

use super::pattern::Pattern;
use super::request::words;
use super::write::Writer;
use crate::protocol::body::{Number, number_line};
use crate::protocol::{FragmentReply, Version};

/// Names of settings that hold what servers know each other by end so. They are not for clients.
const SECRET: [&[u8]; 4] = [b"pass", b"password", b"masterauth", b"primaryauth"];

/// The names and patterns a request asks for.
pub fn asked(request: &[u8]) -> Vec<&[u8]> {
    words(request).get(2..).unwrap_or_default().to_vec()
}

/// Whether it is a name and not a pattern of several.
pub fn is_name(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"*?[\\".contains(byte))
}

/// The reply to `request` from those of the servers. `own` is what the proxy decides, whatever they say.
/// A setting that is not the same on all servers has no value here: asked for by its name that is an
/// error, and by a pattern it is left out. `None` if a reply is not one to CONFIG GET.
pub fn merged(
    request: &[u8],
    replies: &[FragmentReply],
    own: &[(&str, String)],
    version: Version,
) -> Option<Vec<u8>> {
    let texts: Vec<Vec<u8>> = replies.iter().map(|reply| reply.bytes.to_vec()).collect();
    let all: Option<Vec<_>> = texts.iter().map(|text| pairs(text)).collect();
    let all = all?;
    let patterns = asked(request);
    let read: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text)).collect();
    let is_asked = |name: &[u8]| read.iter().any(|pattern| pattern.is_like(name));
    let own: Vec<_> = own
        .iter()
        .filter(|(name, _)| is_asked(name.as_bytes()))
        .collect();
    let is_own = |name: &[u8]| {
        own.iter()
            .any(|own| own.0.as_bytes().eq_ignore_ascii_case(name))
    };
    let (first, others) = all.split_first()?;
    let mut told = Vec::new();
    let mut reply = Writer::new(version);
    for &(name, value) in first {
        let lower = name.to_ascii_lowercase();
        if is_own(name) || SECRET.iter().any(|end| lower.ends_with(end)) {
            continue;
        }
        if others.iter().all(|pairs| pairs.contains(&(name, value))) {
            told.push((name, value));
        } else if patterns
            .iter()
            .any(|asked| asked.eq_ignore_ascii_case(name))
        {
            let name = String::from_utf8_lossy(&lower);
            reply.error(&format!("ERR the servers of this pool differ in '{name}'"));
            return Some(reply.into_bytes());
        }
    }
    reply.map(told.len() + own.len());
    for (name, value) in told {
        reply.bulk(name).bulk(value);
    }
    for (name, value) in own {
        reply.bulk(name).bulk(value);
    }
    Some(reply.into_bytes())
}

/// The names and values in a reply, in either version of the protocol.
fn pairs(reply: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let line = |bytes: &[u8]| match number_line(bytes) {
        Number::Line { value, len } => Some((usize::try_from(value).ok()?, len)),
        _ => None,
    };
    let (&kind, rest) = reply.split_first()?;
    let (count, used) = line(rest)?;
    let mut rest = &rest[used..];
    let mut bulk = || {
        let (len, used) = line(rest.strip_prefix(b"$")?)?;
        let (text, behind) = rest[1 + used..].split_at_checked(len)?;
        rest = behind.strip_prefix(b"\r\n")?;
        Some(text)
    };
    let count = match kind {
        b'*' if count % 2 == 0 => count / 2,
        b'%' => count,
        _ => return None,
    };
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((bulk()?, bulk()?));
    }
    rest.is_empty().then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::inline::encode;
    use super::*;

    fn settings(kind: char, pairs: &[(&str, &str)]) -> FragmentReply {
        let count = pairs.len() * if kind == '*' { 2 } else { 1 };
        let mut text = format!("{kind}{count}\r\n");
        for (name, value) in pairs {
            text += &format!(
                "${}\r\n{name}\r\n${}\r\n{value}\r\n",
                name.len(),
                value.len()
            );
        }
        let mut reply = FragmentReply::default();
        reply.bytes.push_exact(text.as_bytes());
        reply
    }

    fn check(request: &str, servers: &[FragmentReply], expected: &str) {
        let words: Vec<&str> = request.split(' ').collect();
        let own = [("databases", "1".to_owned()), ("timeout", "0".to_owned())];
        let reply = merged(&encode(&words), servers, &own, Version::Resp2);
        let reply = String::from_utf8(reply.expect("settings")).expect("text");
        let shown: Vec<&str> = reply
            .split("\r\n")
            .filter(|line| !line.starts_with('$'))
            .collect();
        assert_eq!(shown.join(" ").trim_end(), expected, "{request}");
    }

    #[test]
    fn what_all_servers_agree_on_is_told_and_what_is_ours_is_ours() {
        let one = [
            ("maxmemory", "1"),
            ("save", ""),
            ("databases", "16"),
            ("requirepass", "x"),
        ];
        let two = [("databases", "16"), ("save", ""), ("maxmemory", "2")];
        let servers = [settings('*', &one), settings('%', &two)];
        check("CONFIG GET *", &servers, "*6 save  databases 1 timeout 0");
        check("CONFIG GET s* DATA*", &servers, "*4 save  databases 1");
        let text = "-ERR the servers of this pool differ in 'maxmemory'";
        check("CONFIG GET MaxMemory", &servers, text);
        let alone = [settings('*', &[("maxmemory", "2")])];
        check("CONFIG GET maxmemory", &alone, "*2 maxmemory 2");
        check("CONFIG GET nosuch", &[settings('*', &[])], "*0");
    }

    #[test]
    fn what_is_no_such_reply_is_not_taken_for_one() {
        for text in [
            "+OK\r\n",
            "*1\r\n$1\r\na\r\n",
            "*2\r\n$1\r\na\r\n",
            "*2\r\n:1\r\n:2\r\n",
            "",
        ] {
            assert_eq!(pairs(text.as_bytes()), None, "{text:?}");
        }
    }
}
