//! Which version of the protocol a client speaks: HELLO and RESET, among requests of all kinds.
//!
//! A reply must be in the version that was spoken when its request was understood; the reader of replies
//! takes nothing else for one. In a pool of old servers no HELLO 3 may succeed.

use nutcrab::protocol::Protocol;

use crate::client::Client;
use crate::judging::{Owed, Pending, Want};
use crate::muting::Wish;
use crate::plan::PASSWORD;
use crate::plant::Plant;
use crate::redis::{self, Reply, Version};
use crate::scene::{Phase, Scene};

impl Client {
    /// A request after which another version is spoken, now and then.
    pub(crate) fn compose_shift(&mut self, scene: &Scene) -> Option<(Vec<u8>, Want)> {
        let share = scene.plan.pools[self.pool].shifts;
        if !self.draw.permille(share) || !self.is_between_sessions() {
            return None;
        }
        // Without a reply it must be clear what is spoken from then on.
        let is_clear = self.wish == Wish::All || scene.plan.never_fails();
        let choice = if is_clear { self.draw.below(8) } else { 0 };
        if choice == 0 && self.wish == Wish::Skip {
            // As in Redis, its own reply would be skipped: nothing would show when it was done.
            return None;
        }
        self.shifts += 1;
        Some(match choice {
            0 => {
                self.identity.forget_name();
                self.authed = scene.plan.pools[self.pool].config.redis_auth.is_none();
                (redis::request(&[b"reset"]), Want::Reset)
            }
            1..4 => (
                redis::request(&[b"HELLO", b"2"]),
                Want::Greeted(Version::Two),
            ),
            _ => {
                let request = redis::request(&[b"hello", b"3", b"SETNAME", b"sim"]);
                self.identity.may_be_called(b"sim");
                (request, Want::Greeted(Version::Three))
            }
        })
    }

    /// HELLO with the password, right or wrong, or without it.
    pub(crate) fn introduce_in_hello(&mut self, scene: &Scene) -> Option<(Vec<u8>, Want)> {
        let plan = &scene.plan.pools[self.pool];
        if plan.shifts == 0 || !self.draw.one_in(2) {
            return None;
        }
        let told = |text: &[u8]| Want::Bytes(text.to_vec());
        let choice = match scene.phase {
            Phase::Fresh => 2,
            _ => self.draw.below(4),
        };
        let wrong = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        let missing = b"-NOAUTH HELLO must be called with the client already authenticated, \
            otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the \
            client and select the RESP protocol version at the same time\r\n";
        Some(match choice {
            0 => {
                let request = redis::request(&[b"HELLO", b"3", b"AUTH", b"default", b"wrong"]);
                (request, told(wrong))
            }
            1 => (redis::request(&[b"HELLO", b"3"]), told(missing)),
            _ => {
                self.authed = true;
                self.shifts += 1;
                let request = redis::request(&[b"HELLO", b"3", b"AUTH", b"default", PASSWORD]);
                (request, Want::Greeted(Version::Three))
            }
        })
    }

    /// The version the next reply must be in.
    pub(crate) fn version_of_next(&self, scene: &Scene) -> Version {
        let is_owed = |pending: &&Pending| !matches!(pending.owed, Owed::Unheard(_));
        match self
            .waiting
            .iter()
            .find(is_owed)
            .map(|pending| &pending.want)
        {
            Some(Want::Greeted(version)) => *version,
            _ => self.version_behind(scene),
        }
    }

    /// Whether a HELLO was answered as it must be.
    pub(crate) fn greeted(
        &mut self,
        scene: &mut Scene,
        version: Version,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let old = scene.plan.pools[self.pool].old;
        let (fields, number) = match (reply, version) {
            (Reply::Array(Some(fields)), Version::Two) => (fields, 2),
            (Reply::Map(fields), Version::Three) if !old => (fields, 3),
            (Reply::Error(text), Version::Three) if old && text.starts_with(b"NOPROTO ") => {
                self.shifts -= 1;
                scene.ledger.count("HELLO 3 to old servers");
                return Ok(());
            }
            _ => return Err("another kind of greeting"),
        };
        let field = |name: &[u8]| {
            let mut pairs = fields.chunks(2);
            pairs
                .find(|pair| pair[0] == Reply::Bulk(Some(name)))?
                .get(1)
        };
        let right = fields.len() == 14
            && field(b"proto") == Some(&Reply::Number(number))
            && field(b"server") == Some(&Reply::Bulk(Some(b"redis")))
            && matches!(field(b"id"), Some(Reply::Number(1..)));
        let Some(Reply::Number(id)) = field(b"id").filter(|_| right) else {
            return Err("another greeting");
        };
        self.learn_number(&mut scene.ledger, *id)?;
        self.shifts -= 1;
        self.version = version;
        scene.ledger.count(match version {
            Version::Two => "HELLO 2",
            Version::Three => "HELLO 3",
        });
        Ok(())
    }

    /// The negative control: the next reply, from `at` on, becomes what it would be in the other version.
    pub(crate) fn plant_version(&self, scene: &mut Scene, inbox: &mut Vec<u8>, at: usize) {
        let Some(Want::Echo(key)) = self.waiting.front().map(|pending| &pending.want) else {
            return;
        };
        let other = match self.version {
            Version::Two => Version::Three,
            Version::Three => Version::Two,
        };
        if scene.plant != Some(Plant::OtherVersion) || self.dialect != Protocol::Redis {
            return;
        }
        let (right, wrong) = (
            redis::reply_to(key, self.version),
            redis::reply_to(key, other),
        );
        if right != wrong && inbox[at..].starts_with(&right) && scene.strikes(Plant::OtherVersion) {
            inbox.splice(at..at + right.len(), wrong);
        }
    }
}
