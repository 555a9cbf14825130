//! What a client asks next, and what it must get for it.

use nutcrab::config::CrossShard;
use nutcrab::protocol::Protocol;

use crate::client::Client;
use crate::judging::{Element, Pending, Want};
use crate::muting::Wish;
use crate::plan::PASSWORD;
use crate::redis;
use crate::scene::{Phase, Scene};
use crate::value::{self, Echo, Mark, Shape};

/// A request and what is wanted for it.
type Asked = (Vec<u8>, Want);

/// Commands that name one key, with what follows it, and can have replies of a shape; which one comes the
/// key says.
fn fitting(shape: Shape) -> &'static [&'static [&'static str]] {
    match shape {
        Shape::Value | Shape::Nil => &[
            &["GET"],
            &["DUMP"],
            &["HGET", "f"],
            &["LINDEX", "f"],
            &["GETRANGE", "0", "-1"],
        ],
        Shape::Number => &[
            &["TTL"],
            &["LLEN"],
            &["GETBIT", "f"],
            &["SISMEMBER", "f"],
            &["ZCOUNT", "0", "-1"],
        ],
        Shape::Status => &[&["Type"], &["setex", "0", "-1"]],
        Shape::Error => &[
            &["GET"],
            &["hgetall"],
            &["LINDEX", "f"],
            &["LRANGE", "0", "-1"],
        ],
        Shape::Array | Shape::Nested | Shape::Empty => {
            &[&["HKEYS"], &["HMGET", "f"], &["LRANGE", "0", "-1"]]
        }
        Shape::NilArray => &[&["LPOP", "1"], &["HRANDFIELD", "f"]],
        Shape::Map => &[&["hgetall"]],
        Shape::Kinds | Shape::Legal => &[&["smembers"]],
    }
}

const SHAPES: [Shape; 14] = [
    Shape::Value,
    Shape::Value,
    Shape::Value,
    Shape::Value,
    Shape::Nil,
    Shape::Number,
    Shape::Status,
    Shape::Error,
    Shape::Array,
    Shape::Nested,
    Shape::Empty,
    Shape::NilArray,
    Shape::Map,
    Shape::Kinds,
];

/// Bytes that are no request, and where the next one starts cannot be known.
const GARBAGE: [&[u8]; 10] = [
    b"*-0\r\n",
    b"*-01\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxx",
    b"*2\r\n$3\r\nGET\r\n$-1\r\n",
    b"*2\r\n$3\r\nGET\r\n$536870913\r\n",
    b"*2147483648\r\n",
    b"*2\r\n$3\r\nGET\r\n:1\r\n",
    b"Host: a\r\n\r\n",
];

impl Client {
    /// The next request, or several, and what is wanted for each.
    pub(crate) fn compose(&mut self, scene: &mut Scene) -> (Vec<u8>, Vec<Pending>) {
        if self.dialect != Protocol::Redis {
            return self.compose_memcached(scene);
        }
        let seq = scene.ledger.asked(self.conn);
        let odd = scene.plan.pools[self.pool].odd;
        if self.authed
            && let Some((bytes, pending)) = self.compose_muting(scene, seq)
        {
            return (bytes, vec![pending]);
        }
        let (bytes, want) = if !self.authed {
            self.introduce(scene, seq)
        } else if let Some(asked) = self.compose_session(scene, seq) {
            asked
        } else if let Some(asked) = self.compose_scan(scene) {
            asked
        } else if let Some(asked) = self.compose_script(scene, seq) {
            asked
        } else if let Some(asked) = self.compose_function(scene, seq) {
            asked
        } else if let Some(asked) = self.compose_for_all(scene, seq) {
            asked
        } else if let Some(asked) = self.compose_saying(scene, seq) {
            asked
        } else if let Some(asked) = self.compose_beyond(scene, seq) {
            asked
        } else if let Some(asked) = self.compose_shift(scene) {
            asked
        } else if let Some(asked) = self.compose_identity(scene) {
            asked
        } else if scene.phase == Phase::Faults && self.draw.permille(odd) {
            self.odd(scene, seq)
        } else {
            self.usual(scene, seq)
        };
        (bytes, vec![self.as_wished(scene, seq, want)])
    }

