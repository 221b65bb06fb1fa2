//! Signing.

use crate::halves::halves;
use crate::hash::{challenge, hashed_affine};
use crate::key::{PrivateKey, PublicKey};
use crate::large_table::generator;
use crate::multiples::Term;
use crate::pile::sums_of;
use crate::point::{Affine, CompressedPoint};
use crate::scalar::Scalar;
use crate::signature::{Member, Members, RingSignature};
use crate::small_table::SmallTable;

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The ring has fewer than two members: it would name the signer.
    #[error("a ring needs at least two members")]
    RingTooSmall,
    /// The private key's public key is not in the ring.
    #[error("the signer is not a member of the ring")]
    NotAMember,
}

/// Signs a message for a ring, which keeps its order. Source: spec relay.md §3.3.
///
/// The private key and the signature's secret number meet points only in constant time. That the
/// signer's place in the ring is sought and skipped is not hidden.
pub fn sign(
    message: &[u8; 32],
    key: &PrivateKey,
    ring: &[PublicKey],
    rng: &mut (impl rand::CryptoRng + ?Sized),
) -> Result<RingSignature, SignError> {
    let place = place_in(ring, &key.public_key())?;
    let keys: Vec<_> = ring
        .iter()
        .map(|member| (member.to_bytes(), SmallTable::new(member.point())))
        .collect();
    let hashed: Vec<_> = ring.iter().map(|member| hashed_affine(member.as_bytes()).0).collect();
    let hashed_tables: Vec<_> = hashed.iter().map(|point| SmallTable::new(*point)).collect();
    let image = key.times(hashed[place]);
    let image_table = SmallTable::new(image);
    let commit = |secret: &PrivateKey| {
        [
            secret.times(Affine::GENERATOR).compress(),
            secret.times(hashed[place]).compress(),
        ]
    };
    let contribute = |index: usize, response: Scalar, c: Scalar| {
        let (response, c) = (halves(response), halves(c));
        sums_of(&[
            [Term::large(generator(), response), Term::small(&keys[index].1, c)],
            [
                Term::small(&hashed_tables[index], response),
                Term::small(&image_table, c),
            ],
        ])
    };
    let members = close_ring(message, key, place, ring.len(), rng, commit, contribute);
    Ok(assemble(members, image.compress(), ring))
}

/// Where the signer stands.
pub(crate) fn place_in(ring: &[PublicKey], signer: &PublicKey) -> Result<usize, SignError> {
    if ring.len() < 2 {
        return Err(SignError::RingTooSmall);
    }
    ring.iter()
        .position(|member| member == signer)
        .ok_or(SignError::NotAMember)
}

/// c\[0\] and the responses.
pub(crate) type Closed = (Scalar, Vec<Scalar>);

pub(crate) fn assemble(
    (challenge, responses): Closed,
    key_image: CompressedPoint,
    ring: &[PublicKey],
) -> RingSignature {
    let members = ring.iter().zip(responses).map(|(key, response)| Member {
        response,
        key: key.to_bytes(),
    });
    RingSignature {
        challenge,
        key_image,
        members: members.collect::<Members>(),
    }
}

/// Goes round the ring from the signer's place with random responses, and closes it with the
/// private key.
///
/// `commit` gives a secret's multiples of the generator and of the signer's hashed point,
/// `contribute` the two points of another member for its response and challenge.
pub(crate) fn close_ring(
    message: &[u8; 32],
    key: &PrivateKey,
    place: usize,
    size: usize,
    rng: &mut (impl rand::CryptoRng + ?Sized),
    commit: impl Fn(&PrivateKey) -> [CompressedPoint; 2],
    contribute: impl Fn(usize, Scalar, Scalar) -> [CompressedPoint; 2],
) -> Closed {
    loop {
        let secret = PrivateKey::random(rng);
        let mut responses: Vec<_> = (0..size).map(|_| PrivateKey::random(rng).scalar()).collect();
        // A digest that gives no challenge (one in 2^128) needs another secret.
        if let Some(first) = go_round(message, key, place, &secret, &mut responses, &commit, &contribute) {
            return (first, responses);
        }
    }
}

fn go_round(
    message: &[u8; 32],
    key: &PrivateKey,
    place: usize,
    secret: &PrivateKey,
    responses: &mut [Scalar],
    commit: &impl Fn(&PrivateKey) -> [CompressedPoint; 2],
    contribute: &impl Fn(usize, Scalar, Scalar) -> [CompressedPoint; 2],
) -> Option<Scalar> {
    let size = responses.len();
    let [left, right] = commit(secret);
    let mut c = challenge(message, &left, &right).scalar?;
    let mut first = None;
    for index in (place + 1..size).chain(0..place) {
        if index == 0 {
            first = Some(c);
        }
        let [left, right] = contribute(index, responses[index], c);
        c = challenge(message, &left, &right).scalar?;
    }
    responses[place] = Scalar(secret.scalar().0 - c.0 * key.scalar().0);
    first.or(Some(c))
}
