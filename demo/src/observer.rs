use pocket_protocol::Height;
use pocket_query::{ChainClient, QueryError};

use crate::ledger::Ledger;

/// Reads every block once, in order, into a [`Ledger`].
pub struct Observer {
    chain: ChainClient,
    next: Height,
    ledger: Ledger,
}

impl Observer {
    /// Nothing read yet; the first block to read is `from`.
    pub fn new(chain: ChainClient, from: Height) -> Self {
        Self {
            chain,
            next: from,
            ledger: Ledger::default(),
        }
    }

    /// Reads on up to `height`. After an error it can be called again: nothing is left out or read twice.
    pub async fn read_to(&mut self, height: Height) -> Result<(), QueryError> {
        while self.next <= height {
            let results = self.chain.block_results(self.next).await?;
            self.ledger.record(self.next.0, &results);
            self.next = self.next + 1;
        }
        Ok(())
    }

    /// The last block that was read.
    pub fn height(&self) -> Height {
        self.next - 1
    }

    /// What the blocks said.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
