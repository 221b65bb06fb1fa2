use std::collections::BTreeMap;

use pocket_client::Mode;
use serde::Serialize;

use crate::ledger::Ledger;
use crate::tally::{Shortfall, Tally};
use crate::world::World;

/// What came of the relays of one RPC type, all in a service of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TypeTally {
    /// Relays whose answer reached the client with valid signatures of the supplier.
    pub answered: u64,
    /// Those of them that were streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: u64,
    /// Sum of the relays of all claims on chain.
    pub claimed: u64,
    /// Claims in blocks.
    pub claims_accepted: u64,
    /// Proofs that the chain found valid.
    pub proofs_accepted: u64,
    /// Claims for which the chain wanted a proof.
    pub proofs_required: u64,
}

// The form that serde wants.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The tallies by RPC type, of those that were asked for.
pub type TypeTallies = BTreeMap<Mode, TypeTally>;

/// Adds up what the client saw and what the chain said of each type.
pub(crate) fn tallies(world: &World, answered: &BTreeMap<Mode, u64>, ledger: &Ledger) -> TypeTallies {
    let mut tallies = TypeTallies::new();
    for mode in &world.modes {
        let Some(service) = world.service_of(*mode) else {
            continue;
        };
        let tally = tallies.entry(service.modes[0]).or_insert_with(|| {
            let on_chain = Tally::of(ledger.claims().filter(|(key, _)| key.service == service.id.as_str()));
            TypeTally {
                claimed: on_chain.claimed,
                claims_accepted: on_chain.claims,
                proofs_accepted: on_chain.proofs_accepted,
                proofs_required: on_chain.proofs_required,
                ..TypeTally::default()
            }
        });
        let answered = answered.get(mode).copied().unwrap_or(0);
        tally.answered += answered;
        if *mode == Mode::Stream {
            tally.streams += answered;
        }
    }
    tallies
}

/// Whether relays of every type were answered, all of them claimed, and their proofs accepted.
pub(crate) fn check(tallies: &TypeTallies) -> Result<(), Shortfall> {
    for (mode, tally) in tallies {
        let of = |shortfall| Err(Shortfall::OfType(*mode, Box::new(shortfall)));
        if tally.answered == 0 {
            return of(Shortfall::NothingAnswered);
        }
        if tally.answered != tally.claimed {
            let (answered, claimed) = (tally.answered, tally.claimed);
            return of(Shortfall::ClaimedOthers { answered, claimed });
        }
        if tally.proofs_accepted < tally.proofs_required {
            let (required, accepted) = (tally.proofs_required, tally.proofs_accepted);
            return of(Shortfall::ProofsMissing { required, accepted });
        }
    }
    Ok(())
}
