//! What a miner counts. Names and labels are the Go peer's where it counts the same; sessions are
//! not a label, so that the number of series is bounded by suppliers and services.

mod claims;
mod fleet;
mod intake;
mod sessions;
mod settled;

use pocket_metrics::Registry;
use pocket_protocol::{Height, ServiceId, SupplierAddress, Upokt};
use pocket_smst::Digest;
use pocket_store::{SessionRecord, SessionState};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::rehearsal;
use crate::settlement::{Settlement, SettlementFacts};
use crate::watch::Series;
use claims::ClaimMetrics;
pub(crate) use claims::Phase;
use fleet::FleetMetrics;
use intake::IntakeMetrics;
use sessions::SessionMetrics;
pub(crate) use sessions::Standing;
use settled::SettledMetrics;

/// The miner's metrics.
#[derive(Clone)]
pub struct Metrics {
    height: IntGauge,
    consumed: IntCounterVec,
    pub(crate) added: IntCounterVec,
    rejected: IntCounterVec,
    created: IntCounterVec,
    trees: IntGaugeVec,
    rebuilt: IntCounterVec,
    leases_lost: IntCounterVec,
    pub(crate) claims: IntCounterVec,
    relays_claimed: IntCounterVec,
    units_claimed: IntCounterVec,
    pub(crate) proofs: IntCounterVec,
    proved: IntCounterVec,
    not_required: IntCounterVec,
    pub(crate) failed: IntCounterVec,
    relays_lost: IntCounterVec,
    settled: IntCounterVec,
    relays_settled: IntCounterVec,
    pub(crate) earned: IntCounterVec,
    pub(crate) watch: Series,
    pub(crate) rehearsal: rehearsal::Series,
    pub(crate) fleet: FleetMetrics,
    pub(crate) intake: IntakeMetrics,
    pub(crate) sessions: SessionMetrics,
    pub(crate) claiming: ClaimMetrics,
    settling: SettledMetrics,
}

impl Metrics {
    /// Registers all metrics; fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(format!("ha_miner_{name}"), help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let (by_service, by_reason) = (["supplier", "service_id"], ["supplier", "service_id", "reason"]);
        let by_status = ["supplier", "service_id", "status"];
        let height = IntGauge::new("ha_miner_current_block_height", "Newest block seen")?;
        registry.register(Box::new(height.clone()))?;
        let trees = Opts::new("ha_miner_session_trees_active", "Sessions that take relays");
        let trees = IntGaugeVec::new(trees, &["supplier"])?;
        registry.register(Box::new(trees.clone()))?;
        Ok(Self {
            height,
            trees,
            consumed: counter(
                "relays_consumed_from_stream_total",
                "Relays read from streams",
                &by_service,
            )?,
            added: counter(
                "relays_added_to_smst_total",
                "Relays that were new in their tree",
                &by_service,
            )?,
            rejected: counter(
                "relays_rejected_total",
                "Stream entries in no tree",
                &["supplier", "reason", "service_id"],
            )?,
            created: counter(
                "sessions_created_total",
                "Sessions with at least one relay",
                &by_service,
            )?,
            rebuilt: counter(
                "trees_rebuilt_total",
                "Trees rebuilt from their leaves, by whether the root was the one expected",
                &["supplier", "service_id", "result"],
            )?,
            leases_lost: counter(
                "leases_lost_total",
                "Leases that expired here while the supplier was worked",
                &["supplier"],
            )?,
            claims: counter("claims_submitted_total", "Claims in a block", &by_service)?,
            relays_claimed: counter("relays_claimed_total", "Relays in claims in a block", &by_service)?,
            units_claimed: counter(
                "compute_units_claimed_total",
                "Compute units in claims in a block",
                &by_service,
            )?,
            proofs: counter(
                "proofs_submitted_total",
                "Proofs in a block and found valid",
                &by_service,
            )?,
            proved: counter(
                "sessions_proved_total",
                "Sessions whose proof was found valid",
                &by_service,
            )?,
            not_required: counter(
                "sessions_probabilistic_proved_total",
                "Sessions of which the chain asked no proof",
                &by_service,
            )?,
            failed: counter(
                "sessions_failed_total",
                "Sessions that ended without what was due",
                &by_reason,
            )?,
            relays_lost: counter("relays_lost_total", "Relays in sessions that failed", &by_reason)?,
            settled: counter("claims_settled_by_status_total", "Claims by how they ended", &by_status)?,
            relays_settled: counter(
                "relays_settled_by_status_total",
                "Relays by how their claim ended",
                &by_status,
            )?,
            earned: counter(
                "upokt_earned_total",
                "Upokt that settled claims paid to the supplier and those it shares with",
                &by_service,
            )?,
            watch: Series::register(registry)?,
            rehearsal: rehearsal::Series::register(registry)?,
            fleet: FleetMetrics::register(registry)?,
            intake: IntakeMetrics::register(registry)?,
            sessions: SessionMetrics::register(registry)?,
            claiming: ClaimMetrics::register(registry)?,
            settling: SettledMetrics::register(registry)?,
        })
    }

    pub(crate) fn height(&self, height: Height) {
        self.height.set(height.0);
    }

    pub(crate) fn consumed(&self, supplier: &SupplierAddress, service: &ServiceId, relays: usize) {
        self.consumed
            .with_label_values(&[supplier.as_str(), service.as_str()])
            .inc_by(relays as u64);
    }

    pub(crate) fn added(&self, supplier: &SupplierAddress, service: &ServiceId, relays: usize) {
        self.added
            .with_label_values(&[supplier.as_str(), service.as_str()])
            .inc_by(relays as u64);
    }

    pub(crate) fn rejected(&self, supplier: &SupplierAddress, reason: &str, service: &str, relays: usize) {
        self.rejected
            .with_label_values(&[supplier.as_str(), reason, service])
            .inc_by(relays as u64);
    }

    pub(crate) fn session_seen(&self, supplier: &SupplierAddress, service: &ServiceId) {
        self.created
            .with_label_values(&[supplier.as_str(), service.as_str()])
            .inc();
    }

    pub(crate) fn active_sessions(&self, supplier: &SupplierAddress, sessions: usize) {
        self.trees.with_label_values(&[supplier.as_str()]).set(sessions as i64);
    }

    pub(crate) fn lease_lost(&self, supplier: &SupplierAddress) {
        self.leases_lost.with_label_values(&[supplier.as_str()]).inc();
    }

    /// Counts and tells that a tree was built anew from its leaves.
    pub(crate) fn rebuilt(&self, record: &SessionRecord, expected: Option<Digest>, root: Digest) {
        let (session, relays) = (&record.session, root.count());
        let result = match expected {
            Some(expected) if expected == root => {
                tracing::warn!(%session, relays, "a tree is rebuilt from its leaves, with the same root");
                "same_root"
            }
            _ if relays < record.relays => {
                let lost = record.relays - relays;
                tracing::error!(%session, relays, lost, "a tree is rebuilt from its leaves, some are lost");
                "leaves_lost"
            }
            _ => {
                tracing::warn!(%session, relays, "a tree is rebuilt from its leaves, with another root");
                "other_root"
            }
        };
        let labels = [record.supplier.as_str(), record.service.as_str(), result];
        self.rebuilt.with_label_values(&labels).inc();
    }

    /// Counts a session's change of state. `late` are the blocks since the window for it opened, `worth` is what the
    /// session is expected to pay; both as far as they are known.
    pub(crate) fn moved(&self, record: &SessionRecord, from: SessionState, late: Option<i64>, worth: Option<Upokt>) {
        self.sessions.moved(record, from);
        self.claiming.moved(record, late, worth);
        let labels = [record.supplier.as_str(), record.service.as_str()];
        let failed = |reason: &str| {
            let labels = [labels[0], labels[1], reason];
            self.failed.with_label_values(&labels).inc();
            self.relays_lost.with_label_values(&labels).inc_by(record.relays);
        };
        match record.state {
            SessionState::Active | SessionState::Claiming | SessionState::Proving | SessionState::ClaimSkipped => {}
            SessionState::Claimed => {
                self.claims.with_label_values(&labels).inc();
                self.relays_claimed.with_label_values(&labels).inc_by(record.relays);
                self.units_claimed
                    .with_label_values(&labels)
                    .inc_by(record.compute_units.0);
            }
            SessionState::Proved => {
                self.proofs.with_label_values(&labels).inc();
                self.proved.with_label_values(&labels).inc();
            }
            SessionState::ProbabilisticProved => self.not_required.with_label_values(&labels).inc(),
            state @ (SessionState::ClaimWindowClosed
            | SessionState::ClaimTxError
            | SessionState::ClaimMissing
            | SessionState::ProofWindowClosed
            | SessionState::ProofTxError) => failed(state.as_str()),
        }
    }

    pub(crate) fn settled(&self, record: &SessionRecord, settlement: &Settlement, facts: &SettlementFacts) {
        let labels = [record.supplier.as_str(), record.service.as_str(), settlement.label()];
        self.settled.with_label_values(&labels).inc();
        self.relays_settled.with_label_values(&labels).inc_by(record.relays);
        let Upokt(earned) = facts.earned;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        self.earned.with_label_values(&labels[..2]).inc_by(earned);
        self.settling.settled(record, settlement, facts);
    }
}

