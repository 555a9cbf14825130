//! What a client of memcached asks next, and what it must get for it: in the text protocol, classic and
//! meta commands side by side, or in the binary one.

use nutcrab::protocol::Protocol;

use crate::client::Client;
use crate::judging::{Element, Owed, Pending, Want};
use crate::plan::{CREDENTIALS, PASSWORD};
use crate::redis;
use crate::scene::{Phase, Scene};
use crate::value::{self, Shape};
use crate::{binary, memcache};

/// Requests and what is wanted for each.
type Asked = (Vec<u8>, Vec<Pending>);

/// Bytes that are no request: where a data block ends is in doubt.
const GARBAGE_LINES: [&[u8]; 3] = [
    b"set a 0 0 3\r\nabcdef\r\n",
    b"set a 0 0 -1\r\n",
    b"set a 0 0 x\r\nabc\r\n",
];

/// Most requests in a row that may go without a reply.
const QUIET_MAX: usize = 6;

/// How a request is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Classic,
    Meta,
    Binary,
}

fn one((bytes, pending): (Vec<u8>, Pending)) -> Asked {
    (bytes, vec![pending])
}

impl Client {
    /// The next requests: one, or several that may go without a reply.
    pub(crate) fn compose_memcached(&mut self, scene: &mut Scene) -> Asked {
        let odd = scene.plan.pools[self.pool].odd;
        let odd = scene.phase == Phase::Faults && self.draw.permille(odd);
        let way = match self.dialect {
            Protocol::Binary => Way::Binary,
            _ => self.draw.pick(&[Way::Classic, Way::Classic, Way::Meta]),
        };
        let quiet = self.draw.one_in(8);
        if self.authed && !odd && quiet {
            return self.quiet(scene, way);
        }
        if self.authed && !odd && way == Way::Classic && self.draw.one_in(4) {
            return self.burst(scene);
        }
        let seq = scene.ledger.asked(self.conn);
        one(if !self.authed {
            self.say_who(scene, seq, way)
        } else if odd && way == Way::Binary {
            self.odd_message(scene, seq)
        } else if odd {
            self.odd_line(scene, seq)
        } else {
            self.everyday(scene, seq, way)
        })
    }

    /// Says that it quits, where that is answered.
    pub(crate) fn compose_binary_quit(&mut self, scene: &mut Scene) -> Asked {
        let seq = scene.ledger.asked(self.conn);
        let want = Want::Bytes(binary::success(binary::QUIT, seq, b""));
        let request = binary::request(binary::QUIT, seq, b"", b"", b"");
        one((request, Pending::new(seq, want).with_opaque()))
    }

    /// Something that is no request, and why it is none.
    pub(crate) fn memcached_garbage(&mut self, seq: u32) -> (Vec<u8>, Pending) {
        let pending = Pending::new(seq, Want::Garbage);
        if self.dialect != Protocol::Binary {
            return (self.draw.pick(&GARBAGE_LINES).to_vec(), pending);
        }
        let mut bytes = if self.draw.one_in(2) {
            binary::request(binary::GET, seq, b"", &[b'k'; 251], b"")
        } else {
            binary::request(binary::GET, seq, b"?", b"key", b"")
        };
        if self.draw.one_in(2) {
            // The key is longer than the body.
            bytes[2] = 7;
        }
        (bytes, pending.with_opaque())
    }

