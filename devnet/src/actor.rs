//! Named actors with worthless keys, the same in every run.

use std::sync::LazyLock;

use pocket_protocol::SupplierAddress;
use secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use sha2::{Digest as _, Sha256};

/// The library's tables.
static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

/// A name with its key and address.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The account's `pokt1…` address.
    pub address: String,
    /// Compressed secp256k1 key.
    pub public_key: [u8; 33],
    /// 32 bytes, big-endian.
    pub private_key: [u8; 32],
}

impl Actor {
    /// The actor `name` of the local network: its private key is SHA-256 of `pocket localnet <name>`.
    pub fn named(name: &str) -> Self {
        let private_key = Sha256::digest(format!("pocket localnet {name}")).into();
        Self::from_private_key(private_key).expect("a digest is a valid key but for odds of 2^-128")
    }

    /// The actor of a private key; none for zero and for numbers beyond the curve's order.
    pub fn from_private_key(private_key: [u8; 32]) -> Option<Self> {
        let secret = SecretKey::from_byte_array(private_key).ok()?;
        let public_key = PublicKey::from_secret_key(&CURVE, &secret).serialize();
        let address = SupplierAddress::of_public_key(&public_key).as_str().to_owned();
        Some(Self {
            address,
            public_key,
            private_key,
        })
    }

    /// ECDSA over SHA-256 of `message`, as transactions are signed: 64 bytes `r || s`, low `s`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let key = SecretKey::from_byte_array(self.private_key).expect("checked when the actor was made");
        let digest = secp256k1::Message::from_digest(Sha256::digest(message).into());
        CURVE.sign_ecdsa(digest, &key).serialize_compact()
    }
}

/// Whether `signature` is `public_key`'s over SHA-256 of `message`. A high `s` is refused, as the chain does.
pub(crate) fn verify(public_key: &[u8; 33], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        PublicKey::from_slice(public_key),
        secp256k1::ecdsa::Signature::from_compact(signature),
    ) else {
        return false;
    };
    let digest = secp256k1::Message::from_digest(Sha256::digest(message).into());
    CURVE.verify_ecdsa(digest, &signature, &key).is_ok()
}

/// The address of a module's own account: the first 20 bytes of SHA-256 of its name.
pub(crate) fn module_address(module: &str) -> String {
    pocket_protocol::encode_account(&Sha256::digest(module)[..20]).expect("20 bytes fit an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_addresses_are_the_chains() {
        assert_eq!(
            module_address("application"),
            "pokt1rl3gjgzexmplmds3tq3r3yk84zlwdl6djzgsvm"
        );
        assert_eq!(
            module_address("supplier"),
            "pokt1j40dzzmn6cn9kxku7a5tjnud6hv37vesr5ccaa"
        );
    }

    #[test]
    fn signature_over_another_message_is_refused() {
        let actor = Actor::named("supplier1");
        let signature = actor.sign(b"message");
        assert!(verify(&actor.public_key, b"message", &signature));
        assert!(!verify(&actor.public_key, b"massage", &signature));
    }
}
