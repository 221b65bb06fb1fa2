//! Time of verifying and signing.
#![allow(missing_docs, reason = "the macros make public items without docs")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pocket_ring::{Limits, PrivateKey, PublicKey, RingSignature, Signer, Verifier, sign};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const MESSAGE: [u8; 32] = [0x51; 32];
const SIZES: [u8; 3] = [2, 4, 8];
/// Different signatures in turn, so that neither caches nor branch predictors learn one by heart.
const SIGNATURES: usize = 64;

fn key(number: u8) -> PrivateKey {
    PrivateKey::parse(&[number + 1; 32]).expect("small bytes are below the order")
}

fn ring_of(size: u8) -> Vec<PublicKey> {
    (0..size).map(|number| key(number).public_key()).collect()
}

fn signatures(ring: &[PublicKey]) -> Vec<RingSignature> {
    let mut rng = StdRng::seed_from_u64(1);
    let signatures = (0..SIGNATURES).map(|_| sign(&MESSAGE, &key(0), ring, &mut rng));
    signatures.collect::<Result<_, _>>().expect("the signer is a member")
}

/// A verifier with large tables for the ring and for the key images of signatures.
fn warm(ring: &[PublicKey], signatures: &[RingSignature]) -> Verifier {
    let verifier = Verifier::new(Limits::default());
    verifier.warm(ring);
    for signature in signatures {
        verifier
            .verify(&MESSAGE, signature, ring)
            .expect("the signature is valid");
        verifier.build_pending();
    }
    verifier
}

fn verifying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for size in SIZES {
        let ring = ring_of(size);
        let signatures = signatures(&ring);
        let verifier = warm(&ring, &signatures);
        let mut turn = signatures.iter().cycle();
        group.bench_function(BenchmarkId::new("warm", size), |bencher| {
            bencher.iter(|| {
                verifier
                    .verify(black_box(&MESSAGE), black_box(turn.next()?), &ring)
                    .ok()
            });
        });
        // A signature that is refused leaves no key image behind: the next meets it anew.
        let verifier = warm(&ring, &[]);
        group.bench_function(BenchmarkId::new("new key image", size), |bencher| {
            bencher.iter(|| {
                verifier
                    .verify(black_box(&[0; 32]), black_box(turn.next()?), &ring)
                    .err()
            });
        });
        group.bench_function(BenchmarkId::new("all new", size), |bencher| {
            bencher.iter_batched_ref(
                || Verifier::new(Limits::default()),
                |verifier| verifier.verify(black_box(&MESSAGE), black_box(&signatures[0]), &ring),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    let bytes = sign(&MESSAGE, &key(0), &ring_of(2), &mut StdRng::seed_from_u64(1))
        .expect("the signer is a member")
        .to_bytes();
    criterion.bench_function("parse/2", |bencher| {
        bencher.iter(|| RingSignature::parse(black_box(&bytes)));
    });
    criterion.bench_function("warm/2 new keys", |bencher| {
        let ring = ring_of(2);
        bencher.iter_batched_ref(
            || Verifier::new(Limits::default()),
            |verifier| verifier.warm(black_box(&ring)),
            BatchSize::SmallInput,
        );
    });
}

fn signing(criterion: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    for size in SIZES {
        let ring = ring_of(size);
        criterion.bench_function(&format!("sign/{size}"), |bencher| {
            let key = key(0);
            bencher.iter(|| sign(black_box(&MESSAGE), &key, &ring, &mut rng));
        });
        let signer = Signer::new(key(0), &ring).expect("the signer is a member");
        criterion.bench_function(&format!("signer/{size}"), |bencher| {
            bencher.iter(|| signer.sign(black_box(&MESSAGE), &mut rng));
        });
    }
}

criterion_group!(benches, verifying, signing);
criterion_main!(benches);
