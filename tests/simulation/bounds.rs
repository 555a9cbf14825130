//! Requests beyond the limits of a pool that has small ones: keys, values and arguments.
//!
//! Each is answered with an error that says how much it was and how much may be. Nothing of it reaches a
//! server, and since it is known where it ends, the connection stays and what stands behind it is served.

use std::sync::Arc;

use nutcrab::protocol::Limits;

use crate::client::Client;
use crate::draw::Draw;
use crate::judging::Want;
use crate::network::End;
use crate::plan::PoolPlan;
use crate::plant::Plant;
use crate::redis;
use crate::scene::Scene;
use crate::value::Shape;

/// Counted when a client was told of a limit.
pub const BEYOND: &str = "requests beyond a limit";

/// Limits that nothing else goes beyond.
pub fn small(draw: &mut Draw, usual: &Limits) -> Limits {
    Limits {
        key: draw.pick(&[600, 5000]),
        bulk: draw.pick(&[130_000, 200_000]),
        args: draw.pick(&[100, 500]),
        ..*usual
    }
}

/// That something was too long, or too much.
fn told(text: String) -> Want {
    Want::Bytes(format!("-ERR {text}\r\n").into_bytes())
}

impl PoolPlan {
    /// Gives the pool small limits, and clients that go beyond them so often.
    pub(crate) fn narrow(&mut self, draw: &mut Draw, share: u32) {
        self.beyond = share;
        let config = Arc::make_mut(&mut self.config);
        config.limits = small(draw, config.protocol.limits());
    }

    /// Gives it the usual limits.
    pub(crate) fn unbound(&mut self) {
        self.beyond = 0;
        let config = Arc::make_mut(&mut self.config);
        config.limits = *config.protocol.limits();
    }
}

impl Client {
    /// A request beyond a limit, now and then, where limits are small.
    pub(crate) fn compose_beyond(
        &mut self,
        scene: &mut Scene,
        seq: u32,
    ) -> Option<(Vec<u8>, Want)> {
        let pool = &scene.plan.pools[self.pool];
        if pool.beyond == 0 || !self.draw.permille(pool.beyond) {
            return None;
        }
        let limits = pool.config.limits;
        scene.ledger.forbid(self.conn, seq);
        let key = self.echo(seq, 0, Shape::Value, 10);
        let asked = match self.draw.below(4) {
            0 => {
                let value = vec![b'v'; limits.bulk as usize + self.draw.within(1, 20_000)];
                let told = told(format!(
                    "value too long: {} bytes, value_limit is {}",
                    value.len(),
                    limits.bulk
                ));
                (redis::request(&[b"SET", &key, &value]), told)
            }
            1 => {
                let mut args = vec![&b"MGET"[..]];
                args.resize(limits.args as usize + self.draw.within(1, 50), &key);
                let told = told(format!(
                    "too many arguments: {}, argument_limit is {}",
                    args.len(),
                    limits.args
                ));
                (redis::request(&args), told)
            }
            choice => {
                let long = self.long_key(scene, &key);
                let told = told(format!(
                    "key too long: {} bytes, key_limit is {}",
                    long.len(),
                    limits.key
                ));
                let request: &[&[u8]] = match choice {
                    2 => &[b"GET", &long],
                    _ => &[b"MGET", &key, &long],
                };
                (redis::request(request), told)
            }
        };
        scene.ledger.count(BEYOND);
        if scene.strikes(Plant::CutBeyond) {
            let end = (self.wire, End::Called);
            scene.net.reset(scene.now, &mut scene.agenda, end);
        }
        Some(asked)
    }

    /// A key that is too long.
    pub(crate) fn long_key(&mut self, scene: &Scene, key: &[u8]) -> Vec<u8> {
        let limits = scene.plan.pools[self.pool].config.limits;
        let mut long = key.to_vec();
        long.resize(limits.key + self.draw.within(1, 3000), b'k');
        long
    }
}
