//! The verdict on a block's proofs, at its end (spec `claims-and-proofs.md` §4.2).

use std::sync::Arc;

use pocket_proto::pocket::proof::{Claim, ClaimProofStatus, Proof};
use pocket_proto::pocket::service::RelayRequest;
use pocket_protocol::claim::proof_path;
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, PLACEHOLDER_PUBLIC_KEY};
use pocket_protocol::{Height, ring_addresses};
use pocket_ring::{Limits, PublicKey, Verifier, VerifyError};
use pocket_rules::{
    BrokenRule, OpenedProof, RingFault, check_path, check_request_signature, check_response_signature, check_root,
    decode_relay,
};
use pocket_smst::{Digest, ProofError};

use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::identify;
use crate::chain::refusal::{Refusal, proof, ring};
use crate::chain::requirement::seed_height;
use crate::chain::state::State;

/// Checks and removes all proofs; the verdicts stay with the claims.
pub fn check_proofs(state: &mut State, context: &Context<'_>) -> Vec<Event> {
    let proofs = std::mem::take(&mut state.proofs);
    let mut events = Vec::new();
    for (key, submitted) in proofs {
        let claim = Arc::clone(state.claims.get(&key).expect("a proof is stored only for a claim"));
        let verdict = check(state, context, &claim, &submitted);
        let status = if verdict.is_ok() {
            ClaimProofStatus::Validated
        } else {
            ClaimProofStatus::Invalid
        };
        let checked = Claim {
            proof_validation_status: status.into(),
            ..Claim::clone(&claim)
        };
        let reason = verdict.err().map_or_else(String::new, |reason| reason.to_string());
        let event = Event::new("pocket.proof.EventProofValidityChecked")
            .with_integer("block_height", context.height)
            .with("failure_reason", reason);
        events.push(identify(event, &checked));
        state.claims.insert(key, Arc::new(checked));
    }
    events
}

/// Why a proof is not valid.
#[derive(Debug, thiserror::Error)]
enum Invalid {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The tree's library gives its own error.
    #[error("bad proof\n{0}")]
    Tree(#[from] ProofError),
}

fn check(state: &State, context: &Context<'_>, claim: &Claim, submitted: &Proof) -> Result<(), Invalid> {
    let operator = &submitted.supplier_operator_address;
    let supplier_key = public_key(state, operator)?;
    let opened = OpenedProof::open(&submitted.closest_merkle_proof).map_err(Refusal::from)?;
    let relay = decode_relay(&opened.relay_bytes).map_err(Refusal::from)?;
    check_request(state, &relay.req.unwrap_or_default())?;
    check_response_signature(&relay.res.unwrap_or_default(), &supplier_key).map_err(Refusal::from)?;

    let header = submitted.session_header.clone().unwrap_or_default();
    let seed = context.hash(seed_height(state, header.session_end_block_height));
    check_path(&opened.proof, &proof_path(seed, &header.session_id)).map_err(Refusal::from)?;
    let root =
        Digest::try_from(claim.root_hash.as_ref()).map_err(|error| proof::INVALID_ROOT.wrap(error.to_string()))?;
    check_root(&opened.proof, &root).map_err(|broken| match broken {
        BrokenRule::Root {
            reason: Some(error), ..
        } => Invalid::Tree(error),
        broken => Invalid::Refused(broken.into()),
    })
}

fn public_key(state: &State, address: &str) -> Result<[u8; 33], Refusal> {
    let account = state
        .bank
        .account(address)
        .ok_or_else(|| proof::ACCOUNT_NOT_FOUND.wrap(address))?;
    account
        .public_key
        .ok_or_else(|| proof::PUBLIC_KEY_NOT_FOUND.wrap(address))
}

/// The request was signed by a member of the application's ring at the session's end.
fn check_request(state: &State, request: &RelayRequest) -> Result<(), Refusal> {
    let header = request.meta.as_ref().and_then(|meta| meta.session_header.as_ref());
    let header = header.cloned().unwrap_or_default();
    let refuse = |detail: String| ring::INVALID_RELAY_REQUEST_SIGNATURE.wrap(detail);
    let application = state.applications.get(&header.application_address);
    let application = application.ok_or_else(|| refuse("application not found".to_owned()))?;
    let mut allowed = Vec::new();
    for address in ring_addresses(application, Height(header.session_end_block_height)) {
        let key = if address == PLACEHOLDER_ADDRESS {
            PLACEHOLDER_PUBLIC_KEY
        } else {
            public_key(state, &address)?
        };
        allowed.push(PublicKey::parse(&key).map_err(|_| refuse(format!("key of {address} is not on the curve")))?);
    }
    let verifier = Verifier::new(Limits { table_bytes: 0 });
    check_request_signature(request, &allowed, &verifier).map_err(|broken| match broken {
        BrokenRule::RingSignature(RingFault::Signature(VerifyError::Stranger(_))) => refuse(format!(
            "ring signature in the relay request does not match the expected one for the app {}",
            application.address
        )),
        broken => broken.into(),
    })
}
