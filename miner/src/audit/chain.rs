//! What the chain has of the session, beside what the leaves say.

use pocket_proto::pocket::proof::{Claim, ClaimProofStatus, MsgSubmitProof};
use pocket_protocol::claim::{ProofRequirement, ProofTerms, RootTotals, proof_path, proof_requirement};
use pocket_ring::{Limits, Verifier};
use pocket_rules::{ProofFacts, check_compute_units, check_proof, check_session};
use pocket_smst::{Digest, LoadError, Path};
use pocket_store::SessionState;

use super::leaves::Rebuilt;
use super::tree::shown;
use super::{AuditError, Case, Report};
use crate::proof::closest;
use crate::rehearsal::{SessionFacts, Signers};
use crate::settlement::{Settlement, of as settlement_of, results};

impl Case<'_> {
    /// Whether the chain has the session, with this supplier and this weight of a relay.
    pub(super) fn check_session(&self, report: &mut Report, facts: &SessionFacts, rebuilt: &Rebuilt) {
        let record = &self.record;
        let header = pocket_proto::pocket::session::SessionHeader {
            session_id: record.session.to_string(),
            session_end_block_height: record.end.0,
            ..facts.session.header.clone().unwrap_or_default()
        };
        let on_chain = facts
            .session
            .header
            .as_ref()
            .map(|header| header.session_end_block_height);
        match check_session(&facts.session, &header, record.supplier.as_str()) {
            Ok(()) if on_chain == Some(record.end.0) => {
                report.agrees("session", "the chain has it, and the supplier is one of its");
            }
            Ok(()) => {
                let text = format!(
                    "it ends at block {} on chain, not at {}",
                    on_chain.unwrap_or(0),
                    record.end
                );
                report.differs("session", text);
            }
            Err(broken) => report.differs("session", broken.to_string()),
        }
        let root = self.root(rebuilt);
        // An empty tree weighs nothing.
        let Ok(totals) = RootTotals::of(root.as_ref()) else {
            return;
        };
        match check_compute_units(totals, facts.compute_units) {
            Ok(()) if rebuilt.odd_weights == 0 => {
                let units = facts.compute_units;
                report.agrees(
                    "weights",
                    format!("each relay weighs the service's {units} compute units"),
                );
            }
            Ok(()) => report.differs(
                "weights",
                format!("{} relays weigh something else", rebuilt.odd_weights),
            ),
            Err(broken) => report.differs("weights", broken.to_string()),
        }
    }

    /// Claim, proof and settlement.
    pub(super) async fn check_claim(
        &self,
        report: &mut Report,
        facts: &SessionFacts,
        signers: Option<&Signers>,
        rebuilt: &Rebuilt,
    ) -> Result<(), AuditError> {
        if self.height >= self.windows.settlement() {
            return self.check_settlement(report, facts, rebuilt).await;
        }
        let (session, supplier) = (self.record.session.as_str(), self.record.supplier.as_str());
        let Some(claim) = self.chain.claim(session, supplier).await? else {
            self.check_absence(report);
            return Ok(());
        };
        let root = self.root(rebuilt);
        let claimed = Digest::try_from(claim.root_hash.as_ref()).unwrap_or(Digest::EMPTY);
        if claimed == root {
            report.agrees(
                "claim",
                format!(
                    "the chain holds it: {} relays, {} compute units",
                    root.count(),
                    root.sum()
                ),
            );
        } else {
            let text = format!("the chain holds {}, the leaves give {}", shown(&claimed), shown(&root));
            report.differs("claim", text);
        }
        if self.height < self.windows.seed {
            report.agrees("proof", "it is not decided yet whether one is asked for");
            return Ok(());
        }
        self.check_proof(report, facts, signers, &claim).await
    }

    /// The chain has no claim, before the settlement.
    fn check_absence(&self, report: &mut Report) {
        let state = self.record.state;
        match state {
            SessionState::ClaimSkipped => report.agrees("claim", "none was sent"),
            SessionState::Active | SessionState::Claiming if self.height < self.windows.claim_close => {
                let (open, close) = (self.windows.claim_open, self.windows.claim_close);
                report.agrees(
                    "claim",
                    format!("there is none yet; its window is blocks {open} to {close}"),
                );
            }
            _ if self.record.relays == 0 => report.agrees("claim", "there is none, and no relay"),
            _ => report.differs(
                "claim",
                format!("the chain holds none, the session is {}", state.as_str()),
            ),
        }
    }

    /// Whether a proof is asked for, there, or can be made.
    async fn check_proof(
        &self,
        report: &mut Report,
        facts: &SessionFacts,
        signers: Option<&Signers>,
        claim: &Claim,
    ) -> Result<(), AuditError> {
        if claim.proof_validation_status() == ClaimProofStatus::Validated {
            report.agrees("proof", "the chain has it and found it valid");
            return Ok(());
        }
        let seed = self.chain.block(self.windows.seed).await?;
        let claimed = Digest::try_from(claim.root_hash.as_ref()).unwrap_or(Digest::EMPTY);
        let terms = ProofTerms::try_from(&*self.chain.proof_params().await?);
        let (Some(worth), Ok(terms)) = (facts.worth(&claimed), terms) else {
            report.cannot_tell("proof", "the chain's parameters give no amount");
            return Ok(());
        };
        let is_invalid = claim.proof_validation_status() == ClaimProofStatus::Invalid;
        if !is_invalid && proof_requirement(claim, worth, &seed.hash, &terms) == ProofRequirement::NotRequired {
            report.agrees("proof", "none is asked for");
            return Ok(());
        }
        let Some(signers) = signers else {
            report.cannot_tell("proof", "the chain does not say whose signatures it must have");
            return Ok(());
        };
        let told = if is_invalid {
            "the chain found it invalid"
        } else {
            "one is due"
        };
        let record = &self.record;
        let nodes = self.store.tree(&record.supplier, &record.session);
        let path = Path(proof_path(&seed.hash, record.session.as_str()));
        let proof = match closest(&nodes, claimed, path).await {
            Ok(proof) => proof,
            Err(LoadError::Store(error)) => return Err(error.into()),
            Err(damage) => {
                report.differs(
                    "proof",
                    format!("{told}, it cannot be made from what is stored: {damage}"),
                );
                return Ok(());
            }
        };
        let message = MsgSubmitProof {
            supplier_operator_address: record.supplier.to_string(),
            session_header: claim.session_header.clone(),
            proof: proof.compact().encode(),
        };
        let proof_facts = ProofFacts {
            session: &facts.session,
            windows: self.windows,
            claim,
            seed_block_hash: &seed.hash,
            target: &facts.target,
            ring: &signers.ring,
            supplier_key: &signers.supplier_key,
        };
        // Whatever the height is: it is asked whether it would pass in its window.
        let height = self.windows.proof_close;
        match check_proof(
            &message,
            &proof_facts,
            height,
            &Verifier::new(Limits { table_bytes: 0 }),
        ) {
            Ok(()) if is_invalid => report.differs("proof", format!("{told}; what is stored gives one that passes")),
            Ok(()) => report.agrees("proof", format!("{told}; what is stored gives one that passes")),
            Err(broken) => report.differs("proof", format!("{told}, what is stored gives a wrong one: {broken}")),
        }
        Ok(())
    }

    /// What the settlement block did with the claim.
    async fn check_settlement(
        &self,
        report: &mut Report,
        facts: &SessionFacts,
        rebuilt: &Rebuilt,
    ) -> Result<(), AuditError> {
        let height = self.windows.settlement();
        let Some(results) = results(self.chain, height).await? else {
            report.cannot_tell("settlement", format!("the node does not keep block {height} any more"));
            return Ok(());
        };
        let settlement = settlement_of(&self.record, &results);
        // The miner writes "unknown" when the block was gone already.
        let written = self
            .record
            .settlement
            .as_deref()
            .filter(|written| *written != "unknown");
        if let Some(written) = written.filter(|written| *written != settlement.as_str()) {
            let text = format!("Redis says {written}, block {height} says {}", settlement.as_str());
            report.differs("settlement", text);
            return Ok(());
        }
        let root = self.root(rebuilt);
        match &settlement {
            Settlement::Settled { claimed, proven } => {
                let how = if *proven { "proven" } else { "not asked to be proven" };
                let told = format!("settled in block {height}, {how}: {claimed} claimed");
                match facts.worth(&root) {
                    Some(worth) if worth == *claimed => report.agrees("settlement", told),
                    Some(worth) => report.differs("settlement", format!("{told}, the relays are worth {worth}")),
                    None => report.cannot_tell("settlement", told),
                }
            }
            Settlement::Expired(reason) => {
                report.differs(
                    "settlement",
                    format!("expired in block {height}, the supplier was slashed: {reason}"),
                );
            }
            Settlement::Discarded(reason) => {
                report.differs("settlement", format!("discarded in block {height}: {reason}"));
            }
            Settlement::Absent if self.record.relays == 0 || self.record.state == SessionState::ClaimSkipped => {
                report.agrees("settlement", "there was nothing to settle");
            }
            Settlement::Absent => report.differs("settlement", format!("block {height} settled no claim of it")),
        }
        Ok(())
    }
}
