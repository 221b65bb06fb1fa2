//! Numbers modulo p = 2^256 - 2^32 - 977, the field of secp256k1's coordinates.
//!
//! Four 64-bit limbs, least significant first, holding any value below 2^256 that is congruent to
//! the number: only [`FieldElement::normalize`] brings it below p. Every operation takes and gives
//! such values, so there are no magnitudes to track. All of it is variable time at the edges
//! (zero tests, comparisons) and meant for public data.

use crate::inverse::inverse;

/// 2^256 - p: what a carry out of the top limb is worth.
const CARRY: u64 = 0x1_0000_03d1;

/// p, least significant limb first.
const MODULUS: [u64; 4] = [0xffff_fffe_ffff_fc2f, u64::MAX, u64::MAX, u64::MAX];

/// A number modulo p.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldElement([u64; 4]);

impl FieldElement {
    pub const ZERO: Self = Self([0; 4]);
    pub const ONE: Self = Self([1, 0, 0, 0]);

    pub const fn from_limbs(limbs: [u64; 4]) -> Self {
        Self(limbs)
    }

    /// Reads 32 big-endian bytes; `None` when they are not below p.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let value = Self::from_any_bytes(bytes);
        value.overflow().is_none().then_some(value)
    }

    /// Reads 32 big-endian bytes modulo p.
    pub fn from_any_bytes(bytes: &[u8; 32]) -> Self {
        Self(limbs_from_bytes(bytes))
    }

    /// The 32 big-endian bytes of the value below p.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.rchunks_exact_mut(8).zip(self.normalize().0) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    /// The same number, below p.
    pub fn normalize(self) -> Self {
        self.overflow().unwrap_or(self)
    }

    /// The value minus p, when it is at least p.
    fn overflow(self) -> Option<Self> {
        let (l0, carry) = self.0[0].overflowing_add(CARRY);
        let (l1, carry) = self.0[1].carrying_add(0, carry);
        let (l2, carry) = self.0[2].carrying_add(0, carry);
        let (l3, carry) = self.0[3].carrying_add(0, carry);
        carry.then_some(Self([l0, l1, l2, l3]))
    }

    pub fn is_zero(self) -> bool {
        self.0 == [0; 4] || self.0 == MODULUS
    }

    /// Whether the value below p is odd.
    pub fn is_odd(self) -> bool {
        self.normalize().0[0] & 1 == 1
    }

    #[inline]
    pub fn mul(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let mut wide = [0u64; 8];
        for i in 0..4 {
            let mut carry = 0;
            for j in 0..4 {
                (wide[i + j], carry) = a[i].carrying_mul_add(b[j], wide[i + j], carry);
            }
            wide[i + 4] = carry;
        }
        Self::fold(wide)
    }

    #[inline]
    pub fn square(self) -> Self {
        let a = self.0;
        // The products of different limbs, once.
        let (w1, carry) = a[0].carrying_mul(a[1], 0);
        let (w2, carry) = a[0].carrying_mul(a[2], carry);
        let (w3, w4) = a[0].carrying_mul(a[3], carry);
        let (w3, carry) = a[1].carrying_mul_add(a[2], w3, 0);
        let (w4, w5) = a[1].carrying_mul_add(a[3], w4, carry);
        let (w5, w6) = a[2].carrying_mul_add(a[3], w5, 0);
        // Twice, and the squares of the limbs.
        let w7 = w6 >> 63;
        let w6 = w6 << 1 | w5 >> 63;
        let w5 = w5 << 1 | w4 >> 63;
        let w4 = w4 << 1 | w3 >> 63;
        let w3 = w3 << 1 | w2 >> 63;
        let w2 = w2 << 1 | w1 >> 63;
        let w1 = w1 << 1;
        let (w0, high) = a[0].carrying_mul(a[0], 0);
        let (w1, carry) = w1.overflowing_add(high);
        let (low, high) = a[1].carrying_mul(a[1], 0);
        let (w2, carry) = w2.carrying_add(low, carry);
        let (w3, carry) = w3.carrying_add(high, carry);
        let (low, high) = a[2].carrying_mul(a[2], 0);
        let (w4, carry) = w4.carrying_add(low, carry);
        let (w5, carry) = w5.carrying_add(high, carry);
        let (low, high) = a[3].carrying_mul(a[3], 0);
        let (w6, carry) = w6.carrying_add(low, carry);
        let (w7, _) = w7.carrying_add(high, carry);
        Self::fold([w0, w1, w2, w3, w4, w5, w6, w7])
    }

    /// Brings a product of 512 bits below 2^256.
    #[inline]
    fn fold(wide: [u64; 8]) -> Self {
        let (l0, carry) = wide[4].carrying_mul_add(CARRY, wide[0], 0);
        let (l1, carry) = wide[5].carrying_mul_add(CARRY, wide[1], carry);
        let (l2, carry) = wide[6].carrying_mul_add(CARRY, wide[2], carry);
        let (l3, top) = wide[7].carrying_mul_add(CARRY, wide[3], carry);
        // `top` is at most CARRY, so that its fold has two limbs.
        let (low, high) = top.carrying_mul(CARRY, 0);
        let (l0, carry) = l0.overflowing_add(low);
        let (l1, carry) = l1.carrying_add(high, carry);
        let (l2, carry) = l2.carrying_add(0, carry);
        let (l3, carry) = l3.carrying_add(0, carry);
        // After a carry here the rest is below 2^67, so that one more fold cannot carry far.
        let (l0, carry) = l0.overflowing_add(worth(carry));
        let l1 = l1 + u64::from(carry);
        Self([l0, l1, l2, l3])
    }

    #[inline]
    pub fn add(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let (l0, carry) = a[0].overflowing_add(b[0]);
        let (l1, carry) = a[1].carrying_add(b[1], carry);
        let (l2, carry) = a[2].carrying_add(b[2], carry);
        let (l3, carry) = a[3].carrying_add(b[3], carry);
        let (l0, carry) = l0.overflowing_add(worth(carry));
        let (l1, carry) = l1.carrying_add(0, carry);
        let (l2, carry) = l2.carrying_add(0, carry);
        let (l3, carry) = l3.carrying_add(0, carry);
        // A second carry leaves a value below CARRY: this addition stays in the lowest limb.
        Self([l0.wrapping_add(worth(carry)), l1, l2, l3])
    }

    #[inline]
    pub fn sub(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let (l0, borrow) = a[0].overflowing_sub(b[0]);
        let (l1, borrow) = a[1].borrowing_sub(b[1], borrow);
        let (l2, borrow) = a[2].borrowing_sub(b[2], borrow);
        let (l3, borrow) = a[3].borrowing_sub(b[3], borrow);
        let (l0, borrow) = l0.overflowing_sub(worth(borrow));
        let (l1, borrow) = l1.borrowing_sub(0, borrow);
        let (l2, borrow) = l2.borrowing_sub(0, borrow);
        let (l3, borrow) = l3.borrowing_sub(0, borrow);
        // A second borrow leaves a value within CARRY of 2^256, as in `add`.
        Self([l0.wrapping_sub(worth(borrow)), l1, l2, l3])
    }

    #[inline]
    pub fn double(self) -> Self {
        self.add(self)
    }

    #[inline]
    pub fn negate(self) -> Self {
        Self::ZERO.sub(self)
    }

    /// The negative or the number itself, without a branch: signs of digits cannot be predicted.
    #[inline]
    pub fn negate_if(self, negate: bool) -> Self {
        let mask = u64::from(negate).wrapping_neg();
        let negative = self.negate();
        Self(std::array::from_fn(|i| self.0[i] ^ (self.0[i] ^ negative.0[i]) & mask))
    }

    fn square_times(self, count: u32) -> Self {
        (0..count).fold(self, |value, _| value.square())
    }

    /// The inverse; zero of zero.
    pub fn invert(self) -> Self {
        Self(inverse(self.normalize().0))
    }

    /// A square root, if there is one: the power (p + 1) / 4.
    pub fn square_root(self) -> Option<Self> {
        // That exponent's bits are 223 ones, a zero, 22 ones, four zeros, two ones, two zeros.
        let x2 = self.square().mul(self);
        let x3 = x2.square().mul(self);
        let x6 = x3.square_times(3).mul(x3);
        let x9 = x6.square_times(3).mul(x3);
        let x11 = x9.square_times(2).mul(x2);
        let x22 = x11.square_times(11).mul(x11);
        let x44 = x22.square_times(22).mul(x22);
        let x88 = x44.square_times(44).mul(x44);
        let x176 = x88.square_times(88).mul(x88);
        let x220 = x176.square_times(44).mul(x44);
        let x223 = x220.square_times(3).mul(x3);
        let root = x223.square_times(23).mul(x22).square_times(6).mul(x2).square_times(2);
        root.square().sub(self).is_zero().then_some(root)
    }
}

