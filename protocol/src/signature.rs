//! A supplier's signature under a response (spec `relay.md` §4.2).

use std::sync::LazyLock;

use secp256k1::{Message, PublicKey, Secp256k1, VerifyOnly, ecdsa};
use sha2::{Digest as _, Sha256};

/// The signature is not this key's under this response: a wrong length, a high s, or simply wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the supplier's signature does not fit the response")]
pub struct WrongSignature;

static CURVE: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Verifies a response's signature: 64 bytes, r and s big-endian, s in the lower half, over SHA-256
/// of the [signable hash](crate::relay::response_signable_hash).
pub fn verify_response(
    signable_hash: &[u8; 32],
    public_key: &[u8; 33],
    signature: &[u8],
) -> Result<(), WrongSignature> {
    let digest = Message::from_digest(Sha256::digest(signable_hash).into());
    let signature = ecdsa::Signature::from_compact(signature).map_err(|_| WrongSignature)?;
    let key = PublicKey::from_byte_array_compressed(*public_key).map_err(|_| WrongSignature)?;
    CURVE.verify_ecdsa(digest, &signature, &key).map_err(|_| WrongSignature)
}

#[cfg(test)]
mod tests {
    use secp256k1::SecretKey;

    use super::*;

    fn signed(hash: &[u8; 32]) -> ([u8; 33], [u8; 64]) {
        let curve = Secp256k1::new();
        let secret = SecretKey::from_byte_array([7; 32]).unwrap();
        let digest = Message::from_digest(Sha256::digest(hash).into());
        (
            secret.public_key(&curve).serialize(),
            curve.sign_ecdsa(digest, &secret).serialize_compact(),
        )
    }

    #[test]
    fn signature_holds_for_its_hash_only() {
        let (key, signature) = signed(&[1; 32]);
        assert_eq!(verify_response(&[1; 32], &key, &signature), Ok(()));
        assert_eq!(verify_response(&[2; 32], &key, &signature), Err(WrongSignature));
    }

    #[test]
    fn signature_of_another_length_is_refused() {
        let (key, signature) = signed(&[1; 32]);
        assert_eq!(verify_response(&[1; 32], &key, &signature[..63]), Err(WrongSignature));
        assert_eq!(
            verify_response(&[1; 32], &key, &[&signature[..], &[0]].concat()),
            Err(WrongSignature)
        );
        assert_eq!(verify_response(&[1; 32], &key, &[]), Err(WrongSignature));
    }
}
