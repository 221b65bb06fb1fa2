//! What holds for all trees.

use std::collections::BTreeMap;

use futures::executor::block_on;
use pocket_smst::{
    ClosestProof, CompactClosestProof, Digest, Insertion, Leaf, LeafWalk, LoadError, MemoryStore, Path, Tree,
};
use proptest::prelude::*;

/// Keys are few, so that leaves are often written again; paths are drawn too, so that they share long prefixes.
fn any_leaf() -> impl Strategy<Value = Leaf> {
    let hashed = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..80), any::<u64>())
        .prop_map(|(key, value, weight)| Leaf::new(&[key], &value, weight));
    let close = (0usize..256, 0usize..256, 0u64..3).prop_map(|(one, other, weight)| {
        let mut path = [0; 32];
        path[one / 8] ^= 0x80 >> (one % 8);
        path[other / 8] ^= 0x80 >> (other % 8);
        Leaf::at(Path(path), b"value", weight)
    });
    prop_oneof![hashed, close]
}

fn leaves(at_most: usize) -> impl Strategy<Value = Vec<Leaf>> {
    prop::collection::vec(any_leaf(), 0..at_most)
}

fn any_path() -> impl Strategy<Value = Path> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(Path),
        any_leaf().prop_map(|leaf| leaf.path())
    ]
}

/// The definition of the root (spec `smst.md` §2.1), without any of the tree's structure.
fn root_by_definition(leaves: &[Leaf], depth: usize) -> Digest {
    use sha2::Digest as _;
    match leaves {
        [] => Digest::EMPTY,
        [leaf] => leaf.digest(),
        _ => {
            let (right, left): (Vec<_>, Vec<_>) = leaves.iter().cloned().partition(|leaf| leaf.path().bit(depth));
            let (left, right) = (
                root_by_definition(&left, depth + 1),
                root_by_definition(&right, depth + 1),
            );
            let sum = left.sum().wrapping_add(right.sum()).to_be_bytes();
            let count = (left.count() + right.count()).to_be_bytes();
            let node = [&[1][..], left.as_ref(), right.as_ref(), &sum, &count].concat();
            let digest = [&sha2::Sha256::digest(&node)[..], &sum, &count].concat();
            Digest::try_from(&digest[..]).unwrap()
        }
    }
}

fn last_of_each(leaves: &[Leaf]) -> Vec<Leaf> {
    let by_path: BTreeMap<_, _> = leaves.iter().map(|leaf| (leaf.path(), leaf.clone())).collect();
    by_path.into_values().collect()
}

/// Inserts in batches, each into a tree that was cut back to what its store holds.
fn through_store(batches: &[Vec<Leaf>], memory: usize) -> (Tree, MemoryStore) {
    let (mut tree, mut store) = (Tree::new(), MemoryStore::default());
    for batch in batches {
        block_on(tree.prepare(batch.iter().map(Leaf::path), &store)).unwrap();
        tree.insert_batch(batch.iter().cloned()).unwrap();
        store.apply(&tree.commit());
        tree.shrink_to(memory);
    }
    (tree, store)
}

fn flip(bytes: &mut bytes::Bytes, at: usize) -> bool {
    let mut changed = bytes.to_vec();
    if changed.is_empty() {
        return false;
    }
    let at = at % (changed.len() * 8);
    changed[at / 8] ^= 1 << (at % 8);
    *bytes = changed.into();
    true
}

