//! Small tables, for points that are used a few times.

use crate::halves::{HALF_BITS, Half, Halves, times_lambda};
use crate::point::{Affine, Sum};

/// Bits of a half that are a lane of their own.
const LANE_BITS: usize = HALF_BITS.div_ceil(2);
/// Lanes: parts of a scalar that share their doublings.
const LANES: usize = 4;
/// Odd multiples for each lane.
const ODD_MULTIPLES: usize = 8;

/// 1, 3 .. 15 times a point, times 1 and 2^65, times 1 and LAMBDA.
///
/// A multiplication by any scalar is then 65 doublings and some 43 additions. 2 KiB, made in less
/// than the time of a multiplication, so that even a single use loses nothing.
#[derive(Clone, Debug)]
pub(crate) struct SmallTable([[Affine; ODD_MULTIPLES]; LANES]);

/// A half's digits, odd and between -15 and 15, at most one in five places.
type SparseDigits = [i8; 2 * LANE_BITS];

impl SmallTable {
    pub fn new(point: Affine) -> Self {
        let mut sums = [Sum::from(point); 2 * ODD_MULTIPLES];
        let mut power = Sum::from(point);
        for lane in sums.chunks_exact_mut(ODD_MULTIPLES) {
            let first = power;
            let twice = power.doubled();
            for multiple in &mut *lane {
                *multiple = power;
                power.add(&twice);
            }
            power = first;
            for _ in 0..LANE_BITS {
                power = power.doubled();
            }
        }
        let affine = Sum::to_affine_all(&sums);
        Self(std::array::from_fn(|lane| {
            std::array::from_fn(|i| {
                let entry = affine[lane % 2 * ODD_MULTIPLES + i];
                if lane < 2 { entry } else { times_lambda(entry) }
            })
        }))
    }

    /// Sum of the tables' points times their scalars, with the doublings shared.
    pub fn sum_of_multiples(terms: &[(&Self, Halves)]) -> Sum {
        let mut sum = Sum::INFINITY;
        if terms.is_empty() {
            return sum;
        }
        let digits: smallvec::SmallVec<[[SparseDigits; 2]; 2]> =
            terms.iter().map(|(_, scalar)| scalar.map(sparse_digits)).collect();
        for place in (0..LANE_BITS).rev() {
            sum = sum.doubled();
            for ((table, _), digits) in terms.iter().zip(&digits) {
                let lanes = digits.as_flattened().chunks_exact(LANE_BITS);
                for (multiples, digits) in table.0.iter().zip(lanes) {
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

/// The non-adjacent form of width five. A magnitude below 2^128 has no digit above place 128.
fn sparse_digits(half: Half) -> SparseDigits {
    let mut digits = [0; 2 * LANE_BITS];
    let mut rest = half.magnitude;
    let mut place = 0;
    while rest != 0 {
        let zeros = rest.trailing_zeros();
        rest >>= zeros;
        place += zeros as usize;
        let low = (rest & 31) as i8;
        let digit = if low > 16 { low - 32 } else { low };
        digits[place] = if half.negative { -digit } else { digit };
        // The carry of a negative digit goes in after the shift, lest it overflow.
        rest = (rest >> 5) + u128::from(digit < 0);
        place += 5;
    }
    digits
}
