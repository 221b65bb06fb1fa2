use pocket_protocol::SupplierAddress;
use redis::streams::StreamPendingReply;

use crate::{Store, StoreError};

/// How much of a supplier's stream waits for the miner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamProgress {
    /// Entries that no tree holds yet; what a tree holds is deleted.
    pub length: u64,
    /// Of those, the ones that a miner has read.
    pub pending: u64,
}

impl Store {
    /// Looks at a supplier's stream; one that is not there is empty.
    pub async fn stream_progress(&self, supplier: &SupplierAddress) -> Result<StreamProgress, StoreError> {
        let length = self.stream_length(supplier).await?;
        if length == 0 {
            return Ok(StreamProgress::default());
        }
        let mut ask = redis::cmd("XPENDING");
        ask.arg(self.keys().stream(supplier.as_str()))
            .arg(self.keys().consumer_group());
        let pending = match self.query::<StreamPendingReply>(&ask).await {
            Ok(reply) => reply.count() as u64,
            // Nobody has read yet.
            Err(StoreError::Refused(error)) if error.code() == Some("NOGROUP") => 0,
            Err(error) => return Err(error),
        };
        Ok(StreamProgress {
            length,
            pending: pending.min(length),
        })
    }
}
