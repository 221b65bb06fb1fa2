//! Newtypes for what could be swapped by mistake.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::sync::Arc;

use crate::address::{AddressError, account_of_public_key, decode_account, encode_account};

/// A block height; 0 is "not known yet", as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Height(pub i64);

impl Add<i64> for Height {
    type Output = Self;
    fn add(self, blocks: i64) -> Self {
        Self(self.0.saturating_add(blocks))
    }
}

impl Sub<i64> for Height {
    type Output = Self;
    fn sub(self, blocks: i64) -> Self {
        Self(self.0.saturating_sub(blocks))
    }
}

/// Blocks from the right height to the left one.
impl Sub for Height {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl From<i64> for Height {
    fn from(height: i64) -> Self {
        Self(height)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A service's price weight: the sum of a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ComputeUnits(pub u64);

impl fmt::Display for ComputeUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of money in upokt; 10^6 upokt are one POKT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Upokt(pub u128);

impl fmt::Display for Upokt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}upokt", self.0)
    }
}

macro_rules! text_type {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it stands on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Maps keyed by this type are searched by text, without an allocation.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! address_type {
    ($(#[$docs:meta])* $name:ident) => {
        text_type!($(#[$docs])* $name);

        impl $name {
            /// The address of the account that a compressed secp256k1 key controls.
            pub fn of_public_key(public_key: &[u8; 33]) -> Self {
                let text = encode_account(&account_of_public_key(public_key)).expect("20 bytes fit an address");
                Self(text.into())
            }
        }

        impl FromStr for $name {
            type Err = AddressError;
            fn from_str(text: &str) -> Result<Self, AddressError> {
                decode_account(text)?;
                Ok(Self(text.into()))
            }
        }
    };
}

address_type!(
    /// A supplier's operator account.
    SupplierAddress
);
address_type!(
    /// An application's account.
    AppAddress
);
address_type!(
    /// A gateway's account.
    GatewayAddress
);
text_type!(
    /// A session's id: 64 lower-case hex characters on chain (spec `sessions.md` §3.2), any text on the wire.
    SessionId
);
text_type!(
    /// A service's id: 1 to 42 of `[A-Za-z0-9_-]`, case-sensitive.
    ServiceId
);

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// A text is no service id: empty, too long, or with a character outside `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a service id has 1 to 42 characters of A-Z, a-z, 0-9, `_` and `-`")]
pub struct ServiceIdError;

/// Whether a text is a service id.
pub fn check_service_id(text: &str) -> Result<(), ServiceIdError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.is_empty() || text.len() > 42 || !text.bytes().all(legal) {
        return Err(ServiceIdError);
    }
    Ok(())
}

impl FromStr for ServiceId {
    type Err = ServiceIdError;
    fn from_str(text: &str) -> Result<Self, ServiceIdError> {
        check_service_id(text)?;
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_known_key_is_the_specs() {
        let key: [u8; 33] = hex::decode("0397896e9b106df70124a856861cc9be52fac9980e2c7a118a36c19d0198692cc5")
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(
            AppAddress::of_public_key(&key).as_str(),
            "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4"
        );
    }

    #[test]
    fn address_with_a_wrong_checksum_is_refused() {
        let text = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva5";
        assert_eq!(text.parse::<SupplierAddress>(), Err(AddressError::Encoding));
    }

    #[test]
    fn service_id_with_a_dot_is_refused() {
        assert_eq!("eth.main".parse::<ServiceId>(), Err(ServiceIdError));
        assert!("eth-main_1".parse::<ServiceId>().is_ok());
    }
}
