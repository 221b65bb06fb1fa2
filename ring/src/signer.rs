//! Signing many messages by one key for one ring.

use crate::halves::halves;
use crate::hash::hashed_affine;
use crate::key::{PrivateKey, PublicKey};
use crate::large_table::generator;
use crate::multiples::Term;
use crate::pile::sums_of;
use crate::point::{Affine, CompressedPoint};
use crate::scalar::Scalar;
use crate::shelf::{HASHED, KEY, Points};
use crate::sign::{SignError, assemble, close_ring, place_in};
use crate::signature::RingSignature;

/// A key and a ring, with the large tables of all their points: 832 KiB for each member.
///
/// Several times as fast as [`sign`](crate::sign()), for tools that make load. What it trades:
/// secret numbers choose the places that are read in tables, so that someone who shares the
/// machine may learn of them by its caches. Do not use it with a key that guards money on a
/// machine that others use.
#[derive(Debug)]
pub struct Signer {
    key: PrivateKey,
    key_image: CompressedPoint,
    ring: Vec<PublicKey>,
    place: usize,
    members: Vec<Points<2>>,
    image: Points<1>,
}

impl Signer {
    /// Builds the tables: about two milliseconds for each member.
    pub fn new(key: PrivateKey, ring: &[PublicKey]) -> Result<Self, SignError> {
        let place = place_in(ring, &key.public_key())?;
        generator();
        let hashed: Vec<_> = ring.iter().map(|member| hashed_affine(member.as_bytes()).0).collect();
        let image: Affine = key.times(hashed[place]);
        let members = ring
            .iter()
            .zip(hashed)
            .map(|(member, hashed)| with_tables([member.point(), hashed]));
        Ok(Self {
            key_image: image.compress(),
            image: with_tables([image]),
            members: members.collect(),
            ring: ring.to_vec(),
            place,
            key,
        })
    }

    /// Signs a message; every signature differs.
    pub fn sign(&self, message: &[u8; 32], rng: &mut (impl rand::CryptoRng + ?Sized)) -> RingSignature {
        // A response u to the challenge 0 gives the two products of the secret u.
        let commit = |secret: &PrivateKey| self.contributions(self.place, secret.scalar(), Scalar::ZERO);
        let contribute = |index: usize, response, c| self.contributions(index, response, c);
        let closed = close_ring(message, &self.key, self.place, self.ring.len(), rng, commit, contribute);
        assemble(closed, self.key_image, &self.ring)
    }

    /// A member's two points.
    fn contributions(&self, index: usize, response: Scalar, c: Scalar) -> [CompressedPoint; 2] {
        let (response, c) = (halves(response), halves(c));
        let member = &self.members[index];
        sums_of(&[
            [Term::large(generator(), response), member.term(KEY, c)],
            [member.term(HASHED, response), self.image.term(0, c)],
        ])
    }

    /// The mark that all this key's signatures share.
    pub fn key_image(&self) -> &CompressedPoint {
        &self.key_image
    }
}

fn with_tables<const K: usize>(points: [Affine; K]) -> Points<K> {
    let points = Points::new(points);
    points.build_large();
    points
}
