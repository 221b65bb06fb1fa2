//! Verification.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::halves::halves;
use crate::hash::{challenge, hashed_affine};
use crate::key::PublicKey;
use crate::large_table::generator;
use crate::multiples::Term;
use crate::pile::{Pile, compress_two, condense};
use crate::point::{Affine, CompressedPoint};
use crate::scalar::Scalar;
use crate::shelf::{HASHED, KEY, Points, Shelf};
use crate::signature::RingSignature;

/// Why a signature does not count. All of them refuse the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A key of the signature's ring is none of the allowed ones.
    #[error("member {0} of the ring is not an allowed key")]
    Stranger(usize),
    /// The key image is no point of the curve.
    #[error("the key image is not on the curve")]
    KeyImage,
    /// The challenges do not close: another message, ring or key, or a changed signature.
    #[error("the ring signature does not fit the message")]
    Mismatch,
}

/// How much memory a [`Verifier`] may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of large tables: 832 KiB for each key that is often in a ring, 416 KiB for each that
    /// often signs. A key's small ones take some 4 KiB.
    pub table_bytes: usize,
}

impl Default for Limits {
    /// 256 MiB: 236 keys in rings and 157 signers with large tables.
    fn default() -> Self {
        Self { table_bytes: 256 << 20 }
    }
}

/// Verifies ring signatures, and remembers tables of the points that come again.
///
/// A key's first uses go by small tables. Once it has been used some times it asks for large ones,
/// and [`Verifier::build_pending`] builds them. Nothing is remembered of signatures that are
/// refused, but that their allowed members were asked for.
///
/// ```
/// # use pocket_ring::{Limits, PrivateKey, RingSignature, Verifier, sign};
/// let signer = PrivateKey::parse(&[1; 32]).unwrap();
/// let ring = [signer.public_key(), PrivateKey::parse(&[2; 32]).unwrap().public_key()];
/// let signature = sign(&[7; 32], &signer, &ring, &mut rand::rng()).unwrap();
///
/// let verifier = Verifier::new(Limits::default());
/// let signature = RingSignature::parse(&signature.to_bytes()).unwrap();
/// assert_eq!(verifier.verify(&[7; 32], &signature, &ring), Ok(()));
/// ```
#[derive(Debug)]
pub struct Verifier {
    /// A key and the point it hashes to.
    members: Shelf<2>,
    key_images: Shelf<1>,
}

/// Members that are prepared together. Bounds the memory that a signature takes.
const TOGETHER: usize = 8;

impl Verifier {
    /// A verifier that remembers nothing yet. The process's first builds the generator's table, in
    /// some milliseconds.
    pub fn new(limits: Limits) -> Self {
        generator();
        let for_key_images = limits.table_bytes / 4;
        Self {
            members: Shelf::new(limits.table_bytes - for_key_images),
            key_images: Shelf::new(for_key_images),
        }
    }

    /// Whether `signature` is one of `message` by a member of its ring, and all members are allowed.
    ///
    /// Members may repeat, and need not be all that are allowed. Source: spec relay.md §3.3, §3.6.
    pub fn verify(
        &self,
        message: &[u8; 32],
        signature: &RingSignature,
        allowed: &[PublicKey],
    ) -> Result<(), VerifyError> {
        // All are looked up before the first is built, so that a stranger costs nothing.
        let mut keys = SmallVec::<[&PublicKey; 2]>::new();
        for (index, key) in signature.keys().enumerate() {
            let found = allowed.iter().find(|allowed| allowed.as_bytes() == key);
            keys.push(found.ok_or(VerifyError::Stranger(index))?);
        }
        let known_image = self.key_images.get(&signature.key_image);
        let is_new = known_image.is_none();
        let image = match known_image {
            Some(image) => image,
            None => new_image(&signature.key_image).ok_or(VerifyError::KeyImage)?,
        };
        let mut c = signature.challenge;
        for (keys, members) in keys.chunks(TOGETHER).zip(signature.members.chunks(TOGETHER)) {
            let points: SmallVec<[_; 2]> = keys.iter().map(|key| self.member(key)).collect();
            let responses = members.iter().map(|member| member.response);
            c = follow(message, &points, responses, &image, c).ok_or(VerifyError::Mismatch)?;
        }
        if c != signature.challenge {
            return Err(VerifyError::Mismatch);
        }
        if is_new {
            self.key_images.put(signature.key_image, image);
        }
        Ok(())
    }

    /// Builds the large tables of keys that will soon be in rings: about two milliseconds for each
    /// key that has none and finds room.
    pub fn warm(&self, keys: &[PublicKey]) {
        for key in keys {
            self.members.build(key.as_bytes(), &self.member(key));
        }
    }

    /// Whether [`Verifier::build_pending`] has something to do. Cheap.
    pub fn has_pending(&self) -> bool {
        self.members.is_waiting() || self.key_images.is_waiting()
    }

    /// Builds the large tables that are due: one or two milliseconds for each key. For a thread that
    /// may block.
    pub fn build_pending(&self) {
        self.members.build_waiting();
        self.key_images.build_waiting();
    }

    fn member(&self, key: &PublicKey) -> Arc<Points<2>> {
        self.members.get(key.as_bytes()).unwrap_or_else(|| {
            let hashed = hashed_affine(key.as_bytes()).0;
            self.members
                .put(key.to_bytes(), Arc::new(Points::new([key.point(), hashed])))
        })
    }
}

fn new_image(key_image: &CompressedPoint) -> Option<Arc<Points<1>>> {
    Some(Arc::new(Points::new([Affine::decompress(key_image)?])))
}

/// The challenge after some members, from the one before them.
///
/// A member adds sG + cP and sH(P) + cI. The responses s are known from the start and each c only
/// in its turn, so that the former are prepared for all members at once.
fn follow(
    message: &[u8; 32],
    members: &[Arc<Points<2>>],
    responses: impl Iterator<Item = Scalar>,
    image: &Points<1>,
    mut c: Scalar,
) -> Option<Scalar> {
    let mut piles: SmallVec<[_; 4]> = SmallVec::new();
    for (member, response) in members.iter().zip(responses) {
        let response = halves(response);
        let [mut left, mut right] = [Pile::new(), Pile::new()];
        left.add(Term::large(generator(), response));
        right.add(member.term(HASHED, response));
        piles.extend([left, right]);
    }
    let mut rest = &mut piles[..];
    for member in members {
        let challenge_halves = halves(c);
        rest[0].add(member.term(KEY, challenge_halves));
        rest[1].add(image.term(0, challenge_halves));
        condense(rest);
        let (own, after) = rest.split_first_chunk_mut::<2>()?;
        let [left, right] = compress_two(own);
        c = challenge(message, &left, &right).scalar?;
        rest = after;
    }
    Some(c)
}