    /// QUIT.
    pub(crate) fn compose_quit(&mut self, scene: &mut Scene) -> (Vec<u8>, Vec<Pending>) {
        if self.dialect == Protocol::Binary {
            return self.compose_binary_quit(scene);
        }
        let seq = scene.ledger.asked(self.conn);
        let want = Want::Bytes(b"+OK\r\n".to_vec());
        let pending = self.as_wished(scene, seq, want);
        (redis::request(&[b"QUIT"]), vec![pending])
    }

    /// Something that is no request.
    pub(crate) fn compose_garbage(&mut self, scene: &mut Scene) -> (Vec<u8>, Pending) {
        let seq = scene.ledger.asked(self.conn);
        let mut pending = self.as_wished(scene, seq, Want::Garbage);
        let mut bytes;
        if self.dialect != Protocol::Redis {
            (bytes, pending) = self.memcached_garbage(seq);
        } else if self.draw.one_in(4) {
            // A large argument with something wrong behind it.
            let key = self.echo(seq, 0, Shape::Number, 0);
            let value = value::make(&key, self.mark(seq, 1), self.draw.within(20_000, 60_000));
            bytes = redis::request(&[b"RPUSH", &key, &value, b"x"]);
            let at = bytes.len() - if self.draw.one_in(2) { 7 } else { 9 };
            bytes[at] = b'!';
        } else {
            bytes = self.draw.pick(&GARBAGE).to_vec();
        }
        let junk = self.draw.pick(&[0, 0, 10, 3000]);
        bytes.extend((0..junk).map(|_| self.draw.next() as u8));
        (bytes, pending)
    }

    pub(crate) fn mark(&self, seq: u32, part: u32) -> Mark {
        Mark {
            conn: self.conn,
            seq,
            part,
        }
    }

    /// Whether even the slowest pool must have the reply in time, so that none may be large.
    pub(crate) fn goes_easy(&self, scene: &Scene) -> bool {
        scene.phase == Phase::Fresh && scene.plan.is_heavy()
    }

    pub(crate) fn size(&mut self, scene: &Scene) -> usize {
        let plan = &scene.plan.pools[self.pool];
        if self.goes_easy(scene) {
            self.draw.spread(0, plan.ordinary.min(200))
        } else if self.draw.permille(plan.large) {
            self.draw.within(17_000, 120_000)
        } else {
            self.draw.spread(0, plan.ordinary)
        }
    }

    pub(crate) fn echo(&mut self, seq: u32, part: u32, shape: Shape, size: usize) -> Vec<u8> {
        let count = self.draw.within(1, 4);
        let padding = if self.draw.one_in(8) {
            self.draw.below(200)
        } else {
            0
        };
        let echo = Echo {
            mark: self.mark(seq, part),
            shape,
            size,
            count,
        };
        value::echo_key(echo, padding)
    }

    /// What a client asks that did not give the password yet.
    fn introduce(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        if let Some(asked) = self.introduce_in_hello(scene) {
            return asked;
        }
        if scene.phase == Phase::Fresh || !self.draw.one_in(3) {
            self.authed = true;
            let want = Want::Bytes(b"+OK\r\n".to_vec());
            return (redis::request(&[b"auth", PASSWORD]), want);
        }
        if self.draw.one_in(2) {
            let want = Want::Bytes(b"-ERR invalid password\r\n".to_vec());
            return (redis::request(&[b"AUTH", b"wrong"]), want);
        }
        scene.ledger.forbid(self.conn, seq);
        let key = self.echo(seq, 0, Shape::Value, 10);
        let want = Want::Bytes(b"-NOAUTH Authentication required\r\n".to_vec());
        (redis::request(&[b"GET", &key]), want)
    }

