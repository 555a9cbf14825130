//! Replies of either version of the protocol taken apart, for the rules that leave something out of the
//! comparison. Independent of the proxy's own parser, which it helps to judge.

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// The byte it begins with.
    pub kind: u8,
    /// A line's text or a bulk's bytes; nothing for what holds others, `None` for a null of RESP2.
    pub text: Option<Vec<u8>>,
    /// What an array, set, map or push holds; a map's keys and values in turn.
    pub items: Vec<Value>,
}

impl Value {
    /// All replies in `bytes`; `None` if they do not end with a whole one.
    pub fn all(mut bytes: &[u8]) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            let (value, len) = Self::read(bytes)?;
            values.push(value);
            bytes = &bytes[len..];
        }
        Some(values)
    }

    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let (&kind, line) = bytes[..end].split_first()?;
        let mut len = end + 2;
        let count = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
        let mut value = Self {
            kind,
            text: None,
            items: Vec::new(),
        };
        match kind {
            b'$' | b'=' | b'!' => {
                if let Ok(count) = usize::try_from(count()?) {
                    value.text = Some(bytes.get(len..len + count)?.to_vec());
                    len += count + 2;
                }
            }
            b'*' | b'~' | b'%' | b'>' => {
                if let Ok(count) = usize::try_from(count()?) {
                    value.text = Some(Vec::new());
                    for _ in 0..if kind == b'%' { 2 * count } else { count } {
                        let (item, used) = Self::read(bytes.get(len..)?)?;
                        value.items.push(item);
                        len += used;
                    }
                }
            }
            _ => value.text = Some(line.to_vec()),
        }
        (len <= bytes.len()).then_some((value, len))
    }

    /// Calls `change` with this value and, behind it, with all in it.
    pub fn each(&mut self, change: &mut impl FnMut(&mut Value)) {
        change(self);
        self.items.iter_mut().for_each(|item| item.each(change));
    }

    /// Orders what an array or a set holds, and a map by its keys.
    pub fn sort(&mut self) {
        if self.kind == b'%' {
            let mut pairs: Vec<_> = self.items.chunks(2).map(<[Value]>::to_vec).collect();
            pairs.sort();
            self.items = pairs.concat();
        } else {
            self.items.sort();
        }
    }

    /// A flat array of names and values in turn, ordered by name.
    pub fn sort_pairs(&mut self) {
        let mut pairs: Vec<_> = self.items.chunks(2).map(<[Value]>::to_vec).collect();
        pairs.sort();
        self.items = pairs.concat();
    }

    /// In short, for comparing and for messages.
    pub fn brief(&self) -> String {
        let kind = char::from(self.kind);
        match (&self.text, self.items.is_empty()) {
            (None, _) => format!("{kind}nil"),
            (Some(text), true) => {
                let text = text.escape_ascii().to_string();
                format!("{kind}{}", text.replace("\\'", "'").replace("\\\"", "\""))
            }
            _ => {
                let items: Vec<_> = self.items.iter().map(Value::brief).collect();
                format!("{kind}[{}]", items.join(" "))
            }
        }
    }
}
