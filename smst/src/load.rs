//! Loading stored nodes, one request to the store per level of the tree.

use crate::arena::{Kind, NONE, NodeId};
use crate::{Digest, LoadError, NodeStore, Path, StoredNode, Tree};

/// How far the loading for one path has come.
struct Walker {
    path: Path,
    id: NodeId,
    depth: usize,
}

impl Tree {
    /// Loads the nodes that inserting leaves at these paths needs.
    pub async fn prepare<S: NodeStore>(
        &mut self,
        paths: impl IntoIterator<Item = Path>,
        store: &S,
    ) -> Result<(), LoadError<S::Error>> {
        let (root, depth) = (self.root, 0);
        let mut walkers: Vec<_> = (paths.into_iter())
            .map(|path| Walker { path, id: root, depth })
            .collect();
        loop {
            walkers.retain_mut(|walker| self.walk_to_stub(walker));
            let mut stubs: Vec<_> = walkers.iter().map(|walker| (walker.id, walker.depth)).collect();
            stubs.sort_unstable();
            stubs.dedup();
            if stubs.is_empty() {
                return Ok(());
            }
            self.load(&stubs, store, false).await?;
        }
    }

    /// Loads the nodes that [`Tree::prove`] needs for this path, the leaf's and its sibling's bytes among them. They
    /// stay until the next commit or eviction.
    pub async fn prepare_proof<S: NodeStore>(&mut self, path: Path, store: &S) -> Result<(), LoadError<S::Error>> {
        loop {
            let missing = match self.find_closest(path) {
                Err(stub) => vec![stub],
                Ok(found) => {
                    let ends = [found.leaf, found.sibling].map(|id| (id, found.depth()));
                    ends.into_iter().filter(|&(id, _)| self.lacks_bytes(id)).collect()
                }
            };
            if missing.is_empty() {
                return Ok(());
            }
            self.load(&missing, store, true).await?;
        }
    }

    /// Is this a node whose stored bytes cannot be told from memory?
    pub(crate) fn lacks_bytes(&self, id: NodeId) -> bool {
        id != NONE
            && match self.arena.get(id).kind {
                Kind::Stub => true,
                Kind::Leaf { .. } => self.arena.leaf(id).is_none(),
                Kind::Inner { .. } | Kind::Extension { .. } => false,
            }
    }

    /// Goes down along the path; true if it ends at a node that is not loaded.
    fn walk_to_stub(&self, walker: &mut Walker) -> bool {
        while walker.id != NONE {
            match self.arena.get(walker.id).kind {
                Kind::Stub => return true,
                Kind::Leaf { .. } => break,
                Kind::Inner { left, right } => {
                    walker.id = if walker.path.bit(walker.depth) { right } else { left };
                    walker.depth += 1;
                }
                Kind::Extension {
                    ref path, end, child, ..
                } => {
                    if path
                        .first_difference(&walker.path, walker.depth, usize::from(end))
                        .is_some()
                    {
                        break;
                    }
                    walker.id = child;
                    walker.depth = usize::from(end);
                }
            }
        }
        false
    }

    /// Loads these stored nodes, each with its depth, in one request, and keeps leaves' values if wanted.
    async fn load<S: NodeStore>(
        &mut self,
        stubs: &[(NodeId, usize)],
        store: &S,
        keep_values: bool,
    ) -> Result<(), LoadError<S::Error>> {
        let digests: Vec<Digest> = stubs.iter().map(|&(id, _)| self.arena.get(id).digest).collect();
        let nodes = fetch(&digests, store).await?;
        for (&(id, depth), node) in stubs.iter().zip(nodes) {
            let kind = match node {
                StoredNode::Leaf(leaf) => {
                    let path = leaf.path();
                    if keep_values {
                        self.arena.keep_leaf(id, leaf.into_encoded());
                    }
                    Kind::Leaf { path }
                }
                StoredNode::Inner { left, right } => Kind::Inner {
                    left: self.arena.add_stub(left),
                    right: self.arena.add_stub(right),
                },
                // The digest does not cover where an extension starts.
                StoredNode::Extension { start, .. } if usize::from(start) != depth => {
                    return Err(LoadError::Corrupt(self.arena.get(id).digest));
                }
                StoredNode::Extension {
                    path,
                    start,
                    end,
                    child,
                } => Kind::Extension {
                    path,
                    start,
                    end,
                    child: self.arena.add_stub(child),
                },
            };
            self.arena.get_mut(id).kind = kind;
        }
        Ok(())
    }
}

/// The stored nodes with these digests, each checked against its digest.
pub(crate) async fn fetch<S: NodeStore>(digests: &[Digest], store: &S) -> Result<Vec<StoredNode>, LoadError<S::Error>> {
    let found = store.get_many(digests).await.map_err(LoadError::Store)?;
    let mut found = found.into_iter();
    (digests.iter())
        .map(|&digest| {
            let encoded = found.next().flatten().ok_or(LoadError::Missing(digest))?;
            (StoredNode::decode(&encoded))
                .filter(|node| node.digest() == digest)
                .ok_or(LoadError::Corrupt(digest))
        })
        .collect()
}
