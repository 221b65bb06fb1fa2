//! What a Go relay miner that worked a supplier before us leaves half done (spec: smst.md §9, claims-and-proofs.md §15.2).

use pocket_smst::Digest;
use pocket_store::{SessionRecord, SessionState};

use crate::error::WorkError;
use crate::worker::Worker;

impl Worker {
    /// The record of a session that somebody worked before, so that we can go on with it.
    ///
    /// A Go peer stores that it claims before it knows the root, and does not always store the root later. It may be beside
    /// the tree; a claim without one is begun anew.
    pub(crate) async fn inherit(&self, mut record: SessionRecord) -> Result<SessionRecord, WorkError> {
        let has_root = !matches!(
            record.state,
            SessionState::Claiming | SessionState::Claimed | SessionState::Proving
        ) || record.claimed_root.is_some();
        if has_root {
            return Ok(record);
        }
        let session = &record.session;
        let roots = self
            .retry("read a tree's root", |store, _, supplier| async move {
                store.tree_roots(&supplier, session).await
            })
            .await?;
        let root = roots.claimed.filter(|root| !root.is_empty());
        tracing::warn!(session = %record.session, state = record.state.as_str(), found = root.is_some(), "a session has lost its root");
        match root {
            Some(root) => record.claimed_root = Some(bytes::Bytes::copy_from_slice(root.as_ref())),
            None if record.state == SessionState::Claiming => record.state = SessionState::Active,
            // What was claimed is not known: the chain's claim cannot be proven from here.
            None => {}
        }
        Ok(record)
    }
}

/// Whether relays are stored as leaves that a tree's root does not reach. A Go peer stores each leaf and counts it in the
/// session's record before it acknowledges the relay, but writes the root for every tenth only.
pub(crate) fn is_behind(root: &Digest, record: &SessionRecord) -> bool {
    root.count() < record.relays
}
