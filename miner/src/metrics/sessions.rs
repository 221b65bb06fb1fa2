//! What a miner counts of its sessions: where they stand, what is at risk, and how they are kept in Redis.

use pocket_metrics::Registry;
use pocket_protocol::{Height, SupplierAddress, Windows};
use pocket_store::{SessionRecord, SessionState};
use prometheus::{IntCounterVec, IntGaugeVec};

/// Names and labels are the Go peer's where it has them.
#[derive(Clone)]
pub(crate) struct SessionMetrics {
    transitions: IntCounterVec,
    standing: IntGaugeVec,
    at_risk: IntGaugeVec,
    saved: IntCounterVec,
    loaded: IntCounterVec,
    skipped: IntCounterVec,
    store_errors: IntCounterVec,
    lag: IntGaugeVec,
    jobs: IntGaugeVec,
}

/// A supplier's sessions at a moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    states: [i64; SessionState::ALL.len()],
    /// No claim is in a block, and more than half of the claim window is over.
    unclaimed: i64,
    /// A proof may be due and none is in a block, and more than half of the proof window is over.
    unproven: i64,
}

impl Standing {
    /// Adds a session.
    pub fn add(&mut self, state: SessionState, windows: Option<&Windows>, height: Height) {
        let place = SessionState::ALL.iter().position(|one| *one == state);
        self.states[place.expect("every state is among all")] += 1;
        let Some(windows) = windows else { return };
        let is_late = |open: Height, close: Height| height - open > (close - open) / 2;
        match state {
            SessionState::Active | SessionState::Claiming if is_late(windows.claim_open, windows.claim_close) => {
                self.unclaimed += 1;
            }
            SessionState::Claimed | SessionState::Proving if is_late(windows.proof_open, windows.proof_close) => {
                self.unproven += 1;
            }
            _ => {}
        }
    }
}

impl SessionMetrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let supplier = &["supplier"];
        Ok(Self {
            transitions: registry.counters(
                "ha_miner_session_state_transitions_total",
                "Sessions that went from one state to another.",
                &["supplier", "service_id", "from_state", "to_state"],
            )?,
            standing: registry.gauges(
                "ha_miner_sessions",
                "Sessions that are not settled, by state.",
                &["supplier", "state"],
            )?,
            at_risk: registry.gauges(
                "ha_miner_sessions_at_risk",
                "Sessions without what is due (`claim` or `proof`) in a block when half of the window is over.",
                &["supplier", "due"],
            )?,
            saved: registry.counters(
                "ha_miner_session_snapshots_saved_total",
                "Records of sessions that were written.",
                supplier,
            )?,
            loaded: registry.counters(
                "ha_miner_session_snapshots_loaded_total",
                "Records of sessions that were taken up when the supplier was taken over.",
                supplier,
            )?,
            skipped: registry.counters(
                "ha_miner_session_snapshots_skipped_at_startup_total",
                "Records of settled sessions that were found when the supplier was taken over.",
                &["supplier", "state"],
            )?,
            store_errors: registry.counters(
                "ha_miner_session_store_errors_total",
                "Calls of Redis for a supplier's sessions that failed and were tried again.",
                &["supplier", "operation"],
            )?,
            lag: registry.gauges(
                "ha_miner_session_block_processing_lag",
                "Blocks from one look at the supplier's sessions to the next: more than 1 is behind.",
                supplier,
            )?,
            jobs: registry.gauges(
                "ha_miner_session_transition_queue_depth",
                "Batches of claims and proofs under way for the supplier.",
                supplier,
            )?,
        })
    }

    /// Counts a change of state.
    pub fn moved(&self, record: &SessionRecord, from: SessionState) {
        let (supplier, service) = (record.supplier.as_str(), record.service.as_str());
        let labels = [supplier, service, from.as_str(), record.state.as_str()];
        self.transitions.with_label_values(&labels).inc();
    }

    /// Shows a supplier's sessions, and the jobs under way for them.
    pub fn stand(&self, supplier: &SupplierAddress, standing: &Standing, jobs: usize) {
        let supplier = supplier.as_str();
        for (state, sessions) in SessionState::ALL.iter().zip(standing.states) {
            self.standing
                .with_label_values(&[supplier, state.as_str()])
                .set(sessions);
        }
        self.at_risk
            .with_label_values(&[supplier, "claim"])
            .set(standing.unclaimed);
        self.at_risk
            .with_label_values(&[supplier, "proof"])
            .set(standing.unproven);
        self.jobs.with_label_values(&[supplier]).set(jobs as i64);
    }

    /// Takes back what is shown of a supplier that is worked elsewhere from now on: it is that miner's to show.
    pub fn gone(&self, supplier: &SupplierAddress) {
        self.stand(supplier, &Standing::default(), 0);
    }

    /// Counts records that were written.
    pub fn saved(&self, supplier: &SupplierAddress) {
        self.saved.with_label_values(&[supplier.as_str()]).inc();
    }

    /// Counts a record that was found when a supplier was taken over.
    pub fn found(&self, record: &SessionRecord) {
        let supplier = record.supplier.as_str();
        if record.settlement.is_none() {
            self.loaded.with_label_values(&[supplier]).inc();
        } else {
            let labels = [supplier, record.state.as_str()];
            self.skipped.with_label_values(&labels).inc();
        }
    }

    /// Counts a call of Redis that failed. `what` is one of a few constant texts.
    pub fn store_failed(&self, supplier: &SupplierAddress, what: &str) {
        let labels = [supplier.as_str(), &what.replace(' ', "_")];
        self.store_errors.with_label_values(&labels).inc();
    }

    /// Shows how many blocks came since the last look.
    pub fn lag(&self, supplier: &SupplierAddress, blocks: i64) {
        self.lag.with_label_values(&[supplier.as_str()]).set(blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        grace_end: Height(11),
        claim_open: Height(12),
        claim_close: Height(16),
        proof_open: Height(16),
        proof_close: Height(20),
        seed: Height(15),
    };

    fn standing(state: SessionState, height: i64) -> (i64, i64) {
        let mut standing = Standing::default();
        standing.add(state, Some(&WINDOWS), Height(height));
        assert_eq!(standing.states.iter().sum::<i64>(), 1);
        (standing.unclaimed, standing.unproven)
    }

    #[test]
    fn session_is_at_risk_when_half_of_its_window_is_over() {
        use SessionState as S;
        assert_eq!(standing(S::Claiming, 14), (0, 0));
        assert_eq!(standing(S::Claiming, 15), (1, 0));
        assert_eq!(standing(S::Active, 15), (1, 0));
        assert_eq!(standing(S::Claimed, 15), (0, 0));
        assert_eq!(standing(S::Proving, 18), (0, 0));
        assert_eq!(standing(S::Proving, 19), (0, 1));
        assert_eq!(standing(S::Proved, 19), (0, 0));
    }
}
