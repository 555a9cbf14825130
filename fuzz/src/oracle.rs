//! What bytes mean, read a second time: written from the protocols' descriptions, for clearness and
//! not for speed, and sharing nothing with the parsers under test.
//!
//! They have no opinion (`None`) on what they do not know, so a parser may learn new forms before they
//! do.

/// The arguments of the request that `bytes` are, if they are exactly one in canonical form.
pub fn redis_request(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = counted(bytes, b'*')?;
    let mut args = Vec::new();
    for _ in 0..count {
        let (len, behind) = counted(rest, b'$')?;
        args.push(behind.get(..len)?);
        rest = behind[len..].strip_prefix(b"\r\n")?;
    }
    (rest.is_empty() && count > 0).then_some(args)
}

/// `<mark><number>` CR LF: the number, in its one canonical form, and what stands behind.
fn counted(bytes: &[u8], mark: u8) -> Option<(usize, &[u8])> {
    let rest = bytes.strip_prefix(&[mark])?;
    let end = rest.iter().take(20).position(|&byte| byte == b'\r')?;
    let digits = std::str::from_utf8(&rest[..end]).ok()?;
    let number: usize = digits.parse().ok()?;
    (number.to_string() == digits).then_some(())?;
    Some((number, rest[end..].strip_prefix(b"\r\n")?))
}