    /// What a client asks that did not say who it is.
    fn say_who(&mut self, scene: &mut Scene, seq: u32, way: Way) -> (Vec<u8>, Pending) {
        let right = scene.phase == Phase::Fresh || !self.draw.one_in(3);
        if !right && self.draw.one_in(2) {
            scene.ledger.forbid(self.conn, seq);
            let key = self.echo(seq, 0, Shape::Value, 10);
            let want = match way {
                Way::Binary => binary::refusal(binary::GET, 0x20, seq, b"Auth failure."),
                _ => b"CLIENT_ERROR unauthenticated\r\n".to_vec(),
            };
            let request = match way {
                Way::Binary => binary::request(binary::GET, seq, b"", &key, b""),
                _ => memcache::request(&[b"get", &key]),
            };
            return (request, self.pending(seq, Want::Bytes(want)));
        }
        self.authed = right;
        let password = if right { PASSWORD } else { b"wrong" };
        if way == Way::Binary {
            let message = [b"\0user\0", password].concat();
            let request = binary::request(binary::AUTH, seq, b"", b"PLAIN", &message);
            let want = match right {
                true => binary::success(binary::AUTH, seq, b"Authenticated"),
                false => binary::refusal(binary::AUTH, 0x20, seq, b"Auth failure."),
            };
            return (request, self.pending(seq, Want::Bytes(want)));
        }
        debug_assert!(CREDENTIALS.starts_with(b"user:"));
        let request = memcache::set(b"who", &[b"user ", password].concat(), &[]);
        let want: &[u8] = match right {
            true => b"STORED\r\n",
            false => b"CLIENT_ERROR authentication failure\r\n",
        };
        (request, Pending::new(seq, Want::Bytes(want.to_vec())))
    }

    /// A request whose reply repeats its number, if the dialect has such replies.
    pub(crate) fn pending(&self, seq: u32, want: Want) -> Pending {
        let pending = Pending::new(seq, want);
        match self.dialect {
            Protocol::Binary => pending.with_opaque(),
            _ => pending,
        }
    }

    fn odd_line(&mut self, scene: &mut Scene, seq: u32) -> (Vec<u8>, Pending) {
        let long = [b'k'; 251];
        let (request, want) = match self.draw.below(7) {
            0 => (
                memcache::request(&[b"get", &long]),
                Want::Error("CLIENT_ERROR"),
            ),
            1 => (
                memcache::request(&[b"version"]),
                Want::Told(memcache::reply_to(b"version")),
            ),
            2 => (b"mn\r\n".to_vec(), Want::Bytes(b"MN\r\n".to_vec())),
            3 => (
                memcache::request(&[b"verbosity", b"1"]),
                Want::Everywhere(b"OK\r\n".to_vec(), None),
            ),
            4 => {
                let all = self.of_all(scene, memcache::statistics);
                let all = [all, b"END\r\n".to_vec()].concat();
                (memcache::request(&[b"stats", b"items"]), Want::Told(all))
            }
            5 if self.draw.one_in(2) => (
                memcache::request(&[b"stats", b"sizes_enable"]),
                Want::Error("CLIENT_ERROR stats sizes_enable"),
            ),
            5 => (
                memcache::request(&[b"watch"]),
                Want::Error("CLIENT_ERROR watch"),
            ),
            _ => {
                let line: &[u8] = self.draw.pick(&[&b"nonsense\r\n"[..], b"get\r\n"]);
                (line.to_vec(), Want::Error("ERROR"))
            }
        };
        (request, Pending::new(seq, want))
    }

    fn odd_message(&mut self, scene: &mut Scene, seq: u32) -> (Vec<u8>, Pending) {
        let bare = |opcode, key: &[u8]| binary::request(opcode, seq, b"", key, b"");
        let (request, want) = match self.draw.below(5) {
            4 => {
                let reply = binary::refusal(binary::STAT, 1, seq, b"Not found");
                (bare(binary::STAT, b"sizes_enable"), Want::Bytes(reply))
            }
            0 => (
                bare(binary::VERSION, b""),
                Want::Told(binary::success(binary::VERSION, seq, b"1.6.0-model")),
            ),
            1 => (
                bare(binary::NOOP, b""),
                Want::Bytes(binary::success(binary::NOOP, seq, b"")),
            ),
            2 => {
                let mut all = self.of_all(scene, |name| binary::statistics(seq, name));
                all.extend(binary::success(binary::STAT, seq, b""));
                (bare(binary::STAT, b"items"), Want::Told(all))
            }
            _ => {
                let size = self.draw.spread(1, 5000);
                let value = vec![b'x'; size];
                let request = binary::request(0x70, seq, b"", b"key", &value);
                let reply = binary::refusal(0x70, 0x81, seq, b"Unknown command");
                (request, Want::Bytes(reply))
            }
        };
        (request, Pending::new(seq, want).with_opaque())
    }

