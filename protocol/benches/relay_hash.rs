//! Hashing a relay: what is done once for each relay between socket and stream.
//!
//! Payloads of 1 KiB and 64 KiB, a ring of two keys. SHA-256 of the payload is the floor.

// The benchmark macros make public items without documentation.
#![allow(missing_docs)]

mod sample;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pocket_protocol::relay::{mined_relay, payload_hash, relay_hash, request_signable_hash, response_signable_hash};

fn relay_hashes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay_hash");
    for payload in [1 << 10, 64 << 10] {
        let (request, response) = sample::relay(payload);
        group.bench_function(BenchmarkId::new("payload_hash", payload), |bencher| {
            bencher.iter(|| payload_hash(black_box(&request.payload)));
        });
        group.bench_function(BenchmarkId::new("request_signable_hash", payload), |bencher| {
            bencher.iter(|| request_signable_hash(black_box(&request)));
        });
        group.bench_function(BenchmarkId::new("response_signable_hash", payload), |bencher| {
            bencher.iter(|| response_signable_hash(black_box(&response)));
        });
        group.bench_function(BenchmarkId::new("relay_hash", payload), |bencher| {
            bencher.iter(|| relay_hash(black_box(&request), black_box(&response)));
        });
        group.bench_function(BenchmarkId::new("mined_relay", payload), |bencher| {
            bencher.iter(|| mined_relay(black_box(&request), black_box(&response)));
        });
    }
    group.finish();
}

criterion_group!(benches, relay_hashes);
criterion_main!(benches);
