//! The tree: a root in memory, of which as much is loaded as is needed.

use crate::arena::{Arena, Kind, NONE, NodeId};
use crate::{Digest, Leaf};

/// A sparse Merkle sum trie, loaded from its store as needed.
///
/// The root depends on the set of leaves alone, not on their order or the batches they came in. After
/// [`Tree::commit`] the tree takes its changes for stored: when writing them fails, write the same changes again, or
/// drop the tree and open it from the last root that is stored.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) arena: Arena,
    pub(crate) root: NodeId,
    /// Stored nodes that are no longer part of the tree.
    pub(crate) removed: Vec<Digest>,
    /// A leaf was replaced or deleted since the last commit: a removed node may come back under its old digest.
    pub(crate) may_restore: bool,
    /// The nodes above the leaf at hand; kept to save its allocation.
    pub(crate) trail: Vec<NodeId>,
}

/// What stands in the way of an operation on the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The node is needed but not in memory: call [`Tree::prepare`] or [`Tree::prepare_proof`] before.
    #[error("node {0} is not loaded")]
    NotLoaded(Digest),
    /// There is no leaf at the path.
    #[error("there is no such leaf")]
    NoSuchLeaf,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// The empty tree.
    pub fn new() -> Self {
        Self {
            arena: Arena::default(),
            root: NONE,
            removed: Vec::new(),
            may_restore: false,
            trail: Vec::new(),
        }
    }

    /// The stored tree with this root. Nothing is loaded yet.
    pub fn open(root: Digest) -> Self {
        let mut tree = Self::new();
        tree.root = tree.arena.add_stub(root);
        tree
    }

    /// A new tree of these leaves, wholly in memory: to check a root, or to repair a store.
    pub fn from_leaves(leaves: impl IntoIterator<Item = Leaf>) -> Self {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.insert(leaf).expect("a tree that was never stored is loaded");
        }
        tree
    }

    /// The root: hash, sum and count of all leaves. Hashes what changed since it was asked last.
    pub fn root(&mut self) -> Digest {
        self.settle(self.root, None)
    }

    /// Marks the nodes of the trail as changed.
    pub(crate) fn soil_trail(&mut self) {
        while let Some(id) = self.trail.pop() {
            self.soil(id);
        }
    }

    /// Marks a node as changed; what was stored of it is to be removed.
    pub(crate) fn soil(&mut self, id: NodeId) {
        self.orphan(id);
        let node = self.arena.get_mut(id);
        node.stored = false;
        node.hashed = false;
    }

    /// Takes a node out of the store, once.
    pub(crate) fn orphan(&mut self, id: NodeId) {
        let node = self.arena.get(id);
        if node.stored {
            self.removed.push(node.digest);
        }
    }

    /// Takes a node out of store and memory.
    pub(crate) fn discard(&mut self, id: NodeId) {
        self.orphan(id);
        self.arena.release(id);
    }

    /// Puts `child` below `parent`, on the right if `side` is set and it has two; or at the root.
    pub(crate) fn replace_child(&mut self, parent: Option<NodeId>, side: bool, child: NodeId) {
        let Some(parent) = parent else {
            self.root = child;
            return;
        };
        match &mut self.arena.get_mut(parent).kind {
            Kind::Inner { left, right } => *(if side { right } else { left }) = child,
            Kind::Extension { child: below, .. } => *below = child,
            Kind::Stub | Kind::Leaf { .. } => unreachable!("only branches are on a trail"),
        }
    }
}