#[cfg(test)]
mod tests {
    use pocket_protocol::{AppAddress, SessionId};

    use super::*;

    const SUPPLIERS: u8 = 100;
    const SERVICES: u8 = 5;

    fn series(registry: &Registry) -> usize {
        registry.gather().iter().map(|family| family.get_metric().len()).sum()
    }

    /// A session of each supplier and service passes through every state and is settled in every way.
    fn walk(metrics: &Metrics, session: &str) {
        let application = AppAddress::of_public_key(&[3; 33]);
        let settlements = [true, false].map(|proven| Settlement::Settled {
            claimed: Upokt(1),
            proven,
        });
        let unpaid = [Settlement::Expired("PROOF_MISSING".into()), Settlement::Absent];
        for (supplier, service) in
            (0..SUPPLIERS).flat_map(|supplier| (0..SERVICES).map(move |service| (supplier, service)))
        {
            let mut record = SessionRecord::new(
                SupplierAddress::of_public_key(&[supplier; 33]),
                SessionId::from(session),
                format!("svc{service}").parse().unwrap(),
                application.clone(),
                Height(1),
                Height(10),
            );
            metrics.session_seen(&record.supplier, &record.service);
            metrics
                .intake
                .stored(&record.supplier, &record.service, &[1], 1, std::time::Duration::ZERO);
            for state in SessionState::ALL {
                let from = std::mem::replace(&mut record.state, state);
                metrics.moved(&record, from, Some(1), Some(Upokt(1)));
            }
            for settlement in settlements.iter().chain(&unpaid) {
                metrics.settled(&record, settlement, &SettlementFacts::default());
            }
        }
    }

    #[test]
    fn sessions_add_no_series() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        walk(&metrics, "one");
        let after_one = series(&registry);
        walk(&metrics, "another");
        assert_eq!(series(&registry), after_one);
        let each = usize::from(SUPPLIERS) * usize::from(SERVICES);
        assert!(after_one <= each * 100, "{after_one}");
    }
}
