//! Relay mining difficulty and how it follows the number of relays (spec `claims-and-proofs.md` §7.2).

use std::collections::BTreeMap;

use bytes::Bytes;
use pocket_proto::pocket::service::RelayMiningDifficulty;
use pocket_protocol::difficulty::{BASE_TARGET, next_target};

use crate::chain::event::Event;

/// Difficulties by service and by the height from which they hold.
#[derive(Clone, Debug)]
pub struct Difficulties {
    target_relays: u64,
    history: BTreeMap<String, BTreeMap<i64, RelayMiningDifficulty>>,
}

impl Difficulties {
    /// The difficulties of genesis; `target_relays` is what mining aims at.
    pub fn new(target_relays: u64, given: &[RelayMiningDifficulty]) -> Self {
        let mut history: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
        for difficulty in given {
            let service = history.entry(difficulty.service_id.clone()).or_default();
            service.insert(difficulty.block_height, difficulty.clone());
        }
        Self { target_relays, history }
    }

    /// What holds at a height; everything is mined where nothing is known.
    pub fn at(&self, service: &str, height: i64) -> RelayMiningDifficulty {
        let history = self.history.get(service);
        let entry = history.and_then(|history| history.range(..=height).next_back());
        entry.map_or_else(
            || RelayMiningDifficulty {
                service_id: service.to_owned(),
                block_height: 0,
                num_relays_ema: self.target_relays,
                target_hash: Bytes::copy_from_slice(&BASE_TARGET),
            },
            |(_, difficulty)| difficulty.clone(),
        )
    }

    /// Takes in the relays that were settled at `height`; what follows holds from `next_start` on.
    pub fn update(&mut self, height: i64, next_start: i64, relays: &BTreeMap<String, u64>) -> Vec<Event> {
        relays
            .iter()
            .map(|(service, relays)| self.update_service(height, next_start, service, *relays))
            .collect()
    }

    fn update_service(&mut self, height: i64, next_start: i64, service: &str, relays: u64) -> Event {
        let known = self
            .history
            .get(service)
            .and_then(|history| history.values().next_back())
            .cloned();
        let former = known.unwrap_or_else(|| self.difficulty(service, height, relays));
        let average = moving_average(former.num_relays_ema, relays);
        let next = self.difficulty(service, next_start, average);
        let event = Event::new("pocket.service.EventRelayMiningDifficultyUpdated")
            .with("service_id", service)
            .with("prev_target_hash_hex_encoded", hex::encode(&former.target_hash))
            .with("new_target_hash_hex_encoded", hex::encode(&next.target_hash))
            .with_integer("prev_num_relays_ema", former.num_relays_ema)
            .with_integer("new_num_relays_ema", next.num_relays_ema);
        let history = self.history.entry(service.to_owned()).or_default();
        if history.is_empty() {
            history.insert(height, former);
        }
        history.insert(next_start, next);
        event
    }

    fn difficulty(&self, service: &str, height: i64, average: u64) -> RelayMiningDifficulty {
        RelayMiningDifficulty {
            service_id: service.to_owned(),
            block_height: height,
            num_relays_ema: average,
            target_hash: Bytes::copy_from_slice(&next_target(self.target_relays, average)),
        }
    }
}

/// `0.1 * relays + 0.9 * former`, rounded as the chain's floating point of 64 bits precision rounds it, then cut.
fn moving_average(former: u64, relays: u64) -> u64 {
    // The double nearest to 0.1 is ALPHA / 2^55.
    const ALPHA: u128 = 3_602_879_701_896_397;
    const ONE: u128 = 1 << 55;
    let new = round_to_64_bits(ALPHA * u128::from(relays));
    let old = round_to_64_bits((ONE - ALPHA) * u128::from(former));
    u64::try_from(round_to_64_bits(new + old) >> 55).unwrap_or(u64::MAX)
}

/// The nearest number with at most 64 significant bits, ties to even.
fn round_to_64_bits(value: u128) -> u128 {
    let excess = 64_u32.saturating_sub(value.leading_zeros());
    if excess == 0 {
        return value;
    }
    let (kept, rest, half) = (value >> excess, value & ((1 << excess) - 1), 1 << (excess - 1));
    let up = rest > half || (rest == half && kept & 1 == 1);
    (kept + u128::from(up)) << excess
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("svc".to_owned(), count)])
    }

    #[test]
    fn unknown_service_has_the_base_target() {
        let difficulty = Difficulties::new(100, &[]).at("svc", 5);
        assert_eq!(difficulty.target_hash[..], BASE_TARGET);
        assert_eq!((difficulty.block_height, difficulty.num_relays_ema), (0, 100));
    }

    #[test]
    fn update_holds_from_the_next_session_on() {
        let mut difficulties = Difficulties::new(100, &[]);
        difficulties.update(20, 21, &relays(1000));
        assert_eq!(difficulties.at("svc", 19).target_hash[..], BASE_TARGET);
        // The first update initialises the average with what it saw.
        assert_eq!(difficulties.at("svc", 20).num_relays_ema, 1000);
        assert_eq!(difficulties.at("svc", 21).block_height, 21);
        difficulties.update(30, 31, &relays(2000));
        assert_eq!(difficulties.at("svc", 30).block_height, 21);
        let average = difficulties.at("svc", 31).num_relays_ema;
        assert!((1099..=1100).contains(&average), "{average}");
    }

    #[test]
    fn rounding_is_to_even() {
        assert_eq!(round_to_64_bits(u128::from(u64::MAX)), u128::from(u64::MAX));
        assert_eq!(round_to_64_bits((1 << 64) + 1), 1 << 64);
        assert_eq!(round_to_64_bits((1 << 64) + 3), (1 << 64) + 4);
        assert_eq!(round_to_64_bits(u128::MAX >> 1), 1 << 127);
    }
}
