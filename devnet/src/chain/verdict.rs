//! The verdict on a block's proofs, at its end (spec `claims-and-proofs.md` §4.2).

use std::sync::Arc;

use pocket_proto::pocket::proof::{Claim, ClaimProofStatus, Proof};
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_protocol::claim::proof_path;
use pocket_protocol::relay::{request_signable_hash, response_signable_hash};
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, PLACEHOLDER_PUBLIC_KEY};
use pocket_protocol::signature::verify_response;
use pocket_protocol::{Height, ring_addresses};
use pocket_ring::{Limits, PublicKey, RingSignature, Verifier, VerifyError};
use pocket_smst::{Digest, ProofError};

use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::identify;
use crate::chain::proof::{Opened, open};
use crate::chain::refusal::{Refusal, proof, ring, service};
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
    let Opened {
        proof: closest, relay, ..
    } = open(&submitted.closest_merkle_proof)?;
    check_request(state, &relay.req.unwrap_or_default())?;
    check_response(&relay.res.unwrap_or_default(), &supplier_key)?;

    let header = submitted.session_header.clone().unwrap_or_default();
    let seed = context.hash(seed_height(state, header.session_end_block_height));
    let expected = proof_path(seed, &header.session_id);
    if closest.path.0 != expected {
        let (given, expected) = (hex::encode(closest.path.0), hex::encode(expected));
        let detail = format!(
            "the path of the proof provided ({given}) does not match one expected by the onchain protocol ({expected})"
        );
        return Err(proof::INVALID_PROOF.wrap(detail).into());
    }
    let root =
        Digest::try_from(claim.root_hash.as_ref()).map_err(|error| proof::INVALID_ROOT.wrap(error.to_string()))?;
    if closest.verify(&root)? {
        Ok(())
    } else {
        Err(proof::INVALID_PROOF.wrap("invalid closest merkle proof").into())
    }
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
    let meta = request.meta.clone().unwrap_or_default();
    let header = meta.session_header.unwrap_or_default();
    let refuse = |detail: String| ring::INVALID_RELAY_REQUEST_SIGNATURE.wrap(detail);
    let signature = RingSignature::parse(&meta.signature)
        .map_err(|error| refuse(format!("error deserializing ring signature: {error}")))?;
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
    let message = request_signable_hash(request);
    let verifier = Verifier::new(Limits { table_bytes: 0 });
    verifier
        .verify(&message, &signature, &allowed)
        .map_err(|error| match error {
            VerifyError::Stranger(_) => refuse(format!(
                "ring signature in the relay request does not match the expected one for the app {}",
                application.address
            )),
            VerifyError::KeyImage | VerifyError::Mismatch => {
                refuse("invalid relay request signature or bytes".to_owned())
            }
        })
}

fn check_response(response: &RelayResponse, supplier_key: &[u8; 33]) -> Result<(), Refusal> {
    let meta = response.meta.clone().unwrap_or_default();
    verify_response(
        &response_signable_hash(response),
        supplier_key,
        &meta.supplier_operator_signature,
    )
    .map_err(|_| service::INVALID_RELAY_RESPONSE.wrap("invalid signature"))
}
