//! `CometBFT` JSON-RPC over HTTP: status, blocks, block results (spec `chain.md` §5).

mod answers;
mod http;

pub use answers::{Block, BlockResults, Event, NodeStatus, TxResult};
pub(crate) use answers::{NewHeader, header_of_event, status as read_status};
pub(crate) use http::Comet;

use std::sync::Arc;

use pocket_protocol::Height;
use serde_json::Value;

use crate::nodes::{Reply, Sighting};
use crate::{ChainClient, QueryError};

impl ChainClient {
    /// The node's chain and newest block. Never cached. Of several nodes, from one that is not behind the others, nor
    /// far before them.
    pub async fn status(&self) -> Result<NodeStatus, QueryError> {
        let read = |index: usize, value: &Value| {
            let status = answers::status(value)?;
            let is_believed = self.0.nodes.saw_status(index, &status, None);
            self.is_current(status.height, is_believed)?;
            Ok(status)
        };
        self.comet("status", Height(0), read).await
    }

    /// A committed block. Kept for ever; [`QueryError::NotFound`] when it is not there yet or no more.
    pub async fn block(&self, height: Height) -> Result<Arc<Block>, QueryError> {
        let ask = async {
            let read = |_, value: &Value| {
                let block = answers::block(value)?;
                if block.height == height {
                    Ok(Arc::new(block))
                } else {
                    let found = block.height;
                    Err(QueryError::Malformed(format!("asked for block {height}, got {found}")))
                }
            };
            self.comet(&format!("block?height={height}"), height, read).await
        };
        self.0.caches.block(height, ask).await
    }

    /// The newest block of the node. Never cached. Of several nodes as [`status`](Self::status).
    pub async fn latest_block(&self) -> Result<Arc<Block>, QueryError> {
        let read = |index: usize, value: &Value| {
            let block = answers::block(value)?;
            let (height, time) = (block.height, block.time);
            let is_believed = self.0.nodes.saw_header(index, NewHeader { height, time });
            self.is_current(height, is_believed)?;
            Ok(Arc::new(block))
        };
        self.comet("block", Height(0), read).await
    }

    /// What the transactions and the end of a block did. Not cached; a node may have discarded it, which is
    /// [`QueryError::NotFound`] as a block of the future is.
    pub async fn block_results(&self, height: Height) -> Result<BlockResults, QueryError> {
        let read = |_, value: &Value| answers::block_results(value);
        self.comet(&format!("block_results?height={height}"), height, read)
            .await
    }

    /// Whether a node's newest block is one to go by.
    fn is_current(&self, height: Height, is_believed: bool) -> Result<(), QueryError> {
        if !is_believed {
            let text = format!("the node is at height {height}, which no other comes near");
            return Err(QueryError::Unavailable(text));
        }
        let best = self.highest_seen();
        if self.0.nodes.rpc.is_several() && best - height > self.0.config.max_lag {
            return Err(QueryError::behind(height, best));
        }
        Ok(())
    }

    /// Asks one node after the other, and again while nothing is known. Of a block that is there, `needed`, one node's
    /// "no" does not count; nor does an answer that `read` makes no sense of.
    async fn comet<T>(
        &self,
        path: &str,
        needed: Height,
        read: impl Fn(usize, &Value) -> Result<T, QueryError> + Sync,
    ) -> Result<T, QueryError>
    where
        T: Send + 'static,
    {
        let (nodes, config) = (&self.0.nodes, &self.0.config);
        nodes.introduced().await;
        let read = &read;
        let ask_one = |index: usize| async move {
            let answer = match nodes.rpc.node(index).get(path).await {
                Ok(answer) => answer,
                Err(error @ QueryError::Unavailable(_)) => return Reply::Lost(error),
                Err(error @ QueryError::NotFound(_)) if needed > nodes.highest() => return Reply::Final(error),
                Err(error) => return Reply::Weak(error),
            };
            nodes.rpc.answered(index, &Sighting::default());
            match read(index, &answer) {
                Ok(value) => Reply::Answer(value),
                Err(error) => Reply::Weak(error),
            }
        };
        let told = nodes.rpc.ask(path, config.query_timeout, &config.retry, ask_one);
        Ok(told.await?.value)
    }
}
