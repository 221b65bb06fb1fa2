//! Hashing what changed, and telling what to write (spec `smst.md` §4.5).

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};

use crate::arena::{Kind, NONE, NodeId};
use crate::digest::inner_preimage;
use crate::node::{encode_extension, extension_digest};
use crate::{Digest, Tree};

/// What a commit changes in the node store. Both lists are without overlap, so that their order is free; write them in
/// one transaction, with the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Nodes to write, children before parents.
    pub set: Vec<(Digest, Bytes)>,
    /// Nodes to delete.
    pub removed: Vec<Digest>,
    /// The root once all this is written.
    pub root: Digest,
}

/// Branches are encoded into pieces of a buffer of this size, to save an allocation for each.
const BUFFER_BYTES: usize = 64 << 10;

/// Where a commit collects what is to be written.
pub(crate) struct Sink {
    set: Vec<(Digest, Bytes)>,
    buffer: BytesMut,
}

impl Sink {
    fn encoded(&mut self, node: &[u8]) -> Bytes {
        self.buffer.extend_from_slice(node);
        self.buffer.split().freeze()
    }
}

impl Tree {
    /// Hashes each changed node once and takes all for stored; what is to be written is in the answer. Leaves' values
    /// are dropped from memory, the shape of the tree stays (see [`Tree::shrink_to`]).
    pub fn commit(&mut self) -> Changes {
        let mut removed = std::mem::take(&mut self.removed);
        let mut sink = Sink {
            set: Vec::with_capacity(removed.len()),
            buffer: BytesMut::with_capacity(BUFFER_BYTES),
        };
        let root = self.settle(self.root, Some(&mut sink));
        let set = sink.set;
        self.arena.forget_leaves();
        if std::mem::take(&mut self.may_restore) {
            let written: HashSet<_> = set.iter().map(|(digest, _)| *digest).collect();
            removed.retain(|digest| !written.contains(digest));
        }
        Changes { set, removed, root }
    }

    /// Hashes what is not hashed at and below `id`; with a `sink`, also encodes what is not stored and takes it for
    /// stored. Recursion is as deep as the tree, 256 at most.
    pub(crate) fn settle(&mut self, id: NodeId, mut sink: Option<&mut Sink>) -> Digest {
        if id == NONE {
            return Digest::EMPTY;
        }
        let node = self.arena.get(id);
        let known = node.hashed.then_some(node.digest);
        if let Some(digest) = known.filter(|_| node.stored || sink.is_none()) {
            return digest;
        }
        let (digest, encoded) = match node.kind {
            Kind::Stub => unreachable!("stubs are hashed and stored"),
            Kind::Leaf { .. } => {
                let encoded = self.arena.leaf(id).expect("a leaf is in memory until it is stored");
                (node.digest, Some(encoded.clone()))
            }
            Kind::Inner { left, right } => {
                let left = self.settle(left, sink.as_deref_mut());
                let right = self.settle(right, sink.as_deref_mut());
                let preimage = inner_preimage(&left, &right);
                let digest = known.unwrap_or_else(|| Digest::of_preimage(&preimage));
                (digest, sink.as_deref_mut().map(|sink| sink.encoded(&preimage)))
            }
            Kind::Extension {
                path,
                start,
                end,
                child,
            } => {
                let child = self.settle(child, sink.as_deref_mut());
                let digest = known.unwrap_or_else(|| extension_digest(&path, start, end, &child));
                let encoded = |sink: &mut Sink| sink.encoded(&encode_extension(&path, start, end, &child));
                (digest, sink.as_deref_mut().map(encoded))
            }
        };
        let node = self.arena.get_mut(id);
        node.digest = digest;
        node.hashed = true;
        if let (Some(sink), Some(encoded)) = (sink, encoded) {
            node.stored = true;
            sink.set.push((digest, encoded));
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use crate::{Leaf, MemoryStore, StoredNode, Tree};

    #[test]
    fn every_node_is_stored_under_its_digest_and_no_other_remains() {
        let (mut tree, mut store) = (Tree::new(), MemoryStore::default());
        for i in 0u8..60 {
            tree.insert(Leaf::new(&[i], b"value", 3)).unwrap();
            if i % 7 == 0 {
                store.apply(&tree.commit());
            }
        }
        store.apply(&tree.commit());
        for (digest, encoded) in store.nodes() {
            assert_eq!(StoredNode::decode(encoded).unwrap().digest(), *digest);
        }
        let mut whole = MemoryStore::default();
        whole.apply(&Tree::from_leaves((0u8..60).map(|i| Leaf::new(&[i], b"value", 3))).commit());
        assert_eq!(store.nodes(), whole.nodes());
    }

    #[test]
    fn roots_are_those_of_the_specification() {
        let leaf = |i: usize, weight| {
            let value = format!("relay-{i}");
            let key = <sha2::Sha256 as sha2::Digest>::digest(value.as_bytes());
            Leaf::of_relay(&key.into(), value.as_bytes(), weight)
        };
        let mut tree = Tree::from_leaves((0..5).map(|i| leaf(i, 100)));
        let root = "905d8d2062cbdf8238f23872004bf254122458ab2c4e86a7044548beb33a80d900000000000001f40000000000000005";
        assert_eq!(tree.root().to_string(), root);
        assert_eq!(tree.commit().set.len(), 11);
        let mut thousand = Tree::from_leaves((0..1000).map(|i| leaf(i, 42)));
        let root = "5f104a46ad23fa00c2746d3ccee8f79ef6b3c4e8b6275b58accf97719405a480000000000000a41000000000000003e8";
        assert_eq!(thousand.root().to_string(), root);
        assert_eq!(thousand.commit().set.len(), 2236);
    }
}
