//! Clients that go through all keys: SCAN page by page, KEYS at once.
//!
//! A client that scans leaves half of its keys alone until it is through: each of them must have been
//! seen by then, however many pages failed and were asked for again. Only where keys move between servers,
//! or a server loses its data, is nothing known. Model servers return keys in the order of a hash, as
//! Redis does, so that keys which come and go meanwhile hide no other.

use std::collections::BTreeSet;

use nutcrab::route::Distribution;

use crate::agenda::Micros;
use crate::client::Client;
use crate::draw::digest;
use crate::judging::Want;
use crate::plant::Plant;
use crate::redis::{self, Reply};
use crate::scene::{Phase, Scene};
use crate::server::Server;
use crate::store::{Outcome, Store};

/// A client's way through all keys.
#[derive(Debug)]
pub struct Iteration {
    cursor: Vec<u8>,
    /// Whether a page was asked for and did not come yet.
    waits: bool,
    /// The numbers of the keys it leaves alone.
    kept: Vec<usize>,
    seen: BTreeSet<Vec<u8>>,
    /// What keys must begin with.
    prefix: Vec<u8>,
    count: Option<usize>,
    typed: bool,
    /// When it began.
    since: Micros,
}

/// What KEYS must find of a client's own keys, and what it must not.
#[derive(Debug)]
pub struct Listing {
    there: Vec<usize>,
    gone: Vec<usize>,
    /// When it was asked for.
    since: Micros,
}

/// A page, as a server makes it.
#[derive(Debug)]
pub struct Page {
    /// The cursor behind it.
    pub next: u64,
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    /// What they all begin with.
    pub prefix: Vec<u8>,
}

/// Where a key stands in a server's order; never 0.
fn place(key: &[u8]) -> u64 {
    digest(key) >> 20 | 1
}

/// A page of SCAN.
pub fn page(cursor: u64, keys: &[Vec<u8>]) -> Vec<u8> {
    let mut reply = b"*2\r\n".to_vec();
    reply.extend(redis::echo_bulk(cursor.to_string().as_bytes()));
    reply.extend(list(keys));
    reply
}

fn list(keys: &[Vec<u8>]) -> Vec<u8> {
    let mut reply = format!("*{}\r\n", keys.len()).into_bytes();
    keys.iter().for_each(|key| redis::bulk(&mut reply, key));
    reply
}

impl Store {
    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.values.keys().chain(self.counters.keys())
    }

    /// Executes SCAN.
    pub fn scan(&self, args: &[Vec<u8>], outcome: &mut Outcome) -> Result<(), String> {
        let number = |text: &[u8]| -> Option<u64> { std::str::from_utf8(text).ok()?.parse().ok() };
        let cursor = args.get(1).and_then(|text| number(text));
        let cursor = cursor.ok_or("SCAN without a cursor")?;
        let (mut count, mut prefix) = (10, &[][..]);
        for option in args[2..].chunks(2) {
            match (option[0].to_ascii_uppercase().as_slice(), option.get(1)) {
                (b"MATCH", Some(pattern)) => {
                    prefix = pattern.strip_suffix(b"*").ok_or("a strange pattern")?;
                }
                (b"COUNT", Some(text)) => count = number(text).ok_or("a strange count")? as usize,
                (b"TYPE", Some(text)) if text == b"string" => {}
                _ => return Err("SCAN with a strange option".into()),
            }
        }
        let mut keys: Vec<(u64, &Vec<u8>)> = self.keys().map(|key| (place(key), key)).collect();
        keys.retain(|(place, _)| *place >= cursor);
        keys.sort_unstable();
        // Keys of one place belong to one page.
        let mut end = count.min(keys.len());
        while end > 0 && end < keys.len() && keys[end].0 == keys[end - 1].0 {
            end += 1;
        }
        let next = keys.get(end).map_or(0, |(place, _)| *place);
        let found = keys[..end].iter().map(|(_, key)| (*key).clone());
        let found: Vec<Vec<u8>> = found.filter(|key| key.starts_with(prefix)).collect();
        outcome.reply = page(next, &found);
        outcome.page = Some(Page {
            next,
            keys: found,
            prefix: prefix.to_vec(),
        });
        Ok(())
    }

    /// Executes KEYS.
    pub fn list(&self, args: &[Vec<u8>], outcome: &mut Outcome) -> Result<(), String> {
        let prefix = args.get(1).and_then(|pattern| pattern.strip_suffix(b"*"));
        let prefix = prefix.ok_or("KEYS with a strange pattern")?;
        let keys = self.keys().filter(|key| key.starts_with(prefix)).cloned();
        outcome.reply = list(&keys.collect::<Vec<_>>());
        Ok(())
    }
}

