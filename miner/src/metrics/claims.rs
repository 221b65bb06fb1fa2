//! What a miner counts of the way from a sealed tree to a claim and its proof.

use pocket_metrics::Registry;
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::{SupplierAddress, Upokt};
use pocket_store::{SessionRecord, SessionState};
use prometheus::{HistogramVec, IntCounterVec};

/// Blocks after a window's opening, the Go peer's.
const LATENESS: [f64; 9] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 15.0, 20.0];

/// Names and labels are the Go peer's where it has them.
#[derive(Clone)]
pub(crate) struct ClaimMetrics {
    claim_lateness: HistogramVec,
    proof_lateness: HistogramVec,
    units_proved: IntCounterVec,
    relays_proved: IntCounterVec,
    units_lost: IntCounterVec,
    upokt_claimed: IntCounterVec,
    upokt_proved: IntCounterVec,
    upokt_lost: IntCounterVec,
    claim_errors: IntCounterVec,
    proof_errors: IntCounterVec,
    proofs_skipped: IntCounterVec,
    claims_found: IntCounterVec,
    proofs_found: IntCounterVec,
    checks: IntCounterVec,
    required: IntCounterVec,
    not_required: IntCounterVec,
    check_errors: IntCounterVec,
}

/// A claim or a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Claim,
    Proof,
}

