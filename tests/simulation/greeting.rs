//! How a model server is greeted: the password and the database come before anything else.

use crate::plan::PASSWORD;
use crate::redis::Version;
use crate::scene::Scene;
use crate::server::{Conn, Server};

impl Server {
    /// The reply to a greeting; `None` for all other commands, which must come after it.
    pub(crate) fn greet(
        &mut self,
        scene: &mut Scene,
        conn: &mut Conn,
        args: &[Vec<u8>],
    ) -> Option<Vec<u8>> {
        let pool = &scene.plan.pools[self.pool];
        match args.first().map(Vec::as_slice) {
            Some(b"AUTH") if pool.config.redis_auth.is_some() => {
                if !pool.guarded {
                    return Some(
                        b"-ERR AUTH <password> called without any password configured for the \
                          default user. Are you sure your configuration is correct?\r\n"
                            .to_vec(),
                    );
                }
                if self.locked || args.get(1).map(Vec::as_slice) != Some(PASSWORD) {
                    return Some(b"-WRONGPASS invalid username-password pair\r\n".to_vec());
                }
                conn.authed = true;
                Some(b"+OK\r\n".to_vec())
            }
            Some(b"HELLO") if conn.authed && args.get(1).is_some_and(|text| text == b"3") => {
                if pool.old {
                    return Some(
                        b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"
                            .to_vec(),
                    );
                }
                conn.version = Version::Three;
                Some(
                    b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
                      $5\r\nproto\r\n:3\r\n$2\r\nid\r\n:9\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
                      $4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
                        .to_vec(),
                )
            }
            Some(b"SELECT") if conn.authed && matches!(self.mood, crate::server::Mood::Busy(_)) => {
                None
            }
            Some(b"SELECT")
                if conn.authed
                    && args.get(1).is_some_and(|db| match pool.config.redis_db {
                        0 => db == b"1" || db == b"2",
                        own => db == own.to_string().as_bytes(),
                    }) =>
            {
                conn.selected = true;
                Some(b"+OK\r\n".to_vec())
            }
            _ if self.locked && !conn.authed => {
                Some(b"-NOAUTH Authentication required.\r\n".to_vec())
            }
            _ => {
                // A busy server answers these, and no SELECT.
                let words: Vec<String> = args.iter().map(|word| shown(word)).collect();
                let overtakes = matches!(
                    words.join(" ").as_str(),
                    "SCRIPT KILL" | "FUNCTION KILL" | "FUNCTION STATS" | "SHUTDOWN"
                );
                if !conn.authed || (!conn.selected && !overtakes) {
                    let text = format!("server {} was asked before the greeting", self.index);
                    scene.ledger.violate(scene.now, text);
                }
                None
            }
        }
    }
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_uppercase()
}
