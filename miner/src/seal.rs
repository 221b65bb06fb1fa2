//! Sealing: from then on a session takes no relay, and its root is what is claimed.

use bytes::Bytes;
use pocket_protocol::{ComputeUnits, SessionId};
use pocket_smst::Digest;

use crate::error::WorkError;
use crate::lifecycle::{Effect, Event};
use crate::worker::Worker;

impl Worker {
    /// Writes the root down; or puts it off while the chain does not say what a relay weighs, since no
    /// claim can be sent without it, or while Redis does not take it as the one that was asked whether the session is
    /// drained, `connection`: a claim cannot be taken back when a replica takes over that knows of more relays.
    pub(crate) async fn seal(&mut self, id: &SessionId, connection: Option<u64>) -> Result<Option<Effect>, WorkError> {
        let Some(root) = self.final_root(id).await? else {
            self.session_mut(id).try_later();
            return Ok(None);
        };
        let (store, base) = (self.deps.store.careful(), self.sessions[id].live_root);
        let sealed = store
            .seal_tree(&self.lease, &self.supplier, id, &root, base.as_ref())
            .await;
        let is_asked_one = connection.is_none_or(|connection| connection == store.connections());
        match sealed {
            Ok(()) if is_asked_one => {}
            Err(error) if !error.is_transient() => return Err(error.into()),
            other => {
                let error = other.err();
                tracing::warn!(session = %id, ?error, "sealing is put off until Redis takes it");
                if error.is_some() {
                    self.outages.note();
                }
                let end = self.sessions[id].record.end;
                self.draining.forget(end);
                self.session_mut(id).try_later();
                return Ok(None);
            }
        }
        let session = self.session_mut(id);
        // The tree's nodes are read again for the proof, those of one path.
        session.tree = None;
        session.record.claimed_root = Some(Bytes::copy_from_slice(root.as_ref()));
        session.record.relays = root.count();
        session.record.compute_units = ComputeUnits(root.sum());
        tracing::info!(session = %id, relays = root.count(), "session is sealed");
        let (relays, compute_units) = (root.count(), root.sum());
        self.find_worth().await;
        self.apply(id, Event::Sealed { relays, compute_units }).await
    }

    /// Writes down what is left of a sealed tree that lost leaves, so that a root is claimed which can be proven.
    pub(crate) async fn seal_again(&mut self, id: &SessionId, root: Digest) -> Result<(), WorkError> {
        let known = self.sessions[id].live_root;
        // A Redis that only went back to an older state is found out by the live root: then the worker starts again from
        // there, and the relays come again.
        self.retry("seal", |store, lease, supplier| async move {
            let base = match known {
                Some(root) => Some(root),
                None => store.tree_roots(&supplier, id).await?.live,
            };
            let store = store.careful();
            store.seal_tree(&lease, &supplier, id, &root, base.as_ref()).await
        })
        .await?;
        let record = &mut self.session_mut(id).record;
        let lost = record.relays.saturating_sub(root.count());
        record.claimed_root = Some(Bytes::copy_from_slice(root.as_ref()));
        record.relays = root.count();
        record.compute_units = ComputeUnits(root.sum());
        let (record, keep) = (record.clone(), self.settings.keep_seconds);
        self.retry("save a session", |store, lease, _| {
            let record = &record;
            async move { store.save_session(&lease, record, keep).await }
        })
        .await?;
        tracing::error!(session = %id, lost, relays = root.count(), "relays were lost with their leaves, the others are claimed");
        Ok(())
    }

    /// The root, of leaves that all weigh what the chain will multiply their count with.
    async fn final_root(&mut self, id: &SessionId) -> Result<Option<Digest>, WorkError> {
        let tree = self.session_mut(id).tree.take();
        let record = self.sessions[id].record.clone();
        let mut held = if let Some(held) = tree {
            held
        } else {
            let (tree, live_root) = self.open_tree(&record).await?;
            self.session_mut(id).live_root = live_root;
            self.settings.tree_memory.hold(tree)
        };
        let root = held.tree.root();
        self.session_mut(id).tree = Some(held);
        if root.is_empty() {
            return Ok(Some(root));
        }
        let units = self.deps.chain.compute_units_at(record.service.as_str(), record.start);
        let units = match self.ask(units).await {
            Ok(units) => units.0,
            Err(error) => {
                tracing::warn!(%error, session = %id, "the weight of a session's relays is not known yet");
                return Ok(None);
            }
        };
        if u128::from(root.sum()) == u128::from(root.count()) * u128::from(units) {
            return Ok(Some(root));
        }
        tracing::error!(session = %id, sum = root.sum(), relays = root.count(), units, "relays of another weight");
        let mut tree = self.repair(&record, None, Some(units)).await?;
        let root = tree.root();
        self.session_mut(id).tree = Some(self.settings.tree_memory.hold(tree));
        Ok(Some(root))
    }
}
