//! Claims (spec §3).

use pocket_proto::pocket::proof::MsgCreateClaim;
use pocket_proto::pocket::session::Session;
use pocket_protocol::claim::{MessageError, RootTotals, basic_create_claim};
use pocket_protocol::{ComputeUnits, Height, Windows};

use crate::{BrokenRule, check_claim_window, check_session};

/// What the chain knows of a claim's session.
#[derive(Clone, Copy, Debug)]
pub struct ClaimFacts<'a> {
    /// The session of the header's application, service and start.
    pub session: &'a Session,
    /// By the parameters at the session's end.
    pub windows: Windows,
    /// Of one relay of the service, at the session's start.
    pub compute_units: ComputeUnits,
}

/// Whether the chain takes a claim in block `height`.
pub fn check_claim(message: &MsgCreateClaim, facts: &ClaimFacts<'_>, height: Height) -> Result<(), BrokenRule> {
    basic_create_claim(message)?;
    let header = message.session_header.as_ref().ok_or(MessageError::NoHeader)?;
    check_session(facts.session, header, &message.supplier_operator_address)?;
    check_claim_window(&facts.windows, height)?;
    let totals = RootTotals::of(&message.root_hash).map_err(MessageError::Root)?;
    check_compute_units(totals, facts.compute_units)
}

/// Every relay of a service weighs the same: the tree's sum is its count times that, modulo 2^64 as the chain reckons
/// (step 11).
pub fn check_compute_units(totals: RootTotals, per_relay: ComputeUnits) -> Result<(), BrokenRule> {
    let RootTotals { sum, count } = totals;
    if sum.0 == count.wrapping_mul(per_relay.0) {
        return Ok(());
    }
    Err(BrokenRule::ComputeUnits { sum, count, per_relay })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_is_the_count_times_the_services_units_modulo_2_to_the_64() {
        let check = |sum, count, per_relay| {
            let sum = ComputeUnits(sum);
            check_compute_units(RootTotals { sum, count }, ComputeUnits(per_relay)).is_ok()
        };
        assert!(check(42, 6, 7));
        assert!(!check(43, 6, 7));
        assert!(check(1 << 63, 3, 1 << 63));
    }
}
