//! Relay mining difficulty (spec `claims-and-proofs.md` §7.2, `relay.md` §7.2).

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::Zero as _;

/// The easiest target, of a service without a history: every relay is mined, but for the hash of all ones.
pub const BASE_TARGET: [u8; 32] = [0xff; 32];

/// Whether a relay with this hash enters the tree: strictly below the target, byte by byte; a shorter
/// target that the hash begins with is below it.
pub fn is_mined(hash: &[u8; 32], target: &[u8]) -> bool {
    hash[..] < *target
}

/// The target is zero, which nothing can be divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the difficulty's target is zero")]
pub struct ZeroTarget;

/// The share of relays that is mined: target by base target, both big-endian numbers.
pub fn probability(target: &[u8]) -> BigRational {
    BigRational::new(number(target), number(&BASE_TARGET))
}

/// How many relays were served for each mined one: base target by target.
pub fn multiplier(target: &[u8]) -> Result<BigRational, ZeroTarget> {
    let target = number(target);
    if target.is_zero() {
        return Err(ZeroTarget);
    }
    Ok(BigRational::new(number(&BASE_TARGET), target))
}

fn number(target: &[u8]) -> BigInt {
    BigInt::from_bytes_be(Sign::Plus, target)
}

/// A service's target after a settlement: such that of `relays_ema` relays served in a session,
/// `target_num_relays` are mined.
pub fn next_target(target_num_relays: u64, relays_ema: u64) -> [u8; 32] {
    if relays_ema <= target_num_relays {
        return BASE_TARGET;
    }
    scaled_target(&BASE_TARGET, target_num_relays, relays_ema)
}

/// `previous` times `target_num_relays / relays_ema`, rounded down, at most the base target. The
/// chain scales the base target; with no relays at all nothing is scaled down: the base target.
pub fn scaled_target(previous: &[u8; 32], target_num_relays: u64, relays_ema: u64) -> [u8; 32] {
    if target_num_relays == relays_ema {
        return *previous;
    }
    if relays_ema == 0 {
        return BASE_TARGET;
    }
    let (_, scaled) = (number(previous) * target_num_relays / relays_ema).to_bytes_be();
    let mut target = [0; 32];
    let Some(padding) = target.len().checked_sub(scaled.len()) else {
        return BASE_TARGET;
    };
    target[padding..].copy_from_slice(&scaled);
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(target_num_relays: u64, relays_ema: u64) -> String {
        hex::encode(next_target(target_num_relays, relays_ema))
    }

    #[test]
    fn targets_are_the_specs() {
        assert_eq!(next_target(100, 100), BASE_TARGET);
        assert_eq!(next_target(100, 0), BASE_TARGET);
        assert_eq!(
            after(100, 101),
            "fd7720f353a4c0a237c32b16cfd7720f353a4c0a237c32b16cfd7720f353a4bf"
        );
        assert_eq!(after(100, 200), format!("7f{}", "ff".repeat(31)));
        assert_eq!(after(100, 1000), format!("19{}", "99".repeat(31)));
        assert_eq!(
            after(1000, 1_000_000),
            "004189374bc6a7ef9db22d0e5604189374bc6a7ef9db22d0e5604189374bc6a7"
        );
    }

    #[test]
    fn hash_equal_to_the_target_is_not_mined() {
        assert!(!is_mined(&[7; 32], &[7; 32]));
        assert!(is_mined(&[7; 32], &[8; 32]));
        assert!(!is_mined(&BASE_TARGET, &BASE_TARGET));
    }

    #[test]
    fn target_that_begins_the_hash_is_below_it() {
        assert!(!is_mined(&[7; 32], &[7; 31]));
        assert!(!is_mined(&[0; 32], &[]));
        assert!(is_mined(&[7; 32], &[7; 33]));
    }

    #[test]
    fn zero_target_has_no_multiplier() {
        assert_eq!(multiplier(&[0; 32]), Err(ZeroTarget));
        assert_eq!(multiplier(&[]), Err(ZeroTarget));
    }
}
