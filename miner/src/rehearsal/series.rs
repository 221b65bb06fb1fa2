//! What is counted of rehearsals.

use pocket_metrics::Registry;
use pocket_store::SessionRecord;
use prometheus::IntCounterVec;

#[derive(Clone)]
pub(crate) struct Series {
    rehearsed: IntCounterVec,
    broken: IntCounterVec,
    skipped: IntCounterVec,
}

impl Series {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, last: &[&str]| {
            let labels = [&["supplier", "service_id"], last].concat();
            registry.counters(&format!("ha_miner_{name}"), help, &labels)
        };
        Ok(Self {
            rehearsed: counter(
                "rehearsals_total",
                "Claims and proofs that were checked before they were sent, by what was found.",
                &["phase", "result"],
            )?,
            broken: counter(
                "rehearsal_failures_total",
                "Rules of the chain that claims and proofs would have broken.",
                &["phase", "rule"],
            )?,
            skipped: counter(
                "claims_skipped_total",
                "Claims that were not sent because they are not worth it or cannot be right.",
                &["reason"],
            )?,
        })
    }

    pub fn rehearsed(&self, record: &SessionRecord, phase: &str, result: &str) {
        self.rehearsed
            .with_label_values(&[record.supplier.as_str(), record.service.as_str(), phase, result])
            .inc();
    }

    pub fn broken(&self, record: &SessionRecord, phase: &str, rule: &str) {
        self.broken
            .with_label_values(&[record.supplier.as_str(), record.service.as_str(), phase, rule])
            .inc();
    }

    pub fn skipped(&self, record: &SessionRecord, reason: &str) {
        self.skipped
            .with_label_values(&[record.supplier.as_str(), record.service.as_str(), reason])
            .inc();
    }
}
