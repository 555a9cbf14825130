//! Clients that listen to channels, and those who publish.
//!
//! What is published says where, by whom and with which request. So a listener can tell that it is
//! subscribed to that channel, that somebody did publish this, that it hears nothing twice and, where
//! channels do not move, in order. What was published while faults were at work may be lost; what was
//! published after they had ended must be heard by everybody who listened all the while.

use std::collections::{BTreeMap, BTreeSet};

use crate::agenda::Micros;
use crate::client::Client;
use crate::ledger::Ledger;
use crate::redis::{self, Reply, Version};
use crate::scene::{Phase, Scene};
use crate::sessions::{Part, Step, Wanted};
use crate::value::{self, Mark};
use crate::world::World;

/// Channels of a pool.
const CHANNELS: usize = 3;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The channel of this number.
    Channel(usize),
    /// The pattern that fits all channels of the pool.
    All,
    /// The shard channel of this number.
    Shard(usize),
}

/// What a client listens to, and has heard.
#[derive(Debug, Default)]
pub struct Listening {
    /// Since when.
    topics: BTreeMap<Topic, Micros>,
    /// Whether it was refused once: what it asked before it knew was taken for what a listener asks.
    pub refused: bool,
    heard: BTreeSet<(Topic, Mark)>,
    /// The last request of each publisher.
    latest: BTreeMap<(Topic, usize, u32), u32>,
}

/// Something that was published when nothing could fail, and when its publisher asked.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pool: usize,
    /// Where; never a pattern.
    topic: Topic,
    mark: Mark,
    asked: Micros,
}

/// What it is called.
pub fn name(pool: usize, topic: Topic) -> Vec<u8> {
    match topic {
        Topic::Channel(number) => format!("ch:{pool}:{number}").into_bytes(),
        Topic::All => format!("ch:{pool}:*").into_bytes(),
        Topic::Shard(number) => format!("sh:{pool}:{number}").into_bytes(),
    }
}

impl Client {
    /// Steps of a client that listens for a while, or till the end.
    pub(crate) fn listen(&mut self) -> Vec<Step> {
        let number = self.draw.below(CHANNELS);
        let mut topics = match self.draw.below(4) {
            0 => vec![Topic::Shard(number)],
            1 => vec![Topic::Channel(number), Topic::Shard(number)],
            _ => vec![Topic::Channel(number)],
        };
        if self.draw.one_in(2) {
            topics.push(Topic::All);
        }
        let mut script: Vec<Step> = topics.iter().copied().map(Step::Subscribe).collect();
        let pings = self.draw.pick(&[1, 3, 10, 1000]);
        script.extend(std::iter::repeat_n(Step::Ping, pings));
        // In RESP2 a listener has no transactions.
        if self.version == Version::Three && self.shifts == 0 {
            let transaction = [Step::Multi, Step::Publish, Step::Publish, Step::Exec];
            let at = self.draw.within(topics.len(), script.len());
            script.splice(at..at, transaction);
        }
        script.extend(topics.into_iter().map(Step::Unsubscribe));
        script
    }

    pub(crate) fn compose_listening(
        &mut self,
        scene: &Scene,
        step: Step,
        mark: Mark,
    ) -> (Vec<u8>, Wanted) {
        let command = |topic, words: [&'static [u8]; 3]| match topic {
            Topic::Channel(_) => words[0],
            Topic::All => words[1],
            Topic::Shard(_) => words[2],
        };
        match step {
            Step::Subscribe(topic) => {
                let command = command(topic, [b"SUBSCRIBE", b"psubscribe", b"SSUBSCRIBE"]);
                let request = redis::request(&[command, &name(self.pool, topic)]);
                (request, Wanted::Subscribed(topic))
            }
            Step::Unsubscribe(topic) => {
                let command = command(topic, [b"UNSUBSCRIBE", b"punsubscribe", b"sunsubscribe"]);
                let request = redis::request(&[command, &name(self.pool, topic)]);
                (request, Wanted::Unsubscribed(topic))
            }
            Step::Publish => {
                let number = self.draw.below(CHANNELS);
                let (command, topic): (&[u8], _) = match self.draw.below(3) {
                    0 => (b"SPUBLISH", Topic::Shard(number)),
                    _ => (b"PUBLISH", Topic::Channel(number)),
                };
                let channel = name(self.pool, topic);
                let text = value::make(&channel, mark, self.draw.spread(0, 500));
                let request = redis::request(&[command, &channel, &text]);
                (request, Wanted::Published(topic, mark, scene.now))
            }
            _ => (redis::request(&[b"PING"]), Wanted::Ponged),
        }
    }

