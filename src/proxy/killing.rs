//! `CLIENT KILL`: a client closes a connection of its own, whichever worker has it.
//!
//! Which those are, and how another worker is asked, says [`super::calls`].

use super::calls::{Deed, Whom};
use super::client::Ending;
use super::ids::ClientId;
use super::local::Told;
use super::{CloseHow, Proxy};
use crate::protocol::redis::write::Writer;

impl Proxy {
    /// `CLIENT KILL`: this connection by its address, or one of the client's own by its id.
    pub(super) fn client_kill(
        &mut self,
        id: ClientId,
        filters: &[&[u8]],
        reply: &mut Writer,
    ) -> Told {
        let Some(client) = self.clients.find(id) else {
            return Told::Nothing;
        };
        let own = client.number;
        if let [address] = filters {
            let own_address = client.peer.map(|peer| peer.to_string()).unwrap_or_default();
            if own_address.as_bytes() != *address {
                reply.error("ERR No such client");
                return Told::Reply;
            }
            reply.status("OK");
            return Told::ThenClosed;
        }
        let (number, skip_me) = match read(filters) {
            Ok(wish) => wish,
            Err(error) => {
                reply.error(error);
                return Told::Reply;
            }
        };
        if number == own {
            reply.integer(i64::from(!skip_me));
            return if skip_me {
                Told::Reply
            } else {
                Told::ThenClosed
            };
        }
        self.begin_call(id, number, Deed::Close)
    }

    /// Closes the client. Says whether there is one that the asker may close.
    pub(super) fn close_own_client(&mut self, whom: Whom) -> bool {
        let Some(other) = self.own_client(whom) else {
            return false;
        };
        let Some(client) = self.clients.find(other) else {
            return false;
        };
        let how = if client.is_settled() {
            CloseHow::Gracefully
        } else {
            CloseHow::Reset
        };
        self.close_client(other, Ending::Error, how);
        true
    }
}

/// The number in `ID id [SKIPME yes|no]`, and whether the client itself is to be left alone.
fn read(filters: &[&[u8]]) -> Result<(u64, bool), &'static str> {
    let (mut number, mut skip_me) = (None, true);
    for filter in filters.chunks(2) {
        match filter {
            [name, value] if name.eq_ignore_ascii_case(b"ID") => {
                let text = std::str::from_utf8(value).ok();
                let id = text.and_then(|text| text.parse::<u64>().ok());
                let id = id.filter(|&id| id > 0);
                number = Some(id.ok_or("ERR client-id should be greater than 0")?);
            }
            [name, value] if name.eq_ignore_ascii_case(b"SKIPME") && is_yes_no(value) => {
                skip_me = value.eq_ignore_ascii_case(b"yes");
            }
            _ => {
                number = None;
                break;
            }
        }
    }
    let known = "ERR nutcrab knows CLIENT KILL address and CLIENT KILL ID id [SKIPME yes|no]";
    Ok((number.ok_or(known)?, skip_me))
}

fn is_yes_no(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"yes") || word.eq_ignore_ascii_case(b"no")
}
