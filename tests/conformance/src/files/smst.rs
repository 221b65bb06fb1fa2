//! Cases of `smst.json`.

use std::collections::HashSet;

use futures::executor::block_on;
use pocket_smst::{CompactClosestProof, Digest, Leaf, MemoryStore, Path, Tree, TreeError};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::trees::{check_root, items, nodes, proven, root, text as as_text};
use crate::Report;
use crate::read::{array, bytes, flag, number, same, text};

pub fn check(file: &Value, report: &mut Report) {
    let kinds = ["trees", "clustered", "sequences", "stores", "tampered", "encodings"];
    report.only(file, &kinds);
    report.list(file, "trees", |case| {
        let count: u64 = number(case, "leaves")?;
        check_tree(case, &(0..count).collect::<Vec<_>>())
    });
    report.list(file, "clustered", |case| {
        let indices: Option<Vec<u64>> = items(case, "indices")?.iter().map(Value::as_u64).collect();
        check_cluster(case, &indices.ok_or("an index is no number")?)
    });
    report.list(file, "sequences", check_sequence);
    report.list(file, "stores", check_store);
    report.list(file, "tampered", check_foreign_proof);
    // The first says how a proof is written.
    let first = file["encodings"][0]["name"].clone();
    report.list(file, "encodings", |case| {
        check_foreign_proof(case)?;
        if case["name"] == first {
            check_rewriting(case)
        } else {
            Ok(())
        }
    });
}

/// A tree, its proofs, and what becomes of it when leaves are written again.
fn check_tree(case: &Value, indices: &[u64]) -> Result<(), String> {
    let mut tree = check_checkpoints(case, indices)?;
    check_root(&mut tree, case)?;
    check_proofs(&mut tree, case)?;
    for again in items(case, "written_again")? {
        let key = leaf(case, number(again, "leaf")?)?.path();
        let leaf = Leaf::at(key, &bytes(again, "value")?, number(again, "weight")?);
        tree.insert(leaf).map_err(as_text)?;
        check_root(&mut tree, again)?;
    }
    Ok(())
}