    /// What no well-behaved client asks, and what needs no key.
    fn odd(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let bytes = |text: &[u8]| Want::Bytes(text.to_vec());
        let key = self.echo(seq, 0, Shape::Value, 10);
        match self.draw.below(10) {
            0 => (redis::request(&[b"PING"]), bytes(b"+PONG\r\n")),
            1 => {
                let mut text = key;
                text.resize(self.draw.spread(1, 5000), b'\r');
                let reply = redis::echo_bulk(&text);
                (redis::request(&[b"ping", &text]), Want::Bytes(reply))
            }
            2 => (
                redis::request(&[b"NONSENSE"]),
                Want::Refused("ERR unknown command"),
            ),
            3 => (
                redis::request(&[b"GET", &key, b"x"]),
                Want::Error("ERR wrong number"),
            ),
            4 => {
                let large = vec![b'x'; self.draw.within(17_000, 60_000)];
                let request = redis::request(&[b"GETSET", &key, &large, b"x"]);
                (request, Want::Error("ERR wrong number"))
            }
            5 => {
                let line = self.draw.pick(&["echo a\r\n", "\r\n  ECHO 'a'\n"]);
                if line.starts_with('\r') && self.wish == Wish::Skip {
                    // The empty line is what it has the reply skipped to.
                    self.wish = Wish::All;
                }
                (line.into(), bytes(b"$1\r\na\r\n"))
            }
            6 => self.select(scene),
            7 if scene.plan.pools[self.pool].config.redis_auth.is_none() => (
                redis::request(&[b"AUTH", b"x"]),
                bytes(b"-ERR Client sent AUTH, but no password is set\r\n"),
            ),
            8 => (
                redis::request(&[b"sim.echo", &key]),
                Want::Echo(key.clone()),
            ),
            _ => {
                let other = self.echo(seq, 1, Shape::Value, 10);
                let request = redis::request(&[b"EVAL", b"return", b"2", &key, &other, b"x"]);
                let echo = redis::echo_bulk(&value::make(&key, self.mark(seq, 0), 10));
                match scene.plan.pools[self.pool].config.cross_shard {
                    CrossShard::Refuse => {
                        let text = b"-CROSSSLOT Keys in request don't hash to the same shard\r\n";
                        (request, Want::Either(text.to_vec(), echo))
                    }
                    CrossShard::FirstKey => (request, Want::Echo(key)),
                }
            }
        }
    }

    /// Other lanes from here on; the model's servers have one store for all databases.
    fn select(&mut self, scene: &Scene) -> Asked {
        let own = scene.plan.pools[self.pool].config.redis_db;
        let database = self.draw.pick(&["0", "1", "2"]);
        let request = redis::request(&[b"SELECT", database.as_bytes()]);
        if own > 0 && database != "0" {
            let text = b"-ERR DB index is out of range\r\n";
            return (request, Want::Bytes(text.to_vec()));
        }
        (request, Want::Stored(Vec::new()))
    }

    fn usual(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        // What was stored before may be large.
        let easy = if self.goes_easy(scene) { 20 } else { 0 };
        match self.draw.within(easy, 99) {
            0..20 => {
                let number = self.draw.below(self.owned.len());
                let request = redis::request(&[b"GET", &self.owned[number].key]);
                (request, Want::Fetched(number))
            }
            20..40 => self.write_one(scene, seq),
            40..45 => self.write_several(scene, seq),
            45..50 => self.remove(scene, seq),
            50..54 => self.count(scene, seq),
            54..68 => self.fetch_several(scene, seq),
            68..76 => {
                let counter = self.draw.below(scene.plan.pools[self.pool].counters);
                scene.ledger.tally(self.pool, counter).sent += 1;
                let key = format!("c:{}:{counter}", self.pool);
                (
                    redis::request(&[b"INCR", key.as_bytes()]),
                    Want::Tally(counter),
                )
            }
            76..80 => self.push(scene, seq),
            _ => self.single(scene, seq),
        }
    }

    fn write_one(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let number = self.draw.below(self.owned.len());
        let mark = self.mark(seq, 0);
        let size = self.size(scene);
        let value = value::make(&self.owned[number].key, mark, size);
        let request = redis::request(&[b"SET", &self.owned[number].key, &value]);
        (request, Want::Stored(vec![(number, mark)]))
    }