/// A request of these arguments.
pub fn redis_encode(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.len()).into_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The length of the whole reply of RESP2 or RESP3 at the start of `bytes`; `None` when it is not whole,
/// not a reply, or in doubt.
pub fn redis_reply(bytes: &[u8]) -> Option<usize> {
    let mut position = 0;
    let mut open = 1u64;
    while open > 0 {
        open -= 1;
        let rest = &bytes[position..];
        let line = rest.iter().position(|&byte| byte == b'\n')?;
        let text = rest[..line].strip_suffix(b"\r")?;
        position += line + 1;
        let (kind, text) = text.split_first()?;
        match kind {
            // A big number may be any text: scripts make it.
            b'+' | b'-' | b'(' => (!text.contains(&b'\r')).then_some(())?,
            b':' => {
                let digits = text.strip_prefix(b"-").unwrap_or(text);
                (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(())?;
            }
            b'_' => text.is_empty().then_some(())?,
            b'#' => matches!(text, b"t" | b"f").then_some(())?,
            b',' => (!text.is_empty() && !text.contains(&b'\r')).then_some(())?,
            b'$' | b'=' | b'!' => {
                if text != b"-1" {
                    let len = plain_number(text)? as usize;
                    let block = bytes[position..].get(..len.checked_add(2)?)?;
                    block.ends_with(b"\r\n").then_some(())?;
                    position += len + 2;
                }
            }
            b'*' | b'~' | b'>' => {
                if text != b"-1" {
                    open = open.checked_add(plain_number(text)?)?;
                }
            }
            b'%' => open = open.checked_add(plain_number(text)?.checked_mul(2)?)?,
            // An attribute stands in front of what it describes.
            b'|' => open = open.checked_add(plain_number(text)?.checked_mul(2)?.checked_add(1)?)?,
            _ => return None,
        }
    }
    Some(position)
}

fn plain_number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then_some(())?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Storage commands of memcached with the word, counted from the name, that is the length of the data.
const STORES: [(&[u8], usize); 7] = [
    (b"set", 4),
    (b"add", 4),
    (b"replace", 4),
    (b"append", 4),
    (b"prepend", 4),
    (b"cas", 4),
    (b"ms", 2),
];

/// How many bytes memcached itself takes for the request at the start of `bytes`: a line that ends at
/// the first LF and, behind a storage command whose length is a number, a data block. `None` when it
/// is not whole.
pub fn memcache_request(bytes: &[u8]) -> Option<usize> {
    let line = bytes.iter().position(|&byte| byte == b'\n')?;
    let text = &bytes[..line];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    // What stands behind a NUL is not there for its tokenizer.
    let text = text.split(|&byte| byte == 0).next().unwrap_or(text);
    let words: Vec<&[u8]> = text
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .collect();
    let store = STORES.iter().find(|(name, _)| words.first() == Some(name));
    let Some((_, place)) = store else {
        return Some(line + 1);
    };
    let len = words.get(*place).and_then(|word| plain_number(word))? as usize;
    let end = (line + 1).checked_add(len)?.checked_add(2)?;
    (end <= bytes.len()).then_some(end)
}

/// The words of a memcached line.
pub fn memcache_words(bytes: &[u8]) -> Vec<&[u8]> {
    let line = bytes.iter().position(|&byte| byte == b'\n');
    let text = &bytes[..line.unwrap_or(bytes.len())];
    text.strip_suffix(b"\r")
        .unwrap_or(text)
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .collect()
}

/// The length of the whole reply of a memcached server at the start of `bytes`; `None` when it is not
/// whole, not a reply, or in doubt.
pub fn memcache_reply(bytes: &[u8]) -> Option<usize> {
    Some(memcache_lines(bytes)?.0)
}

/// The same where the request had a `version` behind it: all up to the reply to that.
pub fn memcache_marked(bytes: &[u8]) -> Option<usize> {
    let mut position = 0;
    loop {
        let (len, last) = memcache_lines(&bytes[position..])?;
        position += len;
        if last == b"VERSION" {
            return Some(position);
        }
    }
}

/// The length of a reply, and the first word of its last line.
fn memcache_lines(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut position = 0;
    loop {
        let rest = &bytes[position..];
        let line = rest.iter().position(|&byte| byte == b'\n')?;
        let text = rest[..line].strip_suffix(b"\r")?;
        position += line + 1;
        let words: Vec<&[u8]> = text.split(|&byte| byte == b' ').collect();
        let mut filled = words.iter().filter(|word| !word.is_empty());
        let len_at = match words[0] {
            b"VALUE" => 3,
            b"VA" => 1,
            b"STAT" | b"ITEM" | b"PREFIX" => continue,
            b"END" | b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" | b"STORED" | b"NOT_STORED"
            | b"EXISTS" | b"NOT_FOUND" | b"DELETED" | b"TOUCHED" | b"VERSION" | b"OK"
            | b"RESET" | b"HD" | b"EN" | b"NF" | b"NS" | b"EX" | b"ME" => {
                return Some((position, words[0]));
            }
            digits if plain_number(digits).is_some() => return Some((position, words[0])),
            _ => return None,
        };
        let len = plain_number(filled.nth(len_at)?)? as usize;
        let block = bytes[position..].get(..len.checked_add(2)?)?;
        block.ends_with(b"\r\n").then_some(())?;
        position += len + 2;
        if words[0] == b"VA" {
            return Some((position, words[0]));
        }
    }
}

/// The key of the one binary request that `bytes` are; `None` when they are something else.
pub fn binary_request(bytes: &[u8]) -> Option<&[u8]> {
    let (header, body) = bytes.split_at_checked(24)?;
    let body_len = u32::from_be_bytes(header[8..12].try_into().ok()?) as usize;
    let key_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let whole = header[0] == 0x80 && body_len == body.len();
    whole.then_some(body.get(usize::from(header[4])..)?.get(..key_len)?)
}

/// The length of the whole binary reply at the start of `bytes`; `None` when it is not whole, something
/// else, or one of several messages.
pub fn binary_reply(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..24)?;
    let len = 24 + u32::from_be_bytes(header[8..12].try_into().ok()?) as usize;
    let single = header[1] != 0x10 || header[2..4] == [0, 0];
    (header[0] == 0x81 && single && len <= bytes.len()).then_some(len)
}

/// The same where the request had a `version` behind it: all up to the reply to that.
pub fn binary_marked(bytes: &[u8]) -> Option<usize> {
    let mut position = 0;
    loop {
        let rest = &bytes[position..];
        let header = rest.get(..24)?;
        let len = 24 + u32::from_be_bytes(header[8..12].try_into().ok()?) as usize;
        (header[0] == 0x81 && len <= rest.len()).then_some(())?;
        position += len;
        if header[1] == 0x0b {
            return Some(position);
        }
    }
}
