//! The nodes in memory: one vector, and numbers for references.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{Digest, Path};

pub(crate) type NodeId = u32;

/// Stands for an absent node.
pub(crate) const NONE: NodeId = NodeId::MAX;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Meaningless while `hashed` is unset.
    pub digest: Digest,
    pub hashed: bool,
    /// The store has this node under this digest.
    pub stored: bool,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// In the store, not in memory.
    Stub,
    /// The encoded leaf is in [`Arena::leaves`] until it is committed.
    Leaf {
        path: Path,
    },
    Inner {
        left: NodeId,
        right: NodeId,
    },
    Extension {
        path: Path,
        start: u8,
        end: u8,
        child: NodeId,
    },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Arena {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    /// Encoded leaves that are not stored yet, or that a proof needs.
    leaves: HashMap<NodeId, Bytes>,
    leaf_bytes: usize,
}

impl Arena {
    pub fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The digest of a node that is hashed, or of an absent one.
    pub fn digest(&self, id: NodeId) -> Digest {
        if id == NONE { Digest::EMPTY } else { self.get(id).digest }
    }

    /// A node that is to be hashed and stored.
    pub fn add_dirty(&mut self, kind: Kind) -> NodeId {
        self.add(Node {
            digest: Digest::EMPTY,
            hashed: false,
            stored: false,
            kind,
        })
    }

    /// A reference to a stored node; absent for the digest of nothing.
    pub fn add_stub(&mut self, digest: Digest) -> NodeId {
        if digest.is_empty() {
            return NONE;
        }
        self.add(Node {
            digest,
            hashed: true,
            stored: true,
            kind: Kind::Stub,
        })
    }

    pub fn add(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            return id;
        }
        let id = NodeId::try_from(self.nodes.len()).expect("2^32 nodes do not fit into memory");
        if self.nodes.len() == self.nodes.capacity() {
            // By an eighth: doubling would take the memory of a large tree twice.
            self.nodes.reserve_exact((self.nodes.len() / 8).max(32));
        }
        self.nodes.push(node);
        id
    }

    pub fn release(&mut self, id: NodeId) {
        self.forget_leaf(id);
        self.free.push(id);
    }

    pub fn leaf(&self, id: NodeId) -> Option<&Bytes> {
        self.leaves.get(&id)
    }

    pub fn keep_leaf(&mut self, id: NodeId, encoded: Bytes) {
        self.leaf_bytes += encoded.len();
        if let Some(old) = self.leaves.insert(id, encoded) {
            self.leaf_bytes -= old.len();
        }
    }

    pub fn forget_leaf(&mut self, id: NodeId) {
        if let Some(old) = self.leaves.remove(&id) {
            self.leaf_bytes -= old.len();
        }
    }

    pub fn forget_leaves(&mut self) {
        self.leaves = HashMap::new();
        self.leaf_bytes = 0;
    }

    /// Nodes in use.
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Gives spare memory back.
    pub fn trim(&mut self) {
        self.nodes.shrink_to_fit();
    }

    /// Memory that the arena holds, in bytes.
    pub fn resident_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.free.capacity() * size_of::<NodeId>()
            + self.leaves.capacity() * size_of::<(NodeId, Bytes)>()
            + self.leaf_bytes
    }
}
