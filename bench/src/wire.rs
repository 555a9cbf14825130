//! Requests and the length of their replies, for both protocols.
//!
//! Keys are of one length and exist on every server, with values of one length, so that each reply's
//! length is known and a generator need not parse it.

/// The protocol spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Redis: RESP2.
    Redis,
    /// memcached: text.
    Memcache,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads one key.
    Get,
    /// Writes one key.
    Set,
    /// Reads so many keys at once.
    Multi(usize),
}

/// What all requests of a run have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The protocol.
    pub protocol: Protocol,
    /// What they do.
    pub verb: Verb,
    /// Bytes of a value.
    pub value: usize,
    /// Keys are drawn from so many.
    pub keys: u64,
}

/// What a reply looks like.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Its length.
    pub len: usize,
    /// Its first byte.
    pub first: u8,
}

/// Makes one connection's requests.
#[derive(Debug)]
pub struct Question {
    shape: Shape,
    value: Vec<u8>,
    draw: u64,
    reply: Expected,
}

/// The name of a key, as redis-benchmark writes it.
pub fn key(number: u64) -> String {
    format!("key:{number:012}")
}

/// Bytes of a key.
const KEY_LEN: usize = 16;

impl Question {
    /// Requests of this shape; connections with different seeds draw different keys.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let value = vec![b'x'; shape.value];
        let block = match shape.protocol {
            Protocol::Redis => bulk_len(shape.value),
            Protocol::Memcache => value_block_len(shape.value),
        };
        let (len, first) = match (shape.protocol, shape.verb) {
            (Protocol::Redis, Verb::Get) => (block, b'$'),
            (Protocol::Redis, Verb::Set) => ("+OK\r\n".len(), b'+'),
            (Protocol::Redis, Verb::Multi(count)) => {
                (format!("*{count}\r\n").len() + count * block, b'*')
            }
            (Protocol::Memcache, Verb::Get) => (block + "END\r\n".len(), b'V'),
            (Protocol::Memcache, Verb::Set) => ("STORED\r\n".len(), b'S'),
            (Protocol::Memcache, Verb::Multi(count)) => (count * block + "END\r\n".len(), b'V'),
        };
        Self {
            shape,
            value,
            draw: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            reply: Expected { len, first },
        }
    }

    /// What each reply looks like.
    pub fn reply(&self) -> Expected {
        self.reply
    }

    /// Appends one request.
    pub fn append(&mut self, out: &mut Vec<u8>) {
        match (self.shape.protocol, self.shape.verb) {
            (Protocol::Redis, Verb::Get) => {
                out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
                self.append_bulk_key(out);
            }
            (Protocol::Redis, Verb::Set) => {
                out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
                self.append_bulk_key(out);
                out.extend_from_slice(format!("${}\r\n", self.value.len()).as_bytes());
                out.extend_from_slice(&self.value);
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Redis, Verb::Multi(count)) => {
                out.extend_from_slice(format!("*{}\r\n$4\r\nMGET\r\n", count + 1).as_bytes());
                for _ in 0..count {
                    self.append_bulk_key(out);
                }
            }
            (Protocol::Memcache, Verb::Get) => {
                out.extend_from_slice(b"get ");
                self.append_key(out);
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Memcache, Verb::Set) => {
                out.extend_from_slice(b"set ");
                self.append_key(out);
                out.extend_from_slice(format!(" 0 0 {}\r\n", self.value.len()).as_bytes());
                out.extend_from_slice(&self.value);
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Memcache, Verb::Multi(count)) => {
                out.extend_from_slice(b"get");
                for _ in 0..count {
                    out.push(b' ');
                    self.append_key(out);
                }
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn append_bulk_key(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"$16\r\n");
        self.append_key(out);
        out.extend_from_slice(b"\r\n");
    }

    fn append_key(&mut self, out: &mut Vec<u8>) {
        self.draw ^= self.draw << 13;
        self.draw ^= self.draw >> 7;
        self.draw ^= self.draw << 17;
        let mut number = self.draw % self.shape.keys;
        let mut text = *b"key:000000000000";
        for digit in text[4..].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        out.extend_from_slice(&text);
    }
}

/// The request that writes one key.
pub fn set(protocol: Protocol, key: &str, value: &[u8]) -> Vec<u8> {
    let mut request = match protocol {
        Protocol::Redis => {
            let (key_len, value_len) = (key.len(), value.len());
            format!("*3\r\n$3\r\nSET\r\n${key_len}\r\n{key}\r\n${value_len}\r\n")
        }
        Protocol::Memcache => format!("set {key} 0 0 {}\r\n", value.len()),
    }
    .into_bytes();
    request.extend_from_slice(value);
    request.extend_from_slice(b"\r\n");
    request
}

fn bulk_len(value: usize) -> usize {
    format!("${value}\r\n").len() + value + 2
}

fn value_block_len(value: usize) -> usize {
    format!("VALUE  0 {value}\r\n").len() + KEY_LEN + value + 2
}
