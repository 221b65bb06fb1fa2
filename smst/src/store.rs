//! Where nodes are kept between batches.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;

use crate::{Changes, Digest};

/// Reads stored nodes, many at a time.
pub trait NodeStore: Sync {
    /// Why the store could not answer. A node that is not there is no error of the store.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The stored bytes of each digest, in the order asked; `None` where there are none.
    fn get_many(&self, digests: &[Digest]) -> impl Future<Output = Result<Vec<Option<Bytes>>, Self::Error>> + Send;
}

/// Why nodes could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The store did not answer: try again.
    #[error("the node store failed")]
    Store(#[source] E),
    /// The node is not there. Never an empty subtree: rebuild the tree from its leaves.
    #[error("node {0} is missing from the store")]
    Missing(Digest),
    /// What is stored is not the node: rebuild the tree from its leaves.
    #[error("node {0} is damaged in the store")]
    Corrupt(Digest),
}

/// A store in memory, for tests and for trees that are rebuilt.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    nodes: HashMap<Digest, Bytes>,
}

impl MemoryStore {
    /// Writes what a commit changed.
    pub fn apply(&mut self, changes: &Changes) {
        for digest in &changes.removed {
            self.nodes.remove(digest);
        }
        self.nodes.extend(changes.set.iter().cloned());
    }

    /// All nodes.
    pub fn nodes(&self) -> &HashMap<Digest, Bytes> {
        &self.nodes
    }
}

impl FromIterator<(Digest, Bytes)> for MemoryStore {
    fn from_iter<I: IntoIterator<Item = (Digest, Bytes)>>(nodes: I) -> Self {
        Self {
            nodes: nodes.into_iter().collect(),
        }
    }
}

impl NodeStore for MemoryStore {
    type Error = Infallible;

    async fn get_many(&self, digests: &[Digest]) -> Result<Vec<Option<Bytes>>, Infallible> {
        Ok(digests.iter().map(|digest| self.nodes.get(digest).cloned()).collect())
    }
}