impl Server {
    /// The negative control: a page has lost keys that its client must see.
    pub(crate) fn plant_in_page(&self, scene: &mut Scene, outcome: &mut Outcome) {
        let Some(Page { next, keys, prefix }) = &outcome.page else {
            return;
        };
        let pool = &scene.plan.pools[self.pool];
        let is_kept = |key: &Vec<u8>| scene.ledger.kept.contains(key);
        // With this prefix all are the keys of who asks.
        let is_mine = prefix.len() > 2;
        let stays = pool.config.distribution != Distribution::Random && pool.wipes == 0;
        let is_sure = stays && scene.plan.never_fails() && is_mine;
        if is_sure && keys.iter().any(is_kept) {
            let left: Vec<_> = keys.iter().filter(|key| !is_kept(key)).cloned().collect();
            if scene.strikes(Plant::DropKeys) {
                outcome.reply = page(*next, &left);
            }
        }
    }
}

impl Client {
    /// The next page, or KEYS, now and then.
    pub(crate) fn compose_scan(&mut self, scene: &mut Scene) -> Option<(Vec<u8>, Want)> {
        if let Some(scan) = &self.scan {
            if scan.waits || !self.is_short_of_requests() && self.draw.one_in(2) {
                return None;
            }
            return Some(self.next_page(scene.phase));
        }
        let plan = std::rc::Rc::clone(&scene.plan);
        let plan = &plan.pools[self.pool];
        if !self.draw.permille(plan.scans) {
            return None;
        }
        if self.draw.one_in(3) {
            return Some(self.list_keys(scene));
        }
        let mut kept = self.surely_there();
        let half = kept.len().div_ceil(2);
        while kept.len() > half {
            kept.swap_remove(self.draw.below(kept.len()));
        }
        let mine = self.draw.one_in(2) && self.is_between_sessions();
        let prefix = match self.draw.below(4) {
            _ if mine => format!("o:{}:", self.index),
            0 => "o:".to_owned(),
            _ => String::new(),
        };
        if mine {
            let keys = kept.iter().map(|&number| self.owned[number].key.clone());
            scene.ledger.kept.extend(keys);
        }
        self.scan = Some(Iteration {
            cursor: b"0".to_vec(),
            waits: false,
            kept,
            seen: BTreeSet::new(),
            prefix: prefix.into_bytes(),
            count: self.draw.pick(&[None, Some(2), Some(100)]),
            typed: self.draw.one_in(3),
            since: scene.now,
        });
        Some(self.next_page(scene.phase))
    }

    fn next_page(&mut self, phase: Phase) -> (Vec<u8>, Want) {
        // It asks for as many as it takes.
        self.grant(1);
        let Some(scan) = &mut self.scan else {
            return (Vec::new(), Want::Page);
        };
        scan.waits = true;
        let mut args = vec![b"SCAN".to_vec(), scan.cursor.clone()];
        if !scan.prefix.is_empty() {
            args.extend([b"MATCH".to_vec(), [&scan.prefix[..], b"*"].concat()]);
        }
        // Who begins when nothing may fail has little time.
        let count = match phase {
            Phase::Faults => scan.count,
            _ => Some(100),
        };
        if let Some(count) = count {
            args.extend([b"count".to_vec(), count.to_string().into_bytes()]);
        }
        if scan.typed {
            args.extend([b"TYPE".to_vec(), b"string".to_vec()]);
        }
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        (redis::request(&args), Want::Page)
    }

    fn list_keys(&mut self, scene: &Scene) -> (Vec<u8>, Want) {
        let plan = &scene.plan.pools[self.pool];
        let pattern = format!("o:{}:*", self.index);
        let request = redis::request(&[b"keys", pattern.as_bytes()]);
        if plan.config.servers.len() > 1 && !plan.config.commands.allows("KEYS") {
            return (
                request,
                Want::Error("ERR 'keys' is refused in a pool of several"),
            );
        }
        let gone = match self.waiting.is_empty() {
            true => (0..self.owned.len())
                .filter(|&number| !self.owned[number].may_be_there())
                .collect(),
            false => Vec::new(),
        };
        let (there, since) = (self.surely_there(), scene.now);
        (request, Want::Listed(Listing { there, gone, since }))
    }

