//! How many messages a socket may send.

use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Lets through so many messages a second on average, and as many at once.
#[derive(Debug)]
pub(crate) struct Pace {
    /// A message's share of a second; nought when there is no limit.
    share: Duration,
    /// When all shares that were taken are paid back.
    paid_at: Instant,
}

impl Pace {
    /// `per_second` messages; `None` for no limit.
    pub fn new(per_second: Option<u32>, now: Instant) -> Self {
        Self {
            share: per_second.map_or(Duration::ZERO, |count| SECOND / count.max(1)),
            paid_at: now,
        }
    }

    /// Whether a message may come now; if so, it counts.
    pub fn allows(&mut self, now: Instant) -> bool {
        let paid_at = self.paid_at.max(now) + self.share;
        let is_allowed = paid_at - now <= SECOND;
        if is_allowed {
            self.paid_at = paid_at;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_a_seconds_share_come_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(4), start);
        let now = |millis| start + Duration::from_millis(millis);
        assert_eq!([0; 5].map(|at| pace.allows(now(at))), [true, true, true, true, false]);
        assert!(!pace.allows(now(249)));
        assert!(pace.allows(now(250)));
        assert!(!pace.allows(now(250)));
        // A long silence saves up no more than a second's share.
        assert_eq!(
            [60_000; 5].map(|at| pace.allows(now(at))),
            [true, true, true, true, false]
        );
    }

    #[test]
    fn without_a_limit_everything_comes() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        assert!((0..10_000).all(|_| pace.allows(now)));
    }
}
