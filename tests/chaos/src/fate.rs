//! What the chain made of a supplier's part in a session.

use bytes::Bytes;

/// What became of one part, by the chain's word.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// Roots of the claims that blocks took, in order; the last one counts.
    pub claims: Vec<Bytes>,
    /// Proofs that blocks took.
    pub proofs: usize,
    /// The chain paid.
    pub settled: Option<Settled>,
    /// The chain did not pay, or took stake: its words.
    pub lost: Option<String>,
}

/// How a claim was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// By a valid proof.
    pub is_proven: bool,
    /// The claim was one of those that the chain draws.
    pub had_to_be_proven: bool,
}
