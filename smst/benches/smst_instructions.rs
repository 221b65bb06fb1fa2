//! Instructions of a batch of 1000 relays and of a closest proof, in a tree of 10^4 leaves. What is dropped is not counted.
// The macros make items without docs.
#![allow(missing_docs)]

mod common;

use std::hint::black_box;

use bytes::Bytes;
use common::{batch, relays, tree_of};
use iai_callgrind::{library_benchmark, library_benchmark_group, main};
use pocket_smst::{Changes, MemoryStore, Path, Tree};

type Relays = Vec<([u8; 32], Vec<u8>)>;

fn tree_and_batch() -> (Tree, Relays) {
    (tree_of(10_000).0, batch(10_000, 1000))
}

#[library_benchmark(setup = tree_and_batch)]
#[bench::ten_thousand_leaves()]
fn insert_and_commit((mut tree, batch): (Tree, Relays)) -> (Tree, Changes) {
    tree.insert_batch(relays(&batch)).expect("the tree is loaded");
    let changes = tree.commit();
    black_box((tree, changes))
}

fn loaded_tree() -> (Tree, MemoryStore, Path) {
    let (tree, store) = tree_of(10_000);
    (tree, store, Path([0x5a; 32]))
}

#[library_benchmark(setup = loaded_tree)]
#[bench::ten_thousand_leaves()]
fn closest_proof((mut tree, store, path): (Tree, MemoryStore, Path)) -> (Tree, MemoryStore, Bytes) {
    futures::executor::block_on(tree.prepare_proof(path, &store)).expect("the store is complete");
    let proof = tree.prove(path).expect("the tree is loaded").encode();
    black_box((tree, store, proof))
}

library_benchmark_group!(name = tree; benchmarks = insert_and_commit, closest_proof);
main!(library_benchmark_groups = tree);