/// Two representations of one number are equal.
impl PartialEq for FieldElement {
    fn eq(&self, other: &Self) -> bool {
        self.sub(*other).is_zero()
    }
}

impl Eq for FieldElement {}

/// CARRY when there was a carry, without a branch.
#[inline]
fn worth(carry: bool) -> u64 {
    u64::from(carry).wrapping_neg() & CARRY
}

/// Big-endian bytes as limbs, least significant first.
pub(crate) fn limbs_from_bytes(bytes: &[u8; 32]) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.rchunks_exact(8)) {
        *limb = chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    limbs
}

/// Replaces each number by its inverse at the cost of one inversion; none may be zero.
///
/// `products` is scratch space, overwritten. Even and odd places have products of their own, which
/// do not wait for each other.
pub(crate) fn invert_all(numbers: &mut [FieldElement], products: &mut Vec<FieldElement>) {
    products.clear();
    let (pairs, tail) = numbers.as_chunks_mut::<2>();
    let mut product = [FieldElement::ONE; 2];
    for pair in &*pairs {
        products.extend(product);
        product = [product[0].mul(pair[0]), product[1].mul(pair[1])];
    }
    let rest = tail.first().copied().unwrap_or(FieldElement::ONE);
    let both = product[0].mul(product[1]);
    let mut all = both.mul(rest).invert();
    if let Some(rest) = tail.first_mut() {
        (*rest, all) = (all.mul(both), all.mul(*rest));
    }
    let mut inverse = [all.mul(product[1]), all.mul(product[0])];
    for (pair, before) in pairs.iter_mut().zip(products.as_chunks::<2>().0).rev() {
        let own = [inverse[0].mul(before[0]), inverse[1].mul(before[1])];
        inverse = [inverse[0].mul(pair[0]), inverse[1].mul(pair[1])];
        *pair = own;
    }
}

