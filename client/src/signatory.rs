//! Who signs: an application for itself, or a gateway for it.

use pocket_keys::SigningKey;
use pocket_protocol::AppAddress;
use pocket_ring::{PrivateKey, PublicKey, RingSignature, SignError, Signer, sign};

/// A member of an application's ring, with its private key.
#[derive(Clone)]
pub struct Signatory {
    application: AppAddress,
    key: PrivateKey,
    is_gateway: bool,
}

/// What signing costs, and what it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningStyle {
    /// Secrets meet points in constant time.
    #[default]
    Careful,
    /// Several times as fast: for load, with keys that guard no money on a machine that others use (see
    /// [`Signer`]).
    Fast,
}

impl Signatory {
    /// The application signs for itself.
    pub fn application(key: &SigningKey) -> Self {
        Self {
            application: AppAddress::of_public_key(&key.public_key()),
            key: ring_key(key),
            is_gateway: false,
        }
    }

    /// A gateway signs for an application that delegates to it.
    pub fn gateway(key: &SigningKey, application: AppAddress) -> Self {
        Self {
            application,
            key: ring_key(key),
            is_gateway: true,
        }
    }

    /// The application that pays.
    pub fn application_address(&self) -> &AppAddress {
        &self.application
    }

    /// Whether a gateway signs.
    pub fn is_gateway(&self) -> bool {
        self.is_gateway
    }

    /// Ready to sign for a ring. [`SigningStyle::Fast`] takes milliseconds of arithmetic.
    pub(crate) fn ring_signer(&self, ring: Vec<PublicKey>, style: SigningStyle) -> Result<RingSigner, SignError> {
        let fast = match style {
            SigningStyle::Careful if ring.contains(&self.key.public_key()) => None,
            SigningStyle::Careful => return Err(SignError::NotAMember),
            SigningStyle::Fast => Some(Signer::new(self.key.clone(), &ring)?),
        };
        Ok(RingSigner {
            key: self.key.clone(),
            ring,
            fast,
        })
    }
}

fn ring_key(key: &SigningKey) -> PrivateKey {
    PrivateKey::parse(key.expose_secret().as_ref()).expect("both kinds of key are numbers from 1 to N - 1")
}

/// Signs for one ring.
pub(crate) struct RingSigner {
    key: PrivateKey,
    ring: Vec<PublicKey>,
    fast: Option<Signer>,
}

impl RingSigner {
    pub fn ring(&self) -> &[PublicKey] {
        &self.ring
    }

    pub fn sign(&self, message: &[u8; 32]) -> RingSignature {
        let rng = &mut rand::rng();
        match &self.fast {
            Some(signer) => signer.sign(message, rng),
            None => sign(message, &self.key, &self.ring, rng).expect("the signer was found in the ring"),
        }
    }
}

#[cfg(test)]
mod tests {
    use pocket_ring::{Limits, Verifier};

    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn public(byte: u8) -> PublicKey {
        PublicKey::parse(&key(byte).public_key()).unwrap()
    }

    #[test]
    fn both_styles_make_signatures_that_hold() {
        let ring = vec![public(1), public(2)];
        let gateway = Signatory::gateway(&key(2), AppAddress::of_public_key(&key(1).public_key()));
        let verifier = Verifier::new(Limits::default());
        for style in [SigningStyle::Careful, SigningStyle::Fast] {
            let signature = gateway.ring_signer(ring.clone(), style).unwrap().sign(&[9; 32]);
            assert!(verifier.verify(&[9; 32], &signature, &ring).is_ok(), "{style:?}");
        }
    }

    #[test]
    fn stranger_cannot_sign() {
        let stranger = Signatory::application(&key(3));
        for style in [SigningStyle::Careful, SigningStyle::Fast] {
            let refused = stranger.ring_signer(vec![public(1), public(2)], style).err();
            assert_eq!(refused, Some(SignError::NotAMember));
        }
    }
}
