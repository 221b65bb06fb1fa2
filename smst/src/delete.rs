//! Taking leaves out (spec `smst.md` §3). A miner never does; the chain's library can, and so stored trees may have
//! the shapes that it leaves behind.

use crate::arena::{Kind, NONE, NodeId};
use crate::{Path, Tree, TreeError};

impl Tree {
    /// Takes the leaf at `path` out. Needs the leaf and its sibling in memory: [`Tree::prepare_proof`] with this path
    /// loads both. On failure nothing is changed.
    pub fn delete(&mut self, path: Path) -> Result<(), TreeError> {
        let leaf = self.find_leaf(&path)?;
        let mut rest = NONE;
        self.discard(leaf);
        self.may_restore = true;
        while let Some(id) = self.trail.pop() {
            rest = match self.arena.get(id).kind {
                Kind::Inner { left, right } => {
                    let sides = if path.bit(self.depth_below_trail()) {
                        (left, rest)
                    } else {
                        (rest, right)
                    };
                    self.close_inner(id, sides)
                }
                Kind::Extension { .. } => self.close_extension(id, rest),
                Kind::Stub | Kind::Leaf { .. } => unreachable!("only branches are on a trail"),
            };
        }
        self.root = rest;
        Ok(())
    }

    /// The leaf at `path`, with the nodes above it on the trail.
    fn find_leaf(&mut self, path: &Path) -> Result<NodeId, TreeError> {
        self.trail.clear();
        let (mut id, mut sibling, mut depth) = (self.root, NONE, 0);
        while id != NONE {
            let node = self.arena.get(id);
            match node.kind {
                Kind::Stub => return Err(TreeError::NotLoaded(node.digest)),
                Kind::Leaf { path: there } => {
                    if there != *path {
                        break;
                    }
                    if sibling != NONE && matches!(self.arena.get(sibling).kind, Kind::Stub) {
                        return Err(TreeError::NotLoaded(self.arena.get(sibling).digest));
                    }
                    return Ok(id);
                }
                Kind::Inner { left, right } => {
                    self.trail.push(id);
                    (id, sibling) = if path.bit(depth) { (right, left) } else { (left, right) };
                    depth += 1;
                }
                Kind::Extension {
                    path: ref along,
                    end,
                    child,
                    ..
                } => {
                    if path.first_difference(along, depth, usize::from(end)).is_some() {
                        break;
                    }
                    self.trail.push(id);
                    (id, sibling, depth) = (child, NONE, usize::from(end));
                }
            }
        }
        Err(TreeError::NoSuchLeaf)
    }

    /// The depth of the node that was just taken off the trail.
    fn depth_below_trail(&self) -> usize {
        (self.trail.iter()).fold(0, |depth, &id| match self.arena.get(id).kind {
            Kind::Extension { end, .. } => usize::from(end),
            _ => depth + 1,
        })
    }

    /// What stands for an inner node with these children: a lone leaf rises, a lone extension grows upwards. A lone
    /// inner node stays where it is, below this one, as in the chain's library.
    fn close_inner(&mut self, id: NodeId, (left, right): (NodeId, NodeId)) -> NodeId {
        let lone = match (left, right) {
            (NONE, lone) | (lone, NONE) => lone,
            _ => NONE,
        };
        let depth = self.depth_below_trail();
        let kind = (lone != NONE).then(|| self.arena.get(lone).kind.clone());
        match kind {
            Some(Kind::Leaf { .. }) => {
                self.discard(id);
                lone
            }
            Some(Kind::Extension { .. }) => {
                self.discard(id);
                self.soil(lone);
                if let Kind::Extension { path, start, .. } = &mut self.arena.get_mut(lone).kind {
                    if path.bit(depth) != (lone == right) {
                        path.flip(depth);
                    }
                    *start -= 1;
                }
                lone
            }
            _ => {
                self.soil(id);
                self.arena.get_mut(id).kind = Kind::Inner { left, right };
                id
            }
        }
    }

    /// What stands for an extension over `rest`: a leaf rises, an extension is joined with it.
    fn close_extension(&mut self, id: NodeId, rest: NodeId) -> NodeId {
        let Kind::Extension { path: along, start, .. } = self.arena.get(id).kind else {
            unreachable!("only extensions are closed so");
        };
        if rest == NONE || matches!(self.arena.get(rest).kind, Kind::Leaf { .. }) {
            self.discard(id);
            return rest;
        }
        if let Kind::Extension {
            path,
            start: joined,
            end,
            child,
        } = self.arena.get(rest).kind
        {
            self.discard(id);
            self.soil(rest);
            let mut path = path;
            path.copy_bits(&along, usize::from(start)..usize::from(joined));
            self.arena.get_mut(rest).kind = Kind::Extension {
                path,
                start,
                end,
                child,
            };
            return rest;
        }
        self.soil(id);
        self.replace_child(Some(id), false, rest);
        id
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Leaf, Path, Tree, TreeError};

    fn leaf(i: u8) -> Leaf {
        Leaf::new(&[i], &[i; 3], 10)
    }

    #[test]
    fn absent_leaf_cannot_be_deleted() {
        let mut tree = Tree::from_leaves((0..9).map(leaf));
        let root = tree.root();
        assert_eq!(tree.delete(leaf(9).path()), Err(TreeError::NoSuchLeaf));
        assert_eq!(tree.root(), root);
        assert_eq!(Tree::new().delete(Path([0; 32])), Err(TreeError::NoSuchLeaf));
    }

    proptest! {
        #[test]
        fn tree_without_a_leaf_has_the_root_of_a_tree_that_never_had_it(
            keys in prop::collection::hash_set(any::<u8>(), 1..60), deleted in prop::collection::vec(any::<u8>(), 1..60),
        ) {
            let mut tree = Tree::from_leaves(keys.iter().map(|&i| leaf(i)));
            let mut left = keys;
            for key in deleted {
                prop_assert_eq!(tree.delete(leaf(key).path()).is_ok(), left.remove(&key));
                prop_assert_eq!(tree.root(), Tree::from_leaves(left.iter().map(|&i| leaf(i))).root());
            }
        }
    }
}
