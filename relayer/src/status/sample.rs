//! The counters of relays at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use pocket_status::{Buckets, Rate, Reason, Served};
use prometheus::core::{Collector, Metric as _};
use prometheus::proto::{LabelPair, Metric};

use crate::pipeline::Pipeline;

/// Service id and RPC type, as metrics have them.
type Name = (String, String);

/// What was counted of all relays.
#[derive(Debug, Default)]
pub(super) struct Sample(BTreeMap<Name, Counts>);

/// What was counted of some relays.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    answered: u64,
    refused: BTreeMap<String, u64>,
    /// What was wrong, where that is why they were refused. Not known by type.
    invalid: BTreeMap<String, u64>,
    latency: Buckets,
}

impl Sample {
    /// As the counters stand.
    pub fn take(pipeline: &Pipeline) -> Self {
        let mut counts: BTreeMap<Name, Counts> = BTreeMap::new();
        let metrics = &pipeline.metrics;
        each(&metrics.served, |name, _, count| {
            counts.entry(name).or_default().answered += count;
        });
        each(&metrics.rejected, |name, metric, count| {
            let reason = label(metric, "reason").to_owned();
            *counts.entry(name).or_default().refused.entry(reason).or_default() += count;
        });
        each(&metrics.validation_failures, |name, metric, count| {
            let reason = label(metric, "reason").to_owned();
            *counts.entry(name).or_default().invalid.entry(reason).or_default() += count;
        });
        for service in pipeline.reception.services().iter() {
            for route in service.routes() {
                let name = (service.id.as_str().to_owned(), route.kind.as_str().to_owned());
                let observed = route.metrics.relay_latency.metric();
                let histogram = observed.get_histogram();
                let below = histogram.get_bucket().iter();
                let below = below.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
                counts.entry(name).or_default().latency = Buckets::new(below, histogram.get_sample_count());
            }
        }
        Self(counts)
    }

    /// All relays that were answered.
    pub fn answered(&self) -> u64 {
        self.0.values().map(|counts| counts.answered).sum()
    }

    /// All relays, those of services that nobody knows too.
    pub fn all(&self) -> Counts {
        Counts::sum(self.0.values())
    }

    /// Those of a service.
    pub fn service(&self, service: &str) -> Counts {
        Counts::sum(
            self.0
                .iter()
                .filter(|(name, _)| name.0 == service)
                .map(|(_, counts)| counts),
        )
    }

    /// Those of a service and type.
    pub fn route(&self, service: &str, kind: &str) -> Counts {
        let mut found = self.0.iter().filter(|(name, _)| name.0 == service && name.1 == kind);
        found.next().map(|(_, counts)| counts.clone()).unwrap_or_default()
    }
}

/// What was counted until some time ago.
pub(super) struct Before {
    pub ago: Duration,
    pub counts: Counts,
}

impl Counts {
    fn sum<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.answered += part.answered;
            sum.latency.add(&part.latency);
            for (reason, count) in &part.refused {
                *sum.refused.entry(reason.clone()).or_default() += count;
            }
            for (reason, count) in &part.invalid {
                *sum.invalid.entry(reason.clone()).or_default() += count;
            }
        }
        sum
    }

    fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// What came of the relays, and how fast, from what was counted about ten seconds and a minute ago.
    pub fn served(&self, short: &Before, long: &Before) -> Served {
        let rate = |of: fn(&Self) -> u64| {
            let grown = |before: &Before| (before.ago, of(self).saturating_sub(of(&before.counts)));
            Rate::of(grown(short), grown(long))
        };
        Served {
            answered: self.answered,
            refused: self.refusals(),
            answered_per_second: rate(|counts| counts.answered),
            refused_per_second: rate(Self::refusals),
            latency: self.latency.since(&long.counts.latency).latency(),
        }
    }

    /// Why relays were refused, most in the last minute first.
    pub fn refusals_by_reason(&self, long: &Before) -> Vec<Reason> {
        by_reason(&self.refused, &long.counts.refused)
    }

    /// What was wrong with them.
    pub fn invalid_by_reason(&self, long: &Before) -> Vec<Reason> {
        by_reason(&self.invalid, &long.counts.invalid)
    }
}

fn by_reason(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> Vec<Reason> {
    let reasons = now.iter().map(|(reason, &total)| Reason {
        reason: reason.clone(),
        total,
        last_1m: total.saturating_sub(before.get(reason).copied().unwrap_or(0)),
    });
    let mut reasons: Vec<Reason> = reasons.collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse((reason.last_1m, reason.total)));
    reasons
}

/// Every series of a counter by service and type.
fn each(counter: &impl Collector, mut found: impl FnMut(Name, &Metric, u64)) {
    for family in counter.collect() {
        for metric in family.get_metric() {
            let name = (
                label(metric, "service_id").to_owned(),
                label(metric, "rpc_type").to_owned(),
            );
            found(name, metric, metric.get_counter().get_value() as u64);
        }
    }
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    let mut labels = metric.get_label().iter();
    labels.find(|label| label.name() == name).map_or("", LabelPair::value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(answered: u64, refused: &[(&str, u64)]) -> Counts {
        Counts {
            answered,
            refused: refused
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect(),
            invalid: BTreeMap::new(),
            latency: Buckets::new([(0.01, answered)], answered),
        }
    }

    fn before(seconds: u64, counts: Counts) -> Before {
        Before {
            ago: Duration::from_secs(seconds),
            counts,
        }
    }

    #[test]
    fn rates_and_latency_are_of_what_came_since() {
        let (short, long) = (before(10, counts(80, &[("a", 5)])), before(60, counts(40, &[("a", 5)])));
        let served = counts(100, &[("a", 5), ("b", 6)]).served(&short, &long);
        assert_eq!((served.answered, served.refused), (100, 11));
        assert_eq!(
            (served.answered_per_second.last_10s, served.answered_per_second.last_1m),
            (2.0, 1.0)
        );
        assert_eq!(
            (served.refused_per_second.last_10s, served.refused_per_second.last_1m),
            (0.6, 0.1)
        );
        assert!(served.latency.is_some());
        let now = counts(40, &[]);
        assert_eq!(now.served(&long, &long).latency, None);
    }

    #[test]
    fn what_is_refused_now_comes_first() {
        let long = before(60, counts(0, &[("old", 900)]));
        let reasons = counts(0, &[("old", 900), ("new", 3)]).refusals_by_reason(&long);
        let told: Vec<_> = reasons
            .iter()
            .map(|told| (&*told.reason, told.total, told.last_1m))
            .collect();
        assert_eq!(told, [("new", 3, 3), ("old", 900, 0)]);
    }
}
