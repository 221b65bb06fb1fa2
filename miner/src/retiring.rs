//! Suppliers whose key was taken away while they were worked here.
//!
//! What was answered in their name is still to be claimed, and what is claimed to be proven: a claim without its proof
//! costs stake. So their key stays in memory until the sessions that were open then are settled.

use std::collections::HashMap;
use std::sync::Arc;

use pocket_keys::{KeySet, SigningKey};
use pocket_protocol::{Height, SupplierAddress};

use crate::error::WorkError;
use crate::worker::Worker;

/// Relayers may learn of a removed key later than the miner: so long relays may still come.
const GRACE_BLOCKS: i64 = 5;

/// The keys that are kept to finish with, and the height at which each was taken away.
#[derive(Default)]
pub(crate) struct Retiring(HashMap<SupplierAddress, (Arc<SigningKey>, Height)>);

impl Retiring {
    pub fn add(&mut self, supplier: SupplierAddress, key: Arc<SigningKey>, since: Height) {
        self.0.insert(supplier, (key, since));
    }

    /// Drops a key; `true` if there was one.
    pub fn forget(&mut self, supplier: &SupplierAddress) -> bool {
        self.0.remove(supplier).is_some()
    }

    /// Since when a supplier has no key any more; `None` if it has, or never had.
    pub fn since(&self, supplier: &SupplierAddress) -> Option<Height> {
        self.0.get(supplier).map(|(_, since)| *since)
    }

    pub fn suppliers(&self) -> Vec<SupplierAddress> {
        self.0.keys().cloned().collect()
    }

    /// All that may be signed with: the keys that hold, and those that finish.
    pub fn signing(&self, keys: &KeySet) -> KeySet {
        keys.with(self.0.values().map(|(key, _)| key.clone()))
    }
}

impl Worker {
    /// Whether nothing is left to do for a supplier whose key was taken away. Sessions that began after that are not
    /// this miner's any more.
    pub(crate) async fn is_retired(&self, height: Height) -> Result<bool, WorkError> {
        let Some(since) = *self.retire.borrow() else {
            return Ok(false);
        };
        let mut starts = self.sessions.values().map(|session| session.record.start);
        if height.0 < since.0 + GRACE_BLOCKS || starts.any(|start| start <= since) {
            return Ok(false);
        }
        if !self.sessions.is_empty() {
            // Relays of newer sessions are read already: of the older ones nothing is left in the stream.
            return Ok(true);
        }
        let waiting = self
            .retry("read a stream's length", |store, _, supplier| async move {
                store.stream_length(&supplier).await
            })
            .await?;
        Ok(waiting == 0)
    }
}
