//! Inverses modulo p by division steps, in time that depends on the number: public data only.
//!
//! The greatest common divisor of p and the number is sought by steps that look at lowest bits
//! alone (D. J. Bernstein, B.-Y. Yang, "Fast constant-time gcd computation and modular inversion").
//! 62 steps at a time are found on words, as a matrix, and then applied to the long numbers.

/// Bits of a limb, and steps in a matrix.
const BITS: u32 = 62;
const MASK: i64 = (1 << BITS) - 1;

/// p is `P_TOP` 2^248 - `P_LOW`; its three limbs between are zero.
const P_LOW: i64 = 0x1_0000_03d1;
const P_TOP: i64 = 256;
/// The inverse of p modulo 2^62.
const P_INVERSE: i64 = {
    // Newton's iteration doubles the right bits: 3, 6, 12, 24, 48, 96.
    let p = -P_LOW;
    let mut inverse = p;
    let mut round = 0;
    while round < 5 {
        inverse = inverse.wrapping_mul(2i64.wrapping_sub(p.wrapping_mul(inverse)));
        round += 1;
    }
    inverse & MASK
};

/// A signed number: limbs of 62 bits, least significant first, the last with the sign.
type Long = [i64; 5];

const P: Long = [-P_LOW, 0, 0, 0, P_TOP];

/// 62 steps: f' = (u f + v g) / 2^62, g' = (q f + r g) / 2^62.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// The inverse modulo p of a number below 2^256 and its representation below p; zero of zero.
pub(crate) fn inverse(number: [u64; 4]) -> [u64; 4] {
    // f = d x and g = e x modulo p, throughout.
    let (mut f, mut g) = (P, unpack(number));
    let (mut d, mut e) = ([0; 5], [1, 0, 0, 0, 0]);
    let mut eta = -1;
    let mut length = f.len();
    loop {
        let matrix = steps(&mut eta, f[0], g[0]);
        apply_modulo_p(&matrix, &mut d, &mut e);
        apply(&matrix, &mut f[..length], &mut g[..length]);
        if g[..length].iter().all(|limb| *limb == 0) {
            break;
        }
        // A top limb that is nothing but sign goes into the limb below.
        let top = length - 1;
        if top > 0 && matches!(f[top], 0 | -1) && matches!(g[top], 0 | -1) {
            f[top - 1] |= f[top] << BITS;
            g[top - 1] |= g[top] << BITS;
            length = top;
        }
    }
    // Here f is 1 or -1, or p when the number was zero.
    pack(d, f[length - 1] < 0)
}

/// Finds 62 steps from the lowest bits of an odd `f` and any `g`.
///
/// `eta` is what decides on exchanging f and g: minus the paper's delta.
fn steps(eta: &mut i64, f: i64, g: i64) -> Matrix {
    let (mut f, mut g) = (f.cast_unsigned(), g.cast_unsigned());
    let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
    let mut left = BITS;
    loop {
        // Even g: halve as often as it goes.
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        // Both are odd: add the multiple of f to g that clears as many low bits of g as may be
        // cleared before the next exchange.
        let factor;
        if *eta < 0 {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
            // f (f^2 - 2) is -1/f modulo 64.
            let inverse = f.wrapping_mul(f.wrapping_mul(f).wrapping_sub(2));
            factor = g.wrapping_mul(inverse) & 63;
        } else {
            // f with its bit 3 mended is 1/f modulo 16.
            let inverse = f.wrapping_add((f.wrapping_add(1) & 4) << 1);
            factor = g.wrapping_mul(inverse.wrapping_neg()) & 15;
        }
        let bits = (*eta + 1).min(i64::from(left)).cast_unsigned();
        let factor = factor & (u64::MAX >> (64 - bits));
        g = g.wrapping_add(f.wrapping_mul(factor));
        q = q.wrapping_add(u.wrapping_mul(factor));
        r = r.wrapping_add(v.wrapping_mul(factor));
    }
    Matrix {
        u: u.cast_signed(),
        v: v.cast_signed(),
        q: q.cast_signed(),
        r: r.cast_signed(),
    }
}

