//! Random: every live server alike, whatever it weighs.

use super::{Candidate, ServerIndex};

/// The live servers, to draw from.
#[derive(Clone, Debug)]
pub(super) struct Uniform {
    /// Not empty.
    servers: Box<[ServerIndex]>,
}

impl Uniform {
    /// At least one server.
    pub(super) fn new(servers: &[Candidate<'_>]) -> Uniform {
        Uniform {
            servers: servers.iter().map(|server| server.index).collect(),
        }
    }

    /// Scales the draw to the number of servers, which needs no division and no second draw.
    #[inline]
    pub(super) fn pick(&self, draw: u32) -> ServerIndex {
        let place = (u64::from(draw) * self.servers.len() as u64) >> 32;
        self.servers[place as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_live_server_gets_an_equal_share_of_the_draws() {
        let live = [1, 4, 5];
        let candidates = live.map(|i| Candidate {
            name: "",
            weight: 9,
            index: ServerIndex(i),
        });
        let uniform = Uniform::new(&candidates);
        let mut counts = [0; 6];
        for step in 0..3000u32 {
            // The middle of each of 3000 equal stretches.
            let draw = (u64::from(step) * 2 + 1) * (1 << 32) / 6000;
            counts[uniform.pick(draw as u32).index()] += 1;
        }
        assert_eq!(counts, [0, 1000, 0, 0, 1000, 1000]);
        assert_eq!(uniform.pick(0), ServerIndex(1));
        assert_eq!(uniform.pick(u32::MAX), ServerIndex(5));
    }
}
