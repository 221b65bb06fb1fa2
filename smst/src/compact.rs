//! A proof without the side nodes that are empty: what a proof message carries (spec `smst.md` §5.3).

use bytes::Bytes;

use crate::path::bit;
use crate::{ClosestProof, Digest, Path, ProofError};

/// The compact form of a [`ClosestProof`], with the fields of the wire. What others send may have any content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactClosestProof {
    /// The target: 32 bytes.
    pub path: Bytes,
    /// Depths as big-endian numbers without leading zero bytes; 0 is one byte.
    pub flipped_bits: Vec<Bytes>,
    /// The leaf's depth, written likewise.
    pub depth: Bytes,
    /// See [`ClosestProof::closest_path`].
    pub closest_path: Bytes,
    /// See [`ClosestProof::closest_value`].
    pub closest_value: Bytes,
    /// The side nodes. Always set in a right proof.
    pub closest_proof: Option<CompactProof>,
}

/// The side nodes of a [`CompactClosestProof`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactProof {
    /// The side nodes that are not empty, the leaf's own first.
    pub side_nodes: Vec<Bytes>,
    /// See [`ClosestProof::non_membership_leaf_data`].
    pub non_membership_leaf_data: Bytes,
    /// A bit per side node, the most significant first; set where the side node is empty.
    pub bit_mask: Bytes,
    /// How many side nodes there are, the empty ones included.
    pub num_side_nodes: i64,
    /// See [`ClosestProof::sibling_data`].
    pub sibling_data: Bytes,
}

impl ClosestProof {
    /// The compact form.
    pub fn compact(&self) -> CompactClosestProof {
        let mut bit_mask = vec![0; self.side_nodes.len().div_ceil(8)];
        let mut side_nodes = Vec::new();
        for (i, side) in self.side_nodes.iter().enumerate() {
            if side[..] == Digest::EMPTY.as_bytes()[..] {
                bit_mask[i / 8] |= 0x80 >> (i % 8);
            } else {
                side_nodes.push(side.clone());
            }
        }
        CompactClosestProof {
            path: Bytes::copy_from_slice(&self.path.0),
            flipped_bits: self.flipped_bits.iter().copied().map(minimal).collect(),
            depth: minimal(self.depth),
            closest_path: self.closest_path.clone(),
            closest_value: self.closest_value.clone(),
            closest_proof: Some(CompactProof {
                side_nodes,
                non_membership_leaf_data: self.non_membership_leaf_data.clone(),
                bit_mask: bit_mask.into(),
                num_side_nodes: self.side_nodes.len() as i64,
                sibling_data: self.sibling_data.clone(),
            }),
        }
    }

    /// The bytes of a proof message: the compact form as a Go gob stream.
    pub fn encode(&self) -> Bytes {
        self.compact().encode()
    }
}

impl CompactClosestProof {
    /// The proof with all its side nodes, after the chain's structural checks (spec `smst.md` §7.1).
    pub fn decompact(&self) -> Result<ClosestProof, ProofError> {
        let path = (self.path[..].try_into()).map_err(|_| ProofError::Malformed("path"))?;
        let depth = number(&self.depth).ok_or(ProofError::Malformed("depth"))?;
        let flipped_bits: Option<Vec<u16>> = self.flipped_bits.iter().map(|bytes| number(bytes)).collect();
        let inner = self
            .closest_proof
            .as_ref()
            .ok_or(ProofError::Malformed("inner proof"))?;
        Ok(ClosestProof {
            path: Path(path),
            flipped_bits: flipped_bits.ok_or(ProofError::Malformed("flipped bits"))?,
            depth,
            closest_path: self.closest_path.clone(),
            closest_value: self.closest_value.clone(),
            side_nodes: inner.all_side_nodes()?,
            non_membership_leaf_data: inner.non_membership_leaf_data.clone(),
            sibling_data: inner.sibling_data.clone(),
        })
    }
}

impl CompactProof {
    /// The side nodes with the empty ones put back.
    fn all_side_nodes(&self) -> Result<Vec<Bytes>, ProofError> {
        let number = usize::try_from(self.num_side_nodes).unwrap_or(usize::MAX);
        if number > Path::BITS {
            return Err(ProofError::Malformed("number of side nodes"));
        }
        if self.bit_mask.len() != number.div_ceil(8) {
            return Err(ProofError::Malformed("bit mask"));
        }
        let empty: u32 = self.bit_mask.iter().map(|byte| byte.count_ones()).sum();
        if number > 0 && self.side_nodes.len() + empty as usize != number {
            return Err(ProofError::Malformed("side nodes"));
        }
        let mut sent = self.side_nodes.iter();
        (0..number)
            .map(|i| {
                if bit(&self.bit_mask, i) {
                    Ok(Bytes::from_static(Digest::EMPTY_BYTES))
                } else {
                    sent.next().cloned().ok_or(ProofError::Malformed("side nodes"))
                }
            })
            .collect()
    }
}

/// A number in as few bytes as hold it, at least one.
fn minimal(number: u16) -> Bytes {
    match number.to_be_bytes() {
        [0, low] => Bytes::copy_from_slice(&[low]),
        both => Bytes::copy_from_slice(&both),
    }
}

/// The number in up to two bytes; none of them is 0.
fn number(bytes: &[u8]) -> Option<u16> {
    match *bytes {
        [] => Some(0),
        [low] => Some(low.into()),
        [high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}
