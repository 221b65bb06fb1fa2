//! What is counted of operator keys, with the Go peer's names.

use pocket_keys::{KeyChanges, KeySet, Loaded};
use pocket_observability::Registry;
use pocket_observability::prometheus::{self, IntCounter, IntCounterVec, IntGauge};

/// The keys in use, and how they changed.
#[derive(Clone, Debug)]
pub struct KeySeries {
    active: IntGauge,
    reloads: IntCounter,
    changes: IntCounterVec,
    failures: IntCounterVec,
}

impl KeySeries {
    /// Registers the series.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let series = Self {
            active: registry.gauge("ha_keys_supplier_keys_active", "Operator keys in use.")?,
            reloads: registry.counter("ha_keys_reloads_total", "How often keys were read again and taken up.")?,
            changes: registry.counters(
                "ha_keys_changes_total",
                "Keys that came and went while the process ran.",
                &["type"],
            )?,
            failures: registry.counters(
                "ha_keys_load_errors_total",
                "Files and keyring entries that gave no key.",
                &["provider"],
            )?,
        };
        for kind in ["added", "removed"] {
            series.changes.with_label_values(&[kind]);
        }
        Ok(series)
    }

    /// A process starts with these.
    pub fn loaded(&self, loaded: &Loaded) {
        self.active.set(loaded.keys.len() as i64);
        self.failed(loaded);
    }

    /// Other keys are in use.
    pub fn changed(&self, keys: &KeySet, changes: &KeyChanges) {
        self.reloads.inc();
        self.active.set(keys.len() as i64);
        let count = |kind: &str, some: usize| self.changes.with_label_values(&[kind]).inc_by(some as u64);
        count("added", changes.added.len());
        count("removed", changes.removed.len());
    }

    /// Counts what gave an error instead of a key.
    pub fn failed(&self, loaded: &Loaded) {
        for error in &loaded.errors {
            self.failures.with_label_values(&[error.provider.as_str()]).inc();
        }
    }
}
