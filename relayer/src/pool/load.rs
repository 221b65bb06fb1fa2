//! How busy and how fast an endpoint is.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Moment;

/// What an endpoint's latency is worth less by half after: one that was slow is tried again.
const HALF_LIFE: Moment = 10_000_000_000;
/// The newest latency counts for one in so many.
const WEIGHT: u64 = 8;

#[derive(Debug, Default)]
pub(super) struct Load {
    in_flight: AtomicU32,
    /// Nanoseconds, a moving average; 0 for not known. Two answers at once may lose one of them, which does no harm.
    latency: AtomicU64,
    /// When the last answer came.
    answered_at: AtomicU64,
}

impl Load {
    pub fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Average of the recent answers; nothing before the first.
    pub fn latency(&self) -> Option<Duration> {
        let nanos = self.latency.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn answered(&self, latency: u64, now: Moment) {
        let latency = latency.max(1);
        let known = self.latency.load(Ordering::Relaxed);
        let is_old = now.saturating_sub(self.answered_at.load(Ordering::Relaxed)) >= HALF_LIFE;
        let average = if known == 0 || is_old {
            latency
        } else {
            (known - known / WEIGHT + latency / WEIGHT).max(1)
        };
        self.latency.store(average, Ordering::Relaxed);
        self.answered_at.store(now, Ordering::Relaxed);
    }

    /// What one more relay has to expect, in nanoseconds. An endpoint not known yet costs nothing for the first
    /// relay, and until that is answered more than any other.
    pub fn cost(&self, now: Moment) -> u64 {
        let waiting = u64::from(self.in_flight.load(Ordering::Relaxed));
        match self.latency.load(Ordering::Relaxed) {
            0 if waiting == 0 => 0,
            0 => (1 << 62) + waiting,
            latency => {
                let age = now.saturating_sub(self.answered_at.load(Ordering::Relaxed));
                let halvings = (age / HALF_LIFE).min(63);
                (latency >> halvings).max(1).saturating_mul(waiting + 1).min(1 << 62)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_and_less_busy_endpoint_costs_less() {
        let (fast, slow) = (Load::default(), Load::default());
        fast.answered(100, 1);
        slow.answered(1000, 1);
        assert!(fast.cost(2) < slow.cost(2));
        for _ in 0..10 {
            fast.enter();
        }
        assert!(fast.cost(2) > slow.cost(2));
        for _ in 0..10 {
            fast.leave();
        }
        assert!(fast.cost(2) < slow.cost(2));
    }

    #[test]
    fn unknown_endpoint_gets_one_relay_at_first() {
        let (unknown, known) = (Load::default(), Load::default());
        known.answered(1000, 1);
        assert!(unknown.cost(2) < known.cost(2));
        unknown.enter();
        assert!(unknown.cost(2) > known.cost(2));
    }

    #[test]
    fn slow_endpoint_becomes_cheaper_with_time_and_is_then_judged_anew() {
        let load = Load::default();
        load.answered(1 << 20, 0);
        assert_eq!(load.cost(0), 1 << 20);
        assert_eq!(load.cost(3 * HALF_LIFE), 1 << 17);
        assert_eq!(load.cost(Moment::MAX), 1);
        load.answered(77, 3 * HALF_LIFE);
        assert_eq!(load.cost(3 * HALF_LIFE), 77);
    }

    #[test]
    fn one_slow_answer_does_not_make_an_endpoint_slow() {
        let load = Load::default();
        load.answered(800, 0);
        load.answered(8800, 1);
        assert_eq!(load.cost(1), 1800);
    }
}
