use serde::{Deserialize, Serialize};

use crate::common::rounded;

/// How long something took, in milliseconds: half, nine tenths and all but a hundredth took no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

/// A histogram: how many observations were at most as large as each bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bound and cumulative count, bounds ascending.
    below: Vec<(f64, u64)>,
    /// All observations, those above the last bound too.
    count: u64,
}

impl Buckets {
    /// Cumulative counts by upper bound, ascending, and the count of all.
    pub fn new(below: impl IntoIterator<Item = (f64, u64)>, count: u64) -> Self {
        let finite = below.into_iter().filter(|(bound, _)| bound.is_finite());
        Self {
            below: finite.collect(),
            count,
        }
    }

    /// Adds the observations of another histogram with the same bounds.
    pub fn add(&mut self, other: &Self) {
        if self.below.is_empty() {
            self.below.clone_from(&other.below);
        } else {
            for (own, other) in self.below.iter_mut().zip(&other.below) {
                own.1 += other.1;
            }
        }
        self.count += other.count;
    }

    /// What was observed since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier
            .below
            .iter()
            .map(|(_, count)| *count)
            .chain(std::iter::repeat(0));
        let grown = |((bound, count), before): (&(f64, u64), u64)| (*bound, count.saturating_sub(before));
        Self {
            below: self.below.iter().zip(before).map(grown).collect(),
            count: self.count.saturating_sub(earlier.count),
        }
    }

    /// The three quantiles of observations in seconds; nothing where there are none.
    pub fn latency(&self) -> Option<Latency> {
        let ms = |quantile| Some(rounded(self.quantile(quantile)? * 1000.0));
        Some(Latency {
            p50_ms: ms(0.5)?,
            p90_ms: ms(0.9)?,
            p99_ms: ms(0.99)?,
        })
    }

    /// By proportion within its bucket, as Prometheus has it; what lies above the last bound counts as that.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = quantile * self.count as f64;
        let (mut lower, mut fewer) = (0.0, 0);
        for &(bound, count) in &self.below {
            if count as f64 >= rank && count > fewer {
                return Some(lower + (bound - lower) * (rank - fewer as f64) / (count - fewer) as f64);
            }
            (lower, fewer) = (bound, count);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_proportion_within_a_bucket() {
        // 90 of up to 10 ms, 10 of 10 to 20 ms.
        let buckets = Buckets::new([(0.01, 90), (0.02, 100), (f64::INFINITY, 100)], 100);
        let latency = buckets.latency().unwrap();
        assert_eq!((latency.p50_ms, latency.p90_ms, latency.p99_ms), (5.556, 10.0, 19.0));
    }

    #[test]
    fn what_is_above_all_bounds_counts_as_the_last() {
        let latency = Buckets::new([(0.01, 0), (0.5, 0)], 7).latency().unwrap();
        assert_eq!((latency.p50_ms, latency.p99_ms), (500.0, 500.0));
    }

    #[test]
    fn only_what_came_since_counts() {
        let earlier = Buckets::new([(0.01, 1000), (0.1, 1000)], 1000);
        let mut now = Buckets::new([(0.01, 1000), (0.1, 1004)], 1004);
        let latency = now.since(&earlier).latency().unwrap();
        assert!((10.0..=100.0).contains(&latency.p50_ms), "{latency:?}");
        now.add(&earlier);
        assert_eq!(now.count, 2004);
        assert_eq!(earlier.since(&earlier).latency(), None);
        assert_eq!(earlier.since(&Buckets::default()), earlier);
    }
}