    /// What each of the pool's servers says, its name in front if there are several.
    fn of_all(&self, scene: &Scene, one: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
        let servers = &scene.plan.pools[self.pool].config.servers;
        if servers.len() == 1 {
            return one("");
        }
        let said = servers
            .iter()
            .map(|server| one(&format!("{}:", server.name)));
        said.collect::<Vec<_>>().concat()
    }

    fn everyday(&mut self, scene: &mut Scene, seq: u32, way: Way) -> (Vec<u8>, Pending) {
        let easy = if self.goes_easy(scene) { 20 } else { 0 };
        // A unique number is soon outdated.
        let is_told = self.owned.iter().any(|owned| owned.unique.now.is_some());
        if is_told && self.draw.one_in(3) {
            return self.conditional(scene, seq, way, Owed::Reply);
        }
        let number = self.draw.below(self.owned.len());
        let key = self.owned[number].key.clone();
        let (request, want) = match self.draw.within(easy, 99) {
            0..20 => (
                self.fetch(way, seq, &key, Owed::Reply),
                Want::Values(vec![Element::Owned(number)]),
            ),
            20..40 => {
                let (mark, size) = (self.mark(seq, 0), self.size(scene));
                let value = value::make(&key, mark, size);
                (
                    self.store(way, seq, &key, &value, Owed::Reply),
                    Want::Stored(vec![(number, mark)]),
                )
            }
            40..50 => (
                self.remove_one(way, seq, &key, Owed::Reply),
                Want::Removed(vec![number]),
            ),
            50..75 if way == Way::Classic => self.several(scene, seq),
            50..83 => {
                let counter = self.draw.below(scene.plan.pools[self.pool].counters);
                scene.ledger.tally(self.pool, counter).sent += 1;
                let key = format!("c:{}:{counter}", self.pool);
                (
                    self.increment(way, seq, key.as_bytes()),
                    Want::Tally(counter),
                )
            }
            83..91 => return self.rarer(scene, seq, way),
            _ => return self.echoed(scene, seq, way),
        };
        (request, self.stamped(seq, way, want))
    }

    pub(crate) fn stamped(&self, seq: u32, way: Way, want: Want) -> Pending {
        let pending = Pending::new(seq, want);
        match way {
            Way::Classic => pending,
            Way::Meta | Way::Binary => pending.with_opaque(),
        }
    }

    /// A get of several keys.
    fn several(&mut self, scene: &mut Scene, seq: u32) -> (Vec<u8>, Want) {
        let (request, want) = self.fetch_several(scene, seq);
        let Want::Elements(elements) = want else {
            return (request, want);
        };
        // The same keys, asked for in a line.
        let keys: Vec<Vec<u8>> = redis::arguments(&request);
        let starts: [&[&[u8]]; 4] = [&[b"get"], &[b"gets"], &[b"gat", b"0"], &[b"gats", b"0"]];
        // Only of plain gets memcached reads a line of any length.
        let len: usize = keys.iter().map(|key| key.len() + 1).sum();
        let kinds = if len < 1000 { 4 } else { 2 };
        let mut words = starts[self.draw.below(kinds)].to_vec();
        words.extend(keys[1..].iter().map(Vec::as_slice));
        (memcache::request(&words), Want::Values(elements))
    }

