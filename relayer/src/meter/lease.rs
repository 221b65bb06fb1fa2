//! How much is leased at a time: about what a second needs, and nothing for who needs nothing.

use std::time::Instant;

/// Fewest relays that a lease is asked for.
const SMALLEST: i64 = 16;
/// Most relays that a lease is asked for.
const LARGEST: i64 = 1 << 16;
/// After so many ticks without a relay, all of a lease goes back.
const IDLE_TICKS: u32 = 10;

/// How fast an account is used, as the ledger sees it. A tick is half a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Relays that a lease should be for: those of about two ticks.
    target: i64,
    /// Free relays when last looked.
    last: i64,
    /// Relays taken since the last tick.
    used: i64,
    idle_ticks: u32,
    /// When Redis last answered.
    pub visited: Option<Instant>,
    /// The limit was computed anew since.
    pub has_new_terms: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            target: SMALLEST,
            last: 0,
            used: 0,
            idle_ticks: 0,
            visited: None,
            has_new_terms: false,
        }
    }
}

impl Pace {
    /// Takes note of what was used up to now. A charge that came back is a relay less.
    fn look(&mut self, free: i64) {
        self.used += self.last - free;
        self.last = free;
    }

    /// `free` changed by the ledger's own hand.
    pub fn changed(&mut self, by: i64) {
        self.last += by;
    }

    /// Somebody ran low before the tick: how many relays to ask for.
    pub fn wants(&mut self, free: i64) -> u64 {
        self.look(free);
        self.idle_ticks = 0;
        // What was used in less than a tick will be used again in it.
        self.target = self.target.max(2 * self.used).min(LARGEST);
        u64::try_from(self.target - free.max(0)).unwrap_or(0)
    }

    /// A tick is over: how many relays to give back.
    pub fn tick(&mut self, free: i64) -> i64 {
        self.look(free);
        let used = std::mem::take(&mut self.used);
        self.idle_ticks = if used == 0 {
            self.idle_ticks.saturating_add(1)
        } else {
            0
        };
        self.target = (2 * used).max(self.target / 2).clamp(SMALLEST, LARGEST);
        if self.idle_ticks >= IDLE_TICKS {
            free.max(0)
        } else if free > 2 * self.target {
            free - self.target
        } else {
            0
        }
    }

    /// At so many free relays the next lease is asked for.
    pub fn low_water(&self) -> i64 {
        self.target / 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lease_grows_with_use_and_shrinks_after_it() {
        let mut pace = Pace::default();
        assert_eq!(pace.wants(0), 16);
        pace.changed(16);
        assert_eq!(pace.wants(0), 32);
        pace.changed(32);
        // 48 relays in a tick: two ticks' worth from now on.
        assert_eq!(pace.wants(0), 96);
        pace.changed(96);
        assert_eq!(pace.tick(96), 0);
        assert_eq!(pace.low_water(), 48);
        assert_eq!(pace.tick(96), 0);
        // Half a second without a relay: half the lease.
        assert_eq!(pace.tick(96), 72);
    }

    #[test]
    fn idle_account_gives_all_back() {
        let mut pace = Pace::default();
        pace.changed(16);
        let given: Vec<i64> = (0..10).map(|_| pace.tick(16)).collect();
        assert_eq!(given, [0, 0, 0, 0, 0, 0, 0, 0, 0, 16]);
    }

    proptest! {
        #[test]
        fn no_more_is_held_than_two_seconds_of_the_busiest_tick(uses in prop::collection::vec(0i64..10_000, 1..40)) {
            let (mut pace, mut free, mut busiest) = (Pace::default(), 0i64, 0i64);
            for wanted in uses {
                let mut left = wanted;
                while left > 0 {
                    if free <= pace.low_water() {
                        let grant = pace.wants(free) as i64;
                        pace.changed(grant);
                        free += grant;
                    }
                    let some = left.min((free - pace.low_water()).max(1));
                    free -= some;
                    left -= some;
                }
                busiest = busiest.max(wanted);
                let back = pace.tick(free);
                prop_assert!((0..=free).contains(&back));
                pace.changed(-back);
                free -= back;
                prop_assert!(free <= 4 * busiest.max(SMALLEST));
            }
        }
    }
}
