//! What a claim amounts to, for events, requirements and pay (spec `claims-and-proofs.md` §7.1).

use pocket_proto::pocket::proof::Claim;
use pocket_protocol::claim::RootTotals;
use pocket_protocol::reward::{Price, claimed_upokt, estimated_compute_units, estimated_relays};

use crate::chain::bank::DENOM;
use crate::chain::event::Event;
use crate::chain::refusal::{Refusal, proof};
use crate::chain::state::State;

/// A claim's numbers, with price and difficulty at its session's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Relays in the tree.
    pub relays: u64,
    /// Compute units in the tree.
    pub compute_units: u64,
    /// Compute units that were worked, by estimate.
    pub estimated_compute_units: u64,
    /// Relays that were served, by estimate.
    pub estimated_relays: u64,
    /// What it is worth.
    pub upokt: u128,
}

impl Figures {
    /// The figures of a claim with a root that may be claimed.
    pub fn of(state: &State, claim: &Claim) -> Result<Self, Refusal> {
        let header = claim.session_header.clone().unwrap_or_default();
        let start = header.session_start_block_height;
        let refuse = |reason: String| proof::INVALID_ROOT.wrap(reason);
        let totals = RootTotals::of(&claim.root_hash).map_err(|error| refuse(error.to_string()))?;
        let target = state.difficulty_at(&header.service_id, start).target_hash;
        let price = Price::from(state.shared_at(start));
        let upokt = claimed_upokt(totals.sum, price, &target)
            .map_err(|error| refuse(format!("failed to calculate claimed uPOKT: {error}")))?;
        let no_estimate = |error| refuse(format!("failed to calculate estimated relays: {error}"));
        Ok(Self {
            relays: totals.count,
            compute_units: totals.sum.0,
            estimated_compute_units: estimated_compute_units(totals.sum, &target).map_err(no_estimate)?.0,
            estimated_relays: estimated_relays(totals.sum, totals.count, &target).map_err(no_estimate)?,
            upokt: upokt.0,
        })
    }

    /// Adds the attributes that all events with figures have.
    pub fn describe(&self, event: Event, claim: &Claim) -> Event {
        identify(event, claim)
            .with_integer("num_relays", self.relays)
            .with_integer("num_claimed_compute_units", self.compute_units)
            .with_integer("num_estimated_compute_units", self.estimated_compute_units)
            .with_integer("num_estimated_relays", self.estimated_relays)
            .with("claimed_upokt", format!("{}{DENOM}", self.upokt))
    }
}

/// Adds the attributes that tell which claim an event is about.
pub fn identify(event: Event, claim: &Claim) -> Event {
    let header = claim.session_header.clone().unwrap_or_default();
    event
        .with("service_id", header.service_id)
        .with("application_address", header.application_address)
        .with_integer("session_end_block_height", header.session_end_block_height)
        .with("claim_proof_status_int", claim.proof_validation_status)
        .with("supplier_operator_address", claim.supplier_operator_address.clone())
}
