//! Trees of relays to measure with.

use pocket_smst::{Leaf, MemoryStore, Tree};
use sha2::{Digest as _, Sha256};

/// Bytes of a relay without its response's payload, about what a small request makes.
const RELAY_BYTES: usize = 600;

/// A committed tree of so many leaves, all in memory but for the leaves' values, and its store.
pub fn tree_of(leaves: u64) -> (Tree, MemoryStore) {
    let (mut tree, mut store) = (Tree::new(), MemoryStore::default());
    for start in (0..leaves).step_by(1000) {
        tree.insert_batch(relays(&batch(start, 1000.min(leaves - start))))
            .expect("the tree is loaded");
        store.apply(&tree.commit());
    }
    (tree, store)
}

/// Hash and bytes of relays that no earlier batch has.
pub fn batch(start: u64, count: u64) -> Vec<([u8; 32], Vec<u8>)> {
    (start..start + count)
        .map(|i| {
            let mut relay = vec![0x5a; RELAY_BYTES];
            relay[..8].copy_from_slice(&i.to_le_bytes());
            (Sha256::digest(&relay).into(), relay)
        })
        .collect()
}

/// Their leaves.
pub fn relays(batch: &[([u8; 32], Vec<u8>)]) -> Vec<Leaf> {
    batch
        .iter()
        .map(|(hash, relay)| Leaf::of_relay(hash, relay, 100))
        .collect()
}
