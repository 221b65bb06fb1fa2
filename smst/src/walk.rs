//! All leaves of a stored tree, with bounded memory.

use crate::load::fetch;
use crate::{Digest, Leaf, LoadError, NodeStore, StoredNode};

/// Goes through the leaves of a stored tree, a batch at a time, in no particular order.
#[derive(Debug, Clone)]
pub struct LeafWalk {
    ahead: Vec<Digest>,
    batch: usize,
}

impl LeafWalk {
    /// A walk through the tree with this root that asks the store for up to `batch` nodes at once. It holds about
    /// `batch` digests per level of the tree.
    pub fn new(root: Digest, batch: usize) -> Self {
        Self {
            ahead: Vec::from_iter((!root.is_empty()).then_some(root)),
            batch: batch.max(1),
        }
    }

    /// The leaves among the next nodes, possibly none; nothing at the end of the walk. After a failure, the same
    /// batch is tried again.
    pub async fn next<S: NodeStore>(&mut self, store: &S) -> Result<Option<Vec<Leaf>>, LoadError<S::Error>> {
        if self.ahead.is_empty() {
            return Ok(None);
        }
        let rest = self.ahead.len().saturating_sub(self.batch);
        let nodes = fetch(&self.ahead[rest..], store).await?;
        self.ahead.truncate(rest);
        let mut leaves = Vec::new();
        for node in nodes {
            match node {
                StoredNode::Leaf(leaf) => leaves.push(leaf),
                StoredNode::Inner { left, right } => {
                    self.ahead
                        .extend([right, left].into_iter().filter(|digest| !digest.is_empty()));
                }
                StoredNode::Extension { child, .. } => self.ahead.push(child),
            }
        }
        Ok(Some(leaves))
    }
}
