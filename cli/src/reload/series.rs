//! What is counted of operator keys, with the Go peer's names.

use pocket_keys::{KeyChanges, KeySet, Loaded};
use pocket_observability::prometheus::{self, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The keys in use, and how they changed.
#[derive(Clone, Debug)]
pub struct KeySeries {
    active: IntGauge,
    reloads: IntCounter,
    changes: IntCounterVec,
    failures: IntCounterVec,
}

impl KeySeries {
    /// Registers the series for the keys that a process starts with.
    pub fn register(registry: &Registry, loaded: &Loaded) -> Result<Self, prometheus::Error> {
        let options = |name: &str, help: &str| Opts::new(name, help).namespace("ha").subsystem("keys");
        let series = Self {
            active: IntGauge::with_opts(options("supplier_keys_active", "Operator keys in use."))?,
            reloads: IntCounter::with_opts(options("reloads_total", "How often keys were read again and taken up."))?,
            changes: IntCounterVec::new(
                options("changes_total", "Keys that came and went while the process ran."),
                &["type"],
            )?,
            failures: IntCounterVec::new(
                options("load_errors_total", "Files and keyring entries that gave no key."),
                &["provider"],
            )?,
        };
        registry.register(Box::new(series.active.clone()))?;
        registry.register(Box::new(series.reloads.clone()))?;
        registry.register(Box::new(series.changes.clone()))?;
        registry.register(Box::new(series.failures.clone()))?;
        for kind in ["added", "removed"] {
            series.changes.with_label_values(&[kind]);
        }
        series.active.set(loaded.keys.len() as i64);
        series.failed(loaded);
        Ok(series)
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
