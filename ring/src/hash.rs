//! The chain's hashes: to a scalar (`H_s`), to a point (`H_p`), and a ring's challenge.

use sha3::{Digest as _, Sha3_256, Sha3_512};

use crate::field::FieldElement;
use crate::key::PublicKey;
use crate::point::{Affine, CompressedPoint};
use crate::scalar::Scalar;

/// `H_s` of some bytes, with the step on the way to it. Source: spec relay.md §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedScalar {
    /// SHA3-512 of the input modulo N.
    pub reduced: Scalar,
    /// `reduced` without its leading zero bytes, and as many zero bytes behind it: what is used.
    /// `None` when that is N or more, which the chain's library does not survive (about one input
    /// in 2^128).
    pub scalar: Option<Scalar>,
}

impl HashedScalar {
    /// Hashes `input`.
    pub fn of(input: &[u8]) -> Self {
        let reduced = Scalar::from_wide(&Sha3_512::digest(input).into());
        let mut bytes = reduced.to_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Self {
                reduced,
                scalar: Some(reduced),
            };
        }
        bytes.rotate_left(zeros);
        Self {
            reduced,
            scalar: Scalar::from_bytes(&bytes),
        }
    }

    /// Whether `reduced` has fewer than 32 bytes, so that its alignment matters.
    pub fn is_short(&self) -> bool {
        self.reduced.to_bytes()[0] == 0
    }
}

/// The chain's hash to a scalar, `H_s`: SHA3-512 modulo N, aligned to the **left** of 32 bytes.
///
/// `None` about once in 2^128 inputs, see [`HashedScalar::scalar`]. Source: spec relay.md §3.2.
pub fn hash_to_scalar(input: &[u8]) -> Option<Scalar> {
    HashedScalar::of(input).scalar
}

/// `H_p` of a key, and how many digests it took. Source: spec relay.md §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedPoint {
    /// The point, whose y is even.
    pub point: CompressedPoint,
    /// Digests tried; half of them are no point's x.
    pub rounds: u32,
}

/// The chain's hash of a key to a point, `H_p`.
///
/// The chain's library gives up after 128 digests, which happens to one key in 2^128; this does not.
pub fn hash_to_point(key: &PublicKey) -> HashedPoint {
    let (point, rounds) = hashed_affine(&key.to_bytes());
    HashedPoint {
        point: point.compress(),
        rounds,
    }
}

/// `H_p` as a point to calculate with, and the digests tried.
pub(crate) fn hashed_affine(key: &CompressedPoint) -> (Affine, u32) {
    let mut digest: [u8; 32] = Sha3_256::digest(key).into();
    let mut rounds = 1;
    loop {
        if let Some(point) = Affine::with_x(FieldElement::from_any_bytes(&digest), false) {
            return (point, rounds);
        }
        digest = Sha3_256::digest(digest).into();
        rounds += 1;
    }
}

/// The challenge that follows a member's two points: `H_s(message, left, right)`.
pub(crate) fn challenge(message: &[u8; 32], left: &CompressedPoint, right: &CompressedPoint) -> HashedScalar {
    let mut input = [0; 98];
    input[..32].copy_from_slice(message);
    input[32..65].copy_from_slice(left);
    input[65..].copy_from_slice(right);
    HashedScalar::of(&input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_digest_is_aligned_to_the_left() {
        let hashed = HashedScalar::of(b"relay-msg-349");
        assert!(hashed.is_short());
        let aligned = "bd133cd1452701ae1d3910e3ad3fb1a3dddd7fc62cce0521503d6f6e658dd600";
        assert_eq!(hex::encode(hashed.scalar.unwrap().to_bytes()), aligned);
        assert_eq!(hex::encode(hashed.reduced.to_bytes()), format!("00{}", &aligned[..62]));
    }

    #[test]
    fn an_ordinary_digest_is_used_as_it_is() {
        let hashed = HashedScalar::of(b"pocket");
        assert!(!hashed.is_short());
        let expected = "43913f269ab77ad581e23102878c906eacd55fd9e973714f0ebbe9b55ad56fef";
        assert_eq!(hex::encode(hash_to_scalar(b"pocket").unwrap().to_bytes()), expected);
    }

    #[test]
    fn keys_hash_to_the_points_of_the_chain() {
        for (key, expected) in [
            (
                "0397896e9b106df70124a856861cc9be52fac9980e2c7a118a36c19d0198692cc5",
                "02f72a1f27fa696323f979f608a525372567ad7c532736465db78c7d7118ce46e0",
            ),
            (
                "02bbbf99abdcddac27350bca272d7146187c091aacfc1c6f90819c9b6daf4fe846",
                "02703716bd1d384b39442d0fe0a121ef050bd663d6a2a297902db45fd5874e0ed2",
            ),
        ] {
            let key = PublicKey::parse(&hex::decode(key).unwrap()).unwrap();
            assert_eq!(hex::encode(hash_to_point(&key).point), expected);
        }
    }
}
