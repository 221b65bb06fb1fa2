//! Bech32 account addresses.

use bech32::primitives::decode::{CheckedHrpstring, UncheckedHrpstring};
use bech32::{Bech32, Hrp};
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};

/// Human-readable part of every account address on the network.
pub const ACCOUNT_PREFIX: &str = "pokt";

/// The Cosmos SDK's longest account address, in bytes.
const MAX_ADDRESS_BYTES: usize = 255;

/// Why a text is no account address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Empty, or nothing but white space.
    #[error("the address is empty")]
    Empty,
    /// Not bech32: a wrong checksum, character or form.
    #[error("the address is not bech32 text")]
    Encoding,
    /// Another network's or another kind of address.
    #[error("the address does not start with `{ACCOUNT_PREFIX}1`")]
    Prefix,
    /// No bytes at all, or more than the SDK allows.
    #[error("the address holds {0} bytes; 1 to {MAX_ADDRESS_BYTES} are allowed")]
    Length(usize),
}

/// The bytes of a `pokt1…` address (20 for accounts; the SDK allows 1 to 255).
pub fn decode_account(text: &str) -> Result<Vec<u8>, AddressError> {
    checked(text).map(|account| account.byte_iter().collect())
}

/// Whether a text is an account address, without keeping its bytes.
pub fn check_account(text: &str) -> Result<(), AddressError> {
    checked(text).map(|_| ())
}

fn checked(text: &str) -> Result<CheckedHrpstring<'_>, AddressError> {
    if text.trim().is_empty() {
        return Err(AddressError::Empty);
    }
    let unchecked = UncheckedHrpstring::new(text).map_err(|_| AddressError::Encoding)?;
    if !unchecked.has_valid_checksum::<Bech32>() {
        return Err(AddressError::Encoding);
    }
    let account = unchecked.remove_checksum::<Bech32>();
    if account.hrp().to_lowercase() != ACCOUNT_PREFIX {
        return Err(AddressError::Prefix);
    }
    // The SDK refuses padding that is not zero, as bech32's strict reading does.
    account.validate_segwit_padding().map_err(|_| AddressError::Encoding)?;
    let length = account.byte_iter().len();
    if length == 0 || length > MAX_ADDRESS_BYTES {
        return Err(AddressError::Length(length));
    }
    Ok(account)
}

/// The `pokt1…` text of account bytes.
pub fn encode_account(bytes: &[u8]) -> Result<String, AddressError> {
    if bytes.is_empty() || bytes.len() > MAX_ADDRESS_BYTES {
        return Err(AddressError::Length(bytes.len()));
    }
    bech32::encode::<Bech32>(Hrp::parse_unchecked(ACCOUNT_PREFIX), bytes).map_err(|_| AddressError::Length(bytes.len()))
}

/// The 20 account bytes of a compressed secp256k1 key: RIPEMD-160 of SHA-256 (spec `chain.md` §8).
pub fn account_of_public_key(public_key: &[u8; 33]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(public_key)).into()
}