/// Both sums of products of a matrix row with two limbs.
#[inline]
fn row(a: i64, x: i64, b: i64, y: i64) -> i128 {
    i128::from(a) * i128::from(x) + i128::from(b) * i128::from(y)
}

/// Takes the lowest limb out of a sum.
#[inline]
fn shift(sum: &mut i128) -> i64 {
    let limb = *sum as i64 & MASK;
    *sum >>= BITS;
    limb
}

/// Applies a matrix to numbers that it divides without remainder.
fn apply(matrix: &Matrix, f: &mut [i64], g: &mut [i64]) {
    let (mut sum_f, mut sum_g) = (0, 0);
    for i in 0..f.len() {
        sum_f += row(matrix.u, f[i], matrix.v, g[i]);
        sum_g += row(matrix.q, f[i], matrix.r, g[i]);
        let (low_f, low_g) = (shift(&mut sum_f), shift(&mut sum_g));
        if let Some(below) = i.checked_sub(1) {
            (f[below], g[below]) = (low_f, low_g);
        }
    }
    if let (Some(f), Some(g)) = (f.last_mut(), g.last_mut()) {
        (*f, *g) = (sum_f as i64, sum_g as i64);
    }
}

/// Applies a matrix to numbers between -2p and p, adding the multiples of p that make them
/// divisible and keep them in that range.
fn apply_modulo_p(matrix: &Matrix, d: &mut Long, e: &mut Long) {
    let Matrix { u, v, q, r } = *matrix;
    let (negative_d, negative_e) = (d[4] >> 63, e[4] >> 63);
    let mut times_d = (u & negative_d) + (v & negative_e);
    let mut times_e = (q & negative_d) + (r & negative_e);
    let mut sum_d = row(u, d[0], v, e[0]);
    let mut sum_e = row(q, d[0], r, e[0]);
    times_d -= P_INVERSE.wrapping_mul(sum_d as i64).wrapping_add(times_d) & MASK;
    times_e -= P_INVERSE.wrapping_mul(sum_e as i64).wrapping_add(times_e) & MASK;
    sum_d -= i128::from(P_LOW) * i128::from(times_d);
    sum_e -= i128::from(P_LOW) * i128::from(times_e);
    sum_d >>= BITS;
    sum_e >>= BITS;
    for i in 1..5 {
        sum_d += row(u, d[i], v, e[i]);
        sum_e += row(q, d[i], r, e[i]);
        if i == 4 {
            sum_d += i128::from(P_TOP) * i128::from(times_d);
            sum_e += i128::from(P_TOP) * i128::from(times_e);
        }
        d[i - 1] = shift(&mut sum_d);
        e[i - 1] = shift(&mut sum_e);
    }
    d[4] = sum_d as i64;
    e[4] = sum_e as i64;
}

fn unpack(number: [u64; 4]) -> Long {
    let [a, b, c, d] = number.map(u64::cast_signed);
    let limb = |low: i64, high: i64, shift: u32| {
        (low.cast_unsigned() >> (64 - shift) | high.cast_unsigned() << shift).cast_signed() & MASK
    };
    [
        a & MASK,
        limb(a, b, 2),
        limb(b, c, 4),
        limb(c, d, 6),
        (d.cast_unsigned() >> 56).cast_signed(),
    ]
}

/// The number between -2p and p, perhaps with the other sign, modulo p.
fn pack(mut number: Long, negate: bool) -> [u64; 4] {
    let settle = |number: &mut Long, add_p: bool, negate: bool| {
        let mut carry = 0;
        for (limb, p) in number.iter_mut().zip(P) {
            let sum = *limb + if add_p { p } else { 0 };
            carry += if negate { -sum } else { sum };
            *limb = carry & MASK;
            carry >>= BITS;
        }
        number[4] |= carry << BITS;
    };
    let negative = number[4] < 0;
    settle(&mut number, negative, negate);
    let negative = number[4] < 0;
    settle(&mut number, negative, false);
    let [a, b, c, d, e] = number.map(i64::cast_unsigned);
    [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
}
