//! The signature's parts and bytes.

use smallvec::SmallVec;

use crate::field::FieldElement;
use crate::point::CompressedPoint;
use crate::scalar::Scalar;

/// Bytes before the members: count, challenge, key image.
const HEAD: usize = 4 + 32 + 33;
/// Bytes of a member: response, key.
const MEMBER: usize = 32 + 33;

/// Why some bytes are no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The length is not `69 + 65 * members`, or the members are none.
    #[error("ring signature of {0} bytes does not hold the members that it announces")]
    Length(usize),
    /// The challenge or a response is not below the group's order.
    #[error("ring signature holds a scalar at or above the group's order")]
    Scalar,
    /// A key or the key image does not begin with 02 or 03, or its x is not below the field's prime.
    #[error("ring signature holds a malformed point")]
    Point,
}

/// A ring signature whose scalars are in range and whose points have the right form.
///
/// Whether the points lie on the curve shows in verification, which knows most of them already.
///
/// Bytes: member count (4, big-endian), c\[0\] (32), key image (33), then per member s\[i\] (32) and
/// P\[i\] (33). Source: spec relay.md §3.4; bytes after the end and scalars at or above the order,
/// which the chain's library tolerates, are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSignature {
    pub(crate) challenge: Scalar,
    pub(crate) key_image: CompressedPoint,
    pub(crate) members: Members,
}

/// Rings of two, by far the most, need no allocation.
pub(crate) type Members = SmallVec<[Member; 2]>;

/// A key of the ring and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub response: Scalar,
    pub key: CompressedPoint,
}

impl RingSignature {
    /// Reads a signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let wrong_length = ParseError::Length(bytes.len());
        let (count, rest) = bytes.split_first_chunk::<4>().ok_or(wrong_length)?;
        let (challenge, rest) = rest.split_first_chunk::<32>().ok_or(wrong_length)?;
        let (key_image, rest) = rest.split_first_chunk::<33>().ok_or(wrong_length)?;
        let (members, tail) = rest.as_chunks::<MEMBER>();
        let announced = u32::from_be_bytes(*count);
        if members.is_empty() || !tail.is_empty() || u32::try_from(members.len()) != Ok(announced) {
            return Err(wrong_length);
        }
        Ok(Self {
            challenge: Scalar::from_bytes(challenge).ok_or(ParseError::Scalar)?,
            key_image: formed(key_image)?,
            members: members.iter().map(parse_member).collect::<Result<_, _>>()?,
        })
    }

    /// The bytes that [`RingSignature::parse`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + MEMBER * self.members.len());
        let count = u32::try_from(self.members.len()).expect("a ring of 2^32 members does not fit in memory");
        bytes.extend(count.to_be_bytes());
        bytes.extend(self.challenge.to_bytes());
        bytes.extend(self.key_image);
        for member in &self.members {
            bytes.extend(member.response.to_bytes());
            bytes.extend(member.key);
        }
        bytes
    }

    /// c\[0\].
    pub fn challenge(&self) -> Scalar {
        self.challenge
    }

    /// The mark that all signatures by the signer's key share.
    pub fn key_image(&self) -> &CompressedPoint {
        &self.key_image
    }

    /// The ring's keys in order, each perhaps more than once; not known to be on the curve.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &CompressedPoint> {
        self.members.iter().map(|member| &member.key)
    }

    /// The responses s\[i\], in the order of the keys.
    pub fn responses(&self) -> impl ExactSizeIterator<Item = Scalar> {
        self.members.iter().map(|member| member.response)
    }
}

fn parse_member(bytes: &[u8; MEMBER]) -> Result<Member, ParseError> {
    let (response, key) = bytes.split_first_chunk::<32>().expect("a member has 65 bytes");
    Ok(Member {
        response: Scalar::from_bytes(response).ok_or(ParseError::Scalar)?,
        key: formed(key.try_into().expect("a member's key is its last 33 bytes"))?,
    })
}

/// A point with a right first byte and an x below the field's prime.
fn formed(bytes: &CompressedPoint) -> Result<CompressedPoint, ParseError> {
    let (tag, x) = bytes.split_first().expect("a point has 33 bytes");
    let x = x.try_into().expect("a point's x is its last 32 bytes");
    if matches!(tag, 2 | 3) && FieldElement::from_bytes(x).is_some() {
        Ok(*bytes)
    } else {
        Err(ParseError::Point)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(count: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, count];
        bytes.extend([7; 32]);
        bytes.extend([2; 33]);
        for _ in 0..count {
            bytes.extend([9; 32]);
            bytes.extend([3; 33]);
        }
        bytes
    }

    #[test]
    fn what_is_read_is_written_again() {
        for count in [1, 2, 5] {
            let bytes = members(count);
            assert_eq!(RingSignature::parse(&bytes).unwrap().to_bytes(), bytes);
        }
    }

    #[test]
    fn no_members_are_refused() {
        assert_eq!(RingSignature::parse(&members(0)), Err(ParseError::Length(HEAD)));
    }

    #[test]
    fn every_other_length_is_refused() {
        let bytes = members(2);
        for length in 0..bytes.len() {
            assert_eq!(RingSignature::parse(&bytes[..length]), Err(ParseError::Length(length)));
        }
        for more in [1, 65] {
            let longer = [&bytes[..], &vec![2; more]].concat();
            assert_eq!(RingSignature::parse(&longer), Err(ParseError::Length(longer.len())));
        }
    }

    #[test]
    fn scalars_at_or_above_the_order_are_refused() {
        for start in [4, HEAD, HEAD + MEMBER] {
            let mut bytes = members(2);
            bytes[start..start + 32].fill(0xff);
            assert_eq!(RingSignature::parse(&bytes), Err(ParseError::Scalar));
        }
    }

    #[test]
    fn malformed_points_are_refused() {
        for start in [36, HEAD + 32, HEAD + MEMBER + 32] {
            for tag in [0, 1, 4, 5, 0xff] {
                let mut bytes = members(2);
                bytes[start] = tag;
                assert_eq!(RingSignature::parse(&bytes), Err(ParseError::Point));
            }
            let mut bytes = members(2);
            bytes[start + 1..start + 33].fill(0xff);
            assert_eq!(RingSignature::parse(&bytes), Err(ParseError::Point));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(signature) = RingSignature::parse(&bytes) {
                prop_assert_eq!(signature.to_bytes(), bytes);
            }
        }

        #[test]
        fn parsing_changed_signatures_never_panics(
            count in 0..4u8,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = members(count);
            for (index, byte) in changes {
                *index.get_mut(&mut bytes[..]) = byte;
            }
            if let Ok(signature) = RingSignature::parse(&bytes) {
                prop_assert_eq!(signature.to_bytes(), bytes);
            }
        }
    }
}
