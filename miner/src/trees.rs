//! A session's stored tree: opened, loaded, repaired.

use pocket_smst::{Digest, LoadError, Path, Tree};
use pocket_store::SessionRecord;

use crate::error::WorkError;
use crate::inherited::is_behind;
use crate::patience::Patience;
use crate::repair::Repair;
use crate::worker::Worker;

impl Worker {
    /// The tree of a session that takes relays, as far as it is stored, and the live root beside it.
    pub(crate) async fn open_tree(&self, record: &SessionRecord) -> Result<(Tree, Option<Digest>), WorkError> {
        let session = &record.session;
        let roots = self
            .retry("read a tree's root", |store, _, supplier| async move {
                store.tree_roots(&supplier, session).await
            })
            .await?;
        let tree = match roots.growing() {
            Some(root) if is_behind(&root, record) => {
                tracing::info!(%session, relays = record.relays, root = root.count(), "relays are stored beside a tree");
                self.repair(record, None, None).await?
            }
            Some(root) => Tree::open(root),
            None if record.relays == 0 => Tree::new(),
            None => self.repair(record, None, None).await?,
        };
        Ok((tree, roots.live))
    }

    /// Loads what inserting at these paths needs, from a repaired tree if the stored one is damaged.
    pub(crate) async fn prepare(
        &self,
        record: &SessionRecord,
        mut tree: Tree,
        paths: &[Path],
    ) -> Result<Tree, WorkError> {
        let nodes = self.deps.store.tree(&self.supplier, &record.session);
        let (mut patience, mut repaired) = (Patience::new(), false);
        loop {
            match tree.prepare(paths.iter().copied(), &nodes).await {
                Ok(()) => return Ok(tree),
                Err(LoadError::Store(error)) if error.is_transient() => {
                    tracing::warn!(%error, session = %record.session, "waiting for Redis");
                    self.outages.note();
                    patience.wait_unless(&self.cancel).await?;
                }
                Err(error @ (LoadError::Missing(_) | LoadError::Corrupt(_))) if !repaired => {
                    tracing::error!(%error, session = %record.session, "a stored tree is damaged");
                    tree = self.repair(record, Some(tree.root()), None).await?;
                    repaired = true;
                }
                Err(error) => return Err(WorkError::load(&record.session, error)),
            }
        }
    }

    /// Builds a tree anew from its leaves, with `units` as their weight if it is given.
    pub(crate) async fn repair(
        &self,
        record: &SessionRecord,
        expected: Option<Digest>,
        units: Option<u64>,
    ) -> Result<Tree, WorkError> {
        let repair = Repair {
            store: &self.deps.store,
            lease: &self.lease,
            supplier: &self.supplier,
            session: &record.session,
            tree_bytes: self.settings.tree_memory.share(),
            units,
        };
        let mut patience = Patience::new();
        loop {
            match repair.run().await {
                Ok(root) => {
                    self.deps.metrics.rebuilt(record, expected, root);
                    return Ok(if root.is_empty() { Tree::new() } else { Tree::open(root) });
                }
                Err(LoadError::Store(error)) if error.is_transient() => {
                    tracing::warn!(%error, session = %record.session, "waiting for Redis");
                    self.outages.note();
                    patience.wait_unless(&self.cancel).await?;
                }
                Err(error) => return Err(WorkError::load(&record.session, error)),
            }
        }
    }
}
