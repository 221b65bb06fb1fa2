//! Suppliers that leave get their stake back (spec `sessions.md` §8).

use pocket_proto::pocket::shared::Supplier;
use pocket_protocol::{Height, SessionBounds};
use serde_json::{Value, json};

use crate::actor::module_address;
use crate::chain::bank::DENOM;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::state::State;
use crate::genesis::amount;

/// Ends the unbonding of suppliers, at session ends only.
pub fn end_block(state: &mut State, context: &Context<'_>) -> Vec<Event> {
    let height = context.height;
    if SessionBounds::containing(state.shared_at(height), Height(height)).end.0 != height {
        return Vec::new();
    }
    let leaving: Vec<_> = state
        .suppliers
        .values()
        .filter(|supplier| unbonding_end(state, supplier).is_some_and(|end| end <= height))
        .cloned()
        .collect();
    leaving
        .into_iter()
        .map(|supplier| leave(state, &supplier, height))
        .collect()
}

fn unbonding_end(state: &State, supplier: &Supplier) -> Option<i64> {
    let end = i64::try_from(supplier.unstake_session_end_height)
        .ok()
        .filter(|end| *end > 0)?;
    let params = state.shared_at(end);
    Some(end + (params.supplier_unbonding_period_sessions * params.num_blocks_per_session) as i64)
}

fn leave(state: &mut State, supplier: &Supplier, height: i64) -> Event {
    state.suppliers.remove(&supplier.operator_address);
    let stake = amount(supplier.stake.as_ref());
    state
        .bank
        .transfer(&module_address("supplier"), &supplier.owner_address, stake)
        .expect("stakes lie in the module's account");
    Event::new("pocket.supplier.EventSupplierUnbondingEnd")
        .with("supplier", shown(supplier))
        .with("reason", "SUPPLIER_UNBONDING_REASON_BELOW_MIN_STAKE")
        .with_integer("session_end_height", supplier.unstake_session_end_height)
        .with_integer("unbonding_end_height", height)
}

/// A supplier in an event, without its services.
pub fn shown(supplier: &Supplier) -> Value {
    json!({
        "operator_address": supplier.operator_address,
        "owner_address": supplier.owner_address,
        "stake": {"amount": amount(supplier.stake.as_ref()).to_string(), "denom": DENOM},
        "unstake_session_end_height": supplier.unstake_session_end_height.to_string(),
    })
}
