//! The price of gas as a decimal of upokt, exactly.

use std::fmt;

use crate::codec::{Codec, scalar};
use crate::document::Node;
use crate::outline::{Scalar, Shape};
use crate::reader::Reader;

/// Upokt for one unit of gas, in steps of 10^-18 as the chain's decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GasPrice {
    /// Price times 10^18.
    pub atto_upokt: u128,
}

impl GasPrice {
    /// How many steps one upokt has.
    pub const STEPS: u128 = 1_000_000_000_000_000_000;

    /// `0.000001upokt`: digits, at most 18 after the point, and the denomination.
    fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix("upokt")?.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 18 || whole.len() > 18 {
            return None;
        }
        let fraction = fraction.parse::<u128>().ok()? * 10_u128.pow(18 - fraction.len() as u32);
        Some(Self {
            atto_upokt: whole.parse::<u128>().ok()? * Self::STEPS + fraction,
        })
    }
}

impl fmt::Display for GasPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.atto_upokt / Self::STEPS, self.atto_upokt % Self::STEPS);
        let fraction = format!("{fraction:018}");
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}upokt"),
            fraction => write!(f, "{whole}.{fraction}upokt"),
        }
    }
}

impl Codec for GasPrice {
    type Value = Self;
    const EXAMPLE: &str = "0.000001upokt";
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = scalar(node, reader, "a price", Self::EXAMPLE)?;
        Self::parse(text).or_else(|| {
            let what = format!("{text:?} is no price of gas");
            reader.impossible(node, what, "write an amount of upokt, such as 0.000001upokt")
        })
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching("^[0-9]+([.][0-9]+)? *upokt$"))
    }
    fn written(value: &Self) -> serde_json::Value {
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_is_exact() {
        let price = GasPrice::parse("0.000001upokt").unwrap();
        assert_eq!(price.atto_upokt, 1_000_000_000_000);
        assert_eq!(price.to_string(), "0.000001upokt");
        assert_eq!(GasPrice::parse("2upokt").unwrap().to_string(), "2upokt");
    }

    #[test]
    fn price_of_another_coin_or_form_is_refused() {
        for text in [
            "0.1",
            "0.1pokt",
            "-1upokt",
            "1e-6upokt",
            ".1upokt",
            "1.upokt",
            "0.1234567890123456789upokt",
        ] {
            assert_eq!(GasPrice::parse(text), None, "{text}");
        }
    }
}
