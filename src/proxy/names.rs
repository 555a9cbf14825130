//! Requests that subscribe to many names or end many subscriptions, a slice of them in each turn.
//!
//! A name costs a reply and, at its servers, a request. What one client may ask for in one breath would
//! keep the worker from all others for many milliseconds; so it is read no further until its request is
//! done, and others have their turns meanwhile.

use std::mem;
use std::time::Duration;

use super::Proxy;
use super::client::State;
use super::ids::ClientId;
use super::request::Request;
use super::session::Mute;
use super::subscribe::{NAME_COST, kind_of};
use crate::protocol::redis::commands::Verb;
use crate::protocol::redis::request::{args_from, counted};

/// Names that are dealt with in one turn: a millisecond's work, if each lives on several servers.
const SLICE: usize = 128;

/// What is left of a client's request.
#[derive(Debug)]
pub(super) struct Names {
    kind: usize,
    ends: bool,
    /// As they were sent; without any, all that the client has of the kind.
    said: Option<Vec<u8>>,
    /// Whether errors are wanted.
    mute: Mute,
    request: Request,
}

impl Proxy {
    /// SUBSCRIBE, UNSUBSCRIBE and those for patterns and shards.
    pub(super) fn subscription_command(&mut self, request: &Request, verb: Verb, words: &[u8]) {
        let id = request.client;
        let Some(client) = self.clients.find(id) else {
            return;
        };
        let (count, start) = counted(words);
        if count.saturating_mul(NAME_COST) > self.limits.subscriptions {
            // Each is answered by itself.
            return self.refuse_subscription(id);
        }
        let (kind, ends) = kind_of(verb);
        let mut names = Names {
            kind,
            ends,
            said: None,
            mute: client.mute,
            request: request.of_any_family(),
        };
        let more = if count > 1 {
            let left = self.name_slice(id, &names, &words[start..]);
            if !left.is_empty() {
                names.said = Some(left.to_vec());
            }
            !left.is_empty()
        } else {
            if client.subscriber().is_none_or(|known| known.has_none(kind)) {
                self.confirm_end(id, kind, None);
            }
            self.end_slice(id, kind)
        };
        if more {
            self.go_on_later(id, names);
        }
    }

    /// Deals with the first names of `said`. Gives those behind them.
    fn name_slice<'a>(&mut self, id: ClientId, names: &Names, said: &'a [u8]) -> &'a [u8] {
        let mut done = 0;
        for span in args_from(said, 0).take(SLICE) {
            done = span.end as usize + 2;
            let name = span.of(said);
            if names.ends {
                self.unsubscribe(id, names.kind, name);
            } else {
                self.subscribe(&names.request, names.kind, name);
            }
        }
        said.get(done..).filter(|_| done > 0).unwrap_or_default()
    }

    /// Ends some of all subscriptions of a kind. Says whether there are more.
    fn end_slice(&mut self, id: ClientId, kind: usize) -> bool {
        let client = self.clients.find(id);
        let subscriber = client.and_then(|client| client.subscriber());
        let names = subscriber.map_or_else(Vec::new, |known| known.first(kind, SLICE));
        for name in names {
            self.unsubscribe(id, kind, &name);
        }
        let client = self.clients.find(id);
        let subscriber = client.and_then(|client| client.subscriber());
        subscriber.is_some_and(|known| !known.has_none(kind))
    }

    fn go_on_later(&mut self, id: ClientId, names: Names) {
        let at = self.now + Duration::from_micros(1);
        if let Some(client) = self.clients.find_mut(id) {
            client.held_by.names = true;
            client.stalled = true;
            client.session().names = Some(Box::new(names));
            self.timers.arm(id.conn(), &mut client.armed, at);
        }
    }

    /// Goes on with the client's request, if it is in the middle of one.
    pub(super) fn go_on(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else {
            return;
        };
        let session = client.session.as_deref_mut();
        let Some(mut names) = session.and_then(|session| session.names.take()) else {
            return;
        };
        client.held_by.names = false;
        if client.state != State::Open {
            return;
        }
        let usual = mem::replace(&mut client.mute, names.mute);
        let more = match names.said.take() {
            Some(said) => {
                let left = self.name_slice(id, &names, &said);
                let len = left.len();
                if len > 0 {
                    let mut said = said;
                    said.drain(..said.len() - len);
                    names.said = Some(said);
                }
                len > 0
            }
            None => self.end_slice(id, names.kind),
        };
        if let Some(client) = self.clients.find_mut(id) {
            client.mute = usual;
        }
        if more {
            self.go_on_later(id, *names);
        } else {
            self.unstall(id);
        }
    }
}
