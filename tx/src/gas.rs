//! Gas and its price, in exact decimals of 18 places as the chain has them.

use std::fmt;
use std::str::FromStr;

use pocket_protocol::Upokt;

const PLACES: usize = 18;
const ONE: u128 = 10u128.pow(PLACES as u32);
const DENOMINATION: &str = "upokt";

/// The price of one unit of gas.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GasPrice {
    /// Whole upokt.
    whole: u64,
    /// The rest, in 10^-18 upokt.
    fraction: u64,
}

/// A text is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GasPriceError {
    /// Another denomination, or none.
    #[error("a gas price ends with `{DENOMINATION}`, as in 0.000001{DENOMINATION}")]
    Denomination,
    /// Not a decimal number of at most 18 places that fits 64 bits.
    #[error("a gas price is a decimal number with at most {PLACES} places before `{DENOMINATION}`")]
    Number,
}

impl GasPrice {
    /// The price in steps of 10^-18 upokt; `None` beyond 64 bits of whole upokt.
    pub fn of_atto(atto_upokt: u128) -> Option<Self> {
        let (whole, fraction) = (atto_upokt / ONE, atto_upokt % ONE);
        Some(Self {
            whole: u64::try_from(whole).ok()?,
            fraction: fraction as u64,
        })
    }

    /// The fee for a gas limit: the exact product, rounded up to a whole upokt.
    pub fn fee(self, gas_limit: u64) -> Upokt {
        let gas = u128::from(gas_limit);
        // 2^64 times 10^18 stays below 2^124.
        Upokt(gas * u128::from(self.whole) + (gas * u128::from(self.fraction)).div_ceil(ONE))
    }
}

impl Default for GasPrice {
    /// 0.000001 upokt, the network's minimum.
    fn default() -> Self {
        Self {
            whole: 0,
            fraction: 1_000_000_000_000,
        }
    }
}

impl FromStr for GasPrice {
    type Err = GasPriceError;

    fn from_str(text: &str) -> Result<Self, GasPriceError> {
        let number = text
            .trim()
            .strip_suffix(DENOMINATION)
            .ok_or(GasPriceError::Denomination)?;
        let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(places) || places.len() > PLACES {
            return Err(GasPriceError::Number);
        }
        Ok(Self {
            whole: whole.parse().map_err(|_| GasPriceError::Number)?,
            fraction: format!("{places:0<PLACES$}")
                .parse()
                .map_err(|_| GasPriceError::Number)?,
        })
    }
}

impl fmt::Display for GasPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = format!("{:018}", self.fraction);
        match places.trim_end_matches('0') {
            "" => write!(f, "{}{DENOMINATION}", self.whole),
            places => write!(f, "{}.{places}{DENOMINATION}", self.whole),
        }
    }
}

impl fmt::Debug for GasPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The gas limit for a simulated use, rounded down as the Go miner does.
pub(crate) fn adjusted(simulated: u64, adjustment: f64) -> u64 {
    (simulated as f64 * adjustment) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> GasPrice {
        text.parse().unwrap()
    }

    #[test]
    fn fee_is_rounded_up() {
        let price = price("0.000001upokt");
        assert_eq!(price, GasPrice::default());
        assert_eq!(price.fee(150_000), Upokt(1));
        assert_eq!(price.fee(1_000_000), Upokt(1));
        assert_eq!(price.fee(1_000_001), Upokt(2));
        assert_eq!(price.fee(0), Upokt(0));
    }

    #[test]
    fn largest_fee_does_not_overflow() {
        let price = price("18446744073709551615.999999999999999999upokt");
        // 2^64 - 10^-18 upokt a unit: the missing part of each unit makes 18.4 upokt in all.
        assert_eq!(price.fee(u64::MAX), Upokt((u128::from(u64::MAX) << 64) - 18));
    }

    #[test]
    fn text_that_is_no_price_is_refused() {
        assert_eq!("0.1".parse::<GasPrice>(), Err(GasPriceError::Denomination));
        assert_eq!("0.1pokt".parse::<GasPrice>(), Err(GasPriceError::Denomination));
        for text in [
            "upokt",
            "-1upokt",
            "1.upokt",
            ".5upokt",
            "1e3upokt",
            "0.0000000000000000001upokt",
        ] {
            assert_eq!(text.parse::<GasPrice>(), Err(GasPriceError::Number), "{text}");
        }
    }

    #[test]
    fn price_is_shown_as_it_is_read() {
        for text in ["0.000001upokt", "0upokt", "12.5upokt"] {
            assert_eq!(price(text).to_string(), text);
        }
    }

    #[test]
    fn adjusted_gas_is_rounded_down() {
        assert_eq!(adjusted(100_001, 1.7), 170_001);
    }
}
