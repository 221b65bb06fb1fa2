//! Verifying a closest proof exactly as the chain does, but for its crashes, which are errors here
//! (spec `smst.md` §7).

use crate::node::{EXTENSION, LEAF, extension_digest};
use crate::path::bit;
use crate::{ClosestProof, Digest, Path, ProofError};

impl ClosestProof {
    /// Does the proof show a leaf of the tree with this root? An error is a refusal too: a proof that contradicts
    /// itself. Neither says that the leaf is the closest one.
    pub fn verify(&self, root: &Digest) -> Result<bool, ProofError> {
        self.check_path()?;
        let path = Path(
            self.closest_path
                .get(..32)
                .and_then(|path| path.try_into().ok())
                .ok_or(ProofError::Malformed("closest path"))?,
        );
        self.check_side_nodes()?;
        let leaf = self.leaf_digest(&path)?;
        let last = self.side_nodes.len();
        let found = self.side_nodes.iter().enumerate().fold(leaf, |below, (i, side)| {
            let side = fitted(side);
            if path.bit(last - 1 - i) {
                Digest::inner(&side, &below)
            } else {
                Digest::inner(&below, &side)
            }
        });
        Ok(found == *root)
    }

    /// The leaf lies where the target with the flipped bits leads.
    fn check_path(&self) -> Result<(), ProofError> {
        let depth = usize::from(self.depth);
        if depth > Path::BITS {
            return Err(ProofError::Malformed("depth"));
        }
        let mut way = self.path;
        for &flipped in &self.flipped_bits {
            match usize::from(flipped) {
                at if at > depth => return Err(ProofError::FlippedBelowLeaf(flipped)),
                Path::BITS => return Err(ProofError::Malformed("flipped bit")),
                at => way.flip(at),
            }
        }
        for at in 0..depth {
            if at / 8 >= self.closest_path.len() {
                return Err(ProofError::Malformed("closest path"));
            }
            if way.bit(at) != bit(&self.closest_path, at) {
                return Err(ProofError::ClosestPath(at));
            }
        }
        Ok(())
    }

    /// The lengths are right, and the first side node is the sibling's digest if the sibling is shown.
    fn check_side_nodes(&self) -> Result<(), ProofError> {
        if self.side_nodes.len() > Path::BITS {
            return Err(ProofError::Malformed("number of side nodes"));
        }
        if !self.non_membership_leaf_data.is_empty() && self.non_membership_leaf_data.len() < 33 {
            return Err(ProofError::Malformed("non-membership leaf data"));
        }
        let (Some(first), false) = (self.side_nodes.first(), self.sibling_data.is_empty()) else {
            return Ok(());
        };
        if self.side_nodes.iter().any(|side| side.len() != Digest::SIZE) {
            return Err(ProofError::Malformed("side node"));
        }
        let sibling = rehash(&self.sibling_data).ok_or(ProofError::Malformed("sibling data"))?;
        if sibling.as_ref() == &first[..] {
            Ok(())
        } else {
            Err(ProofError::SiblingData)
        }
    }

    /// The digest at the bottom: of the leaf, or of what is there in place of a leaf without value and weight.
    fn leaf_digest(&self, path: &Path) -> Result<Digest, ProofError> {
        let data = &self.closest_value;
        let value_end = match data.len().checked_sub(16) {
            Some(end) => end,
            None if data.is_empty() => return self.absent_digest(path),
            None => return Err(ProofError::Malformed("closest value")),
        };
        let weighs_nothing = data[value_end..value_end + 8] == [0; 8];
        if value_end == 0 && weighs_nothing {
            return self.absent_digest(path);
        }
        Ok(digest_of_leaf(path, data))
    }

    fn absent_digest(&self, path: &Path) -> Result<Digest, ProofError> {
        let data = &self.non_membership_leaf_data;
        match data.first() {
            None => Ok(Digest::EMPTY),
            Some(&LEAF) if data[1..33] == path.0 => Err(ProofError::NotAbsent),
            Some(&LEAF) => Ok(Digest::of_preimage(data)),
            Some(_) => Err(ProofError::Malformed("non-membership leaf data")),
        }
    }
}

/// The digest of the leaf with this path and `value || weight || count`.
fn digest_of_leaf(path: &Path, data: &[u8]) -> Digest {
    Digest::of_preimage(&[&[LEAF][..], &path.0, data].concat())
}

/// A side node as the chain uses it when no sibling is shown: cut or filled with zeros to 48 bytes.
fn fitted(side: &[u8]) -> Digest {
    Digest::new(std::array::from_fn(|i| side.get(i).copied().unwrap_or_default()))
}

/// The digest of a node's bytes. Anything that is no extension is hashed without being read.
fn rehash(encoded: &[u8]) -> Option<Digest> {
    if encoded.first() != Some(&EXTENSION) {
        return (encoded.len() >= 16).then(|| Digest::of_preimage(encoded));
    }
    let child = Digest::try_from(encoded.get(35..encoded.len().checked_sub(16)?)?).ok()?;
    let path = Path(std::array::from_fn(|i| encoded[3 + i]));
    Some(extension_digest(&path, encoded[1], encoded[2], &child))
}
