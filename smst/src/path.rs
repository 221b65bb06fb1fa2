//! Where a leaf lies: 256 bits, the first is the most significant of the first byte; 0 is left, 1 is right.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A leaf's way from the root, or the target of a closest proof (spec `smst.md` §1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(pub [u8; 32]);

impl Path {
    /// Number of bits, which is the greatest depth.
    pub const BITS: usize = 256;

    /// The path of a key, which is the key's SHA-256. A relay's key is its hash, so its path is hashed twice.
    pub fn of_key(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The bit at `depth`, which is below [`Self::BITS`].
    pub fn bit(&self, depth: usize) -> bool {
        bit(&self.0, depth)
    }

    pub(crate) fn flip(&mut self, depth: usize) {
        self.0[depth / 8] ^= 0x80 >> (depth % 8);
    }

    /// The first bit in `from..to` in which the paths differ.
    pub(crate) fn first_difference(&self, other: &Self, from: usize, to: usize) -> Option<usize> {
        let mut mask = 0xff >> (from % 8);
        for byte in from / 8..to.div_ceil(8) {
            let differing = (self.0[byte] ^ other.0[byte]) & mask;
            if differing != 0 {
                let found = byte * 8 + differing.leading_zeros() as usize;
                return (found < to).then_some(found);
            }
            mask = 0xff;
        }
        None
    }

    /// Takes the bits `range` of `other`.
    pub(crate) fn copy_bits(&mut self, other: &Self, range: std::ops::Range<usize>) {
        for depth in range {
            if self.bit(depth) != other.bit(depth) {
                self.flip(depth);
            }
        }
    }
}

/// Bit `index` of `bytes`, most significant first.
pub(crate) fn bit(bytes: &[u8], index: usize) -> bool {
    bytes[index / 8] & (0x80 >> (index % 8)) != 0
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn first_difference_is_that_of_a_bit_by_bit_search(
            a: [u8; 32], flips in prop::collection::vec(0usize..256, 0..3), from in 0usize..256, to in 0usize..=256,
        ) {
            let a = Path(a);
            let mut b = a;
            for flip in flips {
                b.flip(flip);
            }
            prop_assert_eq!(a.first_difference(&b, from, to), (from..to).find(|&i| a.bit(i) != b.bit(i)));
        }
    }
}
