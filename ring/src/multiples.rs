//! Multiples of known points, by whatever table each has.

use crate::halves::Halves;
use crate::large_table::LargeTable;
use crate::small_table::SmallTable;

/// A scalar times a point.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub table: Table<'a>,
    pub scalar: Halves,
}

/// A point's table.
#[derive(Clone, Copy)]
pub(crate) enum Table<'a> {
    Small(&'a SmallTable),
    Large(&'a LargeTable),
}

impl<'a> Term<'a> {
    pub fn small(table: &'a SmallTable, scalar: Halves) -> Self {
        Self {
            table: Table::Small(table),
            scalar,
        }
    }

    pub fn large(table: &'a LargeTable, scalar: Halves) -> Self {
        Self {
            table: Table::Large(table),
            scalar,
        }
    }
}

#[cfg(test)]
mod tests {
    use k256::ProjectivePoint;
    use proptest::prelude::*;

    use super::*;
    use crate::CompressedPoint;
    use crate::halves::halves;
    use crate::key::projective;
    use crate::large_table::generator;
    use crate::pile::sums_of;
    use crate::point::{Affine, INFINITY};
    use crate::scalar::Scalar;

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

    fn encoded(point: ProjectivePoint) -> CompressedPoint {
        if point == ProjectivePoint::IDENTITY {
            return INFINITY;
        }
        k256::PublicKey::from_affine(point.to_affine())
            .unwrap()
            .to_sec1_bytes()
            .as_ref()
            .try_into()
            .unwrap()
    }

    /// `a` times one point and `b` times another, by every pair of tables.
    fn check(a: Scalar, one: Affine, b: Scalar, other: Affine) {
        let expected = encoded(projective(one) * a.0 + projective(other) * b.0);
        let small = [one, other].map(SmallTable::new);
        let large = [one, other].map(LargeTable::new);
        let (a, b) = (halves(a), halves(b));
        let a = [Term::small(&small[0], a), Term::large(&large[0], a)];
        let b = [Term::small(&small[1], b), Term::large(&large[1], b)];
        assert_eq!(sums_of(&[[a[0], b[0]], [a[1], b[1]]]), [expected; 2]);
        assert_eq!(sums_of(&[[a[0], b[1]], [a[1], b[0]]]), [expected; 2]);
    }

    #[test]
    fn half_the_order_and_its_neighbours_are_right() {
        let half = k256::Scalar::from(2u64).invert().unwrap();
        let one = k256::Scalar::ONE;
        for scalar in [half, half - one, half + one, one, k256::Scalar::ZERO].map(Scalar) {
            check(scalar, Affine::GENERATOR, Scalar::ZERO, Affine::GENERATOR);
            let sums = sums_of(&[
                [Term::large(generator(), halves(scalar)); 2],
                [Term::large(generator(), halves(Scalar(-scalar.0))); 2],
            ]);
            let theirs = ProjectivePoint::GENERATOR * scalar.0;
            assert_eq!(sums, [encoded(theirs.double()), encoded(-theirs.double())]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sums_of_multiples_agree_with_k256(a in scalar(), b in scalar()) {
            check(a, Affine::GENERATOR, b, crate::PublicKey::PLACEHOLDER.point());
        }

        /// Where a point meets itself or its opposite, the formulas are others.
        #[test]
        fn multiples_of_one_point_add_up(a in scalar(), b in scalar()) {
            let point = crate::PublicKey::PLACEHOLDER.point();
            check(a, point, b, point);
            check(a, point, a, point);
            check(a, point, Scalar(-a.0), point);
            check(a, point, b, point.negate_if(true));
        }
    }
}
