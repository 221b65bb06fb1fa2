//! Whether a transaction is in a block. Mempools promise nothing, so this is looked up, in the blocks
//! themselves: no transaction index is needed.

use pocket_protocol::Height;
use pocket_query::QueryError;

use crate::{TxError, TxSender};

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inclusion {
    /// In no block up to the newest; look again from `next` on.
    Pending {
        /// The first block that was not looked at.
        next: Height,
    },
    /// In a block.
    Included {
        /// That block.
        height: Height,
        /// The gas used, or why the messages failed. Failed, none of them had any effect, and the fee is gone.
        outcome: Result<u64, TxError>,
    },
    /// In no block of the range, and the range is past.
    Absent,
}

impl TxSender {
    /// Looks for a transaction in the blocks `from..=until` that are committed. Does not wait: call it again
    /// at a later block with [`Inclusion::Pending`]'s `next`. [`TxError::Retry`] when the node does not answer.
    pub async fn inclusion(&self, hash: &[u8; 32], from: Height, until: Height) -> Result<Inclusion, TxError> {
        let chain = self.chain();
        let mut head = chain.highest_seen();
        if head < until {
            chain.status().await?;
            head = chain.highest_seen();
        }
        let mut height = Height(from.0.max(1));
        while height <= head.min(until) {
            let block = match chain.block(height).await {
                Ok(block) => block,
                // Another node may have told of it.
                Err(QueryError::NotFound(_)) => return Ok(Inclusion::Pending { next: height }),
                Err(error) => return Err(error.into()),
            };
            if let Some(index) = block.tx_hashes.iter().position(|found| found == hash) {
                let outcome = self.outcome(height, index).await?;
                self.note_included(height);
                return Ok(Inclusion::Included { height, outcome });
            }
            height = height + 1;
        }
        Ok(if height > until {
            Inclusion::Absent
        } else {
            Inclusion::Pending { next: height }
        })
    }

    async fn outcome(&self, height: Height, index: usize) -> Result<Result<u64, TxError>, TxError> {
        let lost = |what: &str| TxError::Retry(format!("the results of block {height} {what}"));
        let results = match self.chain().block_results(height).await {
            Ok(results) => results,
            Err(QueryError::NotFound(_)) => return Err(lost("are not there")),
            Err(error) => return Err(error.into()),
        };
        let tx = results.txs.get(index).ok_or_else(|| lost("lack a transaction"))?;
        Ok(match tx.code {
            0 => Ok(tx.gas_used),
            code => Err(TxError::of_code(&tx.codespace, code, &tx.log)),
        })
    }
}
