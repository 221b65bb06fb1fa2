//! `CometBFT` JSON-RPC over HTTP: status, blocks, block results (spec `chain.md` §5).

mod answers;
mod http;

pub use answers::{Block, BlockResults, Event, NodeStatus, TxResult};
pub(crate) use answers::{NewHeader, header_of_event};
pub(crate) use http::Comet;

use std::sync::Arc;
use std::time::Instant;

use pocket_protocol::Height;

use crate::{ChainClient, QueryError};

impl ChainClient {
    /// The node's chain and newest block. Never cached.
    pub async fn status(&self) -> Result<NodeStatus, QueryError> {
        let status = answers::status(&self.comet("status").await?)?;
        self.saw(status.height);
        Ok(status)
    }

    /// A committed block. Kept for ever; [`QueryError::NotFound`] when it is not there yet or no more.
    pub async fn block(&self, height: Height) -> Result<Arc<Block>, QueryError> {
        let ask = async {
            let block = answers::block(&self.comet(&format!("block?height={height}")).await?)?;
            if block.height != height {
                return Err(QueryError::Malformed(format!(
                    "asked for block {height}, got {}",
                    block.height
                )));
            }
            Ok(Arc::new(block))
        };
        self.0.caches.block(height, ask).await
    }

    /// The newest block of the node. Never cached.
    pub async fn latest_block(&self) -> Result<Arc<Block>, QueryError> {
        let block = answers::block(&self.comet("block").await?)?;
        self.saw(block.height);
        Ok(Arc::new(block))
    }

    /// What the transactions and the end of a block did. Not cached; a node may have discarded it, which is
    /// [`QueryError::NotFound`] as a block of the future is.
    pub async fn block_results(&self, height: Height) -> Result<BlockResults, QueryError> {
        answers::block_results(&self.comet(&format!("block_results?height={height}")).await?)
    }

    async fn comet(&self, path: &str) -> Result<serde_json::Value, QueryError> {
        self.0.config.retry.run(|| self.comet_once(path)).await
    }

    async fn comet_once(&self, path: &str) -> Result<serde_json::Value, QueryError> {
        let began = Instant::now();
        let answer = self.0.comet.get(path).await;
        self.0.metrics.asked(path, began.elapsed(), answer.as_ref().err());
        answer
    }
}
