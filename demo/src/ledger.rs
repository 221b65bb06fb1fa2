use std::collections::BTreeMap;

use pocket_protocol::Upokt;
use pocket_query::{BlockResults, Event};

/// What the chain calls a claim by in its events: only one of them has a session id (spec: chain.md §9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimKey {
    /// Operator address.
    pub supplier: String,
    /// Application address.
    pub application: String,
    /// Service id.
    pub service: String,
    /// Last block of the session.
    pub session_end: i64,
}

/// How a claim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Paid.
    Settled {
        /// What the supplier's shareholders got.
        earned: Upokt,
        /// Whether the settlement drew that a proof is needed, see [`ClaimFate::proof_required`].
        proof_required: bool,
    },
    /// Not paid: a required proof was missing or wrong.
    Expired {
        /// The chain's name for it.
        reason: String,
    },
    /// Dropped with an error of the chain.
    Discarded {
        /// The chain's words.
        error: String,
    },
}

/// What blocks said about one claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFate {
    /// Relays that the claim is for.
    pub relays: u64,
    /// A proof transaction was included.
    pub proof_included: bool,
    /// The verdict over the proof: found valid, or why not.
    pub proof_verdict: Option<Result<(), String>>,
    /// The end.
    pub outcome: Option<Outcome>,
    /// Its supplier lost stake for it.
    pub slashed: bool,
}

impl ClaimFate {
    /// The chain found the claim's proof valid.
    pub fn proven(&self) -> bool {
        self.proof_verdict == Some(Ok(()))
    }

    /// Whether the chain wanted a proof, be there one or not. Known when a proof is included, for the chain takes
    /// none that it does not want, or else at the settlement. The settlement alone does not tell: it draws again, by a
    /// hash of the claim that the verdict over its proof has changed (spec: claims-and-proofs.md §5).
    pub fn proof_required(&self) -> Option<bool> {
        if self.proof_included {
            return Some(true);
        }
        match self.outcome.as_ref()? {
            Outcome::Settled { proof_required, .. } => Some(*proof_required),
            Outcome::Expired { .. } => Some(true),
            Outcome::Discarded { .. } => Some(false),
        }
    }
}

/// A transaction that a block holds and that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTx {
    /// Of the block.
    pub height: i64,
    /// The chain's words.
    pub log: String,
}

/// All claims of a stretch of blocks, as the chain's own events tell of them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    claims: BTreeMap<ClaimKey, ClaimFate>,
    failed: Vec<FailedTx>,
}

impl Ledger {
    /// Takes in what the block at `height` did. Blocks are to be given in order.
    pub fn record(&mut self, height: i64, results: &BlockResults) {
        for tx in &results.txs {
            if tx.code == 0 {
                tx.events.iter().for_each(|event| self.note(event));
            } else {
                let log = format!("{} {}: {}", tx.codespace, tx.code, tx.log);
                self.failed.push(FailedTx { height, log });
            }
        }
        results.end_block_events.iter().for_each(|event| self.note(event));
    }

    /// Every claim that was accepted into a block.
    pub fn claims(&self) -> impl ExactSizeIterator<Item = (&ClaimKey, &ClaimFate)> {
        self.claims.iter()
    }

    /// Transactions that failed after they were included.
    pub fn failed(&self) -> &[FailedTx] {
        &self.failed
    }

    fn note(&mut self, event: &Event) {
        let Some(name) = event.kind.strip_prefix("pocket.") else {
            return;
        };
        let Some(key) = key(event) else { return };
        match name {
            "proof.EventClaimCreated" | "proof.EventClaimUpdated" => {
                self.claims.entry(key).or_default().relays = number(event, "num_relays");
            }
            _ => {
                if let Some(fate) = self.claims.get_mut(&key) {
                    advance(fate, name, event);
                }
            }
        }
    }
}

fn advance(fate: &mut ClaimFate, name: &str, event: &Event) {
    match name {
        "proof.EventProofSubmitted" | "proof.EventProofUpdated" => fate.proof_included = true,
        "proof.EventProofValidityChecked" => {
            let failure = event.text("failure_reason").unwrap_or_default();
            let valid = number(event, "claim_proof_status_int") == 1;
            fate.proof_verdict = Some(if valid { Ok(()) } else { Err(failure) });
        }
        "tokenomics.EventClaimSettled" => {
            fate.outcome = Some(Outcome::Settled {
                earned: earned(event),
                proof_required: number(event, "proof_requirement_int") != 0,
            });
        }
        "tokenomics.EventClaimExpired" => {
            let reason = event.text("expiration_reason").unwrap_or_default();
            fate.outcome = Some(Outcome::Expired { reason });
        }
        "tokenomics.EventClaimDiscarded" => {
            let error = event.text("error").unwrap_or_default();
            fate.outcome = Some(Outcome::Discarded { error });
        }
        "tokenomics.EventSupplierSlashed" => fate.slashed = true,
        _ => {}
    }
}

fn key(event: &Event) -> Option<ClaimKey> {
    Some(ClaimKey {
        supplier: event.text("supplier_operator_address")?,
        application: event.text("application_address")?,
        service: event.text("service_id")?,
        session_end: event.text("session_end_block_height")?.parse().ok()?,
    })
}

