//! What relays cost and claims are worth, in exact fractions (spec `claims-and-proofs.md` §7.1).

use num_bigint::{BigInt, Sign};
use num_integer::Integer as _;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};

use crate::SharedParams;
use crate::difficulty::{BASE_TARGET, ZeroTarget};
use crate::types::{ComputeUnits, Upokt};

/// The price of a compute unit in upokt, as a fraction. It is that at the session's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// `compute_units_to_tokens_multiplier`.
    pub multiplier: u64,
    /// `compute_unit_cost_granularity`.
    pub granularity: u64,
}

impl From<&SharedParams> for Price {
    fn from(params: &SharedParams) -> Self {
        Self {
            multiplier: params.compute_units_to_tokens_multiplier,
            granularity: params.compute_unit_cost_granularity,
        }
    }
}

/// Why there is no amount. Each comes of parameters that the chain's rules exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The difficulty's target is zero.
    #[error(transparent)]
    ZeroTarget(#[from] ZeroTarget),
    /// The price's granularity is zero.
    #[error("the compute unit cost granularity is zero")]
    ZeroGranularity,
    /// Multiplier or granularity passes 63 bits: the chain reads a negative number.
    #[error("the price of a compute unit is negative")]
    Negative,
    /// More than 128 bits. The chain itself gives up above 256.
    #[error("the amount is beyond any supply")]
    TooLarge,
}

/// Numerator and denominator of the units that were worked for `sum` mined ones.
fn estimate(sum: ComputeUnits, target: &[u8]) -> Result<(BigInt, BigInt), ZeroTarget> {
    let target = BigInt::from_bytes_be(Sign::Plus, target);
    if target.is_zero() {
        return Err(ZeroTarget);
    }
    Ok((BigInt::from_bytes_be(Sign::Plus, &BASE_TARGET) * sum.0, target))
}

/// The compute units that were worked, by estimate, for a claim's `sum` of mined ones. The chain
/// reports the low 64 bits.
pub fn estimated_compute_units(sum: ComputeUnits, target: &[u8]) -> Result<ComputeUnits, ZeroTarget> {
    let (units, target) = estimate(sum, target)?;
    Ok(ComputeUnits((units / target).iter_u64_digits().next().unwrap_or(0)))
}

/// The relays that were served, by estimate, for a claim's `count` mined ones; 0 where that has no meaning.
pub fn estimated_relays(sum: ComputeUnits, count: u64, target: &[u8]) -> Result<u64, ZeroTarget> {
    let units = estimated_compute_units(sum, target)?;
    let units_per_relay = sum.0.checked_div(count).unwrap_or(0);
    Ok(units.0.checked_div(units_per_relay).unwrap_or(0))
}

/// What a claim of `sum` compute units is worth: one exact fraction, rounded down once. Price and
/// target are those at the session's start.
pub fn claimed_upokt(sum: ComputeUnits, price: Price, target: &[u8]) -> Result<Upokt, AmountError> {
    let (units, target) = estimate(sum, target)?;
    let (multiplier, granularity) = signed(price)?;
    amount(&(units * multiplier), &(target * granularity))
}

/// What one relay costs the application: its compute units times the price, rounded down. 0 is possible.
pub fn relay_cost(units: ComputeUnits, price: Price) -> Result<Upokt, AmountError> {
    let (multiplier, granularity) = signed(price)?;
    amount(&(BigInt::from(units.0) * multiplier), &granularity.into())
}

/// The price as the chain's fraction type takes it: signed.
fn signed(price: Price) -> Result<(i64, i64), AmountError> {
    if price.granularity == 0 {
        return Err(AmountError::ZeroGranularity);
    }
    Ok((price.multiplier as i64, price.granularity as i64))
}

fn amount(numerator: &BigInt, denominator: &BigInt) -> Result<Upokt, AmountError> {
    let amount = numerator.div_floor(denominator);
    if amount.is_negative() {
        return Err(AmountError::Negative);
    }
    amount.to_u128().map(Upokt).ok_or(AmountError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        multiplier: 42_000_000,
        granularity: 1_000_000,
    };

    #[test]
    fn amounts_are_the_specs() {
        let targets = [
            ("ff".repeat(32), 1_764_000, 42_000, 1000),
            (format!("7f{}", "ff".repeat(31)), 3_528_000, 84_000, 2000),
            ("55".repeat(32), 5_292_000, 126_000, 3000),
            (
                format!("00000000{}", "ff".repeat(28)),
                7_576_322_310_144_000,
                180_388_626_432_000,
                4_294_967_296_000,
            ),
        ];
        let sum = ComputeUnits(42_000);
        for (target, upokt, units, relays) in targets {
            let target = hex::decode(target).unwrap();
            assert_eq!(claimed_upokt(sum, PRICE, &target), Ok(Upokt(upokt)));
            assert_eq!(estimated_compute_units(sum, &target), Ok(ComputeUnits(units)));
            assert_eq!(estimated_relays(sum, 1000, &target), Ok(relays));
        }
    }

    #[test]
    fn claim_without_relays_has_no_estimate_of_them() {
        assert_eq!(estimated_relays(ComputeUnits(5), 0, &BASE_TARGET), Ok(0));
        assert_eq!(estimated_relays(ComputeUnits(5), 6, &BASE_TARGET), Ok(0));
    }

    #[test]
    fn amount_that_cannot_be_is_an_error() {
        let claimed = |price, target: &[u8]| claimed_upokt(ComputeUnits(10), price, target);
        assert_eq!(claimed(PRICE, &[0; 32]), Err(AmountError::ZeroTarget(ZeroTarget)));
        assert_eq!(
            claimed(
                Price {
                    granularity: 0,
                    ..PRICE
                },
                &BASE_TARGET
            ),
            Err(AmountError::ZeroGranularity)
        );
        assert_eq!(
            claimed(
                Price {
                    multiplier: 1 << 63,
                    ..PRICE
                },
                &BASE_TARGET
            ),
            Err(AmountError::Negative)
        );
        let mut hardest = [0; 32];
        hardest[31] = 1;
        assert_eq!(claimed(PRICE, &hardest), Err(AmountError::TooLarge));
    }

    #[test]
    fn relay_cost_is_rounded_down_to_0() {
        assert_eq!(relay_cost(ComputeUnits(100), PRICE), Ok(Upokt(4200)));
        assert_eq!(
            relay_cost(
                ComputeUnits(1),
                Price {
                    multiplier: 1,
                    granularity: 2
                }
            ),
            Ok(Upokt(0))
        );
    }
}