    /// Whether `raw` is what is wanted.
    pub(crate) fn accept_listening(
        &mut self,
        scene: &mut Scene,
        wanted: &Wanted,
        reply: &Reply<'_>,
        raw: &[u8],
    ) -> Result<(), &'static str> {
        let refused = self.session.listening.refused;
        let topics = &mut self.session.listening.topics;
        let (pool, modern) = (self.pool, self.version == Version::Three);
        let confirmed = |word: &str, topic: Topic, count: usize| {
            let word = match topic {
                Topic::Channel(_) => word.to_owned(),
                Topic::All => format!("p{word}"),
                Topic::Shard(_) => format!("s{word}"),
            };
            let name = name(pool, topic);
            let kind = if modern { '>' } else { '*' };
            let mut bytes = format!(
                "{kind}3\r\n${}\r\n{word}\r\n${}\r\n",
                word.len(),
                name.len()
            );
            bytes += &String::from_utf8_lossy(&name);
            // What was refused was counted as long as that was not known.
            (count..=if refused { 3 } else { count })
                .any(|count| raw == format!("{bytes}\r\n:{count}\r\n").as_bytes())
        };
        let right = match wanted {
            Wanted::Subscribed(topic) if !raw.starts_with(b"-") => {
                topics.insert(*topic, scene.now);
                confirmed("subscribe", *topic, count(topics, *topic))
            }
            Wanted::Unsubscribed(topic) => {
                topics.remove(topic);
                confirmed("unsubscribe", *topic, count(topics, *topic))
            }
            Wanted::Ponged => {
                let listens = raw == b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" && !modern;
                let none = topics.is_empty() || modern;
                !none && listens || none && (raw == b"+PONG\r\n" || refused && listens)
            }
            Wanted::Published(topic, mark, asked) => {
                let is_done = matches!(reply, Reply::Number(0..));
                if is_done {
                    self.published(scene, *topic, *mark, *asked);
                }
                is_done
            }
            _ => false,
        };
        if right { Ok(()) } else { Err("another reply") }
    }

    /// What it published was; if nothing could fail any more, all must hear it.
    pub(crate) fn published(&self, scene: &mut Scene, topic: Topic, mark: Mark, asked: Micros) {
        if scene.phase == Phase::Fresh {
            scene.ledger.published.push(Published {
                pool: self.pool,
                topic,
                mark,
                asked,
            });
        }
    }

    /// Whether this is a message, which comes between replies; it is judged here.
    pub(crate) fn heard(&mut self, scene: &mut Scene, reply: &Reply<'_>) -> bool {
        let words = match (reply, self.version) {
            (Reply::Array(Some(words)), Version::Two) | (Reply::Push(words), Version::Three) => {
                words
            }
            _ => return false,
        };
        let (topic, channel, text) = match words.as_slice() {
            [
                Reply::Bulk(Some(word @ (b"message" | b"smessage"))),
                Reply::Bulk(Some(channel)),
                Reply::Bulk(Some(text)),
            ] => {
                let kind = match word {
                    [b's', ..] => Topic::Shard,
                    _ => Topic::Channel,
                };
                let mut topics = (0..CHANNELS).map(kind);
                let topic = topics.find(|&topic| name(self.pool, topic) == *channel);
                (topic, *channel, *text)
            }
            [
                Reply::Bulk(Some(b"pmessage")),
                Reply::Bulk(Some(pattern)),
                Reply::Bulk(Some(channel)),
                Reply::Bulk(Some(text)),
            ] => {
                let is_ours = name(self.pool, Topic::All) == *pattern;
                (is_ours.then_some(Topic::All), *channel, *text)
            }
            _ => return false,
        };
        scene.ledger.count(match topic {
            Some(Topic::Shard(_)) => "messages of shard channels",
            _ => "messages",
        });
        if let Err(wrong) = self.judge_message(scene, topic, channel, text) {
            let text = format!(
                "client {} (connection {}) hears {topic:?} {:?}: {wrong}",
                self.index,
                self.conn,
                String::from_utf8_lossy(&text[..text.len().min(60)])
            );
            scene.ledger.violate(scene.now, text);
        }
        true
    }

    fn judge_message(
        &mut self,
        scene: &Scene,
        topic: Option<Topic>,
        channel: &[u8],
        text: &[u8],
    ) -> Result<(), &'static str> {
        let topic = topic.ok_or("no channel of this pool")?;
        let mark = value::check(channel, text).ok_or("not what was published there")?;
        let mut parts = self.session.parts.iter();
        let is_own =
            |(_, part): &(u32, Part)| matches!(part, Part::Published(_, own, _) if *own == mark);
        if parts.any(is_own) {
            return Err("heard before the reply to its own EXEC");
        }
        let listening = &mut self.session.listening;
        if !listening.topics.contains_key(&topic) {
            return Err("not subscribed to");
        }
        if !scene.ledger.was_executed(mark) {
            return Err("never published");
        }
        if !listening.heard.insert((topic, mark)) {
            return Err("heard a second time");
        }
        let number = channel.last().map_or(0, |digit| usize::from(digit - b'0'));
        let latest = listening
            .latest
            .insert((topic, number, mark.conn), mark.seq);
        let exact = scene.plan.pools[self.pool].is_exact();
        if exact && latest.is_some_and(|latest| latest > mark.seq) {
            return Err("heard after a later one");
        }
        Ok(())
    }

    /// What it should have heard and did not.
    fn missed(&self, published: &Published) -> Option<Topic> {
        let Published {
            topic, mark, asked, ..
        } = *published;
        let listening = &self.session.listening;
        let topics: &[Topic] = match topic {
            Topic::Shard(_) => &[topic],
            _ => &[topic, Topic::All],
        };
        topics.iter().copied().find(|topic| {
            let since = listening.topics.get(topic);
            since.is_some_and(|&since| since < asked) && !listening.heard.contains(&(*topic, mark))
        })
    }
}

/// How many of its kind a client listens to: patterns count with channels.
fn count(topics: &BTreeMap<Topic, Micros>, topic: Topic) -> usize {
    let is_shard = |topic: &Topic| matches!(topic, Topic::Shard(_));
    let same = |other: &&Topic| is_shard(other) == is_shard(&topic);
    topics.keys().filter(same).count()
}

impl World {
    /// Listeners must have heard all that was published since nothing could fail.
    pub(crate) fn check_listeners(&mut self) {
        let ledger: &mut Ledger = &mut self.scene.ledger;
        for published in std::mem::take(&mut ledger.published) {
            let pool = published.pool;
            for client in self.clients.iter().filter(|client| client.pool == pool) {
                if let Some(topic) = client.missed(&published) {
                    let text = format!("client {} missed {published:?} on {topic:?}", client.index);
                    ledger.violate(self.scene.now, text);
                }
            }
        }
    }
}
