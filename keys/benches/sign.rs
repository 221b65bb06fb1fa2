//! Signing and checking a digest: libsecp256k1, which the program uses, beside k256.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use k256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use pocket_keys::SigningKey;

fn sign(criterion: &mut Criterion) {
    let ours = SigningKey::from_bytes(&[7; 32]).expect("a valid key");
    let theirs = k256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("a valid key");
    let digest = [0x5a; 32];

    let mut group = criterion.benchmark_group("sign_digest");
    group.bench_function("secp256k1", |bench| bench.iter(|| ours.sign_digest(black_box(&digest))));
    group.bench_function("k256", |bench| {
        bench.iter(|| -> k256::ecdsa::Signature { theirs.sign_prehash(black_box(&digest)).expect("signs") });
    });
    group.finish();

    let signature = ours.sign_digest(&digest);
    let parsed = k256::ecdsa::Signature::from_slice(&signature).expect("a valid signature");
    let mut group = criterion.benchmark_group("verify_digest");
    group.bench_function("secp256k1", |bench| {
        bench.iter(|| ours.verifying_key().verify_digest(black_box(&digest), &signature));
    });
    group.bench_function("k256", |bench| {
        bench.iter(|| theirs.verifying_key().verify_prehash(black_box(&digest), &parsed));
    });
    group.finish();
}

criterion_group!(benches, sign);
criterion_main!(benches);
