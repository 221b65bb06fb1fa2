//! What a missing or invalid proof costs.

use std::sync::Arc;

use pocket_proto::pocket::proof::Claim;
use pocket_protocol::{Height, SessionBounds};

use crate::chain::bank::DENOM;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::identify;
use crate::chain::requirement::terms;
use crate::chain::state::State;
use crate::chain::unbonding::shown;
use crate::genesis::{amount, coin};

/// Takes the penalty, at most the stake; below the least stake the supplier leaves with this session.
pub fn slash(state: &mut State, context: &Context<'_>, claim: &Claim) -> Vec<Event> {
    let least = amount(state.params.supplier.min_stake.as_ref());
    let end = SessionBounds::containing(state.shared.live(), Height(context.height))
        .end
        .0;
    let penalty = terms(state).missing_penalty.0;
    let supplier = state.suppliers.get_mut(&claim.supplier_operator_address);
    let supplier = Arc::make_mut(supplier.expect("claims without a supplier are discarded before"));
    let stake = amount(supplier.stake.as_ref());
    let penalty = penalty.min(stake);
    let rest = stake - penalty;
    supplier.stake = Some(coin(rest));
    let mut events = Vec::new();
    if rest < least && supplier.unstake_session_end_height == 0 {
        supplier.unstake_session_end_height = end.unsigned_abs();
        for update in &mut supplier.service_config_history {
            update.deactivation_height = end;
        }
        let event = Event::new("pocket.supplier.EventSupplierUnbondingBegin")
            .with("supplier", shown(supplier))
            .with("reason", "SUPPLIER_UNBONDING_REASON_BELOW_MIN_STAKE")
            .with_integer("session_end_height", end)
            .with_integer("unbonding_end_height", end);
        events.push(event);
    }
    state
        .bank
        .burn_from_module("supplier", penalty)
        .expect("stakes lie in the module's account");
    let event = Event::new("pocket.tokenomics.EventSupplierSlashed")
        .with("proof_missing_penalty", format!("{penalty}{DENOM}"))
        .with("supplier_stake_after_slash", format!("{rest}{DENOM}"));
    events.push(identify(event, claim));
    events
}
