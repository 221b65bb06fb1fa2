//! Sums of multiples of known points, by whatever table each has.

use crate::point::Sum;
use crate::scalar::Scalar;
use crate::table::{LargeTable, SmallTable};

/// A point's table.
#[derive(Clone, Copy)]
enum Table<'a> {
    Small(&'a SmallTable),
    Large(&'a LargeTable),
}

/// A scalar times a point.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    table: Table<'a>,
    scalar: Scalar,
}

impl<'a> Term<'a> {
    pub fn small(table: &'a SmallTable, scalar: Scalar) -> Self {
        Self {
            table: Table::Small(table),
            scalar,
        }
    }

    pub fn large(table: &'a LargeTable, scalar: Scalar) -> Self {
        Self {
            table: Table::Large(table),
            scalar,
        }
    }
}

/// The sum of two products. Small tables share their doublings; large ones need none.
pub(crate) fn sum_of(terms: [Term<'_>; 2]) -> Sum {
    let small = terms.iter().filter_map(|term| match term.table {
        Table::Small(table) => Some((table, term.scalar)),
        Table::Large(_) => None,
    });
    let mut sum = SmallTable::sum_of_multiples(&small.collect::<smallvec::SmallVec<[_; 2]>>());
    for term in terms {
        if let Table::Large(table) = term.table {
            table.add_multiple(term.scalar, &mut sum);
        }
    }
    sum
}
