//! What a model server does instead of giving a reply, when a fault has it do so.

use nutcrab::protocol::Protocol;

use crate::binary;
use crate::ledger::Fault;
use crate::network::End;
use crate::redis::Version;
use crate::scene::{Phase, Scene};
use crate::server::{Conn, Server};

impl Server {
    /// Refuses a request, which begins at `start`, before it is whole.
    pub(crate) fn answer_early(&mut self, scene: &mut Scene, conn: &mut Conn, start: usize) {
        let ready = conn.authed && conn.selected && scene.phase == Phase::Faults;
        if ready && scene.plan.has(Fault::Early) && self.draw.one_in(4) {
            scene
                .ledger
                .strike(scene.now, self.pool, Fault::Early, scene.now);
            conn.answered_early = true;
            let reply = match conn.protocol {
                Protocol::Redis => b"-ERR early\r\n".to_vec(),
                Protocol::Memcache => b"SERVER_ERROR early\r\n".to_vec(),
                Protocol::Binary => binary::error(&conn.input[start..], b"early"),
            };
            conn.batch.push((None, reply));
        }
    }

    /// Whether a fault strikes here.
    pub(crate) fn misbehaves(&mut self, scene: &Scene, fault: Fault) -> bool {
        scene.phase == Phase::Faults
            && scene.plan.has(fault)
            && self.draw.permille(scene.plan.reply_faults * 3)
    }

    /// What cannot be the reply to a request that has this one, though it is a reply to another.
    pub(crate) fn foreign(
        &mut self,
        conn: &Conn,
        args: &[Vec<u8>],
        reply: &[u8],
    ) -> Option<Vec<u8>> {
        let name = args.first()?.to_ascii_lowercase();
        let choices: &[&[u8]] = match (conn.protocol, name.as_slice(), reply.first()?) {
            (_, _, b'-') => return None,
            (Protocol::Redis, b"get", _) => &[b":7\r\n", b"+OK\r\n", b"*1\r\n$5\r\nother\r\n"],
            (Protocol::Redis, b"set", _) => &[b":1\r\n", b"*0\r\n"],
            (Protocol::Redis, b"incr" | b"del", _) => &[b"$5\r\nother\r\n", b"+OK\r\n"],
            (Protocol::Redis, ..) => return None,
            (Protocol::Memcache, b"get" | b"gets" | b"gat" | b"gats", _) => &[
                b"VALUE e:0:0:0:V:9:1: 0 5\r\nother\r\nEND\r\n",
                b"STORED\r\n",
                b"STAT a 1\r\n",
                b"VA 5\r\nother\r\n",
            ],
            (Protocol::Memcache, b"set" | b"add" | b"delete" | b"incr", _) => &[
                b"END\r\n",
                b"VALUE e:0:0:0:V:9:1: 0 5\r\nother\r\nEND\r\n",
                b"OK\r\n",
                b"TOUCHED\r\n",
            ],
            (Protocol::Memcache, b"stats", _) => &[b"OK\r\n", b"STORED\r\n"],
            (Protocol::Memcache, ..) => return None,
            (Protocol::Binary, ..) => {
                let mut other = reply.to_vec();
                // Opcode, or the last byte of the opaque.
                let place = self.draw.pick(&[1, 15]);
                *other.get_mut(place)? ^= 0x40;
                return Some(other);
            }
        };
        Some(self.draw.pick(choices).to_vec())
    }

    /// Gives a reply, or does what a fault has it do instead. Says whether the connection lives.
    pub(crate) fn give(
        &mut self,
        scene: &mut Scene,
        conn: &mut Conn,
        asker: Option<u32>,
        reply: Vec<u8>,
    ) -> bool {
        const CHOICES: [Fault; 6] = [
            Fault::Mute,
            Fault::Delay,
            Fault::Truncate,
            Fault::Garbage,
            Fault::Eof,
            Fault::Reset,
        ];
        let fault = (scene.phase == Phase::Faults && self.draw.permille(scene.plan.reply_faults))
            .then(|| self.draw.pick(&CHOICES))
            .filter(|fault| scene.plan.has(*fault));
        let Some(fault) = fault else {
            conn.batch.push((asker, reply));
            return true;
        };
        scene.ledger.begin(scene.now, self.pool, fault);
        conn.open.push(fault);
        match fault {
            Fault::Mute => conn.mute = true,
            Fault::Delay => {
                conn.batch.push((asker, reply));
                conn.busy_until = scene.now + self.draw.micros(50_000, 1_500_000);
            }
            Fault::Truncate => {
                let kept = self.draw.below(reply.len().max(1));
                conn.batch.push((None, reply[..kept].to_vec()));
                self.stop(conn);
            }
            Fault::Garbage => {
                // In RESP3 the last would be what nobody has to listen to.
                const GARBAGE: [&[u8]; 9] = [
                    b"!oops\r\n",
                    b"$-5\r\n",
                    b"\0\0\0",
                    b"HTTP/1.1 400 Bad Request\r\n",
                    b"*99999999999999\r\n",
                    b"$5\r\nabcdefg\r\n",
                    b"+OK\n+OK\n",
                    b":1.5\r\n",
                    b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n",
                ];
                const LINES: [&[u8]; 8] = [
                    b"!oops\r\n",
                    b"VALUE a 0 -1\r\n",
                    b"\0\0\0",
                    b"+OK\r\n",
                    b"STORED\nSTORED\n",
                    b"VALUE a 0 3\r\nabcdefg\r\n",
                    b"VALUE a\r\n",
                    b"stored\r\n",
                ];
                let garbage = match conn.protocol {
                    Protocol::Redis => {
                        let modern = conn.version == Version::Three;
                        let choices = &GARBAGE[..GARBAGE.len() - usize::from(modern)];
                        self.draw.pick(choices).to_vec()
                    }
                    Protocol::Memcache => self.draw.pick(&LINES).to_vec(),
                    Protocol::Binary => {
                        let garbage = binary::garbage();
                        garbage[self.draw.below(garbage.len())].clone()
                    }
                };
                conn.batch.push((None, garbage));
                self.stop(conn);
            }
            Fault::Eof => conn.closing = true,
            _ => {
                scene
                    .net
                    .reset(scene.now, &mut scene.agenda, (conn.wire, End::Called));
                return false;
            }
        }
        true
    }

    /// After this nothing comes from the connection.
    fn stop(&mut self, conn: &mut Conn) {
        if self.draw.one_in(2) {
            conn.closing = true;
        } else {
            conn.mute = true;
        }
    }
}