    /// The keys that are there, whatever becomes of what was asked.
    fn surely_there(&self) -> Vec<usize> {
        let may_go = |number: usize| {
            self.waiting.iter().any(
                |pending| matches!(&pending.want, Want::Removed(numbers) if numbers.contains(&number)),
            )
        };
        (0..self.owned.len())
            .filter(|&number| self.owned[number].is_surely_there() && !may_go(number))
            .collect()
    }

    /// Whether it does nothing else before it is through that could keep it from getting there.
    pub(crate) fn is_bent_on_scanning(&self) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.prefix.len() > 2)
    }

    /// Whether it must leave a key alone.
    pub(crate) fn is_kept(&self, number: usize) -> bool {
        self.scan
            .as_ref()
            .is_some_and(|scan| scan.kept.contains(&number))
    }

    /// Whether all it may still ask is for the page behind the one it waits for.
    pub(crate) fn must_wait_for_page(&self) -> bool {
        self.is_short_of_requests() && self.scan.as_ref().is_some_and(|scan| scan.waits)
    }

    /// A page will not come: it is asked for again.
    pub(crate) fn lose_page(&mut self) {
        if let Some(scan) = &mut self.scan {
            scan.waits = false;
        }
    }

    /// It goes no further.
    pub(crate) fn end_scan(&mut self, scene: &mut Scene) -> Option<Iteration> {
        let scan = self.scan.take()?;
        for &number in &scan.kept {
            scene.ledger.kept.remove(&self.owned[number].key);
        }
        Some(scan)
    }

    /// Whether a page is what it must be.
    pub(crate) fn accept_page(
        &mut self,
        scene: &mut Scene,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let Reply::Array(Some(elements)) = reply else {
            return Err("another kind of reply");
        };
        let [Reply::Bulk(Some(cursor)), Reply::Array(Some(keys))] = &elements[..] else {
            return Err("no cursor and keys");
        };
        let Some(scan) = &mut self.scan else {
            return Err("nothing was asked for");
        };
        scan.waits = false;
        for key in keys {
            match key {
                Reply::Bulk(Some(key)) if key.starts_with(&scan.prefix) => {
                    scan.seen.insert(key.to_vec());
                }
                _ => return Err("a key that does not match"),
            }
        }
        if *cursor != b"0" {
            scan.cursor = cursor.to_vec();
            return Ok(());
        }
        let Some(scan) = self.end_scan(scene) else {
            return Ok(());
        };
        scene.ledger.count("iterations over all keys");
        if !self.do_keys_stay(scene, scan.since) {
            return Ok(());
        }
        let is_missing = |number: &&usize| !scan.seen.contains(&self.owned[**number].key);
        if scan.kept.iter().any(|number| is_missing(&number)) {
            return Err("a key that was there all the while was not seen");
        }
        if !scan.kept.is_empty() {
            scene.ledger.count("iterations that had to see some keys");
        }
        Ok(())
    }

    /// Whether each key is where it was then.
    fn do_keys_stay(&self, scene: &Scene, since: Micros) -> bool {
        if scene.ledger.presence[self.pool].was_wiped_since(since) {
            return false;
        }
        let config = &scene.plan.pools[self.pool].config;
        self.is_exact(scene)
            || scene.plan.never_fails() && config.distribution != Distribution::Random
    }

    /// Whether KEYS tells what it must.
    pub(crate) fn accept_listing(
        &self,
        scene: &mut Scene,
        listing: &Listing,
        reply: &Reply<'_>,
    ) -> Result<(), &'static str> {
        let Reply::Array(Some(keys)) = reply else {
            return Err("another kind of reply");
        };
        let prefix = format!("o:{}:", self.index);
        let fits = |key: &Reply<'_>| match key {
            Reply::Bulk(Some(key)) => key.starts_with(prefix.as_bytes()),
            _ => false,
        };
        if !keys.iter().all(fits) {
            return Err("a key that does not match");
        }
        if !self.do_keys_stay(scene, listing.since) {
            return Ok(());
        }
        let count = |number: &usize| {
            let key = Reply::Bulk(Some(&self.owned[*number].key));
            keys.iter().filter(|found| **found == key).count()
        };
        if listing.there.iter().any(|number| count(number) != 1) {
            return Err("a key that is there is missing, or told twice");
        }
        if listing.gone.iter().any(|number| count(number) != 0) {
            return Err("a key that is not there");
        }
        scene.ledger.count("lists of keys");
        Ok(())
    }
}
