//! Points of the curve y^2 = x^3 + 7, and their 33-byte encodings.

use crate::field::{FieldElement, invert_all};

/// A compressed point: 02 or 03 (even or odd y), then x, big-endian.
pub type CompressedPoint = [u8; 33];

/// How the point at infinity enters a challenge. It cannot be decoded.
pub(crate) const INFINITY: CompressedPoint = {
    let mut bytes = [0; 33];
    bytes[0] = 2;
    bytes
};

/// A point that is not the one at infinity. Aligned, so that each lies in one line of the cache: a
/// table's entries are read at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Affine {
    pub x: FieldElement,
    pub y: FieldElement,
}

impl Affine {
    pub const GENERATOR: Self = Self {
        x: FieldElement::from_limbs([
            0x59f2_815b_16f8_1798,
            0x029b_fcdb_2dce_28d9,
            0x55a0_6295_ce87_0b07,
            0x79be_667e_f9dc_bbac,
        ]),
        y: FieldElement::from_limbs([
            0x9c47_d08f_fb10_d4b8,
            0xfd17_b448_a685_5419,
            0x5da4_fbfc_0e11_08a8,
            0x483a_da77_26a3_c465,
        ]),
    };

    /// The point with this x and an odd or even y; `None` when x is on no point.
    pub fn with_x(x: FieldElement, odd: bool) -> Option<Self> {
        let seven = FieldElement::from_limbs([7, 0, 0, 0]);
        let y = x.square().mul(x).add(seven).square_root()?;
        let y = if y.is_odd() == odd { y } else { y.negate() };
        Some(Self { x, y })
    }

    pub fn decompress(bytes: &CompressedPoint) -> Option<Self> {
        let (tag, x) = bytes.split_first_chunk::<1>()?;
        let odd = match tag {
            [2] => false,
            [3] => true,
            _ => return None,
        };
        Self::with_x(FieldElement::from_bytes(x.try_into().ok()?)?, odd)
    }

    pub fn compress(&self) -> CompressedPoint {
        let mut bytes = [0; 33];
        bytes[0] = 2 + u8::from(self.y.is_odd());
        bytes[1..].copy_from_slice(&self.x.to_bytes());
        bytes
    }

    pub fn negate_if(self, negate: bool) -> Self {
        Self {
            x: self.x,
            y: self.y.negate_if(negate),
        }
    }

    /// What must be inverted to add these points; `None` when they are opposite.
    #[inline]
    pub fn difference(&self, other: &Self) -> Option<FieldElement> {
        let difference = self.x.sub(other.x);
        if !difference.is_zero() {
            return Some(difference);
        }
        (self.y == other.y).then(|| self.y.double())
    }

    /// The sum, given the inverse of the [`Affine::difference`]; `None` is the point at infinity.
    #[inline]
    pub fn plus(&self, other: &Self, inverse: FieldElement) -> Option<Self> {
        let slope = if self.x != other.x {
            self.y.sub(other.y).mul(inverse)
        } else if self.y == other.y {
            let xx = self.x.square();
            xx.double().add(xx).mul(inverse)
        } else {
            return None;
        };
        let x = slope.square().sub(self.x).sub(other.x);
        Some(Self {
            x,
            y: slope.mul(other.x.sub(x)).sub(other.y),
        })
    }
}

/// A sum of points, perhaps the point at infinity, with its denominators kept apart:
/// x = `x` / `zz`, y = `y` / `zzz`, `zz`^3 = `zzz`^2, and `zz` = 0 at infinity.
///
/// These coordinates add an affine point in ten multiplications, the fewest known (madd-2008-s of
/// the Explicit-Formulas Database, hyperelliptic.org/EFD). The formulas are incomplete: equal and
/// opposite points are found by their zero differences and treated apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    x: FieldElement,
    y: FieldElement,
    zz: FieldElement,
    zzz: FieldElement,
}

impl From<Affine> for Sum {
    fn from(point: Affine) -> Self {
        Self {
            x: point.x,
            y: point.y,
            zz: FieldElement::ONE,
            zzz: FieldElement::ONE,
        }
    }
}

impl Sum {
    pub const INFINITY: Self = Self {
        x: FieldElement::ONE,
        y: FieldElement::ONE,
        zz: FieldElement::ZERO,
        zzz: FieldElement::ZERO,
    };

    pub fn is_infinity(&self) -> bool {
        self.zz.is_zero()
    }

    #[inline]
    pub fn add_affine(&mut self, point: Affine) {
        if self.is_infinity() {
            *self = point.into();
            return;
        }
        let p = point.x.mul(self.zz).sub(self.x);
        let r = point.y.mul(self.zzz).sub(self.y);
        if p.is_zero() {
            *self = if r.is_zero() {
                Self::from(point).doubled()
            } else {
                Self::INFINITY
            };
            return;
        }
        // In an order that puts independent multiplications side by side, so that they overlap.
        let pp = p.square();
        let rr = r.square();
        let ppp = p.mul(pp);
        let q = self.x.mul(pp);
        self.zz = self.zz.mul(pp);
        self.x = rr.sub(ppp).sub(q.double());
        self.zzz = self.zzz.mul(ppp);
        let below = self.y.mul(ppp);
        self.y = r.mul(q.sub(self.x)).sub(below);
    }