fn number(event: &Event, key: &str) -> u64 {
    event.text(key).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What went to the supplier's shareholders, whoever they are (spec: chain.md §10).
fn earned(event: &Event) -> Upokt {
    let rewards = event.value("reward_distribution_detailed").unwrap_or("[]");
    let rewards: Vec<serde_json::Value> = serde_json::from_str(rewards).unwrap_or_default();
    let of_supplier = |reward: &&serde_json::Value| {
        let reason = reward["op_reason"].as_str().unwrap_or_default();
        reason.contains("SUPPLIER_SHAREHOLDER_REWARD")
    };
    let amounts = rewards.iter().filter(of_supplier).map(|reward| {
        let amount = reward["amount"].as_str().unwrap_or_default();
        amount.trim_end_matches("upokt").parse().unwrap_or(0)
    });
    Upokt(amounts.sum())
}

#[cfg(test)]
mod tests {
    use pocket_query::TxResult;

    use super::*;

    fn event(kind: &str, attributes: &[(&str, &str)]) -> Event {
        let key = [
            ("supplier_operator_address", "\"pokt1s\""),
            ("application_address", "\"pokt1a\""),
            ("service_id", "\"svc\""),
            ("session_end_block_height", "\"10\""),
        ];
        let attributes = key.iter().chain(attributes);
        Event {
            kind: kind.to_owned(),
            attributes: attributes.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    fn block(code: u32, of_tx: Vec<Event>, of_end: Vec<Event>) -> BlockResults {
        let tx = TxResult {
            code,
            codespace: "undefined".to_owned(),
            log: "no".to_owned(),
            gas_used: 0,
            events: of_tx,
        };
        BlockResults {
            txs: vec![tx],
            end_block_events: of_end,
        }
    }

    fn created(relays: &str) -> Event {
        event("pocket.proof.EventClaimCreated", &[("num_relays", relays)])
    }

    #[test]
    fn claim_is_followed_to_its_settlement() {
        let mut ledger = Ledger::default();
        ledger.record(12, &block(0, vec![created("\"7\"")], vec![]));
        let checked = event(
            "pocket.proof.EventProofValidityChecked",
            &[("claim_proof_status_int", "1")],
        );
        let submitted = event("pocket.proof.EventProofSubmitted", &[]);
        ledger.record(16, &block(0, vec![submitted], vec![checked]));
        let rewards = r#"[{"amount":"70upokt","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_SUPPLIER_SHAREHOLDER_REWARD_DISTRIBUTION"},
            {"amount":"30upokt","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_DAO_REWARD_DISTRIBUTION"}]"#;
        let settled = [
            ("proof_requirement_int", "1"),
            ("reward_distribution_detailed", rewards),
        ];
        ledger.record(
            20,
            &block(0, vec![], vec![event("pocket.tokenomics.EventClaimSettled", &settled)]),
        );

        let (_, fate) = ledger.claims().next().unwrap();
        assert_eq!(fate.relays, 7);
        assert!(fate.proof_included && fate.proven() && !fate.slashed);
        let earned = Upokt(70);
        let proof_required = true;
        assert_eq!(fate.outcome, Some(Outcome::Settled { earned, proof_required }));
    }

    #[test]
    fn later_claim_of_the_same_session_replaces_the_earlier() {
        let mut ledger = Ledger::default();
        let updated = event("pocket.proof.EventClaimUpdated", &[("num_relays", "\"9\"")]);
        ledger.record(12, &block(0, vec![created("\"7\""), updated], vec![]));
        assert_eq!(ledger.claims().map(|(_, fate)| fate.relays).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn claim_of_a_failed_transaction_does_not_count() {
        let mut ledger = Ledger::default();
        ledger.record(12, &block(1, vec![created("\"7\"")], vec![]));
        assert_eq!(ledger.claims().len(), 0);
        assert_eq!(ledger.failed()[0].log, "undefined 1: no");
    }

    #[test]
    fn proof_that_the_chain_took_was_required_whatever_the_settlement_draws() {
        let mut ledger = Ledger::default();
        let submitted = event("pocket.proof.EventProofSubmitted", &[]);
        ledger.record(16, &block(0, vec![created("\"7\""), submitted], vec![]));
        let settled = event("pocket.tokenomics.EventClaimSettled", &[("proof_requirement_int", "0")]);
        ledger.record(20, &block(0, vec![], vec![settled]));
        assert_eq!(ledger.claims().next().unwrap().1.proof_required(), Some(true));
    }

    #[test]
    fn expired_claim_needed_a_proof() {
        let mut ledger = Ledger::default();
        let expired = event(
            "pocket.tokenomics.EventClaimExpired",
            &[("expiration_reason", "\"PROOF_MISSING\"")],
        );
        let slashed = event("pocket.tokenomics.EventSupplierSlashed", &[]);
        ledger.record(12, &block(0, vec![created("\"7\"")], vec![expired, slashed]));
        let (_, fate) = ledger.claims().next().unwrap();
        assert_eq!(
            (fate.proof_required(), fate.proven(), fate.slashed),
            (Some(true), false, true)
        );
    }
}
