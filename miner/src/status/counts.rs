//! What was counted, read from the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use pocket_status::Rate;
use prometheus::core::Collector;
use prometheus::proto::LabelPair;

use crate::Metrics;

/// Relays taken into trees, by supplier.
#[derive(Debug, Default)]
pub(super) struct TakenIn(BTreeMap<String, u64>);

impl TakenIn {
    pub fn of(metrics: &Metrics) -> Self {
        let mut counts = BTreeMap::new();
        each(&metrics.added, |supplier, count| {
            *counts.entry(supplier.to_owned()).or_default() += count as u64;
        });
        Self(counts)
    }

    pub fn all(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn supplier(&self, supplier: &str) -> u64 {
        self.0.get(supplier).copied().unwrap_or(0)
    }
}

/// How fast a part of the relays is taken in.
pub(super) fn rate(
    now: &TakenIn,
    short: (Duration, &TakenIn),
    long: (Duration, &TakenIn),
    part: impl Fn(&TakenIn) -> u64,
) -> Rate {
    let grown = |(ago, before): (Duration, &TakenIn)| (ago, part(now).saturating_sub(part(before)));
    Rate::of(grown(short), grown(long))
}

/// All series of a counter together.
pub(super) fn total(counter: &impl Collector) -> u64 {
    let mut total = 0;
    each(counter, |_, count| total += count as u64);
    total
}

/// A gauge's values by supplier.
pub(super) fn by_supplier(gauge: &impl Collector) -> BTreeMap<String, i64> {
    let mut values = BTreeMap::new();
    each(gauge, |supplier, value| {
        values.insert(supplier.to_owned(), value as i64);
    });
    values
}

fn each(collector: &impl Collector, mut found: impl FnMut(&str, f64)) {
    for family in collector.collect() {
        for metric in family.get_metric() {
            let mut labels = metric.get_label().iter();
            let supplier = labels
                .find(|label| label.name() == "supplier")
                .map_or("", LabelPair::value);
            // One of them is what the series is of, the other is nothing.
            found(
                supplier,
                metric.get_counter().get_value() + metric.get_gauge().get_value(),
            );
        }
    }
}