#[cfg(test)]
mod tests {
    use k256::elliptic_curve::PrimeField as _;
    use proptest::prelude::*;

    use super::*;

    fn oracle(value: FieldElement) -> k256::FieldElement {
        k256::FieldElement::from_repr(value.to_bytes().into()).unwrap()
    }

    fn same(ours: FieldElement, theirs: &k256::FieldElement) {
        assert_eq!(ours.to_bytes(), <[u8; 32]>::from(theirs.normalize().to_bytes()));
    }

    /// Values anywhere below 2^256, the edges often.
    fn number() -> impl Strategy<Value = FieldElement> {
        let limb = || {
            prop_oneof![
                any::<u64>(),
                Just(0),
                Just(u64::MAX),
                0..3u64,
                (u64::MAX - CARRY)..=u64::MAX
            ]
        };
        let edge = (0..4u64, any::<bool>()).prop_map(|(distance, above)| {
            let low = if above {
                MODULUS[0] + distance
            } else {
                MODULUS[0] - distance
            };
            [low, u64::MAX, u64::MAX, u64::MAX]
        });
        prop_oneof![[limb(), limb(), limb(), limb()], edge].prop_map(FieldElement)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn arithmetic_agrees_with_k256(a in number(), b in number()) {
            let (x, y) = (oracle(a), oracle(b));
            same(a.add(b), &(x + y));
            same(a.sub(b), &(x + y.negate(1)));
            same(a.negate(), &x.negate(1));
            same(a.double(), &x.double());
            same(a.mul(b), &(x * y));
            same(a.square(), &x.square());
            prop_assert_eq!(a.is_zero(), bool::from(x.is_zero()));
            prop_assert_eq!(a.is_odd(), bool::from(x.is_odd()));
            let one = if a.is_zero() { FieldElement::ZERO } else { FieldElement::ONE };
            prop_assert_eq!(a.invert().mul(a), one);
        }
    }

    proptest! {
        #[test]
        fn inverses_and_roots_agree_with_k256(a in number()) {
            let x = oracle(a);
            same(a.invert(), &Option::from(x.invert()).unwrap_or(k256::FieldElement::ZERO));
            match (a.square_root(), Option::<k256::FieldElement>::from(x.sqrt())) {
                (Some(ours), Some(theirs)) => same(ours.square(), &theirs.square()),
                (None, None) => {}
                (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
            }
        }

        #[test]
        fn inverting_together_is_inverting_alone(mut numbers in prop::collection::vec(number(), 0..9)) {
            numbers.retain(|number| !number.is_zero());
            let alone: Vec<_> = numbers.iter().map(|number| number.invert()).collect();
            invert_all(&mut numbers, &mut Vec::new());
            prop_assert_eq!(numbers, alone);
        }
    }

    #[test]
    fn bytes_at_or_above_the_modulus_are_refused() {
        let modulus = FieldElement(MODULUS);
        let mut bytes = [0xff; 32];
        assert!(FieldElement::from_bytes(&bytes).is_none());
        bytes[24..].copy_from_slice(&MODULUS[0].to_be_bytes());
        assert!(FieldElement::from_bytes(&bytes).is_none());
        assert_eq!(FieldElement::from_any_bytes(&bytes), FieldElement::ZERO);
        bytes[31] -= 1;
        assert_eq!(FieldElement::from_bytes(&bytes), Some(modulus.sub(FieldElement::ONE)));
    }
}
