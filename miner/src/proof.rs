//! From a claim to a proof in a block that the chain found valid, or to the certainty that none is due.

use bytes::Bytes;
use pocket_proto::pocket::proof::{Claim, ClaimProofStatus, MsgSubmitProof};
use pocket_proto::type_url;
use pocket_protocol::claim::{ProofRequirement, ProofTerms, proof_path, proof_requirement};
use pocket_protocol::reward::{Price, claimed_upokt};
use pocket_protocol::{ComputeUnits, SessionId, SupplierAddress};
use pocket_query::QueryError;
use pocket_smst::{Digest, LoadError, Path, Tree};
use pocket_store::{Lease, SessionRecord, StoreError, TreeStore};
use pocket_tx::ChainRefusal;
use prost::Message as _;
use prost_types::Any;

use crate::claim::{Due, Finding};
use crate::lifecycle::Event;
use crate::repair::Repair;
use crate::submit::{Item, Outcome, Submitter};
use crate::{Deps, Settings};

/// Proves sessions of one supplier that end at the same height, those that the chain asks a proof of.
pub(crate) async fn prove(
    deps: &Deps,
    settings: &Settings,
    supplier: &SupplierAddress,
    lease: &Lease,
    due: Vec<Due>,
) -> Vec<(SessionId, Finding)> {
    let Some(windows) = due.first().map(|due| due.windows) else {
        return Vec::new();
    };
    let (mut findings, mut items) = (Vec::with_capacity(due.len()), Vec::new());
    for due in due {
        match decide(deps, settings, supplier, lease, &due).await {
            Ok(Decision::Prove(message)) => items.push(Item {
                session: due.record.session,
                message,
            }),
            Ok(Decision::Done(event)) => findings.push((due.record.session, Finding::Event(event, None))),
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
}

async fn decide(
    deps: &Deps,
    settings: &Settings,
    supplier: &SupplierAddress,
    lease: &Lease,
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
    let repair = Repair {
        store: &deps.store,
        lease,
        supplier,
        session: &record.session,
        tree_bytes: settings.tree_memory.share(),
        units: None,
    };
    match build(deps, record, &repair, root, path).await {
        Ok(proof) => {
            let message = MsgSubmitProof {
                supplier_operator_address: supplier.to_string(),
                session_header: claim.session_header,
                proof,
            };
            let value = message.encode_to_vec();
            Ok(Decision::Prove(Any {
                type_url: type_url::MSG_SUBMIT_PROOF.to_owned(),
                value,
            }))
        }
        // The next block tries again: Redis may only be away.
        Err(reason) => {
            deps.metrics.claiming.not_built(record);
            tracing::error!(session = %record.session, reason, "a required proof cannot be built");
            Err(QueryError::Unavailable(reason))
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

/// Builds the proof's wire bytes, from a repaired tree if the stored one is damaged.
async fn build(
    deps: &Deps,
    record: &SessionRecord,
    repair: &Repair<'_>,
    root: Digest,
    path: Path,
) -> Result<Bytes, String> {
    let nodes = deps.store.tree(repair.supplier, repair.session);
    let damage = match proof_of(&nodes, root, path).await {
        Ok(proof) => return Ok(proof),
        Err(LoadError::Store(error)) => return Err(error.to_string()),
        Err(damage) => damage,
    };
    tracing::error!(error = %damage, session = %record.session, "a claimed tree is damaged");
    let rebuilt = repair.run().await.map_err(|error| error.to_string())?;
    deps.metrics.rebuilt(record, Some(root), rebuilt);
    if rebuilt != root {
        return Err(format!(
            "the leaves that are left have root {rebuilt}, claimed is {root}"
        ));
    }
    proof_of(&nodes, root, path).await.map_err(|error| error.to_string())
}

/// The proof from the stored tree, checked as the chain will.
async fn proof_of(nodes: &TreeStore, root: Digest, path: Path) -> Result<Bytes, LoadError<StoreError>> {
    let mut tree = Tree::open(root);
    tree.prepare_proof(path, nodes).await?;
    let proof = tree.prove(path).map_err(|_| LoadError::Corrupt(root))?;
    match proof.verify(&root) {
        Ok(true) => Ok(proof.compact().encode()),
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
