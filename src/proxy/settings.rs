//! `CONFIG GET`: what the servers are set to, and what the proxy itself decides.

use super::Proxy;
use super::request::Request;
use crate::buffer::Input;
use crate::config;
use crate::protocol::redis::settings::{asked, is_name, merged};
use crate::protocol::{Fan, FragmentReply, Merge, Partial, Reach, Version};

/// All live servers are asked.
const ALL: Fan = Fan {
    reach: Reach::Live,
    merge: Merge::Settings,
    partial: Partial::Fail,
};

impl Proxy {
    /// Answers `CONFIG GET`, or asks the servers first where the answer is theirs.
    pub(super) fn config_get(&mut self, request: &Request, bytes: &[u8]) {
        let Some(client) = self.clients.find(request.client) else {
            return;
        };
        let config = &self.pool(client.pool).config;
        let own = own(config);
        let is_own = |name: &&[u8]| {
            let mut names = own.iter().map(|own| own.0.as_bytes());
            is_name(name) && names.any(|own| own.eq_ignore_ascii_case(name))
        };
        if asked(bytes).iter().all(is_own) {
            let reply = joined(config, bytes, &[nothing()], client.version());
            return self.answer(request.client, &reply);
        }
        self.everywhere(request, ALL, Input::copied(bytes));
    }
}

/// The reply of a server that has none of the settings.
fn nothing() -> FragmentReply {
    let mut reply = FragmentReply::default();
    reply.bytes.push_exact(b"*0\r\n");
    reply
}

/// The reply from those of the servers.
pub(super) fn joined(
    config: &config::Pool,
    request: &[u8],
    replies: &[FragmentReply],
    version: Version,
) -> Vec<u8> {
    let reply = merged(request, replies, &own(config), version);
    reply.unwrap_or_else(|| b"-ERR Invalid argument\r\n".to_vec())
}

/// What the proxy decides, whatever the servers are set to.
fn own(config: &config::Pool) -> [(&'static str, String); 5] {
    let clients = config.client_connections.map_or(0, |limit| limit.get());
    let databases = if config.redis_db > 0 { 1 } else { 16 };
    [
        ("cluster-enabled", "no".to_owned()),
        ("databases", databases.to_string()),
        ("maxclients", clients.to_string()),
        ("proto-max-bulk-len", config.limits.bulk.to_string()),
        ("timeout", "0".to_owned()),
    ]
}
