//! What a model server keeps, and what executing a command of Redis comes to.

use crate::functions::Libraries;
use crate::redis::{Version, bulk, echo_bulk, echo_reply};
use crate::scanning::Page;
use crate::value::{self, Mark, Shape};
use crate::{scripts, waits};

/// What a server keeps.
#[derive(Debug, Default)]
pub struct Store {
    /// Values of owned keys.
    pub values: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    /// Counters.
    pub counters: std::collections::BTreeMap<Vec<u8>, i64>,
    /// Scripts, by what they are called.
    pub scripts: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    /// Libraries of functions.
    pub libraries: Libraries,
    /// The last one that was missed.
    pub missed: Option<Vec<u8>>,
    /// The server whose store it is.
    pub server: usize,
    /// Of values of memcached, the number that changes with each of them.
    pub uniques: std::collections::BTreeMap<Vec<u8>, u64>,
    /// The last of these numbers.
    pub last_unique: u64,
}

/// What executing a command came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The reply.
    pub reply: Vec<u8>,
    /// The parts of requests that were executed.
    pub marks: Vec<Mark>,
    /// The counter that was incremented.
    pub counted: Option<usize>,
    /// Whether this is a part of a split request, whose reply will be merged.
    pub is_fragment: bool,
    /// Whether this is what one server says of what all are asked.
    pub is_share: bool,
    /// Whether this is what a script came to that the server knew.
    pub is_scripted: bool,
    /// Whether this loads the script that was missed last.
    pub is_missed: bool,
    /// Whether scripts were forgotten.
    pub has_flushed: bool,
    /// The request, if every server must execute it.
    pub everywhere: Option<Mark>,
    /// The page of SCAN this is.
    pub page: Option<Page>,
}

