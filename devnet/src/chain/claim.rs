//! Claims: all checks of the chain, in its order (spec `claims-and-proofs.md` §3).

use std::sync::Arc;

use pocket_proto::pocket::proof::{Claim, ClaimProofStatus, MsgCreateClaim};
use pocket_proto::pocket::session::{Session, SessionHeader};
use pocket_protocol::claim::RootTotals;
use pocket_protocol::{ComputeUnits, Height};
use pocket_rules::{check_claim_window, check_compute_units, check_session};
use tonic::Code;

use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::Figures;
use crate::chain::refusal::{HandlerError, Refusal, proof};
use crate::chain::session::{SessionRefusal, get_session};
use crate::chain::state::State;
use crate::chain::validate;

/// Checks and stores a claim; a second one replaces the first.
pub fn create(state: &mut State, context: &Context<'_>, message: &MsgCreateClaim) -> Result<Vec<Event>, HandlerError> {
    let status = |code| move |refusal: Refusal| HandlerError::new(code, &refusal);
    validate::create_claim(message).map_err(status(Code::InvalidArgument))?;
    let header = message.session_header.as_ref().expect("validated above");
    let operator = &message.supplier_operator_address;
    session_of(state, context, header, operator).map_err(status(Code::InvalidArgument))?;
    check_window(state, context, header).map_err(status(Code::FailedPrecondition))?;
    let root = RootTotals::of(&message.root_hash).expect("validated above");
    let expected = expected_compute_units(state, header, root)?;

    let claim = Claim {
        supplier_operator_address: operator.clone(),
        session_header: Some(header.clone()),
        root_hash: message.root_hash.clone(),
        proof_validation_status: ClaimProofStatus::PendingValidation.into(),
    };
    let figures = Figures::of(state, &claim).map_err(status(Code::Internal))?;
    let former = state
        .claims
        .insert((header.session_id.clone(), operator.clone()), Arc::new(claim.clone()));
    let kind = if former.is_some() {
        "pocket.proof.EventClaimUpdated"
    } else {
        "pocket.proof.EventClaimCreated"
    };
    // The chain tells what the tree holds, not what the difficulty makes of it.
    let figures = Figures {
        estimated_compute_units: expected,
        ..figures
    };
    Ok(vec![figures.describe(Event::new(kind), &claim)])
}

/// The chain's own session of a header, if its id is the header's and the supplier is in it.
pub fn session_of(
    state: &State,
    context: &Context<'_>,
    header: &SessionHeader,
    operator: &str,
) -> Result<Session, Refusal> {
    let (application, service) = (&header.application_address, &header.service_id);
    let session = get_session(state, context, application, service, header.session_start_block_height)
        .map_err(SessionRefusal::into_refusal)?;
    check_session(&session, header, operator)?;
    Ok(session)
}

fn check_window(state: &State, context: &Context<'_>, header: &SessionHeader) -> Result<(), Refusal> {
    let windows = state.windows(header.session_end_block_height);
    Ok(check_claim_window(&windows, Height(context.height))?)
}

/// Every relay of a service weighs the same: the tree's sum must be its count times that.
fn expected_compute_units(state: &State, header: &SessionHeader, root: RootTotals) -> Result<u64, HandlerError> {
    let service = &header.service_id;
    let Some(weight) = state.compute_units_at(service, header.session_start_block_height) else {
        let inner = proof::SERVICE_NOT_FOUND.wrap(format!("service {service} not found"));
        return Err(HandlerError::new(
            Code::NotFound,
            &inner.under(proof::SERVICE_NOT_FOUND),
        ));
    };
    if check_compute_units(root, ComputeUnits(weight)).is_ok() {
        return Ok(root.sum.0);
    }
    let (sum, count) = (root.sum.0, root.count);
    let detail = format!(
        "claim compute units: {sum} is not equal to number of relays {count} * compute units per relay {weight} for \
         service {service}"
    );
    Err(HandlerError::new(
        Code::InvalidArgument,
        &proof::COMPUTE_UNITS_MISMATCH.wrap(detail),
    ))
}
