//! What a miner counts of settlements: what the chain made of claims.

use pocket_metrics::Registry;
use pocket_protocol::Upokt;
use pocket_store::SessionRecord;
use prometheus::{HistogramVec, IntCounterVec};

use crate::settlement::{Settlement, SettlementFacts};

/// Blocks after a session's end, the Go peer's.
const AFTER: [f64; 10] = [5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0];

/// Names and labels are the Go peer's where it has them.
#[derive(Clone)]
pub(crate) struct SettledMetrics {
    after: HistogramVec,
    units: IntCounterVec,
    claimed: IntCounterVec,
    claims_expired: IntCounterVec,
    relays_expired: IntCounterVec,
    units_expired: IntCounterVec,
    upokt_expired: IntCounterVec,
    slashed: IntCounterVec,
    upokt_slashed: IntCounterVec,
    discarded: IntCounterVec,
}

impl SettledMetrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let name = format!("ha_miner_{name}");
            registry.counters(&name, help, labels)
        };
        let by_service = &["supplier", "service_id"];
        let by_status = &["supplier", "service_id", "status"];
        let by_reason = &["supplier", "service_id", "reason"];
        Ok(Self {
            after: registry.histograms(
                "ha_miner_settlement_latency_blocks",
                "Blocks from a session's end to the settlement of its claim.",
                &["supplier", "status"],
                &AFTER,
            )?,
            units: counter(
                "compute_units_settled_by_status_total",
                "Compute units by how their claim ended.",
                by_status,
            )?,
            claimed: counter(
                "upokt_settled_by_status_total",
                "Upokt that settled and expired claims asked for, before caps and shares.",
                by_status,
            )?,
            claims_expired: counter(
                "claims_expired_by_reason_total",
                "Claims that expired, by why.",
                by_reason,
            )?,
            relays_expired: counter(
                "relays_expired_by_reason_total",
                "Relays in claims that expired, by why.",
                by_reason,
            )?,
            units_expired: counter(
                "compute_units_expired_by_reason_total",
                "Compute units in claims that expired, by why.",
                by_reason,
            )?,
            upokt_expired: counter(
                "upokt_expired_by_reason_total",
                "Upokt that expired claims asked for, by why they expired.",
                by_reason,
            )?,
            slashed: counter(
                "supplier_slashed_total",
                "How often stake was taken for a proof that was missing or invalid.",
                by_service,
            )?,
            upokt_slashed: counter(
                "upokt_slashed_total",
                "Stake that was taken for proofs that were missing or invalid.",
                by_service,
            )?,
            discarded: counter(
                "claims_discarded_total",
                "Claims that the chain could not process and dropped.",
                by_service,
            )?,
        })
    }

    /// Counts how a session ended. The figures are the chain's own.
    pub fn settled(&self, record: &SessionRecord, settlement: &Settlement, facts: &SettlementFacts) {
        let (supplier, service) = (record.supplier.as_str(), record.service.as_str());
        let (relays, units) = (record.relays, record.compute_units.0);
        let by_status = [supplier, service, settlement.label()];
        self.units.with_label_values(&by_status).inc_by(units);
        self.claimed.with_label_values(&by_status).inc_by(upokt(facts.claimed));
        if *settlement != Settlement::Absent
            && let Some(height) = record.settlement_height
        {
            let after = self.after.with_label_values(&[supplier, settlement.label()]);
            after.observe((height - record.end).max(0) as f64);
        }
        if let Settlement::Expired(reason) = settlement {
            let labels = [supplier, service, expiration(reason)];
            self.claims_expired.with_label_values(&labels).inc();
            self.relays_expired.with_label_values(&labels).inc_by(relays);
            self.units_expired.with_label_values(&labels).inc_by(units);
            self.upokt_expired
                .with_label_values(&labels)
                .inc_by(upokt(facts.claimed));
        }
        if let Settlement::Discarded(_) = settlement {
            self.discarded.with_label_values(&[supplier, service]).inc();
        }
        if let Some(penalty) = facts.slashed {
            self.slashed.with_label_values(&[supplier, service]).inc();
            self.upokt_slashed
                .with_label_values(&[supplier, service])
                .inc_by(upokt(penalty));
        }
    }
}

fn upokt(amount: Upokt) -> u64 {
    u64::try_from(amount.0).unwrap_or(u64::MAX)
}

/// The peer's word for the chain's reason.
fn expiration(reason: &str) -> &'static str {
    match reason {
        "PROOF_MISSING" => "proof_missing",
        "PROOF_INVALID" => "proof_invalid",
        _ => "unspecified",
    }
}
