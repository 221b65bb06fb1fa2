//! Rehearsing a claim: its own rules, and one leaf that is proven for trial.

use pocket_proto::pocket::proof::MsgCreateClaim;
use pocket_protocol::claim::proof_path;
use pocket_rules::{ClaimFacts, check_claim, check_relay};
use pocket_smst::{ClosestProof, LoadError, Path};

use super::alert::Subject;
use super::{Fault, Rehearsal, SessionFacts, Signers, Verdict};
use crate::Deps;
use crate::claim::{Due, Finding};
use crate::lifecycle::Event;
use crate::proof::closest;
use crate::repair::Repair;

/// Why a claim is not sent now.
pub(crate) enum Withheld {
    /// This is to become of its session.
    Finding(Finding),
    /// Its stored tree is damaged, and is to be [mended](Rehearsal::mend) first.
    Damaged,
}

impl From<Finding> for Withheld {
    fn from(finding: Finding) -> Self {
        Self::Finding(finding)
    }
}

impl Rehearsal {
    /// Whether a claim is to be sent now.
    pub async fn claim(&self, deps: &Deps, due: &Due, message: &MsgCreateClaim) -> Result<(), Withheld> {
        let facts = SessionFacts::of(&deps.chain, &due.record).await;
        if let Ok(facts) = &facts {
            self.check_profit(deps, due, facts).await?;
        }
        if self.is_off() {
            return Ok(());
        }
        let mut opened = None;
        let verdict = match facts {
            Ok(facts) => self.try_claim(deps, due, message, &facts, &mut opened).await?,
            Err(error) => Verdict::Unknown(error.to_string()),
        };
        match self.tell(deps, &subject(due, opened.as_ref()), verdict) {
            Some(fault) if self.enforces() => Err(hold_back(deps, due, &fault).into()),
            _ => Ok(()),
        }
    }

    /// Builds a damaged tree anew from its leaves; tells what is to become of its session then.
    pub async fn mend(&self, deps: &Deps, repair: &Repair<'_>, due: &Due) -> Finding {
        let (record, root) = (&due.record, due.root);
        tracing::error!(session = %record.session, %root, "a sealed tree is damaged");
        let rebuilt = match repair.run().await {
            Ok(rebuilt) => rebuilt,
            Err(error) => return Finding::Later(error.to_string()),
        };
        deps.metrics.rebuilt(record, Some(root), rebuilt);
        if rebuilt == root {
            return Finding::Later("its tree is mended".to_owned());
        }
        if !rebuilt.is_empty() {
            // What is left can be proven, what was sealed cannot.
            return Finding::OtherRoot(rebuilt);
        }
        // Whatever the mode is: the chain would take the claim, and slash the supplier for the proof.
        let lost = Fault::tree("not one leaf of the tree is left");
        self.tell(deps, &subject(due, None), Verdict::Failed(lost.clone()));
        hold_back(deps, due, &lost)
    }

    async fn try_claim(
        &self,
        deps: &Deps,
        due: &Due,
        message: &MsgCreateClaim,
        facts: &SessionFacts,
        opened: &mut Option<ClosestProof>,
    ) -> Result<Verdict, Withheld> {
        let claim_facts = ClaimFacts {
            session: &facts.session,
            windows: due.windows,
            compute_units: facts.compute_units,
        };
        if let Err(broken) = check_claim(message, &claim_facts, deps.feed.height() + 1) {
            return Ok(Verdict::Failed(broken.into()));
        }
        // Which path the chain will choose is not known yet: the root chooses one for the trial.
        let path = Path(proof_path(due.root.as_ref(), due.record.session.as_str()));
        let nodes = deps.store.tree(&due.record.supplier, &due.record.session);
        let proof = match closest(&nodes, due.root, path).await {
            Ok(proof) => opened.insert(proof),
            Err(LoadError::Store(error)) => return Ok(Verdict::Unknown(error.to_string())),
            Err(LoadError::Missing(_) | LoadError::Corrupt(_)) => return Err(Withheld::Damaged),
        };
        let signers = match Signers::of(&deps.chain, &due.record).await {
            Ok(signers) => signers,
            Err(error) => return Ok(Verdict::Unknown(error.to_string())),
        };
        let (relay, facts) = (proof.value().unwrap_or_default(), facts.clone());
        let (supplier, verifier) = (due.record.supplier.clone(), self.verifier.clone());
        // A ring signature takes a fraction of a millisecond: not on a thread that others wait for.
        let checking = tokio::task::spawn_blocking(move || match facts.header() {
            Ok(header) => {
                let facts = signers.relay_facts(header, &facts.target, supplier.as_str());
                match check_relay(&relay, &facts, &verifier) {
                    Ok(()) => Verdict::Passed,
                    Err(broken) => Verdict::Failed(broken.into()),
                }
            }
            Err(error) => Verdict::Unknown(error.to_string()),
        });
        Ok(checking.await.expect("checking a relay does not panic"))
    }
}

fn subject<'a>(due: &'a Due, opened: Option<&'a ClosestProof>) -> Subject<'a> {
    Subject {
        phase: "claim",
        record: &due.record,
        root: due.root,
        opened,
    }
}

/// What is wrong may be mended while the window is open: by an operator, or by relays that come again.
fn hold_back(deps: &Deps, due: &Due, fault: &Fault) -> Finding {
    let height = deps.feed.height();
    if height + 1 < due.windows.claim_close {
        return Finding::NextBlock(height, fault.to_string());
    }
    Finding::Event(Event::ClaimRefused(fault.to_string()), None)
}
