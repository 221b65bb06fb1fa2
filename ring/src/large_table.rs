//! Large tables, for points that are used often.

use std::hint::black_box;
use std::sync::LazyLock;

use crate::field::invert_all;
use crate::halves::{HALF_BITS, Half, Halves, times_lambda};
use crate::point::{Affine, Sum};

/// Bits of a digit.
const WINDOW: usize = 10;
/// Bits of a digit of the generator, whose one table serves all.
const GENERATOR_WINDOW: usize = 13;

/// Why no sum in a table is the point at infinity.
const BELOW_ORDER: &str = "a table's multiples are positive and below the order";

/// 1 to 2^(w-1) times 2^(w i) times a point, for digits of w bits and all places i in a half.
///
/// A multiplication by any scalar is then a sum of two entries for each place, and no doubling:
/// 26 entries at most with ten bits, in 416 KiB.
#[derive(Debug)]
pub(crate) struct LargeTable {
    window: usize,
    entries: Box<[Affine]>,
}

/// A digit's magnitude and place, as the index of its multiple, and its sign.
#[derive(Clone, Copy, Default)]
struct Pick {
    index: u32,
    negative: bool,
}

impl LargeTable {
    /// Bytes of memory that each table takes.
    pub const SIZE: usize = places(WINDOW) * multiples(WINDOW) * size_of::<Affine>();
    /// The most points that a multiple is spread into.
    pub const MOST_POINTS: usize = 2 * places(WINDOW);

    pub fn new(point: Affine) -> Self {
        Self::with_window(point, WINDOW)
    }

    /// Builds the table by affine additions that share an inversion in each round.
    fn with_window(point: Affine, window: usize) -> Self {
        let multiples = multiples(window);
        let powers = powers(point, window);
        let mut entries = Vec::with_capacity(powers.len() * multiples);
        for power in powers {
            entries.push(power);
            entries.resize(entries.len() + multiples - 1, power);
        }
        let mut inverses = Vec::with_capacity(entries.len() / 2);
        let mut scratch = Vec::with_capacity(entries.len() / 2);
        let mut known = 1;
        while known < multiples {
            inverses.clear();
            for place in entries.chunks_exact(multiples) {
                let last = place[known - 1];
                let entries = place[..known].iter();
                inverses.extend(entries.map(|entry| last.difference(entry).expect(BELOW_ORDER)));
            }
            invert_all(&mut inverses, &mut scratch);
            for (place, inverses) in entries.chunks_exact_mut(multiples).zip(inverses.chunks_exact(known)) {
                let last = place[known - 1];
                for i in 0..known {
                    place[known + i] = last.plus(&place[i], inverses[i]).expect(BELOW_ORDER);
                }
            }
            known *= 2;
        }
        Self {
            window,
            entries: entries.into_boxed_slice(),
        }
    }

    /// Appends points that add up to `scalar` times the table's.
    pub fn spread(&self, scalar: &Halves, points: &mut Vec<Affine>) {
        let mut picks = [Pick::default(); Self::MOST_POINTS];
        let [first, second] = scalar;
        let ones = self.pick(first, &mut picks);
        let all = ones + self.pick(second, &mut picks[ones..]);
        let (ones, lambdas) = picks[..all].split_at(ones);

        // Entries are seldom in the near caches. Asked for in a loop that does nothing else, they come all at once.
        let touched = picks[..all]
            .iter()
            .fold(false, |odd, pick| odd ^ self.entry(*pick).x.is_odd());
        black_box(touched);

        points.extend(ones.iter().map(|pick| self.entry(*pick).negate_if(pick.negative)));
        let entries = lambdas.iter().map(|pick| self.entry(*pick).negate_if(pick.negative));
        points.extend(entries.map(times_lambda));
    }

    fn entry(&self, pick: Pick) -> Affine {
        self.entries[pick.index as usize]
    }

    /// Cuts a half into digits; gives the number of those that are not zero.
    fn pick(&self, half: &Half, picks: &mut [Pick]) -> usize {
        let multiples = multiples(self.window);
        let mut rest = half.magnitude;
        let mut picked = 0;
        for place in 0..self.entries.len() / multiples {
            let low = rest as usize & (2 * multiples - 1);
            rest >>= self.window;
            // Digits above the half are negative, with a carry: without a branch, as in `negate_if`.
            let negative = low > multiples;
            let mask = usize::from(negative).wrapping_neg() & (2 * multiples - 1);
            let digit = (low ^ mask) + usize::from(negative);
            rest += u128::from(negative);
            if digit != 0 {
                picks[picked] = Pick {
                    index: (place * multiples + digit - 1) as u32,
                    negative: half.negative != negative,
                };
                picked += 1;
            }
        }
        picked
    }
}

/// Digits of a half.
const fn places(window: usize) -> usize {
    HALF_BITS.div_ceil(window)
}

/// Entries for each place: a digit's magnitudes but zero.
const fn multiples(window: usize) -> usize {
    1 << (window - 1)
}

/// 2^(w i) times the point, for each place of a digit.
fn powers(point: Affine, window: usize) -> Vec<Affine> {
    let mut power = Sum::from(point);
    let mut powers = Vec::with_capacity(places(window));
    for _ in 0..places(window) {
        powers.push(power);
        for _ in 0..window {
            power = power.doubled();
        }
    }
    Sum::to_affine_all(&powers)
}

/// The generator's table, built at first use: 2.5 MiB, of which a multiple reads at most 20 entries.
pub(crate) fn generator() -> &'static LargeTable {
    static TABLE: LazyLock<LargeTable> = LazyLock::new(|| LargeTable::with_window(Affine::GENERATOR, GENERATOR_WINDOW));
    &TABLE
}
