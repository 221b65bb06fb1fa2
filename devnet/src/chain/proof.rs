//! Proofs, when they come: all checks of the chain that precede the block's end, in its order
//! (spec `claims-and-proofs.md` §4.1).

use std::sync::Arc;

use bytes::Bytes;
use pocket_proto::pocket::proof::{Claim, MsgSubmitProof, Proof};
use pocket_proto::pocket::service::Relay;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::difficulty::{is_mined, multiplier};
use pocket_smst::{ClosestProof, CompactClosestProof};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::chain::bank::DENOM;
use crate::chain::claim::session_of;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::Figures;
use crate::chain::refusal::{HandlerError, Refusal, proof};
use crate::chain::requirement::{requirement, terms};
use crate::chain::state::State;
use crate::chain::validate;

/// Checks and stores a proof, and charges for it; the block's end decides whether it is valid.
pub fn submit(state: &mut State, context: &Context<'_>, message: &MsgSubmitProof) -> Result<Vec<Event>, HandlerError> {
    let status = |code| move |refusal: Refusal| HandlerError::new(code, &refusal);
    validate::submit_proof(message).map_err(status(Code::InvalidArgument))?;
    let header = message.session_header.as_ref().expect("validated above");
    let operator = &message.supplier_operator_address;
    check_form(state, context, message, header).map_err(status(Code::FailedPrecondition))?;
    let key = (header.session_id.clone(), operator.clone());
    let claim = Arc::clone(state.claims.get(&key).expect("the checks looked it up"));
    charge(state, operator).map_err(status(Code::FailedPrecondition))?;
    let required = requirement(state, context, &claim).map_err(status(Code::Internal))?;
    if required == ProofRequirement::NotRequired {
        return Err(HandlerError::new(Code::FailedPrecondition, &proof::NOT_REQUIRED.bare()));
    }
    let figures = Figures::of(state, &claim).map_err(status(Code::Internal))?;
    let stored = Proof {
        supplier_operator_address: operator.clone(),
        session_header: Some(header.clone()),
        closest_merkle_proof: message.proof.clone(),
    };
    let former = state.proofs.insert(key, Arc::new(stored));
    let kind = if former.is_some() {
        "pocket.proof.EventProofUpdated"
    } else {
        "pocket.proof.EventProofSubmitted"
    };
    let pending = Claim {
        proof_validation_status: 0,
        ..Claim::clone(&claim)
    };
    Ok(vec![figures.describe(Event::new(kind), &pending)])
}

/// A proof's bytes taken apart.
pub struct Opened {
    /// The path, the leaf and its side nodes.
    pub proof: ClosestProof,
    /// The leaf's value.
    pub relay_bytes: Bytes,
    /// The same, read.
    pub relay: Relay,
}

/// Decodes a proof and the relay in its leaf.
pub fn open(bytes: &[u8]) -> Result<Opened, Refusal> {
    let compact = CompactClosestProof::decode(bytes).map_err(|error| {
        proof::INVALID_PROOF.wrap(format!(
            "failed to unmarshal sparse compact merkle closest proof: {error}"
        ))
    })?;
    let malformed = |reason: String| {
        proof::INVALID_PROOF.wrap(format!("failed to decompact sparse merkle closest proof: {reason}"))
    };
    let closest = compact.decompact().map_err(|error| malformed(error.to_string()))?;
    let relay_bytes = closest
        .value()
        .ok_or_else(|| malformed("the leaf's value is cut off".to_owned()))?;
    let relay = Relay::decode(relay_bytes.clone())
        .map_err(|error| proof::INVALID_RELAY.wrap(format!("failed to unmarshal relay: {error}")))?;
    Ok(Opened {
        proof: closest,
        relay_bytes,
        relay,
    })
}

fn check_form(
    state: &State,
    context: &Context<'_>,
    message: &MsgSubmitProof,
    header: &SessionHeader,
) -> Result<(), Refusal> {
    let operator = &message.supplier_operator_address;
    let session = session_of(state, context, header, operator)?;
    // From here on the chain's own header counts.
    let header = session.header.as_ref().expect("a hydrated session has a header");
    check_window(state, context, header)?;
    let opened = open(&message.proof)?;
    check_relay(&opened.relay, header, operator)?;
    check_difficulty(state, header, &opened.relay_bytes)?;
    check_claim(state, header, operator)
}

fn check_window(state: &State, context: &Context<'_>, header: &SessionHeader) -> Result<(), Refusal> {
    let windows = state.windows(header.session_end_block_height);
    let height = context.height;
    if height < windows.proof_open.0 {
        let open = windows.proof_open;
        let detail =
            format!("current block height ({height}) is less than session's earliest proof commit height ({open})");
        return Err(proof::PROOF_WINDOW.wrap(detail));
    }
    if height > windows.proof_close.0 {
        let close = windows.proof_close;
        let detail =
            format!("current block height ({height}) is greater than session proof window close height ({close})");
        return Err(proof::PROOF_WINDOW.wrap(detail));
    }
    Ok(())
}

