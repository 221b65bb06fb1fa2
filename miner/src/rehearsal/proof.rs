//! Rehearsing a proof: all that the chain will hold against it.

use pocket_proto::pocket::proof::{Claim, MsgSubmitProof};
use pocket_rules::{OpenedProof, ProofFacts, check_proof};

use super::alert::Subject;
use super::{Fault, Rehearsal, SessionFacts, Signers, Verdict};
use crate::Deps;
use crate::claim::{Due, Finding};

/// So many blocks before the window closes a proof is sent whatever its rehearsal said: one that is missing is slashed
/// for certain, one that is wrong no worse.
const LAST_CHANCE: i64 = 2;

impl Rehearsal {
    /// Whether a proof is to be sent now; if not, when it is looked at again.
    pub async fn proof(
        &self,
        deps: &Deps,
        due: &Due,
        claim: &Claim,
        seed_block_hash: &[u8],
        message: &MsgSubmitProof,
    ) -> Result<(), Finding> {
        if self.is_off() {
            return Ok(());
        }
        let verdict = self.try_proof(deps, due, claim, seed_block_hash, message).await;
        let opened = OpenedProof::open(&message.proof).ok().map(|opened| opened.proof);
        let subject = Subject {
            phase: "proof",
            record: &due.record,
            root: claim.root_hash.as_ref().try_into().unwrap_or(due.root),
            opened: opened.as_ref(),
        };
        let Some(fault) = self.tell(deps, &subject, verdict).filter(|_| self.enforces()) else {
            return Ok(());
        };
        let height = deps.feed.height();
        if height + LAST_CHANCE >= due.windows.proof_close {
            tracing::error!(session = %due.record.session, "a proof that failed its rehearsal is sent, as the last chance");
            return Ok(());
        }
        Err(Finding::NextBlock(height, fault.to_string()))
    }

    /// Tells that a proof cannot be built, since its tree is lost.
    pub fn lost_tree(&self, deps: &Deps, due: &Due, reason: &str) {
        if self.is_off() {
            return;
        }
        let subject = Subject {
            phase: "proof",
            record: &due.record,
            root: due.root,
            opened: None,
        };
        self.tell(deps, &subject, Verdict::Failed(Fault::tree(reason)));
    }

    async fn try_proof(
        &self,
        deps: &Deps,
        due: &Due,
        claim: &Claim,
        seed_block_hash: &[u8],
        message: &MsgSubmitProof,
    ) -> Verdict {
        let record = &due.record;
        let asked = tokio::try_join!(SessionFacts::of(&deps.chain, record), Signers::of(&deps.chain, record));
        let (facts, signers) = match asked {
            Ok(asked) => asked,
            Err(error) => return Verdict::Unknown(error.to_string()),
        };
        let (claim, message, seed) = (claim.clone(), message.clone(), seed_block_hash.to_vec());
        let (windows, next, verifier) = (due.windows, deps.feed.height() + 1, self.verifier.clone());
        // A ring signature takes a fraction of a millisecond: not on a thread that others wait for.
        let checking = tokio::task::spawn_blocking(move || {
            let facts = ProofFacts {
                session: &facts.session,
                windows,
                claim: &claim,
                seed_block_hash: &seed,
                target: &facts.target,
                ring: &signers.ring,
                supplier_key: &signers.supplier_key,
            };
            check_proof(&message, &facts, next, &verifier)
        });
        match checking.await.expect("checking a proof does not panic") {
            Ok(()) => Verdict::Passed,
            Err(broken) => Verdict::Failed(broken.into()),
        }
    }
}
