//! The one number that the chain draws from Go's first generator, `math/rand` (spec `claims-and-proofs.md` §5.2).
//!
//! The generator adds words of a table of 607 that the seed fills; its first two outputs need four.

/// Modulus of the generator that fills the table.
const MODULUS: u64 = (1 << 31) - 1;

/// The words of Go's fixed table that the first output mixes in, and those of the second.
const FIRST: [(u64, u64); 2] = [(333, 0xbfb2_f4d9_68b7_59c3), (606, 0x39a0_0a3a_31c0_25c6)];
const SECOND: [(u64, u64); 2] = [(332, 0x3b7f_c3ad_0d1c_d36b), (605, 0x7e57_a19b_735e_f03b)];

/// The first `Float64()` of a generator with this seed: in [0, 1).
pub fn first_float64(seed: i64) -> f64 {
    let float = unit(output(seed, FIRST));
    // Rounding can give 1, which Go draws again; that the next is 1 too is beyond chance.
    if float < 1.0 { float } else { unit(output(seed, SECOND)) }
}

/// The first `Uint64()` of a generator with this seed.
pub fn first_uint64(seed: i64) -> u64 {
    output(seed, FIRST)
}

/// The 63 low bits as a fraction of 2^63; the conversion rounds to the nearest even double.
fn unit(word: u64) -> f64 {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    (word & (u64::MAX >> 1)) as f64 / TWO_TO_63
}

fn output(seed: i64, words: [(u64, u64); 2]) -> u64 {
    let start = start(seed);
    words
        .into_iter()
        .fold(0, |sum, (index, fixed)| sum.wrapping_add(word(start, index, fixed)))
}

/// The seed as the table's generator takes it: in 1 to 2^31 - 2.
fn start(seed: i64) -> u64 {
    let reduced = seed.rem_euclid(MODULUS as i64);
    if reduced == 0 {
        89_482_311
    } else {
        reduced.unsigned_abs()
    }
}

/// Word `index` of the table: three steps of the generator, after 20 that are thrown away and three
/// for each word before.
fn word(start: u64, index: u64, fixed: u64) -> u64 {
    let first = step(steps(start, 20 + 3 * index));
    let second = step(first);
    let third = step(second);
    (first << 40) ^ (second << 20) ^ third ^ fixed
}

fn step(value: u64) -> u64 {
    48_271 * value % MODULUS
}

/// `count` steps at once, by squaring.
fn steps(value: u64, mut count: u64) -> u64 {
    let (mut value, mut factor) = (value, 48_271);
    while count > 0 {
        if count & 1 == 1 {
            value = value * factor % MODULUS;
        }
        factor = factor * factor % MODULUS;
        count >>= 1;
    }
    value
}

/// The signed varint (zig-zag, as Go's `binary.Varint` reads it) at the start of `bytes`, and its
/// length; none if it is cut or passes 64 bits.
pub fn signed_varint(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        if byte < 0x80 {
            if index == 9 && byte > 1 {
                return None;
            }
            value |= u64::from(byte) << (7 * index);
            return Some(((value >> 1) as i64 ^ -((value & 1) as i64), index + 1));
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_outputs_are_gos() {
        let known = [
            (0, 8_717_895_732_742_165_505, 0.945_196_149_294_116_4),
            (1, 5_577_006_791_947_779_410, 0.604_660_287_979_619_6),
            (-1, 12_868_334_305_193_165_484, 0.395_187_600_996_017_4),
            (42, 12_663_951_391_086_054_483, 0.373_028_361_046_632_6),
            (i64::MIN, 7_681_445_645_332_086_223, 0.832_824_005_649_836_5),
        ];
        for (seed, word, float) in known {
            assert_eq!(first_uint64(seed), word, "seed {seed}");
            assert_eq!(first_float64(seed).to_bits(), f64::to_bits(float), "seed {seed}");
        }
    }

    #[test]
    fn seeds_that_agree_modulo_2_to_31_less_1_draw_alike() {
        assert_eq!(first_uint64(2_147_483_647), first_uint64(0));
        assert_eq!(first_uint64(2_147_483_648), first_uint64(1));
        assert_eq!(first_uint64(i64::MAX), first_uint64(1));
    }

    #[test]
    fn many_steps_at_once_are_that_many_single_ones() {
        let singly = (0..1838).fold(89_482_311, |value, _| step(value));
        assert_eq!(steps(89_482_311, 1838), singly);
    }

    #[test]
    fn varint_past_64_bits_is_none() {
        assert_eq!(signed_varint(&[0x58]), Some((44, 1)));
        assert_eq!(signed_varint(&[0xa1, 0xfa, 0x0d]), Some((-114_321, 3)));
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(signed_varint(&longest), Some((i64::MIN, 10)));
        longest[9] = 2;
        assert_eq!(signed_varint(&longest), None);
        assert_eq!(signed_varint(&[0xff; 32]), None);
        assert_eq!(signed_varint(&[]), None);
    }
}