fn check_relay(relay: &Relay, header: &SessionHeader, operator: &str) -> Result<(), Refusal> {
    let request = relay.req.clone().unwrap_or_default();
    validate::relay_request(&request)?;
    let request = request.meta.unwrap_or_default();
    if request.supplier_operator_address != operator {
        return Err(proof::SUPPLIER_MISMATCH.wrap("supplier type mismatch"));
    }
    let response = relay.res.clone().unwrap_or_default();
    validate::relay_response(&response)?;
    let response = response.meta.unwrap_or_default();
    compare_headers(header, &request.session_header.unwrap_or_default())?;
    compare_headers(header, &response.session_header.unwrap_or_default())
}

fn compare_headers(expected: &SessionHeader, got: &SessionHeader) -> Result<(), Refusal> {
    let text = |what: &str, word: &str, expected: &str, got: &str| {
        (expected != got).then(|| format!("session headers {what} mismatch; {word}: {expected:?}, got: {got:?}"))
    };
    let height = |what: &str, expected: i64, got: i64| {
        (expected != got).then(|| format!("session headers {what} mismatch; expected: {expected}, got: {got}"))
    };
    let (theirs, ours) = (got, expected);
    let difference = text(
        "application addresses",
        "expect",
        &ours.application_address,
        &theirs.application_address,
    )
    .or_else(|| text("service IDs", "expected", &ours.service_id, &theirs.service_id))
    .or_else(|| {
        height(
            "session start heights",
            ours.session_start_block_height,
            theirs.session_start_block_height,
        )
    })
    .or_else(|| {
        height(
            "session end heights",
            ours.session_end_block_height,
            theirs.session_end_block_height,
        )
    })
    .or_else(|| text("session IDs", "expected", &ours.session_id, &theirs.session_id));
    difference.map_or(Ok(()), |detail| Err(proof::INVALID_RELAY.wrap(detail)))
}

fn check_difficulty(state: &State, header: &SessionHeader, relay: &[u8]) -> Result<(), Refusal> {
    let service = &header.service_id;
    let target = state
        .difficulty_at(service, header.session_start_block_height)
        .target_hash;
    let hash: [u8; 32] = Sha256::digest(relay).into();
    if is_mined(&hash, &target) {
        return Ok(());
    }
    let shown = |target: &[u8]| multiplier(target).map_or_else(|error| error.to_string(), |ratio| ratio.to_string());
    let (reached, wanted) = (shown(&hash), shown(&target));
    let inner = proof::INVALID_RELAY.wrap(format!(
        "the difficulty relay being proven is ({reached}), and is smaller than the target difficulty ({wanted})"
    ));
    let detail = format!("failed to validate relay difficulty for service {service} due to: {inner}");
    Err(proof::INVALID_DIFFICULTY.wrap(detail))
}

fn check_claim(state: &State, header: &SessionHeader, operator: &str) -> Result<(), Refusal> {
    let id = &header.session_id;
    let Some(claim) = state.claim(id, operator) else {
        let detail = format!("no claim found for session ID {id:?} and supplier {operator:?}");
        return Err(proof::CLAIM_NOT_FOUND.wrap(detail));
    };
    let claimed = claim.session_header.clone().unwrap_or_default();
    let (theirs, ours) = (claimed.session_start_block_height, header.session_start_block_height);
    if theirs != ours {
        let detail = format!("claim session start height {theirs} does not match proof session start height {ours}");
        return Err(proof::INVALID_SESSION_START.wrap(detail));
    }
    let (theirs, ours) = (claimed.session_end_block_height, header.session_end_block_height);
    if theirs != ours {
        let detail = format!("claim session end height {theirs} does not match proof session end height {ours}");
        return Err(proof::INVALID_SESSION_END.wrap(detail));
    }
    let (theirs, ours) = (&claimed.application_address, &header.application_address);
    if theirs != ours {
        let detail = format!("claim application address {theirs:?} does not match proof application address {ours:?}");
        return Err(proof::INVALID_ADDRESS.wrap(detail));
    }
    let (theirs, ours) = (&claimed.service_id, &header.service_id);
    if theirs != ours {
        let detail = format!("claim service ID {theirs:?} does not match proof service ID {ours:?}");
        return Err(proof::INVALID_SERVICE.wrap(detail));
    }
    Ok(())
}

/// The fee is charged from an account that has more than it, even if the fee is nothing.
fn charge(state: &mut State, operator: &str) -> Result<(), Refusal> {
    let (balance, fee) = (state.bank.balance(operator), terms(state).submission_fee.0);
    if balance == 0 {
        return Err(proof::NOT_ENOUGH_FUNDS.wrap("account has no spendable coins"));
    }
    if balance <= fee {
        let detail = format!("account has {balance}, but the proof submission fee is {fee}{DENOM}");
        return Err(proof::NOT_ENOUGH_FUNDS.wrap(detail));
    }
    state
        .bank
        .transfer_to_module(operator, "proof", fee)
        .map_err(|_| proof::FEE_DEDUCTION.wrap(format!("account has {balance}, failed to deduct {fee}{DENOM}")))
}