proptest! {
    #[test]
    fn root_is_that_of_the_definition(leaves in leaves(40)) {
        let expected = root_by_definition(&last_of_each(&leaves), 0);
        prop_assert_eq!(Tree::from_leaves(leaves).root(), expected);
    }

    #[test]
    fn root_does_not_depend_on_order(leaves in leaves(40).prop_map(|leaves| last_of_each(&leaves)), seed: u64) {
        let mut shuffled = leaves.clone();
        shuffled.sort_by_key(|leaf| seed.wrapping_mul(u64::from(leaf.digest().hash()[0]) | 1));
        prop_assert_eq!(Tree::from_leaves(leaves).root(), Tree::from_leaves(shuffled).root());
    }

    #[test]
    fn batch_borders_commits_and_evictions_change_nothing(
        batches in prop::collection::vec(leaves(20), 0..6), memory in prop_oneof![Just(0), 0usize..8000, Just(usize::MAX)],
    ) {
        let mut whole = Tree::from_leaves(batches.concat());
        let (mut tree, store) = through_store(&batches, memory);
        prop_assert_eq!(tree.root(), whole.root());
        let mut expected = MemoryStore::default();
        expected.apply(&whole.commit());
        prop_assert_eq!(store.nodes(), expected.nodes());
    }

    #[test]
    fn outcomes_count_the_leaves(leaves in leaves(40)) {
        let mut tree = Tree::new();
        let outcomes = tree.insert_batch(leaves).unwrap();
        let new = outcomes.iter().filter(|&&outcome| outcome == Insertion::New).count();
        prop_assert_eq!(tree.root().count(), new as u64);
    }

    #[test]
    fn eviction_keeps_what_is_not_stored(before in leaves(20), after in leaves(20)) {
        let (mut tree, store) = through_store(std::slice::from_ref(&before), usize::MAX);
        block_on(tree.prepare(after.iter().map(Leaf::path), &store)).unwrap();
        tree.insert_batch(after.clone()).unwrap();
        let mut evicted = tree.clone();
        evicted.evict();
        prop_assert_eq!(evicted.root(), tree.root());
        prop_assert_eq!(evicted.commit(), tree.commit());
    }

    #[test]
    fn every_proof_verifies_and_is_read_back(leaves in leaves(40), target in any_path()) {
        let mut tree = Tree::from_leaves(leaves.clone());
        let proof = tree.prove(target).unwrap();
        prop_assert_eq!(proof.verify(&tree.root()), Ok(true));
        let decoded = CompactClosestProof::decode(&proof.encode()).unwrap();
        prop_assert_eq!(decoded.decompact(), Ok(proof.clone()));
        if leaves.iter().any(|leaf| leaf.path() == target) {
            prop_assert_eq!(&proof.closest_path[..], &target.0[..]);
        }
    }

    #[test]
    fn proof_from_the_store_is_the_one_from_memory(leaves in leaves(40), target in any_path()) {
        let mut tree = Tree::from_leaves(leaves);
        let expected = tree.prove(target);
        let mut store = MemoryStore::default();
        store.apply(&tree.commit());
        let mut reopened = Tree::open(tree.root());
        for tree in [&mut tree, &mut reopened] {
            block_on(tree.prepare_proof(target, &store)).unwrap();
            prop_assert_eq!(tree.prove(target), expected.clone());
        }
    }

    #[test]
    fn changed_proof_does_not_verify(leaves in leaves(40), target: [u8; 32], field in 0usize..5, at: usize) {
        let mut tree = Tree::from_leaves(leaves);
        let root = tree.root();
        let mut proof = tree.prove(Path(target)).unwrap();
        // Bits of the target below the leaf mean nothing, and so do an extension's outside of its range.
        let changed = match field {
            0 => flip(&mut proof.closest_value, at),
            1 => !root.is_empty() && flip(&mut proof.closest_path, at),
            2 if proof.side_nodes.is_empty() => false,
            2 => {
                let side = at % proof.side_nodes.len();
                flip(&mut proof.side_nodes[side], at / 256)
            }
            3 => proof.depth > 0 && {
                proof.path.0[usize::from(proof.depth - 1) / 8] ^= 0x80 >> ((proof.depth - 1) % 8);
                true
            },
            _ => proof.sibling_data.first() == Some(&0) && flip(&mut proof.sibling_data, at),
        };
        prop_assert!(!changed || proof.verify(&root) != Ok(true), "{:?}", proof);
    }

    #[test]
    fn any_bytes_are_read_without_a_crash(input in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = CompactClosestProof::decode(&input).map(|proof| proof.decompact());
    }

    #[test]
    fn damaged_proofs_are_read_without_a_crash(
        leaves in leaves(20), target in any_path(), damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut tree = Tree::from_leaves(leaves);
        let mut encoded = tree.prove(target).unwrap().encode().to_vec();
        for (at, byte) in damage {
            let at = at % encoded.len();
            encoded[at] = byte;
        }
        let proof = CompactClosestProof::decode(&encoded).ok().and_then(|proof| proof.decompact().ok());
        let _ = proof.as_ref().map(|proof: &ClosestProof| proof.verify(&tree.root()));
    }

    #[test]
    fn walk_finds_every_leaf(leaves in leaves(40), batch in 1usize..20) {
        let (mut tree, store) = through_store(std::slice::from_ref(&leaves), 0);
        let mut walk = LeafWalk::new(tree.root(), batch);
        let mut found = Vec::new();
        while let Some(some) = block_on(walk.next(&store)).unwrap() {
            found.extend(some);
        }
        found.sort_by_key(Leaf::path);
        prop_assert_eq!(found, last_of_each(&leaves));
    }

    #[test]
    fn missing_and_damaged_nodes_are_errors(leaves in leaves(40), lost: usize, damaged: usize) {
        let (mut tree, store) = through_store(std::slice::from_ref(&leaves), 0);
        let mut digests: Vec<_> = store.nodes().keys().copied().collect();
        digests.sort();
        prop_assume!(!digests.is_empty());
        let lost = digests[lost % digests.len()];
        let mut nodes = store.nodes().clone();
        let node = nodes.remove(&lost).unwrap();
        let missing: MemoryStore = nodes.clone().into_iter().collect();
        let mut node = node.to_vec();
        let at = damaged % node.len();
        node[at] ^= 1;
        // The unused bits of an extension's path are covered by no digest.
        prop_assume!(node[0] != 2 || !(3..35).contains(&at));
        nodes.insert(lost, node.into());
        let corrupt: MemoryStore = nodes.into_iter().collect();
        let all = || leaves.iter().map(Leaf::path);
        let root = tree.root();
        let (mut tree, mut other) = (Tree::open(root), Tree::open(root));
        prop_assert!(matches!(block_on(tree.prepare(all(), &missing)), Err(LoadError::Missing(d)) if d == lost));
        prop_assert!(matches!(block_on(other.prepare(all(), &corrupt)), Err(LoadError::Corrupt(d)) if d == lost));
    }
}