/// Leaves whose paths share long prefixes.
fn check_cluster(case: &Value, indices: &[u64]) -> Result<(), String> {
    let paths: Result<Vec<Path>, String> = indices.iter().map(|&i| Ok(leaf(case, i)?.path())).collect();
    let paths = paths?;
    for wanted in items(case, "shared_bits")? {
        let wanted = wanted.as_u64().ok_or("shared_bits is no number")?;
        let shared = |a: &Path, b: &Path| (0..Path::BITS).take_while(|&i| a.bit(i) == b.bit(i)).count() as u64;
        let pairs = || (0..paths.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        same(
            "a pair shares so many bits",
            pairs().any(|(i, j)| shared(&paths[i], &paths[j]) == wanted),
            true,
        )?;
    }
    let mut tree = check_checkpoints(case, indices)?;
    check_root(&mut tree, case)?;
    check_proofs(&mut tree, case)
}

fn check_checkpoints(case: &Value, indices: &[u64]) -> Result<Tree, String> {
    let mut checkpoints = items(case, "checkpoints")?.iter().peekable();
    let mut tree = Tree::new();
    for (i, &index) in indices.iter().enumerate() {
        tree.insert(leaf(case, index)?).map_err(as_text)?;
        while let Some(checkpoint) = checkpoints.peek() {
            if number::<usize>(checkpoint, "leaves")? != i + 1 {
                break;
            }
            same("root at a checkpoint", tree.root(), root(checkpoint)?)?;
            if checkpoint.get("sum").is_some() {
                check_root(&mut tree, checkpoint)?;
            }
            checkpoints.next();
        }
    }
    same("checkpoints that were not reached", checkpoints.count(), 0)?;
    Ok(tree)
}

/// Each proof, from the tree in memory and from one that is opened from the store.
fn check_proofs(tree: &mut Tree, case: &Value) -> Result<(), String> {
    let mut store = MemoryStore::default();
    store.apply(&tree.clone().commit());
    for proof in items(case, "proofs")? {
        check_proof(tree, &store, proof)?;
        check_proof(&mut Tree::open(tree.root()), &store, proof)?;
    }
    Ok(())
}

fn check_proof(tree: &mut Tree, store: &MemoryStore, case: &Value) -> Result<(), String> {
    let fields = &case["fields"];
    let target = Path(array(fields, "path")?);
    let proof = proven(tree, store, target, &bytes(case, "compact_proof")?)?;
    let compact = proof.compact();
    let inner = compact.closest_proof.clone().unwrap_or_default();
    let shown = |bytes: &[u8]| hex::encode(bytes);
    for (name, ours) in [
        ("path", &compact.path),
        ("depth", &compact.depth),
        ("closest_path", &compact.closest_path),
        ("closest_value", &compact.closest_value),
        ("non_membership_leaf_data", &inner.non_membership_leaf_data),
        ("bit_mask", &inner.bit_mask),
        ("sibling_data", &inner.sibling_data),
    ] {
        same(name, shown(ours).as_str(), text(fields, name)?)?;
    }
    for (name, ours) in [
        ("flipped_bits", &compact.flipped_bits),
        ("side_nodes", &inner.side_nodes),
    ] {
        let ours = ours.iter().map(|bytes| Value::from(shown(bytes))).collect::<Vec<_>>();
        same(name, ours.as_slice(), items(fields, name)?)?;
    }
    same(
        "num_side_nodes",
        inner.num_side_nodes,
        number(fields, "num_side_nodes")?,
    )?;
    check_foreign_proof_against(case, &tree.root())
}

/// Updates and deletions in any order, with commits and reopened trees in between.
fn check_sequence(case: &Value) -> Result<(), String> {
    let (mut tree, mut store) = (Tree::new(), MemoryStore::default());
    for step in items(case, "steps")? {
        match text(step, "op")? {
            "update" => {
                let leaf = Leaf::new(&bytes(step, "key")?, &bytes(step, "value")?, number(step, "weight")?);
                block_on(tree.prepare([leaf.path()], &store)).map_err(as_text)?;
                tree.insert(leaf).map_err(as_text)?;
            }
            "delete" => {
                let path = Path::of_key(&bytes(step, "key")?);
                block_on(tree.prepare_proof(path, &store)).map_err(as_text)?;
                let refused = step.get("go_error").is_some();
                let expected = if refused { Err(TreeError::NoSuchLeaf) } else { Ok(()) };
                same("deletion", tree.delete(path), expected)?;
            }
            "commit" => store.apply(&tree.commit()),
            "reload" => {
                store.apply(&tree.commit());
                tree = Tree::open(tree.root());
            }
            other => return Err(format!("op {other} is unknown")),
        }
        check_root(&mut tree, step)?;
    }
    store.apply(&tree.commit());
    same("stored nodes", store.nodes(), &nodes(case, "nodes")?)
}

/// What each commit writes and removes.
fn check_store(case: &Value) -> Result<(), String> {
    let (mut tree, mut store) = (Tree::new(), MemoryStore::default());
    let mut done = 0;
    for step in items(case, "steps")? {
        let updates: u64 = number(step, "updates")?;
        for update in done..updates {
            let leaf = if update < 6 {
                leaf(case, update)?
            } else {
                let first = leaf(case, update - 6)?;
                Leaf::at(first.path(), &first.value(), first.weight() + 1000)
            };
            tree.insert(leaf).map_err(as_text)?;
        }
        done = updates;
        let changes = tree.commit();
        store.apply(&changes);
        check_root(&mut tree, step)?;
        let set = changes.set.iter().cloned().collect();
        same("nodes that are set", set, nodes(step, "set")?)?;
        same("each node is set once", changes.set.len(), nodes(step, "set")?.len())?;
        let theirs = items(step, "removed")?.iter().filter_map(Value::as_str);
        let theirs: HashSet<String> = theirs.map(str::to_owned).collect();
        let ours: HashSet<String> = changes.removed.iter().map(Digest::to_string).collect();
        same("nodes that are removed", ours, theirs)?;
        same("number of nodes", store.nodes().len(), number(step, "nodes")?)?;
    }
    same("stored nodes", store.nodes(), &nodes(case, "nodes")?)
}

/// The verdict on a proof as others may send it.
fn check_foreign_proof(case: &Value) -> Result<(), String> {
    let root = bytes(case, "root")?;
    match Digest::try_from(&root[..]) {
        Ok(root) => check_foreign_proof_against(case, &root),
        Err(_) => same("verdict on a root that is none", "invalid", text(case, "expected")?),
    }
}

fn check_foreign_proof_against(case: &Value, root: &Digest) -> Result<(), String> {
    let encoded = bytes(case, "compact_proof")?;
    let valid = match text(case, "expected")? {
        "valid" => true,
        "decode_error" | "decompact_error" | "verify_error" | "invalid" | "panic" => false,
        other => return Err(format!("verdict {other} is unknown")),
    };
    let ours = verdict(&encoded, root);
    let may_refuse = case.get("may_refuse").is_some() && flag(case, "may_refuse")?;
    if may_refuse && ours.is_err() {
        return Ok(());
    }
    match (&ours, valid) {
        (Ok(()), true) | (Err(_), false) => Ok(()),
        _ => Err(format!("ours {ours:?}, expected {}", text(case, "expected")?)),
    }
}

/// The proof is written again as it was read.
fn check_rewriting(case: &Value) -> Result<(), String> {
    let encoded = bytes(case, "compact_proof")?;
    let proof = CompactClosestProof::decode(&encoded).map_err(as_text)?;
    same("written again", hex::encode(proof.encode()), hex::encode(encoded))
}

fn verdict(encoded: &[u8], root: &Digest) -> Result<(), String> {
    let proof = CompactClosestProof::decode(encoded).map_err(as_text)?;
    let proof = proof.decompact().map_err(as_text)?;
    if proof.verify(root).map_err(as_text)? {
        Ok(())
    } else {
        Err("another root".to_owned())
    }
}

fn leaf(case: &Value, index: u64) -> Result<Leaf, String> {
    let hash = |parts: [&[u8]; 2]| Sha256::new().chain_update(parts[0]).chain_update(parts[1]).finalize();
    let key = hash([&bytes(case, "seed")?, &index.to_le_bytes()]);
    let size: usize = number(case, "value_size")?;
    let mut value: Vec<u8> = (0u64..)
        .take(size.div_ceil(32))
        .flat_map(|block| hash([&key, &block.to_le_bytes()]))
        .collect();
    value.truncate(size);
    let weight = match number(case, "weight")? {
        0 => u64::from(key[0]) + 1,
        weight => weight,
    };
    Ok(Leaf::new(&key, &value, weight))
}
