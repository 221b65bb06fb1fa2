//! Adding leaves (spec `smst.md` §3 and §4.3).

use crate::arena::{Kind, NONE, NodeId};
use crate::{Leaf, Path, Tree, TreeError};

/// What became of an inserted leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// The leaf is new: sum and count grow.
    New,
    /// There was a leaf with another value or weight at the same path; the new one stands in its place.
    Replaced,
    /// The very same leaf was there already; nothing changed.
    Unchanged,
}

/// Where the search for a leaf's place ended. The nodes above are on the trail.
enum Place {
    Empty,
    AtLeaf { id: NodeId, path: Path },
    InExtension { id: NodeId, at: usize },
}

impl Tree {
    /// Inserts leaves in their order, and tells what became of each. Fails if a node on the way is not loaded (see
    /// [`Tree::prepare`]); leaves before it are inserted then, and inserting them again changes nothing.
    pub fn insert_batch(&mut self, leaves: impl IntoIterator<Item = Leaf>) -> Result<Vec<Insertion>, TreeError> {
        leaves.into_iter().map(|leaf| self.insert(leaf)).collect()
    }

    /// Inserts one leaf; on failure nothing is changed.
    pub fn insert(&mut self, leaf: Leaf) -> Result<Insertion, TreeError> {
        let path = leaf.path();
        let (place, depth) = self.find_place(&path)?;
        let parent = self.trail.last().copied();
        let side = depth > 0 && path.bit(depth - 1);
        let outcome = match place {
            Place::AtLeaf { id, path: there } if there == path => {
                if self.arena.get(id).digest == leaf.digest() {
                    return Ok(Insertion::Unchanged);
                }
                self.replace_leaf(id, leaf);
                Insertion::Replaced
            }
            Place::AtLeaf { id, path: there } => {
                let at = (path.first_difference(&there, depth, Path::BITS)).expect("the paths are not equal");
                let branch = self.branch(&path, at, leaf, id);
                let top = self.extend(path, depth, at, branch);
                self.replace_child(parent, side, top);
                Insertion::New
            }
            Place::InExtension { id, at } => {
                let top = self.split_extension(id, at, leaf);
                self.replace_child(parent, side, top);
                Insertion::New
            }
            Place::Empty => {
                let id = self.add_leaf(leaf);
                self.replace_child(parent, side, id);
                Insertion::New
            }
        };
        self.soil_trail();
        Ok(outcome)
    }

    /// Follows the path down to where it ends, with the depth of that place. Changes nothing but the trail.
    fn find_place(&mut self, path: &Path) -> Result<(Place, usize), TreeError> {
        self.trail.clear();
        let (mut id, mut depth) = (self.root, 0);
        while id != NONE {
            let node = self.arena.get(id);
            match node.kind {
                Kind::Stub => return Err(TreeError::NotLoaded(node.digest)),
                Kind::Leaf { path } => return Ok((Place::AtLeaf { id, path }, depth)),
                Kind::Inner { left, right } => {
                    self.trail.push(id);
                    id = if path.bit(depth) { right } else { left };
                    depth += 1;
                }
                Kind::Extension {
                    path: ref along,
                    end,
                    child,
                    ..
                } => {
                    if let Some(at) = path.first_difference(along, depth, usize::from(end)) {
                        return Ok((Place::InExtension { id, at }, depth));
                    }
                    self.trail.push(id);
                    id = child;
                    depth = usize::from(end);
                }
            }
        }
        Ok((Place::Empty, depth))
    }

    fn add_leaf(&mut self, leaf: Leaf) -> NodeId {
        let id = self.arena.add_dirty(Kind::Leaf { path: leaf.path() });
        self.fill_leaf(id, leaf);
        id
    }

    fn replace_leaf(&mut self, id: NodeId, leaf: Leaf) {
        self.orphan(id);
        self.may_restore = true;
        self.fill_leaf(id, leaf);
    }

    fn fill_leaf(&mut self, id: NodeId, leaf: Leaf) {
        let node = self.arena.get_mut(id);
        node.digest = leaf.digest();
        node.hashed = true;
        node.stored = false;
        self.arena.keep_leaf(id, leaf.into_encoded());
    }

    /// An inner node at depth `at` over the new leaf and `other`, which lies on the other side.
    fn branch(&mut self, path: &Path, at: usize, leaf: Leaf, other: NodeId) -> NodeId {
        let leaf = self.add_leaf(leaf);
        let (left, right) = if path.bit(at) { (other, leaf) } else { (leaf, other) };
        self.arena.add_dirty(Kind::Inner { left, right })
    }

    /// `child` at depth `end`, below an extension from `start` if that is higher.
    fn extend(&mut self, path: Path, start: usize, end: usize, child: NodeId) -> NodeId {
        if start == end {
            return child;
        }
        // Two paths differ at depth 255 at the latest, so depths fit into a byte.
        let (start, end) = (start as u8, end as u8);
        self.arena.add_dirty(Kind::Extension {
            path,
            start,
            end,
            child,
        })
    }

    /// Splits an extension at the depth where the leaf's path leaves it; the node that takes its place.
    fn split_extension(&mut self, id: NodeId, at: usize, leaf: Leaf) -> NodeId {
        let Kind::Extension {
            path,
            start,
            end,
            child,
        } = self.arena.get(id).kind
        else {
            unreachable!("only extensions are split");
        };
        self.discard(id);
        let leaf_path = leaf.path();
        let tail = self.extend(path, at + 1, usize::from(end), child);
        let branch = self.branch(&leaf_path, at, leaf, tail);
        self.extend(path, usize::from(start), at, branch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(i: u8) -> Leaf {
        Leaf::new(&[i], &[i; 3], 10)
    }

    #[test]
    fn outcome_tells_new_from_replaced_and_unchanged() {
        let mut tree = Tree::from_leaves((0..9).map(leaf));
        let other_weight = Leaf::new(&[4], &[4; 3], 11);
        let outcomes = tree.insert_batch([leaf(3), other_weight, leaf(9)]).unwrap();
        assert_eq!(outcomes, [Insertion::Unchanged, Insertion::Replaced, Insertion::New]);
        assert_eq!((tree.root().sum(), tree.root().count()), (101, 10));
    }

    #[test]
    fn leaf_inserted_again_leaves_nothing_to_write() {
        let mut tree = Tree::from_leaves((0..9).map(leaf));
        tree.commit();
        tree.insert_batch((0..9).map(leaf)).unwrap();
        let changes = tree.commit();
        assert_eq!((changes.set.len(), changes.removed.len()), (0, 0));
    }

    #[test]
    fn insertion_below_a_node_that_is_not_loaded_is_refused() {
        let root = Tree::from_leaves((0..9).map(leaf)).root();
        let mut tree = Tree::open(root);
        assert_eq!(tree.insert(leaf(9)), Err(TreeError::NotLoaded(root)));
        assert_eq!(tree.root(), root);
    }
}
