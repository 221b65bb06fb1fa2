//! The shared parameters over time: the same height always has the same ones (spec `sessions.md` §1.3, §1.4).

use std::collections::BTreeMap;

use crate::SharedParams;
use crate::session::SessionBounds;
use crate::types::Height;
use crate::windows::{blocks_to_settlement, pending_sessions};

/// Live parameters, and the recorded ones by the height from which they count.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamsHistory {
    live: SharedParams,
    entries: BTreeMap<Height, SharedParams>,
}

impl ParamsHistory {
    /// Parameters that were never changed, as at genesis.
    pub fn new(live: SharedParams) -> Self {
        Self {
            live,
            entries: BTreeMap::new(),
        }
    }

    /// What the chain answers when asked without a height. Wrong for a session's windows and price
    /// around a change.
    pub fn live(&self) -> &SharedParams {
        &self.live
    }

    /// The recorded parameters with the height from which they count, ascending.
    pub fn entries(&self) -> impl Iterator<Item = (Height, &SharedParams)> {
        self.entries.iter().map(|(height, params)| (*height, params))
    }

    /// The parameters in force at `height`, past or future: the latest entry that counts by then,
    /// else the live ones.
    pub fn at(&self, height: Height) -> &SharedParams {
        self.entries
            .range(..=height)
            .next_back()
            .map_or(&self.live, |(_, params)| params)
    }

    /// Records a change in block `height`, as the chain does: it counts from the next session on.
    /// Prices and unbonding periods become live at once if no timing changes with them.
    pub fn record(&mut self, mut new: SharedParams, height: Height) -> Result<(), InvalidParams> {
        check(&new)?;
        if self.entries.is_empty() {
            let first = SharedParams {
                session_grid_anchor_height: 1,
                session_number_at_anchor: 1,
                ..self.live
            };
            self.entries.insert(Height(1), first);
        }
        let current = *self.at(height);
        let session = SessionBounds::containing(&current, height);
        let next_start = session.next_start();
        if new.num_blocks_per_session == current.num_blocks_per_session {
            new.session_grid_anchor_height = current.session_grid_anchor_height;
            new.session_number_at_anchor = current.session_number_at_anchor;
        } else {
            new.session_grid_anchor_height = next_start.0.unsigned_abs();
            new.session_number_at_anchor = (session.number + 1).unsigned_abs();
        }
        self.entries.insert(next_start, new);
        if timing(&new) == timing(&self.live) {
            self.live = SharedParams {
                session_grid_anchor_height: self.live.session_grid_anchor_height,
                session_number_at_anchor: self.live.session_number_at_anchor,
                ..new
            };
        }
        Ok(())
    }

    /// The end of block `height`: parameters that count from this block on become live. Invalid ones
    /// do not, and are given as an error; the block goes on.
    pub fn end_block(&mut self, height: Height) -> Result<(), InvalidParams> {
        let Some(promoted) = self.entries.get(&height) else {
            return Ok(());
        };
        check(promoted)?;
        self.live = *promoted;
        Ok(())
    }
}

/// The six fields that decide a session's heights; they change only between sessions.
fn timing(params: &SharedParams) -> [u64; 6] {
    [
        params.num_blocks_per_session,
        params.grace_period_end_offset_blocks,
        params.claim_window_open_offset_blocks,
        params.claim_window_close_offset_blocks,
        params.proof_window_open_offset_blocks,
        params.proof_window_close_offset_blocks,
    ]
}

/// Why the chain refuses a change of parameters. Genesis is not checked: a private network may
/// start with values that break these rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParams {
    /// A number that must be at least 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// Grace would reach the end of the next session.
    #[error("the grace period must be shorter than a session")]
    LongGrace,
    /// Claims could be made while relays are still accepted.
    #[error("the claim window must not open before the grace period ends")]
    ClaimInGrace,
    /// A stake could be withdrawn before all claims of its owner are settled.
    #[error("{0} must not end before the last session is settled")]
    ShortUnbonding(&'static str),
    /// Claim and proof windows are all of length 0.
    #[error("the claim and proof windows must not all be empty")]
    NoWindows,
}

