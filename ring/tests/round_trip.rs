//! What is signed verifies; what is changed does not.

use pocket_ring::{
    Limits, ParseError, PrivateKey, PublicKey, RingSignature, SignError, Signer, Verifier, VerifyError, closes, sign,
    trace,
};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const MESSAGE: [u8; 32] = [0x51; 32];

fn key(number: u8) -> PrivateKey {
    PrivateKey::parse(&[number + 1; 32]).unwrap()
}

fn ring_of(size: u8) -> Vec<PublicKey> {
    (0..size).map(|number| key(number).public_key()).collect()
}

fn verifier() -> Verifier {
    Verifier::new(Limits { table_bytes: 8 << 20 })
}

#[test]
fn every_member_signs_for_the_ring() {
    let verifier = verifier();
    let ring = ring_of(4);
    for place in 0..4 {
        let signature = sign(&MESSAGE, &key(place), &ring, &mut rand::rng()).unwrap();
        assert_eq!(signature.key_image(), &key(place).key_image());
        assert_eq!(verifier.verify(&MESSAGE, &signature, &ring), Ok(()));
    }
}

#[test]
fn a_verdict_does_not_depend_on_tables() {
    let verifier = verifier();
    let ring = ring_of(3);
    let signer = Signer::new(key(2), &ring).unwrap();
    for _ in 0..40 {
        let signature = signer.sign(&MESSAGE, &mut rand::rng());
        assert_eq!(verifier.verify(&MESSAGE, &signature, &ring), Ok(()));
        assert_eq!(verifier.verify(&[0; 32], &signature, &ring), Err(VerifyError::Mismatch));
        verifier.build_pending();
    }
    assert!(!verifier.has_pending());
}

#[test]
fn a_subset_of_the_allowed_keys_verifies_in_any_order_and_multiplicity() {
    let [a, b, c] = [key(0), key(1), key(2)];
    let [p, q, r] = [&a, &b, &c].map(PrivateKey::public_key);
    let verifier = verifier();
    for ring in [vec![p, p], vec![q, p], vec![p, q, p, r]] {
        let signature = sign(&MESSAGE, &a, &ring, &mut rand::rng()).unwrap();
        assert_eq!(verifier.verify(&MESSAGE, &signature, &[r, q, p]), Ok(()));
    }
}

#[test]
fn a_member_that_is_not_allowed_is_refused() {
    let ring = ring_of(3);
    let signature = sign(&MESSAGE, &key(0), &ring, &mut rand::rng()).unwrap();
    assert_eq!(
        verifier().verify(&MESSAGE, &signature, &ring[..2]),
        Err(VerifyError::Stranger(2))
    );
    assert_eq!(
        verifier().verify(&MESSAGE, &signature, &[]),
        Err(VerifyError::Stranger(0))
    );
}

#[test]
fn a_key_image_off_the_curve_is_refused() {
    let ring = ring_of(2);
    let mut bytes = sign(&MESSAGE, &key(0), &ring, &mut rand::rng()).unwrap().to_bytes();
    bytes[37..69].fill(0);
    let signature = RingSignature::parse(&bytes).unwrap();
    assert_eq!(
        verifier().verify(&MESSAGE, &signature, &ring),
        Err(VerifyError::KeyImage)
    );
    assert!(trace(&MESSAGE, &signature).is_err());
}

#[test]
fn a_stranger_and_a_ring_of_one_cannot_sign() {
    let ring = ring_of(2);
    assert_eq!(
        sign(&MESSAGE, &key(7), &ring, &mut rand::rng()),
        Err(SignError::NotAMember)
    );
    assert_eq!(
        sign(&MESSAGE, &key(0), &ring[..1], &mut rand::rng()),
        Err(SignError::RingTooSmall)
    );
    assert_eq!(Signer::new(key(7), &ring).err(), Some(SignError::NotAMember));
}

#[test]
fn warm_keys_need_no_building() {
    let verifier = verifier();
    let ring = ring_of(2);
    verifier.warm(&ring);
    for place in 0..2 {
        for _ in 0..7 {
            let signature = sign(&MESSAGE, &key(place), &ring, &mut rand::rng()).unwrap();
            assert_eq!(verifier.verify(&MESSAGE, &signature, &ring), Ok(()));
        }
    }
    assert!(!verifier.has_pending());
}

#[test]
fn a_verifier_and_a_signer_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Verifier>();
    shared::<Signer>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_signed_verifies(size in 2..=8u8, place: prop::sample::Index, message: [u8; 32], seed: u64, fast: bool) {
        let ring = ring_of(size);
        let key = key(place.index(usize::from(size)) as u8);
        let mut rng = StdRng::seed_from_u64(seed);
        let signature = if fast {
            Signer::new(key, &ring).unwrap().sign(&message, &mut rng)
        } else {
            sign(&message, &key, &ring, &mut rng).unwrap()
        };
        let signature = RingSignature::parse(&signature.to_bytes()).unwrap();
        prop_assert_eq!(verifier().verify(&message, &signature, &ring), Ok(()));
        prop_assert!(closes(&trace(&message, &signature).unwrap(), signature.challenge()));
    }

    #[test]
    fn a_changed_signature_is_refused(size in 2..=8u8, at: prop::sample::Index, bit in 0..8u8, seed: u64) {
        let ring = ring_of(size);
        let mut bytes = sign(&MESSAGE, &key(0), &ring, &mut StdRng::seed_from_u64(seed)).unwrap().to_bytes();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        let refused: Result<(), ()> = match RingSignature::parse(&bytes) {
            Err(ParseError::Length(_) | ParseError::Scalar | ParseError::Point) => Err(()),
            Ok(signature) => {
                // Let in whichever key the change made, so that the challenges must find it.
                let mut allowed = ring;
                allowed.extend(signature.keys().filter_map(|key| PublicKey::parse(key).ok()));
                verifier().verify(&MESSAGE, &signature, &allowed).map_err(|_| ())
            }
        };
        prop_assert_eq!(refused, Err(()));
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(signature) = RingSignature::parse(&bytes) {
            prop_assert!(verifier().verify(&MESSAGE, &signature, &ring_of(2)).is_err());
        }
    }
}
