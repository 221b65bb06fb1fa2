//! Building a tree anew when stored nodes are missing or damaged. Every leaf holds its relay, so the
//! leaves alone give the tree (spec: claims-and-proofs.md §15.3).

use bytes::Bytes;
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_smst::{Changes, Digest, Leaf, LoadError, StoredNode, Tree};
use pocket_store::{Lease, SessionRecord, Store, StoreError};

use crate::{Deps, Settings};

/// Stored nodes that are looked at in one go.
const PAGE: usize = 2000;

/// A tree to be built anew.
pub(crate) struct Repair<'a> {
    pub store: &'a Store,
    pub lease: &'a Lease,
    pub supplier: &'a SupplierAddress,
    pub session: &'a SessionId,
    /// Memory that the tree may hold between pages, in bytes.
    pub tree_bytes: usize,
    /// What every leaf is to weigh; as they are if `None`.
    pub units: Option<u64>,
}

impl<'a> Repair<'a> {
    /// A session's tree, with its leaves' weights as they are.
    pub fn of(deps: &'a Deps, settings: &Settings, lease: &'a Lease, record: &'a SessionRecord) -> Self {
        Self {
            store: &deps.store,
            lease,
            supplier: &record.supplier,
            session: &record.session,
            tree_bytes: settings.tree_memory.share(),
            units: None,
        }
    }
}

impl Repair<'_> {
    /// Writes the tree of all intact leaves that are stored, and returns its root. The stored roots stay
    /// what they are, so that a repair that is cut short is simply done again.
    pub async fn run(&self) -> Result<Digest, LoadError<StoreError>> {
        let nodes = self.store.tree(self.supplier, self.session);
        let (mut tree, mut cursor) = (Tree::new(), 0);
        loop {
            let (next, page) = nodes.scan(cursor, PAGE).await.map_err(LoadError::Store)?;
            let intact = page.iter().filter_map(|(digest, node)| intact_leaf(digest, node));
            let (leaves, outdated) = self.weigh(intact);
            tree.prepare(leaves.iter().map(Leaf::path), &nodes).await?;
            let limit = self.tree_bytes;
            let hashing = tokio::task::spawn_blocking(move || {
                let inserted = tree.insert_batch(leaves);
                let changes = tree.commit();
                tree.shrink_to(limit);
                inserted.map(|_| (tree, changes))
            });
            let inserted = hashing.await.expect("hashing does not panic");
            let (grown, mut changes) = inserted.expect("the paths of all leaves are loaded");
            changes.removed.extend(outdated);
            self.write(&changes).await.map_err(LoadError::Store)?;
            (tree, cursor) = (grown, next);
            if cursor == 0 {
                return Ok(tree.root());
            }
        }
    }

    /// The leaves with the weight that they must have, and the digests of those that had another.
    fn weigh(&self, leaves: impl Iterator<Item = Leaf>) -> (Vec<Leaf>, Vec<Digest>) {
        let mut outdated = Vec::new();
        let weighed = leaves.map(|leaf| match self.units {
            Some(units) if leaf.weight() != units => {
                outdated.push(leaf.digest());
                Leaf::at(leaf.path(), &leaf.value(), units)
            }
            _ => leaf,
        });
        (weighed.collect(), outdated)
    }

    async fn write(&self, changes: &Changes) -> Result<(), StoreError> {
        self.store
            .write_nodes(self.lease, self.supplier, self.session, changes)
            .await
    }
}

/// A stored leaf, if it is what its digest says.
fn intact_leaf(digest: &str, node: &Bytes) -> Option<Leaf> {
    match StoredNode::decode(node)? {
        StoredNode::Leaf(leaf) if hex::encode(leaf.digest()) == digest => Some(leaf),
        _ => None,
    }
}