    /// Asks for an echo.
    fn echoed(&mut self, scene: &mut Scene, seq: u32, way: Way) -> (Vec<u8>, Pending) {
        let shapes = [Shape::Value, Shape::Nil, Shape::Number, Shape::Error];
        let shape = self.draw.pick(&shapes);
        let size = self.size(scene);
        let key = self.echo(seq, 0, shape, size);
        let mark = self.mark(seq, 0);
        match shape {
            Shape::Number => {
                let want = Want::Counted(Vec::new(), mark.number() as usize);
                let request = self.increment(way, seq, &key);
                (request, self.stamped(seq, way, want))
            }
            Shape::Error if way == Way::Binary => {
                let reply = binary::success(binary::DELETE, seq, b"");
                let want = Want::Told(binary::error(&reply, &key));
                let request = self.remove_one(way, seq, &key, Owed::Reply);
                (request, self.stamped(seq, way, want))
            }
            Shape::Error => {
                let want = Want::Told(memcache::reply_to(&key));
                let request = self.remove_one(Way::Classic, seq, &key, Owed::Reply);
                (request, Pending::new(seq, want))
            }
            _ => {
                let request = self.fetch(way, seq, &key, Owed::Reply);
                let want = Want::Values(vec![Element::Echo(key)]);
                (request, self.stamped(seq, way, want))
            }
        }
    }

    /// Requests that may go without a reply, and one behind them that does not. Of what is sent with
    /// `noreply` nothing is heard at all.
    fn quiet(&mut self, scene: &mut Scene, way: Way) -> Asked {
        let owed = match way {
            Way::Classic => Owed::Nothing,
            Way::Meta | Way::Binary => Owed::Perhaps,
        };
        let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
        let fetches = way != Way::Classic && !self.goes_easy(scene);
        for _ in 0..self.draw.within(1, QUIET_MAX) {
            let seq = scene.ledger.asked(self.conn);
            let number = self.draw.below(self.owned.len());
            let key = self.owned[number].key.clone();
            let rarer = match self.draw.below(8) {
                0 => Some(self.conditional(scene, seq, way, owed)),
                1 => Some(self.extend(seq, way, owed)),
                _ => None,
            };
            if let Some((request, pending)) = rarer {
                bytes.extend(request);
                waiting.push(pending);
                continue;
            }
            let (request, want) = match self.draw.below(if fetches { 4 } else { 2 }) {
                0 => {
                    let (mark, size) = (self.mark(seq, 0), self.size(scene));
                    let value = value::make(&key, mark, size);
                    (
                        self.store(way, seq, &key, &value, owed),
                        Want::Stored(vec![(number, mark)]),
                    )
                }
                1 => (
                    self.remove_one(way, seq, &key, owed),
                    Want::Removed(vec![number]),
                ),
                2 if self.draw.one_in(3) => (
                    self.fetch_and_touch(way, seq, &key, owed),
                    Want::Values(vec![Element::Owned(number)]),
                ),
                2 => (
                    self.fetch(way, seq, &key, owed),
                    Want::Values(vec![Element::Owned(number)]),
                ),
                _ => {
                    let shape = self.draw.pick(&[Shape::Value, Shape::Nil]);
                    let size = self.size(scene);
                    let key = self.echo(seq, 0, shape, size);
                    (
                        self.fetch(way, seq, &key, owed),
                        Want::Values(vec![Element::Echo(key)]),
                    )
                }
            };
            bytes.extend(request);
            waiting.push(Pending {
                owed,
                ..self.stamped(seq, way, want)
            });
        }
        let seq = scene.ledger.asked(self.conn);
        let (request, end) = match way {
            Way::Binary => (
                binary::request(binary::NOOP, seq, b"", b"", b""),
                binary::success(binary::NOOP, seq, b""),
            ),
            _ => (b"mn\r\n".to_vec(), b"MN\r\n".to_vec()),
        };
        bytes.extend(request);
        waiting.push(self.pending(seq, Want::Bytes(end)));
        (bytes, waiting)
    }

