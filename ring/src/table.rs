//! Multiples of points: small tables for any point, large ones for points that are used often.

use std::sync::LazyLock;

use crate::field::{FieldElement, invert_all};
use crate::point::{Affine, Sum};
use crate::scalar::Scalar;

/// Bits of a digit of the large table.
const WINDOW: usize = 8;
/// Digits of a magnitude below 2^255.
const DIGITS: usize = 32;
/// Entries for a digit's place: 1 to 128 times the place's power of two.
const ENTRIES: usize = 1 << (WINDOW - 1);

/// 1 to 128 times 2^(8 i) times a point, for i = 0 to 31.
///
/// A multiplication by any scalar is then 32 additions and no doubling. 256 KiB.
#[derive(Debug)]
pub(crate) struct LargeTable(Box<[Affine]>);

impl LargeTable {
    /// Bytes of memory that each table takes.
    pub const SIZE: usize = DIGITS * ENTRIES * size_of::<Affine>();

    /// Builds the table by affine additions that share an inversion in each of seven rounds.
    pub fn new(point: Affine) -> Self {
        let places = powers(point);
        let mut entries = Vec::with_capacity(DIGITS * ENTRIES);
        for place in places {
            entries.push(place);
            entries.resize(entries.len() + ENTRIES - 1, place);
        }
        let mut denominators = Vec::with_capacity(entries.len() / 2);
        let mut scratch = Vec::with_capacity(entries.len() / 2);
        let mut known = 1;
        while known < ENTRIES {
            denominators.clear();
            for place in entries.chunks_exact(ENTRIES) {
                let last = place[known - 1];
                denominators.extend(place[..known - 1].iter().map(|entry| last.x.sub(entry.x)));
                denominators.push(last.y.double());
            }
            invert_all(&mut denominators, &mut scratch);
            for (place, inverses) in entries.chunks_exact_mut(ENTRIES).zip(denominators.chunks_exact(known)) {
                let last = place[known - 1];
                for i in 0..known {
                    place[known + i] = add_distinct_or_double(last, place[i], i == known - 1, inverses[i]);
                }
            }
            known *= 2;
        }
        Self(entries.into_boxed_slice())
    }

    /// Adds `scalar` times the point to `sum`.
    pub fn add_multiple(&self, scalar: Scalar, sum: &mut Sum) {
        let (negative, digits) = digits(scalar);
        for (place, digit) in self.0.chunks_exact(ENTRIES).zip(digits) {
            if digit != 0 {
                let entry = place[usize::from(digit.unsigned_abs()) - 1];
                sum.add_affine(entry.negate_if((digit < 0) != negative));
            }
        }
    }
}

/// The sum of `a` and `b` (of `a` and itself if `double`), given the inverse of a.x - b.x (of
/// 2 a.y).
fn add_distinct_or_double(a: Affine, b: Affine, double: bool, inverse: FieldElement) -> Affine {
    let slope = if double {
        let xx = a.x.square();
        xx.double().add(xx).mul(inverse)
    } else {
        a.y.sub(b.y).mul(inverse)
    };
    let x = slope.square().sub(a.x).sub(b.x);
    Affine {
        x,
        y: slope.mul(b.x.sub(x)).sub(b.y),
    }
}

/// 2^(8 i) times the point, for each place of a digit.
fn powers(point: Affine) -> Vec<Affine> {
    let mut power = Sum::from(point);
    let mut powers = Vec::with_capacity(DIGITS);
    for _ in 0..DIGITS {
        powers.push(power);
        for _ in 0..WINDOW {
            power = power.doubled();
        }
    }
    Sum::to_affine_all(&powers)
}

/// The scalar's sign, and its magnitude's digits, -127 to 128, least significant first.
fn digits(scalar: Scalar) -> (bool, [i16; DIGITS]) {
    let (negative, magnitude) = scalar.signed();
    let mut digits = [0; DIGITS];
    let mut carry = 0;
    for (digit, byte) in digits.iter_mut().zip(magnitude.into_iter().flat_map(u64::to_le_bytes)) {
        let value = i16::from(byte) + carry;
        carry = i16::from(value > 128);
        *digit = value - (carry << 8);
    }
    // The magnitude is below 2^255, so the last digit is at most 128 and carries nothing.
    (negative, digits)
}

/// The generator's table, built at first use.
pub(crate) fn generator() -> &'static LargeTable {
    static TABLE: LazyLock<LargeTable> = LazyLock::new(|| LargeTable::new(Affine::GENERATOR));
    &TABLE
}

/// Parts of a scalar that share their doublings.
const LANES: usize = 4;
/// Bits of a part.
const LANE_BITS: usize = 64;
/// Odd multiples for each part.
const ODD_MULTIPLES: usize = 8;

/// 1, 3 .. 15 times 2^(64 i) times a point, for i = 0 to 3.
///
/// A multiplication by any scalar is then 64 doublings and some 43 additions. 2 KiB, made in about
/// the time of a multiplication without any table, so that even a single use loses little.
#[derive(Clone, Debug)]
pub(crate) struct SmallTable([[Affine; ODD_MULTIPLES]; LANES]);

/// A scalar's digits, odd and between -15 and 15, at most one in five places.
type SparseDigits = [i8; LANES * LANE_BITS];