impl ClaimMetrics {
    /// Registers all of them.
    // A table; cut in two it would only be harder to read.
    #[allow(clippy::too_many_lines)]
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let name = format!("ha_miner_{name}");
            registry.counters(&name, help, labels)
        };
        let (supplier, by_service) = (&["supplier"], &["supplier", "service_id"]);
        let by_reason = &["supplier", "service_id", "reason"];
        let by_outcome = &["supplier", "service_id", "outcome"];
        Ok(Self {
            claim_lateness: registry.histograms(
                "ha_miner_claim_submission_latency_blocks",
                "Blocks from the claim window's opening to the claim's place in a block.",
                supplier,
                &LATENESS,
            )?,
            proof_lateness: registry.histograms(
                "ha_miner_proof_submission_latency_blocks",
                "Blocks from the proof window's opening to the proof's place in a block.",
                supplier,
                &LATENESS,
            )?,
            units_proved: counter(
                "compute_units_proved_total",
                "Compute units of sessions that are proven, or of which no proof was asked.",
                by_service,
            )?,
            relays_proved: counter(
                "relays_proved_total",
                "Relays of sessions that are proven, or of which no proof was asked.",
                by_service,
            )?,
            units_lost: counter(
                "compute_units_lost_total",
                "Compute units of sessions that failed.",
                by_reason,
            )?,
            upokt_claimed: counter(
                "upokt_claimed_total",
                "Upokt of claims in a block, by the chain's price, before caps and shares.",
                by_service,
            )?,
            upokt_proved: counter(
                "upokt_proved_total",
                "Upokt of sessions that are proven, or of which no proof was asked, before caps and shares.",
                by_service,
            )?,
            upokt_lost: counter(
                "upokt_lost_total",
                "Upokt of sessions that failed, as far as they were sealed.",
                by_reason,
            )?,
            claim_errors: counter(
                "claim_errors_total",
                "Claims that were put off to the next block, or refused by the chain.",
                &["supplier", "reason"],
            )?,
            proof_errors: counter(
                "proof_errors_total",
                "Proofs that were put off to the next block, or refused by the chain.",
                &["supplier", "reason"],
            )?,
            proofs_skipped: counter(
                "proof_skipped_total",
                "Proofs that were not sent since there was no claim, or that could not be built.",
                by_reason,
            )?,
            claims_found: counter(
                "claim_inclusion_outcome_total",
                "Claims by whether a block had them when their window closed.",
                by_outcome,
            )?,
            proofs_found: counter(
                "proof_inclusion_outcome_total",
                "Required proofs by whether a block had them when their window closed.",
                by_outcome,
            )?,
            checks: counter(
                "proof_requirement_checks_total",
                "Claims of which it was reckoned whether the chain asks a proof.",
                supplier,
            )?,
            required: counter(
                "proof_requirement_required_total",
                "Claims of which the chain asks a proof, by why it does.",
                &["supplier", "reason"],
            )?,
            not_required: counter(
                "proof_requirement_skipped_total",
                "Claims of which the chain asks no proof.",
                supplier,
            )?,
            check_errors: counter(
                "proof_requirement_errors_total",
                "Claims of which it could not be reckoned whether the chain asks a proof; it is tried again.",
                &["supplier", "operation"],
            )?,
        })
    }

    /// Counts a session's new state. `late` are the blocks since its window opened, `worth` what it is expected to pay.
    pub fn moved(&self, record: &SessionRecord, late: Option<i64>, worth: Option<Upokt>) {
        let labels = [record.supplier.as_str(), record.service.as_str()];
        let (relays, units) = (record.relays, record.compute_units.0);
        let upokt = worth.map_or(0, |worth| u64::try_from(worth.0).unwrap_or(u64::MAX));
        let found = |series: &IntCounterVec, outcome: &str| {
            series.with_label_values(&[labels[0], labels[1], outcome]).inc();
        };
        let late = |histograms: &HistogramVec| {
            if let Some(late) = late {
                histograms.with_label_values(&labels[..1]).observe(late.max(0) as f64);
            }
        };
        match record.state {
            SessionState::Active | SessionState::Claiming | SessionState::Proving | SessionState::ClaimSkipped => {}
            SessionState::Claimed => {
                late(&self.claim_lateness);
                found(&self.claims_found, "on_chain_found");
                self.upokt_claimed.with_label_values(&labels).inc_by(upokt);
            }
            SessionState::Proved | SessionState::ProbabilisticProved => {
                if record.state == SessionState::Proved {
                    late(&self.proof_lateness);
                    found(&self.proofs_found, "on_chain_found");
                }
                self.relays_proved.with_label_values(&labels).inc_by(relays);
                self.units_proved.with_label_values(&labels).inc_by(units);
                self.upokt_proved.with_label_values(&labels).inc_by(upokt);
            }
            state => {
                match state {
                    SessionState::ProofWindowClosed | SessionState::ProofTxError => {
                        found(&self.proofs_found, "on_chain_missing");
                    }
                    _ => found(&self.claims_found, "on_chain_missing"),
                }
                if state == SessionState::ClaimMissing {
                    found(&self.proofs_skipped, "claim_missing_on_chain");
                }
                let labels = [labels[0], labels[1], state.as_str()];
                self.units_lost.with_label_values(&labels).inc_by(units);
                self.upokt_lost.with_label_values(&labels).inc_by(upokt);
            }
        }
    }

    /// Counts a claim or proof that is tried again at the next block.
    pub fn put_off(&self, supplier: &SupplierAddress, phase: Phase) {
        self.errors(phase)
            .with_label_values(&[supplier.as_str(), "put_off"])
            .inc();
    }

    /// Counts a claim or proof that the chain will not take.
    pub fn refused(&self, supplier: &SupplierAddress, phase: Phase) {
        self.errors(phase)
            .with_label_values(&[supplier.as_str(), "refused"])
            .inc();
    }

    fn errors(&self, phase: Phase) -> &IntCounterVec {
        match phase {
            Phase::Claim => &self.claim_errors,
            Phase::Proof => &self.proof_errors,
        }
    }

    /// Counts a required proof that could not be built.
    pub fn not_built(&self, record: &SessionRecord) {
        let labels = [record.supplier.as_str(), record.service.as_str(), "build_failed"];
        self.proofs_skipped.with_label_values(&labels).inc();
    }

    /// Counts whether a proof is asked of a claim.
    pub fn checked<E>(&self, supplier: &SupplierAddress, requirement: &Result<ProofRequirement, E>) {
        let supplier = supplier.as_str();
        let required = |reason| self.required.with_label_values(&[supplier, reason]).inc();
        match requirement {
            Ok(ProofRequirement::NotRequired) => self.not_required.with_label_values(&[supplier]).inc(),
            Ok(ProofRequirement::Threshold) => required("threshold"),
            Ok(ProofRequirement::Probabilistic) => required("probabilistic"),
            Err(_) => {
                let labels = [supplier, "chain_query"];
                return self.check_errors.with_label_values(&labels).inc();
            }
        }
        self.checks.with_label_values(&[supplier]).inc();
    }
}
