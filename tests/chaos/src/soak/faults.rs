//! What is killed or paused next.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::deck::{Shuffled, time};
use crate::fault::Fault;
use crate::fleet::TWINS;

/// Kinds of faults; kills come more often than pauses.
const KINDS: usize = 9;

/// Draws faults, in an order and with numbers that the seed alone decides.
pub struct Hand {
    rng: StdRng,
    kinds: Shuffled,
}

impl Hand {
    /// The hand of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            kinds: Shuffled::new(KINDS),
        }
    }

    /// The next fault.
    pub fn draw(&mut self) -> Fault {
        let kind = self.kinds.draw(&mut self.rng);
        let twin = self.rng.random_range(0..TWINS);
        let rng = &mut self.rng;
        let down = |rng: &mut StdRng| -> Duration { time(rng, 0..10_000) };
        match kind {
            0 | 1 => Fault::KillMiner(twin, down(rng), None),
            2 => Fault::KillMiner(twin, down(rng), Some(rng.random())),
            3 | 4 => Fault::KillRelayer(twin, down(rng)),
            5 => Fault::KillRedis(twin, down(rng)),
            6 => Fault::PauseMiner(twin, time(rng, 1_000..20_000)),
            7 => Fault::PauseRelayer(twin, time(rng, 1_000..10_000)),
            _ => Fault::PauseRedis(twin, time(rng, 500..8_000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seed_decides_and_every_victim_comes() {
        let draw = |seed| {
            let mut hand = Hand::new(seed);
            (0..KINDS).map(|_| hand.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let victims: HashSet<_> = draw(7).iter().map(std::mem::discriminant).collect();
        assert_eq!(victims.len(), 6);
    }
}