#[test]
fn leaf_that_is_replaced_and_put_back_stays_stored() {
    let leaf = |weight| Leaf::new(b"key", b"value", weight);
    let (mut tree, mut store) = through_store(&[vec![leaf(1), Leaf::new(b"other", b"value", 1)]], usize::MAX);
    let before = store.nodes().clone();
    tree.insert_batch([leaf(2), leaf(1)]).unwrap();
    store.apply(&tree.commit());
    assert_eq!(store.nodes(), &before);
}

#[test]
fn memory_stays_bounded_while_the_tree_grows() {
    let (mut tree, mut store) = (Tree::new(), MemoryStore::default());
    let budget = 256 << 10;
    for batch in 0u32..40 {
        let leaves: Vec<_> = (0u32..250)
            .map(|i| Leaf::new(&(batch * 250 + i).to_le_bytes(), &[7; 600], 1))
            .collect();
        block_on(tree.prepare(leaves.iter().map(Leaf::path), &store)).unwrap();
        tree.insert_batch(leaves).unwrap();
        store.apply(&tree.commit());
        tree.shrink_to(budget);
        assert!(
            tree.resident_bytes() <= budget + 1024,
            "{} bytes",
            tree.resident_bytes()
        );
    }
    assert_eq!(tree.root().count(), 10_000);
}