    fn some_owned(&mut self, scene: &Scene) -> Vec<usize> {
        let most = scene.plan.pools[self.pool].keys;
        let count = self.draw.within(1, most);
        (0..count)
            .map(|_| self.draw.below(self.owned.len()))
            .collect()
    }

    fn write_several(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let mut numbers = self.some_owned(scene);
        numbers.sort_unstable();
        numbers.dedup();
        let mut args = vec![b"MSET".to_vec()];
        let mut writes = Vec::new();
        for (part, number) in numbers.into_iter().enumerate() {
            let mark = self.mark(seq, part as u32);
            let size = self.size(scene).min(20_000);
            let key = &self.owned[number].key;
            args.push(key.clone());
            args.push(value::make(key, mark, size));
            writes.push((number, mark));
        }
        (request(&args), Want::Stored(writes))
    }

    fn remove(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let mut numbers = self.some_owned(scene);
        numbers.retain(|&number| !self.is_kept(number));
        if numbers.is_empty() {
            return self.write_one(scene, seq);
        }
        let name: &[u8] = self.draw.pick(&[&b"DEL"[..], b"Unlink"]);
        let mut args = vec![name.to_vec()];
        args.extend(numbers.iter().map(|number| self.owned[*number].key.clone()));
        (request(&args), Want::Removed(numbers))
    }

    fn count(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let numbers = self.some_owned(scene);
        let name: &[u8] = self.draw.pick(&[&b"EXISTS"[..], b"TOUCH"]);
        let mut args = vec![name.to_vec()];
        let mut others = 0;
        for (part, number) in numbers.iter().enumerate() {
            args.push(self.owned[*number].key.clone());
            let shape = self.draw.pick(&[Shape::Value, Shape::Nil]);
            others += usize::from(shape == Shape::Value);
            args.push(self.echo(seq, part as u32, shape, 10));
        }
        (request(&args), Want::Counted(numbers, others))
    }

    pub(crate) fn fetch_several(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let count = self.draw.within(1, scene.plan.pools[self.pool].keys);
        let mut args = vec![b"MGET".to_vec()];
        let mut wanted = Vec::new();
        for part in 0..count {
            if !self.goes_easy(scene) && self.draw.one_in(3) {
                let number = self.draw.below(self.owned.len());
                args.push(self.owned[number].key.clone());
                wanted.push(Element::Owned(number));
            } else {
                let shape = self.draw.pick(&[Shape::Value, Shape::Value, Shape::Nil]);
                let size = self.size(scene);
                let key = self.echo(seq, part as u32, shape, size);
                args.push(key.clone());
                wanted.push(Element::Echo(key));
            }
        }
        (request(&args), Want::Elements(wanted))
    }

    /// A request with several values, large ones among them.
    fn push(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let key = self.echo(seq, 0, Shape::Number, 40);
        let mut args = vec![b"RPUSH".to_vec(), key.clone()];
        for part in 0..self.draw.within(1, 3) as u32 {
            let size = self.size(scene);
            args.push(value::make(&key, self.mark(seq, part), size));
        }
        (request(&args), Want::Echo(key))
    }

    fn single(&mut self, scene: &mut Scene, seq: u32) -> Asked {
        let shape = self.draw.pick(&SHAPES);
        let size = self.size(scene);
        let key = self.echo(seq, 0, shape, size);
        if self.draw.one_in(4) {
            return (
                redis::request(&[b"EVAL", b"return", b"1", &key]),
                Want::Echo(key),
            );
        }
        let words = self.draw.pick(fitting(shape));
        let mut args = vec![words[0].as_bytes().to_vec(), key.clone()];
        args.extend(words[1..].iter().map(|word| word.as_bytes().to_vec()));
        (request(&args), Want::Echo(key))
    }
}

fn request(args: &[Vec<u8>]) -> Vec<u8> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    redis::request(&args)
}
