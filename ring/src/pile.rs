//! Points that are to be added up, several sums at a time.
//!
//! Adding two affine points takes three multiplications and a division. Where many pairs are added
//! at once they share one inversion, at three multiplications for each: six in all, against the ten
//! of [`Sum::add_affine`]. So the piles are first halved together, as often as there are enough
//! pairs to pay for the inversion, and what is left is added in turn.

use smallvec::SmallVec;

use crate::field::{FieldElement, invert_all};
use crate::halves::Halves;
use crate::large_table::LargeTable;
use crate::multiples::{Table, Term};
use crate::point::{Affine, CompressedPoint, Sum};
use crate::small_table::SmallTable;

/// Pairs that pay for an inversion.
const WORTH_HALVING: usize = 18;

/// A sum that is not yet calculated.
pub(crate) struct Pile<'a> {
    /// Points, most of them from large tables.
    points: Vec<Affine>,
    /// Multiples by small tables, which share their doublings.
    small: SmallVec<[(&'a SmallTable, Halves); 2]>,
}

impl<'a> Pile<'a> {
    /// A pile with room for two terms, so that it allocates but once.
    pub fn new() -> Self {
        Self {
            points: Vec::with_capacity(2 * LargeTable::MOST_POINTS),
            small: SmallVec::new(),
        }
    }

    pub fn add(&mut self, term: Term<'a>) {
        match term.table {
            Table::Large(table) => table.spread(&term.scalar, &mut self.points),
            Table::Small(table) => self.small.push((table, term.scalar)),
        }
    }

    fn sum(&self) -> Sum {
        let mut sum = SmallTable::sum_of_multiples(&self.small);
        for point in &self.points {
            sum.add_affine(*point);
        }
        sum
    }

    /// Adds neighbours, given the inverses of their differences.
    fn add_pairs(&mut self, inverses: &mut impl Iterator<Item = FieldElement>) {
        let pairs = self.points.len() / 2;
        let mut kept = 0;
        for pair in 0..pairs {
            let (a, b) = (self.points[2 * pair], self.points[2 * pair + 1]);
            let inverse = inverses.next().expect("there is an inverse for each pair");
            if let Some(sum) = a.plus(&b, inverse) {
                self.points[kept] = sum;
                kept += 1;
            }
        }
        if self.points.len() % 2 == 1 {
            self.points[kept] = self.points[2 * pairs];
            kept += 1;
        }
        self.points.truncate(kept);
    }
}

/// Makes piles smaller where that is cheaper than adding up their points in turn.
pub(crate) fn condense(piles: &mut [Pile<'_>]) {
    let (mut differences, mut scratch) = (Vec::new(), Vec::new());
    loop {
        let pairs: usize = piles.iter().map(|pile| pile.points.len() / 2).sum();
        if pairs < WORTH_HALVING {
            return;
        }
        differences.clear();
        differences.reserve(pairs);
        for pile in &*piles {
            let pairs = pile.points.as_chunks().0;
            differences.extend(pairs.iter().map(|[a, b]| a.difference(b).unwrap_or(FieldElement::ONE)));
        }
        invert_all(&mut differences, &mut scratch);
        let mut inverses = differences.iter().copied();
        for pile in &mut *piles {
            pile.add_pairs(&mut inverses);
        }
    }
}

/// The encoded sums of two piles.
pub(crate) fn compress_two(piles: &[Pile<'_>; 2]) -> [CompressedPoint; 2] {
    piles[0].sum().compress_two(&piles[1].sum())
}

/// The encoded sums of two terms each.
pub(crate) fn sums_of(terms: &[[Term<'_>; 2]; 2]) -> [CompressedPoint; 2] {
    let mut piles = [Pile::new(), Pile::new()];
    for (pile, terms) in piles.iter_mut().zip(terms) {
        for term in terms {
            pile.add(*term);
        }
    }
    condense(&mut piles);
    compress_two(&piles)
}
