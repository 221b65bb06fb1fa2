//! Whether a claim is worth what it costs (spec: claims-and-proofs.md §16).

use std::sync::atomic::{AtomicU64, Ordering};

use pocket_protocol::Upokt;
use pocket_protocol::claim::ProofTerms;

use super::{Rehearsal, SessionFacts};
use crate::Deps;
use crate::claim::{Due, Finding};
use crate::lifecycle::Event;

/// A message's part of the fee of the last transaction with one of its kind.
#[derive(Debug, Default)]
pub(crate) struct LastFee(AtomicU64);

impl LastFee {
    /// No transaction costs less.
    const LEAST: u64 = 1;

    /// A transaction with so many messages was sent.
    pub fn paid(&self, fee: Upokt, messages: usize) {
        let part = fee.0.div_ceil(messages.max(1) as u128);
        self.0.store(u64::try_from(part).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What the next one will cost, by the last.
    fn of_one(&self) -> u128 {
        self.0.load(Ordering::Relaxed).max(Self::LEAST).into()
    }
}

impl Rehearsal {
    /// Ends a session whose claim would bring no more than it costs. What cannot be known speaks for the claim.
    pub(super) async fn check_profit(&self, deps: &Deps, due: &Due, facts: &SessionFacts) -> Result<(), Finding> {
        let profitability = self.settings.profitability;
        if !profitability.enabled {
            return Ok(());
        }
        let (Some(worth), Ok(params)) = (facts.worth(&due.root), deps.chain.proof_params().await) else {
            return Ok(());
        };
        let Ok(terms) = ProofTerms::try_from(&*params) else {
            return Ok(());
        };
        let cost = cost(worth, &terms, self.claim_fee.of_one(), self.proof_fee.of_one());
        if worth.0 > cost.0.saturating_add(profitability.min_profit.0) {
            return Ok(());
        }
        deps.metrics.rehearsal.skipped(&due.record, "unprofitable");
        let least = profitability.min_profit;
        tracing::warn!(
            session = %due.record.session, supplier = %due.record.supplier, service = %due.record.service, %worth, %cost,
            %least, relays = due.root.count(), "the claim is not worth its cost, it is not sent"
        );
        let reason =
            format!("unprofitable: the claim is worth {worth}, it costs {cost} and is to bring more than {least}");
        Err(Finding::Event(Event::ClaimUnwanted(reason), None))
    }
}

/// What a claim costs in the long run: its fee, and those of a proof as often as one is asked for; rounded up.
fn cost(worth: Upokt, terms: &ProofTerms, claim_fee: u128, proof_fee: u128) -> Upokt {
    let proof = proof_fee.saturating_add(terms.submission_fee.0);
    let expected = if worth >= terms.requirement_threshold {
        proof
    } else {
        (proof as f64 * terms.request_probability.clamp(0.0, 1.0)).ceil() as u128
    };
    Upokt(claim_fee.saturating_add(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_costs_as_often_as_it_is_asked_for() {
        let terms = ProofTerms {
            request_probability: 0.25,
            requirement_threshold: Upokt(1_000_000),
            missing_penalty: Upokt(0),
            submission_fee: Upokt(399),
        };
        assert_eq!(cost(Upokt(5), &terms, 2, 1), Upokt(2 + 100));
        assert_eq!(cost(Upokt(999_999), &terms, 2, 2), Upokt(2 + 101));
        assert_eq!(cost(Upokt(1_000_000), &terms, 2, 1), Upokt(2 + 400));
    }

    #[test]
    fn fee_of_a_transaction_is_shared_by_its_messages() {
        let fee = LastFee::default();
        assert_eq!(fee.of_one(), 1);
        fee.paid(Upokt(101), 50);
        assert_eq!(fee.of_one(), 3);
        fee.paid(Upokt(0), 50);
        assert_eq!(fee.of_one(), 1);
    }
}