impl Store {
    /// Executes a command; an error is a command the proxy should never have forwarded.
    pub fn execute(&mut self, args: &[Vec<u8>], version: Version) -> Result<Outcome, String> {
        let name = args.first().ok_or("a command without a name")?;
        let upper = name.to_ascii_uppercase();
        let mut outcome = Outcome {
            // Only the proxy writes these names in lower case.
            is_fragment: [
                &b"mget"[..],
                b"mset",
                b"del",
                b"unlink",
                b"exists",
                b"touch",
            ]
            .contains(&name.as_slice()),
            ..Outcome::default()
        };
        match upper.as_slice() {
            b"INFO" => {
                outcome.reply = match version {
                    Version::Two => echo_bulk(b"# Server\r\nredis_version:7.0.15\r\n"),
                    Version::Three => {
                        b"=36\r\ntxt:# Server\r\nredis_version:7.0.15\r\n\r\n".to_vec()
                    }
                }
            }
            b"COMMAND"
                if args
                    .get(1)
                    .is_some_and(|arg| arg.eq_ignore_ascii_case(b"INFO")) =>
            {
                let name = args.get(2).ok_or("COMMAND INFO of nothing")?;
                outcome.reply = b"*1\r\n".to_vec();
                outcome.reply.extend_from_slice(match version {
                    _ if !name.eq_ignore_ascii_case(b"sim.echo") => version.nothing(b"*-1\r\n"),
                    Version::Two => b"*6\r\n$8\r\nsim.echo\r\n:2\r\n*0\r\n:1\r\n:1\r\n:1\r\n",
                    Version::Three => b"*6\r\n$8\r\nsim.echo\r\n:2\r\n~0\r\n:1\r\n:1\r\n:1\r\n",
                });
            }
            b"MGET" => {
                outcome.reply = format!("*{}\r\n", args.len() - 1).into_bytes();
                for key in &args[1..] {
                    self.fetch(key, version, &mut outcome);
                }
            }
            b"DEL" | b"UNLINK" | b"EXISTS" | b"TOUCH" => {
                let removes = upper == b"DEL" || upper == b"UNLINK";
                let mut count = 0;
                for key in &args[1..] {
                    count += usize::from(match value::read_echo(key) {
                        Some(echo) => {
                            outcome.marks.push(echo.mark);
                            echo.shape == Shape::Value
                        }
                        None if removes => self.values.remove(key).is_some(),
                        None => self.values.contains_key(key),
                    });
                }
                outcome.reply = format!(":{count}\r\n").into_bytes();
            }
            b"SET" | b"MSET" => {
                if args.len().is_multiple_of(2) {
                    return Err("SET with half a pair".into());
                }
                for pair in args[1..].chunks(2) {
                    self.store(&pair[0], &pair[1], &mut outcome)?;
                }
                outcome.reply = b"+OK\r\n".to_vec();
            }
            b"XREAD" => {
                let key = args.get(4).ok_or("XREAD without a key")?;
                self.single(&upper, key, &[], version, &mut outcome)?;
            }
            b"EVAL" | b"EVAL_RO" if args.get(1).is_some_and(|text| text == b"return") => {
                let key = args.get(3).ok_or("EVAL without a key")?;
                self.single(&upper, key, &args[4..], version, &mut outcome)?;
            }
            b"EVAL" | b"EVAL_RO" | b"EVALSHA" | b"EVALSHA_RO" => {
                self.run(&upper, args, version, &mut outcome)?;
            }
            b"SCAN" => self.scan(args, &mut outcome)?,
            b"KEYS" => self.list(args, &mut outcome)?,
            b"SCRIPT" => self.keep_scripts(args, &mut outcome)?,
            b"WAIT" | b"WAITAOF" => waits::execute(args, self.server, &mut outcome)?,
            _ => {
                let key = args.get(1).ok_or("a command without a key")?;
                self.single(&upper, key, &args[2..], version, &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    fn run(
        &mut self,
        name: &[u8],
        args: &[Vec<u8>],
        version: Version,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let [_, text, _, key, ..] = args else {
            return Err("a script that is run for nobody".into());
        };
        let echo = value::read_echo(key).ok_or("a script that is run for no request")?;
        let body = if name.starts_with(b"EVALSHA") {
            self.scripts.get(&text.to_ascii_lowercase()).cloned()
        } else {
            self.scripts.insert(scripts::name(text), text.clone());
            Some(text.clone())
        };
        let Some(body) = body else {
            self.missed = Some(text.to_ascii_lowercase());
            outcome.reply = b"-NOSCRIPT No matching script. Please use EVAL.\r\n".to_vec();
            return Ok(());
        };
        outcome.marks.push(echo.mark);
        outcome.is_scripted = name.starts_with(b"EVALSHA");
        outcome.reply = scripts::result(&body, key, version);
        Ok(())
    }

    fn keep_scripts(&mut self, args: &[Vec<u8>], outcome: &mut Outcome) -> Result<(), String> {
        let word = args.get(1).ok_or("SCRIPT of nothing")?;
        outcome.reply = match (word.to_ascii_uppercase().as_slice(), &args[2..]) {
            (b"LOAD", [body]) => {
                let name = scripts::name(body);
                outcome.is_missed = self.missed.take_if(|missed| *missed == name).is_some();
                self.scripts.insert(name.clone(), body.clone());
                echo_bulk(&name)
            }
            (b"EXISTS", names) => {
                let mut reply = format!("*{}\r\n", names.len());
                for name in names {
                    let found = self.scripts.contains_key(&name.to_ascii_lowercase());
                    reply += &format!(":{}\r\n", u8::from(found));
                }
                reply.into_bytes()
            }
            (b"FLUSH", []) => {
                self.scripts.clear();
                outcome.has_flushed = true;
                b"+OK\r\n".to_vec()
            }
            _ => return Err(format!("SCRIPT {}", String::from_utf8_lossy(word))),
        };
        Ok(())
    }

    fn single(
        &mut self,
        name: &[u8],
        key: &[u8],
        rest: &[Vec<u8>],
        version: Version,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        if name == b"INCR" {
            let (number, count) = self.increment(key);
            outcome.counted = number;
            outcome.reply = format!(":{count}\r\n").into_bytes();
            return Ok(());
        }
        let Some(echo) = value::read_echo(key) else {
            if name == b"GET" {
                self.fetch(key, version, outcome);
                return Ok(());
            }
            let key = String::from_utf8_lossy(key);
            return Err(format!("{} of {key}", String::from_utf8_lossy(name)));
        };
        if name == b"APPEND" || name == b"RPUSH" {
            for value in rest {
                if value::check(key, value).is_none() {
                    return Err(format!(
                        "a spoilt argument of {}",
                        String::from_utf8_lossy(key)
                    ));
                }
            }
        }
        outcome.marks.push(echo.mark);
        outcome.reply = echo_reply(key, echo, version);
        Ok(())
    }

    /// Increments a counter; gives its number among the pool's, and its value.
    pub fn increment(&mut self, key: &[u8]) -> (Option<usize>, i64) {
        let count = self.counters.entry(key.to_vec()).or_default();
        *count += 1;
        let text = key.rsplit(|&byte| byte == b':').next();
        let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        (number, *count)
    }

    fn fetch(&mut self, key: &[u8], version: Version, outcome: &mut Outcome) {
        match (value::read_echo(key), self.values.get(key)) {
            (Some(echo), _) => {
                outcome.marks.push(echo.mark);
                outcome.reply.extend(echo_reply(key, echo, version));
            }
            (None, Some(value)) => bulk(&mut outcome.reply, value),
            (None, None) => outcome.reply.extend_from_slice(version.nothing(b"$-1\r\n")),
        }
    }

    fn store(&mut self, key: &[u8], value: &[u8], outcome: &mut Outcome) -> Result<(), String> {
        let Some(mark) = value::check(key, value) else {
            return Err(format!(
                "a spoilt value of {}",
                String::from_utf8_lossy(key)
            ));
        };
        outcome.marks.push(mark);
        self.values.insert(key.to_vec(), value.to_vec());
        Ok(())
    }
}
