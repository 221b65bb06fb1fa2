//! Instructions of verifying and signing: the same on every machine, so that a change shows.
#![allow(missing_docs, reason = "the macros make public items without docs")]

use std::hint::black_box;

use iai_callgrind::{library_benchmark, library_benchmark_group, main};
use pocket_ring::{Limits, PrivateKey, PublicKey, RingSignature, Signer, Verifier, VerifyError, sign};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const MESSAGE: [u8; 32] = [0x51; 32];

struct Case {
    verifier: Verifier,
    ring: Vec<PublicKey>,
    signature: RingSignature,
}

fn key(number: u8) -> PrivateKey {
    PrivateKey::parse(&[number + 1; 32]).expect("small bytes are below the order")
}

fn ring_of(size: u8) -> Vec<PublicKey> {
    (0..size).map(|number| key(number).public_key()).collect()
}

/// Members with large tables, the key image unknown.
fn new_key_image(size: u8) -> Case {
    let ring = ring_of(size);
    let signature = sign(&MESSAGE, &key(0), &ring, &mut StdRng::seed_from_u64(1)).expect("the signer is a member");
    let verifier = Verifier::new(Limits::default());
    verifier.warm(&ring);
    Case {
        verifier,
        ring,
        signature,
    }
}

/// Large tables for all.
fn warm(size: u8) -> Case {
    let case = new_key_image(size);
    for _ in 0..40 {
        case.verifier
            .verify(&MESSAGE, &case.signature, &case.ring)
            .expect("the signature is valid");
        case.verifier.build_pending();
    }
    case
}

#[library_benchmark]
#[benches::warm(args = [2, 4, 8], setup = warm)]
#[benches::new_key_image(args = [2, 4, 8], setup = new_key_image)]
fn verify(case: Case) -> (Result<(), VerifyError>, Case) {
    (
        case.verifier
            .verify(black_box(&MESSAGE), black_box(&case.signature), &case.ring),
        case,
    )
}

fn signer(size: u8) -> Signer {
    Signer::new(key(0), &ring_of(size)).expect("the signer is a member")
}

#[library_benchmark]
#[benches::sizes(args = [2, 4, 8], setup = signer)]
fn fast_sign(signer: Signer) -> (RingSignature, Signer) {
    (signer.sign(black_box(&MESSAGE), &mut StdRng::seed_from_u64(1)), signer)
}

library_benchmark_group!(name = ring; benchmarks = verify, fast_sign);
main!(library_benchmark_groups = ring);
