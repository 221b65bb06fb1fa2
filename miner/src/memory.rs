//! Memory for trees, shared among all sessions that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pocket_smst::Tree;

/// Memory that the trees of a process may hold between batches, however many they are.
#[derive(Clone, Debug)]
pub struct TreeMemory {
    total: usize,
    of_one: usize,
    trees: Arc<AtomicUsize>,
}

impl TreeMemory {
    /// `total` bytes for all trees, and at most `of_one` for each.
    pub fn new(total: usize, of_one: usize) -> Self {
        Self {
            total,
            of_one,
            trees: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// A tree that is kept in memory from now on.
    pub(crate) fn hold(&self, tree: Tree) -> HeldTree {
        self.trees.fetch_add(1, Ordering::Relaxed);
        HeldTree {
            tree,
            _place: Place(self.trees.clone()),
        }
    }

    /// What each tree may hold now, in bytes.
    pub(crate) fn share(&self) -> usize {
        let trees = self.trees.load(Ordering::Relaxed).max(1);
        (self.total / trees).min(self.of_one)
    }
}

/// A tree that counts among those in memory until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldTree {
    pub tree: Tree,
    _place: Place,
}

#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_share_what_there_is() {
        let memory = TreeMemory::new(100, 40);
        assert_eq!(memory.share(), 40);
        let mut held: Vec<_> = (0..5).map(|_| memory.hold(Tree::new())).collect();
        assert_eq!(memory.share(), 20);
        held.truncate(1);
        assert_eq!(memory.share(), 40);
    }
}