    /// The sum with another sum: fourteen multiplications (add-2008-s).
    pub fn add(&mut self, other: &Self) {
        if other.is_infinity() {
            return;
        }
        if self.is_infinity() {
            *self = *other;
            return;
        }
        let u = self.x.mul(other.zz);
        let s = self.y.mul(other.zzz);
        let p = other.x.mul(self.zz).sub(u);
        let r = other.y.mul(self.zzz).sub(s);
        if p.is_zero() {
            *self = if r.is_zero() { self.doubled() } else { Self::INFINITY };
            return;
        }
        let pp = p.square();
        let ppp = p.mul(pp);
        let q = u.mul(pp);
        let x = r.square().sub(ppp).sub(q.double());
        self.y = r.mul(q.sub(x)).sub(s.mul(ppp));
        self.x = x;
        self.zz = self.zz.mul(other.zz).mul(pp);
        self.zzz = self.zzz.mul(other.zzz).mul(ppp);
    }

    /// Twice this sum (dbl-2008-s-1). There are no points of order two, so only infinity doubles
    /// to infinity, and it does so in these formulas.
    pub fn doubled(&self) -> Self {
        let u = self.y.double();
        let v = u.square();
        let w = u.mul(v);
        let s = self.x.mul(v);
        let xx = self.x.square();
        let m = xx.double().add(xx);
        let x = m.square().sub(s.double());
        Self {
            x,
            y: m.mul(s.sub(x)).sub(w.mul(self.y)),
            zz: v.mul(self.zz),
            zzz: w.mul(self.zzz),
        }
    }

    /// The affine point, given the inverse of `zzz`.
    fn scaled(&self, inverse: FieldElement) -> Affine {
        let one_over_z = self.zz.mul(inverse);
        Affine {
            x: self.x.mul(one_over_z.square()),
            y: self.y.mul(inverse),
        }
    }

    /// Both encodings, with one inversion for the two.
    pub fn compress_two(&self, other: &Self) -> [CompressedPoint; 2] {
        let mut inverses = [self, other].map(|sum| if sum.is_infinity() { FieldElement::ONE } else { sum.zzz });
        let both = inverses[0].mul(inverses[1]).invert();
        inverses = [both.mul(inverses[1]), both.mul(inverses[0])];
        let compress = |sum: &Self, inverse| {
            if sum.is_infinity() {
                INFINITY
            } else {
                sum.scaled(inverse).compress()
            }
        };
        [compress(self, inverses[0]), compress(other, inverses[1])]
    }

    /// All the points, with one inversion. None may be at infinity.
    pub fn to_affine_all(sums: &[Self]) -> Vec<Affine> {
        let mut inverses: Vec<_> = sums.iter().map(|sum| sum.zzz).collect();
        invert_all(&mut inverses, &mut Vec::with_capacity(sums.len()));
        sums.iter()
            .zip(inverses)
            .map(|(sum, inverse)| sum.scaled(inverse))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use k256::ProjectivePoint;
    use k256::elliptic_curve::PrimeField as _;
    use k256::elliptic_curve::sec1::ToEncodedPoint as _;
    use proptest::prelude::*;

    use super::*;
    use crate::key::projective;

    /// A sum with denominators other than one, and the same point in k256's hands.
    fn multiple(number: u64) -> (Sum, ProjectivePoint) {
        let mut sum = Sum::INFINITY;
        for place in (0..64).rev() {
            sum = sum.doubled();
            if number >> place & 1 == 1 {
                sum.add_affine(Affine::GENERATOR);
            }
        }
        (sum, ProjectivePoint::GENERATOR * k256::Scalar::from(number))
    }

    fn encoded(point: ProjectivePoint) -> CompressedPoint {
        point
            .to_affine()
            .to_encoded_point(true)
            .as_bytes()
            .try_into()
            .unwrap_or(INFINITY)
    }

    /// Small numbers, so that equal, opposite and infinite summands occur.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..4u64, any::<u64>()]
    }

    #[test]
    fn the_generator_is_the_curve_s() {
        assert_eq!(projective(Affine::GENERATOR), ProjectivePoint::GENERATOR);
    }

    #[test]
    fn infinity_is_written_as_two_and_zeros_and_not_read() {
        assert_eq!(Sum::INFINITY.compress_two(&Sum::INFINITY), [INFINITY; 2]);
        assert_eq!(Affine::decompress(&INFINITY), None);
    }

    proptest! {
        #[test]
        fn sums_agree_with_k256(a in number(), b in number(), negative: bool) {
            let ((mut sum, x), (mut other, mut y)) = (multiple(a), multiple(b));
            if negative {
                other.y = other.y.negate();
                y = -y;
            }
            let mut mixed = sum;
            if !other.is_infinity() {
                mixed.add_affine(Sum::to_affine_all(&[other])[0]);
            }
            sum.add(&other);
            prop_assert_eq!(sum.compress_two(&mixed), [encoded(x + y); 2]);
            prop_assert_eq!(sum.doubled().compress_two(&other), [encoded((x + y).double()), encoded(y)]);
        }

        #[test]
        fn a_read_point_is_written_again(tag in 2..4u8, x: [u8; 32]) {
            let mut bytes = [tag; 33];
            bytes[1..].copy_from_slice(&x);
            if let Some(point) = Affine::decompress(&bytes) {
                prop_assert_eq!(point.compress(), bytes);
            } else {
                let on_curve = k256::FieldElement::from_repr(x.into()).is_some().into()
                    && k256::PublicKey::from_sec1_bytes(&bytes).is_ok();
                prop_assert!(!on_curve);
            }
        }
    }
}
