//! Public and private keys.

use std::fmt;
use std::hash::{Hash, Hasher};

use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::field::FieldElement;
use crate::hash::hashed_affine;
use crate::point::{Affine, CompressedPoint};
use crate::scalar::Scalar;

/// Not the 33 bytes of a compressed point on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a compressed secp256k1 public key")]
pub struct InvalidPublicKey;

/// Not 32 big-endian bytes between 1 and N - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secp256k1 private key")]
pub struct InvalidPrivateKey;

/// A point of the curve as accounts and rings name it: 33 bytes, 02 or 03 and a big-endian x.
#[derive(Clone, Copy)]
pub struct PublicKey {
    bytes: CompressedPoint,
    point: Affine,
}

impl PublicKey {
    /// The gateway that stands in the ring of an application that delegates to none. Its private
    /// key is public ([`PrivateKey::placeholder`]). Source: spec relay.md §3.6.
    pub const PLACEHOLDER: Self = Self {
        bytes: [
            0x02, 0x10, 0x66, 0xf2, 0x93, 0x70, 0x93, 0x56, 0xa3, 0x3e, 0x9c, 0x13, 0x01, 0x78, 0x67, 0x58, 0x6b, 0xaf,
            0x52, 0x51, 0x3e, 0x84, 0x5b, 0xc4, 0x33, 0x52, 0x33, 0xa1, 0x5e, 0xd1, 0xe0, 0x0b, 0xaf,
        ],
        point: Affine {
            x: FieldElement::from_limbs([
                0x5233_a15e_d1e0_0baf,
                0xaf52_513e_845b_c433,
                0x3e9c_1301_7867_586b,
                0x1066_f293_7093_56a3,
            ]),
            y: FieldElement::from_limbs([
                0xe36f_d0b3_a179_6b2c,
                0x80a0_2765_9b09_acf2,
                0x4981_1ef9_13f2_7f66,
                0x008a_954f_446e_57a3,
            ]),
        },
    };

    /// Reads 33 compressed bytes: x below the field's prime and on the curve, nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidPublicKey> {
        let bytes: CompressedPoint = bytes.try_into().map_err(|_| InvalidPublicKey)?;
        let point = Affine::decompress(&bytes).ok_or(InvalidPublicKey)?;
        Ok(Self { bytes, point })
    }

    /// The 33 bytes.
    pub fn to_bytes(&self) -> CompressedPoint {
        self.bytes
    }

    pub(crate) fn as_bytes(&self) -> &CompressedPoint {
        &self.bytes
    }

    pub(crate) fn point(&self) -> Affine {
        self.point
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PublicKey(")?;
        self.bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        formatter.write_str(")")
    }
}

/// A secret number between 1 and N - 1; overwritten when dropped, never shown.
#[derive(Clone, ZeroizeOnDrop)]
pub struct PrivateKey(k256::Scalar);

impl PrivateKey {
    /// Reads 32 big-endian bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidPrivateKey> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| InvalidPrivateKey)?;
        match Scalar::from_bytes(bytes) {
            Some(scalar) if scalar != Scalar::ZERO => Ok(Self(scalar.0)),
            _ => Err(InvalidPrivateKey),
        }
    }

    /// The key of [`PublicKey::PLACEHOLDER`], which everyone knows.
    pub fn placeholder() -> Self {
        const BYTES: [u8; 32] = [
            0x60, 0xc6, 0xcb, 0xe6, 0xb5, 0x01, 0x18, 0x07, 0xd6, 0x48, 0x6f, 0x35, 0x1c, 0xbd, 0xe6, 0xf9, 0x64, 0x35,
            0x6d, 0xf1, 0xd0, 0xbc, 0x1b, 0x04, 0xf8, 0x58, 0x9c, 0xea, 0xd5, 0xab, 0x52, 0x06,
        ];
        Self::parse(&BYTES).expect("the constant is between 1 and N - 1")
    }

    /// The key that others know this one by.
    pub fn public_key(&self) -> PublicKey {
        let point = affine(k256::ProjectivePoint::GENERATOR * self.0);
        PublicKey {
            bytes: point.compress(),
            point,
        }
    }

    /// The mark that all ring signatures by this key share: the key times `H_p` of its public key.
    pub fn key_image(&self) -> CompressedPoint {
        self.times(hashed_affine(self.public_key().as_bytes()).0).compress()
    }

    /// This key times a point, in constant time.
    pub(crate) fn times(&self, point: Affine) -> Affine {
        affine(projective(point) * self.0)
    }

    pub(crate) fn scalar(&self) -> Scalar {
        Scalar(self.0)
    }

    /// A fresh secret for one signature.
    pub(crate) fn random(rng: &mut (impl rand::CryptoRng + ?Sized)) -> Self {
        let mut wide = [0; 64];
        let scalar = loop {
            rng.fill_bytes(&mut wide);
            let scalar = Scalar::from_wide(&wide);
            if scalar != Scalar::ZERO {
                break scalar;
            }
        };
        wide.zeroize();
        Self(scalar.0)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(..)")
    }
}

