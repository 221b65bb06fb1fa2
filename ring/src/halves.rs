//! Scalars as two halves, by the curve's endomorphism.
//!
//! Multiplying x by `BETA` multiplies a point by `LAMBDA`, so a multiple by any scalar is a sum of
//! two multiples by numbers half as long, of which one comes from the same table at a multiplication
//! for each entry. Source: Guide to Elliptic Curve Cryptography, algorithm 3.74.

use crate::field::FieldElement;
use crate::point::Affine;
use crate::scalar::Scalar;

/// A cube root of one in the field.
const BETA: FieldElement = FieldElement::from_limbs([
    0xc139_6c28_7195_01ee,
    0x9cf0_4975_12f5_8995,
    0x6e64_479e_ac34_34e9,
    0x7ae9_6a2b_657c_0710,
]);

/// The lattice of the pairs (a, b) with a + b LAMBDA = 0 modulo N has the basis (`A1`, -`B1`),
/// (`A2`, `A1`).
const A1: [u64; 3] = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd, 0];
const B1: [u64; 3] = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828, 0];
const A2: [u64; 3] = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1];

/// 2^384 times `A1` / N and times `B1` / N, rounded.
const A1_OVER_N: [u64; 4] = [
    0xe893_209a_45db_b031,
    0x3daa_8a14_71e8_ca7f,
    0xe86c_90e4_9284_eb15,
    0x3086_d221_a7d4_6bcd,
];
const B1_OVER_N: [u64; 4] = [
    0x1571_b4ae_8ac4_7f71,
    0x2212_08ac_9df5_06c6,
    0x6f54_7fa9_0abf_e4c4,
    0xe443_7ed6_010e_8828,
];

/// The bits of a half's magnitude, one of them for a carry: magnitudes stay below 0.64 times 2^128.
pub(crate) const HALF_BITS: usize = 129;

/// A number with its sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Half {
    pub negative: bool,
    pub magnitude: u128,
}

/// The scalar is the first half plus LAMBDA times the second.
pub(crate) type Halves = [Half; 2];

/// Splits a scalar.
pub(crate) fn halves(scalar: Scalar) -> Halves {
    let k = scalar.limbs();
    let (c1, c2) = (rounded(k, A1_OVER_N), rounded(k, B1_OVER_N));
    // The halves are k - c1 A1 - c2 A2 and c1 B1 - c2 A1: small, so that 192 bits hold them.
    let [k0, k1, k2, _] = k;
    let first = subtract(subtract([k0, k1, k2], multiply(A1, c1)), multiply(A2, c2));
    let second = subtract(multiply(B1, c1), multiply(A1, c2));
    [half(first), half(second)]
}

/// LAMBDA times a point.
pub(crate) fn times_lambda(point: Affine) -> Affine {
    Affine {
        x: point.x.mul(BETA),
        y: point.y,
    }
}

/// The product over 2^384, rounded to the nearest.
fn rounded(a: [u64; 4], b: [u64; 4]) -> [u64; 2] {
    let mut wide = [0u64; 8];
    for i in 0..4 {
        let mut carry = 0;
        for j in 0..4 {
            (wide[i + j], carry) = a[i].carrying_mul_add(b[j], wide[i + j], carry);
        }
        wide[i + 4] = carry;
    }
    let (low, carry) = wide[6].carrying_add(0, wide[5] >> 63 == 1);
    [low, wide[7] + u64::from(carry)]
}

/// The product modulo 2^192.
fn multiply(a: [u64; 3], b: [u64; 2]) -> [u64; 3] {
    let (r0, carry) = a[0].carrying_mul(b[0], 0);
    let (r1, carry) = a[1].carrying_mul_add(b[0], 0, carry);
    let r2 = a[2].wrapping_mul(b[0]).wrapping_add(carry);
    let (r1, carry) = a[0].carrying_mul_add(b[1], r1, 0);
    let r2 = a[1].wrapping_mul(b[1]).wrapping_add(r2).wrapping_add(carry);
    [r0, r1, r2]
}

/// The difference modulo 2^192.
fn subtract(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    let (r0, borrow) = a[0].overflowing_sub(b[0]);
    let (r1, borrow) = a[1].borrowing_sub(b[1], borrow);
    let (r2, _) = a[2].borrowing_sub(b[2], borrow);
    [r0, r1, r2]
}

fn half(number: [u64; 3]) -> Half {
    let negative = number[2] >> 63 == 1;
    let [low, high, _] = if negative { subtract([0; 3], number) } else { number };
    Half {
        negative,
        magnitude: u128::from(high) << 64 | u128::from(low),
    }
}

#[cfg(test)]
mod tests {
    use k256::elliptic_curve::PrimeField as _;
    use proptest::prelude::*;

    use super::*;
    use crate::key::projective;

    const LAMBDA: [u8; 32] = [
        0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a, 0x12, 0x2e,
        0x22, 0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
    ];

    fn lambda() -> k256::Scalar {
        k256::Scalar::from_repr(LAMBDA.into()).unwrap()
    }

    fn value(half: Half) -> k256::Scalar {
        let magnitude = k256::Scalar::from(half.magnitude);
        if half.negative { -magnitude } else { magnitude }
    }

    fn check(scalar: k256::Scalar) {
        let [first, second] = halves(Scalar(scalar));
        assert_eq!(value(first) + value(second) * lambda(), scalar);
        for half in [first, second] {
            assert!(half.magnitude < 0xa300_0000_0000_0000_0000_0000_0000_0000);
        }
    }

    #[test]
    fn multiplying_x_multiplies_the_point() {
        let theirs = projective(Affine::GENERATOR) * lambda();
        assert_eq!(projective(times_lambda(Affine::GENERATOR)), theirs);
    }

    #[test]
    fn scalars_at_the_edges_are_split() {
        let half = k256::Scalar::from(2u64).invert().unwrap();
        let zero = k256::Scalar::ZERO;
        for scalar in [zero, half, lambda(), lambda().square(), k256::Scalar::from(u128::MAX)] {
            for distance in [0u64, 1, 2] {
                check(scalar + k256::Scalar::from(distance));
                check(scalar - k256::Scalar::from(distance));
                check(-scalar + k256::Scalar::from(distance));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn halves_make_the_scalar_and_are_short(digest: [[u8; 32]; 2]) {
            check(Scalar::from_wide(digest.as_flattened().try_into().unwrap()).0);
        }
    }
}
