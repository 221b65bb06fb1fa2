//! From a claim to a proof in a block that the chain found valid, or to the certainty that none is due.

use bytes::Bytes;
use pocket_proto::pocket::proof::{Claim, ClaimProofStatus, MsgSubmitProof};
use pocket_proto::type_url;
use pocket_protocol::claim::{ProofRequirement, ProofTerms, proof_path, proof_requirement};
use pocket_protocol::reward::{Price, claimed_upokt};
use pocket_protocol::{ComputeUnits, SessionId, SupplierAddress};
use pocket_query::QueryError;
use pocket_smst::{ClosestProof, Digest, LoadError, Path, Tree};
use pocket_store::{Lease, SessionRecord, StoreError, TreeStore};
use pocket_tx::ChainRefusal;
use prost::Message as _;
use prost_types::Any;

use crate::claim::{Due, Finding};
use crate::lifecycle::Event;
use crate::rehearsal::Rehearsal;
use crate::repair::Repair;
use crate::submit::{Item, Outcome, Submitter};
use crate::{Deps, Settings};

/// Proves sessions of one supplier that end at the same height, those that the chain asks a proof of.
pub(crate) async fn prove(
    deps: &Deps,
    settings: &Settings,
    supplier: &SupplierAddress,
    lease: &Lease,
    rehearsal: &Rehearsal,
    due: Vec<Due>,
) -> Vec<(SessionId, Finding)> {
    let Some(windows) = due.first().map(|due| due.windows) else {
        return Vec::new();
    };
    let (mut findings, mut items) = (Vec::with_capacity(due.len()), Vec::new());
    for due in due {
        let repair = Repair::of(deps, settings, lease, &due.record);
        match decide(deps, supplier, &repair, rehearsal, &due).await {
            Ok(Decision::Prove(message)) => items.push(Item {
                session: due.record.session,
                message,
            }),
            Ok(Decision::Done(event)) => findings.push((due.record.session, Finding::Event(event, None))),
            Ok(Decision::HeldBack(finding)) => findings.push((due.record.session, finding)),
            Err(error) => findings.push((due.record.session, Finding::Later(error.to_string()))),
        }
    }
    let (batch, close) = (settings.proofs_a_transaction, windows.proof_close);
    let submitter = Submitter {
        tx: &deps.tx,
        feed: &deps.feed,
        supplier,
        batch,
        close,
        fee: &rehearsal.proof_fee,
        is_refused: settings.refused.proofs,
    };
    for (session, outcome) in submitter.submit(items).await {
        let finding = match outcome {
            Outcome::Included { tx } => verdict(deps, supplier, &session, tx).await,
            Outcome::Refused {
                reason: ChainRefusal::ProofNotRequired,
                ..
            } => Finding::Event(Event::ProofNotRequired, None),
            Outcome::Refused { text, .. } => Finding::Event(Event::ProofRefused(text), None),
            Outcome::Later(reason) => Finding::Later(reason),
        };
        findings.push((session, finding));
    }
    findings
}

enum Decision {
    Prove(Any),
    Done(Event),
    HeldBack(Finding),
}

async fn decide(
    deps: &Deps,
    supplier: &SupplierAddress,
    repair: &Repair<'_>,
    rehearsal: &Rehearsal,
    due: &Due,
) -> Result<Decision, QueryError> {
    let record = &due.record;
    let Some(claim) = deps.chain.claim(record.session.as_str(), supplier.as_str()).await? else {
        return Ok(Decision::Done(Event::ClaimAbsent));
    };
    match claim.proof_validation_status() {
        // A second proof would cost its fee again, and could only do harm.
        ClaimProofStatus::Validated => return Ok(Decision::Done(Event::ProofAccepted)),
        ClaimProofStatus::Invalid => {
            tracing::error!(session = %record.session, "the chain found the proof invalid; it is built and sent again");
        }
        ClaimProofStatus::PendingValidation => {}
    }
    let seed = deps.chain.block(due.windows.seed).await?;
    if claim.proof_validation_status() == ClaimProofStatus::PendingValidation {
        let requirement = requirement(deps, due, &claim, &seed.hash).await;
        deps.metrics.claiming.checked(supplier, &requirement);
        if requirement? == ProofRequirement::NotRequired {
            return Ok(Decision::Done(Event::ProofNotRequired));
        }
    }
    let root = Digest::try_from(claim.root_hash.as_ref()).unwrap_or(due.root);
    let path = Path(proof_path(&seed.hash, record.session.as_str()));
    match build(deps, record, repair, root, path).await {
        Ok(proof) => {
            let message = MsgSubmitProof {
                supplier_operator_address: supplier.to_string(),
                session_header: claim.session_header.clone(),
                proof,
            };
            if let Err(finding) = rehearsal.proof(deps, due, &claim, &seed.hash, &message).await {
                return Ok(Decision::HeldBack(finding));
            }
            let value = message.encode_to_vec();
            Ok(Decision::Prove(Any {
                type_url: type_url::MSG_SUBMIT_PROOF.to_owned(),
                value,
            }))
        }
        // Redis may only be away.
        Err(Unbuilt::Redis(reason)) => {
            deps.metrics.claiming.not_built(record);
            tracing::error!(session = %record.session, reason, "a required proof cannot be built");
            Err(QueryError::Unavailable(reason))
        }
        // Relays that come again may mend it.
        Err(Unbuilt::Tree(reason)) => {
            deps.metrics.claiming.not_built(record);
            tracing::error!(session = %record.session, reason, "a required proof cannot be built");
            rehearsal.lost_tree(deps, due, &reason);
            let height = deps.feed.height();
            let is_last = height + 1 >= due.windows.proof_close;
            Ok(Decision::HeldBack(if is_last {
                Finding::Later(reason)
            } else {
                Finding::NextBlock(height, reason)
            }))
        }
    }
}

