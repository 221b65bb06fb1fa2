//! The proof of the leaf that is closest to a path.

use bytes::Bytes;

use crate::{Digest, Path};

/// A closest-leaf proof with all its side nodes (spec `smst.md` §5.2). What others send may have any content; only
/// [`ClosestProof::verify`] tells what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosestProof {
    /// The target, unmodified.
    pub path: Path,
    /// The depths at which the search had to leave the target's side, ascending.
    pub flipped_bits: Vec<u16>,
    /// The leaf's depth.
    pub depth: u16,
    /// The leaf's path: 32 bytes, or 48 zero bytes in the empty tree.
    pub closest_path: Bytes,
    /// The leaf's value, weight (8 bytes) and count (8 bytes); empty in the empty tree.
    pub closest_value: Bytes,
    /// Digest of the sibling at each depth, the leaf's own first.
    pub side_nodes: Vec<Bytes>,
    /// Always empty in a proof of a leaf; kept because the chain reads it.
    pub non_membership_leaf_data: Bytes,
    /// The leaf's sibling as stored; empty in a tree of one leaf.
    pub sibling_data: Bytes,
}

/// Why a proof cannot be checked, or is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The named field is missing, or has a length or number that no proof has.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A flipped bit lies below the leaf.
    #[error("bit {0} is flipped below the leaf")]
    FlippedBelowLeaf(u16),
    /// The leaf's path is not the target's with the flipped bits.
    #[error("the closest path leaves the target at bit {0}")]
    ClosestPath(usize),
    /// The sibling's bytes do not have the digest of the first side node.
    #[error("the sibling's data is not that of the first side node")]
    SiblingData,
    /// The proof shows the leaf that it says is absent.
    #[error("the proof of absence shows the leaf itself")]
    NotAbsent,
}

impl ClosestProof {
    /// What the chain's library gives for the empty tree; the flip of bit 0 is part of that.
    pub(crate) fn of_empty_tree(path: Path) -> Self {
        Self {
            path,
            flipped_bits: vec![0],
            depth: 0,
            closest_path: Bytes::from_static(Digest::EMPTY_BYTES),
            closest_value: Bytes::new(),
            side_nodes: Vec::new(),
            non_membership_leaf_data: Bytes::new(),
            sibling_data: Bytes::new(),
        }
    }

    /// The leaf's value without weight and count, for a relay its bytes. `None` if there is no room for those two.
    pub fn value(&self) -> Option<Bytes> {
        let end = self.closest_value.len().checked_sub(16)?;
        Some(self.closest_value.slice(..end))
    }
}
