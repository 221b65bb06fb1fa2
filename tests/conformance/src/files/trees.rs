//! Cases of `trees.json`.

use std::collections::HashMap;

use bytes::Bytes;
use futures::executor::block_on;
use pocket_smst::{CompactClosestProof, Digest, Leaf, MemoryStore, NodeStore, Path, Tree};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Report;
use crate::read::{array, bytes, flag, number, same};

pub fn check(file: &Value, report: &mut Report) {
    report.only(file, &["cases"]);
    report.list(file, "cases", check_case);
}

fn check_case(case: &Value) -> Result<(), String> {
    let leaves: u64 = number(case, "leaves")?;
    let checkpoints = checkpoints(case)?;
    let mut tree = Tree::new();
    for index in 0..leaves {
        tree.insert(leaf(case, index)?).map_err(text)?;
        if let Some(root) = checkpoints.get(&(index + 1)) {
            same("root at a checkpoint", &tree.root(), root)?;
        }
    }
    for update in items(case, "updates")? {
        let key = key(case, number(update, "leaf")?)?;
        let leaf = Leaf::new(&key, &bytes(update, "value")?, number(update, "weight")?);
        tree.insert(leaf).map_err(text)?;
        same("root after an update", tree.root(), root(update)?)?;
    }
    check_root(&mut tree, case)?;
    let mut store = MemoryStore::default();
    store.apply(&tree.commit());
    if !case["nodes"].is_null() {
        same("stored nodes", store.nodes(), &nodes(case, "nodes")?)?;
    }
    let mut reopened = Tree::open(root(case)?);
    for proof in items(case, "proofs")? {
        check_proof(&mut reopened, &store, proof)?;
    }
    Ok(())
}

fn check_proof(tree: &mut Tree, store: &MemoryStore, case: &Value) -> Result<(), String> {
    let encoded = bytes(case, "compact_proof")?;
    let target = Path(array(case, "path")?);
    let proof = proven(tree, store, target, &encoded)?;
    same("depth", proof.depth, number(case, "depth")?)?;
    same("closest path", &proof.closest_path[..], &bytes(case, "closest_key")?)?;
    same(
        "closest value",
        &proof.closest_value[..],
        &bytes(case, "closest_value")?,
    )?;
    same("side nodes", proof.side_nodes.len(), number(case, "side_nodes")?)?;
    let flipped = items(case, "flipped_bits")?.iter().map(Value::as_u64);
    let ours = proof.flipped_bits.iter().map(|&bit| Some(bit.into()));
    same("flipped bits", ours.collect::<Vec<_>>(), flipped.collect())?;
    same("verdict", proof.verify(&tree.root()), Ok(flag(case, "verifies")?))
}

/// Proves `target`, and checks that the proof is written as `encoded` and read back from it.
pub(super) fn proven(
    tree: &mut Tree,
    store: &impl NodeStore,
    target: Path,
    encoded: &[u8],
) -> Result<pocket_smst::ClosestProof, String> {
    block_on(tree.prepare_proof(target, store)).map_err(text)?;
    let proof = tree.prove(target).map_err(text)?;
    same("encoded proof", hex::encode(proof.encode()), hex::encode(encoded))?;
    let decoded = CompactClosestProof::decode(encoded).map_err(text)?;
    same("decoded proof", &decoded, &proof.compact())?;
    same("decompacted proof", decoded.decompact().as_ref(), Ok(&proof))?;
    Ok(proof)
}

/// Checks root, sum and count.
pub(super) fn check_root(tree: &mut Tree, case: &Value) -> Result<(), String> {
    let ours = tree.root();
    same("root", ours, root(case)?)?;
    same("sum", ours.sum(), number(case, "sum")?)?;
    same("count", ours.count(), number(case, "count")?)
}

/// The case's `root`.
pub(super) fn root(case: &Value) -> Result<Digest, String> {
    array(case, "root").map(Digest::new)
}

/// The elements of a list; a list that is null has none.
pub(super) fn items<'a>(case: &'a Value, key: &str) -> Result<&'a [Value], String> {
    match &case[key] {
        Value::Array(items) => Ok(items),
        Value::Null if case.get(key).is_some() => Ok(&[]),
        _ => Err(format!("field {key} is missing or no list")),
    }
}

/// The nodes of the object `case[key]`, by digest.
pub(super) fn nodes(case: &Value, key: &str) -> Result<HashMap<Digest, Bytes>, String> {
    let nodes = (case[key].as_object()).ok_or_else(|| format!("field {key} is missing or no object"))?;
    (nodes.iter())
        .map(|(digest, node)| {
            let digest = hex::decode(digest).map_err(text)?;
            let node = hex::decode(node.as_str().unwrap_or("no text")).map_err(text)?;
            Ok((Digest::try_from(&digest[..]).map_err(text)?, node.into()))
        })
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by value")]
pub(super) fn text(error: impl ToString) -> String {
    error.to_string()
}

fn checkpoints(case: &Value) -> Result<HashMap<u64, Digest>, String> {
    (items(case, "checkpoints")?.iter())
        .map(|checkpoint| Ok((number(checkpoint, "leaves")?, root(checkpoint)?)))
        .collect()
}

fn leaf(case: &Value, index: u64) -> Result<Leaf, String> {
    let key = key(case, index)?;
    let hash = Sha256::new().chain_update(key).chain_update("v").finalize();
    let value = [&hash[..], &index.to_le_bytes()].concat();
    Ok(Leaf::new(&key, &value, u64::from(hash[0]) + 1))
}

fn key(case: &Value, index: u64) -> Result<[u8; 32], String> {
    let prefix: usize = number(case, "prefix")?;
    let seed = bytes(case, "seed")?;
    let mut key: [u8; 32] = (Sha256::new().chain_update(seed).chain_update(index.to_le_bytes()))
        .finalize()
        .into();
    key[..prefix].fill(0xaa);
    Ok(key)
}
