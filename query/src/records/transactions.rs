//! Transactions as bytes: dry runs and broadcast.

use bytes::Bytes;
use pocket_proto::cosmos::tx::v1beta1 as proto;
use pocket_protocol::Height;
use proto::service_client::ServiceClient;

use crate::{ChainClient, QueryError};

/// What one node's mempool said to a transaction. Messages have not been run (spec `chain.md` §7.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// 0 is accepted.
    pub code: u32,
    /// Who numbers the code; the ante handler's is `sdk`.
    pub codespace: String,
    /// The refusal in words; may be empty.
    pub log: String,
}

impl ChainClient {
    /// Runs a transaction on the newest state without checking its signature: the gas used. A message that
    /// the chain would refuse is [`QueryError::Refused`] with code `Unknown` and the chain's log.
    pub async fn simulate(&self, tx: Bytes) -> Result<u64, QueryError> {
        let request = proto::SimulateRequest { tx_bytes: tx };
        let ask = |channel| {
            let request = request.clone();
            async move { ServiceClient::new(channel).simulate(request).await }
        };
        let answer = self.ask("tx.Simulate", Height(0), ask).await?;
        let gas = answer.value.gas_info.ok_or_else(|| QueryError::missing("gas_info"))?;
        Ok(gas.gas_used)
    }

    /// Offers a transaction to the node's mempool, once: after [`QueryError::Unavailable`] it may or may not
    /// be there, which only its sender can sort out.
    pub async fn broadcast(&self, tx: Bytes) -> Result<Broadcast, QueryError> {
        let request = proto::BroadcastTxRequest {
            tx_bytes: tx,
            mode: proto::BroadcastMode::Sync.into(),
        };
        let mut client = ServiceClient::new(self.channel());
        let answer = self
            .ask_once("tx.BroadcastTx", Height(0), client.broadcast_tx(request))
            .await?;
        let response = answer
            .value
            .tx_response
            .ok_or_else(|| QueryError::missing("tx_response"))?;
        Ok(Broadcast {
            code: response.code,
            codespace: response.codespace,
            log: response.raw_log,
        })
    }
}
