//! Scalars modulo the group's order N.

use k256::elliptic_curve::PrimeField as _;
use k256::elliptic_curve::bigint::U512;
use k256::elliptic_curve::ops::Reduce;

use crate::field::limbs_from_bytes;

/// A number below N = `fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar(pub(crate) k256::Scalar);

impl Scalar {
    /// The number 0.
    pub const ZERO: Self = Self(k256::Scalar::ZERO);

    /// Reads 32 big-endian bytes; `None` when they are not below N.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Option::from(k256::Scalar::from_repr((*bytes).into())).map(Self)
    }

    /// The 32 big-endian bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// The number's limbs, least significant first.
    pub(crate) fn limbs(&self) -> [u64; 4] {
        limbs_from_bytes(&self.to_bytes())
    }

    /// SHA3-512 output reduced modulo N.
    pub(crate) fn from_wide(digest: &[u8; 64]) -> Self {
        Self(<k256::Scalar as Reduce<U512>>::reduce_bytes(digest.into()))
    }
}