/// Whether the chain wants a proof, by its own rules (spec: claims-and-proofs.md §5).
async fn requirement(deps: &Deps, due: &Due, claim: &Claim, seed: &[u8]) -> Result<ProofRequirement, QueryError> {
    let record = &due.record;
    let params = deps.chain.shared_params_at(record.start).await?;
    let target = deps
        .chain
        .difficulty_target_at(record.service.as_str(), record.start)
        .await?;
    let terms = ProofTerms::try_from(&*deps.chain.proof_params().await?).map_err(malformed)?;
    let root = Digest::try_from(claim.root_hash.as_ref()).map_err(malformed)?;
    let claimed = claimed_upokt(ComputeUnits(root.sum()), Price::from(&*params), &target).map_err(malformed)?;
    let requirement = proof_requirement(claim, claimed, seed, &terms);
    tracing::info!(session = %record.session, %claimed, ?requirement, "proof requirement");
    Ok(requirement)
}

fn malformed(error: impl std::fmt::Display) -> QueryError {
    QueryError::Malformed(error.to_string())
}

/// Why there is no proof.
enum Unbuilt {
    Redis(String),
    Tree(String),
}

impl From<LoadError<StoreError>> for Unbuilt {
    fn from(error: LoadError<StoreError>) -> Self {
        match error {
            LoadError::Store(error) => Self::Redis(error.to_string()),
            damage => Self::Tree(damage.to_string()),
        }
    }
}

/// Builds the proof's wire bytes, from a repaired tree if the stored one is damaged.
async fn build(
    deps: &Deps,
    record: &SessionRecord,
    repair: &Repair<'_>,
    root: Digest,
    path: Path,
) -> Result<Bytes, Unbuilt> {
    let nodes = deps.store.tree(repair.supplier, repair.session);
    let damage = match closest(&nodes, root, path).await {
        Err(damage @ (LoadError::Missing(_) | LoadError::Corrupt(_))) => damage,
        other => return Ok(other?.compact().encode()),
    };
    tracing::error!(error = %damage, session = %record.session, "a claimed tree is damaged");
    let rebuilt = repair.run().await?;
    deps.metrics.rebuilt(record, Some(root), rebuilt);
    if rebuilt != root {
        return Err(Unbuilt::Tree(format!(
            "the leaves that are left have root {rebuilt}, claimed is {root}"
        )));
    }
    Ok(closest(&nodes, root, path).await?.compact().encode())
}

/// The proof from the stored tree, checked as the chain will.
pub(crate) async fn closest(
    nodes: &TreeStore,
    root: Digest,
    path: Path,
) -> Result<ClosestProof, LoadError<StoreError>> {
    let mut tree = Tree::open(root);
    tree.prepare_proof(path, nodes).await?;
    let proof = tree.prove(path).map_err(|_| LoadError::Corrupt(root))?;
    match proof.verify(&root) {
        Ok(true) => Ok(proof),
        Ok(false) | Err(_) => Err(LoadError::Corrupt(root)),
    }
}

/// What the chain thinks of a proof that is in a block: it checks it at the block's end.
async fn verdict(deps: &Deps, supplier: &SupplierAddress, session: &SessionId, tx: String) -> Finding {
    match deps.chain.claim(session.as_str(), supplier.as_str()).await {
        Ok(Some(claim)) if claim.proof_validation_status() == ClaimProofStatus::Validated => {
            Finding::Event(Event::ProofAccepted, Some(tx))
        }
        Ok(None) => Finding::Later("the claim is settled".to_owned()),
        Ok(Some(claim)) => Finding::Later(format!("the proof's status is {:?}", claim.proof_validation_status())),
        Err(error) => Finding::Later(error.to_string()),
    }
}