    /// Gets of one key each, which may share a line on their way to a server.
    fn burst(&mut self, scene: &mut Scene) -> Asked {
        let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..self.draw.within(1, QUIET_MAX) {
            let seq = scene.ledger.asked(self.conn);
            let (key, element) = if self.goes_easy(scene) || self.draw.one_in(3) {
                let shape = self.draw.pick(&[Shape::Value, Shape::Value, Shape::Nil]);
                let size = self.size(scene);
                let key = self.echo(seq, 0, shape, size);
                (key.clone(), Element::Echo(key))
            } else {
                let number = self.draw.below(self.owned.len());
                (self.owned[number].key.clone(), Element::Owned(number))
            };
            bytes.extend(self.fetch(Way::Classic, seq, &key, Owed::Reply));
            waiting.push(Pending::new(seq, Want::Values(vec![element])));
        }
        (bytes, waiting)
    }

    fn fetch(&mut self, way: Way, seq: u32, key: &[u8], owed: Owed) -> Vec<u8> {
        match way {
            Way::Classic => memcache::request(&[b"get", key]),
            Way::Meta => self.meta(b"mg", seq, key, owed, &[b"v", b"k"], None),
            Way::Binary => {
                let opcode = match owed {
                    Owed::Reply => self.draw.pick(&[binary::GET, binary::GETK]),
                    _ => self.draw.pick(&[binary::GETQ, binary::GETKQ]),
                };
                binary::request(opcode, seq, b"", key, b"")
            }
        }
    }

    fn store(&mut self, way: Way, seq: u32, key: &[u8], value: &[u8], owed: Owed) -> Vec<u8> {
        match way {
            Way::Classic => memcache::set(key, value, behind(owed)),
            Way::Meta => self.meta(b"ms", seq, key, owed, &[], Some(value)),
            Way::Binary => {
                let opcode = match owed {
                    Owed::Reply => binary::SET,
                    _ => binary::SETQ,
                };
                binary::request(opcode, seq, &binary::NO_EXTRAS, key, value)
            }
        }
    }

    fn remove_one(&mut self, way: Way, seq: u32, key: &[u8], owed: Owed) -> Vec<u8> {
        match way {
            Way::Classic => memcache::request(&[&[b"delete", key], behind(owed)].concat()),
            Way::Meta => self.meta(b"md", seq, key, owed, &[], None),
            Way::Binary => {
                let opcode = match owed {
                    Owed::Reply => binary::DELETE,
                    _ => binary::DELETEQ,
                };
                binary::request(opcode, seq, b"", key, b"")
            }
        }
    }

    fn increment(&mut self, way: Way, seq: u32, key: &[u8]) -> Vec<u8> {
        match way {
            Way::Classic => memcache::request(&[b"incr", key, b"1"]),
            Way::Meta => self.meta(b"ma", seq, key, Owed::Reply, &[b"v"], None),
            Way::Binary => binary::request(binary::INCREMENT, seq, &binary::one(), key, b""),
        }
    }

    /// A meta command, its key in base64 now and then.
    pub(crate) fn meta(
        &mut self,
        name: &[u8],
        seq: u32,
        key: &[u8],
        owed: Owed,
        flags: &[&[u8]],
        data: Option<&[u8]>,
    ) -> Vec<u8> {
        let encodes = key.len() <= 180 && self.draw.one_in(3);
        let text = if encodes {
            memcache::encode(key)
        } else {
            key.to_vec()
        };
        let len = data.map(|data| data.len().to_string());
        let mut words: Vec<&[u8]> = vec![name, &text];
        words.extend(len.as_ref().map(String::as_bytes));
        words.extend(flags);
        if encodes {
            words.push(b"b");
        }
        if owed != Owed::Reply {
            words.push(b"q");
        }
        let opaque = format!("O{seq}");
        words.push(opaque.as_bytes());
        match data {
            Some(data) => memcache::with_data(&words, data),
            None => memcache::request(&words),
        }
    }
}

/// What stands behind a classic command.
pub fn behind(owed: Owed) -> &'static [&'static [u8]] {
    match owed {
        Owed::Reply => &[],
        _ => &[b"noreply"],
    }
}
