//! Where the keys of a pool live, for operators: before a change they can compare it with where
//! their keys really are.
//!
//! It asks the same router as the proxy, so there is nothing it could get wrong on its own. All
//! servers are taken to be live: where keys go while one is ejected is not told.

use std::io::{self, BufRead, ErrorKind, Write};

use crate::config::{Address, Config, Pool, Server};
use crate::proxy::router;
use crate::route::Distribution;

/// Why keys could not be explained.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ExplainError {
    #[error("no pool is named {name:?}; there are {known}")]
    UnknownPool { name: String, known: String },
    /// Each request draws its server anew.
    #[error("pool {0:?}: with the distribution random a key has no server of its own")]
    Random(String),
    #[error("cannot read keys: {0}")]
    Read(io::Error),
    #[error("cannot write: {0}")]
    Write(io::Error),
}

/// Reads keys, each ended by a line feed, and writes one line for each: the name of its server, the
/// server's address and the key as it was read, with tabs between them.
///
/// When nobody wants to read the rest, that is an end like any other.
///
/// # Errors
/// The pool is unknown or random, or the keys cannot be read or the lines not be written.
pub fn explain_keys(
    config: &Config,
    pool: &str,
    keys: impl BufRead,
    lines: impl Write,
) -> Result<(), ExplainError> {
    let pool = find(config, pool)?;
    match explain(pool, keys, lines) {
        Err(ExplainError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Pool, ExplainError> {
    let found = config.pools.iter().find(|pool| pool.name == name);
    let pool = found.ok_or_else(|| {
        let names = config.pools.iter().map(|pool| format!("{:?}", pool.name));
        ExplainError::UnknownPool {
            name: name.to_owned(),
            known: names.collect::<Vec<_>>().join(", "),
        }
    })?;
    match pool.distribution {
        Distribution::Random => Err(ExplainError::Random(pool.name.clone())),
        Distribution::Ketama | Distribution::Modula => Ok(pool),
    }
}

fn explain(pool: &Pool, keys: impl BufRead, mut lines: impl Write) -> Result<(), ExplainError> {
    let live = vec![true; pool.servers.len()];
    let router = router(pool, &live);
    for key in keys.split(b'\n') {
        let key = key.map_err(ExplainError::Read)?;
        let index = router.pick(&key, 0).expect("all servers are live");
        let server = &pool.servers[index.index()];
        line(&mut lines, server, &key).map_err(ExplainError::Write)?;
    }
    lines.flush().map_err(ExplainError::Write)
}

fn line(lines: &mut impl Write, server: &Server, key: &[u8]) -> io::Result<()> {
    match &server.address {
        Address::Tcp { host, port } => write!(lines, "{}\t{host}:{port}\t", server.name)?,
        Address::Unix(path) => write!(lines, "{}\t{}\t", server.name, path.display())?,
    }
    lines.write_all(key)?;
    lines.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
alpha:
  listen: 127.0.0.1:1
  hash: md5
  hash_tag: \"{}\"
  servers:
   - 10.0.0.1:6379:1 a
   - 10.0.0.2:6379:1 b
   - /run/c.sock:1
dice:
  listen: 127.0.0.1:2
  distribution: random
  servers:
   - 10.0.0.1:6379:1
";

    fn explained(pool: &str, keys: &[u8]) -> Result<String, ExplainError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), CONFIG).expect("it can be written");
        let config = crate::config::load(file.path()).expect("a good configuration");
        let mut lines = Vec::new();
        explain_keys(&config, pool, keys, &mut lines)
            .map(|()| String::from_utf8(lines).expect("text"))
    }

    #[test]
    fn each_key_is_told_with_its_server() {
        let text = explained("alpha", b"one\ntwo\n\nx{one}\tz\r\nlast").expect("good");
        let lines: Vec<Vec<&str>> = text
            .split_terminator('\n')
            .map(|line| line.splitn(3, '\t').collect())
            .collect();
        let keys: Vec<&str> = lines.iter().map(|line| line[2]).collect();
        assert_eq!(keys, ["one", "two", "", "x{one}\tz\r", "last"]);
        assert_eq!(lines[0][..2], lines[3][..2], "they share a tag");
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        let text = explained("alpha", many.as_bytes()).expect("good");
        for server in [
            "a\t10.0.0.1:6379\t",
            "b\t10.0.0.2:6379\t",
            "/run/c.sock:\t/run/c.sock\t",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(server)),
                "{server}"
            );
        }
        assert_eq!(explained("alpha", b"").expect("good"), "");
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        assert_eq!(
            explained("beta", b"").expect_err("unknown").to_string(),
            "no pool is named \"beta\"; there are \"dice\", \"alpha\""
        );
        assert_eq!(
            explained("dice", b"").expect_err("random").to_string(),
            "pool \"dice\": with the distribution random a key has no server of its own"
        );
    }
}