impl SmallTable {
    pub fn new(point: Affine) -> Self {
        let mut sums = [Sum::from(point); LANES * ODD_MULTIPLES];
        let mut power = Sum::from(point);
        for lane in sums.chunks_exact_mut(ODD_MULTIPLES) {
            let twice = power.doubled();
            for multiple in &mut *lane {
                *multiple = power;
                power.add(&twice);
            }
            power = lane[0];
            for _ in 0..LANE_BITS {
                power = power.doubled();
            }
        }
        let affine = Sum::to_affine_all(&sums);
        Self(std::array::from_fn(|lane| {
            std::array::from_fn(|i| affine[lane * ODD_MULTIPLES + i])
        }))
    }

    /// Sum of the tables' points times their scalars, with the doublings shared.
    pub fn sum_of_multiples(terms: &[(&Self, Scalar)]) -> Sum {
        let digits: smallvec::SmallVec<[SparseDigits; 2]> =
            terms.iter().map(|(_, scalar)| sparse_digits(*scalar)).collect();
        let mut sum = Sum::INFINITY;
        for place in (0..LANE_BITS).rev() {
            if !sum.is_infinity() {
                sum = sum.doubled();
            }
            for ((table, _), digits) in terms.iter().zip(&digits) {
                for (multiples, digits) in table.0.iter().zip(digits.chunks_exact(LANE_BITS)) {
                    let digit = digits[place];
                    if digit != 0 {
                        let entry = multiples[usize::from(digit.unsigned_abs() / 2)];
                        sum.add_affine(entry.negate_if(digit < 0));
                    }
                }
            }
        }
        sum
    }
}

/// The non-adjacent form of width five. A magnitude below 2^255 has no digit above place 255.
fn sparse_digits(scalar: Scalar) -> SparseDigits {
    let (negative, mut rest) = scalar.signed();
    let mut digits = [0; LANES * LANE_BITS];
    let mut place = 0;
    while rest != [0; 4] {
        let skip = rest[0].trailing_zeros().min(63);
        if skip > 0 {
            for i in 0..4 {
                let above = rest.get(i + 1).copied().unwrap_or_default();
                rest[i] = rest[i] >> skip | above << (64 - skip);
            }
            place += skip as usize;
            continue;
        }
        let low = (rest[0] & 31) as i8;
        let digit = if low > 16 { low - 32 } else { low };
        digits[place] = if negative { -digit } else { digit };
        let mut carry = rest[0].checked_add_signed(-i64::from(digit)).is_none() && digit < 0;
        rest[0] = rest[0].wrapping_add_signed(-i64::from(digit));
        for limb in &mut rest[1..] {
            (*limb, carry) = limb.carrying_add(0, carry);
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use k256::ProjectivePoint;
    use proptest::prelude::*;

    use super::*;
    use crate::key::projective;

    /// Any number, and those at the edges of digits and of the order.
    fn scalar() -> impl Strategy<Value = Scalar> {
        let small = prop_oneof![0..300u64, any::<u64>()].prop_map(|number| Scalar(k256::Scalar::from(number)));
        let wide = any::<[u8; 32]>().prop_map(|half| {
            let mut digest = [0; 64];
            digest[32..].copy_from_slice(&half);
            Scalar::from_wide(&digest)
        });
        let runs = any::<[bool; 32]>().prop_map(|runs| {
            let mut digest = [0; 64];
            digest[32..].copy_from_slice(&runs.map(|set| if set { 0x80 } else { 0x7f }));
            Scalar::from_wide(&digest)
        });
        (prop_oneof![small, wide, runs], any::<bool>())
            .prop_map(|(scalar, negative)| if negative { Scalar(-scalar.0) } else { scalar })
    }

    fn encoded(sum: &Sum) -> crate::CompressedPoint {
        sum.compress_two(&Sum::INFINITY)[0]
    }

    fn expected(scalar: Scalar, point: Affine) -> ProjectivePoint {
        projective(point) * scalar.0
    }

    fn same(sum: &Sum, theirs: ProjectivePoint) {
        let ours = encoded(sum);
        match Affine::decompress(&ours) {
            Some(point) => assert_eq!(projective(point), theirs),
            None => assert_eq!(theirs, ProjectivePoint::IDENTITY),
        }
    }

    #[test]
    fn half_the_order_and_its_neighbours_are_right_in_both_tables() {
        let table = SmallTable::new(Affine::GENERATOR);
        let half = k256::Scalar::from(2u64).invert().unwrap();
        for scalar in [
            half,
            half - k256::Scalar::ONE,
            half + k256::Scalar::ONE,
            k256::Scalar::ZERO,
        ]
        .map(Scalar)
        {
            let mut sum = Sum::INFINITY;
            generator().add_multiple(scalar, &mut sum);
            same(&sum, expected(scalar, Affine::GENERATOR));
            same(
                &SmallTable::sum_of_multiples(&[(&table, scalar)]),
                expected(scalar, Affine::GENERATOR),
            );
        }
    }

    proptest! {
        #[test]
        fn multiples_agree_with_k256(a in scalar(), b in scalar()) {
            let (g, p) = (Affine::GENERATOR, crate::PublicKey::PLACEHOLDER.point());
            let theirs = expected(a, g) + expected(b, p);

            let mut sum = Sum::INFINITY;
            generator().add_multiple(a, &mut sum);
            let mut other = SmallTable::sum_of_multiples(&[(&SmallTable::new(p), b)]);
            sum.add(&other);
            same(&sum, theirs);

            other = SmallTable::sum_of_multiples(&[(&SmallTable::new(g), a), (&SmallTable::new(p), b)]);
            same(&other, theirs);
        }
    }
}
