//! memcached: the binary protocol.
//!
//! Every message is a header of 24 bytes and a body of extras, key and value, whose lengths the header
//! tells:
//!
//! ```text
//!   0 magic | 1 opcode | 2 key length | 4 extras length | 5 type | 6 vbucket, or status of a reply
//!   8 body length | 12 opaque | 16 unique number
//! ```
//!
//! Requests go to the servers as they came, over connections that speak this protocol, and the replies
//! come back as they are: the opaque is the client's own all the way. A quiet request may go without a
//! reply, so a marker stands behind it, see [`crate::protocol::Answer`].
//!
//! Source: memcached's `protocol_binary.h`, and the behaviour of memcached 1.6.

pub mod commands;
pub mod reply;
pub mod request;
pub mod split;

/// First byte of a request. No line of text starts with it.
pub const REQUEST: u8 = 0x80;

/// First byte of a reply.
pub const REPLY: u8 = 0x81;

/// Bytes of a header.
pub const HEADER_LEN: usize = 24;

/// The request behind quiet ones: what is the version? Its reply is short, and memcached sends it
/// together with those before it.
pub const MARKER: &[u8; HEADER_LEN] = &header(REQUEST, VERSION, 0, 0, 0, [0; 4]);

/// Opcode of the marker.
pub const VERSION: u8 = 0x0b;

/// Opcode by which a client says who it is.
pub const SASL_AUTH: u8 = 0x21;

/// Opcode whose reply has several messages.
pub const STAT: u8 = 0x10;

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// It was.
    Success = 0x00,
    /// No statistics of that name.
    NotFound = 0x01,
    /// The value is larger than any server takes.
    TooLarge = 0x03,
    /// The lengths in the header are wrong for the opcode.
    Invalid = 0x04,
    /// Wrong credentials, or none yet.
    Auth = 0x20,
    /// No such opcode.
    Unknown = 0x81,
    /// Not one that is passed on.
    NotSupported = 0x83,
    /// The server failed; it may work later.
    Temporary = 0x86,
}

impl Status {
    /// memcached's words for it.
    fn text(self) -> &'static str {
        match self {
            Status::Success => "",
            Status::NotFound => "Not found",
            Status::TooLarge => "Too large.",
            Status::Invalid => "Invalid arguments",
            Status::Auth => "Auth failure.",
            Status::Unknown => "Unknown command",
            Status::NotSupported => "Not supported by the proxy",
            Status::Temporary => "Temporary failure",
        }
    }
}

/// What a reply repeats of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// What was asked.
    pub opcode: u8,
    /// The client's own mark.
    pub opaque: [u8; 4],
}

impl Stamp {
    /// That of a request whose header is there.
    pub fn of(request: &[u8]) -> Self {
        let opaque = request.get(12..16).and_then(|bytes| bytes.try_into().ok());
        Self {
            opcode: request.get(1).copied().unwrap_or_default(),
            opaque: opaque.unwrap_or_default(),
        }
    }

    /// A reply of ours with `value` as its body.
    pub fn reply(self, status: Status, value: &[u8]) -> Vec<u8> {
        self.packet(status, b"", value)
    }

    /// An error of ours, in memcached's words.
    pub fn error(self, status: Status) -> Vec<u8> {
        self.reply(status, status.text().as_bytes())
    }

    /// A reply of ours with a key, as those to `stat`.
    pub fn packet(self, status: Status, key: &[u8], value: &[u8]) -> Vec<u8> {
        let body_len = (key.len() + value.len()) as u32;
        let mut packet = header(
            REPLY,
            self.opcode,
            key.len() as u16,
            body_len,
            status as u16,
            self.opaque,
        )
        .to_vec();
        packet.extend_from_slice(key);
        packet.extend_from_slice(value);
        packet
    }
}

/// A header without extras and unique number.
const fn header(
    magic: u8,
    opcode: u8,
    key_len: u16,
    body_len: u32,
    status: u16,
    opaque: [u8; 4],
) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let (key, status, body) = (
        key_len.to_be_bytes(),
        status.to_be_bytes(),
        body_len.to_be_bytes(),
    );
    header[0] = magic;
    header[1] = opcode;
    header[2] = key[0];
    header[3] = key[1];
    header[6] = status[0];
    header[7] = status[1];
    let mut index = 0;
    while index < 4 {
        header[8 + index] = body[index];
        header[12 + index] = opaque[index];
        index += 1;
    }
    header
}
