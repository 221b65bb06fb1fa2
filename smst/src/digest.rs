//! Digests: what a node is known by, and what a claim names as its root.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::node::INNER;

/// A node's digest: 32 bytes of SHA-256, then sum and count of the leaves below, 8 bytes each, big-endian
/// (spec `smst.md` §2). As a whole tree's root these are the bytes of a claim's `root_hash`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; Self::SIZE]);

/// Bytes that are no digest, because they are not 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has {} bytes, not {found}", Digest::SIZE)]
pub struct DigestError {
    /// How many bytes there are.
    pub found: usize,
}

impl Digest {
    /// Length in bytes.
    pub const SIZE: usize = 48;

    /// The digest of nothing: the empty tree's root, and an absent child.
    pub const EMPTY: Self = Self([0; Self::SIZE]);

    pub(crate) const EMPTY_BYTES: &'static [u8] = &[0; Self::SIZE];

    /// The digest with these bytes.
    pub const fn new(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    /// The bytes: hash, sum, count.
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// The SHA-256 part.
    pub fn hash(&self) -> [u8; 32] {
        std::array::from_fn(|i| self.0[i])
    }

    /// Sum of the leaves' weights, modulo 2^64.
    pub fn sum(&self) -> u64 {
        self.number_at(32)
    }

    /// Number of leaves.
    pub fn count(&self) -> u64 {
        self.number_at(40)
    }

    /// Is this the digest of nothing?
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The digest of encoded leaf or inner node `preimage`, whose last 16 bytes are sum and count.
    pub(crate) fn of_preimage(preimage: &[u8]) -> Self {
        let mut bytes = [0; Self::SIZE];
        bytes[..32].copy_from_slice(&Sha256::digest(preimage));
        bytes[32..].copy_from_slice(&preimage[preimage.len() - 16..]);
        Self(bytes)
    }

    /// The digest of the inner node with these children.
    pub(crate) fn inner(left: &Self, right: &Self) -> Self {
        Self::of_preimage(&inner_preimage(left, right))
    }

    fn number_at(&self, offset: usize) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|i| self.0[offset + i]))
    }
}

/// An inner node as stored and hashed: `01 || left || right || sum || count`.
pub(crate) fn inner_preimage(left: &Digest, right: &Digest) -> [u8; 113] {
    let mut bytes = [0; 113];
    bytes[0] = INNER;
    bytes[1..49].copy_from_slice(&left.0);
    bytes[49..97].copy_from_slice(&right.0);
    bytes[97..105].copy_from_slice(&left.sum().wrapping_add(right.sum()).to_be_bytes());
    bytes[105..].copy_from_slice(&left.count().wrapping_add(right.count()).to_be_bytes());
    bytes
}

impl TryFrom<&[u8]> for Digest {
    type Error = DigestError;

    fn try_from(bytes: &[u8]) -> Result<Self, DigestError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| DigestError { found: bytes.len() })
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// 96 lower-case hex digits, the field name of a node in Redis (spec `smst.md` §9).
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_comes_before_count() {
        let mut bytes = [0; 48];
        bytes[39] = 7;
        bytes[47] = 3;
        let digest = Digest::new(bytes);
        assert_eq!((digest.sum(), digest.count()), (7, 3));
    }

    #[test]
    fn sums_wrap_at_64_bits() {
        let mut bytes = [0xff; 48];
        bytes[47] = 2;
        let big = Digest::new(bytes);
        assert_eq!(Digest::inner(&big, &big).sum(), u64::MAX - 1);
    }

    #[test]
    fn only_48_bytes_are_a_digest() {
        assert_eq!(Digest::try_from(&[0; 32][..]), Err(DigestError { found: 32 }));
        assert_eq!(Digest::try_from(&[0; 48][..]), Ok(Digest::EMPTY));
    }
}
