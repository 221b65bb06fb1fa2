//! Proofs, when they come: all checks of the chain that precede the block's end, in its order
//! (spec `claims-and-proofs.md` §4.1).

use std::sync::Arc;

use pocket_proto::pocket::proof::{Claim, MsgSubmitProof, Proof};
use pocket_proto::pocket::service::Relay;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::Height;
use pocket_protocol::claim::ProofRequirement;
use pocket_rules::{
    BrokenRule, OpenedProof, check_claim_header, check_difficulty, check_proof_window, check_relay_form, decode_relay,
};
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
    let relay_bytes = OpenedProof::open(&message.proof)?.relay_bytes;
    check_relay(&decode_relay(&relay_bytes)?, header, operator)?;
    check_target(state, header, &relay_bytes)?;
    check_claim(state, header, operator)
}

fn check_window(state: &State, context: &Context<'_>, header: &SessionHeader) -> Result<(), Refusal> {
    let windows = state.windows(header.session_end_block_height);
    Ok(check_proof_window(&windows, Height(context.height))?)
}

fn check_relay(relay: &Relay, header: &SessionHeader, operator: &str) -> Result<(), Refusal> {
    check_relay_form(relay, header, operator).map_err(|broken| {
        // What is malformed the chain tells with the relay's own words.
        let told = match &broken {
            BrokenRule::Request(_) => validate::relay_request(&relay.req.clone().unwrap_or_default()),
            BrokenRule::Response(_) => validate::relay_response(&relay.res.clone().unwrap_or_default()),
            _ => Ok(()),
        };
        told.err().unwrap_or_else(|| broken.into())
    })
}

fn check_target(state: &State, header: &SessionHeader, relay: &[u8]) -> Result<(), Refusal> {
    let service = &header.service_id;
    let difficulty = state.difficulty_at(service, header.session_start_block_height);
    check_difficulty(relay, &difficulty.target_hash).map_err(|broken| {
        let inner = Refusal::from(broken);
        let detail = format!("failed to validate relay difficulty for service {service} due to: {inner}");
        proof::INVALID_DIFFICULTY.wrap(detail)
    })
}

fn check_claim(state: &State, header: &SessionHeader, operator: &str) -> Result<(), Refusal> {
    let id = &header.session_id;
    let Some(claim) = state.claim(id, operator) else {
        let detail = format!("no claim found for session ID {id:?} and supplier {operator:?}");
        return Err(proof::CLAIM_NOT_FOUND.wrap(detail));
    };
    Ok(check_claim_header(header, claim.session_header.as_ref())?)
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
