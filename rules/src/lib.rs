//! What the chain asks of a claim and of a proof, rule by rule (spec `claims-and-proofs.md` §3, §4).
//!
//! May touch: bytes, heights and the chain's messages. Must not touch: I/O, async, clocks, logs. What the chain knows is
//! given by the caller: a chain takes it from its state, a miner that rehearses from its node.

mod broken;
mod claim;
mod proof;
mod relay;
mod session;

pub use broken::{BrokenRule, RingFault};
pub use claim::{ClaimFacts, check_claim, check_compute_units};
pub use proof::{OpenedProof, ProofFacts, check_claim_header, check_path, check_proof, check_root};
pub use relay::{
    RelayFacts, check_difficulty, check_relay, check_relay_form, check_request_signature, check_response_signature,
    decode_relay,
};
pub use session::{check_claim_window, check_proof_window, check_session};
