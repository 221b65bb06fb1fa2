//! The private key and what it signs.

use std::fmt;
use std::sync::LazyLock;

use pocket_protocol::SupplierAddress;
use secp256k1::{All, Secp256k1, SecretKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::PublicKey;

/// The library's tables, built once and shared by every thread.
pub(crate) static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A secp256k1 private key in memory that is wiped on drop. Never shown by `Debug`.
///
/// ```
/// # use pocket_keys::SigningKey;
/// let key = SigningKey::from_hex("0x0707070707070707070707070707070707070707070707070707070707070707")?;
/// let signature = key.sign_message(b"relay");
/// assert!(key.verifying_key().verify(b"relay", &signature).is_ok());
/// # Ok::<(), pocket_keys::SigningKeyError>(())
/// ```
pub struct SigningKey {
    // In a box, so that moving the key leaves no copies of the secret on the stack.
    secret: Box<SecretKey>,
    public: PublicKey,
    address: SupplierAddress,
}

/// Why a text or bytes are no private key. Never says what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Not 64 hex characters.
    #[error("a private key has 64 hex characters, with or without 0x before them; this one has {0}")]
    TextLength(usize),
    /// A character that is no hex digit.
    #[error("character {0} (from 1, after any 0x) is not a hex digit")]
    Character(usize),
    /// Not 32 bytes.
    #[error("a private key has 32 bytes, this one {0}")]
    Length(usize),
    /// Zero, or not below the curve's order.
    #[error("the number is zero or not below the order of secp256k1, so it is no private key")]
    Range,
}

impl SigningKey {
    /// The key of 32 bytes, big-endian.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SigningKeyError> {
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(bytes.try_into().map_err(|_| SigningKeyError::Length(bytes.len()))?);
        let secret = Box::new(SecretKey::from_byte_array(*bytes).map_err(|_| SigningKeyError::Range)?);
        let public = PublicKey::new(secret.public_key(&CURVE));
        let address = SupplierAddress::of_public_key(&public.compressed());
        Ok(Self {
            secret,
            public,
            address,
        })
    }

    /// The key of 64 hex characters in either case, with or without `0x`, white space around ignored.
    pub fn from_hex(text: &str) -> Result<Self, SigningKeyError> {
        let text = text.trim();
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text)
            .trim_start();
        if let Some(index) = digits.chars().position(|character| !character.is_ascii_hexdigit()) {
            return Err(SigningKeyError::Character(index + 1));
        }
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| SigningKeyError::TextLength(digits.len()))?;
        Self::from_bytes(bytes.as_ref())
    }

    /// The public key's compressed form: `02` or `03` and the x coordinate, big-endian.
    pub fn public_key(&self) -> [u8; 33] {
        self.public.compressed()
    }

    /// The key that its signatures are checked with.
    pub fn verifying_key(&self) -> &PublicKey {
        &self.public
    }

    /// The account that this key controls, as a supplier's operator. For another role, make that
    /// role's address of [`public_key`](Self::public_key).
    pub fn address(&self) -> &SupplierAddress {
        &self.address
    }

    /// Signs a digest: r‖s, 32 bytes each, `s` in the lower half of the order. The nonce is that of
    /// RFC 6979 with HMAC-SHA256 and no further entropy, so the same digest has the same signature.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> [u8; 64] {
        let message = secp256k1::Message::from_digest(*digest);
        CURVE.sign_ecdsa(message, &self.secret).serialize_compact()
    }

    /// Signs the SHA-256 of a message.
    pub fn sign_message(&self, message: &[u8]) -> [u8; 64] {
        self.sign_digest(&Sha256::digest(message).into())
    }

    /// The 32 secret bytes, big-endian, for the ring signatures of applications and gateways.
    pub fn expose_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.secret_bytes())
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "00c5b288a71c9ea4f7d73da69263ec6a5b0e3ebb17bfec9f9af6919e87be1b01";

    #[test]
    fn hex_is_read_in_every_form_the_go_peer_reads() {
        let plain = SigningKey::from_hex(SECRET).unwrap();
        for text in [
            format!("0x{SECRET}"),
            format!("0x {SECRET}"),
            format!("  {SECRET}\n"),
            SECRET.to_uppercase(),
        ] {
            assert_eq!(SigningKey::from_hex(&text).unwrap().public_key(), plain.public_key());
        }
    }

    #[test]
    fn bad_hex_is_refused_by_what_is_wrong_with_it() {
        let fault = |text: &str| SigningKey::from_hex(text).unwrap_err();
        assert_eq!(fault(""), SigningKeyError::TextLength(0));
        assert_eq!(fault(&SECRET[2..]), SigningKeyError::TextLength(62));
        assert_eq!(fault(&SECRET[1..]), SigningKeyError::TextLength(63));
        assert_eq!(fault(&SECRET.replace("c5", "xy")), SigningKeyError::Character(3));
        assert_eq!(fault(&"0".repeat(64)), SigningKeyError::Range);
        assert_eq!(fault(&"f".repeat(64)), SigningKeyError::Range);
    }

    #[test]
    fn debug_text_and_errors_hold_no_secret() {
        let key = SigningKey::from_hex(SECRET).unwrap();
        assert!(!format!("{key:?}").contains(&SECRET[..8]));
        let error = SigningKey::from_hex(&format!("{SECRET}zz")).unwrap_err();
        assert!(!format!("{error:?} {error}").contains(&SECRET[..8]));
    }

    proptest! {
        #[test]
        fn every_signature_is_the_one_of_rfc_6979_and_verifies(
            secret in prop::array::uniform32(1u8..),
            message in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            use k256::ecdsa::signature::Signer as _;
            let Ok(key) = SigningKey::from_bytes(&secret) else { return Ok(()) };
            let other: k256::ecdsa::Signature = k256::ecdsa::SigningKey::from_slice(&secret).unwrap().sign(&message);
            let other = other.normalize_s().unwrap_or(other);
            let signature = key.sign_message(&message);
            prop_assert_eq!(&signature[..], &other.to_bytes()[..]);
            prop_assert!(key.verifying_key().verify(&message, &signature).is_ok());
        }
    }
}
