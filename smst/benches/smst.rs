//! Time of a batch of 1000 relays and of a closest proof, in trees of 10^4 to 10^6 leaves.
// The macros make items without docs.
#![allow(missing_docs)]

mod common;

use std::hint::black_box;

use common::{batch, relays, tree_of};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pocket_smst::Path;

fn insert_and_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert and commit a batch of 1000");
    group.throughput(Throughput::Elements(1000)).sample_size(10);
    for leaves in [10_000, 100_000, 1_000_000] {
        let (tree, _) = tree_of(leaves);
        let batch = batch(leaves, 1000);
        group.bench_function(leaves.to_string(), |bencher| {
            bencher.iter_batched_ref(
                || (tree.clone(), batch.clone()),
                |(tree, batch)| {
                    let leaves = relays(batch);
                    tree.insert_batch(leaves).expect("the tree is loaded");
                    tree.commit()
                },
                BatchSize::PerIteration,
            );
        });
    }
}

fn prove(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("closest proof");
    for leaves in [10_000, 100_000, 1_000_000] {
        let (mut tree, store) = tree_of(leaves);
        let mut target = 0u64;
        group.bench_function(leaves.to_string(), |bencher| {
            bencher.iter(|| {
                target += 1;
                let path = Path::of_key(&target.to_le_bytes());
                futures::executor::block_on(tree.prepare_proof(path, &store)).expect("the store is complete");
                black_box(tree.prove(path).expect("the tree is loaded").encode())
            });
        });
    }
}

criterion_group!(benches, insert_and_commit, prove);
criterion_main!(benches);
