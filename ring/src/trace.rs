//! A verification step by step, by other arithmetic than [`Verifier`](crate::Verifier)'s.

use k256::ProjectivePoint;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;

use crate::hash::{HashedScalar, challenge, hash_to_point};
use crate::key::{InvalidPublicKey, PublicKey, projective};
use crate::point::{CompressedPoint, INFINITY};
use crate::scalar::Scalar;
use crate::signature::RingSignature;

/// What a member adds to the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The point that the member's key hashes to.
    pub hashed_key: CompressedPoint,
    /// L = sG + cP; 02 and 32 zero bytes at infinity.
    pub left: CompressedPoint,
    /// R = sH + cI; 02 and 32 zero bytes at infinity.
    pub right: CompressedPoint,
    /// The next member's challenge; of the last member, the first's.
    pub challenge: HashedScalar,
}

/// Every step of verifying a signature, slowly, to find where two implementations part.
///
/// It uses k256's arithmetic throughout. A signature is valid when the last challenge is the one in
/// the signature. Ends early where a challenge is undefined, see [`HashedScalar::scalar`]. Fails
/// when a key or the key image is not on the curve.
pub fn trace(message: &[u8; 32], signature: &RingSignature) -> Result<Vec<Step>, InvalidPublicKey> {
    let image = projective(PublicKey::parse(&signature.key_image)?.point());
    let mut steps = Vec::with_capacity(signature.members.len());
    let mut c = signature.challenge;
    for member in &signature.members {
        let key = PublicKey::parse(&member.key)?;
        let hashed_key = hash_to_point(&key).point;
        let hashed = projective(PublicKey::parse(&hashed_key)?.point());
        let sum = |base: ProjectivePoint, other: ProjectivePoint| encode(base * member.response.0 + other * c.0);
        let left = sum(ProjectivePoint::GENERATOR, projective(key.point()));
        let right = sum(hashed, image);
        let challenge = challenge(message, &left, &right);
        steps.push(Step {
            hashed_key,
            left,
            right,
            challenge,
        });
        match challenge.scalar {
            Some(next) => c = next,
            None => break,
        }
    }
    Ok(steps)
}

/// Whether the steps of [`trace`] end where the signature begins.
pub fn closes(steps: &[Step], first: Scalar) -> bool {
    steps.last().is_some_and(|step| step.challenge.scalar == Some(first))
}

fn encode(point: ProjectivePoint) -> CompressedPoint {
    let encoded = point.to_affine().to_encoded_point(true);
    encoded.as_bytes().try_into().unwrap_or(INFINITY)
}
