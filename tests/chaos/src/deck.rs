//! Which fault comes next: all kinds come equally often, in an order and with numbers that the seed alone decides.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::fault::Fault;
use crate::fleet::TWINS;
use crate::redis_server::RedisKind;

/// Kinds of faults.
const KINDS: usize = 22;
/// Those among them that end a program in order.
const STOPS: [usize; 2] = [4, 5];

/// Kinds that come in a random order, each before one comes again.
pub struct Shuffled {
    kinds: usize,
    left: Vec<usize>,
}

impl Shuffled {
    /// Kinds from 0.
    pub fn new(kinds: usize) -> Self {
        Self {
            kinds,
            left: Vec::new(),
        }
    }

    /// The next kind.
    pub fn draw(&mut self, rng: &mut StdRng) -> usize {
        if self.left.is_empty() {
            self.left = (0..self.kinds).collect();
            self.left.shuffle(rng);
        }
        self.left.pop().expect("it was filled just now")
    }
}

/// A shuffled deck of faults.
pub struct Deck {
    rng: StdRng,
    redis: RedisKind,
    stops_only: bool,
    kinds: Shuffled,
}

impl Deck {
    /// The deck of a seed, for this kind of Redis; or one that has nothing but SIGTERM.
    pub fn new(seed: u64, redis: RedisKind, stops_only: bool) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            redis,
            stops_only,
            kinds: Shuffled::new(if stops_only { STOPS.len() } else { KINDS }),
        }
    }

    /// The faults of one round, each with the part of the round after which it strikes.
    pub fn deal(&mut self) -> Vec<(f64, Fault)> {
        let count = self.rng.random_range(1..=2);
        (0..count)
            .map(|_| (self.rng.random_range(0.0..1.0), self.draw()))
            .collect()
    }

    fn draw(&mut self) -> Fault {
        let kind = self.kinds.draw(&mut self.rng);
        let kind = if self.stops_only { STOPS[kind] } else { kind };
        let twin = self.rng.random_range(0..TWINS);
        match kind {
            0 => Fault::KillMiner(twin, self.time(0..1500), None),
            1 => Fault::KillMiner(twin, self.time(0..500), Some(self.rng.random())),
            2 => Fault::KillRelayer(twin, self.time(0..1000)),
            3 => Fault::KillRedis(twin, self.time(0..3000)),
            4 => Fault::StopMiner(twin, self.time(0..500)),
            5 => Fault::StopRelayer(twin, self.time(0..500)),
            6 => Fault::PauseMiner(twin, self.time(200..6000)),
            7 => Fault::PauseRelayer(twin, self.time(200..3500)),
            8 => Fault::PauseRedis(twin, self.time(100..3500)),
            // Between servers that take each other's place there is no connection to break.
            9 | 10 if self.redis != RedisKind::Single => Fault::FailOver(twin),
            11 | 12 if self.redis != RedisKind::Single => Fault::KillRedis(twin, self.time(0..1000)),
            9 => Fault::CutRedis,
            10 => Fault::ShutRedis(self.time(100..6500)),
            11 => Fault::FreezeRedis(self.time(100..6500)),
            12 => Fault::DelayRedis(self.time(10..400), self.time(500..3000)),
            13 => Fault::CutChain,
            14 => Fault::ShutChain(self.time(100..4000)),
            15 => Fault::FreezeChain(self.time(100..4000)),
            16 => Fault::DelayChain(self.time(10..400), self.time(500..3000)),
            17 => Fault::StopBlocks(self.time(200..3000)),
            18 => Fault::BurstBlocks(self.rng.random_range(2..=8)),
            19 => Fault::RefuseTransactions(self.rng.random_range(1..=6)),
            20 if self.rng.random() => Fault::ShutNode(twin, self.time(500..8000)),
            20 => Fault::FreezeNode(twin, self.time(500..8000)),
            _ if self.rng.random() => Fault::ForceClaimErrors(twin, self.time(1000..4000)),
            _ => Fault::ForceProofErrors(twin, self.time(1000..4000)),
        }
    }

    fn time(&mut self, milliseconds: Range<u64>) -> Duration {
        time(&mut self.rng, milliseconds)
    }
}

/// A random time.
pub fn time(rng: &mut StdRng, milliseconds: Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_decides_the_faults() {
        let deal = |seed| {
            let mut deck = Deck::new(seed, RedisKind::Single, false);
            (0..50).flat_map(|_| deck.deal()).collect::<Vec<_>>()
        };
        assert_eq!(deal(7), deal(7));
        assert_ne!(deal(7), deal(8));
    }

    #[test]
    fn orderly_deck_has_nothing_but_stops() {
        let mut deck = Deck::new(1, RedisKind::Single, true);
        let is_stop = |fault: &Fault| matches!(fault, Fault::StopMiner(..) | Fault::StopRelayer(..));
        assert!((0..20).all(|_| is_stop(&deck.draw())));
    }

    #[test]
    fn every_kind_comes_before_one_comes_again() {
        let mut deck = Deck::new(1, RedisKind::Single, false);
        let kinds: Vec<_> = (0..KINDS).map(|_| std::mem::discriminant(&deck.draw())).collect();
        let distinct = kinds.iter().collect::<std::collections::HashSet<_>>().len();
        // A miner is killed twice, under its name and under another; forced errors are claims' or proofs'.
        assert_eq!(distinct, KINDS - 1);
    }
}
