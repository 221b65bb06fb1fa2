//! What a miner counts of the hop from the stream into the tree.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pocket_metrics::Registry;
use pocket_protocol::{ServiceId, SupplierAddress};
use prometheus::{HistogramVec, IntCounterVec};

/// Seconds that a relay may wait; the Go peer's, and more for a miner that was away.
const WAITS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0,
];
/// Seconds that a batch may take.
const BATCHES: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Names and labels are the Go peer's where it has them.
#[derive(Clone)]
pub(crate) struct IntakeMetrics {
    consumed: IntCounterVec,
    errors: IntCounterVec,
    acknowledged: IntCounterVec,
    taken_over: IntCounterVec,
    undecodable: IntCounterVec,
    waits: HistogramVec,
    batches: HistogramVec,
    repeated: IntCounterVec,
}

impl IntakeMetrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (by_supplier, by_service) = (&["supplier_addr"], &["supplier_addr", "service_id"]);
        Ok(Self {
            consumed: registry.counters(
                "ha_transport_redis_consumed_total",
                "Mined relays that were read from streams.",
                by_service,
            )?,
            errors: registry.counters(
                "ha_transport_redis_consume_errors_total",
                "Reads of a stream that failed.",
                &["supplier_addr", "error_type"],
            )?,
            acknowledged: registry.counters(
                "ha_transport_redis_acked_total",
                "Stream entries that were acknowledged: their relays are in a tree, or can be in none.",
                by_supplier,
            )?,
            taken_over: registry.counters(
                "ha_transport_redis_claimed_total",
                "Stream entries that another read, or this miner before, and did not acknowledge.",
                by_supplier,
            )?,
            undecodable: registry.counters(
                "ha_transport_redis_deserialization_errors_total",
                "Stream entries that are no mined relay.",
                by_supplier,
            )?,
            waits: registry.histograms(
                "ha_transport_redis_end_to_end_latency_seconds",
                "From a relay's answer to its place in the stored tree, by the clocks of two machines.",
                by_service,
                &WAITS,
            )?,
            batches: registry.histograms(
                "ha_miner_batch_duration_seconds",
                "How long the relays of one session in one batch took to be hashed and stored.",
                &["supplier"],
                &BATCHES,
            )?,
            repeated: registry.counters(
                "ha_miner_relays_repeated_total",
                "Relays that were delivered again and counted once.",
                &["supplier", "service_id"],
            )?,
        })
    }

    /// Counts a read that failed.
    pub fn read_failed(&self, supplier: &SupplierAddress) {
        self.errors.with_label_values(&[supplier.as_str(), "read_error"]).inc();
    }

    /// Counts entries that were pending.
    pub fn took_over(&self, supplier: &SupplierAddress, entries: usize) {
        if entries > 0 {
            let counter = self.taken_over.with_label_values(&[supplier.as_str()]);
            counter.inc_by(entries as u64);
        }
    }

    /// Counts an entry that is no relay.
    pub fn unreadable(&self, supplier: &SupplierAddress) {
        self.undecodable.with_label_values(&[supplier.as_str()]).inc();
    }

    /// Counts entries that are done with.
    pub fn acknowledged(&self, supplier: &SupplierAddress, entries: usize) {
        let counter = self.acknowledged.with_label_values(&[supplier.as_str()]);
        counter.inc_by(entries as u64);
    }

    /// Counts the relays of one session in one batch, of which `new` were not in the tree. `published` are the moments
    /// of their answers, Unix time in nanoseconds.
    pub fn stored(
        &self,
        supplier: &SupplierAddress,
        service: &ServiceId,
        published: &[i64],
        new: usize,
        took: Duration,
    ) {
        let labels = [supplier.as_str(), service.as_str()];
        self.consumed.with_label_values(&labels).inc_by(published.len() as u64);
        let repeated = published.len().saturating_sub(new);
        self.repeated.with_label_values(&labels).inc_by(repeated as u64);
        // Apart from the shared counters until all are in.
        let waits = self.waits.with_label_values(&labels).local();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        for moment in published.iter().filter(|moment| **moment > 0) {
            waits.observe(now.saturating_sub(*moment).max(0) as f64 / 1e9);
        }
        waits.flush();
        let batches = self.batches.with_label_values(&labels[..1]);
        batches.observe(took.as_secs_f64());
    }
}