/// Our form of a product that cannot be at infinity: neither its scalar nor its point is zero.
fn affine(point: k256::ProjectivePoint) -> Affine {
    let encoded = point.to_affine().to_encoded_point(false);
    let coordinate = |bytes: Option<&k256::FieldBytes>| {
        let bytes = bytes.expect("a nonzero multiple of a point is not at infinity");
        FieldElement::from_any_bytes(&(*bytes).into())
    };
    Affine {
        x: coordinate(encoded.x()),
        y: coordinate(encoded.y()),
    }
}

pub(crate) fn projective(point: Affine) -> k256::ProjectivePoint {
    use k256::elliptic_curve::sec1::FromEncodedPoint as _;
    let (x, y) = (point.x.to_bytes().into(), point.y.to_bytes().into());
    let encoded = k256::EncodedPoint::from_affine_coordinates(&x, &y, false);
    Option::from(k256::ProjectivePoint::from_encoded_point(&encoded)).expect("the point is on the curve")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APPLICATION: &str = "2d00ef074d9b51e46886dc9a1df11e7b986611d0f336bdcf1f0adce3e037ec0a";

    #[test]
    fn the_placeholder_is_derived_from_its_name() {
        let placeholder = PrivateKey::placeholder();
        assert_eq!(placeholder.public_key(), PublicKey::PLACEHOLDER);
        assert_eq!(placeholder.public_key().point, PublicKey::PLACEHOLDER.point);
        assert_eq!(
            PublicKey::parse(&PublicKey::PLACEHOLDER.bytes).unwrap().point,
            PublicKey::PLACEHOLDER.point
        );
    }

    #[test]
    fn a_private_key_has_its_public_key_and_image() {
        let key = PrivateKey::parse(&hex::decode(APPLICATION).unwrap()).unwrap();
        let public = "PublicKey(0397896e9b106df70124a856861cc9be52fac9980e2c7a118a36c19d0198692cc5)";
        assert_eq!(format!("{:?}", key.public_key()), public);
        let image = "027f66757fefe88e663db41494bceaa674fffee92f99f88b90048ac13cc6988c62";
        assert_eq!(hex::encode(key.key_image()), image);
    }

    #[test]
    fn zero_the_order_and_wrong_lengths_are_no_private_keys() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        for bytes in [
            vec![0; 32],
            hex::decode(order).unwrap(),
            vec![1; 31],
            vec![1; 33],
            Vec::new(),
        ] {
            assert_eq!(PrivateKey::parse(&bytes).err(), Some(InvalidPrivateKey));
        }
    }

    #[test]
    fn a_private_key_is_not_shown() {
        let key = PrivateKey::parse(&[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    }

    proptest! {
        #[test]
        fn parsing_a_public_key_agrees_with_k256(tag in 0..6u8, x: [u8; 32], high: bool) {
            use k256::elliptic_curve::sec1::ToEncodedPoint as _;
            let mut bytes = vec![tag];
            bytes.extend(if high { [0xff; 32] } else { x });
            // k256 also reads 05, a compact form that the chain does not know.
            let theirs = k256::PublicKey::from_sec1_bytes(&bytes).ok().filter(|_| tag != 5);
            match (PublicKey::parse(&bytes), theirs) {
                (Ok(ours), Some(theirs)) => {
                    let encoded = theirs.to_encoded_point(true);
                    prop_assert_eq!(&ours.bytes[..], encoded.as_bytes());
                    prop_assert_eq!(projective(ours.point), theirs.to_projective());
                }
                (Err(_), None) => {}
                (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
            }
        }

        #[test]
        fn parsing_other_lengths_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            prop_assume!(bytes.len() != 33);
            prop_assert_eq!(PublicKey::parse(&bytes), Err(InvalidPublicKey));
        }
    }
}
