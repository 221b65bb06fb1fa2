//! Public keys and the strict check of their signatures.

use std::fmt;

use secp256k1::ecdsa::Signature;
use sha2::{Digest as _, Sha256};

use crate::signing_key::CURVE;

/// A point on secp256k1, parsed once, so that each check does not parse it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(secp256k1::PublicKey);

/// Bytes that are no compressed public key: not 33, or not a point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 33 bytes, a compressed point on secp256k1")]
pub struct PublicKeyError;

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 64 bytes.
    #[error("a signature has 64 bytes, this one {0}")]
    Length(usize),
    /// `r` or `s` is zero or at least the curve's order, `s` is in the upper half of the order, or
    /// the signature belongs to another key or digest.
    #[error("the signature does not fit key and message")]
    Invalid,
}

impl PublicKey {
    pub(crate) fn new(point: secp256k1::PublicKey) -> Self {
        Self(point)
    }

    /// Parses 33 bytes: `02` or `03` and the x coordinate, big-endian.
    pub fn from_compressed(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let bytes: [u8; 33] = bytes.try_into().map_err(|_| PublicKeyError)?;
        secp256k1::PublicKey::from_byte_array_compressed(bytes)
            .map(Self)
            .map_err(|_| PublicKeyError)
    }

    /// `02` or `03` and the x coordinate, big-endian.
    pub fn compressed(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// Checks r‖s over a digest as the Cosmos SDK does: 64 bytes, `s` in the lower half of the order.
    pub fn verify_digest(&self, digest: &[u8; 32], signature: &[u8]) -> Result<(), SignatureError> {
        if signature.len() != 64 {
            return Err(SignatureError::Length(signature.len()));
        }
        let parsed = Signature::from_compact(signature).map_err(|_| SignatureError::Invalid)?;
        // The library refuses a high `s` here: it accepts normalised signatures only.
        CURVE
            .verify_ecdsa(secp256k1::Message::from_digest(*digest), &parsed, &self.0)
            .map_err(|_| SignatureError::Invalid)
    }

    /// [`verify_digest`](Self::verify_digest) of the message's SHA-256.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.verify_digest(&Sha256::digest(message).into(), signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex::encode(self.compressed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    /// The curve's order minus `s`: the same signature in its upper half.
    fn high_s(signature: &[u8; 64]) -> [u8; 64] {
        let order = hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
        let mut flipped = *signature;
        let mut borrow = 0i32;
        for index in (0..32).rev() {
            let difference = i32::from(order[index]) - i32::from(signature[32 + index]) - borrow;
            borrow = i32::from(difference < 0);
            flipped[32 + index] = difference.rem_euclid(256) as u8;
        }
        flipped
    }

    #[test]
    fn signature_with_high_s_is_refused() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let signature = key.sign_digest(&[1; 32]);
        let flipped = high_s(&signature);
        assert!(
            k256_accepts_after_normalising(&key, &flipped),
            "the other half is a signature too"
        );
        assert_eq!(
            key.verifying_key().verify_digest(&[1; 32], &flipped),
            Err(SignatureError::Invalid)
        );
    }

    fn k256_accepts_after_normalising(key: &SigningKey, signature: &[u8; 64]) -> bool {
        use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
        let parsed = k256::ecdsa::Signature::from_slice(signature).unwrap();
        let verifier = k256::ecdsa::VerifyingKey::from_sec1_bytes(&key.public_key()).unwrap();
        verifier
            .verify_prehash(&[1; 32], &parsed.normalize_s().unwrap())
            .is_ok()
    }

    #[test]
    fn signature_of_another_length_is_refused() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let signature = key.sign_digest(&[1; 32]);
        for length in [0, 63, 65] {
            let mut bytes = signature.to_vec();
            bytes.resize(length, 0);
            assert_eq!(
                key.verifying_key().verify_digest(&[1; 32], &bytes),
                Err(SignatureError::Length(length))
            );
        }
    }

    #[test]
    fn uncompressed_key_is_refused() {
        let point = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let uncompressed = point.verifying_key().to_encoded_point(false);
        assert_eq!(PublicKey::from_compressed(uncompressed.as_bytes()), Err(PublicKeyError));
    }
}