/// The chain's rules for shared parameters (spec §1.3).
pub fn check(params: &SharedParams) -> Result<(), InvalidParams> {
    let at_least_one = [
        ("num_blocks_per_session", params.num_blocks_per_session),
        (
            "supplier_unbonding_period_sessions",
            params.supplier_unbonding_period_sessions,
        ),
        (
            "application_unbonding_period_sessions",
            params.application_unbonding_period_sessions,
        ),
        (
            "gateway_unbonding_period_sessions",
            params.gateway_unbonding_period_sessions,
        ),
        (
            "compute_units_to_tokens_multiplier",
            params.compute_units_to_tokens_multiplier,
        ),
        ("compute_unit_cost_granularity", params.compute_unit_cost_granularity),
    ];
    if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
        return Err(InvalidParams::Zero(name));
    }
    if params.grace_period_end_offset_blocks >= params.num_blocks_per_session {
        return Err(InvalidParams::LongGrace);
    }
    if params.claim_window_open_offset_blocks < params.grace_period_end_offset_blocks {
        return Err(InvalidParams::ClaimInGrace);
    }
    let settled = blocks_to_settlement(params).unsigned_abs();
    let unbondings = [
        (
            "supplier_unbonding_period_sessions",
            params.supplier_unbonding_period_sessions,
        ),
        (
            "application_unbonding_period_sessions",
            params.application_unbonding_period_sessions,
        ),
    ];
    for (name, sessions) in unbondings {
        if sessions.saturating_mul(params.num_blocks_per_session) < settled {
            return Err(InvalidParams::ShortUnbonding(name));
        }
    }
    if pending_sessions(params) < 1 {
        return Err(InvalidParams::NoWindows);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> SharedParams {
        SharedParams {
            num_blocks_per_session: 10,
            grace_period_end_offset_blocks: 1,
            claim_window_open_offset_blocks: 1,
            claim_window_close_offset_blocks: 4,
            proof_window_open_offset_blocks: 0,
            proof_window_close_offset_blocks: 4,
            supplier_unbonding_period_sessions: 1,
            application_unbonding_period_sessions: 1,
            compute_units_to_tokens_multiplier: 42_000_000,
            gateway_unbonding_period_sessions: 1,
            compute_unit_cost_granularity: 1_000_000,
            session_grid_anchor_height: 1,
            session_number_at_anchor: 1,
        }
    }

    #[test]
    fn change_of_the_length_counts_from_the_next_session_and_is_live_after_its_first_block() {
        let mut history = ParamsHistory::new(params());
        history
            .record(
                SharedParams {
                    num_blocks_per_session: 20,
                    ..params()
                },
                Height(34),
            )
            .unwrap();
        assert_eq!(history.at(Height(40)).num_blocks_per_session, 10);
        let next = history.at(Height(41));
        assert_eq!(
            (next.session_grid_anchor_height, next.session_number_at_anchor),
            (41, 5)
        );
        history.end_block(Height(40)).unwrap();
        assert_eq!(history.live().num_blocks_per_session, 10);
        history.end_block(Height(41)).unwrap();
        assert_eq!(history.live().num_blocks_per_session, 20);
    }

    #[test]
    fn change_of_the_price_is_live_at_once_but_counts_from_the_next_session() {
        let mut history = ParamsHistory::new(params());
        history
            .record(
                SharedParams {
                    compute_units_to_tokens_multiplier: 7,
                    ..params()
                },
                Height(5),
            )
            .unwrap();
        assert_eq!(history.live().compute_units_to_tokens_multiplier, 7);
        assert_eq!(history.at(Height(10)).compute_units_to_tokens_multiplier, 42_000_000);
        assert_eq!(history.at(Height(11)).compute_units_to_tokens_multiplier, 7);
    }

    #[test]
    fn second_change_in_a_session_replaces_the_first() {
        let mut history = ParamsHistory::new(params());
        history
            .record(
                SharedParams {
                    num_blocks_per_session: 20,
                    ..params()
                },
                Height(3),
            )
            .unwrap();
        history
            .record(
                SharedParams {
                    compute_unit_cost_granularity: 9,
                    ..params()
                },
                Height(4),
            )
            .unwrap();
        assert_eq!(history.at(Height(11)).num_blocks_per_session, 10);
        assert_eq!(history.entries().count(), 2);
    }

    #[test]
    fn parameters_that_break_a_rule_are_refused() {
        let refused = |change: fn(&mut SharedParams)| {
            let mut params = params();
            change(&mut params);
            check(&params).unwrap_err()
        };
        assert_eq!(check(&params()), Ok(()));
        assert_eq!(
            refused(|p| p.num_blocks_per_session = 0),
            InvalidParams::Zero("num_blocks_per_session")
        );
        assert_eq!(
            refused(|p| p.grace_period_end_offset_blocks = 10),
            InvalidParams::LongGrace
        );
        assert_eq!(
            refused(|p| p.grace_period_end_offset_blocks = 2),
            InvalidParams::ClaimInGrace
        );
        let short = InvalidParams::ShortUnbonding("supplier_unbonding_period_sessions");
        assert_eq!(refused(|p| p.proof_window_close_offset_blocks = 6), short);
        let empty = |p: &mut SharedParams| {
            p.grace_period_end_offset_blocks = 0;
            p.claim_window_open_offset_blocks = 0;
            p.claim_window_close_offset_blocks = 0;
            p.proof_window_close_offset_blocks = 0;
        };
        assert_eq!(refused(empty), InvalidParams::NoWindows);
    }
}
