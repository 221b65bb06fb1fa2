//! Whether a claim must be proven (spec `claims-and-proofs.md` §5).

use pocket_proto::pocket::proof::Claim;
use pocket_protocol::Upokt;
use pocket_protocol::claim::{ProofRequirement, ProofTerms, proof_requirement};

use crate::chain::context::Context;
use crate::chain::figures::Figures;
use crate::chain::refusal::Refusal;
use crate::chain::state::State;

/// The proof module's parameters.
pub fn terms(state: &State) -> ProofTerms {
    ProofTerms::try_from(&state.params.proof).expect("genesis holds well-formed coins")
}

/// The requirement as it stands now: a proof's submission and the settlement both ask for it.
pub fn requirement(state: &State, context: &Context<'_>, claim: &Claim) -> Result<ProofRequirement, Refusal> {
    let figures = Figures::of(state, claim)?;
    let end = claim
        .session_header
        .as_ref()
        .map_or(0, |header| header.session_end_block_height);
    let seed = context.hash(seed_height(state, end));
    Ok(proof_requirement(claim, Upokt(figures.upokt), seed, &terms(state)))
}

/// The block whose hash draws the claims of sessions that end at `end`, and chooses the path to prove.
pub fn seed_height(state: &State, end: i64) -> i64 {
    state.windows(end).seed.0
}
