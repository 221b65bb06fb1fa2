use base64::{Engine, engine::general_purpose::STANDARD};
use pocket_protocol::Height;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Store, StoreError};

/// A block as the leader tells it on the block channel (spec: chain.md §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEvent {
    /// Its height.
    pub height: Height,
    /// Its hash, base64.
    pub hash: String,
    /// The time in its header, RFC 3339.
    pub timestamp: String,
}

impl BlockEvent {
    /// The event of a block with this hash and header time.
    pub fn new(height: Height, hash: &[u8], time: OffsetDateTime) -> Self {
        Self {
            height,
            hash: STANDARD.encode(hash),
            timestamp: time.format(&Rfc3339).expect("a block's year has four digits"),
        }
    }
}

impl Store {
    /// Tells every listener of a block.
    pub async fn publish_block(&self, block: &BlockEvent) -> Result<(), StoreError> {
        let text = serde_json::to_string(block).expect("numbers and texts are JSON");
        self.query(redis::cmd("PUBLISH").arg(self.keys().blocks()).arg(text))
            .await
    }
}
