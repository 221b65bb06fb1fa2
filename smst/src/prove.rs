//! Finding the leaf that a target path leads to, and proving it (spec `smst.md` §5).

use bytes::Bytes;

use crate::arena::{Kind, NONE, NodeId};
use crate::digest::inner_preimage;
use crate::node::encode_extension;
use crate::{ClosestProof, Digest, Path, Tree, TreeError};

/// The end of the search, and the way there.
pub(crate) struct Closest {
    pub leaf: NodeId,
    /// The leaf's sibling; none in a tree of one leaf.
    pub sibling: NodeId,
    /// The other child at each depth, from the root down; many are absent.
    siblings: Vec<NodeId>,
    flipped: Vec<u16>,
}

impl Closest {
    /// The leaf's depth.
    pub fn depth(&self) -> usize {
        self.siblings.len()
    }
}

impl Tree {
    /// The proof of the leaf that is closest to `target`, which is taken as it is, not hashed. The empty tree has one
    /// too, though no claim can use it.
    pub fn prove(&mut self, target: Path) -> Result<ClosestProof, TreeError> {
        self.root();
        let not_loaded = |id| TreeError::NotLoaded(self.arena.digest(id));
        let found = self.find_closest(target).map_err(|(stub, _)| not_loaded(stub))?;
        if found.leaf == NONE {
            return Ok(ClosestProof::of_empty_tree(target));
        }
        if let Some(&id) = [found.leaf, found.sibling].iter().find(|&&id| self.lacks_bytes(id)) {
            return Err(not_loaded(id));
        }
        let leaf = self.encoded(found.leaf);
        let side_nodes = found.siblings.iter().rev();
        Ok(ClosestProof {
            path: target,
            flipped_bits: found.flipped,
            depth: found.siblings.len() as u16,
            closest_path: leaf.slice(1..33),
            closest_value: leaf.slice(33..),
            side_nodes: side_nodes
                .map(|&id| Bytes::copy_from_slice(self.arena.digest(id).as_ref()))
                .collect(),
            non_membership_leaf_data: Bytes::new(),
            sibling_data: self.encoded(found.sibling),
        })
    }

    /// Goes down along `target`, to the other side where there is nothing on its own; stops with the node and its
    /// depth when that is not loaded.
    pub(crate) fn find_closest(&self, target: Path) -> Result<Closest, (NodeId, usize)> {
        let mut way = target;
        let mut found = Closest {
            leaf: self.root,
            sibling: NONE,
            siblings: Vec::new(),
            flipped: Vec::new(),
        };
        while found.leaf != NONE {
            let depth = found.depth();
            match self.arena.get(found.leaf).kind {
                Kind::Stub => return Err((found.leaf, depth)),
                Kind::Leaf { .. } => break,
                Kind::Inner { left, right } => {
                    let (mut ahead, mut other) = if way.bit(depth) { (right, left) } else { (left, right) };
                    if ahead == NONE {
                        way.flip(depth);
                        found.flipped.push(depth as u16);
                        (ahead, other) = (other, ahead);
                    }
                    found.siblings.push(other);
                    (found.leaf, found.sibling) = (ahead, other);
                }
                Kind::Extension {
                    ref path, end, child, ..
                } => {
                    for depth in depth..usize::from(end) {
                        if way.bit(depth) != path.bit(depth) {
                            way.flip(depth);
                            found.flipped.push(depth as u16);
                        }
                        found.siblings.push(NONE);
                    }
                    (found.leaf, found.sibling) = (child, NONE);
                }
            }
        }
        Ok(found)
    }

    /// The stored bytes of a node that is loaded and hashed; nothing for an absent one.
    fn encoded(&self, id: NodeId) -> Bytes {
        if id == NONE {
            return Bytes::new();
        }
        match self.arena.get(id).kind {
            Kind::Stub => unreachable!("stubs are loaded before they are encoded"),
            Kind::Leaf { .. } => self
                .arena
                .leaf(id)
                .expect("leaves are loaded before they are encoded")
                .clone(),
            Kind::Inner { left, right } => {
                let (left, right): (Digest, Digest) = (self.arena.digest(left), self.arena.digest(right));
                Bytes::copy_from_slice(&inner_preimage(&left, &right))
            }
            Kind::Extension {
                ref path,
                start,
                end,
                child,
            } => Bytes::copy_from_slice(&encode_extension(path, start, end, &self.arena.digest(child))),
        }
    }
}
