//! Time of a batch of 1000 relays and of a closest proof, in trees of 10^4 to 10^6 leaves.
// The macros make items without docs.
#![allow(missing_docs)]

mod common;

use std::hint::black_box;

use common::{batch, relays, tree_of};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use pocket_smst::Path;

fn tree(criterion: &mut Criterion) {
    for leaves in [10_000, 100_000, 1_000_000] {
        let mut group = criterion.benchmark_group(format!("{leaves} leaves"));
        let (mut tree, store) = tree_of(leaves);
        let mut target = 0u64;
        group.bench_function("closest proof", |bencher| {
            bencher.iter(|| {
                target += 1;
                let path = Path::of_key(&target.to_le_bytes());
                block_on(tree.prepare_proof(path, &store)).expect("the store is complete");
                black_box(tree.prove(path).expect("the tree is loaded").encode())
            });
        });
        let mut start = leaves;
        group.throughput(Throughput::Elements(1000)).sample_size(20);
        group.bench_function("hash, insert and commit 1000 relays", |bencher| {
            bencher.iter_batched_ref(
                || {
                    start += 1000;
                    batch(start, 1000)
                },
                |batch| {
                    tree.insert_batch(relays(batch)).expect("the tree is loaded");
                    tree.commit()
                },
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group!(benches, tree);
criterion_main!(benches);
