//! Rehearsing a claim: its own rules, and one leaf that is proven for trial.

use pocket_proto::pocket::proof::MsgCreateClaim;
use pocket_protocol::claim::proof_path;
use pocket_rules::{ClaimFacts, check_claim, check_relay};
use pocket_smst::{ClosestProof, LoadError, Path};
use pocket_store::StoreError;

use super::alert::Subject;
use super::{Fault, Rehearsal, SessionFacts, Signers, Verdict};
use crate::Deps;
use crate::claim::{Due, Finding};
use crate::lifecycle::Event;
use crate::proof::closest;
use crate::repair::Repair;

impl Rehearsal {
    /// Whether a claim is to be sent now; if not, what is to become of its session.
    pub async fn claim(
        &self,
        deps: &Deps,
        repair: &Repair<'_>,
        due: &Due,
        message: &MsgCreateClaim,
    ) -> Result<(), Finding> {
        let record = &due.record;
        let facts = SessionFacts::of(&deps.chain, record).await;
        if let Ok(facts) = &facts {
            self.check_profit(deps, due, facts).await?;
        }
        if self.is_off() {
            return Ok(());
        }
        let mut opened = None;
        let verdict = match facts {
            Ok(facts) => self.try_claim(deps, repair, due, message, &facts, &mut opened).await?,
            Err(error) => Verdict::Unknown(error.to_string()),
        };
        let subject = Subject {
            phase: "claim",
            record,
            root: due.root,
            opened: opened.as_ref(),
        };
        let Some(fault) = self.tell(deps, &subject, verdict) else {
            return Ok(());
        };
        // What is wrong may be mended while the window is open: by an operator, or by relays that come again.
        let height = deps.feed.height();
        if height + 1 < due.windows.claim_close {
            return Err(Finding::NextBlock(height, fault.to_string()));
        }
        Err(Finding::Event(Event::ClaimRefused(fault.to_string()), None))
    }

    async fn try_claim(
        &self,
        deps: &Deps,
        repair: &Repair<'_>,
        due: &Due,
        message: &MsgCreateClaim,
        facts: &SessionFacts,
        opened: &mut Option<ClosestProof>,
    ) -> Result<Verdict, Finding> {
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
        let proof = match self.open(deps, repair, due, path).await {
            Ok(proof) => opened.insert(proof),
            Err(Unopened::OtherRoot(finding)) => return Err(finding),
            Err(Unopened::Verdict(verdict)) => return Ok(verdict),
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

    /// The stored leaf that is closest to a path, from a repaired tree if the stored one is damaged.
    async fn open(&self, deps: &Deps, repair: &Repair<'_>, due: &Due, path: Path) -> Result<ClosestProof, Unopened> {
        let (record, root) = (&due.record, due.root);
        let nodes = deps.store.tree(&record.supplier, &record.session);
        match closest(&nodes, root, path).await {
            Err(LoadError::Missing(_) | LoadError::Corrupt(_)) => {}
            other => return Ok(other?),
        }
        tracing::error!(session = %record.session, %root, "a sealed tree is damaged");
        let rebuilt = repair.run().await?;
        deps.metrics.rebuilt(record, Some(root), rebuilt);
        if rebuilt == root {
            return Ok(closest(&nodes, root, path).await?);
        }
        if rebuilt.is_empty() {
            let lost = Fault::tree("not one leaf of the tree is left");
            return Err(Unopened::Verdict(Verdict::Failed(lost)));
        }
        // What is left can be proven, what was sealed cannot.
        Err(Unopened::OtherRoot(Finding::OtherRoot(rebuilt)))
    }
}

/// Why no leaf was opened.
enum Unopened {
    Verdict(Verdict),
    OtherRoot(Finding),
}

impl From<LoadError<StoreError>> for Unopened {
    fn from(error: LoadError<StoreError>) -> Self {
        Self::Verdict(match error {
            LoadError::Store(error) => Verdict::Unknown(error.to_string()),
            damage => Verdict::Failed(Fault::tree(damage)),
        })
    }
}
