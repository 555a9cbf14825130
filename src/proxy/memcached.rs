//! What a memcached client is answered here: its `stats`, the end, and who it is.
//!
//! Where the pool has `memcached_auth`, a client must say who it is first. In the binary protocol that is
//! SASL with PLAIN; in the text protocol it is memcached's own way: the first request is a `set` of any
//! key whose value is the user, a space, and the password.

use super::Proxy;
use super::ids::ClientId;
use super::local::is_equal;
use crate::buffer::Input;
use crate::protocol::Protocol;
use crate::protocol::binary::{self, HEADER_LEN, Status};

impl Proxy {
    /// Lets the client go; in the binary protocol it is told so.
    pub(super) fn quit(&mut self, id: ClientId) {
        if self
            .clients
            .find(id)
            .is_some_and(|client| client.protocol == Protocol::Binary)
        {
            self.succeed(id, b"");
        }
        self.finish_client(id);
    }

    /// memcached's `stats`.
    pub(super) fn answer_stats(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let text = match &self.overview {
            Some(stats) => stats.memcached_text(client.pool.index()),
            None => "END\r\n".to_owned(),
        };
        if client.protocol == Protocol::Binary {
            let packets = binary::split::stat_packets(client.ring.stamp, &text);
            return self.answer(id, &packets);
        }
        self.answer(id, text.as_bytes());
    }

    /// Answers a request of a client that has not said who it is, and must.
    pub(super) fn refuse_stranger(&mut self, id: ClientId, input: Input<'_>) {
        let Some(client) = self.clients.find(id) else {
            return;
        };
        match client.protocol {
            Protocol::Redis => self.answer(id, b"-NOAUTH Authentication required\r\n"),
            Protocol::Binary => self.fail(id, Status::Auth),
            Protocol::Memcache => match text_credentials(input.bytes()) {
                None => self.answer(id, b"CLIENT_ERROR unauthenticated\r\n"),
                Some(given) if self.admit(id, &given) => self.answer(id, b"STORED\r\n"),
                Some(_) => self.answer(id, b"CLIENT_ERROR authentication failure\r\n"),
            },
        }
    }

    /// A client of the binary protocol says who it is.
    pub(super) fn sasl(&mut self, id: ClientId, request: &[u8]) {
        if !self.has_credentials(id) {
            // As memcached without SASL.
            return self.fail(id, Status::Unknown);
        }
        match plain_credentials(request) {
            Some(given) if self.admit(id, &given) => self.succeed(id, b"Authenticated"),
            Some(_) => self.fail(id, Status::Auth),
            None => {
                // Who it says it is cannot be read: as if it were wrong.
                self.admit(id, b"");
                self.fail(id, Status::Auth);
            }
        }
    }

    /// How a client of the binary protocol may say who it is.
    pub(super) fn tell_mechanisms(&mut self, id: ClientId) {
        if self.has_credentials(id) {
            self.succeed(id, b"PLAIN");
        } else {
            self.fail(id, Status::Unknown);
        }
    }

    /// Answers a request of the binary protocol with success.
    pub(super) fn succeed(&mut self, id: ClientId, value: &[u8]) {
        if let Some(client) = self.clients.find(id) {
            let reply = client.ring.stamp.reply(Status::Success, value);
            self.answer(id, &reply);
        }
    }

    /// Answers a request of the binary protocol with an error.
    fn fail(&mut self, id: ClientId, status: Status) {
        if let Some(client) = self.clients.find(id) {
            let reply = client.ring.stamp.error(status);
            self.answer(id, &reply);
        }
    }

    fn has_credentials(&self, id: ClientId) -> bool {
        self.clients
            .find(id)
            .is_some_and(|client| self.pool(client.pool).config.memcached_auth.is_some())
    }

    /// Lets the client do what it likes if `given` is the pool's `user:password`, and nothing, whatever it
    /// gave before, if not; says whether it is.
    fn admit(&mut self, id: ClientId, given: &[u8]) -> bool {
        let Some(client) = self.clients.find(id) else {
            return false;
        };
        let wanted = &self.pools[client.pool.index()].config.memcached_auth;
        let right = wanted
            .as_ref()
            .is_some_and(|wanted| is_equal(wanted.bytes(), given));
        self.said_password(id, right);
        right
    }
}

/// `user:password` of a PLAIN message, which is the value of a request: who to act for, the user and the
/// password, with a NUL between them.
fn plain_credentials(request: &[u8]) -> Option<Vec<u8>> {
    let key_len = usize::from(u16::from_be_bytes([*request.get(2)?, *request.get(3)?]));
    let mechanism = request.get(HEADER_LEN..HEADER_LEN + key_len)?;
    if request[1] != binary::SASL_AUTH || mechanism != b"PLAIN" {
        return None;
    }
    let mut parts = request[HEADER_LEN + key_len..].split(|&byte| byte == 0);
    let (_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some([user, b":", password].concat())
}

/// `user:password` of a text `set` whose value is `user password`.
fn text_credentials(request: &[u8]) -> Option<Vec<u8>> {
    let line = request.iter().position(|&byte| byte == b'\n')?;
    if !request.trim_ascii_start().starts_with(b"set ") {
        return None;
    }
    let mut value = request[line + 1..].strip_suffix(b"\r\n")?.to_vec();
    let space = value.iter().position(|&byte| byte == b' ')?;
    value[space] = b':';
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_both_protocols() {
        let text = |line: &[u8]| text_credentials(line);
        assert_eq!(
            text(b"set a 0 0 11\r\nuser secret\r\n").as_deref(),
            Some(&b"user:secret"[..])
        );
        for line in [
            &b"get a\r\n"[..],
            b"set a 0 0 4\r\nuser\r\n",
            b"add a 0 0 3\r\na b\r\n",
        ] {
            assert_eq!(text(line), None);
        }
        let sasl = |opcode: u8, value: &[u8]| {
            let mut request = vec![0x80, opcode, 0, 5];
            request.resize(HEADER_LEN, 0);
            request.extend_from_slice(b"PLAIN");
            request.extend_from_slice(value);
            plain_credentials(&request)
        };
        assert_eq!(
            sasl(0x21, b"\0user\0secret").as_deref(),
            Some(&b"user:secret"[..])
        );
        assert_eq!(sasl(0x21, b"user"), None);
        assert_eq!(sasl(0x22, b"\0user\0secret"), None);
    }
}
