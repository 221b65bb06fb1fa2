//! How much of an application's stake each claim may take.

use std::collections::BTreeMap;
use std::sync::Arc;

use pocket_proto::pocket::application::Application;
use pocket_proto::pocket::proof::{Claim, ClaimProofStatus};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::windows::pending_sessions;

use crate::chain::bank::DENOM;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::Figures;
use crate::chain::requirement::requirement;
use crate::chain::state::State;
use crate::genesis::amount;

/// The budgets of all sessions that are settled together, from stakes as they are before.
pub struct Budgets {
    multiplier: u128,
    by_session: BTreeMap<String, Budget>,
}

#[derive(Default)]
struct Budget {
    /// A supplier's equal share.
    floor: u128,
    spend_limit_exceeded: bool,
    /// What claims below their share leave over.
    unused: u128,
    /// What claims above their share would like.
    excess: u128,
}

impl Budgets {
    /// Shares each session's budget among its claims.
    pub fn of<'a>(state: &State, context: &Context<'_>, claims: impl Iterator<Item = &'a Arc<Claim>> + Clone) -> Self {
        let mut suppliers: BTreeMap<&str, u128> = BTreeMap::new();
        for header in claims.clone().filter_map(|claim| claim.session_header.as_ref()) {
            *suppliers.entry(&header.session_id).or_default() += 1;
        }
        let mut by_session: BTreeMap<String, Budget> = BTreeMap::new();
        for claim in claims {
            let Some(header) = &claim.session_header else { continue };
            let Some(application) = state.applications.get(&header.application_address) else {
                continue;
            };
            let count = suppliers[header.session_id.as_str()];
            let budget = by_session
                .entry(header.session_id.clone())
                .or_insert_with(|| Budget::new(state, application, header, count));
            if let (true, Ok(figures)) = (will_settle(state, context, claim), Figures::of(state, claim)) {
                budget.unused += budget.floor.saturating_sub(figures.upokt);
                budget.excess += figures.upokt.saturating_sub(budget.floor);
            }
        }
        let multiplier = u128::from(state.params.tokenomics.overservicing_bonus_multiplier.max(1));
        Self { multiplier, by_session }
    }

    /// What is paid of a claim; what is not is told in an event.
    pub fn cap(
        &self,
        claim: &Claim,
        header: &SessionHeader,
        claimed: u128,
        events: &mut Vec<Event>,
    ) -> Result<u128, String> {
        let budget = self
            .by_session
            .get(&header.session_id)
            .ok_or("the session has no budget")?;
        let limit = budget.limit(claimed, self.multiplier);
        if claimed <= limit {
            return Ok(claimed);
        }
        let event = Event::new("pocket.tokenomics.EventApplicationOverserviced")
            .with("application_addr", header.application_address.clone())
            .with("supplier_operator_addr", claim.supplier_operator_address.clone())
            .with("expected_burn", format!("{claimed}{DENOM}"))
            .with("effective_burn", format!("{limit}{DENOM}"))
            .with("service_id", header.service_id.clone())
            .with_integer("session_end_block_height", header.session_end_block_height)
            .with("spend_limit_exceeded", budget.spend_limit_exceeded);
        events.push(event);
        Ok(limit)
    }
}

impl Budget {
    fn new(state: &State, application: &Application, header: &SessionHeader, suppliers: u128) -> Self {
        let params = state.shared_at(header.session_end_block_height);
        let sessions = u128::try_from(pending_sessions(params)).unwrap_or(1).max(1);
        let per_session = amount(application.stake.as_ref()) / sessions;
        let floor = per_session / suppliers;
        let limit = amount(application.per_session_spend_limit.as_ref());
        let limited = if limit > 0 {
            limit.min(per_session) / suppliers
        } else {
            floor
        };
        Self {
            floor: floor.min(limited),
            spend_limit_exceeded: limited < floor,
            ..Self::default()
        }
    }

    fn limit(&self, claimed: u128, multiplier: u128) -> u128 {
        let wanted = claimed.saturating_sub(self.floor);
        let bonus = if multiplier > 1 && wanted > 0 && self.excess > 0 {
            // The quotient is a share of `unused`; the product may pass 128 bits only beyond all coins.
            self.unused.saturating_mul(wanted) / self.excess
        } else {
            0
        };
        (self.floor + bonus).min(self.floor * multiplier)
    }
}

fn will_settle(state: &State, context: &Context<'_>, claim: &Claim) -> bool {
    claim.proof_validation_status == i32::from(ClaimProofStatus::Validated)
        || requirement(state, context, claim).is_ok_and(|required| required == ProofRequirement::NotRequired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_bonus_nobody_gets_more_than_the_share() {
        let budget = Budget {
            floor: 100,
            unused: 50,
            excess: 200,
            ..Budget::default()
        };
        assert_eq!(budget.limit(300, 1), 100);
    }

    #[test]
    fn bonus_shares_what_others_leave_and_is_capped() {
        let budget = Budget {
            floor: 100,
            unused: 50,
            excess: 200,
            ..Budget::default()
        };
        assert_eq!(budget.limit(300, 2), 150);
        let rich = Budget {
            floor: 100,
            unused: 5000,
            excess: 200,
            ..Budget::default()
        };
        assert_eq!(rich.limit(300, 2), 200);
        assert_eq!(rich.limit(90, 2), 100);
    }
}
