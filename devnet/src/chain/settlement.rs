//! Settlement at the end of a proof window (spec `claims-and-proofs.md` §9).

mod budget;
mod reward;
mod slash;

use std::collections::BTreeMap;
use std::sync::Arc;

use pocket_proto::pocket::proof::{Claim, ClaimProofStatus};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::windows::blocks_to_settlement;
use pocket_protocol::{Height, SessionBounds};

use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::{Figures, identify};
use crate::chain::requirement::requirement;
use crate::chain::state::{ClaimKey, State};
use budget::Budgets;

/// Settles, expires or discards every claim whose proof window closes with this block, then adapts the difficulty.
pub fn settle(state: &mut State, context: &Context<'_>) -> Vec<Event> {
    let due = take_due(state, context.height);
    if due.is_empty() {
        return Vec::new();
    }
    let budgets = Budgets::of(state, context, due.values());
    let mut events = Vec::new();
    let mut expired = Vec::new();
    let mut relays = BTreeMap::new();
    for claim in due.values() {
        match settle_one(state, context, claim, &budgets, &mut events) {
            Ok(Outcome::Settled { service, count }) => *relays.entry(service).or_default() += count,
            Ok(Outcome::Expired) => expired.push(Arc::clone(claim)),
            Err(reason) => {
                let event = Event::new("pocket.tokenomics.EventClaimDiscarded").with("error", reason);
                events.push(identify(event, claim));
            }
        }
    }
    for claim in expired {
        events.extend(slash::slash(state, context, &claim));
    }
    let bounds = SessionBounds::containing(state.shared.live(), Height(context.height));
    events.extend(
        state
            .difficulties
            .update(context.height, bounds.next_start().0, &relays),
    );
    events
}

enum Outcome {
    Settled { service: String, count: u64 },
    Expired,
}

fn take_due(state: &mut State, height: i64) -> BTreeMap<ClaimKey, Arc<Claim>> {
    let is_due = |claim: &Claim| {
        let end = claim
            .session_header
            .as_ref()
            .map_or(0, |header| header.session_end_block_height);
        // Unlike the windows, this goes by the end that the claim names, right or wrong.
        end + blocks_to_settlement(state.shared_at(end)) + 1 == height
    };
    let due: BTreeMap<_, _> = state
        .claims
        .iter()
        .filter(|(_, claim)| is_due(claim))
        .map(|(key, claim)| (key.clone(), Arc::clone(claim)))
        .collect();
    for key in due.keys() {
        state.claims.remove(key);
    }
    due
}

/// An error is the reason to discard the claim.
fn settle_one(
    state: &mut State,
    context: &Context<'_>,
    claim: &Claim,
    budgets: &Budgets,
    events: &mut Vec<Event>,
) -> Result<Outcome, String> {
    let header = claim.session_header.as_ref().ok_or("claim session header is nil")?;
    let parties = reward::Parties::of(state, claim, header)?;
    let figures = Figures::of(state, claim).map_err(|refusal| refusal.to_string())?;
    let required = requirement(state, context, claim).map_err(|refusal| refusal.to_string())?;
    let validated = claim.proof_validation_status == i32::from(ClaimProofStatus::Validated);
    if required != ProofRequirement::NotRequired && !validated {
        events.push(expired(claim, figures));
        return Ok(Outcome::Expired);
    }
    check_sum(state, header, figures)?;
    let settled = budgets.cap(claim, header, figures.upokt, events)?;
    let payment = reward::pay(state, &parties, header, settled)?;
    events.extend(payment.application_unbonding(state, context, header));
    events.push(
        payment
            .describe(
                figures.describe(Event::new("pocket.tokenomics.EventClaimSettled"), claim),
                figures,
            )
            .with("proof_requirement_int", required as i32)
            .with("session_id", header.session_id.clone())
            .with("supplier_owner_address", parties.owner()),
    );
    Ok(Outcome::Settled {
        service: header.service_id.clone(),
        count: figures.relays,
    })
}

fn check_sum(state: &State, header: &SessionHeader, figures: Figures) -> Result<(), String> {
    let weight = state.compute_units_at(&header.service_id, header.session_start_block_height);
    let weight = weight.ok_or("service not found")?;
    let (sum, count) = (figures.compute_units, figures.relays);
    if sum == count.wrapping_mul(weight) {
        return Ok(());
    }
    Err(format!(
        "mismatch: claim compute units ({sum}) != number of relays ({count}) * service compute units per relay ({weight})"
    ))
}

fn expired(claim: &Claim, figures: Figures) -> Event {
    let invalid = claim.proof_validation_status == i32::from(ClaimProofStatus::Invalid);
    let reason = if invalid { "PROOF_INVALID" } else { "PROOF_MISSING" };
    figures
        .describe(Event::new("pocket.tokenomics.EventClaimExpired"), claim)
        .with("expiration_reason", reason)
}
