//! What is counted of transactions on their way to a mempool.

use std::collections::BTreeMap;
use std::time::Duration;

use pocket_metrics::Registry;
use pocket_metrics::prometheus::{self, HistogramVec, IntCounterVec};
use pocket_metrics::seconds::REMOTE;
use pocket_proto::type_url;
use pocket_protocol::SupplierAddress;
use prost_types::Any;

use crate::{Sent, TxError};

/// What a [`TxSender`](crate::TxSender) counts, under the Go peer's names. The default counts unseen.
#[derive(Clone, Debug)]
pub struct TxMetrics {
    broadcasts: IntCounterVec,
    durations: HistogramVec,
    no_funds: IntCounterVec,
    claims: IntCounterVec,
    claim_errors: IntCounterVec,
    proofs: IntCounterVec,
    proof_errors: IntCounterVec,
    submissions: IntCounterVec,
    submission_durations: HistogramVec,
    fees: IntCounterVec,
}

impl Default for TxMetrics {
    fn default() -> Self {
        Self::register(&Registry::new()).expect("a new registry has no metric of this name")
    }
}

impl TxMetrics {
    /// Registers all metrics; fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (by_supplier, by_error) = (&["supplier"], &["supplier", "error_type"]);
        let by_kind = &["tx_type", "status"];
        Ok(Self {
            broadcasts: registry.counters(
                "ha_tx_broadcasts_total",
                "Transactions that were to be sent, by whether a mempool took them: `success`, `uncertain`, `failure`.",
                &["supplier", "status"],
            )?,
            durations: registry.histograms(
                "ha_tx_broadcast_latency_seconds",
                "From the wish to send a transaction to a mempool's answer, simulation and repetitions included.",
                by_supplier,
                &REMOTE,
            )?,
            no_funds: registry.counters(
                "ha_tx_insufficient_balance_errors_total",
                "Transactions that the operator's account could not pay.",
                by_supplier,
            )?,
            claims: registry.counters(
                "ha_tx_claims_submitted_total",
                "Claims that a mempool took.",
                by_supplier,
            )?,
            claim_errors: registry.counters(
                "ha_tx_claim_errors_total",
                "Claims that no mempool took, by kind of error.",
                by_error,
            )?,
            proofs: registry.counters(
                "ha_tx_proofs_submitted_total",
                "Proofs that a mempool took.",
                by_supplier,
            )?,
            proof_errors: registry.counters(
                "ha_tx_proof_errors_total",
                "Proofs that no mempool took, by kind of error.",
                by_error,
            )?,
            submissions: registry.counters(
                "ha_observability_tx_submissions_total",
                "Transactions that were to be sent, by what is in them and whether a mempool took them.",
                by_kind,
            )?,
            submission_durations: registry.histograms(
                "ha_observability_tx_submission_duration_seconds",
                "From the wish to send a transaction to a mempool's answer.",
                by_kind,
                &REMOTE,
            )?,
            fees: registry.counters(
                "ha_tx_fees_offered_upokt_total",
                "Fees of transactions that a mempool took. One that is in no block in the end is not charged.",
                by_supplier,
            )?,
        })
    }

    /// Counts one transaction.
    pub(crate) fn sent(
        &self,
        signer: &SupplierAddress,
        messages: &[Any],
        took: Duration,
        sent: &Result<Sent, TxError>,
    ) {
        let (signer, took) = (signer.as_str(), took.as_secs_f64());
        let status = match sent {
            Ok(_) => "success",
            Err(TxError::Uncertain(_)) => "uncertain",
            Err(_) => "failure",
        };
        self.broadcasts.with_label_values(&[signer, status]).inc();
        self.durations.with_label_values(&[signer]).observe(took);
        for (kind, count) in kinds(messages) {
            self.submissions.with_label_values(&[kind, status]).inc();
            self.submission_durations
                .with_label_values(&[kind, status])
                .observe(took);
            let (taken, failed) = match kind {
                "claim" => (&self.claims, &self.claim_errors),
                "proof" => (&self.proofs, &self.proof_errors),
                _ => continue,
            };
            match sent {
                Ok(_) | Err(TxError::Uncertain(_)) => taken.with_label_values(&[signer]).inc_by(count),
                Err(error) => failed.with_label_values(&[signer, error.label()]).inc_by(count),
            }
        }
        match sent {
            Ok(sent) => {
                let fee = u64::try_from(sent.fee.0).unwrap_or(u64::MAX);
                self.fees.with_label_values(&[signer]).inc_by(fee);
            }
            Err(TxError::Funds(_)) => self.no_funds.with_label_values(&[signer]).inc(),
            Err(_) => {}
        }
    }
}

/// How many messages of each kind there are.
fn kinds(messages: &[Any]) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::new();
    for message in messages {
        let kind = match message.type_url.as_str() {
            type_url::MSG_CREATE_CLAIM => "claim",
            type_url::MSG_SUBMIT_PROOF => "proof",
            _ => "other",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_and_proofs_are_counted_apart_by_what_became_of_them() {
        let metrics = TxMetrics::default();
        let signer = SupplierAddress::of_public_key(&[2; 33]);
        let message = |kind: &str| Any {
            type_url: kind.to_owned(),
            value: Vec::new(),
        };
        let claims = [message(type_url::MSG_CREATE_CLAIM), message(type_url::MSG_CREATE_CLAIM)];
        let refused = Err(TxError::Funds("nothing left".to_owned()));
        metrics.sent(&signer, &claims, Duration::from_secs(1), &refused);
        let proofs = [message(type_url::MSG_SUBMIT_PROOF)];
        let sent = Sent {
            hash: [0; 32],
            gas_limit: 1,
            fee: pocket_protocol::Upokt(7),
            sent_at: pocket_protocol::Height(1),
        };
        metrics.sent(&signer, &proofs, Duration::from_secs(1), &Ok(sent));
        let by = |counters: &IntCounterVec, labels: &[&str]| counters.with_label_values(labels).get();
        let signer = signer.as_str();
        assert_eq!(by(&metrics.claim_errors, &[signer, "insufficient_balance"]), 2);
        assert_eq!((by(&metrics.claims, &[signer]), by(&metrics.proofs, &[signer])), (0, 1));
        assert_eq!((by(&metrics.no_funds, &[signer]), by(&metrics.fees, &[signer])), (1, 7));
        assert_eq!(by(&metrics.submissions, &["claim", "failure"]), 1);
    }
}
